//! Provisioning: wanted, seen, failing, tried.

use askama::Template;

use crate::service::look::provisioning::Provisioning;
use crate::web::view::{self, Amount as _, Frame, Moment as _, Words as _};

/// What the reconciler is doing.
#[derive(Template)]
#[template(path = "pages/provisioning.html")]
pub struct ProvisioningPage {
    /// What is around it.
    pub frame: Frame,
    /// What it shows.
    pub provisioning: Provisioning,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::look::provisioning::{AttemptRow, FailingRow, TargetRow};
    use crate::service::look::shared::{Cursor, Listing};
    use crate::web::proof::*;

    fn sample(says: Says) -> ProvisioningPage {
        let target = |n, name: &str, wanted, seen, differing| TargetRow {
            id: id(n),
            name: says.of(name),
            place: "Demo directory".into(),
            method: "idp_group".into(),
            wanted,
            seen,
            differing,
            checked_at: Some(ago(4)),
        };
        let attempt = |minutes, action: &str, name: &str, result: &str, detail: Option<&str>| AttemptRow {
            at: ago(minutes),
            action: action.into(),
            person: says.of(name),
            target: says.of("orders-ro"),
            result: result.into(),
            detail: detail.map(|d| says.of(d)),
            took_ms: 84,
            request: Some(id(10)),
        };
        ProvisioningPage {
            frame: frame(says, As::Administrator, "provisioning"),
            provisioning: Provisioning {
                last_run_at: Some(ago(1)),
                waiting: 3,
                failing: vec![FailingRow {
                    id: id(60),
                    action: "remove".into(),
                    person: says.of("Tom Ferro"),
                    target: says.of("payments-support in Demo directory"),
                    since: ago(22),
                    attempts: 4,
                    last_error: says.of("503 Service Unavailable: try later"),
                    next_try_at: Some(ahead(3)),
                    request: Some(id(12)),
                }],
                targets: vec![target(70, "orders-ro", 4, 6, 2), target(71, "payments-support", 0, 1, 1), target(72, "wiki-writers", 19, 19, 0)],
                attempts: Listing {
                    rows: vec![
                        attempt(1, "add", "Bo Lind", "done", Some("200, read back as member")),
                        attempt(6, "remove", "Tom Ferro", "retry", Some("503 Service Unavailable: try later")),
                        attempt(30, "add", "Ada Moss", "already_so", None),
                    ],
                    next: Some(Cursor("p".into())),
                },
            },
        }
    }

    #[test]
    fn failing_changes_come_first_with_what_the_directory_said() {
        let page = Rendered::of("provisioning", &sample(Says::Plain));
        assert!(page.says("503 Service Unavailable") && page.says("in 3 minutes"));
        assert!(page.posts_to("/admin/provisioning/run"));
        assert!(page.posts_to(&format!("/admin/provisioning/{}/retry", id(60))));
        assert_eq!(page.all("table").len(), 3);
    }

    #[test]
    fn hostile_text_stays_text_in_provisioning() {
        assert!(Rendered::of("provisioning-hostile", &sample(Says::Hostile)).all("img").is_empty());
    }
}
