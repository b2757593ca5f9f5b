//! What failed, what was kept, what comes next.

use askama::Template;

use crate::web::view::{self, Amount as _, Frame, Words as _};

/// The page for every 4xx and 5xx.
#[derive(Template)]
#[template(path = "pages/error.html")]
pub struct ErrorPage {
    /// What is around it.
    pub frame: Frame,
    /// What it says.
    pub error: Trouble,
}

/// What a person is told when something does not work. Never a cause out of the inside.
#[derive(Clone, Debug)]
pub struct Trouble {
    /// The HTTP status.
    pub status: u16,
    /// In a few words.
    pub title: String,
    /// What failed, in a sentence or two.
    pub failed: String,
    /// What was kept of what the person did, if that is a question.
    pub kept: Option<String>,
    /// What to do, or what happens by itself.
    pub next: String,
    /// Who knows about it.
    pub who_knows: Option<String>,
    /// What to quote to an administrator.
    pub request_id: Option<String>,
    /// A way on: address (on this server) and label.
    pub link: Option<(String, String)>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::proof::frame;
    use crate::web::proof::*;

    #[test]
    fn an_error_says_what_failed_what_was_kept_and_what_is_next() {
        for (name, says) in [("error", Says::Plain), ("error-hostile", Says::Hostile)] {
            let error = Trouble {
                status: 409,
                title: "Somebody was faster".into(),
                failed: says.of("Mina Sato denied this request a moment ago, so your approval was not recorded."),
                kept: Some(says.of("Your comment: “Known incident.”")),
                next: "Nothing is left to do here; the request is closed.".into(),
                who_knows: Some("Bo Lind has been told the outcome.".into()),
                request_id: Some("01934f2a7c11".into()),
                link: Some(("/queue".into(), "Back to the queue".into())),
            };
            let page = Rendered::of(name, &ErrorPage { frame: frame(says, As::Approver, "queue"), error });
            assert_eq!(page.all("main dl > div").len(), 4);
            assert!(page.says("01934f2a7c11"));
        }
    }

    #[test]
    fn an_error_before_sign_in_has_no_navigation() {
        let error = Trouble {
            status: 404,
            title: "Nothing here".into(),
            failed: "There is no such page, or it is not for you to see.".into(),
            kept: None,
            next: "Check the address, or begin at Home.".into(),
            who_knows: None,
            request_id: None,
            link: Some(("/".into(), "Home".into())),
        };
        let frame = Frame { viewer: None, place: "", flash: None, demo: false, now: now() };
        let page = Rendered::of("error-alone", &ErrorPage { frame, error });
        assert!(page.all("nav").is_empty() && page.all(".demo").is_empty());
    }
}
