//! Leaves, nodes and checkpoints of the sealed log.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;

use super::db::{Db, Tx};
use super::error::StoreError;
use super::export::Narrow;

/// The advisory lock of whoever seals.
const LOCK: i64 = 0x5EA1;

/// An event as it was written.
#[derive(Clone, Debug, FromRow)]
pub struct EventRow {
    /// The insertion key.
    pub id: i64,
    /// When.
    pub occurred_at: DateTime<Utc>,
    /// What happened.
    pub kind: String,
    /// `person`, `token` or `system`.
    pub actor_kind: String,
    /// Who.
    pub actor_id: Option<Uuid>,
    /// Their name then.
    pub actor_name: Option<String>,
    /// For whom they acted.
    pub acting_for: Option<Uuid>,
    /// With which token.
    pub token_id: Option<Uuid>,
    /// The door.
    pub channel: String,
    /// The request.
    pub request_id: Option<Uuid>,
    /// The grant.
    pub grant_id: Option<Uuid>,
    /// The person it is about.
    pub person_id: Option<Uuid>,
    /// The role.
    pub role_id: Option<Uuid>,
    /// The application.
    pub application_id: Option<Uuid>,
    /// The policy version.
    pub policy_version_id: Option<Uuid>,
    /// The payload.
    pub data: serde_json::Value,
    /// What the salts of its fields come from; none once something was erased.
    pub salt: Option<Uuid>,
    /// What was erased, and the salts of what was not.
    pub erased: Option<serde_json::Value>,
}

/// An event with its leaf.
#[derive(Clone, Debug, FromRow)]
pub struct LeafRow {
    /// Its place in the log.
    pub leaf_index: i64,
    /// The leaf's hash.
    pub hash: Vec<u8>,
    /// The event.
    #[sqlx(flatten)]
    pub event: EventRow,
}

macro_rules! events {
    ($more:literal, $rest:literal) => {
        concat!(
            "select ",
            $more,
            "e.id, e.occurred_at, e.kind, e.actor_kind, e.actor_id, e.actor_name, e.acting_for, e.token_id, e.channel, e.request_id, e.grant_id, e.person_id, e.role_id, ",
            "e.application_id, e.policy_version_id, e.data, e.salt, e.erased ",
            $rest
        )
    };
}

/// What was signed last.
#[derive(Clone, Debug, FromRow)]
pub struct Signed {
    /// How many leaves.
    pub size: i64,
    /// The root over them.
    pub root: Vec<u8>,
    /// The signed note.
    pub note: String,
    /// When.
    pub signed_at: DateTime<Utc>,
}

/// Whether this transaction may seal: nobody else does until it ends.
///
/// # Errors
/// When the database fails.
pub async fn lock(tx: &mut Tx) -> Result<bool, StoreError> {
    Ok(sqlx::query_scalar("select pg_try_advisory_xact_lock($1)").bind(LOCK).fetch_one(&mut **tx).await?)
}

/// How many events wait for their leaf, and since when the oldest does.
///
/// # Errors
/// When the database fails.
pub async fn waiting(db: &Db) -> Result<(i64, Option<DateTime<Utc>>), StoreError> {
    Ok(sqlx::query_as(
        "select (select count(*) from audit_unsealed), (select e.occurred_at from audit_event e where e.id = (select min(event_id) from audit_unsealed))",
    )
    .fetch_one(&db.pool)
    .await?)
}

/// What was signed last; none in a log that nobody sealed.
///
/// # Errors
/// When the database fails.
pub async fn last(tx: &mut Tx) -> Result<Option<Signed>, StoreError> {
    Ok(sqlx::query_as("select size, root, note, signed_at from audit_checkpoint order by id desc limit 1").fetch_optional(&mut **tx).await?)
}

/// As [`last`], for who only looks.
///
/// # Errors
/// When the database fails.
pub async fn newest(db: &Db) -> Result<Option<Signed>, StoreError> {
    Ok(sqlx::query_as("select size, root, note, signed_at from audit_checkpoint order by id desc limit 1").fetch_optional(&db.pool).await?)
}

/// How many leaves there are.
///
/// # Errors
/// When the database fails.
pub async fn leaves(tx: &mut Tx) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar("select coalesce((select max(leaf_index) + 1 from audit_leaf), 0)").fetch_one(&mut **tx).await?)
}

/// At most `most` events that wait for their leaf, oldest first.
///
/// # Errors
/// When the database fails.
pub async fn unsealed(tx: &mut Tx, most: i64) -> Result<Vec<EventRow>, StoreError> {
    Ok(sqlx::query_as(events!(
        "",
        "from (select event_id from audit_unsealed order by event_id limit $1) u join audit_event e on e.id = u.event_id order by e.id"
    ))
    .bind(most)
    .fetch_all(&mut **tx)
    .await?)
}

