//! The trace of a decision, rule by rule.

use chrono::{DateTime, Utc};

use crate::domain::decide::{self, Decision};

/// One thing a rule looked at.
#[derive(Clone, Debug)]
pub struct TraceLine {
    /// Whether it came out in the person's favour.
    pub passed: bool,
    /// The condition as a sentence (`You must be in department Engineering`).
    pub sentence: String,
    /// The values seen, when there were any.
    pub seen: Option<String>,
    /// Where they came from (the directory).
    pub source: Option<String>,
    /// When they were read there.
    pub seen_at: Option<DateTime<Utc>>,
}

/// One rule of the trace with all that it looked at.
#[derive(Clone, Debug)]
pub struct TraceRule {
    /// The rule's name (`Access profile engineers, version 3: allow rule 1`).
    pub name: String,
    /// Which kind of rule it is.
    pub effect: TraceEffect,
    /// Whether it came out in the person's favour: an allow rule that applies, a deny rule that does not.
    pub passed: bool,
    /// Whether this is the rule that decided.
    pub decided: bool,
    /// What it looked at, all of it.
    pub lines: Vec<TraceLine>,
}

/// What a rule is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TraceEffect {
    /// Lets a person ask.
    Allow,
    /// Keeps a person out.
    Deny,
    /// Says for whom a policy is.
    Policy,
    /// Holds for everybody (an active account, a start that is not past).
    Check,
}

impl TraceRule {
    /// What came of the rule, in words.
    pub fn outcome(&self) -> &'static str {
        match (self.effect, self.passed) {
            (TraceEffect::Allow, true) => "lets you ask",
            (TraceEffect::Allow, false) => "does not let you ask",
            (TraceEffect::Deny, true) => "does not rule you out",
            (TraceEffect::Deny, false) => "rules you out",
            (TraceEffect::Policy, true) => "this policy is for you",
            (TraceEffect::Policy, false) => "this policy is for others",
            (TraceEffect::Check, true) => "in order",
            (TraceEffect::Check, false) => "not in order",
        }
    }

    /// Whether not passing speaks against the person; a policy for others does not.
    pub fn is_against(&self) -> bool {
        !self.passed && self.effect != TraceEffect::Policy
    }
}

/// The trace of `decision`, its lines gathered under their rules in the order they were looked at.
pub fn rules(decision: &Decision) -> Vec<TraceRule> {
    let mut rules: Vec<TraceRule> = Vec::new();
    for line in &decision.trace {
        let name = line.rule.split(", condition ").next().unwrap_or_default();
        let shown = shown(line);
        match rules.iter_mut().find(|rule| rule.name == name) {
            Some(rule) => rule.lines.push(shown),
            None => rules.push(TraceRule {
                name: name.to_owned(),
                effect: effect(name),
                passed: false,
                decided: decision.deciding_rule == name || decision.deciding_rule.starts_with(&format!("{name};")),
                lines: vec![shown],
            }),
        }
    }
    for rule in &mut rules {
        // A deny rule applies, and so goes against the person, only when every one of its conditions does.
        rule.passed = match rule.effect {
            TraceEffect::Deny => rule.lines.iter().any(|line| line.passed),
            _ => rule.lines.iter().all(|line| line.passed),
        };
        rule.name = super::why::rule_in_words(&rule.name);
    }
    rules
}

fn shown(line: &decide::TraceLine) -> TraceLine {
    let looked = line.attribute.is_some();
    let seen = match (line.attribute.as_deref(), line.seen.join(", ")) {
        (Some("active"), seen) => if seen == "true" { "active" } else { "not active" }.to_owned(),
        (_, seen) => seen,
    };
    TraceLine {
        passed: line.passed,
        sentence: line.sentence.clone(),
        seen: Some(seen).filter(|seen| !seen.is_empty()),
        source: looked.then(|| line.source.clone()),
        seen_at: looked.then_some(line.fetched_at),
    }
}

fn effect(name: &str) -> TraceEffect {
    match name {
        name if name.contains(": allow rule ") => TraceEffect::Allow,
        name if name.contains(": deny rule ") => TraceEffect::Deny,
        name if name.ends_with(": for whom") => TraceEffect::Policy,
        _ => TraceEffect::Check,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::decide::Outcome;

    fn line(rule: &str, passed: bool) -> decide::TraceLine {
        decide::TraceLine {
            rule: rule.into(),
            sentence: "You must be in department Data".into(),
            attribute: Some("department".into()),
            seen: vec!["Data".into(), "Ops".into()],
            source: "demo".into(),
            fetched_at: DateTime::<Utc>::UNIX_EPOCH,
            passed,
            decisive: false,
        }
    }

    fn decision(deciding_rule: &str, trace: Vec<decide::TraceLine>) -> Decision {
        Decision { outcome: Outcome::Refused, policy: None, deciding_rule: deciding_rule.into(), trace }
    }

    #[test]
    fn conditions_are_gathered_under_their_rule() {
        let rules = rules(&decision(
            "profile p v1: allow rule 1; policy x v1 asks nobody",
            vec![line("person is active", true), line("profile p v1: allow rule 1, condition 1", true), line("profile p v1: allow rule 1, condition 2", true)],
        ));
        let seen: Vec<_> = rules.iter().map(|r| (r.effect, r.passed, r.decided, r.lines.len())).collect();
        assert_eq!(seen, [(TraceEffect::Check, true, false, 1), (TraceEffect::Allow, true, true, 2)]);
        assert_eq!(rules[1].lines[0].seen.as_deref(), Some("Data, Ops"));
    }

    #[test]
    fn a_deny_rule_goes_against_a_person_only_when_all_of_it_applies() {
        let half = vec![line("profile p v1: deny rule 2, condition 1", false), line("profile p v1: deny rule 2, condition 2", true)];
        assert!(!rules(&decision("", half))[0].is_against());
        let whole = vec![line("profile p v1: deny rule 2, condition 1", false), line("profile p v1: deny rule 2", false)];
        let rules = rules(&decision("profile p v1: deny rule 2", whole));
        assert_eq!((rules.len(), rules[0].outcome(), rules[0].decided), (1, "rules you out", true));
    }

    #[test]
    fn a_policy_for_others_is_not_held_against_a_person() {
        let rules = rules(&decision("", vec![line("policy a v1: for whom, condition 1", false)]));
        assert_eq!((rules[0].effect, rules[0].is_against()), (TraceEffect::Policy, false));
    }
}
