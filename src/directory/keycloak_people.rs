//! The people of a Keycloak realm, listed and searched.
//!
//! Pages are counted by place, so a list that changes while it is read is checked for what moved; and an account without view-users
//! sees empty lists, not errors, so what is listed is held against Keycloak's own count.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use chrono::TimeDelta;
use futures_util::future::try_join_all;
use serde_json::Value;

use crate::directory::cursor::Cursor;
use crate::directory::facts::{Page, PersonFacts, ReadError};
use crate::directory::http::encoded;
use crate::directory::keycloak::{GROUPS_ROLES, Keycloak, PEOPLE_ROLES};
use crate::directory::keycloak_answer::{no_id, rows};
use crate::directory::keycloak_groups::Memberships;
use crate::directory::keycloak_record::{self as record, Place, usable};

/// People a page.
const PAGE: usize = 100;
/// How often a listing that moves while it is read is taken up again.
const MOST_STEPS_BACK: usize = 100;
/// How long is believed which person a manager's name means.
const MANAGER_LASTS: TimeDelta = TimeDelta::minutes(10);
/// Most managers' names remembered.
const MOST_MANAGERS: usize = 20_000;

/// Where a listing of people stands.
#[derive(Debug, Default)]
struct Progress {
    first: usize,
    last: Option<String>,
    seen: HashSet<String>,
    steps_back: usize,
    total: Option<u64>,
    /// Groups and what they lie in.
    parents: HashMap<String, Place>,
    /// Who is in which group, where that is read at once.
    memberships: Option<Arc<Memberships>>,
}

impl Keycloak {
    /// See [`Directory::find_person`](crate::directory::port::Directory::find_person).
    pub async fn find_person(&self, attribute: &str, value: &str) -> Result<Option<PersonFacts>, ReadError> {
        if value.trim().is_empty() || value.len() > 512 || value.chars().any(char::is_control) {
            return Ok(None);
        }
        let key = match attribute {
            "userName" => "user_name",
            "mail" | "emails" => "email",
            "employeeNumber" => "employee_number",
            "externalId" => "external_id",
            other => other,
        };
        if key == "id" {
            return if usable(value) { self.person(value).await } else { Ok(None) };
        }
        let query = match key {
            "user_name" => Some(format!("username={}&exact=true", encoded(value))),
            "email" => Some(format!("email={}&exact=true", encoded(value))),
            _ => self.mapping().get(key).and_then(|theirs| {
                // Its little language has quotes, but no certain way to write one inside.
                let plain = |text: &str| !text.contains(['"', '\\', ':']) && text.trim() == text;
                (plain(theirs) && plain(value)).then(|| format!("q={}", encoded(&format!("\"{theirs}\":\"{value}\""))))
            }),
        };
        let hit = |row: &Value| record::person(row, self.mapping()).is_some_and(|(facts, _)| has(&facts, key, value));
        let hits = match query {
            // What does not match shows that the search was not understood: then everybody is looked at.
            Some(query) => match self.search(&query, &hit).await? {
                Some(hits) => hits,
                None => self.scan(&hit).await?,
            },
            None => self.scan(&hit).await?,
        };
        match hits.as_slice() {
            [] => Ok(None),
            [one] => self.person(one).await,
            _ => Err(ReadError::Several { attribute: attribute.to_owned(), value: value.to_owned() }),
        }
    }

    /// Ids of who matches `query`; `None` when rows came back that are no hit.
    async fn search(&self, query: &str, hit: &impl Fn(&Value) -> bool) -> Result<Option<Vec<String>>, ReadError> {
        let found = rows(&self.ask(&format!("/users?{query}&first=0&max={PAGE}&briefRepresentation=false")).await?, PEOPLE_ROLES)?;
        if found.len() >= PAGE || !found.iter().all(hit) {
            return Ok(None);
        }
        if found.is_empty() {
            self.sees_people().await?;
        }
        Ok(Some(found.iter().filter_map(record::id).map(str::to_owned).collect()))
    }

    async fn scan(&self, hit: &impl Fn(&Value) -> bool) -> Result<Vec<String>, ReadError> {
        let mut hits = Vec::new();
        let mut progress = Some(Progress::default());
        while let Some(mut at) = progress {
            let (found, more) = self.people_rows(&mut at).await?;
            hits.extend(found.iter().filter(|row| hit(row)).filter_map(record::id).map(str::to_owned));
            progress = more.then_some(at);
        }
        Ok(hits)
    }

    /// See [`Directory::people`](crate::directory::port::Directory::people).
    pub async fn people(&self, cursor: Option<Cursor>) -> Result<Page<PersonFacts, Cursor>, ReadError> {
        let mut at: Progress = cursor.map_or_else(|| Ok(Progress::default()), Cursor::open)?;
        if at.total.is_none() {
            let (people, groups) = (self.count("/users/count", PEOPLE_ROLES).await?, self.count("/groups/count", GROUPS_ROLES).await?);
            at.total = Some(people);
            // One question for each person, or a few for each group.
            if groups.saturating_mul(4) <= people {
                let all = self.memberships().await?;
                at.parents = all.places().iter().map(|place| (place.group.reference.clone(), place.clone())).collect();
                at.memberships = Some(Arc::new(all));
            }
        }
        let (found, more) = self.people_rows(&mut at).await?;
        let mut items = Vec::with_capacity(found.len());
        for some in found.chunks(self.at_once()) {
            let ids = some.iter().map(|row| record::id(row).ok_or_else(no_id)).collect::<Result<Vec<_>, _>>()?;
            let groups = match &at.memberships {
                Some(all) => ids.iter().map(|id| Some(all.of(id))).collect(),
                None => {
                    let mut questions = Vec::with_capacity(ids.len());
                    for id in &ids {
                        questions.push(self.direct_groups(id));
                    }
                    try_join_all(questions).await?
                }
            };
            for (row, direct) in some.iter().zip(groups) {
                // Who is gone since the page was read is no longer in the list.
                let Some(direct) = direct else { continue };
                let (mut facts, manager) = record::person(row, self.mapping()).ok_or_else(no_id)?;
                facts.groups = self.with_inherited(direct, &mut at.parents).await?;
                facts.manager = match manager {
                    Some(named) => self.remembered(&named).await?,
                    None => None,
                };
                items.push(facts);
            }
        }
        let total = at.total;
        Ok(Page { items, next: more.then(|| Cursor::of(at)), total })
    }

