//! Makes directories from their settings.

use countersign::clock::Clock;
use countersign::config::directories::{Directory as Configured, OktaCredentials, ScimCredentials, Service};
use countersign::directory::http;
use countersign::directory::okta::{self, Okta};
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
        Service::Okta(org) => {
            let settings = match &org.credentials {
                OktaCredentials::Token(token) => okta::Settings::with_token(&org.base_url, token.clone()),
                OktaCredentials::App { client_id, private_key, key_id, scopes } => {
                    okta::Settings::for_app(&org.base_url, client_id, private_key, key_id.as_deref(), scopes)?
                }
            };
            let settings = okta::Settings {
                http: reach(configured, &org.base_url, settings.http.credentials.clone()),
                attributes: configured.attributes.clone(),
                manager_is: org.manager_is,
                active: org.active_statuses.iter().cloned().collect(),
                ..settings
            };
            Ok(Directory::Okta(Okta::new(&settings, clock)?))
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
