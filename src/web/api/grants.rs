//! Grants: listed, returned, revoked.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::domain::grant::GrantStatus;
use crate::service::end::end;
use crate::service::list::{self, GrantFilter, GrantListed};
use crate::web::api::body::{Body, Id, Query};
use crate::web::api::caller::{GrantsRead, GrantsWrite, May};
use crate::web::api::fields::Fields;
use crate::web::api::page::Page;
use crate::web::api::problem::{Problem, ProblemBody};
use crate::web::api::requests::Reason;
use crate::web::state::App;

/// A grant: a lease of one role by one person.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Grant)]
pub struct GrantOut {
    /// Its id.
    pub id: Uuid,
    /// The request it comes from.
    pub request_id: Uuid,
    /// How far it has come: `scheduled`, `provisioning`, `verifying`, `active`, `revoking`, `ended` or `failed`.
    pub status: String,
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
    /// When it was approved.
    pub approved_at: DateTime<Utc>,
    /// Approved for, in seconds; null: without end.
    pub duration_s: Option<i64>,
    /// When it begins or began.
    pub starts_at: DateTime<Utc>,
    /// When it ends; null: without end.
    pub ends_at: Option<DateTime<Utc>>,
    /// When the directory accepted it.
    pub granted_at: Option<DateTime<Utc>>,
    /// When the directory itself said that the membership is there.
    pub verified_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
    /// When the directory itself said that the membership is gone.
    pub end_verified_at: Option<DateTime<Utc>>,
    /// Why it ended.
    pub end_reason: Option<String>,
    /// Who ended it.
    pub ended_by: Option<Uuid>,
    /// The reason given.
    pub end_comment: Option<String>,
    /// The grant it extends.
    pub extension_of: Option<Uuid>,
    /// Whether it began before anybody was asked.
    pub emergency: bool,
    /// Whether its holder said that it is not to be extended.
    pub extension_declined: bool,
    /// How often the directory was told.
    pub attempts: i32,
    /// The last error of the directory.
    pub last_error: Option<String>,
}

impl From<GrantListed> for GrantOut {
    fn from(row: GrantListed) -> Self {
        Self {
            id: row.id,
            request_id: row.request_id,
            status: row.status,
            beneficiary_id: row.beneficiary_id,
            beneficiary: row.beneficiary,
            application_id: row.application_id,
            application: row.application,
            role_id: row.role_id,
            role: row.role,
            approved_at: row.approved_at,
            duration_s: row.duration_s,
            starts_at: row.starts_at,
            ends_at: row.ends_at,
            granted_at: row.granted_at,
            verified_at: row.verified_at,
            ended_at: row.ended_at,
            end_verified_at: row.end_verified_at,
            end_reason: row.end_reason,
            ended_by: row.ended_by,
            end_comment: row.end_comment,
            extension_of: row.extension_of,
            emergency: row.emergency,
            extension_declined: row.no_extension,
            attempts: row.attempts,
            last_error: row.last_error,
        }
    }
}

/// How the list is narrowed.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "read by name; here for the API's document")]
pub struct Narrow {
    /// Only with this status.
    status: Option<String>,
    /// Only of this role.
    role: Option<Uuid>,
    /// Only of this application.
    application: Option<Uuid>,
    /// Only of this person.
    beneficiary: Option<Uuid>,
    /// Where the page before ended.
    after: Option<Uuid>,
    /// How many rows, 1 to 200; 50 unless told.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<i64>,
}

/// List grants
///
/// Grants that you may see, newest first: your own and those of roles you own; auditors and administrators see all.
#[utoipa::path(get, path = "/api/v1/grants", tag = "Grants", params(Narrow), security(("token" = ["grants:read"])),
    responses((status = 200, description = "Grants, a page at a time.", body = Page<GrantOut>), (status = "4XX", description = "A problem.", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn list(State(app): State<App>, caller: May<GrantsRead>, Query(mut query): Query) -> Result<Json<Page<GrantOut>>, Problem> {
    let words = GrantStatus::ALL.map(|(_, word)| word);
    let filter = GrantFilter {
        status: query.word("status", &words).map(String::from),
        role: query.id("role"),
        application: query.id("application"),
        beneficiary: query.id("beneficiary"),
    };
    let (after, limit) = (query.id("after"), query.limit());
    query.done(())?;
    let page = list::grants(&app.ctx, &caller.by, &filter, after, limit).await?;
    Ok(Json(Page::of(page, |row| row.id.to_string(), GrantOut::from)))
}

/// Get a grant
#[utoipa::path(get, path = "/api/v1/grants/{grant}", tag = "Grants", params(("grant" = Uuid, Path, description = "The grant.")), security(("token" = ["grants:read"])),
    responses((status = 200, description = "The grant.", body = GrantOut), (status = "4XX", description = "A problem.", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn get(State(app): State<App>, caller: May<GrantsRead>, Id(id): Id) -> Result<Json<GrantOut>, Problem> {
    Ok(Json(list::grant(&app.ctx, &caller.by, id.into()).await?.into()))
}

/// Return a grant
///
/// Gives back access that you hold. The membership's removal is owed from here on and never given up.
#[utoipa::path(post, path = "/api/v1/grants/{grant}/return", tag = "Grants", params(("grant" = Uuid, Path, description = "The grant."), ("Idempotency-Key" = Option<String>, Header, description = "Any visible text that is new for each act.")),
    request_body = Reason, security(("token" = ["grants:write"])),
    responses((status = 200, description = "The grant as it stands now.", body = GrantOut), (status = "4XX", description = "A problem; nothing was changed.", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn give_back(State(app): State<App>, caller: May<GrantsWrite>, Id(id): Id, Body(body): Body) -> Result<Json<GrantOut>, Problem> {
    finish(&app, &caller, id, false, body).await
}

/// Revoke a grant
///
/// Ends access that somebody holds; for owners of the role or application, and administrators.
#[utoipa::path(post, path = "/api/v1/grants/{grant}/revoke", tag = "Grants", params(("grant" = Uuid, Path, description = "The grant."), ("Idempotency-Key" = Option<String>, Header, description = "Any visible text that is new for each act.")),
    request_body = Reason, security(("token" = ["grants:write"])),
    responses((status = 200, description = "The grant as it stands now.", body = GrantOut), (status = "4XX", description = "A problem; nothing was changed.", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn revoke(State(app): State<App>, caller: May<GrantsWrite>, Id(id): Id, Body(body): Body) -> Result<Json<GrantOut>, Problem> {
    finish(&app, &caller, id, true, body).await
}

async fn finish(app: &App, caller: &May<GrantsWrite>, id: Uuid, revoke: bool, mut body: Fields) -> Result<Json<GrantOut>, Problem> {
    let reason = body.text("reason");
    body.done(())?;
    end(&app.ctx, &caller.by, id.into(), revoke, reason.as_deref()).await?;
    Ok(Json(list::grant(&app.ctx, &caller.by, id.into()).await?.into()))
}
