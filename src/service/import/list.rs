//! The groups of a directory, to choose from.

use chrono::{DateTime, Utc};

use crate::service::ctx::{By, Ctx};
use crate::service::error::ServiceError;
use crate::service::sync;
use crate::store::directory_group;

// For the floor above, which does not know the store.
pub use crate::store::directory_group::GroupRow;

/// How many groups a page has.
const PAGE: usize = 50;

/// Lists the groups of `directory` and keeps them, page by page; what a whole listing no longer has is not offered any more, unless too
/// many are missing to be believed. Returns how many there are.
///
/// # Errors
/// [`ServiceError::Unavailable`] when the directory does not answer; what was listed before stays.
pub async fn list_groups(ctx: &Ctx, directory: &str) -> Result<usize, ServiceError> {
    sync::groups_only(ctx, directory).await
}

/// A page of groups.
#[derive(Clone, Debug, Default)]
pub struct Groups {
    /// The groups, by name.
    pub rows: Vec<GroupRow>,
    /// Whether more follow; then the last row is where.
    pub more: bool,
    /// How many are kept in all.
    pub all: i64,
    /// When they were last listed; none: never.
    pub listed_at: Option<DateTime<Utc>>,
}

/// Groups of `directory` whose name or description holds `search`, after one (name and reference), for auditors and administrators.
///
/// # Errors
/// [`ServiceError::Missing`] for anybody else, and for a directory that there is not; when the database fails.
pub async fn groups(ctx: &Ctx, by: &By, directory: &str, search: &str, after: Option<(&str, &str)>) -> Result<Groups, ServiceError> {
    if !by.reads_everything() || !ctx.directories.contains_key(directory) {
        return Err(ServiceError::Missing);
    }
    let (all, listed_at) = directory_group::count(&ctx.db, directory).await?;
    let mut rows = directory_group::page(&ctx.db, directory, search, after, PAGE as i64 + 1).await?;
    let more = rows.len() > PAGE;
    rows.truncate(PAGE);
    Ok(Groups { rows, more, all, listed_at })
}

/// Hands every kept group of `directory` to `show`, by name, a page at a time; for the operator at the command line.
///
/// # Errors
/// When the database fails.
pub async fn each(ctx: &Ctx, directory: &str, show: impl Fn(&GroupRow)) -> Result<(), ServiceError> {
    let mut after: Option<(String, String)> = None;
    loop {
        let place = after.as_ref().map(|(name, reference)| (name.as_str(), reference.as_str()));
        let rows = directory_group::page(&ctx.db, directory, "", place, PAGE as i64 * 10).await?;
        rows.iter().for_each(&show);
        match rows.last() {
            Some(last) => after = Some((last.name.clone(), last.reference.clone())),
            None => return Ok(()),
        }
    }
}
