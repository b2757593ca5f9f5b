//! `Idempotency-Key`: a call that comes twice acts once.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::service::api_token::Bearer;
use crate::service::idempotency::{self, Turn};
use crate::web::api::problem::Problem;
use crate::web::api::{body, policy_changes};
use crate::web::error::Failure;
use crate::web::state::App;

/// The header.
const KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Says that an answer is a kept one.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// The largest answer that is kept, in bytes.
const LARGEST: usize = 1024 * 1024;

/// Answers a POST that carries a key once: the same key with the same call gets the kept answer, with another call 422, and 409
/// while the first still runs. Without a key a call is simply answered. Keys belong to the token; answers are kept for 24 hours,
/// and one that never came, because we crashed, blocks its key for a minute. That a token may not do this
/// is not kept: nothing was done.
pub async fn act_once(State(app): State<App>, request: Request, next: Next) -> Result<Response, Problem> {
    let Some(given) = request.headers().get(KEY).filter(|_| request.method() == Method::POST) else {
        return Ok(next.run(request).await);
    };
    let key = given.to_str().ok().filter(|key| idempotency::is_key(key)).map(str::to_owned);
    let Some(key) = key.filter(|_| request.headers().get_all(KEY).iter().count() == 1) else {
        return Err(Failure::bad_input("Idempotency-Key must be one value of 1 to 255 visible ASCII characters.").into());
    };
    // By token, not by person: a token for less must not answer, or block, what another one is for.
    let Some(owner) = request.extensions().get::<Arc<Bearer>>().and_then(|bearer| bearer.by.token) else {
        return Err(Failure::unauthenticated().into());
    };
    let (parts, body) = request.into_parts();
    // The whole of the rules is more than any other call has to say.
    let longest = if parts.uri.path() == policy_changes::PATH { policy_changes::LARGEST } else { body::LONGEST };
    let body = to_bytes(body, longest).await.map_err(|_| Failure::of_status(StatusCode::PAYLOAD_TOO_LARGE))?;
    let path = parts.uri.path_and_query().map_or("", |path| path.as_str());
    let call = [parts.method.as_str().as_bytes(), path.as_bytes(), &body];
    let claim = match idempotency::begin(&app.ctx, owner.0, &key, &call).await? {
        Turn::Ours(claim) => claim,
        Turn::Other => return Err(Failure::key_reused().into()),
        Turn::Running => return Err(Failure::key_running().into()),
        Turn::Answered(status, body) => return Ok(kept(status, body)),
    };
    // The act and its answer go on to their end even when the caller hangs up in between.
    let task = tokio::spawn(async move {
        let response = next.run(Request::from_parts(parts, Body::from(body))).await;
        settle(&app, &claim, response).await
    });
    Ok(task.await.unwrap_or_else(|error| Failure::broken(&error).into_response()))
}

/// Keeps the answer, failures as they will be rendered.
async fn settle(app: &App, claim: &idempotency::Claim, response: Response) -> Response {
    let response = Failure::rendered(response);
    let status = response.status();
    let (parts, body) = response.into_parts();
    let Ok(bytes) = to_bytes(body, LARGEST).await else {
        return Failure::broken(&"an answer to be kept is too large").into_response();
    };
    let text = String::from_utf8_lossy(&bytes);
    if let Err(error) = idempotency::settle(&app.ctx, claim, status.as_u16(), &text).await {
        tracing::warn!(%error, "an answer could not be kept; the act stands");
    }
    Response::from_parts(parts, Body::from(bytes))
}

fn kept(status: u16, body: String) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    let kind = if status.is_client_error() { "application/problem+json" } else { "application/json" };
    let mut response = (status, [(header::CONTENT_TYPE, kind)], body).into_response();
    response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    Failure::as_written(&mut response);
    response
}
