//! One connection to an LDAP server, encrypted before the bind.
//!
//! One question at a time, each with a time limit and a limit on the size of its answer. A connection that broke off in the middle of
//! anything is never used again: what comes next on it could be the answer to something else.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::directory::facts::clean;
use crate::directory::ldap_ber::{self as ber, Bad};
use crate::directory::ldap_message::{self as message, Entry, Modify, Outcome, Reply, Search};
use crate::domain::secret::Secret;

/// How much is read at once, in bytes.
const CHUNK: usize = 16 << 10;

/// Why an operation has no outcome. `Display` is a clause for people, without addresses or secrets.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It never left.
    #[error("{0}")]
    NotSent(String),
    /// It left and no whole answer came: it may have been carried out, now or later.
    #[error("{0}")]
    Lost(String),
    /// The answer is none, or larger than allowed.
    #[error("{0}")]
    Malformed(String),
    /// The server does not take our name and password.
    #[error("{0}")]
    Auth(String),
}

impl From<Bad> for Fault {
    fn from(bad: Bad) -> Self {
        Self::Malformed(bad.to_string())
    }
}

/// When the conversation is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encryption {
    /// From the first byte (`ldaps://`).
    Always,
    /// By StartTLS, before the bind.
    StartTls,
    /// Never; only for a server on this machine.
    Never,
}

/// A server.
#[derive(Clone, Debug)]
pub struct Target {
    /// Its name, or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// When the conversation is encrypted.
    pub encryption: Encryption,
    /// Whom the certificate has to name.
    pub name: ServerName<'static>,
}

/// How to connect.
#[derive(Clone)]
pub struct Way {
    /// The servers, in the order in which they are tried; they hold the same.
    pub targets: Vec<Target>,
    /// Whose certificates are trusted.
    pub tls: TlsConnector,
    /// Who we are.
    pub bind: String,
    /// Proof of it.
    pub password: Secret,
    /// Longest time for one operation.
    pub timeout: Duration,
    /// Largest answer, in bytes.
    pub max_answer: usize,
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// A connection.
pub struct Link {
    stream: Stream,
    buffer: Vec<u8>,
    /// How much of `buffer` was read already.
    at: usize,
    last_id: u32,
    timeout: Duration,
    max_answer: usize,
    /// Nothing is half-done on it.
    fit: bool,
    used: Instant,
}

impl Link {
    /// Connects, encrypts, and binds.
    ///
    /// # Errors
    /// [`Fault::Auth`] when the server refuses us, [`Fault::NotSent`] for everything else.
    pub async fn open(way: &Way, target: &Target, address: SocketAddr) -> Result<Self, Fault> {
        let limit = way.timeout;
        let opened = tokio::time::timeout(limit, Self::opened(way, target, address)).await;
        match opened.unwrap_or_else(|_| Err(Fault::NotSent(format!("no connection within {} s", limit.as_secs_f32())))) {
            Err(Fault::Lost(why) | Fault::Malformed(why)) => Err(Fault::NotSent(why)),
            other => other,
        }
    }

    async fn opened(way: &Way, target: &Target, address: SocketAddr) -> Result<Self, Fault> {
        let tcp = TcpStream::connect(address).await.map_err(|_| Fault::NotSent("no connection".into()))?;
        _ = tcp.set_nodelay(true);
        let mut link = Self {
            stream: Stream::Plain(tcp),
            buffer: Vec::new(),
            at: 0,
            last_id: 0,
            timeout: way.timeout,
            max_answer: way.max_answer,
            fit: true,
            used: Instant::now(),
        };
        if target.encryption == Encryption::StartTls {
            let outcome = link.ask(&message::start_tls(), 0x78).await?;
            if outcome.code != 0 {
                return Err(Fault::NotSent(format!("it does not do StartTLS (result {})", outcome.code)));
            }
            // What arrived before the encryption began could have been put there by anybody.
            if link.at < link.buffer.len() {
                return Err(Fault::NotSent("somebody sent it words of their own before the encryption began".into()));
            }
        }
        if target.encryption != Encryption::Never {
            let Stream::Plain(tcp) = link.stream else { return Err(Fault::NotSent("it is encrypted twice".into())) };
            let tls = way.tls.connect(target.name.clone(), tcp).await.map_err(|error| Fault::NotSent(tls_failure(&error)))?;
            link.stream = Stream::Tls(Box::new(tls));
        }
        let outcome = link.ask(&message::bind(&way.bind, way.password.reveal()), 0x61).await?;
        match outcome.code {
            0 => Ok(link),
            51 | 52 => Err(Fault::NotSent("it is busy or shutting down".into())),
            code => Err(Fault::Auth(refused_bind(code, &outcome.message))),
        }
    }

