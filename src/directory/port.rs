//! The one door to every identity provider.
//!
//! Rules for whoever calls (design: directories, rule 1 and 8): a write's success is a claim, so ask
//! [`Directory::is_member`] after it; a listing that fails midway says nothing about who left.

use crate::directory::facts::{GroupFacts, Page, PersonFacts, Probe, ReadError, WriteResult};
use crate::directory::scim::{Progress, Scim};
use crate::domain::person::GroupRef;

/// A connected directory. Cloning is cheap and shares connections, limits and what was learned about the server.
#[derive(Clone, Debug)]
pub enum Directory {
    /// Any SCIM 2.0 service (RFC 7643, RFC 7644).
    Scim(Scim),
}

/// Where a listing stands. Made by the directory, handed back unread, and of no use to another directory.
#[derive(Debug)]
pub struct Cursor(Progress);

impl Directory {
    /// The person with this reference, fresh, with their groups; `None` when the directory does not know them.
    ///
    /// # Errors
    /// When there is no trustworthy answer; "unknown" is never reported as "not there".
    pub async fn person(&self, reference: &str) -> Result<Option<PersonFacts>, ReadError> {
        match self {
            Self::Scim(scim) => scim.person(reference).await,
        }
    }

    /// The one person whose `attribute` is `value`; `None` when there is nobody. `attribute` is `id`, `user_name`,
    /// `email`, `external_id` or a key of [`PersonFacts::attributes`]. Logins and addresses compare without case.
    ///
    /// # Errors
    /// [`ReadError::Several`] when more than one matches, and everything [`Directory::person`] fails with.
    pub async fn find_person(&self, attribute: &str, value: &str) -> Result<Option<PersonFacts>, ReadError> {
        match self {
            Self::Scim(scim) => scim.find_person(attribute, value).await,
        }
    }

    /// One page of everybody, with groups; start with `None` and go on with [`Page::next`]. People who come or go
    /// while listing may be missed: look a missing person up by reference before believing it.
    ///
    /// # Errors
    /// When the listing cannot go on; what was listed before is then not complete.
    pub async fn people(&self, cursor: Option<Cursor>) -> Result<Page<PersonFacts, Cursor>, ReadError> {
        match self {
            Self::Scim(scim) => scim.people(cursor.map(|c| c.0)).await.map(wrap),
        }
    }

    /// One page of all groups, without members.
    ///
    /// # Errors
    /// As [`Directory::people`].
    pub async fn groups(&self, cursor: Option<Cursor>) -> Result<Page<GroupRef, Cursor>, ReadError> {
        match self {
            Self::Scim(scim) => scim.groups(cursor.map(|c| c.0)).await.map(wrap),
        }
    }

    /// The group with this reference and its direct members; `None` when the directory does not know it.
    ///
    /// # Errors
    /// When there is no trustworthy answer.
    pub async fn group(&self, reference: &str) -> Result<Option<GroupFacts>, ReadError> {
        match self {
            Self::Scim(scim) => scim.group(reference).await,
        }
    }

    /// The one group with exactly this name; `None` when there is none.
    ///
    /// # Errors
    /// [`ReadError::Several`] when more than one has it, and everything [`Directory::group`] fails with.
    pub async fn find_group(&self, name: &str) -> Result<Option<GroupRef>, ReadError> {
        match self {
            Self::Scim(scim) => scim.find_group(name).await,
        }
    }

    /// References of a group's direct members; `None` when the directory does not know the group.
    ///
    /// # Errors
    /// When there is no trustworthy answer.
    pub async fn members(&self, group: &str) -> Result<Option<Vec<String>>, ReadError> {
        Ok(self.group(group).await?.map(|g| g.members))
    }

    /// Whether the person is a direct member: the question that decides if a write worked. An unknown group has no
    /// members.
    ///
    /// # Errors
    /// When there is no trustworthy answer.
    pub async fn is_member(&self, group: &str, person: &str) -> Result<bool, ReadError> {
        match self {
            Self::Scim(scim) => scim.is_member(group, person).await,
        }
    }

    /// Makes the person a direct member. Safe to repeat.
    pub async fn add(&self, group: &str, person: &str) -> WriteResult {
        match self {
            Self::Scim(scim) => scim.add(group, person).await,
        }
    }

    /// Ends the person's direct membership and nobody else's. Safe to repeat.
    pub async fn remove(&self, group: &str, person: &str) -> WriteResult {
        match self {
            Self::Scim(scim) => scim.remove(group, person).await,
        }
    }

    /// Tests the connection and says what is missing. Changes nothing.
    pub async fn probe(&self) -> Probe {
        match self {
            Self::Scim(scim) => scim.probe().await,
        }
    }
}

fn wrap<T>(page: Page<T, Progress>) -> Page<T, Cursor> {
    Page { items: page.items, next: page.next.map(Cursor), total: page.total }
}
