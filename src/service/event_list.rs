//! The event list with its proof, to verify offline.

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::domain::event::{Actor, Channel, Event, Fact, Subject};
use crate::evidence::canonical::hex;
use crate::evidence::line::{self, Line};
use crate::evidence::merkle::{Hash, Node, parts};
use crate::evidence::note::{Checkpoint, PublicKey};
use crate::evidence::verify::{BLOCK, Proof};
use crate::store::error::StoreError;
use crate::store::event;
use crate::store::seal::{self, EventRow, LeafRow};

use super::commit;
use super::ctx::Ctx;
use super::error::ServiceError;
use super::{seal as sealing, tree};

/// Rows read at once.
const PAGE: i64 = 2_000;

impl<'a> From<&'a EventRow> for Line<'a> {
    fn from(row: &'a EventRow) -> Self {
        Line {
            id: row.id,
            occurred_at: row.occurred_at,
            texts: [("kind", &row.kind), ("actor_kind", &row.actor_kind), ("channel", &row.channel)],
            actor_name: row.actor_name.as_deref(),
            ids: [
                ("actor_id", row.actor_id),
                ("acting_for", row.acting_for),
                ("token_id", row.token_id),
                ("request_id", row.request_id),
                ("grant_id", row.grant_id),
                ("person_id", row.person_id),
                ("role_id", row.role_id),
                ("application_id", row.application_id),
                ("policy_version_id", row.policy_version_id),
            ],
            data: &row.data,
            salt: row.salt,
        }
    }
}

/// What a list is about, and what ties it to the signed tree.
#[derive(Clone, Debug)]
pub struct List {
    /// The first leaf.
    pub first: u64,
    /// One past the last.
    pub end: u64,
    /// The signed checkpoint.
    pub note: String,
    /// What ties the leaves to it.
    pub proof: Proof,
    /// The key that verifies, as a note names it.
    pub key: String,
}

/// Prepares the list of a period's events, or of all: seals and signs first. That it was taken is itself an event, and so the last of the whole log.
/// Every leaf between the period's first and last one is in it, so that it shows that nothing was left out. With `kept`, an earlier
/// checkpoint of this log as a signed note, what proves that the log goes on from it is there too.
///
/// # Errors
/// [`ServiceError::Unavailable`] when there is no key, the log is not the one that was signed, or `kept` is not a checkpoint of it;
/// otherwise when the database fails.
pub async fn prepare(
    ctx: &Ctx,
    period: Option<(DateTime<Utc>, DateTime<Utc>)>,
    kept: Option<&str>,
    actor: Actor,
    channel: Channel,
) -> Result<List, ServiceError> {
    let Some(sealer) = &ctx.sealer else {
        return Err(ServiceError::Unavailable("There is no key to sign the log with; see evidence.signing_key_file in the settings.".into()));
    };
    let kept = match kept {
        Some(note) => Some(kept_size(&sealer.public(), note)?),
        None => None,
    };
    let filters = match period {
        Some((from, to)) => format!("from {} to {}", line_time(from), line_time(to)),
        None => "everything".to_owned(),
    };
    let mut tx = ctx.db.begin().await?;
    let fact = Fact::EvidenceExported { file: "events.jsonl".into(), mode: "raw".into(), filters };
    event::append(&mut tx, &[Event { actor, channel, subject: Subject::default(), fact }]).await?;
    commit::commit(tx).await?;
    sealing::seal(ctx).await?;
    let note = sealing::sign(ctx, true).await?.unwrap_or_default();
    let text = sealer.public().open(&note).map_err(|error| StoreError::Broken(error.to_string()))?.to_owned();
    let size = Checkpoint::parse(&text).map_err(|error| StoreError::Broken(error.to_string()))?.size;
    let (first, end) = match period {
        None => (0, size),
        Some((from, to)) => seal::range(&ctx.db, from, to).await?.map_or((size, size), |(first, end)| (first as u64, end as u64)),
    };
    if end > size {
        return Err(ServiceError::Unavailable("The newest events of that period are being signed at this moment; try again.".into()));
    }
    let mut tx = ctx.db.begin().await?;
    let mut subtrees = async |from: u64, to: u64| {
        let mut hashes = Vec::new();
        for part in parts(from, to) {
            hashes.push(hex(&tree::node(&mut tx, part).await?));
        }
        Ok::<_, ServiceError>(hashes)
    };
    let (before, after) = (subtrees(0, first).await?, subtrees(end, size).await?);
    let (from, to) = (first.div_ceil(BLOCK), end / BLOCK);
    let blocks = if from < to { seal::hashes(&mut tx, tree::TILE as i32, from as i64, to as i64).await? } else { vec![] };
    let blocks = blocks.iter().map(|hash| hex(hash)).collect();
    let consistency = match kept {
        Some(old) if old > size => {
            return Err(ServiceError::Unavailable(format!("That checkpoint is of {old} events, and this log has {size}: it is not the log that was signed.")));
        }
        Some(old) => tree::consistency(&mut tx, old, size).await?.iter().map(|hash| hex(hash)).collect(),
        None => vec![],
    };
    let proof = Proof { v: "1".into(), first: first.to_string(), end: end.to_string(), before, after, blocks, consistency };
    Ok(List { first, end, note, proof, key: sealer.public().to_string() })
}

