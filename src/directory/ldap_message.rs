//! LDAP messages: what we ask, what comes back (RFC 4511).
//!
//! Only what the connector needs: bind, StartTLS, search with paged results (RFC 2696), compare and modify.

use crate::directory::ldap_ber::{self as ber, BOOLEAN, Bad, ENUMERATED, INTEGER, OCTETS, Reader, SEQUENCE, SET};
use crate::directory::ldap_filter::Filter;

/// Paged results (RFC 2696).
pub const PAGED: &str = "1.2.840.113556.1.4.319";
/// Active Directory: deleted records too.
pub const SHOW_DELETED: &str = "1.2.840.113556.1.4.417";
const START_TLS: &str = "1.3.6.1.4.1.1466.20037";
/// Most values and attributes of one record; a group of a million members has one value each.
const MOST_VALUES: usize = 2_000_000;

/// How far a search looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The base alone.
    Base,
    /// The base and everything below it.
    Subtree,
}

/// A search.
#[derive(Clone, Debug)]
pub struct Search<'a> {
    /// Where it begins.
    pub base: &'a str,
    /// How far it looks.
    pub scope: Scope,
    /// What it looks for.
    pub filter: &'a Filter,
    /// What it wants to know; operational attributes only come by name.
    pub attributes: &'a [&'a str],
    /// Deleted records too (Active Directory).
    pub deleted: bool,
}

/// Adds or takes away one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Modify<'a> {
    /// This value more.
    Add(&'a str, &'a str),
    /// This value less. There is no form without a value: that would empty the attribute.
    Delete(&'a str, &'a str),
}

/// A simple bind.
pub fn bind(name: &str, password: &str) -> Vec<u8> {
    let content = [ber::number(INTEGER, 3), ber::octets(name), ber::element(0x80, password.as_bytes())].concat();
    ber::element(0x60, &content)
}

/// The wish to speak TLS from now on (RFC 4511 §4.14).
pub fn start_tls() -> Vec<u8> {
    ber::element(0x77, &ber::element(0x80, START_TLS.as_bytes()))
}

/// A search.
pub fn search(search: &Search<'_>) -> Vec<u8> {
    let scope = match search.scope {
        Scope::Base => 0,
        Scope::Subtree => 2,
    };
    let wanted: Vec<u8> = search.attributes.iter().flat_map(ber::octets).collect();
    let content = [
        ber::octets(search.base),
        ber::number(ENUMERATED, scope),
        ber::number(ENUMERATED, 0), // aliases are not followed
        ber::number(INTEGER, 0),    // no limit of ours: pages limit it
        ber::number(INTEGER, 0),    // nor of time: we stop waiting by ourselves
        ber::element(BOOLEAN, &[0]),
        search.filter.encoded(),
        ber::element(SEQUENCE, &wanted),
    ];
    ber::element(0x63, &content.concat())
}

/// A compare of one value.
pub fn compare(dn: &str, attribute: &str, value: &str) -> Vec<u8> {
    let assertion = ber::element(SEQUENCE, &[ber::octets(attribute), ber::octets(value)].concat());
    ber::element(0x6e, &[ber::octets(dn), assertion].concat())
}

