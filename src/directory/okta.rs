//! Okta: one person, one membership, asked by id.
//!
//! Okta takes a login, and even the part of it before the `@`, where an id belongs: whatever it answers is compared with what was
//! asked for. Lists are in [`okta_list`](crate::directory::okta_list), changes of memberships in
//! [`okta_change`](crate::directory::okta_change), what changed meanwhile in [`okta_since`](crate::directory::okta_since).

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::{Method, Url};
use serde_json::{Map, Value};

use crate::clock::Clock;
use crate::directory::facts::{PersonFacts, ReadError};
use crate::directory::http::{self, Answer, Call, Headroom, Http, encoded};
use crate::directory::okta_answer::{checked, is_missing, no_id, quoted, rows};
use crate::directory::okta_record::{self as record, Mapping, Rules};
use crate::directory::outcome::unasked;
use crate::directory::pace::Pace;
use crate::directory::scim_record;
use crate::directory::token::{Client, Credentials, Grant, SigningKey};
use crate::domain::person::GroupRef;
use crate::domain::secret::Secret;

/// The scope that reading people takes.
pub const READ_PEOPLE: &str = "okta.users.read";
/// The scope that reading groups and group rules takes.
pub const READ_GROUPS: &str = "okta.groups.read";
/// The scope that changing memberships takes.
pub const CHANGE_GROUPS: &str = "okta.groups.manage";

/// Where our attributes are in Okta's default profile.
pub const ATTRIBUTES: [(&str, &str); 10] = [
    ("department", "department"),
    ("title", "title"),
    ("employment_type", "userType"),
    ("manager", "managerId"),
    ("cost_center", "costCenter"),
    ("division", "division"),
    ("organization", "organization"),
    ("employee_number", "employeeNumber"),
    ("location", "city"),
    ("country", "countryCode"),
];
/// The statuses of people who work here: those of an expired password or a lock-out are no reason to take their access away.
pub const ACTIVE: [&str; 4] = ["ACTIVE", "PASSWORD_EXPIRED", "RECOVERY", "LOCKED_OUT"];

/// What the profile holds as a person's manager.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ManagerIs {
    /// The manager's Okta id.
    #[default]
    Id,
    /// The manager's login.
    Login,
    /// The manager's employee number.
    EmployeeNumber,
}

/// How to reach an organisation, and what its words mean.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Address, credentials and limits.
    pub http: http::Settings,
    /// Our names of attributes, and where they are in the profile; `manager` among them. [`ATTRIBUTES`] by default.
    pub attributes: BTreeMap<String, String>,
    /// What the profile holds as a person's manager.
    pub manager_is: ManagerIs,
    /// The statuses of people who work here. [`ACTIVE`] by default.
    pub active: BTreeSet<String>,
    /// The longest wait that a listing sits out when Okta asks for one; longer, and it ends as failed.
    pub patience: Duration,
}

impl Settings {
    fn with(base: &str, credentials: Credentials) -> Self {
        Self {
            http: http::Settings { concurrency: 8, ..http::Settings::with(base.trim_end_matches('/'), credentials) },
            attributes: ATTRIBUTES.into_iter().map(|(ours, theirs)| (ours.to_owned(), theirs.to_owned())).collect(),
            manager_is: ManagerIs::default(),
            active: ACTIVE.into_iter().map(str::to_owned).collect(),
            patience: Duration::from_secs(65),
        }
    }

    /// Usual settings for the organisation at `base` (`https://ORG.okta.com`) with an administrator's API token (SSWS).
    pub fn with_token(base: &str, token: Secret) -> Self {
        Self::with(base, Credentials::Scheme("SSWS", token))
    }

    /// Usual settings for the organisation at `base` with a service app's private key (PEM). `key_id` is the key's `kid` in the app.
    ///
    /// # Errors
    /// A sentence on the key that cannot be used.
    pub fn for_app(base: &str, client_id: &str, private_key: &Secret, key_id: Option<&str>, scopes: &[String]) -> Result<Self, String> {
        let names: Map<String, Value> = key_id.map(|id| ("kid".to_owned(), id.into())).into_iter().collect();
        let key = SigningKey::from_pem(private_key.reveal(), names)?;
        // The organisation's own authorization server; a custom one has no okta.* scopes.
        let endpoint = format!("{}/oauth2/v1/token", base.trim_end_matches('/'));
        let client = Client::PrivateKeyJwt { id: client_id.to_owned(), audience: endpoint.clone(), key };
        Ok(Self::with(base, Credentials::Granted(Grant { endpoint, client, scope: scopes.join(" ") })))
    }
}

/// A connected Okta organisation. Cloning shares connections and what was learned.
#[derive(Clone, Debug)]
pub struct Okta(pub(super) Arc<Inner>);

