//! People and departments, as lists tell of them.

use std::collections::HashMap;
use std::sync::Arc;

use crate::domain::id::PersonId;
use crate::domain::person::PersonSnapshot;
use crate::service::ctx::Ctx;
use crate::service::error::ServiceError;
use crate::service::fetch;
use crate::service::recent::Peers;
use crate::store::look_role::{self, ShelfRow};
use crate::store::person as people;

/// The person as the directory described them at most some seconds ago.
///
/// # Errors
/// [`ServiceError::Unavailable`] when the directory does not answer and nothing recent is known.
pub async fn person(ctx: &Ctx, id: PersonId) -> Result<Arc<PersonSnapshot>, ServiceError> {
    let now = ctx.clock.now();
    if let Some(snapshot) = ctx.recent.person(id, now) {
        return Ok(snapshot);
    }
    let row = people::by_id(&ctx.db, id).await?.ok_or(ServiceError::Missing)?;
    let snapshot = Arc::new(fetch::person(ctx, &row).await?);
    ctx.recent.keep_person(snapshot.clone(), now);
    Ok(snapshot)
}

/// As [`person`]; none with a notice for the page when the directory does not answer.
///
/// # Errors
/// When the database fails.
pub async fn person_if_known(ctx: &Ctx, id: PersonId) -> Result<(Option<Arc<PersonSnapshot>>, Option<String>), ServiceError> {
    match person(ctx, id).await {
        Ok(snapshot) => Ok((Some(snapshot), None)),
        Err(ServiceError::Unavailable(why)) => {
            tracing::warn!(why, "a list cannot say what its viewer may ask for");
            Ok((None, Some("The directory does not answer at the moment, so it cannot be said which roles you may ask for. What you hold and asked for is shown as always.".into())))
        }
        Err(other) => Err(other),
    }
}

/// The habits of `departments`, each at most some minutes old; one query for all that are not known.
///
/// # Errors
/// When the database fails.
pub async fn peers(ctx: &Ctx, departments: &[String]) -> Result<HashMap<String, Arc<Peers>>, ServiceError> {
    let now = ctx.clock.now();
    let mut found = HashMap::new();
    let mut fresh: HashMap<String, Peers> = HashMap::new();
    for department in departments {
        match ctx.recent.peers(department, now) {
            Some(peers) => drop(found.insert(department.clone(), peers)),
            None => drop(fresh.insert(department.clone(), Peers::default())),
        }
    }
    if fresh.is_empty() {
        return Ok(found);
    }
    let unknown: Vec<String> = fresh.keys().cloned().collect();
    for row in look_role::peers(&ctx.db, &unknown).await? {
        let peers = fresh.entry(row.department).or_default();
        peers.people = row.people;
        peers.roles.extend(row.role_id.map(|role| (role, row.holders)));
    }
    for (department, peers) in fresh {
        let peers = Arc::new(peers);
        ctx.recent.keep_peers(department.clone(), peers.clone(), now);
        found.insert(department, peers);
    }
    Ok(found)
}

/// Every role that is offered, by application and name, as the catalog was at most some seconds ago.
///
/// # Errors
/// When the database fails.
pub async fn shelf(ctx: &Ctx) -> Result<Arc<Vec<ShelfRow>>, ServiceError> {
    let now = ctx.clock.now();
    if let Some(shelf) = ctx.recent.shelf(now) {
        return Ok(shelf);
    }
    let shelf = Arc::new(look_role::shelf(&ctx.db).await?);
    ctx.recent.keep_shelf(shelf.clone(), now);
    Ok(shelf)
}
