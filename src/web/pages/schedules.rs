//! Evidence by the clock: the list of schedules.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;

use crate::domain::event::Channel;
use crate::service::look::schedule::{self, Run, Schedules, advice};
use crate::service::look::shared::Cursor;
use crate::web::error;
use crate::web::flash::Told;
use crate::web::form::{Asked, failed};
use crate::web::guard::Auditor;
use crate::web::state::App;
use crate::web::view::{self, Amount as _, Frame, Moment as _, Words as _};

/// The list of schedules.
#[derive(Template)]
#[template(path = "pages/schedules.html")]
pub struct SchedulesPage {
    /// What is around it.
    pub frame: Frame,
    /// What it shows.
    pub schedules: Schedules,
}

/// Which page.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Which {
    after: Option<String>,
}

/// The state of a run in words, and its colour.
pub fn state(run: &Run) -> (&'static str, &'static str) {
    match (run.result.as_deref(), run.tries) {
        (Some("sent"), _) => ("Sent", "good"),
        (Some("linked"), _) => ("Told where to take it", "info"),
        (Some(_), _) => ("Failed", "bad"),
        (None, 0) => ("Begins", "info"),
        (None, 1) if run.error.is_none() => ("Under way", "info"),
        (None, _) => ("Tried again", "warn"),
    }
}

impl SchedulesPage {
    /// The state of a run in words, and its colour.
    pub fn state(&self, run: &Run) -> (&'static str, &'static str) {
        state(run)
    }

    /// What can be done about a run that was not sent.
    pub fn advice(&self, place: &str) -> &'static str {
        advice(place)
    }
}

/// `GET /evidence/schedules`
pub async fn get(State(app): State<App>, Auditor(viewer): Auditor, told: Told, Asked(which): Asked<Which>) -> Result<Response, Response> {
    let after = which.after.map(Cursor);
    let schedules = schedule::schedules(&app.ctx, &viewer.by(Channel::Web), after.as_ref()).await.map_err(failed)?;
    let frame = Frame { flash: told.flash(), ..error::frame(&app, Some(&viewer), "evidence") };
    Ok(told.page(&app, &SchedulesPage { frame, schedules }))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::service::look::schedule::ScheduleSeen;
    use crate::service::look::shared::Listing;
    use crate::web::proof::*;

    pub(crate) fn run(says: Says, n: u128, result: Option<&str>, tries: i32) -> Run {
        let sent = result == Some("sent");
        Run {
            id: id(n),
            schedule_id: id(1),
            due_at: ago(600),
            asked_by: n.is_multiple_of(2).then(|| says.of("Ines Moreau")),
            period_from: Some(ago(9 * 1440)),
            period_to: ago(2 * 1440),
            started_at: Some(ago(599)),
            tries,
            next_at: result.is_none().then(|| ahead(16)),
            finished_at: result.map(|_| ago(598)),
            result: result.map(Into::into),
            file: sent.then(|| "countersign_2026-11-09_2026-11-16_1a2b3c4d5e6f.zip".into()),
            bytes: sent.then_some(1_284_311),
            sha256: sent.then(|| "9f".repeat(32)),
            sent_to: Some(says.of("auditors/weekly")),
            error: (result != Some("sent")).then(|| says.of("the folder of schedules.folder is not there")),
        }
    }

    pub(crate) fn row(says: Says, n: u128, name: &str, place: &str, last: Option<Run>) -> ScheduleSeen {
        ScheduleSeen {
            id: id(n),
            name: says.of(name),
            of_settings: n == 3,
            made_by: (n != 3).then(|| says.of("Ines Moreau")),
            made_at: ago(90_000),
            changed_at: ago(80_000),
            what: if n == 2 { "grants".into() } else { "bundle".into() },
            mode: "raw".into(),
            whose: if n == 2 { "role".into() } else { "organisation".into() },
            of: (n == 2).then(|| says.of("Orders DB Read-only")),
            of_id: (n == 2).then(|| id(40)),
            period: "week".into(),
            period_says: "the week before",
            every: "week".into(),
            day: 1,
            at: "06:00".into(),
            when_says: "weekly on Monday at 06:00 UTC".into(),
            place: place.into(),
            sent_to: vec![says.of("auditors/weekly")],
            place_says: says.of("to the folder auditors/weekly"),
            is_on: n != 4,
            next_at: (n != 4).then(|| ahead(4000)),
            last,
        }
    }

    fn sample(says: Says, who: As) -> SchedulesPage {
        SchedulesPage {
            frame: frame(says, who, "evidence"),
            schedules: Schedules {
                rows: Listing {
                    rows: vec![
                        row(says, 1, "Weekly bundle for the auditors", "folder", Some(run(says, 11, Some("sent"), 1))),
                        row(says, 2, "Grants of Orders DB", "webhook", Some(run(says, 12, Some("failed"), 6))),
                        row(says, 3, "Quarterly, from the settings", "mail", Some(run(says, 13, None, 2))),
                        row(says, 4, "No longer needed", "folder", None),
                    ],
                    next: Some(Cursor("d".into())),
                },
                open: vec![("folder", "A folder beneath the one of the settings.".into())],
            },
        }
    }

    #[test]
    fn the_list_says_when_each_runs_next_and_what_came_of_the_last() {
        let page = Rendered::of("schedules", &sample(Says::Plain, As::Administrator));
        assert!(page.says("Weekly bundle for the auditors") && page.says("weekly on Monday at 06:00 UTC") && page.says("Off"));
        assert!(page.says("the folder of schedules.folder is not there") && page.says("run it now"));
        for (n, there) in [(1, true), (2, true), (3, true), (4, true)] {
            assert_eq!(page.posts_to(&format!("/evidence/schedules/{}/run", id(n))), there, "{n}");
        }
        assert_eq!(page.all("a[href='/evidence/schedules/new']").len(), 1);
    }

    #[test]
    fn auditors_see_and_change_nothing() {
        let page = Rendered::of("schedules-auditor", &sample(Says::Plain, As::Auditor));
        assert!(page.all("main form").is_empty() && page.all("a[href='/evidence/schedules/new']").is_empty());
        assert!(page.says("Weekly bundle for the auditors"));
    }

    #[test]
    fn without_schedules_or_places_the_page_says_what_to_do() {
        let mut page = sample(Says::Plain, As::Administrator);
        (page.schedules.rows, page.schedules.open) = (Listing::whole(vec![]), vec![]);
        let page = Rendered::of("schedules-empty", &page);
        assert!(page.says("schedules.folder") && page.says("No schedules"));
        assert!(page.all("a[href='/evidence/schedules/new']").is_empty());
    }

    #[test]
    fn hostile_text_stays_text_in_the_list() {
        assert!(Rendered::of("schedules-hostile", &sample(Says::Hostile, As::Administrator)).all("img").is_empty());
    }
}
