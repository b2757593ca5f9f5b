//! An Okta organisation of ours, with state, behind Prism.
//!
//! It keeps to what Okta documents, traps included: a login is taken where an id belongs, a list without a filter leaves out who has
//! left, a filter compares with case and a search does not, a search may be late, a change that changes nothing is a 204, and who is
//! taken by hand out of a group that a rule fills is left out by the rule for good. Prism holds its answers to Okta's specification;
//! the token endpoint and group rules, which that specification lacks, are asked directly.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Router;
use axum::body::{Bytes, to_bytes};
use axum::extract::{Request, State as Shared};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};
use countersign::clock::Clock;
use countersign::directory::okta::{Okta, Settings};
use countersign::directory::port::Directory;
use countersign::domain::secret::Secret;
use reqwest::Url;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, UnparsedPublicKey};
use serde_json::{Map, Value, json};

use crate::prism::Place;

pub const TOKEN: &str = "00-an-api-token";
pub const CLIENT: &str = "0oaServiceApp";
pub const SCOPES: [&str; 4] = ["okta.users.read", "okta.groups.read", "okta.groups.manage", "okta.logs.read"];

#[derive(Clone)]
struct User {
    status: String,
    profile: Map<String, Value>,
    updated: DateTime<Utc>,
}

#[derive(Clone)]
struct Group {
    kind: String,
    name: String,
    members: BTreeSet<String>,
    updated: DateTime<Utc>,
    moved: DateTime<Utc>,
}

#[derive(Clone)]
struct Rule {
    name: String,
    status: String,
    groups: Vec<String>,
    /// Whom it leaves out for good.
    except: BTreeSet<String>,
}

