//! A lease ends before its time: returned or revoked.

use crate::domain::event::{Event, Fact};
use crate::domain::grant::{EndReason, end as may_end};
use crate::domain::id::{GrantId, RoleId};
use crate::store::{catalog, event, grant, target};

use super::ask::tidy;
use super::commit;
use super::ctx::{By, Ctx};
use super::error::ServiceError;

/// Ends a lease: the holder returns it, or with `revoke` an owner of the role or an administrator takes it. The membership's
/// removal is owed from here on and never given up.
///
/// # Errors
/// [`ServiceError::Missing`] for a lease that is none of theirs; a refusal when it has ended or they may not.
pub async fn end(ctx: &Ctx, by: &By, id: GrantId, revoke: bool, reason: Option<&str>) -> Result<EndReason, ServiceError> {
    let reason = tidy(reason, "reason")?;
    let found = grant::by_id(&ctx.db, id).await?.ok_or(ServiceError::Missing)?;
    let role = catalog::role_even_retired(&ctx.db, RoleId(found.role_id)).await?.map(|(role, _)| role);
    let owns = role.is_some_and(|r| r.owner == by.person || r.application_owner == by.person) || by.is_administrator;
    if found.beneficiary_id != by.person.0 && !owns {
        return Err(ServiceError::Missing);
    }
    let mut tx = ctx.db.begin().await?;
    let row = grant::lock(&mut tx, id).await?.ok_or(ServiceError::Missing)?;
    let why = may_end(&row.lease(), by.person, owns, revoke)?;
    let now = ctx.clock.now();
    grant::end(&mut tx, id, why, Some(by.person), reason.as_deref(), now).await?;
    let fact = match why {
        EndReason::Revoked => Fact::GrantRevoked { reason },
        _ => Fact::GrantReturned { reason },
    };
    event::append(&mut tx, &[Event { actor: by.actor(), channel: by.channel, subject: commit::about_grant(&row), fact }]).await?;
    target::raise(&mut tx, &[row.target_id], now).await?;
    commit::commit(tx).await?;
    ctx.wake.notify_one();
    Ok(why)
}
