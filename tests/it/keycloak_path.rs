//! The whole path with Keycloak as provider and directory.

use reqwest::Method;
use serde_json::json;

use crate::client::{Client, Page, Sent};
use crate::idp::Server as Idp;
use crate::installation::{Installation, give_back};
use crate::keycloak::Witness;
use crate::server::eventually;

const CATALOG: &str = r#"
default_policies = ["short"]

[[application]]
key = "prod-db"
name = "Production database"
description = "Every order."
owner = "erin"

[[role]]
application = "prod-db"
key = "reader"
name = "Reader"
description = "Read every table."
risk = "elevated"
group = "prod-db-readers"

[[role]]
application = "prod-db"
key = "designer"
name = "Designer"
description = "Draw its pages."
risk = "low"
group = "engineering/frontend"

[[profile]]
key = "engineers"
name = "Engineering, employees"
[[profile.allow]]
all = ["groups include engineering", "employment_type is not contractor"]

[[procedure]]
key = "manager"
name = "Your manager"
[[procedure.step]]
name = "Manager"
time_limit = "1d"
slots = [{ approvals = 1, from = "manager" }]

[[policy]]
key = "short"
name = "Short access"
profile = "engineers"
procedure = "manager"
durations = { recommended = "1h", minimum = "1m", maximum = "8h", choices = ["5m", "1h", "8h"] }
justification = { required = true, minimum = 10 }
"#;

const WHY: (&str, &str) = ("justification", "The nightly totals are wrong.");

/// Fills in Keycloak's own form.
async fn fill_in(client: &mut Client, login: &str) -> Page {
    let page = client.visit(Method::GET, "/sign-in/start", Sent::Nothing).await;
    assert!(page.url.path().starts_with("/realms/staff/"), "{} {}", page.url, page.text());
    client.submit(&page, "form#kc-form-login", &[("username", login), ("password", "a-password-for-tests")]).await
}

async fn sign_in(site: &str, login: &str) -> Client {
    let mut client = Client::new(site);
    let home = fill_in(&mut client, login).await;
    assert_eq!((home.url.path(), home.status), ("/", 200), "{} {}", home.url, home.text());
    client
}

async fn until_member(witness: &Witness, path: &str, login: &str, is: bool) {
    eventually(&format!("{login} in {path}: {is}"), || async { (witness.is_member(path, login).await == is).then_some(()) }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_whole_path_works_with_keycloak_by_configuration_alone() {
    let (keycloak, port) = Idp::keycloak();
    let (url, site) = (&keycloak.url, format!("http://127.0.0.1:{port}"));
    let config = format!(
        "[oidc]\nissuer = \"{url}/realms/staff\"\nclient_id = \"countersign\"\n\n[directories.staff]\nkind = \"keycloak\"\nbase_url = \"{url}\"\nrealm = \"staff\"\n\
         client_id = \"directory\"\nattributes = [\"title=jobTitle\", \"employment_type=employeeType\"]\nadministrators_group = \"countersign-administrators\"\n\
         auditors_group = \"countersign-auditors\"\n"
    );
    let secrets = [("COUNTERSIGN_OIDC__CLIENT_SECRET", "countersign-secret"), ("COUNTERSIGN_DIRECTORIES__STAFF__CLIENT_SECRET", "directory-secret")];
    let installation = Installation::start(*port, &config, &secrets, CATALOG).await;
    let witness = Witness::of(url).await;
    let reader = "prod-db-readers";

    // Asked, approved, given. Alice is in engineering by way of a group inside it.
    let mut alice = sign_in(&site, "alice").await;
    let role = installation.role(&mut alice, "reader").await;
    let form = alice.get(&format!("/roles/{role}/ask")).await;
    assert!(form.text().contains("Bob Builder"), "her manager, whom Keycloak names, will be asked: {}", form.text());
    let request = alice.ask(role, &[("duration", "300"), WHY]).await.id();
    assert!(!witness.is_member(reader, "alice").await);
    let mut bob = sign_in(&site, "bob").await;
    let queue = bob.get("/queue").await;
    assert!(queue.text().contains("Alice Archer asks for Production database Reader for 5 minutes"), "{}", queue.text());
    let approved = bob.approve(request, &[]).await;
    assert!(approved.status == 200 && approved.text().contains("Approved"), "{}", approved.text());
    until_member(&witness, reader, "alice", true).await;
    installation.grant_is(request, "active").await;
    // Signed out at Keycloak by its administrator: out here.
    let mut dave = sign_in(&site, "dave").await;
    let id = witness.person("dave").await;
    assert_eq!(dave.get("/").await.status, 200);
    witness.send(Method::POST, &format!("/users/{id}/logout"), None).await;
    eventually("dave is out here too", || async {
        let page = dave.clone().get("/").await;
        page.location().starts_with("/sign-in").then_some(())
    })
    .await;
    assert_eq!(installation.ended_by_provider().await, 1);
    assert_eq!(alice.get("/").await.status, 200, "nobody else is");

    // Until its time is up.
    installation.minutes_pass(6).await;
    until_member(&witness, reader, "alice", false).await;
    installation.grant_is(request, "ended").await;
    assert!(witness.is_member(reader, "bob").await && witness.is_member("engineering/backend", "alice").await, "and nobody else, and nothing else");

    // A group within a group, given back.
    let designer = installation.role(&mut alice, "designer").await;
    let request = alice.ask(designer, &[("duration", "3600"), WHY]).await.id();
    bob.approve(request, &[]).await;
    until_member(&witness, "engineering/frontend", "alice", true).await;
    installation.grant_is(request, "active").await;
    give_back(&mut alice, &installation, request).await;
    until_member(&witness, "engineering/frontend", "alice", false).await;
    installation.grant_is(request, "ended").await;

    // Whom the rules refuse: a contractor, and somebody outside.
    let mut dave = sign_in(&site, "dave").await;
    let refused = dave.get(&format!("/roles/{role}/ask")).await;
    assert!(refused.text().contains("You cannot ask for this role"), "{}", refused.text());
    let mut carol = sign_in(&site, "carol").await;
    assert!(carol.get(&format!("/roles/{role}/ask")).await.text().contains("You cannot ask for this role"));
    assert_eq!(carol.get("/log").await.status, 200, "an auditor, as Keycloak's group says");
    let mut erin = sign_in(&site, "erin").await;
    assert_eq!(erin.get("/admin").await.status, 200);

    // Out is out, there too.
    let last = alice.visit(Method::POST, "/sign-out", Sent::Form(Vec::new())).await;
    assert!(last.url.as_str().starts_with(&format!("{site}/signed-out")) && last.text().contains("You are signed out"), "{} {}", last.url, last.text());
    let again = alice.visit(Method::GET, "/sign-in/start", Sent::Nothing).await;
    assert!(again.url.as_str().starts_with(url.as_str()) && again.body.contains("kc-form-login"), "Keycloak has forgotten alice, too");

    // Switched off in Keycloak: it lets nobody in who is, so she is switched off with a session.
    let id = witness.person("carol").await;
    let mut record = witness.get(&format!("/users/{id}")).await;
    record["enabled"] = json!(false);
    witness.send(Method::PUT, &format!("/users/{id}"), Some(record.clone())).await;
    installation.minutes_pass(6).await;
    eventually("carol is out", || async {
        let page = carol.clone().get("/").await;
        page.location().starts_with("/sign-in").then_some(())
    })
    .await;
    record["enabled"] = json!(true);
    witness.send(Method::PUT, &format!("/users/{id}"), Some(record)).await;
    drop(installation);
}
