//! Who still meets a policy, case by case.

use proptest::prelude::*;

use super::super::condition::Operator;
use super::super::decide::{Outcome, Rules, decide};
use super::super::samples::*;
use super::*;

fn department(is: &str) -> Condition {
    when("department", Operator::Is, &[is])
}

fn in_department(name: &str) -> PersonSnapshot {
    let mut person = bo();
    person.attributes.insert("department".into(), vec![name.into()]);
    person
}

#[test]
fn who_moved_to_another_department_has_lost_it_by_a_rule_that_names_the_attribute() {
    let policy = policy("p", vec![], vec![allow(vec![department("Data")])]);
    assert_eq!(eligible(&policy, &in_department("Data")), Eligibility::Holds);
    let Eligibility::Lost(lost) = eligible(&policy, &in_department("Sales")) else { panic!("still eligible") };
    assert_eq!(lost.rule, "profile p-profile v2: no allow rule applies");
    assert_eq!(lost.sentence, "You must be in department Data");
    assert_eq!(lost.attributes, ["department"]);
}

#[test]
fn what_the_directory_does_not_say_takes_nothing_away() {
    let mut person = in_department("Data");
    person.attributes.remove("department");
    let unknown = Eligibility::Unknown("department".into());
    assert_eq!(eligible(&policy("p", vec![], vec![allow(vec![department("Data")])]), &person), unknown);
    assert_eq!(eligible(&policy("p", vec![department("Data")], vec![allow(vec![])]), &person), unknown);
    assert_eq!(eligible(&policy("p", vec![], vec![allow(vec![]), deny(vec![department("Sales")])]), &person), unknown);
}

#[test]
fn another_allow_rule_is_enough_and_a_deny_rule_beats_them_all() {
    let rules = vec![allow(vec![department("Data")]), allow(vec![department("Sales")])];
    assert_eq!(eligible(&policy("p", vec![], rules.clone()), &in_department("Sales")), Eligibility::Holds);
    let rules = rules.into_iter().chain([deny(vec![department("Sales")])]).collect();
    let Eligibility::Lost(lost) = eligible(&policy("p", vec![], rules), &in_department("Sales")) else { panic!("still eligible") };
    assert_eq!((lost.rule.as_str(), lost.sentence.as_str()), ("profile p-profile v2: deny rule 3", "Kept out: department Sales"));
}

#[test]
fn whom_the_policy_is_no_longer_for_has_lost_it_though_something_else_is_unknown() {
    let mut person = in_department("Sales");
    person.attributes.remove("title");
    let policy = policy("p", vec![department("Data"), when("title", Operator::Is, &["Analyst"])], vec![allow(vec![])]);
    let Eligibility::Lost(lost) = eligible(&policy, &person) else { panic!("still eligible") };
    assert_eq!((lost.rule.as_str(), lost.sentence.as_str()), ("policy p v3: for whom", "You must be in department Data"));
}

proptest! {
    #[test]
    fn it_agrees_with_the_decision_on_whom_a_policy_lets_in(
        for_whom in proptest::collection::vec(any_condition(), 0..3), rules in proptest::collection::vec(any_rule(), 0..4), mut person in any_person()
    ) {
        person.active = true;
        let mut policy = policy("p", for_whom, rules);
        policy.procedure = None;
        let decision = decide(Rules { policies: &[&policy], separation: &[] }, &person, &ask(), at(0));
        match eligible(&policy, &person) {
            Eligibility::Holds => prop_assert_ne!(decision.outcome, Outcome::Refused),
            Eligibility::Lost(_) | Eligibility::Unknown(_) => prop_assert_eq!(decision.outcome, Outcome::Refused),
        }
    }
}
