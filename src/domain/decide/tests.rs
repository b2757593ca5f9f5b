//! What the decision promises, for any policy and person.

use proptest::prelude::*;

use super::super::condition::{Condition, Operator};
use super::super::policy::{AccessPolicy, Effect};
use super::super::samples::*;
use super::*;

fn decide_all(policies: &[AccessPolicy], person: &PersonSnapshot) -> Decision {
    decide(&policies.iter().collect::<Vec<_>>(), person, &ask(), at(0))
}

/// The lines of a trace for people: `+` in their favour, `-` not, `!` what counted against them.
fn told(decision: &Decision) -> String {
    let lines = decision.trace.iter().map(|line| {
        let mark = if line.passed { '+' } else { '-' };
        let counts = if line.decisive { "!" } else { "" };
        format!("{mark}{counts} {} [{}] {}", line.sentence, line.seen.join(", "), line.rule)
    });
    format!("{} by {}\n{}", decision.outcome.word(), decision.deciding_rule, lines.collect::<Vec<_>>().join("\n"))
}

fn all_hold(conditions: &[Condition], person: &PersonSnapshot) -> bool {
    conditions.iter().all(|condition| condition.check(person).met)
}

/// The combination of rules said a second time, in the words of product.md.
fn expected(policies: &[AccessPolicy], person: &PersonSnapshot) -> (Outcome, Option<PolicyVersionId>) {
    let Some(policy) = policies.iter().find(|policy| all_hold(&policy.applies_to, person)) else { return (Outcome::Refused, None) };
    let some = |effect| policy.profile.rules.iter().any(|rule| rule.effect == effect && all_hold(&rule.conditions, person));
    let outcome = match (person.active, some(Effect::Deny), some(Effect::Allow), policy.procedure.is_some()) {
        (false, ..) | (_, true, ..) | (_, _, false, _) => Outcome::Refused,
        (true, false, true, true) => Outcome::NeedsApproval,
        (true, false, true, false) => Outcome::AutoApproved,
    };
    (outcome, Some(policy.id))
}

/// The negations that are true of whoever has nothing.
fn true_of_nothing(condition: &Condition) -> bool {
    matches!(condition.operator, Operator::NotExists | Operator::NotMemberOf)
}

