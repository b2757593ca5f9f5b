//! What the Catalog shows.

use std::collections::HashSet;

use uuid::Uuid;

use crate::service::ctx::{By, Ctx};
use crate::service::error::ServiceError;
use crate::store::look_role::{self, ShelfRow};

use super::shared::{Choice, Cursor, Listing, RoleCard, Standing};
use super::{seen, standing};

/// What was searched for.
#[derive(Clone, Debug, Default)]
pub struct CatalogFilter {
    /// Words, as typed.
    pub q: String,
    /// An application's id, or nothing for all.
    pub application: String,
    /// Only what the viewer may ask for.
    pub mine: bool,
}

/// The catalog, or what a search found in it.
#[derive(Clone, Debug)]
pub struct Catalog {
    /// What was searched for.
    pub filter: CatalogFilter,
    /// The applications to choose from.
    pub applications: Vec<Choice>,
    /// Roles by application, then by name.
    pub roles: Listing<RoleCard>,
    /// What could not be said, and why.
    pub notice: Option<String>,
}

/// Roles of a page.
const PAGE: usize = 25;
/// Most words of a search.
const WORDS: usize = 8;

/// The words of a search as typed, at most eight.
pub fn words(q: &str) -> Vec<String> {
    q.split_whitespace().take(WORDS).map(|word| word.replace('\0', "")).collect()
}

/// The catalog as `by` sees it: the roles that hold every word of the search, after a cursor.
///
/// # Errors
/// [`ServiceError::Missing`] for a cursor that is none; when the database fails.
pub async fn catalog(ctx: &Ctx, by: &By, filter: CatalogFilter, after: Option<&Cursor>) -> Result<Catalog, ServiceError> {
    let words: Vec<String> = words(&filter.q).iter().map(|word| word.to_lowercase()).collect();
    // What is no id is an application that offers nothing.
    let application = (!filter.application.is_empty()).then(|| filter.application.parse().unwrap_or(Uuid::nil()));
    let after = after.map(Cursor::id).transpose()?;
    let ((snapshot, notice), shelf, has) =
        tokio::try_join!(seen::person_if_known(ctx, by.person), seen::shelf(ctx), async { Ok(look_role::has(&ctx.db, by.person.0).await?) })?;
    let from = match after {
        Some(id) => shelf.iter().position(|row| row.id == id).ok_or(ServiceError::Missing)? + 1,
        None => 0,
    };
    let found = |row: &&ShelfRow| application.is_none_or(|id| row.application_id == id) && words.iter().all(|word| row.search.contains(word.as_str()));
    let rows: Vec<&ShelfRow> = shelf[from..].iter().filter(found).collect();
    let mut cards: Vec<RoleCard> = Vec::new();
    for batch in rows.chunks(PAGE + 1) {
        let stood = standing::cards(ctx, by.person, snapshot.as_deref(), batch, &has).await?;
        cards.extend(stood.into_iter().map(|s| s.card).filter(|card| !filter.mine || !matches!(card.standing, Standing::MayNot { .. })));
        if cards.len() > PAGE {
            break;
        }
    }
    let mut applications: Vec<Choice> = Vec::new();
    let mut listed = HashSet::new();
    for row in shelf.iter() {
        if listed.insert(row.application_id) {
            applications.push(Choice { value: row.application_id.to_string(), label: row.application.clone() });
        }
    }
    Ok(Catalog { filter, applications, roles: Listing::cut(cards, PAGE, |card| card.role.id), notice })
}
