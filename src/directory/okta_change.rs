//! Memberships of Okta groups changed, one person each.
//!
//! Okta answers 204 to a change that changed nothing. Before a change the person is looked at by id, as Okta would take a login for
//! one, and the group for who keeps its members: Okta itself, an application, a group rule.

use reqwest::Method;

use crate::directory::facts::{ReadError, WriteResult};
use crate::directory::http::{Answer, Call, encoded};
use crate::directory::okta::{CHANGE_GROUPS, Okta};
use crate::directory::okta_answer::{code, denied, is_missing, unknown, wait};
use crate::directory::okta_record as record;
use crate::directory::outcome::{lost, unread};

/// Most groups remembered as changeable.
const MOST: usize = 50_000;

impl Okta {
    /// See [`Directory::add`](crate::directory::port::Directory::add).
    pub async fn add(&self, group: &str, person: &str) -> WriteResult {
        match self.before(group, person).await {
            Ok(()) => self.change(Method::PUT, group, person).await,
            Err(result) => result,
        }
    }

    /// See [`Directory::remove`](crate::directory::port::Directory::remove). From a group that a rule fills nobody is taken: the rule
    /// would leave them out for good.
    pub async fn remove(&self, group: &str, person: &str) -> WriteResult {
        match self.before(group, person).await {
            Ok(()) => self.change(Method::DELETE, group, person).await,
            Err(WriteResult::GroupNotWritable(why)) => match self.is_member(group, person).await {
                Ok(false) => WriteResult::AlreadyInState,
                Ok(true) => WriteResult::GroupNotWritable(why),
                Err(error) => not_sent(error),
            },
            Err(result) => result,
        }
    }

    /// Whether the change may be asked for at all. Nothing has been sent yet when it may not.
    async fn before(&self, group: &str, person: &str) -> Result<(), WriteResult> {
        if !record::usable(group) {
            return Err(WriteResult::NotFoundGroup);
        }
        if !record::usable(person) {
            return Err(WriteResult::NotFoundUser);
        }
        let (writable, user) = tokio::join!(self.writable(group), self.user(person));
        writable?;
        match user {
            Ok(Some(_)) => Ok(()),
            Ok(None) => Err(WriteResult::NotFoundUser),
            Err(error) => Err(not_sent(error)),
        }
    }

    async fn writable(&self, group: &str) -> Result<(), WriteResult> {
        let known = self.0.changeable.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).contains(group);
        if !known {
            let found = self.group_record(group).await.map_err(not_sent)?.ok_or(WriteResult::NotFoundGroup)?;
            if let Some(why) = record::fixed(&found) {
                return Err(WriteResult::GroupNotWritable(why));
            }
            let mut known = self.0.changeable.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            if known.len() >= MOST {
                known.clear();
            }
            known.insert(group.to_owned());
        }
        let rules = self.rules().await.map_err(not_sent)?;
        rules.and_then(|rules| rules.owner(group)).map_or(Ok(()), |why| Err(WriteResult::GroupNotWritable(why)))
    }

    async fn change(&self, method: Method, group: &str, person: &str) -> WriteResult {
        let to = format!("/api/v1/groups/{}/users/{}", encoded(group), encoded(person));
        match self.0.http.call(Call { method: &method, to: &to, body: None, headers: &[] }).await {
            Ok(answer) if is_missing(&answer) => self.what_is_missing(group, person).await,
            Ok(answer) => outcome(&answer),
            Err(failure) => lost(failure),
        }
    }

    /// A 404 to a change: is it the group or the person that is not there?
    async fn what_is_missing(&self, group: &str, person: &str) -> WriteResult {
        match tokio::join!(self.group_record(group), self.user(person)) {
            (Ok(None), _) => WriteResult::NotFoundGroup,
            (_, Ok(None)) => WriteResult::NotFoundUser,
            (Err(error), _) | (_, Err(error)) => unread(error),
            (Ok(Some(_)), Ok(Some(_))) => WriteResult::Transient("it misses the group or the person, and then knows both".into()),
        }
    }
}

/// A change that was never sent because a question before it had no answer.
fn not_sent(error: ReadError) -> WriteResult {
    match error {
        ReadError::RateLimited { retry_after } => WriteResult::RateLimited { retry_after },
        ReadError::Auth(why) => WriteResult::Auth(why),
        other => WriteResult::Transient(other.to_string().trim_end_matches('.').to_owned()),
    }
}

fn outcome(answer: &Answer) -> WriteResult {
    match answer.status {
        200..=299 => WriteResult::Changed,
        429 => WriteResult::RateLimited { retry_after: wait(answer) },
        401 => WriteResult::Auth(unknown(answer)),
        403 => WriteResult::Auth(denied(answer, CHANGE_GROUPS)),
        404 => WriteResult::Unknown("it answered 404 in a way Okta does not; is its address right?".into()),
        500..=599 => WriteResult::Ambiguous(format!("it failed with {}", answer.status)),
        status => WriteResult::Unknown(format!("it answered {status} {}", code(answer)).trim_end().to_owned()),
    }
}
