//! The command line: wires everything, decides nothing.

mod cli;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Self-hosted access requests: ask, approve, provision, revoke, and prove it.
#[derive(Parser)]
#[command(version, propagate_version = true)]
struct Arguments {
    /// Settings file; else the one that COUNTERSIGN_CONFIG names, else the defaults.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve pages and API, and do the work behind them.
    Serve {
        /// With a demo directory in this process: a small company, sign-in by choosing a person, loopback only.
        #[arg(long)]
        demo: bool,
    },
    /// Bring the database up to this version, as its owner, and stop.
    Migrate,
    /// Show what a catalog file would change, and everything wrong with it.
    Plan(cli::catalog::Plan),
    /// Apply a catalog file.
    Apply(cli::catalog::Apply),
    /// Write a CSV file from the log and the tables.
    Export(cli::export::Export),
    /// Make, list and revoke API tokens.
    Token(cli::token::Token),
    /// Ask a running server whether it is ready (for container health checks).
    Healthcheck,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("countersign: cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let config = arguments.config.as_deref();
    let outcome = runtime.block_on(async {
        match &arguments.command {
            Command::Serve { demo } => cli::serve::run(config, *demo).await,
            Command::Migrate => cli::wire::migrate(config).await,
            Command::Plan(plan) => plan.run(config).await,
            Command::Apply(apply) => apply.run(config).await,
            Command::Export(export) => export.run(config).await,
            Command::Token(token) => token.run(config).await,
            Command::Healthcheck => cli::health::run(config).await,
        }
    });
    runtime.shutdown_timeout(std::time::Duration::from_secs(10));
    match outcome {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("countersign: {failure}");
            ExitCode::FAILURE
        }
    }
}
