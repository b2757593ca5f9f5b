//! Holds that keep something, and orders to erase that wait.

use chrono::{DateTime, Utc};
use sqlx::FromRow;
use uuid::Uuid;

use super::db::Db;
use super::erase::ERASED;
use super::error::StoreError;

/// A hold with the names of what it is on.
#[derive(Clone, Debug, FromRow)]
pub struct HoldListed {
    /// Its id.
    pub id: Uuid,
    /// Whom it is on, or whom the request is for.
    pub person: Option<String>,
    /// The request it is on.
    pub request_id: Option<Uuid>,
    /// What that is for.
    pub role: Option<String>,
    /// Why.
    pub reason: String,
    /// Who placed it; none: an operator.
    pub placed_by: Option<String>,
    /// Since when.
    pub placed_at: DateTime<Utc>,
    /// When it was lifted; it still counts.
    pub lifted_at: Option<DateTime<Utc>>,
}

/// Holds that keep something now, oldest first, after the one `after`, at most `most`.
///
/// # Errors
/// When the database fails.
pub async fn holds(db: &Db, after: Option<Uuid>, most: i64) -> Result<Vec<HoldListed>, StoreError> {
    Ok(sqlx::query_as(
        "select h.id, coalesce(p.display_name, b.display_name) as person, h.request_id, a.name || ' ' || r.name as role, h.reason, w.display_name as placed_by, h.placed_at, h.lifted_at
         from holding() h left join person p on p.id = h.person_id left join request q on q.id = h.request_id left join person b on b.id = q.beneficiary_id
         left join role r on r.id = q.role_id left join application a on a.id = r.application_id left join person w on w.id = h.placed_by
         where $1::uuid is null or h.id > $1 order by h.id limit $2",
    )
    .bind(after)
    .bind(most)
    .fetch_all(&db.pool)
    .await?)
}

/// An order to erase somebody that waits for a second administrator.
#[derive(Clone, Debug, FromRow)]
pub struct OrderListed {
    /// Whom.
    pub person_id: Uuid,
    /// What they are called.
    pub person: String,
    /// Who ordered it.
    pub by_id: Option<Uuid>,
    /// Their name.
    pub by: Option<String>,
    /// When.
    pub at: DateTime<Utc>,
    /// Why.
    pub reason: Option<String>,
}

/// Orders since `since` about people who are not erased yet, the newest of each, at most `most`.
///
/// # Errors
/// When the database fails.
pub async fn orders(db: &Db, since: DateTime<Utc>, most: i64) -> Result<Vec<OrderListed>, StoreError> {
    Ok(sqlx::query_as(
        "select distinct on (e.person_id) e.person_id, p.display_name as person, e.actor_id as by_id, e.actor_name as by, e.occurred_at as at, e.data ->> 'reason' as reason
         from audit_event e join person p on p.id = e.person_id
         where e.kind = 'person.erasure_ordered' and e.occurred_at >= $1 and p.display_name <> $2 order by e.person_id, e.id desc limit $3",
    )
    .bind(since)
    .bind(ERASED)
    .bind(most)
    .fetch_all(&db.pool)
    .await?)
}
