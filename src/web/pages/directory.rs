//! Directory: how reading it goes, what differs.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use serde::Deserialize;

use crate::domain::event::Channel;
use crate::service::look::directory::{self, Directories};
use crate::service::look::shared::Cursor;
use crate::service::{run_now, sync};
use crate::web::error;
use crate::web::flash::{Done, Told};
use crate::web::form::{Asked, failed, slowly};
use crate::web::guard::{Administrator, Auditor};
use crate::web::state::App;
use crate::web::view::{self, Amount as _, Frame, Moment as _, Words as _};

/// The directories, and where they differ from what was granted.
#[derive(Template)]
#[template(path = "pages/directory.html")]
pub struct DirectoryPage {
    /// What is around it.
    pub frame: Frame,
    /// What it shows.
    pub page: Directories,
}

/// Where the lists begin.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct From {
    after: Option<String>,
    before: Option<String>,
}

/// `GET /admin/directory`
pub async fn get(State(app): State<App>, Auditor(viewer): Auditor, told: Told, Asked(from): Asked<From>) -> Result<Response, Response> {
    let (after, before) = (from.after.map(Cursor), from.before.map(Cursor));
    let page = directory::directories(&app.ctx, &viewer.by(Channel::Web), after.as_ref(), before.as_ref()).await.map_err(failed)?;
    let frame = Frame { flash: told.flash(), ..error::frame(&app, Some(&viewer), "directory") };
    Ok(told.page(&app, &DirectoryPage { frame, page }))
}

/// `POST /admin/directory/{key}/sync`: read everybody now.
pub async fn read(State(app): State<App>, Administrator(viewer): Administrator, Path(key): Path<String>) -> Result<Response, Response> {
    let by = viewer.by(Channel::Web);
    slowly(&app, &app.limits.act, &by)?;
    run_now::read_people(&app.ctx, &by, &key).await.map_err(failed)?;
    Ok(Done::ReadingDue.then(&app, "/admin/directory"))
}

/// `POST /admin/directory/{key}/believe`: so many people really left; read everybody once more and believe it.
pub async fn believe(State(app): State<App>, Administrator(viewer): Administrator, Path(key): Path<String>) -> Result<Response, Response> {
    let by = viewer.by(Channel::Web);
    slowly(&app, &app.limits.act, &by)?;
    sync::believe(&app.ctx, &by, &key).await.map_err(failed)?;
    Ok(Done::ReadingDue.then(&app, "/admin/directory"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::look::directory::{Directory, DriftRow, ReadingRow, Run};
    use crate::service::look::shared::Listing;
    use crate::web::proof::*;

    fn sample(says: Says) -> DirectoryPage {
        let run = |found: &str| Run { last_ok_at: Some(ago(4)), found: Some(says.of(found)), error: None, next_at: Some(ahead(1)), running: false };
        let drift = |n, kind: &str, person: Option<&str>| DriftRow {
            id: id(n),
            kind: kind.into(),
            since: ago(900),
            person: person.map(|name| says.of(name)),
            group: says.of("orders-db-readers"),
            directory: "main".into(),
            role: Some((id(20), says.of("Orders DB: Read-only"))),
        };
        DirectoryPage {
            frame: frame(says, As::Administrator, "directory"),
            page: Directories {
                directories: vec![Directory {
                    key: "main".into(),
                    kind: "SCIM 2.0",
                    state: "failing",
                    sentence: says.of("Reading everybody failed: it does not answer."),
                    people_read: Run { error: Some(says.of("The directory does not answer.")), ..run("25 people, 3 new or changed") },
                    changes_followed: run("it does not say what changed since it was read"),
                    groups_compared: run("9 groups, 2 members without a grant"),
                    people: 25,
                    active: 24,
                    gone: 1,
                    groups: 9,
                    known_groups: 12,
                    waiting: 3,
                    doubt: Some(says.of("60 of 450 people are missing from the directory’s list")),
                }],
                drifts: Listing {
                    rows: vec![
                        drift(1, "unexpected_member", Some("Mei Tanaka")),
                        drift(2, "missing_member", Some("Bo Lind")),
                        drift(3, "unknown_target", None),
                    ],
                    next: Some(Cursor("d".into())),
                },
                readings: Listing {
                    rows: vec![
                        ReadingRow { at: ago(4), result: "done", sentence: says.of("Read directory main: 25 people, 3 changed") },
                        ReadingRow { at: ago(9), result: "failed", sentence: says.of("Could not read directory main: time-out") },
                    ],
                    next: None,
                },
            },
        }
    }

    #[test]
    fn the_directory_says_how_reading_goes_and_what_differs() {
        let page = Rendered::of("directory", &sample(Says::Plain));
        assert!(page.posts_to("/admin/directory/main/sync") && page.posts_to("/admin/directory/main/believe") && page.posts_to("/admin/directory/main/test"));
        assert!(page.says("60 of 450 people are missing") && page.says("3 wait to be asked about"));
        assert!(page.says("does not answer") && page.says("25"));
        assert_eq!(page.all(".drift tbody tr").len(), 3);
        assert_eq!(page.one("a[href='/admin/directory?after=d#h-drift']").text().collect::<String>(), "More");
    }

    #[test]
    fn hostile_text_stays_text_in_the_directory() {
        assert!(Rendered::of("directory-hostile", &sample(Says::Hostile)).all("img").is_empty());
    }

    #[test]
    fn who_only_reads_is_offered_nothing_to_press() {
        let mut page = sample(Says::Plain);
        page.frame = frame(Says::Plain, As::Auditor, "directory");
        page.page.drifts.rows.clear();
        let page = Rendered::of("directory-auditor", &page);
        assert!(page.all("main form").is_empty());
        assert!(page.says("Nothing differs"));
    }
}
