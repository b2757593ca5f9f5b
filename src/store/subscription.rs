//! What directories were told to call when somebody changes.

use chrono::{DateTime, Utc};
use sqlx::FromRow;

use super::db::Db;
use super::error::StoreError;

/// A subscription at a directory.
#[derive(Clone, Debug, FromRow)]
pub struct SubscriptionRow {
    /// Its id there.
    pub id: String,
    /// Where it calls.
    pub address: String,
    /// When it ends by itself.
    pub expires_at: DateTime<Utc>,
}

/// The subscription at `directory`, if one was made.
///
/// # Errors
/// When the database fails.
pub async fn of(db: &Db, directory: &str) -> Result<Option<SubscriptionRow>, StoreError> {
    Ok(sqlx::query_as("select id, address, expires_at from directory_subscription where directory = $1").bind(directory).fetch_optional(&db.pool).await?)
}

/// Keeps the subscription at `directory`.
///
/// # Errors
/// When the database fails.
pub async fn keep(db: &Db, directory: &str, id: &str, address: &str, expires_at: DateTime<Utc>) -> Result<(), StoreError> {
    sqlx::query(
        "insert into directory_subscription (directory, id, address, expires_at) values ($1, $2, $3, $4)
         on conflict (directory) do update set id = excluded.id, address = excluded.address, expires_at = excluded.expires_at",
    )
    .bind(directory)
    .bind(id)
    .bind(address)
    .bind(expires_at)
    .execute(&db.pool)
    .await?;
    Ok(())
}