/// What was learned, and when.
#[derive(Debug)]
pub(super) struct Learned<T> {
    /// `None`: that there is nothing to know.
    pub(super) what: Option<T>,
    pub(super) at: DateTime<Utc>,
}

/// What all clones share.
#[derive(Debug)]
pub(super) struct Inner {
    pub(super) http: Http,
    pub(super) clock: Clock,
    pub(super) settings: http::Settings,
    pub(super) mapping: Mapping,
    pub(super) manager_is: ManagerIs,
    pub(super) patience: Duration,
    /// Logins or employee numbers of managers, and whose they are.
    pub(super) managers: Mutex<HashMap<String, Learned<String>>>,
    /// Group rules at work; nothing to know when they may not be read.
    pub(super) rules: tokio::sync::Mutex<Option<Learned<Arc<Rules>>>>,
    /// Groups seen to be of a type whose members can be changed; a type never changes.
    pub(super) changeable: Mutex<HashSet<String>>,
}

impl Okta {
    /// Prepares the connection; nothing is sent yet.
    ///
    /// # Errors
    /// A sentence on the setting that is wrong.
    pub fn new(settings: &Settings, clock: Clock) -> Result<Self, String> {
        let host = Url::parse(&settings.http.base).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default();
        if let Some((org, domain @ ("okta.com" | "oktapreview.com" | "okta-emea.com"))) = host.split_once("-admin.") {
            return Err(format!("The directory's address is that of the Admin Console; the organisation's own is https://{org}.{domain}."));
        }
        Ok(Self(Arc::new(Inner {
            http: Http::new(&settings.http, clock.clone())?,
            clock,
            settings: settings.http.clone(),
            mapping: Mapping { attributes: settings.attributes.clone(), active: settings.active.clone() },
            manager_is: settings.manager_is,
            patience: settings.patience,
            managers: Mutex::default(),
            rules: tokio::sync::Mutex::default(),
            changeable: Mutex::default(),
        })))
    }

    /// Asks; `None` when Okta says that there is no such thing.
    pub(super) async fn ask(&self, to: &str, needs: &str) -> Result<Option<Answer>, ReadError> {
        let answer = self.0.http.call(Call { method: &Method::GET, to, body: None, headers: &[] }).await.map_err(unasked)?;
        if is_missing(&answer) { Ok(None) } else { checked(answer, needs).map(Some) }
    }

    /// The record of the person with this id and no other; `None` when there is nobody with it.
    pub(super) async fn user(&self, reference: &str) -> Result<Option<Value>, ReadError> {
        if !scim_record::usable(reference) {
            return Err(ReadError::Refused("the id is empty or not an id".into()));
        }
        if !record::usable(reference) {
            return Ok(None);
        }
        let Some(answer) = self.ask(&format!("/api/v1/users/{}", encoded(reference)), READ_PEOPLE).await? else { return Ok(None) };
        let found = answer.json().ok_or_else(|| ReadError::Malformed("it is not JSON".into()))?;
        let id = record::id(&found).ok_or_else(no_id)?;
        // Somebody whose login it is, is not the person with this id.
        Ok((id == reference).then_some(found))
    }

    /// The groups of the person with this id; `None` when there is nobody with it. Whoever asks compares the person's id too.
    pub(super) async fn groups_of(&self, reference: &str) -> Result<Option<Vec<GroupRef>>, ReadError> {
        if !record::usable(reference) {
            return Ok(None);
        }
        let Some(found) = self.all(&format!("/api/v1/users/{}/groups", encoded(reference)), READ_PEOPLE, Duration::ZERO).await? else { return Ok(None) };
        found.iter().map(|row| record::group_name(row).ok_or_else(no_id)).collect::<Result<_, _>>().map(Some)
    }

    /// See [`Directory::person`](crate::directory::port::Directory::person). Two calls at once.
    pub async fn person(&self, reference: &str) -> Result<Option<PersonFacts>, ReadError> {
        let (user, groups) = tokio::join!(self.user(reference), self.groups_of(reference));
        let Some(user) = user? else { return Ok(None) };
        // Somebody whose groups are not found has not left.
        let groups = groups?.ok_or_else(|| ReadError::Unreachable("it knows the person, and not their groups yet".into()))?;
        let (mut facts, manager) = self.0.mapping.person(&user).ok_or_else(no_id)?;
        facts.manager = self.manager(manager).await?;
        facts.groups = groups;
        Ok(Some(facts))
    }

