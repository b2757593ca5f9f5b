//! Make, change, switch or run a schedule of evidence.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::clock::new_id;
use crate::domain::event::{Actor, Channel, Event, Fact, Subject};
use crate::domain::policy::FieldFault;
use crate::domain::refusal::Refusal;
use crate::domain::schedule::{self, Every, Period, Place, Schedule, When, Whose, Written};
use crate::evidence::columns::File;
use crate::evidence::csv::Mode;
use crate::service::commit::{by_system, commit};
use crate::service::ctx::{By, Ctx};
use crate::service::error::ServiceError;
use crate::service::export::{self, Taking};
use crate::service::look::find;
use crate::store::db::Tx;
use crate::store::error::StoreError;
use crate::store::event;
use crate::store::schedule::{self as kept, NewSchedule, Outcome, ScheduleRow};

/// The most schedules that are on at once.
pub const MOST: i64 = 200;

/// Where a schedule stands in the way of another.
const NAME_TAKEN: &str = "evidence_schedule_by_name";

/// A schedule as the settings have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declared {
    /// As written.
    pub written: Written,
    /// Whether it is on.
    pub on: bool,
}

/// The words of the files.
pub fn whats() -> [&'static str; 14] {
    File::ALL.map(File::word)
}

/// The ids of application, role and person.
type Ids = (Option<Uuid>, Option<Uuid>, Option<Uuid>);

/// Makes a schedule for `by`, an administrator; its id.
///
/// # Errors
/// [`ServiceError::Missing`] for anybody else; every fault of what was written.
pub async fn make(ctx: &Ctx, by: &By, written: &Written, on: bool) -> Result<Uuid, ServiceError> {
    let (schedule, ids) = checked(ctx, by, written).await?;
    let (id, now) = (new_id(), ctx.clock.now());
    let mut tx = ctx.db.begin().await?;
    if on {
        not_too_many(&mut tx).await?;
    }
    let to = addressed(&schedule.place);
    kept::insert(&mut tx, id, &new(&schedule, ids, None, &to, on, schedule.when.next(now)), ("administrator", Some(by.person.0)), now).await.map_err(named)?;
    let says = kept::lock(&mut tx, id).await?.map(|row| says(&row)).unwrap_or_default();
    tell(&mut tx, by, Fact::ScheduleMade { schedule: id, name: schedule.name, new: says }).await?;
    commit(tx).await?;
    Ok(id)
}

/// Makes a schedule another in all that it does, for `by`, an administrator.
///
/// # Errors
/// [`ServiceError::Missing`] for anybody else, and when there is none; every fault of what was written; a fault of `schedule` when it
/// stands in the settings.
pub async fn change(ctx: &Ctx, by: &By, id: Uuid, written: &Written) -> Result<(), ServiceError> {
    let (schedule, ids) = checked(ctx, by, written).await?;
    let now = ctx.clock.now();
    let mut tx = ctx.db.begin().await?;
    let row = theirs(&mut tx, by, id).await?;
    let next = if Some(schedule.when) == when(&row) { row.next_at } else { schedule.when.next(now) };
    let to = addressed(&schedule.place);
    kept::update(&mut tx, id, &new(&schedule, ids, None, &to, row.is_on, next), now).await.map_err(named)?;
    let (old, new) = (says(&row), kept::lock(&mut tx, id).await?.map(|row| says(&row)).unwrap_or_default());
    if old == new && row.name == schedule.name {
        // As it was: nothing to tell, and nothing to keep.
        return Ok(());
    }
    tell(&mut tx, by, Fact::ScheduleChanged { schedule: id, name: schedule.name, old, new }).await?;
    commit(tx).await
}

/// Switches a schedule on or off, for `by`, an administrator. What was missed while it was off is not caught up.
///
/// # Errors
/// As [`change`].
pub async fn switch(ctx: &Ctx, by: &By, id: Uuid, on: bool) -> Result<(), ServiceError> {
    let now = ctx.clock.now();
    let mut tx = ctx.db.begin().await?;
    let row = theirs(&mut tx, by, id).await?;
    if row.is_on == on {
        return Ok(());
    }
    if on {
        not_too_many(&mut tx).await?;
    }
    kept::switch(&mut tx, id, on, when(&row).map_or(row.next_at, |when| when.next(now)), now).await?;
    tell(&mut tx, by, Fact::ScheduleSwitched { schedule: id, name: row.name.clone(), on }).await?;
    if !on {
        give_up(&mut tx, &row, now).await?;
    }
    commit(tx).await
}

