//! The requests that a change would decide otherwise.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use uuid::Uuid;

use crate::domain::event::Channel;
use crate::service::look::change::{self, Moved};
use crate::web::error::{self, Failure};
use crate::web::flash::page_of;
use crate::web::form::{Asked, Id, failed};
use crate::web::guard::Auditor;
use crate::web::pages::change::many;
use crate::web::state::App;
use crate::web::view::{self, Amount as _, Frame, Moment as _, Words as _};

/// The requests that would come out otherwise.
#[derive(Template)]
#[template(path = "pages/change_requests.html")]
pub struct MovedPage {
    /// What is around it.
    pub frame: Frame,
    /// What it shows.
    pub moved: Moved,
}

impl MovedPage {
    /// How many more there are, with their thousands.
    pub fn left_out(&self) -> String {
        many(self.moved.left_out)
    }

    /// The address of the page that begins after `position`.
    pub fn turn(&self, position: &i32) -> String {
        let role = self.moved.role.map(|role| format!("&role={role}")).unwrap_or_default();
        format!("/admin/changes/{}/requests?turn={}{role}&after={position}", self.moved.id, self.moved.turn)
    }
}

/// What the list of requests is narrowed to.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Search {
    turn: String,
    role: String,
    after: String,
}

/// `GET /admin/changes/{id}/requests`
pub async fn get(State(app): State<App>, Auditor(viewer): Auditor, Id(id): Id, Asked(search): Asked<Search>) -> Result<Response, Response> {
    let role = if search.role.is_empty() { None } else { Some(Uuid::try_parse(&search.role).map_err(|_| failed(Failure::missing()))?) };
    let after = if search.after.is_empty() { 0 } else { search.after.parse().map_err(|_| failed(Failure::missing()))? };
    let moved = change::moved(&app.ctx, &viewer.by(Channel::Web), id, &search.turn, role, after).await.map_err(failed)?;
    Ok(page_of(&MovedPage { frame: error::frame(&app, Some(&viewer), "changes"), moved }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::look::change::MovedRow;
    use crate::web::proof::*;

    #[test]
    fn hostile_text_stays_text_and_the_next_page_keeps_what_was_asked_for() {
        let row = MovedRow {
            position: 7,
            request_id: id(5),
            created_at: ago(500),
            beneficiary: Says::Hostile.of("Bo Lind"),
            application: Says::Hostile.of("Orders DB"),
            role: Says::Hostile.of("reader"),
            turn: "refused".into(),
            was: Says::Hostile.of("needs_approval by standard v1"),
            becomes: Says::Hostile.of("refused"),
            emergency: true,
        };
        let moved = Moved { id: id(1), turn: "refused".into(), role: Some(id(20)), rows: vec![row], next: Some(7), left_out: 3 };
        let page = Rendered::of("change-requests", &MovedPage { frame: frame(Says::Hostile, As::Auditor, "changes"), moved });
        assert!(page.all("img").is_empty());
        assert_eq!(page.text("tbody th .badge.bad"), "Emergency");
        let next = format!("/admin/changes/{}/requests?turn=refused&role={}&after=7", id(1), id(20));
        assert_eq!(page.one(".pager a").attr("href"), Some(next.as_str()));
    }
}
