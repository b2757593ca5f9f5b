//! In and out over the router: sessions, rights, cross-site, outages.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use axum::routing::{get, post};
use chrono::Duration;
use countersign::directory::http;
use countersign::directory::port::Directory;
use countersign::directory::scim::Scim;
use countersign::domain::secret::Secret;
use countersign::service::sign_in::{Rules, Vouched};
use countersign::service::{sign_in, sync};
use countersign::web::guard::{Administrator, Auditor, SignedIn};
use countersign::web::oidc::{Oidc, Settings};
use countersign::web::state::{App, Public};
use countersign::web::{door, layers};
use scraper::{Html, Selector};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::scripted::{Reply, Scripted};
use crate::world::World;

pub const HERE: &str = "http://127.0.0.1:9";

/// A world with its front door.
struct House {
    world: World,
    app: App,
}

/// The web's state over a world, with the provider at `issuer`.
pub fn app(world: &World, issuer: &str) -> App {
    App {
        ctx: world.ctx.clone(),
        rules: Arc::new(Rules::new("main", "preferred_username", "user_name")),
        oidc: oidc(world, issuer, "client-secret-of-the-tests"),
        provider: "Demo directory".into(),
        public: Arc::new(Public::new(HERE).unwrap()),
        trusted_proxies: [].into(),
        limits: Arc::default(),
        body_limit: 64 * 1024,
        metrics: Default::default(),
        demo: true,
    }
}

/// A provider that knows us by this secret.
pub fn oidc(world: &World, issuer: &str, secret: &str) -> Arc<Oidc> {
    let settings = Settings {
        issuer: issuer.to_owned(),
        client_id: "countersign".into(),
        client_secret: Some(Secret::new(secret)),
        scopes: vec!["profile".into(), "email".into()],
        claims: vec!["preferred_username".into()],
        redirect: format!("{HERE}/sign-in/callback"),
        after_sign_out: format!("{HERE}/signed-out"),
        extra_roots: None,
    };
    Arc::new(Oidc::new(settings, world.ctx.clock.clone()).unwrap())
}

impl House {
    async fn new() -> Self {
        let world = World::empty().await;
        sync::sync(&world.ctx, "main").await.unwrap();
        let app = app(&world, world.demo.issuer());
        Self { world, app }
    }

    fn browser(&self) -> Browser {
        Browser { router: routes(&self.app), cookies: BTreeMap::new(), peer: "203.0.113.7:4711".parse().unwrap() }
    }

    async fn signed_in(&self, user_name: &str) -> Browser {
        let mut browser = self.browser();
        let answer = browser.sign_in(&self.world, user_name, "/").await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.body);
        browser
    }

    async fn events(&self, kind: &'static str) -> i64 {
        sqlx::query_scalar("select count(*) from countersign.audit_event where kind = $1").bind(kind).fetch_one(&self.world.root).await.unwrap()
    }

    /// Turns an account on or off in the demo directory, by the directory's own page.
    async fn set_active(&self, user_name: &str, active: bool) {
        let person = self.world.directory().find_person("user_name", user_name).await.unwrap().unwrap().reference;
        let issuer = self.world.demo.issuer();
        let form = [("active", active.to_string())];
        let answer = client().post(format!("{issuer}/people/{person}")).header("origin", issuer).form(&form).send().await.unwrap();
        assert_eq!(answer.status(), 303);
    }
}

fn client() -> reqwest::Client {
    reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build().unwrap()
}

fn routes(app: &App) -> Router {
    let routes = Router::new()
        .route("/sign-in", get(door::page))
        .route("/sign-in/start", get(door::start))
        .route("/sign-in/callback", get(door::callback))
        .route("/sign-out", post(door::out))
        .route("/signed-out", get(door::signed_out))
        .route("/sessions", get(door::sessions))
        .route("/sessions/{id}/end", post(door::end_session))
        .route("/sessions/end-others", post(door::end_other_sessions))
        .route("/", get(|SignedIn(viewer): SignedIn| async move { viewer.name }))
        .route("/act", post(|SignedIn(viewer): SignedIn| async move { viewer.name }))
        .route("/log", get(|Auditor(viewer): Auditor| async move { viewer.name }))
        .route("/admin", get(|Administrator(viewer): Administrator| async move { viewer.name }))
        .route("/api/v1/me", get(|SignedIn(viewer): SignedIn| async move { viewer.name }));
    layers::around(routes, app)
}

