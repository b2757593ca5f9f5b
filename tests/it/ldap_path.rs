//! The whole path of an access through OpenLDAP and Samba.

use chrono::Duration;
use countersign::demo::company::Company;
use countersign::domain::approval::Answer;
use countersign::domain::request::RequestStatus;
use countersign::service::ask::{AskFor, ask};
use countersign::service::sync::sync;

use crate::ldap_server::{DOMAIN, LdapServer, OPEN, directory};
use crate::world::{Reach, World};

/// One role, for engineers, by their manager.
const CATALOG: &str = r#"
default_policies = ["standard"]

[[application]]
key = "shop"
name = "Shop"
owner = "bob"

[[role]]
application = "shop"
key = "writer"
name = "Read and write"
risk = "elevated"
group = "prod-db"

[[profile]]
key = "staff"
name = "Engineers of the company"
[[profile.allow]]
all = ["department is Engineering", "groups include company"]

[[procedure]]
key = "manager"
name = "Your manager"
[[procedure.step]]
name = "Manager"
time_limit = "3d"
slots = [{ approvals = 1, from = "manager" }]

[[policy]]
key = "standard"
name = "Standard access"
profile = "staff"
procedure = "manager"
durations = { recommended = "4h", minimum = "1m", maximum = "30d", choices = ["1h", "4h"] }
"#;

/// Asks, approves, waits, with `members` telling who is in the group by the server's own tool.
async fn goes(world: &World, members: impl Fn() -> Vec<String>, alice: &str) {
    sync(&world.ctx, "main").await.unwrap();
    world.apply(CATALOG).await;
    let before = members();
    assert!(!before.iter().any(|member| member == alice));
    let four_hours = countersign::domain::span::Seconds(4 * 3_600);
    let ask_for = AskFor { duration: Some(four_hours), justification: Some("The totals are wrong.".into()), ..AskFor::new(world.role("shop", "writer").await) };
    // Inherited membership and the manager come from the directory; carol is in another department.
    let asked = ask(&world.ctx, &world.by("alice").await, ask_for.clone()).await.unwrap();
    assert_eq!(asked.status, RequestStatus::Pending);
    let refused = ask(&world.ctx, &world.by("carol").await, ask_for).await;
    assert!(refused.is_ok_and(|asked| asked.status == RequestStatus::Refused), "finance has no business there");
    world.turn().await;
    assert_eq!(members(), before, "asking gives nothing");

    let done = world.answer("bob", asked.id, Answer::Approve { granted: None }).await.unwrap();
    assert_eq!(done.status, RequestStatus::Approved);
    world.turn().await;
    assert_eq!(world.grant(asked.id).await.1, "active");
    assert!(members().iter().any(|member| member == alice), "{:?}", members());
    assert_eq!(members().len(), before.len() + 1);

    world.advance(Duration::seconds(4 * 3_600 - 30)).await;
    world.turn().await;
    assert!(members().iter().any(|member| member == alice), "a lease lasts to its end");
    world.advance(Duration::seconds(31)).await;
    world.turn().await;
    assert_eq!(world.grant(asked.id).await.1, "ended");
    assert_eq!(members(), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn access_comes_and_goes_through_openldap() {
    let server = LdapServer::open();
    let world = World::with(Company::embedded().unwrap(), Reach::By(directory(&server.as_open()))).await;
    goes(&world, || server.look(&format!("cn=prod-db,ou=groups,{OPEN}"), "member"), &format!("uid=alice,ou=people,{OPEN}")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn access_comes_and_goes_through_a_domain() {
    let server = LdapServer::alone();
    let world = World::with(Company::embedded().unwrap(), Reach::By(directory(&server.as_domain()))).await;
    goes(&world, || server.look(&format!("CN=prod-db,OU=Groups,{DOMAIN}"), "member"), &format!("CN=Alice Archer,OU=People,{DOMAIN}")).await;
}
