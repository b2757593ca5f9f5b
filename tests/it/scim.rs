//! The SCIM connector against servers that deviate, fail and lie.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use countersign::clock::Clock;
use countersign::directory::facts::{ReadError, WriteResult};
use countersign::directory::http::Settings;
use countersign::directory::port::Directory;
use countersign::directory::scim::Scim;
use serde_json::{Value, json};
use tokio::sync::Barrier;

use crate::scripted::{Asked, Reply, Scripted};

fn connect(server: &Scripted) -> Directory {
    connect_with(server, |_| {})
}

fn connect_with(server: &Scripted, change: impl FnOnce(&mut Settings)) -> Directory {
    let mut settings = Settings::new(&server.url, "the-token");
    change(&mut settings);
    Directory::Scim(Scim::new(&settings, Clock::system()).unwrap())
}

fn list(rows: &[Value]) -> Reply {
    Reply::new(200, json!({"totalResults": rows.len(), "Resources": rows}))
}

fn missing() -> Reply {
    Reply::new(404, json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:Error"], "status": "404"}))
}

fn people() -> Vec<Value> {
    let person = |id: &str, login: &str| {
        json!({"id": id, "userName": login, "emails": [{"value": format!("{login}@x.org"), "primary": true},
               {"value": "shared@x.org", "type": "home"}]})
    };
    vec![person("u-0", "admin"), person("u-1", "ann"), person("u-2", "bea")]
}

fn groups() -> Vec<Value> {
    let group = |id: &str, name: &str, members: &[&str]| {
        let members: Vec<_> = members.iter().map(|m| json!({"value": m})).collect();
        json!({"id": id, "displayName": name, "members": members})
    };
    vec![group("g-1", "readers", &["u-1", "u-2"]), group("g-2", "writers", &["u-2"]), group("g-3", "empty", &[])]
}

/// A server that has people and groups but pays no attention to filters.
fn deaf(asked: &Asked) -> Reply {
    let (kind, id) = asked.path()[1..].split_once('/').unwrap_or((&asked.path()[1..], ""));
    let rows = if kind == "Users" { people() } else { groups() };
    match (kind, id) {
        ("Users" | "Groups", "") => list(&rows),
        (_, id) => rows.iter().find(|row| row["id"] == id).map_or_else(missing, |row| Reply::new(200, row)),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ignored_filter_never_finds_the_wrong_person() {
    let server = Scripted::start(deaf).await;
    let directory = connect(&server);
    assert_eq!(directory.find_person("user_name", "bea").await.unwrap().unwrap().reference, "u-2");
    assert_eq!(directory.find_person("email", "ANN@x.org").await.unwrap().unwrap().reference, "u-1");
    assert_eq!(directory.find_person("user_name", "nobody").await, Ok(None));
    assert_eq!(directory.find_person("email", "shared@x.org").await, Ok(None), "only the primary address counts");
    assert_eq!(directory.find_group("writers").await.unwrap().unwrap().reference, "g-2");
    assert_eq!(directory.find_group("WRITERS").await, Ok(None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_people_with_one_login_are_refused() {
    let twins = || vec![json!({"id": "u-1", "userName": "ann"}), json!({"id": "u-2", "userName": "Ann"})];
    let server = Scripted::start(move |_| list(&twins())).await;
    let found = connect(&server).find_person("user_name", "ann").await;
    assert!(matches!(found, Err(ReadError::Several { .. })), "{found:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn groups_that_are_not_told_are_looked_up_even_when_searches_lie() {
    let names = |facts: countersign::directory::facts::PersonFacts| facts.groups.into_iter().map(|g| g.name).collect::<Vec<_>>().join(" ");
    // All groups, whatever is searched for.
    let server = Scripted::start(deaf).await;
    let directory = connect(&server);
    assert_eq!(names(directory.person("u-1").await.unwrap().unwrap()), "readers");
    assert_eq!(names(directory.person("u-2").await.unwrap().unwrap()), "readers writers");
    assert_eq!(names(directory.person("u-0").await.unwrap().unwrap()), "");
    // No groups, whatever is searched for.
    let mute = |asked: &Asked| if asked.query("filter").is_some() { list(&[]) } else { deaf(asked) };
    let server = Scripted::start(mute).await;
    assert_eq!(names(connect(&server).person("u-2").await.unwrap().unwrap()), "readers writers");
    // Searches by member are refused.
    let refusing = |asked: &Asked| match asked.query("filter") {
        Some(_) => Reply::new(400, json!({"status": "400", "scimType": "invalidFilter"})),
        None => deaf(asked),
    };
    let server = Scripted::start(refusing).await;
    assert_eq!(names(connect(&server).person("u-2").await.unwrap().unwrap()), "readers writers");
    // Everybody at once.
    let page = connect(&server).people(None).await.unwrap();
    assert_eq!(page.items.into_iter().map(names).collect::<Vec<_>>(), ["", "readers", "readers writers"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_search_that_works_is_used_and_tried_only_once() {
    let honest = |asked: &Asked| match asked.query("filter") {
        Some(filter) => {
            let wanted = filter.strip_prefix("members.value eq ").unwrap().trim_matches('"').to_owned();
            let holds = |g: &Value| g["members"].as_array().unwrap().iter().any(|m| m["value"] == wanted.as_str());
            let mut rows: Vec<_> = groups().into_iter().filter(holds).collect();
            rows.iter_mut().for_each(|row| _ = row.as_object_mut().unwrap().remove("members"));
            list(&rows)
        }
        None => deaf(asked),
    };
    let server = Scripted::start(honest).await;
    let directory = connect(&server);
    assert_eq!(directory.person("u-2").await.unwrap().unwrap().groups.len(), 2);
    let first = server.asked().len();
    assert_eq!(directory.person("u-1").await.unwrap().unwrap().groups.len(), 1);
    assert_eq!(server.asked().len() - first, 2, "the person and a search, nothing else");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_told_with_groups_costs_one_call() {
    let server = Scripted::start(|_| Reply::new(200, json!({"id": "u-1", "userName": "ann", "groups": []}))).await;
    let directory = connect(&server);
    for _ in 0..3 {
        assert!(directory.person("u-1").await.unwrap().unwrap().groups.is_empty());
    }
    assert_eq!(server.asked().len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_directory_says_how_long_to_wait() {
    let server = Scripted::start(|asked| match asked.method.as_str() {
        "GET" => Reply::new(429, "").with("retry-after", "17"),
        _ => Reply::new(429, "<html>").with("date", "Wed, 21 Oct 2015 07:28:00 GMT").with("retry-after", "Wed, 21 Oct 2015 07:28:09 GMT"),
    })
    .await;
    let directory = connect(&server);
    let retry_after = Duration::from_secs(17);
    assert_eq!(directory.person("u-1").await, Err(ReadError::RateLimited { retry_after }));
    let retry_after = Duration::from_secs(9);
    assert_eq!(directory.add("g-1", "u-1").await, WriteResult::RateLimited { retry_after });
    assert_eq!(directory.remove("g-1", "u-1").await, WriteResult::RateLimited { retry_after });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failing_directory_is_unknown_and_not_quoted() {
    let server = Scripted::start(|_| Reply::new(500, "<html><h1>Traceback the-token</h1>")).await;
    let directory = connect(&server);
    for error in [
        directory.person("u-1").await.unwrap_err(),
        directory.people(None).await.unwrap_err(),
        directory.is_member("g-1", "u-1").await.unwrap_err(),
        directory.find_person("user_name", "ann").await.unwrap_err(),
    ] {
        assert_eq!(error.to_string(), "The directory cannot be reached: it failed with 500.");
    }
    assert_eq!(directory.add("g-1", "u-1").await, WriteResult::Ambiguous("it failed with 500".into()));
    assert_eq!(directory.remove("g-1", "u-1").await, WriteResult::Ambiguous("it failed with 500".into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_is_applied_but_never_answered_is_ambiguous() {
    let applied = Arc::new(AtomicBool::new(false));
    let state = applied.clone();
    let server = Scripted::start(move |asked| {
        if asked.method == "PATCH" {
            state.store(true, Ordering::SeqCst);
            return Reply::never();
        }
        let members = if state.load(Ordering::SeqCst) { json!([{"value": "u-1"}]) } else { json!([]) };
        Reply::new(200, json!({"id": "g-1", "displayName": "readers", "members": members}))
    })
    .await;
    let directory = connect_with(&server, |settings| settings.timeout = Duration::from_millis(150));
    assert_eq!(directory.is_member("g-1", "u-1").await, Ok(false));
    let result = directory.add("g-1", "u-1").await;
    assert!(matches!(result, WriteResult::Ambiguous(_)), "{result:?}");
    assert_eq!(directory.is_member("g-1", "u-1").await, Ok(true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_that_is_not_there_has_certainly_changed_nothing() {
    let mut settings = Settings::new(&format!("http://127.0.0.1:{}", crate::idp::free_port()), "t");
    settings.timeout = Duration::from_secs(2);
    let directory = Directory::Scim(Scim::new(&settings, Clock::system()).unwrap());
    assert_eq!(directory.add("g-1", "u-1").await, WriteResult::Transient("no connection".into()));
    assert!(matches!(directory.person("u-1").await, Err(ReadError::Unreachable(_))));
}

/// Pages of 2 rows out of 5 that start over past the end, with `total` as the number claimed.
fn wrapping(total: usize) -> impl Fn(&Asked) -> Reply {
    move |asked| {
        let start: usize = asked.query("startIndex").unwrap().parse().unwrap();
        let start = if start > 5 { 1 } else { start };
        let rows: Vec<_> = (start..(start + 2).min(6)).map(|n| json!({"id": format!("u-{n}"), "userName": "x", "groups": []})).collect();
        Reply::new(200, json!({"totalResults": total, "itemsPerPage": 200, "Resources": rows}))
    }
}

async fn all_people(directory: &Directory) -> Result<Vec<String>, ReadError> {
    let mut found = Vec::new();
    let mut page = directory.people(None).await?;
    loop {
        found.extend(page.items.into_iter().map(|person| person.reference));
        match page.next {
            Some(next) => page = directory.people(Some(next)).await?,
            None => return Ok(found),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_that_starts_over_comes_to_an_end() {
    let server = Scripted::start(wrapping(5)).await;
    assert_eq!(all_people(&connect(&server)).await.unwrap(), ["u-1", "u-2", "u-3", "u-4", "u-5"]);
    assert_eq!(server.asked().len(), 3);
    let server = Scripted::start(wrapping(50)).await;
    let found = all_people(&connect(&server)).await;
    assert!(matches!(found, Err(ReadError::Malformed(_))), "an incomplete list is an error, not an end: {found:?}");
    assert!(server.asked().len() < 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_fails_on_page_sizes_is_asked_without() {
    let calls = Arc::new(AtomicUsize::new(0));
    let server = Scripted::start(move |asked| {
        calls.fetch_add(1, Ordering::SeqCst);
        if asked.query("count").is_some() { Reply::new(500, "<html>") } else { wrapping(5)(asked) }
    })
    .await;
    assert_eq!(all_people(&connect(&server)).await.unwrap().len(), 5);
    assert_eq!(server.asked().len(), 5, "with a size, without, once more with one to be sure, and then without");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_huge_answer_is_cut_off() {
    let server = Scripted::start(|_| Reply::new(200, "x".repeat(1 << 20))).await;
    let directory = connect_with(&server, |settings| settings.max_answer = 100_000);
    let error = directory.person("u-1").await.unwrap_err();
    assert_eq!(error.to_string(), "The directory cannot be reached: its answer is larger than 100000 bytes.");
    assert!(matches!(directory.add("g-1", "u-1").await, WriteResult::Ambiguous(_)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxys_404_is_not_a_person_who_left() {
    for body in ["<html>not found</html>", "", "[]"] {
        let server = Scripted::start(move |_| Reply::new(404, body)).await;
        let directory = connect(&server);
        assert!(matches!(directory.person("u-1").await, Err(ReadError::Malformed(_))));
        assert!(matches!(directory.is_member("g-1", "u-1").await, Err(ReadError::Malformed(_))));
        assert!(matches!(directory.remove("g-1", "u-1").await, WriteResult::Unknown(_)));
    }
    let server = Scripted::start(|_| missing()).await;
    assert_eq!(connect(&server).person("u-1").await, Ok(None));
    assert_eq!(connect(&server).remove("g-1", "u-1").await, WriteResult::NotFoundGroup);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_record_than_the_one_asked_for_is_refused() {
    let server = Scripted::start(|_| Reply::new(200, json!({"id": "u-9", "userName": "somebody else"}))).await;
    assert!(matches!(connect(&server).person("u-1").await, Err(ReadError::Malformed(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nonsense_is_an_error_and_not_an_answer() {
    for body in ["", "null", "[]", "{}", "{\"Resources\": 7}", "{\"totalResults\": 5}", "{\"Resources\": [{}], \"totalResults\": 1}"] {
        let server = Scripted::start(move |_| Reply::new(200, body)).await;
        let directory = connect(&server);
        assert!(directory.people(None).await.is_err(), "{body}");
        assert!(directory.person("u-1").await.is_err(), "{body}");
        assert!(directory.is_member("g-1", "u-1").await.is_err(), "{body}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redirect_is_not_followed_with_the_token() {
    let thief = Scripted::start(|_| Reply::new(200, json!({"id": "u-1"}))).await;
    let target = format!("{}/Users/u-1", thief.url);
    let server = Scripted::start(move |_| Reply::new(302, "").with("location", &target)).await;
    let directory = connect(&server);
    assert!(matches!(directory.person("u-1").await, Err(ReadError::Malformed(_))));
    assert!(matches!(directory.add("g-1", "u-1").await, WriteResult::Unknown(_)));
    assert!(thief.asked().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_ids_stay_in_their_place() {
    let server = Scripted::start(|asked| if asked.method == "PATCH" { Reply::new(204, "") } else { missing() }).await;
    let directory = connect(&server);
    assert_eq!(directory.person("../Groups/g-1?x=").await, Ok(None));
    assert_eq!(directory.remove("a/b", "u\"] or members[value pr").await, WriteResult::Changed);
    let asked = server.asked();
    assert_eq!(asked[0].target, "/Users/..%2FGroups%2Fg-1%3Fx%3D");
    assert_eq!(asked[1].target, "/Groups/a%2Fb");
    let body: Value = serde_json::from_str(&asked[1].body).unwrap();
    assert_eq!(body["Operations"][0]["path"], "members[value eq \"u\\\"] or members[value pr\"]");
    for nothing in ["", " ", ".", "..", "a\nb", &"x".repeat(600)] {
        assert!(matches!(directory.person(nothing).await, Err(ReadError::Refused(_))), "{nothing:?}");
        assert_eq!(directory.remove("g-1", nothing).await, WriteResult::NotFoundUser);
        assert_eq!(directory.remove(nothing, "u-1").await, WriteResult::NotFoundGroup);
    }
    assert_eq!(server.asked().len(), 2, "none of these was sent");
}

/// Whether this request could take anybody but one named member out.
fn is_reckless(asked: &Asked) -> bool {
    let body: Value = serde_json::from_str(&asked.body).unwrap_or_default();
    body["Operations"].as_array().into_iter().flatten().any(|operation| {
        let named = operation["value"].as_array().is_some_and(|v| v.len() == 1 && v[0]["value"].is_string());
        let filtered = operation["path"].as_str().is_some_and(|p| p.starts_with("members[value eq \""));
        operation["op"] == "remove" && !named && !filtered
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_remove_always_names_whom_it_removes() {
    for status in [200, 204, 400, 403, 404, 405, 409, 412, 500, 501, 503] {
        let server = Scripted::start(move |asked| match asked.method.as_str() {
            "GET" => deaf(asked),
            _ => Reply::new(status, json!({"status": status.to_string()})),
        })
        .await;
        _ = connect(&server).remove("g-1", "u-1").await;
        assert!(server.asked().iter().any(|a| a.method == "PATCH"));
        assert!(!server.asked().iter().any(is_reckless), "{status}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_older_form_of_remove_is_tried_where_the_standard_one_is_refused() {
    let server = Scripted::start(|asked| match asked.method.as_str() {
        "GET" => deaf(asked),
        _ if asked.body.contains("members[") => Reply::new(400, json!({"scimType": "invalidPath"})),
        _ => Reply::new(204, ""),
    })
    .await;
    assert_eq!(connect(&server).remove("g-1", "u-1").await, WriteResult::Changed);
    let last: Value = serde_json::from_str(&server.asked().last().unwrap().body).unwrap();
    assert_eq!(last["Operations"][0], json!({"op": "remove", "path": "members", "value": [{"value": "u-1"}]}));
    // Nothing to remove: some servers say 400 noTarget.
    assert_eq!(connect(&server).remove("g-2", "u-1").await, WriteResult::AlreadyInState);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_remove_that_removed_nobody_is_repeated_by_the_lists_own_value() {
    // Canaille keeps logins in `value` and answers 200 to the remove of an id.
    let members = Arc::new(Mutex::new(vec!["ann", "bea"]));
    let server = Scripted::start(move |asked| {
        let mut members = members.lock().unwrap();
        if asked.body.contains("value eq \\\"ann\\\"") {
            members.retain(|m| *m != "ann");
        }
        let link = |m: &&str| format!("http://x/Users/{}", if *m == "ann" { "u-1" } else { "u-2" });
        let listed: Vec<_> = members.iter().map(|m| json!({"value": m, "$ref": link(m)})).collect();
        Reply::new(200, json!({"id": "g-1", "displayName": "readers", "members": listed}))
    })
    .await;
    let directory = connect(&server);
    assert_eq!(directory.members("g-1").await.unwrap().unwrap(), ["u-1", "u-2"]);
    assert_eq!(directory.is_member("g-1", "u-1").await, Ok(true));
    assert_eq!(directory.remove("g-1", "u-1").await, WriteResult::Changed);
    assert_eq!(directory.is_member("g-1", "u-1").await, Ok(false));
    assert_eq!(directory.is_member("g-1", "u-2").await, Ok(true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_add_that_was_dropped_is_noticed() {
    let server = Scripted::start(|_| Reply::new(200, &groups()[1])).await;
    assert!(matches!(connect(&server).add("g-2", "u-1").await, WriteResult::Unknown(_)));
    assert_eq!(connect(&server).add("g-2", "u-2").await, WriteResult::Changed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_patch_a_group_is_only_written_under_its_version() {
    let script = |version: Option<&'static str>| {
        move |asked: &Asked| match (asked.method.as_str(), version) {
            ("PATCH", _) => Reply::new(501, json!({"status": "501"})),
            ("GET", Some(version)) => deaf(asked).with("etag", version),
            ("GET", None) => deaf(asked),
            _ => Reply::new(200, "{}"),
        }
    };
    let server = Scripted::start(script(Some("W/\"3\""))).await;
    let directory = connect(&server);
    assert_eq!(directory.remove("g-1", "u-1").await, WriteResult::Changed);
    let put = server.asked().pop().unwrap();
    let body: Value = serde_json::from_str(&put.body).unwrap();
    assert_eq!((put.method.as_str(), put.headers["if-match"].as_str()), ("PUT", "W/\"3\""));
    assert_eq!((&body["displayName"], &body["members"]), (&json!("readers"), &json!([{"value": "u-2"}])));
    assert_eq!(directory.add("g-1", "u-1").await, WriteResult::AlreadyInState);
    assert_eq!(directory.remove("g-2", "u-1").await, WriteResult::AlreadyInState);
    assert_eq!(directory.add("g-3", "u-1").await, WriteResult::Changed);
    let server = Scripted::start(script(None)).await;
    assert!(matches!(connect(&server).add("g-3", "u-1").await, WriteResult::GroupNotWritable(_)));
    assert!(server.asked().iter().all(|a| a.method != "PUT"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn membership_is_searched_for_where_groups_do_not_list_it() {
    // As AWS does: no members in the record, but a search by both.
    let server = Scripted::start(|asked| match asked.query("filter") {
        Some(filter) if filter == "id eq \"g-1\" and members.value eq \"u-1\"" => list(&[json!({"id": "g-1"})]),
        Some(_) => list(&[]),
        None => Reply::new(200, json!({"id": "g-1", "displayName": "readers"})),
    })
    .await;
    let directory = connect(&server);
    assert_eq!(directory.is_member("g-1", "u-1").await, Ok(true));
    assert_eq!(directory.is_member("g-1", "u-2").await, Ok(false));
    // A server that finds the group whatever is asked knows nothing.
    let server = Scripted::start(|asked| match asked.query("filter") {
        Some(_) => list(&[json!({"id": "g-1"})]),
        None => Reply::new(200, json!({"id": "g-1", "displayName": "readers"})),
    })
    .await;
    assert!(matches!(connect(&server).is_member("g-1", "u-1").await, Err(ReadError::Malformed(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_at_once_are_limited() {
    let pair = Arc::new(Barrier::new(2));
    let server = Scripted::start(move |_| Reply { together: Some(pair.clone()), ..Reply::new(204, "") }).await;
    let directory = connect_with(&server, |settings| settings.concurrency = 2);
    let calls = (0..8).map(|n| directory.add("g-1", ["u-1", "u-2"][n % 2]));
    let results = futures_util::future::join_all(calls).await;
    assert!(results.iter().all(|r| *r == WriteResult::Changed), "{results:?}");
    assert_eq!((server.asked().len(), server.most_at_once()), (8, 2));
}
