//! Leases.

use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;

use crate::domain::grant::{EndReason, Extended, GrantStatus, Lease};
use crate::domain::id::{GrantId, PersonId, RoleId, TargetId};
use crate::domain::span::Seconds;

use super::db::{Db, Tx};
use super::error::StoreError;

/// The membership that a lease wants: one person in one group.
#[derive(Clone, Copy, Debug)]
pub struct NewTarget<'a> {
    /// Its id, when there is no row of it yet.
    pub id: TargetId,
    /// Key of the directory.
    pub directory: &'a str,
    /// The person's reference there.
    pub person: &'a str,
    /// The group's reference there.
    pub group: &'a str,
}

/// A lease to be written.
#[derive(Clone, Debug)]
pub struct NewGrant<'a> {
    /// Its id.
    pub id: GrantId,
    /// The approved request.
    pub request_id: Uuid,
    /// Id of the approving event.
    pub approval_event: i64,
    /// Who will hold it.
    pub beneficiary: Uuid,
    /// Which role.
    pub role: Uuid,
    /// Its application.
    pub application: Uuid,
    /// The membership it wants; the id is used when there is no row of it yet.
    pub target: NewTarget<'a>,
    /// `Scheduled` or `Provisioning`.
    pub status: GrantStatus,
    /// When it was approved.
    pub approved_at: DateTime<Utc>,
    /// Seconds; none: without end.
    pub duration_s: Option<i64>,
    /// When it is to begin.
    pub starts_at: DateTime<Utc>,
    /// When it is to end.
    pub ends_at: Option<DateTime<Utc>>,
    /// The lease it extends.
    pub extension_of: Option<Uuid>,
}

/// A lease's row.
#[derive(Clone, Debug, FromRow)]
pub struct GrantRow {
    /// Its id.
    pub id: Uuid,
    /// The request it comes from.
    pub request_id: Uuid,
    /// Who holds it.
    pub beneficiary_id: Uuid,
    /// Which role.
    pub role_id: Uuid,
    /// Its application.
    pub application_id: Uuid,
    /// The membership it wants.
    pub target_id: Uuid,
    /// How far it has come.
    pub status: String,
    /// When it was approved.
    pub approved_at: DateTime<Utc>,
    /// Seconds; none: without end.
    pub duration_s: Option<i64>,
    /// When it begins or began.
    pub starts_at: DateTime<Utc>,
    /// When it ends.
    pub ends_at: Option<DateTime<Utc>>,
    /// When delivery began.
    pub provisioning_started_at: Option<DateTime<Utc>>,
    /// When the directory first accepted it.
    pub granted_at: Option<DateTime<Utc>>,
    /// When the directory first confirmed it.
    pub verified_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
    /// Why it ended.
    pub end_reason: Option<String>,
    /// The lease it extends.
    pub extension_of: Option<Uuid>,
    /// How many leases it extends in a row.
    pub extension_no: i32,
    /// Whether the holder said that it is not to be extended.
    pub no_extension: bool,
    /// Attempts so far.
    pub attempts: i32,
    /// The last error.
    pub last_error: Option<String>,
    /// The version of the policy that governs it.
    pub policy_version_id: Uuid,
}

impl GrantRow {
    /// What has happened to it as far as extending it goes; `already` whether an extension is asked for or follows it.
    pub fn extended(&self, already: bool) -> Extended {
        Extended { already, times: self.extension_no.unsigned_abs(), declined: self.no_extension }
    }

    /// As the rules know it.
    pub fn lease(&self) -> Lease {
        Lease {
            id: GrantId(self.id),
            beneficiary: PersonId(self.beneficiary_id),
            status: GrantStatus::parse(&self.status).unwrap_or(GrantStatus::Failed),
            duration: self.duration_s.map(Seconds),
            starts_at: self.starts_at,
            ends_at: self.ends_at,
            verified_at: self.verified_at,
        }
    }
}

