//! An approver approves or denies.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::clock::new_id;
use crate::domain::approval::{Answer, Deciding, Next, answer as may_answer};
use crate::domain::catalog::Role;
use crate::domain::decide::{Ask, Outcome, Rules, Standing, decide};
use crate::domain::event::{Event, Fact, Given};
use crate::domain::id::{PolicyVersionId, RequestId};
use crate::domain::person::PersonSnapshot;
use crate::domain::policy::AccessPolicy;
use crate::domain::refusal::Refusal;
use crate::domain::request::RequestStatus;
use crate::domain::span::Seconds;
use crate::evidence::canonical::{canonical, digest};
use crate::store::error::StoreError;
use crate::store::grounds::{self, Answering};
use crate::store::request::RequestRow;
use crate::store::step::{self, NewApproval, StepRow};
use crate::store::{event, grant, person, request};

use super::ask::tidy;
use super::commit::{self, Approved};
use super::ctx::{By, Ctx};
use super::error::ServiceError;
use super::{changed, fetch, stand_in, tend};

/// What an answer came to.
#[derive(Clone, Debug, Serialize)]
pub struct AnswerDone {
    /// Where the request stands now.
    pub status: RequestStatus,
    /// The step that is open now, counted from 1.
    pub step_no: Option<usize>,
}