/// Has a schedule run at once, for `by`, an administrator; the run. One from the settings too, and one that is off.
///
/// # Errors
/// [`ServiceError::Missing`] for anybody else, and when there is none; a fault of `schedule` while a run of it is under way.
pub async fn run_now(ctx: &Ctx, by: &By, id: Uuid) -> Result<Uuid, ServiceError> {
    if !by.is_administrator {
        return Err(ServiceError::Missing);
    }
    let (run, now) = (new_id(), ctx.clock.now());
    let mut tx = ctx.db.begin().await?;
    let row = kept::lock(&mut tx, id).await?.ok_or(ServiceError::Missing)?;
    let period = Period::parse(&row.period).ok_or_else(|| StoreError::Broken("a stored period has no such word".into()))?;
    let added = kept::add_run(&mut tx, run, (id, now, Some(by.person.0)), period.bounds(now), now).await?;
    if !added {
        return Err(fault("schedule", "A run of it is under way or waits to be tried again; look at its history.").into());
    }
    tell(&mut tx, by, Fact::ScheduleRunAsked { schedule: id, name: row.name, run }).await?;
    commit(tx).await?;
    ctx.wake.notify_one();
    Ok(run)
}

/// Makes the schedules of the settings what the settings say: new ones are made, others changed, and those that no longer stand there
/// switched off. Each is an event where it differs.
///
/// # Errors
/// When the database fails.
pub async fn declare(ctx: &Ctx, declared: &[Declared]) -> Result<(), ServiceError> {
    let whats = whats();
    let now = ctx.clock.now();
    let mut tx = ctx.db.begin().await?;
    let there = kept::of_settings(&mut tx).await?;
    for row in there.iter().filter(|row| row.is_on && !declared.iter().any(|one| is_called(&one.written, row))) {
        kept::switch(&mut tx, row.id, false, row.next_at, now).await?;
        event::append(&mut tx, &[by_system(Subject::default(), Fact::ScheduleSwitched { schedule: row.id, name: row.name.clone(), on: false })]).await?;
        give_up(&mut tx, row, now).await?;
    }
    commit(tx).await?;
    for one in declared {
        // Reading the settings has told of every fault.
        let Ok(schedule) = schedule::read(&one.written, &whats) else { continue };
        let row = there.iter().find(|row| is_called(&one.written, row));
        match declare_one(ctx, &schedule, one.on, row, now).await {
            Err(ServiceError::Refused(Refusal::Faults(_))) => {
                tracing::warn!(schedule = schedule.name, "a schedule of the settings has the name of one that an administrator made; that one stays");
            }
            other => other?,
        }
    }
    Ok(())
}

fn is_called(written: &Written, row: &ScheduleRow) -> bool {
    written.name.trim().to_lowercase() == row.name.to_lowercase()
}

async fn declare_one(ctx: &Ctx, schedule: &Schedule, on: bool, row: Option<&ScheduleRow>, now: DateTime<Utc>) -> Result<(), ServiceError> {
    let key = Some(schedule.of.as_str()).filter(|of| !of.is_empty());
    let to = addressed(&schedule.place);
    let mut tx = ctx.db.begin().await?;
    let Some(row) = row else {
        let id = new_id();
        kept::insert(&mut tx, id, &new(schedule, (None, None, None), key, &to, on, schedule.when.next(now)), ("settings", None), now).await.map_err(named)?;
        let fact = Fact::ScheduleMade { schedule: id, name: schedule.name.clone(), new: schedule.says() };
        event::append(&mut tx, &[by_system(Subject::default(), fact)]).await?;
        return commit(tx).await;
    };
    let is_so = says(row) == schedule.says() && row.name == schedule.name;
    if is_so && row.is_on == on {
        return Ok(());
    }
    let next = if Some(schedule.when) == when(row) && row.is_on == on { row.next_at } else { schedule.when.next(now) };
    kept::update(&mut tx, row.id, &new(schedule, (None, None, None), key, &to, on, next), now).await.map_err(named)?;
    let (id, name) = (row.id, schedule.name.clone());
    let mut facts = Vec::new();
    if !is_so {
        facts.push(Fact::ScheduleChanged { schedule: id, name: name.clone(), old: says(row), new: schedule.says() });
    }
    if row.is_on != on {
        facts.push(Fact::ScheduleSwitched { schedule: id, name, on });
    }
    let events: Vec<_> = facts.into_iter().map(|fact| by_system(Subject::default(), fact)).collect();
    event::append(&mut tx, &events).await?;
    if !on {
        give_up(&mut tx, row, now).await?;
    }
    commit(tx).await
}

