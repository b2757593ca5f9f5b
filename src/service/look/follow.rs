//! A request as one viewer sees it.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::json;

use crate::domain::act::{may_answer_question, may_ask_question, may_hand_on, may_nudge};
use crate::domain::approval::{Deciding, may_deny};
use crate::domain::decide::{Decision, Outcome, TraceLine};
use crate::domain::event::Fact;
use crate::domain::grant::{Extended, GrantStatus, Lease, end, extend};
use crate::domain::id::{GrantId, PersonId, RequestId};
use crate::domain::person::PersonSnapshot;
use crate::domain::policy::AccessPolicy;
use crate::domain::refusal::Refusal;
use crate::domain::request::{RequestStatus, withdraw};
use crate::domain::span::Seconds;
use crate::service::answer::deciding;
use crate::service::ctx::{By, Ctx};
use crate::service::error::ServiceError;
use crate::store::error::StoreError;
use crate::store::look_request::{self, WholeRow};
use crate::store::question;
use crate::store::request::RequestRow;

use super::access::delivery_word;
use super::request::{CanRequest, Delivery, Question, Request};
use super::shared::{CanGrant, EventRow, Person, PolicyName, RoleName};
use super::tracker::{step_states, steps};
use super::{beside, card, role, trace, why};

/// The request as `by` sees it, with the decision card when it waits for them.
///
/// # Errors
/// [`ServiceError::Missing`] when there is none that they may see.
pub async fn request(ctx: &Ctx, by: &By, id: RequestId) -> Result<Request, ServiceError> {
    let eyes = (!by.reads_everything()).then_some(by.person.0);
    let row = look_request::whole(&ctx.db, eyes, id.0).await?.ok_or(ServiceError::Missing)?;
    let policy = match row.policy_version_id {
        Some(version) => Some(ctx.policies.version(&ctx.db, version.into()).await?),
        None => None,
    };
    let now = ctx.clock.now();
    let flat = flat(&row);
    let states = step_states(&row.asked);
    let deciding = policy.as_ref().map(|policy| deciding(&flat, &states, policy));
    // A denial is taken also while a question waits, an approval not; the card says so.
    let slot = deciding.as_ref().and_then(|deciding| may_deny(deciding, by.person).ok());
    let decision = decision(&row)?;
    let beside = beside::beside(ctx, by, &row, deciding.as_ref(), policy.as_deref(), &decision).await?;
    let mut card = match (slot, deciding.as_ref(), policy.as_ref()) {
        (Some(slot), Some(deciding), Some(policy)) => Some(card::card(ctx, by, &row, &flat, deciding, slot, policy).await?),
        _ => None,
    };
    if let Some(card) = card.as_mut().filter(|card| card.not_now.is_none() && !beside.changed.is_empty()) {
        card.not_now = Some(Refusal::RulesChanged.to_string());
    }
    let status = RequestStatus::parse(&row.status).ok_or_else(|| unreadable("status", &row.status))?;
    let nudge = deciding.as_ref().map(|deciding| may_nudge(deciding, by.person, flat.nudged_at, now));
    // Few requests are ever asked about.
    let questions = if row.events.iter().any(|event| event.kind == "request.question_asked") { question::of_request(&ctx.db, row.id).await? } else { vec![] };
    let can = CanRequest {
        withdraw: withdraw(status, row.requester_id.into(), row.beneficiary_id.into(), by.person).is_ok(),
        approve: card.as_ref().is_some_and(|card| card.not_now.is_none()),
        deny: card.is_some(),
        ask_question: deciding.as_ref().is_some_and(|deciding| may_ask_question(deciding, by.person).is_ok()),
        answer_question: deciding.as_ref().is_some_and(|deciding| may_answer_question(deciding, by.person).is_ok()),
        reassign: deciding.as_ref().is_some_and(|deciding| {
            let lets = states.get(deciding.step_no.saturating_sub(1)).is_some_and(|step| step.reassign);
            may_hand_on(deciding, by.person, lets).is_ok()
        }),
        nudge: nudge == Some(Ok(())),
        grant: can_grant(&row, by, policy.as_deref(), now),
    };
    let about_viewer = by.person.0 == row.beneficiary_id;
    let rules = trace::rules(&decision);
    Ok(Request {
        id: row.id,
        role: RoleName { id: row.role_id, application: row.application.clone(), role: row.role.clone(), risk: row.risk.clone() },
        requester: Person {
            id: row.requester_id,
            name: row.requester.clone(),
            title: row.requester_title.clone(),
            department: row.requester_department.clone(),
        },
        beneficiary: Person {
            id: row.beneficiary_id,
            name: row.beneficiary.clone(),
            title: row.beneficiary_title.clone(),
            department: row.beneficiary_department.clone(),
        },
        status: row.status.clone(),
        requested_at: row.created_at,
        wanted_start: row.wanted_start,
        extends: row.extension_of.is_some(),
        requested_s: row.duration_s,
        approved_s: if status == RequestStatus::Approved { row.grant_id.and(row.grant_s) } else { None },
        decided_at: row.closed_at,
        justification: row.justification.clone(),
        ticket: row.ticket_reference.clone(),
        decision: row.decision.clone(),
        policy: governed_by(&row),
        deciding_rule: why::rule_in_words(&row.deciding_rule),
        reason: match decision.is_separated() {
            true => Some(beside.conflicts.iter().map(|conflict| conflict.sentence()).collect::<Vec<_>>().join(" ")),
            false => reason(&row, &decision, about_viewer),
        },
        steps: steps(&row),
        delivery: delivery(&row),
        trace: if about_viewer { rules } else { why::trace_of_another(rules) },
        events: events(&row),
        is_own: about_viewer || by.person.0 == row.requester_id,
        was_asked: row.asked.iter().any(|a| a.person_id == Some(by.person.0) && (a.opened_at.is_some() || a.decided_at.is_some())),
        can,
        card,
        beside,
        questions: questions.into_iter().map(|asked| asked_about(asked, row.remind_at)).collect(),
        nudge_again_at: match nudge {
            Some(Err(Refusal::NudgedLately(left))) => left.after(now),
            _ => None,
        },
    })
}

