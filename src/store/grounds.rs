//! What asking and answering start from, on one connection.
//!
//! Every trip to the database and every turn of the pool costs more than these small rows do, so they are fetched together.

use sqlx::{FromRow, PgConnection};
use uuid::Uuid;

use crate::domain::catalog::Role;
use crate::domain::id::{PersonId, PolicyVersionId, RequestId, RoleId};

use super::catalog::{RoleRow, roles};
use super::db::Db;
use super::error::StoreError;
use super::person::{self, PersonRow};
use super::request::{self, RequestRow};

/// What asking for a role starts from.
#[derive(Clone, Debug)]
pub struct Asking {
    /// The role and whether it (or its application) is retired.
    pub role: Role,
    /// See `role`.
    pub retired: bool,
    /// What may govern it, as [`Policies::of_role`](super::policy::Policies::of_role) finds it.
    pub governing: Vec<PolicyVersionId>,
    /// The person, the owners of role and application, and the manager as last seen; some may be missing.
    pub people: Vec<PersonRow>,
}

#[derive(FromRow)]
struct AskingRow {
    #[sqlx(flatten)]
    role: RoleRow,
    governing: Vec<Uuid>,
}

async fn asking(connection: &mut PgConnection, role: RoleId) -> Result<Option<AskingRow>, StoreError> {
    Ok(sqlx::query_as(roles!(
        ", array(
             select id from (
               select v.id, b.level, b.priority, min(b.level) over () as nearest from (
                 select 1 as level, policy_id, priority from policy_binding where role_id = r.id
                 union all select 2, policy_id, priority from policy_binding where application_id = r.application_id
                 union all select 3, policy_id, priority from policy_binding where role_id is null and application_id is null
               ) b cross join lateral (select id from access_policy_version where policy_id = b.policy_id order by version desc limit 1) v
             ) g where level = nearest order by priority) as governing"
    ))
    .bind(role.0)
    .fetch_optional(connection)
    .await?)
}

/// What may govern `role`, in the order in which it is tried; see [`Policies::of_role`](super::policy::Policies::of_role).
///
/// # Errors
/// When the database does not answer.
pub(super) async fn governing(db: &Db, role: RoleId) -> Result<Vec<PolicyVersionId>, StoreError> {
    let mut connection = db.pool.acquire().await?;
    let found = asking(&mut connection, role).await?;
    connection.settle();
    Ok(found.map(|row| row.governing).unwrap_or_default().into_iter().map(PolicyVersionId).collect())
}

/// What `person` asking for `role` starts from; none when there is no such role.
///
/// # Errors
/// When the database does not answer.
pub async fn of_asking(db: &Db, role: RoleId, person: PersonId) -> Result<Option<Asking>, StoreError> {
    let mut connection = db.pool.acquire().await?;
    let Some(AskingRow { role, governing }) = asking(&mut connection, role).await? else { return Ok(None) };
    let (role, retired) = role.role()?;
    let people = person::around(&mut connection, person, &[role.owner.0, role.application_owner.0]).await?;
    connection.settle();
    Ok(Some(Asking { role, retired, governing: governing.into_iter().map(PolicyVersionId).collect(), people }))
}

/// What answering a request starts from.
#[derive(Clone, Debug)]
pub struct Answering {
    /// The request, unlocked.
    pub request: RequestRow,
    /// Its role and whether that is retired; none when no group gives it any more.
    pub role: Option<(Role, bool)>,
    /// The beneficiary and the one who answers, if known.
    pub people: Vec<PersonRow>,
}

/// What `by` answering the request starts from; none when there is no such request.
///
/// # Errors
/// When the database does not answer.
pub async fn of_answering(db: &Db, id: RequestId, by: PersonId) -> Result<Option<Answering>, StoreError> {
    let mut connection = db.pool.acquire().await?;
    let Some(request) = request::read(&mut connection, id).await? else { return Ok(None) };
    let people = person::read(&mut connection, &[request.beneficiary_id, by.0]).await?;
    let role: Option<RoleRow> = sqlx::query_as(roles!("")).bind(request.role_id).fetch_optional(&mut *connection).await?;
    connection.settle();
    Ok(Some(Answering { request, role: role.map(RoleRow::role).transpose()?, people }))
}
