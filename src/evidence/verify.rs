//! Checks an event list offline, against a signed checkpoint.
//!
//! In order and in constant memory, read on every core: each line must be an event whose hash is the one it states, at the place that follows; all of them,
//! with the hashes of what lies before and after, must make the signed root. What is found first is told.

use std::fmt;
use std::io::BufRead;
use std::sync::mpsc::sync_channel;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::canonical::hex;
use super::leaf;
use super::merkle::{Edge, Hash, Node, is_consistent, node_hash, parts};
use super::note::{Checkpoint, PublicKey};

/// The longest line that is read, in bytes.
const LONGEST_LINE: usize = 4 << 20;
/// The most cores that read lines.
const MOST_CORES: usize = 16;
/// How many batches of lines each of them may have before it.
const AHEAD: usize = 2;
/// The most lines of a batch, and about the most bytes.
const BATCH: usize = 512;
const BATCH_BYTES: usize = 1 << 20;
/// How many leaves each hash in [`Proof::blocks`] covers.
pub const BLOCK: u64 = 256;

/// What ties a contiguous range of leaves to a checkpoint: a file of JSON beside the event list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// The form's version, `1`.
    pub v: String,
    /// The first leaf, counted from 0, as text.
    pub first: String,
    /// One past the last leaf, as text.
    pub end: String,
    /// Hashes of the perfect subtrees before the first leaf, left to right, hex.
    pub before: Vec<String>,
    /// Hashes of the perfect subtrees after the last one, left to right, hex.
    pub after: Vec<String>,
    /// Hashes of every whole block of 256 leaves within, left to right, hex: they narrow down where a change lies.
    #[serde(default)]
    pub blocks: Vec<String>,
    /// What proves that an earlier checkpoint is the beginning of this one, hex.
    #[serde(default)]
    pub consistency: Vec<String>,
}

/// What a check says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// How many events.
    pub events: u64,
    /// Of them with something erased.
    pub erased: u64,
    /// Events between them of which only hashes are told: the list is narrowed.
    pub withheld: u64,
    /// The first leaf.
    pub first: u64,
    /// The checkpoint.
    pub checkpoint: Checkpoint,
}

impl Verified {
    /// What is wrong where nothing may be withheld.
    pub fn hidden(&self) -> Finding {
        finding("dropped", None, format!("Of {} events there are only hashes, and nothing that is signed says that this list is narrowed.", self.withheld))
    }
}

/// The first thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Which kind: `changed`, `dropped`, `inserted`, `reordered`, `duplicated`, `unreadable`, `wrong_key`, `wrong_checkpoint`, `wrong_range`,
    /// `rewritten`, `unproved`.
    pub kind: &'static str,
    /// The line, counted from 1; none when it is not about one.
    pub line: Option<u64>,
    /// A sentence.
    pub sentence: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}: {} ({})", self.sentence, self.kind),
            None => write!(f, "{} ({})", self.sentence, self.kind),
        }
    }
}

fn finding(kind: &'static str, line: Option<u64>, sentence: impl Into<String>) -> Finding {
    Finding { kind, line, sentence: sentence.into() }
}

/// The checkpoint of a note that `key` signed.
///
/// # Errors
/// `wrong_key` or `wrong_checkpoint`.
pub fn checkpoint(note: &str, key: &PublicKey) -> Result<Checkpoint, Finding> {
    let text = key.open(note).map_err(|error| match error {
        super::note::Error::NotSigned(_) => finding("wrong_key", None, format!("The checkpoint cannot be believed: {error}.")),
        _ => finding("wrong_checkpoint", None, format!("The checkpoint cannot be believed: {error}.")),
    })?;
    Checkpoint::parse(text).map_err(|error| finding("wrong_checkpoint", None, format!("The checkpoint cannot be read: {error}.")))
}

fn rewritten<T>(why: &str) -> Result<T, Finding> {
    Err(finding("rewritten", None, format!("The log was rewritten between the two checkpoints: {why}.")))
}

/// Whether the log of `old` is the beginning of that of `new`, as far as the two and `path` show it; [`events`] shows it of a checkpoint
/// that ends within the list without one.
///
/// # Errors
/// `rewritten`.
pub fn continues(old: &Checkpoint, new: &Checkpoint, path: &[String]) -> Result<(), Finding> {
    let path = hashes(path)?;
    if old.origin != new.origin {
        return rewritten("they are of different logs");
    }
    if old.size > new.size {
        return rewritten("the later one has fewer events");
    }
    if !is_consistent(old.size, &old.root, new.size, &new.root, &path) {
        return rewritten("the later one does not begin with the earlier one");
    }
    Ok(())
}

