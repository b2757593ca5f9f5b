//! Tokens: a code for an access and an ID token.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::{Engine, engine::general_purpose::STANDARD, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use openidconnect::url::form_urlencoded;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::page::Parameters;
use super::register::PersonAt;
use super::site::{Access, CODE, Code, Site, TOKEN};

/// A refusal in OAuth's form (RFC 6749 §5.2).
struct Refusal(StatusCode, &'static str, &'static str);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Self(status, error, why) = self;
        let mut response = (status, Json(json!({"error": error, "error_description": why}))).into_response();
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"demo directory\""));
        }
        response
    }
}

fn bad(error: &'static str, why: &'static str) -> Refusal {
    Refusal(StatusCode::BAD_REQUEST, error, why)
}

/// `POST /token` (OpenID Connect Core §3.1.3).
pub async fn exchange(State(site): State<Arc<Site>>, headers: HeaderMap, body: Bytes) -> Response {
    match tokens(&site, &headers, &body) {
        Ok(answer) => {
            let cache = [(header::CACHE_CONTROL, "no-store"), (header::PRAGMA, "no-cache")];
            (cache, Json(answer)).into_response()
        }
        Err(refusal) => refusal.into_response(),
    }
}

fn tokens(site: &Site, headers: &HeaderMap, body: &[u8]) -> Result<Value, Refusal> {
    let form = Parameters::read(body).map_err(|_| bad("invalid_request", "a parameter is sent twice"))?;
    authenticate(site, headers, &form)?;
    if form.get("grant_type") != Some("authorization_code") {
        return Err(bad("unsupported_grant_type", "grant_type must be authorization_code"));
    }
    let now = site.clock.now();
    let code = spend(site, form.get("code").unwrap_or_default(), now)?;
    let matches = proves(form.get("code_verifier").unwrap_or_default(), &code.challenge)
        && form.get("redirect_uri") == Some(&code.redirect_uri)
        && now < code.made + CODE;
    if !matches {
        return Err(bad("invalid_grant", "the code is too old, or its verifier or redirect_uri is not the one it was made for"));
    }
    if !site.is_active(code.session.person) {
        return Err(bad("invalid_grant", "the person has been disabled"));
    }
    let access = Access { person: code.session.person, scopes: code.scopes.clone() };
    let token = {
        let mut memory = site.memory();
        let token = memory.tokens.put(access, now);
        if let Some(code) = form.get("code").and_then(|name| memory.codes.get(name, now)) {
            code.spent = Some(Some(token.clone()));
        }
        token
    };
    let broken = |_| Refusal(StatusCode::INTERNAL_SERVER_ERROR, "server_error", "the ID token could not be signed");
    let id_token = site.key.sign(&id_claims(site, &code, &token, now).map_err(broken)?).map_err(broken)?;
    Ok(json!({
        "access_token": token,
        "token_type": "Bearer",
        "expires_in": TOKEN.num_seconds(),
        "scope": code.scopes.join(" "),
        "id_token": id_token,
    }))
}

/// Takes a code, which works once. One that comes again takes back the token of the first time (RFC 6749 §4.1.2).
fn spend(site: &Site, name: &str, now: DateTime<Utc>) -> Result<Code, Refusal> {
    let mut memory = site.memory();
    let unknown = || bad("invalid_grant", "the code is not known, or has been used");
    let code = memory.codes.get(name, now).ok_or_else(unknown)?;
    let before = code.clone();
    match before.spent {
        None => {
            code.spent = Some(None);
            Ok(before)
        }
        Some(token) => {
            if let Some(token) = token {
                memory.tokens.drop(&token);
            }
            Err(unknown())
        }
    }
}

/// `client_secret_basic` or `client_secret_post`, one of them (RFC 6749 §2.3.1).
fn authenticate(site: &Site, headers: &HeaderMap, form: &Parameters) -> Result<(), Refusal> {
    let unknown = Refusal(StatusCode::UNAUTHORIZED, "invalid_client", "client_id and client_secret are not right");
    let basic = headers.get(header::AUTHORIZATION).map(|value| {
        let (scheme, rest) = value.to_str().ok()?.split_once(' ')?;
        let pair = String::from_utf8(STANDARD.decode(rest.trim()).ok().filter(|_| scheme.eq_ignore_ascii_case("basic"))?).ok()?;
        let (id, secret) = pair.split_once(':')?;
        Some((form_decoded(id), form_decoded(secret)))
    });
    let posted = form.get("client_secret").map(|secret| (form.get("client_id").unwrap_or_default().to_owned(), secret.to_owned()));
    let (id, secret) = match (basic, posted) {
        (Some(_), Some(_)) => return Err(bad("invalid_request", "authenticate in one way only")),
        (Some(Some(pair)), None) | (None, Some(pair)) => pair,
        _ => return Err(unknown),
    };
    if site.client.secret.is(&secret) && id == site.client.id { Ok(()) } else { Err(unknown) }
}

