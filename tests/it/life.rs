//! The whole life of one access, at the services.

use chrono::Duration;

use crate::world::World;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sync_brings_everybody_in() {
    let world = World::empty().await;
    world.turn().await;
    let people: i64 = world.one("select count(*) from countersign.person").await;
    assert!(people > 20, "{people}");
    world.advance(Duration::hours(1)).await;
    let bo = world.by("bo.lind").await;
    assert!(!bo.is_administrator);
}
