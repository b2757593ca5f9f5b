//! Any SCIM 2.0 service, read with suspicion (RFC 7644).
//!
//! Servers differ from the standard in ways that would grant or keep access by mistake: filters that are ignored or
//! find nothing, pages that start over, 404 pages of a proxy, logins where ids belong. Each is checked here before an
//! answer is believed; changes are in [`scim_change`](crate::directory::scim_change).

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::Method;
use serde_json::Value;
use tokio::sync::Mutex;

use crate::clock::{self, Clock};
use crate::directory::cursor::Cursor;
use crate::directory::facts::{Changes, GroupFacts, GroupListed, Page, PersonFacts, ReadError};
use crate::directory::http::{Answer, Headroom, Http, Settings, encoded};
use crate::directory::outcome::unasked;
use crate::directory::pace::Pace;
use crate::directory::scim_answer::{checked, json, no_id, quoted, rows, usable};
use crate::directory::scim_map::{self, Paths};
use crate::directory::scim_record as record;
use crate::domain::person::GroupRef;

const PAGE_SIZE: usize = 200;
/// How long a verdict on the server's filters is believed.
pub(super) const VERDICT_LASTS: TimeDelta = TimeDelta::minutes(10);
const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

/// A connected SCIM service. Cloning shares connections and what was learned about the server.
#[derive(Clone, Debug)]
pub struct Scim(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    http: Http,
    /// Where attributes are, besides under their own name.
    paths: Paths,
    clock: Clock,
    /// The server fails when asked for a page size.
    count_fails: AtomicBool,
    /// The last record of a person came without `groups`: ask for both at once.
    groups_untold: AtomicBool,
    /// Whether `members.value eq` can be trusted, and when that was tried.
    membership_filter: Mutex<Option<(bool, DateTime<Utc>)>>,
    /// Whether groups list logins where ids belong, and when that was tried.
    logins_listed: Mutex<Option<(bool, DateTime<Utc>)>>,
}

/// Where a listing stands.
#[derive(Debug)]
struct Progress {
    start: usize,
    hasher: RandomState,
    seen: HashSet<u64>,
    memberships: Option<Arc<HashMap<String, Vec<GroupRef>>>>,
}

impl Progress {
    fn new() -> Self {
        Self { start: 1, hasher: RandomState::new(), seen: HashSet::new(), memberships: None }
    }

    fn of(cursor: Option<Cursor>) -> Result<Self, ReadError> {
        cursor.map_or_else(|| Ok(Self::new()), Cursor::open)
    }

    /// Whether this id is new in the listing.
    fn first_sight(&mut self, id: &str) -> bool {
        self.seen.insert(self.hasher.hash_one(id))
    }
}

impl Scim {
    /// Prepares the connection; nothing is sent yet.
    ///
    /// # Errors
    /// A sentence on the setting that is wrong.
    pub fn new(settings: &Settings, clock: Clock) -> Result<Self, String> {
        Self::mapped(settings, Paths::new(), clock)
    }

    /// As [`Scim::new`], with attributes read at `paths`.
    ///
    /// # Errors
    /// As [`Scim::new`].
    pub fn mapped(settings: &Settings, paths: Paths, clock: Clock) -> Result<Self, String> {
        Ok(Self(Arc::new(Inner {
            http: Http::new(settings, clock.clone())?,
            paths,
            clock,
            count_fails: AtomicBool::new(false),
            groups_untold: AtomicBool::new(false),
            membership_filter: Mutex::new(None),
            logins_listed: Mutex::new(None),
        })))
    }

    pub(super) fn http(&self) -> &Http {
        &self.0.http
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.0.clock
    }

    pub(super) fn logins_listed(&self) -> &Mutex<Option<(bool, DateTime<Utc>)>> {
        &self.0.logins_listed
    }

    /// A person, and whether the record said anything about groups.
    fn read(&self, row: &Value) -> Option<(PersonFacts, bool)> {
        let (mut facts, told) = record::person(row)?;
        scim_map::lay(&mut facts, row, &self.0.paths);
        Some((facts, told))
    }

