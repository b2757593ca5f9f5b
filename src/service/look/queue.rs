//! What the Queue shows.

use std::collections::HashMap;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use uuid::Uuid;

use crate::service::ctx::{By, Ctx};
use crate::service::error::ServiceError;
use crate::store::emergency::{self, OwedRow};
use crate::store::look_queue::{self, From, WaitingFilter, WaitingRole, WaitingRow};

use super::catalog::words;
use super::shared::{Choice, Cursor, Listing, RoleName};
use super::{request, seen};

/// What counts as due soon.
const SOON: TimeDelta = TimeDelta::hours(24);

/// What the queue is narrowed to, and how it is ordered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueFilter {
    /// Words, as typed.
    pub q: String,
    /// An application's id, or nothing for all.
    pub application: String,
    /// A role's id, or nothing for all.
    pub role: String,
    /// A risk word, or nothing for all.
    pub risk: String,
    /// Only emergencies.
    pub emergency: bool,
    /// Only what is due within a day.
    pub soon: bool,
    /// Only where the viewer stands in for somebody who is away.
    pub standing_in: bool,
    /// What is due first comes first, instead of what waits longest.
    pub by_due: bool,
    /// Many to a page, to answer them together.
    pub many: bool,
}

impl QueueFilter {
    /// Whether anything is narrowed.
    pub fn any(&self) -> bool {
        !(self.q.is_empty() && self.application.is_empty() && self.role.is_empty() && self.risk.is_empty()) || self.emergency || self.soon || self.standing_in
    }

    /// How many rows a page has.
    pub fn page(&self) -> usize {
        if self.many { MANY } else { PAGE }
    }
}

/// Requests that wait for the viewer.
#[derive(Clone, Debug)]
pub struct Queue {
    /// What it is narrowed to.
    pub filter: QueueFilter,
    /// The applications to choose from.
    pub applications: Vec<Choice>,
    /// The roles to choose from, of the chosen application if one is.
    pub roles: Vec<Choice>,
    /// Reviews of emergencies that the viewer may make, what is due first first; on the first page, narrowed or not.
    pub reviews: Vec<OwedReview>,
    /// How many wait in all, narrowed or not.
    pub total: i64,
    /// The requests, longest waiting first.
    pub rows: Listing<QueueRow>,
}

/// A review of an emergency that is owed.
#[derive(Clone, Debug)]
pub struct OwedReview {
    /// The emergency.
    pub request: Uuid,
    /// The role that was taken.
    pub role: RoleName,
    /// Who took it.
    pub beneficiary: String,
    /// Why it could not wait.
    pub reason: String,
    /// When it was taken.
    pub taken_at: DateTime<Utc>,
    /// By when the review is owed.
    pub due_at: DateTime<Utc>,
    /// Whether it is overdue.
    pub overdue: bool,
    /// Whether the viewer stands in for people who have all left.
    pub stands_in: bool,
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
    /// Whether it waits for the answer to a question: it can be denied, not approved.
    pub paused: bool,
    /// How many people of the same department hold the role, of how many.
    pub peers: Option<(i64, i64)>,
    /// What approval authorises; sent back with the answer.
    pub digest: String,
    /// Whether approving needs a comment, and so the card.
    pub approve_needs_comment: bool,
    /// Whether denying needs a reason.
    pub deny_needs_reason: bool,
    /// The policy that governs, with its version (`Standard access version 3`).
    pub policy: String,
    /// The same for all rows that can be answered together: one role, one policy version.
    pub group: String,
    /// How many rows of this page are of that group, this one included.
    pub alike: usize,
    /// Whether it was asked for as an emergency.
    pub emergency: bool,
}

/// Most reviews of emergencies that are shown.
const REVIEWS: i64 = 50;
/// Requests of a page.
const PAGE: usize = 25;
/// Requests of a page that shows many.
const MANY: usize = 200;

/// The roles of `rows`, by application and name; none to choose from when only one request waits.
fn roles_among(rows: &[WaitingRow]) -> Vec<WaitingRole> {
    if rows.len() < 2 {
        return vec![];
    }
    let role = |row: &WaitingRow| WaitingRole {
        role_id: row.role_id,
        role: row.role.clone(),
        application_id: row.application_id,
        application: row.application.clone(),
    };
    let mut roles: Vec<WaitingRole> = rows.iter().map(role).collect();
    roles.sort_by(|a, b| (&a.application, a.application_id, &a.role, a.role_id).cmp(&(&b.application, b.application_id, &b.role, b.role_id)));
    roles.dedup_by_key(|role| role.role_id);
    roles
}

