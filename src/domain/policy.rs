//! Access profiles, approval procedures and access policies.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use regex::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};

use super::catalog::Risk;
use super::condition::{Condition, Operator};
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
    /// From whom: the first of these that resolves to somebody counts. At least one.
    pub sources: Vec<ApproverSource>,
}

impl Slot {
    /// "the manager, or else the application owner".
    pub fn label(&self) -> String {
        self.sources.iter().map(ApproverSource::label).collect::<Vec<_>>().join(", or else ")
    }
}

/// When a step is part of the procedure: all that is given must hold. Nothing given means always.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct When {
    /// What must hold of the beneficiary.
    pub conditions: Vec<Condition>,
    /// The role's risk must be one of these; empty means any.
    pub risks: Vec<Risk>,
    /// The ask must be for longer than this, or without end.
    pub longer_than: Option<Seconds>,
}

impl When {
    /// Whether it always holds.
    pub fn is_always(&self) -> bool {
        self.conditions.is_empty() && self.risks.is_empty() && self.longer_than.is_none()
    }
}

impl When {
    /// "for longer than 4 hours, where the risk is critical and department is Data"; "always".
    pub fn sentence(&self) -> String {
        limits_sentence(&self.conditions, &self.risks, None, self.longer_than)
    }
}

/// Limits in words: "for at most 2 hours, where the risk is low and is a member of on-call"; "always" when there are none.
fn limits_sentence(conditions: &[Condition], risks: &[Risk], at_most: Option<Seconds>, longer_than: Option<Seconds>) -> String {
    let mut parts = Vec::new();
    if let Some(most) = at_most {
        parts.push(format!("for at most {most}"));
    }
    if let Some(least) = longer_than {
        parts.push(format!("for longer than {least}"));
    }
    let risks: Vec<&str> = risks.iter().map(|risk| risk.word()).collect();
    let risk = (!risks.is_empty()).then(|| format!("the risk is {}", risks.join(" or ")));
    let held: Vec<String> = risk.into_iter().chain(conditions.iter().map(Condition::holds_sentence)).collect();
    if !held.is_empty() {
        parts.push(format!("where {}", held.join(" and ")));
    }
    if parts.is_empty() { "always".into() } else { parts.join(", ") }
}

/// Who is asked besides when a step has waited too long.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Escalation {
    /// The first of these that resolves to somebody is asked too, for every slot that is still open. At least one.
    pub sources: Vec<ApproverSource>,
    /// After this long more the request is denied by time; none: it waits.
    pub time_limit: Option<Seconds>,
}

/// One step: done when each of its slots has its count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Its name for people.
    pub name: String,
    /// When it is part of the procedure.
    pub when: When,
    /// After this long without an end the step escalates; without an escalation the request is timed out.
    pub time_limit: Option<Seconds>,
    /// Who is asked and has not answered is reminded each time this long has passed.
    pub remind_every: Option<Seconds>,
    /// Whom it escalates to.
    pub escalation: Option<Escalation>,
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
    /// Whether who was asked may hand it on to somebody else.
    pub reassign: bool,
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

/// An expression that a text must match, and what the person reads when it does not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pattern {
    /// A regular expression, matched against the whole text.
    pub expression: String,
    /// The sentence when it does not match.
    pub says: String,
}

impl Pattern {
    /// Whether `text` matches as a whole. An expression that does not compile matches nothing.
    pub fn matches(&self, text: &str) -> bool {
        self.compiled().is_ok_and(|expression| expression.is_match(text))
    }

    /// Why the expression cannot be used; none when it can.
    pub fn fault(&self) -> Option<String> {
        self.compiled().err().map(|error| error.to_string())
    }

    fn compiled(&self) -> Result<Regex, regex::Error> {
        // By itself first: what closes a group that it did not open must not undo the ends that are put around it.
        // Small both times: it is compiled for each answer, and a file may hold thousands.
        let compiled = |expression: &str| RegexBuilder::new(expression).size_limit(1 << 18).build();
        compiled(&self.expression)?;
        compiled(&format!("^(?:{})$", self.expression))
    }
}

