//! Policies: those in force.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;

use crate::domain::event::Channel;
use crate::service::look::policy::{self, Policies};
use crate::service::look::shared::Cursor;
use crate::web::error;
use crate::web::flash::page_of;
use crate::web::form::{Asked, failed};
use crate::web::guard::Auditor;
use crate::web::state::App;
use crate::web::view::{self, Amount as _, Frame, Moment as _, Words as _};

/// The list of policies.
#[derive(Template)]
#[template(path = "pages/policies.html")]
pub struct PoliciesPage {
    /// What is around it.
    pub frame: Frame,
    /// What it shows.
    pub policies: Policies,
}

/// Which page of the list.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct From {
    after: Option<String>,
}

/// `GET /admin/policies`
pub async fn get(State(app): State<App>, Auditor(viewer): Auditor, Asked(from): Asked<From>) -> Result<Response, Response> {
    let after = from.after.map(Cursor);
    let policies = policy::policies(&app.ctx, &viewer.by(Channel::Web), after.as_ref()).await.map_err(failed)?;
    Ok(page_of(&PoliciesPage { frame: error::frame(&app, Some(&viewer), "policies"), policies }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::look::policy::PolicyRow;
    use crate::service::look::shared::Listing;
    use crate::web::proof::frame;
    use crate::web::proof::*;

    #[test]
    fn policies_are_listed_in_words() {
        for (name, says) in [("policies", Says::Plain), ("policies-hostile", Says::Hostile)] {
            let row = |summary: &str| PolicyRow {
                policy: policy(says),
                summary: says.of(summary),
                roles: 12,
                applied_at: ago(9000),
                applied_by: says.of("Ines Moreau"),
            };
            let rows = vec![
                row("Up to 8 hours; the manager, then two of the DBAs and one from security."),
                row("Up to 30 days; approved at once for everybody in Data."),
            ];
            let frame = frame(says, As::Administrator, "policies");
            let page = Rendered::of(name, &PoliciesPage { frame, policies: Policies { rows: Listing::whole(rows) } });
            assert_eq!(page.all("tbody tr").len(), 2);
            assert!(page.all("img").is_empty());
        }
    }

    #[test]
    fn no_policy_says_how_to_apply_one() {
        let frame = frame(Says::Plain, As::Administrator, "policies");
        let page = PoliciesPage { frame, policies: Policies { rows: Listing::whole(vec![]) } };
        assert!(Rendered::of("policies-empty", &page).text(".empty").contains("countersign apply"));
    }
}
