//! Directory: whether it answers, and what was read.

use askama::Template;

use crate::service::look::directory::Directory;
use crate::web::view::{self, Amount as _, Frame, Moment as _, Words as _};

/// The directory's state.
#[derive(Template)]
#[template(path = "pages/directory.html")]
pub struct DirectoryPage {
    /// What is around it.
    pub frame: Frame,
    /// What it shows.
    pub directory: Directory,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::look::directory::ReadingRow;
    use crate::service::look::shared::Listing;
    use crate::web::proof::frame;
    use crate::web::proof::*;

    #[test]
    fn a_failed_reading_says_why() {
        for (name, says) in [("directory", Says::Plain), ("directory-hostile", Says::Hostile)] {
            let reading = |minutes, result: &str, detail: Option<&str>| ReadingRow {
                at: ago(minutes),
                result: result.into(),
                people: 25,
                groups: 9,
                changed: 2,
                took_ms: 312,
                detail: detail.map(|d| says.of(d)),
            };
            let directory = Directory {
                id: id(80),
                name: says.of("Demo directory"),
                kind: "SCIM 2.0".into(),
                address: says.of("http://127.0.0.1:8081/scim/v2"),
                state: "ok",
                sentence: "It answers, and what is known is 4 minutes old.".into(),
                last_ok_at: Some(ago(4)),
                next_at: Some(ahead(1)),
                people: 25,
                enabled: 24,
                groups: 9,
                groups_used: 7,
                readings: Listing::whole(vec![reading(4, "done", None), reading(9, "failed", Some("Connection refused by 127.0.0.1:8081."))]),
            };
            let frame = frame(says, As::Administrator, "directory");
            let page = Rendered::of(name, &DirectoryPage { frame, directory });
            assert!(page.says("Connection refused") && page.all("img").is_empty());
            assert!(page.posts_to(&format!("/admin/directory/{}/sync", id(80))));
        }
    }
}
