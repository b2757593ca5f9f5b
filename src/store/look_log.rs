//! The Log page: index scans merged, never the table scanned.
//!
//! A *lane* is one index scan in the order of ids: the events about one person, by one person, of one role, and so on. A search
//! gives several lanes, which are merged. Every other filter is held against the rows of a lane as they come, and each lane reads at
//! most so many rows for one page: so a page costs the same at any depth and for any filter. Where a lane was cut off, the page ends
//! at that point and the next page goes on from there.

use chrono::{DateTime, Duration, Utc};
use serde_json::Value;
use sqlx::FromRow;
use uuid::Uuid;

use super::db::Db;
use super::error::StoreError;
use super::look_log_sql::{COUNT, NEWER, NEWER_EDGE, OLDER, OLDER_EDGE, WHOLE_NEWER, WHOLE_OLDER};

/// The most rows that all lanes together read for one page.
pub const READ: i64 = 20_000;
/// How many rows are counted to find the shortest set of lanes.
const PROBE: i64 = 4_000;
/// Ids are given a moment before the time is taken, and a clock may be set back a little: the period is looked for this much wider.
const SLACK: Duration = Duration::hours(1);

/// Lanes: all of them together hold every event that is looked for.
#[derive(Clone, Debug, Default)]
pub struct Lanes {
    /// About these people.
    pub persons: Vec<Uuid>,
    /// By these people.
    pub actors: Vec<Uuid>,
    /// Of these roles.
    pub roles: Vec<Uuid>,
    /// Of these applications.
    pub applications: Vec<Uuid>,
    /// Of these requests.
    pub requests: Vec<Uuid>,
    /// Of these kinds.
    pub kinds: Vec<String>,
    /// Governed by these policy versions.
    pub versions: Vec<Uuid>,
    /// The whole log, one lane.
    pub everything: bool,
}

impl Lanes {
    fn count(&self) -> usize {
        self.persons.len()
            + self.actors.len()
            + self.roles.len()
            + self.applications.len()
            + self.requests.len()
            + self.kinds.len()
            + self.versions.len()
            + usize::from(self.everything)
    }
}

/// What an event must be about: any of these.
#[derive(Clone, Debug, Default)]
pub struct About {
    /// About or by one of them.
    pub persons: Vec<Uuid>,
    /// Of one of them.
    pub roles: Vec<Uuid>,
    /// Of one of them.
    pub applications: Vec<Uuid>,
    /// Of one of them.
    pub requests: Vec<Uuid>,
}

/// Whose eyes see: whom an event is about, who did it, and the owners of its role and application. A legal hold is seen by nobody but who
/// placed or lifted it: whom it is on must not learn of it.
#[derive(Clone, Debug, Default)]
pub struct Eyes {
    /// Who looks.
    pub person: Uuid,
    /// Roles they own.
    pub roles: Vec<Uuid>,
    /// Applications they own.
    pub applications: Vec<Uuid>,
}

/// What the log is narrowed to; all of it holds at once.
#[derive(Clone, Debug, Default)]
pub struct Narrow {
    /// From this time on.
    pub from: Option<DateTime<Utc>>,
    /// Before this time.
    pub to: Option<DateTime<Utc>>,
    /// One of these kinds.
    pub kinds: Option<Vec<String>>,
    /// Of this application.
    pub application: Option<Uuid>,
    /// Of this role.
    pub role: Option<Uuid>,
    /// Governed by this policy version.
    pub version: Option<Uuid>,
    /// About any of these.
    pub about: Option<About>,
    /// Seen with these eyes; none see everything.
    pub eyes: Option<Eyes>,
}

impl Narrow {
    /// Whether everything is left.
    pub fn is_nothing(&self) -> bool {
        self.from.is_none()
            && self.to.is_none()
            && self.kinds.is_none()
            && self.application.is_none()
            && self.role.is_none()
            && self.version.is_none()
            && self.about.is_none()
            && self.eyes.is_none()
    }
}

