//! Tries of a directory, and what it is owed.

use chrono::{DateTime, Utc};
use sqlx::FromRow;
use uuid::Uuid;

use super::db::Db;
use super::error::StoreError;

/// A try as it is listed.
#[derive(Clone, Debug, FromRow)]
pub struct AttemptListed {
    /// Its id.
    pub id: Uuid,
    /// When the directory was told.
    pub started_at: DateTime<Utc>,
    /// When it had answered.
    pub finished_at: DateTime<Utc>,
    /// `add` or `remove`.
    pub action: String,
    /// Whose membership.
    pub person: String,
    /// The group's name, or its reference.
    pub group_name: String,
    /// A word for the answer.
    pub result: String,
    /// What the directory said.
    pub detail: Option<String>,
    /// When it said itself that it is so.
    pub verified_at: Option<DateTime<Utc>>,
    /// The request that it came from.
    pub request_id: Option<Uuid>,
}

/// Tries of `directory`, newest first, after the one `after`, at most `limit`.
///
/// # Errors
/// When the database fails.
pub async fn page(db: &Db, directory: &str, after: Option<Uuid>, limit: i64) -> Result<Vec<AttemptListed>, StoreError> {
    Ok(sqlx::query_as(
        "select a.id, a.started_at, a.finished_at, a.action, p.display_name as person,
           coalesce((select r.group_name from role r where r.directory = t.directory and r.group_reference = t.group_reference order by r.id limit 1), t.group_reference) as group_name,
           a.result, a.detail, a.verified_at, g.request_id
         from provisioning_attempt a join target t on t.id = a.target_id join person p on p.id = t.person_id left join access_grant g on g.id = a.grant_id
         where t.directory = $1 and ($2::uuid is null or a.id < $2) order by a.id desc limit $3",
    )
    .bind(directory)
    .bind(after)
    .bind(limit)
    .fetch_all(&db.pool)
    .await?)
}

/// What a directory is owed.
#[derive(Clone, Debug, Default, FromRow)]
pub struct Queue {
    /// Memberships to be added.
    pub adds: i64,
    /// Memberships to be removed.
    pub removals: i64,
    /// Removals that are owed since before the limit.
    pub late: i64,
    /// Those that failed the last time.
    pub failing: i64,
    /// Since when the oldest is owed.
    pub oldest: Option<DateTime<Utc>>,
}

/// What `directory` is owed; a removal is late when it has been owed since before `late_since`.
///
/// # Errors
/// When the database fails.
pub async fn queue(db: &Db, directory: &str, late_since: DateTime<Utc>) -> Result<Queue, StoreError> {
    Ok(sqlx::query_as(
        "select count(*) filter (where wanted and gen > done_gen) as adds, count(*) filter (where not wanted and gen > done_gen) as removals,
           count(*) filter (where not wanted and owed_since < $2) as late, count(*) filter (where last_error is not null) as failing, min(owed_since) as oldest
         from target where directory = $1 and next_at is not null",
    )
    .bind(directory)
    .bind(late_since)
    .fetch_one(&db.pool)
    .await?)
}

/// What goes wrong with memberships of a directory, and how often.
#[derive(Clone, Debug, FromRow)]
pub struct Trouble {
    /// What the directory said.
    pub error: String,
    /// Of how many memberships.
    pub memberships: i64,
}

/// What goes wrong with memberships of `directory`, most frequent first, at most `limit`.
///
/// # Errors
/// When the database fails.
pub async fn troubles(db: &Db, directory: &str, limit: i64) -> Result<Vec<Trouble>, StoreError> {
    Ok(sqlx::query_as(
        "select last_error as error, count(*) as memberships from target where directory = $1 and next_at is not null and last_error is not null
         group by last_error order by 2 desc, 1 limit $2",
    )
    .bind(directory)
    .bind(limit)
    .fetch_all(&db.pool)
    .await?)
}
