//! Okta's answers: what a status and an error code mean.

use std::time::Duration;

use serde_json::Value;

use crate::directory::facts::ReadError;
use crate::directory::http::Answer;

/// `errorCode` of an answer, such as `E0000007`; empty when Okta did not write it.
pub fn code(answer: &Answer) -> String {
    let code = answer.json().and_then(|body| body.get("errorCode")?.as_str().map(str::to_owned)).unwrap_or_default();
    code.chars().filter(char::is_ascii_alphanumeric).take(20).collect()
}

/// Whether Okta itself says that there is no such thing (`E0000007`). A proxy's 404 must not look like a person who left.
pub fn is_missing(answer: &Answer) -> bool {
    answer.status == 404 && code(answer) == "E0000007"
}

/// How long a 429 asks to wait. A limit on calls at once names no moment that could be believed: one to three seconds then, not
/// the same for everybody.
pub fn wait(answer: &Answer) -> Duration {
    match answer.retry_after {
        Some(stated) => stated.max(Duration::from_secs(1)),
        None => Duration::from_millis(1000 + u64::from(rand::random::<u16>()) * 2000 / u64::from(u16::MAX)),
    }
}

/// Turns every status but success into its error. `needs` is the scope that the question takes.
///
/// # Errors
/// What the status means for a question.
pub fn checked(answer: Answer, needs: &str) -> Result<Answer, ReadError> {
    match answer.status {
        200..=299 => Ok(answer),
        429 => Err(ReadError::RateLimited { retry_after: wait(&answer) }),
        503 if answer.retry_after.is_some() => Err(ReadError::RateLimited { retry_after: wait(&answer) }),
        401 => Err(ReadError::Auth(unknown(&answer))),
        403 => Err(ReadError::Auth(denied(&answer, needs))),
        404 if !is_missing(&answer) => Err(ReadError::Malformed("it answered 404 in a way Okta does not; is its address right?".into())),
        500..=599 => Err(ReadError::Unreachable(format!("it failed with {}", answer.status))),
        300..=399 => Err(ReadError::Malformed("it redirects elsewhere; is its address right?".into())),
        status => Err(ReadError::Malformed(format!("it answered {status} {}", code(&answer)).trim_end().to_owned())),
    }
}

/// A clause on a 401.
pub fn unknown(answer: &Answer) -> String {
    match code(answer).as_str() {
        "E0000011" => "the token is not valid, or expired after 30 days without use (E0000011)".into(),
        "E0000004" => "it does not know who we are (E0000004)".into(),
        _ => "it does not accept the token".into(),
    }
}

/// A clause on a 403.
pub fn denied(answer: &Answer, needs: &str) -> String {
    match code(answer).as_str() {
        "" => format!("it may not do this; needed are the scope {needs} and an admin role that reaches it"),
        code => format!("it may not do this ({code}); needed are the scope {needs} and an admin role that reaches it"),
    }
}

/// The rows of a list.
///
/// # Errors
/// [`ReadError::Malformed`] when it is none.
pub fn rows(answer: &Answer) -> Result<Vec<Value>, ReadError> {
    match answer.json() {
        Some(Value::Array(rows)) => Ok(rows),
        Some(_) => Err(ReadError::Malformed("a list is not a list".into())),
        None => Err(ReadError::Malformed("it is not JSON".into())),
    }
}

/// A record without a usable id.
pub fn no_id() -> ReadError {
    ReadError::Malformed("a record has no usable id".into())
}

/// A string in a filter: JSON's rules, as in SCIM (RFC 7644 §3.4.2.2).
pub fn quoted(value: &str) -> String {
    Value::String(value.to_owned()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        Answer { status, retry_after: None, etag: None, next: None, remaining: None, body: body.into(), date: None }
    }

    #[test]
    fn only_okta_says_that_somebody_is_not_there() {
        assert!(is_missing(&answer(404, r#"{"errorCode":"E0000007"}"#)));
        for body in ["", "<html>", "{}", r#"{"errorCode":7}"#, "[]", r#"{"errorCode":"E0000008"}"#] {
            assert!(!is_missing(&answer(404, body)), "{body}");
            assert!(matches!(checked(answer(404, body), "s"), Err(ReadError::Malformed(_))));
        }
        assert!(!is_missing(&answer(200, r#"{"errorCode":"E0000007"}"#)));
    }

    #[test]
    fn a_status_has_one_meaning() {
        let of = |status, body: &str| checked(answer(status, body), "okta.users.read").unwrap_err().to_string();
        assert!(of(401, r#"{"errorCode":"E0000011"}"#).contains("not valid, or expired"));
        assert!(of(401, r#"{"errorCode":"E0000004"}"#).contains("E0000004"));
        assert!(of(401, "").contains("does not accept the token"));
        assert!(of(403, r#"{"errorCode":"E0000006"}"#).contains("(E0000006); needed are the scope okta.users.read"));
        assert!(of(400, r#"{"errorCode":"E0000001 <script>"}"#).ends_with("it answered 400 E0000001script."));
        assert!(matches!(checked(answer(500, "<html>"), ""), Err(ReadError::Unreachable(_))));
        assert!(matches!(checked(answer(302, ""), ""), Err(ReadError::Malformed(_))));
        let Err(ReadError::RateLimited { retry_after }) = checked(answer(429, ""), "") else { unreachable!() };
        assert!((1000..=3000).contains(&retry_after.as_millis()), "{retry_after:?}");
    }
}
