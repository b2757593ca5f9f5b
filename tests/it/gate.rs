//! A directory behind a gate: limited, moody, and counted.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::Value;
use tokio::net::TcpListener;

/// What may be called.
#[derive(Clone, Copy, Debug)]
pub enum Limit {
    /// So many calls in any such time; nothing is said of it.
    Silent(usize, Duration),
    /// So many calls in each window of so many seconds, as every answer says.
    Told(u64, i64),
}

/// How it behaves.
#[derive(Debug, Default)]
pub struct Manners {
    /// What may be called.
    pub limit: Option<Limit>,
    /// How long each call takes before anything is done.
    pub delay: Duration,
    /// How long each change takes after it is done.
    pub lingers: Duration,
    /// Nothing is ever answered.
    pub hangs: bool,
    /// Everything is answered with 500.
    pub fails: bool,
    /// The next change is answered with 429, and Retry-After of so many seconds.
    pub wait: Option<u64>,
    /// Changes and questions go wrong at random.
    pub moods: Option<StdRng>,
    /// When it was called lately.
    recent: VecDeque<Instant>,
    /// The window, and how many calls there were in it.
    window: (i64, u64),
}

/// A call that came through.
#[derive(Clone, Debug)]
pub struct Call {
    /// When.
    pub at: Instant,
    /// Through which door.
    pub door: usize,
    /// A change: whether it adds, the group and the person.
    pub change: Option<(bool, String, String)>,
}

/// A door of the gate; doors beside each other have everything in common but their address.
#[derive(Clone)]
pub struct Gate {
    /// Its SCIM address.
    pub base: String,
    inner: Arc<Inner>,
}

struct Inner {
    target: Mutex<String>,
    client: reqwest::Client,
    doors: AtomicUsize,
    manners: Mutex<Manners>,
    calls: Mutex<Vec<Call>>,
    /// Changes that are being made, by group and person.
    open: Mutex<HashMap<(String, String), usize>>,
    twice: AtomicUsize,
    refused: AtomicUsize,
    pending: AtomicUsize,
}

impl Gate {
    /// A gate that listens but has nothing behind it yet.
    pub async fn start() -> Self {
        Self::open(Arc::new(Inner {
            target: Mutex::default(),
            client: reqwest::Client::builder().no_proxy().build().unwrap(),
            doors: AtomicUsize::new(0),
            manners: Mutex::default(),
            calls: Mutex::default(),
            open: Mutex::default(),
            twice: AtomicUsize::new(0),
            refused: AtomicUsize::new(0),
            pending: AtomicUsize::new(0),
        }))
        .await
    }

    async fn open(inner: Arc<Inner>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}/scim/v2", listener.local_addr().unwrap());
        let door = inner.doors.fetch_add(1, Ordering::SeqCst);
        let routes = Router::new().fallback(pass).with_state((inner.clone(), door));
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Self { base, inner }
    }

    /// Another door.
    pub async fn beside(&self) -> Self {
        Self::open(self.inner.clone()).await
    }

    /// Puts the directory at `scim_base` behind it.
    pub fn before(&self, scim_base: &str) {
        *self.inner.target.lock().unwrap() = scim_base.trim_end_matches("/scim/v2").to_owned();
    }

    /// Has it behave otherwise.
    pub fn manners(&self, change: impl FnOnce(&mut Manners)) {
        change(&mut self.inner.manners.lock().unwrap());
    }

    /// Changes and questions go wrong at random from now on.
    pub fn moody(&self, seed: u64) {
        self.manners(|manners| manners.moods = Some(StdRng::seed_from_u64(seed)));
    }

    /// Every call since the last [`Gate::forget`].
    pub fn calls(&self) -> Vec<Call> {
        self.inner.calls.lock().unwrap().clone()
    }

    /// Forgets what was called.
    pub fn forget(&self) {
        self.inner.calls.lock().unwrap().clear();
    }

    /// How many calls broke the limit.
    pub fn refused(&self) -> usize {
        self.inner.refused.load(Ordering::SeqCst)
    }

    /// How often a membership was changed while it was being changed.
    pub fn twice(&self) -> usize {
        self.inner.twice.load(Ordering::SeqCst)
    }

    /// Waits until whatever is late has come.
    pub async fn quiet(&self) {
        let mut pause = tokio::time::interval(Duration::from_millis(20));
        while self.inner.pending.load(Ordering::SeqCst) > 0 {
            pause.tick().await;
        }
    }
}

