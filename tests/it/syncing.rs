//! Reading everybody: in pages, believably, and what changed.

use chrono::Duration;
use countersign::demo::company::Company;
use countersign::domain::event::Channel;
use countersign::service::error::ServiceError;
use countersign::service::sync::{believe, sync};
use countersign::service::{leave, recheck};
use countersign::worker::step;
use serde_json::json;

use crate::faulty::Faulty;
use crate::world::{Reach, World};

/// A company of three pages.
async fn three_pages(faulty: &Faulty) -> World {
    World::with(Company::generated(450, 40), Reach::Through(faulty)).await
}

impl World {
    async fn outcome(&self) -> (String, Option<String>) {
        sqlx::query_as("select outcome, detail from countersign.directory_sync").fetch_one(&self.root).await.unwrap()
    }

    async fn statuses(&self) -> (i64, i64, i64) {
        sqlx::query_as("select count(*) filter (where status = 'active'), count(*) filter (where status = 'disabled'), count(*) filter (where status = 'gone') from countersign.person")
            .fetch_one(&self.root)
            .await
            .unwrap()
    }

    async fn references(&self, from: i64, to: i64) -> Vec<String> {
        sqlx::query_scalar("select reference from countersign.person where user_name >= 'p' || lpad($1::text, 5, '0') and user_name < 'p' || lpad($2::text, 5, '0') order by user_name")
            .bind(from)
            .bind(to)
            .fetch_all(&self.root)
            .await
            .unwrap()
    }
}

