//! A request's page in one statement, and its decision card.
//!
//! Who sees it is part of the statement: requester and beneficiary, whoever was asked, the owners of role and application, and who
//! reads everything.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;
use sqlx::FromRow;
use sqlx::types::Json;
use uuid::Uuid;

use super::db::Db;
use super::error::StoreError;

/// A request with everything recorded about it.
#[derive(Clone, Debug, FromRow)]
pub struct WholeRow {
    /// Its id.
    pub id: Uuid,
    /// Who asked.
    pub requester_id: Uuid,
    /// Their name.
    pub requester: String,
    /// Their title.
    pub requester_title: Option<String>,
    /// Their department.
    pub requester_department: Option<String>,
    /// For whom.
    pub beneficiary_id: Uuid,
    /// Their name.
    pub beneficiary: String,
    /// Their title.
    pub beneficiary_title: Option<String>,
    /// Their department.
    pub beneficiary_department: Option<String>,
    /// The application.
    pub application_id: Uuid,
    /// Its name.
    pub application: String,
    /// Who owns it.
    pub application_owner: Uuid,
    /// The role.
    pub role_id: Uuid,
    /// Its name.
    pub role: String,
    /// Who owns it.
    pub role_owner: Uuid,
    /// Its risk.
    pub risk: String,
    /// Its provisioning method.
    pub method: String,
    /// Key of the directory.
    pub directory: Option<String>,
    /// The group, by name or reference.
    pub group: Option<String>,
    /// Where it stands.
    pub status: String,
    /// The open step.
    pub step_no: Option<i32>,
    /// How many there are.
    pub steps: i32,
    /// When the open step times out.
    pub step_due_at: Option<DateTime<Utc>>,
    /// What the policy said.
    pub decision: String,
    /// By which rule.
    pub deciding_rule: String,
    /// The version that governs.
    pub policy_version_id: Option<Uuid>,
    /// Its policy.
    pub policy_id: Option<Uuid>,
    /// Its name.
    pub policy: Option<String>,
    /// Its number.
    pub policy_version: Option<i32>,
    /// What it was decided from: canonical JSON.
    pub inputs: String,
    /// Every rule looked at: JSON.
    pub trace: String,
    /// What an approval authorises.
    pub ask_digest: String,
    /// Why.
    pub justification: Option<String>,
    /// Ticket.
    pub ticket_reference: Option<String>,
    /// Seconds asked for; none: without end.
    pub duration_s: Option<i64>,
    /// The shortest an approver chose.
    pub granted_s: Option<i64>,
    /// A start that lay ahead.
    pub wanted_start: Option<DateTime<Utc>>,
    /// The lease it extends.
    pub extension_of: Option<Uuid>,
    /// Values of the policy's own fields, canonical JSON.
    pub fields: Option<String>,
    /// Why it could not wait, of an emergency.
    pub emergency_reason: Option<String>,
    /// Key and version of each separation rule that it runs against.
    pub conflicts: Vec<String>,
    /// The request whose place it took.
    pub supersedes: Option<Uuid>,
    /// Who set it going without making it.
    pub started_by: Option<Uuid>,
    /// The request that took its place.
    pub superseded_by: Option<Uuid>,
    /// Whether one person may decide only once.
    pub distinct_people: bool,
    /// What is left of the open step's limit while a question pauses it, in seconds.
    pub step_left_s: Option<i64>,
    /// When who has not answered is reminded next.
    pub remind_at: Option<DateTime<Utc>>,
    /// Whether the open step has escalated.
    pub escalated: bool,
    /// When the requester last asked the approvers to look.
    pub nudged_at: Option<DateTime<Utc>>,
    /// When the beneficiary confirmed it.
    pub confirmed_at: Option<DateTime<Utc>>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was settled.
    pub closed_at: Option<DateTime<Utc>>,
    /// The lease it led to.
    pub grant_id: Option<Uuid>,
    /// How far that has come.
    pub grant_status: Option<String>,
    /// Its length in seconds.
    pub grant_s: Option<i64>,
    /// When it begins or began.
    pub starts_at: Option<DateTime<Utc>>,
    /// When it ends.
    pub ends_at: Option<DateTime<Utc>>,
    /// When it was verified.
    pub verified_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
    /// When the removal was verified.
    pub end_verified_at: Option<DateTime<Utc>>,
    /// Why it ended.
    pub end_reason: Option<String>,
    /// What whoever ended it wrote.
    pub end_comment: Option<String>,
    /// Tries so far.
    pub attempts: Option<i32>,
    /// What the last failed try said.
    pub last_error: Option<String>,
    /// When the next try is.
    pub next_try_at: Option<DateTime<Utc>>,
    /// `works`, `fails` or `unknown`.
    pub confirmed: Option<String>,
    /// Whether another lease extends it.
    pub extended: bool,
    /// How many leases it extends in a row.
    pub extension_no: Option<i32>,
    /// Whether the holder said that it is not to be extended.
    pub no_extension: Option<bool>,
    /// Everybody asked.
    pub asked: Json<Vec<Asked>>,
    /// What happened, oldest first.
    pub events: Json<Vec<Told>>,
}

