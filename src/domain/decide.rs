//! The decision: pure, and explained in full.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::condition::Checked;
use super::id::{PersonId, PolicyVersionId, RoleId};
use super::person::PersonSnapshot;
use super::policy::{AccessPolicy, Effect};
use super::span::Seconds;

/// What is asked for, as far as the decision looks at it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    /// Who asks.
    pub requester: PersonId,
    /// For whom.
    pub beneficiary: PersonId,
    /// Which role.
    pub role: RoleId,
    /// None: without end.
    pub duration: Option<Seconds>,
    /// None: as soon as it is approved.
    pub starts_at: Option<DateTime<Utc>>,
}

/// What a policy says of an ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Nothing is processed.
    Refused,
    /// Approved at once, by rule.
    AutoApproved,
    /// Goes to the steps of the procedure.
    NeedsApproval,
}

impl Outcome {
    /// The word in database, pages and CSV.
    pub fn word(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::AutoApproved => "auto_approved",
            Self::NeedsApproval => "needs_approval",
        }
    }
}

/// One line of the trace: a rule, what it looked at, what it saw, where and when, and how it came out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceLine {
    /// Which rule: `policy engineers v3: applies to, condition 1`.
    pub rule: String,
    /// The rule as a sentence.
    pub sentence: String,
    /// The attribute it looked at, if any.
    pub attribute: Option<String>,
    /// The values seen.
    pub seen: Vec<String>,
    /// Key of the directory the values came from.
    pub source: String,
    /// When that directory was asked.
    pub fetched_at: DateTime<Utc>,
    /// Whether it came out in the person's favour.
    pub passed: bool,
    /// Whether this line counts against the person; a condition of one of several allow rules may fail and not matter.
    pub decisive: bool,
}

/// The decision with everything that led to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// What it is.
    pub outcome: Outcome,
    /// The version that governs; none when no policy is for this person.
    pub policy: Option<PolicyVersionId>,
    /// The rule that decided, in a few words.
    pub deciding_rule: String,
    /// Every rule looked at, in order.
    pub trace: Vec<TraceLine>,
}

/// Decides on `ask` by the `policies` that may govern the role, first priority first, for `person` as the directory described
/// them. `now` only guards against a start in the past. Never fails: whatever cannot be allowed is refused with its reason.
///
/// How rules combine: the first policy whose `applies_to` conditions all hold governs. In its access profile a rule applies when
/// all its conditions hold; a deny rule that applies refuses, whatever else; otherwise one allow rule that applies suffices;
/// otherwise the ask is refused. A disabled person is refused before any rule.
pub fn decide(policies: &[&AccessPolicy], person: &PersonSnapshot, ask: &Ask, now: DateTime<Utc>) -> Decision {
    let mut trace = Vec::new();
    let mut line = |rule: String, checked: Checked, decisive: bool| {
        trace.push(TraceLine {
            rule,
            sentence: checked.sentence,
            attribute: Some(checked.attribute).filter(|a| !a.is_empty()),
            seen: checked.seen,
            source: person.directory.clone(),
            fetched_at: person.fetched_at,
            passed: checked.met,
            decisive,
        });
    };
    let plain = |sentence: String, attribute: &str, seen: Vec<String>, met: bool| Checked { met, sentence, attribute: attribute.into(), seen };

    line(
        "person is active".into(),
        plain("Your account must be active in the directory".into(), "active", vec![person.active.to_string()], person.active),
        !person.active,
    );
    if !person.active {
        return Decision { outcome: Outcome::Refused, policy: None, deciding_rule: "person is active".into(), trace };
    }
    if let Some(start) = ask.starts_at.filter(|start| *start < now) {
        line("start is not past".into(), plain("The start must not lie in the past".into(), "", vec![start.to_rfc3339()], false), true);
        return Decision { outcome: Outcome::Refused, policy: None, deciding_rule: "start is not past".into(), trace };
    }

    let mut governing = None;
    for policy in policies {
        let mut all = true;
        if policy.applies_to.is_empty() {
            line(format!("policy {} v{}: for whom", policy.key, policy.version), plain("This policy is for everybody".into(), "", vec![], true), false);
        }
        for (i, condition) in policy.applies_to.iter().enumerate() {
            let checked = condition.check(person);
            all &= checked.met;
            line(format!("policy {} v{}: for whom, condition {}", policy.key, policy.version, i + 1), checked, false);
        }
        if all {
            governing = Some(*policy);
            break;
        }
    }
    let Some(policy) = governing else {
        line("a policy is for you".into(), plain("A policy of this role must be for you".into(), "", vec![], false), true);
        return Decision { outcome: Outcome::Refused, policy: None, deciding_rule: "no policy is for this person".into(), trace };
    };

    let profile = &policy.profile;
    let mut allowed: Option<String> = None;
    let mut denied: Option<String> = None;
    let mut allows = Vec::new();
    for (r, rule) in profile.rules.iter().enumerate() {
        let name = format!("profile {} v{}: {} rule {}", profile.key, profile.version, if rule.effect == Effect::Allow { "allow" } else { "deny" }, r + 1);
        let mut applies = true;
        match rule.effect {
            Effect::Allow if rule.conditions.is_empty() => allows.push((name.clone(), plain("Everybody may ask".into(), "", vec![], true))),
            Effect::Deny if rule.conditions.is_empty() => line(name.clone(), plain("Kept out: everybody".into(), "", vec![], false), false),
            _ => {}
        }
        for (i, condition) in rule.conditions.iter().enumerate() {
            let checked = condition.check(person);
            applies &= checked.met;
            match rule.effect {
                Effect::Allow => allows.push((format!("{name}, condition {}", i + 1), checked)),
                Effect::Deny => {
                    let met = checked.met;
                    let shown = Checked { met: !met, sentence: condition.kept_out_sentence(), ..checked };
                    line(format!("{name}, condition {}", i + 1), shown, false);
                }
            }
        }
        if applies {
            let slot = if rule.effect == Effect::Allow { &mut allowed } else { &mut denied };
            slot.get_or_insert(name);
        }
    }
    let refused = denied.is_some() || allowed.is_none();
    if allows.is_empty() {
        let name = format!("profile {} v{}", profile.key, profile.version);
        line(name, plain("An allow rule must let somebody in, and there is none".into(), "", vec![], false), denied.is_none());
    }
    for (name, checked) in allows {
        let decisive = allowed.is_none() && denied.is_none() && !checked.met;
        line(name, checked, decisive);
    }
    if let Some(rule) = &denied {
        line(format!("{rule} applies"), plain("A deny rule applies; it beats every allow rule".into(), "", vec![], false), true);
    }
    let (outcome, deciding_rule) = if refused {
        (Outcome::Refused, denied.unwrap_or_else(|| format!("profile {} v{}: no allow rule applies", profile.key, profile.version)))
    } else {
        let rule = allowed.unwrap_or_default();
        match policy.procedure {
            Some(_) => (Outcome::NeedsApproval, rule),
            None => (Outcome::AutoApproved, format!("{rule}; policy {} v{} asks nobody", policy.key, policy.version)),
        }
    };
    Decision { outcome, policy: Some(policy.id), deciding_rule, trace }
}

#[cfg(test)]
mod tests;
