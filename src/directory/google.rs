//! Google Workspace, through the Directory API v1.
//!
//! Keys in paths are ids only: Google also takes addresses and aliases, which are renamed and given to others. A person's groups are
//! asked for upwards, group by group; a listing of everybody reads all groups once. Changes are in
//! [`google_change`](crate::directory::google_change).

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use reqwest::Method;
use serde_json::Value;

use crate::clock::{self, Clock};
use crate::directory::cursor::Cursor;
use crate::directory::facts::{Changes, GroupFacts, GroupListed, Page, PersonFacts, ReadError};
use crate::directory::google_answer::{checked, is_missing, rows, too_fast};
use crate::directory::google_everybody::Around;
use crate::directory::google_record::{self as record, Member};
use crate::directory::google_settings::{SCOPES, Settings};
use crate::directory::http::{self, Answer, Call, Failure, Headroom, Http, encoded};
use crate::directory::outcome::unasked;
use crate::directory::pace::Pace;
use crate::domain::person::GroupRef;

/// The scope that reads people.
pub(super) const READ_PEOPLE: &str = SCOPES[0];
/// The scope that reads groups.
pub(super) const READ_GROUPS: &str = SCOPES[1];
/// The scope that reads and changes members.
pub(super) const MEMBERS: &str = SCOPES[2];
/// Most groups around one person's groups that are asked for.
const MOST_AROUND: usize = 500;

/// A connected Workspace. Cloning shares connections and tokens.
#[derive(Clone, Debug)]
pub struct Google(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    http: Http,
    customer: String,
    attributes: BTreeMap<String, String>,
    /// How often in a row Google said "too fast".
    strikes: AtomicU32,
}

/// Where a listing stands.
#[derive(Debug)]
pub(super) struct Walk {
    path: String,
    name: &'static str,
    token: Option<String>,
    tokens: HashSet<String>,
    seen: HashSet<String>,
    pub(super) around: Option<Arc<Around>>,
}

impl Walk {
    /// `path` has a query already; `name` is what holds the rows.
    pub(super) fn from(path: String, name: &'static str) -> Self {
        Self { path, name, token: None, tokens: HashSet::new(), seen: HashSet::new(), around: None }
    }

    /// Takes along what people are looked up in.
    pub(super) fn with(self, around: Arc<Around>) -> Self {
        Self { around: Some(around), ..self }
    }
}

pub(super) fn not_told() -> ReadError {
    ReadError::Malformed("a record has no usable id".into())
}

/// Refuses what no caller may ask for.
pub(super) fn usable(id: &str) -> Result<(), ReadError> {
    if id.trim().is_empty() || id.chars().any(char::is_control) { Err(ReadError::Refused("the id is empty or not an id".into())) } else { Ok(()) }
}

impl Google {
    /// Prepares the connection; nothing is sent yet.
    ///
    /// # Errors
    /// A sentence on the setting that is wrong.
    pub fn new(settings: &Settings, clock: Clock) -> Result<Self, String> {
        if !record::is_id(&settings.customer) {
            return Err("The customer must be my_customer or a customer's id.".into());
        }
        let base = format!("{}/admin/directory/v1", settings.reach.base.trim_end_matches('/'));
        let reach = http::Settings { base, credentials: settings.credentials()?, media: "application/json", ..settings.reach.clone() };
        Ok(Self(Arc::new(Inner {
            http: Http::new(&reach, clock)?,
            customer: settings.customer.clone(),
            attributes: settings.attributes.clone(),
            strikes: AtomicU32::new(0),
        })))
    }

    pub(super) fn attributes(&self) -> &BTreeMap<String, String> {
        &self.0.attributes
    }

    pub(super) fn customer(&self) -> &str {
        &self.0.customer
    }

    /// One call. The error is "too fast", counted, or that there was no answer.
    pub(super) async fn call(&self, method: &Method, to: &str, body: Option<&Value>) -> Result<Answer, TooFast> {
        let answer = self.0.http.call(Call { method, to, body, headers: &[] }).await.map_err(TooFast::Failed)?;
        let jitter = u64::from(clock::new_id().as_bytes()[15]) * 4;
        match too_fast(&answer, self.0.strikes.load(Ordering::Relaxed), jitter) {
            Some(wait) => {
                self.0.strikes.fetch_add(1, Ordering::Relaxed);
                Err(TooFast::Wait(wait))
            }
            None => {
                self.0.strikes.store(0, Ordering::Relaxed);
                Ok(answer)
            }
        }
    }

    pub(super) async fn exchange(&self, to: &str) -> Result<Answer, ReadError> {
        self.call(&Method::GET, to, None).await.map_err(|failure| match failure {
            TooFast::Wait(retry_after) => ReadError::RateLimited { retry_after },
            TooFast::Failed(failure) => unasked(failure),
        })
    }

