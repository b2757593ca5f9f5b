//! Where directories call when somebody changes.
//!
//! No session, no cookie: the secret of the directory proves the call, and all it does is have the directory asked.

use axum::body::Bytes;
use axum::extract::{Extension, Path, Query, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;

use crate::service::hook::{self, Answer, Call, NotTaken};
use crate::web::client_address::ClientAddress;
use crate::web::error::Failure;
use crate::web::rate_limit::Caller;
use crate::web::state::App;

/// The longest body, in bytes: a batch of events.
pub const LARGEST: usize = 1 << 20;

/// What a directory asks us to say back, where it does so in the address.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Asks {
    #[serde(rename = "validationToken")]
    validation_token: Option<String>,
}

/// `GET` and `POST /hooks/directories/{key}`: is this you; somebody changed.
pub async fn call(
    State(app): State<App>,
    Extension(address): Extension<ClientAddress>,
    Path(key): Path<String>,
    Query(asks): Query<Asks>,
    method: Method,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let challenge = asks.validation_token.as_deref().or_else(|| text(&headers, "x-okta-verification-challenge"));
    let call = Call { challenge, ..of(&key, &method, &headers, &body) };
    match answer(&app, address, &call).await {
        Ok(Answer::Echo(said)) if method == Method::GET => axum::Json(json!({ "verification": said })).into_response(),
        Ok(Answer::Echo(said)) => ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], said).into_response(),
        Ok(Answer::Taken(named)) => (StatusCode::ACCEPTED, axum::Json(json!({ "asked_about": named }))).into_response(),
        Err(failure) => Failure::rendered(failure.into_response()),
    }
}

/// `POST /hooks/directories/{key}/Users`: SCIM has somebody new (RFC 7644 §3.3).
pub async fn users(
    State(app): State<App>,
    Extension(address): Extension<ClientAddress>,
    Path(key): Path<String>,
    method: Method,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let call = Call { user: Some(None), ..of(&key, &method, &headers, &body) };
    match answer(&app, address, &call).await {
        Ok(_) => StatusCode::ACCEPTED.into_response(),
        Err(failure) => Failure::rendered(failure.into_response()),
    }
}

/// `PUT`, `PATCH` and `DELETE /hooks/directories/{key}/Users/{id}`: SCIM changes somebody (RFC 7644 §3.5, §3.6).
pub async fn user(
    State(app): State<App>,
    Extension(address): Extension<ClientAddress>,
    Path((key, id)): Path<(String, String)>,
    method: Method,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let call = Call { user: Some(Some(&id)), ..of(&key, &method, &headers, &body) };
    match answer(&app, address, &call).await {
        Ok(_) => StatusCode::NO_CONTENT.into_response(),
        Err(failure) => Failure::rendered(failure.into_response()),
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn of<'a>(key: &'a str, method: &'a Method, headers: &'a HeaderMap, body: &'a Bytes) -> Call<'a> {
    Call {
        directory: key,
        method: method.as_str(),
        user: None,
        authorization: text(headers, "authorization"),
        signature: text(headers, "x-countersign-signature"),
        challenge: None,
        body,
    }
}

async fn answer(app: &App, address: ClientAddress, call: &Call<'_>) -> Result<Answer, Failure> {
    app.limits.hook.take(Caller::from(address.0), app.ctx.clock.now()).map_err(Failure::too_many)?;
    hook::take(&app.ctx, call).await.map_err(|refused| match refused {
        NotTaken::Missing => Failure::missing(),
        NotTaken::Unproven => {
            tracing::warn!(directory = call.directory, "a call to a directory's hook did not prove itself");
            Failure::unproven()
        }
        NotTaken::Malformed(why) => Failure::bad_input(why),
        NotTaken::Failed(error) => Failure::from(error),
    })
}
