//! People, policies and times for the tests.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use proptest::prelude::*;
use uuid::Uuid;

use super::condition::{Condition, Operator};
use super::decide::Ask;
use super::id::{GrantId, PersonId, PolicyVersionId, RoleId};
use super::person::{GroupRef, PersonSnapshot};
use super::policy::{AccessPolicy, AccessProfile, ApprovalProcedure, ApproverSource, Durations, Effect, Rule, Slot, Step};
use super::span::Seconds;

/// The attributes that samples look at.
pub const ATTRIBUTES: [&str; 3] = ["department", "title", "employment_type"];
const VALUES: [&str; 4] = ["Engineering", "Data", "Staff engineer", "contractor"];
const GROUPS: [&str; 3] = ["sre", "dba", "contractors"];

/// A person's id that is always the same for `n`.
pub fn someone(n: usize) -> PersonId {
    PersonId(Uuid::from_u128(0x1000 + n as u128))
}

/// A lease's id that is always the same for `n`.
pub fn lease_id(n: usize) -> GrantId {
    GrantId(Uuid::from_u128(0x2000 + n as u128))
}

/// `seconds` after a day in 2026.
pub fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_770_000_000 + seconds, 0).unwrap()
}

/// Bo Lind of Data, in group sre.
pub fn bo() -> PersonSnapshot {
    PersonSnapshot {
        person: someone(1),
        directory: "main".into(),
        reference: "r-1".into(),
        user_name: "bo.lind".into(),
        display_name: "Bo Lind".into(),
        email: Some("bo@example.org".into()),
        active: true,
        manager: Some("r-2".into()),
        attributes: BTreeMap::from([("department".into(), vec!["Data".into()]), ("employment_type".into(), vec!["employee".into()])]),
        groups: vec![GroupRef { reference: "g-sre".into(), name: "sre".into() }],
        fetched_at: at(-1),
    }
}

/// Bo asks for four hours.
pub fn ask() -> Ask {
    Ask { requester: someone(1), beneficiary: someone(1), role: RoleId(Uuid::from_u128(7)), duration: Some(Seconds(14_400)), starts_at: None }
}

/// A condition.
pub fn when(attribute: &str, operator: Operator, values: &[&str]) -> Condition {
    Condition { attribute: attribute.into(), operator, values: values.iter().map(|v| (*v).into()).collect() }
}

/// An allow rule.
pub fn allow(conditions: Vec<Condition>) -> Rule {
    Rule { effect: Effect::Allow, conditions }
}

/// A deny rule.
pub fn deny(conditions: Vec<Condition>) -> Rule {
    Rule { effect: Effect::Deny, conditions }
}

/// A policy with these rules: 15 minutes to 8 hours, extensible, approved by the manager.
pub fn policy(key: &str, applies_to: Vec<Condition>, rules: Vec<Rule>) -> AccessPolicy {
    let id = key.bytes().fold(0u128, |sum, byte| sum * 256 + u128::from(byte));
    AccessPolicy {
        id: PolicyVersionId(Uuid::from_u128(id)),
        key: key.into(),
        name: key.into(),
        version: 3,
        digest: "0".repeat(64),
        applies_to,
        profile: AccessProfile { key: format!("{key}-profile"), name: "Who may ask".into(), version: 2, rules },
        procedure: Some(ApprovalProcedure {
            key: "manager".into(),
            name: "Manager".into(),
            version: 1,
            distinct_people: true,
            steps: vec![Step { name: "Manager".into(), time_limit: None, slots: vec![Slot { approvals: 1, source: ApproverSource::Manager, fallback: None }] }],
        }),
        durations: Durations {
            recommended: Some(Seconds(14_400)),
            minimum: Seconds(900),
            maximum: Seconds(28_800),
            choices: vec![Seconds(3_600), Seconds(14_400)],
            indefinite: false,
        },
        justification_required: true,
        justification_minimum: 10,
        ticket_required: false,
        ticket_prefix: None,
        extension: true,
        comment_to_deny: true,
    }
}

/// Any condition on the attributes and groups of [`any_person`].
pub fn any_condition() -> impl Strategy<Value = Condition> {
    (
        prop::sample::select(&ATTRIBUTES[..]),
        prop::sample::select(&Operator::ALL[..]),
        prop::collection::vec(prop::sample::select(&VALUES[..]), 1..3),
        any::<prop::sample::Index>(),
    )
        .prop_map(|(attribute, (operator, _), mut values, group)| {
            let (fewest, most) = operator.arity();
            if matches!(operator, Operator::MemberOf | Operator::NotMemberOf) {
                values = vec![*group.get(&GROUPS)];
            }
            values.truncate(most);
            assert!(values.len() >= fewest);
            when(attribute, operator, &values)
        })
}

/// Any rule of up to three conditions; none is a rule that always applies.
pub fn any_rule() -> impl Strategy<Value = Rule> {
    (any::<bool>(), prop::collection::vec(any_condition(), 0..3))
        .prop_map(|(allows, conditions)| Rule { effect: if allows { Effect::Allow } else { Effect::Deny }, conditions })
}

/// Any policy, with a procedure or without.
pub fn any_policy(key: &'static str) -> impl Strategy<Value = AccessPolicy> {
    (prop::collection::vec(any_condition(), 0..3), prop::collection::vec(any_rule(), 0..5), any::<bool>()).prop_map(move |(applies_to, rules, asks)| {
        let mut policy = policy(key, applies_to, rules);
        policy.procedure = policy.procedure.filter(|_| asks);
        policy
    })
}

/// Up to three policies, first priority first.
pub fn any_policies() -> impl Strategy<Value = Vec<AccessPolicy>> {
    (any_policy("one"), any_policy("two"), any_policy("three"), 0usize..4).prop_map(|(a, b, c, n)| [a, b, c].into_iter().take(n).collect())
}

/// Anybody active, with some of the attributes and groups.
pub fn any_person() -> impl Strategy<Value = PersonSnapshot> {
    (
        prop::collection::btree_map(prop::sample::select(&ATTRIBUTES[..]), prop::collection::vec(prop::sample::select(&VALUES[..]), 1..3), 0..4),
        prop::sample::subsequence(&GROUPS[..], 0..=3),
    )
        .prop_map(|(attributes, groups)| PersonSnapshot {
            attributes: attributes.into_iter().map(|(name, values)| (name.into(), values.into_iter().map(Into::into).collect())).collect(),
            groups: groups.into_iter().map(|name| GroupRef { reference: format!("g-{name}"), name: name.into() }).collect(),
            ..bo()
        })
}
