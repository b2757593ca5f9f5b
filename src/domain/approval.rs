//! Who may decide, and what a decision does.

use super::id::PersonId;
use super::refusal::Refusal;
use super::request::RequestStatus;
use super::span::Seconds;

pub use super::slot::{ActingAs, Seat, SlotState, unfillable};

/// A request as far as deciding needs to know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deciding {
    /// Who made it.
    pub requester: PersonId,
    /// For whom.
    pub beneficiary: PersonId,
    /// Who set it going without making it: whoever asked that a membership nobody granted becomes a grant.
    pub started_by: Option<PersonId>,
    /// Where it stands.
    pub status: RequestStatus,
    /// The open step, counted from 1.
    pub step_no: usize,
    /// The steps in order; step n is at n - 1.
    pub steps: Vec<Vec<SlotState>>,
    /// Whether one person may decide only once.
    pub distinct_people: bool,
    /// Whether a denial needs a reason.
    pub comment_to_deny: bool,
    /// What was asked for; none: without end.
    pub duration: Option<Seconds>,
    /// The shortest that an approver before chose.
    pub granted: Option<Seconds>,
    /// The policy's shortest duration.
    pub minimum: Seconds,
}

impl Deciding {
    /// Whether `person` may never decide on it: it is theirs, for them, or was started by them.
    pub fn is_own(&self, person: PersonId) -> bool {
        person == self.requester || person == self.beneficiary || self.started_by == Some(person)
    }
}

/// What an approver says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Yes, for as long as asked or for less.
    Approve {
        /// None: as long as asked.
        granted: Option<Seconds>,
    },
    /// No.
    Deny,
}

/// What an answer does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// The step still waits for others.
    Waiting,
    /// The step is done; the one with this number, counted from 1, opens.
    Step(usize),
    /// Every step is done.
    Approved,
    /// The request is denied.
    Denied,
}

/// An accepted answer: the slot it fills, counted from 1, and what follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answered {
    /// The slot of the open step.
    pub slot_no: usize,
    /// Whether that slot now has its count.
    pub slot_done: bool,
    /// What follows.
    pub next: Next,
    /// How long access may last now: the shortest of what was asked for and what approvers chose.
    pub granted: Option<Seconds>,
}

/// Takes the answer of `by`, who says why in `comment`.
///
/// # Errors
/// A [`Refusal`] when the request is closed, when `by` is requester or beneficiary, was not asked at the open step or has decided
/// before, when the chosen duration is longer than asked or shorter than the policy allows, when a needed reason is missing, or, of
/// an approval, as [`may_approve`].
pub fn answer(request: &Deciding, by: PersonId, answer: &Answer, comment: Option<&str>) -> Result<Answered, Refusal> {
    let slot_index = match answer {
        Answer::Deny => may_deny(request, by)?,
        Answer::Approve { .. } => may_approve(request, by)?,
    };
    let granted = match answer {
        Answer::Deny => {
            if request.comment_to_deny && comment.is_none_or(|text| text.trim().is_empty()) {
                return Err(Refusal::ReasonRequired);
            }
            return Ok(Answered { slot_no: slot_index + 1, slot_done: true, next: Next::Denied, granted: request.granted });
        }
        Answer::Approve { granted } => *granted,
    };
    if let (Some(chosen), Some(asked)) = (granted, request.duration)
        && chosen > asked
    {
        return Err(Refusal::LongerThanAsked(asked));
    }
    if let Some(chosen) = granted
        && chosen < request.minimum
    {
        return Err(Refusal::ShorterThanAllowed(request.minimum));
    }
    let shortest = [request.duration, request.granted, granted].into_iter().flatten().min();
    let step = &request.steps[request.step_no - 1];
    let slot_done = step[slot_index].approved_by.len() + 1 >= step[slot_index].approvals as usize;
    let step_done = slot_done && step.iter().enumerate().all(|(i, slot)| i == slot_index || slot.is_done());
    let next = match (step_done, request.step_no < request.steps.len()) {
        (false, _) => Next::Waiting,
        (true, true) => Next::Step(request.step_no + 1),
        (true, false) => Next::Approved,
    };
    Ok(Answered { slot_no: slot_index + 1, slot_done, next, granted: shortest })
}

