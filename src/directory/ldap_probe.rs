//! A test of the connection to an LDAP server.

use crate::clock;
use crate::directory::facts::{Probe, ReadError};
use crate::directory::ldap::{Ldap, gone};
use crate::directory::ldap_filter::Filter;
use crate::directory::ldap_link::Fault;
use crate::directory::ldap_message::{Entry, Modify, Scope, Search};
use crate::directory::ldap_pool::{Lease, unread};
use crate::directory::ldap_record as record;
use crate::directory::ldap_schema::Dialect;

/// Of how many groups the right to write is tried.
const TRIED: usize = 3;

impl Ldap {
    /// See [`Directory::probe`](crate::directory::port::Directory::probe). Asks for records, not "who am I", which not every server
    /// answers.
    pub async fn probe(&self) -> Probe {
        let mut notes = Vec::new();
        let works = match self.probed(&mut notes).await {
            Ok(works) => works,
            Err(error) => {
                notes.push(error.to_string());
                false
            }
        };
        Probe { works, notes }
    }

    async fn probed(&self, notes: &mut Vec<String>) -> Result<bool, ReadError> {
        let mut lease = self.pool().lease().await.map_err(unread)?;
        let schema = self.schema();
        let stamp = if schema.dialect == Dialect::ActiveDirectory { "uSNChanged" } else { "modifyTimestamp" };
        let mut of_people = schema.of_a_person();
        of_people.push(stamp);
        let people = self.some(&mut lease, &schema.people, &schema.person, &of_people).await?;
        let mut works = true;
        match people.as_slice() {
            [] => {
                works = false;
                notes.push(format!("Finds nobody below {}: the filter for people is wrong, or the service account has no right to read them.", schema.people));
            }
            all => match all.iter().map(|entry| record::person(schema, entry, self.clock().now())).collect::<Result<Vec<_>, _>>() {
                Err(error) => {
                    works = false;
                    notes.push(error.to_string());
                }
                Ok(facts) => {
                    notes.push("Lists people.".into());
                    let login = schema.theirs("user_name").unwrap_or_default();
                    if facts.iter().all(|person| person.user_name == person.reference) {
                        notes.push(format!("Nobody has a login: the service account may have no right to read {login}."));
                    }
                    if facts.iter().all(|person| person.email.is_none()) {
                        notes.push("Nobody has a mail address.".into());
                    }
                }
            },
        }
        if people.iter().all(|entry| entry.text(stamp).is_none()) {
            notes.push(format!("Does not tell {stamp}: what changed is found by reading everything."));
        }
        let mut of_groups = schema.of_a_group();
        of_groups.extend(schema.kinds.iter().map(|kind| kind.attribute()));
        let groups = self.some(&mut lease, &schema.groups, &schema.group(), &of_groups).await?;
        if groups.is_empty() {
            notes.push(format!("Finds no group below {}: their kinds are others, or the service account has no right to read them.", schema.groups));
            return Ok(false);
        }
        if groups.iter().any(|entry| schema.reference(entry).is_none()) {
            notes.push(format!("Groups come without {}: the service account may have no right to read it.", schema.dialect.id()));
            return Ok(false);
        }
        notes.push("Lists groups.".into());
        let told = |entry: &Entry| {
            schema.kind(entry).is_some_and(|kind| entry.attributes.iter().any(|(name, _)| name.to_lowercase().starts_with(&kind.attribute().to_lowercase())))
        };
        if !groups.iter().any(told) {
            notes.push("No group tells a member: the service account may have no right to read them.".into());
        }
        if let Some(nobody) = &schema.placeholder
            && lease.one(nobody, &Filter::anything(), &[schema.dialect.id()]).await?.is_none()
        {
            notes.push(format!("The placeholder {nobody} is not there."));
        }
        self.probe_writing(&mut lease, &groups, notes).await?;
        Ok(works)
    }

    async fn some(&self, lease: &mut Lease, base: &str, filter: &Filter, attributes: &[&str]) -> Result<Vec<Entry>, ReadError> {
        let search = Search { base, scope: Scope::Subtree, filter, attributes, deleted: false };
        let mut found = Vec::new();
        lease.page(&search, &[], &mut found).await?.ok_or_else(|| gone(base))?;
        Ok(found)
    }

    /// Whether members may be written: takes out somebody who does not exist. With the right to do so there is nothing to do (16, or 53
    /// on Active Directory); without it the server says that (50).
    async fn probe_writing(&self, lease: &mut Lease, groups: &[Entry], notes: &mut Vec<String>) -> Result<(), ReadError> {
        let schema = self.schema();
        let (mut may, mut may_not) = (0, 0);
        for group in groups.iter().filter(|group| record::read_only(schema, group).is_none()).take(TRIED) {
            let Some(kind) = schema.kind(group) else { continue };
            let id = clock::new_id();
            let nobody = if kind.attribute() == "memberUid" { format!("nobody-{id}") } else { format!("cn=nobody-{id},{}", schema.base) };
            match lease.modify(&group.dn, &[Modify::Delete(kind.attribute(), &nobody)]).await {
                Ok(outcome) if matches!(outcome.code, 50 | 8 | 13) => may_not += 1,
                Ok(outcome) if matches!(outcome.code, 0 | 16 | 32 | 53 | 65) => may += 1,
                Ok(outcome) => notes.push(format!("Whether members may be written is not clear (result {}).", outcome.code)),
                Err(fault @ (Fault::NotSent(_) | Fault::Lost(_) | Fault::Malformed(_) | Fault::Auth(_))) => return Err(unread(fault)),
            }
        }
        let read_only = groups.iter().filter(|group| record::read_only(schema, group).is_some()).count();
        notes.push(match (may, may_not) {
            (0, 0) if read_only > 0 => "The service account has no right to write the members of any group seen.".into(),
            (0, 0) => return Ok(()),
            (_, 0) => "May write members.".into(),
            (0, _) => "The service account has no right to write members: roles of these groups cannot be given.".into(),
            _ => "The service account may write the members of some groups only.".into(),
        });
        Ok(())
    }
}
