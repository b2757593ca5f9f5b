//! What changed since the company file, kept on disk.
//!
//! The file holds only differences (who was disabled or enabled, who was added to or removed from which group), by name,
//! so that it survives an edit of the company file and can be read by a person. It is replaced by an atomic rename;
//! what changed in the last moments before a crash may be missing from it.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::register::{Directory, Register};

/// How long changes are gathered before they are written together.
const GATHER: Duration = Duration::from_millis(50);
/// How long to wait before a failed write is tried again.
const RETRY: Duration = Duration::from_secs(2);

/// Why the state file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    /// It is there and cannot be opened.
    #[error("cannot read the demo state {}: {source}", path.display())]
    Read {
        /// Where it is.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is not what this program writes.
    #[error("the demo state {} cannot be understood ({source}); delete it to begin again with the company as it was", path.display())]
    Understand {
        /// Where it is.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    people: Vec<KeptPerson>,
    groups: Vec<KeptGroup>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeptPerson {
    user_name: String,
    active: bool,
    at: DateTime<Utc>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeptGroup {
    name: String,
    added: Vec<String>,
    removed: Vec<String>,
    at: DateTime<Utc>,
}

/// Brings what `path` holds into the directory; a file that is not there is an empty one. People and groups that the
/// company no longer has are passed over. Fails when the file cannot be read or understood, and then changes nothing.
pub fn load(path: &Path, directory: &mut Directory) -> Result<(), KeepError> {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(source) => {
            return Err(KeepError::Read { path: path.into(), source });
        }
    };
    let kept: Kept = serde_json::from_slice(&text).map_err(|source| KeepError::Understand { path: path.into(), source })?;
    for person in kept.people {
        if let Some(at) = directory.person_named(&person.user_name) {
            directory.set_active(at, person.active, person.at);
        }
    }
    for group in kept.groups {
        let Some(at) = directory.group_named(&group.name) else {
            continue;
        };
        let people = |names: &[String]| names.iter().filter_map(|name| directory.person_named(name)).collect();
        let (added, removed) = (people(&group.added), people(&group.removed));
        directory.change_members(at, &added, &removed, group.at);
    }
    Ok(())
}

/// Writes the state after every change, gathered over a moment, until `stop` says so or its sender is gone; then once more.
pub async fn keep(register: Arc<Register>, path: PathBuf, mut stop: watch::Receiver<bool>) {
    let mut stopping = false;
    while !stopping {
        stopping = tokio::select! {
            () = register.changed.notified() => false,
            _ = stop.changed() => true,
        };
        if !stopping {
            tokio::time::sleep(GATHER).await;
        }
        let text = serde_json::to_vec_pretty(&collect(&register.read()));
        let target = path.clone();
        let written = tokio::task::spawn_blocking(move || write(&target, &text?)).await;
        if let Err(error) = written.map_err(std::io::Error::other).flatten() {
            tracing::error!(path = %path.display(), %error, "the demo state could not be written; it is tried again after the next change");
            if !stopping {
                tokio::time::sleep(RETRY).await;
                register.changed.notify_one();
            }
        }
    }
}

fn collect(directory: &Directory) -> Kept {
    let name = |at: &usize| directory.people[*at].person.user_name.clone();
    Kept {
        people: directory
            .people
            .iter()
            .filter(|member| member.touched)
            .map(|member| KeptPerson { user_name: member.person.user_name.clone(), active: member.person.active, at: member.modified })
            .collect(),
        groups: directory
            .groups
            .iter()
            .filter(|circle| circle.touched)
            .map(|circle| {
                let first = circle.group.members.iter().copied().collect();
                KeptGroup {
                    name: circle.group.name.clone(),
                    added: circle.members.difference(&first).map(name).collect(),
                    removed: first.difference(&circle.members).map(name).collect(),
                    at: circle.modified,
                }
            })
            .collect(),
    }
}

fn write(path: &Path, text: &[u8]) -> std::io::Result<()> {
    let beside = path.with_extension("new");
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut file = std::fs::File::create(&beside)?;
    file.write_all(text)?;
    file.sync_all()?;
    std::fs::rename(&beside, path)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::clock::Clock;
    use crate::demo::company::Company;

    #[test]
    fn what_changed_comes_back_and_names_that_are_gone_are_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new folder").join("demo.json");
        let now = Clock::system().now();
        let fresh = || Register::new(Company::embedded().unwrap(), now);
        let before = fresh();
        {
            let mut directory = before.write();
            let (bo, liam) = (directory.person_named("bo.lind").unwrap(), directory.person_named("liam.byrne").unwrap());
            let (readers, console) = (directory.group_named("orders-db-readers").unwrap(), directory.group_named("support-console").unwrap());
            directory.set_active(bo, false, now);
            directory.change_members(readers, &BTreeSet::from([bo]), &BTreeSet::new(), now);
            directory.change_members(console, &BTreeSet::new(), &BTreeSet::from([liam]), now);
        }
        let mut kept = collect(&before.read());
        kept.people.push(KeptPerson { user_name: "gone".into(), active: false, at: now });
        kept.groups.push(KeptGroup { name: "gone".into(), added: vec!["bo.lind".into()], removed: vec![], at: now });
        write(&path, &serde_json::to_vec(&kept).unwrap()).unwrap();

        let after = fresh();
        load(&path, &mut after.write()).unwrap();
        let (was, is) = (before.read(), after.read());
        for (one, two) in was.people.iter().zip(&is.people) {
            assert_eq!((one.person.active, &one.groups), (two.person.active, &two.groups));
        }
        assert_eq!(collect(&is).groups.len(), 2);
    }

    #[test]
    fn a_spoilt_state_file_is_refused_and_one_that_is_not_there_is_empty() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("demo.json");
        let register = Register::new(Company::embedded().unwrap(), Clock::system().now());
        load(&path, &mut register.write()).unwrap();
        for text in ["", "{\"people\":[]", "[]", "{\"people\":[],\"groups\":[],\"more\":1}"] {
            std::fs::write(&path, text).unwrap();
            let error = load(&path, &mut register.write()).unwrap_err();
            assert!(error.to_string().contains("delete it to begin again"), "{error}");
        }
    }
}
