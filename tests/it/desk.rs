//! A browser without JavaScript, over the real routes.

use std::collections::BTreeMap;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode, header};
use countersign::service::sign_in::{self, Vouched};
use countersign::web::router::router;
use countersign::web::state::App;
use scraper::{ElementRef, Html, Selector};
use serde_json::json;
use tower::ServiceExt;

use crate::door;
use crate::world::World;

/// Somebody's browser, signed in.
pub struct Desk {
    router: Router,
    cookies: BTreeMap<String, String>,
}

/// A page, or what came instead of one.
pub struct Page {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Desk {
    /// Signs `user_name` in, past the provider.
    pub async fn of(world: &World, user_name: &str) -> Self {
        let app = door::app(world, world.demo.issuer());
        Self::at(&app, user_name).await
    }

    /// Signs `user_name` in at an application that is there already.
    pub async fn at(app: &App, user_name: &str) -> Self {
        let claims = json!({ "preferred_username": user_name });
        let vouched = Vouched {
            issuer: "https://idp.example".into(),
            subject: user_name.into(),
            sid: None,
            auth_time: None,
            id_token: "x".into(),
            claims: claims.as_object().unwrap().clone(),
        };
        let started = sign_in::start(&app.ctx, &app.rules, &vouched, &sign_in::Browser::default()).await.unwrap();
        Self { router: router(app), cookies: BTreeMap::from([("countersign".to_owned(), started.token)]) }
    }

    /// Gets a page, following redirects as a browser does.
    pub async fn get(&mut self, path: &str) -> Page {
        let mut page = self.send(Request::get(path).body(Body::empty()).unwrap()).await;
        for _ in 0..3 {
            if page.status != StatusCode::SEE_OTHER {
                break;
            }
            let location = page.headers[header::LOCATION].to_str().unwrap().to_owned();
            page = self.send(Request::get(location).body(Body::empty()).unwrap()).await;
        }
        page
    }

    /// Sends one request with the cookies there are, and keeps those that come.
    pub async fn send(&mut self, mut request: Request<Body>) -> Page {
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        request.headers_mut().insert(header::COOKIE, cookies.join("; ").parse().unwrap());
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        for line in parts.headers.get_all(header::SET_COOKIE) {
            let (name, rest) = line.to_str().unwrap().split_once('=').unwrap();
            let value = rest.split(';').next().unwrap();
            if rest.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        let bytes = to_bytes(body, 8 << 20).await.unwrap();
        Page { status: parts.status, headers: parts.headers, text: String::from_utf8(bytes.to_vec()).unwrap() }
    }

    /// Posts fields as a form of ours would, without following.
    pub async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Page {
        let body: Vec<String> = fields.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
        self.post_raw(path, body.join("&")).await
    }

    /// Posts a body as it is.
    pub async fn post_raw(&mut self, path: &str, body: String) -> Page {
        let request = Request::post(path)
            .header("sec-fetch-site", "same-origin")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Body::from(body))
            .unwrap();
        self.send(request).await
    }

    /// Posts files as a form of ours would (RFC 7578): the field, the file's name and what is in it.
    pub async fn upload(&mut self, path: &str, files: &[(&str, &str, &[u8])]) -> Page {
        let mut body = Vec::new();
        for (field, name, bytes) in files {
            body.extend(format!("--x7x\r\ncontent-disposition: form-data; name=\"{field}\"; filename=\"{name}\"\r\n\r\n").bytes());
            body.extend_from_slice(bytes);
            body.extend(b"\r\n");
        }
        body.extend(b"--x7x--\r\n");
        let request = Request::post(path)
            .header("sec-fetch-site", "same-origin")
            .header(header::CONTENT_TYPE, "multipart/form-data; boundary=x7x")
            .body(Body::from(body))
            .unwrap();
        self.send(request).await
    }

