//! What people are told.

use chrono::{DateTime, Utc};
use sqlx::FromRow;
use uuid::Uuid;

use crate::clock::new_id;
use crate::domain::id::{PersonId, RequestId};

use super::db::{Db, Tx};
use super::error::StoreError;

/// Something a person is told.
#[derive(Clone, Debug, FromRow)]
pub struct NoticeRow {
    /// Its id.
    pub id: Uuid,
    /// What it is about: `confirm`, `reminder`, `nudge`, `question`, `answer`, `escalation`, `skipped`, ...
    pub kind: String,
    /// The request it is about.
    pub request_id: Option<Uuid>,
    /// What it says.
    pub sentence: String,
    /// When it was said.
    pub created_at: DateTime<Utc>,
}

/// Tells each of `people` the same.
///
/// # Errors
/// When the database fails.
pub async fn tell(tx: &mut Tx, people: &[PersonId], kind: &str, request: Option<RequestId>, sentence: &str, now: DateTime<Utc>) -> Result<(), StoreError> {
    if people.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = people.iter().map(|_| new_id()).collect();
    let people: Vec<Uuid> = people.iter().map(|person| person.0).collect();
    sqlx::query(
        "insert into notice (id, person_id, kind, request_id, sentence, created_at) select i, p, $3, $4, $5, $6 from unnest($1::uuid[], $2::uuid[]) as t(i, p)",
    )
    .bind(ids)
    .bind(people)
    .bind(kind)
    .bind(request.map(|id| id.0))
    .bind(sentence)
    .bind(now)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// What `person` was told and has not put aside, newest first, at most `limit`.
///
/// # Errors
/// When the database fails.
pub async fn unseen(db: &Db, person: PersonId, limit: i64) -> Result<Vec<NoticeRow>, StoreError> {
    Ok(sqlx::query_as("select id, kind, request_id, sentence, created_at from notice where person_id = $1 and seen_at is null order by id desc limit $2")
        .bind(person.0)
        .bind(limit)
        .fetch_all(&db.pool)
        .await?)
}

/// Puts a notice of `person` aside; all of them when `id` is none. Returns whether there is such a notice of theirs.
///
/// # Errors
/// When the database fails.
pub async fn seen(db: &Db, person: PersonId, id: Option<Uuid>, now: DateTime<Utc>) -> Result<bool, StoreError> {
    Ok(sqlx::query_scalar(
        "with done as (update notice set seen_at = $3 where person_id = $1 and seen_at is null and ($2::uuid is null or id = $2))
         select exists (select 1 from notice where person_id = $1 and id = $2)",
    )
    .bind(person.0)
    .bind(id)
    .bind(now)
    .fetch_one(&db.pool)
    .await?)
}
