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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::domain::catalog::{Risk, Role};
    use crate::domain::samples::{any_person, any_policies, ask, at, bo, someone, when};
    use crate::service::health::ask::paths;
    use crate::service::rule_book::RoleRules;

    fn rules(policies: Vec<AccessPolicy>) -> RoleRules {
        let role = Role {
            id: ask().role,
            application: Uuid::from_u128(8).into(),
            application_name: "Orders".into(),
            application_owner: someone(8),
            name: "Read".into(),
            owner: someone(9),
            risk: Risk::Low,
            directory: "main".into(),
            group_reference: "g".into(),
        };
        RoleRules { role, key: "orders/read".into(), policies: policies.into_iter().map(Arc::new).collect(), separation: vec![] }
    }

    proptest! {
        #[test]
        fn people_for_whom_every_condition_comes_out_alike_take_the_same_paths(policies in any_policies(), people in prop::collection::vec(any_person(), 2..12)) {
            let rules = rules(policies);
            let mut conditions = Conditions::default();
            let mask = conditions.mask(rules.policies.iter().flat_map(|policy| of_policy(policy)));
            let seen: Vec<(Vec<u64>, _)> = people.iter().map(|person| {
                let mut key = Vec::new();
                masked(&conditions.bits(person), &mask, &mut key);
                (key, paths(&rules, person, at(0)))
            }).collect();
            for (key, taken) in &seen {
                for (other, also) in &seen {
                    prop_assert!(key != other || taken == also, "{taken:?} and {also:?}");
                }
            }
        }
    }

    #[test]
    fn a_condition_is_one_wherever_it_stands_and_only_what_is_looked_at_counts() {
        use crate::domain::condition::Operator;
        let (data, title) = (when("department", Operator::Is, &["Data"]), when("title", Operator::Is, &["Boss"]));
        let mut conditions = Conditions::default();
        let both = conditions.mask([&data, &title, &data].into_iter());
        let one = conditions.mask([&data].into_iter());
        assert_eq!((both, one.clone()), (vec![(0, 0b1111)], vec![(0, 0b11)]));
        // Bo is of Data, and the directory says nothing of his title.
        assert_eq!(conditions.bits(&bo()), [0b1001]);
        let mut key = Vec::new();
        masked(&conditions.bits(&bo()), &one, &mut key);
        assert_eq!(key, [0b01]);
        let many: Vec<Condition> = (0..40).map(|n| when("department", Operator::Is, &[&format!("D{n}")])).collect();
        assert_eq!(conditions.mask(many.iter()).len(), 2, "past 32 they take another word");
    }
}
