//! The way in and the way out.

use std::net::IpAddr;
use std::time::Duration;

use askama::Template;
use axum::Extension;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use serde::Deserialize;
use uuid::Uuid;

use crate::domain::id::SessionId;
use crate::service::sign_in::{self, Attempt, Browser, Denied};
use crate::service::{look, sign_out, token};
use crate::web::client_address::ClientAddress;
use crate::web::cookies::Cookie;
use crate::web::error::{Failure, frame};
use crate::web::guard::{SignedIn, Visitor};
use crate::web::oidc::Trouble;
use crate::web::pages::sessions::SessionsPage;
use crate::web::pages::signin::{SignIn, SignInPage};
use crate::web::rate_limit::Caller;
use crate::web::state::App;
use crate::web::urls::own_path;

/// How long the cookie of a sign-in under way is kept, in seconds.
const SIGN_IN_LASTS: i64 = 600;

/// `?to=`: where to go after signing in.
#[derive(Debug, Deserialize)]
pub struct To {
    to: Option<String>,
}

impl To {
    fn path(&self) -> Option<String> {
        self.to.as_deref().and_then(own_path).map(str::to_owned)
    }
}

/// `GET /sign-in`: the door. Somebody who is in already goes on.
pub async fn page(State(app): State<App>, Visitor(viewer): Visitor, to: Result<Query<To>, QueryRejection>) -> Response {
    let return_to = to.ok().and_then(|Query(to)| to.path());
    match viewer {
        Some(_) => go(return_to.as_deref().unwrap_or("/")),
        None => door(&app, SignIn { return_to, ..plain(&app) }),
    }
}

/// `GET /sign-in/start`: to the provider.
pub async fn start(
    State(app): State<App>,
    Extension(ClientAddress(address)): Extension<ClientAddress>,
    headers: HeaderMap,
    to: Result<Query<To>, QueryRejection>,
) -> Result<Response, Response> {
    slowly(&app, address).map_err(too_fast)?;
    let next = to.ok().and_then(|Query(to)| to.path());
    let departure = match app.oidc.depart().await {
        Ok(departure) => departure,
        Err(trouble) => {
            let signin = SignIn { unavailable: Some(trouble.to_string()), return_to: next, ..plain(&app) };
            return Err(closed(&app, signin));
        }
    };
    // One cookie for all tabs of a browser; each attempt has its own state.
    let browser = Cookie::SignIn.of(&headers, &app.public).map_or_else(token::random, str::to_owned);
    let attempt = Attempt { nonce: departure.nonce, pkce_verifier: departure.pkce_verifier, next: next.unwrap_or_else(|| "/".into()) };
    sign_in::begin(&app.ctx, &departure.state, &browser, attempt).await.map_err(failed)?;
    let cookie = Cookie::SignIn.set(&browser, SIGN_IN_LASTS, &app.public);
    Ok(with_cookie(go(&departure.location), cookie))
}

/// What the provider sends people back with (RFC 6749 §4.1.2, RFC 9207).
#[derive(Debug, Deserialize)]
pub struct Answer {
    state: Option<String>,
    code: Option<String>,
    iss: Option<String>,
    error: Option<String>,
}

/// `GET /sign-in/callback`: back from the provider.
pub async fn callback(
    State(app): State<App>,
    Extension(ClientAddress(address)): Extension<ClientAddress>,
    headers: HeaderMap,
    answer: Result<Query<Answer>, QueryRejection>,
) -> Result<Response, Response> {
    slowly(&app, address).map_err(too_fast)?;
    let stale = || Failure::stale_sign_in().into_response();
    let Query(answer) = answer.map_err(|_| stale())?;
    let (Some(state), Some(browser)) = (answer.state, Cookie::SignIn.of(&headers, &app.public)) else { return Err(stale()) };
    let attempt = sign_in::take(&app.ctx, &state, browser).await.map_err(failed)?.ok_or_else(stale)?;
    let outcome = match (app.oidc.check_issuer(answer.iss.as_deref()).await, answer.error.as_deref(), answer.code) {
        (Err(trouble), _, _) => Err(trouble),
        (Ok(()), Some(error), _) => Err(provider_said(error)),
        (Ok(()), None, None) => Err(Trouble::Refused("The provider sent no answer that can be used.".into())),
        (Ok(()), None, Some(code)) => app.oidc.arrive(&code, &attempt.pkce_verifier, &attempt.nonce).await,
    };
    let vouched = match outcome {
        Ok(vouched) => vouched,
        Err(Trouble::Refused(reason)) => {
            sign_in::refused(&app.ctx, app.oidc.issuer(), "", &reason).await.map_err(failed)?;
            return Err(Failure::not_let_in(reason).into_response());
        }
        Err(Trouble::Unavailable(why)) => {
            return Err(closed(&app, SignIn { unavailable: Some(why), return_to: own(attempt.next), ..plain(&app) }));
        }
    };
    let browser = Browser {
        user_agent: headers.get(header::USER_AGENT).and_then(|v| v.to_str().ok()).map(|v| v.chars().take(400).collect()),
        address: address.map(|address| address.to_string()),
        old_token: Cookie::Session.of(&headers, &app.public).map(str::to_owned),
    };
    let started = sign_in::start(&app.ctx, &app.rules, &vouched, &browser).await.map_err(|denied| match denied {
        Denied::Refused(reason) => Failure::not_let_in(reason).into_response(),
        Denied::Failed(error) => failed(error),
    })?;
    let cookie = Cookie::Session.set(&started.token, app.rules.absolute.num_seconds(), &app.public);
    Ok(with_cookie(go(own_path(&attempt.next).unwrap_or("/")), cookie))
}

