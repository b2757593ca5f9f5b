//! Every time a directory was told to change a membership.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::domain::id::TargetId;

use super::db::Tx;
use super::error::StoreError;

/// A try as it is kept; never changed.
#[derive(Clone, Debug)]
pub struct Attempt<'a> {
    /// Its id.
    pub id: Uuid,
    /// The membership.
    pub target: TargetId,
    /// The lease that it was for; none where no lease wanted it gone.
    pub grant: Option<Uuid>,
    /// `add` or `remove`.
    pub action: &'a str,
    /// The number of the wish that it was to fulfil.
    pub r#gen: i64,
    /// When the directory was told.
    pub started_at: DateTime<Utc>,
    /// When it had answered and was read back.
    pub finished_at: DateTime<Utc>,
    /// A word for what it answered.
    pub result: &'a str,
    /// What it said.
    pub detail: &'a str,
    /// When the directory said itself that it is so.
    pub verified_at: Option<DateTime<Utc>>,
    /// The first and the last event that tell of it.
    pub events: Option<(i64, i64)>,
}

/// Writes a try.
///
/// # Errors
/// When the database fails.
pub async fn insert(tx: &mut Tx, attempt: &Attempt<'_>) -> Result<(), StoreError> {
    sqlx::query(
        "insert into provisioning_attempt (id, target_id, grant_id, action, method, idempotency_key, started_at, finished_at, result, detail, verified_at, event_first, event_last)
         values ($1, $2, $3, $4, 'idp_group', $5, $6, $7, $8, $9, $10, $11, $12)",
    )
    .bind(attempt.id)
    .bind(attempt.target.0)
    .bind(attempt.grant)
    .bind(attempt.action)
    .bind(format!("{}.{}", attempt.target, attempt.r#gen))
    .bind(attempt.started_at)
    .bind(attempt.finished_at)
    .bind(attempt.result)
    .bind(attempt.detail)
    .bind(attempt.verified_at)
    .bind(attempt.events.map(|(first, _)| first))
    .bind(attempt.events.map(|(_, last)| last))
    .execute(&mut **tx)
    .await?;
    Ok(())
}
