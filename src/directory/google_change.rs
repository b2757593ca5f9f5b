//! Memberships in a Google Workspace changed, one person each.
//!
//! Added is who is known here, by id: an address could name somebody outside. Nothing ever writes over a membership that there is, which
//! would make an owner a plain member.

use reqwest::Method;
use serde_json::json;

use crate::clock;
use crate::directory::facts::WriteResult;
use crate::directory::google::{Google, MEMBERS, TooFast, usable};
use crate::directory::google_answer::{denied, is_missing, reason};
use crate::directory::google_record::is_id;
use crate::directory::http::Answer;
use crate::directory::outcome::{lost, unread};

impl Google {
    /// See [`Directory::add`](crate::directory::port::Directory::add).
    pub async fn add(&self, group: &str, person: &str) -> WriteResult {
        if !is_id(group) || !is_id(person) {
            return nobody(group);
        }
        // Whoever is not in this Workspace would be added as somebody from outside.
        match self.person_record(person).await {
            Ok(Some(_)) => {}
            Ok(None) => return WriteResult::NotFoundUser,
            Err(error) => return unread_before(error),
        }
        let body = json!({"id": person, "role": "MEMBER"});
        let answer = match self.call(&Method::POST, &format!("/groups/{group}/members"), Some(&body)).await {
            Ok(answer) => answer,
            Err(failure) => return failed(failure),
        };
        match (answer.status, reason(&answer).as_str()) {
            // Also an owner's or manager's answer; their role stays.
            (409, "duplicate") => WriteResult::AlreadyInState,
            _ => self.what_became(&answer, group, person, true).await,
        }
    }

    /// See [`Directory::remove`](crate::directory::port::Directory::remove).
    pub async fn remove(&self, group: &str, person: &str) -> WriteResult {
        if !is_id(group) || !is_id(person) {
            return nobody(group);
        }
        match self.call(&Method::DELETE, &format!("/groups/{group}/members/{person}"), None).await {
            Ok(answer) => self.what_became(&answer, group, person, false).await,
            Err(failure) => failed(failure),
        }
    }

    /// What an answer means. What can mean several things is decided by looking, never by its text.
    async fn what_became(&self, answer: &Answer, group: &str, person: &str, wanted: bool) -> WriteResult {
        match answer.status {
            200..=299 => WriteResult::Changed,
            400 | 409 => self.decide(answer, group, person, wanted).await,
            404 if is_missing(answer) => self.decide(answer, group, person, wanted).await,
            404 => WriteResult::Unknown("it answered 404 in a way Google does not; is its address right?".into()),
            401 => WriteResult::Auth("it does not accept the token".into()),
            403 => WriteResult::Auth(denied(answer, MEMBERS)),
            // "User creation is not complete."
            412 => WriteResult::Transient("it is not done with making the person".into()),
            500..=599 => WriteResult::Ambiguous(format!("it failed with {}", answer.status)),
            status => WriteResult::Unknown(format!("it answered {status} {}", reason(answer)).trim_end().to_owned()),
        }
    }

    /// The group may be gone, the person, or only the membership; or Google lags behind itself.
    async fn decide(&self, answer: &Answer, group: &str, person: &str, wanted: bool) -> WriteResult {
        match self.group_record(group).await {
            Ok(Some(_)) => {}
            Ok(None) => return WriteResult::NotFoundGroup,
            Err(error) => return unread(error),
        }
        match self.person_record(person).await {
            Ok(Some(_)) => {}
            Ok(None) => return WriteResult::NotFoundUser,
            Err(error) => return unread(error),
        }
        match self.is_member(group, person).await {
            Ok(is_member) if is_member == wanted => WriteResult::AlreadyInState,
            Ok(_) if answer.status == 404 => WriteResult::Transient("it knows the person and the group, but not everywhere yet".into()),
            Ok(_) if answer.status == 409 => WriteResult::Transient("somebody else changed the group at the same time".into()),
            Ok(_) => WriteResult::Unknown(format!("it answered {} {}", answer.status, reason(answer)).trim_end().to_owned()),
            Err(error) => unread(error),
        }
    }

    /// A sentence on whether members may be changed, found out by taking a made-up person from a made-up group.
    pub(super) async fn try_to_change(&self) -> String {
        let made_up = clock::new_id();
        match self.call(&Method::DELETE, &format!("/groups/{made_up}/members/{made_up}"), None).await {
            Ok(answer) if answer.status == 403 => format!("Cannot change members (DELETE /groups/ID/members/ID): {}.", denied(&answer, MEMBERS)),
            Ok(answer) if is_missing(&answer) || answer.status == 400 => "May change members of groups.".into(),
            Ok(answer) => format!("It is not certain whether members can be changed: Google answered {}.", answer.status),
            Err(_) => "It is not certain whether members can be changed: Google gave no answer.".into(),
        }
    }
}

/// What is not an id is nothing that Google knows by one.
fn nobody(group: &str) -> WriteResult {
    if usable(group).is_ok() && is_id(group) { WriteResult::NotFoundUser } else { WriteResult::NotFoundGroup }
}

fn failed(failure: TooFast) -> WriteResult {
    match failure {
        TooFast::Wait(retry_after) => WriteResult::RateLimited { retry_after },
        TooFast::Failed(failure) => lost(failure),
    }
}

/// Nothing was changed yet.
fn unread_before(error: crate::directory::facts::ReadError) -> WriteResult {
    match unread(error) {
        WriteResult::Ambiguous(why) => WriteResult::Transient(why),
        other => other,
    }
}
