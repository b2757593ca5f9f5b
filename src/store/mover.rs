//! Who moved, and which grants that puts in doubt.

use chrono::{DateTime, Utc};
use sqlx::FromRow;
use uuid::Uuid;

use crate::domain::id::{GrantId, PersonId};

use super::db::{Db, Tx};
use super::error::StoreError;

/// A change of one attribute, to be written.
#[derive(Clone, Debug)]
pub struct NewMover {
    /// Its id.
    pub id: Uuid,
    /// Who.
    pub person: Uuid,
    /// Which attribute.
    pub attribute: String,
    /// Its values before.
    pub old: Vec<String>,
    /// Its values now.
    pub new: Vec<String>,
    /// The event that tells of it.
    pub event_id: i64,
}

/// Writes a change.
///
/// # Errors
/// When the database refuses: there must be the event of it.
pub async fn insert(tx: &mut Tx, new: &NewMover, now: DateTime<Utc>) -> Result<(), StoreError> {
    sqlx::query("insert into mover (id, person_id, attribute, old, new, changed_at, event_id) values ($1, $2, $3, $4, $5, $6, $7)")
        .bind(new.id)
        .bind(new.person)
        .bind(&new.attribute)
        .bind(&new.old)
        .bind(&new.new)
        .bind(now)
        .bind(new.event_id)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Those of `people` who hold a live lease.
///
/// # Errors
/// When the database fails.
pub async fn holders(tx: &mut Tx, people: &[Uuid]) -> Result<Vec<Uuid>, StoreError> {
    if people.is_empty() {
        return Ok(Vec::new());
    }
    Ok(sqlx::query_scalar("select distinct beneficiary_id from access_grant where beneficiary_id = any($1) and status not in ('ended', 'failed')")
        .bind(people)
        .fetch_all(&mut **tx)
        .await?)
}

/// References of the groups that Countersign itself gave these people, or gives: person and group.
///
/// # Errors
/// When the database fails.
pub async fn own_groups(tx: &mut Tx, people: &[Uuid]) -> Result<Vec<(Uuid, String)>, StoreError> {
    Ok(sqlx::query_as("select person_id, group_reference from target where person_id = any($1)").bind(people).fetch_all(&mut **tx).await?)
}

/// Names of groups of a directory by their references; those never listed are left out.
///
/// # Errors
/// When the database fails.
pub async fn group_names(tx: &mut Tx, directory: &str, references: &[String]) -> Result<Vec<(String, String)>, StoreError> {
    if references.is_empty() {
        return Ok(Vec::new());
    }
    Ok(sqlx::query_as("select reference, name from directory_group where directory = $1 and reference = any($2)")
        .bind(directory)
        .bind(references)
        .fetch_all(&mut **tx)
        .await?)
}

/// The latest change of one of `attributes` of a person since `since`.
///
/// # Errors
/// When the database fails.
pub async fn latest(tx: &mut Tx, person: PersonId, attributes: &[String], since: DateTime<Utc>) -> Result<Option<Uuid>, StoreError> {
    Ok(sqlx::query_scalar("select id from mover where person_id = $1 and attribute = any($2) and changed_at >= $3 order by changed_at desc, id desc limit 1")
        .bind(person.0)
        .bind(attributes)
        .bind(since)
        .fetch_optional(&mut **tx)
        .await?)
}

/// A grant whose holder does not meet the policy, to be written.
#[derive(Clone, Debug)]
pub struct NewLoss<'a> {
    /// Its id.
    pub id: Uuid,
    /// Which grant.
    pub grant: Uuid,
    /// Its request.
    pub request: Uuid,
    /// The change it comes from.
    pub mover: Option<Uuid>,
    /// The version it was held against.
    pub policy_version: Uuid,
    /// The rule.
    pub rule: &'a str,
    /// What it asks.
    pub sentence: &'a str,
    /// When it ends; none: it is kept.
    pub due_at: Option<DateTime<Utc>>,
}

