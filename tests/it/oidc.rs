//! Sign-in against a provider that sends bad tokens.

use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use countersign::clock::Clock;
use countersign::domain::secret::Secret;
use countersign::service::sign_in::Vouched;
use countersign::web::oidc::{Oidc, Settings, Trouble};
use openidconnect::core::{CoreEdDsaPrivateSigningKey, CoreJwsSigningAlgorithm};
use openidconnect::{JsonWebKeyId, PrivateSigningKey};
use serde_json::{Value, json};
use sha2::{Digest, Sha256, Sha512};

use crate::scripted::{Asked, Reply, Scripted};

/// A provider whose next answer is written by the test.
pub struct Provider {
    pub server: Scripted,
    pub script: Arc<Mutex<Script>>,
    pub clock: Clock,
}

#[derive(Default)]
pub struct Script {
    /// Published keys by name; the name is also the secret.
    pub keys: Vec<u8>,
    token: String,
    userinfo: Option<Reply>,
    metadata: Option<Value>,
    pub down: bool,
}

pub fn key(secret: u8) -> CoreEdDsaPrivateSigningKey {
    // PKCS #8 of an Ed25519 key (RFC 8410 §7) around any 32 bytes.
    let mut der = b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20".to_vec();
    der.extend([secret; 32]);
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(der));
    CoreEdDsaPrivateSigningKey::from_ed25519_pem(&pem, Some(JsonWebKeyId::new(format!("key-{secret}")))).unwrap()
}

pub fn signed(header: &Value, claims: &Value, secret: u8) -> String {
    let body = format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims.to_string()));
    let signature = key(secret).sign(&CoreJwsSigningAlgorithm::EdDsa, body.as_bytes()).unwrap();
    format!("{body}.{}", URL_SAFE_NO_PAD.encode(signature))
}

pub fn header(secret: u8) -> Value {
    json!({"alg": "EdDSA", "kid": format!("key-{secret}"), "typ": "JWT"})
}

fn metadata(issuer: &str) -> Value {
    json!({
        "issuer": issuer, "authorization_endpoint": format!("{issuer}/auth"), "token_endpoint": format!("{issuer}/token"),
        "jwks_uri": format!("{issuer}/jwks"), "userinfo_endpoint": format!("{issuer}/userinfo"),
        "end_session_endpoint": format!("{issuer}/bye"), "authorization_response_iss_parameter_supported": true,
        "response_types_supported": ["code"], "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["none", "HS256", "EdDSA"],
    })
}

fn json_reply(body: &Value) -> Reply {
    let mut reply = Reply::new(200, body);
    reply.headers = vec![("content-type", "application/json".into())];
    reply
}

impl Provider {
    pub async fn start() -> Self {
        let script = Arc::new(Mutex::new(Script { keys: vec![1], ..Script::default() }));
        let told = script.clone();
        let server = Scripted::start(move |asked| answer(asked, &mut told.lock().unwrap())).await;
        Self { server, script, clock: Clock::system() }
    }

    fn settings(&self) -> Settings {
        Settings {
            issuer: self.server.url.clone(),
            client_id: "us".into(),
            client_secret: Some(Secret::new("shared secret")),
            scopes: vec!["email".into()],
            claims: vec!["email".into()],
            redirect: "https://countersign.example/sign-in/callback".into(),
            after_sign_out: "https://countersign.example/signed-out".into(),
            extra_roots: None,
        }
    }

    pub fn connect(&self) -> Oidc {
        Oidc::new(self.settings(), self.clock.clone()).unwrap()
    }

    pub fn now(&self) -> i64 {
        self.clock.now().timestamp()
    }

    fn claims(&self) -> Value {
        json!({"iss": self.server.url, "sub": "s-1", "aud": "us", "exp": self.now() + 300, "iat": self.now(), "nonce": "n",
               "email": "ann@x.org", "email_verified": true, "sid": "sid-1"})
    }

    fn will_send(&self, token: String) {
        self.script.lock().unwrap().token = token;
    }

    async fn arrives(&self, token: String) -> Result<Vouched, Trouble> {
        self.will_send(token);
        self.connect().arrive("the-code", "the-verifier", "n").await
    }

    /// Sends good claims after `change`.
    async fn says(&self, change: impl FnOnce(&mut Value)) -> Result<Vouched, Trouble> {
        let mut claims = self.claims();
        change(&mut claims);
        self.arrives(signed(&header(1), &claims, 1)).await
    }

