//! Everything recorded about one person, table by table.

use chrono::{DateTime, Utc};
use sqlx::FromRow;
use uuid::Uuid;

use super::db::Db;
use super::error::StoreError;

/// What there is about a person: a word, and the statement of its rows. $1 is the person, $2 the key of the last row that was read (null at the
/// beginning), $3 at most how many; rows are (key, JSON), in the order of the key. What would let somebody sign in is left out, what the
/// directory said of somebody else whom they asked for, and legal holds that they did not place themselves.
const PARTS: [(&str, &str); 15] = [
    ("person", "select p.id::text, to_jsonb(p)::text from person p where p.id = $1 and $2::text is null limit $3"),
    (
        "identity",
        "select i.issuer, to_jsonb(i)::text from identity i where i.person_id = $1 and ($2::text is null or i.issuer > $2) order by i.issuer limit $3",
    ),
    (
        "session",
        "select s.id::text, (to_jsonb(s) - array['token_hash', 'id_token', 'sid'])::text from session s
         where s.person_id = $1 and ($2::text is null or s.id > $2::uuid) order by s.id limit $3",
    ),
    (
        "api_token",
        "select t.id::text, (to_jsonb(t) - 'token_hash')::text from api_token t where t.person_id = $1 and ($2::text is null or t.id > $2::uuid) order by t.id limit $3",
    ),
    (
        "request",
        "select r.id::text, (to_jsonb(r) - case when r.beneficiary_id = $1 then '{}' else array['inputs', 'trace', 'conflicts'] end)::text from request r where $1 in (r.requester_id, r.beneficiary_id) and ($2::text is null or r.id > $2::uuid) order by r.id limit $3",
    ),
    (
        "grant",
        "select g.id::text, to_jsonb(g)::text from access_grant g where g.beneficiary_id = $1 and ($2::text is null or g.id > $2::uuid) order by g.id limit $3",
    ),
    (
        "approval",
        "select a.id::text, to_jsonb(a)::text from approval a where a.decided_by = $1 and ($2::text is null or a.id > $2::uuid) order by a.id limit $3",
    ),
    (
        "question",
        "select q.id::text, to_jsonb(q)::text from request_question q where $1 in (q.asked_by, q.answered_by) and ($2::text is null or q.id > $2::uuid) order by q.id limit $3",
    ),
    (
        "delegation",
        "select d.id::text, to_jsonb(d)::text from delegation d where $1 in (d.person_id, d.delegate_id) and ($2::text is null or d.id > $2::uuid) order by d.id limit $3",
    ),
    (
        "notice",
        "select n.id::text, to_jsonb(n)::text from notice n where n.person_id = $1 and ($2::text is null or n.id > $2::uuid) order by n.id limit $3",
    ),
    (
        "review_of_emergency",
        "select v.request_id::text, to_jsonb(v)::text from emergency_review v where $1 in (v.beneficiary_id, v.reviewed_by) and ($2::text is null or v.request_id > $2::uuid)
         order by v.request_id limit $3",
    ),
    (
        "leaving",
        "select l.id::text, to_jsonb(l)::text from leaver l where l.person_id = $1 and ($2::text is null or l.id > $2::uuid) order by l.id limit $3",
    ),
    (
        "moving",
        "select m.id::text, to_jsonb(m)::text from mover m where m.person_id = $1 and ($2::text is null or m.id > $2::uuid) order by m.id limit $3",
    ),
    (
        "membership",
        "select t.id::text, to_jsonb(t)::text from target t where t.person_id = $1 and ($2::text is null or t.id > $2::uuid) order by t.id limit $3",
    ),
    (
        "event",
        "select x.id::text, x.line from (
           (select e.id, (to_jsonb(e) - array['txid', 'salt', 'erased'])::text as line from audit_event e where e.person_id = $1
             and (not starts_with(e.kind, 'hold.') or e.actor_id = $1) and e.id > coalesce($2::bigint, -1) order by e.id limit $3)
           union (select e.id, (to_jsonb(e) - array['txid', 'salt', 'erased'])::text from audit_event e where e.actor_id = $1 and e.id > coalesce($2::bigint, -1) order by e.id limit $3)) x
         order by x.id limit $3",
    ),
];

/// Where reading goes on: which part, and after which of its rows.
#[derive(Clone, Debug, Default)]
pub struct Mark {
    part: usize,
    after: Option<String>,
}

