//! What a directory says, in our words.
//!
//! Plain values only: connectors make them, services read them. Every string has passed [`clean`], so nothing in here
//! holds a NUL or another control character, whatever the other side sent.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::domain::person::GroupRef;
use crate::domain::secret::Secret;

/// One person as the directory describes them at the moment of asking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersonFacts {
    /// The directory's immutable id; never the login, which is renamed and used again.
    pub reference: String,
    /// The login; for people to read, not to act on.
    pub user_name: String,
    /// The primary address, where there is one.
    pub email: Option<String>,
    /// The name shown to people; never empty.
    pub display_name: String,
    /// False when the directory has switched the account off.
    pub active: bool,
    /// The manager's reference.
    pub manager: Option<String>,
    /// department, title, employment_type, cost_center, division, organization, employee_number, location, country,
    /// and whatever else the directory tells as plain values; keys in snake_case.
    pub attributes: BTreeMap<String, Vec<String>>,
    /// The groups the person is in: what the directory tells with the person (then inherited ones too, where it counts
    /// them), else those that list the person directly.
    pub groups: Vec<GroupRef>,
}

/// A group with its direct members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupFacts {
    /// The directory's immutable id.
    pub reference: String,
    /// The name shown to people; never empty.
    pub name: String,
    /// References of the people who are direct members, each once, in the directory's order.
    pub members: Vec<String>,
    /// References of groups inside this one.
    pub nested: Vec<String>,
    /// Why membership cannot be changed here (dynamic, synchronised, rule-driven), where the directory says so.
    pub read_only: Option<String>,
}

/// A group as a listing shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupListed {
    /// The directory's immutable id.
    pub reference: String,
    /// The name shown to people; never empty.
    pub name: String,
    /// What the directory says it is for.
    pub description: Option<String>,
    /// Why membership cannot be changed here (dynamic, synchronised, rule-driven), where the listing says so.
    pub read_only: Option<String>,
    /// What whoever makes a role of it should know, a sentence each.
    pub warnings: Vec<String>,
}

impl GroupListed {
    /// A group of which nothing but its name is told.
    pub fn named(group: GroupRef) -> Self {
        Self { reference: group.reference, name: group.name, description: None, read_only: None, warnings: Vec::new() }
    }
}

/// What a directory is to call when somebody changes.
#[derive(Clone, Copy, Debug)]
pub struct Subscribing<'a> {
    /// Where it calls.
    pub address: &'a str,
    /// What it proves itself by.
    pub secret: &'a Secret,
    /// The subscription that there may be.
    pub known: Option<&'a str>,
}

/// A subscription that was made or renewed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscribed {
    /// Its id there.
    pub id: String,
    /// When it ends by itself.
    pub until: DateTime<Utc>,
}

/// What changed since an earlier moment: hints. Whoever gets them reads each person and group anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changes {
    /// References of people who are new, changed or gone; may repeat, may name people who did not change.
    pub people: Vec<String>,
    /// References of groups that are new, changed or gone, members included; may repeat.
    pub groups: Vec<String>,
    /// Hand this back the next time.
    pub next: String,
    /// Whether there is more to fetch right now, with `next`.
    pub more: bool,
}

/// One page of a listing.
#[derive(Debug)]
pub struct Page<T, C> {
    /// The rows, none twice within one listing.
    pub items: Vec<T>,
    /// Hand this back for the rest; `None` means the listing is complete.
    pub next: Option<C>,
    /// How many rows there are in all, where the directory says so.
    pub total: Option<u64>,
}

/// Why a question to the directory has no answer. Its `Display` is a sentence for people and holds no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// No connection, a time-out, or a failure on the other side.
    #[error("The directory cannot be reached: {0}.")]
    Unreachable(String),
    /// The directory asks to wait.
    #[error("The directory is busy and asks to wait {} s.", .retry_after.as_secs().max(1))]
    RateLimited {
        /// How long to leave the whole directory alone.
        retry_after: Duration,
    },
    /// Our credentials are refused or not enough.
    #[error("The directory refuses our credentials: {0}.")]
    Auth(String),
    /// An answer that cannot be understood, or is not complete.
    #[error("The directory gave an answer that cannot be used: {0}.")]
    Malformed(String),
    /// A search for one record found several.
    #[error("The directory has more than one record where {attribute} is \u{201c}{value}\u{201d}.")]
    Several {
        /// What was searched by.
        attribute: String,
        /// What was searched for.
        value: String,
    },
    /// The directory no longer knows what changed since the moment asked about; everything has to be read.
    #[error("The directory no longer knows what changed since then.")]
    Expired,
    /// A question that must not be asked, such as an empty id.
    #[error("The directory was not asked: {0}.")]
    Refused(String),
}

