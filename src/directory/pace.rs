//! When a call to a service may leave.
//!
//! Calls keep below the limit that is set and below the one that the service tells of itself, and several replicas share both. What a
//! service has left runs out before its limit does: the last of it is kept for what is urgent. Urgent is whatever does not say that it
//! is patient ([`patiently`]): removals, questions about who left, and people who wait before a page.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::time::Instant;

/// How much of a limit that is set is used: a replica that comes or dies is not known to the others at once.
const USED: f64 = 0.9;
/// For how long turns that nobody took may be taken later.
const SAVED: Duration = Duration::from_millis(100);
/// How long those at work at once should wait for their turns.
const QUEUE: f64 = 2.0;
/// How long a patient call waits for its turn.
const PATIENCE: Duration = Duration::from_secs(60);
/// How many limits of a service, and how many kinds of calls, are remembered.
const MOST: usize = 64;

tokio::task_local! {
    static PATIENT: ();
}

/// Does `work`, whose calls let those go first that cannot wait.
pub async fn patiently<F: Future>(work: F) -> F::Output {
    PATIENT.scope((), work).await
}

fn is_patient() -> bool {
    PATIENT.try_with(|()| ()).is_ok()
}

/// How long a call waits for its turn that would otherwise wait `usual`.
pub fn patience(usual: Duration) -> Duration {
    if is_patient() { PATIENCE.max(usual) } else { usual }
}

/// What a service says of a limit when it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// Calls allowed in a window.
    pub limit: u64,
    /// Of them left.
    pub remaining: u64,
    /// The window's end in the service's own words: two kinds of calls with the same limit and end are under the same limit.
    pub reset: i64,
    /// How long until then.
    pub ends_in: Duration,
}

/// Why there is no turn soon enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TooLong {
    /// As many wait as may call in that time.
    Queue,
    /// The service has nothing left for so long.
    Spent(Duration),
    /// What the service has left is kept for what cannot wait.
    Kept,
}

/// The turns of one service. Cloning shares them.
#[derive(Clone)]
pub struct Pace(Arc<Inner>);

struct Inner {
    per_minute: Option<u32>,
    among: AtomicU32,
    turns: Mutex<Turns>,
}

#[derive(Default)]
struct Turns {
    next: Option<Instant>,
    windows: HashMap<(u64, i64), Window>,
    /// Under which limit a kind of call was last.
    places: HashMap<String, (u64, i64)>,
}

impl Turns {
    /// Under which limit a call is now. After a window is over, and for a kind of call that is new, this is not known until the next
    /// answer: until then it counts under the limit of which least is left, among those like its own, or among all where it can wait.
    fn key(&self, place: &str, patient: bool, now: Instant) -> Option<(u64, i64)> {
        let known = self.places.get(place);
        let live = |key: &(u64, i64)| self.windows.get(key).is_some_and(|window| window.until > now);
        if let Some(key) = known.filter(|key| live(key)) {
            return Some(*key);
        }
        let alike = self.windows.iter().filter(|(key, window)| window.until > now && known.map_or(patient, |known| known.0 == key.0));
        alike.min_by_key(|(_, window)| window.left).map(|(key, _)| *key)
    }
}

struct Window {
    limit: u64,
    /// Calls left, those that wait for their turn taken off.
    left: u64,
    until: Instant,
    /// The next turn of what is patient, and of what is not.
    next: [Instant; 2],
}

impl Window {
    /// How many calls one of `among` may still make.
    fn usable(&self, patient: bool, among: u32) -> u64 {
        let reserve = if patient { (self.limit / 10).max(2) } else { (self.limit / 100).max(1) };
        self.left.saturating_sub(reserve) / u64::from(among)
    }

    /// When the next call may leave, and when the one after it.
    fn turn(&self, now: Instant, patient: bool, among: u32) -> (Instant, Instant) {
        let usable = self.usable(patient, among);
        let turn = self.next[usize::from(patient)].max(now);
        if usable == 0 || turn >= self.until {
            return (self.until, self.until);
        }
        if self.left > self.limit / 2 {
            return (now, now);
        }
        // What is left is spread over what is left of the window.
        let apart = (self.until - turn).div_f64(usable as f64);
        (turn, turn + apart)
    }
}

impl fmt::Debug for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pace").field("per_minute", &self.0.per_minute).field("among", &self.among()).finish_non_exhaustive()
    }
}

impl Pace {
    /// At most `per_minute` calls, evenly apart; none: as the service itself says.
    pub fn new(per_minute: Option<u32>) -> Self {
        Self(Arc::new(Inner { per_minute, among: AtomicU32::new(1), turns: Mutex::default() }))
    }

