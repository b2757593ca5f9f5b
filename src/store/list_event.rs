//! The log, newest first, for who may see it.
//!
//! Who sees an event: whom it is about, who did it, the owners of its role and application, and who reads everything. That there is a legal
//! hold only those see who read everything, and who placed or lifted it: whom it is on must not learn of it.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::FromRow;
use uuid::Uuid;

use super::db::Db;
use super::error::StoreError;

/// A row of the log.
#[derive(Clone, Debug, FromRow)]
pub struct EventListed {
    /// Its id: an insertion key.
    pub id: i64,
    /// When, by the database's clock.
    pub occurred_at: DateTime<Utc>,
    /// What happened.
    pub kind: String,
    /// `person`, `token` or `system`.
    pub actor_kind: String,
    /// Who did it.
    pub actor_id: Option<Uuid>,
    /// Their name at that time.
    pub actor_name: Option<String>,
    /// Whom they stood in for.
    pub acting_for: Option<Uuid>,
    /// With which token.
    pub token_id: Option<Uuid>,
    /// Through which door.
    pub channel: String,
    /// The request it is about.
    pub request_id: Option<Uuid>,
    /// The grant it is about.
    pub grant_id: Option<Uuid>,
    /// The person it is about.
    pub person_id: Option<Uuid>,
    /// The role it is about.
    pub role_id: Option<Uuid>,
    /// The application it is about.
    pub application_id: Option<Uuid>,
    /// The version of the policy that governed.
    pub policy_version_id: Option<Uuid>,
    /// What happened, in named fields.
    pub data: Value,
}

/// Narrows the log.
#[derive(Clone, Debug, Default)]
pub struct EventFilter {
    /// Only this kind, or with a trailing dot all kinds that start so (`grant.`).
    pub kind: Option<String>,
    /// Only about this request.
    pub request: Option<Uuid>,
    /// Only about or by this person.
    pub person: Option<Uuid>,
    /// Only about this role.
    pub role: Option<Uuid>,
    /// Only about this application.
    pub application: Option<Uuid>,
    /// From this time on.
    pub from: Option<DateTime<Utc>>,
    /// Before this time.
    pub to: Option<DateTime<Utc>>,
}

/// The columns of [`EventListed`], with the conditions.
macro_rules! events {
    ($where:literal) => {
        concat!(
            "select e.id, e.occurred_at, e.kind, e.actor_kind, e.actor_id, e.actor_name, e.acting_for, e.token_id, e.channel, e.request_id, e.grant_id, e.person_id, e.role_id, e.application_id, ",
            "e.policy_version_id, e.data from audit_event e ",
            $where,
            "and ($2::text is null or e.kind = $2 or (right($2, 1) = '.' and starts_with(e.kind, $2))) and ($3::uuid is null or e.request_id = $3)
             and ($4::uuid is null or e.person_id = $4 or e.actor_id = $4) and ($5::uuid is null or e.role_id = $5) and ($6::uuid is null or e.application_id = $6)
             and ($7::timestamptz is null or e.occurred_at >= $7) and ($8::timestamptz is null or e.occurred_at < $8)
             and ($9::bigint is null or e.id < $9) order by e.id desc limit $10"
        )
    };
}

/// The event `id`, if `viewer` may see it. No viewer: any.
///
/// # Errors
/// When the database fails.
pub async fn one(db: &Db, viewer: Option<Uuid>, id: i64) -> Result<Option<EventListed>, StoreError> {
    Ok(sqlx::query_as(
        "select e.id, e.occurred_at, e.kind, e.actor_kind, e.actor_id, e.actor_name, e.acting_for, e.token_id, e.channel, e.request_id, e.grant_id, e.person_id, e.role_id,
           e.application_id, e.policy_version_id, e.data from audit_event e
         where e.id = $2 and ($1::uuid is null or e.person_id = $1 or e.actor_id = $1 or e.application_id in (select id from application where owner_id = $1)
           or e.role_id in (select id from role where owner_id = $1)
           or e.request_id in (select request_id from assignment where person_id = $1 and assigned_at is not null))
           and ($1::uuid is null or not starts_with(e.kind, 'hold.') or e.actor_id = $1)",
    )
    .bind(viewer)
    .bind(id)
    .fetch_optional(&db.pool)
    .await?)
}

/// Events that `viewer` may see, newest first, before the event `after`, at most `limit`. No viewer: every event.
///
/// # Errors
/// When the database fails.
pub async fn list(db: &Db, viewer: Option<Uuid>, filter: &EventFilter, after: Option<i64>, limit: i64) -> Result<Vec<EventListed>, StoreError> {
    let statement = match viewer {
        None => events!("where $1::uuid is null "),
        Some(_) => events!(
            "where (e.person_id = $1 or e.actor_id = $1 or e.application_id in (select id from application where owner_id = $1)
               or e.role_id in (select id from role where owner_id = $1)
               or e.request_id in (select request_id from assignment where person_id = $1 and assigned_at is not null))
               and (not starts_with(e.kind, 'hold.') or e.actor_id = $1) "
        ),
    };
    Ok(sqlx::query_as(statement)
        .bind(viewer)
        .bind(&filter.kind)
        .bind(filter.request)
        .bind(filter.person)
        .bind(filter.role)
        .bind(filter.application)
        .bind(filter.from)
        .bind(filter.to)
        .bind(after)
        .bind(limit)
        .fetch_all(&db.pool)
        .await?)
}
