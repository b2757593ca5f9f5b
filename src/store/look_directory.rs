//! People and differences of a directory, counted and listed.

use sqlx::FromRow;

use super::db::Db;
use super::error::StoreError;

/// How many people of a directory are known.
#[derive(Clone, Debug, FromRow)]
pub struct Counts {
    /// Not gone.
    pub people: i64,
    /// Active.
    pub active: i64,
    /// Gone from the directory.
    pub gone: i64,
    /// Groups that give a role.
    pub groups: i64,
    /// Groups seen in it.
    pub known_groups: i64,
    /// People who wait to be asked about.
    pub waiting: i64,
}

/// Counts of `directory`.
///
/// # Errors
/// When the database fails.
pub async fn counts(db: &Db, directory: &str) -> Result<Counts, StoreError> {
    Ok(sqlx::query_as(
        "select count(*) filter (where status <> 'gone') as people, count(*) filter (where status = 'active') as active, count(*) filter (where status = 'gone') as gone,
           (select count(distinct group_reference) from role where directory = $1 and retired_at is null) as groups,
           (select count(*) from directory_group where directory = $1 and gone_at is null) as known_groups,
           (select count(*) from person_recheck where directory = $1) as waiting
         from person where directory = $1",
    )
    .bind(directory)
    .fetch_one(&db.pool)
    .await?)
}

/// How many differences are open.
///
/// # Errors
/// When the database fails.
pub async fn open_drifts(db: &Db) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar("select count(*) from drift where resolved_at is null").fetch_one(&db.pool).await?)
}

/// How many differences of a directory are open.
///
/// # Errors
/// When the database fails.
pub async fn open_drifts_of(db: &Db, directory: &str) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar("select count(*) from drift where resolved_at is null and directory = $1").bind(directory).fetch_one(&db.pool).await?)
}
