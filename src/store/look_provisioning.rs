//! What is owed to the directories, by membership and group.

use chrono::{DateTime, Utc};
use sqlx::FromRow;
use uuid::Uuid;

use super::db::Db;
use super::error::StoreError;

/// What waits.
#[derive(Clone, Debug, FromRow)]
pub struct Owed {
    /// Memberships that are due now or being worked on.
    pub waiting: i64,
    /// Of them those that failed the last time.
    pub failing: i64,
    /// Memberships that should be gone by now, and since when the oldest of them.
    pub late: i64,
    /// Since when the oldest removal is owed.
    pub oldest_removal: Option<DateTime<Utc>>,
}

/// What waits at `now`; a removal is late when it has been owed since before `late_since`.
///
/// # Errors
/// When the database fails.
pub async fn owed(db: &Db, now: DateTime<Utc>, late_since: DateTime<Utc>) -> Result<Owed, StoreError> {
    Ok(sqlx::query_as(
        "select count(*) filter (where next_at <= $1 or gen > done_gen) as waiting, count(*) filter (where last_error is not null) as failing,
           count(*) filter (where not wanted and owed_since < $2) as late, min(owed_since) filter (where not wanted) as oldest_removal
         from target where next_at is not null",
    )
    .bind(now)
    .bind(late_since)
    .fetch_one(&db.pool)
    .await?)
}

/// A membership that keeps failing.
#[derive(Clone, Debug, FromRow)]
pub struct FailingRow {
    /// The membership's id.
    pub id: Uuid,
    /// Whether it is to be there.
    pub wanted: bool,
    /// Whose.
    pub person: String,
    /// Key of the directory.
    pub directory: String,
    /// The group's name, or its reference.
    pub group_name: String,
    /// Since when it is owed.
    pub owed_since: Option<DateTime<Utc>>,
    /// Failures in a row.
    pub fails: i32,
    /// What the directory said last.
    pub last_error: String,
    /// When it is tried again.
    pub next_at: Option<DateTime<Utc>>,
    /// The newest request that it comes from.
    pub request_id: Option<Uuid>,
    /// Whether that was an emergency.
    pub emergency: bool,
}

/// Memberships that keep failing: removals first, then the longest owed, at most `limit`.
///
/// # Errors
/// When the database fails.
pub async fn failing(db: &Db, limit: i64) -> Result<Vec<FailingRow>, StoreError> {
    Ok(sqlx::query_as(
        "select t.id, t.wanted, p.display_name as person, t.directory,
           coalesce((select r.group_name from role r where r.directory = t.directory and r.group_reference = t.group_reference order by r.id limit 1), t.group_reference) as group_name,
           t.owed_since, t.fails, t.last_error, t.next_at, n.request_id, coalesce(n.emergency, false) as emergency
         from target t join person p on p.id = t.person_id
         left join lateral (select g.request_id, r.emergency_reason is not null as emergency from access_grant g join request r on r.id = g.request_id
           where g.target_id = t.id order by g.id desc limit 1) n on true
         where t.next_at is not null and t.last_error is not null order by t.wanted, t.owed_since, t.id limit $1",
    )
    .bind(limit)
    .fetch_all(&db.pool)
    .await?)
}

/// A group that roles are given by.
#[derive(Clone, Debug, FromRow)]
pub struct GroupRow {
    /// A role that it gives; the first of them.
    pub role_id: Uuid,
    /// That role's name, with its application's.
    pub role: String,
    /// Key of the directory.
    pub directory: String,
    /// The group's name when the catalog was applied, or its reference.
    pub group_name: String,
    /// How it is given.
    pub method: String,
    /// Memberships wanted.
    pub wanted: i64,
    /// Of the memberships known here, those that the directory has.
    pub seen: i64,
    /// Wanted and not there, or there and neither wanted nor there before.
    pub differing: i64,
    /// Members that no lease explains, and the like: open drifts.
    pub drifts: i64,
    /// When one of them was last looked at.
    pub seen_at: Option<DateTime<Utc>>,
}

/// Groups by name, those after the one of role `after`, at most `limit`.
///
/// # Errors
/// When the database fails.
pub async fn groups(db: &Db, after: Option<Uuid>, limit: i64) -> Result<Vec<GroupRow>, StoreError> {
    Ok(sqlx::query_as(
        "with places as (
           select distinct on (directory, group_reference) id, name, application_id, directory, group_reference, coalesce(group_name, group_reference) as group_name, method
           from role where directory is not null and group_reference is not null order by directory, group_reference, retired_at nulls first, id),
         page as (select * from places where $1::uuid is null or (group_name, id) > (select s.group_name, s.id from places s where s.id = $1) order by group_name, id limit $2)
         select p.id as role_id, a.name || ' ' || p.name as role, p.directory, p.group_name, p.method, t.wanted, t.seen, t.differing, t.seen_at,
           (select count(*) from drift d where d.directory = p.directory and d.group_reference = p.group_reference and d.resolved_at is null) as drifts
         from page p join application a on a.id = p.application_id cross join lateral (
           select count(*) filter (where wanted) as wanted, count(*) filter (where member) as seen,
             count(*) filter (where wanted and member is not true or not wanted and member and not pre_existing) as differing, max(member_seen_at) as seen_at
           from target t where t.directory = p.directory and t.group_reference = p.group_reference) t
         order by p.group_name, p.id",
    )
    .bind(after)
    .bind(limit)
    .fetch_all(&db.pool)
    .await?)
}

/// Makes a membership due at once; false when there is none that anything is owed for.
///
/// # Errors
/// When the database fails.
pub async fn due_now(db: &Db, id: Uuid, now: DateTime<Utc>) -> Result<bool, StoreError> {
    let done = sqlx::query("update target set next_at = least(next_at, $2) where id = $1 and next_at is not null").bind(id).bind(now).execute(&db.pool).await?;
    Ok(done.rows_affected() > 0)
}
