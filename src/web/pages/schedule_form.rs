//! Make or change a schedule of evidence.

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use uuid::Uuid;

use crate::domain::event::Channel;
use crate::domain::policy::FieldFault;
use crate::domain::refusal::Refusal;
use crate::domain::schedule::{WEEKDAYS, Written};
use crate::service::error::ServiceError;
use crate::service::look::schedule::{self, What};
use crate::service::schedule::make;
use crate::web::error::{self, Failure};
use crate::web::flash::{Done, page_of};
use crate::web::form::{Id, Sent, failed, shown, slowly};
use crate::web::guard::Administrator;
use crate::web::state::App;
use crate::web::view::{self, Amount as _, Frame, Words as _};

/// The form of a schedule.
#[derive(Template)]
#[template(path = "pages/schedule_form.html")]
pub struct ScheduleFormPage {
    /// What is around it.
    pub frame: Frame,
    /// Which is changed; none: a new one.
    pub id: Option<Uuid>,
    /// What it is called now.
    pub called: String,
    /// What the form holds.
    pub typed: Written,
    /// What is wrong with it.
    pub faults: Vec<FieldFault>,
    /// What can be sent.
    pub whats: Vec<What>,
    /// Where to: word and what there is to know.
    pub open: Vec<(&'static str, String)>,
}

impl ScheduleFormPage {
    /// What is wrong with a field.
    pub fn fault(&self, field: &str) -> String {
        let sentences: Vec<&str> = self.faults.iter().filter(|fault| fault.field == field).map(|fault| fault.sentence.as_str()).collect();
        sentences.join(" ")
    }

    /// Where it is sent.
    pub fn action(&self) -> String {
        self.id.map_or_else(|| "/evidence/schedules/new".into(), |id| format!("/evidence/schedules/{id}/edit"))
    }

    /// The days to choose from: word and label.
    pub fn days(&self) -> Vec<(String, String)> {
        let named = (1..).zip(WEEKDAYS).map(|(n, day)| (n.to_string(), format!("{n}, {day}")));
        named.chain((8..=28).map(|n| (n.to_string(), n.to_string()))).collect()
    }
}

/// What the form sends.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Sending {
    name: String,
    what: String,
    mode: String,
    whose: String,
    of: String,
    period: String,
    every: String,
    day: String,
    at: String,
    place: String,
    to: String,
}

impl Sending {
    fn written(&self) -> Written {
        Written {
            name: shown(&self.name),
            what: shown(&self.what),
            mode: shown(&self.mode),
            whose: shown(&self.whose),
            of: shown(&self.of),
            period: shown(&self.period),
            every: shown(&self.every),
            // The form has one list of days; daily needs none.
            day: shown(&self.day),
            at: shown(&self.at),
            place: shown(&self.place),
            to: shown(&self.to),
        }
    }
}

fn page(
    app: &App,
    viewer: &crate::service::sign_in::Viewer,
    (id, called): (Option<Uuid>, String),
    typed: Written,
    faults: Vec<FieldFault>,
) -> ScheduleFormPage {
    ScheduleFormPage { frame: error::frame(app, Some(viewer), "evidence"), id, called, typed, faults, whats: schedule::whats(), open: app.ctx.places.open() }
}

/// `GET /evidence/schedules/new`
pub async fn fresh(State(app): State<App>, Administrator(viewer): Administrator) -> Result<Response, Response> {
    let text = |text: &str| text.to_owned();
    let typed = Written {
        what: text("bundle"),
        mode: text("raw"),
        whose: text("organisation"),
        period: text("week"),
        every: text("week"),
        day: text("1"),
        at: text("06:00"),
        place: app.ctx.places.open().first().map(|(word, _)| text(word)).unwrap_or_default(),
        ..Written::default()
    };
    Ok(page_of(&page(&app, &viewer, (None, String::new()), typed, vec![])))
}

/// `POST /evidence/schedules/new`
pub async fn make(State(app): State<App>, Administrator(viewer): Administrator, Sent(form): Sent<Sending>) -> Result<Response, Response> {
    let by = viewer.by(Channel::Web);
    slowly(&app, &app.limits.act, &by)?;
    let typed = form.written();
    match make::make(&app.ctx, &by, &typed, true).await {
        Ok(id) => Ok(Done::ScheduleMade.then(&app, &format!("/evidence/schedules/{id}"))),
        Err(error) => kept(&app, &viewer, (None, String::new()), typed, error),
    }
}

