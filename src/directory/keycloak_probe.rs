//! A Keycloak realm tried, role by role.

use serde_json::Value;

use crate::directory::facts::{Probe, ReadError};
use crate::directory::keycloak::{GROUPS_ROLES, Keycloak, PEOPLE_ROLES};
use crate::directory::keycloak_answer::rows;
use crate::directory::keycloak_events::Kept;
use crate::directory::keycloak_record as record;

impl Keycloak {
    /// See [`Directory::probe`](crate::directory::port::Directory::probe).
    pub async fn probe(&self) -> Probe {
        let mut notes = Vec::new();
        let people = self.first("/users?first=0&max=1", "/users/count", PEOPLE_ROLES).await;
        let groups = self.first("/groups?first=0&max=1&briefRepresentation=true", "/groups/count", GROUPS_ROLES).await;
        let mut works = true;
        for (word, found) in [("people", &people), ("groups", &groups)] {
            match found {
                Ok((_, total)) => notes.push(format!("Lists {total} {word}.")),
                Err(error) => {
                    works = false;
                    notes.push(format!("Cannot list {word}. {error}"));
                }
            }
        }
        let (Ok((person, _)), Ok((group, _))) = (people, groups) else { return Probe { works, notes } };
        match self.may_change(person.as_ref(), group.as_ref()).await {
            Ok(true) => notes.push("Changes memberships.".into()),
            Ok(false) => {
                notes.push("Cannot change memberships: the service account needs manage-users of realm-management, or manage-membership of each group.".into());
            }
            Err(error) => notes.push(format!("It is not clear whether memberships can be changed. {error}")),
        }
        notes.push(match self.events_kept().await {
            Ok(Kept::Yes) => "Tells what administrators changed (admin events).".into(),
            Ok(Kept::No) => "Keeps no admin events, so changes are found when everything is read: switch them on under Realm settings, Events.".into(),
            Ok(Kept::Hidden) => {
                "Does not let admin events be seen, so changes are found when everything is read: the service account needs view-events of realm-management."
                    .into()
            }
            Err(error) => format!("Does not tell what changed. {error}"),
        });
        if let Some(own) = self.edited_by_themselves().await {
            notes.push(format!(
                "People may change their own {own} in Keycloak, so that rules which look at it are met by whoever wants: let only administrators edit it (Realm settings, User profile)."
            ));
        }
        Probe { works, notes }
    }

    /// Our words for attributes that the realm lets people set for themselves; none too when it does not tell.
    async fn edited_by_themselves(&self) -> Option<String> {
        let profile = self.ask("/users/profile").await.ok().filter(|answer| answer.status == 200)?.json()?;
        let listed = profile.get("attributes")?.as_array()?;
        let others = profile.get("unmanagedAttributePolicy").and_then(Value::as_str) == Some("ENABLED");
        let by_user =
            |attribute: &Value| attribute.pointer("/permissions/edit").and_then(Value::as_array).is_some_and(|who| who.iter().any(|who| who == "user"));
        let own = self.mapping().iter().filter(|(_, theirs)| {
            listed.iter().find(|attribute| attribute.get("name").and_then(Value::as_str) == Some(theirs.as_str())).map_or(others, by_user)
        });
        let own: Vec<String> = own.map(|(ours, _)| ours.replace('_', " ")).collect();
        (!own.is_empty()).then(|| own.join(", "))
    }

    /// The first of a list, and how many there are.
    async fn first(&self, list: &str, count: &str, needed: &str) -> Result<(Option<Value>, u64), ReadError> {
        let first = rows(&self.ask(list).await?, needed)?.into_iter().next();
        let total = self.count(count, needed).await?;
        if first.is_none() && total > 0 {
            // Lists are empty, not refused, for who may ask but not see.
            return Err(ReadError::Auth(format!("it shows none of {total}; the service account needs {needed} of realm-management")));
        }
        Ok((first, total))
    }

    /// Records fetched one by one say what whoever asks may do with them.
    async fn may_change(&self, person: Option<&Value>, group: Option<&Value>) -> Result<bool, ReadError> {
        let mut may = true;
        if let Some(id) = person.and_then(record::id)
            && let Some(found) = self.user(id).await?
        {
            may &= found.pointer("/access/manageGroupMembership") != Some(&Value::Bool(false));
        }
        if let Some(id) = group.and_then(record::id)
            && let Some(found) = self.group_record(id).await?
        {
            may &= record::read_only(&found).is_none();
        }
        Ok(may)
    }
}
