//! Canaille, a hostile SCIM service, as provider and directory.

use countersign::clock::Clock;
use countersign::directory::facts::WriteResult;
use countersign::directory::http::Settings;
use countersign::directory::port::Directory;
use countersign::directory::scim::Scim;
use countersign::directory::token::{Client as TokenClient, Credentials, Grant};
use countersign::domain::secret::Secret;
use reqwest::Method;
use serde_json::Value;

use crate::client::{Client, Sent};
use crate::idp::{Server as Idp, free_port};
use crate::installation::{Installation, give_back};
use crate::server::eventually;

const CATALOG: &str = r#"
default_policies = ["short"]

[[application]]
key = "prod-db"
name = "Production database"
description = "Every order."
owner = "bob"

[[role]]
application = "prod-db"
key = "reader"
name = "Reader"
description = "Read every table."
risk = "elevated"
group = "prod-db-readers"

[[profile]]
key = "engineers"
name = "Engineering"
[[profile.allow]]
all = ["department is Engineering", "groups include engineers"]

[[procedure]]
key = "owner"
name = "The owner"
[[procedure.step]]
name = "Owner"
time_limit = "1d"
slots = [{ approvals = 1, from = "application_owner" }]

[[policy]]
key = "short"
name = "Short access"
profile = "engineers"
procedure = "owner"
durations = { recommended = "1h", minimum = "1m", maximum = "8h", choices = ["5m", "1h", "8h"] }
justification = { required = true, minimum = 10 }
"#;

/// Who is in a group, by login, asked with nothing of Countersign's: filters are ignored, so everything is read.
async fn members(url: &str, group: &str) -> Vec<String> {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let asked = http.post(format!("{url}/oauth/token")).basic_auth("directory", Some("directory-secret"));
    let token: Value = asked.form(&[("grant_type", "client_credentials")]).send().await.unwrap().json().await.unwrap();
    let asked = http.get(format!("{url}/scim/v2/Groups")).bearer_auth(token["access_token"].as_str().unwrap());
    let groups: Value = asked.send().await.unwrap().error_for_status().unwrap().json().await.unwrap();
    let found = groups["Resources"].as_array().unwrap().iter().find(|found| found["displayName"] == group).unwrap().clone();
    let mut logins: Vec<String> =
        found["members"].as_array().cloned().unwrap_or_default().iter().map(|member| member["value"].as_str().unwrap().to_owned()).collect();
    logins.sort();
    logins
}

