//! The loop that wakes, works, backs off and stops politely.

use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::watch;
use uuid::Uuid;

use crate::clock::new_id;
use crate::service::change::weigh;
use crate::service::ctx::Ctx;
use crate::service::deliver::{self, Bell};
use crate::service::error::ServiceError;
use crate::service::heartbeat;
use crate::service::schedule;
use crate::service::seal;
use crate::service::witness;

use super::step;

/// Longest time between two looks at what is due, when nothing wakes the worker earlier.
const IDLE: Duration = Duration::from_millis(500);
/// Longest wait after failures in a row.
const LONGEST: Duration = Duration::from_secs(10);
/// How often the timetable is asked for a daily look.
const DAILY: Duration = Duration::from_secs(30);
/// How often it is looked whether a schedule is due.
const SCHEDULES: Duration = Duration::from_secs(10);
/// How often the log is sealed.
const SEAL: Duration = Duration::from_millis(200);
/// How often the worker says that it is alive.
const BEAT: Duration = Duration::from_secs(5);

/// Works until `stop` turns true, then finishes what is at hand and returns.
///
/// What time alone does waits for nothing. Beside it each directory is worked on by itself, so that one that is slow or broken delays
/// no other.
pub async fn run(ctx: Ctx, mut stop: watch::Receiver<bool>) {
    let id = new_id();
    let started_at = ctx.clock.now();
    let mut last_beat = None::<tokio::time::Instant>;
    let mut failures = 0u32;
    // Before the first call: from then on it is known how many share the limits of the directories.
    beat(&ctx, id, started_at, &mut last_beat).await;
    let (ring, rung) = watch::channel(0u64);
    let bell = Bell { rung, stop: stop.clone() };
    let mut beside = vec![
        tokio::spawn(days(ctx.clone(), stop.clone())),
        tokio::spawn(weighing(ctx.clone(), stop.clone())),
        tokio::spawn(sealing(ctx.clone(), stop.clone())),
        tokio::spawn(sending(ctx.clone(), bell.clone())),
        tokio::spawn(tending(ctx.clone(), bell.clone())),
    ];
    for directory in ctx.directories.keys() {
        beside.push(tokio::spawn(delivering(ctx.clone(), directory.clone(), bell.clone())));
        beside.push(tokio::spawn(asking(ctx.clone(), directory.clone(), bell.clone())));
        beside.push(tokio::spawn(reading(ctx.clone(), directory.clone(), stop.clone())));
    }
    while !*stop.borrow() {
        beat(&ctx, id, started_at, &mut last_beat).await;
        match step::on_time(&ctx).await {
            Ok(_) => failures = 0,
            Err(error) => {
                failures = failures.saturating_add(1);
                tracing::warn!(%error, failures, "a turn of the worker failed; it goes on");
            }
        }
        tokio::select! {
            () = tokio::time::sleep(wait(failures)) => {}
            () = ctx.wake.notified(), if failures == 0 => ring.send_modify(|times| *times = times.wrapping_add(1)),
            _ = stop.changed() => {}
        }
    }
    for beside in beside {
        if let Err(error) = beside.await {
            tracing::warn!(%error, "what is done beside the worker ended badly");
        }
    }
    if let Err(error) = heartbeat::stop(&ctx, id).await {
        tracing::warn!(%error, "the worker could not take itself off the list");
    }
}

/// Says that worker `id` is alive, when it is time to.
async fn beat(ctx: &Ctx, id: Uuid, started_at: DateTime<Utc>, last: &mut Option<tokio::time::Instant>) {
    if last.is_none_or(|at| at.elapsed() >= BEAT) {
        match heartbeat::beat(ctx, id, started_at).await {
            Ok(()) => *last = Some(tokio::time::Instant::now()),
            Err(error) => tracing::warn!(%error, "the worker could not say that it is alive"),
        }
    }
}

/// How long to wait after so many failures in a row.
fn wait(failures: u32) -> Duration {
    IDLE.saturating_mul(1 << failures.min(5)).min(LONGEST)
}

/// What may have to ask a directory who is to be asked next. What is at work when it is to stop is left: all of it is made anew.
async fn tending(ctx: Ctx, mut bell: Bell) {
    let (mut failures, mut stop) = (0u32, bell.stop.clone());
    while !*stop.borrow() {
        tokio::select! {
            outcome = step::tend(&ctx) => match outcome {
                Ok(_) => failures = 0,
                Err(error) => {
                    failures = failures.saturating_add(1);
                    tracing::warn!(%error, failures, "tending what waits for people failed; it goes on");
                }
            },
            _ = stop.changed() => return,
        }
        tokio::select! {
            () = tokio::time::sleep(wait(failures)) => {}
            () = bell.rings(), if failures == 0 => {}
            _ = stop.changed() => {}
        }
    }
}

/// The memberships of one directory.
async fn delivering(ctx: Ctx, directory: String, mut bell: Bell) {
    let mut failures = 0u32;
    while !*bell.stop.borrow() {
        let began = tokio::time::Instant::now();
        if let Err(error) = deliver::go_on(&ctx, &directory, &mut bell).await {
            failures = if began.elapsed() > LONGEST { 1 } else { failures.saturating_add(1) };
            tracing::warn!(directory, %error, failures, "memberships could not be worked on; it goes on");
            tokio::select! {
                () = tokio::time::sleep(wait(failures)) => {}
                _ = bell.stop.changed() => {}
            }
        }
    }
}

