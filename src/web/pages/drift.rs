//! Drift: who has access that nobody granted, and acts.

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Duration, NaiveDate, NaiveTime, Utc};
use serde::Deserialize;
use uuid::Uuid;

use crate::domain::event::Channel;
use crate::domain::id::RoleId;
use crate::domain::refusal::Refusal;
use crate::domain::request::RequestStatus;
use crate::service::drift::ignore::Ignoring;
use crate::service::drift::{act, adopt, ignore, stopped};
use crate::service::error::ServiceError;
use crate::service::look::drift::{self, DriftFilter, Drifts};
use crate::service::look::find;
use crate::service::look::shared::Cursor;
use crate::web::error::{self, Failure};
use crate::web::flash::{Done, Told, page_of};
use crate::web::form::{Asked, Id, Sent, failed, line, shown, slowly};
use crate::web::guard::{Administrator, SignedIn};
use crate::web::state::App;
use crate::web::view::{self, Amount as _, Frame, Moment as _, Words as _};

/// Members that no grant explains, and the like.
#[derive(Template)]
#[template(path = "pages/drift.html")]
pub struct DriftPage {
    /// What is around it.
    pub frame: Frame,
    /// What it shows.
    pub drifts: Drifts,
    /// What was typed to leave one alone, and what is wrong with it.
    pub typed: Option<Typed>,
}

/// What was typed to leave a difference alone.
#[derive(Clone, Debug, Default)]
pub struct Typed {
    /// Of which.
    pub of: Uuid,
    /// Why.
    pub reason: String,
    /// Who answers for it.
    pub owner: String,
    /// The last day.
    pub until: String,
    /// What is wrong.
    pub fault: String,
}

impl DriftPage {
    /// What was typed for this one.
    pub fn typed_of(&self, id: &Uuid) -> Typed {
        self.typed.clone().filter(|typed| typed.of == *id).unwrap_or_default()
    }

    /// The filter as a query string, with `after`.
    pub fn after(&self, cursor: &Cursor) -> String {
        let f = &self.drifts.filter;
        let settled = if f.settled { "&state=settled" } else { "" };
        format!("q={}&kind={}&directory={}{settled}&after={}", f.q.query(), f.kind.query(), f.directory.query(), cursor.0.query())
    }

    /// Whether the list is narrowed.
    pub fn is_narrowed(&self) -> bool {
        let f = &self.drifts.filter;
        f.settled || ![&f.q, &f.kind, &f.directory].iter().all(|text| text.is_empty())
    }

    /// What happens by itself, in words.
    pub fn rule(&self, rule: &str) -> &'static str {
        match rule {
            "remove" => "Set to take them out by itself",
            "adopt" => "Set to ask for a grant by itself",
            _ => "",
        }
    }
}

/// What the list is narrowed to, as the address says it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Search {
    q: String,
    kind: String,
    directory: String,
    state: String,
    after: Option<String>,
}

impl Search {
    fn filter(&self) -> DriftFilter {
        DriftFilter { q: line(&self.q), kind: line(&self.kind), directory: line(&self.directory), settled: self.state == "settled" }
    }
}

/// `GET /drift`
pub async fn get(State(app): State<App>, SignedIn(viewer): SignedIn, told: Told, Asked(search): Asked<Search>) -> Result<Response, Response> {
    let by = viewer.by(Channel::Web);
    slowly(&app, &app.limits.search, &by)?;
    let after = search.after.as_ref().map(|after| Cursor(after.clone()));
    let drifts = drift::drifts(&app.ctx, &by, search.filter(), after.as_ref()).await.map_err(failed)?;
    let frame = Frame { flash: told.flash(), ..error::frame(&app, Some(&viewer), "drift") };
    Ok(told.page(&app, &DriftPage { frame, drifts, typed: None }))
}

/// What is sent to have a grant asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Adopting {
    role: String,
    reason: String,
}

/// `POST /drift/{id}/adopt`
pub async fn adopt(State(app): State<App>, SignedIn(viewer): SignedIn, Id(id): Id, Sent(form): Sent<Adopting>) -> Result<Response, Response> {
    let by = viewer.by(Channel::Web);
    slowly(&app, &app.limits.act, &by)?;
    let role = match form.role.as_str() {
        "" => None,
        role => Some(RoleId(Uuid::try_parse(role).map_err(|_| failed(Failure::missing()))?)),
    };
    let words = Some(form.reason.as_str()).filter(|text| !text.trim().is_empty());
    let asked = adopt::adopt(&app.ctx, &by, id, role, words).await.map_err(back)?;
    let done = match asked.status {
        RequestStatus::Refused => Done::DriftNotAdopted,
        RequestStatus::Approved => Done::DriftAdoptedAtOnce,
        _ => Done::DriftAdopting,
    };
    Ok(done.then(&app, "/drift"))
}

