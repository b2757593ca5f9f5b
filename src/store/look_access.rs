//! What one person holds, waits for and had.

use chrono::{DateTime, Utc};
use sqlx::FromRow;
use uuid::Uuid;

use super::db::Db;
use super::error::StoreError;

/// A request of the person, and the lease that came of it.
#[derive(Clone, Debug, FromRow)]
pub struct MineRow {
    /// `live`, `open`, `ended` or `closed`.
    pub part: String,
    /// The request.
    pub request_id: Uuid,
    /// The role.
    pub role_id: Uuid,
    /// The application's name.
    pub application: String,
    /// The role's name.
    pub role: String,
    /// Its risk.
    pub risk: String,
    /// Who is to hold it.
    pub beneficiary: String,
    /// The request's status.
    pub status: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// Seconds asked for; none: without end.
    pub duration_s: Option<i64>,
    /// The step that is open.
    pub step_no: Option<i32>,
    /// How many there are.
    pub steps: i32,
    /// Who is asked at it, by name, at most four.
    pub waits_for: Vec<String>,
    /// Since when.
    pub waits_since: Option<DateTime<Utc>>,
    /// Whether the policy it was approved under lets it be extended.
    pub extension: Option<bool>,
    /// In the last how many percent of its time.
    pub extension_last_percent: Option<i32>,
    /// How often in a row; none: without limit.
    pub extension_most: Option<i32>,
    /// How many leases it extends in a row.
    pub extension_no: Option<i32>,
    /// Whether the holder said that it is not to be extended.
    pub no_extension: Option<bool>,
    /// The lease.
    pub grant_id: Option<Uuid>,
    /// How far it has come.
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
    /// Why.
    pub end_reason: Option<String>,
    /// What the last attempt at the directory said, while it fails.
    pub last_error: Option<String>,
    /// Whether it began before anybody was asked.
    pub emergency: bool,
    /// Whether another lease extends it.
    pub extended: bool,
    /// How many live leases or open requests there are in all; 0 for a row of the long parts.
    pub total: i64,
}

/// How much of each part is wanted, and where the two long ones begin.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted {
    /// Most live leases, soonest end first.
    pub live: i64,
    /// Most open requests, newest first.
    pub open: i64,
    /// Most ended leases, newest first.
    pub ended: i64,
    /// Ended leases after this one.
    pub ended_after: Option<Uuid>,
    /// Most requests that came to nothing, newest first.
    pub closed: i64,
    /// Those after this one.
    pub closed_after: Option<Uuid>,
}

/// Everything of `person` that is wanted, in one statement, each part in its order.
///
/// # Errors
/// When the database fails.
pub async fn mine(db: &Db, person: Uuid, wanted: &Wanted) -> Result<Vec<MineRow>, StoreError> {
    Ok(sqlx::query_as(
        // Each part reads its own table; only what all of them show is looked up for all.
        "select m.part, m.request_id, m.role_id, a.name as application, o.name as role, o.risk, b.display_name as beneficiary, m.status, m.created_at, m.duration_s, m.step_no, m.steps,
           m.waits_for, m.waits_since, m.extension, m.extension_last_percent, m.extension_most, m.extension_no, m.no_extension, m.grant_id, m.grant_status, m.grant_s,
           m.starts_at, m.ends_at, m.verified_at, m.ended_at, m.end_reason, m.last_error, m.emergency, m.extended, m.total
         from (
           (select 'live' as part, row_number() over (order by g.ends_at nulls last, g.id) as place, count(*) over () as total, g.request_id, g.role_id, g.application_id, g.beneficiary_id,
              r.status, r.created_at, r.duration_s, r.step_no, r.steps, '{}'::text[] as waits_for, null::timestamptz as waits_since,
              v.extension, v.extension_last_percent, v.extension_most, g.extension_no, g.no_extension, g.id as grant_id, g.status as grant_status,
              g.duration_s as grant_s, g.starts_at, g.ends_at, g.verified_at, g.ended_at, g.end_reason, g.last_error, r.emergency_reason is not null as emergency,
              exists (select 1 from access_grant e where e.extension_of = g.id and e.status not in ('ended', 'failed')) as extended
            from access_grant g join request r on r.id = g.request_id left join access_policy_version v on v.id = r.policy_version_id
            where g.beneficiary_id = $1 and g.status not in ('ended', 'failed') order by place limit $2)
           union all
           (select 'open', row_number() over (order by r.id desc) as place, count(*) over (), r.id, r.role_id, r.application_id, r.beneficiary_id,
              r.status, r.created_at, r.duration_s, r.step_no, r.steps, coalesce(w.names, '{}'), w.since,
              null, null, null, null, null, null, null,
              null, null, null, null, null, null, null, r.emergency_reason is not null,
              false
            from request r left join lateral (
              select (array_agg(distinct n.display_name))[1:4] as names, min(s.assigned_at) as since
              from assignment s join person n on n.id = s.person_id where s.request_id = r.id and s.step_no = r.step_no and s.open
            ) w on true
            where (r.beneficiary_id = $1 or r.requester_id = $1) and r.status in ('submitted', 'pending', 'needs_info') order by place limit $3)
           union all
           (select 'ended', row_number() over (order by x.id desc), 0, x.request_id, x.role_id, x.application_id, x.beneficiary_id,
              r.status, r.created_at, r.duration_s, r.step_no, r.steps, '{}', null,
              null, null, null, x.extension_no, x.no_extension, x.id, x.status,
              x.duration_s, x.starts_at, x.ends_at, x.verified_at, x.ended_at, x.end_reason, x.last_error, r.emergency_reason is not null,
              false
            from (select * from access_grant g where g.beneficiary_id = $1 and g.status in ('ended', 'failed') and ($5::uuid is null or g.id < $5) order by g.id desc limit $4) x
            join request r on r.id = x.request_id)
           union all
           (select 'closed', row_number() over (order by x.id desc), 0, x.id, x.role_id, x.application_id, x.beneficiary_id,
              x.status, x.created_at, x.duration_s, x.step_no, x.steps, '{}', null,
              null, null, null, null, null, null, null,
              null, null, null, null, null, null, null, x.emergency_reason is not null,
              false
            from (select * from request r where (r.beneficiary_id = $1 or r.requester_id = $1) and r.status in ('denied', 'withdrawn', 'timed_out', 'refused')
                  and ($7::uuid is null or r.id < $7) order by r.id desc limit $6) x)
         ) m join role o on o.id = m.role_id join application a on a.id = m.application_id join person b on b.id = m.beneficiary_id
         order by m.part, m.place",
    )
    .bind(person)
    .bind(wanted.live)
    .bind(wanted.open)
    .bind(wanted.ended)
    .bind(wanted.ended_after)
    .bind(wanted.closed)
    .bind(wanted.closed_after)
    .fetch_all(&db.pool)
    .await?)
}
