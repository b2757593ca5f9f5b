//! What the Sessions page shows.

use chrono::{DateTime, Utc};
use uuid::Uuid;

/// The viewer's own sessions.
#[derive(Clone, Debug)]
pub struct Sessions {
    /// Latest use first.
    pub rows: Vec<SessionRow>,
    /// Ends after this long without use.
    pub idle_s: i64,
    /// Ends after this long in any case.
    pub absolute_s: i64,
}

/// A session.
#[derive(Clone, Debug)]
pub struct SessionRow {
    /// Its id (not its token).
    pub id: Uuid,
    /// Whether it is the one in use.
    pub current: bool,
    /// The browser, as far as it says.
    pub browser: String,
    /// The address it was last used from.
    pub address: Option<String>,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it was last used.
    pub last_seen_at: DateTime<Utc>,
    /// When it ends in any case.
    pub ends_at: DateTime<Utc>,
}
