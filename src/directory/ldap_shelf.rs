//! A listing of an LDAP server, with its groups beside.
//!
//! A listing keeps its connection: the cookie between two pages is good there only (RFC 2696). People come with their groups, so all
//! groups are read once, before the first page, and kept as numbers: of names only hashes are held.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};

use crate::directory::facts::{ReadError, clean};
use crate::directory::ldap::{Ldap, gone};
use crate::directory::ldap_dn as dn;
use crate::directory::ldap_message::{Entry, Scope, Search};
use crate::directory::ldap_pool::{Lease, unread};
use crate::directory::ldap_record::untold;
use crate::directory::ldap_schema::{Dialect, GroupKind, Schema, relative_id};
use crate::domain::person::GroupRef;

/// Most groups that are read for a listing of people.
const MOST_GROUPS: usize = 500_000;

/// Where a listing stands.
pub struct Listing {
    lease: Lease,
    cookie: Vec<u8>,
    hasher: RandomState,
    seen: HashSet<u64>,
    /// How many pages in a row held nothing new.
    barren: usize,
    shelf: Shelf,
    /// References of managers by the key of their name.
    pub(super) managers: HashMap<String, Option<String>>,
}

/// Who is in which group.
#[derive(Default)]
struct Shelf {
    groups: Vec<GroupRef>,
    /// The groups that each group is in.
    above: Vec<Vec<u32>>,
    /// Groups by member: hash of a name's key.
    by_name: HashMap<u64, Vec<u32>>,
    /// Groups by member: hash of a login.
    by_login: HashMap<u64, Vec<u32>>,
    /// Groups by the number that makes them somebody's primary one.
    by_number: HashMap<u32, u32>,
    hasher: RandomState,
}

impl Listing {
    /// Begins a listing of groups.
    pub(super) async fn of_groups(ldap: &Ldap) -> Result<Self, ReadError> {
        let mut lease = ldap.pool().listing().await.map_err(unread)?;
        // Not fit for others before the list is at its end.
        lease.keep(false);
        let (hasher, seen, managers) = (RandomState::new(), HashSet::new(), HashMap::new());
        Ok(Self { lease, cookie: Vec::new(), hasher, seen, barren: 0, shelf: Shelf::default(), managers })
    }

    /// Begins a listing of people: reads all groups.
    pub(super) async fn of_people(ldap: &Ldap) -> Result<Self, ReadError> {
        let mut listing = Self::of_groups(ldap).await?;
        listing.shelf = Shelf::read(ldap.schema(), &mut listing.lease).await?;
        Ok(listing)
    }

    /// The next page; `None` when the base is not there.
    pub(super) async fn page(&mut self, search: &Search<'_>) -> Result<Option<Vec<Entry>>, ReadError> {
        let mut found = Vec::new();
        let cookie = std::mem::take(&mut self.cookie);
        let Some(next) = self.lease.page(search, &cookie, &mut found).await? else { return Ok(None) };
        self.barren += 1;
        if self.barren > 100 && !next.is_empty() {
            return Err(ReadError::Malformed("its list goes on without an end".into()));
        }
        self.cookie = next;
        Ok(Some(found))
    }

    /// Whether this id is new in the listing.
    pub(super) fn first_sight(&mut self, reference: &str) -> bool {
        let new = self.seen.insert(self.hasher.hash_one(reference));
        if new {
            self.barren = 0;
        }
        new
    }

    /// The rest of the listing, if there is more.
    pub(super) fn rest(mut self) -> Option<Self> {
        self.lease.keep(self.cookie.is_empty());
        (!self.cookie.is_empty()).then_some(self)
    }

    /// The groups of a person, inherited ones too.
    pub(super) fn groups_of(&self, schema: &Schema, entry: &Entry) -> Vec<GroupRef> {
        self.shelf.groups_of(schema, entry)
    }
}

