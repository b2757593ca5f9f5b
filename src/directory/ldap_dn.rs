//! Distinguished names, read and compared (RFC 4514).
//!
//! Servers write one name in several ways: case, spaces around the separators, escapes by character or by digits. Names are compared by
//! a canonical key; what is sent to a server is always a name that it sent, verbatim.

/// Longest name looked at, in bytes.
const LONGEST: usize = 8_192;

/// One part of a name, such as `cn=Bob`; the first where a part has several (`cn=Bob+uid=7`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rdn {
    /// The attribute, as written.
    pub attribute: String,
    /// Its value without escapes.
    pub value: Vec<u8>,
}

/// What two spellings of one name have in common; equal exactly when the names are, as far as can be said without the server's schema
/// (values are compared without case and with runs of spaces as one). `None` for what is no name.
pub fn key(dn: &str) -> Option<String> {
    Some(keys(dn)?.concat())
}

/// A key for each part, the first of the name first.
fn keys(dn: &str) -> Option<Vec<String>> {
    let one = |mut part: Vec<Rdn>| {
        // The order within a part has no meaning.
        part.sort_by_key(|rdn| rdn.attribute.to_ascii_lowercase());
        let mut key = String::new();
        for rdn in part {
            let value = String::from_utf8_lossy(&rdn.value).to_lowercase();
            let value = value.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
            // Length first: no value can look like what follows it.
            key.push_str(&format!("{}={}:{value};", rdn.attribute.to_ascii_lowercase(), value.len()));
        }
        key.push('/');
        key
    };
    Some(parts(dn)?.into_iter().map(one).collect())
}

/// The first attribute and value of a name.
pub fn first(dn: &str) -> Option<Rdn> {
    parts(dn)?.into_iter().next()?.into_iter().next()
}

/// Whether `dn` is `base` or lies below it. Everything lies below the empty name.
pub fn is_within(dn: &str, base: &str) -> bool {
    match (keys(dn), keys(base)) {
        (Some(dn), Some(base)) => dn.ends_with(&base),
        _ => false,
    }
}

fn parts(dn: &str) -> Option<Vec<Vec<Rdn>>> {
    let mut names = Vec::new();
    if dn.len() > LONGEST {
        return None;
    }
    if dn.trim().is_empty() {
        return Some(names);
    }
    let mut part = Vec::new();
    let mut rest = dn.as_bytes();
    loop {
        let (rdn, separator, after) = one(rest)?;
        part.push(rdn);
        rest = after;
        match separator {
            Some(b'+') => {}
            Some(_) => names.push(std::mem::take(&mut part)),
            None => {
                names.push(part);
                return Some(names);
            }
        }
    }
}

/// One `attribute=value`, the separator after it, and what follows.
fn one(bytes: &[u8]) -> Option<(Rdn, Option<u8>, &[u8])> {
    let equals = bytes.iter().position(|byte| *byte == b'=')?;
    let attribute = std::str::from_utf8(bytes.get(..equals)?).ok()?.trim().to_owned();
    if attribute.is_empty() || !attribute.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_')) {
        return None;
    }
    let mut rest = bytes.get(equals + 1..)?;
    while let Some(after) = rest.strip_prefix(b" ") {
        rest = after;
    }
    let mut value = Vec::new();
    // Up to where trailing spaces are part of the value because they were escaped.
    let mut keep = 0;
    let mut quoted = false;
    let mut separator = None;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'\\' => {
                let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|d| u8::try_from(d).ok());
                match (rest.first().and_then(digit), rest.get(1).and_then(digit)) {
                    (Some(high), Some(low)) => {
                        value.push(high << 4 | low);
                        rest = rest.get(2..)?;
                    }
                    _ => {
                        value.push(*rest.first()?);
                        rest = rest.get(1..)?;
                    }
                }
                keep = value.len();
            }
            b'"' => {
                quoted = !quoted;
                keep = value.len();
            }
            b',' | b';' | b'+' if !quoted => {
                separator = Some(*byte);
                break;
            }
            byte => value.push(*byte),
        }
    }
    if quoted || (separator.is_some() && rest.is_empty()) {
        return None;
    }
    while value.len() > keep && value.last() == Some(&b' ') {
        value.pop();
    }
    Some((Rdn { attribute, value }, separator, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn spellings_of_one_name_are_one_name() {
        let name = key("uid=carol,ou=people,dc=example,dc=org").unwrap();
        for same in ["UID=Carol, OU=People, dc=example,dc=org", "uid = carol ; ou=people;dc=example,dc=org", r"uid=c\61rol,ou=people,dc=example,dc=org"] {
            assert_eq!(key(same).as_ref(), Some(&name), "{same}");
        }
        assert_eq!(key(r"cn=Dole\, Jr.,dc=x"), key(r#"CN="Dole, Jr.", dc=x"#));
        assert_eq!(key(r"cn=Dole\2C Jr.,dc=x"), key(r"cn=dole\,  jr.,dc=X"));
        assert_eq!(key("cn=a+uid=b,dc=x"), key("uid=b+cn=a,dc=x"));
        for other in ["uid=carol,ou=people,dc=example", "uid=carol2,ou=people,dc=example,dc=org", r"uid=carol\,ou=people,dc=example,dc=org"] {
            assert_ne!(key(other), Some(name.clone()), "{other}");
        }
        for bad in ["carol", "=x", "a b=c", "cn=a,", r#"cn="a"#, r"cn=a\", "cn=a,,dc=x"] {
            assert_eq!(key(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_name_lies_within_a_base_or_not() {
        assert!(is_within("uid=a, ou=People,dc=x", "OU=people,dc=x") && is_within("dc=x", "DC=x") && is_within("dc=x", ""));
        assert!(!is_within("uid=a,ou=people2,dc=x", "ou=people,dc=x"));
        assert!(!is_within(r"uid=a\,ou=people,dc=x", "ou=people,dc=x"), "an escaped comma ends no part");
        assert!(!is_within("cn=a;/ou=6:people\\;/,dc=x", "ou=people;/,dc=x"));
        assert!(!is_within("x", "dc=x"));
    }

    #[test]
    fn the_first_part_is_told_without_escapes() {
        let rdn = first(r"CN=Dole\2c Jr\\\  ,DC=x").unwrap();
        assert_eq!((rdn.attribute.as_str(), rdn.value.as_slice()), ("CN", &br"Dole, Jr\ "[..]));
        assert_eq!(first(r"cn=Z\c3\bc,dc=x").unwrap().value, "Zü".as_bytes());
        assert_eq!(first(""), None);
    }

    proptest! {
        #[test]
        fn any_text_is_a_name_or_refused(dn in "[a-zA-Z=,+;\"\\\\ 0-9#ü]{0,60}", base in "[a-z=,]{0,20}") {
            _ = first(&dn);
            _ = is_within(&dn, &base);
            if let Some(key) = key(&dn) {
                prop_assert_eq!(key.is_empty(), dn.trim().is_empty());
            }
        }
    }
}
