//! One change of the rules, and the decision on it.

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, NaiveDateTime, Utc};
use serde::Deserialize;

use crate::domain::event::Channel;
use crate::service::change::decide;
use crate::service::look::change::{self, Change};
use crate::web::error::{self, Failure};
use crate::web::flash::{Done, Told};
use crate::web::form::{Id, Sent, failed, slowly};
use crate::web::guard::{Administrator, Auditor};
use crate::web::state::App;
use crate::web::view::{self, Amount as _, Frame, Moment as _, Words as _};

/// A change.
#[derive(Template)]
#[template(path = "pages/change.html")]
pub struct ChangePage {
    /// What is around it.
    pub frame: Frame,
    /// What it shows.
    pub change: Change,
}

impl ChangePage {
    /// A number with its thousands.
    pub fn many(&self, number: &u64) -> String {
        many(*number)
    }

    /// What becomes of how many requests.
    pub fn told(&self, counts: &std::collections::BTreeMap<String, u64>) -> Vec<(&'static str, String, &'static str)> {
        change::told(counts).into_iter().map(|(word, count, said)| (word, many(count), said)).collect()
    }
}

/// A number with its thousands.
pub fn many(number: u64) -> String {
    i64::try_from(number).unwrap_or(i64::MAX).count()
}

/// `GET /admin/changes/{id}`
pub async fn get(State(app): State<App>, Auditor(viewer): Auditor, told: Told, Id(id): Id) -> Result<Response, Response> {
    let change = change::change(&app.ctx, &viewer.by(Channel::Web), id).await.map_err(failed)?;
    let frame = Frame { flash: told.flash(), ..error::frame(&app, Some(&viewer), "changes") };
    Ok(told.page(&app, &ChangePage { frame, change }))
}

/// `GET /admin/changes/{id}/catalog.toml`: the whole set as it is to be.
pub async fn file(State(app): State<App>, Auditor(viewer): Auditor, Id(id): Id) -> Result<Response, Response> {
    let body = change::body(&app.ctx, &viewer.by(Channel::Web), id).await.map_err(failed)?;
    Ok(toml(body).into_response())
}

/// A catalog file as a download.
pub fn toml(body: String) -> impl IntoResponse {
    use axum::http::header;
    ([(header::CONTENT_TYPE, "application/toml; charset=utf-8"), (header::CONTENT_DISPOSITION, "attachment; filename=\"catalog.toml\"")], body)
}

/// What is said with a decision.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Said {
    comment: String,
    at: String,
}

/// `POST /admin/changes/{id}/approve`
pub async fn approve(State(app): State<App>, Administrator(viewer): Administrator, Id(id): Id, Sent(said): Sent<Said>) -> Result<Response, Response> {
    let by = viewer.by(Channel::Web);
    slowly(&app, &app.limits.act, &by)?;
    let at = moment(&said.at).map_err(failed)?;
    decide::approve(&app.ctx, &by, id, at, Some(&said.comment)).await.map_err(failed)?;
    Ok(Done::ChangeApproved.then(&app, &format!("/admin/changes/{id}")))
}

/// `POST /admin/changes/{id}/reject`
pub async fn reject(State(app): State<App>, Administrator(viewer): Administrator, Id(id): Id, Sent(said): Sent<Said>) -> Result<Response, Response> {
    let by = viewer.by(Channel::Web);
    slowly(&app, &app.limits.act, &by)?;
    decide::reject(&app.ctx, &by, id, Some(&said.comment)).await.map_err(failed)?;
    Ok(Done::ChangeRejected.then(&app, &format!("/admin/changes/{id}")))
}

/// `POST /admin/changes/{id}/withdraw`
pub async fn withdraw(State(app): State<App>, Administrator(viewer): Administrator, Id(id): Id, Sent(said): Sent<Said>) -> Result<Response, Response> {
    let by = viewer.by(Channel::Web);
    slowly(&app, &app.limits.act, &by)?;
    decide::withdraw(&app.ctx, &by, id, Some(&said.comment)).await.map_err(failed)?;
    Ok(Done::ChangeWithdrawn.then(&app, &format!("/admin/changes/{id}")))
}

