//! The rules that imported groups begin with, as TOML.
//!
//! They are cautious, and meant to be changed: whoever is in one of the groups of the application already may ask for its roles, and
//! nobody else; their manager and then the owner of the role decide; for 8 hours unless told, 7 days at most, extended by asking anew.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::domain::condition::{Condition, Operator};
use crate::service::catalog_file::model::CatalogFile;
use crate::service::catalog_file::read::read;
use crate::service::catalog_file::{condition, write::quoted};
use crate::service::rule_form::set;
use crate::service::rule_form::shape::Kind;
use crate::service::rule_form::text::Entry;

/// The procedure of everything that was imported.
const PROCEDURE: &str = "imported";

/// A group that is to give a role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Importing {
    /// How the file calls it: its name where no other has it, else its reference.
    pub called: String,
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: String,
}

/// Where the roles go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Key of the directory that has the groups, where a file must say it: of any but the home directory.
    pub directory: Option<String>,
    /// Key of the application.
    pub key: String,
    /// Its name and the login of its owner, when it is new.
    pub fresh: Option<(String, String)>,
}

impl Place {
    /// A group as a condition names it.
    fn named(&self, called: &str) -> String {
        self.directory.as_ref().map_or_else(|| called.to_owned(), |directory| format!("{directory}:{called}"))
    }
}

/// A set as it is to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Drafted {
    /// The whole set.
    pub whole: String,
    /// What was put into it.
    pub added: String,
}

/// `text`, the set in force, with a role for each of `groups` in `place`.
pub fn draft(text: &str, place: &Place, groups: &[Importing]) -> Drafted {
    let file = read(text);
    let (mut whole, mut added) = (text.to_owned(), String::new());
    let mut put = |kind: Kind, key: Option<&str>, entry: String| {
        whole = set::with(&whole, kind, key, &Entry { text: entry.clone(), paths: Vec::new() }).0;
        if !added.is_empty() {
            added.push('\n');
        }
        added.push_str(&entry);
    };
    let policy = cut(&format!("imported-{}", place.key));
    if let Some((name, owner)) = &place.fresh {
        put(Kind::Application, None, format!("[[application]]\nkey = {}\nname = {}\nowner = {}\n", quoted(&place.key), quoted(name), quoted(owner)));
    }
    let before = members_before(&file, &policy);
    let values: BTreeSet<String> = before.iter().flatten().cloned().chain(groups.iter().map(|group| place.named(&group.called))).collect();
    let in_groups = Condition { attribute: "groups".into(), operator: Operator::MemberOf, values: values.into_iter().collect(), called: Vec::new() };
    put(
        Kind::Profile,
        before.is_some().then_some(policy.as_str()),
        format!(
            "[[profile]]\nkey = {}\nname = {}\n[[profile.allow]]\nall = [{}]\n",
            quoted(&policy),
            quoted(&format!("Who was in the groups of {} when they were imported, or is now", place.key)),
            condition::written(&in_groups)
        ),
    );
    if file.procedures.iter().all(|entry| entry.key.value != PROCEDURE) {
        put(
            Kind::Procedure,
            None,
            format!(
                "[[procedure]]\nkey = \"{PROCEDURE}\"\nname = \"Your manager, then the role owner\"\ndistinct_people = false\n\
                 [[procedure.step]]\nname = \"Manager\"\ntime_limit = \"3d\"\nremind_every = \"1d\"\nslots = [{{ approvals = 1, from = \"manager\", fallback = \"application_owner\" }}]\n\
                 [[procedure.step]]\nname = \"Role owner\"\ntime_limit = \"3d\"\nremind_every = \"1d\"\nslots = [{{ approvals = 1, from = \"role_owner\", fallback = \"manager\" }}]\n"
            ),
        );
    }
    if file.policies.iter().all(|entry| entry.key.value != policy) {
        put(
            Kind::Policy,
            None,
            format!(
                "[[policy]]\nkey = {}\nname = {}\nprofile = {}\nprocedure = \"{PROCEDURE}\"\n\
                 durations = {{ recommended = \"8h\", minimum = \"15m\", maximum = \"7d\", choices = [\"1h\", \"8h\", \"1d\", \"7d\"] }}\njustification = {{ required = true, minimum = 10 }}\n",
                quoted(&policy),
                quoted(&format!("Imported into {}", place.key)),
                quoted(&policy)
            ),
        );
    }
    let mut taken: BTreeSet<String> = file.roles.iter().filter(|role| role.application.value == place.key).map(|role| role.key.value.clone()).collect();
    for group in groups {
        let key = free(&slug(&group.name), &mut taken);
        let mut entry = format!("[[role]]\napplication = {}\nkey = {}\nname = {}\n", quoted(&place.key), quoted(&key), quoted(&line(&group.name)));
        if !group.description.trim().is_empty() {
            let _ = writeln!(entry, "description = {}", quoted(&line(&group.description)));
        }
        if let Some(directory) = &place.directory {
            let _ = writeln!(entry, "directory = {}", quoted(directory));
        }
        let _ = write!(entry, "risk = \"elevated\"\ngroup = {}\ndrift = \"alert\"\npolicies = [{}]\n", quoted(&group.called), quoted(&policy));
        put(Kind::Role, None, entry);
    }
    Drafted { whole, added }
}

