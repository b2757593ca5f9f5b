//! A catalog in words, line by line, for readable changes.

use crate::domain::catalog::Risk;
use crate::domain::condition::{Condition, Operator};
use crate::domain::policy::{
    AccessPolicy, AccessProfile, ApprovalProcedure, ApproverSource, CustomField, Effect, Extension, FieldKind, OnBehalf, Slot, Step, TextRule, Verdict,
};
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
    said(condition, &condition.shown().join(", "))
}

fn said(Condition { attribute, operator, .. }: &Condition, values: &str) -> String {
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
        Operator::ReportsTo => format!("reports to {values}"),
    }
}

/// A value in quotes where it could be read as several or as the words around it, with marks that nobody sees spelt out: whoever
/// approves a change must see that there is one.
fn plainly(value: &str) -> String {
    let hidden = |c: char| c != '\'' && c.escape_debug().len() > 1;
    if !value.contains([',', ';']) && !value.contains(" and ") && !value.contains(hidden) {
        return value.to_owned();
    }
    let shown: String = value.chars().map(|c| if hidden(c) { c.escape_debug().to_string() } else { c.to_string() }).collect();
    format!("\"{shown}\"")
}

fn conditions(all: &[Condition]) -> String {
    let told = |condition: &Condition| said(condition, &condition.shown().iter().map(|value| plainly(value)).collect::<Vec<_>>().join(", "));
    if all.is_empty() { "everybody".into() } else { all.iter().map(told).collect::<Vec<_>>().join(" and ") }
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

/// "the manager (else group security, else the role owner)".
fn sources(sources: &[ApproverSource]) -> String {
    let mut named = sources.iter().map(source);
    let first = named.next().unwrap_or_default();
    let others: Vec<String> = named.map(|other| format!("else {other}")).collect();
    if others.is_empty() { first } else { format!("{first} ({})", others.join(", ")) }
}

fn slot(slot: &Slot) -> String {
    format!("{} from {}", slot.approvals, sources(&slot.sources))
}

/// "risk low or elevated, for at most 2 hours, when department is Data"; empty when nothing is limited.
fn limits(all: &[Condition], risks: &[Risk], at_most: Option<Seconds>, longer_than: Option<Seconds>) -> String {
    let mut parts = Vec::new();
    if !risks.is_empty() {
        parts.push(format!("risk {}", risks.iter().map(|risk| risk.word()).collect::<Vec<_>>().join(" or ")));
    }
    parts.extend(at_most.map(|most| format!("for at most {most}")));
    parts.extend(longer_than.map(|least| format!("for longer than {least}")));
    if !all.is_empty() {
        parts.push(format!("when {}", conditions(all)));
    }
    parts.join(", ")
}

fn step(step: &Step) -> String {
    let slots = step.slots.iter().map(slot).collect::<Vec<_>>().join(" and ");
    let mut text = format!("{}: {slots}", step.name);
    if !step.when.is_always() {
        text.push_str(&format!(", only {}", limits(&step.when.conditions, &step.when.risks, None, step.when.longer_than)));
    }
    if let Some(limit) = step.time_limit {
        text.push_str(&format!(", within {limit}"));
    }
    if let Some(every) = step.remind_every {
        text.push_str(&format!(", reminded every {every}"));
    }
    if let Some(to) = &step.escalation {
        let limit = to.time_limit.map_or_else(|| ", without a further limit".to_owned(), |limit| format!(" for {limit} more"));
        text.push_str(&format!(", then also {}{limit}", sources(&to.sources)));
    }
    text
}

/// A procedure, step by step.
pub fn procedure(body: &ApprovalProcedure) -> Vec<Line> {
    let mut lines = vec![
        line("name", &body.name),
        line("one person", if body.distinct_people { "counts once per request" } else { "may decide at several steps" }),
        line("who is asked", if body.reassign { "may hand it on" } else { "answers in person or through a delegate" }),
    ];
    lines.extend(body.steps.iter().zip(1..).map(|(body, number)| line(format!("step {number}"), step(body))));
    lines
}

/// "required, at least 20 characters, like OV-.* (else: A ticket reference begins with OV-.)".
fn text_rule(rule: &TextRule) -> String {
    let mut text = match (rule.required, rule.minimum) {
        (false, _) => "may be left out".to_owned(),
        (true, 0) => "required".to_owned(),
        (true, least) => format!("required, at least {least} characters"),
    };
    if let Some(pattern) = &rule.pattern {
        text.push_str(&format!(", matches {} (else: {})", pattern.expression, pattern.says));
    }
    text
}

fn custom_field(field: &CustomField) -> String {
    let takes = match &field.kind {
        FieldKind::Text { maximum } => format!("text of at most {maximum} characters"),
        FieldKind::Choice { choices } => format!("one of {}", choices.join(", ")),
        FieldKind::Date => "a day".into(),
        FieldKind::Number { minimum, maximum } => match (minimum, maximum) {
            (None, None) => "a number".into(),
            (Some(least), None) => format!("a number from {least}"),
            (None, Some(most)) => format!("a number up to {most}"),
            (Some(least), Some(most)) => format!("a number from {least} to {most}"),
        },
        FieldKind::YesNo => "yes or no".into(),
    };
    let help = field.help.as_ref().map_or_else(String::new, |help| format!(" ({help})"));
    format!("{}: {takes}, {}{help}", field.label, if field.required { "required" } else { "may be left out" })
}

fn extension(rules: Option<&Extension>) -> String {
    let Some(rules) = rules else { return "no".into() };
    let mut text = format!("in the last {} percent of the period", rules.last_percent);
    if let Some(most) = rules.maximum {
        text.push_str(&format!(", for at most {most}"));
    }
    if let Some(most) = rules.most {
        text.push_str(&format!(", at most {most} in a row"));
    }
    if let Some(procedure) = &rules.procedure {
        text.push_str(&format!(", by procedure {} v{}", procedure.key, procedure.version));
    }
    text
}

fn on_behalf(rules: &OnBehalf) -> String {
    let who = match (rules.manager, rules.owner) {
        (false, false) => return "nobody".into(),
        (true, false) => "managers",
        (false, true) => "owners",
        (true, true) => "managers and owners",
    };
    format!("{who}{}", if rules.confirm { ", and the person confirms" } else { "" })
}

/// A policy, with the versions of profile and procedures it goes with.
pub fn policy(body: &AccessPolicy) -> Vec<Line> {
    let durations = &body.durations;
    let yes = |flag: bool| if flag { "yes" } else { "no" };
    let said = |duration: Option<Seconds>| duration.map_or_else(String::new, |duration| duration.to_string());
    let procedure = match &body.procedure {
        Some(procedure) => format!("{} v{}", procedure.key, procedure.version),
        None => "nobody is asked: approved at once".to_owned(),
    };
    let emergency =
        body.emergency.as_ref().map_or_else(|| "no".to_owned(), |path| format!("at once for at most {}, reviewed within {}", path.maximum, path.review_within));
    let mut lines = vec![
        line("name", &body.name),
        line("for", conditions(&body.applies_to)),
        line("profile", format!("{} v{}", body.profile.key, body.profile.version)),
        line("procedure", procedure),
    ];
    for rule in &body.auto_rules {
        let does = if rule.verdict == Verdict::Approve { "approve" } else { "deny" };
        let when = limits(&rule.conditions, &rule.risks, rule.at_most, rule.longer_than);
        lines.push(line(format!("auto rule {}", rule.name), format!("{does} {when}").trim_end()));
    }
    lines.extend([
        line("recommended", said(durations.recommended)),
        line("minimum", durations.minimum.to_string()),
        line("maximum", durations.maximum.to_string()),
        line("choices", durations.choices.iter().map(Seconds::to_string).collect::<Vec<_>>().join(", ")),
        line("without end", yes(durations.indefinite)),
        line("starts ahead", body.future_start.map_or_else(|| "no".to_owned(), |ahead| format!("up to {ahead}"))),
        line("justification", text_rule(&body.justification)),
        line("ticket", if body.ticket.required || body.ticket.pattern.is_some() { text_rule(&body.ticket) } else { "not asked for".into() }),
    ]);
    lines.extend(body.fields.iter().map(|field| line(format!("field {}", field.key), custom_field(field))));
    lines.extend([
        line("extension", extension(body.extension.as_ref())),
        line("for others ask", on_behalf(&body.on_behalf)),
        line("emergency", emergency),
        line("a denial needs a reason", yes(body.comment_to_deny)),
        line("no longer eligible", body.eligibility_lost.grace().map_or_else(|| "kept".to_owned(), |grace| format!("ends after {grace}"))),
    ]);
    lines
}

/// A separation rule; `a` and `b` are the roles as `application/role`.
pub fn separation(name: &str, a: &[String], b: &[String], procedure: Option<&ApprovalProcedure>) -> Vec<Line> {
    let exception = match procedure {
        Some(procedure) => format!("with approval by procedure {} v{}", procedure.key, procedure.version),
        None => "none: nobody holds both".into(),
    };
    vec![line("name", name), line("not together", a.join(", ")), line("with", b.join(", ")), line("exception", exception)]
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_lists_of_conditions_that_differ_never_read_alike() {
        let of = |values: &[&str]| {
            conditions(&[Condition { attribute: "title".into(), operator: Operator::In, values: values.iter().map(|v| (*v).into()).collect(), called: vec![] }])
        };
        assert_eq!(of(&["Clerk", "Intern"]), "title in Clerk, Intern");
        for (a, b) in [
            (&["Clerk", "Intern"][..], &["Clerk, Intern"][..]),
            (&["Intern"], &["Intern\u{200b}"]),
            (&["Zo\u{eb}"], &["Zoe\u{308}"]),
            (&["Clerk and city is Ulm"], &["Clerk"]),
        ] {
            let (a, b) = (of(a), of(b));
            assert_ne!(a, b);
            assert!(b.starts_with("title in \"") || a.starts_with("title in \""), "{a} / {b}: the difference is seen");
        }
    }
}
