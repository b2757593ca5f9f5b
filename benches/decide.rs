//! Measures one decision; `script/bench` runs it.
//!
//! A policy with 20 rules of two conditions each, half of them about groups, and a person in 200 groups: everything a decision looks
//! at is looked at, whatever the rule before said, and all of it is in the trace.

#![allow(clippy::print_stdout, reason = "the figure goes to standard output")]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Instant;

use chrono::DateTime;
use countersign::domain::catalog::Risk;
use countersign::domain::condition::{Condition, Operator, meant};
use countersign::domain::decide::{Ask, Outcome, Rules, Standing, decide};
use countersign::domain::id::{PersonId, PolicyVersionId, RoleId};
use countersign::domain::person::{GroupRef, PersonSnapshot};
use countersign::domain::policy::{
    AccessPolicy, AccessProfile, ApprovalProcedure, ApproverSource, Durations, Effect, OnBehalf, Rule, Slot, Step, TextRule, When,
};
use countersign::domain::span::Seconds;
use uuid::Uuid;

/// What is promised, in microseconds.
const PROMISE: f64 = 20.0;
const BATCHES: usize = 400;
const BATCH: usize = 250;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (policy, person, ask) = (policy(), person(), ask());
    let now = DateTime::from_timestamp(1_770_000_000, 0).ok_or("a time")?;
    let rules = Rules { policies: &[&policy], separation: &[] };
    let decision = decide(rules, &person, &ask, now);
    if decision.outcome != Outcome::NeedsApproval || decision.trace.len() < 42 {
        return Err(format!("not what was to be measured: {} with {} lines", decision.deciding_rule, decision.trace.len()).into());
    }
    let mut micros: Vec<f64> = (0..BATCHES)
        .map(|_| {
            let start = Instant::now();
            for _ in 0..BATCH {
                black_box(decide(black_box(rules), black_box(&person), black_box(&ask), black_box(now)));
            }
            start.elapsed().as_secs_f64() * 1e6 / BATCH as f64
        })
        .collect();
    micros.sort_by(f64::total_cmp);
    let (median, p99) = (micros[BATCHES / 2], micros[BATCHES * 99 / 100]);
    let kept = if median < PROMISE { "kept" } else { "NOT KEPT" };
    println!("\n## One decision\n\n| of | median | p99 of {BATCHES} batches | promise |\n|---|---|---|---|");
    println!("| 20 rules of 2 conditions, a person in 200 groups | {median:.1} µs | {p99:.1} µs | under {PROMISE} µs: {kept} |");
    Ok(())
}

fn when(attribute: &str, operator: Operator, values: &[String]) -> Condition {
    Condition { attribute: attribute.into(), operator, values: values.to_vec(), called: Vec::new() }
}

/// The reference of a group; the person is in the first 200.
fn group_of(n: u128) -> String {
    Uuid::from_u128(0xabcd_0000 + n).to_string()
}

/// Fifteen allow rules and five deny rules; of them one of the middle lets the person in, and no other applies.
fn policy() -> AccessPolicy {
    let rule = |n: usize| {
        let (department, group) = if n == 7 { ("Data".into(), group_of(113)) } else { (format!("Department {n}"), group_of(1_000 + n as u128)) };
        let conditions = vec![when("department", Operator::Is, &[department]), when("", Operator::MemberOf, &[meant("main", &group)])];
        Rule { effect: if n % 4 == 3 && n != 7 { Effect::Deny } else { Effect::Allow }, conditions }
    };
    let step = Step {
        name: "Manager".into(),
        when: When::default(),
        time_limit: None,
        remind_every: None,
        escalation: None,
        slots: vec![Slot { approvals: 1, sources: vec![ApproverSource::Manager] }],
    };
    AccessPolicy {
        id: PolicyVersionId(Uuid::from_u128(1)),
        key: "engineers".into(),
        name: "Engineers".into(),
        version: 3,
        digest: "0".repeat(64),
        applies_to: vec![],
        profile: AccessProfile { key: "engineers".into(), name: "Engineers".into(), version: 3, rules: (0..20).map(rule).collect() },
        procedure: Some(ApprovalProcedure {
            key: "manager".into(),
            name: "Manager".into(),
            version: 1,
            distinct_people: true,
            reassign: true,
            steps: vec![step],
        }),
        auto_rules: vec![],
        durations: Durations { recommended: None, minimum: Seconds(900), maximum: Seconds(28_800), choices: vec![], indefinite: false },
        future_start: None,
        justification: TextRule::default(),
        ticket: TextRule::default(),
        fields: vec![],
        extension: None,
        on_behalf: OnBehalf::default(),
        emergency: None,
        comment_to_deny: false,
        eligibility_lost: Default::default(),
    }
}

fn person() -> PersonSnapshot {
    PersonSnapshot {
        person: PersonId(Uuid::from_u128(1)),
        directory: "main".into(),
        reference: "r-1".into(),
        user_name: "bo.lind".into(),
        display_name: "Bo Lind".into(),
        email: Some("bo.lind@example.org".into()),
        active: true,
        manager: Some("r-2".into()),
        attributes: BTreeMap::from([("department".into(), vec!["Data".into()]), ("title".into(), vec!["Data engineer".into()])]),
        groups: (0..200).map(|n| GroupRef { reference: group_of(n), name: format!("team-{n:04}-readers") }).collect(),
        line: vec![],
        fetched_at: DateTime::UNIX_EPOCH,
    }
}

fn ask() -> Ask {
    let person = PersonId(Uuid::from_u128(1));
    Ask {
        requester: person,
        beneficiary: person,
        role: RoleId(Uuid::from_u128(7)),
        risk: Risk::Low,
        duration: Some(Seconds(3_600)),
        starts_at: None,
        extension: false,
        emergency: false,
        review_owed: false,
        standing: Standing::default(),
        held: vec![],
    }
}
