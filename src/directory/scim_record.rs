//! SCIM records read into facts (RFC 7643).
//!
//! Pure and forgiving where the standard is: attribute names are compared without case (§2.1), absent means absent,
//! and nothing a server sends makes it panic. What decides about access is strict: ids are never mended.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::directory::facts::{GroupFacts, PersonFacts, clean};
use crate::domain::person::GroupRef;

const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
/// Most different attributes taken over from one person, and most values of one attribute.
const MAX_ATTRIBUTES: usize = 64;
/// Core attributes that are read by name, or that are nobody's business here.
const NOT_PLAIN: [&str; 17] = [
    "schemas",
    "id",
    "meta",
    "userName",
    "name",
    "displayName",
    "active",
    "emails",
    "groups",
    "manager",
    "password",
    "photos",
    "phoneNumbers",
    "ims",
    "x509Certificates",
    "addresses",
    "profileUrl",
];

/// An attribute by name, without regard to case; JSON null counts as absent.
pub fn get<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    object.get(name).or_else(|| object.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)).filter(|value| !value.is_null())
}

/// A text of a record by name, without regard to case; what is blank counts as absent.
pub fn get_text<'a>(record: &'a Value, name: &str) -> Option<&'a str> {
    text(record.as_object()?, name)
}

fn text<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    get(object, name)?.as_str().filter(|s| !s.trim().is_empty())
}

/// An id exactly as sent; `None` when it is missing or no id that could be used safely in a path and a filter.
pub fn id(record: &Value) -> Option<&str> {
    record.as_object().and_then(|object| text(object, "id")).filter(|id| usable(id))
}

/// Whether an id can be asked for: not empty, not huge, no control characters, no path segment with a meaning of
/// its own.
pub fn usable(id: &str) -> bool {
    !id.trim().is_empty() && id.len() <= 512 && !id.chars().any(char::is_control) && id != "." && id != ".."
}

/// A person, and whether the record said anything about groups; `None` when it has no usable id.
pub fn person(record: &Value) -> Option<(PersonFacts, bool)> {
    let object = record.as_object()?;
    let reference = id(record)?.to_owned();
    let user_name = clean(text(object, "userName").unwrap_or(&reference));
    let groups = get(object, "groups").and_then(Value::as_array);
    let facts = PersonFacts {
        email: addresses(record).into_iter().next(),
        display_name: display_name(object).unwrap_or_else(|| user_name.clone()),
        active: active(get(object, "active")),
        manager: manager(object),
        attributes: attributes(object),
        groups: groups.into_iter().flatten().filter_map(group_ref).collect(),
        reference,
        user_name,
    };
    Some((facts, groups.is_some()))
}

fn group_ref(entry: &Value) -> Option<GroupRef> {
    let object = entry.as_object()?;
    let reference = text(object, "value").filter(|id| usable(id))?.to_owned();
    let name = clean(text(object, "display").unwrap_or(&reference));
    Some(GroupRef { reference, name })
}

/// Missing means active (directories §5); anything that is not clearly true means not active.
fn active(value: Option<&Value>) -> bool {
    match value {
        None => true,
        Some(Value::Bool(active)) => *active,
        Some(Value::String(text)) => text.eq_ignore_ascii_case("true"),
        Some(_) => false,
    }
}

fn display_name(object: &Map<String, Value>) -> Option<String> {
    let name = get(object, "name").and_then(Value::as_object);
    let given = name.and_then(|n| text(n, "givenName")).unwrap_or_default();
    let family = name.and_then(|n| text(n, "familyName")).unwrap_or_default();
    [text(object, "displayName").unwrap_or_default(), name.and_then(|n| text(n, "formatted")).unwrap_or_default()]
        .into_iter()
        .map(clean)
        .chain([clean(&format!("{given} {family}"))])
        .find(|name| !name.is_empty())
}

/// All mail addresses: the primary first, then work, then the rest.
pub fn addresses(record: &Value) -> Vec<String> {
    let entries = record.as_object().and_then(|o| get(o, "emails")).and_then(Value::as_array);
    let mut found: Vec<(u8, String)> = Vec::new();
    for entry in entries.into_iter().flatten().take(MAX_ATTRIBUTES) {
        let (rank, value) = match entry {
            Value::String(value) => (2, value.as_str()),
            Value::Object(object) => {
                let primary = get(object, "primary").is_some_and(|p| p == &Value::Bool(true));
                let work = text(object, "type").is_some_and(|t| t.eq_ignore_ascii_case("work"));
                (if primary { 0 } else { 2 - u8::from(work) }, text(object, "value").unwrap_or_default())
            }
            _ => continue,
        };
        let value = clean(value);
        if !value.is_empty() {
            found.push((rank, value));
        }
    }
    found.sort_by_key(|(rank, _)| *rank);
    found.into_iter().map(|(_, value)| value).collect()
}

