//! One careful HTTP client for every directory.
//!
//! Time-outs on everything, no redirects (a redirect would carry the token elsewhere), next pages only from the same
//! origin, answers of limited size, a limited number of calls at once, and a plain statement of whether a failed call
//! may have reached the other side.

use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::header::{self, HeaderMap, HeaderValue};
use reqwest::{Method, Url};
use serde_json::Value;
use tokio::sync::Semaphore;

use crate::clock::Clock;
use crate::directory::pace::{self, Pace, Told, TooLong};
use crate::directory::token::{Credentials, TokenSource};
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
    /// How calls say who we are.
    pub credentials: Credentials,
    /// What bodies are: `application/json`, or `application/scim+json` (RFC 7644 §8.1). JSON is always accepted too.
    pub media: &'static str,
    /// Longest time for one call, from asking to the last byte.
    pub timeout: Duration,
    /// Most calls at the same time.
    pub concurrency: usize,
    /// Most calls a minute, evenly apart and of all replicas together, for a service that does not say its limit; `None`: no such limit.
    pub per_minute: Option<u32>,
    /// Largest answer, in bytes.
    pub max_answer: usize,
    /// PEM certificates to trust besides the public ones, for a directory behind a private authority.
    pub extra_roots: Option<String>,
}

impl Settings {
    /// Usual limits (10 s, 32 calls at once, 32 MiB) for a SCIM service at `base` with a bearer token (RFC 6750).
    pub fn new(base: &str, token: &str) -> Self {
        Self { media: "application/scim+json", ..Self::with(base, Credentials::Bearer(Secret::new(token))) }
    }

    /// Usual limits for a JSON service at `base`.
    pub fn with(base: &str, credentials: Credentials) -> Self {
        let media = "application/json";
        Self {
            base: base.to_owned(),
            credentials,
            media,
            timeout: Duration::from_secs(10),
            concurrency: 32,
            per_minute: None,
            max_answer: 32 << 20,
            extra_roots: None,
        }
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
    /// `Link` targets with `rel="next"` (RFC 8288), verbatim.
    pub next: Option<String>,
    /// Calls left before the service's limit, where it says (`X-Rate-Limit-Remaining`).
    pub remaining: Option<u64>,
    /// The body, verbatim.
    pub body: Vec<u8>,
    /// The server's own clock (`Date`), where it tells.
    pub date: Option<DateTime<Utc>>,
}

impl Answer {
    /// The body as JSON; `None` for an empty body or anything else, such as an HTML error page.
    pub fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }

    /// What a service would say that has said that it has nothing left for so long.
    fn nothing_left(wait: Duration) -> Self {
        Self { status: 429, retry_after: Some(wait), etag: None, next: None, remaining: Some(0), body: Vec::new(), date: None }
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

/// One call.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// GET, POST, ...
    pub method: &'a Method,
    /// A path with query below the base, beginning with `/` and percent-encoded already (see [`encoded`]); or a whole address,
    /// such as a next page's, which must be of the base's origin.
    pub to: &'a str,
    /// The body.
    pub body: Option<&'a Value>,
    /// Further headers.
    pub headers: &'a [(&'static str, &'a str)],
}

/// What a service said of its limit when it was last called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Headroom {
    /// Calls allowed within the service's window.
    pub limit: u64,
    /// Of them left.
    pub remaining: u64,
    /// When it said so.
    pub at: DateTime<Utc>,
}

