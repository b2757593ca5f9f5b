//! What is written reads back to what it was.

use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::strategy::ValueTree;

use super::*;
use crate::domain::condition::Operator;
use crate::domain::id::RoleId;
use crate::domain::policy::{AutoRule, Durations, EligibilityLost, Emergency, Escalation, Extension, OnBehalf, Pattern, Slot};
use crate::service::catalog_file::compare::{policy_digest, separation_digest};
use crate::service::catalog_file::read::read;
use crate::service::catalog_file::resolve::{Found, FoundGroup, FoundPerson, Resolved};
use crate::service::plan::plan;
use crate::store::catalog::{ApplicationNow, BindingNow, Latest, Parts};

const PEOPLE: [(&str, u128); 3] = [("ines.okafor", 1), ("mara \"v\" voss", 2), ("arjun", 3)];

fn company() -> Resolved {
    let person =
        |number: u128| FoundPerson { id: PersonId(Uuid::from_u128(number)), reference: format!("p{number}"), name: format!("P {number}"), active: true };
    let group = |name: &str, reference: &str| {
        let approvers = (0..60).map(|n| format!("{reference}-{n}")).collect();
        Found::One(FoundGroup { reference: reference.into(), name: name.into(), read_only: None, approvers })
    };
    Resolved {
        directory: "main".into(),
        people: PEOPLE.iter().map(|(login, number)| ((*login).to_owned(), Found::One(person(*number)))).collect(),
        groups: [("dba", group("dba", "g1")), ("g2", group("renamed", "g2"))].map(|(name, found)| (name.to_owned(), found)).into(),
        ..Resolved::default()
    }
}

fn called() -> Called {
    Called {
        directory: "main".into(),
        people: PEOPLE.iter().map(|(login, number)| (PersonId(Uuid::from_u128(*number)), (*login).to_owned())).collect(),
        above: PEOPLE.iter().map(|(login, number)| (format!("main:p{number}"), (*login).to_owned())).collect(),
        groups: [("main".to_owned(), [("g1".to_owned(), "dba".to_owned())].into())].into(),
    }
}

/// A line of text as a file may hold it.
fn text() -> impl Strategy<Value = String> {
    "[ -~äéß“”—漢🙂\\\\\"]{1,30}".prop_map(|text| text.trim().to_owned()).prop_filter("empty", |text| !text.is_empty())
}

fn span() -> impl Strategy<Value = Seconds> {
    prop_oneof![1i64..100_000, (1i64..400).prop_map(|days| days * 86_400)].prop_map(Seconds)
}

fn condition() -> impl Strategy<Value = Condition> {
    let attribute = "[a-z][a-z0-9_]{0,8}".prop_filter("special", |name| !matches!(name.as_str(), "groups" | "manager"));
    let one = (attribute.clone(), prop_oneof![Just(Operator::Is), Just(Operator::IsNot)], vec(text(), 1));
    let many = prop_oneof![Just(Operator::In), Just(Operator::NotIn), Just(Operator::Contains), Just(Operator::StartsWith)];
    let many = (attribute.clone(), many, vec(text(), 1..4));
    let none = (attribute, prop_oneof![Just(Operator::Exists), Just(Operator::NotExists)], Just(vec![]));
    let groups = prop_oneof![Just(Operator::MemberOf), Just(Operator::NotMemberOf)];
    let groups = (Just("groups".to_owned()), groups, Just(vec!["main:g1".to_owned(), "main:g2".to_owned()]));
    let above = (Just("manager".to_owned()), Just(Operator::ReportsTo), vec(prop_oneof![Just("main:p3".to_owned()), Just("main:p2".to_owned())], 1..3));
    prop_oneof![one, many, none, groups, above].prop_map(|(attribute, operator, values)| Condition { attribute, operator, values, called: vec![] })
}

fn risk_list() -> impl Strategy<Value = Vec<Risk>> {
    proptest::sample::subsequence(vec![Risk::Low, Risk::Elevated, Risk::Critical], 0..=3)
}

