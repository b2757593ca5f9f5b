//! What was counted of each day.

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::FromRow;
use uuid::Uuid;

use super::db::{Db, Tx};
use super::error::StoreError;

/// Whose measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// Everybody's.
    Organisation,
    /// Of one application.
    Application(Uuid),
    /// Of one role.
    Role(Uuid),
}

impl Of {
    fn stored(self) -> (&'static str, Uuid) {
        match self {
            Self::Organisation => ("organisation", Uuid::nil()),
            Self::Application(id) => ("application", id),
            Self::Role(id) => ("role", id),
        }
    }
}

/// So many of a step of a measure, of a day or a folded month.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct CountRow {
    /// The day, or the first of the month.
    pub begins: NaiveDate,
    /// Which measure.
    pub measure: String,
    /// Which step; below 0 where only the number counts.
    pub step: i16,
    /// How many.
    pub count: i64,
}

/// So many answers of a step, of an approver.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct ApproverRow {
    /// Who.
    pub person_id: Uuid,
    /// Which step.
    pub step: i16,
    /// How many.
    pub count: i64,
}

/// What waits for an approver.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct WaitingRow {
    /// Who.
    pub person_id: Uuid,
    /// What they are called.
    pub name: String,
    /// How many slots.
    pub waiting: i64,
    /// Since when the oldest does.
    pub since: Option<DateTime<Utc>>,
}

/// How far it was counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, FromRow)]
pub struct Reach {
    /// The first day.
    pub first: Option<NaiveDate>,
    /// The last day that is counted, and whether it was over by then.
    pub last: Option<NaiveDate>,
    /// Whether that day was over.
    pub over: Option<bool>,
    /// When it was counted.
    pub at: Option<DateTime<Utc>>,
}

/// How far it was counted.
///
/// # Errors
/// When the database fails.
pub async fn reach(db: &Db) -> Result<Reach, StoreError> {
    Ok(sqlx::query_as(
        "select f.day as first, l.day as last, l.over, l.counted_at as at from (select min(day) as day from measure_day) f
           left join lateral (select day, over, counted_at from measure_day order by day desc limit 1) l on true",
    )
    .fetch_one(&db.pool)
    .await?)
}

/// The day of the first event from `from` on; none when there is none.
///
/// # Errors
/// When the database fails.
pub async fn day_from(db: &Db, from: DateTime<Utc>) -> Result<Option<NaiveDate>, StoreError> {
    let first: Option<DateTime<Utc>> =
        sqlx::query_scalar("select min(occurred_at) from audit_event where occurred_at >= $1").bind(from).fetch_one(&db.pool).await?;
    Ok(first.map(|at| at.date_naive()))
}

