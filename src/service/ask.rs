//! A person asks for a role.

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use serde::Serialize;

use crate::clock::new_id;
use crate::domain::catalog::Role;
use crate::domain::decide::{Ask, Decision, Outcome, TraceLine, decide};
use crate::domain::event::{Event, Fact, Submitted};
use crate::domain::grant::extend;
use crate::domain::id::{GrantId, PersonId, PolicyVersionId, RequestId, RoleId};
use crate::domain::person::PersonSnapshot;
use crate::domain::policy::{AccessPolicy, FieldFault, LONGEST_TEXT, Wanted};
use crate::domain::refusal::Refusal;
use crate::domain::request::RequestStatus;
use crate::domain::span::Seconds;
use crate::evidence::canonical::{canonical, digest};
use crate::store::error::StoreError;
use crate::store::grounds::{self, Asking};
use crate::store::person::PersonRow;
use crate::store::request::{NewRequest, NewSlot, NewStep, RequestRow};
use crate::store::{event, grant, request};

use super::commit::{self, Approved};
use super::ctx::{By, Ctx};
use super::error::ServiceError;
use super::fetch;
use super::idempotency::Keep;
use super::resolve::{self, ResolvedStep};

/// How far ahead a start may lie.
const LATEST_START: TimeDelta = TimeDelta::days(365);

/// What the form or the API sends.
#[derive(Clone, Debug)]
pub struct AskFor {
    /// Which role.
    pub role: RoleId,
    /// For whom; none: for oneself.
    pub beneficiary: Option<PersonId>,
    /// None: without end.
    pub duration: Option<Seconds>,
    /// None: as soon as approved.
    pub starts_at: Option<DateTime<Utc>>,
    /// Why.
    pub justification: Option<String>,
    /// Ticket.
    pub ticket_reference: Option<String>,
    /// The lease to extend.
    pub extension_of: Option<GrantId>,
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

/// Everything known about an ask before it is written: the form's preview and the act share it.
#[derive(Clone, Debug)]
pub struct Considered {
    /// The role.
    pub role: Role,
    /// Who asks.
    pub requester: PersonRow,
    /// For whom, as the directory describes them now.
    pub snapshot: PersonSnapshot,
    /// Row of the beneficiary.
    pub beneficiary: PersonRow,
    /// What the policies say.
    pub decision: Decision,
    /// The version that governs.
    pub policy: Option<std::sync::Arc<AccessPolicy>>,
    /// Whom it would ask.
    pub steps: Vec<ResolvedStep>,
    /// What it was decided from.
    inputs: String,
    /// When.
    pub now: DateTime<Utc>,
}

/// What a decision was made from; stored with the request so that it can be made again.
#[derive(Serialize)]
struct Inputs<'a> {
    v: u32,
    decided_at: DateTime<Utc>,
    policies: Vec<Cited<'a>>,
    person: &'a PersonSnapshot,
    ask: &'a Ask,
}

#[derive(Serialize)]
struct Cited<'a> {
    id: PolicyVersionId,
    key: &'a str,
    version: i32,
    digest: &'a str,
}

/// What an approval authorises, and nothing else.
#[derive(Serialize)]
struct Authorised<'a> {
    beneficiary: PersonId,
    role: RoleId,
    directory: &'a str,
    group: &'a str,
    duration_s: Option<i64>,
    starts_at: Option<DateTime<Utc>>,
    extension_of: Option<GrantId>,
    policy_version: PolicyVersionId,
    policy_digest: &'a str,
}

