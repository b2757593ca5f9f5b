//! What the request form shows before anything is sent.

use uuid::Uuid;

use super::shared::{PlannedStep, PolicyName, RoleName};
use super::trace::TraceRule;

/// The form for asking, and what would happen.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The role.
    pub role: RoleName,
    /// What it lets one do.
    pub about: String,
    /// The grant to be extended, when this asks for more time.
    pub extends: Option<Uuid>,
    /// Sent with the form, so that sending twice asks once.
    pub key: Uuid,
    /// What was typed, or the policy's suggestion.
    pub typed: Typed,
    /// What is wrong with what was typed.
    pub faults: Vec<Fault>,
    /// What would happen.
    pub outlook: Outlook,
}

/// The fields as typed.
#[derive(Clone, Debug, Default)]
pub struct Typed {
    /// Seconds, `none` for no end, or `other`.
    pub duration: String,
    /// A number, when `other`.
    pub other_amount: String,
    /// `minutes`, `hours` or `days`, when `other`.
    pub other_unit: String,
    /// Why it is needed.
    pub justification: String,
    /// A ticket's number or link.
    pub ticket: String,
    /// When it is to begin, as a browser's field has it (`2026-11-21T09:30`, UTC); nothing for at once.
    pub start: String,
}

/// A field and what is wrong with it.
#[derive(Clone, Debug)]
pub struct Fault {
    /// The field's name in the form.
    pub field: &'static str,
    /// What is wrong and what to do.
    pub sentence: String,
}

/// What would happen if the form were sent now.
#[derive(Clone, Debug)]
pub enum Outlook {
    /// It would be taken.
    Open(Box<Plan>),
    /// It would be refused.
    Refused {
        /// The sentence.
        reason: String,
        /// Every rule looked at.
        trace: Vec<TraceRule>,
    },
    /// The directory does not answer, so nothing can be decided.
    Unknown {
        /// What failed and since when.
        reason: String,
    },
}

/// What will happen, under which policy.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The policy that governs.
    pub policy: PolicyName,
    /// Which condition made it govern, as a sentence.
    pub because: Option<String>,
    /// Lengths to choose from.
    pub choices_s: Vec<i64>,
    /// The shortest.
    pub min_s: i64,
    /// The longest.
    pub max_s: i64,
    /// Whether access without end may be asked for.
    pub indefinite: bool,
    /// `required`, `optional` or `none`.
    pub justification: String,
    /// `required`, `optional` or `none`.
    pub ticket: String,
    /// How a ticket's number begins.
    pub ticket_prefix: Option<String>,
    /// The steps; empty when approval is automatic.
    pub steps: Vec<PlannedStep>,
    /// `idp_group`, `app_api`, `workflow` or `manual`.
    pub method: String,
    /// What is changed there, in words.
    pub target: String,
    /// How long it usually takes from approval to verified access.
    pub usual_grant_s: Option<i64>,
    /// Whether more time may be asked for before it ends.
    pub extendable: bool,
}

impl Ask {
    /// What is wrong with that field, if anything is.
    pub fn fault(&self, field: &str) -> Option<&str> {
        self.faults.iter().find(|f| f.field == field).map(|f| f.sentence.as_str())
    }

    /// Whether that length (seconds) is the one to show as chosen.
    pub fn is_chosen(&self, seconds: &i64) -> bool {
        self.typed.duration.parse() == Ok(*seconds)
    }

    /// Whether there is something typed that must not be lost.
    pub fn has_typed(&self) -> bool {
        !self.typed.justification.is_empty()
    }
}
