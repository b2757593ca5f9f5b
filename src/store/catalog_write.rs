//! Writes what a catalog file changes.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::domain::id::PersonId;
use crate::domain::policy::{AccessPolicy, AccessProfile, ApprovalProcedure};
use crate::domain::separation::SeparationRule;

use super::catalog::{ApplicationNow, Parts, RoleNow};
use super::db::Tx;
use super::error::StoreError;
use super::policy_write::{policy, procedure, profile, separation};

/// One change of the catalog's tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// Makes the application, or makes it so; offered again if it was retired. Its `owner_login` and `retired` are not looked at.
    Application(ApplicationNow),
    /// Offers the application no longer.
    RetireApplication(Uuid),
    /// Makes the role, or makes it so; offered again if it was retired. Its `owner_login` and `retired` are not looked at.
    Role(RoleNow),
    /// Offers the role no longer.
    RetireRole(Uuid),
    /// A new version of a profile.
    Profile {
        /// The profile; made if it is not there.
        id: Uuid,
        /// The version.
        version_id: Uuid,
        /// What it says.
        body: AccessProfile,
        /// SHA-256 of its canonical form, hex.
        digest: String,
    },
    /// A new version of a procedure.
    Procedure {
        /// The procedure; made if it is not there.
        id: Uuid,
        /// The version.
        version_id: Uuid,
        /// What it says.
        body: ApprovalProcedure,
        /// SHA-256 of its canonical form, hex.
        digest: String,
    },
    /// A new version of a policy; the body holds its id and digest.
    Policy {
        /// The policy; made if it is not there.
        id: Uuid,
        /// The versions it goes with.
        parts: Parts,
        /// What it says.
        body: Box<AccessPolicy>,
    },
    /// A new version of a separation rule; the body holds its id and digest.
    Separation {
        /// The rule; made if it is not there.
        id: Uuid,
        /// The version of the procedure of its exceptions.
        procedure_version: Option<Uuid>,
        /// What it says.
        body: SeparationRule,
    },
    /// No catalog names it any more; its versions stay.
    Retire(Versioned, Uuid),
    /// It is named again, in its latest version.
    Restore(Versioned, Uuid),
    /// Lets a policy govern a role, an application's roles, or (neither given) whatever nothing else governs.
    Bind {
        /// Its id.
        id: Uuid,
        /// The policy.
        policy_id: Uuid,
        /// The role.
        role_id: Option<Uuid>,
        /// The application.
        application_id: Option<Uuid>,
        /// Lowest first.
        priority: i32,
    },
    /// Ends a binding.
    Unbind(Uuid),
}

/// What has versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Versioned {
    /// An access profile.
    Profile,
    /// An approval procedure.
    Procedure,
    /// An access policy.
    Policy,
    /// A separation rule.
    Separation,
}

/// Does `writes` in order, and brings the search text of roles up to date. The transaction must also hold the event
/// `catalog.applied`, or the database refuses it at commit.
///
/// # Errors
/// When the database refuses a row.
pub async fn write(tx: &mut Tx, writes: &[Write], by: Option<PersonId>, now: DateTime<Utc>) -> Result<(), StoreError> {
    for write in writes {
        match write {
            Write::Application(row) => application(tx, row).await?,
            Write::Role(row) => role(tx, row).await?,
            Write::RetireApplication(id) => {
                sqlx::query("update application set retired_at = $2 where id = $1").bind(id).bind(now).execute(&mut **tx).await?;
            }
            Write::RetireRole(id) => {
                sqlx::query("update role set retired_at = $2 where id = $1").bind(id).bind(now).execute(&mut **tx).await?;
            }
            Write::Profile { id, version_id, body, digest } => profile(tx, *id, *version_id, body, digest, now).await?,
            Write::Procedure { id, version_id, body, digest } => procedure(tx, *id, *version_id, body, digest, now).await?,
            Write::Policy { id, parts, body } => policy(tx, *id, *parts, body, by, now).await?,
            Write::Separation { id, procedure_version, body } => separation(tx, *id, *procedure_version, body, now).await?,
            Write::Retire(what, id) => retired(tx, *what, *id, Some(now)).await?,
            Write::Restore(what, id) => retired(tx, *what, *id, None).await?,
            Write::Bind { id, policy_id, role_id, application_id, priority } => {
                sqlx::query("insert into policy_binding (id, policy_id, role_id, application_id, priority) values ($1, $2, $3, $4, $5)")
                    .bind(id)
                    .bind(policy_id)
                    .bind(role_id)
                    .bind(application_id)
                    .bind(priority)
                    .execute(&mut **tx)
                    .await?;
            }
            Write::Unbind(id) => {
                sqlx::query("delete from policy_binding where id = $1").bind(id).execute(&mut **tx).await?;
            }
        }
    }
    if !writes.is_empty() {
        sqlx::query(
            "update role r set search = t.search from (
               select r.id, lower(concat_ws(' ', a.name, r.name, a.key, r.key, r.description, a.description, r.group_name)) as search
               from role r join application a on a.id = r.application_id
             ) t where t.id = r.id and t.search <> r.search",
        )
        .execute(&mut **tx)
        .await?;
    }
    Ok(())
}

async fn application(tx: &mut Tx, row: &ApplicationNow) -> Result<(), StoreError> {
    sqlx::query(
        "insert into application (id, key, name, description, owner_id) values ($1, $2, $3, $4, $5)
         on conflict (id) do update set name = excluded.name, description = excluded.description, owner_id = excluded.owner_id, retired_at = null",
    )
    .bind(row.id)
    .bind(&row.key)
    .bind(&row.name)
    .bind(&row.description)
    .bind(row.owner_id)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

async fn role(tx: &mut Tx, row: &RoleNow) -> Result<(), StoreError> {
    sqlx::query(
        "insert into role (id, application_id, key, name, description, owner_id, risk, method, directory, group_reference, group_name, drift)
         values ($1, $2, $3, $4, $5, $6, $7, 'idp_group', $8, $9, $10, $11)
         on conflict (id) do update set name = excluded.name, description = excluded.description, owner_id = excluded.owner_id, risk = excluded.risk,
           directory = excluded.directory, group_reference = excluded.group_reference, group_name = excluded.group_name, drift = excluded.drift, retired_at = null",
    )
    .bind(row.id)
    .bind(row.application_id)
    .bind(&row.key)
    .bind(&row.name)
    .bind(&row.description)
    .bind(row.owner_id)
    .bind(&row.risk)
    .bind(&row.directory)
    .bind(&row.group_reference)
    .bind(&row.group_name)
    .bind(&row.drift)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

async fn retired(tx: &mut Tx, what: Versioned, id: Uuid, at: Option<DateTime<Utc>>) -> Result<(), StoreError> {
    let query = match what {
        Versioned::Profile => sqlx::query("update access_profile set retired_at = $2 where id = $1"),
        Versioned::Procedure => sqlx::query("update approval_procedure set retired_at = $2 where id = $1"),
        Versioned::Policy => sqlx::query("update access_policy set retired_at = $2 where id = $1"),
        Versioned::Separation => sqlx::query("update separation_rule set retired_at = $2 where id = $1"),
    };
    query.bind(id).bind(at).execute(&mut **tx).await?;
    Ok(())
}
