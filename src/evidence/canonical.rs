//! Canonical JSON (RFC 8785) and digests.
//!
//! Two parties that agree on a value agree on its bytes, and so on its digest. Numbers are integers that every JSON
//! reader holds exactly (I-JSON, RFC 7493 §2.2); anything else must be written as a string.

use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use thiserror::Error;

/// The largest integer that a double holds with all its neighbours: 2^53 - 1.
const LARGEST_EXACT: u64 = (1 << 53) - 1;
/// How deep a value may nest.
const DEEPEST: usize = 128;

/// Why a value has no canonical form here.
#[derive(Debug, Error)]
pub enum Error {
    /// The value does not turn into JSON.
    #[error("not JSON: {0}")]
    NotJson(#[from] serde_json::Error),
    /// A number with a fraction, or an integer outside ±(2^53 - 1).
    #[error("the number {0} is not held exactly by every JSON reader: write it as a string")]
    Inexact(String),
    /// More than 128 levels.
    #[error("nested deeper than {DEEPEST} levels")]
    TooDeep,
}

/// The RFC 8785 text of `value`: keys in order of their UTF-16 code units, no white space, shortest escapes.
///
/// # Errors
/// When the value does not turn into JSON, nests deeper than 128 levels, or holds a number that is no integer within ±(2^53 - 1).
pub fn canonical<T: Serialize + ?Sized>(value: &T) -> Result<String, Error> {
    let mut out = String::new();
    write(&serde_json::to_value(value)?, &mut out, 0)?;
    Ok(out)
}

/// SHA-256 (FIPS 180-4) of the UTF-8 bytes of `text`, as 64 lower-case hex digits.
pub fn digest(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes()))
}

/// Lower-case hex of `bytes`.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes.iter().flat_map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]).map(char::from).collect()
}

fn write(value: &Value, out: &mut String, depth: usize) -> Result<(), Error> {
    if depth > DEEPEST {
        return Err(Error::TooDeep);
    }
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(truth) => out.push_str(if *truth { "true" } else { "false" }),
        Value::Number(number) => {
            let exact = number.as_u64().or_else(|| number.as_i64().map(i64::unsigned_abs)).is_some_and(|size| size <= LARGEST_EXACT);
            if !exact {
                return Err(Error::Inexact(number.to_string()));
            }
            out.push_str(&number.to_string());
        }
        // serde_json escapes as RFC 8785 §3.2.2.2 wants: \b \t \n \f \r \" \\, other controls as \u00xx, nothing else.
        Value::String(text) => out.push_str(&serde_json::to_string(text)?),
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write(item, out, depth + 1)?;
            }
            out.push(']');
        }
        Value::Object(members) => {
            let mut sorted: Vec<_> = members.iter().collect();
            sorted.sort_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
            out.push('{');
            for (i, (key, member)) in sorted.into_iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                out.push_str(&serde_json::to_string(key)?);
                out.push(':');
                write(member, out, depth + 1)?;
            }
            out.push('}');
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn keys_sort_by_utf16_code_units_as_in_rfc_8785_section_3_2_3() {
        let value = json!({
            "\u{20ac}": "Euro Sign", "\r": "Carriage Return", "\u{fb33}": "Hebrew Letter Dalet With Dagesh", "1": "One",
            "\u{1f600}": "Emoji: Grinning Face", "\u{80}": "Control", "\u{f6}": "Latin Small Letter O With Diaeresis",
        });
        let read: Vec<String> = canonical(&value).unwrap().split("\":\"").skip(1).map(|part| part.split('"').next().unwrap_or_default().into()).collect();
        assert_eq!(
            read,
            [
                "Carriage Return",
                "One",
                "Control",
                "Latin Small Letter O With Diaeresis",
                "Euro Sign",
                "Emoji: Grinning Face",
                "Hebrew Letter Dalet With Dagesh"
            ]
        );
    }

    #[test]
    fn strings_and_literals_come_out_as_in_rfc_8785_section_3_2_2() {
        let value: Value = serde_json::from_str(r#"{ "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/", "literals": [null, true, false] }"#).unwrap();
        assert_eq!(canonical(&value).unwrap(), "{\"literals\":[null,true,false],\"string\":\"\u{20ac}$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"}");
    }

    #[test]
    fn nested_keys_and_empty_things_are_canonical_too() {
        let value = json!({"b": [{"z": {}, "a": []}, -7, 0, 9_007_199_254_740_991_u64], "a": ""});
        assert_eq!(canonical(&value).unwrap(), r#"{"a":"","b":[{"a":[],"z":{}},-7,0,9007199254740991]}"#);
    }

    #[test]
    fn numbers_that_readers_disagree_about_are_refused() {
        for value in [json!(1.5), json!(1e30), json!(9_007_199_254_740_992_u64), json!(-9_007_199_254_740_992_i64), json!(u64::MAX), json!(i64::MIN)] {
            assert!(matches!(canonical(&value), Err(Error::Inexact(_))), "{value}");
        }
    }

    #[test]
    fn bottomless_values_are_refused() {
        let mut value = json!(1);
        for _ in 0..200 {
            value = json!([value]);
        }
        assert!(matches!(canonical(&value), Err(Error::TooDeep)));
    }

    #[test]
    fn the_digest_is_sha_256_in_hex() {
        assert_eq!(digest("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(digest(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    }
}
