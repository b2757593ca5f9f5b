//! A directory: its health, debts, tries, and pausing it.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use crate::domain::event::Channel;
use crate::domain::refusal::Refusal;
use crate::service::error::ServiceError;
use crate::service::look::directory::{self, Health};
use crate::service::look::shared::Cursor;
use crate::service::pause::{self, Pausing};
use crate::service::run_now::{self, What};
use crate::service::sync;
use crate::web::error::{self, Failure};
use crate::web::flash::{Done, Told, page_of};
use crate::web::form::{Asked, Sent, failed, shown, slowly};
use crate::web::guard::{Administrator, Auditor};
use crate::web::state::App;
use crate::web::view::{self, Amount as _, Frame, Moment as _, Words as _};

/// One directory.
#[derive(Template)]
#[template(path = "pages/directory.html")]
pub struct DirectoryPage {
    /// What is around it.
    pub frame: Frame,
    /// What it shows.
    pub health: Health,
    /// What was typed to pause it.
    pub reason: String,
    /// What is wrong with that.
    pub fault: String,
}

impl DirectoryPage {
    /// A count of the rate limit.
    pub fn calls(&self, calls: &u64) -> String {
        i64::try_from(*calls).unwrap_or(i64::MAX).count()
    }
}

/// Where the lists begin.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct From {
    after: Option<String>,
    before: Option<String>,
}

/// `GET /directories/{key}`
pub async fn get(
    State(app): State<App>,
    Auditor(viewer): Auditor,
    told: Told,
    Path(key): Path<String>,
    Asked(from): Asked<From>,
) -> Result<Response, Response> {
    let (after, before) = (from.after.map(Cursor), from.before.map(Cursor));
    let health = directory::directory(&app.ctx, &viewer.by(Channel::Web), &key, after.as_ref(), before.as_ref()).await.map_err(failed)?;
    let frame = Frame { flash: told.flash(), ..error::frame(&app, Some(&viewer), "directories") };
    Ok(told.page(&app, &DirectoryPage { frame, health, reason: String::new(), fault: String::new() }))
}

/// `POST /directories/{key}/sync`: read everybody now.
pub async fn read(State(app): State<App>, Administrator(viewer): Administrator, Path(key): Path<String>) -> Result<Response, Response> {
    now(&app, &viewer.by(Channel::Web), What::People, &key).await
}

/// `POST /directories/{key}/believe`: so many people really left; read everybody once more and believe it.
pub async fn believe(State(app): State<App>, Administrator(viewer): Administrator, Path(key): Path<String>) -> Result<Response, Response> {
    let by = viewer.by(Channel::Web);
    slowly(&app, &app.limits.act, &by)?;
    sync::believe(&app.ctx, &by, &key).await.map_err(|error| back(&key, error))?;
    Ok(Done::ReadingDue.then(&app, &format!("/directories/{key}")))
}

/// `POST /directories/{key}/sweep`: compare the groups now.
pub async fn sweep(State(app): State<App>, Administrator(viewer): Administrator, Path(key): Path<String>) -> Result<Response, Response> {
    now(&app, &viewer.by(Channel::Web), What::Comparison, &key).await
}

async fn now(app: &App, by: &crate::service::ctx::By, what: What, key: &str) -> Result<Response, Response> {
    slowly(app, &app.limits.act, by)?;
    run_now::of_directory(&app.ctx, by, what, key).await.map_err(|error| back(key, error))?;
    Ok(Done::ReadingDue.then(app, &format!("/directories/{key}")))
}

/// What is sent to pause.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Holding {
    reason: String,
    what: String,
    confirmed: String,
}

/// `POST /directories/{key}/pause`
pub async fn pause(
    State(app): State<App>,
    Administrator(viewer): Administrator,
    Path(key): Path<String>,
    Sent(form): Sent<Holding>,
) -> Result<Response, Response> {
    let by = viewer.by(Channel::Web);
    slowly(&app, &app.limits.act, &by)?;
    let said = Pausing { everything: form.what == "everything", confirmed: form.confirmed == "yes", reason: Some(form.reason.clone()) };
    match pause::pause(&app.ctx, &by, &key, &said).await {
        Ok(()) => Ok(Done::Paused.then(&app, &format!("/directories/{key}"))),
        Err(ServiceError::Refused(refusal @ Refusal::Faults(_))) => {
            let health = directory::directory(&app.ctx, &by, &key, None, None).await.map_err(failed)?;
            let page =
                DirectoryPage { frame: error::frame(&app, Some(&viewer), "directories"), health, reason: shown(&form.reason), fault: refusal.to_string() };
            Ok(Failure::from(ServiceError::Refused(refusal)).shown_as(page_of(&page)).into_response())
        }
        Err(other) => Err(back(&key, other)),
    }
}

