//! What a policy finds wrong with an ask.

use proptest::prelude::*;

use super::super::condition::Operator;
use super::super::samples::{policy, procedure, step, when};
use super::*;

static NONE: BTreeMap<String, String> = BTreeMap::new();

const FINE: Wanted<'static> = Wanted {
    duration: Some(Seconds(3_600)),
    starts_in: None,
    justification: Some("to mend the index"),
    ticket_reference: None,
    fields: &NONE,
    extension: false,
    emergency: None,
};

fn said(policy: &AccessPolicy, wanted: Wanted<'_>) -> String {
    policy.faults(wanted).iter().map(|fault| format!("{}: {}", fault.field, fault.sentence)).collect::<Vec<_>>().join("\n")
}

fn pattern(expression: &str, says: &str) -> Option<Pattern> {
    Some(Pattern { expression: expression.into(), says: says.into() })
}

fn strict() -> AccessPolicy {
    let ticket = TextRule { required: true, minimum: 0, pattern: pattern("OPS-[0-9]+", "A ticket reference looks like OPS-123.") };
    AccessPolicy { ticket, ..policy("strict", vec![], vec![]) }
}

#[test]
fn every_fault_is_named_at_once_with_what_to_do() {
    insta::assert_snapshot!(said(&strict(), Wanted { duration: None, justification: None, ..FINE }), @r#"
    duration: Choose how long; access without end is not offered here. The longest is 8 hours.
    justification: Say what you need it for; the approver reads this.
    ticket_reference: Name the ticket this belongs to.
    "#);
    insta::assert_snapshot!(said(&strict(), Wanted { duration: Some(Seconds(28_801)), justification: Some("why not"), ticket_reference: Some("ops-1"), ..FINE }), @r#"
    duration: The longest is 8 hours; you asked for 8 hours 1 second.
    justification: Say a little more: at least 10 characters; you wrote 7.
    ticket_reference: A ticket reference looks like OPS-123.
    "#);
    insta::assert_snapshot!(said(&strict(), Wanted { duration: Some(Seconds(899)), justification: Some(&"x".repeat(4_001)), ticket_reference: Some(&"O".repeat(101)), ..FINE }), @r#"
    duration: The shortest is 15 minutes; you asked for 14 minutes 59 seconds.
    justification: At most 4000 characters; you wrote 4001.
    ticket_reference: At most 100 characters; you wrote 101.
    "#);
}

#[test]
fn what_is_allowed_has_no_fault() {
    let open = policy("open", vec![], vec![]);
    assert_eq!(open.faults(FINE), []);
    for duration in [900, 28_800] {
        assert_eq!(open.faults(Wanted { duration: Some(Seconds(duration)), ..FINE }), [], "{duration}");
    }
    for justification in ["ten chars!", "zehn Zähne", &"é".repeat(4_000)] {
        assert_eq!(open.faults(Wanted { justification: Some(justification), ..FINE }), [], "{justification}: characters count, not bytes");
    }
    assert_eq!(strict().faults(Wanted { ticket_reference: Some("OPS-1"), ..FINE }), []);
    let endless = AccessPolicy { durations: Durations { indefinite: true, ..open.durations.clone() }, justification: TextRule::default(), ..open };
    assert_eq!(endless.faults(Wanted { duration: None, justification: None, ..FINE }), []);
    assert_eq!(endless.duration_sentence(), "15 minutes to 8 hours, or without end");
}

#[test]
fn text_that_nobody_asked_for_still_has_its_limits() {
    let lenient = AccessPolicy { justification: TextRule { required: false, minimum: 10, pattern: None }, ..policy("lenient", vec![], vec![]) };
    assert_eq!(lenient.faults(Wanted { justification: Some("hm"), ..FINE }), []);
    assert_eq!(lenient.faults(Wanted { justification: Some(&"x".repeat(4_001)), ..FINE }).len(), 1);
    assert_eq!(lenient.faults(Wanted { ticket_reference: Some("anything"), ..FINE }), []);
    assert_eq!(lenient.faults(Wanted { ticket_reference: Some(&"x".repeat(101)), ..FINE }).len(), 1);
    assert_eq!(lenient.faults(Wanted { justification: Some(""), ticket_reference: Some(""), ..FINE }), [], "empty is not given");
}

#[test]
fn a_pattern_is_held_against_the_whole_text_and_speaks_in_its_own_words() {
    let named = TextRule { required: true, minimum: 0, pattern: pattern("(?i)incident|change .+", "Name the incident or the change.") };
    let p = AccessPolicy { justification: named, ..policy("p", vec![], vec![]) };
    let fault = |text| said(&p, Wanted { justification: Some(text), ..FINE });
    for fine in ["incident", "Change of the index", "CHANGE 7"] {
        assert_eq!(fault(fine), "", "{fine}");
    }
    // An alternative does not loosen the ends, nor does a second line.
    for wrong in ["incidental", "an incident", "change ", "incident\nand more", "change one\ntwo"] {
        assert_eq!(fault(wrong), "justification: Name the incident or the change.", "{wrong}");
    }
    let optional = AccessPolicy { ticket: TextRule { required: false, ..strict().ticket }, ..policy("p", vec![], vec![]) };
    assert_eq!(optional.faults(FINE), []);
    assert_eq!(said(&optional, Wanted { ticket_reference: Some("OPS-"), ..FINE }), "ticket_reference: A ticket reference looks like OPS-123.");
}

#[test]
fn an_expression_that_cannot_be_used_says_why_and_matches_nothing() {
    for expression in ["(", "a{1000}{1000}{1000}", "[z-a]", r"\pX", "(?<=a)b", ")|("] {
        let pattern = Pattern { expression: expression.into(), says: "No.".into() };
        assert!(pattern.fault().is_some() && !pattern.matches("a") && !pattern.matches(""), "{expression}");
    }
    let fine = Pattern { expression: "[A-Z]+".into(), says: "No.".into() };
    assert_eq!((fine.fault(), fine.matches("AB"), fine.matches("")), (None, true, false));
}

#[test]
fn each_kind_of_field_takes_what_it_says_and_nothing_else() {
    let field = |kind| CustomField { key: "f".into(), label: "Cost centre".into(), help: None, required: false, kind };
    let choices = vec!["red".to_owned(), "dark blue".into()];
    let number = |minimum, maximum| FieldKind::Number { minimum, maximum };
    for (kind, right, wrong, says) in [
        (FieldKind::Text { maximum: 5 }, &["a", "fünf5", "12345"][..], &["123456"][..], "At most 5 characters; you wrote 6."),
        (FieldKind::Choice { choices }, &["red", "dark blue"], &["Red", "blue", "red ", "dark blue, red"], "Choose one of these: red, dark blue."),
        (
            FieldKind::Date,
            &["2026-03-31", "2028-02-29"],
            &["2026-02-30", "31.03.2026", "2026-03-31T00:00", "tomorrow", "2026-13-01"],
            "Write a day as year-month-day, like 2026-03-31.",
        ),
        (number(None, None), &["0", "-7", "9223372036854775807"], &["1.5", "1e3", "seven", "9223372036854775808", "1 000"], "Write a whole number in digits."),
        (number(Some(1), Some(9)), &["1", "9"], &["0", "-3"], "At least 1."),
        (number(Some(1), Some(9)), &["5"], &["10"], "At most 9."),
        (FieldKind::YesNo, &["yes", "no"], &["Yes", "true", "1", "y"], "Answer yes or no."),
    ] {
        let field = field(kind);
        for value in right {
            assert_eq!(field.fault(Some(value)), None, "{} {value}", field.kind.word());
        }
        for value in wrong {
            assert_eq!(field.fault(Some(value)).as_deref(), Some(says), "{} {value}", field.kind.word());
        }
        assert_eq!(field.fault(None), None, "optional");
        let required = CustomField { required: true, ..field };
        assert_eq!(required.fault(None).as_deref(), Some("Cost centre is needed."));
        let stored: CustomField = serde_json::from_str(&serde_json::to_string(&required).unwrap()).unwrap();
        assert_eq!(stored, required);
    }
}

#[test]
fn fields_of_the_policy_are_read_by_key_and_others_are_turned_away() {
    let field = |key: &str, required, kind| CustomField { key: key.into(), label: key.into(), help: None, required, kind };
    let fields = vec![field("centre", true, FieldKind::Text { maximum: 10 }), field("on_site", false, FieldKind::YesNo)];
    let p = AccessPolicy { fields, ..policy("p", vec![], vec![]) };
    let fault = |values: &[(&str, &str)]| {
        let fields = values.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        said(&p, Wanted { fields: &fields, ..FINE })
    };
    assert_eq!(fault(&[("centre", "4711")]), "");
    assert_eq!(fault(&[("centre", "4711"), ("on_site", "")]), "");
    insta::assert_snapshot!(fault(&[("centre", ""), ("on_site", "perhaps"), ("spy", "1")]), @r#"
    field_centre: centre is needed.
    field_on_site: Answer yes or no.
    field_spy: This policy has no such field; leave it out.
    "#);
}

#[test]
fn a_later_start_is_within_what_the_policy_offers() {
    let p = AccessPolicy {
        future_start: Some(Seconds(3_600)),
        emergency: Some(Emergency { maximum: Seconds(3_600), review_within: Seconds(60) }),
        ..policy("p", vec![], vec![])
    };
    for starts_in in [None, Some(-5), Some(0), Some(1), Some(3_600)] {
        assert_eq!(p.faults(Wanted { starts_in, ..FINE }), [], "{starts_in:?}");
    }
    let ahead = Wanted { starts_in: Some(3_601), ..FINE };
    insta::assert_snapshot!(said(&p, ahead), @"starts_at: At most 1 hour ahead; leave it empty to begin as soon as it is approved.");
    insta::assert_snapshot!(said(&AccessPolicy { future_start: None, ..p.clone() }, ahead), @"starts_at: A later start is not offered here; leave it empty to begin as soon as it is approved.");
    insta::assert_snapshot!(said(&p, Wanted { emergency: Some("the database is down"), starts_in: Some(5), ..FINE }), @"starts_at: An emergency begins at once; leave the start empty.");
}

#[test]
fn an_extension_has_a_longest_of_its_own() {
    let own = |maximum: Option<i64>| AccessPolicy {
        extension: Some(Extension { maximum: maximum.map(Seconds), last_percent: 50, most: None, procedure: None }),
        ..policy("p", vec![], vec![])
    };
    let extending = |seconds: Option<i64>| Wanted { duration: seconds.map(Seconds), extension: true, ..FINE };
    assert_eq!(own(Some(3_600)).faults(extending(Some(3_600))), []);
    assert_eq!(said(&own(Some(3_600)), extending(Some(3_601))), "duration: The longest is 1 hour; you asked for 1 hour 1 second.");
    assert_eq!(own(Some(3_600)).faults(Wanted { duration: Some(Seconds(28_800)), ..FINE }), [], "the first time the policy's own holds");
    assert_eq!(own(None).faults(extending(Some(28_800))), []);
    assert_eq!(own(Some(99_999)).maximum(true, false), Seconds(28_800), "never longer than the policy's");
    assert_eq!(own(Some(600)).faults(extending(Some(600))), [], "a longest below the shortest is what can be asked for");
    let endless = |extension| AccessPolicy { durations: Durations { indefinite: true, ..extension }, ..own(Some(3_600)) };
    assert_eq!(endless(own(None).durations).faults(extending(None)).len(), 1, "a limit of its own has an end");
}

#[test]
fn an_emergency_is_short_and_says_why() {
    let path = Some(Emergency { maximum: Seconds(3_600), review_within: Seconds(86_400) });
    let p = AccessPolicy { emergency: path, durations: Durations { indefinite: true, ..policy("p", vec![], vec![]).durations }, ..policy("p", vec![], vec![]) };
    let urgent = |seconds: Option<i64>, reason| said(&p, Wanted { duration: seconds.map(Seconds), emergency: Some(reason), ..FINE });
    assert_eq!(urgent(Some(3_600), "the database is down"), "");
    insta::assert_snapshot!(urgent(Some(3_601), "down"), @r#"
    duration: The longest is 1 hour; you asked for 1 hour 1 second.
    emergency_reason: Say why it cannot wait for an approval: at least 10 characters; you wrote 4.
    "#);
    insta::assert_snapshot!(urgent(None, &"x".repeat(4_001)), @r#"
    duration: Choose how long; access without end is not offered here. The longest is 1 hour.
    emergency_reason: At most 4000 characters; you wrote 4001.
    "#);
    let none = AccessPolicy { emergency: None, ..p.clone() };
    insta::assert_snapshot!(said(&none, Wanted { emergency: Some("the database is down"), ..FINE }), @"emergency_reason: This policy has no emergency path; ask in the ordinary way.");
}

#[test]
fn slots_steps_and_rules_read_as_sentences() {
    let person = ApproverSource::Person { id: super::super::samples::someone(3), name: "Dana Ito".into() };
    let group = ApproverSource::Group { reference: "g-1".into(), name: "dba".into() };
    let all = [person, group, ApproverSource::Manager, ApproverSource::ManagersManager, ApproverSource::ApplicationOwner, ApproverSource::RoleOwner];
    let words: Vec<_> = all.iter().map(ApproverSource::word).collect();
    insta::assert_snapshot!(words.join(", "), @"person, group, manager, managers_manager, application_owner, role_owner");
    insta::assert_snapshot!(Slot { approvals: 1, sources: all.to_vec() }.label(), @"Dana Ito, or else a member of dba, or else the manager, or else the manager's manager, or else the application owner, or else the role owner");
    let whens = [
        When::default(),
        When { longer_than: Some(Seconds(14_400)), ..When::default() },
        When { risks: vec![Risk::Elevated, Risk::Critical], ..When::default() },
        When {
            conditions: vec![when("department", Operator::Is, &["Data"]), when("", Operator::ReportsTo, &["mara.voss"])],
            risks: vec![Risk::Low],
            longer_than: Some(Seconds(60)),
        },
    ];
    insta::assert_snapshot!(whens.iter().map(When::sentence).collect::<Vec<_>>().join("\n"), @r#"
    always
    for longer than 4 hours
    where the risk is elevated or critical
    for longer than 1 minute, where the risk is low and department is Data and reports to mara.voss
    "#);
    assert!(whens.iter().enumerate().all(|(n, when)| when.is_always() == (n == 0)));
    let rule = AutoRule {
        name: "on-call".into(),
        verdict: Verdict::Approve,
        conditions: vec![when("", Operator::MemberOf, &["sre"])],
        risks: vec![Risk::Low],
        at_most: Some(Seconds(7_200)),
        longer_than: Some(Seconds(60)),
    };
    insta::assert_snapshot!(rule.sentence(), @"for at most 2 hours, for longer than 1 minute, where the risk is low and is a member of sre");
}

#[test]
fn what_a_policy_asks_for_and_offers_is_told_in_sentences() {
    let mut p = strict();
    p.emergency = Some(Emergency { maximum: Seconds(3_600), review_within: Seconds(86_400) });
    p.on_behalf = OnBehalf { manager: true, owner: false, confirm: true };
    p.fields = vec![CustomField { key: "centre".into(), label: "Cost centre".into(), help: None, required: true, kind: FieldKind::YesNo }];
    p.extension = Some(Extension {
        maximum: Some(Seconds(3_600)),
        last_percent: 25,
        most: Some(2),
        procedure: Some(procedure("Again", vec![step("Owner", When::default(), ApproverSource::RoleOwner)])),
    });
    insta::assert_snapshot!(p.notes().join("\n"), @r#"
    A justification of at least 10 characters is required.
    A ticket is required. A ticket reference looks like OPS-123.
    The form also asks for Cost centre.
    More time may be asked for in the last 25 % of it, for 1 hour at most, 2 times in a row; that asks Again.
    A manager may ask for somebody else, who must confirm it.
    In an emergency access begins at once, for at most 1 hour; a review is owed within 1 day.
    A start may be chosen up to 1 week ahead.
    "#);
    assert!(!p.looks_up());
    p.auto_rules.push(AutoRule {
        name: "under Ines".into(),
        verdict: Verdict::Deny,
        conditions: vec![when("", Operator::ReportsTo, &["ines.head"])],
        risks: vec![],
        at_most: None,
        longer_than: None,
    });
    assert!(p.looks_up());
}

proptest! {
    #[test]
    fn a_duration_without_fault_lies_within_the_policy(minimum in 1i64..10_000, more in 0i64..10_000, wanted in prop::option::of(-10i64..30_000), indefinite in any::<bool>()) {
        let mut policy = policy("any", vec![], vec![]);
        policy.durations = Durations { minimum: Seconds(minimum), maximum: Seconds(minimum + more), indefinite, ..policy.durations };
        let faults = policy.faults(Wanted { duration: wanted.map(Seconds), ..FINE });
        let fits = wanted.map_or(indefinite, |d| (minimum..=minimum + more).contains(&d));
        prop_assert_eq!(faults.is_empty(), fits, "{:?}", faults);
        prop_assert!(faults.iter().all(|fault| fault.field == "duration"));
    }
}
