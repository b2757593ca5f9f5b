//! Asks the directory about a person, now.

use chrono::{DateTime, Utc};

use crate::directory::facts::PersonFacts;
use crate::directory::port::Directory;
use crate::domain::id::PersonId;
use crate::domain::person::{Above, PersonSnapshot};
use crate::store::person::PersonRow;
use crate::store::recheck;

use super::alone;
use super::commit;
use super::ctx::Ctx;
use super::error::ServiceError;
use super::learn::{self, Source, seen};

/// The directory with this key.
///
/// # Errors
/// [`ServiceError::Unavailable`] when none is configured under it any more.
pub fn directory<'a>(ctx: &'a Ctx, key: &str) -> Result<&'a Directory, ServiceError> {
    ctx.directories.get(key).ok_or_else(|| {
        ServiceError::Unavailable(format!(
            "The directory {key} is not configured any more, so nothing can be decided. An administrator has to look at the settings."
        ))
    })
}

/// `row`'s person as the directory describes them at this moment; somebody whom it no longer knows comes back inactive. What is new
/// is kept.
///
/// # Errors
/// [`ServiceError::Unavailable`] when the directory does not answer: never decide on what was seen before.
pub async fn person(ctx: &Ctx, row: &PersonRow) -> Result<PersonSnapshot, ServiceError> {
    let facts = ask(ctx, &row.directory, &row.reference).await?;
    let now = ctx.clock.now();
    match facts {
        Some(facts) => {
            if differs(row, &facts) {
                let mut tx = ctx.db.begin().await?;
                learn::one(&mut tx, ctx, &row.directory, &facts, Source::Read, now).await?;
                commit::commit(tx).await?;
            }
            Ok(snapshot(PersonId(row.id), &row.directory, facts, now))
        }
        None => {
            if row.status != "gone" {
                // Nothing ends for one answer; it is asked again right away.
                let mut tx = ctx.db.begin().await?;
                recheck::ask(&mut tx, &row.directory, std::slice::from_ref(&row.reference), "decision", false, now, now).await?;
                commit::commit(tx).await?;
            }
            Ok(nobody(row, now))
        }
    }
}

/// What a directory says of a person. One that is busy is left alone by everybody.
async fn ask(ctx: &Ctx, key: &str, reference: &str) -> Result<Option<PersonFacts>, ServiceError> {
    match directory(ctx, key)?.person(reference).await {
        Ok(facts) => Ok(facts),
        Err(error) => Err(match alone::heed(ctx, key, &error).await {
            ServiceError::Unavailable(why) => ServiceError::Unavailable(format!("{why} Nothing was decided; what you entered is kept. Try again in a moment.")),
            other => other,
        }),
    }
}

/// Somebody whom the directory does not know.
fn nobody(row: &PersonRow, now: DateTime<Utc>) -> PersonSnapshot {
    PersonSnapshot {
        person: PersonId(row.id),
        directory: row.directory.clone(),
        reference: row.reference.clone(),
        user_name: row.user_name.clone(),
        display_name: row.display_name.clone(),
        email: row.email.clone(),
        active: false,
        manager: None,
        attributes: Default::default(),
        groups: Vec::new(),
        line: Vec::new(),
        fetched_at: now,
    }
}

/// The longest line of managers that is followed.
const LONGEST_LINE: usize = 20;

/// Everybody above `person`, nearest first, asked of the directory now; ends at somebody it does not know, and where the line bites
/// its own tail.
///
/// # Errors
/// [`ServiceError::Unavailable`] when the directory does not answer.
pub async fn line(ctx: &Ctx, person: &PersonSnapshot) -> Result<Vec<Above>, ServiceError> {
    let mut line: Vec<Above> = Vec::new();
    let mut next = person.manager.clone();
    while let Some(reference) = next.filter(|reference| !reference.is_empty()) {
        if line.len() >= LONGEST_LINE || reference == person.reference || line.iter().any(|above| above.reference == reference) {
            break;
        }
        let Some(facts) = ask(ctx, &person.directory, &reference).await? else { break };
        next = facts.manager;
        line.push(Above { reference: facts.reference, user_name: facts.user_name });
    }
    Ok(line)
}

/// A directory's facts as the decision wants them.
pub fn snapshot(person: PersonId, directory: &str, facts: PersonFacts, now: DateTime<Utc>) -> PersonSnapshot {
    PersonSnapshot {
        person,
        directory: directory.to_owned(),
        reference: facts.reference,
        user_name: facts.user_name,
        display_name: facts.display_name,
        email: facts.email,
        active: facts.active,
        manager: facts.manager,
        attributes: facts.attributes,
        groups: facts.groups,
        line: Vec::new(),
        fetched_at: now,
    }
}

fn differs(row: &PersonRow, facts: &PersonFacts) -> bool {
    let seen = seen(&row.directory, facts);
    let mut groups = seen.groups.clone();
    let mut kept = row.groups.clone();
    groups.sort_unstable();
    kept.sort_unstable();
    (&seen.user_name, &seen.email, &seen.display_name, seen.status, &seen.department, &seen.title, &seen.manager_reference)
        != (&row.user_name, &row.email, &row.display_name, row.status.as_str(), &row.department, &row.title, &row.manager_reference)
        || groups != kept
}
