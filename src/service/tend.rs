//! What time, and people leaving, do to an open request.
//!
//! Whom to ask is asked of the directory before anything is locked; what was found then is written only if the request is still as it
//! was read. So an approver who decides at the same moment is either first, and nothing escalates, or second, and decides all the same.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::domain::approval::{ActingAs, Deciding, Seat, short_slot};
use crate::domain::deadline::{StepClock, What, due};
use crate::domain::event::Fact;
use crate::domain::id::{PersonId, RequestId, RoleId};
use crate::domain::person::Named;
use crate::domain::policy::ApproverSource;
use crate::domain::request::RequestStatus;
use crate::store::db::Tx;
use crate::store::person::PersonRow;
use crate::store::request::{self, RequestRow};
use crate::store::step::{self, StepRow};
use crate::store::step_clock::{self, Called};
use crate::store::{catalog, delegation, event, notice, person, question};

use super::answer::deciding;
use super::commit::{self, about, by_system};
use super::ctx::Ctx;
use super::error::ServiceError;
use super::question::parties;
use super::{fetch, resolve, stand_in};

/// A request with its open step.
struct Open {
    row: RequestRow,
    steps: Vec<StepRow>,
    clock: StepClock,
    /// Who is asked at the open step and is not active any more.
    gone: Vec<PersonId>,
    now: DateTime<Utc>,
}

impl Open {
    fn same(&self, other: &Self) -> bool {
        let state = |open: &Self| (open.row.status.clone(), open.row.step_no, open.row.step_due_at, open.row.remind_at, open.row.escalated);
        state(self) == state(other) && self.steps == other.steps && self.gone == other.gone
    }

    fn step_no(&self) -> usize {
        self.row.step_no.unwrap_or_default().max(0) as usize
    }
}

/// What is to be done with it.
#[derive(Default)]
struct Plan {
    /// New seats in the place of who left: slot from 0, and who is asked.
    fallback: Vec<(usize, Vec<Named>)>,
    /// New seats because it waited too long, or because nobody else is left: slot from 0, and who.
    escalation: Vec<(usize, Vec<Named>)>,
    remind: bool,
    /// The open question ends without an answer.
    goes_on: bool,
    end: Option<End>,
}

enum End {
    TimedOut,
    /// Nobody is left who could approve.
    Nobody,
}

/// Does what is due to an open request by now: ends the seats of who is not active any more and asks the next source of their slot,
/// escalates, reminds, or closes it. Returns whether anything was done; not when somebody else was faster.
///
/// # Errors
/// [`ServiceError::Unavailable`] when whom to ask cannot be found out now: then nothing is done, and it stays due.
pub async fn tend(ctx: &Ctx, id: RequestId) -> Result<bool, ServiceError> {
    let mut tx = ctx.db.begin().await?;
    let Some(seen) = read(ctx, &mut tx, id).await? else { return Ok(false) };
    drop(tx);
    let Some(plan) = plan(ctx, &seen).await? else { return Ok(false) };
    let mut tx = ctx.db.begin().await?;
    let Some(open) = read(ctx, &mut tx, id).await? else { return Ok(false) };
    if !open.same(&seen) {
        return Ok(false);
    }
    write(&mut tx, open, plan).await?;
    commit::commit(tx).await?;
    Ok(true)
}

async fn read(ctx: &Ctx, tx: &mut Tx, id: RequestId) -> Result<Option<Open>, ServiceError> {
    let Some(row) = request::lock(tx, id).await?.filter(|row| row.step_no.is_some()) else { return Ok(None) };
    let now = ctx.clock.now();
    let steps = step::steps(tx, id, now).await?;
    let Some(clock) = step_clock::of(tx, id).await? else { return Ok(None) };
    let at = row.step_no.unwrap_or_default().max(1) as usize - 1;
    let asked: Vec<PersonId> =
        steps.get(at).iter().flat_map(|step| &step.slots).flat_map(|slot| &slot.asked).filter(|seat| !seat.ended).map(|s| s.person).collect();
    let gone = step_clock::inactive(tx, &asked).await?;
    Ok(Some(Open { row, steps, clock, gone, now }))
}

