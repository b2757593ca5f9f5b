//! Answers kept so that a repeated call repeats nothing.
//!
//! Neither claim nor answer waits for the disk (`synchronous_commit` off, for these statements only). The log of Postgres is written in
//! order, so an act that is on disk has its claim there too; an answer that a crash of the server loses leaves the claim, as if we had
//! crashed ourselves right after the act. An answer that is kept in the act's own transaction is there exactly if the act is.

use chrono::{DateTime, Duration, Utc};
use sqlx::FromRow;
use uuid::Uuid;

use super::db::{Db, Tx};
use super::error::StoreError;

/// A call that has not answered for this long has crashed; the next with its key may try again.
const UNFINISHED: Duration = Duration::minutes(1);
/// How long an answer is kept.
const KEPT: Duration = Duration::hours(24);

/// What became of an earlier call with the same key.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct Earlier {
    /// SHA-256 of that call.
    pub request_hash: Vec<u8>,
    /// The HTTP status it was answered with; none while it runs.
    pub status: Option<i32>,
    /// The body it was answered with.
    pub body: Option<String>,
}

/// Claims `key` of `owner` for the call with `hash`. `None`: it is ours, answer it and then [`finish`]. Otherwise what became
/// of the call that has it.
///
/// # Errors
/// When the database fails.
pub async fn claim(db: &Db, owner: Uuid, key: &str, hash: &[u8; 32], now: DateTime<Utc>) -> Result<Option<Earlier>, StoreError> {
    let claimed: Option<Uuid> = sqlx::query_scalar(
        "insert into idempotency_key (owner_id, key, request_hash, created_at)
         select $1, $2, $3, $4 from (select set_config('synchronous_commit', 'off', true)) unhurried
         on conflict (owner_id, key) do update set request_hash = excluded.request_hash, status = null, body = null, created_at = excluded.created_at
           where idempotency_key.created_at <= $6 or (idempotency_key.status is null and idempotency_key.created_at <= $5)
         returning owner_id",
    )
    .bind(owner)
    .bind(key)
    .bind(hash.as_slice())
    .bind(now)
    .bind(now - UNFINISHED)
    .bind(now - KEPT)
    .fetch_optional(&db.pool)
    .await?;
    if claimed.is_some() {
        return Ok(None);
    }
    let earlier = sqlx::query_as("select request_hash, status, body from idempotency_key where owner_id = $1 and key = $2")
        .bind(owner)
        .bind(key)
        .fetch_optional(&db.pool)
        .await?;
    earlier.map(Some).ok_or_else(|| StoreError::Again("the key was released at the same moment".into()))
}

/// Keeps the answer of the call that claimed `key` at `claimed_at`. A call that took so long that another claimed the key since
/// keeps nothing.
///
/// # Errors
/// When the database fails.
pub async fn finish(db: &Db, owner: Uuid, key: &str, claimed_at: DateTime<Utc>, status: u16, body: &str) -> Result<(), StoreError> {
    sqlx::query(
        "update idempotency_key set status = $4, body = $5 from (select set_config('synchronous_commit', 'off', true)) unhurried
         where owner_id = $1 and key = $2 and created_at = $3 and status is null",
    )
    .bind(owner)
    .bind(key)
    .bind(claimed_at)
    .bind(i32::from(status))
    .bind(body)
    .execute(&db.pool)
    .await?;
    Ok(())
}

/// As [`finish`], in the transaction of the act itself.
///
/// # Errors
/// When the database fails.
pub async fn finish_within(tx: &mut Tx, owner: Uuid, key: &str, claimed_at: DateTime<Utc>, status: u16, body: &str) -> Result<(), StoreError> {
    sqlx::query("update idempotency_key set status = $4, body = $5 where owner_id = $1 and key = $2 and created_at = $3 and status is null")
        .bind(owner)
        .bind(key)
        .bind(claimed_at)
        .bind(i32::from(status))
        .bind(body)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Gives `key` back: nothing was done, so the same call may be tried again.
///
/// # Errors
/// When the database fails.
pub async fn release(db: &Db, owner: Uuid, key: &str, claimed_at: DateTime<Utc>) -> Result<(), StoreError> {
    sqlx::query("delete from idempotency_key where owner_id = $1 and key = $2 and created_at = $3 and status is null")
        .bind(owner)
        .bind(key)
        .bind(claimed_at)
        .execute(&db.pool)
        .await?;
    Ok(())
}
