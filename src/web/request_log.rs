//! One id, log line and count for every request.
//!
//! The id is always ours: what a caller sends as one is not believed. The line holds the route's template, never the address that
//! was sent: no query, no token, no body.

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use tokio::time::Instant;
use tower_http::request_id::RequestId;
use tracing::Instrument;

use crate::clock::new_id;
use crate::web::error::Looking;
use crate::web::state::App;

/// The header that carries the id back to the caller.
const HEADER: HeaderName = HeaderName::from_static("x-request-id");
/// Routes that machines call all day: told at level debug.
const QUIET: [&str; 3] = ["/healthz", "/readyz", "/static/{name}"];

/// Gives the request its id, and tells how it was answered.
pub async fn tell(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let began = Instant::now();
    let id = new_id().to_string();
    let header = HeaderValue::from_str(&id).unwrap_or_else(|_| HeaderValue::from_static("-"));
    let looking = Looking::default();
    request.extensions_mut().insert(RequestId::new(header.clone()));
    request.extensions_mut().insert(looking.clone());
    // Methods are from a short list, so that nobody fills the metrics with names of their own.
    let method = match request.method().as_str() {
        known @ ("GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE" | "OPTIONS") => known.to_owned(),
        _ => "other".to_owned(),
    };
    let route = request.extensions().get::<MatchedPath>().map_or_else(|| "none".to_owned(), |path| path.as_str().to_owned());
    let span = tracing::info_span!("request", request_id = %id);
    let mut response = next.run(request).instrument(span).await;
    response.headers_mut().insert(HEADER, header);
    let status = response.status().as_u16();
    let took = began.elapsed();
    app.metrics.answered(&method, &route, status, took);
    let ms = took.as_millis() as u64;
    let person_id = looking.0.get().map(|viewer| viewer.person.to_string());
    if QUIET.contains(&route.as_str()) {
        tracing::debug!(method, route, status, ms, request_id = id, person_id, "answered");
    } else {
        tracing::info!(method, route, status, ms, request_id = id, person_id, "answered");
    }
    response
}
