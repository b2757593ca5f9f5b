//! Draws samples: the ids with the smallest digests.
//!
//! An id is made of cells of the file, so that anybody who has the file can draw the same. The database looks at every id of the
//! population once and keeps no more of them than are drawn.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::FromRow;
use uuid::Uuid;

use super::db::Db;
use super::error::StoreError;
use super::export::{Narrow, Population, Rows, stream_statement};
use super::look_log::LogRow;
use super::snapshot::Snapshot;

/// An id that was drawn.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct Drawn {
    /// The id.
    pub id: String,
    /// SHA-256 of the seed, a zero byte and the id.
    pub digest: Vec<u8>,
}

macro_rules! requests {
    () => {
        "select r.id::text as id from request r where r.created_at >= $1 and r.created_at < $2
           and ($3::uuid is null or r.application_id = $3) and ($4::uuid is null or r.role_id = $4) and ($5::uuid is null or r.beneficiary_id = $5 or r.requester_id = $5)"
    };
}
// Somebody who was asked twice in one step from sources of the same kind is one id; so is each source that found nobody.
macro_rules! approvals {
    () => {
        "select r.id || '|' || s.step_no || '|' || s.source || '|' || coalesce(a.person_id::text, '') as id
         from request r join request_slot s on s.request_id = r.id
         left join assignment a on a.request_id = s.request_id and a.step_no = s.step_no and a.slot_no = s.slot_no
         where r.created_at >= $1 and r.created_at < $2 and ($3::uuid is null or r.application_id = $3) and ($4::uuid is null or r.role_id = $4)
           and ($5::uuid is null or r.beneficiary_id = $5 or r.requester_id = $5 or a.person_id = $5)
           and (s.slot_no = 1 or not exists (select 1 from request_slot o left join assignment w on w.request_id = o.request_id and w.step_no = o.step_no and w.slot_no = o.slot_no
             where o.request_id = s.request_id and o.step_no = s.step_no and o.slot_no < s.slot_no and o.source = s.source and w.person_id is not distinct from a.person_id))
         union all
         select r.id || '|||' from request r where r.decision = 'auto_approved' and r.created_at >= $1 and r.created_at < $2
           and ($3::uuid is null or r.application_id = $3) and ($4::uuid is null or r.role_id = $4) and ($5::uuid is null or r.beneficiary_id = $5 or r.requester_id = $5)"
    };
}
macro_rules! grants {
    () => {
        "select g.id::text as id from access_grant g where g.approved_at >= $1 and g.approved_at < $2
           and ($3::uuid is null or g.application_id = $3) and ($4::uuid is null or g.role_id = $4) and ($5::uuid is null or g.beneficiary_id = $5)"
    };
}
macro_rules! provisioning {
    () => {
        "select a.id::text as id from provisioning_attempt a join target t on t.id = a.target_id left join access_grant g on g.id = a.grant_id
         where a.started_at >= $1 and a.started_at < $2
           and ($3::uuid is null or g.application_id = $3 or g.id is null and exists (select 1 from role r where r.application_id = $3 and r.directory = t.directory and r.group_reference = t.group_reference))
           and ($4::uuid is null or g.role_id = $4 or g.id is null and exists (select 1 from role r where r.id = $4 and r.directory = t.directory and r.group_reference = t.group_reference))
           and ($5::uuid is null or t.person_id = $5)"
    };
}
macro_rules! leavers {
    () => {
        r#"select l.person_id || '|' || to_char(l.detected_at, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as id from leaver l where l.detected_at >= $1 and l.detected_at < $2
           and ($3::uuid is null or exists (select 1 from access_grant a where a.beneficiary_id = l.person_id and a.application_id = $3 and a.end_reason = 'offboarded' and a.ended_at >= l.detected_at))
           and ($4::uuid is null or exists (select 1 from access_grant a where a.beneficiary_id = l.person_id and a.role_id = $4 and a.end_reason = 'offboarded' and a.ended_at >= l.detected_at))
           and ($5::uuid is null or l.person_id = $5)"#
    };
}
macro_rules! movers {
    () => {
        r#"select m.person_id || '|' || m.attribute || '|' || to_char(m.changed_at, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as id from mover m where m.changed_at >= $1 and m.changed_at < $2
           and ($3::uuid is null or exists (select 1 from eligibility_loss l join access_grant g on g.id = l.grant_id where l.mover_id = m.id and g.application_id = $3))
           and ($4::uuid is null or exists (select 1 from eligibility_loss l join access_grant g on g.id = l.grant_id where l.mover_id = m.id and g.role_id = $4))
           and ($5::uuid is null or m.person_id = $5)"#
    };
}
macro_rules! drifts {
    () => {
        "select d.sweep_id || '|' || coalesce(d.event_first::text, '') as id from drift d where d.detected_at >= $1 and d.detected_at < $2
           and ($3::uuid is null or exists (select 1 from role r where r.application_id = $3 and r.directory = d.directory and r.group_reference = d.group_reference))
           and ($4::uuid is null or exists (select 1 from role r where r.id = $4 and r.directory = d.directory and r.group_reference = d.group_reference))
           and ($5::uuid is null or d.person_id = $5 or d.resolved_by = $5)"
    };
}
// A change has a row for each version that it made, and is one id.
macro_rules! policy_changes {
    () => {
        "select c.id::text as id from policy_change c where c.submitted_at >= $1 and c.submitted_at < $2
           and ($3::uuid is null and $4::uuid is null or exists (select 1 from policy_change_version v where v.change_id = c.id
             and ($3::uuid is null or v.policy_key in (select p.key from policy_binding b join access_policy p on p.id = b.policy_id
               where b.application_id = $3 or b.role_id in (select r.id from role r where r.application_id = $3) or (b.role_id is null and b.application_id is null)))
             and ($4::uuid is null or v.policy_key in (select p.key from policy_binding b join access_policy p on p.id = b.policy_id
               where b.role_id = $4 or b.application_id = (select r.application_id from role r where r.id = $4) or (b.role_id is null and b.application_id is null)))))
           and ($5::uuid is null or c.author_id = $5 or c.approver_id = $5)"
    };
}
/// How many ids there are: $1 from, $2 to, $3 application, $4 role, $5 person.
macro_rules! counted {
    ($ids:expr) => {
        concat!("select count(*) from (", $ids, ") k")
    };
}
/// Those with the smallest digests: also $6 the seed, $7 how many.
macro_rules! drawn {
    ($ids:expr) => {
        concat!(
            "select k.id, sha256(convert_to($6, 'UTF8') || decode('00', 'hex') || convert_to(k.id, 'UTF8')) as digest from (",
            $ids,
            ") k order by 2, 1 limit $7"
        )
    };
}

