//! Opens a request for whoever no lease explains.
//!
//! It is made in the person's own name, under the policy of the role, and decided like any other: the membership is a lease once it is
//! approved, for as long as was approved, and is taken away when that time is up. Denied or timed out, the difference stays.

use uuid::Uuid;

use crate::domain::event::{Actor, Channel, Event, Fact, Subject};
use crate::domain::id::{PersonId, RequestId, RoleId};
use crate::domain::policy::Durations;
use crate::domain::refusal::Refusal;
use crate::domain::request::RequestStatus;
use crate::domain::span::Seconds;
use crate::service::ask::{AskFor, Asked, ask, consider, tidy};
use crate::service::commit;
use crate::service::ctx::{By, Ctx};
use crate::service::error::ServiceError;
use crate::service::fetch;
use crate::service::learn::{self, Source};
use crate::store::db::Tx;
use crate::store::drift::{DriftRow, GivenRole};
use crate::store::person::PersonRow;
use crate::store::{drift, event, person};

use super::act;
use super::compare::tell_owners;

/// Which drift a request is to adopt, and whose act that is.
#[derive(Clone, Debug)]
pub struct Adopting {
    /// The drift.
    pub drift: Uuid,
    /// Who said so.
    pub actor: Actor,
    /// Through which door.
    pub channel: Channel,
}

/// Opens a request for the member that drift `id` is about, as `by`, who owns the role or administers: for `role`, or the one role that
/// the group gives; `words` go into the justification.
///
/// # Errors
/// [`ServiceError::Missing`] for anybody else; [`Refusal::DriftSettled`], [`Refusal::DriftBusy`], [`Refusal::NotUnexpected`],
/// [`Refusal::NoRoleToAdopt`]; otherwise as asking for the role.
pub async fn adopt(ctx: &Ctx, by: &By, id: Uuid, role: Option<RoleId>, words: Option<&str>) -> Result<Asked, ServiceError> {
    let words = tidy(words, "reason")?;
    let (row, roles) = act::seen(ctx, by, id).await?;
    act::still(&row)?;
    let role = roles.iter().find(|given| role.is_none_or(|role| role.0 == given.id)).ok_or(Refusal::NoRoleToAdopt)?;
    let said = match words {
        Some(words) => format!(" {} asks for a grant instead: {words}", by.name),
        None => format!(" {} asks for a grant instead.", by.name),
    };
    open(ctx, &row, role, &said, (by.actor(), by.channel)).await
}

/// Opens a request as the rule of the role says. What stands in its way is noted on the drift, and people act.
///
/// # Errors
/// When the directory or the database does not answer; it is tried again then.
pub(super) async fn by_rule(ctx: &Ctx, row: &DriftRow, role: &GivenRole) -> Result<(), ServiceError> {
    let asked = open(ctx, row, role, " The role is set to ask for a grant then.", (Actor::System, Channel::System)).await;
    let why = match asked {
        Ok(Asked { status: RequestStatus::Refused, deciding_rule, .. }) => format!("the policy refused it: {deciding_rule}"),
        Ok(_) => return Ok(()),
        // Somebody was faster.
        Err(ServiceError::Refused(Refusal::DriftSettled | Refusal::DriftBusy(_))) => return Ok(()),
        Err(ServiceError::Refused(refusal)) => refusal.to_string(),
        Err(ServiceError::Missing) => "there is no such role or person any more".into(),
        Err(other) => return Err(other),
    };
    came_to_nothing(ctx, row.id, &why).await
}

/// Notes that the request of a drift was closed without a grant.
///
/// # Errors
/// When the database fails.
pub(super) async fn over(ctx: &Ctx, row: &DriftRow) -> Result<(), ServiceError> {
    let status = row.request_status.as_deref().unwrap_or("closed").replace('_', " ");
    came_to_nothing(ctx, row.id, &format!("the request was {status}")).await
}

async fn came_to_nothing(ctx: &Ctx, id: Uuid, why: &str) -> Result<(), ServiceError> {
    let mut tx = ctx.db.begin().await?;
    let now = ctx.clock.now();
    let Some(row) = drift::lock(&mut tx, id).await?.filter(|row| row.resolved_at.is_none() && row.adoption_over_at.is_none() && !row.is_being_adopted()) else {
        return Ok(());
    };
    let fact = Fact::DriftAdoptionFailed {
        directory: row.directory.clone(),
        group: row.group_reference.clone(),
        person: row.person_reference.clone(),
        why: why.to_owned(),
    };
    drift::not_adopted(&mut tx, id, why, now).await?;
    told(&mut tx, &row, (Actor::System, Channel::System), vec![fact]).await?;
    let said = format!("A membership without a grant stays, as no grant came of asking for it ({why}): it is in a group");
    tell_owners(ctx, &mut tx, (&row.directory, &row.group_reference), &said, now).await?;
    commit::commit(tx).await
}

