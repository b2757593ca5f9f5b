//! Ends what is left of somebody who left.
//!
//! That somebody left is one row, written where it was noticed ([`super::learn`]). From that row this goes on until nothing of theirs is
//! open any more, whatever fails in between: leases, requests for them and by them, sessions, tokens and delegations in one
//! transaction, then the seats in which they were asked, of which each asks the next source of its slot.

use chrono::{DateTime, Duration, Utc};
use uuid::Uuid;

use crate::domain::event::{Fact, Subject};
use crate::domain::grant::EndReason;
use crate::domain::id::PersonId;
use crate::domain::request::RequestStatus;
use crate::store::db::Tx;
use crate::store::{delegation, event, grant, leaver, notice, person, request, step_clock, target, token};

use super::commit::{self, about, about_grant, by_system};
use super::ctx::Ctx;
use super::error::ServiceError;
use super::{stand_in, tend};

/// How many are seen to at a time.
const BATCH: i64 = 100;
/// How many people with something left one look finds; the next goes on.
const MOST_LEFTOVERS: i64 = 2_000;
/// How many requests whose approvers have left one look tends; the next goes on.
const MOST_TENDED: i64 = 10_000;

/// What ended.
#[derive(Debug, Default)]
struct Ended {
    targets: Vec<Uuid>,
    requests: usize,
    /// Who stood in for somebody, by a delegation that ended.
    delegates: Vec<Uuid>,
}

/// How one was found.
enum Found {
    /// Somebody else has it, or it is done.
    NotDue,
    /// They are active again, and keep what they have.
    Back,
    /// Everything of theirs has ended.
    Away(Ended),
}

/// Ends everything of everybody who left and with whom nobody has begun; asks no directory. Returns how many they were.
///
/// # Errors
/// The first failure of the database, after everybody else was seen to.
pub async fn begin(ctx: &Ctx) -> Result<usize, ServiceError> {
    let (mut done, mut first) = (0, None);
    loop {
        let mut batch = 0;
        for (id, person) in leaver::fresh(&ctx.db, ctx.clock.now(), BATCH).await? {
            match end(ctx, id, PersonId(person)).await {
                Ok(found) => batch += usize::from(!matches!(found, Found::NotDue)),
                Err(error) => drop(first.get_or_insert(error)),
            }
        }
        done += batch;
        if batch == 0 || first.is_some() {
            return first.map_or(Ok(done), Err);
        }
    }
}

/// Goes on with everybody who left and with whom we are not done. Returns how many were seen to.
///
/// # Errors
/// The first failure of the database, after everybody else was seen to.
pub async fn due(ctx: &Ctx) -> Result<usize, ServiceError> {
    let (mut done, mut first) = (0, None);
    loop {
        let mut batch = 0;
        for (id, person) in leaver::due(&ctx.db, ctx.clock.now(), BATCH).await? {
            match settle(ctx, id, PersonId(person)).await {
                Ok(did) => batch += usize::from(did),
                Err(error) => drop(first.get_or_insert(error)),
            }
        }
        done += batch;
        if batch == 0 || first.is_some() {
            return first.map_or(Ok(done), Err);
        }
    }
}

/// Goes on with one.
async fn settle(ctx: &Ctx, id: Uuid, person: PersonId) -> Result<bool, ServiceError> {
    match end(ctx, id, person).await? {
        Found::NotDue => return Ok(false),
        Found::Back => {}
        Found::Away(ended) => {
            if move_seats(ctx, person, &ended.delegates).await? {
                let mut tx = ctx.db.begin().await?;
                leaver::settled(&mut tx, id, ctx.clock.now()).await?;
                commit::commit(tx).await?;
            }
        }
    }
    Ok(true)
}

/// Ends everything of one.
async fn end(ctx: &Ctx, id: Uuid, person: PersonId) -> Result<Found, ServiceError> {
    let mut tx = ctx.db.begin().await?;
    // The person before what is known of them, as whoever keeps what the directory says locks them.
    let status = leaver::lock_person(&mut tx, person).await?.unwrap_or_default();
    let now = ctx.clock.now();
    let Some(times) = leaver::lock_due(&mut tx, id, now).await? else { return Ok(Found::NotDue) };
    if status == "active" {
        leaver::settled(&mut tx, id, now).await?;
        commit::commit(tx).await?;
        return Ok(Found::Back);
    }
    let ended = end_all(&mut tx, person, &status, now).await?;
    // Their seats are moved at once, and again at ever longer distances while that fails.
    let wait = if times == 0 { Duration::zero() } else { Duration::seconds(5 << (times - 1).clamp(0, 6)) };
    leaver::went_on(&mut tx, id, i32::try_from(ended.requests).unwrap_or(i32::MAX), now + wait).await?;
    commit::commit(tx).await?;
    if !ended.targets.is_empty() {
        ctx.wake.notify_one();
    }
    Ok(Found::Away(ended))
}

