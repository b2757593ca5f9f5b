//! Google Workspace, by Google's contract and on its bad days.

use std::collections::BTreeSet;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use countersign::clock::Clock;
use countersign::directory::facts::{PersonFacts, ReadError, WriteResult};
use countersign::directory::google::Google;
use countersign::directory::google_settings::{SCOPES, Settings};
use countersign::directory::port::Directory;
use countersign::domain::secret::Secret;
use serde_json::{Value, json};

use crate::entra::everybody;
use crate::vendor::{Running, Said, Trick};
use crate::workspace::{Workspace, group_id, refused, user_id};

const KEY: &str = include_str!("keys/vendor_test.key.pem");

fn settings(url: &str) -> Settings {
    let file = json!({"type": "service_account", "client_email": "sync@project.iam.example", "private_key": KEY, "private_key_id": "key-7"});
    let mut settings = Settings::new(&Secret::new(&file.to_string()), "root@orchard.example").unwrap();
    settings.token_url = format!("{url}/token");
    settings.reach.base = url.to_owned();
    settings
}

pub fn connect(url: &str) -> Directory {
    connect_with(url, |_| {})
}

pub fn connect_with(url: &str, change: impl FnOnce(&mut Settings)) -> Directory {
    let mut settings = settings(url);
    change(&mut settings);
    Directory::Google(Google::new(&settings, Clock::system()).unwrap())
}

fn names(facts: &PersonFacts) -> String {
    let names: BTreeSet<_> = facts.groups.iter().map(|group| group.name.as_str()).collect();
    names.into_iter().collect::<Vec<_>>().join(" ")
}

