//! The log: appended to, read, never changed.

use chrono::{DateTime, Utc};
use sqlx::{Postgres, QueryBuilder};
use uuid::Uuid;

use crate::domain::event::{Actor, Event};
use crate::domain::id::{PersonId, RequestId};

use super::db::Tx;
use super::error::StoreError;

/// The payload of the first event of that kind about a request.
///
/// # Errors
/// When the database fails.
pub async fn told(tx: &mut Tx, request: RequestId, kind: &str) -> Result<Option<serde_json::Value>, StoreError> {
    Ok(sqlx::query_scalar("select data from audit_event where request_id = $1 and kind = $2 order by id limit 1")
        .bind(request.0)
        .bind(kind)
        .fetch_optional(&mut **tx)
        .await?)
}

/// Whether `actor` looked at this page, and what it shows, since then.
///
/// # Errors
/// When the database fails.
pub async fn viewed_since(tx: &mut Tx, actor: PersonId, (page, object): (&str, Option<&str>), since: DateTime<Utc>) -> Result<bool, StoreError> {
    Ok(sqlx::query_scalar(
        "select exists (select 1 from (select occurred_at, data from audit_event where actor_id = $1 and kind = 'evidence.viewed' order by id desc limit 500) e
           where e.occurred_at > $4 and e.data ->> 'page' = $2 and e.data ->> 'object' is not distinct from $3)",
    )
    .bind(actor.0)
    .bind(page)
    .bind(object)
    .bind(since)
    .fetch_one(&mut **tx)
    .await?)
}

/// Whether `actor` drew this sample (what its event says) since then.
///
/// # Errors
/// When the database fails.
pub async fn sampled_since(tx: &mut Tx, actor: PersonId, data: &serde_json::Value, since: DateTime<Utc>) -> Result<bool, StoreError> {
    Ok(sqlx::query_scalar(
        "select exists (select 1 from (select occurred_at, kind, data from audit_event where actor_id = $1 order by id desc limit 500) e
           where e.kind = 'evidence.sampled' and e.occurred_at > $3 and e.data = $2)",
    )
    .bind(actor.0)
    .bind(data)
    .bind(since)
    .fetch_one(&mut **tx)
    .await?)
}

/// Appends `events` in order and returns their ids. They exist exactly if the transaction commits.
///
/// # Errors
/// When the database refuses a row.
pub async fn append(tx: &mut Tx, events: &[Event]) -> Result<Vec<i64>, StoreError> {
    if events.is_empty() {
        return Ok(Vec::new());
    }
    let mut rows = Vec::with_capacity(events.len());
    for event in events {
        let mut fact = serde_json::to_value(&event.fact)?;
        let kind = fact.get("kind").and_then(|kind| kind.as_str()).unwrap_or_default().to_string();
        let data = fact.get_mut("data").map(serde_json::Value::take).unwrap_or_else(|| serde_json::json!({}));
        rows.push((event, kind, data));
    }
    let mut insert = QueryBuilder::<Postgres>::new(
        "insert into audit_event (kind, actor_kind, actor_id, actor_name, token_id, channel, request_id, grant_id, person_id, role_id, application_id, policy_version_id, data) ",
    );
    insert.push_values(rows, |mut row, (event, kind, data)| {
        let (actor_kind, actor_id, actor_name, token): (&str, Option<Uuid>, Option<&str>, Option<Uuid>) = match &event.actor {
            Actor::Person { id, name } => ("person", Some(id.0), Some(name), None),
            Actor::Token { id, name, token } => ("token", Some(id.0), Some(name), Some(token.0)),
            Actor::System => ("system", None, None, None),
        };
        let subject = &event.subject;
        row.push_bind(kind)
            .push_bind(actor_kind)
            .push_bind(actor_id)
            .push_bind(actor_name.filter(|name| !name.is_empty()).map(String::from))
            .push_bind(token)
            .push_bind(event.channel.word())
            .push_bind(subject.request.map(|id| id.0))
            .push_bind(subject.grant.map(|id| id.0))
            .push_bind(subject.person.map(|id| id.0))
            .push_bind(subject.role.map(|id| id.0))
            .push_bind(subject.application.map(|id| id.0))
            .push_bind(subject.policy_version.map(|id| id.0))
            .push_bind(data);
    });
    insert.push(" returning id");
    Ok(insert.build_query_scalar().fetch_all(&mut **tx).await?)
}
