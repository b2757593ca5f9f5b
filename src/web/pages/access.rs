//! My access: held, scheduled, asked for, ended.

use askama::Template;

use crate::service::look::access::Access;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::look::shared::{Cursor, Listing};
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
