//! Change notifications of Microsoft Graph, read (pure).
//!
//! A notification is a hint: it names who or what to read anew, and is believed only with the secret that was given when it was
//! subscribed to (`clientState`). Nothing in it is ever taken over.

use serde_json::Value;
use subtle::ConstantTimeEq;

use crate::directory::entra_record::is_id;
use crate::domain::secret::Secret;

/// Most entries of one notification that are looked at; Graph sends far fewer.
const MOST: usize = 1_000;
/// Longest text that is echoed in the handshake, in bytes.
const LONGEST_ECHO: usize = 2_048;

/// What a notification asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notified {
    /// References of people to read anew, each once.
    pub people: Vec<String>,
    /// References of groups to read anew, each once.
    pub groups: Vec<String>,
    /// Notifications were lost: ask for the changes, or read everything.
    pub missed: bool,
    /// The subscription wants to be renewed, or is gone.
    pub renew: bool,
}

/// Why a notification is not taken. It deserves a refusal without a reason to whoever sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    /// Not JSON, or without entries.
    #[error("the notification cannot be read")]
    Unreadable,
    /// No entry has our secret.
    #[error("the notification does not have our secret")]
    NotOurs,
}

/// The text to send back, as `text/plain`, to a call that only asks whether we are here (`?validationToken=`). `query` is the query of
/// the address, still encoded. `None`: there is no such question, or its text is none that Graph would send.
pub fn handshake(query: &str) -> Option<String> {
    let mut tokens = query.split('&').filter_map(|pair| pair.split_once('=')).filter(|(name, _)| *name == "validationToken");
    let (Some((_, token)), None) = (tokens.next(), tokens.next()) else { return None };
    let text = decoded(token)?;
    let is_plain = |c: char| (c.is_ascii_graphic() && !"<>&\"'".contains(c)) || c == ' ';
    (!text.is_empty() && text.len() <= LONGEST_ECHO && text.chars().all(is_plain)).then_some(text)
}

/// Percent-decoding of a form value.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut out = Vec::with_capacity(text.len().min(LONGEST_ECHO));
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'+' => b' ',
            b'%' => {
                let pair = [bytes.next()?, bytes.next()?];
                let digit = |b: u8| char::from(b).to_digit(16);
                u8::try_from(digit(pair[0])? * 16 + digit(pair[1])?).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(out).ok()
}

/// What a notification asks for. Entries without `secret`, or of another `tenant` (its id; empty: any), are passed over.
///
/// # Errors
/// [`NotTaken`] when it cannot be read, or no entry is for us.
pub fn notified(body: &[u8], secret: &Secret, tenant: &str) -> Result<Notified, NotTaken> {
    let body: Value = serde_json::from_slice(body).map_err(|_| NotTaken::Unreadable)?;
    let entries = body["value"].as_array().ok_or(NotTaken::Unreadable)?;
    let mut found = Notified::default();
    let mut ours = 0;
    for entry in entries.iter().take(MOST) {
        let state = entry["clientState"].as_str().unwrap_or_default();
        let is_secret = !secret.reveal().is_empty() && bool::from(state.as_bytes().ct_eq(secret.reveal().as_bytes()));
        let is_tenant = tenant.is_empty() || entry["tenantId"].as_str().is_some_and(|id| id.eq_ignore_ascii_case(tenant));
        if !is_secret || !is_tenant {
            continue;
        }
        ours += 1;
        read(entry, &mut found);
    }
    if entries.len() > MOST {
        found.missed = true;
    }
    if ours == 0 { Err(NotTaken::NotOurs) } else { Ok(found) }
}

fn read(entry: &Value, found: &mut Notified) {
    match entry["lifecycleEvent"].as_str() {
        Some("missed") => found.missed = true,
        Some("reauthorizationRequired") => found.renew = true,
        Some("subscriptionRemoved") => (found.renew, found.missed) = (true, true),
        _ => {}
    }
    let data = &entry["resourceData"];
    let kind = data["@odata.type"].as_str().unwrap_or_default();
    let resource = entry["resource"].as_str().unwrap_or_default();
    let (of, at) = resource.trim_start_matches('/').split_once('/').unwrap_or((resource, ""));
    let id = data["id"].as_str().unwrap_or(at);
    let is = |ending: &str, plural: &str| kind.to_ascii_lowercase().ends_with(ending) || of.eq_ignore_ascii_case(plural);
    if is(".user", "users") {
        add(&mut found.people, id);
    } else if is(".group", "groups") {
        add(&mut found.groups, id);
        for member in data["members@delta"].as_array().into_iter().flatten().take(MOST) {
            // A group inside is named among people too: whoever is asked for it finds nobody.
            add(&mut found.people, member["id"].as_str().unwrap_or_default());
        }
    } else if entry["lifecycleEvent"].is_null() {
        // Something changed, and we cannot tell what.
        found.missed = true;
    }
}