/// Some rows about `person` from `mark` on, at most `most`, as JSON lines `{"what": …, "row": …}`, and where to go on; none at the end.
///
/// # Errors
/// When the database fails.
pub async fn lines(db: &Db, person: Uuid, mark: &Mark, most: i64) -> Result<Option<(String, Mark)>, StoreError> {
    let Some((what, statement)) = PARTS.get(mark.part) else { return Ok(None) };
    let rows: Vec<(String, String)> = sqlx::query_as(*statement).bind(person).bind(&mark.after).bind(most).fetch_all(&db.pool).await?;
    let mut text = String::new();
    for (_, row) in &rows {
        text.push_str(&format!("{{\"what\":\"{what}\",\"row\":{row}}}\n"));
    }
    let next = match rows.last() {
        Some((key, _)) if rows.len() as i64 == most => Mark { part: mark.part, after: Some(key.clone()) },
        _ => Mark { part: mark.part + 1, after: None },
    };
    Ok(Some((text, next)))
}

/// How much there is about a person.
#[derive(Clone, Debug, FromRow)]
pub struct Amounts {
    /// Requests by or for them.
    pub requests: i64,
    /// Grants they have or had.
    pub grants: i64,
    /// Decisions they made on requests of others.
    pub approvals: i64,
    /// What they were told.
    pub notices: i64,
    /// Where they are signed in.
    pub sessions: i64,
    /// Tokens.
    pub tokens: i64,
    /// Events about them or by them.
    pub events: i64,
}

/// How much there is about `person`.
///
/// # Errors
/// When the database fails.
pub async fn amounts(db: &Db, person: Uuid) -> Result<Amounts, StoreError> {
    Ok(sqlx::query_as(
        "select (select count(*) from request where requester_id = $1 or beneficiary_id = $1) as requests,
           (select count(*) from access_grant where beneficiary_id = $1) as grants, (select count(*) from approval where decided_by = $1) as approvals,
           (select count(*) from notice where person_id = $1) as notices, (select count(*) from session where person_id = $1) as sessions,
           (select count(*) from api_token where person_id = $1) as tokens,
           (select count(*) from audit_event where person_id = $1 and (not starts_with(kind, 'hold.') or actor_id = $1)) + (select count(*) from audit_event where actor_id = $1 and person_id is distinct from $1) as events",
    )
    .bind(person)
    .fetch_one(&db.pool)
    .await?)
}

/// What the directory said of a person.
#[derive(Clone, Debug, FromRow)]
pub struct Described {
    /// Key of the directory.
    pub directory: String,
    /// Their id there.
    pub reference: String,
    /// Login name.
    pub user_name: String,
    /// Address.
    pub email: Option<String>,
    /// Name.
    pub display_name: String,
    /// Attributes.
    pub attributes: serde_json::Value,
    /// When they were last seen.
    pub seen_at: DateTime<Utc>,
}

/// What the directory said of `person`.
///
/// # Errors
/// When the database fails.
pub async fn described(db: &Db, person: Uuid) -> Result<Option<Described>, StoreError> {
    Ok(sqlx::query_as("select directory, reference, user_name, email, display_name, attributes, seen_at from person where id = $1")
        .bind(person)
        .fetch_optional(&db.pool)
        .await?)
}

/// Somebody who looked.
#[derive(Clone, Debug, FromRow)]
pub struct Looked {
    /// When.
    pub at: DateTime<Utc>,
    /// Who.
    pub who: String,
    /// What they looked at, or took.
    pub what: String,
}

/// Who else read or took what is about `person`, newest first, at most `most`.
///
/// # Errors
/// When the database fails.
pub async fn looked(db: &Db, person: Uuid, most: i64) -> Result<Vec<Looked>, StoreError> {
    Ok(sqlx::query_as(
        "select e.occurred_at as at, coalesce(e.actor_name, case e.channel when 'cli' then 'An operator' else 'Countersign' end) as who,
           coalesce(e.data ->> 'page', e.data ->> 'file', '') as what
         from audit_event e where e.person_id = $1 and e.kind in ('evidence.read', 'evidence.exported') and e.actor_id is distinct from $1 order by e.id desc limit $2",
    )
    .bind(person)
    .bind(most)
    .fetch_all(&db.pool)
    .await?)
}

/// Whether `actor` has read `page` about `person` since `since`, among what they did last.
///
/// # Errors
/// When the database fails.
pub async fn has_read(db: &Db, actor: Uuid, person: Option<Uuid>, page: &str, since: DateTime<Utc>) -> Result<bool, StoreError> {
    Ok(sqlx::query_scalar(
        "select exists (select 1 from (select kind, person_id, occurred_at, data from audit_event where actor_id = $1 order by id desc limit 200) e
           where e.kind = 'evidence.read' and e.person_id is not distinct from $2 and e.data ->> 'page' = $3 and e.occurred_at >= $4)",
    )
    .bind(actor)
    .bind(person)
    .bind(page)
    .bind(since)
    .fetch_one(&db.pool)
    .await?)
}