/// Counts `day` anew, from `from` up to `to`; `over` says that nothing more can come.
///
/// # Errors
/// When the database fails.
pub async fn count_day(tx: &mut Tx, day: NaiveDate, (from, to): (DateTime<Utc>, DateTime<Utc>), over: bool, now: DateTime<Utc>) -> Result<u64, StoreError> {
    sqlx::query("delete from measure where begins = $1").bind(day).execute(&mut **tx).await?;
    sqlx::query(
        "insert into measure_day (day, over, counted_at) values ($1, $2, $3) on conflict (day) do update set over = excluded.over, counted_at = excluded.counted_at",
    )
    .bind(day)
    .bind(over)
    .bind(now)
    .execute(&mut **tx)
    .await?;
    let counted = sqlx::query(
        "with e as materialized (
           select id, kind, request_id, grant_id, actor_id, occurred_at, data from audit_event
           where occurred_at >= $2 and occurred_at < $3 and request_id is not null and kind in ('request.submitted', 'request.refused', 'request.auto_approved',
             'request.approved', 'request.denied', 'request.timed_out', 'request.withdrawn', 'approval.given', 'approval.denied', 'grant.activated', 'grant.ended')
         ),
         fact (role_id, application_id, approver, measure, took) as (
           select r.role_id, r.application_id, null::uuid, m.measure, null::interval
           from e join request r on r.id = e.request_id
           cross join lateral (values ('asked', true), ('refused', e.kind = 'request.refused'), ('extension', r.extension_of is not null), ('emergency', r.emergency_reason is not null),
             ('repeated', r.extension_of is null and exists (select 1 from request q where q.beneficiary_id = r.beneficiary_id and q.role_id = r.role_id and q.id <> r.id
               and q.created_at <= r.created_at and q.created_at > r.created_at - interval '7 days'))) m (measure, met)
           where m.met and e.kind in ('request.submitted', 'request.refused', 'request.auto_approved')
             and not exists (select 1 from audit_event b where b.request_id = e.request_id and b.id < e.id and b.kind in ('request.submitted', 'request.refused', 'request.auto_approved'))
           union all
           select r.role_id, r.application_id, null, m.measure, m.took
           from e join request r on r.id = e.request_id
           cross join lateral (values ('auto_approved', e.kind = 'request.auto_approved', null), ('approved', e.kind in ('request.approved', 'request.auto_approved'), null),
             ('denied', e.kind = 'request.denied', null), ('timed_out', e.kind = 'request.timed_out', null), ('withdrawn', e.kind = 'request.withdrawn', null),
             ('to_decision', e.kind in ('request.approved', 'request.denied', 'request.timed_out'), e.occurred_at - r.created_at),
             ('to_first_view', e.kind in ('request.approved', 'request.denied', 'request.timed_out'),
               (select min(a.first_viewed_at) from assignment a where a.request_id = r.id) - r.created_at)) m (measure, met, took)
           where m.met and (m.took is not null or m.measure not like 'to\\_%')
           union all
           select r.role_id, r.application_id, null, 'step_' || s.step_no, coalesce(s.done_at, r.closed_at) - s.opened_at
           from e join request r on r.id = e.request_id join request_step s on s.request_id = r.id
           where e.kind in ('request.approved', 'request.denied', 'request.timed_out') and s.opened_at is not null and coalesce(s.done_at, r.closed_at) is not null
           union all
           select r.role_id, r.application_id, p.decided_by, 'answer', p.decided_at - a.assigned_at
           from e join request r on r.id = e.request_id
           join approval p on p.request_id = e.request_id and p.decided_by = e.actor_id and p.step_no::text = e.data ->> 'step_no'
           join assignment a on a.request_id = p.request_id and a.step_no = p.step_no and a.slot_no = p.slot_no and a.person_id = p.decided_by
           where e.kind in ('approval.given', 'approval.denied') and a.assigned_at is not null
           union all
           select g.role_id, g.application_id, null, m.measure, m.took
           from e join access_grant g on g.id = e.grant_id join request r on r.id = g.request_id
           cross join lateral (values ('granted', true, null), ('approved_before', g.approved_at <= coalesce(g.granted_at, g.verified_at), null),
             ('to_access', r.wanted_start is null and g.extension_of is null, g.verified_at - r.created_at),
             ('provisioning', g.extension_of is null, g.granted_at - greatest(g.approved_at, g.starts_at)),
             ('verification', g.extension_of is null, g.verified_at - g.granted_at)) m (measure, met, took)
           where e.kind = 'grant.activated' and m.met and (m.took is not null or m.measure in ('granted', 'approved_before'))
           union all
           select g.role_id, g.application_id, null, m.measure, m.took
           from e join access_grant g on g.id = e.grant_id
           left join lateral (select coalesce(l.deactivated_at, l.detected_at) as began from leaver l
             where l.person_id = g.beneficiary_id and l.detected_at <= g.ended_at order by l.detected_at desc limit 1) l on true
           cross join lateral (values ('expiry_lag', g.end_reason = 'expired', g.end_verified_at - g.ends_at),
             ('removal_lag', g.end_reason not in ('expired', 'offboarded', 'superseded'), g.end_verified_at - g.ended_at),
             ('leaver_lag', g.end_reason = 'offboarded', g.end_verified_at - l.began)) m (measure, met, took)
           where e.kind = 'grant.ended' and m.met and m.took is not null
         ),
         placed as (
           select o.of_kind, o.of_id, f.measure,
             case when f.took is null then -1 else least(320, floor(8 * ln(greatest(1.0::float8, extract(epoch from f.took)::float8 * 1000)) / ln(2.0::float8)))::int2 end as step
           from fact f
           cross join lateral (values ('organisation', '00000000-0000-0000-0000-000000000000'::uuid), ('application', f.application_id), ('role', f.role_id), ('approver', f.approver)) o (of_kind, of_id)
           where o.of_id is not null
         )
         insert into measure (begins, of_kind, of_id, measure, step, count)
         select $1, of_kind, of_id, measure, step, count(*) from placed group by of_kind, of_id, measure, step",
    )
    .bind(day)
    .bind(from)
    .bind(to)
    .execute(&mut **tx)
    .await?;
    Ok(counted.rows_affected())
}

