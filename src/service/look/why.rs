//! Why not, in a sentence; and for somebody else's eyes.

use crate::domain::decide::{Decision, TraceLine};

use super::trace::TraceRule;

/// Why `decision` refuses, and what would change it, to the person it is about. `any_policy`: whether any policy is in force at all.
pub fn reason(decision: &Decision, any_policy: bool) -> String {
    if !any_policy {
        return "No policy is in force for this role, so nobody can ask for it.".into();
    }
    if decision.policy.is_none() && decision.deciding_rule == "no policy is for this person" {
        let wanted: Vec<String> = decision.trace.iter().filter(|line| !line.passed && line.attribute.is_some()).map(told).collect();
        return match wanted.is_empty() {
            true => "No policy of this role is for you.".into(),
            false => format!("No policy of this role is for you. {}.", wanted.join("; or: ")),
        };
    }
    // Conditions of one rule belong together; one rule of several would do.
    let mut rules: Vec<(&str, Vec<String>)> = Vec::new();
    let deciding = |line: &&TraceLine| {
        let of_rule = line.rule == decision.deciding_rule || line.rule.starts_with(&format!("{}, condition ", decision.deciding_rule));
        !line.passed && (line.decisive || of_rule)
    };
    for line in decision.trace.iter().filter(deciding) {
        let rule = line.rule.split(", condition ").next().unwrap_or_default();
        let part = told(line);
        // The line that says that a deny rule applies adds nothing to what the rule says itself.
        let echo = line.rule == rule && rules.iter().any(|(name, _)| *name == rule);
        match rules.iter_mut().find(|(name, _)| *name == rule) {
            _ if echo => {}
            Some((_, parts)) => parts.push(part),
            None => rules.push((rule, vec![part])),
        }
    }
    let sentences: Vec<String> = rules.into_iter().map(|(_, parts)| all_of(&parts)).collect();
    if sentences.is_empty() { format!("Refused by {}.", decision.deciding_rule) } else { format!("{}.", sentences.join("; or: ")) }
}

/// A condition that is not met, with what was seen in its place.
fn told(line: &TraceLine) -> String {
    let sentence = line.sentence.trim_end_matches('.');
    match line.attribute.as_deref() {
        None | Some("groups" | "active") => sentence.to_owned(),
        Some(_) if line.sentence.starts_with("Kept out") => sentence.to_owned(),
        Some(attribute) if line.seen.is_empty() => format!("{sentence} (the directory has no {} for you)", attribute.replace('_', " ")),
        Some(_) => format!("{sentence} (the directory says {})", line.seen.join(", ")),
    }
}

/// A rule's name as the log has it, in words: `profile everybody v1: allow rule 1` becomes "Access profile everybody, version 1: allow
/// rule 1".
pub fn rule_in_words(rule: &str) -> String {
    let mut words = String::with_capacity(rule.len() + 24);
    for token in rule.split(' ') {
        let number =
            token.strip_prefix('v').map(|rest| rest.trim_end_matches(':')).filter(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()));
        match number {
            Some(number) => {
                words.push_str(&format!(", version {number}"));
                words.push_str(if token.ends_with(':') { ":" } else { "," });
            }
            None if words.is_empty() => words.push_str(if token == "profile" { "access profile" } else { token }),
            None => {
                words.push(' ');
                words.push_str(token);
            }
        }
    }
    super::steps::capital(words.trim_end_matches(','))
}

/// Sentences that must all hold, as one: "You must be in department IT, and your title must contain Lead".
pub fn all_of(sentences: &[String]) -> String {
    let mut whole = String::new();
    for sentence in sentences {
        match (whole.is_empty(), sentence.strip_prefix("You")) {
            (true, _) => whole.push_str(sentence),
            (false, Some(rest)) => whole.push_str(&format!(", and you{rest}")),
            (false, None) => whole.push_str(&format!(", and {}", sentence.strip_prefix("Kept out: ").unwrap_or(sentence))),
        }
    }
    whole
}

/// A sentence about the person, for the eyes of somebody else.
pub fn of_another(sentence: &str) -> String {
    [("You must", "They must"), ("Your ", "Their "), ("your ", "their "), (" for you", " for them")]
        .iter()
        .fold(sentence.to_owned(), |text, (from, to)| text.replace(from, to))
}

/// A trace about the person, for the eyes of somebody else.
pub fn trace_of_another(mut rules: Vec<TraceRule>) -> Vec<TraceRule> {
    for line in rules.iter_mut().flat_map(|rule| &mut rule.lines) {
        line.sentence = of_another(&line.sentence);
    }
    rules
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::decide::Outcome;
    use chrono::{DateTime, Utc};

    fn line(rule: &str, sentence: &str, attribute: &str, seen: &[&str], decisive: bool) -> TraceLine {
        TraceLine {
            rule: rule.into(),
            sentence: sentence.into(),
            attribute: Some(attribute.to_owned()).filter(|a| !a.is_empty()),
            seen: seen.iter().map(|s| (*s).to_owned()).collect(),
            source: "main".into(),
            fetched_at: DateTime::<Utc>::UNIX_EPOCH,
            passed: false,
            decisive,
        }
    }

    fn refused(rule: &str, trace: Vec<TraceLine>) -> Decision {
        Decision { outcome: Outcome::Refused, policy: Some(uuid::Uuid::nil().into()), deciding_rule: rule.into(), trace }
    }

    #[test]
    fn conditions_of_one_rule_are_all_named_and_rules_are_choices() {
        let trace = vec![
            line("profile p v1: allow rule 1, condition 1", "You must be in department Data", "department", &["Sales"], true),
            line("profile p v1: allow rule 1, condition 2", "You must have a manager", "manager", &[], true),
            line("profile p v1: allow rule 2, condition 1", "You must be a member of dba", "groups", &["a", "b"], true),
        ];
        assert_eq!(
            reason(&refused("profile p v1: no allow rule applies", trace), true),
            "You must be in department Data (the directory says Sales), and you must have a manager (the directory has no manager for you); or: You must be a member of dba."
        );
    }

    #[test]
    fn a_deny_rule_says_what_it_keeps_out() {
        let rule = "profile p v1: deny rule 2";
        let trace = vec![
            line(&format!("{rule}, condition 1"), "Kept out: employment type contractor", "employment_type", &["contractor"], false),
            line(rule, "A deny rule applies; it beats every allow rule", "", &[], true),
        ];
        assert_eq!(reason(&refused(rule, trace), true), "Kept out: employment type contractor.");
    }

    #[test]
    fn rules_are_named_in_words() {
        for (rule, words) in [
            ("profile everybody v1: allow rule 1", "Access profile everybody, version 1: allow rule 1"),
            (
                "profile data v12: allow rule 1; policy at-once v3 asks nobody",
                "Access profile data, version 12: allow rule 1; policy at-once, version 3, asks nobody",
            ),
            ("policy books v1: for whom", "Policy books, version 1: for whom"),
            ("person is active", "Person is active"),
            ("", ""),
        ] {
            assert_eq!(rule_in_words(rule), words);
        }
    }

    #[test]
    fn others_read_of_a_person_what_the_person_reads_of_themselves() {
        assert_eq!(of_another("You must be in department Data"), "They must be in department Data");
        assert_eq!(of_another("Your title must contain Auditor"), "Their title must contain Auditor");
    }
}
