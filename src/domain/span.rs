//! Durations as people say them.

use chrono::{DateTime, Duration, Utc};
use serde::{Deserialize, Serialize};

/// A length of time in whole seconds, at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seconds(pub i64);

const UNITS: [(&str, &str, i64); 5] = [("w", "week", 604_800), ("d", "day", 86_400), ("h", "hour", 3_600), ("m", "minute", 60), ("s", "second", 1)];

/// The longest duration that can be written: 100 years. Keeps arithmetic on times in range.
pub const LONGEST: i64 = 100 * 365 * 86_400;

impl Seconds {
    /// Reads `90m`, `4h`, `30d`, `2w`, `1d12h` or `45s`: units w, d, h, m, s, each once, largest first, in total 1 second to
    /// 100 years. Anything else is `None`.
    pub fn parse(text: &str) -> Option<Self> {
        let mut rest = text.trim();
        let mut total: i64 = 0;
        let mut last = i64::MAX;
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit())?;
            let (number, tail) = rest.split_at(digits);
            let unit = tail.get(..1)?;
            let (_, _, size) = UNITS.iter().find(|(short, _, _)| *short == unit)?;
            if *size >= last {
                return None;
            }
            last = *size;
            total = number.parse::<i64>().ok()?.checked_mul(*size)?.checked_add(total)?;
            rest = &tail[1..];
        }
        (1..=LONGEST).contains(&total).then_some(Self(total))
    }

    /// The short form that [`Seconds::parse`] reads.
    pub fn short(self) -> String {
        let mut rest = self.0;
        let mut text = String::new();
        for (unit, _, size) in UNITS {
            // As above the words: `30d` reads better than `4w2d`.
            let is_whole = unit != "w" || self.0 % size == 0;
            if is_whole && rest >= size {
                text.push_str(&format!("{}{unit}", rest / size));
                rest %= size;
            }
        }
        text
    }

    /// The time this long after `start`; `None` past the end of the calendar.
    pub fn after(self, start: DateTime<Utc>) -> Option<DateTime<Utc>> {
        start.checked_add_signed(Duration::try_seconds(self.0)?)
    }
}

/// "4 hours", "1 day 12 hours".
impl std::fmt::Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut rest = self.0;
        let mut first = true;
        for (_, name, size) in UNITS {
            if name == "week" && self.0 % 604_800 != 0 {
                continue; // "30 days" reads better than "4 weeks 2 days".
            }
            if rest >= size {
                let count = rest / size;
                rest %= size;
                write!(f, "{}{count} {name}{}", if first { "" } else { " " }, if count == 1 { "" } else { "s" })?;
                first = false;
            }
        }
        if first { f.write_str("no time") } else { Ok(()) }
    }
}

/// "4 hours", or "without end" where there is no limit.
pub fn sentence(duration: Option<Seconds>) -> String {
    duration.map_or_else(|| "without end".into(), |d| d.to_string())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_read_and_write_alike() {
        for (text, seconds, said) in [
            ("90m", 5_400, "1 hour 30 minutes"),
            ("4h", 14_400, "4 hours"),
            ("30d", 2_592_000, "30 days"),
            ("2w", 1_209_600, "2 weeks"),
            ("1d12h", 129_600, "1 day 12 hours"),
        ] {
            let parsed = Seconds::parse(text).unwrap();
            assert_eq!(parsed.0, seconds);
            assert_eq!(parsed.to_string(), said);
            assert_eq!(Seconds::parse(&parsed.short()), Some(parsed));
        }
        assert_eq!(["30d", "14d", "90m"].map(|text| Seconds::parse(text).unwrap().short()), ["30d", "2w", "1h30m"]);
    }

    #[test]
    fn what_is_no_duration_is_none() {
        for text in ["", "0s", "-1h", "4", "h", "4 h", "4h4h", "1m1h", "99999999999999999999d", "9999999999w", "4ĥ", "1.5h"] {
            assert_eq!(Seconds::parse(text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn every_duration_reads_back_from_its_short_form(seconds in prop_oneof![1..LONGEST + 1, 1i64..1_000_000]) {
            prop_assert_eq!(Seconds::parse(&Seconds(seconds).short()), Some(Seconds(seconds)));
            prop_assert_eq!(Seconds::parse(&format!("  {}\n", Seconds(seconds).short())), Some(Seconds(seconds)));
        }

        #[test]
        fn what_is_read_is_in_range_and_reads_again(text in r"[0-9wdhms]{0,8}|\PC*") {
            if let Some(read) = Seconds::parse(&text) {
                prop_assert!((1..=LONGEST).contains(&read.0));
                prop_assert_eq!(Seconds::parse(&read.short()), Some(read));
                prop_assert!(!read.to_string().contains("no time"));
            }
        }

        #[test]
        fn what_is_said_adds_up(seconds in 1..LONGEST + 1) {
            let said = Seconds(seconds).to_string();
            let words: Vec<&str> = said.split(' ').collect();
            let total: i64 = words.chunks(2).map(|pair| {
                let size = UNITS.iter().find(|(_, name, _)| pair[1].trim_end_matches('s') == *name).unwrap().2;
                pair[0].parse::<i64>().unwrap() * size
            }).sum();
            prop_assert_eq!(total, seconds, "{}", said);
        }
    }

    #[test]
    fn past_the_end_of_the_calendar_there_is_no_time() {
        assert_eq!(Seconds(1).after(DateTime::<Utc>::MAX_UTC), None);
        assert_eq!(Seconds(i64::MAX).after(DateTime::<Utc>::MIN_UTC), None);
        assert_eq!(Seconds(60).after(DateTime::UNIX_EPOCH).unwrap().timestamp(), 60);
    }
}
