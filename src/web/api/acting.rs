//! Ask, answer, hand on, nudge: acts on an open request.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::domain::id::PersonId;
use crate::domain::request::RequestStatus;
use crate::service::{nudge, question, reassign};
use crate::web::api::body::{Body, Id};
use crate::web::api::caller::{ApprovalsWrite, May, RequestsWrite};
use crate::web::api::problem::{Problem, ProblemBody};
use crate::web::api::requests::Stands;
use crate::web::state::App;

/// A question.
#[derive(Debug, Deserialize, ToSchema)]
#[allow(dead_code, reason = "read by name; here for the API's document")]
pub struct Question {
    /// What you want to know; requester and beneficiary read it. At most 4,000 characters.
    pub question: String,
    /// The step you were shown; refused when another is open by now.
    #[schema(minimum = 1)]
    pub step: Option<i64>,
}

/// An answer.
#[derive(Debug, Deserialize, ToSchema)]
#[allow(dead_code, reason = "read by name; here for the API's document")]
pub struct Answer {
    /// What the approvers are to know. At most 4,000 characters.
    pub answer: String,
}

/// Whom a place is handed on to.
#[derive(Debug, Deserialize, ToSchema)]
#[allow(dead_code, reason = "read by name; here for the API's document")]
pub struct HandOn {
    /// Who is to be asked instead.
    pub to: Uuid,
    /// Why; they read it, and so does the auditor.
    pub reason: String,
    /// The step you were shown; refused when another is open by now.
    #[schema(minimum = 1)]
    pub step: Option<i64>,
}

/// What a nudge came to.
#[derive(Debug, Serialize, ToSchema)]
pub struct Nudged {
    /// The request.
    pub id: Uuid,
    /// When it can be done again.
    pub again_at: DateTime<Utc>,
}

fn stands(id: Uuid, status: RequestStatus) -> Json<Stands> {
    Json(Stands { id, status: status.word().into(), deciding_rule: None, step: None })
}

/// Ask the requester
///
/// The open step waits, and its time with it, until requester or beneficiary answers. Only who could decide now can ask, and one question at a time.
#[utoipa::path(post, path = "/api/v1/requests/{request}/question", tag = "Requests", params(("request" = Uuid, Path, description = "The request."), ("Idempotency-Key" = Option<String>, Header, description = "Any visible text that is new for each act.")),
    request_body = Question, security(("token" = ["approvals:write"])),
    responses((status = 200, description = "The request waits for an answer.", body = Stands), (status = "4XX", description = "A problem; nothing was changed.", body = ProblemBody, content_type = "application/problem+json"), (status = 503, description = "The directory or the database does not answer; nothing was changed.", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn ask(State(app): State<App>, caller: May<ApprovalsWrite>, Id(id): Id, Body(mut body): Body) -> Result<Json<Stands>, Problem> {
    let (text, step) = (body.text("question").unwrap_or_default(), body.number("step", 1, 1_000));
    body.done(())?;
    question::ask(&app.ctx, &caller.by, id.into(), &text, step.map(|step| step as usize)).await?;
    Ok(stands(id, RequestStatus::NeedsInfo))
}

/// Answer a question
///
/// The open step goes on with the time that was left. Only who made the request, or whom it is for, can answer.
#[utoipa::path(post, path = "/api/v1/requests/{request}/answer", tag = "Requests", params(("request" = Uuid, Path, description = "The request."), ("Idempotency-Key" = Option<String>, Header, description = "Any visible text that is new for each act.")),
    request_body = Answer, security(("token" = ["requests:write"])),
    responses((status = 200, description = "The request goes on.", body = Stands), (status = "4XX", description = "A problem; nothing was changed.", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn answer(State(app): State<App>, caller: May<RequestsWrite>, Id(id): Id, Body(mut body): Body) -> Result<Json<Stands>, Problem> {
    let text = body.text("answer").unwrap_or_default();
    body.done(())?;
    question::answer(&app.ctx, &caller.by, id.into(), &text).await?;
    Ok(stands(id, RequestStatus::Pending))
}

/// Hand a decision on
///
/// Whoever you name is asked in your place, where the procedure lets you. They must be active, and neither asked already nor requester or beneficiary.
#[utoipa::path(post, path = "/api/v1/requests/{request}/reassign", tag = "Requests", params(("request" = Uuid, Path, description = "The request."), ("Idempotency-Key" = Option<String>, Header, description = "Any visible text that is new for each act.")),
    request_body = HandOn, security(("token" = ["approvals:write"])),
    responses((status = 200, description = "They are asked now.", body = Stands), (status = "4XX", description = "A problem; nothing was changed.", body = ProblemBody, content_type = "application/problem+json"), (status = 503, description = "The directory or the database does not answer; nothing was changed.", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn hand_on(State(app): State<App>, caller: May<ApprovalsWrite>, Id(id): Id, Body(mut body): Body) -> Result<Json<Stands>, Problem> {
    let (to, reason, step) = (body.id("to"), body.text("reason").unwrap_or_default(), body.number("step", 1, 1_000));
    let to = body.done_with("to", to)?;
    reassign::reassign(&app.ctx, &caller.by, id.into(), Some(PersonId(to)), &reason, step.map(|step| step as usize)).await?;
    Ok(stands(id, RequestStatus::Pending))
}

/// Nudge the approvers
///
/// Tells those who are asked that you wait, at most once in 4 hours. Only who made the request, or whom it is for.
#[utoipa::path(post, path = "/api/v1/requests/{request}/nudge", tag = "Requests", params(("request" = Uuid, Path, description = "The request."), ("Idempotency-Key" = Option<String>, Header, description = "Any visible text that is new for each act.")),
    security(("token" = ["requests:write"])),
    responses((status = 200, description = "They were told.", body = Nudged), (status = "4XX", description = "A problem; nothing was changed.", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn remind(State(app): State<App>, caller: May<RequestsWrite>, Id(id): Id, Body(body): Body) -> Result<Json<Nudged>, Problem> {
    body.done(())?;
    let again_at = nudge::nudge(&app.ctx, &caller.by, id.into()).await?;
    Ok(Json(Nudged { id, again_at }))
}
