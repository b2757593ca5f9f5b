//! The event list with its proof, to verify offline.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use tokio::time::Duration;

use crate::domain::event::{Actor, Channel, Event, Fact, Subject};
use crate::evidence::bundle;
use crate::evidence::canonical::hex;
use crate::evidence::line::{self, Line};
use crate::evidence::merkle::{Hash, Node, parts};
use crate::evidence::note::Checkpoint;
use crate::evidence::rotation::{self, Rotation, Trusted, follow};
use crate::evidence::verify::{BLOCK, Proof};
use crate::store::db::Tx;
use crate::store::error::StoreError;
use crate::store::event;
use crate::store::export::Narrow;
use crate::store::seal::{self, EventRow, LeafRow};

use super::commit;
use super::ctx::Ctx;
use super::error::ServiceError;
use super::seal::Sealer;
use super::{seal as sealing, tree};

/// Rows read at once.
pub(super) const PAGE: i64 = 2_000;
/// How often it is looked whether everything is signed, and how long is waited in between.
const TURNS: usize = 200;
const PAUSE: Duration = Duration::from_millis(50);

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
            erased: row.erased.as_ref(),
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
    /// How it came to be that key, from the first one on.
    pub rotations: Vec<Rotation>,
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
    sealer(ctx)?;
    if let Some(note) = kept {
        // Before anything is written: what is no checkpoint of this log is not taken for one.
        kept_size(&keys(ctx, i64::MAX as u64).await?, note)?;
    }
    let filters = match period {
        Some((from, to)) => format!("from {} to {}", line_time(from), line_time(to)),
        None => "everything".to_owned(),
    };
    let mut tx = ctx.db.begin().await?;
    let fact = Fact::EvidenceExported { file: "events.jsonl".into(), mode: "raw".into(), filters };
    let written = event::append(&mut tx, &[Event { actor, channel, subject: Subject::default(), fact }]).await?;
    commit::commit(tx).await?;
    let (from, to) = period.unzip();
    prove(ctx, (from, to), kept, written.last().copied().unwrap_or_default()).await
}

fn sealer(ctx: &Ctx) -> Result<&Sealer, ServiceError> {
    let none = || ServiceError::Unavailable("There is no key to sign the log with; see evidence.signing_key_file in the settings.".into());
    ctx.sealer.as_ref().ok_or_else(none)
}

/// Seals and signs at least everything up to the event `newest`, and proves the leaves of a period; without a beginning from the first
/// leaf on, without an end up to the last one signed.
///
/// # Errors
/// As [`prepare`].
pub async fn prove(ctx: &Ctx, period: (Option<DateTime<Utc>>, Option<DateTime<Utc>>), kept: Option<&str>, newest: i64) -> Result<List, ServiceError> {
    let sealer = sealer(ctx)?;
    let (note, size) = signed(ctx, sealer, newest).await?;
    let rotations = rotations(ctx, size).await?;
    let kept = match kept {
        Some(note) => Some(kept_size(&trusted(sealer, &rotations)?, note)?),
        None => None,
    };
    let (first, end) = match period {
        (None, None) => (0, size),
        (from, to) => seal::range(&ctx.db, from, to, size as i64).await?.map_or((size, size), |(first, end)| (first as u64, end as u64)),
    };
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
    Ok(List { first, end, note, proof, key: sealer.public().to_string(), rotations })
}

/// A checkpoint of everything up to the event `newest`, and its size. Another process may be sealing: then it is waited for a little.
async fn signed(ctx: &Ctx, sealer: &Sealer, newest: i64) -> Result<(String, u64), ServiceError> {
    for turn in 0..TURNS {
        if turn > 0 {
            tokio::time::sleep(PAUSE).await;
        }
        sealing::seal(ctx).await?;
        if seal::any_waits(&ctx.db, newest).await? {
            continue;
        }
        let needed = seal::newest_leaf(&ctx.db).await?.map_or(0, |leaf| leaf as u64 + 1);
        let note = sealing::sign(ctx, true).await?.unwrap_or_default();
        let text = sealer.public().open(&note).map_err(|error| StoreError::Broken(error.to_string()))?.to_owned();
        let size = Checkpoint::parse(&text).map_err(|error| StoreError::Broken(error.to_string()))?.size;
        if size >= needed {
            return Ok((note, size));
        }
    }
    Err(ServiceError::Unavailable("The newest events are being signed at this moment; try again.".into()))
}