/// The slot of the open step, counted from 0, that an answer of `by` would fill: of several, the first that leaves people enough
/// for the rest. The page and the act both ask here.
///
/// Nobody answers what they made or what is for them, nor in the place of somebody who made it or whom it is for. Of a place, as of
/// one who is away and their delegate, one person answers in a slot.
///
/// # Errors
/// As [`answer`], as far as it does not depend on what is answered. Who was never asked learns nothing else.
pub fn may_answer(request: &Deciding, by: PersonId) -> Result<usize, Refusal> {
    if request.is_own(by) {
        return Err(Refusal::OwnRequest);
    }
    let seats = |from: usize| request.steps.iter().skip(from).flatten().filter_map(|slot| slot.seat(by));
    if seats(0).next().is_none() {
        return Err(Refusal::NotAsked);
    }
    if seats(0).all(|seat| seat.ended) {
        return Err(Refusal::NoLongerAsked);
    }
    pending(request.status)?;
    let Some(step) = request.step_no.checked_sub(1).and_then(|i| request.steps.get(i)) else {
        return Err(Refusal::MovedOn);
    };
    let decided_before = request.steps.iter().flatten().any(|slot| slot.approved_by.contains(&by));
    let decided_here = step.iter().any(|slot| slot.approved_by.contains(&by));
    if decided_here || (request.distinct_people && decided_before) {
        return Err(Refusal::AlreadyDecided);
    }
    let sits = |i: &usize| step[*i].seat(by).filter(|seat| !seat.ended);
    if !(0..step.len()).any(|i| sits(&i).is_some()) {
        let later = seats(request.step_no).any(|seat| !seat.ended);
        return Err(if later { Refusal::NotYet } else { Refusal::MovedOn });
    }
    let partial = |i: &usize| sits(i).is_some_and(|seat| !seat.is_impartial(request.requester, request.beneficiary));
    let taken = |i: &usize| sits(i).is_some_and(|seat| step[*i].is_taken(seat.place()));
    let free = |i: &usize| sits(i).is_some() && !step[*i].is_done() && !partial(i) && !taken(i);
    let good = (0..step.len()).filter(free).find(|slot| leaves_enough(request, by, *slot));
    good.or_else(|| (0..step.len()).find(free)).ok_or_else(|| {
        let any = |holds: &dyn Fn(&usize) -> bool| (0..step.len()).any(|i| !step[i].is_done() && holds(&i));
        if any(&partial) {
            Refusal::InPlaceOfOwn
        } else if any(&taken) {
            Refusal::PlaceTaken
        } else {
            Refusal::MovedOn
        }
    })
}

/// The slot of the open step, counted from 0, that a denial of `by` would fill: also while a question waits for its answer.
///
/// # Errors
/// As [`may_answer`].
pub fn may_deny(request: &Deciding, by: PersonId) -> Result<usize, Refusal> {
    match request.status {
        RequestStatus::NeedsInfo => may_answer(&Deciding { status: RequestStatus::Pending, ..request.clone() }, by),
        _ => may_answer(request, by),
    }
}

/// The first slot of the open step, counted from 0, that those who are asked there can no longer fill; none when they can.
pub fn short_slot(request: &Deciding) -> Option<usize> {
    let step = Deciding { steps: request.steps.iter().take(request.step_no).cloned().collect(), ..request.clone() };
    open_seats(&step, None).map(|(_, slot)| slot - 1)
}

/// Whether the request takes answers at all now.
///
/// # Errors
/// Says what it waits for, or how it was closed.
pub fn pending(status: RequestStatus) -> Result<(), Refusal> {
    match status {
        RequestStatus::Pending => Ok(()),
        RequestStatus::Submitted => Err(Refusal::Unconfirmed),
        RequestStatus::NeedsInfo => Err(Refusal::QuestionOpen),
        closed => Err(Refusal::Closed(closed.word())),
    }
}

/// The slot of the open step, counted from 0, that an approval of `by` would fill.
///
/// # Errors
/// As [`may_answer`]; and [`Refusal::NeededElsewhere`] when another slot would then lack people enough, which has them now.
pub fn may_approve(request: &Deciding, by: PersonId) -> Result<usize, Refusal> {
    let slot = may_answer(request, by)?;
    if !leaves_enough(request, by, slot) && open_seats(request, None).is_none() {
        return Err(Refusal::NeededElsewhere);
    }
    Ok(slot)
}

/// Whether people enough remain for everything that is still to be approved once `by` has approved in `slot` of the open step.
fn leaves_enough(request: &Deciding, by: PersonId, slot: usize) -> bool {
    let last = if request.distinct_people { request.steps.len() } else { request.step_no };
    let mut sits_in = request.steps[request.step_no - 1..last].iter().flatten().filter(|slot| slot.seat(by).is_some_and(|seat| !seat.ended));
    // Who sits in one slot only is of no use elsewhere.
    let alone = sits_in.nth(1).is_none();
    alone || open_seats(request, Some((by, slot))).is_none()
}

/// The first slot that cannot be filled from the open step on, with an approval of one more person in a slot of it.
pub(super) fn open_seats(request: &Deciding, with: Option<(PersonId, usize)>) -> Option<(usize, usize)> {
    let open = request.step_no.checked_sub(1)?;
    let used = |step: usize, person: PersonId| {
        let slots = request.steps.iter().enumerate().filter(|(s, _)| request.distinct_people || *s == step).map(|(_, slots)| slots);
        let now = with.is_some_and(|(by, _)| by == person && (request.distinct_people || step == open));
        now || slots.flatten().any(|slot| slot.approved_by.contains(&person))
    };
    let rest = |s: usize, l: usize, slot: &SlotState| {
        let one_more = with.filter(|(_, filled)| s == open && *filled == l).and_then(|(by, _)| slot.seat(by));
        let taken = |place: PersonId| slot.is_taken(place) || one_more.is_some_and(|seat| seat.place() == place);
        SlotState {
            approvals: slot.approvals.saturating_sub(slot.approved_by.len() as u32 + u32::from(one_more.is_some())),
            asked: slot.asked.iter().filter(|seat| !used(s, seat.person) && !taken(seat.place())).cloned().collect(),
            approved_by: Vec::new(),
        }
    };
    let ahead = request.steps.iter().enumerate().skip(open);
    let steps: Vec<Vec<SlotState>> = ahead.map(|(s, slots)| slots.iter().enumerate().map(|(l, slot)| rest(s, l, slot)).collect()).collect();
    unfillable(&steps, request.requester, request.beneficiary, request.distinct_people)
}

#[cfg(test)]
mod tests;
