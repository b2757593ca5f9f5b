//! In and out with servers that nobody here wrote.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::http::Request;
use countersign::demo::company::Company;
use countersign::service::sync;
use countersign::web::router::router;
use reqwest::Url;
use scraper::{Html, Selector};
use tower::ServiceExt;

use crate::door::{HERE, app};
use crate::idp::Server;
use crate::ldap_server::{LdapServer, directory};
use crate::world::{Reach, SCIM_TOKEN, World};

/// A browser that visits both sides: Countersign in this process, the provider over the network.
struct Browser {
    router: axum::Router,
    provider: reqwest::Client,
    cookies: BTreeMap<(bool, String), String>,
}

/// Where a visit ended: a page, with its address.
struct Page {
    url: Url,
    status: u16,
    body: String,
}

impl Browser {
    /// Follows redirects between the two, as a browser does.
    async fn visit(&mut self, method: &str, url: &str, form: &[(String, String)]) -> Page {
        let (mut method, mut url, mut form) = (method.to_owned(), Url::parse(url).unwrap(), form.to_vec());
        loop {
            let ours = url.as_str().starts_with(HERE);
            let jar = self.cookies.iter().filter(|((here, _), _)| *here == ours);
            let cookie = jar.map(|((_, name), value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ");
            let (status, headers, body) = if ours {
                let path = url.as_str().strip_prefix(HERE).unwrap();
                let request = Request::builder().method(method.as_str()).uri(path).header("cookie", cookie);
                let request = request.header("sec-fetch-site", "same-origin").body(Body::empty()).unwrap();
                let (parts, body) = self.router.clone().oneshot(request).await.unwrap().into_parts();
                let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
                (parts.status, parts.headers, String::from_utf8_lossy(&body).into_owned())
            } else {
                let request = self.provider.request(method.parse().unwrap(), url.clone()).header("cookie", cookie);
                let answer = if form.is_empty() { request } else { request.form(&form) }.send().await.unwrap();
                (answer.status(), answer.headers().clone(), answer.text().await.unwrap())
            };
            for set in headers.get_all("set-cookie") {
                let set = set.to_str().unwrap();
                let (name, value) = set.split(';').next().unwrap().split_once('=').unwrap();
                self.cookies.insert((ours, name.to_owned()), value.to_owned());
            }
            let Some(location) = headers.get("location") else { return Page { url, status: status.as_u16(), body } };
            url = url.join(location.to_str().unwrap()).unwrap();
            (method, form) = ("GET".to_owned(), Vec::new());
        }
    }

    /// Sends the page's form with these fields filled in.
    async fn submit(&mut self, page: &Page, filled: &[(&str, &str)]) -> Page {
        let (action, mut fields) = {
            let document = Html::parse_document(&page.body);
            let form = document.select(&Selector::parse("form").unwrap()).next().unwrap_or_else(|| panic!("no form: {}", page.body));
            let hidden = Selector::parse("input[type=hidden]").unwrap();
            let attribute = |element: scraper::ElementRef<'_>, name| element.value().attr(name).unwrap_or_default().to_owned();
            let fields: Vec<_> = form.select(&hidden).map(|field| (attribute(field, "name"), attribute(field, "value"))).collect();
            (attribute(form, "action"), fields)
        };
        fields.extend(filled.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let action = page.url.join(&action).unwrap();
        self.visit("POST", action.as_str(), &fields).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sign_in_and_out_work_with_a_provider_and_a_directory_nobody_here_wrote() {
    let (scim, oidc) = (Server::scim(SCIM_TOKEN), Server::oidc(HERE));
    let world = World::with(Company::embedded().unwrap(), Reach::At(scim.url.clone())).await;
    sync::sync(&world.ctx, "main").await.unwrap();
    let app = countersign::web::state::App { oidc: crate::door::oidc(&world, &oidc.url, "countersign-secret"), ..app(&world, &oidc.url) };
    let provider = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build().unwrap();
    let mut browser = Browser { router: router(&app), provider, cookies: BTreeMap::new() };

    let door = browser.visit("GET", &format!("{HERE}/sessions"), &[]).await;
    assert_eq!(door.url.path(), "/sign-in");
    let login = browser.visit("GET", &format!("{HERE}/sign-in/start?to=%2Fsessions"), &[]).await;
    assert!(login.url.as_str().starts_with(&oidc.url), "{}", login.url);
    let consent = browser.submit(&login, &[("login", "alice"), ("password", "any")]).await;
    let home = browser.submit(&consent, &[]).await;
    assert_eq!((home.url.path(), home.status), ("/sessions", 200), "{}", home.body);
    assert!(home.body.contains("Alice Archer"));
    let linked: String = world.one("select p.user_name || ' ' || i.subject from countersign.identity i join countersign.person p on p.id = i.person_id").await;
    assert_eq!(linked, "alice alice");

    let goodbye = browser.visit("POST", &format!("{HERE}/sign-out"), &[]).await;
    assert!(goodbye.url.as_str().starts_with(&oidc.url), "the provider asks whether to sign out there too: {}", goodbye.url);
    let last = browser.submit(&goodbye, &[("logout", "yes")]).await;
    assert!(last.url.as_str().starts_with(&format!("{HERE}/signed-out?state=")), "{}", last.url);
    assert!(last.body.contains("You are signed out"));
    let again = browser.visit("GET", &format!("{HERE}/sign-in/start"), &[]).await;
    assert!(again.url.as_str().starts_with(&oidc.url) && again.body.contains("name=\"login\""), "the provider has forgotten alice, too");

    // Known to the provider and switched off in the directory.
    let consent = browser.submit(&again, &[("login", "frank"), ("password", "any")]).await;
    let refused = browser.submit(&consent, &[]).await;
    assert_eq!((refused.url.path(), refused.status), ("/sign-in/callback", 403));
    assert!(refused.body.contains("switched off in the directory"), "{}", refused.body);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_of_an_ldap_directory_sign_in_with_any_provider() {
    let (ldap, oidc) = (LdapServer::open(), Server::oidc(HERE));
    let world = World::with(Company::embedded().unwrap(), Reach::By(directory(&ldap.as_open()))).await;
    sync::sync(&world.ctx, "main").await.unwrap();
    let app = countersign::web::state::App { oidc: crate::door::oidc(&world, &oidc.url, "countersign-secret"), ..app(&world, &oidc.url) };
    let provider = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build().unwrap();
    let mut browser = Browser { router: router(&app), provider, cookies: BTreeMap::new() };
    let login = browser.visit("GET", &format!("{HERE}/sign-in/start?to=%2Fsessions"), &[]).await;
    let consent = browser.submit(&login, &[("login", "alice"), ("password", "any")]).await;
    let home = browser.submit(&consent, &[]).await;
    assert_eq!((home.url.path(), home.status), ("/sessions", 200), "{}", home.body);
    assert!(home.body.contains("Alice Archer"));
}
