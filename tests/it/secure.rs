//! TLS with a private authority, and tokens asked for.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use chrono::TimeDelta;
use countersign::clock::Clock;
use countersign::directory::facts::{ReadError, WriteResult};
use countersign::directory::http::Settings;
use countersign::directory::port::Directory;
use countersign::directory::scim::Scim;
use countersign::directory::token::{Client, Credentials, Grant};
use countersign::domain::secret::Secret;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, date_time_ymd};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::scripted::{Asked, Reply, Scripted};

/// An authority that nobody trusts until told to.
struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    /// A server's configuration, for `host`, its certificate good until the year `until`.
    fn server(&self, host: &str, until: i32) -> ServerConfig {
        let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        builder.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key).unwrap()
    }
}

/// A TLS server with an empty SCIM list; returns its address and how many requests it understood.
async fn listen(config: ServerConfig) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("https://{}", listener.local_addr().unwrap());
    let (acceptor, served) = (TlsAcceptor::from(Arc::new(config)), Arc::new(AtomicUsize::new(0)));
    let count = served.clone();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let (acceptor, count) = (acceptor.clone(), count.clone());
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(socket).await else { return };
                let mut seen = Vec::new();
                let mut chunk = [0; 4096];
                while !seen.windows(4).any(|part| part == b"\r\n\r\n") {
                    match stream.read(&mut chunk).await {
                        Ok(0) | Err(_) => return,
                        Ok(n) => seen.extend_from_slice(&chunk[..n]),
                    }
                }
                count.fetch_add(1, Ordering::SeqCst);
                let body = json!({"totalResults": 0, "Resources": []}).to_string();
                let head = format!("HTTP/1.1 200 OK\r\ncontent-type: application/scim+json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
                _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
                _ = stream.shutdown().await;
            });
        }
    });
    (address, served)
}

