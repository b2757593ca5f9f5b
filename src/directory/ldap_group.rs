//! LDAP groups: who is in them, directly and through others.
//!
//! A group lists names (or logins). What they stand for is found by searches for many at once, by the first part of each name, and each
//! hit is held against the name that was looked for.

use std::collections::{HashMap, HashSet};

use crate::directory::facts::{GroupFacts, ReadError};
use crate::directory::ldap::{Ldap, gone, usable};
use crate::directory::ldap_dn as dn;
use crate::directory::ldap_filter::Filter;
use crate::directory::ldap_message::{Entry, Scope, Search};
use crate::directory::ldap_pool::Lease;
use crate::directory::ldap_record::{self as record, untold};
use crate::directory::ldap_schema::{Dialect, GroupKind, relative_id};

/// How many names are looked up by one search.
pub(super) const AT_ONCE: usize = 200;
/// Most records that one lookup may find: a first part can be that of many names.
const MOST_HITS: usize = 20_000;
/// How many members Active Directory tells at once.
const RANGE: usize = 1_500;
/// Most members of a group.
pub(super) const MOST_MEMBERS: usize = 1_000_000;

/// Whom a name stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Who {
    /// The record's reference.
    pub reference: String,
    /// Whether it is a group.
    pub is_group: bool,
}

impl Ldap {
    /// See [`Directory::group`](crate::directory::port::Directory::group).
    pub async fn group(&self, reference: &str) -> Result<Option<GroupFacts>, ReadError> {
        usable(reference)?;
        let mut lease = self.lease().await?;
        let Some((entry, kind)) = self.locate_group(&mut lease, reference).await? else { return Ok(None) };
        let listed = record::group(self.schema(), &entry).ok_or_else(|| untold(self.schema().dialect.id()))?;
        let mut facts = GroupFacts { reference: listed.reference, name: listed.name, members: Vec::new(), nested: Vec::new(), read_only: listed.read_only };
        let told = self.told_members(&mut lease, &entry.dn, kind).await?;
        let mut seen = HashSet::new();
        if kind == GroupKind::Posix {
            for one in self.by_login(&mut lease, &told).await? {
                if seen.insert(one.clone()) {
                    facts.members.push(one);
                }
            }
        } else {
            let names: Vec<&str> = told.iter().map(|name| plain_name(kind, name)).filter(|name| !self.schema().is_placeholder(name)).collect();
            let found = self.resolve(&mut lease, &names).await?;
            for who in names.iter().filter_map(|name| found.get(&dn::key(name)?)) {
                if seen.insert(who.reference.clone()) {
                    let list = if who.is_group { &mut facts.nested } else { &mut facts.members };
                    list.push(who.reference.clone());
                }
            }
        }
        for person in self.with_primary(&mut lease, &[&entry]).await? {
            if seen.insert(person.clone()) {
                facts.members.push(person);
            }
        }
        Ok(Some(facts))
    }

    /// See [`Directory::is_member`](crate::directory::port::Directory::is_member). The server compares, so its own idea of names counts.
    /// Who has the group as primary group is in it, although it does not list them.
    pub async fn is_member(&self, group: &str, person: &str) -> Result<bool, ReadError> {
        usable(group)?;
        usable(person)?;
        let mut lease = self.lease().await?;
        let Some((entry, kind)) = self.locate_group(&mut lease, group).await? else { return Ok(false) };
        let Some(who) = self.locate_person(&mut lease, person, &self.to_compare(), false).await? else { return Ok(false) };
        self.is_in(&mut lease, &entry, kind, &who).await
    }

    /// What has to be known of a person to say whether a group lists them.
    pub(super) fn to_compare(&self) -> Vec<&str> {
        let primary = if self.schema().dialect == Dialect::ActiveDirectory { "primaryGroupID" } else { "gidNumber" };
        vec![self.schema().dialect.id(), "objectClass", primary, self.schema().theirs("user_name").unwrap_or_default()]
    }

    pub(super) async fn is_in(&self, lease: &mut Lease, group: &Entry, kind: GroupKind, who: &Entry) -> Result<bool, ReadError> {
        if self.is_primary(group, kind, who) {
            return Ok(true);
        }
        let Some(value) = self.value(kind, who) else { return Ok(false) };
        if kind == GroupKind::Domain {
            // Samba (4.17) puts a value that is to be compared into the text of a filter as it is, brackets and stars and all.
            let filter = Filter::is(kind.attribute(), value);
            return Ok(lease.one(&group.dn, &filter, &[self.schema().dialect.id()]).await?.is_some());
        }
        lease.compare(&group.dn, kind.attribute(), value).await
    }

