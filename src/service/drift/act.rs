//! What owners and administrators do about a drift.

use uuid::Uuid;

use crate::clock::new_id;
use crate::domain::event::{Actor, Channel, Fact};
use crate::domain::id::{PersonId, TargetId};
use crate::domain::refusal::Refusal;
use crate::service::commit;
use crate::service::ctx::{By, Ctx};
use crate::service::error::ServiceError;
use crate::store::drift::{self, DriftRow, GivenRole};
use crate::store::target;

use super::adopt::{holder, told};

/// A drift and the roles that its group gives, for who may act on it: administrators, and owners of one of the roles or their
/// application.
///
/// # Errors
/// [`ServiceError::Missing`] for anybody else, and where there is no such drift.
pub(super) async fn seen(ctx: &Ctx, by: &By, id: Uuid) -> Result<(DriftRow, Vec<GivenRole>), ServiceError> {
    let row = drift::by_id(&ctx.db, id).await?.ok_or(ServiceError::Missing)?;
    let roles = drift::roles(&ctx.db, &row.directory, Some(&row.group_reference)).await?;
    if by.is_administrator || roles.iter().any(|role| role.owner_id == by.person.0 || role.application_owner_id == by.person.0) {
        Ok((row, roles))
    } else {
        Err(ServiceError::Missing)
    }
}

/// That nobody has begun to settle a drift, and that it is a member without a grant.
///
/// # Errors
/// [`Refusal::NotUnexpected`], [`Refusal::DriftSettled`] or [`Refusal::DriftBusy`].
pub(super) fn still(row: &DriftRow) -> Result<(), Refusal> {
    match () {
        () if row.kind != "unexpected_member" => Err(Refusal::NotUnexpected),
        () if row.resolved_at.is_some() => Err(Refusal::DriftSettled),
        () if row.removal_asked_at.is_some() => Err(Refusal::DriftBusy("This membership is being taken away already.")),
        () if row.is_being_adopted() => Err(Refusal::DriftBusy("A request to make a grant of this membership is under way; it has to be closed first.")),
        () => Ok(()),
    }
}

/// Takes a membership away that no lease explains, as `by`, who owns the role or administers. The worker does it, and the drift is
/// settled when the directory says itself that the member is gone.
///
/// # Errors
/// [`ServiceError::Missing`] for anybody else; [`Refusal::NotUnexpected`], [`Refusal::DriftSettled`], [`Refusal::DriftBusy`],
/// [`Refusal::OnlyInherited`], [`Refusal::PersonUnlisted`]; [`ServiceError::Unavailable`] when the directory has to be asked who it is and does
/// not answer.
pub async fn remove(ctx: &Ctx, by: &By, id: Uuid) -> Result<(), ServiceError> {
    let (row, _) = seen(ctx, by, id).await?;
    order(ctx, &row, Some(by.person), (by.actor(), by.channel)).await
}

/// Orders a removal: by the rule of the role, or as somebody's act.
///
/// # Errors
/// As [`remove`].
pub(super) async fn order(ctx: &Ctx, row: &DriftRow, by: Option<PersonId>, who: (Actor, Channel)) -> Result<(), ServiceError> {
    still(row)?;
    if row.through.is_some() {
        return Err(Refusal::OnlyInherited(row.through_name.clone().unwrap_or_default()).into());
    }
    let holder = holder(ctx, row).await?.ok_or(Refusal::PersonUnlisted)?;
    let mut tx = ctx.db.begin().await?;
    let row = drift::lock(&mut tx, row.id).await?.ok_or(ServiceError::Missing)?;
    still(&row)?;
    let now = ctx.clock.now();
    drift::order_removal(&mut tx, row.id, PersonId(holder.id), by, now).await?;
    let fact = Fact::DriftRemovalOrdered { directory: row.directory.clone(), group: row.group_reference.clone(), person: row.person_reference.clone() };
    told(&mut tx, &DriftRow { person_id: Some(holder.id), ..row.clone() }, who, vec![fact]).await?;
    target::order_removal(&mut tx, TargetId(new_id()), &row.directory, (holder.id, &row.person_reference), &row.group_reference, now).await?;
    commit::commit(tx).await?;
    ctx.wake.notify_one();
    Ok(())
}