/// What became of a change to a membership. A success is only a claim: ask [`is_member`] before believing it.
///
/// [`is_member`]: crate::directory::port::Directory::is_member
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WriteResult {
    /// The directory accepted the change.
    Changed,
    /// There was nothing to change.
    AlreadyInState,
    /// The directory does not know the person.
    NotFoundUser,
    /// The directory does not know the group.
    NotFoundGroup,
    /// Membership of this group cannot be changed; the reason.
    GroupNotWritable(String),
    /// Accepted, but not in effect yet.
    Pending,
    /// Not applied; leave the whole directory alone for so long.
    RateLimited {
        /// How long to wait.
        retry_after: Duration,
    },
    /// Our credentials are refused or not enough; not applied.
    Auth(String),
    /// Certainly not applied; trying again may work.
    Transient(String),
    /// A time-out, a reset or a failure after sending: it may have been applied, now or later. Read back.
    Ambiguous(String),
    /// An answer this connector has no meaning for. Read back.
    Unknown(String),
}

impl fmt::Display for WriteResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Changed => f.write_str("The directory accepted the change."),
            Self::AlreadyInState => f.write_str("There was nothing to change in the directory."),
            Self::NotFoundUser => f.write_str("The directory does not know this person."),
            Self::NotFoundGroup => f.write_str("The directory does not know this group."),
            Self::GroupNotWritable(why) => write!(f, "The directory does not let this group be changed: {why}."),
            Self::Pending => f.write_str("The directory accepted the change, but it is not in effect yet."),
            Self::RateLimited { retry_after } => {
                write!(f, "The directory is busy and asks to wait {} s.", retry_after.as_secs().max(1))
            }
            Self::Auth(why) => write!(f, "The directory refuses our credentials: {why}."),
            Self::Transient(why) => write!(f, "The directory did not take the change: {why}."),
            Self::Ambiguous(why) => write!(f, "It is not certain whether the directory took the change: {why}."),
            Self::Unknown(why) => write!(f, "The directory gave an answer that cannot be used: {why}."),
        }
    }
}

/// What a test of the connection found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Whether people and groups can be read at all.
    pub works: bool,
    /// Sentences on what works, what is missing and what is done instead. One that begins with "Cannot" names what is missing.
    pub notes: Vec<String>,
}

impl Probe {
    /// Whether something is missing: a listing, or a permission.
    pub fn is_lacking(&self) -> bool {
        !self.works || self.notes.iter().any(|note| note.starts_with("Cannot "))
    }
}

/// Longest text taken over from a directory, in characters; the rest is cut off.
pub const MAX_TEXT: usize = 1024;

/// Makes a text from outside safe to keep: control characters (NUL would not fit into Postgres) become spaces, ends
/// are trimmed, and what is longer than [`MAX_TEXT`] is cut.
pub fn clean(text: &str) -> String {
    let tame: String = text.chars().take(MAX_TEXT).map(|c| if c.is_control() { ' ' } else { c }).collect();
    tame.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_outside_loses_what_postgres_and_pages_cannot_hold() {
        assert_eq!(clean(" Eve\0\r\nset-cookie: x "), "Eve   set-cookie: x");
        assert_eq!(clean(&"x".repeat(5_000)).len(), MAX_TEXT);
        assert_eq!(clean("Zoë Ünal"), "Zoë Ünal");
    }

    #[test]
    fn errors_are_sentences() {
        let busy = ReadError::RateLimited { retry_after: Duration::from_millis(200) };
        assert_eq!(busy.to_string(), "The directory is busy and asks to wait 1 s.");
        let two = ReadError::Several { attribute: "email".into(), value: "a@b".into() };
        assert_eq!(two.to_string(), "The directory has more than one record where email is “a@b”.");
    }
}