    fn is_person_with(&self, row: &Value, key: &str, value: &str) -> bool {
        let Some((facts, _)) = self.read(row) else { return false };
        match key {
            "user_name" => facts.user_name.eq_ignore_ascii_case(value),
            "email" => facts.email.is_some_and(|email| email.eq_ignore_ascii_case(value)),
            _ => facts.attributes.get(key).is_some_and(|all| all.iter().any(|v| v == value)),
        }
    }

    /// See [`Directory::person`](crate::directory::port::Directory::person). One call where the server tells groups
    /// with the person, two at once where it does not.
    pub async fn person(&self, reference: &str) -> Result<Option<PersonFacts>, ReadError> {
        let user = self.resource("Users", reference);
        let (found, early) = if self.0.groups_untold.load(Ordering::Relaxed) {
            let (found, groups) = tokio::join!(user, self.groups_of(reference));
            (found?, Some(groups))
        } else {
            (user.await?, None)
        };
        let Some(found) = found else { return Ok(None) };
        let (mut facts, told) = self.read(&found).ok_or_else(no_id)?;
        self.0.groups_untold.store(!told, Ordering::Relaxed);
        if !told {
            // An empty list may be left out (RFC 7643 §2.5), so silence is never taken for "in no group".
            facts.groups = match early {
                Some(groups) => groups?,
                None => self.groups_of(reference).await?,
            };
        }
        Ok(Some(facts))
    }

    /// See [`Directory::find_person`](crate::directory::port::Directory::find_person).
    pub async fn find_person(&self, attribute: &str, value: &str) -> Result<Option<PersonFacts>, ReadError> {
        if value.trim().is_empty() || value.len() > 512 || value.chars().any(char::is_control) {
            return Ok(None);
        }
        let key = match attribute {
            "userName" => "user_name",
            "emails" | "mail" => "email",
            "externalId" => "external_id",
            other => other,
        };
        let path = match key {
            "id" => return if record::usable(value) { self.person(value).await } else { Ok(None) },
            "user_name" => Some("userName".to_owned()),
            "email" => Some("emails.value".to_owned()),
            "external_id" => Some("externalId".to_owned()),
            other => match self.0.paths.get(other) {
                Some(path) => Some(path.clone()).filter(|path| !path.is_empty()),
                None if other == "employee_number" => Some(format!("{ENTERPRISE}:employeeNumber")),
                None => None,
            },
        };
        let alike = |row: &Value| match key {
            "email" => record::addresses(row).iter().any(|a| a.eq_ignore_ascii_case(value)),
            _ => self.is_person_with(row, key, value),
        };
        // Only the primary address counts: people may often set the others themselves.
        let hit = |row: &Value| self.is_person_with(row, key, value);
        let filter = path.map(|path| format!("{path} eq {}", quoted(value)));
        match self.search("Users", filter, alike, hit).await?.as_slice() {
            [] => Ok(None),
            [one] => self.person(one).await,
            _ => Err(ReadError::Several { attribute: attribute.to_owned(), value: value.to_owned() }),
        }
    }

    /// See [`Directory::people`](crate::directory::port::Directory::people).
    pub async fn people(&self, cursor: Option<Cursor>) -> Result<Page<PersonFacts, Cursor>, ReadError> {
        let mut page = self.page("Users", "", Progress::of(cursor)?).await?;
        let mut items = Vec::with_capacity(page.items.len());
        let mut memberships = page.memberships.take();
        for row in &page.items {
            let (mut facts, told) = self.read(row).ok_or_else(no_id)?;
            if !told {
                let all = match memberships.take() {
                    Some(all) => all,
                    None => Arc::new(self.memberships().await?),
                };
                let login = self.logins_are_listed_for_all().await.then_some(&facts.user_name);
                facts.groups = [Some(&facts.reference), login].into_iter().flatten().filter_map(|name| all.get(name)).flatten().cloned().collect();
                memberships = Some(all);
            }
            items.push(facts);
        }
        let next = page.next.map(|next| Cursor::of(Progress { memberships, ..next }));
        Ok(Page { items, next, total: page.total })
    }