fn add(to: &mut Vec<String>, id: &str) {
    let id = id.to_ascii_lowercase();
    if is_id(&id) && !to.contains(&id) {
        to.push(id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    const U: &str = "11111111-1111-4111-8111-111111111111";
    const V: &str = "22222222-2222-4222-8222-222222222222";
    const G: &str = "aaaaaaaa-0000-4000-8000-000000000001";
    const T: &str = "cccccccc-0000-4000-8000-000000000001";

    fn secret() -> Secret {
        Secret::new("the-secret-of-the-subscription")
    }

    fn entry(more: Value) -> Value {
        let mut entry = json!({"clientState": secret().reveal(), "tenantId": T, "subscriptionId": V, "changeType": "updated"});
        entry.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        entry
    }

    fn take(entries: &[Value]) -> Result<Notified, NotTaken> {
        notified(json!({"value": entries}).to_string().as_bytes(), &secret(), T)
    }

    #[test]
    fn the_handshake_is_echoed_decoded() {
        assert_eq!(handshake("validationToken=Validation%3A+Testing+client%20app").as_deref(), Some("Validation: Testing client app"));
        assert_eq!(handshake("a=b&validationToken=abc%2Fd"), Some("abc/d".into()));
        let long = format!("validationToken={}", "x".repeat(3_000));
        for bad in [
            "",
            "validationToken",
            "validationToken=",
            "validationToken=%",
            "validationToken=%zz",
            "validationToken=%00",
            "validationToken=a%0D%0Ab",
            "validationToken=%3Cscript%3E",
            "validationToken=%ff",
            "validationToken=a&validationToken=b",
            "ValidationToken=a",
            long.as_str(),
        ] {
            assert_eq!(handshake(bad), None, "{bad}");
        }
    }

    #[test]
    fn people_and_groups_to_read_anew_are_named_once() {
        let user = entry(json!({"resource": format!("Users/{U}"), "resourceData": {"@odata.type": "#Microsoft.Graph.User", "id": U}}));
        let group = entry(json!({"resource": format!("Groups/{G}"), "resourceData": {"@odata.type": "#Microsoft.Graph.Group", "id": G,
            "members@delta": [{"id": V}, {"id": U, "@removed": "deleted"}, {"id": "x"}, {}]}}));
        let bare = entry(json!({"resource": format!("users/{}", V.to_uppercase())}));
        let found = take(&[user.clone(), user, group, bare]).unwrap();
        assert_eq!(found, Notified { people: vec![U.into(), V.into()], groups: vec![G.into()], missed: false, renew: false });
    }

    #[test]
    fn whoever_does_not_know_the_secret_is_not_listened_to() {
        let user = json!({"resource": format!("Users/{U}"), "resourceData": {"id": U}});
        for state in [json!("the-secret-of-the-subscriptioN"), json!(""), json!(null), json!(7), json!([secret().reveal()])] {
            let mut forged = entry(user.clone());
            forged["clientState"] = state;
            assert_eq!(take(std::slice::from_ref(&forged)), Err(NotTaken::NotOurs));
            assert_eq!(take(&[forged, entry(json!({"resource": format!("Users/{V}")}))]).unwrap().people, [V]);
        }
        let mut foreign = entry(user.clone());
        foreign["tenantId"] = V.into();
        assert_eq!(take(&[foreign]), Err(NotTaken::NotOurs));
        let without = json!({"value": [{"clientState": "", "resource": format!("Users/{U}")}]}).to_string();
        assert_eq!(notified(without.as_bytes(), &Secret::new(""), ""), Err(NotTaken::NotOurs), "no secret is no secret");
    }

    #[test]
    fn what_is_lost_or_unclear_is_said() {
        assert!(take(&[entry(json!({"lifecycleEvent": "missed"}))]).unwrap().missed);
        assert_eq!(take(&[entry(json!({"lifecycleEvent": "reauthorizationRequired"}))]).unwrap(), Notified { renew: true, ..Notified::default() });
        let gone = take(&[entry(json!({"lifecycleEvent": "subscriptionRemoved"}))]).unwrap();
        assert!(gone.renew && gone.missed);
        assert!(take(&[entry(json!({"resource": "teams/x"}))]).unwrap().missed);
        let many: Vec<_> = (0..=MOST).map(|_| entry(json!({"resource": format!("Users/{U}")}))).collect();
        let found = take(&many).unwrap();
        assert!(found.missed && found.people.len() == 1);
    }

    #[test]
    fn what_is_no_notification_is_refused() {
        for bad in ["", "{", "[]", "null", "7", "{}", "{\"value\":{}}", "{\"value\":null}"] {
            assert_eq!(notified(bad.as_bytes(), &secret(), T), Err(NotTaken::Unreadable), "{bad}");
        }
        for bad in ["{\"value\":[]}", "{\"value\":[1,null,[],\"x\"]}"] {
            assert_eq!(notified(bad.as_bytes(), &secret(), T), Err(NotTaken::NotOurs), "{bad}");
        }
        assert_eq!(notified("[".repeat(100_000).as_bytes(), &secret(), T), Err(NotTaken::Unreadable));
    }

    proptest! {
        #[test]
        fn nothing_that_is_sent_makes_it_fail(body in proptest::collection::vec(any::<u8>(), 0..200), query in "\\PC{0,80}") {
            _ = notified(&body, &secret(), "");
            _ = handshake(&query);
        }
    }
}
