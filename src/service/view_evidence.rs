//! Notes what auditors and administrators look at.

use chrono::Duration;

use crate::domain::event::{Event, Fact, Subject};
use crate::store::event;

use super::commit::commit;
use super::ctx::{By, Ctx};
use super::error::ServiceError;

/// The same look again within this time is the same look.
const ONCE_IN: Duration = Duration::hours(1);

/// Notes that `by`, an auditor or administrator, looked at `page` and what it showed; of anybody else nothing is noted here.
///
/// # Errors
/// When the database fails: then nothing is to be shown.
pub async fn viewed(ctx: &Ctx, by: &By, page: &str, object: Option<&str>) -> Result<(), ServiceError> {
    if !by.reads_everything() {
        return Ok(());
    }
    let mut tx = ctx.db.begin().await?;
    if !event::viewed_since(&mut tx, by.person, (page, object), ctx.clock.now() - ONCE_IN).await? {
        let fact = Fact::EvidenceViewed { page: page.to_owned(), object: object.map(str::to_owned) };
        event::append(&mut tx, &[Event { actor: by.actor(), channel: by.channel, subject: Subject::default(), fact }]).await?;
    }
    commit(tx).await
}
