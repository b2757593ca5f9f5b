//! A realm of Keycloak, through its Admin REST API.
//!
//! Traps that are checked here: a service account without view-users sees empty lists, not errors; groups lists hold the top level
//! only; a 404 may be the realm's or a proxy's; names of groups may hold slashes, so that two groups have one path. Lists and searches are
//! in [`keycloak_people`](crate::directory::keycloak_people) and [`keycloak_groups`](crate::directory::keycloak_groups), changes in
//! [`keycloak_change`](crate::directory::keycloak_change), what happened in [`keycloak_events`](crate::directory::keycloak_events).

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};

use chrono::{DateTime, Utc};
use reqwest::Method;
use serde_json::Value;

use crate::clock::Clock;
use crate::directory::facts::{PersonFacts, ReadError};
use crate::directory::http::{self, Answer, Call, Headroom, Http, encoded};
use crate::directory::keycloak_answer::{is_own_404, no_id, read, rows, unreached};
use crate::directory::keycloak_record::{self as record, Place, usable};
use crate::directory::pace::Pace;
use crate::directory::token::{Client, Credentials, Grant};

/// What reading people takes.
pub(super) const PEOPLE_ROLES: &str = "view-users and query-users";
/// What reading groups takes.
pub(super) const GROUPS_ROLES: &str = "view-users and query-groups";

/// A realm and how it is reached.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Keycloak's address, with its path where it has one: `https://sso.example.org`, `https://sso.example.org/auth`.
    pub base_url: String,
    /// The realm's name.
    pub realm: String,
    /// The confidential client whose service account acts.
    pub client: Client,
    /// Our words for attributes with the names of theirs; `manager` holds the manager's id, user name or address.
    pub attributes: BTreeMap<String, String>,
    /// Time-outs, limits and certificates; its address and credentials are not used.
    pub reach: http::Settings,
}

impl Settings {
    /// Usual limits for `realm` at `base_url`, attributes called as in the default configuration.
    pub fn new(base_url: &str, realm: &str, client: Client) -> Self {
        let usual = [
            ("department", "department"),
            ("title", "title"),
            ("employment_type", "employmentType"),
            ("manager", "manager"),
            ("cost_center", "costCenter"),
            ("division", "division"),
            ("organization", "organization"),
            ("employee_number", "employeeNumber"),
            ("location", "location"),
            ("country", "country"),
        ];
        let attributes = usual.into_iter().map(|(ours, theirs)| (ours.to_owned(), theirs.to_owned())).collect();
        Self { base_url: base_url.to_owned(), realm: realm.to_owned(), client, attributes, reach: http::Settings::with("", Credentials::Nothing) }
    }
}

/// Managers' names with whom they mean, and when that was found out.
pub(super) type Managers = HashMap<String, (Option<String>, DateTime<Utc>)>;

/// A connected realm. Cloning shares connections, the token and what was learned.
#[derive(Clone, Debug)]
pub struct Keycloak(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    http: Http,
    clock: Clock,
    attributes: BTreeMap<String, String>,
    /// Most questions about different people at the same time.
    at_once: usize,
    /// Managers' names and whom they mean.
    managers: Mutex<Managers>,
}

