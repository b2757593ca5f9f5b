//! Sign-in at an OpenID Provider: protocol only, no pages.
//!
//! `openidconnect` does the cryptography; what it leaves to us of the ID token is in [`id_token`], and here is what needs
//! the provider: its metadata, new keys when a token names one we do not have, userinfo. The provider is asked for its metadata when it is first needed and then again every hour, so it may be down when we
//! start.

use std::sync::{Arc, RwLock};

use chrono::{DateTime, TimeDelta, Utc};
use openidconnect::core::{
    CoreAuthDisplay, CoreAuthenticationFlow, CoreClaimName, CoreClaimType, CoreClient, CoreClientAuthMethod, CoreGrantType, CoreJsonWebKey, CoreJsonWebKeySet,
    CoreJweContentEncryptionAlgorithm, CoreJweKeyManagementAlgorithm, CoreResponseMode, CoreResponseType, CoreSubjectIdentifierType, CoreTokenResponse,
};
use openidconnect::{
    AdditionalProviderMetadata, AuthType, AuthorizationCode, ClientId, ClientSecret, CsrfToken, EndSessionUrl, IssuerUrl, LogoutRequest, Nonce,
    OAuth2TokenResponse, PkceCodeChallenge, PkceCodeVerifier, PostLogoutRedirectUrl, ProviderMetadata, RedirectUrl, RequestTokenError, Scope,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::Mutex;

use crate::clock::Clock;
use crate::domain::secret::Secret;
use crate::service::sign_in::Vouched;
use crate::service::sign_out::Farewell;
use crate::web::id_token::{self, Fault};
use crate::web::logout_token;
use crate::web::wire::{Wire, is_safe};

/// How long metadata is used before it is read again.
const METADATA_LASTS: TimeDelta = TimeDelta::hours(1);
/// How long a provider that failed is left alone.
const PAUSE: TimeDelta = TimeDelta::seconds(2);
/// How often keys are read again for tokens that name a key we do not have.
const KEYS_PAUSE: TimeDelta = TimeDelta::seconds(10);
/// One OpenID Provider and what we are to it.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The issuer exactly as the provider writes it, trailing slash included. https, or http on loopback.
    pub issuer: String,
    /// Our client id.
    pub client_id: String,
    /// Our client secret; none for a public client.
    pub client_secret: Option<Secret>,
    /// Scopes besides `openid`.
    pub scopes: Vec<String>,
    /// Claims that must be known at the end; asked for at userinfo when the ID token has them not.
    pub claims: Vec<String>,
    /// Where the provider sends people back to: the public URL and `/sign-in/callback`.
    pub redirect: String,
    /// Where the provider sends people after signing out: the public URL and `/signed-out`.
    pub after_sign_out: String,
    /// PEM certificates to trust besides the public ones.
    pub extra_roots: Option<String>,
}

/// What `openidconnect` does not read of the metadata.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Extra {
    end_session_endpoint: Option<EndSessionUrl>,
    authorization_response_iss_parameter_supported: Option<bool>,
}

impl AdditionalProviderMetadata for Extra {}

type Metadata = ProviderMetadata<
    Extra,
    CoreAuthDisplay,
    CoreClientAuthMethod,
    CoreClaimName,
    CoreClaimType,
    CoreGrantType,
    CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm,
    CoreJsonWebKey,
    CoreResponseMode,
    CoreResponseType,
    CoreSubjectIdentifierType,
>;

/// Why a sign-in cannot go on. `Display` is for the person; details that help an attacker stay in the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// The provider cannot be asked. Trying again later may work.
    #[error("{0}")]
    Unavailable(String),
    /// The provider, or we, refuse this sign-in.
    #[error("{0}")]
    Refused(String),
}

/// What to remember until the person comes back, and where to send them.
#[derive(Debug)]
pub struct Departure {
    /// The provider's address to go to.
    pub location: String,
    /// Binds the answer to this attempt.
    pub state: String,
    /// Binds the ID token to this attempt.
    pub nonce: String,
    /// Binds the code to this attempt (PKCE, RFC 7636).
    pub pkce_verifier: String,
}

/// A provider as one handle. It is asked nothing until somebody signs in.
#[derive(Debug)]
pub struct Oidc {
    settings: Settings,
    http: Wire,
    clock: Clock,
    held: RwLock<Option<Held>>,
    asking: Mutex<Asking>,
}

#[derive(Clone, Debug)]
struct Held {
    metadata: Arc<Metadata>,
    until: DateTime<Utc>,
}

#[derive(Debug, Default)]
struct Asking {
    failed: Option<(DateTime<Utc>, Trouble)>,
    keys_read: Option<DateTime<Utc>>,
}

