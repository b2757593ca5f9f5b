//! Applications and roles.

use serde::{Deserialize, Serialize};

use super::id::{ApplicationId, PersonId, RoleId};

/// How much harm a role can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Risk {
    /// Everyday access.
    Low,
    /// Wants a second look.
    Elevated,
    /// Can do great harm.
    Critical,
}

impl Risk {
    /// The word in configuration, database and CSV.
    pub fn word(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Elevated => "elevated",
            Self::Critical => "critical",
        }
    }

    /// The risk of a word; `None` for any other text.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Low, Self::Elevated, Self::Critical].into_iter().find(|risk| risk.word() == word)
    }
}

/// One level of access in one application, as a request needs to know it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Role {
    /// Its id.
    pub id: RoleId,
    /// Its application.
    pub application: ApplicationId,
    /// The application's name.
    pub application_name: String,
    /// Who owns the application.
    pub application_owner: PersonId,
    /// The role's name.
    pub name: String,
    /// Who owns the role.
    pub owner: PersonId,
    /// Its risk.
    pub risk: Risk,
    /// Key of the directory that holds its group.
    pub directory: String,
    /// Immutable id of its group there.
    pub group_reference: String,
}

impl Role {
    /// "Orders DB: read-only".
    pub fn title(&self) -> String {
        format!("{}: {}", self.application_name, self.name)
    }
}
