//! The dead ends that a catalog file would bring.

use std::collections::HashSet;
use std::sync::Arc;

use crate::service::catalog_file::model::CatalogFile;
use crate::service::catalog_file::places::{Fault, Place};
use crate::service::ctx::Ctx;
use crate::service::error::ServiceError;
use crate::service::rule_book::{Proposed, RoleRules, RuleBook};

use super::check::{Finding, check};

/// A dead end that a file would bring, and where the file says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewFinding {
    /// Where, and in a sentence.
    pub fault: Fault,
    /// The roles it is so for, by key.
    pub roles: Vec<String>,
    /// Whether requests could never be approved; else a warning.
    pub is_dead: bool,
}

impl std::fmt::Display for NewFinding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let some = self.roles.iter().take(3).cloned().collect::<Vec<_>>().join(", ");
        let more = if self.roles.len() > 3 { format!(" and {} more", self.roles.len() - 3) } else { String::new() };
        write!(f, "{} ({some}{more})", self.fault)
    }
}

/// The dead ends that the rules of `proposed` have and those in force have not, in the order of the file. Only roles whose rules or
/// owners change are looked at.
///
/// # Errors
/// As [`check`].
pub async fn new_findings(ctx: &Ctx, proposed: &Proposed) -> Result<Vec<NewFinding>, ServiceError> {
    let changed: Vec<&RoleRules> = proposed.then.roles.iter().filter(|rules| !is_same(rules, proposed.now.role(rules.role.id))).collect();
    let keys: HashSet<&str> = changed.iter().map(|rules| rules.key.as_str()).collect();
    if keys.is_empty() {
        return Ok(vec![]);
    }
    let then = check(ctx, Arc::new(proposed.then.only(|rules| keys.contains(rules.key.as_str())))).await?;
    let now = check(ctx, Arc::new(proposed.now.only(|rules| keys.contains(rules.key.as_str())))).await?;
    let known = |finding: &Finding| {
        let same =
            |old: &&Finding| (&old.role_key, &old.policy_key, &old.step, old.kind) == (&finding.role_key, &finding.policy_key, &finding.step, finding.kind);
        now.iter().find(same).is_some_and(|old| old.people >= finding.people)
    };
    let mut found: Vec<NewFinding> = Vec::new();
    for finding in then.iter().filter(|finding| !known(finding)) {
        let at = place(&proposed.file, finding);
        let fault = Fault::at(at, finding.sentence.clone());
        match found.iter_mut().find(|there| there.fault == fault) {
            Some(there) => there.roles.push(finding.role_key.clone()),
            None => found.push(NewFinding { fault, roles: vec![finding.role_key.clone()], is_dead: finding.kind.is_dead() }),
        }
    }
    found.sort_by(|a, b| a.fault.cmp(&b.fault));
    Ok(found)
}

/// Whether the same rules with the same owners hold for the role now.
fn is_same(then: &RoleRules, now: Option<&RoleRules>) -> bool {
    now.is_some_and(|now| {
        (then.role.risk, then.role.owner, then.role.application_owner) == (now.role.risk, now.role.owner, now.role.application_owner)
            && then.policies.iter().map(|policy| policy.id).eq(now.policies.iter().map(|policy| policy.id))
            && then.separation.iter().map(|rule| rule.id).eq(now.separation.iter().map(|rule| rule.id))
    })
}

/// Where the file says the step of `finding`: its first source, else the procedure, else the policy.
fn place(file: &CatalogFile, finding: &Finding) -> Place {
    let procedure = finding.planned.as_ref().and_then(|planned| file.procedures.iter().find(|entry| entry.key.value == planned.procedure));
    let step = procedure.zip(finding.planned.as_ref()).and_then(|(entry, planned)| entry.steps.get(planned.position.checked_sub(1)?));
    let source = step.and_then(|step| step.slots.first()).and_then(|slot| slot.sources.first()).map(|source| source.at);
    let policy = || file.policies.iter().find(|entry| entry.key.value == finding.policy_key).map(|entry| entry.key.at);
    source.or_else(|| procedure.map(|entry| entry.key.at)).or_else(policy).unwrap_or_default()
}

impl RuleBook {
    /// The roles for which `keep` says so.
    pub fn only(&self, keep: impl Fn(&RoleRules) -> bool) -> Self {
        Self::with(self.roles.iter().filter(|rules| keep(rules)).cloned().collect())
    }
}