fn trusting(address: &str, roots: Option<String>) -> Directory {
    let settings = Settings { extra_roots: roots, timeout: Duration::from_secs(5), ..Settings::new(address, "the-token") };
    Directory::Scim(Scim::new(&settings, Clock::system()).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_private_authority_is_trusted_only_when_told_so_and_only_for_its_own_servers() {
    let (ours, other) = (Authority::new("Ours"), Authority::new("Another"));
    let (good, served) = listen(ours.server("127.0.0.1", 2090)).await;
    assert!(trusting(&good, Some(ours.pem.clone())).groups(None).await.is_ok());
    assert_eq!(served.load(Ordering::SeqCst), 1);
    // Several in one file, as operators keep them.
    assert!(trusting(&good, Some(format!("{}\n{}", other.pem, ours.pem))).groups(None).await.is_ok());

    let served_before = served.load(Ordering::SeqCst);
    for roots in [None, Some(other.pem.clone())] {
        let refused = trusting(&good, roots).groups(None).await.unwrap_err();
        assert_eq!(refused, ReadError::Unreachable("no connection".into()), "nothing was sent, so a change would not have happened");
    }
    assert_eq!(served.load(Ordering::SeqCst), served_before, "the token was shown to nobody");
    let refused = trusting(&good, None).add("g", "p").await;
    assert!(matches!(refused, WriteResult::Transient(_)), "{refused}");

    for (host, until) in [("idp.example.org", 2090), ("127.0.0.1", 2021)] {
        let (bad, served) = listen(ours.server(host, until)).await;
        assert!(trusting(&bad, Some(ours.pem.clone())).groups(None).await.is_err(), "for {host} until {until}");
        assert_eq!(served.load(Ordering::SeqCst), 0);
    }
    let no_pem = Settings { extra_roots: Some("no certificate".into()), ..Settings::new(&good, "the-token") };
    assert!(Scim::new(&no_pem, Clock::system()).is_err(), "a file without a certificate is no silent nothing");
}

const ID: &str = "countersign client";
const SECRET: &str = "s3cret+of/the&client";

/// A service that takes the newest of the tokens it gave, and a token endpoint that gives one for `life` seconds.
async fn service(life: u64) -> (Scripted, Arc<AtomicUsize>) {
    let given = Arc::new(AtomicUsize::new(0));
    let count = given.clone();
    let server = Scripted::start(move |asked: &Asked| {
        if asked.path() == "/token" {
            use base64::Engine;
            let expected = base64::prelude::BASE64_STANDARD.encode("countersign%20client:s3cret%2Bof%2Fthe%26client");
            let whole = asked.method == "POST" && asked.body.contains("grant_type=client_credentials") && asked.body.contains("scope=scim");
            if !whole || asked.headers.get("authorization") != Some(&format!("Basic {expected}")) {
                return Reply::new(401, json!({"error": "invalid_client", "error_description": format!("not {SECRET}")}));
            }
            let number = count.fetch_add(1, Ordering::SeqCst) + 1;
            return Reply::new(200, json!({"access_token": format!("token-{number}"), "token_type": "Bearer", "expires_in": life}));
        }
        let newest = format!("Bearer token-{}", count.load(Ordering::SeqCst));
        if asked.headers.get("authorization") != Some(&newest) {
            return Reply::new(401, "{}");
        }
        if asked.method == "PATCH" { Reply::new(204, "") } else { Reply::new(200, json!({"totalResults": 0, "Resources": []})) }
    })
    .await;
    (server, given)
}

fn asking(server: &Scripted, endpoint: &str, secret: &str, clock: &Clock) -> Directory {
    let client = Client::SecretBasic { id: ID.into(), secret: Secret::new(secret) };
    let credentials = Credentials::Granted(Grant { endpoint: endpoint.to_owned(), client, scope: "scim".into() });
    let settings = Settings { credentials, timeout: Duration::from_secs(2), ..Settings::new(&server.url, "") };
    Directory::Scim(Scim::new(&settings, clock.clone()).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_asked_for_once_and_renewed_before_it_ends() {
    let (server, given) = service(3_600).await;
    let clock = Clock::system();
    let directory = asking(&server, &format!("{}/token", server.url), SECRET, &clock);
    let calls = (0..8).map(|_| directory.groups(None));
    for answer in futures_util::future::join_all(calls).await {
        answer.unwrap();
    }
    assert_eq!(given.load(Ordering::SeqCst), 1, "many calls, one token");
    clock.set(clock.now() + TimeDelta::minutes(57));
    directory.groups(None).await.unwrap();
    assert_eq!(given.load(Ordering::SeqCst), 1);
    clock.set(clock.now() + TimeDelta::seconds(61));
    directory.groups(None).await.unwrap();
    assert_eq!(given.load(Ordering::SeqCst), 2, "two minutes ahead of its end");
    let refused = server.asked().iter().filter(|asked| asked.headers.get("authorization") == Some(&"Bearer token-1".to_owned())).count();
    assert_eq!(refused, 9, "the old one was never sent after that");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_is_no_longer_taken_is_renewed_once_and_the_call_made_again() {
    let (server, given) = service(3_600).await;
    let directory = asking(&server, &format!("{}/token", server.url), SECRET, &Clock::system());
    directory.groups(None).await.unwrap();
    // Somebody else asks; the service takes the newest only.
    given.fetch_add(1, Ordering::SeqCst);
    assert_eq!(directory.add("g", "p").await, WriteResult::Changed);
    assert_eq!(given.load(Ordering::SeqCst), 3);
    let patches: Vec<String> = server.asked().iter().filter(|asked| asked.method == "PATCH").map(|asked| asked.headers["authorization"].clone()).collect();
    assert_eq!(patches, ["Bearer token-1", "Bearer token-3"], "refused once, and then made once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_takes_no_token_is_asked_twice_and_not_for_ever() {
    let server = Scripted::start(|asked: &Asked| match asked.path() {
        "/token" => Reply::new(200, json!({"access_token": "t", "expires_in": "3600"})),
        _ => Reply::new(401, "{}"),
    })
    .await;
    let directory = asking(&server, &format!("{}/token", server.url), SECRET, &Clock::system());
    assert!(matches!(directory.add("g", "p").await, WriteResult::Auth(_)));
    let paths: Vec<String> = server.asked().iter().map(|asked| asked.path().to_owned()).collect();
    assert_eq!(paths, ["/token", "/Groups/g", "/token", "/Groups/g"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_token_is_a_matter_of_credentials_and_shows_no_secret() {
    let (server, _) = service(3_600).await;
    let directory = asking(&server, &format!("{}/token", server.url), "wrong-s3cret", &Clock::system());
    let refused = directory.groups(None).await.unwrap_err();
    assert_eq!(refused.to_string(), "The directory refuses our credentials: its token endpoint gave no token (invalid_client).");
    assert!(matches!(directory.add("g", "p").await, WriteResult::Auth(_)));
    let told = format!("{refused:?} {directory:?} {:?}", directory.probe().await);
    assert!(!told.contains("s3cret"), "{told}");
    assert!(server.asked().iter().all(|asked| asked.path() == "/token"), "without a token nothing is asked of the service");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_endpoint_that_fails_is_a_directory_that_cannot_be_reached() {
    let catcher = Scripted::start(|_| Reply::new(200, json!({"access_token": "stolen", "expires_in": 60}))).await;
    let elsewhere = catcher.url.clone();
    let server = Scripted::start(move |asked: &Asked| match asked.path() {
        "/redirects" => Reply::new(307, "").with("location", &elsewhere),
        "/fails" => Reply::new(503, "down"),
        "/empty" => Reply::new(200, json!({"access_token": ""})),
        "/lines" => Reply::new(200, json!({"access_token": "a\r\nx: y"})),
        "/huge" => Reply::new(200, json!({"access_token": "x".repeat(100_000)})),
        "/never" => Reply::never(),
        _ => Reply::new(200, "<html>"),
    })
    .await;
    for path in ["redirects", "fails", "empty", "lines", "huge", "never", "html"] {
        let directory = asking(&server, &format!("{}/{path}", server.url), SECRET, &Clock::system());
        let told = directory.groups(None).await.unwrap_err();
        assert!(matches!(told, ReadError::Unreachable(_)), "{path}: {told}");
        assert!(matches!(directory.add("g", "p").await, WriteResult::Transient(_)), "{path}: nothing was sent to the service");
    }
    assert!(catcher.asked().is_empty(), "a redirect is not followed with the secret");
    assert!(server.asked().iter().all(|asked| !asked.path().starts_with("/Groups")));
}
