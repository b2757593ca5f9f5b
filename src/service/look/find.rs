//! Finds things by the names people use for them.

use std::collections::HashMap;

use crate::domain::id::{ApplicationId, PersonId, RoleId};
use crate::service::ctx::Ctx;
use crate::service::error::ServiceError;
use crate::store::{find, person};

/// The longest text that can name somebody, in bytes.
const LONGEST_NAME: usize = 320;

/// The application with this key.
///
/// # Errors
/// When the database fails.
pub async fn application(ctx: &Ctx, key: &str) -> Result<Option<ApplicationId>, ServiceError> {
    Ok(find::application(&ctx.db, key).await?.map(ApplicationId))
}

/// The role with this `APPLICATION/ROLE`.
///
/// # Errors
/// When the database fails.
pub async fn role(ctx: &Ctx, path: &str) -> Result<Option<RoleId>, ServiceError> {
    let Some((application, role)) = path.split_once('/') else { return Ok(None) };
    Ok(find::role(&ctx.db, application, role).await?.map(RoleId))
}

/// The person with this login name, if exactly one has it.
///
/// # Errors
/// When the database fails.
pub async fn person(ctx: &Ctx, user_name: &str) -> Result<Option<PersonId>, ServiceError> {
    Ok(find::person(&ctx.db, user_name).await?.map(PersonId))
}

/// The active person whom `text` names as login, address or full name, if exactly one; nobody for text that names none.
///
/// # Errors
/// When the database fails.
pub async fn colleague(ctx: &Ctx, text: &str) -> Result<Option<PersonId>, ServiceError> {
    let text = text.trim();
    if text.is_empty() || text.len() > LONGEST_NAME || text.contains('\0') {
        return Ok(None);
    }
    Ok(match find::colleagues(&ctx.db, text).await?[..] {
        [only] => Some(PersonId(only)),
        _ => None,
    })
}

/// The names of these people.
///
/// # Errors
/// When the database fails.
pub async fn names(ctx: &Ctx, ids: &[PersonId]) -> Result<HashMap<PersonId, String>, ServiceError> {
    let ids: Vec<_> = ids.iter().map(|id| id.0).collect();
    Ok(person::by_ids(&ctx.db, &ids).await?.into_iter().map(|row| (PersonId(row.id), row.display_name)).collect())
}

/// Whether the catalog has anything in it.
///
/// # Errors
/// When the database fails.
pub async fn any_application(ctx: &Ctx) -> Result<bool, ServiceError> {
    Ok(find::any_application(&ctx.db).await?)
}