/// The manager's id: `manager.value`, the end of `manager.$ref`, or a bare string.
fn manager(object: &Map<String, Value>) -> Option<String> {
    let extension = get(object, ENTERPRISE).and_then(Value::as_object);
    let manager = extension.and_then(|e| get(e, "manager")).or_else(|| get(object, "manager"))?;
    let found = match manager {
        Value::String(id) => Some(id.as_str()),
        Value::Object(m) => text(m, "value").or_else(|| text(m, "$ref").and_then(|r| r.rsplit('/').next())),
        _ => None,
    };
    found.filter(|id| usable(id)).map(str::to_owned)
}

fn attributes(object: &Map<String, Value>) -> BTreeMap<String, Vec<String>> {
    let mut found = BTreeMap::new();
    for (key, value) in object {
        if !key.starts_with("urn:") && !NOT_PLAIN.iter().any(|known| known.eq_ignore_ascii_case(key)) {
            keep(&mut found, key, value);
        }
    }
    // The enterprise extension before the others: its words have a standard meaning.
    let others = object.iter().filter(|(k, _)| k.starts_with("urn:") && !k.eq_ignore_ascii_case(ENTERPRISE));
    let extensions = get(object, ENTERPRISE).into_iter().chain(others.map(|(_, value)| value));
    for (key, value) in extensions.filter_map(Value::as_object).flatten() {
        if !key.eq_ignore_ascii_case("manager") {
            keep(&mut found, key, value);
        }
    }
    let addresses = get(object, "addresses").and_then(Value::as_array);
    let mut addresses: Vec<_> = addresses.into_iter().flatten().filter_map(Value::as_object).collect();
    addresses.sort_by_key(|a| !text(a, "type").is_some_and(|t| t.eq_ignore_ascii_case("work")));
    if let Some(address) = addresses.first() {
        for (from, to) in [("locality", "location"), ("country", "country")] {
            if let Some(value) = get(address, from) {
                keep(&mut found, to, value);
            }
        }
    }
    found
}

/// Takes a plain value, or a list of plain values or `{value}` entries; the first to claim a key keeps it.
fn keep(found: &mut BTreeMap<String, Vec<String>>, key: &str, value: &Value) {
    let entries = match value {
        Value::Array(entries) => entries.as_slice(),
        single => std::slice::from_ref(single),
    };
    let values: Vec<String> = entries.iter().take(MAX_ATTRIBUTES).filter_map(plain).filter(|v| !v.is_empty()).collect();
    let key = word(key);
    if !values.is_empty() && !key.is_empty() && found.len() < MAX_ATTRIBUTES {
        found.entry(key).or_insert(values);
    }
}

fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(clean(text)),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        Value::Object(object) => text(object, "value").map(clean),
        Value::Null | Value::Array(_) => None,
    }
}

/// `costCenter` to `cost_center`; `userType` is our employment_type.
fn word(key: &str) -> String {
    if key.eq_ignore_ascii_case("userType") {
        return "employment_type".into();
    }
    let mut word = String::new();
    for c in clean(key).chars().take(64) {
        if c.is_ascii_uppercase() && !word.is_empty() && !word.ends_with('_') {
            word.push('_');
        }
        word.push(if c.is_alphanumeric() { c.to_ascii_lowercase() } else { '_' });
    }
    word
}

/// One entry of a group's `members`.
#[derive(Debug, PartialEq, Eq)]
pub struct Member {
    /// What the group's list holds, and what a remove must name.
    pub value: String,
    /// The member's id: the end of `$ref` where there is one, as some servers keep logins in `value`.
    pub reference: String,
    /// Whether it is a group inside the group.
    pub is_group: bool,
}

/// The members a group's record lists; `None` when it has no `members` at all, which may also mean "not told".
pub fn members(record: &Value) -> Option<Vec<Member>> {
    let listed = get(record.as_object()?, "members")?.as_array()?;
    Some(listed.iter().filter_map(member).collect())
}

fn member(entry: &Value) -> Option<Member> {
    let object = entry.as_object()?;
    let value = text(object, "value")?.to_owned();
    let link = text(object, "$ref").unwrap_or_default();
    let mut segments = link.trim_end_matches('/').rsplit('/');
    let (last, place) = (segments.next().unwrap_or_default(), segments.next().unwrap_or_default());
    let is_group = text(object, "type").is_some_and(|t| t.eq_ignore_ascii_case("group")) || place == "Groups";
    let reference = if place == "Users" && usable(last) && !last.contains('%') { last.to_owned() } else { value.clone() };
    Some(Member { value, reference, is_group })
}

/// A group's id and name; `None` when it has no usable id.
pub fn group_name(record: &Value) -> Option<GroupRef> {
    let reference = id(record)?.to_owned();
    let name = record.as_object().and_then(|o| text(o, "displayName")).map(clean).filter(|n| !n.is_empty());
    Some(GroupRef { name: name.unwrap_or_else(|| reference.clone()), reference })
}

