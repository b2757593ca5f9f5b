//! Every route on one page.

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post, put};

use crate::web::state::App;
use crate::web::{acting, api, assets, back_channel, beside, decide, door, health, hooks, layers, lease, notices, pages};

/// Every page, act and call, with what every request passes through.
pub fn router(app: &App) -> Router {
    let routes = Router::new()
        // The door.
        .route("/sign-in", get(door::page))
        .route("/sign-in/start", get(door::start))
        .route("/sign-in/callback", get(door::callback))
        .route("/sign-in/back-channel-logout", post(back_channel::logout))
        .route("/sign-out", post(door::out))
        .route("/signed-out", get(door::signed_out))
        .route("/sessions", get(door::sessions))
        .route("/sessions/{id}/end", post(door::end_session))
        .route("/sessions/end-others", post(door::end_other_sessions))
        // For everybody.
        .route("/", get(pages::home::get))
        .route("/catalog", get(pages::catalog::get))
        .route("/roles/{id}", get(pages::role::get))
        .route("/roles/{id}/ask", get(pages::ask::get))
        .route("/roles/{id}/ask/for", get(pages::whom::get))
        .route("/requests", post(pages::ask::post))
        .route("/requests/{id}", get(pages::request::get))
        .route("/requests/{id}/withdraw", post(decide::take_back))
        .route("/requests/{id}/answer", post(acting::answer))
        .route("/requests/{id}/nudge", post(acting::remind))
        .route("/notices/seen", post(notices::all))
        .route("/notices/{id}/seen", post(notices::one))
        .route("/delegation", get(pages::delegation::get).post(pages::delegation::post))
        .route("/delegation/{id}/end", post(pages::delegation::end))
        .route("/requests/{id}/confirm", post(beside::confirm))
        .route("/requests/{id}/again", post(beside::again))
        .route("/requests/{id}/review", post(beside::review))
        .route("/requests/{id}/sign-off", post(beside::sign_off))
        .route("/access", get(pages::access::get))
        .route("/access/mine.csv", get(pages::access::mine))
        .route("/grants/{id}/return", post(lease::give_back))
        .route("/grants/{id}/revoke", post(lease::revoke))
        .route("/grants/{id}/decline-extension", post(beside::decline_extension))
        // For approvers.
        .route("/queue", get(pages::queue::get))
        .route("/queue/history", get(pages::history::get))
        .route("/queue/history.csv", get(pages::history::file))
        .route("/queue/decide", post(pages::decided::post))
        .route("/requests/{id}/approve", post(decide::approve))
        .route("/requests/{id}/deny", post(decide::deny))
        .route("/requests/{id}/question", post(acting::ask))
        .route("/requests/{id}/reassign", post(acting::hand_on))
        // Evidence and administration.
        .route("/log", get(pages::log::get))
        .route("/log/export/{file}", get(pages::log::file))
        .route("/log/{id}", get(pages::event::get))
        .route("/verify", get(pages::verify::get).post(pages::verify::post).layer(DefaultBodyLimit::max(pages::verify::LARGEST)))
        .route("/verify/checkpoint", get(pages::verify::checkpoint))
        .route("/verify/key", get(pages::verify::key))
        .route("/me", get(pages::me::get))
        .route("/me/data.jsonl", get(pages::me::file))
        .route("/tokens", get(pages::tokens::get).post(pages::tokens::post))
        .route("/tokens/{id}/revoke", post(pages::tokens::revoke))
        .route("/admin", get(pages::overview::get))
        .route("/admin/policies", get(pages::policies::get))
        .route("/admin/policies/{id}", get(pages::policy::get))
        .route("/admin/changes", get(pages::changes::get))
        .route("/admin/changes/{id}", get(pages::change::get))
        .route("/admin/changes/{id}/requests", get(pages::change_requests::get))
        .route("/admin/changes/{id}/catalog.toml", get(pages::change::file))
        .route("/admin/changes/{id}/approve", post(pages::change::approve))
        .route("/admin/changes/{id}/reject", post(pages::change::reject))
        .route("/admin/changes/{id}/withdraw", post(pages::change::withdraw))
        .route("/admin/rules", get(pages::rules::get).post(pages::rules::post).layer(DefaultBodyLimit::max(pages::rules::LARGEST)))
        .route("/admin/rules/catalog.toml", get(pages::rules::file))
        .route("/admin/rules/{kind}", get(pages::rule_list::get))
        .route("/admin/rules/{kind}/new", get(pages::rule_form::fresh).post(pages::rule_form::make).layer(DefaultBodyLimit::max(pages::rule_form::LARGEST)))
        .route(
            "/admin/rules/{kind}/{key}/edit",
            get(pages::rule_form::get).post(pages::rule_form::post).layer(DefaultBodyLimit::max(pages::rule_form::LARGEST)),
        )
        .route("/admin/rules/{kind}/{key}/retire", post(pages::rule_retire::post))
        .route("/admin/matrix", get(pages::matrix::get))
        .route("/admin/matrix/matrix.csv", get(pages::matrix::csv))
        .route("/admin/provisioning", get(pages::provisioning::get))
        .route("/admin/provisioning/run", post(pages::provisioning::run))
        .route("/admin/provisioning/{id}/retry", post(pages::provisioning::retry))
        .route("/drift", get(pages::drift::get))
        .route("/drift/{id}/adopt", post(pages::drift::adopt))
        .route("/drift/{id}/remove", post(pages::drift::remove))
        .route("/drift/{id}/ignore", post(pages::drift::ignore))
        .route("/drift/{id}/unignore", post(pages::drift::end_exception))
        .route("/drift/groups/{id}/remove", post(pages::drift::remove_all))
        .route("/drift/groups/{id}/believe", post(pages::drift::believe))
        .route("/directories", get(pages::directories::get))
        .route("/directories/{key}", get(pages::directory::get))
        .route("/directories/{key}/sync", post(pages::directory::read))
        .route("/directories/{key}/believe", post(pages::directory::believe))
        .route("/directories/{key}/sweep", post(pages::directory::sweep))
        .route("/directories/{key}/pause", post(pages::directory::pause))
        .route("/directories/{key}/resume", post(pages::directory::resume))
        .route("/directories/{key}/import", get(pages::import::get).post(pages::import::post))
        .route("/directories/{key}/import/list", post(pages::import::list))
        // For directories.
        .route("/hooks/directories/{key}", get(hooks::call).post(hooks::call).layer(DefaultBodyLimit::max(hooks::LARGEST)))
        .route("/hooks/directories/{key}/Users", post(hooks::users).layer(DefaultBodyLimit::max(hooks::LARGEST)))
        .route("/hooks/directories/{key}/Users/{id}", put(hooks::user).patch(hooks::user).delete(hooks::user).layer(DefaultBodyLimit::max(hooks::LARGEST)))
        .route("/directories/{key}/test", post(pages::connection::test))
        // For machines.
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/static/{name}", get(assets::serve))
        // The same acts as JSON.
        .merge(api::routes::routes(app));
    layers::around(routes.layer(DefaultBodyLimit::max(app.body_limit)), app)
}
