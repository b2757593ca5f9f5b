//! The API over its routes, on real database and directory.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use chrono::Duration;
use countersign::domain::event::{Actor, Channel};
use countersign::domain::secret::Secret;
use countersign::service::api_token::{self, NewToken};
use countersign::service::ctx::Ctx;
use countersign::service::sign_in::Rules;
use countersign::web::oidc::{self, Oidc};
use countersign::web::rate_limit::Limits;
use countersign::web::router::router;
use countersign::web::state::{App, Public};
use serde_json::{Value, json};
use tower::ServiceExt;
use uuid::Uuid;

use crate::faulty::Faulty;
use crate::world::World;

/// Every scope there is.
pub const ALL: [&str; 13] = [
    "catalog:read",
    "requests:read",
    "requests:write",
    "approvals:write",
    "grants:read",
    "grants:write",
    "events:read",
    "exports:read",
    "rules:read",
    "rules:write",
    "directories:read",
    "schedules:write",
    "tokens:write",
];

/// An answer, read whole.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// Fields that a problem names.
    fn fields(&self) -> Vec<String> {
        self.json()["errors"].as_array().into_iter().flatten().map(|fault| fault["field"].as_str().unwrap().to_owned()).collect()
    }
}

/// The web's routes over a world.
pub struct Site {
    pub router: Router,
    pub ctx: Ctx,
}

impl Site {
    pub fn over(world: &World) -> Self {
        Self::with(world, world.ctx.clone())
    }

    /// The same with other pieces.
    pub fn with(world: &World, ctx: Ctx) -> Self {
        let oidc = oidc::Settings {
            issuer: world.demo.issuer().into(),
            client_id: "countersign".into(),
            client_secret: Some(Secret::new("client-secret-of-the-tests")),
            scopes: vec!["profile".into()],
            claims: vec![],
            redirect: "http://127.0.0.1:9/sign-in/callback".into(),
            after_sign_out: "http://127.0.0.1:9/signed-out".into(),
            extra_roots: None,
        };
        let app = App {
            oidc: Arc::new(Oidc::new(oidc, world.ctx.clock.clone()).unwrap()),
            ctx: ctx.clone(),
            rules: Arc::new(Rules::new("main", "preferred_username", "user_name")),
            provider: "the demo directory".into(),
            public: Arc::new(Public::new("http://127.0.0.1:9").unwrap()),
            trusted_proxies: Vec::new().into(),
            limits: Arc::new(Limits::default()),
            body_limit: 64 * 1024,
            metrics: Default::default(),
            demo: true,
        };
        Self { router: router(&app), ctx }
    }

    pub async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, 64 << 20).await.unwrap();
        Answer { status: parts.status, headers: parts.headers, text: String::from_utf8(bytes.to_vec()).unwrap() }
    }

    pub async fn get(&self, token: &str, path: &str) -> Answer {
        self.send(Request::get(path).header(header::AUTHORIZATION, format!("Bearer {token}")).body(Body::empty()).unwrap()).await
    }

    pub async fn post(&self, token: &str, path: &str, body: Value) -> Answer {
        self.post_as(token, path, body.to_string(), "application/json", None).await
    }

    pub async fn post_once(&self, token: &str, path: &str, body: Value, key: &str) -> Answer {
        self.post_as(token, path, body.to_string(), "application/json", Some(key)).await
    }

    async fn post_as(&self, token: &str, path: &str, body: String, kind: &str, key: Option<&str>) -> Answer {
        let mut request = Request::post(path).header(header::AUTHORIZATION, format!("Bearer {token}")).header(header::CONTENT_TYPE, kind);
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        self.send(request.body(Body::from(body)).unwrap()).await
    }

    /// A token of somebody, with these scopes.
    pub async fn token(&self, world: &World, user_name: &str, scopes: &[&str]) -> String {
        let new = NewToken {
            person: world.person(user_name).await,
            name: format!("of {user_name}"),
            scopes: scopes.iter().map(|scope| scope.to_string()).collect(),
            expires_at: self.ctx.clock.now() + Duration::days(30),
        };
        api_token::create(&self.ctx, &Actor::System, Channel::Cli, &new).await.unwrap().secret
    }
}

async fn site() -> (World, Site) {
    let world = World::new().await;
    let site = Site::over(&world);
    (world, site)
}

