//! What people do with a request besides deciding.

use chrono::{DateTime, Utc};

use super::approval::{Deciding, may_answer, may_approve, may_deny, open_seats, pending};
use super::id::PersonId;
use super::refusal::Refusal;
use super::request::{RequestStatus, withdraw};
use super::slot::{ActingAs, Seat};
use super::span::Seconds;

/// Requester or beneficiary may nudge once in this long.
pub const NUDGE_EVERY: Seconds = Seconds(4 * 3_600);

/// Everything that can be done with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Say yes.
    Approve,
    /// Say no.
    Deny,
    /// Take it back.
    Withdraw,
    /// Ask the requester something; the step waits.
    AskQuestion,
    /// Answer that.
    AnswerQuestion,
    /// Hand one's place on.
    Reassign,
    /// Ask those who are asked to look.
    Nudge,
    /// Agree to what somebody else asked for.
    Confirm,
    /// Ask others too, because it waited too long.
    Escalate,
    /// Note a sign-off given elsewhere; it counts for nothing.
    NoteSignOff,
    /// Have it asked for again under the rules of now.
    Reevaluate,
    /// Look at an emergency afterwards.
    ReviewEmergency,
}

impl Act {
    /// Every act.
    pub const ALL: [Act; 12] = [
        Self::Approve,
        Self::Deny,
        Self::Withdraw,
        Self::AskQuestion,
        Self::AnswerQuestion,
        Self::Reassign,
        Self::Nudge,
        Self::Confirm,
        Self::Escalate,
        Self::NoteSignOff,
        Self::Reevaluate,
        Self::ReviewEmergency,
    ];
}

/// Who acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doer {
    /// A person who is signed in and active.
    Person {
        /// Who.
        id: PersonId,
        /// Whether they own the role or its application, or administer the service.
        oversees: bool,
    },
    /// Nobody: time has passed.
    Clock,
}

/// A request as far as the acts around deciding need to know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acting {
    /// As deciding knows it.
    pub deciding: Deciding,
    /// Whether the procedure of the open step lets who is asked hand it on.
    pub reassign: bool,
    /// When those who are asked were nudged last.
    pub nudged_at: Option<DateTime<Utc>>,
    /// Whether its policy, role or target is no longer what it was asked for under.
    pub changed: bool,
    /// Of an emergency: its review.
    pub review: Option<Review>,
}

/// The review that an emergency owes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Review {
    /// Who was skipped and has not left, and so may make it. When nobody is, whoever oversees the request stands in.
    pub reviewers: Vec<PersonId>,
    /// Whether it has been made.
    pub made: bool,
}

/// Whether `by` may do `act` now, as far as it does not depend on what they write or whom they choose: pages ask here which acts to
/// offer, and every act asks again when it is done.
///
/// # Errors
/// Says why not.
pub fn may(act: Act, request: &Acting, by: Doer, now: DateTime<Utc>) -> Result<(), Refusal> {
    let Doer::Person { id, oversees } = by else {
        return if act == Act::Escalate { pending(request.deciding.status) } else { Err(Refusal::NotInvolved) };
    };
    match act {
        Act::Approve if request.changed => may_approve(&request.deciding, id).and(Err(Refusal::RulesChanged)),
        Act::Approve => may_approve(&request.deciding, id).map(drop),
        Act::Deny => may_deny(&request.deciding, id).map(drop),
        Act::Withdraw => withdraw(request.deciding.status, request.deciding.requester, request.deciding.beneficiary, id),
        Act::AskQuestion => may_ask_question(&request.deciding, id),
        Act::AnswerQuestion => may_answer_question(&request.deciding, id),
        Act::Reassign => may_hand_on(&request.deciding, id, request.reassign).map(drop),
        Act::Nudge => may_nudge(&request.deciding, id, request.nudged_at, now),
        Act::Confirm => may_confirm(&request.deciding, id),
        Act::Escalate => Err(Refusal::OnlyTheClock),
        Act::NoteSignOff => may_note_sign_off(&request.deciding, id, oversees),
        Act::Reevaluate => may_reevaluate(&request.deciding, id, oversees, request.changed),
        Act::ReviewEmergency => may_review(&request.deciding, id, oversees, request.review.as_ref()),
    }
}

fn is_party(request: &Deciding, person: PersonId) -> bool {
    person == request.requester || person == request.beneficiary
}

/// Whether it can still be acted on at all.
fn open(status: RequestStatus) -> Result<(), Refusal> {
    if status.is_open() { Ok(()) } else { Err(Refusal::Closed(status.word())) }
}

/// Whether `by` may ask the requester something: whoever could decide now. The step waits until it is answered; one question at a time.
///
/// # Errors
/// As [`may_answer`].
pub fn may_ask_question(request: &Deciding, by: PersonId) -> Result<(), Refusal> {
    may_answer(request, by).map(drop)
}

/// Whether `by` may answer the open question: who made the request, or whom it is for.
///
/// # Errors
/// Says why not.
pub fn may_answer_question(request: &Deciding, by: PersonId) -> Result<(), Refusal> {
    if !is_party(request, by) {
        return Err(Refusal::NotParty);
    }
    open(request.status)?;
    if request.status == RequestStatus::NeedsInfo { Ok(()) } else { Err(Refusal::NoQuestion) }
}

