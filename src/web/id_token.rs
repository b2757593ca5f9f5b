//! ID tokens: the checks that `openidconnect` leaves to us.
//!
//! The crate checks signature, issuer, audience, expiry and nonce. Here are pinned algorithms, `azp`, `iat`, `nbf`, an
//! empty `sub` and `at_hash` (OpenID Connect Core §3.1.3.7, §3.1.3.8).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use openidconnect::core::{CoreIdTokenVerifier, CoreJwsSigningAlgorithm, CoreTokenResponse};
use openidconnect::{AccessTokenHash, ClaimsVerificationError, Nonce, OAuth2TokenResponse, SignatureVerificationError, TokenResponse};
use serde_json::{Map, Value};

use crate::service::sign_in::Vouched;

/// How far two clocks may be apart.
pub(super) const SKEW: TimeDelta = TimeDelta::seconds(60);
/// How old a token may be when it arrives: it was made for this moment.
pub(super) const TOKEN_AGE: TimeDelta = TimeDelta::minutes(10);
/// Signatures that are believed: asymmetric only, whatever the provider's metadata say.
pub(super) const ALGORITHMS: [CoreJwsSigningAlgorithm; 4] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EdDsa,
];

/// Why a token is not believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Signed with a key that we do not have, maybe a new one.
    UnknownKey,
    /// Not to be believed; the reason is for the log.
    Bad(String),
}

fn bad(why: &str) -> Fault {
    Fault::Bad(why.to_owned())
}

/// What the ID token in `response` vouches for at `now`, to the client `client_id` of `issuer`.
///
/// # Errors
/// [`Fault`] for anything but a good token that was made for the sign-in with this `nonce`.
pub fn verify(
    verifier: CoreIdTokenVerifier<'_>,
    client_id: &str,
    issuer: &str,
    response: &CoreTokenResponse,
    nonce: &Nonce,
    now: DateTime<Utc>,
) -> Result<Vouched, Fault> {
    let verifier = verifier.set_allowed_algs(ALGORITHMS).set_time_fn(move || now - SKEW).set_issue_time_verifier_fn(move |iat| {
        let age = now - iat;
        if age < -SKEW || age > TOKEN_AGE { Err(format!("issued at {iat}")) } else { Ok(()) }
    });
    let token = response.id_token().ok_or_else(|| bad("there is no ID token"))?;
    let claims = token.claims(&verifier, nonce).map_err(|error| match error {
        ClaimsVerificationError::SignatureVerification(SignatureVerificationError::NoMatchingKey) => Fault::UnknownKey,
        error => Fault::Bad(error.to_string()),
    })?;
    if claims.authorized_party().is_some_and(|azp| azp.as_str() != client_id) {
        return Err(bad("azp is another client"));
    }
    let subject = claims.subject().as_str();
    if subject.trim().is_empty() || subject.len() > 255 || subject.chars().any(char::is_control) {
        return Err(bad("sub is empty or no subject"));
    }
    if let Some(expected) = claims.access_token_hash() {
        let key = token.signing_key(&verifier).map_err(|_| bad("no key for at_hash"))?;
        let algorithm = token.signing_alg().map_err(|_| bad("no algorithm for at_hash"))?;
        let actual = AccessTokenHash::from_token(response.access_token(), algorithm, key);
        if actual.map_err(|_| bad("at_hash cannot be made"))? != *expected {
            return Err(bad("at_hash is another token's"));
        }
    }
    let id_token = token.to_string();
    let all = payload(&id_token).ok_or_else(|| bad("the claims are no record"))?;
    let not_before = all.get("nbf").and_then(Value::as_f64);
    if not_before.is_some_and(|nbf| nbf > (now + SKEW).timestamp() as f64) {
        return Err(bad("not valid yet (nbf)"));
    }
    Ok(Vouched {
        issuer: issuer.to_owned(),
        subject: subject.to_owned(),
        sid: all.get("sid").and_then(Value::as_str).map(session_id),
        auth_time: claims.auth_time(),
        id_token,
        claims: all,
    })
}

/// A session's id at the provider as it is kept, and so as it is looked for.
pub(super) fn session_id(sid: &str) -> String {
    sid.chars().filter(|c| !c.is_control()).take(255).collect()
}

/// The claims of a token that is verified already.
fn payload(token: &str) -> Option<Map<String, Value>> {
    let middle = token.split('.').nth(1)?;
    let bytes = URL_SAFE_NO_PAD.decode(middle.trim_end_matches('=')).ok()?;
    serde_json::from_slice(&bytes).ok()
}
