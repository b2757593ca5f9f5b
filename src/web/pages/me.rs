//! My data: what is recorded about oneself, who looked.

use askama::Template;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Method, header};
use axum::response::{IntoResponse, Response};

use crate::service::look::me::{self, Me};
use crate::web::api::exports::in_earnest;
use crate::web::error;
use crate::web::flash::page_of;
use crate::web::form::{failed, slowly};
use crate::web::guard::SignedIn;
use crate::web::state::App;
use crate::web::view::{self, Amount as _, Frame, Moment as _, Words as _};

/// What is recorded about the viewer.
#[derive(Template)]
#[template(path = "pages/me.html")]
pub struct MePage {
    /// What is around it.
    pub frame: Frame,
    /// What it shows.
    pub me: Me,
}

/// `GET /me`
pub async fn get(State(app): State<App>, viewer: SignedIn) -> Result<Response, Response> {
    let me = me::me(&app.ctx, &viewer.by()).await.map_err(failed)?;
    Ok(page_of(&MePage { frame: error::frame(&app, Some(&viewer.0), "me"), me }))
}

/// `GET /me/data.jsonl`: everything, a row a line.
pub async fn file(State(app): State<App>, viewer: SignedIn, method: Method, headers: HeaderMap) -> Result<Response, Response> {
    in_earnest(&method, &headers).map_err(failed)?;
    slowly(&app, &app.limits.export, &viewer.by())?;
    let lines = me::take(&app.ctx, &viewer.by()).await.map_err(failed)?;
    let head = [(header::CONTENT_TYPE, "application/jsonl; charset=utf-8"), (header::CONTENT_DISPOSITION, "attachment; filename=\"data.jsonl\"")];
    Ok((head, Body::from_stream(lines)).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::proof::*;

    fn sample(says: Says) -> MePage {
        let said = [("name", "Bo Lind"), ("login", "bo.lind"), ("address", "bo.lind@example.com"), ("department", "Engineering"), ("title", "Developer")];
        MePage {
            frame: frame(says, As::Employee, "me"),
            me: Me {
                said: said.into_iter().map(|(name, text)| (name.to_owned(), says.of(text))).collect(),
                seen_at: ago(3),
                amounts: vec![("requests by you or for you", 12), ("accesses that you have or had", 7), ("events about you or by you", 214)],
                looked: vec![(ago(50), says.of("Wei Zhang"), "a request".into()), (ago(5_000), says.of("Ines Moreau"), "grants.csv".into())],
            },
        }
    }

    #[test]
    fn everybody_sees_what_is_recorded_and_who_looked() {
        let page = Rendered::of("me", &sample(Says::Plain));
        assert!(page.says("Engineering") && page.says("Wei Zhang"));
        assert_eq!(page.all("a[download]").len(), 2);
        assert!(Rendered::of("me-hostile", &sample(Says::Hostile)).all("img").is_empty());
        let mut page = sample(Says::Plain);
        page.me.looked.clear();
        assert!(Rendered::of("me-unseen", &page).says("Nobody"));
    }
}
