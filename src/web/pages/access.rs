//! My access: held, scheduled, asked for, ended.

use askama::Template;
use axum::extract::State;
use axum::http::{HeaderMap, Method};
use axum::response::Response;
use serde::Deserialize;

use crate::domain::event::Channel;
use crate::evidence::columns::File;
use crate::evidence::csv::Mode;
use crate::service::export::{Taking, export};
use crate::service::look::access::{self, Access};
use crate::service::look::shared::Cursor;
use crate::web::api::exports::{in_earnest, stream};
use crate::web::error;
use crate::web::flash::Told;
use crate::web::form::{Asked, failed, slowly};
use crate::web::guard::SignedIn;
use crate::web::state::App;
use crate::web::view::{self, Amount as _, Frame, Moment as _, Words as _};

/// Everything a person holds and held.
#[derive(Template)]
#[template(path = "pages/access.html")]
pub struct AccessPage {
    /// What is around it.
    pub frame: Frame,
    /// What it shows.
    pub access: Access,
}

/// Where the two long lists begin.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct From {
    ended: Option<String>,
    closed: Option<String>,
}

/// `GET /access`
pub async fn get(State(app): State<App>, SignedIn(viewer): SignedIn, told: Told, Asked(from): Asked<From>) -> Result<Response, Response> {
    let (ended, closed) = (from.ended.map(Cursor), from.closed.map(Cursor));
    let access = access::access(&app.ctx, &viewer.by(Channel::Web), ended.as_ref(), closed.as_ref()).await.map_err(failed)?;
    Ok(told.page(&app, &AccessPage { frame: Frame { flash: told.flash(), ..error::frame(&app, Some(&viewer), "access") }, access }))
}

/// `GET /access/mine.csv`: everything recorded about oneself, safe for spreadsheets.
pub async fn mine(State(app): State<App>, SignedIn(viewer): SignedIn, method: Method, headers: HeaderMap) -> Result<Response, Response> {
    in_earnest(&method, &headers).map_err(failed)?;
    let by = viewer.by(Channel::Web);
    slowly(&app, &app.limits.export, &by)?;
    let taking = Taking { file: File::Events, mode: Mode::Safe, from: None, to: None, application: None, role: None, person: Some(by.person) };
    Ok(stream(export(&app.ctx, &by, &taking).await.map_err(failed)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::look::shared::Listing;
    use crate::web::proof::frame;
    use crate::web::proof::*;

    fn sample(says: Says) -> AccessPage {
        let orders = |n| role(says, n, "Orders DB", "read-only", "elevated");
        AccessPage {
            frame: frame(says, As::Employee, "access"),
            access: Access {
                current: vec![
                    lease(says, 10, orders(20), "active", 221, Some(19)),
                    lease(says, 11, role(says, 21, "Grafana", "editor", "low"), "active", 3000, Some(18000)),
                    lease(says, 12, role(says, 22, "Payments", "support", "critical"), "revoking", 240, Some(0)),
                ],
                scheduled: vec![lease(says, 13, role(says, 23, "Airflow", "operator", "elevated"), "scheduled", -600, Some(840))],
                open: vec![ask_row(says, 14, role(says, 24, "Warehouse", "analyst", "low"), "pending", Some("Dana Ruiz, step 1 of 2"))],
                ended: Listing {
                    rows: vec![lease(says, 15, orders(20), "ended", 5000, None), lease(says, 16, orders(20), "ended", 9000, None)],
                    next: Some(Cursor("e".into())),
                },
                closed: Listing::whole(vec![ask_row(says, 17, role(says, 25, "GitHub", "owner", "critical"), "denied", None)]),
            },
        }
    }

    #[test]
    fn my_access_keeps_what_ended_with_the_reason() {
        let page = Rendered::of("access", &sample(Says::Plain));
        assert_eq!(page.all(".lease").len(), 4);
        assert_eq!(page.all("tbody tr").len(), 2);
        assert!(words(page.all("tbody tr")[0]).contains("Expired"));
        assert_eq!(page.one(".pager a").attr("href"), Some("/access?ended=e#h-ended"));
        assert!(page.posts_to(&format!("/grants/{}/return", id(510))));
    }

    #[test]
    fn hostile_text_stays_text_in_my_access() {
        assert!(Rendered::of("access-hostile", &sample(Says::Hostile)).all("img").is_empty());
    }
}
