//! Memberships: what should be, what is, when to look next.

use chrono::{DateTime, Utc};
use sqlx::FromRow;
use uuid::Uuid;

use crate::domain::id::TargetId;

use super::db::{Db, Tx};
use super::error::StoreError;

/// A membership's row.
#[derive(Clone, Debug, FromRow)]
pub struct TargetRow {
    /// Its id.
    pub id: Uuid,
    /// Key of the directory.
    pub directory: String,
    /// Whose.
    pub person_id: Uuid,
    /// The person's reference there.
    pub person_reference: String,
    /// The group's reference there.
    pub group_reference: String,
    /// Whether it was wanted when `gen` was last raised.
    pub wanted: bool,
    /// Raised by every business transaction that may change what is wanted.
    pub r#gen: i64,
    /// The `gen` that is done.
    pub done_gen: i64,
    /// Failures in a row.
    pub fails: i32,
    /// What the directory said last; none before the first look.
    pub member: Option<bool>,
    /// It was there before the first lease.
    pub pre_existing: bool,
    /// The last error.
    pub last_error: Option<String>,
    /// When the oldest unfinished change became owed.
    pub owed_since: Option<DateTime<Utc>>,
    /// When to look again although nothing is owed.
    pub verify_at: Option<DateTime<Utc>>,
    /// When the directory last said so.
    pub member_seen_at: Option<DateTime<Utc>>,
}

/// The columns of [`TargetRow`].
macro_rules! columns {
    ($before:literal, $after:literal) => {
        concat!($before, " t.id, t.directory, t.person_id, t.person_reference, t.group_reference, t.wanted, t.gen, t.done_gen, t.fails, t.member, t.pre_existing, t.last_error, t.owed_since, t.verify_at, t.member_seen_at ", $after)
    };
}

/// Raises `gen` of memberships whose leases changed, so that somebody looks at once.
///
/// # Errors
/// When the database fails.
pub async fn raise(tx: &mut Tx, targets: &[Uuid], now: DateTime<Utc>) -> Result<(), StoreError> {
    if targets.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "update target t set gen = gen + 1, next_at = $2, owed_since = coalesce(owed_since, $2), fails = 0,
           wanted = exists (select 1 from access_grant g where g.target_id = t.id and g.status in ('scheduled', 'provisioning', 'verifying', 'active')
                            and g.starts_at <= $2 and (g.status <> 'active' or g.ends_at is null or g.ends_at > $2))
         where id = any($1)",
    )
    .bind(targets)
    .bind(now)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Claims up to `limit` memberships of `directory` that are due and not leased, the longest waiting first: those `wanted` when they
/// were last raised, or those not wanted. None of a directory that asked to be left alone; where somebody paused it nothing new is
/// given, or nothing at all is done. Each is leased until `until` under `token`; an attempt is counted before the call, so that work
/// which kills the process still backs off.
///
/// # Errors
/// When the database fails.
pub async fn claim(
    db: &Db,
    directory: &str,
    wanted: bool,
    limit: i64,
    token: Uuid,
    now: DateTime<Utc>,
    until: DateTime<Utc>,
) -> Result<Vec<TargetRow>, StoreError> {
    Ok(sqlx::query_as(columns!(
        "with due as (
           select id from target where directory = $1 and wanted = $2 and next_at <= $3 and (lease_until is null or lease_until <= $3)
             and not exists (select 1 from directory_pause p where p.directory = $1 and p.resumed_at is null and (p.everything or $2))
             and not exists (select 1 from directory_wait w where w.directory = $1 and w.until > $3 and w.until <= $3 + interval '65 minutes')
           order by next_at limit $4 for update skip locked)
         update target t set lease_until = $5, lease_token = $6, fails = fails + 1 from due where t.id = due.id returning",
        ""
    ))
    .bind(directory)
    .bind(wanted)
    .bind(now)
    .bind(limit)
    .bind(until)
    .bind(token)
    .fetch_all(&db.pool)
    .await?)
}

/// Holds the leases of `token` on those of `ids` that it still has until `until`.
///
/// # Errors
/// When the database fails.
pub async fn hold(db: &Db, ids: &[Uuid], token: Uuid, until: DateTime<Utc>) -> Result<(), StoreError> {
    sqlx::query("update target set lease_until = $3 where id = any($1) and lease_token = $2").bind(ids).bind(token).bind(until).execute(&db.pool).await?;
    Ok(())
}

/// Directories besides `known` in which memberships are due.
///
/// # Errors
/// When the database fails.
pub async fn strays(db: &Db, known: &[&str], now: DateTime<Utc>) -> Result<Vec<String>, StoreError> {
    Ok(sqlx::query_scalar("select distinct directory from target where next_at <= $2 and not directory = any($1) order by 1")
        .bind(known)
        .bind(now)
        .fetch_all(&db.pool)
        .await?)
}

/// Locks a claimed membership; none when the lease was lost to somebody else meanwhile.
///
/// # Errors
/// When the database fails.
pub async fn lock_claimed(tx: &mut Tx, id: TargetId, token: Uuid) -> Result<Option<TargetRow>, StoreError> {
    Ok(sqlx::query_as(columns!("select", "from target t where t.id = $1 and t.lease_token = $2 for update"))
        .bind(id.0)
        .bind(token)
        .fetch_optional(&mut **tx)
        .await?)
}

