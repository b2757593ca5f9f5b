//! One careful HTTP client for every directory.
//!
//! Time-outs on everything, no redirects (a redirect would carry the token elsewhere), answers of limited size, a
//! limited number of calls at once, and a plain statement of whether a failed call may have reached the other side.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use chrono::DateTime;
use reqwest::header::{self, HeaderMap, HeaderValue};
use reqwest::{Method, Url};
use serde_json::Value;
use tokio::sync::Semaphore;

use crate::clock::Clock;
use crate::domain::secret::Secret;

/// A wait without a stated length.
const UNSTATED_WAIT: Duration = Duration::from_secs(5);
/// The longest wait believed.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// How to reach a directory.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the service starts, such as `https://idp.example.org/scim/v2`. Plain http only on loopback.
    pub base: String,
    /// Bearer token (RFC 6750).
    pub token: Secret,
    /// Longest time for one call, from asking to the last byte.
    pub timeout: Duration,
    /// Most calls at the same time.
    pub concurrency: usize,
    /// Largest answer, in bytes.
    pub max_answer: usize,
    /// PEM certificates to trust besides the public ones, for a directory behind a private authority.
    pub extra_roots: Option<String>,
}

impl Settings {
    /// Usual limits (10 s, 32 calls at once, 32 MiB) for a service at `base`.
    pub fn new(base: &str, token: &str) -> Self {
        Self { base: base.to_owned(), token: Secret::new(token), timeout: Duration::from_secs(10), concurrency: 32, max_answer: 32 << 20, extra_roots: None }
    }
}

/// An answer, whatever its status.
#[derive(Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// What `Retry-After` asks for (RFC 9110 §10.2.3, seconds or a date), never more than an hour.
    pub retry_after: Option<Duration>,
    /// `ETag`, verbatim.
    pub etag: Option<String>,
    /// The body, verbatim.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as JSON; `None` for an empty body or anything else, such as an HTML error page.
    pub fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }

    /// The wait a "too busy" answer asks for; a few seconds where it does not say.
    pub fn wait(&self) -> Duration {
        self.retry_after.unwrap_or(UNSTATED_WAIT)
    }
}

/// Why there is no answer. `Display` is a clause for people, without addresses or secrets.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The call never left: the other side knows nothing of it.
    #[error("{0}")]
    NotSent(String),
    /// The call left and no full answer came: it may have been carried out, now or later.
    #[error("{0}")]
    Lost(String),
}

/// The client. Cloning shares connections and the limit on calls at once.
#[derive(Clone)]
pub struct Http {
    client: reqwest::Client,
    base: Arc<str>,
    authorization: HeaderValue,
    slots: Arc<Semaphore>,
    timeout: Duration,
    max_answer: usize,
    clock: Clock,
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http").field("base", &self.base).finish_non_exhaustive()
    }
}

impl Http {
    /// A client for one service.
    ///
    /// # Errors
    /// A sentence on the setting that is wrong: not an http(s) URL, plain http beyond loopback, an unusable token or
    /// certificate.
    pub fn new(settings: &Settings, clock: Clock) -> Result<Self, String> {
        let base = Url::parse(&settings.base).map_err(|e| format!("The directory's address {:?} is not a URL: {e}.", settings.base))?;
        let loopback = is_loopback(&base);
        match base.scheme() {
            "https" => {}
            "http" if loopback => {}
            _ => return Err(format!("The directory's address {:?} must start with https://.", settings.base)),
        }
        if !base.username().is_empty() || base.password().is_some() || base.query().is_some() {
            return Err("The directory's address must not hold a password or a query.".into());
        }
        let mut authorization = HeaderValue::from_str(&format!("Bearer {}", settings.token.reveal()))
            .map_err(|_| "The directory's token holds characters that no token has.".to_owned())?;
        authorization.set_sensitive(true);
        let mut builder = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(settings.timeout.min(Duration::from_secs(5)))
            .pool_max_idle_per_host(settings.concurrency)
            .pool_idle_timeout(Duration::from_secs(30))
            .tcp_nodelay(true)
            .user_agent(concat!("countersign/", env!("CARGO_PKG_VERSION")));
        if loopback {
            builder = builder.no_proxy();
        }
        if let Some(pem) = &settings.extra_roots {
            for root in reqwest::Certificate::from_pem_bundle(pem.as_bytes()).map_err(|_| "The directory's certificates are not PEM.".to_owned())? {
                builder = builder.add_root_certificate(root);
            }
        }
        let client = builder.build().map_err(|e| format!("No HTTP client can be made: {e}."))?;
        Ok(Self {
            client,
            base: settings.base.trim_end_matches('/').into(),
            authorization,
            slots: Arc::new(Semaphore::new(settings.concurrency.max(1))),
            timeout: settings.timeout,
            max_answer: settings.max_answer,
            clock,
        })
    }

