//! A directory calls: what it says is a hint.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use chrono::Duration;
use countersign::domain::secret::Secret;
use countersign::service::ctx::{Hook, HookKind};
use countersign::worker::step;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::json;
use sha2::Sha256;

use crate::api::{Answer, Site};
use crate::faulty::Faulty;
use crate::world::World;

const SECRET: &str = "the-secret-of-the-hook-of-the-tests";
const ROOT: &str = "/hooks/directories/main";
const HOUR: i64 = 3_600;

struct Ringing {
    faulty: Faulty,
    world: World,
    site: Site,
}

impl Ringing {
    async fn new(kind: HookKind) -> Self {
        let faulty = Faulty::start().await;
        let mut world = World::behind(&faulty).await;
        world.ctx.hooks = Arc::new(BTreeMap::from([("main".to_owned(), Hook { kind, secret: Secret::new(SECRET), address: None })]));
        let site = Site::over(&world);
        Self { faulty, world, site }
    }

    async fn call(&self, method: Method, path: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.site.send(request.body(body.into()).unwrap()).await
    }

    async fn post(&self, body: impl Into<Body>) -> Answer {
        self.call(Method::POST, ROOT, &[("authorization", &format!("Bearer {SECRET}"))], body).await
    }

    async fn waiting(&self) -> Vec<String> {
        sqlx::query_scalar("select reference from countersign.person_recheck order by 1").fetch_all(&self.world.root).await.unwrap()
    }
}

