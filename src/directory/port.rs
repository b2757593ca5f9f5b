//! The one door to every identity provider.
//!
//! Rules for whoever calls (design: directories, rule 1 and 8): a write's success is a claim, so ask
//! [`Directory::is_member`] after it; a listing that fails midway says nothing about who left.

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::directory::cursor::Cursor;
use crate::directory::entra::Entra;
use crate::directory::facts::{Changes, GroupFacts, GroupListed, Page, PersonFacts, Probe, ReadError, Subscribed, Subscribing, WriteResult};
use crate::directory::google::Google;
use crate::directory::http::Headroom;
use crate::directory::keycloak::Keycloak;
use crate::directory::ldap::Ldap;
use crate::directory::okta::Okta;
use crate::directory::pace::Pace;
use crate::directory::scim::Scim;
use crate::domain::person::GroupRef;

/// A connected directory. Cloning is cheap and shares connections, limits and what was learned about the server.
#[derive(Clone, Debug)]
pub enum Directory {
    /// Microsoft Entra ID.
    Entra(Entra),
    /// Google Workspace.
    Google(Google),
    /// Any SCIM 2.0 service (RFC 7643, RFC 7644).
    Scim(Scim),
    /// An Okta organisation.
    Okta(Okta),
    /// A realm of Keycloak.
    Keycloak(Keycloak),
    /// OpenLDAP and Active Directory (RFC 4511).
    Ldap(Ldap),
}

/// The same question to whichever directory it is.
macro_rules! each {
    ($directory:expr, $it:ident => $ask:expr) => {
        match $directory {
            Directory::Entra($it) => $ask,
            Directory::Google($it) => $ask,
            Directory::Scim($it) => $ask,
            Directory::Okta($it) => $ask,
            Directory::Keycloak($it) => $ask,
            Directory::Ldap($it) => $ask,
        }
    };
}

/// How deep groups within groups are followed.
const DEEPEST: usize = 10;
/// How many groups within one are read at most.
const MOST_NESTED: usize = 500;

impl Directory {
    /// The person with this reference, fresh, with their groups; `None` when the directory does not know them.
    ///
    /// # Errors
    /// When there is no trustworthy answer; "unknown" is never reported as "not there".
    pub async fn person(&self, reference: &str) -> Result<Option<PersonFacts>, ReadError> {
        each!(self, it => it.person(reference).await)
    }

    /// The one person whose `attribute` is `value`; `None` when there is nobody. `attribute` is `id`, `user_name`,
    /// `email`, `external_id` or a key of [`PersonFacts::attributes`]. Logins and addresses compare without case.
    ///
    /// # Errors
    /// [`ReadError::Several`] when more than one matches, and everything [`Directory::person`] fails with.
    pub async fn find_person(&self, attribute: &str, value: &str) -> Result<Option<PersonFacts>, ReadError> {
        each!(self, it => it.find_person(attribute, value).await)
    }

    /// One page of everybody, with groups; start with `None` and go on with [`Page::next`]. People who come or go
    /// while listing may be missed: look a missing person up by reference before believing it.
    ///
    /// # Errors
    /// When the listing cannot go on; what was listed before is then not complete.
    pub async fn people(&self, cursor: Option<Cursor>) -> Result<Page<PersonFacts, Cursor>, ReadError> {
        each!(self, it => it.people(cursor).await)
    }

    /// One page of all groups, without members.
    ///
    /// # Errors
    /// As [`Directory::people`].
    pub async fn groups(&self, cursor: Option<Cursor>) -> Result<Page<GroupListed, Cursor>, ReadError> {
        each!(self, it => it.groups(cursor).await)
    }

    /// The group with this reference and its direct members; `None` when the directory does not know it.
    ///
    /// # Errors
    /// When there is no trustworthy answer.
    pub async fn group(&self, reference: &str) -> Result<Option<GroupFacts>, ReadError> {
        each!(self, it => it.group(reference).await)
    }

    /// The one group with exactly this name; `None` when there is none.
    ///
    /// # Errors
    /// [`ReadError::Several`] when more than one has it, and everything [`Directory::group`] fails with.
    pub async fn find_group(&self, name: &str) -> Result<Option<GroupRef>, ReadError> {
        each!(self, it => it.find_group(name).await)
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
        each!(self, it => it.is_member(group, person).await)
    }

    /// Makes the person a direct member. Safe to repeat.
    pub async fn add(&self, group: &str, person: &str) -> WriteResult {
        each!(self, it => it.add(group, person).await)
    }

