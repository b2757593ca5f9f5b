//! Requests as lists and in full, for permitted eyes.
//!
//! Who sees a request: its requester and beneficiary, whoever was asked to decide, the owners of its role and application, and
//! who reads everything.

use chrono::{DateTime, Utc};
use sqlx::FromRow;
use uuid::Uuid;

use super::db::Db;
use super::error::StoreError;

/// A request with its names and what came of it.
#[derive(Clone, Debug, FromRow)]
pub struct RequestListed {
    /// Its id.
    pub id: Uuid,
    /// Who asked.
    pub requester_id: Uuid,
    /// Their name.
    pub requester: String,
    /// For whom.
    pub beneficiary_id: Uuid,
    /// Their name.
    pub beneficiary: String,
    /// The application.
    pub application_id: Uuid,
    /// Its name.
    pub application: String,
    /// The role.
    pub role_id: Uuid,
    /// Its name.
    pub role: String,
    /// Its risk.
    pub risk: String,
    /// Where it stands.
    pub status: String,
    /// The open step, counted from 1.
    pub step_no: Option<i32>,
    /// How many steps there are.
    pub steps: i32,
    /// When the open step times out.
    pub step_due_at: Option<DateTime<Utc>>,
    /// What the policy said.
    pub decision: String,
    /// By which rule.
    pub deciding_rule: String,
    /// Key of the policy that governs.
    pub policy: Option<String>,
    /// Its version.
    pub policy_version: Option<i32>,
    /// Why.
    pub justification: Option<String>,
    /// Ticket.
    pub ticket_reference: Option<String>,
    /// Asked for, in seconds; none: without end.
    pub duration_s: Option<i64>,
    /// The shortest an approver chose, in seconds.
    pub granted_s: Option<i64>,
    /// A start that lay ahead.
    pub wanted_start: Option<DateTime<Utc>>,
    /// The lease it extends.
    pub extension_of: Option<Uuid>,
    /// Whether access began, or was to begin, before anybody was asked.
    pub emergency: bool,
    /// Through which door.
    pub channel: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was settled.
    pub closed_at: Option<DateTime<Utc>>,
    /// The lease it led to.
    pub grant_id: Option<Uuid>,
    /// How far that has come.
    pub grant_status: Option<String>,
}

/// Narrows a list of requests.
#[derive(Clone, Debug, Default)]
pub struct RequestFilter {
    /// Only with this status.
    pub status: Option<String>,
    /// Only for this role.
    pub role: Option<Uuid>,
    /// Only for this application.
    pub application: Option<Uuid>,
    /// Only for this person.
    pub beneficiary: Option<Uuid>,
    /// Only those that wait for this person's decision.
    pub waiting_for: Option<Uuid>,
}

/// The columns of [`RequestListed`], with the rest of the statement.
macro_rules! requests {
    ($where:literal, $rest:literal) => {
        concat!(
            "select r.id, r.requester_id, q.display_name as requester, r.beneficiary_id, b.display_name as beneficiary, r.application_id, a.name as application, r.role_id, o.name as role, o.risk, ",
            "r.status, r.step_no, r.steps, r.step_due_at, r.decision, r.deciding_rule, p.key as policy, v.version as policy_version, r.justification, r.ticket_reference, r.duration_s, r.granted_s, ",
            "r.wanted_start, r.extension_of, r.emergency_reason is not null as emergency, r.channel, r.created_at, r.closed_at, g.id as grant_id, g.status as grant_status ",
            "from request r join person q on q.id = r.requester_id join person b on b.id = r.beneficiary_id join application a on a.id = r.application_id join role o on o.id = r.role_id ",
            "left join access_policy_version v on v.id = r.policy_version_id left join access_policy p on p.id = v.policy_id left join access_grant g on g.request_id = r.id ",
            $where,
            $rest
        )
    };
}