/// Asks others wherever `person` was asked, or somebody who stood in by a delegation that has ended. Whether nobody is left who has to be.
async fn move_seats(ctx: &Ctx, person: PersonId, delegates: &[Uuid]) -> Result<bool, ServiceError> {
    tend::tend_all(ctx, &leaver::asked_in(&ctx.db, person).await?).await?;
    let mut all = true;
    for delegate in delegates {
        for request in delegation::seated_in(&ctx.db, PersonId(*delegate)).await? {
            match stand_in::end(ctx, request.into()).await {
                Ok(_) => {}
                Err(ServiceError::Unavailable(_)) => all = false,
                Err(other) => return Err(other),
            }
        }
    }
    Ok(all && leaver::asked_in(&ctx.db, person).await?.is_empty())
}

/// Ends everything of who is not active and of whom something is live all the same, whenever they left: what was made in the moment
/// when they did. Who has left decides nothing any more either: the next source of their slots is asked.
///
/// # Errors
/// When the database fails.
pub async fn leftovers(ctx: &Ctx) -> Result<usize, ServiceError> {
    let found = leaver::leftovers(&ctx.db, ctx.clock.now(), MOST_LEFTOVERS).await?;
    for id in &found {
        let person = PersonId(*id);
        let mut tx = ctx.db.begin().await?;
        let status = leaver::lock_person(&mut tx, person).await?.unwrap_or_default();
        if status == "active" {
            continue;
        }
        let ended = end_all(&mut tx, person, &status, ctx.clock.now()).await?;
        commit::commit(tx).await?;
        if !ended.targets.is_empty() {
            ctx.wake.notify_one();
        }
        move_seats(ctx, person, &ended.delegates).await?;
    }
    tend::tend_all(ctx, &step_clock::asking_the_inactive(&ctx.db, MOST_TENDED).await?).await?;
    Ok(found.len())
}

/// Ends everything of a person whom the directory calls `status`. Who comes back begins without any of it.
async fn end_all(tx: &mut Tx, person: PersonId, status: &str, now: DateTime<Utc>) -> Result<Ended, ServiceError> {
    let mut ended = Ended::default();
    let mut events = Vec::new();
    let of_person = Subject { person: Some(person), ..Subject::default() };
    // Requests before leases, as whoever approves locks them.
    for id in leaver::open_requests(tx, person).await? {
        let Some(row) = request::lock(tx, id.into()).await? else { continue };
        let who = if row.beneficiary_id == person.0 { "beneficiary" } else { "requester" };
        let reason = format!("the {who} is {status} in the directory");
        request::close(tx, row.id.into(), RequestStatus::Withdrawn, row.granted_s, now).await?;
        if row.beneficiary_id != person.0 {
            let called = step_clock::called(tx, row.id.into()).await?;
            let told = format!(
                "What {} asked for you, {}, was closed: they are {status} in the directory. Ask for it yourself if you need it.",
                called.requester, called.role
            );
            notice::tell(tx, &[row.beneficiary_id.into()], "closed", Some(row.id.into()), &told, now).await?;
        } else if row.requester_id != person.0 {
            let called = step_clock::called(tx, row.id.into()).await?;
            let told = format!("What you asked for {}, {}, was closed: they are {status} in the directory.", called.beneficiary, called.role);
            notice::tell(tx, &[row.requester_id.into()], "closed", Some(row.id.into()), &told, now).await?;
        }
        events.push(by_system(about(&row), Fact::RequestClosed { reason }));
        ended.requests += 1;
    }
    for row in grant::lock_live_of(tx, person).await? {
        grant::end(tx, row.id.into(), EndReason::Offboarded, None, None, now).await?;
        events.push(by_system(about_grant(&row), Fact::GrantOffboarded { status: status.into() }));
        ended.targets.push(row.target_id);
    }
    if person::end_sessions(tx, person).await? > 0 {
        events.push(by_system(of_person, Fact::SessionEnded { reason: "person_disabled".into() }));
    }
    for name in token::revoke_of_person(tx, person, now).await? {
        events.push(by_system(of_person, Fact::TokenRevoked { name }));
    }
    for (id, away, delegate) in leaver::delegations(tx, person, now).await? {
        delegation::end(tx, id, now).await?;
        let names = person::names(tx, &[away, delegate]).await?;
        let named = |id: Uuid| names.iter().find(|named| named.id.0 == id).cloned().ok_or(ServiceError::Missing);
        let (from, to) = (named(away)?, named(delegate)?);
        let other = if away == person.0 { delegate } else { away };
        let told = format!(
            "{} no longer stands in for {}: {} is {status} in the directory.",
            to.name,
            from.name,
            if away == person.0 { &from.name } else { &to.name }
        );
        notice::tell(tx, &[PersonId(other)], "stand_in", None, &told, now).await?;
        events.push(by_system(Subject { person: Some(from.id), ..Subject::default() }, Fact::DelegationEnded { from, to }));
        ended.delegates.push(delegate);
    }
    event::append(tx, &events).await?;
    target::raise(tx, &ended.targets, now).await?;
    Ok(ended)
}