/// Puts the days of the months before `month` together, each into one. Returns how many rows there were.
///
/// # Errors
/// When the database fails.
pub async fn fold(tx: &mut Tx, month: NaiveDate) -> Result<u64, StoreError> {
    let folded = sqlx::query(
        "with gone as (
           delete from measure m using (select distinct date_trunc('month', day)::date as month from measure_day where day < $1 and not folded) d
           where m.begins >= d.month and m.begins < d.month + interval '1 month' returning m.begins, m.of_kind, m.of_id, m.measure, m.step, m.count
         ),
         days as (update measure_day set folded = true where day < $1 and not folded)
         insert into measure (begins, of_kind, of_id, measure, step, count)
         select date_trunc('month', begins)::date, of_kind, of_id, measure, step, sum(count) from gone group by 1, 2, 3, 4, 5",
    )
    .bind(month)
    .execute(&mut **tx)
    .await?;
    Ok(folded.rows_affected())
}

/// What was counted from `from` up to `to`.
///
/// # Errors
/// When the database fails.
pub async fn counts(db: &Db, of: Of, (from, to): (NaiveDate, NaiveDate), by_day: bool) -> Result<Vec<CountRow>, StoreError> {
    let (of_kind, of_id) = of.stored();
    Ok(sqlx::query_as(
        "select case when $5 then begins else date_trunc('month', begins)::date end as begins, measure, step, sum(count)::bigint as count from measure
         where of_kind = $1 and of_id = $2 and begins >= $3 and begins < $4 group by 1, measure, step order by 1",
    )
    .bind(of_kind)
    .bind(of_id)
    .bind(from)
    .bind(to)
    .bind(by_day)
    .fetch_all(&db.pool)
    .await?)
}

/// The answers of every approver from `from` up to `to`.
///
/// # Errors
/// When the database fails.
pub async fn answers(db: &Db, (from, to): (NaiveDate, NaiveDate)) -> Result<Vec<ApproverRow>, StoreError> {
    Ok(sqlx::query_as(
        "select of_id as person_id, step, sum(count)::bigint as count from measure where of_kind = 'approver' and begins >= $1 and begins < $2 group by of_id, step",
    )
    .bind(from)
    .bind(to)
    .fetch_all(&db.pool)
    .await?)
}

/// What waits for each approver, and for `also` even where nothing does.
///
/// # Errors
/// When the database fails.
pub async fn waiting(db: &Db, also: &[Uuid]) -> Result<Vec<WaitingRow>, StoreError> {
    Ok(sqlx::query_as(
        "select p.id as person_id, p.display_name as name, coalesce(w.waiting, 0) as waiting, w.since
         from (select person_id, count(*) as waiting, min(assigned_at) as since from assignment where open group by person_id) w
         full join (select unnest($1::uuid[]) as person_id) a on a.person_id = w.person_id
         join person p on p.id = coalesce(w.person_id, a.person_id)",
    )
    .bind(also)
    .fetch_all(&db.pool)
    .await?)
}
