//! The demo directory: starting, its own page, what it keeps.

use countersign::clock::Clock;
use countersign::demo::company::Company;
use countersign::demo::serve::{self, Error, Running, Settings};
use reqwest::{Client, Method, RequestBuilder, StatusCode, redirect::Policy};
use scraper::{Html, Selector};
use serde_json::Value;

pub const CLIENT: &str = "countersign";
pub const SECRET: &str = "a secret: with & signs";
pub const CALLBACK: &str = "http://127.0.0.1:8080/auth/callback";
pub const GOODBYE: &str = "http://127.0.0.1:8080/goodbye";
pub const TOKEN: &str = "scim-token-of-the-tests";

/// A demo directory on a free port, and a browser without cookies that follows nothing.
pub struct Demo {
    pub running: Running,
    pub clock: Clock,
    pub http: Client,
}

pub fn settings() -> Settings {
    Settings {
        listen: ([127, 0, 0, 1], 0).into(),
        company: Company::embedded().unwrap(),
        state: None,
        client_id: CLIENT.into(),
        client_secret: SECRET.into(),
        redirect_uris: vec![CALLBACK.into()],
        post_logout_redirect_uris: vec![GOODBYE.into()],
        scim_token: TOKEN.into(),
    }
}

impl Demo {
    pub async fn start() -> Self {
        Self::with(settings()).await
    }

    pub async fn with(settings: Settings) -> Self {
        let clock = Clock::system();
        let running = serve::start(settings, clock.clone()).await.unwrap();
        let http = Client::builder().redirect(Policy::none()).build().unwrap();
        Self { running, clock, http }
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.running.issuer())
    }

    pub fn scim(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.running.scim_base())).bearer_auth(TOKEN)
    }

    /// The one resource that a filter finds.
    pub async fn one(&self, kind: &str, filter: &str) -> Value {
        let answer = self.scim(Method::GET, kind).query(&[("filter", filter)]).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        let mut found: Value = answer.json().await.unwrap();
        assert_eq!(found["totalResults"], 1, "{filter}: {found}");
        found["Resources"][0].take()
    }

    pub async fn id_of(&self, user_name: &str) -> String {
        self.one("/Users", &format!("userName eq \"{user_name}\"")).await["id"].as_str().unwrap().into()
    }

    pub async fn group_id(&self, name: &str) -> String {
        self.one("/Groups", &format!("displayName eq \"{name}\"")).await["id"].as_str().unwrap().into()
    }

    async fn post(&self, path: &str, form: &[(&str, &str)], origin: &str) -> StatusCode {
        self.http.post(self.url(path)).header("origin", origin).form(form).send().await.unwrap().status()
    }

    async fn page(&self, path: &str) -> Html {
        let answer = self.http.get(self.url(path)).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        let policy = answer.headers()["content-security-policy"].to_str().unwrap().to_owned();
        assert!(policy.starts_with("default-src 'none'; style-src 'self'; form-action 'self'"), "{policy}");
        let page = Html::parse_document(&answer.text().await.unwrap());
        assert!(texts(&page, ".demo")[0].contains("Demo"));
        assert_eq!(page.select(&Selector::parse("script, style, [style]").unwrap()).count(), 0);
        page
    }
}

