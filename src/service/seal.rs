//! Gives each event its leaf, and signs the tree.
//!
//! Appending never waits for this. One transaction takes the events that wait, in batches, hashes them, adds leaves and nodes, and takes
//! them off the list: a crash anywhere leaves all of it or nothing. An advisory lock keeps a second sealer out; if it came through all the
//! same, the database refuses leaves that do not follow the last one.
//!
//! A checkpoint is signed some seconds after the tree has grown, and now and then when it has not: silence must be provable too. The last
//! one is also kept in a file beside the key. A database that holds less than that, or another beginning, is an older backup or was
//! rewritten: then nothing is sealed or signed until an operator has said why.
//!
//! A key is changed in steps of which each can be the last one before a crash: the new one is written beside the old one, the log names it, it
//! takes the old one's place, both sign, the old one is gone. From the moment when the log names it nobody signs with the old one alone.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use chrono::Duration;
use tokio::io::AsyncWriteExt;

use crate::domain::event::{Actor, Channel, Event, Fact, Subject};
use crate::evidence::merkle::{Edge, Hash, Node};
use crate::evidence::note::{self, Checkpoint, PrivateKey, PublicKey};
use crate::evidence::{leaf, line, rotation};
use crate::store::db::Tx;
use crate::store::error::StoreError;
use crate::store::{event, seal};

use super::ask::tidy;
use super::commit::{self, by_system};
use super::ctx::Ctx;
use super::error::ServiceError;
use super::tree;

/// Events sealed in one transaction at most.
const BATCH: i64 = 5_000;
/// Transactions of one turn at most; the next turn goes on.
const BATCHES: usize = 40;
/// Changes of the key that are followed at most.
const MOST_KEYS: usize = 1_000;
/// A tree that has grown is signed at most this often.
const SIGN_EVERY: Duration = Duration::seconds(5);
/// A tree that has not grown is signed this often.
const SIGN_IDLE: Duration = Duration::minutes(10);

/// The key, and what it last signed. Cloning shares it.
#[derive(Clone, Debug)]
pub struct Sealer(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// The key's file; looked at again before each signature, as the key may have been changed beside a server that runs.
    file: Option<PathBuf>,
    /// Where the last checkpoint is kept beside the key.
    kept: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    keys: Keys,
    /// Keys that signed here before.
    former: Vec<PublicKey>,
    /// The last checkpoint signed here, as a note.
    last: Option<String>,
    /// The tree after the last batch sealed here.
    edge: Option<Edge>,
}

/// The key that signs, and the one that was, until the first checkpoint after the change: that is signed with both.
#[derive(Clone, Debug)]
pub struct Keys {
    /// Signs.
    pub key: PrivateKey,
    /// Signs once more.
    pub previous: Option<PrivateKey>,
}

impl Keys {
    /// Reads a key's file: one key a line, the one that signs first.
    ///
    /// # Errors
    /// When a line is no key.
    pub fn parse(text: &str) -> Result<Self, note::Error> {
        let mut lines = text.lines().filter(|line| !line.trim().is_empty());
        let key = PrivateKey::parse(lines.next().unwrap_or_default())?;
        Ok(Self { key, previous: lines.next().map(PrivateKey::parse).transpose()? })
    }

    /// The text of the file.
    pub fn secret(&self) -> String {
        let previous = self.previous.as_ref().map(|key| format!("{}\n", key.secret())).unwrap_or_default();
        format!("{}\n{previous}", self.key.secret())
    }
}

