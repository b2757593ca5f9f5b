//! What a call without an answer means.

use crate::directory::facts::{ReadError, WriteResult};
use crate::directory::http::Failure;

/// How a refusal of the token endpoint begins; what follows is its code (RFC 6749 §5.2) or its status.
const NO_TOKEN: &str = "its token endpoint gave no token (";

/// The code with which a token was refused, such as `unauthorized_client`; `None` for any other failure, a busy or broken token endpoint included.
pub fn token_refused(why: &str) -> Option<&str> {
    why.split_once(NO_TOKEN)?.1.split(')').next().filter(|code| !code.is_empty() && !code.starts_with(|c: char| c.is_ascii_digit()))
}

/// A question without an answer.
pub fn unasked(failure: Failure) -> ReadError {
    match failure {
        Failure::NotSent(why) if token_refused(&why).is_some() => ReadError::Auth(why),
        Failure::NotSent(why) | Failure::Lost(why) => ReadError::Unreachable(why),
    }
}

/// A change without an answer.
pub fn lost(failure: Failure) -> WriteResult {
    match failure {
        Failure::NotSent(why) if token_refused(&why).is_some() => WriteResult::Auth(why),
        Failure::NotSent(why) => WriteResult::Transient(why),
        Failure::Lost(why) => WriteResult::Ambiguous(why),
    }
}

/// A change that was not decided because a question after it had no answer.
pub fn unread(error: ReadError) -> WriteResult {
    match error {
        ReadError::RateLimited { retry_after } => WriteResult::RateLimited { retry_after },
        ReadError::Auth(why) => WriteResult::Auth(why),
        ReadError::Unreachable(why) => WriteResult::Ambiguous(why),
        other => WriteResult::Unknown(other.to_string().trim_end_matches('.').to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_token_is_a_matter_of_credentials_and_a_broken_token_endpoint_is_not() {
        let refused = Failure::NotSent("its token endpoint gave no token (unauthorized_client)".into());
        assert!(matches!(unasked(refused.clone()), ReadError::Auth(_)) && matches!(lost(refused), WriteResult::Auth(_)));
        for why in ["its token endpoint gave no token (503)", "its token endpoint gave no token ()", "no connection", ""] {
            let failure = Failure::NotSent(why.into());
            assert!(matches!(unasked(failure.clone()), ReadError::Unreachable(_)) && matches!(lost(failure), WriteResult::Transient(_)), "{why}");
        }
        assert!(matches!(lost(Failure::Lost("no answer".into())), WriteResult::Ambiguous(_)));
    }
}
