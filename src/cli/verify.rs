//! `countersign verify`: checks evidence offline.

use std::io::{BufReader, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use countersign::evidence::note::{Checkpoint, PublicKey};
use countersign::evidence::rotation::{Rotation, follow};
use countersign::evidence::verify::{Finding, Proof, checkpoint, events};

use super::failure::Failure;

/// The longest file beside the event list that is read, in bytes.
const LONGEST: u64 = 64 << 20;

/// Check an event list offline: that nothing in it was changed, dropped, added or moved since it was signed.
#[derive(Args)]
pub struct Verify {
    /// The folder that `countersign log` wrote, or the events.jsonl in it.
    path: PathBuf,
    /// The key to believe, from somebody you trust. Without it the one in the folder is used, which shows only that the folder fits itself.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// A checkpoint that you kept: this log must begin with what it signed. The whole log shows it; of a period, have the list written
    /// with the same option.
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
}

impl Verify {
    /// Exits with 0 when all is well, with 1 when something is not, and says what and where.
    pub fn run(&self) -> Result<ExitCode, Failure> {
        let folder = if self.path.is_dir() { self.path.as_path() } else { self.path.parent().unwrap_or(Path::new(".")) };
        let list = if self.path.is_dir() { self.path.join("events.jsonl") } else { self.path.clone() };
        let given = PublicKey::parse(&read(self.key.as_deref().unwrap_or(&folder.join("key")))?).map_err(|error| Failure(error.to_string()))?;
        // An older key is good for a newer one where the log shows that it named it.
        let rotations: Vec<Rotation> = match folder.join("rotations.json") {
            file if file.exists() => serde_json::from_str(&read(&file)?).map_err(|error| Failure(format!("rotations.json: {error}")))?,
            _ => vec![],
        };
        let keys = match follow(given, &rotations) {
            Ok(keys) => keys,
            Err(finding) => {
                println!("NOT verified: {finding}");
                return Ok(ExitCode::FAILURE);
            }
        };
        let proof: Proof = serde_json::from_str(&read(&folder.join("proof.json"))?).map_err(|error| Failure(format!("proof.json: {error}")))?;
        let note = read(&folder.join("checkpoint"))?;
        let file = std::fs::File::open(&list).map_err(|error| Failure(format!("{}: {error}", list.display())))?;
        let shows = std::io::stderr().is_terminal();
        let checked = by_any(&note, &keys).and_then(|(signed, key)| {
            let kept = self.checkpoint.as_ref().map(|kept| {
                let kept = read(kept).map_err(|failure| Finding { kind: "wrong_checkpoint", line: None, sentence: failure.to_string() })?;
                by_any(&kept, &keys).map(|(kept, _)| kept)
            });
            let kept = kept.transpose()?;
            let all = events(BufReader::with_capacity(1 << 20, file), &proof, signed, kept.as_ref(), |lines| {
                if shows {
                    eprint!("\r{lines} events");
                }
            });
            all.map(|all| (all, key))
        });
        if shows {
            eprintln!();
        }
        Ok(match checked {
            Ok((all, key)) => {
                println!(
                    "Verified: {} events, leaves {} to {} of {}, signed by {} on {}.",
                    all.events,
                    all.first,
                    (all.first + all.events).saturating_sub(1),
                    all.checkpoint.size,
                    key.name(),
                    all.checkpoint.at.format("%Y-%m-%d %H:%M:%S UTC")
                );
                if keys[0] != *key {
                    println!("Your key {} was changed meanwhile: the log shows that it named {key}. Keep that one from now on.", keys[0]);
                }
                if self.checkpoint.is_some() {
                    println!("It begins with what your checkpoint signed.");
                }
                if all.erased > 0 {
                    println!("In {} of them personal data was erased; their place and the rest of them are proved all the same.", all.erased);
                }
                if self.key.is_none() {
                    println!("The key is the folder's own. Give --key with one from somebody you trust to know who signed.");
                }
                ExitCode::SUCCESS
            }
            Err(finding) => {
                println!("NOT verified: {finding}");
                ExitCode::FAILURE
            }
        })
    }
}

/// The checkpoint of a note, by the last of `keys` that signed it.
fn by_any<'a>(note: &str, keys: &'a [PublicKey]) -> Result<(Checkpoint, &'a PublicKey), Finding> {
    let mut wrong = None;
    for key in keys.iter().rev() {
        match checkpoint(note, key) {
            Ok(signed) => return Ok((signed, key)),
            Err(finding) => wrong = Some(finding),
        }
    }
    let mut finding = wrong.unwrap_or_else(|| Finding { kind: "wrong_key", line: None, sentence: "There is no key.".into() });
    if finding.kind == "wrong_key" {
        finding.sentence.push_str(" If its key was changed since, ask for a folder that holds `rotations.json`, or give the key of that time.");
    }
    Err(finding)
}

fn read(path: &Path) -> Result<String, Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure(format!("{}: {error}", path.display()));
    if std::fs::metadata(path).map_err(|error| failed(&error))?.len() > LONGEST {
        return Err(failed(&"the file is too long"));
    }
    std::fs::read_to_string(path).map_err(|error| failed(&error))
}
