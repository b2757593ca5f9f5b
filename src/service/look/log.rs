//! What the Log shows.

use chrono::NaiveDate;

use super::shared::{Choice, EventRow, Listing};

/// What the log is narrowed to. Empty words narrow nothing.
#[derive(Clone, Debug, Default)]
pub struct LogFilter {
    /// First day (UTC), inclusive.
    pub from: Option<NaiveDate>,
    /// Last day (UTC), inclusive.
    pub to: Option<NaiveDate>,
    /// An application's id.
    pub application: String,
    /// A role's id.
    pub role: String,
    /// A kind, or the first part of one (`request`).
    pub kind: String,
    /// A person's name or mail address, as actor or subject.
    pub person: String,
    /// The page is not the newest one.
    pub older: bool,
}

/// The log, newest first.
#[derive(Clone, Debug)]
pub struct Log {
    /// What it is narrowed to.
    pub filter: LogFilter,
    /// Applications to choose from.
    pub applications: Vec<Choice>,
    /// Roles to choose from (of the application, when one is chosen).
    pub roles: Vec<Choice>,
    /// Kinds to choose from.
    pub kinds: Vec<Choice>,
    /// The filter as a query string without `before`, for links; already percent-encoded, no leading `?`.
    pub query: String,
    /// The events.
    pub events: Listing<EventRow>,
}
