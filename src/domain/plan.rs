//! What to do about one membership.

use chrono::Duration;

/// What the reconciler does next about one membership.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Wanted and not there.
    Add,
    /// There and not wanted.
    Remove,
    /// As it should be.
    Nothing,
}

/// The change that makes `member`, what the directory says, into `wanted`. A membership that was there before the first lease
/// is never taken away.
pub fn plan(wanted: bool, member: bool, pre_existing: bool) -> Change {
    match (wanted, member) {
        (true, false) => Change::Add,
        (false, true) if !pre_existing => Change::Remove,
        _ => Change::Nothing,
    }
}

/// How long to wait after `fails` failures in a row (at least 1): full jitter over 1 s doubling, capped at 30 s for a
/// revocation, which is part of the promise, and at 5 minutes for a grant. `draw` is a random number in [0, 1).
pub fn backoff(fails: u32, revocation: bool, draw: f64) -> Duration {
    let cap = if revocation { 30_000.0 } else { 300_000.0 };
    let ceiling = (1_000.0 * 2f64.powi(fails.clamp(1, 20) as i32 - 1)).min(cap);
    Duration::milliseconds(200 + (ceiling * draw.clamp(0.0, 1.0)) as i64)
}
