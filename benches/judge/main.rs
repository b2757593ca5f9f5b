//! Measures replay, what-if and the look for dead ends.
//!
//! `script/bench` runs it. `BENCH_DATABASE_URL` is a superuser of a Postgres that may be filled; the report goes to standard output and
//! to `judge.md` in `BENCH_FOLDER`.

#![allow(clippy::print_stdout, reason = "the report goes to standard output")]

mod company;
mod stored;

use std::sync::Arc;
use std::time::{Duration, Instant};

use countersign::service::again::Progress;
use countersign::service::ctx::Ctx;
use countersign::service::error::ServiceError;
use countersign::service::health::keep::keep;
use countersign::service::what_if::{Turn, WhatIf, what_if};
use countersign::service::{replay, rule_book};

/// What can go wrong is told and ends the run.
pub type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Requests that are stored and decided again.
pub const REQUESTS: usize = 100_000;
/// People and roles for the look for dead ends.
pub const PEOPLE: usize = 10_000;
/// See [`PEOPLE`].
pub const ROLES: usize = 2_000;

fn main() -> Outcome<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(run())
}

/// Processor time of this process so far, and the most memory it had, in MB (Linux).
fn used() -> (Duration, f64) {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit_once(") ").map(|(_, rest)| rest.split(' ').collect()).unwrap_or_default();
    let ticks: u64 = [11, 12].iter().filter_map(|at| fields.get(*at)?.parse::<u64>().ok()).sum();
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<f64>().ok());
    (Duration::from_millis(ticks * 10), most.unwrap_or(f64::NAN) / 1024.0)
}

struct Timed {
    began: Instant,
    cpu: Duration,
}

impl Timed {
    fn begin() -> Self {
        Self { began: Instant::now(), cpu: used().0 }
    }

    /// "3.2 s (4.1 s of processor time)" and the seconds.
    fn end(&self) -> (f64, String) {
        let took = self.began.elapsed().as_secs_f64();
        (took, format!("{took:.1} s ({:.1} s of processor time in this process)", (used().0 - self.cpu).as_secs_f64()))
    }
}

fn said(took: f64, bar: f64) -> String {
    format!("of at most {bar:.0} s ({})", if took <= bar { "reached" } else { "**missed**" })
}

async fn asked_again(ctx: &Ctx, text: &str) -> Outcome<(WhatIf, f64, String)> {
    let proposed = rule_book::proposed(ctx, text).await.map_err(|error| error.to_string())?;
    if !proposed.plan.is_good() {
        return Err(proposed.plan.to_string().into());
    }
    let to = ctx.clock.now();
    let timed = Timed::begin();
    let found = what_if(ctx, Arc::new(proposed.then), (to - chrono::Duration::days(90), to), &Progress::default()).await.map_err(|error| error.to_string())?;
    let (took, told) = timed.end();
    Ok((found, took, told))
}

async fn run() -> Outcome<()> {
    let began = Instant::now();
    let (ctx, running, names) = company::founded().await?;
    stored::store(&ctx, &names).await?;
    drop(names);
    println!("seeded in {:.0} s", began.elapsed().as_secs_f64());
    let mut report = vec!["\n## Judging rules\n".to_owned()];
    let resting = used().1;

    let timed = Timed::begin();
    let found = keep(&ctx).await.map_err(|error| error.to_string())?;
    let (took, told) = timed.end();
    let dead = found.iter().filter(|finding| finding.kind.is_dead()).count();
    report.push(format!("- dead ends, {PEOPLE} people and {ROLES} roles: {told}, {}; {} findings, {dead} of them dead ends", said(took, 60.0), found.len()));

    let (found, took, told) = asked_again(&ctx, &company::catalog("2h")).await?;
    let changed = found.counts.all() - found.counts.of(Turn::Unchanged);
    report.push(format!(
        "- what-if, {} stored requests, every policy another version: {told}, {}; {changed} come out otherwise",
        found.counts.all(),
        said(took, 10.0)
    ));
    let (found, took, told) = asked_again(&ctx, &company::catalog(company::LEAST)).await?;
    report.push(format!(
        "- what-if, the rules they had: {told}, {}; {} come out otherwise",
        said(took, 10.0),
        found.counts.all() - found.counts.of(Turn::Unchanged)
    ));

    let timed = Timed::begin();
    let ever = (chrono::DateTime::UNIX_EPOCH, ctx.clock.now());
    let summary = replay::replay(&ctx, ever, &Progress::default(), async |page| {
        std::hint::black_box(replay::records(&page));
        Ok::<_, ServiceError>(())
    })
    .await
    .map_err(|error| error.to_string())?;
    let (_, told) = timed.end();
    report.push(format!("- replay, {} decisions with their traces: {told}; {} differ", summary.replayed, summary.different));
    report.push(format!("- memory of this process (with the demo directory of {PEOPLE} people in it): {resting:.0} MB before, {:.0} MB at most", used().1));
    running.stop().await;
    ctx.db.close().await;

    let text = report.join("\n");
    println!("{text}");
    if let Ok(folder) = std::env::var("BENCH_FOLDER") {
        std::fs::write(std::path::Path::new(&folder).join("judge.md"), format!("{text}\n"))?;
    }
    Ok(())
}