pub fn texts(page: &Html, selector: &str) -> Vec<String> {
    let words = |text: String| text.split_whitespace().collect::<Vec<_>>().join(" ");
    page.select(&Selector::parse(selector).unwrap()).map(|node| words(node.text().collect())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demo_directory_listens_to_this_machine_only() {
    for address in ["0.0.0.0:0", "192.0.2.7:0", "[::]:0"] {
        let refused = serve::start(Settings { listen: address.parse().unwrap(), ..settings() }, Clock::system()).await;
        assert!(matches!(refused, Err(Error::NotLoopback(_))), "{address}");
    }
    let demo = Demo::start().await;
    assert!(demo.running.addr().ip().is_loopback());
    for (host, status) in [("evil.example", 421), ("evil.example:80", 421), ("127.0.0.1.evil.example", 421), ("localhost:1", 200), ("127.0.0.1", 200)] {
        let answer = demo.http.get(demo.url("/")).header("host", host).send().await.unwrap();
        assert_eq!(answer.status(), status, "{host}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_that_cannot_work_are_all_named() {
    let bad = Settings {
        client_secret: " ".into(),
        scim_token: String::new(),
        redirect_uris: vec!["/callback".into(), "http://x/#y".into(), "javascript:alert(1)".into()],
        ..settings()
    };
    let Err(Error::Setting(why)) = serve::start(bad, Clock::system()).await else { panic!("it started") };
    for word in ["client_secret", "scim_token", "\"/callback\"", "http://x/#y", "javascript"] {
        assert!(why.contains(word), "{word} is missing in: {why}");
    }
    let taken = Demo::start().await;
    let again = serve::start(Settings { listen: taken.running.addr(), ..settings() }, Clock::system()).await;
    assert!(matches!(again, Err(Error::Listen { .. })));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_shows_people_and_groups_and_changes_them_out_of_band() {
    let demo = Demo::start().await;
    let (bo, console) = (demo.id_of("bo.lind").await, demo.group_id("support-console").await);
    let (liam, own) = (demo.id_of("liam.byrne").await, demo.running.issuer().to_owned());
    let members = format!("#g-{console} .members li > span");
    let page = demo.page("/").await;
    assert_eq!(texts(&page, "tbody tr").len(), 28);
    assert_eq!(texts(&page, &members), ["Oscar Nilsen disabled", "Nadia Haddad", "Liam Byrne"]);

    let group = format!("/groups/{console}");
    assert_eq!(demo.post(&group, &[("remove", &liam)], &own).await, 303);
    assert_eq!(demo.post(&group, &[("add", " BO.Lind ")], &own).await, 303);
    assert_eq!(demo.post(&format!("/people/{bo}"), &[("active", "false")], &own).await, 303);
    let page = demo.page("/").await;
    let mut shown = texts(&page, &members);
    shown.sort();
    assert_eq!(shown, ["Bo Lind disabled", "Nadia Haddad", "Oscar Nilsen disabled"]);
    assert!(texts(&page, &format!("#p-{bo} td:last-child"))[0].contains("disabled"));
    assert_eq!(demo.one("/Users", "userName eq \"bo.lind\"").await["active"], false);

    assert_eq!(texts(&demo.page("/?q=mara.voss").await, "tbody tr").len(), 1);
    assert_eq!(texts(&demo.page("/?q=%3Cscript%3E%00").await, "tbody tr").len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_refuses_forms_of_other_sites_and_forms_that_make_no_sense() {
    let demo = Demo::start().await;
    let (bo, console, own) = (demo.id_of("bo.lind").await, demo.group_id("support-console").await, demo.running.issuer().to_owned());
    let (person, group) = (format!("/people/{bo}"), format!("/groups/{console}"));
    for origin in ["http://evil.example", "null", "http://127.0.0.1:1"] {
        assert_eq!(demo.post(&person, &[("active", "false")], origin).await, 403, "{origin}");
        assert_eq!(demo.post(&group, &[("add", "bo.lind")], origin).await, 403, "{origin}");
    }
    for (path, form) in [
        (person.as_str(), ("active", "perhaps")),
        (&person, ("other", "true")),
        ("/people/nobody", ("active", "false")),
        (&group, ("add", "nobody")),
        (&group, ("remove", "bo.lind")),
        (&group, ("", "")),
        ("/groups/nothing", ("add", "bo.lind")),
    ] {
        assert_eq!(demo.post(path, &[form], &own).await, 400, "{path} {form:?}");
    }
    assert_eq!(demo.post(&person, &[("active", "false"), ("active", "true")], &own).await, 400);
    assert_eq!(demo.post(&group, &[("add", &"x".repeat(70_000))], &own).await, 413);
    let person = demo.one("/Users", "userName eq \"bo.lind\"").await;
    assert_eq!((&person["active"], &person["groups"]), (&Value::Bool(true), &Value::Array(vec![])));
    assert_eq!(demo.http.get(demo.url("/people")).send().await.unwrap().status(), 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_changed_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let kept = || Settings { state: Some(folder.path().join("demo.json")), ..settings() };
    let demo = Demo::with(kept()).await;
    let (bo, readers, own) = (demo.id_of("bo.lind").await, demo.group_id("orders-db-readers").await, demo.running.issuer().to_owned());
    let before = demo.one("/Groups", "displayName eq \"orders-db-readers\"").await["meta"]["version"].clone();
    assert_eq!(demo.post(&format!("/groups/{readers}"), &[("add", "bo.lind")], &own).await, 303);
    assert_eq!(demo.post(&format!("/people/{bo}"), &[("active", "false")], &own).await, 303);
    let changed = demo.one("/Users", "userName eq \"bo.lind\"").await;
    demo.running.stop().await;

    let demo = Demo::with(kept()).await;
    let person = demo.one("/Users", "userName eq \"bo.lind\"").await;
    assert_eq!((&person["active"], &person["id"]), (&Value::Bool(false), &changed["id"]));
    assert_eq!(person["meta"]["lastModified"], changed["meta"]["lastModified"]);
    assert_eq!(person["groups"][0]["display"], "orders-db-readers");
    assert_ne!(demo.one("/Groups", "displayName eq \"orders-db-readers\"").await["meta"]["version"], before);
    demo.running.stop().await;

    std::fs::write(folder.path().join("demo.json"), "{").unwrap();
    let refused = serve::start(kept(), Clock::system()).await;
    assert!(matches!(refused, Err(Error::State(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_company_is_shown_in_part_and_listed_whole() {
    let demo = Demo::with(Settings { company: Company::generated(10_000, 300), ..settings() }).await;
    assert_eq!(texts(&demo.page("/").await, "tbody tr").len(), 100);
    assert_eq!(texts(&demo.page("/?q=p09999").await, "tbody tr").len(), 1);
    let mut seen = std::collections::HashSet::new();
    while seen.len() < 10_000 {
        let query = [("startIndex", (seen.len() + 1).to_string()), ("count", "1000".into())];
        let page: Value = demo.scim(Method::GET, "/Users").query(&query).send().await.unwrap().json().await.unwrap();
        let found = page["Resources"].as_array().unwrap();
        assert_eq!((found.len(), &page["totalResults"]), (1000, &10_000.into()));
        seen.extend(found.iter().map(|person| person["id"].as_str().unwrap().to_owned()));
    }
    assert_eq!(seen.len(), 10_000);
}
