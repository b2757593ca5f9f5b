//! A catalog in words, line by line, for readable changes.

use crate::domain::condition::{Condition, Operator};
use crate::domain::policy::{AccessPolicy, AccessProfile, ApprovalProcedure, ApproverSource, Effect, Slot};
use crate::domain::span::Seconds;

/// A label and what stands beside it.
pub type Line = (String, String);

/// How `now` differs from `before`, label by label.
pub fn differences(before: &[Line], now: &[Line]) -> Vec<String> {
    let of = |lines: &[Line], label: &str| lines.iter().find(|(other, _)| other == label).map(|(_, text)| text.clone());
    let mut told = Vec::new();
    for (label, text) in now {
        match of(before, label) {
            Some(old) if old == *text => {}
            Some(old) => told.push(format!("{label}: {} -> {}", shown(&old), shown(text))),
            None => told.push(format!("{label}: {} (new)", shown(text))),
        }
    }
    for (label, text) in before.iter().filter(|(label, _)| of(now, label).is_none()) {
        told.push(format!("{label}: {} (gone)", shown(text)));
    }
    told
}

/// Every line that says something.
pub fn all(lines: &[Line]) -> Vec<String> {
    lines.iter().filter(|(_, text)| !text.is_empty()).map(|(label, text)| format!("{label}: {}", shown(text))).collect()
}

fn shown(text: &str) -> String {
    if text.is_empty() { "nothing".into() } else { text.split_whitespace().collect::<Vec<_>>().join(" ") }
}

fn line(label: impl Into<String>, text: impl Into<String>) -> Line {
    (label.into(), text.into())
}

/// "department is Data", as the file may say it.
pub fn condition(condition: &Condition) -> String {
    let Condition { attribute, operator, values } = condition;
    let values = values.join(", ");
    match operator {
        Operator::Is => format!("{attribute} is {values}"),
        Operator::IsNot => format!("{attribute} is not {values}"),
        Operator::In => format!("{attribute} in {values}"),
        Operator::NotIn => format!("{attribute} not in {values}"),
        Operator::Contains => format!("{attribute} contains {values}"),
        Operator::StartsWith => format!("{attribute} starts with {values}"),
        Operator::Exists => format!("{attribute} exists"),
        Operator::NotExists => format!("{attribute} does not exist"),
        Operator::MemberOf => format!("groups include {values}"),
        Operator::NotMemberOf => format!("groups do not include {values}"),
    }
}

fn conditions(all: &[Condition]) -> String {
    if all.is_empty() { "everybody".into() } else { all.iter().map(condition).collect::<Vec<_>>().join(" and ") }
}

/// A profile, rule by rule.
pub fn profile(body: &AccessProfile) -> Vec<Line> {
    let mut lines = vec![line("name", &body.name)];
    for (rule, number) in body.rules.iter().zip(1..) {
        let does = if rule.effect == Effect::Allow { "allow" } else { "deny" };
        let when = if rule.conditions.is_empty() { "" } else { "when " };
        lines.push(line(format!("rule {number}"), format!("{does} {when}{}", conditions(&rule.conditions))));
    }
    lines
}

fn source(source: &ApproverSource) -> String {
    match source {
        ApproverSource::Group { name, .. } => format!("group {name}"),
        other => other.label(),
    }
}

fn slot(slot: &Slot) -> String {
    let instead = slot.fallback.as_ref().map_or_else(String::new, |fallback| format!(" (else {})", source(fallback)));
    format!("{} from {}{instead}", slot.approvals, source(&slot.source))
}

/// A procedure, step by step.
pub fn procedure(body: &ApprovalProcedure) -> Vec<Line> {
    let mut lines =
        vec![line("name", &body.name), line("one person", if body.distinct_people { "counts once per request" } else { "may decide at several steps" })];
    for (step, number) in body.steps.iter().zip(1..) {
        let slots = step.slots.iter().map(slot).collect::<Vec<_>>().join(" and ");
        let limit = step.time_limit.map_or_else(String::new, |limit| format!(", within {limit}"));
        lines.push(line(format!("step {number}"), format!("{}: {slots}{limit}", step.name)));
    }
    lines
}

/// A policy, with the versions of profile and procedure it goes with.
pub fn policy(body: &AccessPolicy) -> Vec<Line> {
    let limits = &body.durations;
    let yes = |flag: bool| if flag { "yes" } else { "no" };
    let said = |duration: Option<Seconds>| duration.map_or_else(String::new, |duration| duration.to_string());
    let justification = match (body.justification_required, body.justification_minimum) {
        (false, _) => "may be left out".to_owned(),
        (true, 0) => "required".to_owned(),
        (true, least) => format!("required, at least {least} characters"),
    };
    let begins = body.ticket_prefix.as_ref().map_or_else(String::new, |prefix| format!(", begins with {prefix}"));
    let procedure = match &body.procedure {
        Some(procedure) => format!("{} v{}", procedure.key, procedure.version),
        None => "nobody is asked: approved at once".to_owned(),
    };
    vec![
        line("name", &body.name),
        line("for", conditions(&body.applies_to)),
        line("profile", format!("{} v{}", body.profile.key, body.profile.version)),
        line("procedure", procedure),
        line("recommended", said(limits.recommended)),
        line("minimum", limits.minimum.to_string()),
        line("maximum", limits.maximum.to_string()),
        line("choices", limits.choices.iter().map(Seconds::to_string).collect::<Vec<_>>().join(", ")),
        line("without end", yes(limits.indefinite)),
        line("justification", justification),
        line("ticket", format!("{}{begins}", if body.ticket_required { "required" } else { "may be left out" })),
        line("extension", yes(body.extension)),
        line("a denial needs a reason", yes(body.comment_to_deny)),
    ]
}

/// "contractors, then standard"; `otherwise` when there are none.
pub fn bindings<'a>(policies: impl Iterator<Item = (&'a str, i32)>, otherwise: &str) -> String {
    let mut sorted: Vec<(i32, &str)> = policies.map(|(policy, priority)| (priority, policy)).collect();
    sorted.sort_unstable();
    if sorted.is_empty() {
        return otherwise.to_owned();
    }
    sorted.iter().map(|(priority, policy)| format!("{policy} ({priority})")).collect::<Vec<_>>().join(", then ")
}
