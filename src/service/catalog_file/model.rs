//! What a catalog file says, with places.

use crate::domain::catalog::Risk;
use crate::domain::condition::Condition;
use crate::domain::drift::DriftRule;
use crate::domain::policy::{CustomField, Durations, Effect, EligibilityLost, Emergency, OnBehalf, TextRule, Verdict};
use crate::domain::span::Seconds;

use super::places::{Fault, Placed};

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
    /// Roles that must not be held together.
    pub separation: Vec<SeparationEntry>,
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
    /// What happens to a member that no lease explains.
    pub drift: DriftRule,
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
    /// Whether who was asked may hand it on.
    pub reassign: bool,
    /// Its steps.
    pub steps: Vec<StepEntry>,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepEntry {
    /// Its name.
    pub name: String,
    /// When it is part of the procedure.
    pub when: WhenEntry,
    /// How long it waits.
    pub time_limit: Option<Seconds>,
    /// How often who is asked is reminded.
    pub remind_every: Option<Seconds>,
    /// Whom it escalates to.
    pub escalation: Option<EscalationEntry>,
    /// What it needs.
    pub slots: Vec<SlotEntry>,
}

/// When a step is part of its procedure; nothing given: always.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WhenEntry {
    /// What must hold.
    pub conditions: Vec<Placed<Condition>>,
    /// The role's risk is one of these; empty: any.
    pub risks: Vec<Risk>,
    /// It is asked for longer than this.
    pub longer_than: Option<Seconds>,
}

/// Whom a step escalates to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EscalationEntry {
    /// The first that resolves to somebody; at least one.
    pub sources: Vec<Placed<SourceEntry>>,
    /// How long it waits then.
    pub time_limit: Option<Seconds>,
}

/// One slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotEntry {
    /// How many approvals.
    pub approvals: u32,
    /// From whom: the first that resolves to somebody; at least one.
    pub sources: Vec<Placed<SourceEntry>>,
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
    /// What is decided without asking anybody.
    pub auto_rules: Vec<AutoEntry>,
    /// How long; none after a fault.
    pub durations: Option<Durations>,
    /// How far ahead a start may lie; none: not at all.
    pub future_start: Option<Seconds>,
    /// What the justification must be.
    pub justification: TextRule,
    /// What the ticket reference must be.
    pub ticket: TextRule,
    /// Fields of its own.
    pub fields: Vec<CustomField>,
    /// How a grant is extended; none: it is not.
    pub extension: Option<ExtensionEntry>,
    /// Who may ask for somebody else.
    pub on_behalf: OnBehalf,
    /// Access at once; none: not offered.
    pub emergency: Option<Emergency>,
    /// Whether a denial must give a reason.
    pub comment_to_deny: bool,
    /// What becomes of a grant whose holder no longer meets the policy.
    pub eligibility_lost: EligibilityLost,
}

/// One rule that decides without asking anybody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AutoEntry {
    /// Its name.
    pub name: String,
    /// What it does.
    pub verdict: Verdict,
    /// What must hold.
    pub conditions: Vec<Placed<Condition>>,
    /// The role's risk is one of these; empty: any.
    pub risks: Vec<Risk>,
    /// It is asked for no longer than this.
    pub at_most: Option<Seconds>,
    /// It is asked for longer than this.
    pub longer_than: Option<Seconds>,
}

/// How a grant is extended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtensionEntry {
    /// The longest; none: the policy's maximum.
    pub maximum: Option<Seconds>,
    /// In the last so many percent of the period.
    pub last_percent: u32,
    /// How many times in a row; none: as often as it is approved.
    pub most: Option<u32>,
    /// Key of its procedure; none: as the first time.
    pub procedure: Option<Placed<String>>,
}

/// Roles that one person must not hold together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeparationEntry {
    /// Its key.
    pub key: Placed<String>,
    /// Its name.
    pub name: String,
    /// One set: `application/role`.
    pub a: Vec<Placed<String>>,
    /// The other.
    pub b: Vec<Placed<String>>,
    /// Key of the procedure of its exceptions; none: there are none.
    pub procedure: Option<Placed<String>>,
}

impl CatalogFile {
    /// Every condition anywhere in the file.
    pub fn conditions(&self) -> impl Iterator<Item = &Placed<Condition>> {
        let profiles = self.profiles.iter().flat_map(|profile| &profile.rules).flat_map(|rule| &rule.conditions);
        let steps = self.procedures.iter().flat_map(|procedure| &procedure.steps).flat_map(|step| &step.when.conditions);
        let policies = self.policies.iter().flat_map(|policy| policy.applies_to.iter().chain(policy.auto_rules.iter().flat_map(|rule| &rule.conditions)));
        profiles.chain(steps).chain(policies)
    }
}

impl ProcedureEntry {
    /// Every approver source of its slots and escalations.
    pub fn sources(&self) -> impl Iterator<Item = &Placed<SourceEntry>> {
        self.steps.iter().flat_map(|step| step.slots.iter().flat_map(|slot| &slot.sources).chain(step.escalation.iter().flat_map(|to| &to.sources)))
    }
}
