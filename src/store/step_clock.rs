//! The clock of an open step, and what is due.

use chrono::{DateTime, Utc};
use sqlx::FromRow;
use uuid::Uuid;

use crate::domain::deadline::{Pause, StepClock};
use crate::domain::id::{PersonId, RequestId};
use crate::domain::policy::{ApproverSource, Escalation};
use crate::domain::span::Seconds;

use super::db::{Db, Tx};
use super::error::StoreError;
use super::policy_parts;

/// Open requests of which the limit or the next reminder of the step has passed at `now`, `but` for these, at most `limit`, the
/// longest overdue first.
///
/// # Errors
/// When the database fails.
pub async fn due(db: &Db, now: DateTime<Utc>, but: &[Uuid], limit: i64) -> Result<Vec<Uuid>, StoreError> {
    Ok(sqlx::query_scalar(
        "select id from (
           (select id, step_due_at as at from request where step_due_at <= $1 and id <> all ($2) order by step_due_at limit $3)
           union all
           (select id, remind_at from request where remind_at <= $1 and id <> all ($2) order by remind_at limit $3)
         ) d group by id order by min(at) limit $3",
    )
    .bind(now)
    .bind(but)
    .bind(limit)
    .fetch_all(&db.pool)
    .await?)
}

/// Open requests in which somebody is, or will be, asked who is no longer active, at most `limit`.
///
/// # Errors
/// When the database fails.
pub async fn asking_the_inactive(db: &Db, limit: i64) -> Result<Vec<Uuid>, StoreError> {
    Ok(sqlx::query_scalar(
        "select distinct a.request_id from request r join assignment a on a.request_id = r.id and a.step_no = r.step_no and a.open
         join person p on p.id = a.person_id and p.status <> 'active' where r.status in ('pending', 'needs_info') order by 1 limit $1",
    )
    .bind(limit)
    .fetch_all(&db.pool)
    .await?)
}

#[derive(FromRow)]
struct ClockRow {
    opened_at: DateTime<Utc>,
    time_limit_s: Option<i64>,
    remind_every_s: Option<i64>,
    escalates: bool,
    escalation_limit_s: Option<i64>,
    escalated_at: Option<DateTime<Utc>>,
    reminded_at: Option<DateTime<Utc>>,
    asked_at: Vec<DateTime<Utc>>,
    answered_at: Vec<Option<DateTime<Utc>>>,
}

/// The clock of the open step of a request; none when no step is open.
///
/// # Errors
/// When the database fails.
pub async fn of(tx: &mut Tx, id: RequestId) -> Result<Option<StepClock>, StoreError> {
    let row: Option<ClockRow> = sqlx::query_as(
        "select st.opened_at, p.time_limit_s, p.remind_every_s, p.escalates, p.escalation_limit_s,
           case when r.escalated then (select min(a.assigned_at) from assignment a where a.request_id = r.id and a.step_no = r.step_no and a.acting_as = 'escalation') end as escalated_at,
           (select max(n.created_at) from notice n where n.request_id = r.id and n.kind = 'reminder' and n.created_at >= st.opened_at) as reminded_at,
           array(select q.asked_at from request_question q where q.request_id = r.id and q.step_no = r.step_no order by q.asked_at, q.id) as asked_at,
           array(select q.answered_at from request_question q where q.request_id = r.id and q.step_no = r.step_no order by q.asked_at, q.id) as answered_at
         from request r join request_step st on st.request_id = r.id and st.step_no = r.step_no and st.opened_at is not null
         join approval_procedure_step p on (p.procedure_version_id, p.position) = (st.procedure_version_id, st.procedure_step)
         where r.id = $1",
    )
    .bind(id.0)
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.map(|row| StepClock {
        opened_at: row.opened_at,
        time_limit: row.time_limit_s.map(Seconds),
        remind_every: row.remind_every_s.map(Seconds),
        escalates: row.escalates,
        escalation_limit: row.escalation_limit_s.map(Seconds),
        escalated_at: row.escalated_at,
        reminded_at: row.reminded_at,
        pauses: row.asked_at.into_iter().zip(row.answered_at).map(|(from, until)| Pause { from, until }).collect(),
    }))
}

