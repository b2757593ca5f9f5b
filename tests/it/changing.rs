//! Changing the rules, with four eyes.

use chrono::Duration;
use countersign::demo::company::Company;
use countersign::domain::event::{Actor, Channel};
use countersign::domain::refusal::Refusal;
use countersign::service::change::submit::{Outcome, Submitted, submit};
use countersign::service::change::{decide, weigh};
use countersign::service::ctx::{By, Ctx};
use countersign::service::error::ServiceError;
use countersign::service::look::overview::overview;
use countersign::service::{apply, rule_book};
use uuid::Uuid;

use crate::world::{Reach, World, catalog};

/// The embedded company with two administrators.
pub fn company() -> Company {
    let mut company = Company::embedded().unwrap();
    let second = company.people.iter().position(|person| person.user_name == "grace.mbeki").unwrap();
    company.groups.iter_mut().find(|group| group.name == "countersign-admins").unwrap().members.push(second);
    company
}

/// The demo's catalog in force, and from then on a second person is asked for.
pub async fn careful() -> World {
    let mut world = World::with(company(), Reach::Demo).await;
    world.turn().await;
    world.apply(&catalog()).await;
    world.ctx.changing.require_second_person = true;
    world
}

/// The demo's catalog with a longer maximum.
pub fn longer() -> String {
    let text = catalog().replace("maximum = \"30d\", choices = [\"5m\"", "maximum = \"60d\", choices = [\"5m\"");
    assert_ne!(text, catalog());
    text
}

async fn propose(world: &World, by: &By, text: &str) -> Submitted {
    submit(&world.ctx, (text, "a page"), (by.actor(), Channel::Web)).await.unwrap()
}

pub async fn proposed(world: &World, by: &By, text: &str) -> Uuid {
    let submitted = propose(world, by, text).await;
    match submitted.outcome {
        Outcome::Proposed(id) => id,
        other => panic!("{other:?}: {}", submitted.plan),
    }
}

async fn status(world: &World, id: Uuid) -> String {
    sqlx::query_scalar("select status from countersign.policy_change where id = $1").bind(id).fetch_one(&world.root).await.unwrap()
}

async fn versions(world: &World) -> i64 {
    world.one("select count(*) from countersign.access_policy_version").await
}

async fn kinds(world: &World) -> Vec<String> {
    sqlx::query_scalar("select kind from countersign.audit_event where kind like 'policy_change.%' or kind = 'catalog.applied' order by id")
        .fetch_all(&world.root)
        .await
        .unwrap()
}