proptest! {
    #[test]
    fn rules_combine_as_the_product_says(policies in any_policies(), person in any_person()) {
        let decision = decide_all(&policies, &person);
        prop_assert_eq!((decision.outcome, decision.policy), expected(&policies, &person));
    }

    #[test]
    fn a_deny_rule_beats_every_allow_rule(mut policy in any_policy("one"), person in any_person(), place in any::<prop::sample::Index>()) {
        policy.applies_to.clear();
        policy.profile.rules.push(allow(vec![]));
        policy.profile.rules.insert(place.index(policy.profile.rules.len() + 1), deny(vec![]));
        prop_assert_eq!(decide_all(&[policy], &person).outcome, Outcome::Refused);
    }

    #[test]
    fn adding_a_deny_rule_never_lets_anyone_in(
        mut policies in any_policies(), person in any_person(), which in any::<prop::sample::Index>(), conditions in prop::collection::vec(any_condition(), 0..3),
    ) {
        let before = decide_all(&policies, &person).outcome;
        if !policies.is_empty() {
            let policy = which.index(policies.len());
            let rule = which.index(policies[policy].profile.rules.len() + 1);
            policies[policy].profile.rules.insert(rule, deny(conditions));
        }
        let after = decide_all(&policies, &person).outcome;
        prop_assert!(after == before || after == Outcome::Refused, "{before:?} became {after:?}");
    }

    #[test]
    fn adding_an_allow_rule_never_keeps_anyone_out(
        mut policies in any_policies(), person in any_person(), which in any::<prop::sample::Index>(), conditions in prop::collection::vec(any_condition(), 0..3),
    ) {
        let before = decide_all(&policies, &person).outcome;
        if !policies.is_empty() {
            let policy = which.index(policies.len());
            policies[policy].profile.rules.push(allow(conditions));
        }
        let after = decide_all(&policies, &person).outcome;
        prop_assert!(after == before || before == Outcome::Refused, "{before:?} became {after:?}");
    }

    #[test]
    fn the_order_of_rules_and_conditions_changes_nothing(
        (policy, mut turned) in any_policy("one").prop_flat_map(|policy| (Just(policy.clone()), Just(policy.profile.rules.clone()).prop_shuffle().prop_map(move |rules| {
            let mut turned = policy.clone();
            turned.profile.rules = rules;
            turned
        }))),
        person in any_person(),
    ) {
        turned.applies_to.reverse();
        turned.profile.rules.iter_mut().for_each(|rule| rule.conditions.reverse());
        let (a, b) = (decide_all(&[policy], &person), decide_all(&[turned], &person));
        prop_assert_eq!((a.outcome, a.policy), (b.outcome, b.policy));
        prop_assert_eq!(a.trace.len(), b.trace.len());
    }

    #[test]
    fn a_policy_after_the_one_that_governs_is_not_looked_at(mut policies in any_policies(), later in any_policy("later"), person in any_person()) {
        let before = decide_all(&policies, &person);
        prop_assume!(before.policy.is_some());
        policies.push(later);
        prop_assert_eq!(decide_all(&policies, &person), before);
    }

    /// What holds of a missing attribute, to the letter: among rules that only allow, and policies that are for everybody, taking an
    /// attribute or a group away never lets anyone in, unless an allow rule asks for its absence (`not_exists`, `not_member_of`).
    #[test]
    fn taking_an_attribute_or_a_group_away_never_lets_anyone_in(mut policy in any_policy("one"), person in any_person(), which in any::<prop::sample::Index>()) {
        policy.applies_to.clear();
        policy.profile.rules.retain(|rule| rule.effect == Effect::Allow && !rule.conditions.iter().any(true_of_nothing));
        let mut less = person.clone();
        if which.index(2) == 0 {
            less.attributes.remove(*which.get(&ATTRIBUTES));
        } else {
            less.groups.pop();
        }
        let (before, after) = (decide_all(std::slice::from_ref(&policy), &person).outcome, decide_all(&[policy], &less).outcome);
        prop_assert!(after == before || after == Outcome::Refused, "{before:?} became {after:?}");
    }

    /// And with rules that deny: it holds for what neither a deny rule nor `applies_to` looks at.
    #[test]
    fn an_attribute_that_only_allow_rules_look_at_can_be_taken_away_without_harm(policies in any_policies(), person in any_person(), name in prop::sample::select(&ATTRIBUTES[..])) {
        let looks = |condition: &Condition| condition.attribute == name && !matches!(condition.operator, Operator::MemberOf | Operator::NotMemberOf);
        prop_assume!(policies.iter().all(|policy| !policy.applies_to.iter().any(looks)
            && policy.profile.rules.iter().all(|rule| !rule.conditions.iter().any(|c| looks(c) && (rule.effect == Effect::Deny || true_of_nothing(c))))));
        let mut less = person.clone();
        less.attributes.remove(name);
        let (before, after) = (decide_all(&policies, &person).outcome, decide_all(&policies, &less).outcome);
        prop_assert!(after == before || after == Outcome::Refused, "{before:?} became {after:?}");
    }

    #[test]
    fn a_disabled_person_is_refused_whatever_the_rules(policies in any_policies(), mut person in any_person()) {
        person.active = false;
        let decision = decide_all(&policies, &person);
        prop_assert_eq!(decision.outcome, Outcome::Refused);
        prop_assert_eq!(decision.policy, None);
        prop_assert!(decision.trace.iter().any(|line| line.decisive && line.rule == "person is active"));
    }

    #[test]
    fn a_start_in_the_past_is_refused_whatever_the_rules(policies in any_policies(), person in any_person(), early in 1i64..1_000_000) {
        let ask = Ask { starts_at: Some(at(-early)), ..ask() };
        let decision = decide(&policies.iter().collect::<Vec<_>>(), &person, &ask, at(0));
        prop_assert_eq!(decision.outcome, Outcome::Refused);
        let ahead = Ask { starts_at: Some(at(early)), ..ask };
        prop_assert_eq!(decide(&policies.iter().collect::<Vec<_>>(), &person, &ahead, at(0)), decide_all(&policies, &person));
    }

    #[test]
    fn the_trace_holds_every_rule_that_was_looked_at(policies in any_policies(), person in any_person()) {
        let decision = decide_all(&policies, &person);
        let mut wanted: Vec<(String, Option<(&Condition, bool)>)> = Vec::new();
        for policy in &policies {
            let name = format!("policy {} v{}: for whom", policy.key, policy.version);
            for (i, condition) in policy.applies_to.iter().enumerate() {
                wanted.push((format!("{name}, condition {}", i + 1), Some((condition, condition.check(&person).met))));
            }
            if policy.applies_to.is_empty() {
                wanted.push((name, None));
            }
            if Some(policy.id) == decision.policy {
                for (r, rule) in policy.profile.rules.iter().enumerate() {
                    let allows = rule.effect == Effect::Allow;
                    let name = format!("profile {} v{}: {} rule {}", policy.profile.key, policy.profile.version, if allows { "allow" } else { "deny" }, r + 1);
                    for (i, condition) in rule.conditions.iter().enumerate() {
                        wanted.push((format!("{name}, condition {}", i + 1), Some((condition, condition.check(&person).met == allows))));
                    }
                    if rule.conditions.is_empty() {
                        wanted.push((name, None));
                    }
                }
                break;
            }
        }
        for (rule, condition) in wanted {
            let lines: Vec<_> = decision.trace.iter().filter(|line| line.rule == rule).collect();
            prop_assert!(!lines.is_empty(), "no line of {rule}\n{}", told(&decision));
            if let Some((condition, in_favour)) = condition {
                let checked = condition.check(&person);
                prop_assert_eq!(lines.len(), 1, "{}", rule);
                prop_assert_eq!(lines[0].attribute.as_deref(), Some(checked.attribute.as_str()));
                prop_assert_eq!(&lines[0].seen, &checked.seen);
                prop_assert_eq!(lines[0].passed, in_favour, "{}", rule);
                prop_assert_eq!((lines[0].source.as_str(), lines[0].fetched_at), (person.directory.as_str(), person.fetched_at));
            }
        }
    }

    #[test]
    fn whoever_is_refused_is_told_why_and_whoever_is_not_is_told_nothing_against_them(policies in any_policies(), person in any_person()) {
        let decision = decide_all(&policies, &person);
        let against: Vec<_> = decision.trace.iter().filter(|line| line.decisive).collect();
        prop_assert_eq!(decision.outcome == Outcome::Refused, !against.is_empty(), "{}", told(&decision));
        prop_assert!(against.iter().all(|line| !line.passed), "{}", told(&decision));
        prop_assert!(!decision.deciding_rule.is_empty() && decision.trace.iter().all(|line| !line.rule.is_empty() && !line.sentence.is_empty()));
    }

    #[test]
    fn a_decision_reads_back_from_what_was_stored_and_comes_out_the_same(policies in any_policies(), person in any_person()) {
        let decision = decide_all(&policies, &person);
        let stored: (Vec<AccessPolicy>, PersonSnapshot, Decision) = serde_json::from_str(&serde_json::to_string(&(&policies, &person, &decision)).unwrap()).unwrap();
        prop_assert_eq!(decide_all(&stored.0, &stored.1), stored.2);
    }
}

