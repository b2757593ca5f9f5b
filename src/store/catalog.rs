//! Applications, roles, and what governs them.

use std::collections::HashMap;

use sqlx::FromRow;
use uuid::Uuid;

use crate::domain::catalog::{Risk, Role};
use crate::domain::id::RoleId;
use crate::domain::policy::{AccessPolicy, AccessProfile, ApprovalProcedure};

use super::db::{Db, Tx};
use super::error::StoreError;
use super::policy;

/// A role as [`roles!`] selects it.
#[derive(FromRow)]
pub(super) struct RoleRow {
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

/// One role by its id, $1, as [`RoleRow`]: what stands before further columns, and after them.
macro_rules! roles {
    (columns) => {
        "select r.id, r.application_id, a.name as application_name, a.owner_id as application_owner, r.name, r.owner_id, r.risk, r.directory, r.group_reference,
           r.retired_at is not null or a.retired_at is not null as retired"
    };
    (rest) => {
        " from role r join application a on a.id = r.application_id where r.id = $1 and r.method = 'idp_group'"
    };
}
pub(super) use roles;

impl RoleRow {
    /// The role and whether it (or its application) is retired.
    ///
    /// # Errors
    /// When the row holds a word that this program does not know.
    pub(super) fn role(self) -> Result<(Role, bool), StoreError> {
        let risk = Risk::parse(&self.risk).ok_or_else(|| StoreError::Broken(format!("unknown risk {}", self.risk)))?;
        let role = Role {
            id: self.id.into(),
            application: self.application_id.into(),
            application_name: self.application_name,
            application_owner: self.application_owner.into(),
            name: self.name,
            owner: self.owner_id.into(),
            risk,
            directory: self.directory,
            group_reference: self.group_reference,
        };
        Ok((role, self.retired))
    }
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
    let row: Option<RoleRow> = sqlx::query_as(concat!(roles!(columns), roles!(rest))).bind(id.0).fetch_optional(&db.pool).await?;
    row.map(RoleRow::role).transpose()
}

/// An application's row.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct ApplicationNow {
    /// Its id.
    pub id: Uuid,
    /// Its key.
    pub key: String,
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Who owns it.
    pub owner_id: Uuid,
    /// The owner's login, as last seen.
    pub owner_login: String,
    /// Whether it is no longer offered.
    pub retired: bool,
}

/// A role's row.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct RoleNow {
    /// Its id.
    pub id: Uuid,
    /// Its application.
    pub application_id: Uuid,
    /// Its key there.
    pub key: String,
    /// Its name.
    pub name: String,
    /// What it lets one do.
    pub description: String,
    /// Who owns it.
    pub owner_id: Uuid,
    /// The owner's login, as last seen.
    pub owner_login: String,
    /// The risk's word.
    pub risk: String,
    /// Key of the directory.
    pub directory: Option<String>,
    /// Immutable id of its group there.
    pub group_reference: Option<String>,
    /// The group's name, as last applied.
    pub group_name: Option<String>,
    /// Whether it is no longer offered.
    pub retired: bool,
}

/// The latest version of a profile, procedure or policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Latest<T> {
    /// Id of the thing that has versions.
    pub id: Uuid,
    /// Id of this version.
    pub version_id: Uuid,
    /// What it says.
    pub body: T,
}

/// What governs a role, an application's roles, or everything else.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct BindingNow {
    /// Its id.
    pub id: Uuid,
    /// Key of the policy.
    pub policy: String,
    /// The role, if it is of one.
    pub role_id: Option<Uuid>,
    /// The application, if it is of one.
    pub application_id: Option<Uuid>,
    /// Lowest first.
    pub priority: i32,
}

