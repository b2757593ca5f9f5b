//! SCIM memberships changed, one person each (RFC 7644 §3.5.2).
//!
//! A remove always names the one member it means: `remove members` without a filter would empty the group. Where a
//! server refuses the standard form, other forms are tried; where it has no PATCH, the whole group is written, but only
//! guarded by its version.

use reqwest::Method;
use serde_json::{Value, json};

use crate::directory::facts::WriteResult;
use crate::directory::http::{Answer, encoded};
use crate::directory::outcome::{lost, unread};
use crate::directory::scim::Scim;
use crate::directory::scim_answer::quoted;
use crate::directory::scim_record as record;

const PATCH_OP: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";

impl Scim {
    /// See [`Directory::add`](crate::directory::port::Directory::add).
    pub async fn add(&self, group: &str, person: &str) -> WriteResult {
        if let Err(refused) = usable(group, person) {
            return refused;
        }
        let operation = json!({"op": "add", "path": "members", "value": [{"value": person}]});
        let answer = match self.patch(group, operation).await {
            Ok(answer) => answer,
            Err(result) => return result,
        };
        match answer.status {
            200..=299 => match self.listed(&answer, person).await {
                Some(None) => WriteResult::Unknown("it took the change, but its answer does not list the person".into()),
                Some(Some(_)) | None => WriteResult::Changed,
            },
            404 => self.what_is_missing(group, &answer).await,
            405 | 501 => self.put(group, person, true).await,
            _ => refusal(&answer),
        }
    }

    /// See [`Directory::remove`](crate::directory::port::Directory::remove).
    pub async fn remove(&self, group: &str, person: &str) -> WriteResult {
        if let Err(refused) = usable(group, person) {
            return refused;
        }
        let standard = json!({"op": "remove", "path": format!("members[value eq {}]", quoted(person))});
        let mut answer = match self.patch(group, standard).await {
            Ok(answer) => answer,
            Err(result) => return result,
        };
        if answer.status == 400 {
            // Also the answer of some servers when there is nothing to remove (noTarget).
            match self.is_member(group, person).await {
                Ok(false) => return WriteResult::AlreadyInState,
                Ok(true) => {}
                Err(error) => return unread(error),
            }
            let by_value = json!({"op": "remove", "path": "members", "value": [{"value": person}]});
            answer = match self.patch(group, by_value).await {
                Ok(answer) => answer,
                Err(result) => return result,
            };
        }
        match answer.status {
            200..=299 => match self.listed(&answer, person).await {
                Some(Some(value)) if value != person => self.remove_by_its_value(group, person, &value).await,
                Some(Some(_)) => WriteResult::Unknown("it took the change, but its answer still lists the person".into()),
                Some(None) | None => WriteResult::Changed,
            },
            404 => self.what_is_missing(group, &answer).await,
            405 | 501 => self.put(group, person, false).await,
            _ => refusal(&answer),
        }
    }

    /// The status of an add, for asking whether it would be allowed with ids that are not there.
    pub(super) async fn try_to_add(&self, group: &str, person: &str) -> Result<u16, String> {
        let operation = json!({"op": "add", "path": "members", "value": [{"value": person}]});
        self.patch(group, operation).await.map(|answer| answer.status).map_err(|result| result.to_string().trim_end_matches('.').to_owned())
    }

    /// Some servers keep logins in the list and answer 200 to a remove that removed nobody: name what the list holds.
    async fn remove_by_its_value(&self, group: &str, person: &str, value: &str) -> WriteResult {
        let operation = json!({"op": "remove", "path": format!("members[value eq {}]", quoted(value))});
        match self.patch(group, operation).await {
            Ok(answer) if (200..=299).contains(&answer.status) => match self.listed(&answer, person).await {
                Some(Some(_)) => WriteResult::Unknown("it took the change, but its answer still lists the person".into()),
                Some(None) | None => WriteResult::Changed,
            },
            Ok(answer) => refusal(&answer),
            Err(result) => result,
        }
    }