/// What goes wrong.
#[derive(Clone)]
pub enum Trouble {
    /// Nothing happens; this is answered.
    Say(u16, Vec<(&'static str, String)>, String),
    /// It happens; this is answered.
    DoneThen(u16, String),
    /// Nothing happens, and no answer comes.
    Hang,
    /// It happens, and no answer comes.
    DoneThenHang,
    /// The list is empty, but there is another page: its first.
    EmptyPage,
    /// The next page is said to be there.
    NextAt(String),
}

struct State {
    now: DateTime<Utc>,
    users: BTreeMap<String, User>,
    groups: BTreeMap<String, Group>,
    rules: Vec<Rule>,
    /// What a search still sees.
    indexed: Option<(BTreeMap<String, User>, BTreeMap<String, Group>)>,
    page: usize,
    tokens: BTreeMap<String, BTreeSet<String>>,
    granted: BTreeSet<String>,
    /// Scopes that the admin role of the API token does not cover; `rules` for group rules.
    denied: BTreeSet<&'static str>,
    /// How many people and groups were ever made: an id is not given twice.
    made: usize,
    troubles: Vec<(Vec<Method>, &'static str, usize, Trouble)>,
    next_links: usize,
    asked: Vec<String>,
}

/// The organisation.
pub struct Fake {
    /// Where it answers.
    pub place: Place,
    inner: Arc<Inner>,
    /// The private key of its service app, PEM.
    pub key: String,
}

struct Inner {
    state: Mutex<State>,
    url: String,
    public_key: Vec<u8>,
}

pub fn user_id(number: usize) -> String {
    format!("00u{number:0>17}")
}

pub fn group_id(number: usize) -> String {
    format!("00g{number:0>17}")
}

impl Fake {
    pub fn start() -> Self {
        let place = Place::new("", &["/oauth2/v1/token", "/api/v1/groups/rules"]);
        let random = SystemRandom::new();
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref(), &random).unwrap();
        let key = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", BASE64_STANDARD.encode(document.as_ref()));
        let state = State {
            now: "2026-07-01T10:00:00Z".parse().unwrap(),
            users: BTreeMap::new(),
            groups: BTreeMap::new(),
            rules: Vec::new(),
            indexed: None,
            page: 200,
            tokens: BTreeMap::new(),
            granted: SCOPES.into_iter().map(str::to_owned).collect(),
            denied: BTreeSet::new(),
            troubles: Vec::new(),
            made: 0,
            next_links: 0,
            asked: Vec::new(),
        };
        let inner = Arc::new(Inner { state: Mutex::new(state), url: place.url.clone(), public_key: pair.public_key().as_ref().to_vec() });
        place.serve(Router::new().fallback(answer).with_state(inner.clone()));
        Self { place, inner, key }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap()
    }

    /// Settings with the administrator's token; patient with nothing.
    pub fn settings(&self) -> Settings {
        Settings { patience: Duration::ZERO, ..Settings::with_token(&self.place.url, Secret::new(TOKEN)) }
    }

    /// Settings with the service app's key.
    pub fn app_settings(&self) -> Settings {
        self.settings_with(&self.key)
    }

    /// Settings with a key, PEM.
    pub fn settings_with(&self, key: &str) -> Settings {
        let scopes = SCOPES.map(str::to_owned);
        Settings::for_app(&self.place.url, CLIENT, &Secret::new(key), Some("key-1"), &scopes).unwrap()
    }

    pub fn connect(&self) -> Directory {
        connect(&self.settings())
    }

    /// A new person with a login in example.org; their id.
    pub fn person(&self, name: &str, status: &str, profile: Value) -> String {
        let mut state = self.state();
        state.made += 1;
        let id = user_id(state.made);
        let mut whole = json!({"login": format!("{name}@example.org"), "email": format!("{name}@example.org"), "firstName": name, "lastName": "Example"});
        let whole = whole.as_object_mut().unwrap();
        whole.extend(profile.as_object().unwrap().clone());
        let updated = state.now;
        state.users.insert(id.clone(), User { status: status.into(), profile: whole.clone(), updated });
        id
    }

    /// A new group; its id.
    pub fn group(&self, name: &str, kind: &str, members: &[&str]) -> String {
        let mut state = self.state();
        state.made += 1;
        let id = group_id(state.made);
        let members = members.iter().map(|member| (*member).to_owned()).collect();
        let group = Group { kind: kind.into(), name: name.into(), members, updated: state.now, moved: state.now };
        state.groups.insert(id.clone(), group);
        id
    }

    pub fn rule(&self, name: &str, status: &str, group: &str) {
        self.state().rules.push(Rule { name: name.into(), status: status.into(), groups: vec![group.into()], except: BTreeSet::new() });
    }

    /// Whom rules leave out for good.
    pub fn left_out(&self) -> Vec<String> {
        self.state().rules.iter().flat_map(|rule| rule.except.clone()).collect()
    }

    pub fn set_status(&self, person: &str, status: &str) {
        let mut state = self.state();
        let now = state.now;
        let user = state.users.get_mut(person).unwrap();
        (user.status, user.updated) = (status.into(), now);
    }

    pub fn set(&self, person: &str, key: &str, value: Value) {
        let mut state = self.state();
        let now = state.now;
        let user = state.users.get_mut(person).unwrap();
        user.profile.insert(key.into(), value);
        user.updated = now;
    }

    pub fn delete_person(&self, person: &str) {
        let mut state = self.state();
        state.users.remove(person);
        state.groups.values_mut().for_each(|group| _ = group.members.remove(person));
    }

    pub fn delete_group(&self, group: &str) {
        self.state().groups.remove(group);
    }

    /// Somebody else's hand.
    pub fn put(&self, group: &str, person: &str, member: bool) {
        let mut state = self.state();
        let now = state.now;
        let group = state.groups.get_mut(group).unwrap();
        if member {
            group.members.insert(person.into())
        } else {
            group.members.remove(person)
        };
        group.moved = now;
    }

    pub fn members(&self, group: &str) -> Vec<String> {
        self.state().groups[group].members.iter().cloned().collect()
    }

    pub fn pass_time(&self, seconds: i64) {
        self.state().now += TimeDelta::seconds(seconds);
    }

    /// From here on a search sees what there is now, until it settles.
    pub fn search_falls_behind(&self) {
        let mut state = self.state();
        state.indexed = Some((state.users.clone(), state.groups.clone()));
    }

    pub fn search_catches_up(&self) {
        self.state().indexed = None;
    }

    pub fn page_size(&self, rows: usize) {
        self.state().page = rows;
    }

    /// The tokens given so far are worth nothing any more.
    pub fn forget_tokens(&self) {
        self.state().tokens.clear();
    }

    pub fn withdraw_scope(&self, scope: &str) {
        self.state().granted.remove(scope);
    }

    /// Nothing is denied any more.
    pub fn allow_all(&self) {
        self.state().denied.clear();
    }

    pub fn deny(&self, what: &'static str) {
        self.state().denied.insert(what);
    }

    /// The next `times` calls of `method` whose address contains `part` meet `trouble`.
    pub fn trouble(&self, method: Method, part: &'static str, times: usize, trouble: Trouble) {
        self.state().troubles.push((vec![method], part, times, trouble));
    }

    /// The next change of a membership meets `trouble`.
    pub fn trouble_changing(&self, trouble: Trouble) {
        self.state().troubles.push((vec![Method::PUT, Method::DELETE], "/users/", 1, trouble));
    }

    /// The id of the person with this login.
    pub fn by_login(&self, login: &str) -> Option<String> {
        self.state().users.iter().find(|(_, user)| user.profile["login"] == login).map(|(id, _)| id.clone())
    }

    /// The fake's own now.
    pub fn now(&self) -> DateTime<Utc> {
        self.state().now
    }

    /// How often a next page was named.
    pub fn next_links(&self) -> usize {
        self.state().next_links
    }

    /// "METHOD target" of every call since this was last asked.
    pub fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.state().asked)
    }
}