/// The client. Cloning shares connections, tokens, and the limits on calls at once and in a row.
#[derive(Clone)]
pub struct Http {
    client: reqwest::Client,
    base: Arc<str>,
    origin: reqwest::Url,
    media: &'static str,
    authorization: TokenSource,
    slots: Arc<Semaphore>,
    pace: Pace,
    timeout: Duration,
    max_answer: usize,
    headroom: Arc<Mutex<Option<Headroom>>>,
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
            let roots = reqwest::Certificate::from_pem_bundle(pem.as_bytes()).unwrap_or_default();
            // A file without any would be a silent nothing.
            if roots.is_empty() {
                return Err("The directory's certificates are not PEM.".into());
            }
            for root in roots {
                builder = builder.add_root_certificate(root);
            }
        }
        let client = builder.build().map_err(|e| format!("No HTTP client can be made: {e}."))?;
        let authorization = TokenSource::new(settings.credentials.clone(), client.clone(), settings.timeout, clock.clone())?;
        Ok(Self {
            client,
            base: settings.base.trim_end_matches('/').into(),
            origin: base,
            media: settings.media,
            authorization,
            slots: Arc::new(Semaphore::new(settings.concurrency.max(1))),
            pace: Pace::new(settings.per_minute),
            timeout: settings.timeout,
            max_answer: settings.max_answer,
            headroom: Arc::new(Mutex::new(None)),
            clock,
        })
    }

    /// What the service last said of its limit; none where it says nothing.
    pub fn headroom(&self) -> Option<Headroom> {
        *self.headroom.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// The turns in which it is called.
    pub fn pace(&self) -> &Pace {
        &self.pace
    }

    /// One call to `path_and_query`, which starts with `/` and is percent-encoded already (see [`encoded`]).
    ///
    /// # Errors
    /// [`Failure`] when there is no whole answer. Every status, 500 included, is an answer.
    pub async fn send(&self, method: Method, path_and_query: &str, body: Option<&Value>, if_match: Option<&str>) -> Result<Answer, Failure> {
        let if_match = if_match.map(|version| ("if-match", version));
        self.call(Call { method: &method, to: path_and_query, body, headers: if_match.as_slice() }).await
    }

    /// One call. A token that the service no longer takes (401) is asked for anew and the call made once more: what was refused was
    /// not carried out.
    ///
    /// # Errors
    /// As [`Http::send`]; [`Failure::NotSent`] also when no token can be had or too many wait for their turn, and for an address of
    /// another origin, which would be shown the token. When the service has said that nothing is left for longer than a call may wait,
    /// it is not asked, and the answer is what it would say: 429.
    pub async fn call(&self, call: Call<'_>) -> Result<Answer, Failure> {
        let address = if call.to.starts_with('/') { format!("{}{}", self.base, call.to) } else { self.same_origin(call.to)? };
        let place = pace::place(call.method.as_str(), &address);
        // Before the slot: who waits for a turn keeps nobody from calling.
        match self.pace.turn(&place, pace::patience(self.timeout)) {
            Ok(turn) => tokio::time::sleep_until(turn).await,
            Err(TooLong::Queue) => return Err(Failure::NotSent("as many calls a minute as it is allowed are waiting".into())),
            Err(TooLong::Spent(wait)) if wait <= LONGEST_WAIT => return Ok(Answer::nothing_left(wait)),
            Err(TooLong::Spent(_)) => return Err(Failure::NotSent("it has no calls left for more than an hour".into())),
            Err(TooLong::Kept) => return Err(Failure::NotSent("the calls that it has left are kept for what cannot wait".into())),
        }
        let slot = tokio::time::timeout(self.timeout, self.slots.acquire());
        let Ok(Ok(_slot)) = slot.await else {
            return Err(Failure::NotSent("too many calls are waiting for it".into()));
        };
        let authorization = self.authorization.now().await.map_err(Failure::NotSent)?;
        let answer = self.exchange(call, (&address, &place), authorization.clone()).await?;
        if answer.status == 401 && self.authorization.forget(&authorization).await {
            let authorization = self.authorization.now().await.map_err(Failure::NotSent)?;
            return self.exchange(call, (&address, &place), authorization).await;
        }
        Ok(answer)
    }

    fn same_origin(&self, address: &str) -> Result<String, Failure> {
        match self.origin.join(address) {
            Ok(url) if url.origin() == self.origin.origin() && url.username().is_empty() && url.password().is_none() => Ok(url.into()),
            _ => Err(Failure::NotSent("the next page lies at another address, which is not to see our token".into())),
        }
    }

    async fn exchange(&self, call: Call<'_>, (address, place): (&str, &str), authorization: Option<HeaderValue>) -> Result<Answer, Failure> {
        let accept = if self.media == "application/json" { self.media.to_owned() } else { format!("{}, application/json", self.media) };
        let mut request = self.client.request(call.method.clone(), address).timeout(self.timeout).header(header::ACCEPT, accept);
        if let Some(authorization) = authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        for (name, value) in call.headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = call.body {
            request = request.header(header::CONTENT_TYPE, self.media).body(body.to_string());
        }
        let mut response = request.send().await.map_err(|e| self.failure(&e))?;
        let headers = response.headers();
        let number = |names: [&str; 2]| names.iter().find_map(|name| headers.get(*name)?.to_str().ok()?.trim().parse::<u64>().ok());
        let limit = number(["x-rate-limit-limit", "x-ratelimit-limit"]);
        let mut answer = Answer {
            status: response.status().as_u16(),
            retry_after: self.retry_after(headers),
            etag: headers.get(header::ETAG).and_then(|v| v.to_str().ok()).map(str::to_owned),
            next: next_link(headers),
            remaining: number(["x-rate-limit-remaining", "x-ratelimit-remaining"]),
            body: Vec::new(),
            date: headers.get(header::DATE).and_then(|v| DateTime::parse_from_rfc2822(v.to_str().ok()?).ok()).map(|date| date.to_utc()),
        };
        if let (Some(limit), Some(remaining)) = (limit, answer.remaining) {
            *self.headroom.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(Headroom { limit, remaining, at: self.clock.now() });
            // A refusal is heeded by whoever called; it says by itself how long.
            if answer.status != 429
                && let Some((reset, ends_in)) = self.reset(headers)
            {
                self.pace.told(place, Told { limit, remaining, reset, ends_in });
            }
        }
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

    /// How long to wait: `Retry-After`, else the moment at which the limit is reset (`X-Rate-Limit-Reset`, epoch seconds) when no call
    /// is left. Moments are measured against the server's own `Date`, so that its clock may be wrong. A limit of 0 is one on calls at
    /// once: its reset is a guess, and no wait comes of it.
    fn retry_after(&self, headers: &HeaderMap) -> Option<Duration> {
        let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).map(str::trim);
        let now = || text("date").and_then(|v| DateTime::parse_from_rfc2822(v).ok()).unwrap_or_else(|| self.clock.now().fixed_offset());
        if let Some(stated) = text("retry-after") {
            if let Ok(seconds) = stated.parse::<u64>() {
                return Some(Duration::from_secs(seconds).min(LONGEST_WAIT));
            }
            let until = DateTime::parse_from_rfc2822(stated).ok()?;
            return Some((until - now()).to_std().unwrap_or(Duration::ZERO).min(LONGEST_WAIT));
        }
        let either = |a: &str, b: &str| text(a).or_else(|| text(b)).and_then(|v| v.parse::<i64>().ok());
        let (limit, left) = (either("x-rate-limit-limit", "x-ratelimit-limit"), either("x-rate-limit-remaining", "x-ratelimit-remaining"));
        let (_, wait) = self.reset(headers)?;
        if limit == Some(0) || left != Some(0) {
            return None;
        }
        Some(wait.min(LONGEST_WAIT))
    }

    /// When a limit is reset, as it says, and how long that is from now by its own clock.
    fn reset(&self, headers: &HeaderMap) -> Option<(i64, Duration)> {
        let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).map(str::trim);
        let reset = text("x-rate-limit-reset").or_else(|| text("x-ratelimit-reset"))?.parse::<i64>().ok()?;
        let now = text("date").and_then(|v| DateTime::parse_from_rfc2822(v).ok()).unwrap_or_else(|| self.clock.now().fixed_offset());
        Some((reset, (DateTime::from_timestamp(reset, 0)?.fixed_offset() - now).to_std().unwrap_or(Duration::ZERO)))
    }
}

