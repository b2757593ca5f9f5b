//! What the nightly checks found.

use chrono::{DateTime, Utc};
use sqlx::FromRow;
use uuid::Uuid;

use super::db::{Db, Tx};
use super::error::StoreError;

/// A step that cannot be taken, or hardly, to be kept.
#[derive(Clone, Debug)]
pub struct NewFinding {
    /// Its id.
    pub id: Uuid,
    /// The version of the policy.
    pub policy_version: Uuid,
    /// The role.
    pub role: Uuid,
    /// The step's name.
    pub step: String,
    /// `nobody`, `single_person`, `only_the_asker` or `unresolvable`.
    pub kind: &'static str,
    /// For how many people, at least 1.
    pub people: u32,
    /// One of them.
    pub example: Uuid,
    /// In a sentence.
    pub sentence: String,
}

/// Puts `findings` in the place of all that there were.
///
/// # Errors
/// When the database fails.
pub async fn rewrite(tx: &mut Tx, findings: &[NewFinding], now: DateTime<Utc>) -> Result<(), StoreError> {
    sqlx::query("delete from policy_finding").execute(&mut **tx).await?;
    for part in findings.chunks(1_000) {
        let column = |of: fn(&NewFinding) -> Uuid| part.iter().map(of).collect::<Vec<_>>();
        let texts = |of: fn(&NewFinding) -> &str| part.iter().map(|finding| of(finding).to_owned()).collect::<Vec<_>>();
        sqlx::query(
            "insert into policy_finding (id, policy_version_id, role_id, step, kind, people, example_id, sentence, found_at)
             select *, $9::timestamptz from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::int[], $7::uuid[], $8::text[])",
        )
        .bind(column(|finding| finding.id))
        .bind(column(|finding| finding.policy_version))
        .bind(column(|finding| finding.role))
        .bind(texts(|finding| &finding.step))
        .bind(texts(|finding| finding.kind))
        .bind(part.iter().map(|finding| i32::try_from(finding.people).unwrap_or(i32::MAX)).collect::<Vec<_>>())
        .bind(column(|finding| finding.example))
        .bind(texts(|finding| &finding.sentence))
        .bind(now)
        .execute(&mut **tx)
        .await?;
    }
    Ok(())
}

/// A finding as a policy's page shows it: the same of several roles is one.
#[derive(Clone, Debug, FromRow)]
pub struct PolicyFinding {
    /// `nobody`, `single_person`, `only_the_asker` or `unresolvable`.
    pub kind: String,
    /// In a sentence.
    pub sentence: String,
    /// How many roles it is so for.
    pub roles: i64,
    /// The first three of them, by name.
    pub some: Vec<String>,
}

/// What was found of a version of a policy, what nobody can approve first, at most 200.
///
/// # Errors
/// When the database fails.
pub async fn of_policy(db: &Db, version: Uuid) -> Result<Vec<PolicyFinding>, StoreError> {
    Ok(sqlx::query_as(
        "select f.kind, f.sentence, count(*) as roles, (array_agg(a.name || ' ' || r.name order by a.name, r.name))[1:3] as some
         from policy_finding f join role r on r.id = f.role_id join application a on a.id = r.application_id
         where f.policy_version_id = $1 group by f.kind, f.sentence order by f.kind = 'single_person', f.kind, count(*) desc, f.sentence limit 200",
    )
    .bind(version)
    .fetch_all(&db.pool)
    .await?)
}

/// How the rules in force are.
#[derive(Clone, Debug, FromRow)]
pub struct Totals {
    /// Policies with steps that some people's requests cannot take.
    pub dead_policies: i64,
    /// Their roles.
    pub dead_roles: i64,
    /// Such a policy.
    pub dead_example: Option<Uuid>,
    /// Policies with steps that hang on a single person.
    pub single_policies: i64,
    /// Pairs of grants that a separation rule keeps apart, without an exception.
    pub apart: i64,
    /// A role of one.
    pub apart_example: Option<Uuid>,
    /// Since when.
    pub apart_since: Option<DateTime<Utc>>,
    /// Changes that wait for a second person.
    pub proposed: i64,
    /// Since when the first of them waits.
    pub proposed_since: Option<DateTime<Utc>>,
    /// When dead ends were last looked for.
    pub checked_at: Option<DateTime<Utc>>,
    /// What went wrong the last time, if it did.
    pub last_error: Option<String>,
}

