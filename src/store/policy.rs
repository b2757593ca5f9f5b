//! Versions of policies: which govern a role, and their bodies.
//!
//! Which versions govern is asked of the database every time; what a version says never changes, so it is read once and shared.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use sqlx::PgConnection;
use uuid::Uuid;

use crate::domain::condition::{Condition, Operator};
use crate::domain::id::{PersonId, PolicyVersionId, RoleId};
use crate::domain::policy::{AccessPolicy, AccessProfile, ApprovalProcedure, ApproverSource, Durations, Effect, Rule, Slot, Step};
use crate::domain::span::Seconds;

use super::db::Db;
use super::error::StoreError;

/// How many versions are kept in memory; past it the one that was used longest ago goes.
const KEPT: usize = 1_024;

/// The versions read so far. Cloning shares them.
#[derive(Clone, Debug, Default)]
pub struct Policies(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    bodies: HashMap<PolicyVersionId, (Arc<AccessPolicy>, u64)>,
    uses: u64,
}

impl Kept {
    fn get(&mut self, id: PolicyVersionId) -> Option<Arc<AccessPolicy>> {
        self.uses += 1;
        let (body, used) = self.bodies.get_mut(&id)?;
        *used = self.uses;
        Some(body.clone())
    }

    fn keep(&mut self, body: AccessPolicy, most: usize) -> Arc<AccessPolicy> {
        while self.bodies.len() >= most {
            let Some(oldest) = self.bodies.iter().min_by_key(|(_, (_, used))| *used).map(|(id, _)| *id) else { break };
            self.bodies.remove(&oldest);
        }
        self.uses += 1;
        let id = body.id;
        let body = Arc::new(body);
        self.bodies.insert(id, (body.clone(), self.uses));
        body
    }
}

/// The ids of the latest versions of the policies that may govern the role `r`, in the order in which they are tried, as an array.
macro_rules! governing {
    () => {
        "array(
           select id from (
             select v.id, b.level, b.priority, min(b.level) over () as nearest from (
               select 1 as level, policy_id, priority from policy_binding where role_id = r.id
               union all select 2, policy_id, priority from policy_binding where application_id = r.application_id
               union all select 3, policy_id, priority from policy_binding where role_id is null and application_id is null
             ) b cross join lateral (select id from access_policy_version where policy_id = b.policy_id order by version desc limit 1) v
           ) g where level = nearest order by priority)"
    };
}
pub(super) use governing;

