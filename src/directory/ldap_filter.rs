//! Search filters, built and not glued together (RFC 4511 §4.5.1).
//!
//! Values are sent in their own place of the message, so nothing that a value holds can change what a filter means. Filters that an
//! administrator writes are read from their text form (RFC 4515), with its escapes.

use crate::directory::ldap_ber as ber;

/// How deep a filter from the settings may be nested.
const DEEPEST: usize = 16;
/// Active Directory: through groups within groups.
pub const IN_CHAIN: &str = "1.2.840.113556.1.4.1941";

/// A filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filter {
    /// All of them.
    All(Vec<Filter>),
    /// Any of them.
    Any(Vec<Filter>),
    /// Not this.
    Not(Box<Filter>),
    /// The attribute has this value.
    Is(String, Vec<u8>),
    /// The attribute is this or more.
    AtLeast(String, Vec<u8>),
    /// The attribute is this or less.
    AtMost(String, Vec<u8>),
    /// The attribute is there.
    Has(String),
    /// The attribute begins, goes on and ends so: the parts between the stars.
    Like(String, Vec<Vec<u8>>),
    /// The attribute matches by this rule, a number such as [`IN_CHAIN`].
    Rule(String, String, Vec<u8>),
}

impl Filter {
    /// `attribute = value`.
    pub fn is(attribute: &str, value: impl AsRef<[u8]>) -> Self {
        Self::Is(attribute.to_owned(), value.as_ref().to_vec())
    }

    /// Anything at all.
    pub fn anything() -> Self {
        Self::Has("objectClass".into())
    }

    /// `self` and `other`.
    pub fn and(&self, other: Filter) -> Self {
        Self::All(vec![self.clone(), other])
    }

    /// Reads the text form, such as `(&(objectClass=person)(!(cn=a\2ab)))`.
    ///
    /// # Errors
    /// A sentence with what cannot be read.
    pub fn parse(text: &str) -> Result<Self, String> {
        let bad = || format!("The filter {text:?} is not an LDAP filter (RFC 4515), such as (objectClass=person).");
        let mut rest = text.trim().as_bytes();
        let filter = parsed(&mut rest, 0).ok_or_else(bad)?;
        if rest.is_empty() { Ok(filter) } else { Err(bad()) }
    }

    /// As bytes of a search.
    pub fn encoded(&self) -> Vec<u8> {
        let all = |filters: &[Filter]| filters.iter().flat_map(Filter::encoded).collect::<Vec<u8>>();
        let pair = |tag: u8, attribute: &str, value: &[u8]| ber::element(tag, &[ber::octets(attribute), ber::octets(value)].concat());
        match self {
            Self::All(filters) => ber::element(0xa0, &all(filters)),
            Self::Any(filters) => ber::element(0xa1, &all(filters)),
            Self::Not(filter) => ber::element(0xa2, &filter.encoded()),
            Self::Is(attribute, value) => pair(0xa3, attribute, value),
            Self::AtLeast(attribute, value) => pair(0xa5, attribute, value),
            Self::AtMost(attribute, value) => pair(0xa6, attribute, value),
            Self::Has(attribute) => ber::element(0x87, attribute.as_bytes()),
            Self::Like(attribute, parts) => {
                let last = parts.len().saturating_sub(1);
                let pieces: Vec<u8> = (0..)
                    .zip(parts)
                    .filter(|(_, part)| !part.is_empty())
                    .flat_map(|(place, part): (usize, _)| {
                        let tag = if place == 0 {
                            0x80
                        } else if place == last {
                            0x82
                        } else {
                            0x81
                        };
                        ber::element(tag, part)
                    })
                    .collect();
                ber::element(0xa4, &[ber::octets(attribute), ber::element(ber::SEQUENCE, &pieces)].concat())
            }
            Self::Rule(attribute, rule, value) => by_rule(attribute, rule, value),
        }
    }
}

fn by_rule(attribute: &str, rule: &str, value: &[u8]) -> Vec<u8> {
    let content = [ber::element(0x81, rule.as_bytes()), ber::element(0x82, attribute.as_bytes()), ber::element(0x83, value)];
    ber::element(0xa9, &content.concat())
}

