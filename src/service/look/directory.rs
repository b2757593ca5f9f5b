//! What the Directory page shows.

use chrono::{DateTime, Duration, Utc};
use uuid::Uuid;

use crate::directory::port::Directory as Port;
use crate::domain::event::Fact;
use crate::service::ctx::{By, Ctx};
use crate::service::error::ServiceError;
use crate::store::directory_sync;
use crate::store::doctor::{self, Entry};
use crate::store::look_directory;
use crate::store::look_log::{self, Lanes, LogRow, Narrow, Turn};

use super::shared::{Cursor, Listing};

/// How many rows a list has.
const PAGE: usize = 25;
/// A reading that is due for longer has been forgotten.
const LATE: Duration = Duration::minutes(2);

/// The directories and how reading them goes.
#[derive(Clone, Debug)]
pub struct Directories {
    /// By key.
    pub directories: Vec<Directory>,
    /// Open differences between groups and leases, newest first.
    pub drifts: Listing<DriftRow>,
    /// Readings that found something new, newest first.
    pub readings: Listing<ReadingRow>,
}

/// A directory and how reading it goes.
#[derive(Clone, Debug)]
pub struct Directory {
    /// Its key.
    pub key: String,
    /// How it is spoken to (`SCIM 2.0`).
    pub kind: &'static str,
    /// `ok`, `slow`, `failing` or `unknown`.
    pub state: &'static str,
    /// In a sentence.
    pub sentence: String,
    /// Reading everybody.
    pub people_read: Run,
    /// Asking what changed since.
    pub changes_followed: Run,
    /// Comparing every group with the leases.
    pub groups_compared: Run,
    /// People known and not gone.
    pub people: i64,
    /// Of them active.
    pub active: i64,
    /// People that the directory no longer has.
    pub gone: i64,
    /// Groups that give a role.
    pub groups: i64,
    /// Groups seen in it.
    pub known_groups: i64,
    /// People who wait to be asked about.
    pub waiting: i64,
    /// Why the last full reading is not believed.
    pub doubt: Option<String>,
}

