//! A person as SCIM User resource (RFC 7643 §4.1, §4.3).

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Serialize, Serializer};

use super::filter::{Filter, Held, Kind, Subject, required};
use super::register::{Directory, PersonAt};
use super::scim_answer::{ENTERPRISE, USER, written_version};

/// The address of a resource, written only when it is sent.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    /// `http://…/scim/v2`
    pub base: &'a str,
    /// `Users` or `Groups`
    pub kind: &'static str,
    /// The resource.
    pub id: uuid::Uuid,
}

impl Serialize for Place<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{}/{}/{}", self.base, self.kind, self.id))
    }
}

/// `meta` of a resource (RFC 7643 §3.1).
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Meta<'a> {
    resource_type: &'static str,
    created: String,
    last_modified: String,
    location: Place<'a>,
    version: String,
}

impl<'a> Meta<'a> {
    /// The `meta` of a resource of this kind, made at `created`.
    pub fn new(resource_type: &'static str, created: DateTime<Utc>, modified: DateTime<Utc>, location: Place<'a>, version: u64) -> Self {
        let written = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Micros, true);
        Self { resource_type, created: written(created), last_modified: written(modified), location, version: written_version(version) }
    }
}

/// One member of a multi-valued reference: `members` of a group, `groups` of a user.
#[derive(Serialize)]
pub struct Reference<'a> {
    /// The id.
    pub value: uuid::Uuid,
    /// Its address.
    #[serde(rename = "$ref")]
    pub place: Place<'a>,
    /// What to show.
    pub display: &'a str,
    /// `User`, or `direct` for a group somebody is in.
    #[serde(rename = "type")]
    pub kind: &'static str,
}

/// A person, borrowed from the directory, ready to be written as JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UserView<'a> {
    schemas: [&'static str; 2],
    id: uuid::Uuid,
    user_name: &'a str,
    name: Name<'a>,
    display_name: &'a str,
    title: &'a str,
    user_type: &'a str,
    active: bool,
    emails: [Email<'a>; 1],
    addresses: [Address<'a>; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    groups: Option<Vec<Reference<'a>>>,
    #[serde(rename = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User")]
    enterprise: Enterprise<'a>,
    meta: Meta<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Name<'a> {
    formatted: &'a str,
    given_name: &'a str,
    family_name: &'a str,
}

#[derive(Serialize)]
struct Email<'a> {
    value: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    primary: bool,
}

#[derive(Serialize)]
struct Address<'a> {
    locality: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Enterprise<'a> {
    employee_number: &'a str,
    cost_center: &'a str,
    department: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    manager: Option<Manager<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Manager<'a> {
    value: uuid::Uuid,
    #[serde(rename = "$ref")]
    place: Place<'a>,
    display_name: &'a str,
}

/// The person at `at`, with or without the groups they are in; `base` is the address of the service.
pub fn view<'a>(directory: &'a Directory, at: PersonAt, base: &'a str, with_groups: bool) -> UserView<'a> {
    let member = &directory.people[at];
    let person = &member.person;
    let place = |kind, id| Place { base, kind, id };
    UserView {
        schemas: [USER, ENTERPRISE],
        id: person.id,
        user_name: &person.user_name,
        name: Name { formatted: &person.name, given_name: &person.given, family_name: &person.family },
        display_name: &person.name,
        title: &person.title,
        user_type: &person.employment,
        active: person.active,
        emails: [Email { value: &person.email, kind: "work", primary: true }],
        addresses: [Address { locality: &person.locality, kind: "work" }],
        groups: with_groups.then(|| {
            let reference = |at: &usize| {
                let group = &directory.groups[*at].group;
                Reference { value: group.id, place: place("Groups", group.id), display: &group.name, kind: "direct" }
            };
            member.groups.iter().map(reference).collect()
        }),
        enterprise: Enterprise {
            employee_number: &person.number,
            cost_center: &person.cost_center,
            department: &person.department,
            manager: person.manager.map(|above| {
                let above = &directory.people[above].person;
                Manager { value: above.id, place: place("Users", above.id), display_name: &above.name }
            }),
        },
        meta: Meta::new("User", directory.since, member.modified, place("Users", person.id), member.version),
    }
}

/// A person a filter can be asked about.
pub struct UserSubject<'a>(pub &'a Directory, pub PersonAt);

impl Subject for UserSubject<'_> {
    fn kind(attribute: &str) -> Option<Kind> {
        Some(match attribute {
            "id" | "employeenumber" | "manager.value" | "groups.value" => Kind::Exact,
            "username"
            | "displayname"
            | "name.formatted"
            | "name.givenname"
            | "name.familyname"
            | "title"
            | "usertype"
            | "emails.value"
            | "emails.type"
            | "addresses.locality"
            | "department"
            | "costcenter"
            | "manager.displayname"
            | "groups.display" => Kind::Text,
            "active" | "emails.primary" => Kind::Truth,
            "meta.created" | "meta.lastmodified" => Kind::Time,
            _ => return None,
        })
    }

    fn any(&self, attribute: &str, test: &mut dyn FnMut(Held<'_>) -> bool) -> bool {
        let Self(directory, at) = *self;
        let member = &directory.people[at];
        let person = &member.person;
        let above = || person.manager.map(|above| &directory.people[above].person);
        let text = match attribute {
            "id" => return test(Held::Id(person.id)),
            "manager.value" => return above().is_some_and(|above| test(Held::Id(above.id))),
            "manager.displayname" => {
                return above().is_some_and(|above| test(Held::Text(&above.name)));
            }
            "groups.value" => {
                return member.groups.iter().any(|at| test(Held::Id(directory.groups[*at].group.id)));
            }
            "groups.display" => {
                return member.groups.iter().any(|at| test(Held::Text(&directory.groups[*at].group.name)));
            }
            "active" => return test(Held::Truth(person.active)),
            "emails.primary" => return test(Held::Truth(true)),
            "meta.created" => return test(Held::Time(directory.since)),
            "meta.lastmodified" => return test(Held::Time(member.modified)),
            "username" => &person.user_name,
            "displayname" | "name.formatted" => &person.name,
            "name.givenname" => &person.given,
            "name.familyname" => &person.family,
            "title" => &person.title,
            "usertype" => &person.employment,
            "emails.value" => &person.email,
            "emails.type" => "work",
            "addresses.locality" => &person.locality,
            "department" => &person.department,
            "costcenter" => &person.cost_center,
            "employeenumber" => &person.number,
            _ => return false,
        };
        test(Held::Text(text))
    }
}

/// The only people the filter can hold for, where an index knows them; `None`: everybody has to be asked.
pub fn candidates(directory: &Directory, filter: &Filter) -> Option<Vec<PersonAt>> {
    let one = |found: Option<PersonAt>| found.into_iter().collect();
    if let Some(id) = required(filter, "id") {
        return Some(one(directory.person(id)));
    }
    if let Some(name) = required(filter, "username") {
        return Some(one(directory.person_named(name)));
    }
    if let Some(email) = required(filter, "emails.value") {
        return Some(one(directory.person_mailed(email)));
    }
    let group = directory.group(required(filter, "groups.value")?);
    Some(group.map(|at| directory.groups[at].members.iter().copied().collect()).unwrap_or_default())
}
