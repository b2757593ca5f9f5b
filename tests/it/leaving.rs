//! Who leaves: everything of theirs ends, on record.

use std::collections::BTreeMap;

use chrono::Duration;
use countersign::domain::approval::Answer;
use countersign::domain::event::{Actor, Channel};
use countersign::domain::request::RequestStatus;
use countersign::domain::span::Seconds;
use countersign::evidence::columns::File;
use countersign::service::api_token::{self, NewToken};
use countersign::service::ask::{AskFor, ask};
use countersign::service::delegate::{Away, delegate};
use countersign::service::error::ServiceError;
use countersign::service::sync::sync;

use crate::day::rows;
use crate::faulty::Faulty;
use crate::world::World;

const YES: Answer = Answer::Approve { granted: None };
const HOUR: i64 = 3_600;

impl World {
    /// Kinds of the events about a person, in order, without those of requests and grants of others.
    async fn told_of(&self, who: &str) -> Vec<String> {
        sqlx::query_scalar("select kind from countersign.audit_event where person_id = $1 order by id")
            .bind(self.person(who).await.0)
            .fetch_all(&self.root)
            .await
            .unwrap()
    }

    async fn leavers(&self) -> Vec<BTreeMap<String, String>> {
        rows(self, File::Leavers).await
    }

    /// Lets a person be switched off at the directory, and everybody be read.
    async fn lets_go(&self, who: &str) {
        self.set_active(who, false).await;
        sync(&self.ctx, "main").await.unwrap();
    }

