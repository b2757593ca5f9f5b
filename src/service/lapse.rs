//! What time does: leases begin and end, steps lapse.

use uuid::Uuid;

use crate::domain::event::Fact;
use crate::domain::grant::{EndReason, GrantStatus};
use crate::store::{delegation, event, grant, step_clock, target};

use super::commit::{self, about_grant, by_system};
use super::ctx::Ctx;
use super::error::ServiceError;
use super::{stand_in, tend};

/// How many rows one transaction takes.
const BATCH: i64 = 200;

/// Does everything that is due by now. Returns how many things were.
///
/// # Errors
/// When the database fails; what was done before stays done.
pub async fn lapse(ctx: &Ctx) -> Result<usize, ServiceError> {
    Ok(leases(ctx).await? + steps(ctx).await?)
}

/// Begins and ends the leases whose time has come; asks no directory. Returns how many.
///
/// # Errors
/// As [`lapse`].
pub async fn leases(ctx: &Ctx) -> Result<usize, ServiceError> {
    let mut done = 0;
    loop {
        // Beginnings before ends, so that a lease and its extension never leave a gap between them.
        let batch = begin(ctx).await? + expire(ctx).await?;
        done += batch;
        if batch == 0 {
            break;
        }
    }
    if done > 0 {
        ctx.wake.notify_one();
    }
    Ok(done)
}

/// Tends the steps whose time has come; a directory may be asked who is to be asked next. Returns how many things were done.
///
/// # Errors
/// As [`lapse`].
pub async fn steps(ctx: &Ctx) -> Result<usize, ServiceError> {
    let mut done = 0;
    let mut tried = Vec::new();
    loop {
        let batch = tend_due(ctx, &mut tried).await?;
        done += batch;
        if batch == 0 {
            break;
        }
    }
    if done > 0 {
        ctx.wake.notify_one();
    }
    Ok(done)
}

async fn begin(ctx: &Ctx) -> Result<usize, ServiceError> {
    let now = ctx.clock.now();
    let mut tx = ctx.db.begin().await?;
    let due = grant::lock_starting(&mut tx, now, BATCH).await?;
    let mut events = Vec::new();
    let mut targets = Vec::new();
    for row in &due {
        grant::delivering(&mut tx, row.id.into(), GrantStatus::Provisioning, false, None, now).await?;
        events.push(by_system(about_grant(row), Fact::ProvisioningStarted { target: row.target_id.to_string() }));
        targets.push(row.target_id);
    }
    event::append(&mut tx, &events).await?;
    target::raise(&mut tx, &targets, now).await?;
    commit::commit(tx).await?;
    Ok(due.len())
}

async fn expire(ctx: &Ctx) -> Result<usize, ServiceError> {
    let now = ctx.clock.now();
    let mut tx = ctx.db.begin().await?;
    let due = grant::lock_over(&mut tx, now, BATCH).await?;
    let mut events = Vec::new();
    let mut targets = Vec::new();
    for row in due.iter().filter(|row| row.lease().is_over(now)) {
        grant::end(&mut tx, row.id.into(), EndReason::Expired, None, None, now).await?;
        events.push(by_system(about_grant(row), Fact::GrantExpired { ends_at: row.ends_at.unwrap_or(now) }));
        targets.push(row.target_id);
    }
    event::append(&mut tx, &events).await?;
    target::raise(&mut tx, &targets, now).await?;
    commit::commit(tx).await?;
    Ok(events.len())
}

/// Steps whose limit or reminder has come, and delegates whose time is over. Each request is tended once: what cannot be done now
/// keeps nothing else waiting.
async fn tend_due(ctx: &Ctx, tried: &mut Vec<Uuid>) -> Result<usize, ServiceError> {
    let now = ctx.clock.now();
    let mut done = 0;
    for id in delegation::over(&ctx.db, BATCH, now).await? {
        done += usize::from(stand_in::end(ctx, id.into()).await?);
    }
    let due = step_clock::due(&ctx.db, now, tried, BATCH).await?;
    tried.extend(&due);
    Ok(done + tend::tend_all(ctx, &due).await?)
}
