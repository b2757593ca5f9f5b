//! Everything about a period in one zip that proves itself.
//!
//! The taking is written into the log first, so that it is in what is taken. Then the database is frozen, and every table is of that one
//! moment. Then the log is sealed and signed, so that whatever a table cites is under the checkpoint. Then file after file goes out, in
//! constant memory; the manifest is last, since it knows the hashes of all.

use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use futures_util::{StreamExt, stream};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::{Duration, timeout};

use crate::domain::event::{Actor, Channel, Fact};
use crate::evidence::bundle::EVENTS;
use crate::evidence::canonical::{digest, hex};
use crate::evidence::columns::{File, VERSION};
use crate::evidence::csv::Reshape;
use crate::evidence::manifest::{self, Directory, FileEntry, Manifest};
use crate::evidence::note::Checkpoint;
use crate::evidence::rows::{Form, Rows};
use crate::evidence::time::micros;
use crate::evidence::zip::{self, Part};
use crate::store::error::StoreError;
use crate::store::snapshot::{Frozen, Reading, Snapshot};

use super::again;
use super::ctx::{By, Ctx};
use super::error::ServiceError;
use super::event_list::{self, List};
use super::export::{self, Download, Taking};
use super::replay;

/// How the files and their proof are to be checked, in every bundle.
pub const VERIFY: &str = include_str!("../../docs/VERIFY.md");

/// What the query of the event list says.
const EVENT_QUERY: &str = "every leaf of the log from `first` to before `end`";
/// How many bytes are gathered before they are handed on.
const PIECE: usize = 64 * 1024;
/// Pages of the event list that are on their way at once.
const PAGES: usize = 3;
/// A reader that takes nothing for this long has gone.
const PATIENCE: Duration = Duration::from_secs(60);

/// Bundles on their way from this process.
static UNDER_WAY: Mutex<Vec<Progress>> = Mutex::new(Vec::new());

/// How far a bundle is, to look at from elsewhere. Cloning shares it.
#[derive(Clone, Debug)]
pub struct Progress(Arc<Mutex<Step>>);

/// How far a bundle is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// To whom it goes: a name, or the command line.
    pub to: String,
    /// Since when.
    pub since: DateTime<Utc>,
    /// The file that is being written.
    pub file: String,
    /// Which it is, counted from 1; 0 before the first.
    pub nth: usize,
    /// Of how many.
    pub of: usize,
    /// Its rows so far.
    pub rows: u64,
}

impl Progress {
    /// How far it is now.
    pub fn seen(&self) -> Step {
        self.step().clone()
    }