fn asked_about(row: question::QuestionRow, ends_at: Option<DateTime<Utc>>) -> Question {
    let lapsed_at = row.answered_at.filter(|_| row.answer.is_none());
    let ends_at = ends_at.filter(|_| row.answered_at.is_none());
    let answer = row.answer.zip(row.answered_at).map(|(text, at)| (row.answered_by.unwrap_or_default(), text, at));
    Question { by: row.asked_by, text: row.question, at: row.asked_at, answer, lapsed_at, ends_at }
}

/// Whether the request is the one that was shown: its digest names what an approval authorises, and it never changes.
///
/// # Errors
/// [`ServiceError::Missing`] when there is no such request.
pub async fn is_as_shown(ctx: &Ctx, by: &By, id: RequestId, digest: &str) -> Result<bool, ServiceError> {
    let eyes = (!by.reads_everything()).then_some(by.person.0);
    Ok(look_request::ask_digest(&ctx.db, eyes, id.0).await?.ok_or(ServiceError::Missing)? == digest)
}

/// Whether `by` may see the request.
///
/// # Errors
/// When the database fails.
pub async fn may_see(ctx: &Ctx, by: &By, id: RequestId) -> Result<bool, ServiceError> {
    let eyes = (!by.reads_everything()).then_some(by.person.0);
    Ok(look_request::may_see(&ctx.db, eyes, id.0).await?)
}

/// What was decided from, as far as pages show it.
#[derive(Deserialize)]
struct Inputs {
    person: PersonSnapshot,
}

/// The person as the directory described them when the request was made.
pub(super) fn person_then(row: &WholeRow) -> Result<PersonSnapshot, ServiceError> {
    let inputs: Inputs = serde_json::from_str(&row.inputs).map_err(StoreError::from)?;
    Ok(inputs.person)
}

