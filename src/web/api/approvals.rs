//! Many alike requests answered in one call.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::domain::id::RequestId;
use crate::service::answer_many::{self, MOST, Outcome, Pick, Verdict};
use crate::web::api::body::Body;
use crate::web::api::caller::{ApprovalsWrite, May};
use crate::web::api::problem::{Problem, ProblemBody};
use crate::web::error::Failure;
use crate::web::state::App;

/// What all of them get.
#[derive(Debug, Deserialize, ToSchema)]
#[allow(dead_code, reason = "read by name; here for the API's document")]
pub struct DecideTogether {
    /// `approve` or `deny`.
    #[schema(pattern = "^(approve|deny)$")]
    pub decision: String,
    /// 1 to 200 requests for one role under one policy version. One that is named twice counts once.
    #[schema(min_items = 1, max_items = 200)]
    pub requests: Vec<Picked>,
    /// The comment of each; with a denial the requesters read it, and some policies demand one. At most 4,000 characters.
    pub comment: Option<String>,
}

/// A request to be answered.
#[derive(Debug, Deserialize, ToSchema)]
#[allow(dead_code, reason = "read by name; here for the API's document")]
pub struct Picked {
    /// Which.
    pub id: Uuid,
    /// The step you were shown; not answered when another is open by now.
    #[schema(minimum = 1)]
    pub step: Option<i64>,
}

/// What came of each, in the order they were named.
#[derive(Debug, Serialize, ToSchema)]
pub struct DecidedTogether {
    /// How many answers stand.
    pub decided: usize,
    /// How many were not taken.
    pub not_taken: usize,
    /// One for each request.
    pub results: Vec<DecidedOne>,
}

/// What came of one.
#[derive(Debug, Serialize, ToSchema)]
pub struct DecidedOne {
    /// The request.
    pub id: Uuid,
    /// Whether the answer stands.
    pub decided: bool,
    /// Where the request stands now, when it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    pub status: Option<String>,
    /// The step that is open then, counted from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    pub step: Option<usize>,
    /// Why it was not taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    pub problem: Option<WhyNot>,
}

/// Why one was not taken.
#[derive(Debug, Serialize, ToSchema)]
pub struct WhyNot {
    /// A stable id, as a problem of a call of its own would have it.
    #[serde(rename = "type")]
    pub kind: String,
    /// The HTTP status that a call of its own would have got.
    pub status: u16,
    /// As a sentence to show.
    pub detail: String,
}

impl DecidedOne {
    fn of(outcome: Outcome) -> Self {
        let id = outcome.request.0;
        match outcome.came {
            Ok(done) => Self { id, decided: true, status: Some(done.status.word().into()), step: done.step_no, problem: None },
            Err(error) => {
                let failure = Failure::from(error);
                let problem = WhyNot { kind: failure.id, status: failure.status.as_u16(), detail: failure.failed };
                Self { id, decided: false, status: None, step: None, problem: Some(problem) }
            }
        }
    }
}

/// Answer many requests
///
/// Approves or denies up to 200 requests for one role under one policy version. Each is a decision of its own, with its own approval and event: one that has moved on, or is your own, keeps no other from being answered. When the requests are not alike, or a reason is missing, nothing is decided.
#[utoipa::path(post, path = "/api/v1/approvals/bulk", tag = "Requests", params(("Idempotency-Key" = Option<String>, Header, description = "Any visible text that is new for each act; the same key and body get the same answer.")),
    request_body = DecideTogether, security(("token" = ["approvals:write"])),
    responses((status = 200, description = "What came of each.", body = DecidedTogether), (status = "4XX", description = "A problem; nothing was decided.", body = ProblemBody, content_type = "application/problem+json"), (status = 503, description = "The database does not answer; nothing was decided.", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn bulk(State(app): State<App>, caller: May<ApprovalsWrite>, Body(mut body): Body) -> Result<Json<DecidedTogether>, Problem> {
    let decision = body.word("decision", &["approve", "deny"]);
    let comment = body.text("comment");
    let picks = body.each("requests", MOST, |one| {
        let (id, step) = (one.id("id"), one.number("step", 1, 1_000));
        Some(Pick { request: RequestId(id?), step: step.map(|step| step as usize), digest: None })
    });
    if picks.is_none() {
        body.missing("requests");
    }
    let decision = body.done_with("decision", decision)?;
    let verdict = if decision == "approve" { Verdict::Approve } else { Verdict::Deny };
    let batch = answer_many::check(&app.ctx, &caller.by, picks.unwrap_or_default(), verdict, comment.as_deref()).await?;
    let mut results = Vec::with_capacity(batch.len());
    answer_many::take(&app.ctx, &caller.by, batch, |outcome| results.push(DecidedOne::of(outcome))).await;
    let decided = results.iter().filter(|one| one.decided).count();
    Ok(Json(DecidedTogether { decided, not_taken: results.len() - decided, results }))
}