    /// A record by its path; `None` only when Google itself says there is none.
    pub(super) async fn record(&self, path: &str, needs: &str) -> Result<Option<Value>, ReadError> {
        let answer = self.exchange(path).await?;
        if is_missing(&answer) {
            return Ok(None);
        }
        match checked(answer, needs)?.json() {
            Some(found @ Value::Object(_)) => Ok(Some(found)),
            _ => Err(ReadError::Malformed("it is not JSON".into())),
        }
    }

    /// A record by its id, whose id it must be.
    async fn record_of(&self, kind: &str, reference: &str, more: &str, needs: &str) -> Result<Option<Value>, ReadError> {
        usable(reference)?;
        if !record::is_id(reference) {
            return Ok(None);
        }
        let found = self.record(&format!("/{kind}/{reference}{more}"), needs).await?;
        if found.as_ref().is_some_and(|found| record::id(found) != Some(reference)) {
            return Err(ReadError::Malformed("it sent another record than the one asked for".into()));
        }
        Ok(found)
    }

    pub(super) async fn person_record(&self, reference: &str) -> Result<Option<Value>, ReadError> {
        self.record_of("users", reference, "?projection=full", READ_PEOPLE).await
    }

    pub(super) async fn group_record(&self, reference: &str) -> Result<Option<Value>, ReadError> {
        self.record_of("groups", reference, "", READ_GROUPS).await
    }

    /// One page and where it goes on. `None` when Google says at the first page that there is no such list. Rows with an id come once.
    pub(super) async fn page(&self, mut walk: Walk, needs: &str) -> Result<Option<(Vec<Value>, Option<Walk>)>, ReadError> {
        let to = match &walk.token {
            Some(token) => format!("{}&pageToken={}", walk.path, encoded(token)),
            None => walk.path.clone(),
        };
        let answer = self.exchange(&to).await?;
        if is_missing(&answer) && walk.token.is_none() {
            return Ok(None);
        }
        let (mut found, next) = rows(&checked(answer, needs)?, walk.name)?;
        found.retain(|row| record::id(row).is_none_or(|id| walk.seen.insert(id.to_owned())));
        let Some(token) = next else { return Ok(Some((found, None))) };
        if !walk.tokens.insert(token.clone()) {
            return Err(ReadError::Malformed("its list goes round in circles".into()));
        }
        walk.token = Some(token);
        Ok(Some((found, Some(walk))))
    }

    /// Every row; `None` when there is no such list.
    pub(super) async fn all(&self, path: String, name: &'static str, needs: &str) -> Result<Option<Vec<Value>>, ReadError> {
        let mut all = Vec::new();
        let mut open = Some(Walk::from(path, name));
        while let Some(walk) = open {
            let Some((rows, next)) = self.page(walk, needs).await? else { return Ok(None) };
            all.extend(rows);
            open = next;
        }
        Ok(Some(all))
    }

    /// See [`Directory::person`](crate::directory::port::Directory::person). Groups count groups around them, where Google tells those.
    pub async fn person(&self, reference: &str) -> Result<Option<PersonFacts>, ReadError> {
        let Some(found) = self.person_record(reference).await? else { return Ok(None) };
        let mut facts = record::person(&found, &self.0.attributes).ok_or_else(not_told)?;
        let manager = async {
            match record::manager(&found) {
                Some(address) => self.id_of(&address).await,
                None => Ok(None),
            }
        };
        (facts.manager, facts.groups) = tokio::try_join!(manager, self.groups_of(reference))?;
        Ok(Some(facts))
    }

    /// The id of the person with this address; `None` when there is nobody in this Workspace.
    async fn id_of(&self, address: &str) -> Result<Option<String>, ReadError> {
        let answer = self.exchange(&format!("/users/{}", encoded(address))).await?;
        // The person themselves could be read, so a refusal here is about somebody outside.
        if matches!(answer.status, 400 | 403) || is_missing(&answer) {
            return Ok(None);
        }
        let found = checked(answer, READ_PEOPLE)?.json().unwrap_or_default();
        let is_theirs = record::addresses(&found).iter().any(|told| told == address);
        Ok(record::id(&found).filter(|_| is_theirs).map(str::to_owned))
    }

    /// The groups of a person, and those around them.
    async fn groups_of(&self, person: &str) -> Result<Vec<GroupRef>, ReadError> {
        let mut found: BTreeMap<String, GroupRef> = BTreeMap::new();
        let mut open = vec![person.to_owned()];
        while let Some(key) = open.pop() {
            let rows = self.all(format!("/groups?userKey={}&maxResults=200", encoded(&key)), "groups", READ_GROUPS).await?;
            let rows = match rows {
                Some(rows) => rows,
                // Google may not tell the groups around a group; a person it knows must be told.
                None if key != person => continue,
                None => return Err(ReadError::Unreachable("it knows the person, but not their groups yet".into())),
            };
            for row in &rows {
                let group = record::group_ref(row).ok_or_else(not_told)?;
                let address = row["email"].as_str().unwrap_or_default();
                if found.insert(group.reference.clone(), group).is_none() && !address.is_empty() {
                    open.push(address.to_owned());
                }
                if found.len() > MOST_AROUND {
                    return Err(ReadError::Malformed(format!("the person is in more than {MOST_AROUND} groups")));
                }
            }
        }
        Ok(found.into_values().collect())
    }

