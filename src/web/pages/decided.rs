//! The queue's form that answers many requests together.

use askama::Template;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use tokio::sync::mpsc;

use crate::domain::event::Channel;
use crate::domain::id::RequestId;
use crate::domain::request::RequestStatus;
use crate::service::answer_many::{self, Outcome, Pick, Verdict};
use crate::service::error::ServiceError;
use crate::web::error::{self, Failure};
use crate::web::form::{Sent, failed, shown, slowly};
use crate::web::guard::SignedIn;
use crate::web::pages::queue;
use crate::web::state::App;
use crate::web::view::{self, Amount as _, Frame, Words as _};

/// Where the rows go between the head and the foot of the page. Text of people is escaped, so it never holds this.
const ROWS: &str = "<!--rows-->";

/// What is around the rows of what came of each.
#[derive(Template)]
#[template(path = "pages/decided.html")]
pub struct DecidedPage {
    /// What is around it.
    pub frame: Frame,
    /// How many there are.
    pub count: usize,
    /// Application and role, when they may be known.
    pub role: Option<(String, String)>,
    /// Whether they are being approved.
    pub approves: bool,
    /// Where to go on.
    pub back: String,
}

/// What came of one.
#[derive(Debug, Template)]
#[template(path = "parts/decided_row.html")]
pub struct DecidedRow {
    /// The request's address, when it may be known.
    pub link: Option<String>,
    /// For whom.
    pub beneficiary: Option<String>,
    /// Whether the answer stands.
    pub stands: bool,
    /// What came of it.
    pub sentence: String,
}

/// How many answers stand.
#[derive(Debug, Default, Template)]
#[template(path = "parts/decided_sum.html")]
pub struct DecidedSum {
    /// Approved or denied.
    pub stand: usize,
    /// Not taken.
    pub not: usize,
    /// Whether they were approved.
    pub approves: bool,
}

impl DecidedRow {
    /// Of what the service says.
    pub fn of(outcome: Outcome) -> Self {
        let seen = outcome.step;
        let (stands, sentence) = match outcome.came {
            Ok(done) => (
                true,
                match (done.status, done.step_no) {
                    (RequestStatus::Denied, _) => "Denied.".to_owned(),
                    (RequestStatus::Approved, _) => "Approved. That was the last approval it needed; the access is being given now.".into(),
                    (_, now) if now != seen => "Approved. The people of the next step have been asked.".into(),
                    _ => "Approved. Others still have to answer this step.".into(),
                },
            ),
            Err(ServiceError::Missing) => (false, "There is no such request that you may answer.".into()),
            Err(error) => (false, Failure::from(error).failed),
        };
        Self { link: outcome.beneficiary.is_some().then(|| format!("/requests/{}", outcome.request)), beneficiary: outcome.beneficiary, stands, sentence }
    }
}

/// What the form sent.
struct Answered {
    picks: Vec<Pick>,
    verdict: Verdict,
    comment: String,
    back: String,
}

fn read(fields: Vec<(String, String)>) -> Result<Answered, Failure> {
    let wrong = |what: &str| Failure::bad_input(format!("{what}, so nothing was decided."));
    let (mut picks, mut verdict, mut comment, mut back) = (Vec::new(), None, None, None);
    for (name, value) in fields {
        let twice = match name.as_str() {
            "pick" => {
                picks.push(pick(&value).ok_or_else(|| wrong("What was selected cannot be read"))?);
                false
            }
            "verdict" => verdict.replace(value).is_some(),
            "comment" => comment.replace(value).is_some(),
            "back" => back.replace(value).is_some(),
            _ => false,
        };
        if twice {
            return Err(wrong("The form says something twice"));
        }
    }
    let verdict = match verdict.as_deref() {
        Some("approve") => Verdict::Approve,
        Some("deny") => Verdict::Deny,
        _ => return Err(wrong("The form says neither approve nor deny")),
    };
    let back = back.as_deref().and_then(queue::back).unwrap_or_else(|| "/queue".into());
    Ok(Answered { picks, verdict, comment: comment.unwrap_or_default(), back })
}

/// `REQUEST.STEP.DIGEST`, as the page wrote it.
fn pick(text: &str) -> Option<Pick> {
    let mut parts = text.splitn(3, '.');
    let (request, step, digest) = (parts.next()?, parts.next()?, parts.next()?);
    let request = request.parse().ok().filter(|_| request.len() == 36).map(RequestId)?;
    Some(Pick { request, step: Some(step.parse().ok()?), digest: Some(digest.to_owned()) })
}

