//! What is no longer so since a request was made.

use std::collections::BTreeSet;

use serde::Deserialize;
use uuid::Uuid;

use crate::domain::catalog::Role;
use crate::domain::condition::Condition;
use crate::domain::id::{PolicyVersionId, RoleId};
use crate::domain::policy::{AccessPolicy, ApprovalProcedure, Effect};
use crate::domain::separation::SeparationRule;
use crate::store::error::StoreError;
use crate::store::{look_names, person};

use super::consider::Cited;
use super::ctx::Ctx;
use super::error::ServiceError;

/// Something that is no longer as it was when the request was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What it is about.
    pub what: String,
    /// As it was.
    pub before: String,
    /// As it is now.
    pub after: String,
}

impl Difference {
    /// In one line: "Risk: low, now critical".
    pub fn line(&self) -> String {
        format!("{}: {}, now {}", self.what, self.before, self.after)
    }
}

/// What was decided from, as far as it can change.
#[derive(Deserialize)]
struct Then {
    #[serde(default)]
    policies: Vec<Cited>,
    /// None: it does not say.
    #[serde(default)]
    separation: Option<Vec<Cited>>,
    #[serde(default)]
    role: Option<Role>,
}

impl Then {
    fn of(inputs: &str) -> Result<Self, ServiceError> {
        Ok(serde_json::from_str(inputs).map_err(StoreError::from)?)
    }

    /// Whether the policies that are tried up to the one that governs are the same versions, in the same order. One that would be tried
    /// only after it has no say.
    fn governs_alike(&self, pinned: PolicyVersionId, governing: &[PolicyVersionId]) -> bool {
        let then = self.policies.iter().map(|cited| cited.id);
        let until = |ids: Vec<Uuid>| -> Option<Vec<Uuid>> {
            let at = ids.iter().position(|id| *id == pinned.0)?;
            Some(ids[..=at].to_vec())
        };
        // A request that does not say what was tried is held against its own version alone.
        if self.policies.is_empty() {
            return governing.contains(&pinned);
        }
        let now = until(governing.iter().map(|id| id.0).collect());
        now.is_some() && until(then.collect()) == now
    }

    /// Whether the same versions of separation rules name the role.
    fn kept_apart_alike(&self, separation: &[Uuid]) -> bool {
        let Some(then) = &self.separation else { return true };
        then.len() == separation.len() && then.iter().all(|cited| separation.contains(&cited.id))
    }
}

/// The rules that hold for a role now.
#[derive(Clone, Copy, Debug)]
pub struct Now<'a> {
    /// The policy versions that may govern it, in the order in which they are tried.
    pub governing: &'a [PolicyVersionId],
    /// The versions of the separation rules that name it.
    pub separation: &'a [Uuid],
}

/// Whether the policy that governed, a separation rule that names the role, the role or its target is other than when the request was
/// made from `inputs` under the version `pinned`.
///
/// # Errors
/// When `inputs` cannot be read.
pub fn is_changed(inputs: &str, pinned: PolicyVersionId, now: Now<'_>, role: &Role) -> Result<bool, ServiceError> {
    let then = Then::of(inputs)?;
    Ok(!then.governs_alike(pinned, now.governing) || !then.kept_apart_alike(now.separation) || then.role.as_ref().is_some_and(|old| old != role))
}

/// What changed, each with the sentences as they were and as they are.
///
/// # Errors
/// When `inputs` cannot be read, or the database fails.
pub async fn since(
    ctx: &Ctx,
    inputs: &str,
    pinned: PolicyVersionId,
    Now { governing, separation }: Now<'_>,
    role: Option<&Role>,
) -> Result<Vec<Difference>, ServiceError> {
    let then = Then::of(inputs)?;
    let mut found = Vec::new();
    let Some(now) = role else {
        found.push(difference("Role", "offered", "no longer offered"));
        return Ok(found);
    };
    if let Some(old) = &then.role {
        of_role(ctx, old, now, &mut found).await?;
    }
    if !then.governs_alike(pinned, governing) {
        let old = ctx.policies.version(&ctx.db, pinned).await?;
        let bodies = ctx.policies.versions(&ctx.db, governing).await?;
        match bodies.iter().find(|body| body.key == old.key) {
            Some(new) if new.id != old.id => found.push(of_policy(&old, new)),
            Some(_) => {
                let names = |list: Vec<String>| if list.is_empty() { "nothing".to_owned() } else { list.join(", then ") };
                let before = then.policies.iter().map(|cited| format!("{} version {}", cited.key, cited.version)).collect();
                let after = bodies.iter().map(|body| format!("{} version {}", body.key, body.version)).collect();
                found.push(difference("Policies tried in this order", &names(before), &names(after)));
            }
            None => {
                let others: Vec<String> = bodies.iter().map(|body| format!("{}, version {}", body.name, body.version)).collect();
                let after = if others.is_empty() { "no policy".into() } else { others.join(", then ") };
                found.push(difference("Which policy governs", &format!("{}, version {}", old.name, old.version), &after));
            }
        }
    }
    if !then.kept_apart_alike(separation) {
        apart(ctx, then.separation.as_deref().unwrap_or_default(), separation, &mut found).await?;
    }
    Ok(found)
}

