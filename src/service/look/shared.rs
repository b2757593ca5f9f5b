//! Row types that more than one page shows.
//!
//! States travel as the words the database keeps (`pending`, `idp_group`, `critical`); `web::view` gives them their
//! label and colour. Lengths of time are whole seconds. Moments are UTC.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::service::error::ServiceError;

/// Where the next page of a list begins: opaque to a page, made and read by the store (keyset, never an offset).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor(pub String);

impl Cursor {
    /// A cursor that begins after the row with this id.
    pub fn after(id: Uuid) -> Self {
        Self(id.simple().to_string())
    }

    /// The id of the row it begins after.
    ///
    /// # Errors
    /// [`ServiceError::Missing`] when it is none of ours: there is no such page.
    pub fn id(&self) -> Result<Uuid, ServiceError> {
        Uuid::parse_str(&self.0).map_err(|_| ServiceError::Missing)
    }
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// One page of a list.
#[derive(Clone, Debug)]
pub struct Listing<T> {
    /// The rows, in the order the page shows them.
    pub rows: Vec<T>,
    /// Where the rows after these begin; `None` when these are the last.
    pub next: Option<Cursor>,
}

impl<T> Listing<T> {
    /// A list that holds all there is.
    pub fn whole(rows: Vec<T>) -> Self {
        Self { rows, next: None }
    }

    /// The first `limit` of `rows`, which are one more when others follow; `id` names a row.
    pub fn cut(mut rows: Vec<T>, limit: usize, id: impl Fn(&T) -> Uuid) -> Self {
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next = rows.last().filter(|_| more).map(|last| Cursor::after(id(last)));
        Self { rows, next }
    }
}

/// A person as a page names one.
#[derive(Clone, Debug)]
pub struct Person {
    /// The person's id.
    pub id: Uuid,
    /// Display name as the directory has it.
    pub name: String,
    /// Job title, when the directory has one.
    pub title: Option<String>,
    /// Department, when the directory has one.
    pub department: Option<String>,
}

/// A role as every page names one.
#[derive(Clone, Debug)]
pub struct RoleName {
    /// The role's id.
    pub id: Uuid,
    /// The application that has the role.
    pub application: String,
    /// The role's name.
    pub role: String,
    /// `low`, `elevated` or `critical`.
    pub risk: String,
}

/// A policy version as every page names one.
#[derive(Clone, Debug)]
pub struct PolicyName {
    /// The id of the policy.
    pub id: Uuid,
    /// Its name.
    pub name: String,
    /// The version, from 1.
    pub version: i32,
}

/// How a person stands towards a role.
#[derive(Clone, Debug)]
pub enum Standing {
    /// May ask for it now.
    MayAsk,
    /// Holds it.
    Holds {
        /// The lease.
        grant: Uuid,
        /// When it ends; `None` for no end.
        until: Option<DateTime<Utc>>,
        /// Whether an extension may be asked for now.
        may_extend: bool,
        /// Whether it was taken as an emergency.
        emergency: bool,
    },
    /// Has asked and is waiting.
    Requested {
        /// The open request.
        request: Uuid,
        /// When it was asked.
        since: DateTime<Utc>,
    },
    /// The directory does not answer, so it cannot be said.
    Unknown,
    /// May not have it.
    MayNot {
        /// The sentence that says why, and what would change it.
        reason: String,
    },
}

/// A role on a card or in the catalog's list, with how the viewer stands towards it.
#[derive(Clone, Debug)]
pub struct RoleCard {
    /// The role.
    pub role: RoleName,
    /// What the role lets one do, in a sentence or two.
    pub about: String,
    /// The usual length, in words of seconds; what a click on Ask would fill in.
    pub usual_s: Option<i64>,
    /// Who decides, in a few words (`your manager, then the owner`); `None` when it is automatic.
    pub decided_by: Option<String>,
    /// How the viewer stands towards it.
    pub standing: Standing,
}

/// A slot of a step that has not begun: who would be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedSlot {
    /// How many approvals it needs.
    pub needed: i32,
    /// The approver source in words (`your manager`, `members of DBAs`).
    pub source: String,
    /// Who that is now, at most a handful.
    pub people: Vec<PlannedApprover>,
    /// How many more there are than `people` lists.
    pub more: i64,
}

