//! The only place that reads time and mints ids.
//!
//! Everything else is handed `now` as an argument. A server's [`Clock`] follows the database's clock: it is sampled by
//! [`Clock::set`], carried forward by the monotonic clock, and never runs backwards. Times are cut to microseconds,
//! which is what Postgres keeps.

use std::sync::Arc;
use std::sync::Mutex;
use std::time::Instant;

use chrono::{DateTime, Duration, SubsecRound, Utc};
use uuid::Uuid;

/// A source of `now`. Cloning shares the same clock.
#[derive(Clone, Debug)]
pub struct Clock(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    base: DateTime<Utc>,
    taken: Instant,
    last: DateTime<Utc>,
}

impl Default for Clock {
    fn default() -> Self {
        Self::system()
    }
}

impl Clock {
    /// A clock that starts from this machine's time; [`Clock::set`] then moves it onto the database's.
    pub fn system() -> Self {
        let now = Utc::now();
        Self(Arc::new(Mutex::new(State { base: now, taken: Instant::now(), last: now })))
    }

    /// The time now, UTC, in whole microseconds; never earlier than an answer given before.
    pub fn now(&self) -> DateTime<Utc> {
        let mut state = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let elapsed = Duration::from_std(state.taken.elapsed()).unwrap_or_else(|_| Duration::zero());
        let now = (state.base + elapsed).trunc_subsecs(6);
        state.last = state.last.max(now);
        state.last
    }

    /// Moves the clock onto `reading`, a sample of the database's clock, and returns how far it was off
    /// (positive: the database is ahead). A reading behind the clock makes it stand still until time has caught up.
    pub fn set(&self, reading: DateTime<Utc>) -> Duration {
        let was = self.now();
        let mut state = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        state.base = reading;
        state.taken = Instant::now();
        reading - was
    }
}

/// A new time-ordered id (UUID version 7, RFC 9562 §5.7).
pub fn new_id() -> Uuid {
    Uuid::now_v7()
}
