//! Runs an act many times at once and times it.

use std::future::Future;
use std::time::{Duration, Instant};

use crate::Outcome;

/// How one load went.
#[derive(Clone, Debug)]
pub struct Figures {
    /// How many at once.
    pub concurrency: usize,
    /// Acts that went well.
    pub good: usize,
    /// Acts that did not.
    pub bad: usize,
    /// Wall time.
    pub took: Duration,
    /// Latencies of the good ones in microseconds, sorted.
    latencies: Vec<u32>,
    /// What the first bad one said.
    pub first_fault: Option<String>,
}

impl Figures {
    /// Good acts per second.
    pub fn rate(&self) -> f64 {
        self.good as f64 / self.took.as_secs_f64()
    }

    /// A percentile of the latency in milliseconds.
    pub fn percentile(&self, percent: f64) -> f64 {
        let last = self.latencies.len().saturating_sub(1);
        self.latencies.get((last as f64 * percent / 100.0).round() as usize).map_or(f64::NAN, |us| f64::from(*us) / 1000.0)
    }
}

/// Runs `concurrency` loops of acts for `seconds`. `worker` makes a loop's own act (with its own connection, say); an act that returns
/// `Ok(false)` has nothing left to do and ends its loop.
pub async fn load<W, A, F>(concurrency: usize, seconds: f64, worker: W) -> Outcome<Figures>
where
    W: Fn(usize) -> A,
    A: FnMut() -> F + Send + 'static,
    F: Future<Output = Outcome<bool>> + Send,
{
    let began = Instant::now();
    let until = began + Duration::from_secs_f64(seconds);
    let loops: Vec<_> = (0..concurrency)
        .map(|number| {
            let mut act = worker(number);
            tokio::spawn(async move {
                let (mut latencies, mut bad, mut first_fault) = (Vec::new(), 0, None);
                while Instant::now() < until {
                    let start = Instant::now();
                    match act().await {
                        Ok(true) => latencies.push(start.elapsed().as_micros().min(u128::from(u32::MAX)) as u32),
                        Ok(false) => break,
                        Err(error) => {
                            bad += 1;
                            first_fault.get_or_insert(error.to_string());
                        }
                    }
                }
                (latencies, bad, first_fault)
            })
        })
        .collect();
    let mut figures = Figures { concurrency, good: 0, bad: 0, took: Duration::ZERO, latencies: Vec::new(), first_fault: None };
    for each in loops {
        let (latencies, bad, fault) = each.await?;
        figures.latencies.extend(latencies);
        figures.bad += bad;
        figures.first_fault = figures.first_fault.or(fault);
    }
    figures.took = began.elapsed();
    figures.good = figures.latencies.len();
    figures.latencies.sort_unstable();
    Ok(figures)
}
