//! Graph answers: what a status and an error code mean.

use serde_json::Value;

use crate::directory::facts::ReadError;
use crate::directory::http::Answer;

/// Error codes that say a delta token is of no use any more; without case.
const STALE: [&str; 3] = ["syncStateNotFound", "resyncRequired", "Directory_ExpiredPageToken"];

/// `error.code` of an answer; empty when Graph did not write it.
pub fn code(answer: &Answer) -> String {
    let code = answer.json().and_then(|body| body["error"]["code"].as_str().map(str::to_owned)).unwrap_or_default();
    code.chars().filter(|c| c.is_ascii_alphanumeric() || "_.".contains(*c)).take(60).collect()
}

/// Whether Graph itself says that there is no such thing. A proxy's 404 must not look like a person who left.
pub fn is_missing(answer: &Answer) -> bool {
    answer.status == 404 && matches!(code(answer).as_str(), "Request_ResourceNotFound" | "ResourceNotFound")
}

/// Whether a delta token is of no use any more.
pub fn is_stale(answer: &Answer) -> bool {
    answer.status == 410 || (answer.status == 400 && STALE.iter().any(|stale| stale.eq_ignore_ascii_case(&code(answer))))
}

/// Turns every status but success into its error. `needs` is the permission that the question takes.
///
/// # Errors
/// What the status means for a question.
pub fn checked(answer: Answer, needs: &str) -> Result<Answer, ReadError> {
    match answer.status {
        200..=299 => Ok(answer),
        429 => Err(ReadError::RateLimited { retry_after: answer.wait() }),
        503 | 504 if answer.retry_after.is_some() => Err(ReadError::RateLimited { retry_after: answer.wait() }),
        401 => Err(ReadError::Auth("it does not accept the token".into())),
        403 => Err(ReadError::Auth(denied(&answer, needs))),
        404 if !is_missing(&answer) => Err(ReadError::Malformed("it answered 404 in a way Graph does not; is its address right?".into())),
        500..=599 => Err(ReadError::Unreachable(format!("it failed with {}", answer.status))),
        300..=399 => Err(ReadError::Malformed("it redirects elsewhere; is its address right?".into())),
        status => Err(ReadError::Malformed(format!("it answered {status} {}", code(&answer)).trim_end().to_owned())),
    }
}

/// A clause on a 403.
pub fn denied(answer: &Answer, needs: &str) -> String {
    match code(answer).as_str() {
        "Authorization_RequestDenied" => format!("the permission {needs} is missing (Authorization_RequestDenied)"),
        "" => "it may not do this".into(),
        code => format!("it may not do this ({code}); the permission needed is {needs}"),
    }
}

/// The rows of a collection and the links that come with it.
#[derive(Debug, Default)]
pub struct Rows {
    /// `value`.
    pub rows: Vec<Value>,
    /// `@odata.nextLink`: there is more, also when there are no rows.
    pub next: Option<String>,
    /// `@odata.deltaLink`: the end of a delta, and where the next one begins.
    pub delta: Option<String>,
    /// `@odata.count`, where it was asked for.
    pub count: Option<u64>,
}

/// A collection.
///
/// # Errors
/// [`ReadError::Malformed`] when it is none.
pub fn rows(answer: &Answer) -> Result<Rows, ReadError> {
    let Some(Value::Object(mut body)) = answer.json() else { return Err(ReadError::Malformed("it is not JSON".into())) };
    let Some(Value::Array(rows)) = body.remove("value") else { return Err(ReadError::Malformed("a list has no rows".into())) };
    let link = |name: &str| match body.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(link)) if !link.is_empty() => Ok(Some(link.clone())),
        Some(_) => Err(ReadError::Malformed(format!("{name} is not an address"))),
    };
    Ok(Rows { rows, next: link("@odata.nextLink")?, delta: link("@odata.deltaLink")?, count: body.get("@odata.count").and_then(Value::as_u64) })
}
