//! A directory that misbehaves: a proxy that obeys orders.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
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

/// What it tells of people otherwise than the directory behind it.
#[derive(Debug, Default)]
pub struct Otherwise {
    /// By id: merged into what is told of them, `null` takes away.
    pub told: HashMap<String, Value>,
    /// Ids that a listing leaves out.
    pub unlisted: HashSet<String>,
    /// Ids that are not there at all.
    pub gone: HashSet<String>,
    /// A listing of people from this startIndex on fails.
    pub fails_from: Option<usize>,
    /// A question about one person fails.
    pub fails_alone: bool,
    /// Listings of people that were asked for, and questions about one.
    pub asked: (usize, usize),
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
    otherwise: Mutex<Otherwise>,
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
            otherwise: Mutex::default(),
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

    /// Has it tell something else of people.
    pub fn tells<T>(&self, change: impl FnOnce(&mut Otherwise) -> T) -> T {
        change(&mut self.inner.otherwise.lock().unwrap())
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
    let users = parts.uri.path().split_once("/Users").map(|(_, id)| id.trim_start_matches('/').to_owned()).filter(|_| !is_write);
    if let Some(id) = &users {
        let mut otherwise = inner.otherwise.lock().unwrap();
        let query = parts.uri.query().unwrap_or_default();
        let start = query.split('&').find_map(|pair| pair.strip_prefix("startIndex=")).map_or(1, |n| n.parse::<usize>().unwrap());
        if id.is_empty() {
            otherwise.asked.0 += 1;
            if otherwise.fails_from.is_some_and(|from| start >= from) {
                return (StatusCode::INTERNAL_SERVER_ERROR, "failed").into_response();
            }
        } else {
            otherwise.asked.1 += 1;
            if otherwise.fails_alone {
                return (StatusCode::INTERNAL_SERVER_ERROR, "failed").into_response();
            }
            if otherwise.gone.contains(id) {
                let body = r#"{"schemas":["urn:ietf:params:scim:api:messages:2.0:Error"],"status":"404"}"#;
                return (StatusCode::NOT_FOUND, [(header::CONTENT_TYPE, "application/scim+json")], body).into_response();
            }
        }
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
            let body = answer.bytes().await.unwrap();
            let body = if users.is_some() { told(&inner.otherwise.lock().unwrap(), &body) } else { body.to_vec() };
            response.body(Body::from(body)).unwrap()
        }
    }
}

/// An answer whose body breaks off: the caller cannot know what became of it.
fn broken() -> Response {
    let breaks = futures_util::stream::once(async { Err::<Vec<u8>, _>(std::io::Error::other("cut")) });
    Response::builder().status(200).header(header::CONTENT_TYPE, "application/scim+json").body(Body::from_stream(breaks)).unwrap()
}

/// What is told of people instead.
fn told(otherwise: &Otherwise, body: &[u8]) -> Vec<u8> {
    let Ok(mut answer) = serde_json::from_slice::<Value>(body) else { return body.to_vec() };
    let id = |person: &Value| person["id"].as_str().unwrap_or_default().to_owned();
    let tell = |person: &mut Value| {
        if let Some(other) = otherwise.told.get(&id(person)) {
            merge(person, other);
        }
    };
    match answer.get_mut("Resources").and_then(Value::as_array_mut) {
        Some(people) => {
            // In the place of whoever is left out stands somebody else once more, so that all counts are right.
            let is_left_out = |person: &Value| otherwise.unlisted.contains(&id(person)) || otherwise.gone.contains(&id(person));
            let other = people.iter().find(|person| !is_left_out(person)).cloned();
            for person in people.iter_mut() {
                if is_left_out(person) {
                    *person = other.clone().expect("a page is not all of people who are left out");
                }
                tell(person);
            }
        }
        None => tell(&mut answer),
    }
    answer.to_string().into_bytes()
}

/// RFC 7396, for objects.
fn merge(into: &mut Value, other: &Value) {
    let (Some(fields), Some(others)) = (into.as_object_mut(), other.as_object()) else { return };
    for (key, value) in others {
        match value {
            Value::Null => drop(fields.remove(key)),
            Value::Object(_) => merge(fields.entry(key.clone()).or_insert_with(|| Value::Object(Default::default())), value),
            value => drop(fields.insert(key.clone(), value.clone())),
        }
    }
}