/// The request as the rules of deciding take it.
pub(super) fn deciding_of(row: &WholeRow, policy: &AccessPolicy) -> Deciding {
    deciding(&flat(row), &step_states(&row.asked), policy)
}

/// What was decided, as it was stored.
pub(super) fn decision(row: &WholeRow) -> Result<Decision, ServiceError> {
    let trace: Vec<TraceLine> = serde_json::from_str(&row.trace).map_err(StoreError::from)?;
    let outcome = [Outcome::Refused, Outcome::AutoApproved, Outcome::NeedsApproval].into_iter().find(|o| o.word() == row.decision);
    Ok(Decision {
        outcome: outcome.ok_or_else(|| unreadable("decision", &row.decision))?,
        policy: row.policy_version_id.map(Into::into),
        deciding_rule: row.deciding_rule.clone(),
        steps: vec![],
        conflicts: row.conflicts.clone(),
        trace,
    })
}

fn unreadable(what: &str, word: &str) -> ServiceError {
    StoreError::Broken(format!("this program does not know the {what} {word}")).into()
}

/// The row as the rules of deciding take it.
fn flat(row: &WholeRow) -> RequestRow {
    RequestRow {
        id: row.id,
        requester_id: row.requester_id,
        beneficiary_id: row.beneficiary_id,
        started_by: row.started_by,
        role_id: row.role_id,
        application_id: row.application_id,
        status: row.status.clone(),
        step_no: row.step_no,
        policy_version_id: row.policy_version_id,
        ask_digest: row.ask_digest.clone(),
        duration_s: row.duration_s,
        granted_s: row.granted_s,
        wanted_start: row.wanted_start,
        extension_of: row.extension_of,
        emergency_reason: row.emergency_reason.clone(),
        decision: row.decision.clone(),
        distinct_people: row.distinct_people,
        step_left_s: row.step_left_s,
        step_due_at: row.step_due_at,
        remind_at: row.remind_at,
        escalated: row.escalated,
        nudged_at: row.nudged_at,
        created_at: row.created_at,
    }
}

fn lease(row: &WholeRow) -> Option<Lease> {
    Some(Lease {
        id: GrantId(row.grant_id?),
        beneficiary: row.beneficiary_id.into(),
        status: GrantStatus::parse(row.grant_status.as_deref()?)?,
        duration: row.grant_s.map(Seconds),
        starts_at: row.starts_at?,
        ends_at: row.ends_at,
        verified_at: row.verified_at,
    })
}

/// The version of the policy that governed it; none when nothing did.
pub(super) fn governed_by(row: &WholeRow) -> Option<PolicyName> {
    let (id, name, version) = (row.policy_id?, row.policy.clone()?, row.policy_version?);
    Some(PolicyName { id, name, version })
}

pub(super) fn delivery(row: &WholeRow) -> Option<Delivery> {
    let lease = lease(row)?;
    let is_failing = lease.status.is_live() || lease.status == GrantStatus::Revoking || lease.status == GrantStatus::Failed;
    let last_error = row.last_error.clone().filter(|_| is_failing);
    Some(Delivery {
        grant: lease.id.0,
        status: delivery_word(lease.status, last_error.is_some()).into(),
        method: row.method.clone(),
        target: role::target(row.group.as_deref(), row.directory.as_deref()),
        starts_at: lease.starts_at,
        ends_at: row.ends_at,
        verified_at: row.verified_at,
        ended_at: row.ended_at,
        end_reason: row.end_reason.clone(),
        end_verified_at: row.end_verified_at,
        attempts: row.attempts.unwrap_or_default(),
        next_try_at: row.next_try_at.filter(|_| last_error.is_some()),
        last_error,
        confirmed: match row.confirmed.as_deref() {
            Some("works") => Some(true),
            Some("fails") => Some(false),
            _ => None,
        },
    })
}

