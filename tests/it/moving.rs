//! Who moves: what they hold is looked at anew.

use std::collections::BTreeMap;

use chrono::Duration;
use countersign::domain::id::RequestId;
use countersign::evidence::columns::File;
use countersign::service::sync::sync;
use countersign::worker::step;
use serde_json::{Value, json};

use crate::day::rows;
use crate::faulty::Faulty;
use crate::world::{World, catalog};

const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
const DAY: i64 = 86_400;

/// Bo, a data analyst, holds the role of analyst, which is for the department Data.
struct Mover {
    faulty: Faulty,
    world: World,
    request: RequestId,
}

impl Mover {
    async fn new() -> Self {
        Self::with("").await
    }

    /// The policy that governs says `more` besides.
    async fn with(more: &str) -> Self {
        let faulty = Faulty::start().await;
        let world = World::behind(&faulty).await;
        if !more.is_empty() {
            let text = catalog();
            let changed = text.replacen("key = \"analysts-at-once\"\n", &format!("key = \"analysts-at-once\"\n{more}\n"), 1);
            assert_ne!(text, changed);
            world.apply(&changed).await;
        }
        let request = world.ask("bo.lind", "warehouse", "analyst", 90 * DAY).await.unwrap().id;
        world.turn().await;
        assert_eq!(world.grant(request).await.1, "active");
        Self { faulty, world, request }
    }

    /// The directory says something else of Bo from now on.
    async fn is(&self, what: Value) {
        let reference = self.world.reference("bo.lind").await;
        self.faulty.tells(|otherwise| otherwise.told.insert(reference, what));
    }

    async fn moves_to(&self, department: Value) {
        self.is(json!({ ENTERPRISE: { "department": department } })).await;
        sync(&self.world.ctx, "main").await.unwrap();
    }

    async fn stands(&self) -> String {
        self.world.grant(self.request).await.1
    }

    async fn after(&self, time: Duration) {
        self.world.advance(time).await;
        _ = step::turn(&self.world.ctx).await;
    }

    async fn history(&self) -> Vec<String> {
        self.world.history(self.request.0).await.into_iter().filter(|kind| kind.starts_with("grant.eligibility")).collect()
    }

    async fn movers(&self) -> Vec<BTreeMap<String, String>> {
        rows(&self.world, File::Movers).await
    }