/// The separation rules that came, changed or went.
async fn apart(ctx: &Ctx, then: &[Cited], now: &[Uuid], found: &mut Vec<Difference>) -> Result<(), ServiceError> {
    let ids: Vec<Uuid> = then.iter().map(|cited| cited.id).collect();
    let (before, after) = (ctx.separation.versions(&ctx.db, &ids).await?, ctx.separation.versions(&ctx.db, now).await?);
    let keys: BTreeSet<&str> = before.iter().chain(&after).map(|rule| rule.key.as_str()).collect();
    for key in keys {
        let (old, new) = (before.iter().find(|rule| rule.key == key), after.iter().find(|rule| rule.key == key));
        if old.map(|rule| rule.id) == new.map(|rule| rule.id) {
            continue;
        }
        let mut said = Vec::new();
        for rule in [old, new] {
            said.push(match rule {
                Some(rule) => format!("version {}: {}", rule.version, kept_apart(ctx, rule).await?),
                None => "none".to_owned(),
            });
        }
        let name = new.or(old).map_or(key, |rule| rule.name.as_str());
        found.push(difference(&format!("Separation rule {name}"), &said[0], &said[1]));
    }
    Ok(())
}

/// "Ledger clerk not together with Ledger approver; with approval by Auditors as an exception."
///
/// # Errors
/// When the database fails.
pub async fn kept_apart(ctx: &Ctx, rule: &SeparationRule) -> Result<String, ServiceError> {
    let ids: Vec<Uuid> = rule.a.iter().chain(&rule.b).map(|role| role.0).collect();
    let names = look_names::of_roles(&ctx.db, &ids).await?;
    let side = |roles: &[RoleId]| {
        let mut side: Vec<&str> = roles.iter().filter_map(|role| names.iter().find(|row| row.id == role.0)).map(|row| row.name.as_str()).collect();
        side.sort_unstable();
        side.join(" or ")
    };
    let exception = match &rule.procedure {
        Some(procedure) => format!("as an exception {} decides too", procedure.name),
        None => "no exception".into(),
    };
    Ok(format!("{} not together with {}; {exception}", side(&rule.a), side(&rule.b)))
}

fn difference(what: &str, before: &str, after: &str) -> Difference {
    Difference { what: what.into(), before: before.into(), after: after.into() }
}

async fn of_role(ctx: &Ctx, old: &Role, now: &Role, found: &mut Vec<Difference>) -> Result<(), ServiceError> {
    let mut add = |what: &str, before: &str, after: &str| {
        if before != after {
            found.push(difference(what, before, after));
        }
    };
    add("Application", &old.application_name, &now.application_name);
    add("Role", &old.name, &now.name);
    add("Risk", old.risk.word(), now.risk.word());
    let target = |role: &Role| format!("group {} in directory {}", role.group_reference, role.directory);
    add("What it gives", &target(old), &target(now));
    if (old.owner, old.application_owner) != (now.owner, now.application_owner) {
        let ids = [old.owner.0, old.application_owner.0, now.owner.0, now.application_owner.0];
        let people = person::by_ids(&ctx.db, &ids).await?;
        let name = |id: Uuid| people.iter().find(|row| row.id == id).map_or_else(|| id.to_string(), |row| row.display_name.clone());
        add("Owner of the role", &name(old.owner.0), &name(now.owner.0));
        add("Owner of the application", &name(old.application_owner.0), &name(now.application_owner.0));
    }
    Ok(())
}

