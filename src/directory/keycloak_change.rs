//! Memberships in a Keycloak realm changed, one person each.
//!
//! Keycloak answers 204 to changes that change nothing: current releases to a removal from a group that somebody is only in by way of a
//! group inside it (and write an event about it), older ones to an addition to such a group. So what is there is read first, and after
//! an addition that could have been such a one.

use reqwest::Method;

use crate::directory::facts::WriteResult;
use crate::directory::http::{Answer, encoded};
use crate::directory::keycloak::Keycloak;
use crate::directory::keycloak_answer::{is_own_404, lost, not_tried};
use crate::directory::keycloak_record::usable;

impl Keycloak {
    /// See [`Directory::add`](crate::directory::port::Directory::add).
    pub async fn add(&self, group: &str, person: &str) -> WriteResult {
        self.change(group, person, true).await
    }

    /// See [`Directory::remove`](crate::directory::port::Directory::remove).
    pub async fn remove(&self, group: &str, person: &str) -> WriteResult {
        self.change(group, person, false).await
    }

    async fn change(&self, group: &str, person: &str, wanted: bool) -> WriteResult {
        match (usable(group), usable(person)) {
            (true, true) => {}
            (false, _) => return WriteResult::NotFoundGroup,
            (true, false) => return WriteResult::NotFoundUser,
        }
        let direct = match self.direct_groups(person).await {
            Ok(Some(direct)) => direct,
            Ok(None) => return WriteResult::NotFoundUser,
            Err(error) => return not_tried(error),
        };
        let is = direct.iter().any(|place| place.group.reference == group);
        if is == wanted {
            // Nobody is in a group that is not there.
            return if wanted { WriteResult::AlreadyInState } else { self.if_there(group, WriteResult::AlreadyInState).await };
        }
        let method = if wanted { Method::PUT } else { Method::DELETE };
        let answer = match self.send(method, &format!("/users/{}/groups/{}", encoded(person), encoded(group))).await {
            Ok(answer) => answer,
            Err(failure) => return lost(failure),
        };
        match answer.status {
            200..=299 if wanted && direct.iter().any(|place| place.parent.is_some()) => match self.is_member(group, person).await {
                Ok(false) => WriteResult::GroupNotWritable(
                    "this release of Keycloak adds nobody to a group who is in a group inside it already; it needs a newer one".into(),
                ),
                // What was accepted is claimed; whoever called reads it back.
                Ok(true) | Err(_) => WriteResult::Changed,
            },
            200..=299 => WriteResult::Changed,
            404 if is_own_404(&answer) => self.what_is_missing(group, person).await,
            // Also what a group gets that is kept elsewhere and only read here; in doubt, what is there decides.
            400 => match self.is_member(group, person).await {
                Ok(now) if now == wanted => WriteResult::Changed,
                Ok(_) => WriteResult::GroupNotWritable("it refuses the change; the group may come from a user federation that is only read".into()),
                Err(error) => not_tried(error),
            },
            _ => refusal(&answer),
        }
    }

    async fn if_there(&self, group: &str, then: WriteResult) -> WriteResult {
        match self.group_record(group).await {
            Ok(Some(_)) => then,
            Ok(None) => WriteResult::NotFoundGroup,
            Err(error) => not_tried(error),
        }
    }

    /// A 404 to a change: is it the group or the person that is not there?
    async fn what_is_missing(&self, group: &str, person: &str) -> WriteResult {
        match self.if_there(group, WriteResult::NotFoundUser).await {
            WriteResult::NotFoundUser => match self.user(person).await {
                Ok(None) => WriteResult::NotFoundUser,
                Ok(Some(_)) => WriteResult::Unknown("it answered 404, although person and group are there".into()),
                Err(error) => not_tried(error),
            },
            other => other,
        }
    }
}

/// What a status that is no success means for a change.
fn refusal(answer: &Answer) -> WriteResult {
    match answer.status {
        429 => WriteResult::RateLimited { retry_after: answer.wait() },
        503 if answer.retry_after.is_some() => WriteResult::RateLimited { retry_after: answer.wait() },
        401 => WriteResult::Auth("it does not accept the token".into()),
        403 => WriteResult::Auth(
            "the service account may not change this membership; it needs manage-users of realm-management, or manage-membership of the group".into(),
        ),
        409 => WriteResult::Transient("somebody else changed the same at the same time".into()),
        500..=599 => WriteResult::Ambiguous(format!("it failed with {}", answer.status)),
        404 => WriteResult::Unknown("it answered 404 in a way Keycloak does not; is its address right?".into()),
        status => WriteResult::Unknown(format!("it answered {status}")),
    }
}
