//! Compares the groups with the leases, whole.

use std::collections::{BTreeMap, HashSet};

use uuid::Uuid;

use crate::clock::new_id;
use crate::directory::facts::ReadError;
use crate::directory::port::Directory;
use crate::store::target;

use super::ctx::Ctx;
use super::drift::compare::{Seen, Through, compare};
use super::drift::settle::settle;
use super::error::ServiceError;
use super::{alone, fetch};

/// How deep groups within groups are followed.
const DEEPEST: usize = 10;
/// How many groups within one are read at most.
const MOST_NESTED: usize = 500;

/// What a sweep found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Groups read.
    pub groups: usize,
    /// Members that no lease explains.
    pub unexpected: usize,
    /// Members that a lease wants and the directory lacks.
    pub missing: usize,
    /// Members that stayed although their lease has ended.
    pub lingering: usize,
    /// Members declared, as their group was looked at for the first time.
    pub declared: usize,
}

/// Reads every managed group of `directory` and compares it with the memberships: what is missing or lingers is owed again, what no
/// lease explains is reported, and then settled as the roles say. Whoever is in a group at its first comparison is declared as having
/// been there before. A group that cannot be read changes nothing.
///
/// # Errors
/// When the directory or the database fails; groups compared before stay compared.
pub async fn sweep(ctx: &Ctx, directory: &str) -> Result<Swept, ServiceError> {
    let (mut swept, id) = (Swept::default(), new_id());
    for group in target::managed_groups(&ctx.db, directory).await? {
        one(ctx, (directory, id), &group, &mut swept).await?;
    }
    settle(ctx, directory).await?;
    if swept.missing + swept.lingering > 0 {
        ctx.wake.notify_one();
    }
    Ok(swept)
}

async fn one(ctx: &Ctx, run: (&str, Uuid), group: &str, swept: &mut Swept) -> Result<(), ServiceError> {
    let seen = match read(fetch::directory(ctx, run.0)?, group).await {
        Ok(seen) => seen,
        Err(error) => return Err(alone::heed(ctx, run.0, &error).await),
    };
    compare(ctx, run, group, seen, swept).await
}

/// Who is in a group, directly and by the groups inside it; none when the directory does not know it.
///
/// # Errors
/// When there is no trustworthy answer, or groups are nested deeper than 10 or more than 500 of them.
pub async fn read(directory: &Directory, group: &str) -> Result<Option<Seen>, ReadError> {
    let Some(top) = directory.group(group).await? else { return Ok(None) };
    let mut seen = Seen { direct: top.members, inherited: BTreeMap::new() };
    let mut known: HashSet<String> = HashSet::from([group.to_owned()]);
    let mut level = top.nested;
    for _ in 0..DEEPEST {
        let mut below = Vec::new();
        for inner in level {
            if !known.insert(inner.clone()) {
                continue;
            }
            if known.len() > MOST_NESTED {
                return Err(ReadError::Malformed(format!("more than {MOST_NESTED} groups are inside this one")));
            }
            let Some(found) = directory.group(&inner).await? else { continue };
            for member in found.members {
                seen.inherited.entry(member).or_insert_with(|| Through { group: found.reference.clone(), name: found.name.clone() });
            }
            below.extend(found.nested);
        }
        if below.is_empty() {
            let direct: HashSet<&String> = seen.direct.iter().collect();
            seen.inherited.retain(|member, _| !direct.contains(member));
            return Ok(Some(seen));
        }
        level = below;
    }
    Err(ReadError::Malformed(format!("groups are nested deeper than {DEEPEST}")))
}
