//! A directory calls: somebody may have changed.
//!
//! What it says is a hint and nothing else. Whoever it names is asked about ([`super::recheck`]); nothing ends, and nothing is kept, by what was
//! sent. So a call that is sent twice, late, out of order, or by somebody who found the secret costs one question each.

use crate::directory::{entra_hook, okta_hook, plain_hook, scim_hook};
use crate::store::error::StoreError;
use crate::store::recheck;

use super::ctx::{Ctx, Hook, HookKind};
use super::error::ServiceError;
use super::{commit, heartbeat};

/// So many people of a directory wait to be asked about at most; when more are named, everybody is read instead.
const MOST_WAITING: i64 = 2_000;
/// The longest text that a directory has us say back.
const LONGEST_ECHO: usize = 1_024;

/// A call, as it came in.
#[derive(Clone, Copy, Debug, Default)]
pub struct Call<'a> {
    /// Of which directory, by the address.
    pub directory: &'a str,
    /// The method.
    pub method: &'a str,
    /// SCIM: `Some` when the address is `/Users`, with the id that follows it, if one does.
    pub user: Option<Option<&'a str>>,
    /// The Authorization header.
    pub authorization: Option<&'a str>,
    /// The X-Countersign-Signature header.
    pub signature: Option<&'a str>,
    /// The text that a directory wants back to see that it reaches us: a header or part of the query.
    pub challenge: Option<&'a str>,
    /// The body.
    pub body: &'a [u8],
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// So many people are asked about.
    Taken(usize),
    /// The text that it wants back.
    Echo(String),
}

/// Why a call is not taken.
#[derive(Debug)]
pub enum NotTaken {
    /// There is no such directory, or none that calls.
    Missing,
    /// It does not know the secret.
    Unproven,
    /// It cannot be understood.
    Malformed(&'static str),
    /// We cannot take it now.
    Failed(ServiceError),
}

impl From<ServiceError> for NotTaken {
    fn from(error: ServiceError) -> Self {
        Self::Failed(error)
    }
}

impl From<StoreError> for NotTaken {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.into())
    }
}

impl From<&'static str> for NotTaken {
    fn from(why: &'static str) -> Self {
        Self::Malformed(why)
    }
}

/// Takes a call: whoever it names is asked about at once.
///
/// # Errors
/// [`NotTaken`], with nothing done.
pub async fn take(ctx: &Ctx, call: &Call<'_>) -> Result<Answer, NotTaken> {
    let hook = ctx.hooks.get(call.directory).filter(|_| ctx.directories.contains_key(call.directory)).ok_or(NotTaken::Missing)?;
    if let Some(text) = echo(hook, call)? {
        return Ok(Answer::Echo(text));
    }
    let Named { people, more, renew } = named(ctx, hook, call)?;
    if renew {
        heartbeat::run_now(ctx, &format!("subscription:{}", call.directory)).await?;
    }
    if more {
        heartbeat::run_now(ctx, &format!("changes:{}", call.directory)).await?;
    }
    if people.is_empty() {
        return Ok(Answer::Taken(0));
    }
    let mut tx = ctx.db.begin().await?;
    let now = ctx.clock.now();
    if recheck::waiting(&mut tx, call.directory, MOST_WAITING).await? >= MOST_WAITING {
        drop(tx);
        heartbeat::run_now(ctx, &format!("sync:{}", call.directory)).await?;
        return Ok(Answer::Taken(0));
    }
    let references = recheck::references(&mut tx, call.directory, &people).await?;
    recheck::ask(&mut tx, call.directory, &references, "hook", false, now, now).await?;
    commit::commit(tx).await?;
    ctx.wake.notify_one();
    Ok(Answer::Taken(references.len()))
}

/// What it wants back before it calls for the first time: Okta by a header of a GET, Microsoft Graph by the address of a POST. Nothing
/// proves such a call, so that only what either would send is said back, and never as anything but plain text or a JSON text.
fn echo(hook: &Hook, call: &Call<'_>) -> Result<Option<String>, NotTaken> {
    let wanted = match hook.kind {
        HookKind::Okta => call.method == "GET",
        HookKind::Entra => call.method == "POST" && call.user.is_none(),
        HookKind::Plain => false,
    };
    let Some(text) = call.challenge.filter(|_| wanted) else { return Ok(None) };
    let plain = text.chars().all(|c| c == ' ' || c.is_ascii_graphic() && !"<>&\"'".contains(c));
    if text.is_empty() || text.len() > LONGEST_ECHO || !plain {
        return Err(NotTaken::Malformed("That is no challenge of a directory."));
    }
    Ok(Some(text.to_owned()))
}

/// Whom a call names.
#[derive(Debug, Default)]
struct Named {
    people: Vec<String>,
    /// Whether others changed too, or it is not told who: the directory is asked what changed.
    more: bool,
    /// Whether the subscription wants to be renewed, or is gone.
    renew: bool,
}

/// Whom it names, once it has proven itself.
fn named(ctx: &Ctx, hook: &Hook, call: &Call<'_>) -> Result<Named, NotTaken> {
    let secret = hook.secret.reveal();
    let of = |people: Result<Vec<String>, &'static str>| people.map(|people| Named { people, ..Named::default() }).map_err(NotTaken::Malformed);
    let bearer = plain_hook::is_bearer(call.authorization, secret);
    if let Some(id) = call.user {
        return if bearer { of(scim_hook::people(call.method, id, call.body)) } else { Err(NotTaken::Unproven) };
    }
    if call.method != "POST" {
        return Err(NotTaken::Missing);
    }
    let proven = match hook.kind {
        HookKind::Plain => bearer || plain_hook::is_signed(call.signature, call.body, secret, ctx.clock.now().timestamp()),
        // Okta sends the header as it was entered there, with or without a scheme.
        HookKind::Okta => bearer || call.authorization.is_some_and(|header| plain_hook::same(header.trim(), secret)),
        HookKind::Entra => plain_hook::states(call.body)?.iter().any(|state| plain_hook::same(state, secret)),
    };
    if !proven {
        return Err(NotTaken::Unproven);
    }
    match hook.kind {
        HookKind::Plain => of(plain_hook::people(call.body)),
        HookKind::Okta => {
            let heard = okta_hook::heard(call.body).map_err(|_| NotTaken::Malformed("That is no call of an Okta event hook."))?;
            Ok(Named { people: heard.people, more: heard.more || !heard.groups.is_empty(), renew: false })
        }
        HookKind::Entra => {
            let told =
                entra_hook::notified(call.body, &hook.secret, "").map_err(|_| NotTaken::Malformed("That is no change notification of Microsoft Graph."))?;
            Ok(Named { people: told.people, more: told.missed || !told.groups.is_empty(), renew: told.renew })
        }
    }
}
