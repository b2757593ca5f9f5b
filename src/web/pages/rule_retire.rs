//! What taking an entry out of the rules would change.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;

use crate::domain::event::Channel;
use crate::service::rule_form::change::{self, Kept, Looked};
use crate::service::rule_form::shape::Kind;
use crate::web::error;
use crate::web::flash::page_of;
use crate::web::form::{failed, slowly};
use crate::web::guard::Administrator;
use crate::web::state::App;
use crate::web::upload::Uploaded;
use crate::web::view::{self, Amount as _, Frame, Words as _};

use super::rule_list::kind_of;
use super::rules::done;

/// The question.
#[derive(Template)]
#[template(path = "pages/rule_retire.html")]
pub struct RuleRetirePage {
    /// What is around it.
    pub frame: Frame,
    /// What the entry is.
    pub kind: Kind,
    /// Its key in addresses.
    pub key: String,
    /// What it would come to.
    pub looked: Looked,
    /// Whether that is not what was seen before.
    pub moved: bool,
    /// Whether a second person decides here.
    pub by_two: bool,
}

impl RuleRetirePage {
    /// The kind in the midst of a sentence.
    pub fn one(&self) -> String {
        super::rule_pieces::one(self.kind)
    }
}

/// `POST /admin/rules/{kind}/{key}/retire`: shows what it would change; with the mark of what was shown, saves it.
pub async fn post(
    State(app): State<App>,
    Administrator(viewer): Administrator,
    Path((kind, key)): Path<(String, String)>,
    sent: Uploaded,
) -> Result<Response, Response> {
    let by = viewer.by(Channel::Web);
    slowly(&app, &app.limits.act, &by)?;
    let kind = kind_of(&kind)?;
    let (looked, moved) = if sent.field("do") == "save" {
        match change::retire(&app.ctx, &by, kind, &key, sent.field("mark")).await.map_err(failed)? {
            Kept::Done(outcome) => return Ok(done(&app, &outcome)),
            Kept::Look(looked) => (*looked, true),
        }
    } else {
        (change::retiring(&app.ctx, &by, kind, &key).await.map_err(failed)?, false)
    };
    let (frame, by_two) = (error::frame(&app, Some(&viewer), "changes"), app.ctx.changing.require_second_person);
    Ok(page_of(&RuleRetirePage { frame, kind, key, looked, moved, by_two }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::catalog_file::places::Fault;
    use crate::service::change::review::Review;
    use crate::service::look::change::DiffLine;
    use crate::web::proof::*;

    fn sample(says: Says, faults: Vec<Fault>) -> RuleRetirePage {
        let line = DiffLine { mark: "retired", title: says.of("role orders-db/reader  Read-only"), details: vec![says.of("no longer offered")] };
        let elsewhere = faults.iter().map(|fault| (Some((Kind::Policy, "standard".to_owned())), fault.sentence.clone())).collect();
        let looked = Looked { review: Review { lines: vec![line], faults, mark: "m".into() }, elsewhere, ..Looked::default() };
        RuleRetirePage {
            frame: frame(says, As::Administrator, "changes"),
            kind: Kind::Role,
            key: "orders-db.reader".into(),
            looked,
            moved: false,
            by_two: false,
        }
    }

    #[test]
    fn what_retiring_changes_is_shown_before_it_is_done() {
        let page = Rendered::of("rule-retire", &sample(Says::Plain, vec![]));
        assert!(page.says("no longer offered"));
        assert_eq!(page.text("button[value=save]"), "Retire it");
        let fault = Fault { line: 3, column: 1, sentence: "There is no profile “x”.".into() };
        let page = Rendered::of("rule-retire-faulty", &sample(Says::Plain, vec![fault]));
        assert!(page.says("There is no profile") && page.all("button[value=save]").is_empty());
        assert_eq!(page.all("a[href='/admin/rules/policy/standard/edit']").len(), 1);
    }

    #[test]
    fn hostile_text_stays_text_when_something_is_retired() {
        let fault = Fault { line: 3, column: 1, sentence: Says::Hostile.of("x") };
        assert!(Rendered::of("rule-retire-hostile", &sample(Says::Hostile, vec![fault])).all("img").is_empty());
    }
}