/// What a text of an ask must be: its justification, its ticket reference.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextRule {
    /// Whether it must be given.
    pub required: bool,
    /// Fewest characters when it is required.
    pub minimum: u32,
    /// What it must match when it is given.
    pub pattern: Option<Pattern>,
}

/// What a field of a policy's own takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum FieldKind {
    /// Any text of at most this many characters.
    Text {
        /// 1 to 4,000.
        maximum: u32,
    },
    /// One of these.
    Choice {
        /// At least two, all different.
        choices: Vec<String>,
    },
    /// A day, `YYYY-MM-DD`.
    Date,
    /// A whole number.
    Number {
        /// The least.
        minimum: Option<i64>,
        /// The most.
        maximum: Option<i64>,
    },
    /// `yes` or `no`.
    YesNo,
}

impl FieldKind {
    /// The word in configuration, database and API.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Text { .. } => "text",
            Self::Choice { .. } => "choice",
            Self::Date => "date",
            Self::Number { .. } => "number",
            Self::YesNo => "yes_no",
        }
    }
}

/// A field that a policy adds to the form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CustomField {
    /// Its key in configuration and evidence, unique in the policy.
    pub key: String,
    /// Its name for people.
    pub label: String,
    /// A sentence below it.
    pub help: Option<String>,
    /// Whether it must be filled in.
    pub required: bool,
    /// What it takes.
    #[serde(flatten)]
    pub kind: FieldKind,
}

/// What an auto rule does when it applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Approves at once; nobody is asked.
    Approve,
    /// Refuses at once; nobody is asked.
    Deny,
}

/// Approves or refuses without asking anybody, when all that is given holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AutoRule {
    /// Its name, cited in the decision.
    pub name: String,
    /// What it does.
    pub verdict: Verdict,
    /// What must hold of the beneficiary.
    pub conditions: Vec<Condition>,
    /// The role's risk must be one of these; empty means any.
    pub risks: Vec<Risk>,
    /// The ask must be for no longer than this.
    pub at_most: Option<Seconds>,
    /// The ask must be for longer than this, or without end.
    pub longer_than: Option<Seconds>,
}

impl AutoRule {
    /// When it applies: "for at most 2 hours, where the risk is low"; "always".
    pub fn sentence(&self) -> String {
        limits_sentence(&self.conditions, &self.risks, self.at_most, self.longer_than)
    }
}

/// How a grant is extended. A policy without it does not extend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extension {
    /// The longest extension; none: the policy's maximum.
    pub maximum: Option<Seconds>,
    /// It is offered in the last so many percent of the period, 1 to 100.
    pub last_percent: u32,
    /// How many times in a row; none: as often as it is approved.
    pub most: Option<u32>,
    /// How it is approved; none: as the first time.
    pub procedure: Option<ApprovalProcedure>,
}

/// Who may ask for somebody else.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OnBehalf {
    /// A manager of the beneficiary, at any depth.
    pub manager: bool,
    /// The owner of the role or its application.
    pub owner: bool,
    /// Whether the beneficiary must confirm before anything else happens.
    pub confirm: bool,
}

/// Access at once, for a short time, with a debt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Emergency {
    /// The longest.
    pub maximum: Seconds,
    /// A review is owed within this long.
    pub review_within: Seconds,
}

/// What becomes of a grant whose holder no longer meets the policy that governed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EligibilityLost {
    /// It stays; the owner of the role is told.
    Keep,
    /// It ends after this grace; holder and owner are told when the grace begins.
    Revoke(Seconds),
}

impl EligibilityLost {
    /// The grace when a policy says nothing: 7 days.
    pub const GRACE: Seconds = Seconds(7 * 86_400);

    /// The grace; none: it stays.
    pub fn grace(self) -> Option<Seconds> {
        match self {
            Self::Keep => None,
            Self::Revoke(grace) => Some(grace),
        }
    }

