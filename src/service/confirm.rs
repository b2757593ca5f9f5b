//! The beneficiary confirms what somebody else asked for them.

use crate::domain::act::may_confirm;
use crate::domain::decide::{Outcome, Rules, decide};
use crate::domain::event::{Event, Fact, Submitted};
use crate::domain::id::{PersonId, RequestId};
use crate::domain::refusal::Refusal;
use crate::domain::request::RequestStatus;
use crate::domain::span::Seconds;
use crate::store::error::StoreError;
use crate::store::grounds::{self, Answering};
use crate::store::{event, grant, notice, person, request, step};

use super::answer::{AnswerDone, again, deciding, still_right, tried};
use super::commit::{self, Approved};
use super::ctx::{By, Ctx};
use super::error::ServiceError;
use super::{changed, fetch, stand_in, tend};

/// How many rows one transaction takes.
const BATCH: i64 = 200;

/// Takes the confirmation of `by`, for whom it was asked: the decision is made again on what the directory says now, then the first step
/// opens, or access that the policy approves by itself is given.
///
/// # Errors
/// [`ServiceError::Missing`] for a request that is not theirs to see; a refusal when it is not for them, waits for no confirmation, or
/// would no longer come out as it did; [`ServiceError::Unavailable`] when the directory does not answer. Nothing is written then.
pub async fn confirm(ctx: &Ctx, by: &By, id: RequestId) -> Result<AnswerDone, ServiceError> {
    let Answering { request: found, role, people, inputs, governing, separation, .. } =
        grounds::of_answering(&ctx.db, id, by.person).await?.ok_or(ServiceError::Missing)?;
    let sees = by.reads_everything() || [found.requester_id, found.beneficiary_id].contains(&by.person.0);
    if !sees {
        return Err(ServiceError::Missing);
    }
    let version = found.policy_version_id.ok_or(ServiceError::Refused(Refusal::Closed("refused")))?;
    let policy = ctx.policies.version(&ctx.db, version.into()).await?;
    may_confirm(&deciding(&found, &[], &policy), by.person)?;
    let beneficiary = people.iter().find(|row| row.id == by.person.0).ok_or(ServiceError::Missing)?;
    let mut today = fetch::person(ctx, beneficiary).await?;
    let tried = tried(ctx, policy.id, &governing).await?;
    if tried.iter().any(|policy| policy.looks_up()) {
        today.line = fetch::line(ctx, &today).await?;
    }
    let now = ctx.clock.now();
    let role = still_right(role, &found, (&policy, &tried), &today, now).map_err(no_longer)?;
    if changed::is_changed(&inputs, policy.id, changed::Now { governing: &governing, separation: &separation }, &role)? {
        return Err(no_longer(Refusal::RulesChanged.into()));
    }
    let at_once = found.decision == Outcome::AutoApproved.word();
    let decided = decide(Rules { policies: &[&policy], separation: &[] }, &today, &again(&found, &role), now);
    if at_once && decided.outcome != Outcome::AutoApproved {
        return Err(Refusal::NotAsBefore("what let the policy approve it without asking anybody is no longer so".into()).into());
    }

    let mut tx = ctx.db.begin().await?;
    let row = request::lock(&mut tx, id).await?.ok_or(ServiceError::Missing)?;
    may_confirm(&deciding(&row, &[], &policy), by.person)?;
    let now = ctx.clock.now();
    let event = |fact| Event { actor: by.actor(), channel: by.channel, subject: commit::about(&row), fact };
    request::confirm(&mut tx, id, now).await?;
    let mut short = false;
    let done = if at_once {
        let told = event::told(&mut tx, id, "request.submitted").await?.ok_or(ServiceError::Missing)?;
        let submitted: Submitted = serde_json::from_value(told).map_err(StoreError::from)?;
        request::close(&mut tx, id, RequestStatus::Approved, None, now).await?;
        let extends_until = match row.extension_of {
            Some(extended) => commit::extended_until(grant::lock(&mut tx, extended.into()).await?)?,
            None => None,
        };
        let approved =
            Approved { request: &row, role: &role, beneficiary, duration: row.duration_s.map(Seconds), extends_until, actor: &by.actor(), channel: by.channel };
        // The event that approves comes last, right before the lease that cites it.
        commit::lease(&mut tx, &approved, vec![event(Fact::RequestConfirmed {}), event(Fact::RequestAutoApproved(submitted))], now).await?;
        AnswerDone { status: RequestStatus::Approved, step_no: None }
    } else {
        let steps = step::steps(&mut tx, id, now).await?;
        let first = steps.first().ok_or_else(|| StoreError::Broken("a step is missing".into()))?;
        let after = |seconds: Option<i64>| seconds.and_then(|seconds| Seconds(seconds).after(now));
        let (due_at, remind_at) = (after(first.time_limit_s), after(first.remind_every_s));
        step::open_step(&mut tx, id, 1, due_at, remind_at, None, row.distinct_people, now).await?;
        let people = step::open_people(&mut tx, id).await?;
        let asked = person::names(&mut tx, &people).await?;
        let opened = Fact::StepOpened { step_no: 1, step: first.name.clone(), asked, due_at };
        event::append(&mut tx, &[event(Fact::RequestConfirmed {}), event(opened)]).await?;
        stand_in::ask_delegates(&mut tx, &row, 1, now).await?;
        // Who left meanwhile is asked no more; whether others have to be asked instead is looked at next.
        short = tend::look_again_if_short(&mut tx, &deciding(&row, &steps, &policy), id, now).await?;
        AnswerDone { status: RequestStatus::Pending, step_no: Some(1) }
    };
    let told = format!("{} confirmed what you asked for them.", by.name);
    notice::tell(&mut tx, &[row.requester_id.into()], "confirmed", Some(id), &told, now).await?;
    commit::commit(tx).await?;
    if at_once || short {
        ctx.wake.notify_one();
    }
    Ok(done)
}

/// What would keep an approver from approving, to the person who is to confirm.
fn no_longer(error: ServiceError) -> ServiceError {
    match error {
        ServiceError::Refused(Refusal::NoLongerEligible(_, rule)) => Refusal::NotAsBefore(format!("you no longer meet the policy, by {rule}")).into(),
        ServiceError::Refused(Refusal::RulesChanged) => Refusal::NotAsBefore("the rules of this role changed since it was asked for".into()).into(),
        other => other,
    }
}

/// Closes what nobody confirmed in time: within the limit of its first step, or 14 days. Returns how many there were.
///
/// # Errors
/// When the database fails.
pub async fn lapse(ctx: &Ctx) -> Result<usize, ServiceError> {
    let now = ctx.clock.now();
    let mut tx = ctx.db.begin().await?;
    let due = request::lock_unconfirmed(&mut tx, now, BATCH).await?;
    for row in &due {
        request::close(&mut tx, row.id.into(), RequestStatus::TimedOut, row.granted_s, now).await?;
        event::append(&mut tx, &[commit::by_system(commit::about(row), Fact::RequestTimedOut { step_no: 0 })]).await?;
        let told = "A request that you made for somebody else was closed: they did not confirm it in time.";
        notice::tell(&mut tx, &[PersonId(row.requester_id)], "unconfirmed", Some(row.id.into()), told, now).await?;
    }
    commit::commit(tx).await?;
    Ok(due.len())
}
