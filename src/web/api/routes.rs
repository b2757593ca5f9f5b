//! Every route of the API on one page.

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};

use crate::web::api::{
    acting, approvals, as_of, beside, body, caller, catalog, connection, delegations, directories, document, drifts, events, exports, grants, notices, once,
    policy_changes, preview, reference, requests, sample, schedules, tokens,
};
use crate::web::state::App;

/// The API's routes: those under `/api/v1` for callers with a token, its document and the readable page for everybody.
pub fn routes(app: &App) -> Router<App> {
    Router::new()
        .route("/api/v1/catalog", get(catalog::list))
        .route("/api/v1/catalog/{role}", get(catalog::get))
        .route("/api/v1/requests", get(requests::list).post(requests::create))
        .route("/api/v1/requests/preview", post(preview::preview))
        .route("/api/v1/requests/{request}", get(requests::get))
        .route("/api/v1/requests/{request}/approve", post(requests::approve))
        .route("/api/v1/requests/{request}/deny", post(requests::deny))
        .route("/api/v1/requests/{request}/withdraw", post(requests::withdraw))
        .route("/api/v1/requests/{request}/confirm", post(beside::confirm))
        .route("/api/v1/requests/{request}/again", post(beside::again))
        .route("/api/v1/requests/{request}/review", post(beside::review))
        .route("/api/v1/requests/{request}/sign-off", post(beside::sign_off))
        .route("/api/v1/requests/{request}/question", post(acting::ask))
        .route("/api/v1/requests/{request}/answer", post(acting::answer))
        .route("/api/v1/requests/{request}/reassign", post(acting::hand_on))
        .route("/api/v1/requests/{request}/nudge", post(acting::remind))
        .route("/api/v1/delegations", get(delegations::list).post(delegations::create))
        .route("/api/v1/delegations/{delegation}/end", post(delegations::end))
        .route("/api/v1/notices", get(notices::list))
        .route("/api/v1/notices/seen", post(notices::all))
        .route("/api/v1/notices/{notice}/seen", post(notices::one))
        .route("/api/v1/approvals/bulk", post(approvals::bulk))
        .route("/api/v1/grants", get(grants::list))
        .route("/api/v1/grants/{grant}", get(grants::get))
        .route("/api/v1/grants/{grant}/return", post(grants::give_back))
        .route("/api/v1/grants/{grant}/revoke", post(grants::revoke))
        .route("/api/v1/grants/{grant}/decline-extension", post(beside::decline_extension))
        .route("/api/v1/drifts", get(drifts::list))
        .route("/api/v1/drifts/{drift}", get(drifts::get))
        .route("/api/v1/drifts/{drift}/adopt", post(drifts::adopt))
        .route("/api/v1/drifts/{drift}/remove", post(drifts::remove))
        .route("/api/v1/drifts/{drift}/ignore", post(drifts::ignore))
        .route("/api/v1/directories", get(directories::list))
        .route("/api/v1/directories/{key}/sync", post(directories::sync))
        .route("/api/v1/directories/{key}/sweep", post(directories::sweep))
        .route("/api/v1/directories/{key}/pause", post(directories::pause))
        .route("/api/v1/directories/{key}/resume", post(directories::resume))
        .route("/api/v1/events", get(events::list))
        .route("/api/v1/as-of", get(as_of::list))
        .route("/api/v1/sample", get(sample::get))
        .route("/api/v1/sample.csv", get(sample::file))
        .route("/api/v1/exports/bundle.zip", get(exports::bundle))
        .route("/api/v1/exports/{file}", get(exports::get))
        .route("/api/v1/schedules", get(schedules::list).post(schedules::create))
        .route("/api/v1/schedules/{schedule}", get(schedules::get))
        .route("/api/v1/schedules/{schedule}/runs", get(schedules::runs))
        .route("/api/v1/schedules/{schedule}/change", post(schedules::change))
        .route("/api/v1/schedules/{schedule}/switch", post(schedules::switch))
        .route("/api/v1/schedules/{schedule}/run", post(schedules::run))
        .route("/api/v1/policy-changes", get(policy_changes::list).post(policy_changes::propose).layer(DefaultBodyLimit::max(policy_changes::LARGEST)))
        .route("/api/v1/policy-changes/{change}", get(policy_changes::get))
        .route("/api/v1/policy-changes/{change}/approve", post(policy_changes::approve))
        .route("/api/v1/policy-changes/{change}/reject", post(policy_changes::reject))
        .route("/api/v1/policy-changes/{change}/withdraw", post(policy_changes::withdraw))
        .route("/api/v1/directories/{key}/test", post(connection::test))
        .route("/api/v1/tokens", get(tokens::list))
        .route("/api/v1/tokens/{token}/revoke", post(tokens::revoke))
        .layer(from_fn_with_state(app.clone(), once::act_once))
        .layer(from_fn_with_state(app.clone(), caller::authenticate))
        .layer(DefaultBodyLimit::max(body::LONGEST))
        .route("/api/openapi.json", get(document::json))
        .route("/api", get(reference::page))
        .route("/api/docs", get(reference::page))
}