/// `application/x-www-form-urlencoded`, as both halves of Basic are (RFC 6749 §2.3.1).
fn form_decoded(text: &str) -> String {
    let escaped = text.replace('&', "%26").replace('=', "%3D");
    form_urlencoded::parse(escaped.as_bytes()).map(|(name, _)| name.into_owned()).collect()
}

/// PKCE: the challenge is the SHA-256 of the verifier (RFC 7636 §4.6).
fn proves(verifier: &str, challenge: &str) -> bool {
    (43..=128).contains(&verifier.len()) && URL_SAFE_NO_PAD.encode(Sha256::digest(verifier)) == challenge
}

fn id_claims(site: &Site, code: &Code, token: &str, now: DateTime<Utc>) -> Result<Value, super::key::KeyError> {
    let mut claims = person_claims(site, code.session.person, &code.scopes);
    claims.insert("iss".into(), site.issuer.clone().into());
    claims.insert("aud".into(), site.client.id.clone().into());
    claims.insert("iat".into(), now.timestamp().into());
    claims.insert("exp".into(), (now + TOKEN).timestamp().into());
    claims.insert("auth_time".into(), code.session.since.timestamp().into());
    claims.insert("sid".into(), code.session.id.clone().into());
    claims.insert("at_hash".into(), site.key.access_token_hash(token)?.into());
    if let Some(nonce) = &code.nonce {
        claims.insert("nonce".into(), nonce.clone().into());
    }
    Ok(claims.into())
}

/// `sub`, and what the scopes say (OpenID Connect Core §5.4); `groups` is ours, and holds display names.
fn person_claims(site: &Site, at: PersonAt, scopes: &[String]) -> Map<String, Value> {
    let directory = site.register.read();
    let member = &directory.people[at];
    let person = &member.person;
    let mut claims = Map::from_iter([("sub".to_owned(), Value::from(person.subject.clone()))]);
    let mut add = |name: &str, value: Value| _ = claims.insert(name.to_owned(), value);
    for scope in scopes {
        match scope.as_str() {
            "profile" => {
                add("name", person.name.clone().into());
                add("given_name", person.given.clone().into());
                add("family_name", person.family.clone().into());
                add("preferred_username", person.user_name.clone().into());
            }
            "email" => {
                add("email", person.email.clone().into());
                add("email_verified", true.into());
            }
            "groups" => add("groups", member.groups.iter().map(|at| directory.groups[*at].group.name.clone()).collect()),
            _ => {}
        }
    }
    claims
}

/// `GET` and `POST /userinfo` with an access token in the header (OpenID Connect Core §5.3).
pub async fn userinfo(State(site): State<Arc<Site>>, headers: HeaderMap) -> Response {
    let sent = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = sent.and_then(|value| value.split_once(' ')).filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let access = token.and_then(|(_, token)| site.memory().tokens.get(token.trim(), site.clock.now()).cloned());
    match access.filter(|access| site.is_active(access.person)) {
        Some(access) => {
            let claims = person_claims(&site, access.person, &access.scopes);
            ([(header::CACHE_CONTROL, "no-store")], Json(claims)).into_response()
        }
        None => {
            // RFC 6750 §3.1: no error code when no token was sent.
            let challenge = if token.is_some() { "Bearer error=\"invalid_token\"" } else { "Bearer" };
            (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, challenge)]).into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verifier_of_the_standard_proves_the_challenge_of_the_standard() {
        // RFC 7636, appendix B.
        let (verifier, challenge) = ("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
        assert!(proves(verifier, challenge));
        assert!(!proves(&verifier[1..], challenge));
        assert!(!proves("", challenge));
        assert!(!proves(challenge, challenge));
    }

    #[test]
    fn both_halves_of_basic_are_decoded_as_a_form() {
        assert_eq!(form_decoded("a%3Ab+c%26d&e=f"), "a:b c&d&e=f");
    }
}
