//! Requests, their steps and slots, who was asked, who decided.

use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;

use crate::domain::approval::SlotState;
use crate::domain::decide::Outcome;
use crate::domain::event::Channel;
use crate::domain::id::{GrantId, PersonId, PolicyVersionId, RequestId, RoleId};
use crate::domain::request::RequestStatus;

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

/// Writes a request with its steps, slots and assignments. The first step is open at once.
///
/// # Errors
/// [`StoreError::Refused`] with constraint `request_one_open` when one for the same role is open.
pub async fn insert(tx: &mut Tx, new: &NewRequest) -> Result<(), StoreError> {
    let open = new.status.is_open();
    let (mut step_no, mut step_name, mut step_limit) = (Vec::new(), Vec::new(), Vec::new());
    let (mut slot_step, mut slot_no, mut slot_approvals, mut slot_source, mut slot_label) = (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut asked_step, mut asked_slot, mut asked_person) = (Vec::new(), Vec::new(), Vec::new());
    for (s, step) in (1i32..).zip(&new.steps) {
        step_no.push(s);
        step_name.push(step.name.clone());
        step_limit.push(step.time_limit_s);
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
    let due = new.steps.first().filter(|_| open).and_then(|step| step.time_limit_s).map(|s| new.created_at + chrono::Duration::seconds(s));
    sqlx::query(
        "with r as (
           insert into request (id, requester_id, beneficiary_id, role_id, application_id, status, step_no, steps, step_due_at, decision, deciding_rule, policy_version_id,
             inputs, inputs_digest, trace, ask_digest, justification, ticket_reference, duration_s, wanted_start, extension_of, channel, created_at, closed_at)
           values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24)
         ), st as (
           insert into request_step (request_id, step_no, name, time_limit_s, opened_at)
           select $1, n, name, lim, case when n = 1 then $23 end from unnest($25::int[], $26::text[], $27::bigint[]) as t(n, name, lim)
         ), sl as (
           insert into request_slot (request_id, step_no, slot_no, approvals, source, source_label)
           select $1, s, l, a, src, label from unnest($28::int[], $29::int[], $30::int[], $31::text[], $32::text[]) as t(s, l, a, src, label)
         )
         insert into assignment (request_id, step_no, slot_no, person_id, assigned_at, open)
         select $1, s, l, p, case when s = 1 then $23 end, s = 1 from unnest($33::int[], $34::int[], $35::uuid[]) as t(s, l, p)",
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
    .bind((!open).then_some(new.created_at))
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
    .execute(&mut **tx)
    .await?;
    Ok(())
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
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// The columns of [`RequestRow`], with further ones, and the rest of the statement.
macro_rules! requests {
    ($more:literal, $rest:literal) => {
        concat!(
            "select id, requester_id, beneficiary_id, role_id, application_id, status, step_no, policy_version_id, ask_digest, duration_s, granted_s, wanted_start, extension_of, created_at",
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

#[derive(FromRow)]
struct AskedRow {
    #[sqlx(flatten)]
    request: RequestRow,
    asked: bool,
}

/// The request, unlocked, and whether `person` was asked at any step of it, on a connection that is at hand.
///
/// # Errors
/// When the database fails.
pub(super) async fn read(connection: &mut PgConnection, id: RequestId, person: PersonId) -> Result<Option<(RequestRow, bool)>, StoreError> {
    let found: Option<AskedRow> =
        sqlx::query_as(requests!(", exists (select 1 from assignment where request_id = $1 and person_id = $2) as asked", "where id = $1"))
            .bind(id.0)
            .bind(person.0)
            .fetch_optional(connection)
            .await?;
    Ok(found.map(|row| (row.request, row.asked)))
}

/// The request, locked until the transaction ends.
///
/// # Errors
/// When the database fails.
pub async fn lock(tx: &mut Tx, id: RequestId) -> Result<Option<RequestRow>, StoreError> {
    Ok(sqlx::query_as(requests!("", "where id = $1 for update")).bind(id.0).fetch_optional(&mut **tx).await?)
}

/// A step with the state of its slots.
#[derive(Clone, Debug)]
pub struct StepRow {
    /// Its name.
    pub name: String,
    /// Its limit in seconds.
    pub time_limit_s: Option<i64>,
    /// Its slots in order.
    pub slots: Vec<SlotState>,
}

#[derive(FromRow)]
struct SlotLine {
    step_no: i32,
    name: String,
    time_limit_s: Option<i64>,
    approvals: i32,
    asked: Vec<Uuid>,
    approved_by: Vec<Uuid>,
}

/// The steps of a request with their slots, in order.
///
/// # Errors
/// When the database fails.
pub async fn steps(tx: &mut Tx, id: RequestId) -> Result<Vec<StepRow>, StoreError> {
    let lines: Vec<SlotLine> = sqlx::query_as(
        "select st.step_no, st.name, st.time_limit_s, sl.approvals,
           array(select a.person_id from assignment a where a.request_id = $1 and a.step_no = sl.step_no and a.slot_no = sl.slot_no order by a.person_id) as asked,
           array(select p.decided_by from approval p where p.request_id = $1 and p.step_no = sl.step_no and p.slot_no = sl.slot_no and p.verdict = 'approve' order by p.decided_at) as approved_by
         from request_step st join request_slot sl on sl.request_id = st.request_id and sl.step_no = st.step_no
         where st.request_id = $1 order by sl.step_no, sl.slot_no",
    )
    .bind(id.0)
    .fetch_all(&mut **tx)
    .await?;
    let mut steps: Vec<StepRow> = Vec::new();
    for line in lines {
        if steps.len() < line.step_no as usize {
            steps.push(StepRow { name: line.name, time_limit_s: line.time_limit_s, slots: Vec::new() });
        }
        if let Some(step) = steps.last_mut() {
            step.slots.push(SlotState {
                approvals: line.approvals.max(1) as u32,
                asked: line.asked.into_iter().map(PersonId).collect(),
                approved_by: line.approved_by.into_iter().map(PersonId).collect(),
            });
        }
    }
    Ok(steps)
}

/// An approval or denial to be written.
#[derive(Clone, Debug)]
pub struct NewApproval<'a> {
    /// Its id.
    pub id: Uuid,
    /// The request.
    pub request: &'a RequestRow,
    /// Counted from 1.
    pub step_no: i32,
    /// Counted from 1.
    pub slot_no: i32,
    /// Who decided.
    pub decided_by: PersonId,
    /// `approve` or `deny`.
    pub verdict: &'static str,
    /// What they wrote.
    pub comment: Option<&'a str>,
    /// Chosen duration in seconds.
    pub granted_s: Option<i64>,
    /// Digest of what they saw.
    pub inputs_digest: &'a str,
    /// The door.
    pub channel: Channel,
    /// When.
    pub decided_at: DateTime<Utc>,
    /// Whether the slot now has its count, so that nobody is asked any more.
    pub slot_done: bool,
}

/// Writes a decision and closes the queue entries that it settles.
///
/// # Errors
/// [`StoreError::Refused`] when the database finds that the decider may not.
pub async fn decide(tx: &mut Tx, new: &NewApproval<'_>) -> Result<(), StoreError> {
    sqlx::query(
        "with done as (
           insert into approval (id, request_id, requester_id, beneficiary_id, step_no, slot_no, decided_by, verdict, comment, granted_s, ask_digest, inputs_digest, channel, decided_at)
           values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
         )
         update assignment set open = false where request_id = $2 and step_no = $5 and open and (person_id = $7 or ($15 and slot_no = $6))",
    )
    .bind(new.id)
    .bind(new.request.id)
    .bind(new.request.requester_id)
    .bind(new.request.beneficiary_id)
    .bind(new.step_no)
    .bind(new.slot_no)
    .bind(new.decided_by.0)
    .bind(new.verdict)
    .bind(new.comment)
    .bind(new.granted_s)
    .bind(&new.request.ask_digest)
    .bind(new.inputs_digest)
    .bind(new.channel.word())
    .bind(new.decided_at)
    .bind(new.slot_done)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Opens step `step_no` at `now`; with `distinct_people`, who has decided before is not asked again.
///
/// # Errors
/// When the database fails.
pub async fn open_step(
    tx: &mut Tx,
    id: RequestId,
    step_no: i32,
    due_at: Option<DateTime<Utc>>,
    granted_s: Option<i64>,
    distinct_people: bool,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query(
        "with before as (update request_step set done_at = $3 where request_id = $1 and step_no = $2 - 1),
              opened as (update request_step set opened_at = $3 where request_id = $1 and step_no = $2),
              asked as (update assignment a set open = true, assigned_at = $3 where request_id = $1 and step_no = $2
                and not ($6 and exists (select 1 from approval p where p.request_id = $1 and p.decided_by = a.person_id)))
         update request set step_no = $2, step_due_at = $4, granted_s = $5 where id = $1",
    )
    .bind(id.0)
    .bind(step_no)
    .bind(now)
    .bind(due_at)
    .bind(granted_s)
    .bind(distinct_people)
    .execute(&mut **tx)
    .await?;
    Ok(())
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
         update request set status = $2, closed_at = $3, step_no = null, step_due_at = null, granted_s = $4 where id = $1",
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

/// Open requests whose step's time limit has passed, locked, at most `limit`.
///
/// # Errors
/// When the database fails.
pub async fn lock_overdue(tx: &mut Tx, now: DateTime<Utc>, limit: i64) -> Result<Vec<RequestRow>, StoreError> {
    Ok(sqlx::query_as(requests!("", "where step_due_at <= $1 order by step_due_at limit $2 for update skip locked"))
        .bind(now)
        .bind(limit)
        .fetch_all(&mut **tx)
        .await?)
}

/// Open requests for `person`, locked.
///
/// # Errors
/// When the database fails.
pub async fn lock_open_of(tx: &mut Tx, person: PersonId) -> Result<Vec<RequestRow>, StoreError> {
    Ok(sqlx::query_as(requests!("", "where beneficiary_id = $1 and status in ('pending', 'needs_info') for update"))
        .bind(person.0)
        .fetch_all(&mut **tx)
        .await?)
}