/// Takes the answer of `by` to the request. `seen_step` is the step that they were shown: when another is open by now they are told
/// so and nothing happens. Beneficiary and approver are looked up in the directory first; an approval also runs the decision again.
///
/// # Errors
/// [`ServiceError::Missing`] when they were not asked, it is not theirs and they do not read everything; a refusal of [`may_answer`],
/// or because the beneficiary is no longer active or eligible, or the role's target changed; [`ServiceError::Unavailable`] when the
/// directory does not answer. Nothing is written then.
pub async fn answer(ctx: &Ctx, by: &By, id: RequestId, given: Answer, comment: Option<&str>, seen_step: Option<usize>) -> Result<AnswerDone, ServiceError> {
    let comment = tidy(comment, "comment")?;
    let Answering { request: found, role, people, asked, inputs, governing, separation } =
        grounds::of_answering(&ctx.db, id, by.person).await?.ok_or(ServiceError::Missing)?;
    // Before anything else, the directory included: nobody else is to learn, from answer or delay, that there is a request.
    let theirs = asked || by.reads_everything() || [found.requester_id, found.beneficiary_id].contains(&by.person.0);
    if !theirs {
        return Err(ServiceError::Missing);
    }
    let row_of = |id| people.iter().find(|p| p.id == id).ok_or(ServiceError::Missing);
    let (beneficiary, approver) = (row_of(found.beneficiary_id)?, row_of(by.person.0)?);
    let policy_id = found.policy_version_id.ok_or(ServiceError::Refused(Refusal::Closed("refused")))?;
    let policy = ctx.policies.version(&ctx.db, policy_id.into()).await?;
    let tried = tried(ctx, policy.id, &governing).await?;
    let (mut beneficiary_now, approver_now) = tokio::try_join!(fetch::person(ctx, beneficiary), fetch::person(ctx, approver))?;
    if !approver_now.active {
        return Err(Refusal::NotActive.into());
    }
    if tried.iter().any(|policy| policy.looks_up()) {
        beneficiary_now.line = fetch::line(ctx, &beneficiary_now).await?;
    }

    // From here on one connection only: a second one asked for under lock could wait for ever.
    let mut tx = ctx.db.begin().await?;
    let row = request::lock(&mut tx, id).await?.ok_or(ServiceError::Missing)?;
    // Read under the lock: of two who approve at once, the one that completes the request must not seem the earlier.
    let now = ctx.clock.now();
    let steps = step::steps(&mut tx, id, now).await?;
    let deciding = deciding(&row, &steps, &policy);
    if seen_step.is_some_and(|seen| seen != deciding.step_no) && deciding.status == RequestStatus::Pending && deciding.requester != by.person {
        return Err(Refusal::MovedOn.into());
    }
    let answered = may_answer(&deciding, by.person, &given, comment.as_deref()).map_err(|refusal| match refusal {
        // Somebody who was never asked is not told that there is a request.
        Refusal::NotAsked if !by.reads_everything() => ServiceError::Missing,
        other => other.into(),
    })?;
    let role = match given {
        Answer::Approve { .. } => {
            let right = still_right(role, &row, (&policy, &tried), &beneficiary_now, now)?;
            if changed::is_changed(&inputs, policy.id, changed::Now { governing: &governing, separation: &separation }, &right)? {
                return Err(Refusal::RulesChanged.into());
            }
            Some(right)
        }
        Answer::Deny => None,
    };
    let inputs_digest = digest(&canonical(&beneficiary_now).map_err(|error| StoreError::Broken(error.to_string()))?);
    let granted_s = match &given {
        Answer::Approve { granted } => granted.map(|g| g.0),
        Answer::Deny => None,
    };
    let step = deciding.step_no;
    let seat = deciding.steps.get(step.saturating_sub(1)).and_then(|slots| slots.get(answered.slot_no - 1)).and_then(|slot| slot.seat(by.person));
    let seat = seat.ok_or(Refusal::NotAsked)?;
    let acting_as = seat.written();
    step::decide(
        &mut tx,
        &NewApproval {
            id: new_id(),
            request: &row,
            step_no: step as i32,
            slot_no: answered.slot_no as i32,
            decided_by: by.person,
            acting_as: &acting_as,
            place: seat.place(),
            verdict: if role.is_some() { "approve" } else { "deny" },
            comment: comment.as_deref(),
            granted_s,
            inputs_digest: &inputs_digest,
            channel: by.channel,
            decided_at: now,
            slot_done: answered.slot_done,
        },
    )
    .await?;
    let payload = Given {
        step_no: step,
        step: steps.get(step - 1).map(|s| s.name.clone()).unwrap_or_default(),
        slot_no: answered.slot_no,
        granted_s,
        comment: comment.clone(),
        ask_digest: row.ask_digest.clone(),
        inputs_digest,
        acting_as,
    };
    let event = |fact| Event { actor: by.actor(), channel: by.channel, subject: commit::about(&row), fact };
    let shortened = answered.granted.map(|g| g.0).filter(|_| row.granted_s.is_some() || granted_s.is_some());
    let mut tended = false;
    let done = match answered.next {
        Next::Denied => {
            request::close(&mut tx, id, RequestStatus::Denied, row.granted_s, now).await?;
            event::append(&mut tx, &[event(Fact::ApprovalDenied(payload)), event(Fact::RequestDenied { reason: comment })]).await?;
            AnswerDone { status: RequestStatus::Denied, step_no: None }
        }
        Next::Waiting => {
            request::shorten(&mut tx, id, shortened).await?;
            event::append(&mut tx, &[event(Fact::ApprovalGiven(payload))]).await?;
            AnswerDone { status: RequestStatus::Pending, step_no: Some(step) }
        }
        Next::Step(next) => {
            let opens = steps.get(next - 1).ok_or_else(|| StoreError::Broken("a step is missing".into()))?;
            let due_at = opens.time_limit_s.and_then(|limit| Seconds(limit).after(now));
            let remind_at = opens.remind_every_s.and_then(|every| Seconds(every).after(now));
            step::open_step(&mut tx, id, next as i32, due_at, remind_at, shortened, deciding.distinct_people, now).await?;
            let people = step::open_people(&mut tx, id).await?;
            let asked = person::names(&mut tx, &people).await?;
            event::append(&mut tx, &[event(Fact::ApprovalGiven(payload)), event(Fact::StepOpened { step_no: next, step: opens.name.clone(), asked, due_at })])
                .await?;
            stand_in::ask_delegates(&mut tx, &row, next as i32, now).await?;
            tended = tend::look_again_if_short(&mut tx, &deciding, id, now).await?;
            AnswerDone { status: RequestStatus::Pending, step_no: Some(next) }
        }
        Next::Approved => {
            let role = role.ok_or(ServiceError::Missing)?;
            request::close(&mut tx, id, RequestStatus::Approved, shortened, now).await?;
            let extends_until = match row.extension_of {
                Some(extended) => commit::extended_until(grant::lock(&mut tx, extended.into()).await?)?,
                None => None,
            };
            let approved =
                Approved { request: &row, role: &role, beneficiary, duration: answered.granted, extends_until, actor: &by.actor(), channel: by.channel };
            let causes = vec![event(Fact::ApprovalGiven(payload)), event(Fact::RequestApproved { granted_s: answered.granted.map(|g| g.0) })];
            commit::lease(&mut tx, &approved, causes, now).await?;
            AnswerDone { status: RequestStatus::Approved, step_no: None }
        }
    };
    commit::commit(tx).await?;
    if tended || done.status == RequestStatus::Approved {
        ctx.wake.notify_one();
    }
    Ok(done)
}