    fn step(&self) -> std::sync::MutexGuard<'_, Step> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Bundles that are on their way from this process, oldest first.
pub fn under_way() -> Vec<Step> {
    UNDER_WAY.lock().unwrap_or_else(PoisonError::into_inner).iter().map(Progress::seen).collect()
}

/// Takes a bundle off the list when it is over, however it ends.
struct OnTheList(Progress);

impl Drop for OnTheList {
    fn drop(&mut self) {
        UNDER_WAY.lock().unwrap_or_else(PoisonError::into_inner).retain(|other| !Arc::ptr_eq(&other.0, &self.0.0));
    }
}

/// Starts a bundle for `by`, an auditor or administrator. Of `taking` the file is not looked at.
///
/// # Errors
/// [`ServiceError::Missing`] for anybody else, or when something named is not there; a fault when the period ends before it begins;
/// [`ServiceError::Unavailable`] when too many are under way, or the log cannot be signed.
pub async fn bundle(ctx: &Ctx, by: &By, taking: &Taking) -> Result<(Download, Progress), ServiceError> {
    if !by.reads_everything() {
        return Err(ServiceError::Missing);
    }
    let taker = Taker { id: by.person.0.to_string(), name: by.name.clone(), actor: by.actor(), channel: by.channel };
    start(ctx, taker, taking).await
}

/// Starts a bundle for the operator at the command line.
///
/// # Errors
/// As [`bundle()`].
pub async fn bundle_by_operator(ctx: &Ctx, taking: &Taking) -> Result<(Download, Progress), ServiceError> {
    start(ctx, Taker { id: "operator".into(), name: "the command line".into(), actor: Actor::System, channel: Channel::Cli }, taking).await
}

/// Starts a bundle for the schedule with this id and name.
///
/// # Errors
/// As [`bundle()`].
pub async fn bundle_by_schedule(ctx: &Ctx, (id, name): (uuid::Uuid, &str), taking: &Taking) -> Result<(Download, Progress), ServiceError> {
    start(ctx, Taker { id: format!("schedule {id}"), name: format!("the schedule {name}"), actor: Actor::System, channel: Channel::System }, taking).await
}

/// Who takes it.
struct Taker {
    id: String,
    name: String,
    actor: Actor,
    channel: Channel,
}

async fn start(ctx: &Ctx, taker: Taker, taking: &Taking) -> Result<(Download, Progress), ServiceError> {
    export::ends_after_it_begins(taking)?;
    export::known(ctx, taking).await?;
    if ctx.sealer.is_none() {
        return Err(ServiceError::Unavailable("There is no key to sign the log with; see evidence.signing_key_file in the settings.".into()));
    }
    let fact = Fact::EvidenceExported { file: "bundle.zip".into(), mode: taking.mode.word().into(), filters: export::filters(taking) };
    let (seat, event) = export::taking(ctx, (taker.actor.clone(), taker.channel), export::subject(taking), fact).await?;
    let mut snapshot = Snapshot::open(&ctx.db).await?;
    let (frozen, readings) = (snapshot.frozen().await?, snapshot.readings().await?);
    // What comes after is in no file.
    let taking = Taking { to: Some(taking.to.map_or(frozen.at, |to| to.min(frozen.at))), ..*taking };
    let list = event_list::prove(ctx, (taking.from, taking.to), None, frozen.newest_event).await?;
    let manifest = manifest(&taker, &taking, &frozen, &readings, &list, event)?;
    let progress =
        Progress(Arc::new(Mutex::new(Step { to: taker.name, since: frozen.at, file: String::new(), nth: 0, of: File::of_bundle().count() + 2, rows: 0 })));
    UNDER_WAY.lock().unwrap_or_else(PoisonError::into_inner).push(progress.clone());
    let on_the_list = OnTheList(progress.clone());
    let name = export::name("countersign", &taking) + ".zip";
    let (out, pieces) = mpsc::channel(4);
    let (parts, next) = mpsc::channel(8);
    let (handle, zips) = (Handle::current(), Handle::current());
    tokio::task::spawn_blocking(move || zip_up(&zips, next, out));
    let making = Making { ctx: ctx.clone(), frozen, list: Arc::new(list), parts, progress: progress.clone(), files: Vec::new() };
    // A thread of its own: hashing is work.
    tokio::task::spawn_blocking(move || {
        let (_seat, _on_the_list) = (seat, on_the_list);
        let parts = making.parts.clone();
        handle.block_on(async {
            if let Err(error) = making.run(&taking, manifest, snapshot).await {
                tracing::error!(%error, "a bundle broke off; its reader sees the connection break");
                let _ = parts.send(Err(error)).await;
            }
        });
    });
    Ok((Download::of_pieces(name, pieces), progress))
}

fn manifest(taker: &Taker, taking: &Taking, frozen: &Frozen, readings: &[Reading], list: &List, event: i64) -> Result<Manifest, ServiceError> {
    let text = list.note.split("\n\n").next().map(|text| format!("{text}\n")).unwrap_or_default();
    let signed = Checkpoint::parse(&text).map_err(|error| StoreError::Broken(error.to_string()))?;
    let to = taking.to.unwrap_or(frozen.at);
    let id = |id: Option<uuid::Uuid>| id.map(|id| id.to_string());
    Ok(Manifest {
        v: manifest::VERSION.into(),
        generator: "countersign".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        instance: signed.origin,
        exported_by: taker.id.clone(),
        channel: taker.channel.word().into(),
        exported_at: micros(frozen.at),
        export_event: Some(event.to_string()),
        from: taking.from.map(micros),
        to: micros(to),
        as_of: micros(to),
        application: id(taking.application.map(|id| id.0)),
        role: id(taking.role.map(|id| id.0)),
        person: id(taking.person.map(|id| id.0)),
        mode: taking.mode.word().into(),
        frozen_at: micros(frozen.at),
        snapshot: frozen.snapshot.clone(),
        checkpoint_size: signed.size.to_string(),
        checkpoint_root: hex(&signed.root),
        first: list.first.to_string(),
        end: list.end.to_string(),
        directories: readings
            .iter()
            .map(|reading| Directory {
                directory: reading.directory.clone(),
                sync_id: reading.sync_event.map(|id| id.to_string()),
                synced_at: reading.synced_at.map(micros),
                changes_at: reading.changes_at.map(micros),
                compared_at: reading.compared_at.map(micros),
            })
            .collect(),
        controls: manifest::controls(),
        replayed: (0, 0),
        files: Vec::new(),
    })
}

/// A bundle that is being made.
struct Making {
    ctx: Ctx,
    frozen: Frozen,
    list: Arc<List>,
    parts: mpsc::Sender<Result<Part, ServiceError>>,
    progress: Progress,
    files: Vec<FileEntry>,
}

/// A file that is being written.
struct Open<'a> {
    parts: &'a mpsc::Sender<Result<Part, ServiceError>>,
    progress: &'a Progress,
    rows: Rows,
    gathered: Vec<u8>,
}

