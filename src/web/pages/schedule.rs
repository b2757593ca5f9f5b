//! One schedule of evidence: what it does, and its runs.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use uuid::Uuid;

use crate::domain::event::Channel;
use crate::service::error::ServiceError;
use crate::service::look::schedule::{self, Run, ScheduleWhole, advice};
use crate::service::look::shared::Cursor;
use crate::service::schedule::make;
use crate::web::error::{self, Failure};
use crate::web::flash::{Done, Told};
use crate::web::form::{Asked, Id, Sent, failed, slowly};
use crate::web::guard::{Administrator, Auditor};
use crate::web::pages::schedules::state;
use crate::web::state::App;
use crate::web::view::{self, Amount as _, Frame, Moment as _, Words as _};

/// A schedule.
#[derive(Template)]
#[template(path = "pages/schedule.html")]
pub struct SchedulePage {
    /// What is around it.
    pub frame: Frame,
    /// What it shows.
    pub whole: ScheduleWhole,
}

impl SchedulePage {
    /// The state of a run in words, and its colour.
    pub fn state(&self, run: &Run) -> (&'static str, &'static str) {
        state(run)
    }

    /// What can be done about a run that was not sent.
    pub fn advice(&self) -> &'static str {
        advice(&self.whole.schedule.place)
    }

    /// The period of a run in words.
    pub fn period(&self, run: &Run) -> String {
        match run.period_from {
            Some(from) => format!("{} to before {}", from.format("%Y-%m-%d"), run.period_to.format("%Y-%m-%d")),
            None => format!("as of {}", run.period_to.format("%Y-%m-%d %H:%M")),
        }
    }
}

/// Which page of the runs.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Which {
    after: Option<String>,
}

/// `GET /evidence/schedules/{id}`
pub async fn get(State(app): State<App>, Auditor(viewer): Auditor, told: Told, Id(id): Id, Asked(which): Asked<Which>) -> Result<Response, Response> {
    let after = which.after.map(Cursor);
    let whole = schedule::whole(&app.ctx, &viewer.by(Channel::Web), id, after.as_ref()).await.map_err(failed)?;
    let frame = Frame { flash: told.flash(), ..error::frame(&app, Some(&viewer), "evidence") };
    Ok(told.page(&app, &SchedulePage { frame, whole }))
}

/// Whether it is to be on.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Switching {
    on: String,
}

/// `POST /evidence/schedules/{id}/switch`
pub async fn switch(State(app): State<App>, Administrator(viewer): Administrator, Id(id): Id, Sent(form): Sent<Switching>) -> Result<Response, Response> {
    let by = viewer.by(Channel::Web);
    slowly(&app, &app.limits.act, &by)?;
    let on = match form.on.as_str() {
        "yes" => true,
        "no" => false,
        _ => return Err(failed(Failure::bad_input("“on” must be yes or no."))),
    };
    make::switch(&app.ctx, &by, id, on).await.map_err(|error| back(error, id))?;
    Ok(if on { Done::ScheduleOn } else { Done::ScheduleOff }.then(&app, &format!("/evidence/schedules/{id}")))
}

/// `POST /evidence/schedules/{id}/run`
pub async fn run(State(app): State<App>, Administrator(viewer): Administrator, Id(id): Id) -> Result<Response, Response> {
    let by = viewer.by(Channel::Web);
    slowly(&app, &app.limits.act, &by)?;
    make::run_now(&app.ctx, &by, id).await.map_err(|error| back(error, id))?;
    Ok(Done::ScheduleRunDue.then(&app, &format!("/evidence/schedules/{id}")))
}

/// A failure with the way back to the schedule.
fn back(error: ServiceError, id: Uuid) -> Response {
    match error {
        ServiceError::Missing => failed(error),
        other => failed(Failure { link: Some((format!("/evidence/schedules/{id}"), "Back to the schedule".into())), ..other.into() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::look::shared::Listing;
    use crate::web::pages::schedules::tests::{row, run};
    use crate::web::proof::*;

    fn sample(says: Says, who: As) -> SchedulePage {
        let runs = vec![
            run(says, 15, None, 0),
            run(says, 14, None, 3),
            run(says, 13, Some("failed"), 6),
            run(says, 12, Some("linked"), 1),
            run(says, 11, Some("sent"), 1),
        ];
        let schedule = row(says, 1, "Weekly bundle for the auditors", "folder", None);
        SchedulePage { frame: frame(says, who, "evidence"), whole: ScheduleWhole { schedule, runs: Listing { rows: runs, next: Some(Cursor("d".into())) } } }
    }

    #[test]
    fn a_schedule_shows_its_runs_and_can_be_run_changed_and_switched_off() {
        let page = Rendered::of("schedule", &sample(Says::Plain, As::Administrator));
        assert!(page.posts_to(&format!("/evidence/schedules/{}/run", id(1))) && page.posts_to(&format!("/evidence/schedules/{}/switch", id(1))));
        assert_eq!(page.all(&format!("a[href='/evidence/schedules/{}/edit']", id(1))).len(), 1);
        assert_eq!(page.all("table.runs tbody tr").len(), 5);
        assert!(page.says("Ines Moreau") && page.says("1 284 311") && page.says(&"9f".repeat(32)));
    }

    #[test]
    fn one_from_the_settings_is_changed_there_and_auditors_press_nothing() {
        let mut page = sample(Says::Plain, As::Administrator);
        page.whole.schedule.of_settings = true;
        let page = Rendered::of("schedule-settings", &page);
        assert!(!page.posts_to(&format!("/evidence/schedules/{}/switch", id(1))) && page.posts_to(&format!("/evidence/schedules/{}/run", id(1))));
        assert!(page.says("settings file"));
        assert!(Rendered::of("schedule-auditor", &sample(Says::Plain, As::Auditor)).all("main form").is_empty());
    }

    #[test]
    fn hostile_text_stays_text_in_a_schedule() {
        assert!(Rendered::of("schedule-hostile", &sample(Says::Hostile, As::Administrator)).all("img").is_empty());
    }
}