/// `POST /queue/decide`: each selected request is answered on its own, and what came of it is written as soon as it is known. Who
/// leaves the page in between stops nothing.
pub async fn post(State(app): State<App>, SignedIn(viewer): SignedIn, Sent(fields): Sent<Vec<(String, String)>>) -> Result<Response, Response> {
    let by = viewer.by(Channel::Web);
    slowly(&app, &app.limits.act, &by)?;
    let form = read(fields).map_err(failed)?;
    let approves = form.verdict == Verdict::Approve;
    let batch = answer_many::check(&app.ctx, &by, form.picks, form.verdict, Some(&form.comment)).await.map_err(|error| {
        let kept = (!form.comment.trim().is_empty()).then(|| format!("You had written: “{}”", shown(form.comment.trim())));
        failed(Failure { kept, link: Some((form.back.clone(), "Back to the queue".into())), ..error.into() })
    })?;
    let role = batch.role().map(|(application, role)| (application.to_owned(), role.to_owned()));
    let frame = error::frame(&app, Some(&viewer), "queue");
    let page = DecidedPage { frame, count: batch.len(), role, approves, back: form.back };
    let page = page.render().map_err(|error| failed(Failure::broken(&error)))?;
    let Some((head, foot)) = page.split_once(ROWS).map(|(head, foot)| (head.to_owned(), foot.to_owned())) else {
        return Err(failed(Failure::broken(&"the page of what was decided has no place for its rows")));
    };
    let (out, written) = mpsc::unbounded_channel::<String>();
    // On its own, so that it goes on to its end when nobody reads any more. At most as many rows as one form may send.
    tokio::spawn(async move {
        let _ = out.send(head);
        let mut sum = DecidedSum { approves, ..DecidedSum::default() };
        answer_many::take(&app.ctx, &by, batch, |outcome| {
            let row = DecidedRow::of(outcome);
            *(if row.stands { &mut sum.stand } else { &mut sum.not }) += 1;
            let _ = out.send(row.render().unwrap_or_default());
        })
        .await;
        let _ = out.send(format!("</ol></div>{}{foot}", sum.render().unwrap_or_default()));
    });
    let pieces = stream::unfold(written, |mut written| async { written.recv().await.map(|piece| (Ok::<_, std::convert::Infallible>(piece), written)) });
    let mut response = Body::from_stream(pieces).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::proof::*;

    fn said(pairs: &[(&str, &str)]) -> Result<Answered, Failure> {
        read(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn a_form_that_cannot_be_meant_is_refused_whole() {
        let good = format!("{}.1.9f2c", id(1));
        let read = said(&[("pick", &good), ("pick", &good), ("verdict", "approve"), ("comment", "x"), ("back", "queue?sort=due")]);
        assert!(read.is_ok_and(|form| form.picks.len() == 2 && form.back == "/queue?sort=due" && form.picks[0].step == Some(1)));
        let long = format!("{good}.more");
        assert!(said(&[("pick", &long), ("verdict", "deny")]).is_ok(), "a digest is only compared");
        for bad in ["", "x", "..", &format!("{}", id(1)), &format!("{}.1", id(1)), &format!("{}.-1.x", id(1)), &format!("{}.one.x", id(1)), "{1}.1.x"] {
            assert!(said(&[("pick", bad), ("verdict", "approve")]).is_err(), "{bad}");
        }
        for bad in [&[("pick", good.as_str())][..], &[("pick", &good), ("verdict", "perhaps")], &[("verdict", "approve"), ("verdict", "deny")]] {
            assert!(said(bad).is_err(), "{bad:?}");
        }
        assert!(said(&[("verdict", "deny"), ("back", "//evil.example")]).is_ok_and(|form| form.back == "/queue"));
    }

    #[test]
    fn the_page_has_one_place_for_its_rows_and_hostile_names_stay_text() {
        let role = Some((Says::Hostile.of("Orders DB"), Says::Hostile.of("read-only")));
        let page = DecidedPage { frame: frame(Says::Hostile, As::Approver, "queue"), count: 2, role, approves: true, back: "/queue".into() };
        let text = page.render().unwrap();
        assert_eq!(text.matches(ROWS).count(), 1);
        let row =
            DecidedRow { link: Some("/requests/x".into()), beneficiary: Some(Says::Hostile.of("Bo Lind")), stands: false, sentence: Says::Hostile.of("No") };
        assert!(!row.render().unwrap().contains("<img"));
    }
}
