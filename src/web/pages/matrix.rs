//! The access matrix.

use askama::Template;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Method, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use crate::domain::event::Channel;
use crate::service::look::matrix::{self, Matrix};
use crate::web::api::exports::in_earnest;
use crate::web::error::{self, Failure};
use crate::web::flash::page_of;
use crate::web::form::{Asked, failed, line, mode, slowly};
use crate::web::guard::Auditor;
use crate::web::state::App;
use crate::web::view::{self, Amount as _, Frame, Words as _};

/// Roles by who may ask, who approves, for how long.
#[derive(Template)]
#[template(path = "pages/matrix.html")]
pub struct MatrixPage {
    /// What is around it.
    pub frame: Frame,
    /// What it shows.
    pub matrix: Matrix,
}

/// What is searched for, and where the page begins.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Search {
    q: String,
    after: String,
    mode: String,
}

/// `GET /admin/matrix`
pub async fn get(State(app): State<App>, Auditor(viewer): Auditor, Asked(search): Asked<Search>) -> Result<Response, Response> {
    let by = viewer.by(Channel::Web);
    let after = if search.after.is_empty() { 0 } else { search.after.parse().map_err(|_| failed(Failure::missing()))? };
    slowly(&app, &app.limits.search, &by)?;
    let matrix = matrix::matrix(&app.ctx, &by, &line(&search.q), after).await.map_err(failed)?;
    Ok(page_of(&MatrixPage { frame: error::frame(&app, Some(&viewer), "matrix"), matrix }))
}

/// `GET /admin/matrix/matrix.csv`
pub async fn csv(
    State(app): State<App>,
    Auditor(viewer): Auditor,
    method: Method,
    headers: HeaderMap,
    Asked(search): Asked<Search>,
) -> Result<Response, Response> {
    in_earnest(&method, &headers).map_err(failed)?;
    let by = viewer.by(Channel::Web);
    slowly(&app, &app.limits.export, &by)?;
    let mode = mode(&search.mode).map_err(failed)?;
    let pieces = matrix::csv(&app.ctx, &by, &line(&search.q), mode).await.map_err(failed)?;
    let kind = [(header::CONTENT_TYPE, "text/csv; charset=utf-8; header=present"), (header::CONTENT_DISPOSITION, "attachment; filename=\"matrix.csv\"")];
    Ok((kind, Body::from_stream(pieces)).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::look::matrix::MatrixRow;
    use crate::web::proof::*;

    fn sample(says: Says) -> MatrixPage {
        let row = MatrixRow {
            application: says.of("Orders DB"),
            role_id: id(20),
            role: says.of("Read-only"),
            key: "orders-db/reader".into(),
            risk: "elevated".into(),
            method: "idp_group".into(),
            owner: says.of("Arjun Mehta"),
            policy: says.of("Standard"),
            version: 3,
            digest: "9f2c4b1d".repeat(8),
            for_whom: vec![says.of("Department is Data")],
            who: vec![says.of("Department is Data or Engineering"), says.of("Never: contractor")],
            steps: vec![says.of("Manager: the manager"), says.of("Owners: two of the DBAs")],
            unasked: vec![says.of("In an emergency access begins at once.")],
            durations: says.of("1 minute to 30 days"),
        };
        let none = MatrixRow { application: says.of("Wiki"), role: says.of("writer"), risk: "low".into(), method: "idp_group".into(), ..MatrixRow::default() };
        MatrixPage { frame: frame(says, As::Auditor, "matrix"), matrix: Matrix { q: says.of("or & der"), rows: vec![row, none], all: 402, next: Some(200) } }
    }

    #[test]
    fn the_matrix_says_who_may_ask_and_who_approves() {
        let page = Rendered::of("matrix", &sample(Says::Plain));
        assert_eq!(page.all("table tbody tr").len(), 2);
        assert!(page.says("Owners: two of the DBAs") && page.says("No policy governs it"));
        assert_eq!(page.one(".pager a").attr("href"), Some("/admin/matrix?q=or%20%26%20der&after=200"));
        let files: Vec<_> = page.all("a[download]").iter().filter_map(|link| link.attr("href")).collect();
        assert_eq!(files, ["raw", "safe"].map(|mode| format!("/admin/matrix/matrix.csv?q=or%20%26%20der&mode={mode}")));
    }

    #[test]
    fn hostile_text_stays_text_in_the_matrix() {
        let mut page = sample(Says::Hostile);
        assert!(Rendered::of("matrix-hostile", &page).all("img").is_empty());
        page.matrix.rows.clear();
        assert!(Rendered::of("matrix-empty", &page).text(".empty").contains("Nothing found"));
    }
}