/// Ends what the clock began and nobody works on now; what is being sent goes on to its end.
async fn give_up(tx: &mut Tx, row: &ScheduleRow, now: DateTime<Utc>) -> Result<(), ServiceError> {
    let Some(run) = kept::idle_run(tx, row.id, now).await? else { return Ok(()) };
    kept::release(tx, run.id).await?;
    let error = "the schedule was switched off before it was sent".to_owned();
    let outcome = Outcome { result: "failed", sent_to: row.sent_to.join(", "), error: Some(error.clone()), ..Outcome::default() };
    if kept::finish(tx, run.id, None, &outcome, now).await? {
        let fact = Fact::ScheduledFailed {
            schedule: row.id,
            name: row.name.clone(),
            run: run.id,
            from: run.period_from,
            to: run.period_to,
            reference: outcome.sent_to,
            tries: run.tries,
            error,
        };
        event::append(tx, &[by_system(Subject::default(), fact)]).await?;
    }
    Ok(())
}

/// What was written, as a schedule that may be: by whom, of what is there, to where it may go.
async fn checked(ctx: &Ctx, by: &By, written: &Written) -> Result<(Schedule, Ids), ServiceError> {
    if !by.is_administrator {
        return Err(ServiceError::Missing);
    }
    let schedule = schedule::read(written, &whats()).map_err(Refusal::Faults)?;
    let mut faults = Vec::new();
    if let Err(sentence) = ctx.places.check(&schedule.place) {
        faults.push(FieldFault { field: "to".into(), sentence });
    }
    let ids = whose(ctx, schedule.whose, &schedule.of).await?;
    if ids.is_none() {
        faults.push(FieldFault { field: "of".into(), sentence: none_of(schedule.whose) });
    }
    match ids {
        Some(ids) if faults.is_empty() => Ok((schedule, ids)),
        _ => Err(Refusal::Faults(faults).into()),
    }
}

/// That there is none of what was named.
pub(super) fn none_of(whose: Whose) -> String {
    match whose {
        Whose::Application => "There is no such application; give its key or id.".into(),
        Whose::Role => "There is no such role; write APPLICATION/ROLE, by their keys, or its id.".into(),
        _ => "There is nobody of that name, or several; give a login or an id.".into(),
    }
}

/// The application, role or person that `of` names by id, key or login; none when there is none.
pub(super) async fn whose(ctx: &Ctx, whose: Whose, of: &str) -> Result<Option<Ids>, ServiceError> {
    if whose == Whose::Organisation {
        return Ok(Some((None, None, None)));
    }
    let pack = |id: Uuid| match whose {
        Whose::Application => (Some(id), None, None),
        Whose::Role => (None, Some(id), None),
        _ => (None, None, Some(id)),
    };
    if let Some(id) = Uuid::try_parse(of).ok().filter(|_| of.len() == 36) {
        let ids = pack(id);
        return match export::known(ctx, &taking(File::Requests, Mode::Raw, (None, None), ids)).await {
            Ok(()) => Ok(Some(ids)),
            Err(ServiceError::Missing) => Ok(None),
            Err(other) => Err(other),
        };
    }
    if of.contains('\0') {
        return Ok(None);
    }
    Ok(match whose {
        Whose::Application => find::application(ctx, of).await?.map(|id| id.0),
        Whose::Role => find::role(ctx, of).await?.map(|id| id.0),
        _ => match find::person(ctx, of).await? {
            Some(id) => Some(id.0),
            None => find::colleague(ctx, of).await?.map(|id| id.0),
        },
    }
    .map(pack))
}

