//! Erases personal data by order or age, not under hold.
//!
//! Who has left is erased by somebody's order (GDPR, article 17), or when the settings say that they were kept long enough. Ids stay, and
//! so does every leaf of the log: it holds commitments to what is gone. A hold keeps a person or a request from both, and whoever is told
//! of there, until a day after it was lifted. What a rule asks for stays, so that erasing decides nothing anew.

use chrono::{DateTime, Duration, SubsecRound, Utc};
use uuid::Uuid;

use crate::clock::new_id;
use crate::domain::event::{Actor, Channel, Event, Fact, Subject};
use crate::domain::id::PersonId;
use crate::domain::policy::FieldFault;
use crate::domain::refusal::Refusal;
use crate::store::erase::Old;
use crate::store::error::StoreError;
use crate::store::{erase, event};

// For the floor above, which does not know the store.
pub use crate::store::erase::HoldRow;

use super::ask::tidy;
use super::commit::{by_system, commit};
use super::ctx::Ctx;
use super::error::ServiceError;

/// Rows of one transaction at most.
const BATCH: i32 = 500;

/// How long what is kept; none: for good.
#[derive(Clone, Copy, Debug, Default)]
pub struct Retention {
    /// Who a person was, after they left.
    pub people: Option<Duration>,
    /// What was written in a request, after it closed and its access ended.
    pub requests: Option<Duration>,
    /// Who signed in, out, or was not let in.
    pub sign_ins: Option<Duration>,
    /// What people were told.
    pub notices: Option<Duration>,
}

/// What a hold is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// A person, and every request by or for them.
    Person(PersonId),
    /// A request, and who made it and whom it is for.
    Request(Uuid),
}

/// What erasing did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Erased {
    /// How many events lost a name or a text.
    pub events: i64,
    /// What stays of the person, and why, each as a part of a sentence.
    pub stays: Vec<String>,
}

/// Erases what identifies `person`, for `reason`.
///
/// # Errors
/// [`ServiceError::Missing`] when there is no such person; a fault of `reason`; [`Refusal::NotErasable`] while they are active, held, or
/// have something open.
pub async fn erase(ctx: &Ctx, (actor, channel): (Actor, Channel), person: PersonId, reason: &str) -> Result<Erased, ServiceError> {
    let reason = given(reason)?;
    let mut tx = ctx.db.begin().await?;
    erase::take_time(&mut tx).await?;
    let hinders = erase::hindrances(&mut tx, person).await?.ok_or(ServiceError::Missing)?;
    if !hinders.is_empty() {
        return Err(Refusal::NotErasable(hinders.join("; ")).into());
    }
    // Asked while there are still names to ask by.
    let stays = erase::stays(&mut tx, person).await?;
    let subject = Subject { person: Some(person), ..Subject::default() };
    event::append(&mut tx, &[Event { actor, channel, subject, fact: Fact::PersonErased { reason } }]).await?;
    let events = erase::person(&mut tx, person).await?;
    commit(tx).await?;
    Ok(Erased { events, stays })
}

/// Places a hold; its id.
///
/// # Errors
/// [`ServiceError::Missing`] when there is nothing to hold; a fault of `reason`.
pub async fn hold(ctx: &Ctx, (actor, channel): (Actor, Channel), of: Held, reason: &str) -> Result<Uuid, ServiceError> {
    let reason = given(reason)?;
    let (person, request) = match of {
        Held::Person(person) => (Some(person), None),
        Held::Request(request) => (None, Some(request)),
    };
    let is_there = match of {
        Held::Person(person) => erase::find(&ctx.db, &person.to_string()).await?.is_some(),
        Held::Request(request) => erase::is_request(&ctx.db, request).await?,
    };
    if !is_there {
        return Err(ServiceError::Missing);
    }
    let hold = new_id();
    let mut tx = ctx.db.begin().await?;
    erase::hold(&mut tx, hold, (person.map(|id| id.0), request), &reason, actor.person(), ctx.clock.now()).await?;
    let subject = Subject { person, request: request.map(Into::into), ..Subject::default() };
    event::append(&mut tx, &[Event { actor, channel, subject, fact: Fact::HoldPlaced { hold, reason } }]).await?;
    commit(tx).await?;
    Ok(hold)
}

