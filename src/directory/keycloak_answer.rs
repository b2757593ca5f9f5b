//! Keycloak's answers: what a status means.

use serde_json::Value;

use crate::directory::facts::{ReadError, WriteResult};
use crate::directory::http::{Answer, Failure};

/// A record without a usable id.
pub fn no_id() -> ReadError {
    ReadError::Malformed("a record has no usable id".into())
}

/// Whether the answer is one of Keycloak's own "not found"s and no other server's.
pub fn is_own_404(answer: &Answer) -> bool {
    answer.status == 404 && answer.json().is_some_and(|body| body.get("error").is_some_and(Value::is_string))
}

/// The JSON of a success; every other status is its error. `needed`: the roles of realm-management that this question takes.
///
/// # Errors
/// What the status means for a question.
pub fn read(answer: &Answer, needed: &str) -> Result<Value, ReadError> {
    match answer.status {
        200..=299 => answer.json().ok_or_else(|| ReadError::Malformed("it is not JSON; is its address right?".into())),
        429 => Err(ReadError::RateLimited { retry_after: answer.wait() }),
        503 if answer.retry_after.is_some() => Err(ReadError::RateLimited { retry_after: answer.wait() }),
        401 => Err(ReadError::Auth("it does not accept the token; is the client of this realm?".into())),
        403 => Err(ReadError::Auth(format!("the service account may not read this; it needs {needed} of realm-management"))),
        500..=599 => Err(ReadError::Unreachable(format!("it failed with {}", answer.status))),
        300..=399 => Err(ReadError::Malformed("it redirects elsewhere; is its address right?".into())),
        404 => Err(ReadError::Malformed("it answered 404; are its address and the realm right?".into())),
        status => Err(ReadError::Malformed(format!("it answered {status}"))),
    }
}

/// A list.
///
/// # Errors
/// As [`read`], and when it is none.
pub fn rows(answer: &Answer, needed: &str) -> Result<Vec<Value>, ReadError> {
    match read(answer, needed)? {
        Value::Array(rows) => Ok(rows),
        _ => Err(ReadError::Malformed("a list is not a list".into())),
    }
}

/// A call without an answer, for a question.
pub fn unreached(failure: Failure) -> ReadError {
    match failure {
        Failure::NotSent(why) | Failure::Lost(why) => ReadError::Unreachable(why),
    }
}

/// A call without an answer, for a change.
pub fn lost(failure: Failure) -> WriteResult {
    match failure {
        Failure::NotSent(why) => WriteResult::Transient(why),
        Failure::Lost(why) => WriteResult::Ambiguous(why),
    }
}

/// A change that was not made because a question before it had no answer.
pub fn not_tried(error: ReadError) -> WriteResult {
    match error {
        ReadError::RateLimited { retry_after } => WriteResult::RateLimited { retry_after },
        ReadError::Auth(why) => WriteResult::Auth(why),
        ReadError::Unreachable(why) => WriteResult::Transient(why),
        other => WriteResult::Unknown(other.to_string().trim_end_matches('.').to_owned()),
    }
}
