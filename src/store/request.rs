//! Requests: written, read, locked, closed.

use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;

use crate::domain::decide::Outcome;
use crate::domain::event::Channel;
use crate::domain::id::{GrantId, PersonId, PolicyVersionId, RequestId, RoleId};
use crate::domain::request::RequestStatus;
use crate::domain::span::Seconds;

use super::db::{Db, Tx};
use super::error::StoreError;

/// A request to be written.
#[derive(Clone, Debug)]
pub struct NewRequest {
    /// Its id.
    pub id: RequestId,
    /// Who asks.
    pub requester: PersonId,
    /// For whom.
    pub beneficiary: PersonId,
    /// Which role.
    pub role: RoleId,
    /// Its application.
    pub application: Uuid,
    /// Where it stands at once.
    pub status: RequestStatus,
    /// What the policy said.
    pub decision: Outcome,
    /// By which rule.
    pub deciding_rule: String,
    /// The version that governs.
    pub policy_version: Option<PolicyVersionId>,
    /// Canonical JSON of what was decided from.
    pub inputs: String,
    /// Its SHA-256, hex.
    pub inputs_digest: String,
    /// The trace, JSON.
    pub trace: String,
    /// What an approval authorises, SHA-256, hex.
    pub ask_digest: String,
    /// Why.
    pub justification: Option<String>,
    /// Ticket.
    pub ticket_reference: Option<String>,
    /// Seconds; none: without end.
    pub duration_s: Option<i64>,
    /// A start that lies ahead.
    pub wanted_start: Option<DateTime<Utc>>,
    /// The lease to extend.
    pub extension_of: Option<GrantId>,
    /// Values of the policy's own fields, canonical JSON.
    pub fields: Option<String>,
    /// Why it cannot wait, of an emergency.
    pub emergency_reason: Option<String>,
    /// Key and version of each separation rule that it runs against.
    pub conflicts: Vec<String>,
    /// The request whose place it takes.
    pub supersedes: Option<RequestId>,
    /// Who set it going without making it.
    pub started_by: Option<PersonId>,
    /// Whether one person may decide only once.
    pub distinct_people: bool,
    /// The door.
    pub channel: Channel,
    /// When.
    pub created_at: DateTime<Utc>,
    /// Its steps; empty unless it needs approval.
    pub steps: Vec<NewStep>,
}

/// A step to be written.
#[derive(Clone, Debug)]
pub struct NewStep {
    /// Its name.
    pub name: String,
    /// Its limit in seconds.
    pub time_limit_s: Option<i64>,
    /// How often who has not answered is reminded, in seconds.
    pub remind_every_s: Option<i64>,
    /// The procedure's key.
    pub procedure: String,
    /// Its version.
    pub version: i32,
    /// Which of its steps, counted from 1.
    pub position: i32,
    /// Its slots.
    pub slots: Vec<NewSlot>,
}

/// A slot to be written.
#[derive(Clone, Debug)]
pub struct NewSlot {
    /// How many approvals.
    pub approvals: u32,
    /// Word of the source.
    pub source: &'static str,
    /// The source for people.
    pub label: String,
    /// Who is asked.
    pub asked: Vec<PersonId>,
}

