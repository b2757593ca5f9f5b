//! Changing a resource: SCIM PATCH (RFC 7644 §3.5.2).
//!
//! A patch is read whole, then worked out against the directory without touching it, then applied in one step or not at
//! all. Adding a member who is there and removing one who is not change nothing and are no error.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::Value;

use super::filter::{self, Filter};
use super::filter_text;
use super::register::{Directory, GroupAt, PersonAt};
use super::scim_answer::{Fault, GROUP, PATCH, USER};
use super::scim_group::MemberSubject;

/// Most operations in one patch.
const MOST: usize = 1_000;

#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    schemas: Vec<String>,
    #[serde(rename = "Operations", alias = "operations")]
    operations: Vec<RawOperation>,
}

#[derive(Deserialize)]
struct RawOperation {
    op: String,
    path: Option<String>,
    value: Option<Value>,
}

/// One operation, read as far as that can be done without the directory.
#[derive(Debug, PartialEq)]
pub struct Operation {
    verb: Verb,
    path: Option<String>,
    value: Option<Value>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    Add,
    Replace,
    Remove,
}

/// Who joins and who leaves a group.
#[derive(Debug, Default, PartialEq)]
pub struct Joining {
    /// To be members afterwards.
    pub add: BTreeSet<PersonAt>,
    /// Not to be members afterwards.
    pub remove: BTreeSet<PersonAt>,
}

/// Reads the body of a PATCH. Fails with `invalidSyntax` when it is not one.
pub fn read(body: &[u8]) -> Result<Vec<Operation>, Fault> {
    let syntax = |why: String| Fault::bad("invalidSyntax", why);
    let message: Message = serde_json::from_slice(body).map_err(|error| syntax(format!("the body is not a SCIM patch: {error}")))?;
    if !message.schemas.iter().any(|schema| schema == PATCH) {
        return Err(syntax(format!("schemas must contain {PATCH}")));
    }
    if message.operations.is_empty() || message.operations.len() > MOST {
        return Err(syntax(format!("Operations must hold 1 to {MOST} operations")));
    }
    let verb = |op: &str| match op.to_ascii_lowercase().as_str() {
        "add" => Ok(Verb::Add),
        "replace" => Ok(Verb::Replace),
        "remove" => Ok(Verb::Remove),
        _ => Err(syntax(format!("{:?} is not an operation; use add, remove or replace", shorten(op)))),
    };
    message
        .operations
        .into_iter()
        .map(|raw| {
            let verb = verb(&raw.op)?;
            match (verb, &raw.path, &raw.value) {
                (Verb::Remove, None, _) => Err(Fault::bad("noTarget", "remove needs a path")),
                (Verb::Add | Verb::Replace, _, None) => Err(Fault::bad("invalidValue", "add and replace need a value")),
                _ => Ok(Operation { verb, path: raw.path, value: raw.value }),
            }
        })
        .collect()
}

/// What the operations make of a person: the new `active`, if they set it. Everything else about a person is read-only here.
pub fn person(operations: &[Operation]) -> Result<Option<bool>, Fault> {
    let mut active = None;
    for operation in operations {
        let attributes = match &operation.path {
            Some(path) => vec![(bare(path, USER), operation.value.as_ref())],
            None => object(operation)?.iter().map(|(name, value)| (bare(name, USER), Some(value))).collect(),
        };
        for (name, value) in attributes {
            match (name.as_str(), operation.verb, value) {
                ("schemas", ..) if operation.path.is_none() => {}
                ("active", Verb::Add | Verb::Replace, Some(Value::Bool(value))) => active = Some(*value),
                ("active", Verb::Add | Verb::Replace, _) => {
                    return Err(Fault::bad("invalidValue", "active is true or false"));
                }
                ("active", ..) => {
                    return Err(Fault::bad("invalidValue", "active cannot be removed; set it to false"));
                }
                _ => {
                    return Err(Fault::bad("mutability", "only `active` of a person can be changed in the demo directory"));
                }
            }
        }
    }
    Ok(active)
}

/// What the operations make of a group: who joins and who leaves, all operations taken together in their order.
pub fn group(operations: &[Operation], directory: &Directory, at: GroupAt) -> Result<Joining, Fault> {
    let mut joining = Joining::default();
    for operation in operations {
        let target = match &operation.path {
            Some(path) => target(path)?,
            None => Target::Members,
        };
        match (operation.verb, target) {
            (Verb::Add, Target::Members) => joining.put(people(directory, members_value(operation)?)?),
            (Verb::Replace, Target::Members) => {
                let named = people(directory, members_value(operation)?)?;
                joining.drop(everybody(directory, at));
                joining.put(named);
            }
            (Verb::Remove, Target::Members) => match &operation.value {
                // RFC 7644 knows no value here; the clients that send one mean "these", and nobody means "all" by it.
                Some(value) => joining.drop(known(directory, value)?),
                None => joining.drop(everybody(directory, at)),
            },
            (Verb::Remove, Target::Where(filter)) => {
                let going = match filter::required(&filter, "value") {
                    Some(id) if matches!(filter, Filter::Compare(..)) => directory.person(id).into_iter().collect(),
                    _ => everybody(directory, at)
                        .union(&joining.add)
                        .copied()
                        .filter(|person| filter::holds(&filter, &MemberSubject(directory, *person)))
                        .collect(),
                };
                joining.drop(going);
            }
            (Verb::Add | Verb::Replace, Target::Where(_)) => {
                return Err(Fault::bad("mutability", "a member's own attributes cannot be changed; remove the member and add another"));
            }
        }
    }
    Ok(joining)
}

