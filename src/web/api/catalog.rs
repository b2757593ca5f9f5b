//! The catalog: what can be asked for.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::service::list::{self, RoleListed};
use crate::web::api::body::{Id, Query};
use crate::web::api::caller::{CatalogRead, May};
use crate::web::api::page::Page;
use crate::web::api::problem::{Problem, ProblemBody};
use crate::web::state::App;

/// A role that can be asked for.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Role)]
pub struct RoleOut {
    /// Its id; what a request names.
    pub id: Uuid,
    /// Its key within the application.
    pub key: String,
    /// Its name.
    pub name: String,
    /// What it lets one do.
    pub description: String,
    /// `low`, `elevated` or `critical`.
    pub risk: String,
    /// How access is given: `idp_group`, `app_api`, `workflow` or `manual`.
    pub provisioning_method: String,
    /// The application.
    pub application_id: Uuid,
    /// The application's key.
    pub application_key: String,
    /// The application's name.
    pub application: String,
    /// Who owns the role.
    pub owner_id: Uuid,
    /// The owner's name.
    pub owner: String,
}

impl From<RoleListed> for RoleOut {
    fn from(role: RoleListed) -> Self {
        Self {
            id: role.id,
            key: role.key,
            name: role.name,
            description: role.description,
            risk: role.risk,
            provisioning_method: role.method,
            application_id: role.application_id,
            application_key: role.application_key,
            application: role.application,
            owner_id: role.owner_id,
            owner: role.owner,
        }
    }
}

/// How the catalog is searched.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "read by name; here for the API's document")]
pub struct Search {
    /// Words that must all occur in the role, its application or their descriptions.
    q: Option<String>,
    /// Only roles of this application.
    application: Option<Uuid>,
    /// Where the page before ended.
    after: Option<Uuid>,
    /// How many rows, 1 to 200; 50 unless told.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<i64>,
}

/// List and search the catalog
///
/// Roles that can be asked for, by name. Whether you may have one, the preview of a request says.
#[utoipa::path(get, path = "/api/v1/catalog", tag = "Catalog", params(Search), security(("token" = ["catalog:read"])),
    responses((status = 200, description = "Roles, a page at a time.", body = Page<RoleOut>), (status = "4XX", description = "A problem.", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn list(State(app): State<App>, _: May<CatalogRead>, Query(mut query): Query) -> Result<Json<Page<RoleOut>>, Problem> {
    let q = query.text("q").unwrap_or_default();
    if q.chars().count() > 200 {
        query.fault("q", "At most 200 characters.");
    }
    let (application, after, limit) = (query.id("application"), query.id("after"), query.limit());
    query.done(())?;
    let page = list::roles(&app.ctx, &q, application.map(Into::into), after, limit).await?;
    Ok(Json(Page::of(page, |role| role.id.to_string(), RoleOut::from)))
}

/// Get a role of the catalog
#[utoipa::path(get, path = "/api/v1/catalog/{role}", tag = "Catalog", params(("role" = Uuid, Path, description = "The role.")), security(("token" = ["catalog:read"])),
    responses((status = 200, description = "The role.", body = RoleOut), (status = "4XX", description = "A problem.", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn get(State(app): State<App>, _: May<CatalogRead>, Id(id): Id) -> Result<Json<RoleOut>, Problem> {
    Ok(Json(list::role(&app.ctx, id.into()).await?.into()))
}
