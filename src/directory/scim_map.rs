//! Attributes read where the settings say.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::directory::facts::{PersonFacts, clean};
use crate::directory::scim_record::get;

/// Most values of one attribute.
const MAX_VALUES: usize = 64;

/// Our names with paths as a filter writes them (RFC 7644 §3.10): `title`, `addresses.locality`,
/// `urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:costCenter`; an empty one leaves the attribute out.
pub type Paths = BTreeMap<String, String>;

/// Lays what stands at `paths` in `record` over what was read by name. Where nothing stands there is nothing then.
pub fn lay(facts: &mut PersonFacts, record: &Value, paths: &Paths) {
    for (ours, path) in paths {
        let found = values(record, path);
        if found.is_empty() {
            facts.attributes.remove(ours);
        } else {
            facts.attributes.insert(ours.clone(), found);
        }
    }
}

/// The plain values at `path`, of every entry of a list.
fn values(record: &Value, path: &str) -> Vec<String> {
    let (schema, rest) = match path.rsplit_once(':') {
        Some((schema, rest)) if path.starts_with("urn:") => (Some(schema), rest),
        _ => (None, path),
    };
    // An extension's own version has dots: only what follows its last colon is a path.
    let steps = schema.into_iter().chain(rest.split('.'));
    let mut level = vec![record];
    for step in steps {
        level = level.into_iter().filter_map(|value| get(value.as_object()?, step)).flat_map(entries).take(MAX_VALUES).collect();
    }
    level.into_iter().filter_map(plain).filter(|text| !text.is_empty()).collect()
}

fn entries(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(all) => all.iter().collect(),
        one => vec![one],
    }
}

fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(clean(text)),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        Value::Object(object) => get(object, "value").and_then(Value::as_str).map(clean),
        Value::Null | Value::Array(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::scim_record;
    use serde_json::json;

    #[test]
    fn attributes_are_read_where_the_settings_say() {
        let record = json!({
            "id": "u-1", "title": "Engineer", "nickName": "ace", "addresses": [{"region": "Bavaria"}, {"region": "Ulm"}],
            "roles": [{"value": "a"}, "b", {"display": "no value"}],
            "urn:example:hr:2.0:User": {"site": {"code": 7}, "list": [[["deep"]]]},
        });
        let paths: Paths = [
            ("location", "addresses.region"),
            ("site", "urn:example:hr:2.0:User:site.code"),
            ("duties", "roles"),
            ("title", "urn:example:hr:2.0:User:title"),
            ("nick_name", ""),
            ("nothing", "urn:"),
            ("deep", "urn:example:hr:2.0:User:list"),
        ]
        .map(|(ours, path)| (ours.to_owned(), path.to_owned()))
        .into();
        let mut facts = scim_record::person(&record).unwrap().0;
        assert!(facts.attributes.contains_key("title") && facts.attributes.contains_key("nick_name"));
        lay(&mut facts, &record, &paths);
        let told: Vec<_> = facts.attributes.iter().map(|(k, v)| format!("{k}={}", v.join("+"))).collect();
        assert_eq!(told, ["duties=a+b", "location=Bavaria+Ulm", "roles=a+b", "site=7"]);
    }
}
