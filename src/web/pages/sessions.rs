//! Sessions: where one is signed in.

use askama::Template;

use crate::service::look::session::Sessions;
use crate::web::view::{self, Amount as _, Frame, Moment as _, Words as _};

/// The viewer's own sessions.
#[derive(Template)]
#[template(path = "pages/sessions.html")]
pub struct SessionsPage {
    /// What is around it.
    pub frame: Frame,
    /// What it shows.
    pub sessions: Sessions,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::look::session::SessionRow;
    use crate::web::proof::frame;
    use crate::web::proof::*;

    #[test]
    fn each_session_can_be_ended_and_the_current_one_is_marked() {
        for (name, says) in [("sessions", Says::Plain), ("sessions-hostile", Says::Hostile)] {
            let row = |n, current, browser: &str| SessionRow {
                id: id(n),
                current,
                browser: says.of(browser),
                address: Some(says.of("192.0.2.10")),
                started_at: ago(200),
                last_seen_at: ago(if current { 0 } else { 95 }),
                ends_at: ahead(600),
            };
            let rows = vec![row(1, true, "Firefox on Linux"), row(2, false, "Safari on iPhone")];
            let sessions = Sessions { rows, idle_s: 1800, absolute_s: 43200 };
            let frame = frame(says, As::Employee, "sessions");
            let page = Rendered::of(name, &SessionsPage { frame, sessions });
            assert!(page.posts_to(&format!("/sessions/{}/end", id(2))) && page.posts_to("/sessions/end-others"));
            assert_eq!(page.all("tbody .badge.good").len(), 1);
        }
    }
}
