//! A person asks for a role.

use std::collections::BTreeMap;

use chrono::{DateTime, SubsecRound, Utc};
use serde::Serialize;

use crate::clock::new_id;
use crate::domain::catalog::Role;
use crate::domain::decide::Outcome;
use crate::domain::event::{Event, Fact, Submitted};
use crate::domain::grant::extend;
use crate::domain::id::{GrantId, PersonId, RequestId, RoleId};
use crate::domain::policy::{AccessPolicy, FieldFault, LONGEST_TEXT};
use crate::domain::refusal::Refusal;
use crate::domain::request::RequestStatus;
use crate::domain::separation::SeparationRule;
use crate::domain::span::Seconds;
use crate::evidence::canonical::{canonical, digest};
use crate::store::error::StoreError;
use crate::store::person::PersonRow;
use crate::store::request::{NewRequest, NewSlot, NewStep, RequestRow};
use crate::store::{emergency, event, grant, notice, request};

use super::commit::{self, Approved};
// What an ask is looked over with.
use super::consider::kept_apart_from;
pub use super::consider::{Cited, Considered, Inputs, ask_digest, consider};
use super::ctx::{By, Ctx};
use super::drift::adopt::{self, Adopting};
use super::error::ServiceError;
use super::idempotency::Keep;
use super::resolve::{self, ResolvedStep};
use super::{emergency_review, reevaluate, stand_in};

/// What the form or the API sends.
#[derive(Clone, Debug)]
pub struct AskFor {
    /// Which role.
    pub role: RoleId,
    /// Who asks; none: who acts. Another than who acts only where a request is asked again.
    pub requester: Option<PersonId>,
    /// For whom; none: for who asks.
    pub beneficiary: Option<PersonId>,
    /// None: without end.
    pub duration: Option<Seconds>,
    /// None: as soon as approved.
    pub starts_at: Option<DateTime<Utc>>,
    /// Why.
    pub justification: Option<String>,
    /// Ticket.
    pub ticket_reference: Option<String>,
    /// Values of the policy's own fields by key.
    pub fields: BTreeMap<String, String>,
    /// Why it cannot wait for an approval; none: it can.
    pub emergency: Option<String>,
    /// The lease to extend.
    pub extension_of: Option<GrantId>,
    /// The request whose place this one takes; closed in the same transaction.
    pub supersedes: Option<RequestId>,
    /// Who set it going without making it; they never decide on it.
    pub started_by: Option<PersonId>,
    /// What changed since that one was made, line by line.
    pub changes: Vec<String>,
    /// The membership without a grant that it is to make a lease of.
    pub adopts: Option<Adopting>,
}

impl AskFor {
    /// An ask for oneself, without end, as soon as approved.
    pub fn new(role: RoleId) -> Self {
        Self {
            role,
            requester: None,
            beneficiary: None,
            duration: None,
            starts_at: None,
            justification: None,
            ticket_reference: None,
            fields: BTreeMap::new(),
            emergency: None,
            extension_of: None,
            supersedes: None,
            started_by: None,
            changes: vec![],
            adopts: None,
        }
    }
}

/// What came of it.
#[derive(Clone, Debug, Serialize)]
pub struct Asked {
    /// The request.
    pub id: RequestId,
    /// Where it stands.
    pub status: RequestStatus,
    /// By which rule.
    pub deciding_rule: String,
}

/// The longest key of a field, in characters.
const LONGEST_KEY: usize = 63;
/// How often an ask is looked over again when what it was looked over with changed meanwhile.
const TRIES: usize = 4;

/// Makes the request: refused, approved at once, or on its way to the beneficiary or the approvers. Each is written with its events
/// in one transaction.
///
/// # Errors
/// A [`Refusal`] when a field is not acceptable, when one for the same role is open, when the role is held already, or when a lease
/// cannot be extended; otherwise as [`consider`]. Nothing is written then.
pub async fn ask(ctx: &Ctx, by: &By, ask_for: AskFor) -> Result<Asked, ServiceError> {
    ask_once(ctx, by, ask_for, None).await
}

/// As [`ask`]; what the caller is answered is kept in the same transaction.
///
/// # Errors
/// As [`ask`]; nothing is kept then either.
pub async fn ask_once(ctx: &Ctx, by: &By, ask_for: AskFor, keep: Option<&Keep<'_>>) -> Result<Asked, ServiceError> {
    let ask_for = tidied(ask_for)?;
    for _ in 0..TRIES {
        if let Some(asked) = attempt(ctx, by, &ask_for, keep).await? {
            return Ok(asked);
        }
    }
    Err(StoreError::Again("what the beneficiary holds, or the rules, changed again and again meanwhile".into()).into())
}