/// Looks an ask over: who, what the directory says now, what the policies say, whom it would ask. Writes nothing.
///
/// # Errors
/// [`ServiceError::Missing`] for a role that is not there; [`Refusal::RoleRetired`]; [`ServiceError::Unavailable`] when the directory
/// does not answer.
pub async fn consider(ctx: &Ctx, by: &By, ask_for: &AskFor) -> Result<Considered, ServiceError> {
    if ask_for.beneficiary.is_some_and(|b| b != by.person) {
        return Err(Refusal::NotForOthers.into());
    }
    let Asking { role, retired, governing, people } = grounds::of_asking(&ctx.db, ask_for.role, by.person).await?.ok_or(ServiceError::Missing)?;
    if retired {
        return Err(Refusal::RoleRetired.into());
    }
    let policies = ctx.policies.versions(&ctx.db, &governing).await?;
    let requester = people.iter().find(|row| row.id == by.person.0).cloned().ok_or(ServiceError::Missing)?;
    let beneficiary = requester.clone();
    let snapshot = fetch::person(ctx, &beneficiary).await?;
    let now = ctx.clock.now();
    let ask = Ask { requester: by.person, beneficiary: PersonId(beneficiary.id), role: role.id, duration: ask_for.duration, starts_at: ask_for.starts_at };
    let tried: Vec<&AccessPolicy> = policies.iter().map(|policy| &**policy).collect();
    let mut decision = decide(&tried, &snapshot, &ask, now);
    let policy = policies.iter().find(|policy| Some(policy.id) == decision.policy).cloned();
    let inputs = Inputs {
        v: 1,
        decided_at: now,
        policies: policies.iter().map(|p| Cited { id: p.id, key: &p.key, version: p.version, digest: &p.digest }).collect(),
        person: &snapshot,
        ask: &ask,
    };
    let inputs = canonical(&inputs).map_err(|error| StoreError::Broken(error.to_string()))?;
    let mut steps = Vec::new();
    if decision.outcome == Outcome::NeedsApproval
        && let Some(procedure) = policy.as_ref().and_then(|policy| policy.procedure.as_ref())
    {
        steps = resolve::steps(ctx, procedure, &role, &requester, &snapshot, &people).await?;
        if let Some(why) = resolve::dead_end(&steps, procedure, &requester, &snapshot) {
            decision.outcome = Outcome::Refused;
            decision.deciding_rule = format!("procedure {} v{}: nobody could approve", procedure.key, procedure.version);
            decision.trace.push(TraceLine {
                rule: decision.deciding_rule.clone(),
                sentence: format!("Somebody must be able to approve: {why}"),
                attribute: None,
                seen: vec![],
                source: role.directory.clone(),
                fetched_at: now,
                passed: false,
                decisive: true,
            });
        }
    }
    Ok(Considered { role, requester, snapshot, beneficiary, decision, policy, steps, inputs, now })
}

