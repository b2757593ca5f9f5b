//! The Keycloak connector against answers no healthy server gives.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use countersign::clock::Clock;
use countersign::directory::facts::{PersonFacts, ReadError, WriteResult};
use countersign::directory::keycloak::{Keycloak, Settings};
use countersign::directory::port::Directory;
use countersign::directory::token::Client;
use countersign::domain::secret::Secret;
use serde_json::{Value, json};

use crate::scripted::{Asked, Reply, Scripted};

/// A realm in memory: as much of one as the connector asks for.
#[derive(Default)]
struct Realm {
    /// User ids, in the order of the list.
    users: Vec<String>,
    /// Group id, path, parent.
    groups: Vec<(String, String, Option<String>)>,
    /// User id with group id.
    members: Vec<(String, String)>,
    /// Tokens given out; only the last is good.
    tokens: usize,
    /// What a call gets instead, by method and the start of its path below the realm; once, or for as long as it stands there.
    instead: Vec<(&'static str, &'static str, bool, Odd)>,
    /// Calls after which somebody at the top of the list leaves.
    leaving_after: Option<usize>,
    /// As releases before 24 answer when somebody in a group inside is added.
    old: bool,
    /// The account may ask, but sees nobody.
    blind: bool,
    /// Pages are ignored.
    same_page: bool,
}

#[derive(Clone)]
enum Odd {
    Answer(u16, Value),
    Html(u16),
    Busy(u16),
    /// Carries it out, and never answers.
    AppliesAndHangs,
    Hangs,
}

struct Fake {
    server: Scripted,
    realm: Arc<Mutex<Realm>>,
    clock: Clock,
}

impl Fake {
    async fn of(realm: Realm) -> Self {
        let realm = Arc::new(Mutex::new(realm));
        let told = realm.clone();
        let server = Scripted::start(move |asked| answer(asked, &mut told.lock().unwrap())).await;
        Self { server, realm, clock: Clock::system() }
    }

    /// Three people, `a` in a group inside another.
    async fn small() -> Self {
        Self::of(Realm {
            users: ["a", "b", "c"].map(str::to_owned).to_vec(),
            groups: vec![("top".into(), "/top".into(), None), ("in".into(), "/top/in".into(), Some("top".into())), ("other".into(), "/other".into(), None)],
            members: vec![("a".into(), "in".into()), ("b".into(), "other".into())],
            ..Realm::default()
        })
        .await
    }

    fn connect(&self) -> Directory {
        self.connect_within(Duration::from_secs(10))
    }

    fn connect_within(&self, patience: Duration) -> Directory {
        let client = Client::SecretBasic { id: "directory".into(), secret: Secret::new("the-secret") };
        let mut settings = Settings::new(&self.server.url, "staff", client);
        settings.reach.timeout = patience;
        Directory::Keycloak(Keycloak::new(&settings, self.clock.clone()).unwrap())
    }

    fn once(&self, method: &'static str, path: &'static str, odd: Odd) {
        self.realm.lock().unwrap().instead.push((method, path, true, odd));
    }

    fn always(&self, method: &'static str, path: &'static str, odd: Odd) {
        self.realm.lock().unwrap().instead.push((method, path, false, odd));
    }

    fn as_usual(&self) {
        self.realm.lock().unwrap().instead.clear();
    }

    fn is_member(&self, group: &str, person: &str) -> bool {
        self.realm.lock().unwrap().members.iter().any(|(p, g)| p == person && g == group)
    }

    fn writes(&self) -> usize {
        self.server.asked().iter().filter(|asked| matches!(asked.method.as_str(), "PUT" | "DELETE")).count()
    }
}

fn json_reply(status: u16, body: &Value) -> Reply {
    let mut reply = Reply::new(status, body);
    reply.headers = vec![("content-type", "application/json".into())];
    reply
}

fn error(status: u16, what: &str) -> Reply {
    json_reply(status, &json!({ "error": what }))
}

