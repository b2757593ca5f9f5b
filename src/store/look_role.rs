//! Roles as pages show them to one viewer.
//!
//! What a role is and which policies may govern it is the same for everybody; what a viewer has of it is little. So the two are read
//! apart: lists keep the first for some seconds.

use chrono::{DateTime, Utc};
use sqlx::FromRow;
use uuid::Uuid;

use super::db::Db;
use super::error::StoreError;

/// What a viewer has of a role: a lease or an open request.
#[derive(Clone, Debug, FromRow)]
pub struct HasRow {
    /// The role.
    pub role_id: Uuid,
    /// The lease.
    pub grant_id: Option<Uuid>,
    /// Its status.
    pub grant_status: Option<String>,
    /// When it begins or began.
    pub starts_at: Option<DateTime<Utc>>,
    /// When it ends.
    pub ends_at: Option<DateTime<Utc>>,
    /// When it was verified.
    pub verified_at: Option<DateTime<Utc>>,
    /// The open request.
    pub request_id: Option<Uuid>,
    /// When it was made.
    pub asked_at: Option<DateTime<Utc>>,
    /// How many leases it extends in a row.
    pub extension_no: Option<i32>,
    /// Whether the holder said that it is not to be extended.
    pub no_extension: Option<bool>,
    /// Whether it was taken, or asked for, as an emergency.
    pub emergency: bool,
}

/// Every lease that has not ended, of one role the one that ends last first, and every open request of `viewer`.
///
/// # Errors
/// When the database fails.
pub async fn has(db: &Db, viewer: Uuid) -> Result<Vec<HasRow>, StoreError> {
    Ok(sqlx::query_as(
        "(select role_id, id as grant_id, status as grant_status, starts_at, ends_at, verified_at, null::uuid as request_id, null::timestamptz as asked_at, extension_no, no_extension,
            exists (select 1 from request q where q.id = access_grant.request_id and q.emergency_reason is not null) as emergency from access_grant
          where beneficiary_id = $1 and status not in ('ended', 'failed') and status <> 'revoking' order by ends_at desc nulls first)
         union all
         select role_id, null, null, null, null, null, id, created_at, null, null, emergency_reason is not null from request where beneficiary_id = $1 and status in ('submitted', 'pending', 'needs_info')",
    )
    .bind(viewer)
    .fetch_all(&db.pool)
    .await?)
}

/// A role as every viewer's catalog has it.
#[derive(Clone, Debug, FromRow)]
pub struct ShelfRow {
    /// The role.
    pub id: Uuid,
    /// The application.
    pub application_id: Uuid,
    /// Its name.
    pub application: String,
    /// The role's name.
    pub role: String,
    /// `low`, `elevated` or `critical`.
    pub risk: String,
    /// What it lets one do.
    pub about: String,
    /// What a search looks at, in lower case.
    pub search: String,
    /// The latest versions of the policies that may govern it, in the order in which they are tried.
    pub versions: Vec<Uuid>,
    /// The policies of those versions.
    pub policies: Vec<Uuid>,
}

/// The columns of [`ShelfRow`], with the rest of the statement.
macro_rules! shelf {
    ($rest:literal) => {
        concat!(
            "select r.id, r.application_id, a.name as application, r.name as role, r.risk, r.description as about, r.search, coalesce(b.versions, '{}') as versions,
               coalesce(b.policies, '{}') as policies
             from role r join application a on a.id = r.application_id cross join lateral (
               select array_agg(v.id order by b.priority) as versions, array_agg(b.policy_id order by b.priority) as policies from (
                 select policy_id, priority, level, min(level) over () as nearest from (
                   select 1 as level, policy_id, priority from policy_binding where role_id = r.id
                   union all select 2, policy_id, priority from policy_binding where application_id = r.application_id
                   union all select 3, policy_id, priority from policy_binding where role_id is null and application_id is null
                 ) every_level
               ) b cross join lateral (select id from access_policy_version where policy_id = b.policy_id order by version desc limit 1) v
               where b.level = b.nearest
             ) b where r.retired_at is null and a.retired_at is null and r.method = 'idp_group' ",
            $rest
        )
    };
}

/// Every role that is offered, by application and name.
///
/// # Errors
/// When the database fails.
pub async fn shelf(db: &Db) -> Result<Vec<ShelfRow>, StoreError> {
    Ok(sqlx::query_as(shelf!("order by a.name, r.name, r.id")).fetch_all(&db.pool).await?)
}

