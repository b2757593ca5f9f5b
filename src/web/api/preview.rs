//! What asking would come to.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::domain::decide::TraceLine;
use crate::domain::policy::AccessPolicy;
use crate::service::ask::Considered;
use crate::service::look;
use crate::service::look::ask::WhyNot;
use crate::service::preview::preview as look_ahead;
use crate::web::api::asking::{NewRequest, asked_for};
use crate::web::api::body::Body;
use crate::web::api::caller::{CatalogRead, May};
use crate::web::api::problem::{FieldProblem, Problem, ProblemBody};
use crate::web::error::Failure;
use crate::web::state::App;

/// What asking would come to now.
#[derive(Debug, Serialize, ToSchema)]
pub struct Preview {
    /// `refused`, `auto_approved` or `needs_approval`.
    pub decision: String,
    /// By which rule.
    pub deciding_rule: String,
    /// The policy that governs.
    pub policy: Option<PolicyOut>,
    /// What is wrong with the fields, were they sent as they are.
    pub errors: Vec<FieldProblem>,
    /// Each step with the people it would ask, as of now.
    pub steps: Vec<StepOut>,
    /// Every rule looked at, with what was seen, where and when.
    pub trace: Vec<TraceOut>,
    /// Whether whom it is for must confirm it before anybody else is asked.
    pub confirm: bool,
    /// Separation rules that it runs against, as sentences.
    pub conflicts: Vec<String>,
    /// Why it would be refused, and what would help; null when it would not.
    pub why_not: Option<WhyNotOut>,
}

/// Why asking would be refused, and what would help.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WhyNot)]
pub struct WhyNotOut {
    /// In a sentence.
    pub reason: String,
    /// Every condition that is not met.
    pub unmet: Vec<UnmetOut>,
    /// Other roles that may be asked for.
    pub alternatives: Vec<AlternativeOut>,
    /// Whom to ask, each a sentence.
    pub ask: Vec<String>,
}

/// A condition that is not met.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Unmet)]
pub struct UnmetOut {
    /// As a sentence.
    pub sentence: String,
    /// The attribute it looks at.
    pub attribute: Option<String>,
    /// What the directory said, or that it said nothing.
    pub said: Option<String>,
    /// When it was asked.
    pub fetched_at: Option<DateTime<Utc>>,
}

/// Another role that may be asked for.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Alternative)]
pub struct AlternativeOut {
    /// The role.
    pub role: Uuid,
    /// Its application's name and its own.
    pub title: String,
    /// Whether it gives the very same group; otherwise it is of the same application.
    pub same_group: bool,
}

impl From<WhyNot> for WhyNotOut {
    fn from(why: WhyNot) -> Self {
        let unmet = why.help.unmet.into_iter();
        let alternatives = why.help.alternatives.into_iter();
        Self {
            reason: why.reason,
            unmet: unmet.map(|one| UnmetOut { sentence: one.sentence, attribute: one.attribute, said: one.said, fetched_at: one.at }).collect(),
            alternatives: alternatives
                .map(|other| AlternativeOut { role: other.role.id, title: format!("{} {}", other.role.application, other.role.role), same_group: other.same })
                .collect(),
            ask: why.help.ask,
        }
    }
}

/// What a policy allows.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Policy)]
pub struct PolicyOut {
    /// Its key.
    pub key: String,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: i32,
    /// SHA-256 of its canonical form, hex.
    pub digest: String,
    /// The shortest, in seconds.
    pub minimum_s: i64,
    /// The longest, in seconds.
    pub maximum_s: i64,
    /// What is usually right, in seconds.
    pub recommended_s: Option<i64>,
    /// Whether access without end is offered.
    pub indefinite: bool,
    /// Whether a justification must be given.
    pub justification_required: bool,
    /// Whether a ticket must be named.
    pub ticket_required: bool,
    /// Whether a grant may be extended.
    pub extension: bool,
}

impl From<&AccessPolicy> for PolicyOut {
    fn from(policy: &AccessPolicy) -> Self {
        Self {
            key: policy.key.clone(),
            name: policy.name.clone(),
            version: policy.version,
            digest: policy.digest.clone(),
            minimum_s: policy.durations.minimum.0,
            maximum_s: policy.durations.maximum.0,
            recommended_s: policy.durations.recommended.map(|length| length.0),
            indefinite: policy.durations.indefinite,
            justification_required: policy.justification.required,
            ticket_required: policy.ticket.required,
            extension: policy.extension.is_some(),
        }
    }
}

