//! The catalog as the file that reads back to it.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use crate::directory::facts::ReadError;
use crate::directory::port::Directory;
use crate::domain::condition::{Condition, Operator, directory_and_reference, meant};
use crate::domain::id::PersonId;
use crate::domain::policy::{ApprovalProcedure, ApproverSource};
use crate::store::catalog::{self, Catalog};
use crate::store::db::Db;
use crate::store::person;

use super::catalog_file::write::{Called, toml as written};
use super::ctx::Directories;
use super::error::ServiceError;

/// Everything that is not retired, as the TOML that [`super::plan::run`] reads: applied at once it changes nothing. Things come in
/// the order of their keys, so that two exports of the same catalog are the same text. A group is called by its name where the
/// directory has one group of that name and it is this one; else, and while the directory does not answer, by its reference.
///
/// # Errors
/// [`ServiceError::Unavailable`] when the database does not answer.
pub async fn toml(db: &Db, directories: &Directories) -> Result<String, ServiceError> {
    let current = {
        let mut tx = db.begin().await?;
        catalog::whole(&mut tx).await?
    };
    let mut called = Called { people: logins(db, &current).await?, ..Called::default() };
    if let Ok((home, _)) = directories.home() {
        called.directory = home.to_owned();
        called.above = above(db, home, &current).await?;
    }
    for (key, directory) in directories.iter() {
        // Where nothing is named there is nothing to be called.
        let is_named = *key == called.directory
            || current.roles.iter().any(|role| !role.retired && role.directory.as_ref() == Some(key))
            || conditions(&current).any(|condition| condition.values.iter().any(|value| directory_and_reference(value).is_some_and(|(at, _)| at == key)));
        let names = if is_named { unique_names(directory).await.unwrap_or_default() } else { BTreeMap::new() };
        called.groups.insert(key.clone(), names);
    }
    Ok(written(&current, &called))
}

/// Whom the catalog names, by the login they were last seen with.
async fn logins(db: &Db, catalog: &Catalog) -> Result<BTreeMap<PersonId, String>, ServiceError> {
    let owners = catalog.applications.iter().map(|row| row.owner_id).chain(catalog.roles.iter().map(|row| row.owner_id));
    let ids: BTreeSet<Uuid> = owners.chain(catalog.procedures.iter().flat_map(|procedure| people(&procedure.body))).collect();
    let ids: Vec<Uuid> = ids.into_iter().collect();
    Ok(person::by_ids(db, &ids).await?.into_iter().map(|row| (PersonId(row.id), row.user_name)).collect())
}

/// Every condition of the catalog.
fn conditions(catalog: &Catalog) -> impl Iterator<Item = &Condition> {
    let steps = catalog.procedures.iter().flat_map(|latest| &latest.body.steps).flat_map(|step| &step.when.conditions);
    let rules = catalog.profiles.iter().flat_map(|latest| &latest.body.rules).flat_map(|rule| &rule.conditions);
    let policies = catalog.policies.iter().map(|(latest, _)| &latest.body);
    steps.chain(rules).chain(policies.flat_map(|body| body.applies_to.iter().chain(body.auto_rules.iter().flat_map(|rule| &rule.conditions))))
}

/// Logins of those whom conditions name, by what stands for them there.
async fn above(db: &Db, home: &str, catalog: &Catalog) -> Result<BTreeMap<String, String>, ServiceError> {
    let named = conditions(catalog).filter(|condition| condition.operator == Operator::ReportsTo).flat_map(|condition| &condition.values);
    let references: BTreeSet<&str> = named.filter_map(|value| directory_and_reference(value)).filter(|(at, _)| *at == home).map(|(_, who)| who).collect();
    let references: Vec<String> = references.into_iter().map(str::to_owned).collect();
    Ok(person::by_references(db, home, &references).await?.into_iter().map(|row| (meant(home, &row.reference), row.user_name)).collect())
}

fn people(procedure: &ApprovalProcedure) -> impl Iterator<Item = Uuid> {
    let slots = procedure.steps.iter().flat_map(|step| &step.slots).flat_map(|slot| &slot.sources);
    let escalations = procedure.steps.iter().filter_map(|step| step.escalation.as_ref()).flat_map(|to| &to.sources);
    slots.chain(escalations).filter_map(|source| if let ApproverSource::Person { id, .. } = source { Some(id.0) } else { None })
}

/// Names of groups by reference, those that no other group has in any case of letters or is referred to by.
async fn unique_names(directory: &Directory) -> Result<BTreeMap<String, String>, ReadError> {
    let mut named: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
    let mut references: BTreeSet<String> = BTreeSet::new();
    let mut cursor = None;
    loop {
        let page = directory.groups(cursor).await?;
        for group in page.items {
            references.insert(group.reference.clone());
            named.entry(group.name.to_lowercase()).or_default().push((group.reference, group.name));
        }
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    // What is some group's reference means that group, whatever else is called so.
    let trimmed = |name: &str| name.trim() == name && !name.is_empty() && !references.contains(name);
    Ok(named.into_values().filter(|same| same.len() == 1).flatten().filter(|(_, name)| trimmed(name)).collect())
}