async fn ask_body(world: &World) -> Value {
    json!({"role": world.role("orders-db", "reader").await, "duration_s": 3600, "justification": "Look into order 4711."})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_access_lives_its_whole_life_over_the_api() {
    let (world, site) = site().await;
    let bo = site.token(&world, "bo.lind", &ALL).await;
    let mara = site.token(&world, "mara.voss", &ALL).await;

    let found = site.get(&bo, "/api/v1/catalog?q=orders%20read-only").await.json();
    assert_eq!(found["items"][0]["name"], "Read-only");
    let ask = ask_body(&world).await;
    assert_eq!(found["items"][0]["id"], ask["role"]);

    let preview = site.post(&bo, "/api/v1/requests/preview", ask.clone()).await.json();
    assert_eq!(preview["decision"], "needs_approval");
    assert_eq!(preview["steps"][0]["slots"][0]["asked"][0]["name"], "Mara Voss");
    assert_eq!(preview["errors"], json!([]));
    assert_eq!(world.one::<i64>("select count(*) from countersign.request").await, 0, "a preview stores nothing");

    let asked = site.post(&bo, "/api/v1/requests", ask).await;
    assert_eq!((asked.status, &asked.json()["status"]), (StatusCode::CREATED, &json!("pending")), "{}", asked.text);
    let id = asked.json()["id"].as_str().unwrap().to_owned();

    let queue = site.get(&mara, "/api/v1/requests?waiting_for_me=true").await.json();
    assert_eq!(queue["items"][0]["id"], id.as_str());
    assert_eq!(site.get(&bo, "/api/v1/requests?waiting_for_me=true").await.json()["items"], json!([]));
    let own = site.post(&bo, &format!("/api/v1/requests/{id}/approve"), json!({})).await;
    assert_eq!((own.status, &own.json()["type"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("urn:countersign:refusal:own-request")));

    let approved =
        site.post(&mara, &format!("/api/v1/requests/{id}/approve"), json!({"duration_s": 1800, "comment": "Half an hour will do.", "step": 1})).await;
    assert_eq!((approved.status, &approved.json()["status"]), (StatusCode::OK, &json!("approved")), "{}", approved.text);
    let again = site.post(&mara, &format!("/api/v1/requests/{id}/deny"), json!({"reason": "Second thoughts."})).await;
    assert_eq!(again.status, StatusCode::CONFLICT, "{}", again.text);

    world.turn().await;
    let grant = site.get(&bo, "/api/v1/grants?status=active").await.json()["items"][0].clone();
    assert_eq!((&grant["request_id"], &grant["duration_s"]), (&json!(id), &json!(1800)));
    assert!(world.is_member("bo.lind", "orders-db-readers").await);

    let path = format!("/api/v1/grants/{}", grant["id"].as_str().unwrap());
    assert_eq!(site.post(&mara, &format!("{path}/return"), json!({})).await.status, StatusCode::NOT_FOUND, "a grant is its holder's to return");
    let returned = site.post(&bo, &format!("{path}/return"), json!({"reason": "Found it."})).await.json();
    assert_eq!((&returned["status"], &returned["end_reason"]), (&json!("revoking"), &json!("returned")));
    world.turn().await;
    let ended = site.get(&bo, &path).await.json();
    assert_eq!(ended["status"], "ended");
    assert!(ended["end_verified_at"].is_string());
    assert!(!world.is_member("bo.lind", "orders-db-readers").await);

    let detail = site.get(&mara, &format!("/api/v1/requests/{id}")).await.json();
    assert_eq!((&detail["asked"][0]["decision"], &detail["asked"][0]["comment"]), (&json!("approve"), &json!("Half an hour will do.")));
    assert!(detail["trace"].as_array().is_some_and(|lines| !lines.is_empty()));
    let events = site.get(&bo, &format!("/api/v1/events?request={id}")).await.json();
    let kinds: Vec<_> = events["items"].as_array().unwrap().iter().rev().map(|event| event["kind"].as_str().unwrap().to_owned()).collect();
    let wanted = ["request.submitted", "approval.given", "request.approved", "grant.created", "grant.activated", "grant.returned", "grant.ended"];
    let seen: Vec<_> = kinds.iter().map(String::as_str).filter(|kind| wanted.contains(kind)).collect();
    assert_eq!(seen, wanted);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_is_denied_withdrawn_and_revoked_over_the_api() {
    let (world, site) = site().await;
    let bo = site.token(&world, "bo.lind", &ALL).await;
    let mara = site.token(&world, "mara.voss", &ALL).await;
    let arjun = site.token(&world, "arjun.mehta", &ALL).await;
    let ask = ask_body(&world).await;
    let create = async || site.post(&bo, "/api/v1/requests", ask.clone()).await.json()["id"].as_str().unwrap().to_owned();

    let first = create().await;
    let twice = site.post(&bo, "/api/v1/requests", ask.clone()).await;
    assert_eq!((twice.status, &twice.json()["type"]), (StatusCode::CONFLICT, &json!("urn:countersign:refusal:already-open")));
    let silent = site.post(&mara, &format!("/api/v1/requests/{first}/deny"), json!({})).await;
    assert_eq!(silent.json()["type"], "urn:countersign:refusal:reason-required");
    let denied = site.post(&mara, &format!("/api/v1/requests/{first}/deny"), json!({"reason": "Use the warehouse."})).await;
    assert_eq!(denied.json()["status"], "denied", "{}", denied.text);

    let second = create().await;
    assert_eq!(site.post(&mara, &format!("/api/v1/requests/{second}/withdraw"), json!({})).await.status, StatusCode::NOT_FOUND);
    assert_eq!(site.post(&bo, &format!("/api/v1/requests/{second}/withdraw"), json!({})).await.json()["status"], "withdrawn");

    let third = create().await;
    site.post(&mara, &format!("/api/v1/requests/{third}/approve"), json!({})).await;
    world.turn().await;
    let grant = site.get(&arjun, "/api/v1/grants?status=active").await.json()["items"][0]["id"].as_str().unwrap().to_owned();
    let revoked = site.post(&arjun, &format!("/api/v1/grants/{grant}/revoke"), json!({"reason": "Incident."})).await;
    assert_eq!((revoked.status, &revoked.json()["end_reason"]), (StatusCode::OK, &json!("revoked")), "{}", revoked.text);
    let over = site.post(&arjun, &format!("/api/v1/grants/{grant}/revoke"), json!({})).await;
    assert_eq!((over.status, &over.json()["type"]), (StatusCode::CONFLICT, &json!("urn:countersign:refusal:already-ended")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_good_token_of_an_active_person_with_the_scope_gets_in() {
    let (world, site) = site().await;
    let good = site.token(&world, "bo.lind", &["requests:read"]).await;
    let stored: String = world.one("select row_to_json(t)::text from countersign.api_token t").await;
    assert!(!stored.contains(&good[4..]), "the token itself is kept nowhere");

    let bare = site.send(Request::get("/api/v1/requests").body(Body::empty()).unwrap()).await;
    assert_eq!(bare.status, StatusCode::UNAUTHORIZED);
    let elsewhere = Request::post("/api/v1/requests").header("sec-fetch-site", "cross-site").body(Body::from("{}")).unwrap();
    assert_eq!(site.send(elsewhere).await.status, StatusCode::UNAUTHORIZED, "a cookie is worth nothing here");
    assert_eq!(bare.headers[header::WWW_AUTHENTICATE], "Bearer");
    assert_eq!(bare.headers[header::CONTENT_TYPE], "application/problem+json");
    assert_eq!(bare.json()["type"], "urn:countersign:problem:unauthenticated");
    let mut typo = good.clone();
    typo.replace_range(10..11, if &good[10..11] == "a" { "b" } else { "a" });
    for bad in ["", "x", "cst_", &typo, &good[..75], &format!("{}{}", &good[..4], "0".repeat(72))] {
        let answer = site.get(bad, "/api/v1/requests").await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{bad}");
        assert!(!answer.text.contains(&good[4..20]));
    }
    let basic = Request::get("/api/v1/requests").header(header::AUTHORIZATION, format!("Basic {good}")).body(Body::empty()).unwrap();
    assert_eq!(site.send(basic).await.status, StatusCode::UNAUTHORIZED);

    assert_eq!(site.get(&good, "/api/v1/requests").await.status, StatusCode::OK);
    let narrow = site.get(&good, "/api/v1/grants").await;
    assert_eq!((narrow.status, &narrow.json()["type"]), (StatusCode::FORBIDDEN, &json!("urn:countersign:problem:scope")));
    let read_only = site.post(&good, "/api/v1/requests", ask_body(&world).await).await;
    assert_eq!(read_only.status, StatusCode::FORBIDDEN);

    site.get(&good, "/api/v1/requests").await;
    assert_eq!(world.one::<i64>("select count(*) from countersign.audit_event where kind = 'token.used'").await, 1, "uses are recorded once an hour");
    world.advance(Duration::minutes(61)).await;
    site.get(&good, "/api/v1/requests").await;
    assert_eq!(world.one::<i64>("select count(*) from countersign.audit_event where kind = 'token.used' and actor_kind = 'token'").await, 2);

    let listed = site.get(&good, "/api/v1/tokens").await.json();
    let id = listed["items"][0]["id"].as_str().unwrap().to_owned();
    let other = site.token(&world, "mei.tanaka", &["requests:read"]).await;
    assert_eq!(site.post(&other, &format!("/api/v1/tokens/{id}/revoke"), json!({})).await.status, StatusCode::FORBIDDEN);
    assert_eq!(site.post(&good, &format!("/api/v1/tokens/{id}/revoke"), json!({})).await.status, StatusCode::NO_CONTENT);
    assert_eq!(site.get(&good, "/api/v1/requests").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(world.one::<i64>("select count(*) from countersign.audit_event where kind = 'token.revoked'").await, 1);

    world.advance(Duration::days(31)).await;
    let expired = site.get(&other, "/api/v1/requests").await;
    assert_eq!(expired.json()["type"], "urn:countersign:problem:bad-token");

    let gone = site.token(&world, "thandi.dube", &["requests:read"]).await;
    sqlx::query("update countersign.person set status = 'disabled' where user_name = 'thandi.dube'").execute(&world.root).await.unwrap();
    assert_eq!(site.get(&gone, "/api/v1/requests").await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_ends_itself_and_only_with_its_scope_another() {
    let (world, site) = site().await;
    let id = async |name: &'static str| -> Uuid {
        let sql = "select t.id from countersign.api_token t join countersign.person p on p.id = t.person_id where t.revoked_at is null and p.user_name = $1 order by t.id desc limit 1";
        sqlx::query_scalar(sql).bind(name).fetch_one(&world.root).await.unwrap()
    };
    let revoke = async |token: &str, id: Uuid| site.post(token, &format!("/api/v1/tokens/{id}/revoke"), json!({})).await;
    let everything_else: Vec<&str> = ALL.into_iter().filter(|scope| *scope != "tokens:write").collect();
    let victim = site.token(&world, "bo.lind", &["requests:read"]).await;
    let victim_id = id("bo.lind").await;
    let narrow = site.token(&world, "bo.lind", &everything_else).await;
    let narrow_id = id("bo.lind").await;
    let administrator = site.token(&world, "sofia.marin", &everything_else).await;
    for token in [&narrow, &administrator] {
        for id in [victim_id, Uuid::nil()] {
            let answer = revoke(token, id).await;
            assert_eq!((answer.status, &answer.json()["type"]), (StatusCode::FORBIDDEN, &json!("urn:countersign:problem:scope")), "{id}");
        }
    }
    assert_eq!(site.get(&victim, "/api/v1/requests").await.status, StatusCode::OK);

    assert_eq!(revoke(&narrow, narrow_id).await.status, StatusCode::NO_CONTENT, "what leaked can be ended with itself");
    assert_eq!(site.get(&narrow, "/api/v1/requests").await.status, StatusCode::UNAUTHORIZED);
    let stranger = site.token(&world, "mei.tanaka", &["tokens:write"]).await;
    assert_eq!(revoke(&stranger, victim_id).await.status, StatusCode::NOT_FOUND, "the scope gives no right that its person lacks");
    let own = site.token(&world, "bo.lind", &["tokens:write"]).await;
    assert_eq!(revoke(&own, victim_id).await.status, StatusCode::NO_CONTENT);
    assert_eq!(site.get(&victim, "/api/v1/requests").await.status, StatusCode::UNAUTHORIZED);
    let administrator = site.token(&world, "sofia.marin", &["tokens:write"]).await;
    assert_eq!(revoke(&administrator, id("mei.tanaka").await).await.status, StatusCode::NO_CONTENT);
    assert_eq!(site.get(&stranger, "/api/v1/tokens").await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_for_less_spoils_no_key_of_another() {
    let (world, site) = site().await;
    let weak = site.token(&world, "bo.lind", &["catalog:read"]).await;
    let strong = site.token(&world, "bo.lind", &ALL).await;
    let ask = ask_body(&world).await;
    for body in [ask.clone(), json!({})] {
        let refused = site.post_once(&weak, "/api/v1/requests", body, "k").await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{}", refused.text);
        assert!(refused.headers.get("idempotency-replayed").is_none());
    }
    assert_eq!(world.one::<i64>("select count(*) from countersign.idempotency_key").await, 0, "that one may not is no answer to keep");
    let previewed = site.post_once(&weak, "/api/v1/requests/preview", ask.clone(), "k").await;
    assert_eq!(previewed.status, StatusCode::OK, "{}", previewed.text);
    let first = site.post_once(&strong, "/api/v1/requests", ask.clone(), "k").await;
    assert_eq!(first.status, StatusCode::CREATED, "{}", first.text);
    let kept = site.post_once(&strong, "/api/v1/requests", ask.clone(), "k").await;
    assert_eq!((kept.status, kept.headers["idempotency-replayed"].to_str().unwrap()), (StatusCode::CREATED, "true"));
    let other = site.post_once(&weak, "/api/v1/requests", ask, "k").await;
    assert_eq!(other.json()["type"], "urn:countersign:problem:idempotency-key-reused", "what another token was answered is not read with the key");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_not_asked_learns_nothing_from_answering() {
    let faulty = Faulty::start().await;
    let world = World::behind(&faulty).await;
    let site = Site::over(&world);
    let bo = site.token(&world, "bo.lind", &ALL).await;
    let (mara, stranger) = (site.token(&world, "mara.voss", &ALL).await, site.token(&world, "yusuf.demir", &ALL).await);
    let auditor = site.token(&world, "wei.zhang", &ALL).await;
    let asked = site.post(&bo, "/api/v1/requests", ask_body(&world).await).await;
    let id = asked.json()["id"].as_str().unwrap_or_else(|| panic!("{}", asked.text)).to_owned();
    let nothing = async |when: &str| {
        for act in ["approve", "deny"] {
            for body in [json!({}), json!({"step": 1}), json!({"step": 2})] {
                let of_this = site.post(&stranger, &format!("/api/v1/requests/{id}/{act}"), body.clone()).await;
                let of_none = site.post(&stranger, &format!("/api/v1/requests/{}/{act}", Uuid::nil()), body.clone()).await;
                assert_eq!(of_this.status, StatusCode::NOT_FOUND, "{when} {act} {body}: {}", of_this.text);
                let told = |answer: &Answer| (answer.json()["type"].clone(), answer.json()["title"].clone(), answer.json()["detail"].clone());
                assert_eq!(told(&of_this), told(&of_none), "{when} {act} {body}");
            }
        }
    };
    nothing("while it is open").await;
    // Without a directory everybody else is told so: a stranger is sent away before it is asked.
    faulty.down(true);
    nothing("while the directory is down").await;
    let path = format!("/api/v1/requests/{id}/approve");
    assert_eq!(site.post(&mara, &path, json!({})).await.status, StatusCode::SERVICE_UNAVAILABLE);
    faulty.down(false);
    assert_eq!(site.post(&mara, &path, json!({"step": 2})).await.status, StatusCode::CONFLICT, "who was asked is told that another step is open");
    assert_eq!(site.post(&auditor, &path, json!({})).await.status, StatusCode::UNPROCESSABLE_ENTITY, "who may read it is told why not");
    site.post(&mara, &format!("/api/v1/requests/{id}/deny"), json!({"reason": "Use the warehouse."})).await;
    assert_eq!(world.one::<String>("select status from countersign.request").await, "denied");
    nothing("when it is closed").await;
    assert_eq!(site.post(&mara, &path, json!({})).await.status, StatusCode::CONFLICT);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rights_by_token_age_out_while_nobody_reads_the_directory() {
    let (world, site) = site().await;
    let bo = site.token(&world, "bo.lind", &ALL).await;
    let asked = site.post(&bo, "/api/v1/requests", ask_body(&world).await).await.json();
    let path = format!("/api/v1/requests/{}", asked["id"].as_str().unwrap());
    let (administrator, auditor) = (site.token(&world, "sofia.marin", &ALL).await, site.token(&world, "wei.zhang", &ALL).await);
    world.turn().await;
    world.advance(Duration::hours(23)).await;
    for token in [&administrator, &auditor] {
        assert_eq!(site.get(token, &path).await.status, StatusCode::OK);
    }
    world.advance(Duration::minutes(61)).await;
    for token in [&administrator, &auditor] {
        assert_eq!(site.get(token, &path).await.status, StatusCode::NOT_FOUND);
    }
    assert_eq!(site.get(&bo, &path).await.status, StatusCode::OK, "what is one's own stays so");
    countersign::service::sync::sync(&world.ctx, "main").await.unwrap();
    assert_eq!(site.get(&administrator, &path).await.status, StatusCode::OK, "rights come back with the directory");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_comes_twice_acts_once() {
    let (world, site) = site().await;
    let bo = site.token(&world, "bo.lind", &ALL).await;
    let ask = ask_body(&world).await;
    let first = site.post_once(&bo, "/api/v1/requests", ask.clone(), "k-1").await;
    let second = site.post_once(&bo, "/api/v1/requests", ask.clone(), "k-1").await;
    assert_eq!((first.status, second.status), (StatusCode::CREATED, StatusCode::CREATED));
    assert_eq!(first.json(), second.json());
    assert!(first.headers.get("idempotency-replayed").is_none() && second.headers["idempotency-replayed"] == "true");
    assert_eq!(world.one::<i64>("select count(*) from countersign.request").await, 1);

    let other =
        site.post_once(&bo, "/api/v1/requests", json!({"role": ask["role"], "duration_s": 7200, "justification": "Something else entirely."}), "k-1").await;
    assert_eq!((other.status, &other.json()["type"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("urn:countersign:problem:idempotency-key-reused")));
    let elsewhere = site.post_once(&bo, "/api/v1/requests/preview", ask.clone(), "k-1").await;
    assert_eq!(elsewhere.status, StatusCode::UNPROCESSABLE_ENTITY, "the path is part of the call");

    // A refusal is an answer too, and is kept with its problem.
    let refused = site.post_once(&bo, "/api/v1/requests", ask.clone(), "k-2").await;
    let kept = site.post_once(&bo, "/api/v1/requests", ask.clone(), "k-2").await;
    assert_eq!((refused.status, kept.status), (StatusCode::CONFLICT, StatusCode::CONFLICT));
    assert_eq!(kept.headers[header::CONTENT_TYPE], "application/problem+json");
    assert_eq!(refused.json()["type"], kept.json()["type"]);
    assert_eq!(kept.headers["idempotency-replayed"], "true");

    // Keys belong to a token, so not to anybody else either.
    let mara = site.token(&world, "mara.voss", &ALL).await;
    assert_eq!(site.post_once(&mara, "/api/v1/requests", ask.clone(), "k-1").await.status, StatusCode::CREATED);

    // One that runs at this moment, and one that never came to its end.
    sqlx::query("update countersign.idempotency_key set status = null, body = null, created_at = $1 where key = 'k-2'")
        .bind(world.now())
        .execute(&world.root)
        .await
        .unwrap();
    let running = site.post_once(&bo, "/api/v1/requests", ask.clone(), "k-2").await;
    assert_eq!((running.status, &running.json()["type"]), (StatusCode::CONFLICT, &json!("urn:countersign:problem:idempotency-key-running")));
    world.advance(Duration::seconds(61)).await;
    let after = site.post_once(&bo, "/api/v1/requests", ask.clone(), "k-2").await;
    assert_eq!(after.json()["type"], "urn:countersign:refusal:already-open", "a crash leaves no lock for ever");

    for bad in ["", "with space", &"k".repeat(256)] {
        assert_eq!(site.post_once(&bo, "/api/v1/requests", ask.clone(), bad).await.status, StatusCode::BAD_REQUEST, "{bad}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_calls_that_come_at_once_with_one_key_one_acts() {
    let (world, site) = site().await;
    let bo = site.token(&world, "bo.lind", &ALL).await;
    let ask = ask_body(&world).await;
    let answers = futures_util::future::join_all((0..12).map(|_| site.post_once(&bo, "/api/v1/requests", ask.clone(), "same"))).await;
    let created: BTreeSet<String> = answers.iter().filter(|a| a.status == StatusCode::CREATED).map(|a| a.json()["id"].to_string()).collect();
    assert_eq!(created.len(), 1);
    assert!(answers.iter().all(|a| a.status == StatusCode::CREATED || a.json()["type"] == "urn:countersign:problem:idempotency-key-running"));
    assert_eq!(world.one::<i64>("select count(*) from countersign.audit_event where kind = 'request.submitted'").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_input_is_named_field_by_field_and_leaves_nothing() {
    let (world, site) = site().await;
    let bo = site.token(&world, "bo.lind", &ALL).await;
    let role = world.role("orders-db", "reader").await;
    let before: i64 = world.one("select count(*) from countersign.audit_event").await;
    let post = async |body: Value| site.post(&bo, "/api/v1/requests", body).await;

    let all = post(json!({"role": 7, "duration_s": "1h", "justification": ["x"], "starts_at": "soon", "extension_of": "y", "colour": "red"})).await;
    assert_eq!(all.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(all.fields(), ["role", "duration_s", "justification", "starts_at", "extension_of", "colour"]);
    assert_eq!(post(json!({})).await.fields(), ["duration_s", "role"]);
    let rules = post(json!({"role": role, "duration_s": 99_999_999, "justification": "short"})).await;
    assert_eq!((rules.status, rules.fields()), (StatusCode::UNPROCESSABLE_ENTITY, vec!["duration_s".to_owned(), "justification".into()]));
    for (text, field) in
        [("NUL \0 here, long enough", "justification"), ("direction \u{202e} mark, long enough", "justification"), (&"x".repeat(5_000), "justification")]
    {
        let answer = post(json!({"role": role, "duration_s": 3600, "justification": text})).await;
        assert_eq!((answer.status, answer.fields()), (StatusCode::UNPROCESSABLE_ENTITY, vec![field.to_owned()]), "{}", answer.text);
    }
    let past = post(json!({"role": role, "duration_s": 3600, "justification": "Long enough to pass.", "starts_at": "2001-01-01T00:00:00Z"})).await;
    assert!(past.status == StatusCode::UNPROCESSABLE_ENTITY || past.json()["status"] == "refused", "{}", past.text);
    assert_eq!(post(json!({"role": uuid::Uuid::nil(), "duration_s": 60})).await.status, StatusCode::NOT_FOUND);

    let raw = async |body: String, kind: &str| site.post_as(&bo, "/api/v1/requests", body, kind, None).await;
    for body in ["{\"role\": \"a\", \"role\": \"b\"}", "{", "[1]", "7", "\"x\"", "{\"role\":\u{7}}", "null", &"[".repeat(5_000)] {
        let answer = raw(body.to_owned(), "application/json").await;
        assert_eq!((answer.status, &answer.json()["type"]), (StatusCode::BAD_REQUEST, &json!("urn:countersign:problem:bad-input")), "{body:.20}");
    }
    assert_eq!(raw("role=1".into(), "application/x-www-form-urlencoded").await.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(raw("x".repeat(1 << 20), "application/json").await.status, StatusCode::PAYLOAD_TOO_LARGE);
    let huge = site.post_as(&bo, "/api/v1/requests", "x".repeat(1 << 20), "application/json", Some("big")).await;
    assert_eq!(huge.status, StatusCode::PAYLOAD_TOO_LARGE);

    for (path, status) in [
        ("/api/v1/requests?limit=0", 422),
        ("/api/v1/requests?limit=201", 422),
        ("/api/v1/requests?limit=many&status=odd&after=1&colour=red", 422),
        ("/api/v1/requests?status=pending&status=denied", 422),
        ("/api/v1/requests?waiting_for_me=perhaps", 422),
        ("/api/v1/catalog?q=%00", 422),
        ("/api/v1/events?kind=%25&after=-1&from=yesterday", 422),
        ("/api/v1/requests/not-an-id", 404),
        ("/api/v1/requests/%00", 404),
        ("/api/v1/exports/passwords.csv", 404),
        ("/api/v1/nothing", 404),
    ] {
        let answer = site.get(&bo, path).await;
        assert_eq!(answer.status.as_u16(), status, "{path}: {}", answer.text);
        assert_eq!(answer.headers[header::CONTENT_TYPE], "application/problem+json", "{path}");
    }
    assert_eq!(site.get(&bo, "/api/v1/requests?limit=many&status=odd&after=1&colour=red").await.fields(), ["status", "after", "limit", "colour"]);
    assert_eq!(site.get(&bo, "/api/v1/catalog?q=100%25_").await.json()["items"], json!([]));
    let wrong_way = Request::builder().method(Method::DELETE).uri("/api/v1/requests").header(header::AUTHORIZATION, format!("Bearer {bo}"));
    let wrong_way = site.send(wrong_way.body(Body::empty()).unwrap()).await;
    assert_eq!((wrong_way.status, &wrong_way.json()["type"]), (StatusCode::METHOD_NOT_ALLOWED, &json!("urn:countersign:problem:method")));

    let left: i64 = world.one("select count(*) from countersign.request where status <> 'refused'").await;
    assert_eq!(left, 0);
    let after: i64 = world.one("select count(*) from countersign.audit_event where kind not in ('token.used', 'request.refused')").await;
    assert_eq!(after, before, "nothing half-done remains");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_may_not_see_is_not_there() {
    let (world, site) = site().await;
    let bo = site.token(&world, "bo.lind", &ALL).await;
    let stranger = site.token(&world, "mei.tanaka", &ALL).await;
    let owner = site.token(&world, "arjun.mehta", &ALL).await;
    let auditor = site.token(&world, "wei.zhang", &ALL).await;
    let id = site.post(&bo, "/api/v1/requests", ask_body(&world).await).await.json()["id"].as_str().unwrap().to_owned();

    let missing = site.get(&stranger, &format!("/api/v1/requests/{}", uuid::Uuid::nil())).await;
    for act in ["", "/approve", "/deny", "/withdraw"] {
        let path = format!("/api/v1/requests/{id}{act}");
        let answer = if act.is_empty() { site.get(&stranger, &path).await } else { site.post(&stranger, &path, json!({})).await };
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        assert_eq!(answer.json()["detail"], missing.json()["detail"]);
    }
    assert_eq!(site.get(&stranger, "/api/v1/requests").await.json()["items"], json!([]));
    let events = site.get(&stranger, "/api/v1/events").await.json();
    assert!(events["items"].as_array().unwrap().iter().all(|event| event["request_id"].is_null()));
    for (token, may) in [(&bo, true), (&owner, true), (&auditor, true), (&stranger, false)] {
        assert_eq!(site.get(token, &format!("/api/v1/requests/{id}")).await.status == StatusCode::OK, may);
        let listed = site.get(token, "/api/v1/requests").await.json();
        assert_eq!(listed["items"].as_array().unwrap().iter().any(|row| row["id"] == id.as_str()), may);
        let logged = site.get(token, &format!("/api/v1/events?request={id}")).await.json();
        assert_eq!(!logged["items"].as_array().unwrap().is_empty(), may);
    }
    // To see is not to decide.
    for token in [&owner, &auditor] {
        let answer = site.post(token, &format!("/api/v1/requests/{id}/approve"), json!({})).await;
        assert!(answer.status.is_client_error(), "{}", answer.text);
    }
    assert_eq!(world.one::<String>("select status from countersign.request").await, "pending");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_of_a_list_miss_nothing_and_repeat_nothing() {
    let (world, site) = site().await;
    let auditor = site.token(&world, "wei.zhang", &ALL).await;
    for person in ["bo.lind", "yusuf.demir", "malik.johnson", "freya.holm", "kofi.asante"] {
        let token = site.token(&world, person, &ALL).await;
        assert_eq!(site.post(&token, "/api/v1/requests", ask_body(&world).await).await.status, StatusCode::CREATED);
    }
    for (list, most) in [("requests", 2), ("catalog", 3), ("events", 4)] {
        let whole = site.get(&auditor, &format!("/api/v1/{list}?limit=200")).await.json();
        assert!(whole.get("next").is_none());
        let whole: Vec<String> = whole["items"].as_array().unwrap().iter().map(|row| row["id"].to_string()).collect();
        assert!(whole.len() > most);
        let mut seen = Vec::new();
        let mut after = String::new();
        loop {
            let page = site.get(&auditor, &format!("/api/v1/{list}?limit={most}{after}")).await.json();
            seen.extend(page["items"].as_array().unwrap().iter().map(|row| row["id"].to_string()));
            let Some(next) = page.get("next") else { break };
            after = format!("&after={}", next.as_str().unwrap());
        }
        // The list of events grows while it is read: newer ones come before the first page.
        assert_eq!(seen[seen.len() - whole.len()..], whole[..], "{list}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_document_and_its_page_are_there_for_everybody_and_fit_the_routes() {
    let (world, site) = site().await;
    let document = site.send(Request::get("/api/openapi.json").body(Body::empty()).unwrap()).await;
    assert_eq!(document.headers[header::CONTENT_TYPE], "application/json");
    let document = document.json();
    let token = site.token(&world, "bo.lind", &[ALL[0]]).await;
    for (path, item) in document["paths"].as_object().unwrap() {
        let real = path.replace("{file}", "requests.csv").replace("{role}", "x").replace("{request}", "x").replace("{grant}", "x").replace("{token}", "x");
        for method in ["get", "post", "delete"] {
            let request = Request::builder().method(method.to_uppercase().as_str()).uri(&real).header(header::AUTHORIZATION, format!("Bearer {token}"));
            let answer = site.send(request.body(Body::empty()).unwrap()).await;
            assert_eq!(answer.status == StatusCode::METHOD_NOT_ALLOWED, item.get(method).is_none(), "{method} {path}: {}", answer.text);
            let nobody = Request::builder().method(method.to_uppercase().as_str()).uri(&real).header("sec-fetch-site", "same-origin");
            let nobody = site.send(nobody.body(Body::empty()).unwrap()).await;
            assert!(matches!(nobody.status, StatusCode::UNAUTHORIZED | StatusCode::METHOD_NOT_ALLOWED), "{method} {path}: {}", nobody.status);
        }
    }
    for path in ["/api", "/api/docs"] {
        let page = site.send(Request::get(path).body(Body::empty()).unwrap()).await;
        assert_eq!(page.status, StatusCode::OK);
        assert!(page.text.contains("/api/v1/requests/{request}/approve") && page.text.contains("approvals:write"));
    }
}
