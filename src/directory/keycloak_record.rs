//! Keycloak's users and groups read into facts.
//!
//! Pure. What decides about access is strict: ids are never mended, and a user who is not clearly enabled is not active.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::directory::facts::{GroupListed, PersonFacts, clean};
use crate::domain::person::GroupRef;

/// Most different attributes taken over from one person, and most values of one attribute.
const MAX_ATTRIBUTES: usize = 64;
/// Our words, which are only read where the mapping says.
const OURS: [&str; 10] =
    ["department", "title", "employment_type", "cost_center", "division", "organization", "employee_number", "location", "country", "manager"];
/// What federation notes beside a person; nobody's business here.
const INTERNAL: [&str; 5] = ["LDAP_ENTRY_DN", "LDAP_ID", "KERBEROS_PRINCIPAL", "createTimestamp", "modifyTimestamp"];

/// A group somebody is in, as their record names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its id and our name for it.
    pub group: GroupRef,
    /// Its path, as told.
    pub path: String,
    /// The group it lies in.
    pub parent: Option<String>,
}

fn text<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    object.get(name)?.as_str().filter(|text| !text.trim().is_empty())
}

/// Whether an id can be asked for: not empty, not huge, no control characters, no path segment with a meaning of its own.
pub fn usable(id: &str) -> bool {
    !id.trim().is_empty() && id.len() <= 512 && !id.chars().any(char::is_control) && id != "." && id != ".."
}

/// An id exactly as sent; `None` when it is missing or none that can be used safely.
pub fn id(record: &Value) -> Option<&str> {
    record.get("id")?.as_str().filter(|id| usable(id))
}

/// A person without groups, and what names their manager; `None` when the record has no usable id. `mapping`: our words with the
/// names of their attributes.
pub fn person(record: &Value, mapping: &BTreeMap<String, String>) -> Option<(PersonFacts, Option<String>)> {
    let object = record.as_object()?;
    let reference = id(record)?.to_owned();
    let user_name = clean(text(object, "username").unwrap_or(&reference));
    let name = clean(&format!("{} {}", text(object, "firstName").unwrap_or_default(), text(object, "lastName").unwrap_or_default()));
    let theirs = object.get("attributes").and_then(Value::as_object);
    let mut attributes: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (ours, named) in mapping {
        let values = theirs.and_then(|all| all.get(named)).map(values).unwrap_or_default();
        if !values.is_empty() {
            attributes.insert(ours.clone(), values);
        }
    }
    let manager = attributes.remove("manager").and_then(|values| values.into_iter().next());
    for (key, value) in theirs.into_iter().flatten() {
        let word = word(key);
        let mapped = mapping.values().any(|named| named == key);
        if mapped || word.is_empty() || OURS.contains(&word.as_str()) || INTERNAL.contains(&key.as_str()) || attributes.len() >= MAX_ATTRIBUTES {
            continue;
        }
        let values = values(value);
        if !values.is_empty() {
            attributes.entry(word).or_insert(values);
        }
    }
    let facts = PersonFacts {
        email: text(object, "email").map(clean),
        display_name: if name.is_empty() { user_name.clone() } else { name },
        active: object.get("enabled") == Some(&Value::Bool(true)),
        manager: None,
        attributes,
        groups: Vec::new(),
        reference,
        user_name,
    };
    Some((facts, manager))
}

/// Keycloak keeps lists of strings; empty ones say nothing.
fn values(value: &Value) -> Vec<String> {
    let entries = match value {
        Value::Array(entries) => entries.as_slice(),
        single => std::slice::from_ref(single),
    };
    let plain = |value: &Value| match value {
        Value::String(text) => Some(clean(text)),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        _ => None,
    };
    entries.iter().take(MAX_ATTRIBUTES).filter_map(plain).filter(|value| !value.is_empty()).collect()
}

/// `costCenter` to `cost_center`.
fn word(key: &str) -> String {
    let mut word = String::new();
    for c in clean(key).chars().take(64) {
        if c.is_ascii_uppercase() && !word.is_empty() && !word.ends_with('_') {
            word.push('_');
        }
        word.push(if c.is_alphanumeric() { c.to_ascii_lowercase() } else { '_' });
    }
    word
}

