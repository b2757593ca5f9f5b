//! Checks a bundle offline: its manifest, tables and event list.
//!
//! The key signs the manifest, the manifest names every file by its hash, and the event list makes the root that the key signed. What is
//! found first is told, with its file and, where it can be known, its row.

use std::fmt;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::canonical::hex;
use super::manifest::{self, FileEntry, Manifest};
use super::note::{self, Checkpoint, PublicKey};
use super::rotation::Trusted;
use super::rows::{Compared, Form};
use super::verify::{self, Finding, Proof, Verified};
use super::zip;

/// The longest file beside tables and events that is read, in bytes.
const LONGEST: u64 = 64 << 20;
/// Bytes read at once.
const PIECE: usize = 1 << 16;
/// The event list.
pub const EVENTS: &str = "events.jsonl";
/// What a bundle holds that its manifest does not name: what the manifest itself rests on.
const BESIDE: [&str; 3] = [manifest::NAME, manifest::NOTE, "key"];

/// Where the files are.
#[derive(Debug)]
pub enum Source {
    /// A folder, a bundle unpacked or an event list.
    Folder(PathBuf),
    /// A bundle as it was taken.
    Zip(zip::Reader),
}

/// What is wrong, and in which file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The file's name.
    pub file: String,
    /// What.
    pub finding: Finding,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file, self.finding)
    }
}

fn fault(file: &str, kind: &'static str, sentence: impl Into<String>) -> Fault {
    Fault { file: file.into(), finding: Finding { kind, line: None, sentence: sentence.into() } }
}

fn in_file(file: &str) -> impl FnOnce(Finding) -> Fault + '_ {
    move |finding| Fault { file: file.into(), finding }
}

/// What a check of a bundle says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// What the bundle says of itself.
    pub manifest: Manifest,
    /// The names of the files that were checked, and their rows.
    pub files: Vec<(String, u64)>,
    /// What the event list showed; none when only a table was checked.
    pub events: Option<Verified>,
}

impl Source {
    /// A zip, or a folder.
    ///
    /// # Errors
    /// `unreadable`.
    pub fn open(path: &Path) -> Result<Self, Fault> {
        let shown = path.display().to_string();
        if path.is_dir() {
            return Ok(Self::Folder(path.to_path_buf()));
        }
        zip::Reader::open(path).map(Self::Zip).map_err(|error| fault(&shown, "unreadable", format!("It is neither a folder nor a bundle: {error}.")))
    }

    /// The file of this name; none when it is not there.
    ///
    /// # Errors
    /// `unreadable`.
    pub fn file(&self, name: &str) -> Result<Option<Box<dyn Read + '_>>, Fault> {
        let read = match self {
            Self::Zip(zip) => zip.file(name),
            Self::Folder(folder) => match File::open(folder.join(name)) {
                Ok(file) => Ok(Some(Box::new(file) as Box<dyn Read>)),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(error),
            },
        };
        read.map_err(|error| fault(name, "unreadable", format!("It cannot be read: {error}.")))
    }

    /// The text of a file that must be there.
    ///
    /// # Errors
    /// `dropped` when it is not; `unreadable`.
    pub fn text(&self, name: &str) -> Result<String, Fault> {
        let file = self.file(name)?.ok_or_else(|| fault(name, "dropped", "The file is missing."))?;
        let mut text = String::new();
        let read = file.take(LONGEST + 1).read_to_string(&mut text);
        match read {
            Ok(bytes) if bytes as u64 > LONGEST => Err(fault(name, "unreadable", "It is too long.")),
            Ok(_) => Ok(text),
            Err(error) => Err(fault(name, "unreadable", format!("It cannot be read: {error}."))),
        }
    }

    /// Whether a manifest is there.
    ///
    /// # Errors
    /// `unreadable`.
    pub fn has_manifest(&self) -> Result<bool, Fault> {
        Ok(self.file(manifest::NAME)?.is_some())
    }

    fn names(&self) -> Result<Vec<String>, Fault> {
        match self {
            Self::Zip(zip) => Ok(zip.names().map(str::to_owned).collect()),
            Self::Folder(folder) => {
                let unreadable = |error: std::io::Error| fault(&folder.display().to_string(), "unreadable", format!("It cannot be read: {error}."));
                let mut names = Vec::new();
                for entry in std::fs::read_dir(folder).map_err(unreadable)? {
                    names.push(entry.map_err(unreadable)?.file_name().to_string_lossy().into_owned());
                }
                names.sort_unstable();
                Ok(names)
            }
        }
    }
}

