//! Directories: how they go, run, paused, resumed.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::service::list;
use crate::service::look::directory::{self, Directory, Run};
use crate::service::pause::{self, Pausing};
use crate::service::run_now::{self, What};
use crate::web::api::body::{Body, Query};
use crate::web::api::caller::{GrantsRead, GrantsWrite, May};
use crate::web::api::page::Page;
use crate::web::api::problem::{Problem, ProblemBody};
use crate::web::state::App;

/// How something periodic goes.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Run)]
pub struct RunOut {
    /// When it last went well.
    pub last_ok_at: Option<DateTime<Utc>>,
    /// What it found then.
    pub found: Option<String>,
    /// What went wrong the last time, if it did.
    pub error: Option<String>,
    /// When it is due.
    pub next_at: Option<DateTime<Utc>>,
}

impl From<Run> for RunOut {
    fn from(run: Run) -> Self {
        Self { last_ok_at: run.last_ok_at, found: run.found, error: run.error, next_at: run.next_at }
    }
}

/// A directory and how it goes.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Directory)]
pub struct DirectoryOut {
    /// Its key.
    pub key: String,
    /// How it is spoken to.
    pub kind: String,
    /// `ok`, `slow`, `failing`, `paused` or `unknown`.
    pub state: String,
    /// In a sentence.
    pub sentence: String,
    /// Reading everybody.
    pub people_read: RunOut,
    /// Comparing every group with the grants.
    pub groups_compared: RunOut,
    /// People known and not gone.
    pub people: i64,
    /// Groups that give a role.
    pub groups: i64,
    /// Memberships to be added.
    pub adds: i64,
    /// Memberships to be removed.
    pub removals: i64,
    /// Removals that are owed for more than 2 minutes.
    pub late: i64,
    /// Memberships that failed the last time.
    pub failing: i64,
    /// Since when the oldest is owed.
    pub oldest: Option<DateTime<Utc>>,
    /// What is held back: `new` or `everything`; null: nothing.
    pub paused: Option<String>,
}

impl From<Directory> for DirectoryOut {
    fn from(row: Directory) -> Self {
        Self {
            key: row.key,
            kind: row.kind.into(),
            state: row.state.into(),
            sentence: row.sentence,
            people_read: row.people_read.into(),
            groups_compared: row.groups_compared.into(),
            people: row.people,
            groups: row.groups,
            adds: row.adds,
            removals: row.removals,
            late: row.late,
            failing: row.failing,
            oldest: row.oldest,
            paused: row.pause.map(|pause| if pause.everything { "everything".into() } else { "new".into() }),
        }
    }
}

/// List directories
///
/// For auditors and administrators.
#[utoipa::path(get, path = "/api/v1/directories", tag = "Directories", security(("token" = ["grants:read"])),
    responses((status = 200, description = "Every directory.", body = Page<DirectoryOut>), (status = "4XX", description = "A problem.", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn list(State(app): State<App>, caller: May<GrantsRead>, Query(query): Query) -> Result<Json<Page<DirectoryOut>>, Problem> {
    query.done(())?;
    let rows = directory::directories(&app.ctx, &caller.by).await?;
    Ok(Json(Page::of(list::Page { rows, more: false }, |row| row.key.clone(), DirectoryOut::from)))
}

/// Read everybody now
#[utoipa::path(post, path = "/api/v1/directories/{key}/sync", tag = "Directories", params(("key" = String, Path, description = "Key of the directory."), ("Idempotency-Key" = Option<String>, Header, description = "Any visible text that is new for each act.")), security(("token" = ["grants:write"])),
    responses((status = 204, description = "It is due now."), (status = "4XX", description = "A problem; nothing was changed.", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn sync(State(app): State<App>, caller: May<GrantsWrite>, Path(key): Path<String>, Body(body): Body) -> Result<StatusCode, Problem> {
    body.done(())?;
    run_now::of_directory(&app.ctx, &caller.by, What::People, &key).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Compare the groups now
#[utoipa::path(post, path = "/api/v1/directories/{key}/sweep", tag = "Directories", params(("key" = String, Path, description = "Key of the directory."), ("Idempotency-Key" = Option<String>, Header, description = "Any visible text that is new for each act.")), security(("token" = ["grants:write"])),
    responses((status = 204, description = "It is due now."), (status = "4XX", description = "A problem; nothing was changed.", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn sweep(State(app): State<App>, caller: May<GrantsWrite>, Path(key): Path<String>, Body(body): Body) -> Result<StatusCode, Problem> {
    body.done(())?;
    run_now::of_directory(&app.ctx, &caller.by, What::Comparison, &key).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What is to be held back.
#[derive(Debug, Deserialize, ToSchema)]
#[allow(dead_code, reason = "read by name; here for the API's document")]
pub struct NewPause {
    /// Why.
    pub reason: String,
    /// Removals and readings too: people keep access that has ended until the directory goes on. False unless given.
    pub everything: Option<bool>,
    /// True, when everything is held back.
    pub confirmed: Option<bool>,
}

/// Pause a directory
///
/// Nothing is lost: what is owed stays owed. New access is held back; removals and readings only when everything is.
#[utoipa::path(post, path = "/api/v1/directories/{key}/pause", tag = "Directories", params(("key" = String, Path, description = "Key of the directory."), ("Idempotency-Key" = Option<String>, Header, description = "Any visible text that is new for each act.")),
    request_body = NewPause, security(("token" = ["grants:write"])),
    responses((status = 204, description = "It is paused."), (status = "4XX", description = "A problem; nothing was changed.", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn pause(State(app): State<App>, caller: May<GrantsWrite>, Path(key): Path<String>, Body(mut body): Body) -> Result<StatusCode, Problem> {
    let said =
        Pausing { reason: body.text("reason"), everything: body.truth("everything").unwrap_or(false), confirmed: body.truth("confirmed").unwrap_or(false) };
    body.done(())?;
    pause::pause(&app.ctx, &caller.by, &key, &said).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Let a directory go on
#[utoipa::path(post, path = "/api/v1/directories/{key}/resume", tag = "Directories", params(("key" = String, Path, description = "Key of the directory."), ("Idempotency-Key" = Option<String>, Header, description = "Any visible text that is new for each act.")), security(("token" = ["grants:write"])),
    responses((status = 204, description = "It goes on."), (status = "4XX", description = "A problem; nothing was changed.", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn resume(State(app): State<App>, caller: May<GrantsWrite>, Path(key): Path<String>, Body(body): Body) -> Result<StatusCode, Problem> {
    body.done(())?;
    pause::resume(&app.ctx, &caller.by, &key).await?;
    Ok(StatusCode::NO_CONTENT)
}