impl Oidc {
    /// Prepares the handle; nothing is sent.
    ///
    /// # Errors
    /// A sentence on the setting that is wrong.
    pub fn new(settings: Settings, clock: Clock) -> Result<Self, String> {
        let issuer = IssuerUrl::new(settings.issuer.clone()).map_err(|e| format!("The issuer is not a URL: {e}."))?;
        if !is_safe(issuer.url()) {
            return Err(format!("The issuer {} must start with https://.", settings.issuer));
        }
        RedirectUrl::new(settings.redirect.clone()).map_err(|e| format!("The public address is not a URL: {e}."))?;
        let http = Wire::new(issuer.url(), settings.extra_roots.as_deref())?;
        Ok(Self { settings, http, clock, held: RwLock::new(None), asking: Mutex::new(Asking::default()) })
    }

    /// The configured issuer.
    pub fn issuer(&self) -> &str {
        &self.settings.issuer
    }

    /// The origins a sign-out form may lead to, for `form-action`: the issuer's and that of its end-session endpoint.
    pub fn origins(&self) -> Vec<String> {
        let end_session = self.current().and_then(|m| m.additional_metadata().end_session_endpoint.clone());
        let issuer = reqwest::Url::parse(&self.settings.issuer).ok();
        let mut origins: Vec<String> =
            issuer.into_iter().chain(end_session.map(|url| url.url().clone())).map(|url| url.origin().ascii_serialization()).collect();
        origins.dedup();
        origins
    }

    /// Begins a sign-in.
    ///
    /// # Errors
    /// [`Trouble::Unavailable`] when the provider cannot be asked who it is.
    pub async fn depart(&self) -> Result<Departure, Trouble> {
        let metadata = self.metadata().await?;
        let client = self.client(&metadata)?;
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let mut request = client.authorize_url(CoreAuthenticationFlow::AuthorizationCode, || CsrfToken::new_random_len(32), || Nonce::new_random_len(32));
        for scope in &self.settings.scopes {
            request = request.add_scope(Scope::new(scope.clone()));
        }
        let (location, state, nonce) = request.set_pkce_challenge(challenge).url();
        Ok(Departure { location: location.into(), state: state.into_secret(), nonce: nonce.secret().clone(), pkce_verifier: verifier.into_secret() })
    }

    /// Checks the `iss` parameter of a callback (RFC 9207), which is a must where the provider says it sends it.
    ///
    /// # Errors
    /// [`Trouble`] when it is missing or another's.
    pub async fn check_issuer(&self, iss: Option<&str>) -> Result<(), Trouble> {
        let metadata = self.metadata().await?;
        let announced = metadata.additional_metadata().authorization_response_iss_parameter_supported == Some(true);
        match iss {
            Some(iss) if iss == self.settings.issuer => Ok(()),
            None if !announced => Ok(()),
            _ => Err(Trouble::Refused("The answer does not come from the provider that was asked.".into())),
        }
    }

    /// Ends a sign-in: exchanges the code and verifies what comes for it.
    ///
    /// # Errors
    /// [`Trouble::Unavailable`] when the provider fails, [`Trouble::Refused`] when its answer is not to be believed.
    pub async fn arrive(&self, code: &str, pkce_verifier: &str, nonce: &str) -> Result<Vouched, Trouble> {
        let mut metadata = self.metadata().await?;
        let client = self.client(&metadata)?;
        let request = client.exchange_code(AuthorizationCode::new(code.to_owned()));
        let request = request.map_err(|_| unavailable("it has no token endpoint"))?;
        let verifier = PkceCodeVerifier::new(pkce_verifier.to_owned());
        let response = request.set_pkce_verifier(verifier).request_async(&self.http).await.map_err(|error| match error {
            RequestTokenError::ServerResponse(refusal) => {
                tracing::warn!(error = %refusal.error(), "the provider refused the code");
                Trouble::Refused("The provider refused to finish this sign-in.".into())
            }
            RequestTokenError::Request(error) => unavailable(&error.to_string()),
            RequestTokenError::Parse(error, _) => {
                tracing::warn!(error = %error, "the provider's tokens cannot be read");
                Trouble::Refused("The provider's answer cannot be used.".into())
            }
            RequestTokenError::Other(error) => {
                tracing::warn!(error, "the provider gave no tokens");
                Trouble::Refused("The provider's answer cannot be used.".into())
            }
        })?;
        let nonce = Nonce::new(nonce.to_owned());
        let mut verdict = self.verify(&metadata, &response, &nonce);
        if matches!(verdict, Err(Fault::UnknownKey))
            && let Some(renewed) = self.renew_keys(&metadata).await
        {
            metadata = renewed;
            verdict = self.verify(&metadata, &response, &nonce);
        }
        let mut vouched = verdict.map_err(|fault| {
            let why = match fault {
                Fault::UnknownKey => "signed with a key the provider does not publish".to_owned(),
                Fault::Bad(why) => why,
            };
            tracing::warn!(why, "an ID token was refused");
            Trouble::Refused("The provider's answer does not prove who you are.".into())
        })?;
        if self.settings.claims.iter().any(|claim| !vouched.claims.contains_key(claim)) {
            let token = response.access_token().secret();
            self.complete(&metadata, token, &mut vouched).await?;
        }
        Ok(vouched)
    }