/// Which page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// The newest.
    Newest,
    /// Older than this id.
    Before(i64),
    /// Newer than this id.
    After(i64),
}

/// A row of the page.
#[derive(Clone, Debug, FromRow)]
pub struct LogRow {
    /// Its id.
    pub id: i64,
    /// When.
    pub occurred_at: DateTime<Utc>,
    /// Its kind.
    pub kind: String,
    /// `person`, `token` or `system`.
    pub actor_kind: String,
    /// Their name then.
    pub actor_name: Option<String>,
    /// Name of whom they stood in for.
    pub acting_for: Option<String>,
    /// Name of the token.
    pub token: Option<String>,
    /// Through which door.
    pub channel: String,
    /// The request.
    pub request_id: Option<Uuid>,
    /// Name of the person it is about.
    pub person: Option<String>,
    /// Name of the application.
    pub application: Option<String>,
    /// Name of the role.
    pub role: Option<String>,
    /// Whether it is about a request that was made as an emergency.
    pub emergency: bool,
    /// The payload.
    pub data: Value,
}

/// A page of the log, newest first.
#[derive(Clone, Debug)]
pub struct LogPage {
    /// The rows.
    pub rows: Vec<LogRow>,
    /// Where older rows begin, if there may be any.
    pub older: Option<i64>,
    /// Where newer rows begin, if there may be any.
    pub newer: Option<i64>,
    /// The lanes were cut off here: older (or newer) rows that match may follow although this page is not full.
    pub cut: bool,
}

/// The ids between which a period lies, both exclusive.
///
/// # Errors
/// When the database fails.
async fn bounds(db: &Db, narrow: &Narrow) -> Result<(i64, i64), StoreError> {
    if narrow.from.is_none() && narrow.to.is_none() {
        return Ok((i64::MAX, 0));
    }
    let (first, last): (Option<i64>, Option<i64>) = sqlx::query_as(
        "select case when $1::timestamptz is null then 0 else (select id from audit_event where occurred_at >= $1 order by occurred_at limit 1) end,
           case when $2::timestamptz is null then 9223372036854775807 else (select id from audit_event where occurred_at < $2 order by occurred_at desc limit 1) end",
    )
    .bind(narrow.from.map(|at| at - SLACK))
    .bind(narrow.to.map(|at| at + SLACK))
    .fetch_one(&db.pool)
    .await?;
    match (first, last) {
        // A transaction may take its id a little before or after its neighbours.
        (Some(first), Some(last)) => Ok((last.saturating_add(10_000), (first - 10_000).max(0))),
        _ => Ok((0, 0)),
    }
}

