//! Requests: asked, followed, decided, withdrawn.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::domain::approval::Answer;
use crate::domain::request::RequestStatus;
use crate::service::answer::answer;
use crate::service::ask::ask;
use crate::service::list::{self, AskedListed, QuestionRow, RequestFilter, RequestInFull, RequestListed};
use crate::service::look;
use crate::service::withdraw::withdraw as take_back;
use crate::web::api::asking::{NewRequest, asked_for};
use crate::web::api::beside::BesideOut;
use crate::web::api::body::{Body, Id, Query};
use crate::web::api::caller::{ApprovalsWrite, May, RequestsRead, RequestsWrite};
use crate::web::api::page::Page;
use crate::web::api::problem::{Problem, ProblemBody};
use crate::web::state::App;

/// Where a request stands after an act.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RequestState)]
pub struct Stands {
    /// The request.
    pub id: Uuid,
    /// `submitted`, `pending`, `needs_info`, `approved`, `denied`, `withdrawn`, `timed_out` or `refused`.
    pub status: String,
    /// By which rule, when it was just made.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    pub deciding_rule: Option<String>,
    /// The step that is open, counted from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    pub step: Option<usize>,
}

/// A request.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Request)]
pub struct RequestOut {
    /// Its id.
    pub id: Uuid,
    /// Where it stands: `submitted`, `pending`, `needs_info`, `approved`, `denied`, `withdrawn`, `timed_out` or `refused`.
    pub status: String,
    /// Who asked.
    pub requester_id: Uuid,
    /// Their name.
    pub requester: String,
    /// For whom.
    pub beneficiary_id: Uuid,
    /// Their name.
    pub beneficiary: String,
    /// The application.
    pub application_id: Uuid,
    /// Its name.
    pub application: String,
    /// The role.
    pub role_id: Uuid,
    /// Its name.
    pub role: String,
    /// Its risk.
    pub risk: String,
    /// The open step, counted from 1.
    pub step: Option<i32>,
    /// How many steps there are.
    pub steps: i32,
    /// When the open step times out.
    pub step_due_at: Option<DateTime<Utc>>,
    /// What the policy said: `refused`, `auto_approved` or `needs_approval`.
    pub decision: String,
    /// By which rule.
    pub deciding_rule: String,
    /// Key of the policy that governs.
    pub policy: Option<String>,
    /// Its version.
    pub policy_version: Option<i32>,
    /// Why.
    pub justification: Option<String>,
    /// Ticket.
    pub ticket_reference: Option<String>,
    /// Asked for, in seconds; null: without end.
    pub duration_s: Option<i64>,
    /// The shortest an approver chose, in seconds.
    pub granted_duration_s: Option<i64>,
    /// When it was to begin, if later than approved.
    pub starts_at: Option<DateTime<Utc>>,
    /// The grant it extends.
    pub extension_of: Option<Uuid>,
    /// Whether access began, or was to begin, before anybody was asked.
    pub emergency: bool,
    /// `web`, `api` or `cli`.
    pub channel: String,
    /// When it was made.
    pub requested_at: DateTime<Utc>,
    /// When it was settled.
    pub decided_at: Option<DateTime<Utc>>,
    /// The grant it led to.
    pub grant_id: Option<Uuid>,
    /// How far that has come.
    pub grant_status: Option<String>,
}

impl From<RequestListed> for RequestOut {
    fn from(row: RequestListed) -> Self {
        Self {
            id: row.id,
            status: row.status,
            requester_id: row.requester_id,
            requester: row.requester,
            beneficiary_id: row.beneficiary_id,
            beneficiary: row.beneficiary,
            application_id: row.application_id,
            application: row.application,
            role_id: row.role_id,
            role: row.role,
            risk: row.risk,
            step: row.step_no,
            steps: row.steps,
            step_due_at: row.step_due_at,
            decision: row.decision,
            deciding_rule: row.deciding_rule,
            policy: row.policy,
            policy_version: row.policy_version,
            justification: row.justification,
            ticket_reference: row.ticket_reference,
            duration_s: row.duration_s,
            granted_duration_s: row.granted_s,
            starts_at: row.wanted_start,
            extension_of: row.extension_of,
            emergency: row.emergency,
            channel: row.channel,
            requested_at: row.created_at,
            decided_at: row.closed_at,
            grant_id: row.grant_id,
            grant_status: row.grant_status,
        }
    }
}

