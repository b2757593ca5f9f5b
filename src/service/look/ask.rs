//! What the request form shows before anything is sent.

use uuid::Uuid;

use crate::domain::decide::Outcome;
use crate::domain::id::{GrantId, RequestId, RoleId};
use crate::domain::refusal::Refusal;
use crate::service::ask::{AskFor, Considered, extendable};
use crate::service::ctx::{By, Ctx};
use crate::service::error::ServiceError;
use crate::service::preview::preview;
use crate::store::look_request;
use crate::store::look_role::{self, AboutRow};

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
    /// What a ticket's reference must be, as a sentence.
    pub ticket_says: Option<String>,
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

/// The form, or the request that is open already.
#[derive(Clone, Debug)]
pub enum Form {
    /// The form.
    Page(Box<Ask>),
    /// The role was asked for before and that is not settled.
    AlreadyOpen(RequestId),
}

/// The form of `by` for a role, with what would happen as the directory has it now. `typed` is what was sent before and not taken;
/// none for a fresh form, which suggests what the policy recommends.
///
/// # Errors
/// [`ServiceError::Missing`] when the role is not offered, or the lease to extend is none of theirs. A directory that does not answer is
/// no error but an [`Outlook::Unknown`].
pub async fn form(ctx: &Ctx, by: &By, key: Uuid, role: RoleId, extends: Option<GrantId>, typed: Option<Typed>) -> Result<Form, ServiceError> {
    let (row, has, about) = tokio::try_join!(look_role::one(&ctx.db, role.0), look_role::has(&ctx.db, by.person.0), look_role::about(&ctx.db, role.0))?;
    let (row, about) = row.zip(about).ok_or(ServiceError::Missing)?;
    let of_role = || has.iter().filter(|has| has.role_id == role.0);
    let already = of_role().find_map(|has| has.request_id);
    let holds = of_role().any(|has| has.grant_id.is_some());
    if let (Some(open), None) = (already, &typed) {
        return Ok(Form::AlreadyOpen(open.into()));
    }
    let ask_for = AskFor { extension_of: extends, ..AskFor::new(role) };
    let mut suggestion = Typed { duration: "other".into(), other_unit: "hours".into(), ..Typed::default() };
    let outlook = match preview(ctx, by, &ask_for).await {
        Ok((considered, _)) => {
            let refused =
                || Outlook::Refused { reason: why::reason(&considered.decision, !row.versions.is_empty()), trace: trace::rules(&considered.decision) };
            match (considered.decision.outcome, extends) {
                (Outcome::Refused, _) => refused(),
                (_, Some(grant)) => match extendable(ctx, by.person, grant, &considered.role, considered.policy.as_deref(), considered.now).await {
                    Ok(_) => open(ctx, &considered, &about, &mut suggestion).await?,
                    Err(ServiceError::Refused(refusal)) => Outlook::Refused { reason: refusal.to_string(), trace: vec![] },
                    Err(other) => return Err(other),
                },
                (_, None) if holds => {
                    Outlook::Refused { reason: Refusal::AlreadyHeld("You".into()).to_string().replace("You already holds", "You already hold"), trace: vec![] }
                }
                (_, None) => open(ctx, &considered, &about, &mut suggestion).await?,
            }
        }
        Err(ServiceError::Unavailable(reason)) => Outlook::Unknown { reason },
        Err(other) => return Err(other),
    };
    Ok(Form::Page(Box::new(Ask {
        role: RoleName { id: row.id, application: row.application, role: row.role, risk: row.risk },
        about: row.about,
        extends: extends.map(|id| id.0),
        key,
        typed: typed.unwrap_or(suggestion),
        faults: vec![],
        outlook,
    })))
}

/// What would happen, and what the policy suggests.
async fn open(ctx: &Ctx, considered: &Considered, about: &AboutRow, suggestion: &mut Typed) -> Result<Outlook, ServiceError> {
    let Some(policy) = considered.policy.as_deref() else { return Err(ServiceError::Missing) };
    let usual = look_role::usual(&ctx.db, considered.role.id.0).await?;
    if let Some(length) = policy.durations.recommended.or(policy.durations.choices.first().copied()) {
        suggestion.duration = length.0.to_string();
    }
    let mut choices_s: Vec<i64> = policy.durations.choices.iter().map(|choice| choice.0).collect();
    // What is suggested is among the choices, so that a click is enough.
    if let Some(length) = policy.durations.recommended
        && !choices_s.contains(&length.0)
    {
        choices_s.push(length.0);
        choices_s.sort_unstable();
    }
    let because: Vec<&str> = policy.applies_to.iter().map(|condition| condition.attribute.as_str()).collect();
    Ok(Outlook::Open(Box::new(Plan {
        policy: PolicyName { id: policy.id.0, name: policy.name.clone(), version: policy.version },
        because: (!because.is_empty()).then(|| because_of(considered, &because)),
        choices_s,
        min_s: policy.durations.minimum.0,
        max_s: policy.durations.maximum.0,
        indefinite: policy.durations.indefinite,
        justification: if policy.justification.required { "required" } else { "optional" }.into(),
        ticket: match (policy.ticket.required, &policy.ticket.pattern) {
            (true, _) => "required",
            (false, Some(_)) => "optional",
            (false, None) => "none",
        }
        .into(),
        ticket_says: policy.ticket.pattern.as_ref().map(|pattern| pattern.says.clone()),
        steps: steps::of_resolved(&considered.steps, &usual),
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

/// The open request of `by` for a role.
///
/// # Errors
/// When the database fails.
pub async fn open_request(ctx: &Ctx, by: &By, role: RoleId) -> Result<Option<RequestId>, ServiceError> {
    Ok(look_request::open_of(&ctx.db, by.person.0, role.0).await?.map(RequestId))
}
