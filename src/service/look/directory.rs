//! What the Directory page shows.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::shared::Listing;

/// The directory and how reading it goes.
#[derive(Clone, Debug)]
pub struct Directory {
    /// Its id.
    pub id: Uuid,
    /// Its name.
    pub name: String,
    /// How it is spoken to (`SCIM 2.0`).
    pub kind: String,
    /// Where, without credentials.
    pub address: String,
    /// `ok`, `slow`, `failing` or `unknown`.
    pub state: &'static str,
    /// In a sentence.
    pub sentence: String,
    /// When it last answered.
    pub last_ok_at: Option<DateTime<Utc>>,
    /// When the next reading is due.
    pub next_at: Option<DateTime<Utc>>,
    /// People known.
    pub people: i64,
    /// People known and enabled.
    pub enabled: i64,
    /// Groups known.
    pub groups: i64,
    /// Groups that are a role's target.
    pub groups_used: i64,
    /// Readings, newest first.
    pub readings: Listing<ReadingRow>,
}

/// One reading of the directory.
#[derive(Clone, Debug)]
pub struct ReadingRow {
    /// When it began.
    pub at: DateTime<Utc>,
    /// `done`, `partly` or `failed`.
    pub result: String,
    /// People seen.
    pub people: i64,
    /// Groups seen.
    pub groups: i64,
    /// What was new or different.
    pub changed: i64,
    /// How long it took, in milliseconds.
    pub took_ms: i64,
    /// What went wrong.
    pub detail: Option<String>,
}
