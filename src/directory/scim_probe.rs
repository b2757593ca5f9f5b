//! A test of the connection to a SCIM service.

use serde_json::Value;

use crate::clock;
use crate::directory::facts::Probe;
use crate::directory::scim::Scim;

impl Scim {
    /// See [`Directory::probe`](crate::directory::port::Directory::probe). Whether memberships may be changed is asked with a person
    /// and a group that are not there.
    pub async fn probe(&self) -> Probe {
        let mut notes = Vec::new();
        let mut works = true;
        for (resource, word) in [("Users", "people"), ("Groups", "groups")] {
            match self.count(resource).await {
                Ok(total) => notes.push(format!("Lists {total} {word}.")),
                Err(error) => {
                    works = false;
                    notes.push(format!("Cannot list {word}. {error}"));
                }
            }
        }
        if !works {
            return Probe { works, notes };
        }
        match self.membership_filter_works().await {
            Ok(true) => notes.push("Searches groups by member.".into()),
            Ok(false) => notes.push("Does not search groups by member: all groups are read instead, which is slow.".into()),
            Err(error) => notes.push(error.to_string()),
        }
        let config = self.exchange("/ServiceProviderConfig").await.map(|answer| answer.json());
        let no_patch = matches!(&config, Ok(Some(config)) if config.pointer("/patch/supported") == Some(&Value::Bool(false)));
        if no_patch {
            notes.push("Does not offer PATCH: whole groups are written instead, guarded by their version.".into());
        } else {
            notes.push(self.may_change().await);
        }
        if !matches!(config, Ok(Some(_))) {
            notes.push("Does not describe itself (ServiceProviderConfig).".into());
        }
        Probe { works, notes }
    }

    async fn may_change(&self) -> String {
        let made_up = clock::new_id().to_string();
        match self.try_to_add(&made_up, &made_up).await {
            Ok(404) => "May change memberships.".into(),
            Ok(401 | 403) => "Cannot change memberships: the token may only read. Give it the permission to write groups.".into(),
            Ok(405 | 501) => "Does not offer PATCH: whole groups are written instead, guarded by their version.".into(),
            Ok(status) => format!("Whether memberships may be changed is not known: it answered {status}."),
            Err(why) => format!("Whether memberships may be changed is not known: {why}."),
        }
    }
}
