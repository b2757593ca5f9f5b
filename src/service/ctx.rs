//! What every verb needs at hand.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::{Arc, Mutex};

use chrono::Duration;
use tokio::sync::Notify;
use uuid::Uuid;

use crate::clock::Clock;
use crate::directory::port::Directory;
use crate::domain::event::{Actor, Channel};
use crate::domain::id::{PersonId, TokenId};
use crate::domain::secret::Secret;
use crate::store::db::Db;
use crate::store::policy::Policies;
use crate::store::separation::Separations;

use super::again::Progress;
use super::erase::Retention;
use super::error::ServiceError;
use super::recent::Recent;
use super::schedule::places::Places;
use super::seal::Sealer;
use super::witness::Witnesses;

/// How provisioning behaves.
#[derive(Clone, Debug)]
pub struct Provisioning {
    /// A removal is read back once more this long after.
    pub verify_again: Duration,
    /// How often the groups are compared with the leases.
    pub sweep_every: Duration,
    /// How often people are read whole.
    pub sync_every: Duration,
    /// The same for single directories, by key.
    pub sync_every_of: BTreeMap<String, Duration>,
    /// How often a directory is asked what changed, where it can tell.
    pub changes_every: Duration,
    /// The same for single directories, by key.
    pub changes_every_of: BTreeMap<String, Duration>,
    /// Within how many hours everything of who left must have ended.
    pub leaver_sla_hours: i32,
    /// A grant that could not be delivered for so long is given up; a revocation never is.
    pub give_up: Duration,
}

impl Default for Provisioning {
    fn default() -> Self {
        Self {
            verify_again: Duration::seconds(30),
            sweep_every: Duration::minutes(5),
            sync_every: Duration::minutes(5),
            sync_every_of: BTreeMap::new(),
            changes_every: Duration::minutes(1),
            changes_every_of: BTreeMap::new(),
            leaver_sla_hours: 24,
            give_up: Duration::hours(24),
        }
    }
}

impl Provisioning {
    /// How often the people of `directory` are read whole.
    pub fn sync_every(&self, directory: &str) -> Duration {
        self.sync_every_of.get(directory).copied().unwrap_or(self.sync_every)
    }

    /// How often `directory` is asked what changed.
    pub fn changes_every(&self, directory: &str) -> Duration {
        self.changes_every_of.get(directory).copied().unwrap_or(self.changes_every)
    }
}

/// The directories by key. One of them is home: people sign in with it, and a catalog file means it where it names none.
#[derive(Clone, Debug, Default)]
pub struct Directories {
    all: BTreeMap<String, Directory>,
    home: String,
}

impl Directories {
    /// `all`, with `home` for home.
    pub fn new(all: BTreeMap<String, Directory>, home: &str) -> Self {
        Self { all, home: home.to_owned() }
    }

    /// The home directory and its key.
    ///
    /// # Errors
    /// [`ServiceError::Unavailable`] when none is connected.
    pub fn home(&self) -> Result<(&str, &Directory), ServiceError> {
        let home = self.all.get_key_value(&self.home).map(|(key, directory)| (key.as_str(), directory));
        home.ok_or_else(|| ServiceError::Unavailable("No directory is connected where people are found. Connect one first.".into()))
    }
}

impl From<BTreeMap<String, Directory>> for Directories {
    /// Home is the one called `main`, else the first.
    fn from(all: BTreeMap<String, Directory>) -> Self {
        let home = all.keys().find(|key| *key == "main").or(all.keys().next()).cloned().unwrap_or_default();
        Self { all, home }
    }
}

impl<const N: usize> From<[(String, Directory); N]> for Directories {
    fn from(all: [(String, Directory); N]) -> Self {
        BTreeMap::from(all).into()
    }
}

impl Deref for Directories {
    type Target = BTreeMap<String, Directory>;

    fn deref(&self) -> &Self::Target {
        &self.all
    }
}

/// Who of one directory is administrator and who auditor: groups of it, by reference or name; empty is nobody.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// Members are administrators.
    pub administrators_group: String,
    /// Members are auditors.
    pub auditors_group: String,
}

/// How rules are changed, and what-ifs under way in this process. Cloning shares them.
#[derive(Clone, Debug, Default)]
pub struct Changing {
    /// Whether another administrator must approve a change.
    pub require_second_person: bool,
    /// How far the what-if of each proposed change is.
    pub runs: Arc<Mutex<BTreeMap<Uuid, Progress>>>,
}

/// How a directory calls us when somebody changes.
#[derive(Clone, Debug)]
pub struct Hook {
    /// What its calls look like.
    pub kind: HookKind,
    /// What it proves itself by.
    pub secret: Secret,
    /// Where it calls, where we have it call: an address that others can reach.
    pub address: Option<String>,
}

/// What the calls of a directory look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HookKind {
    /// A few names in JSON, under a bearer token or a signature.
    Plain,
    /// An Okta event hook.
    Okta,
    /// A change notification of Microsoft Graph.
    Entra,
}

/// The pieces every verb works with. Cloning shares them.
#[derive(Clone)]
pub struct Ctx {
    /// The database, as the application's role.
    pub db: Db,
    /// Immutable policy versions, read once.
    pub policies: Policies,
    /// Immutable versions of separation rules, read once.
    pub separation: Separations,
    /// The directories by key.
    pub directories: Arc<Directories>,
    /// The one clock.
    pub clock: Clock,
    /// How provisioning behaves.
    pub provisioning: Arc<Provisioning>,
    /// Who is administrator and auditor, by directory.
    pub access: Arc<BTreeMap<String, Access>>,
    /// How rules are changed.
    pub changing: Changing,
    /// Wakes the worker of this process.
    pub wake: Arc<Notify>,
    /// Seals and signs the log; none where there is no key.
    pub sealer: Option<Sealer>,
    /// Who is handed checkpoints.
    pub witnesses: Arc<Witnesses>,
    /// Where schedules may send evidence.
    pub places: Arc<Places>,
    /// How long personal data is kept.
    pub retention: Retention,
    /// What lists remember for some seconds.
    pub recent: Recent,
    /// How directories tell us of changes, by key.
    pub hooks: Arc<BTreeMap<String, Hook>>,
}

/// Who acts, through which door, with which rights. Made afresh for each request; never kept.
#[derive(Clone, Debug)]
pub struct By {
    /// Who.
    pub person: PersonId,
    /// Their name now.
    pub name: String,
    /// With a token rather than a browser.
    pub token: Option<TokenId>,
    /// The door.
    pub channel: Channel,
    /// A member of the administrators' group.
    pub is_administrator: bool,
    /// A member of the auditors' group.
    pub is_auditor: bool,
}

impl By {
    /// As the log names them.
    pub fn actor(&self) -> Actor {
        match self.token {
            // What the service does by itself for somebody is not their act.
            _ if self.channel == Channel::System => Actor::System,
            Some(token) => Actor::Token { id: self.person, name: self.name.clone(), token },
            None => Actor::Person { id: self.person, name: self.name.clone() },
        }
    }

    /// The service itself, doing something for `person`, whose name is `name`: with none of anybody's rights.
    pub fn system_for(person: PersonId, name: &str) -> Self {
        Self { person, name: name.to_owned(), token: None, channel: Channel::System, is_administrator: false, is_auditor: false }
    }

    /// May read everything: auditors and administrators.
    pub fn reads_everything(&self) -> bool {
        self.is_administrator || self.is_auditor
    }
}