    /// What a group of this kind lists a person as.
    pub(super) fn value<'a>(&self, kind: GroupKind, who: &'a Entry) -> Option<&'a str> {
        if kind == GroupKind::Posix { self.schema().login(who) } else { Some(&who.dn) }
    }

    /// Whether the group is the person's primary one.
    pub(super) fn is_primary(&self, group: &Entry, kind: GroupKind, who: &Entry) -> bool {
        let number = |text: Option<&str>| text.and_then(|text| text.trim().parse::<u32>().ok());
        match kind {
            GroupKind::Domain => relative_id(group).is_some_and(|id| number(who.text("primaryGroupID")) == Some(id)),
            GroupKind::Posix => number(group.text("gidNumber")).is_some_and(|id| number(who.text("gidNumber")) == Some(id)),
            GroupKind::OfNames | GroupKind::OfUniqueNames | GroupKind::OfMembers => false,
        }
    }

    /// What a group lists, verbatim.
    async fn told_members(&self, lease: &mut Lease, group: &str, kind: GroupKind) -> Result<Vec<String>, ReadError> {
        if kind != GroupKind::Domain {
            let entry = lease.one(group, &Filter::anything(), &[kind.attribute()]).await?;
            let entry = entry.ok_or_else(|| ReadError::Malformed("the group went away while it was read".into()))?;
            return strings(entry.values(kind.attribute()));
        }
        // What changed while the ranges were read could have moved a member from one that is read into one that was.
        for _ in 0..3 {
            if let Some(all) = self.ranges(lease, group).await? {
                return Ok(all);
            }
        }
        Err(ReadError::Malformed("the group changed each time it was read".into()))
    }

    /// All members by ranges (MS-ADTS §3.1.1.3.1.3.3); `None` when the group changed meanwhile.
    async fn ranges(&self, lease: &mut Lease, group: &str) -> Result<Option<Vec<String>>, ReadError> {
        let mut all: Vec<String> = Vec::new();
        let mut version: Option<String> = None;
        loop {
            let from = all.len();
            let wanted = format!("member;range={from}-{}", from + RANGE - 1);
            let entry = lease.one(group, &Filter::anything(), &[&wanted, "uSNChanged"]).await?;
            let entry = entry.ok_or_else(|| ReadError::Malformed("the group went away while it was read".into()))?;
            let now = entry.text("uSNChanged").map(str::to_owned);
            if from > 0 && now != version {
                return Ok(None);
            }
            version = now;
            let told = entry.attributes.iter().find_map(|(name, values)| Some((range(name)?, values)));
            let Some(((begin, is_last), values)) = told else {
                // No range at all: no members, or all of them under the plain name.
                let plain = strings(entry.values("member"))?;
                return if from == 0 { Ok(Some(plain)) } else { Ok(None) };
            };
            if begin != from {
                return Err(ReadError::Malformed("it sent other members than those asked for".into()));
            }
            all.extend(strings(values)?);
            if is_last {
                return Ok(Some(all));
            }
            if all.len() == from || all.len() > MOST_MEMBERS {
                return Err(ReadError::Malformed("its list of members goes on without an end".into()));
            }
        }
    }

    /// Whom these names stand for, by the key of the name. Names that stand for nobody are left out.
    pub(super) async fn resolve(&self, lease: &mut Lease, names: &[&str]) -> Result<HashMap<String, Who>, ReadError> {
        let schema = self.schema();
        let attributes = [schema.dialect.id(), "objectClass"];
        let mut found = HashMap::with_capacity(names.len());
        let who = |entry: &Entry| {
            let reference = schema.reference(entry).ok_or_else(|| untold(schema.dialect.id()))?;
            Ok(Who { reference, is_group: schema.kind(entry).is_some() })
        };
        for chunk in names.chunks(AT_ONCE) {
            let mut open: HashMap<String, &str> = HashMap::with_capacity(chunk.len());
            for name in chunk {
                // A member that cannot be told from others must not be left out in silence.
                let key = dn::key(name).ok_or_else(|| ReadError::Malformed("a member's name cannot be read".into()))?;
                // The empty name stands in groups that may not be empty, for nobody.
                if !key.is_empty() {
                    open.insert(key, name);
                }
            }
            let parts = open.values().filter_map(|name| dn::first(name));
            let filter = Filter::Any(parts.map(|part| Filter::is(&part.attribute, part.value)).collect());
            let search = Search { base: &schema.base, scope: Scope::Subtree, filter: &filter, attributes: &attributes, deleted: false };
            if open.len() > 1 {
                for entry in lease.all(&search, MOST_HITS).await?.ok_or_else(|| gone(&schema.base))? {
                    if let Some(key) = dn::key(&entry.dn).filter(|key| open.remove(key).is_some()) {
                        found.insert(key, who(&entry)?);
                    }
                }
            }
            // What was not found like this is asked for by its name: it may be spelled in a way only the server understands, lie
            // elsewhere, or be gone.
            for (key, name) in open {
                if let Some(entry) = lease.one(name, &Filter::anything(), &attributes).await? {
                    found.insert(key, who(&entry)?);
                }
            }
        }
        Ok(found)
    }

    /// References of the people with these logins.
    async fn by_login(&self, lease: &mut Lease, logins: &[String]) -> Result<Vec<String>, ReadError> {
        let schema = self.schema();
        let login = schema.theirs("user_name").unwrap_or_default();
        let attributes = [schema.dialect.id(), login];
        let mut found = Vec::with_capacity(logins.len());
        for chunk in logins.chunks(AT_ONCE) {
            let filter = schema.person.and(Filter::Any(chunk.iter().map(|one| Filter::is(login, one)).collect()));
            let search = Search { base: &schema.base, scope: Scope::Subtree, filter: &filter, attributes: &attributes, deleted: false };
            let mut hits: HashMap<String, String> = HashMap::new();
            for entry in lease.all(&search, MOST_HITS).await?.ok_or_else(|| gone(&schema.base))? {
                let Some(told) = schema.login(&entry) else { continue };
                let reference = schema.reference(&entry).ok_or_else(|| untold(schema.dialect.id()))?;
                if hits.insert(told.to_owned(), reference).is_some() {
                    return Err(ReadError::Several { attribute: "user_name".into(), value: told.to_owned() });
                }
            }
            found.extend(chunk.iter().filter_map(|one| hits.get(one).cloned()));
        }
        Ok(found)
    }

    /// References of people who have one of these groups as their primary one.
    pub(super) async fn with_primary(&self, lease: &mut Lease, groups: &[&Entry]) -> Result<Vec<String>, ReadError> {
        let schema = self.schema();
        let (attribute, numbers): (_, Vec<u32>) = match schema.dialect {
            Dialect::ActiveDirectory => ("primaryGroupID", groups.iter().filter_map(|group| relative_id(group)).collect()),
            Dialect::OpenLdap => {
                let posix = groups.iter().filter(|group| schema.kind(group) == Some(GroupKind::Posix));
                ("gidNumber", posix.filter_map(|group| group.text("gidNumber")?.trim().parse().ok()).collect())
            }
        };
        let mut found = Vec::new();
        for chunk in numbers.chunks(AT_ONCE) {
            let filter = schema.person.and(Filter::Any(chunk.iter().map(|number| Filter::is(attribute, number.to_string())).collect()));
            let attributes = [schema.dialect.id()];
            let search = Search { base: &schema.base, scope: Scope::Subtree, filter: &filter, attributes: &attributes, deleted: false };
            for entry in lease.all(&search, MOST_MEMBERS).await?.ok_or_else(|| gone(&schema.base))? {
                found.push(schema.reference(&entry).ok_or_else(|| untold(schema.dialect.id()))?);
            }
        }
        Ok(found)
    }
}

