//! Does about drift what the roles say.

use std::collections::BTreeMap;

use crate::domain::drift::{DriftRule, MOST_REMOVED, believable};
use crate::domain::event::{Actor, Channel, Fact, Subject};
use crate::domain::refusal::Refusal;
use crate::service::commit::{self, by_system};
use crate::service::ctx::Ctx;
use crate::service::error::ServiceError;
use crate::store::drift::{self, DriftRow, GivenRole};
use crate::store::event;
use crate::store::managed_group::{self, ManagedRow};

use super::compare::tell_owners;
use super::{act, adopt};

/// Looks at every open drift of `directory`: asks for a grant, or orders the removal, where the roles of the group say so. More removals
/// than are believed at once (20 or 5 % of a group, 200 in all) are ordered by nobody but an administrator.
///
/// # Errors
/// When the database fails.
pub async fn settle(ctx: &Ctx, directory: &str) -> Result<(), ServiceError> {
    let open = drift::open_of(&ctx.db, directory).await?;
    let given = drift::roles(&ctx.db, directory, None).await?;
    let groups = managed_group::of_directory(&ctx.db, directory).await?;
    let mut removals: BTreeMap<&str, Vec<&DriftRow>> = BTreeMap::new();
    for row in open.iter().filter(|row| row.kind == "unexpected_member") {
        if row.request_id.is_some() && row.adoption_over_at.is_none() && !row.is_being_adopted() {
            adopt::over(ctx, row).await?;
            continue;
        }
        let is_stopped = groups.iter().any(|group| group.group_reference == row.group_reference && group.stopped_why.as_deref() == Some("shrunk"));
        if row.busy || row.removal_asked_at.is_some() || row.is_being_adopted() || is_stopped {
            continue;
        }
        let roles: Vec<&GivenRole> = given.iter().filter(|role| role.group_reference == row.group_reference).collect();
        let rules: Vec<DriftRule> = roles.iter().map(|role| DriftRule::parse(&role.drift).unwrap_or_default()).collect();
        match (DriftRule::of_group(&rules), roles.first()) {
            // Tried once: what came of it is noted, and people act.
            (DriftRule::Adopt, Some(role)) if row.adoption_over_at.is_none() => match adopt::by_rule(ctx, row, role).await {
                Ok(()) => {}
                Err(ServiceError::Unavailable(why)) => tracing::warn!(drift = %row.id, why, "a membership could not be adopted yet; it is tried again"),
                Err(other) => return Err(other),
            },
            (DriftRule::Remove, _) if row.through.is_none() => removals.entry(&row.group_reference).or_default().push(row),
            _ => {}
        }
    }
    let all: usize = removals.values().map(Vec::len).sum();
    for group in &groups {
        let rows = removals.get(group.group_reference.as_str()).map(Vec::as_slice).unwrap_or_default();
        let members = usize::try_from(group.members).unwrap_or_default();
        if !rows.is_empty() && (all > MOST_REMOVED || rows.len() > believable(members)) {
            stop(ctx, group, rows.len()).await?;
            continue;
        }
        if group.stopped_why.as_deref() == Some("many") {
            release(ctx, group, "no more than is believed would be removed").await?;
        }
        for row in rows {
            match act::order(ctx, row, None, (Actor::System, Channel::System)).await {
                // Somebody was faster, or the directory does not list who it is: people look.
                Ok(()) | Err(ServiceError::Refused(Refusal::DriftSettled | Refusal::DriftBusy(_) | Refusal::PersonUnlisted)) => {}
                Err(ServiceError::Unavailable(why)) => tracing::warn!(drift = %row.id, why, "a removal could not be ordered yet; it is tried again"),
                Err(other) => return Err(other),
            }
        }
    }
    Ok(())
}

async fn stop(ctx: &Ctx, group: &ManagedRow, people: usize) -> Result<(), ServiceError> {
    let count = i32::try_from(people).unwrap_or(i32::MAX);
    if group.stopped_why.as_deref() == Some("many") && group.stopped_people == Some(count) {
        return Ok(());
    }
    let (mut tx, now) = (ctx.db.begin().await?, ctx.clock.now());
    managed_group::stop(&mut tx, group.id, Some(("many", count)), now).await?;
    let fact = Fact::GroupStopped {
        directory: group.directory.clone(),
        group: group.group_reference.clone(),
        why: "many".into(),
        people,
        members: usize::try_from(group.members).unwrap_or_default(),
    };
    event::append(&mut tx, &[by_system(Subject::default(), fact)]).await?;
    let said = format!("{people} members without a grant were not taken out at once of a group");
    tell_owners(ctx, &mut tx, (&group.directory, &group.group_reference), &said, now).await?;
    commit::commit(tx).await
}

async fn release(ctx: &Ctx, group: &ManagedRow, how: &str) -> Result<(), ServiceError> {
    let mut tx = ctx.db.begin().await?;
    managed_group::stop(&mut tx, group.id, None, ctx.clock.now()).await?;
    let fact = Fact::GroupReleased { directory: group.directory.clone(), group: group.group_reference.clone(), how: how.into() };
    event::append(&mut tx, &[by_system(Subject::default(), fact)]).await?;
    commit::commit(tx).await
}
