//! Okta's event hooks: calls that say whom to reread.
//!
//! Pure. A call comes at least once, in no order, and may be lost: it is a hint and never the truth, so nothing of it is kept but
//! ids to ask Okta about. Whoever receives it has checked the secret in its `Authorization` header before, answers within three
//! seconds, and reads afterwards.

use std::collections::BTreeSet;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use crate::directory::okta_record::usable;

/// The header of the one call with which Okta asks whether we are there.
pub const CHALLENGE: &str = "x-okta-verification-challenge";
/// Largest call looked at, in bytes.
pub const LARGEST: usize = 1 << 20;
/// Most people, and most groups, that one call may name.
pub const MOST: usize = 1000;

/// The answer to a challenge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verification {
    /// What the header held.
    pub verification: String,
}

/// Answers the challenge in the header [`CHALLENGE`]; `None` for one that Okta would not send: empty, longer than 1024 characters, or
/// with anything but visible ASCII in it.
pub fn verify(challenge: &str) -> Option<Verification> {
    let plausible = (1..=1024).contains(&challenge.len()) && challenge.bytes().all(|byte| byte.is_ascii_graphic());
    plausible.then(|| Verification { verification: challenge.to_owned() })
}

/// Whom to read anew.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// References of people, each once.
    pub people: Vec<String>,
    /// References of groups, each once.
    pub groups: Vec<String>,
    /// Whether it named more than are listed: everything that changed is to be asked for.
    pub more: bool,
}

