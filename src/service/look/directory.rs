//! What the pages of directories show.

use chrono::{DateTime, Duration, Utc};

use crate::directory::http::Headroom;
use crate::directory::port::Directory as Port;
use crate::domain::event::Fact;
use crate::service::ctx::{By, Ctx};
use crate::service::error::ServiceError;
use crate::service::pause::{self, PauseRow};
use crate::store::directory_sync;
use crate::store::doctor::{self, Entry};
use crate::store::look_attempt::{self, Queue};
use crate::store::look_directory;
use crate::store::look_log::{self, Lanes, LogRow, Narrow, Turn};

// For the floor above, which does not know the store.
pub use crate::store::look_attempt::AttemptListed;

use super::super::alone;
use super::shared::{Cursor, Listing};

/// How many rows a list has.
const PAGE: usize = 25;
/// A reading that is due for longer has been forgotten; a removal that is owed for longer is late.
const LATE: Duration = Duration::minutes(2);
/// How many kinds of errors are shown.
const TROUBLES: i64 = 5;

/// A directory and how it goes.
#[derive(Clone, Debug)]
pub struct Directory {
    /// Its key.
    pub key: String,
    /// How it is spoken to (`SCIM 2.0`).
    pub kind: &'static str,
    /// `ok`, `slow`, `failing`, `paused` or `unknown`.
    pub state: &'static str,
    /// In a sentence.
    pub sentence: String,
    /// Reading everybody.
    pub people_read: Run,
    /// Asking what changed since, where the directory can tell.
    pub changes_followed: Run,
    /// Comparing every group with the leases.
    pub groups_compared: Run,
    /// Listing the groups, to choose from.
    pub groups_listed: Run,
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
    /// Memberships to be added.
    pub adds: i64,
    /// Memberships to be removed.
    pub removals: i64,
    /// Removals that are owed for more than 2 minutes.
    pub late: i64,
    /// Memberships that failed the last time.
    pub failing: i64,
    /// Since when the oldest is owed.
    pub oldest: Option<DateTime<Utc>>,
    /// Who holds it back, if somebody does.
    pub pause: Option<PauseRow>,
}

