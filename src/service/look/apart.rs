//! What separation rules say of an ask.

use std::sync::Arc;

use serde::Deserialize;
use uuid::Uuid;

use crate::domain::id::RoleId;
use crate::domain::separation::SeparationRule;
use crate::service::ask::Cited;
use crate::service::ctx::Ctx;
use crate::service::error::ServiceError;
use crate::store::error::StoreError;
use crate::store::look_role;

/// A rule that an ask runs against.
#[derive(Clone, Debug)]
pub struct Conflict {
    /// Its name.
    pub rule: String,
    /// Its version.
    pub version: i32,
    /// What is held or asked for that it keeps apart from the role: "General ledger Accountant".
    pub holds: Vec<String>,
    /// The procedure that allows an exception, if there is one.
    pub exception: Option<String>,
}

impl Conflict {
    /// "Pay and approve: not together with General ledger Accountant".
    pub fn sentence(&self) -> String {
        let with = self.holds.join(", ");
        match &self.exception {
            None => format!("{}: nobody may hold this together with {with}.", self.rule),
            Some(procedure) => format!("{}: holding this together with {with} needs an exception ({procedure}).", self.rule),
        }
    }
}

/// The rules of `rules` that asking for `role` runs against, for somebody who holds or asked for `held`.
///
/// # Errors
/// When the database fails.
pub async fn conflicts(ctx: &Ctx, rules: &[Arc<SeparationRule>], role: RoleId, held: &[RoleId]) -> Result<Vec<Conflict>, ServiceError> {
    let against: Vec<(&Arc<SeparationRule>, Vec<RoleId>)> =
        rules.iter().map(|rule| (rule, rule.conflicts(role, held))).filter(|(_, held)| !held.is_empty()).collect();
    if against.is_empty() {
        return Ok(vec![]);
    }
    let ids: Vec<Uuid> = against.iter().flat_map(|(_, held)| held.iter().map(|id| id.0)).collect();
    let titles = look_role::titles(&ctx.db, &ids).await?;
    let title = |id: RoleId| titles.iter().find(|(known, _)| *known == id.0).map_or_else(|| id.to_string(), |(_, title)| title.clone());
    Ok(against
        .into_iter()
        .map(|(rule, held)| Conflict {
            rule: rule.name.clone(),
            version: rule.version,
            holds: held.into_iter().map(title).collect(),
            exception: rule.procedure.as_ref().map(|procedure| procedure.name.clone()),
        })
        .collect())
}

/// What was decided from, as far as separation goes.
#[derive(Deserialize)]
struct Then {
    #[serde(default)]
    separation: Vec<Cited>,
    ask: Option<Asked>,
}

#[derive(Deserialize)]
struct Asked {
    role: RoleId,
    #[serde(default)]
    held: Vec<RoleId>,
}

/// The rules that a request ran against when it was made from `inputs`.
///
/// # Errors
/// When `inputs` cannot be read, or the database fails.
pub async fn conflicts_then(ctx: &Ctx, inputs: &str) -> Result<Vec<Conflict>, ServiceError> {
    let then: Then = serde_json::from_str(inputs).map_err(StoreError::from)?;
    let Some(asked) = then.ask else { return Ok(vec![]) };
    let ids: Vec<Uuid> = then.separation.iter().map(|cited| cited.id).collect();
    let rules = ctx.separation.versions(&ctx.db, &ids).await?;
    conflicts(ctx, &rules, asked.role, &asked.held).await
}
