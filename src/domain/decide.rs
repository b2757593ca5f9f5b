//! The decision: pure, and explained in full.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::catalog::Risk;
use super::id::{PersonId, PolicyVersionId, RoleId};
use super::person::PersonSnapshot;
use super::policy::{AccessPolicy, ApprovalProcedure, Step};
use super::separation::SeparationRule;
use super::span::Seconds;
use desk::Desk;

mod desk;

/// What is asked for, as far as the decision looks at it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    /// Who asks.
    pub requester: PersonId,
    /// For whom.
    pub beneficiary: PersonId,
    /// Which role.
    pub role: RoleId,
    /// The role's risk.
    pub risk: Risk,
    /// None: without end.
    pub duration: Option<Seconds>,
    /// None: as soon as it is approved.
    pub starts_at: Option<DateTime<Utc>>,
    /// Whether it extends a lease.
    pub extension: bool,
    /// Whether it is to begin before anybody is asked.
    pub emergency: bool,
    /// Whether a review of an earlier emergency of the beneficiary is still owed.
    pub review_owed: bool,
    /// What the requester is to the beneficiary or the role; looked at when they ask for somebody else.
    pub standing: Standing,
    /// Roles that the beneficiary holds or has asked for, in order of their ids; only those that a separation rule names.
    pub held: Vec<RoleId>,
}

/// What a requester is to whom they ask for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// Manager of the beneficiary, at any depth.
    pub manages: bool,
    /// Owner of the role or of its application.
    pub owns: bool,
}

/// The rules that an ask is held against.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    /// The policies that may govern the role, first priority first.
    pub policies: &'a [&'a AccessPolicy],
    /// Every separation rule that names the role.
    pub separation: &'a [&'a SeparationRule],
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

/// A step that the ask goes through: which one of which version of which procedure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedStep {
    /// Key of the procedure.
    pub procedure: String,
    /// Its version.
    pub version: i32,
    /// Which of its steps, counted from 1.
    pub position: usize,
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
    /// The steps it goes through, in order; also those that an emergency skips. None when nobody is asked.
    pub steps: Vec<PlannedStep>,
    /// Key and version of each separation rule that it runs against.
    pub conflicts: Vec<String>,
    /// Every rule looked at, in order.
    pub trace: Vec<TraceLine>,
}

impl Decision {
    /// Whether the deciding rule is a separation of duties.
    pub fn is_separated(&self) -> bool {
        self.outcome == Outcome::Refused && self.deciding_rule.starts_with("separation ")
    }

    /// Refuses what nobody could approve: `why` says so of the people there were at `now`. What it would have asked stays in `steps`.
    pub fn refuse_dead_end(&mut self, why: &str, person: &PersonSnapshot, now: DateTime<Utc>) {
        self.outcome = Outcome::Refused;
        self.deciding_rule = "nobody could approve".into();
        self.trace.push(TraceLine {
            rule: self.deciding_rule.clone(),
            sentence: format!("Somebody must be able to approve: {why}"),
            attribute: None,
            seen: vec![],
            source: person.directory.clone(),
            fetched_at: now,
            passed: false,
            decisive: true,
        });
    }
}

/// The body of a planned step: of the policy's procedure, of the one for its extensions, or of a separation rule.
pub fn step_of<'a>(policy: &'a AccessPolicy, separation: &[&'a SeparationRule], planned: &PlannedStep) -> Option<(&'a ApprovalProcedure, &'a Step)> {
    let extension = policy.extension.as_ref().and_then(|rules| rules.procedure.as_ref());
    let mut all = policy.procedure.iter().chain(extension).chain(separation.iter().filter_map(|rule| rule.procedure.as_ref()));
    let found = all.find(|procedure| procedure.key == planned.procedure && procedure.version == planned.version)?;
    Some((found, found.steps.get(planned.position.checked_sub(1)?)?))
}

/// Decides on `ask` by `rules` for `person` as the directory described them. `now` only guards against a start in the past. Never
/// fails: whatever cannot be allowed is refused with its reason.
///
/// How rules combine, in this order; the first that refuses ends it. `docs/rules.md` says the same for people, point by point:
///
/// 1. The person is active, and the start is not past.
/// 2. The first policy whose conditions all hold governs. A condition on an attribute of which the directory says nothing can
///    neither be held true nor false: then it is unknown who governs, and the ask is refused.
/// 3. In its access profile a rule applies when all its conditions hold. A deny rule that applies refuses, whatever else; one that
///    cannot be ruled out, because the directory says nothing of its attribute, applies. Otherwise one allow rule that applies suffices.
/// 4. Who asks for somebody else is somebody whom the policy lets.
/// 5. An emergency needs a path for it, is asked for by oneself and is no extension; and no review is owed.
/// 6. A separation rule that the person would run against refuses, or adds the steps of its procedure; an emergency it refuses always.
/// 7. An auto rule that denies refuses, also when it cannot be ruled out. One that approves must surely apply.
/// 8. A step is part of the procedure when its conditions hold or cannot be ruled out. Of the policy's procedure, unless an auto rule
///    approves, and of each that a separation rule adds, a step must be sure to apply; else the ask is refused.
/// 9. What a separation rule adds steps to goes through all of them. Otherwise an emergency is approved at once; then, what an auto
///    rule approves; then, what a policy without a procedure governs. What is left goes through the steps.
///
/// The order of rules within a profile, of auto rules and of conditions never matters. `exists`, `not_exists` and the group
/// operators look at absence itself: for them nothing is unknown.
pub fn decide(rules: Rules<'_>, person: &PersonSnapshot, ask: &Ask, now: DateTime<Utc>) -> Decision {
    let mut desk = Desk::of(person);
    match desk.decide(rules, ask, now) {
        Ok((policy, outcome, deciding_rule)) => desk.close(outcome, Some(policy.id), deciding_rule),
        Err((policy, deciding_rule)) => desk.close(Outcome::Refused, policy, deciding_rule),
    }
}

#[cfg(test)]
mod laws;
#[cfg(test)]
mod tests;
