//! One event of the log, with its proof.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;

use crate::service::look::event::{self, EventDetail};
use crate::service::read_note;
use crate::web::error::{self, Failure};
use crate::web::flash::page_of;
use crate::web::form::failed;
use crate::web::guard::SignedIn;
use crate::web::state::App;
use crate::web::view::{self, Amount as _, Frame, Moment as _, Words as _};

/// An event.
#[derive(Template)]
#[template(path = "pages/event.html")]
pub struct EventPage {
    /// What is around it.
    pub frame: Frame,
    /// What it shows.
    pub event: EventDetail,
}

/// `GET /log/{id}`
pub async fn get(State(app): State<App>, viewer: SignedIn, Path(id): Path<String>) -> Result<Response, Response> {
    let id = id.parse().map_err(|_| failed(Failure::missing()))?;
    let event = event::event(&app.ctx, &viewer.by(), id).await.map_err(failed)?;
    read_note::note(&app.ctx, &viewer.by(), "an event", event.person).await.map_err(failed)?;
    Ok(page_of(&EventPage { frame: error::frame(&app, Some(&viewer.0), "log"), event }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::look::event::EventProof;
    use crate::web::proof::*;

    fn sample(says: Says) -> EventPage {
        EventPage {
            frame: frame(says, As::Auditor, "log"),
            event: EventDetail {
                id: 4711,
                at: ago(130),
                kind: "approval.given".into(),
                actor: says.of("Dana Ruiz"),
                channel: "web".into(),
                sentence: says.of("approved step 1, Manager, for 2 hours: fine with me"),
                request: Some(id(3)),
                person: None,
                fields: vec![
                    ("request".into(), id(3).to_string()),
                    ("person".into(), id(1).to_string()),
                    ("comment".into(), says.of("fine with me")),
                    ("step no".into(), "1".into()),
                ],
                proof: Some(EventProof {
                    leaf: 4702,
                    hash: "9f".repeat(32),
                    path: vec!["0a".repeat(32), "c4".repeat(32), "77".repeat(32)],
                    size: 4803,
                    signed_at: ago(4),
                    note: "access.example.com\n4803\nqqo=\ntime 2026-11-21T09:20:00Z\n\n\u{2014} access.example.com AAAA\n".into(),
                    line: says.of("{\"v\":\"1\",\"kind\":\"approval.given\"}"),
                    erased: false,
                }),
            },
        }
    }

    #[test]
    fn an_event_shows_its_fields_and_what_proves_it() {
        let page = Rendered::of("event", &sample(Says::Plain));
        assert!(page.says("Leaf 4 702 of 4 803") && page.says("fine with me"));
        assert_eq!(page.all(".path li").len(), 3);
        assert!(Rendered::of("event-hostile", &sample(Says::Hostile)).all("img").is_empty());
    }

    #[test]
    fn an_event_that_waits_for_its_leaf_says_so() {
        let mut page = sample(Says::Plain);
        page.event.proof = None;
        assert!(Rendered::of("event-waiting", &page).says("not signed yet"));
    }
}
