//! A small mail server that keeps what it is handed.

use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use countersign::domain::secret::Secret;
use countersign::notify::mail::{Mailer, Secrecy, Settings};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// A mail as it arrived.
#[derive(Clone, Debug, Default)]
pub struct Mail {
    pub from: String,
    pub to: Vec<String>,
    /// Who signed in, and with what; empty: nobody.
    pub login: String,
    /// Whether it came over TLS.
    pub secret: bool,
    pub text: String,
}

impl Mail {
    /// A header's value, unfolded; every one of that name.
    pub fn headers(&self, name: &str) -> Vec<String> {
        let head = self.text.split("\r\n\r\n").next().unwrap().replace("\r\n ", " ").replace("\r\n\t", " ");
        let lines = head.split("\r\n").filter_map(|line| line.split_once(": "));
        lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned()).collect()
    }

    /// The name and content of what is attached.
    pub fn attached(&self) -> Option<(String, Vec<u8>)> {
        let part = self.text.split("\r\n--").find(|part| part.to_ascii_lowercase().contains("content-disposition: attachment"))?;
        let (head, body) = part.split_once("\r\n\r\n")?;
        // A long name comes in parts, filename*0 and so on (RFC 2231).
        let disposition = head.split("Content-Disposition:").nth(1)?;
        let parts =
            disposition.split("filename").skip(1).filter_map(|part| part.split_once('=')?.1.split(['"', ';', '\r']).find(|text| !text.trim().is_empty()));
        let name: String = parts.collect();
        let coded: String = body.split_whitespace().collect();
        Some((name, BASE64_STANDARD.decode(coded).unwrap()))
    }

    /// What it says, without what is attached, line ends of quoted-printable taken out.
    pub fn says(&self) -> String {
        self.text.replace("=\r\n", "").replace("=3D", "=")
    }
}

/// The server; it ends with the test's runtime.
pub struct Smtp {
    pub port: u16,
    mails: Arc<Mutex<Vec<Mail>>>,
    /// What a recipient is answered: 250 unless told.
    pub rcpt: Arc<AtomicU16>,
    /// The certificate it shows, PEM.
    pub certificate: String,
}

#[derive(Clone)]
struct Rules {
    mails: Arc<Mutex<Vec<Mail>>>,
    rcpt: Arc<AtomicU16>,
    acceptor: TlsAcceptor,
}

impl Smtp {
    pub async fn start() -> Self {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(tokio_rustls::rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (mails, rcpt) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicU16::new(250)));
        let rules = Rules { mails: mails.clone(), rcpt: rcpt.clone(), acceptor: TlsAcceptor::from(Arc::new(config)) };
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let rules = rules.clone();
                tokio::spawn(async move {
                    let mut stream = BufReader::new(socket);
                    _ = stream.write_all(b"220 localhost ready\r\n").await;
                    if talk(&mut stream, &rules, false).await
                        && let Ok(secret) = rules.acceptor.accept(stream.into_inner()).await
                    {
                        talk(&mut BufReader::new(secret), &rules, true).await;
                    }
                });
            }
        });
        Self { port, mails, rcpt, certificate: made.cert.pem() }
    }

    /// What arrived.
    pub fn mails(&self) -> Vec<Mail> {
        self.mails.lock().unwrap().clone()
    }

    /// Settings that reach it.
    pub fn settings(&self, secrecy: Secrecy) -> Settings {
        Settings {
            host: "localhost".into(),
            port: Some(self.port),
            secrecy,
            login: Some(("countersign".into(), Secret::new("pass word"))),
            from: "countersign@example.com".into(),
            extra_roots: Some(self.certificate.clone()),
        }
    }

    /// A mailer that reaches it in the clear.
    pub fn mailer(&self) -> Mailer {
        Mailer::new(&self.settings(Secrecy::None)).unwrap()
    }
}

/// Talks until the end; true when it goes over to TLS.
async fn talk<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut BufReader<S>, rules: &Rules, secret: bool) -> bool {
    let mut mail = Mail { secret, ..Mail::default() };
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
            return false;
        }
        let upper = line.trim_end().to_ascii_uppercase();
        let reply = if upper.starts_with("EHLO") {
            let tls = if secret { "" } else { "250-STARTTLS\r\n" };
            format!("250-localhost\r\n{tls}250-8BITMIME\r\n250 AUTH PLAIN\r\n")
        } else if upper == "STARTTLS" {
            _ = stream.write_all(b"220 go on\r\n").await;
            return true;
        } else if upper.starts_with("AUTH PLAIN ") {
            let said = BASE64_STANDARD.decode(line.trim_end().split(' ').nth(2).unwrap()).unwrap();
            mail.login = String::from_utf8(said).unwrap().replace('\0', "|");
            "235 welcome\r\n".into()
        } else if upper.starts_with("MAIL FROM:") {
            mail.from = line.trim_end()["MAIL FROM:".len()..].to_owned();
            "250 ok\r\n".into()
        } else if upper.starts_with("RCPT TO:") {
            mail.to.push(line.trim_end()["RCPT TO:".len()..].to_owned());
            match rules.rcpt.load(Ordering::SeqCst) {
                250 => "250 ok\r\n".into(),
                code => format!("{code} no such mailbox here\r\n"),
            }
        } else if upper == "DATA" {
            _ = stream.write_all(b"354 go on\r\n").await;
            let mut text = String::new();
            while !text.ends_with("\r\n.\r\n") {
                let mut line = String::new();
                if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
                    return false;
                }
                text.push_str(if line.starts_with("..") { &line[1..] } else { &line });
            }
            mail.text = text;
            rules.mails.lock().unwrap().push(mail.clone());
            mail = Mail { secret, login: mail.login, ..Mail::default() };
            "250 kept\r\n".into()
        } else if upper == "QUIT" {
            _ = stream.write_all(b"221 bye\r\n").await;
            return false;
        } else {
            "250 ok\r\n".into()
        };
        if stream.write_all(reply.as_bytes()).await.is_err() {
            return false;
        }
    }
}
