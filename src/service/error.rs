//! What an act can come to besides being done.

use thiserror::Error;

use crate::domain::refusal::Refusal;
use crate::store::error::StoreError;

/// Why an act was not done. Nothing of it remains.
#[derive(Debug, Error)]
pub enum ServiceError {
    /// The rules do not allow it; the sentence is for the person.
    #[error("{0}")]
    Refused(#[from] Refusal),
    /// There is no such thing, or none that this person may see.
    #[error("There is nothing here.")]
    Missing,
    /// The directory or the database cannot be reached; the sentence is for people.
    #[error("{0}")]
    Unavailable(String),
    /// A fault of ours; for the log, never for a page.
    #[error("{0}")]
    Broken(StoreError),
}

impl From<StoreError> for ServiceError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unreachable(_) => Self::Unavailable("The database cannot be reached. Nothing was changed; try again in a moment.".into()),
            StoreError::Again(_) => Self::Unavailable("Somebody else changed this at the same moment. Nothing was changed; try again.".into()),
            other => Self::Broken(other),
        }
    }
}