impl Keycloak {
    /// Prepares the connection; nothing is sent yet.
    ///
    /// # Errors
    /// A sentence on the setting that is wrong.
    pub fn new(settings: &Settings, clock: Clock) -> Result<Self, String> {
        let realm = settings.realm.as_str();
        if !usable(realm) || realm.contains('/') {
            return Err(format!("The realm {realm:?} is no name of a realm."));
        }
        let (base, realm) = (settings.base_url.trim_end_matches('/'), encoded(realm));
        let endpoint = format!("{base}/realms/{realm}/protocol/openid-connect/token");
        let grant = Grant { endpoint, client: settings.client.clone(), scope: String::new() };
        let reach = http::Settings { base: format!("{base}/admin/realms/{realm}"), credentials: Credentials::Granted(grant), ..settings.reach.clone() };
        Ok(Self(Arc::new(Inner {
            http: Http::new(&reach, clock.clone())?,
            clock,
            attributes: settings.attributes.clone(),
            at_once: reach.concurrency.clamp(1, 16),
            managers: Mutex::default(),
        })))
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// Our words for attributes with the names of theirs.
    pub(super) fn mapping(&self) -> &BTreeMap<String, String> {
        &self.0.attributes
    }

    /// Most questions about different people at the same time.
    pub(super) fn at_once(&self) -> usize {
        self.0.at_once
    }

    /// Managers' names and whom they mean.
    pub(super) fn managers(&self) -> MutexGuard<'_, Managers> {
        self.0.managers.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    pub(super) async fn send(&self, method: Method, path: &str) -> Result<Answer, http::Failure> {
        self.0.http.call(Call { method: &method, to: path, body: None, headers: &[] }).await
    }

    pub(super) async fn ask(&self, path: &str) -> Result<Answer, ReadError> {
        self.send(Method::GET, path).await.map_err(unreached)
    }

    /// The turns in which it is called.
    pub fn pace(&self) -> Option<&Pace> {
        Some(self.0.http.pace())
    }

    /// See [`Directory::headroom`](crate::directory::port::Directory::headroom). Keycloak has no limit of its own.
    pub fn headroom(&self) -> Option<Headroom> {
        self.0.http.headroom()
    }

    /// See [`Directory::person`](crate::directory::port::Directory::person).
    pub async fn person(&self, reference: &str) -> Result<Option<PersonFacts>, ReadError> {
        let (found, direct) = tokio::join!(self.user(reference), self.direct_groups(reference));
        let Some(found) = found? else { return Ok(None) };
        // Somebody whose groups are not found has not left.
        let direct = direct?.ok_or_else(|| ReadError::Unreachable("it knows the person, and not their groups yet".into()))?;
        let (mut facts, manager) = record::person(&found, self.mapping()).ok_or_else(no_id)?;
        facts.groups = self.with_inherited(direct, &mut HashMap::new()).await?;
        facts.manager = match manager {
            Some(named) => self.named(&named).await?,
            None => None,
        };
        Ok(Some(facts))
    }

    pub(super) async fn count(&self, path: &str, needed: &str) -> Result<u64, ReadError> {
        let told = read(&self.ask(path).await?, needed)?;
        told.as_u64().or_else(|| told.get("count")?.as_u64()).ok_or_else(|| ReadError::Malformed("a count is no number".into()))
    }

    /// See [`Directory::is_member`](crate::directory::port::Directory::is_member).
    pub async fn is_member(&self, group: &str, person: &str) -> Result<bool, ReadError> {
        let direct = self.direct_groups(person).await?.unwrap_or_default();
        Ok(direct.iter().any(|place| place.group.reference == group))
    }

    /// The groups that list the person; `None` when there is no such person. All at once: Keycloak sends them all when not asked for
    /// a page.
    pub(super) async fn direct_groups(&self, person: &str) -> Result<Option<Vec<Place>>, ReadError> {
        asked_for(person)?;
        let answer = self.ask(&format!("/users/{}/groups?briefRepresentation=true", encoded(person))).await?;
        if answer.status == 404 {
            self.believe_404(&answer, "/users/count", PEOPLE_ROLES).await?;
            return Ok(None);
        }
        rows(&answer, PEOPLE_ROLES)?.iter().map(|row| record::place(row).ok_or_else(no_id)).collect::<Result<_, _>>().map(Some)
    }

    /// A user's record; `None` only when Keycloak itself says that the realm has none.
    pub(super) async fn user(&self, reference: &str) -> Result<Option<Value>, ReadError> {
        self.one(&format!("/users/{}", encoded(reference)), reference, "/users/count", PEOPLE_ROLES).await
    }

    /// A group's record; `None` only when Keycloak itself says that the realm has none.
    pub(super) async fn group_record(&self, reference: &str) -> Result<Option<Value>, ReadError> {
        self.one(&format!("/groups/{}", encoded(reference)), reference, "/groups/count", GROUPS_ROLES).await
    }

    async fn one(&self, path: &str, reference: &str, beside: &str, needed: &str) -> Result<Option<Value>, ReadError> {
        asked_for(reference)?;
        let answer = self.ask(path).await?;
        if answer.status == 404 {
            self.believe_404(&answer, beside, needed).await?;
            return Ok(None);
        }
        let found = read(&answer, needed)?;
        if record::id(&found) != Some(reference) {
            return Err(ReadError::Malformed("it sent another record than the one asked for".into()));
        }
        Ok(Some(found))
    }

    /// A proxy's 404, or one for the whole realm, must not look like somebody who left: something that must be there is asked for
    /// beside it.
    pub(super) async fn believe_404(&self, answer: &Answer, beside: &str, needed: &str) -> Result<(), ReadError> {
        if !is_own_404(answer) {
            return Err(ReadError::Malformed("it answered 404 in a way Keycloak does not; is its address right?".into()));
        }
        self.count(beside, needed).await.map(|_| ())
    }
}

fn asked_for(id: &str) -> Result<(), ReadError> {
    if usable(id) { Ok(()) } else { Err(ReadError::Refused("the id is empty or not an id".into())) }
}
