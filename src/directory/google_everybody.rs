//! Everybody in a Google Workspace, listed with groups and managers.
//!
//! A listing of people has neither: all groups are read once, with their members, and all addresses.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::stream::{self, StreamExt, TryStreamExt};

use crate::directory::cursor::Cursor;
use crate::directory::facts::{Page, PersonFacts, ReadError};
use crate::directory::google::{Google, READ_GROUPS, READ_PEOPLE, Walk, no_list, not_told};
use crate::directory::google_record::{self as record, Member};
use crate::directory::memberships::Memberships;

/// How many groups are read at the same time.
const AT_ONCE: usize = 8;

/// What people in a listing are looked up in.
#[derive(Debug)]
pub(super) struct Around {
    memberships: Memberships,
    /// Ids by address.
    ids: HashMap<String, String>,
}

impl Google {
    /// See [`Directory::people`](crate::directory::port::Directory::people). Deleted people are not listed; asked for by id there is none.
    pub async fn people(&self, cursor: Option<Cursor>) -> Result<Page<PersonFacts, Cursor>, ReadError> {
        let path = || format!("/users?customer={}&maxResults=500&projection=full&orderBy=email", self.customer());
        let walk = cursor.map_or_else(|| Ok(Walk::from(path(), "users")), Cursor::open::<Walk>)?;
        let around = match &walk.around {
            Some(known) => known.clone(),
            None => Arc::new(Around { memberships: self.memberships().await?, ids: self.ids().await? }),
        };
        let (rows, next) = self.page(walk, READ_PEOPLE).await?.ok_or_else(no_list)?;
        let mut items = Vec::with_capacity(rows.len());
        for row in &rows {
            let mut facts = record::person(row, self.attributes()).ok_or_else(not_told)?;
            facts.groups = around.memberships.of(&facts.reference);
            facts.manager = record::manager(row).and_then(|address| around.ids.get(&address).cloned());
            items.push(facts);
        }
        Ok(Page { items, next: next.map(|next| Cursor::of(next.with(around))), total: None })
    }

    /// Everybody's addresses: managers are told by address, and one who is listed later is to be found too.
    async fn ids(&self) -> Result<HashMap<String, String>, ReadError> {
        let mut ids = HashMap::new();
        let mut open = Some(Walk::from(format!("/users?customer={}&maxResults=500&projection=basic", self.customer()), "users"));
        while let Some(walk) = open {
            let (rows, next) = self.page(walk, READ_PEOPLE).await?.ok_or_else(no_list)?;
            for row in &rows {
                let id = record::id(row).ok_or_else(not_told)?;
                ids.extend(record::addresses(row).into_iter().map(|address| (address, id.to_owned())));
            }
            open = next;
        }
        Ok(ids)
    }

    /// Who is in which group, by reading all of them: there is no listing that brings members along.
    async fn memberships(&self) -> Result<Memberships, ReadError> {
        let mut all = Memberships::default();
        let mut open = Some(self.all_groups());
        while let Some(walk) = open {
            let (rows, next) = self.page(walk, READ_GROUPS).await?.ok_or_else(no_list)?;
            let groups = rows.iter().map(|row| record::group_ref(row).ok_or_else(not_told)).collect::<Result<Vec<_>, _>>()?;
            let mut read = stream::iter(groups)
                .map(|group| async move { self.members_of(&group.reference, false).await.map(|members| (group, members)) })
                .buffer_unordered(AT_ONCE);
            while let Some((group, members)) = read.try_next().await? {
                let reference = group.reference.clone();
                // A group that went meanwhile has no members.
                let Some(members) = members else { continue };
                all.name(group);
                for member in members {
                    match member {
                        Member::Person(person) => all.person(&reference, &person),
                        Member::Group(inner) => all.nested(&reference, &inner),
                        Member::Everybody | Member::Other => {}
                    }
                }
            }
            open = next;
        }
        Ok(all)
    }
}
