//! Versions of policies: which govern a role, and their bodies.
//!
//! Which versions govern is asked of the database every time; what a version says never changes, so it is read once and shared.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use sqlx::PgConnection;
use uuid::Uuid;

use crate::domain::condition::Condition;
use crate::domain::id::{PolicyVersionId, RoleId};
use crate::domain::policy::{
    AccessPolicy, AutoRule, CustomField, Durations, EligibilityLost, Emergency, Extension, FieldKind, OnBehalf, Pattern, TextRule, Verdict,
};
use crate::domain::span::Seconds;

use super::db::Db;
use super::error::StoreError;
use super::policy_parts::{ConditionRow, by_rule, lost, procedures, profiles, risks};

/// How many versions are kept in memory; past it the one that was used longest ago goes.
pub(super) const KEPT: usize = 1_024;

/// The versions read so far. Cloning shares them.
#[derive(Clone, Debug, Default)]
pub struct Policies(Arc<Mutex<Kept<AccessPolicy>>>);

/// Bodies of versions by their ids, those that were used last.
#[derive(Debug)]
pub(super) struct Kept<T> {
    bodies: HashMap<Uuid, (Arc<T>, u64)>,
    uses: u64,
}

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self { bodies: HashMap::new(), uses: 0 }
    }
}

impl<T> Kept<T> {
    /// The body of the version `id`, if it is kept; then it was used now.
    pub(super) fn get(&mut self, id: Uuid) -> Option<Arc<T>> {
        self.uses += 1;
        let (body, used) = self.bodies.get_mut(&id)?;
        *used = self.uses;
        Some(body.clone())
    }

    /// Keeps the body of the version `id` among at most `most`.
    pub(super) fn keep(&mut self, id: Uuid, body: T, most: usize) -> Arc<T> {
        while self.bodies.len() >= most {
            let Some(oldest) = self.bodies.iter().min_by_key(|(_, (_, used))| *used).map(|(id, _)| *id) else { break };
            self.bodies.remove(&oldest);
        }
        self.uses += 1;
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
                match kept.get(id.0) {
                    Some(body) => drop(found.insert(*id, body)),
                    None => missing.push(id.0),
                }
            }
        }
        if !missing.is_empty() {
            let mut connection = db.pool.acquire().await?;
            for body in policies(&mut connection, &missing).await? {
                found.insert(body.id, self.lock().keep(body.id.0, body, KEPT));
            }
        }
        ids.iter().map(|id| found.get(id).cloned().ok_or_else(|| StoreError::Broken(format!("there is no policy version {id}")))).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Kept<AccessPolicy>> {
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
    justification_pattern: Option<String>,
    justification_says: Option<String>,
    ticket_required: bool,
    ticket_minimum: i32,
    ticket_pattern: Option<String>,
    ticket_says: Option<String>,
    future_start_s: Option<i64>,
    extension: bool,
    extension_maximum_s: Option<i64>,
    extension_last_percent: i32,
    extension_most: Option<i32>,
    extension_procedure_version_id: Option<Uuid>,
    behalf_manager: bool,
    behalf_owner: bool,
    behalf_confirm: bool,
    emergency_maximum_s: Option<i64>,
    emergency_review_s: Option<i64>,
    comment_to_deny: bool,
    eligibility_grace_s: Option<i64>,
    digest: String,
}

/// A text rule from its columns; the schema holds that pattern and sentence come together.
fn text_rule(required: bool, minimum: i32, pattern: Option<String>, says: Option<String>) -> TextRule {
    let pattern = pattern.zip(says).map(|(expression, says)| Pattern { expression, says });
    TextRule { required, minimum: minimum.unsigned_abs(), pattern }
}

#[derive(sqlx::FromRow)]
struct FieldRow {
    policy_version_id: Uuid,
    key: String,
    label: String,
    help: Option<String>,
    required: bool,
    #[sqlx(rename = "type")]
    kind: String,
    choices: Vec<String>,
    minimum: Option<i64>,
    maximum: Option<i64>,
}

impl FieldRow {
    fn field(self) -> Result<CustomField, StoreError> {
        let kind = match self.kind.as_str() {
            "text" => FieldKind::Text { maximum: self.maximum.and_then(|most| u32::try_from(most).ok()).unwrap_or_default() },
            "choice" => FieldKind::Choice { choices: self.choices },
            "date" => FieldKind::Date,
            "number" => FieldKind::Number { minimum: self.minimum, maximum: self.maximum },
            "yes_no" => FieldKind::YesNo,
            other => return Err(StoreError::Broken(format!("this program does not know the type {other} of a field"))),
        };
        Ok(CustomField { key: self.key, label: self.label, help: self.help, required: self.required, kind })
    }
}

#[derive(sqlx::FromRow)]
struct AutoRow {
    policy_version_id: Uuid,
    position: i32,
    name: String,
    verdict: String,
    risks: Vec<String>,
    at_most_s: Option<i64>,
    longer_than_s: Option<i64>,
}

impl AutoRow {
    fn rule(self, conditions: Vec<Condition>) -> Result<AutoRule, StoreError> {
        let verdict = match self.verdict.as_str() {
            "approve" => Verdict::Approve,
            "deny" => Verdict::Deny,
            other => return Err(StoreError::Broken(format!("this program does not know the verdict {other}"))),
        };
        let (at_most, longer_than) = (self.at_most_s.map(Seconds), self.longer_than_s.map(Seconds));
        Ok(AutoRule { name: self.name, verdict, conditions, risks: risks(self.risks)?, at_most, longer_than })
    }
}

