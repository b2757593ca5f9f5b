//! A Microsoft Entra connection tested: which permission is missing?

use crate::clock;
use crate::directory::entra::{Entra, READ_GROUPS, READ_PEOPLE, Walk};
use crate::directory::entra_record::{self as record, GROUP_FIELDS};
use crate::directory::facts::{Probe, ReadError};
use crate::directory::outcome::token_refused;

impl Entra {
    /// See [`Directory::probe`](crate::directory::port::Directory::probe). Every call is named with what it takes.
    pub async fn probe(&self) -> Probe {
        let mut probe = Probe { works: true, notes: Vec::new() };
        let mut say = |what: &str, call: &str, outcome: Result<String, ReadError>| match outcome {
            Ok(note) => probe.notes.push(note),
            Err(error) => {
                probe.works = false;
                probe.notes.push(format!("Cannot {what} ({call}). {error}{}", advice(&error)));
            }
        };
        say("list people", "GET /users", self.try_people().await);
        say("list groups", "GET /groups", self.try_groups().await);
        say("read who is in a group", "GET /groups/ID/members", self.try_members().await);
        say("follow changes", "GET /users/delta and /groups/delta", self.changes(None).await.map(|_| "Tells what changed.".into()));
        if probe.works {
            probe.notes.push(self.try_to_change(&clock::new_id().to_string()).await);
        }
        probe
    }

    async fn try_people(&self) -> Result<String, ReadError> {
        let walk = Walk::advanced(format!("/users?$select={}&$top=1&$count=true", self.user_select()));
        let Some((page, _)) = self.page(walk, READ_PEOPLE).await? else { return Err(ReadError::Malformed("it knows no people".into())) };
        for row in &page.rows {
            record::person(row, self.attributes())?;
        }
        Ok(page.count.map_or_else(|| "Lists people.".into(), |count| format!("Lists {count} people.")))
    }

    async fn try_groups(&self) -> Result<String, ReadError> {
        let walk = Walk::advanced(format!("/groups?$select={GROUP_FIELDS}&$top=1&$count=true"));
        let Some((page, _)) = self.page(walk, READ_GROUPS).await? else { return Err(ReadError::Malformed("it knows no groups".into())) };
        Ok(page.count.map_or_else(|| "Lists groups.".into(), |count| format!("Lists {count} groups.")))
    }

    async fn try_members(&self) -> Result<String, ReadError> {
        let Some((page, _)) = self.page(Walk::from("/groups?$select=id&$top=1".into()), READ_GROUPS).await? else { return Ok("There is no group yet.".into()) };
        let Some(group) = page.rows.first().and_then(record::id) else { return Ok("There is no group yet.".into()) };
        self.page(Walk::from(format!("/groups/{group}/members?$select=id&$top=1")), READ_GROUPS).await?;
        Ok("Reads who is in a group.".into())
    }
}

/// What to do about it.
fn advice(error: &ReadError) -> &'static str {
    let why = match error {
        ReadError::Auth(why) => why,
        ReadError::Malformed(why) if why.starts_with("it answered 400") => return " Is every property that the attributes are read from one of a Graph user?",
        _ => return "",
    };
    match token_refused(why) {
        Some("invalid_client") => " The client secret or certificate is wrong or has run out, or the certificate was not uploaded to the application.",
        Some("unauthorized_client") => " The application (client) id is not known in this tenant.",
        Some("invalid_request" | "invalid_tenant") => " The tenant is not known.",
        _ => "",
    }
}
