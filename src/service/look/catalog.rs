//! What the Catalog shows.

use super::shared::{Choice, Listing, RoleCard};

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
}
