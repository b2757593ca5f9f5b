//! Decisions as they were stored, page by page.

use chrono::{DateTime, Utc};
use sqlx::FromRow;
use uuid::Uuid;

use super::db::Db;
use super::error::StoreError;

/// Where a page ends: when the request was made, and its id.
pub type Mark = (DateTime<Utc>, Uuid);

/// What a decision was made from, as stored.
#[derive(Clone, Debug, FromRow)]
pub struct StoredAsk {
    /// The request.
    pub id: Uuid,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// Which role.
    pub role_id: Uuid,
    /// For whom.
    pub beneficiary_id: Uuid,
    /// Canonical JSON of everything it was made from.
    pub inputs: String,
}

/// A stored decision with all that it says.
#[derive(Clone, Debug, FromRow)]
pub struct StoredDecision {
    /// What it was made from.
    #[sqlx(flatten)]
    pub ask: StoredAsk,
    /// When something in it was erased: then neither inputs nor trace are as they were.
    pub erased_at: Option<DateTime<Utc>>,
    /// SHA-256 of the inputs, hex.
    pub inputs_digest: String,
    /// The outcome's word.
    pub decision: String,
    /// The version that governs.
    pub policy_version_id: Option<Uuid>,
    /// The rule that decided.
    pub deciding_rule: String,
    /// Key and version of each separation rule that it runs against.
    pub conflicts: Vec<String>,
    /// How many steps it goes through.
    pub steps: i32,
    /// Canonical JSON of the trace.
    pub trace: String,
}

/// The requests made in a period, in order of time: $1 from, $2 before, $3 and $4 after this mark, $5 at most.
macro_rules! period {
    () => {
        " from request where created_at >= $1 and created_at < $2 and (created_at, id) > ($3, $4) order by created_at, id limit $5"
    };
}

/// Where a period begins, before the first page.
fn first(from: DateTime<Utc>, after: Option<Mark>) -> Mark {
    after.unwrap_or((from - chrono::Duration::days(1), Uuid::nil()))
}

/// What the requests made in `from..to` were decided from, after `after`, at most `limit` of them, in order of time.
///
/// # Errors
/// When the database fails.
pub async fn asks(db: &Db, (from, to): (DateTime<Utc>, DateTime<Utc>), after: Option<Mark>, limit: i64) -> Result<Vec<StoredAsk>, StoreError> {
    let (at, id) = first(from, after);
    Ok(sqlx::query_as(concat!("select id, created_at, role_id, beneficiary_id, inputs", period!()))
        .bind(from)
        .bind(to)
        .bind(at)
        .bind(id)
        .bind(limit)
        .fetch_all(&db.pool)
        .await?)
}

/// The decisions on the requests made in `from..to`, after `after`, at most `limit` of them, in order of time.
///
/// # Errors
/// When the database fails.
pub async fn decisions(db: &Db, (from, to): (DateTime<Utc>, DateTime<Utc>), after: Option<Mark>, limit: i64) -> Result<Vec<StoredDecision>, StoreError> {
    let (at, id) = first(from, after);
    Ok(sqlx::query_as(concat!(
        "select id, created_at, role_id, beneficiary_id, inputs, erased_at, inputs_digest, decision, policy_version_id, deciding_rule, conflicts, steps, trace",
        period!()
    ))
    .bind(from)
    .bind(to)
    .bind(at)
    .bind(id)
    .bind(limit)
    .fetch_all(&db.pool)
    .await?)
}

/// How many requests were made in `from..to`.
///
/// # Errors
/// When the database fails.
pub async fn count(db: &Db, (from, to): (DateTime<Utc>, DateTime<Utc>)) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar("select count(*) from request where created_at >= $1 and created_at < $2").bind(from).bind(to).fetch_one(&db.pool).await?)
}
