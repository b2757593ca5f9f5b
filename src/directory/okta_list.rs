//! Okta's lists, page by page: people, groups, members, group rules.
//!
//! A next page is where the `Link` says, on the same origin. A page may be empty and have a next one; one that comes again shows a
//! list that never ends.

use std::collections::{BTreeSet, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::Value;

use crate::directory::cursor::Cursor;
use crate::directory::facts::{GroupFacts, GroupListed, Page, PersonFacts, ReadError};
use crate::directory::http::{Answer, encoded};
use crate::directory::memberships::Memberships;
use crate::directory::okta::{Learned, ManagerIs, Okta, READ_GROUPS, READ_PEOPLE};
use crate::directory::okta_answer::{no_id, quoted, rows};
use crate::directory::okta_record::{self as record, Rules};
use crate::domain::person::GroupRef;

/// Everybody, those who have left included: a list without a filter leaves them out.
const EVERYBODY: &str = "lastUpdated gt \"1970-01-01T00:00:00.000Z\"";
/// How long group rules are believed to be as they were.
const RULES_LAST: TimeDelta = TimeDelta::minutes(1);
/// Groups whose members are read at once.
const AT_ONCE: usize = 4;
/// How often a page is asked for again when Okta asks to wait.
const TRIES: usize = 3;

/// Where a listing stands.
#[derive(Debug)]
pub(super) struct Progress {
    /// The next page, as Okta gave it; `None` before the first.
    to: Option<String>,
    hasher: RandomState,
    seen: HashSet<u64>,
    pages: HashSet<u64>,
    everyone: Arc<(Memberships, Vec<GroupRef>)>,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self { to: None, hasher: RandomState::new(), seen: HashSet::new(), pages: HashSet::new(), everyone: Arc::default() }
    }

    /// Takes in a page: its rows that are new, and whether there is another.
    fn take(&mut self, answer: &Answer) -> Result<(Vec<Value>, bool), ReadError> {
        let found = rows(answer)?;
        let received = found.len();
        let mut fresh = Vec::with_capacity(received);
        for row in found {
            if self.seen.insert(self.hasher.hash_one(record::id(&row).ok_or_else(no_id)?)) {
                fresh.push(row);
            }
        }
        let again = answer.next.as_ref().is_some_and(|next| !self.pages.insert(self.hasher.hash_one(next)));
        if again || (answer.next.is_some() && received > 0 && fresh.is_empty()) {
            return Err(ReadError::Malformed("its list starts over instead of ending".into()));
        }
        self.to.clone_from(&answer.next);
        Ok((fresh, answer.next.is_some()))
    }
}

impl Okta {
    /// The next page of the list at `first`: rows that are new, and whether there are more; `None` when Okta knows no such list.
    /// Waits that Okta asks for are sat out up to `patience`.
    async fn page(&self, first: &str, needs: &str, patience: Duration, progress: &mut Progress) -> Result<Option<(Vec<Value>, bool)>, ReadError> {
        let to = progress.to.clone().unwrap_or_else(|| first.to_owned());
        let mut tries = 1;
        let answer = loop {
            match self.ask(&to, needs).await {
                Err(ReadError::RateLimited { retry_after }) if retry_after <= patience && tries < TRIES => {
                    tries += 1;
                    tokio::time::sleep(retry_after).await;
                }
                answer => break answer?,
            }
        };
        answer.map(|answer| progress.take(&answer)).transpose()
    }

    /// All rows of the list at `first`, each once; `None` when Okta knows no such list.
    pub(super) async fn all(&self, first: &str, needs: &str, patience: Duration) -> Result<Option<Vec<Value>>, ReadError> {
        let mut progress = Progress::new();
        let mut all = Vec::new();
        loop {
            let Some((found, more)) = self.page(first, needs, patience, &mut progress).await? else { return Ok(None) };
            all.extend(found);
            if !more {
                return Ok(Some(all));
            }
        }
    }

    /// See [`Directory::people`](crate::directory::port::Directory::people). Everybody's groups are read before the first page, by
    /// reading who is in each group.
    pub async fn people(&self, cursor: Option<Cursor>) -> Result<Page<PersonFacts, Cursor>, ReadError> {
        let mut progress: Progress = match cursor {
            Some(cursor) => cursor.open()?,
            None => Progress { everyone: Arc::new(self.memberships().await?), ..Progress::new() },
        };
        let first = format!("/api/v1/users?limit=200&filter={}", encoded(EVERYBODY));
        let (found, more) = self.page(&first, READ_PEOPLE, self.0.patience, &mut progress).await?.ok_or_else(no_list)?;
        let read = found.iter().map(|row| self.0.mapping.person(row).ok_or_else(no_id)).collect::<Result<Vec<_>, _>>()?;
        if self.0.manager_is != ManagerIs::Id {
            self.know_managers(&found);
            self.look_up_managers(read.iter().filter_map(|(_, manager)| manager.clone()).collect::<BTreeSet<_>>()).await?;
        }
        let mut items = Vec::with_capacity(read.len());
        for (mut facts, manager) in read {
            facts.manager = self.manager(manager).await?;
            facts.groups = progress.everyone.0.of(&facts.reference);
            facts.groups.extend(progress.everyone.1.iter().cloned());
            items.push(facts);
        }
        Ok(Page { items, next: more.then(|| Cursor::of(progress)), total: None })
    }