/// Notes that the first look at a claimed membership did not find it. False when the lease was lost to somebody else meanwhile.
///
/// # Errors
/// When the database fails.
pub async fn not_there(db: &Db, id: TargetId, token: Uuid, now: DateTime<Utc>) -> Result<bool, StoreError> {
    let done = sqlx::query("update target set member = false, member_seen_at = $3 where id = $1 and lease_token = $2")
        .bind(id.0)
        .bind(token)
        .bind(now)
        .execute(&db.pool)
        .await?;
    Ok(done.rows_affected() == 1)
}

/// What a visit found and when the next one is due.
#[derive(Clone, Debug)]
pub struct Visit<'a> {
    /// The `gen` that is done, if it is.
    pub done_gen: Option<i64>,
    /// Whether it is wanted.
    pub wanted: bool,
    /// What the directory said; none: it said nothing.
    pub member: Option<bool>,
    /// It was there before the first lease.
    pub pre_existing: bool,
    /// Failures in a row.
    pub fails: i32,
    /// What went wrong.
    pub error: Option<&'a str>,
    /// When to come again.
    pub next_at: Option<DateTime<Utc>>,
    /// A read-back that is still to be made.
    pub verify_at: Option<DateTime<Utc>>,
    /// When.
    pub now: DateTime<Utc>,
}

/// Writes what a visit found and gives the lease back. `next_at` becomes now if the wish changed meanwhile.
///
/// # Errors
/// When the database fails.
pub async fn visited(tx: &mut Tx, id: TargetId, visit: &Visit<'_>) -> Result<(), StoreError> {
    sqlx::query(
        "update target set done_gen = coalesce($2, done_gen), wanted = $3, member = coalesce($4, member), member_seen_at = case when $4 is null then member_seen_at else $9 end,
           pre_existing = $5, fails = $6, last_error = $7, next_at = case when $2 is not null and gen > $2 then $9 else $8 end, verify_at = $10, lease_until = null, lease_token = null,
           owed_since = case when $2 is not null and gen <= $2 then null else owed_since end
         where id = $1",
    )
    .bind(id.0)
    .bind(visit.done_gen)
    .bind(visit.wanted)
    .bind(visit.member)
    .bind(visit.pre_existing)
    .bind(visit.fails)
    .bind(visit.error)
    .bind(visit.next_at)
    .bind(visit.now)
    .bind(visit.verify_at)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Gives back, without a result, the lease of `token` on a membership if it still has it, to come again at `next_at`.
///
/// # Errors
/// When the database fails.
pub async fn release(db: &Db, id: TargetId, token: Uuid, next_at: DateTime<Utc>) -> Result<(), StoreError> {
    sqlx::query("update target set lease_until = null, lease_token = null, next_at = $3 where id = $1 and lease_token = $2")
        .bind(id.0)
        .bind(token)
        .bind(next_at)
        .execute(&db.pool)
        .await?;
    Ok(())
}

/// The groups that Countersign gives, with how many people hold each through a live lease.
///
/// # Errors
/// When the database fails.
pub async fn managed_groups(db: &Db, directory: &str) -> Result<Vec<String>, StoreError> {
    Ok(sqlx::query_scalar(
        "select distinct group_reference from (
           select group_reference from role where directory = $1 and group_reference is not null
           union select group_reference from target where directory = $1) as g order by 1",
    )
    .bind(directory)
    .fetch_all(&db.pool)
    .await?)
}

/// The memberships of a group.
///
/// # Errors
/// When the database fails.
pub async fn of_group(db: &Db, directory: &str, group: &str) -> Result<Vec<TargetRow>, StoreError> {
    Ok(sqlx::query_as(columns!("select", "from target t where t.directory = $1 and t.group_reference = $2 order by t.person_reference"))
        .bind(directory)
        .bind(group)
        .fetch_all(&db.pool)
        .await?)
}

/// Which people are wanted in which of `groups`, as pairs of references.
///
/// # Errors
/// When the database fails.
pub async fn wanted_in(db: &Db, directory: &str, groups: &[String]) -> Result<Vec<(String, String)>, StoreError> {
    Ok(sqlx::query_as("select group_reference, person_reference from target where directory = $1 and group_reference = any($2) and wanted")
        .bind(directory)
        .bind(groups)
        .fetch_all(&db.pool)
        .await?)
}

/// Owes the removal of a membership that no lease explains, by name: whatever was there before our first lease is ours to take from
/// then on. Where a lease wants it meanwhile, that counts.
///
/// # Errors
/// When the database refuses: no drift on record says that it is to be removed.
pub async fn order_removal(
    tx: &mut Tx,
    id: TargetId,
    directory: &str,
    (person, reference): (Uuid, &str),
    group: &str,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query(
        "insert into target (id, directory, person_id, person_reference, group_reference, wanted, next_at, owed_since) values ($1, $2, $3, $4, $5, false, $6, $6)
         on conflict (directory, person_reference, group_reference) do update set gen = target.gen + 1, next_at = excluded.next_at, fails = 0, pre_existing = false,
           owed_since = coalesce(target.owed_since, excluded.owed_since),
           wanted = exists (select 1 from access_grant g where g.target_id = target.id and g.status in ('scheduled', 'provisioning', 'verifying', 'active')
             and g.starts_at <= $6 and (g.status <> 'active' or g.ends_at is null or g.ends_at > $6))",
    )
    .bind(id.0)
    .bind(directory)
    .bind(person)
    .bind(reference)
    .bind(group)
    .bind(now)
    .execute(&mut **tx)
    .await?;
    Ok(())
}