impl Joining {
    fn put(&mut self, people: BTreeSet<PersonAt>) {
        self.remove.retain(|person| !people.contains(person));
        self.add.extend(people);
    }

    fn drop(&mut self, people: BTreeSet<PersonAt>) {
        self.add.retain(|person| !people.contains(person));
        self.remove.extend(people);
    }
}

enum Target {
    Members,
    Where(Filter),
}

/// `members` or `members[…]`.
fn target(path: &str) -> Result<Target, Fault> {
    let (name, inner) = match path.split_once('[') {
        Some((name, rest)) => (name, Some(rest)),
        None => (path, None),
    };
    if bare(name, GROUP) != "members" {
        return Err(match bare(name, GROUP).as_str() {
            "displayname" | "id" | "meta" | "schemas" => Fault::bad("mutability", "only `members` of a group can be changed in the demo directory"),
            _ => Fault::bad("invalidPath", format!("{:?} is not a path of a group; use members or members[value eq \"…\"]", shorten(path))),
        });
    }
    match inner.map(|rest| rest.trim_end().strip_suffix(']')) {
        None => Ok(Target::Members),
        Some(Some(filter)) => filter_text::parse::<MemberSubject<'_>>(filter).map(Target::Where).map_err(|why| Fault::bad("invalidFilter", why)),
        Some(None) => Err(Fault::bad("invalidPath", "the path must end after the closing `]`")),
    }
}

/// The value of `members`: the operation's own, or the attribute of that name when there is no path.
fn members_value(operation: &Operation) -> Result<&Value, Fault> {
    if operation.path.is_some() {
        return operation.value.as_ref().ok_or_else(|| Fault::bad("invalidValue", "a value is missing"));
    }
    let mut found = None;
    for (name, value) in object(operation)? {
        match bare(name, GROUP).as_str() {
            "members" => found = Some(value),
            "schemas" => {}
            _ => {
                return Err(Fault::bad("mutability", "only `members` of a group can be changed in the demo directory"));
            }
        }
    }
    found.ok_or_else(|| Fault::bad("noTarget", "the value names no attribute that can be changed"))
}

fn object(operation: &Operation) -> Result<&serde_json::Map<String, Value>, Fault> {
    operation.value.as_ref().and_then(Value::as_object).ok_or_else(|| Fault::bad("invalidValue", "without a path the value must be an object"))
}

/// The people a list of members names; one who does not exist is `invalidValue`.
fn people(directory: &Directory, value: &Value) -> Result<BTreeSet<PersonAt>, Fault> {
    ids(value)?
        .into_iter()
        .map(|id| directory.person(id).ok_or_else(|| Fault::bad("invalidValue", format!("there is no user {:?} to be a member", shorten(id)))))
        .collect()
}

/// The people a list of members names; those who do not exist are no members anyway.
fn known(directory: &Directory, value: &Value) -> Result<BTreeSet<PersonAt>, Fault> {
    Ok(ids(value)?.into_iter().filter_map(|id| directory.person(id)).collect())
}

fn everybody(directory: &Directory, at: GroupAt) -> BTreeSet<PersonAt> {
    directory.groups[at].members.clone()
}

fn ids(value: &Value) -> Result<Vec<&str>, Fault> {
    let many = match value {
        Value::Array(many) => many.as_slice(),
        one @ Value::Object(_) => std::slice::from_ref(one),
        _ => &[Value::Null],
    };
    many.iter()
        .map(|member| member.get("value").and_then(Value::as_str))
        .collect::<Option<Vec<_>>>()
        .ok_or_else(|| Fault::bad("invalidValue", "members are written [{\"value\": \"id of a user\"}]"))
}

/// An attribute name in lower case, without the URN of the schema.
fn bare(name: &str, urn: &str) -> String {
    let name = name.trim();
    match name.get(..urn.len()) {
        Some(start) if start.eq_ignore_ascii_case(urn) => name[urn.len()..].trim_start_matches(':').to_ascii_lowercase(),
        _ => name.to_ascii_lowercase(),
    }
}

