//! LDAP records read into facts.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};

use crate::directory::facts::{GroupListed, PersonFacts, ReadError, clean};
use crate::directory::ldap_dn as dn;
use crate::directory::ldap_message::Entry;
use crate::directory::ldap_schema::{Dialect, GroupKind, Schema, relative_id};

/// Most values of one attribute taken over.
const MOST_VALUES: usize = 64;
/// `userAccountControl`: switched off.
const SWITCHED_OFF: u32 = 2;
/// `groupType`: gives rights, and not only mail.
const SECURITY: u32 = 0x8000_0000;
/// `groupType`: members found by a query of Authorization Manager.
const BY_QUERY: u32 = 0x20;
/// `groupType`: one of the system's own.
const BUILT_IN: u32 = 1;

/// A person, without manager and groups, which lie in other records.
///
/// # Errors
/// When the record does not tell what has to be known: who it is, and whether the account is on. Taking silence for "off" would take
/// away everybody's access when a right to read is lost.
pub fn person(schema: &Schema, entry: &Entry, now: DateTime<Utc>) -> Result<PersonFacts, ReadError> {
    let reference = schema.reference(entry).ok_or_else(|| untold(schema.dialect.id()))?;
    if schema.dialect == Dialect::ActiveDirectory && entry.text("userAccountControl").is_none() {
        return Err(untold("userAccountControl"));
    }
    let told = |ours: &str| schema.theirs(ours).and_then(|theirs| entry.text(theirs)).map(clean).filter(|text| !text.is_empty());
    let user_name = told("user_name").unwrap_or_else(|| reference.clone());
    let display_name = told("display_name").or_else(|| entry.text("cn").map(clean).filter(|text| !text.is_empty()));
    let mut attributes: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (ours, theirs) in schema.plain() {
        let values: Vec<String> = entry.texts(theirs).take(MOST_VALUES).map(clean).filter(|text| !text.is_empty()).collect();
        if !values.is_empty() {
            attributes.insert(ours.to_owned(), values);
        }
    }
    Ok(PersonFacts {
        email: told("email"),
        display_name: display_name.unwrap_or_else(|| user_name.clone()),
        active: is_active(schema, entry, now) && dn::is_within(&entry.dn, &schema.people),
        manager: None,
        attributes,
        groups: Vec::new(),
        reference,
        user_name,
    })
}

/// A record that does not tell what it must.
pub fn untold(attribute: &str) -> ReadError {
    ReadError::Malformed(format!("a record came without {attribute}; the service account may have no right to read it"))
}

/// Whether the account is on; a value that is not understood says no.
fn is_active(schema: &Schema, entry: &Entry, now: DateTime<Utc>) -> bool {
    let is = |attribute: &str, value: &str| entry.texts(attribute).any(|told| told.trim().eq_ignore_ascii_case(value));
    match schema.dialect {
        Dialect::ActiveDirectory => {
            let on = entry.text("userAccountControl").and_then(number).is_some_and(|flags| flags & SWITCHED_OFF == 0);
            on && entry.text("accountExpires").is_none_or(|ends| !has_expired(ends, now))
        }
        Dialect::OpenLdap => {
            // Any other value is a lock after wrong passwords, which ends by itself or by an administrator: still an employee.
            let locked = entry.text("pwdAccountLockedTime").is_some_and(|at| at.trim().starts_with("000001010000"));
            let ended = entry.text("pwdEndTime").is_some_and(|at| moment(at).is_none_or(|at| at <= now));
            let days = entry.text("shadowExpire").and_then(|days| days.trim().parse::<i64>().ok()).filter(|days| *days >= 0);
            let expired = days.and_then(TimeDelta::try_days).is_some_and(|days| DateTime::UNIX_EPOCH.checked_add_signed(days).is_some_and(|at| at <= now));
            !(locked || ended || expired || is("nsAccountLock", "true"))
        }
    }
}

/// A number, also one written as a negative of 32 bits, as Active Directory writes its flags.
fn number(text: &str) -> Option<u32> {
    let number = text.trim().parse::<i64>().ok()?;
    u32::try_from(number).ok().or_else(|| i32::try_from(number).ok().map(i32::cast_unsigned))
}

/// `accountExpires`: steps of 100 ns since 1601; 0 and the greatest number mean never. What is no number has passed.
fn has_expired(text: &str, now: DateTime<Utc>) -> bool {
    let Ok(steps) = text.trim().parse::<i64>() else { return true };
    if steps == 0 || steps == i64::MAX {
        return false;
    }
    let since_1601 = TimeDelta::seconds(steps / 10_000_000) - TimeDelta::seconds(11_644_473_600);
    DateTime::UNIX_EPOCH.checked_add_signed(since_1601).is_some_and(|ends| ends <= now)
}

/// A moment as LDAP writes it (RFC 4517 §3.3.13), in UTC, fractions of a second left out: `20260131093000Z`.
pub fn moment(text: &str) -> Option<DateTime<Utc>> {
    let digits = text.trim().strip_suffix('Z')?;
    let digits = digits.split(['.', ',']).next()?;
    NaiveDateTime::parse_from_str(digits, "%Y%m%d%H%M%S").ok().map(|at| at.and_utc())
}

