//! Who stands in for whom, and when.

use chrono::{DateTime, Utc};
use sqlx::FromRow;
use uuid::Uuid;

use crate::domain::id::{PersonId, RequestId};

use super::db::{Db, Tx};
use super::error::StoreError;

/// Whether the seat `a` is a delegate's who stands in for nobody at `$2`: their delegation is over, or whoever they stood in for is
/// asked no more.
macro_rules! groundless {
    () => {
        "(a.acting_as = 'delegate' and not exists (
           select 1 from assignment s join delegation d on d.person_id = s.person_id and d.delegate_id = a.person_id and d.starts_at <= $2 and d.ends_at > $2 and d.ended_at is null
           where s.request_id = a.request_id and s.step_no = a.step_no and s.slot_no = a.slot_no and s.acting_as <> 'delegate' and s.ended_at is null
             and coalesce(s.acting_for, s.person_id) = a.acting_for))"
    };
}
pub(super) use groundless;

/// A delegation with its names.
#[derive(Clone, Debug, FromRow)]
pub struct DelegationRow {
    /// Its id.
    pub id: Uuid,
    /// Who is away.
    pub person_id: Uuid,
    /// Their name.
    pub person: String,
    /// Who stands in.
    pub delegate_id: Uuid,
    /// Their name.
    pub delegate: String,
    /// From when.
    pub starts_at: DateTime<Utc>,
    /// Until when.
    pub ends_at: DateTime<Utc>,
    /// Why.
    pub reason: Option<String>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was ended before its time.
    pub ended_at: Option<DateTime<Utc>>,
}

/// The columns of [`DelegationRow`], with the rest of the statement.
macro_rules! delegations {
    ($rest:literal) => {
        concat!(
            "select d.id, d.person_id, p.display_name as person, d.delegate_id, q.display_name as delegate, d.starts_at, d.ends_at, d.reason, d.created_at, d.ended_at ",
            "from delegation d join person p on p.id = d.person_id join person q on q.id = d.delegate_id ",
            $rest
        )
    };
}

/// A delegate who was asked.
#[derive(Clone, Debug, FromRow)]
pub struct AskedRow {
    /// The slot, counted from 1.
    pub slot_no: i32,
    /// Who stands in.
    pub person_id: Uuid,
    /// Whose place it is.
    pub acting_for: Uuid,
}

/// Asks, at the open step, the active delegates in force at `now` of everybody who is asked there in a place of their own: of several of
/// one person the one who began last. Requester and beneficiary never stand in, nor for a place of theirs, nor does whoever is asked
/// in the slot already. What was assigned before a delegation began is not passed on.
///
/// # Errors
/// When the database fails.
pub async fn assign(tx: &mut Tx, request: RequestId, step_no: i32, now: DateTime<Utc>) -> Result<Vec<AskedRow>, StoreError> {
    Ok(sqlx::query_as(
        "insert into assignment (request_id, step_no, slot_no, person_id, assigned_at, open, acting_as, acting_for)
         select distinct on (a.slot_no, d.delegate_id) a.request_id, a.step_no, a.slot_no, d.delegate_id, $3, true, 'delegate', coalesce(a.acting_for, a.person_id)
         from assignment a join request r on r.id = a.request_id
         cross join lateral (select d.delegate_id, d.starts_at from delegation d where d.person_id = a.person_id and d.starts_at <= $3 and d.ends_at > $3 and d.ended_at is null
           order by d.starts_at desc, d.delegate_id desc limit 1) d
         join person p on p.id = d.delegate_id and p.status = 'active'
         where a.request_id = $1 and a.step_no = $2 and a.open and a.acting_as <> 'delegate' and a.assigned_at >= d.starts_at
           and d.delegate_id <> r.requester_id and d.delegate_id <> r.beneficiary_id
           and coalesce(a.acting_for, a.person_id) <> r.requester_id and coalesce(a.acting_for, a.person_id) <> r.beneficiary_id
           and not (r.distinct_people and exists (select 1 from approval v where v.request_id = a.request_id and v.decided_by = d.delegate_id))
         order by a.slot_no, d.delegate_id, a.person_id
         on conflict do nothing returning slot_no, person_id, acting_for",
    )
    .bind(request.0)
    .bind(step_no)
    .bind(now)
    .fetch_all(&mut **tx)
    .await?)
}

/// Requests in which a delegate is asked who stands in for nobody at `now`, at most `limit`.
///
/// # Errors
/// When the database fails.
pub async fn over(db: &Db, limit: i64, now: DateTime<Utc>) -> Result<Vec<Uuid>, StoreError> {
    Ok(sqlx::query_scalar(concat!("select distinct a.request_id from assignment a where a.open and a.acting_as = 'delegate' and ", groundless!(), " limit $1"))
        .bind(limit)
        .bind(now)
        .fetch_all(&db.pool)
        .await?)
}

