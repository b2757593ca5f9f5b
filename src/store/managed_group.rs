//! Groups that are compared, who is declared in them.

use chrono::{DateTime, Utc};
use sqlx::FromRow;
use uuid::Uuid;

use crate::domain::id::PersonId;

use super::db::{Db, Tx};
use super::error::StoreError;

/// A group that was compared at least once.
#[derive(Clone, Debug, FromRow)]
pub struct ManagedRow {
    /// Its id.
    pub id: Uuid,
    /// Key of the directory.
    pub directory: String,
    /// The group's reference.
    pub group_reference: String,
    /// Direct members when it was last read.
    pub members: i32,
    /// When nothing more was done there by itself.
    pub stopped_at: Option<DateTime<Utc>>,
    /// `many` or `shrunk`.
    pub stopped_why: Option<String>,
    /// How many people that is about.
    pub stopped_people: Option<i32>,
    /// When somebody said that a short list is right.
    pub believed_at: Option<DateTime<Utc>>,
}

/// The columns of [`ManagedRow`], with the rest of the statement.
macro_rules! managed {
    ($rest:literal) => {
        concat!("select id, directory, group_reference, members, stopped_at, stopped_why, stopped_people, believed_at from managed_group ", $rest)
    };
}

/// The group, locked; none before its first comparison.
///
/// # Errors
/// When the database fails.
pub async fn lock(tx: &mut Tx, directory: &str, group: &str) -> Result<Option<ManagedRow>, StoreError> {
    Ok(sqlx::query_as(managed!("where directory = $1 and group_reference = $2 for update")).bind(directory).bind(group).fetch_optional(&mut **tx).await?)
}

/// The group of this id, locked.
///
/// # Errors
/// When the database fails.
pub async fn lock_id(tx: &mut Tx, id: Uuid) -> Result<Option<ManagedRow>, StoreError> {
    Ok(sqlx::query_as(managed!("where id = $1 for update")).bind(id).fetch_optional(&mut **tx).await?)
}

/// The group of this id.
///
/// # Errors
/// When the database fails.
pub async fn by_id(db: &Db, id: Uuid) -> Result<Option<ManagedRow>, StoreError> {
    Ok(sqlx::query_as(managed!("where id = $1")).bind(id).fetch_optional(&db.pool).await?)
}

/// Every group of a directory that was compared.
///
/// # Errors
/// When the database fails.
pub async fn of_directory(db: &Db, directory: &str) -> Result<Vec<ManagedRow>, StoreError> {
    Ok(sqlx::query_as(managed!("where directory = $1 order by group_reference")).bind(directory).fetch_all(&db.pool).await?)
}

