//! Writes what a catalog file changes.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::domain::condition::Condition;
use crate::domain::id::PersonId;
use crate::domain::policy::{AccessPolicy, AccessProfile, ApprovalProcedure, ApproverSource, Effect};
use crate::domain::span::Seconds;

use super::catalog::{ApplicationNow, RoleNow};
use super::db::Tx;
use super::error::StoreError;

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
        /// The version of the profile it goes with.
        profile_version: Uuid,
        /// The version of the procedure it goes with.
        procedure_version: Option<Uuid>,
        /// What it says.
        body: Box<AccessPolicy>,
    },
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
            Write::Policy { id, profile_version, procedure_version, body } => policy(tx, *id, *profile_version, *procedure_version, body, by, now).await?,
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
        "insert into role (id, application_id, key, name, description, owner_id, risk, method, directory, group_reference, group_name)
         values ($1, $2, $3, $4, $5, $6, $7, 'idp_group', $8, $9, $10)
         on conflict (id) do update set name = excluded.name, description = excluded.description, owner_id = excluded.owner_id, risk = excluded.risk,
           directory = excluded.directory, group_reference = excluded.group_reference, group_name = excluded.group_name, retired_at = null",
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
    .execute(&mut **tx)
    .await?;
    Ok(())
}

async fn profile(tx: &mut Tx, id: Uuid, version_id: Uuid, body: &AccessProfile, digest: &str, now: DateTime<Utc>) -> Result<(), StoreError> {
    sqlx::query("insert into access_profile (id, key) values ($1, $2) on conflict (id) do nothing").bind(id).bind(&body.key).execute(&mut **tx).await?;
    sqlx::query("insert into access_profile_version (id, profile_id, version, name, digest, created_at) values ($1, $2, $3, $4, $5, $6)")
        .bind(version_id)
        .bind(id)
        .bind(body.version)
        .bind(&body.name)
        .bind(digest)
        .bind(now)
        .execute(&mut **tx)
        .await?;
    for (rule, number) in body.rules.iter().zip(1..) {
        sqlx::query("insert into access_profile_rule (profile_version_id, position, effect) values ($1, $2, $3)")
            .bind(version_id)
            .bind(number)
            .bind(if rule.effect == Effect::Allow { "allow" } else { "deny" })
            .execute(&mut **tx)
            .await?;
        for (Condition { attribute, operator, values }, position) in rule.conditions.iter().zip(1..) {
            sqlx::query(
                "insert into access_profile_condition (profile_version_id, rule, position, attribute, operator, \"values\") values ($1, $2, $3, $4, $5, $6)",
            )
            .bind(version_id)
            .bind(number)
            .bind::<i32>(position)
            .bind(attribute)
            .bind(operator.word())
            .bind(values)
            .execute(&mut **tx)
            .await?;
        }
    }
    Ok(())
}

async fn procedure(tx: &mut Tx, id: Uuid, version_id: Uuid, body: &ApprovalProcedure, digest: &str, now: DateTime<Utc>) -> Result<(), StoreError> {
    sqlx::query("insert into approval_procedure (id, key) values ($1, $2) on conflict (id) do nothing").bind(id).bind(&body.key).execute(&mut **tx).await?;
    sqlx::query(
        "insert into approval_procedure_version (id, procedure_id, version, name, distinct_people, digest, created_at) values ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(version_id)
    .bind(id)
    .bind(body.version)
    .bind(&body.name)
    .bind(body.distinct_people)
    .bind(digest)
    .bind(now)
    .execute(&mut **tx)
    .await?;
    for (step, number) in body.steps.iter().zip(1i32..) {
        sqlx::query("insert into approval_procedure_step (procedure_version_id, position, name, time_limit_s) values ($1, $2, $3, $4)")
            .bind(version_id)
            .bind(number)
            .bind(&step.name)
            .bind(step.time_limit.map(|limit| limit.0))
            .execute(&mut **tx)
            .await?;
        for (slot, position) in step.slots.iter().zip(1i32..) {
            let (value, name) = source(&slot.source);
            let (fallback_value, fallback_name) = slot.fallback.as_ref().map_or((None, None), source);
            sqlx::query(
                "insert into approval_procedure_slot (procedure_version_id, step, position, approvals, source, source_value, source_name, fallback, fallback_value, fallback_name)
                 values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
            )
            .bind(version_id)
            .bind(number)
            .bind(position)
            .bind(i32::try_from(slot.approvals).unwrap_or(i32::MAX))
            .bind(slot.source.word())
            .bind(value)
            .bind(name)
            .bind(slot.fallback.as_ref().map(ApproverSource::word))
            .bind(fallback_value)
            .bind(fallback_name)
            .execute(&mut **tx)
            .await?;
        }
    }
    Ok(())
}

/// Value and name of a source, as the table keeps them.
fn source(source: &ApproverSource) -> (Option<String>, Option<String>) {
    match source {
        ApproverSource::Person { id, name } => (Some(id.to_string()), Some(name.clone())),
        ApproverSource::Group { reference, name } => (Some(reference.clone()), Some(name.clone())),
        _ => (None, None),
    }
}

async fn policy(
    tx: &mut Tx,
    id: Uuid,
    profile_version: Uuid,
    procedure_version: Option<Uuid>,
    body: &AccessPolicy,
    by: Option<PersonId>,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query("insert into access_policy (id, key) values ($1, $2) on conflict (id) do nothing").bind(id).bind(&body.key).execute(&mut **tx).await?;
    let limits = &body.durations;
    let choices: Vec<i64> = limits.choices.iter().map(|choice: &Seconds| choice.0).collect();
    sqlx::query(
        "insert into access_policy_version (id, policy_id, version, name, profile_version_id, procedure_version_id, recommended_s, minimum_s, maximum_s, choices_s,
           indefinite, justification_required, justification_minimum, ticket_required, ticket_prefix, extension, comment_to_deny, digest, created_at, created_by)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)",
    )
    .bind(body.id.0)
    .bind(id)
    .bind(body.version)
    .bind(&body.name)
    .bind(profile_version)
    .bind(procedure_version)
    .bind(limits.recommended.map(|recommended| recommended.0))
    .bind(limits.minimum.0)
    .bind(limits.maximum.0)
    .bind(choices)
    .bind(limits.indefinite)
    .bind(body.justification_required)
    .bind(i32::try_from(body.justification_minimum).unwrap_or(i32::MAX))
    .bind(body.ticket_required)
    .bind(&body.ticket_prefix)
    .bind(body.extension)
    .bind(body.comment_to_deny)
    .bind(&body.digest)
    .bind(now)
    .bind(by.map(|person| person.0))
    .execute(&mut **tx)
    .await?;
    for (condition, position) in body.applies_to.iter().zip(1i32..) {
        sqlx::query("insert into access_policy_condition (policy_version_id, position, attribute, operator, \"values\") values ($1, $2, $3, $4, $5)")
            .bind(body.id.0)
            .bind(position)
            .bind(&condition.attribute)
            .bind(condition.operator.word())
            .bind(&condition.values)
            .execute(&mut **tx)
            .await?;
    }
    Ok(())
}
