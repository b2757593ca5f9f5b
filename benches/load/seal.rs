//! What the sealer costs, and how far it is behind.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use countersign::clock::Clock;
use countersign::domain::event::{Actor, Channel, Event, Fact, Subject};
use countersign::evidence::note::PrivateKey;
use countersign::service::ctx::Ctx;
use countersign::service::seal::{Sealer, seal};
use countersign::store::event;

use crate::Outcome;
use crate::database::{self, MEASURED};
use crate::measure::load;
use crate::seed;
use crate::service::asks;
use crate::work::{Act, to_ask};

/// With the sealer at least so much of the rate without.
const KEEPS: f64 = 0.85;
/// Events a second while the lag is measured, and its bar in seconds.
const PACE: f64 = 2_000.0;
const LAG: f64 = 1.0;
/// As the worker does it.
const PAUSE: Duration = Duration::from_millis(200);
/// How often each is measured, in turns, so that neither has the better half of the run.
const TURNS: usize = 3;

/// The sealer's loop as the worker runs it, until `stop`; how long each event of after `from` had waited when it had its leaf, in seconds.
async fn sealing(ctx: Ctx, stop: Arc<AtomicBool>, from: i64) -> Outcome<Vec<f64>> {
    let (mut lags, mut next) = (Vec::new(), from);
    let mut looks = database::connect(MEASURED).await?;
    loop {
        let last = stop.load(Ordering::Relaxed);
        seal(&ctx).await.map_err(|error| error.to_string())?;
        let rows: Vec<(i64, DateTime<Utc>)> =
            sqlx::query_as("select l.leaf_index, e.occurred_at from audit_leaf l join audit_event e on e.id = l.event_id where l.leaf_index >= $1 order by 1")
                .bind(next)
                .fetch_all(&mut looks)
                .await?;
        let now = Utc::now();
        lags.extend(rows.iter().map(|(_, at)| (now - *at).as_seconds_f64()));
        next = rows.last().map_or(next, |(leaf, _)| leaf + 1);
        if last {
            return Ok(lags);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn leaves() -> Outcome<i64> {
    Ok(sqlx::query_scalar("select coalesce(max(leaf_index) + 1, 0) from audit_leaf").fetch_one(&mut database::connect(MEASURED).await?).await?)
}

async fn asking(ctx: &Ctx, acts: &Arc<Vec<Act>>, next: &Arc<AtomicUsize>, writers: usize, seconds: f64) -> Outcome<f64> {
    let figures = load(writers, seconds, |_| {
        let (ctx, acts, next) = (ctx.clone(), acts.clone(), next.clone());
        move || {
            let (ctx, acts, next) = (ctx.clone(), acts.clone(), next.clone());
            async move {
                let Some(act) = acts.get(next.fetch_add(1, Ordering::Relaxed)) else { return Ok(false) };
                asks(&ctx, act).await?;
                Ok(true)
            }
        }
    })
    .await?;
    match figures.first_fault {
        Some(fault) => Err(format!("{} asks went wrong, the first: {fault}", figures.bad).into()),
        None => Ok(figures.rate()),
    }
}

/// Appends `PACE` events a second with `writers`, each in a transaction of its own.
async fn appending(ctx: &Ctx, writers: usize, seconds: f64) -> Outcome<f64> {
    let (began, count) = (Instant::now(), Arc::new(AtomicUsize::new(0)));
    let figures = load(writers, seconds, |_| {
        let (ctx, count) = (ctx.clone(), count.clone());
        move || {
            let (ctx, count) = (ctx.clone(), count.clone());
            async move {
                let due = Duration::from_secs_f64(count.fetch_add(1, Ordering::Relaxed) as f64 / PACE);
                tokio::time::sleep(due.saturating_sub(began.elapsed())).await;
                let mut tx = ctx.db.begin().await.map_err(|error| error.to_string())?;
                let fact = Fact::EvidenceExported { file: "bench.csv".into(), mode: "raw".into(), filters: "everything".into() };
                event::append(&mut tx, &[Event { actor: Actor::System, channel: Channel::Cli, subject: Subject::default(), fact }])
                    .await
                    .map_err(|error| error.to_string())?;
                tx.commit().await?;
                Ok(true)
            }
        }
    })
    .await?;
    match figures.first_fault {
        Some(fault) => Err(fault.into()),
        None => Ok(figures.rate()),
    }
}

fn said(good: bool) -> &'static str {
    if good { "reached" } else { "**missed**" }
}

/// `load seal [seconds]`
pub async fn run(words: &[String]) -> Outcome<()> {
    let seconds: f64 = words.first().map_or(Ok(5.0), |word| word.parse())?;
    seed::seed().await?;
    database::fresh().await?;
    let folder = std::env::temp_dir().join(format!("countersign-seal-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let done = measure(&folder, seconds).await;
    std::fs::remove_dir_all(&folder)?;
    done
}

async fn measure(folder: &Path, seconds: f64) -> Outcome<()> {
    let clock = Clock::system();
    let running = seed::directory(seed::company(MEASURED).await?, &clock).await?;
    let plain = seed::services(MEASURED, &running.scim_base(), &clock, 40).await?;
    countersign::service::sync::sync(&plain, seed::DIRECTORY).await.map_err(|error| error.to_string())?;
    let key = PrivateKey::new("bench.example/log", [5; 32])?;
    let ctx = Ctx { sealer: Some(Sealer::open(key, &folder.join("kept"))?), ..plain };
    let (acts, next) = (Arc::new(to_ask(false).await?), Arc::new(AtomicUsize::new(0)));
    // The log of before is sealed already, as it would be.
    while seal(&ctx).await.map_err(|error| error.to_string())? > 0 {}
    println!("\n## The sealer\n");
    asking(&ctx, &acts, &next, 16, seconds.min(3.0)).await?;
    for writers in [8, 32] {
        let (mut without, mut with) = (0.0, 0.0);
        for _ in 0..TURNS {
            without += asking(&ctx, &acts, &next, writers, seconds).await?;
            // What was written meanwhile is not held against the sealer.
            seal(&ctx).await.map_err(|error| error.to_string())?;
            let stop = Arc::new(AtomicBool::new(false));
            let sealer = tokio::spawn(sealing(ctx.clone(), stop.clone(), leaves().await?));
            with += asking(&ctx, &acts, &next, writers, seconds).await?;
            stop.store(true, Ordering::Relaxed);
            sealer.await??;
        }
        let ratio = with / without;
        println!(
            "- asking by {writers} at once with the sealer beside: {ratio:.2} of the rate without ({:.0} and {:.0} a second), bar {KEEPS} ({})",
            with / TURNS as f64,
            without / TURNS as f64,
            said(ratio >= KEEPS)
        );
    }
    let stop = Arc::new(AtomicBool::new(false));
    let sealer = tokio::spawn(sealing(ctx.clone(), stop.clone(), leaves().await?));
    let rate = appending(&ctx, 8, seconds * 2.0).await?;
    stop.store(true, Ordering::Relaxed);
    let mut lags = sealer.await??;
    lags.sort_by(f64::total_cmp);
    let at = |percent: usize| lags.get((lags.len() * percent / 100).min(lags.len().saturating_sub(1))).copied().unwrap_or(f64::NAN);
    println!(
        "- an event's wait for its leaf at {rate:.0} events a second: p50 {:.2}, p99 {:.2} of the bar of {LAG:.0} s ({}), over {} events",
        at(50) / LAG,
        at(99) / LAG,
        said(at(99) < LAG && rate > PACE * 0.95),
        lags.len()
    );
    running.stop().await;
    Ok(())
}
