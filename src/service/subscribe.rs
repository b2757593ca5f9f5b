//! Has directories call us when somebody changes.

use chrono::Duration;

use crate::directory::facts::Subscribing;
use crate::store::subscription;

use super::ctx::Ctx;
use super::error::ServiceError;
use super::fetch;

/// How long before its end a subscription is renewed.
const AHEAD: Duration = Duration::days(14);

/// Makes or renews the subscription at `directory`. Returns what there is to say of it; none where the directory is told otherwise, or
/// does not call at all.
///
/// # Errors
/// [`ServiceError::Unavailable`] when the directory does not answer or will not call; people are read by the timetable all the same.
pub async fn keep_up(ctx: &Ctx, directory: &str) -> Result<Option<String>, ServiceError> {
    let Some(hook) = ctx.hooks.get(directory) else { return Ok(None) };
    let Some(address) = hook.address.as_deref() else { return Ok(None) };
    let (known, now) = (subscription::of(&ctx.db, directory).await?, ctx.clock.now());
    // One that calls another address is left to end by itself.
    let known = known.filter(|known| known.address == address && known.expires_at > now);
    if let Some(known) = known.as_ref().filter(|known| known.expires_at > now + AHEAD) {
        return Ok(Some(until(known.expires_at)));
    }
    let wanted = Subscribing { address, secret: &hook.secret, known: known.as_ref().map(|known| known.id.as_str()) };
    let made = fetch::directory(ctx, directory)?.subscribe(&wanted, now).await;
    let Some(made) = made.map_err(|error| ServiceError::Unavailable(format!("It does not call when somebody changes: {error}")))? else { return Ok(None) };
    subscription::keep(&ctx.db, directory, &made.id, address, made.until).await?;
    Ok(Some(until(made.until)))
}

fn until(at: chrono::DateTime<chrono::Utc>) -> String {
    format!("it calls when somebody changes, until {} unless renewed", at.format("%-d %B %Y"))
}
