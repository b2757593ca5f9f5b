//! What the Catalog shows.

use uuid::Uuid;

use crate::service::ctx::{By, Ctx};
use crate::service::error::ServiceError;
use crate::store::look_role;

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
/// How many roles are read at a time when only some of them are shown.
const BATCH: usize = 200;
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
    let words = words(&filter.q);
    // What is no id is an application that offers nothing.
    let application = (!filter.application.is_empty()).then(|| filter.application.parse().unwrap_or(Uuid::nil()));
    let mut after = after.map(Cursor::id).transpose()?;
    let ((snapshot, notice), applications) = tokio::try_join!(seen::person_if_known(ctx, by.person), async { Ok(look_role::applications(&ctx.db).await?) })?;
    let batch = if filter.mine { BATCH } else { PAGE + 1 };
    let mut cards: Vec<RoleCard> = Vec::new();
    loop {
        let rows = look_role::cards(&ctx.db, by.person.0, &words, application, after, batch as i64).await?;
        let more = rows.len() == batch;
        after = rows.last().map(|row| row.id);
        let stood = standing::cards(ctx, by.person, snapshot.as_deref(), rows).await?;
        cards.extend(stood.into_iter().map(|s| s.card).filter(|card| !filter.mine || !matches!(card.standing, Standing::MayNot { .. })));
        if cards.len() > PAGE || !more {
            break;
        }
    }
    Ok(Catalog {
        filter,
        applications: applications.into_iter().map(|(id, name)| Choice { value: id.to_string(), label: name }).collect(),
        roles: Listing::cut(cards, PAGE, |card| card.role.id),
        notice,
    })
}