/// What is to be done; none when nothing is.
async fn plan(ctx: &Ctx, open: &Open) -> Result<Option<Plan>, ServiceError> {
    let Some(version) = open.row.policy_version_id else { return Ok(None) };
    let policy = ctx.policies.version(&ctx.db, version.into()).await?;
    let mut after = without_the_gone(deciding(&open.row, &open.steps, &policy), &open.gone);
    let paused = open.row.status != RequestStatus::Pending.word();
    let due = due(&open.clock, open.now).map(|due| due.what).filter(|what| paused == (*what == What::GoOn));
    let mut plan = Plan::default();
    if due == Some(What::TimeOut) {
        plan.end = Some(End::TimedOut);
        return Ok(Some(plan));
    }
    let short = short_slot(&after);
    if due.is_none() && short.is_none() {
        return Ok((!open.gone.is_empty()).then_some(plan));
    }
    if short.is_some() || due == Some(What::Escalate) {
        others(ctx, open, &mut after, &mut plan, due == Some(What::Escalate)).await?;
    }
    plan.end = match (due, plan.escalation.is_empty(), short_slot(&after)) {
        (Some(What::Escalate), true, _) => Some(End::TimedOut),
        (_, _, Some(_)) => Some(End::Nobody),
        _ => None,
    };
    plan.goes_on = due == Some(What::GoOn) && plan.end.is_none();
    plan.remind = due == Some(What::Remind) && plan.end.is_none() && plan.escalation.is_empty();
    Ok(Some(plan))
}

/// Finds whom to ask besides: for slots that cannot be filled the next of their sources, then, or when it `escalates`, the escalation.
async fn others(ctx: &Ctx, open: &Open, after: &mut Deciding, plan: &mut Plan, escalates: bool) -> Result<(), ServiceError> {
    let Some(sources) = step_clock::sources(&ctx.db, open.row.id.into()).await? else { return Ok(()) };
    let Some((role, _)) = catalog::role_even_retired(&ctx.db, RoleId(open.row.role_id)).await? else { return Ok(()) };
    let at_hand = person::by_ids(&ctx.db, &[open.row.beneficiary_id, open.row.requester_id]).await?;
    let beneficiary = at_hand.iter().find(|row| row.id == open.row.beneficiary_id).ok_or(ServiceError::Missing)?;
    let snapshot = fetch::person(ctx, beneficiary).await?;
    let about = resolve::About {
        role: &role,
        requester: open.row.requester_id.into(),
        beneficiary: &snapshot,
        started_by: open.row.started_by.map(Into::into),
        at_hand: &at_hand,
    };
    let step = open.step_no() - 1;
    let decided: Vec<PersonId> = after
        .steps
        .iter()
        .enumerate()
        .filter(|(s, _)| after.distinct_people || *s == step)
        .flat_map(|(_, slots)| slots.iter().flat_map(|slot| slot.approved_by.iter().copied()))
        .collect();
    let not = |seated: Vec<PersonId>| -> Vec<PersonId> { seated.into_iter().chain(decided.iter().copied()).chain(open.gone.iter().copied()).collect() };
    let mut tried = Vec::new();
    while let Some(slot) = short_slot(after).filter(|slot| !tried.contains(slot)) {
        let seated = not(after.steps[step][slot].asked.iter().map(|seat| seat.person).collect());
        let from: &[ApproverSource] = sources.slots.get(slot).map_or(&[], Vec::as_slice);
        match resolve::first(ctx, from, about, &seated).await? {
            Some((_, people)) => plan.fallback.push((slot, seats(after, step, slot, ActingAs::Fallback, &people))),
            None => tried.push(slot),
        }
    }
    let Some(escalation) = sources.escalation.filter(|_| !open.row.escalated && (escalates || short_slot(after).is_some())) else { return Ok(()) };
    let open_slots: Vec<usize> = (0..after.steps[step].len()).filter(|slot| !after.steps[step][*slot].is_done()).collect();
    let sits = |after: &Deciding, slot: usize, person: PersonId| after.steps[step][slot].seat(person).is_some();
    let everywhere: Vec<PersonId> = open_slots.first().map_or_else(Vec::new, |first| {
        after.steps[step][*first].asked.iter().map(|seat| seat.person).filter(|person| open_slots.iter().all(|slot| sits(after, *slot, *person))).collect()
    });
    if let Some((_, people)) = resolve::first(ctx, &escalation.sources, about, &not(everywhere)).await? {
        for slot in open_slots {
            let fresh: Vec<PersonRow> = people.iter().filter(|row| !sits(after, slot, row.id.into())).cloned().collect();
            if !fresh.is_empty() {
                plan.escalation.push((slot, seats(after, step, slot, ActingAs::Escalation, &fresh)));
            }
        }
    }
    Ok(())
}

