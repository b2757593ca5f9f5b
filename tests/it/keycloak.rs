//! The Keycloak connector against Keycloak, which nobody here wrote.

use std::collections::BTreeSet;

use countersign::clock::Clock;
use countersign::directory::facts::{GroupListed, PersonFacts, ReadError, WriteResult};
use countersign::directory::http::encoded;
use countersign::directory::keycloak::{Keycloak, Settings};
use countersign::directory::port::Directory;
use countersign::directory::token::Client;
use countersign::domain::secret::Secret;
use reqwest::Method;
use serde_json::{Value, json};

use crate::idp::Server;

/// The realm's address in the Admin REST API, asked with a client of the tests' own and nothing of Countersign's.
pub struct Witness {
    base: String,
    http: reqwest::Client,
    token: String,
}

impl Witness {
    pub async fn of(url: &str) -> Self {
        Self::at(url, "staff").await
    }

    pub async fn at(url: &str, realm: &str) -> Self {
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let asked = http.post(format!("{url}/realms/{realm}/protocol/openid-connect/token")).basic_auth("witness", Some("witness-secret"));
        let answer = asked.form(&[("grant_type", "client_credentials")]).send().await.unwrap().error_for_status().unwrap();
        let token = answer.json::<Value>().await.unwrap()["access_token"].as_str().unwrap().to_owned();
        Self { base: format!("{url}/admin/realms/{realm}"), http, token }
    }

    pub async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let mut asked = self.http.request(method, format!("{}{path}", self.base)).bearer_auth(&self.token);
        if let Some(body) = body {
            asked = asked.json(&body);
        }
        let answer = asked.send().await.unwrap().error_for_status().unwrap();
        serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or_default()
    }

    pub async fn get(&self, path: &str) -> Value {
        self.send(Method::GET, path, None).await
    }

    pub async fn person(&self, login: &str) -> String {
        self.get(&format!("/users?username={login}&exact=true")).await[0]["id"].as_str().unwrap().to_owned()
    }

    pub async fn group(&self, path: &str) -> String {
        self.get(&format!("/group-by-path/{path}")).await["id"].as_str().unwrap().to_owned()
    }

    /// Whether the group's own list has this person.
    pub async fn is_member(&self, path: &str, login: &str) -> bool {
        let group = self.group(path).await;
        let members = self.get(&format!("/groups/{group}/members?max=1000")).await;
        members.as_array().unwrap().iter().any(|member| member["username"] == login)
    }
}

fn connect_as(url: &str, client: &str, secret: &str) -> Directory {
    let client = Client::SecretBasic { id: client.into(), secret: Secret::new(secret) };
    let mut settings = Settings::new(url, "staff", client);
    for (ours, theirs) in [("title", "jobTitle"), ("employment_type", "employeeType")] {
        settings.attributes.insert(ours.into(), theirs.into());
    }
    Directory::Keycloak(Keycloak::new(&settings, Clock::system()).unwrap())
}

fn connect(url: &str) -> Directory {
    connect_as(url, "directory", "directory-secret")
}

async fn everybody(directory: &Directory) -> Vec<PersonFacts> {
    let (mut all, mut cursor) = (Vec::new(), None);
    loop {
        let page = directory.people(cursor).await.unwrap();
        all.extend(page.items);
        cursor = page.next;
        if cursor.is_none() {
            return all;
        }
    }
}

async fn every_group(directory: &Directory) -> Vec<GroupListed> {
    let (mut all, mut cursor) = (Vec::new(), None);
    loop {
        let page = directory.groups(cursor).await.unwrap();
        all.extend(page.items);
        cursor = page.next;
        if cursor.is_none() {
            return all;
        }
    }
}

fn names(facts: &PersonFacts) -> Vec<&str> {
    let mut names: Vec<_> = facts.groups.iter().map(|group| group.name.as_str()).collect();
    names.sort_unstable();
    names
}

