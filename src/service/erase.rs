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
use crate::store::db::Tx;
use crate::store::erase::Old;
use crate::store::error::StoreError;
use crate::store::{erase, event};

// For the floor above, which does not know the store.
pub use crate::store::erase::HoldRow;

use super::ask::tidy;
use super::commit::{by_system, commit};
use super::ctx::{By, Ctx};
use super::error::ServiceError;

/// How long an order waits for a second administrator.
pub const ORDER_LASTS: Duration = Duration::days(7);
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

/// What comes of an administrator's order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ordered {
    /// It is done.
    Erased(Erased),
    /// Another administrator has to say so too.
    Waits,
}

/// What erasing somebody would do.
#[derive(Clone, Debug)]
pub struct Foreseen {
    /// Whom.
    pub person: PersonId,
    /// What they are called.
    pub name: String,
    /// Why they cannot be erased now, each as a part of a sentence.
    pub hinders: Vec<String>,
    /// What would stay of them, and why.
    pub stays: Vec<String>,
}

/// What erasing whoever has this id or login name would do; nothing is done.
///
/// # Errors
/// [`ServiceError::Missing`] for anybody but administrators; a fault of `person` where nobody, or not only one, has it.
pub async fn foresee(ctx: &Ctx, by: &By, text: &str) -> Result<Foreseen, ServiceError> {
    only_administrators(by)?;
    let person = meant(ctx, text).await?;
    let mut tx = ctx.db.begin().await?;
    let hinders = erase::hindrances(&mut tx, person).await?.ok_or(ServiceError::Missing)?;
    let stays = erase::stays(&mut tx, person).await?;
    let name = erase::name(&mut tx, person).await?.ok_or(ServiceError::Missing)?;
    Ok(Foreseen { person, name, hinders, stays })
}

/// Erases what identifies `person` as an administrator, who types their name; or, where the settings ask for two, notes the order until a
/// second administrator gives the same within a week.
///
/// # Errors
/// As [`erase()`]; [`ServiceError::Missing`] for anybody but administrators; a fault of `name`.
pub async fn order(ctx: &Ctx, by: &By, person: PersonId, name: &str, reason: &str) -> Result<Ordered, ServiceError> {
    only_administrators(by)?;
    let reason = given(reason)?;
    let mut tx = ready(ctx, person).await?;
    if erase::name(&mut tx, person).await?.is_none_or(|known| known.trim() != name.trim()) {
        return Err(fault("name", "Type the name as it stands here: what is erased cannot be had back."));
    }
    let now = ctx.clock.now();
    if ctx.changing.require_second_person && !erase::ordered_by_another(&mut tx, person, by.person, now - ORDER_LASTS).await? {
        let subject = Subject { person: Some(person), ..Subject::default() };
        let fact = Fact::PersonErasureOrdered { reason };
        event::append(&mut tx, &[Event { actor: by.actor(), channel: by.channel, subject, fact }]).await?;
        commit(tx).await?;
        return Ok(Ordered::Waits);
    }
    Ok(Ordered::Erased(done(tx, (by.actor(), by.channel), person, reason).await?))
}

/// Erases what identifies `person`, for `reason`.
///
/// # Errors
/// [`ServiceError::Missing`] when there is no such person; a fault of `reason`; [`Refusal::NotErasable`] while they are active, held, or
/// have something open.
pub async fn erase(ctx: &Ctx, (actor, channel): (Actor, Channel), person: PersonId, reason: &str) -> Result<Erased, ServiceError> {
    let reason = given(reason)?;
    let tx = ready(ctx, person).await?;
    done(tx, (actor, channel), person, reason).await
}

/// A transaction in which `person` can be erased.
async fn ready(ctx: &Ctx, person: PersonId) -> Result<Tx, ServiceError> {
    let mut tx = ctx.db.begin().await?;
    erase::take_time(&mut tx).await?;
    let hinders = erase::hindrances(&mut tx, person).await?.ok_or(ServiceError::Missing)?;
    if hinders.is_empty() { Ok(tx) } else { Err(Refusal::NotErasable(hinders.join("; ")).into()) }
}

async fn done(mut tx: Tx, (actor, channel): (Actor, Channel), person: PersonId, reason: String) -> Result<Erased, ServiceError> {
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

/// Places a hold as an administrator, on the request with this id, or the person with this id or login name.
///
/// # Errors
/// As [`hold`]; [`ServiceError::Missing`] for anybody but administrators; a fault of `on` where there is nothing of that name.
pub async fn hold_by(ctx: &Ctx, by: &By, on: &str, reason: &str) -> Result<Uuid, ServiceError> {
    only_administrators(by)?;
    let request = match Uuid::parse_str(on.trim()) {
        Ok(id) if erase::is_request(&ctx.db, id).await? => Some(Held::Request(id)),
        _ => None,
    };
    let of = match request {
        Some(request) => request,
        None => match erase::find(&ctx.db, on.trim()).await? {
            Some(person) => Held::Person(person),
            None => return Err(fault("on", "There is nobody, or not only one person, with this login name or id, and no request with this id.")),
        },
    };
    hold(ctx, (by.actor(), by.channel), of, reason).await
}

/// Lifts a hold as an administrator.
///
/// # Errors
/// As [`lift`]; [`ServiceError::Missing`] for anybody but administrators.
pub async fn lift_by(ctx: &Ctx, by: &By, hold: Uuid, reason: &str) -> Result<(), ServiceError> {
    only_administrators(by)?;
    lift(ctx, (by.actor(), by.channel), hold, reason).await
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
    tidy(Some(reason), "reason")?.ok_or_else(|| fault("reason", "Say why: it is kept in the log."))
}

fn fault(field: &str, sentence: &str) -> ServiceError {
    Refusal::Faults(vec![FieldFault { field: field.into(), sentence: sentence.into() }]).into()
}

fn only_administrators(by: &By) -> Result<(), ServiceError> {
    if by.is_administrator { Ok(()) } else { Err(ServiceError::Missing) }
}

async fn meant(ctx: &Ctx, text: &str) -> Result<PersonId, ServiceError> {
    let missing = || fault("person", "There is nobody, or not only one person, with this login name or id.");
    erase::find(&ctx.db, text.trim()).await?.ok_or_else(missing)
}
