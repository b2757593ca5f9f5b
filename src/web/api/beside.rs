//! What people do with a request beside deciding.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::service::confirm::confirm as agree;
use crate::service::decline;
use crate::service::emergency_review;
use crate::service::list;
use crate::service::look::beside::Beside;
use crate::service::reevaluate;
use crate::service::sign_off::{self, SignOff};
use crate::web::api::body::{Body, Id};
use crate::web::api::caller::{ApprovalsWrite, GrantsWrite, May, RequestsWrite};
use crate::web::api::grants::GrantOut;
use crate::web::api::problem::{Problem, ProblemBody};
use crate::web::api::requests::Stands;
use crate::web::state::App;

/// What a request was when it was made, and what is otherwise now.
#[derive(Debug, Serialize, ToSchema)]
pub struct ChangeOut {
    /// What it is about.
    pub what: String,
    /// As it was.
    pub before: String,
    /// As it is now.
    pub after: String,
}

/// An emergency and its review.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Emergency)]
pub struct EmergencyOut {
    /// Why it could not wait.
    pub reason: String,
    /// By when the review is owed.
    pub review_due_at: Option<DateTime<Utc>>,
    /// Whether it is overdue.
    pub overdue: bool,
    /// When it was made.
    pub reviewed_at: Option<DateTime<Utc>>,
    /// By whom.
    pub reviewed_by: Option<String>,
    /// `justified` or `not_justified`.
    pub verdict: Option<String>,
    /// What they wrote.
    pub comment: Option<String>,
}

/// A sign-off given elsewhere; it never counts as an approval.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SignOff)]
pub struct SignOffOut {
    /// Who gave it, as written.
    pub given_by: String,
    /// When, as written.
    pub given_at: DateTime<Utc>,
    /// Where it can be looked up.
    pub reference: String,
    /// What was said.
    pub note: Option<String>,
    /// Who noted it.
    pub noted_by: String,
    /// When.
    pub noted_at: DateTime<Utc>,
}

/// What is beside deciding.
#[derive(Debug, Serialize, ToSchema)]
pub struct BesideOut {
    /// Of an emergency: why, and its review.
    #[serde(rename = "emergency_review")]
    pub emergency: Option<EmergencyOut>,
    /// Separation rules that it runs against, as sentences.
    pub conflicts: Vec<String>,
    /// What changed since it was asked for, while it is open; it cannot be approved then.
    pub changed: Vec<ChangeOut>,
    /// Sign-offs given elsewhere; none counts as an approval.
    pub sign_offs: Vec<SignOffOut>,
    /// The request whose place it took.
    pub supersedes: Option<Uuid>,
    /// The request that took its place.
    pub superseded_by: Option<Uuid>,
    /// When the beneficiary confirmed it.
    pub confirmed_at: Option<DateTime<Utc>>,
}

impl From<Beside> for BesideOut {
    fn from(beside: Beside) -> Self {
        Self {
            emergency: beside.emergency.map(|look| EmergencyOut {
                reason: look.reason,
                review_due_at: look.due_at,
                overdue: look.overdue,
                reviewed_at: look.reviewed_at,
                reviewed_by: look.reviewed_by,
                verdict: look.verdict,
                comment: look.comment,
            }),
            conflicts: beside.conflicts.iter().map(|conflict| conflict.sentence()).collect(),
            changed: beside.changed.into_iter().map(|change| ChangeOut { what: change.what, before: change.before, after: change.after }).collect(),
            sign_offs: beside
                .sign_offs
                .into_iter()
                .map(|noted| SignOffOut {
                    given_by: noted.given_by,
                    given_at: noted.given_at,
                    reference: noted.reference,
                    note: noted.note,
                    noted_by: noted.noted_by,
                    noted_at: noted.noted_at,
                })
                .collect(),
            supersedes: beside.supersedes,
            superseded_by: beside.superseded_by,
            confirmed_at: beside.confirmed_at,
        }
    }
}

