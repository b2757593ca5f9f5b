//! The rules in force, kind by kind.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use serde::Deserialize;

use crate::service::rule_form::list::{self, Entries};
use crate::service::rule_form::shape::Kind;
use crate::web::error::{self, Failure};
use crate::web::flash::{Told, page_of};
use crate::web::form::{Asked, failed, line};
use crate::web::guard::Auditor;
use crate::web::state::App;
use crate::web::urls::encoded;
use crate::web::view::{self, Amount as _, Frame, Words as _};

/// The entries of one kind.
#[derive(Template)]
#[template(path = "pages/rule_list.html")]
pub struct RuleListPage {
    /// What is around it.
    pub frame: Frame,
    /// What it shows.
    pub entries: Entries,
}

impl RuleListPage {
    /// The kind in the midst of a sentence.
    pub fn one(&self) -> String {
        super::rule_pieces::one(self.entries.kind)
    }

    /// A number with its thousands.
    pub fn many(&self, number: &usize) -> String {
        i64::try_from(*number).unwrap_or(i64::MAX).count()
    }

    /// The address of the next page.
    pub fn turn(&self, after: &str) -> String {
        format!("/admin/rules/{}?q={}&after={}", self.entries.kind.word(), encoded(&self.entries.q), encoded(after))
    }
}

/// What the list is narrowed to.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Search {
    q: String,
    after: String,
}

/// The kind of a path; what is none is not there.
#[allow(clippy::result_large_err, reason = "the answer itself, sent on as it is")]
pub fn kind_of(word: &str) -> Result<Kind, Response> {
    Kind::parse(word).ok_or_else(|| failed(Failure::missing()))
}

/// `GET /admin/rules/{kind}`
pub async fn get(
    State(app): State<App>,
    Auditor(viewer): Auditor,
    Path(kind): Path<String>,
    Asked(search): Asked<Search>,
    told: Told,
) -> Result<Response, Response> {
    let kind = kind_of(&kind)?;
    let entries = list::list(&app.ctx, &viewer.by(crate::domain::event::Channel::Web), kind, &line(&search.q), &search.after).await.map_err(failed)?;
    let frame = Frame { flash: told.flash(), ..error::frame(&app, Some(&viewer), "changes") };
    let page = RuleListPage { frame, entries };
    Ok(if page.frame.flash.is_some() { told.page(&app, &page) } else { page_of(&page) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::rule_form::list::Row;
    use crate::web::proof::*;

    fn sample(says: Says, who: As) -> RuleListPage {
        let row = |key: &str| Row { key: key.into(), shown: says.of(key), name: says.of("Read-only"), about: says.of("low risk; group orders-read") };
        let counts = Kind::ALL.iter().map(|(kind, ..)| (*kind, 2_000)).collect();
        let entries = Entries { kind: Kind::Role, q: says.of("orders"), rows: vec![row("orders-db.reader"), row("x.y")], next: Some("x.y".into()), counts };
        RuleListPage { frame: frame(says, who, "changes"), entries }
    }

    #[test]
    fn entries_are_listed_and_only_administrators_make_new_ones() {
        let page = Rendered::of("rule-list", &sample(Says::Plain, As::Administrator));
        assert_eq!(page.one("a[href='/admin/rules/role/new']").attr("class"), Some("button"));
        assert_eq!(page.all("a[href='/admin/rules/role/orders-db.reader/edit']").len(), 1);
        assert_eq!(page.one(".pager a").attr("href"), Some("/admin/rules/role?q=orders&after=x.y"));
        assert_eq!(page.all(".tabs a").len(), 6);
        let page = Rendered::of("rule-list-auditor", &sample(Says::Plain, As::Auditor));
        assert!(page.all("a[href$='/new']").is_empty());
        assert_eq!(page.all("a[href='/admin/rules/role/orders-db.reader/edit']").len(), 1, "to read");
    }

    #[test]
    fn hostile_text_stays_text_in_the_list_and_nothing_found_says_so() {
        let mut page = sample(Says::Hostile, As::Administrator);
        assert!(Rendered::of("rule-list-hostile", &page).all("img").is_empty());
        page.entries.rows.clear();
        assert!(Rendered::of("rule-list-empty", &page).text(".empty").contains("None"));
    }
}