/// Every change of the key up to the one that signs now, oldest first, as far as the first `size` leaves hold them, with what proves it. They are
/// found from the newest key back, by what both keys signed: that the log says something of keys makes nobody's key ours.
///
/// # Errors
/// When the database fails.
pub async fn rotations(ctx: &Ctx, size: u64) -> Result<Vec<Rotation>, ServiceError> {
    let mut key = sealer(ctx)?.public();
    let mut tx = ctx.db.begin().await?;
    let (mut rotations, mut before) = (Vec::new(), size);
    'back: loop {
        for (data, leaf) in seal::rotations_to(&mut tx, &key.to_string()).await? {
            let (Some((from, _)), Some(leaf)) = (rotation::link(&data), leaf.filter(|leaf| (*leaf as u64) < before)) else { continue };
            let Some((row, held_by, note)) = seal::held(&mut tx, leaf).await? else { continue };
            let path = tree::inclusion(&mut tx, leaf as u64, held_by as u64).await?.iter().map(|hash| hex(hash)).collect();
            let found = Rotation { event: members(&row), path, note };
            if rotation::proved(&from, &found).is_ok() {
                rotations.push(found);
                (key, before) = (from, leaf as u64);
                continue 'back;
            }
        }
        break;
    }
    rotations.reverse();
    Ok(rotations)
}

/// The keys of this log, oldest first, each with how far it is believed, as far as the first `size` leaves show them.
///
/// # Errors
/// [`ServiceError::Unavailable`] when there is no key; otherwise when the database fails.
pub async fn keys(ctx: &Ctx, size: u64) -> Result<Vec<Trusted>, ServiceError> {
    trusted(sealer(ctx)?, &rotations(ctx, size).await?)
}

fn trusted(sealer: &Sealer, rotations: &[Rotation]) -> Result<Vec<Trusted>, ServiceError> {
    let first = rotations.first().and_then(Rotation::from).unwrap_or_else(|| sealer.public());
    follow(first, rotations).map_err(|finding| ServiceError::Unavailable(finding.to_string()))
}

/// How many events a checkpoint that somebody kept is about, by whichever of `keys` signed it.
fn kept_size(keys: &[Trusted], note: &str) -> Result<u64, ServiceError> {
    let kept = bundle::checkpoint(note, keys, "your checkpoint").map_err(|fault| ServiceError::Unavailable(fault.finding.sentence))?;
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

/// As [`lines`], of the events that `narrow` leaves: in the place of the others stand hashes of the subtrees that they make.
///
/// # Errors
/// When the database fails.
pub async fn lines_about(ctx: &Ctx, list: &List, at: u64, narrow: Narrow) -> Result<Option<(String, u64)>, ServiceError> {
    if at >= list.end {
        return Ok(None);
    }
    let rows = seal::lines_about(&ctx.db, at as i64, list.end as i64, PAGE, narrow).await?;
    let mut tx = ctx.db.begin().await?;
    let (mut text, mut next) = (String::with_capacity(rows.len() * 512), at);
    for row in &rows {
        let leaf = row.leaf_index as u64;
        withhold(&mut tx, next, leaf, &mut text).await?;
        text.push_str(&told(row));
        text.push('\n');
        next = leaf + 1;
    }
    if (rows.len() as i64) < PAGE {
        withhold(&mut tx, next, list.end, &mut text).await?;
        next = list.end;
    }
    Ok(Some((text, next)))
}

/// The line that stands for the leaves `from..to`.
async fn withhold(tx: &mut Tx, from: u64, to: u64, text: &mut String) -> Result<(), ServiceError> {
    if from < to {
        let hashes: Vec<String> = tree::subtrees(tx, from, to).await?.iter().map(|hash| hex(hash)).collect();
        text.push_str(&json!({ "end": to.to_string(), "first": from.to_string(), "withheld": hashes }).to_string());
        text.push('\n');
    }
    Ok(())
}

/// One line, without its end.
pub fn told(row: &LeafRow) -> String {
    Value::Object(members(row)).to_string()
}

fn members(row: &LeafRow) -> Map<String, Value> {
    let mut members = line::of((&row.event).into());
    members.insert("leaf_index".into(), Value::String(row.leaf_index.to_string()));
    members.insert("leaf_hash".into(), Value::String(hex(&row.hash)));
    members
}

/// The line of one leaf; none when there is no such leaf.
///
/// # Errors
/// When the database fails.
pub async fn line(ctx: &Ctx, leaf: u64) -> Result<Option<String>, ServiceError> {
    Ok(seal::lines(&ctx.db, leaf as i64, leaf as i64 + 1, 1).await?.first().map(told))
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
