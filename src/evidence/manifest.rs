//! What a bundle says of itself, signed.
//!
//! The manifest names every file with its rows, bytes and hash. It is tied to the log by a signed note beside it: the key that signs the
//! log's checkpoints signs the manifest's hash, under a first line that no checkpoint can have.

use serde::{Deserialize, Serialize};

use super::canonical::hex;
use super::leaf;
use super::note::PublicKey;
use super::rows::{Digested, Mark};

/// The manifest's name in a bundle.
pub const NAME: &str = "manifest.json";
/// The name of the signed note beside it.
pub const NOTE: &str = "manifest.note";
/// The form's version.
pub const VERSION: &str = "1";
/// The first line of the note: what is signed is a manifest and nothing else.
const SAYS: &str = "countersign manifest v1";

/// Everything a bundle says of itself. Times are RFC 3339, UTC; ids are text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The form's version, `1`.
    pub v: String,
    /// What made it.
    pub generator: String,
    /// Its version.
    pub version: String,
    /// The log it is of: the name in its key and its checkpoints.
    pub instance: String,
    /// Who took it: a person's id, `operator` for the command line, `system` for a timetable.
    pub exported_by: String,
    /// Through which door.
    pub channel: String,
    /// When.
    pub exported_at: String,
    /// The event that says so; it is in the event list.
    pub export_event: Option<String>,
    /// From when on; none: from the beginning.
    pub from: Option<String>,
    /// Before when. Nothing after the population was frozen is in it.
    pub to: String,
    /// The moment of what is as of a moment.
    pub as_of: String,
    /// Only of this application.
    pub application: Option<String>,
    /// Only of this role.
    pub role: Option<String>,
    /// Only of this person.
    pub person: Option<String>,
    /// `raw`, or `safe` for spreadsheets.
    pub mode: String,
    /// When the population was frozen: every table is as it was then.
    pub frozen_at: String,
    /// Which transactions that holds, as Postgres names it.
    pub snapshot: String,
    /// The size of the log that the checkpoint beside it signs.
    pub checkpoint_size: String,
    /// The root that it signs, hex.
    pub checkpoint_root: String,
    /// The first leaf of the event list.
    pub first: String,
    /// One past its last.
    pub end: String,
    /// How each directory was last read.
    pub directories: Vec<Directory>,
    /// Which controls it is evidence for.
    pub controls: Vec<Control>,
    /// How many decisions were made again, and how many of them came out otherwise.
    pub replayed: (u64, u64),
    /// The files.
    pub files: Vec<FileEntry>,
}

/// How a directory was last read when the population was frozen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Directory {
    /// Its key.
    pub directory: String,
    /// The event of its newest full reading.
    pub sync_id: Option<String>,
    /// When that was.
    pub synced_at: Option<String>,
    /// When it was last asked what had changed.
    pub changes_at: Option<String>,
    /// When a group of it was last compared with what was granted.
    pub compared_at: Option<String>,
}

/// A control, and where its evidence is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Control {
    /// As the standards call it.
    pub control: String,
    /// What is asked.
    pub question: String,
    /// In which files.
    pub files: Vec<String>,
    /// What to look at first.
    pub exceptions: String,
}

/// A file of the bundle.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Its name.
    pub name: String,
    /// What it holds.
    pub holds: String,
    /// Version of its columns; none for what is no table.
    pub columns: Option<String>,
    /// The query it was made by.
    pub query: Option<String>,
    /// Rows; of a table without its header.
    pub rows: u64,
    /// Bytes.
    pub bytes: u64,
    /// SHA-256 of it, hex.
    pub sha256: String,
    /// Each mark is of `2^level` rows, the header being the first.
    pub level: u32,
    /// Marks of its rows in order, hex: they narrow down where a change lies.
    pub marks: Vec<String>,
}

impl FileEntry {
    /// Of a file that passed.
    pub fn new(name: &str, holds: &str, columns: Option<String>, query: Option<String>, digested: Digested) -> Self {
        let Digested { rows, bytes, sha256, level, marks } = digested;
        Self { name: name.into(), holds: holds.into(), columns, query, rows, bytes, sha256, level, marks: marks.iter().map(|mark| hex(mark)).collect() }
    }

    /// What is said of its bytes; none when a mark is none.
    pub fn digested(&self) -> Option<Digested> {
        let marks = self.marks.iter().map(|mark| leaf::bytes(mark).and_then(|bytes| Mark::try_from(bytes).ok())).collect::<Option<Vec<Mark>>>()?;
        Some(Digested { rows: self.rows, bytes: self.bytes, sha256: self.sha256.clone(), level: self.level, marks })
    }
}

