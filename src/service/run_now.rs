//! An administrator does not want to wait for the timetable.

use uuid::Uuid;

use crate::domain::refusal::Refusal;
use crate::store::look_provisioning;

use super::ctx::{By, Ctx};
use super::error::ServiceError;
use super::{heartbeat, pause};

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

/// Makes something periodic of `directory` due at once, and wakes the worker.
///
/// # Errors
/// [`ServiceError::Missing`] for anybody but an administrator, and for a directory that there is not; [`Refusal::DirectoryPaused`] while
/// everything is held back there; when the database fails.
pub async fn of_directory(ctx: &Ctx, by: &By, what: What, directory: &str) -> Result<(), ServiceError> {
    may(by)?;
    if !ctx.directories.contains_key(directory) {
        return Err(ServiceError::Missing);
    }
    if pause::of(ctx, directory).await?.is_some_and(|pause| pause.everything) {
        return Err(Refusal::DirectoryPaused(directory.to_owned()).into());
    }
    heartbeat::run_now(ctx, &format!("{}:{directory}", what.word())).await
}

/// What is done to a directory by the timetable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// Everybody is read.
    People,
    /// Groups are compared with the leases.
    Comparison,
    /// Groups are listed, to choose from.
    Groups,
}

impl What {
    fn word(self) -> &'static str {
        match self {
            Self::People => "sync",
            Self::Comparison => "sweep",
            Self::Groups => "groups",
        }
    }
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