/// What a field for day and time sends, in UTC; empty: none.
fn moment(text: &str) -> Result<Option<DateTime<Utc>>, Failure> {
    if text.is_empty() {
        return Ok(None);
    }
    let read = ["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"].iter().find_map(|form| NaiveDateTime::parse_from_str(text, form).ok());
    let sane = read.filter(|at| (1970..=9998).contains(&chrono::Datelike::year(at)));
    sane.map(|at| Some(at.and_utc())).ok_or_else(|| Failure::bad_input("The time must be a day and a time like 2026-01-31T09:00, in UTC."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::change::weigh::{DeadEnd, Weighed, WeighedRole};
    use crate::service::look::change::{CanChange, ChangeRow, ChangedVersion, DiffLine};
    use crate::web::proof::*;

    fn sample(says: Says) -> ChangePage {
        let counts = [("refused".to_owned(), 12), ("more_approvals".to_owned(), 40), ("unchanged".to_owned(), 9_800)].into();
        ChangePage {
            frame: frame(says, As::Administrator, "changes"),
            change: Change {
                row: ChangeRow {
                    id: id(1),
                    author: says.of("Sofia Marín"),
                    source: says.of("catalog.toml"),
                    changes: 2,
                    first: String::new(),
                    status: "proposed".into(),
                    submitted_at: ago(30),
                    effective_at: None,
                    approver: None,
                },
                digest: "9f2c4b1d".repeat(8),
                lines: vec![
                    DiffLine { mark: "changed", title: says.of("policy standard v1 -> v2"), details: vec![says.of("maximum: 30 days -> 10 days")] },
                    DiffLine { mark: "new", title: says.of("role ledger/clerk  Clerk"), details: vec![] },
                ],
                versions: vec![ChangedVersion { policy_key: "standard".into(), version_from: Some(1), version_to: Some(2) }],
                decided_at: None,
                comment: Some(says.of("Because.")),
                error: None,
                weighed: Some(Weighed {
                    from: Some(ago(90 * 1440)),
                    to: Some(ago(29)),
                    counts,
                    roles: vec![WeighedRole { role: id(20), key: says.of("orders-db/reader"), counts: [("refused".to_owned(), 12)].into() }],
                    left_out: 0,
                    unreadable: 1,
                    dead_ends: vec![DeadEnd {
                        line: 12,
                        sentence: says.of("Nobody can take step “DBAs”."),
                        roles: vec![says.of("orders-db/writer")],
                        is_dead: true,
                    }],
                    error: None,
                }),
                is_weighing: false,
                progress: None,
                can: CanChange { approve: true, reject: true, withdraw: false, is_author: false },
            },
        }
    }

    #[test]
    fn a_proposal_shows_what_it_does_and_who_may_decide() {
        let mut page = sample(Says::Plain);
        let shown = Rendered::of("change", &page);
        assert!(shown.posts_to(&format!("/admin/changes/{}/approve", id(1))) && shown.posts_to(&format!("/admin/changes/{}/reject", id(1))));
        assert!(shown.says("Nobody can take step") && shown.says("maximum: 30 days -> 10 days"));
        assert_eq!(shown.all(&format!("a[href='/admin/changes/{}/requests?turn=refused']", id(1))).len(), 1);
        page.change.can = CanChange { is_author: true, withdraw: true, ..CanChange::default() };
        let shown = Rendered::of("change-author", &page);
        assert!(!shown.posts_to(&format!("/admin/changes/{}/approve", id(1))) && shown.posts_to(&format!("/admin/changes/{}/withdraw", id(1))));
        assert!(shown.says("Another administrator"));
    }

    #[test]
    fn a_running_what_if_says_how_far_it_is_and_is_looked_at_again() {
        let mut page = sample(Says::Plain);
        (page.change.weighed, page.change.is_weighing, page.change.progress) = (None, true, Some((4_000, 100_000)));
        let shown = Rendered::of("change-running", &page);
        assert!(shown.says("4 000 of 100 000"));
        assert_eq!(shown.all("meta[http-equiv=refresh]").len(), 1);
    }

    #[test]
    fn hostile_text_stays_text_in_a_change() {
        assert!(Rendered::of("change-hostile", &sample(Says::Hostile)).all("img").is_empty());
    }

    #[test]
    fn a_moment_is_read_in_utc_and_nothing_else_is_one() {
        assert_eq!(moment("").ok().flatten(), None);
        assert_eq!(moment("2026-11-20T09:30").ok().flatten().map(|at| at.to_rfc3339()).as_deref(), Some("2026-11-20T09:30:00+00:00"));
        for wrong in ["tomorrow", "2026-11-20", "0001-01-01T00:00", "\0"] {
            assert!(moment(wrong).is_err(), "{wrong:?}");
        }
    }
}