/// New leaves, the first of them at `first`; their events wait no longer.
///
/// # Errors
/// [`StoreError::Refused`] when they do not follow the last leaf.
pub async fn append(tx: &mut Tx, first: i64, events: &[i64], hashes: &[Vec<u8>]) -> Result<(), StoreError> {
    sqlx::query("insert into audit_leaf (leaf_index, event_id, hash) select $1 + t.n - 1, t.event, t.hash from unnest($2::bigint[], $3::bytea[]) with ordinality as t(event, hash, n)")
        .bind(first)
        .bind(events)
        .bind(hashes)
        .execute(&mut **tx)
        .await?;
    sqlx::query("delete from audit_unsealed where event_id = any($1)").bind(events).execute(&mut **tx).await?;
    Ok(())
}

/// Nodes above the leaves that have become whole: level, index, hash.
///
/// # Errors
/// When the database refuses.
pub async fn keep_nodes(tx: &mut Tx, nodes: &[(i32, i64, Vec<u8>)]) -> Result<(), StoreError> {
    if nodes.is_empty() {
        return Ok(());
    }
    let levels: Vec<i32> = nodes.iter().map(|node| node.0).collect();
    let indexes: Vec<i64> = nodes.iter().map(|node| node.1).collect();
    let hashes: Vec<&[u8]> = nodes.iter().map(|node| node.2.as_slice()).collect();
    sqlx::query("insert into audit_node (level, index, hash) select * from unnest($1::int[], $2::bigint[], $3::bytea[])")
        .bind(levels)
        .bind(indexes)
        .bind(hashes)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// A signed checkpoint.
///
/// # Errors
/// When the database refuses.
pub async fn sign(tx: &mut Tx, signed: &Signed) -> Result<(), StoreError> {
    sqlx::query("insert into audit_checkpoint (size, root, note, signed_at) values ($1, $2, $3, $4)")
        .bind(signed.size)
        .bind(&signed.root)
        .bind(&signed.note)
        .bind(signed.signed_at)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Hashes of `level` (0: leaves; else a multiple of 8) from `first` to before `end`, in order. Fewer when not all are there.
///
/// # Errors
/// When the database fails.
pub async fn hashes(connection: &mut PgConnection, level: i32, first: i64, end: i64) -> Result<Vec<Vec<u8>>, StoreError> {
    let query = if level == 0 {
        sqlx::query_scalar("select hash from audit_leaf where $1 = 0 and leaf_index >= $2 and leaf_index < $3 order by leaf_index")
    } else {
        sqlx::query_scalar("select hash from audit_node where level = $1 and index >= $2 and index < $3 order by index")
    };
    Ok(query.bind(level).bind(first).bind(end).fetch_all(connection).await?)
}

/// Leaves from `first` to before `end` with their events, in order, at most `most`.
///
/// # Errors
/// When the database fails.
pub async fn lines(db: &Db, first: i64, end: i64, most: i64) -> Result<Vec<LeafRow>, StoreError> {
    Ok(sqlx::query_as(events!(
        "l.leaf_index, l.hash, ",
        "from audit_leaf l join audit_event e on e.id = l.event_id where l.leaf_index >= $1 and l.leaf_index < $2 order by l.leaf_index limit $3"
    ))
    .bind(first)
    .bind(end)
    .bind(most)
    .fetch_all(&db.pool)
    .await?)
}

/// The leaf of an event; none while it waits.
///
/// # Errors
/// When the database fails.
pub async fn leaf_of(db: &Db, event: i64) -> Result<Option<i64>, StoreError> {
    Ok(sqlx::query_scalar("select leaf_index from audit_leaf where event_id = $1").bind(event).fetch_optional(&db.pool).await?)
}

/// Whether an event up to `newest` waits for its leaf.
///
/// # Errors
/// When the database fails.
pub async fn any_waits(db: &Db, newest: i64) -> Result<bool, StoreError> {
    Ok(sqlx::query_scalar("select exists (select 1 from audit_unsealed where event_id <= $1)").bind(newest).fetch_one(&db.pool).await?)
}

/// The newest leaf; none in a log that nobody sealed.
///
/// # Errors
/// When the database fails.
pub async fn newest_leaf(db: &Db) -> Result<Option<i64>, StoreError> {
    Ok(sqlx::query_scalar("select max(leaf_index) from audit_leaf").fetch_one(&db.pool).await?)
}

/// As [`lines`], only of events that `narrow` leaves.
///
/// # Errors
/// When the database fails.
pub async fn lines_about(db: &Db, first: i64, end: i64, most: i64, narrow: Narrow) -> Result<Vec<LeafRow>, StoreError> {
    Ok(sqlx::query_as(events!(
        "l.leaf_index, l.hash, ",
        "from audit_leaf l join audit_event e on e.id = l.event_id where l.leaf_index >= $1 and l.leaf_index < $2
         and ($4::uuid is null or e.application_id = $4) and ($5::uuid is null or e.role_id = $5) and ($6::uuid is null or e.person_id = $6 or e.actor_id = $6)
         order by l.leaf_index limit $3"
    ))
    .bind(first)
    .bind(end)
    .bind(most)
    .bind(narrow.application)
    .bind(narrow.role)
    .bind(narrow.person)
    .fetch_all(&db.pool)
    .await?)
}

/// The range of the first `size` leaves that a period covers: the first leaf whose event occurred at `from` or later, and one past the last
/// before `to`. Leaves between that belong to other times are in the range too: only a range without gaps shows that nothing was left out.
///
/// # Errors
/// When the database fails.
pub async fn range(db: &Db, from: Option<DateTime<Utc>>, to: Option<DateTime<Utc>>, size: i64) -> Result<Option<(i64, i64)>, StoreError> {
    let found: (Option<i64>, Option<i64>) = sqlx::query_as(
        "select min(l.leaf_index), max(l.leaf_index) + 1 from audit_event e join audit_leaf l on l.event_id = e.id
         where ($1::timestamptz is null or e.occurred_at >= $1) and ($2::timestamptz is null or e.occurred_at < $2) and l.leaf_index < $3",
    )
    .bind(from)
    .bind(to)
    .bind(size)
    .fetch_one(&db.pool)
    .await?;
    Ok(found.0.zip(found.1))
}

/// What every event that says it changed the key `from` for another holds, oldest first. Anybody who writes into the log can have said so.
///
/// # Errors
/// When the database fails.
pub async fn rotations_from(tx: &mut Tx, from: &str) -> Result<Vec<Value>, StoreError> {
    let rows = sqlx::query_scalar("select data from audit_event where kind = 'log.key_rotated' and data ->> 'from' = $1 order by id");
    Ok(rows.bind(from).fetch_all(&mut **tx).await?)
}

/// What every event that says it changed another key for `to` holds, oldest first, and its leaf if it has one.
///
/// # Errors
/// When the database fails.
pub async fn rotations_to(tx: &mut Tx, to: &str) -> Result<Vec<(Value, Option<i64>)>, StoreError> {
    let rows = sqlx::query_as(
        "select e.data, l.leaf_index from audit_event e left join audit_leaf l on l.event_id = e.id where e.kind = 'log.key_rotated' and e.data ->> 'to' = $1 order by e.id",
    );
    Ok(rows.bind(to).fetch_all(&mut **tx).await?)
}

/// The line of a leaf, and the first checkpoint that holds it, with its size.
///
/// # Errors
/// When the database fails.
pub async fn held(tx: &mut Tx, leaf: i64) -> Result<Option<(LeafRow, i64, String)>, StoreError> {
    let row: Option<LeafRow> =
        sqlx::query_as(events!("l.leaf_index, l.hash, ", "from audit_event e join audit_leaf l on l.event_id = e.id where l.leaf_index = $1"))
            .bind(leaf)
            .fetch_optional(&mut **tx)
            .await?;
    let signed: Option<(i64, String)> =
        sqlx::query_as("select size, note from audit_checkpoint where size > $1 order by size, id limit 1").bind(leaf).fetch_optional(&mut **tx).await?;
    Ok(row.zip(signed).map(|(row, (size, note))| (row, size, note)))
}

/// Checkpoints, newest first, before the one with this id.
#[derive(Clone, Debug, FromRow)]
pub struct CheckpointRow {
    /// Its number.
    pub id: i64,
    /// How many leaves.
    pub size: i64,
    /// The signed note.
    pub note: String,
    /// When it was signed.
    pub signed_at: DateTime<Utc>,
}

/// A page of checkpoints, newest first.
///
/// # Errors
/// When the database fails.
pub async fn checkpoints(db: &Db, before: Option<i64>, most: i64) -> Result<Vec<CheckpointRow>, StoreError> {
    Ok(sqlx::query_as("select id, size, note, signed_at from audit_checkpoint where $1::bigint is null or id < $1 order by id desc limit $2")
        .bind(before)
        .bind(most)
        .fetch_all(&db.pool)
        .await?)
}
