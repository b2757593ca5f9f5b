//! Approve, reject or withdraw a proposed change of the rules.

use chrono::{DateTime, Duration, SubsecRound, Utc};
use uuid::Uuid;

use crate::domain::event::{Event, Fact, Subject};
use crate::domain::policy::FieldFault;
use crate::domain::refusal::Refusal;
use crate::service::ask::tidy;
use crate::service::commit::commit;
use crate::service::ctx::{By, Ctx};
use crate::service::error::ServiceError;
use crate::store::db::Tx;
use crate::store::event;
use crate::store::policy_change::{self, ChangeRow};

use super::carry_out;

/// How far ahead a change may take effect.
const FARTHEST: Duration = Duration::days(366);

/// Approves a proposed change as another administrator than its author; it takes effect at `at`, or at once.
///
/// # Errors
/// [`ServiceError::Missing`] for whoever is no administrator; [`Refusal::OwnChange`] for its author; [`Refusal::ChangeClosed`] when
/// it is decided already; a fault when `at` has passed or lies more than a year ahead.
pub async fn approve(ctx: &Ctx, by: &By, id: Uuid, at: Option<DateTime<Utc>>, comment: Option<&str>) -> Result<(), ServiceError> {
    let comment = tidy(comment, "comment")?;
    let mut tx = ctx.db.begin().await?;
    let change = locked(&mut tx, by, id).await?;
    if change.author_id == Some(by.person.0) {
        return Err(Refusal::OwnChange.into());
    }
    still(&change, &["proposed"])?;
    let now = ctx.clock.now();
    // A minute that has begun is meant, not missed.
    let effective_at = match at.map(|at| at.trunc_subsecs(0)) {
        None => now,
        Some(at) if at > now - Duration::minutes(1) && at <= now + FARTHEST => at.max(now),
        Some(_) => {
            let sentence = "The time at which a change takes effect must lie ahead, by at most a year.".into();
            return Err(Refusal::Faults(vec![FieldFault { field: "at".into(), sentence }]).into());
        }
    };
    policy_change::approve(&mut tx, id, by.person.0, effective_at, comment.as_deref(), now).await?;
    tell(&mut tx, by, Fact::PolicyChangeApproved { change: id, effective_at }).await?;
    commit(tx).await?;
    if effective_at <= now {
        // What cannot be done at this moment the worker does as soon as it can; the approval stands.
        if let Err(error) = carry_out::carry_out(ctx, id).await {
            tracing::warn!(%error, change = %id, "an approved change of the rules waits");
        }
    }
    Ok(())
}

/// Rejects a change that is proposed, or approved and not yet in effect, as another administrator than its author.
///
/// # Errors
/// As [`approve`].
pub async fn reject(ctx: &Ctx, by: &By, id: Uuid, comment: Option<&str>) -> Result<(), ServiceError> {
    let comment = tidy(comment, "comment")?;
    let mut tx = ctx.db.begin().await?;
    let change = locked(&mut tx, by, id).await?;
    if change.author_id == Some(by.person.0) {
        return Err(Refusal::OwnChange.into());
    }
    close(ctx, tx, by, &change, "rejected", Some(by.person.0), comment).await
}

/// Takes a change back, as its author.
///
/// # Errors
/// [`ServiceError::Missing`] for whoever is no administrator; [`Refusal::NotAuthor`]; [`Refusal::ChangeClosed`].
pub async fn withdraw(ctx: &Ctx, by: &By, id: Uuid, comment: Option<&str>) -> Result<(), ServiceError> {
    let comment = tidy(comment, "comment")?;
    let mut tx = ctx.db.begin().await?;
    let change = locked(&mut tx, by, id).await?;
    if change.author_id != Some(by.person.0) {
        return Err(Refusal::NotAuthor.into());
    }
    close(ctx, tx, by, &change, "withdrawn", None, comment).await
}

async fn close(ctx: &Ctx, mut tx: Tx, by: &By, change: &ChangeRow, how: &'static str, who: Option<Uuid>, comment: Option<String>) -> Result<(), ServiceError> {
    still(change, &["proposed", "approved"])?;
    policy_change::close(&mut tx, change.id, how, who, comment.as_deref(), ctx.clock.now()).await?;
    tell(&mut tx, by, Fact::PolicyChangeRejected { change: change.id, how: how.into(), comment }).await?;
    commit(tx).await
}

async fn locked(tx: &mut Tx, by: &By, id: Uuid) -> Result<ChangeRow, ServiceError> {
    if !by.is_administrator {
        return Err(ServiceError::Missing);
    }
    policy_change::lock(tx, id).await?.ok_or(ServiceError::Missing)
}

fn still(change: &ChangeRow, open: &[&str]) -> Result<(), Refusal> {
    if open.contains(&change.status.as_str()) {
        return Ok(());
    }
    Err(Refusal::ChangeClosed(match change.status.as_str() {
        "approved" => "approved",
        "applied" => "in force",
        "rejected" => "rejected",
        "withdrawn" => "withdrawn",
        _ => "failed",
    }))
}

async fn tell(tx: &mut Tx, by: &By, fact: Fact) -> Result<(), ServiceError> {
    event::append(tx, &[Event { actor: by.actor(), channel: by.channel, subject: Subject::default(), fact }]).await?;
    Ok(())
}
