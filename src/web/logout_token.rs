//! Logout tokens (OpenID Connect Back-Channel Logout 1.0, section 2.4), verified.
//!
//! A JWT signed as ID tokens are, that must be recognised as something else: it has an `events` claim and no `nonce`. `openidconnect` has no
//! type for it; its keys do the cryptography.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use openidconnect::core::{CoreJsonWebKey, CoreJsonWebKeySet, CoreJsonWebKeyUse, CoreJwsSigningAlgorithm};
use openidconnect::{JsonWebKey, JsonWebKeyUse};
use serde_json::{Map, Value};

use crate::service::sign_out::Farewell;
use crate::web::id_token::{ALGORITHMS, Fault, SKEW, TOKEN_AGE, session_id};

/// The event that makes a token a logout token.
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
/// Longest token read, in bytes.
const LONGEST: usize = 16 << 10;

fn bad(why: &str) -> Fault {
    Fault::Bad(why.to_owned())
}

/// What `token` says at `now`, if `issuer` signed it with one of `keys` for `client_id`. Whether it was taken before is not known here.
///
/// # Errors
/// [`Fault`] for anything else.
pub fn verify(token: &str, keys: &CoreJsonWebKeySet, issuer: &str, client_id: &str, now: DateTime<Utc>) -> Result<Farewell, Fault> {
    if token.len() > LONGEST {
        return Err(bad("it is too long"));
    }
    let (signed, signature) = token.rsplit_once('.').ok_or_else(|| bad("it is no JWT"))?;
    let (header, claims) = signed.split_once('.').filter(|(_, claims)| !claims.contains('.')).ok_or_else(|| bad("it is no JWT"))?;
    let header = record(header).ok_or_else(|| bad("its header cannot be read"))?;
    let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| bad("its signature cannot be read"))?;
    signed_by(keys, &header, signed.as_bytes(), &signature)?;
    let claims = record(claims).ok_or_else(|| bad("its claims cannot be read"))?;
    means(&claims, issuer, client_id, now)
}

fn record(part: &str) -> Option<Map<String, Value>> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

fn signed_by(keys: &CoreJsonWebKeySet, header: &Map<String, Value>, message: &[u8], signature: &[u8]) -> Result<(), Fault> {
    // Typed tokens must be of this type (RFC 8725, section 3.11); many providers send the general one, or none.
    match header.get("typ").map(|typ| typ.as_str().unwrap_or_default().trim_start_matches("application/").to_ascii_lowercase()) {
        None => {}
        Some(typ) if ["logout+jwt", "jwt"].contains(&typ.as_str()) => {}
        Some(_) => return Err(bad("it is a token of another type")),
    }
    if header.contains_key("crit") {
        return Err(bad("its header wants something understood that is not (crit)"));
    }
    let algorithm = header.get("alg").and_then(|alg| serde_json::from_value::<CoreJwsSigningAlgorithm>(alg.clone()).ok());
    let algorithm = algorithm.filter(|algorithm| ALGORITHMS.contains(algorithm)).ok_or_else(|| bad("it is signed in a way that is not believed"))?;
    let kid = match header.get("kid") {
        None => None,
        Some(Value::String(kid)) => Some(kid.as_str()),
        Some(_) => return Err(bad("it names no key")),
    };
    let signs = |key: &&CoreJsonWebKey| key.key_use().is_none_or(CoreJsonWebKeyUse::allows_signature);
    let named: Vec<&CoreJsonWebKey> = match kid {
        Some(kid) => keys.keys().iter().filter(signs).filter(|key| key.key_id().is_some_and(|id| id.as_str() == kid)).collect(),
        None => keys.keys().iter().filter(signs).collect(),
    };
    if named.is_empty() {
        return Err(Fault::UnknownKey);
    }
    // A key that does not fit the algorithm verifies nothing.
    if named.iter().any(|key| key.verify_signature(&algorithm, message, signature).is_ok()) {
        return Ok(());
    }
    // Without a name it may be by a key that is new.
    Err(if kid.is_none() { Fault::UnknownKey } else { bad("its signature is wrong") })
}

fn means(claims: &Map<String, Value>, issuer: &str, client_id: &str, now: DateTime<Utc>) -> Result<Farewell, Fault> {
    let text = |name: &str| match claims.get(name) {
        None => Ok(None),
        Some(Value::String(text)) if !text.trim().is_empty() && text.len() <= 1024 => Ok(Some(text.as_str())),
        Some(_) => Err(Fault::Bad(format!("{name} is no text that can be used"))),
    };
    let time = |name: &str| claims.get(name).and_then(Value::as_f64).filter(|time| time.is_finite());
    let moment = |time: DateTime<Utc>| time.timestamp() as f64;
    if text("iss")? != Some(issuer) {
        return Err(bad("iss is another issuer"));
    }
    let for_us = match claims.get("aud") {
        Some(Value::String(aud)) => aud == client_id,
        Some(Value::Array(all)) => all.iter().any(|aud| aud == client_id),
        _ => false,
    };
    if !for_us {
        return Err(bad("aud is another client"));
    }
    let issued = time("iat").ok_or_else(|| bad("iat is missing"))?;
    if issued > moment(now + SKEW) || issued < moment(now - TOKEN_AGE) {
        return Err(bad("it was issued at another time (iat)"));
    }
    if time("exp").ok_or_else(|| bad("exp is missing"))? <= moment(now - SKEW) {
        return Err(bad("it has expired"));
    }
    if claims.contains_key("nbf") && time("nbf").is_none_or(|from| from > moment(now + SKEW)) {
        return Err(bad("not valid yet (nbf)"));
    }
    if claims.contains_key("nonce") {
        return Err(bad("it has a nonce, as only ID tokens have"));
    }
    if !claims.get("events").and_then(|events| events.get(EVENT)).is_some_and(Value::is_object) {
        return Err(bad("events does not say that this is about a logout"));
    }
    let jti = text("jti")?.ok_or_else(|| bad("jti is missing"))?;
    let (sid, subject) = (text("sid")?.map(session_id), text("sub")?);
    if sid.is_none() && subject.is_none() {
        return Err(bad("neither sub nor sid is there"));
    }
    Ok(Farewell { issuer: issuer.to_owned(), jti: jti.to_owned(), sid, subject: subject.map(str::to_owned) })
}