/// A group with its members; `None` when it has no usable id.
pub fn group(record: &Value) -> Option<GroupFacts> {
    let GroupRef { reference, name } = group_name(record)?;
    let mut facts = GroupFacts { reference, name, members: Vec::new(), nested: Vec::new(), read_only: None };
    let mut seen = std::collections::HashSet::new();
    for member in members(record).unwrap_or_default() {
        if seen.insert(member.reference.clone()) {
            if member.is_group { &mut facts.nested } else { &mut facts.members }.push(member.reference);
        }
    }
    Some(facts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(record: Value) -> PersonFacts {
        person(&record).unwrap().0
    }

    #[test]
    fn a_full_person_is_read() {
        let (facts, knows_groups) = person(&json!({
            "schemas": [ENTERPRISE], "id": "u-1", "userName": "ada", "displayName": " Ada\nAmato ", "title": "Engineer",
            "userType": "Contractor", "active": true, "password": "never kept", "locale": "de-DE",
            "emails": [{"value": "home@x"}, {"value": "work@x", "type": "work"}, {"value": "ada@x", "primary": true}],
            "addresses": [{"type": "home", "locality": "Ulm"}, {"type": "work", "locality": "Berlin", "country": "DE"}],
            "roles": [{"value": "approver"}, {"value": "on-call"}],
            "groups": [{"value": "g-1", "display": "Engineers"}, {"value": ""}, {"display": "no id"}],
            ENTERPRISE: {"department": "Platform", "costCenter": 4711, "employeeNumber": "12", "manager": {"value": "u-9"}},
            "urn:example:hr:1.0:User": {"isManager": false, "department": "does not win", "nested": {"no": "way"}},
        }))
        .unwrap();
        assert!(knows_groups && facts.active);
        assert_eq!((facts.display_name.as_str(), facts.email.as_deref()), ("Ada Amato", Some("ada@x")));
        assert_eq!(facts.manager.as_deref(), Some("u-9"));
        assert_eq!(facts.groups, [GroupRef { reference: "g-1".into(), name: "Engineers".into() }]);
        let told: Vec<_> = facts.attributes.iter().map(|(k, v)| format!("{k}={}", v.join("+"))).collect();
        assert_eq!(
            told,
            [
                "cost_center=4711",
                "country=DE",
                "department=Platform",
                "employee_number=12",
                "employment_type=Contractor",
                "is_manager=false",
                "locale=de-DE",
                "location=Berlin",
                "roles=approver+on-call",
                "title=Engineer",
            ]
        );
    }

    #[test]
    fn a_bare_person_is_read() {
        let (facts, knows_groups) = person(&json!({"ID": "u-1"})).unwrap();
        assert!(!knows_groups && facts.active && facts.groups.is_empty() && facts.email.is_none());
        assert_eq!((facts.user_name.as_str(), facts.display_name.as_str()), ("u-1", "u-1"));
        assert_eq!(read(json!({"id": "u", "name": {"givenName": "Al", "familyName": "Bo"}})).display_name, "Al Bo");
        let linked = json!({"id": "u", ENTERPRISE: {"manager": {"$ref": "https://x/scim/v2/Users/u-9"}}});
        assert_eq!(read(linked).manager.as_deref(), Some("u-9"));
    }

    #[test]
    fn only_a_clear_yes_is_active() {
        let active = |value: Value| read(json!({"id": "u", "active": value})).active;
        assert!(active(json!(true)) && active(json!("True")) && active(Value::Null));
        assert!(!active(json!(false)) && !active(json!("False")) && !active(json!(1)) && !active(json!({})));
    }

    #[test]
    fn a_record_without_a_usable_id_is_nobody() {
        for bad in [json!({}), json!({"id": ""}), json!({"id": 7}), json!({"id": ".."}), json!({"id": "a\nb"}), json!([]), json!("u")] {
            assert!(person(&bad).is_none() && group(&bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn members_are_told_apart_and_counted_once() {
        let facts = group(&json!({"id": "g", "displayName": "Engineers", "members": [
            {"value": "u-1"}, {"value": "u-1"}, {"value": "bob", "$ref": "http://x/v2/Users/u-2"},
            {"value": "g-2", "type": "Group"}, {"value": "g-3", "$ref": "http://x/v2/Groups/g-3"}, {"display": "no id"}, 7,
        ]}))
        .unwrap();
        assert_eq!((facts.members, facts.nested), (vec!["u-1".into(), "u-2".into()], vec!["g-2".into(), "g-3".into()]));
        assert_eq!(members(&json!({"id": "g"})), None);
        assert_eq!(members(&json!({"id": "g", "members": []})), Some(vec![]));
    }
}