/// Confirm a request
///
/// What somebody else asked for you goes on only then: to the approvers, or at once where the policy approves by itself.
#[utoipa::path(post, path = "/api/v1/requests/{request}/confirm", tag = "Requests", params(("request" = Uuid, Path, description = "The request."), ("Idempotency-Key" = Option<String>, Header, description = "Any visible text that is new for each act.")),
    security(("token" = ["requests:write"])),
    responses((status = 200, description = "Where the request stands now.", body = Stands), (status = "4XX", description = "A problem; nothing was changed.", body = ProblemBody, content_type = "application/problem+json"), (status = 503, description = "The directory or the database does not answer; nothing was changed.", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn confirm(State(app): State<App>, caller: May<RequestsWrite>, Id(id): Id, Body(body): Body) -> Result<Json<Stands>, Problem> {
    body.done(())?;
    let done = agree(&app.ctx, &caller.by, id.into()).await?;
    Ok(Json(Stands { id, status: done.status.word().into(), deciding_rule: None, step: done.step_no }))
}

/// Ask again under the present rules
///
/// Where policy, role or target changed since a request was made, it cannot be approved. This asks the same again, for the same requester; the new request takes the place of the old.
#[utoipa::path(post, path = "/api/v1/requests/{request}/again", tag = "Requests", params(("request" = Uuid, Path, description = "The request."), ("Idempotency-Key" = Option<String>, Header, description = "Any visible text that is new for each act.")),
    security(("token" = ["requests:write"])),
    responses((status = 201, description = "The new request; its status says what became of it.", body = Stands), (status = "4XX", description = "A problem; nothing was changed.", body = ProblemBody, content_type = "application/problem+json"), (status = 503, description = "The directory or the database does not answer; nothing was changed.", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn again(State(app): State<App>, caller: May<RequestsWrite>, Id(id): Id, Body(body): Body) -> Result<(StatusCode, Json<Stands>), Problem> {
    body.done(())?;
    let done = reevaluate::again(&app.ctx, &caller.by, id.into()).await?;
    let step = (done.status == crate::domain::request::RequestStatus::Pending).then_some(1);
    Ok((StatusCode::CREATED, Json(Stands { id: done.id.0, status: done.status.word().into(), deciding_rule: Some(done.deciding_rule), step })))
}

/// What a reviewer says of an emergency.
#[derive(Debug, Deserialize, ToSchema)]
#[allow(dead_code, reason = "read by name; here for the API's document")]
pub struct NewReview {
    /// `justified` or `not_justified`.
    #[schema(required = true)]
    pub verdict: Option<String>,
    /// Needed when it was not justified; whoever took the access reads it.
    pub comment: Option<String>,
}

/// Review an emergency
///
/// For whoever would have been asked, and was not. Until it is made, the person has no further emergency.
#[utoipa::path(post, path = "/api/v1/requests/{request}/review", tag = "Requests", params(("request" = Uuid, Path, description = "The request."), ("Idempotency-Key" = Option<String>, Header, description = "Any visible text that is new for each act.")),
    request_body = NewReview, security(("token" = ["approvals:write"])),
    responses((status = 204, description = "The review is on record."), (status = "4XX", description = "A problem; nothing was changed.", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn review(State(app): State<App>, caller: May<ApprovalsWrite>, Id(id): Id, Body(mut body): Body) -> Result<StatusCode, Problem> {
    let verdict = body.word("verdict", &["justified", "not_justified"]);
    let comment = body.text("comment");
    let verdict = body.done_with("verdict", verdict)?;
    emergency_review::review(&app.ctx, &caller.by, id.into(), verdict == "justified", comment.as_deref()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A sign-off to be noted.
#[derive(Debug, Deserialize, ToSchema)]
#[allow(dead_code, reason = "read by name; here for the API's document")]
pub struct NewSignOff {
    /// Who gave it.
    pub given_by: String,
    /// When; in the past.
    pub given_at: DateTime<Utc>,
    /// Where it can be looked up.
    pub reference: String,
    /// What was said.
    pub note: Option<String>,
}

/// Note a sign-off given elsewhere
///
/// Kept as evidence beside the request. It never counts as an approval and opens no step.
#[utoipa::path(post, path = "/api/v1/requests/{request}/sign-off", tag = "Requests", params(("request" = Uuid, Path, description = "The request."), ("Idempotency-Key" = Option<String>, Header, description = "Any visible text that is new for each act.")),
    request_body = NewSignOff, security(("token" = ["requests:write"])),
    responses((status = 204, description = "It is noted."), (status = "4XX", description = "A problem; nothing was noted.", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn sign_off(State(app): State<App>, caller: May<RequestsWrite>, Id(id): Id, Body(mut body): Body) -> Result<StatusCode, Problem> {
    let (given_by, given_at) = (body.text("given_by").unwrap_or_default(), body.time("given_at"));
    let (reference, note) = (body.text("reference").unwrap_or_default(), body.text("note"));
    body.done(())?;
    sign_off::note(&app.ctx, &caller.by, id.into(), &SignOff { given_by, given_at, reference, note }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Whether a grant is to be extended.
#[derive(Debug, Deserialize, ToSchema)]
#[allow(dead_code, reason = "read by name; here for the API's document")]
pub struct Declined {
    /// True: it is not to be extended. False takes that back.
    #[schema(required = true)]
    pub declined: Option<bool>,
}

/// Do not extend a grant
///
/// Says that access that you hold ends when its time is up, or takes that back.
#[utoipa::path(post, path = "/api/v1/grants/{grant}/decline-extension", tag = "Grants", params(("grant" = Uuid, Path, description = "The grant."), ("Idempotency-Key" = Option<String>, Header, description = "Any visible text that is new for each act.")),
    request_body = Declined, security(("token" = ["grants:write"])),
    responses((status = 200, description = "The grant as it stands now.", body = GrantOut), (status = "4XX", description = "A problem; nothing was changed.", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn decline_extension(State(app): State<App>, caller: May<GrantsWrite>, Id(id): Id, Body(mut body): Body) -> Result<Json<GrantOut>, Problem> {
    let declined = body.truth("declined");
    let declined = body.done_with("declined", declined)?;
    decline::decline(&app.ctx, &caller.by, id.into(), declined).await?;
    Ok(Json(list::grant(&app.ctx, &caller.by, id.into()).await?.into()))
}
