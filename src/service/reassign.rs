//! Who is asked hands their place on to somebody else.

use crate::domain::act::{may_hand_on, may_reassign};
use crate::domain::event::{Event, Fact};
use crate::domain::id::{PersonId, RequestId};
use crate::domain::refusal::Refusal;
use crate::store::{delegation, event, notice, person, step, step_clock};

use super::ctx::{By, Ctx};
use super::error::ServiceError;
use super::open_request::{self, OpenRequest, fault, needed};
use super::{commit, fetch, stand_in};

/// Hands the place of `by` at the open step on to `to`, where the procedure lets them. `seen_step` is the step that `by` was shown.
/// Returns the name of who is asked now.
///
/// # Errors
/// A fault of `reason`, or of `to` when that is nobody or nobody active; a refusal of [`may_reassign`]; [`Refusal::MovedOn`]; otherwise
/// as [`open_request::take`].
pub async fn reassign(ctx: &Ctx, by: &By, id: RequestId, to: Option<PersonId>, reason: &str, seen_step: Option<usize>) -> Result<String, ServiceError> {
    let reason = needed(reason, "reason", "Say why: whoever takes it over reads it, and so does the auditor.");
    let chosen = match to {
        Some(to) => person::by_id(&ctx.db, to).await?,
        None => None,
    };
    // Asked before the transaction: nothing waits on a directory while a request is locked.
    let active = match &chosen {
        Some(row) if row.is_active() => fetch::person(ctx, row).await?.active,
        _ => false,
    };
    let OpenRequest { mut tx, row, steps, deciding, now, .. } = open_request::take(ctx, by, id, true).await?;
    let lets = steps.get(deciding.step_no.saturating_sub(1)).is_some_and(|step| step.reassign);
    may_hand_on(&deciding, by.person, lets)?;
    if seen_step.is_some_and(|seen| seen != deciding.step_no) {
        return Err(Refusal::MovedOn.into());
    }
    let reason = reason?;
    let Some(to) = chosen else { return Err(fault("to", "There is nobody of that name; use their login or mail address.").into()) };
    let (slot, seat) = may_reassign(&deciding, by.person, PersonId(to.id), lets)?;
    if !active {
        return Err(fault("to", &format!("{} is not active in the directory; choose somebody else.", to.display_name)).into());
    }
    let (step_no, slot_no) = (row.step_no.unwrap_or_default(), i32::try_from(slot + 1).unwrap_or(i32::MAX));
    step::end_seat(&mut tx, id, step_no, Some(slot_no), by.person, now).await?;
    step::seat(&mut tx, id, step_no, slot_no, &seat, now).await?;
    delegation::end_seats(&mut tx, id, now).await?;
    let from = person::names(&mut tx, &[by.person.0]).await?.pop().ok_or(ServiceError::Missing)?;
    let fact = Fact::ApprovalReassigned { step_no: deciding.step_no, slot_no: slot + 1, from, to: to.named(), reason: Some(reason.clone()) };
    event::append(&mut tx, &[Event { actor: by.actor(), channel: by.channel, subject: commit::about(&row), fact }]).await?;
    stand_in::ask_delegates(&mut tx, &row, step_no, now).await?;
    let called = step_clock::called(&mut tx, id).await?;
    let told = format!("{} handed a decision on to you: {} for {}. Reason: {reason}", by.name, called.role, called.beneficiary);
    notice::tell(&mut tx, &[PersonId(to.id)], "reassigned", Some(id), &told, now).await?;
    commit::commit(tx).await?;
    Ok(to.display_name)
}
