//! Import: groups that are there become roles.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;

use crate::domain::event::Channel;
use crate::service::change::review::Saved;
use crate::service::ctx::By;
use crate::service::import::choose::{self, Chosen, Preview, Wish};
use crate::service::import::list::{self, GroupRow, Groups};
use crate::service::run_now::{self, What};
use crate::web::error::{self, Failure};
use crate::web::flash::{Done, Told, page_of};
use crate::web::form::{Asked, Sent, failed, line, slowly};
use crate::web::guard::{Administrator, Auditor};
use crate::web::state::App;
use crate::web::view::{self, Amount as _, Frame, Moment as _, Words as _};

use super::rules::done;

/// The groups of a directory, and what those that are chosen would become.
#[derive(Template)]
#[template(path = "pages/import.html")]
pub struct ImportPage {
    /// What is around it.
    pub frame: Frame,
    /// Key of the directory.
    pub key: String,
    /// What is searched for.
    pub q: String,
    /// The groups.
    pub groups: Groups,
    /// What is chosen, and where it goes.
    pub wish: Wish,
    /// What it would come to, once that was asked.
    pub preview: Option<Preview>,
    /// Whether a second person decides here.
    pub by_two: bool,
    /// Whether what it would change is not what was seen before.
    pub moved: bool,
}

impl ImportPage {
    /// Whether this group is chosen.
    pub fn is_chosen(&self, reference: &str) -> bool {
        self.wish.groups.iter().any(|chosen| chosen == reference)
    }

    /// Why a group cannot be chosen; empty when it can.
    pub fn why_not(&self, row: &GroupRow) -> String {
        match (&row.read_only, &row.role) {
            (Some(why), _) => format!("Its membership cannot be changed: {}.", why.trim_end_matches('.')),
            (None, Some(role)) => format!("Gives {role} already."),
            (None, None) => String::new(),
        }
    }

    /// Chosen groups that are not on this page.
    pub fn elsewhere(&self) -> Vec<&String> {
        self.wish.groups.iter().filter(|chosen| !self.groups.rows.iter().any(|row| row.reference == **chosen)).collect()
    }

    /// How many members are not shown.
    pub fn rest(&self, group: &Chosen) -> String {
        i64::try_from(group.members.saturating_sub(group.shown.len())).unwrap_or_default().count()
    }

    /// Where the next page begins.
    pub fn next(&self) -> Option<(&str, &str)> {
        self.groups.rows.last().filter(|_| self.groups.more).map(|row| (row.name.as_str(), row.reference.as_str()))
    }

    /// What is wrong with a field.
    pub fn faults(&self, field: &str) -> Vec<&str> {
        self.preview.iter().flat_map(|preview| &preview.faults).filter(|fault| fault.field == field).map(|fault| fault.sentence.as_str()).collect()
    }
}

/// What was sent, by a link or a form.
struct Asking {
    q: String,
    after: Option<(String, String)>,
    wish: Wish,
    act: String,
    mark: String,
}

impl Asking {
    fn read(pairs: &[(String, String)]) -> Self {
        let one = |name: &str| pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str()).unwrap_or_default();
        let mut groups: Vec<String> = pairs.iter().filter(|(key, value)| key == "group" && !value.is_empty()).map(|(_, value)| value.clone()).collect();
        groups.sort();
        groups.dedup();
        groups.truncate(choose::MOST + 1);
        let (name, reference) = (one("after_name"), one("after"));
        Self {
            q: line(one("q")),
            after: (!reference.is_empty()).then(|| (name.to_owned(), reference.to_owned())),
            wish: Wish { groups, application: line(one("application")), name: line(one("name")), owner: line(one("owner")) },
            act: one("do").to_owned(),
            mark: one("mark").to_owned(),
        }
    }
}

async fn groups(app: &App, by: &By, key: &str, asking: &Asking) -> Result<Groups, Response> {
    let after = asking.after.as_ref().filter(|_| asking.act != "search").map(|(name, reference)| (name.as_str(), reference.as_str()));
    list::groups(&app.ctx, by, key, &asking.q, after).await.map_err(failed)
}

/// `GET /directories/{key}/import`
pub async fn get(
    State(app): State<App>,
    Auditor(viewer): Auditor,
    told: Told,
    Path(key): Path<String>,
    Asked(pairs): Asked<Vec<(String, String)>>,
) -> Result<Response, Response> {
    let by = viewer.by(Channel::Web);
    slowly(&app, &app.limits.search, &by)?;
    let asking = Asking::read(&pairs);
    let groups = groups(&app, &by, &key, &asking).await?;
    let frame = Frame { flash: told.flash(), ..error::frame(&app, Some(&viewer), "directories") };
    let by_two = app.ctx.changing.require_second_person;
    Ok(told.page(&app, &ImportPage { frame, key, q: asking.q, groups, wish: asking.wish, preview: None, by_two, moved: false }))
}