/// What becomes of a call.
enum Fate {
    Well,
    /// Done after so long; the answer is 500, or none.
    Half(Duration, bool),
    Refused(StatusCode, Option<u64>),
    /// Nothing ever.
    Silence,
}

impl Manners {
    /// The fate of a call, and what is said of the limit.
    fn fate(&mut self, is_change: bool) -> (Fate, Option<[(&'static str, String); 3]>) {
        if self.hangs {
            return (Fate::Silence, None);
        }
        if self.fails {
            return (Fate::Refused(StatusCode::INTERNAL_SERVER_ERROR, None), None);
        }
        let now = Instant::now();
        let mut told = None;
        match self.limit {
            Some(Limit::Silent(most, time)) => {
                while self.recent.front().is_some_and(|at| now - *at >= time) {
                    self.recent.pop_front();
                }
                if self.recent.len() >= most {
                    return (Fate::Refused(StatusCode::TOO_MANY_REQUESTS, Some(1)), None);
                }
                self.recent.push_back(now);
            }
            Some(Limit::Told(most, seconds)) => {
                let window = chrono::Utc::now().timestamp() / seconds;
                if self.window.0 != window {
                    self.window = (window, 0);
                }
                self.window.1 += 1;
                told = Some([
                    ("x-rate-limit-limit", most.to_string()),
                    ("x-rate-limit-remaining", most.saturating_sub(self.window.1).to_string()),
                    ("x-rate-limit-reset", ((window + 1) * seconds).to_string()),
                ]);
                if self.window.1 > most {
                    return (Fate::Refused(StatusCode::TOO_MANY_REQUESTS, None), told);
                }
            }
            None => {}
        }
        if is_change && let Some(seconds) = self.wait.take() {
            return (Fate::Refused(StatusCode::TOO_MANY_REQUESTS, Some(seconds)), told);
        }
        let Some(chance) = &mut self.moods else { return (Fate::Well, told) };
        let soon = Duration::from_millis(chance.random_range(50..600));
        let fate = match (is_change, chance.random_range(0..100)) {
            (true, 0..10) => Fate::Half(Duration::ZERO, true),
            (true, 10..20) => Fate::Half(Duration::ZERO, false),
            // Longer than the caller waits.
            (true, 20..27) => Fate::Half(Duration::from_millis(1_100) + soon, true),
            (true, 27..37) => Fate::Half(soon, false),
            (true, 37..44) | (false, 0..2) => Fate::Refused(StatusCode::SERVICE_UNAVAILABLE, None),
            (true, 44..46) => Fate::Refused(StatusCode::TOO_MANY_REQUESTS, Some(1)),
            (false, 2..4) => Fate::Silence,
            _ => Fate::Well,
        };
        (fate, told)
    }
}

/// What a PATCH changes: whether it adds, the group and the person.
fn change(method: &Method, path: &str, body: &[u8]) -> Option<(bool, String, String)> {
    let group = path.split_once("/Groups/")?.1.to_owned();
    if *method != Method::PATCH {
        return None;
    }
    let body: Value = serde_json::from_slice(body).ok()?;
    let operation = body["Operations"].as_array()?.first()?;
    if operation["op"] == "add" {
        return Some((true, group, operation["value"][0]["value"].as_str()?.to_owned()));
    }
    let person = operation["path"].as_str()?.split('"').nth(1)?;
    Some((false, group, person.to_owned()))
}

async fn pass(State((inner, door)): State<(Arc<Inner>, usize)>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 1 << 20).await.unwrap().to_vec();
    let path = parts.uri.path_and_query().unwrap().to_string();
    let change = change(&parts.method, parts.uri.path(), &body);
    let ((fate, told), delay, lingers) = {
        let mut manners = inner.manners.lock().unwrap();
        (manners.fate(change.is_some()), manners.delay, if change.is_some() { manners.lingers } else { Duration::ZERO })
    };
    inner.calls.lock().unwrap().push(Call { at: Instant::now(), door, change: change.clone() });
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    let late = match fate {
        Fate::Silence => return std::future::pending().await,
        Fate::Refused(status, wait) => {
            if status == StatusCode::TOO_MANY_REQUESTS {
                inner.refused.fetch_add(1, Ordering::SeqCst);
            }
            let mut answer = (status, "refused").into_response();
            wait.iter().for_each(|seconds| drop(answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(*seconds))));
            return say(answer, told);
        }
        Fate::Half(late, loudly) => Some((late, loudly)),
        Fate::Well => None,
    };
    // What has come is done, whatever becomes of who asked.
    inner.pending.fetch_add(1, Ordering::SeqCst);
    let through = tokio::spawn({
        let inner = inner.clone();
        async move {
            tokio::time::sleep(late.map_or(Duration::ZERO, |(late, _)| late)).await;
            let answer = through(&inner, &parts.method, &path, parts.headers, body, change).await;
            inner.pending.fetch_sub(1, Ordering::SeqCst);
            answer
        }
    });
    match late {
        Some((_, false)) => {
            // The answer breaks off at once: the caller cannot know what becomes of it.
            let breaks = futures_util::stream::once(async { Err::<Vec<u8>, _>(std::io::Error::other("cut")) });
            Response::builder().status(200).header(header::CONTENT_TYPE, "application/scim+json").body(Body::from_stream(breaks)).unwrap()
        }
        Some((_, true)) => {
            _ = through.await;
            (StatusCode::INTERNAL_SERVER_ERROR, "<html>oops</html>").into_response()
        }
        None => {
            let answer = through.await.unwrap();
            tokio::time::sleep(lingers).await;
            say(answer, told)
        }
    }
}