/// Why a call says nothing. `Display` is a sentence without anything of the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unheard {
    /// Larger than [`LARGEST`].
    #[error("The call is larger than an event hook's.")]
    TooLarge,
    /// Not an event hook's call.
    #[error("The call is not an event hook's.")]
    Malformed,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Call {
    event_type: String,
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    events: Vec<Event>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    #[serde(default)]
    event_type: Option<String>,
    #[serde(default)]
    target: Option<Vec<Target>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Target {
    Named {
        id: String,
        #[serde(rename = "type")]
        kind: String,
    },
    Other(IgnoredAny),
}

/// Reads a call. Every target that is a person or a group counts, whatever the event: signing in is the only thing that changes
/// nobody.
///
/// # Errors
/// [`Unheard`].
pub fn heard(body: &[u8]) -> Result<Heard, Unheard> {
    if body.len() > LARGEST {
        return Err(Unheard::TooLarge);
    }
    let call: Call = serde_json::from_slice(body).map_err(|_| Unheard::Malformed)?;
    if call.event_type != "com.okta.event_hook" {
        return Err(Unheard::Malformed);
    }
    let (mut people, mut groups, mut more) = (BTreeSet::new(), BTreeSet::new(), false);
    let events = call.data.events.into_iter().filter(|event| event.event_type.as_deref().is_none_or(|kind| !kind.starts_with("user.session.")));
    for target in events.flat_map(|event| event.target.unwrap_or_default()) {
        let Target::Named { id, kind } = target else { continue };
        let all = match kind.as_str() {
            "User" => &mut people,
            "UserGroup" => &mut groups,
            _ => continue,
        };
        if !usable(&id) || all.contains(&id) {
            continue;
        }
        if all.len() < MOST {
            all.insert(id);
        } else {
            more = true;
        }
    }
    Ok(Heard { people: people.into_iter().collect(), groups: groups.into_iter().collect(), more })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn call(events: Value) -> Vec<u8> {
        let whole = json!({
            "eventType": "com.okta.event_hook", "eventTypeVersion": "1.0", "cloudEventsVersion": "0.1", "contentType": "application/json",
            "source": "https://org.okta.com/api/v1/eventHooks/who1", "eventId": "5f9d0a", "eventTime": "2026-07-01T10:00:00.000Z",
            "data": {"events": events},
        });
        whole.to_string().into_bytes()
    }

    #[test]
    fn a_challenge_is_sent_back() {
        let answer = serde_json::to_value(verify("aGVsbG8-_9").unwrap()).unwrap();
        assert_eq!(answer, json!({"verification": "aGVsbG8-_9"}));
        for hostile in ["", "a b", "a\r\nset-cookie: x", "\u{fc}", &"x".repeat(1025)] {
            assert_eq!(verify(hostile), None, "{hostile:?}");
        }
    }

    #[test]
    fn people_and_groups_are_named_once_whatever_order_they_come_in() {
        let user = |id: &str| json!({"id": id, "type": "User", "alternateId": "x@example.org", "displayName": "X", "detailEntry": null});
        let group = |id: &str| json!({"id": id, "type": "UserGroup", "displayName": "G"});
        let events = json!([
            {"uuid": "1", "published": "2026-07-01T10:00:00.000Z", "eventType": "user.lifecycle.deactivate", "actor": user("00uadmin"), "target": [user("00u2")]},
            {"uuid": "2", "eventType": "group.user_membership.add", "target": [user("00u1"), group("00g1")]},
            {"uuid": "1", "eventType": "user.lifecycle.deactivate", "target": [user("00u2")]},
            {"uuid": "3", "eventType": "user.session.start", "target": [user("00usession")]},
            {"uuid": "4", "eventType": "application.lifecycle.update", "target": [{"id": "0oa1", "type": "AppInstance"}]},
            {"uuid": "5", "eventType": "user.lifecycle.suspend", "target": null},
            {"uuid": "6"},
        ]);
        let heard = heard(&call(events)).unwrap();
        assert_eq!(heard, Heard { people: vec!["00u1".into(), "00u2".into()], groups: vec!["00g1".into()], more: false });
    }

    #[test]
    fn a_login_a_path_or_nonsense_is_never_an_id() {
        let events = json!([{"target": [
            {"id": "ada@example.org", "type": "User"}, {"id": "../groups", "type": "User"}, {"id": "", "type": "UserGroup"}, {"id": "a\u{0}", "type": "User"},
            {"id": 7, "type": "User"}, {"type": "User"}, "00u1", null, [], {"id": "00u1", "type": "user"}, {"id": "x".repeat(100_000), "type": "User"},
        ]}]);
        assert_eq!(heard(&call(events)), Ok(Heard::default()));
        assert_eq!(heard(&call(json!([]))), Ok(Heard::default()));
    }

    #[test]
    fn more_than_can_be_listed_is_said() {
        let targets = |n: usize| (0..n).map(|i| json!({"id": format!("00u{i}"), "type": "User"})).collect::<Vec<_>>();
        let events = |n: usize| json!([{"target": targets(n)}, {"target": targets(n)}]);
        let few = heard(&call(events(MOST))).unwrap();
        assert!(few.people.len() == MOST && !few.more);
        let many = heard(&call(events(MOST + 1))).unwrap();
        assert!(many.people.len() == MOST && many.more);
    }

    #[test]
    fn what_is_no_call_is_refused() {
        let huge = call(json!([{"target": [{"id": "x".repeat(LARGEST), "type": "User"}]}]));
        assert_eq!(heard(&huge), Err(Unheard::TooLarge));
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        for body in [
            "",
            "null",
            "[]",
            "{}",
            r#"{"eventType":"com.okta.event_hook"}"#,
            "{\"eventType\":\"com.okta.event_hook\",\"data\":{\"events\":{}}}",
            &deep,
            "\u{0}",
        ] {
            assert_eq!(heard(body.as_bytes()), Err(Unheard::Malformed), "{}", &body[..body.len().min(60)]);
        }
        let other = String::from_utf8(call(json!([]))).unwrap().replace("event_hook", "other");
        assert_eq!(heard(other.as_bytes()), Err(Unheard::Malformed));
        let twice = String::from_utf8(call(json!([]))).unwrap().replacen('{', "{\"eventType\":\"com.okta.event_hook\",", 1);
        assert_eq!(heard(twice.as_bytes()), Err(Unheard::Malformed), "a key that comes twice could mean either");
        assert_eq!(heard(b"\xff\xfe{}"), Err(Unheard::Malformed));
    }
}