/// `POST /directories/{key}/import`: looks on, shows what the chosen groups would become, or with the mark of what was shown does it.
pub async fn post(
    State(app): State<App>,
    Administrator(viewer): Administrator,
    Path(key): Path<String>,
    Sent(pairs): Sent<Vec<(String, String)>>,
) -> Result<Response, Response> {
    let by = viewer.by(Channel::Web);
    slowly(&app, &app.limits.act, &by)?;
    let asking = Asking::read(&pairs);
    let (preview, moved) = match asking.act.as_str() {
        "save" => match choose::import(&app.ctx, &by, &key, &asking.wish, &asking.mark).await.map_err(failed)? {
            Ok(Saved::Done(outcome)) => return Ok(done(&app, &outcome)),
            Ok(Saved::Look(_)) => return Err(failed(Failure::missing())),
            Err(preview) => (Some(preview), true),
        },
        "preview" => (Some(choose::preview(&app.ctx, &by, &key, &asking.wish).await.map_err(failed)?), false),
        _ => (None, false),
    };
    let groups = groups(&app, &by, &key, &asking).await?;
    let by_two = app.ctx.changing.require_second_person;
    Ok(page_of(&ImportPage { frame: error::frame(&app, Some(&viewer), "directories"), key, q: asking.q, groups, wish: asking.wish, preview, by_two, moved }))
}

/// `POST /directories/{key}/import/list`: list the groups anew.
pub async fn list(State(app): State<App>, Administrator(viewer): Administrator, Path(key): Path<String>) -> Result<Response, Response> {
    let by = viewer.by(Channel::Web);
    slowly(&app, &app.limits.act, &by)?;
    run_now::of_directory(&app.ctx, &by, What::Groups, &key).await.map_err(failed)?;
    Ok(Done::ListingDue.then(&app, &format!("/directories/{}/import", key.query())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::policy::FieldFault;
    use crate::service::change::review::Review;
    use crate::service::import::choose::MemberRow;
    use crate::service::look::change::DiffLine;
    use crate::web::proof::*;

    fn group(says: Says, n: u32, read_only: Option<&str>) -> GroupRow {
        GroupRow {
            reference: format!("g{n}"),
            name: says.of(&format!("group {n}")),
            description: Some(says.of("What it is for")),
            read_only: read_only.map(|why| says.of(why)),
            warnings: vec![says.of("It has groups inside.")],
            role_id: None,
            role: None,
            same_name: 1,
        }
    }

    fn sample(says: Says, preview: Option<Preview>) -> ImportPage {
        ImportPage {
            frame: frame(says, As::Administrator, "directories"),
            key: "main".into(),
            q: says.of("grou"),
            groups: Groups { rows: vec![group(says, 1, None), group(says, 2, Some("it is dynamic"))], more: true, all: 20_000, listed_at: Some(ago(5)) },
            wish: Wish { groups: vec!["g1".into(), "g9".into()], application: says.of("legacy"), name: says.of("Legacy"), owner: says.of("mara") },
            preview,
            by_two: false,
            moved: false,
        }
    }

    fn preview(says: Says) -> Preview {
        Preview {
            groups: vec![Chosen {
                reference: "g1".into(),
                name: says.of("group 1"),
                members: 5_000,
                shown: vec![
                    MemberRow { reference: "p1".into(), person: Some((says.of("Bo Lind"), says.of("bo.lind"), Some(says.of("Data")), "active".into())) },
                    MemberRow { reference: says.of("p2"), person: None },
                ],
                inherited: 3,
                nested: 1,
                warnings: vec![says.of("3 people are in it by a group inside")],
                why_not: None,
            }],
            faults: vec![],
            added: says.of("[[role]]\nkey = \"x\"\n"),
            review: Review {
                lines: vec![DiffLine { mark: "new", title: says.of("role legacy/x"), details: vec![says.of("risk: elevated")] }],
                faults: vec![],
                mark: "m1".into(),
            },
            is_new: true,
        }
    }

    #[test]
    fn a_group_that_cannot_be_changed_is_shown_with_why_and_cannot_be_chosen() {
        let page = Rendered::of("import", &sample(Says::Plain, None));
        assert_eq!(page.all("input[name=group][type=checkbox]").len(), 1);
        assert!(page.says("Its membership cannot be changed: it is dynamic."));
        assert_eq!(page.all("input[name=group][type=hidden]").len(), 1, "what was chosen on another page stays chosen");
        assert!(page.all("button[value=save]").is_empty());
    }

    #[test]
    fn what_it_would_become_is_shown_before_it_is_done() {
        let page = Rendered::of("import-preview", &sample(Says::Plain, Some(preview(Says::Plain))));
        assert!(page.says("[[role]]") && page.says("risk: elevated") && page.says("4 998 more"));
        assert_eq!(page.one("input[name=mark]").attr("value"), Some("m1"));
        assert_eq!(page.all("button[value=save]").len(), 1);
        let mut faulty = preview(Says::Plain);
        faulty.faults = vec![FieldFault { field: "owner".into(), sentence: "Say who owns it.".into() }];
        let page = Rendered::of("import-faulty", &sample(Says::Plain, Some(faulty)));
        assert!(page.says("Say who owns it.") && page.all("button[value=save]").is_empty());
    }

    #[test]
    fn hostile_text_stays_text_in_an_import() {
        assert!(Rendered::of("import-hostile", &sample(Says::Hostile, Some(preview(Says::Hostile)))).all("img").is_empty());
    }

    #[test]
    fn what_is_sent_is_read_once_and_never_without_end() {
        let pairs: Vec<(String, String)> = (0..200).flat_map(|n| [("group".to_owned(), format!("g{}", n % 80))]).collect();
        assert_eq!(Asking::read(&pairs).wish.groups.len(), choose::MOST + 1);
    }
}