/// How the rules in force are, in numbers.
///
/// # Errors
/// When the database fails.
pub async fn totals(db: &Db) -> Result<Totals, StoreError> {
    Ok(sqlx::query_as(
        "with finding as (select v.policy_id, f.role_id, f.kind = 'single_person' as single from policy_finding f join access_policy_version v on v.id = f.policy_version_id),
           apart as (select f.found_at, g.role_id from separation_finding f join access_grant g on g.id = f.grant_a where f.resolved_at is null and f.outcome = 'found')
         select (select count(distinct policy_id) from finding where not single) as dead_policies,
           (select count(distinct role_id) from finding where not single) as dead_roles,
           (select policy_id from finding where not single order by policy_id limit 1) as dead_example,
           (select count(distinct policy_id) from finding where single) as single_policies,
           (select count(*) from apart) as apart,
           (select role_id from apart order by found_at, role_id limit 1) as apart_example,
           (select min(found_at) from apart) as apart_since,
           (select count(*) from policy_change where status = 'proposed') as proposed,
           (select min(submitted_at) from policy_change where status = 'proposed') as proposed_since,
           (select last_ok_at from timetable where name = 'health') as checked_at,
           (select last_error from timetable where name = 'health') as last_error",
    )
    .fetch_one(&db.pool)
    .await?)
}

/// When dead ends were last looked for, if ever.
///
/// # Errors
/// When the database fails.
pub async fn checked_at(db: &Db) -> Result<Option<DateTime<Utc>>, StoreError> {
    Ok(sqlx::query_scalar::<_, Option<DateTime<Utc>>>("select last_ok_at from timetable where name = 'health'").fetch_optional(&db.pool).await?.flatten())
}

/// Two live grants of one person that a separation rule in force keeps apart.
#[derive(Clone, Debug, FromRow)]
pub struct Apart {
    /// The rule.
    pub rule_id: Uuid,
    /// Its version in force.
    pub rule_version_id: Uuid,
    /// Its key.
    pub key: String,
    /// Its version.
    pub version: i32,
    /// Who holds both.
    pub person_id: Uuid,
    /// The grant of a role of set a.
    pub grant_a: Uuid,
    /// The grant of a role of set b.
    pub grant_b: Uuid,
    /// The request that was approved as an exception to the rule, if one was.
    pub request_id: Option<Uuid>,
}

/// Every two live grants of one person that a separation rule in force keeps apart. Of several grants of one role (an extension that
/// has begun) the oldest counts.
///
/// # Errors
/// When the database fails.
pub async fn apart(tx: &mut Tx) -> Result<Vec<Apart>, StoreError> {
    Ok(sqlx::query_as(
        "with rule as (
           select s.id as rule_id, s.key, v.id, v.version from separation_rule s
           cross join lateral (select id, version from separation_rule_version where rule_id = s.id order by version desc limit 1) v where s.retired_at is null
         ), live as (
           select distinct on (g.beneficiary_id, g.role_id) g.beneficiary_id, g.role_id, g.id, g.request_id from access_grant g
           where g.role_id in (select n.role_id from separation_rule_role n join rule on rule.id = n.rule_version_id) and g.status in ('provisioning', 'verifying', 'active')
           order by g.beneficiary_id, g.role_id, g.approved_at, g.id
         )
         select distinct on (rule.id, least(a.id, b.id), greatest(a.id, b.id)) rule.rule_id, rule.id as rule_version_id, rule.key, rule.version,
           a.beneficiary_id as person_id, a.id as grant_a, b.id as grant_b,
           (select q.id from request q where q.id in (a.request_id, b.request_id)
              and exists (select 1 from unnest(q.conflicts) c where c ~ ('^' || rule.key || ' v[0-9]+$')) order by q.created_at desc limit 1) as request_id
         from rule join separation_rule_role ra on ra.rule_version_id = rule.id and ra.side = 'a' join live a on a.role_id = ra.role_id
           join separation_rule_role rb on rb.rule_version_id = rule.id and rb.side = 'b' join live b on b.role_id = rb.role_id and b.beneficiary_id = a.beneficiary_id
         where a.role_id <> b.role_id order by 2, least(a.id, b.id), greatest(a.id, b.id), a.id",
    )
    .fetch_all(&mut **tx)
    .await?)
}