/// The manifest, if one of `keys` signed it while it was believed.
///
/// # Errors
/// `wrong_key`, `changed`, `dropped` or `unreadable`.
pub fn manifest(source: &Source, keys: &[Trusted]) -> Result<Manifest, Fault> {
    let (text, note) = (source.text(manifest::NAME)?, source.text(manifest::NOTE)?);
    let mut wrong = fault(manifest::NOTE, "wrong_key", "There is no key.");
    for Trusted { key, until } in keys.iter().rev() {
        let stated = match manifest::stated(&note, key) {
            Ok(stated) => stated,
            Err(error @ note::Error::NotSigned(_)) => {
                wrong = fault(manifest::NOTE, "wrong_key", format!("The manifest cannot be believed: {error}."));
                continue;
            }
            Err(error) => return Err(fault(manifest::NOTE, "changed", format!("The manifest cannot be believed: {error}."))),
        };
        if hex(&Sha256::digest(text.as_bytes())) != stated {
            return Err(fault(manifest::NAME, "changed", "The manifest is not the one that was signed."));
        }
        let read: Manifest = serde_json::from_str(&text).map_err(|error| fault(manifest::NAME, "unreadable", format!("It cannot be read: {error}.")))?;
        if read.v != manifest::VERSION {
            return Err(fault(manifest::NAME, "unreadable", format!("It is of version {}, which is not known here.", read.v)));
        }
        let size = read.checkpoint_size.parse::<u64>().map_err(|_| fault(manifest::NAME, "unreadable", "It names no checkpoint."))?;
        return if until.is_none_or(|until| size <= until) { Ok(read) } else { Err(outlived(manifest::NOTE, key, size)) };
    }
    Err(wrong)
}

fn outlived(file: &str, key: &PublicKey, size: u64) -> Fault {
    let sentence = format!("It is about {size} events, and the log named another key in the place of {key} before that many.");
    fault(file, "wrong_key", sentence)
}

/// The checkpoint of a note that one of `keys` signed, while it was believed.
///
/// # Errors
/// `wrong_key` or `wrong_checkpoint`.
pub fn checkpoint(note: &str, keys: &[Trusted], file: &str) -> Result<Checkpoint, Fault> {
    let mut wrong = fault(file, "wrong_key", "There is no key.");
    for Trusted { key, until } in keys.iter().rev() {
        match verify::checkpoint(note, key) {
            Ok(signed) if until.is_none_or(|until| signed.size <= until) => return Ok(signed),
            Ok(signed) => return Err(outlived(file, key, signed.size)),
            // A false signature says more than none by this key.
            Err(finding) if finding.kind != "wrong_key" => return Err(in_file(file)(finding)),
            Err(finding) => wrong = in_file(file)(finding),
        }
    }
    Err(wrong)
}

/// Checks the whole bundle: that one of `keys` signed its manifest, that every file is what the manifest says and none is missing or more than it
/// says, and that the event list makes the root that the key signed, and begins with `kept`. `progress` is told of file and rows.
///
/// # Errors
/// The first thing that is wrong.
pub fn check(source: &Source, keys: &[Trusted], kept: Option<&Checkpoint>, mut progress: impl FnMut(&str, u64)) -> Result<Checked, Fault> {
    let manifest = manifest(source, keys)?;
    let names = source.names()?;
    for name in &names {
        let ours = BESIDE.contains(&name.as_str()) || manifest.files.iter().any(|file| file.name == *name);
        // In a folder other things may lie about; what could be taken for evidence may not.
        let counts = matches!(source, Source::Zip(_)) || [".csv", ".jsonl", ".json"].iter().any(|ending| name.ends_with(ending));
        if !ours && counts {
            return Err(fault(name, "inserted", "The manifest knows of no such file."));
        }
    }
    if let Some(missing) = manifest.files.iter().find(|file| !names.contains(&file.name)) {
        return Err(fault(&missing.name, "dropped", "The file is missing."));
    }
    // The event list says best where it was changed, so it comes before its hash.
    let events = in_bundle(source, &manifest, keys, kept, &mut progress)?;
    let mut files = Vec::new();
    for entry in &manifest.files {
        if entry.name != EVENTS {
            table(source, entry, &mut progress)?;
        }
        files.push((entry.name.clone(), entry.rows));
    }
    Ok(Checked { manifest, files, events: Some(events) })
}

