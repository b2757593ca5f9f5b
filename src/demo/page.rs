//! How the demo's pages are sent, and who is heard.

use askama::Template;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use openidconnect::url::{Url, form_urlencoded};

/// The stylesheet, built in.
const STYLE: &str = include_str!("../../static/demo.css");
/// Name of the cookie. Ports do not separate cookies, so it must not be one that Countersign uses.
const COOKIE: &str = "countersign_demo_idp";

/// Sends a page that may not be stored, framed or given anything to run. `targets`: origins a form on it may lead to.
pub fn html(status: StatusCode, page: &impl Template, targets: &str) -> Response {
    let Ok(text) = page.render() else {
        return (StatusCode::INTERNAL_SERVER_ERROR, "The page could not be made.").into_response();
    };
    let mut response = (status, axum::response::Html(text)).into_response();
    let policy = format!("default-src 'none'; style-src 'self'; form-action 'self' {targets}; base-uri 'none'; frame-ancestors 'none'");
    let headers = response.headers_mut();
    if let Ok(policy) = HeaderValue::try_from(policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    response
}

/// A page that says what is wrong and what to do.
#[derive(Template)]
#[template(path = "demo/problem.html")]
struct Problem<'a> {
    company: &'a str,
    title: &'a str,
    detail: &'a str,
}

/// Sends a page that says what is wrong and what to do.
pub fn problem(status: StatusCode, company: &str, title: &str, detail: &str) -> Response {
    html(status, &Problem { company, title, detail }, "")
}

/// `GET /demo.css`
pub async fn style() -> Response {
    let headers = [(header::CONTENT_TYPE, "text/css; charset=utf-8"), (header::CACHE_CONTROL, "max-age=60")];
    (headers, STYLE).into_response()
}

/// A redirect with GET (303), after which nothing stays in a cache.
pub fn see_other(location: &str) -> Response {
    let Ok(location) = HeaderValue::try_from(location) else {
        return (StatusCode::INTERNAL_SERVER_ERROR, "The address to go on to cannot be written.").into_response();
    };
    let headers = [(header::LOCATION, location), (header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    (StatusCode::SEE_OTHER, headers).into_response()
}

/// `address` with more parameters in its query; unchanged when it is not a URL.
pub fn with_parameters(address: &str, parameters: &[(&str, &str)]) -> String {
    let Ok(mut url) = Url::parse(address) else {
        return address.to_owned();
    };
    if !parameters.is_empty() {
        url.query_pairs_mut().extend_pairs(parameters);
    }
    url.into()
}

/// Lets only requests pass that name this machine as host, so that a foreign page cannot rename itself into one of ours
/// (DNS rebinding).
pub async fn local_host_only(request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    let local = name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    if local {
        return next.run(request).await;
    }
    (StatusCode::MISDIRECTED_REQUEST, "The demo directory answers on this machine only. Use its 127.0.0.1 address.").into_response()
}

/// Whether a form was sent by one of our own pages: browsers say so in `Sec-Fetch-Site` or `Origin`. Every browser
/// sends one of them with a POST, so what sends neither is a program that nobody's page can trick.
pub fn is_same_origin(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    match (text("sec-fetch-site"), text("origin")) {
        (Some(site), _) => site == "same-origin",
        (None, Some(origin)) => text("host").is_some_and(|host| origin == format!("http://{host}")),
        (None, None) => true,
    }
}

/// The session cookie's value.
pub fn cookie(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    cookies.flat_map(|line| line.split(';')).find_map(|pair| pair.trim().strip_prefix(COOKIE)?.strip_prefix('='))
}

/// Sets the session cookie, or ends it.
pub fn set_cookie(response: &mut Response, value: Option<&str>) {
    let text = match value {
        Some(value) => format!("{COOKIE}={value}; Path=/; HttpOnly; SameSite=Lax"),
        None => format!("{COOKIE}=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0"),
    };
    if let Ok(text) = HeaderValue::try_from(text) {
        response.headers_mut().append(header::SET_COOKIE, text);
    }
}

/// Parameters of a query or a form. OAuth allows each once (RFC 6749 §3.1, §3.2).
#[derive(Debug, Default)]
pub struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// Reads them. The error is the name of one that comes twice.
    pub fn read(encoded: &[u8]) -> Result<Self, String> {
        let mut read: Vec<(String, String)> = Vec::new();
        for (name, value) in form_urlencoded::parse(encoded) {
            if read.iter().any(|(known, _)| *known == name) {
                return Err(name.into_owned());
            }
            read.push((name.into_owned(), value.into_owned()));
        }
        Ok(Self(read))
    }

    /// The value of a parameter; one that is empty counts as not sent (RFC 6749 §3.1).
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, value)| known == name && !value.is_empty()).map(|(_, value)| value.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_other_sites_are_told_apart() {
        let same = |pairs: &[(&'static str, &'static str)]| {
            let headers = pairs.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)));
            is_same_origin(&headers.collect::<HeaderMap>())
        };
        let host = ("host", "127.0.0.1:9");
        assert!(same(&[host, ("sec-fetch-site", "same-origin")]));
        assert!(same(&[host, ("origin", "http://127.0.0.1:9")]));
        assert!(same(&[host]));
        assert!(!same(&[host, ("sec-fetch-site", "same-site"), ("origin", "http://127.0.0.1:9")]));
        assert!(!same(&[host, ("sec-fetch-site", "none")]));
        assert!(!same(&[host, ("origin", "http://127.0.0.1:8")]));
        assert!(!same(&[host, ("origin", "null")]));
    }

    #[test]
    fn a_parameter_that_comes_twice_is_named() {
        assert_eq!(Parameters::read(b"a=1&b=2&a=3").unwrap_err(), "a");
        let read = Parameters::read(b"a=%C3%A9+x&b=").unwrap();
        assert_eq!((read.get("a"), read.get("b"), read.get("c")), (Some("é x"), None, None));
    }

    #[test]
    fn parameters_are_added_to_what_an_address_has() {
        assert_eq!(with_parameters("http://x/cb?a=1", &[("state", "é&")]), "http://x/cb?a=1&state=%C3%A9%26");
        assert_eq!(with_parameters("http://x/cb", &[]), "http://x/cb");
    }
}
