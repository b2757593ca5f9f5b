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
    /// What an approval authorises.
    pub ask_digest: String,
    /// Whether a denial must give a reason.
    pub comment_to_deny: bool,
}

/// Narrows the queue.
#[derive(Clone, Debug, Default)]
pub struct WaitingFilter {
    /// All of these words somewhere in person, role, application, reason or ticket.
    pub words: Vec<String>,
    /// Only this application.
    pub application: Option<Uuid>,
    /// Only this risk.
    pub risk: Option<String>,
}

/// Requests that wait for `person`, oldest first, after the request `after`, at most `limit`.
///
/// # Errors
/// When the database fails.
pub async fn waiting(db: &Db, person: Uuid, filter: &WaitingFilter, after: Option<Uuid>, limit: i64) -> Result<Vec<WaitingRow>, StoreError> {
    let patterns: Vec<String> = filter.words.iter().map(|word| pattern(word)).collect();
    Ok(sqlx::query_as(
        // In two halves: planned as one, nine tables take Postgres longer to plan than to read.
        "with w as materialized (
           select r.id, r.role_id, r.application_id, r.beneficiary_id, r.requester_id, r.policy_version_id, r.duration_s, r.justification, r.ticket_reference, r.created_at, w.assigned_at,
             r.step_due_at, w.step_no, r.steps, s.source, s.source_label, r.ask_digest
           from assignment w join request r on r.id = w.request_id and r.step_no = w.step_no
           join request_slot s on s.request_id = w.request_id and s.step_no = w.step_no and s.slot_no = w.slot_no
           where w.person_id = $1 and w.open and ($5::uuid is null or w.request_id > $5)
             and not exists (select 1 from assignment x where x.request_id = w.request_id and x.step_no = w.step_no and x.slot_no < w.slot_no and x.person_id = w.person_id and x.open)
             and ($2::uuid is null or r.application_id = $2)
           order by w.request_id limit case when $3::text is null and cardinality($4::text[]) = 0 then $6::bigint end
         )
         select w.id as request_id, w.role_id, w.application_id, a.name as application, o.name as role, o.risk, b.display_name as beneficiary, b.department,
           case when q.id <> b.id then q.display_name end as requester, w.duration_s, w.justification, w.ticket_reference, w.created_at, w.assigned_at, w.step_due_at,
           w.step_no, w.steps, w.source, w.source_label, w.ask_digest, coalesce(v.comment_to_deny, true) as comment_to_deny
         from w join role o on o.id = w.role_id join application a on a.id = w.application_id join person b on b.id = w.beneficiary_id join person q on q.id = w.requester_id
         left join access_policy_version v on v.id = w.policy_version_id
         where ($3::text is null or o.risk = $3)
           and (cardinality($4::text[]) = 0
             or lower(concat_ws(' ', b.display_name, b.department, a.name, o.name, w.justification, w.ticket_reference)) like all ($4))
         order by w.id limit $6",
    )
    .bind(person)
    .bind(filter.application)
    .bind(&filter.risk)
    .bind(patterns)
    .bind(after)
    .bind(limit)
    .fetch_all(&db.pool)
    .await?)
}

/// Applications of the requests that wait for `person`, by name. (Who it is stands behind a subquery, so that one plan serves all;
/// Postgres would otherwise plan for each, which takes longer than the reading.)
///
/// # Errors
/// When the database fails.
pub async fn applications(db: &Db, person: Uuid) -> Result<Vec<(Uuid, String)>, StoreError> {
    Ok(sqlx::query_as(
        "select id, name from application where id in (
           select r.application_id from assignment w join request r on r.id = w.request_id where w.person_id = (select $1::uuid) and w.open
         ) order by name, id",
    )
    .bind(person)
    .fetch_all(&db.pool)
    .await?)
}