/// Makes the request: refused, approved at once, or on its way to the approvers. Each is written with its events in one
/// transaction.
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
pub async fn ask_once(ctx: &Ctx, by: &By, mut ask_for: AskFor, keep: Option<&Keep<'_>>) -> Result<Asked, ServiceError> {
    // Postgres keeps microseconds; what is digested must read back the same.
    ask_for.starts_at = ask_for.starts_at.map(|start| start.trunc_subsecs(6));
    if ask_for.starts_at.is_some_and(|start| start > ctx.clock.now() + LATEST_START) {
        let sentence = "At most a year ahead; leave it empty to begin as soon as it is approved.".into();
        return Err(Refusal::Faults(vec![FieldFault { field: "starts_at".into(), sentence }]).into());
    }
    let justification = tidy(ask_for.justification.as_deref(), "justification")?;
    let ticket_reference = tidy(ask_for.ticket_reference.as_deref(), "ticket_reference")?;
    let considered = consider(ctx, by, &ask_for).await?;
    let Considered { role, requester, beneficiary, decision, policy, steps, inputs, now, .. } = considered;
    if decision.outcome != Outcome::Refused
        && let Some(policy) = &policy
    {
        let faults =
            policy.faults(Wanted { duration: ask_for.duration, justification: justification.as_deref(), ticket_reference: ticket_reference.as_deref() });
        if !faults.is_empty() {
            return Err(Refusal::Faults(faults).into());
        }
    }
    let extends_until = match ask_for.extension_of {
        Some(id) => Some(extendable(ctx, by, id, &role, policy.as_deref(), now).await?),
        None => None,
    };
    let broken = |error: crate::evidence::canonical::Error| StoreError::Broken(error.to_string());
    let status = match decision.outcome {
        Outcome::Refused => RequestStatus::Refused,
        Outcome::AutoApproved => RequestStatus::Approved,
        Outcome::NeedsApproval => RequestStatus::Pending,
    };
    let mut new = NewRequest {
        id: RequestId(new_id()),
        requester: by.person,
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
        justification,
        ticket_reference,
        duration_s: ask_for.duration.map(|d| d.0),
        wanted_start: ask_for.starts_at,
        extension_of: ask_for.extension_of,
        channel: by.channel,
        created_at: now,
        steps: if status == RequestStatus::Pending { steps.iter().map(to_write).collect() } else { vec![] },
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
    };
    let event = |fact| Event { actor: by.actor(), channel: by.channel, subject: commit::about(&row), fact };

    let mut tx = ctx.db.begin().await?;
    request::insert(&mut tx, &new).await.map_err(|error| match error.constraint() {
        Some("request_one_open") => ServiceError::Refused(Refusal::AlreadyOpen),
        // Other rules were applied since they were read.
        Some("request_governed") => StoreError::Again(error.to_string()).into(),
        _ => error.into(),
    })?;
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
        }
        _ => {
            let opened = step_opened(&steps, 1, now);
            event::append(&mut tx, &[event(Fact::RequestSubmitted(submitted)), event(opened)]).await?;
        }
    }
    if let Some(keep) = keep {
        keep.within(&mut tx, new.id.0).await?;
    }
    commit::commit(tx).await?;
    if status == RequestStatus::Approved {
        ctx.wake.notify_one();
    }
    Ok(Asked { id: new.id, status, deciding_rule: decision.deciding_rule })
}

/// SHA-256 over what an approval of `row` authorises: beneficiary, role and the group behind it, duration, start, policy version.
///
/// # Errors
/// Never in practice: every field has a canonical form.
pub fn ask_digest(row: &RequestRow, role: &Role, policy: &AccessPolicy) -> Result<String, ServiceError> {
    let authorised = Authorised {
        beneficiary: row.beneficiary_id.into(),
        role: role.id,
        directory: &role.directory,
        group: &role.group_reference,
        duration_s: row.duration_s,
        starts_at: row.wanted_start,
        extension_of: row.extension_of.map(GrantId),
        policy_version: policy.id,
        policy_digest: &policy.digest,
    };
    Ok(digest(&canonical(&authorised).map_err(|error| StoreError::Broken(error.to_string()))?))
}

/// The end of the lease that `by` wants to extend, if they may.
///
/// # Errors
/// [`ServiceError::Missing`] for a lease that is none of theirs; a refusal with the reason why not.
pub async fn extendable(
    ctx: &Ctx,
    by: &By,
    id: GrantId,
    role: &Role,
    policy: Option<&AccessPolicy>,
    now: DateTime<Utc>,
) -> Result<DateTime<Utc>, ServiceError> {
    let held = grant::by_id(&ctx.db, id).await?.filter(|g| g.beneficiary_id == by.person.0 && g.role_id == role.id.0).ok_or(ServiceError::Missing)?;
    let already = grant::is_extended(&ctx.db, id).await?;
    extend(&held.lease(), policy.is_some_and(|p| p.extension), already, now)?;
    held.ends_at.ok_or(Refusal::NotExtendable("it has no end").into())
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

fn step_opened(steps: &[ResolvedStep], step_no: usize, now: DateTime<Utc>) -> Fact {
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
        role_id: new.role.0,
        application_id: new.application,
        status: new.status.word().into(),
        step_no: new.status.is_open().then_some(1),
        policy_version_id: new.policy_version.map(|id| id.0),
        ask_digest: new.ask_digest.clone(),
        duration_s: new.duration_s,
        granted_s: None,
        wanted_start: new.wanted_start,
        extension_of: new.extension_of.map(|id| id.0),
        created_at: new.created_at,
    }
}