    async fn told(&self, who: &str) -> Vec<String> {
        sqlx::query_scalar("select n.sentence from countersign.notice n join countersign.person p on p.id = n.person_id where n.kind = 'eligibility' and p.user_name = $1 order by n.created_at, n.id")
            .bind(who)
            .fetch_all(&self.world.root)
            .await
            .unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_moves_away_loses_it_after_the_grace_and_is_told_when_it_begins() {
    let mover = Mover::new().await;
    mover.moves_to(json!("Sales")).await;
    assert_eq!((mover.stands().await.as_str(), mover.history().await), ("active", vec!["grant.eligibility_grace".into()]));
    let told = mover.told("bo.lind").await;
    assert!(told.len() == 1 && told[0].contains("You no longer meet the policy") && told[0].contains("must be in department Data"), "{told:?}");
    let owner: String =
        mover.world.one("select p.user_name from countersign.role r join countersign.person p on p.id = r.owner_id where r.key = 'analyst'").await;
    assert!(mover.told(&owner).await[0].contains("Bo Lind no longer meets the policy"), "the owner is told too");
    let row = mover.movers().await.remove(0);
    for (column, value) in
        [("attribute", "department"), ("old", r#"["Data"]"#), ("new", r#"["Sales"]"#), ("grants_losing_eligibility", "1"), ("removed_at", ""), ("kept_by", "")]
    {
        assert_eq!(row[column], value, "{column}");
    }
    mover.after(Duration::days(7) - Duration::minutes(1)).await;
    assert_eq!(mover.stands().await, "active", "the grace lasts to its end");
    assert!(mover.world.is_member("bo.lind", "warehouse-analysts").await);
    mover.after(Duration::minutes(2)).await;
    assert_eq!(mover.stands().await, "ended");
    assert!(!mover.world.is_member("bo.lind", "warehouse-analysts").await);
    assert_eq!(mover.history().await, ["grant.eligibility_grace", "grant.eligibility_lost"]);
    assert_eq!(mover.world.one::<String>("select end_reason from countersign.access_grant").await, "eligibility_lost");
    let row = mover.movers().await.remove(0);
    assert!(row["removed_at"] > row["changed_at"], "{row:?}");
    let ended: i64 = mover.world.one("select id from countersign.audit_event where kind = 'grant.ended'").await;
    assert_eq!(row["event_seq_last"], ended.to_string());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_back_within_the_grace_keeps_it() {
    let mover = Mover::new().await;
    mover.moves_to(json!("Sales")).await;
    mover.after(Duration::days(3)).await;
    mover.moves_to(json!("Data")).await;
    assert_eq!(mover.history().await, ["grant.eligibility_grace", "grant.eligibility_restored"]);
    mover.after(Duration::days(10)).await;
    assert_eq!(mover.stands().await, "active");
    assert!(mover.told("bo.lind").await[1].contains("again"), "{:?}", mover.told("bo.lind").await);
    // Moving again begins a new grace.
    mover.moves_to(json!("Sales")).await;
    mover.after(Duration::days(8)).await;
    assert_eq!(mover.stands().await, "ended");
    assert_eq!(mover.movers().await.len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_that_keeps_it_says_so_and_the_file_names_it() {
    let mover = Mover::with("eligibility_lost = \"keep\"").await;
    mover.moves_to(json!("Sales")).await;
    mover.after(Duration::days(30)).await;
    assert_eq!((mover.stands().await.as_str(), mover.history().await), ("active", vec!["grant.eligibility_kept".into()]));
    let row = mover.movers().await.remove(0);
    assert_eq!((row["grants_losing_eligibility"].as_str(), row["kept_by"].as_str()), ("1", "analysts-at-once v2"));
    assert!(mover.told("bo.lind").await.is_empty(), "nothing changes for them");
    sync(&mover.world.ctx, "main").await.unwrap();
    assert_eq!(mover.history().await.len(), 1, "it is found once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_grace_is_what_the_version_said_that_governed_the_grant() {
    let mover = Mover::with("eligibility_grace = \"2h\"").await;
    // Later rules change nothing for what was granted under earlier ones.
    mover.world.apply(&catalog()).await;
    mover.moves_to(json!("Sales")).await;
    mover.after(Duration::minutes(119)).await;
    assert_eq!(mover.stands().await, "active");
    mover.after(Duration::minutes(2)).await;
    assert_eq!(mover.stands().await, "ended");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_directory_does_not_say_takes_nothing_away() {
    let mover = Mover::new().await;
    mover.moves_to(Value::Null).await;
    mover.after(Duration::days(30)).await;
    assert_eq!((mover.stands().await.as_str(), mover.history().await.len()), ("active", 0));
    assert_eq!(mover.movers().await[0]["new"], "[]", "but that it changed is on record");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_grace_that_ends_while_the_directory_is_away_or_silent_ends_nothing() {
    let mover = Mover::new().await;
    mover.moves_to(json!("Sales")).await;
    mover.world.advance(Duration::days(7) + Duration::minutes(1)).await;
    mover.faulty.down(true);
    _ = step::turn(&mover.world.ctx).await;
    assert_eq!(mover.stands().await, "active", "nobody could say whether they still do not meet it");
    mover.faulty.down(false);
    mover.is(json!({ ENTERPRISE: { "department": null } })).await;
    mover.after(Duration::minutes(2)).await;
    assert_eq!(mover.stands().await, "active", "the directory does not say where they are");
    mover.is(json!({ ENTERPRISE: { "department": "Sales" } })).await;
    mover.after(Duration::minutes(70)).await;
    assert_eq!(mover.stands().await, "ended", "now it does");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_loses_nothing_is_a_row_that_says_so() {
    let mover = Mover::new().await;
    mover.is(json!({ "title": "Senior Data Analyst" })).await;
    sync(&mover.world.ctx, "main").await.unwrap();
    let row = mover.movers().await.remove(0);
    assert_eq!((row["attribute"].as_str(), row["grants_losing_eligibility"].as_str()), ("title", "0"));
    assert!(mover.history().await.is_empty());
    assert_eq!(mover.movers().await.len(), 1, "the groups that grants gave are no change");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_that_ends_by_itself_within_the_grace_ends_as_it_would_have() {
    let mover = Mover::new().await;
    mover.moves_to(json!("Sales")).await;
    let (grant, _) = mover.world.grant(mover.request).await;
    countersign::service::end::end(&mover.world.ctx, &mover.world.by("bo.lind").await, grant, false, None).await.unwrap();
    mover.after(Duration::days(8)).await;
    assert_eq!(mover.world.one::<String>("select end_reason from countersign.access_grant").await, "returned");
    assert_eq!(mover.world.one::<String>("select resolution from countersign.eligibility_loss").await, "ended");
    assert_eq!(mover.movers().await[0]["removed_at"], "", "it did not end for this");
}