/// A request with who was asked and why it was decided so.
#[derive(Debug, Serialize, ToSchema)]
pub struct RequestDetail {
    /// The request.
    #[serde(flatten)]
    pub request: RequestOut,
    /// Who was, or will be, asked; a row per person and slot.
    pub asked: Vec<AskedOut>,
    /// What approvers asked, and what was answered, oldest first.
    pub questions: Vec<QuestionOut>,
    /// Every rule the policy looked at, with what was seen, where and when.
    #[schema(value_type = Vec<Object>)]
    pub trace: Value,
    /// Values of the policy's own fields by key.
    #[schema(value_type = Object)]
    pub fields: Value,
    /// What is beside deciding.
    #[serde(flatten)]
    pub beside: BesideOut,
}

/// A question of an approver.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AskedQuestion)]
pub struct QuestionOut {
    /// The step that waited for it.
    pub step: i32,
    /// Who asked.
    pub asked_by: String,
    /// What.
    pub question: String,
    /// When.
    pub asked_at: DateTime<Utc>,
    /// Who answered.
    pub answered_by: Option<String>,
    /// What.
    pub answer: Option<String>,
    /// When.
    pub answered_at: Option<DateTime<Utc>>,
    /// When it ended because nobody had answered it in time.
    pub lapsed_at: Option<DateTime<Utc>>,
}

impl From<QuestionRow> for QuestionOut {
    fn from(row: QuestionRow) -> Self {
        let QuestionRow { step_no, asked_by, question, asked_at, answered_by, answer, answered_at } = row;
        let (answered_at, lapsed_at) = if answer.is_some() { (answered_at, None) } else { (None, answered_at) };
        Self { step: step_no, asked_by, question, asked_at, answered_by, answer, answered_at, lapsed_at }
    }
}

/// A person asked at a slot of a step.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Asked)]
pub struct AskedOut {
    /// The step, counted from 1.
    pub step: i32,
    /// Its name.
    pub step_name: String,
    /// When it opened.
    pub opened_at: Option<DateTime<Utc>>,
    /// When it was done.
    pub done_at: Option<DateTime<Utc>>,
    /// The slot, counted from 1.
    pub slot: i32,
    /// How many approvals it needs.
    pub approvals: i32,
    /// Where its approvers come from.
    pub source: String,
    /// Who.
    pub person_id: Option<Uuid>,
    /// Their name.
    pub person: Option<String>,
    /// How they came to be asked: `self`, `delegate`, `escalation`, `reassigned` or `fallback`.
    pub acting_as: Option<String>,
    /// Of a delegate: who is away. Of whoever a place was handed on to: whose it was.
    pub acting_for_id: Option<Uuid>,
    /// When they could no longer answer: handed on, left, or their standing in was over.
    pub ended_at: Option<DateTime<Utc>>,
    /// When they first opened the request.
    pub first_viewed_at: Option<DateTime<Utc>>,
    /// `approve` or `deny`.
    pub decision: Option<String>,
    /// What they wrote.
    pub comment: Option<String>,
    /// The duration they chose, in seconds.
    pub granted_duration_s: Option<i64>,
    /// When they decided.
    pub decided_at: Option<DateTime<Utc>>,
}

impl From<AskedListed> for AskedOut {
    fn from(row: AskedListed) -> Self {
        Self {
            step: row.step_no,
            step_name: row.step,
            opened_at: row.opened_at,
            done_at: row.done_at,
            slot: row.slot_no,
            approvals: row.approvals,
            source: row.source,
            person_id: row.person_id,
            person: row.person,
            acting_as: row.acting_as,
            acting_for_id: row.acting_for,
            ended_at: row.ended_at,
            first_viewed_at: row.first_viewed_at,
            decision: row.verdict,
            comment: row.comment,
            granted_duration_s: row.granted_s,
            decided_at: row.decided_at,
        }
    }
}

