//! Makes directories from their settings.

use countersign::clock::Clock;
use countersign::config::directories::{self, Directory as Configured, EntraCredentials, MemberValue, OktaCredentials, ScimCredentials, Service};
use countersign::directory::entra::Entra;
use countersign::directory::google::Google;
use countersign::directory::keycloak::{self, Keycloak};
use countersign::directory::ldap::{self, Ldap};
use countersign::directory::ldap_schema::{Dialect, GroupKind};
use countersign::directory::okta::{self, Okta};
use countersign::directory::port::Directory;
use countersign::directory::scim::Scim;
use countersign::directory::token::{Client, Credentials, Grant};
use countersign::directory::{entra_settings, google_settings, http};

/// A directory as `configured`; nothing is sent yet.
///
/// # Errors
/// A sentence on the setting that is wrong.
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
        Service::Entra(entra) => {
            let proof = match &entra.credentials {
                EntraCredentials::Secret(secret) => entra_settings::Proof::Secret(secret.clone()),
                EntraCredentials::Certificate { private_key, certificate } => {
                    entra_settings::Proof::Certificate { certificate: certificate.clone(), private_key: private_key.clone() }
                }
            };
            let settings = entra_settings::Settings {
                login_url: entra.login_url.clone(),
                attributes: configured.attributes.clone(),
                reach: reach(configured, &entra.graph_url, Credentials::Nothing),
                ..entra_settings::Settings::new(&entra.tenant, &entra.client_id, proof)
            };
            Ok(Directory::Entra(Entra::new(&settings, clock)?))
        }
        Service::Google(google) => {
            let settings = google_settings::Settings {
                client_email: google.client_email.clone(),
                private_key: google.private_key.clone(),
                private_key_id: google.private_key_id.clone().unwrap_or_default(),
                subject: google.subject.clone(),
                customer: google.customer.clone(),
                token_url: google.token_url.clone(),
                attributes: configured.attributes.clone(),
                reach: reach(configured, &google.base_url, Credentials::Nothing),
            };
            Ok(Directory::Google(Google::new(&settings, clock)?))
        }
        Service::Keycloak(realm) => {
            let settings = keycloak::Settings {
                base_url: realm.base_url.clone(),
                realm: realm.realm.clone(),
                client: Client::SecretBasic { id: realm.client_id.clone(), secret: realm.client_secret.clone() },
                attributes: configured.attributes.clone(),
                // Where it is and how we are known there follows from the realm.
                reach: reach(configured, "", Credentials::Nothing),
            };
            Ok(Directory::Keycloak(Keycloak::new(&settings, clock)?))
        }
        Service::Ldap(ldap) => Ok(Directory::Ldap(Ldap::new(&ldap_settings(configured, ldap)?, clock)?)),
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

/// How an LDAP server is reached, and what it calls things.
fn ldap_settings(configured: &Configured, ldap: &directories::Ldap) -> Result<ldap::Settings, String> {
    let dialect = match ldap.dialect {
        directories::Dialect::OpenLdap => Dialect::OpenLdap,
        directories::Dialect::ActiveDirectory => Dialect::ActiveDirectory,
    };
    let kinds = match (ldap.member_value, ldap.member_attribute.to_ascii_lowercase().as_str()) {
        (MemberValue::Dn, "member") => Vec::new(), // the dialect's
        (MemberValue::Dn, "uniquemember") => vec![GroupKind::OfUniqueNames],
        (MemberValue::Login, "memberuid") => vec![GroupKind::Posix],
        _ => return Err("member_attribute and member_value must be member or uniqueMember with dn, or memberUid with login".into()),
    };
    Ok(ldap::Settings {
        urls: ldap.urls.clone(),
        start_tls: ldap.starttls,
        people: ldap.people_base.clone(),
        groups: ldap.groups_base.clone(),
        person_filter: ldap.people_filter.clone().unwrap_or_default(),
        group_filter: ldap.groups_filter.clone().unwrap_or_default(),
        kinds,
        attributes: configured.attributes.clone(),
        placeholder: ldap.placeholder_member.clone(),
        timeout: configured.reach.timeout,
        concurrency: configured.reach.max_concurrent,
        extra_roots: configured.reach.extra_roots.clone(),
        ..ldap::Settings::new("", dialect, &ldap.base_dn, &ldap.bind_dn, ldap.bind_password.reveal())
    })
}