/// Requests that `viewer` may see, newest first, after the request `after`, at most `limit`. No viewer: every request.
///
/// # Errors
/// When the database fails.
pub async fn list(db: &Db, viewer: Option<Uuid>, filter: &RequestFilter, after: Option<Uuid>, limit: i64) -> Result<Vec<RequestListed>, StoreError> {
    let statement = match viewer {
        None => requests!(
            "where $1::uuid is null ",
            "and ($2::text is null or r.status = $2) and ($3::uuid is null or r.role_id = $3) and ($4::uuid is null or r.application_id = $4) and ($5::uuid is null or r.beneficiary_id = $5)
             and ($6::uuid is null or exists (select 1 from assignment w where w.request_id = r.id and w.person_id = $6 and w.open))
             and ($7::uuid is null or r.id < $7) order by r.id desc limit $8"
        ),
        Some(_) => requests!(
            "where r.id in (select id from request where beneficiary_id = $1 union all select id from request where requester_id = $1
               union all select request_id from assignment where person_id = $1 and assigned_at is not null
               union all select request_id from emergency_reviewer where person_id = $1
               union all select s.id from request s join role u on u.id = s.role_id join application y on y.id = u.application_id where u.owner_id = $1 or y.owner_id = $1) ",
            "and ($2::text is null or r.status = $2) and ($3::uuid is null or r.role_id = $3) and ($4::uuid is null or r.application_id = $4) and ($5::uuid is null or r.beneficiary_id = $5)
             and ($6::uuid is null or exists (select 1 from assignment w where w.request_id = r.id and w.person_id = $6 and w.open))
             and ($7::uuid is null or r.id < $7) order by r.id desc limit $8"
        ),
    };
    Ok(sqlx::query_as(statement)
        .bind(viewer)
        .bind(&filter.status)
        .bind(filter.role)
        .bind(filter.application)
        .bind(filter.beneficiary)
        .bind(filter.waiting_for)
        .bind(after)
        .bind(limit)
        .fetch_all(&db.pool)
        .await?)
}

/// The request, if `viewer` may see it. No viewer: whoever asks may.
///
/// # Errors
/// When the database fails.
pub async fn by_id(db: &Db, viewer: Option<Uuid>, id: Uuid) -> Result<Option<RequestListed>, StoreError> {
    Ok(sqlx::query_as(requests!(
        "where r.id = $1 ",
        "and ($2::uuid is null or r.beneficiary_id = $2 or r.requester_id = $2 or o.owner_id = $2 or a.owner_id = $2
           or exists (select 1 from assignment w where w.request_id = r.id and w.person_id = $2 and w.assigned_at is not null)
           or exists (select 1 from emergency_reviewer w where w.request_id = r.id and w.person_id = $2))"
    ))
    .bind(id)
    .bind(viewer)
    .fetch_optional(&db.pool)
    .await?)
}

/// The trace of a request as it was stored: JSON.
///
/// # Errors
/// When the database fails.
pub async fn trace(db: &Db, id: Uuid) -> Result<Option<String>, StoreError> {
    Ok(sqlx::query_scalar("select trace from request where id = $1").bind(id).fetch_optional(&db.pool).await?)
}

/// One person asked at one slot of one step, with what they said.
#[derive(Clone, Debug, FromRow)]
pub struct AskedListed {
    /// Counted from 1.
    pub step_no: i32,
    /// The step's name.
    pub step: String,
    /// When it opened.
    pub opened_at: Option<DateTime<Utc>>,
    /// When it was done.
    pub done_at: Option<DateTime<Utc>>,
    /// Counted from 1.
    pub slot_no: i32,
    /// How many approvals the slot needs.
    pub approvals: i32,
    /// Where its approvers come from, for people.
    pub source: String,
    /// Who was, or will be, asked.
    pub person_id: Option<Uuid>,
    /// Their name.
    pub person: Option<String>,
    /// `self`, `delegate`, `escalation`, `reassigned` or `fallback`.
    pub acting_as: Option<String>,
    /// Of a delegate: who is away; of whoever a place was handed on to: whose it was.
    pub acting_for: Option<Uuid>,
    /// When they could no longer answer.
    pub ended_at: Option<DateTime<Utc>>,
    /// When they first opened the request.
    pub first_viewed_at: Option<DateTime<Utc>>,
    /// `approve` or `deny`.
    pub verdict: Option<String>,
    /// What they wrote.
    pub comment: Option<String>,
    /// The duration they chose, in seconds.
    pub granted_s: Option<i64>,
    /// When they decided.
    pub decided_at: Option<DateTime<Utc>>,
}

/// Everybody asked about a request, by step, slot and name.
///
/// # Errors
/// When the database fails.
pub async fn asked(db: &Db, id: Uuid) -> Result<Vec<AskedListed>, StoreError> {
    Ok(sqlx::query_as(
        "select t.step_no, t.name as step, t.opened_at, t.done_at, s.slot_no, s.approvals, s.source_label as source, w.person_id, n.display_name as person, w.acting_as, w.acting_for, w.ended_at, w.first_viewed_at,
           d.verdict, d.comment, d.granted_s, d.decided_at
         from request_step t join request_slot s on s.request_id = t.request_id and s.step_no = t.step_no
         left join assignment w on w.request_id = s.request_id and w.step_no = s.step_no and w.slot_no = s.slot_no
         left join person n on n.id = w.person_id
         left join approval d on d.request_id = w.request_id and d.step_no = w.step_no and d.slot_no = w.slot_no and d.decided_by = w.person_id
         where t.request_id = $1 order by t.step_no, s.slot_no, n.display_name, n.id",
    )
    .bind(id)
    .fetch_all(&db.pool)
    .await?)
}