/// Checks the lines of `events` against `checkpoint`, and that its log begins with that of `kept`, an earlier one: by the leaves where it
/// ends within the list, else by the proof's path. `progress` is told the number of lines now and then.
///
/// # Errors
/// The first thing that is wrong; `unproved` when nothing is, but the folder does not hold what proves that it goes on from `kept`.
pub fn events(
    mut events: impl BufRead,
    proof: &Proof,
    checkpoint: Checkpoint,
    kept: Option<&Checkpoint>,
    mut progress: impl FnMut(u64),
) -> Result<Verified, Finding> {
    let number = |text: &str| text.parse::<u64>().map_err(|_| finding("wrong_range", None, "The proof does not say which leaves it is about."));
    let (first, end) = (number(&proof.first)?, number(&proof.end)?);
    if proof.v != "1" || first > end || end > checkpoint.size {
        return Err(finding("wrong_range", None, format!("The proof is about leaves {first} to {end}, and the checkpoint about {}.", checkpoint.size)));
    }
    if let Some(kept) = kept {
        if kept.origin != checkpoint.origin || kept.size > checkpoint.size || kept.size == checkpoint.size || !proof.consistency.is_empty() {
            continues(kept, &checkpoint, if kept.size == checkpoint.size { &[] } else { &proof.consistency })?;
        } else if !(first..=end).contains(&kept.size) {
            return Err(unproved());
        }
    }
    let mut edge = Edge::default();
    push_all(&mut edge, 0, first, &proof.before)?;
    let begins = |edge: &Edge| kept.is_none_or(|kept| kept.size != edge.size || kept.root == edge.root());
    if !begins(&edge) {
        return rewritten("the later one does not begin with the earlier one");
    }
    let blocks = hashes(&proof.blocks)?;
    let mut block = Block { hashes: blocks.into_iter(), next: first.next_multiple_of(BLOCK), since: 1 };
    let (mut line_no, mut at_leaf, mut erased, mut withheld) = (0u64, first, 0u64, 0u64);
    let mut met = kept.is_none_or(|kept| kept.size <= first);
    in_order(&mut events, |told| {
        line_no += 1;
        match told? {
            Told::Withheld { from, upto, hashes } => {
                if from != at_leaf || upto <= from {
                    return Err(misplaced(from, at_leaf, first, end, line_no));
                }
                if upto > end {
                    return Err(finding("inserted", Some(line_no), format!("Leaves up to {upto} are more than the proof is about.")));
                }
                let fits = push_all(&mut edge, from, upto, &hashes);
                fits.map_err(|_| finding("changed", Some(line_no), "The hashes do not fit the leaves that they stand for."))?;
                (at_leaf, withheld) = (upto, withheld + upto - from);
            }
            Told::Leaf { at, is_erased, hash } => {
                if at != at_leaf {
                    return Err(misplaced(at, at_leaf, first, end, line_no));
                }
                if at >= end {
                    return Err(finding("inserted", Some(line_no), format!("Leaf {at} is more than the proof is about.")));
                }
                let mut grown = Ok(());
                edge.push(hash?, |node, hash| {
                    if grown.is_ok() {
                        grown = block.look(node, &hash);
                    }
                });
                if let Err(from) = grown {
                    let (from, to) = (from.saturating_sub(first) + 1, line_no);
                    let sentence = format!("Something within lines {from} to {to} was changed together with its hash, or is not of this log.");
                    return Err(finding("changed", Some(from), sentence));
                }
                erased += u64::from(is_erased);
                at_leaf += 1;
            }
        }
        if !begins(&edge) {
            return rewritten(&format!("up to line {line_no} it is not what the earlier one signed"));
        }
        met |= kept.is_some_and(|kept| kept.size == edge.size);
        if line_no.is_multiple_of(10_000) {
            progress(line_no);
        }
        Ok(())
    })?;
    progress(line_no);
    if at_leaf < end {
        return Err(finding("dropped", Some(line_no + 1), format!("Leaves {at_leaf} to {} are missing at the end.", end - 1)));
    }
    push_all(&mut edge, end, checkpoint.size, &proof.after)?;
    if edge.root() != checkpoint.root {
        return Err(finding("changed", None, "The events do not make the signed root: one was changed together with its hash, or they are not of this log."));
    }
    // Within leaves of which only hashes are told its end cannot be seen.
    if !met && kept.is_some_and(|kept| kept.size != checkpoint.size) && proof.consistency.is_empty() {
        return Err(unproved());
    }
    Ok(Verified { events: end - first - withheld, erased, withheld, first, checkpoint })
}

