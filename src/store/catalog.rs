//! Applications, roles, and what governs them.

use std::collections::HashMap;

use sqlx::FromRow;
use uuid::Uuid;

use crate::domain::catalog::{Risk, Role};
use crate::domain::id::RoleId;
use crate::domain::policy::{AccessPolicy, AccessProfile, ApprovalProcedure};
use crate::domain::separation::SeparationRule;

use super::db::{Db, Tx};
use super::error::StoreError;
use super::policy;
use super::policy_parts;
use super::separation;

/// A role as [`roles!`] selects it.
#[derive(FromRow)]
pub(super) struct RoleRow {
    role_id: Uuid,
    application_id: Uuid,
    application_name: String,
    application_owner: Uuid,
    role_name: String,
    role_owner: Uuid,
    risk: String,
    role_directory: String,
    group_reference: String,
    retired: bool,
}

/// One role by its id, $1, as [`RoleRow`]: what stands before further columns, and after them.
macro_rules! roles {
    (columns) => {
        "select r.id as role_id, r.application_id, a.name as application_name, a.owner_id as application_owner, r.name as role_name, r.owner_id as role_owner, r.risk,
           r.directory as role_directory, r.group_reference, r.retired_at is not null or a.retired_at is not null as retired"
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
            id: self.role_id.into(),
            application: self.application_id.into(),
            application_name: self.application_name,
            application_owner: self.application_owner.into(),
            name: self.role_name,
            owner: self.role_owner.into(),
            risk,
            directory: self.role_directory,
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
    /// What happens to a member that no lease explains.
    pub drift: String,
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
    /// Whether no catalog names it any more.
    pub retired: bool,
    /// What it says.
    pub body: T,
}

/// The versions that a version of a policy was made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromRow)]
pub struct Parts {
    /// Of its profile.
    #[sqlx(rename = "profile_version_id")]
    pub profile: Uuid,
    /// Of its procedure; none: nobody is asked.
    #[sqlx(rename = "procedure_version_id")]
    pub procedure: Option<Uuid>,
    /// Of the procedure of its extensions; none: as the first time.
    #[sqlx(rename = "extension_procedure_version_id")]
    pub extension: Option<Uuid>,
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
    /// Policies in their latest versions, with the versions they were made with.
    pub policies: Vec<(Latest<AccessPolicy>, Parts)>,
    /// Separation rules in their latest versions, each with the version of its procedure.
    pub separation: Vec<(Latest<SeparationRule>, Option<Uuid>)>,
    /// What governs what.
    pub bindings: Vec<BindingNow>,
}

impl Catalog {
    /// `application/role`, of a role that is or was offered.
    pub fn role_key(&self, id: RoleId) -> Option<String> {
        let role = self.roles.iter().find(|role| role.id == id.0)?;
        let application = self.applications.iter().find(|application| application.id == role.application_id)?;
        Some(format!("{}/{}", application.key, role.key))
    }
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
        "select r.id, r.application_id, r.key, r.name, r.description, r.owner_id, p.user_name as owner_login, r.risk, r.directory, r.group_reference, r.group_name, r.drift,
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
    let profile_ids: Vec<LatestRow> = sqlx::query_as(
        "select distinct on (v.profile_id) v.profile_id as id, v.id as version_id, p.retired_at is not null as retired
         from access_profile_version v join access_profile p on p.id = v.profile_id order by v.profile_id, v.version desc",
    )
    .fetch_all(&mut **tx)
    .await?;
    let procedure_ids: Vec<LatestRow> = sqlx::query_as(
        "select distinct on (v.procedure_id) v.procedure_id as id, v.id as version_id, p.retired_at is not null as retired
         from approval_procedure_version v join approval_procedure p on p.id = v.procedure_id order by v.procedure_id, v.version desc",
    )
    .fetch_all(&mut **tx)
    .await?;
    let policy_ids: Vec<PolicyIds> = sqlx::query_as(
        "select distinct on (v.policy_id) v.policy_id as id, v.id as version_id, p.retired_at is not null as retired,
           v.profile_version_id, v.procedure_version_id, v.extension_procedure_version_id
         from access_policy_version v join access_policy p on p.id = v.policy_id order by v.policy_id, v.version desc",
    )
    .fetch_all(&mut **tx)
    .await?;
    let rule_ids: Vec<RuleIds> = sqlx::query_as(
        "select distinct on (v.rule_id) v.rule_id as id, v.id as version_id, s.retired_at is not null as retired, v.procedure_version_id
         from separation_rule_version v join separation_rule s on s.id = v.rule_id order by v.rule_id, v.version desc",
    )
    .fetch_all(&mut **tx)
    .await?;
    let versions = |rows: &[LatestRow]| rows.iter().map(|row| row.version_id).collect::<Vec<_>>();
    let mut profiles = policy_parts::profiles(tx, &versions(&profile_ids)).await?;
    let mut procedures = policy_parts::procedures(tx, &versions(&procedure_ids)).await?;
    let policies = policy::policies(tx, &policy_ids.iter().map(|row| row.latest.version_id).collect::<Vec<_>>()).await?;
    let mut policies: HashMap<Uuid, AccessPolicy> = policies.into_iter().map(|body| (body.id.0, body)).collect();
    let rules = separation::rules(tx, &rule_ids.iter().map(|row| row.latest.version_id).collect::<Vec<_>>()).await?;
    let mut rules: HashMap<Uuid, SeparationRule> = rules.into_iter().map(|body| (body.id, body)).collect();
    Ok(Catalog {
        applications,
        roles,
        bindings,
        profiles: profile_ids.into_iter().filter_map(|row| row.with(&mut profiles)).collect(),
        procedures: procedure_ids.into_iter().filter_map(|row| row.with(&mut procedures)).collect(),
        policies: policy_ids.into_iter().filter_map(|row| Some((row.latest.with(&mut policies)?, row.parts))).collect(),
        separation: rule_ids.into_iter().filter_map(|row| Some((row.latest.with(&mut rules)?, row.procedure_version_id))).collect(),
    })
}

#[derive(FromRow)]
struct LatestRow {
    id: Uuid,
    version_id: Uuid,
    retired: bool,
}

#[derive(FromRow)]
struct PolicyIds {
    #[sqlx(flatten)]
    latest: LatestRow,
    #[sqlx(flatten)]
    parts: Parts,
}

#[derive(FromRow)]
struct RuleIds {
    #[sqlx(flatten)]
    latest: LatestRow,
    procedure_version_id: Option<Uuid>,
}

impl LatestRow {
    fn with<T>(self, bodies: &mut HashMap<Uuid, T>) -> Option<Latest<T>> {
        Some(Latest { id: self.id, version_id: self.version_id, retired: self.retired, body: bodies.remove(&self.version_id)? })
    }
}
