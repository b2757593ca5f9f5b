//! The living directory: the company, indexed, and changing.
//!
//! Everything is in memory behind one lock that is never held across an `await`. People and groups are known by their
//! index, which never changes; memberships are kept from both sides, so that reading one person and changing one
//! membership cost the same in a company of thirty and of ten thousand.

use std::collections::{BTreeSet, HashMap};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use chrono::{DateTime, Utc};
use tokio::sync::Notify;
use uuid::Uuid;

use super::company::{ADMINISTRATORS, AUDITORS, Company, Group, Person};

/// Index of a person in [`Directory::people`].
pub type PersonAt = usize;
/// Index of a group in [`Directory::groups`].
pub type GroupAt = usize;

/// The directory behind its lock.
#[derive(Debug)]
pub struct Register {
    directory: RwLock<Directory>,
    /// Woken after each change; whoever keeps the state on disk waits for it.
    pub changed: Notify,
}

/// One person as they are now.
#[derive(Debug)]
pub struct Member {
    /// Everything that came with the company; `active` is as it is now.
    pub person: Person,
    /// The groups they are in.
    pub groups: BTreeSet<GroupAt>,
    /// How many people name them as manager.
    pub reports: usize,
    /// Differs after every change of the person or of their groups.
    pub version: u64,
    /// When an attribute last changed (a membership is the group's change).
    pub modified: DateTime<Utc>,
    /// Differs from the company file.
    pub touched: bool,
}

/// One group as it is now.
#[derive(Debug)]
pub struct Circle {
    /// Name, id and the members it began with.
    pub group: Group,
    /// The members now.
    pub members: BTreeSet<PersonAt>,
    /// Differs after every change.
    pub version: u64,
    /// When a membership last changed.
    pub modified: DateTime<Utc>,
    /// Changed since the company file was read.
    pub touched: bool,
}

/// People, groups and the ways to find them.
#[derive(Debug)]
pub struct Directory {
    /// What the company is called.
    pub company: String,
    /// When everybody was created.
    pub since: DateTime<Utc>,
    /// Everybody.
    pub people: Vec<Member>,
    /// Every group.
    pub groups: Vec<Circle>,
    version: u64,
    person_by_id: HashMap<Uuid, PersonAt>,
    person_by_user_name: HashMap<String, PersonAt>,
    person_by_email: HashMap<String, PersonAt>,
    group_by_id: HashMap<Uuid, GroupAt>,
    group_by_name: HashMap<String, GroupAt>,
    administrators: Option<GroupAt>,
    auditors: Option<GroupAt>,
}

impl Register {
    /// A register that starts with `company` at `now`.
    pub fn new(company: Company, now: DateTime<Utc>) -> Self {
        Self { directory: RwLock::new(Directory::new(company, now)), changed: Notify::new() }
    }

    /// The directory, for looking.
    pub fn read(&self) -> RwLockReadGuard<'_, Directory> {
        self.directory.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The directory, for one change; call [`Register::changed`]`.notify_one()` after it.
    pub fn write(&self) -> RwLockWriteGuard<'_, Directory> {
        self.directory.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Directory {
    fn new(company: Company, now: DateTime<Utc>) -> Self {
        // Versions go on from the time of the start, so that one is never used again for something else after a restart.
        let version = u64::try_from(now.timestamp_micros()).unwrap_or_default();
        let mut groups_of = vec![BTreeSet::new(); company.people.len()];
        let mut reports = vec![0; company.people.len()];
        for (at, group) in company.groups.iter().enumerate() {
            group.members.iter().for_each(|person| _ = groups_of[*person].insert(at));
        }
        company.people.iter().filter_map(|person| person.manager).for_each(|above| reports[above] += 1);
        let by = |key: fn(&Person) -> String| company.people.iter().enumerate().map(|(at, person)| (key(person), at)).collect();
        let group_by_name: HashMap<_, _> = company.groups.iter().enumerate().map(|(at, group)| (group.name.to_lowercase(), at)).collect();
        Self {
            version,
            person_by_id: company.people.iter().enumerate().map(|(at, person)| (person.id, at)).collect(),
            person_by_user_name: by(|person| person.user_name.to_lowercase()),
            person_by_email: by(|person| person.email.to_lowercase()),
            group_by_id: company.groups.iter().enumerate().map(|(at, group)| (group.id, at)).collect(),
            administrators: group_by_name.get(ADMINISTRATORS).copied(),
            auditors: group_by_name.get(AUDITORS).copied(),
            group_by_name,
            people: company
                .people
                .into_iter()
                .zip(groups_of)
                .zip(reports)
                .map(|((person, groups), reports)| Member { person, groups, reports, version, modified: company.since, touched: false })
                .collect(),
            groups: company
                .groups
                .into_iter()
                .map(|group| Circle { members: group.members.iter().copied().collect(), group, version, modified: company.since, touched: false })
                .collect(),
            company: company.name,
            since: company.since,
        }
    }

    /// The person with this SCIM id.
    pub fn person(&self, id: &str) -> Option<PersonAt> {
        self.person_by_id.get(&exact(id)?).copied()
    }

    /// The person who signs in as this, in upper or lower case.
    pub fn person_named(&self, user_name: &str) -> Option<PersonAt> {
        self.person_by_user_name.get(&user_name.to_lowercase()).copied()
    }

    /// The person with this work address, in upper or lower case.
    pub fn person_mailed(&self, email: &str) -> Option<PersonAt> {
        self.person_by_email.get(&email.to_lowercase()).copied()
    }

    /// The group with this SCIM id.
    pub fn group(&self, id: &str) -> Option<GroupAt> {
        self.group_by_id.get(&exact(id)?).copied()
    }

    /// The group of this name, in upper or lower case.
    pub fn group_named(&self, name: &str) -> Option<GroupAt> {
        self.group_by_name.get(&name.to_lowercase()).copied()
    }

    /// Words that help a newcomer to choose whom to be: `administrator`, `auditor`, `manager`, `contractor`.
    pub fn marks(&self, at: PersonAt) -> Vec<&'static str> {
        let member = &self.people[at];
        let is_in = |group: Option<GroupAt>| group.is_some_and(|group| member.groups.contains(&group));
        [
            ("administrator", is_in(self.administrators)),
            ("auditor", is_in(self.auditors)),
            ("manager", member.reports > 0),
            ("contractor", member.person.employment == "contractor"),
        ]
        .into_iter()
        .filter_map(|(mark, holds)| holds.then_some(mark))
        .collect()
    }