/// How the list is narrowed.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "read by name; here for the API's document")]
pub struct Narrow {
    /// Only with this status.
    status: Option<String>,
    /// Only for this role.
    role: Option<Uuid>,
    /// Only for this application.
    application: Option<Uuid>,
    /// Only for this person.
    beneficiary: Option<Uuid>,
    /// Only those that wait for your decision: your queue.
    waiting_for_me: Option<bool>,
    /// Where the page before ended.
    after: Option<Uuid>,
    /// How many rows, 1 to 200; 50 unless told.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<i64>,
}

/// Ask for a role
///
/// Runs the policy on live attributes from the directory and stores the decision: `refused`, `approved` at once, `submitted` until whom it is for confirms it, or `pending` with the people the policy names.
#[utoipa::path(post, path = "/api/v1/requests", tag = "Requests", params(("Idempotency-Key" = Option<String>, Header, description = "Any visible text that is new for each act; the same key and body get the same answer.")),
    request_body = NewRequest, security(("token" = ["requests:write"])),
    responses((status = 201, description = "The request is stored; its status says what became of it.", body = Stands), (status = "4XX", description = "A problem; nothing was stored.", body = ProblemBody, content_type = "application/problem+json"), (status = 503, description = "The directory or the database does not answer; nothing was stored.", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn create(State(app): State<App>, caller: May<RequestsWrite>, Body(body): Body) -> Result<(StatusCode, Json<Stands>), Problem> {
    let done = ask(&app.ctx, &caller.by, asked_for(body)?).await?;
    let stands = Stands {
        id: done.id.0,
        status: done.status.word().into(),
        deciding_rule: Some(done.deciding_rule),
        step: (done.status == RequestStatus::Pending).then_some(1),
    };
    Ok((StatusCode::CREATED, Json(stands)))
}

/// List requests
///
/// Requests that you may see, newest first: your own, those you were asked to decide on, those for roles you own; auditors and administrators see all.
#[utoipa::path(get, path = "/api/v1/requests", tag = "Requests", params(Narrow), security(("token" = ["requests:read"])),
    responses((status = 200, description = "Requests, a page at a time.", body = Page<RequestOut>), (status = "4XX", description = "A problem.", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn list(State(app): State<App>, caller: May<RequestsRead>, Query(mut query): Query) -> Result<Json<Page<RequestOut>>, Problem> {
    let words = RequestStatus::ALL.map(|(_, word)| word);
    let filter = RequestFilter {
        status: query.word("status", &words).map(String::from),
        role: query.id("role"),
        application: query.id("application"),
        beneficiary: query.id("beneficiary"),
        waiting_for: query.truth("waiting_for_me").unwrap_or_default().then_some(caller.by.person.0),
    };
    let (after, limit) = (query.id("after"), query.limit());
    query.done(())?;
    let page = list::requests(&app.ctx, &caller.by, &filter, after, limit).await?;
    Ok(Json(Page::of(page, |row| row.id.to_string(), RequestOut::from)))
}

/// Get a request
#[utoipa::path(get, path = "/api/v1/requests/{request}", tag = "Requests", params(("request" = Uuid, Path, description = "The request.")), security(("token" = ["requests:read"])),
    responses((status = 200, description = "The request, who was asked, and every rule looked at.", body = RequestDetail), (status = "4XX", description = "A problem.", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn get(State(app): State<App>, caller: May<RequestsRead>, Id(id): Id) -> Result<Json<RequestDetail>, Problem> {
    let RequestInFull { request, asked, questions, trace, fields } = list::request(&app.ctx, &caller.by, id.into()).await?;
    let beside = look::beside::of_request(&app.ctx, &caller.by, id.into()).await?.into();
    let trace = serde_json::from_str(&trace).unwrap_or_default();
    let fields = fields.and_then(|fields| serde_json::from_str(&fields).ok()).unwrap_or_else(|| Value::Object(Default::default()));
    Ok(Json(RequestDetail {
        request: request.into(),
        asked: asked.into_iter().map(Into::into).collect(),
        questions: questions.into_iter().map(Into::into).collect(),
        trace,
        fields,
        beside,
    }))
}

/// What an approver says.
#[derive(Debug, Deserialize, ToSchema)]
#[allow(dead_code, reason = "read by name; here for the API's document")]
pub struct Approve {
    /// For less time than asked for, in seconds.
    #[schema(minimum = 1)]
    pub duration_s: Option<i64>,
    /// For whoever reads the log.
    pub comment: Option<String>,
    /// The step you were shown; refused when another is open by now.
    #[schema(minimum = 1)]
    pub step: Option<i64>,
}

/// Why not.
#[derive(Debug, Deserialize, ToSchema)]
#[allow(dead_code, reason = "read by name; here for the API's document")]
pub struct Deny {
    /// The reason; the requester reads it. Some policies demand one.
    pub reason: Option<String>,
    /// The step you were shown; refused when another is open by now.
    #[schema(minimum = 1)]
    pub step: Option<i64>,
}

/// Why.
#[derive(Debug, Deserialize, ToSchema)]
#[allow(dead_code, reason = "read by name; here for the API's document")]
pub struct Reason {
    /// The reason, for whoever reads the log.
    pub reason: Option<String>,
}

/// Approve a request
///
/// Fills your slot of the open step. Only who was asked can decide, and nobody on their own request.
#[utoipa::path(post, path = "/api/v1/requests/{request}/approve", tag = "Requests", params(("request" = Uuid, Path, description = "The request."), ("Idempotency-Key" = Option<String>, Header, description = "Any visible text that is new for each act.")),
    request_body = Approve, security(("token" = ["approvals:write"])),
    responses((status = 200, description = "Where the request stands now.", body = Stands), (status = "4XX", description = "A problem; nothing was decided.", body = ProblemBody, content_type = "application/problem+json"), (status = 503, description = "The directory or the database does not answer; nothing was decided.", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn approve(State(app): State<App>, caller: May<ApprovalsWrite>, Id(id): Id, Body(mut body): Body) -> Result<Json<Stands>, Problem> {
    let (granted, comment, step) = (body.seconds("duration_s"), body.text("comment"), body.number("step", 1, 1_000));
    body.done(())?;
    let done = answer(&app.ctx, &caller.by, id.into(), Answer::Approve { granted }, comment.as_deref(), step.map(|step| step as usize)).await?;
    Ok(Json(Stands { id, status: done.status.word().into(), deciding_rule: None, step: done.step_no }))
}

/// Deny a request
///
/// Ends it. Only who was asked can decide, and nobody on their own request.
#[utoipa::path(post, path = "/api/v1/requests/{request}/deny", tag = "Requests", params(("request" = Uuid, Path, description = "The request."), ("Idempotency-Key" = Option<String>, Header, description = "Any visible text that is new for each act.")),
    request_body = Deny, security(("token" = ["approvals:write"])),
    responses((status = 200, description = "Where the request stands now.", body = Stands), (status = "4XX", description = "A problem; nothing was decided.", body = ProblemBody, content_type = "application/problem+json"), (status = 503, description = "The directory or the database does not answer; nothing was decided.", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn deny(State(app): State<App>, caller: May<ApprovalsWrite>, Id(id): Id, Body(mut body): Body) -> Result<Json<Stands>, Problem> {
    let (reason, step) = (body.text("reason"), body.number("step", 1, 1_000));
    body.done(())?;
    let done = answer(&app.ctx, &caller.by, id.into(), Answer::Deny, reason.as_deref(), step.map(|step| step as usize)).await?;
    Ok(Json(Stands { id, status: done.status.word().into(), deciding_rule: None, step: done.step_no }))
}

/// Withdraw a request
///
/// Takes back a request of yours, or one for you, that is still open.
#[utoipa::path(post, path = "/api/v1/requests/{request}/withdraw", tag = "Requests", params(("request" = Uuid, Path, description = "The request."), ("Idempotency-Key" = Option<String>, Header, description = "Any visible text that is new for each act.")),
    request_body = Reason, security(("token" = ["requests:write"])),
    responses((status = 200, description = "Where the request stands now.", body = Stands), (status = "4XX", description = "A problem; nothing was changed.", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn withdraw(State(app): State<App>, caller: May<RequestsWrite>, Id(id): Id, Body(mut body): Body) -> Result<Json<Stands>, Problem> {
    let reason = body.text("reason");
    body.done(())?;
    take_back(&app.ctx, &caller.by, id.into(), reason.as_deref()).await?;
    Ok(Json(Stands { id, status: RequestStatus::Withdrawn.word().into(), deciding_rule: None, step: None }))
}