/// The event list of a bundle, against its checkpoint and its manifest.
fn in_bundle(
    source: &Source,
    manifest: &Manifest,
    keys: &[Trusted],
    kept: Option<&Checkpoint>,
    progress: &mut impl FnMut(&str, u64),
) -> Result<Verified, Fault> {
    let signed = checkpoint(&source.text("checkpoint")?, keys, "checkpoint")?;
    if (signed.size.to_string(), hex(&signed.root)) != (manifest.checkpoint_size.clone(), manifest.checkpoint_root.clone())
        || signed.origin != manifest.instance
    {
        return Err(fault("checkpoint", "wrong_checkpoint", "It is another checkpoint than the one that the manifest names."));
    }
    let proof: Proof =
        serde_json::from_str(&source.text("proof.json")?).map_err(|error| fault("proof.json", "unreadable", format!("It cannot be read: {error}.")))?;
    if (&proof.first, &proof.end) != (&manifest.first, &manifest.end) {
        let sentence = format!("It is about leaves {} to {}, and the manifest about {} to {}.", proof.first, proof.end, manifest.first, manifest.end);
        return Err(fault("proof.json", "wrong_period", sentence));
    }
    let events = list(source, manifest, &proof, signed, kept, progress)?;
    // Only a bundle about less than all is narrowed, and then its manifest says so.
    if events.withheld > 0 && [&manifest.application, &manifest.role, &manifest.person].iter().all(|about| about.is_none()) {
        return Err(in_file(EVENTS)(events.hidden()));
    }
    Ok(events)
}

/// Checks the event list of a bundle alone, with the manifest beside it.
///
/// # Errors
/// The first thing that is wrong.
pub fn check_events(source: &Source, keys: &[Trusted], kept: Option<&Checkpoint>, mut progress: impl FnMut(&str, u64)) -> Result<Verified, Fault> {
    in_bundle(source, &manifest(source, keys)?, keys, kept, &mut progress)
}

/// What a check of whatever lies there says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
    /// A whole bundle.
    Bundle(Checked),
    /// A table of one.
    Table(Checked),
    /// An event list.
    List(Verified),
}

/// Checks what there is: of a bundle the file `only`, or all of it; else an event list.
///
/// # Errors
/// The first thing that is wrong.
pub fn look(source: &Source, only: Option<&str>, keys: &[Trusted], kept: Option<&Checkpoint>, progress: impl FnMut(&str, u64)) -> Result<Shown, Fault> {
    match (only, source.has_manifest()?) {
        (Some(table), _) if table != EVENTS => check_file(source, table, keys, progress).map(Shown::Table),
        (None, true) => check(source, keys, kept, progress).map(Shown::Bundle),
        (Some(_), true) => check_events(source, keys, kept, progress).map(Shown::List),
        (_, false) => check_list(source, keys, kept, progress).map(Shown::List),
    }
}

