//! Who had access at a moment.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::service::look::as_of::{self, Held};
use crate::service::look::shared::Cursor;
use crate::service::{read_note, view_evidence};
use crate::web::api::body::Query;
use crate::web::api::caller::{ExportsRead, May};
use crate::web::api::problem::{Problem, ProblemBody};
use crate::web::state::App;

/// Who had access at a moment.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AsOf)]
pub struct AsOfOut {
    /// The moment. Send it as `as_of` with `after`, so that all pages are of the same one.
    pub as_of: DateTime<Utc>,
    /// How many rows there are in all.
    pub count: i64,
    /// The rows, in the order of `access.csv`.
    pub items: Vec<HeldOut>,
    /// Send it back as `after` to get the rows that follow; absent when there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    pub next: Option<String>,
}

/// An access that somebody had, and why.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Held)]
pub struct HeldOut {
    /// Who; the reference in the directory where it is nobody known here.
    pub person_id: String,
    /// Their name now; the reference in the directory where it is nobody known here.
    pub person: String,
    /// Their address as it is known now.
    pub email: Option<String>,
    /// `active`, `disabled` or `gone`, at that moment.
    pub person_status: Option<String>,
    /// Their department at that moment.
    pub department: Option<String>,
    /// The application's name now.
    pub application: String,
    /// The role.
    pub role_id: Uuid,
    /// Its name now.
    pub role: String,
    /// The role's risk now.
    pub risk: String,
    /// Key of the directory, and the immutable reference of the group there.
    pub target: String,
    /// When they were given it, or it was first seen.
    pub since: DateTime<Utc>,
    /// When it ends by itself; null: without end.
    pub until: Option<DateTime<Utc>>,
    /// `request`, `pre_existing` or `out_of_band`.
    pub source: String,
    /// The grant.
    pub grant_id: Option<Uuid>,
    /// The request.
    pub request_id: Option<Uuid>,
    /// Who approved it; nobody: a rule did.
    pub approvers: Vec<ApproverOut>,
    /// Key and version of the policy that governed the request.
    pub policy_version: Option<String>,
}

/// Somebody who approved.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Approver)]
pub struct ApproverOut {
    /// Who.
    pub id: Uuid,
    /// Their name now.
    pub name: String,
}

impl From<Held> for HeldOut {
    fn from(row: Held) -> Self {
        Self {
            person_id: row.person_id.map_or_else(|| row.person.clone(), |id| id.to_string()),
            person: row.person,
            email: row.email,
            person_status: row.person_status,
            department: row.department,
            application: row.application,
            role_id: row.role_id,
            role: row.role,
            risk: row.risk,
            target: row.target,
            since: row.since,
            until: row.until,
            source: row.source,
            grant_id: row.grant,
            request_id: row.request,
            approvers: row.approvers.into_iter().map(|(id, name)| ApproverOut { id, name }).collect(),
            policy_version: row.policy.map(|(_, key, _, version)| format!("{key} v{version}")),
        }
    }
}

/// Of which moment, and of what.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "read by name; here for the API's document")]
pub struct Narrow {
    /// The moment: RFC 3339, or a day, which means its first moment in UTC. Now when there is none; none that has not come.
    as_of: Option<String>,
    /// Only of this application.
    application: Option<Uuid>,
    /// Only of this role.
    role: Option<Uuid>,
    /// Only of this person.
    person: Option<Uuid>,
    /// Where the page before ended.
    after: Option<String>,
    /// How many rows, 1 to 200; 50 unless told.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<i64>,
}

/// Say who had access
///
/// At a moment, or now, and why: the request, who approved it, the policy's version. For auditors and administrators. The rows are those of `access.csv` of the same moment, in the same order; `/api/v1/exports/access.csv?as_of=` has them all as a file.
#[utoipa::path(get, path = "/api/v1/as-of", tag = "Evidence", params(Narrow), security(("token" = ["exports:read"])),
    responses((status = 200, description = "Who had access, a page at a time.", body = AsOfOut), (status = "4XX", description = "A problem.", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn list(State(app): State<App>, caller: May<ExportsRead>, Query(mut query): Query) -> Result<Json<AsOfOut>, Problem> {
    let at = query.time("as_of");
    let narrow = (query.id("application"), query.id("role"), query.id("person"));
    let (after, limit) = (query.text("after").map(Cursor), query.limit());
    query.done(())?;
    let held = as_of::as_of(&app.ctx, &caller.by, at, narrow, after.as_ref(), limit).await?;
    view_evidence::viewed(&app.ctx, &caller.by, "/api/v1/as-of", None).await?;
    if narrow.2.is_some() {
        read_note::note(&app.ctx, &caller.by, "who had access on a day", narrow.2.map(Into::into)).await?;
    }
    Ok(Json(AsOfOut { as_of: held.at, count: held.count, items: held.rows.into_iter().map(HeldOut::from).collect(), next: held.next.map(|next| next.0) }))
}
