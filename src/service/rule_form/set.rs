//! Puts one entry into the set, or takes it out.

use crate::service::catalog_file::model::{CatalogFile, RoleEntry};
use crate::service::catalog_file::read::read;

use super::shape::Kind;
use super::text::Entry;

/// Whether this is the role `application.role`.
pub fn is_role(entry: &RoleEntry, key: &str) -> bool {
    key.split_once('.').is_some_and(|(application, role)| entry.application.value == application && entry.key.value == role)
}

/// The line, counted from 1, of the key of an entry.
fn line_of(file: &CatalogFile, kind: Kind, key: &str) -> Option<usize> {
    let at = match kind {
        Kind::Application => &file.applications.iter().find(|entry| entry.key.value == key)?.key,
        Kind::Role => &file.roles.iter().find(|entry| is_role(entry, key))?.key,
        Kind::Profile => &file.profiles.iter().find(|entry| entry.key.value == key)?.key,
        Kind::Procedure => &file.procedures.iter().find(|entry| entry.key.value == key)?.key,
        Kind::Policy => &file.policies.iter().find(|entry| entry.key.value == key)?.key,
        Kind::Separation => &file.separation.iter().find(|entry| entry.key.value == key)?.key,
    };
    Some(at.at.line)
}

/// Whether a new entry begins with this line.
fn begins(line: &str) -> bool {
    let name = line.trim().strip_prefix("[[").and_then(|rest| rest.strip_suffix("]]"));
    name.is_some_and(|name| Kind::parse(name).is_some())
}

/// The lines of an entry in `text`, counted from 0, the last not included.
fn place(text: &str, kind: Kind, key: &str) -> Option<(usize, usize)> {
    let at = line_of(&read(text), kind, key)?.checked_sub(1)?;
    let lines: Vec<&str> = text.lines().collect();
    let first = (0..=at).rev().find(|line| lines.get(*line).is_some_and(|line| begins(line)))?;
    let last = (first + 1..lines.len()).find(|line| begins(lines[*line])).unwrap_or(lines.len());
    Some((first, last))
}

/// The text of an entry; none when there is none.
pub fn of(text: &str, kind: Kind, key: &str) -> Option<String> {
    let (first, last) = place(text, kind, key)?;
    Some(text.lines().skip(first).take(last - first).collect::<Vec<_>>().join("\n").trim_end().to_owned())
}

/// `text` with `entry` in the place of the one of this key, or at its end; and the line, counted from 1, at which it begins.
pub fn with(text: &str, kind: Kind, key: Option<&str>, entry: &Entry) -> (String, usize) {
    let lines: Vec<&str> = text.lines().collect();
    let (first, last) = key.and_then(|key| place(text, kind, key)).unwrap_or((lines.len(), lines.len()));
    let mut out = String::with_capacity(text.len() + entry.text.len() + 2);
    let mut push = |line: &str| {
        out.push_str(line);
        out.push('\n');
    };
    lines.iter().take(first).for_each(|line| push(line));
    let apart = usize::from(lines.get(first.wrapping_sub(1)).is_some_and(|line| !line.is_empty()));
    if apart == 1 {
        push("");
    }
    entry.text.lines().for_each(&mut push);
    if last < lines.len() {
        push("");
    }
    lines.iter().skip(last).for_each(|line| push(line));
    (out, first + apart + 1)
}

/// `text` without the entry of this key; none when there is none.
pub fn without(text: &str, kind: Kind, key: &str) -> Option<String> {
    let (first, last) = place(text, kind, key)?;
    let kept = text.lines().enumerate().filter(|(line, _)| !(first..last).contains(line));
    Some(kept.fold(String::with_capacity(text.len()), |mut out, (_, line)| {
        out.push_str(line);
        out.push('\n');
        out
    }))
}

/// Which entry a line of `file` is of, as `role orders-db.reader`; none for the lines before the first.
pub fn owner_of(file: &CatalogFile, line: usize) -> Option<(Kind, String)> {
    let mut found: Option<(usize, Kind, String)> = None;
    let mut see = |at: usize, kind: Kind, key: String| {
        if at <= line + 1 && !key.is_empty() && found.as_ref().is_none_or(|(best, ..)| *best < at) {
            found = Some((at, kind, key));
        }
    };
    file.applications.iter().for_each(|entry| see(entry.key.at.line, Kind::Application, entry.key.value.clone()));
    file.roles.iter().for_each(|entry| see(entry.key.at.line, Kind::Role, format!("{}.{}", entry.application.value, entry.key.value)));
    file.profiles.iter().for_each(|entry| see(entry.key.at.line, Kind::Profile, entry.key.value.clone()));
    file.procedures.iter().for_each(|entry| see(entry.key.at.line, Kind::Procedure, entry.key.value.clone()));
    file.policies.iter().for_each(|entry| see(entry.key.at.line, Kind::Policy, entry.key.value.clone()));
    file.separation.iter().for_each(|entry| see(entry.key.at.line, Kind::Separation, entry.key.value.clone()));
    found.map(|(_, kind, key)| (kind, key))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SET: &str = "# The whole\ndefault_policies = [\"p\"]\n\n[[application]]\nkey = \"a\"\nname = \"A\"\nowner = \"x\"\n\n[[profile]]\nkey = \"a\"\nname = \"[[role]]\"\n[[profile.allow]]\nall = []\n\n[[profile]]\nkey = \"b\"\nname = \"B\"\n[[profile.allow]]\nall = []\n";

    #[test]
    fn an_entry_is_found_put_in_its_place_and_taken_out() {
        assert_eq!(of(SET, Kind::Profile, "a").unwrap(), "[[profile]]\nkey = \"a\"\nname = \"[[role]]\"\n[[profile.allow]]\nall = []");
        assert_eq!(of(SET, Kind::Role, "a"), None);
        let entry = Entry { text: "[[profile]]\nkey = \"c\"\n".into(), paths: vec![] };
        let (text, line) = with(SET, Kind::Profile, Some("a"), &entry);
        assert_eq!(text.lines().nth(line - 1), Some("[[profile]]"));
        assert_eq!((of(&text, Kind::Profile, "a"), of(&text, Kind::Profile, "b")), (None, of(SET, Kind::Profile, "b")));
        let (text, line) = with(SET, Kind::Profile, None, &entry);
        assert_eq!(text.lines().skip(line - 1).collect::<Vec<_>>(), ["[[profile]]", "key = \"c\""]);
        let text = without(SET, Kind::Profile, "b").unwrap();
        assert_eq!((read(&text).profiles.len(), of(&text, Kind::Application, "a")), (1, of(SET, Kind::Application, "a")));
        assert_eq!(without(SET, Kind::Policy, "b"), None);
    }

    #[test]
    fn a_line_belongs_to_the_entry_above_it() {
        let file = read(SET);
        let of = |line| owner_of(&file, line).map(|(kind, key)| format!("{} {key}", kind.word()));
        assert_eq!((of(1), of(4).as_deref(), of(13).as_deref(), of(17).as_deref()), (None, Some("application a"), Some("profile a"), Some("profile b")));
    }
}
