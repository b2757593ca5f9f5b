//! What fakes of vendors' services have in common.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use serde_json::{Value, json};

use crate::prism::Place;

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct Call {
    pub method: String,
    /// Path, percent-decoded.
    pub path: String,
    pub query: HashMap<String, String>,
    pub headers: HashMap<String, String>,
    pub body: String,
}

impl Call {
    /// A query parameter; empty when it is not there.
    pub fn query(&self, name: &str) -> &str {
        self.query.get(name).map_or("", String::as_str)
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Said {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: String,
}

impl Said {
    pub fn new(status: u16, body: Value) -> Self {
        Self { status, headers: vec![("content-type", "application/json; charset=utf-8".into())], body: body.to_string() }
    }

    pub fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: String::new() }
    }

    pub fn html(status: u16) -> Self {
        Self { status, headers: vec![("content-type", "text/html".into())], body: "<html><h1>Something went wrong</h1>the-token".into() }
    }

    pub fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.headers.push((name, value.to_string()));
        self
    }
}

/// What to do instead of answering honestly.
#[derive(Clone, Debug)]
pub enum Trick {
    /// Say this and do nothing.
    Say(Said),
    /// Do it, and say this.
    DoAndSay(Said),
    /// Do it, and never answer.
    DoAndHang,
}

/// What every fake keeps.
#[derive(Default)]
pub struct Desk(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    calls: Vec<Call>,
    /// Method, a part of the path, what to do, how often.
    tricks: Vec<(String, String, Trick, usize)>,
    tokens: HashSet<String>,
    issued: usize,
    asked_for: Vec<HashMap<String, String>>,
    refusal: Option<Value>,
    /// Calls after which a token is of no use any more.
    lasts: Option<usize>,
    used: HashMap<String, usize>,
}

impl Desk {
    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Calls so far, those for tokens not counted.
    pub fn calls(&self) -> Vec<Call> {
        self.kept().calls.clone()
    }

    /// Forgets them.
    pub fn forget(&self) {
        self.kept().calls.clear();
    }

    /// The next `times` calls of this method (`CHANGE`: whichever changes something) to a path with this part.
    pub fn trick(&self, method: &str, part: &str, trick: Trick, times: usize) {
        self.kept().tricks.push((method.into(), part.into(), trick, times));
    }

    pub fn no_tricks(&self) {
        self.kept().tricks.clear();
    }

    /// Takes no token that was issued so far.
    pub fn expire_tokens(&self) {
        self.kept().tokens.clear();
    }

    /// Tokens last for so many calls.
    pub fn tokens_last(&self, calls: usize) {
        self.kept().lasts = Some(calls);
    }

    pub fn refuse_tokens(&self, error: Option<&str>) {
        let mut kept = self.kept();
        kept.refusal = error.map(|error| json!({"error": error, "error_description": "AADSTS7000215: Invalid secret top-secret."}));
        kept.tokens.clear();
    }

    /// Forms with which tokens were asked for.
    pub fn asked_for(&self) -> Vec<HashMap<String, String>> {
        self.kept().asked_for.clone()
    }

    fn issue(&self, form: HashMap<String, String>) -> Said {
        let mut kept = self.kept();
        kept.asked_for.push(form);
        if let Some(refusal) = &kept.refusal {
            return Said::new(400, refusal.clone());
        }
        kept.issued += 1;
        let token = format!("token-{}", kept.issued);
        kept.tokens.insert(token.clone());
        Said::new(200, json!({"access_token": token, "token_type": "Bearer", "expires_in": 3599}))
    }

    fn takes(&self, call: &Call) -> bool {
        let mut kept = self.kept();
        let token = call.headers.get("authorization").and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default().to_owned();
        let used = kept.used.entry(token.clone()).or_default();
        *used += 1;
        let used = *used;
        kept.tokens.contains(&token) && kept.lasts.is_none_or(|lasts| used <= lasts)
    }

    fn planned(&self, call: &Call) -> Option<Trick> {
        let mut kept = self.kept();
        let at = kept.tricks.iter().position(|(method, part, _, times)| {
            let is_change = call.method != "GET" && !call.path.ends_with("/checkMemberGroups");
            (*method == call.method || (method == "CHANGE" && is_change)) && call.path.contains(part.as_str()) && *times > 0
        })?;
        kept.tricks[at].3 -= 1;
        Some(kept.tricks[at].2.clone())
    }
}

/// A vendor.
pub trait Vendor: Send + Sync + 'static {
    fn desk(&self) -> &Desk;
    /// The end of the path at which tokens are asked for.
    fn token_path(&self) -> &'static str;
    /// What lies before the paths of the vendor's document.
    fn base(&self) -> &'static str;
    /// A token that is not taken.
    fn unauthorised(&self) -> Said;
    fn answer(&self, call: &Call) -> Said;
}

async fn serve<V: Vendor>(State(vendor): State<Arc<V>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = String::from_utf8(to_bytes(body, 1 << 20).await.unwrap().to_vec()).unwrap();
    let url = reqwest::Url::parse(&format!("http://x{}", parts.uri.path_and_query().map_or("/", |whole| whole.as_str()))).unwrap();
    let path = url.path().strip_prefix(vendor.base()).unwrap_or(url.path());
    let path = reqwest::Url::parse(&format!("http://x?p={}", path.replace('+', "%2B"))).unwrap().query_pairs().next().unwrap().1.into_owned();
    let call = Call {
        method: parts.method.to_string(),
        path,
        query: url.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())).collect(),
        headers: parts.headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect(),
        body,
    };
    let said = if call.path.ends_with(vendor.token_path()) {
        let form = reqwest::Url::parse(&format!("http://x?{}", call.body)).unwrap();
        vendor.desk().issue(form.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())).collect())
    } else {
        vendor.desk().kept().calls.push(call.clone());
        if !vendor.desk().takes(&call) {
            vendor.unauthorised()
        } else {
            match vendor.desk().planned(&call) {
                None => vendor.answer(&call),
                Some(Trick::Say(said)) => said,
                Some(Trick::DoAndSay(said)) => {
                    vendor.answer(&call);
                    said
                }
                Some(Trick::DoAndHang) => {
                    vendor.answer(&call);
                    std::future::pending().await
                }
            }
        }
    };
    let mut response = Response::builder().status(said.status);
    for (name, value) in said.headers {
        response = response.header(name, value);
    }
    response.body(Body::from(said.body)).unwrap()
}

/// A fake that answers.
pub struct Running<V> {
    pub vendor: Arc<V>,
    /// Origin, and what lies before the paths of the document.
    pub url: String,
    /// Held to the vendor's contract; none for answers that the contract does not have.
    _place: Option<Place>,
}

impl<V: Vendor> Running<V> {
    /// Behind the vendor's contract. `make` gets the address at which it answers.
    pub async fn held(base: &'static str, outside: &'static [&'static str], make: impl FnOnce(&str) -> V) -> Self {
        let place = tokio::task::spawn_blocking(move || Place::new(base, outside)).await.unwrap();
        let vendor = Arc::new(make(&place.url));
        place.serve(Router::new().fallback(serve::<V>).with_state(vendor.clone()));
        Self { vendor, url: place.url.clone(), _place: Some(place) }
    }

    /// Straight, for what no contract has: outages, nonsense, silence.
    pub async fn straight(base: &'static str, make: impl FnOnce(&str) -> V) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}{base}", listener.local_addr().unwrap());
        let vendor = Arc::new(make(&url));
        let routes = Router::new().fallback(serve::<V>).with_state(vendor.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self { vendor, url, _place: None }
    }
}
