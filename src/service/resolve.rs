//! Who would be asked: sources turned into people.

use crate::domain::approval::{SlotState, unfillable};
use crate::domain::catalog::Role;
use crate::domain::decide::{PlannedStep, step_of};
use crate::domain::id::PersonId;
use crate::domain::person::PersonSnapshot;
use crate::domain::policy::{AccessPolicy, ApproverSource, Slot};
use crate::domain::separation::SeparationRule;
use crate::store::error::StoreError;
use crate::store::person::{self, PersonRow};

use super::ctx::Ctx;
use super::error::ServiceError;
use super::fetch;
use super::learn::{self, Source};

/// A slot with the people it asks.
#[derive(Clone, Debug)]
pub struct ResolvedSlot {
    /// How many approvals.
    pub approvals: u32,
    /// The source that counts: the first of the slot's that resolves to somebody.
    pub source: ApproverSource,
    /// Whether that is not the slot's first.
    pub is_fallback: bool,
    /// Who is asked, by name.
    pub asked: Vec<PersonRow>,
}

/// A step with the people it asks.
#[derive(Clone, Debug)]
pub struct ResolvedStep {
    /// Which step of which procedure it is.
    pub planned: PlannedStep,
    /// Its name.
    pub name: String,
    /// Its limit in seconds.
    pub time_limit_s: Option<i64>,
    /// How often who has not answered is reminded, in seconds.
    pub remind_every_s: Option<i64>,
    /// Whom it escalates to when the limit passes; empty when it is denied by time then.
    pub escalates_to: Vec<ApproverSource>,
    /// Its slots.
    pub slots: Vec<ResolvedSlot>,
}

/// Groups with more members than this are asked in part only, the first by name.
const MOST_ASKED: usize = 200;

/// Whom a request is about, as far as resolving needs to know.
#[derive(Clone, Copy, Debug)]
pub struct About<'a> {
    /// The role.
    pub role: &'a Role,
    /// Who asks.
    pub requester: PersonId,
    /// For whom.
    pub beneficiary: &'a PersonSnapshot,
    /// Who set it going without making it.
    pub started_by: Option<PersonId>,
    /// Rows just read: nobody among them is read again.
    pub at_hand: &'a [PersonRow],
}

/// The `planned` steps with the people who would be asked, live from the directory. Disabled people, the requester, the
/// beneficiary and who started it are never asked.
///
/// # Errors
/// [`ServiceError::Unavailable`] when the directory does not answer.
pub async fn steps(
    ctx: &Ctx,
    planned: &[PlannedStep],
    policy: &AccessPolicy,
    separation: &[&SeparationRule],
    about: About<'_>,
) -> Result<Vec<ResolvedStep>, ServiceError> {
    let mut resolved = Vec::with_capacity(planned.len());
    for planned in planned {
        let Some((_, step)) = step_of(policy, separation, planned) else {
            return Err(StoreError::Broken(format!("procedure {} v{} has no step {}", planned.procedure, planned.version, planned.position)).into());
        };
        let mut slots = Vec::with_capacity(step.slots.len());
        for slot in &step.slots {
            slots.push(self::slot(ctx, slot, about).await?);
        }
        resolved.push(ResolvedStep {
            planned: planned.clone(),
            name: step.name.clone(),
            time_limit_s: step.time_limit.map(|limit| limit.0),
            remind_every_s: step.remind_every.map(|every| every.0),
            escalates_to: step.escalation.as_ref().map(|escalation| escalation.sources.clone()).unwrap_or_default(),
            slots,
        });
    }
    Ok(resolved)
}

async fn slot(ctx: &Ctx, slot: &Slot, about: About<'_>) -> Result<ResolvedSlot, ServiceError> {
    let found = first(ctx, &slot.sources, about, &[]).await?;
    let (at, asked) = found.unwrap_or_default();
    let source = slot.sources.get(at).cloned().unwrap_or(ApproverSource::ApplicationOwner);
    Ok(ResolvedSlot { approvals: slot.approvals, source, is_fallback: at > 0, asked })
}

/// The first of `sources` that resolves to somebody who may be asked and is none of `without`: its place in the list, from 0, and who
/// they are. None when no source does.
///
/// # Errors
/// [`ServiceError::Unavailable`] when the directory does not answer.
pub async fn first(ctx: &Ctx, sources: &[ApproverSource], about: About<'_>, without: &[PersonId]) -> Result<Option<(usize, Vec<PersonRow>)>, ServiceError> {
    for (at, source) in sources.iter().enumerate() {
        let mut asked = people(ctx, source, about.role, about.beneficiary, about.at_hand).await?;
        asked.retain(|p| {
            p.is_active()
                && p.id != about.requester.0
                && p.id != about.beneficiary.person.0
                && about.started_by.is_none_or(|who| who.0 != p.id)
                && !without.contains(&p.id.into())
        });
        if !asked.is_empty() {
            asked.truncate(MOST_ASKED);
            return Ok(Some((at, asked)));
        }
    }
    Ok(None)
}

