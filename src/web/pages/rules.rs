//! Rules: the whole set, read and changed as one file.

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Response};

use crate::domain::event::Channel;
use crate::service::change::review::{self, Review, Saved};
use crate::service::change::submit::Outcome;
use crate::service::rule_form::shape::Kind;
use crate::web::error;
use crate::web::flash::{Done, Told, page_of};
use crate::web::form::{failed, shown, slowly};
use crate::web::guard::{Administrator, Auditor};
use crate::web::state::App;
use crate::web::upload::Uploaded;
use crate::web::view::{self, Amount as _, Frame, Words as _};

use super::change::toml;

/// The largest form, in bytes: a catalog file of a megabyte with every character escaped.
pub const LARGEST: usize = 4 << 20;

/// The whole set as a file.
#[derive(Template)]
#[template(path = "pages/rules.html")]
pub struct RulesPage {
    /// What is around it.
    pub frame: Frame,
    /// The set as it is, or as it was typed.
    pub text: String,
    /// What it would change, once that was asked.
    pub review: Option<Review>,
    /// Whether a second person decides here.
    pub by_two: bool,
    /// Whether what it would change is not what was seen before.
    pub moved: bool,
}

impl RulesPage {
    /// What has forms of its own.
    pub fn kinds(&self) -> [(Kind, &'static str, &'static str, &'static str); 6] {
        Kind::ALL
    }

    /// The line of the text at a fault.
    pub fn line(&self, number: &usize) -> String {
        let line = self.text.lines().nth(number.saturating_sub(1)).unwrap_or_default();
        line.trim().cut(160)
    }
}

/// `GET /admin/rules`
pub async fn get(State(app): State<App>, Auditor(viewer): Auditor, told: Told) -> Result<Response, Response> {
    let text = review::text(&app.ctx, &viewer.by(Channel::Web)).await.map_err(failed)?;
    let frame = Frame { flash: told.flash(), ..error::frame(&app, Some(&viewer), "changes") };
    Ok(told.page(&app, &RulesPage { frame, text, review: None, by_two: app.ctx.changing.require_second_person, moved: false }))
}

/// `GET /admin/rules/catalog.toml`
pub async fn file(State(app): State<App>, Auditor(viewer): Auditor) -> Result<Response, Response> {
    Ok(toml(review::text(&app.ctx, &viewer.by(Channel::Web)).await.map_err(failed)?).into_response())
}

/// `POST /admin/rules`: shows what a text or a file would change; with the mark of what was shown, saves it.
pub async fn post(State(app): State<App>, Administrator(viewer): Administrator, sent: Uploaded) -> Result<Response, Response> {
    let by = viewer.by(Channel::Web);
    slowly(&app, &app.limits.act, &by)?;
    let uploaded = sent.field("file");
    let (text, source) = if uploaded.trim().is_empty() {
        (sent.field("text").replace("\r\n", "\n"), "the page Rules")
    } else {
        (uploaded.to_owned(), "a file on the page Rules")
    };
    let mark = sent.field("mark");
    let saving = sent.field("do") == "save" && uploaded.trim().is_empty();
    let (review, moved) = if saving {
        match review::save(&app.ctx, &by, (&text, source), mark).await.map_err(failed)? {
            Saved::Done(outcome) => return Ok(done(&app, &outcome)),
            Saved::Look(review) => (review, true),
        }
    } else {
        (review::review(&app.ctx, &by, &text).await.map_err(failed)?, false)
    };
    let by_two = app.ctx.changing.require_second_person;
    Ok(page_of(&RulesPage { frame: error::frame(&app, Some(&viewer), "changes"), text: shown(&text), review: Some(review), by_two, moved }))
}

/// Where one goes after a change was saved.
pub fn done(app: &App, outcome: &Outcome) -> Response {
    match outcome {
        Outcome::Applied { change, .. } => Done::ChangeApplied.then(app, &format!("/admin/changes/{change}")),
        Outcome::Proposed(change) => Done::ChangeProposed.then(app, &format!("/admin/changes/{change}")),
        Outcome::Nothing | Outcome::Faulty | Outcome::Moved => Done::ChangeNothing.then(app, "/admin/rules"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::catalog_file::places::Fault;
    use crate::service::look::change::DiffLine;
    use crate::web::proof::*;

    fn sample(says: Says, review: Option<Review>) -> RulesPage {
        RulesPage {
            frame: frame(says, As::Administrator, "changes"),
            text: says.of("[[role]]\nkey = \"x\"\nrisk = \"odd\"\n"),
            review,
            by_two: true,
            moved: false,
        }
    }

    #[test]
    fn faults_are_listed_with_their_lines_and_what_was_typed_is_kept() {
        let fault = Fault { line: 3, column: 8, sentence: "“odd” is no risk.".into() };
        let page = Rendered::of("rules-faults", &sample(Says::Plain, Some(Review { lines: vec![], faults: vec![fault], mark: "m".into() })));
        assert!(page.says("Line 3") && page.says("“odd” is no risk."));
        assert!(page.text("textarea").contains("risk = \"odd\""));
        assert!(page.all("button[value=save]").is_empty(), "nothing faulty can be saved");
    }

    #[test]
    fn what_changes_is_shown_before_it_can_be_saved() {
        assert!(Rendered::of("rules", &sample(Says::Plain, None)).all("button[value=save]").is_empty());
        let line = DiffLine { mark: "changed", title: "role a/b  B".into(), details: vec!["risk: low -> elevated".into()] };
        let page = Rendered::of("rules-diff", &sample(Says::Plain, Some(Review { lines: vec![line], faults: vec![], mark: "m1".into() })));
        assert!(page.says("risk: low -> elevated"));
        assert_eq!(page.one("input[name=mark]").attr("value"), Some("m1"));
        assert_eq!(page.all("button[value=save]").len(), 1);
    }

    #[test]
    fn hostile_text_stays_text_in_the_rules() {
        let line = DiffLine { mark: "new", title: Says::Hostile.of("x"), details: vec![Says::Hostile.of("y")] };
        let fault = Fault { line: 1, column: 1, sentence: Says::Hostile.of("z") };
        let page = Rendered::of("rules-hostile", &sample(Says::Hostile, Some(Review { lines: vec![line], faults: vec![fault], mark: "m".into() })));
        assert!(page.all("img").is_empty());
    }
}