/// The groups whose members an earlier import let ask; none when there was none.
fn members_before(file: &CatalogFile, key: &str) -> Option<Vec<String>> {
    let profile = file.profiles.iter().find(|profile| profile.key.value == key)?;
    let conditions = profile.rules.iter().flat_map(|rule| &rule.conditions);
    Some(conditions.filter(|held| held.value.operator == Operator::MemberOf).flat_map(|held| held.value.values.clone()).collect())
}

/// What no line of a catalog file holds: controls, and marks that turn the direction of writing.
fn is_odd(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Whether a file can call a group by this name; else by its reference.
pub fn is_plain(name: &str) -> bool {
    name.trim() == name && !name.is_empty() && name.chars().count() <= 190 && !name.contains(is_odd)
}

/// Text of one line as a name may hold it.
fn line(text: &str) -> String {
    let line = text.chars().map(|c| if is_odd(c) { ' ' } else { c }).take(190).collect::<String>().trim().to_owned();
    if line.is_empty() { "Group".into() } else { line }
}

/// A key made of a name: lower-case letters, digits and dashes.
pub fn slug(name: &str) -> String {
    let mut key = String::new();
    for c in name.chars().flat_map(char::to_lowercase) {
        if c.is_ascii_lowercase() || c.is_ascii_digit() {
            key.push(c);
        } else if !key.is_empty() && !key.ends_with('-') {
            key.push('-');
        }
    }
    let key = cut(&key);
    if key.is_empty() { "group".into() } else { key }
}

/// A key no longer than keys may be.
fn cut(key: &str) -> String {
    key.chars().take(60).collect::<String>().trim_end_matches('-').to_owned()
}

/// A key that no other role has.
fn free(key: &str, taken: &mut BTreeSet<String>) -> String {
    let key =
        (1..).map(|n: u32| if n == 1 { key.to_owned() } else { format!("{}-{n}", key.chars().take(55).collect::<String>()) }).find(|key| !taken.contains(key));
    let key = key.unwrap_or_default();
    taken.insert(key.clone());
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(name: &str) -> Importing {
        Importing { called: name.into(), name: name.into(), description: String::new() }
    }

    #[test]
    fn names_become_keys() {
        for (name, key) in [("Orders DB (readers)", "orders-db-readers"), ("ÄÖÜ", "group"), ("", "group"), ("--x--", "x"), ("A\u{202e}b", "a-b")] {
            assert_eq!(slug(name), key, "{name}");
        }
        assert_eq!(slug(&"long name ".repeat(30)).len(), 59);
    }

    #[test]
    fn what_is_drafted_reads_back_without_a_fault_whatever_groups_are_called() {
        let place = Place { directory: None, key: "legacy".into(), fresh: Some(("Legacy".into(), "mara.voss".into())) };
        let names = ["readers", "Readers", "x\" [[role]] key = \"evil\"", "=cmd|' /C calc'!A0", "<img src=x>", "a, b", "is not", "#"];
        let mut groups: Vec<Importing> = names.iter().map(|name| group(name)).collect();
        groups.extend(["\u{202e}flip", " spaced ", "two\nlines"].map(|name| {
            assert!(!is_plain(name));
            Importing { called: format!("id-{}", name.len()), ..group(name) }
        }));
        let drafted = draft("", &place, &groups);
        let file = read(&drafted.whole);
        assert_eq!(file.faults, [], "{}", drafted.whole);
        assert_eq!(file.roles.len(), groups.len());
        assert_eq!(file.roles.iter().map(|role| role.key.value.as_str()).take(2).collect::<Vec<_>>(), ["readers", "readers-2"]);
        assert_eq!((file.profiles.len(), file.procedures.len(), file.policies.len(), file.applications.len()), (1, 1, 1, 1));
        // The next import into the same application adds to what is there.
        let again = draft(&drafted.whole, &Place { directory: None, key: "legacy".into(), fresh: None }, &[group("writers")]);
        let file = read(&again.whole);
        assert_eq!(
            (file.faults.as_slice(), file.profiles.len(), file.procedures.len(), file.policies.len(), file.roles.len()),
            (&[][..], 1, 1, 1, groups.len() + 1)
        );
        assert_eq!(file.profiles[0].rules[0].conditions[0].value.values.len(), groups.len() + 1);
    }
}
