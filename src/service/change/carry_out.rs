//! Puts approved changes into effect when they are due.

use uuid::Uuid;

use crate::domain::event::{Fact, Subject};
use crate::domain::id::PersonId;
use crate::evidence::canonical;
use crate::service::apply::{compare_groups, look_again, planned, versions};
use crate::service::catalog_file::read::read;
use crate::service::commit::{by_system, commit};
use crate::service::ctx::Ctx;
use crate::service::error::ServiceError;
use crate::service::plan::{Plan, ask};
use crate::store::catalog_write::write;
use crate::store::{event, policy_change};

/// Carries out every approved change that is due. Returns how many are over, one way or the other.
///
/// # Errors
/// The first failure, after the others were tried.
pub async fn due(ctx: &Ctx) -> Result<usize, ServiceError> {
    let mut done = 0;
    let mut first = None;
    for id in policy_change::due(&ctx.db, ctx.clock.now()).await? {
        match carry_out(ctx, id).await {
            Ok(over) => done += usize::from(over),
            Err(error) => {
                first.get_or_insert(error);
            }
        }
    }
    first.map_or(Ok(done), Err)
}

/// Carries out one approved change, if it is due: planned anew against what is there now. When it no longer comes to the changes
/// that were approved, or has faults, it fails and nothing of it is done. Returns whether it is over.
///
/// # Errors
/// When the directory or the database does not answer; then it stays due, and says why it waits.
pub async fn carry_out(ctx: &Ctx, id: Uuid) -> Result<bool, ServiceError> {
    let outcome = attempt(ctx, id).await;
    if let Err(ServiceError::Unavailable(why)) = &outcome {
        policy_change::waits(&ctx.db, id, why).await?;
    }
    outcome
}

async fn attempt(ctx: &Ctx, id: Uuid) -> Result<bool, ServiceError> {
    let Some(change) = policy_change::by_id(&ctx.db, id).await? else { return Err(ServiceError::Missing) };
    if change.status != "approved" {
        return Ok(false);
    }
    let file = read(&change.body);
    let mut resolved = ask(&ctx.db, &ctx.directories, &file).await?;
    let mut tx = ctx.db.begin().await?;
    let now = ctx.clock.now();
    let (plan, current) = planned(&mut tx, &file, &mut resolved, now).await?;
    // Held from here on: somebody may have rejected it, or another worker may have been faster.
    let Some(change) = policy_change::lock(&mut tx, id).await? else { return Err(ServiceError::Missing) };
    if change.status != "approved" || change.effective_at.is_none_or(|at| at > now) {
        return Ok(false);
    }
    if canonical::digest(&change.body) != change.digest {
        return fail(ctx, id, "The file that was approved is not the one that is kept.".into()).await;
    }
    if let Some(why) = why_not(&plan, &change.changes) {
        drop(tx);
        return fail(ctx, id, why).await;
    }
    write(&mut tx, &plan.writes, change.author_id.map(PersonId), now).await?;
    policy_change::carried_out(&mut tx, id, None, now).await?;
    policy_change::insert_versions(&mut tx, id, &versions(&plan, &current)).await?;
    let fact = Fact::CatalogApplied { source: change.source, digest: change.digest, changes: plan.lines(), change: Some(id) };
    event::append(&mut tx, &[by_system(Subject::default(), fact)]).await?;
    commit(tx).await?;
    look_again(ctx, now).await?;
    compare_groups(ctx, &plan, now).await?;
    Ok(true)
}

/// Why it cannot be carried out as it was approved, if so.
fn why_not(plan: &Plan, approved: &[String]) -> Option<String> {
    if let Some(fault) = plan.faults.first() {
        let more = if plan.faults.len() > 1 { format!(" And {} more.", plan.faults.len() - 1) } else { String::new() };
        return Some(format!("It has faults by now: {fault}{more}"));
    }
    let lines = plan.lines();
    if lines == approved {
        return None;
    }
    let other = lines.iter().find(|line| !approved.contains(line)).or_else(|| approved.iter().find(|line| !lines.contains(line)));
    let example = other.map(|line| format!(" For example: {line}")).unwrap_or_default();
    Some(format!("The rules changed since it was proposed, so it would no longer do what was approved.{example}"))
}

/// Ends a change that cannot be carried out.
async fn fail(ctx: &Ctx, id: Uuid, error: String) -> Result<bool, ServiceError> {
    let mut tx = ctx.db.begin().await?;
    let still = policy_change::lock(&mut tx, id).await?.is_some_and(|change| change.status == "approved");
    if !still {
        return Ok(false);
    }
    policy_change::carried_out(&mut tx, id, Some(&error), ctx.clock.now()).await?;
    event::append(&mut tx, &[by_system(Subject::default(), Fact::PolicyChangeFailed { change: id, error })]).await?;
    commit(tx).await?;
    Ok(true)
}
