//! One turn of the worker: whatever is due now.
//!
//! Tests call [`turn`] and move the clock; the server calls [`soon`], [`read`] and [`daily`] from [`super::run`]. Everything periodic is due by a row of the
//! database, never by how long this process has been up.

use chrono::Duration;

use crate::clock::new_id;
use crate::service::change::{carry_out, weigh};
use crate::service::ctx::Ctx;
use crate::service::error::ServiceError;
use crate::service::{
    confirm, deliver, emergency_review, erase, health, heartbeat, import, lapse, leave, movers, pause, recheck, seal, separation_scan, subscribe, sweep, sync,
    sync_changes, witness,
};

/// How often it is seen to that directories call us.
const SUBSCRIPTION: Duration = Duration::hours(12);

/// Does everything that is due: what is due soon, what reads the directories, and what is due once a day. Returns how much was done; nothing is left that was due
/// when it began.
///
/// # Errors
/// The first failure, after everything else was tried.
pub async fn turn(ctx: &Ctx) -> Result<usize, ServiceError> {
    let before = soon(ctx).await;
    let read = read(ctx).await;
    let after = soon(ctx).await;
    let weighed = weigh::due(ctx).await;
    let daily = daily(ctx).await;
    let sealed = seal::seal(ctx).await;
    let witnessed = witness::due(ctx).await;
    Ok(before? + read? + after? + weighed? + daily? + sealed? + witnessed?)
}

/// Looks that are due once a day, by the timetable: dead ends in the rules, grants that separation rules keep apart, what was kept
/// long enough, and which groups the directories have.
///
/// # Errors
/// The first failure, after everything else was tried.
pub async fn daily(ctx: &Ctx) -> Result<usize, ServiceError> {
    let health = look(ctx, Look::Health).await;
    let separation = look(ctx, Look::Separation).await;
    let retention = look(ctx, Look::Retention).await;
    let mut done = 0;
    for key in ctx.directories.keys() {
        done += groups(ctx, key).await?;
    }
    Ok(done + separation? + health? + retention?)
}

/// What is looked for once a day.
#[derive(Clone, Copy)]
enum Look {
    Health,
    Separation,
    Retention,
}

async fn look(ctx: &Ctx, what: Look) -> Result<usize, ServiceError> {
    let name = match what {
        Look::Health => "health",
        Look::Separation => "separation",
        Look::Retention => "retention",
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
        Look::Retention => erase::retain(ctx).await.map(|[people, requests, sign_ins, notices, not_yet]| {
            format!("erased {people} people ({not_yet} cannot be yet), {requests} requests, {sign_ins} sign-ins, {notices} notices")
        }),
    };
    heartbeat::done(ctx, name, token, Duration::days(1), outcome.as_ref().map(String::as_str).map_err(ToString::to_string)).await?;
    outcome.map(|_| 1)
}

/// Lists the groups of a directory, for choosing from. One that does not answer is asked again, and delays nothing.
async fn groups(ctx: &Ctx, directory: &str) -> Result<usize, ServiceError> {
    let (name, token) = (format!("groups:{directory}"), new_id());
    if pause::of(ctx, directory).await?.is_some_and(|pause| pause.everything) || !heartbeat::claim(ctx, &name, token, Duration::hours(1)).await? {
        return Ok(0);
    }
    let outcome = import::list::list_groups(ctx, directory).await.map(|groups| format!("{groups} groups"));
    heartbeat::done(ctx, &name, token, Duration::days(1), outcome.as_ref().map(String::as_str).map_err(ToString::to_string)).await?;
    Ok(1)
}

/// Does what cannot wait: what time alone does, who left or moved, and what is owed to the directories. Returns how much was done.
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
    done += keep(recheck::some(ctx).await);
    done += keep(leave::due(ctx).await);
    done += keep(movers::due(ctx).await);
    done += keep(drain(ctx).await);
    match first {
        Some(error) => Err(error),
        None => Ok(done),
    }
}

/// Reads and compares the directories, each by its timetable and none waiting for another. Returns how much was done.
///
/// # Errors
/// The first failure, after everything else was tried.
pub async fn read(ctx: &Ctx) -> Result<usize, ServiceError> {
    let one = async |key: &String| {
        let (mut done, mut first) = (0, None);
        let calls = ctx.hooks.get(key).is_some_and(|hook| hook.address.is_some());
        let what = ["sync", "changes", "sweep", "subscription"];
        for what in what.into_iter().filter(|what| calls || *what != "subscription") {
            match timetable(ctx, what, key).await {
                Ok(did) => done += did,
                Err(error) => drop(first.get_or_insert(error)),
            }
        }
        first.map_or(Ok(done), Err)
    };
    let asked = recheck::due(ctx).await;
    // Whether one is paused is not known when this fails: then all are left alone.
    let held = pause::held(ctx).await?;
    let read: Result<usize, ServiceError> =
        futures_util::future::join_all(ctx.directories.keys().filter(|key| !held.contains(key)).map(one)).await.into_iter().sum();
    Ok(asked? + read?)
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
    if !heartbeat::claim(ctx, &name, token, if what == "sync" { sync::HOLD } else { Duration::minutes(15) }).await? {
        return Ok(0);
    }
    let (every, outcome) = match what {
        "sync" => (
            ctx.provisioning.sync_every(directory),
            sync::under(ctx, directory, Some((&name, token))).await.map(|found| {
                format!("{} people, {} new or changed, {} who seem to have left, {} groups", found.people, found.changed, found.left, found.groups)
            }),
        ),
        "changes" => (
            ctx.provisioning.changes_every(directory),
            sync_changes::follow(ctx, directory).await.map(|followed| match followed {
                Some(found) => format!("{} people and {} managed groups named", found.people, found.groups),
                None => "it does not say what changed since it was read".into(),
            }),
        ),
        "subscription" => {
            let outcome = subscribe::keep_up(ctx, directory).await;
            let outcome = outcome.map(|said| said.unwrap_or_else(|| "it is told otherwise when to call".into()));
            (SUBSCRIPTION, outcome)
        }
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
