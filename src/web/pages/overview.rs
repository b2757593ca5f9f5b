//! Overview: what needs somebody, and every part's health.

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use crate::domain::event::Channel;
use crate::service::look::overview::{self, Overview};
use crate::web::error;
use crate::web::flash::page_of;
use crate::web::form::failed;
use crate::web::guard::Auditor;
use crate::web::state::App;
use crate::web::view::{self, Amount as _, Frame, Moment as _, Words as _};

/// The administrator's first page.
#[derive(Template)]
#[template(path = "pages/overview.html")]
pub struct OverviewPage {
    /// What is around it.
    pub frame: Frame,
    /// What it shows.
    pub overview: Overview,
}

/// `GET /admin`
pub async fn get(State(app): State<App>, Auditor(viewer): Auditor) -> Result<Response, Response> {
    let overview = overview::overview(&app.ctx, &viewer.by(Channel::Web)).await.map_err(failed)?;
    Ok(page_of(&OverviewPage { frame: error::frame(&app, Some(&viewer), "overview"), overview }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::look::overview::{Attention, Number, Part};
    use crate::web::proof::*;

    fn sample(says: Says) -> OverviewPage {
        let part = |name: &str, state, sentence: &str, href: Option<&str>| Part {
            name: name.into(),
            state,
            sentence: says.of(sentence),
            at: Some(ago(1)),
            href: href.map(Into::into),
        };
        let number = |label: &str, value, note: Option<&str>| Number { label: label.into(), value, note: note.map(Into::into), href: Some("/log".into()) };
        OverviewPage {
            frame: frame(says, As::Administrator, "overview"),
            overview: Overview {
                attention: vec![
                    Attention {
                        tone: "bad",
                        sentence: says.of("Removing Tom Ferro from payments-support fails: the directory answers 503."),
                        next: "Tried again in 3 minutes, and until it is done.".into(),
                        since: Some(ago(22)),
                        href: "/admin/provisioning".into(),
                    },
                    Attention {
                        tone: "warn",
                        sentence: says.of("2 members of orders-ro have no grant."),
                        next: "See who they are on the role’s page.".into(),
                        since: Some(ago(3000)),
                        href: "/roles/x".into(),
                    },
                ],
                parts: vec![
                    part("Directory", "ok", "Demo directory answers; 25 people and 9 groups.", Some("/directories/main")),
                    part("Provisioning", "failing", "3 changes wait, 1 fails.", Some("/admin/provisioning")),
                    part("Worker", "ok", "One worker, at work.", None),
                    part("Database", "ok", "Postgres 15, 412 MB, schema 1.", None),
                    part("Sign-in", "slow", "The provider takes 2.4 seconds to answer.", None),
                    part("Log", "ok", "18 204 events, newest a minute old.", Some("/log")),
                ],
                numbers: vec![
                    number("Requests today", 1284, Some("31 wait")),
                    number("Access held now", 412, None),
                    number("Ends within a day", 57, None),
                    number("Denied today", 9, None),
                ],
            },
        }
    }

    #[test]
    fn what_needs_somebody_comes_first() {
        let page = Rendered::of("overview", &sample(Says::Plain));
        assert_eq!(page.all(".attention > li").len(), 2);
        assert_eq!(page.all(".parts > li").len(), 6);
        assert!(page.says("1\u{202f}284") || page.text(".numbers").contains("284"));
    }

    #[test]
    fn a_quiet_day_says_so() {
        let mut page = sample(Says::Hostile);
        page.overview.attention.clear();
        assert!(Rendered::of("overview-quiet", &page).text(".allwell").contains("Nothing"));
    }
}
