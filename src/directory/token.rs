//! Access tokens for directories, renewed before they end.
//!
//! A fixed token is sent as it is. A granted one (RFC 6749 §4.4, RFC 7523) is asked for when first needed, kept until shortly before
//! its end, and asked for anew when the service refuses it. One call asks; the others wait for its answer.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use reqwest::header::HeaderValue;
use reqwest::{StatusCode, Url};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;
use serde_json::{Map, Value, json};
use tokio::sync::Mutex;

use crate::clock::{self, Clock};
use crate::directory::http::is_loopback;
use crate::domain::secret::Secret;

/// How long before its end a token is renewed, at most; a short one at a fifth of its life.
const AHEAD: TimeDelta = TimeDelta::minutes(2);
/// How long a token lasts whose answer does not say (RFC 6749 §5.1 only recommends it).
const UNSTATED_LIFE: i64 = 300;
/// How long an assertion of ours is good.
const ASSERTION_LIFE: TimeDelta = TimeDelta::minutes(5);
/// The longest answer of a token endpoint, in bytes.
const LONGEST_ANSWER: usize = 64 << 10;

/// How calls say who we are.
#[derive(Clone, Debug)]
pub enum Credentials {
    /// `Authorization: Bearer` (RFC 6750).
    Bearer(Secret),
    /// `Authorization:` with another scheme, such as Okta's `SSWS`.
    Scheme(&'static str, Secret),
    /// A token asked for.
    Granted(Grant),
    /// None, for a service that needs none.
    Nothing,
}

/// How a token is asked for.
#[derive(Clone, Debug)]
pub struct Grant {
    /// The token endpoint; https, or http on this machine.
    pub endpoint: String,
    /// Who asks, and how it is proved.
    pub client: Client,
    /// What for, separated by spaces; empty: not said.
    pub scope: String,
}

/// Who asks for a token, and how it is proved.
#[derive(Clone, Debug)]
pub enum Client {
    /// Id and secret in the `Authorization` header (RFC 6749 §2.3.1).
    SecretBasic {
        /// Client id.
        id: String,
        /// Client secret.
        secret: Secret,
    },
    /// Id and secret in the body (RFC 6749 §2.3.1).
    SecretPost {
        /// Client id.
        id: String,
        /// Client secret.
        secret: Secret,
    },
    /// `private_key_jwt`: an assertion signed with the client's key (RFC 7523 §2.2), for the grant `client_credentials`.
    PrivateKeyJwt {
        /// Client id: issuer and subject of the assertion.
        id: String,
        /// Its audience; usually the token endpoint.
        audience: String,
        /// What signs.
        key: SigningKey,
    },
    /// An assertion as the grant itself (RFC 7523 §2.1), with `scope` as a claim: a Google service account.
    Assertion {
        /// Who signs.
        issuer: String,
        /// As whom; empty: as itself.
        subject: String,
        /// Its audience; usually the token endpoint.
        audience: String,
        /// What signs.
        key: SigningKey,
    },
}

/// A private key that signs assertions, RS256 or ES256 by its kind.
#[derive(Clone)]
pub struct SigningKey {
    pair: Arc<Pair>,
    /// Header members that name the key: `kid`, `x5t`, `x5t#S256`.
    names: Map<String, Value>,
}

enum Pair {
    Rsa(RsaKeyPair),
    P256(EcdsaKeyPair),
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("names", &self.names).finish_non_exhaustive()
    }
}

impl SigningKey {
    /// A key from PEM: PKCS #8, or PKCS #1 for RSA (2048 to 4096 bits); elliptic ones on P-256. `names` go into the header of what
    /// it signs.
    ///
    /// # Errors
    /// A sentence without the key.
    pub fn from_pem(pem: &str, names: Map<String, Value>) -> Result<Self, String> {
        let der = PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| "The private key is not PEM (-----BEGIN PRIVATE KEY-----).".to_owned())?;
        let unusable = || "The private key is neither RSA of 2048 to 4096 bits nor elliptic on P-256.".to_owned();
        let pair = match &der {
            PrivateKeyDer::Pkcs1(der) => Pair::Rsa(RsaKeyPair::from_der(der.secret_pkcs1_der()).map_err(|_| unusable())?),
            PrivateKeyDer::Pkcs8(der) => {
                let der = der.secret_pkcs8_der();
                match RsaKeyPair::from_pkcs8(der) {
                    Ok(pair) => Pair::Rsa(pair),
                    Err(_) => Pair::P256(EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der, &SystemRandom::new()).map_err(|_| unusable())?),
                }
            }
            _ => return Err(unusable()),
        };
        Ok(Self { pair: Arc::new(pair), names })
    }

    /// A JWT (RFC 7519) of `claims`.
    ///
    /// # Errors
    /// When the key cannot sign.
    pub fn sign(&self, claims: &Value) -> Result<String, String> {
        let mut header = self.names.clone();
        header.insert("typ".into(), "JWT".into());
        header.insert("alg".into(), if matches!(*self.pair, Pair::Rsa(_)) { "RS256" } else { "ES256" }.into());
        let part = |value: String| BASE64_URL_SAFE_NO_PAD.encode(value);
        let message = format!("{}.{}", part(Value::Object(header).to_string()), part(claims.to_string()));
        let failed = |_| "The private key cannot sign.".to_owned();
        let signature = match &*self.pair {
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message.as_bytes(), &mut signature).map_err(failed)?;
                signature
            }
            Pair::P256(pair) => pair.sign(&SystemRandom::new(), message.as_bytes()).map_err(failed)?.as_ref().to_vec(),
        };
        Ok(format!("{message}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature)))
    }
}