    /// People whose name, user name, title or department contains `words`, ignoring case; everybody for an empty string.
    pub fn matching(&self, words: &str) -> impl Iterator<Item = PersonAt> {
        let words = words.trim().to_lowercase();
        self.people.iter().enumerate().filter_map(move |(at, member)| {
            let person = &member.person;
            let fields = [&person.name, &person.user_name, &person.title, &person.department];
            (words.is_empty() || fields.iter().any(|field| field.to_lowercase().contains(&words))).then_some(at)
        })
    }

    /// Disables or enables a person. False: they already were.
    pub fn set_active(&mut self, at: PersonAt, active: bool, now: DateTime<Utc>) -> bool {
        if self.people[at].person.active == active {
            return false;
        }
        self.version += 1;
        let member = &mut self.people[at];
        member.person.active = active;
        member.version = self.version;
        member.modified = now;
        member.touched = true;
        true
    }

    /// Adds and removes members of a group in one step. False: the group already was as asked.
    pub fn change_members(&mut self, at: GroupAt, add: &BTreeSet<PersonAt>, remove: &BTreeSet<PersonAt>, now: DateTime<Utc>) -> bool {
        let members = &self.groups[at].members;
        let coming: Vec<PersonAt> = add.difference(members).copied().collect();
        let going: Vec<PersonAt> = remove.iter().filter(|person| members.contains(person) && !add.contains(person)).copied().collect();
        if coming.is_empty() && going.is_empty() {
            return false;
        }
        self.version += 1;
        for person in coming {
            self.groups[at].members.insert(person);
            self.people[person].groups.insert(at);
            self.people[person].version = self.version;
        }
        for person in going {
            self.groups[at].members.remove(&person);
            self.people[person].groups.remove(&at);
            self.people[person].version = self.version;
        }
        let group = &mut self.groups[at];
        group.version = self.version;
        group.modified = now;
        group.touched = true;
        true
    }
}

/// Ids are case-exact (RFC 7643 §3.1), so a UUID counts only as it was handed out: lower case, with hyphens.
fn exact(id: &str) -> Option<Uuid> {
    let parsed = Uuid::try_parse(id).ok()?;
    let mut buffer = Uuid::encode_buffer();
    (parsed.hyphenated().encode_lower(&mut buffer) == id).then_some(parsed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    #[test]
    fn a_membership_is_seen_from_both_sides_and_a_repeated_change_changes_nothing() {
        let clock = Clock::system();
        let register = Register::new(Company::embedded().unwrap(), clock.now());
        let mut directory = register.write();
        let bo = directory.person_named("BO.LIND").unwrap();
        let readers = directory.group_named("orders-db-readers").unwrap();
        let (bo_only, nobody) = (BTreeSet::from([bo]), BTreeSet::new());
        let before = (directory.people[bo].version, directory.groups[readers].version);

        assert!(directory.change_members(readers, &bo_only, &nobody, clock.now()));
        assert!(directory.groups[readers].members.contains(&bo));
        assert!(directory.people[bo].groups.contains(&readers));
        let added = (directory.people[bo].version, directory.groups[readers].version);
        assert!(added.0 > before.0 && added.1 > before.1);

        assert!(!directory.change_members(readers, &bo_only, &nobody, clock.now()));
        assert_eq!((directory.people[bo].version, directory.groups[readers].version), added);

        assert!(directory.change_members(readers, &nobody, &bo_only, clock.now()));
        assert!(!directory.people[bo].groups.contains(&readers));
        assert!(!directory.change_members(readers, &nobody, &bo_only, clock.now()));
    }

    #[test]
    fn marks_say_who_administers_audits_and_manages() {
        let register = Register::new(Company::embedded().unwrap(), Clock::system().now());
        let directory = register.read();
        let marks = |name: &str| directory.marks(directory.person_named(name).unwrap());
        assert_eq!(marks("sofia.marin"), ["administrator"]);
        assert_eq!(marks("wei.zhang"), ["auditor"]);
        assert_eq!(marks("mara.voss"), ["manager"]);
        assert_eq!(marks("elif.aydin"), ["contractor"]);
        assert!(marks("bo.lind").is_empty());
    }
}