impl Open<'_> {
    async fn write(&mut self, bytes: &[u8]) -> Result<(), ServiceError> {
        self.gathered.extend_from_slice(bytes);
        if self.gathered.len() >= PIECE { self.flush().await } else { Ok(()) }
    }

    async fn flush(&mut self) -> Result<(), ServiceError> {
        let piece = std::mem::replace(&mut self.gathered, Vec::with_capacity(PIECE + 4096));
        self.rows.push(&piece);
        self.progress.step().rows = self.rows.rows();
        send(self.parts, Part::Bytes(piece)).await
    }
}

async fn send(parts: &mpsc::Sender<Result<Part, ServiceError>>, part: Part) -> Result<(), ServiceError> {
    parts.send(Ok(part)).await.map_err(|_| ServiceError::Unavailable("Whoever took the bundle has gone.".into()))
}

impl Making {
    async fn run(mut self, taking: &Taking, mut manifest: Manifest, mut snapshot: Snapshot) -> Result<(), ServiceError> {
        let proof = serde_json::to_string_pretty(&self.list.proof).map_err(StoreError::from)?;
        let (key, checkpoint) = (self.list.key.clone(), self.list.note.clone());
        self.plain("key", &key).await?;
        for (name, holds, text) in [
            ("VERIFY.md", "How to check all this.", VERIFY),
            ("checkpoint", "What the log's key signed: how many events there are, and the root of the tree over them.", &checkpoint),
            ("proof.json", "What ties the event list to the checkpoint.", &proof),
        ] {
            let digested = self.plain(name, text).await?;
            self.files.push(FileEntry::new(name, holds, None, None, digested));
        }
        if !self.list.rotations.is_empty() {
            let text = serde_json::to_string_pretty(&self.list.rotations).map_err(StoreError::from)?;
            let digested = self.plain("rotations.json", &text).await?;
            self.files.push(FileEntry::new("rotations.json", "How the key that signs came to be that.", None, None, digested));
        }
        for file in File::of_bundle() {
            self.table(file, taking, &mut snapshot).await?;
        }
        self.replay(taking, &mut snapshot, &mut manifest).await?;
        // Nothing more is read of that moment: the log itself never changes.
        drop(snapshot);
        self.events(taking).await?;
        manifest.files = std::mem::take(&mut self.files);
        let text = serde_json::to_string_pretty(&manifest).map_err(StoreError::from)? + "\n";
        let sealer = self.ctx.sealer.as_ref().ok_or_else(|| ServiceError::Unavailable("There is no key to sign with.".into()))?;
        let note = sealer.note(&manifest::statement(&digest(&text)));
        self.plain(manifest::NAME, &text).await?;
        self.plain(manifest::NOTE, &note).await?;
        send(&self.parts, Part::End).await
    }

    /// A file that is small, and what it is made of.
    async fn plain(&self, name: &str, text: &str) -> Result<crate::evidence::rows::Digested, ServiceError> {
        send(&self.parts, Part::File(name.into())).await?;
        send(&self.parts, Part::Bytes(text.as_bytes().to_vec())).await?;
        let mut rows = Rows::new(Form::Lines);
        rows.push(text.as_bytes());
        Ok(rows.finish())
    }

