//! Each operator against each kind of value.

use std::collections::BTreeMap;

use super::super::person::GroupRef;
use super::super::samples::{bo, when};
use super::*;

/// Bo with `department` set to these values and in these groups.
fn person(values: &[&str], groups: &[(&str, &str)]) -> PersonSnapshot {
    let attributes = BTreeMap::from([("department".to_owned(), values.iter().map(|v| (*v).to_owned()).collect())]);
    PersonSnapshot {
        attributes,
        groups: groups.iter().map(|(reference, name)| GroupRef { reference: (*reference).into(), name: (*name).into() }).collect(),
        ..bo()
    }
}

#[test]
fn operators_compare_as_written() {
    use Operator::*;
    for (seen, operator, values, met) in [
        (&["Data"][..], Is, &["Data"][..], true),
        (&["Data"], Is, &["data"], true),
        (&["Data"], Is, &["Dat"], false),
        (&["Data", "Sales"], Is, &["sales"], true),
        (&["Ünïcode Straße"], Is, &["ÜNÏCODE STRAßE"], true),
        (&["ДАННЫЕ"], Is, &["данные"], true),
        (&[], Is, &["Data"], false),
        (&[""], Is, &[""], false),
        (&["Data"], Is, &[" Data"], false),
        (&["Data"], IsNot, &["DATA"], false),
        (&["Data"], IsNot, &["Sales"], true),
        (&["Data", "Sales"], IsNot, &["Sales"], false),
        (&[], IsNot, &["Data"], false),
        (&[""], IsNot, &["Data"], false),
        (&["  "], IsNot, &["Data"], false),
        (&["Data"], In, &["Sales", "data"], true),
        (&["Data"], In, &["Sales", "Law"], false),
        (&[], In, &["Sales", ""], false),
        (&["Data"], NotIn, &["Sales", "Law"], true),
        (&["Data"], NotIn, &["Sales", "DATA"], false),
        (&[], NotIn, &["Sales"], false),
        (&[""], NotIn, &["Sales"], false),
        (&["Staff engineer"], Contains, &["ENGINE"], true),
        (&["Staff engineer"], Contains, &["law", "staff"], true),
        (&["Staff engineer"], Contains, &["manager"], false),
        (&["Staff engineer"], Contains, &[""], false),
        (&[], Contains, &["a"], false),
        (&["Staff engineer"], StartsWith, &["staff "], true),
        (&["Staff engineer"], StartsWith, &["engineer"], false),
        (&["Staff engineer"], StartsWith, &[""], false),
        (&["Staff engineer"], StartsWith, &["", "Staff"], true),
        (&[], StartsWith, &["a"], false),
        (&["Data"], Exists, &[], true),
        (&[], Exists, &[], false),
        (&[""], Exists, &[], false),
        (&["Data"], NotExists, &[], false),
        (&[], NotExists, &[], true),
        (&["", " "], NotExists, &[], true),
    ] {
        let checked = when("department", operator, values).check(&person(seen, &[]));
        assert_eq!(checked.met, met, "{seen:?} {} {values:?}", operator.word());
        assert_eq!(checked.attribute, "department");
        assert_eq!(checked.seen, seen.iter().filter(|v| !v.trim().is_empty()).map(|v| (*v).to_owned()).collect::<Vec<_>>());
    }
}

#[test]
fn an_attribute_that_nobody_has_heard_of_is_met_by_its_absence_only() {
    for (operator, _) in Operator::ALL {
        let met = when("shoe_size", operator, &["42"]).check(&bo()).met;
        assert_eq!(met, matches!(operator, Operator::NotExists | Operator::NotMemberOf), "{}", operator.word());
    }
}

/// As a version keeps it: by reference in the directory of Bo.
fn by_reference(operator: Operator, values: &[&str]) -> Condition {
    let values = values.iter().map(|v| if v.is_empty() { String::new() } else { meant(&bo().directory, v) }).collect();
    Condition { attribute: "department".into(), operator, values, called: vec![] }
}

#[test]
fn groups_are_known_by_reference_alone() {
    // One is called like the reference of another: who may name groups must not let anybody in by it.
    let groups = [("g-1", "DBA"), ("G-2", "Contractors"), ("g-9", "g-7")];
    for (values, member) in [
        (&["g-1"][..], true),
        (&["g-0", "G-2"], true),
        (&["g-7"], false),
        (&["DBA"], false),
        (&["dba"], false),
        (&["G-1"], false),
        (&["g-"], false),
        (&[""], false),
        (&[], false),
    ] {
        for (operator, met) in [(Operator::MemberOf, member), (Operator::NotMemberOf, !member)] {
            // The attribute says nothing here: groups are groups.
            let checked = by_reference(operator, values).check(&person(&["Data"], &groups));
            assert_eq!((checked.met, checked.attribute.as_str()), (met, "groups"), "{} {values:?}", operator.word());
            // Of many groups those that matter are kept, by name.
            let seen = groups.iter().filter(|(reference, _)| values.contains(reference)).map(|(_, name)| *name);
            assert_eq!(checked.seen, seen.collect::<Vec<_>>());
        }
    }
    assert!(when("groups", Operator::Is, &["dba"]).check(&person(&[], &groups)).met);
    assert!(by_reference(Operator::NotMemberOf, &["g-1"]).check(&person(&[], &[])).met, "whoever is in no group at all");
    // Another directory may have given the same reference to another group.
    let elsewhere = Condition { values: vec![meant("elsewhere", "g-1"), "g-1".into()], ..by_reference(Operator::MemberOf, &[]) };
    assert!(!elsewhere.check(&person(&[], &groups)).met);
}

