//! Posts a signed file to where the settings allow.
//!
//! The signature is the one that calls to us may carry, `X-Countersign-Signature: t=SECONDS,v1=HEX`: HMAC-SHA256 of `SECONDS.BODY`.

use std::net::IpAddr;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use futures_util::stream;
use reqwest::{Body, Url, header};
use ring::hmac;

use crate::domain::secret::Secret;

use super::spool::{Receipt, Spooled};

/// Longest time until there is a connection.
const CONNECT: Duration = Duration::from_secs(10);
/// Longest time without a byte.
const SILENCE: Duration = Duration::from_secs(60);
/// Longest time for one file.
const LONGEST: Duration = Duration::from_secs(3600);

/// Whom files may be posted to, and how they are signed.
#[derive(Clone, Debug)]
pub struct Uploads {
    client: reqwest::Client,
    hosts: Vec<String>,
    secret: Secret,
    /// The largest file, in bytes.
    pub most: u64,
}

/// What is posted.
#[derive(Clone, Debug)]
pub struct Parcel<'a> {
    /// As what.
    pub name: &'a str,
    /// Its media type.
    pub media: &'a str,
    /// The same for every try: who has seen it needs it no more.
    pub id: String,
    /// When it is signed, in seconds since 1970.
    pub at: i64,
}

impl Uploads {
    /// Posts to `hosts` alone, each `HOST` or `HOST:PORT`.
    ///
    /// # Errors
    /// A sentence on what is wrong.
    pub fn new(hosts: &[String], secret: Secret, most: u64) -> Result<Self, String> {
        let builder = reqwest::Client::builder()
            // A redirect would carry the file elsewhere.
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT)
            .read_timeout(SILENCE)
            .timeout(LONGEST)
            .user_agent(concat!("countersign/", env!("CARGO_PKG_VERSION")));
        let client = builder.build().map_err(|error| format!("No HTTP client can be made: {error}."))?;
        Ok(Self { client, hosts: hosts.iter().map(|host| host.to_ascii_lowercase()).collect(), secret, most })
    }

    /// The hosts, as the settings have them.
    pub fn hosts(&self) -> &[String] {
        &self.hosts
    }

    /// The address in `text`, if files may be posted there.
    ///
    /// # Errors
    /// A sentence on what is wrong with it.
    pub fn allowed(&self, text: &str) -> Result<Url, String> {
        let url = Url::parse(text).map_err(|_| "Must be an address such as https://audit.example.com/evidence.".to_owned())?;
        if text.contains('\\') {
            return Err("Must have no \\ in it: not everybody reads that alike.".into());
        }
        let host = url.host_str().unwrap_or_default();
        let bare = host.trim_matches(['[', ']']);
        let loopback = bare == "localhost" || bare.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
        if !(url.scheme() == "https" || url.scheme() == "http" && loopback) {
            return Err("Must begin with https://.".into());
        }
        if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
            return Err("Must have no user, password, ? or # in it: it is shown and kept.".into());
        }
        let port = url.port_or_known_default().unwrap_or_default();
        let is_ours = |allowed: &String| *allowed == format!("{host}:{port}") || url.scheme() == "https" && port == 443 && allowed == host;
        if !self.hosts.iter().any(is_ours) {
            return Err(format!("The host {host} is not among schedules.webhook_hosts of the settings; an operator can add it there."));
        }
        Ok(url)
    }

    /// Posts a file. Only 2xx is taken for received; the answer's body is not read.
    ///
    /// # Errors
    /// What went wrong, as a clause without the secret.
    pub async fn post(&self, url: Url, parcel: &Parcel<'_>, mut file: Spooled, receipt: &Receipt) -> Result<(), String> {
        let mut mac = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, self.secret.reveal().as_bytes()));
        mac.update(format!("{}.", parcel.at).as_bytes());
        file.rewind().await?;
        while let Some(piece) = file.next().await.map_err(|error| format!("a file for a moment cannot be read: {error}"))? {
            mac.update(&piece);
        }
        file.rewind().await?;
        let hex: String = mac.sign().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        let digest: Vec<u8> = (0..32).filter_map(|at| u8::from_str_radix(receipt.sha256.get(2 * at..2 * at + 2)?, 16).ok()).collect();
        let body =
            Body::wrap_stream(stream::try_unfold(file, |mut file| async move { Ok::<_, std::io::Error>(file.next().await?.map(|piece| (piece, file))) }));
        let request = self
            .client
            .post(url)
            .header(header::CONTENT_TYPE, parcel.media)
            .header(header::CONTENT_LENGTH, receipt.bytes)
            .header(header::CONTENT_DISPOSITION, format!("attachment; filename=\"{}\"", parcel.name))
            // RFC 9530
            .header("content-digest", format!("sha-256=:{}:", BASE64_STANDARD.encode(digest)))
            .header("idempotency-key", &parcel.id)
            .header("x-countersign-signature", format!("t={},v1={hex}", parcel.at))
            .body(body);
        match request.send().await {
            Ok(answer) if answer.status().is_success() => Ok(()),
            Ok(answer) => Err(format!("it answered with status {}", answer.status().as_u16())),
            Err(error) if error.is_connect() => Err("no connection".into()),
            Err(error) if error.is_timeout() => Err("no answer in time".into()),
            Err(_) => Err("the call broke off".into()),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn only_hosts_of_the_list_are_posted_to() {
        let hosts = ["audit.example.com", "other.example.com:8443", "127.0.0.1:9000", "[::1]:9000"].map(String::from);
        let uploads = Uploads::new(&hosts, Secret::new("x"), 10).unwrap();
        for good in [
            "https://audit.example.com/x",
            "https://AUDIT.example.com:443/",
            "https://other.example.com:8443/a/b",
            "http://127.0.0.1:9000/",
            "http://[::1]:9000/",
        ] {
            assert!(uploads.allowed(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "x",
            "audit.example.com",
            "http://audit.example.com/",
            "https://audit.example.com:8443/",
            "https://other.example.com/",
            "https://evil.example.com/",
            "https://audit.example.com.evil.com/",
            "https://audit.example.com@evil.com/",
            "https://evil.com/audit.example.com",
            "https://u:p@audit.example.com/",
            "https://audit.example.com/?to=x",
            "https://audit.example.com/#x",
            "ftp://audit.example.com/",
            "file:///etc/passwd",
            "http://127.0.0.1/",
            "http://127.0.0.1:9001/",
            "http://localhost:9000/",
            "http://127.1:9001/",
            "https://audit.example.com\\@evil.com/x",
            "https://xn--audit.example.com/",
            "javascript:alert(1)",
            "https://[::ffff:127.0.0.1]:9000/",
            "http://0x7f000001:9002/",
        ] {
            assert!(uploads.allowed(bad).is_err(), "{bad}");
        }
    }
}
