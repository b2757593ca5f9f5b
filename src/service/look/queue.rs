//! What the Queue shows.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::shared::{Choice, Listing, RoleName};

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
