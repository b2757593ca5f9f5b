//! Sends what is due, once, whoever else is at work.
//!
//! That a time has come is a row, made by whichever worker notices first; times that were missed are one row, of the last of them. A row
//! is worked on under a claim that its worker keeps up, and until something came of it: sent, or failed after so many tries.

use chrono::{DateTime, Duration, Utc};
use uuid::Uuid;

use crate::clock::new_id;
use crate::domain::event::{Fact, Subject};
use crate::domain::schedule::{Period, wait_minutes};
use crate::service::commit::{by_system, commit};
use crate::service::ctx::Ctx;
use crate::service::error::ServiceError;
use crate::store::error::StoreError;
use crate::store::event;
use crate::store::schedule::{self, Outcome, RunRow, ScheduleRow};

use super::make::when;
use super::send::{self, Trouble};

/// How long a claim lasts that nobody keeps up: its worker has died.
const HOLD: Duration = Duration::minutes(3);
/// How often it is kept up.
const KEEP: std::time::Duration = std::time::Duration::from_secs(30);
/// The longest text of what went wrong, in characters.
const LONGEST: usize = 500;

/// Notes what is due, and sends it. Returns how many runs were worked on.
///
/// # Errors
/// When the database fails. That something could not be sent is no error: its run tells.
pub async fn due(ctx: &Ctx) -> Result<usize, ServiceError> {
    note(ctx).await?;
    // Two, so that one that is slow does not hold up all others.
    let (one, other) = tokio::join!(work(ctx), work(ctx));
    Ok(one? + other?)
}

/// Sends one after the other until none is left.
async fn work(ctx: &Ctx) -> Result<usize, ServiceError> {
    let mut done = 0;
    loop {
        let (token, now) = (new_id(), ctx.clock.now());
        let Some(run) = schedule::claim(&ctx.db, token, now, now + HOLD).await? else { return Ok(done) };
        one(ctx, &run, token).await?;
        done += 1;
    }
}

/// Makes a run of every schedule whose time has come. One whose last run is not over waits for that.
///
/// # Errors
/// When the database fails.
pub async fn note(ctx: &Ctx) -> Result<usize, ServiceError> {
    let mut noted = 0;
    for row in schedule::running(&ctx.db).await? {
        let (Some(when), Some(period), now) = (when(&row), Period::parse(&row.period), ctx.clock.now()) else {
            return Err(StoreError::Broken(format!("the schedule {} does not read back", row.id)).into());
        };
        let next = when.next(now);
        if row.next_at > now && row.next_at <= next {
            continue;
        }
        let mut tx = ctx.db.begin().await?;
        if schedule::has_open(&mut tx, row.id).await? || !schedule::due_next(&mut tx, row.id, row.next_at, next).await? {
            continue;
        }
        // A clock that was ahead for a while has only put off what comes next.
        if row.next_at <= now {
            let due = when.last(now);
            noted += usize::from(schedule::add_run(&mut tx, new_id(), (row.id, due, None), period.bounds(due), now).await?);
        }
        commit(tx).await?;
    }
    Ok(noted)
}

async fn one(ctx: &Ctx, run: &RunRow, token: Uuid) -> Result<(), ServiceError> {
    let row = schedule::by_id(&ctx.db, run.schedule_id).await?.ok_or(ServiceError::Missing)?;
    let outcome = if run.tries > ctx.places.tries {
        let last = run.error.clone().unwrap_or_else(|| "the server stopped each time while it was being sent".into());
        Err(Trouble::Final(last))
    } else {
        tokio::select! {
            outcome = send::send(ctx, &row, run) => outcome,
            () = keep(ctx, run.id, token) => {
                tracing::warn!(schedule = row.name, run = %run.id, "the claim on a run was lost; it is sent anew by who claims it next");
                return Ok(());
            }
        }
    };
    let now = ctx.clock.now();
    match outcome {
        Ok(sent) => over(ctx, &row, run, token, sent, now).await,
        Err(Trouble::Again(error)) if run.tries < ctx.places.tries => {
            tracing::warn!(schedule = row.name, run = %run.id, tries = run.tries, %error, "what a schedule says could not be sent; it is tried again");
            Ok(schedule::again(&ctx.db, run.id, token, now + Duration::minutes(wait_minutes(run.tries)), &short(&error)).await?)
        }
        Err(Trouble::Again(error) | Trouble::Final(error)) => {
            tracing::error!(schedule = row.name, run = %run.id, tries = run.tries, %error, "what a schedule says could not be sent, and is not tried again");
            let failed = Outcome { result: "failed", sent_to: row.sent_to.join(", "), error: Some(short(&error)), ..Outcome::default() };
            over(ctx, &row, run, token, failed, now).await
        }
    }
}

/// Keeps the claim up until it is lost.
async fn keep(ctx: &Ctx, run: Uuid, token: Uuid) {
    let mut unheard = 0;
    loop {
        tokio::time::sleep(KEEP).await;
        match schedule::hold(&ctx.db, run, token, ctx.clock.now() + HOLD).await {
            Ok(true) => unheard = 0,
            Ok(false) => return,
            // Before the claim runs out: then it may be another's.
            Err(_) if unheard >= 3 => return,
            Err(_) => unheard += 1,
        }
    }
}

async fn over(ctx: &Ctx, row: &ScheduleRow, run: &RunRow, token: Uuid, outcome: Outcome, now: DateTime<Utc>) -> Result<(), ServiceError> {
    let mut tx = ctx.db.begin().await?;
    if !schedule::finish(&mut tx, run.id, Some(token), &outcome, now).await? {
        return Ok(());
    }
    let (schedule, name, from, to) = (row.id, row.name.clone(), run.period_from, run.period_to);
    let fact = match outcome.result {
        "failed" => {
            let (error, tries) = (outcome.error.unwrap_or_default(), run.tries.min(ctx.places.tries));
            Fact::ScheduledFailed { schedule, name, run: run.id, from, to, reference: outcome.sent_to, tries, error }
        }
        result => Fact::ScheduledSent {
            schedule,
            name,
            run: run.id,
            file: outcome.file.unwrap_or_default(),
            from,
            to,
            result: result.into(),
            reference: outcome.sent_to,
            bytes: outcome.bytes.and_then(|bytes| u64::try_from(bytes).ok()),
            sha256: outcome.sha256,
        },
    };
    event::append(&mut tx, &[by_system(Subject::default(), fact)]).await?;
    commit(tx).await
}

fn short(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST).collect()
}
