//! Queue: what waits for the viewer's answer.

use askama::Template;
use axum::extract::{Query, State};
use axum::http::Uri;
use axum::response::Response;
use serde::Deserialize;
use uuid::Uuid;

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
    /// The cursor it begins at, or nothing.
    pub after: String,
}

/// What the queue is narrowed to, and where the page begins, as the address says it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Search {
    q: String,
    application: String,
    role: String,
    risk: String,
    emergency: String,
    soon: String,
    standing_in: String,
    sort: String,
    many: String,
    after: Option<String>,
}

impl Search {
    fn filter(&self) -> QueueFilter {
        let ticked = |text: &str| text == "yes";
        QueueFilter {
            q: line(&self.q),
            application: line(&self.application),
            role: line(&self.role),
            risk: Risk::parse(&self.risk).map(|risk| risk.word().to_owned()).unwrap_or_default(),
            emergency: ticked(&self.emergency),
            soon: ticked(&self.soon),
            standing_in: ticked(&self.standing_in),
            by_due: self.sort == "due",
            many: ticked(&self.many),
        }
    }
}

/// A filter as the query of an address, percent-encoded, beginning at `after`; empty when nothing is narrowed.
fn query(filter: &QueueFilter, after: &str) -> String {
    let yes = |ticked: bool| if ticked { "yes" } else { "" };
    let pairs = [
        ("q", filter.q.as_str()),
        ("application", &filter.application),
        ("role", &filter.role),
        ("risk", &filter.risk),
        ("emergency", yes(filter.emergency)),
        ("soon", yes(filter.soon)),
        ("standing_in", yes(filter.standing_in)),
        ("sort", if filter.by_due { "due" } else { "" }),
        ("many", yes(filter.many)),
        ("after", after),
    ];
    let pairs: Vec<String> = pairs.iter().filter(|(_, value)| !value.is_empty()).map(|(key, value)| format!("{key}={}", value.query())).collect();
    pairs.join("&")
}

/// The address of the queue as a form of ours says where it was: `queue`, or `queue?` and its filter. Nothing else leads anywhere.
pub fn back(text: &str) -> Option<String> {
    if text == "queue" {
        return Some("/queue".into());
    }
    text.strip_prefix("queue?")?;
    let uri: Uri = format!("/{text}").parse().ok()?;
    let Query(search) = Query::<Search>::try_from_uri(&uri).ok()?;
    let query = query(&search.filter(), search.after.as_deref().map(line).unwrap_or_default().as_str());
    Some(format!("/queue?{query}").trim_end_matches('?').to_owned())
}

impl QueuePage {
    /// The address of the queue as it is narrowed now, beginning at `after`.
    pub fn at(&self, after: &str) -> String {
        format!("/queue?{}", query(&self.queue.filter, after)).trim_end_matches('?').to_owned()
    }

    /// Where an answer leads back to: here.
    pub fn here(&self) -> String {
        self.at(&self.after)[1..].to_owned()
    }

    /// The address of all requests that can be answered together with this one.
    pub fn alike(&self, role: &Uuid) -> String {
        let filter = QueueFilter { role: role.to_string(), many: true, ..QueueFilter::default() };
        format!("/queue?{}", query(&filter, ""))
    }

    /// Whether anything on this page can be answered together.
    pub fn together(&self) -> bool {
        self.queue.rows.rows.iter().any(|row| row.alike > 1)
    }
}

