//! Says that a worker lives, and what is due when.

use chrono::{DateTime, Duration, Utc};
use uuid::Uuid;

use crate::domain::event::{Fact, Subject};
use crate::store::{event, timetable};

use super::commit::{self, by_system};
use super::ctx::Ctx;
use super::error::ServiceError;

/// A clock that is off by more than this is an event.
const CLOCK_OFF: Duration = Duration::seconds(5);

/// How long a worker that says nothing still counts where several share the limits of a directory.
const SHARES: Duration = Duration::seconds(15);

/// For how long a worker is new; a little less than the time between two beats.
const SETTLES: Duration = Duration::milliseconds(4_500);

/// Says that worker `id` is alive, follows the database's clock, shares the limits of the directories among all who are, and removes
/// what has expired.
///
/// # Errors
/// When the database fails.
pub async fn beat(ctx: &Ctx, id: Uuid, started_at: DateTime<Utc>) -> Result<(), ServiceError> {
    follow_clock(ctx).await?;
    let now = ctx.clock.now();
    timetable::beat(&ctx.db, id, started_at, now).await?;
    timetable::stopped(&ctx.db, None, now - Duration::hours(1)).await?;
    let live = u32::try_from(timetable::live(&ctx.db, now - SHARES).await?).unwrap_or(u32::MAX);
    // The others hear of a new one when they beat next; until then it keeps to what they leave free.
    let among = if live > 1 && now - started_at < SETTLES { live.saturating_mul(10) } else { live };
    ctx.directories.values().for_each(|directory| directory.share(among));
    timetable::tidy(&ctx.db, now).await?;
    Ok(())
}

/// Moves the clock onto the database's.
///
/// # Errors
/// When the database fails.
pub async fn follow_clock(ctx: &Ctx) -> Result<(), ServiceError> {
    let reading = ctx.db.clock().await?;
    let off = ctx.clock.set(reading);
    if off.abs() > CLOCK_OFF {
        tracing::warn!(by_ms = off.num_milliseconds(), "the database's clock and this machine's disagree");
        let mut tx = ctx.db.begin().await?;
        event::append(&mut tx, &[by_system(Subject::default(), Fact::ClockJumped { by_ms: off.num_milliseconds() })]).await?;
        commit::commit(tx).await?;
    }
    Ok(())
}

/// Takes worker `id` off the list when it stops.
///
/// # Errors
/// When the database fails.
pub async fn stop(ctx: &Ctx, id: Uuid) -> Result<(), ServiceError> {
    Ok(timetable::stopped(&ctx.db, Some(id), ctx.clock.now() - Duration::hours(1)).await?)
}

/// When a worker was last heard of.
///
/// # Errors
/// When the database fails.
pub async fn last(ctx: &Ctx) -> Result<Option<DateTime<Utc>>, ServiceError> {
    Ok(timetable::last_beat(&ctx.db).await?)
}

/// Claims the entry `name` of the timetable if it is due, for at most `hold`.
///
/// # Errors
/// When the database fails.
pub async fn claim(ctx: &Ctx, name: &str, token: Uuid, hold: Duration) -> Result<bool, ServiceError> {
    let now = ctx.clock.now();
    Ok(timetable::claim(&ctx.db, name, token, now, now + hold).await?)
}

/// Holds a claim for `hold` longer; false when another worker has taken it over.
///
/// # Errors
/// When the database fails.
pub async fn hold(ctx: &Ctx, name: &str, token: Uuid, hold: Duration) -> Result<bool, ServiceError> {
    Ok(timetable::hold(&ctx.db, name, token, ctx.clock.now() + hold).await?)
}

/// Writes how a run went, with an event where reading a directory failed otherwise than the last time; the next is due `every` later, or in a minute if it failed.
///
/// # Errors
/// When the database fails.
pub async fn done(ctx: &Ctx, name: &str, token: Uuid, every: Duration, outcome: Result<&str, String>) -> Result<(), ServiceError> {
    let now = ctx.clock.now();
    if let Err(error) = &outcome
        && let Some((_, directory)) = name.split_once(':')
        && timetable::last_error(&ctx.db, name).await?.as_ref() != Some(error)
    {
        // Once for each new error: an outage must not fill the log.
        let mut tx = ctx.db.begin().await?;
        event::append(&mut tx, &[by_system(Subject::default(), Fact::DirectoryFailed { directory: directory.into(), error: error.clone() })]).await?;
        commit::commit(tx).await?;
    }
    let next = now + if outcome.is_ok() { every } else { every.min(Duration::minutes(1)) };
    Ok(timetable::done(&ctx.db, name, token, now, next, outcome.as_ref().map(|detail| *detail).map_err(String::as_str)).await?)
}

/// Makes the entry `name` due at once and wakes the worker.
///
/// # Errors
/// When the database fails.
pub async fn run_now(ctx: &Ctx, name: &str) -> Result<(), ServiceError> {
    timetable::run_now(&ctx.db, name, ctx.clock.now()).await?;
    ctx.wake.notify_one();
    Ok(())
}

/// How long a worker may be silent before work is held to have stopped.
const SILENT: Duration = Duration::seconds(30);

/// That the database answers with the schema this program knows, and that a worker was heard of lately.
///
/// # Errors
/// [`ServiceError::Unavailable`] says which is not so.
pub async fn ready(ctx: &Ctx) -> Result<(), ServiceError> {
    ctx.db.check_schema().await?;
    match last(ctx).await? {
        Some(beat) if ctx.clock.now() - beat < SILENT => Ok(()),
        Some(_) => Err(ServiceError::Unavailable("The worker has not been heard of lately, so nothing is provisioned or revoked.".into())),
        None => Err(ServiceError::Unavailable("No worker has started yet.".into())),
    }
}
