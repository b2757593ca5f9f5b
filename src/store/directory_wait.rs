//! Directories that asked to be left alone for a while.
//!
//! A time that lies further off than any wait may is nobody's word to heed: whoever claims work goes past it.

use chrono::{DateTime, Utc};

use super::db::{Db, Tx};
use super::error::StoreError;

/// Leaves `directory` alone until `until`, or longer where that was known.
///
/// # Errors
/// When the database fails.
pub async fn leave_alone(tx: &mut Tx, directory: &str, until: DateTime<Utc>) -> Result<(), StoreError> {
    sqlx::query(
        "insert into directory_wait (directory, until) values ($1, $2) on conflict (directory) do update set until = excluded.until
           where directory_wait.until < excluded.until",
    )
    .bind(directory)
    .bind(until)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Until when `directory` is left alone, if that lies after `now`.
///
/// # Errors
/// When the database fails.
pub async fn until(db: &Db, directory: &str, now: DateTime<Utc>) -> Result<Option<DateTime<Utc>>, StoreError> {
    Ok(sqlx::query_scalar("select until from directory_wait where directory = $1 and until > $2 and until <= $2 + interval '65 minutes'")
        .bind(directory)
        .bind(now)
        .fetch_optional(&db.pool)
        .await?)
}
