//! Memberships in a Microsoft Entra tenant changed, one person each.
//!
//! The address that removes a member from a group becomes, without its last segment, the one that deletes the person from the tenant. So
//! it is written in one place, whole, from two object ids; nothing else in this connector deletes.

use reqwest::Method;
use serde_json::json;

use crate::directory::entra::{Entra, READ_GROUPS, usable};
use crate::directory::entra_answer::{code, denied, is_missing};
use crate::directory::entra_record::{self as record, is_id};
use crate::directory::facts::WriteResult;
use crate::directory::http::{Answer, Call};
use crate::directory::outcome::{lost, unread};

/// The permission that changing members takes.
pub(super) const WRITE: &str = "GroupMember.ReadWrite.All";

/// The address of one membership; `None` unless both are object ids. It always ends in `/$ref`.
fn membership(group: &str, person: &str) -> Option<String> {
    (is_id(group) && is_id(person)).then(|| format!("/groups/{group}/members/{person}/$ref"))
}

/// The address of all memberships of a group; `None` unless it is an object id.
fn memberships(group: &str) -> Option<String> {
    is_id(group).then(|| format!("/groups/{group}/members/$ref"))
}

impl Entra {
    /// See [`Directory::add`](crate::directory::port::Directory::add).
    pub async fn add(&self, group: &str, person: &str) -> WriteResult {
        let (Some(to), true) = (memberships(group), is_id(person)) else { return nobody(group) };
        let body = json!({"@odata.id": self.object(person)});
        match self.http().call(Call { method: &Method::POST, to: &to, body: Some(&body), headers: &[] }).await {
            Ok(answer) => self.what_became(&answer, group, person, true).await,
            Err(failure) => lost(failure),
        }
    }

    /// See [`Directory::remove`](crate::directory::port::Directory::remove).
    pub async fn remove(&self, group: &str, person: &str) -> WriteResult {
        let Some(to) = membership(group, person) else { return nobody(group) };
        match self.http().call(Call { method: &Method::DELETE, to: &to, body: None, headers: &[] }).await {
            Ok(answer) => self.what_became(&answer, group, person, false).await,
            Err(failure) => lost(failure),
        }
    }

    /// What an answer means. Codes that can mean several things are decided by looking, never by their text.
    async fn what_became(&self, answer: &Answer, group: &str, person: &str, wanted: bool) -> WriteResult {
        match answer.status {
            200..=299 => WriteResult::Changed,
            400 | 404 if answer.status == 400 || is_missing(answer) => self.decide(answer, group, person, wanted).await,
            403 => match self.why_not(group).await {
                Some(why) => WriteResult::GroupNotWritable(why),
                None => WriteResult::Auth(denied(answer, WRITE)),
            },
            401 => WriteResult::Auth("it does not accept the token".into()),
            404 => WriteResult::Unknown("it answered 404 in a way Graph does not; is its address right?".into()),
            429 => WriteResult::RateLimited { retry_after: answer.wait() },
            409 | 412 | 423 => WriteResult::Transient("somebody else changed the group at the same time".into()),
            500..=599 => WriteResult::Ambiguous(format!("it failed with {}", answer.status)),
            status => WriteResult::Unknown(format!("it answered {status}")),
        }
    }

    /// A 400 or a 404: is there nothing to change, is the group or the person not there, can the group not be changed, or does a replica
    /// lag behind?
    async fn decide(&self, answer: &Answer, group: &str, person: &str, wanted: bool) -> WriteResult {
        let found = match self.group_record(group).await {
            Ok(Some(found)) => found,
            Ok(None) => return WriteResult::NotFoundGroup,
            Err(error) => return unread(error),
        };
        match self.is_known(person).await {
            Ok(true) => {}
            Ok(false) => return WriteResult::NotFoundUser,
            Err(error) => return unread(error),
        }
        match self.is_member(group, person).await {
            Ok(is_member) if is_member == wanted => return WriteResult::AlreadyInState,
            Ok(_) => {}
            Err(error) => return unread(error),
        }
        match record::read_only(&found).or_else(|| record::needs_more(&found)) {
            Some(why) => WriteResult::GroupNotWritable(why),
            None if answer.status == 404 => WriteResult::Transient("it knows the person and the group, but not everywhere yet".into()),
            None => WriteResult::Unknown(format!("it answered {} {}", answer.status, code(answer)).trim_end().to_owned()),
        }
    }

    /// Why this group cannot be changed, if the group itself is the reason.
    async fn why_not(&self, group: &str) -> Option<String> {
        let found = self.group_record(group).await.ok().flatten()?;
        record::read_only(&found).or_else(|| record::needs_more(&found))
    }

    /// A sentence on whether members may be changed, found out by adding a made-up person to a made-up group.
    pub(super) async fn try_to_change(&self, made_up: &str) -> String {
        let Some(to) = memberships(made_up) else { return String::new() };
        let body = json!({"@odata.id": self.object(made_up)});
        match self.http().call(Call { method: &Method::POST, to: &to, body: Some(&body), headers: &[] }).await {
            Ok(answer) if answer.status == 403 => format!("Cannot change members (POST /groups/ID/members/$ref): {}.", denied(&answer, WRITE)),
            Ok(answer) if is_missing(&answer) || answer.status == 400 => "May change members of groups.".into(),
            Ok(answer) => format!("It is not certain whether members can be changed: Graph answered {}. {READ_GROUPS} alone is not enough.", answer.status),
            Err(failure) => format!("It is not certain whether members can be changed: {failure}."),
        }
    }
}

/// What is not an object id is nothing that Entra knows.
fn nobody(group: &str) -> WriteResult {
    if usable(group).is_ok() && is_id(group) { WriteResult::NotFoundUser } else { WriteResult::NotFoundGroup }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const G: &str = "aaaaaaaa-0000-4000-8000-000000000001";
    const U: &str = "11111111-1111-4111-8111-111111111111";

    #[test]
    fn the_one_address_that_deletes_ends_in_ref() {
        assert_eq!(membership(G, U).as_deref(), Some("/groups/aaaaaaaa-0000-4000-8000-000000000001/members/11111111-1111-4111-8111-111111111111/$ref"));
        let files = [include_str!("entra_change.rs"), include_str!("entra.rs"), include_str!("entra_delta.rs"), include_str!("entra_find.rs")];
        let code = files.map(|file| file.split("#[cfg(test)]").next().unwrap_or_default()).concat();
        assert_eq!(code.matches("DELETE").count(), 1, "one place deletes");
        assert!(code.contains(
            "let Some(to) = membership(group, person) else { return nobody(group) };\n        match self.http().call(Call { method: &Method::DELETE, to: &to,"
        ));
        assert_eq!(code.matches("/$ref\"))").count(), 2, "one address for adding, one for removing");
    }

    proptest! {
        #[test]
        fn nothing_but_two_object_ids_makes_an_address_that_deletes(group in "\\PC{0,60}", person in "\\PC{0,60}") {
            if let Some(to) = membership(&group, &person) {
                prop_assert!(to.ends_with("/$ref") && to.matches('/').count() == 5 && to.len() == 91);
            }
        }

        #[test]
        fn an_id_with_anything_added_makes_none(more in "[/?#%.$ \\\\a-z]{1,12}") {
            for bad in [format!("{U}{more}"), format!("{more}{U}"), format!("{}{more}", &U[..36 - more.len()])] {
                if !is_id(&bad) {
                    prop_assert!(membership(G, &bad).is_none() && membership(&bad, U).is_none() && memberships(&bad).is_none());
                }
                prop_assert!(!is_id(&bad) || bad.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-'));
            }
        }
    }
}
