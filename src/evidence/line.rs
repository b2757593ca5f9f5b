//! An event as a line of `events.jsonl`.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::leaf::{VERSION, numbers_as_text};
use super::time;

/// An event as it was written.
#[derive(Clone, Debug)]
pub struct Line<'a> {
    /// The insertion key.
    pub id: i64,
    /// When.
    pub occurred_at: DateTime<Utc>,
    /// Columns of text that are never personal: `kind`, `actor_kind`, `channel`.
    pub texts: [(&'static str, &'a str); 3],
    /// Their name then.
    pub actor_name: Option<&'a str>,
    /// Columns of ids.
    pub ids: [(&'static str, Option<Uuid>); 9],
    /// The payload.
    pub data: &'a Value,
    /// What the salts of its fields come from; none once something was erased.
    pub salt: Option<Uuid>,
    /// Once something was erased: by pointer of each personal field a `commitment` or a `salt`.
    pub erased: Option<&'a Value>,
}

/// The members of the line. Ids, numbers and times are texts; what is not there is null.
pub fn of(line: Line<'_>) -> Map<String, Value> {
    let mut members = Map::new();
    let mut put = |key: &str, value: Option<String>| members.insert(key.to_owned(), value.filter(|text| !text.is_empty()).map_or(Value::Null, Value::String));
    put("v", Some(VERSION.to_owned()));
    put("event_id", Some(line.id.to_string()));
    put("occurred_at", Some(time::micros(line.occurred_at)));
    for (key, text) in line.texts {
        put(key, Some(text.to_owned()));
    }
    put("actor_name", line.actor_name.map(str::to_owned));
    for (key, id) in line.ids {
        put(key, id.map(|id| id.to_string()));
    }
    put("salt", line.salt.map(|salt| salt.simple().to_string()));
    let mut data = line.data.clone();
    numbers_as_text(&mut data);
    members.insert("data".to_owned(), data);
    let Some(Value::Object(erased)) = line.erased else { return members };
    // What is gone leaves a word in its row for people to read; a line says that there is nothing.
    let mut event = Value::Object(members);
    for (pointer, field) in erased {
        if field.get("commitment").is_some()
            && let Some(text) = event.pointer_mut(pointer)
        {
            *text = Value::Null;
        }
    }
    let Value::Object(mut members) = event else { return Map::new() };
    members.insert("erased".to_owned(), Value::Object(erased.clone()));
    members
}
