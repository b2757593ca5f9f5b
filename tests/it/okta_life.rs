//! One access in Okta, from asking to its end.

use std::sync::Arc;

use chrono::Duration;
use countersign::domain::approval::Answer;
use countersign::domain::request::RequestStatus;
use countersign::service::{doctor, lapse, replay};
use countersign::worker::step;
use serde_json::json;

use crate::okta_fake::Fake;
use crate::world::World;

const CATALOG: &str = r#"
default_policies = ["short"]

[[application]]
key = "prod-db"
name = "Production database"
description = "Every order."
owner = "erin.o"

[[role]]
application = "prod-db"
key = "reader"
name = "Reader"
description = "Read every table."
risk = "elevated"
group = "prod-db-readers"

[[profile]]
key = "employees"
name = "Engineering, employees"
[[profile.allow]]
all = ["department is Engineering", "employment_type is not contractor"]

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
profile = "employees"
procedure = "manager"
durations = { recommended = "1h", minimum = "1m", maximum = "8h", choices = ["5m", "1h", "8h"] }
justification = { required = true, minimum = 10 }
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn access_in_okta_is_asked_for_given_and_taken_away_when_its_time_is_up_or_its_holder_leaves() {
    let fake = Fake::start();
    let person = |login: &str, rest: serde_json::Value| {
        let mut profile = json!({"login": login, "department": "Engineering", "userType": "employee"});
        profile.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        fake.person(login, "ACTIVE", profile)
    };
    let erin = person("erin.o", json!({}));
    let max = person("max.m", json!({"managerId": erin}));
    let ada = person("ada.a", json!({"managerId": max}));
    let bea = person("bea.b", json!({"managerId": max}));
    fake.group("countersign-admins", "OKTA_GROUP", &[&erin]);
    fake.group("countersign-auditors", "OKTA_GROUP", &[]);
    let readers = fake.group("prod-db-readers", "OKTA_GROUP", &[&bea]);

    let mut world = World::empty().await;
    world.tampered("its directory is Okta, and the look at its end would ask the demo's");
    world.ctx.directories = Arc::new([("main".to_owned(), crate::okta_fake::connect(&fake.app_settings()))].into());
    world.turn().await;
    world.apply(CATALOG).await;
    assert_eq!(world.reference("ada.a").await, ada);

    for leaves in [false, true] {
        let asked = world.ask("ada.a", "prod-db", "reader", 3600).await.unwrap();
        assert_eq!((asked.status, fake.members(&readers)), (RequestStatus::Pending, vec![bea.clone()]));
        let answered = world.answer("max.m", asked.id, Answer::Approve { granted: None }).await.unwrap();
        assert_eq!(answered.status, RequestStatus::Approved);
        world.turn().await;
        assert_eq!((world.grant(asked.id).await.1.as_str(), fake.members(&readers)), ("active", vec![ada.clone(), bea.clone()]));
        if leaves {
            fake.set_status(&ada, "DEPROVISIONED");
            world.advance(Duration::minutes(11)).await;
        } else {
            world.advance(Duration::seconds(3590)).await;
            world.turn().await;
            assert!(fake.members(&readers).contains(&ada), "a lease lasts to its end");
            world.advance(Duration::seconds(11)).await;
        }
        world.turn().await;
        assert_eq!((world.grant(asked.id).await.1.as_str(), fake.members(&readers)), ("ended", vec![bea.clone()]));
        let ended: String =
            sqlx::query_scalar("select end_reason from countersign.access_grant where request_id = $1").bind(asked.id.0).fetch_one(&world.root).await.unwrap();
        assert_eq!(ended, if leaves { "offboarded" } else { "expired" });
    }

    for wait in [61, 61, 0] {
        lapse::lapse(&world.ctx).await.unwrap();
        step::drain(&world.ctx).await.unwrap();
        world.advance(Duration::seconds(wait)).await;
    }
    let findings: Vec<String> = doctor::deep(&world.ctx).await.unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(findings, [""; 0]);
    assert!(replay::all(&world.ctx).await.unwrap().is_empty());
}
