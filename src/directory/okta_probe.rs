//! A test of the connection: which Okta permission is missing.

use reqwest::Method;

use crate::clock;
use crate::directory::facts::{Probe, ReadError};
use crate::directory::http::{self, Call, Http};
use crate::directory::okta::{CHANGE_GROUPS, Okta, READ_GROUPS, READ_PEOPLE};
use crate::directory::okta_answer::{code, is_missing, rows};
use crate::directory::outcome::{token_refused, unasked};
use crate::directory::token::{Credentials, Grant};

impl Okta {
    /// See [`Directory::probe`](crate::directory::port::Directory::probe). Whether memberships may be changed is asked with a group
    /// and a person that are not there.
    pub async fn probe(&self) -> Probe {
        let mut notes = Vec::new();
        let mut works = true;
        for (list, word, needs) in [("users", "people", READ_PEOPLE), ("groups", "groups", READ_GROUPS)] {
            let answer = self.ask(&format!("/api/v1/{list}?limit=1"), needs).await;
            let read = match answer {
                Ok(Some(answer)) => rows(&answer),
                Ok(None) => Err(ReadError::Malformed("it knows no such list; is its address right?".into())),
                Err(error) => Err(error),
            };
            match read {
                Ok(rows) if rows.is_empty() => notes.push(format!("May list {word}, but sees none: its admin role reaches none.")),
                Ok(_) => notes.push(format!("Lists {word}.")),
                Err(error) => {
                    works = false;
                    let refused = matches!(&error, ReadError::Auth(why) if token_refused(why).is_some());
                    notes.push(format!("Cannot list {word}. {error}"));
                    if refused {
                        notes.extend(self.why_no_token(&error).await);
                        return Probe { works, notes };
                    }
                }
            }
        }
        if !works {
            return Probe { works, notes };
        }
        match self.rules().await {
            Ok(Some(rules)) => notes.push(format!("Reads group rules. Groups that one fills and that are left alone: {}.", rules.0.len())),
            Ok(None) => notes.push(format!(
                "Cannot read group rules: the scope {READ_GROUPS} with an admin role that may view rules is missing. Groups that a rule fills cannot be told from others."
            )),
            Err(error) => notes.push(format!("Cannot read group rules. {error}")),
        }
        notes.push(self.may_change().await);
        Probe { works, notes }
    }

    /// Adds nobody to nothing, both by ids that cannot be there: 404 says that it would be allowed.
    async fn may_change(&self) -> String {
        let made_up = clock::new_id().simple().to_string();
        let to = format!("/api/v1/groups/{made_up}/users/{made_up}");
        match self.0.http.call(Call { method: &Method::PUT, to: &to, body: None, headers: &[] }).await {
            Ok(answer) if is_missing(&answer) => "May change memberships of the groups that its admin role reaches.".into(),
            Ok(answer) if answer.status == 403 => {
                format!("Cannot change memberships ({}): the scope {CHANGE_GROUPS}, or an admin role that manages group membership, is missing.", code(&answer))
            }
            Ok(answer) => format!("Whether memberships may be changed is not known: it answered {}.", answer.status),
            Err(failure) => format!("Whether memberships may be changed is not known. {}", unasked(failure)),
        }
    }

    /// What a refused token means, scope by scope.
    async fn why_no_token(&self, error: &ReadError) -> Vec<String> {
        let ReadError::Auth(why) = error else { return Vec::new() };
        let code = token_refused(why).unwrap_or_default();
        match code {
            "invalid_client" => vec!["It does not know the client, or the private key is not one of the app's public keys.".into()],
            "invalid_dpop_proof" => {
                vec!["The app wants proof of possession (DPoP): switch it off in the app, under \u{201c}General Settings\u{201d}.".into()]
            }
            "invalid_scope" | "access_denied" | "consent_required" => self.scopes_refused().await,
            _ => Vec::new(),
        }
    }

    async fn scopes_refused(&self) -> Vec<String> {
        let Credentials::Granted(grant) = &self.0.settings.credentials else { return Vec::new() };
        let mut notes = Vec::new();
        for scope in grant.scope.split(' ').filter(|scope| !scope.is_empty()) {
            let credentials = Credentials::Granted(Grant { scope: scope.to_owned(), ..grant.clone() });
            let settings = http::Settings { credentials, ..self.0.settings.clone() };
            let Ok(http) = Http::new(&settings, self.0.clock.clone()) else { continue };
            let asked = http.call(Call { method: &Method::GET, to: "/api/v1/users?limit=1", body: None, headers: &[] }).await;
            if let Err(failure) = asked
                && matches!(unasked(failure), ReadError::Auth(_))
            {
                notes.push(format!("The scope {scope} is not granted to the app: grant it under \u{201c}Okta API Scopes\u{201d}."));
            }
        }
        notes
    }
}
