//! What the page of one event shows, with proof.

use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

use crate::domain::event::Fact;
use crate::domain::id::PersonId;
use crate::evidence::canonical::hex;
use crate::evidence::note::Checkpoint;
use crate::service::ctx::{By, Ctx};
use crate::service::error::ServiceError;
use crate::service::event_list;
use crate::store::list_event;

/// One event.
#[derive(Clone, Debug)]
pub struct EventDetail {
    /// Its number.
    pub id: i64,
    /// When it happened.
    pub at: DateTime<Utc>,
    /// Its kind.
    pub kind: String,
    /// Who did it.
    pub actor: String,
    /// Through which door.
    pub channel: String,
    /// What happened, as a sentence without the actor.
    pub sentence: String,
    /// The request it is about.
    pub request: Option<Uuid>,
    /// The person it is about.
    pub person: Option<PersonId>,
    /// Every field, by its path.
    pub fields: Vec<(String, String)>,
    /// Its place in the sealed log; none while it waits for its leaf or the checkpoint.
    pub proof: Option<EventProof>,
}

/// Where an event stands in the sealed log, and what proves it.
#[derive(Clone, Debug)]
pub struct EventProof {
    /// Its leaf.
    pub leaf: i64,
    /// The leaf's hash, hex.
    pub hash: String,
    /// The path from the leaf up, hex (RFC 6962 §2.1.1).
    pub path: Vec<String>,
    /// How many leaves the checkpoint is about.
    pub size: i64,
    /// When it was signed.
    pub signed_at: DateTime<Utc>,
    /// The signed note.
    pub note: String,
    /// The event as the event list has it: what the leaf's hash is over.
    pub line: String,
    /// Something in it was erased.
    pub erased: bool,
}

/// The event `id`, as `by` may see it.
///
/// # Errors
/// [`ServiceError::Missing`] for one that is not there or not theirs to see; when the database fails.
pub async fn event(ctx: &Ctx, by: &By, id: i64) -> Result<EventDetail, ServiceError> {
    let viewer = (!by.reads_everything()).then_some(by.person.0);
    let row = list_event::one(&ctx.db, viewer, id).await?.ok_or(ServiceError::Missing)?;
    let proof = match event_list::place(ctx, id).await? {
        Some(place) => {
            let text = place.note.split("\n\n").next().unwrap_or_default();
            let line = event_list::line(ctx, place.leaf).await?.ok_or(ServiceError::Missing)?;
            Checkpoint::parse(&format!("{text}\n")).ok().map(|signed| EventProof {
                leaf: place.leaf as i64,
                hash: hex(&place.hash),
                path: place.path.iter().map(|hash| hex(hash)).collect(),
                size: signed.size as i64,
                signed_at: signed.at,
                erased: line.contains("\"erased\":{"),
                note: place.note,
                line,
            })
        }
        None => None,
    };
    let fact = serde_json::from_value::<Fact>(serde_json::json!({ "kind": row.kind, "data": row.data }));
    let mut fields = Vec::new();
    let ids = [
        ("request", row.request_id),
        ("grant", row.grant_id),
        ("person", row.person_id),
        ("role", row.role_id),
        ("application", row.application_id),
        ("policy version", row.policy_version_id),
        ("actor", row.actor_id),
        ("token", row.token_id),
        ("acting for", row.acting_for),
    ];
    fields.extend(ids.into_iter().filter_map(|(name, id)| Some((name.to_owned(), id?.to_string()))));
    flatten("", &row.data, &mut fields);
    Ok(EventDetail {
        id: row.id,
        at: row.occurred_at,
        sentence: fact.map_or_else(|_| row.kind.replace(['.', '_'], " "), |fact| fact.story()),
        actor: match (row.actor_kind.as_str(), row.actor_name) {
            ("system", _) if row.channel == "cli" => "An operator".into(),
            ("system", _) => "Countersign".into(),
            (_, Some(name)) => name,
            (_, None) => "Somebody without a name".into(),
        },
        kind: row.kind,
        channel: row.channel,
        request: row.request_id,
        person: row.person_id.map(PersonId),
        fields,
        proof,
    })
}

/// Every text, number and truth below `value`, by its path.
fn flatten(path: &str, value: &Value, into: &mut Vec<(String, String)>) {
    let below = |name: &str| if path.is_empty() { name.replace('_', " ") } else { format!("{path}, {}", name.replace('_', " ")) };
    match value {
        Value::Object(members) => members.iter().for_each(|(name, member)| flatten(&below(name), member, into)),
        Value::Array(items) => items.iter().enumerate().for_each(|(at, item)| flatten(&below(&(at + 1).to_string()), item, into)),
        Value::Null => {}
        Value::String(text) => into.push((path.to_owned(), text.clone())),
        other => into.push((path.to_owned(), other.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_there_by_its_path_and_nothing_that_was_never_said() {
        let mut fields = Vec::new();
        flatten("", &serde_json::json!({"step_no": 2, "asked": [{"id": "a", "name": "Bo"}], "comment": null, "ok": true}), &mut fields);
        let told: Vec<String> = fields.iter().map(|(name, text)| format!("{name}={text}")).collect();
        assert_eq!(told, ["asked, 1, id=a", "asked, 1, name=Bo", "ok=true", "step no=2"]);
    }
}