/// `POST /directories/{key}/resume`
pub async fn resume(State(app): State<App>, Administrator(viewer): Administrator, Path(key): Path<String>) -> Result<Response, Response> {
    let by = viewer.by(Channel::Web);
    slowly(&app, &app.limits.act, &by)?;
    pause::resume(&app.ctx, &by, &key).await.map_err(|error| back(&key, error))?;
    Ok(Done::Resumed.then(&app, &format!("/directories/{key}")))
}

/// A failure with the way back; only a key that there is stands in the address.
fn back(key: &str, error: ServiceError) -> Response {
    match error {
        ServiceError::Missing => failed(error),
        other => failed(Failure { link: Some((format!("/directories/{}", key.query()), "Back to the directory".into())), ..other.into() }),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::service::look::directory::{AttemptListed, Directory, ReadingRow, Run, Trouble};
    use crate::service::look::shared::Listing;
    use crate::service::pause::PauseRow;
    use crate::web::proof::*;

    pub fn directory(says: Says, key: &str) -> Directory {
        let run = |found: &str| Run { last_ok_at: Some(ago(4)), found: Some(says.of(found)), error: None, next_at: Some(ahead(1)), running: false };
        Directory {
            key: key.into(),
            kind: "SCIM 2.0",
            state: "failing",
            sentence: says.of("Reading everybody failed: it does not answer."),
            people_read: Run { error: Some(says.of("The directory cannot be reached.")), ..run("25 people, 3 new or changed") },
            changes_followed: run("it does not say what changed since it was read"),
            groups_compared: run("9 groups, 2 members without a grant"),
            groups_listed: run("40 groups"),
            people: 25,
            active: 24,
            gone: 1,
            groups: 9,
            known_groups: 12,
            waiting: 3,
            doubt: Some(says.of("60 of 450 people are missing from the directory’s list")),
            adds: 3,
            removals: 1,
            late: 1,
            failing: 1,
            oldest: Some(ago(12)),
            pause: None,
        }
    }

    fn sample(says: Says) -> DirectoryPage {
        let attempt = |n, action: &str, result: &str| AttemptListed {
            id: id(n),
            started_at: ago(3),
            finished_at: ago(3),
            action: action.into(),
            person: says.of("Bo Lind"),
            group_name: says.of("orders-ro"),
            result: result.into(),
            detail: Some(says.of("503 try later")),
            verified_at: (n == 1).then(|| ago(3)),
            request_id: (n == 1).then(|| id(10)),
        };
        DirectoryPage {
            frame: frame(says, As::Administrator, "directories"),
            health: Health {
                directory: directory(says, "main"),
                headroom: Some((600, 42, ago(1))),
                waits_until: Some(ahead(1)),
                troubles: vec![Trouble { what: "Reading everybody".into(), error: says.of("cannot be reached"), advice: "Check the network." }],
                attempts: Listing { rows: vec![attempt(1, "add", "changed"), attempt(2, "remove", "rate_limited")], next: Some(Cursor("a".into())) },
                readings: Listing { rows: vec![ReadingRow { at: ago(4), result: "done", sentence: says.of("Read directory main") }], next: None },
                drifts: 2,
            },
            reason: String::new(),
            fault: String::new(),
        }
    }

    #[test]
    fn a_directory_says_how_it_goes_and_what_to_do() {
        let page = Rendered::of("directory", &sample(Says::Plain));
        for act in ["sync", "believe", "sweep", "pause", "test"] {
            assert!(page.posts_to(&format!("/directories/main/{act}")), "{act}");
        }
        assert!(!page.posts_to("/directories/main/resume"));
        assert!(page.says("60 of 450 people are missing") && page.says("3 wait to be asked about") && page.says("of 12 seen in it"));
        assert!(page.says("Check the network.") && page.says("42 of 600") && page.says("1 late"));
        assert_eq!(page.one("a[href='/directories/main?after=a#h-attempts']").text().collect::<String>(), "Older");
    }

    #[test]
    fn a_pause_of_everything_is_told_loudly_and_can_be_ended() {
        let mut page = sample(Says::Plain);
        page.health.directory.pause =
            Some(PauseRow { directory: "main".into(), everything: true, reason: "Maintenance".into(), paused_by: "Ines Moreau".into(), paused_at: ago(7) });
        let page = Rendered::of("directory-paused", &page);
        assert!(page.text("[role=alert]").contains("keep access that has ended"));
        assert!(page.posts_to("/directories/main/resume") && !page.posts_to("/directories/main/pause"));
    }

    #[test]
    fn hostile_text_stays_text_in_the_directory() {
        assert!(Rendered::of("directory-hostile", &sample(Says::Hostile)).all("img").is_empty());
    }

    #[test]
    fn who_only_reads_is_offered_nothing_to_press() {
        let mut page = sample(Says::Plain);
        page.frame = frame(Says::Plain, As::Auditor, "directories");
        assert!(Rendered::of("directory-auditor", &page).all("main form").is_empty());
    }
}