fn can_grant(row: &WholeRow, by: &By, policy: Option<&AccessPolicy>, now: DateTime<Utc>) -> CanGrant {
    let Some(lease) = lease(row) else { return CanGrant::default() };
    let owns = row.role_owner == by.person.0 || row.application_owner == by.person.0 || by.is_administrator;
    let holds = lease.beneficiary == by.person;
    let times = row.extension_no.unwrap_or_default().unsigned_abs();
    let extended = Extended { already: row.extended, times, declined: row.no_extension.unwrap_or_default() };
    CanGrant {
        give_back: end(&lease, by.person, owns, false).is_ok(),
        extend: holds && extend(&lease, policy.and_then(|p| p.extension.as_ref()), extended, now).is_ok(),
        // Who holds it returns it; revoking is for others.
        revoke: !holds && end(&lease, by.person, owns, true).is_ok(),
        confirm: false,
    }
}

/// Why it came to nothing, as the person should read it.
fn reason(row: &WholeRow, decision: &Decision, about_viewer: bool) -> Option<String> {
    let told = |event: &look_request::Told| serde_json::from_value::<Fact>(json!({ "kind": event.kind, "data": event.data })).ok();
    match row.status.as_str() {
        "refused" => {
            let reason = why::reason(decision, true);
            Some(if about_viewer { reason } else { why::of_another(&reason) })
        }
        "denied" => row.asked.iter().find(|a| a.verdict.as_deref() == Some("deny")).map(|a| {
            let who = a.person.clone().unwrap_or_else(|| "An approver".into());
            match &a.comment {
                Some(comment) => format!("{who} denied this: {comment}"),
                None => format!("{who} denied this and gave no reason; the policy asks for none."),
            }
        }),
        "timed_out" => Some("Nobody answered in time, so this was closed. Ask again if it is still needed.".into()),
        "withdrawn" => row.events.iter().rev().filter_map(told).find_map(|fact| match fact {
            Fact::RequestClosed { reason } => Some(format!("Closed by the service: {reason}")),
            _ => None,
        }),
        _ => None,
    }
}

pub(super) fn events(row: &WholeRow) -> Vec<EventRow> {
    let row_of = |event: &look_request::Told| {
        let sentence = serde_json::from_value::<Fact>(json!({ "kind": event.kind, "data": event.data })).map(|fact| fact.story());
        EventRow {
            id: event.id,
            at: event.at,
            kind: event.kind.clone(),
            actor: event.actor.clone().unwrap_or_else(|| "Countersign".into()),
            acting_for: acting_for(row, &event.data),
            channel: event.channel.clone(),
            // An event of a later version still has its kind.
            sentence: sentence.unwrap_or_else(|_| event.kind.replace(['.', '_'], " ")),
            request: Some(row.id),
            person: Some(row.beneficiary.clone()),
            application: Some(row.application.clone()),
            role: Some(row.role.clone()),
            emergency: row.emergency_reason.is_some(),
        }
    };
    row.events.iter().map(row_of).collect()
}

/// For whom somebody decided as a delegate, by the payload of their decision.
fn acting_for(row: &WholeRow, data: &serde_json::Value) -> Option<String> {
    let away = data["acting_as"].as_str()?.strip_prefix("delegate_of:")?;
    row.asked.iter().find(|a| a.acting_for.is_some_and(|id| id.to_string() == away)).and_then(|a| a.acting_for_name.clone())
}

/// Names of those who still can answer the open step, besides `viewer`.
pub(super) fn others(row: &WholeRow, deciding: &Deciding, viewer: PersonId) -> Vec<String> {
    let open = row.asked.iter().filter(|a| a.step_no as usize == deciding.step_no && a.open == Some(true));
    let names: BTreeSet<&str> = open.filter(|a| a.person_id != Some(viewer.0)).filter_map(|a| a.person.as_deref()).collect();
    names.into_iter().map(str::to_owned).collect()
}
