//! A person as their directory describes them now.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::id::PersonId;

/// A group of a directory: its immutable id there and its name at that time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupRef {
    /// The immutable id in the directory.
    pub reference: String,
    /// The display name when it was read.
    pub name: String,
}

/// What a directory says of one person at one moment; the input of every decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonSnapshot {
    /// Whose it is.
    pub person: PersonId,
    /// Key of the directory that answered.
    pub directory: String,
    /// The immutable id in that directory.
    pub reference: String,
    /// Login name there.
    pub user_name: String,
    /// Name for people to read.
    pub display_name: String,
    /// Address, if the directory has one.
    pub email: Option<String>,
    /// False when disabled or gone.
    pub active: bool,
    /// The manager's reference in the same directory.
    pub manager: Option<String>,
    /// Every attribute by its name (`department`, `title`, `employment_type`, ...), values as text.
    pub attributes: BTreeMap<String, Vec<String>>,
    /// Groups the person is a direct member of.
    pub groups: Vec<GroupRef>,
    /// Everybody above, nearest first; only read when a condition looks at it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub line: Vec<Above>,
    /// When the directory was asked.
    pub fetched_at: DateTime<Utc>,
}

/// Somebody above a person in the line of managers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Above {
    /// The immutable id in the directory.
    pub reference: String,
    /// The login name when it was read.
    pub user_name: String,
}

impl PersonSnapshot {
    /// The values of `attribute`: what the directory lists, and `user_name`, `email`, `display_name`, `manager` by those names.
    /// Empty when the person has none; an empty text is none.
    pub fn values(&self, attribute: &str) -> Vec<&str> {
        let all: Vec<&str> = match attribute {
            "user_name" => vec![&self.user_name],
            "display_name" => vec![&self.display_name],
            "email" => self.email.iter().map(String::as_str).collect(),
            "manager" => self.manager.iter().map(String::as_str).collect(),
            "groups" => self.groups.iter().map(|g| g.name.as_str()).collect(),
            _ => self.attributes.get(attribute).into_iter().flatten().map(String::as_str).collect(),
        };
        all.into_iter().filter(|value| !value.trim().is_empty()).collect()
    }

    /// Whether a group with this reference, or with this name in any case, is among the person's groups.
    pub fn in_group(&self, group: &str) -> bool {
        self.groups.iter().any(|g| g.reference == group || same(&g.name, group))
    }
}

/// Whether two texts are the same but for case.
pub fn same(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b) || (!(a.is_ascii() && b.is_ascii()) && a.to_lowercase() == b.to_lowercase())
}

/// A person to show or to write into the log: the name as it is now, the id that stays.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Named {
    /// The id that stays.
    pub id: PersonId,
    /// The name as it was when this was written.
    pub name: String,
    /// The address as it was when this was written.
    pub email: Option<String>,
}
