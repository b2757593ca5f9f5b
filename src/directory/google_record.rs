//! Google Workspace records read into facts (Directory API v1).
//!
//! Pure. The inner fields of `organizations`, `relations`, `externalIds` and the like have no type in Google's own description, so each
//! may be anything.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::directory::facts::{GroupListed, PersonFacts, clean};
use crate::domain::person::GroupRef;

/// Most values of one attribute, and most entries looked at.
const MOST_VALUES: usize = 64;

/// Whether this is a key of Google's own making: letters and digits. Addresses, which are renamed and given to others, are none.
pub fn is_id(text: &str) -> bool {
    !text.is_empty() && text.len() <= 128 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// The id; `None` when there is none.
pub fn id(record: &Value) -> Option<&str> {
    record["id"].as_str().filter(|id| is_id(id))
}

fn text(record: &Value, name: &str) -> Option<String> {
    record[name].as_str().map(clean).filter(|text| !text.is_empty())
}

fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(clean(text)),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        // Custom fields with several values.
        Value::Object(object) => object.get("value")?.as_str().map(clean),
        _ => None,
    }
}

/// Of several entries: those of this type, else this field of the one that counts: the primary, then the one for work, then the first.
fn among<'a>(entries: &'a [Value], name: &str) -> Vec<&'a Value> {
    let entries = &entries[..entries.len().min(MOST_VALUES)];
    if let Some(entry) = entries
        .iter()
        .find(|entry| entry["primary"] == true && !entry[name].is_null())
        .or_else(|| entries.iter().find(|entry| entry["type"] == "work" && !entry[name].is_null()))
        .or_else(|| entries.iter().find(|entry| !entry[name].is_null()))
    {
        return vec![&entry[name]];
    }
    entries.iter().filter(|entry| is_of(entry, name)).map(|entry| &entry["value"]).collect()
}

fn is_of(entry: &Value, kind: &str) -> bool {
    ["type", "customType"].iter().any(|key| entry[*key].as_str().is_some_and(|told| told.eq_ignore_ascii_case(kind)))
}

/// What stands at a path such as `organizations.department`, `externalIds.organization` or `customSchemas.Employment.shift`.
pub fn values(record: &Value, path: &str) -> Vec<String> {
    let mut at = vec![record];
    for name in path.split('.') {
        at = at
            .into_iter()
            .flat_map(|value| match value {
                Value::Array(entries) => among(entries, name),
                single => vec![&single[name]],
            })
            .collect();
    }
    let entries = at.into_iter().flat_map(|value| match value {
        Value::Array(entries) => entries.iter().collect(),
        single => vec![single],
    });
    entries.take(MOST_VALUES).filter_map(plain).filter(|value| !value.is_empty()).collect()
}

/// A person without groups and manager; `None` without an id.
pub fn person(record: &Value, attributes: &BTreeMap<String, String>) -> Option<PersonFacts> {
    let reference = id(record)?.to_owned();
    let user_name = text(record, "primaryEmail").unwrap_or_else(|| reference.clone());
    let name = &record["name"];
    let full = format!("{} {}", text(name, "givenName").unwrap_or_default(), text(name, "familyName").unwrap_or_default());
    let display = [text(name, "fullName"), text(name, "displayName"), Some(full.trim().to_owned())];
    let mut told: BTreeMap<String, Vec<String>> = attributes.iter().map(|(ours, theirs)| (ours.clone(), values(record, theirs))).collect();
    told.retain(|_, values| !values.is_empty());
    // Absent is false in Google's answers; anything that is not clearly so is not active.
    let is_no = |value: &Value| matches!(value, Value::Null | Value::Bool(false));
    Some(PersonFacts {
        email: text(record, "primaryEmail"),
        display_name: display.into_iter().flatten().find(|name| !name.is_empty()).unwrap_or_else(|| user_name.clone()),
        active: is_no(&record["suspended"]) && is_no(&record["archived"]) && record["deletionTime"].is_null(),
        manager: None,
        attributes: told,
        groups: Vec::new(),
        reference,
        user_name,
    })
}

/// The manager's address, in small letters.
pub fn manager(record: &Value) -> Option<String> {
    let relations = record["relations"].as_array()?;
    let manager = relations.iter().take(MOST_VALUES).find(|relation| is_of(relation, "manager"))?;
    manager["value"].as_str().map(|address| clean(address).to_ascii_lowercase()).filter(|address| address.contains('@'))
}

/// All addresses of a person, in small letters.
pub fn addresses(record: &Value) -> Vec<String> {
    let others = ["aliases", "nonEditableAliases"].into_iter().filter_map(|list| record[list].as_array()).flatten().filter_map(Value::as_str);
    record["primaryEmail"].as_str().into_iter().chain(others).map(str::to_ascii_lowercase).collect()
}

/// A group's id and name; `None` without an id.
pub fn group_ref(record: &Value) -> Option<GroupRef> {
    let reference = id(record)?.to_owned();
    Some(GroupRef { name: text(record, "name").or_else(|| text(record, "email")).unwrap_or_else(|| reference.clone()), reference })
}

/// A group as a listing shows it; `None` without an id.
pub fn listed(record: &Value) -> Option<GroupListed> {
    let mut warnings = Vec::new();
    if record["adminCreated"] == false {
        warnings.push("It was made by a user, whose owners and managers can change its members outside of this service.".into());
    }
    Some(GroupListed { description: text(record, "description"), warnings, ..GroupListed::named(group_ref(record)?) })
}

