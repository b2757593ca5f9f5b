//! The rules in force, kind by kind.

use crate::domain::policy::Effect;
use crate::service::catalog_export;
use crate::service::catalog_file::model::{BindingEntry, CatalogFile, PolicyEntry};
use crate::service::catalog_file::read::read;
use crate::service::ctx::{By, Ctx};
use crate::service::error::ServiceError;

use super::shape::Kind;

/// How many entries a page has.
const PAGE: usize = 100;

/// An entry in the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its key in addresses: of a role `application.role`.
    pub key: String,
    /// Its key as people read it.
    pub shown: String,
    /// Its name.
    pub name: String,
    /// What it says, in short.
    pub about: String,
}

/// A page of entries of one kind.
#[derive(Clone, Debug)]
pub struct Entries {
    /// Which kind.
    pub kind: Kind,
    /// What was searched for.
    pub q: String,
    /// The entries, by key.
    pub rows: Vec<Row>,
    /// The key after which the next page begins.
    pub next: Option<String>,
    /// How many there are of each kind.
    pub counts: Vec<(Kind, usize)>,
}

fn many(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn governed(policies: &[BindingEntry], otherwise: &str) -> String {
    let keys: Vec<&str> = policies.iter().map(|bound| bound.policy.value.as_str()).collect();
    if keys.is_empty() { otherwise.to_owned() } else { format!("policy {}", keys.join(", ")) }
}

fn policy(entry: &PolicyEntry) -> String {
    let decides = entry.procedure.as_ref().map_or_else(|| "approved at once".to_owned(), |key| format!("procedure {}", key.value));
    let most = entry.durations.as_ref().map(|limits| format!("; up to {}", limits.maximum)).unwrap_or_default();
    format!("profile {}; {decides}{most}", entry.profile.value)
}

/// The entries of `file` of one kind, in its order.
pub fn rows(file: &CatalogFile, kind: Kind) -> Vec<Row> {
    let row = |key: &str, name: &str, about: String| Row { key: key.to_owned(), shown: key.to_owned(), name: name.to_owned(), about };
    match kind {
        Kind::Application => file
            .applications
            .iter()
            .map(|entry| {
                let roles = file.roles.iter().filter(|role| role.application.value == entry.key.value).count();
                let about = format!("{}; owner {}; {}", many(roles, "role"), entry.owner.value, governed(&entry.policies, "the default policies"));
                row(&entry.key.value, &entry.name, about)
            })
            .collect(),
        Kind::Role => file
            .roles
            .iter()
            .map(|entry| {
                let about = format!("{} risk; group {}; {}", entry.risk.word(), entry.group.value, governed(&entry.policies, "policies of the application"));
                let (key, shown) = (format!("{}.{}", entry.application.value, entry.key.value), format!("{}/{}", entry.application.value, entry.key.value));
                Row { key, shown, name: entry.name.clone(), about }
            })
            .collect(),
        Kind::Profile => file
            .profiles
            .iter()
            .map(|entry| {
                let count = |effect| entry.rules.iter().filter(|rule| rule.effect == effect).count();
                let deny = count(Effect::Deny);
                let about = many(count(Effect::Allow), "rule") + " to allow" + &if deny > 0 { format!(", {deny} to deny") } else { String::new() };
                row(&entry.key.value, &entry.name, about)
            })
            .collect(),
        Kind::Procedure => file
            .procedures
            .iter()
            .map(|entry| {
                let steps: Vec<&str> = entry.steps.iter().map(|step| step.name.as_str()).collect();
                row(&entry.key.value, &entry.name, steps.join(", then "))
            })
            .collect(),
        Kind::Policy => file.policies.iter().map(|entry| row(&entry.key.value, &entry.name, policy(entry))).collect(),
        Kind::Separation => file
            .separation
            .iter()
            .map(|entry| {
                let exception = entry.procedure.as_ref().map_or_else(|| "no exceptions".to_owned(), |key| format!("exceptions by {}", key.value));
                row(&entry.key.value, &entry.name, format!("{} apart from {}; {exception}", many(entry.a.len(), "role"), entry.b.len()))
            })
            .collect(),
    }
}

/// The entries in force of one kind that hold every word of `q`, for auditors and administrators; those after the key `after`.
///
/// # Errors
/// [`ServiceError::Missing`] for anybody else; [`ServiceError::Unavailable`] when the database does not answer.
pub async fn list(ctx: &Ctx, by: &By, kind: Kind, q: &str, after: &str) -> Result<Entries, ServiceError> {
    if !by.reads_everything() {
        return Err(ServiceError::Missing);
    }
    let file = read(&catalog_export::toml(&ctx.db, &ctx.directories).await?);
    let counts = Kind::ALL.iter().map(|(kind, ..)| (*kind, rows(&file, *kind).len())).collect();
    let words: Vec<String> = q.split_whitespace().take(8).map(str::to_lowercase).collect();
    let holds = |row: &Row| {
        let text = format!("{} {} {}", row.shown, row.name, row.about).to_lowercase();
        words.iter().all(|word| text.contains(word))
    };
    let mut all = rows(&file, kind);
    all.sort_by(|one, other| one.key.cmp(&other.key));
    let mut rows: Vec<Row> = all.into_iter().filter(|row| row.key.as_str() > after).filter(holds).take(PAGE + 1).collect();
    let more = rows.len() > PAGE;
    rows.truncate(PAGE);
    let next = rows.last().filter(|_| more).map(|row| row.key.clone());
    Ok(Entries { kind, q: q.to_owned(), rows, next, counts })
}
