//! Who reports to somebody, at any depth.

use sqlx::FromRow;
use uuid::Uuid;

use super::db::Db;
use super::error::StoreError;
use super::list_role::pattern;

/// Somebody to choose.
#[derive(Clone, Debug, FromRow)]
pub struct PickRow {
    /// Their id.
    pub id: Uuid,
    /// Their name.
    pub name: String,
    /// Their login name.
    pub user_name: String,
    /// Their title.
    pub title: Option<String>,
    /// Their department.
    pub department: Option<String>,
}

/// Active people who report to `manager` at any depth, as last seen, and whose names hold all of `words`; the nearest first, at most `limit`.
///
/// # Errors
/// When the database fails.
pub async fn of(db: &Db, manager: Uuid, words: &[String], limit: i64) -> Result<Vec<PickRow>, StoreError> {
    let patterns: Vec<String> = words.iter().map(|word| pattern(word)).collect();
    Ok(sqlx::query_as(
        "with recursive line as (
           select p.id, p.directory, p.reference, 1 as depth from person m join person p on p.directory = m.directory and p.manager_reference = m.reference where m.id = $1 and p.id <> $1
           union
           select p.id, p.directory, p.reference, l.depth + 1 from line l join person p on p.directory = l.directory and p.manager_reference = l.reference where l.depth < 20 and p.id <> $1
         )
         select p.id, p.display_name as name, p.user_name, p.title, p.department from (select id, min(depth) as depth from line group by id) l join person p on p.id = l.id
         where p.status = 'active' and (cardinality($2::text[]) = 0 or lower(concat_ws(' ', p.display_name, p.user_name, p.email)) like all ($2))
         order by l.depth, p.display_name, p.id limit $3",
    )
    .bind(manager)
    .bind(patterns)
    .bind(limit)
    .fetch_all(&db.pool)
    .await?)
}

/// Whether anybody active reports to `manager`.
///
/// # Errors
/// When the database fails.
pub async fn any(db: &Db, manager: Uuid) -> Result<bool, StoreError> {
    Ok(sqlx::query_scalar(
        "select exists (select 1 from person m join person p on p.directory = m.directory and p.manager_reference = m.reference
           where m.id = $1 and p.id <> $1 and p.status = 'active')",
    )
    .bind(manager)
    .fetch_one(&db.pool)
    .await?)
}

/// Active people whose names hold all of `words`, by name, `but` apart, at most `limit`.
///
/// # Errors
/// When the database fails.
pub async fn named(db: &Db, but: Uuid, words: &[String], limit: i64) -> Result<Vec<PickRow>, StoreError> {
    let patterns: Vec<String> = words.iter().map(|word| pattern(word)).collect();
    Ok(sqlx::query_as(
        "select id, display_name as name, user_name, title, department from person
         where status = 'active' and id <> $1 and lower(concat_ws(' ', display_name, user_name, email)) like all ($2) order by display_name, id limit $3",
    )
    .bind(but)
    .bind(patterns)
    .bind(limit)
    .fetch_all(&db.pool)
    .await?)
}