/// How many events a checkpoint that somebody kept is about.
fn kept_size(key: &PublicKey, note: &str) -> Result<u64, ServiceError> {
    let text = key.open(note).map_err(|error| ServiceError::Unavailable(format!("That checkpoint cannot be believed: {error}.")))?;
    let kept = Checkpoint::parse(text).map_err(|error| ServiceError::Unavailable(format!("That checkpoint cannot be read: {error}.")))?;
    Ok(kept.size)
}

fn line_time(at: DateTime<Utc>) -> String {
    crate::evidence::time::seconds(at)
}

/// The lines of `list` from leaf `at` on, at most some thousand, and the leaf to go on with; none at the end.
///
/// # Errors
/// When the database fails.
pub async fn lines(ctx: &Ctx, list: &List, at: u64) -> Result<Option<(String, u64)>, ServiceError> {
    if at >= list.end {
        return Ok(None);
    }
    let rows = seal::lines(&ctx.db, at as i64, list.end as i64, PAGE).await?;
    if rows.is_empty() {
        return Err(StoreError::Broken(format!("leaf {at} of the log is missing")).into());
    }
    let mut text = String::with_capacity(rows.len() * 512);
    for row in &rows {
        text.push_str(&told(row));
        text.push('\n');
    }
    Ok(Some((text, at + rows.len() as u64)))
}

/// One line, without its end.
pub fn told(row: &LeafRow) -> String {
    let mut members = line::of((&row.event).into());
    members.insert("leaf_index".into(), Value::String(row.leaf_index.to_string()));
    members.insert("leaf_hash".into(), Value::String(hex(&row.hash)));
    Value::Object(members).to_string()
}

/// Where an event stands in the log, and what proves it against the newest checkpoint that holds it.
#[derive(Clone, Debug)]
pub struct Place {
    /// Its leaf.
    pub leaf: u64,
    /// The leaf's hash.
    pub hash: Hash,
    /// The signed checkpoint.
    pub note: String,
    /// The path from the leaf up (RFC 6962 §2.1.1).
    pub path: Vec<Hash>,
}

/// The place of an event; none while it waits for its leaf or the checkpoint.
///
/// # Errors
/// When the database fails.
pub async fn place(ctx: &Ctx, event: i64) -> Result<Option<Place>, ServiceError> {
    let (Some(leaf), Some(signed)) = (seal::leaf_of(&ctx.db, event).await?, seal::newest(&ctx.db).await?) else { return Ok(None) };
    if leaf >= signed.size {
        return Ok(None);
    }
    let mut tx = ctx.db.begin().await?;
    let hash = tree::node(&mut tx, Node { level: 0, index: leaf as u64 }).await?;
    let path = tree::inclusion(&mut tx, leaf as u64, signed.size as u64).await?;
    Ok(Some(Place { leaf: leaf as u64, hash, note: signed.note, path }))
}
