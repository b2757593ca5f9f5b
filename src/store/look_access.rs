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
    /// How many live leases there are in all.
    pub live_total: i64,
    /// How many open requests there are in all.
    pub open_total: i64,
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
        "with mine as (
           (select 'live' as part, g.request_id, g.id as grant_id, row_number() over (order by g.ends_at nulls last, g.id) as place from access_grant g
            where g.beneficiary_id = $1 and g.status not in ('ended', 'failed') order by place limit $2)
           union all
           (select 'open', r.id, null, row_number() over (order by r.id desc) from request r
            where (r.beneficiary_id = $1 or r.requester_id = $1) and r.status in ('submitted', 'pending', 'needs_info') order by r.id desc limit $3)
           union all
           (select 'ended', x.request_id, x.id, row_number() over (order by x.id desc) from (select g.id, g.request_id from access_grant g
            where g.beneficiary_id = $1 and g.status in ('ended', 'failed') and ($5::uuid is null or g.id < $5) order by g.id desc limit $4) x)
           union all
           (select 'closed', x.id, null, row_number() over (order by x.id desc) from (select r.id from request r
            where (r.beneficiary_id = $1 or r.requester_id = $1) and r.status in ('denied', 'withdrawn', 'timed_out', 'refused') and ($7::uuid is null or r.id < $7) order by r.id desc limit $6) x)
         )
         select m.part, r.id as request_id, r.role_id, a.name as application, o.name as role, o.risk, b.display_name as beneficiary,
           r.status, r.created_at, r.duration_s, r.step_no, r.steps, coalesce(w.names, '{}') as waits_for, w.since as waits_since, v.extension, v.extension_last_percent, v.extension_most,
           g.extension_no, g.no_extension, g.id as grant_id,
           g.status as grant_status, g.duration_s as grant_s, g.starts_at, g.ends_at, g.verified_at, g.ended_at, g.end_reason, g.last_error, r.emergency_reason is not null as emergency,
           m.part = 'live' and exists (select 1 from access_grant e where e.extension_of = g.id and e.status not in ('ended', 'failed')) as extended,
           (select count(*) from access_grant l where l.beneficiary_id = $1 and l.status not in ('ended', 'failed')) as live_total,
           (select count(*) from request l where (l.beneficiary_id = $1 or l.requester_id = $1) and l.status in ('submitted', 'pending', 'needs_info')) as open_total
         from mine m join request r on r.id = m.request_id join person b on b.id = r.beneficiary_id join role o on o.id = r.role_id join application a on a.id = r.application_id
         left join access_policy_version v on m.part = 'live' and v.id = r.policy_version_id left join access_grant g on g.id = m.grant_id
         left join lateral (
           select (array_agg(distinct n.display_name))[1:4] as names, min(s.assigned_at) as since
           from assignment s join person n on n.id = s.person_id where m.part = 'open' and s.request_id = r.id and s.step_no = r.step_no and s.open
         ) w on true
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