fn unavailable<T: std::fmt::Debug>(outcome: Result<T, ServiceError>) -> String {
    match outcome {
        Err(ServiceError::Unavailable(why)) => why,
        other => panic!("available: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everybody_and_every_group_is_read_page_by_page_and_again_without_news() {
    let faulty = Faulty::start().await;
    let world = three_pages(&faulty).await;
    let first = sync(&world.ctx, "main").await.unwrap();
    assert_eq!((first.people, first.groups, first.changed, first.left), (450, 40, 450, 0));
    assert_eq!(world.statuses().await, (450, 0, 0));
    assert_eq!(faulty.tells(|otherwise| otherwise.asked), (3, 0), "three pages, and nobody apart");
    assert_eq!(world.one::<i64>("select count(*) from countersign.directory_group where gone_at is null").await, 40);
    let events: i64 = world.one("select count(*) from countersign.audit_event").await;
    let second = sync(&world.ctx, "main").await.unwrap();
    assert_eq!((second.people, second.changed), (450, 0));
    assert_eq!(world.one::<i64>("select count(*) from countersign.audit_event").await, events, "no news is no event");
    assert_eq!(world.outcome().await, ("complete".into(), None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listing_that_fails_midway_says_nothing_about_who_is_missing() {
    let faulty = Faulty::start().await;
    let world = three_pages(&faulty).await;
    sync(&world.ctx, "main").await.unwrap();
    let one = world.references(5, 6).await.remove(0);
    faulty.tells(|otherwise| {
        otherwise.fails_from = Some(201);
        otherwise.told.insert(one.clone(), json!({ "title": "Somebody else" }));
    });
    world.advance(Duration::minutes(6)).await;
    assert!(step::read(&world.ctx).await.is_err());
    assert_eq!(world.outcome().await.0, "failed");
    assert_eq!(world.statuses().await, (450, 0, 0), "nobody is gone");
    assert_eq!(world.one::<i64>("select count(*) from countersign.person_recheck").await, 0);
    assert_eq!(world.one::<i64>("select count(*) from countersign.audit_event where kind = 'directory.failed'").await, 1, "it alarms");
    assert_eq!(world.one::<i64>("select count(*) from countersign.person where title = 'Somebody else'").await, 1, "what was read before stays");
    faulty.tells(|otherwise| otherwise.fails_from = None);
    world.advance(Duration::minutes(2)).await;
    world.turn().await;
    assert_eq!(world.outcome().await.0, "complete");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_switched_off_in_a_listing_that_fails_later_is_asked_about_alone() {
    let faulty = Faulty::start().await;
    let world = three_pages(&faulty).await;
    sync(&world.ctx, "main").await.unwrap();
    let one = world.references(5, 6).await.remove(0);
    faulty.tells(|otherwise| {
        otherwise.fails_from = Some(201);
        otherwise.told.insert(one.clone(), json!({ "active": false }));
    });
    unavailable(sync(&world.ctx, "main").await);
    assert_eq!(world.statuses().await, (449, 1, 0), "the directory itself said so, of this person");
    assert_eq!(faulty.tells(|otherwise| otherwise.asked.1), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listing_that_shrank_counts_nobody_as_gone_until_an_administrator_says_so() {
    let faulty = Faulty::start().await;
    let world = three_pages(&faulty).await;
    sync(&world.ctx, "main").await.unwrap();
    let many = world.references(100, 160).await;
    assert_eq!(many.len(), 60);
    faulty.tells(|otherwise| otherwise.gone.extend(many));
    let why = unavailable(sync(&world.ctx, "main").await);
    assert!(why.starts_with("60 of 450 people are missing"), "{why}");
    assert_eq!((world.statuses().await, world.outcome().await), ((450, 0, 0), ("shrunk".into(), Some(why))));
    assert_eq!(faulty.tells(|otherwise| otherwise.asked.1), 0, "nobody of them was asked about");
    assert_eq!(world.one::<i64>("select count(*) from countersign.leaver").await, 0);

    let mut by = world.by("p00002").await;
    assert!(matches!(believe(&world.ctx, &by, "main").await, Err(ServiceError::Missing)), "not everybody may");
    by.is_administrator = true;
    by.channel = Channel::Web;
    believe(&world.ctx, &by, "main").await.unwrap();
    assert!(matches!(believe(&world.ctx, &by, "main").await, Err(ServiceError::Missing)), "once is enough");
    world.turn().await;
    assert_eq!((world.statuses().await, world.outcome().await.0.as_str()), ((390, 0, 60), "complete"));
    assert_eq!(world.one::<i64>("select count(*) from countersign.audit_event where kind = 'directory.believed'").await, 1);
    assert_eq!(world.one::<i64>("select count(*) from countersign.leaver where settled_at is null").await, 0);
    // The next time it is asked again.
    let more = world.references(200, 260).await;
    faulty.tells(|otherwise| otherwise.gone.extend(more));
    unavailable(sync(&world.ctx, "main").await);
    assert_eq!(world.statuses().await, (390, 0, 60));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listing_in_which_everybody_is_switched_off_ends_nothing() {
    let faulty = Faulty::start().await;
    let world = three_pages(&faulty).await;
    sync(&world.ctx, "main").await.unwrap();
    let many = world.references(0, 450).await;
    faulty.tells(|otherwise| otherwise.told.extend(many.into_iter().map(|one| (one, json!({ "active": false })))));
    let why = unavailable(sync(&world.ctx, "main").await);
    assert!(why.starts_with("450 of 450 people are switched off"), "{why}");
    assert_eq!((world.statuses().await, world.outcome().await.0.as_str()), ((450, 0, 0), "shrunk"));
    assert_eq!(world.one::<i64>("select count(*) from countersign.person_recheck").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_missing_from_the_list_but_there_when_asked_for_has_not_left() {
    let faulty = Faulty::start().await;
    let world = three_pages(&faulty).await;
    sync(&world.ctx, "main").await.unwrap();
    let few = world.references(10, 15).await;
    faulty.tells(|otherwise| otherwise.unlisted.extend(few));
    assert_eq!(sync(&world.ctx, "main").await.unwrap().left, 5);
    assert_eq!((world.statuses().await, faulty.tells(|otherwise| otherwise.asked.1)), ((450, 0, 0), 5));
    // When they cannot be asked for, nothing is known, and they are asked about again.
    faulty.tells(|otherwise| otherwise.fails_alone = true);
    sync(&world.ctx, "main").await.unwrap();
    assert_eq!((world.statuses().await, world.one::<i64>("select count(*) from countersign.person_recheck").await), ((450, 0, 0), 5));
    faulty.tells(|otherwise| otherwise.fails_alone = false);
    world.advance(Duration::minutes(1)).await;
    recheck::due(&world.ctx, "main").await.unwrap();
    assert_eq!(world.one::<i64>("select count(*) from countersign.person_recheck").await, 0);
    assert_eq!(world.statuses().await, (450, 0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_many_who_are_gone_one_by_one_are_not_believed_either() {
    let faulty = Faulty::start().await;
    let world = three_pages(&faulty).await;
    sync(&world.ctx, "main").await.unwrap();
    let all = world.references(0, 450).await;
    faulty.tells(|otherwise| otherwise.gone.extend(all.clone()));
    let mut tx = world.ctx.db.begin().await.unwrap();
    let now = world.now();
    countersign::store::recheck::ask(&mut tx, "main", &all, "hook", false, now, now).await.unwrap();
    countersign::service::commit::commit(tx).await.unwrap();
    recheck::due(&world.ctx, "main").await.unwrap();
    leave::due(&world.ctx).await.unwrap();
    let (active, _, gone) = world.statuses().await;
    assert!(active + gone == 450 && (22..=30).contains(&gone), "{gone} gone: about as many as may be at once, and no more");
    assert_eq!(world.outcome().await.0, "shrunk");
    assert_eq!(world.one::<i64>("select count(*) from countersign.audit_event where kind = 'directory.failed'").await, 1, "it alarms once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_many_who_are_switched_off_one_by_one_are_not_believed_either() {
    let faulty = Faulty::start().await;
    let world = three_pages(&faulty).await;
    sync(&world.ctx, "main").await.unwrap();
    for person in 0..60 {
        world.set_active(&format!("p{person:05}"), false).await;
    }
    // Each is looked at while something else is done: nobody has left for that alone.
    for reference in world.references(0, 60).await {
        let row = countersign::store::person::by_references(&world.ctx.db, "main", &[reference]).await.unwrap().remove(0);
        assert!(!countersign::service::fetch::person(&world.ctx, &row).await.unwrap().active, "what is decided now knows it");
    }
    assert_eq!(world.statuses().await, (450, 0, 0));
    recheck::due(&world.ctx, "main").await.unwrap();
    leave::due(&world.ctx).await.unwrap();
    let (active, disabled, _) = world.statuses().await;
    assert!(active + disabled == 450 && (22..=30).contains(&disabled), "{disabled} left: about as many as may be at once, and no more");
    assert_eq!(world.outcome().await.0, "shrunk");
    believe(&world.ctx, &world.by("p00449").await, "main").await.unwrap_err();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_that_cannot_tell_what_changed_is_read_whole_and_nothing_fails() {
    let world = World::new().await;
    assert_eq!(countersign::service::sync_changes::follow(&world.ctx, "main").await.unwrap(), None);
    assert_eq!(world.one::<Option<String>>("select token from countersign.directory_sync").await, None);
    let entry: String = world.one("select detail from countersign.timetable where name = 'changes:main'").await;
    assert_eq!(entry, "it does not say what changed since it was read");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_whose_reading_was_taken_over_stops() {
    let world = World::new().await;
    let (mine, theirs) = (countersign::clock::new_id(), countersign::clock::new_id());
    world.advance(Duration::minutes(6)).await;
    assert!(countersign::service::heartbeat::claim(&world.ctx, "sync:main", mine, Duration::minutes(5)).await.unwrap());
    world.advance(Duration::minutes(6)).await;
    assert!(countersign::service::heartbeat::claim(&world.ctx, "sync:main", theirs, Duration::minutes(5)).await.unwrap());
    let why = unavailable(countersign::service::sync::under(&world.ctx, "main", Some(("sync:main", mine))).await);
    assert!(why.contains("Another worker"), "{why}");
}
