//! Applications, roles, and what governs them.

use uuid::Uuid;

use crate::domain::catalog::{Risk, Role};
use crate::domain::id::RoleId;

use super::db::Db;
use super::error::StoreError;

#[derive(sqlx::FromRow)]
struct RoleRow {
    id: Uuid,
    application_id: Uuid,
    application_name: String,
    application_owner: Uuid,
    name: String,
    owner_id: Uuid,
    risk: String,
    directory: String,
    group_reference: String,
    retired: bool,
}

/// The role, if it is offered; `None` when there is none, it or its application is retired, or no group gives it.
///
/// # Errors
/// When the database does not answer.
pub async fn role(db: &Db, id: RoleId) -> Result<Option<Role>, StoreError> {
    Ok(role_even_retired(db, id).await?.filter(|(_, retired)| !retired).map(|(role, _)| role))
}

/// The role and whether it (or its application) is retired; for what was granted while it was offered.
///
/// # Errors
/// When the database does not answer.
pub async fn role_even_retired(db: &Db, id: RoleId) -> Result<Option<(Role, bool)>, StoreError> {
    let row: Option<RoleRow> = sqlx::query_as(
        "select r.id, r.application_id, a.name as application_name, a.owner_id as application_owner, r.name, r.owner_id, r.risk, r.directory, r.group_reference,
                r.retired_at is not null or a.retired_at is not null as retired
         from role r join application a on a.id = r.application_id where r.id = $1 and r.method = 'idp_group'",
    )
    .bind(id.0)
    .fetch_optional(&db.pool)
    .await?;
    row.map(|row| {
        let risk = Risk::parse(&row.risk).ok_or_else(|| StoreError::Broken(format!("unknown risk {}", row.risk)))?;
        let role = Role {
            id: row.id.into(),
            application: row.application_id.into(),
            application_name: row.application_name,
            application_owner: row.application_owner.into(),
            name: row.name,
            owner: row.owner_id.into(),
            risk,
            directory: row.directory,
            group_reference: row.group_reference,
        };
        Ok((role, row.retired))
    })
    .transpose()
}
