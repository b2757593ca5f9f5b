//! One turn of the worker: whatever is due now.
//!
//! Tests call [`turn`] and move the clock; the server calls [`soon`] and [`daily`] from [`super::run`]. Everything periodic is due by a row of the
//! database, never by how long this process has been up.

use chrono::Duration;

use crate::clock::new_id;
use crate::service::change::{carry_out, weigh};
use crate::service::ctx::Ctx;
use crate::service::error::ServiceError;
use crate::service::{confirm, deliver, emergency_review, health, heartbeat, lapse, separation_scan, sweep, sync};

/// Does everything that is due: what is due soon, and what is due once a day. Returns how much was done; nothing is left that was due
/// when it began.
///
/// # Errors
/// The first failure, after everything else was tried.
pub async fn turn(ctx: &Ctx) -> Result<usize, ServiceError> {
    let soon = soon(ctx).await;
    let weighed = weigh::due(ctx).await;
    let daily = daily(ctx).await;
    Ok(soon? + weighed? + daily?)
}

/// Looks that are due once a day, by the timetable: dead ends in the rules, and grants that separation rules keep apart.
///
/// # Errors
/// The first failure, after everything else was tried.
pub async fn daily(ctx: &Ctx) -> Result<usize, ServiceError> {
    let health = look(ctx, Look::Health).await;
    Ok(look(ctx, Look::Separation).await? + health?)
}

/// What is looked for once a day.
#[derive(Clone, Copy)]
enum Look {
    Health,
    Separation,
}

async fn look(ctx: &Ctx, what: Look) -> Result<usize, ServiceError> {
    let name = match what {
        Look::Health => "health",
        Look::Separation => "separation",
    };
    let token = new_id();
    if !heartbeat::claim(ctx, name, token, Duration::hours(1)).await? {
        return Ok(0);
    }
    let outcome = match what {
        Look::Health => health::keep::keep(ctx)
            .await
            .map(|found| format!("{} findings, {} of them dead ends", found.len(), found.iter().filter(|finding| finding.kind.is_dead()).count())),
        Look::Separation => separation_scan::scan(ctx)
            .await
            .map(|scanned| format!("{} held together, {} of them new, {} resolved", scanned.open, scanned.found, scanned.resolved)),
    };
    heartbeat::done(ctx, name, token, Duration::days(1), outcome.as_ref().map(String::as_str).map_err(ToString::to_string)).await?;
    outcome.map(|_| 1)
}

/// Does what cannot wait: what time alone does, what is owed to the directories, and their timetable. Returns how much was done.
///
/// # Errors
/// The first failure, after everything else was tried.
pub async fn soon(ctx: &Ctx) -> Result<usize, ServiceError> {
    let mut first: Option<ServiceError> = None;
    let mut keep = |outcome: Result<usize, ServiceError>| match outcome {
        Ok(done) => done,
        Err(error) => {
            first.get_or_insert(error);
            0
        }
    };
    let mut done = keep(lapse::lapse(ctx).await);
    done += keep(confirm::lapse(ctx).await);
    done += keep(emergency_review::overdue(ctx).await);
    done += keep(carry_out::due(ctx).await);
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
            ctx.provisioning.sync_every(directory),
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