/// The catalog as it stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Catalog {
    /// Applications, retired ones too.
    pub applications: Vec<ApplicationNow>,
    /// Roles, retired ones too.
    pub roles: Vec<RoleNow>,
    /// Profiles in their latest versions.
    pub profiles: Vec<Latest<AccessProfile>>,
    /// Procedures in their latest versions.
    pub procedures: Vec<Latest<ApprovalProcedure>>,
    /// Policies in their latest versions, with the ids of the versions of profile and procedure they were made with.
    pub policies: Vec<(Latest<AccessPolicy>, Uuid, Option<Uuid>)>,
    /// What governs what.
    pub bindings: Vec<BindingNow>,
}

/// Key of the lock under which the catalog is read whole and written.
const CATALOG_LOCK: i64 = 7_235_421;

/// The whole catalog. Until the transaction ends nobody else reads it this way or writes it.
///
/// # Errors
/// When the database does not answer.
pub async fn whole(tx: &mut Tx) -> Result<Catalog, StoreError> {
    sqlx::query("select pg_advisory_xact_lock($1)").bind(CATALOG_LOCK).execute(&mut **tx).await?;
    let applications = sqlx::query_as(
        "select a.id, a.key, a.name, a.description, a.owner_id, p.user_name as owner_login, a.retired_at is not null as retired
         from application a join person p on p.id = a.owner_id order by a.key",
    )
    .fetch_all(&mut **tx)
    .await?;
    let roles = sqlx::query_as(
        "select r.id, r.application_id, r.key, r.name, r.description, r.owner_id, p.user_name as owner_login, r.risk, r.directory, r.group_reference, r.group_name,
                r.retired_at is not null as retired
         from role r join person p on p.id = r.owner_id join application a on a.id = r.application_id order by a.key, r.key",
    )
    .fetch_all(&mut **tx)
    .await?;
    let bindings = sqlx::query_as(
        "select b.id, p.key as policy, b.role_id, b.application_id, b.priority from policy_binding b join access_policy p on p.id = b.policy_id
         order by b.role_id, b.application_id, b.priority",
    )
    .fetch_all(&mut **tx)
    .await?;
    let profile_ids: Vec<(Uuid, Uuid)> =
        sqlx::query_as("select distinct on (profile_id) profile_id, id from access_profile_version order by profile_id, version desc")
            .fetch_all(&mut **tx)
            .await?;
    let procedure_ids: Vec<(Uuid, Uuid)> =
        sqlx::query_as("select distinct on (procedure_id) procedure_id, id from approval_procedure_version order by procedure_id, version desc")
            .fetch_all(&mut **tx)
            .await?;
    let policy_ids: Vec<(Uuid, Uuid, Uuid, Option<Uuid>)> = sqlx::query_as(
        "select distinct on (policy_id) policy_id, id, profile_version_id, procedure_version_id from access_policy_version order by policy_id, version desc",
    )
    .fetch_all(&mut **tx)
    .await?;
    let profiles = policy::profiles(tx, &profile_ids.iter().map(|(_, version)| *version).collect::<Vec<_>>()).await?;
    let procedures = policy::procedures(tx, &procedure_ids.iter().map(|(_, version)| *version).collect::<Vec<_>>()).await?;
    let policies = policy::policies(tx, &policy_ids.iter().map(|(_, version, ..)| *version).collect::<Vec<_>>()).await?;
    let mut policies: HashMap<Uuid, AccessPolicy> = policies.into_iter().map(|body| (body.id.0, body)).collect();
    Ok(Catalog {
        applications,
        roles,
        bindings,
        profiles: latest(profile_ids, profiles),
        procedures: latest(procedure_ids, procedures),
        policies: policy_ids
            .into_iter()
            .filter_map(|(id, version_id, profile, procedure)| Some((Latest { id, version_id, body: policies.remove(&version_id)? }, profile, procedure)))
            .collect(),
    })
}

fn latest<T>(ids: Vec<(Uuid, Uuid)>, mut bodies: HashMap<Uuid, T>) -> Vec<Latest<T>> {
    ids.into_iter().filter_map(|(id, version_id)| Some(Latest { id, version_id, body: bodies.remove(&version_id)? })).collect()
}