fn say(mut answer: Response, told: Option<[(&'static str, String); 3]>) -> Response {
    for (name, value) in told.into_iter().flatten() {
        answer.headers_mut().insert(name, HeaderValue::from_str(&value).unwrap());
    }
    answer
}

async fn through(inner: &Inner, method: &Method, path: &str, headers: HeaderMap, body: Vec<u8>, change: Option<(bool, String, String)>) -> Response {
    let membership = change.map(|(_, group, person)| (group, person));
    if let Some(membership) = &membership {
        let mut open = inner.open.lock().unwrap();
        let others = open.entry(membership.clone()).or_default();
        if *others > 0 {
            inner.twice.fetch_add(1, Ordering::SeqCst);
        }
        *others += 1;
    }
    let url = format!("{}{path}", inner.target.lock().unwrap());
    let mut call = inner.client.request(method.clone(), url).timeout(Duration::from_secs(30)).body(body);
    for (name, value) in headers.iter().filter(|(name, _)| !matches!(**name, header::HOST | header::CONTENT_LENGTH | header::CONNECTION)) {
        call = call.header(name, value);
    }
    let answer = call.send().await;
    if let Some(membership) = membership {
        *inner.open.lock().unwrap().entry(membership).or_default() -= 1;
    }
    // The directory behind it goes when its test is over.
    let Ok(answer) = answer else { return StatusCode::BAD_GATEWAY.into_response() };
    let mut response = Response::builder().status(answer.status());
    for (name, value) in answer.headers().iter().filter(|(name, _)| !matches!(**name, header::TRANSFER_ENCODING | header::CONNECTION | header::CONTENT_LENGTH))
    {
        response = response.header(name, value);
    }
    match answer.bytes().await {
        Ok(body) => response.body(Body::from(body)).unwrap(),
        Err(_) => StatusCode::BAD_GATEWAY.into_response(),
    }
}
