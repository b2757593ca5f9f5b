//! What the request form shows before anything is sent.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::domain::decide::Outcome;
use crate::domain::id::{GrantId, PersonId, RequestId, RoleId};
use crate::domain::policy::CustomField;
use crate::domain::refusal::Refusal;
use crate::service::ask::{AskFor, Considered, extendable};
use crate::service::ctx::{By, Ctx};
use crate::service::error::ServiceError;
use crate::service::preview::preview;
use crate::store::delegation;
use crate::store::look_request;
use crate::store::look_role::{self, AboutRow, ShelfRow};

use super::apart::{self, Conflict};
use super::help::{self, Help};
use super::shared::{PlannedStep, PolicyName, RoleName};
use super::trace::{self, TraceRule};
use super::{steps, why};

/// The form for asking, and what would happen.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The role.
    pub role: RoleName,
    /// What it lets one do.
    pub about: String,
    /// The grant to be extended, when this asks for more time.
    pub extends: Option<Uuid>,
    /// For whom, when for somebody else.
    pub whom: Option<Whom>,
    /// Whether access is asked for at once, before anybody is asked.
    pub emergency: bool,
    /// Sent with the form, so that sending twice asks once.
    pub key: Uuid,
    /// What was typed, or the policy's suggestion.
    pub typed: Typed,
    /// What is wrong with what was typed.
    pub faults: Vec<Fault>,
    /// What would happen.
    pub outlook: Outlook,
}

/// Somebody else who is asked for.
#[derive(Clone, Debug)]
pub struct Whom {
    /// Their id.
    pub id: Uuid,
    /// Their name.
    pub name: String,
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
    /// Values of the policy's own fields by key.
    pub fields: BTreeMap<String, String>,
    /// Why it cannot wait, of an emergency.
    pub emergency_reason: String,
}

/// A field and what is wrong with it.
#[derive(Clone, Debug)]
pub struct Fault {
    /// The field's name in the form.
    pub field: String,
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
        /// What would help.
        help: Option<Help>,
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
    /// What a ticket's reference must be, as a sentence.
    pub ticket_says: Option<String>,
    /// What a justification must be, as a sentence.
    pub justification_says: Option<String>,
    /// The policy's own fields.
    pub fields: Vec<CustomField>,
    /// How far ahead a start may lie, in seconds; none: it is not offered.
    pub start_most_s: Option<i64>,
    /// The emergency path, where there is one.
    pub emergency: Option<Path>,
    /// Whether the person it is for must confirm it first.
    pub confirm: bool,
    /// Separation rules that it runs against, and that an exception allows.
    pub conflicts: Vec<Conflict>,
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

/// Access at once, with a debt.
#[derive(Clone, Copy, Debug)]
pub struct Path {
    /// The longest, in seconds.
    pub max_s: i64,
    /// A review is owed within this long, in seconds.
    pub review_s: i64,
}

impl Ask {
    /// What was typed into a field of the policy's own.
    pub fn value(&self, key: &str) -> &str {
        self.typed.fields.get(key).map_or("", String::as_str)
    }

    /// What is wrong with a field of the policy's own, if anything is.
    pub fn field_fault(&self, key: &str) -> Option<&str> {
        self.faults.iter().find(|f| f.field.strip_prefix("field_") == Some(key)).map(|f| f.sentence.as_str())
    }

