//! Roles as pages show them to one viewer.
//!
//! One statement gives a page of roles with how the viewer stands to each and which policies may govern it. The page is cut before
//! anything is looked up for its rows, so that the cost is that of the rows shown.

use chrono::{DateTime, Utc};
use sqlx::FromRow;
use uuid::Uuid;

use super::db::Db;
use super::error::StoreError;
use super::list_role::pattern;

/// A role, what the viewer has of it, and the versions that may govern it.
#[derive(Clone, Debug, FromRow)]
pub struct CardRow {
    /// The role.
    pub id: Uuid,
    /// The application's name.
    pub application: String,
    /// The role's name.
    pub role: String,
    /// `low`, `elevated` or `critical`.
    pub risk: String,
    /// What it lets one do.
    pub about: String,
    /// The viewer's lease that ends last, if they hold it.
    pub grant_id: Option<Uuid>,
    /// Its status.
    pub grant_status: Option<String>,
    /// When it begins or began.
    pub starts_at: Option<DateTime<Utc>>,
    /// When it ends.
    pub ends_at: Option<DateTime<Utc>>,
    /// When it was verified.
    pub verified_at: Option<DateTime<Utc>>,
    /// The viewer's open request.
    pub request_id: Option<Uuid>,
    /// When it was made.
    pub asked_at: Option<DateTime<Utc>>,
    /// The latest versions of the policies that may govern it, in the order in which they are tried.
    pub versions: Vec<Uuid>,
    /// The policies of those versions.
    pub policies: Vec<Uuid>,
}

/// The statement of cards; `$1` is the viewer, the rest is the page's choice of roles, in its order.
macro_rules! cards {
    ($roles:literal, $order:literal) => {
        concat!(
            "select r.id, r.application, r.role, r.risk, r.about, g.id as grant_id, g.status as grant_status, g.starts_at, g.ends_at, g.verified_at,
               q.id as request_id, q.created_at as asked_at, coalesce(b.versions, '{}') as versions, coalesce(b.policies, '{}') as policies
             from (select r.id, r.application_id, a.name as application, r.name as role, r.risk, r.description as about
               from role r join application a on a.id = r.application_id where r.retired_at is null and a.retired_at is null and r.method = 'idp_group' ",
            $roles,
            ") r left join lateral (
               select id, status, starts_at, ends_at, verified_at from access_grant
               where beneficiary_id = $1 and role_id = r.id and status not in ('ended', 'failed') and status <> 'revoking' order by ends_at desc nulls first limit 1
             ) g on true left join lateral (
               select id, created_at from request where beneficiary_id = $1 and role_id = r.id and status in ('pending', 'needs_info') limit 1
             ) q on true cross join lateral (
               select array_agg(v.id order by b.priority) as versions, array_agg(b.policy_id order by b.priority) as policies from (
                 select policy_id, priority, level, min(level) over () as nearest from (
                   select 1 as level, policy_id, priority from policy_binding where role_id = r.id
                   union all select 2, policy_id, priority from policy_binding where application_id = r.application_id
                   union all select 3, policy_id, priority from policy_binding where role_id is null and application_id is null
                 ) every_level
               ) b cross join lateral (select id from access_policy_version where policy_id = b.policy_id order by version desc limit 1) v
               where b.level = b.nearest
             ) b order by ",
            $order
        )
    };
}

/// Offered roles that hold every one of `words`, by application and name, after the role `after`, at most `limit`.
///
/// # Errors
/// When the database fails.
pub async fn cards(db: &Db, viewer: Uuid, words: &[String], application: Option<Uuid>, after: Option<Uuid>, limit: i64) -> Result<Vec<CardRow>, StoreError> {
    let patterns: Vec<String> = words.iter().map(|word| pattern(word)).collect();
    Ok(sqlx::query_as(cards!(
        "and ($2::uuid is null or r.application_id = $2) and r.search like all ($3)
         and ($4::uuid is null or (a.name, r.name, r.id) > (select y.name, x.name, x.id from role x join application y on y.id = x.application_id where x.id = $4))
         order by a.name, r.name, r.id limit $5",
        "r.application, r.role, r.id"
    ))
    .bind(viewer)
    .bind(application)
    .bind(patterns)
    .bind(after)
    .bind(limit)
    .fetch_all(&db.pool)
    .await?)
}

/// The offered ones of `roles`, in the order given.
///
/// # Errors
/// When the database fails.
pub async fn cards_of(db: &Db, viewer: Uuid, roles: &[Uuid]) -> Result<Vec<CardRow>, StoreError> {
    Ok(sqlx::query_as(cards!("and r.id = any($2)", "array_position($2, r.id)")).bind(viewer).bind(roles).fetch_all(&db.pool).await?)
}

/// Applications that offer a role: id and name, by name.
///
/// # Errors
/// When the database fails.
pub async fn applications(db: &Db) -> Result<Vec<(Uuid, String)>, StoreError> {
    Ok(sqlx::query_as(
        "select a.id, a.name from application a where a.retired_at is null
           and exists (select 1 from role r where r.application_id = a.id and r.retired_at is null) order by a.name, a.id",
    )
    .fetch_all(&db.pool)
    .await?)
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
              null::timestamptz as since, null::timestamptz as until, null::timestamptz as verified_at, null as decision, '{}'::text[] as approved_by, 0 as part
            from role r join drift d on d.directory = r.directory and d.group_reference = r.group_reference and d.kind = 'unexpected_member' and d.resolved_at is null
            left join person p on p.id = d.person_id where r.id = $1 and $2::uuid is null order by d.id limit 500)
           union all
           (select g.id, p.display_name, p.department, g.beneficiary_id, g.id, g.request_id, g.status, g.starts_at, g.ends_at, g.verified_at, q.decision,
              array(select n.display_name from approval v join person n on n.id = v.decided_by where v.request_id = g.request_id and v.verdict = 'approve' order by v.decided_at), 1
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
