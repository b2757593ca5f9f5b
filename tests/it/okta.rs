//! The Okta connector against a fake held to Okta's specification.

use std::collections::BTreeMap;
use std::time::Duration;

use countersign::directory::facts::{PersonFacts, ReadError, WriteResult};
use countersign::directory::okta::{ManagerIs, Settings};
use countersign::directory::port::Directory;
use reqwest::Method;
use serde_json::json;

use crate::okta_fake::{Fake, SCOPES, TOKEN, Trouble, connect, error, user_id};
use crate::scripted::{Reply, Scripted};

async fn everybody(directory: &Directory) -> Result<BTreeMap<String, PersonFacts>, ReadError> {
    let (mut all, mut cursor) = (BTreeMap::new(), None);
    loop {
        let page = directory.people(cursor).await?;
        for facts in page.items {
            assert!(all.insert(facts.reference.clone(), facts).is_none(), "listed twice");
        }
        match page.next {
            Some(next) => cursor = Some(next),
            None => return Ok(all),
        }
    }
}

fn names(facts: &PersonFacts) -> Vec<&str> {
    let mut names: Vec<&str> = facts.groups.iter().map(|group| group.name.as_str()).collect();
    names.sort_unstable();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn people_and_groups_are_read_as_they_are() {
    let fake = Fake::start();
    let max = fake.person("max", "ACTIVE", json!({"title": "Head"}));
    let profile = json!({"department": "R&D \"Süd\"", "managerId": max, "costCenter": "4711", "city": "Berlin", "userType": "Employee", "employeeNumber": "0042", "shirt": "M"});
    let ada = fake.person("ada", "ACTIVE", profile);
    let engineers = fake.group("Engineers (Süd) \"a/b\" ✓", "OKTA_GROUP", &[&ada, &max]);
    fake.group("Imported", "APP_GROUP", &[&ada]);
    fake.group("Everyone", "BUILT_IN", &[&ada, &max]);
    let directory = fake.connect();

    let facts = directory.person(&ada).await.unwrap().unwrap();
    assert_eq!((facts.user_name.as_str(), facts.display_name.as_str(), facts.email.as_deref()), ("ada@example.org", "ada Example", Some("ada@example.org")));
    assert_eq!(facts.manager, Some(max.clone()));
    let told: Vec<_> = facts.attributes.iter().map(|(key, values)| format!("{key}={}", values.join("+"))).collect();
    assert_eq!(told, ["cost_center=4711", "department=R&D \"Süd\"", "employee_number=0042", "employment_type=Employee", "location=Berlin", "shirt=M"]);
    assert_eq!(names(&facts), ["Engineers (Süd) \"a/b\" ✓", "Everyone", "Imported"]);

    let all = everybody(&directory).await.unwrap();
    assert_eq!((all.len(), names(&all[&ada]), &all[&ada].manager), (2, names(&facts), &Some(max.clone())));
    assert_eq!(PersonFacts { groups: vec![], ..all[&ada].clone() }, PersonFacts { groups: vec![], ..facts });

    let group = directory.group(&engineers).await.unwrap().unwrap();
    assert_eq!((group.members.len(), group.nested.len(), group.read_only), (2, 0, None));
    let found = directory.find_group("Engineers (Süd) \"a/b\" ✓").await.unwrap().unwrap();
    assert_eq!(found.reference, engineers);
    assert_eq!(directory.find_group("engineers (süd) \"a/b\" ✓").await, Ok(None), "a name is meant as it is written");
    assert_eq!(directory.find_group("Engineers\" or profile.name sw \"").await, Ok(None));
    let listed = directory.groups(None).await.unwrap().items;
    let read_only: Vec<_> = listed.iter().map(|group| group.read_only.is_some()).collect();
    assert_eq!(read_only, [false, true, true]);
    assert!(listed[1].read_only.as_ref().unwrap().contains("APP_GROUP") && listed[2].read_only.as_ref().unwrap().contains("BUILT_IN"));
    assert_eq!(directory.members_inherited(&engineers).await.unwrap().unwrap().len(), 2);
    let headroom = directory.headroom().unwrap();
    assert_eq!((headroom.limit, headroom.remaining), (600, 599));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_people_who_work_here_are_active_and_who_has_left_is_listed() {
    let fake = Fake::start();
    let works = ["ACTIVE", "PASSWORD_EXPIRED", "RECOVERY", "LOCKED_OUT"];
    let away = ["SUSPENDED", "DEPROVISIONED", "STAGED", "PROVISIONED"];
    let people: Vec<(String, bool)> = works
        .iter()
        .map(|status| (status, true))
        .chain(away.iter().map(|status| (status, false)))
        .map(|(status, active)| (fake.person(&status.to_lowercase(), status, json!({})), active))
        .collect();
    let directory = fake.connect();
    let all = everybody(&directory).await.unwrap();
    assert_eq!(all.len(), 8);
    for (id, active) in &people {
        assert_eq!((all[id].active, directory.person(id).await.unwrap().unwrap().active), (*active, *active), "{id}");
    }
    // Which ones count is a matter of configuration.
    let strict = connect(&Settings { active: ["ACTIVE".to_owned()].into(), ..fake.settings() });
    assert_eq!(everybody(&strict).await.unwrap().values().filter(|facts| facts.active).count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_or_a_short_name_is_never_taken_for_an_id() {
    let fake = Fake::start();
    let ada = fake.person("ada", "ACTIVE", json!({}));
    let gone = fake.person("gone", "DEPROVISIONED", json!({}));
    fake.delete_person(&gone);
    // Somebody who takes the id of one who is gone as a login.
    let eve = fake.person("eve", "ACTIVE", json!({"login": format!("{gone}@example.org")}));
    let group = fake.group("readers", "OKTA_GROUP", &[&eve]);
    let directory = fake.connect();
    for no_id in ["ada", "ada@example.org", "ADA", &gone] {
        assert_eq!(directory.person(no_id).await, Ok(None), "{no_id}");
        assert_eq!(directory.find_person("id", no_id).await, Ok(None), "{no_id}");
        assert_eq!(directory.is_member(&group, no_id).await, Ok(false), "{no_id}");
        assert_eq!(directory.add(&group, no_id).await, WriteResult::NotFoundUser, "{no_id}");
        assert_eq!(directory.remove(&group, no_id).await, WriteResult::NotFoundUser, "{no_id}");
    }
    assert_eq!(fake.members(&group), std::slice::from_ref(&eve));
    assert!(!fake.asked().iter().any(|asked| !asked.starts_with("GET")), "nothing was even tried");
    for nothing in ["", " ", "a\nb", ".."] {
        assert!(matches!(directory.person(nothing).await, Err(ReadError::Refused(_))), "{nothing:?}");
        assert_eq!(directory.add(&group, nothing).await, WriteResult::NotFoundUser);
        assert_eq!(directory.remove(nothing, &ada).await, WriteResult::NotFoundGroup);
    }
    assert_eq!(directory.group("rules").await, Ok(None), "a list of rules is no group");
}

#[tokio::test(flavor = "multi_thread")]
async fn people_are_found_by_what_they_are_now() {
    let fake = Fake::start();
    let ada = fake.person("ada", "ACTIVE", json!({"email": "Ada.Amato@example.org", "employeeNumber": "7"}));
    let bob = fake.person("bob", "ACTIVE", json!({"login": "bob/odd \"b\"", "employeeNumber": "8"}));
    let directory = fake.connect();
    let found = async |attribute: &str, value: &str| directory.find_person(attribute, value).await.map(|facts| facts.map(|facts| facts.reference));
    for (attribute, value) in [("id", ada.as_str()), ("user_name", "ADA@example.org"), ("email", "ada.amato@EXAMPLE.org"), ("employee_number", "7")] {
        assert_eq!(found(attribute, value).await, Ok(Some(ada.clone())), "{attribute}");
    }
    assert_eq!(found("user_name", "bob/odd \"b\"").await, Ok(Some(bob.clone())));
    for (attribute, value) in [
        ("user_name", "ada"),
        ("user_name", &ada),
        ("email", "x\" or id pr"),
        ("email", " "),
        ("employee_number", "07"),
        ("external_id", "7"),
        ("nonsense(", "1"),
    ] {
        assert_eq!(found(attribute, value).await, Ok(None), "{attribute} {value}");
    }

    // A search is late: it still finds whom it should not, and does not find whom it should.
    fake.search_falls_behind();
    fake.set(&ada, "employeeNumber", json!("9"));
    fake.set(&ada, "email", json!("new@example.org"));
    assert_eq!(found("employee_number", "7").await, Ok(None), "what a search finds is looked at");
    assert_eq!(found("email", "new@example.org").await, Ok(Some(ada.clone())), "a filter knows what a search does not yet");
    fake.search_catches_up();
    assert_eq!(found("employee_number", "9").await, Ok(Some(ada)));
    fake.person("cid", "ACTIVE", json!({"employeeNumber": "8"}));
    assert!(matches!(found("employee_number", "8").await, Err(ReadError::Several { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn memberships_are_changed_one_at_a_time_and_read_back() {
    let fake = Fake::start();
    let ada = fake.person("ada", "ACTIVE", json!({}));
    let sue = fake.person("sue", "SUSPENDED", json!({}));
    let group = fake.group("readers", "OKTA_GROUP", &[&sue]);
    let directory = fake.connect();
    for _ in 0..2 {
        assert_eq!(directory.add(&group, &ada).await, WriteResult::Changed);
        assert_eq!(directory.is_member(&group, &ada).await, Ok(true));
        assert_eq!(fake.members(&group), [ada.clone(), sue.clone()]);
    }
    for _ in 0..2 {
        assert_eq!(directory.remove(&group, &ada).await, WriteResult::Changed);
        assert_eq!(directory.is_member(&group, &ada).await, Ok(false));
        assert_eq!(fake.members(&group), std::slice::from_ref(&sue));
    }
    // Who is suspended stays in their groups, and is taken out like anybody.
    assert_eq!(directory.is_member(&group, &sue).await, Ok(true));
    assert_eq!(directory.remove(&group, &sue).await, WriteResult::Changed);
    assert!(fake.members(&group).is_empty());

    let nobody = user_id(99);
    assert_eq!(directory.add("00gNobody", &ada).await, WriteResult::NotFoundGroup);
    assert_eq!(directory.remove("00gNobody", &ada).await, WriteResult::NotFoundGroup);
    assert_eq!(directory.add(&group, &nobody).await, WriteResult::NotFoundUser);
    assert_eq!((directory.is_member("00gNobody", &ada).await, directory.is_member(&group, &nobody).await), (Ok(false), Ok(false)));
    assert_eq!((directory.group("00gNobody").await, directory.members("00gNobody").await), (Ok(None), Ok(None)));
    // Known as one that can be changed, and gone since.
    fake.delete_group(&group);
    assert_eq!(directory.add(&group, &ada).await, WriteResult::NotFoundGroup);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_somebody_else_keeps_is_left_alone() {
    let fake = Fake::start();
    let (ada, bob) = (fake.person("ada", "ACTIVE", json!({})), fake.person("bob", "ACTIVE", json!({})));
    let filled = fake.group("filled", "OKTA_GROUP", &[&ada]);
    let asleep = fake.group("asleep", "OKTA_GROUP", &[&ada]);
    let imported = fake.group("imported", "APP_GROUP", &[&ada]);
    fake.rule("All engineers", "ACTIVE", &filled);
    fake.rule("Old", "INACTIVE", &asleep);
    let directory = fake.connect();
    for (group, why) in [(&filled, "“All engineers”"), (&imported, "APP_GROUP")] {
        for result in [directory.add(group, &bob).await, directory.remove(group, &ada).await] {
            assert!(matches!(&result, WriteResult::GroupNotWritable(told) if told.contains(why)), "{result:?}");
        }
        // There is nothing to take away: nobody has to do anything.
        assert_eq!(directory.remove(group, &bob).await, WriteResult::AlreadyInState);
        assert_eq!(fake.members(group), std::slice::from_ref(&ada));
        assert!(directory.group(group).await.unwrap().unwrap().read_only.unwrap().contains(why));
    }
    assert_eq!(directory.remove(&asleep, &ada).await, WriteResult::Changed);
    assert!(fake.left_out().is_empty());
    assert!(!fake.asked().iter().any(|asked| !asked.starts_with("GET") && !asked.contains(&asleep)));
    let read_only: Vec<_> = directory.groups(None).await.unwrap().items.into_iter().map(|group| group.read_only.is_some()).collect();
    assert_eq!(read_only, [true, false, true]);

    // A token that may not read rules still changes groups, and says what it does not know.
    fake.deny("rules");
    let blind = fake.connect();
    let listed = blind.groups(None).await.unwrap().items;
    assert!(listed[0].read_only.is_none() && listed[0].warnings[0].contains("group rule"), "{listed:?}");
    assert_eq!(blind.add(&asleep, &ada).await, WriteResult::Changed);
    // Rules that cannot be read for another reason are waited for.
    let fresh = fake.connect();
    fake.allow_all();
    fake.trouble(Method::GET, "/groups/rules", 1, Trouble::Say(500, vec![], "<html>".into()));
    assert!(matches!(fresh.add(&asleep, &bob).await, WriteResult::Transient(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_okta_is_left_alone_for_as_long_as_it_says() {
    let fake = Fake::start();
    let ada = fake.person("ada", "ACTIVE", json!({}));
    let group = fake.group("readers", "OKTA_GROUP", &[]);
    let directory = fake.connect();
    // By Okta's own clock, which is years from ours.
    let reset = "2026-07-01T10:00:20Z".parse::<chrono::DateTime<chrono::Utc>>().unwrap().timestamp().to_string();
    let over = vec![("x-rate-limit-remaining", "0".to_owned()), ("x-rate-limit-reset", reset)];
    fake.trouble(Method::GET, "/users/", 2, Trouble::Say(429, over.clone(), error("E0000047")));
    assert_eq!(directory.person(&ada).await, Err(ReadError::RateLimited { retry_after: Duration::from_secs(20) }));
    fake.trouble(Method::PUT, "/users/", 1, Trouble::Say(429, over, error("E0000047")));
    assert_eq!(directory.add(&group, &ada).await, WriteResult::RateLimited { retry_after: Duration::from_secs(20) });
    assert!(fake.members(&group).is_empty());

    // Too many at once: the reset is a guess, so a short wait that differs.
    let at_once = vec![("x-rate-limit-limit", "0".to_owned()), ("x-rate-limit-remaining", "0".into()), ("x-rate-limit-reset", "4102444800".into())];
    fake.trouble(Method::PUT, "/users/", 1, Trouble::Say(429, at_once.clone(), error("E0000047")));
    let WriteResult::RateLimited { retry_after } = directory.add(&group, &ada).await else { panic!("not limited") };
    assert!((1000..=3000).contains(&retry_after.as_millis()), "{retry_after:?}");
    assert_eq!(directory.headroom(), None, "that was no word on the rate");

    // A listing sits a short wait out instead of losing everything read so far.
    fake.trouble(Method::GET, "/api/v1/users?", 1, Trouble::Say(429, vec![("retry-after", "1".into())], error("E0000047")));
    assert!(matches!(everybody(&directory).await, Err(ReadError::RateLimited { .. })));
    fake.trouble(Method::GET, "/api/v1/users?", 1, Trouble::Say(429, vec![("retry-after", "1".into())], error("E0000047")));
    let patient = connect(&Settings { patience: Duration::from_secs(5), ..fake.settings() });
    assert_eq!(everybody(&patient).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_is_unknown_and_never_nobody() {
    let fake = Fake::start();
    let ada = fake.person("ada", "ACTIVE", json!({}));
    let group = fake.group("readers", "OKTA_GROUP", &[&ada]);
    let directory = fake.connect();
    assert_eq!(directory.is_member(&group, &ada).await, Ok(true));
    for (status, body) in [(500, "<html>Oops</html>".to_owned()), (503, error("E0000009")), (502, String::new())] {
        let say = || Trouble::Say(status, vec![], body.clone());
        fake.trouble(Method::GET, "/users/", 2, say());
        assert!(matches!(directory.person(&ada).await, Err(ReadError::Unreachable(_))), "{status}");
        fake.trouble(Method::GET, "/users/", 2, say());
        assert!(matches!(directory.is_member(&group, &ada).await, Err(ReadError::Unreachable(_))), "{status}");
        fake.trouble(Method::GET, "/api/v1/groups", 1, say());
        assert!(matches!(everybody(&directory).await, Err(ReadError::Unreachable(_))), "{status}");
        fake.trouble(Method::DELETE, "/users/", 1, say());
        assert!(matches!(directory.remove(&group, &ada).await, WriteResult::Ambiguous(_)), "{status}");
    }
    // A 404 that is not Okta's own says nothing about anybody.
    fake.trouble(Method::GET, "/users/", 2, Trouble::Say(404, vec![], error("E0000008")));
    assert!(matches!(directory.person(&ada).await, Err(ReadError::Malformed(_))));
    let proxy = Scripted::start(|_| Reply::new(404, "<html>Not found</html>")).await;
    let lost = connect(&Settings::with_token(&proxy.url, countersign::domain::secret::Secret::new(TOKEN)));
    assert!(matches!(lost.person(&ada).await, Err(ReadError::Malformed(_))));
    assert!(matches!(lost.is_member(&group, &ada).await, Err(ReadError::Malformed(_))));
    assert!(!matches!(lost.add(&group, &ada).await, WriteResult::NotFoundUser | WriteResult::NotFoundGroup | WriteResult::Changed));
    fake.trouble(Method::GET, "/users/", 2, Trouble::Say(403, vec![], error("E0000006")));
    assert!(matches!(directory.is_member(&group, &ada).await, Err(ReadError::Auth(why)) if why.contains("okta.users.read")));
    fake.trouble(Method::GET, "/users/", 2, Trouble::Say(401, vec![], error("E0000011")));
    assert!(matches!(directory.person(&ada).await, Err(ReadError::Auth(why)) if why.contains("E0000011")));
    assert_eq!(fake.members(&group), [ada]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_was_applied_before_the_line_broke_is_ambiguous_and_read_back() {
    let fake = Fake::start();
    let (ada, bob) = (fake.person("ada", "ACTIVE", json!({})), fake.person("bob", "ACTIVE", json!({})));
    let group = fake.group("readers", "OKTA_GROUP", &[]);
    let mut settings = fake.settings();
    settings.http.timeout = Duration::from_secs(2);
    let directory = connect(&settings);
    fake.trouble(Method::PUT, "/users/", 1, Trouble::DoneThenHang);
    assert!(matches!(directory.add(&group, &ada).await, WriteResult::Ambiguous(_)));
    assert_eq!(directory.is_member(&group, &ada).await, Ok(true));
    fake.trouble(Method::PUT, "/users/", 1, Trouble::Hang);
    assert!(matches!(directory.add(&group, &bob).await, WriteResult::Ambiguous(_)));
    assert_eq!(directory.is_member(&group, &bob).await, Ok(false));
    fake.trouble(Method::DELETE, "/users/", 1, Trouble::DoneThen(500, "<html>".into()));
    assert!(matches!(directory.remove(&group, &ada).await, WriteResult::Ambiguous(_)));
    assert_eq!(directory.is_member(&group, &ada).await, Ok(false));
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_followed_to_their_end_and_nowhere_else() {
    let fake = Fake::start();
    let people: Vec<String> = (0..5).map(|n| fake.person(&format!("p{n}"), "ACTIVE", json!({}))).collect();
    fake.group("readers", "OKTA_GROUP", &[&people[0], &people[4]]);
    fake.page_size(2);
    let directory = fake.connect();
    // An empty page is not the end.
    fake.trouble(Method::GET, "/api/v1/users?", 1, Trouble::EmptyPage);
    let all = everybody(&directory).await.unwrap();
    assert_eq!((all.len(), names(&all[&people[4]]), names(&all[&people[1]]).len()), (5, vec!["readers"], 0));

    // A page that fails midway is no end either.
    let first = directory.people(None).await.unwrap();
    assert_eq!(first.items.len(), 2);
    fake.trouble(Method::GET, "after=", 1, Trouble::Say(500, vec![], "<html>".into()));
    assert!(directory.people(first.next).await.is_err());

    // Who comes and goes while listing does not move the others.
    let first = directory.people(None).await.unwrap();
    fake.delete_person(&people[0]);
    let late = fake.person("z-late", "ACTIVE", json!({}));
    let mut rest = Vec::new();
    let mut cursor = first.next;
    while let Some(next) = cursor {
        let page = directory.people(Some(next)).await.unwrap();
        rest.extend(page.items.into_iter().map(|facts| facts.reference));
        cursor = page.next;
    }
    assert!(people[2..].iter().all(|person| rest.contains(person)) && (rest.contains(&late) || late == people[4]), "{rest:?}");

    // The token goes nowhere else.
    let elsewhere = Scripted::start(|_| Reply::new(200, "[]")).await;
    fake.trouble(Method::GET, "/api/v1/users?", 1, Trouble::NextAt(format!("{}/api/v1/users?after=2", elsewhere.url)));
    let first = directory.people(None).await.unwrap();
    assert!(directory.people(first.next).await.is_err());
    assert!(elsewhere.asked().is_empty());

    // A list that starts over does not go on for ever.
    fake.trouble(
        Method::GET,
        "/api/v1/groups/rules",
        9,
        Trouble::Say(200, vec![("link", format!("<{}/api/v1/groups/rules?after=1>; rel=\"next\"", fake.place.url))], "[]".into()),
    );
    assert!(matches!(fake.connect().groups(None).await, Err(ReadError::Malformed(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_group_is_read_whole() {
    let fake = Fake::start();
    let people: Vec<String> = (0..5000).map(|n| fake.person(&format!("p{n}"), "ACTIVE", json!({}))).collect();
    let members: Vec<&str> = people.iter().map(String::as_str).collect();
    let group = fake.group("all", "OKTA_GROUP", &members);
    let directory = fake.connect();
    let read = directory.members(&group).await.unwrap().unwrap();
    assert_eq!(read, fake.members(&group));
    assert_eq!(directory.is_member(&group, &people[4999]).await, Ok(true));
    assert!(matches!(directory.remove(&group, &people[2500]).await, WriteResult::Changed));
    assert_eq!(fake.members(&group).len(), 4999);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manager_is_known_by_id_by_login_or_by_number() {
    let fake = Fake::start();
    let max = fake.person("max", "ACTIVE", json!({"employeeNumber": "100"}));
    let by_id = fake.person("a", "ACTIVE", json!({"managerId": max}));
    let by_login = fake.person("b", "ACTIVE", json!({"managerId": "Max@example.org"}));
    let by_number = fake.person("c", "ACTIVE", json!({"managerId": "100"}));
    let by_nobody = fake.person("d", "ACTIVE", json!({"managerId": "nobody@example.org"}));
    for (manager_is, who) in [(ManagerIs::Id, &by_id), (ManagerIs::Login, &by_login), (ManagerIs::EmployeeNumber, &by_number)] {
        let directory = connect(&Settings { manager_is, ..fake.settings() });
        assert_eq!(directory.person(who).await.unwrap().unwrap().manager, Some(max.clone()), "{manager_is:?}");
        assert_eq!(directory.person(&by_nobody).await.unwrap().unwrap().manager, None);
        let all = everybody(&connect(&Settings { manager_is, ..fake.settings() })).await.unwrap();
        assert_eq!((&all[who].manager, &all[&by_nobody].manager), (&Some(max.clone()), &None), "{manager_is:?}");
    }
    // A number that two people have names nobody.
    fake.person("max2", "ACTIVE", json!({"employeeNumber": "100"}));
    let directory = connect(&Settings { manager_is: ManagerIs::EmployeeNumber, ..fake.settings() });
    assert_eq!(directory.person(&by_number).await.unwrap().unwrap().manager, None);
    // Not to know is not to have none.
    fake.trouble(Method::GET, "search=", 1, Trouble::Say(500, vec![], String::new()));
    assert!(connect(&Settings { manager_is: ManagerIs::EmployeeNumber, ..fake.settings() }).person(&by_number).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changed_is_told_from_where_the_last_answer_ended() {
    let fake = Fake::start();
    let people: Vec<String> = (0..30).map(|n| fake.person(&format!("p{n}"), "ACTIVE", json!({}))).collect();
    let (one, two) = (fake.group("one", "OKTA_GROUP", &[]), fake.group("two", "OKTA_GROUP", &[]));
    fake.pass_time(3600);
    let directory = fake.connect();
    let start = directory.changes(None).await.unwrap().unwrap();
    assert!(start.people.is_empty() && start.groups.is_empty() && !start.more);
    fake.pass_time(600);
    let still = directory.changes(Some(&start.next)).await.unwrap().unwrap();
    assert!(still.people.is_empty() && still.groups.is_empty() && !still.more, "{still:?}");

    fake.pass_time(600);
    fake.set_status(&people[3], "DEPROVISIONED");
    fake.set(&people[4], "department", json!("Sales"));
    fake.put(&two, &people[5], true);
    fake.pass_time(30);
    let told = directory.changes(Some(&still.next)).await.unwrap().unwrap();
    assert_eq!((&told.people, &told.groups, told.more), (&vec![people[3].clone(), people[4].clone()], &vec![two.clone()], false));
    // Told once more within the overlap, then no more.
    fake.pass_time(30);
    let again = directory.changes(Some(&told.next)).await.unwrap().unwrap();
    assert_eq!((again.people.len(), again.groups.len()), (2, 1));
    fake.pass_time(3600);
    let quiet = directory.changes(Some(&again.next)).await.unwrap().unwrap();
    let quiet = directory.changes(Some(&quiet.next)).await.unwrap().unwrap();
    assert!(quiet.people.is_empty() && quiet.groups.is_empty());

    // Many changes come in pieces, and nothing between them is lost.
    fake.page_size(2);
    fake.pass_time(3600);
    for person in &people {
        fake.set(person, "department", json!("Moved"));
    }
    fake.put(&one, &people[0], true);
    let first = directory.changes(Some(&quiet.next)).await.unwrap().unwrap();
    assert!(first.more && first.people.len() == 20 && first.groups.is_empty(), "{first:?}");
    fake.pass_time(60);
    fake.set(&people[0], "department", json!("Moved again"));
    let second = directory.changes(Some(&first.next)).await.unwrap().unwrap();
    assert_eq!((second.people.len(), second.groups.clone(), second.more), (10, vec![one], false));
    let third = directory.changes(Some(&second.next)).await.unwrap().unwrap();
    assert!(third.people.contains(&people[0]));
    for nonsense in ["", "{}", "2026-07-01", "{\"since\":\"then\"}"] {
        assert_eq!(directory.changes(Some(nonsense)).await, Err(ReadError::Expired), "{nonsense}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_app_proves_itself_and_gets_a_new_token_in_mid_run() {
    let fake = Fake::start();
    let ada = fake.person("ada", "ACTIVE", json!({}));
    let group = fake.group("readers", "OKTA_GROUP", &[]);
    let directory = connect(&fake.app_settings());
    assert_eq!(directory.add(&group, &ada).await, WriteResult::Changed);
    fake.forget_tokens();
    fake.asked();
    assert_eq!(directory.is_member(&group, &ada).await, Ok(true));
    assert_eq!(directory.remove(&group, &ada).await, WriteResult::Changed);
    assert_eq!(fake.members(&group), [""; 0]);
    let tokens = fake.asked().into_iter().filter(|asked| asked.starts_with("POST")).count();
    assert!((1..=2).contains(&tokens), "one is asked for, or two where two calls were refused at once: {tokens}");
    fake.page_size(1);
    fake.person("bob", "ACTIVE", json!({}));
    let first = directory.people(None).await.unwrap();
    fake.forget_tokens();
    assert_eq!(directory.people(first.next).await.unwrap().items.len(), 1);
    // A token endpoint that is down is no refusal.
    fake.forget_tokens();
    fake.trouble(Method::POST, "/token", 9, Trouble::Say(503, vec![], String::new()));
    assert!(matches!(directory.person(&ada).await, Err(ReadError::Unreachable(_))));
    assert!(matches!(directory.add(&group, &ada).await, WriteResult::Transient(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_says_which_permission_is_missing() {
    let fake = Fake::start();
    let ada = fake.person("ada", "ACTIVE", json!({}));
    let group = fake.group("readers", "OKTA_GROUP", &[&ada]);
    fake.rule("All", "ACTIVE", &group);
    let probe = fake.connect().probe().await;
    assert!(probe.works);
    assert_eq!(
        probe.notes,
        [
            "Lists people.",
            "Lists groups.",
            "Reads group rules. Groups that one fills and that are left alone: 1.",
            "May change memberships of the groups that its admin role reaches."
        ]
    );
    assert_eq!(fake.members(&group), [ada]);
    let says = |probe: countersign::directory::facts::Probe, what: &str, works: bool| {
        assert!(probe.works == works && probe.notes.iter().any(|note| note.contains(what)), "{what}: {probe:?}");
        assert!(!format!("{probe:?}").contains(TOKEN));
    };
    for (denied, what, works) in [
        ("rules", "okta.groups.read with an admin role that may view rules", true),
        ("okta.groups.manage", "the scope okta.groups.manage, or an admin role", true),
        (
            "okta.users.read",
            "Cannot list people. The directory refuses our credentials: it may not do this (E0000006); needed are the scope okta.users.read",
            false,
        ),
    ] {
        fake.deny(denied);
        says(fake.connect().probe().await, what, works);
    }
    let mut wrong = fake.settings();
    wrong.http.credentials = Settings::with_token("https://x.okta.com", countersign::domain::secret::Secret::new("wrong")).http.credentials;
    says(connect(&wrong).probe().await, "E0000011", false);

    says(connect(&fake.app_settings()).probe().await, "May change memberships", true);
    fake.withdraw_scope(SCOPES[3]);
    says(connect(&fake.app_settings()).probe().await, "The scope okta.logs.read is not granted to the app", false);
    let wrong_key = fake.settings_with(&Fake::start().key);
    says(connect(&wrong_key).probe().await, "gave no token (invalid_client)", false);
}

#[test]
fn settings_that_cannot_work_are_told() {
    let new = |base: &str| {
        countersign::directory::okta::Okta::new(&Settings::with_token(base, countersign::domain::secret::Secret::new("t")), countersign::clock::Clock::system())
            .map(|_| ())
    };
    assert!(new("https://org.okta.com/").is_ok() && new("https://id.example.org").is_ok());
    assert!(new("https://org-admin.okta.com").unwrap_err().contains("https://org.okta.com"));
    assert!(new("http://org.okta.com").is_err());
    assert!(Settings::for_app("https://org.okta.com", "0oa", &countersign::domain::secret::Secret::new("no key"), None, &[]).is_err());
}
