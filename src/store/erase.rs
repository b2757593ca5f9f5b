//! Erases who a person was, and what was kept long.
//!
//! What may be erased, and that a transaction says so first, is a matter of the database (`migrations/0003_guards.sql`).

use chrono::{DateTime, Utc};
use sqlx::FromRow;
use uuid::Uuid;

use crate::domain::id::PersonId;

use super::db::{Db, Tx};
use super::error::StoreError;

/// What stands where a text was.
pub const ERASED: &str = "(erased)";

/// Lets this transaction take as long as it takes: it reads every event for a name.
///
/// # Errors
/// When the database fails.
pub async fn take_time(tx: &mut Tx) -> Result<(), StoreError> {
    sqlx::query("select set_config('statement_timeout', '0', true), set_config('idle_in_transaction_session_timeout', '0', true)").execute(&mut **tx).await?;
    Ok(())
}

/// Locks a person and the list of holds. Why they cannot be erased now, each as a part of a sentence; none when there is no such person.
///
/// # Errors
/// When the database fails.
pub async fn hindrances(tx: &mut Tx, person: PersonId) -> Result<Option<Vec<String>>, StoreError> {
    let found: Vec<String> = sqlx::query_scalar("select * from hindrances($1)").bind(person.0).fetch_all(&mut **tx).await?;
    let name = name(tx, person).await?;
    let erased = name.as_deref() == Some(ERASED);
    Ok(name.map(|_| erased.then(|| "they are erased already".into()).into_iter().chain(found).collect()))
}

/// What stays of a person when they are erased, each as a part of a sentence.
///
/// # Errors
/// When the database fails.
pub async fn stays(tx: &mut Tx, person: PersonId) -> Result<Vec<String>, StoreError> {
    Ok(sqlx::query_scalar("select * from stays_of($1)").bind(person.0).fetch_all(&mut **tx).await?)
}

/// Erases who a person was; how many events lost something. The transaction holds a `person.erased` about them.
///
/// # Errors
/// [`StoreError::Refused`] when they are active, held, or have something open.
pub async fn person(tx: &mut Tx, person: PersonId) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar("select erase_person($1)").bind(person.0).fetch_one(&mut **tx).await?)
}

/// What a person is called now; none when there is no such person.
///
/// # Errors
/// When the database fails.
pub async fn name(tx: &mut Tx, person: PersonId) -> Result<Option<String>, StoreError> {
    Ok(sqlx::query_scalar("select display_name from person where id = $1").bind(person.0).fetch_optional(&mut **tx).await?)
}

/// Whether somebody else than `by` ordered since `since` that a person be erased.
///
/// # Errors
/// When the database fails.
pub async fn ordered_by_another(tx: &mut Tx, person: PersonId, by: PersonId, since: DateTime<Utc>) -> Result<bool, StoreError> {
    Ok(sqlx::query_scalar(
        "select exists (select 1 from audit_event where kind = 'person.erasure_ordered' and person_id = $1 and actor_id <> $2 and occurred_at >= $3)",
    )
    .bind(person.0)
    .bind(by.0)
    .bind(since)
    .fetch_one(&mut **tx)
    .await?)
}

/// What goes when it is old enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Old {
    /// What was written in closed requests.
    Requests,
    /// Who signed in, out, or was not let in.
    SignIns,
    /// What people were told.
    Notices,
}

impl Old {
    /// The word in an event.
    pub fn word(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::SignIns => "sign_ins",
            Self::Notices => "notices",
        }
    }
}

/// Erases what is older than `before`, at most `most` rows of it; how many there were. The transaction holds a `retention.applied`.
///
/// # Errors
/// [`StoreError::Refused`] when `before` lies less than 30 days back, or the event says another.
pub async fn old(tx: &mut Tx, what: Old, before: DateTime<Utc>, most: i32) -> Result<i32, StoreError> {
    let statement = match what {
        Old::Requests => "select erase_requests($1, $2)",
        Old::SignIns => "select erase_sign_ins($1, $2)",
        Old::Notices => "select forget_notices($1, $2)",
    };
    Ok(sqlx::query_scalar(statement).bind(before).bind(most).fetch_one(&mut **tx).await?)
}

