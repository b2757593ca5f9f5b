//! Asks again under the rules that hold now.

use chrono::{DateTime, Utc};

use crate::domain::act::may_reevaluate;
use crate::domain::event::{Event, Fact};
use crate::domain::id::{GrantId, RequestId};
use crate::domain::refusal::Refusal;
use crate::domain::request::RequestStatus;
use crate::domain::span::Seconds;
use crate::store::db::Tx;
use crate::store::error::StoreError;
use crate::store::{event, request};

use super::ask::{AskFor, Asked, ask};
use super::changed::{self, Difference};
use super::commit;
use super::ctx::{By, Ctx};
use super::error::ServiceError;
use super::overseen::{self, Overseen};

/// Asks again what the open request `id` asks, under the rules that hold now; the new request takes its place. For whoever takes part in it
/// or oversees it; the requester stays who they were.
///
/// # Errors
/// [`ServiceError::Missing`] when it is not theirs to see; a refusal of [`may_reevaluate`]; otherwise as [`ask`], and then the old request
/// stays as it was.
pub async fn again(ctx: &Ctx, by: &By, id: RequestId) -> Result<Asked, ServiceError> {
    let Overseen { row, deciding, oversees, role, inputs, pinned, governing, separation } = overseen::look(ctx, by, id).await?;
    let changes = changed::since(ctx, &inputs, pinned, changed::Now { governing: &governing, separation: &separation }, role.as_ref()).await?;
    may_reevaluate(&deciding, by.person, oversees, !changes.is_empty())?;
    let texts = request::texts(&ctx.db, id).await?.ok_or(ServiceError::Missing)?;
    let fields = texts.fields.as_deref().map(serde_json::from_str).transpose().map_err(StoreError::from)?.unwrap_or_default();
    let now = ctx.clock.now();
    let ask_for = AskFor {
        requester: Some(row.requester_id.into()),
        beneficiary: Some(row.beneficiary_id.into()),
        duration: row.duration_s.map(Seconds),
        // A start that has passed meanwhile is as soon as it is approved.
        starts_at: row.wanted_start.filter(|start| *start > now),
        justification: texts.justification,
        ticket_reference: texts.ticket_reference,
        fields,
        extension_of: row.extension_of.map(GrantId),
        supersedes: Some(id),
        started_by: row.started_by.map(Into::into),
        changes: changes.iter().map(Difference::line).collect(),
        ..AskFor::new(row.role_id.into())
    };
    ask(ctx, by, ask_for).await
}

/// Closes the open request `old` in favour of `new`, which the same transaction writes, because of `changes`.
///
/// # Errors
/// [`ServiceError::Missing`] when there is none; a refusal when it is closed already.
pub async fn give_way(tx: &mut Tx, by: &By, old: RequestId, new: RequestId, changes: &[String], now: DateTime<Utc>) -> Result<(), ServiceError> {
    let row = request::lock(tx, old).await?.ok_or(ServiceError::Missing)?;
    let status = RequestStatus::parse(&row.status).ok_or(ServiceError::Missing)?;
    if !status.is_open() {
        return Err(Refusal::Closed(status.word()).into());
    }
    request::close(tx, old, RequestStatus::Withdrawn, row.granted_s, now).await?;
    let fact = Fact::RequestSuperseded { by: new, changes: changes.to_vec() };
    event::append(tx, &[Event { actor: by.actor(), channel: by.channel, subject: commit::about(&row), fact }]).await?;
    Ok(())
}
