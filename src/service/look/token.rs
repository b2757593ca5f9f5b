//! What the Tokens page shows.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::shared::{Choice, Listing};

/// API tokens, and the one just made.
#[derive(Clone, Debug)]
pub struct Tokens {
    /// By creation, newest first.
    pub rows: Listing<TokenRow>,
    /// Scopes the viewer may give.
    pub scopes: Vec<Choice>,
    /// Lives to choose from, in seconds.
    pub lives_s: Vec<i64>,
    /// The token just made; shown this once.
    pub made: Option<Made>,
    /// What was typed.
    pub typed: TypedToken,
    /// What is wrong with it.
    pub fault: Option<String>,
}

/// A token just made.
#[derive(Clone)]
pub struct Made {
    /// Its name.
    pub name: String,
    /// The secret itself, never kept.
    pub secret: String,
}

impl std::fmt::Debug for Made {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Made").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The form as typed.
#[derive(Clone, Debug, Default)]
pub struct TypedToken {
    /// The name.
    pub name: String,
    /// The scopes ticked.
    pub scopes: Vec<String>,
    /// The life chosen, in seconds.
    pub life_s: i64,
}

/// A token in the list.
#[derive(Clone, Debug)]
pub struct TokenRow {
    /// Its id.
    pub id: Uuid,
    /// Its name.
    pub name: String,
    /// Whose it is.
    pub owner: String,
    /// What it may do.
    pub scopes: Vec<String>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it expires.
    pub expires_at: DateTime<Utc>,
    /// When it was last used.
    pub last_used_at: Option<DateTime<Utc>>,
    /// When it was revoked.
    pub revoked_at: Option<DateTime<Utc>>,
    /// `active`, `expired` or `revoked`.
    pub state: String,
}
