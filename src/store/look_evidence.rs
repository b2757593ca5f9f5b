//! Controls: how many of what, and what is amiss.

use chrono::{DateTime, Utc};
use sqlx::FromRow;

use super::db::Db;
use super::error::StoreError;

/// Of one control: how many it is about, and how many of them are exceptions.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct Count {
    /// Which control, as [`crate::evidence::manifest::CONTROLS`] counts them, from 0.
    pub control: i32,
    /// How many.
    pub population: i64,
    /// Of them exceptions.
    pub exceptions: i64,
}

/// An exception of a control.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct Exception {
    /// Which control.
    pub control: i32,
    /// When.
    pub at: DateTime<Utc>,
    /// What it is: a word of the control.
    pub what: String,
    /// Whom it is about, where it is about somebody.
    pub person: Option<String>,
    /// Of what: a role, a group, an attribute.
    pub of: Option<String>,
    /// Where it is shown.
    pub href: String,
}

/// When a file was last taken, and by whom.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct LastTaken {
    /// The file.
    pub file: String,
    /// When.
    pub at: DateTime<Utc>,
    /// By whom; none: at the command line, or by a timetable.
    pub by: Option<String>,
}

/// Everything out of line in $1 to $2, as seen at $3: control, when, what, whom, of what, where.
macro_rules! exceptions {
    () => {
        r#"
select 0 as control, g.granted_at as at, 'before_approval' as what, g.beneficiary_id as person, g.role_id as role, null::text as of, '/requests/' || g.request_id as href
  from access_grant g where g.approved_at >= $1 and g.approved_at < $2 and g.granted_at < g.approved_at
union all
select 0, d.detected_at, 'adopted', d.person_id, null, d.group_reference, '/drift' from drift d where d.detected_at >= $1 and d.detected_at < $2 and d.action = 'adopted'
union all
select 1, r.created_at, 'kept_apart', r.beneficiary_id, r.role_id, array_to_string(r.conflicts, ', '), '/requests/' || r.id
  from request r where r.created_at >= $1 and r.created_at < $2 and r.status = 'approved' and r.conflicts <> '{}'
union all
select 1, f.found_at, 'held_together', f.person_id, q.role_id, null, '/requests/' || q.request_id
  from separation_finding f join access_grant q on q.id = f.grant_a where f.found_at >= $1 and f.found_at < $2 and f.outcome = 'found'
union all
select 2, l.detected_at, case when l.settled_at is null then 'still_held' else 'too_late' end, l.person_id, null, null, '/log?kind=grant.offboarded'
  from leaver l
  cross join lateral (select coalesce(l.deactivated_at, l.detected_at) + make_interval(hours => l.sla_hours) as due) s
  cross join lateral (select max(a.end_verified_at) as last, count(*) filter (where a.end_verified_at is null) as open from access_grant a
    where a.beneficiary_id = l.person_id and a.end_reason = 'offboarded' and a.ended_at >= l.detected_at) g
  where l.detected_at >= $1 and l.detected_at < $2
    and case when l.settled_at is not null and g.open = 0 then coalesce(g.last, l.detected_at) > s.due else $3 > s.due end
union all
select 3, m.changed_at, 'kept', m.person_id, g.role_id, m.attribute, '/requests/' || g.request_id
  from mover m join eligibility_loss e on e.mover_id = m.id join access_grant g on g.id = e.grant_id
  where m.changed_at >= $1 and m.changed_at < $2 and e.due_at is null
union all
select 4, d.detected_at, case when d.resolved_at is null then 'out_of_band' else 'left_alone' end, d.person_id, null, d.group_reference, '/drift'
  from drift d where d.kind = 'unexpected_member' and d.detected_at < $2
    and (d.resolved_at is null or exists (select 1 from drift_exception o where o.drift_id = d.id and o.ended_at is null))
union all
select 5, g.approved_at, case when g.ends_at is null then 'without_end' else 'extended' end, g.beneficiary_id, g.role_id, null, '/requests/' || g.request_id
  from access_grant g join role r on r.id = g.role_id
  where r.risk = 'critical' and g.approved_at >= $1 and g.approved_at < $2 and (g.ends_at is null or g.extension_no >= 2)
union all
select 5, v.due_at, 'not_reviewed', v.beneficiary_id, q.role_id, null, '/requests/' || v.request_id
  from emergency_review v join request q on q.id = v.request_id where v.reviewed_at is null and v.due_at < $3 and v.due_at >= $1 and v.due_at < $2
union all
select 7, d.detected_at, d.kind, d.person_id, null, d.group_reference, '/drift' from drift d where d.resolved_at is null and d.detected_at < $2
union all
select 8, c.submitted_at, 'alone', c.author_id, null, c.source, '/admin/changes/' || c.id
  from policy_change c where c.submitted_at >= $1 and c.submitted_at < $2 and c.status = 'applied' and c.approver_id is null"#
    };
}