/// A step that would have to be done.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PlannedStep)]
pub struct StepOut {
    /// Its name.
    pub name: String,
    /// How long its people have, in seconds; null: no limit.
    pub time_limit_s: Option<i64>,
    /// Its slots; each must get its count.
    pub slots: Vec<SlotOut>,
}

/// So many approvals from this source.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PlannedSlot)]
pub struct SlotOut {
    /// How many.
    pub approvals: u32,
    /// From whom, in words.
    pub source: String,
    /// Whether the fallback stands in for a source that resolves to nobody.
    pub is_fallback: bool,
    /// Who would be asked.
    pub asked: Vec<PersonOut>,
}

/// A person.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Person)]
pub struct PersonOut {
    /// The id that stays.
    pub id: Uuid,
    /// The name now.
    pub name: String,
}

/// A rule that was looked at.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TraceLine)]
pub struct TraceOut {
    /// Which rule.
    pub rule: String,
    /// The rule as a sentence.
    pub sentence: String,
    /// The attribute it looked at.
    pub attribute: Option<String>,
    /// The values seen.
    pub seen: Vec<String>,
    /// The directory they came from.
    pub source: String,
    /// When that was asked.
    pub fetched_at: DateTime<Utc>,
    /// Whether it came out in your favour.
    pub passed: bool,
    /// Whether it counted against you.
    pub decisive: bool,
}

impl From<TraceLine> for TraceOut {
    fn from(line: TraceLine) -> Self {
        Self {
            rule: line.rule,
            sentence: line.sentence,
            attribute: line.attribute,
            seen: line.seen,
            source: line.source,
            fetched_at: line.fetched_at,
            passed: line.passed,
            decisive: line.decisive,
        }
    }
}

/// Preview a request
///
/// What asking would come to now, with every rule and every person it would ask. Runs what the act runs, and stores nothing.
#[utoipa::path(post, path = "/api/v1/requests/preview", tag = "Requests", request_body = NewRequest, security(("token" = ["catalog:read"])),
    responses((status = 200, description = "What asking would come to.", body = Preview), (status = "4XX", description = "A problem.", body = ProblemBody, content_type = "application/problem+json"), (status = 503, description = "The directory does not answer.", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn preview(State(app): State<App>, caller: May<CatalogRead>, Body(body): Body) -> Result<Json<Preview>, Problem> {
    let (considered, refusal) = look_ahead(&app.ctx, &caller.by, &asked_for(body)?).await?;
    let confirm = considered.must_be_confirmed();
    let (why_not, conflicts) = tokio::try_join!(look::ask::why_not(&app.ctx, &considered), look::ask::conflicts(&app.ctx, &considered))?;
    let Considered { decision, policy, steps, .. } = considered;
    let errors = refusal.map(|refusal| Failure::from(refusal).errors).unwrap_or_default();
    let name = |field: String| if field == "duration" { "duration_s".into() } else { field };
    let steps = steps.into_iter().map(|step| StepOut {
        name: step.name,
        time_limit_s: step.time_limit_s,
        slots: step
            .slots
            .into_iter()
            .map(|slot| SlotOut {
                approvals: slot.approvals,
                source: slot.source.label(),
                is_fallback: slot.is_fallback,
                asked: slot.asked.into_iter().map(|person| PersonOut { id: person.id, name: person.display_name }).collect(),
            })
            .collect(),
    });
    Ok(Json(Preview {
        decision: decision.outcome.word().into(),
        deciding_rule: decision.deciding_rule,
        policy: policy.as_deref().map(PolicyOut::from),
        errors: errors.into_iter().map(|fault| FieldProblem { field: name(fault.field), detail: fault.sentence }).collect(),
        steps: steps.collect(),
        trace: decision.trace.into_iter().map(TraceOut::from).collect(),
        confirm,
        conflicts: conflicts.iter().map(|conflict| conflict.sentence()).collect(),
        why_not: why_not.map(WhyNotOut::from),
    }))
}