/// Where a client gets its `Authorization` from. Cloning shares the token.
#[derive(Clone)]
pub struct TokenSource(Arc<Source>);

enum Source {
    Nothing,
    Fixed(HeaderValue),
    Granted { grant: Box<Grant>, client: reqwest::Client, timeout: Duration, clock: Clock, held: Mutex<Option<Held>> },
}

struct Held {
    header: HeaderValue,
    renew_at: DateTime<Utc>,
}

impl fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            Source::Nothing => f.write_str("Nothing"),
            Source::Fixed(_) => f.write_str("Fixed"),
            Source::Granted { grant, .. } => f.debug_tuple("Granted").field(&grant.endpoint).finish(),
        }
    }
}

fn header(scheme: &str, token: &str) -> Result<HeaderValue, String> {
    let mut header = HeaderValue::from_str(&format!("{scheme} {token}")).map_err(|_| "The directory's token holds characters that no token has.".to_owned())?;
    header.set_sensitive(true);
    Ok(header)
}

impl TokenSource {
    /// Prepares; nothing is sent yet.
    ///
    /// # Errors
    /// A sentence on the setting that is wrong.
    pub fn new(credentials: Credentials, client: reqwest::Client, timeout: Duration, clock: Clock) -> Result<Self, String> {
        Ok(Self(Arc::new(match credentials {
            Credentials::Nothing => Source::Nothing,
            Credentials::Bearer(token) => Source::Fixed(header("Bearer", token.reveal())?),
            Credentials::Scheme(scheme, token) => Source::Fixed(header(scheme, token.reveal())?),
            Credentials::Granted(grant) => {
                let url = Url::parse(&grant.endpoint).map_err(|e| format!("The token endpoint {:?} is not a URL: {e}.", grant.endpoint))?;
                if url.scheme() != "https" && !(url.scheme() == "http" && is_loopback(&url)) {
                    return Err(format!("The token endpoint {:?} must start with https://.", grant.endpoint));
                }
                Source::Granted { grant: Box::new(grant), client, timeout, clock, held: Mutex::new(None) }
            }
        })))
    }

    /// The header to send now; none where none is needed.
    ///
    /// # Errors
    /// A clause on why no token can be had, without anything secret.
    pub async fn now(&self) -> Result<Option<HeaderValue>, String> {
        match &*self.0 {
            Source::Nothing => Ok(None),
            Source::Fixed(header) => Ok(Some(header.clone())),
            Source::Granted { grant, client, timeout, clock, held } => {
                let mut held = held.lock().await;
                let now = clock.now();
                if let Some(held) = held.as_ref().filter(|held| now < held.renew_at) {
                    return Ok(Some(held.header.clone()));
                }
                let (token, life) = ask(grant, client, *timeout, now).await?;
                let life = TimeDelta::seconds(life.clamp(1, 86_400));
                let header = header("Bearer", &token).map_err(|_| "its token endpoint sent something that is no token".to_owned())?;
                *held = Some(Held { header: header.clone(), renew_at: now + life - AHEAD.min(life / 5) });
                Ok(Some(header))
            }
        }
    }

    /// Forgets a token that the service refused; whether another one can be had.
    pub async fn forget(&self, refused: &Option<HeaderValue>) -> bool {
        let Source::Granted { held, .. } = &*self.0 else { return false };
        let mut held = held.lock().await;
        // Somebody else may have renewed it meanwhile.
        if held.as_ref().map(|held| &held.header) == refused.as_ref() {
            *held = None;
        }
        true
    }
}

