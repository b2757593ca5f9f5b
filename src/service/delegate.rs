//! Somebody is away, and somebody stands in.

use chrono::{DateTime, Duration, Utc};
use uuid::Uuid;

use crate::clock::new_id;
use crate::domain::event::{Event, Fact, Subject};
use crate::domain::id::PersonId;
use crate::domain::refusal::Refusal;
use crate::store::delegation::{self, NewDelegation};
use crate::store::{event, notice, person};

// For the floor above, which does not know the store.
pub use crate::store::delegation::DelegationRow;

use super::ask::tidy;
use super::ctx::{By, Ctx};
use super::error::ServiceError;
use super::open_request::fault;
use super::{commit, fetch, stand_in};

/// The longest that somebody may be away, in days.
pub const LONGEST: i64 = 366;
/// How many delegations are listed.
const LISTED: i64 = 100;

/// Who is to stand in, and when.
#[derive(Clone, Debug, Default)]
pub struct Away {
    /// Who; none when what was entered names nobody.
    pub delegate: Option<PersonId>,
    /// From when; none: from now on.
    pub from: Option<DateTime<Utc>>,
    /// Until when.
    pub until: Option<DateTime<Utc>>,
    /// Why.
    pub reason: Option<String>,
}

/// Lets somebody stand in for `by`: what is assigned to `by` from then on is assigned to them too. One delegation of a person at a
/// time. Returns its id.
///
/// # Errors
/// A fault of `delegate`, `from`, `until` or `reason`; [`Refusal::NotActive`]; [`ServiceError::Unavailable`] when the directory does not
/// answer.
pub async fn delegate(ctx: &Ctx, by: &By, away: &Away) -> Result<Uuid, ServiceError> {
    let reason = tidy(away.reason.as_deref(), "reason")?;
    let now = ctx.clock.now();
    let starts_at = away.from.filter(|from| *from > now).unwrap_or(now);
    if away.from.is_some_and(|from| from < now - Duration::days(1)) {
        return Err(fault("from", "Must not lie in the past: what was assigned before stays with you.").into());
    }
    let Some(ends_at) = away.until else { return Err(fault("until", "Say until when: a delegation ends by itself.").into()) };
    if ends_at <= starts_at {
        return Err(fault("until", "Must lie after its beginning, and in the future.").into());
    }
    if ends_at - starts_at > Duration::days(LONGEST) {
        return Err(fault("until", &format!("Must be at most {LONGEST} days after its beginning.")).into());
    }
    let nobody = || ServiceError::from(fault("delegate", "There is nobody of that name; use their login or mail address."));
    let to = person::by_id(&ctx.db, away.delegate.ok_or_else(nobody)?).await?.ok_or_else(nobody)?;
    if to.id == by.person.0 {
        return Err(fault("delegate", "Nobody stands in for themselves; choose somebody else.").into());
    }
    let from = person::by_id(&ctx.db, by.person).await?.ok_or(ServiceError::Missing)?;
    if !fetch::person(ctx, &from).await?.active {
        return Err(Refusal::NotActive.into());
    }
    if !to.is_active() || !fetch::person(ctx, &to).await?.active {
        return Err(fault("delegate", &format!("{} is not active in the directory; choose somebody else.", to.display_name)).into());
    }
    let mut tx = ctx.db.begin().await?;
    delegation::lock_person(&mut tx, by.person).await?;
    if let Some(other) = delegation::overlapping(&mut tx, by.person, starts_at, ends_at).await? {
        let until = other.ends_at.format("%-d %b %Y, %H:%M UTC");
        return Err(fault("from", &format!("{} stands in for you until {until} already; end that first, or begin later.", other.delegate)).into());
    }
    let new = NewDelegation { id: new_id(), person: by.person, delegate: PersonId(to.id), starts_at, ends_at, reason: reason.as_deref(), created_at: now };
    delegation::insert(&mut tx, &new).await?;
    let fact = Fact::DelegationCreated { from: from.named(), to: to.named(), starts_at, ends_at, reason: reason.clone() };
    event::append(&mut tx, &[Event { actor: by.actor(), channel: by.channel, subject: about(by.person), fact }]).await?;
    let span = format!("{} to {}", starts_at.format("%-d %b %Y, %H:%M"), ends_at.format("%-d %b %Y, %H:%M UTC"));
    let told = format!("{} is away and asks you to stand in, from {span}.", from.display_name);
    notice::tell(&mut tx, &[PersonId(to.id)], "stand_in", None, &told, now).await?;
    commit::commit(tx).await?;
    Ok(new.id)
}

/// Ends a delegation before its time: by whoever is away, or by whoever stands in. What they are asked as a stand-in and have not
/// answered is theirs no more.
///
/// # Errors
/// [`ServiceError::Missing`] for one that is none of theirs; [`Refusal::DelegationOver`].
pub async fn end(ctx: &Ctx, by: &By, id: Uuid) -> Result<(), ServiceError> {
    let mut tx = ctx.db.begin().await?;
    let row = delegation::lock(&mut tx, id).await?.filter(|row| [row.person_id, row.delegate_id].contains(&by.person.0)).ok_or(ServiceError::Missing)?;
    let now = ctx.clock.now();
    if row.ended_at.is_some() || row.ends_at <= now {
        return Err(Refusal::DelegationOver.into());
    }
    delegation::end(&mut tx, id, now).await?;
    let names = person::names(&mut tx, &[row.person_id, row.delegate_id]).await?;
    let named = |id: Uuid| names.iter().find(|named| named.id.0 == id).cloned().ok_or(ServiceError::Missing);
    let fact = Fact::DelegationEnded { from: named(row.person_id)?, to: named(row.delegate_id)? };
    event::append(&mut tx, &[Event { actor: by.actor(), channel: by.channel, subject: about(PersonId(row.person_id)), fact }]).await?;
    let other = if by.person.0 == row.person_id { row.delegate_id } else { row.person_id };
    notice::tell(&mut tx, &[PersonId(other)], "stand_in", None, &format!("{} ended that {} stands in for {}.", by.name, row.delegate, row.person), now).await?;
    commit::commit(tx).await?;
    for request in delegation::seated_in(&ctx.db, PersonId(row.delegate_id)).await? {
        stand_in::end(ctx, request.into()).await?;
    }
    Ok(())
}

/// The delegations of `by`, and those in which they stand in: what is or will be in force first.
///
/// # Errors
/// When the database fails.
pub async fn list(ctx: &Ctx, by: &By) -> Result<Vec<DelegationRow>, ServiceError> {
    Ok(delegation::of_person(&ctx.db, by.person, ctx.clock.now(), LISTED).await?)
}

fn about(person: PersonId) -> Subject {
    Subject { person: Some(person), ..Subject::default() }
}
