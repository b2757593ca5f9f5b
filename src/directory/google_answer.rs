//! Google answers: what a status and a reason mean.
//!
//! 403 is both "you may not" and "too fast": the reason decides, never the text.

use std::time::Duration;

use serde_json::Value;

use crate::directory::facts::ReadError;
use crate::directory::http::Answer;

/// Reasons that mean "too fast".
const TOO_FAST: [&str; 5] = ["userRateLimitExceeded", "quotaExceeded", "rateLimitExceeded", "RESOURCE_EXHAUSTED", "RATE_LIMIT_EXCEEDED"];
/// Reasons that mean "no more today".
const NO_MORE_TODAY: [&str; 2] = ["dailyLimitExceeded", "dailyLimitExceededUnreg"];
/// The longest wait between two tries, doubled up to from one second; Google promises no header.
const LONGEST_BACKOFF: u64 = 64;

/// `error.errors[0].reason`, else `error.status`; empty when Google did not write the answer.
pub fn reason(answer: &Answer) -> String {
    let body = answer.json().unwrap_or_default();
    let error = &body["error"];
    let reason = error["errors"][0]["reason"].as_str().or_else(|| error["status"].as_str()).unwrap_or_default();
    reason.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').take(60).collect()
}

/// Whether Google itself wrote this error: a proxy's 404 must not look like a person who left.
fn is_googles(answer: &Answer) -> bool {
    answer.json().is_some_and(|body| body["error"]["code"].as_u64() == Some(answer.status.into()))
}

/// Whether Google says that there is no such thing.
pub fn is_missing(answer: &Answer) -> bool {
    answer.status == 404 && is_googles(answer) && matches!(reason(answer).as_str(), "notFound" | "NOT_FOUND")
}

/// How long to leave Google alone, when it asks for that. `strikes` is how often in a row it did before; `jitter` spreads the tries of
/// several, 0 to 999.
pub fn too_fast(answer: &Answer, strikes: u32, jitter: u64) -> Option<Duration> {
    if !matches!(answer.status, 403 | 429 | 503) {
        return None;
    }
    let reason = reason(answer);
    if NO_MORE_TODAY.contains(&reason.as_str()) {
        return Some(Duration::from_secs(3_600));
    }
    let asks = answer.status == 429 || answer.retry_after.is_some() || (answer.status == 403 && TOO_FAST.contains(&reason.as_str()));
    let backoff = Duration::from_secs(LONGEST_BACKOFF.min(1 << strikes.min(6))) + Duration::from_millis(jitter);
    asks.then(|| answer.retry_after.unwrap_or(backoff))
}

/// Turns every status but success into its error; "too fast" was looked for before. `needs` is the scope that the question takes.
///
/// # Errors
/// What the status means for a question.
pub fn checked(answer: Answer, needs: &str) -> Result<Answer, ReadError> {
    match answer.status {
        200..=299 => Ok(answer),
        401 => Err(ReadError::Auth("it does not accept the token".into())),
        403 => Err(ReadError::Auth(denied(&answer, needs))),
        404 if !is_missing(&answer) => Err(ReadError::Malformed("it answered 404 in a way Google does not; is its address right?".into())),
        500..=599 => Err(ReadError::Unreachable(format!("it failed with {}", answer.status))),
        300..=399 => Err(ReadError::Malformed("it redirects elsewhere; is its address right?".into())),
        status => Err(ReadError::Malformed(format!("it answered {status} {}", reason(&answer)).trim_end().to_owned())),
    }
}

/// A clause on a 403.
pub fn denied(answer: &Answer, needs: &str) -> String {
    match reason(answer).as_str() {
        "insufficientPermissions" | "ACCESS_TOKEN_SCOPE_INSUFFICIENT" | "PERMISSION_DENIED" => {
            format!("the scope {needs} is missing, or the administrator as whom we act may not do this")
        }
        "forbidden" | "notAuthorized" => "the administrator as whom we act may not do this, or it belongs to another organisation".into(),
        "accessNotConfigured" | "SERVICE_DISABLED" => "the Admin SDK API is not switched on in the service account's project".into(),
        "domainCannotUseApis" => "the Workspace does not let its data be read through the API".into(),
        "" => "it may not do this".into(),
        other => format!("it may not do this ({other})"),
    }
}

/// The rows of a listing and where it goes on. An empty listing has no rows at all.
///
/// # Errors
/// [`ReadError::Malformed`] when it is none.
pub fn rows(answer: &Answer, name: &str) -> Result<(Vec<Value>, Option<String>), ReadError> {
    let Some(Value::Object(mut body)) = answer.json() else { return Err(ReadError::Malformed("it is not JSON".into())) };
    let rows = match body.remove(name) {
        Some(Value::Array(rows)) => rows,
        None if body.get("kind").and_then(Value::as_str).is_some_and(|kind| kind.ends_with(&format!("#{name}"))) => Vec::new(),
        _ => return Err(ReadError::Malformed("a list has no rows".into())),
    };
    match body.remove("nextPageToken") {
        None | Some(Value::Null) => Ok((rows, None)),
        Some(Value::String(token)) if token.is_empty() => Ok((rows, None)),
        Some(Value::String(token)) => Ok((rows, Some(token))),
        Some(_) => Err(ReadError::Malformed("the next page has no name".into())),
    }
}
