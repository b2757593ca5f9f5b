//! Signing in: the authorization endpoint and choosing a person.
//!
//! Authorization code with PKCE S256, and nothing else (OpenID Connect Core §3.1.2, RFC 7636, RFC 9700 §2.1.1). Answers
//! carry `iss` (RFC 9207). The page keeps the whole request in its form and reads it again when a person is chosen, so
//! that nothing is remembered about people who never choose.

use std::sync::Arc;

use askama::Template;
use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use chrono::{DateTime, Utc};

use super::page::{self, Parameters};
use super::shelf::random_name;
use super::site::{Code, Session, Site};

/// Most people shown at once; the search finds the others.
const SHOWN: usize = 60;

/// An authorization request that may be answered.
struct Ask {
    redirect_uri: String,
    state: Option<String>,
    nonce: Option<String>,
    scopes: Vec<String>,
    challenge: String,
    /// `prompt=none`: no page may be shown.
    silent: bool,
    /// `prompt=login` or `select_account`: a page must be shown.
    afresh: bool,
    /// Seconds a sign-in may be old.
    max_age: Option<i64>,
    login_hint: Option<String>,
}

/// Why a request is not answered with a code.
enum Refusal {
    /// Nobody trustworthy to send the browser back to: it is told here.
    Here(String),
    /// The relying party is told (OpenID Connect Core §3.1.2.6).
    Back { redirect_uri: String, state: Option<String>, error: &'static str, why: &'static str },
}

/// `GET /authorize`
pub async fn get(State(site): State<Arc<Site>>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    begin(&site, &query.unwrap_or_default(), &headers)
}

/// `POST /authorize`: the same with the request in the body (OpenID Connect Core §3.1.2.1).
pub async fn post(State(site): State<Arc<Site>>, headers: HeaderMap, body: Bytes) -> Response {
    begin(&site, &String::from_utf8_lossy(&body), &headers)
}

fn begin(site: &Site, request: &str, headers: &HeaderMap) -> Response {
    let ask = match read(site, request) {
        Ok(ask) => ask,
        Err(refusal) => return refuse(site, refusal),
    };
    let now = site.clock.now();
    let session = site.session(page::cookie(headers)).filter(|session| {
        let fresh = ask.max_age.is_none_or(|seconds| seconds > 0 && (now - session.since).num_seconds() <= seconds);
        fresh && !ask.afresh
    });
    match session {
        Some(session) => answer(site, ask, session, now),
        None if ask.silent => refuse(
            site,
            Refusal::Back { redirect_uri: ask.redirect_uri, state: ask.state, error: "login_required", why: "nobody is signed in, and no page may be shown" },
        ),
        None => choose(site, StatusCode::OK, request, ask.login_hint.as_deref().unwrap_or_default(), None),
    }
}

/// `GET /sign-in?request=…&q=…`: the same page, with fewer people.
pub async fn search(State(site): State<Arc<Site>>, RawQuery(query): RawQuery) -> Response {
    let Ok(form) = Parameters::read(query.unwrap_or_default().as_bytes()) else {
        return misread(&site);
    };
    let request = form.get("request").unwrap_or_default();
    match read(&site, request) {
        Ok(_) => choose(&site, StatusCode::OK, request, form.get("q").unwrap_or_default(), None),
        Err(refusal) => refuse(&site, refusal),
    }
}

/// `POST /sign-in`: somebody chose. The old session ends, and the new one has a new name.
pub async fn chosen(State(site): State<Arc<Site>>, headers: HeaderMap, body: Bytes) -> Response {
    let company = site.register.read().company.clone();
    if !page::is_same_origin(&headers) {
        return page::problem(StatusCode::FORBIDDEN, &company, "Not from here", "This form was sent by another site, so nothing was done.");
    }
    let Ok(form) = Parameters::read(&body) else {
        return misread(&site);
    };
    let request = form.get("request").unwrap_or_default();
    let ask = match read(&site, request) {
        Ok(ask) => ask,
        Err(refusal) => return refuse(&site, refusal),
    };
    let person = form.get("person").and_then(|id| site.register.read().person(id));
    let Some(person) = person else {
        return choose(&site, StatusCode::BAD_REQUEST, request, "", Some("Nobody of that id works here. Choose somebody from the list."));
    };
    if !site.is_active(person) {
        return choose(&site, StatusCode::FORBIDDEN, request, "", Some("This person is disabled in the directory and cannot sign in."));
    }
    let now = site.clock.now();
    let session = Session { person, since: now, id: random_name() };
    let name = {
        let mut memory = site.memory();
        if let Some(old) = page::cookie(&headers) {
            memory.sessions.drop(old);
        }
        memory.sessions.put(session.clone(), now)
    };
    let mut response = answer(&site, ask, session, now);
    page::set_cookie(&mut response, Some(&name));
    response
}

/// Sends the browser back with a code.
fn answer(site: &Site, ask: Ask, session: Session, now: DateTime<Utc>) -> Response {
    let back = ask.redirect_uri.clone();
    let code = site
        .memory()
        .codes
        .put(Code { redirect_uri: ask.redirect_uri, challenge: ask.challenge, nonce: ask.nonce, scopes: ask.scopes, session, made: now, spent: None }, now);
    send_back(site, &back, ask.state.as_deref(), &[("code", &code)])
}

