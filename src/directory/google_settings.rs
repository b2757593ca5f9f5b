//! How to reach a Google Workspace, and as whom.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::directory::http;
use crate::directory::token::{Client, Credentials, Grant, SigningKey};
use crate::domain::secret::Secret;

/// Where the Directory API is.
pub const API: &str = "https://admin.googleapis.com";
/// Where tokens are asked for.
pub const TOKEN: &str = "https://oauth2.googleapis.com/token";
/// What is asked for. Domain-wide delegation must list exactly these.
pub const SCOPES: [&str; 3] = [
    "https://www.googleapis.com/auth/admin.directory.user.readonly",
    "https://www.googleapis.com/auth/admin.directory.group.readonly",
    "https://www.googleapis.com/auth/admin.directory.group.member",
];

/// How to reach a Workspace.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The service account's address.
    pub client_email: String,
    /// Its private key, PEM.
    pub private_key: Secret,
    /// The key's id; empty: not said.
    pub private_key_id: String,
    /// The address of the administrator as whom it acts. When that person leaves, nothing works any more.
    pub subject: String,
    /// The customer; `my_customer` is the administrator's own.
    pub customer: String,
    /// Where tokens are asked for.
    pub token_url: String,
    /// Where our attributes are in a Google user: `department` to `organizations.department`. Of several organisations or addresses the
    /// primary one counts, of external ids the one of the type: `externalIds.organization`.
    pub attributes: BTreeMap<String, String>,
    /// Where the API is (`base`, without `/admin/directory/v1`) and the limits; its credentials are not used.
    pub reach: http::Settings,
}

impl Settings {
    /// The usual places, attributes and limits. `key` is the JSON file of the service account's key, as downloaded.
    ///
    /// # Errors
    /// A sentence without the key.
    pub fn new(key: &Secret, subject: &str) -> Result<Self, String> {
        let file: Value = serde_json::from_str(key.reveal()).map_err(|_| "The service account's key is not the JSON file that Google hands out.".to_owned())?;
        let text = |name: &str| match file[name].as_str().filter(|text| !text.is_empty()) {
            Some(text) => Ok(text.to_owned()),
            None => Err(format!("The service account's key file has no {name}.")),
        };
        let attributes = [
            ("department", "organizations.department"),
            ("title", "organizations.title"),
            ("employment_type", "organizations.description"),
            ("cost_center", "organizations.costCenter"),
            ("organization", "organizations.name"),
            ("employee_number", "externalIds.organization"),
            ("location", "organizations.location"),
            ("country", "addresses.countryCode"),
        ];
        Ok(Self {
            client_email: text("client_email")?,
            private_key: Secret::new(&text("private_key")?),
            private_key_id: text("private_key_id").unwrap_or_default(),
            subject: subject.to_owned(),
            customer: "my_customer".to_owned(),
            token_url: TOKEN.to_owned(),
            attributes: attributes.into_iter().map(|(ours, theirs)| (ours.to_owned(), theirs.to_owned())).collect(),
            reach: http::Settings::with(API, Credentials::Nothing),
        })
    }

    pub(super) fn credentials(&self) -> Result<Credentials, String> {
        for (what, address) in [("service account", &self.client_email), ("administrator", &self.subject)] {
            if !address.contains('@') || address.chars().any(|c| c.is_control() || c.is_whitespace()) {
                return Err(format!("The {what} must be an e-mail address."));
            }
        }
        let mut names = Map::new();
        if !self.private_key_id.is_empty() {
            names.insert("kid".into(), self.private_key_id.clone().into());
        }
        let client = Client::Assertion {
            issuer: self.client_email.clone(),
            subject: self.subject.clone(),
            audience: self.token_url.clone(),
            key: SigningKey::from_pem(self.private_key.reveal(), names)?,
        };
        Ok(Credentials::Granted(Grant { endpoint: self.token_url.clone(), client, scope: SCOPES.join(" ") }))
    }
}
