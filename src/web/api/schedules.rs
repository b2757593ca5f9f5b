//! Evidence by the clock: schedules and their runs.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::domain::schedule::Written;
use crate::service::look::schedule::{self as look, Run, ScheduleSeen};
use crate::service::schedule::make;
use crate::web::api::body::{Body, Id, Query};
use crate::web::api::caller::{ExportsRead, May, SchedulesWrite};
use crate::web::api::fields::Fields;
use crate::web::api::page::Page;
use crate::web::api::problem::{Problem, ProblemBody};
use crate::web::error::Failure;
use crate::web::state::App;

/// A schedule of evidence.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Schedule)]
pub struct ScheduleOut {
    /// Its id.
    pub id: Uuid,
    /// What it is called.
    pub name: String,
    /// `administrator`, or `settings`: that one is changed in the settings file alone.
    pub source: String,
    /// Who made it.
    pub made_by: Option<String>,
    /// When it was made.
    pub made_at: DateTime<Utc>,
    /// When it was last changed.
    pub changed_at: DateTime<Utc>,
    /// `bundle`, or a file: `grants`.
    pub what: String,
    /// `raw` or `safe`.
    pub mode: String,
    /// `organisation`, `application`, `role` or `person`.
    pub whose: String,
    /// Which application, role or person; null for the organisation, and for what the settings name by a key.
    pub of: Option<Uuid>,
    /// What that is called.
    pub of_name: Option<String>,
    /// `day`, `week`, `month`, `quarter` or `year`: the one before; or `moment`.
    pub period: String,
    /// `day`, `week`, `month` or `quarter`.
    pub every: String,
    /// The day of the week (1 is Monday) or of the month; null when daily.
    pub day: Option<i32>,
    /// The time, UTC.
    pub at: String,
    /// `folder`, `webhook` or `mail`.
    pub place: String,
    /// The path, the address, or the addresses.
    pub to: Vec<String>,
    /// Whether it is on.
    pub on: bool,
    /// When it runs next; null while it is off.
    pub next_at: Option<DateTime<Utc>>,
    /// Its newest run.
    pub last_run: Option<RunOut>,
}