/// Writes a request with its steps, slots and assignments. The first step is open at once. Returns whether anybody asked there is away
/// with somebody standing in: mostly nobody is, and asking for their delegates would be one more trip.
///
/// # Errors
/// [`StoreError::Refused`] with constraint `request_one_open` when one for the same role is open.
pub async fn insert(tx: &mut Tx, new: &NewRequest) -> Result<bool, StoreError> {
    let open = new.status == RequestStatus::Pending;
    let closed = !new.status.is_open();
    let (mut step_no, mut step_name, mut step_limit) = (Vec::new(), Vec::new(), Vec::new());
    let (mut step_procedure, mut step_version, mut step_position) = (Vec::new(), Vec::new(), Vec::new());
    let (mut slot_step, mut slot_no, mut slot_approvals, mut slot_source, mut slot_label) = (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut asked_step, mut asked_slot, mut asked_person) = (Vec::new(), Vec::new(), Vec::new());
    for (s, step) in (1i32..).zip(&new.steps) {
        step_no.push(s);
        step_name.push(step.name.clone());
        step_limit.push(step.time_limit_s);
        step_procedure.push(step.procedure.clone());
        step_version.push(step.version);
        step_position.push(step.position);
        for (l, slot) in (1i32..).zip(&step.slots) {
            slot_step.push(s);
            slot_no.push(l);
            slot_approvals.push(slot.approvals as i32);
            slot_source.push(slot.source);
            slot_label.push(slot.label.clone());
            for person in &slot.asked {
                asked_step.push(s);
                asked_slot.push(l);
                asked_person.push(person.0);
            }
        }
    }
    let first = new.steps.first().filter(|_| open);
    let after = |seconds: i64| Seconds(seconds).after(new.created_at);
    let due = first.and_then(|step| step.time_limit_s).and_then(after);
    let remind = first.and_then(|step| step.remind_every_s).and_then(after);
    Ok(sqlx::query_scalar(
        "with r as (
           insert into request (id, requester_id, beneficiary_id, role_id, application_id, status, step_no, steps, step_due_at, decision, deciding_rule, policy_version_id,
             inputs, inputs_digest, trace, ask_digest, justification, ticket_reference, duration_s, wanted_start, extension_of, channel, created_at, closed_at,
             fields, emergency_reason, conflicts, supersedes, distinct_people, remind_at, started_by)
           values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $36, $37, $38, $39, $40, $41, $46)
         ), st as (
           insert into request_step (request_id, step_no, name, time_limit_s, opened_at, procedure_version_id, procedure_step)
           select $1, t.n, t.name, t.lim, case when t.n = 1 and $45 then $23 end, v.id, t.pos
           from unnest($25::int[], $26::text[], $27::bigint[], $42::text[], $43::int[], $44::int[]) as t(n, name, lim, key, ver, pos)
           join approval_procedure p on p.key = t.key join approval_procedure_version v on v.procedure_id = p.id and v.version = t.ver
         ), sl as (
           insert into request_slot (request_id, step_no, slot_no, approvals, procedure_slot, source, source_label)
           select $1, s, l, a, l, src, label from unnest($28::int[], $29::int[], $30::int[], $31::text[], $32::text[]) as t(s, l, a, src, label)
         ), asked as (
           insert into assignment (request_id, step_no, slot_no, person_id, assigned_at, open)
           select $1, s, l, p, case when s = 1 and $45 then $23 end, s = 1 and $45 from unnest($33::int[], $34::int[], $35::uuid[]) as t(s, l, p)
           returning person_id, open
         )
         select exists (select 1 from asked a join delegation d on d.person_id = a.person_id
           where a.open and d.starts_at <= $23 and d.ends_at > $23 and d.ended_at is null)",
    )
    .bind(new.id.0)
    .bind(new.requester.0)
    .bind(new.beneficiary.0)
    .bind(new.role.0)
    .bind(new.application)
    .bind(new.status.word())
    .bind(open.then_some(1i32))
    .bind(new.steps.len() as i32)
    .bind(due)
    .bind(new.decision.word())
    .bind(&new.deciding_rule)
    .bind(new.policy_version.map(|id| id.0))
    .bind(&new.inputs)
    .bind(&new.inputs_digest)
    .bind(&new.trace)
    .bind(&new.ask_digest)
    .bind(&new.justification)
    .bind(&new.ticket_reference)
    .bind(new.duration_s)
    .bind(new.wanted_start)
    .bind(new.extension_of.map(|id| id.0))
    .bind(new.channel.word())
    .bind(new.created_at)
    .bind(closed.then_some(new.created_at))
    .bind(step_no)
    .bind(step_name)
    .bind(step_limit)
    .bind(slot_step)
    .bind(slot_no)
    .bind(slot_approvals)
    .bind(slot_source)
    .bind(slot_label)
    .bind(asked_step)
    .bind(asked_slot)
    .bind(asked_person)
    .bind(&new.fields)
    .bind(&new.emergency_reason)
    .bind(&new.conflicts)
    .bind(new.supersedes.map(|id| id.0))
    .bind(new.distinct_people)
    .bind(remind)
    .bind(step_procedure)
    .bind(step_version)
    .bind(step_position)
    .bind(open)
    .bind(new.started_by.map(|id| id.0))
    .fetch_one(&mut **tx)
    .await?)
}

