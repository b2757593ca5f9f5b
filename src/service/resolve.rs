//! Who would be asked: sources turned into people.

use crate::domain::approval::{SlotState, unfillable};
use crate::domain::catalog::Role;
use crate::domain::person::PersonSnapshot;
use crate::domain::policy::{ApprovalProcedure, ApproverSource};
use crate::store::person::{self, PersonRow};

use super::ctx::Ctx;
use super::error::ServiceError;
use super::fetch;

/// A slot with the people it asks.
#[derive(Clone, Debug)]
pub struct ResolvedSlot {
    /// How many approvals.
    pub approvals: u32,
    /// The source that counts: the slot's own, or its fallback.
    pub source: ApproverSource,
    /// Whether the fallback stands in.
    pub is_fallback: bool,
    /// Who is asked, by name.
    pub asked: Vec<PersonRow>,
}

/// A step with the people it asks.
#[derive(Clone, Debug)]
pub struct ResolvedStep {
    /// Its name.
    pub name: String,
    /// Its limit in seconds.
    pub time_limit_s: Option<i64>,
    /// Its slots.
    pub slots: Vec<ResolvedSlot>,
}

/// Groups with more members than this are asked in part only, the first by name.
const MOST_ASKED: usize = 200;

/// Every step of `procedure` with the people who would be asked for `beneficiary`, live from the directory. Disabled people, the
/// requester and the beneficiary are never asked. `at_hand` are rows just read: nobody among them is read again.
///
/// # Errors
/// [`ServiceError::Unavailable`] when the directory does not answer.
pub async fn steps(
    ctx: &Ctx,
    procedure: &ApprovalProcedure,
    role: &Role,
    requester: &PersonRow,
    beneficiary: &PersonSnapshot,
    at_hand: &[PersonRow],
) -> Result<Vec<ResolvedStep>, ServiceError> {
    let mut resolved = Vec::with_capacity(procedure.steps.len());
    for step in &procedure.steps {
        let mut slots = Vec::with_capacity(step.slots.len());
        for slot in &step.slots {
            let mut asked = people(ctx, &slot.source, role, beneficiary, at_hand).await?;
            let may = |p: &PersonRow| p.is_active() && p.id != requester.id && p.id != beneficiary.person.0;
            asked.retain(may);
            let mut source = slot.source.clone();
            let mut is_fallback = false;
            if asked.is_empty()
                && let Some(fallback) = &slot.fallback
            {
                asked = people(ctx, fallback, role, beneficiary, at_hand).await?;
                asked.retain(may);
                source = fallback.clone();
                is_fallback = true;
            }
            asked.truncate(MOST_ASKED);
            slots.push(ResolvedSlot { approvals: slot.approvals, source, is_fallback, asked });
        }
        resolved.push(ResolvedStep { name: step.name.clone(), time_limit_s: step.time_limit.map(|limit| limit.0), slots });
    }
    Ok(resolved)
}

/// Why nobody could approve, as a sentence; none when people enough exist.
pub fn dead_end(steps: &[ResolvedStep], procedure: &ApprovalProcedure, requester: &PersonRow, beneficiary: &PersonSnapshot) -> Option<String> {
    let states: Vec<Vec<SlotState>> = steps
        .iter()
        .map(|step| {
            step.slots
                .iter()
                .map(|slot| SlotState { approvals: slot.approvals, asked: slot.asked.iter().map(|p| p.id.into()).collect(), approved_by: vec![] })
                .collect()
        })
        .collect();
    let (step, slot) = unfillable(&states, requester.id.into(), beneficiary.person, procedure.distinct_people)?;
    let slot = steps.get(step - 1)?.slots.get(slot - 1)?;
    let who = slot.source.label();
    Some(match slot.asked.len() {
        0 => format!("step {step} asks {who}, and there is nobody who may answer"),
        n => format!("step {step} needs {} approvals from {who}, and only {n} may answer or are not needed elsewhere", slot.approvals),
    })
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
            let found = fetch::directory(ctx, &role.directory)?
                .members(reference)
                .await
                .map_err(|error| ServiceError::Unavailable(format!("{error} Who would be asked cannot be said now; try again in a moment.")))?;
            known(ctx, &role.directory, &found.unwrap_or_default()).await
        }
    }
}

async fn by_id(ctx: &Ctx, id: crate::domain::id::PersonId, at_hand: &[PersonRow]) -> Result<Vec<PersonRow>, ServiceError> {
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
        fetch::keep(&mut tx, directory, &facts, ctx.clock.now()).await?;
        commit(tx).await?;
    }
    Ok(())
}

async fn commit(tx: crate::store::db::Tx) -> Result<(), ServiceError> {
    super::commit::commit(tx).await
}
