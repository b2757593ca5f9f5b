//! What people are told, and put aside.

use uuid::Uuid;

use crate::store::notice;

// For the floor above, which does not know the store.
pub use crate::store::notice::NoticeRow;

use super::ctx::{By, Ctx};
use super::error::ServiceError;

/// What `by` was told and has not put aside, newest first, at most `limit`.
///
/// # Errors
/// When the database fails.
pub async fn unseen(ctx: &Ctx, by: &By, limit: i64) -> Result<Vec<NoticeRow>, ServiceError> {
    Ok(notice::unseen(&ctx.db, by.person, limit).await?)
}

/// Puts one notice of `by` aside, or all of them. One that was put aside before stays so.
///
/// # Errors
/// [`ServiceError::Missing`] for one that is none of theirs.
pub async fn put_aside(ctx: &Ctx, by: &By, id: Option<Uuid>) -> Result<(), ServiceError> {
    if notice::seen(&ctx.db, by.person, id, ctx.clock.now()).await? || id.is_none() { Ok(()) } else { Err(ServiceError::Missing) }
}
