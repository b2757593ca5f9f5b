//! Members without a lease, and leases without their member.

use chrono::{DateTime, Utc};
use sqlx::FromRow;
use uuid::Uuid;

use crate::domain::id::{PersonId, RequestId};

use super::db::{Db, Tx};
use super::error::StoreError;

/// An open drift.
#[derive(Clone, Debug, FromRow)]
pub struct DriftRow {
    /// Its id.
    pub id: Uuid,
    /// Key of the directory.
    pub directory: String,
    /// The group's reference.
    pub group_reference: String,
    /// The person's reference; empty for a group that is gone.
    pub person_reference: String,
    /// The person, if known.
    pub person_id: Option<Uuid>,
    /// `unexpected_member`, `missing_member` or `unknown_target`.
    pub kind: String,
    /// The inner group by which the person is a member.
    pub through: Option<String>,
    /// Its name.
    pub through_name: Option<String>,
    /// The request that is to adopt it.
    pub request_id: Option<Uuid>,
    /// That request's status.
    pub request_status: Option<String>,
    /// When that request was found closed without a lease.
    pub adoption_over_at: Option<DateTime<Utc>>,
    /// When its removal was ordered.
    pub removal_asked_at: Option<DateTime<Utc>>,
    /// By whom; none: by the rule of the role.
    pub removal_asked_by: Option<Uuid>,
    /// What came of trying to adopt it.
    pub note: Option<String>,
    /// When it was settled.
    pub resolved_at: Option<DateTime<Utc>>,
    /// Whether the membership is being worked on.
    pub busy: bool,
}

/// The columns of [`DriftRow`], with the rest of the statement.
macro_rules! drifts {
    ($rest:literal) => {
        concat!(
            "select d.id, d.directory, d.group_reference, d.person_reference, d.person_id, d.kind, d.through, d.through_name, d.request_id,
               (select r.status from request r where r.id = d.request_id) as request_status, d.adoption_over_at, d.removal_asked_at, d.removal_asked_by, d.note, d.resolved_at,
               exists (select 1 from target t where t.directory = d.directory and t.person_reference = d.person_reference and t.group_reference = d.group_reference
                 and t.gen > t.done_gen) as busy
             from drift d ",
            $rest
        )
    };
}

impl DriftRow {
    /// Whether a request that is to adopt it is open, or was approved.
    pub fn is_being_adopted(&self) -> bool {
        self.request_id.is_some() && matches!(self.request_status.as_deref(), Some("submitted" | "pending" | "needs_info" | "approved"))
    }
}

/// The open drifts of a group, locked.
///
/// # Errors
/// When the database fails.
pub async fn lock_open(tx: &mut Tx, directory: &str, group: &str) -> Result<Vec<DriftRow>, StoreError> {
    Ok(sqlx::query_as(drifts!("where d.directory = $1 and d.group_reference = $2 and d.resolved_at is null order by d.id for update of d"))
        .bind(directory)
        .bind(group)
        .fetch_all(&mut **tx)
        .await?)
}

/// Every open drift of a directory, by group.
///
/// # Errors
/// When the database fails.
pub async fn open_of(db: &Db, directory: &str) -> Result<Vec<DriftRow>, StoreError> {
    Ok(sqlx::query_as(drifts!("where d.directory = $1 and d.resolved_at is null order by d.group_reference, d.id")).bind(directory).fetch_all(&db.pool).await?)
}

/// The drift, locked.
///
/// # Errors
/// When the database fails.
pub async fn lock(tx: &mut Tx, id: Uuid) -> Result<Option<DriftRow>, StoreError> {
    Ok(sqlx::query_as(drifts!("where d.id = $1 for update of d")).bind(id).fetch_optional(&mut **tx).await?)
}

/// A drift that is found.
#[derive(Clone, Debug)]
pub struct Found<'a> {
    /// Its id.
    pub id: Uuid,
    /// Key of the directory.
    pub directory: &'a str,
    /// The group's reference.
    pub group: &'a str,
    /// The person's reference; empty for a group that is gone.
    pub reference: &'a str,
    /// The person, if known.
    pub person: Option<PersonId>,
    /// Its kind.
    pub kind: &'a str,
    /// The inner group by which the person is a member: reference and name.
    pub through: Option<(&'a str, &'a str)>,
    /// The comparison that found it.
    pub sweep: Uuid,
}