    /// Ends the person's direct membership and nobody else's. Safe to repeat.
    pub async fn remove(&self, group: &str, person: &str) -> WriteResult {
        each!(self, it => it.remove(group, person).await)
    }

    /// Tests the connection and says what is missing. Changes nothing.
    pub async fn probe(&self) -> Probe {
        each!(self, it => it.probe().await)
    }

    /// References of everybody in a group, directly or through groups inside it; `None` when the directory does not know the group.
    ///
    /// # Errors
    /// When there is no trustworthy answer, or groups are nested deeper than 10 or more than 500 of them.
    pub async fn members_inherited(&self, group: &str) -> Result<Option<Vec<String>>, ReadError> {
        match self {
            Self::Entra(entra) => return entra.members_inherited(group).await,
            Self::Google(google) => return google.members_inherited(group).await,
            Self::Ldap(ldap) => {
                if let Some(members) = ldap.members_in_chain(group).await? {
                    return Ok(members);
                }
            }
            _ => {}
        }
        let Some(top) = self.group(group).await? else { return Ok(None) };
        let mut people: BTreeSet<String> = top.members.into_iter().collect();
        let mut seen: HashSet<String> = HashSet::from([group.to_owned()]);
        let mut level = top.nested;
        for _ in 0..DEEPEST {
            let mut below = Vec::new();
            for inner in level {
                if !seen.insert(inner.clone()) {
                    continue;
                }
                if seen.len() > MOST_NESTED {
                    return Err(ReadError::Malformed(format!("more than {MOST_NESTED} groups are inside this one")));
                }
                if let Some(found) = self.group(&inner).await? {
                    people.extend(found.members);
                    below.extend(found.nested);
                }
            }
            if below.is_empty() {
                return Ok(Some(people.into_iter().collect()));
            }
            level = below;
        }
        Err(ReadError::Malformed(format!("groups are nested deeper than {DEEPEST}")))
    }

    /// Whether the person is in the group directly or through a group inside it: the question of a policy, never that of a write.
    ///
    /// # Errors
    /// As [`Directory::members_inherited`].
    pub async fn is_member_inherited(&self, group: &str, person: &str) -> Result<bool, ReadError> {
        match self {
            Self::Entra(entra) => return entra.is_member_inherited(group, person).await,
            Self::Ldap(ldap) => return ldap.is_member_inherited(group, person).await,
            _ => {}
        }
        Ok(self.is_member(group, person).await? || self.members_inherited(group).await?.unwrap_or_default().iter().any(|member| member == person))
    }

    /// What changed since `since`, which an earlier answer gave as [`Changes::next`]; with `None`, where counting begins. `Ok(None)` when
    /// this directory cannot tell what changed.
    ///
    /// # Errors
    /// [`ReadError::Expired`] when `since` lies too far back, and everything [`Directory::people`] fails with.
    pub async fn changes(&self, since: Option<&str>) -> Result<Option<Changes>, ReadError> {
        each!(self, it => it.changes(since).await)
    }

    /// Has the directory call an address when somebody changes, or renews that. `Ok(None)` for one that is told so by its own
    /// administrators, or by other means.
    ///
    /// # Errors
    /// Everything [`Directory::person`] fails with; [`ReadError::Refused`] for a secret that it cannot keep.
    pub async fn subscribe(&self, wanted: &Subscribing<'_>, now: DateTime<Utc>) -> Result<Option<Subscribed>, ReadError> {
        match self {
            Self::Entra(it) => it.subscribe(wanted, now).await,
            Self::Google(_) | Self::Scim(_) | Self::Okta(_) | Self::Keycloak(_) | Self::Ldap(_) => Ok(None),
        }
    }

    /// What the service last said of its rate limit, where it does.
    pub fn headroom(&self) -> Option<Headroom> {
        each!(self, it => it.headroom())
    }

    fn pace(&self) -> Option<&Pace> {
        each!(self, it => it.pace())
    }

    /// So many replicas share its limits from now on.
    pub fn share(&self, among: u32) {
        if let Some(pace) = self.pace() {
            pace.share(among);
        }
    }

    /// How many pieces of work may be begun together, at most `most`, so that their calls get their turns soon.
    pub fn at_once(&self, most: usize) -> usize {
        self.pace().map_or(most, |pace| pace.at_once(most))
    }

    /// For how long nothing that can wait is to be begun: what the service has left is for what cannot.
    pub fn holds(&self) -> Option<Duration> {
        self.pace()?.holds()
    }
}