/// Ends the seats of delegates in a request who stand in for nobody at `now`; returns how many there were.
///
/// # Errors
/// When the database fails.
pub async fn end_seats(tx: &mut Tx, request: RequestId, now: DateTime<Utc>) -> Result<u64, StoreError> {
    let done = sqlx::query(concat!(
        "update assignment a set open = false, ended_at = $2 where a.request_id = $1 and a.open and a.acting_as = 'delegate' and ",
        groundless!()
    ))
    .bind(request.0)
    .bind(now)
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected())
}

/// Open requests in which `delegate` is asked as one.
///
/// # Errors
/// When the database fails.
pub async fn seated_in(db: &Db, delegate: PersonId) -> Result<Vec<Uuid>, StoreError> {
    Ok(sqlx::query_scalar("select distinct request_id from assignment where person_id = $1 and open and acting_as = 'delegate' order by 1")
        .bind(delegate.0)
        .fetch_all(&db.pool)
        .await?)
}

/// One delegation at a time is made of a person: waits for whoever makes another one, until the transaction ends.
///
/// # Errors
/// When the database fails.
pub async fn lock_person(tx: &mut Tx, person: PersonId) -> Result<(), StoreError> {
    sqlx::query("select pg_advisory_xact_lock(hashtextextended('away ' || $1::text, 0))").bind(person.0).execute(&mut **tx).await?;
    Ok(())
}

/// The delegation of `person` that overlaps `[from, to)` and was not ended, the earliest.
///
/// # Errors
/// When the database fails.
pub async fn overlapping(tx: &mut Tx, person: PersonId, from: DateTime<Utc>, to: DateTime<Utc>) -> Result<Option<DelegationRow>, StoreError> {
    Ok(sqlx::query_as(delegations!("where d.person_id = $1 and d.starts_at < $3 and d.ends_at > $2 and d.ended_at is null order by d.starts_at limit 1"))
        .bind(person.0)
        .bind(from)
        .bind(to)
        .fetch_optional(&mut **tx)
        .await?)
}

/// A delegation to be written.
#[derive(Clone, Debug)]
pub struct NewDelegation<'a> {
    /// Its id.
    pub id: Uuid,
    /// Who is away.
    pub person: PersonId,
    /// Who stands in.
    pub delegate: PersonId,
    /// From when.
    pub starts_at: DateTime<Utc>,
    /// Until when.
    pub ends_at: DateTime<Utc>,
    /// Why.
    pub reason: Option<&'a str>,
    /// When it is made.
    pub created_at: DateTime<Utc>,
}

/// Writes a delegation.
///
/// # Errors
/// When the database refuses.
pub async fn insert(tx: &mut Tx, new: &NewDelegation<'_>) -> Result<(), StoreError> {
    sqlx::query("insert into delegation (id, person_id, delegate_id, starts_at, ends_at, reason, created_at) values ($1, $2, $3, $4, $5, $6, $7)")
        .bind(new.id)
        .bind(new.person.0)
        .bind(new.delegate.0)
        .bind(new.starts_at)
        .bind(new.ends_at)
        .bind(new.reason)
        .bind(new.created_at)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// The delegation, locked until the transaction ends.
///
/// # Errors
/// When the database fails.
pub async fn lock(tx: &mut Tx, id: Uuid) -> Result<Option<DelegationRow>, StoreError> {
    Ok(sqlx::query_as(delegations!("where d.id = $1 for update of d")).bind(id).fetch_optional(&mut **tx).await?)
}

/// Ends a delegation before its time.
///
/// # Errors
/// When the database fails.
pub async fn end(tx: &mut Tx, id: Uuid, now: DateTime<Utc>) -> Result<(), StoreError> {
    sqlx::query("update delegation set ended_at = $2 where id = $1 and ended_at is null").bind(id).bind(now).execute(&mut **tx).await?;
    Ok(())
}

/// The delegations in force at `now` of `people`, of several of one person the one that began last.
///
/// # Errors
/// When the database fails.
pub async fn in_force(db: &Db, people: &[Uuid], now: DateTime<Utc>) -> Result<Vec<DelegationRow>, StoreError> {
    Ok(sqlx::query_as(delegations!(
        "where d.person_id = any($1) and d.starts_at <= $2 and d.ends_at > $2 and d.ended_at is null and q.status = 'active' and not exists (
           select 1 from delegation l where l.person_id = d.person_id and l.starts_at <= $2 and l.ends_at > $2 and l.ended_at is null
             and (l.starts_at, l.delegate_id) > (d.starts_at, d.delegate_id))"
    ))
    .bind(people)
    .bind(now)
    .fetch_all(&db.pool)
    .await?)
}

/// The delegations of `person` and those in which they stand in: what is or will be in force at `now` first, then the past, each
/// newest first; at most `limit`.
///
/// # Errors
/// When the database fails.
pub async fn of_person(db: &Db, person: PersonId, now: DateTime<Utc>, limit: i64) -> Result<Vec<DelegationRow>, StoreError> {
    Ok(sqlx::query_as(delegations!(
        "where d.person_id = $1 or d.delegate_id = $1 order by (d.ended_at is null and d.ends_at > $2) desc, d.starts_at desc, d.id desc limit $3"
    ))
    .bind(person.0)
    .bind(now)
    .bind(limit)
    .fetch_all(&db.pool)
    .await?)
}
