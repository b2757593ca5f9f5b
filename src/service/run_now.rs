//! An administrator does not want to wait for the timetable.

use uuid::Uuid;

use crate::store::look_provisioning;

use super::ctx::{By, Ctx};
use super::error::ServiceError;
use super::heartbeat;

/// Makes the comparison of all groups of every directory due at once, and wakes the worker.
///
/// # Errors
/// [`ServiceError::Missing`] for anybody but an administrator; when the database fails.
pub async fn compare_groups(ctx: &Ctx, by: &By) -> Result<(), ServiceError> {
    may(by)?;
    for directory in ctx.directories.keys() {
        heartbeat::run_now(ctx, &format!("sweep:{directory}")).await?;
    }
    Ok(())
}

/// Makes the reading of everybody in `directory` due at once, and wakes the worker.
///
/// # Errors
/// [`ServiceError::Missing`] for anybody but an administrator, and for a directory that there is not; when the database fails.
pub async fn read_people(ctx: &Ctx, by: &By, directory: &str) -> Result<(), ServiceError> {
    may(by)?;
    if !ctx.directories.contains_key(directory) {
        return Err(ServiceError::Missing);
    }
    heartbeat::run_now(ctx, &format!("sync:{directory}")).await
}

/// Makes a membership that keeps failing due at once, and wakes the worker.
///
/// # Errors
/// [`ServiceError::Missing`] for anybody but an administrator, and for a membership for which nothing is owed; when the database
/// fails.
pub async fn try_membership(ctx: &Ctx, by: &By, id: Uuid) -> Result<(), ServiceError> {
    may(by)?;
    if !look_provisioning::due_now(&ctx.db, id, ctx.clock.now()).await? {
        return Err(ServiceError::Missing);
    }
    ctx.wake.notify_one();
    Ok(())
}

fn may(by: &By) -> Result<(), ServiceError> {
    if by.is_administrator { Ok(()) } else { Err(ServiceError::Missing) }
}
