//! A cheap HTTP/1.1 client, parsing only the needful (RFC 9112).
//!
//! It shares two cores with what it measures, so it does less than a real browser and says so.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::Outcome;

/// Most bytes kept of an answer.
const KEPT: usize = 256 * 1024;

/// A connection that is kept alive.
#[derive(Debug)]
pub struct Connection {
    address: SocketAddr,
    stream: Option<TcpStream>,
    buffer: Vec<u8>,
}

/// An answer.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The head, as it came.
    pub head: String,
    /// The beginning of the body.
    pub body: Vec<u8>,
    /// Bytes of the body, all of them.
    pub length: usize,
    /// Line feeds in the body.
    pub lines: usize,
}

impl Connection {
    /// A connection to be made at the first call.
    pub fn new(address: SocketAddr) -> Self {
        Self { address, stream: None, buffer: Vec::with_capacity(64 * 1024) }
    }

    /// Sends `request` and reads the whole answer.
    pub async fn call(&mut self, request: &[u8]) -> Outcome<Answer> {
        let outcome = self.exchange(request).await;
        if outcome.is_err() {
            self.stream = None;
        }
        outcome
    }

    async fn exchange(&mut self, request: &[u8]) -> Outcome<Answer> {
        let stream = match &mut self.stream {
            Some(stream) => stream,
            none => {
                let stream = TcpStream::connect(self.address).await?;
                stream.set_nodelay(true)?;
                none.insert(stream)
            }
        };
        stream.write_all(request).await?;
        let buffer = &mut self.buffer;
        buffer.clear();
        let end = loop {
            if stream.read_buf(buffer).await? == 0 {
                return Err("the server closed the connection".into());
            }
            if let Some(at) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
        };
        let head = std::str::from_utf8(&buffer[..end])?.to_owned();
        let status: u16 = head.get(9..12).ok_or("no status")?.parse()?;
        let field = |name: &str| {
            head.lines().find_map(|line| line.split_once(':').filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_owned()))
        };
        let mut answer = Answer { status, ..Answer::default() };
        let mut rest = buffer.split_off(end);
        if field("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
            loop {
                let line = loop {
                    if let Some(at) = rest.windows(2).position(|two| two == b"\r\n") {
                        break at;
                    }
                    more(stream, &mut rest).await?;
                };
                let size = usize::from_str_radix(std::str::from_utf8(&rest[..line])?.split(';').next().unwrap_or_default().trim(), 16)?;
                while rest.len() < line + 2 + size + 2 {
                    more(stream, &mut rest).await?;
                }
                answer.take(&rest[line + 2..line + 2 + size]);
                rest.drain(..line + 2 + size + 2);
                if size == 0 {
                    break;
                }
            }
        } else {
            let length: usize = field("content-length").map_or(Ok(0), |length| length.parse())?;
            while rest.len() < length {
                more(stream, &mut rest).await?;
            }
            answer.take(&rest[..length]);
        }
        if field("connection").is_some_and(|word| word.eq_ignore_ascii_case("close")) {
            self.stream = None;
        }
        answer.head = head;
        Ok(answer)
    }
}

async fn more(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Outcome<()> {
    buffer.reserve(64 * 1024);
    if stream.read_buf(buffer).await? == 0 {
        return Err("the server closed the connection in the middle of an answer".into());
    }
    Ok(())
}

impl Answer {
    fn take(&mut self, piece: &[u8]) {
        self.length += piece.len();
        self.lines += piece.iter().filter(|byte| **byte == b'\n').count();
        let room = KEPT.saturating_sub(self.body.len()).min(piece.len());
        self.body.extend_from_slice(&piece[..room]);
    }

    /// The kept body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// A GET as a signed-in browser sends it.
pub fn get(address: SocketAddr, path: &str, cookie: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nAccept: text/html\r\nCookie: countersign={cookie}\r\nSec-Fetch-Site: same-origin\r\n\r\n").into_bytes()
}

/// A form as a signed-in browser sends it; `form` is encoded already.
pub fn post(address: SocketAddr, path: &str, cookie: &str, form: &str) -> Vec<u8> {
    format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nAccept: text/html\r\nCookie: countersign={cookie}\r\nSec-Fetch-Site: same-origin\r\nOrigin: http://{address}\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
        form.len()
    )
    .into_bytes()
}
