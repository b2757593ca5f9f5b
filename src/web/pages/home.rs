//! Home: what I hold, wait for and might want.

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use crate::domain::event::Channel;
use crate::service::look::home::{self, Home};
use crate::service::look::shared::Standing;
use crate::web::error;
use crate::web::flash::Told;
use crate::web::form::failed;
use crate::web::guard::SignedIn;
use crate::web::state::App;
use crate::web::view::{self, Amount as _, Frame, Moment as _, Words as _};

/// The page a person lands on.
#[derive(Template)]
#[template(path = "pages/home.html")]
pub struct HomePage {
    /// What is around it.
    pub frame: Frame,
    /// What it shows.
    pub home: Home,
}

/// `GET /`
pub async fn get(State(app): State<App>, SignedIn(viewer): SignedIn, told: Told) -> Result<Response, Response> {
    let home = home::home(&app.ctx, &viewer.by(Channel::Web)).await.map_err(failed)?;
    let flash = told.flash().or_else(|| view::notice(&home.notice));
    Ok(told.page(&app, &HomePage { frame: Frame { flash, ..error::frame(&app, Some(&viewer), "home") }, home }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::look::home::DebtRow;
    use crate::web::proof::frame;
    use crate::web::proof::*;

    fn sample(says: Says) -> HomePage {
        HomePage {
            frame: frame(says, As::Approver, "home"),
            home: Home {
                access: vec![
                    lease(says, 10, role(says, 20, "Orders DB", "read-only", "elevated"), "active", 221, Some(19)),
                    lease(says, 11, role(says, 21, "Grafana", "editor", "low"), "active", 3000, Some(18000)),
                    lease(says, 12, role(says, 22, "Payments", "support", "critical"), "provisioning", 1, Some(240)),
                    lease(says, 13, role(says, 23, "Wiki", "writer", "low"), "active", 90000, None),
                ],
                access_total: 9,
                requests: vec![
                    ask_row(says, 14, role(says, 24, "Warehouse", "analyst", "low"), "pending", Some("Dana Ruiz, step 1 of 2")),
                    ask_row(says, 15, role(says, 25, "GitHub", "maintainer", "elevated"), "approved", None),
                ],
                requests_total: 2,
                suggested: vec![
                    card(says, role(says, 26, "Airflow", "operator", "elevated"), "Run and pause pipelines in production.", Standing::MayAsk),
                    card(says, role(says, 27, "Looker", "explorer", "low"), "Build and share reports on curated data.", Standing::MayAsk),
                ],
                by_peers: true,
                told: vec![],
                debt: None,
                notice: None,
            },
        }
    }

    /// Home as the person of the sample requests sees it.
    fn own(says: Says) -> HomePage {
        let mut page = sample(says);
        for row in &mut page.home.requests {
            row.beneficiary = page.frame.viewer_name().to_owned();
        }
        page
    }

    #[test]
    fn home_shows_what_i_hold_and_wait_for() {
        let page = Rendered::of("home", &own(Says::Plain));
        assert_eq!(page.all(".lease").len(), 4);
        assert!(page.says("19 min left"));
        assert!(page.text(".nav a[href='/queue']").contains("3 waiting for you"));
        assert_eq!(page.text(".nav a[aria-current=page]"), "Home");
        assert!(page.posts_to(&format!("/grants/{}/return", id(510))));
        assert!(!page.posts_to(&format!("/grants/{}/return", id(512))), "what cannot be returned offers no return");
        assert_eq!(page.all("form[role=search] input[name=q]").len(), 1);
    }

    #[test]
    fn home_says_how_much_is_told_and_which_reviews_are_owed_either_way() {
        let mut page = own(Says::Plain);
        if let Some(viewer) = &mut page.frame.viewer {
            (viewer.notices, viewer.reviews) = (2, 1);
        }
        let by = vec!["Dana Ruiz".to_owned(), "Arjun Mehta".to_owned()];
        page.home.debt = Some(DebtRow { request_id: id(41), application: "Orders DB".into(), role: "read-only".into(), due_at: ahead(60), reviewers: by });
        let shown = Rendered::of("home-debt", &page);
        assert!(shown.text(".nav a[href='/']").contains("2 notices for you") && shown.text(".nav a[href='/queue']").contains("4 waiting for you"));
        assert!(shown.text("#debt").contains("Dana Ruiz or Arjun Mehta") && shown.text("#debt").contains("no further emergency"));
        assert!(shown.says("emergency waits for your review"));
    }

    #[test]
    fn an_empty_home_says_what_to_do() {
        let home = Home {
            access: vec![],
            access_total: 0,
            requests: vec![],
            requests_total: 0,
            suggested: vec![],
            by_peers: true,
            told: vec![],
            debt: None,
            notice: None,
        };
        let page = Rendered::of("home-empty", &HomePage { frame: frame(Says::Plain, As::Employee, "home"), home });
        assert_eq!(page.all(".empty").len(), 2);
        assert!(page.all(".nav a[href='/queue']").is_empty() && page.all(".nav a[href='/admin']").is_empty());
    }

    #[test]
    fn hostile_text_stays_text_on_home() {
        let page = Rendered::of("home-hostile", &own(Says::Hostile));
        assert!(page.says("alert(1)") && page.all("img").is_empty());
    }
}
