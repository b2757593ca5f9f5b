//! An administrator says how a stopped group goes on.

use uuid::Uuid;

use crate::domain::event::{Event, Fact, Subject};
use crate::domain::refusal::Refusal;
use crate::service::commit;
use crate::service::ctx::{By, Ctx};
use crate::service::error::ServiceError;
use crate::service::heartbeat;
use crate::store::{drift, event, managed_group};

use super::act;

/// Takes every member without a grant out of a group that stopped because they are many, if they are as many as was shown. Returns how
/// many removals were ordered.
///
/// # Errors
/// [`ServiceError::Missing`] for anybody but an administrator; [`Refusal::NothingStopped`] when it did not stop for that, or they are
/// others by now.
pub async fn remove_all(ctx: &Ctx, by: &By, group: Uuid, people: i32) -> Result<usize, ServiceError> {
    may(by)?;
    let row = managed_group::by_id(&ctx.db, group).await?.ok_or(ServiceError::Missing)?;
    if row.stopped_why.as_deref() != Some("many") || row.stopped_people != Some(people) {
        return Err(Refusal::NothingStopped.into());
    }
    let mut done = 0;
    let open = drift::open_of(&ctx.db, &row.directory).await?;
    for row in open.iter().filter(|d| d.group_reference == row.group_reference && d.kind == "unexpected_member" && d.through.is_none()) {
        match act::order(ctx, row, Some(by.person), (by.actor(), by.channel)).await {
            Ok(()) => done += 1,
            Err(ServiceError::Refused(_)) => {}
            Err(other) => return Err(other),
        }
    }
    go_on(ctx, by, group, "many", "an administrator had them all taken out").await?;
    Ok(done)
}

/// Says that the short list of a group is right: the next comparison, due at once, takes it as it is.
///
/// # Errors
/// [`ServiceError::Missing`] for anybody but an administrator; [`Refusal::NothingStopped`] when it did not stop for that.
pub async fn believe(ctx: &Ctx, by: &By, group: Uuid) -> Result<(), ServiceError> {
    may(by)?;
    go_on(ctx, by, group, "shrunk", "an administrator said that the list is right").await
}

async fn go_on(ctx: &Ctx, by: &By, group: Uuid, why: &str, how: &str) -> Result<(), ServiceError> {
    let mut tx = ctx.db.begin().await?;
    let row = managed_group::lock_id(&mut tx, group).await?.ok_or(ServiceError::Missing)?;
    if row.stopped_why.as_deref() != Some(why) {
        return Err(Refusal::NothingStopped.into());
    }
    let now = ctx.clock.now();
    match why {
        "shrunk" => managed_group::believe(&mut tx, group, now).await?,
        _ => managed_group::stop(&mut tx, group, None, now).await?,
    }
    let fact = Fact::GroupReleased { directory: row.directory.clone(), group: row.group_reference, how: how.into() };
    event::append(&mut tx, &[Event { actor: by.actor(), channel: by.channel, subject: Subject::default(), fact }]).await?;
    commit::commit(tx).await?;
    heartbeat::run_now(ctx, &format!("sweep:{}", row.directory)).await
}

fn may(by: &By) -> Result<(), ServiceError> {
    if by.is_administrator { Ok(()) } else { Err(ServiceError::Missing) }
}
