//! What went wrong elsewhere must not go wrong here.
//!
//! Each is run many times: ROUNDS in continuous integration, fewer at a desk.

use std::sync::Arc;

use chrono::Duration;
use countersign::domain::approval::Answer;
use countersign::domain::refusal::Refusal;
use countersign::domain::span::Seconds;
use countersign::service::error::ServiceError;
use countersign::service::sweep::sweep;

use crate::faulty::{Fault, Faulty};
use crate::world::World;

const YES: Answer = Answer::Approve { granted: None };
const HOUR: i64 = 3_600;

/// How often each defect is provoked.
pub fn rounds() -> usize {
    if std::env::var_os("CI").is_some() { 100 } else { 10 }
}

/// Takes a role's live grant back, so that the next round begins from nothing.
async fn reset(world: &World, who: &str) {
    sqlx::query("select 1").execute(&world.root).await.unwrap();
    let live: Vec<uuid::Uuid> =
        sqlx::query_scalar("select g.id from countersign.access_grant g join countersign.person p on p.id = g.beneficiary_id where p.user_name = $1 and g.status not in ('ended', 'failed', 'revoking')")
            .bind(who)
            .fetch_all(&world.root)
            .await
            .unwrap();
    for grant in live {
        countersign::service::end::end(&world.ctx, &world.by(who).await, grant.into(), false, None).await.unwrap();
    }
    world.turn().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_approvals_at_once_have_one_outcome_and_the_second_is_told() {
    let world = Arc::new(World::new().await);
    for _ in 0..rounds() {
        let asked = world.ask("bo.lind", "orders-db", "writer", HOUR).await.unwrap();
        world.answer("mara.voss", asked.id, YES).await.unwrap();
        // Three database administrators for two places.
        let answers = ["kofi.asante", "lucia.ferri", "freya.holm"].map(|who| {
            let world = world.clone();
            tokio::spawn(async move { world.answer(who, asked.id, YES).await })
        });
        let mut taken = 0;
        for answer in answers {
            match answer.await.unwrap() {
                Ok(_) => taken += 1,
                Err(ServiceError::Refused(refusal)) => assert!(refusal.is_conflict(), "{refusal:?}"),
                Err(other) => panic!("{other:?}"),
            }
        }
        assert_eq!(taken, 2);
        let grants: i64 =
            sqlx::query_scalar("select count(*) from countersign.access_grant where request_id = $1").bind(asked.id.0).fetch_one(&world.root).await.unwrap();
        assert_eq!(grants, 1);
        reset(&world, "bo.lind").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn approve_against_deny_ends_as_one_of_them_and_never_as_both() {
    let world = Arc::new(World::new().await);
    for _ in 0..rounds() {
        let asked = world.ask("bo.lind", "orders-db", "writer", HOUR).await.unwrap();
        world.answer("mara.voss", asked.id, YES).await.unwrap();
        world.answer("kofi.asante", asked.id, YES).await.unwrap();
        let (yes, no) = tokio::join!(world.answer("lucia.ferri", asked.id, YES), world.answer("freya.holm", asked.id, Answer::Deny));
        assert!(yes.is_ok() != no.is_ok(), "{yes:?} {no:?}");
        world.turn().await;
        let member = world.is_member("bo.lind", "orders-db-writers").await;
        assert_eq!(member, yes.is_ok());
        reset(&world, "bo.lind").await;
        assert!(!world.is_member("bo.lind", "orders-db-writers").await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_request_four_times_at_once_is_one_request() {
    let world = Arc::new(World::new().await);
    for _ in 0..rounds() {
        let asks = [0; 4].map(|_| {
            let world = world.clone();
            tokio::spawn(async move { world.ask("bo.lind", "orders-db", "reader", HOUR).await })
        });
        let mut made = Vec::new();
        for ask in asks {
            match ask.await.unwrap() {
                Ok(asked) => made.push(asked.id),
                Err(ServiceError::Refused(refusal)) => assert_eq!(refusal, Refusal::AlreadyOpen),
                Err(other) => panic!("{other:?}"),
            }
        }
        assert_eq!(made.len(), 1);
        world.answer("mara.voss", made[0], Answer::Deny).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_approved_at_once_and_asked_for_twelve_times_at_once_is_one_lease() {
    let world = Arc::new(World::new().await);
    for _ in 0..rounds() {
        let asks = [0; 12].map(|_| {
            let world = world.clone();
            tokio::spawn(async move { world.ask("bo.lind", "warehouse", "analyst", HOUR).await })
        });
        let mut made = 0;
        for ask in asks {
            match ask.await.unwrap() {
                Ok(_) => made += 1,
                Err(ServiceError::Refused(refusal)) => assert_eq!(refusal, Refusal::AlreadyHeld("Bo Lind".into())),
                Err(other) => panic!("{other:?}"),
            }
        }
        let live: i64 = world.one("select count(*) from countersign.access_grant where status not in ('ended', 'failed', 'revoking')").await;
        assert_eq!((made, live), (1, 1));
        reset(&world, "bo.lind").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_the_directory_does_with_a_change_the_membership_ends_up_right() {
    let faulty = Faulty::start().await;
    let world = World::behind(&faulty).await;
    let faults = [Fault::Refuse(503), Fault::DoneBut500, Fault::DoneButSilent, Fault::Wait(2), Fault::Late];
    for round in 0..rounds() {
        let fault = faults[round % faults.len()];
        faulty.next(&[fault]);
        let asked = world.ask("bo.lind", "warehouse", "analyst", HOUR).await.unwrap();
        for _ in 0..6 {
            world.turn().await;
            world.advance(Duration::seconds(3)).await;
        }
        faulty.late().await;
        assert_eq!(world.grant(asked.id).await.1, "active", "{fault:?}");
        assert!(world.is_member("bo.lind", "warehouse-analysts").await, "{fault:?}");

        faulty.next(&[fault]);
        world.advance(Duration::seconds(HOUR)).await;
        for _ in 0..6 {
            world.turn().await;
            world.advance(Duration::seconds(3)).await;
        }
        faulty.late().await;
        world.advance(Duration::seconds(60)).await;
        world.turn().await;
        assert_eq!(world.grant(asked.id).await.1, "ended", "{fault:?}");
        assert!(!world.is_member("bo.lind", "warehouse-analysts").await, "{fault:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_grant_that_was_late_at_the_directory_is_taken_away_again_after_its_end() {
    let faulty = Faulty::start().await;
    let world = World::behind(&faulty).await;
    for _ in 0..rounds() {
        // The call that adds is held back; the lease is returned; the removal finds nothing; then the call comes through.
        faulty.next(&[Fault::Late]);
        let asked = world.ask("bo.lind", "warehouse", "analyst", HOUR).await.unwrap();
        world.turn().await;
        let (grant, status) = world.grant(asked.id).await;
        assert_eq!(status, "provisioning");
        countersign::service::end::end(&world.ctx, &world.by("bo.lind").await, grant, false, None).await.unwrap();
        world.turn().await;
        assert_eq!(world.grant(asked.id).await.1, "ended");
        assert_eq!(faulty.late().await, 1);
        assert!(world.is_member("bo.lind", "warehouse-analysts").await, "the late call has come through");
        world.advance(Duration::seconds(31)).await;
        world.turn().await;
        assert!(!world.is_member("bo.lind", "warehouse-analysts").await, "every removal is read back once more");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_grant_that_a_sweep_meets_is_not_brought_back() {
    let world = World::new().await;
    for _ in 0..rounds() {
        let asked = world.ask("bo.lind", "warehouse", "analyst", HOUR).await.unwrap();
        world.turn().await;
        world.advance(Duration::seconds(HOUR + 1)).await;
        world.turn().await;
        // Somebody puts the member back by hand, long after.
        world.advance(Duration::hours(1)).await;
        world.turn().await;
        let (group, reference) = (world.group("warehouse-analysts").await, world.reference("bo.lind").await);
        world.directory().add(&group, &reference).await;
        sweep(&world.ctx, "main").await.unwrap();
        world.turn().await;
        let open: i64 =
            world.one("select count(*) from countersign.drift where resolved_at is null and kind = 'unexpected_member' and person_id is not null").await;
        assert!(open >= 1, "it is reported");
        assert_eq!(world.grant(asked.id).await.1, "ended", "and no grant comes back");
        world.directory().remove(&group, &reference).await;
        sweep(&world.ctx, "main").await.unwrap();
        world.turn().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_directory_is_down_nobody_gets_access_and_nothing_owed_is_lost() {
    let faulty = Faulty::start().await;
    let world = World::behind(&faulty).await;
    let waiting = world.ask("bo.lind", "orders-db", "reader", HOUR).await.unwrap();
    let granted = world.ask("yusuf.demir", "warehouse", "analyst", HOUR).await.unwrap();
    faulty.down(true);
    assert!(matches!(world.ask("elif.aydin", "orders-db", "reader", HOUR).await, Err(ServiceError::Unavailable(_))));
    assert!(
        matches!(world.answer("mara.voss", waiting.id, YES).await, Err(ServiceError::Unavailable(_))),
        "an approval is not decided on what was known before"
    );
    for _ in 0..4 {
        let _ = countersign::worker::step::turn(&world.ctx).await;
        world.advance(Duration::minutes(10)).await;
    }
    assert_eq!(world.grant(granted.id).await.1, "provisioning");
    faulty.down(false);
    world.advance(Duration::minutes(10)).await;
    world.turn().await;
    assert_eq!(world.grant(granted.id).await.1, "active", "its hour begins when access begins");
    world.answer("mara.voss", waiting.id, Answer::Approve { granted: Some(Seconds(60)) }).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_disabled_while_waiting_gets_nothing() {
    let faulty = Faulty::start().await;
    let world = World::behind(&faulty).await;
    let waiting = world.ask("bo.lind", "orders-db", "reader", HOUR).await.unwrap();
    let approved = world.ask("bo.lind", "warehouse", "analyst", HOUR).await.unwrap();
    world.set_active("bo.lind", false).await;
    assert!(matches!(world.answer("mara.voss", waiting.id, YES).await, Err(ServiceError::Refused(Refusal::BeneficiaryNotActive(_)))));
    world.turn().await;
    assert_eq!(world.grant(approved.id).await.1, "ended");
    assert!(!world.is_member("bo.lind", "warehouse-analysts").await);
    assert_eq!(faulty.writes(), 0, "the directory was never asked to add");
    let reason: String = world.one("select end_reason from countersign.access_grant").await;
    assert_eq!(reason, "offboarded");
}
