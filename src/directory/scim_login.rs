//! SCIM services whose groups list logins where ids belong.
//!
//! RFC 7643 §4.2 wants a member's `value` to be an id. Some services write the login there, and in `$ref` too, and answer to
//! `/Users/LOGIN` with the record of that person. Only who is found to do so is read that way.

use std::collections::HashSet;

use crate::directory::facts::ReadError;
use crate::directory::http::encoded;
use crate::directory::scim::{Scim, VERDICT_LASTS};
use crate::directory::scim_answer::{checked, json};
use crate::directory::scim_record::{self as record, Member, usable};

/// How many members are looked at to find out.
const SAMPLE: usize = 3;

impl Scim {
    /// What the list calls the person, if it has them.
    pub(super) async fn listed_as(&self, members: &[Member], person: &str) -> Result<Option<String>, ReadError> {
        if let Some(member) = members.iter().find(|m| !m.is_group && (m.value == person || m.reference == person)) {
            return Ok(Some(member.value.clone()));
        }
        if !self.lists_logins(members, person).await? {
            return Ok(None);
        }
        let Some(login) = self.login(person).await? else { return Ok(None) };
        Ok(members.iter().find(|m| !m.is_group && m.value == login).map(|m| m.value.clone()))
    }

    /// The person's login, fresh; none when there is no such person.
    pub(super) async fn login(&self, person: &str) -> Result<Option<String>, ReadError> {
        let Some(found) = self.resource("Users", person).await? else { return Ok(None) };
        Ok(record::get_text(&found, "userName").map(str::to_owned))
    }

    /// Whether the service lists logins, tried once in a while with members of a list. Nothing is asked of lists that hold what looks
    /// like `id`, one of its ids.
    pub(super) async fn lists_logins(&self, members: &[Member], id: &str) -> Result<bool, ReadError> {
        let odd: Vec<&Member> =
            members.iter().filter(|member| !member.is_group && usable(&member.value) && shape(&member.value) != shape(id)).take(SAMPLE).collect();
        if odd.is_empty() {
            return Ok(false);
        }
        let mut verdict = self.logins_listed().lock().await;
        let now = self.clock().now();
        if let Some((does, tried)) = *verdict
            && now - tried < VERDICT_LASTS
        {
            return Ok(does);
        }
        for member in odd {
            // A member who is not there tells nothing.
            if let Some(id) = self.id_behind(&member.value).await? {
                let does = id != member.value;
                *verdict = Some((does, now));
                return Ok(does);
            }
        }
        Ok(false)
    }

    /// What was last found out, without asking.
    pub(super) async fn logins_are_listed_for_all(&self) -> bool {
        self.logins_listed().lock().await.is_some_and(|(does, _)| does)
    }

    /// Replaces logins among the references of members by ids. Who is not found stays as listed. `group`: the id of theirs.
    pub(super) async fn by_id(&self, group: &str, references: &mut Vec<String>) -> Result<(), ReadError> {
        let as_members: Vec<Member> =
            references.iter().take(SAMPLE).map(|reference| Member { value: reference.clone(), reference: reference.clone(), is_group: false }).collect();
        if !self.lists_logins(&as_members, group).await? {
            return Ok(());
        }
        let mut seen = HashSet::new();
        let mut by_id = Vec::with_capacity(references.len());
        for reference in references.drain(..) {
            let id = if usable(&reference) { self.id_behind(&reference).await? } else { None };
            let id = id.unwrap_or(reference);
            if seen.insert(id.clone()) {
                by_id.push(id);
            }
        }
        *references = by_id;
        Ok(())
    }

    /// The id of the person whom the service shows under this id or login; none when it shows nobody, or somebody else.
    async fn id_behind(&self, name: &str) -> Result<Option<String>, ReadError> {
        let answer = self.exchange(&format!("/Users/{}", encoded(name))).await?;
        if answer.status == 404 {
            return Ok(None);
        }
        let found = json(&checked(answer)?)?;
        let id = record::id(&found);
        let same = id == Some(name) || record::get_text(&found, "userName") == Some(name);
        Ok(id.filter(|_| same).map(str::to_owned))
    }
}

/// What an id looks like: that of a UUID, or letters and digits in runs.
fn shape(id: &str) -> String {
    let is_uuid = id.len() == 36 && id.bytes().enumerate().all(|(n, c)| if [8, 13, 18, 23].contains(&n) { c == b'-' } else { c.is_ascii_hexdigit() });
    if is_uuid {
        return "uuid".into();
    }
    let mut shape = String::new();
    for c in id.chars() {
        let class = if c.is_ascii_digit() {
            '0'
        } else if c.is_alphabetic() {
            'a'
        } else {
            c
        };
        if !shape.ends_with(class) {
            shape.push(class);
        }
    }
    shape
}

#[cfg(test)]
mod tests {
    use super::shape;

    #[test]
    fn ids_of_one_kind_look_alike_and_logins_look_otherwise() {
        let uuids = ["e722a483-1583-42c8-8b04-af71e5a052f9", "00000000-1583-42c8-8b04-AF71e5a052f9"];
        assert_eq!(shape(uuids[0]), shape(uuids[1]));
        assert_eq!((shape("u-1"), shape("12")), (shape("u-1234"), shape("7")));
        for login in ["alice", "bo.lind", "ann@x.org", "u1"] {
            assert!(shape(login) != shape(uuids[0]) && shape(login) != shape("17"), "{login}");
        }
    }
}
