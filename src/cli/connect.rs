//! Makes directories from their settings.

use countersign::clock::Clock;
use countersign::config::directories::{Directory as Configured, ScimCredentials, Service};
use countersign::directory::http;
use countersign::directory::port::Directory;
use countersign::directory::scim::Scim;
use countersign::directory::token::{Client, Credentials, Grant};

/// A directory as `configured`; nothing is sent yet.
///
/// # Errors
/// A sentence on the setting that is wrong, or that this build has no connector of that kind.
pub fn connect(configured: &Configured, clock: Clock) -> Result<Directory, String> {
    match &configured.service {
        Service::Scim(scim) => {
            let credentials = match &scim.credentials {
                ScimCredentials::Token(token) => Credentials::Bearer(token.clone()),
                ScimCredentials::Client { token_url, client_id, client_secret, scope } => Credentials::Granted(Grant {
                    endpoint: token_url.clone(),
                    client: Client::SecretBasic { id: client_id.clone(), secret: client_secret.clone() },
                    scope: scope.clone(),
                }),
            };
            let reach = http::Settings { media: "application/scim+json", ..reach(configured, &scim.base_url, credentials) };
            Ok(Directory::Scim(Scim::mapped(&reach, configured.attributes.clone(), clock)?))
        }
        other => Err(format!("this build has no connector for the kind {}", other.kind())),
    }
}

/// How a service over HTTP at `base` is called.
fn reach(configured: &Configured, base: &str, credentials: Credentials) -> http::Settings {
    http::Settings {
        timeout: configured.reach.timeout,
        concurrency: configured.reach.max_concurrent,
        per_minute: configured.reach.requests_per_minute,
        extra_roots: configured.reach.extra_roots.clone(),
        ..http::Settings::with(base, credentials)
    }
}
