//! Measures Countersign; `script/bench` runs it.
//!
//! `load seed` makes the company, `load service` drives the services in this process, `load served` drives a running binary over
//! HTTP and compares with what Postgres alone does, `load evidence` takes and checks a bundle and times
//! the pages over it, `load seal` tells what the sealer costs. `BENCH_DATABASE_URL` is a superuser of a Postgres that may be filled.

#![allow(clippy::print_stdout, reason = "the report goes to standard output")]

mod cpu;
mod database;
mod evidence;
mod floor;
mod http;
mod measure;
mod report;
mod seal;
mod search;
mod seed;
mod served;
mod server;
mod service;
mod work;

/// What can go wrong is told and ends the run.
pub type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn main() -> Outcome<()> {
    // Cargo adds `--bench`.
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        match words.first().map(String::as_str) {
            Some("seed") => seed::seed().await,
            Some("served") => served::run(&words[1..]).await,
            Some("service") => service::run(&words[1..]).await,
            Some("evidence") => evidence::run(&words[1..]).await,
            Some("seal") => seal::run(&words[1..]).await,
            _ => Err("usage: load seed | load served | load service; better: script/bench".into()),
        }
    })
}