struct Browser {
    router: Router,
    cookies: BTreeMap<String, String>,
    peer: SocketAddr,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Answer {
    fn location(&self) -> &str {
        assert_eq!(self.status, StatusCode::SEE_OTHER, "{}", self.body);
        self.headers["location"].to_str().unwrap()
    }
}

impl Browser {
    async fn send(&mut self, method: Method, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in &self.cookies {
            request = request.header("cookie", format!("{name}={value}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(Body::empty()).unwrap();
        request.extensions_mut().insert(ConnectInfo(self.peer));
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        for set in parts.headers.get_all("set-cookie") {
            let set = set.to_str().unwrap();
            let (name, value) = set.split(';').next().unwrap().split_once('=').unwrap();
            if set.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.into(), value.into());
            }
        }
        let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
        Answer { status: parts.status, headers: parts.headers, body: String::from_utf8(body.to_vec()).unwrap() }
    }

    async fn get(&mut self, path: &str) -> Answer {
        self.send(Method::GET, path, &[]).await
    }

    async fn post(&mut self, path: &str) -> Answer {
        self.send(Method::POST, path, &[("sec-fetch-site", "same-origin")]).await
    }

    /// Begins here and chooses somebody at the provider; returns the callback's path.
    async fn choose(&mut self, world: &World, user_name: &str, next: &str) -> String {
        let address = self.get(&format!("/sign-in/start?to={next}")).await.location().to_owned();
        let page = client().get(&address).send().await.unwrap().text().await.unwrap();
        let request = {
            let page = Html::parse_document(&page);
            let field = page.select(&Selector::parse("form[method=post] input[name=request]").unwrap()).next().unwrap();
            field.value().attr("value").unwrap().to_owned()
        };
        let person = world.directory().find_person("user_name", user_name).await.unwrap().unwrap().reference;
        let issuer = world.demo.issuer();
        let form = [("request", request), ("person", person)];
        let answer = client().post(format!("{issuer}/sign-in")).header("origin", issuer).form(&form).send().await.unwrap();
        answer.headers()["location"].to_str().unwrap().strip_prefix(HERE).unwrap().to_owned()
    }

    async fn sign_in(&mut self, world: &World, user_name: &str, next: &str) -> Answer {
        let callback = self.choose(world, user_name, next).await;
        self.get(&callback).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_signs_in_goes_where_they_wanted_and_signs_out() {
    let house = House::new().await;
    let mut browser = house.browser();
    assert_eq!(browser.get("/sessions?x=1").await.location(), "/sign-in?to=%2Fsessions%3Fx%3D1");
    let door = browser.get("/sign-in?to=%2Fsessions%3Fx%3D1").await;
    assert_eq!(door.status, StatusCode::OK);
    assert!(door.body.contains("/sign-in/start?to=%2Fsessions%3Fx%3D1") && door.body.contains("Demo directory"));
    let answer = browser.sign_in(&house.world, "bo.lind", "%2Fsessions%3Fx%3D1").await;
    assert_eq!(answer.location(), "/sessions?x=1");
    assert_eq!(browser.get("/").await.body, "Bo Lind");
    assert!(browser.get("/sessions").await.body.contains("Bo Lind"));
    assert_eq!(browser.get("/sign-in?to=%2Fadmin").await.location(), "/admin", "who is in is not asked again");
    assert_eq!((house.events("session.started").await, house.events("identity.linked").await), (1, 1));

    let cookie = browser.cookies["countersign"].clone();
    let kept: String = house.world.one("select to_jsonb(s)::text from countersign.session s").await;
    assert!(!kept.contains(&cookie), "the cookie itself is kept nowhere");

    let out = browser.post("/sign-out").await;
    assert!(out.location().starts_with(&format!("{}/", house.world.demo.issuer())), "{}", out.location());
    for parameter in ["id_token_hint=", "client_id=countersign", "post_logout_redirect_uri=", "state="] {
        assert!(out.location().contains(parameter), "{parameter}");
    }
    assert_eq!(out.headers["clear-site-data"], "\"cache\", \"storage\"");
    assert!(!browser.cookies.contains_key("countersign"));
    let last = browser.get("/signed-out?state=x").await;
    assert!(last.status == StatusCode::OK && last.body.contains("You are signed out"));
    // The peer's defect: an old cookie that still works.
    browser.cookies.insert("countersign".into(), cookie);
    assert_eq!(browser.get("/").await.location(), "/sign-in");
    assert_eq!(browser.post("/act").await.location(), "/sign-in");
    assert_eq!(house.events("session.ended").await, 1);
    assert_eq!(house.world.one::<i64>("select count(*) from countersign.session").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_sign_in_is_a_new_session_and_the_same_person() {
    let house = House::new().await;
    let mut browser = house.signed_in("bo.lind").await;
    let first = browser.cookies["countersign"].clone();
    browser.sign_in(&house.world, "bo.lind", "/").await;
    let second = browser.cookies.insert("countersign".into(), first.clone()).unwrap();
    assert_ne!(first, second);
    assert_eq!(browser.get("/").await.location(), "/sign-in", "the old cookie is dead");
    browser.cookies.insert("countersign".into(), second);
    assert_eq!(browser.get("/").await.body, "Bo Lind");
    assert_eq!((house.events("session.started").await, house.events("session.ended").await), (2, 1));
    assert_eq!(house.world.one::<i64>("select count(*) from countersign.identity").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sign_in_belongs_to_the_browser_that_began_it_and_is_used_once() {
    let house = House::new().await;
    let over = |answer: &Answer| answer.status == StatusCode::BAD_REQUEST && answer.body.contains("This sign-in is over");
    let mut mine = house.browser();
    let callback = mine.choose(&house.world, "bo.lind", "/").await;
    // Login CSRF: somebody else's answer in my browser, with and without a sign-in of my own under way.
    let mut other = house.browser();
    assert!(over(&other.get(&callback).await));
    other.get("/sign-in/start").await;
    assert!(over(&other.get(&callback).await));
    assert!(over(&mine.get("/sign-in/callback?code=x&state=made-up").await));
    assert!(over(&mine.get("/sign-in/callback").await));
    assert!(over(&mine.get("/sign-in/callback?state=%00&code=%ff&state=twice").await));
    assert!(mine.get(&callback).await.location() == "/", "the others spoiled nothing");
    assert!(over(&mine.get(&callback).await), "once is enough");
    // Two tabs.
    let mut tabs = house.browser();
    let one = tabs.choose(&house.world, "bo.lind", "%2Flog").await;
    let two = tabs.choose(&house.world, "bo.lind", "%2Fsessions").await;
    assert_eq!(tabs.get(&two).await.location(), "/sessions");
    assert_eq!(tabs.get(&one).await.location(), "/log");
    // Too late.
    let mut late = house.browser();
    let callback = late.choose(&house.world, "bo.lind", "/").await;
    house.world.advance(Duration::seconds(601)).await;
    assert!(over(&late.get(&callback).await));
    assert_eq!(house.events("session.started").await, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_next_address_never_leads_elsewhere() {
    let house = House::new().await;
    for hostile in ["https://evil.example", "//evil.example", "/%5Cevil.example", "/%09/evil.example", "javascript:alert(1)"] {
        let mut browser = house.browser();
        assert!(!browser.get(&format!("/sign-in?to={hostile}")).await.body.contains("evil"), "{hostile}");
        assert_eq!(browser.sign_in(&house.world, "bo.lind", hostile).await.location(), "/", "{hostile}");
    }
    assert_eq!(house.browser().get("//evil.example/x").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_at_the_provider_is_told_and_logged() {
    let house = House::new().await;
    let mut browser = house.browser();
    let state = |location: &str| {
        let url = reqwest::Url::parse(location).unwrap();
        url.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned()
    };
    let issuer = house.world.demo.issuer().to_owned();
    let begun = state(browser.get("/sign-in/start").await.location());
    let hostile = "%3Cscript%3Ealert(1)%3C/script%3E";
    let answer = browser.get(&format!("/sign-in/callback?error=access_denied&error_description={hostile}&state={begun}&iss={issuer}")).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert!(answer.body.contains("cancelled or refused at the provider") && !answer.body.contains("alert(1)"));
    let begun = state(browser.get("/sign-in/start").await.location());
    let answer = browser.get(&format!("/sign-in/callback?error=server_error&state={begun}&iss={issuer}")).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    let begun = state(browser.get("/sign-in/start").await.location());
    let answer = browser.get(&format!("/sign-in/callback?code=made-up&state={begun}&iss={issuer}")).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN, "the provider does not know the code");
    let begun = state(browser.get("/sign-in/start").await.location());
    let answer = browser.get(&format!("/sign-in/callback?code=x&state={begun}&iss=https://evil.example")).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN, "mix-up: another issuer answers");
    assert_eq!((house.events("session.refused").await, house.events("session.started").await), (3, 0));
    assert!(browser.cookies.keys().all(|name| name != "countersign"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_ends_when_unused_and_in_any_case() {
    let house = House::new().await;
    let mut employee = house.signed_in("bo.lind").await;
    for _ in 0..3 {
        house.world.advance(Duration::minutes(29)).await;
        assert_eq!(employee.get("/").await.body, "Bo Lind", "use keeps it alive");
    }
    house.world.advance(Duration::minutes(31)).await;
    assert_eq!(employee.get("/").await.location(), "/sign-in");
    let mut employee = house.signed_in("bo.lind").await;
    for _ in 0..28 {
        house.world.advance(Duration::minutes(25)).await;
        assert_eq!(employee.get("/").await.status, StatusCode::OK);
    }
    house.world.advance(Duration::minutes(21)).await;
    assert_eq!(employee.get("/").await.location(), "/sign-in", "12 hours are the most, however busy");
}

/// Logins of somebody in the administrators' group and somebody in the auditors'.
async fn privileged(house: &House) -> (String, String) {
    let mut found = Vec::new();
    for group in ["countersign-admins", "countersign-auditors"] {
        let reference = house.world.group(group).await;
        let name: String =
            sqlx::query_scalar("select user_name from countersign.person where $1 = any(groups) and status = 'active' order by user_name limit 1")
                .bind(reference)
                .fetch_one(&house.world.root)
                .await
                .unwrap();
        found.push(name);
    }
    (found.remove(0), found.remove(0))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_rights_mean_a_shorter_pause() {
    let house = House::new().await;
    let (administrator, auditor) = privileged(&house).await;
    for name in [&administrator, &auditor] {
        let mut browser = house.signed_in(name).await;
        house.world.advance(Duration::minutes(14)).await;
        assert_eq!(browser.get("/").await.status, StatusCode::OK);
        house.world.advance(Duration::minutes(16)).await;
        assert_eq!(browser.get("/").await.location(), "/sign-in", "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rights_decide_and_what_one_may_not_see_is_not_there() {
    let house = House::new().await;
    let (administrator, auditor) = privileged(&house).await;
    let (ok, missing) = (StatusCode::OK, StatusCode::NOT_FOUND);
    for (who, home, log, admin) in [("bo.lind", ok, missing, missing), (auditor.as_str(), ok, ok, missing), (administrator.as_str(), ok, ok, ok)] {
        let mut browser = house.signed_in(who).await;
        let got = (browser.get("/").await.status, browser.get("/log").await.status, browser.get("/admin").await.status);
        assert_eq!(got, (home, log, admin), "{who}");
        assert_eq!(browser.get("/no-such-page").await.status, missing);
    }
    let mut employee = house.signed_in("bo.lind").await;
    let hidden = employee.get("/admin").await;
    let nowhere = employee.get("/no-such-page").await;
    assert_eq!(hidden.body, nowhere.body, "a page one may not see looks like none");
    let mut stranger = house.browser();
    for path in ["/log", "/admin"] {
        assert_eq!(stranger.get(path).await.location(), format!("/sign-in?to=%2F{}", &path[1..]));
    }
    // Rights are of the moment: they go with the group.
    let mut administrator = house.signed_in(&administrator).await;
    assert_eq!(administrator.get("/admin").await.status, ok);
    sqlx::query("update countersign.person set groups = '{}'").execute(&house.world.root).await.unwrap();
    assert_eq!(administrator.get("/admin").await.status, missing);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_api_says_401_and_a_problem() {
    let house = House::new().await;
    let answer = house.browser().get("/api/v1/me").await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert_eq!(
        (&answer.headers["content-type"], &answer.headers["www-authenticate"]),
        (&"application/problem+json".parse().unwrap(), &"Bearer".parse().unwrap())
    );
    let problem: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!((&problem["type"], &problem["status"]), (&json!("urn:countersign:problem:unauthenticated"), &json!(401)));
    let answer = house.browser().get("/api/v1/nothing").await;
    assert_eq!(serde_json::from_str::<Value>(&answer.body).unwrap()["type"], "urn:countersign:problem:missing");
    let answer = house.browser().send(Method::DELETE, "/", &[("sec-fetch-site", "same-origin"), ("accept", "application/json")]).await;
    assert_eq!((answer.status, answer.headers["allow"].to_str().unwrap()), (StatusCode::METHOD_NOT_ALLOWED, "GET,HEAD"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_site_cannot_act_for_somebody() {
    let house = House::new().await;
    let mut browser = house.signed_in("bo.lind").await;
    for headers in [
        &[][..],
        &[("sec-fetch-site", "cross-site"), ("origin", "https://evil.example")],
        &[("sec-fetch-site", "same-site")],
        &[("origin", "https://evil.example")],
        &[("origin", "null")],
        &[("authorization", "Bearer x")],
        &[("authorization", "Bearer x"), ("sec-fetch-site", "cross-site"), ("origin", "https://evil.example")],
    ] {
        for path in ["/sign-out", "/act", "/sessions/end-others"] {
            let answer = browser.send(Method::POST, path, headers).await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path} {headers:?}");
        }
    }
    assert_eq!(browser.get("/sign-out").await.status, StatusCode::METHOD_NOT_ALLOWED, "a link signs nobody out");
    assert_eq!(browser.get("/").await.body, "Bo Lind");
    assert_eq!(browser.send(Method::POST, "/act", &[("origin", HERE)]).await.body, "Bo Lind");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_tells_the_browser_what_not_to_do() {
    let house = House::new().await;
    let mut browser = house.signed_in("bo.lind").await;
    let mut answers = Vec::new();
    for path in ["/", "/sessions", "/no-such-page", "/sign-in", "/sign-in/start", "/signed-out", "/api/v1/nothing", "/log"] {
        answers.push((path, browser.get(path).await));
    }
    answers.push(("cross-site", browser.send(Method::POST, "/act", &[]).await));
    for (path, answer) in &answers {
        let header = |name: &str| answer.headers.get(name).unwrap_or_else(|| panic!("{path} has no {name}")).to_str().unwrap();
        assert!(header("content-security-policy").starts_with("default-src 'none'; script-src 'self'; style-src 'self';"));
        assert!(header("content-security-policy").contains(&format!("form-action 'self' {};", house.world.demo.issuer())));
        assert_eq!(header("x-content-type-options"), "nosniff");
        assert_eq!(header("referrer-policy"), "no-referrer");
        assert_eq!(header("cross-origin-opener-policy"), "same-origin");
        assert_eq!(header("cross-origin-resource-policy"), "same-origin");
        assert_eq!(header("cache-control"), "no-store");
        assert!(!answer.headers.contains_key("strict-transport-security"), "not over http");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_https_cookies_are_bound_to_this_host() {
    let house = House::new().await;
    let public = Arc::new(Public::new("https://access.example.org").unwrap());
    let house = House { app: App { public, ..house.app.clone() }, world: house.world };
    let mut browser = house.browser();
    let answer = browser.sign_in(&house.world, "bo.lind", "/").await;
    let set = answer.headers["set-cookie"].to_str().unwrap();
    assert!(set.starts_with("__Host-countersign=") && set.ends_with("; HttpOnly; SameSite=Lax; Secure"), "{set}");
    assert_eq!(answer.headers["strict-transport-security"], "max-age=63072000");
    assert_eq!(browser.get("/").await.body, "Bo Lind");
    let token = browser.cookies.remove("__Host-countersign").unwrap();
    browser.cookies.insert("countersign".into(), token);
    assert_eq!(browser.get("/").await.location(), "/sign-in", "a cookie that plain http could set counts for nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_who_is_switched_off_is_out_at_once_and_stays_out() {
    let house = House::new().await;
    let mut browser = house.signed_in("bo.lind").await;
    house.set_active("bo.lind", false).await;
    sync::sync(&house.world.ctx, "main").await.unwrap();
    assert_eq!(browser.get("/").await.location(), "/sign-in");
    // The provider may be slower to notice than the directory.
    let still = vouched(house.world.demo.issuer(), "somebody", json!({"preferred_username": "bo.lind"}));
    let denied = sign_in::start(&house.world.ctx, &house.app.rules, &still, &sign_in::Browser::default()).await.unwrap_err();
    assert_eq!(denied.to_string(), "Your account is switched off in the directory, so you cannot sign in.");
    let subject: String = house.world.one("select subject from countersign.identity").await;
    let known = vouched(house.world.demo.issuer(), &subject, json!({}));
    assert!(sign_in::start(&house.world.ctx, &house.app.rules, &known, &sign_in::Browser::default()).await.is_err());
    assert_eq!(house.events("session.refused").await, 2);
    assert_eq!(house.world.one::<i64>("select count(*) from countersign.session").await, 0);
    // Back again: let in, and known as active again.
    house.set_active("bo.lind", true).await;
    assert_eq!(browser.sign_in(&house.world, "bo.lind", "/").await.location(), "/");
    assert_eq!(browser.get("/").await.body, "Bo Lind");
    assert_eq!(house.events("person.changed").await, 2);
}

fn vouched(issuer: &str, subject: &str, claims: Value) -> Vouched {
    let Value::Object(claims) = claims else { panic!("claims are an object") };
    Vouched { issuer: issuer.into(), subject: subject.into(), sid: None, auth_time: None, id_token: "t".into(), claims }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_identity_is_linked_once_and_then_follows_the_person_not_the_name() {
    let house = House::new().await;
    let (ctx, rules) = (&house.world.ctx, &house.app.rules);
    let browser = sign_in::Browser::default();
    let start = async |subject: &str, claims: Value| {
        let started = sign_in::start(ctx, rules, &vouched("https://idp", subject, claims), &browser).await.unwrap();
        sign_in::who(ctx, rules, &started.token).await.unwrap().unwrap().name
    };
    assert_eq!(start("s-1", json!({"preferred_username": "bo.lind"})).await, "Bo Lind");
    assert_eq!(start("s-1", json!({"preferred_username": "hana.sato"})).await, "Bo Lind", "the claim counts only once");
    assert_eq!(start("s-1", json!({})).await, "Bo Lind");
    assert_eq!(start("s-2", json!({"preferred_username": "HANA.SATO"})).await, "Hana Sato");
    assert_eq!(house.events("identity.linked").await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_account_that_claims_to_be_somebody_is_not_them() {
    let house = House::new().await;
    let (ctx, rules) = (&house.world.ctx, &house.app.rules);
    let browser = sign_in::Browser::default();
    let start = async |issuer: &str, subject: &str| {
        sign_in::start(ctx, rules, &vouched(issuer, subject, json!({"preferred_username": "bo.lind"})), &browser).await.map_err(|denied| denied.to_string())
    };
    start("https://idp", "s-1").await.unwrap();
    let said = start("https://idp", "s-2").await.unwrap_err();
    assert!(said.contains("Bo Lind") && said.contains("already signs in here with another account"), "{said}");
    assert_eq!((house.events("session.refused").await, house.events("identity.linked").await, house.events("session.started").await), (1, 1, 1));
    let told: String = house.world.one("select data->>'subject' from countersign.audit_event where kind = 'session.refused'").await;
    assert_eq!(told, "s-2");
    assert_eq!(house.world.one::<i64>("select count(*) from countersign.session").await, 1);
    // The account that was linked, and one of another provider, are no second account.
    start("https://idp", "s-1").await.unwrap();
    start("https://other", "s-2").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_that_does_not_mean_exactly_one_person_lets_nobody_in() {
    let house = House::new().await;
    let ctx = &house.world.ctx;
    let by_email = Rules { claim: "email".into(), attribute: "email".into(), ..(*house.app.rules).clone() };
    let by_department = Rules { claim: "dept".into(), attribute: "department".into(), ..(*house.app.rules).clone() };
    let browser = sign_in::Browser::default();
    for (rules, claims, part) in [
        (&*house.app.rules, json!({"preferred_username": "nobody.here"}), "nobody in the directory has the user name “nobody.here”"),
        (&house.app.rules, json!({"preferred_username": "*"}), "nobody in the directory"),
        (&house.app.rules, json!({"preferred_username": "x\" or userName pr or \""}), "nobody in the directory"),
        (&house.app.rules, json!({"preferred_username": "a\u{0}b"}), "nobody in the directory"),
        (&house.app.rules, json!({"preferred_username": ""}), "does not tell your preferred_username"),
        (&house.app.rules, json!({"preferred_username": ["bo.lind"]}), "does not tell your preferred_username"),
        (&house.app.rules, json!({}), "does not tell your preferred_username"),
        (&by_department, json!({"dept": "Engineering"}), "more than one person"),
        (&by_email, json!({"email": "bo.lind@orchardvale.example"}), "has not verified your address"),
        (&by_email, json!({"email": "bo.lind@orchardvale.example", "email_verified": false}), "has not verified your address"),
        (&by_email, json!({"email": "bo.lind@orchardvale.example", "email_verified": "false"}), "has not verified your address"),
    ] {
        let outcome = sign_in::start(ctx, rules, &vouched("https://idp", "s", claims.clone()), &browser).await;
        let said = outcome.map(|_| String::new()).unwrap_or_else(|denied| denied.to_string());
        assert!(said.contains(part), "{claims}: {said}");
    }
    assert_eq!((house.events("session.refused").await, house.events("session.started").await), (11, 0));
    let verified = json!({"email": "bo.lind@orchardvale.example", "email_verified": true});
    assert!(sign_in::start(ctx, &by_email, &vouched("https://idp", "s", verified), &browser).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_is_down_leaves_the_house_standing() {
    let house = House::new().await;
    let mut inside = house.signed_in("bo.lind").await;
    let app = app(&house.world, &format!("http://127.0.0.1:{}", crate::idp::free_port()));
    let mut browser = Browser { router: routes(&app), ..house.browser() };
    let answer = browser.get("/sign-in/start?to=%2Flog").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.body.contains("does not answer, so nobody can sign in") && answer.body.contains("/sign-in/start?to=%2Flog"));
    assert_eq!(answer.headers["retry-after"], "5");
    assert_eq!(browser.get("/sign-in").await.status, StatusCode::OK);
    // Who is in stays in, and can go.
    inside.router = routes(&app);
    assert_eq!(inside.get("/").await.body, "Bo Lind");
    assert_eq!(inside.post("/sign-out").await.location(), "/signed-out");
    assert_eq!(inside.get("/").await.location(), "/sign-in");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_that_is_down_lets_in_whom_it_knew() {
    let house = House::new().await;
    let known = json!({"preferred_username": "bo.lind"});
    let browser = sign_in::Browser::default();
    sign_in::start(&house.world.ctx, &house.app.rules, &vouched("https://idp", "s-1", known), &browser).await.unwrap();
    let broken = Scripted::start(|_| Reply::new(500, "<html>")).await;
    let scim = Scim::new(&http::Settings::new(&broken.url, "t"), house.world.ctx.clock.clone()).unwrap();
    let mut ctx = house.world.ctx.clone();
    ctx.directories = Arc::new(BTreeMap::from([("main".to_owned(), Directory::Scim(scim))]).into());
    assert!(sign_in::start(&ctx, &house.app.rules, &vouched("https://idp", "s-1", json!({})), &browser).await.is_ok());
    let stranger = vouched("https://idp", "s-2", json!({"preferred_username": "hana.sato"}));
    let denied = sign_in::start(&ctx, &house.app.rules, &stranger, &browser).await.unwrap_err();
    assert_eq!(denied.to_string(), "The directory cannot be reached: it failed with 500.");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rights_age_out_while_the_directory_cannot_be_asked() {
    let house = House::new().await;
    let (administrator, auditor) = privileged(&house).await;
    let browser = sign_in::Browser::default();
    let broken = Scripted::start(|_| Reply::new(500, "<html>")).await;
    let scim = Scim::new(&http::Settings::new(&broken.url, "t"), house.world.ctx.clock.clone()).unwrap();
    let mut down = house.world.ctx.clone();
    down.directories = Arc::new(BTreeMap::from([("main".to_owned(), Directory::Scim(scim))]).into());
    let whose = |name: &str| vouched("https://idp", name, json!({"preferred_username": name}));
    for name in [&administrator, &auditor] {
        sign_in::start(&house.world.ctx, &house.app.rules, &whose(name), &browser).await.unwrap();
    }
    // Signing in still works while the directory is down, and the rights are those it gave last, for a day.
    for (pause, rights) in [(Duration::hours(23), true), (Duration::minutes(61), false)] {
        house.world.advance(pause).await;
        for name in [&administrator, &auditor] {
            let started = sign_in::start(&down, &house.app.rules, &whose(name), &browser).await.unwrap();
            let viewer = sign_in::who(&down, &house.app.rules, &started.token).await.unwrap().unwrap();
            assert_eq!(viewer.is_administrator || viewer.is_auditor, rights, "{name} after {pause}");
        }
    }
    let started = sign_in::start(&house.world.ctx, &house.app.rules, &whose(&administrator), &browser).await.unwrap();
    let viewer = sign_in::who(&house.world.ctx, &house.app.rules, &started.token).await.unwrap().unwrap();
    assert!(viewer.is_administrator, "rights come back with the directory");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_sees_and_ends_ones_own_sessions_only() {
    let house = House::new().await;
    let mut here = house.signed_in("bo.lind").await;
    let mut there = house.signed_in("bo.lind").await;
    let mut third = house.signed_in("bo.lind").await;
    let mut hers = house.signed_in("hana.sato").await;
    let page = here.get("/sessions").await.body;
    let ids: Vec<String> = {
        let page = Html::parse_document(&page);
        let forms = Selector::parse("form[action^='/sessions/'][action$='/end']").unwrap();
        page.select(&forms).map(|form| form.value().attr("action").unwrap().to_owned()).collect()
    };
    assert_eq!(ids.len(), 3);
    for id in &ids {
        assert_eq!(hers.post(id).await.status, StatusCode::NOT_FOUND, "another's session is not there");
    }
    assert_eq!(hers.post("/sessions/nonsense/end").await.status, StatusCode::NOT_FOUND);
    assert_eq!(here.post("/sessions/end-others").await.location(), "/sessions");
    assert_eq!(there.get("/").await.location(), "/sign-in");
    assert_eq!(third.get("/").await.location(), "/sign-in");
    assert_eq!(here.get("/").await.body, "Bo Lind");
    assert_eq!(hers.get("/").await.body, "Hana Sato");
    for id in &ids {
        here.post(id).await;
    }
    assert_eq!(here.get("/").await.location(), "/sign-in", "ending the current one is signing out");
    assert_eq!(house.events("session.ended").await, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_many_sign_ins_are_slowed_down_whatever_the_caller_says_of_itself() {
    let house = House::new().await;
    let mut browser = house.browser();
    let mut refused = None;
    for n in 0..80 {
        let forged = format!("198.51.100.{n}");
        let answer = browser.send(Method::GET, "/sign-in/start", &[("x-forwarded-for", &forged), ("forwarded", &forged)]).await;
        if answer.status == StatusCode::TOO_MANY_REQUESTS {
            refused = Some(answer);
            break;
        }
    }
    let refused = refused.expect("80 sign-ins from one address are too many");
    assert!(refused.headers.contains_key("retry-after"));
    let mut elsewhere = Browser { peer: "203.0.113.8:1".parse().unwrap(), ..house.browser() };
    assert_eq!(elsewhere.get("/sign-in/start").await.status, StatusCode::SEE_OTHER);
    elsewhere.sign_in(&house.world, "bo.lind", "/").await;
    let address: String = house.world.one("select address from countersign.session").await;
    assert_eq!(address, "203.0.113.8");
}
