//! Notes that an auditor or administrator read something.

use chrono::Duration;

use crate::domain::event::{Event, Fact, Subject};
use crate::domain::id::PersonId;
use crate::store::{event, look_me};

use super::commit::commit;
use super::ctx::{By, Ctx};
use super::error::ServiceError;

/// The same is noted once in this time.
const ONCE_IN: Duration = Duration::hours(1);

/// Notes that `by` read `page` (a few words without names), about `person` where it is about one. Whoever reads only what is theirs to read is not
/// noted, nor who reads about themselves.
///
/// # Errors
/// When the database fails.
pub async fn note(ctx: &Ctx, by: &By, page: &str, person: Option<PersonId>) -> Result<(), ServiceError> {
    if !by.reads_everything() || person == Some(by.person) {
        return Ok(());
    }
    if look_me::has_read(&ctx.db, by.person.0, person.map(|id| id.0), page, ctx.clock.now() - ONCE_IN).await? {
        return Ok(());
    }
    let subject = Subject { person, ..Subject::default() };
    let mut tx = ctx.db.begin().await?;
    event::append(&mut tx, &[Event { actor: by.actor(), channel: by.channel, subject, fact: Fact::EvidenceRead { page: page.to_owned() } }]).await?;
    commit(tx).await
}
