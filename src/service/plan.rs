//! Compares a catalog file with what is there.

use std::fmt;

use uuid::Uuid;

use crate::clock::new_id;
use crate::store::catalog::{self, Catalog};
use crate::store::catalog_write::Write;
use crate::store::db::Db;

use super::catalog_file::compare::compare;
use super::catalog_file::draft::draft;
use super::catalog_file::model::CatalogFile;
use super::catalog_file::places::Fault;
use super::catalog_file::read::read;
use super::catalog_file::resolve::{Resolved, resolve};
use super::ctx::Directories;
use super::error::ServiceError;

/// What happens to one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// It is new.
    Add,
    /// It becomes another.
    Change,
    /// It is no longer offered; what was granted runs to its end.
    Retire,
}

/// One thing that changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// How.
    pub mark: Mark,
    /// `application`, `role`, `profile`, `procedure`, `policy`, `separation` or `default policies`.
    pub what: &'static str,
    /// Its key, and its name or version.
    pub title: String,
    /// What about it, line by line.
    pub details: Vec<String>,
}

/// What applying a file would do, or why it cannot be applied. `Display` prints both for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Everything that changes, in the order applications, roles, profiles, procedures, policies, separation, defaults, and then what is
    /// described no longer.
    pub changes: Vec<Change>,
    /// Everything that is wrong, in the order of the file; nothing is applied unless this is empty.
    pub faults: Vec<Fault>,
    /// The changes as the store does them, in order.
    pub writes: Vec<Write>,
}

/// Reads `text` and compares it with the policy tables and the live directory. Changes nothing.
///
/// # Errors
/// [`ServiceError::Unavailable`] when the directory or the database does not answer. A faulty file is no error: see [`Plan::faults`].
pub async fn run(db: &Db, directories: &Directories, text: &str) -> Result<Plan, ServiceError> {
    let file = read(text);
    let resolved = ask(db, directories, &file).await?;
    let mut tx = db.begin().await?;
    let current = catalog::whole(&mut tx).await?;
    Ok(plan(&file, &current, &resolved, &mut new_id))
}

/// Asks the directories about everybody and every group that the file names.
pub(super) async fn ask(db: &Db, directories: &Directories, file: &CatalogFile) -> Result<Resolved, ServiceError> {
    resolve(db, directories, file).await
}

/// What has to change so that `current` becomes what `file` says. Pure but for `mint`, which makes the ids of what is new.
pub fn plan(file: &CatalogFile, current: &Catalog, resolved: &Resolved, mint: &mut dyn FnMut() -> Uuid) -> Plan {
    let (draft, faults) = draft(file, resolved);
    compare(&draft, faults, current, mint)
}

impl Plan {
    /// Whether it can be applied.
    pub fn is_good(&self) -> bool {
        self.faults.is_empty()
    }

    /// Each change as one line, for the log.
    pub fn lines(&self) -> Vec<String> {
        self.changes.iter().map(Change::line).collect()
    }
}

impl Change {
    /// "~ role orders-db/reader  Read-only: risk: low -> elevated".
    fn line(&self) -> String {
        let details = if self.details.is_empty() { String::new() } else { format!(": {}", self.details.join("; ")) };
        format!("{} {} {}{details}", self.mark.sign(), self.what, self.title)
    }
}

impl Mark {
    fn sign(self) -> char {
        match self {
            Self::Add => '+',
            Self::Change => '~',
            Self::Retire => '-',
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut heading = "";
        for change in &self.changes {
            if change.what != heading {
                heading = change.what;
                writeln!(f, "{}", heading_of(heading))?;
            }
            writeln!(f, "  {} {}", change.mark.sign(), change.title)?;
            for detail in &change.details {
                writeln!(f, "      {detail}")?;
            }
        }
        let count = |mark| self.changes.iter().filter(|change| change.mark == mark).count();
        match self.changes.len() {
            0 if self.is_good() => writeln!(f, "Nothing to change: the catalog is as the file says.")?,
            0 => {}
            _ => writeln!(f, "\n{} to add, {} to change, {} to retire.", count(Mark::Add), count(Mark::Change), count(Mark::Retire))?,
        }
        if !self.is_good() {
            let (these, are) = if self.faults.len() == 1 { ("1 fault", "it is") } else { (&*format!("{} faults", self.faults.len()), "they are") };
            writeln!(f, "\n{these}. Nothing can be applied until {are} mended:")?;
            for fault in &self.faults {
                writeln!(f, "  {fault}")?;
            }
        }
        Ok(())
    }
}

fn heading_of(what: &str) -> &str {
    match what {
        "application" => "Applications",
        "role" => "Roles",
        "profile" => "Access profiles",
        "procedure" => "Approval procedures",
        "policy" => "Access policies",
        "separation" => "Separation of duties",
        _ => "Default policies",
    }
}

#[cfg(test)]
mod tests;
