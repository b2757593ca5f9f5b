//! OpenLDAP and Active Directory, read and changed over LDAP.
//!
//! The client is ours ([`ldap_link`](crate::directory::ldap_link) and below), on tokio and rustls, which are here anyway. The usual crate,
//! `ldap3` (0.12.1 with `lber` 0.5.1 was looked at and tried), trusts what a server sends: a message's stated length is waited for in
//! memory without a limit, elements nested deeply enough run its recursive reader out of stack, which ends the process and cannot be
//! caught, and a message that lacks an element panics its driver. None of that can be bounded from outside, since it owns the
//! connection. What is needed of LDAP is small: five operations and one control.
//!
//! Records are known by an id that never changes (`entryUUID`, `objectGUID`) and looked up by it before each change: names are renamed
//! and used again. What a name in `member` stands for is found by searches of many names at once.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;

use crate::clock::Clock;
use crate::directory::cursor::Cursor;
use crate::directory::facts::{GroupListed, Page, PersonFacts, ReadError};
use crate::directory::http::{Headroom, is_loopback};
use crate::directory::ldap_dn as dn;
use crate::directory::ldap_filter::Filter;
use crate::directory::ldap_link::{Encryption, Target, Way, trust};
use crate::directory::ldap_message::{Entry, Scope, Search};
use crate::directory::ldap_pool::{Lease, Pool, unread};
use crate::directory::ldap_record::{self as record, untold};
use crate::directory::ldap_schema::{Dialect, GroupKind, Schema};
use crate::directory::ldap_shelf::Listing;
use crate::directory::pace::Pace;
use crate::domain::person::GroupRef;
use crate::domain::secret::Secret;

/// Most records that a search for one may find before it is called ambiguous.
const MOST_ALIKE: usize = 50;

/// How to reach a directory, and what it calls things.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `ldaps://host` (port 636), or `ldap://host` (389), which is encrypted by StartTLS; several are tried in turn.
    pub urls: Vec<String>,
    /// False leaves an `ldap://` conversation unencrypted; refused unless the host is this machine.
    pub start_tls: bool,
    /// Who we are: a distinguished name; for Active Directory also `svc@example.org` or `EXAMPLE\svc`.
    pub bind: String,
    /// Proof of it; never empty.
    pub password: Secret,
    /// Which family the server belongs to.
    pub dialect: Dialect,
    /// Where everything lies, such as `dc=example,dc=org`.
    pub base: String,
    /// Where people lie; empty: as `base`. Who is moved out of it counts as switched off.
    pub people: String,
    /// Where groups lie; empty: as `base`.
    pub groups: String,
    /// What a person is, as a filter (RFC 4515); empty: the dialect's usual one.
    pub person_filter: String,
    /// Which records are groups, of those that are of a kind known here; empty: all.
    pub group_filter: String,
    /// Which kinds of group there are; empty: the dialect's usual ones.
    pub kinds: Vec<GroupKind>,
    /// Our names of a person's attributes and the server's, on top of the usual ones; an empty name takes one away.
    pub attributes: BTreeMap<String, String>,
    /// Who stands in a group that may not be empty once its last member is taken out: the name of a record that is nobody.
    pub placeholder: Option<String>,
    /// Longest time for one operation.
    pub timeout: Duration,
    /// Most connections at the same time, listings aside.
    pub concurrency: usize,
    /// Records on a page.
    pub page_size: u32,
    /// Largest answer to one operation, in bytes; it must hold a page, and the biggest group.
    pub max_answer: usize,
    /// PEM certificates to trust besides the public ones.
    pub extra_roots: Option<String>,
}

impl Settings {
    /// Usual limits (10 s, 8 connections, pages of 500, 64 MiB) for a server at `url`.
    pub fn new(url: &str, dialect: Dialect, base: &str, bind: &str, password: &str) -> Self {
        Self {
            urls: vec![url.to_owned()],
            start_tls: true,
            bind: bind.to_owned(),
            password: Secret::new(password),
            dialect,
            base: base.to_owned(),
            people: String::new(),
            groups: String::new(),
            person_filter: String::new(),
            group_filter: String::new(),
            kinds: Vec::new(),
            attributes: BTreeMap::new(),
            placeholder: None,
            timeout: Duration::from_secs(10),
            concurrency: 8,
            page_size: 500,
            max_answer: 64 << 20,
            extra_roots: None,
        }
    }

