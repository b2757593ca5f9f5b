//! The command line: wires everything, decides nothing.

#![allow(clippy::print_stdout, reason = "what a command prints is its answer")]

mod cli;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// A page is many small pieces made and dropped on every core at once; the system's own allocator takes longer over them. Without huge
/// pages, which would be quicker by little and keep tens of megabytes.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Self-hosted access requests: ask, approve, provision, revoke, and prove it.
#[derive(Parser)]
#[command(version, propagate_version = true)]
struct Arguments {
    /// Settings file; else the one that COUNTERSIGN_CONFIG names, else the defaults.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// With the demo: `serve` brings a small company with it, sign-in by choosing a person, loopback only; other commands work
    /// beside a demo that runs.
    #[arg(long, global = true)]
    demo: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve pages and API, and do the work behind them.
    Serve,
    /// Bring the database up to this version, as its owner, and stop.
    Migrate,
    /// Show what a catalog file would change, and everything wrong with it.
    Plan(cli::catalog::Plan),
    /// Apply a catalog file.
    Apply(cli::catalog::Apply),
    /// Write the catalog as a file that plan and apply read.
    Catalog(cli::catalog::Catalog),
    /// Make roles of groups that a directory has.
    Import(cli::import::Import),
    /// Hold the rules against tests: who asks for what, and what is to come of it.
    Test(cli::rule_test::Test),
    /// Make the decisions of a period again from what was stored with them.
    Replay(cli::replay::Replay),
    /// Write a CSV file from the log and the tables.
    Export(cli::export::Export),
    /// Write the event list with its proof into a folder.
    Log(cli::log::Log),
    /// Check an event list offline.
    Verify(cli::verify::Verify),
    /// Say that a restored backup of the log is the true one.
    Restored(cli::log::Restored),
    /// Show or change the key that signs the log.
    Key(cli::key::Key),
    /// Erase what identifies a person who has left.
    Erase(cli::erase::Erase),
    /// Keep a person or a request from being erased.
    Hold(cli::erase::Hold),
    /// Make, list and revoke API tokens.
    Token(cli::token::Token),
    /// Look the installation over, and with --deep everything that it has kept.
    Doctor(cli::doctor::Doctor),
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
    let chosen = cli::wire::Chosen { config: arguments.config, demo: arguments.demo };
    let outcome = runtime.block_on(async {
        match &arguments.command {
            Command::Serve => cli::serve::run(&chosen).await,
            Command::Migrate => cli::wire::migrate(&chosen).await,
            Command::Plan(plan) => plan.run(&chosen).await,
            Command::Apply(apply) => apply.run(&chosen).await,
            Command::Catalog(catalog) => catalog.run(&chosen).await,
            Command::Import(import) => import.run(&chosen).await,
            Command::Test(test) => test.run(&chosen).await,
            Command::Replay(replay) => replay.run(&chosen).await,
            Command::Export(export) => export.run(&chosen).await,
            Command::Log(log) => log.run(&chosen).await,
            Command::Verify(verify) => verify.run(),
            Command::Restored(restored) => restored.run(&chosen).await,
            Command::Key(key) => key.run(&chosen).await,
            Command::Erase(erase) => erase.run(&chosen).await,
            Command::Hold(hold) => hold.run(&chosen).await,
            Command::Token(token) => token.run(&chosen).await,
            Command::Doctor(doctor) => doctor.run(&chosen).await,
            Command::Healthcheck => cli::health::run(&chosen).await,
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
