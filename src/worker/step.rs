//! One turn of the worker: whatever is due now.
//!
//! Tests call [`turn`] and move the clock; the server calls the parts of it from [`super::run`], so that none waits for another. Everything
//! periodic is due by a row of the database, never by how long this process has been up.

use chrono::Duration;
use futures_util::future::join_all;

use crate::clock::new_id;
use crate::service::change::{carry_out, weigh};
use crate::service::ctx::Ctx;
use crate::service::error::ServiceError;
use crate::service::{
    alone, confirm, deliver, emergency_review, erase, health, heartbeat, import, lapse, leave, measure, movers, pause, recheck, schedule, seal,
    separation_scan, subscribe, sweep, sync, sync_changes, witness,
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
    let mut listed = 0;
    for directory in ctx.directories.keys() {
        listed += groups(ctx, directory).await?;
    }
    let sealed = seal::seal(ctx).await;
    let witnessed = witness::due(ctx).await;
    let sent = schedule::due::due(ctx).await;
    Ok(before? + read? + after? + weighed? + daily? + listed + sealed? + witnessed? + sent?)
}

/// Looks that take long, by the timetable: dead ends in the rules, grants that separation rules keep apart, what was kept long enough, and what
/// the log has to count.
///
/// # Errors
/// The first failure, after everything else was tried.
pub async fn daily(ctx: &Ctx) -> Result<usize, ServiceError> {
    let health = look(ctx, Look::Health).await;
    let separation = look(ctx, Look::Separation).await;
    let retention = look(ctx, Look::Retention).await;
    let measured = measure::due(ctx).await;
    Ok(separation? + health? + retention? + measured?)
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

/// The first failure of several things, each of which is tried.
#[derive(Default)]
struct All {
    done: usize,
    first: Option<ServiceError>,
}

impl All {
    fn and(&mut self, outcome: Result<usize, ServiceError>) {
        match outcome {
            Ok(done) => self.done += done,
            Err(error) => drop(self.first.get_or_insert(error)),
        }
    }

    fn outcome(self) -> Result<usize, ServiceError> {
        self.first.map_or(Ok(self.done), Err)
    }
}

/// Does what cannot wait: what time alone does, who left or moved, and what is owed to the directories. Returns how much was done.
///
/// # Errors
/// The first failure, after everything else was tried.
pub async fn soon(ctx: &Ctx) -> Result<usize, ServiceError> {
    let mut all = All::default();
    all.and(on_time(ctx).await);
    for outcome in join_all(ctx.directories.keys().map(|directory| recheck::some(ctx, directory))).await {
        all.and(outcome);
    }
    all.and(tend(ctx).await);
    for outcome in join_all(ctx.directories.keys().map(|directory| movers::due(ctx, directory))).await {
        all.and(outcome);
    }
    all.and(drain(ctx).await);
    all.outcome()
}

/// Does what time alone does and ends what people had who left: asks no directory, and so waits for none. Returns how much was done.
///
/// # Errors
/// The first failure, after everything else was tried.
pub async fn on_time(ctx: &Ctx) -> Result<usize, ServiceError> {
    let mut all = All::default();
    all.and(lapse::leases(ctx).await);
    all.and(leave::begin(ctx).await);
    all.and(confirm::lapse(ctx).await);
    all.outcome()
}

/// Does what may have to ask who is to be asked next: steps, reviews, changes of the rules, seats of people who left, and memberships in
/// directories that there are no more. Returns how much was done.
///
/// # Errors
/// The first failure, after everything else was tried.
pub async fn tend(ctx: &Ctx) -> Result<usize, ServiceError> {
    let mut all = All::default();
    all.and(lapse::steps(ctx).await);
    all.and(emergency_review::overdue(ctx).await);
    all.and(carry_out::due(ctx).await);
    all.and(leave::due(ctx).await);
    all.and(deliver::strays(ctx).await);
    all.outcome()
}

/// Asks `directory` about a few people who may have left, and about holders whose grace is over. Returns how much was done.
///
/// # Errors
/// The first failure, after everything else was tried.
pub async fn ask(ctx: &Ctx, directory: &str) -> Result<usize, ServiceError> {
    let mut all = All::default();
    all.and(recheck::some(ctx, directory).await);
    all.and(movers::due(ctx, directory).await);
    all.outcome()
}

/// Reads and compares the directories, each by its timetable and none waiting for another. Returns how much was done.
///
/// # Errors
/// The first failure, after everything else was tried.
pub async fn read(ctx: &Ctx) -> Result<usize, ServiceError> {
    let mut all = All::default();
    for outcome in join_all(ctx.directories.keys().map(|directory| read_one(ctx, directory))).await {
        all.and(outcome);
    }
    all.outcome()
}

/// Reads and compares `directory` by its timetable, letting everything go first that cannot wait. Returns how much was done.
///
/// # Errors
/// The first failure, after everything else was tried.
pub async fn read_one(ctx: &Ctx, directory: &str) -> Result<usize, ServiceError> {
    let mut all = All::default();
    all.and(recheck::due(ctx, directory).await);
    // Whether it is paused is not known when this fails: then it is left alone.
    let held = pause::of(ctx, directory).await?.is_some_and(|pause| pause.everything);
    let calls = ctx.hooks.get(directory).is_some_and(|hook| hook.address.is_some());
    for what in ["sync", "changes", "sweep", "subscription"].into_iter().filter(|what| calls || *what != "subscription") {
        if !held && alone::until(ctx, directory).await?.is_none() {
            all.and(alone::patiently(timetable(ctx, what, directory)).await);
        }
    }
    all.outcome()
}

/// Lists the groups of a directory once a day, for choosing from. One that does not answer is asked again, and delays nothing.
///
/// # Errors
/// When the database fails.
pub async fn groups(ctx: &Ctx, directory: &str) -> Result<usize, ServiceError> {
    let (name, token) = (format!("groups:{directory}"), new_id());
    let held = pause::of(ctx, directory).await?.is_some_and(|pause| pause.everything) || alone::until(ctx, directory).await?.is_some();
    if held || !heartbeat::claim(ctx, &name, token, Duration::hours(1)).await? {
        return Ok(0);
    }
    let outcome = alone::patiently(import::list::list_groups(ctx, directory)).await.map(|groups| format!("{groups} groups"));
    heartbeat::done(ctx, &name, token, Duration::days(1), outcome.as_ref().map(String::as_str).map_err(ToString::to_string)).await?;
    Ok(1)
}

/// Works off what is owed to the directories until nothing more is due, each beside the others.
///
/// # Errors
/// The first failure of the database, after everything else was tried.
pub async fn drain(ctx: &Ctx) -> Result<usize, ServiceError> {
    let mut all = All::default();
    all.and(deliver::strays(ctx).await);
    for outcome in join_all(ctx.directories.keys().map(|directory| deliver::deliver(ctx, directory))).await {
        all.and(outcome);
    }
    all.outcome()
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