/// What was sent, as it is kept.
fn tidied(mut ask_for: AskFor) -> Result<AskFor, Refusal> {
    // Postgres keeps microseconds; what is digested must read back the same.
    ask_for.starts_at = ask_for.starts_at.map(|start| start.trunc_subsecs(6));
    ask_for.justification = tidy(ask_for.justification.as_deref(), "justification")?;
    ask_for.ticket_reference = tidy(ask_for.ticket_reference.as_deref(), "ticket_reference")?;
    if let Some(reason) = &ask_for.emergency {
        // An emergency without a reason is still one: the policy says what is missing.
        ask_for.emergency = Some(tidy(Some(reason), "emergency_reason")?.unwrap_or_default());
    }
    for (key, value) in &mut ask_for.fields {
        let plain = key.len() <= LONGEST_KEY && key.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        if !plain {
            return Err(Refusal::Faults(vec![FieldFault { field: "fields".into(), sentence: "A field has a name that no policy uses; leave it out.".into() }]));
        }
        *value = tidy(Some(value), &format!("field_{key}"))?.unwrap_or_default();
    }
    ask_for.fields.retain(|_, value| !value.is_empty());
    Ok(ask_for)
}

/// One try; none when what it was looked over with is no longer so, and nothing was written.
async fn attempt(ctx: &Ctx, by: &By, ask_for: &AskFor, keep: Option<&Keep<'_>>) -> Result<Option<Asked>, ServiceError> {
    let considered = consider(ctx, by, ask_for).await?;
    let faults = considered.faults(ask_for);
    if !faults.is_empty() {
        return Err(Refusal::Faults(faults).into());
    }
    let confirm = considered.must_be_confirmed();
    let Considered { role, requester, beneficiary, ask, decision, policy, separation, steps, inputs, now, .. } = considered;
    let extends_until = match ask_for.extension_of {
        Some(id) => Some(extendable(ctx, beneficiary.id.into(), id, &role, policy.as_deref(), now).await?),
        None => None,
    };
    let broken = |error: crate::evidence::canonical::Error| StoreError::Broken(error.to_string());
    let status = match decision.outcome {
        Outcome::Refused => RequestStatus::Refused,
        _ if confirm => RequestStatus::Submitted,
        Outcome::AutoApproved => RequestStatus::Approved,
        Outcome::NeedsApproval => RequestStatus::Pending,
    };
    let kept_apart: Vec<&SeparationRule> = separation.iter().map(|rule| &**rule).collect();
    let fields = if ask_for.fields.is_empty() { None } else { Some(canonical(&ask_for.fields).map_err(broken)?) };
    let mut new = NewRequest {
        id: RequestId(new_id()),
        requester: PersonId(requester.id),
        beneficiary: PersonId(beneficiary.id),
        role: role.id,
        application: role.application.0,
        status,
        decision: decision.outcome,
        deciding_rule: decision.deciding_rule.clone(),
        policy_version: decision.policy,
        inputs_digest: digest(&inputs),
        inputs,
        trace: canonical(&decision.trace).map_err(broken)?,
        ask_digest: String::new(),
        justification: ask_for.justification.clone(),
        ticket_reference: ask_for.ticket_reference.clone(),
        duration_s: ask_for.duration.map(|d| d.0),
        wanted_start: ask_for.starts_at,
        extension_of: ask_for.extension_of,
        fields,
        emergency_reason: ask_for.emergency.clone().filter(|reason| !reason.is_empty()),
        conflicts: decision.conflicts.clone(),
        supersedes: ask_for.supersedes,
        started_by: ask_for.started_by,
        distinct_people: policy.as_ref().is_none_or(|policy| resolve::distinct_people(&decision.steps, policy, &kept_apart)),
        channel: by.channel,
        created_at: now,
        steps: if decision.outcome == Outcome::NeedsApproval { steps.iter().map(to_write).collect() } else { vec![] },
    };
    let mut row = as_row(&new);
    row.ask_digest = match &policy {
        Some(policy) => ask_digest(&row, &role, policy)?,
        None => digest(&canonical(&decision.trace).map_err(broken)?),
    };
    new.ask_digest = row.ask_digest.clone();
    let submitted = Submitted {
        requester: requester.named(),
        beneficiary: beneficiary.named(),
        application: role.application_name.clone(),
        role: role.name.clone(),
        risk: role.risk.word().into(),
        duration_s: new.duration_s,
        policy: policy.as_ref().map(|p| format!("{} v{}", p.key, p.version)),
        policy_digest: policy.as_ref().map(|p| p.digest.clone()),
        decision: decision.outcome,
        deciding_rule: decision.deciding_rule.clone(),
        inputs_digest: new.inputs_digest.clone(),
        ask_digest: new.ask_digest.clone(),
        emergency: ask.emergency,
        conflicts: decision.conflicts.clone(),
        extension_of: new.extension_of,
        supersedes: new.supersedes,
    };
    let event = |fact| Event { actor: by.actor(), channel: by.channel, subject: commit::about(&row), fact };

    let mut tx = ctx.db.begin().await?;
    if !separation.is_empty() || ask.emergency {
        // Of two asks at once that bear on each other the second must see the first.
        grant::lock_person(&mut tx, ask.beneficiary).await?;
        let apart = kept_apart_from(&role, &separation);
        let held = if apart.is_empty() { vec![] } else { grant::held_or_asked_now(&mut tx, ask.beneficiary, &apart).await? };
        if held != ask.held || (ask.emergency && !ask.review_owed && emergency::is_owed_now(&mut tx, ask.beneficiary).await?) {
            return Ok(None);
        }
    }
    if let Some(old) = ask_for.supersedes {
        reevaluate::give_way(&mut tx, by, old, new.id, &ask_for.changes, now).await?;
    }
    let somebody_stands_in = match request::insert(&mut tx, &new).await {
        Ok(somebody) => somebody,
        Err(error) => {
            return match error.constraint() {
                Some("request_one_open") => Err(Refusal::AlreadyOpen.into()),
                // Other rules were applied since they were read.
                Some("request_governed") => Ok(None),
                _ => Err(error.into()),
            };
        }
    };
    if let Some(adopting) = ask_for.adopts.as_ref().filter(|_| status != RequestStatus::Refused) {
        adopt::link(&mut tx, adopting, new.id).await?;
    }
    if let Some(old) = ask_for.supersedes.filter(|_| status != RequestStatus::Refused) {
        adopt::relink(&mut tx, by, old, new.id).await?;
    }
    if status != RequestStatus::Refused {
        let held = grant::held(&mut tx, PersonId(beneficiary.id), role.id).await?;
        let others = held.iter().any(|id| Some(*id) != ask_for.extension_of.map(|g| g.0));
        if others {
            return Err(Refusal::AlreadyHeld(beneficiary.display_name).into());
        }
    }
    match status {
        RequestStatus::Refused => {
            event::append(&mut tx, &[event(Fact::RequestRefused(submitted))]).await?;
        }
        RequestStatus::Approved => {
            let approved = Approved {
                request: &row,
                role: &role,
                beneficiary: &beneficiary,
                duration: ask_for.duration,
                extends_until,
                actor: &by.actor(),
                channel: by.channel,
            };
            commit::lease(&mut tx, &approved, vec![event(Fact::RequestAutoApproved(submitted))], now).await?;
            if let Some(path) = policy.as_ref().and_then(|policy| policy.emergency.as_ref()).filter(|_| ask.emergency) {
                let due_at = path.review_within.after(now).unwrap_or(now);
                emergency_review::owe(&mut tx, by, &row, &beneficiary, &steps, due_at, now).await?;
            }
        }
        RequestStatus::Submitted => {
            event::append(&mut tx, &[event(Fact::RequestSubmitted(submitted))]).await?;
            let told = format!("{} asked for {} for you. Confirm it, or withdraw it.", requester.display_name, role.title());
            notice::tell(&mut tx, &[PersonId(beneficiary.id)], "confirm", Some(new.id), &told, now).await?;
        }
        _ => {
            let opened = step_opened(&steps, 1, now);
            event::append(&mut tx, &[event(Fact::RequestSubmitted(submitted)), event(opened)]).await?;
            if somebody_stands_in {
                stand_in::ask_delegates(&mut tx, &row, 1, now).await?;
            }
        }
    }
    if let Some(keep) = keep {
        keep.within(&mut tx, new.id.0).await?;
    }
    commit::commit(tx).await?;
    if status == RequestStatus::Approved {
        ctx.wake.notify_one();
    }
    Ok(Some(Asked { id: new.id, status, deciding_rule: decision.deciding_rule }))
}

