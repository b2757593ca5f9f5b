//! Bundle and offline check of a million events.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use countersign::clock::Clock;
use countersign::evidence::bundle::{Source, check};
use countersign::evidence::columns::File;
use countersign::evidence::csv::Mode;
use countersign::evidence::note::{PrivateKey, PublicKey};
use countersign::service::bundle::bundle_by_operator;
use countersign::service::ctx::Ctx;
use countersign::service::export::{Taking, export_by_operator};
use countersign::service::seal::{Sealer, seal};
use sqlx::Executor;

use crate::Outcome;
use crate::database::{self, MEASURED};
use crate::seed;

/// The bar of an offline check, in seconds for a million events.
const BAR: f64 = 10.0;
const KEY: [u8; 32] = [5; 32];

fn key() -> Outcome<PrivateKey> {
    Ok(PrivateKey::new("bench.example/log", KEY)?)
}

/// The most memory that this process had, in MB (Linux).
fn most() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<f64>().ok());
    most.unwrap_or(f64::NAN) / 1024.0
}

/// `load evidence --verify PATH`: in a process of its own, so that its memory is its own.
pub fn verify(path: &str) -> Outcome<()> {
    let public: PublicKey = key()?.public();
    let began = Instant::now();
    let source = Source::open(Path::new(path)).map_err(|fault| fault.to_string())?;
    let checked = check(&source, &[public.into()], None, |_, _| {}).map_err(|fault| fault.to_string())?;
    let (took, events) = (began.elapsed().as_secs_f64(), checked.events.map_or(0, |events| events.events));
    let rows: u64 = checked.files.iter().map(|(_, rows)| rows).sum();
    let each = took * 1_000_000.0 / events.max(1) as f64;
    println!(
        "- `countersign verify` of it all, unpacking included: {took:.1} s for {events} events and {rows} rows in all; {each:.1} s for a million events, {:.2} of the bar of {BAR:.0} s ({}); {:.0} MB at most",
        each / BAR,
        if each <= BAR { "reached" } else { "**missed**" },
        most()
    );
    Ok(())
}

/// Bytes and seconds of every table of the bundle one by one, straight from Postgres: what a bundle cannot be faster than.
async fn floor(ctx: &Ctx) -> Outcome<(u64, f64)> {
    let (mut bytes, began) = (0, Instant::now());
    for file in File::of_bundle().chain([File::Events]) {
        let taking = Taking { file, mode: Mode::Raw, from: None, to: None, application: None, role: None, person: None };
        let mut download = export_by_operator(ctx, &taking).await.map_err(|error| error.to_string())?;
        while let Some(piece) = download.next().await {
            bytes += piece.map_err(|error| error.to_string())?.len() as u64;
        }
    }
    Ok((bytes, began.elapsed().as_secs_f64()))
}

/// `load evidence`
pub async fn run(words: &[String]) -> Outcome<()> {
    if let [word, path] = words
        && word == "--verify"
    {
        return verify(path);
    }
    seed::seed().await?;
    database::fresh().await?;
    let mut root = database::connect(MEASURED).await?;
    // History was written past the triggers; a second and third of it when a larger log is wanted.
    let times: i64 = std::env::var("BENCH_EVENTS_TIMES").ok().and_then(|times| times.parse().ok()).unwrap_or(1);
    for _ in 1..times {
        root.execute(
            "set session_replication_role = replica;
             insert into audit_event (occurred_at, kind, actor_kind, actor_id, actor_name, channel, role_id, application_id, person_id, data)
               select occurred_at, kind, actor_kind, actor_id, actor_name, channel, role_id, application_id, person_id, data from audit_event where id <= (select max(id) from audit_event) and token_id is null limit 1000000;
             set session_replication_role = origin",
        )
        .await?;
    }
    root.execute("insert into audit_unsealed select id from audit_event on conflict do nothing; analyze").await?;
    let folder = std::env::temp_dir().join(format!("countersign-evidence-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let done = measure(&folder).await;
    std::fs::remove_dir_all(&folder)?;
    done
}

async fn measure(folder: &Path) -> Outcome<()> {
    println!("\n## Evidence\n");
    // No directory is asked anything here.
    let plain = seed::services(MEASURED, "http://127.0.0.1:9/scim/v2", &Clock::system(), 16).await?;
    let ctx = Ctx { sealer: Some(Sealer::open(key()?, &folder.join("kept"))?), ..plain };
    let (mut sealed, began) = (0, Instant::now());
    loop {
        let done = seal(&ctx).await.map_err(|error| error.to_string())?;
        if done == 0 {
            break;
        }
        sealed += done;
    }
    let took = began.elapsed().as_secs_f64();
    println!("- sealing from nothing: {sealed} events in {took:.1} s, {:.0} a second", sealed as f64 / took);
    crate::search::run(&ctx).await?;
    println!("\n### A bundle\n");
    let (bytes, floor) = floor(&ctx).await?;
    println!("- every table and the events one by one by `COPY`: {:.0} MB in {floor:.1} s", bytes as f64 / 1e6);
    let path = folder.join("bundle.zip");
    let taking = Taking { file: File::Requests, mode: Mode::Raw, from: None, to: None, application: None, role: None, person: None };
    let began = Instant::now();
    let (download, _) = bundle_by_operator(&ctx, &taking).await.map_err(|error| error.to_string())?;
    let packed = download.save(&path).await.map_err(|error| error.to_string())?;
    let took = began.elapsed().as_secs_f64();
    println!(
        "- a bundle of everything, with proofs and every decision made again: {took:.1} s, {:.2} times the `COPY`s; {:.0} MB packed; {:.0} MB of memory at most in this process",
        took / floor,
        packed as f64 / 1e6,
        most()
    );
    let shown = Command::new(std::env::current_exe()?).args(["evidence", "--verify"]).arg(&path).output()?;
    if !shown.status.success() {
        return Err(String::from_utf8_lossy(&shown.stderr).into_owned().into());
    }
    print!("{}", String::from_utf8_lossy(&shown.stdout));
    Ok(())
}