/// The role, if it is offered.
///
/// # Errors
/// When the database fails.
pub async fn one(db: &Db, role: Uuid) -> Result<Option<ShelfRow>, StoreError> {
    Ok(sqlx::query_as(shelf!("and r.id = $1")).bind(role).fetch_optional(&db.pool).await?)
}

/// What a role's own page says besides its card.
#[derive(Clone, Debug, FromRow)]
pub struct AboutRow {
    /// Who owns the role.
    pub owner_id: Uuid,
    /// Their name.
    pub owner: String,
    /// Who owns the application.
    pub application_owner_id: Uuid,
    /// Their name.
    pub application_owner: String,
    /// Its provisioning method.
    pub method: String,
    /// Key of the directory.
    pub directory: Option<String>,
    /// The group's id there.
    pub group_reference: Option<String>,
    /// The group's name when the catalog was applied.
    pub group_name: Option<String>,
    /// How many people hold it.
    pub holders: i64,
}

/// What a role's own page says besides its card.
///
/// # Errors
/// When the database fails.
pub async fn about(db: &Db, role: Uuid) -> Result<Option<AboutRow>, StoreError> {
    Ok(sqlx::query_as(
        "select r.owner_id, o.display_name as owner, a.owner_id as application_owner_id, p.display_name as application_owner, r.method, r.directory, r.group_reference, r.group_name,
           (select count(distinct g.beneficiary_id) from access_grant g where g.role_id = r.id and g.status in ('verifying', 'active')) as holders
         from role r join application a on a.id = r.application_id join person o on o.id = r.owner_id join person p on p.id = a.owner_id where r.id = $1",
    )
    .bind(role)
    .fetch_optional(&db.pool)
    .await?)
}

/// A member of a role: by a lease, or only by the directory.
#[derive(Clone, Debug, FromRow)]
pub struct MemberRow {
    /// The lease, or the drift that tells of a member without one.
    pub id: Uuid,
    /// The name, or the reference of somebody not known here.
    pub name: String,
    /// Their department.
    pub department: Option<String>,
    /// Who it is, if known here.
    pub person_id: Option<Uuid>,
    /// The lease; none for a member without one.
    pub grant_id: Option<Uuid>,
    /// Its request.
    pub request_id: Option<Uuid>,
    /// How far it has come.
    pub status: Option<String>,
    /// Since when.
    pub since: Option<DateTime<Utc>>,
    /// Until when.
    pub until: Option<DateTime<Utc>>,
    /// When it was verified.
    pub verified_at: Option<DateTime<Utc>>,
    /// What the policy said of the request.
    pub decision: Option<String>,
    /// Who approved, by name.
    pub approved_by: Vec<String>,
    /// Whether it began before anybody was asked.
    pub emergency: bool,
    /// Whether they were in the group before it was looked at for the first time.
    pub declared: bool,
}

/// Members of `role` and why each is there: first, on the first page, those that no lease explains, then the leases that have not
/// ended, oldest first, after the lease `after`, at most `limit`.
///
/// # Errors
/// When the database fails.
pub async fn members(db: &Db, role: Uuid, after: Option<Uuid>, limit: i64) -> Result<Vec<MemberRow>, StoreError> {
    Ok(sqlx::query_as(
        "select * from (
           (select d.id, coalesce(p.display_name, d.person_reference) as name, p.department, d.person_id, null::uuid as grant_id, null::uuid as request_id, null as status,
              null::timestamptz as since, null::timestamptz as until, null::timestamptz as verified_at, null as decision, '{}'::text[] as approved_by, false as emergency, false as declared, 0 as part
            from role r join drift d on d.directory = r.directory and d.group_reference = r.group_reference and d.kind = 'unexpected_member' and d.resolved_at is null
            left join person p on p.id = d.person_id where r.id = $1 and $2::uuid is null order by d.id limit 500)
           union all
           (select m.id, coalesce(p.display_name, m.person_reference), p.department, m.person_id, null, null, null, null, null, null, null, '{}'::text[], false, true, 0
            from role r join pre_existing_member m on m.directory = r.directory and m.group_reference = r.group_reference and m.gone_at is null
            left join person p on p.id = m.person_id where r.id = $1 and $2::uuid is null
              and not exists (select 1 from access_grant g where g.role_id = r.id and g.beneficiary_id = m.person_id and g.status not in ('ended', 'failed')) order by m.id limit 500)
           union all
           (select g.id, p.display_name, p.department, g.beneficiary_id, g.id, g.request_id, g.status, g.starts_at, g.ends_at, g.verified_at, q.decision,
              array(select n.display_name from approval v join person n on n.id = v.decided_by where v.request_id = g.request_id and v.verdict = 'approve' order by v.decided_at), q.emergency_reason is not null, false, 1
            from access_grant g join person p on p.id = g.beneficiary_id join request q on q.id = g.request_id
            where g.role_id = $1 and g.status not in ('ended', 'failed') and ($2::uuid is null or g.id > $2) order by g.id limit $3)
         ) every_member order by part, id",
    )
    .bind(role)
    .bind(after)
    .bind(limit)
    .fetch_all(&db.pool)
    .await?)
}