/// `POST /drift/{id}/remove`
pub async fn remove(State(app): State<App>, SignedIn(viewer): SignedIn, Id(id): Id) -> Result<Response, Response> {
    let by = viewer.by(Channel::Web);
    slowly(&app, &app.limits.act, &by)?;
    act::remove(&app.ctx, &by, id).await.map_err(back)?;
    Ok(Done::DriftRemoving.then(&app, "/drift"))
}

/// What is sent to leave one alone.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Leaving {
    reason: String,
    owner: String,
    until: String,
}

/// `POST /drift/{id}/ignore`
pub async fn ignore(State(app): State<App>, SignedIn(viewer): SignedIn, Id(id): Id, Sent(form): Sent<Leaving>) -> Result<Response, Response> {
    let by = viewer.by(Channel::Web);
    slowly(&app, &app.limits.act, &by)?;
    let owner = match form.owner.trim() {
        "" => Some(by.person),
        text => find::colleague(&app.ctx, text).await.map_err(failed)?,
    };
    // Somebody who was named and is nobody must not become who acts.
    let nobody = (owner.is_none()).then(|| Uuid::nil().into());
    let said = Ignoring { reason: Some(form.reason.clone()), owner: owner.or(nobody), until: last_moment(&form.until) };
    match ignore::ignore(&app.ctx, &by, id, &said).await {
        Ok(()) => Ok(Done::DriftIgnored.then(&app, "/drift")),
        Err(ServiceError::Refused(refusal @ Refusal::Faults(_))) => {
            let drifts = drift::drifts(&app.ctx, &by, DriftFilter::default(), None).await.map_err(failed)?;
            let typed = Typed { of: id, reason: shown(&form.reason), owner: shown(&form.owner), until: shown(&form.until), fault: refusal.to_string() };
            let page = DriftPage { frame: error::frame(&app, Some(&viewer), "drift"), drifts, typed: Some(typed) };
            Ok(Failure::from(ServiceError::Refused(refusal)).shown_as(page_of(&page)).into_response())
        }
        Err(other) => Err(back(other)),
    }
}

/// `POST /drift/{id}/unignore`
pub async fn end_exception(State(app): State<App>, SignedIn(viewer): SignedIn, Id(id): Id) -> Result<Response, Response> {
    let by = viewer.by(Channel::Web);
    slowly(&app, &app.limits.act, &by)?;
    ignore::end(&app.ctx, &by, id).await.map_err(back)?;
    Ok(Done::DriftExceptionEnded.then(&app, "/drift"))
}

/// What is sent to go on with a stopped group.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct GoingOn {
    people: String,
}

/// `POST /drift/groups/{id}/remove`: take them all out.
pub async fn remove_all(State(app): State<App>, Administrator(viewer): Administrator, Id(id): Id, Sent(form): Sent<GoingOn>) -> Result<Response, Response> {
    let by = viewer.by(Channel::Web);
    slowly(&app, &app.limits.act, &by)?;
    stopped::remove_all(&app.ctx, &by, id, form.people.parse().unwrap_or(-1)).await.map_err(back)?;
    Ok(Done::DriftRemoving.then(&app, "/drift"))
}

/// `POST /drift/groups/{id}/believe`: the short list is right.
pub async fn believe(State(app): State<App>, Administrator(viewer): Administrator, Id(id): Id) -> Result<Response, Response> {
    let by = viewer.by(Channel::Web);
    slowly(&app, &app.limits.act, &by)?;
    stopped::believe(&app.ctx, &by, id).await.map_err(back)?;
    Ok(Done::ReadingDue.then(&app, "/drift"))
}

/// A failure with the way back to the list.
fn back(error: ServiceError) -> Response {
    match error {
        ServiceError::Missing => failed(error),
        other => failed(Failure { link: Some(("/drift".into(), "Back to drift".into())), ..other.into() }),
    }
}