    fn turns(&self) -> MutexGuard<'_, Turns> {
        self.0.turns.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn among(&self) -> u32 {
        self.0.among.load(Ordering::Relaxed)
    }

    /// So many replicas share the limits from now on.
    pub fn share(&self, among: u32) {
        self.0.among.store(among.max(1), Ordering::Relaxed);
    }

    /// Calls a second, where a limit is set.
    fn rate(&self) -> Option<f64> {
        Some(f64::from(self.0.per_minute?.max(1)) * USED / 60.0 / f64::from(self.among()))
    }

    /// When a call to `place` may leave, which is counted. `place` is any name for calls that are under the same limit.
    ///
    /// # Errors
    /// When that is further off than `patience`; nothing is counted then.
    pub fn turn(&self, place: &str, patience: Duration) -> Result<Instant, TooLong> {
        let (now, patient, among) = (Instant::now(), is_patient(), self.among());
        let mut turns = self.turns();
        let turns = &mut *turns;
        let paced = self.rate().map(|rate| (turns.next.unwrap_or(now).max(now.checked_sub(SAVED).unwrap_or(now)), Duration::from_secs_f64(1.0 / rate)));
        if let Some((turn, _)) = paced
            && turn.saturating_duration_since(now) > patience
        {
            return Err(TooLong::Queue);
        }
        let mut leaves = paced.map_or(now, |(turn, _)| turn.max(now));
        let key = turns.key(place, patient, now);
        if let Some(window) = key.and_then(|key| turns.windows.get_mut(&key)) {
            let (turn, next) = window.turn(now, patient, among);
            if turn.saturating_duration_since(now) > patience {
                return Err(if patient { TooLong::Kept } else { TooLong::Spent(turn - now) });
            }
            window.next[usize::from(patient)] = next;
            window.left = window.left.saturating_sub(1);
            leaves = leaves.max(turn);
        }
        if let Some((turn, apart)) = paced {
            turns.next = Some(turn + apart);
        }
        Ok(leaves)
    }

    /// Heeds what the service said of its limit when it answered a call to `place`.
    pub fn told(&self, place: &str, told: Told) {
        // A limit of 0 is one on calls at once; a window that is over says nothing.
        if told.limit == 0 || told.ends_in.is_zero() {
            return;
        }
        let now = Instant::now();
        let Some(until) = now.checked_add(told.ends_in) else { return };
        let mut turns = self.turns();
        turns.windows.retain(|_, window| window.until > now);
        if turns.windows.len() >= MOST || turns.places.len() >= MOST {
            turns.windows.clear();
            turns.places.clear();
        }
        let key = (told.limit, told.reset);
        turns.places.insert(place.to_owned(), key);
        let window = turns.windows.entry(key).or_insert(Window { limit: told.limit, left: told.remaining, until, next: [now; 2] });
        // Answers come in any order; the lowest is the latest. So it is with the end: the service tells it in whole seconds.
        window.left = window.left.min(told.remaining);
        window.until = window.until.min(until);
    }

    /// How many pieces of work may be begun together, at most `most`, so that their calls get their turns soon.
    pub fn at_once(&self, most: usize) -> usize {
        // A few dozens at most: nothing is cut off.
        self.rate().map_or(most, |rate| most.min((rate * QUEUE).ceil() as usize)).max(1)
    }

    /// For how long nothing that can wait is to be begun: what the service has left is for what cannot.
    pub fn holds(&self) -> Option<Duration> {
        let (now, among) = (Instant::now(), self.among());
        let turns = self.turns();
        turns.windows.values().filter(|window| window.until > now && window.usable(true, among) == 0).map(|window| window.until - now).max()
    }
}