    /// Who is in which group, and the groups that everybody is in.
    async fn memberships(&self) -> Result<(Memberships, Vec<GroupRef>), ReadError> {
        let groups = self.all("/api/v1/groups?limit=200", READ_GROUPS, self.0.patience).await?.ok_or_else(no_list)?;
        let (mut all, mut everyone) = (Memberships::default(), Vec::new());
        let mut to_read = Vec::new();
        for row in groups {
            let group = record::group_name(&row).ok_or_else(no_id)?;
            if record::is_everyone(&row) {
                everyone.push(group);
            } else {
                to_read.push(group);
            }
        }
        let read = |group: GroupRef| async move { Ok::<_, ReadError>((self.members_of(&group.reference, self.0.patience).await?, group)) };
        let mut read = std::pin::pin!(stream::iter(to_read).map(read).buffer_unordered(AT_ONCE));
        while let Some((members, group)) = read.try_next().await? {
            // A group that went meanwhile has nobody.
            let Some(members) = members else { continue };
            members.iter().for_each(|person| all.person(&group.reference, person));
            all.name(group);
        }
        Ok((all, everyone))
    }

    async fn members_of(&self, group: &str, patience: Duration) -> Result<Option<Vec<String>>, ReadError> {
        let Some(found) = self.all(&format!("/api/v1/groups/{}/users?limit=200", encoded(group)), READ_GROUPS, patience).await? else { return Ok(None) };
        Ok(Some(found.iter().filter_map(record::id).map(str::to_owned).collect()))
    }

    /// See [`Directory::groups`](crate::directory::port::Directory::groups).
    pub async fn groups(&self, cursor: Option<Cursor>) -> Result<Page<GroupListed, Cursor>, ReadError> {
        let mut progress: Progress = cursor.map_or_else(|| Ok(Progress::new()), Cursor::open)?;
        let rules = self.rules().await?;
        let (found, more) = self.page("/api/v1/groups?limit=200", READ_GROUPS, self.0.patience, &mut progress).await?.ok_or_else(no_list)?;
        let items = found.iter().map(|row| record::group_listed(row, rules.as_deref()).ok_or_else(no_id)).collect::<Result<_, _>>()?;
        Ok(Page { items, next: more.then(|| Cursor::of(progress)), total: None })
    }

    /// The record of the group with this id and no other; `None` when there is none with it.
    pub(super) async fn group_record(&self, reference: &str) -> Result<Option<Value>, ReadError> {
        if !crate::directory::scim_record::usable(reference) {
            return Err(ReadError::Refused("the id is empty or not an id".into()));
        }
        // `rules` is a list of its own at the place of a group's id.
        if !record::usable(reference) || reference == "rules" {
            return Ok(None);
        }
        let Some(answer) = self.ask(&format!("/api/v1/groups/{}", encoded(reference)), READ_GROUPS).await? else { return Ok(None) };
        let found = answer.json().ok_or_else(|| ReadError::Malformed("it is not JSON".into()))?;
        let id = record::id(&found).ok_or_else(no_id)?;
        Ok((id == reference).then_some(found))
    }

    /// See [`Directory::group`](crate::directory::port::Directory::group). Okta has no groups within groups.
    pub async fn group(&self, reference: &str) -> Result<Option<GroupFacts>, ReadError> {
        let Some(found) = self.group_record(reference).await? else { return Ok(None) };
        let rules = self.rules().await?;
        let GroupListed { reference, name, read_only, .. } = record::group_listed(&found, rules.as_deref()).ok_or_else(no_id)?;
        let Some(members) = self.members_of(&reference, Duration::ZERO).await? else { return Ok(None) };
        Ok(Some(GroupFacts { reference, name, members, nested: Vec::new(), read_only }))
    }

    /// See [`Directory::find_group`](crate::directory::port::Directory::find_group). Okta's search may not know a group of the last
    /// seconds yet.
    pub async fn find_group(&self, name: &str) -> Result<Option<GroupRef>, ReadError> {
        if name.trim().is_empty() || name.len() > 512 || name.chars().any(char::is_control) {
            return Ok(None);
        }
        let to = format!("/api/v1/groups?limit=200&search={}", encoded(&format!("profile.name eq {}", quoted(name))));
        let found = self.all(&to, READ_GROUPS, Duration::ZERO).await?.ok_or_else(no_list)?;
        let mut hits: Vec<GroupRef> = found.iter().filter_map(record::group_name).filter(|group| group.name == name).collect();
        match hits.len() {
            0 | 1 => Ok(hits.pop()),
            _ => Err(ReadError::Several { attribute: "group name".into(), value: name.to_owned() }),
        }
    }

    /// The group rules at work, read once a minute; `None` when the token may not read them.
    pub(super) async fn rules(&self) -> Result<Option<Arc<Rules>>, ReadError> {
        let mut kept = self.0.rules.lock().await;
        let now = self.0.clock.now();
        if let Some(learned) = kept.as_ref().filter(|learned| now - learned.at < RULES_LAST) {
            return Ok(learned.what.clone());
        }
        let rules = match self.all("/api/v1/groups/rules?limit=200", READ_GROUPS, Duration::ZERO).await {
            Ok(found) => {
                let mut rules = Rules::default();
                found.iter().flatten().for_each(|rule| rules.take(rule));
                Some(Arc::new(rules))
            }
            // Its own permission, which a token that may only change a few groups does not have.
            Err(ReadError::Auth(_)) => None,
            Err(error) => return Err(error),
        };
        *kept = Some(Learned { what: rules.clone(), at: now });
        Ok(rules)
    }
}

fn no_list() -> ReadError {
    ReadError::Malformed("it knows no such list; is its address right?".into())
}
