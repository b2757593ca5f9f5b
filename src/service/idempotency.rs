//! Do a call once, however often it comes.

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::store::db::Tx;
use crate::store::idempotency;

use super::ctx::Ctx;
use super::error::ServiceError;

/// A call that is ours to answer.
#[derive(Clone, Debug)]
pub struct Claim {
    owner: Uuid,
    key: String,
    at: DateTime<Utc>,
}

/// What to do with a call.
#[derive(Clone, Debug)]
pub enum Turn {
    /// Answer it, then [`settle`].
    Ours(Claim),
    /// It was answered before, like this: HTTP status and body.
    Answered(u16, String),
    /// The same call runs at this moment.
    Running,
    /// The key was used for another call.
    Other,
}

/// Whether `key` can be a key: 1 to 255 visible ASCII characters.
pub fn is_key(key: &str) -> bool {
    (1..=255).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Whose turn a call of `owner` (a token or, for forms, a person) with `key` is; `parts` are what makes it this call (method, path, body).
///
/// # Errors
/// When the database cannot be reached.
pub async fn begin(ctx: &Ctx, owner: Uuid, key: &str, parts: &[&[u8]]) -> Result<Turn, ServiceError> {
    let hash = fingerprint(parts);
    let now = ctx.clock.now();
    let Some(earlier) = idempotency::claim(&ctx.db, owner, key, &hash, now).await? else {
        return Ok(Turn::Ours(Claim { owner, key: key.into(), at: now }));
    };
    if earlier.request_hash != hash {
        return Ok(Turn::Other);
    }
    Ok(match (earlier.status.and_then(|status| u16::try_from(status).ok()), earlier.body) {
        (Some(status), body) => Turn::Answered(status, body.unwrap_or_default()),
        (None, _) => Turn::Running,
    })
}

/// Keeps the answer of a call for a day. An answer of 500 and above is not kept, nor are 401, 403 and 429: nothing was done, so the
/// same call may come again.
///
/// # Errors
/// When the database cannot be reached; the act itself stands.
pub async fn settle(ctx: &Ctx, claim: &Claim, status: u16, body: &str) -> Result<(), ServiceError> {
    if status >= 500 || matches!(status, 401 | 403 | 429) {
        return Ok(idempotency::release(&ctx.db, claim.owner, &claim.key, claim.at).await?);
    }
    Ok(idempotency::finish(&ctx.db, claim.owner, &claim.key, claim.at, status, body).await?)
}

/// An answer of below 400, to be kept with the act itself: neither is without the other.
#[derive(Clone, Debug)]
pub struct Keep<'a> {
    /// The call that is answered.
    pub claim: &'a Claim,
    /// The HTTP status.
    pub status: u16,
    /// What stands before the id of what was made.
    pub before_id: &'static str,
}

impl Keep<'_> {
    /// Keeps the answer that names `id`, in the transaction of the act.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn within(&self, tx: &mut Tx, id: Uuid) -> Result<(), ServiceError> {
        let body = format!("{}{id}", self.before_id);
        Ok(idempotency::finish_within(tx, self.claim.owner, &self.claim.key, self.claim.at, self.status, &body).await?)
    }
}

/// SHA-256 over the parts, each with its length, so that no two lists of parts look alike.
fn fingerprint(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_that_differ_in_any_part_have_different_fingerprints() {
        assert_ne!(fingerprint(&[b"POST", b"/a", b"bc"]), fingerprint(&[b"POST", b"/ab", b"c"]));
        assert_eq!(fingerprint(&[b"POST", b"/a"]), fingerprint(&[b"POST", b"/a"]));
    }

    #[test]
    fn keys_are_short_and_visible() {
        assert!(is_key("4f1c-1") && is_key(&"k".repeat(255)));
        for key in ["", "a b", "é", "\0", &"k".repeat(256)] {
            assert!(!is_key(key), "{key:?}");
        }
    }
}
