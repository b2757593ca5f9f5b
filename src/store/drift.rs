//! Members without a lease, and leases without their member.

use chrono::{DateTime, Utc};
use sqlx::FromRow;
use uuid::Uuid;

use crate::domain::id::PersonId;

use super::db::Tx;
use super::error::StoreError;

/// An open drift.
#[derive(Clone, Debug, FromRow)]
pub struct DriftRow {
    /// Its id.
    pub id: Uuid,
    /// The person's reference; empty for a group that is gone.
    pub person_reference: String,
    /// The person, if known.
    pub person_id: Option<Uuid>,
    /// `unexpected_member`, `missing_member` or `unknown_target`.
    pub kind: String,
}

/// The open drifts of a group, locked.
///
/// # Errors
/// When the database fails.
pub async fn lock_open(tx: &mut Tx, directory: &str, group: &str) -> Result<Vec<DriftRow>, StoreError> {
    Ok(sqlx::query_as(
        "select id, person_reference, person_id, kind from drift where directory = $1 and group_reference = $2 and resolved_at is null order by id for update",
    )
    .bind(directory)
    .bind(group)
    .fetch_all(&mut **tx)
    .await?)
}

/// Writes a drift that was not open before. Returns whether it did; not when another sweep was faster.
///
/// # Errors
/// When the database fails.
#[allow(clippy::too_many_arguments, reason = "a row in one statement; each argument is one column")]
pub async fn open(
    tx: &mut Tx,
    id: Uuid,
    directory: &str,
    group: &str,
    reference: &str,
    person: Option<PersonId>,
    kind: &str,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let done = sqlx::query("insert into drift (id, directory, group_reference, person_reference, person_id, kind, detected_at) values ($1, $2, $3, $4, $5, $6, $7) on conflict do nothing")
        .bind(id)
        .bind(directory)
        .bind(group)
        .bind(reference)
        .bind(person.map(|p| p.0))
        .bind(kind)
        .bind(now)
        .execute(&mut **tx)
        .await?;
    Ok(done.rows_affected() == 1)
}

/// Ends a drift.
///
/// # Errors
/// When the database fails.
pub async fn resolve(tx: &mut Tx, id: Uuid, resolution: &str, now: DateTime<Utc>) -> Result<(), StoreError> {
    sqlx::query("update drift set resolved_at = $2, resolution = $3 where id = $1").bind(id).bind(now).bind(resolution).execute(&mut **tx).await?;
    Ok(())
}
