//! An administrator holds a directory back.
//!
//! Nothing is lost meanwhile: what is wanted stays owed and is done when the directory goes on. Held back is new access only. Removals
//! go on, and so does reading who left, as revoking is the promise that must not wait; only who says so twice holds back everything.

use crate::clock::new_id;
use crate::domain::event::{Event, Fact, Subject};
use crate::domain::policy::FieldFault;
use crate::domain::refusal::Refusal;
use crate::store::{event, pause};

// For the floor above, which does not know the store.
pub use crate::store::pause::PauseRow;

use super::ask::tidy;
use super::commit::commit;
use super::ctx::{By, Ctx};
use super::error::ServiceError;
use super::heartbeat;

/// What is to be held back.
#[derive(Clone, Debug, Default)]
pub struct Pausing {
    /// Removals and readings too.
    pub everything: bool,
    /// Said again, when everything is: access that has ended stays until the directory goes on.
    pub confirmed: bool,
    /// Why.
    pub reason: Option<String>,
}

/// Holds `directory` back, as an administrator.
///
/// # Errors
/// [`ServiceError::Missing`] for anybody else, and for a directory that there is not; a fault of `reason` or `confirmed`;
/// [`Refusal::AlreadyPaused`].
pub async fn pause(ctx: &Ctx, by: &By, directory: &str, said: &Pausing) -> Result<(), ServiceError> {
    may(ctx, by, directory)?;
    let reason = tidy(said.reason.as_deref(), "reason")?;
    let fault = |field: &str, sentence: &str| FieldFault { field: field.into(), sentence: sentence.into() };
    let mut faults = Vec::new();
    if reason.is_none() {
        faults.push(fault("reason", "Say why: who finds it paused wants to know."));
    }
    if said.everything && !said.confirmed {
        faults.push(fault("confirmed", "Tick that you know it: people keep access that has ended until the directory goes on."));
    }
    let (Some(reason), true) = (reason, faults.is_empty()) else { return Err(Refusal::Faults(faults).into()) };
    let mut tx = ctx.db.begin().await?;
    if !pause::insert(&mut tx, new_id(), directory, (said.everything, &reason), by.person, ctx.clock.now()).await? {
        return Err(Refusal::AlreadyPaused.into());
    }
    let fact = Fact::DirectoryPaused { directory: directory.into(), everything: said.everything, reason };
    event::append(&mut tx, &[Event { actor: by.actor(), channel: by.channel, subject: Subject::default(), fact }]).await?;
    commit(tx).await
}

/// Lets `directory` go on, as an administrator: what is owed is done at once, and its groups are compared.
///
/// # Errors
/// [`ServiceError::Missing`] for anybody else, and for a directory that there is not; [`Refusal::NotPaused`].
pub async fn resume(ctx: &Ctx, by: &By, directory: &str) -> Result<(), ServiceError> {
    may(ctx, by, directory)?;
    let mut tx = ctx.db.begin().await?;
    if !pause::resume(&mut tx, directory, by.person, ctx.clock.now()).await? {
        return Err(Refusal::NotPaused.into());
    }
    let fact = Fact::DirectoryResumed { directory: directory.into() };
    event::append(&mut tx, &[Event { actor: by.actor(), channel: by.channel, subject: Subject::default(), fact }]).await?;
    commit(tx).await?;
    for what in ["sync", "sweep"] {
        heartbeat::run_now(ctx, &format!("{what}:{directory}")).await?;
    }
    Ok(())
}

/// Every directory that is paused now.
///
/// # Errors
/// When the database fails.
pub async fn now(ctx: &Ctx) -> Result<Vec<PauseRow>, ServiceError> {
    Ok(pause::now(&ctx.db).await?)
}

/// Keys of the directories in which everything is held back now.
///
/// # Errors
/// When the database fails.
pub async fn held(ctx: &Ctx) -> Result<Vec<String>, ServiceError> {
    Ok(now(ctx).await?.into_iter().filter(|pause| pause.everything).map(|pause| pause.directory).collect())
}

/// The pause of `directory`, if it is paused.
///
/// # Errors
/// When the database fails.
pub async fn of(ctx: &Ctx, directory: &str) -> Result<Option<PauseRow>, ServiceError> {
    Ok(now(ctx).await?.into_iter().find(|row| row.directory == directory))
}

fn may(ctx: &Ctx, by: &By, directory: &str) -> Result<(), ServiceError> {
    if by.is_administrator && ctx.directories.contains_key(directory) { Ok(()) } else { Err(ServiceError::Missing) }
}