    /// "Who no longer meets this policy loses the access after 7 days, and is told before."
    pub fn sentence(self) -> String {
        match self {
            Self::Keep => "Who no longer meets this policy keeps the access; the role’s owner is told.".into(),
            Self::Revoke(grace) => format!("Who no longer meets this policy loses the access after {}, and is told before.", sentence(Some(grace))),
        }
    }
}

impl Default for EligibilityLost {
    fn default() -> Self {
        Self::Revoke(Self::GRACE)
    }
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
    /// What is decided without asking anybody; a deny rule that applies beats every approve rule.
    pub auto_rules: Vec<AutoRule>,
    /// How long.
    pub durations: Durations,
    /// How far ahead a start may lie; none: only as soon as approved.
    pub future_start: Option<Seconds>,
    /// What the justification must be.
    pub justification: TextRule,
    /// What the ticket reference must be.
    pub ticket: TextRule,
    /// Fields of its own, in the order of the form.
    pub fields: Vec<CustomField>,
    /// How a grant is extended; none: it is not.
    pub extension: Option<Extension>,
    /// Who may ask for somebody else.
    pub on_behalf: OnBehalf,
    /// Access at once; none: not offered.
    pub emergency: Option<Emergency>,
    /// Whether a denial must give a reason.
    pub comment_to_deny: bool,
    /// What becomes of a grant whose holder no longer meets this policy.
    #[serde(default)]
    pub eligibility_lost: EligibilityLost,
}

/// A fault of one field of an ask, with the sentence the person reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldFault {
    /// `duration`, `justification`, `ticket_reference`, `starts_at`, `emergency_reason` or `field_` and the key of a custom field.
    pub field: String,
    /// What is wrong and what to do.
    pub sentence: String,
}

/// The parts of an ask that a policy limits.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// None: without end.
    pub duration: Option<Seconds>,
    /// Seconds from now to the start that was asked for; none: as soon as approved.
    pub starts_in: Option<i64>,
    /// Trimmed; empty is none.
    pub justification: Option<&'a str>,
    /// Trimmed; empty is none.
    pub ticket_reference: Option<&'a str>,
    /// Values of the custom fields by key, trimmed; empty is none.
    pub fields: &'a BTreeMap<String, String>,
    /// Whether it is an extension.
    pub extension: bool,
    /// Why it cannot wait, when it is an emergency.
    pub emergency: Option<&'a str>,
}

/// The longest justification, comment or reason, in characters.
pub const LONGEST_TEXT: usize = 4_000;
/// The fewest characters of a reason for an emergency.
pub const SHORTEST_EMERGENCY_REASON: usize = 10;

impl AccessPolicy {
    /// What is decided without asking anybody, each a sentence: its automatic rules in their order, then its emergency path.
    pub fn unasked(&self) -> Vec<String> {
        self.auto_sentences().chain(self.emergency_sentence()).collect()
    }

    fn auto_sentences(&self) -> impl Iterator<Item = String> {
        self.auto_rules.iter().map(|rule| {
            let what = if rule.verdict == Verdict::Approve { "Approved" } else { "Denied" };
            format!("{what} without asking anybody {} ({}).", rule.sentence(), rule.name)
        })
    }

    fn emergency_sentence(&self) -> Option<String> {
        let path = self.emergency.as_ref()?;
        Some(format!("In an emergency access begins at once, for at most {}; a review is owed within {}.", path.maximum, path.review_within))
    }

