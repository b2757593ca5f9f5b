//! A directory that misbehaves: a proxy that obeys orders.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::net::TcpListener;
use tokio::sync::Notify;

/// What goes wrong with one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing is done; the answer is this status.
    Refuse(u16),
    /// Nothing is done; 429 with Retry-After of so many seconds.
    Wait(u64),
    /// It is done, but the answer is 500.
    DoneBut500,
    /// It is done, but the answer never comes: the connection breaks.
    DoneButSilent,
    /// The connection breaks at once; it is done only when [`Faulty::late`] is called.
    Late,
}

/// The proxy.
#[derive(Clone)]
pub struct Faulty {
    /// Its SCIM address.
    pub base: String,
    inner: Arc<Inner>,
}

/// A call held back: method, URL, headers, body.
type Held = (Method, String, Vec<(String, String)>, Vec<u8>);

struct Inner {
    target: Mutex<String>,
    client: reqwest::Client,
    writes: Mutex<VecDeque<Fault>>,
    down: Mutex<bool>,
    held: Mutex<Vec<Held>>,
    seen: Notify,
    writes_seen: Mutex<usize>,
}

impl Faulty {
    /// A proxy that listens but has nothing behind it yet.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}/scim/v2", listener.local_addr().unwrap());
        let inner = Arc::new(Inner {
            target: Mutex::new(String::new()),
            client: reqwest::Client::builder().no_proxy().build().unwrap(),
            writes: Mutex::default(),
            down: Mutex::new(false),
            held: Mutex::default(),
            seen: Notify::new(),
            writes_seen: Mutex::new(0),
        });
        let routes = Router::new().fallback(pass).with_state(inner.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Self { base, inner }
    }

    /// Puts the directory at `scim_base` behind it.
    pub fn before(&self, scim_base: &str) {
        *self.inner.target.lock().unwrap() = scim_base.trim_end_matches("/scim/v2").to_owned();
    }

    /// The next writes go wrong like this, in order.
    pub fn next(&self, faults: &[Fault]) {
        self.inner.writes.lock().unwrap().extend(faults);
    }

    /// Every call is refused with 503, or no longer.
    pub fn down(&self, down: bool) {
        *self.inner.down.lock().unwrap() = down;
    }

    /// How many writes came by, whatever became of them.
    pub fn writes(&self) -> usize {
        *self.inner.writes_seen.lock().unwrap()
    }

    /// Applies what was held back by [`Fault::Late`]; returns how many.
    pub async fn late(&self) -> usize {
        let held = std::mem::take(&mut *self.inner.held.lock().unwrap());
        for (method, url, headers, body) in &held {
            let mut call = self.inner.client.request(method.clone(), url).body(body.clone());
            for (name, value) in headers {
                call = call.header(name, value);
            }
            assert!(call.send().await.unwrap().status().is_success());
        }
        held.len()
    }
}

async fn pass(State(inner): State<Arc<Inner>>, request: Request) -> Response {
    if *inner.down.lock().unwrap() {
        return (StatusCode::SERVICE_UNAVAILABLE, "down").into_response();
    }
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 1 << 20).await.unwrap().to_vec();
    let target = inner.target.lock().unwrap().clone();
    let url = format!("{target}{}", parts.uri.path_and_query().unwrap());
    let headers: Vec<(String, String)> = parts
        .headers
        .iter()
        .filter(|(name, _)| !matches!(**name, header::HOST | header::CONTENT_LENGTH | header::CONNECTION))
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect();
    let is_write = !matches!(parts.method, Method::GET | Method::HEAD);
    if is_write {
        *inner.writes_seen.lock().unwrap() += 1;
        inner.seen.notify_one();
    }
    let fault = if is_write { inner.writes.lock().unwrap().pop_front() } else { None };
    match fault {
        Some(Fault::Refuse(status)) => return (StatusCode::from_u16(status).unwrap(), "refused").into_response(),
        Some(Fault::Wait(seconds)) => return (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, seconds.to_string())], "wait").into_response(),
        Some(Fault::Late) => {
            inner.held.lock().unwrap().push((parts.method, url, headers, body));
            return broken();
        }
        _ => {}
    }
    let mut call = inner.client.request(parts.method, url).timeout(Duration::from_secs(10)).body(body);
    for (name, value) in headers {
        call = call.header(name, value);
    }
    let answer = call.send().await.unwrap();
    match fault {
        Some(Fault::DoneBut500) => (StatusCode::INTERNAL_SERVER_ERROR, "<html>oops</html>").into_response(),
        Some(Fault::DoneButSilent) => broken(),
        _ => {
            let mut response = Response::builder().status(answer.status());
            for (name, value) in
                answer.headers().iter().filter(|(name, _)| !matches!(**name, header::TRANSFER_ENCODING | header::CONNECTION | header::CONTENT_LENGTH))
            {
                response = response.header(name, value);
            }
            response.body(Body::from(answer.bytes().await.unwrap())).unwrap()
        }
    }
}

/// An answer whose body breaks off: the caller cannot know what became of it.
fn broken() -> Response {
    let breaks = futures_util::stream::once(async { Err::<Vec<u8>, _>(std::io::Error::other("cut")) });
    Response::builder().status(200).header(header::CONTENT_TYPE, "application/scim+json").body(Body::from_stream(breaks)).unwrap()
}