/// A moment written so that it can be searched by.
pub fn written(at: DateTime<Utc>) -> String {
    at.format("%Y%m%d%H%M%SZ").to_string()
}

/// A group as a listing shows it; `None` when the record does not tell its id.
pub fn group(schema: &Schema, entry: &Entry) -> Option<GroupListed> {
    let reference = schema.reference(entry)?;
    let name = entry.text("cn").map(clean).filter(|name| !name.is_empty()).unwrap_or_else(|| reference.clone());
    let flags = entry.text("groupType").and_then(number);
    let mut warnings = Vec::new();
    if schema.dialect == Dialect::ActiveDirectory {
        if flags.is_some_and(|flags| flags & SECURITY == 0) {
            warnings.push("It is a distribution group: being in it brings mail, and no rights.".to_owned());
        }
        if flags.is_some_and(|flags| flags & BUILT_IN != 0) || entry.text("isCriticalSystemObject").is_some_and(|told| told.eq_ignore_ascii_case("true")) {
            warnings.push("It is one of the system's own groups.".to_owned());
        }
        if entry.text("adminCount").is_some_and(|count| count.trim() != "0") {
            warnings.push("It is protected: being in it makes an administrator of the domain, and the account itself becomes protected.".to_owned());
        }
        if relative_id(entry) == Some(513) {
            warnings.push("It is everybody's primary group: who has it as such cannot be taken out of it here.".to_owned());
        }
    } else if schema.placeholder.is_none() && schema.kind(entry).is_some_and(GroupKind::needs_one) {
        warnings.push("It cannot be empty: its last member can be taken out only when the setting `placeholder` names who stands in.".to_owned());
    }
    Some(GroupListed { reference, name, description: entry.text("description").map(clean), read_only: read_only(schema, entry), warnings })
}

