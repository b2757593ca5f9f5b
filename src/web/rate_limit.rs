//! Token buckets in memory: how much one caller may do.
//!
//! Each process counts for itself, which is enough against a runaway script; the database's own limits are elsewhere.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Mutex;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::domain::id::PersonId;

/// Most callers remembered by one bucket set; when there are more, those who used least are forgotten.
const MOST_CALLERS: usize = 20_000;

/// The limits there are.
#[derive(Debug)]
pub struct Limits {
    /// Sign-ins by address.
    pub sign_in: Buckets,
    /// Sessions that a provider says have ended, by address: it has one, and many people.
    pub back_channel: Buckets,
    /// Requests, decisions and other acts by person.
    pub act: Buckets,
    /// Searches by person.
    pub search: Buckets,
    /// Exports by person.
    pub export: Buckets,
    /// Calls of directories by address.
    pub hook: Buckets,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            sign_in: Buckets::new(60, 1.0),
            back_channel: Buckets::new(1_000, 50.0),
            act: Buckets::new(120, 4.0),
            search: Buckets::new(120, 10.0),
            export: Buckets::new(10, 0.1),
            hook: Buckets::new(300, 10.0),
        }
    }
}

/// Who is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Caller {
    /// An address; for IPv6 its /64, which is what one subscriber has.
    Address(IpAddr),
    /// A person, however many sessions and tokens they use.
    Person(PersonId),
    /// Nobody knows.
    Unknown,
}

impl From<Option<IpAddr>> for Caller {
    fn from(address: Option<IpAddr>) -> Self {
        match address.map(|address| address.to_canonical()) {
            None => Self::Unknown,
            Some(IpAddr::V6(v6)) => Self::Address(IpAddr::V6((v6.to_bits() >> 64 << 64).into())),
            Some(v4) => Self::Address(v4),
        }
    }
}

/// One bucket for each caller.
#[derive(Debug)]
pub struct Buckets {
    burst: f64,
    per_second: f64,
    callers: Mutex<HashMap<Caller, Bucket>>,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    left: f64,
    at: DateTime<Utc>,
}

impl Buckets {
    /// Lets each caller do `burst` things at once and `per_second` more each second (above 0).
    pub fn new(burst: u32, per_second: f64) -> Self {
        Self { burst: f64::from(burst), per_second: per_second.max(0.001), callers: Mutex::new(HashMap::new()) }
    }

    /// Counts one.
    ///
    /// # Errors
    /// How long to wait, when this one is too much; it is not counted then.
    pub fn take(&self, caller: Caller, now: DateTime<Utc>) -> Result<(), Duration> {
        let mut callers = self.callers.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if callers.len() >= MOST_CALLERS && !callers.contains_key(&caller) {
            self.forget(&mut callers, now);
        }
        let bucket = callers.entry(caller).or_insert(Bucket { left: self.burst, at: now });
        *bucket = self.filled(*bucket, now);
        if bucket.left >= 1.0 {
            bucket.left -= 1.0;
            return Ok(());
        }
        Err(Duration::from_secs_f64((1.0 - bucket.left) / self.per_second))
    }

    fn filled(&self, bucket: Bucket, now: DateTime<Utc>) -> Bucket {
        let passed = (now - bucket.at).as_seconds_f64().max(0.0);
        Bucket { left: (bucket.left + passed * self.per_second).min(self.burst), at: now.max(bucket.at) }
    }

    /// Makes room: full buckets mean nothing, and then the fullest half goes.
    fn forget(&self, callers: &mut HashMap<Caller, Bucket>, now: DateTime<Utc>) {
        callers.retain(|_, bucket| self.filled(*bucket, now).left < self.burst);
        if callers.len() >= MOST_CALLERS {
            let mut left: Vec<f64> = callers.values().map(|bucket| self.filled(*bucket, now).left).collect();
            left.sort_by(f64::total_cmp);
            let middle = left[left.len() / 2];
            callers.retain(|_, bucket| self.filled(*bucket, now).left < middle);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeDelta;

    fn address(text: &str) -> Caller {
        Caller::from(Some(text.parse().unwrap()))
    }

    #[test]
    fn a_burst_is_let_through_and_then_it_drips() {
        let (buckets, now) = (Buckets::new(3, 0.5), DateTime::UNIX_EPOCH);
        let one = address("203.0.113.1");
        for _ in 0..3 {
            assert_eq!(buckets.take(one, now), Ok(()));
        }
        assert_eq!(buckets.take(one, now), Err(Duration::from_secs(2)));
        assert_eq!(buckets.take(address("203.0.113.2"), now), Ok(()), "others are not held up");
        assert_eq!(buckets.take(one, now + TimeDelta::seconds(1)), Err(Duration::from_secs(1)));
        assert_eq!(buckets.take(one, now + TimeDelta::seconds(2)), Ok(()));
        assert!(buckets.take(one, now - TimeDelta::hours(1)).is_err(), "a clock that goes back gives nothing");
    }

    #[test]
    fn one_subscriber_is_one_caller() {
        assert_eq!(address("2001:db8:1:2::1"), address("2001:db8:1:2:ffff::9"));
        assert_ne!(address("2001:db8:1:2::1"), address("2001:db8:1:3::1"));
        assert_eq!(address("::ffff:203.0.113.1"), address("203.0.113.1"));
    }

    #[test]
    fn memory_is_bounded_and_the_greedy_are_not_forgotten() {
        let (buckets, now) = (Buckets::new(2, 0.001), DateTime::UNIX_EPOCH);
        let greedy = address("203.0.113.1");
        while buckets.take(greedy, now).is_ok() {}
        for n in 0..30_000_u32 {
            _ = buckets.take(Caller::Address(IpAddr::from(n.to_be_bytes())), now);
        }
        assert!(buckets.callers.lock().unwrap().len() <= MOST_CALLERS);
        assert!(buckets.take(greedy, now).is_err());
    }
}
