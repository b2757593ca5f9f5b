//! People, policies and times for the tests.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use proptest::prelude::*;
use uuid::Uuid;

use super::catalog::Risk;
use super::condition::{Condition, Operator, meant};
use super::decide::{Ask, Standing};
use super::id::{GrantId, PersonId, PolicyVersionId, RoleId};
use super::person::{Above, GroupRef, PersonSnapshot};
use super::policy::{
    AccessPolicy, AccessProfile, ApprovalProcedure, ApproverSource, AutoRule, Durations, Effect, EligibilityLost, Emergency, Extension, OnBehalf, Rule, Slot,
    Step, TextRule, Verdict, When,
};
use super::separation::SeparationRule;
use super::span::Seconds;

/// The attributes that samples look at.
pub const ATTRIBUTES: [&str; 3] = ["department", "title", "employment_type"];
const VALUES: [&str; 4] = ["Engineering", "Data", "Staff engineer", "contractor"];
const GROUPS: [&str; 3] = ["sre", "dba", "contractors"];
const CHIEFS: [&str; 2] = ["mara.voss", "ines.head"];
const RISKS: [Risk; 3] = [Risk::Low, Risk::Elevated, Risk::Critical];

/// A person's id that is always the same for `n`.
pub fn someone(n: usize) -> PersonId {
    PersonId(Uuid::from_u128(0x1000 + n as u128))
}

/// A lease's id that is always the same for `n`.
pub fn lease_id(n: usize) -> GrantId {
    GrantId(Uuid::from_u128(0x2000 + n as u128))
}

/// A role's id that is always the same for `n`.
pub fn role_id(n: usize) -> RoleId {
    RoleId(Uuid::from_u128(0x3000 + n as u128))
}

/// `seconds` after a day in 2026.
pub fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_770_000_000 + seconds, 0).unwrap()
}

/// Bo Lind of Data, in group sre, who reports to Mara Voss, who reports to Ines Head.
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
        line: [("r-2", "mara.voss"), ("r-3", "ines.head")].map(|(reference, name)| Above { reference: reference.into(), user_name: name.into() }).into(),
        fetched_at: at(-1),
    }
}

/// Bo asks for role 0, of low risk, for four hours.
pub fn ask() -> Ask {
    Ask {
        requester: someone(1),
        beneficiary: someone(1),
        role: role_id(0),
        risk: Risk::Low,
        duration: Some(Seconds(14_400)),
        starts_at: None,
        extension: false,
        emergency: false,
        review_owed: false,
        standing: Standing::default(),
        held: vec![],
    }
}

/// A condition.
pub fn when(attribute: &str, operator: Operator, values: &[&str]) -> Condition {
    let given = || values.iter().map(|v| (*v).to_owned());
    let reference = |name: String| match operator {
        Operator::ReportsTo => {
            bo().line.into_iter().find(|above| above.user_name == name).map_or(meant("main", &name), |above| meant("main", &above.reference))
        }
        _ => meant("main", &format!("g-{name}")),
    };
    let (values, called) = match operator {
        Operator::MemberOf | Operator::NotMemberOf | Operator::ReportsTo => (given().map(reference).collect(), given().collect()),
        _ => (given().collect(), vec![]),
    };
    Condition { attribute: attribute.into(), operator, values, called }
}

/// An allow rule.
pub fn allow(conditions: Vec<Condition>) -> Rule {
    Rule { effect: Effect::Allow, conditions }
}

/// A deny rule.
pub fn deny(conditions: Vec<Condition>) -> Rule {
    Rule { effect: Effect::Deny, conditions }
}

/// A step that `source` alone approves.
pub fn step(name: &str, when: When, source: ApproverSource) -> Step {
    let slots = vec![Slot { approvals: 1, sources: vec![source] }];
    Step { name: name.into(), when, time_limit: None, remind_every: None, escalation: None, slots }
}

/// Version 1 of a procedure of these steps.
pub fn procedure(key: &str, steps: Vec<Step>) -> ApprovalProcedure {
    ApprovalProcedure { key: key.into(), name: key.into(), version: 1, distinct_people: true, reassign: true, steps }
}

