//! What waits for one approver.

use chrono::{DateTime, Utc};
use sqlx::FromRow;
use uuid::Uuid;

use super::db::Db;
use super::error::StoreError;
use super::list_role::pattern;

/// A request that waits.
#[derive(Clone, Debug, FromRow)]
pub struct WaitingRow {
    /// The request.
    pub request_id: Uuid,
    /// The role.
    pub role_id: Uuid,
    /// The application.
    pub application_id: Uuid,
    /// Its name.
    pub application: String,
    /// The role's name.
    pub role: String,
    /// Its risk.
    pub risk: String,
    /// Who is to hold it.
    pub beneficiary: String,
    /// Their department.
    pub department: Option<String>,
    /// Who asked, when somebody else.
    pub requester: Option<String>,
    /// Seconds asked for; none: without end.
    pub duration_s: Option<i64>,
    /// Why.
    pub justification: Option<String>,
    /// Ticket.
    pub ticket_reference: Option<String>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When the viewer was asked.
    pub assigned_at: Option<DateTime<Utc>>,
    /// When the step times out.
    pub step_due_at: Option<DateTime<Utc>>,
    /// The open step.
    pub step_no: i32,
    /// How many there are.
    pub steps: i32,
    /// The word of the approver source that asked the viewer.
    pub source: String,
    /// The source for people.
    pub source_label: String,
    /// `self`, `delegate`, `escalation`, `reassigned` or `fallback`.
    pub acting_as: String,
    /// Name of whom the viewer stands in for, or who handed it on.
    pub acting_for: Option<String>,
    /// Whether a question waits for its answer.
    pub paused: bool,
    /// What an approval authorises.
    pub ask_digest: String,
    /// Whether a denial must give a reason.
    pub comment_to_deny: bool,
    /// The version that governs.
    pub policy_version_id: Option<Uuid>,
    /// Its name.
    pub policy: Option<String>,
    /// Its number.
    pub policy_version: Option<i32>,
    /// Whether it was asked for as an emergency.
    pub emergency: bool,
}

/// Narrows the queue.
#[derive(Clone, Debug, Default)]
pub struct WaitingFilter {
    /// All of these words somewhere in beneficiary, requester, role, application, reason or ticket.
    pub words: Vec<String>,
    /// Only this application.
    pub application: Option<Uuid>,
    /// Only this role.
    pub role: Option<Uuid>,
    /// Only this risk.
    pub risk: Option<String>,
    /// Only emergencies.
    pub emergency: bool,
    /// Only what times out before this.
    pub due_before: Option<DateTime<Utc>>,
    /// Only where the viewer stands in for somebody who is away.
    pub standing_in: bool,
}

/// Where a page of the queue begins, which also says how it is ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// The longest waiting first, after this request.
    Oldest(Option<Uuid>),
    /// What times out first, first, after this time (none: no limit) and request; what has no limit comes last.
    Due(Option<(Option<DateTime<Utc>>, Uuid)>),
}

// In two halves: planned as one, nine tables take Postgres longer to plan than to read.
macro_rules! waiting {
    ($after:literal, $order:literal, $outer:literal) => {
        concat!(
            "with w as materialized (
           select r.id, r.role_id, r.application_id, r.beneficiary_id, r.requester_id, r.policy_version_id, r.duration_s, r.justification, r.ticket_reference, r.created_at, w.assigned_at,
             r.step_due_at, w.step_no, r.steps, s.source, s.source_label, r.ask_digest, w.acting_as, w.acting_for, r.status = 'needs_info' as paused, r.emergency_reason is not null as emergency
           from assignment w join request r on r.id = w.request_id and r.step_no = w.step_no
           join request_slot s on s.request_id = w.request_id and s.step_no = w.step_no and s.slot_no = w.slot_no
           where w.person_id = $1 and w.open and ",
            $after,
            " and not exists (select 1 from assignment x where x.request_id = w.request_id and x.step_no = w.step_no and x.slot_no < w.slot_no and x.person_id = w.person_id and x.open)
             and ($2::uuid is null or r.application_id = $2) and ($7::uuid is null or r.role_id = $7) and (not $8 or r.emergency_reason is not null)
             and ($9::timestamptz is null or r.step_due_at < $9) and (not $10 or w.acting_as = 'delegate')
           order by ",
            $order,
            " limit case when $3::text is null and cardinality($4::text[]) = 0 then $6::bigint end
         )
         select w.id as request_id, w.role_id, w.application_id, a.name as application, o.name as role, o.risk, b.display_name as beneficiary, b.department,
           case when q.id <> b.id then q.display_name end as requester, w.duration_s, w.justification, w.ticket_reference, w.created_at, w.assigned_at, w.step_due_at,
           w.step_no, w.steps, w.source, w.source_label, w.ask_digest, w.acting_as, (select display_name from person where id = w.acting_for) as acting_for, w.paused, coalesce(v.comment_to_deny, true) as comment_to_deny,
           w.policy_version_id, v.name as policy, v.version as policy_version, w.emergency
         from w join role o on o.id = w.role_id join application a on a.id = w.application_id join person b on b.id = w.beneficiary_id join person q on q.id = w.requester_id
         left join access_policy_version v on v.id = w.policy_version_id
         where ($3::text is null or o.risk = $3)
           and (cardinality($4::text[]) = 0
             or lower(concat_ws(' ', b.display_name, q.display_name, b.department, a.name, o.name, w.justification, w.ticket_reference)) like all ($4))
         order by ",
            $outer,
            " limit $6"
        )
    };
}