    /// See [`Directory::groups`](crate::directory::port::Directory::groups).
    pub async fn groups(&self, cursor: Option<Cursor>) -> Result<Page<GroupListed, Cursor>, ReadError> {
        let page = self.page("Groups", "&excludedAttributes=members", Progress::of(cursor)?).await?;
        let items = page.items.iter().map(|row| record::group_name(row).map(GroupListed::named).ok_or_else(no_id)).collect::<Result<_, _>>()?;
        Ok(Page { items, next: page.next.map(Cursor::of), total: page.total })
    }

    /// See [`Directory::group`](crate::directory::port::Directory::group).
    pub async fn group(&self, reference: &str) -> Result<Option<GroupFacts>, ReadError> {
        let Some(found) = self.resource("Groups", reference).await? else { return Ok(None) };
        let mut group = record::group(&found).ok_or_else(no_id)?;
        self.by_id(reference, &mut group.members).await?;
        Ok(Some(group))
    }

    /// See [`Directory::find_group`](crate::directory::port::Directory::find_group).
    pub async fn find_group(&self, name: &str) -> Result<Option<GroupRef>, ReadError> {
        if name.trim().is_empty() || name.len() > 512 || name.chars().any(char::is_control) {
            return Ok(None);
        }
        let alike = |row: &Value| record::group_name(row).is_some_and(|g| g.name.eq_ignore_ascii_case(name));
        let hit = |row: &Value| record::group_name(row).is_some_and(|g| g.name == name);
        let filter = format!("displayName eq {}", quoted(name));
        match self.search("Groups", Some(filter), alike, hit).await?.as_slice() {
            [] => Ok(None),
            [one] => Ok(Some(GroupRef { reference: one.clone(), name: name.to_owned() })),
            _ => Err(ReadError::Several { attribute: "group name".into(), value: name.to_owned() }),
        }
    }

    /// See [`Directory::is_member`](crate::directory::port::Directory::is_member). Reads the group itself, not a
    /// search index that may lag behind a write.
    pub async fn is_member(&self, group: &str, person: &str) -> Result<bool, ReadError> {
        usable(person)?;
        let Some(found) = self.resource("Groups", group).await? else { return Ok(false) };
        if let Some(members) = record::members(&found) {
            return Ok(self.listed_as(&members, person).await?.is_some());
        }
        // No list at all: the group is empty, or the server never tells (AWS). A search settles it, if it can say no.
        if !self.is_listed(group, person).await? {
            return Ok(false);
        }
        if self.is_listed(group, &clock::new_id().to_string()).await? {
            return Err(ReadError::Malformed("it neither lists members nor searches by them".into()));
        }
        Ok(true)
    }

    async fn is_listed(&self, group: &str, person: &str) -> Result<bool, ReadError> {
        let filter = format!("id eq {} and members.value eq {}", quoted(group), quoted(person));
        let answer = self.get(&format!("/Groups?filter={}&excludedAttributes=members", encoded(&filter))).await?;
        let (rows, _) = rows(&json(&answer)?)?;
        Ok(rows.iter().any(|row| record::id(row) == Some(group)))
    }

    /// The groups that list this person directly.
    async fn groups_of(&self, person: &str) -> Result<Vec<GroupRef>, ReadError> {
        usable(person)?;
        if !self.membership_filter_works().await? {
            let all = self.memberships().await?;
            let login = if self.logins_are_listed_for_all().await { self.login(person).await? } else { None };
            return Ok([Some(person), login.as_deref()].into_iter().flatten().filter_map(|name| all.get(name)).flatten().cloned().collect());
        }
        let query = format!("&filter={}&excludedAttributes=members", encoded(&format!("members.value eq {}", quoted(person))));
        let mut found = Vec::new();
        let mut progress = Some(Progress::new());
        while let Some(start) = progress {
            let page = self.page("Groups", &query, start).await?;
            for row in &page.items {
                // Members that come along although they were not asked for are evidence too.
                if record::members(row).is_none_or(|all| all.iter().any(|m| m.value == person || m.reference == person)) {
                    found.push(record::group_name(row).ok_or_else(no_id)?);
                }
            }
            progress = page.next;
        }
        Ok(found)
    }

