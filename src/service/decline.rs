//! The holder says that access is not to be extended.

use crate::domain::event::{Event, Fact};
use crate::domain::id::GrantId;
use crate::domain::refusal::Refusal;
use crate::store::{event, grant};

use super::commit;
use super::ctx::{By, Ctx};
use super::error::ServiceError;

/// Notes that the lease of `by` is not to be extended, or with `declined` false takes that back. Saying the same twice changes nothing.
///
/// # Errors
/// [`ServiceError::Missing`] for a lease that is not theirs; [`Refusal::AlreadyEnded`]; [`Refusal::NotExtendable`] for one without end.
pub async fn decline(ctx: &Ctx, by: &By, id: GrantId, declined: bool) -> Result<(), ServiceError> {
    let mut tx = ctx.db.begin().await?;
    let row = grant::lock(&mut tx, id).await?.filter(|row| row.beneficiary_id == by.person.0).ok_or(ServiceError::Missing)?;
    if !row.lease().status.is_live() {
        return Err(Refusal::AlreadyEnded.into());
    }
    if row.ends_at.is_none() {
        return Err(Refusal::NotExtendable("it has no end".into()).into());
    }
    if row.no_extension == declined {
        return Ok(());
    }
    grant::decline_extension(&mut tx, id, declined).await?;
    let fact = Fact::ExtensionDeclined { declined };
    event::append(&mut tx, &[Event { actor: by.actor(), channel: by.channel, subject: commit::about_grant(&row), fact }]).await?;
    commit::commit(tx).await
}
