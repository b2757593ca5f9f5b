//! Stands before any directory over HTTP and misbehaves as told.

use std::collections::{BTreeSet, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::net::TcpListener;

use crate::conformance::{Fault, On};

/// What a busy directory answers when it wants so many seconds: status, headers, body.
pub type Busy = fn(u64) -> (u16, Vec<(&'static str, String)>, String);
/// Whether a call changes something, by method and path.
pub type Changes = fn(&Method, &str) -> bool;

/// How the front is set up.
pub struct Setup {
    /// Where the directory is: an origin, without a slash at its end.
    pub origin: String,
    /// Whether a call changes something.
    pub changes: Changes,
    /// How the directory says that it is busy.
    pub busy: Busy,
    /// The token that the directory takes; then the front gives and takes tokens of its own, at `/front/token`.
    pub token: Option<String>,
}

impl Setup {
    /// Before a directory at `origin`: everything but GET and HEAD changes, busy is 429 with Retry-After, tokens go through.
    pub fn new(origin: &str) -> Self {
        let busy: Busy = |seconds| (429, vec![("retry-after", seconds.to_string())], "busy".into());
        let changes: Changes = |method, _| !matches!(*method, Method::GET | Method::HEAD);
        Self { origin: origin.to_owned(), changes, busy, token: None }
    }
}

/// The front. Addresses of the directory in its answers become the front's.
#[derive(Clone)]
pub struct Front {
    /// Its origin, without a slash at the end.
    pub origin: String,
    inner: Arc<Inner>,
}

struct Inner {
    setup: Setup,
    own: String,
    client: reqwest::Client,
    faults: Mutex<VecDeque<Fault>>,
    /// Authorizations that came by, and those no longer taken.
    seen: Mutex<BTreeSet<String>>,
    expired: Mutex<BTreeSet<String>>,
    tokens: AtomicUsize,
    next_links: AtomicUsize,
    strays: Arc<AtomicUsize>,
    elsewhere: String,
    calls: Mutex<Vec<String>>,
}

impl Front {
    /// Listens on loopback.
    pub async fn start(setup: Setup) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let strays = Arc::new(AtomicUsize::new(0));
        let trap = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let elsewhere = format!("http://{}", trap.local_addr().unwrap());
        let caught = strays.clone();
        tokio::spawn(async move {
            while trap.accept().await.is_ok() {
                caught.fetch_add(1, Ordering::SeqCst);
            }
        });
        let inner = Arc::new(Inner {
            setup,
            own: origin.clone(),
            client: reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap(),
            faults: Mutex::default(),
            seen: Mutex::default(),
            expired: Mutex::default(),
            tokens: AtomicUsize::new(0),
            next_links: AtomicUsize::new(0),
            strays,
            elsewhere,
            calls: Mutex::default(),
        });
        let routes = Router::new().fallback(pass).with_state(inner.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Self { origin, inner }
    }

    /// The next call that it concerns goes wrong like this.
    pub fn suffer(&self, fault: Fault) {
        if fault == Fault::Expired {
            let seen = self.inner.seen.lock().unwrap().clone();
            self.inner.expired.lock().unwrap().extend(seen);
        } else {
            self.inner.faults.lock().unwrap().push_back(fault);
        }
    }

    /// Whether every fault was met.
    pub fn is_calm(&self) -> bool {
        self.inner.faults.lock().unwrap().is_empty()
    }

    /// How many answers named a next page.
    pub fn next_links(&self) -> usize {
        self.inner.next_links.load(Ordering::SeqCst)
    }

    /// How many calls went where a forged next page pointed.
    pub fn strays(&self) -> usize {
        self.inner.strays.load(Ordering::SeqCst)
    }

    /// How many tokens it gave.
    pub fn tokens(&self) -> usize {
        self.inner.tokens.load(Ordering::SeqCst)
    }

    /// Every call so far: method, space, path and query.
    pub fn calls(&self) -> Vec<String> {
        self.inner.calls.lock().unwrap().clone()
    }
}

impl Inner {
    /// The fault that this call is to meet.
    fn fault(&self, changes: bool) -> Option<Fault> {
        let mut faults = self.faults.lock().unwrap();
        let concerns = |fault: &Fault| match fault {
            Fault::Busy(On::Change, _) | Fault::Broken(On::Change) | Fault::DoneButSilent => changes,
            Fault::Busy(On::Question, _) | Fault::Broken(On::Question) | Fault::Elsewhere => !changes,
            Fault::Expired => false,
        };
        let at = faults.iter().position(concerns)?;
        faults.remove(at)
    }

    fn give_token(&self) -> Response {
        let number = self.tokens.fetch_add(1, Ordering::SeqCst) + 1;
        let body = serde_json::json!({"access_token": format!("front-{number}"), "token_type": "Bearer", "expires_in": 3600});
        ([(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
    }
}

async fn pass(State(inner): State<Arc<Inner>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 16 << 20).await.unwrap();
    let path = parts.uri.path_and_query().unwrap().to_string();
    if inner.setup.token.is_some() && parts.uri.path() == "/front/token" {
        return inner.give_token();
    }
    inner.calls.lock().unwrap().push(format!("{} {path}", parts.method));
    let mut headers = parts.headers.clone();
    for name in [header::HOST, header::CONTENT_LENGTH, header::CONNECTION, header::ACCEPT_ENCODING] {
        headers.remove(name);
    }
    if let Some(authorization) = headers.get(header::AUTHORIZATION).map(|value| value.to_str().unwrap().to_owned()) {
        if inner.expired.lock().unwrap().contains(&authorization) {
            return (StatusCode::UNAUTHORIZED, "expired").into_response();
        }
        inner.seen.lock().unwrap().insert(authorization.clone());
        if let Some(token) = &inner.setup.token {
            if !authorization.starts_with("Bearer front-") {
                return (StatusCode::UNAUTHORIZED, "not a token of mine").into_response();
            }
            headers.insert(header::AUTHORIZATION, HeaderValue::from_str(&format!("Bearer {token}")).unwrap());
        }
    }
    let fault = inner.fault((inner.setup.changes)(&parts.method, parts.uri.path()));
    match fault {
        Some(Fault::Broken(_)) => return (StatusCode::INTERNAL_SERVER_ERROR, "<html>oops</html>").into_response(),
        Some(Fault::Busy(_, seconds)) => {
            let (status, more, body) = (inner.setup.busy)(seconds);
            let mut answer = (StatusCode::from_u16(status).unwrap(), body).into_response();
            for (name, value) in more {
                answer.headers_mut().insert(name, value.parse().unwrap());
            }
            return answer;
        }
        _ => {}
    }
    // What we call by the front's address the directory knows by its own.
    let body = replaced(&body, &inner.own, &inner.setup.origin);
    let url = format!("{}{path}", inner.setup.origin);
    let answer = inner.client.request(parts.method, url).headers(headers).timeout(Duration::from_secs(30)).body(body).send().await.unwrap();
    let (status, headers) = (answer.status(), answer.headers().clone());
    let body = answer.bytes().await.unwrap();
    if fault == Some(Fault::DoneButSilent) {
        // Until the caller has lost patience.
        return std::future::pending().await;
    }
    let mut body = replaced(&body, &inner.setup.origin, &inner.own);
    let mut response = Response::builder().status(status);
    for (name, value) in headers.iter().filter(|(name, _)| !matches!(**name, header::TRANSFER_ENCODING | header::CONNECTION | header::CONTENT_LENGTH)) {
        let mut value = String::from_utf8_lossy(&replaced(value.as_bytes(), &inner.setup.origin, &inner.own)).into_owned();
        if *name == header::LINK && value.contains("\"next\"") {
            inner.next_links.fetch_add(1, Ordering::SeqCst);
            if fault == Some(Fault::Elsewhere) {
                value = value.replace(&inner.own, &inner.elsewhere);
            }
        }
        response = response.header(name, value);
    }
    if body.windows(14).any(|part| part == b"odata.nextLink") {
        inner.next_links.fetch_add(1, Ordering::SeqCst);
        if fault == Some(Fault::Elsewhere) {
            body = replaced(&body, &inner.own, &inner.elsewhere);
        }
    }
    response.body(Body::from(body)).unwrap()
}

fn replaced(text: &[u8], from: &str, to: &str) -> Vec<u8> {
    match std::str::from_utf8(text) {
        Ok(text) if text.contains(from) => text.replace(from, to).into_bytes(),
        _ => text.to_vec(),
    }
}
