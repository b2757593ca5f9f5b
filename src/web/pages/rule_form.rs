//! One entry of the rules as a form.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;

use crate::domain::event::Channel;
use crate::service::catalog_file::words::Line;
use crate::service::rule_form::change::{self, Kept, Looked, Opened};
use crate::service::rule_form::shape::Kind;
use crate::service::rule_form::sheet::Form;
use crate::web::error;
use crate::web::flash::page_of;
use crate::web::form::{failed, slowly};
use crate::web::guard::{Administrator, Auditor};
use crate::web::state::App;
use crate::web::upload::Uploaded;
use crate::web::view::{self, Amount as _, Frame, Words as _};

use super::rule_list::kind_of;
use super::rule_pieces::{self, Piece, pieces};
use super::rules::done;

/// The largest form, in bytes: a policy with everything that it may have.
pub const LARGEST: usize = 1 << 20;

/// The form.
#[derive(Template)]
#[template(path = "pages/rule_form.html")]
pub struct RuleFormPage {
    /// What is around it.
    pub frame: Frame,
    /// What the entry is.
    pub kind: Kind,
    /// Its key in addresses; none for a new one.
    pub key: Option<String>,
    /// Its name.
    pub name: String,
    /// The fields; empty for whoever only reads.
    pub pieces: Vec<Piece>,
    /// Stands for the entry that the form was opened with.
    pub base: String,
    /// What it says in words.
    pub words: Vec<Line>,
    /// What it would come to, once that was asked.
    pub looked: Option<Looked>,
    /// Whether the entry in force is another by now.
    pub overtaken: bool,
    /// Whether what it would change is not what was seen before.
    pub moved: bool,
    /// Whether a second person decides here.
    pub by_two: bool,
}

impl RuleFormPage {
    /// Where the form is sent.
    pub fn action(&self) -> String {
        match &self.key {
            Some(key) => format!("/admin/rules/{}/{key}/edit", self.kind.word()),
            None => format!("/admin/rules/{}/new", self.kind.word()),
        }
    }

    /// The kind in the midst of a sentence.
    pub fn one(&self) -> String {
        rule_pieces::one(self.kind)
    }

    /// What is wrong with the entry as a whole.
    pub fn own_faults(&self) -> &[String] {
        self.looked.as_ref().and_then(|looked| looked.faults.get("")).map(Vec::as_slice).unwrap_or_default()
    }

    /// How many faults there are.
    pub fn faults(&self) -> usize {
        self.looked.as_ref().map_or(0, |looked| looked.review.faults.len())
    }

    /// Whether it can be saved as it was looked at.
    pub fn can_save(&self) -> bool {
        self.looked.as_ref().is_some_and(|looked| looked.review.faults.is_empty() && !looked.review.lines.is_empty())
    }
}

fn page(app: &App, frame: Frame, key: Option<String>, form: &Form, base: String) -> RuleFormPage {
    RuleFormPage {
        frame,
        kind: form.kind,
        key,
        name: crate::web::form::line(form.text("name")),
        pieces: Vec::new(),
        base,
        words: Vec::new(),
        looked: None,
        overtaken: false,
        moved: false,
        by_two: app.ctx.changing.require_second_person,
    }
}

/// `GET /admin/rules/{kind}/{key}/edit`: for auditors what it says, for administrators the form.
pub async fn get(State(app): State<App>, Auditor(viewer): Auditor, Path((kind, key)): Path<(String, String)>) -> Result<Response, Response> {
    let kind = kind_of(&kind)?;
    let Opened { form, base, words, options } = change::open(&app.ctx, &viewer.by(Channel::Web), kind, &key).await.map_err(failed)?;
    let frame = error::frame(&app, Some(&viewer), "changes");
    let drawn = if frame.is_administrator() { pieces(&form, false, &Default::default(), &options) } else { Vec::new() };
    Ok(page_of(&RuleFormPage { words, pieces: drawn, ..page(&app, frame, Some(key), &form, base) }))
}

/// `GET /admin/rules/{kind}/new`
pub async fn fresh(State(app): State<App>, Administrator(viewer): Administrator, Path(kind): Path<String>) -> Result<Response, Response> {
    let opened = change::blank(&app.ctx, &viewer.by(Channel::Web), kind_of(&kind)?).await.map_err(failed)?;
    let frame = error::frame(&app, Some(&viewer), "changes");
    let drawn = pieces(&opened.form, true, &Default::default(), &opened.options);
    Ok(page_of(&RuleFormPage { pieces: drawn, ..page(&app, frame, None, &opened.form, opened.base) }))
}

