//! `countersign verify`: checks evidence offline.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use countersign::evidence::bundle::{self, Checked, Fault, Shown, Source};
use countersign::evidence::note::PublicKey;
use countersign::evidence::rotation::{Rotation, Trusted, follow};

use super::failure::Failure;

/// Which keys followed one another; there when the key was ever changed.
const ROTATIONS: &str = "rotations.json";

/// Check evidence offline: that nothing in a bundle, in a file of one, or in an event list was changed, dropped, added or moved.
#[derive(Args)]
pub struct Verify {
    /// A bundle as it was taken or unpacked, a table in one, the folder that `countersign log` wrote, or the events.jsonl in it.
    path: PathBuf,
    /// The key to believe, from somebody you trust. Without it the one beside the files is used, which shows only that they fit themselves.
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
        let shows = std::io::stderr().is_terminal();
        let checked = self.check(&mut |file: &str, rows: u64| {
            if shows {
                eprint!("\r\x1b[K{file}: {rows} rows");
            }
        })?;
        if shows {
            eprintln!();
        }
        Ok(match checked {
            Ok((keys, shown)) => {
                self.tell(&keys, &shown);
                ExitCode::SUCCESS
            }
            Err(fault) => {
                println!("NOT verified: {fault}");
                ExitCode::FAILURE
            }
        })
    }

    fn check(&self, progress: &mut impl FnMut(&str, u64)) -> Result<Result<(Vec<Trusted>, Shown), Fault>, Failure> {
        // A table or the event list stands for the folder it is in, and is the only one to be looked at.
        let name = self.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let only = !self.path.is_dir() && (name.ends_with(".csv") || name.ends_with(".jsonl"));
        if !self.path.exists() {
            return Err(Failure(format!("there is no {}", self.path.display())));
        }
        let source = match if only { self.path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new(".")) } else { &self.path } {
            folder if only => Source::Folder(folder.to_path_buf()),
            path => match Source::open(path) {
                Ok(source) => source,
                Err(fault) => return Ok(Err(fault)),
            },
        };
        let text = match &self.key {
            Some(file) => std::fs::read_to_string(file).map_err(|error| Failure(format!("{}: {error}", file.display())))?,
            None => match source.text("key") {
                Ok(text) => text,
                Err(fault) => return Ok(Err(fault)),
            },
        };
        let given = PublicKey::parse(&text).map_err(|error| Failure(error.to_string()))?;
        // An older key is good for a newer one where the log shows that it named it.
        let rotations: Vec<Rotation> = match source.file(ROTATIONS) {
            Ok(None) => vec![],
            Ok(Some(_)) => match source.text(ROTATIONS) {
                Ok(text) => serde_json::from_str(&text).map_err(|error| Failure(format!("{ROTATIONS}: {error}")))?,
                Err(fault) => return Ok(Err(fault)),
            },
            Err(fault) => return Ok(Err(fault)),
        };
        let keys = match follow(given, &rotations) {
            Ok(keys) => keys,
            Err(finding) => return Ok(Err(Fault { file: ROTATIONS.into(), finding })),
        };
        let kept = match &self.checkpoint {
            Some(file) => {
                let note = std::fs::read_to_string(file).map_err(|error| Failure(format!("{}: {error}", file.display())))?;
                match bundle::checkpoint(&note, &keys, &file.display().to_string()) {
                    Ok(kept) => Some(kept),
                    Err(fault) => return Ok(Err(fault)),
                }
            }
            None => None,
        };
        let shown = bundle::look(&source, only.then_some(&name), &keys, kept.as_ref(), progress);
        Ok(shown.map(|shown| (keys, shown)).map_err(hinted))
    }

    fn tell(&self, keys: &[Trusted], shown: &Shown) {
        let [Trusted { key: given, .. }, .., Trusted { key, .. }] = keys else { return self.tell_of(&keys[0].key, shown) };
        self.tell_of(key, shown);
        println!("Your key {given} was changed meanwhile: the log shows that it named {key}. Keep that one from now on.");
    }

    fn tell_of(&self, key: &PublicKey, shown: &Shown) {
        match shown {
            Shown::Bundle(checked) | Shown::Table(checked) => {
                let manifest = &checked.manifest;
                let rows: u64 = checked.files.iter().map(|(_, rows)| rows).sum();
                let files = checked.files.len();
                println!("Verified: {files} {}, {rows} rows, signed by {}.", if files == 1 { "file" } else { "files" }, key.name());
                println!("Period: {} to {}; frozen {}.", manifest.from.as_deref().unwrap_or("the beginning"), manifest.to, manifest.frozen_at);
                let narrowed = [("application", &manifest.application), ("role", &manifest.role), ("person", &manifest.person)];
                for (what, id) in narrowed.iter().filter_map(|(what, id)| id.as_ref().map(|id| (what, id))) {
                    println!("Only of the {what} {id}.");
                }
                if manifest.replayed.1 > 0 {
                    println!("{} of {} decisions do not come out as stored; see replay.csv.", manifest.replayed.1, manifest.replayed.0);
                }
            }
            Shown::List(_) => {}
        }
        match shown {
            Shown::Table(_) => println!("Only this file was looked at; whether the log holds what it says is shown by the whole bundle."),
            Shown::List(all) | Shown::Bundle(Checked { events: Some(all), .. }) => {
                println!(
                    "Verified: {} events, leaves {} to {} of {}, signed by {} on {}.",
                    all.events,
                    all.first,
                    (all.first + all.events + all.withheld).saturating_sub(1),
                    all.checkpoint.size,
                    key.name(),
                    all.checkpoint.at.format("%Y-%m-%d %H:%M:%S UTC")
                );
                if all.withheld > 0 {
                    println!(
                        "Of {} events between them there are only hashes: the list is narrowed, and does not show that none of its own was left out.",
                        all.withheld
                    );
                }
                if self.checkpoint.is_some() {
                    println!("It begins with what your checkpoint signed.");
                }
                if all.erased > 0 {
                    println!("In {} of them personal data was erased; their place and the rest of them are proved all the same.", all.erased);
                }
            }
            Shown::Bundle(_) => {}
        }
        if self.key.is_none() {
            println!("The key is the one beside the files. Give --key with one from somebody you trust to know who signed.");
        }
    }
}

/// With what to do about another key.
fn hinted(mut fault: Fault) -> Fault {
    if fault.finding.kind == "wrong_key" {
        let hint = format!(" If its key was changed since, ask for files with `{ROTATIONS}`, or give the key of that time.");
        fault.finding.sentence.push_str(&hint);
    }
    fault
}