    /// What it asks for and offers besides who decides and how long, each as a sentence.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        let text = |rule: &TextRule, what: &str| {
            let pattern = rule.pattern.as_ref().map(|pattern| format!(" {}", pattern.says)).unwrap_or_default();
            match (rule.required, rule.minimum) {
                (true, 0 | 1) => Some(format!("A {what} is required.{pattern}")),
                (true, least) => Some(format!("A {what} of at least {least} characters is required.{pattern}")),
                (false, _) if rule.pattern.is_some() => Some(format!("A {what} may be given.{pattern}")),
                (false, _) => None,
            }
        };
        notes.extend(text(&self.justification, "justification"));
        notes.extend(text(&self.ticket, "ticket"));
        for field in &self.fields {
            notes.push(format!("The form also asks for {}{}.", field.label, if field.required { "" } else { ", if there is something to say" }));
        }
        notes.extend(self.auto_sentences());
        notes.push(match &self.extension {
            None => "It is not extended; it is asked for again when it has ended.".into(),
            Some(rules) => {
                let most = rules.maximum.map(|most| format!(", for {most} at most")).unwrap_or_default();
                let times = rules.most.map(|times| format!(", {times} time{} in a row", if times == 1 { "" } else { "s" })).unwrap_or_default();
                let how = rules.procedure.as_ref().map(|procedure| format!("; that asks {}", procedure.name)).unwrap_or_default();
                format!("More time may be asked for in the last {} % of it{most}{times}{how}.", rules.last_percent)
            }
        });
        match (self.on_behalf.manager, self.on_behalf.owner) {
            (false, false) => {}
            (manager, owner) => {
                let who = match (manager, owner) {
                    (true, true) => "A manager, or the owner,",
                    (true, false) => "A manager",
                    _ => "The owner",
                };
                let confirm = if self.on_behalf.confirm { ", who must confirm it" } else { "" };
                notes.push(format!("{who} may ask for somebody else{confirm}."));
            }
        }
        notes.extend(self.emergency_sentence());
        match self.future_start {
            None => notes.push("It begins as soon as it is approved; a later start is not offered.".into()),
            Some(most) => notes.push(format!("A start may be chosen up to {most} ahead.")),
        }
        notes
    }

    /// Whether some condition of it looks at who is above a person.
    pub fn looks_up(&self) -> bool {
        let steps = |procedure: &Option<ApprovalProcedure>| procedure.iter().flat_map(|p| &p.steps).any(|step| looks_up(&step.when.conditions));
        looks_up(&self.applies_to)
            || self.profile.rules.iter().any(|rule| looks_up(&rule.conditions))
            || self.auto_rules.iter().any(|rule| looks_up(&rule.conditions))
            || steps(&self.procedure)
            || self.extension.as_ref().is_some_and(|rules| steps(&rules.procedure))
    }

    /// The longest that may be asked for, in this way.
    pub fn maximum(&self, extension: bool, emergency: bool) -> Seconds {
        let most = self.durations.maximum;
        match (&self.emergency, &self.extension) {
            (Some(path), _) if emergency => path.maximum.min(most),
            (_, Some(rules)) if extension => rules.maximum.unwrap_or(most).min(most),
            _ => most,
        }
    }

    /// Everything about `wanted` that this policy does not allow; empty when all is well.
    pub fn faults(&self, wanted: Wanted<'_>) -> Vec<FieldFault> {
        let mut faults = Vec::new();
        let mut fault = |field: &str, sentence: String| faults.push(FieldFault { field: field.into(), sentence });
        let limits = &self.durations;
        let most = self.maximum(wanted.extension, wanted.emergency.is_some());
        let least = limits.minimum.min(most);
        let limited = wanted.emergency.is_some() || (wanted.extension && self.extension.as_ref().is_some_and(|rules| rules.maximum.is_some()));
        match wanted.duration {
            None if !limits.indefinite || limited => {
                fault("duration", format!("Choose how long; access without end is not offered here. The longest is {most}."));
            }
            Some(d) if d > most => fault("duration", format!("The longest is {most}; you asked for {d}.")),
            Some(d) if d < least => fault("duration", format!("The shortest is {least}; you asked for {d}.")),
            _ => {}
        }
        if let Some(ahead) = wanted.starts_in.filter(|ahead| *ahead > 0) {
            match self.future_start {
                _ if wanted.emergency.is_some() => fault("starts_at", "An emergency begins at once; leave the start empty.".into()),
                None => fault("starts_at", "A later start is not offered here; leave it empty to begin as soon as it is approved.".into()),
                Some(most) if ahead > most.0 => fault("starts_at", format!("At most {most} ahead; leave it empty to begin as soon as it is approved.")),
                Some(_) => {}
            }
        }
        text_faults(&self.justification, "justification", wanted.justification, LONGEST_TEXT, "Say what you need it for; the approver reads this.", &mut fault);
        text_faults(&self.ticket, "ticket_reference", wanted.ticket_reference, 100, "Name the ticket this belongs to.", &mut fault);
        if let Some(reason) = wanted.emergency {
            let length = reason.chars().count();
            if self.emergency.is_none() {
                fault("emergency_reason", "This policy has no emergency path; ask in the ordinary way.".into());
            } else if length < SHORTEST_EMERGENCY_REASON {
                fault(
                    "emergency_reason",
                    format!("Say why it cannot wait for an approval: at least {SHORTEST_EMERGENCY_REASON} characters; you wrote {length}."),
                );
            } else if length > LONGEST_TEXT {
                fault("emergency_reason", format!("At most {LONGEST_TEXT} characters; you wrote {length}."));
            }
        }
        for field in &self.fields {
            let value = wanted.fields.get(&field.key).map(String::as_str).filter(|value| !value.is_empty());
            if let Some(sentence) = field.fault(value) {
                fault(&format!("field_{}", field.key), sentence);
            }
        }
        for key in wanted.fields.keys().filter(|key| !self.fields.iter().any(|field| field.key == **key)) {
            fault(&format!("field_{key}"), "This policy has no such field; leave it out.".into());
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

fn looks_up(conditions: &[Condition]) -> bool {
    conditions.iter().any(|condition| condition.operator == Operator::ReportsTo)
}

fn text_faults(rule: &TextRule, field: &str, text: Option<&str>, longest: usize, missing: &str, fault: &mut impl FnMut(&str, String)) {
    let Some(text) = text.filter(|text| !text.is_empty()) else {
        if rule.required {
            fault(field, missing.into());
        }
        return;
    };
    let length = text.chars().count();
    if rule.required && length < rule.minimum as usize {
        fault(field, format!("Say a little more: at least {} characters; you wrote {length}.", rule.minimum));
    } else if length > longest {
        fault(field, format!("At most {longest} characters; you wrote {length}."));
    } else if let Some(pattern) = rule.pattern.as_ref().filter(|pattern| !pattern.matches(text)) {
        fault(field, pattern.says.clone());
    }
}

impl CustomField {
    /// What is wrong with `value`, as the person reads it; none when nothing is.
    pub fn fault(&self, value: Option<&str>) -> Option<String> {
        let Some(value) = value else { return self.required.then(|| format!("{} is needed.", self.label)) };
        match &self.kind {
            FieldKind::Text { maximum } => {
                let length = value.chars().count();
                (length > *maximum as usize).then(|| format!("At most {maximum} characters; you wrote {length}."))
            }
            FieldKind::Choice { choices } => (!choices.iter().any(|choice| choice == value)).then(|| format!("Choose one of these: {}.", choices.join(", "))),
            FieldKind::Date => NaiveDate::parse_from_str(value, "%Y-%m-%d").is_err().then(|| "Write a day as year-month-day, like 2026-03-31.".into()),
            FieldKind::Number { minimum, maximum } => match value.parse::<i64>() {
                Err(_) => Some("Write a whole number in digits.".into()),
                Ok(number) if minimum.is_some_and(|least| number < least) => Some(format!("At least {}.", minimum.unwrap_or_default())),
                Ok(number) if maximum.is_some_and(|most| number > most) => Some(format!("At most {}.", maximum.unwrap_or_default())),
                Ok(_) => None,
            },
            FieldKind::YesNo => (value != "yes" && value != "no").then(|| "Answer yes or no.".into()),
        }
    }
}

#[cfg(test)]
mod tests;