/// Asks for a token: it, and its life in seconds.
async fn ask(grant: &Grant, client: &reqwest::Client, timeout: Duration, now: DateTime<Utc>) -> Result<(String, i64), String> {
    let claims = |issuer: &str, audience: &str| {
        let expires = (now + ASSERTION_LIFE).timestamp();
        json!({"iss": issuer, "aud": audience, "iat": now.timestamp(), "exp": expires, "jti": clock::new_id().to_string()})
    };
    let mut form: Vec<(&str, String)> = Vec::new();
    let mut request = client.post(&grant.endpoint).timeout(timeout).header(reqwest::header::ACCEPT, "application/json");
    let mut grant_type = "client_credentials";
    let mut scope_in_form = true;
    match &grant.client {
        Client::SecretBasic { id, secret } => {
            // Form-encoded before they are joined (RFC 6749 §2.3.1).
            let encoded = |text: &str| crate::directory::http::encoded(text);
            request = request.basic_auth(encoded(id), Some(encoded(secret.reveal())));
        }
        Client::SecretPost { id, secret } => form.extend([("client_id", id.clone()), ("client_secret", secret.reveal().to_owned())]),
        Client::PrivateKeyJwt { id, audience, key } => {
            let mut claims = claims(id, audience);
            claims["sub"] = id.clone().into();
            form.push(("client_id", id.clone()));
            form.push(("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer".into()));
            form.push(("client_assertion", key.sign(&claims)?));
        }
        Client::Assertion { issuer, subject, audience, key } => {
            let mut claims = claims(issuer, audience);
            claims["scope"] = grant.scope.clone().into();
            if !subject.is_empty() {
                claims["sub"] = subject.clone().into();
            }
            grant_type = "urn:ietf:params:oauth:grant-type:jwt-bearer";
            scope_in_form = false;
            form.push(("assertion", key.sign(&claims)?));
        }
    }
    form.push(("grant_type", grant_type.to_owned()));
    if scope_in_form && !grant.scope.is_empty() {
        form.push(("scope", grant.scope.clone()));
    }
    let mut response = request.form(&form).send().await.map_err(|_| "its token endpoint cannot be reached".to_owned())?;
    let status = response.status();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|_| "its token endpoint broke off".to_owned())? {
        if body.len() + chunk.len() > LONGEST_ANSWER {
            return Err("its token endpoint sent too much".into());
        }
        body.extend_from_slice(&chunk);
    }
    let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
    if status != StatusCode::OK {
        // The error code is one of a few words (RFC 6749 §5.2); the description could hold anything.
        let code: String = answer["error"].as_str().unwrap_or_default().chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').take(60).collect();
        let code = if code.is_empty() { status.as_str().to_owned() } else { code };
        return Err(format!("its token endpoint gave no token ({code})"));
    }
    let token = answer["access_token"].as_str().filter(|token| !token.is_empty()).ok_or("its token endpoint sent no token")?;
    let life = &answer["expires_in"];
    // Some send it as a text.
    let life = life.as_i64().or_else(|| life.as_str()?.parse().ok()).unwrap_or(UNSTATED_LIFE);
    Ok((token.to_owned(), life))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_secret_shows() {
        let credentials = Credentials::Granted(Grant {
            endpoint: "https://idp.example.org/token".into(),
            client: Client::SecretPost { id: "us".into(), secret: Secret::new("top-secret") },
            scope: String::new(),
        });
        let source = TokenSource::new(credentials.clone(), reqwest::Client::new(), Duration::from_secs(1), Clock::system()).unwrap();
        assert!(!format!("{credentials:?} {source:?}").contains("top-secret"));
    }

    #[test]
    fn a_secret_only_goes_to_an_encrypted_token_endpoint_or_to_this_machine() {
        let to = |endpoint: &str| {
            let client = Client::SecretPost { id: "us".into(), secret: Secret::new("s") };
            let grant = Grant { endpoint: endpoint.into(), client, scope: String::new() };
            TokenSource::new(Credentials::Granted(grant), reqwest::Client::new(), Duration::from_secs(1), Clock::system()).is_ok()
        };
        assert!(to("https://idp.example.org/token") && to("http://127.0.0.1:1/token"));
        assert!(!to("http://idp.example.org/token") && !to("idp") && !to(""));
    }

    #[test]
    fn what_is_no_key_is_told_without_showing_it() {
        for pem in ["", "hello", "-----BEGIN PRIVATE KEY-----\naGVsbG8=\n-----END PRIVATE KEY-----\n", "-----BEGIN PRIVATE KEY-----"] {
            let error = SigningKey::from_pem(pem, Map::new()).unwrap_err();
            assert!(error.starts_with("The private key") && !error.contains("aGVsbG8"), "{error}");
        }
    }
}