fn source_list() -> impl Strategy<Value = Vec<ApproverSource>> {
    let all = vec![
        ApproverSource::Manager,
        ApproverSource::ManagersManager,
        ApproverSource::ApplicationOwner,
        ApproverSource::RoleOwner,
        ApproverSource::Person { id: PersonId(Uuid::from_u128(2)), name: "another name".into() },
        ApproverSource::Group { reference: "g1".into(), name: "an old name".into() },
        ApproverSource::Group { reference: "g2".into(), name: "g two".into() },
    ];
    proptest::sample::subsequence(all, 1..4).prop_shuffle()
}

fn step() -> impl Strategy<Value = Step> {
    let when = (vec(condition(), 0..3), risk_list(), of(span())).prop_map(|(conditions, risks, longer_than)| When { conditions, risks, longer_than });
    let escalation = of((source_list(), of(span())).prop_map(|(sources, time_limit)| Escalation { sources, time_limit }));
    // The second slot asks others than the first, so that both can be filled.
    let second = || Slot { approvals: 3, sources: vec![ApproverSource::Group { reference: "g1".into(), name: "dba".into() }, ApproverSource::RoleOwner] };
    let slots = (source_list(), any::<bool>())
        .prop_map(move |(sources, two)| std::iter::once(Slot { approvals: 1, sources }).chain(two.then(second)).collect::<Vec<_>>());
    (text(), when, of(2i64..1_000_000), any::<bool>(), escalation, slots).prop_map(|(name, when, limit, reminds, escalation, slots)| Step {
        name,
        when,
        time_limit: limit.map(Seconds),
        remind_every: limit.filter(|_| reminds).map(|limit| Seconds(limit - 1)),
        escalation: escalation.filter(|_| limit.is_some()),
        slots,
    })
}

fn procedure(key: &'static str) -> impl Strategy<Value = ApprovalProcedure> {
    (text(), any::<bool>(), vec(step(), 1..3)).prop_map(move |(name, reassign, steps)| ApprovalProcedure {
        key: key.into(),
        name,
        version: 4,
        // Whether people suffice is not what is tested here.
        distinct_people: false,
        reassign,
        steps,
    })
}

fn text_rules() -> impl Strategy<Value = TextRule> {
    let own = (text(), text()).prop_map(|(word, says)| Pattern { expression: format!("{}[0-9]+", regex::escape(&word)), says });
    let pattern = of(prop_oneof![own, "[A-Z]{1,5}-?".prop_map(|prefix| prefixed(&prefix))]);
    (any::<bool>(), 0u32..100, pattern).prop_map(|(required, minimum, pattern)| TextRule { required, minimum, pattern })
}

fn fields() -> impl Strategy<Value = Vec<CustomField>> {
    let kind = prop_oneof![
        (1u32..4_000).prop_map(|maximum| FieldKind::Text { maximum }),
        proptest::collection::btree_set(text(), 2..4).prop_map(|choices| FieldKind::Choice { choices: choices.into_iter().collect() }),
        Just(FieldKind::Date),
        (of(-100i64..0), of(0i64..100)).prop_map(|(minimum, maximum)| FieldKind::Number { minimum, maximum }),
        Just(FieldKind::YesNo),
    ];
    vec((text(), of(text()), any::<bool>(), kind), 0..4).prop_map(|all| {
        let field = |(n, (label, help, required, kind))| CustomField { key: format!("field_{n}"), label, help, required, kind };
        all.into_iter().enumerate().map(field).collect()
    })
}

