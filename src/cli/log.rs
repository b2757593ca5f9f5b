//! `countersign log`: the event list with its proof.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use countersign::domain::event::{Actor, Channel};
use countersign::service::bundle::VERIFY;
use countersign::service::event_list::{lines, prepare};
use countersign::service::seal;
use tokio::io::AsyncWriteExt;

use super::export::moment;
use super::failure::Failure;
use super::wire::{self, Chosen};

/// Write the event list into a folder, with what proves it: `countersign verify FOLDER` checks it anywhere.
#[derive(Args)]
pub struct Log {
    /// From this day (UTC) or time on: 2026-01-31 or 2026-01-31T08:00:00Z. Needs --to; without both the whole log.
    #[arg(long, requires = "to")]
    from: Option<String>,
    /// Before this day (UTC) or time.
    #[arg(long, requires = "from")]
    to: Option<String>,
    /// A checkpoint that somebody kept: what proves that the log goes on from it is written too.
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    /// The folder to write into; it is made, and must not be there.
    #[arg(long)]
    out: PathBuf,
}

/// Say that an older state of the log is the true one, after a backup was restored: sealing goes on from there, and the log says so.
#[derive(Args)]
pub struct Restored {
    /// Why, for the log.
    reason: String,
}

impl Log {
    /// Writes `events.jsonl`, `checkpoint`, `proof.json`, `key`, `VERIFY.md` and, when the key was changed, `rotations.json`; the log says that it was taken.
    pub async fn run(&self, chosen: &Chosen) -> Result<ExitCode, Failure> {
        let period = moment(&self.from, "from")?.zip(moment(&self.to, "to")?);
        wire::with(chosen, async |ctx| {
            let kept = match &self.checkpoint {
                Some(file) => Some(tokio::fs::read_to_string(file).await.map_err(|error| Failure(format!("{}: {error}", file.display())))?),
                None => None,
            };
            let list = prepare(ctx, period, kept.as_deref(), Actor::System, Channel::Cli).await?;
            tokio::fs::create_dir(&self.out).await.map_err(|error| Failure(format!("{}: {error}", self.out.display())))?;
            let mut out = tokio::io::BufWriter::new(tokio::fs::File::create(self.out.join("events.jsonl")).await?);
            let mut at = list.first;
            while let Some((text, next)) = lines(ctx, &list, at).await? {
                out.write_all(text.as_bytes()).await?;
                at = next;
                eprint!("\r{} of {} events", at - list.first, list.end - list.first);
            }
            eprintln!();
            out.flush().await?;
            let proof = serde_json::to_string_pretty(&list.proof).map_err(|error| Failure(error.to_string()))?;
            for (name, text) in [("checkpoint", list.note.as_str()), ("proof.json", &proof), ("key", &list.key), ("VERIFY.md", VERIFY)] {
                tokio::fs::write(self.out.join(name), text).await?;
            }
            if !list.rotations.is_empty() {
                let rotations = serde_json::to_string_pretty(&list.rotations).map_err(|error| Failure(error.to_string()))?;
                tokio::fs::write(self.out.join("rotations.json"), rotations).await?;
            }
            eprintln!("{}: check it with `countersign verify {}`", self.out.display(), self.out.display());
            Ok(ExitCode::SUCCESS)
        })
        .await
    }
}

impl Restored {
    /// Writes the event and seals.
    pub async fn run(&self, chosen: &Chosen) -> Result<ExitCode, Failure> {
        wire::with(chosen, async |ctx| {
            seal::accept(ctx, &self.reason).await?;
            eprintln!("The log goes on from what the database holds; it says that it was restored, and what was signed before.");
            Ok(ExitCode::SUCCESS)
        })
        .await
    }
}