    fn way(&self) -> Result<Way, String> {
        if self.bind.trim().is_empty() || self.password.reveal().is_empty() {
            // A bind without a password succeeds on many servers, as nobody (RFC 4513 §5.1.2).
            return Err("The directory's service account needs a name and a password.".into());
        }
        let targets = self.urls.iter().map(|url| self.target(url)).collect::<Result<Vec<_>, _>>()?;
        if targets.is_empty() {
            return Err("The directory has no address.".into());
        }
        let tls = trust(self.extra_roots.as_deref())?;
        Ok(Way { targets, tls, bind: self.bind.clone(), password: self.password.clone(), timeout: self.timeout, max_answer: self.max_answer })
    }

    fn target(&self, address: &str) -> Result<Target, String> {
        let url = Url::parse(address).map_err(|error| format!("The directory's address {address:?} is not a URL: {error}."))?;
        let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']').to_owned();
        let more = !url.username().is_empty() || url.password().is_some() || !matches!(url.path(), "" | "/") || url.query().is_some();
        if host.is_empty() || more {
            return Err(format!("The directory's address {address:?} must be like ldaps://ldap.example.org, and nothing more."));
        }
        let (encryption, usual) = match (url.scheme(), self.start_tls) {
            ("ldaps", _) => (Encryption::Always, 636),
            ("ldap", true) => (Encryption::StartTls, 389),
            ("ldap", false) if is_loopback(&url) => (Encryption::Never, 389),
            ("ldap", false) => return Err("Without StartTLS the password would cross the network in the clear; use ldaps:// or leave starttls on.".into()),
            _ => return Err(format!("The directory's address {address:?} must start with ldaps:// or ldap://.")),
        };
        let name = rustls_pki_types::ServerName::try_from(host.clone()).map_err(|_| format!("{host:?} is not the name of a server."))?;
        Ok(Target { host, port: url.port().unwrap_or(usual), encryption, name })
    }

    fn schema(&self) -> Result<Schema, String> {
        let or_base = |place: &str| if place.trim().is_empty() { self.base.clone() } else { place.to_owned() };
        let (people, groups) = (or_base(&self.people), or_base(&self.groups));
        for (what, place) in [("base", &self.base), ("people", &people), ("groups", &groups)] {
            if !dn::is_within(place, &self.base) || self.base.trim().is_empty() {
                return Err(format!("The directory's {what} {place:?} is not a distinguished name below its base, such as dc=example,dc=org."));
            }
        }
        if let Some(nobody) = self.placeholder.as_ref().filter(|nobody| dn::key(nobody).is_none_or(|key| key.is_empty())) {
            return Err(format!("The directory's placeholder {nobody:?} is not a distinguished name."));
        }
        let person = if self.person_filter.trim().is_empty() { self.dialect.person() } else { &self.person_filter };
        let mut attributes: BTreeMap<String, String> =
            self.dialect.attributes().iter().map(|(ours, theirs)| ((*ours).to_owned(), (*theirs).to_owned())).collect();
        for (ours, theirs) in &self.attributes {
            if theirs.trim().is_empty() {
                attributes.remove(ours);
            } else {
                attributes.insert(ours.clone(), theirs.trim().to_owned());
            }
        }
        if !attributes.contains_key("user_name") {
            return Err("The directory needs an attribute for user_name.".into());
        }
        Ok(Schema {
            dialect: self.dialect,
            base: self.base.clone(),
            people,
            groups,
            person: Filter::parse(person)?,
            kinds: if self.kinds.is_empty() { self.dialect.kinds() } else { self.kinds.clone() },
            group: if self.group_filter.trim().is_empty() { None } else { Some(Filter::parse(&self.group_filter)?) },
            attributes,
            placeholder: self.placeholder.clone(),
        })
    }
}

/// A connected server. Cloning shares connections.
#[derive(Clone, Debug)]
pub struct Ldap(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    pool: Arc<Pool>,
    schema: Schema,
    clock: Clock,
}

impl Ldap {
    /// Prepares the connection; nothing is sent yet.
    ///
    /// # Errors
    /// A sentence on the setting that is wrong.
    pub fn new(settings: &Settings, clock: Clock) -> Result<Self, String> {
        let pool = Arc::new(Pool::new(settings.way()?, settings.concurrency, settings.page_size));
        let schema = settings.schema()?;
        Ok(Self(Arc::new(Inner { pool, schema, clock })))
    }