/// Writes a drift that was not open before. Returns whether it did; not when another sweep was faster.
///
/// # Errors
/// When the database fails.
pub async fn open(tx: &mut Tx, found: &Found<'_>, now: DateTime<Utc>) -> Result<bool, StoreError> {
    let done = sqlx::query(
        "insert into drift (id, directory, group_reference, person_reference, person_id, kind, detected_at, sweep_id, through, through_name)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) on conflict do nothing",
    )
    .bind(found.id)
    .bind(found.directory)
    .bind(found.group)
    .bind(found.reference)
    .bind(found.person.map(|p| p.0))
    .bind(found.kind)
    .bind(now)
    .bind(found.sweep)
    .bind(found.through.map(|(reference, _)| reference))
    .bind(found.through.map(|(_, name)| name))
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Ends a drift: what was done (`alerted`, `removed`, `adopted`, `ignored`), in words, and by whom.
///
/// # Errors
/// When the database fails.
pub async fn resolve(tx: &mut Tx, id: Uuid, (action, resolution): (&str, &str), by: Option<Uuid>, now: DateTime<Utc>) -> Result<(), StoreError> {
    sqlx::query("update drift set resolved_at = $2, action = $3, resolution = $4, resolved_by = $5 where id = $1 and resolved_at is null")
        .bind(id)
        .bind(now)
        .bind(action)
        .bind(resolution)
        .bind(by)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Names the request that is to adopt a drift.
///
/// # Errors
/// When the database refuses: its removal was ordered meanwhile.
pub async fn link(tx: &mut Tx, id: Uuid, request: RequestId) -> Result<(), StoreError> {
    sqlx::query("update drift set request_id = $2, adoption_over_at = null, note = null where id = $1 and resolved_at is null")
        .bind(id)
        .bind(request.0)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Notes that adopting came to nothing, and why.
///
/// # Errors
/// When the database fails.
pub async fn not_adopted(tx: &mut Tx, id: Uuid, why: &str, now: DateTime<Utc>) -> Result<(), StoreError> {
    sqlx::query("update drift set adoption_over_at = $2, note = $3 where id = $1").bind(id).bind(now).bind(why).execute(&mut **tx).await?;
    Ok(())
}

/// Notes that its removal is ordered, and of whom it is.
///
/// # Errors
/// When the database refuses: a request that is to adopt it is open.
pub async fn order_removal(tx: &mut Tx, id: Uuid, person: PersonId, by: Option<PersonId>, now: DateTime<Utc>) -> Result<(), StoreError> {
    sqlx::query("update drift set removal_asked_at = $2, removal_asked_by = $3, person_id = $4 where id = $1 and resolved_at is null")
        .bind(id)
        .bind(now)
        .bind(by.map(|p| p.0))
        .bind(person.0)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Notes the first and the newest event of each drift: `drifts` and `events` go together.
///
/// # Errors
/// When the database fails.
pub async fn cite(tx: &mut Tx, drifts: &[Uuid], events: &[i64]) -> Result<(), StoreError> {
    sqlx::query(
        "update drift d set event_first = coalesce(d.event_first, e.first), event_last = e.last
         from (select drift, min(event) as first, max(event) as last from unnest($1::uuid[], $2::bigint[]) as t(drift, event) group by drift) e where d.id = e.drift",
    )
    .bind(drifts)
    .bind(events)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Whether one of these requests was to adopt a membership that is still a drift.
///
/// # Errors
/// When the database fails.
pub async fn is_adopted(tx: &mut Tx, requests: &[Uuid]) -> Result<bool, StoreError> {
    Ok(sqlx::query_scalar("select exists (select 1 from drift where request_id = any($1) and resolved_at is null)").bind(requests).fetch_one(&mut **tx).await?)
}

/// A role that a group gives.
#[derive(Clone, Debug, FromRow)]
pub struct GivenRole {
    /// The group's reference.
    pub group_reference: String,
    /// Its name when the catalog was applied.
    pub group_name: Option<String>,
    /// The role.
    pub id: Uuid,
    /// Its name, with its application's.
    pub title: String,
    /// Who owns it.
    pub owner_id: Uuid,
    /// Who owns its application.
    pub application_owner_id: Uuid,
    /// What happens to a member that no lease explains.
    pub drift: String,
}

/// The offered roles of a directory, or of one of its groups, that groups give.
///
/// # Errors
/// When the database fails.
pub async fn roles(db: &Db, directory: &str, group: Option<&str>) -> Result<Vec<GivenRole>, StoreError> {
    Ok(sqlx::query_as(
        "select r.group_reference, r.group_name, r.id, a.name || ' ' || r.name as title, r.owner_id, a.owner_id as application_owner_id, r.drift
         from role r join application a on a.id = r.application_id
         where r.directory = $1 and r.group_reference is not null and ($2::text is null or r.group_reference = $2) and r.retired_at is null and a.retired_at is null
         order by r.group_reference, r.id",
    )
    .bind(directory)
    .bind(group)
    .fetch_all(&db.pool)
    .await?)
}

/// The drift, unlocked.
///
/// # Errors
/// When the database fails.
pub async fn by_id(db: &Db, id: Uuid) -> Result<Option<DriftRow>, StoreError> {
    Ok(sqlx::query_as(drifts!("where d.id = $1")).bind(id).fetch_optional(&db.pool).await?)
}

/// The open drift that a request is to adopt, locked.
///
/// # Errors
/// When the database fails.
pub async fn lock_of_request(tx: &mut Tx, request: RequestId) -> Result<Option<DriftRow>, StoreError> {
    Ok(sqlx::query_as(drifts!("where d.request_id = $1 and d.resolved_at is null for update of d")).bind(request.0).fetch_optional(&mut **tx).await?)
}