async fn until_member(url: &str, login: &str, is: bool) {
    eventually(&format!("{login} in prod-db-readers: {is}"), || async {
        (members(url, "prod-db-readers").await.iter().any(|l| l == login) == is).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn groups_that_list_logins_are_read_and_changed_by_ids_all_the_same() {
    let idp = Idp::canaille("http://127.0.0.1:9");
    let grant = Grant {
        endpoint: format!("{}/oauth/token", idp.url),
        client: TokenClient::SecretBasic { id: "directory".into(), secret: Secret::new("directory-secret") },
        scope: String::new(),
    };
    let settings = Settings { media: "application/scim+json", ..Settings::with(&format!("{}/scim/v2", idp.url), Credentials::Granted(grant)) };
    let directory = Directory::Scim(Scim::new(&settings, Clock::system()).unwrap());

    // A search that is ignored finds everybody: only who was meant is taken.
    let alice = directory.find_person("user_name", "alice").await.unwrap().unwrap();
    let (bob, dave) =
        (directory.find_person("email", "bob@example.org").await.unwrap().unwrap(), directory.find_person("user_name", "dave").await.unwrap().unwrap());
    assert_eq!((alice.display_name.as_str(), alice.attributes["department"].as_slice()), ("Alice Archer", ["Engineering".to_owned()].as_slice()));
    assert_eq!((alice.groups.iter().map(|group| group.name.as_str()).collect::<Vec<_>>(), dave.groups.len()), (vec!["engineers"], 0));
    assert_eq!(directory.find_person("user_name", "nobody").await, Ok(None));
    assert_eq!(directory.people(None).await.unwrap().items.len(), 5);
    let (engineers, readers) =
        (directory.find_group("engineers").await.unwrap().unwrap().reference, directory.find_group("prod-db-readers").await.unwrap().unwrap().reference);
    let mut listed = directory.members(&engineers).await.unwrap().unwrap();
    let mut wanted = vec![alice.reference.clone(), bob.reference.clone()];
    listed.sort();
    wanted.sort();
    assert_eq!(listed, wanted, "ids, not what the list says");
    assert!(directory.is_member(&engineers, &alice.reference).await.unwrap() && !directory.is_member(&engineers, &dave.reference).await.unwrap());

    assert_eq!(directory.add(&readers, &dave.reference).await, WriteResult::Changed);
    assert!(directory.is_member(&readers, &dave.reference).await.unwrap());
    assert_eq!(members(&idp.url, "prod-db-readers").await, ["bob", "dave"]);
    _ = directory.add(&readers, &dave.reference).await;
    assert_eq!(members(&idp.url, "prod-db-readers").await, ["bob", "dave"], "twice is once");
    // It answers 200 to a removal by id, and removes nobody: its own word for him is sent then.
    assert_eq!(directory.remove(&readers, &dave.reference).await, WriteResult::Changed);
    assert!(!directory.is_member(&readers, &dave.reference).await.unwrap());
    assert_eq!(members(&idp.url, "prod-db-readers").await, ["bob"], "and nobody else");
    _ = directory.remove(&readers, &dave.reference).await;
    assert_eq!(members(&idp.url, "prod-db-readers").await, ["bob"]);
    // It takes an addition of nobody, too: that is not called a success.
    assert!(!matches!(directory.add(&readers, "11111111-2222-3333-4444-555555555555").await, WriteResult::Changed | WriteResult::AlreadyInState));
    // The last member cannot be removed (it answers 500): that is not called one either, and the group is as it was.
    let last = directory.remove(&readers, &bob.reference).await;
    assert!(!matches!(last, WriteResult::Changed | WriteResult::AlreadyInState), "{last}");
    assert!(directory.is_member(&readers, &bob.reference).await.unwrap());
}

/// Fills in Canaille's forms: the login, then the password.
async fn sign_in(site: &str, login: &str) -> Client {
    let mut client = Client::new(site);
    let mut page = client.visit(Method::GET, "/sign-in/start", Sent::Nothing).await;
    for (field, value) in [("login", login.to_owned()), ("password", format!("{login}-password"))] {
        page = client.submit(&page, &format!("form:has(input[name={field}])"), &[(field, &value), ("answer", "accept")]).await;
    }
    assert_eq!((page.url.path(), page.status), ("/", 200), "{} {}", page.url, page.text());
    client
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_whole_path_works_with_canaille_by_configuration_alone() {
    let port = free_port();
    let site = format!("http://127.0.0.1:{port}");
    let idp = Idp::canaille(&site);
    let url = &idp.url;
    // Its preferred_username is the name for people; the login is its sub.
    let config = format!(
        "[oidc]\nissuer = \"{url}\"\nclient_id = \"countersign\"\nlink_claim = \"sub\"\nlink_attribute = \"userName\"\n\n[directories.staff]\nkind = \"scim\"\nbase_url = \"{url}/scim/v2\"\ntoken_url = \"{url}/oauth/token\"\n\
         client_id = \"directory\"\nadministrators_group = \"countersign-administrators\"\nauditors_group = \"countersign-auditors\"\n"
    );
    let secrets = [("COUNTERSIGN_OIDC__CLIENT_SECRET", "countersign-secret"), ("COUNTERSIGN_DIRECTORIES__STAFF__CLIENT_SECRET", "directory-secret")];
    let installation = Installation::start(port, &config, &secrets, CATALOG).await;

    let mut alice = sign_in(&site, "alice").await;
    let role = installation.role(&mut alice, "reader").await;
    let why = ("justification", "The nightly totals are wrong.");
    let request = alice.ask(role, &[("duration", "300"), why]).await.id();
    let mut bob = sign_in(&site, "bob").await;
    assert!(bob.get("/queue").await.text().contains("Alice Archer asks for Production database Reader for 5 minutes"));
    let approved = bob.approve(request, &[]).await;
    assert!(approved.status == 200 && approved.text().contains("Approved"), "{}", approved.text());
    until_member(url, "alice", true).await;
    installation.grant_is(request, "active").await;
    installation.minutes_pass(6).await;
    until_member(url, "alice", false).await;
    installation.grant_is(request, "ended").await;

    let request = alice.ask(role, &[("duration", "3600"), why]).await.id();
    bob.approve(request, &[]).await;
    until_member(url, "alice", true).await;
    installation.grant_is(request, "active").await;
    give_back(&mut alice, &installation, request).await;
    until_member(url, "alice", false).await;
    installation.grant_is(request, "ended").await;
    assert_eq!(members(url, "prod-db-readers").await, ["bob"], "and nobody else");

    let mut dave = sign_in(&site, "dave").await;
    assert!(dave.get(&format!("/roles/{role}/ask")).await.text().contains("You cannot ask for this role"));
    let mut erin = sign_in(&site, "erin").await;
    assert_eq!(erin.get("/admin").await.status, 200);
    let last = alice.visit(Method::POST, "/sign-out", Sent::Form(Vec::new())).await;
    assert!(last.url.as_str().starts_with(url.as_str()) || last.text().contains("You are signed out"), "{} {}", last.url, last.text());
    assert!(alice.get("/").await.location().starts_with("/sign-in"));
    drop(installation);
}
