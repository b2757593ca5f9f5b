//! People and differences of a directory, counted and listed.

use chrono::{DateTime, Utc};
use sqlx::FromRow;
use uuid::Uuid;

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

/// An open difference.
#[derive(Clone, Debug, FromRow)]
pub struct DriftListed {
    /// Its id.
    pub id: Uuid,
    /// Key of the directory.
    pub directory: String,
    /// `unexpected_member`, `missing_member` or `unknown_target`.
    pub kind: String,
    /// When it was found.
    pub detected_at: DateTime<Utc>,
    /// Name of the person, or their reference.
    pub person: String,
    /// Name of the group, or its reference.
    pub group_name: String,
    /// A role that the group gives.
    pub role_id: Option<Uuid>,
    /// That role's name, with its application's.
    pub role: Option<String>,
}

/// Open differences, newest first, after the one `after`, at most `limit`.
///
/// # Errors
/// When the database fails.
pub async fn drifts(db: &Db, after: Option<Uuid>, limit: i64) -> Result<Vec<DriftListed>, StoreError> {
    Ok(sqlx::query_as(
        "select d.id, d.directory, d.kind, d.detected_at, coalesce(p.display_name, d.person_reference) as person, coalesce(r.group_name, d.group_reference) as group_name,
           r.id as role_id, r.name as role
         from drift d left join person p on p.id = d.person_id left join lateral (
           select r.id, r.group_name, a.name || ' ' || r.name as name from role r join application a on a.id = r.application_id
           where r.directory = d.directory and r.group_reference = d.group_reference order by r.retired_at nulls first, r.id limit 1) r on true
         where d.resolved_at is null and ($1::uuid is null or d.id < $1) order by d.id desc limit $2",
    )
    .bind(after)
    .bind(limit)
    .fetch_all(&db.pool)
    .await?)
}

/// How many differences are open.
///
/// # Errors
/// When the database fails.
pub async fn open_drifts(db: &Db) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar("select count(*) from drift where resolved_at is null").fetch_one(&db.pool).await?)
}