/// Checks an event list that is in no bundle: nothing of it may be withheld.
///
/// # Errors
/// The first thing that is wrong.
pub fn check_list(source: &Source, keys: &[Trusted], kept: Option<&Checkpoint>, mut progress: impl FnMut(&str, u64)) -> Result<Verified, Fault> {
    let proof: Proof =
        serde_json::from_str(&source.text("proof.json")?).map_err(|error| fault("proof.json", "unreadable", format!("It cannot be read: {error}.")))?;
    let signed = checkpoint(&source.text("checkpoint")?, keys, "checkpoint")?;
    let lines = source.file(EVENTS)?.ok_or_else(|| fault(EVENTS, "dropped", "The file is missing."))?;
    let lines = BufReader::with_capacity(PIECE * 4, lines);
    let events = verify::events(lines, &proof, signed, kept, |lines| progress(EVENTS, lines)).map_err(in_file(EVENTS))?;
    if events.withheld > 0 { Err(in_file(EVENTS)(events.hidden())) } else { Ok(events) }
}

/// Checks one file of a bundle with the manifest beside it.
///
/// # Errors
/// The first thing that is wrong.
pub fn check_file(source: &Source, name: &str, keys: &[Trusted], mut progress: impl FnMut(&str, u64)) -> Result<Checked, Fault> {
    let manifest = manifest(source, keys)?;
    let entry = manifest.files.iter().find(|file| file.name == name).ok_or_else(|| fault(name, "inserted", "The manifest knows of no such file."))?;
    table(source, entry, &mut progress)?;
    let files = vec![(entry.name.clone(), entry.rows)];
    Ok(Checked { manifest, files, events: None })
}

/// Passes on what is read, and holds it against what is said of it.
struct Tee<'a, 'b, R> {
    inner: R,
    compared: &'a mut Compared<'b>,
}

impl<R: Read> Read for Tee<'_, '_, R> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let read = self.inner.read(into)?;
        self.compared.push(&into[..read]);
        Ok(read)
    }
}

/// The event list, read once: against the tree, and against the manifest.
fn list(
    source: &Source,
    manifest: &Manifest,
    proof: &Proof,
    signed: Checkpoint,
    kept: Option<&Checkpoint>,
    progress: &mut impl FnMut(&str, u64),
) -> Result<Verified, Fault> {
    let missing = || fault(EVENTS, "dropped", "The file is missing.");
    let stated = manifest.files.iter().find(|entry| entry.name == EVENTS).ok_or_else(missing)?.digested();
    let stated = stated.ok_or_else(|| fault(manifest::NAME, "unreadable", format!("What it says of {EVENTS} cannot be read.")))?;
    let mut compared = Compared::new(Form::Lines, &stated);
    let lines = Tee { inner: source.file(EVENTS)?.ok_or_else(missing)?, compared: &mut compared };
    let events = verify::events(BufReader::with_capacity(PIECE * 4, lines), proof, signed, kept, |lines| progress(EVENTS, lines)).map_err(in_file(EVENTS))?;
    as_stated(EVENTS, compared).map(|()| events)
}

fn table(source: &Source, entry: &FileEntry, progress: &mut impl FnMut(&str, u64)) -> Result<(), Fault> {
    let name = &entry.name;
    let stated = entry.digested().ok_or_else(|| fault(manifest::NAME, "unreadable", format!("What it says of {name} cannot be read.")))?;
    let file = source.file(name)?.ok_or_else(|| fault(name, "dropped", "The file is missing."))?;
    let form = if name.ends_with(".csv") { Form::Table } else { Form::Lines };
    let mut compared = Compared::new(form, &stated);
    let mut reader = BufReader::with_capacity(PIECE, file);
    let mut told = 0;
    loop {
        let piece = reader.fill_buf().map_err(|error| fault(name, "unreadable", format!("It cannot be read: {error}.")))?;
        let length = piece.len();
        if length == 0 {
            break;
        }
        compared.push(piece);
        reader.consume(length);
        if compared.rows() >= told + 10_000 {
            told = compared.rows();
            progress(name, told);
        }
    }
    as_stated(name, compared)
}

fn as_stated(name: &str, compared: Compared<'_>) -> Result<(), Fault> {
    match compared.finish() {
        None => Ok(()),
        Some(difference) => {
            let mut sentence = difference.sentence;
            if let Some(first) = sentence.get_mut(..1) {
                first.make_ascii_uppercase();
            }
            Err(fault(name, difference.kind, sentence + "."))
        }
    }
}
