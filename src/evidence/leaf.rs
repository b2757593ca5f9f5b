//! An event as the log's leaf, with personal data committed.
//!
//! The leaf is the canonical JSON (RFC 8785) of the event. What names a person, or what a person wrote, is not in it: a commitment takes
//! its place, SHA-256 over a salt and the text. So the text can be erased later, and the leaf, its place in the tree and every proof stay
//! as they were. Each field has a salt of its own, made from the event's: telling one gives away no other.

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::canonical::{canonical, hex};
use super::merkle::{Hash, leaf_hash};

/// The version of the leaf's form; the member `v`.
pub const VERSION: &str = "1";

/// Members whose text, or the texts in whose list, may name a person or were written by one, wherever in the event they stand. The same as
/// `personal_members()` in `migrations/0003_guards.sql`.
pub const PERSONAL: [&str; 22] = [
    "actor_name",
    "name",
    "email",
    "reason",
    "comment",
    "question",
    "answer",
    "note",
    "given_by",
    "person",
    "reference",
    "subject",
    "justification",
    "rationale",
    "error",
    "why",
    "sentence",
    "changes",
    "old",
    "new",
    "source",
    "filters",
];

/// Members of a line that are about the event, and are no part of its leaf.
pub const BESIDE: [&str; 4] = ["leaf_index", "leaf_hash", "salt", "erased"];

/// Why a line is no event.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Error {
    /// Not an object with the members an event has.
    #[error("this line is no event: {0}")]
    Malformed(&'static str),
    /// It says that a field was erased, or has none of the salts that it needs.
    #[error("the salt of {0} is missing")]
    NoSalt(String),
}

/// The salt of the field at `pointer` (RFC 6901), from the event's salt of 16 bytes.
pub fn field_salt(salt: &[u8], pointer: &str) -> Hash {
    Sha256::new().chain_update(salt).chain_update(pointer).finalize().into()
}

/// What stands in the leaf for `text`.
pub fn commitment(field_salt: &Hash, text: &str) -> Hash {
    Sha256::new().chain_update(field_salt).chain_update(text).finalize().into()
}

/// Whether the member `key` holds personal text.
pub fn is_personal(key: &str) -> bool {
    PERSONAL.contains(&key)
}

/// Numbers as their decimal text: JSON's are doubles to many readers, and a digest must not depend on that.
pub fn numbers_as_text(value: &mut Value) {
    match value {
        Value::Number(number) => *value = Value::String(number.to_string()),
        Value::Array(items) => items.iter_mut().for_each(numbers_as_text),
        Value::Object(members) => members.values_mut().for_each(numbers_as_text),
        _ => {}
    }
}

fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// The hash of the event that `line` tells: an object with the members of the event, `salt` (32 hex digits; null once something in it was
/// erased) and, then, `erased`: for each personal field by its pointer either `commitment`, for what is gone, or `salt`, for what is not.
///
/// # Errors
/// When the line is no event, or a salt is missing.
pub fn hash(mut line: Map<String, Value>) -> Result<Hash, Error> {
    if line.get("v").and_then(Value::as_str) != Some(VERSION) {
        return Err(Error::Malformed("it has another version"));
    }
    let salt = match line.get("salt") {
        Some(Value::String(text)) => Some(bytes(text).filter(|salt| salt.len() == 16).ok_or(Error::Malformed("its salt is not 32 hex digits"))?),
        Some(Value::Null) | None => None,
        _ => return Err(Error::Malformed("its salt is no text")),
    };
    let erased = match line.remove("erased") {
        Some(Value::Object(erased)) => erased,
        Some(Value::Null) | None => Map::new(),
        _ => return Err(Error::Malformed("what was erased is no object")),
    };
    for key in BESIDE {
        line.remove(key);
    }
    let mut event = Value::Object(line);
    let used = commit(&mut event, "", false, salt.as_deref(), &erased)?;
    if used != erased.len() {
        return Err(Error::Malformed("it says that something was erased which it does not have"));
    }
    let text = canonical(&event).map_err(|_| Error::Malformed("it holds a number that is no whole one, or is nested too deep"))?;
    Ok(leaf_hash(text.as_bytes()))
}

/// Puts commitments in the place of texts, of `value` itself when it is `personal`; returns how many members of `erased` were needed for it.
fn commit(value: &mut Value, pointer: &str, personal: bool, salt: Option<&[u8]>, erased: &Map<String, Value>) -> Result<usize, Error> {
    let told = |what: &str| erased.get(pointer).and_then(|field| field.get(what)).and_then(Value::as_str).and_then(|text| Hash::try_from(bytes(text)?).ok());
    let (committed, used) = match value {
        Value::Array(items) => {
            let mut used = 0;
            for (i, item) in items.iter_mut().enumerate() {
                used += commit(item, &format!("{pointer}/{i}"), personal, salt, erased)?;
            }
            return Ok(used);
        }
        Value::Object(members) if personal && members.len() == 1 && members.contains_key("commitment") => {
            return Err(Error::Malformed("a commitment stands where a text belongs"));
        }
        Value::Object(members) => {
            let mut used = 0;
            for (key, member) in members.iter_mut() {
                used += commit(member, &format!("{pointer}/{}", escaped(key)), is_personal(key), salt, erased)?;
            }
            return Ok(used);
        }
        Value::String(text) if personal => {
            let told = told("salt");
            let salt = told.or_else(|| salt.map(|salt| field_salt(salt, pointer))).ok_or_else(|| Error::NoSalt(pointer.to_owned()))?;
            (commitment(&salt, text), usize::from(told.is_some()))
        }
        // Nothing there: erased, or never said.
        Value::Null if personal => match told("commitment") {
            Some(commitment) => (commitment, 1),
            None => return Ok(0),
        },
        _ => return Ok(0),
    };
    *value = serde_json::json!({ "commitment": hex(&committed) });
    Ok(used)
}