/// How a population is counted and drawn from, how a row's id is made of its cells, and which cell an index finds it by.
struct Way {
    count: &'static str,
    draw: &'static str,
    id: &'static str,
    find: Option<&'static str>,
}

const fn way(count: &'static str, draw: &'static str, id: &'static str, find: Option<&'static str>) -> Way {
    Way { count, draw, id, find }
}

fn way_of(population: Population) -> Option<Way> {
    Some(match population {
        Population::Requests => way(counted!(requests!()), drawn!(requests!()), "x.request_id::text", Some("x.request_id")),
        Population::Approvals => way(
            counted!(approvals!()),
            drawn!(approvals!()),
            "x.request_id || '|' || coalesce(x.step_no::text, '') || '|' || coalesce(x.slot_source, '') || '|' || coalesce(x.assigned_to_id::text, '')",
            Some("x.request_id"),
        ),
        Population::Grants => way(counted!(grants!()), drawn!(grants!()), "x.grant_id::text", Some("x.grant_id")),
        Population::Provisioning => way(counted!(provisioning!()), drawn!(provisioning!()), "x.attempt_id::text", Some("x.attempt_id")),
        Population::Leavers => way(counted!(leavers!()), drawn!(leavers!()), "x.person_id || '|' || x.detected_at", Some("x.person_id")),
        Population::Movers => way(counted!(movers!()), drawn!(movers!()), "x.person_id || '|' || x.attribute || '|' || x.changed_at", Some("x.person_id")),
        Population::Drift => way(counted!(drifts!()), drawn!(drifts!()), "x.first_seen_sync_id || '|' || coalesce(x.event_seq_first::text, '')", None),
        Population::PolicyChanges => way(counted!(policy_changes!()), drawn!(policy_changes!()), "x.change_id::text", Some("x.change_id")),
        _ => return None,
    })
}

fn unknown(population: Population) -> StoreError {
    StoreError::Broken(format!("no sample can be drawn of {population:?}"))
}

