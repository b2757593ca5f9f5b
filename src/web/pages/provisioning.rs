//! Provisioning: wanted, seen, failing, tried.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;

use crate::domain::event::Channel;
use crate::service::look::provisioning::{self, Provisioning};
use crate::service::look::shared::Cursor;
use crate::service::run_now;
use crate::web::error;
use crate::web::flash::{Done, Told};
use crate::web::form::{Asked, Id, failed, slowly};
use crate::web::guard::{Administrator, Auditor};
use crate::web::state::App;
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

/// Where the lists begin.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct From {
    after: Option<String>,
    before: Option<String>,
}

/// `GET /admin/provisioning`
pub async fn get(State(app): State<App>, Auditor(viewer): Auditor, told: Told, Asked(from): Asked<From>) -> Result<Response, Response> {
    let (after, before) = (from.after.map(Cursor), from.before.map(Cursor));
    let provisioning = provisioning::provisioning(&app.ctx, &viewer.by(Channel::Web), after.as_ref(), before.as_ref()).await.map_err(failed)?;
    let frame = Frame { flash: told.flash(), ..error::frame(&app, Some(&viewer), "provisioning") };
    Ok(told.page(&app, &ProvisioningPage { frame, provisioning }))
}

/// `POST /admin/provisioning/run`: compare all groups with the leases now.
pub async fn run(State(app): State<App>, Administrator(viewer): Administrator) -> Result<Response, Response> {
    let by = viewer.by(Channel::Web);
    slowly(&app, &app.limits.act, &by)?;
    run_now::compare_groups(&app.ctx, &by).await.map_err(failed)?;
    Ok(Done::ReadingDue.then(&app, "/admin/provisioning"))
}

/// `POST /admin/provisioning/{id}/retry`: try a membership that keeps failing now.
pub async fn retry(State(app): State<App>, Administrator(viewer): Administrator, Id(id): Id) -> Result<Response, Response> {
    let by = viewer.by(Channel::Web);
    slowly(&app, &app.limits.act, &by)?;
    run_now::try_membership(&app.ctx, &by, id).await.map_err(failed)?;
    Ok(Done::TryDue.then(&app, "/admin/provisioning"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::look::provisioning::{AttemptRow, FailingRow, TargetRow};
    use crate::service::look::shared::{Cursor, Listing};
    use crate::web::proof::*;

    fn sample(says: Says) -> ProvisioningPage {
        let target = |n, name: &str, wanted, seen, differing| TargetRow {
            role_id: id(n),
            role: says.of("Orders DB: Read-only"),
            name: says.of(name),
            place: "main".into(),
            method: "idp_group".into(),
            wanted,
            seen,
            differing,
            drifts: differing,
            checked_at: Some(ago(4)),
        };
        let attempt = |minutes, action: &str, name: &str, result: &'static str, detail: &str| AttemptRow {
            at: ago(minutes),
            action: action.into(),
            person: says.of(name),
            target: says.of("orders-ro"),
            result,
            detail: says.of(detail),
            request: Some(id(10)),
            emergency: minutes == 1,
        };
        ProvisioningPage {
            frame: frame(says, As::Administrator, "provisioning"),
            provisioning: Provisioning {
                last_run_at: Some(ago(1)),
                waiting: 3,
                late: 1,
                failing: vec![FailingRow {
                    id: id(60),
                    action: "remove".into(),
                    person: says.of("Tom Ferro"),
                    target: says.of("payments-support in Demo directory"),
                    since: Some(ago(22)),
                    attempts: 4,
                    last_error: says.of("503 Service Unavailable: try later"),
                    next_try_at: Some(ahead(3)),
                    request: Some(id(12)),
                    emergency: true,
                }],
                targets: Listing::whole(vec![target(70, "orders-ro", 4, 6, 2), target(71, "payments-support", 0, 1, 1), target(72, "wiki-writers", 19, 19, 0)]),
                attempts: Listing {
                    rows: vec![
                        attempt(1, "add", "Bo Lind", "done", "The directory accepted the change."),
                        attempt(6, "remove", "Tom Ferro", "retry", "503 Service Unavailable: try later"),
                        attempt(30, "add", "Ada Moss", "already_so", ""),
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
        assert_eq!((page.all("th .badge.bad").len(), page.all("td[data-label=Change] .badge.bad").len()), (1, 1), "an emergency has its badge");
        assert!(page.posts_to("/admin/provisioning/run"));
        assert!(page.posts_to(&format!("/admin/provisioning/{}/retry", id(60))));
        assert_eq!(page.all("table").len(), 3);
    }

    #[test]
    fn hostile_text_stays_text_in_provisioning() {
        assert!(Rendered::of("provisioning-hostile", &sample(Says::Hostile)).all("img").is_empty());
    }
}