fn parsed(rest: &mut &[u8], depth: usize) -> Option<Filter> {
    take(rest, b'(')?;
    let filter = match rest.first()? {
        b'&' | b'|' | b'!' if depth >= DEEPEST => return None,
        kind @ (b'&' | b'|') => {
            let all = *kind == b'&';
            *rest = rest.get(1..)?;
            let mut filters = Vec::new();
            while rest.first() == Some(&b'(') {
                filters.push(parsed(rest, depth + 1)?);
            }
            if filters.is_empty() {
                return None;
            }
            if all { Filter::All(filters) } else { Filter::Any(filters) }
        }
        b'!' => {
            *rest = rest.get(1..)?;
            Filter::Not(Box::new(parsed(rest, depth + 1)?))
        }
        _ => {
            let end = rest.iter().position(|byte| matches!(byte, b')' | b'('))?;
            let (item, after) = rest.split_at(end);
            *rest = after;
            simple(std::str::from_utf8(item).ok()?)?
        }
    };
    take(rest, b')')?;
    Some(filter)
}

fn take(rest: &mut &[u8], byte: u8) -> Option<()> {
    *rest = rest.strip_prefix(&[byte])?;
    Some(())
}

fn simple(item: &str) -> Option<Filter> {
    let (name, value) = item.split_once('=')?;
    let attribute = |name: &str| {
        let fine = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b';' | b'_'));
        fine.then(|| name.to_owned())
    };
    if let Some(name) = name.strip_suffix(':') {
        let (name, rule) = name.split_once(':')?;
        return Some(Filter::Rule(attribute(name)?, attribute(rule)?, unescaped(value)?));
    }
    if let Some(name) = name.strip_suffix('>') {
        return Some(Filter::AtLeast(attribute(name)?, unescaped(value)?));
    }
    if let Some(name) = name.strip_suffix('<') {
        return Some(Filter::AtMost(attribute(name)?, unescaped(value)?));
    }
    let name = attribute(name)?;
    if value == "*" {
        return Some(Filter::Has(name));
    }
    if value.contains('*') {
        return Some(Filter::Like(name, value.split('*').map(unescaped).collect::<Option<_>>()?));
    }
    Some(Filter::Is(name, unescaped(value)?))
}

/// A value without its escapes: `\2a` is a star (RFC 4515 §3).
fn unescaped(value: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        let digit = |byte: Option<u8>| byte.and_then(|b| char::from(b).to_digit(16)).and_then(|d| u8::try_from(d).ok());
        bytes.push(if byte == b'\\' { digit(rest.next())? << 4 | digit(rest.next())? } else { byte });
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn filters_of_the_settings_are_read() {
        let is = |attribute, value: &str| Filter::is(attribute, value);
        for (text, filter) in [
            ("(uid=bob)", is("uid", "bob")),
            (r"(cn=a\2ab\28c\29\5c\00)", is("cn", "a*b(c)\\\0")),
            ("(mail=*)", Filter::Has("mail".into())),
            ("(mail=*@x*.org)", Filter::Like("mail".into(), vec![b"".into(), b"@x".into(), b".org".into()])),
            ("(&(a=1)(|(b=2)(!(c=3))))", Filter::All(vec![is("a", "1"), Filter::Any(vec![is("b", "2"), Filter::Not(Box::new(is("c", "3")))])])),
            ("(userAccountControl:1.2.840.113556.1.4.803:=2)", Filter::Rule("userAccountControl".into(), "1.2.840.113556.1.4.803".into(), b"2".into())),
            ("(n>=5)", Filter::AtLeast("n".into(), b"5".into())),
            ("(n<=5)", Filter::AtMost("n".into(), b"5".into())),
        ] {
            assert_eq!(Filter::parse(text), Ok(filter), "{text}");
        }
        let deep = format!("{}(a=1){}", "(!".repeat(100_000), ")".repeat(100_000));
        for bad in ["", "uid=bob", "(uid=bob", "(uid=bob))", "()", "(&)", "(=x)", "(uid=*)(uid=*)", r"(a=\2)", r"(a=\zz)", "(a b=c)", &deep] {
            assert!(Filter::parse(bad).is_err(), "{:.40}", bad);
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_filter_or_refused(text in "[()&|!=*:<>a-z\\\\0-9]{0,60}") {
            if let Ok(filter) = Filter::parse(&text) {
                prop_assert!(!filter.encoded().is_empty());
            }
        }
    }
}