/// How many ids `population` has, and the `size` of them that `seed` draws, in order.
///
/// # Errors
/// When the database fails, or no sample can be drawn of it.
pub async fn draw(db: &Db, population: Population, narrow: Narrow, seed: &str, size: i64) -> Result<(i64, Vec<Drawn>), StoreError> {
    let Way { count, draw, .. } = way_of(population).ok_or_else(|| unknown(population))?;
    let (from, to) = (narrow.from.unwrap_or(DateTime::UNIX_EPOCH), narrow.to.unwrap_or(LAST));
    let mut connection = Snapshot::open(db).await?.connection;
    // Of so many rows only the smallest are kept, so sorting holds little.
    sqlx::query("select set_config('enable_sort', 'on', true), set_config('plan_cache_mode', 'force_custom_plan', true)").execute(&mut *connection).await?;
    let count =
        sqlx::query_scalar(count).bind(from).bind(to).bind(narrow.application).bind(narrow.role).bind(narrow.person).fetch_one(&mut *connection).await?;
    let drawn = sqlx::query_as(draw)
        .bind(from)
        .bind(to)
        .bind(narrow.application)
        .bind(narrow.role)
        .bind(narrow.person)
        .bind(seed)
        .bind(size)
        .fetch_all(&mut *connection)
        .await?;
    Ok((count, drawn))
}

/// How the statements below begin that are put together here: none of them can be read as it stands.
const CHOOSE: &str = "select";
/// No time that is asked for lies after this.
const LAST: DateTime<Utc> = DateTime::<Utc>::MAX_UTC;

/// The rows of the file that have these ids, in the order of the ids: which of them (from 1), and the row as an object.
///
/// # Errors
/// When the database fails.
pub async fn rows(db: &Db, population: Population, narrow: Narrow, ids: &[String]) -> Result<Vec<(i32, Value)>, StoreError> {
    let (ids, having) = having(population, narrow, ids)?;
    let statement = format!(
        "{CHOOSE} array_position({ids}, z.id) as no, (select jsonb_object_agg(c.key, c.value) from jsonb_each_text(to_jsonb(z.x)) c) as row from ({having}) z order by 1, z.x::text"
    );
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(statement)).persistent(false).fetch_all(&db.pool).await?)
}

/// The same rows, streamed as the file has them.
///
/// # Errors
/// As of [`super::export::stream`].
pub async fn stream(db: &Db, population: Population, narrow: Narrow, ids: &[String]) -> Result<Rows, StoreError> {
    let (ids, having) = having(population, narrow, ids)?;
    stream_statement(db, format!("copy (select (z.x).* from ({having}) z order by array_position({ids}, z.id), z.x::text) to stdout (format csv)")).await
}

/// The ids as a literal, and a statement that gives the rows which have one of them. Ids are written in hex: nothing in them is read as SQL.
fn having(population: Population, narrow: Narrow, ids: &[String]) -> Result<(String, String), StoreError> {
    let Way { id, find, .. } = way_of(population).ok_or_else(|| unknown(population))?;
    let hex = |text: &str| text.bytes().map(|byte| format!("{byte:02x}")).collect::<String>();
    let array: Vec<String> = ids.iter().map(|id| format!("convert_from(decode('{}', 'hex'), 'UTF8')", hex(id))).collect();
    let array = format!("array[{}]::text[]", array.join(", "));
    let found = match find {
        Some(cell) => {
            // The first part of the id is the cell; what does not read as an id of ours finds nothing.
            let first = ids.iter().filter_map(|id| Uuid::try_parse(id.split('|').next()?).ok());
            let first: Vec<String> = first.map(|id| format!("'{}'", id.hyphenated())).collect();
            format!("{cell} = any(array[{}]::uuid[]) and ", first.join(", "))
        }
        None => String::new(),
    };
    let file = population.query(narrow);
    Ok((array.clone(), format!("{CHOOSE} {id} as id, x from ({file}) x where {found}{id} = any({array})")))
}

/// An event that an item of a sample cites.
#[derive(Clone, Debug, FromRow)]
pub struct CitedRow {
    /// Of which item.
    pub no: i32,
    /// The event.
    #[sqlx(flatten)]
    pub event: LogRow,
}

