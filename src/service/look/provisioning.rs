//! What the Provisioning page shows.

use chrono::{DateTime, Duration, Utc};
use uuid::Uuid;

use crate::domain::event::Fact;
use crate::service::ctx::{By, Ctx};
use crate::service::error::ServiceError;
use crate::store::look_log::{self, Lanes, LogRow, Narrow, Turn};
use crate::store::{doctor, look_provisioning};

use super::shared::{Cursor, Listing};

/// How many groups and how many tries a page has.
const PAGE: usize = 25;
/// How many failing memberships are shown.
const FAILING: i64 = 100;
/// A removal that is owed for longer is late.
const LATE: Duration = Duration::minutes(2);
/// Kinds of events that tell of a try.
const TRIES: [&str; 5] = ["grant.provisioned", "grant.attempt_failed", "grant.activated", "grant.failed", "grant.ended"];

/// What is wanted, what is so, and what was tried.
#[derive(Clone, Debug)]
pub struct Provisioning {
    /// When all groups were last compared with the leases.
    pub last_run_at: Option<DateTime<Utc>>,
    /// Memberships that wait for their turn.
    pub waiting: i64,
    /// Memberships that should be gone and have been for more than 2 minutes.
    pub late: i64,
    /// Memberships that keep failing, removals first, then longest first.
    pub failing: Vec<FailingRow>,
    /// The groups that roles are given by, by name.
    pub targets: Listing<TargetRow>,
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
    pub since: Option<DateTime<Utc>>,
    /// Failures in a row.
    pub attempts: i32,
    /// What the last try was told.
    pub last_error: String,
    /// When the next try is.
    pub next_try_at: Option<DateTime<Utc>>,
    /// The request it came from.
    pub request: Option<Uuid>,
    /// Whether that was an emergency.
    pub emergency: bool,
}

/// A group that roles are given by.
#[derive(Clone, Debug)]
pub struct TargetRow {
    /// A role that it gives.
    pub role_id: Uuid,
    /// That role's name, with its application's.
    pub role: String,
    /// Its name at its place (`orders-ro`).
    pub name: String,
    /// Where: the directory's key.
    pub place: String,
    /// The provisioning method.
    pub method: String,
    /// Memberships wanted.
    pub wanted: i64,
    /// Of the memberships known here, those last seen there.
    pub seen: i64,
    /// Wanted and not there, or there and not wanted.
    pub differing: i64,
    /// Members that no lease explains, and the like.
    pub drifts: i64,
    /// When one of them was last looked at.
    pub checked_at: Option<DateTime<Utc>>,
}

/// One try.
#[derive(Clone, Debug)]
pub struct AttemptRow {
    /// When it ended.
    pub at: DateTime<Utc>,
    /// `add`, `remove` or `verify`.
    pub action: String,
    /// Whose membership.
    pub person: String,
    /// The role it is for, with its application.
    pub target: String,
    /// `done`, `retry` or `failed`.
    pub result: &'static str,
    /// What the directory said.
    pub detail: String,
    /// The request it came from.
    pub request: Option<Uuid>,
    /// Whether that was an emergency.
    pub emergency: bool,
}

/// What is owed to the directories and how it goes, for auditors and administrators. `after` goes on in the groups, `before` in the
/// tries.
///
/// # Errors
/// [`ServiceError::Missing`] for anybody else, and for a cursor that is none of ours.
pub async fn provisioning(ctx: &Ctx, by: &By, after: Option<&Cursor>, before: Option<&Cursor>) -> Result<Provisioning, ServiceError> {
    if !by.reads_everything() {
        return Err(ServiceError::Missing);
    }
    let now = ctx.clock.now();
    let after = after.map(Cursor::id).transpose()?;
    let turn = match before {
        Some(cursor) => Turn::Before(cursor.0.parse().map_err(|_| ServiceError::Missing)?),
        None => Turn::Newest,
    };
    let kinds: Vec<String> = TRIES.map(String::from).to_vec();
    let narrow = Narrow { kinds: Some(kinds.clone()), ..Narrow::default() };
    let lanes = [Lanes { kinds, ..Lanes::default() }];
    let (owed, failing, groups, tries, timetable) = tokio::try_join!(
        look_provisioning::owed(&ctx.db, now, now - LATE),
        look_provisioning::failing(&ctx.db, FAILING),
        look_provisioning::groups(&ctx.db, after, PAGE as i64 + 1),
        look_log::page(&ctx.db, &lanes, &narrow, turn, PAGE as i64),
        doctor::timetable(&ctx.db, now),
    )?;
    let targets = Listing::cut(groups, PAGE, |group| group.role_id);
    Ok(Provisioning {
        last_run_at: timetable.iter().filter(|entry| entry.name.starts_with("sweep:")).filter_map(|entry| entry.last_ok_at).max(),
        waiting: owed.waiting,
        late: owed.late,
        failing: failing.into_iter().map(failing_row).collect(),
        targets: Listing { rows: targets.rows.into_iter().map(target).collect(), next: targets.next },
        attempts: Listing { rows: tries.rows.into_iter().map(attempt).collect(), next: tries.older.map(|id| Cursor(id.to_string())) },
    })
}

fn failing_row(row: look_provisioning::FailingRow) -> FailingRow {
    FailingRow {
        id: row.id,
        action: if row.wanted { "add" } else { "remove" }.into(),
        person: row.person,
        target: format!("{} in {}", row.group_name, row.directory),
        since: row.owed_since,
        attempts: row.fails,
        last_error: row.last_error,
        next_try_at: row.next_at,
        request: row.request_id,
        emergency: row.emergency,
    }
}

fn target(row: look_provisioning::GroupRow) -> TargetRow {
    TargetRow {
        role_id: row.role_id,
        role: row.role,
        name: row.group_name,
        place: row.directory,
        method: row.method,
        wanted: row.wanted,
        seen: row.seen,
        differing: row.differing,
        drifts: row.drifts,
        checked_at: row.seen_at,
    }
}

fn attempt(row: LogRow) -> AttemptRow {
    let fact = serde_json::from_value::<Fact>(serde_json::json!({ "kind": row.kind, "data": row.data }));
    let (action, result, detail) = match fact {
        Ok(Fact::Provisioned { result, .. }) => ("add", "done", result),
        Ok(Fact::AttemptFailed { action, error, .. }) => (if action == "remove" { "remove" } else { "add" }, "retry", error),
        Ok(Fact::GrantFailed { error }) => ("add", "failed", error),
        Ok(fact @ Fact::GrantActivated { .. }) => ("verify", "done", capital(&fact.story())),
        Ok(fact @ Fact::GrantEnded { .. }) => ("remove", "done", capital(&fact.story())),
        _ => ("verify", "done", row.kind.clone()),
    };
    let target = match (row.application, row.role) {
        (Some(application), Some(role)) => format!("{application}: {role}"),
        _ => String::new(),
    };
    AttemptRow {
        at: row.occurred_at,
        action: action.into(),
        person: row.person.unwrap_or_default(),
        target,
        result,
        detail,
        request: row.request_id,
        emergency: row.emergency,
    }
}

fn capital(text: &str) -> String {
    super::steps::capital(text)
}
