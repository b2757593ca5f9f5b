//! Records what auditors and administrators read.

use axum::extract::{MatchedPath, Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::domain::event::Channel;
use crate::service::view_evidence::viewed;
use crate::web::error::{Failure, Looking};
use crate::web::state::App;

/// Pages that show what is about others, as the routes have them.
const PAGES: [&str; 13] = [
    "/log",
    "/evidence",
    "/evidence/measures",
    "/evidence/as-of",
    "/evidence/sample",
    "/evidence/sample/sheets",
    "/requests/{id}",
    "/drift",
    "/directories/{key}",
    "/admin/holds",
    "/admin/matrix",
    "/admin/provisioning",
    "/admin/changes/{id}/requests",
];

/// Notes a page that was shown. What cannot be noted is not shown.
pub async fn note(State(app): State<App>, request: Request, next: Next) -> Response {
    let page = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str).and_then(|path| PAGES.into_iter().find(|page| *page == path));
    let Some(page) = page.filter(|_| request.method() == Method::GET) else { return next.run(request).await };
    let object = object(page, request.uri().path());
    let looking = request.extensions().get::<Looking>().cloned();
    let response = next.run(request).await;
    let viewer = looking.as_ref().and_then(|looking| looking.0.get());
    if let (StatusCode::OK, Some(viewer)) = (response.status(), viewer)
        && let Err(error) = viewed(&app.ctx, &viewer.by(Channel::Web), page, object.as_deref()).await
    {
        return Failure::from(error).into_response();
    }
    response
}

/// What stands in an address where the route has a name in braces.
fn object(page: &str, path: &str) -> Option<String> {
    page.split('/').zip(path.split('/')).find(|(name, _)| name.starts_with('{')).map(|(_, value)| value.chars().take(100).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_thing_of_an_address_is_the_one_in_braces() {
        assert_eq!(object("/requests/{id}", "/requests/abc").as_deref(), Some("abc"));
        assert_eq!(object("/admin/changes/{id}/requests", "/admin/changes/7/requests").as_deref(), Some("7"));
        assert_eq!(object("/log", "/log"), None);
    }
}
