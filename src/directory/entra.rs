//! Microsoft Entra ID, through Microsoft Graph v1.0.
//!
//! Only object ids get into paths, next links are followed as they come and only on Graph's own origin, and a member is asked for where
//! the person is (`memberOf`, direct), which is one call however large the group. Changes are in
//! [`entra_change`](crate::directory::entra_change), what changed since in [`entra_delta`](crate::directory::entra_delta).

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use reqwest::{Method, Url};
use serde_json::{Value, json};

use crate::clock::Clock;
use crate::directory::cursor::Cursor;
use crate::directory::entra_answer::{Rows, checked, is_missing, rows};
use crate::directory::entra_record::{self as record, GROUP_FIELDS, Kind, MANAGER};
use crate::directory::entra_settings::{GRAPH, Settings};
use crate::directory::facts::{GroupFacts, GroupListed, Page, PersonFacts, ReadError};
use crate::directory::http::{self, Answer, Call, Headroom, Http, is_loopback};
use crate::directory::memberships::Memberships;
use crate::directory::outcome::unasked;
use crate::directory::pace::Pace;
use crate::domain::person::GroupRef;

/// Most rows Graph gives at once.
pub(super) const TOP: &str = "$top=999";
/// The header of an advanced query; it has to come with every page.
const EVENTUAL: [(&str, &str); 1] = [("ConsistencyLevel", "eventual")];
/// The permission to read people.
pub(super) const READ_PEOPLE: &str = "User.Read.All";
/// The permission to read groups and who is in them.
pub(super) const READ_GROUPS: &str = "GroupMember.Read.All";

/// A connected tenant. Cloning shares connections and tokens.
#[derive(Clone, Debug)]
pub struct Entra(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    http: Http,
    origin: Url,
    /// What Graph calls itself, in the addresses of objects in bodies.
    objects: String,
    attributes: BTreeMap<String, String>,
    select: String,
}

/// Where a listing stands.
#[derive(Debug)]
pub(super) struct Walk {
    to: String,
    headers: &'static [(&'static str, &'static str)],
    refusable: bool,
    links: HashSet<String>,
    seen: HashSet<String>,
    memberships: Option<Arc<Memberships>>,
}

impl Walk {
    pub(super) fn from(to: String) -> Self {
        Self { to, headers: &[], refusable: false, links: HashSet::new(), seen: HashSet::new(), memberships: None }
    }

    fn of(cursor: Option<Cursor>, first: impl FnOnce() -> String) -> Result<Self, ReadError> {
        cursor.map_or_else(|| Ok(Self::from(first())), Cursor::open)
    }

    /// An advanced query, which lags a little behind.
    pub(super) fn advanced(to: String) -> Self {
        Self { headers: &EVENTUAL, ..Self::from(to) }
    }

    /// A search that Graph may refuse (400): that reads as no list.
    pub(super) fn refusable(self) -> Self {
        Self { refusable: true, ..self }
    }
}

pub(super) fn not_told() -> ReadError {
    ReadError::Malformed("a record has no object id".into())
}

/// Refuses what no caller may ask for.
pub(super) fn usable(id: &str) -> Result<(), ReadError> {
    if id.trim().is_empty() || id.chars().any(char::is_control) { Err(ReadError::Refused("the id is empty or not an id".into())) } else { Ok(()) }
}

impl Entra {
    /// Prepares the connection; nothing is sent yet.
    ///
    /// # Errors
    /// A sentence on the setting that is wrong.
    pub fn new(settings: &Settings, clock: Clock) -> Result<Self, String> {
        let base = format!("{}/v1.0", settings.reach.base.trim_end_matches('/'));
        let origin = Url::parse(&base).map_err(|e| format!("Graph's address {:?} is not a URL: {e}.", settings.reach.base))?;
        let reach = http::Settings { base: base.clone(), credentials: settings.credentials()?, media: "application/json", ..settings.reach.clone() };
        Ok(Self(Arc::new(Inner {
            http: Http::new(&reach, clock)?,
            objects: format!("{}/directoryObjects", if is_loopback(&origin) { format!("{GRAPH}/v1.0") } else { base }),
            origin,
            attributes: settings.attributes.clone(),
            select: settings.select()?,
        })))
    }

    pub(super) fn http(&self) -> &Http {
        &self.0.http
    }

    /// The address of an object as bodies write it.
    pub(super) fn object(&self, id: &str) -> String {
        format!("{}/{id}", self.0.objects)
    }

    pub(super) fn attributes(&self) -> &BTreeMap<String, String> {
        &self.0.attributes
    }

    /// Properties of a user that are asked for.
    pub(super) fn user_select(&self) -> &str {
        &self.0.select
    }

    /// Whether a link leads to Graph itself; others would be shown the token.
    pub(super) fn is_ours(&self, link: &str) -> bool {
        let origin = &self.0.origin;
        Url::parse(link)
            .is_ok_and(|url| url.origin() == origin.origin() && url.path().starts_with("/v1.0/") && url.username().is_empty() && url.password().is_none())
    }