/// A person asked at one slot, or a slot without anybody yet.
#[derive(Clone, Debug, Deserialize)]
pub struct Asked {
    /// Counted from 1.
    pub step_no: i32,
    /// The step's name.
    pub step: String,
    /// Its limit in seconds.
    pub time_limit_s: Option<i64>,
    /// When it opened.
    pub opened_at: Option<DateTime<Utc>>,
    /// When it was done.
    pub done_at: Option<DateTime<Utc>>,
    /// Counted from 1.
    pub slot_no: i32,
    /// How many approvals it needs.
    pub approvals: i32,
    /// The word of its source.
    pub source: String,
    /// The source for people.
    pub source_label: String,
    /// Who is asked.
    pub person_id: Option<Uuid>,
    /// Their name.
    pub person: Option<String>,
    /// Whether it still waits for them.
    pub open: Option<bool>,
    /// `self`, `delegate`, `escalation`, `reassigned` or `fallback`.
    pub acting_as: Option<String>,
    /// Whom they stand in for.
    pub acting_for: Option<Uuid>,
    /// Their name.
    pub acting_for_name: Option<String>,
    /// When they were asked.
    pub assigned_at: Option<DateTime<Utc>>,
    /// When they could no longer answer: handed on, left, or their standing in was over.
    pub ended_at: Option<DateTime<Utc>>,
    /// Whether the step's procedure lets who is asked hand it on.
    pub reassign: bool,
    /// When they first looked.
    pub first_viewed_at: Option<DateTime<Utc>>,
    /// `approve` or `deny`.
    pub verdict: Option<String>,
    /// What they wrote.
    pub comment: Option<String>,
    /// The length they chose.
    pub granted_s: Option<i64>,
    /// When they decided.
    pub decided_at: Option<DateTime<Utc>>,
}

/// An event of the request.
#[derive(Clone, Debug, Deserialize)]
pub struct Told {
    /// Its number in the log.
    pub id: i64,
    /// When.
    pub at: DateTime<Utc>,
    /// What happened.
    pub kind: String,
    /// Who did it; none: the service.
    pub actor: Option<String>,
    /// Through which door.
    pub channel: String,
    /// In named fields.
    pub data: Value,
}