    /// Who is in which group, by reading all of them: for servers whose searches cannot be trusted.
    async fn memberships(&self) -> Result<HashMap<String, Vec<GroupRef>>, ReadError> {
        let mut all: HashMap<String, Vec<GroupRef>> = HashMap::new();
        let mut progress = Some(Progress::new());
        while let Some(start) = progress {
            let page = self.page("Groups", "", start).await?;
            for row in &page.items {
                let group = record::group(row).ok_or_else(no_id)?;
                if let Some(members) = record::members(row) {
                    self.lists_logins(&members, &group.reference).await?;
                }
                for person in group.members {
                    let name = GroupRef { reference: group.reference.clone(), name: group.name.clone() };
                    all.entry(person).or_default().push(name);
                }
            }
            progress = page.next;
        }
        Ok(all)
    }

    /// Tries the filter once in a while: a made-up member must be in no group, and a real one in theirs.
    pub(super) async fn membership_filter_works(&self) -> Result<bool, ReadError> {
        let mut verdict = self.0.membership_filter.lock().await;
        let now = self.0.clock.now();
        if let Some((works, tried)) = *verdict
            && now - tried < VERDICT_LASTS
        {
            return Ok(works);
        }
        let works = self.finds_groups_by(&clock::new_id().to_string()).await?.is_some_and(|found| found.is_empty())
            && match self.some_membership().await? {
                Some((group, member)) => self.finds_groups_by(&member).await?.is_some_and(|found| found.contains(&group)),
                None => true,
            };
        *verdict = Some((works, now));
        Ok(works)
    }

    /// First page of a search by member; `None` when the server refuses such a search.
    async fn finds_groups_by(&self, member: &str) -> Result<Option<Vec<String>>, ReadError> {
        let filter = encoded(&format!("members.value eq {}", quoted(member)));
        let answer = self.exchange(&format!("/Groups?filter={filter}&excludedAttributes=members")).await?;
        if matches!(answer.status, 400 | 403 | 405 | 501) {
            return Ok(None);
        }
        let (rows, _) = rows(&json(&checked(answer)?)?)?;
        Ok(Some(rows.iter().filter_map(record::id).map(str::to_owned).collect()))
    }

    async fn some_membership(&self) -> Result<Option<(String, String)>, ReadError> {
        let page = self.page("Groups", "", Progress::new()).await?;
        Ok(page.items.iter().find_map(|row| {
            let member = record::members(row)?.into_iter().find(|m| !m.is_group)?;
            Some((record::id(row)?.to_owned(), member.value))
        }))
    }

    /// Ids of the rows that are a `hit`. Rows that are not even `alike` show that the filter was ignored; then, and
    /// when the server refuses the filter or there is none, every record is looked at.
    async fn search(
        &self,
        resource: &str,
        filter: Option<String>,
        alike: impl Fn(&Value) -> bool,
        hit: impl Fn(&Value) -> bool,
    ) -> Result<Vec<String>, ReadError> {
        let mut hits: Vec<String> = Vec::new();
        if let Some(filter) = filter {
            let answer = self.exchange(&format!("/{resource}?filter={}", encoded(&filter))).await?;
            if !matches!(answer.status, 400 | 403 | 501) {
                let (found, total) = rows(&json(&checked(answer)?)?)?;
                if found.iter().all(&alike) && total.is_none_or(|total| total <= found.len()) {
                    hits.extend(found.iter().filter(|row| hit(row)).filter_map(record::id).map(str::to_owned));
                    hits.dedup();
                    return Ok(hits);
                }
            }
        }
        let without_members = if resource == "Groups" { "&excludedAttributes=members" } else { "" };
        let mut progress = Some(Progress::new());
        while let Some(start) = progress {
            let page = self.page(resource, without_members, start).await?;
            hits.extend(page.items.iter().filter(|row| hit(row)).filter_map(record::id).map(str::to_owned));
            progress = page.next;
        }
        Ok(hits)
    }

