//! Approve, deny, withdraw: forms of the queue and the card.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use crate::domain::approval::Answer;
use crate::domain::event::Channel;
use crate::domain::id::RequestId;
use crate::domain::refusal::Refusal;
use crate::domain::request::RequestStatus;
use crate::domain::span::{LONGEST, Seconds};
use crate::service::answer::answer;
use crate::service::error::ServiceError;
use crate::service::look::follow;
use crate::service::sign_in::Viewer;
use crate::service::withdraw::withdraw;
use crate::web::error::{Failure, frame};
use crate::web::flash::{Done, page_of};
use crate::web::form::{Id, Sent, failed, shown, slowly};
use crate::web::guard::SignedIn;
use crate::web::pages::queue;
use crate::web::pages::request::RequestPage;
use crate::web::state::App;
use crate::web::view::{Flash, Frame};

/// An answer, with what its page showed.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Answered {
    digest: String,
    step: String,
    duration: Option<String>,
    comment: Option<String>,
    reason: Option<String>,
    back: Option<String>,
}

/// `POST /requests/{id}/approve`
pub async fn approve(State(app): State<App>, SignedIn(viewer): SignedIn, Id(id): Id, Sent(form): Sent<Answered>) -> Result<Response, Response> {
    let granted = match form.duration.as_deref().filter(|text| !text.is_empty()).map(str::parse::<i64>) {
        None => None,
        Some(Ok(seconds)) if (1..=LONGEST).contains(&seconds) => Some(Seconds(seconds)),
        Some(_) => return Err(failed(Failure::bad_input("The length that was sent is no number of seconds, so nothing was done."))),
    };
    take(&app, &viewer, RequestId(id), Answer::Approve { granted }, form.comment.clone().unwrap_or_default(), form).await
}

/// `POST /requests/{id}/deny`
pub async fn deny(State(app): State<App>, SignedIn(viewer): SignedIn, Id(id): Id, Sent(form): Sent<Answered>) -> Result<Response, Response> {
    take(&app, &viewer, RequestId(id), Answer::Deny, form.reason.clone().unwrap_or_default(), form).await
}

async fn take(app: &App, viewer: &Viewer, id: RequestId, given: Answer, text: String, form: Answered) -> Result<Response, Response> {
    let by = viewer.by(Channel::Web);
    slowly(app, &app.limits.act, &by)?;
    let step: usize = form.step.parse().map_err(|_| failed(Failure::bad_input("This answer does not say which step it is for, so nothing was done.")))?;
    let denies = given == Answer::Deny;
    let outcome = match follow::is_as_shown(&app.ctx, &by, id, &form.digest).await {
        Ok(true) => answer(&app.ctx, &by, id, given, Some(&text), Some(step)).await,
        Ok(false) => Err(Refusal::MovedOn.into()),
        Err(error) => Err(error),
    };
    let done = match outcome {
        Ok(done) => match (done.status, done.step_no) {
            (RequestStatus::Denied, _) => Done::Denied,
            (RequestStatus::Approved, _) => Done::Approved,
            (_, Some(now)) if now != step => Done::ApprovedStep,
            _ => Done::ApprovedWaiting,
        },
        Err(error) => return Ok(again(app, viewer, id, error, &text, denies).await),
    };
    let back = form.back.as_deref().and_then(queue::back).unwrap_or_else(|| format!("/requests/{id}"));
    Ok(done.then(app, &back))
}

/// The request's page once more, with why the answer was not taken and what was typed. Who may not see it learns nothing.
async fn again(app: &App, viewer: &Viewer, id: RequestId, error: ServiceError, typed: &str, denies: bool) -> Response {
    let is_conflict = matches!(&error, ServiceError::Refused(refusal) if refusal.is_conflict());
    if matches!(error, ServiceError::Missing | ServiceError::Broken(_)) {
        return failed(error);
    }
    let sentence = error.to_string();
    let failure = Failure::from(error);
    let Ok(mut request) = follow::request(&app.ctx, &viewer.by(Channel::Web), id).await else { return failure.into_response() };
    let mut flash = None;
    match &mut request.card {
        Some(card) if !is_conflict => {
            card.fault = Some(sentence);
            card.typed = shown(typed);
            card.denies = denies;
        }
        card => {
            let kept = if typed.trim().is_empty() { String::new() } else { format!(" You had written: “{}”", shown(typed.trim())) };
            flash = Some(Flash { tone: "warn", text: format!("Your answer was not recorded. {sentence}{kept}") });
            if let Some(card) = card {
                card.typed = shown(typed);
                card.denies = denies;
            }
        }
    }
    let place = request.place();
    let page = RequestPage { frame: Frame { flash, ..frame(app, Some(viewer), place) }, request };
    failure.shown_as(page_of(&page))
}

/// Why a request is taken back.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Withdrawn {
    reason: Option<String>,
}

/// `POST /requests/{id}/withdraw`
pub async fn take_back(State(app): State<App>, SignedIn(viewer): SignedIn, Id(id): Id, Sent(form): Sent<Withdrawn>) -> Result<Response, Response> {
    let by = viewer.by(Channel::Web);
    slowly(&app, &app.limits.act, &by)?;
    let place = format!("/requests/{id}");
    match withdraw(&app.ctx, &by, RequestId(id), form.reason.as_deref()).await {
        Ok(()) => Ok(Done::Withdrawn.then(&app, &place)),
        Err(ServiceError::Missing) => Err(failed(ServiceError::Missing)),
        Err(error) => Err(failed(Failure { link: Some((place, "See how it stands".into())), ..error.into() })),
    }
}
