//! Changes of the rules: proposed, approved, rejected, withdrawn.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::domain::policy::FieldFault;
use crate::service::catalog_file::places::Fault;
use crate::service::change::decide;
use crate::service::change::review;
use crate::service::change::submit::{Outcome, submit};
use crate::service::list::{self, ChangeListed};
use crate::service::look::change::{self, Change, DiffLine, STATES};
use crate::service::plan::Plan;
use crate::web::api::body::{Body, Id, Query};
use crate::web::api::caller::{May, RulesRead, RulesWrite};
use crate::web::api::page::Page;
use crate::web::api::problem::{Problem, ProblemBody};
use crate::web::error::Failure;
use crate::web::state::App;

/// Where changes are proposed.
pub const PATH: &str = "/api/v1/policy-changes";
/// The largest body of a proposal, in bytes: a catalog file of a megabyte, escaped.
pub const LARGEST: usize = 3 << 20;

/// A change of the rules.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PolicyChange)]
pub struct ChangeOut {
    /// Its id.
    pub id: Uuid,
    /// `proposed`, `approved`, `applied`, `rejected`, `withdrawn` or `failed`.
    pub status: String,
    /// Who made it; null: the operator at the command line.
    pub author_id: Option<Uuid>,
    /// Their name.
    pub author: Option<String>,
    /// The file, or the page, that it came from.
    pub source: String,
    /// SHA-256 of the whole set as it is to be, hex.
    pub digest: String,
    /// How many things it changes.
    pub changes: i32,
    /// When it was made.
    pub submitted_at: DateTime<Utc>,
    /// When it takes effect, or took.
    pub effective_at: Option<DateTime<Utc>>,
    /// Who approved or rejected it.
    pub approver_id: Option<Uuid>,
    /// Their name.
    pub approver: Option<String>,
}

impl From<ChangeListed> for ChangeOut {
    fn from(row: ChangeListed) -> Self {
        Self {
            id: row.id,
            status: row.status,
            author_id: row.author_id,
            author: row.author,
            source: row.source,
            digest: row.digest,
            changes: row.changes,
            submitted_at: row.submitted_at,
            effective_at: row.effective_at,
            approver_id: row.approver_id,
            approver: row.approver,
        }
    }
}

/// One thing that changes.
#[derive(Debug, Serialize, ToSchema)]
pub struct Difference {
    /// `new`, `changed` or `retired`.
    pub mark: String,
    /// Which thing.
    pub title: String,
    /// What about it, in words.
    pub details: Vec<String>,
}

impl From<DiffLine> for Difference {
    fn from(line: DiffLine) -> Self {
        Self { mark: line.mark.into(), title: line.title, details: line.details }
    }
}

/// What becomes of how many stored requests.
#[derive(Debug, Serialize, ToSchema)]
pub struct Becomes {
    /// `unchanged`, `refused` and so on.
    pub turn: String,
    /// The same in words.
    pub says: String,
    /// How many requests.
    pub requests: u64,
}

/// A step that nobody could take any more.
#[derive(Debug, Serialize, ToSchema)]
pub struct NewDeadEnd {
    /// The line of the proposed file.
    pub line: usize,
    /// In a sentence.
    pub sentence: String,
    /// The roles it is so for.
    pub roles: Vec<String>,
    /// Whether requests could never be approved; else a warning.
    pub is_dead: bool,
}

/// What the stored requests of a period come to under the proposed rules.
#[derive(Debug, Serialize, ToSchema)]
pub struct WhatIf {
    /// Requests from this time on.
    pub from: Option<DateTime<Utc>>,
    /// Requests before this time.
    pub to: Option<DateTime<Utc>>,
    /// How many requests were decided again.
    pub requests: u64,
    /// What becomes of them.
    pub becomes: Vec<Becomes>,
    /// Requests whose stored inputs cannot be read.
    pub unreadable: u64,
    /// Dead ends that the change brings.
    pub dead_ends: Vec<NewDeadEnd>,
    /// Why it could not be found out, if so.
    pub error: Option<String>,
}

/// A change with all that is known of it.
#[derive(Debug, Serialize, ToSchema)]
pub struct PolicyChangeInFull {
    /// Its id.
    pub id: Uuid,
    /// `proposed`, `approved`, `applied`, `rejected`, `withdrawn` or `failed`.
    pub status: String,
    /// Who made it.
    pub author: String,
    /// The file, or the page, that it came from.
    pub source: String,
    /// SHA-256 of the whole set as it is to be, hex.
    pub digest: String,
    /// What it changes.
    pub differences: Vec<Difference>,
    /// What it would have done; null: not known yet.
    pub what_if: Option<WhatIf>,
    /// When it was made.
    pub submitted_at: DateTime<Utc>,
    /// Who approved or rejected it.
    pub approver: Option<String>,
    /// When somebody decided.
    pub decided_at: Option<DateTime<Utc>>,
    /// What they said.
    pub comment: Option<String>,
    /// When it takes effect, or took.
    pub effective_at: Option<DateTime<Utc>>,
    /// Why it failed, or still waits.
    pub error: Option<String>,
    /// Whether you may approve it.
    pub may_approve: bool,
}

