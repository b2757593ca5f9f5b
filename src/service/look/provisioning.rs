//! What the Provisioning page shows.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::shared::Listing;

/// What is wanted, what is so, and what was tried.
#[derive(Clone, Debug)]
pub struct Provisioning {
    /// When the reconciler last went round.
    pub last_run_at: Option<DateTime<Utc>>,
    /// Changes that wait for their turn.
    pub waiting: i64,
    /// Memberships that keep failing, longest first.
    pub failing: Vec<FailingRow>,
    /// The targets.
    pub targets: Vec<TargetRow>,
    /// What was tried, newest first.
    pub attempts: Listing<AttemptRow>,
}

/// A membership that keeps failing.
#[derive(Clone, Debug)]
pub struct FailingRow {
    /// The membership's id.
    pub id: Uuid,
    /// `add` or `remove`.
    pub action: String,
    /// Whose.
    pub person: String,
    /// Where.
    pub target: String,
    /// Since when it is wanted and not so.
    pub since: DateTime<Utc>,
    /// Tries so far.
    pub attempts: i32,
    /// What the last try was told.
    pub last_error: String,
    /// When the next try is.
    pub next_try_at: Option<DateTime<Utc>>,
    /// The request it came from.
    pub request: Option<Uuid>,
}

/// A target: one group, say.
#[derive(Clone, Debug)]
pub struct TargetRow {
    /// The target's id.
    pub id: Uuid,
    /// Its name at its place (`orders-ro`).
    pub name: String,
    /// Where (`Demo directory`).
    pub place: String,
    /// The provisioning method.
    pub method: String,
    /// Memberships wanted.
    pub wanted: i64,
    /// Memberships seen.
    pub seen: i64,
    /// Wanted and not seen, or seen and not wanted.
    pub differing: i64,
    /// When the place was last read in full.
    pub checked_at: Option<DateTime<Utc>>,
}

/// One try.
#[derive(Clone, Debug)]
pub struct AttemptRow {
    /// When it began.
    pub at: DateTime<Utc>,
    /// `add`, `remove` or `verify`.
    pub action: String,
    /// Whose membership.
    pub person: String,
    /// Where.
    pub target: String,
    /// `done`, `already_so`, `retry` or `failed`.
    pub result: String,
    /// What the place said.
    pub detail: Option<String>,
    /// How long it took, in milliseconds.
    pub took_ms: i64,
    /// The request it came from.
    pub request: Option<Uuid>,
}
