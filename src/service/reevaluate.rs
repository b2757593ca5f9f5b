//! A request whose rules, role or target changed is asked again under what holds now.

use chrono::{DateTime, Utc};

use crate::domain::event::{Event, Fact};
use crate::domain::id::RequestId;
use crate::domain::refusal::Refusal;
use crate::domain::request::RequestStatus;
use crate::store::db::Tx;
use crate::store::{event, request};

use super::commit;
use super::ctx::By;
use super::error::ServiceError;

/// Closes the open request `old` in favour of `new`, which the same transaction writes.
///
/// # Errors
/// [`ServiceError::Missing`] when there is none; a refusal when it is closed already.
pub async fn give_way(tx: &mut Tx, by: &By, old: RequestId, new: RequestId, now: DateTime<Utc>) -> Result<(), ServiceError> {
    let row = request::lock(tx, old).await?.ok_or(ServiceError::Missing)?;
    let status = RequestStatus::parse(&row.status).ok_or(ServiceError::Missing)?;
    if !status.is_open() {
        return Err(Refusal::Closed(status.word()).into());
    }
    request::close(tx, old, RequestStatus::Withdrawn, row.granted_s, now).await?;
    let fact = Fact::RequestSuperseded { by: new, changes: vec![] };
    event::append(tx, &[Event { actor: by.actor(), channel: by.channel, subject: commit::about(&row), fact }]).await?;
    Ok(())
}
