//! Somebody answers for a membership without a grant.

use chrono::{DateTime, Duration, Utc};
use uuid::Uuid;

use crate::clock::new_id;
use crate::domain::event::Fact;
use crate::domain::id::PersonId;
use crate::domain::policy::FieldFault;
use crate::domain::refusal::Refusal;
use crate::service::ask::tidy;
use crate::service::commit;
use crate::service::ctx::{By, Ctx};
use crate::service::error::ServiceError;
use crate::service::heartbeat;
use crate::store::managed_group::{self, NewException};
use crate::store::{drift, person};

use super::act::{seen, still};
use super::adopt::told;

/// The longest that a difference may be left alone, in days.
pub const LONGEST: i64 = 366;

/// What is said when a difference is left alone.
#[derive(Clone, Debug, Default)]
pub struct Ignoring {
    /// Why.
    pub reason: Option<String>,
    /// Who answers for it; none: who says so.
    pub owner: Option<PersonId>,
    /// Until when.
    pub until: Option<DateTime<Utc>>,
}

/// Leaves a membership without a grant alone until a day, as `by`, who owns the role or administers: it is declared, somebody answers
/// for it, and when the time is up it is a difference again.
///
/// # Errors
/// [`ServiceError::Missing`] for anybody else; a fault of `reason`, `owner` or `until`; [`Refusal::NotUnexpected`],
/// [`Refusal::DriftSettled`], [`Refusal::DriftBusy`].
pub async fn ignore(ctx: &Ctx, by: &By, id: Uuid, said: &Ignoring) -> Result<(), ServiceError> {
    let (row, _) = seen(ctx, by, id).await?;
    let (reason, now) = (tidy(said.reason.as_deref(), "reason")?, ctx.clock.now());
    let fault = |field: &str, sentence: &str| FieldFault { field: field.into(), sentence: sentence.into() };
    let mut faults = Vec::new();
    if reason.is_none() {
        faults.push(fault("reason", "Say why this may stay as it is."));
    }
    match said.until {
        None => faults.push(fault("until", "Say until when: an exception ends by itself.")),
        Some(until) if until <= now => faults.push(fault("until", "Must lie in the future.")),
        Some(until) if until - now > Duration::days(LONGEST) => faults.push(fault("until", "Must be at most 366 days away.")),
        Some(_) => {}
    }
    let owner = person::by_id(&ctx.db, said.owner.unwrap_or(by.person)).await?;
    match &owner {
        Some(owner) if !owner.is_active() => faults.push(fault("owner", "They are not active in the directory; name somebody who is.")),
        Some(owner) if Some(owner.id) == row.person_id || (owner.directory == row.directory && owner.reference == row.person_reference) => {
            faults.push(fault("owner", "Nobody answers for their own membership; name somebody else."))
        }
        Some(_) => {}
        None => faults.push(fault("owner", "There is nobody of that name; use their login or mail address.")),
    }
    // Nobody may have looked up yet whose membership it is.
    let own = match row.person_id {
        Some(person) => person == by.person.0,
        None => person::by_id(&ctx.db, by.person).await?.is_some_and(|by| by.directory == row.directory && by.reference == row.person_reference),
    };
    if own {
        faults.push(fault("reason", "Nobody leaves their own membership alone; somebody else has to."));
    }
    let (Some(reason), Some(until), Some(owner), true) = (reason, said.until, owner, faults.is_empty()) else {
        return Err(Refusal::Faults(faults).into());
    };
    let mut tx = ctx.db.begin().await?;
    let row = drift::lock(&mut tx, id).await?.ok_or(ServiceError::Missing)?;
    still(&row)?;
    let new = NewException { id: new_id(), drift: row.id, reason: &reason, owner: PersonId(owner.id), by: by.person, until };
    managed_group::except(&mut tx, &new, now).await?;
    drift::resolve(&mut tx, row.id, ("ignored", "left alone"), Some(by.person.0), now).await?;
    let (directory, group, person) = (row.directory.clone(), row.group_reference.clone(), row.person_reference.clone());
    let ignored =
        Fact::DriftIgnored { directory: directory.clone(), group: group.clone(), person: person.clone(), reason: reason.clone(), owner: owner.named(), until };
    let resolved = Fact::DriftResolved { drift: row.kind.clone(), directory, group, person, resolution: "left alone".into() };
    told(&mut tx, &row, (by.actor(), by.channel), vec![ignored, resolved]).await?;
    commit::commit(tx).await
}

/// Ends that a difference is left alone, as `by`, who owns the role or administers; the next comparison, due at once, finds it again.
///
/// # Errors
/// [`ServiceError::Missing`] for anybody else; [`Refusal::DriftSettled`] when nobody answers for it any more.
pub async fn end(ctx: &Ctx, by: &By, id: Uuid) -> Result<(), ServiceError> {
    let (row, _) = seen(ctx, by, id).await?;
    let mut tx = ctx.db.begin().await?;
    let exception = managed_group::exception_of(&mut tx, id).await?.ok_or(Refusal::DriftSettled)?;
    managed_group::end_exceptions(&mut tx, &[exception.id], ctx.clock.now()).await?;
    let fact = Fact::DriftExceptionEnded {
        directory: row.directory.clone(),
        group: row.group_reference.clone(),
        person: row.person_reference.clone(),
        why: "somebody ended it".into(),
    };
    told(&mut tx, &row, (by.actor(), by.channel), vec![fact]).await?;
    commit::commit(tx).await?;
    heartbeat::run_now(ctx, &format!("sweep:{}", row.directory)).await
}