/// How many people of a department hold a role.
#[derive(Clone, Debug, FromRow)]
pub struct PeerRow {
    /// The department.
    pub department: String,
    /// How many active people it has.
    pub people: i64,
    /// A role; none in the department's row without holders.
    pub role_id: Option<Uuid>,
    /// How many of them hold it.
    pub holders: i64,
}

/// For each of `departments`: the roles its active people hold and by how many, most held first.
///
/// # Errors
/// When the database fails.
pub async fn peers(db: &Db, departments: &[String]) -> Result<Vec<PeerRow>, StoreError> {
    Ok(sqlx::query_as(
        "with member as (select id, department from person where department = any($1) and status = 'active'),
              size as (select department, count(*) as people from member group by department),
              held as (select m.department, g.role_id, count(distinct m.id) as holders from member m
                 join access_grant g on g.beneficiary_id = m.id and g.status not in ('ended', 'failed') and g.status = 'active' group by m.department, g.role_id)
         select s.department, s.people, h.role_id, coalesce(h.holders, 0) as holders from size s left join held h on h.department = s.department
         order by s.department, holders desc, h.role_id",
    )
    .bind(departments)
    .fetch_all(&db.pool)
    .await?)
}

/// How long things usually take for a role.
#[derive(Clone, Debug, FromRow)]
pub struct UsualRow {
    /// The step, counted from 1; 0: from approval to verified access.
    pub step_no: i32,
    /// The median, in seconds.
    pub median_s: i64,
}

/// Medians over the last 50 approved requests of a role, for what happened at least five times.
///
/// # Errors
/// When the database fails.
pub async fn usual(db: &Db, role: Uuid) -> Result<Vec<UsualRow>, StoreError> {
    Ok(sqlx::query_as(
        "with last as (select id from request where role_id = $1 and status = 'approved' order by id desc limit 50)
         select s.step_no, extract(epoch from percentile_cont(0.5) within group (order by s.done_at - s.opened_at))::bigint as median_s
         from last join request_step s on s.request_id = last.id where s.done_at is not null and s.opened_at is not null group by s.step_no having count(*) >= 5
         union all
         select 0, extract(epoch from percentile_cont(0.5) within group (order by g.verified_at - greatest(g.approved_at, g.provisioning_started_at)))::bigint
         from last join access_grant g on g.request_id = last.id where g.verified_at is not null having count(*) >= 5",
    )
    .bind(role)
    .fetch_all(&db.pool)
    .await?)
}

/// Where a lease belongs: its request and role.
///
/// # Errors
/// When the database fails.
pub async fn place_of_grant(db: &Db, grant: Uuid) -> Result<Option<(Uuid, Uuid)>, StoreError> {
    Ok(sqlx::query_as("select request_id, role_id from access_grant where id = $1").bind(grant).fetch_optional(&db.pool).await?)
}

/// Titles of roles: the application's name and their own.
///
/// # Errors
/// When the database fails.
pub async fn titles(db: &Db, roles: &[Uuid]) -> Result<Vec<(Uuid, String)>, StoreError> {
    Ok(sqlx::query_as("select r.id, a.name || ' ' || r.name from role r join application a on a.id = r.application_id where r.id = any($1) order by 2, 1")
        .bind(roles)
        .fetch_all(&db.pool)
        .await?)
}

/// Other roles that the same group gives.
///
/// # Errors
/// When the database fails.
pub async fn same_group(db: &Db, role: Uuid) -> Result<Vec<Uuid>, StoreError> {
    Ok(sqlx::query_scalar(
        "select o.id from role r join role o on o.directory = r.directory and o.group_reference = r.group_reference and o.id <> r.id where r.id = $1 order by o.id",
    )
    .bind(role)
    .fetch_all(&db.pool)
    .await?)
}
