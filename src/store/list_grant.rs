//! Grants as lists, for who may see them.
//!
//! Who sees a grant: its holder, the owners of its role and application, and who reads everything.

use chrono::{DateTime, Utc};
use sqlx::FromRow;
use uuid::Uuid;

use super::db::Db;
use super::error::StoreError;

/// A grant with its names.
#[derive(Clone, Debug, FromRow)]
pub struct GrantListed {
    /// Its id.
    pub id: Uuid,
    /// The request it comes from.
    pub request_id: Uuid,
    /// Who holds it.
    pub beneficiary_id: Uuid,
    /// Their name.
    pub beneficiary: String,
    /// The application.
    pub application_id: Uuid,
    /// Its name.
    pub application: String,
    /// The role.
    pub role_id: Uuid,
    /// Its name.
    pub role: String,
    /// How far it has come.
    pub status: String,
    /// When it was approved.
    pub approved_at: DateTime<Utc>,
    /// Seconds; none: without end.
    pub duration_s: Option<i64>,
    /// When it begins or began.
    pub starts_at: DateTime<Utc>,
    /// When it ends.
    pub ends_at: Option<DateTime<Utc>>,
    /// When the directory accepted it.
    pub granted_at: Option<DateTime<Utc>>,
    /// When the directory confirmed it.
    pub verified_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
    /// When the directory confirmed the removal.
    pub end_verified_at: Option<DateTime<Utc>>,
    /// Why it ended.
    pub end_reason: Option<String>,
    /// Who ended it.
    pub ended_by: Option<Uuid>,
    /// The reason given.
    pub end_comment: Option<String>,
    /// The lease it extends.
    pub extension_of: Option<Uuid>,
    /// Whether it began before anybody was asked.
    pub emergency: bool,
    /// Whether its holder said that it is not to be extended.
    pub no_extension: bool,
    /// How often the directory was told.
    pub attempts: i32,
    /// The last error of the directory.
    pub last_error: Option<String>,
}

/// Narrows a list of grants.
#[derive(Clone, Debug, Default)]
pub struct GrantFilter {
    /// Only with this status.
    pub status: Option<String>,
    /// Only of this role.
    pub role: Option<Uuid>,
    /// Only of this application.
    pub application: Option<Uuid>,
    /// Only of this person.
    pub beneficiary: Option<Uuid>,
}

/// The columns of [`GrantListed`], with the rest of the statement.
macro_rules! grants {
    ($where:literal, $rest:literal) => {
        concat!(
            "select g.id, g.request_id, g.beneficiary_id, b.display_name as beneficiary, g.application_id, a.name as application, g.role_id, o.name as role, g.status, g.approved_at, g.duration_s, ",
            "g.starts_at, g.ends_at, g.granted_at, g.verified_at, g.ended_at, g.end_verified_at, g.end_reason, g.ended_by, g.end_comment, g.extension_of, q.emergency_reason is not null as emergency, g.no_extension, g.attempts, g.last_error ",
            "from access_grant g join request q on q.id = g.request_id join person b on b.id = g.beneficiary_id join application a on a.id = g.application_id join role o on o.id = g.role_id ",
            $where,
            $rest
        )
    };
}

/// Grants that `viewer` may see, newest first, after the grant `after`, at most `limit`. No viewer: every grant.
///
/// # Errors
/// When the database fails.
pub async fn list(db: &Db, viewer: Option<Uuid>, filter: &GrantFilter, after: Option<Uuid>, limit: i64) -> Result<Vec<GrantListed>, StoreError> {
    let statement = match viewer {
        None => grants!(
            "where $1::uuid is null ",
            "and ($2::text is null or g.status = $2) and ($3::uuid is null or g.role_id = $3) and ($4::uuid is null or g.application_id = $4) and ($5::uuid is null or g.beneficiary_id = $5)
             and ($6::uuid is null or g.id < $6) order by g.id desc limit $7"
        ),
        Some(_) => grants!(
            "where g.id in (select id from access_grant where beneficiary_id = $1
               union all select s.id from access_grant s join role u on u.id = s.role_id join application y on y.id = u.application_id where u.owner_id = $1 or y.owner_id = $1) ",
            "and ($2::text is null or g.status = $2) and ($3::uuid is null or g.role_id = $3) and ($4::uuid is null or g.application_id = $4) and ($5::uuid is null or g.beneficiary_id = $5)
             and ($6::uuid is null or g.id < $6) order by g.id desc limit $7"
        ),
    };
    Ok(sqlx::query_as(statement)
        .bind(viewer)
        .bind(&filter.status)
        .bind(filter.role)
        .bind(filter.application)
        .bind(filter.beneficiary)
        .bind(after)
        .bind(limit)
        .fetch_all(&db.pool)
        .await?)
}

/// The grant, if `viewer` may see it. No viewer: whoever asks may.
///
/// # Errors
/// When the database fails.
pub async fn by_id(db: &Db, viewer: Option<Uuid>, id: Uuid) -> Result<Option<GrantListed>, StoreError> {
    Ok(sqlx::query_as(grants!("where g.id = $1 ", "and ($2::uuid is null or g.beneficiary_id = $2 or o.owner_id = $2 or a.owner_id = $2)"))
        .bind(id)
        .bind(viewer)
        .fetch_optional(&db.pool)
        .await?)
}
