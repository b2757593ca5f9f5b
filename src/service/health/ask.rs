//! The ways in which somebody may ask for a role.

use chrono::{DateTime, Utc};

use crate::domain::decide::{Ask, Decision, Outcome, PlannedStep, Standing};
use crate::domain::id::{PolicyVersionId, RoleId};
use crate::domain::person::PersonSnapshot;
use crate::domain::policy::AccessPolicy;
use crate::domain::span::{Seconds, sentence};
use crate::service::rule_book::RoleRules;

/// Steps that some ask goes through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    /// The version that governs.
    pub policy: PolicyVersionId,
    /// The steps; empty when the ask is refused because none applies.
    pub steps: Vec<PlannedStep>,
    /// Which ask it is ("for 4 hours", "to extend it by 8 hours").
    pub ask: String,
}

/// Every different way that asking for the role under `rules` takes for `person`, who asks for themselves and holds nothing else; and
/// what an exception to each separation rule takes. Looked at are the shortest, the recommended and the longest duration, and one
/// without end. Empty when they may not ask, or nobody is asked.
pub fn paths(rules: &RoleRules, person: &PersonSnapshot, now: DateTime<Utc>) -> Vec<Path> {
    let mut paths: Vec<Path> = Vec::new();
    let ask = |duration, extension, held: Vec<RoleId>| Ask {
        requester: person.person,
        beneficiary: person.person,
        role: rules.role.id,
        risk: rules.role.risk,
        duration,
        starts_at: None,
        extension,
        emergency: false,
        review_owed: false,
        standing: Standing::default(),
        held,
    };
    let mut look = |ask: &Ask, said: String| {
        let decision = rules.decide(person, ask, now);
        let steps = match decision.outcome {
            Outcome::NeedsApproval => decision.steps.clone(),
            Outcome::Refused if lacks_steps(&decision) => vec![],
            _ => return decision,
        };
        if let Some(policy) = decision.policy
            && !paths.iter().any(|path| path.policy == policy && path.steps == steps)
        {
            paths.push(Path { policy, steps, ask: said });
        }
        decision
    };
    // Who governs, and whether they may ask, does not depend on how long.
    let first = rules.decide(person, &ask(Some(Seconds(1)), false, vec![]), now);
    let Some(policy) = rules.governing(&first) else { return vec![] };
    for duration in durations(policy) {
        look(&ask(duration, false, vec![]), said(duration));
    }
    if policy.extension.as_ref().is_some_and(|rules| rules.procedure.is_some()) {
        let most = policy.maximum(true, false);
        look(&ask(Some(most), true, vec![]), format!("to extend it by {most}"));
    }
    let usual = durations(policy).first().copied().flatten();
    for rule in rules.separation.iter().filter(|rule| rule.procedure.is_some()) {
        let apart: Vec<RoleId> = rule.a.iter().chain(&rule.b).copied().collect();
        let held: Vec<RoleId> = rule.conflicts(rules.role.id, &apart).into_iter().take(1).collect();
        if !held.is_empty() {
            look(&ask(usual, false, held), format!("as an exception to {}", rule.name));
        }
    }
    paths
}

/// The lengths that a policy is looked at with, the recommended one first.
fn durations(policy: &AccessPolicy) -> Vec<Option<Seconds>> {
    let limits = &policy.durations;
    let mut lengths = vec![limits.recommended.unwrap_or(limits.maximum), limits.maximum, limits.minimum];
    let mut seen = Vec::new();
    lengths.retain(|length| {
        let fresh = !seen.contains(length);
        seen.push(*length);
        fresh
    });
    lengths.into_iter().map(Some).chain(limits.indefinite.then_some(None)).collect()
}

fn said(duration: Option<Seconds>) -> String {
    match duration {
        Some(length) => format!("for {length}"),
        None => sentence(None),
    }
}

/// Whether it was refused because no step of the procedure applies.
fn lacks_steps(decision: &Decision) -> bool {
    decision.deciding_rule.ends_with(": no step applies")
}