/// `POST /admin/rules/{kind}/new`
pub async fn make(State(app): State<App>, Administrator(viewer): Administrator, Path(kind): Path<String>, sent: Uploaded) -> Result<Response, Response> {
    sent_form(&app, &viewer, kind_of(&kind)?, None, sent).await
}

/// `POST /admin/rules/{kind}/{key}/edit`: adds or takes away a row, shows what the form comes to, or saves what was shown.
pub async fn post(
    State(app): State<App>,
    Administrator(viewer): Administrator,
    Path((kind, key)): Path<(String, String)>,
    sent: Uploaded,
) -> Result<Response, Response> {
    sent_form(&app, &viewer, kind_of(&kind)?, Some(key), sent).await
}

async fn sent_form(app: &App, viewer: &crate::service::sign_in::Viewer, kind: Kind, key: Option<String>, sent: Uploaded) -> Result<Response, Response> {
    let by = viewer.by(Channel::Web);
    slowly(app, &app.limits.act, &by)?;
    let (button, base, mark) = (sent.field("do").to_owned(), sent.field("base").to_owned(), sent.field("mark").to_owned());
    let mut form = Form::of(kind, &sent.0);
    // The key of what is there is in the address, and nowhere else.
    if let Some(key) = &key {
        match (kind, key.split_once('.')) {
            (Kind::Role, Some((application, role))) => {
                form.set("application", application);
                form.set("key", role);
            }
            _ => form.set("key", key),
        }
    }
    let frame = error::frame(app, Some(viewer), "changes");
    let is_new = key.is_none();
    let (looked, moved) = if form.act(&button) {
        let options = change::again(&app.ctx, &by, kind, key.as_deref(), &base).await.map_err(failed)?;
        let drawn = pieces(&form, is_new, &Default::default(), &options.options);
        return Ok(page_of(&RuleFormPage { overtaken: options.overtaken, pieces: drawn, ..page(app, frame, key, &form, base) }));
    } else if button == "save" {
        match change::save(&app.ctx, &by, (key.as_deref(), &form), (&base, &mark)).await.map_err(failed)? {
            Kept::Done(outcome) => return Ok(done(app, &outcome)),
            Kept::Look(looked) => (*looked, true),
        }
    } else {
        (change::look(&app.ctx, &by, (key.as_deref(), &form), &base).await.map_err(failed)?, false)
    };
    let drawn = pieces(&form, is_new, &looked.faults, &looked.options);
    let plain = page(app, frame, key, &form, base);
    Ok(page_of(&RuleFormPage { words: looked.words.clone(), overtaken: looked.overtaken, moved, pieces: drawn, looked: Some(looked), ..plain }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::catalog_file::places::Fault;
    use crate::service::change::review::Review;
    use crate::service::look::change::DiffLine;
    use crate::service::rule_form::sheet::Pairs;
    use crate::web::proof::*;

    fn options(says: Says) -> change::Options {
        Kind::ALL.iter().map(|(kind, ..)| (*kind, vec![("standard".to_owned(), says.of("Standard")), ("other".to_owned(), says.of("Other"))])).collect()
    }

    /// A form of this kind with everything in it.
    fn full(says: Says, kind: Kind) -> Form {
        let mut all: Pairs = Vec::new();
        for path in ["rules", "step", "auto", "field", "policies", "for"] {
            for row in 0..2 {
                for name in [
                    "name",
                    "effect",
                    "key",
                    "label",
                    "policy",
                    "attribute",
                    "all.0.attribute",
                    "all.1.values",
                    "slots.0.approvals",
                    "slots.0.from.1.source",
                    "when.conditions.0.values",
                    "escalate.to.0.called",
                ] {
                    all.push((format!("{path}.{row}.{name}"), says.of("typed")));
                }
            }
        }
        for name in ["key", "name", "description", "owner", "group", "profile", "durations.maximum", "ticket.says", "a", "b", "risk", "extension.most"] {
            all.push((name.to_owned(), says.of("typed")));
        }
        Form::of(kind, &all)
    }

    fn sample(says: Says, kind: Kind, looked: Option<Looked>) -> RuleFormPage {
        let form = full(says, kind);
        let faults = looked.as_ref().map(|looked| looked.faults.clone()).unwrap_or_default();
        RuleFormPage {
            frame: frame(says, As::Administrator, "changes"),
            kind,
            key: Some("standard".into()),
            name: says.of("Standard"),
            pieces: pieces(&form, false, &faults, &options(says)),
            base: "b".into(),
            words: vec![("name".into(), says.of("Standard")), ("maximum".into(), says.of("30 days"))],
            looked,
            overtaken: false,
            moved: false,
            by_two: true,
        }
    }

    #[test]
    fn every_kind_has_a_form_whose_every_field_is_named() {
        for (kind, word, ..) in Kind::ALL {
            for (name, says) in [("plain", Says::Plain), ("hostile", Says::Hostile)] {
                let page = Rendered::of(&format!("rule-form-{word}-{name}"), &sample(says, kind, None));
                assert!(page.all("img").is_empty() && page.all("button[value=save]").is_empty());
                assert_eq!(page.one("#f-key").attr("readonly"), Some(""), "{word}");
                assert!(page.posts_to(&format!("/admin/rules/{word}/standard/edit")) && page.posts_to(&format!("/admin/rules/{word}/standard/retire")));
                // A line break in a field would send another button than the one that shows.
                assert_eq!(page.all("form.ruleform button[type=submit]")[0].attr("value"), Some("show"), "{word}");
            }
        }
    }

    #[test]
    fn faults_stand_beside_their_fields() {
        let faults = [
            ("durations.maximum".to_owned(), vec!["Not a duration.".to_owned()]),
            ("auto.1".to_owned(), vec!["Never applies.".to_owned()]),
            (String::new(), vec!["Whole.".into()]),
        ];
        let fault = || Fault { line: 1, column: 1, sentence: "Not a duration.".into() };
        let looked = Looked {
            review: Review { lines: vec![], faults: vec![fault(), fault(), fault()], mark: "m".into() },
            faults: faults.into(),
            elsewhere: vec![(Some((Kind::Role, "orders-db.reader".into())), "Somebody is disabled.".into()), (None, "Else.".into())],
            ..Looked::default()
        };
        let page = Rendered::of("rule-form-faults", &sample(Says::Plain, Kind::Policy, Some(looked)));
        let input = page.one("#f-durations-maximum");
        assert_eq!((input.attr("aria-invalid"), input.attr("aria-describedby")), (Some("true"), Some("f-durations-maximum-fault")));
        assert!(page.text("#f-durations-maximum-fault").contains("Not a duration.") && page.text("#f-auto-1").contains("Never applies."));
        assert!(page.says("Somebody is disabled.") && page.all("a[href='/admin/rules/role/orders-db.reader/edit']").len() == 1);
        assert!(page.all("button[value=save]").is_empty(), "nothing faulty can be saved");
    }

    #[test]
    fn what_it_says_and_changes_is_shown_before_it_can_be_saved() {
        let line = DiffLine { mark: "changed", title: "policy standard v1 -> v2".into(), details: vec!["maximum: 30 days -> 60 days".into()] };
        let looked = Looked { review: Review { lines: vec![line], faults: vec![], mark: "m1".into() }, ..Looked::default() };
        let mut sample = sample(Says::Plain, Kind::Policy, Some(looked));
        (sample.overtaken, sample.moved) = (true, true);
        let page = Rendered::of("rule-form-diff", &sample);
        assert!(page.says("maximum: 30 days -> 60 days") && page.says("30 days") && page.says("changed since"));
        assert_eq!((page.one("input[name=mark]").attr("value"), page.one("input[name=base]").attr("value")), (Some("m1"), Some("b")));
        assert_eq!(page.text("button[value=save]"), "Propose it");
    }

    #[test]
    fn auditors_read_what_it_says_and_have_nothing_to_send() {
        let mut page = sample(Says::Plain, Kind::Policy, None);
        (page.frame, page.pieces) = (frame(Says::Plain, As::Auditor, "changes"), vec![]);
        let page = Rendered::of("rule-form-auditor", &page);
        assert!(page.says("30 days") && page.all("main form").is_empty());
    }
}
