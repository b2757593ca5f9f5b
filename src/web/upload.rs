//! A form with a file in it.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::header;
use axum::response::{IntoResponse, Response};

use crate::web::error::Failure;

/// The fields of a form, sent as `application/x-www-form-urlencoded` or as `multipart/form-data` (RFC 7578), each UTF-8 text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Uploaded(pub Vec<(String, String)>);

impl Uploaded {
    /// The first value of a field; empty when it was not sent.
    pub fn field(&self, name: &str) -> &str {
        self.0.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }
}

impl<S: Send + Sync> FromRequest<S> for Uploaded {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
        let bytes = Bytes::from_request(request, state).await.map_err(|rejection| Failure::of_status(rejection.into_response().status()).into_response())?;
        let read = if kind.to_ascii_lowercase().starts_with("multipart/form-data") {
            boundary(&kind).and_then(|boundary| multipart(&bytes, boundary))
        } else if kind.to_ascii_lowercase().starts_with("application/x-www-form-urlencoded") {
            serde_urlencoded(&bytes)
        } else {
            None
        };
        read.map(Self)
            .ok_or_else(|| Failure::bad_input("What the form sent cannot be read: it must be a form of ours, and every text in it UTF-8.").into_response())
    }
}

fn boundary(kind: &str) -> Option<&str> {
    let rest = kind.split(';').map(str::trim).find_map(|part| part.strip_prefix("boundary="))?;
    Some(rest.trim_matches('"')).filter(|boundary| (1..=70).contains(&boundary.len()))
}

fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    bytes.windows(needle.len()).position(|window| window == needle)
}

/// The parts between the boundaries (RFC 2046 §5.1); none when they are not well-formed or not text.
fn multipart(bytes: &[u8], boundary: &str) -> Option<Vec<(String, String)>> {
    let first = format!("--{boundary}");
    let between = format!("\r\n--{boundary}");
    let mut rest = bytes.strip_prefix(first.as_bytes())?;
    let mut fields = Vec::new();
    loop {
        if rest.starts_with(b"--") {
            return Some(fields);
        }
        rest = rest.strip_prefix(b"\r\n")?;
        let head_ends = find(rest, b"\r\n\r\n")?;
        let head = std::str::from_utf8(rest.get(..head_ends)?).ok()?;
        let content = rest.get(head_ends + 4..)?;
        let ends = find(content, between.as_bytes())?;
        let disposition = head.lines().find(|line| line.to_ascii_lowercase().starts_with("content-disposition:"))?;
        let name = disposition.split(';').map(str::trim).find_map(|part| part.strip_prefix("name=\""))?.split('"').next()?;
        fields.push((name.to_owned(), String::from_utf8(content.get(..ends)?.to_vec()).ok()?));
        rest = content.get(ends + between.len()..)?;
        if fields.len() > 1_000 {
            return None;
        }
    }
}

fn serde_urlencoded(bytes: &[u8]) -> Option<Vec<(String, String)>> {
    axum::extract::RawForm(Bytes::copy_from_slice(bytes)).0.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()).map(pair).collect()
}

fn pair(pair: &[u8]) -> Option<(String, String)> {
    let mut sides = pair.splitn(2, |byte| *byte == b'=');
    Some((decoded(sides.next()?)?, decoded(sides.next().unwrap_or_default())?))
}

/// Percent-decoded text of a form (WHATWG URL §5.1).
fn decoded(bytes: &[u8]) -> Option<String> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        out.push(match byte {
            b'+' => b' ',
            b'%' => match after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok()).and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
                Some(byte) => {
                    rest = after.get(2..)?;
                    byte
                }
                None => b'%',
            },
            other => *other,
        });
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_with_a_file_is_read_field_by_field() {
        let body = "--x\r\nContent-Disposition: form-data; name=\"text\"\r\n\r\na\r\nb\r\n--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"c.toml\"\r\nContent-Type: application/toml\r\n\r\nk = 1\n\r\n--x--\r\n";
        let wanted = vec![("text".to_owned(), "a\r\nb".to_owned()), ("file".to_owned(), "k = 1\n".to_owned())];
        assert_eq!(multipart(body.as_bytes(), "x"), Some(wanted));
        assert_eq!(boundary("multipart/form-data; boundary=\"x\""), Some("x"));
        for broken in ["", "--x", "--x\r\n", "--x\r\nno\r\n\r\na", "--x\r\nContent-Disposition: form-data\r\n\r\na\r\n--x--", "--y--"] {
            assert_eq!(multipart(broken.as_bytes(), "x"), None, "{broken:?}");
        }
        let binary = b"--x\r\nContent-Disposition: form-data; name=\"f\"\r\n\r\n\xff\xfe\r\n--x--".to_vec();
        assert_eq!(multipart(&binary, "x"), None);
    }

    #[test]
    fn a_form_is_percent_decoded_once() {
        let read = serde_urlencoded(b"a=1+2%25&b=%C3%A9&c&a=%zz");
        let wanted = [("a", "1 2%"), ("b", "é"), ("c", ""), ("a", "%zz")].map(|(key, value)| (key.to_owned(), value.to_owned()));
        assert_eq!(read, Some(wanted.to_vec()));
        assert_eq!(serde_urlencoded(b"a=%FF"), None);
    }
}
