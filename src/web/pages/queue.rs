//! Queue: what waits for the viewer's answer.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;

use crate::domain::catalog::Risk;
use crate::domain::event::Channel;
use crate::service::look::queue::{self, Queue, QueueFilter};
use crate::service::look::shared::Cursor;
use crate::web::error;
use crate::web::flash::Told;
use crate::web::form::{Asked, failed, line, slowly};
use crate::web::guard::SignedIn;
use crate::web::state::App;
use crate::web::view::{self, Amount as _, Frame, Moment as _, Words as _};

/// The approver's list.
#[derive(Template)]
#[template(path = "pages/queue.html")]
pub struct QueuePage {
    /// What is around it.
    pub frame: Frame,
    /// What it shows.
    pub queue: Queue,
}

/// What the queue is narrowed to, and where the page begins.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Search {
    q: String,
    application: String,
    risk: String,
    after: Option<String>,
}

/// `GET /queue`
pub async fn get(State(app): State<App>, SignedIn(viewer): SignedIn, told: Told, Asked(search): Asked<Search>) -> Result<Response, Response> {
    let by = viewer.by(Channel::Web);
    let risk = Risk::parse(&search.risk).map(|risk| risk.word().to_owned()).unwrap_or_default();
    let filter = QueueFilter { q: line(&search.q), application: line(&search.application), risk };
    if !filter.q.is_empty() {
        slowly(&app, &app.limits.search, &by)?;
    }
    let queue = queue::queue(&app.ctx, &by, filter, viewer.queue_count, search.after.map(Cursor).as_ref()).await.map_err(failed)?;
    Ok(told.page(&app, &QueuePage { frame: Frame { flash: told.flash(), ..error::frame(&app, Some(&viewer), "queue") }, queue }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::look::queue::QueueRow;
    use crate::service::look::shared::{Choice, Listing, RoleName};
    use crate::web::proof::frame;
    use crate::web::proof::*;

    fn row(says: Says, n: u128, name: &str, role: RoleName, due: i64) -> QueueRow {
        QueueRow {
            request: id(n),
            role,
            beneficiary: says.of(name),
            department: Some(says.of("Data")),
            requester: None,
            requested_s: Some(14400),
            justification: Some(says.of("Refund run for case 4711 fails for a few customers; I need to read the order rows to find which.")),
            ticket: Some(says.of("OPS-4711")),
            requested_at: ago(75),
            asked_at: ago(70),
            due: Some(ahead(due)),
            step_no: 1,
            steps: 2,
            why_you: says.of("reports to you"),
            paused: false,
            peers: Some((5, 9)),
            digest: "9f2c".into(),
            approve_needs_comment: false,
            deny_needs_reason: true,
        }
    }

    fn sample(says: Says) -> QueuePage {
        let mut quick = row(says, 11, "Ada Moss", role(says, 21, "Wiki", "writer", "low"), 1300);
        (quick.deny_needs_reason, quick.ticket, quick.steps) = (false, None, 1);
        quick.justification = Some(says.of("Onboarding guide."));
        let mut careful = row(says, 12, "Tom Ferro", role(says, 22, "Payments", "support", "critical"), 2800);
        (careful.approve_needs_comment, careful.requester) = (true, Some(says.of("Ana Cruz")));
        QueuePage {
            frame: frame(says, As::Approver, "queue"),
            queue: Queue {
                filter: QueueFilter::default(),
                applications: vec![Choice { value: id(30).to_string(), label: says.of("Orders DB") }],
                total: 3,
                rows: Listing {
                    rows: vec![row(says, 10, "Bo Lind", role(says, 20, "Orders DB", "read-only", "elevated"), 8), quick, careful],
                    next: Some(Cursor("n".into())),
                },
            },
        }
    }

    #[test]
    fn an_answer_is_one_click_where_the_policy_needs_no_comment() {
        let page = Rendered::of("queue", &sample(Says::Plain));
        assert_eq!(page.all(".qrow").len(), 3);
        assert!(page.posts_to(&format!("/requests/{}/approve", id(10))));
        assert!(!page.posts_to(&format!("/requests/{}/approve", id(12))), "a comment is needed, so the card is opened");
        assert_eq!(page.all(&format!("form[action='/requests/{}/deny'] textarea[required]", id(10))).len(), 1);
        assert!(page.all(&format!("form[action='/requests/{}/deny'] textarea", id(11))).is_empty());
        assert!(page.says("8 min left to answer"));
    }

    #[test]
    fn an_empty_queue_is_good_news_and_says_what_comes() {
        let mut page = sample(Says::Plain);
        (page.queue.total, page.queue.rows) = (0, Listing::whole(vec![]));
        assert!(Rendered::of("queue-empty", &page).text(".empty").contains("Nothing waits for you"));
        (page.queue.total, page.queue.filter.q) = (3, "zzz".into());
        assert!(Rendered::of("queue-no-match", &page).text(".empty").contains("None of the 3"));
    }

    #[test]
    fn hostile_text_stays_text_in_the_queue() {
        let page = Rendered::of("queue-hostile", &sample(Says::Hostile));
        assert!(page.all("img").is_empty() && page.all(".qrow").len() == 3);
    }
}
