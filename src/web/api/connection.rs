//! Test connection: is everything allowed that is needed?

use axum::Json;
use axum::extract::{Path, State};
use serde::Serialize;
use utoipa::ToSchema;

use crate::service::try_directory::{Tried, try_directory};
use crate::web::api::body::Body;
use crate::web::api::caller::{DirectoriesRead, May};
use crate::web::api::problem::{Problem, ProblemBody};
use crate::web::state::App;

/// What a test of the connection found.
#[derive(Debug, Serialize, ToSchema)]
pub struct Connection {
    /// Key of the directory.
    pub directory: String,
    /// Whether people and groups can be read at all.
    pub works: bool,
    /// Whether something is missing: a listing, or a permission.
    pub lacks: bool,
    /// What works, what is missing and what is done instead, a sentence each; what is missing begins with "Cannot".
    pub notes: Vec<String>,
}

impl From<Tried> for Connection {
    fn from(tried: Tried) -> Self {
        Self { directory: tried.directory, works: tried.works, lacks: tried.lacks, notes: tried.notes }
    }
}

/// Test the connection to a directory
///
/// For administrators. Asks for everything that Countersign needs, and changes nothing. It may take some seconds.
#[utoipa::path(post, path = "/api/v1/directories/{key}/test", tag = "Directories", params(("key" = String, Path, description = "The directory's key.")), security(("token" = ["directories:read"])),
    responses((status = 200, description = "What was found.", body = Connection), (status = "4XX", description = "A problem.", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn test(State(app): State<App>, caller: May<DirectoriesRead>, Path(key): Path<String>, Body(body): Body) -> Result<Json<Connection>, Problem> {
    body.done(())?;
    Ok(Json(try_directory(&app.ctx, &caller.by, &key).await?.into()))
}