    /// Fills a form of `page` and sends it: what the page put into it goes along, `typed` replaces or adds. Follows to the page after.
    pub async fn submit(&mut self, page: &Page, form: &str, typed: &[(&str, &str)]) -> Page {
        let (action, fields) = page.form(form, typed);
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let answer = self.post(&action, &fields).await;
        if answer.status != StatusCode::SEE_OTHER {
            return answer;
        }
        let location = answer.headers[header::LOCATION].to_str().unwrap().to_owned();
        self.get(&location).await
    }
}

fn encoded(text: &str) -> String {
    text.bytes().map(|b| if b.is_ascii_alphanumeric() || b"-._~".contains(&b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

impl Page {
    /// Fails unless this is the page asked for.
    #[track_caller]
    pub fn fine(self) -> Self {
        assert_eq!(self.status, StatusCode::OK, "{}", self.main());
        self
    }

    pub fn html(&self) -> Html {
        Html::parse_document(&self.text)
    }

    /// The text of every node that a selector finds, white space made single.
    pub fn all(&self, selector: &str) -> Vec<String> {
        let html = self.html();
        html.select(&Selector::parse(selector).unwrap()).map(words).collect()
    }

    /// The text of the only node that a selector finds.
    #[track_caller]
    pub fn one(&self, selector: &str) -> String {
        let mut found = self.all(selector);
        assert_eq!(found.len(), 1, "{selector} is there {} times in {}", found.len(), self.main());
        found.remove(0)
    }

    /// How many nodes a selector finds.
    pub fn count(&self, selector: &str) -> usize {
        self.all(selector).len()
    }

    /// An attribute of the first node that a selector finds.
    #[track_caller]
    pub fn attr(&self, selector: &str, name: &str) -> String {
        let html = self.html();
        let node = html.select(&Selector::parse(selector).unwrap()).next().unwrap_or_else(|| panic!("no {selector} in {}", self.main()));
        node.attr(name).unwrap_or_else(|| panic!("{selector} has no {name}")).to_owned()
    }

    /// What the page says, without what is around it.
    pub fn main(&self) -> String {
        self.all("main").pop().unwrap_or_else(|| self.text.clone())
    }

    /// What the last act came to.
    #[track_caller]
    pub fn flash(&self) -> String {
        self.one("main > .flash[role=status]")
    }

    /// The address of a form and what it would send.
    #[track_caller]
    fn form(&self, selector: &str, typed: &[(&str, &str)]) -> (String, Vec<(String, String)>) {
        let html = self.html();
        let form = html.select(&Selector::parse(selector).unwrap()).next().unwrap_or_else(|| panic!("no form {selector} in {}", self.main()));
        let mut fields: Vec<(String, String)> = Vec::new();
        for field in form.select(&Selector::parse("input, textarea, select").unwrap()) {
            let Some(name) = field.attr("name") else { continue };
            let value = match (field.value().name(), field.attr("type")) {
                ("input", Some("radio" | "checkbox")) if field.attr("checked").is_none() => continue,
                ("input", _) => field.attr("value").unwrap_or_default().to_owned(),
                ("select", _) => {
                    let chosen = field.select(&Selector::parse("option[selected]").unwrap()).next();
                    let option = chosen.or_else(|| field.select(&Selector::parse("option").unwrap()).next());
                    option.map(|o| o.attr("value").map_or_else(|| words(o), str::to_owned)).unwrap_or_default()
                }
                // The parser has taken away the line end after the tag already.
                _ => field.text().collect(),
            };
            fields.push((name.to_owned(), value));
        }
        for (name, value) in typed {
            fields.retain(|(known, _)| known != name);
            fields.push(((*name).to_owned(), (*value).to_owned()));
        }
        (form.attr("action").unwrap().to_owned(), fields)
    }
}

fn words(node: ElementRef<'_>) -> String {
    node.text().collect::<Vec<_>>().join(" ").split_whitespace().collect::<Vec<_>>().join(" ")
}
