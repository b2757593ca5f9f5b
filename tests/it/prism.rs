//! Fakes of vendors' services, held to their contracts by Prism.
//!
//! A connector talks to a fake of ours through Prism, which knows the vendor's specification: a request that the vendor would not take
//! never reaches the fake, and an answer that the vendor would not give never reaches the connector. Both end the test, with what is
//! wrong, when the [`Place`] is dropped. One Prism serves the whole test program, over all documents at once: a small door before it
//! says which fake is meant.
//!
//! The specifications are the vendors' and not part of this project. They are looked for where `COUNTERSIGN_SPECS` says, else in
//! `../shared/idp/specs`. Without them these tests fail, unless `COUNTERSIGN_WITHOUT_SPECS=yes` says that fakes may be asked directly.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value};
use tokio::runtime::Runtime;
use tower::ServiceExt;

use crate::idp::free_port;

/// The documents that are put together, by file name.
const DOCUMENTS: [&str; 3] = ["okta", "graph", "google"];
/// Paths that the documents left out, of the same kind as one that they have.
const ALSO: [(&str, &str); 1] = [("/users/{user-id}/transitiveMemberOf", "/users/{user-id}/memberOf")];
const WHICH: HeaderName = HeaderName::from_static("x-which-fake");
/// Longest body either way.
const LONGEST: usize = 64 << 20;

/// Fakes live longer than the test that made them would let its runtime live.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap());
static FAKES: LazyLock<Mutex<HashMap<u64, Router>>> = LazyLock::new(Default::default);
static PRISM: LazyLock<Option<Prism>> = LazyLock::new(Prism::start);

struct Prism {
    url: String,
    /// Holds Prism's standard input: it ends with this program.
    _child: Child,
}

/// Where one fake answers.
pub struct Place {
    /// What a connector gets as its base: origin and base path.
    pub url: String,
    number: u64,
    door: Arc<Door>,
}

struct Door {
    number: u64,
    /// What lies before the paths of the document, such as `/v1.0`.
    base: &'static str,
    /// Beginnings of paths that the document does not describe: they go to the fake itself.
    outside: &'static [&'static str],
    violations: Mutex<Vec<String>>,
    client: reqwest::Client,
}

