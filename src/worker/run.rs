//! The loop that wakes, works, backs off and stops politely.

use std::time::Duration;

use tokio::sync::watch;

use crate::clock::new_id;
use crate::service::change::weigh;
use crate::service::ctx::Ctx;
use crate::service::heartbeat;
use crate::service::seal;
use crate::service::witness;

use super::step;

/// Longest time between two looks at what is due, when nothing wakes the worker earlier.
const IDLE: Duration = Duration::from_millis(500);
/// Longest wait after failures in a row.
const LONGEST: Duration = Duration::from_secs(10);
/// How often the timetable is asked for a daily look.
const DAILY: Duration = Duration::from_secs(30);
/// How often the log is sealed.
const SEAL: Duration = Duration::from_millis(200);
/// How often the worker says that it is alive.
const BEAT: Duration = Duration::from_secs(5);

/// Works until `stop` turns true, then finishes what is at hand and returns.
pub async fn run(ctx: Ctx, mut stop: watch::Receiver<bool>) {
    let id = new_id();
    let started_at = ctx.clock.now();
    let mut last_beat = None::<tokio::time::Instant>;
    let mut failures = 0u32;
    let days = tokio::spawn(days(ctx.clone(), stop.clone()));
    let weighing = tokio::spawn(weighing(ctx.clone(), stop.clone()));
    let reading = tokio::spawn(reading(ctx.clone(), stop.clone()));
    let sealing = tokio::spawn(sealing(ctx.clone(), stop.clone()));
    while !*stop.borrow() {
        if last_beat.is_none_or(|at| at.elapsed() >= BEAT) {
            match heartbeat::beat(&ctx, id, started_at).await {
                Ok(()) => last_beat = Some(tokio::time::Instant::now()),
                Err(error) => tracing::warn!(%error, "the worker could not say that it is alive"),
            }
        }
        match step::soon(&ctx).await {
            Ok(_) => failures = 0,
            Err(error) => {
                failures = failures.saturating_add(1);
                tracing::warn!(%error, failures, "a turn of the worker failed; it goes on");
            }
        }
        let wait = IDLE.saturating_mul(1 << failures.min(5)).min(LONGEST);
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = ctx.wake.notified(), if failures == 0 => {}
            _ = stop.changed() => {}
        }
    }
    for beside in [days, weighing, reading, sealing] {
        if let Err(error) = beside.await {
            tracing::warn!(%error, "what is done beside the worker ended badly");
        }
    }
    if let Err(error) = heartbeat::stop(&ctx, id).await {
        tracing::warn!(%error, "the worker could not take itself off the list");
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

/// Reads and compares the directories, beside everything else: a large one takes minutes, and what is due to end does not wait for it.
/// A reading that is at work when `stop` turns true is left, and begins anew when its claim is over.
async fn reading(ctx: Ctx, mut stop: watch::Receiver<bool>) {
    let mut failures = 0u32;
    while !*stop.borrow() {
        tokio::select! {
            outcome = step::read(&ctx) => match outcome {
                Ok(_) => failures = 0,
                Err(error) => {
                    failures = failures.saturating_add(1);
                    tracing::warn!(%error, failures, "reading a directory failed; it goes on");
                }
            },
            _ = stop.changed() => return,
        }
        tokio::select! {
            () = tokio::time::sleep(IDLE.saturating_mul(1 << failures.min(5)).min(LONGEST)) => {}
            _ = stop.changed() => return,
        }
    }
}