    /// One call to `path_and_query`, which starts with `/` and is percent-encoded already (see [`encoded`]).
    ///
    /// # Errors
    /// [`Failure`] when there is no whole answer. Every status, 500 included, is an answer.
    pub async fn send(&self, method: Method, path_and_query: &str, body: Option<&Value>, if_match: Option<&str>) -> Result<Answer, Failure> {
        let slot = tokio::time::timeout(self.timeout, self.slots.acquire());
        let Ok(Ok(_slot)) = slot.await else {
            return Err(Failure::NotSent("too many calls are waiting for it".into()));
        };
        let mut request = self
            .client
            .request(method, format!("{}{path_and_query}", self.base))
            .timeout(self.timeout)
            .header(header::AUTHORIZATION, self.authorization.clone())
            .header(header::ACCEPT, "application/scim+json, application/json");
        if let Some(version) = if_match {
            request = request.header(header::IF_MATCH, version);
        }
        if let Some(body) = body {
            request = request.header(header::CONTENT_TYPE, "application/scim+json").body(body.to_string());
        }
        let mut response = request.send().await.map_err(|e| self.failure(&e))?;
        let mut answer = Answer {
            status: response.status().as_u16(),
            retry_after: self.retry_after(response.headers()),
            etag: response.headers().get(header::ETAG).and_then(|v| v.to_str().ok()).map(str::to_owned),
            body: Vec::new(),
        };
        while let Some(chunk) = response.chunk().await.map_err(|e| self.failure(&e))? {
            if answer.body.len() + chunk.len() > self.max_answer {
                return Err(Failure::Lost(format!("its answer is larger than {} bytes", self.max_answer)));
            }
            answer.body.extend_from_slice(&chunk);
        }
        Ok(answer)
    }

    fn failure(&self, error: &reqwest::Error) -> Failure {
        // reqwest's own text holds the URL, and with it ids and search values: say it in our words.
        if error.is_builder() {
            Failure::NotSent("the call could not be put together".into())
        } else if error.is_connect() {
            Failure::NotSent("no connection".into())
        } else if error.is_timeout() {
            Failure::Lost(format!("no answer within {} s", self.timeout.as_secs_f32()))
        } else {
            Failure::Lost("the connection broke".into())
        }
    }

    /// Reads `Retry-After`; a date is measured against the server's own `Date`, so that its clock may be wrong.
    fn retry_after(&self, headers: &HeaderMap) -> Option<Duration> {
        let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
        if let Ok(seconds) = text.parse::<u64>() {
            return Some(Duration::from_secs(seconds).min(LONGEST_WAIT));
        }
        let until = DateTime::parse_from_rfc2822(text).ok()?;
        let now = headers
            .get(header::DATE)
            .and_then(|v| v.to_str().ok())
            .and_then(|v| DateTime::parse_from_rfc2822(v).ok())
            .unwrap_or_else(|| self.clock.now().fixed_offset());
        Some((until - now).to_std().unwrap_or(Duration::ZERO).min(LONGEST_WAIT))
    }
}

/// Whether the URL's host can only be this machine.
pub fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Percent-encodes everything but unreserved characters (RFC 3986 §2.3), so that a value cannot leave its place in a
/// path or query.
pub fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn http() -> Http {
        Http::new(&Settings::new("http://127.0.0.1:9", "t"), Clock::system()).unwrap()
    }

    fn headers(pairs: &[(header::HeaderName, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn retry_after_is_read_as_seconds_or_as_a_date_by_the_servers_clock() {
        let read = |pairs: &[_]| http().retry_after(&headers(pairs));
        assert_eq!(read(&[(header::RETRY_AFTER, "7")]), Some(Duration::from_secs(7)));
        assert_eq!(read(&[(header::RETRY_AFTER, "99999999")]), Some(LONGEST_WAIT));
        let date = (header::DATE, "Wed, 21 Oct 2015 07:28:00 GMT");
        let later = (header::RETRY_AFTER, "Wed, 21 Oct 2015 07:28:30 GMT");
        assert_eq!(read(&[date, later]), Some(Duration::from_secs(30)));
        assert_eq!(read(&[(header::RETRY_AFTER, "Wed, 21 Oct 2015 07:28:30 GMT")]), Some(Duration::ZERO));
        assert_eq!(read(&[(header::RETRY_AFTER, "soon")]), None);
        assert_eq!(read(&[]), None);
    }

    #[test]
    fn a_token_only_goes_out_encrypted_or_to_this_machine() {
        let to = |base: &str| Http::new(&Settings::new(base, "t"), Clock::system()).map(|_| ());
        assert!(to("https://idp.example.org/scim/v2").is_ok());
        assert!(to("http://127.0.0.1:8081/scim/v2").is_ok());
        assert!(to("http://[::1]:8081/scim/v2").is_ok());
        assert!(to("http://idp.example.org/scim/v2").is_err());
        assert!(to("http://127.0.0.1.example.org/").is_err());
        assert!(to("ftp://localhost/").is_err());
        assert!(to("https://user:pw@idp.example.org/").is_err());
        assert!(to("").is_err());
    }

    #[test]
    fn secrets_do_not_show() {
        let settings = Settings::new("https://idp.example.org", "top-secret\n");
        let client = Http::new(&settings, Clock::system()).unwrap();
        assert!(!format!("{settings:?} {client:?} {:?}", client.authorization).contains("top-secret"));
        assert_eq!(client.authorization.to_str().unwrap(), "Bearer top-secret");
    }

    #[test]
    fn encoding_keeps_a_value_in_its_place() {
        assert_eq!(encoded("a/../b?x=1&y #\"é"), "a%2F..%2Fb%3Fx%3D1%26y%20%23%22%C3%A9");
    }

    #[tokio::test]
    async fn a_dead_port_is_not_sent() {
        let answer = http().send(Method::GET, "/Users", None, None).await;
        assert_eq!(answer.unwrap_err(), Failure::NotSent("no connection".into()));
    }
}
