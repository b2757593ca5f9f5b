//! What goes wrong in the API, towards `web::error`.

use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::refusal::Refusal;
use crate::service::error::ServiceError;
use crate::web::error::Failure;

/// A failure as handlers return it: boxed, for most calls have none.
#[derive(Debug)]
pub struct Problem(Box<Failure>);

impl From<Failure> for Problem {
    fn from(mut failure: Failure) -> Self {
        // The API counts in seconds, and says so in the name of the field.
        for fault in failure.errors.iter_mut().filter(|fault| fault.field == "duration") {
            fault.field = "duration_s".into();
        }
        Self(Box::new(failure))
    }
}

impl From<ServiceError> for Problem {
    fn from(error: ServiceError) -> Self {
        Failure::from(error).into()
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        Failure::from(refusal).into()
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        self.0.into_response()
    }
}

/// A problem (RFC 9457), as every 4xx and 5xx of the API is written.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody {
    /// A stable id: `urn:countersign:problem:…` or `urn:countersign:refusal:…`.
    #[serde(rename = "type")]
    pub kind: String,
    /// In a few words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What failed, as a sentence to show.
    pub detail: String,
    /// What to do, or what happens by itself.
    pub next: String,
    /// Each field that is wrong.
    #[schema(required = false)]
    pub errors: Vec<FieldProblem>,
    /// What to quote to an administrator.
    #[schema(required = false)]
    pub request_id: String,
}

/// A field that is wrong.
#[derive(Debug, Serialize, ToSchema)]
pub struct FieldProblem {
    /// Its name.
    pub field: String,
    /// What is wrong and what to do.
    pub detail: String,
}
