//! One access from asking to expiry, at vendors' services.

use chrono::Duration;
use countersign::demo::company::Company;
use countersign::directory::port::Directory;
use countersign::domain::approval::Answer;
use countersign::domain::request::RequestStatus;
use serde_json::json;

use crate::graph::Graph;
use crate::workspace::Workspace;
use crate::world::{Reach, World};

const HOUR: i64 = 3_600;

/// Ann owns the shop and asks nobody; Bo reports to her.
pub const CATALOG: &str = r#"
default_policies = ["plain"]

[[application]]
key = "shop"
name = "Shop"
description = "Where things are sold."
owner = "ANN"

[[role]]
application = "shop"
key = "reader"
name = "Reader"
description = "Sees the till."
risk = "low"
group = "readers"
policy = "plain"

[[profile]]
key = "engineers"
name = "Engineers"
[[profile.allow]]
all = ["department is Platform"]

[[procedure]]
key = "manager"
name = "Your manager"
[[procedure.step]]
name = "Manager"
slots = [{ approvals = 1, from = "manager", fallback = "application_owner" }]

[[policy]]
key = "plain"
name = "Plain"
profile = "engineers"
procedure = "manager"
durations = { recommended = "1h", minimum = "15m", maximum = "8h", choices = ["1h", "8h"] }
justification = { required = false }
"#;

/// A change may show late: it is looked for again.
pub async fn settle(world: &World) {
    for _ in 0..3 {
        world.turn().await;
        world.advance(Duration::minutes(2)).await;
    }
}

/// The whole path; `is_member` asks the service itself, `leave` takes Bo's account away there.
async fn a_day(directory: Directory, domain: &str, is_member: impl Fn() -> bool, leave: impl FnOnce()) {
    let (ann, bo) = (format!("ann@{domain}"), format!("bo@{domain}"));
    let world = World::with(Company::embedded().unwrap(), Reach::By(directory)).await;
    world.turn().await;
    world.apply(&CATALOG.replace("ANN", &ann)).await;
    let asked = world.ask(&bo, "shop", "reader", HOUR).await.unwrap();
    assert_eq!(asked.status, RequestStatus::Pending, "his manager is asked");
    assert!(!is_member());
    world.answer(&ann, asked.id, Answer::Approve { granted: None }).await.unwrap();
    settle(&world).await;
    assert!(is_member(), "given");
    assert_eq!(world.grant(asked.id).await.1, "active");
    world.advance(Duration::hours(1)).await;
    settle(&world).await;
    assert!(!is_member(), "taken away when its time is up");
    assert_eq!(world.grant(asked.id).await.1, "ended");

    let again = world.ask(&bo, "shop", "reader", 8 * HOUR).await.unwrap();
    world.answer(&ann, again.id, Answer::Approve { granted: None }).await.unwrap();
    settle(&world).await;
    assert!(is_member());
    leave();
    countersign::service::sync::sync(&world.ctx, "main").await.unwrap();
    settle(&world).await;
    assert!(!is_member(), "whoever is switched off loses it");
    assert_ne!(world.grant(again.id).await.1, "active");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_access_in_microsoft_entra_from_asking_to_its_end() {
    let running = Graph::held().await;
    let graph = &running.vendor;
    let ann = graph.user(1, "ann", json!({"department": "Platform"}));
    let bo = graph.user(2, "bo", json!({"department": "Platform"}));
    graph.manager(&bo, &ann);
    let group = graph.group(1, "readers", json!({}));
    graph.lags_by(1);
    a_day(crate::entra::connect(&running.url), "contoso.example", || graph.has(&group, &bo), || graph.set(&bo, "accountEnabled", false.into())).await;
    let deletes: Vec<_> = graph.desk.calls().into_iter().filter(|call| call.method == "DELETE").collect();
    assert!(deletes.len() >= 2 && deletes.iter().all(|call| call.path.ends_with("/$ref")) && graph.users() == 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_access_in_google_workspace_from_asking_to_its_end() {
    let running = Workspace::held().await;
    let fake = &running.vendor;
    let organization = json!([{"department": "Platform", "primary": true}]);
    fake.user(1, "ann", json!({"organizations": organization}));
    let relations = json!([{"type": "manager", "value": "ann@orchard.example"}]);
    let bo = fake.user(2, "bo", json!({"organizations": organization, "relations": relations}));
    let group = fake.group(1, "readers");
    a_day(crate::google::connect(&running.url), "orchard.example", || fake.role(&group, &bo).is_some(), || fake.set(&bo, "suspended", true.into())).await;
}
