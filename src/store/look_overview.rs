//! Numbers of the first page of administration, and of metrics.

use chrono::{DateTime, Utc};
use sqlx::FromRow;

use super::db::Db;
use super::error::StoreError;

/// Numbers worth watching.
#[derive(Clone, Debug, FromRow)]
pub struct Numbers {
    /// Requests made since.
    pub requests: i64,
    /// Requests that wait for somebody.
    pub open: i64,
    /// Requests denied since.
    pub denied: i64,
    /// Leases that are active.
    pub active: i64,
    /// Of them those that end before the other moment.
    pub ending: i64,
    /// When the newest event was written.
    pub newest_event: Option<DateTime<Utc>>,
    /// About how many events there are.
    pub events: i64,
}

/// Numbers since `since`, and of what ends before `ending`.
///
/// # Errors
/// When the database fails.
pub async fn numbers(db: &Db, since: DateTime<Utc>, ending: DateTime<Utc>) -> Result<Numbers, StoreError> {
    Ok(sqlx::query_as(
        "select (select count(*) from request where created_at >= $1) as requests,
           (select count(*) from request where status in ('pending', 'needs_info')) as open,
           (select count(*) from audit_event where occurred_at >= $1 and kind = 'request.denied') as denied,
           (select count(*) from access_grant where status not in ('ended', 'failed') and status = 'active') as active,
           (select count(*) from access_grant where status = 'active' and ends_at < $2) as ending,
           (select occurred_at from audit_event order by id desc limit 1) as newest_event,
           coalesce((select max(id) from audit_event), 0) as events",
    )
    .bind(since)
    .bind(ending)
    .fetch_one(&db.pool)
    .await?)
}

/// The highest id of the log; 0 when it is empty.
///
/// # Errors
/// When the database fails.
pub async fn events(db: &Db) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar("select coalesce(max(id), 0) from audit_event").fetch_one(&db.pool).await?)
}

/// How many rows are in which state.
#[derive(Clone, Debug, FromRow)]
pub struct StateCount {
    /// `request`, `grant` or `target`.
    pub what: String,
    /// The state's word.
    pub state: String,
    /// How many.
    pub count: i64,
}

/// Open requests, live grants and owed memberships by state. What has ended is history, not a state to watch, and is not counted.
///
/// # Errors
/// When the database fails.
pub async fn states(db: &Db) -> Result<Vec<StateCount>, StoreError> {
    Ok(sqlx::query_as(
        "select 'request' as what, status as state, count(*) as count from request where status in ('pending', 'needs_info') group by status
         union all select 'grant', status, count(*) from access_grant where status not in ('ended', 'failed') group by status
         union all select 'target', case when last_error is not null then case when wanted then 'add_failing' else 'remove_failing' end
             when gen > done_gen then case when wanted then 'add_owed' else 'remove_owed' end else 'to_read_back' end, count(*)
           from target where next_at is not null group by 2
         order by 1, 2",
    )
    .fetch_all(&db.pool)
    .await?)
}

/// How many connections the pool has, and how many of them are idle.
pub fn connections(db: &Db) -> (u32, usize) {
    (db.pool.size(), db.pool.num_idle())
}