/// Seats people in a slot of what is planned, and names them.
fn seats(after: &mut Deciding, step: usize, slot: usize, acting_as: ActingAs, people: &[PersonRow]) -> Vec<Named> {
    after.steps[step][slot].asked.extend(people.iter().map(|row| Seat { acting_as, ..PersonId(row.id).into() }));
    people.iter().map(PersonRow::named).collect()
}

/// Without those who are gone, and without who stands in for nobody then.
fn without_the_gone(mut deciding: Deciding, gone: &[PersonId]) -> Deciding {
    for slot in deciding.steps.iter_mut().flatten() {
        for seat in slot.asked.iter_mut().filter(|seat| gone.contains(&seat.person)) {
            seat.ended = true;
        }
        let places: Vec<PersonId> = slot.asked.iter().filter(|seat| !seat.ended && seat.acting_as != ActingAs::Delegate).map(Seat::place).collect();
        for seat in slot.asked.iter_mut().filter(|seat| seat.acting_as == ActingAs::Delegate && !places.contains(&seat.place())) {
            seat.ended = true;
        }
    }
    deciding
}

async fn write(tx: &mut Tx, open: Open, plan: Plan) -> Result<(), ServiceError> {
    let Open { row, steps, mut clock, gone, now } = open;
    let (id, step_no) = (RequestId(row.id), row.step_no.unwrap_or_default());
    let step_name = steps.get(step_no.max(1) as usize - 1).map(|step| step.name.clone()).unwrap_or_default();
    let no = step_no.max(0) as usize;
    let called = step_clock::called(tx, id).await?;
    let mut facts = Vec::new();
    for person in &gone {
        step::end_seat(tx, id, step_no, None, *person, now).await?;
    }
    delegation::end_seats(tx, id, now).await?;
    let left = person::names(tx, &gone.iter().map(|person| person.0).collect::<Vec<_>>()).await?;
    for (slot, asked) in &plan.fallback {
        seat(tx, &row, *slot, ActingAs::Fallback, asked, now).await?;
        let told = format!("You are asked instead of somebody who cannot answer any more: {} for {}.", called.role, called.beneficiary);
        tell(tx, asked, "fallback", id, &told, now).await?;
        facts.push(Fact::RequestFallbackAsked { step_no: no, slot_no: slot + 1, instead_of: left.clone(), asked: asked.clone() });
    }
    if !plan.escalation.is_empty() {
        for (slot, asked) in &plan.escalation {
            seat(tx, &row, *slot, ActingAs::Escalation, asked, now).await?;
        }
        let mut asked: Vec<Named> = plan.escalation.iter().flat_map(|(_, asked)| asked.clone()).collect();
        asked.sort();
        asked.dedup();
        clock.escalated_at = Some(now);
        let told = format!("Nobody has decided yet, so you are asked too: {} for {}.", called.role, called.beneficiary);
        tell(tx, &asked, "escalation", id, &told, now).await?;
        facts.push(Fact::RequestEscalated { step_no: no, step: step_name, asked, due_at: clock.limit().map(|due| due.at) });
    }
    if plan.end.is_none() && !(plan.fallback.is_empty() && plan.escalation.is_empty()) {
        stand_in::ask_delegates(tx, &row, step_no, now).await?;
    }
    if plan.goes_on
        && let Some(asker) = question::lapse(tx, id, now).await?
    {
        clock.pauses.iter_mut().for_each(|pause| pause.until = pause.until.or(Some(now)));
        let due_at = clock.limit().map(|due| due.at);
        question::go_on(tx, id, due_at, clock.reminder()).await?;
        let told = format!("Nobody answered the question about {} for {} in time. It can be decided without an answer.", called.role, called.beneficiary);
        notice::tell(tx, &[PersonId(asker)], "unanswered", Some(id), &told, now).await?;
        let told = format!("The question about the request for {} was not answered in time; it goes on without an answer.", called.role);
        notice::tell(tx, &parties(row.requester_id.into(), row.beneficiary_id.into()), "unanswered", Some(id), &told, now).await?;
        facts.push(Fact::QuestionLapsed { step_no: no, due_at });
    }
    if plan.remind {
        let people = step::open_people(tx, id).await?;
        let people = person::names(tx, &people).await?;
        clock.reminded_at = Some(now);
        tell(tx, &people, "reminder", id, &waiting(&called, &clock), now).await?;
        facts.push(Fact::RequestReminded { step_no: no, people });
    }
    match plan.end {
        None if facts.is_empty() => {}
        None => {
            let left = clock.is_paused().then(|| clock.left(now)).flatten().map(|left| left.0);
            step_clock::set(tx, id, (clock.limit().map(|due| due.at), clock.looks_again()), left, clock.escalated_at.is_some()).await?;
        }
        Some(end) => {
            let (status, fact, told) = match end {
                End::TimedOut => (
                    RequestStatus::TimedOut,
                    Fact::RequestTimedOut { step_no: no },
                    format!("Nobody answered in time about {}, so the request was closed.", called.role),
                ),
                End::Nobody => {
                    let reason = format!("nobody is left who could approve step {no}");
                    (RequestStatus::Withdrawn, Fact::RequestClosed { reason: reason.clone() }, format!("The request for {} was closed: {reason}.", called.role))
                }
            };
            request::close(tx, id, status, row.granted_s, now).await?;
            facts.push(fact);
            notice::tell(tx, &parties(row.requester_id.into(), row.beneficiary_id.into()), "closed", Some(id), &told, now).await?;
        }
    }
    let events: Vec<_> = facts.into_iter().map(|fact| by_system(about(&row), fact)).collect();
    event::append(tx, &events).await?;
    Ok(())
}