/// A finding of two such grants that is not resolved.
#[derive(Clone, Debug, FromRow)]
pub struct OpenApart {
    /// Its id.
    pub id: Uuid,
    /// The rule.
    pub rule_id: Uuid,
    /// Its key.
    pub key: String,
    /// The version under which it was found.
    pub version: i32,
    /// Who holds both.
    pub person_id: Uuid,
    /// One grant.
    pub grant_a: Uuid,
    /// The other.
    pub grant_b: Uuid,
}

/// The findings that are not resolved, locked.
///
/// # Errors
/// When the database fails.
pub async fn lock_open(tx: &mut Tx) -> Result<Vec<OpenApart>, StoreError> {
    Ok(sqlx::query_as(
        "select f.id, v.rule_id, s.key, v.version, f.person_id, f.grant_a, f.grant_b from separation_finding f
         join separation_rule_version v on v.id = f.rule_version_id join separation_rule s on s.id = v.rule_id where f.resolved_at is null order by f.id for update of f",
    )
    .fetch_all(&mut **tx)
    .await?)
}

/// Keeps a finding.
///
/// # Errors
/// When the database fails, or there is an open one of the same already.
pub async fn open(tx: &mut Tx, id: Uuid, apart: &Apart, now: DateTime<Utc>) -> Result<(), StoreError> {
    sqlx::query(
        "insert into separation_finding (id, rule_version_id, person_id, grant_a, grant_b, request_id, found_at, outcome)
         values ($1, $2, $3, $4, $5, $6, $7, case when $6::uuid is null then 'found' else 'approved_with_exception' end)",
    )
    .bind(id)
    .bind(apart.rule_version_id)
    .bind(apart.person_id)
    .bind(apart.grant_a)
    .bind(apart.grant_b)
    .bind(apart.request_id)
    .bind(now)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Ends a finding.
///
/// # Errors
/// When the database fails.
pub async fn resolve(tx: &mut Tx, id: Uuid, now: DateTime<Utc>) -> Result<(), StoreError> {
    sqlx::query("update separation_finding set resolved_at = $2 where id = $1").bind(id).bind(now).execute(&mut **tx).await?;
    Ok(())
}

/// An open finding of a role, as its page shows it.
#[derive(Clone, Debug, FromRow)]
pub struct RoleFinding {
    /// Who holds both.
    pub person: String,
    /// The other role.
    pub other_role: Uuid,
    /// Its application and name.
    pub other: String,
    /// The rule's name.
    pub rule: String,
    /// Whether an exception was approved.
    pub excepted: bool,
    /// When it was found.
    pub found_at: DateTime<Utc>,
}

/// Who holds `role` together with a role that a rule keeps apart from it, by name, at most 200.
///
/// # Errors
/// When the database fails.
pub async fn of_role(db: &Db, role: Uuid) -> Result<Vec<RoleFinding>, StoreError> {
    Ok(sqlx::query_as(
        "select p.display_name as person, o.id as other_role, a.name || ' ' || o.name as other, v.name as rule, f.outcome = 'approved_with_exception' as excepted, f.found_at
         from separation_finding f join access_grant ga on ga.id = f.grant_a join access_grant gb on gb.id = f.grant_b
           join role o on o.id = case when ga.role_id = $1 then gb.role_id else ga.role_id end join application a on a.id = o.application_id
           join person p on p.id = f.person_id join separation_rule_version v on v.id = f.rule_version_id
         where f.resolved_at is null and (ga.role_id = $1 or gb.role_id = $1) order by f.outcome, p.display_name, f.id limit 200",
    )
    .bind(role)
    .fetch_all(&db.pool)
    .await?)
}
