//! Who had access at a moment, page by page.
//!
//! The rows and their order are those of `access.csv`: both are made of the same parts, see [`super::export_state`]. Plans are made
//! for the moment that is asked about: few grants may have been live then, or most of all.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use sqlx::FromRow;
use sqlx::types::Json;
use uuid::Uuid;

use super::db::{Db, Tx};
use super::error::StoreError;
use super::export_state::{access_drifts, access_grants, access_members, access_then};

/// Of what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Narrow {
    /// The moment.
    pub at: DateTime<Utc>,
    /// Only of this application.
    pub application: Option<Uuid>,
    /// Only of this role.
    pub role: Option<Uuid>,
    /// Only of this person.
    pub person: Option<Uuid>,
}

/// Where a page begins: after the row with this key, which is unlike any other's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct After {
    /// A person known here; nobody known here comes after all of them.
    pub person: Option<Uuid>,
    /// Of nobody known here, the reference in the directory.
    pub reference: String,
    /// The role.
    pub role: Uuid,
    /// `request`, `pre_existing` or `out_of_band`.
    pub source: String,
    /// Since when.
    pub since: DateTime<Utc>,
    /// The grant, the declared member or the drift.
    pub row: Uuid,
}

/// Somebody who approved.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Approver {
    /// Who.
    pub id: Uuid,
    /// Their name now.
    pub name: String,
}

/// An access that somebody had.
#[derive(Clone, Debug, FromRow)]
pub struct HeldRow {
    /// Who, where it is somebody known here.
    pub id: Option<Uuid>,
    /// Of nobody known here, the reference in the directory.
    pub reference: String,
    /// Their name now.
    pub person: Option<String>,
    /// Their address now.
    pub email: Option<String>,
    /// What they were at that moment: `active`, `disabled` or `gone`.
    pub person_status: Option<String>,
    /// Their department at that moment.
    pub department: Option<String>,
    /// The application's name now.
    pub application: String,
    /// The role.
    pub role_id: Uuid,
    /// Its name now.
    pub role: String,
    /// Its risk now.
    pub risk: String,
    /// Key of the directory, and the reference of the group there.
    pub target: String,
    /// When they were given it, or it was first seen.
    pub since: DateTime<Utc>,
    /// When it ends by itself.
    pub until: Option<DateTime<Utc>>,
    /// `request`, `pre_existing` or `out_of_band`.
    pub source: String,
    /// The grant.
    pub grant_id: Option<Uuid>,
    /// The request.
    pub request_id: Option<Uuid>,
    /// Who approved it, by id.
    pub approvers: Json<Vec<Approver>>,
    /// The policy that governed the request.
    pub policy_id: Option<Uuid>,
    /// Its key.
    pub policy_key: Option<String>,
    /// Its name.
    pub policy_name: Option<String>,
    /// The number of its version.
    pub policy_version: Option<i32>,
    /// The grant, the declared member or the drift.
    pub row: Uuid,
}

/// Live at $2, as the index on the times of grants can say.
macro_rules! live {
    () => {
        " and tstzrange(coalesce(g.granted_at, g.verified_at), case when g.end_verified_at is not null then greatest(g.end_verified_at, coalesce(g.granted_at, g.verified_at)) end) @> $2::timestamptz"
    };
}