/// One member of a group.
#[derive(Debug, PartialEq, Eq)]
pub enum Member {
    /// A person: their id, or their address where Google tells no id (outside of the Workspace).
    Person(String),
    /// A group inside the group.
    Group(String),
    /// Everybody in the Workspace.
    Everybody,
    /// None of these.
    Other,
}

/// What a member is; `None` when the record does not say who.
pub fn member(record: &Value) -> Option<Member> {
    let who = || id(record).map(str::to_owned).or_else(|| text(record, "email"));
    match record["type"].as_str().unwrap_or_default() {
        "USER" | "EXTERNAL" => Some(Member::Person(who()?)),
        "GROUP" => Some(Member::Group(who()?)),
        "CUSTOMER" => Some(Member::Everybody),
        "" => None,
        _ => Some(Member::Other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(ours, theirs)| ((*ours).to_owned(), (*theirs).to_owned())).collect()
    }

    #[test]
    fn a_full_person_is_read_as_the_settings_say() {
        let record = json!({
            "id": "1001", "primaryEmail": "Ann@x.org", "name": {"fullName": " Ann\tO'Hara "}, "suspended": false, "aliases": ["a@x.org", 7],
            "organizations": [{"department": "Old", "title": "Old"}, {"department": "Platform", "costCenter": 4711, "primary": true}],
            "externalIds": [{"type": "account", "value": "A"}, {"type": "organization", "value": "E-7"}, {"type": "custom", "customType": "badge", "value": "B"}],
            "addresses": [{"type": "home", "countryCode": "FR"}, {"type": "work", "countryCode": "DE"}],
            "customSchemas": {"Employment": {"shift": "night", "sites": [{"value": "ULM"}, {"value": "BER"}]}},
            "relations": [{"type": "assistant", "value": "z@x.org"}, {"type": "manager", "value": "Bea@X.org"}],
        });
        let attributes = map(&[
            ("department", "organizations.department"),
            ("title", "organizations.title"),
            ("cost_center", "organizations.costCenter"),
            ("employee_number", "externalIds.organization"),
            ("badge", "externalIds.badge"),
            ("country", "addresses.countryCode"),
            ("shift", "customSchemas.Employment.shift"),
            ("sites", "customSchemas.Employment.sites"),
            ("nothing", "organizations.department.deeper"),
        ]);
        let facts = person(&record, &attributes).unwrap();
        assert_eq!((facts.display_name.as_str(), facts.user_name.as_str(), facts.active), ("Ann O'Hara", "Ann@x.org", true));
        let told: Vec<_> = facts.attributes.iter().map(|(k, v)| format!("{k}={}", v.join("+"))).collect();
        let expected = ["badge=B", "cost_center=4711", "country=DE", "department=Platform", "employee_number=E-7", "shift=night", "sites=ULM+BER", "title=Old"];
        assert_eq!(told, expected);
        assert_eq!((manager(&record).as_deref(), addresses(&record)), (Some("bea@x.org"), vec!["ann@x.org".to_owned(), "a@x.org".to_owned()]));
    }

    #[test]
    fn suspended_archived_and_deleted_people_are_not_active() {
        let active = |more: Value| {
            let mut record = json!({"id": "1"});
            record.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            person(&record, &BTreeMap::new()).unwrap().active
        };
        assert!(active(json!({})) && active(json!({"suspended": false, "archived": false})));
        for no in [json!({"suspended": true}), json!({"archived": true}), json!({"suspended": "false"}), json!({"deletionTime": "2026-01-01T00:00:00Z"})] {
            assert!(!active(no.clone()), "{no}");
        }
    }

    #[test]
    fn hostile_records_are_nobody_and_nothing_panics() {
        for bad in [json!({}), json!([]), json!(null), json!({"id": ""}), json!({"id": 7}), json!({"id": "a@x.org"}), json!({"id": "a/b"}), json!({"id": ".."})]
        {
            assert!(person(&bad, &map(&[("a", "b.c")])).is_none() && group_ref(&bad).is_none(), "{bad}");
        }
        let odd = json!({"id": "1", "name": "Ann", "organizations": {"department": "D"}, "relations": "manager", "aliases": {}, "externalIds": [7, null, []]});
        let facts = person(&odd, &map(&[("department", "organizations.department"), ("n", "externalIds.organization"), ("", "")])).unwrap();
        assert_eq!((facts.display_name.as_str(), facts.attributes.len(), manager(&odd)), ("1", 1, None));
    }

    #[test]
    fn members_are_told_apart() {
        let of = |kind: &str, more: Value| {
            let mut record = json!({"type": kind});
            record.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            member(&record)
        };
        assert_eq!(of("USER", json!({"id": "1", "email": "a@x"})), Some(Member::Person("1".into())));
        assert_eq!(of("USER", json!({"email": "a@elsewhere"})), Some(Member::Person("a@elsewhere".into())));
        assert_eq!(of("GROUP", json!({"id": "g"})), Some(Member::Group("g".into())));
        assert_eq!(of("CUSTOMER", json!({"id": "C01"})), Some(Member::Everybody));
        assert_eq!(of("CBCM_BROWSER", json!({})), Some(Member::Other));
        assert_eq!((of("USER", json!({})), member(&json!({"id": "1"}))), (None, None));
    }
}
