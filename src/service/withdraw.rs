//! The requester takes a request back.

use crate::domain::event::{Event, Fact};
use crate::domain::id::RequestId;
use crate::domain::request::{RequestStatus, withdraw as may_withdraw};
use crate::store::{event, request};

use super::ask::tidy;
use super::commit;
use super::ctx::{By, Ctx};
use super::error::ServiceError;

/// Withdraws an open request of `by`, or one for them.
///
/// # Errors
/// [`ServiceError::Missing`] for somebody else's; a refusal when it is closed already.
pub async fn withdraw(ctx: &Ctx, by: &By, id: RequestId, reason: Option<&str>) -> Result<(), ServiceError> {
    let reason = tidy(reason, "reason")?;
    let mut tx = ctx.db.begin().await?;
    let row = request::lock(&mut tx, id).await?.filter(|r| r.requester_id == by.person.0 || r.beneficiary_id == by.person.0).ok_or(ServiceError::Missing)?;
    let status = RequestStatus::parse(&row.status).ok_or(ServiceError::Missing)?;
    may_withdraw(status, row.requester_id.into(), row.beneficiary_id.into(), by.person)?;
    let now = ctx.clock.now();
    request::close(&mut tx, id, RequestStatus::Withdrawn, row.granted_s, now).await?;
    event::append(&mut tx, &[Event { actor: by.actor(), channel: by.channel, subject: commit::about(&row), fact: Fact::RequestWithdrawn { reason } }]).await?;
    commit::commit(tx).await
}
