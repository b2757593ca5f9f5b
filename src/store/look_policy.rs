//! Policies in force and their versions.

use chrono::{DateTime, Utc};
use sqlx::FromRow;
use uuid::Uuid;

use super::db::Db;
use super::error::StoreError;

/// A policy in the version in force.
#[derive(Clone, Debug, FromRow)]
pub struct PolicyListed {
    /// The policy's id.
    pub id: Uuid,
    /// Id of its newest version.
    pub version_id: Uuid,
    /// Its name.
    pub name: String,
    /// When this version was applied.
    pub created_at: DateTime<Utc>,
    /// Who applied it, if it was somebody signed in.
    pub applied_by: Option<String>,
    /// How many roles it can govern.
    pub roles: i64,
}

/// Which bindings are the nearest of each role that is offered: of the role over of its application over the default.
macro_rules! governed {
    () => {
        "select r.id as role_id, b.policy_id from role r join application a on a.id = r.application_id cross join lateral (
             select policy_id from policy_binding where role_id = r.id
             union all select policy_id from policy_binding where application_id = r.application_id
               and not exists (select 1 from policy_binding n where n.role_id = r.id)
             union all select policy_id from policy_binding where role_id is null and application_id is null
               and not exists (select 1 from policy_binding n where n.role_id = r.id or n.application_id = r.application_id)) b
           where r.retired_at is null and a.retired_at is null"
    };
}

/// Policies by name after the policy `after`, at most `limit`.
///
/// # Errors
/// When the database fails.
pub async fn list(db: &Db, after: Option<Uuid>, limit: i64) -> Result<Vec<PolicyListed>, StoreError> {
    Ok(sqlx::query_as(concat!(
        "with governed as (",
        governed!(),
        "), newest as (select distinct on (policy_id) policy_id, id, name, created_at, created_by from access_policy_version order by policy_id, version desc)
         select n.policy_id as id, n.id as version_id, n.name, n.created_at, p.display_name as applied_by,
           (select count(distinct role_id) from governed g where g.policy_id = n.policy_id) as roles
         from newest n left join person p on p.id = n.created_by
         where $1::uuid is null or (n.name, n.policy_id) > (select s.name, s.policy_id from newest s where s.policy_id = $1)
         order by n.name, n.policy_id limit $2"
    ))
    .bind(after)
    .bind(limit)
    .fetch_all(&db.pool)
    .await?)
}

/// A version of a policy.
#[derive(Clone, Debug, FromRow)]
pub struct VersionListed {
    /// Its id.
    pub id: Uuid,
    /// Counted from 1.
    pub version: i32,
    /// When it was applied.
    pub created_at: DateTime<Utc>,
    /// Who applied it, if it was somebody signed in.
    pub applied_by: Option<String>,
    /// The change that made it, where one is on record.
    pub change_id: Option<Uuid>,
    /// Who approved that, where somebody else had to.
    pub approved_by: Option<String>,
}

/// The versions of a policy, newest first.
///
/// # Errors
/// When the database fails.
pub async fn versions(db: &Db, policy: Uuid) -> Result<Vec<VersionListed>, StoreError> {
    Ok(sqlx::query_as(
        "select v.id, v.version, v.created_at, p.display_name as applied_by, c.id as change_id, c.approved_by
         from access_policy_version v join access_policy k on k.id = v.policy_id left join person p on p.id = v.created_by
         left join lateral (
           select c.id, y.display_name as approved_by from policy_change_version w join policy_change c on c.id = w.change_id and c.status = 'applied'
             left join person y on y.id = c.approver_id
           where w.policy_key = k.key and w.version_to = v.version order by c.submitted_at, c.id limit 1) c on true
         where v.policy_id = $1 order by v.version desc limit 500",
    )
    .bind(policy)
    .fetch_all(&db.pool)
    .await?)
}

/// A role that a policy can govern.
#[derive(Clone, Debug, FromRow)]
pub struct GovernedRole {
    /// Its id.
    pub id: Uuid,
    /// Its application's name.
    pub application: String,
    /// Its name.
    pub role: String,
    /// Its risk.
    pub risk: String,
}

/// The roles that a policy can govern, by name, at most 500.
///
/// # Errors
/// When the database fails.
pub async fn roles(db: &Db, policy: Uuid) -> Result<Vec<GovernedRole>, StoreError> {
    Ok(sqlx::query_as(concat!(
        "select distinct a.name as application, r.name as role, r.id, r.risk from (",
        governed!(),
        ") g join role r on r.id = g.role_id join application a on a.id = r.application_id where g.policy_id = $1 order by 1, 2, 3 limit 500"
    ))
    .bind(policy)
    .fetch_all(&db.pool)
    .await?)
}

/// A request that a version governed.
#[derive(Clone, Debug, FromRow)]
pub struct UnderRow {
    /// The request.
    pub id: Uuid,
    /// For whom.
    pub beneficiary: String,
    /// The role.
    pub role_id: Uuid,
    /// Its application's name.
    pub application: String,
    /// Its name.
    pub role: String,
    /// Its risk.
    pub risk: String,
    /// Where the request stands.
    pub status: String,
    /// Where the access that came of it stands.
    pub delivery: Option<String>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// Seconds asked for; none: without end.
    pub duration_s: Option<i64>,
    /// Whether it was made as an emergency.
    pub emergency: bool,
}

/// The newest requests that `version` governed, at most `limit`.
///
/// # Errors
/// When the database fails.
pub async fn requests(db: &Db, version: Uuid, limit: i64) -> Result<Vec<UnderRow>, StoreError> {
    Ok(sqlx::query_as(
        "select r.id, b.display_name as beneficiary, r.role_id, a.name as application, o.name as role, o.risk, r.status,
           (select g.status from access_grant g where g.request_id = r.id limit 1) as delivery, r.created_at, r.duration_s, r.emergency_reason is not null as emergency
         from (select * from request where policy_version_id = $1 order by id desc limit $2) r
         join person b on b.id = r.beneficiary_id join role o on o.id = r.role_id join application a on a.id = r.application_id order by r.id desc",
    )
    .bind(version)
    .bind(limit)
    .fetch_all(&db.pool)
    .await?)
}
