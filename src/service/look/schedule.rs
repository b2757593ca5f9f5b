//! What the pages of schedules show.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::domain::schedule::{Period, Written};
use crate::evidence::columns::File;
use crate::service::ctx::{By, Ctx};
use crate::service::error::ServiceError;
use crate::service::list;
use crate::service::schedule::make::{place, when};
use crate::store::schedule::{self, RunRow, ScheduleRow};

use super::shared::{Cursor, Listing};

// A run as it is kept, for the floor above.
pub use crate::store::schedule::RunRow as Run;

/// How many rows a page has.
const PAGE: usize = 50;

/// A schedule with how it stands.
#[derive(Clone, Debug)]
pub struct ScheduleSeen {
    /// Its id.
    pub id: Uuid,
    /// What it is called.
    pub name: String,
    /// Whether it stands in the settings file.
    pub of_settings: bool,
    /// Who made it; none: the settings.
    pub made_by: Option<String>,
    /// When.
    pub made_at: DateTime<Utc>,
    /// When it was last changed.
    pub changed_at: DateTime<Utc>,
    /// The file's name, or `bundle`.
    pub what: String,
    /// `raw` or `safe`.
    pub mode: String,
    /// `organisation`, `application`, `role` or `person`.
    pub whose: String,
    /// Which, as it is called now.
    pub of: Option<String>,
    /// Which, by its id; none of the organisation, and of one from the settings.
    pub of_id: Option<Uuid>,
    /// The word of the period.
    pub period: String,
    /// The period in words.
    pub period_says: &'static str,
    /// The word of how often.
    pub every: String,
    /// On which day.
    pub day: i32,
    /// `HH:MM`.
    pub at: String,
    /// When, in words.
    pub when_says: String,
    /// `folder`, `webhook` or `mail`.
    pub place: String,
    /// The path, the address, or the addresses.
    pub sent_to: Vec<String>,
    /// Where to, in words.
    pub place_says: String,
    /// Whether it is on.
    pub is_on: bool,
    /// When it runs next; none while it is off.
    pub next_at: Option<DateTime<Utc>>,
    /// Its newest run.
    pub last: Option<RunRow>,
}

/// Schedules, in the order in which they were made.
#[derive(Clone, Debug)]
pub struct Schedules {
    /// The schedules.
    pub rows: Listing<ScheduleSeen>,
    /// Where evidence may be sent: word and what there is to know.
    pub open: Vec<(&'static str, String)>,
}

/// A schedule with its runs.
#[derive(Clone, Debug)]
pub struct ScheduleWhole {
    /// The schedule.
    pub schedule: ScheduleSeen,
    /// Its runs, newest first.
    pub runs: Listing<RunRow>,
}

/// A file that a schedule can send: its word, and what it is called.
#[derive(Clone, Debug)]
pub struct What {
    /// The word.
    pub word: &'static str,
    /// What it is called.
    pub called: String,
}

/// What can be sent, everything in one first.
pub fn whats() -> Vec<What> {
    let bundle = What { word: "bundle", called: "Everything in one bundle".into() };
    std::iter::once(bundle).chain(File::ALL.into_iter().map(|file| What { word: file.word(), called: file.name() })).collect()
}

/// What can be done about a run that was not sent.
pub fn advice(place: &str) -> &'static str {
    match place {
        "folder" => "See that the folder of schedules.folder is there and can be written to; then run it now.",
        "webhook" => "See that the address answers 2xx and is among schedules.webhook_hosts; then run it now.",
        _ => "See that the server of [mail] takes mails from its address to these; then run it now.",
    }
}

/// Schedules for `by`, an auditor or administrator.
///
/// # Errors
/// [`ServiceError::Missing`] for anybody else; when the database fails.
pub async fn schedules(ctx: &Ctx, by: &By, after: Option<&Cursor>) -> Result<Schedules, ServiceError> {
    let page = listed(ctx, by, after.map(Cursor::id).transpose()?, PAGE as i64).await?;
    let next = page.rows.last().filter(|_| page.more).map(|last| Cursor::after(last.id));
    Ok(Schedules { rows: Listing { rows: page.rows, next }, open: ctx.places.open() })
}

