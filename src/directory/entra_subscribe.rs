//! Subscriptions of Microsoft Graph, made and renewed.
//!
//! One for the people of a tenant. It ends by itself after 29 days at the most (facts of the resource type `subscription`), so it is
//! renewed long before; one that is gone is made anew. While it is made, Graph calls the address once and wants its text back.

use chrono::{DateTime, Duration, SecondsFormat, Utc};
use reqwest::Method;
use serde_json::json;

use crate::directory::entra::Entra;
use crate::directory::entra_answer::{checked, is_missing};
use crate::directory::facts::{ReadError, Subscribed, Subscribing};
use crate::directory::http::Call;
use crate::directory::outcome::unasked;

/// How long it is asked for; Graph lets those of people live for 29 days.
const LIFE: Duration = Duration::days(28);
/// The longest secret that Graph keeps, in characters.
const LONGEST_STATE: usize = 128;
/// The permission that it takes.
const NEEDS: &str = "User.Read.All";

impl Entra {
    /// See [`Directory::subscribe`](crate::directory::port::Directory::subscribe).
    ///
    /// # Errors
    /// As there.
    pub async fn subscribe(&self, wanted: &Subscribing<'_>, now: DateTime<Utc>) -> Result<Option<Subscribed>, ReadError> {
        let state = wanted.secret.reveal();
        if state.chars().count() > LONGEST_STATE {
            return Err(ReadError::Refused(format!("Graph keeps a secret of at most {LONGEST_STATE} characters; hook_secret is longer")));
        }
        let until = now + LIFE;
        let expires = json!({"expirationDateTime": until.to_rfc3339_opts(SecondsFormat::Secs, true)});
        if let Some(id) = wanted.known.filter(|id| !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')) {
            let to = format!("/subscriptions/{id}");
            let answer = self.http().call(Call { method: &Method::PATCH, to: &to, body: Some(&expires), headers: &[] }).await.map_err(unasked)?;
            if !is_missing(&answer) {
                checked(answer, NEEDS)?;
                return Ok(Some(Subscribed { id: id.to_owned(), until }));
            }
        }
        let mut body = json!({
            "changeType": "updated,deleted",
            "notificationUrl": wanted.address,
            "lifecycleNotificationUrl": wanted.address,
            "resource": "users",
            "clientState": state,
        });
        body["expirationDateTime"] = expires["expirationDateTime"].clone();
        let answer = self.http().call(Call { method: &Method::POST, to: "/subscriptions", body: Some(&body), headers: &[] }).await.map_err(unasked)?;
        if answer.status == 400 {
            return Err(ReadError::Malformed(format!(
                "it could not call {}: it must reach that address over https and get its text back within ten seconds",
                wanted.address
            )));
        }
        let made = checked(answer, NEEDS)?.json();
        let id = made.as_ref().and_then(|made| made["id"].as_str()).filter(|id| !id.is_empty());
        match id {
            Some(id) => Ok(Some(Subscribed { id: id.to_owned(), until })),
            None => Err(ReadError::Malformed("the subscription it made has no id".into())),
        }
    }
}
