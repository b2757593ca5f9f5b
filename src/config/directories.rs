//! `[directories.KEY]`: the directories, each of its kind.
//!
//! Plain values, checked; what connects by them is made elsewhere. Which settings a kind has is read off `config/default.toml`.

pub(super) mod read;

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::TimeDelta;

use crate::directory::okta::ManagerIs;
use crate::domain::secret::Secret;

/// One directory.
#[derive(Clone, Debug)]
pub struct Directory {
    /// How it is called.
    pub reach: Reach,
    /// Our names of attributes with theirs, defaults included. What is to be left out is not in it, but for scim and ldap, whose
    /// defaults are the connector's: there it is, and empty.
    pub attributes: BTreeMap<String, String>,
    /// Id or name of the administrators' group.
    pub administrators_group: Option<String>,
    /// Id or name of the auditors' group.
    pub auditors_group: Option<String>,
    /// The pause between two readings of everything.
    pub sync_interval: TimeDelta,
    /// The pause between two looks at what changed.
    pub changes_interval: TimeDelta,
    /// What its calls to us prove themselves by; `None`: it does not call.
    pub hook_secret: Option<Secret>,
    /// What it is.
    pub service: Service,
}

/// How a directory is called.
#[derive(Clone, Debug)]
pub struct Reach {
    /// The longest call.
    pub timeout: Duration,
    /// The most calls at once.
    pub max_concurrent: usize,
    /// The most calls a minute; `None`: no limit of ours.
    pub requests_per_minute: Option<u32>,
    /// PEM certificates to trust besides the public ones.
    pub extra_roots: Option<String>,
}

/// A directory by its kind. Addresses have no slash at their end.
#[derive(Clone, Debug)]
pub enum Service {
    /// `scim`
    Scim(Scim),
    /// `okta`
    Okta(Okta),
    /// `entra`
    Entra(Entra),
    /// `google`
    Google(Google),
    /// `keycloak`
    Keycloak(Keycloak),
    /// `ldap`
    Ldap(Ldap),
}

impl Service {
    /// The word in the settings.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Scim(_) => "scim",
            Self::Okta(_) => "okta",
            Self::Entra(_) => "entra",
            Self::Google(_) => "google",
            Self::Keycloak(_) => "keycloak",
            Self::Ldap(_) => "ldap",
        }
    }

    /// The claim that holds the directory's own immutable id, where its vendor signs people in too.
    pub fn id_claim(&self) -> Option<&'static str> {
        match self {
            Self::Okta(_) | Self::Google(_) | Self::Keycloak(_) => Some("sub"),
            // Its `sub` is another one for each application.
            Self::Entra(_) => Some("oid"),
            Self::Scim(_) | Self::Ldap(_) => None,
        }
    }
}

/// A SCIM 2.0 service.
#[derive(Clone, Debug)]
pub struct Scim {
    /// Where it is.
    pub base_url: String,
    /// How we are known.
    pub credentials: ScimCredentials,
}

/// How a SCIM service knows us.
#[derive(Clone, Debug)]
pub enum ScimCredentials {
    /// A bearer token.
    Token(Secret),
    /// A token asked for with client credentials.
    Client {
        /// The token endpoint.
        token_url: String,
        /// The client's id.
        client_id: String,
        /// The client's secret.
        client_secret: Secret,
        /// What for; may be empty.
        scope: String,
    },
}

/// An Okta organisation.
#[derive(Clone, Debug)]
pub struct Okta {
    /// `https://ORG.okta.com`.
    pub base_url: String,
    /// How we are known.
    pub credentials: OktaCredentials,
    /// What its profiles hold as a person's manager.
    pub manager_is: ManagerIs,
    /// The statuses of people who work here.
    pub active_statuses: Vec<String>,
}

/// How Okta knows us.
#[derive(Clone, Debug)]
pub enum OktaCredentials {
    /// An API token (SSWS).
    Token(Secret),
    /// A service app.
    App {
        /// Its client id.
        client_id: String,
        /// Its key, PEM.
        private_key: Secret,
        /// The key's id.
        key_id: Option<String>,
        /// What is asked for.
        scopes: Vec<String>,
    },
}

/// A tenant of Microsoft Entra ID.
#[derive(Clone, Debug)]
pub struct Entra {
    /// Its id or domain.
    pub tenant: String,
    /// Our application's id.
    pub client_id: String,
    /// How our application is known.
    pub credentials: EntraCredentials,
    /// Where Graph is, without a version.
    pub graph_url: String,
    /// Where tokens are asked for, without the tenant.
    pub login_url: String,
}

/// How Entra knows our application.
#[derive(Clone, Debug)]
pub enum EntraCredentials {
    /// By a secret.
    Secret(Secret),
    /// By a certificate.
    Certificate {
        /// Its key, PEM.
        private_key: Secret,
        /// It, PEM.
        certificate: String,
    },
}

/// A Google Workspace.
#[derive(Clone, Debug)]
pub struct Google {
    /// The service account's address.
    pub client_email: String,
    /// Its key, PEM.
    pub private_key: Secret,
    /// The key's id, where the file says it.
    pub private_key_id: Option<String>,
    /// As whom it acts.
    pub subject: String,
    /// Whose people and groups.
    pub customer: String,
    /// Where the API is.
    pub base_url: String,
    /// Where tokens are asked for.
    pub token_url: String,
}

/// A realm of Keycloak.
#[derive(Clone, Debug)]
pub struct Keycloak {
    /// Keycloak's address.
    pub base_url: String,
    /// The realm.
    pub realm: String,
    /// Our client.
    pub client_id: String,
    /// Its secret.
    pub client_secret: Secret,
}

/// An LDAP server.
#[derive(Clone, Debug)]
pub struct Ldap {
    /// `ldap://` and `ldaps://` addresses, at least one, tried in turn.
    pub urls: Vec<String>,
    /// Whether ldap:// is encrypted first.
    pub starttls: bool,
    /// As whom we bind.
    pub bind_dn: String,
    /// With which password; never empty.
    pub bind_password: Secret,
    /// Below which entry everything lies.
    pub base_dn: String,
    /// What it is.
    pub dialect: Dialect,
    /// Below which entry people lie.
    pub people_base: String,
    /// Which entries are people; `None`: as usual in the dialect.
    pub people_filter: Option<String>,
    /// Below which entry groups lie.
    pub groups_base: String,
    /// Which entries are groups; `None`: as usual in the dialect.
    pub groups_filter: Option<String>,
    /// The attribute that holds members.
    pub member_attribute: String,
    /// What it holds of a member.
    pub member_value: MemberValue,
    /// The entry that keeps a group from being empty.
    pub placeholder_member: Option<String>,
}

/// What an LDAP server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// OpenLDAP, and others with entryUUID.
    OpenLdap,
    /// Active Directory, Samba's too.
    ActiveDirectory,
}

/// What a group of an LDAP server holds of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberValue {
    /// The entry's DN.
    Dn,
    /// The login.
    Login,
}

#[cfg(test)]
mod tests;
