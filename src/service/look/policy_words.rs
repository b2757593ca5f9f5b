//! Everything that one policy version says, for its page.

use crate::domain::policy::{AccessPolicy, CustomField, FieldKind, TextRule};

use super::policy::{ProfileRule, fits, rule};
use super::shared::PlannedStep;
use super::steps;

/// A policy version in words.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicyWords {
    /// Its key in the file.
    pub key: String,
    /// Name and version of the access profile.
    pub profile: String,
    /// Who may ask: the rules of the access profile.
    pub rules: Vec<ProfileRule>,
    /// For whom this policy is meant, when a role has several; each a sentence.
    pub conditions: Vec<String>,
    /// The shortest length.
    pub min_s: i64,
    /// What the form suggests.
    pub recommended_s: Option<i64>,
    /// The longest.
    pub max_s: i64,
    /// Whether access without end may be asked for.
    pub indefinite: bool,
    /// The lengths offered.
    pub choices_s: Vec<i64>,
    /// Name and version of the approval procedure, if anybody is asked.
    pub procedure: Option<String>,
    /// The steps; empty when approval is automatic.
    pub steps: Vec<PlannedStep>,
    /// Name and version of the procedure that more time is approved by, where it has its own.
    pub extension: Option<String>,
    /// The steps of that.
    pub extension_steps: Vec<PlannedStep>,
    /// The fields that it adds to the form, each a sentence.
    pub fields: Vec<String>,
    /// Everything else it says, each a sentence.
    pub notes: Vec<String>,
}

impl PolicyWords {
    /// What `policy` says.
    pub fn of(policy: &AccessPolicy) -> Self {
        let limits = &policy.durations;
        let extension = policy.extension.as_ref().and_then(|rules| rules.procedure.as_ref());
        Self {
            key: policy.key.clone(),
            profile: format!("{}, version {}", policy.profile.name, policy.profile.version),
            rules: policy.profile.rules.iter().map(rule).collect(),
            conditions: policy.applies_to.iter().map(fits).collect(),
            min_s: limits.minimum.0,
            recommended_s: limits.recommended.map(|length| length.0),
            max_s: limits.maximum.0,
            indefinite: limits.indefinite,
            choices_s: limits.choices.iter().map(|length| length.0).collect(),
            procedure: policy.procedure.as_ref().map(|procedure| format!("{}, version {}", procedure.name, procedure.version)),
            steps: policy.procedure.as_ref().map(steps::of_procedure).unwrap_or_default(),
            extension: extension.map(|procedure| format!("{}, version {}", procedure.name, procedure.version)),
            extension_steps: extension.map(steps::of_procedure).unwrap_or_default(),
            fields: policy.fields.iter().map(field).collect(),
            notes: notes(policy),
        }
    }
}

/// What else the policy says, what it does not offer too.
fn notes(policy: &AccessPolicy) -> Vec<String> {
    let mut notes = policy.notes();
    for (rule, what) in [(&policy.justification, "justification"), (&policy.ticket, "ticket")] {
        notes.extend(text(rule, what));
    }
    if policy.extension.as_ref().is_some_and(|rules| rules.procedure.is_none()) {
        notes.push("More time is approved as the first time.".into());
    }
    if !policy.on_behalf.manager && !policy.on_behalf.owner {
        notes.push("Nobody may ask for somebody else.".into());
    }
    if policy.emergency.is_none() {
        notes.push("There is no emergency path.".into());
    }
    notes.push(policy.eligibility_lost.sentence());
    if let Some(procedure) = &policy.procedure {
        notes.push(if policy.comment_to_deny { "A denial must give a reason." } else { "A denial need not give a reason." }.into());
        notes.push(if procedure.distinct_people { "One person counts once in a request." } else { "One person may decide at several steps." }.into());
        notes.push(if procedure.reassign { "Who is asked may hand it on to somebody else." } else { "Who is asked may not hand it on." }.into());
    }
    notes
}

/// What a text of the ask is held against, where that is not said yet.
fn text(rule: &TextRule, what: &str) -> Option<String> {
    match &rule.pattern {
        Some(pattern) => Some(format!("The {what} is held against the expression {}", pattern.expression)),
        None if !rule.required && what == "ticket" => Some("No ticket is asked for.".into()),
        None if !rule.required => Some(format!("A {what} may be left out.")),
        None => None,
    }
}