/// Whom one directory is to be asked about. What is at work when it is to stop is left, and asked again when its claim is over.
async fn asking(ctx: Ctx, directory: String, mut bell: Bell) {
    let (mut failures, mut stop) = (0u32, bell.stop.clone());
    while !*stop.borrow() {
        let mut found = 0;
        tokio::select! {
            outcome = step::ask(&ctx, &directory) => match outcome {
                Ok(done) => (failures, found) = (0, done),
                Err(error) => {
                    failures = failures.saturating_add(1);
                    tracing::warn!(directory, %error, failures, "asking a directory about people failed; it goes on");
                }
            },
            _ = stop.changed() => return,
        }
        if found > 0 {
            // What they had ends now, and there may be more of them.
            ctx.wake.notify_one();
        }
        tokio::select! {
            () = tokio::time::sleep(wait(failures)) => {}
            () = bell.rings(), if failures == 0 => {}
            _ = stop.changed() => {}
        }
    }
}

/// The daily looks, beside everything else: they take long, and nothing waits for them. One that is at work when `stop` turns true is
/// left, and made anew another time.
async fn days(ctx: Ctx, mut stop: watch::Receiver<bool>) {
    while !*stop.borrow() {
        tokio::select! {
            outcome = async { (step::daily(&ctx).await, witness::due(&ctx).await) } => {
                if let Err(error) = outcome.0 {
                    tracing::warn!(%error, "a daily look failed; it is made again");
                }
                if let Err(error) = outcome.1 {
                    tracing::warn!(%error, "checkpoints could not be handed out; it is tried again");
                }
            }
            _ = stop.changed() => return,
        }
        tokio::select! {
            () = tokio::time::sleep(DAILY) => {}
            _ = stop.changed() => return,
        }
    }
}

/// Gives events their leaves, beside everything else: nothing waits for it, and it waits for nothing.
async fn sealing(ctx: Ctx, mut stop: watch::Receiver<bool>) {
    let mut told = None::<String>;
    while !*stop.borrow() {
        let wait = match seal::seal(&ctx).await {
            Ok(_) => {
                told = None;
                SEAL
            }
            Err(error) => {
                // Once for each new reason: a log that is not sealed must not fill another one.
                if told.as_ref() != Some(&error.to_string()) {
                    tracing::error!(%error, "the log could not be sealed; it is tried again");
                    told = Some(error.to_string());
                }
                LONGEST
            }
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            _ = stop.changed() => {}
        }
    }
    // What the last requests wrote is sealed before the program ends.
    if let Err(error) = seal::seal(&ctx).await {
        tracing::warn!(%error, "the end of the log is sealed at the next start");
    }
}

/// What schedules send, beside everything else: a large bundle takes minutes. What is at work when it is to stop is left; its claim runs
/// out, and it is sent anew.
async fn sending(ctx: Ctx, mut bell: Bell) {
    let (mut failures, mut stop) = (0u32, bell.stop.clone());
    while !*stop.borrow() {
        tokio::select! {
            outcome = schedule::due::due(&ctx) => match outcome {
                Ok(_) => failures = 0,
                Err(error) => {
                    failures = failures.saturating_add(1);
                    tracing::warn!(%error, failures, "what schedules send could not be looked at; it goes on");
                }
            },
            _ = stop.changed() => return,
        }
        tokio::select! {
            () = tokio::time::sleep(SCHEDULES.max(wait(failures))) => {}
            // Somebody may have had one run.
            () = bell.rings(), if failures == 0 => {}
            _ = stop.changed() => return,
        }
    }
}

/// The what-ifs of proposed changes, beside everything else. One that is at work when `stop` turns true is left, and made anew.
async fn weighing(ctx: Ctx, mut stop: watch::Receiver<bool>) {
    while !*stop.borrow() {
        let wait = tokio::select! {
            outcome = weigh::due(&ctx) => match outcome {
                Ok(_) => IDLE,
                Err(error) => {
                    tracing::warn!(%error, "the what-if of a proposed change failed; it is made again");
                    LONGEST
                }
            },
            _ = stop.changed() => return,
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            _ = stop.changed() => return,
        }
    }
}

/// Reads and compares one directory, beside everything else: a large one takes minutes, and what is due to end does not wait for it.
/// A reading that is at work when `stop` turns true is left, and begins anew when its claim is over.
async fn reading(ctx: Ctx, directory: String, mut stop: watch::Receiver<bool>) {
    let mut failures = 0u32;
    while !*stop.borrow() {
        let both = async { Ok::<_, ServiceError>(step::read_one(&ctx, &directory).await? + step::groups(&ctx, &directory).await?) };
        tokio::select! {
            outcome = both => match outcome {
                Ok(_) => failures = 0,
                Err(error) => {
                    failures = failures.saturating_add(1);
                    tracing::warn!(directory, %error, failures, "reading a directory failed; it goes on");
                }
            },
            _ = stop.changed() => return,
        }
        tokio::select! {
            () = tokio::time::sleep(wait(failures)) => {}
            _ = stop.changed() => return,
        }
    }
}
