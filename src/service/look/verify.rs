//! What the page Verify shows, and the check it runs.

use chrono::{DateTime, Utc};

use crate::evidence::note::{Checkpoint, PublicKey};
use crate::evidence::rotation::{Rotation, follow};
use crate::evidence::verify::{Finding, Proof, checkpoint, events};
use crate::service::ctx::Ctx;
use crate::service::error::ServiceError;
use crate::service::event_list;
use crate::store::seal;

/// The sealed log as it is now.
#[derive(Clone, Debug, Default)]
pub struct Verify {
    /// The key that verifies; none where nothing is signed.
    pub key: Option<String>,
    /// The newest checkpoint.
    pub checkpoint: Option<Signed>,
    /// Events that wait for their leaf.
    pub waiting: i64,
    /// Keys that signed before, oldest first.
    pub former: Vec<String>,
    /// What a check of uploaded files found.
    pub checked: Option<Result<Good, String>>,
}

/// A signed checkpoint.
#[derive(Clone, Debug)]
pub struct Signed {
    /// How many events.
    pub size: i64,
    /// When.
    pub at: DateTime<Utc>,
    /// The signed note.
    pub note: String,
}

/// What a check found to be well.
#[derive(Clone, Debug)]
pub struct Good {
    /// How many events.
    pub events: i64,
    /// The first leaf.
    pub first: i64,
    /// Of how many in all.
    pub size: i64,
    /// When that was signed.
    pub at: DateTime<Utc>,
    /// How many have something erased.
    pub erased: i64,
    /// It begins with an uploaded earlier checkpoint.
    pub continues: bool,
}

/// Files to check; an empty one was not given.
#[derive(Clone, Debug, Default)]
pub struct Files {
    /// `events.jsonl`
    pub events: String,
    /// `proof.json`
    pub proof: String,
    /// `checkpoint`
    pub checkpoint: String,
    /// `rotations.json`
    pub rotations: String,
    /// A checkpoint kept earlier.
    pub kept: String,
}

/// The sealed log as it is now.
///
/// # Errors
/// When the database fails.
pub async fn verify(ctx: &Ctx) -> Result<Verify, ServiceError> {
    let Some(sealer) = &ctx.sealer else { return Ok(Verify::default()) };
    let newest = seal::newest(&ctx.db).await?;
    let former = match &newest {
        Some(signed) => event_list::rotations(ctx, signed.size as u64).await?,
        None => vec![],
    };
    Ok(Verify {
        key: Some(sealer.public().to_string()),
        checkpoint: newest.map(|signed| Signed { size: signed.size, at: signed.signed_at, note: signed.note }),
        waiting: seal::waiting(&ctx.db).await?.0,
        former: former.iter().filter_map(Rotation::from).map(|key| key.to_string()).collect(),
        checked: None,
    })
}

/// Checks `files` with the keys of this log, as `countersign verify` does; off the async threads.
///
/// # Errors
/// When the database fails. What is wrong with the files is no error but the answer.
pub async fn check(ctx: &Ctx, files: Files) -> Result<Result<Good, String>, ServiceError> {
    let shown = verify(ctx).await?;
    let keys: Vec<PublicKey> = shown.former.iter().chain(&shown.key).filter_map(|key| PublicKey::parse(key).ok()).collect();
    let work = move || checked(keys, &files).map_err(|finding| finding.to_string());
    tokio::task::spawn_blocking(work).await.map_err(|_| ServiceError::Unavailable("The check stopped; try again.".into()))
}

fn checked(mut keys: Vec<PublicKey>, files: &Files) -> Result<Good, Finding> {
    let wrong = |kind: &'static str, sentence: String| Finding { kind, line: None, sentence };
    if files.events.is_empty() || files.proof.is_empty() || files.checkpoint.is_empty() {
        return Err(wrong("unreadable", "Choose events.jsonl, proof.json and checkpoint of one folder.".into()));
    }
    if !files.rotations.is_empty() {
        let rotations: Vec<Rotation> = serde_json::from_str(&files.rotations).map_err(|error| wrong("unreadable", format!("rotations.json: {error}.")))?;
        for key in keys.clone() {
            keys.extend(follow(key, &rotations)?);
        }
    }
    let proof: Proof = serde_json::from_str(&files.proof).map_err(|error| wrong("unreadable", format!("proof.json: {error}.")))?;
    let signed = by_any(&files.checkpoint, &keys)?;
    let kept = if files.kept.is_empty() { None } else { Some(by_any(&files.kept, &keys)?) };
    let all = events(files.events.as_bytes(), &proof, signed, kept.as_ref(), |_| {})?;
    Ok(Good {
        events: all.events as i64,
        first: all.first as i64,
        size: all.checkpoint.size as i64,
        at: all.checkpoint.at,
        erased: all.erased as i64,
        continues: kept.is_some(),
    })
}

fn by_any(note: &str, keys: &[PublicKey]) -> Result<Checkpoint, Finding> {
    let mut wrong = None;
    for key in keys.iter().rev() {
        match checkpoint(note, key) {
            Ok(signed) => return Ok(signed),
            Err(finding) => wrong = Some(finding),
        }
    }
    Err(wrong.unwrap_or_else(|| Finding { kind: "wrong_key", line: None, sentence: "Nothing is signed here.".into() }))
}
