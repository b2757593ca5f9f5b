//! Who stands in while somebody is away.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::domain::id::PersonId;
use crate::service::delegate::{self, Away, DelegationRow};
use crate::service::list;
use crate::service::look::delegation::state;
use crate::web::api::body::{Body, Id, Query};
use crate::web::api::caller::{ApprovalsWrite, May, RequestsRead};
use crate::web::api::page::Page;
use crate::web::api::problem::{Problem, ProblemBody};
use crate::web::state::App;

/// Somebody stands in while somebody is away.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Delegation)]
pub struct DelegationOut {
    /// Its id.
    pub id: Uuid,
    /// Who is away.
    pub person_id: Uuid,
    /// Their name.
    pub person: String,
    /// Who stands in.
    pub delegate_id: Uuid,
    /// Their name.
    pub delegate: String,
    /// From when.
    pub starts_at: DateTime<Utc>,
    /// Until when.
    pub ends_at: DateTime<Utc>,
    /// Why.
    pub reason: Option<String>,
    /// `in_force`, `ahead` or `over`.
    pub state: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was ended before its time.
    pub ended_at: Option<DateTime<Utc>>,
}

impl DelegationOut {
    fn of(row: DelegationRow, now: DateTime<Utc>) -> Self {
        Self {
            state: state(&row, now).into(),
            id: row.id,
            person_id: row.person_id,
            person: row.person,
            delegate_id: row.delegate_id,
            delegate: row.delegate,
            starts_at: row.starts_at,
            ends_at: row.ends_at,
            reason: row.reason,
            created_at: row.created_at,
            ended_at: row.ended_at,
        }
    }
}

/// Who is to stand in for you.
#[derive(Debug, Deserialize, ToSchema)]
#[allow(dead_code, reason = "read by name; here for the API's document")]
pub struct NewDelegation {
    /// Who is to stand in.
    pub delegate: Uuid,
    /// From when; from now on unless given.
    pub starts_at: Option<DateTime<Utc>>,
    /// Until when, at most 366 days later.
    pub ends_at: DateTime<Utc>,
    /// Why.
    pub reason: Option<String>,
}

/// What was made.
#[derive(Debug, Serialize, ToSchema)]
pub struct DelegationMade {
    /// Its id.
    pub id: Uuid,
}

/// List delegations
///
/// Your own and those in which you stand in: what is or will be in force first, then the past, at most 100.
#[utoipa::path(get, path = "/api/v1/delegations", tag = "Delegations", security(("token" = ["requests:read"])),
    responses((status = 200, description = "Your delegations.", body = Page<DelegationOut>), (status = "4XX", description = "A problem.", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn list(State(app): State<App>, caller: May<RequestsRead>, Query(query): Query) -> Result<Json<Page<DelegationOut>>, Problem> {
    query.done(())?;
    let now = app.ctx.clock.now();
    let rows = delegate::list(&app.ctx, &caller.by).await?;
    Ok(Json(Page::of(list::Page { rows, more: false }, |row| row.id.to_string(), |row| DelegationOut::of(row, now))))
}

/// Let somebody stand in
///
/// What is assigned to you in that time is assigned to them too. What they are asked as your stand-in is never passed on. One delegation at a time.
#[utoipa::path(post, path = "/api/v1/delegations", tag = "Delegations", params(("Idempotency-Key" = Option<String>, Header, description = "Any visible text that is new for each act.")),
    request_body = NewDelegation, security(("token" = ["approvals:write"])),
    responses((status = 201, description = "It is made.", body = DelegationMade), (status = "4XX", description = "A problem; nothing was changed.", body = ProblemBody, content_type = "application/problem+json"), (status = 503, description = "The directory or the database does not answer; nothing was changed.", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn create(State(app): State<App>, caller: May<ApprovalsWrite>, Body(mut body): Body) -> Result<(StatusCode, Json<DelegationMade>), Problem> {
    let away = Away { delegate: body.id("delegate").map(PersonId), from: body.time("starts_at"), until: body.time("ends_at"), reason: body.text("reason") };
    let who = away.delegate;
    body.done_with("delegate", who)?;
    let id = delegate::delegate(&app.ctx, &caller.by, &away).await?;
    Ok((StatusCode::CREATED, Json(DelegationMade { id })))
}

/// End a delegation
///
/// Before its time; by whoever is away, or whoever stands in. What was not answered in their stead goes back.
#[utoipa::path(post, path = "/api/v1/delegations/{delegation}/end", tag = "Delegations", params(("delegation" = Uuid, Path, description = "The delegation."), ("Idempotency-Key" = Option<String>, Header, description = "Any visible text that is new for each act.")),
    security(("token" = ["approvals:write"])),
    responses((status = 204, description = "It is over."), (status = "4XX", description = "A problem; nothing was changed.", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn end(State(app): State<App>, caller: May<ApprovalsWrite>, Id(id): Id, Body(body): Body) -> Result<StatusCode, Problem> {
    body.done(())?;
    delegate::end(&app.ctx, &caller.by, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
