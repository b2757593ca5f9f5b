//! The provider says that a session has ended there.
//!
//! OpenID Connect Back-Channel Logout 1.0: the provider itself calls, without cookies and outside of every browser. What it says counts by
//! its signature alone.

use axum::Extension;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use crate::service::sign_out::{self, Followed};
use crate::web::client_address::ClientAddress;
use crate::web::error::Failure;
use crate::web::form::{Sent, failed};
use crate::web::oidc::Trouble;
use crate::web::rate_limit::Caller;
use crate::web::state::App;

/// Where it is, for the provider's settings and for who lets calls in.
pub const PATH: &str = "/sign-in/back-channel-logout";

/// What a provider sends (section 2.5); whatever else it sends along means nothing.
#[derive(Debug, Deserialize)]
pub struct Told {
    logout_token: String,
}

/// `POST /sign-in/back-channel-logout`: ends the sessions that the logout token means. 200 also when there are none (section 2.7), and 400
/// for every token that is not to be believed (section 2.8), one that was taken before included.
pub async fn logout(State(app): State<App>, Extension(ClientAddress(address)): Extension<ClientAddress>, Sent(told): Sent<Told>) -> Result<Response, Response> {
    app.limits.back_channel.take(Caller::from(address), app.ctx.clock.now()).map_err(|wait| failed(Failure::too_many(wait)))?;
    let said = app.oidc.told_to_end(&told.logout_token).await.map_err(|trouble| match trouble {
        Trouble::Refused(why) => failed(Failure::bad_input(why)),
        Trouble::Unavailable(why) => failed(Failure::unavailable(why)),
    })?;
    match sign_out::by_provider(&app.ctx, &said).await.map_err(failed)? {
        Followed::Ended(count) => {
            tracing::info!(count, "sessions ended because the provider said so");
            Ok((StatusCode::OK, [(header::CACHE_CONTROL, "no-store")]).into_response())
        }
        Followed::Replayed => {
            tracing::warn!("a logout token came twice");
            Err(failed(Failure::bad_input("This logout token was taken before, so nothing was done.")))
        }
    }
}