    async fn count_of(&self, sql: &'static str) -> i64 {
        self.one(sql).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_switched_off_loses_everything_and_the_file_says_when() {
    let world = World::new().await;
    let held = world.ask("bo.lind", "warehouse", "analyst", HOUR).await.unwrap();
    let open = world.ask("bo.lind", "orders-db", "reader", HOUR).await.unwrap();
    world.turn().await;
    assert!(world.is_member("bo.lind", "warehouse-analysts").await);
    let new = NewToken {
        person: world.person("bo.lind").await,
        name: "nightly".into(),
        scopes: vec!["requests:read".into()],
        expires_at: world.now() + Duration::days(30),
    };
    api_token::create(&world.ctx, &Actor::System, Channel::Cli, &new).await.unwrap();
    let until = Some(world.now() + Duration::days(3));
    let away = Away { delegate: Some(world.person("yusuf.demir").await), until, ..Away::default() };
    delegate(&world.ctx, &world.by("bo.lind").await, &away).await.unwrap();

    world.lets_go("bo.lind").await;
    world.turn().await;
    assert_eq!(world.grant(held.id).await.1, "ended");
    assert!(!world.is_member("bo.lind", "warehouse-analysts").await);
    let closed: (String, String) = sqlx::query_as("select r.status, e.data->>'reason' from countersign.request r join countersign.audit_event e on e.request_id = r.id and e.kind = 'request.closed' where r.id = $1")
        .bind(open.id.0)
        .fetch_one(&world.root)
        .await
        .unwrap();
    assert_eq!(closed, ("withdrawn".into(), "the beneficiary is disabled in the directory".into()));
    assert_eq!(world.count_of("select count(*) from countersign.assignment where open").await, 0);
    assert_eq!(world.count_of("select count(*) from countersign.api_token where revoked_at is null").await, 0);
    assert_eq!(world.count_of("select count(*) from countersign.delegation where ended_at is null").await, 0);

    let row = world.leavers().await.remove(0);
    for (column, value) in [("deactivated_at", ""), ("grants_at_detection", "1"), ("sla_hours", "24"), ("within_sla", "true"), ("requests_closed", "1")] {
        assert_eq!(row[column], value, "{column}: {row:?}");
    }
    assert_eq!(row["person_id"], world.person("bo.lind").await.0.to_string());
    assert!(row["email"].starts_with("bo.lind@"));
    assert!(
        row["detected_at"] <= row["first_revoked_at"] && row["first_revoked_at"] == row["last_revoked_at"] && row["last_revoked_at"] <= row["last_verified_at"]
    );
    assert!(row["hours_to_last_revocation"].parse::<f64>().unwrap() < 1.0);
    let told = world.told_of("bo.lind").await;
    let at = told.iter().position(|kind| kind == "person.changed").unwrap();
    for kind in ["grant.offboarded", "request.closed", "token.revoked", "delegation.ended", "grant.ended"] {
        assert!(told[at..].iter().any(|told| told == kind), "{kind}: {told:?}");
    }
    let (first, last): (i64, i64) = (row["event_seq_first"].parse().unwrap(), row["event_seq_last"].parse().unwrap());
    let ended: i64 = world.one("select id from countersign.audit_event where kind = 'grant.ended'").await;
    assert!(first < last && last == ended, "{first} {last} {ended}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removal_that_is_not_verified_is_not_within_any_limit() {
    let faulty = Faulty::start().await;
    let world = World::behind(&faulty).await;
    world.ask("bo.lind", "warehouse", "analyst", HOUR).await.unwrap();
    world.turn().await;
    world.lets_go("bo.lind").await;
    faulty.down(true);
    _ = countersign::worker::step::turn(&world.ctx).await;
    let row = world.leavers().await.remove(0);
    assert_eq!((row["last_verified_at"].as_str(), row["within_sla"].as_str(), row["hours_to_last_revocation"].as_str()), ("", "", ""));
    world.advance(Duration::hours(25)).await;
    assert_eq!(world.leavers().await.remove(0)["within_sla"], "false", "the time is up");
    faulty.down(false);
    world.turn().await;
    world.advance(Duration::minutes(2)).await;
    world.turn().await;
    let row = world.leavers().await.remove(0);
    assert_eq!(row["within_sla"], "false", "it was verified too late: {row:?}");
    assert!(row["hours_to_last_revocation"].parse::<f64>().unwrap() >= 25.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removal_answered_by_gone_is_not_over_while_the_member_is_shown() {
    let faulty = Faulty::start().await;
    let world = World::behind(&faulty).await;
    let asked = world.ask("bo.lind", "warehouse", "analyst", HOUR).await.unwrap();
    world.turn().await;
    assert!(world.is_member("bo.lind", "warehouse-analysts").await);
    world.advance(Duration::hours(2)).await;
    faulty.next(&[crate::faulty::Fault::Refuse(404)]);
    world.turn().await;
    assert!(world.is_member("bo.lind", "warehouse-analysts").await);
    let verified = "select end_verified_at from countersign.access_grant where request_id = $1";
    let at: Option<chrono::DateTime<chrono::Utc>> = sqlx::query_scalar(verified).bind(asked.id.0).fetch_one(&world.root).await.unwrap();
    assert_eq!(at, None, "whatever was answered, they are in the group");
    world.advance(Duration::minutes(10)).await;
    world.turn().await;
    assert!(!world.is_member("bo.lind", "warehouse-analysts").await);
    let at: Option<chrono::DateTime<chrono::Utc>> = sqlx::query_scalar(verified).bind(asked.id.0).fetch_one(&world.root).await.unwrap();
    assert!(at.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_leaver_asked_for_others_is_closed_and_they_are_told() {
    let world = World::new().await;
    let ask_for = AskFor {
        beneficiary: Some(world.person("liam.byrne").await),
        duration: Some(Seconds(7 * 24 * HOUR)),
        ..AskFor::new(world.role("support-console", "agent").await)
    };
    // Whom their own manager is asked.
    let lead = manager_of(&world, &manager_of(&world, "liam.byrne").await).await;
    let asked = ask(&world.ctx, &world.by(&lead).await, ask_for).await.unwrap();
    assert_eq!(asked.status, RequestStatus::Submitted);
    world.lets_go(&lead).await;
    let reason: String = world.one("select data->>'reason' from countersign.audit_event where kind = 'request.closed'").await;
    assert_eq!(reason, "the requester is disabled in the directory");
    let told: String = world.one("select n.sentence from countersign.notice n join countersign.person p on p.id = n.person_id where n.kind = 'closed' and p.user_name = 'liam.byrne'").await;
    assert!(told.contains("asked for you") && told.contains("Ask for it yourself"), "{told}");
    assert_eq!(world.leavers().await.remove(0)["requests_closed"], "1");
}

async fn manager_of(world: &World, who: &str) -> String {
    sqlx::query_scalar("select m.user_name from countersign.person p join countersign.person m on (m.directory, m.reference) = (p.directory, p.manager_reference) where p.user_name = $1")
        .bind(who)
        .fetch_one(&world.root)
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_approver_who_leaves_is_replaced_and_the_request_goes_on() {
    let world = World::new().await;
    let asked = world.ask("bo.lind", "orders-db", "writer", HOUR).await.unwrap();
    world.answer("mara.voss", asked.id, YES).await.unwrap();
    let before: i64 = world.one("select count(*) from countersign.assignment where open").await;
    world.lets_go("kofi.asante").await;
    assert_eq!(
        world
            .count_of(
                "select count(*) from countersign.assignment a join countersign.person p on p.id = a.person_id where a.open and p.user_name = 'kofi.asante'"
            )
            .await,
        0
    );
    assert_eq!(world.count_of("select count(*) from countersign.assignment where open").await, before - 1, "the others of the group are asked still");
    assert_eq!(world.count_of("select count(*) from countersign.leaver where settled_at is null").await, 0);
    assert!(matches!(world.answer("kofi.asante", asked.id, YES).await, Err(ServiceError::Missing | ServiceError::Refused(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_nobody_can_say_whom_to_ask_instead_the_leaver_is_not_settled() {
    let faulty = Faulty::start().await;
    let world = World::behind(&faulty).await;
    let asked = world.ask("bo.lind", "orders-db", "reader", HOUR).await.unwrap();
    let reference = world.reference("mara.voss").await;
    faulty.tells(|otherwise| otherwise.told.insert(reference.clone(), serde_json::json!({ "active": false })));
    // The directory names who left, then does not answer when somebody else is looked for.
    let mut tx = world.ctx.db.begin().await.unwrap();
    let facts = world.ctx.directories["main"].person(&reference).await.unwrap().unwrap();
    countersign::service::learn::one(&mut tx, &world.ctx, "main", &facts, countersign::service::learn::Source::Recheck, world.now()).await.unwrap();
    countersign::service::commit::commit(tx).await.unwrap();
    faulty.down(true);
    countersign::service::leave::due(&world.ctx).await.unwrap();
    assert_eq!(world.count_of("select count(*) from countersign.leaver where settled_at is null").await, 1);
    faulty.down(false);
    world.advance(Duration::minutes(1)).await;
    world.turn().await;
    assert_eq!(world.count_of("select count(*) from countersign.leaver where settled_at is null").await, 0);
    assert!(!world.history(asked.id.0).await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_comes_back_begins_without_any_of_it_and_may_leave_again() {
    let world = World::new().await;
    let first = world.ask("bo.lind", "warehouse", "analyst", HOUR).await.unwrap();
    world.turn().await;
    world.lets_go("bo.lind").await;
    world.set_active("bo.lind", true).await;
    sync(&world.ctx, "main").await.unwrap();
    world.turn().await;
    assert_eq!(world.grant(first.id).await.1, "ended");
    assert!(!world.is_member("bo.lind", "warehouse-analysts").await);
    let again = world.ask("bo.lind", "warehouse", "analyst", HOUR).await.unwrap();
    world.turn().await;
    assert_eq!(world.grant(again.id).await.1, "active");
    world.lets_go("bo.lind").await;
    world.turn().await;
    let left = world.leavers().await;
    assert_eq!(left.iter().map(|row| (row["grants_at_detection"].as_str(), row["within_sla"].as_str())).collect::<Vec<_>>(), [("1", "true"), ("1", "true")]);
    assert!(left[0]["last_verified_at"] < left[1]["detected_at"], "each counts its own: {left:?}");
    assert_eq!(world.count_of("select count(*) from countersign.leaver where returned_at is not null").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_approval_and_a_leave_at_the_same_moment_leave_no_access() {
    for round in 0..4 {
        let world = World::new().await;
        let asked = world.ask("bo.lind", "orders-db", "reader", HOUR).await.unwrap();
        world.set_active("bo.lind", false).await;
        let both = async {
            if round % 2 == 0 {
                tokio::task::yield_now().await;
            }
            sync(&world.ctx, "main").await.unwrap();
        };
        let (answered, ()) = tokio::join!(world.answer("mara.voss", asked.id, YES), both);
        assert!(matches!(answered, Err(ServiceError::Refused(_))), "{answered:?}");
        world.turn().await;
        world.turn().await;
        assert_eq!(world.count_of("select count(*) from countersign.access_grant where status not in ('ended', 'failed')").await, 0);
        assert!(!world.is_member("bo.lind", "orders-db-readers").await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_approval_that_read_the_directory_before_the_leave_gives_nothing_either() {
    let world = World::new().await;
    let asked = world.ask("bo.lind", "orders-db", "reader", HOUR).await.unwrap();
    world.answer("mara.voss", asked.id, YES).await.unwrap();
    // Approved, and not delivered yet, when they leave.
    world.lets_go("bo.lind").await;
    world.turn().await;
    assert_eq!(world.grant(asked.id).await.1, "ended");
    assert!(!world.is_member("bo.lind", "orders-db-readers").await);
    assert_eq!(world.leavers().await.remove(0)["grants_at_detection"], "1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn within_one_interval_and_a_minute_of_leaving_the_access_is_gone() {
    let world = World::new().await;
    world.ask("bo.lind", "warehouse", "analyst", HOUR).await.unwrap();
    world.turn().await;
    world.set_active("bo.lind", false).await;
    world.advance(world.ctx.provisioning.sync_every + Duration::seconds(1)).await;
    world.turn().await;
    assert!(!world.is_member("bo.lind", "warehouse-analysts").await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_whom_the_directory_no_longer_has_leaves_too() {
    let faulty = Faulty::start().await;
    let world = World::behind(&faulty).await;
    let held = world.ask("bo.lind", "warehouse", "analyst", HOUR).await.unwrap();
    world.turn().await;
    let reference = world.reference("bo.lind").await;
    faulty.tells(|otherwise| otherwise.gone.insert(reference));
    sync(&world.ctx, "main").await.unwrap();
    world.turn().await;
    assert_eq!(world.one::<String>("select status from countersign.person where user_name = 'bo.lind'").await, "gone");
    assert_eq!(world.grant(held.id).await.1, "ended");
    assert!(!world.is_member("bo.lind", "warehouse-analysts").await);
    assert_eq!(world.one::<String>("select status from countersign.leaver").await, "gone");
    sync(&world.ctx, "main").await.unwrap();
    assert_eq!(world.count_of("select count(*) from countersign.leaver").await, 1, "they left once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_directory_says_since_when_the_hours_count_from_there() {
    let faulty = Faulty::start().await;
    let world = World::behind(&faulty).await;
    world.ask("bo.lind", "warehouse", "analyst", HOUR).await.unwrap();
    world.turn().await;
    let reference = world.reference("bo.lind").await;
    let mut facts = world.ctx.directories["main"].person(&reference).await.unwrap().unwrap();
    let since = world.now() - Duration::hours(30);
    facts.active = false;
    facts.attributes.insert("deactivated_at".into(), vec![since.to_rfc3339()]);
    let mut tx = world.ctx.db.begin().await.unwrap();
    countersign::service::learn::one(&mut tx, &world.ctx, "main", &facts, countersign::service::learn::Source::Recheck, world.now()).await.unwrap();
    countersign::service::commit::commit(tx).await.unwrap();
    countersign::service::leave::due(&world.ctx).await.unwrap();
    countersign::worker::step::drain(&world.ctx).await.unwrap();
    let row = world.leavers().await.remove(0);
    assert!(row["deactivated_at"] < row["detected_at"]);
    assert_eq!(row["within_sla"], "false");
    assert!(row["hours_to_last_revocation"].parse::<f64>().unwrap() >= 30.0, "{row:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_leavers_and_movers_the_files_have_their_header() {
    let world = World::new().await;
    for file in [File::Leavers, File::Movers] {
        let text = crate::export::taken(&world, crate::export::taking(file)).await;
        assert_eq!(text, file.header().collect::<Vec<_>>().join(",") + "\r\n");
    }
}
