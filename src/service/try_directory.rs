//! Test connection: what a directory lets us do.

use std::time::Duration;

use crate::directory::facts::Probe;

use super::ctx::{By, Ctx};
use super::error::ServiceError;
use super::fetch;

/// How long a test may take.
const PATIENCE: Duration = Duration::from_secs(25);

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tried {
    /// Key of the directory.
    pub directory: String,
    /// Whether people and groups can be read at all.
    pub works: bool,
    /// Whether something is missing: a listing, or a permission.
    pub lacks: bool,
    /// What works, what is missing and what is done instead, a sentence each.
    pub notes: Vec<String>,
}

/// Asks `directory` for everything that Countersign needs of it, as an administrator. Changes nothing.
///
/// # Errors
/// [`ServiceError::Missing`] for anybody else, and for a directory that there is not.
pub async fn try_directory(ctx: &Ctx, by: &By, directory: &str) -> Result<Tried, ServiceError> {
    if !by.is_administrator || !ctx.directories.contains_key(directory) {
        return Err(ServiceError::Missing);
    }
    let port = fetch::directory(ctx, directory)?;
    let silent = || Probe { works: false, notes: vec![format!("Cannot be tested: no answer within {} s.", PATIENCE.as_secs())] };
    let probe = tokio::time::timeout(PATIENCE, port.probe()).await.unwrap_or_else(|_| silent());
    Ok(Tried { directory: directory.to_owned(), works: probe.works, lacks: probe.is_lacking(), notes: probe.notes })
}