    /// One page by the numbers of rows received, which are true, not by `itemsPerPage`, which may not be.
    async fn page(&self, resource: &str, query: &str, mut progress: Progress) -> Result<Rows, ReadError> {
        let plain = format!("/{resource}?startIndex={}{query}", progress.start);
        let mut answer = if self.0.count_fails.load(Ordering::Relaxed) {
            self.exchange(&plain).await?
        } else {
            self.exchange(&format!("{plain}&count={PAGE_SIZE}")).await?
        };
        if answer.status == 500 && progress.start == 1 && !self.0.count_fails.load(Ordering::Relaxed) {
            // Was it the page size, or a moment's failure? Without a size a page may hold everybody.
            let whole = self.exchange(&plain).await?;
            let again = if whole.status == 200 { Some(self.exchange(&format!("{plain}&count={PAGE_SIZE}")).await?) } else { None };
            answer = match again {
                Some(again) if again.status != 500 => again,
                Some(_) => {
                    self.0.count_fails.store(true, Ordering::Relaxed);
                    whole
                }
                None => whole,
            };
        }
        let (found, total) = rows(&json(&checked(answer)?)?)?;
        let received = found.len();
        let mut items = Vec::with_capacity(received);
        for row in found {
            if progress.first_sight(record::id(&row).ok_or_else(no_id)?) {
                items.push(row);
            }
        }
        let asked_from = progress.start;
        progress.start += received;
        let complete = match total {
            Some(total) => progress.start > total,
            None => items.is_empty(),
        };
        if !complete && items.is_empty() {
            let total = total.unwrap_or_default();
            return Err(ReadError::Malformed(format!("its list stopped at {} of {total}", asked_from - 1)));
        }
        let memberships = progress.memberships.clone();
        Ok(Rows { items, memberships, next: (!complete).then_some(progress), total: total.map(|t| t as u64) })
    }

    /// How many records of a kind the first page and the server speak of.
    pub(super) async fn count(&self, resource: &str) -> Result<u64, ReadError> {
        let page = self.page(resource, "", Progress::new()).await?;
        Ok(page.total.unwrap_or(page.items.len() as u64))
    }

    /// A record by id; `None` only when the service itself says it has none.
    pub(super) async fn resource(&self, kind: &str, reference: &str) -> Result<Option<Value>, ReadError> {
        Ok(self.versioned(kind, reference).await?.map(|(found, _)| found))
    }

    /// A record by id and its version (`ETag`, else `meta.version`).
    pub(super) async fn versioned(&self, kind: &str, id: &str) -> Result<Option<(Value, Option<String>)>, ReadError> {
        usable(id)?;
        let answer = self.exchange(&format!("/{kind}/{}", encoded(id))).await?;
        if answer.status == 404 {
            // A proxy's or another service's 404 must not look like a person who left.
            return match answer.json() {
                Some(Value::Object(_)) => Ok(None),
                _ => Err(ReadError::Malformed("it answered 404 in a way no SCIM service does; is its address right?".into())),
            };
        }
        let etag = answer.etag.clone();
        let found = json(&checked(answer)?)?;
        if record::id(&found) != Some(id) {
            return Err(ReadError::Malformed("it sent another record than the one asked for".into()));
        }
        let version = etag.or_else(|| found.pointer("/meta/version").and_then(Value::as_str).map(str::to_owned));
        Ok(Some((found, version)))
    }

    async fn get(&self, path_and_query: &str) -> Result<Answer, ReadError> {
        checked(self.exchange(path_and_query).await?)
    }

    pub(super) async fn exchange(&self, path_and_query: &str) -> Result<Answer, ReadError> {
        self.0.http.send(Method::GET, path_and_query, None, None).await.map_err(unasked)
    }

    /// See [`Directory::changes`](crate::directory::port::Directory::changes). SCIM has no such question: `meta.lastModified` may be
    /// searched for, but tells of nobody who is gone and in most services of no membership.
    pub async fn changes(&self, _since: Option<&str>) -> Result<Option<Changes>, ReadError> {
        Ok(None)
    }

    /// The turns in which it is called.
    pub fn pace(&self) -> Option<&Pace> {
        Some(self.0.http.pace())
    }

    /// See [`Directory::headroom`](crate::directory::port::Directory::headroom).
    pub fn headroom(&self) -> Option<Headroom> {
        self.0.http.headroom()
    }
}

struct Rows {
    items: Vec<Value>,
    memberships: Option<Arc<HashMap<String, Vec<GroupRef>>>>,
    next: Option<Progress>,
    total: Option<u64>,
}