    /// Where to send somebody who signed out here, to sign out at the provider too; `None` when it offers no such place.
    pub async fn farewell(&self, id_token: Option<&str>) -> Option<String> {
        let metadata = self.metadata().await.ok()?;
        let endpoint = metadata.additional_metadata().end_session_endpoint.clone()?;
        let back = PostLogoutRedirectUrl::new(self.settings.after_sign_out.clone()).ok()?;
        let mut url = LogoutRequest::from(endpoint)
            .set_client_id(ClientId::new(self.settings.client_id.clone()))
            .set_post_logout_redirect_uri(back)
            .set_state(CsrfToken::new_random_len(32))
            .http_get_url();
        if let Some(id_token) = id_token {
            url.query_pairs_mut().append_pair("id_token_hint", id_token);
        }
        Some(url.into())
    }

    /// Verifies a logout token that is meant to come from the provider (OpenID Connect Back-Channel Logout 1.0, section 2.6).
    ///
    /// # Errors
    /// [`Trouble::Unavailable`] when the provider's keys cannot be had, [`Trouble::Refused`] when the token is not to be believed.
    pub async fn told_to_end(&self, token: &str) -> Result<Farewell, Trouble> {
        let metadata = self.metadata().await?;
        let verify = |metadata: &Metadata| logout_token::verify(token, metadata.jwks(), &self.settings.issuer, &self.settings.client_id, self.clock.now());
        let mut verdict = verify(&metadata);
        if matches!(verdict, Err(Fault::UnknownKey))
            && let Some(renewed) = self.renew_keys(&metadata).await
        {
            verdict = verify(&renewed);
        }
        verdict.map_err(|fault| {
            let why = match fault {
                Fault::UnknownKey => "signed with a key the provider does not publish".to_owned(),
                Fault::Bad(why) => why,
            };
            tracing::warn!(why, "a logout token was refused");
            Trouble::Refused("This is no logout token of the provider for this service, so no session ended.".into())
        })
    }

    fn current(&self) -> Option<Arc<Metadata>> {
        let held = self.held.read().unwrap_or_else(|poisoned| poisoned.into_inner());
        held.as_ref().map(|held| held.metadata.clone())
    }

    fn fresh(&self, now: DateTime<Utc>) -> Option<Arc<Metadata>> {
        let held = self.held.read().unwrap_or_else(|poisoned| poisoned.into_inner());
        held.as_ref().filter(|held| now < held.until).map(|held| held.metadata.clone())
    }

    fn hold(&self, metadata: Arc<Metadata>, until: DateTime<Utc>) {
        *self.held.write().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(Held { metadata, until });
    }

    /// The provider's metadata and keys, read once for everybody who waits.
    async fn metadata(&self) -> Result<Arc<Metadata>, Trouble> {
        if let Some(metadata) = self.fresh(self.clock.now()) {
            return Ok(metadata);
        }
        let mut asking = self.asking.lock().await;
        let now = self.clock.now();
        if let Some(metadata) = self.fresh(now) {
            return Ok(metadata);
        }
        if let Some((when, trouble)) = &asking.failed
            && now - *when < PAUSE
        {
            return self.current().ok_or_else(|| trouble.clone());
        }
        match self.discover().await {
            Ok(metadata) => {
                asking.failed = None;
                let metadata = Arc::new(metadata);
                self.hold(metadata.clone(), now + METADATA_LASTS);
                Ok(metadata)
            }
            Err(trouble) => {
                tracing::warn!(issuer = self.settings.issuer, why = %trouble, "the provider's metadata cannot be read");
                asking.failed = Some((self.clock.now(), trouble.clone()));
                // What it said before is most likely still true.
                self.current().ok_or(trouble)
            }
        }
    }

