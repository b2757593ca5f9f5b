//! `countersign replay`: makes stored decisions again.

use std::process::ExitCode;

use clap::Args;
use countersign::service::again::Progress;
use countersign::service::replay;
use tokio::io::AsyncWriteExt;

use super::export::moment;
use super::failure::Failure;
use super::what_if::Line;
use super::wire::{self, Chosen};

/// Make the decisions of a period again from what was stored with them, and print each as CSV.
#[derive(Args)]
pub struct Replay {
    /// Requests made from this day (UTC) or time on: 2026-01-31 or 2026-01-31T08:00:00Z.
    #[arg(long)]
    from: Option<String>,
    /// Requests made before this day (UTC) or time.
    #[arg(long)]
    to: Option<String>,
}

impl Replay {
    /// Prints `request_id, stored, recomputed, equal` (true, false, or erased); what differs goes to standard error. Exits with 1 on any difference.
    pub async fn run(&self, chosen: &Chosen) -> Result<ExitCode, Failure> {
        let (from, to) = (moment(&self.from, "from")?, moment(&self.to, "to")?);
        wire::with(chosen, async |ctx| {
            let period = (from.unwrap_or_default(), to.unwrap_or(ctx.clock.now() + chrono::Duration::days(1)));
            let progress = Progress::default();
            let line = Line::begin("Replayed", &progress);
            let mut out = tokio::io::stdout();
            out.write_all(&replay::header()).await?;
            let summary = replay::replay(ctx, period, &progress, async |page: Vec<replay::Replayed>| {
                for differs in page.iter().filter(|replayed| !replayed.is_equal()) {
                    eprintln!("{differs}");
                }
                out.write_all(&replay::records(&page)).await.map_err(Failure::from)
            })
            .await?;
            out.flush().await?;
            line.end();
            let verdict =
                if summary.different == 0 { "every one comes out as stored".into() } else { format!("{} do not come out as stored", summary.different) };
            let erased = if summary.erased == 0 { String::new() } else { format!(" Of {} too much was erased to tell.", summary.erased) };
            eprintln!("{} decisions made again; {verdict}.{erased}", summary.replayed);
            Ok(if summary.different == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        })
        .await
    }
}
