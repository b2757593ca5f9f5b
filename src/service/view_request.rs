//! An asked person opens a request for the first time.

use crate::domain::event::{Event, Fact};
use crate::domain::id::RequestId;
use crate::store::{event, request};

use super::commit;
use super::ctx::{By, Ctx};
use super::error::ServiceError;

/// Records that `by` has opened the request, if they are asked and had not before.
///
/// # Errors
/// When the database fails.
pub async fn viewed(ctx: &Ctx, by: &By, id: RequestId) -> Result<(), ServiceError> {
    let mut tx = ctx.db.begin().await?;
    if !request::viewed(&mut tx, id, by.person, ctx.clock.now()).await? {
        return Ok(());
    }
    if let Some(row) = request::lock(&mut tx, id).await? {
        let step_no = row.step_no.unwrap_or_default() as usize;
        event::append(&mut tx, &[Event { actor: by.actor(), channel: by.channel, subject: commit::about(&row), fact: Fact::ApprovalViewed { step_no } }])
            .await?;
    }
    commit::commit(tx).await
}
