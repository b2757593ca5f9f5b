//! Sealing dies anywhere, and no event is lost or doubled.

use std::future::Future;
use std::pin::pin;
use std::process::{Command, Stdio};
use std::task::Poll;
use std::time::Duration;

use countersign::service::seal;

use crate::sealed::{Sealed, check};
use crate::world::superuser;

async fn write(sealed: &Sealed, many: i32) {
    sqlx::query(
        "insert into audit_event (kind, actor_kind, channel, data)
         select 'clock.jumped', 'system', 'system', jsonb_build_object('by_ms', n) from generate_series(1, $1) n",
    )
    .bind(many)
    .execute(&sealed.world.root)
    .await
    .unwrap();
}

async fn nothing_is_lost_or_doubled(sealed: &Sealed) {
    let (list, text) = sealed.list().await;
    let verified = check(&list, &text).unwrap();
    let one = async |sql: &'static str| sealed.world.one::<i64>(sql).await;
    assert_eq!(one("select count(*) from audit_event").await as u64, verified.events);
    assert_eq!(one("select count(*) from audit_unsealed").await, 0);
    assert_eq!(one("select count(*) - count(distinct event_id) from audit_leaf").await, 0);
    assert_eq!(one("select max(leaf_index) + 1 - count(*) from audit_leaf").await, 0, "without a gap");
    let missing = "select count(*) from audit_event e where not exists (select 1 from audit_leaf l where l.event_id = e.id)";
    assert_eq!(one(missing).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn given_up_at_any_point_where_it_waits_sealing_leaves_all_or_nothing() {
    let sealed = Sealed::new().await;
    let mut ended = 0;
    for polls in 0..120 {
        write(&sealed, 3).await;
        // Polled so many times and then dropped: at another place each time, until it comes to its end.
        let mut left = polls % 40;
        let done = {
            let mut sealing = pin!(seal::seal(&sealed.ctx));
            std::future::poll_fn(|context| match sealing.as_mut().poll(context) {
                Poll::Ready(outcome) => Poll::Ready(Some(outcome)),
                Poll::Pending if left == 0 => Poll::Ready(None),
                Poll::Pending => {
                    left -= 1;
                    Poll::Pending
                }
            })
            .await
        };
        ended += usize::from(done.is_some_and(|outcome| outcome.is_ok()));
    }
    assert!((1..120).contains(&ended), "some came to their end and some did not: {ended}");
    nothing_is_lost_or_doubled(&sealed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_is_killed_while_it_seals_loses_and_doubles_nothing() {
    let sealed = Sealed::new().await;
    let options = superuser().database(&sealed.world.database);
    let socket = options.get_socket().map(|path| path.display().to_string());
    let url = format!("postgres://postgres@{}/{}?host={}", options.get_host(), sealed.world.database, socket.clone().unwrap_or_default());
    let key = sealed.folder.path().join("signing.key");
    std::fs::write(&key, countersign::evidence::note::PrivateKey::new("access.example.com/log", [3; 32]).unwrap().secret()).unwrap();
    let mut killed = 0;
    for round in 0..12u64 {
        write(&sealed, 2_000).await;
        let mut child = Command::new(env!("CARGO_BIN_EXE_countersign"))
            .args(["log", "--out"])
            .arg(sealed.folder.path().join(format!("out-{round}")))
            .env_clear()
            .env("HOME", sealed.folder.path())
            .env("DATABASE_URL", &url)
            .env("COUNTERSIGN_EVIDENCE__SIGNING_KEY_FILE", &key)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Somewhere in its life: while it connects, seals, signs or writes.
        let until = std::time::Instant::now() + Duration::from_millis(60 + 97 * round);
        while std::time::Instant::now() < until && child.try_wait().unwrap().is_none() {
            tokio::task::yield_now().await;
        }
        killed += usize::from(child.try_wait().unwrap().is_none());
        child.kill().unwrap_or_default();
        child.wait().unwrap();
    }
    assert!(killed > 0, "none was killed at work");
    nothing_is_lost_or_doubled(&sealed).await;
}
