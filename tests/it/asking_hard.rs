//! Asking when it is hard: emergencies and rules.

use chrono::Duration;
use countersign::domain::approval::Answer;
use countersign::domain::refusal::Refusal;
use countersign::domain::request::RequestStatus;
use countersign::domain::span::Seconds;
use countersign::evidence::columns::File;
use countersign::service::ask::{AskFor, Asked};
use countersign::service::emergency_review::review;
use countersign::service::error::ServiceError;
use countersign::service::look::beside::of_request;

use crate::day::rows;
use crate::lab::{fields, refusal};
use crate::world::World;

const YES: Answer = Answer::Approve { granted: None };
const FIRE: &str = "The shop is down and my manager is asleep.";

async fn fire(world: &World, role: &str) -> AskFor {
    AskFor { emergency: Some(FIRE.into()), ..world.wish("lab", role).await }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_emergency_gives_access_at_once_tells_everybody_and_owes_a_review() {
    let world = World::lab().await;
    let hot = fire(&world, "hot").await;
    let found = fields(world.asks("bo.lind", AskFor { duration: Some(Seconds(7_200)), ..hot.clone() }).await);
    assert!(found[0].1.contains("The longest is 1 hour"), "{found:?}");
    let found = fields(world.asks("bo.lind", AskFor { emergency: Some("Quick".into()), ..hot.clone() }).await);
    assert_eq!(found[0].0, "emergency_reason");
    let none = AskFor { emergency: Some(FIRE.into()), ..world.wish("pay", "read").await };
    assert_eq!(world.asks("bo.lind", none).await.unwrap().status, RequestStatus::Refused, "only where there is a path for it");

    let asked = world.asks("bo.lind", hot.clone()).await.unwrap();
    assert_eq!(asked.status, RequestStatus::Approved);
    world.turn().await;
    assert!(world.is_member("bo.lind", "dba").await, "nobody was waited for");
    assert_eq!(world.notices_of("mara.voss").await, ["skipped"], "who was skipped is told");
    assert_eq!(world.history(asked.id.0).await[..3], ["request.auto_approved", "grant.created", "emergency.review_owed"]);
    let second = world.asks("bo.lind", fire(&world, "hot-too").await).await.unwrap();
    assert_eq!(second.status, RequestStatus::Refused, "none while a review is owed");
    let ordinary = world.asks("bo.lind", world.wish("lab", "hot-too").await).await.unwrap();
    assert_eq!(ordinary.status, RequestStatus::Pending, "the ordinary way stays open");

    // Overdue: told once, to who may review and to the administrators.
    world.advance(Duration::days(1) + Duration::seconds(1)).await;
    world.turn().await;
    world.turn().await;
    assert_eq!(world.notices_of("mara.voss").await.iter().filter(|kind| *kind == "review_overdue").count(), 1);
    assert!(world.notices_of("sofia.marin").await.contains(&"review_overdue".to_owned()));
    assert_eq!(world.one::<i64>("select count(*) from countersign.audit_event where kind = 'emergency.review_overdue'").await, 1);

    for (who, expected) in [("bo.lind", Some(Refusal::OwnRequest)), ("wei.zhang", Some(Refusal::NotReviewer)), ("liam.byrne", None)] {
        let outcome = review(&world.ctx, &world.by(who).await, asked.id, true, None).await;
        match expected {
            Some(expected) => assert_eq!(refusal(outcome), expected, "{who}"),
            None => assert!(matches!(outcome, Err(ServiceError::Missing)), "{who}"),
        }
    }
    let mara = world.by("mara.voss").await;
    let beside = of_request(&world.ctx, &mara, asked.id).await.unwrap();
    assert!(beside.can.review && beside.emergency.as_ref().is_some_and(|look| look.overdue && look.reason == FIRE));
    assert_eq!(refusal(review(&world.ctx, &mara, asked.id, false, None).await), Refusal::ReasonRequired);
    review(&world.ctx, &mara, asked.id, false, Some("It could have waited.")).await.unwrap();
    assert_eq!(refusal(review(&world.ctx, &mara, asked.id, true, None).await), Refusal::AlreadyReviewed);
    assert!(world.notices_of("bo.lind").await.contains(&"reviewed".to_owned()));
    let third = world.asks("bo.lind", AskFor { duration: Some(Seconds(900)), ..fire(&world, "hot").await }).await.unwrap();
    assert_eq!(third.status, RequestStatus::Approved, "the debt is paid");
    let owner = of_request(&world.ctx, &world.by("arjun.mehta").await, third.id).await.unwrap();
    assert!(owner.emergency.is_some_and(|look| !look.revoke_now));
    world.set_active("mara.voss", false).await;
    assert_eq!(refusal(review(&world.ctx, &mara, third.id, true, None).await), Refusal::NotActive, "nobody reviews whom the directory has just disabled");
    world.set_active("mara.voss", true).await;
    review(&world.ctx, &mara, third.id, false, Some("Again.")).await.unwrap();
    let owner = of_request(&world.ctx, &world.by("arjun.mehta").await, third.id).await.unwrap();
    assert!(owner.emergency.is_some_and(|look| look.revoke_now), "what was not justified can be revoked at once");

    let requests = rows(&world, File::Requests).await;
    let emergencies: Vec<_> = requests.iter().filter(|row| row["emergency"] == "true").map(|row| row["decision"].as_str()).collect();
    assert_eq!(emergencies, ["refused", "auto_approved", "refused", "auto_approved"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_emergencies_at_once_one_is_one() {
    for _ in 0..crate::defects::rounds().min(20) {
        let world = World::lab().await;
        let (one, other) = (fire(&world, "hot").await, fire(&world, "hot-too").await);
        let (one, other) = tokio::join!(world.asks("bo.lind", one), world.asks("bo.lind", other));
        let mut statuses: Vec<&str> = [one.unwrap().status, other.unwrap().status].iter().map(|status| status.word()).collect();
        statuses.sort_unstable();
        assert_eq!(statuses, ["approved", "refused"]);
        assert_eq!(world.one::<i64>("select count(*) from countersign.emergency_review where reviewed_at is null").await, 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_roles_that_are_kept_apart_are_not_held_together() {
    let world = World::lab().await;
    let made = world.asks("bo.lind", world.wish("pay", "make").await).await.unwrap();
    world.answer("mara.voss", made.id, YES).await.unwrap();
    world.turn().await;
    let blocked = world.asks("bo.lind", world.wish("pay", "release").await).await.unwrap();
    assert_eq!((blocked.status, blocked.deciding_rule.as_str()), (RequestStatus::Refused, "separation four-eyes v1"));
    let beside = of_request(&world.ctx, &world.by("bo.lind").await, blocked.id).await.unwrap();
    assert_eq!(beside.conflicts[0].sentence(), "Make and release: nobody may hold this together with Payments Make payments.");

    // With an exception: its steps come on top, and whoever approves them is on record.
    let excepted = world.asks("bo.lind", world.wish("pay", "read").await).await.unwrap();
    assert_eq!(excepted.status, RequestStatus::Pending);
    let beside = of_request(&world.ctx, &world.by("mara.voss").await, excepted.id).await.unwrap();
    assert_eq!(beside.conflicts[0].sentence(), "Make and read: holding this together with Payments Make payments needs an exception (Auditors).");
    assert_eq!(world.answer("mara.voss", excepted.id, YES).await.unwrap().step_no, Some(2));
    assert_eq!(world.answer("wei.zhang", excepted.id, YES).await.unwrap().status, RequestStatus::Approved);
    world.turn().await;
    assert!(world.is_member("bo.lind", "orders-db-writers").await);
    let open = world.asks("yusuf.demir", world.wish("pay", "make").await).await.unwrap();
    assert_eq!(open.status, RequestStatus::Pending);
    let asked_too = world.asks("yusuf.demir", world.wish("pay", "release").await).await.unwrap();
    assert_eq!(asked_too.status, RequestStatus::Refused, "what is asked for counts as held");

    let found = rows(&world, File::Sod).await;
    let said: Vec<(&str, &str, &str, bool)> =
        found.iter().map(|row| (row["rule"].as_str(), row["outcome"].as_str(), row["set_a"].as_str(), row["exception_until"].is_empty())).collect();
    let a = "Payments Make payments";
    assert_eq!(said, [("four-eyes v1", "blocked", a, true), ("look v1", "approved_with_exception", a, false), ("four-eyes v1", "blocked", a, true)]);
    assert_eq!(found[1]["approver"], world.person("wei.zhang").await.to_string());
    assert_eq!(found[1]["set_b"], "Payments Read payments");
    assert_eq!(found[1]["request_id"], excepted.id.to_string());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_conflicting_asks_at_once_one_is_refused() {
    for _ in 0..crate::defects::rounds().min(20) {
        let world = World::lab().await;
        let (one, other) = (world.wish("pay", "make").await, world.wish("pay", "release").await);
        let (one, other) = tokio::join!(world.asks("bo.lind", one), world.asks("bo.lind", other));
        let status = |asked: Result<Asked, ServiceError>| asked.unwrap().status.word();
        let mut statuses = [status(one), status(other)];
        statuses.sort_unstable();
        assert_eq!(statuses, ["pending", "refused"]);
    }
}
