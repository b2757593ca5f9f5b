//! What is asked for, as the API takes it.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::domain::id::{GrantId, PersonId, RoleId};
use crate::service::ask::AskFor;
use crate::web::api::fields::Fields;
use crate::web::api::problem::Problem;

/// What is asked for.
#[derive(Debug, Deserialize, ToSchema)]
#[allow(dead_code, reason = "read by name; here for the API's document")]
pub struct NewRequest {
    /// The role.
    pub role: Uuid,
    /// For whom; for yourself unless given. A manager asks for who reports to them, an owner for anybody, where the policy lets them.
    pub beneficiary: Option<Uuid>,
    /// For how long, in seconds; `null` for access without end, where the policy offers it.
    #[schema(required = true, minimum = 1)]
    pub duration_s: Option<i64>,
    /// Why; approvers read it. At most 4,000 characters.
    pub justification: Option<String>,
    /// The ticket this belongs to.
    pub ticket_reference: Option<String>,
    /// When access is to begin; as soon as approved unless given.
    pub starts_at: Option<DateTime<Utc>>,
    /// Values of the policy's own fields by key: text, a number, or true and false for yes and no.
    #[schema(value_type = Option<Object>)]
    pub fields: Option<Value>,
    /// Access at once, before anybody is asked, where the policy has a path for it. A review is owed afterwards.
    pub emergency: Option<NewEmergency>,
    /// The grant that this extends.
    pub extension_of: Option<Uuid>,
}

/// Access at once.
#[derive(Debug, Deserialize, ToSchema)]
#[allow(dead_code, reason = "read by name; here for the API's document")]
pub struct NewEmergency {
    /// Why it cannot wait for an approval.
    pub reason: String,
    /// Must be true: that access is taken before anybody is asked.
    pub confirm: bool,
}

/// The most fields of a policy's own that are read.
const MOST_FIELDS: usize = 200;

/// Reads a [`NewRequest`], every fault named.
pub fn asked_for(mut body: Fields) -> Result<AskFor, Problem> {
    let role = body.id("role");
    if !body.has("duration_s") {
        body.fault("duration_s", "Must be given: seconds, or null for access without end.");
    }
    let duration = body.seconds("duration_s");
    let justification = body.text("justification");
    let ticket_reference = body.text("ticket_reference");
    let starts_at = body.time("starts_at");
    let extension_of = body.id("extension_of").map(GrantId);
    let beneficiary = body.id("beneficiary").map(PersonId);
    let fields = own_fields(&mut body);
    let emergency = emergency(&mut body);
    let role = body.done_with("role", role)?;
    Ok(AskFor { beneficiary, duration, starts_at, justification, ticket_reference, fields, emergency, extension_of, ..AskFor::new(RoleId(role)) })
}

fn own_fields(body: &mut Fields) -> BTreeMap<String, String> {
    let mut read = BTreeMap::new();
    let Some(values) = body.object("fields") else { return read };
    if values.len() > MOST_FIELDS {
        body.fault("fields", "Holds more fields than any policy has.");
        return read;
    }
    for (key, value) in values {
        let text = match value {
            Value::Null => continue,
            Value::String(text) if !text.contains('\0') => text,
            Value::Number(number) => number.to_string(),
            Value::Bool(true) => "yes".into(),
            Value::Bool(false) => "no".into(),
            _ => {
                body.fault(&format!("field_{key}"), "Must be text without NUL, a number, or true or false.");
                continue;
            }
        };
        read.insert(key, text);
    }
    read
}

/// The reason; none when there is no emergency.
fn emergency(body: &mut Fields) -> Option<String> {
    let values = body.object("emergency")?;
    let mut inner = Fields::of_body(values);
    let (reason, confirm) = (inner.text("reason"), inner.truth("confirm"));
    let faults = inner.faults();
    let sound = faults.is_empty();
    for fault in faults {
        body.fault(&format!("emergency.{}", fault.field), fault.sentence);
    }
    if sound && confirm != Some(true) {
        body.fault("emergency.confirm", "Must be true: access begins before anybody is asked, and a review of it is owed.");
    }
    Some(reason.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(value: Value) -> Result<AskFor, Problem> {
        let mut body = json!({ "role": "01934f2a-7c11-7abc-8def-0123456789ab", "duration_s": 60 });
        for (key, value) in value.as_object().cloned().unwrap_or_default() {
            body[key] = value;
        }
        asked_for(Fields::of_body(body.as_object().cloned().unwrap_or_default()))
    }

    #[test]
    fn values_of_fields_are_taken_as_text_and_yes_and_no() {
        let asked = read(json!({"fields": {"a": "x", "b": 7, "c": true, "d": false, "e": null}})).map(|asked| asked.fields);
        let wanted = [("a", "x"), ("b", "7"), ("c", "yes"), ("d", "no")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        assert_eq!(asked.ok(), Some(wanted.into()));
        for bad in [json!([]), json!("x"), json!({"a": []}), json!({"a": {}}), json!({"a": "\0"})] {
            assert!(read(json!({ "fields": bad })).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_emergency_is_confirmed_in_so_many_words() {
        let reason = |value: Value| read(json!({ "emergency": value })).map(|asked| asked.emergency).ok();
        assert_eq!(reason(json!({"reason": "Down", "confirm": true})), Some(Some("Down".into())));
        assert_eq!(reason(json!(null)), Some(None));
        for bad in [
            json!(true),
            json!({}),
            json!({"reason": "Down"}),
            json!({"reason": "Down", "confirm": false}),
            json!({"reason": 1, "confirm": true}),
            json!({"reason": "x", "confirm": true, "more": 1}),
        ] {
            assert_eq!(reason(bad.clone()), None, "{bad}");
        }
    }
}
