//! Groups of a directory as last listed, to choose from.

use chrono::{DateTime, Utc};
use sqlx::FromRow;
use uuid::Uuid;

use super::db::Db;
use super::error::StoreError;

/// A group as it is kept.
#[derive(Clone, Debug, FromRow)]
pub struct GroupRow {
    /// The directory's immutable id.
    pub reference: String,
    /// Its name.
    pub name: String,
    /// What the directory says it is for.
    pub description: Option<String>,
    /// Why its membership cannot be changed.
    pub read_only: Option<String>,
    /// What whoever makes a role of it should know.
    pub warnings: Vec<String>,
    /// A role that it gives already: its id and its name with its application's.
    pub role_id: Option<Uuid>,
    /// That role's name.
    pub role: Option<String>,
    /// How many groups of the directory have this name, whatever the case of its letters, or are referred to by it.
    pub same_name: i64,
}

/// The columns of [`GroupRow`] of `directory_group g`, with the rest of the statement.
macro_rules! groups {
    ($rest:literal) => {
        concat!(
            "select g.reference, g.name, g.description, g.read_only, g.warnings, r.id as role_id, r.title as role,
               (select count(*) from directory_group o where o.directory = g.directory and (lower(o.name) = lower(g.name) or o.reference = g.name)
                 and o.gone_at is null) as same_name
             from directory_group g left join lateral (
               select r.id, a.name || ' ' || r.name as title from role r join application a on a.id = r.application_id
               where r.directory = g.directory and r.group_reference = g.reference and r.retired_at is null order by r.id limit 1) r on true ",
            $rest
        )
    };
}

/// How many groups are kept, and when the newest of them was listed.
///
/// # Errors
/// When the database fails.
pub async fn count(db: &Db, directory: &str) -> Result<(i64, Option<DateTime<Utc>>), StoreError> {
    Ok(sqlx::query_as("select count(*), max(seen_at) from directory_group where directory = $1 and gone_at is null")
        .bind(directory)
        .fetch_one(&db.pool)
        .await?)
}

/// Groups by name whose name or description holds `search`, after the one called `after` (name and reference), at most `limit`.
///
/// # Errors
/// When the database fails.
pub async fn page(db: &Db, directory: &str, search: &str, after: Option<(&str, &str)>, limit: i64) -> Result<Vec<GroupRow>, StoreError> {
    Ok(sqlx::query_as(groups!(
        "where g.directory = $1 and g.gone_at is null and ($2 = '' or strpos(lower(g.name), lower($2)) > 0 or strpos(lower(coalesce(g.description, '')), lower($2)) > 0)
           and ($3::text is null or (g.name, g.reference) > ($3, $4)) order by g.name, g.reference limit $5"
    ))
    .bind(directory)
    .bind(search)
    .bind(after.map(|(name, _)| name))
    .bind(after.map(|(_, reference)| reference))
    .bind(limit)
    .fetch_all(&db.pool)
    .await?)
}

/// The groups with these references, by name.
///
/// # Errors
/// When the database fails.
pub async fn by_references(db: &Db, directory: &str, references: &[String]) -> Result<Vec<GroupRow>, StoreError> {
    Ok(sqlx::query_as(groups!("where g.directory = $1 and g.gone_at is null and g.reference = any($2) order by g.name, g.reference"))
        .bind(directory)
        .bind(references)
        .fetch_all(&db.pool)
        .await?)
}

/// The groups with one of these names, by name.
///
/// # Errors
/// When the database fails.
pub async fn by_names(db: &Db, directory: &str, names: &[String]) -> Result<Vec<GroupRow>, StoreError> {
    Ok(sqlx::query_as(groups!("where g.directory = $1 and g.gone_at is null and (g.name = any($2) or g.reference = any($2)) order by g.name, g.reference"))
        .bind(directory)
        .bind(names)
        .fetch_all(&db.pool)
        .await?)
}