/// An auto rule for these conditions.
pub fn auto(name: &str, verdict: Verdict, conditions: Vec<Condition>) -> AutoRule {
    AutoRule { name: name.into(), verdict, conditions, risks: vec![], at_most: None, longer_than: None }
}

/// Nobody holds a role of `a` and one of `b`.
pub fn apart(key: &str, a: &[usize], b: &[usize], procedure: Option<ApprovalProcedure>) -> SeparationRule {
    let ids = |roles: &[usize]| roles.iter().map(|n| role_id(*n)).collect();
    SeparationRule { id: Uuid::nil(), key: key.into(), name: key.into(), version: 1, digest: "0".repeat(64), a: ids(a), b: ids(b), procedure }
}

/// A policy with these rules: 15 minutes to 8 hours, a reason of ten characters, extensible, approved by the manager.
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
        procedure: Some(procedure("manager", vec![step("Manager", When::default(), ApproverSource::Manager)])),
        auto_rules: vec![],
        durations: Durations {
            recommended: Some(Seconds(14_400)),
            minimum: Seconds(900),
            maximum: Seconds(28_800),
            choices: vec![Seconds(3_600), Seconds(14_400)],
            indefinite: false,
        },
        future_start: Some(Seconds(7 * 86_400)),
        justification: TextRule { required: true, minimum: 10, pattern: None },
        ticket: TextRule::default(),
        fields: vec![],
        extension: Some(Extension { maximum: None, last_percent: 50, most: None, procedure: None }),
        on_behalf: OnBehalf::default(),
        emergency: None,
        comment_to_deny: true,
        eligibility_lost: EligibilityLost::default(),
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
            match operator {
                Operator::MemberOf | Operator::NotMemberOf => values = vec![*group.get(&GROUPS)],
                Operator::ReportsTo => values = vec![*group.get(&CHIEFS)],
                _ => {}
            }
            values.truncate(most);
            assert!(values.len() >= fewest);
            when(attribute, operator, &values)
        })
}

/// Any rule of up to two conditions, more often one that allows; an allow rule without conditions always applies.
pub fn any_rule() -> impl Strategy<Value = Rule> {
    let allows = prop::collection::vec(any_condition(), 0..3).prop_map(allow);
    let denies = prop_oneof![9 => prop::collection::vec(any_condition(), 1..3), 1 => Just(vec![])].prop_map(deny);
    prop_oneof![4 => allows, 1 => denies]
}

fn any_risks() -> impl Strategy<Value = Vec<Risk>> {
    prop_oneof![3 => Just(vec![]), 1 => prop::sample::subsequence(&RISKS[..], 1..=2)]
}

fn any_limit() -> impl Strategy<Value = Option<Seconds>> {
    prop::option::weighted(0.3, (0i64..30_000).prop_map(Seconds))
}

/// Any step's condition; often none.
pub fn any_when() -> impl Strategy<Value = When> {
    let some = (prop::collection::vec(any_condition(), 0..3), any_risks(), any_limit());
    prop_oneof![1 => Just(When::default()), 1 => some.prop_map(|(conditions, risks, longer_than)| When { conditions, risks, longer_than })]
}

/// Any procedure of up to three steps.
pub fn any_procedure(key: &'static str) -> impl Strategy<Value = ApprovalProcedure> {
    let steps = prop::collection::vec(any_when(), 1..4);
    steps.prop_map(move |whens| procedure(key, whens.into_iter().map(|when| step("Step", when, ApproverSource::RoleOwner)).collect()))
}

/// Any auto rule.
pub fn any_auto() -> impl Strategy<Value = AutoRule> {
    (prop::bool::weighted(0.7), prop::collection::vec(any_condition(), 0..3), any_risks(), any_limit(), any_limit()).prop_map(
        |(approves, conditions, risks, at_most, longer_than)| {
            let verdict = if approves { Verdict::Approve } else { Verdict::Deny };
            AutoRule { risks, at_most, longer_than, ..auto("rule", verdict, conditions) }
        },
    )
}