/// Why members cannot be changed, as far as the record says.
pub fn read_only(schema: &Schema, entry: &Entry) -> Option<String> {
    if !entry.values("memberURL").is_empty() {
        return Some("its members are found by a query (memberURL)".into());
    }
    if schema.dialect == Dialect::ActiveDirectory {
        if entry.text("groupType").and_then(number).is_some_and(|flags| flags & BY_QUERY != 0) {
            return Some("its members are found by a query".into());
        }
        // Which attributes we may write; with none of them it is left out.
        if !entry.texts("allowedAttributesEffective").any(|attribute| attribute.eq_ignore_ascii_case("member")) {
            return Some("the service account has no right to write its members".into());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::ldap_filter::Filter;

    fn schema(dialect: Dialect) -> Schema {
        let base = "dc=example,dc=org".to_owned();
        Schema {
            dialect,
            people: format!("ou=people,{base}"),
            groups: base.clone(),
            base,
            person: Filter::anything(),
            kinds: dialect.kinds(),
            attributes: dialect.attributes().iter().map(|(ours, theirs)| ((*ours).to_owned(), (*theirs).to_owned())).collect(),
            group: None,
            placeholder: None,
        }
    }

    fn entry(dn: &str, attributes: &[(&str, &[&str])]) -> Entry {
        let values = |values: &[&str]| values.iter().map(|value| value.as_bytes().to_vec()).collect();
        Entry { dn: dn.into(), attributes: attributes.iter().map(|(name, all)| ((*name).to_owned(), values(all))).collect() }
    }

    const ID: &str = "6a3e2b8e-5c1f-4a35-9d51-0b8f6f6f0a01";
    const BOB: &str = "uid=bob,ou=people,dc=example,dc=org";

    fn now() -> DateTime<Utc> {
        moment("20260131093000Z").unwrap()
    }

    #[test]
    fn a_person_of_openldap_is_read() {
        let schema = schema(Dialect::OpenLdap);
        let bob = entry(
            BOB,
            &[
                ("entryUUID", &[ID]),
                ("UID", &["bob"]),
                ("cn", &["Bob\0Builder"]),
                ("mail", &["bob@example.org", "b@example.org"]),
                ("departmentNumber", &["Engineering", " "]),
                ("employeeType", &["Employee"]),
            ],
        );
        let facts = person(&schema, &bob, now()).unwrap();
        assert_eq!((facts.reference.as_str(), facts.user_name.as_str(), facts.display_name.as_str()), (ID, "bob", "Bob Builder"));
        assert_eq!((facts.email.as_deref(), facts.active), (Some("bob@example.org"), true));
        assert_eq!(facts.attributes["department"], ["Engineering"]);
        assert_eq!(facts.attributes["employment_type"], ["Employee"]);
        assert!(person(&schema, &entry(BOB, &[("uid", &["bob"])]), now()).is_err(), "nobody is known without an id");
        assert!(person(&schema, &entry(BOB, &[("entryUUID", &["7"])]), now()).is_err());
    }

    #[test]
    fn who_left_is_not_active() {
        let open = schema(Dialect::OpenLdap);
        let active = |schema: &Schema, dn: &str, name: &str, value: &str| {
            let id = Entry { attributes: vec![("objectGUID".into(), vec![vec![7; 16]])], ..entry(dn, &[]) };
            let mut one = entry(dn, &[("entryUUID", &[ID]), ("userAccountControl", &["512"]), (name, &[value])]);
            one.attributes.extend(id.attributes);
            if name == "userAccountControl" {
                one.attributes.remove(1);
            }
            person(schema, &one, now()).unwrap().active
        };
        for (name, value, expected) in [
            ("x", "", true),
            ("pwdAccountLockedTime", "000001010000Z", false),
            ("pwdAccountLockedTime", "20260131092900Z", true),
            ("nsAccountLock", "TRUE", false),
            ("nsAccountLock", "FALSE", true),
            ("pwdEndTime", "20260131092959Z", false),
            ("pwdEndTime", "20260131093001.5Z", true),
            ("pwdEndTime", "soon", false),
            ("shadowExpire", "1", false),
            ("shadowExpire", "-1", true),
            ("shadowExpire", "9223372036854775807", true),
        ] {
            assert_eq!(active(&open, BOB, name, value), expected, "{name} {value}");
        }
        assert!(!active(&open, "uid=bob,ou=former,dc=example,dc=org", "x", ""), "moved out of where people are");
        let domain = schema(Dialect::ActiveDirectory);
        for (name, value, expected) in [
            ("userAccountControl", "512", true),
            ("userAccountControl", "514", false),
            ("userAccountControl", "-2147483136", true),
            ("userAccountControl", "x", false),
            ("accountExpires", "0", true),
            ("accountExpires", "9223372036854775807", true),
            ("accountExpires", "132000000000000000", false),
            ("accountExpires", "144000000000000000", true),
            ("accountExpires", "-9223372036854775808", false),
        ] {
            assert_eq!(active(&domain, BOB, name, value), expected, "{name} {value}");
        }
        let untold = Entry { attributes: vec![("objectGUID".into(), vec![vec![7; 16]])], ..entry(BOB, &[]) };
        assert!(person(&domain, &untold, now()).is_err(), "a right that is lost must not look like everybody having left");
    }

    #[test]
    fn an_id_of_active_directory_is_written_as_others_write_it() {
        let guid = vec![0x33, 0x22, 0x11, 0x00, 0x55, 0x44, 0x77, 0x66, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff];
        let one = Entry { dn: BOB.into(), attributes: vec![("objectGUID".into(), vec![guid])] };
        assert_eq!(schema(Dialect::ActiveDirectory).reference(&one).as_deref(), Some("00112233-4455-6677-8899-aabbccddeeff"));
        let short = Entry { dn: BOB.into(), attributes: vec![("objectGUID".into(), vec![vec![1; 15]])] };
        assert_eq!(schema(Dialect::ActiveDirectory).reference(&short), None);
    }

    #[test]
    fn groups_say_why_they_cannot_be_changed() {
        let domain = schema(Dialect::ActiveDirectory);
        let told = |attributes: &[(&str, &[&str])]| {
            let mut one = entry("cn=g,dc=example,dc=org", attributes);
            one.attributes.push(("objectGUID".into(), vec![vec![7; 16]]));
            if one.values("allowedAttributesEffective").is_empty() {
                one.attributes.push(("allowedAttributesEffective".into(), vec![b"member".to_vec()]));
            }
            group(&domain, &one).unwrap()
        };
        assert!(told(&[("groupType", &["-2147483646"])]).warnings.is_empty());
        assert_eq!(told(&[("groupType", &["2"])]).warnings.len(), 1, "distribution");
        assert_eq!(told(&[("groupType", &["-2147483643"]), ("adminCount", &["1"])]).warnings.len(), 2);
        assert!(told(&[("groupType", &["32"])]).read_only.is_some());
        assert!(told(&[("allowedAttributesEffective", &["description"])]).read_only.is_some());
        assert!(told(&[("allowedAttributesEffective", &["description", "Member"])]).read_only.is_none());
        let open = schema(Dialect::OpenLdap);
        let dynamic = entry("cn=g,dc=example,dc=org", &[("entryUUID", &[ID]), ("memberURL", &["ldap:///dc=x??sub?"]), ("objectClass", &["groupOfNames"])]);
        let dynamic = group(&open, &dynamic).unwrap();
        assert!(dynamic.read_only.is_some() && dynamic.warnings.len() == 1);
    }

    #[test]
    fn hostile_security_ids_are_no_ids() {
        let sid = |bytes: &[u8]| relative_id(&Entry { dn: String::new(), attributes: vec![("objectSid".into(), vec![bytes.to_vec()])] });
        assert_eq!(sid(&[1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0, 1, 2, 0, 0]), Some(513));
        for bad in [&[][..], &[1], &[1, 0, 0, 0, 0, 0, 0, 5], &[1, 2, 0, 0, 0, 0, 0, 5, 1, 0, 0, 0], &[1, 255, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0]] {
            assert_eq!(sid(bad), None, "{bad:?}");
        }
    }
}
