//! Who is in which groups, for a whole directory.
//!
//! For services that tell a person's groups only one person at a time: their groups are read once, with members, and a listing of
//! people looks up here. Groups inside groups count, as a policy asks for inherited membership.

use std::collections::{HashMap, HashSet};

use crate::domain::person::GroupRef;

/// All memberships. Groups are numbered, so that a hundred thousand people in a few groups each take little room.
#[derive(Debug, Default)]
pub struct Memberships {
    numbers: HashMap<String, u32>,
    /// By number; `None` for a group that was mentioned and never named, such as one that is gone.
    names: Vec<Option<GroupRef>>,
    /// By number: the groups that this one is inside of.
    outer: Vec<Vec<u32>>,
    people: HashMap<String, Vec<u32>>,
}

impl Memberships {
    fn number(&mut self, group: &str) -> u32 {
        if let Some(number) = self.numbers.get(group) {
            return *number;
        }
        let number = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        self.numbers.insert(group.to_owned(), number);
        self.names.push(None);
        self.outer.push(Vec::new());
        number
    }

    fn at<T>(of: &mut [T], number: u32) -> Option<&mut T> {
        of.get_mut(usize::try_from(number).ok()?)
    }

    /// A group that there is.
    pub fn name(&mut self, group: GroupRef) {
        let number = self.number(&group.reference);
        if let Some(name) = Self::at(&mut self.names, number) {
            *name = Some(group);
        }
    }

    /// A group that is gone.
    pub fn forget(&mut self, group: &str) {
        let number = self.number(group);
        if let Some(name) = Self::at(&mut self.names, number) {
            *name = None;
        }
    }

    /// A person is in `group` directly. May be said twice.
    pub fn person(&mut self, group: &str, person: &str) {
        let number = self.number(group);
        self.people.entry(person.to_owned()).or_default().push(number);
    }

    /// The group `inner` is in `group` directly. May be said twice.
    pub fn nested(&mut self, group: &str, inner: &str) {
        let (number, inner) = (self.number(group), self.number(inner));
        if let Some(outer) = Self::at(&mut self.outer, inner) {
            outer.push(number);
        }
    }

    /// Neither a person nor a group `member` is in `group` any more.
    pub fn leave(&mut self, group: &str, member: &str) {
        let number = self.number(group);
        if let Some(groups) = self.people.get_mut(member) {
            groups.retain(|group| *group != number);
        }
        let inner = self.numbers.get(member).copied();
        if let Some(outer) = inner.and_then(|inner| Self::at(&mut self.outer, inner)) {
            outer.retain(|group| *group != number);
        }
    }

    /// The groups a person is in, directly or through groups inside them, each once.
    pub fn of(&self, person: &str) -> Vec<GroupRef> {
        let mut open = self.people.get(person).cloned().unwrap_or_default();
        let mut seen = HashSet::new();
        let mut found = Vec::new();
        while let Some(number) = open.pop() {
            let Some(at) = usize::try_from(number).ok().filter(|_| seen.insert(number)) else { continue };
            found.extend(self.names.get(at).cloned().flatten());
            open.extend(self.outer.get(at).into_iter().flatten());
        }
        found.sort_by(|a, b| (&a.name, &a.reference).cmp(&(&b.name, &b.reference)));
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(all: &mut Memberships, group: &str) {
        all.name(GroupRef { reference: group.into(), name: group.to_uppercase() });
    }

    fn of(all: &Memberships, person: &str) -> String {
        all.of(person).into_iter().map(|group| group.name).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_person_is_in_the_groups_around_theirs_once_each_even_in_a_circle() {
        let mut all = Memberships::default();
        all.nested("b", "a");
        all.nested("c", "b");
        all.nested("a", "c");
        all.person("a", "ann");
        all.person("a", "ann");
        all.person("gone", "ann");
        all.person("c", "bea");
        ["a", "b", "c"].into_iter().for_each(|group| named(&mut all, group));
        assert_eq!((of(&all, "ann"), of(&all, "bea"), of(&all, "cy")), ("A B C".into(), "A B C".into(), String::new()));
    }

    #[test]
    fn who_left_and_what_is_gone_does_not_count() {
        let mut all = Memberships::default();
        ["a", "b"].into_iter().for_each(|group| named(&mut all, group));
        all.person("a", "ann");
        all.nested("b", "a");
        all.leave("a", "nobody");
        assert_eq!(of(&all, "ann"), "A B");
        all.leave("b", "a");
        assert_eq!(of(&all, "ann"), "A");
        all.forget("a");
        assert_eq!(of(&all, "ann"), "");
        named(&mut all, "a");
        all.leave("a", "ann");
        assert_eq!(of(&all, "ann"), "");
    }
}
