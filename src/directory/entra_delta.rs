//! What changed in a Microsoft Entra tenant (delta queries).
//!
//! A delta is asked for people and for groups with their members. It may repeat itself and lag; what it names is read anew by whoever
//! asks. Its tokens are good for seven days.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::directory::entra::{Entra, READ_GROUPS, READ_PEOPLE};
use crate::directory::entra_answer::{Rows, checked, is_missing, is_stale, rows};
use crate::directory::entra_record::{self as record, Kind};
use crate::directory::facts::{Changes, ReadError};
use crate::directory::memberships::Memberships;

/// Where counting stands; kept as text by whoever asks.
#[derive(Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
struct Since {
    /// Where people go on.
    people: String,
    /// Where groups go on.
    groups: String,
    /// More people can be had right now.
    more_people: bool,
    /// More groups can be had right now.
    more_groups: bool,
}

/// A page of a delta.
struct Step {
    rows: Vec<Value>,
    link: String,
    more: bool,
}

impl Entra {
    /// See [`Directory::changes`](crate::directory::port::Directory::changes).
    pub async fn changes(&self, since: Option<&str>) -> Result<Option<Changes>, ReadError> {
        let Some(since) = since else {
            let from_now = |path: String| async move { self.step(&format!("{path}&$deltatoken=latest")).await };
            let (people, groups) = tokio::try_join!(from_now(self.people_delta()), from_now(groups_delta()))?;
            return Ok(Some(summed(people, groups)?));
        };
        // What cannot be read was not written by this version, or by nobody: begin anew.
        let Ok(since) = serde_json::from_str::<Since>(since) else { return Err(ReadError::Expired) };
        if !self.is_ours(&since.people) || !self.is_ours(&since.groups) {
            return Err(ReadError::Expired);
        }
        // In the middle of a round only what is not at its end; at the beginning of one both.
        let both = since.more_people == since.more_groups;
        let next = |wanted: bool, link: String| async move { if wanted { self.step(&link).await } else { Ok(Step { rows: Vec::new(), link, more: false }) } };
        let (people, groups) = tokio::try_join!(next(both || since.more_people, since.people), next(both || since.more_groups, since.groups))?;
        Ok(Some(summed(people, groups)?))
    }

    fn people_delta(&self) -> String {
        format!("/users/delta?$select={},manager", self.user_select())
    }

    async fn step(&self, to: &str) -> Result<Step, ReadError> {
        let answer = self.exchange(to, &[]).await?;
        if is_stale(&answer) {
            return Err(ReadError::Expired);
        }
        let needs = if to.contains("/users/") { READ_PEOPLE } else { READ_GROUPS };
        let Rows { rows, next, delta, .. } = rows(&checked(answer, needs)?)?;
        let more = next.is_some();
        let link = next.or(delta).ok_or_else(|| ReadError::Malformed("a list of changes has no end".into()))?;
        // The end may be where it was; a page that leads to itself has none.
        if !self.is_ours(&link) || (more && link == to) {
            return Err(ReadError::Malformed("a list of changes goes on where it cannot".into()));
        }
        Ok(Step { rows, link, more })
    }

    /// Who is in which group, from the first round of the groups' delta: the one listing that brings members along.
    pub(super) async fn memberships(&self) -> Result<Memberships, ReadError> {
        let mut all = Memberships::default();
        let mut to = groups_delta();
        loop {
            let answer = self.exchange(&to, &[]).await?;
            if is_missing(&answer) || is_stale(&answer) {
                return Err(ReadError::Malformed("its list of groups went stale while it was read".into()));
            }
            let page = rows(&checked(answer, READ_GROUPS)?)?;
            for row in &page.rows {
                keep(&mut all, row)?;
            }
            match (page.next, page.delta) {
                (Some(link), _) if self.is_ours(&link) && link != to => to = link,
                (None, Some(_)) => return Ok(all),
                _ => return Err(ReadError::Malformed("its list of groups does not come to an end".into())),
            }
        }
    }
}

/// Members come with the group, a few at a time: a large group is in many pages.
fn groups_delta() -> String {
    "/groups/delta?$select=id,displayName,members".to_owned()
}

fn members(row: &Value) -> impl Iterator<Item = &Value> {
    row["members@delta"].as_array().into_iter().flatten()
}

fn keep(all: &mut Memberships, row: &Value) -> Result<(), ReadError> {
    let group = record::group_ref(row).ok_or_else(|| ReadError::Malformed("a group has no object id".into()))?;
    let reference = group.reference.clone();
    if !row["@removed"].is_null() {
        all.forget(&reference);
        return Ok(());
    }
    // Where a group is told once more, it may be without its name.
    if row["displayName"].is_string() {
        all.name(group);
    }
    for entry in members(row) {
        match record::member(entry)? {
            (id, _) if !entry["@removed"].is_null() => all.leave(&reference, id),
            (id, Kind::User) => all.person(&reference, id),
            (id, Kind::Group) => all.nested(&reference, id),
            (_, Kind::Other) => {}
        }
    }
    Ok(())
}

/// The references in two pages, and where to go on.
fn summed(people: Step, groups: Step) -> Result<Changes, ReadError> {
    let unclear = || ReadError::Malformed("a change names nobody".into());
    let mut found = Changes { people: Vec::new(), groups: Vec::new(), next: String::new(), more: people.more || groups.more };
    for row in &people.rows {
        found.people.push(record::id(row).ok_or_else(unclear)?.to_owned());
    }
    for row in &groups.rows {
        found.groups.push(record::id(row).ok_or_else(unclear)?.to_owned());
        for entry in members(row) {
            // Whoever came or went has other groups now. A removed entry may come without its kind.
            if record::member(entry).map_or(true, |(_, kind)| kind == Kind::User) {
                found.people.push(record::id(entry).ok_or_else(unclear)?.to_owned());
            }
        }
    }
    let since = Since { people: people.link, groups: groups.link, more_people: people.more, more_groups: groups.more };
    found.next = serde_json::to_string(&since).map_err(|_| unclear())?;
    Ok(found)
}
