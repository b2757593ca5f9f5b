//! For whom? A person to choose, without a script.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;

use crate::domain::event::Channel;
use crate::domain::id::RoleId;
use crate::service::look::whom::{self, Whom};
use crate::web::error;
use crate::web::flash::Told;
use crate::web::form::{Asked, Id, failed, line, slowly};
use crate::web::guard::SignedIn;
use crate::web::state::App;
use crate::web::view::{self, Amount as _, Frame, Words as _};

/// People to choose from.
#[derive(Template)]
#[template(path = "pages/whom.html")]
pub struct WhomPage {
    /// What is around it.
    pub frame: Frame,
    /// What it shows.
    pub whom: Whom,
}

/// `?q=`: words of a name.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Search {
    q: String,
}

/// `GET /roles/{id}/ask/for`
pub async fn get(State(app): State<App>, SignedIn(viewer): SignedIn, told: Told, Id(id): Id, Asked(search): Asked<Search>) -> Result<Response, Response> {
    let by = viewer.by(Channel::Web);
    slowly(&app, &app.limits.search, &by)?;
    let whom = whom::whom(&app.ctx, &by, RoleId(id), line(&search.q)).await.map_err(failed)?;
    Ok(told.page(&app, &WhomPage { frame: Frame { flash: told.flash(), ..error::frame(&app, Some(&viewer), "catalog") }, whom }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::look::whom::PickRow;
    use crate::web::proof::{self, *};

    #[test]
    fn people_are_chosen_by_a_link_and_found_by_a_form() {
        for says in [Says::Plain, Says::Hostile] {
            let row = |n: u128, name: &str| PickRow {
                id: id(n),
                name: says.of(name),
                user_name: says.of("login"),
                title: Some(says.of("Analyst")),
                department: Some(says.of("Data")),
            };
            let page = WhomPage {
                frame: proof::frame(says, As::Approver, "catalog"),
                whom: Whom {
                    role: proof::role(says, 20, "Orders DB", "read-only", "elevated"),
                    q: says.of("bo"),
                    everybody: true,
                    reports: true,
                    found: vec![row(2, "Bo Lind"), row(3, "Yusuf Demir")],
                },
            };
            let page = Rendered::of(if says == Says::Plain { "whom" } else { "whom-hostile" }, &page);
            assert_eq!(page.all("main ul.picks a").len(), 2);
            assert_eq!(page.all("main ul.picks a")[0].attr("href"), Some(format!("/roles/{}/ask?for={}", id(20), id(2)).as_str()));
            assert_eq!(page.one("#q").attr("value"), Some(says.of("bo").as_str()));
            assert!(page.all("img").is_empty());
        }
    }
}