/// The columns of [`GrantRow`], with the rest of the statement.
macro_rules! grants {
    ($rest:literal) => {
        concat!(
            "select g.id, g.request_id, g.beneficiary_id, g.role_id, g.application_id, g.target_id, g.status, g.approved_at, g.duration_s, g.starts_at, g.ends_at, ",
            "g.provisioning_started_at, g.granted_at, g.verified_at, g.ended_at, g.end_reason, g.extension_of, g.extension_no, g.no_extension, g.attempts, g.last_error, r.policy_version_id ",
            "from access_grant g join request r on r.id = g.request_id ",
            $rest
        )
    };
}

/// The statement that writes a lease, after making sure of its membership's row by `$insert` and `$conflict`.
macro_rules! leases {
    ($insert:literal, $conflict:literal) => {
        concat!(
            "with t as (insert into target (id, directory, person_id, person_reference, group_reference, ",
            $insert,
            " on conflict (directory, person_reference, group_reference) do update set ",
            $conflict,
            " returning id)
             insert into access_grant (id, request_id, approval_event_id, beneficiary_id, role_id, application_id, target_id, status, approved_at, duration_s, starts_at, ends_at, extension_of, extension_no)
             select $5, $6, $7, $3, $8, $9, t.id, $10, $11, $12, $13, $14, $15,
               case when $15::uuid is null then 0 else (select e.extension_no + 1 from access_grant e where e.id = $15) end from t"
        )
    };
}

