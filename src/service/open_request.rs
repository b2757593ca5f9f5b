//! An open request, locked for somebody who takes part.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::domain::approval::Deciding;
use crate::domain::id::RequestId;
use crate::domain::policy::{AccessPolicy, FieldFault};
use crate::domain::refusal::Refusal;
use crate::store::db::Tx;
use crate::store::grounds;
use crate::store::request::{self, RequestRow};
use crate::store::step::{self, StepRow};

use super::answer::deciding;
use super::ask::tidy;
use super::ctx::{By, Ctx};
use super::error::ServiceError;
use super::fetch;

/// A request that is locked until its transaction ends.
pub struct OpenRequest {
    /// The transaction that holds it.
    pub tx: Tx,
    /// Its row.
    pub row: RequestRow,
    /// Its steps.
    pub steps: Vec<StepRow>,
    /// As the rules of acting know it.
    pub deciding: Deciding,
    /// The version that governs.
    pub policy: Arc<AccessPolicy>,
    /// Read under the lock.
    pub now: DateTime<Utc>,
}

/// Locks a request that `by` made, that is for them, or in which they were asked; also for who reads everything. With `asked_now` the
/// directory is asked first whether they are still active.
///
/// # Errors
/// [`ServiceError::Missing`] for anybody else; [`Refusal::Closed`] for a request that asked nobody; [`Refusal::NotActive`];
/// [`ServiceError::Unavailable`] when the directory does not answer.
pub async fn take(ctx: &Ctx, by: &By, id: RequestId, asked_now: bool) -> Result<OpenRequest, ServiceError> {
    let found = grounds::of_answering(&ctx.db, id, by.person).await?.ok_or(ServiceError::Missing)?;
    let theirs = found.asked || by.reads_everything() || [found.request.requester_id, found.request.beneficiary_id].contains(&by.person.0);
    if !theirs {
        return Err(ServiceError::Missing);
    }
    let policy = found.request.policy_version_id.ok_or(ServiceError::Refused(Refusal::Closed("refused")))?;
    let policy = ctx.policies.version(&ctx.db, policy.into()).await?;
    if asked_now {
        let person = found.people.iter().find(|person| person.id == by.person.0).ok_or(ServiceError::Missing)?;
        if !fetch::person(ctx, person).await?.active {
            return Err(Refusal::NotActive.into());
        }
    }
    let mut tx = ctx.db.begin().await?;
    let row = request::lock(&mut tx, id).await?.ok_or(ServiceError::Missing)?;
    let now = ctx.clock.now();
    let steps = step::steps(&mut tx, id, now).await?;
    let deciding = deciding(&row, &steps, &policy);
    Ok(OpenRequest { tx, row, steps, deciding, policy, now })
}

/// Text that must be there, tidied.
///
/// # Errors
/// A fault of `field` with `missing` when nothing is left; otherwise as [`tidy`].
pub fn needed(text: &str, field: &str, missing: &str) -> Result<String, Refusal> {
    tidy(Some(text), field)?.ok_or_else(|| fault(field, missing))
}

/// A fault of one field.
pub fn fault(field: &str, sentence: &str) -> Refusal {
    Refusal::Faults(vec![FieldFault { field: field.into(), sentence: sentence.into() }])
}
