//! Members that no grant explains, and what to do.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::domain::id::{PersonId, RoleId};
use crate::domain::request::RequestStatus;
use crate::service::drift::ignore::{self as leave, Ignoring};
use crate::service::drift::{act, adopt as asking};
use crate::service::list;
use crate::service::look::drift::{self, DriftFilter, DriftRow};
use crate::web::api::body::{Body, Id, Query};
use crate::web::api::caller::{GrantsRead, GrantsWrite, May};
use crate::web::api::page::Page;
use crate::web::api::problem::{Problem, ProblemBody};
use crate::web::api::requests::Stands;
use crate::web::form::line;
use crate::web::state::App;

/// A difference between a directory and what was granted.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Drift)]
pub struct DriftOut {
    /// Its id.
    pub id: Uuid,
    /// `unexpected_member`, `missing_member` or `unknown_target`.
    pub kind: String,
    /// Key of the directory.
    pub directory: String,
    /// The immutable id of the group there.
    pub group_reference: String,
    /// Its name, as last applied.
    pub group: String,
    /// The person, if known here.
    pub person_id: Option<Uuid>,
    /// Their name.
    pub person: Option<String>,
    /// Their immutable id in the directory.
    pub person_reference: String,
    /// The inner group by which they are in it; null: directly.
    pub through: Option<String>,
    /// The offered roles that the group gives.
    pub roles: Vec<Uuid>,
    /// What happens by itself: `alert`, `remove` or `adopt`.
    pub rule: String,
    /// When it was found.
    pub detected_at: DateTime<Utc>,
    /// Where it stands, in a sentence.
    pub stands: String,
    /// `alerted`, `removed`, `adopted` or `ignored`.
    pub action: String,
    /// The request that is to adopt it.
    pub request_id: Option<Uuid>,
    /// When its removal was ordered.
    pub removal_asked_at: Option<DateTime<Utc>>,
    /// Until when it is left alone.
    pub ignored_until: Option<DateTime<Utc>>,
    /// When it was settled.
    pub resolved_at: Option<DateTime<Utc>>,
    /// How.
    pub resolution: Option<String>,
}

impl From<DriftRow> for DriftOut {
    fn from(seen: DriftRow) -> Self {
        let row = seen.row;
        Self {
            id: row.id,
            kind: row.kind,
            directory: row.directory,
            group_reference: row.group_reference,
            group: row.group_name,
            person_id: row.person_id,
            person: row.person,
            person_reference: row.person_reference,
            through: row.through_name,
            roles: row.roles,
            rule: seen.rule.into(),
            detected_at: row.detected_at,
            stands: seen.stands,
            action: row.action,
            request_id: row.request_id,
            removal_asked_at: row.removal_asked_at,
            ignored_until: row.exception_until,
            resolved_at: row.resolved_at,
            resolution: row.resolution,
        }
    }
}

/// How the list is narrowed.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "read by name; here for the API's document")]
pub struct Narrow {
    /// Part of the name of a person, a group or a role.
    q: Option<String>,
    /// `unexpected_member`, `missing_member` or `unknown_target`.
    kind: Option<String>,
    /// Key of the directory.
    directory: Option<String>,
    /// Settled ones instead of those that are open.
    settled: Option<bool>,
    /// Where the page before ended.
    after: Option<Uuid>,
    /// How many rows, 1 to 200; 50 unless told.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<i64>,
}