async fn open(ctx: &Ctx, row: &DriftRow, role: &GivenRole, said: &str, (actor, channel): (Actor, Channel)) -> Result<Asked, ServiceError> {
    let holder = holder(ctx, row).await?.ok_or(Refusal::PersonUnlisted)?;
    let by = By::system_for(PersonId(holder.id), &holder.display_name);
    let group = role.group_name.as_deref().unwrap_or(&row.group_reference);
    let mut wish = AskFor::new(RoleId(role.id));
    wish.justification = Some(format!("{} is in group {group} of directory {} and no grant says why.{said}", holder.display_name, row.directory));
    wish.started_by = match &actor {
        Actor::Person { id, .. } if id.0 != holder.id => Some(*id),
        _ => None,
    };
    wish.adopts = Some(Adopting { drift: row.id, actor, channel });
    // As long as the policy recommends: a membership that nobody approved must not become one without end.
    wish.duration = Some(Seconds(1));
    let considered = consider(ctx, &by, &wish).await?;
    wish.duration = Some(considered.policy.as_ref().map_or(Seconds(3_600), |policy| usual(&policy.durations)));
    ask(ctx, &by, wish).await
}

/// How long is asked for: what is recommended, else the shortest that is offered, else the longest that is allowed.
fn usual(durations: &Durations) -> Seconds {
    durations.recommended.or_else(|| durations.choices.first().copied()).unwrap_or(durations.maximum)
}

/// Whose membership it is, as the directory says now; none when it does not list them.
///
/// # Errors
/// [`ServiceError::Unavailable`] when the directory does not answer.
pub(super) async fn holder(ctx: &Ctx, row: &DriftRow) -> Result<Option<PersonRow>, ServiceError> {
    if let Some(id) = row.person_id {
        return Ok(person::by_id(&ctx.db, PersonId(id)).await?);
    }
    let facts = fetch::directory(ctx, &row.directory)?
        .person(&row.person_reference)
        .await
        .map_err(|error| ServiceError::Unavailable(format!("{error} Nothing was changed; try again in a moment.")))?;
    let Some(facts) = facts else { return Ok(None) };
    let mut tx = ctx.db.begin().await?;
    let person = learn::one(&mut tx, ctx, &row.directory, &facts, Source::Read, ctx.clock.now()).await?;
    commit::commit(tx).await?;
    Ok(person::by_id(&ctx.db, person).await?)
}

/// Ties a request to the drift that it is to adopt, in the transaction that makes it.
///
/// # Errors
/// [`Refusal::DriftSettled`] or [`Refusal::DriftBusy`] when somebody was faster.
pub(in crate::service) async fn link(tx: &mut Tx, adopting: &Adopting, request: RequestId) -> Result<(), ServiceError> {
    let row = drift::lock(tx, adopting.drift).await?.ok_or(ServiceError::Missing)?;
    act::still(&row)?;
    let fact = Fact::DriftAdoptionAsked { directory: row.directory.clone(), group: row.group_reference.clone(), person: row.person_reference.clone(), request };
    drift::link(tx, row.id, request).await?;
    told(tx, &row, (adopting.actor.clone(), adopting.channel), vec![fact]).await
}

/// Ties the drift that request `old` was to adopt to `new`, which takes its place.
///
/// # Errors
/// When the database fails.
pub(in crate::service) async fn relink(tx: &mut Tx, by: &By, old: RequestId, new: RequestId) -> Result<(), ServiceError> {
    let Some(row) = drift::lock_of_request(tx, old).await? else { return Ok(()) };
    let fact =
        Fact::DriftAdoptionAsked { directory: row.directory.clone(), group: row.group_reference.clone(), person: row.person_reference.clone(), request: new };
    drift::link(tx, row.id, new).await?;
    told(tx, &row, (by.actor(), by.channel), vec![fact]).await
}

/// Writes what happened to a drift, and notes it there.
///
/// # Errors
/// When the database fails.
pub(super) async fn told(tx: &mut Tx, row: &DriftRow, (actor, channel): (Actor, Channel), facts: Vec<Fact>) -> Result<(), ServiceError> {
    let subject = Subject { person: row.person_id.map(PersonId), ..Subject::default() };
    let events: Vec<Event> = facts.into_iter().map(|fact| Event { actor: actor.clone(), channel, subject, fact }).collect();
    let ids = event::append(tx, &events).await?;
    drift::cite(tx, &vec![row.id; ids.len()], &ids).await?;
    Ok(())
}

/// Whether one of these leases was made of a membership that nobody had granted: it is taken away when it ends.
///
/// # Errors
/// When the database fails.
pub(in crate::service) async fn is_adopted(tx: &mut Tx, requests: &[Uuid]) -> Result<bool, ServiceError> {
    Ok(!requests.is_empty() && drift::is_adopted(tx, requests).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_has_an_end() {
        let of = |recommended: Option<i64>, choices: &[i64]| {
            usual(&Durations {
                recommended: recommended.map(Seconds),
                minimum: Seconds(60),
                maximum: Seconds(9_000),
                choices: choices.iter().copied().map(Seconds).collect(),
                indefinite: true,
            })
        };
        assert_eq!([of(Some(7_200), &[60]), of(None, &[3_600, 7_200]), of(None, &[])], [Seconds(7_200), Seconds(3_600), Seconds(9_000)]);
    }
}
