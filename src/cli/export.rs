//! `countersign export`: a file of evidence, from the command line.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use chrono::{DateTime, NaiveDate, Utc};
use clap::Args;
use countersign::evidence::columns::File;
use countersign::evidence::csv::Mode;
use countersign::service::bundle::{Progress, bundle_by_operator};
use countersign::service::export::{Taking, export_by_operator};
use countersign::service::look::find;
use tokio::io::AsyncWriteExt;
use tokio::time::Duration;

use super::failure::Failure;
use super::wire::{self, Chosen};

/// Write a file of evidence, or a bundle of all of them with what proves it: `countersign verify` checks it anywhere.
#[derive(Args)]
pub struct Export {
    /// requests, approvals, grants, access, leavers, movers, provisioning, drift, events, policy_changes, reviews, sod, admin_activity or
    /// control_totals; or bundle, for all of them in one zip with the event list, a manifest and proofs.
    file: String,
    /// From this day (UTC) or time on: 2026-01-31 or 2026-01-31T08:00:00Z.
    #[arg(long)]
    from: Option<String>,
    /// Before this day (UTC) or time.
    #[arg(long)]
    to: Option<String>,
    /// The moment of `access`; now when left out. The same as --to.
    #[arg(long, conflicts_with = "to")]
    as_of: Option<String>,
    /// Only of this application, by its key.
    #[arg(long)]
    application: Option<String>,
    /// Only of this role: APPLICATION/ROLE, by their keys.
    #[arg(long)]
    role: Option<String>,
    /// Only of this person, by login.
    #[arg(long)]
    person: Option<String>,
    /// raw, or safe for spreadsheets.
    #[arg(long, default_value = "raw")]
    mode: String,
    /// Where to write; standard output when left out. The file appears only when it is whole.
    #[arg(long)]
    out: Option<PathBuf>,
}

/// The time that a text of a day or a time means.
pub fn moment(text: &Option<String>, name: &str) -> Result<Option<DateTime<Utc>>, Failure> {
    let Some(text) = text else { return Ok(None) };
    if let Ok(day) = text.parse::<NaiveDate>() {
        return Ok(day.and_hms_opt(0, 0, 0).map(|time| time.and_utc()));
    }
    let parsed = DateTime::parse_from_rfc3339(text)
        .map_err(|_| Failure(format!("--{name} {text}: a day like 2026-01-31 or a time like 2026-01-31T08:00:00Z is wanted")))?;
    Ok(Some(parsed.to_utc()))
}

impl Export {
    /// Writes the file; the log says that it was taken.
    pub async fn run(&self, chosen: &Chosen) -> Result<ExitCode, Failure> {
        let file = match self.file.as_str() {
            "bundle" => None,
            word => {
                let none = || Failure(format!("there is no file {word}: these are {}, and bundle", File::ALL.map(File::word).join(", ")));
                Some(File::parse(word).ok_or_else(none)?)
            }
        };
        if file.is_none() && self.out.is_none() {
            return Err(Failure("a bundle is written to a file: say which with --out".into()));
        }
        let mode = Mode::parse(&self.mode).ok_or_else(|| Failure(format!("--mode {}: raw or safe is wanted", self.mode)))?;
        let (from, to) = (moment(&self.from, "from")?, moment(&self.to, "to")?.or(moment(&self.as_of, "as-of")?));
        wire::with(chosen, async |ctx| {
            let application = match &self.application {
                Some(key) => Some(find::application(ctx, key).await?.ok_or_else(|| Failure(format!("there is no application {key}")))?),
                None => None,
            };
            let role = match &self.role {
                Some(key) => Some(find::role(ctx, key).await?.ok_or_else(|| Failure(format!("there is no role {key}; write APPLICATION/ROLE")))?),
                None => None,
            };
            let person = match &self.person {
                Some(login) => Some(find::person(ctx, login).await?.ok_or_else(|| Failure(format!("there is nobody who signs in as {login}")))?),
                None => None,
            };
            let taking = Taking { file: file.unwrap_or(File::Requests), mode, from, to, application, role, person };
            let (mut download, progress) = match file {
                Some(_) => (export_by_operator(ctx, &taking).await?, None),
                None => bundle_by_operator(ctx, &taking).await.map(|(download, progress)| (download, Some(progress)))?,
            };
            match &self.out {
                Some(path) => {
                    let shown = progress.filter(|_| std::io::stderr().is_terminal()).map(|progress| tokio::spawn(show(progress)));
                    let saved = download.save(path).await;
                    if let Some(shown) = shown {
                        shown.abort();
                        eprintln!();
                    }
                    eprintln!("{}: {} bytes", path.display(), saved?);
                }
                None => {
                    let mut out = tokio::io::stdout();
                    while let Some(piece) = download.next().await {
                        out.write_all(&piece?).await?;
                    }
                    out.flush().await?;
                }
            }
            Ok(ExitCode::SUCCESS)
        })
        .await
    }
}

/// Shows how far a bundle is, on one line.
async fn show(progress: Progress) {
    loop {
        let step = progress.seen();
        eprint!("\r\x1b[K{} of {}: {}, {} rows", step.nth, step.of, step.file, step.rows);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
