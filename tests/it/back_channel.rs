//! The provider says that a session has ended there.

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Request, StatusCode};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::TimeDelta;
use countersign::service::sign_in::{self, Rules, Vouched};
use countersign::service::sign_out::Farewell;
use countersign::service::sync;
use countersign::store::timetable;
use countersign::web::oidc::Trouble;
use countersign::web::router::router;
use serde_json::{Map, Value, json};
use sha2::Sha256;
use std::net::SocketAddr;
use tower::ServiceExt;

use crate::oidc::{Provider, header, key, signed};
use crate::world::World;

const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
const PATH: &str = "/sign-in/back-channel-logout";

fn typed(secret: u8) -> Value {
    let mut header = header(secret);
    header["typ"] = json!("logout+jwt");
    header
}

/// Good claims, for the client `aud`.
fn claims(provider: &Provider, aud: &str) -> Value {
    let now = provider.now();
    json!({"iss": provider.server.url, "aud": aud, "iat": now, "exp": now + 120, "jti": uuid::Uuid::now_v7(), "sub": "s-1", "sid": "sid-1", "events": {EVENT: {}}})
}

/// Good claims with these members set; null takes one away.
fn changed(provider: &Provider, change: &Value) -> Value {
    let mut claims = claims(provider, "us");
    for (name, value) in change.as_object().unwrap() {
        match value {
            Value::Null => _ = claims.as_object_mut().unwrap().remove(name),
            value => claims[name] = value.clone(),
        }
    }
    claims
}

async fn told(provider: &Provider, token: &str) -> Result<Farewell, Trouble> {
    provider.connect().told_to_end(token).await
}

