//! What every request passes through, in order.

use axum::Router;
use axum::middleware::from_fn_with_state;

use crate::web::guard::Visitor;
use crate::web::state::App;
use crate::web::{client_address, cross_site, error, headers, reads, request_log};

/// Puts the doors around all routes, from outside to inside: an id and a log line, headers on every answer, failures written for their
/// reader, the caller's address, nothing from other sites.
pub fn around(routes: Router<App>, app: &App) -> Router {
    routes
        // Who is signed in gets the page around it like any other, so that a hidden page and none look alike.
        .fallback(|_: Visitor| async { error::Failure::missing() })
        .layer(from_fn_with_state(app.clone(), reads::note))
        .layer(from_fn_with_state(app.clone(), cross_site::refuse))
        .layer(from_fn_with_state(app.clone(), client_address::note))
        .layer(from_fn_with_state(app.clone(), error::render))
        .layer(from_fn_with_state(app.clone(), headers::add))
        .layer(from_fn_with_state(app.clone(), request_log::tell))
        .with_state(app.clone())
}