pub fn connect(settings: &Settings) -> Directory {
    Directory::Okta(Okta::new(settings, Clock::system()).unwrap())
}

/// A body as Okta writes of errors.
pub fn error(code: &str) -> String {
    json!({"errorCode": code, "errorSummary": format!("A summary of {code}"), "errorLink": code, "errorId": "oaeIdOfIt", "errorCauses": []}).to_string()
}

fn stamp(moment: DateTime<Utc>) -> String {
    moment.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// Status, headers of its own, body.
type Reply = (u16, Vec<(&'static str, String)>, String);

fn refused(status: u16, code: &str) -> Reply {
    (status, vec![], error(code))
}

async fn answer(Shared(inner): Shared<Arc<Inner>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 1 << 20).await.unwrap();
    let target = parts.uri.to_string();
    let (now, trouble, reply) = {
        let mut state = inner.state.lock().unwrap();
        state.asked.push(format!("{} {target}", parts.method));
        let trouble = state.troubles.iter_mut().find(|(methods, part, times, _)| methods.contains(&parts.method) && *times > 0 && target.contains(*part));
        let trouble = trouble.map(|(_, _, times, trouble)| {
            *times -= 1;
            trouble.clone()
        });
        let reply = match &trouble {
            Some(Trouble::Say(status, headers, body)) => (*status, headers.clone(), body.clone()),
            Some(Trouble::Hang) => (200, vec![], String::new()),
            Some(Trouble::EmptyPage) => (200, vec![("link", format!("<{}{target}>; rel=\"next\"", inner.url))], "[]".into()),
            _ => state.reply(&inner, &parts.method, &target, &parts.headers, &body),
        };
        (state.now, trouble, reply)
    };
    let (status, mut headers, mut text) = reply;
    match trouble {
        Some(Trouble::Hang | Trouble::DoneThenHang) => return std::future::pending().await,
        Some(Trouble::DoneThen(status, body)) => return respond(now, status, vec![], body),
        Some(Trouble::NextAt(place)) => headers = vec![("link", format!("<{place}>; rel=\"next\""))],
        _ => {}
    }
    if status == 204 {
        text.clear();
    }
    respond(now, status, headers, text)
}

fn respond(now: DateTime<Utc>, status: u16, headers: Vec<(&'static str, String)>, body: String) -> Response {
    let (is_empty, content_is_html) = (body.is_empty(), body.starts_with('<'));
    let mut response = (StatusCode::from_u16(status).unwrap(), body).into_response();
    let all = response.headers_mut();
    all.remove("content-type");
    let media = if content_is_html { "text/html" } else { "application/json" };
    let media = (!is_empty).then(|| ("content-type", media.to_owned()));
    let usual = [
        ("date", now.format("%a, %d %b %Y %H:%M:%S GMT").to_string()),
        ("x-rate-limit-limit", "600".into()),
        ("x-rate-limit-remaining", "599".into()),
        ("x-rate-limit-reset", (now.timestamp() + 30).to_string()),
    ];
    for (name, value) in usual.into_iter().chain(media).chain(headers) {
        all.insert(name, value.parse().unwrap());
    }
    response
}

impl State {
    fn reply(&mut self, inner: &Inner, method: &Method, target: &str, headers: &HeaderMap, body: &Bytes) -> Reply {
        let url = Url::parse(&format!("http://okta{target}")).unwrap();
        let decoded: Vec<String> = url.path_segments().unwrap().map(percent_decoded).collect();
        let path: Vec<&str> = decoded.iter().map(String::as_str).collect();
        let query: BTreeMap<String, String> = url.query_pairs().into_owned().collect();
        if path == ["oauth2", "v1", "token"] {
            return self.token(inner, body);
        }
        let ["api", "v1", path @ ..] = &path[..] else { return refused(404, "E0000008") };
        let needs = match (method, path) {
            (&Method::PUT | &Method::DELETE, _) => "okta.groups.manage",
            (_, ["users", ..]) => "okta.users.read",
            _ => "okta.groups.read",
        };
        match headers.get("authorization").and_then(|value| value.to_str().ok()).and_then(|value| value.split_once(' ')) {
            Some(("SSWS", TOKEN)) if self.denied.contains(needs) || (self.denied.contains("rules") && path.contains(&"rules")) => {
                return refused(403, "E0000006");
            }
            Some(("SSWS", TOKEN)) => {}
            Some(("Bearer", token)) => match self.tokens.get(token) {
                Some(scopes) if scopes.contains(needs) => {}
                Some(_) => return refused(403, "E0000006"),
                None => return refused(401, "E0000011"),
            },
            _ => return refused(401, "E0000011"),
        }
        match (method, path) {
            (&Method::GET, ["users"]) => self.users(inner, &url, &query),
            (&Method::GET, ["users", who]) => self.found(who).map_or_else(|| refused(404, "E0000007"), |id| ok(self.user_json(&id))),
            (&Method::GET, ["users", who, "groups"]) => {
                let Some(id) = self.found(who) else { return refused(404, "E0000007") };
                let rows = self.groups.iter().filter(|(_, group)| group.members.contains(&id)).map(|(id, group)| (id.clone(), group_json(id, group))).collect();
                self.paged(inner, &url, &query, rows)
            }
            (&Method::GET, ["groups"]) => self.groups(inner, &url, &query),
            (&Method::GET, ["groups", "rules"]) => {
                let rows = (1..).zip(&self.rules).map(|(number, rule)| (format!("0pr{number}"), rule_json(number, rule))).collect();
                self.paged(inner, &url, &query, rows)
            }
            (&Method::GET, ["groups", id]) => self.groups.get(*id).map_or_else(|| refused(404, "E0000007"), |group| ok(group_json(id, group))),
            (&Method::GET, ["groups", id, "users"]) => {
                let Some(group) = self.groups.get(*id) else { return refused(404, "E0000007") };
                let rows = group.members.iter().filter(|id| self.users.contains_key(*id)).map(|id| (id.clone(), self.user_json(id))).collect();
                self.paged(inner, &url, &query, rows)
            }
            (&Method::PUT | &Method::DELETE, ["groups", group, "users", who]) => self.change(group, who, method == Method::PUT),
            _ => refused(405, "E0000022"),
        }
    }

    /// By id, by login, or by what stands before the `@` where only one login begins so.
    fn found(&self, who: &str) -> Option<String> {
        if self.users.contains_key(who) {
            return Some(who.to_owned());
        }
        let login = |user: &User| user.profile["login"].as_str().unwrap().to_lowercase();
        let who = who.to_lowercase();
        let whole = self.users.iter().find(|(_, user)| login(user) == who);
        let mut short = self.users.iter().filter(|(_, user)| login(user).split('@').next() == Some(&who));
        whole.or_else(|| short.next().filter(|_| short.next().is_none())).map(|(id, _)| id.clone())
    }

    fn change(&mut self, group: &str, who: &str, add: bool) -> Reply {
        let (known, now) = (self.found(who), self.now);
        let Some(entry) = self.groups.get_mut(group) else { return refused(404, "E0000007") };
        let Some(person) = known else { return refused(404, "E0000007") };
        if entry.kind != "OKTA_GROUP" {
            return refused(403, "E0000006");
        }
        let changed = if add { entry.members.insert(person.clone()) } else { entry.members.remove(&person) };
        if changed {
            entry.moved = now;
            let at_work = self.rules.iter_mut().filter(|rule| rule.status == "ACTIVE" && rule.groups.iter().any(|id| id == group));
            at_work.filter(|_| !add).for_each(|rule| _ = rule.except.insert(person.clone()));
        }
        (204, vec![], String::new())
    }

    fn users(&mut self, inner: &Inner, url: &Url, query: &BTreeMap<String, String>) -> Reply {
        let of = |users: &BTreeMap<String, User>, keep: &dyn Fn(&str, &User) -> bool| -> Vec<(String, Value)> {
            users.iter().filter(|(id, user)| keep(id, user)).map(|(id, user)| (id.clone(), user_json(id, user))).collect()
        };
        let text = |user: &User, key: &str| user.profile.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let rows = match (query.get("filter"), query.get("search")) {
            (Some(filter), None) => match parsed(filter).as_deref() {
                Some([(key, op, value)]) if key == "lastUpdated" && op == "gt" => of(&self.users, &|_, user| stamp(user.updated) > *value),
                Some([(key, op, value)]) if (key == "profile.email" || key == "profile.login") && op == "eq" => {
                    of(&self.users, &|_, user| text(user, &key[8..]) == *value)
                }
                _ => return refused(400, "E0000031"),
            },
            (None, Some(search)) => match parsed(search).as_deref() {
                Some([(key, op, value)]) if key.starts_with("profile.") && op == "eq" => {
                    let users = self.indexed.as_ref().map_or(&self.users, |(users, _)| users);
                    of(users, &|_, user| text(user, &key[8..]).to_lowercase() == value.to_lowercase())
                }
                _ => return refused(400, "E0000031"),
            },
            (None, None) => of(&self.users, &|_, user| user.status != "DEPROVISIONED"),
            _ => return refused(400, "E0000001"),
        };
        self.paged(inner, url, query, rows)
    }

    fn groups(&mut self, inner: &Inner, url: &Url, query: &BTreeMap<String, String>) -> Reply {
        let of = |groups: &BTreeMap<String, Group>, keep: &dyn Fn(&Group) -> bool| -> Vec<(String, Value)> {
            groups.iter().filter(|(_, group)| keep(group)).map(|(id, group)| (id.clone(), group_json(id, group))).collect()
        };
        let rows = match (query.get("filter"), query.get("search")) {
            (Some(filter), None) => match parsed(filter).as_deref() {
                Some([(a, _, updated), (b, _, moved)]) if a == "lastUpdated" && b == "lastMembershipUpdated" => {
                    of(&self.groups, &|group| stamp(group.updated) > *updated || stamp(group.moved) > *moved)
                }
                _ => return refused(400, "E0000031"),
            },
            (None, Some(search)) => match parsed(search).as_deref() {
                Some([(key, op, value)]) if key == "profile.name" && op == "eq" => {
                    let groups = self.indexed.as_ref().map_or(&self.groups, |(_, groups)| groups);
                    of(groups, &|group| group.name.to_lowercase() == value.to_lowercase())
                }
                _ => return refused(400, "E0000031"),
            },
            _ => of(&self.groups, &|_| true),
        };
        self.paged(inner, url, query, rows)
    }

    fn paged(&mut self, inner: &Inner, url: &Url, query: &BTreeMap<String, String>, rows: Vec<(String, Value)>) -> Reply {
        let limit = query.get("limit").map_or(self.page, |limit| limit.parse::<usize>().unwrap().min(self.page));
        let after = query.get("after").cloned().unwrap_or_default();
        let rows: Vec<_> = rows.into_iter().filter(|(id, _)| *id > after).collect();
        let mut links = vec![format!("<{}{}>; rel=\"self\"", inner.url, target_of(url))];
        if rows.len() > limit {
            let mut next = url.clone();
            let kept: Vec<(String, String)> = url.query_pairs().into_owned().filter(|(key, _)| key != "after").collect();
            next.query_pairs_mut().clear().extend_pairs(kept).append_pair("after", &rows[limit - 1].0);
            links.push(format!("<{}{}>; rel=\"next\"", inner.url, target_of(&next)));
            self.next_links += 1;
        }
        let page: Vec<Value> = rows.into_iter().take(limit).map(|(_, row)| row).collect();
        (200, vec![("link", links.join(", "))], Value::Array(page).to_string())
    }

    fn user_json(&self, id: &str) -> Value {
        user_json(id, &self.users[id])
    }

    fn token(&mut self, inner: &Inner, body: &Bytes) -> Reply {
        let form: BTreeMap<String, String> = Url::parse(&format!("http://x?{}", String::from_utf8_lossy(body))).unwrap().query_pairs().into_owned().collect();
        let field = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
        let no = |code: &str| (if code == "invalid_client" { 401 } else { 400 }, vec![], json!({"error": code, "error_description": "No."}).to_string());
        let part = |part: &str| serde_json::from_slice::<Value>(&BASE64_URL_SAFE_NO_PAD.decode(part).unwrap_or_default()).unwrap_or_default();
        let assertion: Vec<&str> = field("client_assertion").split('.').collect();
        let [header, claims, signature] = assertion[..] else { return no("invalid_client") };
        let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).unwrap_or_default();
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &inner.public_key);
        let signed = key.verify(format!("{header}.{claims}").as_bytes(), &signature).is_ok();
        let (header, claims) = (part(header), part(claims));
        let fits = (claims["iss"].as_str(), claims["sub"].as_str()) == (Some(CLIENT), Some(CLIENT))
            && claims["aud"] == format!("{}/oauth2/v1/token", inner.url)
            && claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap() <= 3600
            && (&header["alg"], &header["kid"]) == (&json!("ES256"), &json!("key-1"));
        if !signed || !fits || field("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" {
            return no("invalid_client");
        }
        let scopes: BTreeSet<String> = field("scope").split(' ').map(str::to_owned).collect();
        if field("grant_type") != "client_credentials" || !scopes.is_subset(&self.granted) {
            return no("invalid_scope");
        }
        let token = format!("eyJ-token-{}", self.asked.len());
        self.tokens.insert(token.clone(), scopes);
        ok(json!({"token_type": "Bearer", "expires_in": 3600, "access_token": token, "scope": field("scope")}))
    }
}

fn target_of(url: &Url) -> String {
    format!("{}{}", url.path(), url.query().map(|query| format!("?{query}")).unwrap_or_default())
}

fn ok(body: Value) -> Reply {
    (200, vec![], body.to_string())
}

fn user_json(id: &str, user: &User) -> Value {
    let at = stamp(user.updated);
    json!({
        "id": id, "status": user.status, "created": "2020-01-01T00:00:00.000Z", "activated": null, "statusChanged": at, "lastLogin": null,
        "lastUpdated": at, "passwordChanged": null, "type": {"id": "otyDefault"}, "profile": user.profile,
        "credentials": {"provider": {"type": "OKTA", "name": "OKTA"}}, "_links": {"self": {"href": format!("https://org.okta.com/api/v1/users/{id}")}},
    })
}

fn group_json(id: &str, group: &Group) -> Value {
    json!({
        "id": id, "created": "2020-01-01T00:00:00.000Z", "lastUpdated": stamp(group.updated), "lastMembershipUpdated": stamp(group.moved),
        "objectClass": ["okta:user_group"], "type": group.kind, "profile": {"name": group.name, "description": format!("About {}", group.name)},
    })
}

fn rule_json(number: usize, rule: &Rule) -> Value {
    json!({
        "type": "group_rule", "id": format!("0pr{number}"), "status": rule.status, "name": rule.name, "created": "2020-01-01T00:00:00.000Z",
        "lastUpdated": "2020-01-01T00:00:00.000Z", "conditions": {"expression": {"value": "user.department==\"x\"", "type": "urn:okta:expression:1.0"}},
        "actions": {"assignUserToGroups": {"groupIds": rule.groups}},
    })
}

/// `KEY OP "VALUE"`, joined by `or`.
fn parsed(expression: &str) -> Option<Vec<(String, String, String)>> {
    let mut found = Vec::new();
    let mut rest = expression;
    loop {
        let (key, after) = rest.split_once(' ')?;
        let (op, after) = after.split_once(' ')?;
        let mut values = serde_json::Deserializer::from_str(after).into_iter::<String>();
        let value = values.next()?.ok()?;
        rest = &after[values.byte_offset()..];
        found.push((key.to_owned(), op.to_owned(), value));
        match rest.strip_prefix(" or ") {
            Some(more) => rest = more,
            None => return rest.is_empty().then_some(found),
        }
    }
}

fn percent_decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let (mut out, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let code = (bytes[at] == b'%').then(|| u8::from_str_radix(text.get(at + 1..at + 3)?, 16).ok()).flatten();
        out.push(code.unwrap_or(bytes[at]));
        at += if code.is_some() { 3 } else { 1 };
    }
    String::from_utf8(out).unwrap()
}
