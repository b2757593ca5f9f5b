//! Ids by the names people use.

use uuid::Uuid;

use super::db::Db;
use super::error::StoreError;

/// The application with this key.
///
/// # Errors
/// When the database fails.
pub async fn application(db: &Db, key: &str) -> Result<Option<Uuid>, StoreError> {
    Ok(sqlx::query_scalar("select id from application where key = $1").bind(key).fetch_optional(&db.pool).await?)
}

/// The role with these keys.
///
/// # Errors
/// When the database fails.
pub async fn role(db: &Db, application: &str, role: &str) -> Result<Option<Uuid>, StoreError> {
    Ok(sqlx::query_scalar("select r.id from role r join application a on a.id = r.application_id where a.key = $1 and r.key = $2")
        .bind(application)
        .bind(role)
        .fetch_optional(&db.pool)
        .await?)
}

/// The person with this login name, if exactly one who is not gone has it.
///
/// # Errors
/// When the database fails.
pub async fn person(db: &Db, user_name: &str) -> Result<Option<Uuid>, StoreError> {
    let found: Vec<Uuid> =
        sqlx::query_scalar("select id from person where lower(user_name) = lower($1) and status <> 'gone' limit 2").bind(user_name).fetch_all(&db.pool).await?;
    Ok(match found[..] {
        [only] => Some(only),
        _ => None,
    })
}

/// The active people whom `text` names as login, address or full name, at most two.
///
/// # Errors
/// When the database fails.
pub async fn colleagues(db: &Db, text: &str) -> Result<Vec<Uuid>, StoreError> {
    Ok(sqlx::query_scalar(
        "select id from person where status = 'active' and (lower(user_name) = lower($1) or lower(email) = lower($1) or lower(display_name) = lower($1))
         order by (lower(user_name) = lower($1)) desc, id limit 2",
    )
    .bind(text)
    .fetch_all(&db.pool)
    .await?)
}

/// Whether there is any application.
///
/// # Errors
/// When the database fails.
pub async fn any_application(db: &Db) -> Result<bool, StoreError> {
    Ok(sqlx::query_scalar("select exists (select 1 from application)").fetch_one(&db.pool).await?)
}
