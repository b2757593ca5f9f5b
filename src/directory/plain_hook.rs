//! Calls that name people in a few words of JSON.
//!
//! For directories without a hook of their own kind, and for scripts: `{"person": "…"}` or `{"people": ["…"]}`, a reference or a login
//! each. Events of Keycloak say `userId`, or `resourcePath` (`users/…`), and are read too. Whoever calls proves it with the secret as
//! bearer token, or with a signature, which also says when: `X-Countersign-Signature: t=SECONDS,v1=HEX`, HMAC-SHA256 of `SECONDS.BODY`.

use ring::hmac;
use serde_json::Value;
use subtle::ConstantTimeEq;

use super::facts::clean;

/// The most people one call names; the rest are left out, and the next reading finds them.
pub const MOST: usize = 1_000;
/// The longest name of a person.
const LONGEST: usize = 255;
/// How far a signature's time may be from ours, in seconds.
const TOLERANCE: i64 = 300;

/// Whether `authorization` is the bearer token `secret`. Takes as long whatever is different.
pub fn is_bearer(authorization: Option<&str>, secret: &str) -> bool {
    let Some((scheme, token)) = authorization.and_then(|header| header.trim().split_once(' ')) else { return false };
    scheme.eq_ignore_ascii_case("bearer") && same(token.trim(), secret)
}

/// Whether two texts are the same, in a time that says nothing of where they differ.
pub fn same(a: &str, b: &str) -> bool {
    let digest = |text: &str| ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    bool::from(digest(a).as_ref().ct_eq(digest(b).as_ref()))
}

/// Whether `signature` is that of `body` under `secret`, made within 5 minutes of `now` (seconds since 1970).
pub fn is_signed(signature: Option<&str>, body: &[u8], secret: &str, now: i64) -> bool {
    let part = |name: &str| signature?.split(',').find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='));
    let (Some(at), Some(mac)) = (part("t"), part("v1")) else { return false };
    let Some(mac) = from_hex(mac) else { return false };
    let fresh = at.parse::<i64>().is_ok_and(|at| at.checked_sub(now).is_some_and(|off| off.abs() <= TOLERANCE));
    let signed = [at.as_bytes(), b".", body].concat();
    hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), &signed, &mac).is_ok() && fresh
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    (0..32).map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok()).collect()
}

/// Whom the call names; empty when it is about something else.
///
/// # Errors
/// When it is not JSON, or an object.
pub fn people(body: &[u8]) -> Result<Vec<String>, &'static str> {
    let value: Value = serde_json::from_slice(body).map_err(|_| "The body is not JSON.")?;
    let Value::Object(said) = value else { return Err("The body is not a JSON object.") };
    let mut named: Vec<&str> = ["person", "userId"].iter().filter_map(|key| said.get(*key)?.as_str()).collect();
    named.extend(said.get("people").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).take(MOST));
    // "users/8c3f…/groups/…": only whom it is about.
    let path = said.get("resourcePath").and_then(Value::as_str).and_then(|path| path.strip_prefix("users/"));
    named.extend(path.and_then(|rest| rest.split('/').next()));
    Ok(tidied(named))
}

/// What each entry of a change notification states as `clientState`.
///
/// # Errors
/// When it is not JSON, or has no entries.
pub fn states(body: &[u8]) -> Result<Vec<String>, &'static str> {
    let value: Value = serde_json::from_slice(body).map_err(|_| "The body is not JSON.")?;
    let entries = value.get("value").and_then(Value::as_array).ok_or("The body has no notifications.")?;
    Ok(entries.iter().take(MOST).filter_map(|entry| entry.get("clientState")?.as_str().map(str::to_owned)).collect())
}

/// Names as they may be asked about: without what no name holds, none twice, at most [`MOST`].
pub fn tidied<'a>(named: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut all: Vec<String> = named.into_iter().filter(|name| name.len() <= LONGEST).map(clean).filter(|name| !name.is_empty()).take(MOST).collect();
    all.sort_unstable();
    all.dedup();
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "a secret of some length";

    fn signature(at: i64, body: &[u8], secret: &str) -> String {
        let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), &[at.to_string().as_bytes(), b".", body].concat());
        format!("t={at},v1={}", mac.as_ref().iter().map(|byte| format!("{byte:02x}")).collect::<String>())
    }

    #[test]
    fn only_the_secret_opens() {
        assert!(is_bearer(Some("Bearer a secret of some length"), SECRET) && is_bearer(Some("bearer  a secret of some length "), SECRET));
        for wrong in
            [None, Some(""), Some("Bearer"), Some("Bearer "), Some("Basic a secret of some length"), Some("Bearer a secret of some lengtH"), Some(SECRET)]
        {
            assert!(!is_bearer(wrong, SECRET), "{wrong:?}");
        }
    }

    #[test]
    fn a_signature_holds_for_its_body_its_secret_and_five_minutes() {
        let (body, now) = (br#"{"person":"x"}"#.as_slice(), 1_800_000_000);
        assert!(is_signed(Some(&signature(now, body, SECRET)), body, SECRET, now));
        assert!(is_signed(Some(&signature(now - 300, body, SECRET)), body, SECRET, now));
        for (signature, why) in [
            (signature(now - 301, body, SECRET), "too old"),
            (signature(now + 301, body, SECRET), "from the future"),
            (signature(now, b"{}", SECRET), "of another body"),
            (signature(now, body, "another secret"), "under another secret"),
            (signature(now - 400, body, SECRET).replace(&(now - 400).to_string(), &now.to_string()), "dated anew"),
            (format!("t={now},v1={}", "0".repeat(64)), "made up"),
            (format!("t={now},v1={}é", "0".repeat(62)), "no hex"),
            (format!("t={},v1={}", i64::MIN, "0".repeat(64)), "out of range"),
            (String::new(), "empty"),
            ("v1=,t=".into(), "without values"),
        ] {
            assert!(!is_signed(Some(&signature), body, SECRET, now), "{why}");
        }
        assert!(!is_signed(None, body, SECRET, now));
    }

    #[test]
    fn people_are_named_in_more_than_one_way_and_hostile_names_are_tamed() {
        let named = |text: &str| people(text.as_bytes());
        assert_eq!(named(r#"{"person":"bo.lind"}"#), Ok(vec!["bo.lind".into()]));
        assert_eq!(named(r#"{"people":["b","a","b",7,null,""]}"#), Ok(vec!["a".into(), "b".into()]));
        assert_eq!(named(r#"{"type":"admin.USER-UPDATE","resourcePath":"users/8c3f/groups/9"}"#), Ok(vec!["8c3f".into()]));
        assert_eq!(named(r#"{"type":"access.LOGIN","userId":"8c3f","resourcePath":"groups/9"}"#), Ok(vec!["8c3f".into()]));
        assert_eq!(named(r#"{"person":"a\u0000\nb"}"#), Ok(vec!["a  b".into()]));
        assert_eq!(named(r#"{}"#), Ok(vec![]));
        let long = format!(r#"{{"person":"{}"}}"#, "x".repeat(256));
        assert_eq!(named(&long), Ok(vec![]));
        let many = format!(r#"{{"people":[{}]}}"#, (0..5_000).map(|n| format!("\"p{n}\"")).collect::<Vec<_>>().join(","));
        assert_eq!(named(&many).map(|all| all.len()), Ok(MOST));
        for bad in ["", "[]", "7", "\"x\"", "{", "\u{feff}{}", r#"{"person":"#] {
            assert!(named(bad).is_err(), "{bad:?}");
        }
        let deep = "[".repeat(100_000);
        assert!(named(&deep).is_err(), "too deep to read");
    }
}
