//! Starting and stopping the demo directory.
//!
//! One loopback address serves an OpenID Connect provider at its root, a SCIM 2.0 service under `/scim/v2`, and a page
//! for people at `/`. Countersign talks to it through those protocols only, as to any other identity provider.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::middleware;
use axum::routing::{get, post};
use axum::serve::ListenerExt;
use openidconnect::url::Url;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::company::Company;
use super::keep::{self, KeepError};
use super::key::{Key, KeyError};
use super::register::Register;
use super::shelf::Secret;
use super::site::{Client, Site};
use super::{authorize, discovery, home, logout, page, scim, token};
use crate::clock::Clock;

/// How long open requests may take to finish after [`Running::stop`].
const GRACE: Duration = Duration::from_secs(5);
/// Largest form, in bytes.
const LARGEST_FORM: usize = 64 * 1024;

/// What the demo directory is started with.
pub struct Settings {
    /// Where to listen; refused unless it is a loopback address. Port 0: any free one.
    pub listen: SocketAddr,
    /// Who works there.
    pub company: Company,
    /// The file that keeps changes between starts (who was disabled, who is in which group); `None`: they are forgotten.
    pub state: Option<PathBuf>,
    /// `client_id` of the one relying party.
    pub client_id: String,
    /// Its secret, at least one character.
    pub client_secret: String,
    /// Where it may be answered: `http` or `https` URLs without a fragment, compared exactly. At least one.
    pub redirect_uris: Vec<String>,
    /// Where it may send people after signing out; the same rules, may be empty.
    pub post_logout_redirect_uris: Vec<String>,
    /// The bearer token of the SCIM service, at least one character.
    pub scim_token: String,
}

/// Why the demo directory does not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is for trying out, with no passwords: it never listens to other machines.
    #[error("the demo directory has no passwords, so it listens on loopback only (such as 127.0.0.1), not on {0}")]
    NotLoopback(SocketAddr),
    /// A setting cannot be used.
    #[error("demo directory: {0}")]
    Setting(String),
    /// The state file cannot be read.
    #[error(transparent)]
    State(#[from] KeepError),
    /// The address is taken, or may not be used.
    #[error("the demo directory cannot listen on {address}: {source}")]
    Listen {
        /// Where it was to listen.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// No key for ID tokens.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// A demo directory that answers. It stops when this is dropped, or, having written its state, with [`Running::stop`].
pub struct Running {
    issuer: String,
    address: SocketAddr,
    stop: watch::Sender<bool>,
    server: JoinHandle<()>,
    keeper: Option<JoinHandle<()>>,
}

/// Starts the demo directory; when this returns it is listening.
///
/// Fails on an address that is not loopback or cannot be used, on settings that cannot work, and on a state file that
/// cannot be read or understood.
pub async fn start(settings: Settings, clock: Clock) -> Result<Running, Error> {
    if !settings.listen.ip().is_loopback() {
        return Err(Error::NotLoopback(settings.listen));
    }
    let client = client(&settings)?;
    let register = Register::new(settings.company, clock.now());
    if let Some(path) = &settings.state {
        keep::load(path, &mut register.write())?;
    }
    let register = Arc::new(register);
    let cannot_listen = |source| Error::Listen { address: settings.listen, source };
    let listener = TcpListener::bind(settings.listen).await.map_err(cannot_listen)?;
    let address = listener.local_addr().map_err(cannot_listen)?;
    let issuer = format!("http://{address}");
    let scim_token = Secret::new(&settings.scim_token);
    let site = Arc::new(Site::new(issuer.clone(), register.clone(), clock, scim_token, client, Key::generate()?));

    let (stop, stopped) = watch::channel(false);
    let keeper = settings.state.map(|path| tokio::spawn(keep::keep(register, path, stopped.clone())));
    let server = tokio::spawn(serve(listener, routes(site), stopped));
    tracing::info!(%issuer, "the demo directory is listening");
    Ok(Running { issuer, address, stop, server, keeper })
}

impl Running {
    /// The OpenID Connect issuer, `http://127.0.0.1:PORT`, without a slash at the end.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The base address of SCIM, `http://127.0.0.1:PORT/scim/v2`.
    pub fn scim_base(&self) -> String {
        format!("{}/scim/v2", self.issuer)
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// Answers what has been asked, writes the state and stops; after some seconds it stops in any case.
    pub async fn stop(mut self) {
        _ = self.stop.send(true);
        if tokio::time::timeout(GRACE, &mut self.server).await.is_err() {
            self.server.abort();
        }
        if let Some(keeper) = self.keeper.take() {
            _ = tokio::time::timeout(GRACE, keeper).await;
        }
    }
}

async fn serve(listener: TcpListener, routes: Router, mut stopped: watch::Receiver<bool>) {
    let listener = listener.tap_io(|stream| _ = stream.set_nodelay(true));
    let until = async move { _ = stopped.changed().await };
    if let Err(error) = axum::serve(listener, routes).with_graceful_shutdown(until).await {
        tracing::error!(%error, "the demo directory stopped listening");
    }
}

/// Every route of the demo directory.
fn routes(site: Arc<Site>) -> Router {
    Router::new()
        .route("/", get(home::show))
        .route("/people/{id}", post(home::change_person))
        .route("/groups/{id}", post(home::change_group))
        .route("/demo.css", get(page::style))
        .route("/.well-known/openid-configuration", get(discovery::configuration))
        .route("/jwks.json", get(discovery::keys))
        .route("/authorize", get(authorize::get).post(authorize::post))
        .route("/sign-in", get(authorize::search).post(authorize::chosen))
        .route("/token", post(token::exchange))
        .route("/userinfo", get(token::userinfo).post(token::userinfo))
        .route("/logout", get(logout::get).post(logout::post))
        .route("/logout/confirmed", post(logout::confirmed))
        .fallback(|State(site): State<Arc<Site>>| async move {
            let company = site.register.read().company.clone();
            page::problem(StatusCode::NOT_FOUND, &company, "Nothing here", "The directory itself is on the first page.")
        })
        .layer(DefaultBodyLimit::max(LARGEST_FORM))
        .nest("/scim/v2", scim::routes(site.clone()))
        .layer(middleware::from_fn(page::local_host_only))
        .with_state(site)
}

/// The relying party, once every setting has been looked at; the error names all that are wrong.
fn client(settings: &Settings) -> Result<Client, Error> {
    let mut faults = Vec::new();
    for (name, value) in [("client_id", &settings.client_id), ("client_secret", &settings.client_secret), ("scim_token", &settings.scim_token)] {
        if value.trim().is_empty() {
            faults.push(format!("{name} is empty"));
        }
    }
    if settings.redirect_uris.is_empty() {
        faults.push("redirect_uris is empty".to_owned());
    }
    let mut origins: Vec<String> = Vec::new();
    for address in settings.redirect_uris.iter().chain(&settings.post_logout_redirect_uris) {
        match Url::parse(address) {
            Ok(url) if matches!(url.scheme(), "http" | "https") && url.fragment().is_none() => {
                let origin = url.origin().ascii_serialization();
                if !origins.contains(&origin) {
                    origins.push(origin);
                }
            }
            _ => faults.push(format!("{address:?} is not an http or https address without a fragment")),
        }
    }
    if !faults.is_empty() {
        return Err(Error::Setting(faults.join("; ")));
    }
    Ok(Client {
        id: settings.client_id.clone(),
        secret: Secret::new(&settings.client_secret),
        redirect_uris: settings.redirect_uris.clone(),
        post_logout_redirect_uris: settings.post_logout_redirect_uris.clone(),
        origins: origins.join(" "),
    })
}