/// Requests with everything recorded about them.
macro_rules! whole {
    ($which:literal) => {
        concat!(
            "select r.id, r.requester_id, q.display_name as requester, q.title as requester_title, q.department as requester_department, r.beneficiary_id, b.display_name as beneficiary,
           b.title as beneficiary_title, b.department as beneficiary_department, r.application_id, a.name as application, a.owner_id as application_owner, r.role_id, o.name as role,
           o.owner_id as role_owner, o.risk, o.method, o.directory, coalesce(o.group_name, o.group_reference) as \"group\", r.status, r.step_no, r.steps, r.step_due_at, r.decision,
           r.deciding_rule, r.policy_version_id, v.policy_id, v.name as policy, v.version as policy_version, r.inputs, r.trace, r.ask_digest, r.justification, r.ticket_reference,
           r.duration_s, r.granted_s, r.wanted_start, r.extension_of, r.fields, r.emergency_reason, r.conflicts, r.supersedes, r.started_by,
           (select n.id from request n where n.supersedes = r.id limit 1) as superseded_by, r.distinct_people, r.step_left_s, r.remind_at, r.escalated, r.nudged_at, r.confirmed_at,
           r.created_at, r.closed_at, g.id as grant_id, g.status as grant_status, g.duration_s as grant_s, g.starts_at,
           g.ends_at, g.verified_at, g.ended_at, g.end_verified_at, g.end_reason, g.end_comment, g.attempts, coalesce(g.last_error, t.last_error) as last_error, t.next_at as next_try_at,
           g.extension_no, g.no_extension, g.confirmed, exists (select 1 from access_grant e where e.extension_of = g.id and e.status not in ('ended', 'failed')) as extended,
           (select coalesce(json_agg(json_build_object('step_no', st.step_no, 'step', st.name, 'time_limit_s', st.time_limit_s, 'opened_at', st.opened_at, 'done_at', st.done_at,
               'slot_no', sl.slot_no, 'approvals', sl.approvals, 'source', sl.source, 'source_label', sl.source_label, 'person_id', w.person_id, 'person', n.display_name, 'open', w.open,
               'acting_as', w.acting_as, 'acting_for', w.acting_for, 'acting_for_name', (select f.display_name from person f where f.id = w.acting_for), 'assigned_at', w.assigned_at, 'ended_at', w.ended_at, 'reassign', pv.reassign,
               'first_viewed_at', w.first_viewed_at, 'verdict', d.verdict, 'comment', d.comment, 'granted_s', d.granted_s, 'decided_at', d.decided_at)
               order by st.step_no, sl.slot_no, d.decided_at, n.display_name, n.id), '[]')
            from request_step st join request_slot sl on sl.request_id = st.request_id and sl.step_no = st.step_no
            join approval_procedure_version pv on pv.id = st.procedure_version_id
            left join assignment w on w.request_id = sl.request_id and w.step_no = sl.step_no and w.slot_no = sl.slot_no
            left join person n on n.id = w.person_id
            left join approval d on d.request_id = w.request_id and d.step_no = w.step_no and d.slot_no = w.slot_no and d.decided_by = w.person_id
            where st.request_id = r.id) as asked,
           (select coalesce(json_agg(json_build_object('id', e.id, 'at', e.occurred_at, 'kind', e.kind, 'actor', e.actor_name, 'channel', e.channel, 'data', e.data) order by e.id), '[]')
            from audit_event e where e.request_id = r.id and ($2::uuid is null or not starts_with(e.kind, 'hold.') or e.actor_id = $2)) as events
         from request r join person q on q.id = r.requester_id join person b on b.id = r.beneficiary_id join application a on a.id = r.application_id join role o on o.id = r.role_id
         left join access_policy_version v on v.id = r.policy_version_id left join access_grant g on g.request_id = r.id left join target t on t.id = g.target_id and t.next_at is not null ",
            $which
        )
    };
}

/// The request with everything recorded about it, if `viewer` may see it. No viewer: whoever asks may.
///
/// # Errors
/// When the database fails.
pub async fn whole(db: &Db, viewer: Option<Uuid>, id: Uuid) -> Result<Option<WholeRow>, StoreError> {
    Ok(sqlx::query_as(whole!(
        "where r.id = $1 and ($2::uuid is null or r.beneficiary_id = $2 or r.requester_id = $2 or o.owner_id = $2 or a.owner_id = $2
           or exists (select 1 from assignment w where w.request_id = r.id and w.person_id = $2 and w.assigned_at is not null)
           or exists (select 1 from emergency_reviewer w where w.request_id = r.id and w.person_id = $2))"
    ))
    .bind(id)
    .bind(viewer)
    .fetch_optional(&db.pool)
    .await?)
}

/// These requests with everything recorded about them, for who reads everything.
///
/// # Errors
/// When the database fails.
pub async fn wholes(db: &Db, ids: &[Uuid]) -> Result<Vec<WholeRow>, StoreError> {
    Ok(sqlx::query_as(whole!("where r.id = any($1)")).bind(ids).bind(None::<Uuid>).fetch_all(&db.pool).await?)
}

