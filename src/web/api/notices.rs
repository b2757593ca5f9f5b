//! What the caller was told.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::service::list;
use crate::service::told::{self, NoticeRow};
use crate::web::api::body::{Body, Id, Query};
use crate::web::api::caller::{May, RequestsRead, RequestsWrite};
use crate::web::api::page::Page;
use crate::web::api::problem::{Problem, ProblemBody};
use crate::web::state::App;

/// Something that you were told.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Notice)]
pub struct NoticeOut {
    /// Its id.
    pub id: Uuid,
    /// What it is about: `reminder`, `nudge`, `question`, `answer`, `escalation`, `fallback`, `delegated`, `reassigned`, ...
    pub kind: String,
    /// The request it is about.
    pub request_id: Option<Uuid>,
    /// What it says.
    pub sentence: String,
    /// When it was said.
    pub created_at: DateTime<Utc>,
}

impl From<NoticeRow> for NoticeOut {
    fn from(row: NoticeRow) -> Self {
        Self { id: row.id, kind: row.kind, request_id: row.request_id, sentence: row.sentence, created_at: row.created_at }
    }
}

/// How many are listed.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "read by name; here for the API's document")]
pub struct Narrow {
    /// How many rows, 1 to 200; 50 unless told.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<i64>,
}

/// List what you were told
///
/// What you have not put aside, newest first.
#[utoipa::path(get, path = "/api/v1/notices", tag = "Notices", params(Narrow), security(("token" = ["requests:read"])),
    responses((status = 200, description = "What you were told.", body = Page<NoticeOut>), (status = "4XX", description = "A problem.", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn list(State(app): State<App>, caller: May<RequestsRead>, Query(mut query): Query) -> Result<Json<Page<NoticeOut>>, Problem> {
    let limit = query.limit();
    query.done(())?;
    let rows = told::unseen(&app.ctx, &caller.by, limit).await?;
    Ok(Json(Page::of(list::Page { rows, more: false }, |row| row.id.to_string(), NoticeOut::from)))
}

/// Put everything aside
#[utoipa::path(post, path = "/api/v1/notices/seen", tag = "Notices", params(("Idempotency-Key" = Option<String>, Header, description = "Any visible text that is new for each act.")), security(("token" = ["requests:write"])),
    responses((status = 204, description = "Everything is put aside."), (status = "4XX", description = "A problem; nothing was changed.", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn all(State(app): State<App>, caller: May<RequestsWrite>, Body(body): Body) -> Result<StatusCode, Problem> {
    body.done(())?;
    told::put_aside(&app.ctx, &caller.by, None).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Put a notice aside
///
/// Putting it aside twice is no fault.
#[utoipa::path(post, path = "/api/v1/notices/{notice}/seen", tag = "Notices", params(("notice" = Uuid, Path, description = "The notice."), ("Idempotency-Key" = Option<String>, Header, description = "Any visible text that is new for each act.")), security(("token" = ["requests:write"])),
    responses((status = 204, description = "It is put aside."), (status = "4XX", description = "A problem; nothing was changed.", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn one(State(app): State<App>, caller: May<RequestsWrite>, Id(id): Id, Body(body): Body) -> Result<StatusCode, Problem> {
    body.done(())?;
    told::put_aside(&app.ctx, &caller.by, Some(id)).await?;
    Ok(StatusCode::NO_CONTENT)
}