/// The request as the rules of deciding know it; the page and the act both make it here.
pub fn deciding(row: &RequestRow, steps: &[StepRow], policy: &AccessPolicy) -> Deciding {
    Deciding {
        requester: row.requester_id.into(),
        beneficiary: row.beneficiary_id.into(),
        started_by: row.started_by.map(Into::into),
        status: RequestStatus::parse(&row.status).unwrap_or(RequestStatus::Refused),
        step_no: row.step_no.unwrap_or_default().max(0) as usize,
        steps: steps.iter().map(|step| step.slots.clone()).collect(),
        distinct_people: row.distinct_people,
        comment_to_deny: policy.comment_to_deny,
        duration: row.duration_s.map(Seconds),
        granted: row.granted_s.map(Seconds),
        minimum: policy.durations.minimum.min(policy.maximum(row.extension_of.is_some(), row.emergency_reason.is_some())),
    }
}

/// The ask of a request as it is held against its policy again: who asks, and what they are to whom they ask for, was settled when it
/// was made.
pub fn again(row: &RequestRow, role: &Role) -> Ask {
    Ask {
        requester: row.requester_id.into(),
        beneficiary: row.beneficiary_id.into(),
        role: role.id,
        risk: role.risk,
        duration: row.duration_s.map(Seconds),
        starts_at: None,
        extension: row.extension_of.is_some(),
        emergency: false,
        review_owed: false,
        standing: Standing { manages: true, owns: true },
        held: vec![],
    }
}

/// The policies that are tried for an ask until `pinned` governs, in their order; of a version that is no longer in force itself alone.
///
/// # Errors
/// When the database does not answer.
pub async fn tried(ctx: &Ctx, pinned: PolicyVersionId, governing: &[PolicyVersionId]) -> Result<Vec<Arc<AccessPolicy>>, StoreError> {
    let alone = [pinned];
    let ids = governing.iter().position(|id| *id == pinned).map_or(&alone[..], |at| &governing[..=at]);
    ctx.policies.versions(&ctx.db, ids).await
}

/// The role of the request, if what was asked for may still be granted: the person is active, the pinned `policy` version is still the
/// first of those `tried` that is for them, they are eligible under it, and the role still means the same group. The card asks here too.
///
/// # Errors
/// A refusal with the reason why not.
pub fn still_right(
    role: Option<(Role, bool)>,
    row: &RequestRow,
    (policy, tried): (&AccessPolicy, &[Arc<AccessPolicy>]),
    person: &PersonSnapshot,
    now: DateTime<Utc>,
) -> Result<Role, ServiceError> {
    let (role, retired) = role.ok_or(Refusal::RoleRetired)?;
    if retired {
        return Err(Refusal::RoleRetired.into());
    }
    if !person.active {
        return Err(Refusal::BeneficiaryNotActive(person.display_name.clone()).into());
    }
    let policies: Vec<&AccessPolicy> = tried.iter().map(|policy| &**policy).collect();
    let again = decide(Rules { policies: &policies, separation: &[] }, person, &again(row, &role), now);
    if again.outcome == Outcome::Refused {
        return Err(Refusal::NoLongerEligible(person.display_name.clone(), again.deciding_rule).into());
    }
    // Who came under another policy meanwhile goes through what that asks for.
    if again.policy != Some(policy.id) {
        let other = tried.iter().find(|other| Some(other.id) == again.policy).map_or("another", |other| &other.name);
        return Err(Refusal::NoLongerEligible(person.display_name.clone(), format!("policy {other} is for them now")).into());
    }
    let authorised = super::ask::ask_digest(row, &role, policy)?;
    if authorised != row.ask_digest {
        return Err(Refusal::RulesChanged.into());
    }
    Ok(role)
}
