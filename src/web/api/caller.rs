//! Who calls, and whether their token may do this.

use std::marker::PhantomData;
use std::sync::Arc;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::Response;

use crate::domain::scope::Scope;
use crate::service::api_token::{self, Bearer, NotAuthenticated};
use crate::service::ctx::By;
use crate::web::api::problem::Problem;
use crate::web::error::Failure;
use crate::web::rate_limit::Caller;
use crate::web::state::App;

/// Lets only callers with a good bearer token (RFC 6750) through, at the rate that a person may act or read.
pub async fn authenticate(State(app): State<App>, mut request: Request, next: Next) -> Result<Response, Problem> {
    let bearer = bearer(&app, request.headers()).await?;
    let limits = if request.method().is_safe() { &app.limits.search } else { &app.limits.act };
    limits.take(Caller::Person(bearer.by.person), app.ctx.clock.now()).map_err(Failure::too_many)?;
    request.extensions_mut().insert(Arc::new(bearer));
    Ok(next.run(request).await)
}

async fn bearer(app: &App, headers: &HeaderMap) -> Result<Bearer, Problem> {
    let mut given = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (given.next(), given.next()) else { return Err(Failure::unauthenticated().into()) };
    let text = value.to_str().unwrap_or_default();
    let token = match text.split_at_checked(7) {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer ") => token.trim(),
        _ => return Err(Failure::unauthenticated().into()),
    };
    let groups = app.rules.rights.groups(&app.ctx).await;
    api_token::authenticate(&app.ctx, &groups, token).await.map_err(|error| match error {
        NotAuthenticated::Bad(why) => Failure::bad_token(why.to_string()).into(),
        NotAuthenticated::Service(error) => error.into(),
    })
}

/// A scope as a type, so that a handler's signature says what it needs.
pub trait Needs: Send + Sync {
    /// The scope.
    const SCOPE: Scope;
}

/// The caller, with a token for scope `S`.
#[derive(Debug)]
pub struct May<S> {
    /// Who calls, with their rights.
    pub by: By,
    scope: PhantomData<S>,
}

/// The caller, whatever their token is for.
#[derive(Debug)]
pub struct Anybody(pub By);

/// The caller with their token, for what depends on which token it is.
#[derive(Debug)]
pub struct Holder(pub Arc<Bearer>);

fn known(parts: &Parts) -> Result<Arc<Bearer>, Problem> {
    parts.extensions.get::<Arc<Bearer>>().cloned().ok_or_else(|| Failure::unauthenticated().into())
}

impl<S: Needs> FromRequestParts<App> for May<S> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Problem> {
        let bearer = known(parts)?;
        if !bearer.may(S::SCOPE) {
            return Err(Failure::out_of_scope(S::SCOPE.word()).into());
        }
        Ok(Self { by: bearer.by.clone(), scope: PhantomData })
    }
}

impl FromRequestParts<App> for Anybody {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Problem> {
        Ok(Self(known(parts)?.by.clone()))
    }
}

impl FromRequestParts<App> for Holder {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Problem> {
        Ok(Self(known(parts)?))
    }
}

macro_rules! scopes {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name;

        impl Needs for $name {
            const SCOPE: Scope = Scope::$name;
        }
    )*};
}

scopes! {
    /// `catalog:read`
    CatalogRead,
    /// `requests:read`
    RequestsRead,
    /// `requests:write`
    RequestsWrite,
    /// `approvals:write`
    ApprovalsWrite,
    /// `grants:read`
    GrantsRead,
    /// `grants:write`
    GrantsWrite,
    /// `events:read`
    EventsRead,
    /// `exports:read`
    ExportsRead,
    /// `rules:read`
    RulesRead,
    /// `rules:write`
    RulesWrite,
    /// `directories:read`
    DirectoriesRead,
    /// `schedules:write`
    SchedulesWrite,
}