/// The events of items: the first and the last that each cites, and of those with a person all between that are about them; at most 100 of each.
///
/// # Errors
/// When the database fails.
pub async fn cited(db: &Db, items: &[(i32, Option<Uuid>, i64, i64)]) -> Result<Vec<CitedRow>, StoreError> {
    let (mut numbers, mut people, mut first, mut last) = (vec![], vec![], vec![], vec![]);
    for (no, person, from, to) in items {
        numbers.push(*no);
        people.push(*person);
        first.push(*from);
        last.push(*to);
    }
    Ok(sqlx::query_as(
        "select t.no, e.id, e.occurred_at, e.kind, e.actor_kind, e.actor_name, other.display_name as acting_for, k.name as token, e.channel, e.request_id, p.display_name as person,
           a.name as application, r.name as role, coalesce(q.emergency_reason is not null, false) as emergency, e.data
         from unnest($1::int[], $2::uuid[], $3::bigint[], $4::bigint[]) t(no, person, first, last)
         cross join lateral (
           (select c.id from audit_event c where t.person is not null and c.person_id = t.person and c.id between t.first and t.last order by c.id limit 100)
           union select t.first union select t.last) f
         join audit_event e on e.id = f.id left join person p on p.id = e.person_id left join person other on other.id = e.acting_for left join api_token k on k.id = e.token_id
         left join application a on a.id = e.application_id left join role r on r.id = e.role_id left join request q on q.id = e.request_id order by t.no, e.id",
    )
    .bind(numbers)
    .bind(people)
    .bind(first)
    .bind(last)
    .fetch_all(&db.pool)
    .await?)
}

/// Where an event stands in the sealed log.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct LeafRow {
    /// The event.
    pub event_id: i64,
    /// Its leaf.
    pub leaf_index: i64,
    /// The leaf's hash.
    pub hash: Vec<u8>,
}

/// The leaves of these events, of those that have one.
///
/// # Errors
/// When the database fails.
pub async fn leaves(db: &Db, events: &[i64]) -> Result<Vec<LeafRow>, StoreError> {
    Ok(sqlx::query_as("select event_id, leaf_index, hash from audit_leaf where event_id = any($1)").bind(events).fetch_all(&db.pool).await?)
}

/// A try to change a membership.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct TryRow {
    /// For which grant.
    pub grant_id: Uuid,
    /// `add` or `remove`.
    pub action: String,
    /// When the directory was told.
    pub started_at: DateTime<Utc>,
    /// When it had answered.
    pub finished_at: DateTime<Utc>,
    /// What it answered.
    pub result: String,
    /// What it said.
    pub detail: Option<String>,
    /// When the directory said itself that it is so.
    pub verified_at: Option<DateTime<Utc>>,
}

/// The tries for these grants, oldest first, at most 50 of each.
///
/// # Errors
/// When the database fails.
pub async fn tries(db: &Db, grants: &[Uuid]) -> Result<Vec<TryRow>, StoreError> {
    Ok(sqlx::query_as(
        "select g.id as grant_id, a.action, a.started_at, a.finished_at, a.result, a.detail, a.verified_at from access_grant g
         cross join lateral (select * from provisioning_attempt t where t.target_id = g.target_id and t.grant_id = g.id order by t.id limit 50) a
         where g.id = any($1) order by g.id, a.started_at, a.id",
    )
    .bind(grants)
    .fetch_all(&db.pool)
    .await?)
}

/// What an id is called.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct NameRow {
    /// Its id.
    pub id: Uuid,
    /// The person's name; the role's with its application.
    pub name: String,
    /// The request of a grant.
    pub request_id: Option<Uuid>,
}

/// People, roles and grants among these ids.
///
/// # Errors
/// When the database fails.
pub async fn names(db: &Db, ids: &[Uuid]) -> Result<Vec<NameRow>, StoreError> {
    Ok(sqlx::query_as(
        "select id, display_name as name, null::uuid as request_id from person where id = any($1)
         union all select r.id, a.name || ' ' || r.name, null from role r join application a on a.id = r.application_id where r.id = any($1)
         union all select g.id, p.display_name || ': ' || a.name || ' ' || r.name, g.request_id from access_grant g join person p on p.id = g.beneficiary_id
           join role r on r.id = g.role_id join application a on a.id = r.application_id where g.id = any($1)
         union all select q.id, p.display_name || ': ' || a.name || ' ' || r.name, q.id from request q join person p on p.id = q.beneficiary_id
           join role r on r.id = q.role_id join application a on a.id = r.application_id where q.id = any($1)",
    )
    .bind(ids)
    .fetch_all(&db.pool)
    .await?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_ids_hold_is_never_read_as_sql() {
        let ids = ["01934f2a-7c11-7abc-8def-0123456789ab|1|x'); drop table request; --|".to_owned()];
        for population in [Population::Approvals, Population::Movers, Population::Drift] {
            let (array, statement) = having(population, Narrow::default(), &ids).unwrap();
            assert!(!array.contains("drop") && !statement.contains("drop"), "{statement}");
        }
        assert!(having(Population::Events, Narrow::default(), &ids).is_err());
    }
}
