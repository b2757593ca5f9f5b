//! How to reach a Microsoft Entra tenant, and as whom.

use std::collections::BTreeMap;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde_json::{Map, Value};

use crate::directory::entra_record::USER_FIELDS;
use crate::directory::http;
use crate::directory::token::{Client, Credentials, Grant, SigningKey};
use crate::domain::secret::Secret;

/// Where Graph is for most tenants.
pub const GRAPH: &str = "https://graph.microsoft.com";
/// Where tokens are asked for by most tenants.
pub const LOGIN: &str = "https://login.microsoftonline.com";
/// How to reach a tenant.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The tenant: its id, or one of its domains. `common` and the like cannot be used by an application.
    pub tenant: String,
    /// The application's (client) id.
    pub client_id: String,
    /// How the application proves who it is.
    pub proof: Proof,
    /// Where tokens are asked for; [`LOGIN`], or a national cloud's.
    pub login_url: String,
    /// Where our attributes are in a Graph user: `cost_center` to `employeeOrgData.costCenter`. Only these are asked for.
    pub attributes: BTreeMap<String, String>,
    /// Where Graph is (`base`, without `/v1.0`) and the limits; its credentials are not used.
    pub reach: http::Settings,
}

/// How an application proves who it is.
#[derive(Clone, Debug)]
pub enum Proof {
    /// A client secret.
    Secret(Secret),
    /// A certificate that was uploaded to the application, and its private key; both PEM.
    Certificate {
        /// The certificate; public.
        certificate: String,
        /// Its key, PKCS #8 or PKCS #1.
        private_key: Secret,
    },
}

impl Settings {
    /// The usual cloud, attributes and limits.
    pub fn new(tenant: &str, client_id: &str, proof: Proof) -> Self {
        let attributes = [
            ("department", "department"),
            ("title", "jobTitle"),
            ("employment_type", "employeeType"),
            ("cost_center", "employeeOrgData.costCenter"),
            ("division", "employeeOrgData.division"),
            ("organization", "companyName"),
            ("employee_number", "employeeId"),
            ("location", "officeLocation"),
            ("country", "country"),
        ];
        Self {
            tenant: tenant.to_owned(),
            client_id: client_id.to_owned(),
            proof,
            login_url: LOGIN.to_owned(),
            attributes: attributes.into_iter().map(|(ours, theirs)| (ours.to_owned(), theirs.to_owned())).collect(),
            reach: http::Settings::with(GRAPH, Credentials::Nothing),
        }
    }

    /// What `$select` asks for: `employeeOrgData` for `employeeOrgData.costCenter`.
    pub(super) fn select(&self) -> Result<String, String> {
        let mut fields: Vec<&str> = USER_FIELDS.split(',').collect();
        for (ours, theirs) in &self.attributes {
            if theirs.is_empty() || !theirs.chars().all(|c| c.is_ascii_alphanumeric() || "._".contains(c)) {
                return Err(format!("The attribute {ours} cannot be read from {theirs:?}: that is no property of a Graph user."));
            }
            let field = theirs.split('.').next().unwrap_or_default();
            if !fields.contains(&field) {
                fields.push(field);
            }
        }
        Ok(fields.join(","))
    }

    pub(super) fn credentials(&self) -> Result<Credentials, String> {
        let plain = |text: &str, more: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c));
        if !plain(&self.tenant, "-.") || ["common", "organizations", "consumers"].contains(&self.tenant.as_str()) {
            return Err("The tenant must be its id or one of its domains.".into());
        }
        if !plain(&self.client_id, "-") {
            return Err("The application's (client) id is not an id.".into());
        }
        let endpoint = format!("{}/{}/oauth2/v2.0/token", self.login_url.trim_end_matches('/'), self.tenant);
        let id = self.client_id.clone();
        let client = match &self.proof {
            Proof::Secret(secret) => Client::SecretPost { id, secret: secret.clone() },
            Proof::Certificate { certificate, private_key } => {
                let key = SigningKey::from_pem(private_key.reveal(), thumbprints(certificate)?)?;
                Client::PrivateKeyJwt { id, audience: endpoint.clone(), key }
            }
        };
        let scope = format!("{}/.default", self.reach.base.trim_end_matches('/'));
        Ok(Credentials::Granted(Grant { endpoint, client, scope }))
    }
}

/// What names the certificate in an assertion's header (RFC 7515 §4.1.7 and §4.1.8): both, as Entra has taken either for longer or shorter.
fn thumbprints(certificate: &str) -> Result<Map<String, Value>, String> {
    let der = CertificateDer::from_pem_slice(certificate.as_bytes()).map_err(|_| "The certificate is not PEM (-----BEGIN CERTIFICATE-----).".to_owned())?;
    let print = |algorithm| Value::from(BASE64_URL_SAFE_NO_PAD.encode(digest(algorithm, &der)));
    Ok(Map::from_iter([("x5t".to_owned(), print(&SHA1_FOR_LEGACY_USE_ONLY)), ("x5t#S256".to_owned(), print(&SHA256))]))
}