/// A request's row, without its long texts.
#[derive(Clone, Debug, FromRow)]
pub struct RequestRow {
    /// Its id.
    pub id: Uuid,
    /// Who asked.
    pub requester_id: Uuid,
    /// For whom.
    pub beneficiary_id: Uuid,
    /// Who set it going without making it.
    pub started_by: Option<Uuid>,
    /// Which role.
    pub role_id: Uuid,
    /// Its application.
    pub application_id: Uuid,
    /// Where it stands.
    pub status: String,
    /// The open step, counted from 1.
    pub step_no: Option<i32>,
    /// The version that governs.
    pub policy_version_id: Option<Uuid>,
    /// What an approval authorises.
    pub ask_digest: String,
    /// Seconds; none: without end.
    pub duration_s: Option<i64>,
    /// The shortest an approver chose.
    pub granted_s: Option<i64>,
    /// A start that lies ahead.
    pub wanted_start: Option<DateTime<Utc>>,
    /// The lease to extend.
    pub extension_of: Option<Uuid>,
    /// Why it could not wait, of an emergency.
    pub emergency_reason: Option<String>,
    /// What was decided before anybody was asked: `refused`, `auto_approved` or `needs_approval`.
    pub decision: String,
    /// Whether one person may decide only once.
    pub distinct_people: bool,
    /// What is left of the open step's limit while a question pauses it, in seconds.
    pub step_left_s: Option<i64>,
    /// When the open step times out or escalates.
    pub step_due_at: Option<DateTime<Utc>>,
    /// When who has not answered is reminded next.
    pub remind_at: Option<DateTime<Utc>>,
    /// Whether the open step has escalated.
    pub escalated: bool,
    /// When the requester last asked the approvers to look.
    pub nudged_at: Option<DateTime<Utc>>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// The columns of [`RequestRow`], with further ones, and the rest of the statement.
macro_rules! requests {
    ($more:literal, $rest:literal) => {
        concat!(
            "select id, requester_id, beneficiary_id, started_by, role_id, application_id, status, step_no, policy_version_id, ask_digest, duration_s, granted_s, wanted_start, extension_of, emergency_reason, ",
            "decision, distinct_people, step_left_s, step_due_at, remind_at, escalated, nudged_at, created_at",
            $more,
            " from request ",
            $rest
        )
    };
}

/// The request, unlocked.
///
/// # Errors
/// When the database fails.
pub async fn by_id(db: &Db, id: RequestId) -> Result<Option<RequestRow>, StoreError> {
    Ok(sqlx::query_as(requests!("", "where id = $1")).bind(id.0).fetch_optional(&db.pool).await?)
}

/// A request as [`read`] finds it.
#[derive(FromRow)]
pub(super) struct Read {
    #[sqlx(flatten)]
    pub(super) request: RequestRow,
    /// Whether the person was asked, at any step.
    pub(super) asked: bool,
    /// What it was decided from: canonical JSON.
    pub(super) inputs: String,
}

/// The request, unlocked, and whether `person` was asked in it, on a connection that is at hand.
///
/// # Errors
/// When the database fails.
pub(super) async fn read(connection: &mut PgConnection, id: RequestId, person: PersonId) -> Result<Option<Read>, StoreError> {
    Ok(sqlx::query_as(requests!(", inputs, exists (select 1 from assignment where request_id = $1 and person_id = $2) as asked", "where id = $1"))
        .bind(id.0)
        .bind(person.0)
        .fetch_optional(connection)
        .await?)
}

/// The request, locked until the transaction ends.
///
/// # Errors
/// When the database fails.
pub async fn lock(tx: &mut Tx, id: RequestId) -> Result<Option<RequestRow>, StoreError> {
    Ok(sqlx::query_as(requests!("", "where id = $1 for update")).bind(id.0).fetch_optional(&mut **tx).await?)
}

/// Keeps the shortest duration chosen so far.
///
/// # Errors
/// When the database fails.
pub async fn shorten(tx: &mut Tx, id: RequestId, granted_s: Option<i64>) -> Result<(), StoreError> {
    sqlx::query("update request set granted_s = $2 where id = $1 and granted_s is distinct from $2").bind(id.0).bind(granted_s).execute(&mut **tx).await?;
    Ok(())
}

/// Closes a request and everything that still waits on it.
///
/// # Errors
/// When the database fails.
pub async fn close(tx: &mut Tx, id: RequestId, status: RequestStatus, granted_s: Option<i64>, now: DateTime<Utc>) -> Result<(), StoreError> {
    sqlx::query(
        "with asked as (update assignment set open = false where request_id = $1 and open),
              step as (update request_step set done_at = $3 where request_id = $1 and opened_at is not null and done_at is null)
         update request set status = $2, closed_at = $3, step_no = null, step_due_at = null, step_left_s = null, remind_at = null, granted_s = $4 where id = $1",
    )
    .bind(id.0)
    .bind(status.word())
    .bind(now)
    .bind(granted_s)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Records that an asked person has opened the request; true the first time.
///
/// # Errors
/// When the database fails.
pub async fn viewed(tx: &mut Tx, id: RequestId, person: PersonId, now: DateTime<Utc>) -> Result<bool, StoreError> {
    let done = sqlx::query("update assignment set first_viewed_at = $3 where request_id = $1 and person_id = $2 and open and first_viewed_at is null")
        .bind(id.0)
        .bind(person.0)
        .bind(now)
        .execute(&mut **tx)
        .await?;
    Ok(done.rows_affected() > 0)
}

/// Open requests for `person`, locked.
///
/// # Errors
/// When the database fails.
pub async fn lock_open_of(tx: &mut Tx, person: PersonId) -> Result<Vec<RequestRow>, StoreError> {
    Ok(sqlx::query_as(requests!("", "where beneficiary_id = $1 and status in ('submitted', 'pending', 'needs_info') for update"))
        .bind(person.0)
        .fetch_all(&mut **tx)
        .await?)
}

/// Open requests that wait for their beneficiary longer than the limit of their first step, or 14 days where it has none; locked.
///
/// # Errors
/// When the database fails.
pub async fn lock_unconfirmed(tx: &mut Tx, now: DateTime<Utc>, limit: i64) -> Result<Vec<RequestRow>, StoreError> {
    Ok(sqlx::query_as(requests!(
        "",
        "where status = 'submitted' and created_at + make_interval(secs => coalesce(
           (select s.time_limit_s from request_step s where s.request_id = request.id and s.step_no = 1), 14 * 86400)) <= $1
         order by created_at limit $2 for update skip locked"
    ))
    .bind(now)
    .bind(limit)
    .fetch_all(&mut **tx)
    .await?)
}

/// Records that the beneficiary confirmed it.
///
/// # Errors
/// When the database refuses.
pub async fn confirm(tx: &mut Tx, id: RequestId, now: DateTime<Utc>) -> Result<(), StoreError> {
    sqlx::query("update request set confirmed_at = $2 where id = $1").bind(id.0).bind(now).execute(&mut **tx).await?;
    Ok(())
}

/// The long texts of a request.
#[derive(Clone, Debug, FromRow)]
pub struct Texts {
    /// Why.
    pub justification: Option<String>,
    /// Ticket.
    pub ticket_reference: Option<String>,
    /// Values of the policy's own fields, canonical JSON.
    pub fields: Option<String>,
}

/// The long texts of a request, as they were sent.
///
/// # Errors
/// When the database fails.
pub async fn texts(db: &Db, id: RequestId) -> Result<Option<Texts>, StoreError> {
    Ok(sqlx::query_as("select justification, ticket_reference, fields from request where id = $1").bind(id.0).fetch_optional(&db.pool).await?)
}