#[test]
fn a_condition_reads_by_names_and_is_compared_by_references() {
    let condition = Condition { called: vec!["Database admins".into()], ..by_reference(Operator::MemberOf, &["g-1"]) };
    assert_eq!(condition.sentence(), "You must be a member of Database admins");
    let renamed = Condition { called: vec!["DBA".into()], ..condition.clone() };
    assert_eq!(condition, renamed, "what is called otherwise asks the same");
    assert_ne!(condition, Condition { values: vec![meant("main", "g-2")], ..condition.clone() });
    assert_eq!(by_reference(Operator::MemberOf, &["g-1"]).holds_sentence(), "is a member of main:g-1");
}

#[test]
fn who_reports_to_somebody_does_so_at_any_depth() {
    for (values, met) in [
        (&["r-2"][..], true),
        (&["r-3"], true),
        (&["r-9", "r-2"], true),
        (&["mara.voss"], false),
        (&["R-2"], false),
        (&["r-1"], false),
        (&[""], false),
        (&[], false),
    ] {
        let checked = by_reference(Operator::ReportsTo, values).check(&bo());
        assert_eq!((checked.met, checked.attribute.as_str()), (met, "manager"), "{values:?}");
        assert_eq!(checked.seen, ["mara.voss", "ines.head"], "nearest first");
    }
    let top = PersonSnapshot { line: vec![], ..bo() };
    let condition = when("", Operator::ReportsTo, &["mara.voss"]);
    assert!(!condition.check(&top).met && condition.is_silent(&condition.check(&top)), "whose line is not known");
}

#[test]
fn a_condition_is_silent_where_the_directory_says_nothing_and_only_there() {
    for (operator, word) in Operator::ALL {
        let asks_presence = matches!(operator, Operator::Exists | Operator::NotExists | Operator::MemberOf | Operator::NotMemberOf);
        let condition = when("department", operator, &["Data"]);
        let silent = |person: &PersonSnapshot| condition.is_silent(&condition.check(person));
        let nothing = PersonSnapshot { line: vec![], ..person(&[""], &[]) };
        assert_eq!(silent(&nothing), !asks_presence, "{word}");
        assert!(!silent(&person(&["Data"], &[("g-1", "Data")])), "{word}");
        assert!(!silent(&person(&["Law"], &[])), "{word}");
        let condition = Condition { attribute: "shoe_size".into(), ..condition };
        assert!(!condition.check(&nothing).met || asks_presence, "what is silent is never met");
    }
}

#[test]
fn what_the_directory_always_says_has_names_of_its_own() {
    for (attribute, value) in [("user_name", "bo.lind"), ("display_name", "Bo Lind"), ("email", "bo@example.org"), ("manager", "r-2")] {
        assert!(when(attribute, Operator::Is, &[value]).check(&bo()).met, "{attribute}");
        let mut shadowed = bo();
        shadowed.attributes.insert(attribute.into(), vec!["somebody else".into()]);
        assert!(!when(attribute, Operator::Is, &["somebody else"]).check(&shadowed).met, "an attribute must not pose as {attribute}");
    }
}

#[test]
fn every_word_of_an_operator_reads_back() {
    for (operator, word) in Operator::ALL {
        assert_eq!((operator.word(), Operator::parse(word)), (word, Some(operator)));
        let (fewest, most) = operator.arity();
        assert!(fewest <= most);
    }
    assert_eq!(Operator::parse("matches"), None);
    assert_eq!(Operator::parse("Is"), None);
}

#[test]
fn every_condition_reads_as_a_sentence() {
    let sentences: Vec<String> = Operator::ALL
        .into_iter()
        .flat_map(|(operator, _)| {
            let many = ["Data", "Law", "Sales"];
            let condition = when("employment_type", operator, &many[..operator.arity().1.min(3)]);
            [condition.sentence(), condition.kept_out_sentence(), condition.holds_sentence()]
        })
        .chain([when("department", Operator::Is, &["Engineering"]).sentence()])
        .collect();
    insta::assert_snapshot!(sentences.join("\n"), @r#"
    Your employment type must be Data
    Kept out: employment type Data
    employment type is Data
    Your employment type must be other than Data
    Kept out: any employment type but Data
    employment type is not Data
    Your employment type must be Data, Law or Sales
    Kept out: employment type Data, Law or Sales
    employment type is Data, Law or Sales
    Your employment type must be other than Data, Law or Sales
    Kept out: any employment type but Data, Law or Sales
    employment type is not Data, Law or Sales
    Your employment type must contain Data, Law or Sales
    Kept out: employment type containing Data, Law or Sales
    employment type contains Data, Law or Sales
    Your employment type must start with Data, Law or Sales
    Kept out: employment type starting with Data, Law or Sales
    employment type starts with Data, Law or Sales
    You must have an employment type
    Kept out: whoever has an employment type
    has an employment type
    You must have no employment type
    Kept out: whoever has no employment type
    has no employment type
    You must be a member of Data, Law or Sales
    Kept out: members of Data, Law or Sales
    is a member of Data, Law or Sales
    You must not be a member of Data, Law or Sales
    Kept out: whoever is no member of Data, Law or Sales
    is not a member of Data, Law or Sales
    You must report to Data, Law or Sales, directly or through others
    Kept out: whoever reports to Data, Law or Sales
    reports to Data, Law or Sales
    You must be in department Engineering
    "#);
}
