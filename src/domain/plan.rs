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

/// How long to wait after `fails` failures in a row (at least 1): at least 200 ms, full jitter over 1 s doubling, at most 30 s for a
/// revocation, which is part of the promise, and 5 minutes for a grant. `draw` is a random number in [0, 1).
pub fn backoff(fails: u32, revocation: bool, draw: f64) -> Duration {
    let cap = if revocation { 30_000.0 } else { 300_000.0 };
    let ceiling = (1_000.0 * 2f64.powi(fails.clamp(1, 20) as i32 - 1)).min(cap);
    Duration::milliseconds((200.0 + ceiling * draw.clamp(0.0, 1.0)).min(cap) as i64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_change_makes_what_is_into_what_should_be() {
        for (wanted, member, pre_existing, change) in [
            (true, true, false, Change::Nothing),
            (true, false, false, Change::Add),
            (false, true, false, Change::Remove),
            (false, false, false, Change::Nothing),
            (true, true, true, Change::Nothing),
            (true, false, true, Change::Add),
            (false, true, true, Change::Nothing),
            (false, false, true, Change::Nothing),
        ] {
            assert_eq!(plan(wanted, member, pre_existing), change, "wanted {wanted}, member {member}, pre-existing {pre_existing}");
        }
    }

    #[test]
    fn waiting_doubles_and_ends_at_its_cap() {
        let full = |fails, revocation| backoff(fails, revocation, 1.0).num_milliseconds();
        assert_eq!([1, 2, 3, 4, 5].map(|fails| full(fails, true)), [1_200, 2_200, 4_200, 8_200, 16_200]);
        assert_eq!([6, 7, 20, u32::MAX].map(|fails| full(fails, true)), [30_000; 4]);
        assert_eq!([9, 10, u32::MAX].map(|fails| full(fails, false)), [256_200, 300_000, 300_000]);
    }

    proptest! {
        #[test]
        fn no_revocation_waits_longer_than_thirty_seconds(fails in any::<u32>(), revocation in any::<bool>(), draw in prop_oneof![0.0..1.0, any::<f64>()]) {
            let wait = backoff(fails, revocation, draw).num_milliseconds();
            prop_assert!((200..=if revocation { 30_000 } else { 300_000 }).contains(&wait), "{} ms", wait);
            prop_assert!(wait <= backoff(fails.saturating_add(1), revocation, draw).num_milliseconds());
        }
    }
}
