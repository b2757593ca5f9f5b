//! Sends a mail by SMTP, with a file in it.

use std::time::Duration;

use lettre::message::header::{ContentTransferEncoding, ContentType};
use lettre::message::{Attachment, Body, Mailbox, MultiPart, SinglePart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{Address, AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};

use crate::domain::secret::Secret;

/// Longest time for one answer of the server.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Longest time for one mail.
const LONGEST: Duration = Duration::from_secs(600);

/// How the connection to the server is kept secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secrecy {
    /// It begins in the clear and must go over to TLS before anything is said.
    StartTls,
    /// TLS from the first byte.
    Tls,
    /// Not at all: for this machine only.
    None,
}

/// The mail server, and who we are there.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Its host.
    pub host: String,
    /// Its port; none: the usual one.
    pub port: Option<u16>,
    /// How the connection is kept secret.
    pub secrecy: Secrecy,
    /// User and password.
    pub login: Option<(String, Secret)>,
    /// The address that mails come from.
    pub from: String,
    /// PEM certificates to trust besides the public ones.
    pub extra_roots: Option<String>,
}

/// Sends mails.
#[derive(Clone, Debug)]
pub struct Mailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Address,
}

/// A mail.
#[derive(Clone, Debug)]
pub struct Letter<'a> {
    /// To whom; each an address without a name.
    pub to: &'a [String],
    /// What it is about: one line.
    pub subject: &'a str,
    /// What it says.
    pub text: String,
    /// The same for every try, so that a mailbox can tell.
    pub id: String,
    /// A file: its name, media type, and content.
    pub file: Option<(&'a str, &'a str, Vec<u8>)>,
}

impl Mailer {
    /// Sends by this server.
    ///
    /// # Errors
    /// A sentence on what is wrong.
    pub fn new(settings: &Settings) -> Result<Self, String> {
        let from: Address = settings.from.parse().map_err(|_| format!("{:?} is no mail address.", settings.from))?;
        let parameters = || {
            let mut builder = TlsParameters::builder(settings.host.clone());
            for block in settings.extra_roots.as_deref().into_iter().flat_map(certificates) {
                let certificate = Certificate::from_pem(block.as_bytes()).map_err(|_| "A certificate cannot be read.".to_owned())?;
                builder = builder.add_root_certificate(certificate);
            }
            builder.build().map_err(|error| format!("TLS cannot be set up: {error}."))
        };
        let (tls, usual) = match settings.secrecy {
            Secrecy::StartTls => (Tls::Required(parameters()?), 587),
            Secrecy::Tls => (Tls::Wrapper(parameters()?), 465),
            Secrecy::None => (Tls::None, 25),
        };
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&settings.host)
            .port(settings.port.unwrap_or(usual))
            .tls(tls)
            .timeout(Some(TIMEOUT))
            .hello_name(ClientId::Domain(from.domain().to_owned()));
        if let Some((user, password)) = &settings.login {
            builder = builder.credentials(Credentials::new(user.clone(), password.reveal().to_owned()));
        }
        Ok(Self { transport: builder.build(), from })
    }

    /// Sends a mail to all of its addresses, or to none.
    ///
    /// # Errors
    /// What went wrong, as a clause without the password.
    pub async fn send(&self, letter: Letter<'_>) -> Result<(), String> {
        let mut builder = Message::builder()
            .from(Mailbox::new(Some("Countersign".into()), self.from.clone()))
            // What a line break could end is one line.
            .subject(letter.subject.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>())
            .message_id(Some(format!("<{}@{}>", letter.id, self.from.domain())));
        for address in letter.to {
            let address: Address = address.parse().map_err(|_| format!("{address:?} is no mail address"))?;
            builder = builder.to(Mailbox::new(None, address));
        }
        let text = SinglePart::plain(letter.text);
        let message = match letter.file {
            None => builder.singlepart(text),
            Some((name, media, content)) => {
                let media = ContentType::parse(media).map_err(|error| format!("the media type cannot be written: {error}"))?;
                // Byte for byte: line ends of a text would be changed on the way.
                let body =
                    Body::new_with_encoding(content, ContentTransferEncoding::Base64).map_err(|_| "the file cannot be written into a mail".to_owned())?;
                builder.multipart(MultiPart::mixed().singlepart(text).singlepart(Attachment::new(name.to_owned()).body(body, media)))
            }
        };
        let message = message.map_err(|error| format!("the mail cannot be written: {error}"))?;
        match tokio::time::timeout(LONGEST, self.transport.send(message)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(told(&error)),
            Err(_) => Err("the mail server took too long".into()),
        }
    }
}

/// What the server said, or why nothing was heard of it; one line, not too long.
fn told(error: &lettre::transport::smtp::Error) -> String {
    let kind = match error.status() {
        Some(_) => "the mail server refused it",
        None if error.is_tls() => "no secret connection to the mail server",
        None if error.is_timeout() => "no answer from the mail server",
        None => "no mail could be handed to the mail server",
    };
    let mut said = String::new();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        said = inner.to_string();
        cause = inner.source();
    }
    if let Some(code) = error.status() {
        said = format!("{code} {said}");
    }
    let said: String = said.chars().map(|c| if c.is_control() { ' ' } else { c }).take(300).collect();
    if said.trim().is_empty() { kind.into() } else { format!("{kind}: {}", said.trim()) }
}

/// Each certificate of a text.
fn certificates(pem: &str) -> impl Iterator<Item = String> {
    const END: &str = "-----END CERTIFICATE-----";
    pem.split_inclusive(END).filter(|block| block.contains("-----BEGIN CERTIFICATE-----")).map(str::to_owned)
}
