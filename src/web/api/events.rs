//! The log.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::service::list::{self, EventFilter, EventListed};
use crate::web::api::body::Query;
use crate::web::api::caller::{EventsRead, May};
use crate::web::api::page::Page;
use crate::web::api::problem::{Problem, ProblemBody};
use crate::web::state::App;

/// An event: one row of the log.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Event)]
pub struct EventOut {
    /// Its id, a whole number as text: JSON numbers are not exact for all of them.
    pub id: String,
    /// When, by the database's clock.
    pub occurred_at: DateTime<Utc>,
    /// What happened, for example `request.approved`.
    pub kind: String,
    /// `person`, `token` or `system`.
    pub actor_kind: String,
    /// Who did it, or whose token did.
    pub actor_id: Option<Uuid>,
    /// Their name at that time.
    pub actor_name: Option<String>,
    /// Whom they stood in for.
    pub acting_for: Option<Uuid>,
    /// With which token.
    pub token_id: Option<Uuid>,
    /// `web`, `api`, `cli` or `system`.
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
    #[schema(value_type = Object)]
    pub data: Value,
}

impl From<EventListed> for EventOut {
    fn from(row: EventListed) -> Self {
        Self {
            id: row.id.to_string(),
            occurred_at: row.occurred_at,
            kind: row.kind,
            actor_kind: row.actor_kind,
            actor_id: row.actor_id,
            actor_name: row.actor_name,
            acting_for: row.acting_for,
            token_id: row.token_id,
            channel: row.channel,
            request_id: row.request_id,
            grant_id: row.grant_id,
            person_id: row.person_id,
            role_id: row.role_id,
            application_id: row.application_id,
            policy_version_id: row.policy_version_id,
            data: row.data,
        }
    }
}

/// How the log is narrowed.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "read by name; here for the API's document")]
pub struct Narrow {
    /// Only this kind, or all that begin so when it ends in a dot: `grant.`.
    kind: Option<String>,
    /// Only about this request.
    request: Option<Uuid>,
    /// Only about or by this person.
    person: Option<Uuid>,
    /// Only about this role.
    role: Option<Uuid>,
    /// Only about this application.
    application: Option<Uuid>,
    /// From this time on: RFC 3339, or a day.
    from: Option<String>,
    /// Before this time: RFC 3339, or a day.
    to: Option<String>,
    /// Where the page before ended.
    #[param(minimum = 1)]
    after: Option<i64>,
    /// How many rows, 1 to 200; 50 unless told.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<i64>,
}

/// List events
///
/// Events that you may see, newest first: about you, by you, about what you decide on or own; auditors and administrators see all.
#[utoipa::path(get, path = "/api/v1/events", tag = "Events", params(Narrow), security(("token" = ["events:read"])),
    responses((status = 200, description = "Events, a page at a time.", body = Page<EventOut>), (status = "4XX", description = "A problem.", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn list(State(app): State<App>, caller: May<EventsRead>, Query(mut query): Query) -> Result<Json<Page<EventOut>>, Problem> {
    let kind = query.text("kind");
    if kind.as_deref().is_some_and(|kind| kind.len() > 60 || !kind.bytes().all(|b| b.is_ascii_lowercase() || matches!(b, b'.' | b'_'))) {
        query.fault("kind", "Must be a kind like request.approved, or the beginning of some, like grant. with its dot.");
    }
    let filter = EventFilter {
        kind,
        request: query.id("request"),
        person: query.id("person"),
        role: query.id("role"),
        application: query.id("application"),
        from: query.time("from"),
        to: query.time("to"),
    };
    let (after, limit) = (query.number("after", 1, i64::MAX), query.limit());
    query.done(())?;
    let page = list::events(&app.ctx, &caller.by, &filter, after, limit).await?;
    Ok(Json(Page::of(page, |row| row.id.to_string(), EventOut::from)))
}