    pub fn asked_for(&self, path: &str) -> usize {
        self.server.asked().iter().filter(|asked| asked.path() == path).count()
    }
}

fn answer(asked: &Asked, script: &mut Script) -> Reply {
    if script.down {
        return Reply::new(502, "<html>");
    }
    let issuer = format!("http://{}", asked.headers["host"]);
    match asked.path() {
        "/.well-known/openid-configuration" => json_reply(script.metadata.as_ref().unwrap_or(&metadata(&issuer))),
        "/jwks" => {
            let keys: Vec<_> = script.keys.iter().map(|secret| key(*secret).as_verification_key()).collect();
            json_reply(&json!({ "keys": keys }))
        }
        "/token" => json_reply(&json!({"access_token": "at", "token_type": "Bearer", "id_token": script.token})),
        "/userinfo" => script.userinfo.take().unwrap_or_else(|| Reply::new(500, "")),
        _ => Reply::new(404, ""),
    }
}

fn is_refused(outcome: &Result<Vouched, Trouble>) -> bool {
    matches!(outcome, Err(Trouble::Refused(_)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_good_token_is_believed() {
    let provider = Provider::start().await;
    let vouched = provider.says(|_| {}).await.unwrap();
    assert_eq!((vouched.subject.as_str(), vouched.sid.as_deref()), ("s-1", Some("sid-1")));
    assert_eq!((vouched.issuer.as_str(), &vouched.claims["email"]), (provider.server.url.as_str(), &json!("ann@x.org")));
    let asked = provider.server.asked();
    let token = asked.iter().find(|a| a.path() == "/token").unwrap();
    assert_eq!(token.headers["authorization"], format!("Basic {}", STANDARD.encode("us:shared+secret")));
    for part in ["grant_type=authorization_code", "code=the-code", "code_verifier=the-verifier"] {
        assert!(token.body.contains(part), "{}", token.body);
    }
    assert_eq!(provider.asked_for("/userinfo"), 0, "the ID token said everything");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn small_differences_between_clocks_and_dialects_are_tolerated() {
    let provider = Provider::start().await;
    let now = provider.now();
    for (what, change) in [
        ("expired half a minute ago", json!({"exp": now - 30})),
        ("issued half a minute ahead", json!({"iat": now + 30})),
        ("valid from half a minute ahead", json!({"nbf": now + 30})),
        ("audience as a list", json!({"aud": ["us"]})),
        ("azp is us", json!({"azp": "us"})),
        ("a boolean as text", json!({"email_verified": "true"})),
        ("a time as a fraction", json!({"auth_time": now as f64 - 0.5})),
        ("claims nobody knows", json!({"groups": ["a", "b"], "x": {"y": 1}})),
    ] {
        let outcome = provider.says(|claims| claims.as_object_mut().unwrap().extend(change.as_object().unwrap().clone())).await;
        assert!(outcome.is_ok(), "{what}: {outcome:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_tokens_are_refused() {
    let provider = Provider::start().await;
    let now = provider.now();
    let issuer = &provider.server.url;
    for (what, change) in [
        ("nonce of another attempt", json!({"nonce": "other"})),
        ("no nonce", json!({"nonce": null})),
        ("another audience", json!({"aud": "them"})),
        ("no audience", json!({"aud": []})),
        ("one audience more", json!({"aud": ["us", "them"]})),
        ("another issuer", json!({"iss": "https://evil.example"})),
        ("the issuer with a slash", json!({"iss": format!("{issuer}/")})),
        ("azp is another client", json!({"azp": "them"})),
        ("expired", json!({"exp": now - 90})),
        ("issued in the future", json!({"iat": now + 90})),
        ("issued long ago", json!({"iat": now - 660})),
        ("not valid yet", json!({"nbf": now + 90})),
        ("empty subject", json!({"sub": ""})),
        ("blank subject", json!({"sub": "  "})),
        ("subject with a NUL", json!({"sub": "a\u{0}b"})),
        ("huge subject", json!({"sub": "x".repeat(256)})),
        ("no subject", json!({"sub": null})),
        ("at_hash of another token", json!({"at_hash": URL_SAFE_NO_PAD.encode(&Sha512::digest("other")[..32])})),
    ] {
        let outcome = provider.says(|claims| claims.as_object_mut().unwrap().extend(change.as_object().unwrap().clone())).await;
        assert!(is_refused(&outcome), "{what}: {outcome:?}");
    }
    let right = URL_SAFE_NO_PAD.encode(&Sha512::digest("at")[..32]);
    let outcome = provider.says(|claims| claims["at_hash"] = right.into()).await;
    assert!(outcome.is_ok(), "a right at_hash is no trouble: {outcome:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_signatures_are_refused() {
    let provider = Provider::start().await;
    let claims = provider.claims();
    let good = signed(&header(1), &claims, 1);
    let (body, _) = good.rsplit_once('.').unwrap();
    let unsigned = |alg: &str| {
        let head = URL_SAFE_NO_PAD.encode(json!({"alg": alg}).to_string());
        format!("{head}.{}", body.split_once('.').unwrap().1)
    };
    let hs256 = {
        use hmac::{Hmac, KeyInit, Mac};
        let body = unsigned("HS256");
        let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(b"shared secret").unwrap();
        mac.update(body.as_bytes());
        format!("{body}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
    };
    let mut typed = header(1);
    typed["typ"] = json!("logout+jwt");
    for (what, token) in [
        ("not signed", format!("{}.", unsigned("none"))),
        ("signed with our own secret", hs256),
        ("signed with another key under the same name", signed(&header(1), &claims, 2)),
        ("signature cut off", format!("{body}.")),
        ("signature of another token", format!("{body}.{}", signed(&header(1), &json!({}), 1).rsplit_once('.').unwrap().1)),
        ("a logout token", signed(&typed, &claims, 1)),
        ("no token at all", String::new()),
        ("no claims", signed(&header(1), &json!([]), 1)),
    ] {
        let outcome = provider.arrives(token).await;
        assert!(is_refused(&outcome), "{what}: {outcome:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_keys_are_fetched_once_when_a_token_names_one() {
    let provider = Provider::start().await;
    let oidc = provider.connect();
    provider.will_send(signed(&header(1), &provider.claims(), 1));
    assert!(oidc.arrive("c", "v", "n").await.is_ok());
    assert_eq!(provider.asked_for("/jwks"), 1);
    // The provider changes its key while we hold the old ones.
    provider.script.lock().unwrap().keys = vec![2];
    provider.will_send(signed(&header(2), &provider.claims(), 2));
    assert!(oidc.arrive("c", "v", "n").await.is_ok());
    assert_eq!(provider.asked_for("/jwks"), 2);
    // Tokens with made-up keys do not make us hammer the provider.
    provider.will_send(signed(&header(3), &provider.claims(), 3));
    for _ in 0..5 {
        assert!(is_refused(&oidc.arrive("c", "v", "n").await));
    }
    assert_eq!(provider.asked_for("/jwks"), 2);
    provider.clock.set(provider.clock.now() + chrono::TimeDelta::seconds(11));
    assert!(is_refused(&oidc.arrive("c", "v", "n").await));
    assert_eq!(provider.asked_for("/jwks"), 3);
    assert_eq!(provider.asked_for("/.well-known/openid-configuration"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn userinfo_fills_gaps_but_only_about_the_same_subject() {
    let provider = Provider::start().await;
    let without_email = || {
        let mut claims = provider.claims();
        claims.as_object_mut().unwrap().remove("email");
        signed(&header(1), &claims, 1)
    };
    let tells = |told: Value| provider.script.lock().unwrap().userinfo = Some(json_reply(&told));
    tells(json!({"sub": "s-1", "email": "ann@x.org", "sid": "does not replace"}));
    let vouched = provider.arrives(without_email()).await.unwrap();
    assert_eq!((&vouched.claims["email"], &vouched.claims["sid"]), (&json!("ann@x.org"), &json!("sid-1")));
    tells(json!({"sub": "s-2", "email": "boss@x.org"}));
    assert!(is_refused(&provider.arrives(without_email()).await));
    assert!(matches!(provider.arrives(without_email()).await, Err(Trouble::Unavailable(_))), "userinfo fails with 500");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_is_down_is_tried_again() {
    let provider = Provider::start().await;
    provider.script.lock().unwrap().down = true;
    let oidc = provider.connect();
    let trouble = oidc.depart().await.unwrap_err();
    let said = "The sign-in provider cannot be used right now: it answered 502 Bad Gateway.";
    assert_eq!(trouble, Trouble::Unavailable(said.into()));
    assert!(oidc.depart().await.is_err());
    assert_eq!(provider.server.asked().len(), 1, "a provider in trouble is left alone for a moment");
    provider.script.lock().unwrap().down = false;
    provider.clock.set(provider.clock.now() + chrono::TimeDelta::seconds(3));
    assert!(oidc.depart().await.is_ok());
    // Once known, a failure to refresh does not lock people out.
    provider.script.lock().unwrap().down = true;
    provider.clock.set(provider.clock.now() + chrono::TimeDelta::hours(2));
    assert!(oidc.depart().await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_describes_itself_wrongly_is_not_used() {
    let provider = Provider::start().await;
    let good = metadata(&provider.server.url);
    for (field, value) in [
        ("issuer", json!("https://evil.example")),
        ("issuer", json!(format!("{}/", provider.server.url))),
        ("token_endpoint", json!("http://idp.example.org/token")),
        ("jwks_uri", json!("http://idp.example.org/jwks")),
        ("authorization_endpoint", json!("javascript:alert(1)")),
        ("jwks_uri", json!("no url")),
        ("padding", json!("x".repeat(2 << 20))),
    ] {
        let mut bad = good.clone();
        bad[field] = value.clone();
        provider.script.lock().unwrap().metadata = Some(bad);
        let outcome = provider.connect().depart().await;
        assert!(matches!(outcome, Err(Trouble::Unavailable(_))), "{field}: {outcome:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_departure_is_bound_to_its_attempt() {
    let provider = Provider::start().await;
    let oidc = provider.connect();
    let (one, two) = (oidc.depart().await.unwrap(), oidc.depart().await.unwrap());
    let url = reqwest::Url::parse(&one.location).unwrap();
    let parameter = |name: &str| url.query_pairs().find(|(key, _)| key == name).unwrap().1.into_owned();
    assert_eq!((parameter("state"), parameter("nonce")), (one.state.clone(), one.nonce.clone()));
    assert_eq!(parameter("code_challenge"), URL_SAFE_NO_PAD.encode(Sha256::digest(&one.pkce_verifier)));
    assert_eq!((parameter("code_challenge_method"), parameter("response_type")), ("S256".into(), "code".into()));
    assert_eq!((parameter("client_id"), parameter("scope")), ("us".into(), "openid email".into()));
    assert!(one.state.len() >= 43 && one.state != two.state && one.nonce != two.nonce);
    assert!(one.pkce_verifier != two.pkce_verifier);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_must_come_from_the_provider_that_was_asked() {
    let provider = Provider::start().await;
    let oidc = provider.connect();
    assert_eq!(oidc.check_issuer(Some(&provider.server.url)).await, Ok(()));
    assert!(oidc.check_issuer(Some("https://evil.example")).await.is_err());
    assert!(oidc.check_issuer(None).await.is_err(), "the provider says that it always names itself");
    let mut silent = metadata(&provider.server.url);
    silent["authorization_response_iss_parameter_supported"] = json!(false);
    provider.script.lock().unwrap().metadata = Some(silent);
    let oidc = provider.connect();
    assert_eq!(oidc.check_issuer(None).await, Ok(()));
    assert!(oidc.check_issuer(Some("https://evil.example")).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signing_out_leads_to_the_provider_and_back() {
    let provider = Provider::start().await;
    let oidc = provider.connect();
    let url = reqwest::Url::parse(&oidc.farewell(Some("the.id.token")).await.unwrap()).unwrap();
    let parameter = |name: &str| url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
    assert_eq!(url.path(), "/bye");
    assert_eq!(parameter("id_token_hint").as_deref(), Some("the.id.token"));
    assert_eq!(parameter("client_id").as_deref(), Some("us"));
    assert_eq!(parameter("post_logout_redirect_uri").as_deref(), Some("https://countersign.example/signed-out"));
    assert!(parameter("state").is_some());
    assert_eq!(oidc.origins(), std::slice::from_ref(&provider.server.url));
}

#[test]
fn an_issuer_without_encryption_is_only_this_machine() {
    let with = |issuer: &str| {
        let settings = Settings {
            issuer: issuer.into(),
            client_id: "us".into(),
            client_secret: None,
            scopes: vec![],
            claims: vec![],
            redirect: "https://countersign.example/sign-in/callback".into(),
            after_sign_out: "https://countersign.example/signed-out".into(),
            extra_roots: None,
        };
        Oidc::new(settings, Clock::system()).map(|_| ())
    };
    assert!(with("https://idp.example.org/realm").is_ok());
    assert!(with("http://127.0.0.1:8081").is_ok());
    assert!(with("http://idp.example.org").is_err());
    assert!(with("idp.example.org").is_err());
}