/// The bytes of hex digits; none for anything else.
pub fn bytes(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
        return None;
    }
    text.as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    const SALT: &str = "000102030405060708090a0b0c0d0e0f";

    fn event() -> Value {
        json!({
            "leaf_index": "7", "leaf_hash": null, "salt": SALT, "v": "1", "event_id": "12", "occurred_at": "2026-01-31T08:00:00.000000Z",
            "kind": "approval.denied", "actor_kind": "person", "actor_id": "a", "actor_name": "Bo Lind",
            "data": {"step_no": "1", "comment": "no", "asked": [{"id": "b", "name": "Mara Voss"}], "granted_s": null, "changes": ["a", "owner Bo"]},
        })
    }

    fn hashed(value: Value) -> Result<Hash, Error> {
        let Value::Object(members) = value else { panic!("an object") };
        hash(members)
    }

    fn field(pointer: &str, text: &str) -> (String, String) {
        let salt = field_salt(&bytes(SALT).unwrap(), pointer);
        (hex(&salt), hex(&commitment(&salt, text)))
    }

    #[test]
    fn whatever_is_changed_changes_the_leaf() {
        let whole = hashed(event()).unwrap();
        assert_eq!(hashed(event()).unwrap(), whole);
        for (at, other) in [
            ("/event_id", json!("13")),
            ("/occurred_at", json!("2026-01-31T08:00:00.000001Z")),
            ("/actor_name", json!("Bo Lint")),
            ("/actor_name", Value::Null),
            ("/data/comment", json!("No")),
            ("/data/asked/0/name", json!("")),
            ("/data/asked/0/id", json!("c")),
            ("/data/granted_s", json!("1")),
            ("/data/changes/1", json!("owner")),
            ("/data/changes/0", Value::Null),
            ("/salt", json!("000102030405060708090a0b0c0d0e10")),
        ] {
            let mut changed = event();
            *changed.pointer_mut(at).unwrap() = other;
            assert_ne!(hashed(changed).unwrap(), whole, "{at}");
        }
        let mut more = event();
        more["data"]["extra"] = json!("x");
        assert_ne!(hashed(more).unwrap(), whole);
        // What is beside the event is not in its leaf.
        let mut beside = event();
        beside["leaf_index"] = json!("8");
        beside["leaf_hash"] = json!("00");
        assert_eq!(hashed(beside).unwrap(), whole);
    }

    #[test]
    fn an_erased_field_keeps_the_leaf_and_gives_nothing_away() {
        let whole = hashed(event()).unwrap();
        let mut erased = event();
        let (_, commitment) = field("/actor_name", "Bo Lind");
        let (comment, _) = field("/data/comment", "no");
        let (name, _) = field("/data/asked/0/name", "Mara Voss");
        let ((line, _), (_, owner)) = (field("/data/changes/0", "a"), field("/data/changes/1", "owner Bo"));
        erased["actor_name"] = Value::Null;
        erased["salt"] = Value::Null;
        erased["data"]["changes"][1] = Value::Null;
        erased["erased"] = json!({
            "/actor_name": {"commitment": commitment}, "/data/comment": {"salt": comment}, "/data/asked/0/name": {"salt": name},
            "/data/changes/0": {"salt": line}, "/data/changes/1": {"commitment": owner},
        });
        assert_eq!(hashed(erased.clone()).unwrap(), whole);
        assert!(!erased.to_string().contains("Bo"));
        let mut invented = erased.clone();
        invented["erased"]["/actor_name"]["commitment"] = json!(field("/actor_name", "Bo Lint").1);
        assert_ne!(hashed(invented).unwrap(), whole);
        for beside in [json!({"commitment": comment}), json!({"salt": comment})] {
            let mut more = erased.clone();
            more["erased"]["/data/elsewhere"] = beside;
            assert!(matches!(hashed(more), Err(Error::Malformed(_))), "what nothing needs says nothing, and is not let pass");
        }
        erased["erased"].as_object_mut().unwrap().remove("/data/comment");
        assert_eq!(hashed(erased), Err(Error::NoSalt("/data/comment".into())));
    }

    #[test]
    fn a_field_cannot_pretend_to_be_a_commitment() {
        // Told as the leaf holds it, it would hide the text and still be believed.
        let mut pretending = event();
        pretending["data"]["comment"] = json!({"commitment": field("/data/comment", "no").1});
        assert!(matches!(hashed(pretending), Err(Error::Malformed(_))));
        let mut listed = event();
        listed["data"]["changes"][1] = json!({"commitment": field("/data/changes/1", "owner Bo").1});
        assert!(matches!(hashed(listed), Err(Error::Malformed(_))));
        // Written where a name belongs it is a name like any other, and committed itself.
        let mut text = event();
        text["data"]["comment"] = json!(field("/data/comment", "no").1);
        assert_ne!(hashed(text).unwrap(), hashed(event()).unwrap());
    }

    #[test]
    fn what_is_no_event_is_told() {
        for bad in [
            json!({}),
            json!({"v": "2"}),
            json!({"v": "1", "salt": "xyz"}),
            json!({"v": "1", "salt": 1}),
            json!({"v": "1", "erased": 1}),
            json!({"v": "1", "x": 1.5}),
        ] {
            assert!(matches!(hashed(bad.clone()), Err(Error::Malformed(_))), "{bad}");
        }
        assert!(matches!(hashed(json!({"v": "1", "name": "x"})), Err(Error::NoSalt(_))));
        assert_eq!(bytes("0g"), None);
        assert_eq!(bytes("0"), None);
        assert_eq!(bytes("0A"), None);
    }
}