/// A person who would be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedApprover {
    /// The name.
    pub name: String,
    /// What else there is to know (`away until 3 Dec, Cy Okafor stands in`).
    pub note: Option<String>,
}

/// A step that has not begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedStep {
    /// Its number, from 1.
    pub no: i32,
    /// Its name.
    pub name: String,
    /// All must be filled.
    pub slots: Vec<PlannedSlot>,
    /// How long the people have before the policy moves on.
    pub limit_s: Option<i64>,
    /// What happens then, in words (`the request times out`).
    pub after_limit: Option<String>,
    /// The usual wait (median of the last 90 days), when there is enough to say.
    pub usual_s: Option<i64>,
    /// What else its procedure says of it, each a sentence.
    pub details: Vec<String>,
}

/// A request in a list.
#[derive(Clone, Debug)]
pub struct RequestRow {
    /// The request's id.
    pub id: Uuid,
    /// The role asked for.
    pub role: RoleName,
    /// Who is to hold it.
    pub beneficiary: String,
    /// The request's status word.
    pub status: String,
    /// The delivery's status word, once there is a grant.
    pub delivery: Option<String>,
    /// When it was asked.
    pub requested_at: DateTime<Utc>,
    /// The length asked for; `None` for no end.
    pub requested_s: Option<i64>,
    /// Who it waits for (`Dana Ruiz, step 1 of 2`).
    pub waits_for: Option<String>,
    /// Since when it waits for them.
    pub waits_since: Option<DateTime<Utc>>,
    /// Whether it began, or was to begin, before anybody was asked.
    pub emergency: bool,
}

/// A lease in a list.
#[derive(Clone, Debug)]
pub struct AccessRow {
    /// The grant's id.
    pub id: Uuid,
    /// The request it came from.
    pub request: Uuid,
    /// The role held.
    pub role: RoleName,
    /// The delivery's status word.
    pub status: String,
    /// When access begins or began.
    pub starts_at: DateTime<Utc>,
    /// When it ends; `None` for no end.
    pub ends_at: Option<DateTime<Utc>>,
    /// When it did end.
    pub ended_at: Option<DateTime<Utc>>,
    /// Why it ended.
    pub end_reason: Option<String>,
    /// Whether the holder said it works.
    pub confirmed: Option<bool>,
    /// Whether it began before anybody was asked.
    pub emergency: bool,
    /// What the viewer may do with it.
    pub can: CanGrant,
}

/// What a viewer may do with a grant, from the same functions that the acts run.
#[derive(Clone, Copy, Debug, Default)]
pub struct CanGrant {
    /// Give it back.
    pub give_back: bool,
    /// Ask for more time.
    pub extend: bool,
    /// End somebody else's.
    pub revoke: bool,
    /// Say whether it works.
    pub confirm: bool,
}

/// An event as a page tells it.
#[derive(Clone, Debug)]
pub struct EventRow {
    /// The event's number in the log.
    pub id: i64,
    /// When it happened.
    pub at: DateTime<Utc>,
    /// The event's kind, as the log and the CSV have it (`request.approved`).
    pub kind: String,
    /// Who did it: a person, `Countersign`, or a token's name.
    pub actor: String,
    /// For whom they acted, when for another.
    pub acting_for: Option<String>,
    /// `web`, `api`, `cli`, `system`.
    pub channel: String,
    /// What happened, as a sentence without the actor.
    pub sentence: String,
    /// The request it is about.
    pub request: Option<Uuid>,
    /// The person it is about.
    pub person: Option<String>,
    /// The application it is about.
    pub application: Option<String>,
    /// The role it is about.
    pub role: Option<String>,
    /// Whether it is about a request that was made as an emergency.
    pub emergency: bool,
}

/// A choice in a filter's list.
#[derive(Clone, Debug)]
pub struct Choice {
    /// What the form sends.
    pub value: String,
    /// What the page shows.
    pub label: String,
}
