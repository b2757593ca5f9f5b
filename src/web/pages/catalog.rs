//! Catalog: every role, also those one may not have.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;

use crate::domain::event::Channel;
use crate::service::look::catalog::{self, Catalog, CatalogFilter};
use crate::service::look::shared::{Cursor, Standing};
use crate::web::error;
use crate::web::flash::Told;
use crate::web::form::{Asked, failed, line, slowly};
use crate::web::guard::SignedIn;
use crate::web::state::App;
use crate::web::view::{self, Amount as _, Frame, Moment as _, Words as _};

/// The catalog, or what a search found in it.
#[derive(Template)]
#[template(path = "pages/catalog.html")]
pub struct CatalogPage {
    /// What is around it.
    pub frame: Frame,
    /// What it shows.
    pub catalog: Catalog,
}

/// What is searched for, and where the page begins.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Search {
    q: String,
    application: String,
    mine: String,
    after: Option<String>,
}

/// `GET /catalog`
pub async fn get(State(app): State<App>, SignedIn(viewer): SignedIn, told: Told, Asked(search): Asked<Search>) -> Result<Response, Response> {
    let by = viewer.by(Channel::Web);
    let filter = CatalogFilter { q: line(&search.q), application: line(&search.application), mine: search.mine == "1" };
    if !filter.q.is_empty() {
        slowly(&app, &app.limits.search, &by)?;
    }
    let catalog = catalog::catalog(&app.ctx, &by, filter, search.after.map(Cursor).as_ref()).await.map_err(failed)?;
    let flash = told.flash().or_else(|| view::notice(&catalog.notice));
    Ok(told.page(&app, &CatalogPage { frame: Frame { flash, ..error::frame(&app, Some(&viewer), "catalog") }, catalog }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::look::shared::{Choice, Listing};
    use crate::web::proof::frame;
    use crate::web::proof::*;

    fn sample(says: Says) -> CatalogPage {
        let rows = vec![
            card(says, role(says, 20, "Airflow", "operator", "elevated"), "Run and pause pipelines in production.", Standing::MayAsk),
            card(
                says,
                role(says, 21, "Grafana", "editor", "low"),
                "Change dashboards and alerts.",
                Standing::Holds { grant: id(511), until: Some(ahead(18000)), may_extend: true, emergency: true },
            ),
            card(
                says,
                role(says, 22, "Orders DB", "read-only", "elevated"),
                "Read the orders database through the bastion. No personal data columns.",
                Standing::Requested { request: id(10), since: ago(70) },
            ),
            card(
                says,
                role(says, 23, "Orders DB", "administrator", "critical"),
                "Change schema and data. For the on-call database administrators.",
                Standing::MayNot { reason: says.of("You must be in group DBAs. You are not; the owner, Cy Okafor, decides who is.") },
            ),
            card(
                says,
                role(says, 24, "Wiki", "writer", "low"),
                "Write pages.",
                Standing::Holds { grant: id(513), until: None, may_extend: false, emergency: false },
            ),
        ];
        CatalogPage {
            frame: frame(says, As::Employee, "catalog"),
            catalog: Catalog {
                filter: CatalogFilter { q: says.of("or"), application: String::new(), mine: true },
                applications: vec![Choice { value: id(30).to_string(), label: says.of("Orders DB") }],
                roles: Listing { rows, next: Some(Cursor("a b".into())) },
                notice: None,
            },
        }
    }

    #[test]
    fn the_catalog_shows_roles_one_may_not_have_with_the_reason() {
        let page = Rendered::of("catalog", &sample(Says::Plain));
        assert_eq!(page.all(".rolecard").len(), 5);
        assert!(page.text(".why").contains("You must be in group DBAs"));
        assert_eq!(page.all(&format!("a.button[href='/roles/{}/ask']", id(20))).len(), 1);
        assert!(page.all(&format!("a[href='/roles/{}/ask']", id(23))).is_empty(), "no way to ask for it");
        assert_eq!(page.one(".pager a").attr("href"), Some("/catalog?q=or&application=&mine=1&after=a%20b"));
    }

    #[test]
    fn a_search_that_finds_nothing_says_what_to_try() {
        let mut page = sample(Says::Hostile);
        page.catalog.roles = Listing::whole(vec![]);
        assert!(Rendered::of("catalog-empty", &page).text(".empty").contains("Nothing found"));
    }

    #[test]
    fn hostile_text_stays_text_in_the_catalog() {
        let page = Rendered::of("catalog-hostile", &sample(Says::Hostile));
        assert_eq!(page.one("#q").attr("value"), Some(Says::Hostile.of("or").as_str()));
    }
}
