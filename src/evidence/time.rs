//! Times as evidence writes them (RFC 3339, UTC).

use chrono::{DateTime, SecondsFormat, Utc};

/// With six digits after the second, as Postgres keeps them: `2026-01-31T08:00:00.000000Z`.
pub fn micros(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// To the second: `2026-01-31T08:00:00Z`.
pub fn seconds(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}
