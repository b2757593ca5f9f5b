//! Changes of the rules: the list.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;

use crate::domain::event::Channel;
use crate::service::look::change::{self, Changes, STATES};
use crate::service::look::shared::Cursor;
use crate::web::error;
use crate::web::flash::Told;
use crate::web::form::{Asked, failed};
use crate::web::guard::Auditor;
use crate::web::state::App;
use crate::web::view::{self, Amount as _, Frame, Moment as _, Words as _};

/// The list of changes.
#[derive(Template)]
#[template(path = "pages/changes.html")]
pub struct ChangesPage {
    /// What is around it.
    pub frame: Frame,
    /// What it shows.
    pub changes: Changes,
}

impl ChangesPage {
    /// The states to choose from.
    pub fn states(&self) -> [&'static str; 6] {
        STATES
    }
}

/// What the list is narrowed to.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Search {
    status: String,
    after: Option<String>,
}

/// `GET /admin/changes`
pub async fn get(State(app): State<App>, Auditor(viewer): Auditor, told: Told, Asked(search): Asked<Search>) -> Result<Response, Response> {
    let after = search.after.map(Cursor);
    let changes = change::changes(&app.ctx, &viewer.by(Channel::Web), &search.status, after.as_ref()).await.map_err(failed)?;
    let frame = Frame { flash: told.flash(), ..error::frame(&app, Some(&viewer), "changes") };
    Ok(told.page(&app, &ChangesPage { frame, changes }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::look::change::ChangeRow;
    use crate::service::look::shared::Listing;
    use crate::web::proof::frame;
    use crate::web::proof::*;

    #[test]
    fn changes_are_listed_with_who_made_and_who_approved_them() {
        for (name, says) in [("changes", Says::Plain), ("changes-hostile", Says::Hostile)] {
            let row = |n, status: &str| ChangeRow {
                id: id(n),
                author: says.of("Sofia Marín"),
                source: says.of("catalog.toml"),
                changes: 3,
                first: says.of("~ policy standard v1 -> v2: maximum: 30 days -> 60 days"),
                status: status.into(),
                submitted_at: ago(90),
                effective_at: (status == "approved").then(|| ahead(600)),
                approver: (status != "proposed").then(|| says.of("Grace Mbeki")),
            };
            let rows = Listing { rows: vec![row(1, "proposed"), row(2, "approved"), row(3, "failed")], next: Some(Cursor("x".into())) };
            let changes = Changes { status: String::new(), rows, by_two: true };
            let page = Rendered::of(name, &ChangesPage { frame: frame(says, As::Administrator, "changes"), changes });
            assert_eq!(page.all("tbody tr").len(), 3);
            assert!(page.all("img").is_empty());
        }
    }

    #[test]
    fn no_change_says_how_one_comes() {
        let changes = Changes { status: String::new(), rows: Listing::whole(vec![]), by_two: false };
        let page = Rendered::of("changes-empty", &ChangesPage { frame: frame(Says::Plain, As::Administrator, "changes"), changes });
        assert!(page.text(".empty").contains("No changes"));
    }
}