/// List drift
///
/// Newest first. Auditors and administrators see everything, owners the groups that give a role of theirs.
#[utoipa::path(get, path = "/api/v1/drifts", tag = "Drift", params(Narrow), security(("token" = ["grants:read"])),
    responses((status = 200, description = "Differences, a page at a time.", body = Page<DriftOut>), (status = "4XX", description = "A problem.", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn list(State(app): State<App>, caller: May<GrantsRead>, Query(mut query): Query) -> Result<Json<Page<DriftOut>>, Problem> {
    let filter = DriftFilter {
        q: query.text("q").as_deref().map(line).unwrap_or_default(),
        kind: query.word("kind", &["unexpected_member", "missing_member", "unknown_target"]).unwrap_or_default().to_owned(),
        directory: query.text("directory").as_deref().map(line).unwrap_or_default(),
        settled: query.truth("settled").unwrap_or(false),
    };
    let (after, limit) = (query.id("after"), query.limit());
    query.done(())?;
    let (rows, more) = drift::listed(&app.ctx, &caller.by, &filter, after, limit).await?;
    Ok(Json(Page::of(list::Page { rows, more }, |row| row.row.id.to_string(), DriftOut::from)))
}

/// Get a drift
#[utoipa::path(get, path = "/api/v1/drifts/{drift}", tag = "Drift", params(("drift" = Uuid, Path, description = "The drift.")), security(("token" = ["grants:read"])),
    responses((status = 200, description = "The drift.", body = DriftOut), (status = "4XX", description = "A problem.", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn get(State(app): State<App>, caller: May<GrantsRead>, Id(id): Id) -> Result<Json<DriftOut>, Problem> {
    Ok(Json(drift::one(&app.ctx, &caller.by, id).await?.into()))
}

/// How a member without a grant is to get one.
#[derive(Debug, Deserialize, ToSchema)]
#[allow(dead_code, reason = "read by name; here for the API's document")]
pub struct NewAdoption {
    /// For which role, where the group gives several.
    pub role: Option<Uuid>,
    /// What the approvers are told besides.
    pub reason: Option<String>,
}

/// Ask for a grant for a member without one
///
/// Opens a request in the person's name under the policy of the role. Once it is approved the membership is a grant, and ends with it. For owners of the role and administrators.
#[utoipa::path(post, path = "/api/v1/drifts/{drift}/adopt", tag = "Drift", params(("drift" = Uuid, Path, description = "The drift."), ("Idempotency-Key" = Option<String>, Header, description = "Any visible text that is new for each act.")),
    request_body = NewAdoption, security(("token" = ["grants:write"])),
    responses((status = 201, description = "The request; its status says what became of it.", body = Stands), (status = "4XX", description = "A problem; nothing was changed.", body = ProblemBody, content_type = "application/problem+json"), (status = 503, description = "The directory or the database does not answer; nothing was changed.", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn adopt(State(app): State<App>, caller: May<GrantsWrite>, Id(id): Id, Body(mut body): Body) -> Result<(StatusCode, Json<Stands>), Problem> {
    let (role, reason) = (body.id("role").map(RoleId), body.text("reason"));
    body.done(())?;
    let asked = asking::adopt(&app.ctx, &caller.by, id, role, reason.as_deref()).await?;
    let step = (asked.status == RequestStatus::Pending).then_some(1);
    Ok((StatusCode::CREATED, Json(Stands { id: asked.id.0, status: asked.status.word().into(), deciding_rule: Some(asked.deciding_rule), step })))
}

/// Take a member without a grant out
///
/// The worker does it; the drift is settled when the directory has been read back. For owners of the role and administrators.
#[utoipa::path(post, path = "/api/v1/drifts/{drift}/remove", tag = "Drift", params(("drift" = Uuid, Path, description = "The drift."), ("Idempotency-Key" = Option<String>, Header, description = "Any visible text that is new for each act.")),
    security(("token" = ["grants:write"])),
    responses((status = 200, description = "The drift as it stands now.", body = DriftOut), (status = "4XX", description = "A problem; nothing was changed.", body = ProblemBody, content_type = "application/problem+json"), (status = 503, description = "The directory or the database does not answer; nothing was changed.", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn remove(State(app): State<App>, caller: May<GrantsWrite>, Id(id): Id, Body(body): Body) -> Result<Json<DriftOut>, Problem> {
    body.done(())?;
    act::remove(&app.ctx, &caller.by, id).await?;
    Ok(Json(drift::one(&app.ctx, &caller.by, id).await?.into()))
}

/// Why a drift may stay.
#[derive(Debug, Deserialize, ToSchema)]
#[allow(dead_code, reason = "read by name; here for the API's document")]
pub struct NewException {
    /// Why.
    pub reason: String,
    /// Who answers for it; you unless given.
    pub owner: Option<Uuid>,
    /// Until when, at most 366 days away.
    pub until: DateTime<Utc>,
}

/// Leave a drift alone
///
/// For a while: somebody answers for it, and when the time is up it is a drift again. For owners of the role and administrators.
#[utoipa::path(post, path = "/api/v1/drifts/{drift}/ignore", tag = "Drift", params(("drift" = Uuid, Path, description = "The drift."), ("Idempotency-Key" = Option<String>, Header, description = "Any visible text that is new for each act.")),
    request_body = NewException, security(("token" = ["grants:write"])),
    responses((status = 200, description = "The drift as it stands now.", body = DriftOut), (status = "4XX", description = "A problem; nothing was changed.", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn ignore(State(app): State<App>, caller: May<GrantsWrite>, Id(id): Id, Body(mut body): Body) -> Result<Json<DriftOut>, Problem> {
    let said = Ignoring { reason: body.text("reason"), owner: body.id("owner").map(PersonId), until: body.time("until") };
    body.done(())?;
    leave::ignore(&app.ctx, &caller.by, id, &said).await?;
    Ok(Json(drift::one(&app.ctx, &caller.by, id).await?.into()))
}