impl Shelf {
    async fn read(schema: &Schema, lease: &mut Lease) -> Result<Self, ReadError> {
        let mut shelf = Self::default();
        let mut attributes = vec![schema.dialect.id(), "cn", "objectClass"];
        match schema.dialect {
            Dialect::ActiveDirectory => attributes.extend(["objectSid", "memberOf"]),
            Dialect::OpenLdap => attributes.extend(schema.kinds.iter().map(|kind| kind.attribute()).chain(["gidNumber"])),
        }
        let filter = schema.group();
        let search = Search { base: &schema.groups, scope: Scope::Subtree, filter: &filter, attributes: &attributes, deleted: false };
        let mut own: HashMap<u64, u32> = HashMap::new();
        // Names of groups that a group is in, where the group tells them.
        let mut told_above: Vec<(u32, u64)> = Vec::new();
        let mut cookie = Vec::new();
        let mut barren = 0;
        loop {
            let mut page = Vec::new();
            let next = lease.page(&search, &cookie, &mut page).await?.ok_or_else(|| gone(&schema.groups))?;
            for entry in &page {
                let reference = schema.reference(entry).ok_or_else(|| untold(schema.dialect.id()))?;
                let name = entry.text("cn").map(clean).unwrap_or_else(|| reference.clone());
                let place = u32::try_from(shelf.groups.len()).unwrap_or(u32::MAX);
                let Some(hash) = shelf.name_hash(&entry.dn) else { continue };
                if own.insert(hash, place).is_some() {
                    return Err(ReadError::Malformed("its list of groups holds one twice".into()));
                }
                shelf.groups.push(GroupRef { reference, name });
                match schema.dialect {
                    Dialect::ActiveDirectory => {
                        if let Some(number) = relative_id(entry) {
                            shelf.by_number.insert(number, place);
                        }
                        told_above.extend(entry.texts("memberOf").filter_map(|above| shelf.name_hash(above)).map(|above| (place, above)));
                    }
                    Dialect::OpenLdap => shelf.put(schema, entry, place),
                }
            }
            barren = if page.is_empty() { barren + 1 } else { 0 };
            if shelf.groups.len() > MOST_GROUPS || barren > 100 {
                return Err(ReadError::Malformed("its list of groups goes on without an end".into()));
            }
            if next.is_empty() {
                break;
            }
            cookie = next;
        }
        shelf.above = vec![Vec::new(); shelf.groups.len()];
        if schema.dialect == Dialect::ActiveDirectory {
            for (place, above) in told_above {
                if let (Some(above), Some(list)) = (own.get(&above), shelf.above.get_mut(place as usize)) {
                    list.push(*above);
                }
            }
            // People tell the groups they are in by name.
            shelf.by_name = own.into_iter().map(|(hash, place)| (hash, vec![place])).collect();
        } else {
            for (hash, place) in own {
                if let (Some(above), Some(list)) = (shelf.by_name.get(&hash), shelf.above.get_mut(place as usize)) {
                    list.extend(above);
                }
            }
        }
        Ok(shelf)
    }

    fn put(&mut self, schema: &Schema, entry: &Entry, place: u32) {
        let Some(kind) = schema.kind(entry) else { return };
        if kind == GroupKind::Posix {
            for login in entry.texts(kind.attribute()) {
                let hash = self.hasher.hash_one(login);
                self.by_login.entry(hash).or_default().push(place);
            }
            if let Some(number) = entry.text("gidNumber").and_then(|number| number.trim().parse().ok()) {
                self.by_number.insert(number, place);
            }
        } else {
            for member in entry.texts(kind.attribute()) {
                if let Some(hash) = self.name_hash(member) {
                    self.by_name.entry(hash).or_default().push(place);
                }
            }
        }
    }

    fn name_hash(&self, name: &str) -> Option<u64> {
        Some(self.hasher.hash_one(dn::key(name)?))
    }

    fn groups_of(&self, schema: &Schema, entry: &Entry) -> Vec<GroupRef> {
        let mut open: Vec<u32> = Vec::new();
        let mut add = |found: Option<&Vec<u32>>| open.extend(found.into_iter().flatten());
        let primary = match schema.dialect {
            Dialect::ActiveDirectory => {
                entry.texts("memberOf").for_each(|name| add(self.name_hash(name).and_then(|hash| self.by_name.get(&hash))));
                "primaryGroupID"
            }
            Dialect::OpenLdap => {
                add(self.name_hash(&entry.dn).and_then(|hash| self.by_name.get(&hash)));
                add(schema.login(entry).and_then(|login| self.by_login.get(&self.hasher.hash_one(login))));
                "gidNumber"
            }
        };
        open.extend(entry.text(primary).and_then(|number| self.by_number.get(&number.trim().parse().ok()?)));
        let mut seen: HashSet<u32> = HashSet::new();
        let mut found = Vec::new();
        while let Some(place) = open.pop() {
            if seen.insert(place) {
                found.extend(self.groups.get(place as usize).cloned());
                open.extend(self.above.get(place as usize).into_iter().flatten());
            }
        }
        found.sort_by(|a, b| (&a.name, &a.reference).cmp(&(&b.name, &b.reference)));
        found
    }
}