    /// What to call it on a page.
    pub fn kind(&self) -> &'static str {
        match self.0.schema.dialect {
            Dialect::OpenLdap => "LDAP",
            Dialect::ActiveDirectory => "Active Directory",
        }
    }

    pub(super) fn schema(&self) -> &Schema {
        &self.0.schema
    }

    pub(super) fn pool(&self) -> &Arc<Pool> {
        &self.0.pool
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.0.clock
    }

    pub(super) async fn lease(&self) -> Result<Lease, ReadError> {
        self.0.pool.lease().await.map_err(unread)
    }

    /// See [`Directory::person`](crate::directory::port::Directory::person).
    pub async fn person(&self, reference: &str) -> Result<Option<PersonFacts>, ReadError> {
        usable(reference)?;
        let mut lease = self.lease().await?;
        let found = self.locate_person(&mut lease, reference, &self.schema().of_a_person(), true).await?;
        match found {
            Some(entry) => self.whole(&mut lease, &entry).await.map(Some),
            None => Ok(None),
        }
    }

    /// See [`Directory::find_person`](crate::directory::port::Directory::find_person).
    pub async fn find_person(&self, attribute: &str, value: &str) -> Result<Option<PersonFacts>, ReadError> {
        if value.trim().is_empty() || value.len() > 512 || value.chars().any(char::is_control) {
            return Ok(None);
        }
        let key = match attribute {
            "id" => return self.person(value).await,
            "userName" => "user_name",
            "emails" | "mail" => "email",
            other => other,
        };
        let Some(theirs) = self.schema().theirs(key) else {
            return Err(ReadError::Refused(format!("the settings name no attribute for {attribute}")));
        };
        let schema = self.schema();
        let filter = schema.person.and(Filter::is(theirs, value));
        let search = Search { base: &schema.people, scope: Scope::Subtree, filter: &filter, attributes: &schema.of_a_person(), deleted: false };
        let mut lease = self.lease().await?;
        let found = lease.all(&search, MOST_ALIKE).await?.ok_or_else(|| gone(&schema.people))?;
        // The server compares in its own way, and may ignore what it does not know: only what we see ourselves counts.
        let now = self.0.clock.now();
        let mut hits = Vec::new();
        for entry in &found {
            let facts = record::person(schema, entry, now)?;
            let same = |told: &str| told.eq_ignore_ascii_case(value) || told.to_lowercase() == value.to_lowercase();
            let hit = match key {
                "user_name" => same(&facts.user_name),
                "email" => facts.email.as_deref().is_some_and(same),
                "display_name" => facts.display_name == value,
                _ => facts.attributes.get(key).is_some_and(|all| all.iter().any(|told| told == value)),
            };
            if hit {
                hits.push(entry);
            }
        }
        match hits.as_slice() {
            [] => Ok(None),
            [one] => self.whole(&mut lease, one).await.map(Some),
            _ => Err(ReadError::Several { attribute: attribute.to_owned(), value: value.to_owned() }),
        }
    }

    /// See [`Directory::people`](crate::directory::port::Directory::people).
    pub async fn people(&self, cursor: Option<Cursor>) -> Result<Page<PersonFacts, Cursor>, ReadError> {
        let mut listing = match cursor {
            Some(cursor) => cursor.open::<Listing>()?,
            None => Listing::of_people(self).await?,
        };
        let schema = self.schema();
        let attributes = schema.of_a_person();
        let search = Search { base: &schema.people, scope: Scope::Subtree, filter: &schema.person, attributes: &attributes, deleted: false };
        let entries = listing.page(&search).await?.ok_or_else(|| gone(&schema.people))?;
        let now = self.0.clock.now();
        let mut items = Vec::with_capacity(entries.len());
        self.know(&entries, &mut listing.managers).await?;
        for entry in &entries {
            let mut facts = record::person(schema, entry, now)?;
            if listing.first_sight(&facts.reference) {
                facts.manager = entry.text("manager").and_then(|name| listing.managers.get(&dn::key(name)?).cloned().flatten());
                facts.groups = listing.groups_of(schema, entry);
                items.push(facts);
            }
        }
        Ok(Page { items, next: listing.rest().map(Cursor::of), total: None })
    }

    /// See [`Directory::groups`](crate::directory::port::Directory::groups).
    pub async fn groups(&self, cursor: Option<Cursor>) -> Result<Page<GroupListed, Cursor>, ReadError> {
        let mut listing = match cursor {
            Some(cursor) => cursor.open::<Listing>()?,
            None => Listing::of_groups(self).await?,
        };
        let schema = self.schema();
        let (filter, attributes) = (schema.group(), schema.of_a_group());
        let search = Search { base: &schema.groups, scope: Scope::Subtree, filter: &filter, attributes: &attributes, deleted: false };
        let entries = listing.page(&search).await?.ok_or_else(|| gone(&schema.groups))?;
        let mut items = Vec::with_capacity(entries.len());
        for entry in &entries {
            let group = record::group(schema, entry).ok_or_else(|| untold(schema.dialect.id()))?;
            if listing.first_sight(&group.reference) {
                items.push(group);
            }
        }
        Ok(Page { items, next: listing.rest().map(Cursor::of), total: None })
    }

    /// See [`Directory::find_group`](crate::directory::port::Directory::find_group).
    pub async fn find_group(&self, name: &str) -> Result<Option<GroupRef>, ReadError> {
        if name.trim().is_empty() || name.len() > 512 || name.chars().any(char::is_control) {
            return Ok(None);
        }
        let schema = self.schema();
        let (filter, attributes) = (schema.group().and(Filter::is("cn", name)), schema.of_a_group());
        let search = Search { base: &schema.groups, scope: Scope::Subtree, filter: &filter, attributes: &attributes, deleted: false };
        let found = self.lease().await?.all(&search, MOST_ALIKE).await?.ok_or_else(|| gone(&schema.groups))?;
        let listed = found.iter().map(|entry| record::group(schema, entry).ok_or_else(|| untold(schema.dialect.id())));
        let mut hits = Vec::new();
        for group in listed {
            let group = group?;
            if group.name == name {
                hits.push(GroupRef { reference: group.reference, name: group.name });
            }
        }
        match hits.len() {
            0 | 1 => Ok(hits.pop()),
            _ => Err(ReadError::Several { attribute: "group name".into(), value: name.to_owned() }),
        }
    }

    /// LDAP has no turns: a limit on calls at once does.
    pub fn pace(&self) -> Option<&Pace> {
        None
    }

    /// See [`Directory::headroom`](crate::directory::port::Directory::headroom). LDAP knows no such limit.
    pub fn headroom(&self) -> Option<Headroom> {
        None
    }

    /// A person's facts with manager and groups.
    async fn whole(&self, lease: &mut Lease, entry: &Entry) -> Result<PersonFacts, ReadError> {
        let mut facts = record::person(self.schema(), entry, self.0.clock.now())?;
        if let Some(name) = entry.text("manager") {
            let manager = lease.one(name, &Filter::anything(), &[self.schema().dialect.id()]).await?;
            facts.manager = manager.and_then(|manager| self.schema().reference(&manager));
        }
        facts.groups = self.groups_of(lease, entry).await?;
        Ok(facts)
    }

    /// Looks up the managers of a page of people, those that are not known yet, all at once.
    async fn know(&self, entries: &[Entry], known: &mut HashMap<String, Option<String>>) -> Result<(), ReadError> {
        let mut names: HashMap<String, String> = HashMap::new();
        for name in entries.iter().filter_map(|entry| entry.text("manager")) {
            if let Some(key) = dn::key(name).filter(|key| !known.contains_key(key)) {
                names.insert(key, name.to_owned());
            }
        }
        if names.is_empty() {
            return Ok(());
        }
        let all: Vec<&str> = names.values().map(String::as_str).collect();
        let found = self.resolve(&mut self.lease().await?, &all).await?;
        known.extend(names.into_keys().map(|key| {
            let reference = found.get(&key).map(|who| who.reference.clone());
            (key, reference)
        }));
        Ok(())
    }
}

/// A base that is not there must not look like an empty one.
pub(super) fn gone(base: &str) -> ReadError {
    ReadError::Malformed(format!("there is no {base} in it, or the service account may not see it"))
}

/// Whether a reference can be asked for at all.
pub(super) fn usable(reference: &str) -> Result<(), ReadError> {
    if reference.trim().is_empty() || reference.len() > 512 || reference.chars().any(char::is_control) {
        return Err(ReadError::Refused("an id is empty or holds characters that no id has".into()));
    }
    Ok(())
}