/// The end, in UTC, of a day as a form sends it.
fn last_moment(text: &str) -> Option<DateTime<Utc>> {
    let day: NaiveDate = text.trim().parse().ok()?;
    let sane = (NaiveDate::from_ymd_opt(2000, 1, 1)?..NaiveDate::from_ymd_opt(9999, 1, 1)?).contains(&day);
    if !sane {
        return None;
    }
    day.and_time(NaiveTime::MIN).and_utc().checked_add_signed(Duration::days(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::look::drift::{Can, DriftListed, DriftRow, StoppedRow};
    use crate::service::look::shared::Listing;
    use crate::web::proof::*;

    fn row(says: Says, n: u128, kind: &str, can: Can) -> DriftRow {
        DriftRow {
            row: DriftListed {
                id: id(n),
                directory: "main".into(),
                group_reference: "g".into(),
                group_name: says.of("orders-ro"),
                person_reference: "p".into(),
                person_id: Some(id(90)),
                person: (kind != "unknown_target").then(|| says.of("Mei Tanaka")),
                user_name: Some(says.of("mei.tanaka")),
                kind: kind.into(),
                through_name: (n == 4).then(|| says.of("dba")),
                detected_at: ago(900),
                action: "alerted".into(),
                request_id: (n == 5).then(|| id(70)),
                request_status: (n == 5).then(|| "pending".into()),
                adoption_over_at: None,
                removal_asked_at: None,
                removal_asked_by: None,
                note: None,
                removal_error: None,
                resolved_at: None,
                resolution: None,
                resolved_by: None,
                exception_reason: (n == 6).then(|| says.of("The migration needs it")),
                exception_owner: (n == 6).then(|| says.of("Cy Okafor")),
                exception_until: (n == 6).then(|| ahead(9000)),
                roles: vec![id(20), id(21)],
                role_titles: vec![says.of("Orders DB Read-only"), says.of("Orders DB Reader")],
                rules: vec!["alert".into()],
                owned: true,
            },
            stands: says.of("Nobody granted it here."),
            rule: "remove",
            can,
        }
    }

    fn sample(says: Says) -> DriftPage {
        let all = Can { adopt: true, remove: true, ignore: true, end_exception: false };
        DriftPage {
            frame: frame(says, As::Administrator, "drift"),
            drifts: Drifts {
                filter: DriftFilter { q: says.of("orders"), ..DriftFilter::default() },
                rows: Listing {
                    rows: vec![
                        row(says, 1, "unexpected_member", all),
                        row(says, 2, "missing_member", Can::default()),
                        row(says, 3, "unknown_target", Can::default()),
                        row(says, 4, "unexpected_member", Can { remove: false, ..all }),
                        row(says, 5, "unexpected_member", Can::default()),
                        row(says, 6, "unexpected_member", Can { end_exception: true, ..Can::default() }),
                    ],
                    next: Some(Cursor("d".into())),
                },
                stopped: vec![
                    StoppedRow {
                        id: id(80),
                        directory: "main".into(),
                        group_name: says.of("big"),
                        why: "many".into(),
                        people: 40,
                        members: 300,
                        stopped_at: ago(9),
                    },
                    StoppedRow {
                        id: id(81),
                        directory: "main".into(),
                        group_name: says.of("small"),
                        why: "shrunk".into(),
                        people: 50,
                        members: 60,
                        stopped_at: ago(9),
                    },
                ],
                directories: vec!["main".into(), "other".into()],
                everything: true,
            },
            typed: Some(Typed { of: id(1), reason: says.of("why"), owner: says.of("x"), until: says.of("y"), fault: says.of("Say until when.") }),
        }
    }

    #[test]
    fn each_difference_has_the_buttons_that_do_something() {
        let page = Rendered::of("drift", &sample(Says::Plain));
        for (n, verb, there) in [
            (1, "adopt", true),
            (1, "remove", true),
            (1, "ignore", true),
            (2, "adopt", false),
            (3, "remove", false),
            (4, "remove", false),
            (4, "adopt", true),
            (5, "adopt", false),
            (6, "unignore", true),
            (1, "unignore", false),
        ] {
            assert_eq!(page.posts_to(&format!("/drift/{}/{verb}", id(n))), there, "{n} {verb}");
        }
        assert!(page.posts_to(&format!("/drift/groups/{}/remove", id(80))) && page.posts_to(&format!("/drift/groups/{}/believe", id(81))));
        assert!(!page.posts_to(&format!("/drift/groups/{}/believe", id(80))));
        assert!(page.says("Say until when.") && page.says("Cy Okafor") && page.says("taken out"));
    }

    #[test]
    fn who_only_reads_is_offered_nothing_to_press() {
        let mut page = sample(Says::Plain);
        page.frame = frame(Says::Plain, As::Auditor, "drift");
        page.drifts.rows.rows.iter_mut().for_each(|row| row.can = Can::default());
        let page = Rendered::of("drift-auditor", &page);
        assert!(page.all("main form[method=post]").is_empty());
    }

    #[test]
    fn nothing_that_differs_is_good_news() {
        let mut page = sample(Says::Plain);
        (page.drifts.rows, page.drifts.stopped, page.drifts.filter) = (Listing::whole(vec![]), vec![], DriftFilter::default());
        assert!(Rendered::of("drift-empty", &page).says("Nothing differs"));
        page.drifts.filter.q = "x".into();
        assert!(Rendered::of("drift-none", &page).says("Nothing found"));
    }

    #[test]
    fn hostile_text_stays_text_in_drift() {
        assert!(Rendered::of("drift-hostile", &sample(Says::Hostile)).all("img").is_empty());
    }

    #[test]
    fn the_last_day_is_the_last_one_left_alone() {
        assert_eq!(last_moment("2026-01-31").map(|at| at.to_rfc3339()), Some("2026-02-01T00:00:00+00:00".into()));
        assert_eq!((last_moment(""), last_moment("9999-12-31"), last_moment("x")), (None, None, None));
    }
}