/// `GET /queue`
pub async fn get(State(app): State<App>, SignedIn(viewer): SignedIn, told: Told, Asked(search): Asked<Search>) -> Result<Response, Response> {
    let by = viewer.by(Channel::Web);
    let filter = search.filter();
    if !filter.q.is_empty() {
        slowly(&app, &app.limits.search, &by)?;
    }
    let after = search.after.clone().unwrap_or_default();
    let cursor = Some(Cursor(after.clone())).filter(|_| !after.is_empty());
    let queue = queue::queue(&app.ctx, &by, filter, viewer.queue_count, cursor.as_ref()).await.map_err(failed)?;
    Ok(told.page(&app, &QueuePage { frame: Frame { flash: told.flash(), ..error::frame(&app, Some(&viewer), "queue") }, queue, after }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::look::queue::{OwedReview, QueueRow};
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
            peers: Some((5, 9)),
            paused: false,
            digest: "9f2c".into(),
            approve_needs_comment: false,
            deny_needs_reason: true,
            policy: says.of("Production data, short version 3"),
            group: "g".into(),
            alike: 2,
            emergency: false,
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
                roles: vec![Choice { value: id(20).to_string(), label: says.of("Orders DB read-only") }],
                reviews: vec![],
                total: 3,
                rows: Listing {
                    rows: vec![row(says, 10, "Bo Lind", role(says, 20, "Orders DB", "read-only", "elevated"), 8), quick, careful],
                    next: Some(Cursor("n".into())),
                },
            },
            after: String::new(),
        }
    }

    #[test]
    fn many_are_answered_by_a_form_that_needs_no_script() {
        let page = Rendered::of("queue-together", &sample(Says::Plain));
        assert_eq!(page.all("input[type=checkbox][name=pick][form=together]").len(), 3);
        assert!(page.posts_to("/queue/decide"));
        assert_eq!(page.all("#together button[name=verdict]").len(), 2);
        assert!(page.says("one role and one policy version"));
    }

    #[test]
    fn the_filter_goes_with_every_answer_and_leads_nowhere_else() {
        let mut sample = sample(Says::Plain);
        (sample.queue.filter.q, sample.queue.filter.by_due) = ("bo & co".into(), true);
        assert_eq!(sample.here(), "queue?q=bo%20%26%20co&sort=due");
        let page = Rendered::of("queue-filtered", &sample);
        assert_eq!(page.all("input[name=back]").len(), page.all("input[name=back][value='queue?q=bo%20%26%20co&sort=due']").len());
        assert_eq!(back(&sample.here()).as_deref(), Some("/queue?q=bo%20%26%20co&sort=due"));
        assert_eq!(back("queue").as_deref(), Some("/queue"));
        for evil in ["", "//evil.example", "https://evil.example", "queue/../admin", "queue?q=a\r\nSet-Cookie: x", "queue?x=\0"] {
            let led = back(evil);
            assert!(led.is_none() || led.as_deref() == Some("/queue"), "{evil:?} leads to {led:?}");
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

    fn owed(says: Says, overdue: bool) -> OwedReview {
        OwedReview {
            request: id(40),
            role: role(says, 22, "Payments", "support", "critical"),
            beneficiary: says.of("Tom Ferro"),
            reason: says.of("Payouts stand still, and nobody of the owners answers the phone."),
            taken_at: ago(300),
            due_at: if overdue { ago(5) } else { ahead(600) },
            overdue,
            stands_in: overdue,
        }
    }

    #[test]
    fn emergencies_to_review_stand_above_what_waits_for_an_answer() {
        let mut sample = sample(Says::Plain);
        sample.queue.reviews = vec![owed(Says::Plain, true), owed(Says::Plain, false)];
        let page = Rendered::of("queue-reviews", &sample);
        assert_eq!((page.all(".owed li").len(), page.all(".owed .badge.bad").len()), (2, 3));
        assert_eq!(page.all(&format!(".owed a.button[href='/requests/{}#h-emergency']", id(40))).len(), 2);
        assert!(page.text(".owed").contains("has left, so you may make it"));
        (sample.queue.total, sample.queue.rows) = (0, Listing::whole(vec![]));
        assert!(Rendered::of("queue-reviews-only", &sample).text(".empty").contains("No request waits for you"));
    }

    #[test]
    fn hostile_text_stays_text_in_the_queue() {
        let mut sample = sample(Says::Hostile);
        sample.queue.reviews = vec![owed(Says::Hostile, true)];
        let page = Rendered::of("queue-hostile", &sample);
        assert!(page.all("img").is_empty() && page.all(".qrow").len() == 3);
    }
}
