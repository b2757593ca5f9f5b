//! What can go wrong between us and Postgres.

use thiserror::Error;

/// A failure of the store. `Display` is for the log, never for a page.
#[derive(Debug, Error)]
pub enum StoreError {
    /// A constraint or trigger of the database refused; the name tells which.
    #[error("refused by the database: {constraint}: {message}")]
    Refused {
        /// The constraint.
        constraint: String,
        /// What Postgres said.
        message: String,
    },
    /// Another transaction came in between; the same one may succeed when tried again.
    #[error("came in between: {0}")]
    Again(String),
    /// The database cannot be reached or did not answer in time.
    #[error("the database cannot be reached: {0}")]
    Unreachable(String),
    /// The schema is newer than this program, or a role has rights it must not have.
    #[error("{0}")]
    Unfit(String),
    /// Anything else: a fault of ours.
    #[error("the database answered: {0}")]
    Broken(String),
}

impl StoreError {
    /// The constraint that refused, if one did.
    pub fn constraint(&self) -> Option<&str> {
        match self {
            Self::Refused { constraint, .. } => Some(constraint),
            _ => None,
        }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Database(refused) => {
                let code = refused.code().unwrap_or_default().to_string();
                match code.as_str() {
                    // serialization_failure, deadlock_detected, lock_not_available
                    "40001" | "40P01" | "55P03" => Self::Again(error.to_string()),
                    // shutdown, crash, starting up, too many connections, connection failures
                    "57P01" | "57P02" | "57P03" | "53300" => Self::Unreachable(error.to_string()),
                    code if code.starts_with("08") => Self::Unreachable(error.to_string()),
                    code if code.starts_with("23") => {
                        Self::Refused { constraint: refused.constraint().unwrap_or_default().into(), message: refused.message().into() }
                    }
                    _ => Self::Broken(error.to_string()),
                }
            }
            sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed | sqlx::Error::Tls(_) => {
                Self::Unreachable(error.to_string())
            }
            _ => Self::Broken(error.to_string()),
        }
    }
}

impl From<serde_json::Error> for StoreError {
    fn from(error: serde_json::Error) -> Self {
        Self::Broken(format!("a stored value does not read back: {error}"))
    }
}
