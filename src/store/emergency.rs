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
    /// Who was skipped and has not left, and so may make it; never who asked or had access.
    pub reviewers: Vec<Uuid>,
    /// The owners of the role and its application, who stand in when there are none.
    pub owners: Vec<Uuid>,
}

/// The columns of a [`ReviewRow`] of the review `v`.
macro_rules! review {
    ($rest:literal) => {
        concat!(
            "select v.request_id, v.beneficiary_id, v.due_at, v.reviewed_at,
               array(select w.person_id from emergency_reviewer w join person p on p.id = w.person_id and p.status = 'active' join request r on r.id = w.request_id
                 where w.request_id = v.request_id and w.person_id not in (r.beneficiary_id, r.requester_id) order by w.person_id) as reviewers,
               array(select distinct x.id from request r join role o on o.id = r.role_id join application a on a.id = o.application_id
                 cross join lateral (values (o.owner_id), (a.owner_id)) x (id) where r.id = v.request_id and x.id not in (r.beneficiary_id, r.requester_id)) as owners
             from emergency_review v ",
            $rest
        )
    };
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
    Ok(sqlx::query_as(review!("where v.request_id = $1 for update of v")).bind(request.0).fetch_optional(&mut **tx).await?)
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
    Ok(sqlx::query_as(review!(
        "where v.reviewed_at is null and v.overdue_told_at is null and v.due_at <= $1 order by v.due_at limit $2 for update of v skip locked"
    ))
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
    /// Who may make it, by name: who was skipped and has not left; when they all have, the owners of role and application.
    pub reviewers: Vec<String>,
    /// Whether all who were skipped have left, so that somebody stands in.
    pub stood_in: bool,
    /// Whether the viewer was skipped.
    pub by_viewer: bool,
}

/// The review of an emergency, as `viewer` sees it; none when the request was none.
///
/// # Errors
/// When the database fails.
pub async fn look(db: &Db, viewer: PersonId, request: RequestId) -> Result<Option<ReviewLook>, StoreError> {
    Ok(sqlx::query_as(
        "select v.due_at, v.reviewed_at, (select display_name from person where id = v.reviewed_by) as reviewed_by, v.verdict, v.comment,
           case when l.stood_in then array(select p.display_name from person p where p.id in (o.owner_id, a.owner_id) and p.id not in (r.beneficiary_id, r.requester_id)
               and p.status = 'active' order by p.display_name, p.id)
             else array(select p.display_name from emergency_reviewer w join person p on p.id = w.person_id
               where w.request_id = v.request_id and (v.reviewed_at is not null or p.status = 'active') order by p.display_name, p.id limit 20) end as reviewers,
           l.stood_in, exists (select 1 from emergency_reviewer w where w.request_id = v.request_id and w.person_id = $2) as by_viewer
         from emergency_review v join request r on r.id = v.request_id join role o on o.id = r.role_id join application a on a.id = o.application_id
         cross join lateral (select v.reviewed_at is null and not exists (select 1 from emergency_reviewer w join person p on p.id = w.person_id and p.status = 'active'
           where w.request_id = v.request_id and w.person_id not in (r.beneficiary_id, r.requester_id)) as stood_in) l
         where v.request_id = $1",
    )
    .bind(request.0)
    .bind(viewer.0)
    .fetch_optional(&db.pool)
    .await?)
}

/// The review that stands between `person` and a further emergency.
#[derive(Clone, Debug, FromRow)]
pub struct DebtRow {
    /// The emergency.
    pub request_id: Uuid,
    /// The application's name.
    pub application: String,
    /// The role's name.
    pub role: String,
    /// By when it is owed.
    pub due_at: DateTime<Utc>,
    /// Who may make it, by name, at most five: as [`ReviewLook::reviewers`].
    pub reviewers: Vec<String>,
}

/// The review of an emergency of `person` that is owed; none when none is.
///
/// # Errors
/// When the database fails.
pub async fn owed_to(db: &Db, person: PersonId) -> Result<Option<DebtRow>, StoreError> {
    Ok(sqlx::query_as(
        "select v.request_id, a.name as application, o.name as role, v.due_at,
           coalesce(nullif(array(select p.display_name from emergency_reviewer w join person p on p.id = w.person_id
               where w.request_id = v.request_id and p.id not in (r.beneficiary_id, r.requester_id) and p.status = 'active' order by p.display_name, p.id limit 5), '{}'),
             array(select p.display_name from person p where p.id in (o.owner_id, a.owner_id) and p.id not in (r.beneficiary_id, r.requester_id)
               and p.status = 'active' order by p.display_name, p.id)) as reviewers
         from emergency_review v join request r on r.id = v.request_id join role o on o.id = r.role_id join application a on a.id = o.application_id
         where v.beneficiary_id = $1 and v.reviewed_at is null",
    )
    .bind(person.0)
    .fetch_optional(&db.pool)
    .await?)
}

/// A review that somebody may make now.
#[derive(Clone, Debug, FromRow)]
pub struct OwedRow {
    /// The emergency.
    pub request_id: Uuid,
    /// The role.
    pub role_id: Uuid,
    /// Its name.
    pub role: String,
    /// Its risk.
    pub risk: String,
    /// The application's name.
    pub application: String,
    /// Who took access.
    pub beneficiary: String,
    /// Why it could not wait.
    pub reason: String,
    /// When it was taken.
    pub created_at: DateTime<Utc>,
    /// By when the review is owed.
    pub due_at: DateTime<Utc>,
    /// Whether the viewer stands in for people who have all left.
    pub stands_in: bool,
}

/// The reviews that `person` may make, what is due first first, at most `limit`: of emergencies for which they were skipped and, when all
/// who were have left, of those for which they stand in as an owner, or as one who `administers`.
///
/// # Errors
/// When the database fails.
pub async fn owed_by(db: &Db, person: PersonId, administers: bool, limit: i64) -> Result<Vec<OwedRow>, StoreError> {
    Ok(sqlx::query_as(
        "select v.request_id, r.role_id, o.name as role, o.risk, a.name as application, b.display_name as beneficiary, r.emergency_reason as reason, r.created_at, v.due_at, not l.skipped as stands_in
         from emergency_review v join request r on r.id = v.request_id join role o on o.id = r.role_id join application a on a.id = o.application_id
         join person b on b.id = r.beneficiary_id
         cross join lateral (select exists (select 1 from emergency_reviewer w where w.request_id = v.request_id and w.person_id = $1) as skipped) l
         where v.reviewed_at is null and $1 not in (r.beneficiary_id, r.requester_id)
           and (l.skipped or ($2 or $1 in (o.owner_id, a.owner_id)) and not exists (select 1 from emergency_reviewer w join person p on p.id = w.person_id and p.status = 'active'
             where w.request_id = v.request_id and w.person_id not in (r.beneficiary_id, r.requester_id)))
         order by v.due_at, v.request_id limit $3",
    )
    .bind(person.0)
    .bind(administers)
    .bind(limit)
    .fetch_all(&db.pool)
    .await?)
}