/// Any policy: with a procedure or without, with auto rules, an emergency path, people who may ask for others, an extension.
pub fn any_policy(key: &'static str) -> impl Strategy<Value = AccessPolicy> {
    let who = (prop_oneof![1 => Just(vec![]), 1 => prop::collection::vec(any_condition(), 1..3)], prop::collection::vec(any_rule(), 0..5), any::<bool>());
    let how = (prop::option::weighted(0.8, any_procedure("usual")), prop::collection::vec(any_auto(), 0..3));
    let beside = (prop::bool::weighted(0.7), prop::bool::weighted(0.7), prop::bool::weighted(0.7), prop::option::of(prop::option::of(any_procedure("again"))));
    (who, how, beside).prop_map(move |((applies_to, mut rules, open), (procedure, auto_rules), (manager, owner, emergency, extension))| {
        rules.extend(open.then(|| allow(vec![])));
        AccessPolicy {
            procedure,
            auto_rules,
            on_behalf: OnBehalf { manager, owner, confirm: false },
            emergency: emergency.then_some(Emergency { maximum: Seconds(3_600), review_within: Seconds(86_400) }),
            extension: extension.map(|procedure| Extension { maximum: None, last_percent: 50, most: None, procedure }),
            ..policy(key, applies_to, rules)
        }
    })
}

/// Any ask of Bo's, or of somebody for Bo.
pub fn any_ask() -> impl Strategy<Value = Ask> {
    let what = (prop::sample::select(&RISKS[..]), prop::option::weighted(0.9, 0i64..40_000), prop::sample::subsequence(vec![1, 2, 3], 0..=3));
    let how = (prop::bool::weighted(0.2), prop::bool::weighted(0.2), prop::bool::weighted(0.3), prop::bool::weighted(0.2), any::<bool>(), any::<bool>());
    (what, how).prop_map(|((risk, duration, held), (extension, emergency, review_owed, other, manages, owns))| Ask {
        requester: if other { someone(2) } else { someone(1) },
        risk,
        duration: duration.map(Seconds),
        extension,
        emergency,
        review_owed,
        standing: Standing { manages, owns },
        held: held.into_iter().map(role_id).collect(),
        ..ask()
    })
}

/// Up to two separation rules about role 0, with a procedure or without.
pub fn any_separation() -> impl Strategy<Value = Vec<SeparationRule>> {
    let rule = (prop::sample::subsequence(vec![1, 2, 3], 1..=2), prop::option::weighted(0.7, any_procedure("exception")));
    prop_oneof![2 => Just(vec![]), 1 => prop::collection::vec(rule, 1..3)].prop_map(|rules| {
        rules
            .into_iter()
            .zip(["pay", "trade"])
            .map(|((b, procedure), key)| apart(key, &[0], &b, procedure.map(|p| ApprovalProcedure { key: key.into(), ..p })))
            .collect()
    })
}

/// Up to three policies, first priority first.
pub fn any_policies() -> impl Strategy<Value = Vec<AccessPolicy>> {
    (any_policy("one"), any_policy("two"), any_policy("three"), prop_oneof![1 => Just(0usize), 9 => 1usize..4])
        .prop_map(|(a, b, c, n)| [a, b, c].into_iter().take(n).collect())
}

/// Anybody active, with some of the attributes and groups.
pub fn any_person() -> impl Strategy<Value = PersonSnapshot> {
    (
        prop::sample::subsequence(&ATTRIBUTES[..], 1..=3),
        prop::collection::vec(prop::collection::vec(prop::sample::select(&VALUES[..]), 1..3), 3),
        prop::sample::subsequence(&GROUPS[..], 0..=3),
        0usize..3,
    )
        .prop_map(|(attributes, values, groups, depth)| PersonSnapshot {
            line: bo().line.into_iter().take(depth).collect(),
            attributes: attributes.into_iter().zip(values).map(|(name, values)| (name.into(), values.into_iter().map(Into::into).collect())).collect(),
            groups: groups.into_iter().map(|name| GroupRef { reference: format!("g-{name}"), name: name.into() }).collect(),
            ..bo()
        })
}
