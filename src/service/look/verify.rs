//! What the page Verify shows, and the check it runs.

use std::path::PathBuf;

use chrono::{DateTime, Utc};

use crate::evidence::bundle::{self, EVENTS, Fault, Shown, Source};
use crate::evidence::rotation::{Rotation, Trusted};
use crate::evidence::verify::Finding;
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
    /// How many files of a bundle; none when it was an event list.
    pub files: usize,
    /// Rows in them.
    pub rows: i64,
    /// What the event list showed; none when only a table was there.
    pub events: Option<Events>,
    /// It begins with an uploaded earlier checkpoint.
    pub continues: bool,
}

/// What an event list showed.
#[derive(Clone, Debug)]
pub struct Events {
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
    /// Of so many between them there are only hashes.
    pub withheld: i64,
}

/// Files to check, in a folder that has nothing else.
#[derive(Clone, Debug)]
pub struct Files {
    /// The folder.
    pub folder: PathBuf,
    /// Their names.
    pub names: Vec<String>,
    /// A checkpoint kept earlier; empty when none was given.
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

/// Checks `files` with the keys of this log, as `countersign verify` does; off the async threads. What the files say of keys is not looked at.
///
/// # Errors
/// When the database fails. What is wrong with the files is no error but the answer.
pub async fn check(ctx: &Ctx, files: Files) -> Result<Result<Good, String>, ServiceError> {
    let keys = event_list::keys(ctx, i64::MAX as u64).await?;
    let work = move || checked(&keys, &files).map_err(|fault| fault.to_string());
    tokio::task::spawn_blocking(work).await.map_err(|_| ServiceError::Unavailable("The check stopped; try again.".into()))
}

fn checked(keys: &[Trusted], files: &Files) -> Result<Good, Fault> {
    let kept = if files.kept.is_empty() { None } else { Some(bundle::checkpoint(&files.kept, keys, "your checkpoint")?) };
    let has = |ending: &str| files.names.iter().filter(|name| name.ends_with(ending)).collect::<Vec<_>>();
    let (source, only) = match (has(".zip").as_slice(), files.names.as_slice()) {
        ([zip], [_]) => (Source::open(&files.folder.join(zip))?, None),
        ([], [_, ..]) => {
            let listed = files.names.iter().any(|name| name == EVENTS);
            let only = match has(".csv").as_slice() {
                [table] if !listed => Some(table.as_str()),
                [] => Some(EVENTS),
                _ => None,
            };
            (Source::Folder(files.folder.clone()), only)
        }
        _ => {
            let sentence = "Choose a bundle, one .zip; or files that belong together, of an unpacked bundle or an event list.".to_owned();
            return Err(Fault { file: "files".into(), finding: Finding { kind: "unreadable", line: None, sentence } });
        }
    };
    let (files, rows, events) = match bundle::look(&source, only, keys, kept.as_ref(), |_, _| {})? {
        Shown::Bundle(checked) | Shown::Table(checked) => (checked.files.len(), checked.files.iter().map(|(_, rows)| *rows as i64).sum(), checked.events),
        Shown::List(events) => (0, 0, Some(events)),
    };
    let events = events.map(|all| Events {
        events: all.events as i64,
        first: all.first as i64,
        size: all.checkpoint.size as i64,
        at: all.checkpoint.at,
        erased: all.erased as i64,
        withheld: all.withheld as i64,
    });
    Ok(Good { files, rows, continues: kept.is_some() && events.is_some(), events })
}