/// People who left before `before`, are not erased and not held, after the one `after`, at most `most`.
///
/// # Errors
/// When the database fails.
pub async fn left_before(db: &Db, before: DateTime<Utc>, after: Option<Uuid>, most: i64) -> Result<Vec<Uuid>, StoreError> {
    Ok(sqlx::query_scalar(
        "select p.id from person p where p.status <> 'active' and p.display_name <> $4 and ($2::uuid is null or p.id > $2)
           and coalesce((select max(l.detected_at) from leaver l where l.person_id = p.id), p.seen_at) < $1
           and not exists (select 1 from holding() h where h.person_id = p.id) order by p.id limit $3",
    )
    .bind(before)
    .bind(after)
    .bind(most)
    .bind(ERASED)
    .fetch_all(&db.pool)
    .await?)
}

/// The person with this id or login name, whoever left among them, if exactly one has it.
///
/// # Errors
/// When the database fails.
pub async fn find(db: &Db, text: &str) -> Result<Option<PersonId>, StoreError> {
    let found: Vec<Uuid> =
        sqlx::query_scalar("select id from person where id::text = lower($1) or lower(user_name) = lower($1) and user_name <> $2 order by id limit 2")
            .bind(text)
            .bind(ERASED)
            .fetch_all(&db.pool)
            .await?;
    Ok(match found[..] {
        [only] => Some(PersonId(only)),
        _ => None,
    })
}

/// A hold.
#[derive(Clone, Debug, FromRow)]
pub struct HoldRow {
    /// Its id.
    pub id: Uuid,
    /// Whom it is about.
    pub person_id: Option<Uuid>,
    /// What it is about.
    pub request_id: Option<Uuid>,
    /// Why.
    pub reason: String,
    /// Since when.
    pub placed_at: DateTime<Utc>,
    /// Until when.
    pub lifted_at: Option<DateTime<Utc>>,
}

/// Places a hold on a person or a request.
///
/// # Errors
/// [`StoreError::Refused`] when there is no such person or request.
pub async fn hold(tx: &mut Tx, id: Uuid, of: (Option<Uuid>, Option<Uuid>), reason: &str, by: Option<PersonId>, now: DateTime<Utc>) -> Result<(), StoreError> {
    sqlx::query("insert into legal_hold (id, person_id, request_id, reason, placed_by, placed_at) values ($1, $2, $3, $4, $5, $6)")
        .bind(id)
        .bind(of.0)
        .bind(of.1)
        .bind(reason)
        .bind(by.map(|by| by.0))
        .bind(now)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Lifts a hold; none when there is none that is in force.
///
/// # Errors
/// When the database fails.
pub async fn lift(tx: &mut Tx, id: Uuid, by: Option<PersonId>, now: DateTime<Utc>) -> Result<Option<HoldRow>, StoreError> {
    Ok(sqlx::query_as(
        "update legal_hold set lifted_by = $2, lifted_at = $3 where id = $1 and lifted_at is null returning id, person_id, request_id, reason, placed_at, lifted_at",
    )
    .bind(id)
    .bind(by.map(|by| by.0))
    .bind(now)
    .fetch_optional(&mut **tx)
    .await?)
}

/// Holds in force, oldest first, after the one `after`, at most `most`.
///
/// # Errors
/// When the database fails.
pub async fn holds(db: &Db, after: Option<Uuid>, most: i64) -> Result<Vec<HoldRow>, StoreError> {
    Ok(sqlx::query_as(
        "select id, person_id, request_id, reason, placed_at, lifted_at from legal_hold where lifted_at is null and ($1::uuid is null or id > $1) order by id limit $2",
    )
    .bind(after)
    .bind(most)
    .fetch_all(&db.pool)
    .await?)
}

/// Whether there is such a request.
///
/// # Errors
/// When the database fails.
pub async fn is_request(db: &Db, id: Uuid) -> Result<bool, StoreError> {
    Ok(sqlx::query_scalar("select exists (select 1 from request where id = $1)").bind(id).fetch_one(&db.pool).await?)
}