/// A run of a schedule.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ScheduleRun)]
pub struct RunOut {
    /// Its id; a webhook gets it as `Idempotency-Key`.
    pub id: Uuid,
    /// When it was due.
    pub due_at: DateTime<Utc>,
    /// Who had it run; null: the clock.
    pub asked_by: Option<String>,
    /// From when; null: as of `to`.
    pub from: Option<DateTime<Utc>>,
    /// Until before when.
    pub to: DateTime<Utc>,
    /// When it was first tried.
    pub started_at: Option<DateTime<Utc>>,
    /// How often it was tried.
    pub tries: i32,
    /// When it is tried next; null when it is over.
    pub next_try_at: Option<DateTime<Utc>>,
    /// When it was over.
    pub finished_at: Option<DateTime<Utc>>,
    /// `sent`, `linked` (too large for a mail, which says where to take it) or `failed`; null while it is not over.
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

impl From<Run> for RunOut {
    fn from(run: Run) -> Self {
        Self {
            id: run.id,
            due_at: run.due_at,
            asked_by: run.asked_by,
            from: run.period_from,
            to: run.period_to,
            started_at: run.started_at,
            tries: run.tries,
            next_try_at: run.next_at,
            finished_at: run.finished_at,
            result: run.result,
            file: run.file,
            bytes: run.bytes,
            sha256: run.sha256,
            sent_to: run.sent_to,
            error: run.error,
        }
    }
}

impl From<ScheduleSeen> for ScheduleOut {
    fn from(seen: ScheduleSeen) -> Self {
        Self {
            id: seen.id,
            name: seen.name,
            source: if seen.of_settings { "settings" } else { "administrator" }.into(),
            made_by: seen.made_by,
            made_at: seen.made_at,
            changed_at: seen.changed_at,
            what: seen.what,
            mode: seen.mode,
            whose: seen.whose,
            of: seen.of_id,
            of_name: seen.of,
            period: seen.period,
            every: seen.every,
            day: (seen.day > 0).then_some(seen.day),
            at: seen.at,
            place: seen.place,
            to: seen.sent_to,
            on: seen.is_on,
            next_at: seen.next_at,
            last_run: seen.last.map(Into::into),
        }
    }
}

/// What a schedule is to do.
#[derive(Debug, Deserialize, ToSchema)]
#[allow(dead_code, reason = "read by name; here for the API's document")]
pub struct NewSchedule {
    /// What it is called; no two have the same name.
    pub name: String,
    /// `bundle`, or a file: `grants`.
    pub what: String,
    /// `raw` unless given, or `safe`.
    pub mode: Option<String>,
    /// `organisation` unless given, `application`, `role` or `person`.
    pub whose: Option<String>,
    /// Which application, role or person: id, key or login.
    pub of: Option<String>,
    /// `day`, `week`, `month`, `quarter` or `year`: the one before; for `access` also `moment`.
    pub period: String,
    /// `day`, `week`, `month` or `quarter`.
    pub every: String,
    /// The day of the week (`Monday`, or 1) or of the month, 1 to 28, as text; none when daily.
    pub day: Option<String>,
    /// The time, UTC: `06:00`.
    pub at: String,
    /// `folder`, `webhook` or `mail`.
    pub place: String,
    /// The path beneath `schedules.folder`, the address, or mail addresses with commas between.
    pub to: String,
}

/// Which page.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "read by name; here for the API's document")]
pub struct Narrow {
    /// Where the page before ended.
    after: Option<Uuid>,
    /// How many rows, 1 to 200; 50 unless told.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<i64>,
}

/// Whether it is to be on.
#[derive(Debug, Deserialize, ToSchema)]
#[allow(dead_code, reason = "read by name; here for the API's document")]
pub struct Switch {
    /// On, or off.
    pub on: bool,
}

fn written(body: &mut Fields) -> Written {
    let mut text = |field: &str| body.text(field).unwrap_or_default();
    Written {
        name: text("name"),
        what: text("what"),
        mode: text("mode"),
        whose: text("whose"),
        of: text("of"),
        period: text("period"),
        every: text("every"),
        day: text("day"),
        at: text("at"),
        place: text("place"),
        to: text("to"),
    }
}

/// List schedules
///
/// In the order in which they were made, each with its newest run; for auditors and administrators.
#[utoipa::path(get, path = "/api/v1/schedules", tag = "Schedules", params(Narrow), security(("token" = ["exports:read"])),
    responses((status = 200, description = "Schedules, a page at a time.", body = Page<ScheduleOut>), (status = "4XX", description = "A problem.", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn list(State(app): State<App>, caller: May<ExportsRead>, Query(mut query): Query) -> Result<Json<Page<ScheduleOut>>, Problem> {
    let (after, limit) = (query.id("after"), query.limit());
    query.done(())?;
    let page = look::listed(&app.ctx, &caller.by, after, limit).await?;
    Ok(Json(Page::of(page, |row| row.id.to_string(), ScheduleOut::from)))
}

/// Get a schedule
#[utoipa::path(get, path = "/api/v1/schedules/{schedule}", tag = "Schedules", params(("schedule" = Uuid, Path, description = "The schedule.")), security(("token" = ["exports:read"])),
    responses((status = 200, description = "The schedule.", body = ScheduleOut), (status = "4XX", description = "A problem.", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn get(State(app): State<App>, caller: May<ExportsRead>, Id(id): Id) -> Result<Json<ScheduleOut>, Problem> {
    Ok(Json(look::one(&app.ctx, &caller.by, id).await?.into()))
}

/// List the runs of a schedule
///
/// Newest first.
#[utoipa::path(get, path = "/api/v1/schedules/{schedule}/runs", tag = "Schedules", params(("schedule" = Uuid, Path, description = "The schedule."), Narrow), security(("token" = ["exports:read"])),
    responses((status = 200, description = "Runs, a page at a time.", body = Page<RunOut>), (status = "4XX", description = "A problem.", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn runs(State(app): State<App>, caller: May<ExportsRead>, Id(id): Id, Query(mut query): Query) -> Result<Json<Page<RunOut>>, Problem> {
    let (after, limit) = (query.id("after"), query.limit());
    query.done(())?;
    let page = look::runs(&app.ctx, &caller.by, id, after, limit).await?;
    Ok(Json(Page::of(page, |row| row.id.to_string(), RunOut::from)))
}

/// Make a schedule
///
/// For administrators. Where evidence may be sent is a matter of the settings (`docs/schedules.md`).
#[utoipa::path(post, path = "/api/v1/schedules", tag = "Schedules", params(("Idempotency-Key" = Option<String>, Header, description = "Any visible text that is new for each act.")),
    request_body = NewSchedule, security(("token" = ["schedules:write"])),
    responses((status = 201, description = "It is made, and on.", body = ScheduleOut), (status = "4XX", description = "A problem, with every fault; nothing was changed.", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn create(State(app): State<App>, caller: May<SchedulesWrite>, Body(mut body): Body) -> Result<(StatusCode, Json<ScheduleOut>), Problem> {
    if !caller.by.is_administrator {
        return Err(Failure::missing().into());
    }
    let written = written(&mut body);
    body.done(())?;
    let id = make::make(&app.ctx, &caller.by, &written, true).await?;
    Ok((StatusCode::CREATED, Json(look::one(&app.ctx, &caller.by, id).await?.into())))
}

/// Change a schedule
///
/// To what is given, all of it. For administrators; one from the settings is changed there alone.
#[utoipa::path(post, path = "/api/v1/schedules/{schedule}/change", tag = "Schedules", params(("schedule" = Uuid, Path, description = "The schedule."), ("Idempotency-Key" = Option<String>, Header, description = "Any visible text that is new for each act.")),
    request_body = NewSchedule, security(("token" = ["schedules:write"])),
    responses((status = 200, description = "The schedule as it is now.", body = ScheduleOut), (status = "4XX", description = "A problem, with every fault; nothing was changed.", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn change(State(app): State<App>, caller: May<SchedulesWrite>, Id(id): Id, Body(mut body): Body) -> Result<Json<ScheduleOut>, Problem> {
    if !caller.by.is_administrator {
        return Err(Failure::missing().into());
    }
    let written = written(&mut body);
    body.done(())?;
    make::change(&app.ctx, &caller.by, id, &written).await?;
    Ok(Json(look::one(&app.ctx, &caller.by, id).await?.into()))
}

/// Switch a schedule on or off
///
/// What was missed while it was off is not caught up. For administrators; one from the settings is switched there alone.
#[utoipa::path(post, path = "/api/v1/schedules/{schedule}/switch", tag = "Schedules", params(("schedule" = Uuid, Path, description = "The schedule."), ("Idempotency-Key" = Option<String>, Header, description = "Any visible text that is new for each act.")),
    request_body = Switch, security(("token" = ["schedules:write"])),
    responses((status = 200, description = "The schedule as it is now.", body = ScheduleOut), (status = "4XX", description = "A problem; nothing was changed.", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn switch(State(app): State<App>, caller: May<SchedulesWrite>, Id(id): Id, Body(mut body): Body) -> Result<Json<ScheduleOut>, Problem> {
    if !caller.by.is_administrator {
        return Err(Failure::missing().into());
    }
    let on = body.truth("on");
    let on = body.done_with("on", on)?;
    make::switch(&app.ctx, &caller.by, id, on).await?;
    Ok(Json(look::one(&app.ctx, &caller.by, id).await?.into()))
}

/// Run a schedule now
///
/// Of the period before this moment. The worker does it; its runs say what came of it. For administrators; also one from the settings, and one that is off.
#[utoipa::path(post, path = "/api/v1/schedules/{schedule}/run", tag = "Schedules", params(("schedule" = Uuid, Path, description = "The schedule."), ("Idempotency-Key" = Option<String>, Header, description = "Any visible text that is new for each act.")),
    security(("token" = ["schedules:write"])),
    responses((status = 202, description = "It is due; the newest run is that one.", body = ScheduleOut), (status = "4XX", description = "A problem; nothing was changed.", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn run(State(app): State<App>, caller: May<SchedulesWrite>, Id(id): Id, Body(body): Body) -> Result<(StatusCode, Json<ScheduleOut>), Problem> {
    body.done(())?;
    make::run_now(&app.ctx, &caller.by, id).await?;
    Ok((StatusCode::ACCEPTED, Json(look::one(&app.ctx, &caller.by, id).await?.into())))
}