/// Writes a group at its first comparison. Returns whether it did; not when another was faster.
///
/// # Errors
/// When the database fails.
pub async fn insert(tx: &mut Tx, id: Uuid, directory: &str, group: &str, members: i32, now: DateTime<Utc>) -> Result<bool, StoreError> {
    let done = sqlx::query(
        "insert into managed_group (id, directory, group_reference, imported_at, members, read_at) values ($1, $2, $3, $4, $5, $4) on conflict do nothing",
    )
    .bind(id)
    .bind(directory)
    .bind(group)
    .bind(now)
    .bind(members)
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Notes how many members a group had when it was read.
///
/// # Errors
/// When the database fails.
pub async fn read(tx: &mut Tx, id: Uuid, members: i32, now: DateTime<Utc>) -> Result<(), StoreError> {
    sqlx::query("update managed_group set members = $2, read_at = $3, believed_at = null where id = $1")
        .bind(id)
        .bind(members)
        .bind(now)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Stops what is done by itself in a group (`many` or `shrunk`, and how many people that is about), or lets it go on.
///
/// # Errors
/// When the database fails.
pub async fn stop(tx: &mut Tx, id: Uuid, why: Option<(&str, i32)>, now: DateTime<Utc>) -> Result<(), StoreError> {
    sqlx::query("update managed_group set stopped_at = case when $2::text is null then null else $4::timestamptz end, stopped_why = $2, stopped_people = $3, believed_at = null where id = $1")
        .bind(id)
        .bind(why.map(|(word, _)| word))
        .bind(why.map(|(_, people)| people))
        .bind(now)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Lets a group go on whose short list is right.
///
/// # Errors
/// When the database fails.
pub async fn believe(tx: &mut Tx, id: Uuid, now: DateTime<Utc>) -> Result<(), StoreError> {
    sqlx::query("update managed_group set stopped_at = null, stopped_why = null, stopped_people = null, believed_at = $2 where id = $1")
        .bind(id)
        .bind(now)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// A member who was there before the first comparison.
#[derive(Clone, Debug, FromRow)]
pub struct Declared {
    /// Its id.
    pub id: Uuid,
    /// The person's reference.
    pub person_reference: String,
}

/// Who is declared in a group now: those who were there before, those for whom somebody answers at `now`.
///
/// # Errors
/// When the database fails.
pub async fn declared(tx: &mut Tx, directory: &str, group: &str) -> Result<Vec<Declared>, StoreError> {
    Ok(sqlx::query_as("select id, person_reference from pre_existing_member where directory = $1 and group_reference = $2 and gone_at is null")
        .bind(directory)
        .bind(group)
        .fetch_all(&mut **tx)
        .await?)
}

/// A member to be declared.
#[derive(Clone, Debug)]
pub struct Member {
    /// Id of the row.
    pub id: Uuid,
    /// The person's reference.
    pub reference: String,
    /// The person, if known.
    pub person: Option<PersonId>,
    /// The inner group by which they are a member: reference and name.
    pub through: Option<(String, String)>,
}

/// Declares members of a group.
///
/// # Errors
/// When the database fails.
pub async fn declare(tx: &mut Tx, directory: &str, group: &str, members: &[Member], now: DateTime<Utc>) -> Result<(), StoreError> {
    let ids: Vec<Uuid> = members.iter().map(|m| m.id).collect();
    let references: Vec<&str> = members.iter().map(|m| m.reference.as_str()).collect();
    let people: Vec<Option<Uuid>> = members.iter().map(|m| m.person.map(|p| p.0)).collect();
    let through: Vec<Option<&str>> = members.iter().map(|m| m.through.as_ref().map(|(reference, _)| reference.as_str())).collect();
    let names: Vec<Option<&str>> = members.iter().map(|m| m.through.as_ref().map(|(_, name)| name.as_str())).collect();
    sqlx::query(
        "insert into pre_existing_member (id, directory, group_reference, person_reference, person_id, through, through_name, noted_at)
         select i, $2, $3, r, p, t, n, $8 from unnest($1::uuid[], $4::text[], $5::uuid[], $6::text[], $7::text[]) as m(i, r, p, t, n) on conflict do nothing",
    )
    .bind(ids)
    .bind(directory)
    .bind(group)
    .bind(references)
    .bind(people)
    .bind(through)
    .bind(names)
    .bind(now)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Notes that declared members are in their group no more: who comes back is no longer declared.
///
/// # Errors
/// When the database fails.
pub async fn left(tx: &mut Tx, ids: &[Uuid], now: DateTime<Utc>) -> Result<(), StoreError> {
    sqlx::query("update pre_existing_member set gone_at = $2 where id = any($1) and gone_at is null").bind(ids).bind(now).execute(&mut **tx).await?;
    Ok(())
}

/// A drift that somebody answers for.
#[derive(Clone, Debug, FromRow)]
pub struct Exception {
    /// Its id.
    pub id: Uuid,
    /// The drift that it was made of.
    pub drift_id: Uuid,
    /// The person's reference.
    pub person_reference: String,
    /// Until when.
    pub ends_at: DateTime<Utc>,
}

/// The exceptions of a group that have not ended, locked.
///
/// # Errors
/// When the database fails.
pub async fn exceptions(tx: &mut Tx, directory: &str, group: &str) -> Result<Vec<Exception>, StoreError> {
    Ok(sqlx::query_as(
        "select id, drift_id, person_reference, ends_at from drift_exception where directory = $1 and group_reference = $2 and ended_at is null for update",
    )
    .bind(directory)
    .bind(group)
    .fetch_all(&mut **tx)
    .await?)
}

/// An exception to be made.
#[derive(Clone, Debug)]
pub struct NewException<'a> {
    /// Its id.
    pub id: Uuid,
    /// The drift that it is made of.
    pub drift: Uuid,
    /// Why.
    pub reason: &'a str,
    /// Who answers for it.
    pub owner: PersonId,
    /// Who made it.
    pub by: PersonId,
    /// Until when.
    pub until: DateTime<Utc>,
}

/// Writes an exception of a drift.
///
/// # Errors
/// When the database refuses.
pub async fn except(tx: &mut Tx, new: &NewException<'_>, now: DateTime<Utc>) -> Result<(), StoreError> {
    sqlx::query(
        "insert into drift_exception (id, drift_id, directory, group_reference, person_reference, reason, owner_id, made_by, made_at, ends_at)
         select $1, d.id, d.directory, d.group_reference, d.person_reference, $3, $4, $5, $6, $7 from drift d where d.id = $2",
    )
    .bind(new.id)
    .bind(new.drift)
    .bind(new.reason)
    .bind(new.owner.0)
    .bind(new.by.0)
    .bind(now)
    .bind(new.until)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Ends exceptions.
///
/// # Errors
/// When the database fails.
pub async fn end_exceptions(tx: &mut Tx, ids: &[Uuid], now: DateTime<Utc>) -> Result<(), StoreError> {
    sqlx::query("update drift_exception set ended_at = $2 where id = any($1) and ended_at is null").bind(ids).bind(now).execute(&mut **tx).await?;
    Ok(())
}

/// The exception of a drift that has not ended, locked.
///
/// # Errors
/// When the database fails.
pub async fn exception_of(tx: &mut Tx, drift: Uuid) -> Result<Option<Exception>, StoreError> {
    Ok(sqlx::query_as("select id, drift_id, person_reference, ends_at from drift_exception where drift_id = $1 and ended_at is null for update")
        .bind(drift)
        .fetch_optional(&mut **tx)
        .await?)
}
