//! Which groups make administrators and auditors.
//!
//! Settings name a group by its reference or its name; people are kept with references. Names are looked up now and
//! then, and what was found stays in force while the directory cannot be asked.

use std::sync::{Arc, RwLock};

use chrono::{DateTime, TimeDelta, Utc};

use crate::directory::facts::ReadError;

use super::ctx::Ctx;

/// How long a name is trusted to mean the same group.
const FOUND_LASTS: TimeDelta = TimeDelta::minutes(5);
/// How soon a look-up that failed is tried again.
const FAILED_LASTS: TimeDelta = TimeDelta::seconds(15);
/// How long the groups of a person count after the directory was last read. Rights do not outlive a directory that cannot be
/// asked: who was put out of the group meanwhile must not stay an administrator for as long as it is down.
const SEEN_LASTS: TimeDelta = TimeDelta::hours(24);

/// Whoever was seen in the directory at this time or before has no rights now.
pub fn stale(now: DateTime<Utc>) -> DateTime<Utc> {
    now - SEEN_LASTS
}

/// Directory and reference of the groups whose members have rights. A group gives them to people of its own directory alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Groups {
    /// Members are administrators.
    pub administrators: Vec<(String, String)>,
    /// Members are auditors.
    pub auditors: Vec<(String, String)>,
}

impl Groups {
    /// Whether somebody of `directory` who is in `groups` is an administrator, and whether an auditor.
    pub fn of(&self, directory: &str, groups: &[String]) -> (bool, bool) {
        let member = |of: &[(String, String)]| of.iter().any(|(whose, group)| whose == directory && groups.contains(group));
        (member(&self.administrators), member(&self.auditors))
    }
}

/// The groups as last looked up. Cloning shares them.
#[derive(Clone, Debug, Default)]
pub struct Rights(Arc<RwLock<Known>>);

#[derive(Debug, Default)]
struct Known {
    groups: Arc<Groups>,
    until: Option<DateTime<Utc>>,
}

impl Rights {
    /// The groups to hold people against; looked up again when that is due. Never fails: a name that cannot be looked
    /// up keeps its last meaning, and gives nobody any right before it had one.
    pub async fn groups(&self, ctx: &Ctx) -> Arc<Groups> {
        let now = ctx.clock.now();
        let last = {
            let mut known = self.0.write().unwrap_or_else(|poisoned| poisoned.into_inner());
            if known.until.is_some_and(|until| now < until) {
                return known.groups.clone();
            }
            // One request looks up; the others go on with what is known.
            known.until = Some(now + FAILED_LASTS);
            known.groups.clone()
        };
        let mut groups = Groups::default();
        let mut all_sure = true;
        for (directory, access) in ctx.access.iter() {
            for (configured, last, now) in [
                (&access.administrators_group, &last.administrators, &mut groups.administrators),
                (&access.auditors_group, &last.auditors, &mut groups.auditors),
            ] {
                let (found, sure) = look_up(ctx, directory, configured, last).await;
                now.extend(found.into_iter().map(|reference| (directory.clone(), reference)));
                all_sure &= sure;
            }
        }
        let groups = Arc::new(groups);
        let lasts = if all_sure { FOUND_LASTS } else { FAILED_LASTS };
        let mut known = self.0.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        known.groups = groups.clone();
        known.until = Some(ctx.clock.now() + lasts);
        groups
    }
}

/// The references that `configured` stands for, and whether the directory could be asked.
async fn look_up(ctx: &Ctx, key: &str, configured: &str, last: &[(String, String)]) -> (Vec<String>, bool) {
    if configured.is_empty() {
        return (Vec::new(), true);
    }
    let mut references = vec![configured.to_owned()];
    let Some(directory) = ctx.directories.get(key) else { return (references, true) };
    // What is a reference is never looked for as a name: anybody might call a group like it.
    let found = match directory.group(configured).await {
        Ok(Some(_)) => Ok(None),
        Ok(None) | Err(ReadError::Refused(_) | ReadError::Malformed(_)) => directory.find_group(configured).await,
        Err(error) => Err(error),
    };
    match found {
        Ok(found) => {
            references.extend(found.map(|group| group.reference));
            (references, true)
        }
        Err(error) => {
            tracing::warn!(directory = key, group = configured, why = %error, "a group that gives rights cannot be looked up");
            references.extend(last.iter().filter(|(whose, reference)| whose == key && reference != configured).map(|(_, reference)| reference.clone()));
            (references, false)
        }
    }
}