/// Of what `$held` finds, what comes after the key $6 to $11, in order, at most $12. First all that was held is found: how much that is nobody
/// knows beforehand, and looking person by person could mean to look at every grant there ever was.
macro_rules! after {
    ($held:expr) => {
        concat!(
            "
  (select s.* from (",
            $held,
            r#" offset 0) s where (coalesce(s.id, 'ffffffff-ffff-ffff-ffff-ffffffffffff'), s.reference, s.role_id, s.source, s.since, s.row)
      > ($6::uuid, $7::text collate "C", $8::uuid, $9::text collate "C", $10::timestamptz, $11::uuid)
    order by s.id, s.reference, s.role_id, s.source, s.since, s.row limit $12)"#
        )
    };
}

/// $1 nothing, $2 the moment, $3 application, $4 role, $5 person, $6 to $11 the key after which the page begins, $12 how many. What is found of
/// grants is in the index; the rest is looked up for those that are shown.
const PAGE: &str = concat!(
    "
with m as materialized (select $2::timestamptz as at, $1::timestamptz as unused),
x as materialized (select y.* from (",
    after!(concat!(
        r#"select g.beneficiary_id as id, '' collate "C" as reference, g.role_id, null::text as directory, null::text as group_reference,
      coalesce(g.granted_at, g.verified_at) as since, 'request' collate "C" as source, g.id as row "#,
        access_grants!("$2::timestamptz"),
        live!(),
        " and g.beneficiary_id >= $6"
    )),
    "
  union all",
    after!(concat!(
        r#"select b.person_id as id, (case when b.person_id is null then b.person_reference else '' end) collate "C" as reference, r.id as role_id, b.directory, b.group_reference,
      b.noted_at as since, 'pre_existing' collate "C" as source, b.id as row "#,
        access_members!("$2::timestamptz")
    )),
    "
  union all",
    after!(concat!(
        r#"select d.person_id as id, (case when d.person_id is null then d.person_reference else '' end) collate "C" as reference, r.id as role_id, d.directory, d.group_reference,
      d.detected_at as since, 'out_of_band' collate "C" as source, d.id as row "#,
        access_drifts!("$2::timestamptz")
    )),
    r#") y order by y.id, y.reference, y.role_id, y.source, y.since, y.row limit $12)
select x.id, x.reference, p.display_name as person, p.email, coalesce(gone.status, case when later.there then 'active' else p.status end) as person_status,
  case when moved.there then moved.was else p.department end as department, a.name as application, r.id as role_id, r.name as role, r.risk,
  coalesce(t.directory || ': group ' || t.group_reference, x.directory || ': group ' || x.group_reference) as target, x.since, g.ends_at as until, x.source, g.id as grant_id,
  g.request_id,
  (select coalesce(json_agg(json_build_object('id', o.id, 'name', o.display_name) order by o.id::text), '[]')
    from person o where o.id in (select ap.decided_by from approval ap where ap.request_id = g.request_id and ap.verdict = 'approve')) as approvers,
  k.id as policy_id, k.key as policy_key, v.name as policy_name, v.version as policy_version, x.row
from x cross join m
join role r on r.id = x.role_id
join application a on a.id = r.application_id
left join access_grant g on x.source = 'request' and g.id = x.row
left join target t on t.id = g.target_id
"#,
    access_then!(),
    r#"
left join request q on q.id = g.request_id
left join access_policy_version v on v.id = q.policy_version_id
left join access_policy k on k.id = v.policy_id
order by x.id, x.reference, x.role_id, x.source, x.since, x.row"#
);

/// How many rows there are in all: $1 nothing, $2 the moment, $3 application, $4 role, $5 person.
const COUNT: &str = concat!(
    "select (select count(*) ",
    access_grants!("$2::timestamptz"),
    live!(),
    ") + (select count(*) ",
    access_members!("$2::timestamptz"),
    ") + (select count(*) ",
    access_drifts!("$2::timestamptz"),
    ") where $1::timestamptz is null"
);

/// How many rows there are, and the page of them that begins after `after`, at most `limit`.
///
/// # Errors
/// When the database fails.
pub async fn held(db: &Db, narrow: Narrow, after: Option<&After>, limit: i64) -> Result<(i64, Vec<HeldRow>), StoreError> {
    let mut tx = db.begin().await?;
    sqlx::query("select set_config('plan_cache_mode', 'force_custom_plan', true)").execute(&mut *tx).await?;
    let count = count(&mut tx, narrow).await?;
    let first =
        After { person: Some(Uuid::nil()), reference: String::new(), role: Uuid::nil(), source: String::new(), since: DateTime::UNIX_EPOCH, row: Uuid::nil() };
    let after = after.unwrap_or(&first);
    let rows = sqlx::query_as(PAGE)
        .bind(None::<DateTime<Utc>>)
        .bind(narrow.at)
        .bind(narrow.application)
        .bind(narrow.role)
        .bind(narrow.person)
        .bind(after.person.unwrap_or(Uuid::max()))
        .bind(&after.reference)
        .bind(after.role)
        .bind(&after.source)
        .bind(after.since)
        .bind(after.row)
        .bind(limit)
        .fetch_all(&mut *tx)
        .await?;
    Ok((count, rows))
}

async fn count(tx: &mut Tx, narrow: Narrow) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar(COUNT)
        .bind(None::<DateTime<Utc>>)
        .bind(narrow.at)
        .bind(narrow.application)
        .bind(narrow.role)
        .bind(narrow.person)
        .fetch_one(&mut **tx)
        .await?)
}