    pub(super) async fn exchange(&self, to: &str, headers: &[(&'static str, &str)]) -> Result<Answer, ReadError> {
        self.0.http.call(Call { method: &Method::GET, to, body: None, headers }).await.map_err(unasked)
    }

    /// A record by its path; `None` only when Graph itself says there is none, or that this is no id.
    async fn record(&self, path: &str, needs: &str) -> Result<Option<Value>, ReadError> {
        let answer = self.exchange(path, &[]).await?;
        if is_missing(&answer) {
            return Ok(None);
        }
        match checked(answer, needs)?.json() {
            Some(found @ Value::Object(_)) => Ok(Some(found)),
            _ => Err(ReadError::Malformed("it is not JSON".into())),
        }
    }

    /// One page and where it goes on. `None` when Graph says at the first page that there is no such list. Rows with an id come once.
    pub(super) async fn page(&self, mut walk: Walk, needs: &str) -> Result<Option<(Rows, Option<Walk>)>, ReadError> {
        let answer = self.exchange(&walk.to, walk.headers).await?;
        let is_refused = walk.refusable && answer.status == 400;
        if (is_missing(&answer) || is_refused) && walk.links.is_empty() {
            return Ok(None);
        }
        let mut page = rows(&checked(answer, needs)?)?;
        page.rows.retain(|row| record::id(row).is_none_or(|id| walk.seen.insert(id.to_owned())));
        let next = match page.next.clone() {
            None => None,
            Some(link) => {
                // An empty page with a link is legal; a link that comes twice would go on for ever.
                if !self.is_ours(&link) {
                    return Err(ReadError::Malformed("the next page lies at another address, which is not to see our token".into()));
                }
                if !walk.links.insert(link.clone()) {
                    return Err(ReadError::Malformed("its list goes round in circles".into()));
                }
                walk.to = link;
                Some(walk)
            }
        };
        Ok(Some((page, next)))
    }

    /// Every row; `None` when there is no such list.
    pub(super) async fn all(&self, path: String, needs: &str) -> Result<Option<Vec<Value>>, ReadError> {
        let mut found = Vec::new();
        let mut open = Some(Walk::from(path));
        while let Some(walk) = open {
            let Some((page, next)) = self.page(walk, needs).await? else { return Ok(None) };
            found.extend(page.rows);
            open = next;
        }
        Ok(Some(found))
    }

    /// See [`Directory::person`](crate::directory::port::Directory::person). Groups count groups around them.
    pub async fn person(&self, reference: &str) -> Result<Option<PersonFacts>, ReadError> {
        usable(reference)?;
        if !record::is_id(reference) {
            return Ok(None);
        }
        let path = format!("/users/{reference}?$select={}&$expand={MANAGER}", self.0.select);
        let groups = self.all(format!("/users/{reference}/transitiveMemberOf?$select=id,displayName&{TOP}"), READ_GROUPS);
        let (found, groups) = tokio::join!(self.record(&path, READ_PEOPLE), groups);
        let Some(found) = found? else { return Ok(None) };
        let mut facts = record::person(&found, &self.0.attributes)?;
        if !facts.reference.eq_ignore_ascii_case(reference) {
            return Err(ReadError::Malformed("it sent another record than the one asked for".into()));
        }
        // A replica that does not know the person yet must not look like "in no group".
        for row in groups?.ok_or_else(|| ReadError::Unreachable("it knows the person, but not their groups yet".into()))? {
            if record::member(&row)?.1 == Kind::Group {
                facts.groups.push(record::group_ref(&row).ok_or_else(not_told)?);
            }
        }
        Ok(Some(facts))
    }

    /// See [`Directory::people`](crate::directory::port::Directory::people). Groups come from one reading of all groups, as `$expand`
    /// cuts a person's groups off at twenty.
    pub async fn people(&self, cursor: Option<Cursor>) -> Result<Page<PersonFacts, Cursor>, ReadError> {
        let walk = Walk::of(cursor, || format!("/users?$select={}&$expand={MANAGER}&{TOP}", self.0.select))?;
        let memberships = match &walk.memberships {
            Some(known) => known.clone(),
            None => Arc::new(self.memberships().await?),
        };
        let (page, next) = self.page(walk, READ_PEOPLE).await?.ok_or_else(no_list)?;
        let mut items = Vec::with_capacity(page.rows.len());
        for row in &page.rows {
            let mut facts = record::person(row, &self.0.attributes)?;
            facts.groups = memberships.of(&facts.reference);
            items.push(facts);
        }
        Ok(Page { items, next: next.map(|next| Cursor::of(Walk { memberships: Some(memberships), ..next })), total: None })
    }

    /// See [`Directory::groups`](crate::directory::port::Directory::groups).
    pub async fn groups(&self, cursor: Option<Cursor>) -> Result<Page<GroupListed, Cursor>, ReadError> {
        let walk = Walk::of(cursor, || format!("/groups?$select={GROUP_FIELDS}&{TOP}"))?;
        let (page, next) = self.page(walk, READ_GROUPS).await?.ok_or_else(no_list)?;
        let items = page.rows.iter().map(|row| record::listed(row).ok_or_else(not_told)).collect::<Result<_, _>>()?;
        Ok(Page { items, next: next.map(Cursor::of), total: None })
    }

    /// Whether there is such a person.
    pub(super) async fn is_known(&self, person: &str) -> Result<bool, ReadError> {
        Ok(self.record(&format!("/users/{person}?$select=id"), READ_PEOPLE).await?.is_some())
    }

    /// A group without members; `None` when there is none.
    pub(super) async fn group_record(&self, reference: &str) -> Result<Option<Value>, ReadError> {
        usable(reference)?;
        if !record::is_id(reference) {
            return Ok(None);
        }
        let found = self.record(&format!("/groups/{reference}?$select={GROUP_FIELDS}"), READ_GROUPS).await?;
        match found {
            Some(found) if !record::id(&found).is_some_and(|id| id.eq_ignore_ascii_case(reference)) => {
                Err(ReadError::Malformed("it sent another record than the one asked for".into()))
            }
            found => Ok(found),
        }
    }

    /// See [`Directory::group`](crate::directory::port::Directory::group).
    pub async fn group(&self, reference: &str) -> Result<Option<GroupFacts>, ReadError> {
        let Some(found) = self.group_record(reference).await? else { return Ok(None) };
        let GroupRef { reference, name } = record::group_ref(&found).ok_or_else(not_told)?;
        let Some(rows) = self.all(format!("/groups/{reference}/members?$select=id&{TOP}"), READ_GROUPS).await? else { return Ok(None) };
        let mut facts = GroupFacts { reference, name, members: Vec::new(), nested: Vec::new(), read_only: record::read_only(&found) };
        for row in &rows {
            match record::member(row)? {
                (id, Kind::User) => facts.members.push(id.to_owned()),
                (id, Kind::Group) => facts.nested.push(id.to_owned()),
                (_, Kind::Other) => {}
            }
        }
        Ok(Some(facts))
    }

    /// See [`Directory::is_member`](crate::directory::port::Directory::is_member).
    pub async fn is_member(&self, group: &str, person: &str) -> Result<bool, ReadError> {
        usable(group).and(usable(person))?;
        if !record::is_id(group) || !record::is_id(person) {
            return Ok(false);
        }
        let mut open = Some(Walk::from(format!("/users/{person}/memberOf?$select=id&{TOP}")));
        while let Some(walk) = open {
            let Some((page, next)) = self.page(walk, READ_GROUPS).await? else { return Ok(false) };
            if page.rows.iter().filter_map(record::id).any(|id| id.eq_ignore_ascii_case(group)) {
                return Ok(true);
            }
            open = next;
        }
        Ok(false)
    }

    /// See [`Directory::members_inherited`](crate::directory::port::Directory::members_inherited): Graph walks the groups itself.
    pub async fn members_inherited(&self, group: &str) -> Result<Option<Vec<String>>, ReadError> {
        usable(group)?;
        if !record::is_id(group) {
            return Ok(None);
        }
        let Some(rows) = self.all(format!("/groups/{group}/transitiveMembers?$select=id&{TOP}"), READ_GROUPS).await? else { return Ok(None) };
        let mut people = Vec::new();
        for row in &rows {
            if let (id, Kind::User) = record::member(row)? {
                people.push(id.to_owned());
            }
        }
        Ok(Some(people))
    }

    /// See [`Directory::is_member_inherited`](crate::directory::port::Directory::is_member_inherited): one call (`checkMemberGroups`).
    pub async fn is_member_inherited(&self, group: &str, person: &str) -> Result<bool, ReadError> {
        usable(group).and(usable(person))?;
        if !record::is_id(group) || !record::is_id(person) {
            return Ok(false);
        }
        let (to, body) = (format!("/users/{person}/checkMemberGroups"), json!({"groupIds": [group]}));
        let call = Call { method: &Method::POST, to: &to, body: Some(&body), headers: &[] };
        let answer = self.0.http.call(call).await.map_err(unasked)?;
        if is_missing(&answer) {
            return Ok(false);
        }
        let Rows { rows, .. } = rows(&checked(answer, READ_GROUPS)?)?;
        Ok(rows.iter().filter_map(Value::as_str).any(|id| id.eq_ignore_ascii_case(group)))
    }

    /// The turns in which it is called.
    pub fn pace(&self) -> Option<&Pace> {
        Some(self.0.http.pace())
    }

    /// See [`Directory::headroom`](crate::directory::port::Directory::headroom). Graph only tells when 80 % is used, as a share and not as calls.
    pub fn headroom(&self) -> Option<Headroom> {
        self.0.http.headroom()
    }
}

fn no_list() -> ReadError {
    ReadError::Malformed("it says there is no such list; is its address right?".into())
}