/// Writes a lease and, in the same statement, makes sure of its membership's row. Of a lease that begins now the membership is owed
/// at once; of a later one nothing is owed before it begins. The database demands the approving event before it.
///
/// # Errors
/// [`StoreError::Refused`] with constraint `grant_after_approval` and its like.
pub async fn insert(tx: &mut Tx, new: &NewGrant<'_>) -> Result<(), StoreError> {
    let statement = if new.status == GrantStatus::Scheduled {
        leases!("wanted, done_gen) values ($1, $2, $3, $4, $16, false, 1)", "person_id = excluded.person_id")
    } else {
        leases!(
            "wanted, next_at, owed_since) values ($1, $2, $3, $4, $16, true, $11, $11)",
            "wanted = excluded.wanted, gen = target.gen + 1, next_at = least(target.next_at, excluded.next_at),
             owed_since = least(target.owed_since, excluded.next_at), fails = 0"
        )
    };
    sqlx::query(statement)
        .bind(new.target.id.0)
        .bind(new.target.directory)
        .bind(new.beneficiary)
        .bind(new.target.person)
        .bind(new.id.0)
        .bind(new.request_id)
        .bind(new.approval_event)
        .bind(new.role)
        .bind(new.application)
        .bind(new.status.word())
        .bind(new.approved_at)
        .bind(new.duration_s)
        .bind(new.starts_at)
        .bind(new.ends_at)
        .bind(new.extension_of)
        .bind(new.target.group)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// The lease, unlocked.
///
/// # Errors
/// When the database fails.
pub async fn by_id(db: &Db, id: GrantId) -> Result<Option<GrantRow>, StoreError> {
    Ok(sqlx::query_as(grants!("where g.id = $1")).bind(id.0).fetch_optional(&db.pool).await?)
}

/// The lease, locked.
///
/// # Errors
/// When the database fails.
pub async fn lock(tx: &mut Tx, id: GrantId) -> Result<Option<GrantRow>, StoreError> {
    Ok(sqlx::query_as(grants!("where g.id = $1 for update of g")).bind(id.0).fetch_optional(&mut **tx).await?)
}

/// The leases of a membership that have not ended for good, locked.
///
/// # Errors
/// When the database fails.
pub async fn lock_of_target(tx: &mut Tx, target: TargetId) -> Result<Vec<GrantRow>, StoreError> {
    Ok(sqlx::query_as(grants!("where g.target_id = $1 and g.status not in ('ended', 'failed') order by g.id for update of g"))
        .bind(target.0)
        .fetch_all(&mut **tx)
        .await?)
}

/// The live leases of a person, locked.
///
/// # Errors
/// When the database fails.
pub async fn lock_live_of(tx: &mut Tx, person: PersonId) -> Result<Vec<GrantRow>, StoreError> {
    Ok(sqlx::query_as(grants!(
        "where g.beneficiary_id = $1 and g.status in ('scheduled', 'provisioning', 'verifying', 'active') order by g.id for update of g"
    ))
    .bind(person.0)
    .fetch_all(&mut **tx)
    .await?)
}

/// Active leases whose time is up at `now`, locked, earliest end first, at most `limit`.
///
/// # Errors
/// When the database fails.
pub async fn lock_over(tx: &mut Tx, now: DateTime<Utc>, limit: i64) -> Result<Vec<GrantRow>, StoreError> {
    Ok(sqlx::query_as(grants!("where g.status = 'active' and g.ends_at <= $1 order by g.ends_at limit $2 for update of g skip locked"))
        .bind(now)
        .bind(limit)
        .fetch_all(&mut **tx)
        .await?)
}

/// Scheduled leases that begin at `now` or before, locked, earliest first, at most `limit`.
///
/// # Errors
/// When the database fails.
pub async fn lock_starting(tx: &mut Tx, now: DateTime<Utc>, limit: i64) -> Result<Vec<GrantRow>, StoreError> {
    Ok(sqlx::query_as(grants!("where g.status = 'scheduled' and g.starts_at <= $1 order by g.starts_at limit $2 for update of g skip locked"))
        .bind(now)
        .bind(limit)
        .fetch_all(&mut **tx)
        .await?)
}

/// The live lease of a person on a role, if there is one, and whether another extends it already.
///
/// # Errors
/// When the database fails.
pub async fn held(tx: &mut Tx, person: PersonId, role: RoleId) -> Result<Vec<Uuid>, StoreError> {
    Ok(sqlx::query_scalar("select id from access_grant where beneficiary_id = $1 and role_id = $2 and status not in ('ended', 'failed', 'revoking')")
        .bind(person.0)
        .bind(role.0)
        .fetch_all(&mut **tx)
        .await?)
}

/// Makes every other transaction that asks for the same wait until this one ends: what a person holds is weighed one ask at a time.
///
/// # Errors
/// When the database fails.
pub async fn lock_person(tx: &mut Tx, person: PersonId) -> Result<(), StoreError> {
    sqlx::query("select pg_advisory_xact_lock(hashtextextended('holds ' || $1::text, 0))").bind(person.0).execute(&mut **tx).await?;
    Ok(())
}

/// Those of `roles` that a person holds or has asked for, in order.
///
/// # Errors
/// When the database fails.
pub async fn held_or_asked(db: &Db, person: PersonId, roles: &[Uuid]) -> Result<Vec<RoleId>, StoreError> {
    apart(&mut *db.pool.acquire().await?, person, roles).await
}

/// As [`held_or_asked`], as the transaction sees it.
///
/// # Errors
/// When the database fails.
pub async fn held_or_asked_now(tx: &mut Tx, person: PersonId, roles: &[Uuid]) -> Result<Vec<RoleId>, StoreError> {
    apart(tx, person, roles).await
}

async fn apart(connection: &mut PgConnection, person: PersonId, roles: &[Uuid]) -> Result<Vec<RoleId>, StoreError> {
    // What is being taken away is still held until the directory has been read back.
    let found: Vec<Uuid> = sqlx::query_scalar(
        "select role_id from access_grant where beneficiary_id = $1 and role_id = any($2) and status not in ('ended', 'failed')
         union select role_id from request where beneficiary_id = $1 and role_id = any($2) and status in ('submitted', 'pending', 'needs_info') order by 1",
    )
    .bind(person.0)
    .bind(roles)
    .fetch_all(connection)
    .await?;
    Ok(found.into_iter().map(RoleId).collect())
}

/// Whether a lease has a live extension.
///
/// # Errors
/// When the database fails.
pub async fn is_extended(db: &Db, id: GrantId) -> Result<bool, StoreError> {
    Ok(sqlx::query_scalar("select exists (select 1 from access_grant where extension_of = $1 and status not in ('ended', 'failed'))")
        .bind(id.0)
        .fetch_one(&db.pool)
        .await?)
}

/// Ends a lease: it wants its membership no longer, and the removal is owed.
///
/// # Errors
/// [`StoreError::Refused`] when it has ended before.
pub async fn end(tx: &mut Tx, id: GrantId, reason: EndReason, by: Option<PersonId>, comment: Option<&str>, now: DateTime<Utc>) -> Result<(), StoreError> {
    one(sqlx::query(
        "update access_grant set status = 'revoking', ended_at = $2, end_reason = $3, ended_by = $4, end_comment = $5 where id = $1 and ended_at is null",
    )
    .bind(id.0)
    .bind(now)
    .bind(reason.word())
    .bind(by.map(|p| p.0))
    .bind(comment)
    .execute(&mut **tx)
    .await?
    .rows_affected())
}

/// Sets the status of a lease that is being delivered, and counts an attempt. A replica whose clock is behind dates nothing before the
/// approval that it delivers, here and below.
///
/// # Errors
/// When the database fails.
pub async fn delivering(tx: &mut Tx, id: GrantId, status: GrantStatus, attempt: bool, error: Option<&str>, now: DateTime<Utc>) -> Result<(), StoreError> {
    one(sqlx::query(
        "update access_grant set status = $2, attempts = attempts + $3::int, last_error = $4, provisioning_started_at = coalesce(provisioning_started_at, greatest($5, approved_at)),
               granted_at = case when $2 = 'verifying' then coalesce(granted_at, greatest($5, approved_at)) else granted_at end where id = $1",
    )
    .bind(id.0)
    .bind(status.word())
    .bind(attempt as i32)
    .bind(error)
    .bind(now)
    .execute(&mut **tx)
    .await?
    .rows_affected())
}

/// Records that the directory has confirmed a lease, over `[starts_at, ends_at)`; `attempt`: after a change that we made, which counts.
///
/// # Errors
/// When the database fails.
pub async fn activate(
    tx: &mut Tx,
    id: GrantId,
    starts_at: DateTime<Utc>,
    ends_at: Option<DateTime<Utc>>,
    attempt: bool,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    one(
        sqlx::query(
            "update access_grant set status = 'active', starts_at = $2, ends_at = $3, verified_at = coalesce(verified_at, greatest($4, approved_at)),
               granted_at = coalesce(granted_at, greatest($4, approved_at)),
               provisioning_started_at = coalesce(provisioning_started_at, greatest($4, approved_at)), attempts = attempts + $5::int, last_error = null where id = $1",
        )
        .bind(id.0)
        .bind(starts_at)
        .bind(ends_at)
        .bind(now)
        .bind(attempt as i32)
        .execute(&mut **tx)
        .await?
        .rows_affected(),
    )
}

/// Records that the end of a lease is verified.
///
/// # Errors
/// When the database fails.
pub async fn ended(tx: &mut Tx, id: GrantId, now: DateTime<Utc>) -> Result<(), StoreError> {
    one(sqlx::query("update access_grant set status = 'ended', end_verified_at = greatest($2, ended_at), last_error = null where id = $1")
        .bind(id.0)
        .bind(now)
        .execute(&mut **tx)
        .await?
        .rows_affected())
}

/// Records what went wrong with a removal that is still owed.
///
/// # Errors
/// When the database fails.
pub async fn revoking_failed(tx: &mut Tx, id: GrantId, error: &str) -> Result<(), StoreError> {
    one(sqlx::query("update access_grant set attempts = attempts + 1, last_error = $2 where id = $1")
        .bind(id.0)
        .bind(error)
        .execute(&mut **tx)
        .await?
        .rows_affected())
}

/// Gives a lease up: access never began.
///
/// # Errors
/// When the database fails.
pub async fn failed(tx: &mut Tx, id: GrantId, error: &str) -> Result<(), StoreError> {
    one(sqlx::query("update access_grant set status = 'failed', last_error = $2 where id = $1")
        .bind(id.0)
        .bind(error)
        .execute(&mut **tx)
        .await?
        .rows_affected())
}

/// Notes whether the holder wants a lease not to be extended.
///
/// # Errors
/// When the database fails.
pub async fn decline_extension(tx: &mut Tx, id: GrantId, declined: bool) -> Result<(), StoreError> {
    one(sqlx::query("update access_grant set no_extension = $2 where id = $1").bind(id.0).bind(declined).execute(&mut **tx).await?.rows_affected())
}

fn one(rows: u64) -> Result<(), StoreError> {
    if rows == 1 { Ok(()) } else { Err(StoreError::Again(format!("{rows} leases changed where one was to change"))) }
}
