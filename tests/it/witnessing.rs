//! Checkpoints reach who keeps them, and misses are told.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use chrono::Duration;
use countersign::domain::secret::Secret;
use countersign::evidence::verify::{self, Finding};
use countersign::service::ctx::Ctx;
use countersign::service::witness::{self, Witnesses};
use countersign::worker::step;

use crate::scripted::{Reply, Scripted};
use crate::sealed::{Sealed, key_of_these};

fn with(sealed: &Sealed, witnesses: Witnesses) -> Ctx {
    Ctx { witnesses: Arc::new(witnesses), ..sealed.ctx.clone() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_and_a_webhook_are_handed_what_proves_the_log_later() {
    let sealed = Sealed::new().await;
    let folder = sealed.folder.path().join("share");
    std::fs::create_dir(&folder).unwrap();
    let hook = Scripted::start(|_| Reply::new(204, "")).await;
    let secret = Some(Secret::new("of-the-auditors"));
    let ctx = with(&sealed, Witnesses::new(Duration::hours(1), Some(&folder), Some((&hook.url, secret))).unwrap());
    sealed.live().await;
    step::turn(&ctx).await.unwrap();
    step::turn(&ctx).await.unwrap();
    assert_eq!(hook.asked().len(), 1, "once in its time");
    let asked = hook.asked().remove(0);
    assert_eq!((asked.method.as_str(), asked.headers["authorization"].as_str()), ("POST", "Bearer of-the-auditors"));
    assert!(asked.headers["content-type"].starts_with("text/plain"));
    let first = verify::checkpoint(&asked.body, &key_of_these()).unwrap();
    assert!(first.size > 0);

    // Days in which nobody was there are caught up once.
    sealed.world.advance(Duration::days(3)).await;
    step::turn(&ctx).await.unwrap();
    step::turn(&ctx).await.unwrap();
    assert_eq!(hook.asked().len(), 2);
    let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    assert_eq!(files.len(), 2, "{files:?}");
    assert_eq!(std::fs::read_to_string(&files[0]).unwrap().lines().nth(1), asked.body.lines().nth(1).map(|_| first.size.to_string()).as_deref());
    let told: i64 = sealed.world.one("select count(*) from audit_event where kind = 'evidence.witnessed' and data ->> 'error' is null").await;
    assert_eq!(told, 4);

    // What the witness kept shows that the beginning was not rewritten.
    let list = countersign::service::event_list::prepare(
        &ctx,
        None,
        Some(&asked.body),
        countersign::domain::event::Actor::System,
        countersign::domain::event::Channel::Cli,
    )
    .await
    .unwrap();
    let now = verify::checkpoint(&list.note, &key_of_these()).unwrap();
    assert_eq!(verify::continues(&first, &now, &list.proof.consistency), Ok(()));
    let other = verify::continues(&countersign::evidence::note::Checkpoint { root: [7; 32], ..first }, &now, &list.proof.consistency);
    assert!(matches!(other, Err(Finding { kind: "rewritten", .. })));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_witness_that_does_not_answer_is_told_and_tried_again_ever_more_rarely() {
    let sealed = Sealed::new().await;
    let status = Arc::new(AtomicU16::new(200));
    let answers = status.clone();
    let hook = Scripted::start(move |_| Reply::new(answers.load(Ordering::SeqCst), "").with("location", "http://127.0.0.1:1/")).await;
    let ctx = with(&sealed, Witnesses::new(Duration::hours(1), None, Some((&hook.url, None))).unwrap());
    assert_eq!(witness::due(&ctx).await.unwrap(), 1);
    let failing = "select count(*) from audit_event where kind = 'evidence.witnessed' and data ->> 'error' is not null";
    // A redirect is followed nowhere.
    status.store(302, Ordering::SeqCst);
    sealed.world.advance(Duration::minutes(61)).await;
    let (mut tries, mut gaps, mut since) = (hook.asked().len(), vec![], 0);
    for _ in 0..300 {
        witness::due(&ctx).await.unwrap();
        if hook.asked().len() > tries {
            tries = hook.asked().len();
            gaps.push(since);
            since = 0;
        }
        since += 1;
        sealed.world.advance(Duration::minutes(1)).await;
    }
    assert!((6..40).contains(&gaps.len()) && gaps[gaps.len() - 1] > 3 * gaps[1], "{gaps:?}");
    assert_eq!(sealed.world.one::<i64>(failing).await, 1, "one error is told once");
    assert_eq!(
        sealed.world.one::<Option<String>>("select last_error from timetable where name = 'witness-webhook'").await.unwrap(),
        "it answered with status 302"
    );
    status.store(200, Ordering::SeqCst);
    sealed.world.advance(Duration::hours(2)).await;
    assert_eq!(witness::due(&ctx).await.unwrap(), 1);
    assert_eq!(sealed.world.one::<Option<String>>("select last_error from timetable where name = 'witness-webhook'").await, None);
    for bad in ["http://audit.example.com/", "ftp://x/", "x"] {
        assert!(Witnesses::new(Duration::hours(1), None, Some((bad, None))).is_err(), "{bad}");
    }
}
