//! One turn of the worker: whatever is due now.
//!
//! Tests call [`turn`] and move the clock; the server calls it from [`super::run`]. Everything periodic is due by a row of the
//! database, never by how long this process has been up.

use chrono::Duration;

use crate::clock::new_id;
use crate::service::ctx::Ctx;
use crate::service::error::ServiceError;
use crate::service::{deliver, heartbeat, lapse, sweep, sync};

/// Does everything that is due: what time alone does, what is owed to the directories, and the timetable. Returns how much was done;
/// nothing is left that was due when it began.
///
/// # Errors
/// The first failure, after everything else was tried.
pub async fn turn(ctx: &Ctx) -> Result<usize, ServiceError> {
    let mut first: Option<ServiceError> = None;
    let mut keep = |outcome: Result<usize, ServiceError>| match outcome {
        Ok(done) => done,
        Err(error) => {
            first.get_or_insert(error);
            0
        }
    };
    let mut done = keep(lapse::lapse(ctx).await);
    done += keep(drain(ctx).await);
    for key in ctx.directories.keys() {
        done += keep(timetable(ctx, "sync", key).await);
        done += keep(timetable(ctx, "sweep", key).await);
    }
    done += keep(drain(ctx).await);
    match first {
        Some(error) => Err(error),
        None => Ok(done),
    }
}

/// Works off what is owed to the directories until nothing more is due.
///
/// # Errors
/// When the database fails.
pub async fn drain(ctx: &Ctx) -> Result<usize, ServiceError> {
    let mut all = 0;
    loop {
        let done = deliver::deliver(ctx).await?;
        all += done;
        if done == 0 {
            return Ok(all);
        }
    }
}

async fn timetable(ctx: &Ctx, what: &str, directory: &str) -> Result<usize, ServiceError> {
    let name = format!("{what}:{directory}");
    let token = new_id();
    if !heartbeat::claim(ctx, &name, token, Duration::minutes(15)).await? {
        return Ok(0);
    }
    let (every, outcome) = match what {
        "sync" => (
            ctx.provisioning.sync_every,
            sync::sync(ctx, directory).await.map(|found| format!("{} people, {} new or changed, {} not active", found.people, found.changed, found.left)),
        ),
        _ => (
            ctx.provisioning.sweep_every,
            sweep::sweep(ctx, directory).await.map(|found| {
                format!(
                    "{} groups, {} members without a grant, {} missing, {} that should be gone",
                    found.groups, found.unexpected, found.missing, found.lingering
                )
            }),
        ),
    };
    heartbeat::done(ctx, &name, token, every, outcome.as_ref().map(String::as_str).map_err(ToString::to_string)).await?;
    outcome.map(|_| 1)
}