/// The text that is signed for a manifest whose bytes have this SHA-256.
pub fn statement(sha256: &str) -> String {
    format!("{SAYS}\n{sha256}\n")
}

/// The SHA-256 of the manifest that a note signs.
///
/// # Errors
/// When `key` has not signed it, or it is about something else.
pub fn stated(note: &str, key: &PublicKey) -> Result<String, super::note::Error> {
    let text = key.open(note)?;
    let hash = text.strip_prefix(SAYS).and_then(|rest| rest.strip_prefix('\n')).and_then(|rest| rest.strip_suffix('\n'));
    hash.filter(|hash| hash.len() == 64).map(str::to_owned).ok_or(super::note::Error::Malformed("it is about something else than a manifest"))
}

/// The controls that a bundle is evidence for.
pub const CONTROLS: [(&str, &str, &[&str], &str); 9] = [
    (
        "SOC 2 CC6.2, ISO 27001 A.5.18: granting",
        "Was each grant approved before access began, by somebody allowed to, and under which rule?",
        &["grants.csv", "approvals.csv"],
        "approval_before_grant is false; drift that was adopted",
    ),
    (
        "SOC 2 CC6.3, ISO 27001 A.5.3: least privilege, separation of duties",
        "Does anybody hold more than they need, or what must be kept apart?",
        &["requests.csv", "sod.csv"],
        "exceptions; the longest durations",
    ),
    ("SOC 2 CC6.2, ISO 27001 A.6.5: leaving", "Was everything of who left removed within the limit?", &["leavers.csv"], "within_sla is false"),
    ("SOC 2 CC6.3: moving", "Was access removed when the job changed?", &["movers.csv"], "kept_by is not empty"),
    (
        "SOC 2 CC6.1, ISO 27001 A.5.15: access",
        "Who has access, and why?",
        &["access.csv", "drift.csv"],
        "source is out_of_band; never reviewed, or not in 90 days",
    ),
    (
        "ISO 27001 A.8.2: privileged access",
        "Is privileged access limited in time?",
        &["grants.csv", "requests.csv"],
        "ends_at is empty; extended; emergency without review",
    ),
    (
        "ISO 27001 A.5.18: review",
        "Was access reviewed in time, by others, and removed?",
        &["reviews.csv"],
        "overdue; reviewed by the holder; removal not verified",
    ),
    (
        "Completeness and accuracy",
        "Is this all of it, and is it right?",
        &["manifest.json", "control_totals.csv", "replay.csv"],
        "difference is not 0; equal is false",
    ),
    ("Change control", "Who may change the rules, and who agreed?", &["policy_changes.csv", "admin_activity.csv"], "approver is empty or the author"),
];

/// [`CONTROLS`] as a manifest has them.
pub fn controls() -> Vec<Control> {
    CONTROLS
        .iter()
        .map(|(control, question, files, exceptions)| Control {
            control: (*control).into(),
            question: (*question).into(),
            files: files.iter().map(|file| (*file).to_owned()).collect(),
            exceptions: (*exceptions).into(),
        })
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::evidence::columns::File;
    use crate::evidence::note::{Checkpoint, PrivateKey};

    #[test]
    fn a_manifest_is_signed_as_a_manifest_and_no_checkpoint_is_one() {
        let key = PrivateKey::new("access.example.com/log", [7; 32]).unwrap();
        let hash = "ab".repeat(32);
        assert_eq!(stated(&key.sign(&statement(&hash)), &key.public()).unwrap(), hash);
        let checkpoint = Checkpoint { origin: key.public().name().into(), size: 1, root: [1; 32], at: chrono::DateTime::UNIX_EPOCH };
        assert!(stated(&key.sign(&checkpoint.text()), &key.public()).is_err());
        assert!(Checkpoint::parse(&statement(&hash)).is_err(), "and no manifest is a checkpoint");
        assert!(stated(&key.sign(&statement("short")), &key.public()).is_err());
        let other = PrivateKey::new("access.example.com/log", [8; 32]).unwrap();
        assert!(stated(&other.sign(&statement(&hash)), &key.public()).is_err());
    }

    #[test]
    fn every_file_that_a_control_names_is_in_a_bundle() {
        for (_, _, files, _) in CONTROLS {
            for file in files {
                let known = File::of_bundle().any(|known| known.name() == **file) || ["manifest.json", "replay.csv"].contains(file);
                assert!(known, "{file}");
            }
        }
    }
}
