//! How reading a directory goes, and its groups.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::FromRow;

use super::db::{Db, Tx};
use super::error::StoreError;

/// How reading a directory went.
#[derive(Clone, Debug, FromRow)]
pub struct SyncRow {
    /// Key of the directory.
    pub directory: String,
    /// Where its list of changes goes on; none: it has none, or everything is read first.
    pub token: Option<String>,
    /// When it was last read whole, and believed.
    pub full_at: Option<DateTime<Utc>>,
    /// When its changes were last read.
    pub changes_at: Option<DateTime<Utc>>,
    /// People at the last full reading.
    pub people: i64,
    /// Groups at the last full reading.
    pub groups: i64,
    /// Of the people new or changed.
    pub changed: i64,
    /// People that the last full reading missed or called switched off.
    pub leaving: i64,
    /// `complete`, `failed` or `shrunk`.
    pub outcome: Option<String>,
    /// What went wrong, as a sentence.
    pub detail: Option<String>,
    /// An administrator said that the next full reading is to be believed.
    pub believe: bool,
    /// When a reading was last believed because an administrator said so.
    pub believed_at: Option<DateTime<Utc>>,
}

/// How reading `directory` went; none before the first.
///
/// # Errors
/// When the database fails.
pub async fn of(db: &Db, directory: &str) -> Result<Option<SyncRow>, StoreError> {
    Ok(sqlx::query_as("select directory, token, full_at, changes_at, people, groups, changed, leaving, outcome, detail, believe, believed_at from directory_sync where directory = $1")
        .bind(directory)
        .fetch_optional(&db.pool)
        .await?)
}

/// Every directory's, by key.
///
/// # Errors
/// When the database fails.
pub async fn all(db: &Db) -> Result<Vec<SyncRow>, StoreError> {
    Ok(sqlx::query_as("select directory, token, full_at, changes_at, people, groups, changed, leaving, outcome, detail, believe, believed_at from directory_sync order by directory")
        .fetch_all(&db.pool)
        .await?)
}

/// Notes that a full reading began.
///
/// # Errors
/// When the database fails.
pub async fn began(db: &Db, directory: &str, now: DateTime<Utc>) -> Result<(), StoreError> {
    sqlx::query("insert into directory_sync (directory, started_at) values ($1, $2) on conflict (directory) do update set started_at = excluded.started_at")
        .bind(directory)
        .bind(now)
        .execute(&db.pool)
        .await?;
    Ok(())
}

/// What a full reading counted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// People.
    pub people: i64,
    /// Groups.
    pub groups: i64,
    /// People new or changed.
    pub changed: i64,
    /// People missed, or called switched off.
    pub leaving: i64,
}

/// Notes how a full reading ended: `complete` with the token of changes since it began, `failed` or `shrunk` with why.
///
/// # Errors
/// When the database fails.
pub async fn ended(
    tx: &mut Tx,
    directory: &str,
    outcome: &str,
    detail: Option<&str>,
    counts: Counts,
    token: Option<&str>,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query(
        "update directory_sync set outcome = $2, detail = nullif($3, ''), people = $4, groups = $5, changed = $6, leaving = $7,
           token = case when $2 = 'complete' then $8 else token end, full_at = case when $2 = 'complete' then $9 else full_at end,
           believed_at = case when believe and $2 = 'complete' then $9 else believed_at end, believe = believe and $2 <> 'complete' where directory = $1",
    )
    .bind(directory)
    .bind(outcome)
    .bind(detail)
    .bind(counts.people)
    .bind(counts.groups)
    .bind(counts.changed)
    .bind(counts.leaving)
    .bind(token)
    .bind(now)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Keeps where the list of changes goes on; none: everything has to be read first.
///
/// # Errors
/// When the database fails.
pub async fn followed(tx: &mut Tx, directory: &str, token: Option<&str>, now: DateTime<Utc>) -> Result<(), StoreError> {
    sqlx::query("update directory_sync set token = $2, changes_at = $3 where directory = $1").bind(directory).bind(token).bind(now).execute(&mut **tx).await?;
    Ok(())
}

/// Has the next full reading be believed; false when there was none that was not.
///
/// # Errors
/// When the database fails.
pub async fn believe(tx: &mut Tx, directory: &str) -> Result<bool, StoreError> {
    let done = sqlx::query("update directory_sync set believe = true where directory = $1 and outcome = 'shrunk' and not believe")
        .bind(directory)
        .execute(&mut **tx)
        .await?;
    Ok(done.rows_affected() > 0)
}

/// Notes that what a directory says is not believed; whether that is new.
///
/// # Errors
/// When the database fails.
pub async fn doubted(tx: &mut Tx, directory: &str, detail: &str) -> Result<bool, StoreError> {
    let done = sqlx::query(
        "insert into directory_sync (directory, outcome, detail) values ($1, 'shrunk', $2)
         on conflict (directory) do update set outcome = excluded.outcome, detail = excluded.detail where directory_sync.outcome is distinct from 'shrunk'",
    )
    .bind(directory)
    .bind(detail)
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// A group as a listing shows it.
#[derive(Clone, Debug, Serialize)]
pub struct GroupSeen {
    /// The immutable id.
    pub reference: String,
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// Why membership cannot be changed.
    pub read_only: Option<String>,
    /// What whoever makes a role of it should know.
    pub warnings: Vec<String>,
}

/// Keeps a page of groups.
///
/// # Errors
/// When the database fails.
pub async fn groups(tx: &mut Tx, directory: &str, groups: &[GroupSeen], now: DateTime<Utc>) -> Result<(), StoreError> {
    sqlx::query(
        "insert into directory_group (directory, reference, name, description, read_only, warnings, seen_at)
         select distinct on (s.reference) $1, s.reference, s.name, nullif(s.description, ''), nullif(s.read_only, ''), coalesce(s.warnings, '{}'), $3
         from jsonb_to_recordset($2) as s(reference text, name text, description text, read_only text, warnings text[]) order by s.reference
         on conflict (directory, reference) do update set name = excluded.name, description = excluded.description, read_only = excluded.read_only,
           warnings = excluded.warnings, seen_at = excluded.seen_at, gone_at = null",
    )
    .bind(directory)
    .bind(sqlx::types::Json(groups))
    .bind(now)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// How many groups of a directory are known and were not seen since `since`, and how many are known at all.
///
/// # Errors
/// When the database fails.
pub async fn unseen_groups(tx: &mut Tx, directory: &str, since: DateTime<Utc>) -> Result<(i64, i64), StoreError> {
    Ok(sqlx::query_as("select count(*) filter (where seen_at < $2), count(*) from directory_group where directory = $1 and gone_at is null")
        .bind(directory)
        .bind(since)
        .fetch_one(&mut **tx)
        .await?)
}

/// Notes that the groups of a directory that were not seen since `since` are gone.
///
/// # Errors
/// When the database fails.
pub async fn groups_gone(tx: &mut Tx, directory: &str, since: DateTime<Utc>, now: DateTime<Utc>) -> Result<(), StoreError> {
    sqlx::query("update directory_group set gone_at = $3 where directory = $1 and seen_at < $2 and gone_at is null")
        .bind(directory)
        .bind(since)
        .bind(now)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Those of `references` that give a role.
///
/// # Errors
/// When the database fails.
pub async fn managed(tx: &mut Tx, directory: &str, references: &[String]) -> Result<Vec<String>, StoreError> {
    Ok(sqlx::query_scalar("select distinct group_reference from role where directory = $1 and group_reference = any($2) order by 1")
        .bind(directory)
        .bind(references)
        .fetch_all(&mut **tx)
        .await?)
}
