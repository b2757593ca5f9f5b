//! Looks for grants that separation rules keep apart.

use crate::clock::new_id;
use crate::domain::event::{Event, Fact, Subject};
use crate::domain::id::{GrantId, PersonId};
use crate::store::{event, finding};

use super::commit::{self, by_system};
use super::ctx::Ctx;
use super::error::ServiceError;

/// What a scan found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scanned {
    /// Pairs of grants that are held together now.
    pub open: usize,
    /// Of these, how many are new.
    pub found: usize,
    /// How many are no longer held together, or no longer kept apart.
    pub resolved: usize,
}

/// Holds every live grant against the separation rules in force. What is new is kept with an event `separation.found`, what is over is
/// ended with one `separation.resolved`, each once. A new version of a rule that still keeps two apart is nothing new.
///
/// # Errors
/// When the database fails; then nothing is changed.
pub async fn scan(ctx: &Ctx) -> Result<Scanned, ServiceError> {
    let now = ctx.clock.now();
    let mut tx = ctx.db.begin().await?;
    let open = finding::lock_open(&mut tx).await?;
    let apart = finding::apart(&mut tx).await?;
    let pair = |a, b| if a < b { (a, b) } else { (b, a) };
    let mut scanned = Scanned { open: apart.len(), ..Scanned::default() };
    let mut events: Vec<Event> = Vec::new();
    let about = |person| Subject { person: Some(PersonId(person)), ..Subject::default() };
    for new in &apart {
        let same = |old: &&finding::OpenApart| old.rule_id == new.rule_id && pair(old.grant_a, old.grant_b) == pair(new.grant_a, new.grant_b);
        if open.iter().find(same).is_some() {
            continue;
        }
        finding::open(&mut tx, new_id(), new, now).await?;
        let rule = format!("{} v{}", new.key, new.version);
        events.push(by_system(about(new.person_id), Fact::SeparationFound { rule, grant_a: GrantId(new.grant_a), grant_b: GrantId(new.grant_b) }));
        scanned.found += 1;
    }
    for old in &open {
        let same = |new: &finding::Apart| old.rule_id == new.rule_id && pair(old.grant_a, old.grant_b) == pair(new.grant_a, new.grant_b);
        if apart.iter().any(same) {
            continue;
        }
        finding::resolve(&mut tx, old.id, now).await?;
        let rule = format!("{} v{}", old.key, old.version);
        events.push(by_system(about(old.person_id), Fact::SeparationResolved { rule, grant_a: GrantId(old.grant_a), grant_b: GrantId(old.grant_b) }));
        scanned.resolved += 1;
    }
    if events.is_empty() {
        return Ok(scanned);
    }
    event::append(&mut tx, &events).await?;
    commit::commit(tx).await?;
    Ok(scanned)
}
