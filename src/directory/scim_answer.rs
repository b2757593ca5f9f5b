//! SCIM answers: what a status means, what a list holds.

use serde_json::Value;

use crate::directory::facts::ReadError;
use crate::directory::http::Answer;
use crate::directory::scim_record as record;

/// Refuses an id that must not be asked for.
///
/// # Errors
/// [`ReadError::Refused`].
pub fn usable(id: &str) -> Result<(), ReadError> {
    if record::usable(id) { Ok(()) } else { Err(ReadError::Refused("the id is empty or not an id".into())) }
}

/// A record without a usable id.
pub fn no_id() -> ReadError {
    ReadError::Malformed("a record has no usable id".into())
}

/// A string in a SCIM filter: JSON's rules (RFC 7644 §3.4.2.2).
pub fn quoted(value: &str) -> String {
    Value::String(value.to_owned()).to_string()
}

/// Turns every status but success into its error.
///
/// # Errors
/// What the status means for a question.
pub fn checked(answer: Answer) -> Result<Answer, ReadError> {
    match answer.status {
        200..=299 => Ok(answer),
        429 => Err(ReadError::RateLimited { retry_after: answer.wait() }),
        503 if answer.retry_after.is_some() => Err(ReadError::RateLimited { retry_after: answer.wait() }),
        401 => Err(ReadError::Auth("it does not accept the token".into())),
        403 => Err(ReadError::Auth("the token may not read this".into())),
        500..=599 => Err(ReadError::Unreachable(format!("it failed with {}", answer.status))),
        300..=399 => Err(ReadError::Malformed("it redirects elsewhere; is its address right?".into())),
        status => Err(ReadError::Malformed(format!("it answered {status}"))),
    }
}

/// The body as JSON.
///
/// # Errors
/// [`ReadError::Malformed`] when it is none.
pub fn json(answer: &Answer) -> Result<Value, ReadError> {
    answer.json().ok_or_else(|| ReadError::Malformed("it is not JSON".into()))
}

/// The rows of a ListResponse and `totalResults` (RFC 7644 §3.4.2).
///
/// # Errors
/// [`ReadError::Malformed`] when it is no list.
pub fn rows(list: &Value) -> Result<(Vec<Value>, Option<usize>), ReadError> {
    let object = list.as_object().ok_or_else(|| ReadError::Malformed("a list is not a list".into()))?;
    let total = record::get(object, "totalResults").and_then(Value::as_u64).and_then(|t| usize::try_from(t).ok());
    match record::get(object, "Resources") {
        Some(Value::Array(rows)) => Ok((rows.clone(), total)),
        None if total == Some(0) => Ok((Vec::new(), total)),
        // RFC 7644 §3.4.2 lets a page past the end leave the rows out.
        None if total.is_some() => Ok((Vec::new(), total)),
        _ => Err(ReadError::Malformed("a list has no rows".into())),
    }
}