#[track_caller]
fn refused(outcome: Result<(), ServiceError>, wanted: &Refusal) {
    match outcome {
        Err(ServiceError::Refused(refusal)) => assert_eq!(&refusal, wanted),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_is_only_proposed_until_another_administrator_approves_it() {
    let world = careful().await;
    let (author, second) = (world.by("sofia.marin").await, world.by("grace.mbeki").await);
    assert!(author.is_administrator && second.is_administrator);
    let before = versions(&world).await;
    let id = proposed(&world, &author, &longer()).await;
    assert_eq!((versions(&world).await, status(&world, id).await.as_str()), (before, "proposed"));
    refused(decide::approve(&world.ctx, &author, id, None, None).await, &Refusal::OwnChange);
    refused(decide::reject(&world.ctx, &author, id, None).await, &Refusal::OwnChange);
    world.turn().await;
    assert_eq!(versions(&world).await, before);
    let announced = async || {
        let found = overview(&world.ctx, &second).await.unwrap().attention;
        found.iter().any(|need| need.sentence == "A change of the rules waits for a second administrator." && need.href == "/admin/changes?status=proposed")
    };
    assert!(announced().await);

    decide::approve(&world.ctx, &second, id, None, Some("Agreed.")).await.unwrap();
    assert!(!announced().await);
    assert_eq!(status(&world, id).await, "applied");
    assert!(versions(&world).await > before);
    assert_eq!(kinds(&world).await, ["catalog.applied", "policy_change.proposed", "policy_change.approved", "catalog.applied"]);
    let change: String = world.one("select data ->> 'change' from countersign.audit_event where kind = 'catalog.applied' order by id desc limit 1").await;
    assert_eq!(change, id.to_string());
    let made: Vec<(String, Option<i32>, Option<i32>)> =
        sqlx::query_as("select policy_key, version_from, version_to from countersign.policy_change_version where change_id = $1")
            .bind(id)
            .fetch_all(&world.root)
            .await
            .unwrap();
    assert_eq!(made, [("standard".to_owned(), Some(1), Some(2))]);
    let by: Uuid = world.one("select created_by from countersign.access_policy_version v join countersign.access_policy p on p.id = v.policy_id where p.key = 'standard' and v.version = 2").await;
    assert_eq!(by, author.person.0, "the version is its author's");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_applied_directly_where_a_second_person_is_required() {
    let world = careful().await;
    let before = versions(&world).await;
    let applied = apply::run(&world.ctx, (&longer(), "catalog.toml"), (Actor::System, Channel::Cli)).await;
    assert!(matches!(applied, Err(ServiceError::Refused(Refusal::SecondPersonRequired))), "{applied:?}");
    assert_eq!(versions(&world).await, before);
    // What the operator proposes has no author here: any administrator may approve it.
    let submitted = submit(&world.ctx, (&longer(), "catalog.toml"), (Actor::System, Channel::Cli)).await.unwrap();
    let Outcome::Proposed(id) = submitted.outcome else { panic!("{submitted:?}") };
    assert_eq!(versions(&world).await, before);
    decide::approve(&world.ctx, &world.by("sofia.marin").await, id, None, None).await.unwrap();
    assert!(versions(&world).await > before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_second_person_a_change_applies_at_once_and_is_still_on_record() {
    let mut world = careful().await;
    world.ctx.changing.require_second_person = false;
    let author = world.by("sofia.marin").await;
    let Outcome::Applied { change, .. } = propose(&world, &author, &longer()).await.outcome else { panic!() };
    assert_eq!(status(&world, change).await, "applied");
    assert_eq!(world.one::<i64>("select count(*) from countersign.policy_change").await, 2, "the first file is on record too");
    assert_eq!(propose(&world, &author, &longer()).await.outcome, Outcome::Nothing);
    assert_eq!(propose(&world, &author, "").await.outcome, Outcome::Faulty);
    assert_eq!(world.one::<i64>("select count(*) from countersign.policy_change").await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_approved_change_waits_for_its_time() {
    let world = careful().await;
    let (author, second) = (world.by("sofia.marin").await, world.by("grace.mbeki").await);
    let before = versions(&world).await;
    let id = proposed(&world, &author, &longer()).await;
    let (past, late) = (world.now() - Duration::hours(1), world.now() + Duration::days(400));
    for wrong in [past, late] {
        let outcome = decide::approve(&world.ctx, &second, id, Some(wrong), None).await;
        assert!(matches!(outcome, Err(ServiceError::Refused(Refusal::Faults(_)))), "{outcome:?}");
    }
    decide::approve(&world.ctx, &second, id, Some(world.now() + Duration::hours(6)), None).await.unwrap();
    world.turn().await;
    assert_eq!((versions(&world).await, status(&world, id).await.as_str()), (before, "approved"));
    world.advance(Duration::hours(6)).await;
    world.turn().await;
    assert_eq!(status(&world, id).await, "applied");
    assert!(versions(&world).await > before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_whose_base_moved_fails_whole_and_says_so() {
    let world = careful().await;
    let (author, second) = (world.by("sofia.marin").await, world.by("grace.mbeki").await);
    let first = proposed(&world, &author, &longer()).await;
    let other = catalog().replace("approvals = 2, from = \"group:dba\" }]", "approvals = 1, from = \"group:dba\" }]");
    assert_ne!(other, catalog());
    let later = proposed(&world, &author, &other).await;
    decide::approve(&world.ctx, &second, first, None, None).await.unwrap();
    let before = versions(&world).await;
    // Carried out now, the second would take back what the first did; nobody has approved that.
    decide::approve(&world.ctx, &second, later, None, None).await.unwrap();
    assert_eq!((versions(&world).await, status(&world, later).await.as_str()), (before, "failed"));
    assert_eq!(kinds(&world).await.last().unwrap(), "policy_change.failed");
    let why: String = sqlx::query_scalar("select last_error from countersign.policy_change where id = $1").bind(later).fetch_one(&world.root).await.unwrap();
    assert!(why.contains("The rules changed since it was proposed"), "{why}");

    let faulty = proposed(&world, &author, &catalog().replace("maximum = \"30d\"", "maximum = \"20d\"").replace("\"7d\", \"30d\"]", "\"7d\"]")).await;
    world.set_active("arjun.mehta", false).await;
    decide::approve(&world.ctx, &second, faulty, None, None).await.unwrap();
    let why: String = sqlx::query_scalar("select last_error from countersign.policy_change where id = $1").bind(faulty).fetch_one(&world.root).await.unwrap();
    assert!(why.contains("It has faults by now") && why.contains("is disabled"), "{why}");
    assert_eq!(versions(&world).await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_is_rejected_by_another_or_withdrawn_by_its_author() {
    let world = careful().await;
    let (author, second) = (world.by("sofia.marin").await, world.by("grace.mbeki").await);
    let id = proposed(&world, &author, &longer()).await;
    refused(decide::withdraw(&world.ctx, &second, id, None).await, &Refusal::NotAuthor);
    decide::reject(&world.ctx, &second, id, Some("Too long.")).await.unwrap();
    for outcome in [decide::approve(&world.ctx, &second, id, None, None).await, decide::reject(&world.ctx, &second, id, None).await] {
        refused(outcome, &Refusal::ChangeClosed("rejected"));
    }
    let id = proposed(&world, &author, &longer()).await;
    // Also an approved one, as long as it is not in effect.
    decide::approve(&world.ctx, &second, id, Some(world.now() + Duration::hours(1)), None).await.unwrap();
    decide::withdraw(&world.ctx, &author, id, None).await.unwrap();
    world.advance(Duration::hours(2)).await;
    world.turn().await;
    assert_eq!(status(&world, id).await, "withdrawn");
    assert_eq!(kinds(&world).await.iter().filter(|kind| *kind == "policy_change.rejected").count(), 2);
    assert_eq!(kinds(&world).await.iter().filter(|kind| *kind == "catalog.applied").count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_but_administrators_decides_on_a_change() {
    let world = careful().await;
    let id = proposed(&world, &world.by("sofia.marin").await, &longer()).await;
    for who in ["wei.zhang", "arjun.mehta", "bo.lind"] {
        let by = world.by(who).await;
        assert!(matches!(decide::approve(&world.ctx, &by, id, None, None).await, Err(ServiceError::Missing)), "{who}");
        assert!(matches!(decide::reject(&world.ctx, &by, id, None).await, Err(ServiceError::Missing)), "{who}");
        assert!(matches!(decide::withdraw(&world.ctx, &by, id, None).await, Err(ServiceError::Missing)), "{who}");
    }
    assert!(matches!(decide::approve(&world.ctx, &world.by("grace.mbeki").await, Uuid::nil(), None, None).await, Err(ServiceError::Missing)));
    assert_eq!(status(&world, id).await, "proposed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_answers_at_once_have_one_outcome() {
    let world = careful().await;
    let (author, second) = (world.by("sofia.marin").await, world.by("grace.mbeki").await);
    for round in 0..4 {
        let days = 31 + round;
        let id = proposed(&world, &author, &catalog().replace("maximum = \"30d\"", &format!("maximum = \"{days}d\""))).await;
        let third = By { person: world.person("nadia.haddad").await, is_administrator: true, ..second.clone() };
        let (a, b, c) = tokio::join!(
            decide::approve(&world.ctx, &second, id, None, None),
            decide::approve(&world.ctx, &third, id, None, None),
            decide::withdraw(&world.ctx, &author, id, None)
        );
        assert!(a.is_err() || b.is_err(), "round {round}: only one approves");
        // The author may take back what was approved, until it is in force.
        let (approved, withdrawn) = (a.is_ok() || b.is_ok(), c.is_ok());
        assert!(approved || withdrawn, "round {round}");
        assert_eq!(status(&world, id).await, if withdrawn { "withdrawn" } else { "applied" }, "round {round}");
    }
    let (approved, applied): (i64, i64) = (
        world.one("select count(*) from countersign.audit_event where kind = 'policy_change.approved'").await,
        world.one("select count(*) from countersign.policy_change where status = 'applied' and approver_id is not null").await,
    );
    assert!(applied <= approved);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_workers_carry_a_due_change_out_once() {
    let world = careful().await;
    let id = proposed(&world, &world.by("sofia.marin").await, &longer()).await;
    decide::approve(&world.ctx, &world.by("grace.mbeki").await, id, Some(world.now() + Duration::minutes(5)), None).await.unwrap();
    world.advance(Duration::minutes(5)).await;
    let due = || countersign::service::change::carry_out::due(&world.ctx);
    let (a, b, c) = tokio::join!(due(), due(), due());
    assert_eq!(a.unwrap() + b.unwrap() + c.unwrap(), 1);
    assert_eq!(kinds(&world).await.iter().filter(|kind| *kind == "catalog.applied").count(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_directory_is_away_a_due_change_waits_and_is_done_later() {
    let world = careful().await;
    let id = proposed(&world, &world.by("sofia.marin").await, &longer()).await;
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let settings = countersign::directory::http::Settings::new(&format!("http://{closed}/scim/v2"), "token");
    let scim = countersign::directory::scim::Scim::new(&settings, world.ctx.clock.clone()).unwrap();
    let away = [("main".to_owned(), countersign::directory::port::Directory::Scim(scim))].into();
    let alone = Ctx { directories: std::sync::Arc::new(away), ..world.ctx.clone() };
    decide::approve(&alone, &world.by("grace.mbeki").await, id, None, None).await.unwrap();
    assert_eq!(status(&world, id).await, "approved");
    let why: String = world.one("select last_error from countersign.policy_change where status = 'approved'").await;
    assert!(why.contains("nothing was changed"), "{why}");
    world.turn().await;
    assert_eq!(status(&world, id).await, "applied");
    assert_eq!(world.one::<i64>("select count(*) from countersign.policy_change where last_error is not null").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proposal_is_weighed_on_stored_requests_and_each_is_kept() {
    let world = careful().await;
    let request = world.ask("bo.lind", "orders-db", "reader", 20 * 86_400).await.unwrap().id;
    let shorter = catalog().replace("maximum = \"30d\", choices = [\"5m\"", "maximum = \"10d\", choices = [\"5m\"").replace("\"7d\", \"30d\"]", "\"7d\"]");
    let id = proposed(&world, &world.by("sofia.marin").await, &shorter).await;
    assert_eq!(world.one::<i64>("select count(*) from countersign.policy_change where whatif is null and status = 'proposed'").await, 1);
    world.turn().await;
    let kept: String = sqlx::query_scalar("select whatif from countersign.policy_change where id = $1").bind(id).fetch_one(&world.root).await.unwrap();
    let kept: weigh::Weighed = serde_json::from_str(&kept).unwrap();
    assert_eq!(kept.counts.get("not_accepted"), Some(&1), "{kept:?}");
    assert_eq!((kept.roles.len(), kept.roles[0].key.as_str()), (1, "orders-db/reader"));
    let moved: (Uuid, String) =
        sqlx::query_as("select request_id, turn from countersign.policy_change_request where change_id = $1").bind(id).fetch_one(&world.root).await.unwrap();
    assert_eq!(moved, (request.0, "not_accepted".to_owned()));
    assert!(!weigh::weigh(&world.ctx, id).await.unwrap(), "once");
    assert!(weigh::progress(&world.ctx, id).is_none());
    drop(rule_book::current(&world.ctx).await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_database_keeps_the_author_from_approving_and_what_was_proposed_as_it_was() {
    let world = careful().await;
    let author = world.by("sofia.marin").await;
    let id = proposed(&world, &author, &longer()).await;
    world.tampered("policy changes are rewritten by hand");
    for (sql, why) in [
        ("update countersign.policy_change set approver_id = author_id where id = $1", "policy_change_by_two"),
        ("update countersign.policy_change set status = 'approved', approver_id = null where id = $1", "no_change_without_event"),
        ("delete from countersign.policy_change where id = $1", ""),
    ] {
        let refused = sqlx::query(sql).bind(id).execute(&world.root).await.unwrap_err();
        let refused = refused.into_database_error().unwrap();
        assert!(why.is_empty() || refused.constraint() == Some(why), "{sql}: {refused}");
    }
    let mut tx = world.ctx.db.begin().await.unwrap();
    let rewritten = sqlx::query("update policy_change set body = 'x' where id = $1").bind(id).execute(&mut *tx).await;
    assert!(rewritten.is_err(), "the application may not change what was proposed");
}