/// How many each control is about in `from..to`, and how many of them are out of line as seen at `now`.
///
/// # Errors
/// When the database fails.
pub async fn counts(db: &Db, from: DateTime<Utc>, to: DateTime<Utc>, now: DateTime<Utc>) -> Result<Vec<Count>, StoreError> {
    Ok(sqlx::query_as(concat!(
        "with x as (select control, count(*) as exceptions from (",
        exceptions!(),
        ") e group by control),
         p(control, population) as (
           select 0, (select count(*) from access_grant where approved_at >= $1 and approved_at < $2)
           union all select 1, (select count(*) from request where created_at >= $1 and created_at < $2)
           union all select 2, (select count(*) from leaver where detected_at >= $1 and detected_at < $2)
           union all select 3, (select count(*) from mover where changed_at >= $1 and changed_at < $2)
           union all select 4, (select count(*) from access_grant where status not in ('ended', 'failed'))
           union all select 5, (select count(*) from access_grant g join role r on r.id = g.role_id where r.risk = 'critical' and g.approved_at >= $1 and g.approved_at < $2)
           union all select 6, 0
           union all select 7, (select count(*) from managed_group)
           union all select 8, (select count(*) from policy_change where submitted_at >= $1 and submitted_at < $2))
         select p.control, p.population, coalesce(x.exceptions, 0) as exceptions from p left join x on x.control = p.control order by p.control"
    ))
    .bind(from).bind(to).bind(now).fetch_all(&db.pool).await?)
}

/// The newest exceptions of each control, at most `most` of each.
///
/// # Errors
/// When the database fails.
pub async fn exceptions(db: &Db, from: DateTime<Utc>, to: DateTime<Utc>, now: DateTime<Utc>, most: i64) -> Result<Vec<Exception>, StoreError> {
    Ok(sqlx::query_as(concat!(
        "select e.control, e.at, e.what, o.display_name as person, coalesce(a.name || ' ' || r.name, g.name, e.of) as of, e.href
         from (select x.*, row_number() over (partition by x.control order by x.at desc, x.href) as nth from (",
        exceptions!(),
        ") x) e
         left join person o on o.id = e.person left join role r on r.id = e.role left join application a on a.id = r.application_id
         left join lateral (select d.name from directory_group d where e.role is null and d.reference = e.of limit 1) g on true
         where e.nth <= $4 order by e.control, e.nth"
    ))
    .bind(from)
    .bind(to)
    .bind(now)
    .bind(most)
    .fetch_all(&db.pool)
    .await?)
}

/// When each file was last taken, and by whom, among the newest takings.
///
/// # Errors
/// When the database fails.
pub async fn last_taken(db: &Db) -> Result<Vec<LastTaken>, StoreError> {
    Ok(sqlx::query_as(
        "select distinct on (e.file) e.file, e.occurred_at as at, e.actor_name as by
         from (select id, occurred_at, actor_name, data ->> 'file' as file from audit_event where kind = 'evidence.exported' order by id desc limit 2000) e
         where e.file is not null order by e.file, e.id desc",
    )
    .fetch_all(&db.pool)
    .await?)
}
