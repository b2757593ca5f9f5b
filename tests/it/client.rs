//! A person at the real server, without a browser.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::{Method, Url};
use scraper::{ElementRef, Html, Selector};

/// How long a server that is there may take to answer.
const PATIENCE: Duration = Duration::from_secs(120);

/// Where a visit ended.
#[derive(Debug)]
pub struct Page {
    pub url: Url,
    pub status: u16,
    pub headers: HeaderMap,
    pub body: String,
}

/// What is sent along.
#[derive(Clone)]
pub enum Sent {
    Nothing,
    Form(Vec<(String, String)>),
    /// As it is, with this content type.
    Raw(&'static str, Vec<u8>),
}

/// A form's fields.
pub fn form(fields: &[(&str, &str)]) -> Sent {
    Sent::Form(fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
}

impl Page {
    /// Its text as a reader sees it, with single spaces.
    pub fn text(&self) -> String {
        let document = Html::parse_document(&self.body);
        let parts = document.root_element().text().collect::<Vec<_>>().join(" ");
        parts.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// Where it leads on to.
    pub fn location(&self) -> &str {
        self.headers.get("location").map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    /// The id in its address: `/requests/ID`.
    pub fn id(&self) -> uuid::Uuid {
        self.url.path().split('/').find_map(|part| part.parse().ok()).unwrap_or_else(|| panic!("no id in {}: {} {}", self.url, self.status, self.text()))
    }
}

/// A person, with the cookies they have got.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    jar: BTreeMap<(String, String), String>,
    /// Headers of every request.
    pub headers: Vec<(&'static str, String)>,
    site: String,
}

impl Client {
    /// Somebody at this machine who visits the server at `site`.
    pub fn new(site: &str) -> Self {
        Self::from(site, None)
    }

    /// The same, from an address of their own.
    pub fn from(site: &str, address: Option<IpAddr>) -> Self {
        // Not kept open: a server that was killed must not be met in the pool.
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().pool_max_idle_per_host(0).timeout(PATIENCE);
        let http = http.local_address(address).build().unwrap();
        let headers = vec![("sec-fetch-site", "same-origin".to_owned()), ("accept", "text/html".to_owned())];
        Self { http, jar: BTreeMap::new(), headers, site: site.to_owned() }
    }

    /// Signs in at the demo directory by choosing a person.
    pub async fn sign_in(&mut self, user_name: &str) -> Page {
        let choice = self.visit(Method::GET, "/sign-in/start", Sent::Nothing).await;
        let (request, person) = {
            let document = Html::parse_document(&choice.body);
            let one = |selector: &str| Selector::parse(selector).unwrap();
            let person = document.select(&one("button[name=person]")).find(|button| button.text().any(|text| text.trim() == user_name));
            let person = person.unwrap_or_else(|| panic!("no {user_name}: {} {}", choice.url, choice.text()));
            let request = document.select(&one("form[method=post] input[name=request]")).next().unwrap();
            (request.attr("value").unwrap().to_owned(), person.attr("value").unwrap().to_owned())
        };
        let action = choice.url.join("/sign-in").unwrap();
        let home = self.visit(Method::POST, action.as_str(), form(&[("request", &request), ("person", &person)])).await;
        assert!(self.session().is_some(), "{} {}", home.status, home.text());
        home
    }

    /// The value of the session's cookie.
    pub fn session(&self) -> Option<String> {
        self.jar.get(&(self.site.clone(), "countersign".to_owned())).filter(|value| !value.is_empty()).cloned()
    }

    /// Puts a session's cookie back.
    pub fn set_session(&mut self, value: &str) {
        self.jar.insert((self.site.clone(), "countersign".to_owned()), value.to_owned());
    }

    pub async fn get(&mut self, path: &str) -> Page {
        self.send(Method::GET, path, Sent::Nothing).await
    }

    pub async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Page {
        self.send(Method::POST, path, form(fields)).await
    }

    /// One request, no redirect followed. `path` is of the site, or a whole address.
    pub async fn send(&mut self, method: Method, path: &str, sent: Sent) -> Page {
        self.try_send(method, path, sent).await.unwrap()
    }

    /// The same, where the server may be gone.
    pub async fn try_send(&mut self, method: Method, path: &str, sent: Sent) -> reqwest::Result<Page> {
        let url = if path.starts_with('/') { format!("{}{path}", self.site) } else { path.to_owned() };
        let url = Url::parse(&url).unwrap();
        let origin = url.origin().ascii_serialization();
        let jar = self.jar.iter().filter(|((at, _), value)| *at == origin && !value.is_empty());
        let cookie = jar.map(|((_, name), value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ");
        let mut request = self.http.request(method, url.clone());
        if !cookie.is_empty() {
            request = request.header("cookie", cookie);
        }
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        let request = match sent {
            Sent::Nothing => request,
            Sent::Form(fields) => request.form(&fields),
            Sent::Raw(kind, body) => request.header("content-type", kind).body(body),
        };
        let answer = request.send().await;
        // Gone is one thing, silent another.
        assert!(answer.as_ref().err().is_none_or(|error| !error.is_timeout()), "no answer in {PATIENCE:?}: {url}");
        let answer = answer?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let body = String::from_utf8_lossy(&answer.bytes().await?).into_owned();
        for set in headers.get_all("set-cookie") {
            let (name, value) = set.to_str().unwrap().split(';').next().unwrap().split_once('=').unwrap();
            self.jar.insert((origin.clone(), name.to_owned()), value.to_owned());
        }
        Ok(Page { url, status, headers, body })
    }

    /// One request, and every redirect after it, as a browser does.
    pub async fn visit(&mut self, method: Method, url: &str, sent: Sent) -> Page {
        let mut page = self.send(method, url, sent).await;
        while (300..400).contains(&page.status) {
            let next = page.url.join(page.location()).unwrap();
            page = self.send(Method::GET, next.as_str(), Sent::Nothing).await;
        }
        page
    }

    /// Sends the form of `page` that `selector` finds, as it stands and with these fields filled in; follows redirects.
    pub async fn submit(&mut self, page: &Page, selector: &str, filled: &[(&str, &str)]) -> Page {
        let (action, fields) = fields(page, selector, filled);
        self.visit(Method::POST, &action, Sent::Form(fields)).await
    }

    /// Asks for a role by its page's own form; where the request is.
    pub async fn ask(&mut self, role: impl std::fmt::Display, filled: &[(&str, &str)]) -> Page {
        let page = self.get(&format!("/roles/{role}/ask")).await;
        assert_eq!(page.status, 200, "{}", page.text());
        self.submit(&page, "form[action='/requests']", filled).await
    }

    /// Approves a request by its page's own form.
    pub async fn approve(&mut self, request: uuid::Uuid, filled: &[(&str, &str)]) -> Page {
        let page = self.get(&format!("/requests/{request}")).await;
        self.submit(&page, &format!("form[action='/requests/{request}/approve']"), filled).await
    }
}

/// Where a form leads, and what it would send.
pub fn fields(page: &Page, selector: &str, filled: &[(&str, &str)]) -> (String, Vec<(String, String)>) {
    let document = Html::parse_document(&page.body);
    let found = document.select(&Selector::parse(selector).unwrap()).next();
    let form = found.unwrap_or_else(|| panic!("no {selector} at {}: {} {}", page.url, page.status, page.text()));
    let attribute = |element: ElementRef<'_>, name: &str| element.attr(name).unwrap_or_default().to_owned();
    let mut fields: Vec<(String, String)> = Vec::new();
    for field in form.select(&Selector::parse("input[name], textarea[name], select[name]").unwrap()) {
        let name = attribute(field, "name");
        let value = match field.value().name() {
            "input" if matches!(field.attr("type"), Some("radio" | "checkbox")) && field.attr("checked").is_none() => continue,
            "input" => attribute(field, "value"),
            "textarea" => field.text().collect(),
            _ => {
                let options: Vec<_> = field.select(&Selector::parse("option").unwrap()).collect();
                let chosen = options.iter().find(|option| option.attr("selected").is_some()).or(options.first());
                chosen.map(|option| option.attr("value").map_or_else(|| option.text().collect(), str::to_owned)).unwrap_or_default()
            }
        };
        fields.push((name, value));
    }
    for (name, value) in filled {
        fields.retain(|(known, _)| known != name);
        fields.push(((*name).to_owned(), (*value).to_owned()));
    }
    (page.url.join(&attribute(form, "action")).unwrap().into(), fields)
}
