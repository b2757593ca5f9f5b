//! Steps of a request: who is asked, and who decided.

use chrono::{DateTime, Utc};
use sqlx::FromRow;
use sqlx::types::Json;
use uuid::Uuid;

use crate::domain::approval::{Seat, SlotState};
use crate::domain::event::Channel;
use crate::domain::id::{PersonId, RequestId};

use super::db::Tx;
use super::delegation::groundless;
use super::error::StoreError;
use super::request::RequestRow;

/// A step with the state of its slots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepRow {
    /// Its name.
    pub name: String,
    /// Its limit in seconds.
    pub time_limit_s: Option<i64>,
    /// How often who has not answered is reminded, in seconds.
    pub remind_every_s: Option<i64>,
    /// Whether who is asked may hand their place on.
    pub reassign: bool,
    /// Its slots in order.
    pub slots: Vec<SlotState>,
}

#[derive(FromRow)]
struct SlotLine {
    step_no: i32,
    name: String,
    time_limit_s: Option<i64>,
    remind_every_s: Option<i64>,
    reassign: bool,
    approvals: i32,
    asked: Json<Vec<Seat>>,
    approved_by: Vec<Uuid>,
}

/// The steps of a request with their slots, in order. A delegate's seat has ended, too, when nobody they stand in for is away at `now`.
///
/// # Errors
/// When the database fails.
pub async fn steps(tx: &mut Tx, id: RequestId, now: DateTime<Utc>) -> Result<Vec<StepRow>, StoreError> {
    let lines: Vec<SlotLine> = sqlx::query_as(concat!(
        "select st.step_no, st.name, st.time_limit_s, p.remind_every_s, v.reassign, sl.approvals,
           (select coalesce(json_agg(json_build_object('person', a.person_id, 'acting_as', a.acting_as, 'acting_for', a.acting_for,
               'ended', a.ended_at is not null or ",
        groundless!(),
        ") order by a.person_id), '[]') from assignment a where a.request_id = $1 and a.step_no = sl.step_no and a.slot_no = sl.slot_no) as asked,
           array(select p.decided_by from approval p where p.request_id = $1 and p.step_no = sl.step_no and p.slot_no = sl.slot_no and p.verdict = 'approve' order by p.decided_at) as approved_by
         from request_step st join request_slot sl on sl.request_id = st.request_id and sl.step_no = st.step_no
         join approval_procedure_step p on (p.procedure_version_id, p.position) = (st.procedure_version_id, st.procedure_step)
         join approval_procedure_version v on v.id = st.procedure_version_id
         where st.request_id = $1 order by sl.step_no, sl.slot_no"
    ))
    .bind(id.0)
    .bind(now)
    .fetch_all(&mut **tx)
    .await?;
    let mut steps: Vec<StepRow> = Vec::new();
    for line in lines {
        if steps.len() < line.step_no as usize {
            steps.push(StepRow {
                name: line.name,
                time_limit_s: line.time_limit_s,
                remind_every_s: line.remind_every_s,
                reassign: line.reassign,
                slots: Vec::new(),
            });
        }
        if let Some(step) = steps.last_mut() {
            step.slots.push(SlotState {
                approvals: line.approvals.max(1) as u32,
                asked: line.asked.0,
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
    /// How they came to be asked: `self`, `delegate_of:` and an id, `escalation`, `reassigned`, `fallback`.
    pub acting_as: &'a str,
    /// Whose place it is: nobody else answers for it in this slot.
    pub place: PersonId,
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

/// Writes a decision and closes the queue entries that it settles: the decider's in this step, everybody's who shares their place in
/// the slot, and all of a slot that has its count.
///
/// # Errors
/// [`StoreError::Refused`] when the database finds that the decider may not.
pub async fn decide(tx: &mut Tx, new: &NewApproval<'_>) -> Result<(), StoreError> {
    sqlx::query(
        "with done as (
           insert into approval (id, request_id, requester_id, beneficiary_id, step_no, slot_no, decided_by, verdict, comment, granted_s, ask_digest, inputs_digest, channel, decided_at, acting_as)
           values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $16)
         )
         update assignment set open = false where request_id = $2 and step_no = $5 and open
           and (person_id = $7 or slot_no = $6 and ($15 or coalesce(acting_for, person_id) = $17))",
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
    .bind(new.acting_as)
    .bind(new.place.0)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Opens step `step_no` at `now`. Who is not active any more is not asked, nor, with `distinct_people`, who has decided before.
///
/// # Errors
/// When the database fails.
#[allow(clippy::too_many_arguments, reason = "each is a column")]
pub async fn open_step(
    tx: &mut Tx,
    id: RequestId,
    step_no: i32,
    due_at: Option<DateTime<Utc>>,
    remind_at: Option<DateTime<Utc>>,
    granted_s: Option<i64>,
    distinct_people: bool,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query(
        "with before as (update request_step set done_at = $3 where request_id = $1 and step_no = $2 - 1),
              opened as (update request_step set opened_at = $3 where request_id = $1 and step_no = $2),
              asked as (update assignment a set open = p.status = 'active', assigned_at = case when p.status = 'active' then $3 end,
                  ended_at = case when p.status <> 'active' then $3 end
                from person p where p.id = a.person_id and a.request_id = $1 and a.step_no = $2 and a.ended_at is null
                and not ($6 and exists (select 1 from approval p where p.request_id = $1 and p.decided_by = a.person_id)))
         update request set status = 'pending', step_no = $2, step_due_at = $4, step_left_s = null, remind_at = $7, escalated = false, granted_s = $5 where id = $1",
    )
    .bind(id.0)
    .bind(step_no)
    .bind(now)
    .bind(due_at)
    .bind(granted_s)
    .bind(distinct_people)
    .bind(remind_at)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Names of everybody who is asked at the open step.
///
/// # Errors
/// When the database fails.
pub async fn open_people(tx: &mut Tx, id: RequestId) -> Result<Vec<Uuid>, StoreError> {
    Ok(sqlx::query_scalar("select distinct person_id from assignment where request_id = $1 and open order by 1").bind(id.0).fetch_all(&mut **tx).await?)
}

/// Asks one more person at a step that is open.
///
/// # Errors
/// [`StoreError::Refused`] when they were asked in this slot before.
#[allow(clippy::too_many_arguments, reason = "each is a column")]
pub async fn seat(tx: &mut Tx, id: RequestId, step_no: i32, slot_no: i32, seat: &Seat, now: DateTime<Utc>) -> Result<(), StoreError> {
    sqlx::query(
        "insert into assignment (request_id, step_no, slot_no, person_id, assigned_at, open, acting_as, acting_for) values ($1, $2, $3, $4, $5, true, $6, $7)",
    )
    .bind(id.0)
    .bind(step_no)
    .bind(slot_no)
    .bind(seat.person.0)
    .bind(now)
    .bind(seat.acting_as.word())
    .bind(seat.acting_for.map(|person| person.0))
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Ends the seat of `person` in a slot (or, without one, in every slot) of a step: they can no longer answer there.
///
/// # Errors
/// When the database fails.
pub async fn end_seat(tx: &mut Tx, id: RequestId, step_no: i32, slot_no: Option<i32>, person: PersonId, now: DateTime<Utc>) -> Result<(), StoreError> {
    sqlx::query(
        "update assignment set open = false, ended_at = $5
         where request_id = $1 and step_no = $2 and ($3::int is null or slot_no = $3) and person_id = $4 and ended_at is null",
    )
    .bind(id.0)
    .bind(step_no)
    .bind(slot_no)
    .bind(person.0)
    .bind(now)
    .execute(&mut **tx)
    .await?;
    Ok(())
}
