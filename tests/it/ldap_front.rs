//! Stands before an LDAP server and misbehaves as told.
//!
//! Plain towards the connector, on loopback; encrypted towards the server where that wants it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use countersign::directory::ldap_ber::{self as ber, ENUMERATED, Reader, SEQUENCE};
use countersign::directory::ldap_link::trust;
use countersign::directory::ldap_message::message;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::conformance::{Fault, On};

/// The front.
#[derive(Clone)]
pub struct LdapFront {
    /// Where it answers.
    pub url: String,
    inner: Arc<Inner>,
}

struct Inner {
    faults: Mutex<VecDeque<Fault>>,
    expired: AtomicBool,
}

const BIND: u8 = 0x60;
const SEARCH: u8 = 0x63;
const MODIFY: u8 = 0x66;
const COMPARE: u8 = 0x6e;

impl LdapFront {
    /// Before the server at this port of loopback, with ldaps when its authority is given.
    pub async fn start(port: u16, ca: Option<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ldap://{}", listener.local_addr().unwrap());
        let inner = Arc::new(Inner { faults: Mutex::default(), expired: AtomicBool::new(false) });
        let shared = Arc::clone(&inner);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (inner, ca) = (Arc::clone(&shared), ca.clone());
                tokio::spawn(async move {
                    let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await else { return };
                    _ = server.set_nodelay(true);
                    _ = client.set_nodelay(true);
                    match ca {
                        None => inner.between(client, server).await,
                        Some(ca) => {
                            let name = rustls_pki_types::ServerName::try_from("localhost").unwrap();
                            let server = trust(Some(&ca)).unwrap().connect(name, server).await.unwrap();
                            inner.between(client, server).await;
                        }
                    }
                });
            }
        });
        Self { url, inner }
    }

    /// Lets something go wrong.
    pub fn suffer(&self, fault: Fault) {
        match fault {
            Fault::Expired => self.inner.expired.store(true, Ordering::SeqCst),
            other => self.inner.faults.lock().unwrap().push_back(other),
        }
    }

    /// Whether every fault was met.
    pub fn is_calm(&self) -> bool {
        self.inner.faults.lock().unwrap().is_empty()
    }
}

impl Inner {
    async fn between(&self, client: TcpStream, server: impl AsyncRead + AsyncWrite) {
        let (mut asks, mut hears) = client.into_split();
        let (mut told, mut tells) = tokio::io::split(server);
        // One question at a time, as the connector does.
        while let Some(question) = read(&mut asks).await {
            let mut inside = Reader::new(&question).enter(SEQUENCE).unwrap();
            let (id, tag) = (inside.number(ber::INTEGER).unwrap(), inside.peek().unwrap());
            let answer = match tag {
                BIND => 0x61,
                SEARCH => 0x65,
                MODIFY => 0x67,
                COMPARE => 0x6f,
                _ => return,
            };
            let refuse = |code: u32| message(id, &ber::element(answer, &[ber::number(ENUMERATED, code), ber::octets(""), ber::octets("")].concat()), &[]);
            if self.expired.load(Ordering::SeqCst) {
                // What a server says whose account was switched off meanwhile.
                if hears.write_all(&refuse(if tag == BIND { 49 } else { 50 })).await.is_err() {
                    return;
                }
                continue;
            }
            match self.fault(tag) {
                Some(Fault::Busy(..)) => _ = hears.write_all(&refuse(51)).await,
                Some(Fault::Broken(_)) => _ = hears.write_all(&refuse(80)).await,
                silent => {
                    if tells.write_all(&question).await.is_err() {
                        return;
                    }
                    loop {
                        let Some(reply) = read(&mut told).await else { return };
                        let mut inside = Reader::new(&reply).enter(SEQUENCE).unwrap();
                        inside.number(ber::INTEGER).unwrap();
                        let is_last = inside.peek() == Some(answer);
                        if silent.is_none() && hears.write_all(&reply).await.is_err() {
                            return;
                        }
                        if is_last {
                            break;
                        }
                    }
                }
            }
        }
    }

    /// The fault that this question meets.
    fn fault(&self, tag: u8) -> Option<Fault> {
        let kind = match tag {
            MODIFY => On::Change,
            SEARCH | COMPARE => On::Question,
            _ => return None,
        };
        let mut faults = self.faults.lock().unwrap();
        let meets = match faults.front()? {
            Fault::Busy(on, _) | Fault::Broken(on) => *on == kind,
            Fault::DoneButSilent => kind == On::Change,
            Fault::Expired | Fault::Elsewhere => false,
        };
        if meets { faults.pop_front() } else { None }
    }
}

async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Option<Vec<u8>> {
    let mut bytes = vec![0; 2];
    stream.read_exact(&mut bytes).await.ok()?;
    let (_, head, length) = loop {
        if let Some(header) = ber::header(&bytes).ok()? {
            break header;
        }
        bytes.push(stream.read_u8().await.ok()?);
    };
    bytes.resize(head + length, 0);
    stream.read_exact(&mut bytes[head..]).await.ok()?;
    Some(bytes)
}
