//! Microsoft Entra, by Graph's contract and on its bad days.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use countersign::clock::Clock;
use countersign::directory::entra::Entra;
use countersign::directory::entra_settings::{Proof, Settings};
use countersign::directory::facts::{PersonFacts, ReadError, WriteResult};
use countersign::directory::port::Directory;
use countersign::domain::secret::Secret;
use countersign::service::ctx::{Directories, Hook, HookKind};
use countersign::service::subscribe;
use serde_json::{Value, json};

use crate::graph::{Graph, TENANT, group_id, user_id};
use crate::scripted::{Reply, Scripted};
use crate::vendor::{Running, Said, Trick, Vendor};
use crate::world::World;

const KEY: &str = include_str!("keys/vendor_test.key.pem");
const CERTIFICATE: &str = include_str!("keys/vendor_test.certificate.pem");

fn settings(url: &str) -> Settings {
    let url = url.trim_end_matches("/v1.0");
    let mut settings = Settings::new(TENANT, "0e000000-0000-4000-8000-000000000001", Proof::Secret(Secret::new("top-secret")));
    settings.login_url = url.to_owned();
    settings.reach.base = url.to_owned();
    settings
}

pub fn connect(url: &str) -> Directory {
    connect_with(url, |_| {})
}

pub fn connect_with(url: &str, change: impl FnOnce(&mut Settings)) -> Directory {
    let mut settings = settings(url);
    change(&mut settings);
    Directory::Entra(Entra::new(&settings, Clock::system()).unwrap())
}

fn names(facts: &PersonFacts) -> String {
    let names: BTreeSet<_> = facts.groups.iter().map(|group| group.name.as_str()).collect();
    names.into_iter().collect::<Vec<_>>().join(" ")
}

pub async fn everybody(directory: &Directory) -> Result<Vec<PersonFacts>, ReadError> {
    let mut found = Vec::new();
    let mut page = directory.people(None).await?;
    loop {
        found.extend(page.items);
        match page.next {
            Some(next) => page = directory.people(Some(next)).await?,
            None => return Ok(found),
        }
    }
}

/// Microsoft's document here has no subscriptions: the fake answers as their pages say, and nothing holds it to them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn graph_is_told_to_call_when_somebody_changes_and_that_is_renewed_before_it_ends() {
    let running = Graph::straight().await;
    let mut world = World::empty().await;
    world.ctx.directories = Arc::new(Directories::from([("main".to_owned(), connect(&running.url))]));
    let hook = |address: &str, secret: &str| {
        let hook = Hook { kind: HookKind::Entra, secret: Secret::new(secret), address: Some(address.to_owned()) };
        Arc::new(BTreeMap::from([("main".to_owned(), hook)]))
    };
    let (address, secret) = ("https://access.example.com/hooks/directories/main", "the-secret-of-the-hook-of-the-tests");
    world.ctx.hooks = hook(address, secret);
    let calls = || running.vendor.desk().calls().len();
    let said = subscribe::keep_up(&world.ctx, "main").await.unwrap().unwrap();
    assert!(said.contains("calls when somebody changes, until"), "{said}");
    let made = running.vendor.subscriptions().into_values().next().unwrap();
    assert_eq!(
        (&made["notificationUrl"], &made["clientState"], &made["resource"], &made["changeType"]),
        (&json!(address), &json!(secret), &json!("users"), &json!("updated,deleted"))
    );
    let before = calls();
    subscribe::keep_up(&world.ctx, "main").await.unwrap();
    assert_eq!(calls(), before, "nothing is asked while it lasts");
    world.advance(chrono::Duration::days(15)).await;
    subscribe::keep_up(&world.ctx, "main").await.unwrap();
    let renewed = running.vendor.subscriptions();
    assert_eq!(renewed.len(), 1, "renewed, not made again");
    assert!(renewed.values().next().unwrap()["expirationDateTime"].as_str() > made["expirationDateTime"].as_str());
    // One that Graph has ended is made anew; so is one that calls where we are no longer.
    running.vendor.end_subscriptions();
    world.advance(chrono::Duration::days(15)).await;
    subscribe::keep_up(&world.ctx, "main").await.unwrap();
    assert_eq!(running.vendor.subscriptions().len(), 1);
    world.ctx.hooks = hook("https://moved.example.com/hooks/directories/main", secret);
    subscribe::keep_up(&world.ctx, "main").await.unwrap();
    assert_eq!(running.vendor.subscriptions().len(), 2);
    // What stands in its way is said.
    world.advance(chrono::Duration::days(60)).await;
    let unreached = Said::new(400, json!({"error": {"code": "ValidationError", "message": "Subscription validation request failed."}}));
    running.vendor.desk().trick("POST", "subscriptions", Trick::Say(unreached), 1);
    let why = subscribe::keep_up(&world.ctx, "main").await.unwrap_err().to_string();
    assert!(why.contains("could not call https://moved.example.com"), "{why}");
    world.ctx.hooks = hook(address, &"x".repeat(129));
    let why = subscribe::keep_up(&world.ctx, "main").await.unwrap_err().to_string();
    assert!(why.contains("128"), "{why}");
}

