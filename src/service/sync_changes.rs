//! Follows what changed in a directory since last time.

use crate::directory::facts::ReadError;
use crate::store::{directory_sync, recheck as queue};

use super::ctx::Ctx;
use super::error::ServiceError;
use super::{alone, commit, fetch, heartbeat, leave, recheck};

/// How many lists of changes are fetched in a row, so that a directory that always has more does not keep us.
const ROUNDS: usize = 200;

/// What was followed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Followed {
    /// People named, each of whom was asked about.
    pub people: usize,
    /// Groups named that give a role; they are compared with the leases.
    pub groups: usize,
}

/// Asks `directory` what changed since the last time, and about each person whom it names. None when it cannot tell, or has to be read
/// whole first.
///
/// # Errors
/// [`ServiceError::Unavailable`] when the directory does not answer; what was named before is kept, and the rest comes the next time.
pub async fn follow(ctx: &Ctx, directory: &str) -> Result<Option<Followed>, ServiceError> {
    let Some(mut token) = directory_sync::of(&ctx.db, directory).await?.and_then(|sync| sync.token) else { return Ok(None) };
    let port = fetch::directory(ctx, directory)?;
    let mut followed = Followed::default();
    for _ in 0..ROUNDS {
        let changes = match port.changes(Some(&token)).await {
            Ok(Some(changes)) => changes,
            Ok(None) => return Ok(None),
            Err(ReadError::Expired) => {
                let mut tx = ctx.db.begin().await?;
                directory_sync::followed(&mut tx, directory, None, ctx.clock.now()).await?;
                commit::commit(tx).await?;
                heartbeat::run_now(ctx, &format!("sync:{directory}")).await?;
                return Ok(None);
            }
            Err(error) => return Err(alone::heed(ctx, directory, &error).await),
        };
        let mut tx = ctx.db.begin().await?;
        let now = ctx.clock.now();
        queue::ask(&mut tx, directory, &changes.people, "change", false, now, now).await?;
        let managed = directory_sync::managed(&mut tx, directory, &changes.groups).await?;
        directory_sync::followed(&mut tx, directory, Some(&changes.next), now).await?;
        commit::commit(tx).await?;
        followed.people += changes.people.len();
        followed.groups += managed.len();
        if !changes.more || changes.next == token {
            break;
        }
        token = changes.next;
    }
    if followed.groups > 0 {
        heartbeat::run_now(ctx, &format!("sweep:{directory}")).await?;
    }
    recheck::due(ctx, directory).await?;
    leave::due(ctx).await?;
    Ok(Some(followed))
}