fn answer(asked: &Asked, realm: &mut Realm) -> Reply {
    if asked.path() == "/realms/staff/protocol/openid-connect/token" {
        assert!(asked.body.contains("grant_type=client_credentials") && asked.headers["authorization"].starts_with("Basic "));
        realm.tokens += 1;
        return json_reply(200, &json!({"access_token": format!("t-{}", realm.tokens), "expires_in": 60, "token_type": "Bearer"}));
    }
    let Some(path) = asked.path().strip_prefix("/admin/realms/staff") else { return Reply::new(404, "<html>") };
    if asked.headers["authorization"] != format!("Bearer t-{}", realm.tokens) {
        return error(401, "HTTP 401 Unauthorized");
    }
    if let Some(left) = &mut realm.leaving_after {
        *left = left.saturating_sub(1);
        if *left == 0 {
            realm.leaving_after = None;
            realm.users.remove(0);
        }
    }
    let found = realm.instead.iter().position(|(method, start, ..)| *method == asked.method && path.starts_with(start));
    if let Some(at) = found {
        let odd = if realm.instead[at].2 { realm.instead.remove(at).3 } else { realm.instead[at].3.clone() };
        match odd {
            Odd::Answer(status, body) => return json_reply(status, &body),
            Odd::Html(status) => return Reply::new(status, "<html>not found</html>"),
            Odd::Busy(status) => return error(status, "busy").with("retry-after", "7"),
            Odd::Hangs => return Reply::never(),
            Odd::AppliesAndHangs => {
                usual(asked, path, realm);
                return Reply::never();
            }
        }
    }
    usual(asked, path, realm)
}

fn group(realm: &Realm, (id, path, parent): &(String, String, Option<String>)) -> Value {
    let below = realm.groups.iter().filter(|(_, _, p)| p.as_ref() == Some(id)).count();
    let name = path.rsplit('/').next();
    json!({"id": id, "name": name, "path": path, "parentId": parent, "subGroupCount": below, "access": {"manageMembership": true}})
}

fn user(realm: &Realm, id: &str) -> Value {
    let manager = if id == "a" { "user-b" } else { "" };
    let attributes = json!({"department": ["Data"], "manager": [manager], "index": [realm.users.iter().position(|u| u == id)]});
    json!({"id": id, "username": format!("user-{id}"), "enabled": true, "attributes": attributes, "access": {"manageGroupMembership": true}})
}

fn usual(asked: &Asked, path: &str, realm: &mut Realm) -> Reply {
    let number = |name: &str, usual: usize| asked.query(name).map_or(usual, |text| text.parse().unwrap());
    let (first, max) = (if realm.same_page { 0 } else { number("first", 0) }, number("max", 100));
    let page = |rows: Vec<Value>| json_reply(200, &Value::Array(rows.into_iter().skip(first).take(max).collect()));
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let of = |realm: &Realm, id: &str| realm.groups.iter().find(|(g, ..)| g == id).cloned();
    match (asked.method.as_str(), parts.as_slice()) {
        ("GET", ["users", "count"]) => json_reply(200, &json!(realm.users.len())),
        ("GET", ["groups", "count"]) => json_reply(200, &json!({"count": realm.groups.len()})),
        ("GET", ["users"]) if realm.blind => json_reply(200, &json!([])),
        ("GET", ["groups"]) if realm.blind => json_reply(200, &json!([])),
        ("GET", ["users"]) => match asked.query("username") {
            Some(name) => page(realm.users.iter().filter(|id| format!("user-{id}") == name || **id == name).map(|id| user(realm, id)).collect()),
            None => page(realm.users.iter().map(|id| user(realm, id)).collect()),
        },
        ("GET", ["users", id]) if realm.users.iter().any(|u| u == id) => json_reply(200, &user(realm, id)),
        ("GET", ["users", id, "groups"]) if realm.users.iter().any(|u| u == id) => {
            let groups = realm.members.iter().filter(|(u, _)| u == id).filter_map(|(_, g)| of(realm, g)).map(|g| group(realm, &g));
            json_reply(200, &groups.collect())
        }
        (_, ["users", ..]) if !realm.users.iter().any(|u| Some(&u.as_str()) == parts.get(1)) => error(404, "User not found"),
        ("GET", ["groups"]) => page(realm.groups.iter().filter(|(_, _, parent)| parent.is_none()).map(|g| group(realm, g)).collect()),
        ("GET", ["group-by-path", rest @ ..]) => {
            let found = realm.groups.iter().find(|(_, path, _)| *path == format!("/{}", rest.join("/")).replace("%2F", "/"));
            found.map_or_else(|| error(404, "Group path does not exist"), |g| json_reply(200, &group(realm, g)))
        }
        ("GET", ["groups", id]) => of(realm, id).map_or_else(|| error(404, "Could not find group by id"), |g| json_reply(200, &group(realm, &g))),
        ("GET", ["groups", id, "children"]) => page(realm.groups.iter().filter(|(_, _, p)| p.as_deref() == Some(id)).map(|g| group(realm, g)).collect()),
        ("GET", ["groups", id, "members"]) if of(realm, id).is_some() => {
            let inside: HashSet<&str> = realm.members.iter().filter(|(_, group)| group == id).map(|(person, _)| person.as_str()).collect();
            page(realm.users.iter().filter(|u| inside.contains(u.as_str())).map(|u| json!({"id": u})).collect())
        }
        ("PUT" | "DELETE", ["users", _, "groups", id]) if of(realm, id).is_none() => error(404, "Group not found"),
        ("PUT", ["users", id, "groups", group]) => {
            let inside = |g: &str| of(realm, g).is_some_and(|(_, _, parent)| parent.as_deref() == Some(group));
            let inherited = realm.members.iter().any(|(u, g)| u == id && inside(g));
            if (!realm.old || !inherited) && !realm.members.contains(&((*id).to_owned(), (*group).to_owned())) {
                realm.members.push(((*id).to_owned(), (*group).to_owned()));
            }
            Reply::new(204, "")
        }
        ("DELETE", ["users", id, "groups", group]) => {
            realm.members.retain(|(u, g)| u != id || g != group);
            Reply::new(204, "")
        }
        _ => error(404, "HTTP 404 Not Found"),
    }
}

