//! Keeps what a directory says; notices who left, moved.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

use crate::clock::new_id;
use crate::directory::facts::PersonFacts;
use crate::domain::event::{Event, Fact, Subject};
use crate::domain::id::PersonId;
use crate::store::db::Tx;
use crate::store::error::StoreError;
use crate::store::leaver::{self, NewLeaver};
use crate::store::mover::{self, NewMover};
use crate::store::person::{self, Changed, New, Seen};
use crate::store::{event, recheck};

use super::commit::by_system;
use super::ctx::Ctx;
use super::error::ServiceError;

/// The attribute by which a connector tells when an account was switched off; a time as of RFC 3339.
const DEACTIVATED_AT: &str = "deactivated_at";

/// Where it was said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// In a listing of everybody.
    Listing,
    /// In answer to a question about this person, while something else was done. As of a listing, who is called switched off is asked
    /// about again before anything ends; who moved is looked at again, in good time.
    Read,
    /// In answer to the question whether somebody left or moved, by whoever goes on to look at what they hold, and whether so many may
    /// be believed.
    Recheck,
}

/// What was new.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Learned {
    /// People of whom something was new.
    pub changed: usize,
    /// Those who are called switched off and were active, and are asked about again.
    pub leaving: usize,
    /// Those who left.
    pub left: usize,
    /// Their ids by reference.
    pub ids: BTreeMap<String, PersonId>,
}

/// Keeps what `directory` said of these people, of whom nobody is said twice to be different. With its events: who is switched off or
/// back, and of whoever holds access each attribute that changed.
///
/// # Errors
/// When the database fails.
pub async fn learn(tx: &mut Tx, ctx: &Ctx, directory: &str, facts: &[PersonFacts], source: Source, now: DateTime<Utc>) -> Result<Learned, ServiceError> {
    let mut known = HashSet::with_capacity(facts.len());
    let facts: Vec<&PersonFacts> = facts.iter().filter(|facts| known.insert(facts.reference.as_str())).collect();
    let all: Vec<Seen> = facts.iter().map(|facts| seen(directory, facts)).collect();
    let again = person::seen_again(tx, directory, &all, now).await?;
    let mut learned = Learned { ids: again.into_iter().map(|(id, reference)| (reference, PersonId(id))).collect(), ..Learned::default() };
    let fresh: Vec<New<'_>> = all.iter().filter(|seen| !learned.ids.contains_key(&seen.reference)).map(|seen| New { id: PersonId(new_id()), seen }).collect();
    let rows = person::upsert_many(tx, directory, &fresh, source != Source::Recheck, now).await?;
    learned.ids.extend(rows.iter().map(|row| (row.reference.clone(), PersonId(row.id))));
    learned.changed = rows.iter().filter(|row| row.changed).count();
    let by_reference: HashMap<&str, &PersonFacts> = facts.iter().map(|facts| (facts.reference.as_str(), *facts)).collect();
    let told: Vec<(&Changed, &PersonFacts)> =
        rows.iter().filter(|row| row.changed).filter_map(|row| Some((row, *by_reference.get(row.reference.as_str())?))).collect();
    statuses(tx, ctx, directory, &told, source, now, &mut learned).await?;
    moves(tx, directory, &told, source, now).await?;
    Ok(learned)
}

/// [`learn`] for one person; their id.
///
/// # Errors
/// When the database fails.
pub async fn one(tx: &mut Tx, ctx: &Ctx, directory: &str, facts: &PersonFacts, source: Source, now: DateTime<Utc>) -> Result<PersonId, ServiceError> {
    let learned = learn(tx, ctx, directory, std::slice::from_ref(facts), source, now).await?;
    if learned.left + learned.leaving > 0 {
        ctx.wake.notify_one();
    }
    Ok(learned.ids.get(&facts.reference).copied().ok_or_else(|| StoreError::Broken("somebody who was just kept is not there".into()))?)
}