impl Directory {
    /// What is done to it, in words, and how that goes.
    pub fn runs(&self) -> [(&'static str, &Run); 3] {
        [("Everybody read", &self.people_read), ("Changes followed", &self.changes_followed), ("Groups compared", &self.groups_compared)]
    }
}

/// How something periodic goes.
#[derive(Clone, Debug, Default)]
pub struct Run {
    /// When it last went well.
    pub last_ok_at: Option<DateTime<Utc>>,
    /// What it found then.
    pub found: Option<String>,
    /// What went wrong the last time, if it did.
    pub error: Option<String>,
    /// When it is due.
    pub next_at: Option<DateTime<Utc>>,
    /// It is under way.
    pub running: bool,
}

/// One difference.
#[derive(Clone, Debug)]
pub struct DriftRow {
    /// Its id.
    pub id: Uuid,
    /// `unexpected_member`, `missing_member` or `unknown_target`.
    pub kind: String,
    /// Since when it is known.
    pub since: DateTime<Utc>,
    /// Whose membership; nobody's when the group itself is missing.
    pub person: Option<String>,
    /// Of which group.
    pub group: String,
    /// Of which directory.
    pub directory: String,
    /// The role that the group gives: its id and name.
    pub role: Option<(Uuid, String)>,
}

/// One reading of a directory.
#[derive(Clone, Debug)]
pub struct ReadingRow {
    /// When it ended.
    pub at: DateTime<Utc>,
    /// `done` or `failed`.
    pub result: &'static str,
    /// What it found, or what went wrong, as a sentence.
    pub sentence: String,
}

/// The directories, for auditors and administrators. `after` goes on in the differences, `before` in the readings.
///
/// # Errors
/// [`ServiceError::Missing`] for anybody else, and for a cursor that is none of ours.
pub async fn directories(ctx: &Ctx, by: &By, after: Option<&Cursor>, before: Option<&Cursor>) -> Result<Directories, ServiceError> {
    if !by.reads_everything() {
        return Err(ServiceError::Missing);
    }
    let now = ctx.clock.now();
    let after = after.map(Cursor::id).transpose()?;
    let turn = match before {
        Some(cursor) => Turn::Before(cursor.0.parse().map_err(|_| ServiceError::Missing)?),
        None => Turn::Newest,
    };
    let kinds = vec!["directory.synced".to_owned(), "directory.failed".to_owned()];
    let narrow = Narrow { kinds: Some(kinds.clone()), ..Narrow::default() };
    let lanes = [Lanes { kinds, ..Lanes::default() }];
    let (syncs, timetable, drifts, readings) = tokio::try_join!(
        directory_sync::all(&ctx.db),
        doctor::timetable(&ctx.db, now),
        look_directory::drifts(&ctx.db, after, PAGE as i64 + 1),
        look_log::page(&ctx.db, &lanes, &narrow, turn, PAGE as i64),
    )?;
    let mut directories = Vec::new();
    for (key, port) in ctx.directories.iter() {
        let counts = look_directory::counts(&ctx.db, key).await?;
        let (people_read, groups_compared) = (run(&timetable, "sync", key), run(&timetable, "sweep", key));
        let (state, sentence) = health(&people_read, &groups_compared, now);
        let kind = match port {
            Port::Entra(_) => "Microsoft Entra ID",
            Port::Google(_) => "Google Workspace",
            Port::Scim(_) => "SCIM 2.0",
            Port::Okta(_) => "Okta",
            Port::Keycloak(_) => "Keycloak",
            Port::Ldap(ldap) => ldap.kind(),
        };
        directories.push(Directory {
            key: key.clone(),
            kind,
            state,
            sentence,
            people_read,
            changes_followed: run(&timetable, "changes", key),
            groups_compared,
            known_groups: counts.known_groups,
            waiting: counts.waiting,
            doubt: syncs
                .iter()
                .find(|sync| sync.directory == *key && sync.outcome.as_deref() == Some("shrunk") && !sync.believe)
                .and_then(|sync| sync.detail.clone()),
            people: counts.people,
            active: counts.active,
            gone: counts.gone,
            groups: counts.groups,
        });
    }
    let drifts = Listing::cut(drifts, PAGE, |drift| drift.id);
    Ok(Directories {
        directories,
        drifts: Listing { rows: drifts.rows.into_iter().map(drift).collect(), next: drifts.next },
        readings: Listing { rows: readings.rows.into_iter().map(reading).collect(), next: readings.older.map(|id| Cursor(id.to_string())) },
    })
}

/// The entry of the timetable, as a run.
pub fn run(timetable: &[Entry], what: &str, directory: &str) -> Run {
    let name = format!("{what}:{directory}");
    timetable.iter().find(|entry| entry.name == name).map_or_else(Run::default, |entry| Run {
        last_ok_at: entry.last_ok_at,
        found: entry.detail.clone(),
        error: entry.last_error.clone(),
        next_at: Some(entry.next_at),
        running: entry.running,
    })
}

/// How a directory is, by its runs: a state and a sentence.
pub fn health(people_read: &Run, groups_compared: &Run, now: DateTime<Utc>) -> (&'static str, String) {
    let runs = [(people_read, "Reading everybody"), (groups_compared, "Comparing the groups")];
    if let Some((run, what)) = runs.iter().find(|(run, _)| run.error.is_some()) {
        return ("failing", format!("{what} failed: {}", run.error.clone().unwrap_or_default()));
    }
    if people_read.last_ok_at.is_none() {
        return ("unknown", "It has not been read yet. Until it has been, nobody can sign in or ask.".into());
    }
    if let Some((_, what)) = runs.iter().find(|(run, _)| !run.running && run.next_at.is_some_and(|at| at < now - LATE)) {
        return ("slow", format!("{what} is overdue: is a worker running?"));
    }
    ("ok", "It answers, and everything in it was read when it was due.".into())
}

fn drift(row: look_directory::DriftListed) -> DriftRow {
    DriftRow {
        id: row.id,
        kind: row.kind,
        since: row.detected_at,
        person: Some(row.person).filter(|name| !name.is_empty()),
        group: row.group_name,
        directory: row.directory,
        role: row.role_id.zip(row.role),
    }
}

fn reading(row: LogRow) -> ReadingRow {
    let fact = serde_json::from_value::<Fact>(serde_json::json!({ "kind": row.kind, "data": row.data }));
    ReadingRow {
        at: row.occurred_at,
        result: if row.kind == "directory.failed" { "failed" } else { "done" },
        sentence: fact.map_or_else(|_| row.kind, |fact| super::steps::capital(&fact.story())),
    }
}