    /// Whether it can be used for something new, as far as can be told without asking.
    pub fn is_usable(&self, idle: Duration) -> bool {
        let tcp = match &self.stream {
            Stream::Plain(tcp) => tcp,
            Stream::Tls(tls) => tls.get_ref().0,
        };
        // Bytes that wait may be a part of TLS; an end is an end.
        let closed = matches!(tcp.peek(&mut [0]).now_or_never(), Some(Ok(0) | Err(_)));
        self.fit && !closed && self.used.elapsed() < idle
    }

    /// One page of a search; the records go to `found`. Referrals are passed over.
    ///
    /// # Errors
    /// When there is no outcome.
    pub async fn search(&mut self, search: &Search<'_>, controls: &[u8], found: &mut Vec<Entry>) -> Result<Outcome, Fault> {
        self.within_time(&message::search(search), controls, 0x65, Some(found)).await
    }

    /// Asks whether a record has a value.
    ///
    /// # Errors
    /// When there is no outcome.
    pub async fn compare(&mut self, dn: &str, attribute: &str, value: &str) -> Result<Outcome, Fault> {
        self.within_time(&message::compare(dn, attribute, value), &[], 0x6f, None).await
    }

    /// Changes a record.
    ///
    /// # Errors
    /// When there is no outcome.
    pub async fn modify(&mut self, dn: &str, changes: &[Modify<'_>]) -> Result<Outcome, Fault> {
        self.within_time(&message::modify(dn, changes), &[], 0x67, None).await
    }

    async fn ask(&mut self, operation: &[u8], answer: u8) -> Result<Outcome, Fault> {
        self.within_time(operation, &[], answer, None).await
    }

    async fn within_time(&mut self, operation: &[u8], controls: &[u8], answer: u8, found: Option<&mut Vec<Entry>>) -> Result<Outcome, Fault> {
        if !self.fit {
            return Err(Fault::NotSent("the connection broke before".into()));
        }
        // Until the whole answer is here; stays so when whoever asked goes away.
        self.fit = false;
        let limit = self.timeout;
        let outcome = tokio::time::timeout(limit, self.exchange(operation, controls, answer, found)).await;
        let outcome = outcome.unwrap_or_else(|_| Err(Fault::Lost(format!("no answer within {} s", limit.as_secs_f32()))))?;
        self.fit = true;
        self.used = Instant::now();
        Ok(outcome)
    }

    async fn exchange(&mut self, operation: &[u8], controls: &[u8], answer: u8, mut found: Option<&mut Vec<Entry>>) -> Result<Outcome, Fault> {
        self.last_id = (self.last_id + 1) & 0x7fff_ffff;
        let id = self.last_id.max(1);
        self.last_id = id;
        let lost = |_| Fault::Lost("the connection broke".into());
        self.stream.send(&message::message(id, operation, controls)).await.map_err(lost)?;
        let mut size = 0;
        loop {
            let total = self.whole_message(self.max_answer.saturating_sub(size)).await?;
            let bytes = self.buffer.get(self.at..self.at + total).ok_or(Bad)?;
            let (told_id, reply) = message::read(bytes)?;
            self.at += total;
            size += total;
            if told_id == 0 {
                return Err(Fault::Lost("it ended the connection".into())); // Notice of Disconnection (RFC 4511 §4.4.1)
            }
            if told_id != id {
                return Err(Fault::Malformed("it answered a question that was not asked".into()));
            }
            match (reply, &mut found) {
                (Reply::Done(tag, outcome), _) if tag == answer => return Ok(outcome),
                (Reply::Entry(entry), Some(found)) => found.push(entry),
                (Reply::Referral, Some(_)) | (Reply::Other, _) => {}
                _ => return Err(Fault::Malformed("it answered another question than the one asked".into())),
            }
        }
    }

    /// Waits for a whole message of at most `most` bytes at `at`; its length.
    async fn whole_message(&mut self, most: usize) -> Result<usize, Fault> {
        loop {
            if let Some((tag, head, length)) = ber::header(self.buffer.get(self.at..).unwrap_or_default())? {
                if tag != ber::SEQUENCE {
                    return Err(Bad.into());
                }
                let total = head.saturating_add(length);
                if total > most {
                    return Err(Fault::Malformed(format!("its answer is larger than {} bytes", self.max_answer)));
                }
                if self.buffer.len() - self.at >= total {
                    return Ok(total);
                }
            }
            if self.at > CHUNK || self.at == self.buffer.len() {
                self.buffer.drain(..self.at);
                self.at = 0;
            }
            // Grows with what arrives, never with what is announced.
            self.buffer.reserve(CHUNK);
            match self.stream.receive(&mut self.buffer).await {
                Ok(0) | Err(_) => return Err(Fault::Lost("the connection broke".into())),
                Ok(_) => {}
            }
        }
    }
}

impl Stream {
    async fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        match self {
            Self::Plain(stream) => stream.write_all(bytes).await,
            Self::Tls(stream) => {
                stream.write_all(bytes).await?;
                stream.flush().await
            }
        }
    }