fn signature(at: i64, body: &str, secret: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(format!("{at}.{body}").as_bytes());
    let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("t={at},v1={hex}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leaver_named_by_the_hook_is_gone_at_once() {
    let ringing = Ringing::new(HookKind::Plain).await;
    let world = &ringing.world;
    let held = world.ask("bo.lind", "warehouse", "analyst", HOUR).await.unwrap();
    world.turn().await;
    world.set_active("bo.lind", false).await;
    let answer = ringing.post(json!({ "person": "bo.lind" }).to_string()).await;
    assert_eq!((answer.status, answer.json()["asked_about"].as_i64()), (StatusCode::ACCEPTED, Some(1)));
    assert_eq!(world.grant(held.id).await.1, "active", "the call itself ends nothing");
    step::soon(&world.ctx).await.unwrap();
    assert_eq!(world.grant(held.id).await.1, "ended");
    assert!(!world.is_member("bo.lind", "warehouse-analysts").await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_call_says_of_somebody_is_never_believed() {
    let ringing = Ringing::new(HookKind::Plain).await;
    let world = &ringing.world;
    let held = world.ask("bo.lind", "warehouse", "analyst", HOUR).await.unwrap();
    world.turn().await;
    let reference = world.reference("bo.lind").await;
    let bearer = format!("Bearer {SECRET}");
    let user = json!({ "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "id": reference, "userName": "bo.lind", "active": false });
    let patch = json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [{ "op": "replace", "path": "active", "value": false }] });
    for (method, body) in [(Method::PUT, user.to_string()), (Method::PATCH, patch.to_string()), (Method::DELETE, String::new())] {
        let answer = ringing.call(method.clone(), &format!("{ROOT}/Users/{reference}"), &[("authorization", &bearer)], body).await;
        assert_eq!(answer.status, StatusCode::NO_CONTENT, "{method}: {}", answer.text);
    }
    assert_eq!(ringing.waiting().await, [reference], "asked about once, however often it is named");
    step::soon(&world.ctx).await.unwrap();
    assert!(ringing.waiting().await.is_empty());
    assert_eq!(world.grant(held.id).await.1, "active", "the directory says that they are there");
    assert_eq!(world.one::<i64>("select count(*) from countersign.leaver").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_new_is_pushed_and_read() {
    let ringing = Ringing::new(HookKind::Plain).await;
    let user = json!({ "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "externalId": "e-77", "userName": "nobody.known" });
    let answer = ringing.call(Method::POST, &format!("{ROOT}/Users"), &[("authorization", &format!("Bearer {SECRET}"))], user.to_string()).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.text);
    assert_eq!(ringing.waiting().await, ["e-77", "nobody.known"]);
    let people: i64 = ringing.world.one("select count(*) from countersign.person").await;
    step::soon(&ringing.world.ctx).await.unwrap();
    assert!(ringing.waiting().await.is_empty(), "whom the directory does not know is nobody");
    assert_eq!(ringing.world.one::<i64>("select count(*) from countersign.person").await, people);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_does_not_know_the_secret_is_refused_and_nothing_is_asked() {
    let ringing = Ringing::new(HookKind::Plain).await;
    let body = json!({ "person": "bo.lind" }).to_string();
    let now = ringing.world.now().timestamp();
    let reference = ringing.world.reference("bo.lind").await;
    for headers in [
        vec![],
        vec![("authorization", "Bearer wrong".to_owned())],
        vec![("authorization", format!("Basic {SECRET}"))],
        vec![("authorization", format!("Bearer {SECRET}x"))],
        vec![("x-countersign-signature", signature(now, &body, "another secret"))],
        vec![("x-countersign-signature", signature(now - 301, &body, SECRET))],
        vec![("x-countersign-signature", signature(now, "{}", SECRET))],
        vec![("cookie", "countersign=x".to_owned())],
    ] {
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let answer = ringing.call(Method::POST, ROOT, &headers, body.clone()).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{headers:?}");
        assert!(!answer.text.contains(SECRET));
        let answer = ringing.call(Method::DELETE, &format!("{ROOT}/Users/{reference}"), &headers, "").await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{headers:?}");
    }
    let signed = signature(now, &body, SECRET);
    for path in ["/hooks/directories/other", "/hooks/directories/%2e%2e", "/hooks/directories/main%00"] {
        let answer = ringing.call(Method::POST, path, &[("authorization", &format!("Bearer {SECRET}"))], body.clone()).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
    }
    assert!(ringing.waiting().await.is_empty());
    let answer = ringing.call(Method::POST, ROOT, &[("x-countersign-signature", &signed)], body).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED, "signed well: {}", answer.text);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_is_sent_again_asks_once_and_after_five_minutes_not_at_all() {
    let ringing = Ringing::new(HookKind::Plain).await;
    let body = json!({ "person": "bo.lind" }).to_string();
    let signed = signature(ringing.world.now().timestamp(), &body, SECRET);
    for _ in 0..3 {
        assert_eq!(ringing.call(Method::POST, ROOT, &[("x-countersign-signature", &signed)], body.clone()).await.status, StatusCode::ACCEPTED);
    }
    assert_eq!(ringing.waiting().await.len(), 1);
    ringing.world.advance(Duration::minutes(6)).await;
    assert_eq!(ringing.call(Method::POST, ROOT, &[("x-countersign-signature", &signed)], body).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_huge_malformed_or_of_another_kind_is_refused() {
    let ringing = Ringing::new(HookKind::Plain).await;
    for body in ["", "null", "[]", "{", "\u{0}", "\"bo.lind\"", "{\"person\":"] {
        let answer = ringing.post(body).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body:?}: {}", answer.text);
        assert_eq!(answer.headers["content-type"], "application/problem+json");
    }
    assert_eq!(ringing.post(vec![b' '; (1 << 20) + 1]).await.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(ringing.post("[".repeat(500_000)).await.status, StatusCode::BAD_REQUEST);
    let odd = json!({ "person": "a\u{0}b\u{202e}\n", "people": [1, null, {}, "x".repeat(10_000)] }).to_string();
    assert_eq!(ringing.post(odd).await.status, StatusCode::ACCEPTED);
    assert_eq!(ringing.waiting().await, ["a b\u{202e}"]);
    step::soon(&ringing.world.ctx).await.unwrap();
    assert!(ringing.waiting().await.is_empty(), "no such person");
    assert_eq!(ringing.call(Method::GET, ROOT, &[("authorization", &format!("Bearer {SECRET}"))], "").await.status, StatusCode::NOT_FOUND);
    assert_eq!(ringing.call(Method::DELETE, ROOT, &[], "").await.status, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_is_bounded_and_everybody_is_read_instead() {
    let ringing = Ringing::new(HookKind::Plain).await;
    let world = &ringing.world;
    let next: chrono::DateTime<chrono::Utc> = world.one("select next_at from countersign.timetable where name = 'sync:main'").await;
    assert!(next > world.now());
    for n in 0..4 {
        let people: Vec<String> = (0..1_000).map(|m| format!("made-up-{n}-{m}")).collect();
        assert_eq!(ringing.post(json!({ "people": people }).to_string()).await.status, StatusCode::ACCEPTED);
    }
    assert_eq!(ringing.waiting().await.len(), 2_000, "no more wait");
    let next: chrono::DateTime<chrono::Utc> = world.one("select next_at from countersign.timetable where name = 'sync:main'").await;
    assert!(next <= world.now(), "a reading of everybody is due at once");
    let mut statuses = Vec::new();
    for _ in 0..320 {
        statuses.push(ringing.call(Method::POST, ROOT, &[], "{}").await.status);
    }
    assert_eq!(statuses.last(), Some(&StatusCode::TOO_MANY_REQUESTS));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_that_is_away_is_asked_again_and_the_hint_is_kept() {
    let ringing = Ringing::new(HookKind::Plain).await;
    let world = &ringing.world;
    let held = world.ask("bo.lind", "warehouse", "analyst", HOUR).await.unwrap();
    world.turn().await;
    world.set_active("bo.lind", false).await;
    assert_eq!(ringing.post(json!({ "person": "bo.lind" }).to_string()).await.status, StatusCode::ACCEPTED);
    ringing.faulty.down(true);
    _ = step::soon(&world.ctx).await;
    assert_eq!((ringing.waiting().await.len(), world.grant(held.id).await.1.as_str()), (1, "active"));
    ringing.faulty.down(false);
    world.advance(Duration::seconds(31)).await;
    step::soon(&world.ctx).await.unwrap();
    assert_eq!((ringing.waiting().await.len(), world.grant(held.id).await.1.as_str()), (0, "ended"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn okta_is_answered_its_challenge_and_heard_only_with_its_header() {
    let ringing = Ringing::new(HookKind::Okta).await;
    let answer = ringing.call(Method::GET, ROOT, &[("x-okta-verification-challenge", "aGVsbG8-_9")], "").await;
    assert_eq!((answer.status, answer.json()), (StatusCode::OK, json!({ "verification": "aGVsbG8-_9" })));
    for hostile in ["<script>", "a\"b", &"x".repeat(1_025)] {
        assert_eq!(ringing.call(Method::GET, ROOT, &[("x-okta-verification-challenge", hostile)], "").await.status, StatusCode::BAD_REQUEST);
    }
    let bo = ringing.world.reference("bo.lind").await;
    let event = json!({ "eventType": "user.lifecycle.deactivate", "target": [{ "id": bo, "type": "User" }] });
    let body = json!({ "eventType": "com.okta.event_hook", "data": { "events": [event] } }).to_string();
    assert_eq!(ringing.call(Method::POST, ROOT, &[("authorization", "wrong")], body.clone()).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(ringing.waiting().await.len(), 0);
    assert_eq!(ringing.call(Method::POST, ROOT, &[("authorization", SECRET)], "{}").await.status, StatusCode::BAD_REQUEST);
    assert_eq!(ringing.call(Method::POST, ROOT, &[("authorization", SECRET)], body).await.status, StatusCode::ACCEPTED);
    assert_eq!(ringing.waiting().await, [bo], "whom it names is asked about");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn graph_is_answered_its_token_as_plain_text_and_heard_only_with_our_state() {
    let ringing = Ringing::new(HookKind::Entra).await;
    let answer = ringing.call(Method::POST, &format!("{ROOT}?validationToken=Validation%3A+Testing%20it"), &[], "").await;
    assert_eq!((answer.status, answer.text.as_str()), (StatusCode::OK, "Validation: Testing it"));
    assert!(answer.headers["content-type"].to_str().unwrap().starts_with("text/plain"));
    assert_eq!(answer.headers["x-content-type-options"], "nosniff");
    assert_eq!(ringing.call(Method::POST, &format!("{ROOT}?validationToken=%3Cscript%3E"), &[], "").await.status, StatusCode::BAD_REQUEST);
    for state in [json!("wrong"), json!(null), json!([SECRET])] {
        let body = json!({ "value": [{ "clientState": state, "resource": "users/x" }] }).to_string();
        assert_eq!(ringing.call(Method::POST, ROOT, &[], body).await.status, StatusCode::UNAUTHORIZED);
    }
    let bo = ringing.world.reference("bo.lind").await;
    let body = json!({ "value": [{ "clientState": SECRET, "resource": format!("Users/{bo}") }] }).to_string();
    assert_eq!(ringing.call(Method::POST, ROOT, &[], body).await.status, StatusCode::ACCEPTED);
    assert_eq!(ringing.waiting().await, [bo], "whom it names is asked about");
    assert_eq!(ringing.call(Method::POST, ROOT, &[], "{}").await.status, StatusCode::BAD_REQUEST);
}
