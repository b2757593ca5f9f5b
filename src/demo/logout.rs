//! Signing out from the relying party (OpenID Connect RP-Initiated Logout).

use std::sync::Arc;

use askama::Template;
use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde_json::Value;

use super::page::{self, Parameters};
use super::site::Site;

/// Where to go when nobody is signed in any more.
struct Leave {
    to: Option<String>,
    state: Option<String>,
    /// The `sub` of an ID token that we signed.
    subject: Option<String>,
}

/// `GET /logout`
pub async fn get(State(site): State<Arc<Site>>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    begin(&site, &query.unwrap_or_default(), &headers)
}

/// `POST /logout`: the same with the request in the body.
pub async fn post(State(site): State<Arc<Site>>, headers: HeaderMap, body: Bytes) -> Response {
    begin(&site, &String::from_utf8_lossy(&body), &headers)
}

/// Ends the session at once when the ID token names its person, or there is none; otherwise asks first, so that no other
/// site can sign people out.
fn begin(site: &Site, request: &str, headers: &HeaderMap) -> Response {
    let leave = match read(site, request) {
        Ok(leave) => leave,
        Err(why) => return refuse(site, why),
    };
    let session = site.session(page::cookie(headers));
    let directory = site.register.read();
    let person = session.map(|session| &directory.people[session.person].person);
    match person.filter(|person| leave.subject.as_ref() != Some(&person.subject)) {
        None => {
            drop(directory);
            end(site, leave, headers)
        }
        Some(person) => {
            let page = Confirm { company: &directory.company, name: &person.name, request };
            page::html(StatusCode::OK, &page, &site.client.origins)
        }
    }
}

/// `POST /logout/confirmed`: the person agreed.
pub async fn confirmed(State(site): State<Arc<Site>>, headers: HeaderMap, body: Bytes) -> Response {
    if !page::is_same_origin(&headers) {
        return refuse(&site, "This form was sent by another site, so nothing was done.");
    }
    let form = Parameters::read(&body).unwrap_or_default();
    match read(&site, form.get("request").unwrap_or_default()) {
        Ok(leave) => end(&site, leave, &headers),
        Err(why) => refuse(&site, why),
    }
}

fn end(site: &Site, leave: Leave, headers: &HeaderMap) -> Response {
    if let Some(cookie) = page::cookie(headers) {
        site.memory().sessions.drop(cookie);
    }
    let mut response = match leave.to {
        Some(to) => {
            let state: Vec<(&str, &str)> = leave.state.iter().map(|state| ("state", state.as_str())).collect();
            page::see_other(&page::with_parameters(&to, &state))
        }
        None => page::html(StatusCode::OK, &SignedOut { company: &site.register.read().company }, ""),
    };
    page::set_cookie(&mut response, None);
    response
}

fn refuse(site: &Site, why: &str) -> Response {
    let company = site.register.read().company.clone();
    page::problem(StatusCode::BAD_REQUEST, &company, "Signing out did not work", why)
}

/// Reads a request to sign out. An address to go to counts only when it is registered, to the letter, and the client is
/// named by itself or by an ID token. A token of an earlier start is passed over: its key is gone, and its session too.
fn read(site: &Site, request: &str) -> Result<Leave, &'static str> {
    let parameters = Parameters::read(request.as_bytes()).map_err(|_| "A parameter is sent twice.")?;
    let hint = parameters.get("id_token_hint").and_then(|token| site.key.claims(token));
    let claim = |name: &str| hint.as_ref().and_then(|claims| claims[name].as_str()).map(str::to_owned);
    if hint.is_some() && claim("aud").as_ref() != Some(&site.client.id) {
        return Err("The ID token was made for somebody else.");
    }
    let client = parameters.get("client_id");
    if client.is_some_and(|id| id != site.client.id) {
        return Err("The client_id is not the one that the demo directory was started with.");
    }
    let to = parameters.get("post_logout_redirect_uri").map(str::to_owned);
    if let Some(to) = &to {
        if !site.client.post_logout_redirect_uris.contains(to) {
            return Err("The post_logout_redirect_uri is not registered; it must be the same to the letter.");
        }
        if client.is_none() && hint.as_ref().is_none_or(Value::is_null) {
            return Err("A post_logout_redirect_uri needs a client_id or an id_token_hint beside it.");
        }
    }
    Ok(Leave { to, state: parameters.get("state").map(str::to_owned), subject: claim("sub") })
}

#[derive(Template)]
#[template(path = "demo/confirm_sign_out.html")]
struct Confirm<'a> {
    company: &'a str,
    name: &'a str,
    request: &'a str,
}

#[derive(Template)]
#[template(path = "demo/signed_out.html")]
struct SignedOut<'a> {
    company: &'a str,
}
