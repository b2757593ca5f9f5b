//! Tokens listed and revoked; they are made elsewhere.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::domain::event::Channel;
use crate::domain::id::TokenId;
use crate::domain::scope::Scope;
use crate::service::api_token::{self, TokenRow};
use crate::service::list;
use crate::web::api::body::{Body, Id, Query};
use crate::web::api::caller::{Anybody, Holder};
use crate::web::api::page::Page;
use crate::web::api::problem::{Problem, ProblemBody};
use crate::web::error::Failure;
use crate::web::state::App;

/// A token, without its secret.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Token)]
pub struct TokenOut {
    /// Its id.
    pub id: Uuid,
    /// Its name.
    pub name: String,
    /// What it may be used for.
    pub scopes: Vec<String>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it expires.
    pub expires_at: DateTime<Utc>,
    /// When it was last used, to the hour.
    pub last_used_at: Option<DateTime<Utc>>,
    /// When it was revoked.
    pub revoked_at: Option<DateTime<Utc>>,
}

impl From<TokenRow> for TokenOut {
    fn from(row: TokenRow) -> Self {
        Self {
            id: row.id,
            name: row.name,
            scopes: row.scopes,
            created_at: row.created_at,
            expires_at: row.expires_at,
            last_used_at: row.last_used_at,
            revoked_at: row.revoked_at,
        }
    }
}

/// Which page of the list.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "read by name; here for the API's document")]
pub struct Narrow {
    /// Where the page before ended.
    after: Option<Uuid>,
    /// How many rows, 1 to 200; 50 unless told.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<i64>,
}

/// List your tokens
#[utoipa::path(get, path = "/api/v1/tokens", tag = "Tokens", params(Narrow), security(("token" = [])),
    responses((status = 200, description = "Your tokens, newest first, without their secrets.", body = Page<TokenOut>), (status = "4XX", description = "A problem.", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn list(State(app): State<App>, Anybody(by): Anybody, Query(mut query): Query) -> Result<Json<Page<TokenOut>>, Problem> {
    let (after, limit) = (query.id("after"), query.limit());
    query.done(())?;
    let mut rows = api_token::list(&app.ctx, Some(by.person), after, limit + 1).await?;
    let more = rows.len() as i64 > limit;
    rows.truncate(limit as usize);
    Ok(Json(Page::of(list::Page { rows, more }, |row| row.id.to_string(), TokenOut::from)))
}

/// Revoke a token
///
/// Every token may revoke itself. With `tokens:write` it revokes any token of yours, and an administrator's anybody's. Revoking twice is no fault.
#[utoipa::path(post, path = "/api/v1/tokens/{token}/revoke", tag = "Tokens", params(("token" = Uuid, Path, description = "The token's id."), ("Idempotency-Key" = Option<String>, Header, description = "Any visible text that is new for each act.")), security(("token" = ["tokens:write"])),
    responses((status = 204, description = "It is revoked."), (status = "4XX", description = "A problem.", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn revoke(State(app): State<App>, Holder(bearer): Holder, Id(id): Id, Body(body): Body) -> Result<axum::http::StatusCode, Problem> {
    body.done(())?;
    // A token that leaked, whatever it is for, may end itself and nothing else.
    let id = TokenId(id);
    if bearer.by.token != Some(id) && !bearer.may(Scope::TokensWrite) {
        return Err(Failure::out_of_scope(Scope::TokensWrite.word()).into());
    }
    let by = &bearer.by;
    api_token::revoke(&app.ctx, &by.actor(), by.is_administrator, Channel::Api, id).await?;
    Ok(axum::http::StatusCode::NO_CONTENT)
}
