//! Members whom no grant explains, from finding to settling.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use chrono::Duration;
use countersign::domain::approval::Answer;
use countersign::domain::id::RequestId;
use countersign::domain::refusal::Refusal;
use countersign::domain::request::RequestStatus;
use countersign::service::ctx::By;
use countersign::service::drift::compare::{Seen, Through, compare};
use countersign::service::drift::ignore::{self, Ignoring};
use countersign::service::drift::{act, adopt, stopped};
use countersign::service::error::ServiceError;
use countersign::service::export::File;
use countersign::service::look::drift::{DriftFilter, drifts};
use countersign::service::sweep::{Swept, sweep};
use sqlx::Executor;
use uuid::Uuid;

use crate::desk::Desk;
use crate::export::{taken, taking};
use crate::server::crowd;
use crate::world::{Reach, World, catalog};

const YES: Answer = Answer::Approve { granted: None };
const GROUP: &str = "orders-db-readers";

impl World {
    /// Puts somebody into a group by hand, at the directory.
    async fn by_hand(&self, who: &str, group: &str) {
        self.directory().add(&self.group(group).await, &self.reference(who).await).await;
    }

    /// The open drift about a person.
    async fn drift_of(&self, who: &str) -> Uuid {
        let sql = "select d.id from countersign.drift d join countersign.person p on p.id = d.person_id where p.user_name = $1 and d.resolved_at is null";
        sqlx::query_scalar(sql).bind(who).fetch_one(&self.root).await.unwrap()
    }

    /// How a drift about a person ended: what was done, and how.
    async fn ended(&self, who: &str) -> (String, Option<String>) {
        let sql = "select d.action, d.resolution from countersign.drift d join countersign.person p on p.id = d.person_id where p.user_name = $1 order by d.id desc limit 1";
        sqlx::query_as(sql).bind(who).fetch_one(&self.root).await.unwrap()
    }

    async fn compared(&self) -> Swept {
        sweep(&self.ctx, "main").await.unwrap()
    }
}

/// The demo's catalog, with a rule about drift in the group of readers.
fn with_rule(rule: &str) -> String {
    let text = catalog().replace("group = \"orders-db-readers\"\n", &format!("group = \"orders-db-readers\"\ndrift = \"{rule}\"\n"));
    assert_ne!(text, catalog());
    text
}

async fn of_rule(rule: &str) -> World {
    let world = World::empty().await;
    world.turn().await;
    world.apply(&with_rule(rule)).await;
    world
}

/// A world of many workers.
async fn many(workers: usize, rule: &str) -> World {
    let world = World::with(crowd(workers, &["mara.voss"]), Reach::Demo).await;
    world.turn().await;
    world.apply(&with_rule(rule)).await;
    world
}