impl From<Change> for PolicyChangeInFull {
    fn from(change: Change) -> Self {
        let what_if = change.weighed.map(|weighed| WhatIf {
            from: weighed.from,
            to: weighed.to,
            requests: weighed.all(),
            becomes: change::told(&weighed.counts)
                .into_iter()
                .map(|(turn, requests, says)| Becomes { turn: turn.into(), says: says.into(), requests })
                .collect(),
            unreadable: weighed.unreadable,
            dead_ends: weighed
                .dead_ends
                .into_iter()
                .map(|end| NewDeadEnd { line: end.line, sentence: end.sentence, roles: end.roles, is_dead: end.is_dead })
                .collect(),
            error: weighed.error,
        });
        Self {
            id: change.row.id,
            status: change.row.status,
            author: change.row.author,
            source: change.row.source,
            digest: change.digest,
            differences: change.lines.into_iter().map(Into::into).collect(),
            what_if,
            submitted_at: change.row.submitted_at,
            approver: change.row.approver,
            decided_at: change.decided_at,
            comment: change.comment,
            effective_at: change.row.effective_at,
            error: change.error,
            may_approve: change.can.approve,
        }
    }
}

/// How the list is narrowed.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "read by name; here for the API's document")]
pub struct Narrow {
    /// Only in this state.
    status: Option<String>,
    /// Where the page before ended.
    after: Option<Uuid>,
    /// How many rows, 1 to 200; 50 unless told.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<i64>,
}

/// The rules as they are to be.
#[derive(Debug, Deserialize, ToSchema)]
#[allow(dead_code, reason = "read by name; here for the API's document")]
pub struct NewChange {
    /// The whole set as TOML, at most 1 MB. What it does not describe is retired.
    pub catalog: String,
    /// Only say what it would change; false unless given.
    pub check: Option<bool>,
}

/// What a proposal came to.
#[derive(Debug, Serialize, ToSchema)]
pub struct ChangeMade {
    /// The change; null when there is none.
    pub id: Option<Uuid>,
    /// `proposed`; `applied` where no second person is required; `unchanged` when the rules are so already; `checked` when only that was asked.
    pub status: String,
    /// What it changes.
    pub differences: Vec<Difference>,
}

/// What is said with an approval.
#[derive(Debug, Deserialize, ToSchema)]
#[allow(dead_code, reason = "read by name; here for the API's document")]
pub struct ChangeApproval {
    /// When it takes effect, at most a year ahead; at once unless given.
    pub at: Option<DateTime<Utc>>,
    /// A comment.
    pub comment: Option<String>,
}

/// What is said with a rejection, or when a change is withdrawn.
#[derive(Debug, Deserialize, ToSchema)]
#[allow(dead_code, reason = "read by name; here for the API's document")]
pub struct ChangeComment {
    /// A comment.
    pub comment: Option<String>,
}