/// Ann, who reports to Bea; Cy, who is switched off; Dee, a guest. Ann is in readers, which is inside staff.
async fn company(running: &Running<Graph>) {
    let graph = &running.vendor;
    let more = json!({"department": "Platform", "jobTitle": "Engineer", "employeeId": "E-7", "officeLocation": "Köln 4",
        "employeeOrgData": {"costCenter": "4711", "division": "North"}, "employeeType": "Employee"});
    let ann = graph.user(1, "ann", more);
    let bea = graph.user(2, "bea", json!({"officeLocation": "Köln 4", "mail": null}));
    graph.user(3, "cy", json!({"accountEnabled": false}));
    graph.user(4, "dee_x.org#EXT#", json!({"userType": "Guest", "displayName": "Dee O'Hara", "mail": "o'hara@x.org"}));
    graph.manager(&ann, &bea);
    let readers = graph.group(1, "readers", json!({}));
    let staff = graph.group(2, "staff", json!({}));
    graph.put(&readers, &ann);
    graph.put(&staff, &readers);
    graph.put(&staff, &graph.device(1));
    graph.put(&staff, &bea);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_are_read_as_graph_tells_them_one_by_one_and_all_at_once() {
    let running = Graph::held().await;
    company(&running).await;
    running.vendor.page(2);
    let directory = connect(&running.url);
    let ann = directory.person(&user_id(1)).await.unwrap().unwrap();
    assert_eq!((ann.manager.as_deref(), ann.email.as_deref(), names(&ann).as_str()), (Some(user_id(2).as_str()), Some("ann@contoso.example"), "readers staff"));
    let told: Vec<_> = ann.attributes.iter().map(|(k, v)| format!("{k}={}", v.join("+"))).collect();
    assert_eq!(
        told,
        [
            "cost_center=4711",
            "department=Platform",
            "division=North",
            "employee_number=E-7",
            "employment_type=Employee",
            "location=Köln 4",
            "organization=Contoso",
            "title=Engineer",
            "user_type=Member",
        ]
    );
    assert!(!directory.person(&user_id(3)).await.unwrap().unwrap().active, "switched off is not gone");
    assert_eq!(directory.person(&user_id(9)).await, Ok(None));
    let all = everybody(&directory).await.unwrap();
    assert_eq!(all.len(), 4);
    for listed in &all {
        let alone = directory.person(&listed.reference).await.unwrap().unwrap();
        assert_eq!((names(listed), &listed.manager, &listed.attributes), (names(&alone), &alone.manager, &alone.attributes));
    }
    assert_eq!(all[3].attributes["user_type"], ["Guest"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_person_or_group_is_found_by_what_they_are_called_whatever_characters_it_has() {
    let running = Graph::held().await;
    company(&running).await;
    for (number, name) in [(5, "R&D (Köln) #1 50% 'x' + \"y\""), (6, "twins"), (7, "twins"), (8, "Readers")] {
        running.vendor.group(number, name, json!({}));
    }
    let directory = connect(&running.url);
    let found = async |attribute: &str, value: &str| directory.find_person(attribute, value).await.map(|found| found.map(|facts| facts.reference));
    assert_eq!(found("user_name", "ANN@contoso.example").await, Ok(Some(user_id(1))));
    assert_eq!(found("user_name", "dee_x.org#EXT#@contoso.example").await, Ok(Some(user_id(4))));
    assert_eq!(found("email", "o'hara@x.org").await, Ok(Some(user_id(4))));
    assert_eq!(found("employee_number", "E-7").await, Ok(Some(user_id(1))));
    assert_eq!(found("cost_center", "4711").await, Ok(Some(user_id(1))), "an advanced query");
    assert!(matches!(found("location", "Köln 4").await, Err(ReadError::Several { .. })));
    assert_eq!(found("id", &user_id(2)).await, Ok(Some(user_id(2))));
    for nobody in ["", " ", "nobody@contoso.example", "' or accountEnabled eq true or mail eq '", "ann\n@contoso.example"] {
        assert_eq!(found("user_name", nobody).await, Ok(None), "{nobody}");
    }
    assert_eq!(found("favourite_colour", "green").await, Ok(None));
    assert_eq!(directory.find_group("R&D (Köln) #1 50% 'x' + \"y\"").await.unwrap().unwrap().reference, group_id(5));
    assert_eq!(directory.find_group("readers").await.unwrap().unwrap().reference, group_id(1), "names compare exactly");
    assert_eq!(directory.find_group("READERS").await, Ok(None));
    assert!(matches!(directory.find_group("twins").await, Err(ReadError::Several { .. })));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_search_that_is_refused_or_ignored_never_finds_the_wrong_person() {
    let running = Graph::held().await;
    company(&running).await;
    let directory = connect(&running.url);
    let unsupported = Said::new(400, json!({"error": {"code": "Request_UnsupportedQuery", "message": "Unsupported"}}));
    running.vendor.desk.trick("GET", "/users", Trick::Say(unsupported), 1);
    assert_eq!(directory.find_person("cost_center", "4711").await.unwrap().unwrap().reference, user_id(1));
    let ignored = Said::new(200, json!({"value": [{"id": user_id(3), "userPrincipalName": "cy@contoso.example"}]}));
    running.vendor.desk.trick("GET", "/users", Trick::Say(ignored), 1);
    assert_eq!(directory.find_person("user_name", "bea@contoso.example").await.unwrap().unwrap().reference, user_id(2));
    let ignored = Said::new(200, json!({"value": [{"id": group_id(2), "displayName": "staff"}]}));
    running.vendor.desk.trick("GET", "/groups", Trick::Say(ignored), 1);
    assert_eq!(directory.find_group("readers").await.unwrap().unwrap().reference, group_id(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_membership_is_added_and_removed_once_and_safely_again() {
    let running = Graph::held().await;
    company(&running).await;
    let graph = &running.vendor;
    let directory = connect(&running.url);
    let (group, person) = (group_id(1), user_id(3));
    assert_eq!(directory.is_member(&group, &person).await, Ok(false));
    assert_eq!(directory.add(&group, &person).await, WriteResult::Changed);
    assert_eq!(directory.is_member(&group, &person).await, Ok(true));
    assert_eq!(directory.add(&group, &person).await, WriteResult::AlreadyInState);
    assert_eq!(directory.group(&group).await.unwrap().unwrap().members, [user_id(1), user_id(3)]);
    assert_eq!(directory.remove(&group, &person).await, WriteResult::Changed);
    assert_eq!(directory.remove(&group, &person).await, WriteResult::AlreadyInState);
    assert!(!graph.has(&group, &person) && graph.has(&group, &user_id(1)), "and nobody else's");

    assert_eq!(directory.add(&group, &user_id(9)).await, WriteResult::NotFoundUser);
    assert_eq!(directory.remove(&group, &user_id(9)).await, WriteResult::NotFoundUser);
    assert_eq!(directory.add(&group_id(9), &person).await, WriteResult::NotFoundGroup);
    assert_eq!(directory.remove(&group_id(9), &person).await, WriteResult::NotFoundGroup);
    assert_eq!(directory.is_member(&group_id(9), &person).await, Ok(false));
    assert_eq!(directory.is_member(&group, &user_id(9)).await, Ok(false));
    assert_eq!(graph.users(), 4, "nobody was deleted");
    graph.drop_group(&group_id(2));
    assert_eq!(directory.group(&group_id(2)).await, Ok(None));
    assert_eq!(directory.is_member(&group_id(2), &user_id(2)).await, Ok(false));
    assert_eq!(directory.remove(&group_id(2), &user_id(2)).await, WriteResult::NotFoundGroup);
    let deletes: Vec<_> = graph.desk.calls().into_iter().filter(|call| call.method == "DELETE").collect();
    assert!(deletes.len() >= 4 && deletes.iter().all(|call| call.path.ends_with("/$ref")), "{deletes:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_object_id_never_gets_into_an_address() {
    let running = Graph::straight().await;
    company(&running).await;
    let directory = connect(&running.url);
    let hostile = [
        "ann@contoso.example",
        "..",
        "../users",
        "a/b",
        "{0a000000-0000-4000-8000-000000000001}",
        "0a000000-0000-4000-8000-000000000001/$ref",
        "0a000000-0000-4000-8000-00000000000?",
        "0a00000000004000800000000000000100000",
        "0a000000-0000-4000-8000-000000000001#",
    ];
    for id in hostile {
        assert_eq!(directory.person(id).await, Ok(None), "{id}");
        assert_eq!(directory.group(id).await, Ok(None), "{id}");
        assert_eq!(directory.members_inherited(id).await, Ok(None), "{id}");
        assert_eq!(directory.is_member(&group_id(1), id).await, Ok(false), "{id}");
        assert_eq!(directory.remove(&group_id(1), id).await, WriteResult::NotFoundUser, "{id}");
        assert_eq!(directory.add(id, &user_id(1)).await, WriteResult::NotFoundGroup, "{id}");
    }
    for empty in ["", " ", "a\nb"] {
        assert!(matches!(directory.person(empty).await, Err(ReadError::Refused(_))));
        assert!(matches!(directory.is_member(empty, &user_id(1)).await, Err(ReadError::Refused(_))));
    }
    assert!(running.vendor.desk.calls().is_empty(), "nothing was even asked");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn groups_that_something_else_fills_are_known_and_left_alone() {
    let running = Graph::held().await;
    company(&running).await;
    let graph = &running.vendor;
    let sealed = [
        graph.group(11, "dynamic", json!({"groupTypes": ["DynamicMembership"]})),
        graph.group(12, "synced", json!({"onPremisesSyncEnabled": true})),
        graph.group(13, "mail-enabled", json!({"mailEnabled": true})),
        graph.group(14, "distribution", json!({"mailEnabled": true, "securityEnabled": false})),
    ];
    let roles = graph.group(15, "role-assignable", json!({"isAssignableToRole": true}));
    let team = graph.group(16, "team", json!({"groupTypes": ["Unified"], "mailEnabled": true, "securityEnabled": false, "visibility": "Private"}));
    sealed.iter().chain([&roles]).for_each(|group| graph.put(group, &user_id(2)));
    let directory = connect(&running.url);
    let listed = directory.groups(None).await.unwrap().items;
    let closed: Vec<_> = listed.iter().filter(|group| group.read_only.is_some()).map(|group| group.name.as_str()).collect();
    assert_eq!(closed, ["dynamic", "synced", "mail-enabled", "distribution"]);
    let warned: Vec<_> = listed.iter().filter(|group| !group.warnings.is_empty()).map(|group| group.name.as_str()).collect();
    assert_eq!(warned, ["role-assignable", "team"]);
    for group in sealed.iter().chain([&roles]) {
        assert_eq!(directory.group(group).await.unwrap().unwrap().read_only.is_none(), *group == roles);
        for result in [directory.add(group, &user_id(1)).await, directory.remove(group, &user_id(2)).await] {
            assert!(matches!(result, WriteResult::GroupNotWritable(_)), "{group}: {result:?}");
        }
        assert!(graph.has(group, &user_id(2)) && graph.size(group) == 1);
    }
    assert_eq!(directory.add(&team, &user_id(1)).await, WriteResult::Changed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_membership_through_another_group_counts_for_policies_and_not_for_changes() {
    let running = Graph::held().await;
    company(&running).await;
    let directory = connect(&running.url);
    let (staff, ann) = (group_id(2), user_id(1));
    assert_eq!(directory.is_member(&staff, &ann).await, Ok(false));
    assert_eq!(directory.is_member_inherited(&staff, &ann).await, Ok(true));
    assert_eq!(directory.remove(&staff, &ann).await, WriteResult::AlreadyInState);
    assert_eq!(directory.is_member_inherited(&staff, &ann).await, Ok(true), "still inherited");
    let facts = directory.group(&staff).await.unwrap().unwrap();
    assert_eq!((facts.members, facts.nested), (vec![user_id(2)], vec![group_id(1)]), "a device is nobody");
    assert_eq!(directory.members_inherited(&staff).await.unwrap().unwrap(), [user_id(1), user_id(2)]);
    assert_eq!(directory.members_inherited(&group_id(9)).await, Ok(None));
    assert_eq!(directory.is_member_inherited(&staff, &user_id(9)).await, Ok(false));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_may_be_empty_and_people_may_come_and_go_between_them() {
    let running = Graph::held().await;
    let graph = &running.vendor;
    for number in 1..=9 {
        graph.user(number, &format!("p{number}"), json!({"officeLocation": "X"}));
    }
    graph.page(2);
    graph.hollow();
    let directory = connect(&running.url);
    let mut page = directory.people(None).await.unwrap();
    assert!(page.items.is_empty() && page.next.is_some(), "an empty page is no end");
    let mut seen = Vec::new();
    while let Some(next) = page.next {
        page = directory.people(Some(next)).await.unwrap();
        seen.extend(page.items.iter().map(|facts| facts.reference.clone()));
        if seen.len() == 4 {
            graph.drop_user(&user_id(2));
            graph.drop_user(&user_id(6));
            graph.user(10, "p10", json!({}));
        }
    }
    assert_eq!(seen, [1, 2, 3, 4, 5, 7, 8, 9, 10].map(user_id));
    graph.desk.forget();
    assert!(matches!(directory.find_person("location", "X").await, Err(ReadError::Several { .. })));
    let calls = graph.desk.calls();
    assert!(calls.len() > 4 && calls.iter().all(|call| call.headers["consistencylevel"] == "eventual"), "headers come with every page");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_next_page_elsewhere_or_in_a_circle_is_not_followed() {
    let thief = Scripted::start(|_| Reply::new(200, json!({"value": []}))).await;
    let running = Graph::straight().await;
    let graph = &running.vendor;
    (1..=3).for_each(|number| drop(graph.user(number, &format!("p{number}"), json!({}))));
    graph.page(1);
    let directory = connect(&running.url);
    for elsewhere in [format!("{}/v1.0", thief.url), running.url.replace("http://", "http://user@"), running.url.replace("/v1.0", "/beta")] {
        graph.links_lead(&elsewhere);
        let found = everybody(&directory).await;
        assert!(matches!(found, Err(ReadError::Malformed(_))), "{elsewhere}: {found:?}");
    }
    assert!(thief.asked().is_empty());
    let round = json!({"value": [{"id": user_id(1), "accountEnabled": true}], "@odata.nextLink": format!("{}/users?$skiptoken=x", running.url)});
    graph.desk.trick("GET", "/users", Trick::Say(Said::new(200, round)), 9);
    let error = everybody(&directory).await;
    assert!(error.is_err() && graph.desk.calls().len() < 20, "{error:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_of_five_thousand_is_read_whole_and_one_member_costs_one_call() {
    let running = Graph::held().await;
    let graph = &running.vendor;
    let group = graph.group(1, "all", json!({}));
    for number in 1..=5_000 {
        let person = graph.user(number, &format!("p{number}"), json!({}));
        graph.put(&group, &person);
    }
    let directory = connect(&running.url);
    assert_eq!(directory.group(&group).await.unwrap().unwrap().members.len(), 5_000);
    assert_eq!(directory.members_inherited(&group).await.unwrap().unwrap().len(), 5_000);
    graph.desk.forget();
    assert_eq!(directory.is_member(&group, &user_id(4_999)).await, Ok(true));
    assert_eq!(graph.desk.calls().len(), 1);
    assert_eq!(directory.remove(&group, &user_id(4_999)).await, WriteResult::Changed);
    assert_eq!((graph.size(&group), directory.is_member(&group, &user_id(4_999)).await), (4_999, Ok(false)));
    let all = everybody(&directory).await.unwrap();
    assert!(all.len() == 5_000 && all.iter().filter(|facts| facts.groups.is_empty()).count() == 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_are_told_from_a_moment_on_until_that_is_too_long_ago() {
    let running = Graph::held().await;
    company(&running).await;
    let graph = &running.vendor;
    graph.page(2);
    let directory = connect(&running.url);
    let start = directory.changes(None).await.unwrap().unwrap();
    assert!(start.people.is_empty() && start.groups.is_empty() && !start.more);
    let quiet = directory.changes(Some(&start.next)).await.unwrap().unwrap();
    assert!(quiet.people.is_empty() && quiet.groups.is_empty() && !quiet.more);

    graph.drop_user(&user_id(4));
    graph.user(3, "cy", json!({"accountEnabled": true}));
    graph.take(&group_id(1), &user_id(1));
    graph.put(&group_id(2), &user_id(3));
    graph.group(3, "new", json!({}));
    let (mut people, mut groups, mut since, mut rounds) = (BTreeSet::new(), BTreeSet::new(), start.next.clone(), 0);
    loop {
        let told = directory.changes(Some(&since)).await.unwrap().unwrap();
        people.extend(told.people);
        groups.extend(told.groups);
        (since, rounds) = (told.next, rounds + 1);
        if !told.more {
            break;
        }
    }
    assert!(rounds > 1, "more than a page");
    assert_eq!(people, BTreeSet::from([user_id(1), user_id(3), user_id(4)]), "whoever came, went or changed");
    assert_eq!(groups, BTreeSet::from([1, 2, 3].map(group_id)));
    let again = directory.changes(Some(&start.next)).await.unwrap().unwrap();
    assert!(!again.people.is_empty(), "asking twice is safe");

    graph.forget_changes();
    assert_eq!(directory.changes(Some(&since)).await, Err(ReadError::Expired));
    let elsewhere = since.replace(&running.url, "https://graph.evil.example/v1.0");
    for useless in ["", "x", "{}", "[1]", elsewhere.as_str()] {
        assert_eq!(directory.changes(Some(useless)).await, Err(ReadError::Expired), "{useless}");
    }
    assert!(directory.changes(None).await.is_ok(), "and counting begins anew");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_shows_late_is_not_believed_before_it_shows() {
    let running = Graph::held().await;
    company(&running).await;
    running.vendor.lags_by(2);
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
    // A replica that does not know the person yet: not "in no group", and not "no such person".
    let missing = Said::new(404, json!({"error": {"code": "Request_ResourceNotFound", "message": "Resource does not exist"}}));
    running.vendor.desk.trick("GET", "transitiveMemberOf", Trick::Say(missing.clone()), 1);
    assert!(matches!(directory.person(&person).await, Err(ReadError::Unreachable(_))));
    running.vendor.desk.trick("POST", "members/$ref", Trick::Say(missing), 1);
    assert!(matches!(directory.add(&group, &person).await, WriteResult::Transient(_)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_graph_is_left_alone_for_as_long_as_it_says() {
    let running = Graph::held().await;
    company(&running).await;
    let directory = connect(&running.url);
    let busy = |wait: u64| {
        let body = json!({"error": {"code": "TooManyRequests", "message": "Too many requests"}});
        Trick::Say(Said::new(429, body).with("retry-after", wait))
    };
    for method in ["GET", "POST", "DELETE"] {
        running.vendor.desk.trick(method, "/", busy(17), 100);
    }
    let retry_after = Duration::from_secs(17);
    assert_eq!(directory.person(&user_id(1)).await, Err(ReadError::RateLimited { retry_after }));
    assert_eq!(directory.people(None).await.unwrap_err(), ReadError::RateLimited { retry_after });
    assert_eq!(directory.changes(None).await, Err(ReadError::RateLimited { retry_after }));
    assert_eq!(directory.is_member(&group_id(1), &user_id(1)).await, Err(ReadError::RateLimited { retry_after }));
    assert_eq!(directory.is_member_inherited(&group_id(1), &user_id(1)).await, Err(ReadError::RateLimited { retry_after }));
    assert_eq!(directory.add(&group_id(1), &user_id(2)).await, WriteResult::RateLimited { retry_after });
    assert_eq!(directory.remove(&group_id(1), &user_id(1)).await, WriteResult::RateLimited { retry_after });
    running.vendor.desk.no_tricks();
    let unstated = Said::new(429, json!({"error": {"code": "TooManyRequests", "message": "x"}}));
    running.vendor.desk.trick("GET", "/", Trick::Say(unstated), 1);
    assert_eq!(directory.groups(None).await.unwrap_err(), ReadError::RateLimited { retry_after: Duration::from_secs(5) });
    running.vendor.desk.trick("GET", "/", Trick::Say(Said::empty(503).with("retry-after", 30)), 1);
    assert_eq!(directory.groups(None).await.unwrap_err(), ReadError::RateLimited { retry_after: Duration::from_secs(30) });
    assert!(directory.groups(None).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outages_and_nonsense_are_unknown_and_never_an_answer() {
    let running = Graph::straight().await;
    company(&running).await;
    let desk = &running.vendor.desk;
    let directory = connect(&running.url);
    for said in
        [Said::html(500), Said::html(502), Said::empty(503), Said::empty(504), Said::html(404), Said::empty(404), Said::html(200), Said::new(200, json!([]))]
    {
        let what = format!("{} {}", said.status, said.body);
        for method in ["GET", "POST", "DELETE"] {
            desk.trick(method, "/", Trick::Say(said.clone()), 100);
        }
        for error in [
            directory.person(&user_id(1)).await.map(drop).unwrap_err(),
            directory.people(None).await.map(drop).unwrap_err(),
            directory.groups(None).await.map(drop).unwrap_err(),
            directory.group(&group_id(1)).await.map(drop).unwrap_err(),
            directory.is_member(&group_id(1), &user_id(1)).await.map(drop).unwrap_err(),
            directory.is_member_inherited(&group_id(1), &user_id(1)).await.map(drop).unwrap_err(),
            directory.members_inherited(&group_id(1)).await.map(drop).unwrap_err(),
            directory.find_person("user_name", "ann@contoso.example").await.map(drop).unwrap_err(),
            directory.changes(None).await.map(drop).unwrap_err(),
        ] {
            assert!(matches!(error, ReadError::Unreachable(_) | ReadError::Malformed(_)), "{what}: {error}");
            assert!(!error.to_string().contains("the-token") && !error.to_string().contains("127.0.0.1"), "{error}");
        }
        for result in [directory.add(&group_id(1), &user_id(2)).await, directory.remove(&group_id(1), &user_id(1)).await] {
            match said.status {
                500.. => assert!(matches!(result, WriteResult::Ambiguous(_)), "{what}: {result:?}"),
                404 => assert!(matches!(result, WriteResult::Unknown(_)), "{what}: {result:?}"),
                _ => {}
            }
        }
        desk.no_tricks();
    }
    // A listing that fails midway is an error, not the end.
    running.vendor.page(2);
    let page = directory.people(None).await.unwrap();
    desk.trick("GET", "/users", Trick::Say(Said::html(500)), 1);
    assert!(matches!(directory.people(page.next).await, Err(ReadError::Unreachable(_))));
    let wrong = json!({"id": user_id(3), "accountEnabled": true});
    desk.trick("GET", &format!("/users/{}", user_id(1)), Trick::Say(Said::new(200, wrong)), 1);
    desk.trick("GET", "transitiveMemberOf", Trick::Say(Said::new(200, json!({"value": []}))), 1);
    assert!(directory.person(&user_id(1)).await.is_err(), "another record than the one asked for");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_was_made_but_never_answered_is_found_by_reading_back() {
    let running = Graph::straight().await;
    company(&running).await;
    let directory = connect_with(&running.url, |settings| settings.reach.timeout = Duration::from_millis(1_500));
    assert!(directory.person(&user_id(2)).await.is_ok());
    let (group, person) = (group_id(1), user_id(2));
    running.vendor.desk.trick("POST", "members/$ref", Trick::DoAndHang, 1);
    let result = directory.add(&group, &person).await;
    assert!(matches!(result, WriteResult::Ambiguous(_)), "{result:?}");
    assert_eq!(directory.is_member(&group, &person).await, Ok(true));
    assert_eq!(directory.add(&group, &person).await, WriteResult::AlreadyInState);
    running.vendor.desk.trick("DELETE", "members", Trick::DoAndSay(Said::html(502)), 1);
    assert!(matches!(directory.remove(&group, &person).await, WriteResult::Ambiguous(_)));
    assert_eq!(directory.is_member(&group, &person).await, Ok(false));
    assert_eq!(directory.remove(&group, &person).await, WriteResult::AlreadyInState);
    let closed = format!("http://127.0.0.1:{}", crate::idp::free_port());
    let gone = connect_with(&closed, |settings| settings.login_url = running.url.trim_end_matches("/v1.0").to_owned());
    assert!(matches!(gone.add(&group, &person).await, WriteResult::Transient(_)), "certainly not applied");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_runs_out_in_the_middle_is_renewed_without_anybody_noticing() {
    let running = Graph::held().await;
    let graph = &running.vendor;
    (1..=9).for_each(|number| drop(graph.user(number, &format!("p{number}"), json!({}))));
    let group = graph.group(1, "readers", json!({}));
    graph.page(1);
    graph.desk.tokens_last(3);
    let directory = connect(&running.url);
    assert_eq!(everybody(&directory).await.unwrap().len(), 9);
    for number in 1..=4 {
        graph.desk.expire_tokens();
        assert_eq!(directory.add(&group, &user_id(number)).await, WriteResult::Changed);
    }
    assert_eq!(graph.size(&group), 4);
    let asked = graph.desk.asked_for();
    assert!(asked.len() > 5);
    assert!(
        asked.iter().all(|form| form["grant_type"] == "client_credentials" && form["scope"].ends_with("/.default") && form["client_secret"] == "top-secret")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_proves_who_we_are_by_both_of_its_thumbprints() {
    let running = Graph::held().await;
    company(&running).await;
    let proof = Proof::Certificate { certificate: CERTIFICATE.into(), private_key: Secret::new(KEY) };
    let directory = connect_with(&running.url, |settings| settings.proof = proof);
    assert!(directory.person(&user_id(1)).await.unwrap().is_some());
    let form = &running.vendor.desk.asked_for()[0];
    assert!(form["client_assertion_type"].ends_with("jwt-bearer") && !form.contains_key("client_secret"));
    let part =
        |at: usize| -> Value { serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(form["client_assertion"].split('.').nth(at).unwrap()).unwrap()).unwrap() };
    let (header, claims) = (part(0), part(1));
    assert_eq!((&header["alg"], &header["typ"]), (&json!("RS256"), &json!("JWT")));
    // `openssl x509 -fingerprint -sha1` of the certificate.
    assert_eq!(
        BASE64_URL_SAFE_NO_PAD.decode(header["x5t"].as_str().unwrap()).unwrap().iter().map(|b| format!("{b:02x}")).collect::<String>(),
        "b1f299092262a1db8592c7fdc1ed0af4c0887721"
    );
    assert_eq!(BASE64_URL_SAFE_NO_PAD.decode(header["x5t#S256"].as_str().unwrap()).unwrap().len(), 32);
    assert_eq!((claims["iss"].as_str(), claims["sub"].as_str()), (Some("0e000000-0000-4000-8000-000000000001"), claims["iss"].as_str()));
    assert!(claims["aud"].as_str().unwrap().ends_with("/contoso.example/oauth2/v2.0/token"));

    let refused = |change: &dyn Fn(&mut Settings)| {
        let mut settings = settings(&running.url);
        change(&mut settings);
        Entra::new(&settings, Clock::system()).map(drop).unwrap_err()
    };
    let with = |certificate: &str, key: &str| Proof::Certificate { certificate: certificate.into(), private_key: Secret::new(key) };
    for (certificate, key) in [(KEY, KEY), ("", KEY), (CERTIFICATE, "nonsense"), (CERTIFICATE, CERTIFICATE)] {
        let error = refused(&|settings| settings.proof = with(certificate, key));
        assert!(error.ends_with('.') && !error.contains("MII"), "{error}");
    }
    for tenant in ["", "common", "organizations", "a/b", "x?y"] {
        refused(&|settings| settings.tenant = tenant.into());
    }
    refused(&|settings| settings.client_id = "a b".into());
    refused(&|settings| _ = settings.attributes.insert("title".into(), "jobTitle,passwordProfile".into()));
    refused(&|settings| settings.reach.base = "http://graph.example.org".into());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_test_of_the_connection_names_the_missing_permission_and_the_call() {
    let running = Graph::held().await;
    company(&running).await;
    let probe = connect(&running.url).probe().await;
    assert!(probe.works, "{probe:?}");
    assert_eq!(probe.notes, ["Lists 4 people.", "Lists 2 groups.", "Reads who is in a group.", "Tells what changed.", "May change members of groups."]);
    assert_eq!((running.vendor.size(&group_id(1)), running.vendor.size(&group_id(2))), (1, 3), "nothing was changed");
    for (denied, call, permission) in [
        ("users", "GET /users", "User.Read.All"),
        ("groups", "GET /groups", "GroupMember.Read.All"),
        ("members", "GET /groups/ID/members", "GroupMember.Read.All"),
        ("delta", "GET /users/delta", ".Read.All"),
        ("write", "POST /groups/ID/members/$ref", "GroupMember.ReadWrite.All"),
    ] {
        let running = Graph::held().await;
        company(&running).await;
        running.vendor.deny(denied);
        let probe = connect(&running.url).probe().await;
        assert_eq!(probe.works, denied == "write", "{probe:?}");
        assert!(
            probe.notes.iter().any(|note| note.contains(&format!("({call}")) && note.contains(permission) && note.contains("Authorization_RequestDenied")),
            "{probe:?}"
        );
        if denied == "write" {
            assert!(matches!(connect(&running.url).add(&group_id(1), &user_id(2)).await, WriteResult::Auth(why) if why.contains("GroupMember.ReadWrite.All")));
        }
    }
    let unknown = Said::new(400, json!({"error": {"code": "Request_BadRequest", "message": "Could not find a property named 'favouriteColour'."}}));
    running.vendor.desk.trick("GET", "/users", Trick::Say(unknown), 1);
    let probe = connect(&running.url).probe().await;
    assert!(!probe.works && probe.notes[0].contains("one of a Graph user?"), "{probe:?}");
    running.vendor.desk.refuse_tokens(Some("invalid_client"));
    let directory = connect(&running.url);
    let probe = directory.probe().await;
    assert!(!probe.works && probe.notes[0].contains("secret or certificate is wrong"), "{probe:?}");
    assert!(matches!(directory.person(&user_id(1)).await, Err(ReadError::Auth(_))));
    assert!(matches!(directory.add(&group_id(1), &user_id(2)).await, WriteResult::Auth(_)));
    assert!(!format!("{probe:?} {directory:?}").contains("top-secret"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_permission_taken_from_us_does_not_look_like_a_company_that_left() {
    let running = Graph::held().await;
    company(&running).await;
    running.vendor.user(1, "ann", json!({"accountEnabled": null}));
    let directory = connect(&running.url);
    for error in [directory.person(&user_id(1)).await.map(drop).unwrap_err(), directory.people(None).await.map(drop).unwrap_err()] {
        assert!(matches!(&error, ReadError::Auth(why) if why.contains("User.Read.All")), "{error}");
    }
}