impl Directory {
    /// What is done to it, in words, and how that goes.
    pub fn runs(&self) -> [(&'static str, &Run); 4] {
        [
            ("Everybody read", &self.people_read),
            ("Changes followed", &self.changes_followed),
            ("Groups compared", &self.groups_compared),
            ("Groups listed", &self.groups_listed),
        ]
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

/// Something that goes wrong, and what to do.
#[derive(Clone, Debug)]
pub struct Trouble {
    /// What it is about (`Reading everybody`, `3 memberships`).
    pub what: String,
    /// What the directory said.
    pub error: String,
    /// What to do.
    pub advice: &'static str,
}

/// A directory with all that is known of its health.
#[derive(Clone, Debug)]
pub struct Health {
    /// The directory.
    pub directory: Directory,
    /// What it last said of its rate limit: allowed, left, and when.
    pub headroom: Option<(u64, u64, DateTime<Utc>)>,
    /// Until when it asked to be left alone.
    pub waits_until: Option<DateTime<Utc>>,
    /// What goes wrong.
    pub troubles: Vec<Trouble>,
    /// What was tried, newest first.
    pub attempts: Listing<AttemptListed>,
    /// Readings that found something new, newest first.
    pub readings: Listing<ReadingRow>,
    /// Open differences.
    pub drifts: i64,
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

/// The directories by key, for auditors and administrators.
///
/// # Errors
/// [`ServiceError::Missing`] for anybody else.
pub async fn directories(ctx: &Ctx, by: &By) -> Result<Vec<Directory>, ServiceError> {
    if !by.reads_everything() {
        return Err(ServiceError::Missing);
    }
    let timetable = doctor::timetable(&ctx.db, ctx.clock.now()).await?;
    let paused = pause::now(ctx).await?;
    let mut directories = Vec::new();
    for (key, port) in ctx.directories.iter() {
        directories.push(one(ctx, (key, port), &timetable, &paused).await?);
    }
    Ok(directories)
}

async fn one(ctx: &Ctx, (key, port): (&str, &Port), timetable: &[Entry], paused: &[PauseRow]) -> Result<Directory, ServiceError> {
    let now = ctx.clock.now();
    let (counts, queue, sync): (_, Queue, _) =
        tokio::try_join!(look_directory::counts(&ctx.db, key), look_attempt::queue(&ctx.db, key, now - LATE), directory_sync::of(&ctx.db, key),)?;
    let (people_read, groups_compared) = (run(timetable, "sync", key), run(timetable, "sweep", key));
    let pause = paused.iter().find(|pause| pause.directory == *key).cloned();
    let (state, sentence) = match &pause {
        Some(pause) if pause.everything => ("paused", "Everything is held back: nobody gets access, and nobody loses it.".to_owned()),
        Some(_) => ("paused", "New access is held back; removals and readings go on.".to_owned()),
        None => health(&people_read, &groups_compared, now),
    };
    let kind = match port {
        Port::Entra(_) => "Microsoft Entra ID",
        Port::Google(_) => "Google Workspace",
        Port::Scim(_) => "SCIM 2.0",
        Port::Okta(_) => "Okta",
        Port::Keycloak(_) => "Keycloak",
        Port::Ldap(ldap) => ldap.kind(),
    };
    Ok(Directory {
        key: key.to_owned(),
        kind,
        state,
        sentence,
        people_read,
        changes_followed: run(timetable, "changes", key),
        groups_compared,
        groups_listed: run(timetable, "groups", key),
        people: counts.people,
        active: counts.active,
        gone: counts.gone,
        groups: counts.groups,
        known_groups: counts.known_groups,
        waiting: counts.waiting,
        doubt: sync.filter(|sync| sync.outcome.as_deref() == Some("shrunk") && !sync.believe).and_then(|sync| sync.detail),
        adds: queue.adds,
        removals: queue.removals,
        late: queue.late,
        failing: queue.failing,
        oldest: queue.oldest,
        pause,
    })
}

/// The health of directory `key`, for auditors and administrators. `after` goes on in the tries, `before` in the readings.
///
/// # Errors
/// [`ServiceError::Missing`] for anybody else, for a directory that there is not, and for a cursor that is none of ours.
pub async fn directory(ctx: &Ctx, by: &By, key: &str, after: Option<&Cursor>, before: Option<&Cursor>) -> Result<Health, ServiceError> {
    let port = ctx.directories.get(key).filter(|_| by.reads_everything()).ok_or(ServiceError::Missing)?;
    let after = after.map(Cursor::id).transpose()?;
    let turn = match before {
        Some(cursor) => Turn::Before(cursor.0.parse().map_err(|_| ServiceError::Missing)?),
        None => Turn::Newest,
    };
    let kinds: Vec<String> = ["directory.synced", "directory.failed", "directory.believed", "directory.paused", "directory.resumed"].map(String::from).to_vec();
    let narrow = Narrow { kinds: Some(kinds.clone()), ..Narrow::default() };
    let lanes = [Lanes { kinds, ..Lanes::default() }];
    let now = ctx.clock.now();
    let (timetable, attempts, readings, failing, drifts) = tokio::try_join!(
        doctor::timetable(&ctx.db, now),
        look_attempt::page(&ctx.db, key, after, PAGE as i64 + 1),
        look_log::page(&ctx.db, &lanes, &narrow, turn, PAGE as i64),
        look_attempt::troubles(&ctx.db, key, TROUBLES),
        look_directory::open_drifts_of(&ctx.db, key),
    )?;
    let directory = one(ctx, (key, port), &timetable, &pause::now(ctx).await?).await?;
    let mut troubles: Vec<Trouble> = [
        ("Reading everybody", &directory.people_read),
        ("Following changes", &directory.changes_followed),
        ("Comparing the groups", &directory.groups_compared),
        ("Listing the groups", &directory.groups_listed),
    ]
    .into_iter()
    .filter_map(|(what, run)| run.error.clone().map(|error| Trouble { what: what.into(), advice: advice(&error), error }))
    .collect();
    troubles.extend(failing.into_iter().map(|trouble| Trouble {
        what: if trouble.memberships == 1 { "1 membership".into() } else { format!("{} memberships", trouble.memberships) },
        advice: advice(&trouble.error),
        error: trouble.error,
    }));
    // Other directories' readings are in the same lane.
    let own = readings.rows.into_iter().filter(|row| row.data.get("directory").and_then(|value| value.as_str()) == Some(key));
    Ok(Health {
        headroom: port.headroom().map(|Headroom { limit, remaining, at }| (limit, remaining, at)),
        waits_until: alone::until(ctx, key).await?,
        troubles,
        attempts: Listing::cut(attempts, PAGE, |attempt| attempt.id),
        readings: Listing { rows: own.map(reading).collect(), next: readings.older.map(|id| Cursor(id.to_string())) },
        drifts,
        directory,
    })
}

/// What to do about something that a directory said.
pub fn advice(error: &str) -> &'static str {
    let known = [
        ("cannot be reached", "Check that the service is up and can be reached from here: address, network, certificate. It is tried again by itself."),
        ("refuses our credentials", "Renew the token or the secret in the settings, and see that it may read people and groups and change members."),
        ("asks to wait", "Nothing to do: it is left alone for so long, and what is owed is done then. If it stays so, ask for a higher limit."),
        ("does not let this group be changed", "The group is filled by a rule or from elsewhere. Name another group for the role, or have it changed there."),
        ("does not know this group", "The group was deleted. Name another group for the role, or retire the role."),
        ("does not know this person", "They were deleted there. The next reading of everybody ends what they hold."),
        ("does not show it yet", "Nothing to do: some directories take a while. It is read back until it shows."),
        ("are missing from the directory", "So many did not leave at once: look at the directory, and at what the token may see."),
        ("not configured any more", "Put the directory back into the settings, or end what was granted in it."),
        ("cannot be used", "The answer does not follow the standard, or was cut off. Look at the log of the service at that time."),
    ];
    known
        .iter()
        .find(|(part, _)| error.contains(part))
        .map_or("It is tried again by itself. If it stays so, look at the log of the service.", |(_, advice)| advice)
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

fn reading(row: LogRow) -> ReadingRow {
    let fact = serde_json::from_value::<Fact>(serde_json::json!({ "kind": row.kind, "data": row.data }));
    ReadingRow {
        at: row.occurred_at,
        result: if row.kind == "directory.failed" { "failed" } else { "done" },
        sentence: fact.map_or_else(|_| row.kind, |fact| super::steps::capital(&fact.story())),
    }
}