/// What calls of this method and address have in common with others: ids and names in the path are left out.
pub fn place(method: &str, address: &str) -> String {
    let path = address.split_once("://").map_or(address, |(_, rest)| rest.split_once('/').map_or("", |(_, path)| path));
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let mut place = method.to_owned();
    for segment in path.split('/').filter(|segment| !segment.is_empty()) {
        let named = segment.len() <= 24 && segment.bytes().all(|byte| byte.is_ascii_alphabetic() || b"-_.$".contains(&byte));
        place.push('/');
        place.push_str(if named { segment } else { "*" });
    }
    place
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(10);

    fn told(limit: u64, remaining: u64) -> Told {
        Told { limit, remaining, reset: 7, ends_in: Duration::from_secs(60) }
    }

    /// How far off each turn is that there is within ten seconds, at most `most`.
    fn waits(pace: &Pace, place: &str, most: usize) -> Vec<Duration> {
        let now = Instant::now();
        std::iter::from_fn(|| pace.turn(place, LONG).ok()).take(most).map(|turn| turn - now).collect()
    }

    #[test]
    fn calls_are_kept_apart_and_none_waits_longer_than_it_may() {
        let pace = Pace::new(Some(60));
        let turns = waits(&pace, "a", 100);
        assert!((9..=11).contains(&turns.len()), "{turns:?}");
        assert!(turns.windows(2).all(|two| two[1] - two[0] > Duration::from_secs(1)), "a tenth below the limit: {turns:?}");
        assert_eq!(pace.clone().turn("b", LONG), Err(TooLong::Queue), "clones share the turns");
        assert_eq!(Pace::new(None).turn("a", LONG).map(|turn| turn <= Instant::now()), Ok(true));
    }

    #[test]
    fn replicas_share_a_limit() {
        let pace = Pace::new(Some(600));
        pace.share(3);
        let turns = waits(&pace, "a", 1000);
        assert!((29..=31).contains(&turns.len()), "{}", turns.len());
        pace.share(0);
        assert_eq!(pace.among(), 1);
    }

    #[test]
    fn no_more_is_begun_than_can_call_soon() {
        assert_eq!(Pace::new(None).at_once(16), 16);
        assert_eq!(Pace::new(Some(6_000)).at_once(16), 16);
        assert_eq!(Pace::new(Some(60)).at_once(16), 2);
        assert_eq!(Pace::new(Some(1)).at_once(16), 1);
    }

    #[test]
    fn while_much_is_left_nobody_waits_and_then_what_is_left_is_spread() {
        let pace = Pace::new(None);
        pace.told("a", told(100, 99));
        let at_once = waits(&pace, "a", 49);
        assert!(at_once.iter().all(|wait| *wait < Duration::from_millis(200)), "{at_once:?}");
        let spread = waits(&pace, "a", 1000);
        // 49 calls of 50 in 60 s, of which 10 s were looked at.
        assert!((7..=10).contains(&spread.len()), "{spread:?}");
        assert_eq!(waits(&pace, "b", 3).len(), 3, "nothing is known of another kind of call");
    }

    #[tokio::test]
    async fn the_last_of_a_limit_is_for_what_cannot_wait() {
        let pace = Pace::new(None);
        pace.told("a", told(100, 11));
        pace.told("b", told(100, 9));
        assert!(pace.holds().is_some_and(|wait| wait > Duration::from_secs(58)));
        let patient = patiently(async { pace.turn("a", patience(LONG)) }).await;
        assert!(patient.is_ok_and(|turn| turn > Instant::now() + Duration::from_secs(50)), "it waits until the window is over: {patient:?}");
        let turns = waits(&pace, "a", 1000);
        assert!(!turns.is_empty() && turns.len() <= 2 && turns[0] < Duration::from_millis(200), "{turns:?}");
        pace.told("a", told(100, 1));
        assert!(matches!(pace.turn("a", LONG), Err(TooLong::Spent(wait)) if wait > Duration::from_secs(58)), "and never the very last");
    }

    #[tokio::test]
    async fn in_a_new_window_all_kinds_of_calls_count_from_the_first_answer_on() {
        let pace = Pace::new(None);
        pace.told("a", Told { ends_in: Duration::from_millis(1), ..told(100, 50) });
        pace.told("b", Told { ends_in: Duration::from_millis(1), ..told(100, 50) });
        tokio::time::sleep(Duration::from_millis(5)).await;
        pace.told("a", Told { reset: 8, ..told(100, 1) });
        assert!(matches!(pace.turn("b", LONG), Err(TooLong::Spent(_))), "they were under one limit before");
        assert!(pace.turn("new", LONG).is_ok(), "what cannot wait does not wait for what is not known");
        assert!(patiently(async { pace.turn("new", LONG) }).await.is_err());
    }

    #[test]
    fn a_window_that_is_over_and_a_limit_of_none_hold_nothing_back() {
        let pace = Pace::new(None);
        pace.told("a", Told { ends_in: Duration::ZERO, ..told(10, 0) });
        pace.told("a", told(0, 0));
        assert!(pace.turn("a", LONG).is_ok() && pace.holds().is_none());
    }

    #[test]
    fn kinds_of_calls_are_told_apart_without_their_ids() {
        assert_eq!(place("GET", "https://x.okta.com/api/v1/groups/00g1emaKYZ/users?limit=200"), "GET/api/*/groups/*/users");
        assert_eq!(place("PATCH", "http://127.0.0.1:9/scim/v2/Groups/8d3c"), "PATCH/scim/*/Groups/*");
        assert_eq!(place("GET", "https://x/groups/a%40b.example"), "GET/groups/*");
    }
}
