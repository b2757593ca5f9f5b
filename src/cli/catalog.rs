//! `countersign plan`, `apply` and `catalog`: policies as code.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use countersign::domain::event::{Actor, Channel};
use countersign::domain::span::Seconds;
use countersign::service::change::submit::{Outcome, submit};
use countersign::service::health::compare;
use countersign::service::{catalog_export, rule_book};
use tokio::io::AsyncWriteExt;

use super::failure::Failure;
use super::what_if;
use super::wire::{self, Chosen};

/// Show what a catalog file would change, and everything wrong with it.
#[derive(Args)]
pub struct Plan {
    /// The catalog file (TOML).
    file: PathBuf,
    /// Also decide the requests of this last while (90d) again under the file's rules, and say which would come out otherwise.
    #[arg(long, value_name = "DURATION")]
    what_if: Option<String>,
    /// With --what-if: write each request that would come out otherwise into this CSV file.
    #[arg(long, value_name = "FILE", requires = "what_if")]
    each: Option<PathBuf>,
}

/// Apply a catalog file; where a second person is required, propose it.
#[derive(Args)]
pub struct Apply {
    /// The catalog file (TOML).
    file: PathBuf,
}

/// Write the catalog as the file that reads back to it.
#[derive(Args)]
pub struct Catalog {
    /// Where to write; standard output when left out.
    #[arg(long)]
    out: Option<PathBuf>,
}

/// The text of a file.
pub fn read(file: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(file).map_err(|error| Failure(format!("{} cannot be read: {error}", file.display())))
}

impl Plan {
    /// Exits with 0 when the file could be applied and brings no dead end, else with 1.
    pub async fn run(&self, chosen: &Chosen) -> Result<ExitCode, Failure> {
        let text = read(&self.file)?;
        let wrong = |text: &String| Failure(format!("--what-if {text}: a duration like 90d is wanted"));
        let days = self.what_if.as_ref().map(|text| Seconds::parse(text).ok_or_else(|| wrong(text))).transpose()?;
        wire::with(chosen, async |ctx| {
            let proposed = rule_book::proposed(ctx, &text).await?;
            println!("{}", proposed.plan);
            if !proposed.plan.is_good() {
                return Ok(ExitCode::FAILURE);
            }
            let found = compare::new_findings(ctx, &proposed).await?;
            let dead = found.iter().filter(|finding| finding.is_dead).count();
            for (is_dead, heading) in [(true, "Dead ends: requests that would be refused because nobody could approve them"), (false, "Warnings")] {
                if found.iter().any(|finding| finding.is_dead == is_dead) {
                    println!("{heading}");
                    found.iter().filter(|finding| finding.is_dead == is_dead).for_each(|finding| println!("  {finding}"));
                    println!();
                }
            }
            if let Some(days) = days {
                what_if::run(ctx, proposed.then, days, self.each.as_deref()).await?;
            }
            Ok(if dead == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        })
        .await
    }
}

impl Apply {
    /// Exits with 0 when the catalog is what the file says or that is proposed, else with 1 and nothing changed.
    pub async fn run(&self, chosen: &Chosen) -> Result<ExitCode, Failure> {
        let text = read(&self.file)?;
        let source = self.file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        wire::with(chosen, async |ctx| {
            let submitted = submit(ctx, (&text, &source), (Actor::System, Channel::Cli)).await?;
            println!("{}", submitted.plan);
            match submitted.outcome {
                Outcome::Faulty | Outcome::Moved => println!("Nothing was changed."),
                Outcome::Nothing => println!("The catalog is already as the file says."),
                Outcome::Applied { event, .. } => println!("Applied; event {event} of the log."),
                Outcome::Proposed(change) => {
                    println!("Proposed as change {change}. Nothing is changed until an administrator approves it on the page /admin/changes/{change}.");
                }
            }
            Ok(if submitted.outcome == Outcome::Faulty { ExitCode::FAILURE } else { ExitCode::SUCCESS })
        })
        .await
    }
}

impl Catalog {
    /// Writes the whole catalog.
    pub async fn run(&self, chosen: &Chosen) -> Result<ExitCode, Failure> {
        wire::with(chosen, async |ctx| {
            let text = catalog_export::toml(&ctx.db, &ctx.directories).await?;
            match &self.out {
                Some(file) => std::fs::write(file, &text).map_err(|error| Failure(format!("{} cannot be written: {error}", file.display())))?,
                None => {
                    let mut stdout = tokio::io::stdout();
                    let written = async {
                        stdout.write_all(text.as_bytes()).await?;
                        stdout.flush().await
                    };
                    written.await.map_err(|error| Failure(format!("standard output cannot be written: {error}")))?;
                }
            }
            Ok(ExitCode::SUCCESS)
        })
        .await
    }
}