impl Policies {
    /// The latest versions of the policies that may govern `role`, in the order in which they are tried: the bindings of the role
    /// itself; if it has none, those of its application; if that has none, the default ones; each by priority, lowest number
    /// first. Empty when nothing governs it, or there is no such role.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn of_role(&self, db: &Db, role: RoleId) -> Result<Vec<Arc<AccessPolicy>>, StoreError> {
        let ids: Option<Vec<Uuid>> =
            sqlx::query_scalar(concat!("select ", governing!(), " from role r where r.id = $1")).bind(role.0).fetch_optional(&db.pool).await?;
        let ids: Vec<PolicyVersionId> = ids.unwrap_or_default().into_iter().map(PolicyVersionId).collect();
        self.bodies(db, &ids).await
    }

    /// One version, whether it still governs anything or not.
    ///
    /// # Errors
    /// When there is no such version, or the database does not answer.
    pub async fn version(&self, db: &Db, id: PolicyVersionId) -> Result<Arc<AccessPolicy>, StoreError> {
        self.bodies(db, &[id]).await?.pop().ok_or_else(|| StoreError::Broken(format!("there is no policy version {id}")))
    }

    /// These versions, in the order given.
    ///
    /// # Errors
    /// When there is no such version, or the database does not answer.
    pub async fn versions(&self, db: &Db, ids: &[PolicyVersionId]) -> Result<Vec<Arc<AccessPolicy>>, StoreError> {
        self.bodies(db, ids).await
    }

    async fn bodies(&self, db: &Db, ids: &[PolicyVersionId]) -> Result<Vec<Arc<AccessPolicy>>, StoreError> {
        let mut found: HashMap<PolicyVersionId, Arc<AccessPolicy>> = HashMap::with_capacity(ids.len());
        let mut missing = Vec::new();
        {
            let mut kept = self.lock();
            for id in ids {
                match kept.get(*id) {
                    Some(body) => drop(found.insert(*id, body)),
                    None => missing.push(id.0),
                }
            }
        }
        if !missing.is_empty() {
            let mut connection = db.pool.acquire().await?;
            for body in policies(&mut connection, &missing).await? {
                found.insert(body.id, self.lock().keep(body, KEPT));
            }
        }
        ids.iter().map(|id| found.get(id).cloned().ok_or_else(|| StoreError::Broken(format!("there is no policy version {id}")))).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

#[derive(sqlx::FromRow)]
struct PolicyRow {
    id: Uuid,
    key: String,
    version: i32,
    name: String,
    profile_version_id: Uuid,
    procedure_version_id: Option<Uuid>,
    recommended_s: Option<i64>,
    minimum_s: i64,
    maximum_s: i64,
    choices_s: Vec<i64>,
    indefinite: bool,
    justification_required: bool,
    justification_minimum: i32,
    ticket_required: bool,
    ticket_prefix: Option<String>,
    extension: bool,
    comment_to_deny: bool,
    digest: String,
}

#[derive(sqlx::FromRow)]
struct ConditionRow {
    owner: Uuid,
    rule: i32,
    attribute: String,
    operator: String,
    values: Vec<String>,
}

impl ConditionRow {
    fn condition(self) -> Result<Condition, StoreError> {
        let operator =
            Operator::parse(&self.operator).ok_or_else(|| StoreError::Broken(format!("this program does not know the operator {}", self.operator)))?;
        Ok(Condition { attribute: self.attribute, operator, values: self.values })
    }
}

/// The bodies of these versions, in no particular order.
pub(super) async fn policies(connection: &mut PgConnection, ids: &[Uuid]) -> Result<Vec<AccessPolicy>, StoreError> {
    let rows: Vec<PolicyRow> = sqlx::query_as(
        "select v.id, p.key, v.version, v.name, v.profile_version_id, v.procedure_version_id, v.recommended_s, v.minimum_s, v.maximum_s, v.choices_s,
                v.indefinite, v.justification_required, v.justification_minimum, v.ticket_required, v.ticket_prefix, v.extension, v.comment_to_deny, v.digest
         from access_policy_version v join access_policy p on p.id = v.policy_id where v.id = any($1) order by p.key, v.version",
    )
    .bind(ids)
    .fetch_all(&mut *connection)
    .await?;
    let conditions: Vec<ConditionRow> = sqlx::query_as(
        "select policy_version_id as owner, 0 as rule, attribute, operator, \"values\" from access_policy_condition
         where policy_version_id = any($1) order by policy_version_id, position",
    )
    .bind(ids)
    .fetch_all(&mut *connection)
    .await?;
    let mut applies_to: HashMap<Uuid, Vec<Condition>> = HashMap::new();
    for row in conditions {
        applies_to.entry(row.owner).or_default().push(row.condition()?);
    }
    let profile_ids: Vec<Uuid> = rows.iter().map(|row| row.profile_version_id).collect();
    let procedure_ids: Vec<Uuid> = rows.iter().filter_map(|row| row.procedure_version_id).collect();
    let profiles = profiles(connection, &profile_ids).await?;
    let procedures = procedures(connection, &procedure_ids).await?;
    rows.into_iter()
        .map(|row| {
            let profile = profiles.get(&row.profile_version_id).cloned().ok_or_else(|| lost("profile", row.profile_version_id))?;
            let procedure = match row.procedure_version_id {
                Some(id) => Some(procedures.get(&id).cloned().ok_or_else(|| lost("procedure", id))?),
                None => None,
            };
            Ok(AccessPolicy {
                id: row.id.into(),
                key: row.key,
                name: row.name,
                version: row.version,
                digest: row.digest,
                applies_to: applies_to.remove(&row.id).unwrap_or_default(),
                profile,
                procedure,
                durations: Durations {
                    recommended: row.recommended_s.map(Seconds),
                    minimum: Seconds(row.minimum_s),
                    maximum: Seconds(row.maximum_s),
                    choices: row.choices_s.into_iter().map(Seconds).collect(),
                    indefinite: row.indefinite,
                },
                justification_required: row.justification_required,
                justification_minimum: row.justification_minimum.unsigned_abs(),
                ticket_required: row.ticket_required,
                ticket_prefix: row.ticket_prefix,
                extension: row.extension,
                comment_to_deny: row.comment_to_deny,
            })
        })
        .collect()
}

fn lost(what: &str, id: Uuid) -> StoreError {
    StoreError::Broken(format!("there is no {what} version {id}"))
}

/// The bodies of these versions of profiles, by id.
pub(super) async fn profiles(connection: &mut PgConnection, ids: &[Uuid]) -> Result<HashMap<Uuid, AccessProfile>, StoreError> {
    let rows: Vec<(Uuid, String, i32, String)> =
        sqlx::query_as("select v.id, p.key, v.version, v.name from access_profile_version v join access_profile p on p.id = v.profile_id where v.id = any($1)")
            .bind(ids)
            .fetch_all(&mut *connection)
            .await?;
    let rules: Vec<(Uuid, i32, String)> = sqlx::query_as(
        "select profile_version_id, position, effect from access_profile_rule where profile_version_id = any($1) order by profile_version_id, position",
    )
    .bind(ids)
    .fetch_all(&mut *connection)
    .await?;
    let conditions: Vec<ConditionRow> = sqlx::query_as(
        "select profile_version_id as owner, rule, attribute, operator, \"values\" from access_profile_condition
         where profile_version_id = any($1) order by profile_version_id, rule, position",
    )
    .bind(ids)
    .fetch_all(&mut *connection)
    .await?;
    let mut by_rule: HashMap<(Uuid, i32), Vec<Condition>> = HashMap::new();
    for row in conditions {
        by_rule.entry((row.owner, row.rule)).or_default().push(row.condition()?);
    }
    let mut profiles: HashMap<Uuid, AccessProfile> =
        rows.into_iter().map(|(id, key, version, name)| (id, AccessProfile { key, name, version, rules: Vec::new() })).collect();
    for (id, position, effect) in rules {
        let effect = if effect == "allow" { Effect::Allow } else { Effect::Deny };
        let conditions = by_rule.remove(&(id, position)).unwrap_or_default();
        if let Some(profile) = profiles.get_mut(&id) {
            profile.rules.push(Rule { effect, conditions });
        }
    }
    Ok(profiles)
}

#[derive(sqlx::FromRow)]
struct StepRow {
    procedure_version_id: Uuid,
    position: i32,
    name: String,
    time_limit_s: Option<i64>,
}

#[derive(sqlx::FromRow)]
struct SlotRow {
    procedure_version_id: Uuid,
    step: i32,
    approvals: i32,
    source: String,
    source_value: Option<String>,
    source_name: Option<String>,
    fallback: Option<String>,
    fallback_value: Option<String>,
    fallback_name: Option<String>,
}

/// The bodies of these versions of procedures, by id.
pub(super) async fn procedures(connection: &mut PgConnection, ids: &[Uuid]) -> Result<HashMap<Uuid, ApprovalProcedure>, StoreError> {
    let rows: Vec<(Uuid, String, i32, String, bool)> = sqlx::query_as(
        "select v.id, p.key, v.version, v.name, v.distinct_people from approval_procedure_version v
         join approval_procedure p on p.id = v.procedure_id where v.id = any($1)",
    )
    .bind(ids)
    .fetch_all(&mut *connection)
    .await?;
    let steps: Vec<StepRow> = sqlx::query_as(
        "select procedure_version_id, position, name, time_limit_s from approval_procedure_step
         where procedure_version_id = any($1) order by procedure_version_id, position",
    )
    .bind(ids)
    .fetch_all(&mut *connection)
    .await?;
    let slots: Vec<SlotRow> = sqlx::query_as(
        "select procedure_version_id, step, approvals, source, source_value, source_name, fallback, fallback_value, fallback_name from approval_procedure_slot
         where procedure_version_id = any($1) order by procedure_version_id, step, position",
    )
    .bind(ids)
    .fetch_all(&mut *connection)
    .await?;
    let mut by_step: HashMap<(Uuid, i32), Vec<Slot>> = HashMap::new();
    for row in slots {
        let fallback = match row.fallback {
            Some(word) => Some(source(&word, row.fallback_value, row.fallback_name)?),
            None => None,
        };
        let slot = Slot { approvals: row.approvals.unsigned_abs(), source: source(&row.source, row.source_value, row.source_name)?, fallback };
        by_step.entry((row.procedure_version_id, row.step)).or_default().push(slot);
    }
    let mut procedures: HashMap<Uuid, ApprovalProcedure> = rows
        .into_iter()
        .map(|(id, key, version, name, distinct_people)| (id, ApprovalProcedure { key, name, version, distinct_people, steps: Vec::new() }))
        .collect();
    for row in steps {
        let slots = by_step.remove(&(row.procedure_version_id, row.position)).unwrap_or_default();
        if let Some(procedure) = procedures.get_mut(&row.procedure_version_id) {
            procedure.steps.push(Step { name: row.name, time_limit: row.time_limit_s.map(Seconds), slots });
        }
    }
    Ok(procedures)
}

fn source(word: &str, value: Option<String>, name: Option<String>) -> Result<ApproverSource, StoreError> {
    let unreadable = || StoreError::Broken(format!("an approver source does not read back: {word}"));
    let value = value.unwrap_or_default();
    Ok(match word {
        "person" => {
            let id: PersonId = value.parse().map_err(|_| unreadable())?;
            ApproverSource::Person { id, name: name.unwrap_or_default() }
        }
        "group" => ApproverSource::Group { name: name.unwrap_or_else(|| value.clone()), reference: value },
        "manager" => ApproverSource::Manager,
        "managers_manager" => ApproverSource::ManagersManager,
        "application_owner" => ApproverSource::ApplicationOwner,
        "role_owner" => ApproverSource::RoleOwner,
        _ => return Err(unreadable()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(number: u128) -> AccessPolicy {
        AccessPolicy {
            id: Uuid::from_u128(number).into(),
            key: "k".into(),
            name: "n".into(),
            version: 1,
            digest: "0".repeat(64),
            applies_to: vec![],
            profile: AccessProfile { key: "p".into(), name: "p".into(), version: 1, rules: vec![] },
            procedure: None,
            durations: Durations { recommended: None, minimum: Seconds(60), maximum: Seconds(120), choices: vec![], indefinite: false },
            justification_required: false,
            justification_minimum: 0,
            ticket_required: false,
            ticket_prefix: None,
            extension: false,
            comment_to_deny: false,
        }
    }

    #[test]
    fn memory_is_bounded_and_what_is_used_stays() {
        let mut kept = Kept::default();
        for number in 0..3 {
            kept.keep(body(number), 3);
        }
        assert!(kept.get(Uuid::from_u128(0).into()).is_some());
        kept.keep(body(3), 3);
        assert_eq!(kept.bodies.len(), 3);
        assert!(kept.get(Uuid::from_u128(0).into()).is_some(), "used last, so kept");
        assert!(kept.get(Uuid::from_u128(1).into()).is_none(), "used longest ago, so gone");
    }
}