    async fn discover(&self) -> Result<Metadata, Trouble> {
        let issuer = IssuerUrl::new(self.settings.issuer.clone()).map_err(|_| unavailable("its address is not a URL"))?;
        let metadata = Metadata::discover_async(issuer, &self.http).await.map_err(|error| match error {
            openidconnect::DiscoveryError::Request(error) => unavailable(&error.to_string()),
            openidconnect::DiscoveryError::Response(status, _, _) => unavailable(&format!("it answered {status}")),
            openidconnect::DiscoveryError::Validation(_) => unavailable("it calls itself by another issuer"),
            _ => unavailable("its description cannot be read"),
        })?;
        let endpoints = [metadata.token_endpoint().map(|u| u.url()), metadata.userinfo_endpoint().map(|u| u.url())];
        let endpoints = endpoints.into_iter().flatten().chain([metadata.authorization_endpoint().url(), metadata.jwks_uri().url()]);
        if !endpoints.into_iter().all(is_safe) {
            return Err(unavailable("it names an address without https"));
        }
        Ok(metadata)
    }

    /// Reads the keys again, at most every few seconds; `None` when that may not be or did not work.
    async fn renew_keys(&self, metadata: &Metadata) -> Option<Arc<Metadata>> {
        let mut asking = self.asking.lock().await;
        let now = self.clock.now();
        if asking.keys_read.is_some_and(|read| now - read < KEYS_PAUSE) {
            return self.current();
        }
        asking.keys_read = Some(now);
        let keys = CoreJsonWebKeySet::fetch_async(metadata.jwks_uri(), &self.http).await;
        let keys = keys.inspect_err(|_| tracing::warn!("the provider's keys cannot be read")).ok()?;
        let renewed = Arc::new(metadata.clone().set_jwks(keys));
        self.hold(renewed.clone(), now + METADATA_LASTS);
        Some(renewed)
    }

    fn client(&self, metadata: &Metadata) -> Result<Client, Trouble> {
        let secret = self.settings.client_secret.as_ref().map(|secret| ClientSecret::new(secret.reveal().to_owned()));
        let redirect = RedirectUrl::new(self.settings.redirect.clone()).map_err(|_| unavailable("our address is not a URL"))?;
        let client = ClientId::new(self.settings.client_id.clone());
        let client = CoreClient::from_provider_metadata(metadata.clone(), client, secret).set_redirect_uri(redirect);
        // Basic is the default (Core §9); the body is used only where that is all there is.
        let methods = metadata.token_endpoint_auth_methods_supported();
        let basic = methods.is_none_or(|m| m.contains(&CoreClientAuthMethod::ClientSecretBasic) || !m.contains(&CoreClientAuthMethod::ClientSecretPost));
        Ok(if basic { client } else { client.set_auth_type(AuthType::RequestBody) })
    }

    fn verify(&self, metadata: &Metadata, response: &CoreTokenResponse, nonce: &Nonce) -> Result<Vouched, Fault> {
        let client = self.client(metadata).map_err(|_| Fault::Bad("no client".into()))?;
        let verifier = client.id_token_verifier();
        id_token::verify(verifier, &self.settings.client_id, &self.settings.issuer, response, nonce, self.clock.now())
    }

    /// Adds what userinfo knows; its `sub` must be the token's (Core §5.3.2).
    async fn complete(&self, metadata: &Metadata, token: &str, vouched: &mut Vouched) -> Result<(), Trouble> {
        let Some(endpoint) = metadata.userinfo_endpoint() else { return Ok(()) };
        let request = openidconnect::http::Request::get(endpoint.as_str())
            .header("authorization", format!("Bearer {token}"))
            .header("accept", "application/json")
            .body(Vec::new())
            .map_err(|_| unavailable("its userinfo cannot be asked"))?;
        let answer = self.http.send(request).await.map_err(|error| unavailable(&error.to_string()))?;
        if answer.status() != openidconnect::http::StatusCode::OK {
            return Err(unavailable(&format!("its userinfo answered {}", answer.status())));
        }
        let Ok(Value::Object(told)) = serde_json::from_slice(answer.body()) else { return Ok(()) };
        if told.get("sub").and_then(Value::as_str) != Some(vouched.subject.as_str()) {
            tracing::warn!("userinfo is about another subject");
            return Err(Trouble::Refused("The provider's answer does not prove who you are.".into()));
        }
        for (claim, value) in told {
            vouched.claims.entry(claim).or_insert(value);
        }
        Ok(())
    }
}

type Client = CoreClient<
    openidconnect::EndpointSet,
    openidconnect::EndpointNotSet,
    openidconnect::EndpointNotSet,
    openidconnect::EndpointNotSet,
    openidconnect::EndpointMaybeSet,
    openidconnect::EndpointMaybeSet,
>;

fn unavailable(why: &str) -> Trouble {
    Trouble::Unavailable(format!("The sign-in provider cannot be used right now: {why}."))
}
