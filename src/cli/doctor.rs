//! `countersign doctor`: is everything as it must be?

use std::process::ExitCode;

use clap::Args;
use countersign::service::doctor::{self, State};

use super::failure::Failure;
use super::wire::{self, Chosen};

/// Look the installation over: settings, database roles, triggers, directory, clock.
#[derive(Args)]
pub struct Doctor {
    /// Also hold everything kept, and every managed group of the directory, against the invariants.
    #[arg(long)]
    deep: bool,
}

impl Doctor {
    /// Exits with 0 when nothing is bad, else with 1.
    pub async fn run(&self, chosen: &Chosen) -> Result<ExitCode, Failure> {
        wire::with(chosen, async |ctx| {
            let mut bad = 0;
            println!("good  Settings          They could be read.");
            for part in doctor::look_over(ctx).await? {
                let state = match part.state {
                    State::Good => "good",
                    State::Warn => "warn",
                    State::Bad => {
                        bad += 1;
                        "BAD "
                    }
                };
                println!("{state}  {:<16}  {}", part.name, part.sentence);
            }
            if self.deep {
                let findings = doctor::deep(ctx).await?;
                for finding in &findings {
                    println!("BAD   Invariant {}: {}  {} {}", finding.invariant, finding.rule, finding.id, finding.sentence);
                }
                if findings.is_empty() {
                    println!("good  Invariants        Every one of them holds.");
                }
                bad += findings.len();
            }
            Ok(if bad == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        })
        .await
    }
}
