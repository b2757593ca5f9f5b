//! Whether a holder still meets the policy that governed.
//!
//! The question of [`decide`](super::decide::decide), points 2 and 3, asked again of somebody who holds access. But where a decision
//! refuses what it cannot know, access that was given is not taken away for it: what the directory does not say is unknown here, and
//! unknown never revokes.

use super::condition::Condition;
use super::person::PersonSnapshot;
use super::policy::{AccessPolicy, Effect};

/// What became of a holder's eligibility.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Eligibility {
    /// They still meet the policy.
    Holds,
    /// They surely do not.
    Lost(Lost),
    /// The directory says nothing of this attribute, on which it hangs.
    Unknown(String),
}

/// By which rule somebody is no longer eligible.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// The rule, named as in the trace of a decision.
    pub rule: String,
    /// What it asks, as a sentence.
    pub sentence: String,
    /// The attributes that it looked at and that do not fit.
    pub attributes: Vec<String>,
}

/// How the conditions of one rule come out together.
enum Together<'a> {
    Hold,
    /// These surely do not hold.
    Fail(Vec<&'a Condition>),
    /// None surely fails, but the directory says nothing of this attribute.
    Silent(String),
}

fn together<'a>(conditions: &'a [Condition], person: &PersonSnapshot) -> Together<'a> {
    let (mut failed, mut silent) = (Vec::new(), None);
    for condition in conditions {
        let looked = condition.look(person);
        if looked.met {
            continue;
        }
        if condition.rests_on_nothing(&looked.seen) {
            silent.get_or_insert(looked.attribute.to_owned());
        } else {
            failed.push(condition);
        }
    }
    match silent {
        _ if !failed.is_empty() => Together::Fail(failed),
        Some(attribute) => Together::Silent(attribute),
        None => Together::Hold,
    }
}

/// Whether `person` still meets `policy`: it is for them, and its profile lets them in. Who is not active meets nothing, but that is
/// another matter and not looked at here.
pub fn eligible(policy: &AccessPolicy, person: &PersonSnapshot) -> Eligibility {
    let lost = |rule: String, failed: &[&Condition], sentence: String| {
        let mut attributes: Vec<String> = failed.iter().map(|condition| condition.look(person).attribute.to_owned()).collect();
        attributes.sort_unstable();
        attributes.dedup();
        Eligibility::Lost(Lost { rule, sentence, attributes })
    };
    let mut unknown = None;
    match together(&policy.applies_to, person) {
        Together::Hold => {}
        Together::Fail(failed) => return lost(format!("policy {} v{}: for whom", policy.key, policy.version), &failed, said(&failed, Condition::sentence)),
        Together::Silent(attribute) => unknown = Some(attribute),
    }
    let profile = &policy.profile;
    let (mut allowed, mut maybe) = (false, None);
    let (mut missed, mut sentences) = (Vec::new(), Vec::new());
    for (rule, number) in profile.rules.iter().zip(1..) {
        match (rule.effect, together(&rule.conditions, person)) {
            (Effect::Deny, Together::Hold) => {
                let all: Vec<&Condition> = rule.conditions.iter().collect();
                let sentence = if all.is_empty() { "Kept out: everybody".into() } else { said(&all, Condition::kept_out_sentence) };
                return lost(format!("profile {} v{}: deny rule {number}", profile.key, profile.version), &all, sentence);
            }
            (Effect::Deny, Together::Silent(attribute)) => drop(unknown.get_or_insert(attribute)),
            (Effect::Deny, Together::Fail(_)) => {}
            (Effect::Allow, Together::Hold) => allowed = true,
            (Effect::Allow, Together::Silent(attribute)) => drop(maybe.get_or_insert(attribute)),
            (Effect::Allow, Together::Fail(failed)) => {
                sentences.push(said(&failed, Condition::sentence));
                missed.extend(failed);
            }
        }
    }
    if !allowed && maybe.is_none() {
        return lost(format!("profile {} v{}: no allow rule applies", profile.key, profile.version), &missed, sentences.join("; or else: "));
    }
    let open = if allowed { unknown } else { unknown.or(maybe) };
    open.map_or(Eligibility::Holds, Eligibility::Unknown)
}

fn said(conditions: &[&Condition], sentence: fn(&Condition) -> String) -> String {
    conditions.iter().map(|condition| sentence(condition)).collect::<Vec<_>>().join(", and: ")
}

#[cfg(test)]
mod tests;