fn refuse(site: &Site, refusal: Refusal) -> Response {
    match refusal {
        Refusal::Here(why) => {
            let company = site.register.read().company.clone();
            page::problem(StatusCode::BAD_REQUEST, &company, "This sign-in cannot begin", &why)
        }
        Refusal::Back { redirect_uri, state, error, why } => send_back(site, &redirect_uri, state.as_deref(), &[("error", error), ("error_description", why)]),
    }
}

fn send_back(site: &Site, to: &str, state: Option<&str>, parameters: &[(&str, &str)]) -> Response {
    let state = state.map(|state| ("state", state));
    let all: Vec<(&str, &str)> = parameters.iter().copied().chain(state).chain([("iss", site.issuer.as_str())]).collect();
    page::see_other(&page::with_parameters(to, &all))
}

fn misread(site: &Site) -> Response {
    refuse(site, Refusal::Here("A parameter was sent twice. Go back to the application and sign in again.".into()))
}

/// Reads an authorization request. Until the client and the address to go back to are known to be right, faults are
/// shown here; afterwards they are sent back.
fn read(site: &Site, request: &str) -> Result<Ask, Refusal> {
    let parameters = Parameters::read(request.as_bytes()).map_err(|name| Refusal::Here(format!("The parameter {name:?} is sent twice.")))?;
    if parameters.get("client_id") != Some(&site.client.id) {
        return Err(Refusal::Here("The client_id is not the one that the demo directory was started with.".into()));
    }
    let redirect_uri = parameters.get("redirect_uri").unwrap_or_default().to_owned();
    if !site.client.redirect_uris.contains(&redirect_uri) {
        return Err(Refusal::Here("The redirect_uri is not registered; it must be the same to the letter.".into()));
    }
    let state = parameters.get("state").map(str::to_owned);
    let back = |error, why| Refusal::Back { redirect_uri: redirect_uri.clone(), state: state.clone(), error, why };

    if parameters.get("request").is_some() {
        return Err(back("request_not_supported", "request objects are not supported"));
    }
    if parameters.get("request_uri").is_some() {
        return Err(back("request_uri_not_supported", "request objects are not supported"));
    }
    if parameters.get("response_type") != Some("code") {
        return Err(back("unsupported_response_type", "response_type must be code"));
    }
    if parameters.get("response_mode").is_some_and(|mode| mode != "query") {
        return Err(back("invalid_request", "response_mode must be query"));
    }
    let scopes: Vec<String> = parameters.get("scope").unwrap_or_default().split(' ').map(str::to_owned).collect();
    if !scopes.iter().any(|scope| scope == "openid") {
        return Err(back("invalid_scope", "scope must contain openid"));
    }
    let challenge = parameters.get("code_challenge").unwrap_or_default().to_owned();
    let is_sha256 = challenge.len() == 43 && challenge.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if parameters.get("code_challenge_method") != Some("S256") || !is_sha256 {
        return Err(back("invalid_request", "PKCE is required: code_challenge with code_challenge_method=S256"));
    }
    let prompts: Vec<&str> = parameters.get("prompt").unwrap_or_default().split(' ').filter(|prompt| !prompt.is_empty()).collect();
    if prompts.contains(&"none") && prompts.len() > 1 {
        return Err(back("invalid_request", "prompt=none stands alone"));
    }
    let max_age = parameters.get("max_age").map(str::parse::<i64>).transpose().ok().filter(|age| age.is_none_or(|age| age >= 0));
    let max_age = max_age.ok_or_else(|| back("invalid_request", "max_age is a whole number of seconds"))?;
    Ok(Ask {
        nonce: parameters.get("nonce").map(str::to_owned),
        silent: prompts.contains(&"none"),
        afresh: prompts.iter().any(|prompt| matches!(*prompt, "login" | "select_account")),
        login_hint: parameters.get("login_hint").map(str::to_owned),
        max_age,
        challenge,
        scopes,
        state,
        redirect_uri,
    })
}

#[derive(Template)]
#[template(path = "demo/sign_in.html")]
struct SignIn<'a> {
    company: &'a str,
    client: &'a str,
    request: &'a str,
    words: &'a str,
    alert: Option<&'a str>,
    people: Vec<Choice>,
    total: usize,
}

struct Choice {
    id: String,
    name: String,
    user_name: String,
    title: String,
    department: String,
    marks: Vec<&'static str>,
    active: bool,
}

/// The page on which one chooses who to be.
fn choose(site: &Site, status: StatusCode, request: &str, words: &str, alert: Option<&str>) -> Response {
    let directory = site.register.read();
    let found: Vec<usize> = directory.matching(words).collect();
    let people = found.iter().take(SHOWN).map(|at| {
        let person = &directory.people[*at].person;
        Choice {
            id: person.id.to_string(),
            name: person.name.clone(),
            user_name: person.user_name.clone(),
            title: person.title.clone(),
            department: person.department.clone(),
            marks: directory.marks(*at),
            active: person.active,
        }
    });
    let page = SignIn { company: &directory.company, client: &site.client.id, request, words, alert, people: people.collect(), total: found.len() };
    page::html(status, &page, &site.client.origins)
}
