//! The debt of an emergency: a review.

use chrono::{DateTime, Utc};

use crate::domain::act::{Review, may_review};
use crate::domain::event::{Event, Fact};
use crate::domain::id::{PersonId, RequestId};
use crate::domain::refusal::Refusal;
use crate::store::db::Tx;
use crate::store::person::PersonRow;
use crate::store::request::RequestRow;
use crate::store::{emergency, event, notice, person, request};

use super::answer::deciding;
use super::ask::tidy;
use super::commit;
use super::ctx::{By, Ctx};
use super::error::ServiceError;
use super::fetch;
use super::resolve::ResolvedStep;

/// Writes the debt: who was skipped is told, and a review is owed by `due_at`.
///
/// # Errors
/// [`Refusal::NobodyCanApprove`] when nobody was skipped: then nobody could review it.
pub async fn owe(
    tx: &mut Tx,
    by: &By,
    row: &RequestRow,
    beneficiary: &PersonRow,
    steps: &[ResolvedStep],
    due_at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<(), ServiceError> {
    let mut skipped: Vec<_> = steps.iter().flat_map(|step| &step.slots).flat_map(|slot| slot.asked.iter().map(PersonRow::named)).collect();
    skipped.sort();
    skipped.dedup();
    if skipped.is_empty() {
        return Err(Refusal::NobodyCanApprove("nobody is there who could review the emergency afterwards".into()).into());
    }
    let people: Vec<PersonId> = skipped.iter().map(|person| person.id).collect();
    let ids: Vec<_> = people.iter().map(|person| person.0).collect();
    let reason = row.emergency_reason.clone().unwrap_or_default();
    let fact = Fact::EmergencyReviewOwed { reason, due_at, skipped };
    event::append(tx, &[Event { actor: by.actor(), channel: by.channel, subject: commit::about(row), fact }]).await?;
    emergency::owe(tx, row.id.into(), row.beneficiary_id.into(), due_at, &ids).await?;
    let told = format!("{} took emergency access without asking you. A review is owed: look at it.", beneficiary.display_name);
    notice::tell(tx, &people, "skipped", Some(row.id.into()), &told, now).await?;
    Ok(())
}

/// Takes the review of `by`: whether the emergency was justified. Who was skipped reviews; when they have all left, an owner of role or
/// application, or an administrator. Beneficiary and requester never do.
///
/// # Errors
/// [`ServiceError::Missing`] when the request is none that `by` may review and they do not read everything; a refusal when it was
/// reviewed before, or when not justified goes without a comment; [`Refusal::NotActive`]; [`ServiceError::Unavailable`] when the
/// directory does not answer.
pub async fn review(ctx: &Ctx, by: &By, id: RequestId, justified: bool, comment: Option<&str>) -> Result<(), ServiceError> {
    let comment = tidy(comment, "comment")?;
    // Only of who may review it, and before anything is locked: nobody who was disabled just now reviews.
    if emergency::look(&ctx.db, by.person, id).await?.is_some_and(|owed| owed.by_viewer) {
        let reviewer = person::by_id(&ctx.db, by.person).await?.ok_or(ServiceError::Missing)?;
        if !fetch::person(ctx, &reviewer).await?.active {
            return Err(Refusal::NotActive.into());
        }
    }
    let mut tx = ctx.db.begin().await?;
    let row = request::lock(&mut tx, id).await?.ok_or(ServiceError::Missing)?;
    let owed = emergency::lock(&mut tx, id).await?.ok_or(ServiceError::Missing)?;
    let policy = row.policy_version_id.ok_or(ServiceError::Missing)?;
    let policy = ctx.policies.version(&ctx.db, policy.into()).await?;
    let oversees = by.is_administrator || owed.owners.contains(&by.person.0);
    let debt = Review { reviewers: owed.reviewers.iter().copied().map(PersonId).collect(), made: owed.reviewed_at.is_some() };
    may_review(&deciding(&row, &[], &policy), by.person, oversees, Some(&debt)).map_err(|refusal| match refusal {
        // Somebody who has nothing to do with it is not told that there is a request.
        Refusal::NotReviewer if !by.reads_everything() && !oversees => ServiceError::Missing,
        other => other.into(),
    })?;
    if !justified && comment.is_none() {
        return Err(Refusal::ReasonRequired.into());
    }
    let now = ctx.clock.now();
    let verdict = if justified { "justified" } else { "not_justified" };
    emergency::review(&mut tx, id, by.person, verdict, comment.as_deref(), now).await?;
    let fact = Fact::EmergencyReviewed { verdict: verdict.into(), comment };
    event::append(&mut tx, &[Event { actor: by.actor(), channel: by.channel, subject: commit::about(&row), fact }]).await?;
    let told = format!("{} reviewed your emergency access: {}.", by.name, verdict.replace('_', " "));
    notice::tell(&mut tx, &[row.beneficiary_id.into()], "reviewed", Some(id), &told, now).await?;
    commit::commit(tx).await
}

/// How many rows one transaction takes.
const BATCH: i64 = 200;

/// Tells of every review that is overdue, once: whoever may make it, and the administrators. Returns how many there were.
///
/// # Errors
/// When the database fails.
pub async fn overdue(ctx: &Ctx) -> Result<usize, ServiceError> {
    let now = ctx.clock.now();
    if !emergency::any_overdue(&ctx.db, now).await? {
        return Ok(0);
    }
    // Asked for before anything is locked.
    let administrators = administrators(ctx).await?;
    let mut tx = ctx.db.begin().await?;
    let due = emergency::lock_overdue(&mut tx, now, BATCH).await?;
    for owed in &due {
        let id = RequestId(owed.request_id);
        let Some(row) = request::lock(&mut tx, id).await? else { continue };
        event::append(&mut tx, &[commit::by_system(commit::about(&row), Fact::EmergencyReviewOverdue { due_at: owed.due_at })]).await?;
        emergency::told(&mut tx, id, now).await?;
        let mut people: Vec<PersonId> = owed.reviewers.iter().map(|person| PersonId(*person)).chain(administrators.iter().copied()).collect();
        // All who were skipped have left: the owners stand in.
        if owed.reviewers.is_empty() {
            people.extend(owed.owners.iter().map(|person| PersonId(*person)));
        }
        people.sort_unstable();
        people.dedup();
        people.retain(|person| person.0 != owed.beneficiary_id);
        let told = "The review of an emergency is overdue. Until it is made, whoever took it has no further one.";
        notice::tell(&mut tx, &people, "review_overdue", Some(id), told, now).await?;
    }
    commit::commit(tx).await?;
    Ok(due.len())
}

/// Everybody who was an administrator when last seen. A directory that does not answer is not waited for: its group by reference will do.
async fn administrators(ctx: &Ctx) -> Result<Vec<PersonId>, ServiceError> {
    let mut found = Vec::new();
    for (key, directory) in ctx.directories.iter() {
        let Some(group) = ctx.access.get(key).map(|access| &access.administrators_group).filter(|group| !group.is_empty()) else { continue };
        let mut references = vec![group.clone()];
        // What is a reference is never looked for as a name: anybody might call a group like it.
        if !matches!(directory.group(group).await, Ok(Some(_)))
            && let Ok(Some(named)) = directory.find_group(group).await
        {
            references.push(named.reference);
        }
        found.extend(person::in_groups(&ctx.db, key, &references).await?.into_iter().map(PersonId));
    }
    Ok(found)
}