    /// See [`Directory::find_person`](crate::directory::port::Directory::find_person).
    pub async fn find_person(&self, attribute: &str, value: &str) -> Result<Option<PersonFacts>, ReadError> {
        if value.trim().is_empty() || value.len() > 512 || value.chars().any(char::is_control) {
            return Ok(None);
        }
        let key = match attribute {
            "userName" | "login" => "user_name",
            "emails" | "mail" => "email",
            "employeeNumber" => "employee_number",
            other => other,
        };
        let candidates = match key {
            "id" => return self.person(value).await,
            "user_name" => return self.by_login(value).await,
            // A search compares without case, a filter does not; a filter knows the last second, a search may not.
            "email" => {
                let mut found = self.users("filter", &format!("profile.email eq {}", quoted(value))).await?;
                found.extend(self.users("search", &format!("profile.email eq {}", quoted(value))).await?);
                found
            }
            _ => match self.0.mapping.attributes.get(key).filter(|theirs| theirs.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')) {
                Some(theirs) => self.users("search", &format!("profile.{theirs} eq {}", quoted(value))).await?,
                None => return Ok(None),
            },
        };
        let candidates: BTreeSet<String> = candidates.iter().filter_map(record::id).map(str::to_owned).collect();
        if candidates.len() > 50 {
            return Err(ReadError::Several { attribute: attribute.to_owned(), value: value.to_owned() });
        }
        // What a search finds may be old: the person as they are now decides.
        let mut hits = Vec::new();
        for reference in candidates {
            let hit = self.person(&reference).await?.filter(|facts| match key {
                "email" => facts.email.as_ref().is_some_and(|email| email.eq_ignore_ascii_case(value)),
                _ => facts.attributes.get(key).is_some_and(|all| all.iter().any(|one| one == value)),
            });
            hits.extend(hit);
        }
        match hits.len() {
            0 | 1 => Ok(hits.pop()),
            _ => Err(ReadError::Several { attribute: attribute.to_owned(), value: value.to_owned() }),
        }
    }

    /// The one person with this login, compared without case.
    async fn by_login(&self, login: &str) -> Result<Option<PersonFacts>, ReadError> {
        match self.id_of_login(login).await? {
            Some(reference) => Ok(self.person(&reference).await?.filter(|facts| facts.user_name.eq_ignore_ascii_case(login))),
            None => Ok(None),
        }
    }

    pub(super) async fn id_of_login(&self, login: &str) -> Result<Option<String>, ReadError> {
        let hit = |row: &Value| row.pointer("/profile/login").and_then(Value::as_str).is_some_and(|found| found.eq_ignore_ascii_case(login));
        // A login with a slash cannot be asked for by path, and one that is somebody's id or short name finds somebody else.
        if !login.contains('/')
            && scim_record::usable(login)
            && let Some(answer) = self.ask(&format!("/api/v1/users/{}", encoded(login)), READ_PEOPLE).await?
            && let Some(found) = answer.json().filter(hit)
        {
            return Ok(record::id(&found).map(str::to_owned));
        }
        let found = self.users("search", &format!("profile.login eq {}", quoted(login))).await?;
        let hits: BTreeSet<&str> = found.iter().filter(|row| hit(row)).filter_map(record::id).collect();
        match hits.len() {
            0 | 1 => Ok(hits.first().map(|id| (*id).to_owned())),
            _ => Err(ReadError::Several { attribute: "user_name".into(), value: login.to_owned() }),
        }
    }

    /// One page of people for a filter or a search: enough for "one, none or several".
    pub(super) async fn users(&self, how: &str, expression: &str) -> Result<Vec<Value>, ReadError> {
        let to = format!("/api/v1/users?limit=200&{how}={}", encoded(expression));
        let answer = self.ask(&to, READ_PEOPLE).await?.ok_or_else(|| ReadError::Malformed("it knows no list of people; is its address right?".into()))?;
        rows(&answer)
    }

    /// See [`Directory::is_member`](crate::directory::port::Directory::is_member). Reads the person's own groups, which Okta answers
    /// from where it writes; groups are never nested.
    pub async fn is_member(&self, group: &str, person: &str) -> Result<bool, ReadError> {
        if !scim_record::usable(group) {
            return Err(ReadError::Refused("the id is empty or not an id".into()));
        }
        let (user, groups) = tokio::join!(self.user(person), self.groups_of(person));
        let (Some(_), Some(groups)) = (user?, groups?) else { return Ok(false) };
        Ok(groups.iter().any(|found| found.reference == group))
    }

    /// The turns in which it is called.
    pub fn pace(&self) -> Option<&Pace> {
        Some(self.0.http.pace())
    }

    /// See [`Directory::headroom`](crate::directory::port::Directory::headroom).
    pub fn headroom(&self) -> Option<Headroom> {
        // A limit of 0 is said of one on calls at once.
        self.0.http.headroom().filter(|headroom| headroom.limit > 0)
    }
}
