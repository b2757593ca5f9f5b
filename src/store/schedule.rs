//! Schedules of evidence, and their runs.

use chrono::{DateTime, Utc};
use sqlx::FromRow;
use uuid::Uuid;

use super::db::{Db, Tx};
use super::error::StoreError;

/// A schedule as it is kept.
#[derive(Clone, Debug, FromRow)]
pub struct ScheduleRow {
    /// Its id.
    pub id: Uuid,
    /// What it is called.
    pub name: String,
    /// `administrator`, or `settings`.
    pub source: String,
    /// A file, or `bundle`.
    pub what: String,
    /// `raw` or `safe`.
    pub mode: String,
    /// `organisation`, `application`, `role` or `person`.
    pub whose: String,
    /// Which application.
    pub application_id: Option<Uuid>,
    /// Which role.
    pub role_id: Option<Uuid>,
    /// Which person.
    pub person_id: Option<Uuid>,
    /// The key or login in the settings.
    pub whose_key: Option<String>,
    /// The application, role or person as they are called now.
    pub whose_name: Option<String>,
    /// Of which period.
    pub period: String,
    /// How often.
    pub every: String,
    /// On which day.
    pub on_day: i32,
    /// Minutes after midnight.
    pub at_minute: i32,
    /// `folder`, `webhook` or `mail`.
    pub place: String,
    /// The path, the address, or the addresses.
    pub sent_to: Vec<String>,
    /// Whether it runs by the clock.
    pub is_on: bool,
    /// Who made it; none: the settings, or an operator.
    pub made_by: Option<String>,
    /// When.
    pub made_at: DateTime<Utc>,
    /// When it was last changed.
    pub changed_at: DateTime<Utc>,
    /// When it is due.
    pub next_at: DateTime<Utc>,
}

/// What a schedule is to be.
#[derive(Clone, Debug)]
pub struct NewSchedule<'a> {
    /// What it is called.
    pub name: &'a str,
    /// A file, or `bundle`.
    pub what: &'a str,
    /// `raw` or `safe`.
    pub mode: &'a str,
    /// `organisation`, `application`, `role` or `person`.
    pub whose: &'a str,
    /// Which application, role or person.
    pub ids: (Option<Uuid>, Option<Uuid>, Option<Uuid>),
    /// The key or login in the settings.
    pub key: Option<&'a str>,
    /// Of which period.
    pub period: &'a str,
    /// How often.
    pub every: &'a str,
    /// On which day.
    pub on_day: i32,
    /// Minutes after midnight.
    pub at_minute: i32,
    /// `folder`, `webhook` or `mail`.
    pub place: &'a str,
    /// The path, the address, or the addresses.
    pub sent_to: &'a [String],
    /// Whether it runs by the clock.
    pub is_on: bool,
    /// When it is due.
    pub next_at: DateTime<Utc>,
}

/// A run as it is kept.
#[derive(Clone, Debug, FromRow)]
pub struct RunRow {
    /// Its id.
    pub id: Uuid,
    /// Of which schedule.
    pub schedule_id: Uuid,
    /// When it was due.
    pub due_at: DateTime<Utc>,
    /// Who had it run; none: the clock.
    pub asked_by: Option<String>,
    /// From when; none: as of `period_to`.
    pub period_from: Option<DateTime<Utc>>,
    /// Until before when.
    pub period_to: DateTime<Utc>,
    /// When it was first tried.
    pub started_at: Option<DateTime<Utc>>,
    /// How often it was tried.
    pub tries: i32,
    /// When it is tried next; none when it is over.
    pub next_at: Option<DateTime<Utc>>,
    /// When it was over.
    pub finished_at: Option<DateTime<Utc>>,
    /// `sent`, `linked` or `failed`.
    pub result: Option<String>,
    /// What was delivered, as it is called there.
    pub file: Option<String>,
    /// Its length.
    pub bytes: Option<i64>,
    /// Its SHA-256, hex.
    pub sha256: Option<String>,
    /// Where to.
    pub sent_to: Option<String>,
    /// What went wrong last.
    pub error: Option<String>,
}

/// What came of a run.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// `sent`, `linked` or `failed`.
    pub result: &'static str,
    /// What was delivered, as it is called there.
    pub file: Option<String>,
    /// Its length.
    pub bytes: Option<i64>,
    /// Its SHA-256, hex.
    pub sha256: Option<String>,
    /// Where to.
    pub sent_to: String,
    /// What went wrong.
    pub error: Option<String>,
}

