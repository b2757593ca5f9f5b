//! Posts a text to an address of the settings.

use std::net::IpAddr;
use std::time::Duration;

use reqwest::Url;
use reqwest::header;

use crate::domain::secret::Secret;

/// Longest time for one call, from asking to the answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// An address to post to. The settings have checked it: https, or http on this machine.
#[derive(Clone, Debug)]
pub struct Post {
    client: reqwest::Client,
    url: Url,
    secret: Option<Secret>,
}

impl Post {
    /// Posts to `url`, with `secret` as a bearer token (RFC 6750) where there is one.
    ///
    /// # Errors
    /// A sentence on what is wrong with the address.
    pub fn new(url: &str, secret: Option<Secret>) -> Result<Self, String> {
        let url = Url::parse(url).map_err(|error| format!("The address {url:?} is not a URL: {error}."))?;
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        let loopback = host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
        if url.scheme() != "https" && !(url.scheme() == "http" && loopback) {
            return Err("The address must start with https://.".into());
        }
        // A redirect would carry token and text elsewhere.
        let mut builder = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(TIMEOUT / 2)
            .timeout(TIMEOUT)
            .user_agent(concat!("countersign/", env!("CARGO_PKG_VERSION")));
        if loopback {
            builder = builder.no_proxy();
        }
        let client = builder.build().map_err(|error| format!("No HTTP client can be made: {error}."))?;
        Ok(Self { client, url, secret })
    }

    /// Posts `text`. Only 2xx is taken for received; the answer's body is not read.
    ///
    /// # Errors
    /// What went wrong, as a clause without address or secret.
    pub async fn send(&self, text: &str) -> Result<(), String> {
        let mut request = self.client.post(self.url.clone()).header(header::CONTENT_TYPE, "text/plain; charset=utf-8").body(text.to_owned());
        if let Some(secret) = &self.secret {
            request = request.bearer_auth(secret.reveal());
        }
        match request.send().await {
            Ok(answer) if answer.status().is_success() => Ok(()),
            Ok(answer) => Err(format!("it answered with status {}", answer.status().as_u16())),
            // reqwest's own text holds the address.
            Err(error) if error.is_connect() => Err("no connection".into()),
            Err(error) if error.is_timeout() => Err(format!("no answer within {} s", TIMEOUT.as_secs())),
            Err(_) => Err("the call broke off".into()),
        }
    }
}