/// Lifts a hold.
///
/// # Errors
/// [`ServiceError::Missing`] when no such hold is in force; a fault of `reason`.
pub async fn lift(ctx: &Ctx, (actor, channel): (Actor, Channel), hold: Uuid, reason: &str) -> Result<(), ServiceError> {
    let reason = given(reason)?;
    let mut tx = ctx.db.begin().await?;
    let row = erase::lift(&mut tx, hold, actor.person(), ctx.clock.now()).await?.ok_or(ServiceError::Missing)?;
    let subject = Subject { person: row.person_id.map(PersonId), request: row.request_id.map(Into::into), ..Subject::default() };
    event::append(&mut tx, &[Event { actor, channel, subject, fact: Fact::HoldLifted { hold, reason } }]).await?;
    commit(tx).await
}

/// Holds in force, oldest first, after the one `after`, at most `most`.
///
/// # Errors
/// When the database fails.
pub async fn holds(ctx: &Ctx, after: Option<Uuid>, most: i64) -> Result<Vec<HoldRow>, ServiceError> {
    Ok(erase::holds(&ctx.db, after, most).await?)
}

/// The person with this id or login name, also one who has left; none when several have it.
///
/// # Errors
/// When the database fails.
pub async fn find(ctx: &Ctx, text: &str) -> Result<Option<PersonId>, ServiceError> {
    Ok(erase::find(&ctx.db, text).await?)
}

/// Erases what was kept long enough, as the settings say. Returns how many of each: people, requests, sign-ins, notices, and of people how
/// many cannot be erased yet.
///
/// # Errors
/// When the database fails.
pub async fn retain(ctx: &Ctx) -> Result<[usize; 5], ServiceError> {
    let now = ctx.clock.now();
    // Whole seconds: the event and the act must say the same.
    let before = |kept: Option<Duration>| kept.and_then(|kept| now.checked_sub_signed(kept)).map(|before| before.trunc_subsecs(0));
    let mut done = [0; 5];
    let kinds = [(Old::Requests, ctx.retention.requests), (Old::SignIns, ctx.retention.sign_ins), (Old::Notices, ctx.retention.notices)];
    for (place, (what, kept)) in kinds.into_iter().enumerate() {
        if let Some(before) = before(kept) {
            done[place + 1] = batches(ctx, what, before).await?;
        }
    }
    let Some(before) = before(ctx.retention.people) else { return Ok(done) };
    let mut after = None;
    loop {
        let people = erase::left_before(&ctx.db, before, after, i64::from(BATCH)).await?;
        let Some(last) = people.last() else { return Ok(done) };
        after = Some(*last);
        for person in people {
            match erase(ctx, (Actor::System, Channel::System), PersonId(person), "kept as long as the settings say").await {
                Ok(_) => done[0] += 1,
                // The database looks again; who came back meanwhile is left alone.
                Err(ServiceError::Refused(_)) | Err(ServiceError::Broken(StoreError::Refused { .. })) => done[4] += 1,
                Err(error) => return Err(error),
            }
        }
    }
}

/// Erases batch by batch, each with its event, until nothing more is old enough.
async fn batches(ctx: &Ctx, what: Old, before: DateTime<Utc>) -> Result<usize, ServiceError> {
    let mut all = 0;
    loop {
        let mut tx = ctx.db.begin().await?;
        erase::take_time(&mut tx).await?;
        event::append(&mut tx, &[by_system(Subject::default(), Fact::RetentionApplied { what: what.word().into(), before })]).await?;
        let done = usize::try_from(erase::old(&mut tx, what, before, BATCH).await?).unwrap_or_default();
        if done == 0 {
            // Nothing was old enough, so there is nothing to tell: the event never was.
            return Ok(all);
        }
        commit(tx).await?;
        all += done;
    }
}

fn given(reason: &str) -> Result<String, ServiceError> {
    let missing = || Refusal::Faults(vec![FieldFault { field: "reason".into(), sentence: "Say why: it is kept in the log.".into() }]);
    Ok(tidy(Some(reason), "reason")?.ok_or_else(missing)?)
}