fn refusal<T: std::fmt::Debug>(outcome: Result<T, ServiceError>) -> Refusal {
    match outcome {
        Err(ServiceError::Refused(refusal)) => refusal,
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_there_at_the_first_comparison_is_declared_and_never_taken_away() {
    let world = World::new().await;
    let open: i64 = world.one("select count(*) from countersign.drift where resolved_at is null").await;
    let declared: i64 = world.one("select count(*) from countersign.pre_existing_member").await;
    assert!(open == 0 && declared > 0, "{open} open, {declared} declared");
    assert_eq!(
        world.one::<i64>("select count(*) from countersign.managed_group").await,
        world.one::<i64>("select count(*) from countersign.audit_event where kind = 'group.imported'").await
    );
    // The page of the role shows them as such.
    let role = world.role("warehouse", "analyst").await;
    let mut owner = Desk::of(&world, "mara.voss").await;
    let page = owner.get(&format!("/roles/{role}")).await.fine();
    assert!(page.text.contains("already a member when the group was first looked at"), "{}", page.main());
    // A grant on top of it ends and leaves it.
    let asked = world.ask("yusuf.demir", "warehouse", "analyst", 3_600).await.unwrap();
    world.turn().await;
    world.advance(Duration::hours(2)).await;
    world.turn().await;
    assert_eq!(world.grant(asked.id).await.1, "ended");
    assert!(world.is_member("yusuf.demir", "warehouse-analysts").await);
    assert_eq!(world.compared().await.unexpected, 0);
    // Taken out by hand and put back, it is no longer what was there before.
    let (group, reference) = (world.group("warehouse-analysts").await, world.reference("yusuf.demir").await);
    world.directory().remove(&group, &reference).await;
    world.compared().await;
    world.directory().add(&group, &reference).await;
    assert_eq!(world.compared().await.unexpected, 1);
    assert_eq!(world.one::<i64>("select count(*) from countersign.audit_event where kind = 'group.members_left'").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_added_by_hand_is_told_to_the_owner_and_taken_out_when_somebody_says_so() {
    let world = World::new().await;
    world.by_hand("mei.tanaka", GROUP).await;
    assert_eq!(world.compared().await.unexpected, 1);
    assert_eq!(world.compared().await.unexpected, 1);
    let told: Vec<(String, String)> =
        sqlx::query_as("select p.user_name, n.sentence from countersign.notice n join countersign.person p on p.id = n.person_id where n.kind = 'drift'")
            .fetch_all(&world.root)
            .await
            .unwrap();
    assert_eq!(told.len(), 1, "once: {told:?}");
    assert_eq!(told[0].0, "arjun.mehta");
    world.turn().await;
    assert!(world.is_member("mei.tanaka", GROUP).await, "by itself nothing is done");
    let id = world.drift_of("mei.tanaka").await;
    for stranger in ["liam.byrne", "wei.zhang"] {
        assert!(matches!(act::remove(&world.ctx, &world.by(stranger).await, id).await, Err(ServiceError::Missing)), "{stranger}");
    }
    act::remove(&world.ctx, &world.by("arjun.mehta").await, id).await.unwrap();
    assert!(matches!(refusal(act::remove(&world.ctx, &world.by("sofia.marin").await, id).await), Refusal::DriftBusy(_)));
    assert!(matches!(refusal(adopt::adopt(&world.ctx, &world.by("sofia.marin").await, id, None, None).await), Refusal::DriftBusy(_)));
    world.turn().await;
    assert!(!world.is_member("mei.tanaka", GROUP).await);
    world.compared().await;
    assert_eq!(world.ended("mei.tanaka").await, ("removed".into(), Some("taken out of the group".into())));
    assert_eq!(refusal(act::remove(&world.ctx, &world.by("arjun.mehta").await, id).await), Refusal::DriftSettled);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_adopted_membership_is_a_grant_for_as_long_as_approved_and_ends_like_one() {
    let world = World::new().await;
    world.by_hand("bo.lind", GROUP).await;
    world.compared().await;
    let id = world.drift_of("bo.lind").await;
    let asked = adopt::adopt(&world.ctx, &world.by("arjun.mehta").await, id, None, Some("He has always needed it.")).await.unwrap();
    assert_eq!(asked.status, RequestStatus::Pending);
    let (channel, why): (String, String) =
        sqlx::query_as("select channel, justification from countersign.request where id = $1").bind(asked.id.0).fetch_one(&world.root).await.unwrap();
    assert!(channel == "system" && why.contains("no grant says why") && why.contains("He has always needed it."), "{channel}: {why}");
    assert!(matches!(refusal(act::remove(&world.ctx, &world.by("sofia.marin").await, id).await), Refusal::DriftBusy(_)));
    world.turn().await;
    assert_eq!(world.one::<i64>("select count(*) from countersign.access_grant").await, 0, "it is no grant before it is approved");
    assert_eq!(world.answer("mara.voss", asked.id, YES).await.unwrap().status, RequestStatus::Approved);
    world.turn().await;
    assert_eq!(world.grant(asked.id).await.1, "active");
    world.compared().await;
    assert_eq!(world.ended("bo.lind").await, ("adopted".into(), Some("a grant explains it".into())));
    let endless: i64 = world.one("select count(*) from countersign.access_grant where ends_at is null").await;
    assert_eq!(endless, 0, "nothing becomes a grant without end");
    world.advance(Duration::hours(5)).await;
    world.turn().await;
    assert_eq!(world.grant(asked.id).await.1, "ended");
    assert!(!world.is_member("bo.lind", GROUP).await, "what was adopted is taken away when its time is up");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_asks_that_a_membership_becomes_a_grant_does_not_approve_it() {
    let world = World::new().await;
    world.by_hand("bo.lind", GROUP).await;
    world.compared().await;
    let id = world.drift_of("bo.lind").await;
    let other = world.person("sofia.marin").await;
    let asked = adopt::adopt(&world.ctx, &world.by("sofia.marin").await, id, None, None).await.unwrap();
    assert_eq!(asked.status, RequestStatus::Pending);
    let started: Uuid = sqlx::query_scalar("select started_by from countersign.request where id = $1").bind(asked.id.0).fetch_one(&world.root).await.unwrap();
    assert_eq!(started, other.0);
    let seat =
        "insert into countersign.assignment (request_id, step_no, slot_no, person_id, assigned_at, open) values ($1, 1, 1, $2, countersign.clock(), true)";
    world.tampered("somebody is put into a slot by hand");
    let mut tx = world.root.begin().await.unwrap();
    sqlx::query("insert into countersign.audit_event (kind, actor_kind, channel, request_id) values ('request.reassigned', 'system', 'system', $1)")
        .bind(asked.id.0)
        .execute(&mut *tx)
        .await
        .unwrap();
    sqlx::query(seat).bind(asked.id.0).bind(other.0).execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(refusal(world.answer("sofia.marin", asked.id, YES).await), Refusal::OwnRequest);
    assert_eq!(refusal(world.answer("sofia.marin", asked.id, Answer::Deny).await), Refusal::OwnRequest);
    // Nor does who stands in for them; the database sees to it where the service is passed by.
    let stands_in = world.person("liam.byrne").await;
    let forged = sqlx::AssertSqlSafe(format!(
        "insert into countersign.audit_event (kind, actor_kind, channel, request_id) values ('approval.given', 'system', 'system', '{request}');
         insert into countersign.assignment (request_id, step_no, slot_no, person_id, assigned_at, open, acting_as, acting_for)
           values ('{request}', 1, 1, '{stands_in}', countersign.clock(), true, 'delegate', '{starter}');
         insert into countersign.approval (id, request_id, requester_id, beneficiary_id, step_no, slot_no, decided_by, verdict, ask_digest, inputs_digest, channel, decided_at)
           select gen_random_uuid(), r.id, r.requester_id, r.beneficiary_id, 1, 1, '{stands_in}', 'approve', r.ask_digest, r.inputs_digest, 'web', countersign.clock()
           from countersign.request r where r.id = '{request}'",
        request = asked.id,
        starter = other
    ));
    let mut tx = world.root.begin().await.unwrap();
    tx.execute("set local role countersign_app").await.unwrap();
    let error = tx.execute(forged).await.unwrap_err().to_string();
    assert!(error.contains("nobody decides on what they started"), "{error}");
    drop(tx);
    assert_eq!(world.answer("mara.voss", asked.id, YES).await.unwrap().status, RequestStatus::Approved);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asks_for_a_grant_is_not_asked_about_it() {
    let world = World::new().await;
    world.by_hand("bo.lind", GROUP).await;
    world.compared().await;
    let id = world.drift_of("bo.lind").await;
    // Bo's manager would be the one who approves; as an administrator who started it they are not.
    let mut manager = world.by("mara.voss").await;
    manager.is_administrator = true;
    match adopt::adopt(&world.ctx, &manager, id, None, None).await {
        Ok(asked) => {
            let seats: Vec<String> =
                sqlx::query_scalar("select p.user_name from countersign.assignment a join countersign.person p on p.id = a.person_id where a.request_id = $1")
                    .bind(asked.id.0)
                    .fetch_all(&world.root)
                    .await
                    .unwrap();
            assert!(!seats.contains(&"mara.voss".to_owned()), "{seats:?}");
            assert!(asked.status == RequestStatus::Refused || !seats.is_empty(), "a request that nobody can approve is refused");
        }
        Err(error) => assert!(matches!(error, ServiceError::Refused(_)), "{error}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_denied_adoption_leaves_the_difference_open_and_says_so() {
    let world = of_rule("adopt").await;
    world.by_hand("bo.lind", GROUP).await;
    world.compared().await;
    let request: Uuid = world.one("select request_id from countersign.drift where resolved_at is null").await;
    world.compared().await;
    assert_eq!(world.one::<i64>("select count(*) from countersign.request").await, 1, "it is asked for once");
    let actor: String = world.one("select actor_kind from countersign.audit_event where kind = 'request.submitted'").await;
    assert_eq!(actor, "system");
    world.answer("mara.voss", RequestId(request), Answer::Deny).await.unwrap();
    for _ in 0..3 {
        world.compared().await;
    }
    assert_eq!(world.one::<i64>("select count(*) from countersign.request").await, 1, "and not again by itself");
    let (note, failed): (String, i64) = sqlx::query_as(
        "select (select note from countersign.drift where resolved_at is null), (select count(*) from countersign.audit_event where kind = 'drift.adoption_failed')",
    )
    .fetch_one(&world.root)
    .await
    .unwrap();
    assert_eq!((note.as_str(), failed), ("the request was denied", 1));
    assert!(world.is_member("bo.lind", GROUP).await);
    // People may still settle it.
    act::remove(&world.ctx, &world.by("arjun.mehta").await, world.drift_of("bo.lind").await).await.unwrap();
    world.turn().await;
    assert!(!world.is_member("bo.lind", GROUP).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whom_the_policy_refuses_is_not_adopted_and_the_reason_is_kept() {
    let world = of_rule("adopt").await;
    // Who audits may hold nothing that is audited.
    world.by_hand("wei.zhang", GROUP).await;
    world.compared().await;
    let note: String = world.one("select note from countersign.drift where resolved_at is null").await;
    assert!(note.contains("refused"), "{note}");
    assert_eq!(world.one::<i64>("select count(*) from countersign.access_grant").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_may_take_strangers_out_by_itself_but_not_many_at_once() {
    let world = many(30, "remove").await;
    world.by_hand("worker.0", GROUP).await;
    world.compared().await;
    world.turn().await;
    assert!(!world.is_member("worker.0", GROUP).await, "one is taken out by itself");
    world.compared().await;
    for n in 1..=21 {
        world.by_hand(&format!("worker.{n}"), GROUP).await;
    }
    world.compared().await;
    world.turn().await;
    assert!(world.is_member("worker.1", GROUP).await, "so many are left to somebody");
    let (id, people): (Uuid, i32) =
        sqlx::query_as("select id, stopped_people from countersign.managed_group where stopped_why = 'many'").fetch_one(&world.root).await.unwrap();
    assert_eq!(people, 21);
    world.compared().await;
    assert_eq!(world.one::<i64>("select count(*) from countersign.audit_event where kind = 'group.stopped'").await, 1, "said once");
    let (owner, administrator) = (world.by("arjun.mehta").await, world.by("sofia.marin").await);
    assert!(matches!(stopped::remove_all(&world.ctx, &owner, id, 21).await, Err(ServiceError::Missing)));
    assert_eq!(refusal(stopped::remove_all(&world.ctx, &administrator, id, 20).await), Refusal::NothingStopped, "others than were shown");
    assert_eq!(stopped::remove_all(&world.ctx, &administrator, id, 21).await.unwrap(), 21);
    world.turn().await;
    assert!(!world.is_member("worker.1", GROUP).await && !world.is_member("worker.21", GROUP).await);
    world.compared().await;
    assert_eq!(world.one::<i64>("select count(*) from countersign.drift where resolved_at is null").await, 0);
    assert_eq!(world.one::<i64>("select count(*) from countersign.managed_group where stopped_at is not null").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_that_lost_many_at_once_is_not_believed_until_somebody_says_so() {
    let world = World::with(
        {
            let mut company = crowd(30, &["mara.voss"]);
            let workers: Vec<usize> = company.people.iter().enumerate().filter(|(_, p)| p.user_name.starts_with("worker.")).map(|(n, _)| n).collect();
            company.groups.iter_mut().find(|group| group.name == GROUP).unwrap().members.extend(workers);
            company
        },
        Reach::Demo,
    )
    .await;
    world.turn().await;
    world.apply(&catalog()).await;
    let group = world.group(GROUP).await;
    for n in 0..25 {
        world.directory().remove(&group, &world.reference(&format!("worker.{n}")).await).await;
    }
    world.compared().await;
    assert_eq!(world.one::<i64>("select count(*) from countersign.pre_existing_member where gone_at is not null").await, 0, "nothing is concluded");
    let id: Uuid = world.one("select id from countersign.managed_group where stopped_why = 'shrunk'").await;
    stopped::believe(&world.ctx, &world.by("sofia.marin").await, id).await.unwrap();
    world.compared().await;
    assert_eq!(world.one::<i64>("select count(*) from countersign.pre_existing_member where gone_at is not null").await, 25);
    assert_eq!(refusal(stopped::believe(&world.ctx, &world.by("sofia.marin").await, id).await), Refusal::NothingStopped);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_that_cannot_be_seen_settles_nothing() {
    let world = World::new().await;
    world.by_hand("bo.lind", GROUP).await;
    world.compared().await;
    let id = world.drift_of("bo.lind").await;
    let group = world.group(GROUP).await;
    compare(&world.ctx, ("main", Uuid::now_v7()), &group, None, &mut Swept::default()).await.unwrap();
    assert_eq!(world.drift_of("bo.lind").await, id, "it is open as before");
    assert_eq!(world.one::<i64>("select count(*) from countersign.drift where kind = 'unknown_target' and resolved_at is null").await, 1);
    world.compared().await;
    assert_eq!(world.drift_of("bo.lind").await, id);
    assert_eq!(world.one::<i64>("select count(*) from countersign.drift where kind = 'unknown_target' and resolved_at is null").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_left_alone_has_an_owner_and_an_end() {
    let world = World::new().await;
    world.by_hand("mei.tanaka", GROUP).await;
    world.compared().await;
    let (id, arjun) = (world.drift_of("mei.tanaka").await, world.by("arjun.mehta").await);
    let until = Some(world.now() + Duration::days(2));
    let said = |reason: &str| Ignoring { reason: Some(reason.into()), owner: None, until };
    for (wrong, field) in [
        (Ignoring { reason: None, ..said("") }, "reason"),
        (Ignoring { until: None, ..said("x") }, "until"),
        (Ignoring { until: Some(world.now() - Duration::days(1)), ..said("x") }, "until"),
        (Ignoring { until: Some(world.now() + Duration::days(400)), ..said("x") }, "until"),
        (Ignoring { owner: Some(Uuid::nil().into()), ..said("x") }, "owner"),
        (Ignoring { owner: Some(world.person("mei.tanaka").await), ..said("x") }, "owner"),
    ] {
        match refusal(ignore::ignore(&world.ctx, &arjun, id, &wrong).await) {
            Refusal::Faults(faults) => assert!(faults.iter().any(|fault| fault.field == field), "{field}: {faults:?}"),
            other => panic!("{other:?}"),
        }
    }
    ignore::ignore(&world.ctx, &arjun, id, &said("The migration needs her there.")).await.unwrap();
    assert_eq!(refusal(ignore::ignore(&world.ctx, &arjun, id, &said("again")).await), Refusal::DriftSettled);
    assert_eq!(world.compared().await.unexpected, 0);
    assert_eq!(world.ended("mei.tanaka").await.0, "ignored");
    world.advance(Duration::days(2) + Duration::minutes(1)).await;
    assert_eq!(world.compared().await.unexpected, 1, "when the time is up it is a difference again");
    let again = world.drift_of("mei.tanaka").await;
    assert_ne!(again, id);
    assert_eq!(world.one::<i64>("select count(*) from countersign.audit_event where kind = 'drift.exception_ended'").await, 1);
    // It can be ended before its time.
    ignore::ignore(&world.ctx, &arjun, again, &Ignoring { until: Some(world.now() + Duration::days(2)), ..said("Once more.") }).await.unwrap();
    ignore::end(&world.ctx, &arjun, again).await.unwrap();
    assert_eq!(world.compared().await.unexpected, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_who_settle_at_once_one_wins_and_the_other_is_told() {
    let world = World::new().await;
    for round in 0..4 {
        world.by_hand("bo.lind", GROUP).await;
        world.compared().await;
        let (id, one, other) = (world.drift_of("bo.lind").await, world.by("arjun.mehta").await, world.by("sofia.marin").await);
        let (adopted, removed) = tokio::join!(adopt::adopt(&world.ctx, &one, id, None, None), act::remove(&world.ctx, &other, id));
        assert!(adopted.is_ok() != removed.is_ok(), "round {round}: {adopted:?} and {removed:?}");
        let both: i64 =
            world.one("select count(*) from countersign.drift where resolved_at is null and request_id is not null and removal_asked_at is not null").await;
        assert_eq!(both, 0);
        if let Ok(asked) = adopted {
            world.answer("mara.voss", asked.id, Answer::Deny).await.unwrap();
            world.compared().await;
            let (first, second) = tokio::join!(act::remove(&world.ctx, &one, id), act::remove(&world.ctx, &other, id));
            assert!(first.is_ok() != second.is_ok(), "{first:?} and {second:?}");
        }
        world.turn().await;
        assert!(!world.is_member("bo.lind", GROUP).await);
        world.compared().await;
        // Long enough that who is there again was put there by somebody, and not by a late call of ours.
        world.advance(Duration::minutes(11)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_member_is_added_again_only_while_a_grant_wants_it() {
    let world = World::new().await;
    let asked = world.ask("bo.lind", "warehouse", "analyst", 7_200).await.unwrap();
    world.turn().await;
    let (group, reference) = (world.group("warehouse-analysts").await, world.reference("bo.lind").await);
    world.directory().remove(&group, &reference).await;
    assert_eq!(world.compared().await.missing, 1);
    let kind: String = world.one("select kind from countersign.drift where resolved_at is null").await;
    assert_eq!(kind, "missing_member");
    world.turn().await;
    assert!(world.is_member("bo.lind", "warehouse-analysts").await, "a grant wants it");
    world.compared().await;
    world.advance(Duration::hours(3)).await;
    world.turn().await;
    assert_eq!(world.grant(asked.id).await.1, "ended");
    world.advance(Duration::hours(1)).await;
    world.compared().await;
    world.turn().await;
    assert!(!world.is_member("bo.lind", "warehouse-analysts").await, "what has ended is never added again");
    assert_eq!(world.one::<i64>("select count(*) from countersign.drift where resolved_at is null").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_in_only_by_an_inner_group_is_told_as_such_and_not_taken_out() {
    let world = World::new().await;
    let (group, reference) = (world.group(GROUP).await, world.reference("mei.tanaka").await);
    let direct = world.directory().members(&group).await.unwrap().unwrap();
    let inherited = BTreeMap::from([(reference, Through { group: "inner".into(), name: "Inner <b>group</b>".into() })]);
    compare(&world.ctx, ("main", Uuid::now_v7()), &group, Some(Seen { direct, inherited }), &mut Swept::default()).await.unwrap();
    let id = world.drift_of("mei.tanaka").await;
    assert_eq!(refusal(act::remove(&world.ctx, &world.by("arjun.mehta").await, id).await), Refusal::OnlyInherited("Inner <b>group</b>".into()));
    let seen = drifts(&world.ctx, &world.by("arjun.mehta").await, DriftFilter::default(), None).await.unwrap();
    assert!(seen.rows.rows[0].stands.contains("only by the inner group Inner"), "{:?}", seen.rows.rows[0]);
    assert!(seen.rows.rows[0].can.adopt && !seen.rows.rows[0].can.remove);
    world.compared().await;
    assert_eq!(world.ended("mei.tanaka").await.0, "alerted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn drift_and_tries_are_taken_away_as_files_with_the_columns_that_were_promised() {
    let world = World::new().await;
    let asked = world.ask("bo.lind", "warehouse", "analyst", 3_600).await.unwrap();
    world.turn().await;
    world.by_hand("mei.tanaka", GROUP).await;
    world.compared().await;
    act::remove(&world.ctx, &world.by("arjun.mehta").await, world.drift_of("mei.tanaka").await).await.unwrap();
    world.turn().await;
    world.compared().await;
    let drift = taken(&world, taking(File::Drift)).await;
    let lines: Vec<&str> = drift.lines().collect();
    assert_eq!(
        lines[0],
        "detected_at,directory,target,person_id,kind,first_seen_sync_id,action,resolved_at,resolved_by,request_id_if_adopted,event_seq_first,event_seq_last"
    );
    assert_eq!(lines.len(), 2, "{drift}");
    let cells: Vec<&str> = lines[1].split(',').collect();
    assert_eq!((cells[1], cells[4], cells[6]), ("main", "unexpected_member", "removed"));
    assert_eq!((cells[3], cells[8]), (world.person("mei.tanaka").await.to_string().as_str(), world.person("arjun.mehta").await.to_string().as_str()));
    assert!(cells[10].parse::<i64>().unwrap() < cells[11].parse::<i64>().unwrap(), "{drift}");
    let tries = taken(&world, taking(File::Provisioning)).await;
    let lines: Vec<&str> = tries.lines().collect();
    assert_eq!(
        lines[0],
        "attempt_id,grant_id,action,method,target,idempotency_key,started_at,finished_at,result,detail,verified_at,event_seq_first,event_seq_last"
    );
    assert_eq!(lines.len(), 3, "one add, one removal: {tries}");
    let grant = world.grant(asked.id).await.0.to_string();
    assert!(lines[1].contains(&format!(",{grant},add,idp_group,")) && lines[1].contains(",changed,"), "{tries}");
    assert!(lines[2].contains(",,remove,idp_group,"), "{tries}");
    for file in [File::Drift, File::Provisioning] {
        let role = Some(world.role("ledger", "accountant").await);
        let narrowed = taken(&world, countersign::service::export::Taking { role, ..taking(file) }).await;
        assert_eq!(narrowed.lines().count(), 1, "an empty population still has its header: {narrowed}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_shows_each_to_who_may_see_it_with_what_they_may_do() {
    let world = World::new().await;
    world.by_hand("mei.tanaka", GROUP).await;
    world.by_hand("bo.lind", GROUP).await;
    world.compared().await;
    let mut stranger = Desk::of(&world, "liam.byrne").await;
    assert!(stranger.get("/drift").await.fine().text.contains("Nothing differs"));
    let mut auditor = Desk::of(&world, "wei.zhang").await;
    let page = auditor.get("/drift").await.fine();
    assert_eq!((page.count("li.drift"), page.count("main form[method=post]")), (2, 0));
    let mut owner = Desk::of(&world, "arjun.mehta").await;
    let page = owner.get("/drift?q=TANAKA&kind=unexpected_member").await.fine();
    assert_eq!(page.count("li.drift"), 1);
    assert!(owner.get("/drift?q=nobody").await.fine().text.contains("Nothing found"));
    assert_eq!(owner.get("/drift?after=x").await.status, StatusCode::NOT_FOUND);
    let done = owner.submit(&page, "form[action$='/ignore']", &[("reason", "<img src=x onerror=alert(1)>"), ("until", "")]).await;
    assert_eq!(done.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(done.text.contains("&lt;img src=x") || done.text.contains("&#60;img src=x"), "what was typed stays, as text");
    assert!(done.text.contains("Say until when"));
    let done = owner.submit(&page, "form[action$='/remove']", &[]).await.fine();
    assert!(done.flash().contains("being taken out"));
    world.turn().await;
    let page = owner.get("/drift").await.fine();
    let done = owner.submit(&page, "form[action$='/adopt']", &[]).await.fine();
    assert!(done.flash().contains("on its way"), "{}", done.flash());
    world.compared().await;
    let settled = owner.get("/drift?state=settled").await.fine();
    assert!(settled.one("li.drift").contains("Taken out of the group by Arjun Mehta"), "{}", settled.main());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_leaves_their_own_membership_alone() {
    let world = World::new().await;
    world.by_hand("arjun.mehta", "orders-db-writers").await;
    world.compared().await;
    let id = world.drift_of("arjun.mehta").await;
    let by: By = world.by("arjun.mehta").await;
    let said = Ignoring { reason: Some("I may.".into()), owner: Some(world.person("mara.voss").await), until: Some(world.now() + Duration::days(1)) };
    assert!(matches!(refusal(ignore::ignore(&world.ctx, &by, id, &said).await), Refusal::Faults(_)));
    // Nor while it is not known yet whose it is.
    world.tampered("a drift forgets whose it is, as before somebody was looked up");
    let mut tx = world.root.begin().await.unwrap();
    sqlx::query("insert into countersign.audit_event (kind, actor_kind, channel) values ('drift.found', 'system', 'system')").execute(&mut *tx).await.unwrap();
    sqlx::query("update countersign.drift set person_id = null where id = $1").bind(id).execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
    assert!(matches!(refusal(ignore::ignore(&world.ctx, &by, id, &said).await), Refusal::Faults(_)));
}
