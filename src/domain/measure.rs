//! What is measured: lengths and shares.
//!
//! Lengths are counted in steps of an eighth of a doubling, from a millisecond on. So every percentile of any period, of everything or one role,
//! is a sum of small whole numbers, and what is told is off by less than 5 %, whether it is a second or a month.

/// Steps of a doubling.
const STEPS: f64 = 8.0;
/// Where only the number counts.
pub const COUNTED: i16 = -1;
/// The last step; about ten years.
pub const LAST: i16 = 320;

/// How long something took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lasting {
    /// Its name in files.
    pub key: &'static str,
    /// As pages say it.
    pub label: &'static str,
    /// How it is told from the others.
    pub help: &'static str,
}

/// How many of something were like this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Its name in files.
    pub key: &'static str,
    /// As pages say it.
    pub label: &'static str,
    /// Of what: the keys that are added.
    pub of: &'static [&'static str],
    /// What those are.
    pub all: &'static str,
}

/// Every length, in the order of a request's life. The steps of an approval come between, as many as there are: `step_1` and so on.
pub const LASTING: [Lasting; 9] = [
    Lasting { key: "to_access", label: "Time to access", help: "From asking until the membership was seen in the directory; not of what was to begin later." },
    Lasting { key: "to_first_view", label: "Until first looked at", help: "From asking until one of those asked opened it." },
    Lasting { key: "to_decision", label: "Until decided", help: "From asking until people approved or denied it, or its time was up." },
    Lasting { key: "provisioning", label: "Provisioning", help: "From approval, or the start that was wished for, until the directory was told." },
    Lasting { key: "verification", label: "Verification", help: "From telling the directory until the membership was seen there." },
    Lasting { key: "answer", label: "Until an approver answered", help: "From being asked until answering." },
    Lasting { key: "expiry_lag", label: "Removal after expiry", help: "From the end of a lease until its removal was seen." },
    Lasting { key: "removal_lag", label: "Removal after another end", help: "From a return or revocation until its removal was seen." },
    Lasting { key: "leaver_lag", label: "Removal from a leaver", help: "From leaving until the removal of each grant was seen." },
];

const ASKED: &[&str] = &["asked"];
const CLOSED: &[&str] = &["approved", "denied", "withdrawn", "timed_out"];

/// Every share.
pub const SHARES: [Share; 10] = [
    Share { key: "approved_before", label: "Approved before access began", of: &["granted"], all: "grants" },
    Share { key: "approved", label: "Approved", of: CLOSED, all: "requests that ended" },
    Share { key: "denied", label: "Denied", of: CLOSED, all: "requests that ended" },
    Share { key: "timed_out", label: "Timed out", of: CLOSED, all: "requests that ended" },
    Share { key: "withdrawn", label: "Withdrawn", of: CLOSED, all: "requests that ended" },
    Share { key: "auto_approved", label: "Approved by rule", of: ASKED, all: "requests" },
    Share { key: "refused", label: "Refused by rule", of: ASKED, all: "requests" },
    Share { key: "extension", label: "Extensions", of: ASKED, all: "requests" },
    Share { key: "repeated", label: "Asked again within 7 days", of: ASKED, all: "requests" },
    Share { key: "emergency", label: "Emergencies", of: ASKED, all: "requests" },
];

/// The milliseconds that stand for a step: its middle, by ratio.
pub fn middle(step: i16) -> f64 {
    ((f64::from(step.clamp(0, LAST)) + 0.5) / STEPS).exp2()
}

/// How often each step was met.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spread(std::collections::BTreeMap<i16, i64>);

impl Spread {
    /// Adds what was counted for a step.
    pub fn add(&mut self, step: i16, count: i64) {
        *self.0.entry(step).or_default() += count;
    }

    /// How many there are.
    pub fn count(&self) -> i64 {
        self.0.values().sum()
    }

    /// The length, in milliseconds, that `percent` of all do not exceed, 1 to 100 (nearest rank); none when there are none.
    pub fn percentile(&self, percent: i64) -> Option<f64> {
        let all = self.count();
        let rank = (all * percent.clamp(1, 100) + 99) / 100;
        let mut seen = 0;
        self.0.iter().find_map(|(step, count)| {
            seen += count;
            (all > 0 && seen >= rank).then(|| middle(*step))
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// As the database does it.
    fn step(milliseconds: f64) -> i16 {
        ((milliseconds.max(1.0).log2() * STEPS).floor() as i16).min(LAST)
    }

    #[test]
    fn nothing_has_no_percentile_and_one_is_all_of_them() {
        let mut spread = Spread::default();
        assert_eq!((spread.count(), spread.percentile(50)), (0, None));
        spread.add(80, 1);
        assert_eq!([1, 50, 99, 100].map(|percent| spread.percentile(percent).unwrap()), [middle(80); 4]);
    }

    #[test]
    fn a_percentile_is_the_nearest_rank() {
        let mut spread = Spread::default();
        (1..=100).for_each(|step| spread.add(step, 1));
        assert_eq!([1, 50, 90, 99, 100].map(|percent| spread.percentile(percent).unwrap()), [1, 50, 90, 99, 100].map(middle));
    }

    #[test]
    fn every_share_is_of_something_that_is_counted_too() {
        for share in SHARES {
            assert!(!share.of.is_empty() && !LASTING.iter().any(|lasting| lasting.key == share.key), "{}", share.key);
        }
    }

    proptest! {
        #[test]
        fn what_is_told_is_off_by_less_than_five_percent(mut all in prop::collection::vec(1.0f64..3e11, 1..300), percent in 1i64..=100) {
            let mut spread = Spread::default();
            all.iter().for_each(|milliseconds| spread.add(step(*milliseconds), 1));
            all.sort_by(f64::total_cmp);
            let exact = all[((all.len() as i64 * percent + 99) / 100 - 1) as usize];
            let told = spread.percentile(percent).unwrap();
            prop_assert!((told / exact - 1.0).abs() < 0.05, "{told} for {exact}");
        }
    }
}