async fn seat(tx: &mut Tx, row: &RequestRow, slot: usize, acting_as: ActingAs, people: &[Named], now: DateTime<Utc>) -> Result<(), ServiceError> {
    for person in people {
        let slot_no = i32::try_from(slot + 1).unwrap_or(i32::MAX);
        step::seat(tx, row.id.into(), row.step_no.unwrap_or_default(), slot_no, &Seat { acting_as, ..person.id.into() }, now).await?;
    }
    Ok(())
}

async fn tell(tx: &mut Tx, people: &[Named], kind: &str, id: RequestId, sentence: &str, now: DateTime<Utc>) -> Result<(), ServiceError> {
    let ids: Vec<PersonId> = people.iter().map(|named| named.id).collect();
    Ok(notice::tell(tx, &ids, kind, Some(id), sentence, now).await?)
}

fn waiting(called: &Called, clock: &StepClock) -> String {
    let by = clock.limit().map(|due| format!(" Answer by {}.", due.at.format("%-d %b %Y, %H:%M UTC"))).unwrap_or_default();
    format!("Still waits for you: {} for {}.{by}", called.role, called.beneficiary)
}

/// Has the worker look at a step that has just opened, when who is asked there is not enough: somebody has left since it was asked for.
///
/// # Errors
/// When the database fails.
pub async fn look_again_if_short(tx: &mut Tx, deciding: &Deciding, id: RequestId, now: DateTime<Utc>) -> Result<bool, ServiceError> {
    let steps: Vec<_> = step::steps(tx, id, now).await?.into_iter().map(|step| step.slots).collect();
    let Some(row) = request::lock(tx, id).await? else { return Ok(false) };
    let now_open = Deciding { steps, step_no: row.step_no.unwrap_or_default().max(0) as usize, ..deciding.clone() };
    let short = short_slot(&now_open).is_some();
    if short {
        step_clock::look_at(tx, id, now).await?;
    }
    Ok(short)
}

/// Tends each of these requests. One of which cannot be found out now whom to ask stays due, and keeps nobody else waiting.
///
/// # Errors
/// The first failure that is none of a directory's, after everything else was tried.
pub async fn tend_all(ctx: &Ctx, ids: &[Uuid]) -> Result<usize, ServiceError> {
    let mut done = 0;
    let mut first = None;
    for id in ids {
        match tend(ctx, RequestId(*id)).await {
            Ok(did) => done += usize::from(did),
            Err(ServiceError::Unavailable(why)) => tracing::warn!(request = %id, why, "cannot say whom to ask; the request stays due"),
            Err(other) => drop(first.get_or_insert(other)),
        }
    }
    first.map_or(Ok(done), Err)
}
