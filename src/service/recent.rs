//! What lists may remember for some seconds.
//!
//! A catalog page says of every role whether the viewer may ask for it. Asking the directory afresh for each page would cost more
//! than the page; so lists are told by what the directory said a few seconds ago. Nothing is ever decided from here: the request
//! form and every act ask the directory again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::domain::id::PersonId;
use crate::domain::person::PersonSnapshot;
use crate::store::look_role::ShelfRow;

/// How long a person's snapshot serves lists.
const PERSON_LASTS: TimeDelta = TimeDelta::seconds(15);
/// How long the habits of a department serve lists.
const PEERS_LAST: TimeDelta = TimeDelta::minutes(5);
/// How long the catalog serves lists.
const SHELF_LASTS: TimeDelta = TimeDelta::seconds(5);
/// How many entries are kept of each kind.
const KEPT: usize = 10_000;

/// What is remembered. Cloning shares it.
#[derive(Clone, Debug, Default)]
pub struct Recent(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    people: HashMap<PersonId, Arc<PersonSnapshot>>,
    departments: HashMap<String, (DateTime<Utc>, Arc<Peers>)>,
    shelf: Option<(DateTime<Utc>, Arc<Vec<ShelfRow>>)>,
}

/// The habits of a department.
#[derive(Clone, Debug, Default)]
pub struct Peers {
    /// How many active people it has.
    pub people: i64,
    /// Roles they hold and by how many, most held first.
    pub roles: Vec<(Uuid, i64)>,
}

impl Peers {
    /// (holders, people) for a role, when there are people to compare with.
    pub fn of(&self, role: Uuid) -> Option<(i64, i64)> {
        let held = self.roles.iter().find(|(id, _)| *id == role).map_or(0, |(_, holders)| *holders);
        (self.people > 1).then_some((held, self.people))
    }
}

impl Recent {
    /// The person as remembered, if that is not too long ago at `now`.
    pub fn person(&self, id: PersonId, now: DateTime<Utc>) -> Option<Arc<PersonSnapshot>> {
        self.lock().people.get(&id).filter(|snapshot| now - snapshot.fetched_at < PERSON_LASTS).cloned()
    }

    /// Remembers what the directory just said of a person.
    pub fn keep_person(&self, snapshot: Arc<PersonSnapshot>, now: DateTime<Utc>) {
        let mut kept = self.lock();
        if kept.people.len() >= KEPT {
            kept.people.retain(|_, snapshot| now - snapshot.fetched_at < PERSON_LASTS);
        }
        if kept.people.len() < KEPT {
            kept.people.insert(snapshot.person, snapshot);
        }
    }

    /// A department's habits as remembered, if that is not too long ago at `now`.
    pub fn peers(&self, department: &str, now: DateTime<Utc>) -> Option<Arc<Peers>> {
        self.lock().departments.get(department).filter(|(at, _)| now - *at < PEERS_LAST).map(|(_, peers)| peers.clone())
    }

    /// Remembers a department's habits.
    pub fn keep_peers(&self, department: String, peers: Arc<Peers>, now: DateTime<Utc>) {
        let mut kept = self.lock();
        if kept.departments.len() >= KEPT {
            kept.departments.clear();
        }
        kept.departments.insert(department, (now, peers));
    }

    /// Every role as remembered; `None` when the caller is to read it afresh. While one caller does, the others go on with what there is.
    pub fn shelf(&self, now: DateTime<Utc>) -> Option<Arc<Vec<ShelfRow>>> {
        let mut kept = self.lock();
        let (at, shelf) = kept.shelf.as_mut()?;
        if now - *at >= SHELF_LASTS {
            *at = now;
            return None;
        }
        Some(shelf.clone())
    }

    /// Remembers every role.
    pub fn keep_shelf(&self, shelf: Arc<Vec<ShelfRow>>, now: DateTime<Utc>) {
        self.lock().shelf = Some((now, shelf));
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_serves_lists_for_seconds_and_no_longer() {
        let recent = Recent::default();
        let at = DateTime::<Utc>::UNIX_EPOCH;
        let id = PersonId(Uuid::from_u128(1));
        let snapshot = PersonSnapshot {
            person: id,
            directory: "main".into(),
            reference: "1".into(),
            user_name: "a".into(),
            display_name: "A".into(),
            email: None,
            active: true,
            manager: None,
            attributes: Default::default(),
            groups: vec![],
            line: vec![],
            fetched_at: at,
        };
        recent.keep_person(Arc::new(snapshot), at);
        assert!(recent.person(id, at + TimeDelta::seconds(14)).is_some());
        assert!(recent.person(id, at + TimeDelta::seconds(15)).is_none());
        assert!(recent.person(PersonId(Uuid::from_u128(2)), at).is_none());
    }
}
