//! Every route on one page.

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};

use crate::web::state::App;
use crate::web::{api, assets, door, health, layers};

/// Largest request body, in bytes.
const LARGEST_BODY: usize = 64 * 1024;

/// Every page, act and call, with what every request passes through.
pub fn router(app: &App) -> Router {
    let routes = Router::new()
        // The door.
        .route("/sign-in", get(door::page))
        .route("/sign-in/start", get(door::start))
        .route("/sign-in/callback", get(door::callback))
        .route("/sign-out", post(door::out))
        .route("/signed-out", get(door::signed_out))
        .route("/sessions", get(door::sessions))
        .route("/sessions/{id}/end", post(door::end_session))
        .route("/sessions/end-others", post(door::end_other_sessions))
        // For machines.
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/static/{name}", get(assets::serve))
        // The same acts as JSON.
        .merge(api::routes::routes(app));
    layers::around(routes.layer(DefaultBodyLimit::max(LARGEST_BODY)), app)
}