fn is_refused(outcome: &Result<Farewell, Trouble>) -> bool {
    matches!(outcome, Err(Trouble::Refused(_)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_good_logout_token_is_believed_in_every_dialect() {
    let provider = Provider::start().await;
    let now = provider.now();
    let said = told(&provider, &signed(&typed(1), &changed(&provider, &json!({"jti": "j"})), 1)).await.unwrap();
    let (sid, subject) = (Some("sid-1".to_owned()), Some("s-1".to_owned()));
    assert_eq!(said, Farewell { issuer: provider.server.url.clone(), jti: "j".into(), sid: sid.clone(), subject: subject.clone() });
    for (change, wanted) in [
        (json!({"aud": ["them", "us"]}), (sid.clone(), subject.clone())),
        (json!({"sub": null}), (sid.clone(), None)),
        (json!({"sid": null}), (None, subject.clone())),
        (json!({"exp": now - 30}), (sid.clone(), subject.clone())),
        (json!({"iat": now + 30}), (sid.clone(), subject.clone())),
        (json!({"iat": now as f64 - 0.5}), (sid.clone(), subject.clone())),
        (json!({"events": {EVENT: {"more": 1}, "https://other.example/event": {}}}), (sid, subject)),
    ] {
        let said = told(&provider, &signed(&typed(1), &changed(&provider, &change), 1)).await;
        assert_eq!(said.map(|said| (said.sid, said.subject)), Ok(wanted), "{change}");
    }
    let mut untyped = header(1);
    untyped.as_object_mut().unwrap().remove("typ");
    let mut nameless = typed(1);
    nameless.as_object_mut().unwrap().remove("kid");
    for header in [header(1), untyped, nameless] {
        assert!(told(&provider, &signed(&header, &claims(&provider, "us"), 1)).await.is_ok(), "{header}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logout_tokens_that_say_anything_else_are_refused() {
    let provider = Provider::start().await;
    let now = provider.now();
    for change in [
        json!({"iss": "https://evil.example"}),
        json!({"iss": format!("{}/", provider.server.url)}),
        json!({"iss": null}),
        json!({"aud": "them"}),
        json!({"aud": []}),
        json!({"aud": {"us": 1}}),
        json!({"aud": null}),
        json!({"exp": now - 90}),
        json!({"exp": null}),
        json!({"exp": "soon"}),
        json!({"iat": now + 90}),
        json!({"iat": now - 660}),
        json!({"iat": null}),
        json!({"nbf": now + 90}),
        json!({"nbf": "then"}),
        json!({"jti": null}),
        json!({"jti": ""}),
        json!({"jti": 7}),
        json!({"jti": "j".repeat(1_025)}),
        json!({"nonce": "n"}),
        json!({"nonce": ""}),
        json!({"events": null}),
        json!({"events": {}}),
        json!({"events": {EVENT: true}}),
        json!({"events": [EVENT]}),
        json!({"events": EVENT}),
        json!({"events": {"http://schemas.openid.net/event/backchannel-logout/": {}}}),
        json!({"sub": null, "sid": null}),
        json!({"sub": "", "sid": null}),
        json!({"sub": 7}),
        json!({"sid": ["sid-1"]}),
    ] {
        let outcome = told(&provider, &signed(&typed(1), &changed(&provider, &change), 1)).await;
        assert!(is_refused(&outcome), "{change}: {outcome:?}");
    }
    // A nonce that is there and null is there.
    let mut with_null = claims(&provider, "us");
    with_null["nonce"] = Value::Null;
    assert!(is_refused(&told(&provider, &signed(&typed(1), &with_null, 1)).await));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logout_tokens_that_are_signed_wrongly_are_refused() {
    let provider = Provider::start().await;
    let claims = claims(&provider, "us");
    let good = signed(&typed(1), &claims, 1);
    let (body, signature) = good.rsplit_once('.').unwrap();
    let claims_part = body.split_once('.').unwrap().1;
    let under = |header: Value| format!("{}.{claims_part}", URL_SAFE_NO_PAD.encode(header.to_string()));
    let hs256 = |secret: &[u8]| {
        use hmac::{Hmac, KeyInit, Mac};
        let body = under(json!({"alg": "HS256", "kid": "key-1", "typ": "logout+jwt"}));
        let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(secret).unwrap();
        mac.update(body.as_bytes());
        format!("{body}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
    };
    use openidconnect::PrivateSigningKey;
    let public = serde_json::to_value(key(1).as_verification_key()).unwrap();
    let point = URL_SAFE_NO_PAD.decode(public["x"].as_str().unwrap()).unwrap();
    let with = |name: &str, value: Value| {
        let mut header = typed(1);
        header[name] = value;
        signed(&header, &claims, 1)
    };
    for (what, token) in [
        ("not signed", format!("{}.", under(json!({"alg": "none", "typ": "logout+jwt"})))),
        ("not signed, but with a signature", format!("{}.{signature}", under(json!({"alg": "none"})))),
        ("no algorithm", format!("{}.{signature}", under(json!({"kid": "key-1"})))),
        ("an algorithm nobody has", format!("{}.{signature}", under(json!({"alg": "XS256", "kid": "key-1"})))),
        ("an algorithm of another kind of key", format!("{}.{signature}", under(json!({"alg": "RS256", "kid": "key-1"})))),
        ("signed with the public key as a secret", hs256(&point)),
        ("signed with the published key's text as a secret", hs256(public.to_string().as_bytes())),
        ("signed with our own secret", hs256(b"shared secret")),
        ("signed with another key under the same name", signed(&typed(1), &claims, 2)),
        ("signed with a key that is not published", signed(&typed(2), &claims, 2)),
        ("cut off", format!("{body}.")),
        ("signature of other claims", format!("{body}.{}", signed(&typed(1), &json!({}), 1).rsplit_once('.').unwrap().1)),
        ("an ID token", with("typ", json!("id+jwt"))),
        ("an access token", with("typ", json!("at+jwt"))),
        ("a type that is no text", with("typ", json!(7))),
        ("something critical", with("crit", json!(["exp"]))),
        ("a key that is no name", with("kid", json!({"jwk": 1}))),
        ("no claims", signed(&typed(1), &json!([]), 1)),
        ("one part", "x".into()),
        ("two parts", "e30.e30".into()),
        ("four parts", format!("{good}.x")),
        ("five parts, as if encrypted", format!("{good}.x.y")),
        ("empty", String::new()),
        ("dots", "..".into()),
        ("no base64", "€.€.€".into()),
        ("huge", format!("{}.{}", "A".repeat(40_000), good)),
    ] {
        let outcome = told(&provider, &token).await;
        assert!(is_refused(&outcome), "{what}: {outcome:?}");
    }
    assert!(told(&provider, &good).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_unknown_keys_does_not_make_us_ask_for_keys_each_time() {
    let provider = Provider::start().await;
    let oidc = provider.connect();
    assert!(oidc.told_to_end(&signed(&typed(1), &claims(&provider, "us"), 1)).await.is_ok());
    assert_eq!(provider.asked_for("/jwks"), 1);
    for n in 2..52 {
        assert!(is_refused(&oidc.told_to_end(&signed(&typed(n), &claims(&provider, "us"), n)).await));
    }
    assert_eq!(provider.asked_for("/jwks"), 2);
    // A new key is found all the same, a moment later.
    provider.script.lock().unwrap().keys = vec![1, 60];
    provider.clock.set(provider.clock.now() + TimeDelta::seconds(11));
    assert!(oidc.told_to_end(&signed(&typed(60), &claims(&provider, "us"), 60)).await.is_ok());
    assert_eq!(provider.asked_for("/jwks"), 3);
    provider.script.lock().unwrap().down = true;
    let outcome = provider.connect().told_to_end(&signed(&typed(1), &claims(&provider, "us"), 1)).await;
    assert!(matches!(outcome, Err(Trouble::Unavailable(_))), "{outcome:?}");
}

struct House {
    world: World,
    provider: Provider,
    routes: Router,
}

impl House {
    async fn new() -> Self {
        let (world, provider) = (World::empty().await, Provider::start().await);
        sync::sync(&world.ctx, "main").await.unwrap();
        let routes = router(&crate::door::app(&world, &provider.server.url));
        Self { world, provider, routes }
    }

    /// A session of somebody, who is `s-` and their name to the provider, in the provider's session `sid`.
    async fn session(&self, issuer: &str, user_name: &str, sid: Option<&str>) {
        let rules = Rules::new("main", "preferred_username", "user_name");
        let claims = Map::from_iter([("preferred_username".to_owned(), user_name.into())]);
        let (subject, sid) = (format!("s-{user_name}"), sid.map(str::to_owned));
        let vouched = Vouched { issuer: issuer.to_owned(), subject, sid, auth_time: None, id_token: "t".into(), claims };
        sign_in::start(&self.world.ctx, &rules, &vouched, &sign_in::Browser::default()).await.unwrap();
    }

    fn token(&self, change: impl FnOnce(&mut Value)) -> String {
        let mut claims = claims(&self.provider, "countersign");
        change(&mut claims);
        signed(&typed(1), &claims, 1)
    }

    async fn post(&self, kind: &str, body: String, headers: &[(&str, &str)]) -> (StatusCode, String, String) {
        let mut request = Request::post(PATH).header("content-type", kind);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(Body::from(body)).unwrap();
        request.extensions_mut().insert(ConnectInfo("203.0.113.9:4711".parse::<SocketAddr>().unwrap()));
        let answer = self.routes.clone().oneshot(request).await.unwrap();
        let (status, kept) = (answer.status(), answer.headers()["cache-control"].to_str().unwrap().to_owned());
        assert!(!answer.headers().contains_key("set-cookie"));
        let body = axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        (status, kept, String::from_utf8(body.to_vec()).unwrap())
    }

    async fn says(&self, token: &str) -> StatusCode {
        let (status, kept, body) = self.post("application/x-www-form-urlencoded", format!("logout_token={token}"), &[]).await;
        assert_eq!((kept.as_str(), body.is_empty()), ("no-store", status == StatusCode::OK), "{body}");
        status
    }

    /// Who is signed in in which session of the provider.
    async fn sessions(&self) -> Vec<String> {
        let sql = "select p.user_name || ' ' || coalesce(s.sid, '-') from countersign.session s join countersign.person p on p.id = s.person_id where s.issuer = $1 order by 1";
        sqlx::query_scalar(sql).bind(&self.provider.server.url).fetch_all(&self.world.root).await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_ended_at_the_provider_ends_here_and_nothing_else_does() {
    let house = House::new().await;
    let issuer = house.provider.server.url.clone();
    for sid in [Some("sid-1"), Some("sid-2"), None] {
        house.session(&issuer, "bo.lind", sid).await;
    }
    house.session(&issuer, "mara.voss", Some("sid-3")).await;
    house.session("https://other.example", "wei.zhang", Some("sid-1")).await;

    // Nobody's session: all is well, and nothing happens.
    assert_eq!(house.says(&house.token(|claims| claims["sid"] = "sid-9".into())).await, StatusCode::OK);
    // Another subject's: it is not ended by guessing.
    let guessed = house.token(|claims| {
        claims["sub"] = "s-mara.voss".into();
        claims["sid"] = "sid-1".into();
    });
    assert_eq!(house.says(&guessed).await, StatusCode::OK);
    assert_eq!(house.sessions().await, ["bo.lind -", "bo.lind sid-1", "bo.lind sid-2", "mara.voss sid-3"]);
    assert_eq!(house.world.one::<i64>("select count(*) from countersign.audit_event where kind = 'session.ended'").await, 0);

    // One session, and the one of which it is not known that it is another.
    let token = house.token(|claims| claims["sub"] = "s-bo.lind".into());
    assert_eq!(house.says(&token).await, StatusCode::OK);
    assert_eq!(house.sessions().await, ["bo.lind sid-2", "mara.voss sid-3"]);
    // Taken once.
    house.session(&issuer, "bo.lind", Some("sid-1")).await;
    assert_eq!(house.says(&token).await, StatusCode::BAD_REQUEST);
    assert_eq!(house.sessions().await, ["bo.lind sid-1", "bo.lind sid-2", "mara.voss sid-3"]);
    // By session alone, then by person alone.
    let of_session = house.token(|claims| {
        claims.as_object_mut().unwrap().remove("sub");
        claims["sid"] = "sid-3".into();
    });
    assert_eq!(house.says(&of_session).await, StatusCode::OK);
    assert_eq!(house.sessions().await, ["bo.lind sid-1", "bo.lind sid-2"]);
    let of_person = house.token(|claims| {
        claims.as_object_mut().unwrap().remove("sid");
        claims["sub"] = "s-bo.lind".into();
    });
    assert_eq!(house.says(&of_person).await, StatusCode::OK);
    assert!(house.sessions().await.is_empty());
    assert_eq!(house.world.one::<i64>("select count(*) from countersign.session").await, 1, "another provider's sessions go on");
    let reasons = "select string_agg(distinct data ->> 'reason' || ' by ' || actor_kind, ',') from countersign.audit_event where kind = 'session.ended'";
    assert_eq!(house.world.one::<String>(reasons).await, "signed_out_at_provider by system");
    assert_eq!(house.world.one::<i64>("select count(*) from countersign.audit_event where kind = 'session.ended' and person_id is not null").await, 5);
    // What was taken is remembered for as long as it could be good, and not longer.
    assert_eq!(house.world.one::<i64>("select count(*) from countersign.logout_token").await, 5);
    house.world.advance(TimeDelta::minutes(31)).await;
    timetable::tidy(&house.world.ctx.db, house.world.now()).await.unwrap();
    assert_eq!(house.world.one::<i64>("select count(*) from countersign.logout_token").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_provider_needs_no_cookie_and_nobody_else_gets_anywhere() {
    let house = House::new().await;
    let issuer = house.provider.server.url.clone();
    house.session(&issuer, "bo.lind", Some("sid-1")).await;
    let form = "application/x-www-form-urlencoded";
    let of_bo = || house.token(|claims| claims["sub"] = "s-bo.lind".into());
    for (what, kind, body) in [
        ("nothing", form, String::new()),
        ("no token", form, "logout_token=".into()),
        ("another name", form, format!("id_token={}", of_bo())),
        ("twice", form, format!("logout_token={}&logout_token={}", of_bo(), of_bo())),
        ("JSON", "application/json", json!({"logout_token": of_bo()}).to_string()),
        ("text", "text/plain", of_bo()),
        ("bytes", form, "logout_token=%ff%00".into()),
        ("another client's", form, format!("logout_token={}", house.token(|claims| claims["aud"] = "them".into()))),
    ] {
        let (status, kept, body) = house.post(kind, body, &[]).await;
        assert_eq!((status, kept.as_str()), (StatusCode::BAD_REQUEST, "no-store"), "{what}: {body}");
    }
    let (status, _, body) = house.post(form, "x".repeat(80_000), &[("accept", "application/json")]).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "{body}");
    assert_eq!(house.sessions().await, ["bo.lind sid-1"]);
    // The provider may be down when its word comes: it is told so, and may say it again.
    house.provider.script.lock().unwrap().down = true;
    let (status, ..) = house.post(form, format!("logout_token={}", of_bo()), &[]).await;
    assert_eq!(status, StatusCode::OK, "its keys were read before");
    house.session(&issuer, "bo.lind", Some("sid-1")).await;
    let again = House { routes: router(&crate::door::app(&house.world, &issuer)), ..house };
    let (status, ..) = again.post(form, format!("logout_token={}", again.token(|claims| claims["sub"] = "s-bo.lind".into())), &[]).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(again.sessions().await, ["bo.lind sid-1"]);
    again.provider.script.lock().unwrap().down = false;
    again.world.advance(TimeDelta::seconds(3)).await;
    // Sent along by some browser of another site, it is the provider's word all the same.
    let token = again.token(|claims| claims["sub"] = "s-bo.lind".into());
    let elsewhere = [("sec-fetch-site", "cross-site"), ("origin", "https://evil.example"), ("cookie", "countersign=x")];
    let (status, ..) = again.post(form, format!("logout_token={token}"), &elsewhere).await;
    assert_eq!(status, StatusCode::OK);
    assert!(again.sessions().await.is_empty());
    // Too much is too much.
    let mut taken = 0;
    while again.post(form, "logout_token=x".into(), &[]).await.0 != StatusCode::TOO_MANY_REQUESTS {
        taken += 1;
        assert!(taken < 20_000, "there is no limit");
    }
    assert!(taken >= 900, "{taken} are not many for a provider with many people");
}