/// The slot of the open step, counted from 0, that `by` may hand on to somebody: whoever could decide now, where the procedure lets them.
///
/// # Errors
/// As [`may_answer`], and [`Refusal::NotReassignable`].
pub fn may_hand_on(request: &Deciding, by: PersonId, reassign: bool) -> Result<usize, Refusal> {
    let slot = may_answer(request, by)?;
    if reassign { Ok(slot) } else { Err(Refusal::NotReassignable) }
}

/// Hands the place of `by` on to `to`: the slot of the open step, counted from 0, and the seat of `to`. The seat of `by` ends; of a
/// place, whoever it is handed on to, one person answers.
///
/// # Errors
/// As [`may_hand_on`]; and when `to` made the request or gets what it asks for, is or was asked at this step, has decided before where
/// one person counts once, or is so needed elsewhere that the request could no longer be approved.
pub fn may_reassign(request: &Deciding, by: PersonId, to: PersonId, reassign: bool) -> Result<(usize, Seat), Refusal> {
    let slot = may_hand_on(request, by, reassign)?;
    if request.is_own(to) {
        return Err(Refusal::ReassignToOwn);
    }
    let step = request.step_no - 1;
    let asked = request.steps[step].iter().any(|slot| slot.seat(to).is_some());
    let decided = request.distinct_people && request.steps.iter().flatten().any(|slot| slot.approved_by.contains(&to));
    if asked || decided {
        return Err(Refusal::AskedAlready);
    }
    let mut after = request.clone();
    let mut place = by;
    for seat in after.steps[step][slot].asked.iter_mut().filter(|seat| seat.person == by) {
        place = seat.place();
        seat.ended = true;
    }
    let seat = Seat { acting_as: ActingAs::Reassigned, acting_for: Some(place), ..to.into() };
    after.steps[step][slot].asked.push(seat.clone());
    if open_seats(&after, None).is_some() && open_seats(request, None).is_none() {
        return Err(Refusal::LeavesTooFew);
    }
    Ok((slot, seat))
}

/// Whether `by` may nudge those who are asked: who made the request, or whom it is for, while it is pending, once in 4 hours.
///
/// # Errors
/// Says why not, and when again.
pub fn may_nudge(request: &Deciding, by: PersonId, nudged_at: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Result<(), Refusal> {
    if !is_party(request, by) {
        return Err(Refusal::NotParty);
    }
    pending(request.status)?;
    let left = nudged_at.map_or(0, |last| NUDGE_EVERY.0 - (now - last).num_seconds());
    // To the minute, and never too early.
    if left > 0 { Err(Refusal::NudgedLately(Seconds((left + 59) / 60 * 60))) } else { Ok(()) }
}

/// Whether `by` may confirm what somebody else asked for: whom it is for, while it waits for that.
///
/// # Errors
/// Says why not.
pub fn may_confirm(request: &Deciding, by: PersonId) -> Result<(), Refusal> {
    if by != request.beneficiary {
        return Err(Refusal::NotBeneficiary);
    }
    open(request.status)?;
    if request.status == RequestStatus::Submitted { Ok(()) } else { Err(Refusal::NothingToConfirm) }
}

/// Whether `by` takes part: made it, gets what it asks for, is asked or has decided, or `oversees` it.
fn takes_part(request: &Deciding, by: PersonId, oversees: bool) -> Result<(), Refusal> {
    let asked = || request.steps.iter().flatten().any(|slot| slot.seat(by).is_some());
    if oversees || is_party(request, by) || asked() { Ok(()) } else { Err(Refusal::NotInvolved) }
}

/// Whether `by` may note a sign-off that was given elsewhere: whoever takes part or oversees, while the request is open. It never
/// counts as an approval.
///
/// # Errors
/// Says why not.
pub fn may_note_sign_off(request: &Deciding, by: PersonId, oversees: bool) -> Result<(), Refusal> {
    takes_part(request, by, oversees)?;
    open(request.status)
}

/// Whether `by` may have the request asked for again under the rules of now: whoever takes part or oversees, while it is open, when
/// they have `changed`.
///
/// # Errors
/// Says why not.
pub fn may_reevaluate(request: &Deciding, by: PersonId, oversees: bool, changed: bool) -> Result<(), Refusal> {
    takes_part(request, by, oversees)?;
    open(request.status)?;
    if changed { Ok(()) } else { Err(Refusal::NothingChanged) }
}

/// Whether `by` may review the emergency: who was skipped and has not left; when they all have, who `oversees` it, so that no debt stays
/// for ever. Never who asked or got it, and once. Of what was no emergency `review` is none.
///
/// # Errors
/// Says why not.
pub fn may_review(request: &Deciding, by: PersonId, oversees: bool, review: Option<&Review>) -> Result<(), Refusal> {
    if is_party(request, by) {
        return Err(Refusal::OwnRequest);
    }
    let Some(review) = review else { return Err(Refusal::NoReviewOwed) };
    let left = review.reviewers.iter().all(|person| is_party(request, *person));
    let theirs = review.reviewers.contains(&by) || left && oversees;
    match (theirs, review.made) {
        (false, _) => Err(Refusal::NotReviewer),
        (true, true) => Err(Refusal::AlreadyReviewed),
        (true, false) => Ok(()),
    }
}

#[cfg(test)]
mod tests;
