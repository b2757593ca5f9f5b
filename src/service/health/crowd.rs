//! Everybody in memory, as last seen.

use std::collections::{BTreeMap, HashMap};

use uuid::Uuid;

use crate::directory::facts::ReadError;
use crate::directory::port::Directory;
use crate::domain::condition::{Condition, Operator, directory_and_reference};
use crate::domain::id::PersonId;
use crate::domain::person::{Above, GroupRef, PersonSnapshot};
use crate::service::ctx::Ctx;
use crate::service::error::ServiceError;
use crate::store::crowd::{self, CrowdRow};

/// How many people are read at a time.
const PAGE: i64 = 2_000;
/// The longest line of managers that is followed, as when asking.
const LONGEST_LINE: usize = 20;

/// People by a small number each.
#[derive(Debug, Default)]
pub struct Crowd {
    /// As a decision sees them; of their groups only those that some condition names.
    pub people: Vec<PersonSnapshot>,
    managers: Vec<Option<u32>>,
    by_id: HashMap<PersonId, u32>,
    members: HashMap<(String, String), Vec<u32>>,
}

/// The groups that conditions name, as found.
#[derive(Debug, Default)]
struct Named {
    /// By directory and reference: the name.
    names: HashMap<(String, String), String>,
    /// A condition looks at the names of all groups.
    all: bool,
}

impl Crowd {
    /// Everybody who is not gone, with what `conditions` look at, as last seen.
    ///
    /// # Errors
    /// [`ServiceError::Unavailable`] when the directory does not answer; otherwise when the database fails.
    pub async fn load(ctx: &Ctx, conditions: &[&Condition]) -> Result<Self, ServiceError> {
        let mut rows: Vec<CrowdRow> = Vec::new();
        loop {
            let after = rows.last().map_or(Uuid::nil(), |row| row.id);
            let mut page = crowd::page(&ctx.db, after, PAGE).await?;
            let full = page.len() as i64 == PAGE;
            rows.append(&mut page);
            if !full {
                break;
            }
        }
        let named = named(ctx, conditions).await?;
        let looks_up = conditions.iter().any(|condition| condition.operator == Operator::ReportsTo);
        Ok(Self::of(rows, &named, looks_up, ctx.clock.now()))
    }

    fn of(rows: Vec<CrowdRow>, named: &Named, looks_up: bool, now: chrono::DateTime<chrono::Utc>) -> Self {
        let number = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        let by_id = rows.iter().enumerate().map(|(at, row)| (PersonId(row.id), number(at))).collect();
        let by_reference: HashMap<(&str, &str), u32> =
            rows.iter().enumerate().map(|(at, row)| ((row.directory.as_str(), row.reference.as_str()), number(at))).collect();
        let managers: Vec<Option<u32>> = rows
            .iter()
            .map(|row| row.manager_reference.as_deref().and_then(|reference| by_reference.get(&(row.directory.as_str(), reference))).copied())
            .collect();
        let mut members: HashMap<(String, String), Vec<u32>> = HashMap::new();
        for (at, row) in rows.iter().enumerate().filter(|(_, row)| row.active) {
            for group in &row.groups {
                members.entry((row.directory.clone(), group.clone())).or_default().push(number(at));
            }
        }
        let lines: Vec<Vec<Above>> = if looks_up { (0..rows.len()).map(|at| line(at, &rows, &managers)).collect() } else { vec![vec![]; rows.len()] };
        let people = rows.into_iter().zip(lines).map(|(row, line)| snapshot(row, line, named, now)).collect();
        Self { people, managers, by_id, members }
    }

    /// The number of a person, if they are known.
    pub fn number(&self, id: PersonId) -> Option<u32> {
        self.by_id.get(&id).copied()
    }

    /// Whether this one is active.
    pub fn is_active(&self, number: u32) -> bool {
        self.people.get(number as usize).is_some_and(|person| person.active)
    }

    /// Who manages this one, active or not.
    pub fn manager(&self, number: u32) -> Option<u32> {
        self.managers.get(number as usize).copied().flatten()
    }

    /// The active members of a group.
    pub fn members(&self, directory: &str, reference: &str) -> &[u32] {
        self.members.get(&(directory.to_owned(), reference.to_owned())).map_or(&[], Vec::as_slice)
    }
}

fn line(of: usize, rows: &[CrowdRow], managers: &[Option<u32>]) -> Vec<Above> {
    let mut line: Vec<Above> = Vec::new();
    let mut next = managers[of];
    while let Some(row) = next.and_then(|at| rows.get(at as usize)) {
        if line.len() >= LONGEST_LINE || row.reference == rows[of].reference || line.iter().any(|above| above.reference == row.reference) {
            break;
        }
        line.push(Above { reference: row.reference.clone(), user_name: row.user_name.clone() });
        next = next.and_then(|at| managers[at as usize]);
    }
    line
}

fn snapshot(row: CrowdRow, line: Vec<Above>, named: &Named, now: chrono::DateTime<chrono::Utc>) -> PersonSnapshot {
    let directory = row.directory;
    let groups = row
        .groups
        .into_iter()
        .filter_map(|reference| match named.names.get(&(directory.clone(), reference.clone())) {
            Some(name) => Some(GroupRef { name: name.clone(), reference }),
            None => named.all.then(|| GroupRef { name: reference.clone(), reference }),
        })
        .collect();
    PersonSnapshot {
        person: PersonId(row.id),
        directory,
        reference: row.reference,
        user_name: row.user_name,
        display_name: row.display_name,
        email: row.email,
        active: row.active,
        manager: row.manager_reference,
        attributes: row.attributes.0,
        groups,
        line,
        fetched_at: now,
    }
}

/// What the groups that `conditions` ask about are called: as their versions say, without asking; every group is listed only where a
/// condition looks at names.
async fn named(ctx: &Ctx, conditions: &[&Condition]) -> Result<Named, ServiceError> {
    let by_membership = |condition: &&&Condition| matches!(condition.operator, Operator::MemberOf | Operator::NotMemberOf);
    let all = conditions.iter().any(|condition| !by_membership(&condition) && condition.attribute == "groups");
    let meant = conditions.iter().filter(by_membership).flat_map(|condition| condition.values.iter().zip(condition.shown()));
    let meant = meant.filter_map(|(value, name)| directory_and_reference(value).map(|place| (place, name)));
    let mut names: HashMap<(String, String), String> = meant.map(|((at, reference), name)| ((at.to_owned(), reference.to_owned()), name.clone())).collect();
    if all {
        for (key, directory) in ctx.directories.iter() {
            names.extend(listing(directory).await?.into_iter().map(|group| ((key.clone(), group.reference), group.name)));
        }
    }
    Ok(Named { names, all: all && !ctx.directories.is_empty() })
}

async fn listing(directory: &Directory) -> Result<Vec<GroupRef>, ServiceError> {
    let mut groups: BTreeMap<String, GroupRef> = BTreeMap::new();
    let mut cursor = None;
    loop {
        let page = directory.groups(cursor).await.map_err(|error| unavailable(&error))?;
        groups.extend(page.items.into_iter().map(|group| (group.reference.clone(), GroupRef { reference: group.reference, name: group.name })));
        cursor = page.next;
        if cursor.is_none() {
            return Ok(groups.into_values().collect());
        }
    }
}

fn unavailable(error: &ReadError) -> ServiceError {
    ServiceError::Unavailable(format!("{error} Who could approve cannot be said now; try again in a moment."))
}