/// A change of one record, carried out whole or not at all.
pub fn modify(dn: &str, changes: &[Modify<'_>]) -> Vec<u8> {
    let changes: Vec<u8> = changes
        .iter()
        .flat_map(|change| {
            let (operation, attribute, value) = match *change {
                Modify::Add(attribute, value) => (0, attribute, value),
                Modify::Delete(attribute, value) => (1, attribute, value),
            };
            let partial = [ber::octets(attribute), ber::element(SET, &ber::octets(value))].concat();
            ber::element(SEQUENCE, &[ber::number(ENUMERATED, operation), ber::element(SEQUENCE, &partial)].concat())
        })
        .collect();
    ber::element(0x66, &[ber::octets(dn), ber::element(SEQUENCE, &changes)].concat())
}

/// Asks for a page of `size` from where `cookie` stands; empty: from the beginning.
pub fn paged(size: u32, cookie: &[u8]) -> Vec<u8> {
    let value = ber::element(SEQUENCE, &[ber::number(INTEGER, size), ber::octets(cookie)].concat());
    // Critical: a server that cannot page must say so instead of cutting the list.
    ber::element(SEQUENCE, &[ber::octets(PAGED), ber::element(BOOLEAN, &[0xff]), ber::octets(value)].concat())
}

/// Asks for deleted records too.
pub fn show_deleted() -> Vec<u8> {
    ber::element(SEQUENCE, &ber::octets(SHOW_DELETED))
}

/// The whole message.
pub fn message(id: u32, operation: &[u8], controls: &[u8]) -> Vec<u8> {
    let controls = if controls.is_empty() { Vec::new() } else { ber::element(0xa0, controls) };
    ber::element(SEQUENCE, &[&ber::number(INTEGER, id), operation, &controls].concat())
}

/// A record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub dn: String,
    /// Attribute names as the server spells them, and their values.
    pub attributes: Vec<(String, Vec<Vec<u8>>)>,
}

/// How an operation ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The result code (RFC 4511 §4.1.9).
    pub code: u32,
    /// What the server adds; for logs and people, never to decide by.
    pub message: String,
    /// Where the next page begins; empty when there is none.
    pub cookie: Vec<u8>,
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// A record found.
    Entry(Entry),
    /// Another server to ask; never followed, for it would be shown our password.
    Referral,
    /// The end of an operation, by the tag of its answer.
    Done(u8, Outcome),
    /// Something of no meaning here.
    Other,
}

/// Reads a message: its id and content.
///
/// # Errors
/// When it is none.
pub fn read(bytes: &[u8]) -> Result<(u32, Reply), Bad> {
    let mut whole = Reader::new(bytes).enter(SEQUENCE)?;
    let id = whole.number(INTEGER)?;
    let (tag, content) = whole.read()?;
    let mut inside = Reader::new(content);
    let reply = match tag {
        0x64 => Reply::Entry(entry(&mut inside)?),
        0x73 => Reply::Referral,
        0x61 | 0x65 | 0x67 | 0x6f | 0x78 => {
            let code = inside.number(ENUMERATED)?;
            inside.expect_tag(OCTETS)?;
            let message = String::from_utf8_lossy(inside.expect_tag(OCTETS)?).into_owned();
            let cookie = if whole.peek() == Some(0xa0) { cookie(whole.enter(0xa0)?)? } else { Vec::new() };
            Reply::Done(tag, Outcome { code, message, cookie })
        }
        _ => Reply::Other,
    };
    Ok((id, reply))
}

fn entry(inside: &mut Reader<'_>) -> Result<Entry, Bad> {
    let dn = text(inside.expect_tag(OCTETS)?)?;
    let mut attributes = Vec::new();
    let mut count = 0;
    let mut all = inside.enter(SEQUENCE)?;
    while !all.is_empty() {
        let mut one = all.enter(SEQUENCE)?;
        let name = text(one.expect_tag(OCTETS)?)?;
        let mut set = one.enter(SET)?;
        let mut values = Vec::new();
        while !set.is_empty() {
            values.push(set.expect_tag(OCTETS)?.to_vec());
            count += 1;
        }
        attributes.push((name, values));
        count += 1;
        if count > MOST_VALUES {
            return Err(Bad);
        }
    }
    Ok(Entry { dn, attributes })
}

fn text(bytes: &[u8]) -> Result<String, Bad> {
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| Bad)
}

