//! Profiles and procedures of policy versions, read whole.

use std::collections::HashMap;

use sqlx::PgConnection;
use uuid::Uuid;

use crate::domain::catalog::Risk;
use crate::domain::condition::{Condition, Operator};
use crate::domain::id::PersonId;
use crate::domain::policy::{AccessProfile, ApprovalProcedure, ApproverSource, Effect, Escalation, Rule, Slot, Step, When};
use crate::domain::span::Seconds;

use super::error::StoreError;

/// A condition of whatever has conditions: of one version, in one of its rules or steps.
#[derive(sqlx::FromRow)]
pub(super) struct ConditionRow {
    owner: Uuid,
    rule: i32,
    attribute: String,
    operator: String,
    values: Vec<String>,
    called: Vec<String>,
}

impl ConditionRow {
    fn condition(self) -> Result<Condition, StoreError> {
        let operator =
            Operator::parse(&self.operator).ok_or_else(|| StoreError::Broken(format!("this program does not know the operator {}", self.operator)))?;
        Ok(Condition { attribute: self.attribute, operator, values: self.values, called: self.called })
    }
}

/// Conditions by version and rule (or step), in their order.
///
/// # Errors
/// When a row holds an operator that this program does not know.
pub(super) fn by_rule(rows: Vec<ConditionRow>) -> Result<HashMap<(Uuid, i32), Vec<Condition>>, StoreError> {
    let mut sorted: HashMap<(Uuid, i32), Vec<Condition>> = HashMap::new();
    for row in rows {
        sorted.entry((row.owner, row.rule)).or_default().push(row.condition()?);
    }
    Ok(sorted)
}

/// The risks that these words name.
///
/// # Errors
/// When this program does not know one.
pub(super) fn risks(words: Vec<String>) -> Result<Vec<Risk>, StoreError> {
    words.iter().map(|word| Risk::parse(word).ok_or_else(|| StoreError::Broken(format!("this program does not know the risk {word}")))).collect()
}

/// A version that something cites is not there.
pub(super) fn lost(what: &str, id: Uuid) -> StoreError {
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
        "select profile_version_id as owner, rule, attribute, operator, \"values\", called from access_profile_condition
         where profile_version_id = any($1) order by profile_version_id, rule, position",
    )
    .bind(ids)
    .fetch_all(&mut *connection)
    .await?;
    let mut conditions = by_rule(conditions)?;
    let mut profiles: HashMap<Uuid, AccessProfile> =
        rows.into_iter().map(|(id, key, version, name)| (id, AccessProfile { key, name, version, rules: Vec::new() })).collect();
    for (id, position, effect) in rules {
        let effect = match effect.as_str() {
            "allow" => Effect::Allow,
            "deny" => Effect::Deny,
            other => return Err(StoreError::Broken(format!("this program does not know the effect {other}"))),
        };
        let conditions = conditions.remove(&(id, position)).unwrap_or_default();
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
    risks: Vec<String>,
    longer_than_s: Option<i64>,
    time_limit_s: Option<i64>,
    remind_every_s: Option<i64>,
    escalates: bool,
    escalation_limit_s: Option<i64>,
}

#[derive(sqlx::FromRow)]
struct SourceRow {
    procedure_version_id: Uuid,
    step: i32,
    slot: i32,
    source: String,
    source_value: Option<String>,
    source_name: Option<String>,
}

/// The bodies of these versions of procedures, by id.
pub(super) async fn procedures(connection: &mut PgConnection, ids: &[Uuid]) -> Result<HashMap<Uuid, ApprovalProcedure>, StoreError> {
    let rows: Vec<(Uuid, String, i32, String, bool, bool)> = sqlx::query_as(
        "select v.id, p.key, v.version, v.name, v.distinct_people, v.reassign from approval_procedure_version v
         join approval_procedure p on p.id = v.procedure_id where v.id = any($1)",
    )
    .bind(ids)
    .fetch_all(&mut *connection)
    .await?;
    let mut procedures: HashMap<Uuid, ApprovalProcedure> = rows
        .into_iter()
        .map(|(id, key, version, name, distinct_people, reassign)| (id, ApprovalProcedure { key, name, version, distinct_people, reassign, steps: Vec::new() }))
        .collect();
    if procedures.is_empty() {
        return Ok(procedures);
    }
    let steps: Vec<StepRow> = sqlx::query_as(
        "select procedure_version_id, position, name, risks, longer_than_s, time_limit_s, remind_every_s, escalates, escalation_limit_s
         from approval_procedure_step where procedure_version_id = any($1) order by procedure_version_id, position",
    )
    .bind(ids)
    .fetch_all(&mut *connection)
    .await?;
    let conditions: Vec<ConditionRow> = sqlx::query_as(
        "select procedure_version_id as owner, step as rule, attribute, operator, \"values\", called from approval_procedure_condition
         where procedure_version_id = any($1) order by procedure_version_id, step, position",
    )
    .bind(ids)
    .fetch_all(&mut *connection)
    .await?;
    let slots: Vec<(Uuid, i32, i32, i32)> = sqlx::query_as(
        "select procedure_version_id, step, position, approvals from approval_procedure_slot
         where procedure_version_id = any($1) order by procedure_version_id, step, position",
    )
    .bind(ids)
    .fetch_all(&mut *connection)
    .await?;
    let asked: Vec<SourceRow> = sqlx::query_as(
        "select procedure_version_id, step, slot, source, source_value, source_name from approval_procedure_source
         where procedure_version_id = any($1) order by procedure_version_id, step, slot, position",
    )
    .bind(ids)
    .fetch_all(&mut *connection)
    .await?;
    let mut conditions = by_rule(conditions)?;
    let mut sources: HashMap<(Uuid, i32, i32), Vec<ApproverSource>> = HashMap::new();
    for row in asked {
        let place = (row.procedure_version_id, row.step, row.slot);
        sources.entry(place).or_default().push(source(&row.source, row.source_value, row.source_name)?);
    }
    let mut by_step: HashMap<(Uuid, i32), Vec<Slot>> = HashMap::new();
    for (id, step, position, approvals) in slots {
        let sources = sources.remove(&(id, step, position)).unwrap_or_default();
        by_step.entry((id, step)).or_default().push(Slot { approvals: approvals.unsigned_abs(), sources });
    }
    for row in steps {
        let place = (row.procedure_version_id, row.position);
        let to = sources.remove(&(place.0, place.1, 0)).unwrap_or_default();
        let step = Step {
            name: row.name,
            when: When { conditions: conditions.remove(&place).unwrap_or_default(), risks: risks(row.risks)?, longer_than: row.longer_than_s.map(Seconds) },
            time_limit: row.time_limit_s.map(Seconds),
            remind_every: row.remind_every_s.map(Seconds),
            escalation: row.escalates.then(|| Escalation { sources: to, time_limit: row.escalation_limit_s.map(Seconds) }),
            slots: by_step.remove(&place).unwrap_or_default(),
        };
        if let Some(procedure) = procedures.get_mut(&place.0) {
            procedure.steps.push(step);
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
