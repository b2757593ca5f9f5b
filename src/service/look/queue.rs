//! What the Queue shows.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::service::ctx::{By, Ctx};
use crate::service::error::ServiceError;
use crate::store::look_queue::{self, WaitingFilter, WaitingRow};

use super::catalog::words;
use super::shared::{Choice, Cursor, Listing, RoleName};
use super::{request, seen};

/// What the queue is narrowed to.
#[derive(Clone, Debug, Default)]
pub struct QueueFilter {
    /// Words, as typed.
    pub q: String,
    /// An application's id, or nothing for all.
    pub application: String,
    /// A risk word, or nothing for all.
    pub risk: String,
}

impl QueueFilter {
    /// Whether anything is narrowed.
    pub fn any(&self) -> bool {
        !(self.q.is_empty() && self.application.is_empty() && self.risk.is_empty())
    }
}

/// Requests that wait for the viewer.
#[derive(Clone, Debug)]
pub struct Queue {
    /// What it is narrowed to.
    pub filter: QueueFilter,
    /// The applications to choose from.
    pub applications: Vec<Choice>,
    /// How many wait in all, narrowed or not.
    pub total: i64,
    /// The requests, longest waiting first.
    pub rows: Listing<QueueRow>,
}

/// A request that waits for the viewer.
#[derive(Clone, Debug)]
pub struct QueueRow {
    /// The request.
    pub request: Uuid,
    /// The role asked for.
    pub role: RoleName,
    /// Who is to hold it.
    pub beneficiary: String,
    /// Their department.
    pub department: Option<String>,
    /// Who asked, when somebody else.
    pub requester: Option<String>,
    /// The length asked for; `None` for no end.
    pub requested_s: Option<i64>,
    /// Why it is needed.
    pub justification: Option<String>,
    /// The ticket.
    pub ticket: Option<String>,
    /// When it was asked.
    pub requested_at: DateTime<Utc>,
    /// When the viewer was asked.
    pub asked_at: DateTime<Utc>,
    /// When the policy moves on.
    pub due: Option<DateTime<Utc>>,
    /// The step's number.
    pub step_no: i32,
    /// How many steps there are.
    pub steps: i32,
    /// Why the viewer is asked.
    pub why_you: String,
    /// How many people of the same department hold the role, of how many.
    pub peers: Option<(i64, i64)>,
    /// What approval authorises; sent back with the answer.
    pub digest: String,
    /// Whether approving needs a comment, and so the card.
    pub approve_needs_comment: bool,
    /// Whether denying needs a reason.
    pub deny_needs_reason: bool,
}

/// Requests of a page.
const PAGE: usize = 25;

/// The applications of `rows`, by name; none to choose from when only one request waits.
fn applications_of(rows: &[WaitingRow]) -> Vec<(Uuid, String)> {
    if rows.len() < 2 {
        return vec![];
    }
    let mut applications: Vec<(Uuid, String)> = rows.iter().map(|row| (row.application_id, row.application.clone())).collect();
    applications.sort_by(|(id, name), (other_id, other)| name.cmp(other).then(id.cmp(other_id)));
    applications.dedup();
    applications
}

/// What waits for `by`, narrowed, after a cursor. `total` is how many wait in all.
///
/// # Errors
/// [`ServiceError::Missing`] for a cursor that is none; when the database fails.
pub async fn queue(ctx: &Ctx, by: &By, filter: QueueFilter, total: i64, after: Option<&Cursor>) -> Result<Queue, ServiceError> {
    let narrowed = WaitingFilter {
        words: words(&filter.q),
        application: (!filter.application.is_empty()).then(|| filter.application.parse().unwrap_or(Uuid::nil())),
        risk: Some(filter.risk.clone()).filter(|risk| !risk.is_empty()),
    };
    let after = after.map(Cursor::id).transpose()?;
    // What is all on this page says itself which applications there are to choose from.
    let whole = !filter.any() && after.is_none() && total <= PAGE as i64;
    let (rows, applications) = tokio::try_join!(look_queue::waiting(&ctx.db, by.person.0, &narrowed, after, PAGE as i64 + 1), async {
        if whole { Ok(vec![]) } else { look_queue::applications(&ctx.db, by.person.0).await }
    })?;
    let applications = if whole { applications_of(&rows) } else { applications };
    let departments: Vec<String> = rows.iter().filter_map(|row| row.department.clone()).collect();
    let peers = seen::peers(ctx, &departments).await?;
    let rows = rows.into_iter().map(|row| QueueRow {
        request: row.request_id,
        peers: row.department.as_ref().and_then(|d| peers.get(d)).and_then(|peers| peers.of(row.role_id)),
        role: RoleName { id: row.role_id, application: row.application, role: row.role, risk: row.risk },
        beneficiary: row.beneficiary,
        department: row.department,
        requester: row.requester,
        requested_s: row.duration_s,
        justification: row.justification,
        ticket: row.ticket_reference,
        requested_at: row.created_at,
        asked_at: row.assigned_at.unwrap_or(row.created_at),
        due: row.step_due_at,
        step_no: row.step_no,
        steps: row.steps,
        why_you: request::why_you(&row.source, &row.source_label, None),
        digest: row.ask_digest,
        approve_needs_comment: false,
        deny_needs_reason: row.comment_to_deny,
    });
    Ok(Queue {
        filter,
        applications: applications.into_iter().map(|(id, name)| Choice { value: id.to_string(), label: name }).collect(),
        total,
        rows: Listing::cut(rows.collect(), PAGE, |row| row.request),
    })
}