/// Sets when the open step is due and reminds next, and whether it has escalated.
///
/// # Errors
/// When the database fails.
pub async fn set(
    tx: &mut Tx,
    id: RequestId,
    (due_at, remind_at): (Option<DateTime<Utc>>, Option<DateTime<Utc>>),
    left_s: Option<i64>,
    escalated: bool,
) -> Result<(), StoreError> {
    sqlx::query("update request set step_due_at = $2, remind_at = $3, step_left_s = $4, escalated = $5 where id = $1")
        .bind(id.0)
        .bind(due_at)
        .bind(remind_at)
        .bind(left_s)
        .bind(escalated)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Has the worker look at the open step at `at`.
///
/// # Errors
/// When the database fails.
pub async fn look_at(tx: &mut Tx, id: RequestId, at: DateTime<Utc>) -> Result<(), StoreError> {
    sqlx::query("update request set remind_at = $2 where id = $1").bind(id.0).bind(at).execute(&mut **tx).await?;
    Ok(())
}

/// Notes when those who are asked were nudged.
///
/// # Errors
/// When the database fails.
pub async fn nudged(tx: &mut Tx, id: RequestId, now: DateTime<Utc>) -> Result<(), StoreError> {
    sqlx::query("update request set nudged_at = $2 where id = $1").bind(id.0).bind(now).execute(&mut **tx).await?;
    Ok(())
}

/// Whom the open step of a request may ask.
#[derive(Clone, Debug)]
pub struct Sources {
    /// Whom it escalates to; none: it does not.
    pub escalation: Option<Escalation>,
    /// The sources of each slot, in order.
    pub slots: Vec<Vec<ApproverSource>>,
}

/// Whom the open step of a request may ask, by its procedure; none when no step is open.
///
/// # Errors
/// When the database fails, or the procedure does not read back.
pub async fn sources(db: &Db, id: RequestId) -> Result<Option<Sources>, StoreError> {
    let mut connection = db.pool.acquire().await?;
    let step: Option<(Uuid, i32)> = sqlx::query_as(
        "select st.procedure_version_id, st.procedure_step from request r join request_step st on st.request_id = r.id and st.step_no = r.step_no where r.id = $1",
    )
    .bind(id.0)
    .fetch_optional(&mut *connection)
    .await?;
    let Some((version, position)) = step else { return Ok(None) };
    let of_slots: Vec<i32> = sqlx::query_scalar(
        "select l.procedure_slot from request r join request_slot l on l.request_id = r.id and l.step_no = r.step_no where r.id = $1 order by l.slot_no",
    )
    .bind(id.0)
    .fetch_all(&mut *connection)
    .await?;
    let procedure = policy_parts::procedures(&mut connection, &[version]).await?.remove(&version);
    let lost = || StoreError::Broken(format!("procedure version {version} has no step {position}"));
    let place = usize::try_from(position).ok().and_then(|n| n.checked_sub(1)).ok_or_else(lost)?;
    let step = procedure.and_then(|procedure| procedure.steps.into_iter().nth(place)).ok_or_else(lost)?;
    let of = |slot: i32| usize::try_from(slot).ok().and_then(|n| n.checked_sub(1)).and_then(|n| step.slots.get(n)).map(|slot| slot.sources.clone());
    Ok(Some(Sources { slots: of_slots.into_iter().map(|slot| of(slot).unwrap_or_default()).collect(), escalation: step.escalation.clone() }))
}

/// The names that a notice about a request gives.
#[derive(Clone, Debug, FromRow)]
pub struct Called {
    /// Who asked.
    pub requester: String,
    /// For whom.
    pub beneficiary: String,
    /// "Orders DB: read-only".
    pub role: String,
}

/// What a request is called in what people are told.
///
/// # Errors
/// When the database fails.
pub async fn called(tx: &mut Tx, id: RequestId) -> Result<Called, StoreError> {
    Ok(sqlx::query_as(
        "select q.display_name as requester, b.display_name as beneficiary, a.name || ': ' || o.name as role
         from request r join person q on q.id = r.requester_id join person b on b.id = r.beneficiary_id join role o on o.id = r.role_id join application a on a.id = o.application_id
         where r.id = $1",
    )
    .bind(id.0)
    .fetch_one(&mut **tx)
    .await?)
}

/// Those of `people` who are not active.
///
/// # Errors
/// When the database fails.
pub async fn inactive(tx: &mut Tx, people: &[PersonId]) -> Result<Vec<PersonId>, StoreError> {
    let ids: Vec<Uuid> = people.iter().map(|person| person.0).collect();
    let found: Vec<Uuid> =
        sqlx::query_scalar("select id from person where id = any($1) and status <> 'active' order by id").bind(ids).fetch_all(&mut **tx).await?;
    Ok(found.into_iter().map(PersonId).collect())
}
