//! Test connection: what a directory lets us do.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;

use crate::domain::event::Channel;
use crate::service::try_directory::{Tried, try_directory};
use crate::web::error;
use crate::web::flash::Told;
use crate::web::form::{failed, slowly};
use crate::web::guard::Administrator;
use crate::web::state::App;
use crate::web::view::{self, Amount as _, Frame, Words as _};

/// What was found.
#[derive(Template)]
#[template(path = "pages/connection.html")]
pub struct ConnectionPage {
    /// What is around it.
    pub frame: Frame,
    /// What it shows.
    pub tried: Tried,
}

/// `POST /directories/{key}/test`
pub async fn test(State(app): State<App>, Administrator(viewer): Administrator, told: Told, Path(key): Path<String>) -> Result<Response, Response> {
    let by = viewer.by(Channel::Web);
    slowly(&app, &app.limits.act, &by)?;
    let tried = try_directory(&app.ctx, &by, &key).await.map_err(failed)?;
    let frame = Frame { flash: told.flash(), ..error::frame(&app, Some(&viewer), "directories") };
    Ok(told.page(&app, &ConnectionPage { frame, tried }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::proof::*;

    fn page(says: Says, works: bool, notes: &[&str]) -> ConnectionPage {
        let lacks = !works || notes.iter().any(|note| note.starts_with("Cannot"));
        let tried = Tried { directory: "main".into(), works, lacks, notes: notes.iter().map(|note| says.of(note)).collect() };
        ConnectionPage { frame: frame(says, As::Administrator, "directories"), tried }
    }

    #[test]
    fn what_is_missing_is_said_and_can_be_tried_again() {
        let good = Rendered::of("connection", &page(Says::Plain, true, &["Lists 25 people.", "May change memberships."]));
        assert!(good.posts_to("/directories/main/test") && good.says("Everything that is needed works"));
        let lacking =
            Rendered::of("connection-lacking", &page(Says::Plain, true, &["Lists 25 people.", "Cannot change memberships: the token may only read."]));
        assert!(lacking.says("Something is missing") && lacking.says("the token may only read"));
        let broken = Rendered::of("connection-broken", &page(Says::Plain, false, &["Cannot list people. The directory cannot be reached: no connection."]));
        assert!(broken.says("It does not work") && broken.all("main li").len() == 1);
    }

    #[test]
    fn hostile_text_stays_text_in_a_test_of_the_connection() {
        assert!(Rendered::of("connection-hostile", &page(Says::Hostile, true, &["x"])).all("img").is_empty());
    }
}
