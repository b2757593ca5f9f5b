//! How every condition comes out for a person, as bits.

use std::collections::HashMap;

use crate::domain::condition::Condition;
use crate::domain::person::PersonSnapshot;
use crate::domain::policy::{AccessPolicy, ApprovalProcedure};
use crate::domain::separation::SeparationRule;

/// The different conditions of all rules, each with two bits: whether it holds, and whether the directory says nothing of it.
#[derive(Debug, Default)]
pub struct Conditions<'a> {
    each: Vec<&'a Condition>,
    places: HashMap<(&'a str, &'static str, &'a [String]), usize>,
}

/// Which words of the bits somebody looks at, and which bits of each.
pub type Mask = Vec<(usize, u64)>;

/// The conditions that deciding by `policy` looks at.
pub fn of_policy(policy: &AccessPolicy) -> impl Iterator<Item = &Condition> {
    let extension = policy.extension.as_ref().and_then(|rules| rules.procedure.as_ref());
    policy
        .applies_to
        .iter()
        .chain(policy.profile.rules.iter().flat_map(|rule| &rule.conditions))
        .chain(policy.auto_rules.iter().flat_map(|rule| &rule.conditions))
        .chain(policy.procedure.iter().chain(extension).flat_map(of_procedure))
}

/// The conditions that the exception to `rule` looks at.
pub fn of_separation(rule: &SeparationRule) -> impl Iterator<Item = &Condition> {
    rule.procedure.iter().flat_map(of_procedure)
}

fn of_procedure(procedure: &ApprovalProcedure) -> impl Iterator<Item = &Condition> {
    procedure.steps.iter().flat_map(|step| &step.when.conditions)
}

impl<'a> Conditions<'a> {
    /// The bits of `conditions`, each added if it is new.
    pub fn mask(&mut self, conditions: impl Iterator<Item = &'a Condition>) -> Mask {
        let mut words: HashMap<usize, u64> = HashMap::new();
        for condition in conditions {
            let next = self.each.len();
            let at = *self.places.entry((&condition.attribute, condition.operator.word(), &condition.values)).or_insert(next);
            if at == next {
                self.each.push(condition);
            }
            *words.entry(at / 32).or_default() |= 3 << (at % 32 * 2);
        }
        let mut mask: Mask = words.into_iter().collect();
        mask.sort_unstable();
        mask
    }

    /// How each comes out for `person`.
    pub fn bits(&self, person: &PersonSnapshot) -> Vec<u64> {
        let mut words = vec![0; self.each.len().div_ceil(32)];
        for (at, condition) in self.each.iter().enumerate() {
            let checked = condition.check(person);
            let bits = u64::from(checked.met) | u64::from(condition.is_silent(&checked)) << 1;
            words[at / 32] |= bits << (at % 32 * 2);
        }
        words
    }
}

/// The bits that count by `mask`, into `out`.
pub fn masked(bits: &[u64], mask: &Mask, out: &mut Vec<u64>) {
    out.clear();
    out.extend(mask.iter().map(|(word, keep)| bits.get(*word).copied().unwrap_or_default() & keep));
}
