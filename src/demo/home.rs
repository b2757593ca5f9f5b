//! The directory's own page: people, groups, changes out of band.
//!
//! Here a newcomer plays the administrator of the identity provider: disables somebody, or changes a membership behind
//! Countersign's back, and watches it react.

use std::collections::BTreeSet;
use std::sync::Arc;

use askama::Template;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;

use super::page::{self, Parameters};
use super::register::Directory;
use super::site::Site;

/// Most people shown at once; the search finds the others.
const PEOPLE: usize = 100;
/// Most groups shown at once.
const GROUPS: usize = 50;
/// Most members shown of one group.
const MEMBERS: usize = 50;

#[derive(Template)]
#[template(path = "demo/home.html")]
struct Home<'a> {
    company: &'a str,
    issuer: &'a str,
    scim_base: &'a str,
    words: &'a str,
    people: Vec<PersonRow>,
    people_found: usize,
    groups: Vec<GroupCard<'a>>,
    groups_found: usize,
}

struct PersonRow {
    id: String,
    name: String,
    user_name: String,
    title: String,
    department: String,
    manager: String,
    marks: Vec<&'static str>,
    active: bool,
}

struct GroupCard<'a> {
    id: String,
    name: &'a str,
    about: &'a str,
    members: Vec<Row>,
    size: usize,
}

struct Row {
    id: String,
    name: String,
    active: bool,
}

/// `GET /?q=…`
pub async fn show(State(site): State<Arc<Site>>, RawQuery(query): RawQuery) -> Response {
    let parameters = Parameters::read(query.unwrap_or_default().as_bytes()).unwrap_or_default();
    let words = parameters.get("q").unwrap_or_default();
    let directory = site.register.read();
    let found: Vec<usize> = directory.matching(words).collect();
    let lower = words.trim().to_lowercase();
    // Groups that are called so, and groups of the people who were found.
    let people: BTreeSet<usize> = found.iter().copied().collect();
    let shown: Vec<usize> = (0..directory.groups.len())
        .filter(|at| {
            let circle = &directory.groups[*at];
            lower.is_empty() || circle.group.name.contains(&lower) || !circle.members.is_disjoint(&people)
        })
        .collect();
    let page = Home {
        company: &directory.company,
        issuer: &site.issuer,
        scim_base: &site.scim_base,
        words,
        people: found.iter().take(PEOPLE).map(|at| person_row(&directory, *at)).collect(),
        people_found: found.len(),
        groups: shown.iter().take(GROUPS).map(|at| group_card(&directory, *at)).collect(),
        groups_found: shown.len(),
    };
    page::html(StatusCode::OK, &page, "")
}

fn person_row(directory: &Directory, at: usize) -> PersonRow {
    let person = &directory.people[at].person;
    PersonRow {
        id: person.id.to_string(),
        name: person.name.clone(),
        user_name: person.user_name.clone(),
        title: person.title.clone(),
        department: person.department.clone(),
        manager: person.manager.map(|above| directory.people[above].person.name.clone()).unwrap_or_default(),
        marks: directory.marks(at),
        active: person.active,
    }
}

fn group_card(directory: &Directory, at: usize) -> GroupCard<'_> {
    let circle = &directory.groups[at];
    let member = |at: &usize| {
        let person = &directory.people[*at].person;
        Row { id: person.id.to_string(), name: person.name.clone(), active: person.active }
    };
    GroupCard {
        id: circle.group.id.to_string(),
        name: &circle.group.name,
        about: &circle.group.about,
        members: circle.members.iter().take(MEMBERS).map(member).collect(),
        size: circle.members.len(),
    }
}

/// `POST /people/{id}` with `active=true` or `active=false`: enables or disables somebody.
pub async fn change_person(State(site): State<Arc<Site>>, Path(id): Path<String>, headers: HeaderMap, body: Bytes) -> Response {
    let change = |directory: &mut Directory, form: &Parameters| {
        let at = directory.person(&id).ok_or("There is no such person.")?;
        let active = match form.get("active") {
            Some("true") => true,
            Some("false") => false,
            _ => return Err("The form must say active=true or active=false."),
        };
        Ok((directory.set_active(at, active, site.clock.now()), format!("/#p-{id}")))
    };
    act(&site, &headers, &body, change)
}

/// `POST /groups/{id}` with `add=user_name` or `remove=id of a person`: changes a membership behind Countersign's back.
pub async fn change_group(State(site): State<Arc<Site>>, Path(id): Path<String>, headers: HeaderMap, body: Bytes) -> Response {
    let change = |directory: &mut Directory, form: &Parameters| {
        let at = directory.group(&id).ok_or("There is no such group.")?;
        let (person, joins) = match (form.get("add"), form.get("remove")) {
            (Some(name), None) => (directory.person_named(name.trim()), true),
            (None, Some(person)) => (directory.person(person), false),
            _ => return Err("Type the user name of somebody to add, for example bo.lind."),
        };
        let one = BTreeSet::from([person.ok_or("Nobody of that user name works here.")?]);
        let nobody = BTreeSet::new();
        let (add, remove) = if joins { (&one, &nobody) } else { (&nobody, &one) };
        Ok((directory.change_members(at, add, remove, site.clock.now()), format!("/#g-{id}")))
    };
    act(&site, &headers, &body, change)
}

/// Does a change that one of our own pages sent, and shows the directory again.
fn act(site: &Site, headers: &HeaderMap, body: &[u8], change: impl FnOnce(&mut Directory, &Parameters) -> Result<(bool, String), &'static str>) -> Response {
    let company = site.register.read().company.clone();
    if !page::is_same_origin(headers) {
        return page::problem(StatusCode::FORBIDDEN, &company, "Not from here", "This form was sent by another site, so nothing was done.");
    }
    let Ok(form) = Parameters::read(body) else {
        return page::problem(StatusCode::BAD_REQUEST, &company, "Not understood", "A field is there twice. Nothing was changed.");
    };
    let done = change(&mut site.register.write(), &form);
    match done {
        Ok((changed, place)) => {
            if changed {
                site.register.changed.notify_one();
            }
            page::see_other(&place)
        }
        Err(why) => page::problem(StatusCode::BAD_REQUEST, &company, "Nothing was changed", why),
    }
}