    /// The next rows of everybody, none twice, and whether there are more. Pages are counted by place, so whoever leaves while they
    /// are read moves all others: each page begins with the last row of the one before, and where that is not there, a page is read
    /// again.
    async fn people_rows(&self, at: &mut Progress) -> Result<(Vec<Value>, bool), ReadError> {
        if at.total.is_none() {
            at.total = Some(self.count("/users/count", PEOPLE_ROLES).await?);
        }
        let from = at.first.saturating_sub(usize::from(at.last.is_some()));
        let found = rows(&self.ask(&format!("/users?first={from}&max={PAGE}&briefRepresentation=false")).await?, PEOPLE_ROLES)?;
        let ids = found.iter().map(|row| record::id(row).map(str::to_owned).ok_or_else(no_id)).collect::<Result<Vec<_>, _>>()?;
        if at.last.is_some() && ids.first() != at.last.as_ref() {
            at.steps_back += 1;
            if at.steps_back > MOST_STEPS_BACK {
                return Err(ReadError::Malformed("its list of people changes faster than it can be read".into()));
            }
            at.first = from.saturating_sub(PAGE);
            at.last = None;
            return Ok((Vec::new(), true));
        }
        let full = ids.len() >= PAGE;
        at.first = from + ids.len();
        at.last = ids.last().cloned().or_else(|| at.last.take());
        let fresh = found.into_iter().zip(ids).filter_map(|(row, id)| at.seen.insert(id).then_some(row)).collect();
        if !full {
            // An account without view-users sees nobody, and is not told so.
            let told = at.total.unwrap_or_default().min(self.count("/users/count", PEOPLE_ROLES).await?);
            if (at.seen.len() as u64) < told {
                return Err(missing(at.seen.len(), told));
            }
        }
        Ok((fresh, full))
    }

    async fn sees_people(&self) -> Result<(), ReadError> {
        let some = rows(&self.ask("/users?first=0&max=1").await?, PEOPLE_ROLES)?;
        let told = self.count("/users/count", PEOPLE_ROLES).await?;
        if some.is_empty() && told > 0 { Err(missing(0, told)) } else { Ok(()) }
    }

    /// Whom a manager's name means, as found out within the last minutes: for listings, in which the same few come up again and again.
    async fn remembered(&self, named: &str) -> Result<Option<String>, ReadError> {
        let now = self.clock().now();
        let known = self.managers().get(named).filter(|(_, at)| now - *at < MANAGER_LASTS).map(|(whom, _)| whom.clone());
        if let Some(whom) = known {
            return Ok(whom);
        }
        let whom = self.named(named).await?;
        let mut managers = self.managers();
        if managers.len() >= MOST_MANAGERS {
            managers.clear();
        }
        managers.insert(named.to_owned(), (whom.clone(), now));
        Ok(whom)
    }

    /// Whom a manager's id, user name or address means; nobody when it means nobody or several.
    pub(super) async fn named(&self, named: &str) -> Result<Option<String>, ReadError> {
        if !usable(named) {
            return Ok(None);
        }
        if looks_like_an_id(named)
            && let Some(found) = self.user(named).await?
        {
            return Ok(record::id(&found).map(str::to_owned));
        }
        for (parameter, key) in [("username", "user_name"), ("email", "email")] {
            if key == "email" && !named.contains('@') {
                continue;
            }
            let path = format!("/users?{parameter}={}&exact=true&first=0&max=2&briefRepresentation=true", encoded(named));
            let found = rows(&self.ask(&path).await?, PEOPLE_ROLES)?;
            if let [one] = found.as_slice()
                && record::person(one, &BTreeMap::new()).is_some_and(|(facts, _)| has(&facts, key, named))
            {
                return Ok(record::id(one).map(str::to_owned));
            }
        }
        Ok(None)
    }
}

fn missing(listed: usize, told: u64) -> ReadError {
    let why = format!("it lists {listed} of {told} people; the service account needs {PEOPLE_ROLES} of realm-management");
    if listed == 0 { ReadError::Auth(why) } else { ReadError::Malformed(why) }
}

/// 8-4-4-4-12 hexadecimal digits, or the form of a federated user's id.
fn looks_like_an_id(text: &str) -> bool {
    text.starts_with("f:")
        || (text.len() == 36 && text.bytes().enumerate().all(|(n, c)| if [8, 13, 18, 23].contains(&n) { c == b'-' } else { c.is_ascii_hexdigit() }))
}

fn has(facts: &PersonFacts, key: &str, value: &str) -> bool {
    // Keycloak writes both in lower case.
    let alike = |theirs: &str| theirs.to_lowercase() == value.to_lowercase();
    match key {
        "user_name" => alike(&facts.user_name),
        "email" => facts.email.as_deref().is_some_and(alike),
        _ => facts.attributes.get(key).is_some_and(|all| all.iter().any(|theirs| theirs == value)),
    }
}
