//! Whether the server lives, and can do its work.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::service::heartbeat;
use crate::web::error::Failure;
use crate::web::state::App;

/// `GET /healthz`: the process answers.
pub async fn alive() -> Json<serde_json::Value> {
    Json(json!({ "status": "alive" }))
}

/// `GET /readyz`: database, schema and worker are well.
pub async fn ready(State(app): State<App>) -> Response {
    match heartbeat::ready(&app.ctx).await {
        Ok(()) => Json(json!({ "status": "ready" })).into_response(),
        Err(error) => Failure::unavailable(error.to_string()).into_response(),
    }
}
