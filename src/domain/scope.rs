//! What an API token may be used for.

use serde::{Deserialize, Serialize};

/// One scope. A token may do what its person may, and of that only what its scopes name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Scope {
    /// Read the catalog, and preview what asking would come to.
    #[serde(rename = "catalog:read")]
    CatalogRead,
    /// Read requests.
    #[serde(rename = "requests:read")]
    RequestsRead,
    /// Ask and withdraw.
    #[serde(rename = "requests:write")]
    RequestsWrite,
    /// Approve and deny.
    #[serde(rename = "approvals:write")]
    ApprovalsWrite,
    /// Read grants.
    #[serde(rename = "grants:read")]
    GrantsRead,
    /// Return and revoke.
    #[serde(rename = "grants:write")]
    GrantsWrite,
    /// Read the log.
    #[serde(rename = "events:read")]
    EventsRead,
    /// Take evidence away.
    #[serde(rename = "exports:read")]
    ExportsRead,
    /// Read the rules and their changes.
    #[serde(rename = "rules:read")]
    RulesRead,
    /// Propose changes of the rules, and decide on those of others.
    #[serde(rename = "rules:write")]
    RulesWrite,
    /// Test the connection to directories.
    #[serde(rename = "directories:read")]
    DirectoriesRead,
    /// Make schedules of evidence, change them and have them run.
    #[serde(rename = "schedules:write")]
    SchedulesWrite,
    /// Revoke tokens other than itself.
    #[serde(rename = "tokens:write")]
    TokensWrite,
}

impl Scope {
    /// Every scope with its word and what it lets a token do.
    pub const ALL: [(Scope, &'static str, &'static str); 13] = [
        (Self::CatalogRead, "catalog:read", "Read the catalog, and preview what asking would come to"),
        (Self::RequestsRead, "requests:read", "Read requests"),
        (Self::RequestsWrite, "requests:write", "Ask for access and withdraw requests"),
        (Self::ApprovalsWrite, "approvals:write", "Approve and deny requests"),
        (Self::GrantsRead, "grants:read", "Read grants"),
        (Self::GrantsWrite, "grants:write", "Return and revoke grants"),
        (Self::EventsRead, "events:read", "Read the log"),
        (Self::ExportsRead, "exports:read", "Download evidence"),
        (Self::RulesRead, "rules:read", "Read changes of the rules"),
        (Self::RulesWrite, "rules:write", "Propose changes of the rules, and decide on those of others"),
        (Self::DirectoriesRead, "directories:read", "Test the connection to directories"),
        (Self::SchedulesWrite, "schedules:write", "Make schedules of evidence, change them and run them"),
        (Self::TokensWrite, "tokens:write", "Revoke other tokens"),
    ];

    /// The word in database, API and command line.
    pub fn word(self) -> &'static str {
        Self::ALL.iter().find(|(scope, ..)| *scope == self).map_or("", |(_, word, _)| word)
    }

    /// The scope of a word; `None` for any other text.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, w, _)| *w == word).map(|(scope, ..)| *scope)
    }
}
