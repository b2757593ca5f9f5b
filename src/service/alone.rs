//! A directory asks to be left alone; all replicas do.

use std::time::Duration as StdDuration;

use chrono::{DateTime, Duration, Utc};

use crate::directory::facts::ReadError;
use crate::store::directory_wait;

// For the floor above, which does not know the directories.
pub use crate::directory::pace::patiently;

use super::commit;
use super::ctx::Ctx;
use super::error::ServiceError;

/// The longest that a directory is left alone, whatever it asks for: removals are owed to it.
const LONGEST: Duration = Duration::hours(1);

/// When a wait that begins `now` is over.
pub fn after(wait: StdDuration, now: DateTime<Utc>) -> DateTime<Utc> {
    now + Duration::from_std(wait).unwrap_or(LONGEST).min(LONGEST)
}

/// Until when `directory` is left alone, if it is.
///
/// # Errors
/// When the database fails.
pub async fn until(ctx: &Ctx, directory: &str) -> Result<Option<DateTime<Utc>>, ServiceError> {
    Ok(directory_wait::until(&ctx.db, directory, ctx.clock.now()).await?)
}

/// What a failed question to `directory` comes to; one that asks to wait is left alone so long.
pub async fn heed(ctx: &Ctx, directory: &str, error: &ReadError) -> ServiceError {
    if let ReadError::RateLimited { retry_after } = error
        && let Err(failed) = leave(ctx, directory, *retry_after).await
    {
        return failed;
    }
    ServiceError::Unavailable(error.to_string())
}

async fn leave(ctx: &Ctx, directory: &str, wait: StdDuration) -> Result<(), ServiceError> {
    let mut tx = ctx.db.begin().await?;
    directory_wait::leave_alone(&mut tx, directory, after(wait, ctx.clock.now())).await?;
    commit::commit(tx).await
}
