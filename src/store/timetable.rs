//! What is due when, and who is at work.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::db::Db;
use super::error::StoreError;

/// Claims the entry `name` if it is due and nobody else works on it, leasing it until `until`. An entry that is not there yet is due.
///
/// # Errors
/// When the database fails.
pub async fn claim(db: &Db, name: &str, token: Uuid, now: DateTime<Utc>, until: DateTime<Utc>) -> Result<bool, StoreError> {
    let claimed: Option<String> = sqlx::query_scalar(
        "insert into timetable (name, next_at, lease_until, lease_token) values ($1, $2, $3, $4)
         on conflict (name) do update set lease_until = excluded.lease_until, lease_token = excluded.lease_token
           where timetable.next_at <= $2 and (timetable.lease_until is null or timetable.lease_until <= $2) returning name",
    )
    .bind(name)
    .bind(now)
    .bind(until)
    .bind(token)
    .fetch_optional(&db.pool)
    .await?;
    Ok(claimed.is_some())
}

/// Holds a claim until `until`; false when it is another's by now.
///
/// # Errors
/// When the database fails.
pub async fn hold(db: &Db, name: &str, token: Uuid, until: DateTime<Utc>) -> Result<bool, StoreError> {
    let done =
        sqlx::query("update timetable set lease_until = $3 where name = $1 and lease_token = $2").bind(name).bind(token).bind(until).execute(&db.pool).await?;
    Ok(done.rows_affected() > 0)
}

/// Writes how a run went and when the next is due.
///
/// # Errors
/// When the database fails.
pub async fn done(db: &Db, name: &str, token: Uuid, now: DateTime<Utc>, next_at: DateTime<Utc>, outcome: Result<&str, &str>) -> Result<(), StoreError> {
    sqlx::query(
        "update timetable set last_at = $3, next_at = $4, lease_until = null, lease_token = null, last_ok_at = case when $5::text is null then $3 else last_ok_at end,
           last_error = $5, detail = coalesce($6, detail) where name = $1 and lease_token = $2",
    )
    .bind(name)
    .bind(token)
    .bind(now)
    .bind(next_at)
    .bind(outcome.err())
    .bind(outcome.ok())
    .execute(&db.pool)
    .await?;
    Ok(())
}

/// What went wrong when `name` last ran, if it did.
///
/// # Errors
/// When the database fails.
pub async fn last_error(db: &Db, name: &str) -> Result<Option<String>, StoreError> {
    Ok(sqlx::query_scalar::<_, Option<String>>("select last_error from timetable where name = $1").bind(name).fetch_optional(&db.pool).await?.flatten())
}

/// When `name` last went well, if it ever did.
///
/// # Errors
/// When the database fails.
pub async fn last_ok(db: &Db, name: &str) -> Result<Option<DateTime<Utc>>, StoreError> {
    Ok(sqlx::query_scalar::<_, Option<DateTime<Utc>>>("select last_ok_at from timetable where name = $1").bind(name).fetch_optional(&db.pool).await?.flatten())
}

/// Makes `name` due at once.
///
/// # Errors
/// When the database fails.
pub async fn run_now(db: &Db, name: &str, now: DateTime<Utc>) -> Result<(), StoreError> {
    sqlx::query("insert into timetable (name, next_at) values ($1, $2) on conflict (name) do update set next_at = least(timetable.next_at, excluded.next_at)")
        .bind(name)
        .bind(now)
        .execute(&db.pool)
        .await?;
    Ok(())
}

/// Says that worker `id` is alive.
///
/// # Errors
/// When the database fails.
pub async fn beat(db: &Db, id: Uuid, started_at: DateTime<Utc>, now: DateTime<Utc>) -> Result<(), StoreError> {
    sqlx::query("insert into worker (id, started_at, beat_at) values ($1, $2, $3) on conflict (id) do update set beat_at = excluded.beat_at")
        .bind(id)
        .bind(started_at)
        .bind(now)
        .execute(&db.pool)
        .await?;
    Ok(())
}

/// Takes a worker that stops, and those not heard of since `silent_since`, off the list.
///
/// # Errors
/// When the database fails.
pub async fn stopped(db: &Db, id: Option<Uuid>, silent_since: DateTime<Utc>) -> Result<(), StoreError> {
    sqlx::query("delete from worker where id = $1 or beat_at < $2").bind(id).bind(silent_since).execute(&db.pool).await?;
    Ok(())
}

/// How many workers were heard of since `since`.
///
/// # Errors
/// When the database fails.
pub async fn live(db: &Db, since: DateTime<Utc>) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar("select count(*) from worker where beat_at >= $1").bind(since).fetch_one(&db.pool).await?)
}

/// When a worker was last heard of.
///
/// # Errors
/// When the database fails.
pub async fn last_beat(db: &Db) -> Result<Option<DateTime<Utc>>, StoreError> {
    Ok(sqlx::query_scalar("select max(beat_at) from worker").fetch_one(&db.pool).await?)
}

/// Removes what has expired and is of no use: sessions, sign-in attempts, logout tokens that were taken, stored answers older than a day.
///
/// # Errors
/// When the database fails.
pub async fn tidy(db: &Db, now: DateTime<Utc>) -> Result<(), StoreError> {
    sqlx::query("delete from session where expires_at < $1 or idle_until < $1").bind(now).execute(&db.pool).await?;
    sqlx::query("delete from sign_in_attempt where expires_at < $1").bind(now).execute(&db.pool).await?;
    sqlx::query("delete from logout_token where expires_at < $1").bind(now).execute(&db.pool).await?;
    sqlx::query("delete from idempotency_key where created_at < $1").bind(now - chrono::Duration::days(1)).execute(&db.pool).await?;
    Ok(())
}