fn shorten(text: &str) -> String {
    text.chars().take(64).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::clock::Clock;
    use crate::demo::company::Company;
    use crate::demo::register::Register;

    fn operations(operations: Value) -> Result<Vec<Operation>, Fault> {
        read(json!({"schemas": [PATCH], "Operations": operations}).to_string().as_bytes())
    }

    #[test]
    fn operations_take_effect_in_their_order() {
        let register = Register::new(Company::embedded().unwrap(), Clock::system().now());
        let directory = register.read();
        let at = directory.group_named("security").unwrap();
        let [ben, noor, bo] = ["ben.adler", "noor.rahman", "bo.lind"].map(|name| directory.person_named(name).unwrap());
        let id = |person: PersonAt| directory.people[person].person.id.to_string();
        let joining = |list: Value| group(&operations(list).unwrap(), &directory, at).unwrap();
        let member = |person| json!([{"value": id(person)}]);
        let only = |person| format!("members[value eq \"{}\"]", id(person));

        let added_then_removed = joining(json!([{"op": "Add", "path": "members", "value": member(bo)}, {"op": "remove", "path": only(bo)}]));
        assert_eq!(added_then_removed, Joining { add: [].into(), remove: [bo].into() });
        let removed_then_added = joining(json!([{"op": "remove", "path": only(ben)}, {"op": "add", "value": {"members": member(ben)}}]));
        assert_eq!(removed_then_added, Joining { add: [ben].into(), remove: [].into() });
        let replaced = joining(json!([{"op": "replace", "path": "members", "value": member(bo)}]));
        assert_eq!(replaced, Joining { add: [bo].into(), remove: [ben, noor].into() });
        let emptied = joining(json!([{"op": "remove", "path": "members"}]));
        assert_eq!(emptied.remove, [ben, noor].into());
        let listed = joining(json!([{"op": "remove", "path": "members", "value": member(noor)}]));
        assert_eq!(listed.remove, [noor].into());
        let shown = joining(json!([{"op": "remove", "path": "members[display sw \"ben\"]"}]));
        assert_eq!(shown.remove, [ben].into());
        let both = joining(json!([{"op": "remove", "path": format!("{GROUP}:members[value eq \"{}\" or value eq \"{}\"]", id(ben), id(noor))}]));
        assert_eq!(both.remove, [ben, noor].into());
        let unknown = joining(json!([{"op": "remove", "path": "members[value eq \"nobody\"]"}]));
        assert_eq!(unknown, Joining::default());
    }

    #[test]
    fn what_is_not_a_patch_is_refused_with_its_keyword() {
        let register = Register::new(Company::embedded().unwrap(), Clock::system().now());
        let directory = register.read();
        let keyword = |list: Value| operations(list).and_then(|list| group(&list, &directory, 0)).unwrap_err().keyword.unwrap();
        for (expected, list) in [
            ("invalidSyntax", json!([])),
            ("invalidSyntax", json!([{"op": "move", "path": "members"}])),
            ("invalidSyntax", json!("x")),
            ("noTarget", json!([{"op": "remove"}])),
            ("noTarget", json!([{"op": "add", "value": {}}])),
            ("invalidValue", json!([{"op": "add", "path": "members"}])),
            ("invalidValue", json!([{"op": "add", "path": "members", "value": "x"}])),
            ("invalidValue", json!([{"op": "add", "path": "members", "value": [{"value": 7}]}])),
            ("invalidValue", json!([{"op": "add", "path": "members", "value": [{"value": "no such id"}]}])),
            ("invalidValue", json!([{"op": "add", "value": []}])),
            ("invalidPath", json!([{"op": "add", "path": "shoes", "value": 1}])),
            ("invalidPath", json!([{"op": "remove", "path": "members[value eq \"x\""}])),
            ("invalidFilter", json!([{"op": "remove", "path": "members[value is \"x\"]"}])),
            ("invalidFilter", json!([{"op": "remove", "path": "members[]"}])),
            ("mutability", json!([{"op": "replace", "path": "displayName", "value": "x"}])),
            ("mutability", json!([{"op": "replace", "value": {"displayName": "x"}}])),
            ("mutability", json!([{"op": "add", "path": "members[value eq \"x\"]", "value": {}}])),
        ] {
            assert_eq!(keyword(list.clone()), expected, "{list}");
        }
        assert_eq!(read(b"{").unwrap_err().keyword, Some("invalidSyntax"));
        assert_eq!(read(br#"{"Operations":[{"op":"remove","path":"members"}]}"#).unwrap_err().keyword, Some("invalidSyntax"));
    }

    #[test]
    fn of_a_person_only_active_can_change() {
        let active = |list: Value| operations(list).and_then(|list| person(&list));
        assert_eq!(active(json!([{"op": "replace", "path": "active", "value": false}])), Ok(Some(false)));
        assert_eq!(active(json!([{"op": "Replace", "value": {"active": true}}])), Ok(Some(true)));
        assert_eq!(active(json!([{"op": "replace", "path": format!("{USER}:active"), "value": true}])), Ok(Some(true)));
        for (list, keyword) in [
            (json!([{"op": "replace", "path": "active", "value": "False"}]), "invalidValue"),
            (json!([{"op": "remove", "path": "active"}]), "invalidValue"),
            (json!([{"op": "replace", "path": "title", "value": "x"}]), "mutability"),
            (json!([{"op": "add", "value": {"groups": []}}]), "mutability"),
        ] {
            assert_eq!(active(list.clone()).unwrap_err().keyword, Some(keyword), "{list}");
        }
    }
}