/// List changes of the rules
///
/// Newest first; for auditors and administrators.
#[utoipa::path(get, path = "/api/v1/policy-changes", tag = "Changes of the rules", params(Narrow), security(("token" = ["rules:read"])),
    responses((status = 200, description = "Changes, a page at a time.", body = Page<ChangeOut>), (status = "4XX", description = "A problem.", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn list(State(app): State<App>, caller: May<RulesRead>, Query(mut query): Query) -> Result<Json<Page<ChangeOut>>, Problem> {
    let (status, after, limit) = (query.word("status", &STATES), query.id("after"), query.limit());
    query.done(())?;
    let page = list::changes(&app.ctx, &caller.by, status, after, limit).await?;
    Ok(Json(Page::of(page, |row| row.id.to_string(), ChangeOut::from)))
}

/// Get a change of the rules
///
/// With what it changes, what it would have done with the requests of the last 90 days, and which dead ends it brings.
#[utoipa::path(get, path = "/api/v1/policy-changes/{change}", tag = "Changes of the rules", params(("change" = Uuid, Path, description = "The change.")), security(("token" = ["rules:read"])),
    responses((status = 200, description = "The change.", body = PolicyChangeInFull), (status = "4XX", description = "A problem.", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn get(State(app): State<App>, caller: May<RulesRead>, Id(id): Id) -> Result<Json<PolicyChangeInFull>, Problem> {
    Ok(Json(change::change(&app.ctx, &caller.by, id).await?.into()))
}

/// Propose a change of the rules
///
/// For administrators. Where `policy.require_second_person` is set it waits until another administrator approves it; else it applies at once.
#[utoipa::path(post, path = "/api/v1/policy-changes", tag = "Changes of the rules", params(("Idempotency-Key" = Option<String>, Header, description = "Any visible text that is new for each act.")),
    request_body = NewChange, security(("token" = ["rules:write"])),
    responses((status = 200, description = "Nothing was changed: that was not asked, or the rules are so already.", body = ChangeMade), (status = 201, description = "It is proposed, or applied.", body = ChangeMade), (status = "4XX", description = "A problem, with every fault of the file; nothing was changed.", body = ProblemBody, content_type = "application/problem+json"), (status = 503, description = "The directory or the database does not answer; nothing was changed.", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn propose(State(app): State<App>, caller: May<RulesWrite>, Body(mut body): Body) -> Result<Response, Problem> {
    if !caller.by.is_administrator {
        return Err(Failure::missing().into());
    }
    let (catalog, check) = (body.text("catalog"), body.truth("check").unwrap_or(false));
    let text = body.done_with("catalog", catalog.clone())?;
    if check {
        let seen = review::review(&app.ctx, &caller.by, &text).await?;
        well(&seen.faults)?;
        let differences = seen.lines.into_iter().map(Into::into).collect();
        return Ok(Json(ChangeMade { id: None, status: "checked".into(), differences }).into_response());
    }
    let submitted = submit(&app.ctx, (&text, "the API"), (caller.by.actor(), caller.by.channel)).await?;
    well(&submitted.plan.faults)?;
    let (id, status) = match submitted.outcome {
        Outcome::Applied { change, .. } => (Some(change), "applied"),
        Outcome::Proposed(change) => (Some(change), "proposed"),
        Outcome::Nothing | Outcome::Faulty | Outcome::Moved => (None, "unchanged"),
    };
    let made = Json(ChangeMade { id, status: status.into(), differences: differences(&submitted.plan) });
    Ok(if id.is_some() { (StatusCode::CREATED, made).into_response() } else { made.into_response() })
}

fn differences(plan: &Plan) -> Vec<Difference> {
    plan.lines().iter().map(|line| DiffLine::of(line).into()).collect()
}

/// # Errors
/// Every fault of the file, with its place.
fn well(faults: &[Fault]) -> Result<(), Problem> {
    if faults.is_empty() {
        return Ok(());
    }
    Err(Failure::fields(faults.iter().take(100).map(|fault| FieldFault { field: "catalog".into(), sentence: fault.to_string() }).collect()).into())
}

/// Approve a change of the rules
///
/// As another administrator than its author. It takes effect at once, or at a time that lies ahead, if it then still changes what was approved.
#[utoipa::path(post, path = "/api/v1/policy-changes/{change}/approve", tag = "Changes of the rules", params(("change" = Uuid, Path, description = "The change."), ("Idempotency-Key" = Option<String>, Header, description = "Any visible text that is new for each act.")),
    request_body = ChangeApproval, security(("token" = ["rules:write"])),
    responses((status = 200, description = "It is approved; its state says whether it is in effect.", body = PolicyChangeInFull), (status = "4XX", description = "A problem; nothing was changed.", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn approve(State(app): State<App>, caller: May<RulesWrite>, Id(id): Id, Body(mut body): Body) -> Result<Json<PolicyChangeInFull>, Problem> {
    let (at, comment) = (body.time("at"), body.text("comment"));
    body.done(())?;
    decide::approve(&app.ctx, &caller.by, id, at, comment.as_deref()).await?;
    Ok(Json(change::change(&app.ctx, &caller.by, id).await?.into()))
}

/// Reject a change of the rules
///
/// As another administrator than its author, while it is not in effect.
#[utoipa::path(post, path = "/api/v1/policy-changes/{change}/reject", tag = "Changes of the rules", params(("change" = Uuid, Path, description = "The change."), ("Idempotency-Key" = Option<String>, Header, description = "Any visible text that is new for each act.")),
    request_body = ChangeComment, security(("token" = ["rules:write"])),
    responses((status = 200, description = "It is rejected.", body = PolicyChangeInFull), (status = "4XX", description = "A problem; nothing was changed.", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn reject(State(app): State<App>, caller: May<RulesWrite>, Id(id): Id, Body(mut body): Body) -> Result<Json<PolicyChangeInFull>, Problem> {
    let comment = body.text("comment");
    body.done(())?;
    decide::reject(&app.ctx, &caller.by, id, comment.as_deref()).await?;
    Ok(Json(change::change(&app.ctx, &caller.by, id).await?.into()))
}

/// Withdraw a change of the rules
///
/// As its author, while it is not in effect.
#[utoipa::path(post, path = "/api/v1/policy-changes/{change}/withdraw", tag = "Changes of the rules", params(("change" = Uuid, Path, description = "The change."), ("Idempotency-Key" = Option<String>, Header, description = "Any visible text that is new for each act.")),
    request_body = ChangeComment, security(("token" = ["rules:write"])),
    responses((status = 200, description = "It is withdrawn.", body = PolicyChangeInFull), (status = "4XX", description = "A problem; nothing was changed.", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn withdraw(State(app): State<App>, caller: May<RulesWrite>, Id(id): Id, Body(mut body): Body) -> Result<Json<PolicyChangeInFull>, Problem> {
    let comment = body.text("comment");
    body.done(())?;
    decide::withdraw(&app.ctx, &caller.by, id, comment.as_deref()).await?;
    Ok(Json(change::change(&app.ctx, &caller.by, id).await?.into()))
}
