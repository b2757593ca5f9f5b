//! Ask, answer, hand on, nudge: forms of an open request.

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;

use crate::domain::event::Channel;
use crate::domain::id::RequestId;
use crate::service::ctx::By;
use crate::service::error::ServiceError;
use crate::service::look::find;
use crate::service::{nudge, question, reassign};
use crate::web::error::Failure;
use crate::web::flash::Done;
use crate::web::form::{Id, Sent, failed, shown, slowly};
use crate::web::guard::SignedIn;
use crate::web::state::App;

/// A question, with the step that its page showed.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Question {
    question: String,
    step: Option<usize>,
}

/// An answer.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Answer {
    answer: String,
}

/// Whom a place is handed on to, and why.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct HandedOn {
    to: String,
    reason: String,
    step: Option<usize>,
}

/// `POST /requests/{id}/question`
pub async fn ask(State(app): State<App>, SignedIn(viewer): SignedIn, Id(id): Id, Sent(form): Sent<Question>) -> Result<Response, Response> {
    let by = viewer.by(Channel::Web);
    slowly(&app, &app.limits.act, &by)?;
    let done = question::ask(&app.ctx, &by, RequestId(id), &form.question, form.step).await;
    finish(&app, id, done, Done::QuestionAsked, &form.question)
}

/// `POST /requests/{id}/answer`
pub async fn answer(State(app): State<App>, SignedIn(viewer): SignedIn, Id(id): Id, Sent(form): Sent<Answer>) -> Result<Response, Response> {
    let by = viewer.by(Channel::Web);
    slowly(&app, &app.limits.act, &by)?;
    let done = question::answer(&app.ctx, &by, RequestId(id), &form.answer).await;
    finish(&app, id, done, Done::QuestionAnswered, &form.answer)
}

/// `POST /requests/{id}/reassign`
pub async fn hand_on(State(app): State<App>, SignedIn(viewer): SignedIn, Id(id): Id, Sent(form): Sent<HandedOn>) -> Result<Response, Response> {
    let by = viewer.by(Channel::Web);
    slowly(&app, &app.limits.act, &by)?;
    let done = handed_on(&app, &by, RequestId(id), &form).await;
    finish(&app, id, done, Done::HandedOn, &form.reason)
}

async fn handed_on(app: &App, by: &By, id: RequestId, form: &HandedOn) -> Result<(), ServiceError> {
    let to = find::colleague(&app.ctx, &form.to).await?;
    reassign::reassign(&app.ctx, by, id, to, &form.reason, form.step).await.map(drop)
}

/// `POST /requests/{id}/nudge`
pub async fn remind(State(app): State<App>, SignedIn(viewer): SignedIn, Id(id): Id) -> Result<Response, Response> {
    let by = viewer.by(Channel::Web);
    slowly(&app, &app.limits.act, &by)?;
    let done = nudge::nudge(&app.ctx, &by, RequestId(id)).await.map(drop);
    finish(&app, id, done, Done::Nudged, "")
}

/// Back to the request's page; or what failed, with what was typed and the way back.
#[allow(clippy::result_large_err, reason = "the answer itself, sent on as it is")]
fn finish(app: &App, id: uuid::Uuid, done: Result<(), ServiceError>, told: Done, typed: &str) -> Result<Response, Response> {
    let place = format!("/requests/{id}");
    match done {
        Ok(()) => Ok(told.then(app, &place)),
        Err(ServiceError::Missing) => Err(failed(ServiceError::Missing)),
        Err(error) => {
            let kept = (!typed.trim().is_empty()).then(|| format!("What you wrote: “{}”", shown(typed.trim())));
            Err(failed(Failure { kept, link: Some((place, "Back to the request".into())), ..error.into() }))
        }
    }
}