/// Writes a loss.
///
/// # Errors
/// When the database refuses: there must be the event of it, and no other that is open.
pub async fn lose(tx: &mut Tx, new: &NewLoss<'_>, now: DateTime<Utc>) -> Result<(), StoreError> {
    sqlx::query(
        "insert into eligibility_loss (id, grant_id, request_id, mover_id, policy_version_id, rule, sentence, found_at, due_at, next_at) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9)",
    )
    .bind(new.id)
    .bind(new.grant)
    .bind(new.request)
    .bind(new.mover)
    .bind(new.policy_version)
    .bind(new.rule)
    .bind(new.sentence)
    .bind(now)
    .bind(new.due_at)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// An open loss.
#[derive(Clone, Debug, FromRow)]
pub struct LossRow {
    /// Its id.
    pub id: Uuid,
    /// Which grant.
    pub grant_id: Uuid,
    /// The rule.
    pub rule: String,
    /// When it ends; none: it is kept.
    pub due_at: Option<DateTime<Utc>>,
}

/// The open loss of a grant, locked.
///
/// # Errors
/// When the database fails.
pub async fn open(tx: &mut Tx, grant: GrantId) -> Result<Option<LossRow>, StoreError> {
    Ok(sqlx::query_as("select id, grant_id, rule, due_at from eligibility_loss where grant_id = $1 and resolved_at is null for update")
        .bind(grant.0)
        .fetch_optional(&mut **tx)
        .await?)
}

/// Holders of grants, of `directory`, whose grace is over at `now` or is to be looked at again; each once.
///
/// # Errors
/// When the database fails.
pub async fn due(db: &Db, directory: &str, now: DateTime<Utc>, limit: i64) -> Result<Vec<Uuid>, StoreError> {
    Ok(sqlx::query_scalar(
        "select g.beneficiary_id from eligibility_loss l join access_grant g on g.id = l.grant_id join person p on p.id = g.beneficiary_id
         where l.next_at <= $1 and p.directory = $3 group by 1 order by min(l.next_at), 1 limit $2",
    )
    .bind(now)
    .bind(limit)
    .bind(directory)
    .fetch_all(&db.pool)
    .await?)
}

/// Puts off the losses of a person that are due at `now`.
///
/// # Errors
/// When the database fails.
pub async fn put_off(tx: &mut Tx, person: PersonId, now: DateTime<Utc>, until: DateTime<Utc>) -> Result<(), StoreError> {
    sqlx::query("update eligibility_loss l set next_at = $3 from access_grant g where g.id = l.grant_id and g.beneficiary_id = $1 and l.next_at <= $2")
        .bind(person.0)
        .bind(now)
        .bind(until)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Ends a loss: `revoked`, `restored` or `ended` (the lease ended for another reason).
///
/// # Errors
/// When the database fails.
pub async fn resolve(tx: &mut Tx, id: Uuid, resolution: &str, now: DateTime<Utc>) -> Result<(), StoreError> {
    sqlx::query("update eligibility_loss set resolved_at = $2, resolution = $3, next_at = null where id = $1 and resolved_at is null")
        .bind(id)
        .bind(now)
        .bind(resolution)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Ends the losses of leases that are over for another reason.
///
/// # Errors
/// When the database fails.
pub async fn resolve_ended(db: &Db, person: PersonId, now: DateTime<Utc>) -> Result<(), StoreError> {
    sqlx::query(
        "update eligibility_loss l set resolved_at = $2, resolution = 'ended', next_at = null from access_grant g
         where g.id = l.grant_id and g.beneficiary_id = $1 and l.resolved_at is null and g.status in ('revoking', 'ended', 'failed')",
    )
    .bind(person.0)
    .bind(now)
    .execute(&db.pool)
    .await?;
    Ok(())
}

/// The ids of a person's live leases.
///
/// # Errors
/// When the database fails.
pub async fn held_by(db: &Db, person: PersonId) -> Result<Vec<Uuid>, StoreError> {
    Ok(sqlx::query_scalar(
        "select id from access_grant where beneficiary_id = $1 and status in ('scheduled', 'provisioning', 'verifying', 'active') order by id",
    )
    .bind(person.0)
    .fetch_all(&db.pool)
    .await?)
}
