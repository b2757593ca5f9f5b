//! LDAP groups within groups.
//!
//! Active Directory follows them by itself, by a matching rule. Elsewhere they are walked, from a person upwards, level by level, each
//! group once.

use std::collections::HashMap;
use std::collections::hash_map::Entry::Vacant;

use crate::directory::facts::ReadError;
use crate::directory::ldap::{Ldap, gone, usable};
use crate::directory::ldap_filter::{Filter, IN_CHAIN};
use crate::directory::ldap_group::{AT_ONCE, MOST_MEMBERS};
use crate::directory::ldap_message::{Entry, Scope, Search};
use crate::directory::ldap_pool::Lease;
use crate::directory::ldap_record::{self as record, untold};
use crate::directory::ldap_schema::{Dialect, GroupKind, sibling_sid};
use crate::domain::person::GroupRef;

/// How deep groups within groups are followed.
const DEEPEST: usize = 10;
/// Most groups that one person is in, or that one group holds.
const MOST_GROUPS: usize = 2_000;

impl Ldap {
    /// The groups of a person: those that list them, their primary one, and those that hold these.
    pub(super) async fn groups_of(&self, lease: &mut Lease, who: &Entry) -> Result<Vec<GroupRef>, ReadError> {
        let schema = self.schema();
        let mut found: HashMap<String, Entry> = HashMap::new();
        let mut level = vec![who.clone()];
        for _ in 0..=DEEPEST {
            let mut next = Vec::new();
            for chunk in level.chunks(AT_ONCE) {
                let mut groups = self.search_groups(lease, self.that_list(chunk)).await?;
                // The chain does not begin at a primary group, which lists nobody for that: its own groups are asked for.
                let primary = groups.iter().find(|group| self.is_primary(group, GroupKind::Domain, who) && !group.values("memberOf").is_empty());
                if let Some(above) = primary.map(|group| chain("member", &group.dn)) {
                    groups.extend(self.search_groups(lease, vec![above]).await?);
                }
                for entry in groups {
                    let reference = schema.reference(&entry).ok_or_else(|| untold(schema.dialect.id()))?;
                    if let Vacant(place) = found.entry(reference) {
                        next.push(entry.clone());
                        place.insert(entry);
                    }
                }
                if found.len() > MOST_GROUPS {
                    return Err(ReadError::Malformed(format!("a person is in more than {MOST_GROUPS} groups")));
                }
            }
            // The server went up all the way by itself, from the person and from the primary group.
            if next.is_empty() || schema.dialect == Dialect::ActiveDirectory {
                let mut all: Vec<GroupRef> = found
                    .values()
                    .filter_map(|entry| record::group(schema, entry))
                    .map(|group| GroupRef { reference: group.reference, name: group.name })
                    .collect();
                all.sort_by(|a, b| (&a.name, &a.reference).cmp(&(&b.name, &b.reference)));
                return Ok(all);
            }
            level = next;
        }
        Err(ReadError::Malformed(format!("groups are nested deeper than {DEEPEST}")))
    }

    async fn search_groups(&self, lease: &mut Lease, filters: Vec<Filter>) -> Result<Vec<Entry>, ReadError> {
        let schema = self.schema();
        if filters.is_empty() {
            return Ok(Vec::new());
        }
        let attributes = schema.of_a_group();
        let filter = schema.group().and(Filter::Any(filters));
        let search = Search { base: &schema.groups, scope: Scope::Subtree, filter: &filter, attributes: &attributes, deleted: false };
        lease.all(&search, MOST_GROUPS).await?.ok_or_else(|| gone(&schema.groups))
    }

    /// What groups that list one of these look like.
    fn that_list(&self, members: &[Entry]) -> Vec<Filter> {
        let schema = self.schema();
        let mut filters = Vec::new();
        for member in members {
            for kind in &schema.kinds {
                match kind {
                    GroupKind::Domain => {
                        filters.push(chain("member", &member.dn));
                        let primary = member.text("primaryGroupID").and_then(|number| number.trim().parse().ok());
                        filters.extend(primary.and_then(|number| sibling_sid(member, number)).map(|sid| Filter::is("objectSid", sid)));
                    }
                    GroupKind::Posix if schema.kind(member).is_some() => {} // it holds no groups
                    GroupKind::Posix => {
                        filters.extend(schema.login(member).map(|login| Filter::is(kind.attribute(), login)));
                        let primary = member.text("gidNumber").map(|number| Filter::is("gidNumber", number.trim()));
                        filters.extend(primary.map(|number| Filter::is("objectClass", kind.class()).and(number)));
                    }
                    GroupKind::OfNames | GroupKind::OfUniqueNames | GroupKind::OfMembers => filters.push(Filter::is(kind.attribute(), &member.dn)),
                }
            }
        }
        filters
    }

    /// See [`Directory::is_member_inherited`](crate::directory::port::Directory::is_member_inherited): upwards from the person, which is
    /// shorter than down from the group.
    pub async fn is_member_inherited(&self, group: &str, person: &str) -> Result<bool, ReadError> {
        usable(group)?;
        usable(person)?;
        let mut lease = self.lease().await?;
        let Some(who) = self.locate_person(&mut lease, person, &self.schema().of_a_person(), false).await? else { return Ok(false) };
        Ok(self.groups_of(&mut lease, &who).await?.iter().any(|one| one.reference == group))
    }

    /// See [`Directory::members_inherited`](crate::directory::port::Directory::members_inherited). `None` in the outer option: this
    /// server cannot say by itself, and the groups inside have to be walked through.
    pub async fn members_in_chain(&self, group: &str) -> Result<Option<Option<Vec<String>>>, ReadError> {
        let schema = self.schema();
        if schema.dialect != Dialect::ActiveDirectory {
            return Ok(None);
        }
        usable(group)?;
        let mut lease = self.lease().await?;
        let Some((top, _)) = self.locate_group(&mut lease, group).await? else { return Ok(Some(None)) };
        let inside = chain("memberOf", &top.dn);
        let (groups, people) = (schema.group().and(inside.clone()), schema.person.and(inside));
        let attributes = [schema.dialect.id(), "objectSid"];
        let search = Search { base: &schema.base, scope: Scope::Subtree, filter: &groups, attributes: &attributes, deleted: false };
        let mut nested = lease.all(&search, MOST_GROUPS).await?.ok_or_else(|| gone(&schema.base))?;
        nested.push(top);
        let search = Search { filter: &people, ..search };
        let found = lease.all(&search, MOST_MEMBERS).await?.ok_or_else(|| gone(&schema.base))?;
        let mut all = self.with_primary(&mut lease, &nested.iter().collect::<Vec<_>>()).await?;
        for entry in &found {
            all.push(schema.reference(entry).ok_or_else(|| untold(schema.dialect.id()))?);
        }
        all.sort_unstable();
        all.dedup();
        Ok(Some(Some(all)))
    }
}

/// Through groups within groups, as Active Directory follows them by itself.
fn chain(attribute: &str, name: &str) -> Filter {
    Filter::Rule(attribute.to_owned(), IN_CHAIN.to_owned(), name.as_bytes().to_vec())
}
