//! Put aside: forms of what people are told.

use axum::extract::State;
use axum::response::Response;

use crate::domain::event::Channel;
use crate::service::told::put_aside;
use crate::web::flash::Done;
use crate::web::form::{Id, failed, slowly};
use crate::web::guard::SignedIn;
use crate::web::state::App;

/// `POST /notices/{id}/seen`
pub async fn one(State(app): State<App>, SignedIn(viewer): SignedIn, Id(id): Id) -> Result<Response, Response> {
    let by = viewer.by(Channel::Web);
    slowly(&app, &app.limits.act, &by)?;
    put_aside(&app.ctx, &by, Some(id)).await.map_err(failed)?;
    Ok(Done::PutAside.then(&app, "/"))
}

/// `POST /notices/seen`
pub async fn all(State(app): State<App>, SignedIn(viewer): SignedIn) -> Result<Response, Response> {
    let by = viewer.by(Channel::Web);
    slowly(&app, &app.limits.act, &by)?;
    put_aside(&app.ctx, &by, None).await.map_err(failed)?;
    Ok(Done::PutAside.then(&app, "/"))
}
