//! A Google Workspace connection tested: which scope is missing?

use crate::directory::facts::{Probe, ReadError};
use crate::directory::google::{Google, MEMBERS, READ_GROUPS, READ_PEOPLE, Walk, no_list};
use crate::directory::google_record as record;
use crate::directory::google_settings::SCOPES;
use crate::directory::outcome::token_refused;

impl Google {
    /// See [`Directory::probe`](crate::directory::port::Directory::probe). Every call is named with the scope it takes.
    pub async fn probe(&self) -> Probe {
        let mut probe = Probe { works: true, notes: Vec::new() };
        let mut refused = false;
        let mut say = |what: &str, call: &str, outcome: Result<String, ReadError>| match outcome {
            Ok(note) => probe.notes.push(note),
            Err(error) => {
                probe.works = false;
                // One token for all calls: its refusal is told once.
                if !std::mem::replace(&mut refused, is_refused(&error)) || !is_refused(&error) {
                    probe.notes.push(format!("Cannot {what} ({call}). {error}{}", advice(&error)));
                }
            }
        };
        say("list people", "GET /users", self.try_people().await);
        say("list groups", "GET /groups", self.try_groups().await);
        say("read who is in a group", "GET /groups/ID/members", self.try_members().await);
        if probe.works {
            probe.notes.push(self.try_to_change().await);
            probe.notes.push("Does not tell what changed: everybody is read at every synchronisation.".into());
        }
        probe
    }

    async fn try_people(&self) -> Result<String, ReadError> {
        let walk = Walk::from(format!("/users?customer={}&maxResults=1&projection=full", self.customer()), "users");
        self.page(walk, READ_PEOPLE).await?.ok_or_else(no_list)?;
        Ok("Lists people.".into())
    }

    async fn try_groups(&self) -> Result<String, ReadError> {
        self.page(self.all_groups(), READ_GROUPS).await?.ok_or_else(no_list)?;
        Ok("Lists groups.".into())
    }

    async fn try_members(&self) -> Result<String, ReadError> {
        let (rows, _) = self.page(self.all_groups(), READ_GROUPS).await?.ok_or_else(no_list)?;
        let Some(group) = rows.first().and_then(record::id) else { return Ok("There is no group yet.".into()) };
        self.page(Walk::from(format!("/groups/{group}/members?maxResults=1"), "members"), MEMBERS).await?;
        Ok("Reads who is in a group.".into())
    }
}

fn is_refused(error: &ReadError) -> bool {
    matches!(error, ReadError::Auth(why) if token_refused(why).is_some())
}

/// What to do about a token that was refused.
fn advice(error: &ReadError) -> String {
    let ReadError::Auth(why) = error else { return String::new() };
    match token_refused(why) {
        Some("unauthorized_client" | "access_denied") => {
            format!(" Domain-wide delegation does not list the service account's client id with exactly these scopes: {}.", SCOPES.join(", "))
        }
        Some("invalid_grant") => {
            " The administrator as whom we act is not known or suspended, the service account's key was revoked, or this machine's clock is wrong.".into()
        }
        Some("invalid_scope") => format!(" A scope is not known: {}.", SCOPES.join(", ")),
        _ => String::new(),
    }
}
