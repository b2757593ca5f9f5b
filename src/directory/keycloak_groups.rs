//! The groups of a Keycloak realm: tree and members.

use std::collections::{BTreeMap, HashMap, HashSet};

use futures_util::future::try_join_all;
use serde_json::Value;

use crate::directory::cursor::Cursor;
use crate::directory::facts::{GroupFacts, GroupListed, Page, ReadError};
use crate::directory::http::encoded;
use crate::directory::keycloak::{GROUPS_ROLES, Keycloak};
use crate::directory::keycloak_answer::{no_id, read, rows};
use crate::directory::keycloak_record::{self as record, Place, usable};
use crate::domain::person::GroupRef;

/// Groups a page.
const PAGE: usize = 100;
/// Members a page: they are short.
const MEMBERS_PAGE: usize = 500;
/// How deep groups may lie within groups.
const DEEPEST: usize = 20;

/// Where a listing of groups stands: lists to be read, each with where to go on.
#[derive(Debug)]
struct Tree {
    open: Vec<(Option<String>, usize)>,
    seen: HashSet<String>,
    total: Option<u64>,
}

/// Who is directly in which group.
#[derive(Debug, Default)]
pub(super) struct Memberships {
    places: Vec<Place>,
    of: HashMap<String, Vec<usize>>,
}

impl Memberships {
    /// The groups that list this person.
    pub(super) fn of(&self, person: &str) -> Vec<Place> {
        self.of.get(person).into_iter().flatten().filter_map(|at| self.places.get(*at)).cloned().collect()
    }

    /// Every group.
    pub(super) fn places(&self) -> &[Place] {
        &self.places
    }
}

impl Keycloak {
    /// See [`Directory::groups`](crate::directory::port::Directory::groups). The whole tree: every list of it in turn.
    pub async fn groups(&self, cursor: Option<Cursor>) -> Result<Page<GroupListed, Cursor>, ReadError> {
        let mut at: Tree = match cursor {
            Some(cursor) => cursor.open()?,
            None => self.tree().await?,
        };
        let found = self.tree_rows(&mut at).await?;
        let items = found.iter().map(|row| record::listed(row).ok_or_else(no_id)).collect::<Result<_, _>>()?;
        let total = at.total;
        Ok(Page { items, next: (!at.open.is_empty()).then(|| Cursor::of(at)), total })
    }

    async fn tree(&self) -> Result<Tree, ReadError> {
        Ok(Tree { open: vec![(None, 0)], seen: HashSet::new(), total: Some(self.count("/groups/count", GROUPS_ROLES).await?) })
    }

    /// The next groups of the tree, none twice; what is left is in `open`.
    async fn tree_rows(&self, at: &mut Tree) -> Result<Vec<Value>, ReadError> {
        let Some((within, first)) = at.open.pop() else {
            return Ok(Vec::new());
        };
        let found = match &within {
            None => {
                let answer = self.ask(&format!("/groups?first={first}&max={PAGE}&briefRepresentation=true&subGroupsCount=true")).await?;
                rows(&answer, GROUPS_ROLES)?
            }
            // A group that is gone since has no children.
            Some(parent) => self.children_page(parent, first).await?.unwrap_or_default(),
        };
        let full = found.len() >= PAGE;
        if full {
            at.open.push((within, first + found.len()));
        }
        let mut fresh = Vec::with_capacity(found.len());
        for row in found {
            let id = record::id(&row).ok_or_else(no_id)?.to_owned();
            if at.seen.insert(id.clone()) {
                if record::below(&row) != Some(0) {
                    at.open.push((Some(id), 0));
                }
                fresh.push(row);
            }
        }
        if full && fresh.is_empty() {
            return Err(starts_over());
        }
        if at.open.is_empty() {
            let told = at.total.unwrap_or_default().min(self.count("/groups/count", GROUPS_ROLES).await?);
            if (at.seen.len() as u64) < told {
                let why = format!("it lists {} of {told} groups; the service account needs {GROUPS_ROLES} of realm-management", at.seen.len());
                return Err(if at.seen.is_empty() { ReadError::Auth(why) } else { ReadError::Malformed(why) });
            }
        }
        Ok(fresh)
    }

    /// Who is directly in which group, by reading all of them.
    pub(super) async fn memberships(&self) -> Result<Memberships, ReadError> {
        let mut all = Memberships::default();
        let mut at = self.tree().await?;
        while !at.open.is_empty() {
            let found = self.tree_rows(&mut at).await?;
            let places = found.iter().map(|row| record::place(row).ok_or_else(no_id)).collect::<Result<Vec<_>, _>>()?;
            for some in places.chunks(self.at_once()) {
                let mut questions = Vec::with_capacity(some.len());
                for place in some {
                    questions.push(self.members(&place.group.reference));
                }
                let lists = try_join_all(questions).await?;
                for (place, members) in some.iter().zip(lists) {
                    for person in members.into_iter().flatten() {
                        all.of.entry(person).or_default().push(all.places.len());
                    }
                    all.places.push(place.clone());
                }
            }
        }
        Ok(all)
    }

    /// Groups directly in this one, from a place on; `None` when there is no such group.
    async fn children_page(&self, group: &str, first: usize) -> Result<Option<Vec<Value>>, ReadError> {
        let path = format!("/groups/{}/children?first={first}&max={PAGE}&briefRepresentation=true&subGroupsCount=true", encoded(group));
        let answer = self.ask(&path).await?;
        if answer.status == 404 {
            self.believe_404(&answer, "/groups/count", GROUPS_ROLES).await?;
            return Ok(None);
        }
        rows(&answer, GROUPS_ROLES).map(Some)
    }

