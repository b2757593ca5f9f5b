//! What the Tokens page shows.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::domain::scope::Scope;
use crate::service::api_token;
use crate::service::ctx::{By, Ctx};
use crate::service::error::ServiceError;

use super::shared::{Choice, Cursor, Listing};

/// How many tokens a page has.
const PAGE: usize = 50;
/// Lives to choose from, in days.
const LIVES: [i64; 5] = [1, 7, 30, 90, api_token::LONGEST_DAYS];
/// The life that the form suggests, in days.
const USUAL: i64 = 30;

/// API tokens, and the one just made.
#[derive(Clone, Debug)]
pub struct Tokens {
    /// Whether these are everybody's, not only the viewer's own.
    pub everybody: bool,
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
#[derive(Clone, Debug)]
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
    pub state: &'static str,
}

impl Default for TypedToken {
    fn default() -> Self {
        Self { name: String::new(), scopes: Vec::new(), life_s: USUAL * 86_400 }
    }
}

/// The tokens of `by`, or with `everybody` all there are, which administrators may list. `after` is the cursor of a page shown
/// before; `typed` is what the form holds.
///
/// # Errors
/// [`ServiceError::Missing`] when somebody else asks for everybody's, and for a cursor that is none of ours.
pub async fn tokens(ctx: &Ctx, by: &By, everybody: bool, after: Option<&Cursor>, typed: TypedToken) -> Result<Tokens, ServiceError> {
    if everybody && !by.is_administrator {
        return Err(ServiceError::Missing);
    }
    let now = ctx.clock.now();
    let after = after.map(Cursor::id).transpose()?;
    let rows = api_token::list(ctx, (!everybody).then_some(by.person), after, PAGE as i64 + 1).await?;
    let listing = Listing::cut(rows, PAGE, |row| row.id);
    let row = |row: api_token::TokenRow| TokenRow {
        state: match (row.revoked_at, row.expires_at > now) {
            (Some(_), _) => "revoked",
            (None, false) => "expired",
            (None, true) => "active",
        },
        id: row.id,
        name: row.name,
        owner: row.person_name,
        scopes: row.scopes,
        created_at: row.created_at,
        expires_at: row.expires_at,
        last_used_at: row.last_used_at,
        revoked_at: row.revoked_at,
    };
    Ok(Tokens {
        everybody,
        rows: Listing { rows: listing.rows.into_iter().map(row).collect(), next: listing.next },
        scopes: Scope::ALL.iter().map(|(_, word, label)| Choice { value: (*word).into(), label: (*label).into() }).collect(),
        lives_s: LIVES.map(|days| days * 86_400).to_vec(),
        made: None,
        typed,
        fault: None,
    })
}
