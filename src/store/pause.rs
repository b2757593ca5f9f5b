//! Directories that are held back by somebody.

use chrono::{DateTime, Utc};
use sqlx::FromRow;
use uuid::Uuid;

use crate::domain::id::PersonId;

use super::db::{Db, Tx};
use super::error::StoreError;

/// A directory that is paused.
#[derive(Clone, Debug, FromRow)]
pub struct PauseRow {
    /// Key of the directory.
    pub directory: String,
    /// Whether removals and readings are held back too.
    pub everything: bool,
    /// Why.
    pub reason: String,
    /// Who paused it.
    pub paused_by: String,
    /// When.
    pub paused_at: DateTime<Utc>,
}

/// Every directory that is paused now, by key.
///
/// # Errors
/// When the database fails.
pub async fn now(db: &Db) -> Result<Vec<PauseRow>, StoreError> {
    Ok(sqlx::query_as(
        "select h.directory, h.everything, h.reason, p.display_name as paused_by, h.paused_at from directory_pause h join person p on p.id = h.paused_by
         where h.resumed_at is null order by h.directory",
    )
    .fetch_all(&db.pool)
    .await?)
}

/// Pauses a directory. Returns whether it did; not when it is paused already.
///
/// # Errors
/// When the database fails.
pub async fn insert(tx: &mut Tx, id: Uuid, directory: &str, (everything, reason): (bool, &str), by: PersonId, now: DateTime<Utc>) -> Result<bool, StoreError> {
    let done = sqlx::query(
        "insert into directory_pause (id, directory, everything, reason, paused_by, paused_at) values ($1, $2, $3, $4, $5, $6) on conflict do nothing",
    )
    .bind(id)
    .bind(directory)
    .bind(everything)
    .bind(reason)
    .bind(by.0)
    .bind(now)
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Lets a directory go on. Returns whether it was paused.
///
/// # Errors
/// When the database fails.
pub async fn resume(tx: &mut Tx, directory: &str, by: PersonId, now: DateTime<Utc>) -> Result<bool, StoreError> {
    let done = sqlx::query("update directory_pause set resumed_at = $3, resumed_by = $2 where directory = $1 and resumed_at is null")
        .bind(directory)
        .bind(by.0)
        .bind(now)
        .execute(&mut **tx)
        .await?;
    Ok(done.rows_affected() == 1)
}
