//! Whom to ask a directory about again.

use chrono::{DateTime, Utc};
use sqlx::FromRow;
use uuid::Uuid;

use super::db::{Db, Tx};
use super::error::StoreError;

/// A reference to ask about.
#[derive(Clone, Debug, FromRow)]
pub struct RecheckRow {
    /// Key of the directory.
    pub directory: String,
    /// The person's reference there, or what a hint took for it.
    pub reference: String,
    /// Why: `listing`, `missing`, `change`, `hook`, `moved` or `decision`.
    pub cause: String,
    /// Raised by every hint.
    pub r#gen: i64,
    /// How often asking has failed in a row, this time included.
    pub fails: i32,
}

/// Asks about `references` of `directory`, due at `at`; who is asked about already is asked about once. `held`: not before
/// [`release`]. What was held and is now asked about for another reason waits no longer.
///
/// # Errors
/// When the database fails.
pub async fn ask(
    tx: &mut Tx,
    directory: &str,
    references: &[String],
    cause: &str,
    held: bool,
    now: DateTime<Utc>,
    at: DateTime<Utc>,
) -> Result<(), StoreError> {
    if references.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "insert into person_recheck (directory, reference, cause, held, asked_at, next_at)
         select $1, r, $3, $4, $5, $6 from (select distinct unnest($2::text[]) as r order by 1) s
         on conflict (directory, reference) do update set gen = person_recheck.gen + 1, held = person_recheck.held and excluded.held,
           next_at = least(person_recheck.next_at, excluded.next_at)",
    )
    .bind(directory)
    .bind(references)
    .bind(cause)
    .bind(held)
    .bind(now)
    .bind(at)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Asks about everybody of `directory` who is not gone and was not seen since `since`, but held. Returns how many they are.
///
/// # Errors
/// When the database fails.
pub async fn ask_unseen(tx: &mut Tx, directory: &str, since: DateTime<Utc>, now: DateTime<Utc>) -> Result<i64, StoreError> {
    let done = sqlx::query(
        "insert into person_recheck (directory, reference, cause, held, asked_at, next_at)
         select directory, reference, 'missing', true, $3, $3 from person where directory = $1 and seen_at < $2 and status <> 'gone' order by reference
         on conflict (directory, reference) do update set gen = person_recheck.gen + 1",
    )
    .bind(directory)
    .bind(since)
    .bind(now)
    .execute(&mut **tx)
    .await?;
    Ok(i64::try_from(done.rows_affected()).unwrap_or(i64::MAX))
}

/// How many of `directory` are held because a listing called them switched off.
///
/// # Errors
/// When the database fails.
pub async fn held(tx: &mut Tx, directory: &str) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar("select count(*) from person_recheck where directory = $1 and held and cause = 'listing'")
        .bind(directory)
        .fetch_one(&mut **tx)
        .await?)
}

/// Lets those of `directory` that are held be asked about at `now`.
///
/// # Errors
/// When the database fails.
pub async fn release(tx: &mut Tx, directory: &str, now: DateTime<Utc>) -> Result<(), StoreError> {
    sqlx::query("update person_recheck set held = false, next_at = $2 where directory = $1 and held").bind(directory).bind(now).execute(&mut **tx).await?;
    Ok(())
}

/// Forgets those of `directory` that are held because a listing called them switched off (`listing`) or missed them (`missing`): it is
/// not believed.
///
/// # Errors
/// When the database fails.
pub async fn forget_held(tx: &mut Tx, directory: &str, cause: &str) -> Result<(), StoreError> {
    sqlx::query("delete from person_recheck where directory = $1 and held and cause = $2").bind(directory).bind(cause).execute(&mut **tx).await?;
    Ok(())
}

/// How many of `directory` wait to be asked about, counted no further than `most`.
///
/// # Errors
/// When the database fails.
pub async fn waiting(tx: &mut Tx, directory: &str, most: i64) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar("select count(*) from (select 1 from person_recheck where directory = $1 limit $2) w")
        .bind(directory)
        .bind(most)
        .fetch_one(&mut **tx)
        .await?)
}

/// Claims up to `limit` of `directory` that are due, the longest waiting first, until `until`; none while it is held back whole or asked
/// to be left alone. An attempt is counted before it is made.
///
/// # Errors
/// When the database fails.
pub async fn claim(db: &Db, directory: &str, limit: i64, token: Uuid, now: DateTime<Utc>, until: DateTime<Utc>) -> Result<Vec<RecheckRow>, StoreError> {
    Ok(sqlx::query_as(
        "with due as (
           select directory, reference from person_recheck where directory = $2 and not held and next_at <= $1 and (lease_until is null or lease_until <= $1)
             and not exists (select 1 from directory_pause p where p.directory = $2 and p.resumed_at is null and p.everything)
             and not exists (select 1 from directory_wait w where w.directory = $2 and w.until > $1 and w.until <= $1 + interval '65 minutes')
           order by next_at, reference limit $3 for update skip locked)
         update person_recheck r set lease_until = $4, lease_token = $5, fails = fails + 1 from due where (r.directory, r.reference) = (due.directory, due.reference)
         returning r.directory, r.reference, r.cause, r.gen, r.fails",
    )
    .bind(now)
    .bind(directory)
    .bind(limit)
    .bind(until)
    .bind(token)
    .fetch_all(&db.pool)
    .await?)
}

/// Settles a claimed one. Was it asked about again meanwhile, it stays and is due at `now`.
///
/// # Errors
/// When the database fails.
pub async fn done(db: &Db, row: &RecheckRow, token: Uuid, now: DateTime<Utc>) -> Result<(), StoreError> {
    let mut tx = db.begin().await?;
    sqlx::query("delete from person_recheck where directory = $1 and reference = $2 and lease_token = $3 and gen = $4")
        .bind(&row.directory)
        .bind(&row.reference)
        .bind(token)
        .bind(row.r#gen)
        .execute(&mut *tx)
        .await?;
    sqlx::query("update person_recheck set lease_until = null, lease_token = null, fails = 0, next_at = $4 where directory = $1 and reference = $2 and lease_token = $3")
        .bind(&row.directory)
        .bind(&row.reference)
        .bind(token)
        .bind(now)
        .execute(&mut *tx)
        .await?;
    Ok(tx.commit().await?)
}

/// Gives a claimed one back, to be asked about at `next_at`.
///
/// # Errors
/// When the database fails.
pub async fn later(db: &Db, row: &RecheckRow, token: Uuid, error: &str, next_at: DateTime<Utc>) -> Result<(), StoreError> {
    sqlx::query(
        "update person_recheck set lease_until = null, lease_token = null, last_error = nullif($4, ''), next_at = $5 where directory = $1 and reference = $2 and lease_token = $3",
    )
    .bind(&row.directory)
    .bind(&row.reference)
    .bind(token)
    .bind(error)
    .bind(next_at)
    .execute(&db.pool)
    .await?;
    Ok(())
}

/// What hints name: references of people of `directory` who have one as reference or login, and the hints that nobody has.
///
/// # Errors
/// When the database fails.
pub async fn references(tx: &mut Tx, directory: &str, hints: &[String]) -> Result<Vec<String>, StoreError> {
    Ok(sqlx::query_scalar(
        "select distinct coalesce(k.reference, h.hint) from unnest($2::text[]) as h(hint) left join lateral (
           select p.reference from person p where p.directory = $1 and (p.reference = h.hint or lower(p.user_name) = lower(h.hint))) k on true order by 1",
    )
    .bind(directory)
    .bind(hints)
    .fetch_all(&mut **tx)
    .await?)
}
