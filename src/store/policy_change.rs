//! Changes of the rules: proposed, approved, carried out.

use chrono::{DateTime, Utc};
use sqlx::FromRow;
use uuid::Uuid;

use super::db::{Db, Tx};
use super::error::StoreError;

/// A change to be kept.
#[derive(Clone, Debug)]
pub struct NewChange<'a> {
    /// Its id.
    pub id: Uuid,
    /// Who made it; none: the operator at the command line.
    pub author: Option<Uuid>,
    /// The file, or the page, that it came from.
    pub source: &'a str,
    /// The whole set as TOML.
    pub body: &'a str,
    /// SHA-256 of the body, hex.
    pub digest: &'a str,
    /// Each change as a line.
    pub changes: &'a [String],
    /// `proposed`, or `applied` where nobody has to approve it.
    pub status: &'static str,
    /// When it was made.
    pub at: DateTime<Utc>,
}

/// A change as it stands.
#[derive(Clone, Debug, FromRow)]
pub struct ChangeRow {
    /// Its id.
    pub id: Uuid,
    /// Who made it; none: the operator at the command line.
    pub author_id: Option<Uuid>,
    /// Their name.
    pub author: Option<String>,
    /// The file, or the page, that it came from.
    pub source: String,
    /// The whole set as TOML.
    pub body: String,
    /// SHA-256 of the body, hex.
    pub digest: String,
    /// Each change as a line.
    pub changes: Vec<String>,
    /// What its what-if found, as JSON; none: not yet.
    pub whatif: Option<String>,
    /// `proposed`, `approved`, `applied`, `rejected`, `withdrawn` or `failed`.
    pub status: String,
    /// When it was made.
    pub submitted_at: DateTime<Utc>,
    /// When it takes effect, or took.
    pub effective_at: Option<DateTime<Utc>>,
    /// Who approved or rejected it.
    pub approver_id: Option<Uuid>,
    /// Their name.
    pub approver: Option<String>,
    /// When they did, or the author withdrew it.
    pub decided_at: Option<DateTime<Utc>>,
    /// What they said.
    pub comment: Option<String>,
    /// When it was carried out.
    pub applied_at: Option<DateTime<Utc>>,
    /// Why it failed, or still waits.
    pub last_error: Option<String>,
}

/// A change in a list.
#[derive(Clone, Debug, FromRow)]
pub struct ChangeListed {
    /// Its id.
    pub id: Uuid,
    /// Who made it; none: the operator at the command line.
    pub author_id: Option<Uuid>,
    /// Their name.
    pub author: Option<String>,
    /// The file, or the page, that it came from.
    pub source: String,
    /// SHA-256 of the body, hex.
    pub digest: String,
    /// How many changes it makes.
    pub changes: i32,
    /// The first of them.
    pub first: Option<String>,
    /// Where it stands.
    pub status: String,
    /// When it was made.
    pub submitted_at: DateTime<Utc>,
    /// When it takes effect, or took.
    pub effective_at: Option<DateTime<Utc>>,
    /// Who approved or rejected it.
    pub approver_id: Option<Uuid>,
    /// Their name.
    pub approver: Option<String>,
}

/// A version that a change made.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct ChangedVersion {
    /// Key of the policy.
    pub policy_key: String,
    /// Before; none: there was none in force.
    pub version_from: Option<i32>,
    /// After; none: it is no longer in force.
    pub version_to: Option<i32>,
}