fn auto_rules() -> impl Strategy<Value = Vec<AutoRule>> {
    let verdict = prop_oneof![Just(Verdict::Approve), Just(Verdict::Deny)];
    vec((verdict, vec(condition(), 1..3), risk_list(), any::<bool>(), any::<bool>()), 0..3).prop_map(|all| {
        let rule = |(n, (verdict, conditions, risks, short, long)): (usize, (Verdict, _, _, bool, bool))| AutoRule {
            name: format!("rule {n}"),
            verdict,
            conditions,
            risks,
            at_most: short.then_some(Seconds(7_200)),
            longer_than: long.then_some(Seconds(3_601)),
        };
        all.into_iter().enumerate().map(rule).collect()
    })
}

fn profile() -> impl Strategy<Value = AccessProfile> {
    let deny = vec(condition(), 1..3).prop_map(|conditions| Rule { effect: Effect::Deny, conditions });
    let allow = vec(condition(), 0..3).prop_map(|conditions| Rule { effect: Effect::Allow, conditions });
    let rules = vec(prop_oneof![deny, allow], 0..4);
    (text(), rules).prop_map(|(name, mut rules)| {
        rules.push(Rule { effect: Effect::Allow, conditions: vec![] });
        AccessProfile { key: "who".into(), name, version: 2, rules }
    })
}

/// A policy with `procedure`, whose extensions may go by `other`.
fn policy(profile: AccessProfile, procedure: ApprovalProcedure, other: ApprovalProcedure) -> impl Strategy<Value = AccessPolicy> {
    let own = (text(), vec(condition(), 1..3), auto_rules(), of(span()), text_rules(), text_rules());
    let extension = of((of(Just(Seconds(5_000))), 1u32..=100, of(1u32..9), any::<bool>()));
    let more = (fields(), extension, any::<(bool, bool, bool)>(), of(span()), any::<bool>(), any::<bool>());
    (own, more).prop_map(move |((name, applies_to, auto_rules, future_start, justification, ticket), (fields, extension, who, review, indefinite, comment))| {
        let (manager, owner, confirm) = who;
        AccessPolicy {
            id: Uuid::from_u128(50).into(),
            key: "rules".into(),
            name,
            version: 7,
            digest: String::new(),
            applies_to,
            profile: profile.clone(),
            procedure: Some(procedure.clone()),
            auto_rules,
            durations: Durations {
                recommended: indefinite.then_some(Seconds(4_000)),
                minimum: Seconds(3_600),
                maximum: Seconds(10_000),
                choices: vec![Seconds(4_000), Seconds(10_000)],
                indefinite,
            },
            future_start,
            justification,
            ticket,
            fields,
            extension: extension.map(|(maximum, last_percent, most, own)| Extension { maximum, last_percent, most, procedure: own.then(|| other.clone()) }),
            on_behalf: OnBehalf { manager, owner, confirm: confirm && (manager || owner) },
            emergency: review.map(|review_within| Emergency { maximum: Seconds(3_600), review_within }),
            comment_to_deny: comment,
            eligibility_lost: if comment { EligibilityLost::Keep } else { EligibilityLost::Revoke(Seconds(90_000)) },
        }
    })
}

