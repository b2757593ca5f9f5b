//! Calls to the OpenID Provider: bounded, and without redirects.

use std::net::IpAddr;
use std::pin::Pin;
use std::time::Duration;

use openidconnect::{AsyncHttpClient, HttpRequest, HttpResponse};

/// Largest answer of a provider, in bytes.
const MAX_ANSWER: usize = 1 << 20;

/// An HTTP client for one provider.
#[derive(Clone, Debug)]
pub struct Wire(reqwest::Client);

/// Why a call failed, in words that hold no address and no secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CallError(&'static str);

impl Wire {
    /// A client for the provider at `issuer` that also trusts `extra_roots` (PEM).
    ///
    /// # Errors
    /// A sentence when the certificates are not PEM.
    pub fn new(issuer: &reqwest::Url, extra_roots: Option<&str>) -> Result<Self, String> {
        let mut builder = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(Duration::from_secs(3))
            .timeout(Duration::from_secs(8))
            .pool_idle_timeout(Duration::from_secs(30))
            .user_agent(concat!("countersign/", env!("CARGO_PKG_VERSION")));
        if is_loopback(issuer) {
            builder = builder.no_proxy();
        }
        if let Some(pem) = extra_roots {
            let roots = reqwest::Certificate::from_pem_bundle(pem.as_bytes());
            for root in roots.map_err(|_| "The provider's certificates are not PEM.".to_owned())? {
                builder = builder.add_root_certificate(root);
            }
        }
        builder.build().map(Self).map_err(|e| format!("No HTTP client can be made: {e}."))
    }

    /// One call: at most 8 s, at most 1 MiB.
    ///
    /// # Errors
    /// [`CallError`] when there is no whole answer; every status is an answer.
    pub async fn send(&self, request: HttpRequest) -> Result<HttpResponse, CallError> {
        let mut answer = self.0.execute(request.try_into().map_err(CallError::of)?).await.map_err(CallError::of)?;
        let mut response = openidconnect::http::Response::builder().status(answer.status());
        for (name, value) in answer.headers() {
            response = response.header(name, value);
        }
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(CallError::of)? {
            if body.len() + chunk.len() > MAX_ANSWER {
                return Err(CallError("its answer is too large"));
            }
            body.extend_from_slice(&chunk);
        }
        response.body(body).map_err(|_| CallError("its answer cannot be read"))
    }
}

impl<'c> AsyncHttpClient<'c> for Wire {
    type Error = CallError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, CallError>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.send(request))
    }
}

impl CallError {
    fn of(error: reqwest::Error) -> Self {
        if error.is_connect() {
            Self("it cannot be reached")
        } else if error.is_timeout() {
            Self("it does not answer in time")
        } else {
            Self("the connection to it broke")
        }
    }
}

fn is_loopback(url: &reqwest::Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Whether what goes there is encrypted, or stays on this machine.
pub fn is_safe(url: &reqwest::Url) -> bool {
    url.scheme() == "https" || (url.scheme() == "http" && is_loopback(url))
}