    /// Where the answer shows the group's members: how it lists the person, if it does. `None` when it shows none.
    async fn listed(&self, answer: &Answer, person: &str) -> Option<Option<String>> {
        let members = record::members(&answer.json()?)?;
        // What cannot be found out shows nothing: whoever called reads back.
        self.listed_as(&members, person).await.ok()
    }

    async fn patch(&self, group: &str, operation: Value) -> Result<Answer, WriteResult> {
        let body = json!({"schemas": [PATCH_OP], "Operations": [operation]});
        let path = format!("/Groups/{}", encoded(group));
        self.http().send(Method::PATCH, &path, Some(&body), None).await.map_err(lost)
    }

    /// For servers without PATCH: the group as it is, with or without the person, if nobody changed it meanwhile.
    async fn put(&self, group: &str, person: &str, wanted: bool) -> WriteResult {
        let (mut whole, version) = match self.versioned("Groups", group).await {
            Ok(Some((whole, Some(version)))) => (whole, version),
            Ok(Some((_, None))) => {
                let why = "it has neither PATCH nor versions, so a change could undo somebody else's";
                return WriteResult::GroupNotWritable(why.into());
            }
            Ok(None) => return WriteResult::NotFoundGroup,
            Err(error) => return unread(error),
        };
        let Some(object) = whole.as_object_mut() else { return WriteResult::Unknown("a group is not a record".into()) };
        let key = object.keys().find(|key| key.eq_ignore_ascii_case("members")).cloned();
        let key = key.unwrap_or_else(|| "members".to_owned());
        let members = object.entry(key).or_insert_with(|| json!([]));
        let Some(members) = members.as_array_mut() else {
            return WriteResult::Unknown("the members of a group are not a list".into());
        };
        let before = members.len();
        members.retain(|entry| !is_person(entry, person));
        if wanted == (members.len() < before) {
            return WriteResult::AlreadyInState;
        }
        if wanted {
            members.push(json!({"value": person}));
        }
        let path = format!("/Groups/{}", encoded(group));
        match self.http().send(Method::PUT, &path, Some(&whole), Some(&version)).await {
            Ok(answer) if (200..=299).contains(&answer.status) => WriteResult::Changed,
            Ok(answer) => refusal(&answer),
            Err(failure) => lost(failure),
        }
    }

    /// A 404 to a change: is it the group or the person that is not there?
    async fn what_is_missing(&self, group: &str, answer: &Answer) -> WriteResult {
        if !matches!(answer.json(), Some(Value::Object(_))) {
            return WriteResult::Unknown("it answered 404 in a way no SCIM service does; is its address right?".into());
        }
        match self.resource("Groups", group).await {
            Ok(None) => WriteResult::NotFoundGroup,
            Ok(Some(_)) => WriteResult::NotFoundUser,
            Err(error) => unread(error),
        }
    }
}

fn usable(group: &str, person: &str) -> Result<(), WriteResult> {
    match (record::usable(group), record::usable(person)) {
        (true, true) => Ok(()),
        (false, _) => Err(WriteResult::NotFoundGroup),
        (true, false) => Err(WriteResult::NotFoundUser),
    }
}

fn is_person(entry: &Value, person: &str) -> bool {
    let listed = record::members(&json!({"members": [entry]})).unwrap_or_default();
    listed.iter().any(|m| !m.is_group && (m.value == person || m.reference == person))
}

/// What a status that is no success means for a change.
fn refusal(answer: &Answer) -> WriteResult {
    let body = answer.json();
    let kind = body.as_ref().and_then(|b| b.get("scimType")).and_then(Value::as_str).unwrap_or_default();
    match answer.status {
        429 => WriteResult::RateLimited { retry_after: answer.wait() },
        401 => WriteResult::Auth("it does not accept the token".into()),
        403 => WriteResult::Auth("the token may not change this group".into()),
        400 if kind.eq_ignore_ascii_case("mutability") => WriteResult::GroupNotWritable("it says that members of this group cannot be changed".into()),
        409 | 412 => WriteResult::Transient("somebody else changed the group at the same time".into()),
        500..=599 => WriteResult::Ambiguous(format!("it failed with {}", answer.status)),
        status => WriteResult::Unknown(format!("it answered {status}")),
    }
}