/// `POST /sign-out`: out of here, then out of the provider.
pub async fn out(State(app): State<App>, headers: HeaderMap) -> Result<Response, Response> {
    let Some(cookie) = Cookie::Session.of(&headers, &app.public) else { return Ok(go("/signed-out")) };
    let ended = sign_out::out(&app.ctx, cookie).await.map_err(failed)?;
    Ok(leave(&app, ended.flatten()).await)
}

/// After its session has ended: the cookie goes, and the provider is told by way of the browser.
async fn leave(app: &App, id_token: Option<String>) -> Response {
    // Our session is gone already; what the provider does changes nothing about that.
    let location = app.oidc.farewell(id_token.as_deref()).await.unwrap_or_else(|| "/signed-out".into());
    let mut response = with_cookie(go(&location), Cookie::Session.clear(&app.public));
    // Not "cookies": that would sign people out of every service under the same domain.
    let all = HeaderValue::from_static("\"cache\", \"storage\"");
    response.headers_mut().insert("clear-site-data", all);
    response
}

/// `?state=`, which a provider sends along when it has signed somebody out.
#[derive(Debug, Deserialize)]
pub struct Farewell {
    state: Option<String>,
}

/// `GET /signed-out`: the last page.
pub async fn signed_out(State(app): State<App>, farewell: Result<Query<Farewell>, QueryRejection>) -> Response {
    let ended_at_provider = farewell.is_ok_and(|Query(farewell)| farewell.state.is_some());
    door(&app, SignIn { signed_out: true, ended_at_provider, ..plain(&app) })
}

/// `GET /sessions`: where one is signed in.
pub async fn sessions(State(app): State<App>, SignedIn(viewer): SignedIn) -> Result<Response, Response> {
    let rows = sign_out::list(&app.ctx, &viewer).await.map_err(failed)?;
    let row = |row: sign_out::Own| look::session::SessionRow {
        id: row.id.0,
        current: row.id == viewer.session,
        browser: look::session::browser(row.user_agent.as_deref()),
        address: row.address,
        started_at: row.created_at,
        last_seen_at: row.seen_at,
        ends_at: row.expires_at,
    };
    let privileged = viewer.is_administrator || viewer.is_auditor;
    let sessions = look::session::Sessions {
        rows: rows.into_iter().map(row).collect(),
        idle_s: if privileged { app.rules.idle_privileged } else { app.rules.idle }.num_seconds(),
        absolute_s: app.rules.absolute.num_seconds(),
    };
    Ok(html(SessionsPage { frame: frame(&app, Some(&viewer), "sessions"), sessions }.render()))
}

/// `POST /sessions/{id}/end`: ends one of one's own sessions; the current one like signing out.
pub async fn end_session(
    State(app): State<App>,
    SignedIn(viewer): SignedIn,
    id: Result<Path<Uuid>, axum::extract::rejection::PathRejection>,
) -> Result<Response, Response> {
    let id = SessionId(id.map_err(|_| Failure::missing().into_response())?.0);
    let ended = sign_out::one(&app.ctx, &viewer, id).await.map_err(failed)?;
    match ended {
        None => Err(Failure::missing().into_response()),
        Some(id_token) if id == viewer.session => Ok(leave(&app, id_token).await),
        Some(_) => Ok(go("/sessions")),
    }
}

/// `POST /sessions/end-others`: ends all of one's own sessions but this one.
pub async fn end_other_sessions(State(app): State<App>, SignedIn(viewer): SignedIn) -> Result<Response, Response> {
    sign_out::others(&app.ctx, &viewer).await.map_err(failed)?;
    Ok(go("/sessions"))
}

fn plain(app: &App) -> SignIn {
    SignIn { provider: app.provider.to_string(), signed_out: false, ended_at_provider: false, unavailable: None, return_to: None }
}

fn own(path: String) -> Option<String> {
    own_path(&path).map(str::to_owned)
}

fn door(app: &App, signin: SignIn) -> Response {
    html(SignInPage { frame: frame(app, None, ""), signin }.render())
}

/// The door while the provider is down.
fn closed(app: &App, signin: SignIn) -> Response {
    Failure::no_sign_in(signin.unavailable.clone().unwrap_or_default()).shown_as(door(app, signin))
}

fn html(rendered: askama::Result<String>) -> Response {
    match rendered {
        Ok(page) => Html(page).into_response(),
        Err(error) => Failure::broken(&error).into_response(),
    }
}

fn failed(error: crate::service::error::ServiceError) -> Response {
    Failure::from(error).into_response()
}

/// 303 (RFC 9110 §15.4.4): whatever this was, the next is a GET.
fn go(location: &str) -> Response {
    (StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response()
}

fn with_cookie(mut response: Response, cookie: HeaderValue) -> Response {
    response.headers_mut().append(header::SET_COOKIE, cookie);
    response
}

fn slowly(app: &App, address: Option<IpAddr>) -> Result<(), Duration> {
    app.limits.sign_in.take(Caller::from(address), app.ctx.clock.now())
}

fn too_fast(wait: Duration) -> Response {
    Failure::too_many(wait).into_response()
}

/// The provider's own error codes (RFC 6749 §4.1.2.1), in our words; its text may be anybody's.
fn provider_said(error: &str) -> Trouble {
    match error {
        "access_denied" => Trouble::Refused("The sign-in was cancelled or refused at the provider.".into()),
        "temporarily_unavailable" | "server_error" => Trouble::Unavailable("The sign-in provider says that it cannot be used right now.".into()),
        "login_required" | "interaction_required" | "consent_required" | "account_selection_required" => {
            Trouble::Refused("The provider wants you to sign in there once more.".into())
        }
        _ => Trouble::Refused("The provider refused this sign-in; an administrator has to look at its settings.".into()),
    }
}