/// Notes that a directory no longer knows somebody. Returns whether that was new.
///
/// # Errors
/// When the database fails.
pub async fn gone(tx: &mut Tx, ctx: &Ctx, person: PersonId, now: DateTime<Utc>) -> Result<bool, ServiceError> {
    let Some(was) = person::gone(tx, person, now).await?.filter(|was| was != "gone") else { return Ok(false) };
    left(tx, ctx, person, &was, "gone", None, now).await?;
    Ok(true)
}

/// Writes that somebody's status changed, and, who was active, that they left.
async fn left(
    tx: &mut Tx,
    ctx: &Ctx,
    person: PersonId,
    was: &str,
    status: &str,
    deactivated_at: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Result<(), ServiceError> {
    let events = event::append(tx, &[changed(person, was, status)]).await?;
    if was == "active" {
        let event_id = events.first().copied().unwrap_or_default();
        let new = NewLeaver { id: new_id(), person, status, deactivated_at, sla_hours: ctx.provisioning.leaver_sla_hours, event_id };
        leaver::insert(tx, &new, now).await?;
    }
    Ok(())
}

fn changed(person: PersonId, old: &str, new: &str) -> Event {
    by_system(Subject { person: Some(person), ..Subject::default() }, Fact::PersonChanged { old: old.into(), new: new.into() })
}

async fn statuses(
    tx: &mut Tx,
    ctx: &Ctx,
    directory: &str,
    told: &[(&Changed, &PersonFacts)],
    source: Source,
    now: DateTime<Utc>,
    learned: &mut Learned,
) -> Result<(), ServiceError> {
    let (mut leaving, mut events) = (Vec::new(), Vec::new());
    for (row, facts) in told {
        let Some(was) = row.old_status.as_deref() else { continue };
        match (was, facts.active) {
            ("active", false) if source != Source::Recheck => leaving.push(row.reference.clone()),
            ("active", false) => {
                learned.left += 1;
                left(tx, ctx, row.id.into(), was, "disabled", deactivated_at(facts, now), now).await?;
            }
            // That they are back the database notes by itself.
            ("disabled" | "gone", true) => events.push(changed(row.id.into(), was, "active")),
            ("gone", false) => events.push(changed(row.id.into(), was, "disabled")),
            _ => {}
        }
    }
    event::append(tx, &events).await?;
    learned.leaving = leaving.len();
    // Of a whole listing they wait until it is whole.
    let (cause, held) = if source == Source::Listing { ("listing", true) } else { ("decision", false) };
    Ok(recheck::ask(tx, directory, &leaving, cause, held, now, now).await?)
}

/// When the directory says that an account was switched off; what lies ahead is not believed.
fn deactivated_at(facts: &PersonFacts, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let said = facts.attributes.get(DEACTIVATED_AT)?.first()?;
    DateTime::parse_from_rfc3339(said).ok().map(|at| at.with_timezone(&Utc)).filter(|at| *at <= now)
}

/// Writes what changed about who holds access, and has them looked at again.
async fn moves(tx: &mut Tx, directory: &str, told: &[(&Changed, &PersonFacts)], source: Source, now: DateTime<Utc>) -> Result<(), ServiceError> {
    let known: Vec<Uuid> = told.iter().filter(|(row, facts)| row.old_status.is_some() && facts.active).map(|(row, _)| row.id).collect();
    let holders: HashSet<Uuid> = mover::holders(tx, &known).await?.into_iter().collect();
    if holders.is_empty() {
        return Ok(());
    }
    // Groups that we gave ourselves are no news.
    let ours: HashSet<(Uuid, String)> = mover::own_groups(tx, &known).await?.into_iter().collect();
    let (mut events, mut movers, mut again) = (Vec::new(), Vec::new(), Vec::new());
    for (row, facts) in told.iter().filter(|(row, _)| holders.contains(&row.id)) {
        let mut found = attributes(row, facts);
        let old: BTreeSet<&str> = row.old_groups.iter().flatten().map(String::as_str).collect();
        let new: BTreeSet<&str> = facts.groups.iter().map(|group| group.reference.as_str()).collect();
        let not_ours = |reference: &&&str| !ours.contains(&(row.id, (**reference).to_owned()));
        let gone: Vec<String> = old.difference(&new).filter(not_ours).map(|reference| (*reference).to_owned()).collect();
        let joined: Vec<String> = new.difference(&old).filter(not_ours).map(|reference| (*reference).to_owned()).collect();
        if !gone.is_empty() || !joined.is_empty() {
            let names: HashMap<String, String> = mover::group_names(tx, directory, &gone).await?.into_iter().collect();
            let gone = gone.into_iter().map(|reference| names.get(&reference).cloned().unwrap_or(reference)).collect();
            let name = |reference: String| facts.groups.iter().find(|group| group.reference == reference).map_or(reference, |group| group.name.clone());
            found.push(("groups".into(), gone, joined.into_iter().map(name).collect()));
        }
        // A new name or address may be what a condition asks, too.
        if !found.is_empty() || old == new {
            again.push(row.reference.clone());
        }
        for (attribute, old, new) in found {
            let fact = Fact::PersonMoved { attribute: attribute.clone(), old: old.clone(), new: new.clone() };
            events.push(by_system(Subject { person: Some(row.id.into()), ..Subject::default() }, fact));
            movers.push(NewMover { id: new_id(), person: row.id, attribute, old, new, event_id: 0 });
        }
    }
    let ids = event::append(tx, &events).await?;
    for (mover, event_id) in movers.into_iter().zip(ids) {
        mover::insert(tx, &NewMover { event_id, ..mover }, now).await?;
    }
    if source != Source::Recheck {
        recheck::ask(tx, directory, &again, "moved", false, now, now).await?;
    }
    Ok(())
}

/// Attributes, the manager among them, whose values are others now: name, values before, values now.
fn attributes(row: &Changed, facts: &PersonFacts) -> Vec<(String, Vec<String>, Vec<String>)> {
    let texts = |value: &Value| -> Vec<String> {
        value.as_array().into_iter().flatten().filter_map(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned).collect()
    };
    let mut before: BTreeMap<String, Vec<String>> = match &row.old_attributes {
        Some(Value::Object(all)) => all.iter().map(|(key, value)| (key.clone(), texts(value))).collect(),
        _ => BTreeMap::new(),
    };
    let mut now: BTreeMap<String, Vec<String>> =
        facts.attributes.iter().map(|(key, values)| (key.clone(), values.iter().filter(|value| !value.is_empty()).cloned().collect())).collect();
    before.insert("manager".into(), row.old_manager.iter().cloned().collect());
    now.insert("manager".into(), facts.manager.iter().filter(|manager| !manager.is_empty()).cloned().collect());
    let keys: BTreeSet<String> = before.keys().chain(now.keys()).filter(|key| !key.is_empty() && *key != DEACTIVATED_AT).cloned().collect();
    keys.into_iter()
        .filter_map(|key| {
            let (old, new) = (before.remove(&key).unwrap_or_default(), now.remove(&key).unwrap_or_default());
            let set = |values: &[String]| values.iter().cloned().collect::<BTreeSet<String>>();
            (set(&old) != set(&new)).then_some((key, old, new))
        })
        .collect()
}

fn first(facts: &PersonFacts, attribute: &str) -> Option<String> {
    facts.attributes.get(attribute).and_then(|values| values.first()).filter(|value| !value.is_empty()).cloned()
}

/// A directory's facts as the store keeps them.
pub fn seen(directory: &str, facts: &PersonFacts) -> Seen {
    Seen {
        directory: directory.to_owned(),
        reference: facts.reference.clone(),
        user_name: facts.user_name.clone(),
        email: facts.email.clone().filter(|email| !email.is_empty()),
        display_name: facts.display_name.clone(),
        status: if facts.active { "active" } else { "disabled" },
        department: first(facts, "department"),
        title: first(facts, "title"),
        employment_type: first(facts, "employment_type"),
        manager_reference: facts.manager.clone().filter(|manager| !manager.is_empty()),
        attributes: serde_json::to_value(&facts.attributes).unwrap_or_default(),
        groups: facts.groups.iter().map(|group| group.reference.clone()).collect(),
    }
}