/// What is taken.
pub(super) fn taking(file: File, mode: Mode, (from, to): (Option<DateTime<Utc>>, Option<DateTime<Utc>>), (application, role, person): Ids) -> Taking {
    Taking { file, mode, from, to, application: application.map(Into::into), role: role.map(Into::into), person: person.map(Into::into) }
}

fn new<'a>(schedule: &'a Schedule, ids: Ids, key: Option<&'a str>, sent_to: &'a [String], is_on: bool, next_at: DateTime<Utc>) -> NewSchedule<'a> {
    NewSchedule {
        name: &schedule.name,
        what: &schedule.what,
        mode: &schedule.mode,
        whose: schedule.whose.word(),
        ids,
        key,
        period: schedule.period.word(),
        every: schedule.when.every.word(),
        on_day: i32::try_from(schedule.when.day).unwrap_or_default(),
        at_minute: i32::try_from(schedule.when.minute).unwrap_or_default(),
        place: schedule.place.word(),
        sent_to,
        is_on,
        next_at,
    }
}

fn addressed(place: &Place) -> Vec<String> {
    match place {
        Place::Folder(one) | Place::Webhook(one) => vec![one.clone()],
        Place::Mail(addresses) => addresses.clone(),
    }
}

/// When a schedule runs.
pub fn when(row: &ScheduleRow) -> Option<When> {
    Some(When { every: Every::parse(&row.every)?, day: u32::try_from(row.on_day).ok()?, minute: u32::try_from(row.at_minute).ok()? })
}

/// Where a schedule sends to.
pub fn place(row: &ScheduleRow) -> Place {
    match row.place.as_str() {
        "folder" => Place::Folder(row.sent_to.concat()),
        "webhook" => Place::Webhook(row.sent_to.concat()),
        _ => Place::Mail(row.sent_to.clone()),
    }
}

/// A schedule in words, for the log: names of applications and roles, ids of people.
fn says(row: &ScheduleRow) -> String {
    let of = row.person_id.map(|id| id.to_string()).or_else(|| row.whose_name.clone()).unwrap_or_default();
    match (Whose::parse(&row.whose), Period::parse(&row.period), when(row)) {
        (Some(whose), Some(period), Some(when)) => {
            Schedule { name: row.name.clone(), what: row.what.clone(), mode: row.mode.clone(), whose, of, period, when, place: place(row) }.says()
        }
        _ => String::new(),
    }
}

async fn theirs(tx: &mut Tx, by: &By, id: Uuid) -> Result<ScheduleRow, ServiceError> {
    if !by.is_administrator {
        return Err(ServiceError::Missing);
    }
    let row = kept::lock(tx, id).await?.ok_or(ServiceError::Missing)?;
    if row.source == "settings" {
        return Err(fault("schedule", "It stands in the settings file; change it there and start the server again.").into());
    }
    Ok(row)
}

async fn not_too_many(tx: &mut Tx) -> Result<(), ServiceError> {
    if kept::count(tx).await? >= MOST {
        return Err(fault("schedule", &format!("{MOST} schedules are on; switch one off first.")).into());
    }
    Ok(())
}

fn named(error: StoreError) -> ServiceError {
    match error.constraint() {
        Some(NAME_TAKEN) => fault("name", "Another schedule has this name.").into(),
        _ => error.into(),
    }
}

fn fault(field: &str, sentence: &str) -> Refusal {
    Refusal::Faults(vec![FieldFault { field: field.into(), sentence: sentence.into() }])
}

async fn tell(tx: &mut Tx, by: &By, fact: Fact) -> Result<(), ServiceError> {
    let (actor, channel): (Actor, Channel) = (by.actor(), by.channel);
    event::append(tx, &[Event { actor, channel, subject: Subject::default(), fact }]).await?;
    Ok(())
}
