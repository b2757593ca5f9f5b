//! The requester asks those who are asked to look.

use chrono::{DateTime, Utc};

use crate::domain::act::{NUDGE_EVERY, may_nudge};
use crate::domain::event::{Event, Fact};
use crate::domain::id::RequestId;
use crate::store::{event, notice, person, step, step_clock};

use super::commit;
use super::ctx::{By, Ctx};
use super::error::ServiceError;
use super::open_request::{self, OpenRequest};

/// Tells everybody who is asked at the open step that the requester waits. Returns when it can be done again.
///
/// # Errors
/// A refusal of [`may_nudge`], which says when it can be done again; otherwise as [`open_request::take`].
pub async fn nudge(ctx: &Ctx, by: &By, id: RequestId) -> Result<DateTime<Utc>, ServiceError> {
    let OpenRequest { mut tx, row, deciding, now, .. } = open_request::take(ctx, by, id, false).await?;
    may_nudge(&deciding, by.person, row.nudged_at, now)?;
    let people = step::open_people(&mut tx, id).await?;
    let names = person::names(&mut tx, &people).await?;
    step_clock::nudged(&mut tx, id, now).await?;
    let fact = Fact::RequestNudged { step_no: deciding.step_no, people: names.clone() };
    event::append(&mut tx, &[Event { actor: by.actor(), channel: by.channel, subject: commit::about(&row), fact }]).await?;
    let called = step_clock::called(&mut tx, id).await?;
    let told = format!("{} asks you to look: {} for {} waits for you.", by.name, called.role, called.beneficiary);
    notice::tell(&mut tx, &names.iter().map(|named| named.id).collect::<Vec<_>>(), "nudge", Some(id), &told, now).await?;
    commit::commit(tx).await?;
    Ok(NUDGE_EVERY.after(now).unwrap_or(now))
}