/// The cookie of the paged results among the controls.
fn cookie(mut controls: Reader<'_>) -> Result<Vec<u8>, Bad> {
    while !controls.is_empty() {
        let mut control = controls.enter(SEQUENCE)?;
        let kind = control.expect_tag(OCTETS)?;
        if control.peek() == Some(BOOLEAN) {
            control.read()?;
        }
        if kind == PAGED.as_bytes() {
            let mut value = Reader::new(control.expect_tag(OCTETS)?).enter(SEQUENCE)?;
            value.expect_tag(INTEGER)?; // an estimate, which may be anything
            return Ok(value.expect_tag(OCTETS)?.to_vec());
        }
    }
    Ok(Vec::new())
}

impl Entry {
    /// The values of an attribute; its name compares without case, and options such as `;range=` are not part of it.
    pub fn values(&self, name: &str) -> &[Vec<u8>] {
        self.attributes.iter().find(|(told, _)| told.eq_ignore_ascii_case(name)).map_or(&[], |(_, values)| values)
    }

    /// The first value as text; bytes that are no text, and nothing but spaces, count as absent.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.texts(name).next()
    }

    /// All values that are text.
    pub fn texts<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> + use<'a> {
        self.values(name).iter().filter_map(|value| std::str::from_utf8(value).ok()).filter(|value| !value.trim().is_empty())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn done(tag: u8, code: u32, controls: &[u8]) -> Vec<u8> {
        message(7, &ber::element(tag, &[ber::number(ENUMERATED, code), ber::octets(""), ber::octets("why")].concat()), controls)
    }

    fn found() -> Vec<u8> {
        let values = ber::element(SET, &[ber::octets("a"), ber::octets([0xff])].concat());
        let attribute = ber::element(SEQUENCE, &[ber::octets("Member"), values].concat());
        message(7, &ber::element(0x64, &[ber::octets("cn=x"), ber::element(SEQUENCE, &attribute)].concat()), &[])
    }

    #[test]
    fn answers_are_read() {
        let page = paged(0, b"here");
        let Ok((7, Reply::Done(0x65, outcome))) = read(&done(0x65, 4, &page)) else { panic!("no answer") };
        assert_eq!((outcome.code, outcome.message.as_str(), outcome.cookie.as_slice()), (4, "why", &b"here"[..]));
        let Ok((7, Reply::Entry(entry))) = read(&found()) else { panic!("no record") };
        assert_eq!((entry.dn.as_str(), entry.values("member").len(), entry.texts("MEMBER").count()), ("cn=x", 2, 1));
        assert_eq!(read(&message(1, &ber::element(0x73, &ber::octets("ldap://x")), &[])), Ok((1, Reply::Referral)));
    }

    #[test]
    fn a_change_names_the_one_value_it_means() {
        let bytes = modify("cn=g", &[Modify::Delete("member", "cn=p")]);
        let mut inside = Reader::new(&bytes).enter(0x66).unwrap();
        assert_eq!(inside.expect_tag(OCTETS), Ok(&b"cn=g"[..]));
        let mut change = inside.enter(SEQUENCE).unwrap().enter(SEQUENCE).unwrap();
        assert_eq!(change.number(ENUMERATED), Ok(1));
        let mut partial = change.enter(SEQUENCE).unwrap();
        assert_eq!(partial.expect_tag(OCTETS), Ok(&b"member"[..]));
        assert_eq!(partial.enter(SET).unwrap().expect_tag(OCTETS), Ok(&b"cn=p"[..]));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_message_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            _ = read(&bytes);
            _ = read(&ber::element(SEQUENCE, &bytes));
            _ = read(&message(1, &ber::element(0x64, &bytes), &[]));
            _ = read(&message(1, &ber::element(0x65, &bytes), &bytes));
        }

        #[test]
        fn a_damaged_message_is_read_or_refused(which in 0..3_usize, at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>()) {
            let mut bytes = match which { 0 => found(), 1 => done(0x65, 0, &paged(9, b"cookie")), _ => done(0x61, 49, &[]) };
            let place = at.index(bytes.len());
            bytes[place] = byte;
            _ = read(&bytes);
            bytes.truncate(cut.index(bytes.len()));
            _ = read(&bytes);
        }
    }
}