const HARD: &str = "zoë.o'neil+x@example.org";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_and_the_whole_tree_of_groups_are_read() {
    let url = &Server::keycloak().0.url;
    let (directory, witness) = (connect(url), Witness::of(url).await);

    let alice = directory.find_person("user_name", "ALICE").await.unwrap().unwrap();
    let bob = directory.find_person("email", "Bob@example.org").await.unwrap().unwrap();
    assert_eq!(alice.reference, witness.person("alice").await, "the immutable id");
    assert_eq!((alice.display_name.as_str(), alice.email.as_deref(), alice.active), ("Alice Archer", Some("alice@example.org"), true));
    assert_eq!(alice.manager, Some(bob.reference.clone()));
    let told: Vec<_> = alice.attributes.iter().map(|(key, values)| format!("{key}={}", values.join("+"))).collect();
    assert_eq!(told, ["badges=one+two", "department=Engineering", "employee_number=103", "employment_type=Employee", "title=Engineer"]);
    assert_eq!(names(&alice)[..2], ["engineering", "engineering/backend"], "what lies above counts too");
    assert_eq!(directory.person(&alice.reference).await.unwrap(), Some(alice.clone()));
    assert_eq!(directory.find_person("employee_number", "103").await.unwrap().map(|found| found.reference), Some(alice.reference.clone()));
    assert_eq!(directory.find_person("badges", "two").await, Err(ReadError::Several { attribute: "badges".into(), value: "two".into() }));
    assert!(!directory.find_person("user_name", "frank").await.unwrap().unwrap().active);
    let dave = directory.find_person("user_name", "dave").await.unwrap().unwrap();
    assert_eq!(names(&dave), ["engineering", "engineering/backend", "engineering/backend/on-call"]);
    assert_eq!(directory.person("no-such-id").await, Ok(None));
    let hard = directory.find_person("department", "R&D / \"Labs\"").await.unwrap().unwrap();
    assert_eq!((hard.user_name.as_str(), hard.display_name.as_str()), (HARD, "Zoë O'Neil"));
    for value in ["nobody", "*", "%", "alice*", "a\" or \"", "department:Engineering", "\\"] {
        for attribute in ["user_name", "email", "department", "employee_number", "id"] {
            assert_eq!(directory.find_person(attribute, value).await, Ok(None), "{attribute} {value}");
        }
    }

    let all = everybody(&directory).await;
    let logins: BTreeSet<_> = all.iter().map(|facts| facts.user_name.as_str()).collect();
    assert_eq!(logins, BTreeSet::from(["alice", "bob", "carol", "dave", "erin", "frank", HARD]), "and no service account");
    assert_eq!(all.iter().find(|facts| facts.user_name == "dave").unwrap().groups, dave.groups);
    assert_eq!(all.iter().find(|facts| facts.user_name == "bob").unwrap().manager, Some(witness.person("erin").await));
    assert_eq!(directory.people(None).await.unwrap().total, Some(7));

    let groups = every_group(&directory).await;
    let names: BTreeSet<_> = groups.iter().map(|group| group.name.as_str()).collect();
    assert_eq!((groups.len(), names.len()), (131, 131), "each once, those of long lists too");
    for name in ["engineering/backend/on-call", "sales/region-000", "sales/region-119", "sales/backend", "Ünal & Söhne ~ 100%", "nobody-yet"] {
        assert!(names.contains(name), "{name}");
        assert_eq!(directory.find_group(name).await.unwrap().unwrap().name, name);
    }
    assert!(groups.iter().all(|group| group.read_only.is_none()));
    assert!(groups.iter().find(|group| group.name == "sales").unwrap().warnings[0].contains("one of the 121 groups"));
    for name in ["backend", "Engineering", "engineering/", "nothing", "engineering/../sales", ""] {
        assert_eq!(directory.find_group(name).await, Ok(None), "{name}");
    }

    let reference = witness.group("engineering").await;
    let engineering = directory.group(&reference).await.unwrap().unwrap();
    assert_eq!((engineering.members.as_slice(), engineering.nested.len()), ([bob.reference.clone()].as_slice(), 2), "direct members only");
    assert_eq!(directory.members_inherited(&reference).await.unwrap().unwrap().len(), 3);
    let (direct, inherited) = (directory.is_member(&reference, &alice.reference).await, directory.is_member_inherited(&reference, &alice.reference).await);
    assert_eq!((direct, inherited), (Ok(false), Ok(true)));
    assert_eq!(directory.group(&witness.group("sales").await).await.unwrap().unwrap().nested.len(), 121);
    assert_eq!(directory.group("no-such-id").await, Ok(None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memberships_are_changed_and_what_was_changed_is_told() {
    let url = &Server::keycloak().0.url;
    let (directory, witness) = (connect(url), Witness::of(url).await);
    let begun = directory.changes(None).await.unwrap().unwrap().next;
    let (erin, hard) = (witness.person("erin").await, witness.person(&encoded(HARD)).await);
    let (group, parent) = (witness.group("nobody-yet").await, witness.group("sales").await);

    // Twice is once.
    assert_eq!((directory.add(&group, &erin).await, directory.add(&group, &erin).await), (WriteResult::Changed, WriteResult::AlreadyInState));
    assert!(witness.is_member("nobody-yet", "erin").await && directory.is_member(&group, &erin).await.unwrap());
    assert_eq!(directory.add(&group, &hard).await, WriteResult::Changed);
    assert_eq!((directory.remove(&group, &erin).await, directory.remove(&group, &erin).await), (WriteResult::Changed, WriteResult::AlreadyInState));
    assert!(!witness.is_member("nobody-yet", "erin").await && witness.is_member("nobody-yet", HARD).await, "and nobody else");
    assert_eq!(directory.remove(&group, &hard).await, WriteResult::Changed);
    let odd = directory.find_group("Ünal & Söhne ~ 100%").await.unwrap().unwrap().reference;
    assert_eq!((directory.add(&odd, &hard).await, directory.remove(&odd, &hard).await), (WriteResult::Changed, WriteResult::Changed));

    // Zoë is in a group inside: that she is in the one around it, too, comes and goes by itself.
    let writes = "/admin-events?resourceTypes=GROUP_MEMBERSHIP&max=1000";
    let told = witness.get(writes).await.as_array().unwrap().len();
    assert_eq!(directory.remove(&parent, &hard).await, WriteResult::AlreadyInState);
    assert_eq!(witness.get(writes).await.as_array().unwrap().len(), told, "Keycloak would have answered 204, and told of a removal that was none");
    assert_eq!(directory.add(&parent, &hard).await, WriteResult::Changed);
    assert!(witness.is_member("sales", HARD).await && directory.is_member(&parent, &hard).await.unwrap());
    assert_eq!(directory.remove(&parent, &hard).await, WriteResult::Changed);
    assert!(!witness.is_member("sales", HARD).await && witness.is_member("sales/backend", HARD).await);

    // Nobody and nothing.
    let nothing = "11111111-2222-3333-4444-555555555555";
    assert_eq!((directory.add(nothing, &erin).await, directory.remove(nothing, &erin).await), (WriteResult::NotFoundGroup, WriteResult::NotFoundGroup));
    assert_eq!((directory.add(&group, nothing).await, directory.remove(&group, nothing).await), (WriteResult::NotFoundUser, WriteResult::NotFoundUser));
    assert_eq!(directory.is_member(&group, nothing).await, Ok(false));
    let reader = connect_as(url, "reader", "reader-secret");
    assert!(matches!(reader.add(&group, &erin).await, WriteResult::Auth(why) if why.contains("manage-users")));
    assert!(reader.group(&group).await.unwrap().unwrap().read_only.unwrap().contains("manage-users"));
    assert!(matches!(connect_as(url, "asker", "asker-secret").add(&group, &erin).await, WriteResult::Auth(_)));

    // All groups of somebody who is in more than any page holds.
    let regions = witness.get(&format!("/groups/{parent}/children?max=200")).await;
    let carol = witness.person("carol").await;
    for region in regions.as_array().unwrap() {
        witness.send(Method::PUT, &format!("/users/{carol}/groups/{}", region["id"].as_str().unwrap()), None).await;
    }
    let facts = directory.person(&carol).await.unwrap().unwrap();
    assert_eq!(facts.groups.len(), 121 + 1 + 1, "each region, the group around them, and the one of before");
    for region in regions.as_array().unwrap() {
        witness.send(Method::DELETE, &format!("/users/{carol}/groups/{}", region["id"].as_str().unwrap()), None).await;
    }

    // What happened, page by page.
    let (mut people, mut groups, mut since, mut pages) = (BTreeSet::new(), BTreeSet::new(), begun, 0);
    loop {
        let changes = directory.changes(Some(&since)).await.unwrap().unwrap();
        people.extend(changes.people);
        groups.extend(changes.groups);
        (since, pages) = (changes.next, pages + 1);
        if !changes.more {
            break;
        }
    }
    assert!(pages >= 3, "{pages}");
    assert!([&erin, &hard, &carol].into_iter().all(|person| people.contains(person)) && groups.contains(&parent) && groups.contains(&group));
    assert_eq!(connect_as(url, "reader", "reader-secret").changes(None).await, Ok(None), "who may not see events has none");
    let mut config = witness.get("/events/config").await;
    config["adminEventsEnabled"] = json!(false);
    witness.send(Method::PUT, "/events/config", Some(config.clone())).await;
    assert_eq!(directory.changes(Some(&since)).await, Ok(None), "a realm that keeps none has none");
    let notes = directory.probe().await.notes.join(" ");
    assert!(notes.contains("switch them on under Realm settings"), "{notes}");
    config["adminEventsEnabled"] = json!(true);
    witness.send(Method::PUT, "/events/config", Some(config)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_test_of_the_connection_says_which_role_is_missing() {
    let url = &Server::keycloak().0.url;
    let probe = async |client: &str, secret: &str| connect_as(url, client, secret).probe().await;
    let good = probe("directory", "directory-secret").await;
    assert!(good.works && good.notes[..2] == ["Lists 7 people.", "Lists 131 groups."], "{good:?}");
    assert_eq!(good.notes[2], "Changes memberships.");
    let reader = probe("reader", "reader-secret").await;
    assert!(reader.works && reader.notes[2].contains("manage-users") && reader.notes[3].contains("view-events"), "{reader:?}");
    for (client, secret, why) in [
        ("asker", "asker-secret", "view-users"),
        ("nobody", "nobody-secret", "view-users and query-groups"),
        ("directory", "wrong", "unauthorized_client"),
        ("countersign", "countersign-secret", "unauthorized_client"),
    ] {
        let bad = probe(client, secret).await;
        assert!(!bad.works && bad.notes.join(" ").contains(why) && !bad.notes.join(" ").contains(secret), "{client}: {bad:?}");
    }
    // Who may change what rules look at is told of.
    let witness = Witness::of(url).await;
    let profile = witness.get("/users/profile").await;
    let mut open = profile.clone();
    open["attributes"].as_array_mut().unwrap().push(json!({"name": "department", "permissions": {"view": ["admin"], "edit": ["admin", "user"]}}));
    witness.send(Method::PUT, "/users/profile", Some(open)).await;
    let notes = probe("directory", "directory-secret").await.notes;
    assert!(notes.last().unwrap().starts_with("People may change their own department in Keycloak"), "{notes:?}");
    witness.send(Method::PUT, "/users/profile", Some(profile)).await;
    assert_eq!(probe("directory", "directory-secret").await.notes, good.notes);
    // What cannot be seen is not gone.
    let asker = connect_as(url, "asker", "asker-secret");
    assert!(matches!(asker.people(None).await, Err(ReadError::Auth(_))) && matches!(asker.groups(None).await, Err(ReadError::Auth(_))));
    assert!(matches!(asker.find_person("user_name", "alice").await, Err(ReadError::Auth(_))));
    let elsewhere =
        Settings { realm: "nowhere".into(), ..Settings::new(url, "staff", Client::SecretBasic { id: "directory".into(), secret: Secret::new("x") }) };
    assert!(!Directory::Keycloak(Keycloak::new(&elsewhere, Clock::system()).unwrap()).probe().await.works);
    for realm in ["", "..", "a/b"] {
        assert!(Keycloak::new(&Settings { realm: realm.into(), ..elsewhere.clone() }, Clock::system()).is_err(), "{realm}");
    }
}
