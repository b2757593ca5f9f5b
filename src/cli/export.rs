//! `countersign export`: a file of evidence, from the command line.

use std::path::PathBuf;
use std::process::ExitCode;

use chrono::{DateTime, NaiveDate, Utc};
use clap::Args;
use countersign::evidence::columns::File;
use countersign::evidence::csv::Mode;
use countersign::service::export::{Taking, export_by_operator};
use countersign::service::look::find;
use tokio::io::AsyncWriteExt;

use super::failure::Failure;
use super::wire::{self, Chosen};

/// Write a CSV file from the log and the tables.
#[derive(Args)]
pub struct Export {
    /// requests, approvals, grants, events, policy_changes, sod, provisioning or drift.
    file: String,
    /// From this day (UTC) or time on: 2026-01-31 or 2026-01-31T08:00:00Z.
    #[arg(long)]
    from: Option<String>,
    /// Before this day (UTC) or time.
    #[arg(long)]
    to: Option<String>,
    /// Only of this application, by its key.
    #[arg(long)]
    application: Option<String>,
    /// Only of this role: APPLICATION/ROLE, by their keys.
    #[arg(long)]
    role: Option<String>,
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
        let file =
            File::parse(&self.file).ok_or_else(|| Failure(format!("there is no file {}: these are {}", self.file, File::ALL.map(File::word).join(", "))))?;
        let mode = Mode::parse(&self.mode).ok_or_else(|| Failure(format!("--mode {}: raw or safe is wanted", self.mode)))?;
        let (from, to) = (moment(&self.from, "from")?, moment(&self.to, "to")?);
        wire::with(chosen, async |ctx| {
            let application = match &self.application {
                Some(key) => Some(find::application(ctx, key).await?.ok_or_else(|| Failure(format!("there is no application {key}")))?),
                None => None,
            };
            let role = match &self.role {
                Some(key) => Some(find::role(ctx, key).await?.ok_or_else(|| Failure(format!("there is no role {key}; write APPLICATION/ROLE")))?),
                None => None,
            };
            let mut download = export_by_operator(ctx, &Taking { file, mode, from, to, application, role, person: None }).await?;
            match &self.out {
                Some(path) => {
                    let bytes = download.save(path).await?;
                    eprintln!("{}: {bytes} bytes", path.display());
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