async fn everybody(directory: &Directory) -> Result<Vec<PersonFacts>, ReadError> {
    let (mut all, mut cursor) = (Vec::new(), None);
    loop {
        let page = directory.people(cursor).await?;
        all.extend(page.items);
        cursor = page.next;
        if cursor.is_none() {
            return Ok(all);
        }
    }
}

fn malformed<T: std::fmt::Debug>(outcome: &Result<T, ReadError>) -> bool {
    matches!(outcome, Err(ReadError::Malformed(_)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_is_in_the_groups_above_theirs_too_and_a_change_means_the_group_itself() {
    let fake = Fake::small().await;
    let directory = fake.connect();
    let a = directory.person("a").await.unwrap().unwrap();
    let mut groups: Vec<_> = a.groups.iter().map(|group| group.name.as_str()).collect();
    groups.sort_unstable();
    assert_eq!(groups, ["top", "top/in"]);
    assert_eq!((a.manager.as_deref(), a.attributes["department"].as_slice()), (Some("b"), ["Data".to_owned()].as_slice()));
    assert!(!directory.is_member("top", "a").await.unwrap() && directory.is_member("in", "a").await.unwrap());
    assert!(directory.is_member_inherited("top", "a").await.unwrap());
    // Keycloak would answer 204, write an event and change nothing.
    assert_eq!(directory.remove("top", "a").await, WriteResult::AlreadyInState);
    assert_eq!(fake.writes(), 0);
    assert_eq!(directory.add("top", "a").await, WriteResult::Changed);
    assert_eq!((directory.add("top", "a").await, fake.writes()), (WriteResult::AlreadyInState, 1));
    assert_eq!(directory.remove("top", "a").await, WriteResult::Changed);
    assert!(!fake.is_member("top", "a") && fake.is_member("in", "a") && fake.is_member("other", "b"));
    // Older releases take the addition and do nothing.
    fake.realm.lock().unwrap().old = true;
    let result = directory.add("top", "a").await;
    assert!(matches!(&result, WriteResult::GroupNotWritable(why) if why.contains("this release")), "{result}");
    assert_eq!(directory.add("other", "a").await, WriteResult::Changed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_there_is_told_apart_from_what_cannot_be_asked() {
    let fake = Fake::small().await;
    let directory = fake.connect();
    assert_eq!(directory.person("nobody").await, Ok(None));
    assert_eq!(directory.group("nothing").await, Ok(None));
    assert_eq!(directory.is_member("top", "nobody").await, Ok(false));
    assert_eq!(directory.find_person("user_name", "nobody").await, Ok(None));
    assert_eq!(directory.find_person("title", "nobody").await, Ok(None));
    assert_eq!(directory.find_group("nothing").await, Ok(None));
    assert_eq!((directory.add("nothing", "c").await, directory.add("top", "nobody").await), (WriteResult::NotFoundGroup, WriteResult::NotFoundUser));
    assert_eq!((directory.remove("nothing", "c").await, directory.remove("top", "nobody").await), (WriteResult::NotFoundGroup, WriteResult::NotFoundUser));
    for bad in ["", "..", ".", "a\0b"] {
        assert!(matches!(directory.person(bad).await, Err(ReadError::Refused(_))), "{bad:?}");
        assert!(matches!(directory.group(bad).await, Err(ReadError::Refused(_))), "{bad:?}");
        assert_eq!(directory.find_group(bad).await, Ok(None));
        assert_eq!((directory.add(bad, "a").await, directory.remove("top", bad).await), (WriteResult::NotFoundGroup, WriteResult::NotFoundUser));
    }
    assert_eq!(directory.find_group("top/../other").await, Ok(None));
    let asked = fake.server.asked();
    assert!(asked.iter().all(|asked| !asked.target.contains("..")), "no id leaves its place in a path");
    // A 404 that is another's, or the whole realm's, is nobody who left.
    fake.always("GET", "/users/a", Odd::Html(404));
    assert!(malformed(&directory.person("a").await) && malformed(&directory.is_member("top", "a").await));
    assert!(matches!(directory.add("top", "a").await, WriteResult::Unknown(_)));
    fake.as_usual();
    for path in ["/users", "/groups", "/group-by-path"] {
        fake.always("GET", path, Odd::Answer(404, json!({"error": "Realm not found."})));
    }
    assert!(malformed(&directory.person("a").await) && malformed(&directory.group("top").await) && malformed(&directory.find_group("top").await));
    assert!(malformed(&everybody(&directory).await) && malformed(&directory.is_member("top", "a").await));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_keeps_somebody_from_answering_is_called_by_its_name() {
    let fake = Fake::small().await;
    let directory = fake.connect();
    let busy = Duration::from_secs(7);
    for status in [429, 503] {
        fake.always("GET", "/users/a/groups", Odd::Busy(status));
        assert_eq!(directory.is_member("top", "a").await, Err(ReadError::RateLimited { retry_after: busy }));
        assert_eq!(directory.add("top", "a").await, WriteResult::RateLimited { retry_after: busy });
        fake.as_usual();
        fake.once("PUT", "/users/a", Odd::Busy(status));
        assert_eq!(directory.add("top", "a").await, WriteResult::RateLimited { retry_after: busy });
    }
    fake.once("PUT", "/users/a", Odd::Answer(403, json!({"error": "HTTP 403 Forbidden"})));
    assert!(matches!(directory.add("top", "a").await, WriteResult::Auth(why) if why.contains("manage-users")));
    fake.once("GET", "/users/a", Odd::Answer(403, json!({"error": "HTTP 403 Forbidden"})));
    assert!(matches!(directory.person("a").await, Err(ReadError::Auth(why)) if why.contains("view-users")));
    fake.once("PUT", "/users/a", Odd::Answer(500, json!({"error": "unknown_error"})));
    assert!(matches!(directory.add("top", "a").await, WriteResult::Ambiguous(_)));
    // A group of a federation that is only read.
    fake.once("DELETE", "/users/a/groups/in", Odd::Answer(400, json!({"error": "Not possible to delete LDAP group mappings"})));
    assert!(matches!(directory.remove("in", "a").await, WriteResult::GroupNotWritable(why) if why.contains("federation")));
    for body in [json!({}), json!({"id": "b", "username": "x"}), json!([1]), json!("x"), json!(null)] {
        fake.once("GET", "/users/a", Odd::Answer(200, body.clone()));
        assert!(malformed(&directory.person("a").await), "{body}");
        fake.once("GET", "/groups/top", Odd::Answer(200, body.clone()));
        assert!(malformed(&directory.group("top").await), "{body}");
    }
    for body in [json!({}), json!([{}]), json!([{"id": "in"}]), json!(["x"])] {
        fake.once("GET", "/users/a/groups", Odd::Answer(200, body.clone()));
        assert!(malformed(&directory.person("a").await), "an answer that cannot be read is not \"in no group\": {body}");
    }
    fake.once("GET", "/users/a/groups", Odd::Html(200));
    assert!(malformed(&directory.is_member("in", "a").await));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_without_an_answer_is_ambiguous_and_one_not_sent_is_not() {
    let fake = Fake::small().await;
    let directory = fake.connect_within(Duration::from_millis(400));
    fake.once("PUT", "/users/c", Odd::AppliesAndHangs);
    assert!(matches!(directory.add("top", "c").await, WriteResult::Ambiguous(_)));
    assert!(directory.is_member("top", "c").await.unwrap(), "it was applied, and reading back shows it");
    fake.once("GET", "/users/c/groups", Odd::Hangs);
    assert!(matches!(directory.remove("top", "c").await, WriteResult::Transient(_)), "nothing was sent but a question");
    assert!(fake.is_member("top", "c"));
    let gone =
        Keycloak::new(&Settings::new("http://127.0.0.1:9", "staff", Client::SecretBasic { id: "x".into(), secret: Secret::new("y") }), fake.clock.clone());
    assert!(matches!(Directory::Keycloak(gone.unwrap()).add("top", "c").await, WriteResult::Transient(_)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_is_no_longer_taken_is_asked_for_anew() {
    let fake = Fake::small().await;
    let directory = fake.connect();
    assert!(directory.person("a").await.unwrap().is_some());
    assert_eq!(fake.realm.lock().unwrap().tokens, 1);
    // Revoked at the server, in mid-run.
    fake.realm.lock().unwrap().tokens += 1;
    assert_eq!(directory.add("top", "c").await, WriteResult::Changed);
    assert_eq!(fake.realm.lock().unwrap().tokens, 3);
    // Shortly before its minute is over.
    fake.clock.set(fake.clock.now() + chrono::TimeDelta::seconds(50));
    assert!(directory.is_member("top", "c").await.unwrap());
    assert_eq!(fake.realm.lock().unwrap().tokens, 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_that_sees_nobody_is_told_from_an_empty_realm() {
    let fake = Fake::small().await;
    let directory = fake.connect();
    fake.realm.lock().unwrap().blind = true;
    assert!(matches!(everybody(&directory).await, Err(ReadError::Auth(why)) if why.contains("0 of 3 people") && why.contains("view-users")));
    assert!(matches!(directory.groups(None).await, Err(ReadError::Auth(why)) if why.contains("0 of 3 groups")));
    assert!(matches!(directory.find_person("user_name", "user-a").await, Err(ReadError::Auth(_))));
    let probe = directory.probe().await;
    assert!(!probe.works && probe.notes.iter().all(|note| note.contains("view-users")), "{probe:?}");
    *fake.realm.lock().unwrap() = Realm::default();
    assert_eq!(everybody(&directory).await.unwrap(), []);
    assert!(directory.groups(None).await.unwrap().items.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_missed_or_counted_twice_when_people_leave_while_they_are_listed() {
    let people = |count: usize| (0..count).map(|n| format!("u{n:04}")).collect::<Vec<_>>();
    for leaving_after in [None, Some(4), Some(5), Some(6), Some(7)] {
        let fake = Fake::of(Realm { users: people(250), leaving_after, ..Realm::default() }).await;
        let listed = everybody(&fake.connect()).await.unwrap();
        let mut ids: Vec<_> = listed.iter().map(|facts| facts.reference.clone()).collect();
        ids.sort();
        let before = ids.len();
        ids.dedup();
        assert_eq!(before, ids.len(), "none twice");
        for id in &fake.realm.lock().unwrap().users {
            assert!(ids.contains(id), "{id} is missing when somebody leaves after {leaving_after:?} calls");
        }
    }
    // A list that always begins again is no list.
    let fake = Fake::of(Realm { users: people(250), same_page: true, ..Realm::default() }).await;
    assert!(malformed(&everybody(&fake.connect()).await));
    // Half of it, and then nothing.
    let fake = Fake::of(Realm { users: people(250), ..Realm::default() }).await;
    fake.always("GET", "/users/count", Odd::Answer(200, json!(300)));
    assert!(malformed(&everybody(&fake.connect()).await), "250 of 300 are not everybody");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_of_five_thousand_is_read_whole_and_changed_for_one() {
    let users: Vec<String> = (0..5_001).map(|n| format!("u{n:04}")).collect();
    let members = users[..5_000].iter().map(|user| (user.clone(), "big".to_owned())).collect();
    let fake = Fake::of(Realm { users, groups: vec![("big".into(), "/big".into(), None)], members, ..Realm::default() }).await;
    let directory = fake.connect();
    assert_eq!(directory.members("big").await.unwrap().unwrap().len(), 5_000);
    assert!(directory.is_member("big", "u4999").await.unwrap() && !directory.is_member("big", "u5000").await.unwrap());
    let asked = fake.server.asked().len();
    assert_eq!(directory.add("big", "u5000").await, WriteResult::Changed);
    assert_eq!(directory.remove("big", "u0000").await, WriteResult::Changed);
    assert_eq!(fake.server.asked().len() - asked, 4, "however large the group");
    assert_eq!(directory.members("big").await.unwrap().unwrap().len(), 5_000);
    fake.realm.lock().unwrap().same_page = true;
    assert!(malformed(&directory.members("big").await));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_whose_name_looks_like_a_place_is_not_taken_for_that_place() {
    let fake =
        Fake::of(Realm { groups: vec![("false".into(), "/admins/on-call".into(), None), ("admins".into(), "/admins".into(), None)], ..Realm::default() }).await;
    let directory = fake.connect();
    assert_eq!(directory.find_group("admins/on-call").await, Ok(None), "one group called admins/on-call, not one inside another");
    assert_eq!(directory.find_group("/admins").await.unwrap().unwrap().reference, "admins");
    fake.realm.lock().unwrap().groups.insert(0, ("true".into(), "/admins/on-call".into(), Some("admins".into())));
    assert_eq!(directory.find_group("admins/on-call").await.unwrap().unwrap().reference, "true");
    // A circle of groups is no tree.
    fake.realm.lock().unwrap().groups[2].2 = Some("true".into());
    assert!(malformed(&directory.find_group("admins/on-call").await));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_changed_is_told_where_the_realm_keeps_it() {
    let fake = Fake::small().await;
    let directory = fake.connect();
    for (status, config) in [(403, json!({"error": "HTTP 403 Forbidden"})), (200, json!({"adminEventsEnabled": false})), (200, json!({}))] {
        fake.once("GET", "/events/config", Odd::Answer(status, config));
        assert_eq!(directory.changes(None).await, Ok(None));
    }
    fake.always("GET", "/events/config", Odd::Answer(200, json!({"adminEventsEnabled": true})));
    let begun = directory.changes(None).await.unwrap().unwrap();
    assert!(begun.people.is_empty() && !begun.more);
    let now = fake.clock.now().timestamp_millis();
    let event = |n: i64, path: &str| json!({"id": n.to_string(), "time": now - 60_000 + n, "resourceType": "USER", "resourcePath": path});
    let mut events: Vec<Value> = (0..98).map(|n| event(n, "users/a/groups/in")).collect();
    events.extend([event(98, "groups/top/children"), event(99, "users/../x")]);
    fake.once("GET", "/admin-events", Odd::Answer(200, Value::Array(events)));
    let changes = directory.changes(Some(&begun.next)).await.unwrap().unwrap();
    assert_eq!(
        (changes.people.as_slice(), changes.groups.as_slice(), changes.more),
        (["a".to_owned()].as_slice(), ["in".into(), "top".to_owned()].as_slice(), true)
    );
    fake.once("GET", "/admin-events", Odd::Answer(200, json!([event(100, "users/b"), {"odd": 1}, {"resourcePath": "users"}])));
    let rest = directory.changes(Some(&changes.next)).await.unwrap().unwrap();
    assert_eq!((rest.people.as_slice(), rest.more), (["b".to_owned()].as_slice(), false));
    let asked = fake.server.asked();
    let pages: BTreeMap<_, _> =
        asked.iter().filter(|asked| asked.path().ends_with("/admin-events")).map(|asked| (asked.query("first"), asked.query("dateFrom"))).collect();
    assert_eq!(pages, BTreeMap::from([(Some("0".into()), Some(begun.next.clone())), (Some("100".into()), Some(begun.next.clone()))]));
    assert!(rest.next.parse::<i64>().unwrap() >= begun.next.parse().unwrap());
    for old in ["0", "x", "", "1/2/3/4"] {
        assert_eq!(directory.changes(Some(old)).await, Err(ReadError::Expired), "{old}");
    }
}
