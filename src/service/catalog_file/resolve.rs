//! Finds the people and groups of a catalog file, live.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt, TryStreamExt, stream};

use crate::clock::new_id;
use crate::directory::facts::{PersonFacts, ReadError};
use crate::directory::port::Directory;
use crate::domain::condition::Operator;
use crate::domain::id::PersonId;
use crate::service::ctx::Directories;
use crate::service::error::ServiceError;
use crate::store::db::Db;
use crate::store::person;

use super::model::{CatalogFile, ProcedureEntry, SourceEntry};

/// What a search by name came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found<T> {
    /// Exactly one.
    One(T),
    /// Several; a name that is not unique names nobody.
    Several,
    /// None.
    Nothing,
}

/// A person as a catalog needs to know them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundPerson {
    /// The id that stays; made up for somebody never seen before, and kept only if the catalog is applied.
    pub id: PersonId,
    /// The immutable id in the directory.
    pub reference: String,
    /// The name for people.
    pub name: String,
    /// False when disabled.
    pub active: bool,
}

/// A group as a catalog needs to know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundGroup {
    /// The immutable id in the directory.
    pub reference: String,
    /// Its name.
    pub name: String,
    /// Why its membership cannot be changed, if so.
    pub read_only: Option<String>,
    /// References of active direct members, at most as many as the procedure could ever need; empty unless it approves something.
    pub approvers: Vec<String>,
}

/// What the directories said about every name in a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolved {
    /// Key of the home directory: people, and groups where no other is named, were looked for in it.
    pub directory: String,
    /// Groups of another directory that is connected, by directory and then by what was written.
    pub elsewhere: BTreeMap<String, BTreeMap<String, Found<FoundGroup>>>,
    /// Keys of all directories that are connected, but for the home directory.
    pub others: Vec<String>,
    /// People by the login that was written.
    pub people: BTreeMap<String, Found<FoundPerson>>,
    /// Groups by the name or reference that was written.
    pub groups: BTreeMap<String, Found<FoundGroup>>,
    /// Those among them who were never seen before; to be kept when the catalog is applied.
    pub newcomers: Vec<(PersonId, PersonFacts)>,
}

impl Resolved {
    /// Where a condition looks for the group that it calls `name`, and what it is called there.
    pub fn place_of<'n>(&'n self, name: &'n str) -> (&'n str, &'n str) {
        place_of(name, &self.directory, &self.others)
    }
}

/// `KEY:NAME` is a group of the directory with that key, if it is one of the `others` that are connected; any other name is one of the
/// home directory.
pub fn place_of<'n>(name: &'n str, home: &'n str, others: &[String]) -> (&'n str, &'n str) {
    match name.split_once(':') {
        Some((key, bare)) if !bare.is_empty() && others.iter().any(|other| other == key) => (key, bare),
        _ => (home, name),
    }
}

/// The names that a file uses.
struct Names {
    people: BTreeSet<String>,
    groups: BTreeSet<String>,
    /// Groups of another directory: directory and group.
    elsewhere: BTreeSet<(String, String)>,
    /// Groups that approve, with the most members that could be needed.
    approving: BTreeMap<String, usize>,
}

fn names(file: &CatalogFile, home: &str, others: &[String]) -> Names {
    let mut names = Names { people: BTreeSet::new(), groups: BTreeSet::new(), elsewhere: BTreeSet::new(), approving: BTreeMap::new() };
    names.people.extend(file.applications.iter().map(|entry| entry.owner.value.clone()));
    names.people.extend(file.roles.iter().filter_map(|entry| entry.owner.as_ref()).map(|owner| owner.value.clone()));
    for role in &file.roles {
        match role.directory.as_ref().map(|directory| directory.value.as_str()).filter(|directory| *directory != home) {
            Some(directory) if !role.group.value.is_empty() => drop(names.elsewhere.insert((directory.to_owned(), role.group.value.clone()))),
            Some(_) => {}
            None => drop(names.groups.insert(role.group.value.clone())),
        }
    }
    for condition in file.conditions() {
        match condition.value.operator {
            Operator::MemberOf | Operator::NotMemberOf => {
                for name in &condition.value.values {
                    match place_of(name, home, others) {
                        (directory, name) if directory == home => drop(names.groups.insert(name.to_owned())),
                        (directory, name) => drop(names.elsewhere.insert((directory.to_owned(), name.to_owned()))),
                    }
                }
            }
            Operator::ReportsTo => names.people.extend(condition.value.values.iter().cloned()),
            _ => {}
        }
    }
    let seats = |procedure: &ProcedureEntry| procedure.steps.iter().flat_map(|step| &step.slots).map(|slot| slot.approvals as usize).sum::<usize>();
    // An exception to a separation rule adds the steps of its procedure to those of the policy.
    let together = if file.separation.iter().any(|rule| rule.procedure.is_some()) { file.procedures.iter().map(seats).max().unwrap_or(0) } else { 0 };
    for procedure in &file.procedures {
        for source in procedure.sources() {
            match &source.value {
                SourceEntry::Person(login) => drop(names.people.insert(login.clone())),
                SourceEntry::Group(group) => {
                    names.groups.insert(group.clone());
                    let most = names.approving.entry(group.clone()).or_default();
                    *most = (seats(procedure) + together).max(*most);
                }
                _ => {}
            }
        }
    }
    names.people.remove("");
    names.groups.remove("");
    names
}

