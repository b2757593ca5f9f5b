//! Connections come back whole, whatever was under way on them.

use std::time::Duration;

use countersign::store::db::{Db, Settings, Tx};
use uuid::Uuid;

use crate::world::{World, superuser};

/// A pool of its own with two connections, on the database of `world`.
async fn two_connections(world: &World) -> Db {
    Db::connect(&Settings { owner: Some(superuser().database(&world.database)), app: None, max_connections: 2 }).await.unwrap()
}

async fn write(tx: &mut Tx) {
    sqlx::query("insert into worker (id, started_at, beat_at) values ($1, clock_timestamp(), clock_timestamp())")
        .bind(Uuid::now_v7())
        .execute(&mut **tx)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_transaction_never_was_and_its_connection_works_on() {
    let world = World::empty().await;
    let db = two_connections(&world).await;
    for _ in 0..20 {
        let mut tx = db.begin().await.unwrap();
        write(&mut tx).await;
        drop(tx);
        db.clock().await.unwrap();
    }
    let mut tx = db.begin().await.unwrap();
    write(&mut tx).await;
    tx.commit().await.unwrap();
    let rows: i64 = world.one("select count(*) from countersign.worker").await;
    assert_eq!(rows, 1);
    let open: i64 = world.one("select count(*) from pg_stat_activity where datname = current_database() and state like 'idle in transaction%'").await;
    assert_eq!(open, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_transaction_leaves_nothing_and_its_connection_works_on() {
    let world = World::empty().await;
    let db = two_connections(&world).await;
    for _ in 0..10 {
        let mut tx = db.begin().await.unwrap();
        write(&mut tx).await;
        sqlx::query("delete from audit_event").execute(&mut *tx).await.unwrap_err();
        assert!(sqlx::query("select 1").execute(&mut *tx).await.is_err(), "a transaction that failed stays failed");
        drop(tx);
        db.clock().await.unwrap();
    }
    let rows: i64 = world.one("select count(*) from countersign.worker").await;
    assert_eq!(rows, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_given_up_half_way_does_not_answer_the_next() {
    let world = World::empty().await;
    let db = two_connections(&world).await;
    for _ in 0..6 {
        let mut tx = db.begin().await.unwrap();
        write(&mut tx).await;
        let given_up = tokio::time::timeout(Duration::from_millis(20), sqlx::query_scalar::<_, i32>("select 7 from pg_sleep(0.2)").fetch_one(&mut *tx)).await;
        assert!(given_up.is_err());
        drop(tx);
        for _ in 0..3 {
            let mut tx = db.begin().await.unwrap();
            let eight: i32 = sqlx::query_scalar("select 8").fetch_one(&mut *tx).await.unwrap();
            assert_eq!(eight, 8);
            tx.commit().await.unwrap();
        }
    }
    let rows: i64 = world.one("select count(*) from countersign.worker").await;
    assert_eq!(rows, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_the_server_ended_are_replaced() {
    let world = World::empty().await;
    let db = two_connections(&world).await;
    let (one, two) = (db.begin().await.unwrap(), db.begin().await.unwrap());
    one.commit().await.unwrap();
    two.commit().await.unwrap();
    let _: i64 =
        world.one("select count(pg_terminate_backend(pid)) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()").await;
    let mut failed = 0;
    while db.clock().await.is_err() {
        failed += 1;
        assert!(failed <= 2, "each of two dead connections may fail once");
    }
    let mut tx = db.begin().await.unwrap();
    write(&mut tx).await;
    tx.commit().await.unwrap();
}