/// "Cost centre: a number from 100 to 999, required. Yours is in the directory."
fn field(field: &CustomField) -> String {
    let takes = match &field.kind {
        FieldKind::Text { maximum } => format!("text of at most {maximum} characters"),
        FieldKind::Choice { choices } => format!("one of {}", choices.join(", ")),
        FieldKind::Date => "a day".into(),
        FieldKind::Number { minimum, maximum } => match (minimum, maximum) {
            (None, None) => "a whole number".into(),
            (Some(least), None) => format!("a whole number from {least}"),
            (None, Some(most)) => format!("a whole number up to {most}"),
            (Some(least), Some(most)) => format!("a whole number from {least} to {most}"),
        },
        FieldKind::YesNo => "yes or no".into(),
    };
    let help = field.help.as_ref().map_or_else(String::new, |help| format!(" {help}"));
    format!("{}: {takes}, {}.{help}", field.label, if field.required { "required" } else { "may be left out" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::catalog::Risk;
    use crate::domain::condition::{Condition, Operator};
    use crate::domain::policy::*;
    use crate::domain::samples::policy;
    use crate::domain::span::Seconds;

    type Edit = fn(&mut AccessPolicy);

    fn condition() -> Condition {
        Condition { attribute: "title".into(), operator: Operator::Is, values: vec!["Surveyor".into()], called: vec![] }
    }

    fn step(policy: &mut AccessPolicy) -> &mut Step {
        &mut policy.procedure.as_mut().unwrap().steps[0]
    }

    /// A policy in which everything is given, so that each edit below changes one thing of it.
    fn full() -> AccessPolicy {
        let mut full = policy("full", vec![], vec![]);
        let slots = vec![Slot { approvals: 1, sources: vec![ApproverSource::Manager] }];
        let escalation = Some(Escalation { sources: vec![ApproverSource::RoleOwner], time_limit: Some(Seconds(7_200)) });
        let step = Step { name: "First".into(), when: When::default(), time_limit: Some(Seconds(3_600)), remind_every: Some(Seconds(600)), escalation, slots };
        let procedure = ApprovalProcedure { key: "p".into(), name: "P".into(), version: 1, distinct_people: true, reassign: false, steps: vec![step] };
        full.extension = Some(Extension { maximum: Some(Seconds(3_600)), last_percent: 20, most: Some(2), procedure: Some(procedure.clone()) });
        full.procedure = Some(procedure);
        full.auto_rules =
            vec![AutoRule { name: "on call".into(), verdict: Verdict::Approve, conditions: vec![], risks: vec![], at_most: None, longer_than: None }];
        full.fields = vec![CustomField {
            key: "centre".into(),
            label: "Centre".into(),
            help: None,
            required: true,
            kind: FieldKind::Number { minimum: None, maximum: None },
        }];
        full.on_behalf = OnBehalf { manager: true, owner: false, confirm: false };
        full.emergency = Some(Emergency { maximum: Seconds(3_600), review_within: Seconds(86_400) });
        full.justification = TextRule { required: true, minimum: 5, pattern: Some(Pattern { expression: "a.*".into(), says: "Begin with a.".into() }) };
        full.ticket = full.justification.clone();
        full
    }

    #[test]
    fn whatever_a_policy_holds_is_said() {
        let edits: &[(&str, Edit)] = &[
            ("key", |p| p.key = "other".into()),
            ("applies_to", |p| p.applies_to.push(condition())),
            ("profile", |p| p.profile.version += 1),
            ("profile rule", |p| p.profile.rules.push(Rule { effect: Effect::Deny, conditions: vec![condition()] })),
            ("no procedure", |p| p.procedure = None),
            ("procedure version", |p| p.procedure.as_mut().unwrap().version += 1),
            ("distinct people", |p| p.procedure.as_mut().unwrap().distinct_people = false),
            ("reassign", |p| p.procedure.as_mut().unwrap().reassign = true),
            ("step name", |p| step(p).name = "Second".into()),
            ("step conditions", |p| step(p).when.conditions.push(condition())),
            ("step risks", |p| step(p).when.risks.push(Risk::Critical)),
            ("step longer than", |p| step(p).when.longer_than = Some(Seconds(60))),
            ("time limit", |p| step(p).time_limit = Some(Seconds(1_800))),
            ("reminder", |p| step(p).remind_every = Some(Seconds(300))),
            ("no reminder", |p| step(p).remind_every = None),
            ("no escalation", |p| step(p).escalation = None),
            ("escalation", |p| step(p).escalation.as_mut().unwrap().sources = vec![ApproverSource::ManagersManager]),
            ("escalation limit", |p| step(p).escalation.as_mut().unwrap().time_limit = Some(Seconds(60))),
            ("no escalation limit", |p| step(p).escalation.as_mut().unwrap().time_limit = None),
            ("approvals", |p| step(p).slots[0] = Slot { approvals: 2, sources: vec![ApproverSource::Group { reference: "g".into(), name: "dba".into() }] }),
            ("fallback", |p| step(p).slots[0].sources.push(ApproverSource::ApplicationOwner)),
            ("auto rule verdict", |p| p.auto_rules[0].verdict = Verdict::Deny),
            ("auto rule name", |p| p.auto_rules[0].name = "night".into()),
            ("auto rule conditions", |p| p.auto_rules[0].conditions.push(condition())),
            ("auto rule risks", |p| p.auto_rules[0].risks.push(Risk::Low)),
            ("auto rule at most", |p| p.auto_rules[0].at_most = Some(Seconds(60))),
            ("auto rule longer than", |p| p.auto_rules[0].longer_than = Some(Seconds(60))),
            ("recommended", |p| p.durations.recommended = Some(Seconds(777))),
            ("minimum", |p| p.durations.minimum = Seconds(777)),
            ("maximum", |p| p.durations.maximum = Seconds(777_777)),
            ("choices", |p| p.durations.choices.push(Seconds(777))),
            ("without end", |p| p.durations.indefinite = !p.durations.indefinite),
            ("future start", |p| p.future_start = Some(Seconds(777))),
            ("justification", |p| p.justification.required = false),
            ("justification minimum", |p| p.justification.minimum = 99),
            ("justification pattern", |p| p.justification.pattern.as_mut().unwrap().expression = "b.*".into()),
            ("justification sentence", |p| p.justification.pattern.as_mut().unwrap().says = "Begin with b.".into()),
            ("no justification pattern", |p| p.justification.pattern = None),
            ("ticket", |p| p.ticket.required = false),
            ("ticket pattern", |p| p.ticket.pattern.as_mut().unwrap().expression = "b.*".into()),
            ("field label", |p| p.fields[0].label = "Room".into()),
            ("field help", |p| p.fields[0].help = Some("Yours.".into())),
            ("field required", |p| p.fields[0].required = false),
            ("field limits", |p| p.fields[0].kind = FieldKind::Number { minimum: Some(1), maximum: Some(9) }),
            ("field choices", |p| p.fields[0].kind = FieldKind::Choice { choices: vec!["x".into(), "y".into()] }),
            ("field text", |p| p.fields[0].kind = FieldKind::Text { maximum: 9 }),
            ("no extension", |p| p.extension = None),
            ("extension maximum", |p| p.extension.as_mut().unwrap().maximum = None),
            ("extension percent", |p| p.extension.as_mut().unwrap().last_percent = 50),
            ("extensions in a row", |p| p.extension.as_mut().unwrap().most = None),
            ("extension as the first time", |p| p.extension.as_mut().unwrap().procedure = None),
            ("extension step", |p| p.extension.as_mut().unwrap().procedure.as_mut().unwrap().steps[0].time_limit = None),
            ("managers", |p| p.on_behalf.manager = false),
            ("owners", |p| p.on_behalf.owner = true),
            ("confirmation", |p| p.on_behalf.confirm = true),
            ("no emergency", |p| p.emergency = None),
            ("emergency maximum", |p| p.emergency.as_mut().unwrap().maximum = Seconds(60)),
            ("emergency review", |p| p.emergency.as_mut().unwrap().review_within = Seconds(60)),
            ("reason of a denial", |p| p.comment_to_deny = !p.comment_to_deny),
            ("kept when no longer eligible", |p| p.eligibility_lost = EligibilityLost::Keep),
            ("grace when no longer eligible", |p| p.eligibility_lost = EligibilityLost::Revoke(Seconds(777))),
        ];
        let before = PolicyWords::of(&full());
        let silent: Vec<&str> = edits
            .iter()
            .filter(|(_, edit)| {
                let mut edited = full();
                edit(&mut edited);
                PolicyWords::of(&edited) == before
            })
            .map(|(name, _)| *name)
            .collect();
        assert!(silent.is_empty(), "the page does not say: {silent:?}");
    }
}