/// Ann, who reports to Bea (by an alias of hers); Cy is suspended, Dee archived. Ann is in readers, which is inside staff.
fn company(running: &Running<Workspace>) {
    let fake = &running.vendor;
    let more = json!({
        "name": {"fullName": "Ann O'Hara"}, "organizations": [{"primary": true, "department": "Platform", "title": "Engineer", "costCenter": "4711"}],
        "externalIds": [{"type": "organization", "value": "E-7"}], "relations": [{"type": "manager", "value": "Boss@orchard.example"}],
    });
    let ann = fake.user(1, "ann", more);
    let bea = fake.user(2, "bea", json!({"aliases": ["boss@orchard.example"], "relations": [{"type": "manager", "value": "chair@elsewhere.example"}]}));
    fake.user(3, "cy", json!({"suspended": true, "suspensionReason": "ADMIN"}));
    fake.user(4, "dee", json!({"archived": true}));
    let (readers, staff) = (fake.group(1, "readers"), fake.group(2, "staff"));
    fake.put(&readers, &ann, "USER", "MEMBER");
    fake.put(&staff, &readers, "GROUP", "MEMBER");
    fake.put(&staff, &bea, "USER", "OWNER");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_are_read_as_google_tells_them_one_by_one_and_all_at_once() {
    let running = Workspace::held().await;
    company(&running);
    running.vendor.page(2);
    let directory = connect(&running.url);
    let ann = directory.person(&user_id(1)).await.unwrap().unwrap();
    assert_eq!((ann.display_name.as_str(), ann.manager.as_deref(), names(&ann).as_str()), ("Ann O'Hara", Some(user_id(2).as_str()), "readers staff"));
    let told: Vec<_> = ann.attributes.iter().map(|(k, v)| format!("{k}={}", v.join("+"))).collect();
    assert_eq!(told, ["cost_center=4711", "department=Platform", "employee_number=E-7", "title=Engineer"]);
    let bea = directory.person(&user_id(2)).await.unwrap().unwrap();
    assert_eq!(bea.manager, None, "somebody from outside is nobody's manager here");
    for away in [3, 4] {
        assert!(!directory.person(&user_id(away)).await.unwrap().unwrap().active);
    }
    assert_eq!(directory.person(&user_id(9)).await, Ok(None));
    let all = everybody(&directory).await.unwrap();
    assert_eq!(all.len(), 4);
    for listed in &all {
        let alone = directory.person(&listed.reference).await.unwrap().unwrap();
        assert_eq!((names(listed), &listed.manager, listed.active), (names(&alone), &alone.manager, alone.active));
    }
    assert_eq!(directory.changes(None).await, Ok(None));
    // Groups around a group that Google does not tell are left out; a person's own are not.
    running.vendor.desk.trick("GET", "/groups", Trick::Say(refused(404, "notFound", "Resource Not Found: userKey")), 1);
    assert!(matches!(directory.person(&user_id(1)).await, Err(ReadError::Unreachable(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_person_or_group_is_found_by_what_they_are_called_whatever_characters_it_has() {
    let running = Workspace::held().await;
    company(&running);
    let fake = &running.vendor;
    fake.user(5, "o'hara+x", json!({"externalIds": [{"type": "organization", "value": "E-8"}, {"type": "account", "value": "acc-5"}]}));
    for (number, name) in [(5, "R&D (Köln) #1 50% 'x' \\ \"y\""), (6, "twins"), (7, "twins"), (8, "readers and writers")] {
        fake.group(number, name);
    }
    let directory = connect(&running.url);
    let found = async |attribute: &str, value: &str| directory.find_person(attribute, value).await.map(|found| found.map(|facts| facts.reference));
    assert_eq!(found("user_name", "ANN@orchard.example").await, Ok(Some(user_id(1))));
    assert_eq!(found("email", "o'hara+x@orchard.example").await, Ok(Some(user_id(5))));
    assert_eq!(found("email", "boss@orchard.example").await, Ok(None), "an alias is nobody's login");
    assert_eq!(found("employee_number", "E-7").await, Ok(Some(user_id(1))));
    assert_eq!(found("external_id", "acc-5").await, Ok(Some(user_id(5))));
    assert_eq!(found("id", &user_id(2)).await, Ok(Some(user_id(2))));
    for nobody in ["", " ", "ann", "nobody@orchard.example", "a\nb@orchard.example"] {
        assert_eq!(found("user_name", nobody).await, Ok(None), "{nobody}");
    }
    assert_eq!(directory.find_group("R&D (Köln) #1 50% 'x' \\ \"y\"").await.unwrap().unwrap().reference, group_id(5));
    assert_eq!(directory.find_group("readers").await.unwrap().unwrap().reference, group_id(1), "what only begins like it is not it");
    assert_eq!(directory.find_group("g2@orchard.example").await.unwrap().unwrap().reference, group_id(2));
    assert_eq!(directory.find_group("READERS").await, Ok(None));
    assert_eq!(directory.find_group("nobody@orchard.example").await, Ok(None));
    assert!(matches!(directory.find_group("twins").await, Err(ReadError::Several { .. })));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_membership_is_added_and_removed_once_and_safely_again() {
    let running = Workspace::held().await;
    company(&running);
    let fake = &running.vendor;
    let directory = connect(&running.url);
    let (group, person) = (group_id(1), user_id(3));
    assert_eq!(directory.is_member(&group, &person).await, Ok(false));
    assert_eq!(directory.add(&group, &person).await, WriteResult::Changed);
    assert_eq!((directory.is_member(&group, &person).await, fake.role(&group, &person).as_deref()), (Ok(true), Some("MEMBER")));
    assert_eq!(directory.add(&group, &person).await, WriteResult::AlreadyInState);
    assert_eq!(directory.group(&group).await.unwrap().unwrap().members, [user_id(1), user_id(3)]);
    assert_eq!(directory.remove(&group, &person).await, WriteResult::Changed);
    assert_eq!(directory.remove(&group, &person).await, WriteResult::AlreadyInState);
    assert!(fake.role(&group, &person).is_none() && fake.role(&group, &user_id(1)).is_some(), "and nobody else's");

    assert_eq!(directory.add(&group, &user_id(9)).await, WriteResult::NotFoundUser);
    assert_eq!(directory.remove(&group, &user_id(9)).await, WriteResult::NotFoundUser);
    assert_eq!(directory.add(&group_id(9), &person).await, WriteResult::NotFoundGroup);
    assert_eq!(directory.remove(&group_id(9), &person).await, WriteResult::NotFoundGroup);
    assert_eq!(directory.is_member(&group_id(9), &person).await, Ok(false));
    assert_eq!(directory.is_member(&group, &user_id(9)).await, Ok(false));
    assert_eq!(directory.is_member(&group, "999").await, Ok(false), "a key that Google cannot resolve");
    assert_eq!(fake.size(&group), 1, "nobody from outside was added");
    fake.drop_group(&group_id(2));
    assert_eq!(directory.group(&group_id(2)).await, Ok(None));
    assert_eq!(directory.is_member(&group_id(2), &user_id(2)).await, Ok(false));
    assert_eq!(directory.remove(&group_id(2), &user_id(2)).await, WriteResult::NotFoundGroup);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_owner_stays_an_owner_and_nobody_from_outside_gets_in() {
    let running = Workspace::held().await;
    company(&running);
    let fake = &running.vendor;
    fake.put(&group_id(1), &user_id(2), "USER", "MANAGER");
    let directory = connect(&running.url);
    assert_eq!(directory.add(&group_id(2), &user_id(2)).await, WriteResult::AlreadyInState);
    assert_eq!(directory.add(&group_id(1), &user_id(2)).await, WriteResult::AlreadyInState);
    assert_eq!((fake.role(&group_id(2), &user_id(2)).as_deref(), fake.role(&group_id(1), &user_id(2)).as_deref()), (Some("OWNER"), Some("MANAGER")));
    fake.desk.forget();
    for outside in ["x@elsewhere.example", "ann@orchard.example", "..", "a/b", "1?x", "1#", ""] {
        assert!(matches!(directory.add(&group_id(1), outside).await, WriteResult::NotFoundUser), "{outside}");
        assert!(matches!(directory.remove(&group_id(1), outside).await, WriteResult::NotFoundUser), "{outside}");
        assert_eq!(directory.add(outside, &user_id(1)).await, WriteResult::NotFoundGroup, "{outside}");
        if !outside.is_empty() {
            assert_eq!(directory.person(outside).await, Ok(None), "{outside}");
            assert_eq!(directory.is_member(&group_id(1), outside).await, Ok(false), "{outside}");
        }
    }
    assert!(fake.desk.calls().is_empty(), "nothing was even asked");
    assert!(matches!(directory.person("").await, Err(ReadError::Refused(_))));
    assert_eq!(directory.add(&group_id(1), "77").await, WriteResult::NotFoundUser);
    assert!(fake.desk.calls().iter().all(|call| call.method == "GET"), "whoever is not known here is looked up and not sent");
    fake.put(&group_id(1), "C01", "CUSTOMER", "MEMBER");
    fake.put(&group_id(1), "88", "EXTERNAL", "MEMBER");
    let facts = directory.group(&group_id(1)).await.unwrap().unwrap();
    assert!(facts.read_only.unwrap().contains("everybody") && facts.members.contains(&"88".to_owned()) && !facts.members.contains(&"C01".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_membership_through_another_group_counts_for_policies_and_not_for_changes() {
    let running = Workspace::held().await;
    company(&running);
    let directory = connect(&running.url);
    let (staff, ann) = (group_id(2), user_id(1));
    assert_eq!(directory.is_member(&staff, &ann).await, Ok(false));
    assert_eq!(directory.is_member_inherited(&staff, &ann).await, Ok(true));
    assert_eq!(directory.remove(&staff, &ann).await, WriteResult::AlreadyInState);
    let facts = directory.group(&staff).await.unwrap().unwrap();
    assert_eq!((facts.members, facts.nested), (vec![user_id(2)], vec![group_id(1)]));
    assert_eq!(directory.members_inherited(&staff).await.unwrap().unwrap(), [user_id(1), user_id(2)]);
    assert_eq!(directory.members_inherited(&group_id(9)).await, Ok(None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_may_come_and_go_between_pages_and_a_large_group_is_read_whole() {
    let running = Workspace::held().await;
    let fake = &running.vendor;
    for number in 1..=9 {
        fake.user(number, &format!("p{number}"), json!({}));
    }
    fake.page(2);
    let directory = connect(&running.url);
    let mut page = directory.people(None).await.unwrap();
    let mut seen: Vec<_> = page.items.iter().map(|facts| facts.reference.clone()).collect();
    while let Some(next) = page.next {
        page = directory.people(Some(next)).await.unwrap();
        seen.extend(page.items.iter().map(|facts| facts.reference.clone()));
        if seen.len() == 4 {
            fake.drop_user(&user_id(2));
            fake.drop_user(&user_id(6));
            fake.user(10, "p10", json!({}));
        }
    }
    assert_eq!(seen, [1, 2, 3, 4, 5, 7, 8, 9, 10].map(user_id));
    let round = json!({"kind": "admin#directory#users", "users": [{"id": user_id(1)}], "nextPageToken": "x"});
    fake.desk.trick("GET", "/users", Trick::Say(Said::new(200, round)), 9);
    assert!(matches!(everybody(&directory).await, Err(ReadError::Malformed(_))), "round in circles");
    fake.desk.no_tricks();
    fake.page(500);
    let group = fake.group(1, "all");
    for number in 1..=5_000 {
        let person = fake.user(number, &format!("p{number}"), json!({}));
        fake.put(&group, &person, "USER", "MEMBER");
    }
    assert_eq!(directory.group(&group).await.unwrap().unwrap().members.len(), 5_000);
    fake.desk.forget();
    assert_eq!(directory.is_member(&group, &user_id(4_999)).await, Ok(true));
    assert_eq!(fake.desk.calls().len(), 1);
    assert_eq!(directory.remove(&group, &user_id(4_999)).await, WriteResult::Changed);
    assert_eq!((fake.size(&group), directory.is_member(&group, &user_id(4_999)).await), (4_999, Ok(false)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_fast_and_not_allowed_are_told_apart_by_their_reason() {
    let running = Workspace::held().await;
    company(&running);
    let fake = &running.vendor;
    let directory = connect(&running.url);
    for (said, waits) in [
        (refused(403, "userRateLimitExceeded", "Quota exceeded."), true),
        (refused(403, "quotaExceeded", "Request rate higher than configured."), true),
        (refused(429, "rateLimitExceeded", "Too many."), true),
        (Said::new(429, json!({"error": {"code": 429, "message": "x", "status": "RESOURCE_EXHAUSTED"}})), true),
        (refused(403, "forbidden", "Not Authorized to access this resource/api; rate limit"), false),
        (refused(403, "insufficientPermissions", "quotaExceeded"), false),
        (Said::new(403, json!({"error": {"code": 403, "message": "quota", "status": "PERMISSION_DENIED"}})), false),
    ] {
        for method in ["GET", "POST", "DELETE"] {
            fake.desk.trick(method, "/", Trick::Say(said.clone()), 100);
        }
        let read = directory.person(&user_id(1)).await.unwrap_err();
        let removed = directory.remove(&group_id(1), &user_id(1)).await;
        assert_eq!((matches!(read, ReadError::RateLimited { .. }), matches!(removed, WriteResult::RateLimited { .. })), (waits, waits), "{}", said.body);
        assert_eq!((matches!(read, ReadError::Auth(_)), matches!(removed, WriteResult::Auth(_))), (!waits, !waits), "{}", said.body);
        fake.desk.no_tricks();
    }
    assert!(directory.person(&user_id(1)).await.is_ok());
    // Google says no time: each refusal in a row doubles the wait, up to a minute.
    fake.desk.trick("GET", "/", Trick::Say(refused(403, "quotaExceeded", "x")), 100);
    let mut waits = Vec::new();
    for _ in 0..9 {
        let Err(ReadError::RateLimited { retry_after }) = directory.is_member(&group_id(1), &user_id(1)).await else { panic!("not too fast") };
        waits.push(retry_after.as_secs());
    }
    assert!(waits[0] <= 2 && waits[5] >= 32 && waits.iter().all(|wait| *wait <= 66), "{waits:?}");
    fake.desk.no_tricks();
    fake.desk.trick("GET", "/", Trick::Say(refused(429, "rateLimitExceeded", "x").with("retry-after", 9)), 1);
    assert_eq!(directory.is_member(&group_id(1), &user_id(1)).await, Err(ReadError::RateLimited { retry_after: Duration::from_secs(9) }));
    fake.desk.trick("GET", "/", Trick::Say(refused(403, "dailyLimitExceeded", "x")), 1);
    assert_eq!(directory.is_member(&group_id(1), &user_id(1)).await, Err(ReadError::RateLimited { retry_after: Duration::from_secs(3_600) }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_shows_late_or_is_refused_for_now_is_tried_again() {
    let running = Workspace::held().await;
    company(&running);
    let fake = &running.vendor;
    fake.lags_by(2);
    let directory = connect(&running.url);
    let (group, person) = (group_id(1), user_id(2));
    assert_eq!(directory.add(&group, &person).await, WriteResult::Changed);
    for shown in [false, false, true] {
        assert_eq!(directory.is_member(&group, &person).await, Ok(shown));
    }
    assert_eq!(directory.remove(&group, &person).await, WriteResult::Changed);
    for shown in [true, true, false] {
        assert_eq!(directory.is_member(&group, &person).await, Ok(shown));
    }
    let post = |said: Said| fake.desk.trick("POST", "/members", Trick::Say(said), 1);
    post(refused(412, "conditionNotMet", "User creation is not complete."));
    assert!(matches!(directory.add(&group, &person).await, WriteResult::Transient(_)));
    for what in ["Resource Not Found: memberKey", "Resource Not Found: groupKey"] {
        post(refused(404, "notFound", what));
        assert!(matches!(directory.add(&group, &person).await, WriteResult::Transient(_)), "both are there, whatever it says");
    }
    post(refused(409, "conflict", "Conflict"));
    assert!(matches!(directory.add(&group, &person).await, WriteResult::Transient(_)));
    post(refused(400, "invalid", "Invalid Input: memberKey"));
    assert!(matches!(directory.add(&group, &person).await, WriteResult::Unknown(_)));
    fake.desk.trick("DELETE", "/members", Trick::Say(refused(400, "required", "Missing required field: memberKey")), 1);
    assert_eq!(directory.remove(&group, &person).await, WriteResult::AlreadyInState);
    fake.desk.trick("DELETE", "/members", Trick::Say(refused(404, "notFound", "Resource Not Found: memberKey")), 1);
    assert!(matches!(directory.remove(&group, &user_id(1)).await, WriteResult::Transient(_)), "still a member, whatever it says");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outages_and_nonsense_are_unknown_and_never_an_answer() {
    let running = Workspace::straight().await;
    company(&running);
    let desk = &running.vendor.desk;
    let directory = connect_with(&running.url, |settings| settings.reach.timeout = Duration::from_millis(1_500));
    let group = group_id(1);
    for said in [Said::html(500), Said::empty(503), Said::html(502), Said::html(404), Said::empty(404), Said::html(200), Said::new(200, json!({}))] {
        let what = format!("{} {}", said.status, said.body);
        for method in ["GET", "POST", "DELETE"] {
            desk.trick(method, "/", Trick::Say(said.clone()), 100);
        }
        for error in [
            directory.person(&user_id(1)).await.map(drop).unwrap_err(),
            directory.people(None).await.map(drop).unwrap_err(),
            directory.groups(None).await.map(drop).unwrap_err(),
            directory.group(&group).await.map(drop).unwrap_err(),
            directory.is_member(&group, &user_id(1)).await.map(drop).unwrap_err(),
            directory.members_inherited(&group).await.map(drop).unwrap_err(),
            directory.find_group("readers").await.map(drop).unwrap_err(),
        ] {
            assert!(matches!(error, ReadError::Unreachable(_) | ReadError::Malformed(_)), "{what}: {error}");
            assert!(!error.to_string().contains("the-token") && !error.to_string().contains("127.0.0.1"), "{error}");
        }
        let removed = directory.remove(&group, &user_id(1)).await;
        match said.status {
            500.. => assert!(matches!(removed, WriteResult::Ambiguous(_)), "{what}: {removed:?}"),
            404 => assert!(matches!(removed, WriteResult::Unknown(_)), "{what}: {removed:?}"),
            _ => {}
        }
        assert!(!matches!(directory.add(&group, &user_id(2)).await, WriteResult::Changed | WriteResult::NotFoundUser), "{what}");
        desk.no_tricks();
    }
    desk.trick("POST", "/members", Trick::DoAndHang, 1);
    assert!(matches!(directory.add(&group, &user_id(2)).await, WriteResult::Ambiguous(_)));
    assert_eq!((directory.is_member(&group, &user_id(2)).await, directory.add(&group, &user_id(2)).await), (Ok(true), WriteResult::AlreadyInState));
    desk.trick("DELETE", "/members", Trick::DoAndSay(Said::html(502)), 1);
    assert!(matches!(directory.remove(&group, &user_id(2)).await, WriteResult::Ambiguous(_)));
    assert_eq!((directory.is_member(&group, &user_id(2)).await, directory.remove(&group, &user_id(2)).await), (Ok(false), WriteResult::AlreadyInState));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_account_acts_as_its_administrator_and_renews_its_token() {
    let running = Workspace::held().await;
    company(&running);
    let desk = &running.vendor.desk;
    desk.tokens_last(2);
    running.vendor.page(1);
    let directory = connect(&running.url);
    assert_eq!(everybody(&directory).await.unwrap().len(), 4);
    desk.expire_tokens();
    assert_eq!(directory.add(&group_id(1), &user_id(2)).await, WriteResult::Changed);
    let asked = desk.asked_for();
    assert!(asked.len() > 3 && asked[0]["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer" && !asked[0].contains_key("scope"));
    let part =
        |at: usize| -> Value { serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(asked[0]["assertion"].split('.').nth(at).unwrap()).unwrap()).unwrap() };
    let (header, claims) = (part(0), part(1));
    assert_eq!((&header["alg"], &header["kid"]), (&json!("RS256"), &json!("key-7")));
    assert_eq!((&claims["iss"], &claims["sub"]), (&json!("sync@project.iam.example"), &json!("root@orchard.example")));
    assert_eq!((claims["scope"].as_str().unwrap(), claims["aud"].as_str().unwrap()), (SCOPES.join(" ").as_str(), format!("{}/token", running.url).as_str()));
    assert!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap() <= 3_600);

    for bad in ["", "{}", "[]", "{\"client_email\":\"a@b\"}", KEY] {
        let error = Settings::new(&Secret::new(bad), "root@orchard.example").unwrap_err();
        assert!(error.ends_with('.') && !error.contains("MII"), "{error}");
    }
    let refused = |change: &dyn Fn(&mut Settings)| {
        let mut settings = settings(&running.url);
        change(&mut settings);
        Google::new(&settings, Clock::system()).map(drop).unwrap_err()
    };
    refused(&|settings| settings.subject = "root".into());
    refused(&|settings| settings.subject = String::new());
    refused(&|settings| settings.client_email = "x\n@y".into());
    refused(&|settings| settings.customer = "my_customer&domain=x".into());
    refused(&|settings| settings.private_key = Secret::new("nonsense"));
    refused(&|settings| settings.reach.base = "http://admin.example.org".into());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_test_of_the_connection_names_the_missing_scope_or_delegation() {
    let running = Workspace::held().await;
    company(&running);
    let probe = connect(&running.url).probe().await;
    assert!(probe.works, "{probe:?}");
    assert_eq!(probe.notes[..4], ["Lists people.", "Lists groups.", "Reads who is in a group.", "May change members of groups."]);
    assert_eq!((running.vendor.size(&group_id(1)), running.vendor.size(&group_id(2))), (1, 2), "nothing was changed");
    for (denied, call, scope) in [
        ("users", "GET /users", SCOPES[0]),
        ("groups", "GET /groups", SCOPES[1]),
        ("members", "GET /groups/ID/members", SCOPES[2]),
        ("write", "DELETE /groups/ID/members/ID", SCOPES[2]),
    ] {
        let running = Workspace::held().await;
        company(&running);
        running.vendor.deny(denied);
        let probe = connect(&running.url).probe().await;
        assert_eq!(probe.works, denied == "write", "{probe:?}");
        assert!(probe.notes.iter().any(|note| note.contains(&format!("({call})")) && note.contains(scope)), "{probe:?}");
    }
    for (error, advice) in [("unauthorized_client", "Domain-wide delegation"), ("invalid_grant", "administrator as whom we act")] {
        running.vendor.desk.refuse_tokens(Some(error));
        let directory = connect(&running.url);
        let probe = directory.probe().await;
        assert!(!probe.works && probe.notes.len() == 1 && probe.notes[0].contains(advice), "{probe:?}");
        assert!(matches!(directory.person(&user_id(1)).await, Err(ReadError::Auth(_))));
        assert!(matches!(directory.add(&group_id(1), &user_id(2)).await, WriteResult::Auth(_)));
        assert!(!format!("{probe:?} {directory:?} {:?}", settings(&running.url)).contains("MII"));
    }
}
