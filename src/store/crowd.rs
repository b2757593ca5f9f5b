//! Everybody at once, as last seen.

use std::collections::BTreeMap;

use sqlx::FromRow;
use sqlx::types::Json;
use uuid::Uuid;

use super::db::Db;
use super::error::StoreError;

/// Somebody as last seen, with everything that a decision can look at.
#[derive(Clone, Debug, FromRow)]
pub struct CrowdRow {
    /// The id that stays.
    pub id: Uuid,
    /// Key of the directory.
    pub directory: String,
    /// The immutable id there.
    pub reference: String,
    /// Login name there.
    pub user_name: String,
    /// Name for people.
    pub display_name: String,
    /// Address.
    pub email: Option<String>,
    /// Whether the directory called them active.
    pub active: bool,
    /// The manager's reference.
    pub manager_reference: Option<String>,
    /// Every attribute.
    pub attributes: Json<BTreeMap<String, Vec<String>>>,
    /// References of groups.
    pub groups: Vec<String>,
}

/// Everybody who is not gone, after the person `after`, at most `limit`, by id.
///
/// # Errors
/// When the database fails.
pub async fn page(db: &Db, after: Uuid, limit: i64) -> Result<Vec<CrowdRow>, StoreError> {
    Ok(sqlx::query_as(
        "select id, directory, reference, user_name, display_name, email, status = 'active' as active, manager_reference, attributes, groups
         from person where status <> 'gone' and id > $1 order by id limit $2",
    )
    .bind(after)
    .bind(limit)
    .fetch_all(&db.pool)
    .await?)
}
