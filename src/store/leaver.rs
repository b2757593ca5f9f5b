//! Who left, and how far settling that is.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::domain::id::PersonId;

use super::db::{Db, Tx};
use super::error::StoreError;

/// Somebody who left, to be written.
#[derive(Clone, Debug)]
pub struct NewLeaver<'a> {
    /// Its id.
    pub id: Uuid,
    /// Who.
    pub person: PersonId,
    /// `disabled` or `gone`.
    pub status: &'a str,
    /// When the directory says it was.
    pub deactivated_at: Option<DateTime<Utc>>,
    /// Within how many hours everything must have ended.
    pub sla_hours: i32,
    /// The event that tells of it.
    pub event_id: i64,
}

/// Writes that somebody left, with how many leases they held then; due at `now`.
///
/// # Errors
/// When the database refuses: there must be the event of it.
pub async fn insert(tx: &mut Tx, new: &NewLeaver<'_>, now: DateTime<Utc>) -> Result<(), StoreError> {
    sqlx::query(
        "insert into leaver (id, person_id, status, deactivated_at, detected_at, grants_at_detection, sla_hours, event_id, next_at)
         select $1, $2, $3, $4, $5, (select count(*)::int from access_grant where beneficiary_id = $2 and status in ('scheduled', 'provisioning', 'verifying', 'active')), $6, $7, $5",
    )
    .bind(new.id)
    .bind(new.person.0)
    .bind(new.status)
    .bind(new.deactivated_at)
    .bind(now)
    .bind(new.sla_hours)
    .bind(new.event_id)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Those that are due, the longest waiting first: id, and who.
///
/// # Errors
/// When the database fails.
pub async fn due(db: &Db, now: DateTime<Utc>, limit: i64) -> Result<Vec<(Uuid, Uuid)>, StoreError> {
    Ok(sqlx::query_as("select id, person_id from leaver where settled_at is null and next_at <= $1 order by next_at, id limit $2")
        .bind(now)
        .bind(limit)
        .fetch_all(&db.pool)
        .await?)
}

/// Of those who are due, whom nobody has begun with: id and person.
///
/// # Errors
/// When the database fails.
pub async fn fresh(db: &Db, now: DateTime<Utc>, limit: i64) -> Result<Vec<(Uuid, Uuid)>, StoreError> {
    Ok(sqlx::query_as("select id, person_id from leaver where settled_at is null and next_at <= $1 and fails = 0 order by next_at, id limit $2")
        .bind(now)
        .bind(limit)
        .fetch_all(&db.pool)
        .await?)
}

/// Locks one that is still due at `now`: how often somebody went on with it. None when somebody else has it, or it is done.
///
/// # Errors
/// When the database fails.
pub async fn lock_due(tx: &mut Tx, id: Uuid, now: DateTime<Utc>) -> Result<Option<i32>, StoreError> {
    Ok(sqlx::query_scalar("select fails from leaver where id = $1 and settled_at is null and next_at <= $2 for update skip locked")
        .bind(id)
        .bind(now)
        .fetch_optional(&mut **tx)
        .await?)
}

/// Notes how many more requests were closed, and when to go on.
///
/// # Errors
/// When the database fails.
pub async fn went_on(tx: &mut Tx, id: Uuid, closed: i32, next_at: DateTime<Utc>) -> Result<(), StoreError> {
    sqlx::query("update leaver set requests_closed = requests_closed + $2, next_at = $3, fails = fails + 1 where id = $1")
        .bind(id)
        .bind(closed)
        .bind(next_at)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Notes that nothing of theirs is open any more.
///
/// # Errors
/// When the database fails.
pub async fn settled(tx: &mut Tx, id: Uuid, now: DateTime<Utc>) -> Result<(), StoreError> {
    sqlx::query("update leaver set settled_at = $2, next_at = null where id = $1 and settled_at is null").bind(id).bind(now).execute(&mut **tx).await?;
    Ok(())
}

/// How many people left with whom we are not done.
///
/// # Errors
/// When the database fails.
pub async fn open(db: &Db) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar("select count(*) from leaver where settled_at is null").fetch_one(&db.pool).await?)
}

/// How many people of `directory` were found gone or switched off since `since`.
///
/// # Errors
/// When the database fails.
pub async fn left_since(db: &Db, directory: &str, since: DateTime<Utc>) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar("select count(*) from leaver l join person p on p.id = l.person_id where l.detected_at >= $2 and p.directory = $1")
        .bind(directory)
        .bind(since)
        .fetch_one(&db.pool)
        .await?)
}

/// People who are not active and of whom something is live all the same: a lease, an open request for them or by them, a session, a
/// token, a delegation. Who is being seen to already is left out.
///
/// # Errors
/// When the database fails.
pub async fn leftovers(db: &Db, now: DateTime<Utc>, limit: i64) -> Result<Vec<Uuid>, StoreError> {
    Ok(sqlx::query_scalar(
        "select p.id from person p join (
           select beneficiary_id as id from access_grant where status in ('scheduled', 'provisioning', 'verifying', 'active')
           union select beneficiary_id from request where status in ('submitted', 'pending', 'needs_info')
           union select requester_id from request where status in ('submitted', 'pending', 'needs_info')
           union select person_id from session
           union select person_id from api_token where revoked_at is null and expires_at > $1
           union select person_id from delegation where ended_at is null and ends_at > $1
           union select delegate_id from delegation where ended_at is null and ends_at > $1) x on x.id = p.id
         where p.status <> 'active' and not exists (select 1 from leaver l where l.person_id = p.id and l.settled_at is null) order by p.id limit $2",
    )
    .bind(now)
    .bind(limit)
    .fetch_all(&db.pool)
    .await?)
}

/// Locks a person's row against who keeps what the directory says of them; their status.
///
/// # Errors
/// When the database fails.
pub async fn lock_person(tx: &mut Tx, person: PersonId) -> Result<Option<String>, StoreError> {
    Ok(sqlx::query_scalar("select status from person where id = $1 for no key update").bind(person.0).fetch_optional(&mut **tx).await?)
}

/// Open requests for a person, or by them for others, locked in the order of their ids.
///
/// # Errors
/// When the database fails.
pub async fn open_requests(tx: &mut Tx, person: PersonId) -> Result<Vec<Uuid>, StoreError> {
    Ok(sqlx::query_scalar(
        "select id from request where (beneficiary_id = $1 or requester_id = $1) and status in ('submitted', 'pending', 'needs_info') order by id for update",
    )
    .bind(person.0)
    .fetch_all(&mut **tx)
    .await?)
}

/// Open requests that ask a person.
///
/// # Errors
/// When the database fails.
pub async fn asked_in(db: &Db, person: PersonId) -> Result<Vec<Uuid>, StoreError> {
    Ok(sqlx::query_scalar("select distinct request_id from assignment where person_id = $1 and open order by 1").bind(person.0).fetch_all(&db.pool).await?)
}

/// Delegations of a person, or in which they stand in, that are not over at `now`, locked: id, who is away, who stands in.
///
/// # Errors
/// When the database fails.
pub async fn delegations(tx: &mut Tx, person: PersonId, now: DateTime<Utc>) -> Result<Vec<(Uuid, Uuid, Uuid)>, StoreError> {
    Ok(sqlx::query_as(
        "select id, person_id, delegate_id from delegation where (person_id = $1 or delegate_id = $1) and ended_at is null and ends_at > $2 order by id for update",
    )
    .bind(person.0)
    .bind(now)
    .fetch_all(&mut **tx)
    .await?)
}