/// How many questions are with the directory at a time.
const AT_ONCE: usize = 8;

/// Asks the home directory about every person and group that `file` names, but for the groups of roles that are given in another
/// directory, about which that one is asked. Writes nothing.
///
/// # Errors
/// [`ServiceError::Unavailable`] when the directory does not answer: a name it did not speak about is never called unknown.
pub async fn resolve(db: &Db, directories: &Directories, file: &CatalogFile) -> Result<Resolved, ServiceError> {
    let (key, directory) = directories.home()?;
    let others: Vec<String> = directories.keys().filter(|other| *other != key).cloned().collect();
    let names = names(file, key, &others);
    let people: Vec<(String, Found<PersonFacts>)> = stream::iter(names.people)
        .map(|login| async move {
            let found = match directory.find_person("user_name", &login).await {
                Ok(Some(facts)) => Found::One(facts),
                Ok(None) => Found::Nothing,
                Err(ReadError::Several { .. }) => Found::Several,
                Err(error) => return Err(unanswered(error)),
            };
            Ok((login, found))
        })
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await?;
    let approving = &names.approving;
    let groups: BTreeMap<String, Found<FoundGroup>> = stream::iter(names.groups)
        .map(|name| async move {
            let found = group(directory, &name, approving.get(&name).copied().unwrap_or(0)).await?;
            Ok::<_, ServiceError>((name, found))
        })
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await?;
    let mut elsewhere: BTreeMap<String, BTreeMap<String, Found<FoundGroup>>> = BTreeMap::new();
    for (other, name) in names.elsewhere {
        // One that is not connected is a fault of the file.
        let Some(directory) = directories.get(&other) else { continue };
        let found = group(directory, &name, 0).await?;
        elsewhere.entry(other).or_default().insert(name, found);
    }

    let references: Vec<String> =
        people.iter().filter_map(|(_, found)| if let Found::One(facts) = found { Some(facts.reference.clone()) } else { None }).collect();
    let mut known: BTreeMap<String, PersonId> =
        person::by_references(db, key, &references).await?.into_iter().map(|row| (row.reference, PersonId(row.id))).collect();
    let mut resolved = Resolved { directory: key.to_owned(), groups, elsewhere, others, ..Resolved::default() };
    for (login, found) in people {
        let found = match found {
            Found::One(facts) => {
                let id = *known.entry(facts.reference.clone()).or_insert_with(|| {
                    let id = PersonId(new_id());
                    resolved.newcomers.push((id, facts.clone()));
                    id
                });
                Found::One(FoundPerson { id, reference: facts.reference, name: facts.display_name, active: facts.active })
            }
            Found::Several => Found::Several,
            Found::Nothing => Found::Nothing,
        };
        resolved.people.insert(login, found);
    }
    Ok(resolved)
}

/// The group whose reference `name` is, or else the one that is called so, with up to `wanted` active members. A reference comes
/// first: nobody can choose theirs, where a name may be chosen to look like one.
async fn group(directory: &Directory, name: &str, wanted: usize) -> Result<Found<FoundGroup>, ServiceError> {
    let meant = match directory.group(name).await {
        Ok(facts) => facts,
        // Not every text can be a reference; some servers say so with an error of their own.
        Err(ReadError::Malformed(_) | ReadError::Refused(_)) => None,
        Err(error) => return Err(unanswered(error)),
    };
    let facts = match meant {
        Some(facts) => Some(facts),
        None => match directory.find_group(name).await {
            Ok(Some(named)) => directory.group(&named.reference).await.map_err(unanswered)?,
            Ok(None) => None,
            Err(ReadError::Several { .. }) => return Ok(Found::Several),
            Err(error) => return Err(unanswered(error)),
        },
    };
    let Some(facts) = facts else { return Ok(Found::Nothing) };
    let mut approvers = Vec::new();
    let mut members = stream::iter(if wanted == 0 { Vec::new() } else { facts.members })
        .map(|reference| async move { directory.person(&reference).await.map(|facts| facts.filter(|facts| facts.active).map(|facts| facts.reference)) })
        .buffered(AT_ONCE);
    while approvers.len() < wanted
        && let Some(member) = members.next().await
    {
        approvers.extend(member.map_err(unanswered)?);
    }
    Ok(Found::One(FoundGroup { reference: facts.reference, name: facts.name, read_only: facts.read_only, approvers }))
}

fn unanswered(error: ReadError) -> ServiceError {
    ServiceError::Unavailable(format!("{error} The catalog was compared with nothing and nothing was changed; try again."))
}