impl Sealer {
    /// A sealer with `key`, which keeps its last checkpoint in the file `kept`.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub fn open(key: PrivateKey, kept: &Path) -> std::io::Result<Self> {
        Self::with(Keys { key, previous: None }, None, kept)
    }

    /// A sealer with `keys`, as the file has them, which keeps its last checkpoint beside it.
    ///
    /// # Errors
    /// When the last checkpoint is there and cannot be read.
    pub fn of_file(keys: Keys, file: &Path) -> std::io::Result<Self> {
        Self::with(keys, Some(file.to_path_buf()), &file.with_extension("checkpoint"))
    }

    fn with(keys: Keys, file: Option<PathBuf>, kept: &Path) -> std::io::Result<Self> {
        let last = match std::fs::read_to_string(kept) {
            Ok(note) => Some(note),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let state = State { keys, former: vec![], last, edge: None };
        Ok(Self(Arc::new(Inner { file, kept: kept.to_path_buf(), state: Mutex::new(state) })))
    }

    /// The key that verifies.
    pub fn public(&self) -> PublicKey {
        self.state().keys.key.public()
    }

    /// The text of a note that this key signed, or one that signed here before it.
    fn believed(&self, note: &str) -> Result<String, note::Error> {
        let state = self.state();
        let now = state.keys.key.public();
        let former = state.keys.previous.iter().map(PrivateKey::public).chain(state.former.iter().cloned());
        let text = now.open(note).map(str::to_owned);
        text.or_else(|error| former.into_iter().find_map(|key| key.open(note).ok().map(str::to_owned)).ok_or(error))
    }

    /// Takes the key that the file holds now.
    async fn reload(&self) -> Result<(), ServiceError> {
        let Some(file) = &self.0.file else { return Ok(()) };
        let broken = |error: &dyn std::fmt::Display| StoreError::Broken(format!("the signing key {} cannot be used: {error}", file.display()));
        let text = tokio::fs::read_to_string(file).await.map_err(|error| broken(&error))?;
        let keys = Keys::parse(&text).map_err(|error| broken(&error))?;
        let mut state = self.state();
        if keys.key.public() != state.keys.key.public() {
            let was = state.keys.key.public();
            state.former.push(was);
        }
        state.keys = keys;
        Ok(())
    }

    /// The key that was has signed for the last time: it is kept nowhere.
    async fn retire(&self) -> Result<(), ServiceError> {
        let keys = {
            let mut state = self.state();
            let Some(previous) = state.keys.previous.take() else { return Ok(()) };
            state.former.push(previous.public());
            state.keys.clone()
        };
        match &self.0.file {
            Some(file) => replace(file, &keys.secret()).await,
            None => Ok(()),
        }
    }

    /// A note of `text`, which must end with LF and say what it is in its first line.
    pub fn note(&self, text: &str) -> String {
        self.state().keys.key.sign(text)
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    async fn keep(&self, note: String) -> Result<(), ServiceError> {
        replace(&self.0.kept, &note).await?;
        self.state().last = Some(note);
        Ok(())
    }
}

/// Puts `text` in the place of a file that only its owner reads; whoever reads it meanwhile reads the old one or the new one, and so after a
/// power cut.
///
/// # Errors
/// When it cannot be written.
pub async fn replace(file: &Path, text: &str) -> Result<(), ServiceError> {
    let broken = |error: std::io::Error| StoreError::Broken(format!("{} cannot be written: {error}", file.display()));
    let mut fresh = file.as_os_str().to_owned();
    fresh.push(".fresh");
    let fresh = Path::new(&fresh);
    // What an earlier try left there may be anybody's to read, or lead elsewhere.
    match tokio::fs::remove_file(fresh).await {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(broken(error).into()),
        _ => {}
    }
    let mut open = tokio::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(fresh).await.map_err(broken)?;
    open.write_all(text.as_bytes()).await.map_err(broken)?;
    open.sync_all().await.map_err(broken)?;
    drop(open);
    put(fresh, file).await
}

/// Gives a file another name in its folder, for good.
async fn put(from: &Path, to: &Path) -> Result<(), ServiceError> {
    let broken = |error: std::io::Error| StoreError::Broken(format!("{} cannot be written: {error}", to.display()));
    tokio::fs::rename(from, to).await.map_err(broken)?;
    let folder = to.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
    tokio::fs::File::open(folder).await.map_err(broken)?.sync_all().await.map_err(broken)?;
    Ok(())
}

/// Seals what waits and signs when it is time. Returns how many events got their leaf.
///
/// # Errors
/// [`ServiceError::Unavailable`] when the log is not the one that was signed last; otherwise when the database or the key's folder fails.
pub async fn seal(ctx: &Ctx) -> Result<usize, ServiceError> {
    let Some(sealer) = &ctx.sealer else { return Ok(0) };
    let mut sealed = 0;
    for _ in 0..BATCHES {
        let Some(done) = batch(ctx, sealer).await? else { return Ok(sealed) };
        sealed += done;
        if done < BATCH as usize {
            break;
        }
    }
    sign(ctx, false).await?;
    Ok(sealed)
}

/// One batch; none when somebody else is sealing.
async fn batch(ctx: &Ctx, sealer: &Sealer) -> Result<Option<usize>, ServiceError> {
    let mut tx = ctx.db.begin().await?;
    if !seal::lock(&mut tx).await? {
        return Ok(None);
    }
    let waiting = seal::unsealed(&mut tx, BATCH).await?;
    if waiting.is_empty() {
        // Ended here and now: a transaction that is only dropped keeps its lock for a moment.
        commit::commit(tx).await?;
        return Ok(Some(0));
    }
    let mut edge = edge(&mut tx, sealer).await?;
    if let Err(refused) = same_log(&mut tx, sealer, &edge).await {
        commit::commit(tx).await?;
        return Err(refused);
    }
    let first = edge.size;
    let mut hashes = Vec::with_capacity(waiting.len());
    let mut nodes = Vec::new();
    for row in &waiting {
        let hash = leaf::hash(line::of(row.into())).map_err(|error| StoreError::Broken(format!("event {} cannot be sealed: {error}", row.id)))?;
        edge.push(hash, |Node { level, index }, hash| {
            if level > 0 && level % tree::TILE == 0 {
                nodes.push((level as i32, index as i64, hash.to_vec()));
            }
        });
        hashes.push(hash.to_vec());
    }
    let ids: Vec<i64> = waiting.iter().map(|row| row.id).collect();
    seal::append(&mut tx, first as i64, &ids, &hashes).await?;
    seal::keep_nodes(&mut tx, &nodes).await?;
    commit::commit(tx).await?;
    sealer.state().edge = Some(edge);
    Ok(Some(ids.len()))
}

/// The tree as the database has it; from memory when nobody else has made it grow.
async fn edge(tx: &mut Tx, sealer: &Sealer) -> Result<Edge, ServiceError> {
    let size = seal::leaves(tx).await? as u64;
    if let Some(edge) = sealer.state().edge.clone().filter(|edge| edge.size == size) {
        return Ok(edge);
    }
    tree::edge(tx, size).await
}

/// Signs the tree as it is: when `now` says so, or when it has grown and was not signed for some seconds, or was not signed for long.
/// Returns the newest checkpoint as a note; none when there is no key.
///
/// # Errors
/// As [`seal()`].
pub async fn sign(ctx: &Ctx, at_once: bool) -> Result<Option<String>, ServiceError> {
    let Some(sealer) = &ctx.sealer else { return Ok(None) };
    sealer.reload().await?;
    let mut tx = ctx.db.begin().await?;
    if !seal::lock(&mut tx).await? {
        return Ok(sealer.state().last.clone());
    }
    let last = seal::last(&mut tx).await?;
    let edge = edge(&mut tx, sealer).await?;
    if let Err(refused) = same_log(&mut tx, sealer, &edge).await {
        commit::commit(tx).await?;
        return Err(refused);
    }
    if let Some(named) = successor(&mut tx, &sealer.public()).await? {
        commit::commit(tx).await?;
        return Err(ServiceError::Unavailable(format!(
            "The log names another key that signs from now on, {named}. Put it in the place of this one; if changing it broke off, `countersign key rotate` ends it."
        )));
    }
    let Keys { key, previous } = sealer.state().keys.clone();
    let now = ctx.clock.now();
    if let Some(last) = last.as_ref().filter(|_| previous.is_none()) {
        let grown = edge.size as i64 != last.size;
        let age = now - last.signed_at;
        let due = if grown { at_once || age >= SIGN_EVERY } else { age >= SIGN_IDLE };
        if !due {
            commit::commit(tx).await?;
            return Ok(Some(last.note.clone()));
        }
    }
    let public = key.public();
    let checkpoint = Checkpoint { origin: public.name().to_owned(), size: edge.size, root: edge.root(), at: now };
    let text = checkpoint.text();
    let note = format!("{}{}", key.sign(&text), previous.as_ref().map(|previous| previous.signature(&text)).unwrap_or_default());
    // Until a checkpoint holds what names the new key, whoever has only the old one could not go on from it.
    let over = previous.is_some() && named_at(&mut tx, &public).await?.flatten().is_some_and(|leaf| (leaf as u64) < edge.size);
    let signed = seal::Signed { size: edge.size as i64, root: checkpoint.root.to_vec(), note: note.clone(), signed_at: now };
    seal::sign(&mut tx, &signed).await?;
    commit::commit(tx).await?;
    sealer.keep(note.clone()).await?;
    if over {
        sealer.retire().await?;
    }
    Ok(Some(note))
}

/// Writes down which key signs from here on, when it is another than the one that signed last.
///
/// # Errors
/// When the database fails.
pub async fn announce(ctx: &Ctx) -> Result<(), ServiceError> {
    let Some(sealer) = &ctx.sealer else { return Ok(()) };
    let public = sealer.public();
    if seal::newest(&ctx.db).await?.is_some_and(|signed| public.open(&signed.note).is_ok()) {
        return Ok(());
    }
    let mut tx = ctx.db.begin().await?;
    // One that another key named is in the log already.
    if named_at(&mut tx, &public).await?.is_some() {
        return commit::commit(tx).await;
    }
    event::append(&mut tx, &[by_system(Subject::default(), Fact::KeyAdded { key: public.to_string() })]).await?;
    commit::commit(tx).await
}

/// Refuses a log that does not begin with what was signed here last.
async fn same_log(tx: &mut Tx, sealer: &Sealer, edge: &Edge) -> Result<(), ServiceError> {
    let Some(note) = sealer.state().last.clone() else { return Ok(()) };
    let refuse = |why: String| {
        Err(ServiceError::Unavailable(format!(
            "The log is not the one that was signed last: {why}. Nothing is sealed until this is looked into; see `countersign restored --help`."
        )))
    };
    let text = match sealer.believed(&note) {
        Ok(text) => text,
        Err(error) => return refuse(format!("the checkpoint kept beside the key cannot be believed, {error}")),
    };
    let signed = match Checkpoint::parse(&text) {
        Ok(signed) => signed,
        Err(error) => return refuse(format!("the checkpoint kept beside the key cannot be read, {error}")),
    };
    if edge.size < signed.size {
        return refuse(format!("it has {} events and had {} on {}", edge.size, signed.size, crate::evidence::time::seconds(signed.at)));
    }
    let root = if edge.size == signed.size { edge.root() } else { tree::root(tx, signed.size).await? };
    if root != signed.root {
        return refuse(format!("its first {} events are not those signed on {}", signed.size, crate::evidence::time::seconds(signed.at)));
    }
    Ok(())
}

/// Takes the log as it is now for the true one, because an operator says why: an older backup was restored. What was signed before is in the
/// event, so that whoever holds a later checkpoint learns of it.
///
/// # Errors
/// When there is no key, or the database fails.
pub async fn accept(ctx: &Ctx, reason: &str) -> Result<(), ServiceError> {
    let Some(sealer) = &ctx.sealer else { return Err(ServiceError::Unavailable("There is no key to sign with.".into())) };
    let last = sealer.state().last.clone().unwrap_or_default();
    let mut tx = ctx.db.begin().await?;
    let fact = Fact::LogRestored { reason: reason.to_owned(), checkpoint: last };
    event::append(&mut tx, &[by_system(Subject::default(), fact)]).await?;
    commit::commit(tx).await?;
    {
        let mut state = sealer.state();
        state.last = None;
        state.edge = None;
    }
    seal(ctx).await?;
    sign(ctx, true).await?;
    Ok(())
}

/// Changes the key for `fresh`, an operator's act: the log says so, and the first checkpoint after it is signed with both. When an earlier change
/// broke off, that one is ended and `fresh` is not used. Returns the key that signs from here on.
///
/// # Errors
/// [`ServiceError::Unavailable`] when there is no key in a file, or the log is not the one that was signed last; otherwise when the database or
/// the key's folder fails.
pub async fn rotate(ctx: &Ctx, fresh: PrivateKey, reason: &str) -> Result<PublicKey, ServiceError> {
    let Some((sealer, file)) = ctx.sealer.as_ref().and_then(|sealer| Some((sealer, sealer.0.file.clone()?))) else {
        return Err(ServiceError::Unavailable("There is no key to change; see evidence.signing_key_file in the settings.".into()));
    };
    let reason = tidy(Some(reason), "reason")?.unwrap_or_else(|| "no reason given".into());
    sealer.reload().await?;
    let now = sealer.state().keys.clone();
    if now.previous.is_some() {
        // All but the signature of both was done.
        seal(ctx).await?;
        sign(ctx, true).await?;
        return Ok(now.key.public());
    }
    // Written down before the log names it: a key that is named and lost would end the log.
    let next = file.with_extension("next");
    let keys = match tokio::fs::read_to_string(&next).await.ok().and_then(|text| Keys::parse(&text).ok()) {
        Some(begun) if begun.previous.as_ref().map(PrivateKey::public) == Some(now.key.public()) => begun,
        _ => Keys { key: fresh, previous: Some(now.key.clone()) },
    };
    replace(&next, &keys.secret()).await?;
    let (from, to) = (now.key.public(), keys.key.public());
    let mut tx = ctx.db.begin().await?;
    if named_at(&mut tx, &to).await?.is_none() {
        let proof = rotation::proof(&now.key, &keys.key);
        event::append(&mut tx, &[by_operator(Fact::KeyRotated { from: from.to_string(), to: to.to_string(), reason, proof })]).await?;
    }
    commit::commit(tx).await?;
    put(&next, &file).await?;
    sealer.reload().await?;
    seal(ctx).await?;
    sign(ctx, true).await?;
    Ok(sealer.public())
}

/// The key that signs from here on by the log, in the place of `key`; none when that is still `key`.
async fn successor(tx: &mut Tx, key: &PublicKey) -> Result<Option<PublicKey>, ServiceError> {
    let mut last: Option<PublicKey> = None;
    for _ in 0..MOST_KEYS {
        let from = last.as_ref().unwrap_or(key).to_string();
        let next = seal::rotations_from(tx, &from).await?.iter().find_map(rotation::link).map(|(_, to)| to);
        let Some(next) = next.filter(|next| next != key) else { break };
        last = Some(next);
    }
    Ok(last)
}

/// Whether a key named `key` as the next, and the leaf of the event that says so.
async fn named_at(tx: &mut Tx, key: &PublicKey) -> Result<Option<Option<i64>>, ServiceError> {
    let told = seal::rotations_to(tx, &key.to_string()).await?;
    Ok(told.into_iter().find_map(|(data, leaf)| rotation::link(&data).map(|_| leaf)))
}

fn by_operator(fact: Fact) -> Event {
    Event { actor: Actor::System, channel: Channel::Cli, subject: Subject::default(), fact }
}

/// What the hash column holds.
///
/// # Errors
/// When it is not 32 bytes.
pub fn hash(bytes: &[u8]) -> Result<Hash, StoreError> {
    bytes.try_into().map_err(|_| StoreError::Broken("a hash of the log is not 32 bytes".into()))
}