/// Keeps a change. The transaction must also hold its event.
///
/// # Errors
/// When the database refuses.
pub async fn insert(tx: &mut Tx, change: &NewChange<'_>) -> Result<(), StoreError> {
    sqlx::query(
        "insert into policy_change (id, author_id, source, body, digest, changes, status, submitted_at, effective_at, applied_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8::timestamptz, case when $7 = 'applied' then $8 end, case when $7 = 'applied' then $8 end)",
    )
    .bind(change.id)
    .bind(change.author)
    .bind(change.source)
    .bind(change.body)
    .bind(change.digest)
    .bind(change.changes)
    .bind(change.status)
    .bind(change.at)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Keeps which versions a change made.
///
/// # Errors
/// When the database refuses.
pub async fn insert_versions(tx: &mut Tx, change: Uuid, versions: &[ChangedVersion]) -> Result<(), StoreError> {
    sqlx::query(
        "insert into policy_change_version (change_id, policy_key, version_from, version_to)
         select $1, v.k, v.f, v.t from unnest($2::text[], $3::int[], $4::int[]) as v(k, f, t)",
    )
    .bind(change)
    .bind(versions.iter().map(|one| one.policy_key.clone()).collect::<Vec<_>>())
    .bind(versions.iter().map(|one| one.version_from).collect::<Vec<_>>())
    .bind(versions.iter().map(|one| one.version_to).collect::<Vec<_>>())
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The change as it stands.
macro_rules! change {
    ($rest:literal) => {
        concat!(
            "select c.id, c.author_id, a.display_name as author, c.source, c.body, c.digest, c.changes, c.whatif, c.status, c.submitted_at, c.effective_at, c.approver_id,
               b.display_name as approver, c.decided_at, c.comment, c.applied_at, c.last_error
             from policy_change c left join person a on a.id = c.author_id left join person b on b.id = c.approver_id where c.id = $1",
            $rest
        )
    };
}

/// One change.
///
/// # Errors
/// When the database fails.
pub async fn by_id(db: &Db, id: Uuid) -> Result<Option<ChangeRow>, StoreError> {
    Ok(sqlx::query_as(change!("")).bind(id).fetch_optional(&db.pool).await?)
}

/// One change, locked until the transaction ends.
///
/// # Errors
/// When the database fails.
pub async fn lock(tx: &mut Tx, id: Uuid) -> Result<Option<ChangeRow>, StoreError> {
    Ok(sqlx::query_as(change!(" for update of c")).bind(id).fetch_optional(&mut **tx).await?)
}

/// Changes, newest first, after the change `after`, at most `limit`; only those of `status` where one is given.
///
/// # Errors
/// When the database fails.
pub async fn list(db: &Db, status: Option<&str>, after: Option<Uuid>, limit: i64) -> Result<Vec<ChangeListed>, StoreError> {
    Ok(sqlx::query_as(
        "select c.id, c.author_id, a.display_name as author, c.source, c.digest, cardinality(c.changes) as changes, c.changes[1] as first, c.status, c.submitted_at,
           c.effective_at, c.approver_id, b.display_name as approver
         from policy_change c left join person a on a.id = c.author_id left join person b on b.id = c.approver_id
         where ($1::text is null or c.status = $1)
           and ($2::uuid is null or (c.submitted_at, c.id) < (select s.submitted_at, s.id from policy_change s where s.id = $2))
         order by c.submitted_at desc, c.id desc limit $3",
    )
    .bind(status)
    .bind(after)
    .bind(limit)
    .fetch_all(&db.pool)
    .await?)
}

/// Which versions a change made, by key.
///
/// # Errors
/// When the database fails.
pub async fn versions(db: &Db, id: Uuid) -> Result<Vec<ChangedVersion>, StoreError> {
    Ok(sqlx::query_as("select policy_key, version_from, version_to from policy_change_version where change_id = $1 order by policy_key")
        .bind(id)
        .fetch_all(&db.pool)
        .await?)
}

/// Approved changes whose time has come, the earliest first.
///
/// # Errors
/// When the database fails.
pub async fn due(db: &Db, now: DateTime<Utc>) -> Result<Vec<Uuid>, StoreError> {
    Ok(sqlx::query_scalar("select id from policy_change where status = 'approved' and effective_at <= $1 order by effective_at, id limit 100")
        .bind(now)
        .fetch_all(&db.pool)
        .await?)
}

/// Proposed changes without a what-if, the oldest first.
///
/// # Errors
/// When the database fails.
pub async fn unweighed(db: &Db) -> Result<Vec<Uuid>, StoreError> {
    Ok(sqlx::query_scalar("select id from policy_change where status in ('proposed', 'approved') and whatif is null order by submitted_at, id limit 20")
        .fetch_all(&db.pool)
        .await?)
}

/// Whether any change waits for somebody's decision, and how many.
///
/// # Errors
/// When the database fails.
pub async fn proposed(db: &Db) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar("select count(*) from policy_change where status = 'proposed'").fetch_one(&db.pool).await?)
}

/// Approves a change that is locked.
///
/// # Errors
/// When the database refuses: nobody approves their own.
pub async fn approve(tx: &mut Tx, id: Uuid, by: Uuid, effective_at: DateTime<Utc>, comment: Option<&str>, now: DateTime<Utc>) -> Result<(), StoreError> {
    sqlx::query("update policy_change set status = 'approved', approver_id = $2, effective_at = $3, comment = $4, decided_at = $5 where id = $1")
        .bind(id)
        .bind(by)
        .bind(effective_at)
        .bind(comment)
        .bind(now)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Closes a change that is locked: `rejected` by somebody, or `withdrawn` by its author (then `by` is none).
///
/// # Errors
/// When the database refuses.
pub async fn close(tx: &mut Tx, id: Uuid, status: &'static str, by: Option<Uuid>, comment: Option<&str>, now: DateTime<Utc>) -> Result<(), StoreError> {
    sqlx::query("update policy_change set status = $2, approver_id = $3, comment = $4, decided_at = $5, effective_at = null where id = $1")
        .bind(id)
        .bind(status)
        .bind(by)
        .bind(comment)
        .bind(now)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Says that a locked change was carried out, or (with `error`) that it could not be and is over.
///
/// # Errors
/// When the database refuses.
pub async fn carried_out(tx: &mut Tx, id: Uuid, error: Option<&str>, now: DateTime<Utc>) -> Result<(), StoreError> {
    sqlx::query(
        "update policy_change set status = case when $2::text is null then 'applied' else 'failed' end, applied_at = case when $2::text is null then $3::timestamptz end, last_error = $2
         where id = $1",
    )
    .bind(id)
    .bind(error)
    .bind(now)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Says why a due change still waits.
///
/// # Errors
/// When the database fails.
pub async fn waits(db: &Db, id: Uuid, why: &str) -> Result<(), StoreError> {
    sqlx::query("update policy_change set last_error = $2 where id = $1 and status = 'approved' and last_error is distinct from $2")
        .bind(id)
        .bind(why)
        .execute(&db.pool)
        .await?;
    Ok(())
}
