//! What every page and API call has at hand.

use std::sync::Arc;

use crate::config::network::Network;
use crate::service::ctx::Ctx;
use crate::service::sign_in::Rules;
use crate::web::metrics::Metrics;
use crate::web::oidc::Oidc;
use crate::web::rate_limit::Limits;

/// The web's state. Cloning shares it.
#[derive(Clone)]
pub struct App {
    /// What every verb works with.
    pub ctx: Ctx,
    /// How people come in.
    pub rules: Arc<Rules>,
    /// Who vouches for them.
    pub oidc: Arc<Oidc>,
    /// The provider's name, for people.
    pub provider: Arc<str>,
    /// Where browsers find us.
    pub public: Arc<Public>,
    /// Whose X-Forwarded-For is believed.
    pub trusted_proxies: Arc<[Network]>,
    /// How much is too much.
    pub limits: Arc<Limits>,
    /// What was answered, counted.
    pub metrics: Metrics,
    /// Largest request body, in bytes.
    pub body_limit: usize,
    /// The installation is a demo.
    pub demo: bool,
}

/// Where browsers find us: from the settings, never from a request's Host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Public {
    /// Scheme, host and port, as browsers write it in `Origin`.
    pub origin: String,
    /// Whether it is https.
    pub https: bool,
}

impl Public {
    /// From a configured public address.
    ///
    /// # Errors
    /// A sentence when it is no origin: another scheme than http(s), or with a path.
    pub fn new(url: &str) -> Result<Self, String> {
        let parsed = reqwest::Url::parse(url).map_err(|e| format!("The public address {url:?} is not a URL: {e}."))?;
        let plain = parsed.path() == "/" && parsed.query().is_none() && parsed.fragment().is_none();
        if !matches!(parsed.scheme(), "http" | "https") || !plain || !parsed.username().is_empty() {
            return Err(format!("The public address {url:?} must be https://HOST, without a path."));
        }
        Ok(Self { origin: parsed.origin().ascii_serialization(), https: parsed.scheme() == "https" })
    }

    /// The whole address of a path of ours.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.origin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_public_address_is_an_origin() {
        let origin = |url: &str| Public::new(url).map(|public| (public.origin, public.https));
        assert_eq!(origin("https://Access.Example.org/"), Ok(("https://access.example.org".into(), true)));
        assert_eq!(origin("https://access.example.org:443"), Ok(("https://access.example.org".into(), true)));
        assert_eq!(origin("http://127.0.0.1:8080"), Ok(("http://127.0.0.1:8080".into(), false)));
        for bad in ["", "access.example.org", "ftp://x", "https://x/path", "https://x/?q", "https://a@x/"] {
            assert!(origin(bad).is_err(), "{bad}");
        }
    }
}