/// The end of the lease that `holder` wants extended, if it may be.
///
/// # Errors
/// [`ServiceError::Missing`] for a lease that is none of theirs; a refusal with the reason why not.
pub async fn extendable(
    ctx: &Ctx,
    holder: PersonId,
    id: GrantId,
    role: &Role,
    policy: Option<&AccessPolicy>,
    now: DateTime<Utc>,
) -> Result<DateTime<Utc>, ServiceError> {
    let held = grant::by_id(&ctx.db, id).await?.filter(|g| g.beneficiary_id == holder.0 && g.role_id == role.id.0).ok_or(ServiceError::Missing)?;
    let extended = held.extended(grant::is_extended(&ctx.db, id).await?);
    extend(&held.lease(), policy.and_then(|p| p.extension.as_ref()), extended, now)?;
    held.ends_at.ok_or(Refusal::NotExtendable("it has no end".into()).into())
}

/// Text as it is kept: trimmed; none when nothing is left.
///
/// # Errors
/// A fault of `field` when it holds what Postgres and people cannot read, or is far too long.
pub fn tidy(text: Option<&str>, field: &str) -> Result<Option<String>, Refusal> {
    let Some(text) = text.map(str::trim).filter(|text| !text.is_empty()) else { return Ok(None) };
    let fault = |sentence: String| Refusal::Faults(vec![FieldFault { field: field.into(), sentence }]);
    let length = text.chars().count();
    if length > LONGEST_TEXT {
        return Err(fault(format!("At most {LONGEST_TEXT} characters; you wrote {length}.")));
    }
    if text.chars().any(|c| (c.is_control() && !matches!(c, '\n' | '\r' | '\t')) || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')) {
        return Err(fault("This holds characters that cannot be shown (control or direction marks); take them out.".into()));
    }
    Ok(Some(text.replace("\r\n", "\n")))
}

