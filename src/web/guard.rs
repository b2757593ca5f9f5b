//! Extractors that are the permission.
//!
//! A handler that takes [`SignedIn`], [`Auditor`] or [`Administrator`] runs only for such a person. Rights are looked
//! up for each request, in one query. Who may not see a page is told that it is not there.

use axum::extract::{FromRequestParts, OriginalUri};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::domain::event::Channel;
use crate::service::ctx::By;
use crate::service::sign_in::{self, Viewer};
use crate::web::cookies::Cookie;
use crate::web::error::{Failure, Looking};
use crate::web::state::App;
use crate::web::urls;

/// Anybody who is signed in.
#[derive(Clone, Debug)]
pub struct SignedIn(pub Viewer);

/// An auditor, or an administrator.
#[derive(Clone, Debug)]
pub struct Auditor(pub Viewer);

/// An administrator.
#[derive(Clone, Debug)]
pub struct Administrator(pub Viewer);

/// Who is signed in, if anybody is: for pages that strangers may see.
#[derive(Clone, Debug)]
pub struct Visitor(pub Option<Viewer>);

impl SignedIn {
    /// As the one who acts on a page.
    pub fn by(&self) -> By {
        self.0.by(Channel::Web)
    }
}

impl Auditor {
    /// As the one who acts on a page.
    pub fn by(&self) -> By {
        self.0.by(Channel::Web)
    }
}

impl Administrator {
    /// As the one who acts on a page.
    pub fn by(&self) -> By {
        self.0.by(Channel::Web)
    }
}

impl FromRequestParts<App> for Visitor {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Response> {
        viewer(parts, app).await.map(Self)
    }
}

impl FromRequestParts<App> for SignedIn {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Response> {
        match viewer(parts, app).await? {
            Some(viewer) => Ok(Self(viewer)),
            None => Err(to_the_door(parts)),
        }
    }
}

impl FromRequestParts<App> for Auditor {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Response> {
        let SignedIn(viewer) = SignedIn::from_request_parts(parts, app).await?;
        if viewer.is_auditor || viewer.is_administrator { Ok(Self(viewer)) } else { Err(Failure::missing().into_response()) }
    }
}

impl FromRequestParts<App> for Administrator {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Response> {
        let SignedIn(viewer) = SignedIn::from_request_parts(parts, app).await?;
        if viewer.is_administrator { Ok(Self(viewer)) } else { Err(Failure::missing().into_response()) }
    }
}

/// Asks the store once for a request, however many extractors want to know.
async fn viewer(parts: &mut Parts, app: &App) -> Result<Option<Viewer>, Response> {
    let looking = parts.extensions.get::<Looking>().cloned();
    if let Some(viewer) = looking.as_ref().and_then(|looking| looking.0.get()) {
        return Ok(Some(viewer.clone()));
    }
    let Some(cookie) = Cookie::Session.of(&parts.headers, &app.public) else { return Ok(None) };
    let found = sign_in::who(&app.ctx, &app.rules, cookie).await.map_err(|error| Failure::from(error).into_response())?;
    if let (Some(looking), Some(viewer)) = (looking, &found) {
        _ = looking.0.set(viewer.clone());
    }
    Ok(found)
}

/// A page asks a stranger to sign in and brings them back; the API says 401.
fn to_the_door(parts: &Parts) -> Response {
    let uri = parts.extensions.get::<OriginalUri>().map_or(&parts.uri, |original| &original.0);
    if uri.path().starts_with("/api/") {
        return Failure::unauthenticated().into_response();
    }
    let wanted = uri.path_and_query().map_or("/", |path| path.as_str());
    let back = matches!(parts.method, Method::GET | Method::HEAD).then(|| urls::own_path(wanted)).flatten();
    let location = match back {
        Some(path) if path != "/" => format!("/sign-in?to={}", urls::encoded(path)),
        _ => "/sign-in".to_owned(),
    };
    (StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response()
}
