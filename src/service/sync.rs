//! Reads everybody from the directory.

use std::collections::HashMap;

use uuid::Uuid;

use crate::domain::event::{Fact, Subject};
use crate::domain::grant::EndReason;
use crate::domain::id::PersonId;
use crate::domain::request::RequestStatus;
use crate::store::{event, grant, person, request, step_clock, target, token};

use super::commit::{self, about, about_grant, by_system};
use super::ctx::Ctx;
use super::error::ServiceError;
use super::{fetch, tend};

/// What a sync found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Synced {
    /// People read.
    pub people: usize,
    /// Of them new or changed.
    pub changed: usize,
    /// Found disabled or gone.
    pub left: usize,
}

/// How many requests whose approvers have left one sync tends; the next goes on.
const MOST_TENDED: i64 = 10_000;

/// Reads every person of `directory`, page by page, and keeps what is new. Who is found disabled or gone loses every lease
/// (`offboarded`), open request, session and API token. A listing that fails midway, or in which a large share is missing, says nothing about
/// who left.
///
/// # Errors
/// [`ServiceError::Unavailable`] when the listing failed or is not believed; what was kept before stays kept.
pub async fn sync(ctx: &Ctx, directory: &str) -> Result<Synced, ServiceError> {
    let started = ctx.clock.now();
    let known = person::count(&ctx.db, directory).await?;
    let port = fetch::directory(ctx, directory)?;
    let mut synced = Synced::default();
    let mut left: Vec<(PersonId, String)> = Vec::new();
    let mut cursor = None;
    loop {
        let page = port.people(cursor).await.map_err(|error| ServiceError::Unavailable(error.to_string()))?;
        let mut tx = ctx.db.begin().await?;
        let now = ctx.clock.now();
        let seen: Vec<_> = page.items.iter().map(|facts| fetch::seen(directory, facts)).collect();
        let again: HashMap<String, Uuid> =
            person::seen_again(&mut tx, directory, &seen, now).await?.into_iter().map(|(id, reference)| (reference, id)).collect();
        for facts in &page.items {
            synced.people += 1;
            if let Some(id) = again.get(&facts.reference) {
                if !facts.active {
                    left.push((PersonId(*id), "disabled".into()));
                }
                continue;
            }
            let kept = fetch::keep(&mut tx, directory, facts, now).await?;
            synced.changed += usize::from(kept.changed);
            let was = kept.old_status.unwrap_or_default();
            let status = if facts.active { "active" } else { "disabled" };
            if !was.is_empty() && was != status {
                let subject = Subject { person: Some(PersonId(kept.id)), ..Subject::default() };
                event::append(&mut tx, &[by_system(subject, Fact::PersonChanged { old: was, new: status.into() })]).await?;
            }
            if !facts.active {
                left.push((PersonId(kept.id), status.into()));
            }
        }
        commit::commit(tx).await?;
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    let unseen = person::not_seen_since(&ctx.db, directory, started, 10_000).await?;
    let believable = (known / 20).max(20);
    if unseen.len() as i64 > believable {
        return Err(ServiceError::Unavailable(format!(
            "{} of {known} people are missing from the directory's list; that many did not leave at once, so nobody was counted as gone",
            unseen.len()
        )));
    }
    for row in unseen {
        // Missing from a list is not gone: ask for each by reference.
        if port.person(&row.reference).await.map_err(|error| ServiceError::Unavailable(error.to_string()))?.is_none() {
            let mut tx = ctx.db.begin().await?;
            let was = person::gone(&mut tx, PersonId(row.id), ctx.clock.now()).await?;
            let subject = Subject { person: Some(PersonId(row.id)), ..Subject::default() };
            event::append(&mut tx, &[by_system(subject, Fact::PersonChanged { old: was.unwrap_or_default(), new: "gone".into() })]).await?;
            commit::commit(tx).await?;
            synced.changed += 1;
            left.push((PersonId(row.id), "gone".into()));
        }
    }
    for (person, status) in left {
        synced.left += 1;
        offboard(ctx, person, &status).await?;
    }
    // Who has left decides nothing any more: the next source of their slots is asked.
    tend::tend_all(ctx, &step_clock::asking_the_inactive(&ctx.db, MOST_TENDED).await?).await?;
    // Who was found away before is no news.
    if synced.changed > 0 {
        let mut tx = ctx.db.begin().await?;
        let fact = Fact::DirectorySynced { directory: directory.into(), people: synced.people, changed: synced.changed };
        event::append(&mut tx, &[by_system(Subject::default(), fact)]).await?;
        commit::commit(tx).await?;
    }
    Ok(synced)
}

/// Ends everything of a person whom the directory calls `status`: leases, open requests, sessions, API
/// tokens. Who comes back begins without any of them.
///
/// # Errors
/// When the database fails.
pub async fn offboard(ctx: &Ctx, person: PersonId, status: &str) -> Result<(), ServiceError> {
    let mut tx = ctx.db.begin().await?;
    let (open, live) = (request::lock_open_of(&mut tx, person).await?, grant::lock_live_of(&mut tx, person).await?);
    let now = ctx.clock.now();
    let mut events = Vec::new();
    for row in open {
        request::close(&mut tx, row.id.into(), RequestStatus::Withdrawn, row.granted_s, now).await?;
        events.push(by_system(about(&row), Fact::RequestClosed { reason: format!("the beneficiary is {status} in the directory") }));
    }
    let mut targets = Vec::new();
    for row in live {
        grant::end(&mut tx, row.id.into(), EndReason::Offboarded, None, None, now).await?;
        events.push(by_system(about_grant(&row), Fact::GrantOffboarded { status: status.into() }));
        targets.push(row.target_id);
    }
    if person::end_sessions(&mut tx, person).await? > 0 {
        events.push(by_system(Subject { person: Some(person), ..Subject::default() }, Fact::SessionEnded { reason: "person_disabled".into() }));
    }
    for name in token::revoke_of_person(&mut tx, person, now).await? {
        events.push(by_system(Subject { person: Some(person), ..Subject::default() }, Fact::TokenRevoked { name }));
    }
    event::append(&mut tx, &events).await?;
    target::raise(&mut tx, &targets, now).await?;
    commit::commit(tx).await?;
    if !targets.is_empty() {
        ctx.wake.notify_one();
    }
    Ok(())
}
