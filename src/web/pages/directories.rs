//! Directories: each with how it goes.

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use crate::domain::event::Channel;
use crate::service::look::directory::{self, Directory};
use crate::web::error;
use crate::web::flash::Told;
use crate::web::form::failed;
use crate::web::guard::Auditor;
use crate::web::state::App;
use crate::web::view::{self, Amount as _, Frame, Moment as _, Words as _};

/// The directories.
#[derive(Template)]
#[template(path = "pages/directories.html")]
pub struct DirectoriesPage {
    /// What is around it.
    pub frame: Frame,
    /// By key.
    pub directories: Vec<Directory>,
}

/// `GET /directories`
pub async fn get(State(app): State<App>, Auditor(viewer): Auditor, told: Told) -> Result<Response, Response> {
    let directories = directory::directories(&app.ctx, &viewer.by(Channel::Web)).await.map_err(failed)?;
    let frame = Frame { flash: told.flash(), ..error::frame(&app, Some(&viewer), "directories") };
    Ok(told.page(&app, &DirectoriesPage { frame, directories }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::pause::PauseRow;
    use crate::web::pages::directory::tests::directory;
    use crate::web::proof::*;

    #[test]
    fn every_directory_is_named_with_its_state() {
        let mut held = directory(Says::Plain, "held");
        held.state = "paused";
        held.pause = Some(PauseRow { directory: "held".into(), everything: true, reason: "x".into(), paused_by: "Ines".into(), paused_at: ago(5) });
        let page = DirectoriesPage { frame: frame(Says::Plain, As::Auditor, "directories"), directories: vec![directory(Says::Plain, "main"), held] };
        let page = Rendered::of("directories", &page);
        assert_eq!(page.all("main section").len(), 2);
        assert!(page.says("Everything is held back") && !page.all("a[href='/directories/main']").is_empty());
        assert!(page.all("main form").is_empty());
    }

    #[test]
    fn hostile_text_stays_text_in_the_list_of_directories() {
        let page = DirectoriesPage { frame: frame(Says::Hostile, As::Administrator, "directories"), directories: vec![directory(Says::Hostile, "main")] };
        assert!(Rendered::of("directories-hostile", &page).all("img").is_empty());
    }

    #[test]
    fn no_directory_says_what_to_do() {
        let page = DirectoriesPage { frame: frame(Says::Plain, As::Administrator, "directories"), directories: vec![] };
        assert!(Rendered::of("directories-empty", &page).says("No directory is connected"));
    }
}