    pub(super) fn all_groups(&self) -> Walk {
        Walk::from(format!("/groups?customer={}&maxResults=200", self.0.customer), "groups")
    }

    /// See [`Directory::groups`](crate::directory::port::Directory::groups).
    pub async fn groups(&self, cursor: Option<Cursor>) -> Result<Page<GroupListed, Cursor>, ReadError> {
        let walk = cursor.map_or_else(|| Ok(self.all_groups()), Cursor::open::<Walk>)?;
        let (rows, next) = self.page(walk, READ_GROUPS).await?.ok_or_else(no_list)?;
        let items = rows.iter().map(|row| record::listed(row).ok_or_else(not_told)).collect::<Result<_, _>>()?;
        Ok(Page { items, next: next.map(Cursor::of), total: None })
    }

    /// Members of a group, derived ones too if asked for; `None` when there is no such group.
    pub(super) async fn members_of(&self, group: &str, derived: bool) -> Result<Option<Vec<Member>>, ReadError> {
        let path = format!("/groups/{group}/members?includeDerivedMembership={derived}&maxResults=200");
        let Some(rows) = self.all(path, "members", MEMBERS).await? else { return Ok(None) };
        let members = rows.iter().map(|row| record::member(row).ok_or_else(|| ReadError::Malformed("it does not tell who a member is".into())));
        members.collect::<Result<_, _>>().map(Some)
    }

    /// See [`Directory::group`](crate::directory::port::Directory::group).
    pub async fn group(&self, reference: &str) -> Result<Option<GroupFacts>, ReadError> {
        let Some(found) = self.group_record(reference).await? else { return Ok(None) };
        let GroupRef { reference, name } = record::group_ref(&found).ok_or_else(not_told)?;
        let Some(members) = self.members_of(&reference, false).await? else { return Ok(None) };
        let mut facts = GroupFacts { reference, name, members: Vec::new(), nested: Vec::new(), read_only: None };
        for member in members {
            match member {
                Member::Person(person) => facts.members.push(person),
                Member::Group(inner) => facts.nested.push(inner),
                Member::Everybody => facts.read_only = Some("everybody in the Workspace is a member, so nobody can be added or taken away".into()),
                Member::Other => {}
            }
        }
        Ok(Some(facts))
    }

    /// See [`Directory::is_member`](crate::directory::port::Directory::is_member).
    pub async fn is_member(&self, group: &str, person: &str) -> Result<bool, ReadError> {
        usable(group).and(usable(person))?;
        if !record::is_id(group) || !record::is_id(person) {
            return Ok(false);
        }
        let answer = self.exchange(&format!("/groups/{group}/members/{person}")).await?;
        if is_missing(&answer) {
            return Ok(false);
        }
        if answer.status == 400 {
            // A key that Google cannot resolve: nobody's membership, if there is no such person.
            return match self.person_record(person).await? {
                None => Ok(false),
                Some(_) => checked(answer, MEMBERS).map(|_| false),
            };
        }
        match checked(answer, MEMBERS)?.json() {
            Some(found) if record::id(&found) == Some(person) => Ok(true),
            _ => Err(ReadError::Malformed("it sent another record than the one asked for".into())),
        }
    }

    /// See [`Directory::members_inherited`](crate::directory::port::Directory::members_inherited): Google walks the groups itself.
    pub async fn members_inherited(&self, group: &str) -> Result<Option<Vec<String>>, ReadError> {
        usable(group)?;
        if !record::is_id(group) {
            return Ok(None);
        }
        let Some(members) = self.members_of(group, true).await? else { return Ok(None) };
        let people = members.into_iter().filter_map(|member| if let Member::Person(person) = member { Some(person) } else { None });
        Ok(Some(people.collect()))
    }

    /// See [`Directory::changes`](crate::directory::port::Directory::changes). Google has no such question: people have watch channels,
    /// which only call us from outside and run out, and of members nothing tells but the audit log, hours late.
    pub async fn changes(&self, _since: Option<&str>) -> Result<Option<Changes>, ReadError> {
        Ok(None)
    }

    /// The turns in which it is called.
    pub fn pace(&self) -> Option<&Pace> {
        Some(self.0.http.pace())
    }

    /// See [`Directory::headroom`](crate::directory::port::Directory::headroom). Google never says.
    pub fn headroom(&self) -> Option<Headroom> {
        self.0.http.headroom()
    }
}

/// Why a call has no answer to look at.
#[derive(Debug)]
pub(super) enum TooFast {
    /// Google asks to be left alone for so long.
    Wait(std::time::Duration),
    /// There is none.
    Failed(Failure),
}

pub(super) fn no_list() -> ReadError {
    ReadError::Malformed("it says there is no such list; is its address right?".into())
}
