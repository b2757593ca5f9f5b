//! Return and revoke: forms about a grant.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use crate::domain::event::Channel;
use crate::domain::id::GrantId;
use crate::domain::policy::FieldFault;
use crate::domain::refusal::Refusal;
use crate::service::ctx::By;
use crate::service::end::end;
use crate::service::error::ServiceError;
use crate::service::look::access::request_of;
use crate::service::sign_in::Viewer;
use crate::web::error::Failure;
use crate::web::flash::Done;
use crate::web::form::{Id, Sent, shown, slowly};
use crate::web::guard::SignedIn;
use crate::web::state::App;

/// Why access ends.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Ending {
    reason: Option<String>,
}

/// `POST /grants/{id}/return`
pub async fn give_back(State(app): State<App>, SignedIn(viewer): SignedIn, Id(id): Id, Sent(form): Sent<Ending>) -> Result<Response, Response> {
    act(&app, &viewer, GrantId(id), false, form.reason).await.map(|_| Done::Returned.then(&app, "/access"))
}

/// `POST /grants/{id}/revoke`
pub async fn revoke(State(app): State<App>, SignedIn(viewer): SignedIn, Id(id): Id, Sent(form): Sent<Ending>) -> Result<Response, Response> {
    act(&app, &viewer, GrantId(id), true, form.reason).await.map(|place| Done::Revoked.then(&app, &place))
}

async fn act(app: &App, viewer: &Viewer, id: GrantId, revoke: bool, reason: Option<String>) -> Result<String, Response> {
    let by = viewer.by(Channel::Web);
    slowly(app, &app.limits.act, &by)?;
    let told = reason.as_deref().is_some_and(|reason| !reason.trim().is_empty());
    let outcome = match revoke && !told {
        // Asked of the lease first, so that somebody who may not see it is not told what is missing.
        true => unsaid(app, &by, id).await,
        false => end(&app.ctx, &by, id, revoke, reason.as_deref()).await.map(|_| ()),
    };
    let place = request_of(&app.ctx, id).await.ok().flatten().map(|request| format!("/requests/{request}"));
    match outcome {
        Ok(()) => Ok(place.unwrap_or_else(|| "/access".into())),
        Err(ServiceError::Missing) => Err(Failure::missing().into_response()),
        Err(error) => {
            let kept = reason.filter(|_| told).map(|reason| format!("What you wrote: “{}”", shown(reason.trim())));
            let link = place.map(|place| (place, "See how it stands".into()));
            Err(Failure { kept, link, ..error.into() }.into_response())
        }
    }
}

/// A revocation without a reason is refused, where there is anything to revoke at all.
async fn unsaid(app: &App, by: &By, id: GrantId) -> Result<(), ServiceError> {
    crate::service::list::grant(&app.ctx, by, id).await?;
    let sentence = "Say why: whoever loses the access reads it, and so does the auditor.".into();
    Err(Refusal::Faults(vec![FieldFault { field: "reason".into(), sentence }]).into())
}