/// What a line tells.
enum Told {
    /// An event, with what is wrong with its hash.
    Leaf { at: u64, is_erased: bool, hash: Result<Hash, Finding> },
    /// Leaves that are told of by their subtrees.
    Withheld { from: u64, upto: u64, hashes: Vec<String> },
}

/// Reads a line, and hashes the event that it tells; the work of a check.
fn read_line(line: &str, number: u64) -> Result<Told, Finding> {
    let members: Map<String, Value> = serde_json::from_str(line).map_err(|_| finding("unreadable", Some(number), "This is not an event as JSON."))?;
    // Exactly as it was written: of a name that stands in it twice a reader may see either.
    if serde_json::to_string(&members).ok().as_deref() != Some(line.trim_end_matches('\r')) {
        return Err(finding("changed", Some(number), "The line is not as it was written: a name stands in it twice, or it was put differently."));
    }
    let place = |name: &str| members.get(name).and_then(Value::as_str).and_then(|text| text.parse::<u64>().ok());
    if let Some(hashes) = members.get("withheld") {
        let (Some(from), Some(upto)) = (place("first"), place("end")) else {
            return Err(finding("unreadable", Some(number), "It does not say which leaves it stands for."));
        };
        return Ok(Told::Withheld { from, upto, hashes: serde_json::from_value(hashes.clone()).unwrap_or_default() });
    }
    let at = place("leaf_index").ok_or_else(|| finding("unreadable", Some(number), "The event has no place in the log (leaf_index)."))?;
    let stated = members.get("leaf_hash").and_then(Value::as_str).map(str::to_owned);
    let is_erased = members.get("erased").is_some_and(|erased| !erased.is_null());
    let hash = match leaf::hash(members) {
        Err(error) => Err(finding("changed", Some(number), format!("Leaf {at} was changed: {error}."))),
        Ok(hash) if stated.as_deref() == Some(hex(&hash).as_str()) => Ok(hash),
        Ok(_) => Err(finding("changed", Some(number), format!("Leaf {at} was changed: it does not have the hash that it states."))),
    };
    Ok(Told::Leaf { at, is_erased, hash })
}

/// Some lines, and the number of the first.
type Batch = (u64, Vec<String>);

/// Reads line after line on every core, and hands what each tells to `take` in order.
///
/// # Errors
/// What `take` finds first; then what could not be read.
fn in_order(events: &mut impl BufRead, mut take: impl FnMut(Result<Told, Finding>) -> Result<(), Finding>) -> Result<(), Finding> {
    let cores = std::thread::available_parallelism().map_or(2, usize::from).min(MOST_CORES);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..cores)
            .map(|_| {
                let (lines, next) = sync_channel::<Batch>(AHEAD);
                let (told, read) = sync_channel(AHEAD);
                scope.spawn(move || {
                    while let Ok((first, lines)) = next.recv() {
                        let all: Vec<_> = (first..).zip(&lines).map(|(number, line)| read_line(line, number)).collect();
                        if told.send(all).is_err() {
                            return;
                        }
                    }
                });
                (lines, read)
            })
            .collect();
        let (mut sent, mut taken, mut number, mut end) = (0, 0, 1, None);
        loop {
            while end.is_none() && sent - taken < cores * AHEAD {
                let (lines, ended) = batch(events, number);
                number += lines.len() as u64;
                end = ended;
                if let Some((to, _)) = workers.get(sent % cores).filter(|_| !lines.is_empty()) {
                    to.send((number - lines.len() as u64, lines)).map_err(|_| stopped())?;
                    sent += 1;
                }
            }
            if sent == taken {
                break;
            }
            if let Some((_, from)) = workers.get(taken % cores) {
                from.recv().map_err(|_| stopped())?.into_iter().try_for_each(&mut take)?;
            }
            taken += 1;
        }
        end.unwrap_or(Ok(()))
    })
}

fn stopped() -> Finding {
    finding("unreadable", None, "The check stopped half way.")
}

/// The next lines, and how the file ended if it did.
fn batch(events: &mut impl BufRead, first: u64) -> (Vec<String>, Option<Result<(), Finding>>) {
    let (mut lines, mut bytes) = (Vec::new(), 0);
    while lines.len() < BATCH && bytes < BATCH_BYTES {
        let mut line = String::new();
        match (&mut *events).take_line(&mut line) {
            Ok(true) => {
                bytes += line.len();
                lines.push(line);
            }
            Ok(false) => return (lines, Some(Ok(()))),
            Err(why) => {
                let number = first + lines.len() as u64;
                return (lines, Some(Err(finding("unreadable", Some(number), why))));
            }
        }
    }
    (lines, None)
}

