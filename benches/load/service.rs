//! Ask and answer at the services, without HTTP in front.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use countersign::clock::Clock;
use countersign::domain::approval::Answer;
use countersign::domain::event::Channel;
use countersign::domain::id::PersonId;
use countersign::domain::span::Seconds;
use countersign::service::answer::answer;
use countersign::service::ask::{AskFor, ask};
use countersign::service::ctx::{By, Ctx};
use countersign::service::sync;
use countersign::worker;

use crate::Outcome;
use crate::database::{self, MEASURED};
use crate::measure::load;
use crate::seed;
use crate::work::{Act, to_answer, to_ask};

fn by(act: &Act) -> By {
    By { person: PersonId(act.person), name: act.name.clone(), token: None, channel: Channel::Web, is_administrator: false, is_auditor: false }
}

/// Asks for what `act` says.
pub async fn asks(ctx: &Ctx, act: &Act) -> Outcome<()> {
    let justification = Some("Needed for the quarterly close".into());
    let ask_for = AskFor { duration: Some(Seconds(86_400)), justification, ..AskFor::new(act.what.into()) };
    ask(ctx, &by(act), ask_for).await.map_err(|error| error.to_string())?;
    Ok(())
}

async fn measure(
    ctx: &Ctx,
    what: &'static str,
    acts: &Arc<Vec<Act>>,
    next: &Arc<AtomicUsize>,
    (concurrency, seconds, counts): (usize, f64, bool),
) -> Outcome<()> {
    let postmaster = database::postmaster().await?;
    let before = (crate::cpu::of(std::process::id()), crate::cpu::of_children(postmaster));
    let figures = load(concurrency, seconds, |_| {
        let (ctx, acts, next) = (ctx.clone(), acts.clone(), next.clone());
        move || {
            let (ctx, acts, next) = (ctx.clone(), acts.clone(), next.clone());
            async move {
                let Some(act) = acts.get(next.fetch_add(1, Ordering::Relaxed)) else { return Ok(false) };
                if what == "ask" {
                    asks(&ctx, act).await?;
                } else {
                    answer(&ctx, &by(act), act.what.into(), Answer::Approve { granted: None }, None, None).await.map_err(|error| error.to_string())?;
                }
                Ok(true)
            }
        }
    })
    .await?;
    if !counts {
        return Ok(());
    }
    let each = |used: std::time::Duration| used.as_secs_f64() * 1000.0 / figures.good.max(1) as f64;
    let (ours, theirs) =
        (each(crate::cpu::of(std::process::id()).saturating_sub(before.0)), each(crate::cpu::of_children(postmaster).saturating_sub(before.1)));
    println!(
        "{what:>7} c={concurrency:<3} {:>7.0}/s  p50 {:>6.2} ms  p99 {:>6.2} ms  cpu {ours:.3} + {theirs:.3} ms  good {} bad {} {}",
        figures.rate(),
        figures.percentile(50.0),
        figures.percentile(99.0),
        figures.good,
        figures.bad,
        figures.first_fault.as_deref().unwrap_or_default()
    );
    Ok(())
}

/// `[seconds] [connections] [worker|idle]`
pub async fn run(words: &[String]) -> Outcome<()> {
    let seconds: f64 = words.first().map_or(Ok(5.0), |word| word.parse())?;
    let connections: u32 = words.get(1).map_or(Ok(16), |word| word.parse())?;
    let works = words.get(2).is_none_or(|word| word == "worker");
    seed::seed().await?;
    database::fresh().await?;
    let clock = Clock::system();
    let running = seed::directory(seed::company(MEASURED).await?, &clock).await?;
    let ctx = seed::services(MEASURED, &running.scim_base(), &clock, connections).await?;
    // What the seed added to the groups is known before anything is measured.
    sync::sync(&ctx, seed::DIRECTORY).await.map_err(|error| error.to_string())?;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let work = works.then(|| tokio::spawn(worker::run::run(ctx.clone(), stopped)));
    // Unmeasured at first, as over HTTP: sixteen connections have plans to make and caches to fill.
    let runs = [(16, (seconds / 2.0).min(3.0), false), (1, seconds, true), (16, seconds, true)];
    let (acts, next) = (Arc::new(to_ask(false).await?), Arc::new(AtomicUsize::new(0)));
    for run in runs {
        measure(&ctx, "ask", &acts, &next, run).await?;
    }
    let (acts, next) = (Arc::new(to_answer().await?), Arc::new(AtomicUsize::new(0)));
    for run in runs {
        measure(&ctx, "approve", &acts, &next, run).await?;
    }
    if let Some(work) = work {
        stop.send(true)?;
        work.await?;
    }
    running.stop().await;
    Ok(())
}