/// `GET /evidence/schedules/{id}/edit`
pub async fn get(State(app): State<App>, Administrator(viewer): Administrator, Id(id): Id) -> Result<Response, Response> {
    let seen = schedule::one(&app.ctx, &viewer.by(Channel::Web), id).await.map_err(failed)?;
    let typed = schedule::written(&seen);
    Ok(page_of(&page(&app, &viewer, (Some(id), seen.name), typed, vec![])))
}

/// `POST /evidence/schedules/{id}/edit`
pub async fn post(State(app): State<App>, Administrator(viewer): Administrator, Id(id): Id, Sent(form): Sent<Sending>) -> Result<Response, Response> {
    let by = viewer.by(Channel::Web);
    slowly(&app, &app.limits.act, &by)?;
    let seen = schedule::one(&app.ctx, &by, id).await.map_err(failed)?;
    let typed = form.written();
    match make::change(&app.ctx, &by, id, &typed).await {
        Ok(()) => Ok(Done::ScheduleChanged.then(&app, &format!("/evidence/schedules/{id}"))),
        Err(error) => kept(&app, &viewer, (Some(id), seen.name), typed, error),
    }
}

/// The form again with what was typed and what is wrong with it.
#[allow(clippy::result_large_err, reason = "the answer itself, sent on as it is")]
fn kept(app: &App, viewer: &crate::service::sign_in::Viewer, which: (Option<Uuid>, String), typed: Written, error: ServiceError) -> Result<Response, Response> {
    match error {
        ServiceError::Refused(Refusal::Faults(faults)) => {
            let page = page(app, viewer, which, typed, faults.clone());
            Ok(Failure::from(Refusal::Faults(faults)).shown_as(page_of(&page)).into_response())
        }
        other => Err(failed(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::proof::*;

    fn sample(says: Says) -> ScheduleFormPage {
        ScheduleFormPage {
            frame: frame(says, As::Administrator, "evidence"),
            id: None,
            called: String::new(),
            typed: Written {
                name: says.of("Weekly"),
                what: "grants".into(),
                every: "month".into(),
                day: "28".into(),
                at: "06:00".into(),
                place: "mail".into(),
                to: says.of("a@x.de"),
                ..Written::default()
            },
            faults: vec![],
            whats: schedule::whats(),
            open: vec![("folder", "A folder beneath the one of the settings.".into()), ("mail", says.of("Addresses at example.com."))],
        }
    }

    #[test]
    fn the_form_offers_what_can_be_and_where_the_settings_allow() {
        let page = Rendered::of("schedule-form", &sample(Says::Plain));
        assert_eq!(page.all("#what option").len(), 15);
        assert_eq!(page.all("input[name=place]").len(), 2);
        assert_eq!(page.one("#what option[selected]").attr("value"), Some("grants"));
        assert_eq!(page.one("#day option[selected]").attr("value"), Some("28"));
        assert!(page.posts_to("/evidence/schedules/new"));
    }

    #[test]
    fn what_is_wrong_stands_at_its_field_and_what_was_typed_stays() {
        let mut page = sample(Says::Hostile);
        let fault = |field: &str, sentence: &str| FieldFault { field: field.into(), sentence: sentence.into() };
        page.faults = vec![fault("name", "Another schedule has this name."), fault("to", "It is no address."), fault("schedule", "200 schedules are on.")];
        (page.id, page.called) = (Some(id(7)), Says::Hostile.of("Weekly"));
        let page = Rendered::of("schedule-form-hostile", &page);
        assert_eq!(page.one("#name").attr("value"), Some(Says::Hostile.of("Weekly").as_str()));
        assert_eq!(page.text("#fault-name"), "Another schedule has this name.");
        assert_eq!(page.text("#fault-to"), "It is no address.");
        assert!(page.says("200 schedules are on.") && page.all("img").is_empty());
        assert!(page.posts_to(&format!("/evidence/schedules/{}/edit", id(7))));
    }
}
