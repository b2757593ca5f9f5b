//! A form with a file in it.

use axum::body::Bytes;
use axum::extract::multipart::MultipartError;
use axum::extract::{FromRequest, Multipart, Request};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::web::error::Failure;

/// The most fields of a form.
const MOST: usize = 1_000;

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
        let kind = kind.to_ascii_lowercase();
        let read = if kind.starts_with("multipart/form-data") {
            match Multipart::from_request(request, state).await {
                Ok(form) => texts(form).await.map_err(|status| Failure::of_status(status).into_response())?,
                Err(_) => None,
            }
        } else {
            let bytes =
                Bytes::from_request(request, state).await.map_err(|rejection| Failure::of_status(rejection.into_response().status()).into_response())?;
            if kind.starts_with("application/x-www-form-urlencoded") { serde_urlencoded(&bytes) } else { None }
        };
        read.map(Self)
            .ok_or_else(|| Failure::bad_input("What the form sent cannot be read: it must be a form of ours, and every text in it UTF-8.").into_response())
    }
}

/// The fields; none when they are not well-formed or not text.
///
/// # Errors
/// The status when it is too long.
async fn texts(mut form: Multipart) -> Result<Option<Vec<(String, String)>>, StatusCode> {
    let mut fields = Vec::new();
    loop {
        let field = match form.next_field().await {
            Ok(Some(field)) if fields.len() < MOST => field,
            Ok(None) => return Ok(Some(fields)),
            Ok(_) => return Ok(None),
            Err(error) => return ended(&error),
        };
        let Some(name) = field.name().map(str::to_owned) else { return Ok(None) };
        match field.bytes().await.map(|bytes| String::from_utf8(bytes.to_vec())) {
            Ok(Ok(text)) => fields.push((name, text)),
            Ok(Err(_)) => return Ok(None),
            Err(error) => return ended(&error),
        }
    }
}

fn ended<T>(error: &MultipartError) -> Result<Option<T>, StatusCode> {
    if error.status() == StatusCode::PAYLOAD_TOO_LARGE { Err(error.status()) } else { Ok(None) }
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
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    async fn read(body: &[u8], kind: &str) -> Result<Vec<(String, String)>, StatusCode> {
        let request = Request::builder().method("POST").header(header::CONTENT_TYPE, kind).body(axum::body::Body::from(body.to_vec())).unwrap();
        Uploaded::from_request(request, &()).await.map(|read| read.0).map_err(|answer| answer.status())
    }

    #[tokio::test]
    async fn a_form_with_a_file_is_read_field_by_field() {
        let kind = "multipart/form-data; boundary=x";
        let body = "--x\r\nContent-Disposition: form-data; name=\"text\"\r\n\r\na\r\nb\r\n--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"c.toml\"\r\nContent-Type: application/toml\r\n\r\nk = 1\n\r\n--x--\r\n";
        let wanted = vec![("text".to_owned(), "a\r\nb".to_owned()), ("file".to_owned(), "k = 1\n".to_owned())];
        assert_eq!(read(body.as_bytes(), kind).await, Ok(wanted.clone()));
        assert_eq!(read(body.as_bytes(), "multipart/form-data; boundary=\"x\"").await, Ok(wanted));
        for broken in ["", "--x", "--x\r\n", "--x\r\nno\r\n\r\na", "--x\r\nContent-Disposition: form-data\r\n\r\na\r\n--x--"] {
            assert!(read(broken.as_bytes(), kind).await.is_err(), "{broken:?}");
        }
        assert!(read(body.as_bytes(), "multipart/form-data").await.is_err(), "without a boundary");
        let binary = b"--x\r\nContent-Disposition: form-data; name=\"f\"\r\n\r\n\xff\xfe\r\n--x--".to_vec();
        assert!(read(&binary, kind).await.is_err());
        let many = format!("{}--x--\r\n", "--x\r\nContent-Disposition: form-data; name=\"f\"\r\n\r\n1\r\n".repeat(MOST + 1));
        assert!(read(many.as_bytes(), kind).await.is_err());
    }

    #[test]
    fn a_form_is_percent_decoded_once() {
        let read = serde_urlencoded(b"a=1+2%25&b=%C3%A9&c&a=%zz");
        let wanted = [("a", "1 2%"), ("b", "é"), ("c", ""), ("a", "%zz")].map(|(key, value)| (key.to_owned(), value.to_owned()));
        assert_eq!(read, Some(wanted.to_vec()));
        assert_eq!(serde_urlencoded(b"a=%FF"), None);
    }
}