    async fn open(&self, name: &str, form: Form) -> Result<Open<'_>, ServiceError> {
        send(&self.parts, Part::File(name.into())).await?;
        let mut step = self.progress.step();
        step.file = name.into();
        step.nth += 1;
        step.rows = 0;
        Ok(Open { parts: &self.parts, progress: &self.progress, rows: Rows::new(form), gathered: Vec::with_capacity(PIECE + 4096) })
    }

    async fn table(&mut self, file: File, taking: &Taking, snapshot: &mut Snapshot) -> Result<(), ServiceError> {
        let (population, narrow, mut reshape) = (export::population(file), export::narrow(taking), Reshape::new(taking.mode));
        let mut open = self.open(&file.name(), Form::Table).await?;
        open.write(&export::header(file, taking.mode)).await?;
        let mut piece = Vec::new();
        snapshot
            .copy::<ServiceError>(population, narrow, async |rows| {
                piece.clear();
                reshape.push(rows, &mut piece);
                open.write(&piece).await
            })
            .await?;
        open.flush().await?;
        let digested = open.rows.finish();
        self.files.push(FileEntry::new(&file.name(), file.sentence(), Some(VERSION.to_string()), Some(population.query(narrow)), digested));
        Ok(())
    }

    /// The decisions of the requests in `requests.csv`, made again.
    async fn replay(&mut self, taking: &Taking, snapshot: &mut Snapshot, manifest: &mut Manifest) -> Result<(), ServiceError> {
        let (narrow, to) = (export::narrow(taking), taking.to.unwrap_or(self.frozen.at));
        let mut open = self.open("replay.csv", Form::Table).await?;
        open.write(&replay::header()).await?;
        let period = (taking.from.unwrap_or(DateTime::UNIX_EPOCH), to);
        let (mut replayed, mut different) = (0, 0);
        replay::replay(&self.ctx, period, &again::Progress::default(), async |page: Vec<replay::Replayed>| {
            let ids: Vec<_> = page.iter().map(|row| row.request.0).collect();
            let ours = snapshot.requests_of(&ids, narrow).await?;
            let page: Vec<_> = page.into_iter().filter(|row| ours.contains(&row.request.0)).collect();
            replayed += page.len() as u64;
            different += page.iter().filter(|row| !row.is_equal()).count() as u64;
            open.write(&replay::records(&page)).await
        })
        .await?;
        open.flush().await?;
        let digested = open.rows.finish();
        manifest.replayed = (replayed, different);
        let holds = "Every decision on the requests of the period, made again from what was stored with it.";
        self.files.push(FileEntry::new("replay.csv", holds, Some(VERSION.to_string()), Some("countersign replay".into()), digested));
        Ok(())
    }

    async fn events(&mut self, taking: &Taking) -> Result<(), ServiceError> {
        let narrow = export::narrow(taking);
        let whole = narrow.application.is_none() && narrow.role.is_none() && narrow.person.is_none();
        let mut open = self.open(EVENTS, Form::Lines).await?;
        if whole {
            let pages = stream::iter((self.list.first..self.list.end).step_by(event_list::PAGE as usize)).map(|at| {
                let (ctx, list) = (self.ctx.clone(), self.list.clone());
                // A task of its own, so that the next page is read and told while this one is packed.
                let task = tokio::spawn(async move { event_list::lines(&ctx, &list, at).await });
                async move { task.await.unwrap_or_else(|error| Err(ServiceError::Unavailable(format!("The event list stopped: {error}.")))) }
            });
            let mut pages = pin!(pages.buffered(PAGES));
            while let Some(page) = pages.next().await {
                if let Some((text, _)) = page? {
                    open.write(text.as_bytes()).await?;
                }
            }
        } else {
            let mut at = self.list.first;
            while let Some((text, next)) = event_list::lines_about(&self.ctx, &self.list, at, narrow).await? {
                open.write(text.as_bytes()).await?;
                at = next;
            }
        }
        open.flush().await?;
        let digested = open.rows.finish();
        let holds = if whole {
            "Every event of the period, and those that stand between them in the log."
        } else {
            "The events of the period that it is narrowed to, and hashes for those between them."
        };
        self.files.push(FileEntry::new(EVENTS, holds, None, Some(EVENT_QUERY.into()), digested));
        Ok(())
    }
}

/// Where the zip goes: pieces for whoever takes it.
struct Out<'a> {
    handle: &'a Handle,
    pieces: &'a mpsc::Sender<Result<Vec<u8>, ServiceError>>,
    gathered: Vec<u8>,
}

impl std::io::Write for Out<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.gathered.extend_from_slice(bytes);
        if self.gathered.len() >= PIECE {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        if self.gathered.is_empty() {
            return Ok(());
        }
        let full = std::mem::replace(&mut self.gathered, Vec::with_capacity(PIECE + 4096));
        match self.handle.block_on(timeout(PATIENCE, self.pieces.send(Ok(full)))) {
            Ok(Ok(())) => Ok(()),
            _ => Err(std::io::Error::other("whoever takes it has gone")),
        }
    }
}

/// Packs what comes until its end; what goes wrong comes out at the end of the pieces.
fn zip_up(handle: &Handle, mut next: mpsc::Receiver<Result<Part, ServiceError>>, pieces: mpsc::Sender<Result<Vec<u8>, ServiceError>>) {
    let mut failed = None;
    let mut out = Out { handle, pieces: &pieces, gathered: Vec::with_capacity(PIECE + 4096) };
    let written = zip::write(&mut out, || match next.blocking_recv() {
        Some(Ok(part)) => Some(part),
        Some(Err(error)) => {
            failed = Some(error);
            None
        }
        None => None,
    })
    .and_then(|()| std::io::Write::flush(&mut out));
    if let Err(error) = written {
        let error = failed.unwrap_or_else(|| ServiceError::Unavailable(format!("The bundle broke off: {error}.")));
        let _ = handle.block_on(timeout(PATIENCE, pieces.send(Err(error))));
    }
}
