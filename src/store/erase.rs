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

/// Locks a person. Why they cannot be erased now, each as a part of a sentence; none when there is no such person.
///
/// # Errors
/// When the database fails.
pub async fn hindrances(tx: &mut Tx, person: PersonId, now: DateTime<Utc>) -> Result<Option<Vec<String>>, StoreError> {
    let found: Option<Uuid> = sqlx::query_scalar("select id from person where id = $1 for update").bind(person.0).fetch_optional(&mut **tx).await?;
    if found.is_none() {
        return Ok(None);
    }
    Ok(Some(
        sqlx::query_scalar(
            "select format('the directory %s says that they are active', directory) from person where id = $1 and status = 'active'
             union all select 'they are erased already' from person where id = $1 and display_name = $3
             union all select format('they are held since %s', to_char(placed_at, 'YYYY-MM-DD')) from legal_hold where person_id = $1 and lifted_at is null
             union all select format('their request %s is held since %s', r.id, to_char(h.placed_at, 'YYYY-MM-DD')) from legal_hold h join request r on r.id = h.request_id
               where $1 in (r.requester_id, r.beneficiary_id) and h.lifted_at is null
             union all select format('the application %s is theirs; name another owner', key) from application where owner_id = $1 and retired_at is null
             union all select format('the role %s/%s is theirs; name another owner', a.key, r.key) from role r join application a on a.id = r.application_id
               where r.owner_id = $1 and r.retired_at is null
             union all select format('the approval procedure %s asks them; change it', p.key) from approval_procedure p where p.retired_at is null and exists (
               select 1 from approval_procedure_source s join (
                 select id from approval_procedure_version v where v.procedure_id = p.id order by version desc limit 1) v on v.id = s.procedure_version_id
               where s.source = 'person' and s.source_value = $1::text)
             union all select format('%s accesses of theirs have not ended', count(*)) from access_grant where beneficiary_id = $1 and status not in ('ended', 'failed') having count(*) > 0
             union all select format('%s requests by or for them are open', count(*)) from request where $1 in (requester_id, beneficiary_id) and closed_at is null having count(*) > 0
             union all select format('%s requests still ask them', count(distinct request_id)) from assignment where person_id = $1 and open having count(*) > 0
             union all select 'an API token of theirs is not revoked' from api_token where person_id = $1 and revoked_at is null and expires_at > $2 group by person_id",
        )
        .bind(person.0)
        .bind(now)
        .bind(ERASED)
        .fetch_all(&mut **tx)
        .await?,
    ))
}

/// Erases who a person was; how many events lost something. The transaction holds a `person.erased` about them.
///
/// # Errors
/// [`StoreError::Refused`] when they are active, held, or have something open.
pub async fn person(tx: &mut Tx, person: PersonId) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar("select erase_person($1)").bind(person.0).fetch_one(&mut **tx).await?)
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
/// When the database refuses.
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
           and not exists (select 1 from legal_hold h where h.person_id = p.id and h.lifted_at is null) order by p.id limit $3",
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
