//! Other sites cannot make a browser act here.
//!
//! Cookies go along with what another site makes a browser send, so every unsafe method must say that it comes from us:
//! `Sec-Fetch-Site`, which scripts cannot set, or an exact `Origin` from browsers without it. What else a call carries
//! proves nothing: pages go by the cookie. The API and the hooks, which go by bearer tokens and secrets alone, are exempt by their paths,
//! as is what a provider calls, which goes by what it signed.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::web::back_channel;
use crate::web::error::Failure;
use crate::web::state::App;

/// Refuses what another site sent.
pub async fn refuse(State(app): State<App>, request: Request, next: Next) -> Response {
    // None of these knows cookies, so another site has nothing to make a browser send along.
    let path = request.uri().path();
    let without_cookies = path.starts_with("/api/v1/") || path.starts_with("/hooks/") || path == back_channel::PATH;
    if without_cookies || is_allowed(request.method(), request.headers(), &app.public.origin) {
        next.run(request).await
    } else {
        Failure::cross_site().into_response()
    }
}

fn is_allowed(method: &Method, headers: &HeaderMap, origin: &str) -> bool {
    if matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) {
        return true;
    }
    let mut sites = headers.get_all("sec-fetch-site").iter();
    if let Some(site) = sites.next() {
        return sites.next().is_none() && (site == "same-origin" || site == "none");
    }
    let mut origins = headers.get_all(header::ORIGIN).iter();
    origins.next().is_some_and(|theirs| theirs == origin) && origins.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn allowed(method: Method, pairs: &[(&'static str, &'static str)]) -> bool {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_static(value));
        }
        is_allowed(&method, &headers, "https://access.example.org")
    }

    #[test]
    fn only_our_own_pages_act() {
        for (pairs, verdict) in [
            (&[("sec-fetch-site", "same-origin")][..], true),
            (&[("sec-fetch-site", "none")], true),
            (&[("sec-fetch-site", "same-site")], false),
            (&[("sec-fetch-site", "cross-site")], false),
            (&[("sec-fetch-site", "cross-site"), ("origin", "https://access.example.org")], false),
            (&[("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")], false),
            (&[("origin", "https://access.example.org")], true),
            (&[("origin", "https://access.example.org.evil.example")], false),
            (&[("origin", "http://access.example.org")], false),
            (&[("origin", "null")], false),
            (&[("referer", "https://access.example.org/")], false),
            (&[], false),
            (&[("authorization", "Bearer cs_1"), ("sec-fetch-site", "cross-site")], false),
            (&[("authorization", "Bearer cs_1")], false),
            (&[("authorization", "Basic x")], false),
        ] {
            for method in [Method::POST, Method::PUT, Method::DELETE, Method::PATCH, Method::TRACE] {
                assert_eq!(allowed(method.clone(), pairs), verdict, "{method} {pairs:?}");
            }
        }
        assert!(allowed(Method::GET, &[("sec-fetch-site", "cross-site")]), "a link from elsewhere is fine");
    }
}
