//! Confirm, ask again, review, note, decline: forms beside deciding.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use uuid::Uuid;

use crate::domain::event::Channel;
use crate::domain::id::{GrantId, RequestId};
use crate::domain::request::RequestStatus;
use crate::service::confirm::confirm as agree;
use crate::service::ctx::By;
use crate::service::decline;
use crate::service::emergency_review;
use crate::service::error::ServiceError;
use crate::service::look::access::request_of;
use crate::service::reevaluate;
use crate::service::sign_in::Viewer;
use crate::service::sign_off::{self, SignOff};
use crate::web::asked::moment;
use crate::web::error::Failure;
use crate::web::flash::Done;
use crate::web::form::{Id, Sent, failed, shown, slowly};
use crate::web::guard::SignedIn;
use crate::web::state::App;

#[allow(clippy::result_large_err, reason = "the answer itself, sent on as it is")]
fn acts(app: &App, viewer: &Viewer) -> Result<By, Response> {
    let by = viewer.by(Channel::Web);
    slowly(app, &app.limits.act, &by)?;
    Ok(by)
}

/// What was not done, with what was typed and the way back; of what is not there nothing is told.
fn not_done(error: ServiceError, id: Uuid, typed: &str) -> Response {
    if matches!(error, ServiceError::Missing) {
        return failed(error);
    }
    let kept = Some(typed.trim()).filter(|typed| !typed.is_empty()).map(|typed| format!("What you wrote: “{}”", shown(typed)));
    Failure { kept, link: Some((format!("/requests/{id}"), "See how it stands".into())), ..error.into() }.into_response()
}

/// `POST /requests/{id}/confirm`
pub async fn confirm(State(app): State<App>, SignedIn(viewer): SignedIn, Id(id): Id) -> Result<Response, Response> {
    let by = acts(&app, &viewer)?;
    let done = agree(&app.ctx, &by, RequestId(id)).await.map_err(|error| not_done(error, id, ""))?;
    let told = if done.status == RequestStatus::Approved { Done::ConfirmedAtOnce } else { Done::Confirmed };
    Ok(told.then(&app, &format!("/requests/{id}")))
}

/// `POST /requests/{id}/again`
pub async fn again(State(app): State<App>, SignedIn(viewer): SignedIn, Id(id): Id) -> Result<Response, Response> {
    let by = acts(&app, &viewer)?;
    let asked = reevaluate::again(&app.ctx, &by, RequestId(id)).await.map_err(|error| not_done(error, id, ""))?;
    // An approver of the old request need not be one of the new.
    let place = match crate::service::look::follow::may_see(&app.ctx, &by, asked.id).await.map_err(failed)? {
        true => format!("/requests/{}", asked.id),
        false => format!("/requests/{id}"),
    };
    Ok(Done::AskedAgain.then(&app, &place))
}

/// What a reviewer says of an emergency.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Reviewed {
    verdict: String,
    comment: String,
}

/// `POST /requests/{id}/review`
pub async fn review(State(app): State<App>, SignedIn(viewer): SignedIn, Id(id): Id, Sent(form): Sent<Reviewed>) -> Result<Response, Response> {
    let by = acts(&app, &viewer)?;
    let justified = match form.verdict.as_str() {
        "justified" => true,
        "not_justified" => false,
        _ => return Err(failed(Failure::bad_input("This review does not say whether it was justified, so nothing was done."))),
    };
    let done = emergency_review::review(&app.ctx, &by, RequestId(id), justified, Some(&form.comment)).await;
    done.map_err(|error| not_done(error, id, &form.comment))?;
    Ok(Done::Reviewed.then(&app, &format!("/requests/{id}")))
}

/// A sign-off as it is written down.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Noted {
    given_by: String,
    given_at: String,
    reference: String,
    note: String,
}

/// `POST /requests/{id}/sign-off`
pub async fn sign_off(State(app): State<App>, SignedIn(viewer): SignedIn, Id(id): Id, Sent(form): Sent<Noted>) -> Result<Response, Response> {
    let by = acts(&app, &viewer)?;
    let said = SignOff {
        given_at: moment(&form.given_at),
        note: Some(form.note.clone()).filter(|note| !note.trim().is_empty()),
        given_by: form.given_by.clone(),
        reference: form.reference.clone(),
    };
    let typed = [&form.given_by, &form.reference, &form.note].map(|text| text.trim()).join(" / ");
    sign_off::note(&app.ctx, &by, RequestId(id), &said).await.map_err(|error| not_done(error, id, &typed))?;
    Ok(Done::SignOffNoted.then(&app, &format!("/requests/{id}")))
}

/// Whether access is to be extended.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Declined {
    declined: String,
}

/// `POST /grants/{id}/decline-extension`
pub async fn decline_extension(State(app): State<App>, SignedIn(viewer): SignedIn, Id(id): Id, Sent(form): Sent<Declined>) -> Result<Response, Response> {
    let by = acts(&app, &viewer)?;
    let declined = match form.declined.as_str() {
        "yes" => true,
        "no" => false,
        _ => return Err(failed(Failure::bad_input("This does not say whether the access is to be extended, so nothing was done."))),
    };
    let request = request_of(&app.ctx, GrantId(id)).await.map_err(failed)?.ok_or_else(|| failed(ServiceError::Missing))?;
    decline::decline(&app.ctx, &by, GrantId(id), declined).await.map_err(|error| not_done(error, request, ""))?;
    let told = if declined { Done::Declined } else { Done::Undeclined };
    Ok(told.then(&app, &format!("/requests/{request}")))
}