/// The target of the first `Link` with `rel="next"` (RFC 8288 §3).
fn next_link(headers: &HeaderMap) -> Option<String> {
    headers.get_all(header::LINK).iter().filter_map(|value| value.to_str().ok()).find_map(|value| {
        // A target holds no '<' or '>'; what lies between two targets are parameters.
        value.split('<').skip(1).find_map(|link| {
            let (target, parameters) = link.split_once('>')?;
            let next = parameters.split(';').map(|p| p.trim().trim_end_matches(',').trim()).any(|p| {
                p.split_once('=')
                    .is_some_and(|(name, value)| name.trim().eq_ignore_ascii_case("rel") && value.trim().trim_matches('"').split(' ').any(|rel| rel == "next"))
            });
            next.then(|| target.to_owned())
        })
    })
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
    fn a_reset_of_the_limit_is_waited_for_when_no_call_is_left() {
        let read = |pairs: &[(&'static str, &'static str)]| {
            let pairs: Vec<_> = pairs.iter().map(|(name, value)| (header::HeaderName::from_static(name), *value)).collect();
            http().retry_after(&headers(&pairs))
        };
        let date = ("date", "Wed, 21 Oct 2015 07:28:00 GMT");
        let (limit, none_left, reset) = (("x-rate-limit-limit", "600"), ("x-rate-limit-remaining", "0"), ("x-rate-limit-reset", "1445412500"));
        assert_eq!(read(&[date, limit, none_left, reset]), Some(Duration::from_secs(20)));
        assert_eq!(read(&[date, limit, ("x-rate-limit-remaining", "3"), reset]), None);
        assert_eq!(read(&[date, ("x-rate-limit-limit", "0"), none_left, reset]), None, "too many at once: the reset is a guess");
    }

    #[test]
    fn the_next_page_is_found_among_links() {
        let read = |value: &'static str| next_link(&headers(&[(header::LINK, value)]));
        assert_eq!(read("<https://a/x?after=1,2>; rel=\"next\"").as_deref(), Some("https://a/x?after=1,2"));
        assert_eq!(read("<https://a/x>; rel=\"self\", <https://a/y>; title=\"t\"; rel=next").as_deref(), Some("https://a/y"));
        assert_eq!(read("<https://a/x>; rel=\"self\""), None);
        assert_eq!(read("rel=next"), None);
        assert_eq!(read(""), None);
    }

    #[test]
    fn the_next_page_is_only_followed_on_the_same_origin() {
        let http = http();
        assert!(http.same_origin("http://127.0.0.1:9/Users?after=2").is_ok());
        for elsewhere in [
            "http://127.0.0.1:10/Users",
            "https://127.0.0.1:9/Users",
            "http://evil.example.org/",
            "//evil.example.org/x",
            "http://u:p@127.0.0.1:9/",
            "javascript:1",
        ] {
            assert!(matches!(http.same_origin(elsewhere), Err(Failure::NotSent(_))), "{elsewhere}");
        }
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