fn unproved() -> Finding {
    let sentence = "Nothing here shows that the log goes on from your checkpoint; have the list written with `countersign log --checkpoint FILE`.";
    finding("unproved", None, sentence)
}

fn misplaced(at: u64, expected: u64, first: u64, end: u64, line: u64) -> Finding {
    let line = Some(line);
    match at {
        _ if at + 1 == expected => finding("duplicated", line, format!("Leaf {at} is there twice.")),
        _ if at < first || at >= end => {
            finding("inserted", line, format!("Leaf {at} does not belong here: the list is of leaves {first} to {}.", end.saturating_sub(1)))
        }
        _ if at < expected => finding("reordered", line, format!("Leaf {at} stands where leaf {expected} belongs.")),
        _ if at == expected + 1 => finding("dropped", line, format!("Leaf {expected} is missing, or stands elsewhere.")),
        _ => finding("dropped", line, format!("Leaves {expected} to {} are missing, or stand elsewhere.", at - 1)),
    }
}

struct Block {
    hashes: std::vec::IntoIter<Hash>,
    /// The leaf at which the next whole block begins.
    next: u64,
    since: u64,
}

impl Block {
    /// Holds a whole block against what the proof says; the first leaf of one that differs.
    fn look(&mut self, node: Node, hash: &Hash) -> Result<(), u64> {
        if 1 << node.level != BLOCK || node.index * BLOCK != self.next {
            return Ok(());
        }
        let from = self.next;
        self.next += BLOCK;
        self.since += BLOCK;
        match self.hashes.next() {
            Some(stated) if stated != *hash => Err(from),
            _ => Ok(()),
        }
    }
}

fn push_all(edge: &mut Edge, from: u64, to: u64, told: &[String]) -> Result<(), Finding> {
    let (parts, told) = (parts(from, to), hashes(told)?);
    if parts.len() != told.len() {
        return Err(finding("wrong_range", None, "The proof does not fit the size of the log."));
    }
    for (part, hash) in parts.into_iter().zip(told) {
        push_subtree(edge, part, hash);
    }
    Ok(())
}

/// Appends a perfect subtree; the edge's size is a multiple of its leaves.
fn push_subtree(edge: &mut Edge, part: Node, mut hash: Hash) {
    let mut level = part.level;
    while edge.size >> level & 1 == 1 {
        let Some(left) = edge.hashes.pop() else { break };
        hash = node_hash(&left, &hash);
        level += 1;
    }
    edge.hashes.push(hash);
    edge.size += 1 << part.level;
}

fn hashes(told: &[String]) -> Result<Vec<Hash>, Finding> {
    told.iter()
        .map(|text| leaf::bytes(text).and_then(|bytes| Hash::try_from(bytes).ok()))
        .collect::<Option<Vec<Hash>>>()
        .ok_or_else(|| finding("wrong_range", None, "The proof holds something that is no hash."))
}

trait Lines {
    /// The next line, without its end; false at the end of the file.
    fn take_line(self, into: &mut String) -> Result<bool, String>;
}

impl<R: BufRead> Lines for &mut R {
    fn take_line(self, into: &mut String) -> Result<bool, String> {
        let mut bytes = Vec::new();
        loop {
            let buffer = self.fill_buf().map_err(|error| format!("It cannot be read: {error}."))?;
            if buffer.is_empty() {
                break;
            }
            let end = buffer.iter().position(|byte| *byte == b'\n');
            let taken = end.unwrap_or(buffer.len());
            if bytes.len() + taken > LONGEST_LINE {
                return Err(format!("It is longer than {LONGEST_LINE} bytes."));
            }
            bytes.extend_from_slice(&buffer[..taken]);
            let consumed = taken + usize::from(end.is_some());
            self.consume(consumed);
            if end.is_some() {
                let text = std::str::from_utf8(&bytes).map_err(|_| "It is not UTF-8.".to_owned())?;
                into.push_str(text);
                return Ok(true);
            }
        }
        if bytes.is_empty() {
            return Ok(false);
        }
        let text = std::str::from_utf8(&bytes).map_err(|_| "It is not UTF-8.".to_owned())?;
        into.push_str(text);
        Ok(true)
    }
}

#[cfg(test)]
mod tests;