/// A group as somebody's record names it; `None` without a usable id, a name or a path.
pub fn place(record: &Value) -> Option<Place> {
    let object = record.as_object()?;
    let path = text(object, "path")?.to_owned();
    let parent = object.get("parentId").and_then(Value::as_str).filter(|id| usable(id)).map(str::to_owned);
    Some(Place { group: GroupRef { reference: id(record)?.to_owned(), name: shown(&path) }, path, parent })
}

/// Our name for a group: its path without the first slash, so that groups of one name in different places differ.
pub fn shown(path: &str) -> String {
    clean(path.strip_prefix('/').unwrap_or(path))
}

/// How many groups lie directly in this one, where the record says so.
pub fn below(record: &Value) -> Option<u64> {
    record.get("subGroupCount")?.as_u64()
}

/// Why members of a group cannot be changed, where its record says so.
pub fn read_only(record: &Value) -> Option<String> {
    let may = record.pointer("/access/manageMembership")?.as_bool()?;
    (!may).then(|| "the service account may not change its members; it needs manage-users of realm-management".to_owned())
}

/// A group of a listing; `None` without a usable id, a name or a path.
pub fn listed(record: &Value) -> Option<GroupListed> {
    let place = place(record)?;
    let warnings = match below(record) {
        None | Some(0) => Vec::new(),
        Some(1) => vec!["Whoever is in the group inside it counts as a member too.".to_owned()],
        Some(count) => vec![format!("Whoever is in one of the {count} groups inside it counts as a member too.")],
    };
    Some(GroupListed {
        description: record.as_object().and_then(|object| text(object, "description")).map(clean),
        read_only: read_only(record),
        warnings,
        ..GroupListed::named(place.group)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn mapping(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(ours, theirs)| ((*ours).to_owned(), (*theirs).to_owned())).collect()
    }

    #[test]
    fn a_person_is_read_by_the_mapping() {
        let record = json!({
            "id": "u-1", "username": "ann", "firstName": " Ann\n", "lastName": "Amato", "email": "ann@x.org", "enabled": true,
            "attributes": {
                "team": ["Data"], "jobTitle": ["Analyst"], "boss": ["bob", "eve"], "costCenter": ["47", ""], "badges": ["one", "two"],
                "department": ["not mapped, so not ours"], "LDAP_ID": ["x"], "empty": [], "odd": [{"a": 1}, null, 7], "title": "also not",
            },
        });
        let (facts, manager) =
            person(&record, &mapping(&[("department", "team"), ("title", "jobTitle"), ("manager", "boss"), ("country", "nowhere")])).unwrap();
        assert_eq!(manager.as_deref(), Some("bob"));
        assert_eq!((facts.display_name.as_str(), facts.email.as_deref(), facts.active), ("Ann  Amato", Some("ann@x.org"), true));
        let told: Vec<_> = facts.attributes.iter().map(|(key, values)| format!("{key}={}", values.join("+"))).collect();
        assert_eq!(told, ["badges=one+two", "department=Data", "odd=7", "title=Analyst"]);
    }

    #[test]
    fn only_a_clear_yes_is_active_and_only_an_id_is_somebody() {
        let read = |record: Value| person(&record, &BTreeMap::new());
        assert!(!read(json!({"id": "u"})).unwrap().0.active);
        assert!(!read(json!({"id": "u", "enabled": "true"})).unwrap().0.active);
        assert_eq!(read(json!({"id": "u"})).unwrap().0.display_name, "u");
        for bad in [json!({}), json!({"id": ""}), json!({"id": 7}), json!({"id": ".."}), json!({"id": "a\nb"}), json!([]), json!("u"), json!(null)] {
            assert!(read(bad.clone()).is_none() && place(&bad).is_none() && listed(&bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn groups_are_called_by_their_place() {
        let record = json!({"id": "g-2", "name": "backend", "path": "/engineering/backend", "parentId": "g-1", "subGroupCount": 2,
            "description": "Servers", "access": {"manageMembership": false}});
        let group = listed(&record).unwrap();
        assert_eq!((group.name.as_str(), group.description.as_deref()), ("engineering/backend", Some("Servers")));
        assert!(group.read_only.unwrap().contains("manage-users"));
        assert_eq!(group.warnings, ["Whoever is in one of the 2 groups inside it counts as a member too."]);
        assert_eq!(place(&record).unwrap().parent.as_deref(), Some("g-1"));
        let plain = listed(&json!({"id": "g", "name": "x", "path": "/x", "access": {"manageMembership": true}})).unwrap();
        assert!(plain.read_only.is_none() && plain.warnings.is_empty());
    }
}
