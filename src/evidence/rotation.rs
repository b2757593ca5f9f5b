//! From an old key to the one that signs now.
//!
//! A key names the one that follows it, and both sign that: it is an event of the log, and a checkpoint that the old key signed holds it. So
//! whoever believes the old key can believe the new one, and the other way round; whoever can only write into the log can add no key. That a
//! note carries the signatures of both would prove nothing: anybody can add one. From the leaf of that event on the old key is believed no more.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::leaf;
use super::merkle::{Hash, root_by_inclusion};
use super::note::{PrivateKey, PublicKey};
use super::verify::{Finding, checkpoint};

/// The kind of the event by which a key names the next.
pub const KIND: &str = "log.key_rotated";
/// The first line of what both keys sign.
const SAYS: &str = "countersign key rotation v1";

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

/// A key, and up to where it is believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trusted {
    /// The key.
    pub key: PublicKey,
    /// The most events that a checkpoint by it may be about; none for the key that signs now.
    pub until: Option<u64>,
}

impl From<PublicKey> for Trusted {
    fn from(key: PublicKey) -> Self {
        Self { key, until: None }
    }
}

fn statement(from: &PublicKey, to: &PublicKey) -> String {
    format!("{SAYS}\n{from}\n{to}\n")
}

/// The note by which `to` follows `from`, signed by both; the member `proof` of the event.
pub fn proof(from: &PrivateKey, to: &PrivateKey) -> String {
    let text = statement(&from.public(), &to.public());
    format!("{}{}", from.sign(&text), to.signature(&text))
}

/// Which key follows which by the `data` of an event of this [`KIND`]; none when not both of them signed that.
pub fn link(data: &Value) -> Option<(PublicKey, PublicKey)> {
    let told = |member: &str| data.get(member).and_then(Value::as_str);
    let (from, to) = (PublicKey::parse(told("from")?).ok()?, PublicKey::parse(told("to")?).ok()?);
    let (note, text) = (told("proof")?, statement(&from, &to));
    let signed = |key: &PublicKey| key.open(note).is_ok_and(|signed| signed == text);
    (from != to && signed(&from) && signed(&to)).then_some((from, to))
}

impl Rotation {
    fn data(&self) -> Option<&Value> {
        self.event.get("data").filter(|_| self.event.get("kind").and_then(Value::as_str) == Some(KIND))
    }

    /// The key that was, as the event tells it.
    pub fn from(&self) -> Option<PublicKey> {
        PublicKey::parse(self.data()?.get("from")?.as_str()?).ok()
    }

    /// The leaf of the event; none when it states none.
    pub fn leaf(&self) -> Option<u64> {
        self.event.get("leaf_index").and_then(Value::as_str).and_then(|text| text.parse().ok())
    }
}

/// `key`, and every key that follows it by `rotations`, which are in order of time; those from before `key` are passed over. The last is the one that
/// signs now.
///
/// # Errors
/// `wrong_key` when one that follows a believed key is not proved.
pub fn follow(key: PublicKey, rotations: &[Rotation]) -> Result<Vec<Trusted>, Finding> {
    let mut keys = vec![Trusted::from(key)];
    for rotation in rotations {
        let Some(trusted) = keys.last_mut().filter(|trusted| rotation.from().as_ref() == Some(&trusted.key)) else { continue };
        let (next, leaf) = proved(&trusted.key, rotation)?;
        trusted.until = Some(leaf);
        keys.push(Trusted::from(next));
    }
    Ok(keys)
}

/// The key that follows `trusted`, and the leaf of the event that says so.
///
/// # Errors
/// `wrong_key` or `wrong_checkpoint` when it is not proved.
pub fn proved(trusted: &PublicKey, rotation: &Rotation) -> Result<(PublicKey, u64), Finding> {
    let wrong =
        |why: &str| Finding { kind: "wrong_key", line: None, sentence: format!("What says that another key follows {trusted} cannot be believed: {why}.") };
    let (_, next) = rotation.data().and_then(link).filter(|(from, _)| from == trusted).ok_or_else(|| wrong("not both keys signed it"))?;
    let signed = checkpoint(&rotation.note, trusted)?;
    let index = rotation.leaf().ok_or_else(|| wrong("it has no place in the log"))?;
    let hash = leaf::hash(rotation.event.clone()).map_err(|error| wrong(&error.to_string()))?;
    let path = rotation.path.iter().map(|text| leaf::bytes(text).and_then(|bytes| Hash::try_from(bytes).ok())).collect::<Option<Vec<_>>>();
    let root = path.and_then(|path| root_by_inclusion(hash, index, signed.size, &path));
    if root != Some(signed.root) {
        return Err(wrong("it is not in what the old key signed"));
    }
    Ok((next, index))
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
            "data": {"from": key(from).public().to_string(), "to": key(to).public().to_string(), "reason": "yearly", "proof": proof(&key(from), &key(to))},
        }) else {
            unreachable!()
        };
        let before = leaf_hash(b"before");
        let root = node_hash(&before, &leaf::hash(event.clone()).unwrap());
        let text = Checkpoint { origin: "access.example.com/log".into(), size: 2, root, at: chrono::DateTime::UNIX_EPOCH }.text();
        let note = format!("{}{}", key(signer).sign(&text), key(to).signature(&text));
        Rotation { event, path: vec![hex(&before)], note }
    }

    fn trusted(keys: &[(u8, Option<u64>)]) -> Vec<Trusted> {
        keys.iter().map(|(seed, until)| Trusted { key: key(*seed).public(), until: *until }).collect()
    }

    #[test]
    fn who_believes_the_first_key_believes_the_last_and_the_others_up_to_their_end() {
        let chain = [rotation(1, 2, 1), rotation(2, 3, 2)];
        assert_eq!(follow(key(1).public(), &chain).unwrap(), trusted(&[(1, Some(1)), (2, Some(1)), (3, None)]));
        assert_eq!(follow(key(2).public(), &chain).unwrap(), trusted(&[(2, Some(1)), (3, None)]));
        assert_eq!(follow(key(9).public(), &chain).unwrap(), trusted(&[(9, None)]));
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

    #[test]
    fn an_event_that_not_both_keys_signed_changes_no_key() {
        let told = |from: u8, to: u8, proof: String| json!({"from": key(from).public().to_string(), "to": key(to).public().to_string(), "proof": proof});
        assert_eq!(link(&told(1, 2, proof(&key(1), &key(2)))), Some((key(1).public(), key(2).public())));
        let text = statement(&key(1).public(), &key(2).public());
        for (what, false_one) in [
            ("nothing", String::new()),
            ("the new key alone", key(2).sign(&text)),
            ("the old key alone", key(1).sign(&text)),
            ("somebody else", format!("{}{}", key(9).sign(&text), key(2).signature(&text))),
            ("both of another pair", proof(&key(1), &key(3))),
            ("both the other way round", proof(&key(2), &key(1))),
            ("something else", format!("{}{}", key(1).sign("x\n"), key(2).signature("x\n"))),
        ] {
            assert_eq!(link(&told(1, 2, false_one)), None, "signed by {what}");
        }
        assert_eq!(link(&told(1, 1, proof(&key(1), &key(1)))), None, "a key does not follow itself");
        assert_eq!(link(&json!({"from": key(1).public().to_string(), "to": key(2).public().to_string()})), None);
        let mut unsigned = rotation(1, 2, 1);
        unsigned.event["data"] = json!({"from": key(1).public().to_string(), "to": key(2).public().to_string(), "reason": "yearly"});
        assert_eq!(follow(key(1).public(), &[unsigned]).unwrap_err().kind, "wrong_key");
    }
}
