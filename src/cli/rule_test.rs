//! `countersign test`: holds the rules against tests.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use countersign::service::rule_test::run::run;

use super::catalog::read;
use super::failure::Failure;
use super::wire::{self, Chosen};

/// Hold the rules against tests: who asks for what, and what is to come of it.
#[derive(Args)]
pub struct Test {
    /// The file of tests (TOML).
    file: PathBuf,
    /// Test the rules of this catalog file instead of those in force.
    #[arg(long, value_name = "FILE")]
    catalog: Option<PathBuf>,
}

impl Test {
    /// Exits with 0 when everything came as expected, else with 1.
    pub async fn run(&self, chosen: &Chosen) -> Result<ExitCode, Failure> {
        let text = read(&self.file)?;
        let catalog = self.catalog.as_deref().map(read).transpose()?;
        wire::with(chosen, async |ctx| {
            let report = run(ctx, &text, catalog.as_deref()).await?;
            for fault in &report.catalog_faults {
                println!("{}: {fault}", self.catalog.as_deref().unwrap_or(&self.file).display());
            }
            for fault in &report.faults {
                println!("{}: {fault}", self.file.display());
            }
            for test in &report.tests {
                if test.differences.is_empty() {
                    println!("ok      {}: {}", test.name, test.came);
                } else {
                    println!("not ok  {} (line {}): {}", test.name, test.line, test.differences.join("; "));
                }
            }
            let failed = report.tests.iter().filter(|test| !test.differences.is_empty()).count();
            println!("\n{} tests, {failed} not ok, {} faults.", report.tests.len(), report.faults.len() + report.catalog_faults.len());
            Ok(if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        })
        .await
    }
}