/// A schedule, with what names it.
macro_rules! schedules {
    ($rest:literal) => {
        concat!(
            "select s.id, s.name, s.source, s.what, s.mode, s.whose, s.application_id, s.role_id, s.person_id, s.whose_key,
               case when s.application_id is not null then a.name when s.role_id is not null then ra.name || ' ' || r.name
                 when s.person_id is not null then p.display_name else s.whose_key end as whose_name,
               s.period, s.every, s.on_day, s.at_minute, s.place, s.sent_to, s.is_on, m.display_name as made_by, s.made_at, s.changed_at, s.next_at
             from evidence_schedule s left join application a on a.id = s.application_id left join role r on r.id = s.role_id
             left join application ra on ra.id = r.application_id left join person p on p.id = s.person_id left join person m on m.id = s.made_by ",
            $rest
        )
    };
}

/// A run, with who had it run.
macro_rules! runs {
    ($rest:literal) => {
        concat!(
            "select n.id, n.schedule_id, n.due_at, p.display_name as asked_by, n.period_from, n.period_to, n.started_at, n.tries, n.next_at, n.finished_at,
               n.result, n.file, n.bytes, n.sha256, n.sent_to, n.error
             from evidence_run n left join person p on p.id = n.asked_by ",
            $rest
        )
    };
}

/// Schedules in the order in which they were made, after the one `after`, at most `most`.
///
/// # Errors
/// When the database fails.
pub async fn list(db: &Db, after: Option<Uuid>, most: i64) -> Result<Vec<ScheduleRow>, StoreError> {
    Ok(sqlx::query_as(schedules!("where ($1::uuid is null or s.id > $1) order by s.id limit $2")).bind(after).bind(most).fetch_all(&db.pool).await?)
}

/// One schedule.
///
/// # Errors
/// When the database fails.
pub async fn by_id(db: &Db, id: Uuid) -> Result<Option<ScheduleRow>, StoreError> {
    Ok(sqlx::query_as(schedules!("where s.id = $1")).bind(id).fetch_optional(&db.pool).await?)
}

/// One schedule, locked until the transaction ends.
///
/// # Errors
/// When the database fails.
pub async fn lock(tx: &mut Tx, id: Uuid) -> Result<Option<ScheduleRow>, StoreError> {
    Ok(sqlx::query_as(schedules!("where s.id = $1 for update of s")).bind(id).fetch_optional(&mut **tx).await?)
}

/// All that are on, and when each is due.
///
/// # Errors
/// When the database fails.
pub async fn running(db: &Db) -> Result<Vec<ScheduleRow>, StoreError> {
    Ok(sqlx::query_as(schedules!("where s.is_on order by s.next_at, s.id")).fetch_all(&db.pool).await?)
}

/// All that the settings made, whether or not they still stand there.
///
/// # Errors
/// When the database fails.
pub async fn of_settings(tx: &mut Tx) -> Result<Vec<ScheduleRow>, StoreError> {
    Ok(sqlx::query_as(schedules!("where s.source = 'settings' order by s.id for update of s")).fetch_all(&mut **tx).await?)
}

/// How many are on.
///
/// # Errors
/// When the database fails.
pub async fn count(tx: &mut Tx) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar("select count(*) from evidence_schedule where is_on").fetch_one(&mut **tx).await?)
}

/// Keeps a schedule. The transaction must also hold its event.
///
/// # Errors
/// [`StoreError::Refused`] by `evidence_schedule_by_name` when the name is another's.
pub async fn insert(tx: &mut Tx, id: Uuid, new: &NewSchedule<'_>, (source, made_by): (&str, Option<Uuid>), now: DateTime<Utc>) -> Result<(), StoreError> {
    sqlx::query(
        "insert into evidence_schedule (id, name, source, what, mode, whose, application_id, role_id, person_id, whose_key, period, every, on_day, at_minute, place, sent_to,
           is_on, made_by, made_at, changed_at, next_at) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $19, $20)",
    )
    .bind(id)
    .bind(new.name)
    .bind(source)
    .bind(new.what)
    .bind(new.mode)
    .bind(new.whose)
    .bind(new.ids.0)
    .bind(new.ids.1)
    .bind(new.ids.2)
    .bind(new.key)
    .bind(new.period)
    .bind(new.every)
    .bind(new.on_day)
    .bind(new.at_minute)
    .bind(new.place)
    .bind(new.sent_to)
    .bind(new.is_on)
    .bind(made_by)
    .bind(now)
    .bind(new.next_at)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Makes a schedule another in everything but whose it is. The transaction must also hold its event.