impl Place {
    /// A place for a fake. `base` is what lies before the document's paths; paths that begin with one of `outside` go to the fake
    /// itself, as they are.
    pub fn new(base: &'static str, outside: &'static [&'static str]) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let door = Arc::new(Door { number, base, outside, violations: Mutex::default(), client });
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let url = format!("http://{}{base}", listener.local_addr().unwrap());
        let routes = Router::new().fallback(pass).with_state(door.clone());
        RUNTIME.spawn(async move { axum::serve(tokio::net::TcpListener::from_std(listener).unwrap(), routes).await.unwrap() });
        // Blocks until Prism answers: once in a test program.
        LazyLock::force(&PRISM);
        Self { url, number, door }
    }

    /// Lets `fake` answer here, under the paths of the document.
    pub fn serve(&self, fake: Router) {
        FAKES.lock().unwrap().insert(self.number, fake);
    }

    /// What broke the contract so far; then forgotten.
    pub fn violations(&self) -> Vec<String> {
        std::mem::take(&mut *self.door.violations.lock().unwrap())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        FAKES.lock().unwrap().remove(&self.number);
        let violations = self.violations();
        if !violations.is_empty() {
            let text = format!("the vendor's contract was broken:\n{}", violations.join("\n"));
            assert!(std::thread::panicking(), "{text}");
            eprintln!("{text}");
        }
    }
}

/// A request on its way from the connector to Prism, and the answer on its way back.
async fn pass(State(door): State<Arc<Door>>, request: Request) -> Response {
    let target = request.uri().path_and_query().map_or("/", |whole| whole.as_str()).to_owned();
    let Some(Prism { url, .. }) = &*PRISM else { return direct(&door, target.strip_prefix(door.base).unwrap_or(&target), request).await };
    if door.outside.iter().any(|beginning| target.starts_with(beginning)) {
        return direct(&door, &target, request).await;
    }
    let Some(path) = target.strip_prefix(door.base) else {
        door.violations.lock().unwrap().push(format!("{target} does not begin with {}", door.base));
        return StatusCode::NOT_FOUND.into_response();
    };
    let (parts, body) = request.into_parts();
    let mut headers = parts.headers;
    headers.insert(WHICH, HeaderValue::from(door.number));
    headers.remove(header::HOST);
    let body = to_bytes(body, LONGEST).await.unwrap();
    let answer = door.client.request(parts.method.clone(), format!("{url}{path}")).headers(headers).body(body).send().await;
    let Ok(answer) = answer else { return StatusCode::BAD_GATEWAY.into_response() };
    let (status, mut headers) = (answer.status(), answer.headers().clone());
    let Ok(bytes) = answer.bytes().await else { return StatusCode::BAD_GATEWAY.into_response() };
    for name in [header::TRANSFER_ENCODING, header::CONTENT_LENGTH, header::CONNECTION] {
        headers.remove(name);
    }
    let text = String::from_utf8_lossy(&bytes);
    if text.contains("stoplight.io/prism/errors") {
        door.violations.lock().unwrap().push(format!("{} {target}: {text}", parts.method));
    }
    (status, headers, bytes).into_response()
}

async fn direct(door: &Door, target: &str, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    parts.uri = target.parse().unwrap();
    parts.headers.insert(WHICH, HeaderValue::from(door.number));
    at_the_fake(Request::from_parts(parts, body)).await
}

/// Behind Prism: hands the request to the fake it is for.
async fn at_the_fake(mut request: Request) -> Response {
    let which = request.headers_mut().remove(WHICH).and_then(|which| which.to_str().ok()?.parse().ok());
    let fake = which.and_then(|which: u64| FAKES.lock().unwrap().get(&which).cloned());
    let Some(fake) = fake else { return StatusCode::BAD_GATEWAY.into_response() };
    // Prism sends whole addresses in none of its requests, but a fake may look at the address only as the specification writes it.
    *request.uri_mut() = request.uri().path_and_query().map_or_else(|| Uri::from_static("/"), |whole| whole.as_str().parse().unwrap());
    fake.oneshot(request.map(Body::new)).await.unwrap()
}

impl Prism {
    fn start() -> Option<Self> {
        let Some(folder) = specifications() else {
            assert!(
                std::env::var("COUNTERSIGN_WITHOUT_SPECS").is_ok_and(|value| value == "yes"),
                "THE VENDORS' SPECIFICATIONS ARE NOT HERE, so nothing holds our requests and our fakes to them. Put okta.json, graph.json \
                 and google.json into ../shared/idp/specs or where COUNTERSIGN_SPECS says; COUNTERSIGN_WITHOUT_SPECS=yes tests without."
            );
            eprintln!("WITHOUT THE VENDORS' SPECIFICATIONS: fakes are asked directly, and nothing holds them to a contract.");
            return None;
        };
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let upstream = format!("http://{}", listener.local_addr().unwrap());
        RUNTIME.spawn(async move { axum::serve(tokio::net::TcpListener::from_std(listener).unwrap(), Router::new().fallback(at_the_fake)).await.unwrap() });

        let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/idp");
        std::fs::create_dir_all(&home).unwrap();
        let port = free_port();
        let (document, log) = (home.join(format!("prism-{port}.json")), home.join(format!("prism-{port}.log")));
        std::fs::write(&document, together(&folder).to_string()).unwrap();
        let mut child = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/idp/prism.sh"))
            .args([port.to_string().as_ref(), document.as_os_str(), upstream.as_ref()])
            .stdin(Stdio::piped())
            .stdout(std::fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let began = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            let gone = child.try_wait().unwrap().is_some();
            assert!(!gone && began.elapsed() < Duration::from_secs(300), "Prism does not start:\n{}", std::fs::read_to_string(&log).unwrap());
            std::thread::sleep(Duration::from_millis(50));
        }
        Some(Self { url: format!("http://127.0.0.1:{port}"), _child: child })
    }
}

fn specifications() -> Option<PathBuf> {
    let folder = std::env::var_os("COUNTERSIGN_SPECS").map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/idp/specs"), PathBuf::from);
    DOCUMENTS.iter().all(|name| folder.join(format!("{name}.json")).is_file()).then_some(folder)
}

/// All documents as one: their components get the document's name before their own.
fn together(folder: &Path) -> Value {
    let (mut paths, mut components) = (Map::new(), Map::<String, Value>::new());
    for name in DOCUMENTS {
        let mut document: Value = serde_json::from_slice(&std::fs::read(folder.join(format!("{name}.json"))).unwrap()).unwrap();
        rename(&mut document, name);
        let everywhere = document.get("security").cloned();
        for (path, mut operations) in document["paths"].as_object().unwrap().clone() {
            for (_, operation) in operations.as_object_mut().unwrap().iter_mut().filter(|(method, _)| METHODS.contains(&method.as_str())) {
                if operation.get("security").is_none()
                    && let Some(everywhere) = &everywhere
                {
                    operation["security"] = everywhere.clone();
                }
                for requirement in operation.get_mut("security").and_then(Value::as_array_mut).into_iter().flatten() {
                    let renamed = requirement.as_object().unwrap().iter().map(|(scheme, scopes)| (format!("{name}.{scheme}"), scopes.clone()));
                    *requirement = Value::Object(renamed.collect());
                }
            }
            assert!(paths.insert(path.clone(), operations).is_none(), "two documents have {path}");
        }
        for (kind, entries) in document["components"].as_object().unwrap() {
            let all = components.entry(kind.clone()).or_insert_with(|| Value::Object(Map::new()));
            let entries = entries.as_object().unwrap().iter().map(|(key, entry)| (format!("{name}.{key}"), entry.clone()));
            all.as_object_mut().unwrap().extend(entries);
        }
    }
    for (left_out, like) in ALSO {
        let mut operations = paths[like].clone();
        operations.as_object_mut().unwrap().values_mut().filter_map(Value::as_object_mut).for_each(|operation| drop(operation.remove("operationId")));
        assert!(paths.insert(left_out.into(), operations).is_none(), "the documents have {left_out} now");
    }
    serde_json::json!({"openapi": "3.0.3", "info": {"title": "All vendors", "version": "1"}, "paths": paths, "components": components})
}

const METHODS: [&str; 6] = ["get", "put", "post", "delete", "patch", "head"];

/// Points every reference to a component at its new name.
fn rename(value: &mut Value, name: &str) {
    match value {
        Value::String(text) => {
            if let Some((kind, entry)) = text.strip_prefix("#/components/").and_then(|rest| rest.split_once('/')) {
                *text = format!("#/components/{kind}/{name}.{entry}");
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|value| rename(value, name)),
        Value::Object(entries) => entries.values_mut().for_each(|value| rename(value, name)),
        _ => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_breaks_a_contract_is_told() {
    let place = Place::new("/v1.0", &["/token"]);
    let routes = Router::new()
        .route("/users", axum::routing::get(|| async { axum::Json(serde_json::json!({"value": [{"id": 7}]})) }))
        .route("/token", axum::routing::get(|| async { "outside" }));
    place.serve(routes);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let get = |path: String| client.get(path).bearer_auth("t").send();
    let root = place.url.trim_end_matches("/v1.0").to_owned();
    assert_eq!(get(format!("{root}/token")).await.unwrap().text().await.unwrap(), "outside");
    assert!(place.violations().is_empty());
    if PRISM.is_none() {
        return;
    }
    for (path, wrong) in [("/v1.0/users", "must be string"), ("/v1.0/nobody", "NO_PATH_MATCHED"), ("/users", "does not begin with /v1.0")] {
        get(format!("{root}{path}")).await.unwrap();
        let violations = place.violations();
        assert!(matches!(&*violations, [one] if one.contains(wrong)), "{path}: {violations:?}");
    }
    client.get(&place.url).send().await.unwrap();
    let dropped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(place)));
    assert!(dropped.is_err());
}