    async fn receive(&mut self, buffer: &mut Vec<u8>) -> std::io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read_buf(buffer).await,
            Self::Tls(stream) => stream.read_buf(buffer).await,
        }
    }
}

fn tls_failure(error: &std::io::Error) -> String {
    use rustls::{CertificateError as Wrong, Error};
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    match inner {
        Some(Error::InvalidCertificate(Wrong::UnknownIssuer)) => "its certificate is signed by nobody who is trusted here".into(),
        Some(Error::InvalidCertificate(Wrong::NotValidForName | Wrong::NotValidForNameContext { .. })) => {
            "its certificate does not name this server (a subjectAltName is needed)".into()
        }
        Some(Error::InvalidCertificate(Wrong::Expired | Wrong::ExpiredContext { .. })) => "its certificate has expired".into(),
        Some(Error::InvalidCertificate(_)) => "its certificate is not valid".into(),
        _ => "no encrypted connection".into(),
    }
}

/// What a refused bind means. Active Directory says more than its code does (`data 52e`), but only for people to read.
fn refused_bind(code: u32, message: &str) -> String {
    let data = message.split("data ").nth(1).map(|rest| rest.chars().take_while(char::is_ascii_alphanumeric).collect::<String>());
    let more = match data.as_deref() {
        Some("525") => "there is no such account",
        Some("532" | "773") => "its password has to be changed",
        Some("533") => "the account is switched off",
        Some("701") => "the account has expired",
        Some("775") => "the account is locked",
        _ => match code {
            8 | 13 => "it wants an encrypted connection",
            49 => "wrong name or password",
            _ => return format!("the bind failed with result {code} {}", clean(message)).trim_end().to_owned(),
        },
    };
    format!("{more} (result {code})")
}

/// Whose certificates are trusted: the public authorities and those in `extra`, PEM.
///
/// # Errors
/// A sentence on what cannot be read.
pub fn trust(extra: Option<&str>) -> Result<TlsConnector, String> {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;
    let mut roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(pem) = extra {
        let unusable = || "The directory's certificates are not PEM.".to_owned();
        let mut count = 0;
        for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
            roots.add(certificate.map_err(|_| unusable())?).map_err(|_| unusable())?;
            count += 1;
        }
        if count == 0 {
            return Err(unusable());
        }
    }
    let config = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("No TLS client can be made: {error}."))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}
