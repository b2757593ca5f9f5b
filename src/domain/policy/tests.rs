//! What a policy finds wrong with an ask.

use proptest::prelude::*;

use super::super::samples::policy;
use super::*;

const FINE: Wanted<'static> = Wanted { duration: Some(Seconds(3_600)), justification: Some("to mend the index"), ticket_reference: None };

fn said(policy: &AccessPolicy, wanted: Wanted<'_>) -> String {
    policy.faults(wanted).iter().map(|fault| format!("{}: {}", fault.field, fault.sentence)).collect::<Vec<_>>().join("\n")
}

fn strict() -> AccessPolicy {
    AccessPolicy { ticket_required: true, ticket_prefix: Some("OPS-".into()), ..policy("strict", vec![], vec![]) }
}

#[test]
fn every_fault_is_named_at_once_with_what_to_do() {
    insta::assert_snapshot!(said(&strict(), Wanted { duration: None, justification: None, ticket_reference: None }), @r#"
    duration: Choose how long; access without end is not offered here. The longest is 8 hours.
    justification: Say what you need it for; the approver reads this.
    ticket_reference: Name the ticket this belongs to.
    "#);
    insta::assert_snapshot!(said(&strict(), Wanted { duration: Some(Seconds(28_801)), justification: Some("why not"), ticket_reference: Some("ops-1") }), @r#"
    duration: The longest is 8 hours; you asked for 8 hours 1 second.
    justification: Say a little more: at least 10 characters; you wrote 7.
    ticket_reference: A ticket reference begins with OPS-.
    "#);
    insta::assert_snapshot!(said(&strict(), Wanted { duration: Some(Seconds(899)), justification: Some(&"x".repeat(4_001)), ticket_reference: Some(&"O".repeat(101)) }), @r#"
    duration: The shortest is 15 minutes; you asked for 14 minutes 59 seconds.
    justification: At most 4000 characters; you wrote 4001.
    ticket_reference: At most 100 characters.
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
    let endless = AccessPolicy { durations: Durations { indefinite: true, ..open.durations.clone() }, justification_required: false, ..open };
    assert_eq!(endless.faults(Wanted { duration: None, justification: None, ticket_reference: None }), []);
    assert_eq!(endless.duration_sentence(), "15 minutes to 8 hours, or without end");
}

#[test]
fn text_that_nobody_asked_for_still_has_its_limits() {
    let lenient = AccessPolicy { justification_required: false, ..policy("lenient", vec![], vec![]) };
    assert_eq!(lenient.faults(Wanted { justification: Some("hm"), ..FINE }), []);
    assert_eq!(lenient.faults(Wanted { justification: Some(&"x".repeat(4_001)), ..FINE }).len(), 1);
    assert_eq!(lenient.faults(Wanted { ticket_reference: Some("anything"), ..FINE }), []);
    assert_eq!(lenient.faults(Wanted { ticket_reference: Some(&"x".repeat(101)), ..FINE }).len(), 1);
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