/// A page of the events that `narrow` leaves, at most `limit`. Each of `candidates` must hold every such event; the shortest is read.
///
/// # Errors
/// When the database fails.
pub async fn page(db: &Db, candidates: &[Lanes], narrow: &Narrow, turn: Turn, limit: i64) -> Result<LogPage, StoreError> {
    let (mut upper, mut lower) = bounds(db, narrow).await?;
    match turn {
        Turn::Newest => {}
        Turn::Before(id) => upper = upper.min(id),
        Turn::After(id) => lower = lower.max(id),
    }
    let newer_turn = matches!(turn, Turn::After(_));
    if narrow.is_nothing() {
        let statement = if newer_turn { WHOLE_NEWER } else { WHOLE_OLDER };
        let rows = sqlx::query_as(statement).bind(upper).bind(lower).bind(limit + 1).fetch_all(&db.pool).await?;
        return Ok(turned(rows, None, turn, limit));
    }
    let nothing = Lanes::default();
    let lanes = shortest(db, candidates, upper, lower).await?.unwrap_or(&nothing);
    let count = lanes.count().max(1) as i64;
    let read = (READ / count).max(limit + 1);
    let (statement, edge) = if newer_turn { (NEWER, NEWER_EDGE) } else { (OLDER, OLDER_EDGE) };
    let about = narrow.about.clone().unwrap_or_default();
    let eyes = narrow.eyes.clone().unwrap_or_default();
    let rows: Vec<LogRow> = sqlx::query_as(statement)
        .bind(&lanes.persons)
        .bind(&lanes.actors)
        .bind(&lanes.roles)
        .bind(&lanes.applications)
        .bind(&lanes.requests)
        .bind(&lanes.kinds)
        .bind(lanes.everything)
        .bind(upper)
        .bind(lower)
        .bind(read)
        .bind(limit + 1)
        .bind(narrow.from)
        .bind(narrow.to)
        .bind(&narrow.kinds)
        .bind(narrow.application)
        .bind(narrow.role)
        .bind(narrow.about.is_some())
        .bind(&about.persons)
        .bind(&about.roles)
        .bind(&about.applications)
        .bind(&about.requests)
        .bind(narrow.eyes.as_ref().map(|eyes| eyes.person))
        .bind(&eyes.roles)
        .bind(&eyes.applications)
        .bind(narrow.version)
        .bind(&lanes.versions)
        .fetch_all(&db.pool)
        .await?;
    // A single lane that filled the page was not cut off; of several, one may have been while another filled it.
    let mut end = None;
    if rows.len() as i64 <= limit || count > 1 {
        end = sqlx::query_scalar::<_, Option<i64>>(edge)
            .bind(&lanes.persons)
            .bind(&lanes.actors)
            .bind(&lanes.roles)
            .bind(&lanes.applications)
            .bind(&lanes.requests)
            .bind(&lanes.kinds)
            .bind(lanes.everything)
            .bind(upper)
            .bind(lower)
            .bind(read)
            .bind(&lanes.versions)
            .fetch_one(&db.pool)
            .await?;
    }
    Ok(turned(rows, end, turn, limit))
}

/// The page that `rows` make, one more than `limit` when others follow. Beyond `end` the lanes did not read.
fn turned(mut rows: Vec<LogRow>, end: Option<i64>, turn: Turn, limit: i64) -> LogPage {
    let newer_turn = matches!(turn, Turn::After(_));
    let full = rows.len() as i64 > limit;
    rows.truncate(usize::try_from(limit).unwrap_or_default());
    let before = rows.len();
    if let Some(end) = end {
        rows.retain(|row| if newer_turn { row.id <= end } else { row.id >= end });
    }
    let cut = end.is_some() && (!full || rows.len() < before);
    let on = if cut { end } else { rows.last().filter(|_| full).map(|row| row.id) };
    if newer_turn {
        rows.reverse();
    }
    let (newest, oldest) = (rows.first().map(|row| row.id), rows.last().map(|row| row.id));
    // Where one came from is there still.
    let (older, newer) = match turn {
        Turn::Newest => (on, None),
        Turn::Before(id) => (on, newest.or(Some(id - 1))),
        Turn::After(id) => (oldest.or(Some(id.saturating_add(1))), on),
    };
    LogPage { rows, older, newer, cut }
}

/// The candidate with the fewest rows, as far as counting goes; among equals the first.
async fn shortest<'a>(db: &Db, candidates: &'a [Lanes], upper: i64, lower: i64) -> Result<Option<&'a Lanes>, StoreError> {
    let mut best: Option<(i64, &Lanes)> = None;
    if candidates.len() < 2 {
        return Ok(candidates.first());
    }
    for lanes in candidates {
        let held: i64 = sqlx::query_scalar(COUNT)
            .bind(&lanes.persons)
            .bind(&lanes.actors)
            .bind(&lanes.roles)
            .bind(&lanes.applications)
            .bind(&lanes.requests)
            .bind(&lanes.kinds)
            .bind(lanes.everything)
            .bind(upper)
            .bind(lower)
            .bind(PROBE)
            .bind(&lanes.versions)
            .fetch_one(&db.pool)
            .await?;
        if best.is_none_or(|(least, _)| held < least) {
            best = Some((held, lanes));
        }
    }
    Ok(best.map(|(_, lanes)| lanes))
}
