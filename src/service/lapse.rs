//! What time does: leases begin and end, steps time out.

use crate::domain::event::Fact;
use crate::domain::grant::{EndReason, GrantStatus};
use crate::domain::request::RequestStatus;
use crate::store::{event, grant, request, target};

use super::commit::{self, about, about_grant, by_system};
use super::ctx::Ctx;
use super::error::ServiceError;

/// How many rows one transaction takes.
const BATCH: i64 = 200;

/// Does everything that is due by now. Returns how many things were.
///
/// # Errors
/// When the database fails; what was done before stays done.
pub async fn lapse(ctx: &Ctx) -> Result<usize, ServiceError> {
    let mut done = 0;
    loop {
        // Beginnings before ends, so that a lease and its extension never leave a gap between them.
        let batch = begin(ctx).await? + expire(ctx).await? + time_out(ctx).await?;
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

async fn time_out(ctx: &Ctx) -> Result<usize, ServiceError> {
    let now = ctx.clock.now();
    let mut tx = ctx.db.begin().await?;
    let due = request::lock_overdue(&mut tx, now, BATCH).await?;
    for row in &due {
        request::close(&mut tx, row.id.into(), RequestStatus::TimedOut, row.granted_s, now).await?;
        event::append(&mut tx, &[by_system(about(row), Fact::RequestTimedOut { step_no: row.step_no.unwrap_or_default() as usize })]).await?;
    }
    commit::commit(tx).await?;
    Ok(due.len())
}