/// Whether `viewer` may see the request because it concerns them: they made it, it is for them, they own the role or its application, were
/// asked, or may review it. No viewer: whether it is there.
///
/// # Errors
/// When the database fails.
pub async fn may_see(db: &Db, viewer: Option<Uuid>, id: Uuid) -> Result<bool, StoreError> {
    Ok(sqlx::query_scalar(
        "select exists (select 1 from request r join role o on o.id = r.role_id join application a on a.id = r.application_id
         where r.id = $1 and ($2::uuid is null or $2 in (r.beneficiary_id, r.requester_id, o.owner_id, a.owner_id)
           or exists (select 1 from assignment w where w.request_id = r.id and w.person_id = $2 and w.assigned_at is not null)
           or exists (select 1 from emergency_reviewer w where w.request_id = r.id and w.person_id = $2)))",
    )
    .bind(id)
    .bind(viewer)
    .fetch_one(&db.pool)
    .await?)
}

/// What an approver wants to know of the beneficiary and the role.
#[derive(Clone, Debug, FromRow)]
pub struct CardRow {
    /// The viewer's reference in their directory.
    pub viewer_reference: String,
    /// How often the beneficiary has had this role in the last 90 days.
    pub had: i64,
    /// The longest of those, in seconds; none when one had no end, or none was.
    pub had_longest_s: Option<i64>,
    /// What the beneficiary holds now, at most twelve.
    pub holds: Vec<String>,
    /// How many roles they hold now.
    pub holds_total: i64,
    /// How many people hold this role now.
    pub members: i64,
}

/// What an approver wants to know of the beneficiary and the role.
///
/// # Errors
/// When the database fails.
pub async fn card(db: &Db, viewer: Uuid, beneficiary: Uuid, role: Uuid, since: DateTime<Utc>) -> Result<CardRow, StoreError> {
    Ok(sqlx::query_as(
        "select (select reference from person where id = $1) as viewer_reference, h.had, h.longest as had_longest_s,
           array(select a.name || ' ' || o.name from access_grant g join role o on o.id = g.role_id join application a on a.id = o.application_id
             where g.beneficiary_id = $2 and g.status not in ('ended', 'failed') order by a.name, o.name limit 12) as holds,
           (select count(*) from access_grant g where g.beneficiary_id = $2 and g.status not in ('ended', 'failed')) as holds_total,
           (select count(distinct g.beneficiary_id) from access_grant g where g.role_id = $3 and g.status in ('verifying', 'active')) as members
         from (select count(*) as had, case when bool_or(g.duration_s is null) then null else max(g.duration_s) end as longest
               from access_grant g where g.beneficiary_id = $2 and g.role_id = $3 and g.approved_at >= $4 and g.verified_at is not null) h",
    )
    .bind(viewer)
    .bind(beneficiary)
    .bind(role)
    .bind(since)
    .fetch_one(&db.pool)
    .await?)
}

/// The open request of `person` for `role`.
///
/// # Errors
/// When the database fails.
pub async fn open_of(db: &Db, person: Uuid, role: Uuid) -> Result<Option<Uuid>, StoreError> {
    Ok(sqlx::query_scalar("select id from request where beneficiary_id = $1 and role_id = $2 and status in ('submitted', 'pending', 'needs_info')")
        .bind(person)
        .bind(role)
        .fetch_optional(&db.pool)
        .await?)
}

/// What an approval of this request authorises; for `eyes` only when they made it, it is for them, or they were asked.
///
/// # Errors
/// When the database fails.
pub async fn ask_digest(db: &Db, eyes: Option<Uuid>, id: Uuid) -> Result<Option<String>, StoreError> {
    Ok(sqlx::query_scalar(
        "select r.ask_digest from request r where r.id = $2
           and ($1::uuid is null or $1 in (r.requester_id, r.beneficiary_id) or exists (select 1 from assignment a where a.request_id = r.id and a.person_id = $1))",
    )
    .bind(eyes)
    .bind(id)
    .fetch_optional(&db.pool)
    .await?)
}
