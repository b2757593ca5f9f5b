//! From an old key to the one that signs now.
//!
//! A key names the one that follows it: that is an event of the log, and a checkpoint that the old key signed holds it. So whoever believes
//! the old key can believe the new one. That a note carries the signatures of both would prove nothing: anybody can add one.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::leaf;
use super::merkle::{Hash, root_by_inclusion};
use super::note::PublicKey;
use super::verify::{Finding, checkpoint};

/// The kind of the event by which a key names the next.
pub const KIND: &str = "log.key_rotated";

/// One change of the key, with what proves it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rotation {
    /// The event, as a line of the event list holds it.
    pub event: Map<String, Value>,
    /// The path from its leaf up (RFC 6962 §2.1.1), hex.
    pub path: Vec<String>,
    /// A checkpoint that holds it, signed by the key that was.
    pub note: String,
}

impl Rotation {
    fn told(&self, member: &str) -> Option<PublicKey> {
        let data = self.event.get("data").filter(|_| self.event.get("kind").and_then(Value::as_str) == Some(KIND))?;
        PublicKey::parse(data.get(member)?.as_str()?).ok()
    }

    /// The key that was.
    pub fn from(&self) -> Option<PublicKey> {
        self.told("from")
    }

    /// The key that signs after it.
    pub fn to(&self) -> Option<PublicKey> {
        self.told("to")
    }
}

/// `key`, and every key that follows it by `rotations`, which are in order of time; those from before `key` are passed over.
///
/// # Errors
/// `wrong_key` when one that follows a believed key is not proved.
pub fn follow(key: PublicKey, rotations: &[Rotation]) -> Result<Vec<PublicKey>, Finding> {
    let mut keys = vec![key];
    for rotation in rotations {
        let Some(trusted) = keys.last().filter(|trusted| rotation.from().as_ref() == Some(trusted)) else { continue };
        let next = proved(trusted, rotation)?;
        keys.push(next);
    }
    Ok(keys)
}

fn proved(trusted: &PublicKey, rotation: &Rotation) -> Result<PublicKey, Finding> {
    let wrong =
        |why: &str| Finding { kind: "wrong_key", line: None, sentence: format!("What says that another key follows {trusted} cannot be believed: {why}.") };
    let signed = checkpoint(&rotation.note, trusted)?;
    let index =
        rotation.event.get("leaf_index").and_then(Value::as_str).and_then(|text| text.parse().ok()).ok_or_else(|| wrong("it has no place in the log"))?;
    let hash = leaf::hash(rotation.event.clone()).map_err(|error| wrong(&error.to_string()))?;
    let path = rotation.path.iter().map(|text| leaf::bytes(text).and_then(|bytes| Hash::try_from(bytes).ok())).collect::<Option<Vec<_>>>();
    let root = path.and_then(|path| root_by_inclusion(hash, index, signed.size, &path));
    if root != Some(signed.root) {
        return Err(wrong("it is not in what the old key signed"));
    }
    rotation.to().ok_or_else(|| wrong("it names no key"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::evidence::canonical::hex;
    use crate::evidence::merkle::{leaf_hash, node_hash};
    use crate::evidence::note::{Checkpoint, PrivateKey};
    use serde_json::json;

    fn key(seed: u8) -> PrivateKey {
        PrivateKey::new("access.example.com/log", [seed; 32]).unwrap()
    }

    /// `from` names `to`; the checkpoint is signed by `signer`.
    fn rotation(from: u8, to: u8, signer: u8) -> Rotation {
        let Value::Object(event) = json!({
            "v": "1", "leaf_index": "1", "leaf_hash": null, "salt": "000102030405060708090a0b0c0d0e0f", "kind": KIND,
            "data": {"from": key(from).public().to_string(), "to": key(to).public().to_string(), "reason": "yearly"},
        }) else {
            unreachable!()
        };
        let before = leaf_hash(b"before");
        let root = node_hash(&before, &leaf::hash(event.clone()).unwrap());
        let text = Checkpoint { origin: "access.example.com/log".into(), size: 2, root, at: chrono::DateTime::UNIX_EPOCH }.text();
        let note = format!("{}{}", key(signer).sign(&text), key(to).signature(&text));
        Rotation { event, path: vec![hex(&before)], note }
    }

    #[test]
    fn who_believes_the_first_key_believes_the_last() {
        let chain = [rotation(1, 2, 1), rotation(2, 3, 2)];
        assert_eq!(follow(key(1).public(), &chain).unwrap(), [key(1).public(), key(2).public(), key(3).public()]);
        assert_eq!(follow(key(2).public(), &chain).unwrap(), [key(2).public(), key(3).public()]);
        assert_eq!(follow(key(9).public(), &chain).unwrap(), [key(9).public()]);
    }

    #[test]
    fn nobody_but_the_old_key_names_the_next() {
        // Signed by the new key alone; a signature added to what the old key signed; another event in its place.
        assert_eq!(follow(key(1).public(), &[rotation(1, 2, 2)]).unwrap_err().kind, "wrong_key");
        let mut added = rotation(1, 2, 1);
        let mallory = rotation(1, 4, 4);
        added.event = mallory.event;
        assert_eq!(follow(key(1).public(), std::slice::from_ref(&added)).unwrap_err().kind, "wrong_key");
        let mut elsewhere = rotation(1, 2, 1);
        elsewhere.event["leaf_index"] = json!("0");
        assert_eq!(follow(key(1).public(), &[elsewhere]).unwrap_err().kind, "wrong_key");
        let mut other = rotation(1, 2, 1);
        other.event["kind"] = json!("evidence.key_added");
        assert_eq!(follow(key(1).public(), &[other]).unwrap().len(), 1, "that is no change of a key");
    }
}