fn to_write(step: &ResolvedStep) -> NewStep {
    NewStep {
        name: step.name.clone(),
        time_limit_s: step.time_limit_s,
        remind_every_s: step.remind_every_s,
        procedure: step.planned.procedure.clone(),
        version: step.planned.version,
        position: i32::try_from(step.planned.position).unwrap_or(i32::MAX),
        slots: step
            .slots
            .iter()
            .map(|slot| NewSlot {
                approvals: slot.approvals,
                source: slot.source.word(),
                label: slot.source.label(),
                asked: slot.asked.iter().map(|p| p.id.into()).collect(),
            })
            .collect(),
    }
}

/// The event of a step that opens.
pub fn step_opened(steps: &[ResolvedStep], step_no: usize, now: DateTime<Utc>) -> Fact {
    let step = steps.get(step_no - 1);
    let mut asked: Vec<_> = step.into_iter().flat_map(|s| &s.slots).flat_map(|slot| slot.asked.iter().map(PersonRow::named)).collect();
    asked.sort();
    asked.dedup();
    Fact::StepOpened {
        step_no,
        step: step.map(|s| s.name.clone()).unwrap_or_default(),
        asked,
        due_at: step.and_then(|s| s.time_limit_s).and_then(|limit| Seconds(limit).after(now)),
    }
}

fn as_row(new: &NewRequest) -> RequestRow {
    RequestRow {
        id: new.id.0,
        requester_id: new.requester.0,
        beneficiary_id: new.beneficiary.0,
        started_by: new.started_by.map(|id| id.0),
        role_id: new.role.0,
        application_id: new.application,
        status: new.status.word().into(),
        step_no: (new.status == RequestStatus::Pending).then_some(1),
        policy_version_id: new.policy_version.map(|id| id.0),
        ask_digest: new.ask_digest.clone(),
        duration_s: new.duration_s,
        granted_s: None,
        wanted_start: new.wanted_start,
        extension_of: new.extension_of.map(|id| id.0),
        emergency_reason: new.emergency_reason.clone(),
        decision: new.decision.word().into(),
        distinct_people: new.distinct_people,
        step_left_s: None,
        step_due_at: None,
        remind_at: None,
        escalated: false,
        nudged_at: None,
        created_at: new.created_at,
    }
}