/// The same for the API, after the schedule `after`.
///
/// # Errors
/// As [`schedules`].
pub async fn listed(ctx: &Ctx, by: &By, after: Option<Uuid>, limit: i64) -> Result<list::Page<ScheduleSeen>, ServiceError> {
    if !by.reads_everything() {
        return Err(ServiceError::Missing);
    }
    let mut rows = schedule::list(&ctx.db, after, limit + 1).await?;
    let most = usize::try_from(limit).unwrap_or_default();
    let more = rows.len() > most;
    rows.truncate(most);
    let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
    let mut runs = schedule::newest_runs(&ctx.db, &ids).await?;
    let mut last = |id: Uuid| runs.iter().position(|run| run.schedule_id == id).map(|at| runs.swap_remove(at));
    let rows = rows.into_iter().map(|row| seen(last(row.id), row)).collect();
    Ok(list::Page { rows, more })
}

/// One schedule for `by`, an auditor or administrator.
///
/// # Errors
/// [`ServiceError::Missing`] for anybody else, and when there is none; when the database fails.
pub async fn one(ctx: &Ctx, by: &By, id: Uuid) -> Result<ScheduleSeen, ServiceError> {
    if !by.reads_everything() {
        return Err(ServiceError::Missing);
    }
    let row = schedule::by_id(&ctx.db, id).await?.ok_or(ServiceError::Missing)?;
    let last = schedule::newest_runs(&ctx.db, &[id]).await?.pop();
    Ok(seen(last, row))
}

/// One schedule with its runs.
///
/// # Errors
/// As [`one`].
pub async fn whole(ctx: &Ctx, by: &By, id: Uuid, after: Option<&Cursor>) -> Result<ScheduleWhole, ServiceError> {
    let schedule = one(ctx, by, id).await?;
    let runs = schedule::runs(&ctx.db, id, after.map(Cursor::id).transpose()?, PAGE as i64 + 1).await?;
    Ok(ScheduleWhole { schedule, runs: Listing::cut(runs, PAGE, |run| run.id) })
}

/// Runs of a schedule, newest first, for the API.
///
/// # Errors
/// As [`one`].
pub async fn runs(ctx: &Ctx, by: &By, id: Uuid, after: Option<Uuid>, limit: i64) -> Result<list::Page<RunRow>, ServiceError> {
    one(ctx, by, id).await?;
    let mut rows = schedule::runs(&ctx.db, id, after, limit + 1).await?;
    let most = usize::try_from(limit).unwrap_or_default();
    let more = rows.len() > most;
    rows.truncate(most);
    Ok(list::Page { rows, more })
}

/// What a form holds that is to change this schedule.
pub fn written(seen: &ScheduleSeen) -> Written {
    Written {
        name: seen.name.clone(),
        what: seen.what.clone(),
        mode: seen.mode.clone(),
        whose: seen.whose.clone(),
        of: seen.of_id.map(|id| id.to_string()).or_else(|| seen.of.clone()).unwrap_or_default(),
        period: seen.period.clone(),
        every: seen.every.clone(),
        day: if seen.day == 0 { String::new() } else { seen.day.to_string() },
        at: seen.at.clone(),
        place: seen.place.clone(),
        to: seen.sent_to.join(", "),
    }
}

fn seen(last: Option<RunRow>, row: ScheduleRow) -> ScheduleSeen {
    let when = when(&row);
    ScheduleSeen {
        id: row.id,
        of_settings: row.source == "settings",
        made_at: row.made_at,
        changed_at: row.changed_at,
        period_says: Period::parse(&row.period).map(Period::says).unwrap_or_default(),
        day: row.on_day,
        at: when.map(|when| when.clock()).unwrap_or_default(),
        when_says: when.map(|when| when.says()).unwrap_or_default(),
        place_says: place(&row).says(),
        is_on: row.is_on,
        next_at: row.is_on.then_some(row.next_at),
        of_id: row.application_id.or(row.role_id).or(row.person_id),
        name: row.name,
        made_by: row.made_by,
        what: row.what,
        mode: row.mode,
        whose: row.whose,
        of: row.whose_name,
        period: row.period,
        every: row.every,
        place: row.place,
        sent_to: row.sent_to,
        last,
    }
}
