//! A group as a SCIM Group resource (RFC 7643 §4.2).

use serde::Serialize;

use super::filter::{Filter, Held, Kind, Subject, required};
use super::register::{Directory, GroupAt, PersonAt};
use super::scim_answer::GROUP;
use super::scim_user::{Meta, Place, Reference};

/// A group, borrowed from the directory, ready to be written as JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GroupView<'a> {
    schemas: [&'static str; 1],
    id: uuid::Uuid,
    display_name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    members: Option<Vec<Reference<'a>>>,
    meta: Meta<'a>,
}

/// The group at `at`, with or without its members; `base` is the address of the service.
pub fn view<'a>(directory: &'a Directory, at: GroupAt, base: &'a str, with_members: bool) -> GroupView<'a> {
    let circle = &directory.groups[at];
    let group = &circle.group;
    let reference = |at: &PersonAt| {
        let person = &directory.people[*at].person;
        Reference { value: person.id, place: Place { base, kind: "Users", id: person.id }, display: &person.name, kind: "User" }
    };
    GroupView {
        schemas: [GROUP],
        id: group.id,
        display_name: &group.name,
        members: with_members.then(|| circle.members.iter().map(reference).collect()),
        meta: Meta::new("Group", directory.since, circle.modified, Place { base, kind: "Groups", id: group.id }, circle.version),
    }
}

/// A group a filter can be asked about.
pub struct GroupSubject<'a>(pub &'a Directory, pub GroupAt);

impl Subject for GroupSubject<'_> {
    fn kind(attribute: &str) -> Option<Kind> {
        Some(match attribute {
            "id" | "members.value" => Kind::Exact,
            "displayname" | "members.display" | "members.type" => Kind::Text,
            "meta.created" | "meta.lastmodified" => Kind::Time,
            _ => return None,
        })
    }

    fn any(&self, attribute: &str, test: &mut dyn FnMut(Held<'_>) -> bool) -> bool {
        let Self(directory, at) = *self;
        let circle = &directory.groups[at];
        match attribute {
            "id" => test(Held::Id(circle.group.id)),
            "displayname" => test(Held::Text(&circle.group.name)),
            "meta.created" => test(Held::Time(directory.since)),
            "meta.lastmodified" => test(Held::Time(circle.modified)),
            member => circle.members.iter().any(|person| MemberSubject(directory, *person).any(member, test)),
        }
    }

    fn has(&self, attribute: &str, value: &str) -> Option<bool> {
        let members = &self.0.groups[self.1].members;
        (attribute == "members.value").then(|| self.0.person(value).is_some_and(|person| members.contains(&person)))
    }
}

/// One member of a group, which the filter in a path such as `members[value eq "…"]` is asked about.
pub struct MemberSubject<'a>(pub &'a Directory, pub PersonAt);

impl Subject for MemberSubject<'_> {
    fn kind(attribute: &str) -> Option<Kind> {
        match attribute.strip_prefix("members.").unwrap_or(attribute) {
            "value" => Some(Kind::Exact),
            "display" | "type" => Some(Kind::Text),
            _ => None,
        }
    }

    fn any(&self, attribute: &str, test: &mut dyn FnMut(Held<'_>) -> bool) -> bool {
        let person = &self.0.people[self.1].person;
        match attribute.strip_prefix("members.").unwrap_or(attribute) {
            "value" => test(Held::Id(person.id)),
            "display" => test(Held::Text(&person.name)),
            "type" => test(Held::Text("User")),
            _ => false,
        }
    }
}

/// The only groups the filter can hold for, where an index knows them; `None`: every group has to be asked.
pub fn candidates(directory: &Directory, filter: &Filter) -> Option<Vec<GroupAt>> {
    let one = |found: Option<GroupAt>| found.into_iter().collect();
    if let Some(id) = required(filter, "id") {
        return Some(one(directory.group(id)));
    }
    if let Some(name) = required(filter, "displayname") {
        return Some(one(directory.group_named(name)));
    }
    let person = directory.person(required(filter, "members.value")?);
    Some(person.map(|at| directory.people[at].groups.iter().copied().collect()).unwrap_or_default())
}