/// Requests that wait for `person`, from there on, at most `limit`.
///
/// # Errors
/// When the database fails.
pub async fn waiting(db: &Db, person: Uuid, filter: &WaitingFilter, from: From, limit: i64) -> Result<Vec<WaitingRow>, StoreError> {
    let patterns: Vec<String> = filter.words.iter().map(|word| pattern(word)).collect();
    let (statement, after, due) = match from {
        From::Oldest(after) => (waiting!("($5::uuid is null or w.request_id > $5) and $11::timestamptz is null", "w.request_id", "w.id"), after, None),
        From::Due(after) => (
            waiting!(
                "($5::uuid is null or (coalesce(r.step_due_at, 'infinity'), w.request_id) > (coalesce($11::timestamptz, 'infinity'), $5))",
                "coalesce(r.step_due_at, 'infinity'), w.request_id",
                "coalesce(w.step_due_at, 'infinity'), w.id"
            ),
            after.map(|(_, id)| id),
            after.and_then(|(due, _)| due),
        ),
    };
    Ok(sqlx::query_as(statement)
        .bind(person)
        .bind(filter.application)
        .bind(&filter.risk)
        .bind(patterns)
        .bind(after)
        .bind(limit)
        .bind(filter.role)
        .bind(filter.emergency)
        .bind(filter.due_before)
        .bind(filter.standing_in)
        .bind(due)
        .fetch_all(&db.pool)
        .await?)
}

/// A role of which requests wait.
#[derive(Clone, Debug, FromRow)]
pub struct WaitingRole {
    /// The role.
    pub role_id: Uuid,
    /// Its name.
    pub role: String,
    /// The application.
    pub application_id: Uuid,
    /// Its name.
    pub application: String,
}

/// Roles of the requests that wait for `person`, by name. (Who it is stands behind a subquery, so that one plan serves all;
/// Postgres would otherwise plan for each, which takes longer than the reading.)
///
/// # Errors
/// When the database fails.
pub async fn roles(db: &Db, person: Uuid) -> Result<Vec<WaitingRole>, StoreError> {
    Ok(sqlx::query_as(
        "select o.id as role_id, o.name as role, a.id as application_id, a.name as application from role o join application a on a.id = o.application_id where o.id in (
           select r.role_id from assignment w join request r on r.id = w.request_id where w.person_id = (select $1::uuid) and w.open
         ) order by a.name, a.id, o.name, o.id",
    )
    .bind(person)
    .fetch_all(&db.pool)
    .await?)
}

/// A request that was picked to be answered together with others.
#[derive(Clone, Debug, FromRow)]
pub struct PickedRow {
    /// The request.
    pub id: Uuid,
    /// For whom.
    pub beneficiary: String,
    /// The role.
    pub role_id: Uuid,
    /// Its name.
    pub role: String,
    /// The application's name.
    pub application: String,
    /// The version that governs.
    pub policy_version_id: Option<Uuid>,
    /// Its name.
    pub policy: Option<String>,
    /// Its number.
    pub policy_version: Option<i32>,
    /// What an approval authorises.
    pub ask_digest: String,
}

/// Those of `requests` that `person` was asked about, or made, or is to hold.
///
/// # Errors
/// When the database fails.
pub async fn picked(db: &Db, person: Uuid, requests: &[Uuid]) -> Result<Vec<PickedRow>, StoreError> {
    Ok(sqlx::query_as(
        "select r.id, b.display_name as beneficiary, r.role_id, o.name as role, a.name as application, r.policy_version_id, v.name as policy, v.version as policy_version, r.ask_digest
         from request r join person b on b.id = r.beneficiary_id join role o on o.id = r.role_id join application a on a.id = r.application_id
         left join access_policy_version v on v.id = r.policy_version_id
         where r.id = any($2) and ($1 in (r.requester_id, r.beneficiary_id)
           or exists (select 1 from assignment w where w.request_id = r.id and w.person_id = $1 and w.assigned_at is not null))",
    )
    .bind(person)
    .bind(requests)
    .fetch_all(&db.pool)
    .await?)
}