/// The bodies of these versions, in order of their keys and numbers.
pub(super) async fn policies(connection: &mut PgConnection, ids: &[Uuid]) -> Result<Vec<AccessPolicy>, StoreError> {
    let rows: Vec<PolicyRow> = sqlx::query_as(
        "select v.id, p.key, v.version, v.name, v.profile_version_id, v.procedure_version_id, v.recommended_s, v.minimum_s, v.maximum_s, v.choices_s,
                v.indefinite, v.justification_required, v.justification_minimum, v.justification_pattern, v.justification_says,
                v.ticket_required, v.ticket_minimum, v.ticket_pattern, v.ticket_says, v.future_start_s,
                v.extension, v.extension_maximum_s, v.extension_last_percent, v.extension_most, v.extension_procedure_version_id,
                v.behalf_manager, v.behalf_owner, v.behalf_confirm, v.emergency_maximum_s, v.emergency_review_s, v.comment_to_deny, v.eligibility_grace_s, v.digest
         from access_policy_version v join access_policy p on p.id = v.policy_id where v.id = any($1) order by p.key, v.version",
    )
    .bind(ids)
    .fetch_all(&mut *connection)
    .await?;
    let conditions: Vec<ConditionRow> = sqlx::query_as(
        "select policy_version_id as owner, rule, attribute, operator, \"values\", called from access_policy_condition
         where policy_version_id = any($1) order by policy_version_id, rule, position",
    )
    .bind(ids)
    .fetch_all(&mut *connection)
    .await?;
    let mut conditions = by_rule(conditions)?;
    let fields: Vec<FieldRow> = sqlx::query_as(
        "select policy_version_id, key, label, help, required, type, choices, minimum, maximum from access_policy_field
         where policy_version_id = any($1) order by policy_version_id, position",
    )
    .bind(ids)
    .fetch_all(&mut *connection)
    .await?;
    let mut own_fields: HashMap<Uuid, Vec<CustomField>> = HashMap::new();
    for row in fields {
        own_fields.entry(row.policy_version_id).or_default().push(row.field()?);
    }
    let autos: Vec<AutoRow> = sqlx::query_as(
        "select policy_version_id, position, name, verdict, risks, at_most_s, longer_than_s from access_policy_rule
         where policy_version_id = any($1) order by policy_version_id, position",
    )
    .bind(ids)
    .fetch_all(&mut *connection)
    .await?;
    let mut auto_rules: HashMap<Uuid, Vec<AutoRule>> = HashMap::new();
    for row in autos {
        let own = conditions.remove(&(row.policy_version_id, row.position)).unwrap_or_default();
        auto_rules.entry(row.policy_version_id).or_default().push(row.rule(own)?);
    }
    let profile_ids: Vec<Uuid> = rows.iter().map(|row| row.profile_version_id).collect();
    let procedure_ids: Vec<Uuid> = rows.iter().flat_map(|row| [row.procedure_version_id, row.extension_procedure_version_id]).flatten().collect();
    let profiles = profiles(connection, &profile_ids).await?;
    let procedures = procedures(connection, &procedure_ids).await?;
    let procedure_of = |id: Option<Uuid>| id.map(|id| procedures.get(&id).cloned().ok_or_else(|| lost("procedure", id))).transpose();
    rows.into_iter()
        .map(|row| {
            let extension = Extension {
                maximum: row.extension_maximum_s.map(Seconds),
                last_percent: row.extension_last_percent.unsigned_abs(),
                most: row.extension_most.map(i32::unsigned_abs),
                procedure: procedure_of(row.extension_procedure_version_id)?,
            };
            let emergency = row.emergency_maximum_s.zip(row.emergency_review_s);
            Ok(AccessPolicy {
                id: row.id.into(),
                key: row.key,
                name: row.name,
                version: row.version,
                digest: row.digest,
                applies_to: conditions.remove(&(row.id, 0)).unwrap_or_default(),
                profile: profiles.get(&row.profile_version_id).cloned().ok_or_else(|| lost("profile", row.profile_version_id))?,
                procedure: procedure_of(row.procedure_version_id)?,
                auto_rules: auto_rules.remove(&row.id).unwrap_or_default(),
                durations: Durations {
                    recommended: row.recommended_s.map(Seconds),
                    minimum: Seconds(row.minimum_s),
                    maximum: Seconds(row.maximum_s),
                    choices: row.choices_s.into_iter().map(Seconds).collect(),
                    indefinite: row.indefinite,
                },
                future_start: row.future_start_s.map(Seconds),
                justification: text_rule(row.justification_required, row.justification_minimum, row.justification_pattern, row.justification_says),
                ticket: text_rule(row.ticket_required, row.ticket_minimum, row.ticket_pattern, row.ticket_says),
                fields: own_fields.remove(&row.id).unwrap_or_default(),
                extension: row.extension.then_some(extension),
                on_behalf: OnBehalf { manager: row.behalf_manager, owner: row.behalf_owner, confirm: row.behalf_confirm },
                emergency: emergency.map(|(maximum, review)| Emergency { maximum: Seconds(maximum), review_within: Seconds(review) }),
                comment_to_deny: row.comment_to_deny,
                eligibility_lost: row.eligibility_grace_s.map_or(EligibilityLost::Keep, |grace| EligibilityLost::Revoke(Seconds(grace))),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_bounded_and_what_is_used_stays() {
        let mut kept: Kept<&str> = Kept::default();
        let id = Uuid::from_u128;
        for (number, body) in (0..3).zip(["a", "b", "c"]) {
            kept.keep(id(number), body, 3);
        }
        assert_eq!(kept.get(id(0)).as_deref(), Some(&"a"));
        kept.keep(id(3), "d", 3);
        assert_eq!(kept.bodies.len(), 3);
        assert_eq!(kept.get(id(0)).as_deref(), Some(&"a"), "used last, so kept");
        assert_eq!(kept.get(id(1)), None, "used longest ago, so gone");
    }
}
