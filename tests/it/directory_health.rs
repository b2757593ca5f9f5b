//! How a directory goes, and holding it back.

use axum::http::StatusCode;
use chrono::Duration;
use countersign::domain::approval::Answer;
use countersign::domain::refusal::Refusal;
use countersign::service::error::ServiceError;
use countersign::service::look::directory::{advice, directory};
use countersign::service::pause::{self, Pausing};
use countersign::service::run_now::{self, What};
use sqlx::Executor;

use crate::desk::Desk;
use crate::faulty::Faulty;
use crate::world::World;

const HOUR: i64 = 3_600;

fn held(everything: bool) -> Pausing {
    Pausing { everything, confirmed: everything, reason: Some("The directory is being moved.".into()) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_new_access_is_held_back_removals_go_on_and_nothing_is_lost() {
    let world = World::new().await;
    let old = world.ask("bo.lind", "warehouse", "analyst", HOUR).await.unwrap();
    world.turn().await;
    assert!(world.is_member("bo.lind", "warehouse-analysts").await);
    let sofia = world.by("sofia.marin").await;
    pause::pause(&world.ctx, &sofia, "main", &held(false)).await.unwrap();
    let new = world.ask("bo.lind", "orders-db", "reader", HOUR).await.unwrap();
    world.answer("mara.voss", new.id, Answer::Approve { granted: None }).await.unwrap();
    world.advance(Duration::seconds(HOUR + 60)).await;
    world.turn().await;
    assert!(!world.is_member("bo.lind", "warehouse-analysts").await, "what has ended is taken away");
    assert_eq!((world.grant(old.id).await.1.as_str(), world.grant(new.id).await.1.as_str()), ("ended", "provisioning"));
    assert!(!world.is_member("bo.lind", "orders-db-readers").await);
    assert!(
        world.one::<bool>("select last_ok_at > countersign.clock() - interval '1 minute' from countersign.timetable where name = 'sync:main'").await,
        "people are read"
    );
    pause::resume(&world.ctx, &sofia, "main").await.unwrap();
    world.turn().await;
    assert!(world.is_member("bo.lind", "orders-db-readers").await, "what was owed is done");
    assert_eq!(world.grant(new.id).await.1, "active");
    let told: Vec<String> = sqlx::query_scalar("select kind from countersign.audit_event where kind in ('directory.paused', 'directory.resumed') order by id")
        .fetch_all(&world.root)
        .await
        .unwrap();
    assert_eq!(told, ["directory.paused", "directory.resumed"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn holding_everything_back_is_confirmed_told_loudly_and_loses_nothing() {
    let world = World::new().await;
    let old = world.ask("bo.lind", "warehouse", "analyst", HOUR).await.unwrap();
    world.turn().await;
    let (sofia, arjun) = (world.by("sofia.marin").await, world.by("arjun.mehta").await);
    for (who, wrong) in [(&sofia, Pausing { confirmed: false, ..held(true) }), (&sofia, Pausing { reason: None, ..held(false) })] {
        assert!(matches!(pause::pause(&world.ctx, who, "main", &wrong).await, Err(ServiceError::Refused(Refusal::Faults(_)))));
    }
    assert!(matches!(pause::pause(&world.ctx, &arjun, "main", &held(false)).await, Err(ServiceError::Missing)));
    assert!(matches!(pause::pause(&world.ctx, &sofia, "elsewhere", &held(false)).await, Err(ServiceError::Missing)));
    assert!(matches!(pause::resume(&world.ctx, &sofia, "main").await, Err(ServiceError::Refused(Refusal::NotPaused))));
    let everything = held(true);
    let (first, second) = tokio::join!(pause::pause(&world.ctx, &sofia, "main", &everything), pause::pause(&world.ctx, &sofia, "main", &everything));
    assert!(first.is_ok() != second.is_ok(), "one of two at once");
    world.advance(Duration::seconds(HOUR + 600)).await;
    world.turn().await;
    assert!(world.is_member("bo.lind", "warehouse-analysts").await);
    assert_eq!(world.grant(old.id).await.1, "revoking", "it has ended, and its removal is owed");
    assert!(matches!(run_now::of_directory(&world.ctx, &sofia, What::People, "main").await, Err(ServiceError::Refused(Refusal::DirectoryPaused(_)))));
    let mut administrator = Desk::of(&world, "sofia.marin").await;
    for path in ["/directories", "/directories/main"] {
        let page = administrator.get(path).await.fine();
        assert!(page.one("[role=alert]").contains("Everything is held back, removals too"), "{path}: {}", page.main());
    }
    assert!(administrator.get("/admin").await.fine().text.contains("People keep access that has ended"));
    let page = administrator.get("/directories/main").await.fine();
    assert!(administrator.submit(&page, "form[action$='/resume']", &[]).await.fine().flash().contains("goes on"));
    world.turn().await;
    assert!(!world.is_member("bo.lind", "warehouse-analysts").await);
    assert_eq!(world.grant(old.id).await.1, "ended");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_of_a_directory_tells_what_was_done_tried_and_what_to_do() {
    let faulty = Faulty::start().await;
    let world = World::behind(&faulty).await;
    world.ask("bo.lind", "warehouse", "analyst", HOUR).await.unwrap();
    world.turn().await;
    let mut auditor = Desk::of(&world, "wei.zhang").await;
    let page = auditor.get("/directories/main").await.fine();
    assert_eq!(page.count("main form"), 0, "who only reads is offered nothing to press");
    assert!(page.one("section[aria-labelledby=h-attempts] tbody tr").contains("Add Bo Lind"), "{}", page.main());
    assert!(page.one("section[aria-labelledby=h-troubles]").contains("Nothing goes wrong"));
    assert_eq!(auditor.get("/directories/elsewhere").await.status, StatusCode::NOT_FOUND);
    assert_eq!(auditor.get("/directories/main?after=x").await.status, StatusCode::NOT_FOUND);
    for act in ["sync", "sweep", "pause", "resume"] {
        assert_eq!(auditor.post(&format!("/directories/main/{act}"), &[]).await.status, StatusCode::NOT_FOUND, "{act}");
    }
    let mut employee = Desk::of(&world, "liam.byrne").await;
    assert_eq!(employee.get("/directories").await.status, StatusCode::NOT_FOUND);
    // Read and compare now.
    let mut administrator = Desk::of(&world, "sofia.marin").await;
    for (what, name) in [("sync", "sync:main"), ("sweep", "sweep:main")] {
        sqlx::query("update countersign.timetable set next_at = $1 where name = $2")
            .bind(world.now() + Duration::hours(1))
            .bind(name)
            .execute(&world.root)
            .await
            .unwrap();
        let page = administrator.get("/directories/main").await.fine();
        assert!(administrator.submit(&page, &format!("form[action$='/{what}']"), &[]).await.fine().flash().contains("due now"));
    }
    assert_eq!(
        world.one::<i64>("select count(*) from countersign.timetable where name in ('sync:main', 'sweep:main') and next_at <= countersign.clock()").await,
        2
    );
    // What goes wrong is told with what to do.
    faulty.down(true);
    countersign::worker::step::turn(&world.ctx).await.unwrap_err();
    let page = administrator.get("/directories/main").await.fine();
    assert!(page.one("section[aria-labelledby=h-troubles]").contains("It is tried again by itself"), "{}", page.main());
    assert!(page.one("h1").contains("Failing"));
    faulty.down(false);
    world.root.execute("update countersign.timetable set next_at = countersign.clock()").await.unwrap();
    world.turn().await;
    let health = directory(&world.ctx, &world.by("sofia.marin").await, "main", None, None).await.unwrap();
    assert!(health.troubles.is_empty(), "{:?}", health.troubles);
}

#[test]
fn every_error_of_a_directory_has_its_advice() {
    for error in
        ["The directory cannot be reached: x.", "The directory refuses our credentials: x.", "The directory is busy and asks to wait 3 s.", "something else"]
    {
        assert!(advice(error).ends_with('.'));
    }
    assert_ne!(advice("The directory refuses our credentials: x."), advice("something else"));
}
