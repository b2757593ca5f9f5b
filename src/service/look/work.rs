//! What the metrics tell of the work.

use crate::service::ctx::Ctx;
use crate::service::error::ServiceError;
use crate::store::look_overview::{self, StateCount};
use crate::store::{directory_sync, doctor, leaver, look_provisioning, timetable};

/// States that are always told, so that a count which is gone reads as zero.
const STATES: [(&str, &str); 12] = [
    ("request", "pending"),
    ("request", "needs_info"),
    ("grant", "scheduled"),
    ("grant", "provisioning"),
    ("grant", "verifying"),
    ("grant", "active"),
    ("grant", "revoking"),
    ("target", "add_owed"),
    ("target", "remove_owed"),
    ("target", "add_failing"),
    ("target", "remove_failing"),
    ("target", "to_read_back"),
];

/// The work at this moment. Ages are in seconds.
#[derive(Clone, Debug)]
pub struct Work {
    /// What (`request`, `grant`, `target`), its state, and how many.
    pub states: Vec<(&'static str, &'static str, i64)>,
    /// How long the oldest removal has been owed; 0 when none is.
    pub oldest_removal_s: f64,
    /// Since a worker was last heard of; none: never.
    pub worker_silent_s: Option<f64>,
    /// Since each entry of the timetable last went well, by name; those that never did are left out.
    pub timetable_s: Vec<(String, f64)>,
    /// How the last full reading of each directory ended: its key, and `complete`, `failed` or `shrunk`.
    pub syncs: Vec<(String, String)>,
    /// People who left and with whom we are not done.
    pub leavers: i64,
    /// Open differences between groups and leases.
    pub drifts: i64,
    /// The highest id of the log: how many events there are, and a few more.
    pub events: i64,
    /// Connections of the pool, and how many of them are idle.
    pub connections: (u32, usize),
}

/// How the work stands, for whoever may reach the metrics' address.
///
/// # Errors
/// When the database fails.
pub async fn work(ctx: &Ctx) -> Result<Work, ServiceError> {
    let now = ctx.clock.now();
    let age = |at: chrono::DateTime<chrono::Utc>| (now - at).num_milliseconds().max(0) as f64 / 1000.0;
    let (states, owed, beat, entries, syncs, leavers, drifts, events) = tokio::try_join!(
        look_overview::states(&ctx.db),
        look_provisioning::owed(&ctx.db, now, now),
        timetable::last_beat(&ctx.db),
        doctor::timetable(&ctx.db, now),
        directory_sync::all(&ctx.db),
        leaver::open(&ctx.db),
        crate::store::look_directory::open_drifts(&ctx.db),
        look_overview::events(&ctx.db),
    )?;
    let count = |what: &str, state: &str| states.iter().find(|row: &&StateCount| row.what == what && row.state == state).map_or(0, |row| row.count);
    Ok(Work {
        states: STATES.iter().map(|(what, state)| (*what, *state, count(what, state))).collect(),
        oldest_removal_s: owed.oldest_removal.map_or(0.0, age),
        worker_silent_s: beat.map(age),
        timetable_s: entries.into_iter().filter_map(|entry| Some((entry.name, age(entry.last_ok_at?)))).collect(),
        syncs: syncs.into_iter().filter_map(|sync| Some((sync.directory, sync.outcome?))).collect(),
        leavers,
        drifts,
        events,
        connections: look_overview::connections(&ctx.db),
    })
}
