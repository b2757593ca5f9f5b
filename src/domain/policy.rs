//! Access profiles, approval procedures and access policies.

use serde::{Deserialize, Serialize};

use super::condition::Condition;
use super::id::{PersonId, PolicyVersionId};
use super::span::{Seconds, sentence};

/// What a rule of an access profile does when all its conditions hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Lets the person ask.
    Allow,
    /// Keeps the person out, whatever else allows.
    Deny,
}

/// One rule: all its conditions must hold for it to apply. A rule without conditions always applies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// What it does.
    pub effect: Effect,
    /// What must hold.
    pub conditions: Vec<Condition>,
}

/// Who may ask: any allow rule suffices, any deny rule beats every allow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessProfile {
    /// Its key in configuration.
    pub key: String,
    /// Its name for people.
    pub name: String,
    /// Counted from 1.
    pub version: i32,
    /// Its rules in the order of the configuration.
    pub rules: Vec<Rule>,
}

/// Where the approvers of a slot come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "source", content = "value", rename_all = "snake_case")]
pub enum ApproverSource {
    /// One person, by id; the name is for reading.
    Person {
        /// Who.
        id: PersonId,
        /// Their name when the version was made.
        name: String,
    },
    /// The members of a directory group.
    Group {
        /// Immutable id in the directory.
        reference: String,
        /// Its name when the version was made.
        name: String,
    },
    /// The beneficiary's manager, as the directory says now.
    Manager,
    /// The manager's manager.
    ManagersManager,
    /// The owner of the role's application.
    ApplicationOwner,
    /// The owner of the role.
    RoleOwner,
}

impl ApproverSource {
    /// "your manager", "a member of dba", for the request form.
    pub fn label(&self) -> String {
        match self {
            Self::Person { name, .. } => name.clone(),
            Self::Group { name, .. } => format!("a member of {name}"),
            Self::Manager => "the manager".into(),
            Self::ManagersManager => "the manager's manager".into(),
            Self::ApplicationOwner => "the application owner".into(),
            Self::RoleOwner => "the role owner".into(),
        }
    }

    /// The word in configuration, database and CSV.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Person { .. } => "person",
            Self::Group { .. } => "group",
            Self::Manager => "manager",
            Self::ManagersManager => "managers_manager",
            Self::ApplicationOwner => "application_owner",
            Self::RoleOwner => "role_owner",
        }
    }
}

/// "n approvals from this approver source".
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slot {
    /// How many approvals, at least 1.
    pub approvals: u32,
    /// From whom.
    #[serde(flatten)]
    pub source: ApproverSource,
    /// From whom when the source resolves to nobody.
    pub fallback: Option<ApproverSource>,
}

/// One step: done when each of its slots has its count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Its name for people.
    pub name: String,
    /// After this long without an end the request is timed out.
    pub time_limit: Option<Seconds>,
    /// What it needs.
    pub slots: Vec<Slot>,
}

/// Ordered steps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalProcedure {
    /// Its key in configuration.
    pub key: String,
    /// Its name for people.
    pub name: String,
    /// Counted from 1.
    pub version: i32,
    /// Whether one person may decide only once per request.
    pub distinct_people: bool,
    /// At least one.
    pub steps: Vec<Step>,
}

/// How long access may last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Durations {
    /// Prefilled in the form.
    pub recommended: Option<Seconds>,
    /// The shortest that may be asked for.
    pub minimum: Seconds,
    /// The longest that may be asked for.
    pub maximum: Seconds,
    /// Offered in the form, shortest first.
    pub choices: Vec<Seconds>,
    /// Whether access without end may be asked for.
    pub indefinite: bool,
}

/// One immutable version of an access policy, with the versions of profile and procedure it was made with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessPolicy {
    /// Id of this version.
    pub id: PolicyVersionId,
    /// Its key in configuration.
    pub key: String,
    /// Its name for people.
    pub name: String,
    /// Counted from 1.
    pub version: i32,
    /// SHA-256 of its canonical form, hex.
    pub digest: String,
    /// For whom it is: all must hold; none means everybody.
    pub applies_to: Vec<Condition>,
    /// Who may ask.
    pub profile: AccessProfile,
    /// How it is approved; none means at once.
    pub procedure: Option<ApprovalProcedure>,
    /// How long.
    pub durations: Durations,
    /// Whether a justification must be given.
    pub justification_required: bool,
    /// Fewest characters of a justification that is required.
    pub justification_minimum: u32,
    /// Whether a ticket must be named.
    pub ticket_required: bool,
    /// How a ticket reference must begin.
    pub ticket_prefix: Option<String>,
    /// Whether a grant may be extended.
    pub extension: bool,
    /// Whether a denial must give a reason.
    pub comment_to_deny: bool,
}

/// A fault of one field of an ask, with the sentence the person reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldFault {
    /// `duration`, `justification`, `ticket_reference` or `starts_at`.
    pub field: String,
    /// What is wrong and what to do.
    pub sentence: String,
}

/// The parts of an ask that a policy limits.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// None: without end.
    pub duration: Option<Seconds>,
    /// Trimmed; empty is none.
    pub justification: Option<&'a str>,
    /// Trimmed; empty is none.
    pub ticket_reference: Option<&'a str>,
}

/// The longest justification, comment or reason, in characters.
pub const LONGEST_TEXT: usize = 4_000;

impl AccessPolicy {
    /// Everything about `wanted` that this policy does not allow; empty when all is well.
    pub fn faults(&self, wanted: Wanted<'_>) -> Vec<FieldFault> {
        let mut faults = Vec::new();
        let mut fault = |field: &str, sentence: String| faults.push(FieldFault { field: field.into(), sentence });
        let limits = &self.durations;
        match wanted.duration {
            None if !limits.indefinite => {
                fault("duration", format!("Choose how long; access without end is not offered here. The longest is {}.", limits.maximum))
            }
            Some(d) if d > limits.maximum => fault("duration", format!("The longest is {}; you asked for {d}.", limits.maximum)),
            Some(d) if d < limits.minimum => fault("duration", format!("The shortest is {}; you asked for {d}.", limits.minimum)),
            _ => {}
        }
        let length = wanted.justification.map_or(0, |text| text.chars().count());
        if self.justification_required && length == 0 {
            fault("justification", "Say what you need it for; the approver reads this.".into());
        } else if self.justification_required && length < self.justification_minimum as usize {
            fault("justification", format!("Say a little more: at least {} characters; you wrote {length}.", self.justification_minimum));
        }
        if length > LONGEST_TEXT {
            fault("justification", format!("At most {LONGEST_TEXT} characters; you wrote {length}."));
        }
        match wanted.ticket_reference {
            None if self.ticket_required => fault("ticket_reference", "Name the ticket this belongs to.".into()),
            Some(ticket) if ticket.chars().count() > 100 => fault("ticket_reference", "At most 100 characters.".into()),
            Some(ticket) => {
                if let Some(prefix) = self.ticket_prefix.as_deref().filter(|prefix| !ticket.starts_with(prefix)) {
                    fault("ticket_reference", format!("A ticket reference begins with {prefix}."));
                }
            }
            None => {}
        }
        faults
    }

    /// "for 15 minutes to 8 hours" or "for up to 8 hours, or without end".
    pub fn duration_sentence(&self) -> String {
        let limits = &self.durations;
        let or = if limits.indefinite { format!(", or {}", sentence(None)) } else { String::new() };
        format!("{} to {}{or}", limits.minimum, limits.maximum)
    }
}

#[cfg(test)]
mod tests;