fn catalog() -> impl Strategy<Value = Catalog> {
    (profile(), procedure("ordinary"), procedure("special"))
        .prop_flat_map(|(profile, ordinary, special)| {
            let policy = policy(profile.clone(), ordinary.clone(), special.clone());
            (Just(profile), Just(ordinary), Just(special), policy, vec(text(), 6), any::<bool>(), any::<bool>(), 0i32..30)
        })
        .prop_map(|(profile, ordinary, special, policy, texts, excepted, own_owner, priority)| {
            let id = Uuid::from_u128;
            let owner = |number: u128| (id(number), PEOPLE[number as usize - 1].0.to_owned());
            let application = ApplicationNow {
                id: id(10),
                key: "db".into(),
                name: texts[0].clone(),
                description: format!("{}\n{}", texts[1], texts[2]),
                owner_id: owner(1).0,
                owner_login: owner(1).1,
                retired: false,
            };
            let role = |n: u128, key: &str, group: &str| RoleNow {
                id: id(n),
                application_id: id(10),
                key: key.into(),
                name: texts[3].clone(),
                description: String::new(),
                owner_id: owner(if own_owner { 2 } else { 1 }).0,
                owner_login: owner(if own_owner { 2 } else { 1 }).1,
                risk: "elevated".into(),
                directory: Some("main".into()),
                group_reference: Some(group.into()),
                group_name: Some(if group == "g1" { "dba" } else { "renamed" }.into()),
                drift: if group == "g1" { "alert" } else { "adopt" }.into(),
                retired: false,
            };
            let mut rule = SeparationRule {
                id: id(60),
                key: "apart".into(),
                name: texts[4].clone(),
                version: 3,
                digest: String::new(),
                a: vec![RoleId(id(11))],
                b: vec![RoleId(id(12))],
                procedure: excepted.then(|| special.clone()),
            };
            rule.digest = separation_digest(&rule).unwrap();
            let mut policy = policy;
            policy.digest = policy_digest(&policy).unwrap();
            let parts =
                Parts { profile: id(20), procedure: Some(id(30)), extension: policy.extension.as_ref().and_then(|e| e.procedure.as_ref()).map(|_| id(31)) };
            let latest = |n: u128, version: u128| (id(n), id(version));
            let ((profile_id, profile_version), (one, one_version), (two, two_version)) = (latest(21, 20), latest(32, 30), latest(33, 31));
            let bound =
                |n: u128, role_id: Option<Uuid>, priority: i32| BindingNow { id: id(n), policy: "rules".into(), role_id, application_id: None, priority };
            Catalog {
                applications: vec![application],
                roles: vec![role(11, "reader", "g1"), role(12, "writer", "g2")],
                profiles: vec![Latest { id: profile_id, version_id: profile_version, retired: false, body: profile }],
                procedures: vec![
                    Latest { id: one, version_id: one_version, retired: false, body: ordinary },
                    Latest { id: two, version_id: two_version, retired: false, body: special },
                ],
                policies: vec![(Latest { id: id(51), version_id: id(50), retired: false, body: policy }, parts)],
                separation: vec![(Latest { id: id(61), version_id: id(60), retired: false, body: rule }, excepted.then(|| id(31)))],
                bindings: vec![bound(70, Some(id(11)), priority), bound(71, None, 10)],
            }
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]
    #[test]
    fn every_catalog_reads_back_to_itself(catalog in catalog()) {
        let text = toml(&catalog, &called());
        let planned = plan(&read(&text), &catalog, &company(), &mut Uuid::nil);
        prop_assert!(planned.faults.is_empty(), "{planned}\n{text}");
        prop_assert!(planned.changes.is_empty() && planned.writes.is_empty(), "{planned}\n{text}");
    }

    #[test]
    fn every_text_is_quoted_so_that_it_reads_back(text in "[^\u{7f}-\u{9f}]{0,40}") {
        let document = format!("text = {}", quoted(&text));
        let read: ::toml::Table = document.parse().map_err(|error| TestCaseError::fail(format!("{document}: {error}")))?;
        prop_assert_eq!(read["text"].as_str(), Some(text.as_str()));
    }
}

#[test]
fn what_is_retired_is_not_written() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut catalog = catalog().new_tree(&mut runner).unwrap().current();
    let whole = toml(&catalog, &called());
    for key in ["\"who\"", "\"ordinary\"", "\"special\"", "\"rules\"", "\"apart\"", "\"reader\"", "\"db\""] {
        assert!(whole.contains(&format!("key = {key}")), "{key} in {whole}");
    }
    catalog.profiles[0].retired = true;
    catalog.procedures.iter_mut().for_each(|now| now.retired = true);
    catalog.policies[0].0.retired = true;
    catalog.separation[0].0.retired = true;
    catalog.roles[0].retired = true;
    catalog.bindings.clear();
    let rest = toml(&catalog, &called());
    assert_eq!(rest.matches("[[").count(), 2, "an application and a role: {rest}");
}