/// Names and logins are text; one that is none would be a member nobody sees.
fn strings(values: &[Vec<u8>]) -> Result<Vec<String>, ReadError> {
    let text = |value: &Vec<u8>| String::from_utf8(value.clone()).map_err(|_| ReadError::Malformed("a member's name is not text".into()));
    values.iter().map(text).collect()
}

/// A name of `uniqueMember` without the number that may follow it (RFC 4517 §3.3.21).
fn plain_name(kind: GroupKind, told: &str) -> &str {
    match told.rsplit_once('#') {
        Some((name, bits)) if kind == GroupKind::OfUniqueNames && bits.starts_with('\'') && bits.ends_with("'B") => name,
        _ => told,
    }
}

/// Where a range of members begins, and whether it is the last: `member;range=1500-*`.
fn range(name: &str) -> Option<(usize, bool)> {
    let (attribute, range) = name.split_once(';')?;
    let range = range.get(..6).filter(|word| word.eq_ignore_ascii_case("range=")).and(range.get(6..))?;
    let (from, to) = range.split_once('-')?;
    attribute.eq_ignore_ascii_case("member").then_some(())?;
    Some((from.parse().ok()?, to == "*"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_told_by_the_name_of_what_comes() {
        assert_eq!(range("member;range=0-1499"), Some((0, false)));
        assert_eq!(range("Member;Range=1500-*"), Some((1500, true)));
        for other in ["member", "member;binary", "memberOf;range=0-*", "member;range=x-*", "member;range=7", "member;ranüe=0-1", "member;"] {
            assert_eq!(range(other), None, "{other}");
        }
    }

    #[test]
    fn a_unique_name_may_carry_a_number() {
        assert_eq!(plain_name(GroupKind::OfUniqueNames, "cn=a,dc=x#'0101'B"), "cn=a,dc=x");
        assert_eq!(plain_name(GroupKind::OfUniqueNames, "cn=a#b,dc=x"), "cn=a#b,dc=x");
        assert_eq!(plain_name(GroupKind::OfNames, "cn=a,dc=x#'0101'B"), "cn=a,dc=x#'0101'B");
    }
}