///
/// # Errors
/// [`StoreError::Refused`] by `evidence_schedule_by_name` when the name is another's.
pub async fn update(tx: &mut Tx, id: Uuid, new: &NewSchedule<'_>, now: DateTime<Utc>) -> Result<(), StoreError> {
    sqlx::query(
        "update evidence_schedule set name = $2, what = $3, mode = $4, whose = $5, application_id = $6, role_id = $7, person_id = $8, whose_key = $9, period = $10, every = $11,
           on_day = $12, at_minute = $13, place = $14, sent_to = $15, is_on = $16, changed_at = $17, next_at = $18 where id = $1",
    )
    .bind(id)
    .bind(new.name)
    .bind(new.what)
    .bind(new.mode)
    .bind(new.whose)
    .bind(new.ids.0)
    .bind(new.ids.1)
    .bind(new.ids.2)
    .bind(new.key)
    .bind(new.period)
    .bind(new.every)
    .bind(new.on_day)
    .bind(new.at_minute)
    .bind(new.place)
    .bind(new.sent_to)
    .bind(new.is_on)
    .bind(now)
    .bind(new.next_at)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Switches a schedule on or off. The transaction must also hold its event.
///
/// # Errors
/// When the database fails.
pub async fn switch(tx: &mut Tx, id: Uuid, on: bool, next_at: DateTime<Utc>, now: DateTime<Utc>) -> Result<(), StoreError> {
    sqlx::query("update evidence_schedule set is_on = $2, next_at = $3, changed_at = $4 where id = $1")
        .bind(id)
        .bind(on)
        .bind(next_at)
        .bind(now)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Sets when a schedule is due, if it still is at `was`: another worker may have been faster.
///
/// # Errors
/// When the database fails.
pub async fn due_next(tx: &mut Tx, id: Uuid, was: DateTime<Utc>, next_at: DateTime<Utc>) -> Result<bool, StoreError> {
    let done = sqlx::query("update evidence_schedule set next_at = $3 where id = $1 and is_on and next_at = $2")
        .bind(id)
        .bind(was)
        .bind(next_at)
        .execute(&mut **tx)
        .await?;
    Ok(done.rows_affected() > 0)
}

/// Adds a run; false when there is one of that time, or one that is not over.
///
/// # Errors
/// When the database fails.
pub async fn add_run(
    tx: &mut Tx,
    id: Uuid,
    (schedule, due_at, asked_by): (Uuid, DateTime<Utc>, Option<Uuid>),
    (from, to): (Option<DateTime<Utc>>, DateTime<Utc>),
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let done = sqlx::query(
        "insert into evidence_run (id, schedule_id, due_at, asked_by, period_from, period_to, made_at, next_at) values ($1, $2, $3, $4, $5, $6, $7, $7) on conflict do nothing",
    )
    .bind(id)
    .bind(schedule)
    .bind(due_at)
    .bind(asked_by)
    .bind(from)
    .bind(to)
    .bind(now)
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Whether a run of this schedule is not over.
///
/// # Errors
/// When the database fails.
pub async fn has_open(tx: &mut Tx, schedule: Uuid) -> Result<bool, StoreError> {
    Ok(sqlx::query_scalar("select exists (select 1 from evidence_run where schedule_id = $1 and finished_at is null)")
        .bind(schedule)
        .fetch_one(&mut **tx)
        .await?)
}

/// Claims the run that has waited longest and nobody works on, until `until`; a try more is counted.
///
/// # Errors
/// When the database fails.
pub async fn claim(db: &Db, token: Uuid, now: DateTime<Utc>, until: DateTime<Utc>) -> Result<Option<RunRow>, StoreError> {
    let claimed: Option<Uuid> = sqlx::query_scalar(
        "update evidence_run set lease_token = $1, lease_until = $3, tries = tries + 1, started_at = coalesce(started_at, $2) where id = (
           select id from evidence_run where finished_at is null and next_at <= $2 and (lease_until is null or lease_until <= $2) order by next_at, id limit 1 for update skip locked)
         returning id",
    )
    .bind(token)
    .bind(now)
    .bind(until)
    .fetch_optional(&db.pool)
    .await?;
    match claimed {
        Some(id) => run(db, id).await,
        None => Ok(None),
    }
}

/// Holds a claim until `until`; false when it is another's by now.
///
/// # Errors
/// When the database fails.
pub async fn hold(db: &Db, run: Uuid, token: Uuid, until: DateTime<Utc>) -> Result<bool, StoreError> {
    let done = sqlx::query("update evidence_run set lease_until = $3 where id = $1 and lease_token = $2 and finished_at is null")
        .bind(run)
        .bind(token)
        .bind(until)
        .execute(&db.pool)
        .await?;
    Ok(done.rows_affected() > 0)
}

/// Puts a run off until `next_at`, with what went wrong.
///
/// # Errors
/// When the database fails.
pub async fn again(db: &Db, run: Uuid, token: Uuid, next_at: DateTime<Utc>, error: &str) -> Result<(), StoreError> {
    sqlx::query(
        "update evidence_run set next_at = $3, error = $4, lease_until = null, lease_token = null where id = $1 and lease_token = $2 and finished_at is null",
    )
    .bind(run)
    .bind(token)
    .bind(next_at)
    .bind(error)
    .execute(&db.pool)
    .await?;
    Ok(())
}

/// Ends a run; false when it is over already, or claimed by another. The transaction must also hold its event.
///
/// # Errors
/// When the database fails.
pub async fn finish(tx: &mut Tx, run: Uuid, token: Option<Uuid>, outcome: &Outcome, now: DateTime<Utc>) -> Result<bool, StoreError> {
    let done = sqlx::query(
        "update evidence_run set finished_at = $3, result = $4, file = $5, bytes = $6, sha256 = $7, sent_to = $8, error = $9, next_at = null, lease_until = null, lease_token = null
         where id = $1 and lease_token is not distinct from $2 and finished_at is null",
    )
    .bind(run)
    .bind(token)
    .bind(now)
    .bind(outcome.result)
    .bind(&outcome.file)
    .bind(outcome.bytes)
    .bind(&outcome.sha256)
    .bind(&outcome.sent_to)
    .bind(&outcome.error)
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// One run.
///
/// # Errors
/// When the database fails.
pub async fn run(db: &Db, id: Uuid) -> Result<Option<RunRow>, StoreError> {
    Ok(sqlx::query_as(runs!("where n.id = $1")).bind(id).fetch_optional(&db.pool).await?)
}

/// The run of this schedule that is not over and nobody works on, locked.
///
/// # Errors
/// When the database fails.
pub async fn idle_run(tx: &mut Tx, schedule: Uuid, now: DateTime<Utc>) -> Result<Option<RunRow>, StoreError> {
    Ok(sqlx::query_as(runs!(
        "where n.schedule_id = $1 and n.asked_by is null and n.finished_at is null and (n.lease_until is null or n.lease_until <= $2) for update of n"
    ))
    .bind(schedule)
    .bind(now)
    .fetch_optional(&mut **tx)
    .await?)
}

/// Takes the claim off a run, so that it can be ended without one.
///
/// # Errors
/// When the database fails.
pub async fn release(tx: &mut Tx, run: Uuid) -> Result<(), StoreError> {
    sqlx::query("update evidence_run set lease_until = null, lease_token = null where id = $1 and finished_at is null").bind(run).execute(&mut **tx).await?;
    Ok(())
}

/// Runs of a schedule, newest first, after the one `after`, at most `most`.
///
/// # Errors
/// When the database fails.
pub async fn runs(db: &Db, schedule: Uuid, after: Option<Uuid>, most: i64) -> Result<Vec<RunRow>, StoreError> {
    Ok(sqlx::query_as(runs!("where n.schedule_id = $1 and ($2::uuid is null or n.id < $2) order by n.id desc limit $3"))
        .bind(schedule)
        .bind(after)
        .bind(most)
        .fetch_all(&db.pool)
        .await?)
}

/// The newest run of each of these schedules.
///
/// # Errors
/// When the database fails.
pub async fn newest_runs(db: &Db, schedules: &[Uuid]) -> Result<Vec<RunRow>, StoreError> {
    Ok(sqlx::query_as(runs!(
        "join lateral (select o.id from unnest($1::uuid[]) as s (id) cross join lateral (select r.id from evidence_run r where r.schedule_id = s.id order by r.id desc limit 1) o) l on l.id = n.id"
    ))
    .bind(schedules)
    .fetch_all(&db.pool)
    .await?)
}