/// The sentences that only one of two versions says.
fn of_policy(old: &AccessPolicy, new: &AccessPolicy) -> Difference {
    let (then, now) = (sentences(old), sentences(new));
    let only = |of: &[String], not: &[String]| of.iter().filter(|line| !not.contains(line)).cloned().collect::<Vec<_>>().join(" ");
    let version = |policy: &AccessPolicy, said: String| match said.is_empty() {
        true => format!("version {}", policy.version),
        false => format!("version {}: {said}", policy.version),
    };
    Difference { what: format!("Policy {}", new.name), before: version(old, only(&then, &now)), after: version(new, only(&now, &then)) }
}

/// Everything that a policy says, sentence by sentence.
pub fn sentences(policy: &AccessPolicy) -> Vec<String> {
    let all = |conditions: &[Condition]| conditions.iter().map(Condition::holds_sentence).collect::<Vec<_>>().join(" and ");
    let mut said = vec![match policy.applies_to.as_slice() {
        [] => "For everybody.".to_owned(),
        conditions => format!("For whoever {}.", all(conditions)),
    }];
    for rule in &policy.profile.rules {
        said.push(match (rule.effect, rule.conditions.as_slice()) {
            (Effect::Allow, []) => "Everybody may ask.".into(),
            (Effect::Deny, []) => "Nobody may ask.".into(),
            (Effect::Allow, conditions) => format!("May ask: {}.", all(conditions)),
            (Effect::Deny, conditions) => format!("Kept out: {}.", all(conditions)),
        });
    }
    said.push(format!("Lasts {}.", policy.duration_sentence()));
    match &policy.procedure {
        None => said.push("Nobody is asked.".into()),
        Some(procedure) => said.extend(steps(procedure)),
    }
    said.extend(policy.notes());
    if !policy.comment_to_deny {
        said.push("A denial needs no reason.".into());
    }
    said
}

fn steps(procedure: &ApprovalProcedure) -> Vec<String> {
    let slots =
        |step: &crate::domain::policy::Step| step.slots.iter().map(|slot| format!("{} of {}", slot.approvals, slot.label())).collect::<Vec<_>>().join(" and ");
    let when = |step: &crate::domain::policy::Step| if step.when.is_always() { String::new() } else { format!(", {}", step.when.sentence()) };
    let limit = |step: &crate::domain::policy::Step| step.time_limit.map(|limit| format!(", within {limit}")).unwrap_or_default();
    procedure.steps.iter().zip(1..).map(|(step, no)| format!("Step {no}, {}: {}{}{}.", step.name, slots(step), when(step), limit(step))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cited(n: u128) -> Cited {
        Cited { id: Uuid::from_u128(n), key: format!("p{n}"), version: 1, digest: String::new() }
    }

    #[test]
    fn only_what_was_tried_before_the_policy_that_governs_can_change_who_governs() {
        let then = Then { policies: vec![cited(1), cited(2), cited(3)], separation: None, role: None };
        let alike = |pinned: u128, now: &[u128]| {
            let now: Vec<PolicyVersionId> = now.iter().map(|n| PolicyVersionId(Uuid::from_u128(*n))).collect();
            then.governs_alike(PolicyVersionId(Uuid::from_u128(pinned)), &now)
        };
        assert!(alike(2, &[1, 2, 3]));
        assert!(alike(2, &[1, 2]), "one that is tried later has no say");
        assert!(alike(2, &[1, 2, 9]));
        for now in [&[2, 3][..], &[9, 2, 3], &[1, 9], &[2, 1, 3], &[]] {
            assert!(!alike(2, now), "{now:?}");
        }
    }

    #[test]
    fn a_separation_rule_that_came_changed_or_went_is_a_change() {
        let then = |separation| Then { policies: vec![], separation, role: None };
        let ids = |of: &[u128]| of.iter().map(|n| Uuid::from_u128(*n)).collect::<Vec<_>>();
        let two = then(Some(vec![cited(1), cited(2)]));
        assert!(two.kept_apart_alike(&ids(&[2, 1])));
        for now in [&[1][..], &[1, 2, 3], &[1, 3], &[]] {
            assert!(!two.kept_apart_alike(&ids(now)), "{now:?}");
        }
        assert!(!then(Some(vec![])).kept_apart_alike(&ids(&[1])) && then(None).kept_apart_alike(&ids(&[1])));
    }
}
