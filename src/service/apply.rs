//! Makes the catalog what a file says, all or nothing.

use std::collections::BTreeMap;

use crate::clock::{Clock, new_id};
use crate::directory::port::Directory;
use crate::domain::event::{Actor, Channel, Event, Fact, Subject};
use crate::domain::id::PersonId;
use crate::evidence::canonical;
use crate::store::catalog;
use crate::store::catalog_write::write;
use crate::store::db::Db;
use crate::store::event;
use crate::store::{person, timetable};

use super::catalog_file::read::read;
use super::catalog_file::resolve::Found;
use super::commit::commit;
use super::error::ServiceError;
use super::fetch;
use super::plan::{Plan, ask, plan};

/// What became of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// What was to change, and what was wrong.
    pub plan: Plan,
    /// The event that tells of it; none when there was nothing to change, or something was wrong and nothing was changed.
    pub event: Option<i64>,
}

/// Applies `text`, called `source` in the log, in one transaction with its event `catalog.applied`. With a fault, or without a
/// change, nothing is written. Only one file is applied at a time.
///
/// # Errors
/// [`ServiceError::Unavailable`] when the directory or the database does not answer. A faulty file is no error: see
/// [`Plan::faults`].
pub async fn run(
    db: &Db,
    directories: &BTreeMap<String, Directory>,
    clock: &Clock,
    (text, source): (&str, &str),
    (actor, channel): (Actor, Channel),
) -> Result<Applied, ServiceError> {
    let file = read(text);
    let mut resolved = ask(db, directories, &file).await?;
    let mut tx = db.begin().await?;
    let now = clock.now();
    let current = catalog::whole(&mut tx).await?;
    for (id, facts) in &resolved.newcomers {
        let kept = PersonId(person::upsert(&mut tx, *id, &fetch::seen(&resolved.directory, facts), now).await?.id);
        // Somebody else may have met them since we looked; then theirs is the id that stays.
        for found in resolved.people.values_mut() {
            if let Found::One(person) = found
                && person.id == *id
            {
                person.id = kept;
            }
        }
    }
    let plan = plan(&file, &current, &resolved, &mut new_id);
    if !plan.is_good() || (plan.writes.is_empty() && plan.changes.is_empty()) {
        return Ok(Applied { plan, event: None });
    }
    write(&mut tx, &plan.writes, actor.person(), now).await?;
    let fact = Fact::CatalogApplied { source: source.to_owned(), digest: canonical::digest(text), changes: plan.lines(), change: None };
    let ids = event::append(&mut tx, &[Event { actor, channel, subject: Subject::default(), fact }]).await?;
    commit(tx).await?;
    // Other rules have other dead ends, and keep other roles apart.
    for look in ["health", "separation"] {
        timetable::run_now(db, look, now).await?;
    }
    Ok(Applied { plan, event: ids.first().copied() })
}
