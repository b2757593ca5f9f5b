//! Reviews that emergencies owe.

use chrono::{DateTime, Utc};
use sqlx::FromRow;
use uuid::Uuid;

use crate::domain::id::{PersonId, RequestId};

use super::db::{Db, Tx};
use super::error::StoreError;

/// A review, owed or made.
#[derive(Clone, Debug, FromRow)]
pub struct ReviewRow {
    /// The emergency.
    pub request_id: Uuid,
    /// Who had access.
    pub beneficiary_id: Uuid,
    /// By when it is owed.
    pub due_at: DateTime<Utc>,
    /// When it was made.
    pub reviewed_at: Option<DateTime<Utc>>,
    /// Who may make it.
    pub reviewers: Vec<Uuid>,
}

/// Whether a review of an emergency of `person` is owed.
///
/// # Errors
/// When the database fails.
pub async fn is_owed(db: &Db, person: PersonId) -> Result<bool, StoreError> {
    Ok(sqlx::query_scalar("select exists (select 1 from emergency_review where beneficiary_id = $1 and reviewed_at is null)")
        .bind(person.0)
        .fetch_one(&db.pool)
        .await?)
}

/// As [`is_owed`], as the transaction sees it.
///
/// # Errors
/// When the database fails.
pub async fn is_owed_now(tx: &mut Tx, person: PersonId) -> Result<bool, StoreError> {
    Ok(sqlx::query_scalar("select exists (select 1 from emergency_review where beneficiary_id = $1 and reviewed_at is null)")
        .bind(person.0)
        .fetch_one(&mut **tx)
        .await?)
}

/// Writes that a review is owed, and by whom.
///
/// # Errors
/// When the database refuses.
pub async fn owe(tx: &mut Tx, request: RequestId, beneficiary: PersonId, due_at: DateTime<Utc>, reviewers: &[Uuid]) -> Result<(), StoreError> {
    sqlx::query("insert into emergency_review (request_id, beneficiary_id, due_at) values ($1, $2, $3)")
        .bind(request.0)
        .bind(beneficiary.0)
        .bind(due_at)
        .execute(&mut **tx)
        .await?;
    sqlx::query("insert into emergency_reviewer (request_id, person_id) select $1, p from unnest($2::uuid[]) as t(p)")
        .bind(request.0)
        .bind(reviewers)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// The review of an emergency, locked; none when the request was none.
///
/// # Errors
/// When the database fails.
pub async fn lock(tx: &mut Tx, request: RequestId) -> Result<Option<ReviewRow>, StoreError> {
    Ok(sqlx::query_as(
        "select v.request_id, v.beneficiary_id, v.due_at, v.reviewed_at,
           array(select person_id from emergency_reviewer r where r.request_id = v.request_id order by person_id) as reviewers
         from emergency_review v where v.request_id = $1 for update of v",
    )
    .bind(request.0)
    .fetch_optional(&mut **tx)
    .await?)
}

/// Whether some review is overdue at `now` of which nobody was told.
///
/// # Errors
/// When the database fails.
pub async fn any_overdue(db: &Db, now: DateTime<Utc>) -> Result<bool, StoreError> {
    Ok(sqlx::query_scalar("select exists (select 1 from emergency_review where reviewed_at is null and overdue_told_at is null and due_at <= $1)")
        .bind(now)
        .fetch_one(&db.pool)
        .await?)
}

/// Reviews that are overdue at `now` and of which nobody was told, locked, at most `limit`.
///
/// # Errors
/// When the database fails.
pub async fn lock_overdue(tx: &mut Tx, now: DateTime<Utc>, limit: i64) -> Result<Vec<ReviewRow>, StoreError> {
    Ok(sqlx::query_as(
        "select v.request_id, v.beneficiary_id, v.due_at, v.reviewed_at,
           array(select person_id from emergency_reviewer r where r.request_id = v.request_id order by person_id) as reviewers
         from emergency_review v where v.reviewed_at is null and v.overdue_told_at is null and v.due_at <= $1 order by v.due_at limit $2 for update of v skip locked",
    )
    .bind(now)
    .bind(limit)
    .fetch_all(&mut **tx)
    .await?)
}

/// Notes that it was told that a review is overdue.
///
/// # Errors
/// When the database fails.
pub async fn told(tx: &mut Tx, request: RequestId, now: DateTime<Utc>) -> Result<(), StoreError> {
    sqlx::query("update emergency_review set overdue_told_at = $2 where request_id = $1").bind(request.0).bind(now).execute(&mut **tx).await?;
    Ok(())
}

/// Writes the review.
///
/// # Errors
/// When the database refuses.
pub async fn review(tx: &mut Tx, request: RequestId, by: PersonId, verdict: &str, comment: Option<&str>, now: DateTime<Utc>) -> Result<(), StoreError> {
    sqlx::query("update emergency_review set reviewed_by = $2, reviewed_at = $3, verdict = $4, comment = $5 where request_id = $1")
        .bind(request.0)
        .bind(by.0)
        .bind(now)
        .bind(verdict)
        .bind(comment)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// A review as the page of its request shows it.
#[derive(Clone, Debug, FromRow)]
pub struct ReviewLook {
    /// By when it is, or was, owed.
    pub due_at: DateTime<Utc>,
    /// When it was made.
    pub reviewed_at: Option<DateTime<Utc>>,
    /// By whom.
    pub reviewed_by: Option<String>,
    /// `justified` or `not_justified`.
    pub verdict: Option<String>,
    /// What they wrote.
    pub comment: Option<String>,
    /// Who may make it, by name.
    pub reviewers: Vec<String>,
    /// Whether the viewer is one of them.
    pub by_viewer: bool,
}

/// The review of an emergency, as `viewer` sees it; none when the request was none.
///
/// # Errors
/// When the database fails.
pub async fn look(db: &Db, viewer: PersonId, request: RequestId) -> Result<Option<ReviewLook>, StoreError> {
    Ok(sqlx::query_as(
        "select v.due_at, v.reviewed_at, (select display_name from person where id = v.reviewed_by) as reviewed_by, v.verdict, v.comment,
           array(select p.display_name from emergency_reviewer r join person p on p.id = r.person_id where r.request_id = v.request_id order by p.display_name, p.id limit 20) as reviewers,
           exists (select 1 from emergency_reviewer r where r.request_id = v.request_id and r.person_id = $2) as by_viewer
         from emergency_review v where v.request_id = $1",
    )
    .bind(request.0)
    .bind(viewer.0)
    .fetch_optional(&db.pool)
    .await?)
}

/// Names of those who may make the review that `person` owes, and by when; none when none is owed.
///
/// # Errors
/// When the database fails.
pub async fn owed_to(db: &Db, person: PersonId) -> Result<Option<(DateTime<Utc>, Vec<String>)>, StoreError> {
    Ok(sqlx::query_as(
        "select v.due_at, array(select p.display_name from emergency_reviewer r join person p on p.id = r.person_id
           where r.request_id = v.request_id and p.status = 'active' order by p.display_name, p.id limit 5)
         from emergency_review v where v.beneficiary_id = $1 and v.reviewed_at is null",
    )
    .bind(person.0)
    .fetch_optional(&db.pool)
    .await?)
}
