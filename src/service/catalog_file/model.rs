//! What a catalog file says, with places.

use crate::domain::catalog::Risk;
use crate::domain::condition::Condition;
use crate::domain::policy::Effect;
use crate::domain::span::Seconds;

use super::places::{Fault, Place, Placed};

/// A catalog file as it was read. A text that could not be read is empty and has its fault.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CatalogFile {
    /// The applications.
    pub applications: Vec<ApplicationEntry>,
    /// The roles of all applications.
    pub roles: Vec<RoleEntry>,
    /// Who may ask.
    pub profiles: Vec<ProfileEntry>,
    /// How it is approved.
    pub procedures: Vec<ProcedureEntry>,
    /// The rules for a role.
    pub policies: Vec<PolicyEntry>,
    /// What governs a role that neither names policies itself nor through its application.
    pub defaults: Vec<BindingEntry>,
    /// Everything that is wrong with the text itself, in its order.
    pub faults: Vec<Fault>,
}

/// One application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApplicationEntry {
    /// Its key.
    pub key: Placed<String>,
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Login of its owner in the directory.
    pub owner: Placed<String>,
    /// What governs its roles.
    pub policies: Vec<BindingEntry>,
}

/// One role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleEntry {
    /// Key of its application.
    pub application: Placed<String>,
    /// Its key within the application.
    pub key: Placed<String>,
    /// Its name.
    pub name: String,
    /// What it lets one do.
    pub description: String,
    /// Login of its owner; left out: the application's owner.
    pub owner: Option<Placed<String>>,
    /// Its risk.
    pub risk: Risk,
    /// Key of the directory; left out: the one that is configured.
    pub directory: Option<Placed<String>>,
    /// Name or reference of the group that gives it.
    pub group: Placed<String>,
    /// What governs it.
    pub policies: Vec<BindingEntry>,
}

/// A policy that governs something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BindingEntry {
    /// Key of the policy.
    pub policy: Placed<String>,
    /// Tried in this order, lowest first.
    pub priority: i32,
}

/// One access profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProfileEntry {
    /// Its key.
    pub key: Placed<String>,
    /// Its name.
    pub name: String,
    /// Its rules, in the order of the file.
    pub rules: Vec<RuleEntry>,
}

/// One rule of a profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleEntry {
    /// What it does.
    pub effect: Effect,
    /// What must hold.
    pub conditions: Vec<Placed<Condition>>,
}

/// One approval procedure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcedureEntry {
    /// Its key.
    pub key: Placed<String>,
    /// Its name.
    pub name: String,
    /// Whether one person may decide only once.
    pub distinct_people: bool,
    /// Its steps.
    pub steps: Vec<StepEntry>,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepEntry {
    /// Its name.
    pub name: String,
    /// How long it waits.
    pub time_limit: Option<Seconds>,
    /// What it needs.
    pub slots: Vec<SlotEntry>,
}

/// One slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotEntry {
    /// Where it is written.
    pub at: Place,
    /// How many approvals.
    pub approvals: u32,
    /// From whom.
    pub from: Placed<SourceEntry>,
    /// From whom when the source resolves to nobody.
    pub fallback: Option<Placed<SourceEntry>>,
}

/// An approver source by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceEntry {
    /// A person by login.
    Person(String),
    /// A group by name or reference.
    Group(String),
    /// The beneficiary's manager.
    Manager,
    /// The manager's manager.
    ManagersManager,
    /// The owner of the application.
    ApplicationOwner,
    /// The owner of the role.
    RoleOwner,
}

/// One access policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyEntry {
    /// Its key.
    pub key: Placed<String>,
    /// Its name.
    pub name: String,
    /// For whom it is; none: everybody.
    pub applies_to: Vec<Placed<Condition>>,
    /// Key of its profile.
    pub profile: Placed<String>,
    /// Key of its procedure; none: approved at once.
    pub procedure: Option<Placed<String>>,
    /// How long; none after a fault.
    pub durations: Option<crate::domain::policy::Durations>,
    /// Whether a justification must be given.
    pub justification_required: bool,
    /// Fewest characters of it.
    pub justification_minimum: u32,
    /// Whether a ticket must be named.
    pub ticket_required: bool,
    /// How it begins.
    pub ticket_prefix: Option<String>,
    /// Whether a grant may be extended.
    pub extension: bool,
    /// Whether a denial must give a reason.
    pub comment_to_deny: bool,
}
