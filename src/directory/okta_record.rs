//! Okta's users, groups and group rules read into facts.
//!
//! Pure: nothing that Okta sends makes it panic. What decides about access is strict: ids are never mended, and a status that is
//! not known is no reason to give access.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::directory::facts::{GroupListed, PersonFacts, clean};
use crate::domain::person::GroupRef;

/// Most different attributes taken over from one person, and most values of one attribute.
const MAX_ATTRIBUTES: usize = 64;
/// What a profile holds that is read by name, or that is nobody's business here.
const NOT_PLAIN: [&str; 13] = [
    "login",
    "email",
    "secondEmail",
    "firstName",
    "lastName",
    "middleName",
    "displayName",
    "nickName",
    "mobilePhone",
    "primaryPhone",
    "streetAddress",
    "postalAddress",
    "profileUrl",
];

/// A value that is there and not blank.
pub fn text<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    object.get(name)?.as_str().filter(|text| !text.trim().is_empty())
}

/// Whether an id can be asked for: a word of letters, digits, `-` and `_`, as all of Okta's are. A login with its `@` or `.` is none.
pub fn usable(id: &str) -> bool {
    (1..=64).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

/// An id exactly as sent; `None` when it is missing or none that can be asked for.
pub fn id(record: &Value) -> Option<&str> {
    record.get("id")?.as_str().filter(|id| usable(id))
}

/// What to read, and what it means.
#[derive(Clone, Debug)]
pub struct Mapping {
    /// Our names of attributes, and where they are in the profile; `manager` among them.
    pub attributes: BTreeMap<String, String>,
    /// The statuses in which somebody works here.
    pub active: BTreeSet<String>,
}

impl Mapping {
    /// A person without groups, and what the profile says of the manager; `None` when the record has no usable id. `manager` of the
    /// facts stays empty: what the profile says has to be made an id first.
    pub fn person(&self, record: &Value) -> Option<(PersonFacts, Option<String>)> {
        let reference = id(record)?.to_owned();
        let nothing = Map::new();
        let profile = record.get("profile").and_then(Value::as_object).unwrap_or(&nothing);
        let user_name = clean(text(profile, "login").unwrap_or(&reference));
        let full = format!("{} {}", text(profile, "firstName").unwrap_or_default(), text(profile, "lastName").unwrap_or_default());
        let display_name = [text(profile, "displayName").unwrap_or_default(), &full].into_iter().map(clean).find(|name| !name.is_empty());
        let manager = self.attributes.get("manager").and_then(|theirs| text(profile, theirs)).map(clean);
        let facts = PersonFacts {
            email: text(profile, "email").map(clean),
            display_name: display_name.unwrap_or_else(|| user_name.clone()),
            active: record.get("status").and_then(Value::as_str).is_some_and(|status| self.active.contains(status)),
            manager: None,
            attributes: self.attributes_of(profile),
            groups: Vec::new(),
            reference,
            user_name,
        };
        Some((facts, manager))
    }

    fn attributes_of(&self, profile: &Map<String, Value>) -> BTreeMap<String, Vec<String>> {
        let mut found = BTreeMap::new();
        let named = self.attributes.iter().filter(|(ours, _)| *ours != "manager");
        for (ours, theirs) in named {
            found.extend(profile.get(theirs).and_then(values).map(|values| (ours.clone(), values)));
        }
        // The rest by its own name, where nobody has said otherwise.
        for (theirs, value) in profile {
            let named = self.attributes.values().any(|named| named == theirs);
            if !named && !NOT_PLAIN.contains(&theirs.as_str()) && found.len() < MAX_ATTRIBUTES {
                let ours = word(theirs);
                if !ours.is_empty()
                    && !self.attributes.contains_key(&ours)
                    && let Some(values) = values(value)
                {
                    found.entry(ours).or_insert(values);
                }
            }
        }
        found
    }
}

/// A plain value or a list of them; `None` where there is nothing to tell.
fn values(value: &Value) -> Option<Vec<String>> {
    let entries = match value {
        Value::Array(entries) => entries.as_slice(),
        single => std::slice::from_ref(single),
    };
    let plain = |value: &Value| match value {
        Value::String(text) => Some(clean(text)),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    };
    let values: Vec<String> = entries.iter().take(MAX_ATTRIBUTES).filter_map(plain).filter(|text| !text.is_empty()).collect();
    (!values.is_empty()).then_some(values)
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

/// A group's id and name; `None` when it has no usable id.
pub fn group_name(record: &Value) -> Option<GroupRef> {
    let reference = id(record)?.to_owned();
    let name = record.get("profile").and_then(Value::as_object).and_then(|profile| text(profile, "name")).map(clean);
    Some(GroupRef { name: name.filter(|name| !name.is_empty()).unwrap_or_else(|| reference.clone()), reference })
}

/// Whether this is the group of everybody, which Okta keeps itself.
pub fn is_everyone(record: &Value) -> bool {
    record.get("type").and_then(Value::as_str) == Some("BUILT_IN") && group_name(record).is_some_and(|group| group.name == "Everyone")
}

/// Why Okta lets nobody change the members of such a group; `None` for one of type `OKTA_GROUP`.
pub fn fixed(record: &Value) -> Option<String> {
    match record.get("type").and_then(Value::as_str) {
        Some("OKTA_GROUP") => None,
        Some("BUILT_IN") => Some("Okta itself keeps its members (BUILT_IN)".into()),
        Some("APP_GROUP") => Some("the application it is imported from keeps its members (APP_GROUP)".into()),
        _ => Some("Okta does not say that its members may be changed".into()),
    }
}

/// Group rules that are at work: for a group, the name of a rule that puts people into it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules(pub BTreeMap<String, String>);

impl Rules {
    /// Takes in one rule; one that is not `ACTIVE` moves nobody.
    pub fn take(&mut self, rule: &Value) {
        if rule.get("status").and_then(Value::as_str) != Some("ACTIVE") {
            return;
        }
        let name = rule.get("name").and_then(Value::as_str).map(clean).filter(|name| !name.is_empty());
        let name = name.or_else(|| id(rule).map(str::to_owned)).unwrap_or_else(|| "without a name".into());
        let groups = rule.pointer("/actions/assignUserToGroups/groupIds").and_then(Value::as_array);
        for group in groups.into_iter().flatten().filter_map(Value::as_str) {
            self.0.entry(group.to_owned()).or_insert_with(|| name.clone());
        }
    }

    /// Why the group's members are not to be changed by hand; `None` when no rule at work fills it.
    pub fn owner(&self, group: &str) -> Option<String> {
        let rule = self.0.get(group)?;
        Some(format!(
            "the group rule \u{201c}{rule}\u{201d} fills it: whoever is taken out by hand is left out by the rule for good; switch the rule off, or use another group"
        ))
    }
}

/// A group as a listing shows it; `None` when it has no usable id. `rules` is `None` where they could not be read.
pub fn group_listed(record: &Value, rules: Option<&Rules>) -> Option<GroupListed> {
    let group = group_name(record)?;
    let description = record.get("profile").and_then(Value::as_object).and_then(|profile| text(profile, "description")).map(clean);
    let read_only = fixed(record).or_else(|| rules?.owner(&group.reference));
    let unknown = rules.is_none() && read_only.is_none();
    let warnings = unknown.then(|| "Whether a group rule fills it is not known, as the token may not read group rules.".to_owned());
    Some(GroupListed {
        description: description.filter(|text| !text.is_empty()),
        read_only,
        warnings: warnings.into_iter().collect(),
        ..GroupListed::named(group)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn mapping() -> Mapping {
        let attributes = [("department", "department"), ("cost_center", "costCenter"), ("manager", "managerId"), ("location", "city")];
        Mapping {
            attributes: attributes.into_iter().map(|(ours, theirs)| (ours.to_owned(), theirs.to_owned())).collect(),
            active: ["ACTIVE", "RECOVERY"].into_iter().map(str::to_owned).collect(),
        }
    }

    #[test]
    fn a_full_person_is_read() {
        let (facts, manager) = mapping()
            .person(&json!({"id": "00u1", "status": "ACTIVE", "credentials": {"password": {}}, "profile": {
                "login": "ada@example.org", "email": "ada@mail.example.org", "firstName": "Ada", "lastName": "Amato\0",
                "department": "Platform", "costCenter": 4711, "city": "Berlin", "managerId": " 00u9 ", "manager": "Max Muster",
                "mobilePhone": "not kept", "isOnCall": true, "skills": ["sql", "", {"x": 1}, null, "go"], "title": null,
            }}))
            .unwrap();
        assert_eq!(
            (facts.user_name.as_str(), facts.display_name.as_str(), facts.email.as_deref()),
            ("ada@example.org", "Ada Amato", Some("ada@mail.example.org"))
        );
        assert!(facts.active && facts.manager.is_none());
        assert_eq!(manager.as_deref(), Some("00u9"));
        let told: Vec<_> = facts.attributes.iter().map(|(key, values)| format!("{key}={}", values.join("+"))).collect();
        assert_eq!(told, ["cost_center=4711", "department=Platform", "is_on_call=true", "location=Berlin", "skills=sql+go"]);
    }

    #[test]
    fn what_is_missing_gives_nothing_and_certainly_no_access() {
        let (facts, manager) = mapping().person(&json!({"id": "00u1"})).unwrap();
        assert!(!facts.active && manager.is_none() && facts.email.is_none() && facts.attributes.is_empty());
        assert_eq!((facts.user_name.as_str(), facts.display_name.as_str()), ("00u1", "00u1"));
        for status in [json!("RECOVERY"), json!("ACTIVE")] {
            assert!(mapping().person(&json!({"id": "u", "status": status})).unwrap().0.active);
        }
        for status in [json!("SUSPENDED"), json!("DEPROVISIONED"), json!("STAGED"), json!("active"), json!("NEW"), json!(1), json!(null)] {
            assert!(!mapping().person(&json!({"id": "u", "status": status})).unwrap().0.active, "{status}");
        }
    }

    #[test]
    fn a_record_without_a_usable_id_is_nobody() {
        for bad in
            [json!({}), json!({"id": ""}), json!({"id": 7}), json!({"id": ".."}), json!({"id": "ada@example.org"}), json!({"id": "a/b"}), json!([]), json!("u")]
        {
            assert!(mapping().person(&bad).is_none() && group_name(&bad).is_none() && group_listed(&bad, None).is_none(), "{bad}");
        }
        assert!(!usable(&"x".repeat(65)) && usable("00u1ero7vZFVEIYLWPBN"));
    }

    #[test]
    fn only_a_group_of_okta_that_no_rule_fills_can_be_changed() {
        let mut rules = Rules::default();
        rules.take(&json!({"id": "r", "name": "All engineers", "status": "ACTIVE", "actions": {"assignUserToGroups": {"groupIds": ["g2", 7, "g5"]}}}));
        rules.take(&json!({"name": "Asleep", "status": "INACTIVE", "actions": {"assignUserToGroups": {"groupIds": ["g1"]}}}));
        rules.take(&json!({"status": "ACTIVE"}));
        rules.take(&json!("hostile"));
        let listed = |id: &str, kind: &str| group_listed(&json!({"id": id, "type": kind, "profile": {"name": "N", "description": " "}}), Some(&rules)).unwrap();
        assert_eq!(listed("g1", "OKTA_GROUP"), GroupListed::named(GroupRef { reference: "g1".into(), name: "N".into() }));
        assert!(listed("g2", "OKTA_GROUP").read_only.unwrap().contains("“All engineers”"));
        assert!(listed("g1", "APP_GROUP").read_only.unwrap().contains("APP_GROUP"));
        assert!(listed("g1", "BUILT_IN").read_only.unwrap().contains("BUILT_IN"));
        assert!(listed("g1", "").read_only.is_some());
        let unsure = group_listed(&json!({"id": "g1", "type": "OKTA_GROUP"}), None).unwrap();
        assert!(unsure.read_only.is_none() && unsure.warnings.len() == 1);
        assert!(is_everyone(&json!({"id": "g", "type": "BUILT_IN", "profile": {"name": "Everyone"}})));
        assert!(!is_everyone(&json!({"id": "g", "type": "OKTA_GROUP", "profile": {"name": "Everyone"}})));
    }
}