    /// Where the form for this person, or for oneself, is.
    pub fn place(&self) -> String {
        match &self.whom {
            Some(whom) => format!("/roles/{}/ask?for={}", self.role.id, whom.id),
            None => format!("/roles/{}/ask", self.role.id),
        }
    }

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

/// The form, or the request that is open already.
#[derive(Clone, Debug)]
pub enum Form {
    /// The form.
    Page(Box<Ask>),
    /// The role was asked for before and that is not settled.
    AlreadyOpen(RequestId),
}

/// Which form.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The role.
    pub role: RoleId,
    /// For whom; none: for oneself.
    pub whom: Option<PersonId>,
    /// The lease to extend.
    pub extends: Option<GrantId>,
    /// Whether access is asked for at once.
    pub emergency: bool,
    /// What was sent before and not taken; none for a fresh form, which suggests what the policy recommends.
    pub typed: Option<Typed>,
}

/// The form of `by`, with what would happen as the directory has it now.
///
/// # Errors
/// [`ServiceError::Missing`] when the role is not offered, the lease to extend is none of theirs, or they may not ask for that person. A
/// directory that does not answer is no error but an [`Outlook::Unknown`].
pub async fn form(ctx: &Ctx, by: &By, key: Uuid, wanted: Wanted) -> Result<Form, ServiceError> {
    let Wanted { role, whom, extends, emergency, typed } = wanted;
    let whom = whom.filter(|id| *id != by.person);
    let for_whom = whom.unwrap_or(by.person);
    let (row, has, about) = tokio::try_join!(look_role::one(&ctx.db, role.0), look_role::has(&ctx.db, for_whom.0), look_role::about(&ctx.db, role.0))?;
    let (row, about) = row.zip(about).ok_or(ServiceError::Missing)?;
    let ask_for = AskFor { beneficiary: whom, extension_of: extends, emergency: emergency.then(String::new), ..AskFor::new(role) };
    let mut suggestion = Typed { duration: "other".into(), other_unit: "hours".into(), ..Typed::default() };
    let considered = match preview(ctx, by, &ask_for).await {
        Ok((considered, _)) => considered,
        Err(ServiceError::Unavailable(reason)) => {
            // Whether they may be asked for cannot be said now, so their name is not told either.
            let whom = whom.map(|id| Whom { id: id.0, name: "somebody else".into() });
            let outlook = Outlook::Unknown { reason };
            return Ok(page(row, whom, extends, emergency, key, typed.unwrap_or(suggestion), outlook));
        }
        Err(ServiceError::Refused(Refusal::NotForOthers)) => return Err(ServiceError::Missing),
        Err(other) => return Err(other),
    };
    let of_role = || has.iter().filter(|has| has.role_id == role.0);
    let asked_before = of_role().find_map(|has| has.request_id).filter(|_| typed.is_none());
    if let Some(open) = asked_before {
        // Of somebody else's the request may be none that the viewer sees.
        if whom.is_none() || look_request::may_see(&ctx.db, Some(by.person.0), open).await? {
            return Ok(Form::AlreadyOpen(open.into()));
        }
    }
    let holds = of_role().any(|has| has.grant_id.is_some());
    let mut outlook = match (considered.decision.outcome, extends) {
        (Outcome::Refused, _) => {
            let (reason, help) = why_not(ctx, &considered).await?.map_or_else(Default::default, |why| (why.reason, Some(why.help)));
            Outlook::Refused { reason, trace: trace::rules(&considered.decision), help }
        }
        _ if asked_before.is_some() => Outlook::Refused { reason: "A request for this role is already open for them.".into(), trace: vec![], help: None },
        (_, Some(grant)) => match extendable(ctx, for_whom, grant, &considered.role, considered.policy.as_deref(), considered.now).await {
            Ok(_) => open(ctx, &considered, &about, &mut suggestion).await?,
            Err(ServiceError::Refused(refusal)) => Outlook::Refused { reason: refusal.to_string(), trace: vec![], help: None },
            Err(other) => return Err(other),
        },
        (_, None) if holds => {
            let reason = match whom {
                None => Refusal::AlreadyHeld("You".into()).to_string().replace("You already holds", "You already hold"),
                Some(_) => Refusal::AlreadyHeld(considered.beneficiary.display_name.clone()).to_string(),
            };
            Outlook::Refused { reason, trace: vec![], help: None }
        }
        (_, None) => open(ctx, &considered, &about, &mut suggestion).await?,
    };
    if let (Some(_), Outlook::Refused { trace, .. }) = (whom, &mut outlook) {
        *trace = why::trace_of_another(std::mem::take(trace));
    }
    let name = whom.map(|id| Whom { id: id.0, name: considered.beneficiary.display_name.clone() });
    Ok(page(row, name, extends, emergency, key, typed.unwrap_or(suggestion), outlook))
}

fn page(row: ShelfRow, whom: Option<Whom>, extends: Option<GrantId>, emergency: bool, key: Uuid, typed: Typed, outlook: Outlook) -> Form {
    Form::Page(Box::new(Ask {
        role: RoleName { id: row.id, application: row.application, role: row.role, risk: row.risk },
        about: row.about,
        extends: extends.map(|id| id.0),
        whom,
        emergency,
        key,
        typed,
        faults: vec![],
        outlook,
    }))
}

/// Why asking would be refused, and what would help.
#[derive(Clone, Debug)]
pub struct WhyNot {
    /// In a sentence, to who asks.
    pub reason: String,
    /// What is not met, and what would help.
    pub help: Help,
}

/// Why what was considered is refused; none when it is not. About somebody else in words about them.
///
/// # Errors
/// When the database fails.
pub async fn why_not(ctx: &Ctx, considered: &Considered) -> Result<Option<WhyNot>, ServiceError> {
    let own = considered.requester.id == considered.beneficiary.id;
    let person = PersonId(considered.beneficiary.id);
    let Some(help) = help::help(ctx, person, Some(&considered.snapshot), considered.role.id.0, &considered.decision, own).await? else {
        return Ok(None);
    };
    let reason = match considered.decision.is_separated() {
        true => conflicts(ctx, considered).await?.iter().map(Conflict::sentence).collect::<Vec<_>>().join(" "),
        false => why::reason(&considered.decision, considered.any_policy),
    };
    Ok(Some(WhyNot { reason: if own { reason } else { why::of_another(&reason) }, help }))
}

/// The separation rules that what was considered runs against.
///
/// # Errors
/// When the database fails.
pub async fn conflicts(ctx: &Ctx, considered: &Considered) -> Result<Vec<Conflict>, ServiceError> {
    apart::conflicts(ctx, &considered.separation, considered.role.id, &considered.ask.held).await
}

/// What would happen, and what the policy suggests.
async fn open(ctx: &Ctx, considered: &Considered, about: &AboutRow, suggestion: &mut Typed) -> Result<Outlook, ServiceError> {
    let Some(policy) = considered.policy.as_deref() else { return Err(ServiceError::Missing) };
    let usual = look_role::usual(&ctx.db, considered.role.id.0).await?;
    let (extension, emergency) = (considered.ask.extension, considered.ask.emergency);
    let most = policy.maximum(extension, emergency);
    let least = policy.durations.minimum.min(most);
    let limited = emergency || (extension && policy.extension.as_ref().is_some_and(|rules| rules.maximum.is_some()));
    let mut choices_s: Vec<i64> =
        policy.durations.choices.iter().chain(&policy.durations.recommended).map(|choice| choice.0).filter(|s| *s <= most.0).collect();
    if choices_s.is_empty() {
        choices_s.push(most.0);
    }
    choices_s.sort_unstable();
    choices_s.dedup();
    // What is suggested is among the choices, so that a click is enough.
    let suggested = policy.durations.recommended.or(policy.durations.choices.first().copied()).map_or(most, |length| length.min(most)).0;
    let suggested = if choices_s.contains(&suggested) { Some(suggested) } else { choices_s.last().copied() };
    if let Some(length) = suggested {
        suggestion.duration = length.to_string();
    }
    let asked: Vec<_> = considered.steps.iter().flat_map(|step| &step.slots).flat_map(|slot| slot.asked.iter().map(|person| person.id)).collect();
    let away = delegation::in_force(&ctx.db, &asked, considered.now).await?;
    let other = considered.requester.id != considered.beneficiary.id;
    let whose = other.then(|| considered.beneficiary.display_name.clone());
    let because: Vec<&str> = policy.applies_to.iter().map(|condition| condition.attribute.as_str()).collect();
    Ok(Outlook::Open(Box::new(Plan {
        policy: PolicyName { id: policy.id.0, name: policy.name.clone(), version: policy.version },
        because: (!because.is_empty()).then(|| because_of(considered, &because)).map(|text| if other { why::of_another(&text) } else { text }),
        choices_s,
        min_s: least.0,
        max_s: most.0,
        indefinite: policy.durations.indefinite && !limited,
        justification: if policy.justification.required { "required" } else { "optional" }.into(),
        justification_says: policy.justification.pattern.as_ref().map(|pattern| pattern.says.clone()),
        fields: policy.fields.clone(),
        start_most_s: policy.future_start.filter(|_| !emergency && !extension).map(|most| most.0),
        emergency: policy
            .emergency
            .as_ref()
            .filter(|_| !other && !extension)
            .map(|path| Path { max_s: path.maximum.min(policy.durations.maximum).0, review_s: path.review_within.0 }),
        confirm: considered.must_be_confirmed(),
        conflicts: conflicts(ctx, considered).await?,
        ticket: match (policy.ticket.required, &policy.ticket.pattern) {
            (true, _) => "required",
            (false, Some(_)) => "optional",
            (false, None) => "none",
        }
        .into(),
        ticket_says: policy.ticket.pattern.as_ref().map(|pattern| pattern.says.clone()),
        steps: steps::at_most(
            steps::of_resolved(&considered.steps, &usual, whose.as_deref(), &away),
            &considered.steps,
            policy,
            &considered.separation.iter().map(|rule| &**rule).collect::<Vec<_>>(),
            (limited || !policy.durations.indefinite).then_some(most),
            emergency,
        ),
        method: about.method.clone(),
        target: super::role::target(about.group_name.as_deref().or(about.group_reference.as_deref()), about.directory.as_deref()),
        usual_grant_s: usual.iter().find(|row| row.step_no == 0).map(|row| row.median_s),
        extendable: policy.extension.is_some(),
    })))
}

/// "because your department is Data" from the attributes that made the policy govern.
fn because_of(considered: &Considered, attributes: &[&str]) -> String {
    let parts: Vec<String> = attributes
        .iter()
        .map(|attribute| {
            let seen = considered.snapshot.values(attribute);
            let name = attribute.replace('_', " ");
            if seen.is_empty() { format!("you have no {name}") } else { format!("your {name} is {}", seen.join(", ")) }
        })
        .collect();
    format!("because {}", parts.join(" and "))
}

/// The open request for a role: of `whom`, or of `by` for themselves.
///
/// # Errors
/// When the database fails.
pub async fn open_request(ctx: &Ctx, by: &By, role: RoleId, whom: Option<PersonId>) -> Result<Option<RequestId>, ServiceError> {
    Ok(look_request::open_of(&ctx.db, whom.unwrap_or(by.person).0, role.0).await?.map(RequestId))
}