/// Why nobody could approve, as a sentence; none when people enough exist.
pub fn dead_end(steps: &[ResolvedStep], distinct_people: bool, requester: PersonId, beneficiary: PersonId) -> Option<String> {
    let states: Vec<Vec<SlotState>> =
        steps.iter().map(|step| step.slots.iter().map(|slot| SlotState::asking(slot.approvals, slot.asked.iter().map(|p| p.id.into()))).collect()).collect();
    let (step, slot) = unfillable(&states, requester, beneficiary, distinct_people)?;
    let slot = steps.get(step - 1)?.slots.get(slot - 1)?;
    let who = slot.source.label();
    Some(match slot.asked.len() {
        0 => format!("step {step} asks {who}, and there is nobody who may answer"),
        n => format!("step {step} needs {} approvals from {who}, and only {n} may answer or are not needed elsewhere", slot.approvals),
    })
}

/// Whether one person may decide only once, going through `planned`: when one of their procedures says so.
pub fn distinct_people(planned: &[PlannedStep], policy: &AccessPolicy, separation: &[&SeparationRule]) -> bool {
    planned.iter().any(|planned| step_of(policy, separation, planned).is_none_or(|(procedure, _)| procedure.distinct_people))
}

async fn people(ctx: &Ctx, source: &ApproverSource, role: &Role, beneficiary: &PersonSnapshot, at_hand: &[PersonRow]) -> Result<Vec<PersonRow>, ServiceError> {
    match source {
        ApproverSource::Person { id, .. } => by_id(ctx, *id, at_hand).await,
        ApproverSource::ApplicationOwner => by_id(ctx, role.application_owner, at_hand).await,
        ApproverSource::RoleOwner => by_id(ctx, role.owner, at_hand).await,
        ApproverSource::Manager => {
            Ok(manager(ctx, &beneficiary.directory, beneficiary.manager.as_deref(), at_hand).await?.map(|(row, _)| row).into_iter().collect())
        }
        ApproverSource::ManagersManager => {
            let Some((_, next)) = manager(ctx, &beneficiary.directory, beneficiary.manager.as_deref(), at_hand).await? else { return Ok(vec![]) };
            Ok(manager(ctx, &beneficiary.directory, next.as_deref(), at_hand).await?.map(|(row, _)| row).into_iter().collect())
        }
        ApproverSource::Group { reference, .. } => {
            // Wherever the role is given: who approves signs in.
            let (home, directory) = ctx.directories.home()?;
            let found = directory
                .members(reference)
                .await
                .map_err(|error| ServiceError::Unavailable(format!("{error} Who would be asked cannot be said now; try again in a moment.")))?;
            known(ctx, home, &found.unwrap_or_default()).await
        }
    }
}

async fn by_id(ctx: &Ctx, id: PersonId, at_hand: &[PersonRow]) -> Result<Vec<PersonRow>, ServiceError> {
    if let Some(row) = at_hand.iter().find(|row| row.id == id.0) {
        return Ok(vec![row.clone()]);
    }
    Ok(person::by_id(&ctx.db, id).await?.into_iter().collect())
}

/// The rows of `references`, asking the directory about those never seen before.
async fn known(ctx: &Ctx, directory: &str, references: &[String]) -> Result<Vec<PersonRow>, ServiceError> {
    let mut rows = person::by_references(&ctx.db, directory, references).await?;
    let missing: Vec<&String> = references.iter().filter(|r| !rows.iter().any(|row| row.reference == **r)).take(MOST_ASKED).collect();
    if !missing.is_empty() {
        for reference in missing {
            learn(ctx, directory, reference).await?;
        }
        rows = person::by_references(&ctx.db, directory, references).await?;
    }
    Ok(rows)
}

/// The manager with this reference, asked afresh, and who manages them.
async fn manager(ctx: &Ctx, directory: &str, reference: Option<&str>, at_hand: &[PersonRow]) -> Result<Option<(PersonRow, Option<String>)>, ServiceError> {
    let Some(reference) = reference.filter(|r| !r.is_empty()) else { return Ok(None) };
    let mut row = match at_hand.iter().find(|row| row.directory == directory && row.reference == reference) {
        Some(row) => row.clone(),
        None => {
            let Some(row) = known(ctx, directory, &[reference.to_owned()]).await?.pop() else { return Ok(None) };
            row
        }
    };
    let now = fetch::person(ctx, &row).await?;
    row.status = if now.active { "active" } else { "disabled" }.into();
    Ok(Some((row, now.manager)))
}

async fn learn(ctx: &Ctx, directory: &str, reference: &str) -> Result<(), ServiceError> {
    let facts =
        fetch::directory(ctx, directory)?.person(reference).await.map_err(|error| ServiceError::Unavailable(format!("{error} Try again in a moment.")))?;
    if let Some(facts) = facts {
        let mut tx = ctx.db.begin().await?;
        learn::one(&mut tx, ctx, directory, &facts, Source::Read, ctx.clock.now()).await?;
        commit(tx).await?;
    }
    Ok(())
}

async fn commit(tx: crate::store::db::Tx) -> Result<(), ServiceError> {
    super::commit::commit(tx).await
}