    /// See [`Directory::group`](crate::directory::port::Directory::group).
    pub async fn group(&self, reference: &str) -> Result<Option<GroupFacts>, ReadError> {
        let Some(found) = self.group_record(reference).await? else {
            return Ok(None);
        };
        let place = record::place(&found).ok_or_else(no_id)?;
        let Some(members) = self.members(reference).await? else {
            return Ok(None);
        };
        let (mut nested, mut seen, mut first) = (Vec::new(), HashSet::new(), 0);
        let mut more = record::below(&found) != Some(0);
        while more {
            let Some(page) = self.children_page(reference, first).await? else {
                return Ok(None);
            };
            let before = nested.len();
            for row in &page {
                let id = record::id(row).ok_or_else(no_id)?;
                if seen.insert(id.to_owned()) {
                    nested.push(id.to_owned());
                }
            }
            first += page.len();
            more = page.len() >= PAGE;
            if more && nested.len() == before {
                return Err(starts_over());
            }
        }
        Ok(Some(GroupFacts { reference: place.group.reference, name: place.group.name, members, nested, read_only: record::read_only(&found) }))
    }

    /// References of direct members; `None` when there is no such group. Begun anew when members came or went meanwhile.
    async fn members(&self, group: &str) -> Result<Option<Vec<String>>, ReadError> {
        'anew: for _ in 0..5 {
            let mut members: Vec<String> = Vec::new();
            loop {
                let from = members.len().saturating_sub(1);
                let answer = self.ask(&format!("/groups/{}/members?first={from}&max={MEMBERS_PAGE}&briefRepresentation=true", encoded(group))).await?;
                if answer.status == 404 {
                    self.believe_404(&answer, "/groups/count", GROUPS_ROLES).await?;
                    return Ok(None);
                }
                let found = rows(&answer, GROUPS_ROLES)?;
                let mut ids = found.iter().map(|row| record::id(row).map(str::to_owned).ok_or_else(no_id)).collect::<Result<Vec<_>, _>>()?;
                let full = ids.len() >= MEMBERS_PAGE;
                if let Some(last) = members.pop()
                    && ids.first() != Some(&last)
                {
                    continue 'anew;
                }
                members.append(&mut ids);
                if !full {
                    let mut seen = HashSet::new();
                    if !members.iter().all(|id| seen.insert(id)) {
                        continue 'anew;
                    }
                    return Ok(Some(members));
                }
            }
        }
        Err(ReadError::Malformed("the members of a group change faster than they can be read".into()))
    }

    /// See [`Directory::find_group`](crate::directory::port::Directory::find_group). The name is the path, without its first slash:
    /// names alone are not unique in Keycloak.
    pub async fn find_group(&self, name: &str) -> Result<Option<GroupRef>, ReadError> {
        let path = name.strip_prefix('/').unwrap_or(name);
        let segments: Vec<&str> = path.split('/').collect();
        if path.len() > 1024 || segments.len() > DEEPEST || !segments.iter().all(|segment| usable(segment)) {
            return Ok(None);
        }
        let encoded_path: Vec<String> = segments.iter().map(|segment| encoded(segment)).collect();
        let answer = self.ask(&format!("/group-by-path/{}", encoded_path.join("/"))).await?;
        if answer.status == 404 {
            self.believe_404(&answer, "/groups/count", GROUPS_ROLES).await?;
            return Ok(None);
        }
        let found = record::place(&read(&answer, GROUPS_ROLES)?).ok_or_else(no_id)?;
        if found.path.strip_prefix('/') != Some(path) {
            return Ok(None);
        }
        // A name may hold slashes: another group, whose path reads the same, is not the one that was meant.
        let above = self.above(&found, &mut HashMap::new()).await?;
        Ok((above.len() + 1 == segments.len()).then_some(found.group))
    }

    /// These groups and all they lie in: who is in a group counts as a member of those above it.
    pub(super) async fn with_inherited(&self, direct: Vec<Place>, parents: &mut HashMap<String, Place>) -> Result<Vec<GroupRef>, ReadError> {
        let mut all = BTreeMap::new();
        for place in direct {
            for above in self.above(&place, parents).await? {
                all.insert(above.group.reference.clone(), above.group);
            }
            all.insert(place.group.reference.clone(), place.group);
        }
        Ok(all.into_values().collect())
    }

    /// The groups above this one, from the nearest on.
    async fn above(&self, place: &Place, parents: &mut HashMap<String, Place>) -> Result<Vec<Place>, ReadError> {
        let mut above: Vec<Place> = Vec::new();
        let mut next = place.parent.clone();
        while let Some(id) = next {
            if above.len() >= DEEPEST {
                return Err(ReadError::Malformed(format!("groups are nested deeper than {DEEPEST}")));
            }
            let parent = match parents.get(&id) {
                Some(known) => known.clone(),
                None => {
                    let record = self.group_record(&id).await?;
                    let record = record.ok_or_else(|| ReadError::Malformed("a group lies in one that is not there".into()))?;
                    let parent = record::place(&record).ok_or_else(no_id)?;
                    parents.insert(id, parent.clone());
                    parent
                }
            };
            next = parent.parent.clone();
            above.push(parent);
        }
        Ok(above)
    }
}

fn starts_over() -> ReadError {
    ReadError::Malformed("a list starts over where it should go on".into())
}