#[test]
fn without_a_policy_the_ask_is_refused() {
    insta::assert_snapshot!(told(&decide_all(&[], &bo())), @r#"
    refused by no policy is for this person
    + Your account must be active in the directory [true] person is active
    -! A policy of this role must be for you [] a policy is for you
    "#);
}

#[test]
fn a_deny_rule_does_not_see_who_lacks_its_attribute() {
    // Who writes a deny rule for contractors keeps out who is known to be one. To keep out whoever is not known to be an
    // employee, write an allow rule: `employment_type is employee`.
    let rules = vec![allow(vec![]), deny(vec![when("employment_type", Operator::Is, &["contractor"])])];
    let mut person = bo();
    person.attributes.insert("employment_type".into(), vec!["contractor".into()]);
    assert_eq!(decide_all(&[policy("p", vec![], rules.clone())], &person).outcome, Outcome::Refused);
    person.attributes.clear();
    assert_eq!(decide_all(&[policy("p", vec![], rules)], &person).outcome, Outcome::NeedsApproval);
    let employees = vec![allow(vec![when("employment_type", Operator::Is, &["employee"])])];
    assert_eq!(decide_all(&[policy("p", vec![], employees)], &person).outcome, Outcome::Refused);
}

#[test]
fn a_person_of_the_wrong_department_reads_why() {
    let policies = [
        policy("contractors", vec![when("employment_type", Operator::Is, &["contractor"])], vec![allow(vec![])]),
        policy(
            "engineers",
            vec![],
            vec![
                allow(vec![when("department", Operator::In, &["Engineering", "Platform"]), when("manager", Operator::Exists, &[])]),
                allow(vec![when("", Operator::MemberOf, &["dba"])]),
                deny(vec![when("title", Operator::Contains, &["intern"])]),
            ],
        ),
    ];
    insta::assert_snapshot!(told(&decide_all(&policies, &bo())), @r#"
    refused by profile engineers-profile v2: no allow rule applies
    + Your account must be active in the directory [true] person is active
    - Your employment type must be contractor [employee] policy contractors v3: for whom, condition 1
    + This policy is for everybody [] policy engineers v3: for whom
    + Kept out: title containing intern [] profile engineers-profile v2: deny rule 3, condition 1
    -! You must be in department Engineering or Platform [Data] profile engineers-profile v2: allow rule 1, condition 1
    + You must have a manager [r-2] profile engineers-profile v2: allow rule 1, condition 2
    -! You must be a member of dba [sre] profile engineers-profile v2: allow rule 2, condition 1
    "#);
}

#[test]
fn a_person_who_is_kept_out_reads_by_which_rule() {
    let rules = vec![allow(vec![when("department", Operator::Is, &["Data"])]), deny(vec![when("", Operator::MemberOf, &["sre", "dba"])])];
    insta::assert_snapshot!(told(&decide_all(&[policy("data", vec![], rules)], &bo())), @r#"
    refused by profile data-profile v2: deny rule 2
    + Your account must be active in the directory [true] person is active
    + This policy is for everybody [] policy data v3: for whom
    - Kept out: members of sre or dba [sre] profile data-profile v2: deny rule 2, condition 1
    + You must be in department Data [Data] profile data-profile v2: allow rule 1, condition 1
    -! A deny rule applies; it beats every allow rule [] profile data-profile v2: deny rule 2 applies
    "#);
}

#[test]
fn a_person_who_meets_every_rule_reads_that_too() {
    let mut open = policy("data", vec![when("user_name", Operator::StartsWith, &["bo."])], vec![allow(vec![])]);
    insta::assert_snapshot!(told(&decide_all(std::slice::from_ref(&open), &bo())), @r#"
    needs_approval by profile data-profile v2: allow rule 1
    + Your account must be active in the directory [true] person is active
    + Your user name must start with bo. [bo.lind] policy data v3: for whom, condition 1
    + Everybody may ask [] profile data-profile v2: allow rule 1
    "#);
    open.procedure = None;
    insta::assert_snapshot!(decide_all(&[open], &bo()).deciding_rule, @"profile data-profile v2: allow rule 1; policy data v3 asks nobody");
}

#[test]
fn a_profile_that_lets_nobody_in_says_so() {
    insta::assert_snapshot!(told(&decide_all(&[policy("shut", vec![], vec![])], &bo())), @r#"
    refused by profile shut-profile v2: no allow rule applies
    + Your account must be active in the directory [true] person is active
    + This policy is for everybody [] policy shut v3: for whom
    -! An allow rule must let somebody in, and there is none [] profile shut-profile v2
    "#);
}