/// What waits for `by`, narrowed, after a cursor. `total` is how many wait in all.
///
/// # Errors
/// [`ServiceError::Missing`] for a cursor that is none; when the database fails.
pub async fn queue(ctx: &Ctx, by: &By, filter: QueueFilter, total: i64, after: Option<&Cursor>) -> Result<Queue, ServiceError> {
    let now = ctx.clock.now();
    let id = |text: &str| (!text.is_empty()).then(|| text.parse().unwrap_or(Uuid::nil()));
    let narrowed = WaitingFilter {
        words: words(&filter.q),
        application: id(&filter.application),
        role: id(&filter.role),
        risk: Some(filter.risk.clone()).filter(|risk| !risk.is_empty()),
        emergency: filter.emergency,
        due_before: filter.soon.then(|| now + SOON),
        standing_in: filter.standing_in,
    };
    let from = match (filter.by_due, after) {
        (false, after) => From::Oldest(after.map(Cursor::id).transpose()?),
        (true, after) => From::Due(after.map(due_of).transpose()?),
    };
    let size = filter.page();
    // What is all on this page says itself which roles there are to choose from.
    let whole = !filter.any() && after.is_none() && total <= size as i64;
    let (mut found, roles, reviews) = tokio::try_join!(
        look_queue::waiting(&ctx.db, by.person.0, &narrowed, from, size as i64 + 1),
        async {
            // Nor is there anything to choose from when there is one request.
            if whole || total < 2 { Ok(vec![]) } else { look_queue::roles(&ctx.db, by.person.0).await }
        },
        async { if after.is_none() { emergency::owed_by(&ctx.db, by.person, by.is_administrator, REVIEWS).await } else { Ok(vec![]) } }
    )?;
    let roles = if whole { roles_among(&found) } else { roles };
    let more = found.len() > size;
    found.truncate(size);
    let next = found.last().filter(|_| more).map(|last| if filter.by_due { due_cursor(last) } else { Cursor::after(last.request_id) });
    let departments: Vec<String> = found.iter().filter_map(|row| row.department.clone()).collect();
    let peers = seen::peers(ctx, &departments).await?;
    let mut groups: HashMap<String, usize> = HashMap::new();
    for row in &found {
        *groups.entry(group(row)).or_default() += 1;
    }
    let rows = found.into_iter().map(|row| {
        let held = row.department.as_ref().and_then(|d| peers.get(d)).and_then(|peers| peers.of(row.role_id));
        let alike = groups.get(&group(&row)).copied().unwrap_or_default();
        row_of(row, held, alike)
    });
    Ok(Queue {
        applications: applications(&roles),
        roles: roles_of(&roles, &filter.application),
        filter,
        total,
        reviews: reviews.into_iter().map(|row| owed(row, now)).collect(),
        rows: Listing { rows: rows.collect(), next },
    })
}

fn owed(row: OwedRow, now: DateTime<Utc>) -> OwedReview {
    OwedReview {
        request: row.request_id,
        role: RoleName { id: row.role_id, application: row.application, role: row.role, risk: row.risk },
        beneficiary: row.beneficiary,
        reason: row.reason,
        taken_at: row.created_at,
        due_at: row.due_at,
        overdue: row.due_at <= now,
        stands_in: row.stands_in,
    }
}

fn row_of(row: WaitingRow, peers: Option<(i64, i64)>, alike: usize) -> QueueRow {
    QueueRow {
        group: group(&row),
        alike,
        policy: match (&row.policy, row.policy_version) {
            (Some(name), Some(version)) => format!("{name} version {version}"),
            _ => String::new(),
        },
        emergency: row.emergency,
        request: row.request_id,
        peers,
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
        why_you: request::why_instead(&row.acting_as, row.acting_for.as_deref()).unwrap_or_else(|| request::why_you(&row.source, &row.source_label, None)),
        paused: row.paused,
        digest: row.ask_digest,
        approve_needs_comment: false,
        deny_needs_reason: row.comment_to_deny,
    }
}

/// The same word for all that can be answered together.
fn group(row: &WaitingRow) -> String {
    format!("{}.{}", row.role_id.simple(), row.policy_version_id.unwrap_or_default().simple())
}

fn applications(roles: &[WaitingRole]) -> Vec<Choice> {
    let mut choices: Vec<Choice> = roles.iter().map(|role| Choice { value: role.application_id.to_string(), label: role.application.clone() }).collect();
    choices.dedup_by(|a, b| a.value == b.value);
    choices
}

fn roles_of(roles: &[WaitingRole], application: &str) -> Vec<Choice> {
    let chosen = roles.iter().filter(|role| application.is_empty() || role.application_id.to_string() == application);
    let label = |role: &WaitingRole| if application.is_empty() { format!("{} {}", role.application, role.role) } else { role.role.clone() };
    chosen.map(|role| Choice { value: role.role_id.to_string(), label: label(role) }).collect()
}

/// The cursor of a list that is ordered by what is due first: time (or `-`) and request.
fn due_cursor(row: &WaitingRow) -> Cursor {
    let due = row.step_due_at.map_or_else(|| "-".to_owned(), |due| due.to_rfc3339_opts(SecondsFormat::Micros, true));
    Cursor(format!("{due}_{}", row.request_id.simple()))
}

fn due_of(cursor: &Cursor) -> Result<(Option<DateTime<Utc>>, Uuid), ServiceError> {
    let (due, id) = cursor.0.split_once('_').ok_or(ServiceError::Missing)?;
    let due = match due {
        "-" => None,
        text => Some(DateTime::parse_from_rfc3339(text).map_err(|_| ServiceError::Missing)?.to_utc()),
    };
    Ok((due, Uuid::parse_str(id).map_err(|_| ServiceError::Missing)?))
}
