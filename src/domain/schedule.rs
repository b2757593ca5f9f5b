//! When evidence is sent, of which period, and where to.

use chrono::{DateTime, Datelike, Days, Months, NaiveDate, NaiveTime, Utc};

use super::policy::FieldFault;

/// The longest name of a schedule, in characters.
pub const LONGEST_NAME: usize = 100;
/// The longest address of a webhook, in bytes.
pub const LONGEST_URL: usize = 500;
/// The longest path of a folder, in bytes.
pub const LONGEST_FOLDER: usize = 200;
/// The most folders in one another.
pub const DEEPEST: usize = 8;
/// The most addresses of one schedule.
pub const MOST_ADDRESSES: usize = 20;
/// The word for everything in one zip.
pub const BUNDLE: &str = "bundle";
/// The word of the one file that can be as of the moment at which it is made.
pub const OF_A_MOMENT: &str = "access";
/// The words for how often.
pub const EVERY: [&str; 4] = ["day", "week", "month", "quarter"];
/// The words for which period.
pub const PERIODS: [&str; 6] = ["day", "week", "month", "quarter", "year", "moment"];
/// The words for whose.
pub const WHOSE: [&str; 4] = ["organisation", "application", "role", "person"];
/// The words for where to.
pub const PLACES: [&str; 3] = ["folder", "webhook", "mail"];

/// How often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Every {
    /// Each day.
    Day,
    /// On a day of the week.
    Week,
    /// On a day of the month.
    Month,
    /// On a day of the first month of each quarter.
    Quarter,
}

/// When.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct When {
    /// How often.
    pub every: Every,
    /// The day: of the week from Monday, 1 to 7; of the month, 1 to 28. Daily: 0.
    pub day: u32,
    /// Minutes after midnight, UTC.
    pub minute: u32,
}

/// Of which period, as of the moment at which it is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Period {
    /// The day before.
    Day,
    /// The week before, from Monday.
    Week,
    /// The month before.
    Month,
    /// The quarter before.
    Quarter,
    /// The year before.
    Year,
    /// None: as of that moment.
    Moment,
}

/// Whose evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// Everybody's.
    Organisation,
    /// Of one application.
    Application,
    /// Of one role.
    Role,
    /// Of one person.
    Person,
}

/// Where to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A folder beneath the one of the settings.
    Folder(String),
    /// An address.
    Webhook(String),
    /// Mail addresses.
    Mail(Vec<String>),
}

/// A schedule as somebody wrote it: in the form, the API or the settings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// What it is called.
    pub name: String,
    /// A file, or `bundle`.
    pub what: String,
    /// `raw` or `safe`.
    pub mode: String,
    /// One of [`WHOSE`].
    pub whose: String,
    /// Which application, role or person: id, key or login.
    pub of: String,
    /// One of [`PERIODS`].
    pub period: String,
    /// One of [`EVERY`].
    pub every: String,
    /// The day of the week or of the month.
    pub day: String,
    /// `HH:MM`.
    pub at: String,
    /// One of [`PLACES`].
    pub place: String,
    /// A path, an address, or addresses with commas, blanks or line ends between.
    pub to: String,
}

/// A schedule that makes sense.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// What it is called.
    pub name: String,
    /// A file, or `bundle`.
    pub what: String,
    /// `raw` or `safe`.
    pub mode: String,
    /// Whose.
    pub whose: Whose,
    /// Which, where it is not everybody's.
    pub of: String,
    /// Of which period.
    pub period: Period,
    /// When.
    pub when: When,
    /// Where to.
    pub place: Place,
}

impl Every {
    /// The word in database, API and settings.
    pub fn word(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Quarter => "quarter",
        }
    }

    /// What a word means.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Day, Self::Week, Self::Month, Self::Quarter].into_iter().find(|every| every.word() == word)
    }
}

impl Period {
    /// The word in database, API and settings.
    pub fn word(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Quarter => "quarter",
            Self::Year => "year",
            Self::Moment => "moment",
        }
    }

    /// What a word means.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Day, Self::Week, Self::Month, Self::Quarter, Self::Year, Self::Moment].into_iter().find(|period| period.word() == word)
    }

    /// From when, and until before when, of what is due at `due`.
    pub fn bounds(self, due: DateTime<Utc>) -> (Option<DateTime<Utc>>, DateTime<Utc>) {
        let day = due.date_naive();
        let month = day.with_day(1).unwrap_or(day);
        let back = |from: NaiveDate, months: u32| from.checked_sub_months(Months::new(months)).unwrap_or(from);
        let (from, to) = match self {
            Self::Moment => return (None, due),
            Self::Day => (day.checked_sub_days(Days::new(1)).unwrap_or(day), day),
            Self::Week => {
                let monday = day.checked_sub_days(Days::new(u64::from(day.weekday().num_days_from_monday()))).unwrap_or(day);
                (monday.checked_sub_days(Days::new(7)).unwrap_or(monday), monday)
            }
            Self::Month => (back(month, 1), month),
            Self::Quarter => {
                let begins = back(month, month.month0() % 3);
                (back(begins, 3), begins)
            }
            Self::Year => {
                let begins = back(month, month.month0());
                (back(begins, 12), begins)
            }
        };
        let midnight = |day: NaiveDate| day.and_time(NaiveTime::MIN).and_utc();
        (Some(midnight(from)), midnight(to))
    }

    /// Which period it is, in words.
    pub fn says(self) -> &'static str {
        match self {
            Self::Day => "the day before",
            Self::Week => "the week before",
            Self::Month => "the month before",
            Self::Quarter => "the quarter before",
            Self::Year => "the year before",
            Self::Moment => "as of that moment",
        }
    }
}

impl Whose {
    /// The word in database, API and settings.
    pub fn word(self) -> &'static str {
        match self {
            Self::Organisation => "organisation",
            Self::Application => "application",
            Self::Role => "role",
            Self::Person => "person",
        }
    }

    /// What a word means.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Organisation, Self::Application, Self::Role, Self::Person].into_iter().find(|whose| whose.word() == word)
    }
}

impl Place {
    /// The word in database, API and settings.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Folder(_) => "folder",
            Self::Webhook(_) => "webhook",
            Self::Mail(_) => "mail",
        }
    }

    /// The path, the address, or the addresses.
    pub fn to(&self) -> String {
        match self {
            Self::Folder(path) => path.clone(),
            Self::Webhook(url) => url.clone(),
            Self::Mail(addresses) => addresses.join(", "),
        }
    }

    /// In words: "to the folder audit/weekly".
    pub fn says(&self) -> String {
        match self {
            Self::Folder(path) => format!("to the folder {path}"),
            Self::Webhook(url) => format!("to {url}"),
            Self::Mail(addresses) => format!("by mail to {}", addresses.join(", ")),
        }
    }
}

/// The days of the week, Monday first.
pub const WEEKDAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

impl When {
    fn is_on(self, day: NaiveDate) -> bool {
        match self.every {
            Every::Day => true,
            Every::Week => day.weekday().number_from_monday() == self.day,
            Every::Month => day.day() == self.day,
            Every::Quarter => day.day() == self.day && day.month0().is_multiple_of(3),
        }
    }

    fn on(self, day: NaiveDate) -> DateTime<Utc> {
        day.and_hms_opt(self.minute / 60, self.minute % 60, 0).unwrap_or_default().and_utc()
    }

    /// The first time after `now`.
    pub fn next(self, now: DateTime<Utc>) -> DateTime<Utc> {
        // A quarter has at most 92 days.
        let days = (0..=93).filter_map(|ahead| now.date_naive().checked_add_days(Days::new(ahead)));
        days.filter(|day| self.is_on(*day)).map(|day| self.on(day)).find(|at| *at > now).unwrap_or(DateTime::<Utc>::MAX_UTC)
    }

    /// The last time that is not after `now`.
    pub fn last(self, now: DateTime<Utc>) -> DateTime<Utc> {
        let days = (0..=93).filter_map(|back| now.date_naive().checked_sub_days(Days::new(back)));
        days.filter(|day| self.is_on(*day)).map(|day| self.on(day)).find(|at| *at <= now).unwrap_or(DateTime::<Utc>::MIN_UTC)
    }

    /// `HH:MM`.
    pub fn clock(self) -> String {
        format!("{:02}:{:02}", self.minute / 60, self.minute % 60)
    }

    /// In words: "weekly on Monday at 06:00 UTC".
    pub fn says(self) -> String {
        let at = self.clock();
        match self.every {
            Every::Day => format!("daily at {at} UTC"),
            Every::Week => format!("weekly on {} at {at} UTC", WEEKDAYS.get(self.day.saturating_sub(1) as usize).copied().unwrap_or_default()),
            Every::Month => format!("monthly on day {} at {at} UTC", self.day),
            Every::Quarter => format!("quarterly on day {} at {at} UTC", self.day),
        }
    }
}

impl Schedule {
    /// In words, for the log.
    pub fn says(&self) -> String {
        let whose = match self.whose {
            Whose::Organisation => "of everybody".to_owned(),
            whose => format!("of the {} {}", whose.word(), self.of),
        };
        format!("{} ({}) {whose}, {}, {}, {}", self.what, self.mode, self.period.says(), self.when.says(), self.place.says())
    }
}

/// What was written as a schedule that makes sense; `whats` are the words of the files.
///
/// # Errors
/// Every fault there is, by the names of [`Written`]'s fields.
pub fn read(written: &Written, whats: &[&str]) -> Result<Schedule, Vec<FieldFault>> {
    let mut faults = Vec::new();
    let mut fault = |field: &str, sentence: String| faults.push(FieldFault { field: field.into(), sentence });
    let name = written.name.trim();
    if name.is_empty() {
        fault("name", "Give it a name.".into());
    } else if name.chars().count() > LONGEST_NAME || name.chars().any(is_odd) {
        fault("name", format!("At most {LONGEST_NAME} characters that can be shown."));
    }
    let what = written.what.trim();
    let what = what.strip_suffix(".csv").unwrap_or(what);
    if what != BUNDLE && !whats.contains(&what) {
        fault("what", format!("Must be bundle, or one of {}.", whats.join(", ")));
    }
    let mode = or(&written.mode, "raw");
    if !["raw", "safe"].contains(&mode) {
        fault("mode", "Must be raw or safe.".into());
    }
    let whose = Whose::parse(or(&written.whose, "organisation"));
    let of = written.of.trim();
    match whose {
        None => fault("whose", format!("Must be one of {}.", WHOSE.join(", "))),
        Some(Whose::Organisation) if !of.is_empty() => fault("of", "The whole organisation needs none; choose application, role or person.".into()),
        Some(Whose::Organisation) => {}
        Some(whose) if of.is_empty() || of.len() > 320 || of.chars().any(is_odd) => fault("of", format!("Say which {}.", whose.word())),
        Some(_) => {}
    }
    let period = Period::parse(written.period.trim());
    match period {
        None => fault("period", format!("Must be one of {}.", PERIODS.join(", "))),
        Some(Period::Moment) if what != OF_A_MOMENT => fault("period", format!("Only {OF_A_MOMENT} is as of a moment; choose a period.")),
        Some(_) => {}
    }
    let every = Every::parse(written.every.trim());
    let given = written.day.trim();
    let day = match every {
        None => {
            fault("every", format!("Must be one of {}.", EVERY.join(", ")));
            0
        }
        Some(Every::Day) => 0,
        Some(Every::Week) => weekday(given).unwrap_or_else(|| {
            fault("day", "Must be a day of the week, such as Monday, or 1 (Monday) to 7.".into());
            0
        }),
        Some(Every::Month | Every::Quarter) => plain(given).filter(|day| (1..=28).contains(day)).unwrap_or_else(|| {
            fault("day", "Must be a day of the month from 1 to 28: every month has those.".into());
            0
        }),
    };
    let minute = minute(written.at.trim());
    if minute.is_none() {
        fault("at", "Must be a time like 06:00, in UTC.".into());
    }
    let to = written.to.trim();
    let place = match written.place.trim() {
        "folder" => folder(to).map(Place::Folder).map_err(|sentence| vec![sentence]),
        "webhook" if to.len() > LONGEST_URL || to.is_empty() || to.chars().any(is_odd) => {
            Err(vec!["Must be an address such as https://audit.example.com/evidence.".into()])
        }
        "webhook" => Ok(Place::Webhook(to.to_owned())),
        "mail" => addresses(to).map(Place::Mail),
        _ => {
            fault("place", format!("Must be one of {}.", PLACES.join(", ")));
            Err(vec![])
        }
    };
    let place = place.map_err(|sentences| sentences.into_iter().for_each(|sentence| fault("to", sentence))).ok();
    match (whose, period, every, minute, place) {
        (Some(whose), Some(period), Some(every), Some(minute), Some(place)) if faults.is_empty() => Ok(Schedule {
            name: name.to_owned(),
            what: what.to_owned(),
            mode: mode.to_owned(),
            whose,
            of: of.to_owned(),
            period,
            when: When { every, day, minute },
            place,
        }),
        _ => Err(faults),
    }
}

fn or<'a>(text: &'a str, usual: &'a str) -> &'a str {
    Some(text.trim()).filter(|text| !text.is_empty()).unwrap_or(usual)
}

/// Whether no line of text should hold it: control characters, and marks that turn text around.
fn is_odd(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

fn plain(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

fn weekday(text: &str) -> Option<u32> {
    let named = || WEEKDAYS.iter().position(|day| day.eq_ignore_ascii_case(text)).and_then(|at| u32::try_from(at + 1).ok());
    plain(text).filter(|day| (1..=7).contains(day)).or_else(named)
}

fn minute(text: &str) -> Option<u32> {
    let (hour, minute) = text.split_once(':').filter(|(hour, minute)| hour.len() == 2 && minute.len() == 2)?;
    let (hour, minute) = (plain(hour)?, plain(minute)?);
    (hour < 24 && minute < 60).then_some(hour * 60 + minute)
}

/// A path beneath a folder: names of letters, digits, `.`, `_` and `-`, none of which begins with a dot.
fn folder(text: &str) -> Result<String, String> {
    let parts: Vec<&str> = text.split('/').collect();
    let is_name = |part: &&str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part.len() <= 80
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
    };
    if text.len() > LONGEST_FOLDER || parts.len() > DEEPEST || !parts.iter().all(is_name) {
        return Err(
            "Must be a folder beneath the one of the settings, such as auditors/weekly: letters, digits, . _ and -, no part beginning with a dot.".into()
        );
    }
    Ok(text.to_owned())
}

/// Mail addresses with commas, semicolons, blanks or line ends between; each once.
fn addresses(text: &str) -> Result<Vec<String>, Vec<String>> {
    let mut good: Vec<String> = Vec::new();
    let mut bad = Vec::new();
    for one in text.split(|c: char| matches!(c, ',' | ';') || c.is_ascii_whitespace()).filter(|one| !one.is_empty()) {
        match address(one) {
            Some(address) if good.contains(&address) => {}
            Some(address) => good.push(address),
            None => bad.push(format!("“{}” is no mail address that can be sent to.", one.chars().filter(|c| !is_odd(*c)).take(80).collect::<String>())),
        }
    }
    if good.len() > MOST_ADDRESSES || bad.len() > MOST_ADDRESSES {
        return Err(vec![format!("At most {MOST_ADDRESSES} addresses.")]);
    }
    if good.is_empty() && bad.is_empty() {
        bad.push("Give at least one mail address.".into());
    }
    if bad.is_empty() { Ok(good) } else { Err(bad) }
}

/// A mail address as we send to it: its domain in lower case; none for whatever could mean something else to a mail server than to us,
/// quoted names and address literals with it.
pub fn address(text: &str) -> Option<String> {
    let (name, domain) = text.rsplit_once('@')?;
    let atom = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+/=?^_`{|}~-".contains(&byte);
    let is_name = (1..=64).contains(&name.len()) && name.split('.').all(|part| !part.is_empty() && part.bytes().all(atom)) && !name.starts_with('-');
    let domain = domain.to_ascii_lowercase();
    (is_name && text.len() <= 254 && is_domain(&domain)).then(|| format!("{name}@{domain}"))
}

/// Whether `text` is the name of a domain, in lower case, of at least two labels.
pub fn is_domain(text: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    text.len() <= 253
        && text.contains('.')
        && text.split('.').all(is_label)
        && text.rsplit('.').next().is_some_and(|last| !last.bytes().all(|b| b.is_ascii_digit()))
}

/// Minutes to wait after the failed try number `tries`: 1, 4, 16, 64, 256, then 360 each.
pub fn wait_minutes(tries: i32) -> i64 {
    4_i64.checked_pow(u32::try_from(tries.clamp(1, 10) - 1).unwrap_or(0)).unwrap_or(360).min(360)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap_or_default()
    }

    fn written() -> Written {
        let text = |text: &str| text.to_owned();
        Written {
            name: text("Weekly"),
            what: text("bundle"),
            mode: text("raw"),
            whose: text("organisation"),
            of: text(""),
            period: text("week"),
            every: text("week"),
            day: text("Monday"),
            at: text("06:00"),
            place: text("folder"),
            to: text("auditors/weekly"),
        }
    }

    const WHATS: [&str; 2] = ["grants", "access"];

    fn faulty(written: &Written) -> Vec<String> {
        read(written, &WHATS).err().into_iter().flatten().map(|fault| fault.field).collect()
    }

    #[test]
    fn a_schedule_says_what_it_does() {
        let schedule = read(&written(), &WHATS).ok();
        let says = schedule.map(|schedule| schedule.says()).unwrap_or_default();
        assert_eq!(says, "bundle (raw) of everybody, the week before, weekly on Monday at 06:00 UTC, to the folder auditors/weekly");
    }

    #[test]
    fn every_fault_is_named_at_once() {
        assert_eq!(faulty(&Written::default()), ["name", "what", "period", "every", "at", "place"]);
        let all = Written {
            name: "x\u{202e}".into(),
            what: "secrets".into(),
            mode: "pdf".into(),
            whose: "planet".into(),
            period: "decade".into(),
            every: "hour".into(),
            at: "25:00".into(),
            place: "mail".into(),
            to: "a@b".into(),
            ..Written::default()
        };
        assert_eq!(faulty(&all), ["name", "what", "mode", "whose", "period", "every", "at", "to"]);
        assert_eq!(faulty(&Written { period: "moment".into(), ..written() }), ["period"]);
        assert_eq!(faulty(&Written { period: "moment".into(), what: "access.csv".into(), ..written() }), [""; 0]);
        assert_eq!(faulty(&Written { whose: "role".into(), ..written() }), ["of"]);
        assert_eq!(faulty(&Written { of: "orders-db".into(), ..written() }), ["of"]);
        for (every, day) in [("week", "8"), ("week", "Someday"), ("week", ""), ("month", "29"), ("month", "0"), ("quarter", "+1"), ("quarter", "")] {
            assert_eq!(faulty(&Written { every: every.into(), day: day.into(), ..written() }), ["day"], "{every} {day}");
        }
        for time in ["", "6:00", "06:60", "24:00", "0600", "06:00:00", "+6:00", "06:-1"] {
            assert_eq!(faulty(&Written { at: time.into(), ..written() }), ["at"], "{time}");
        }
    }

    #[test]
    fn a_folder_is_beneath_and_nowhere_else() {
        assert!(folder("a").is_ok() && folder("auditors/2026-Q1/x_y.z").is_ok());
        for bad in [
            "",
            "/",
            "/etc",
            "..",
            "../x",
            "a/../b",
            "a/..",
            "./a",
            "a//b",
            "a/",
            ".hidden",
            "a\\b",
            "a b",
            "a\0",
            "~",
            "C:",
            &"x".repeat(81),
            &["a"; 9].join("/"),
        ] {
            assert!(folder(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_address_means_one_mailbox_to_everybody() {
        assert_eq!(address("Ana.Cruz+audit@Example.COM").as_deref(), Some("Ana.Cruz+audit@example.com"));
        for bad in [
            "",
            "@",
            "a",
            "a@",
            "@b.c",
            "a@b",
            "a@b.1",
            "a b@c.de",
            "a@c.de>",
            "<a@c.de>",
            "\"a\"@c.de",
            "a@[127.0.0.1]",
            "a@c..de",
            ".a@c.de",
            "a.@c.de",
            "a@-c.de",
            "a@c.de\r\nBcc: x@y.zz",
            "a\r\n@c.de",
            "a@c.de\n",
            "a,b@c.de",
            "a@b@c.de",
            "-oQ/tmp@c.de",
            "ä@c.de",
            "a@ö.de",
            "a@c.de.",
            "a(x)@c.de",
            "a;b@c.de",
            "a:b@c.de",
            "a\0@c.de",
        ] {
            assert_eq!(address(bad), None, "{bad:?}");
        }
        assert_eq!(addresses("a@x.de, b@x.de;a@x.de\nc@X.de"), Ok(vec!["a@x.de".into(), "b@x.de".into(), "c@x.de".into()]));
        assert!(addresses("").is_err() && addresses(" , ").is_err());
        let many: Vec<String> = (0..21).map(|n| format!("a{n}@x.de")).collect();
        assert!(addresses(&many.join(",")).is_err());
    }

    #[test]
    fn the_next_time_and_the_last_are_found_across_months_and_years() {
        let when = |every, day| When { every, day, minute: 360 };
        let now = at("2026-12-01T06:00:00Z");
        assert_eq!(when(Every::Day, 0).next(now), at("2026-12-02T06:00:00Z"));
        assert_eq!(when(Every::Day, 0).last(now), now);
        assert_eq!(when(Every::Day, 0).last(at("2026-12-01T05:59:59Z")), at("2026-11-30T06:00:00Z"));
        assert_eq!(when(Every::Week, 1).next(now), at("2026-12-07T06:00:00Z"));
        assert_eq!(when(Every::Week, 1).last(now), at("2026-11-30T06:00:00Z"));
        assert_eq!(when(Every::Month, 28).next(at("2026-01-28T06:00:00Z")), at("2026-02-28T06:00:00Z"));
        assert_eq!(when(Every::Quarter, 28).next(now), at("2027-01-28T06:00:00Z"));
        assert_eq!(when(Every::Quarter, 1).last(now), at("2026-10-01T06:00:00Z"));
    }

    #[test]
    fn a_period_is_the_one_before() {
        let bounds = |period: Period, due: &str| {
            let (from, to) = period.bounds(at(due));
            (from.map(|from| from.date_naive().to_string()).unwrap_or_default(), to.to_rfc3339())
        };
        let due = "2026-03-01T06:00:00Z";
        for (period, from, to) in [
            (Period::Day, "2026-02-28", "2026-03-01T00:00:00+00:00"),
            (Period::Week, "2026-02-16", "2026-02-23T00:00:00+00:00"),
            (Period::Month, "2026-02-01", "2026-03-01T00:00:00+00:00"),
            (Period::Quarter, "2025-10-01", "2026-01-01T00:00:00+00:00"),
            (Period::Year, "2025-01-01", "2026-01-01T00:00:00+00:00"),
            (Period::Moment, "", "2026-03-01T06:00:00+00:00"),
        ] {
            assert_eq!(bounds(period, due), (from.to_owned(), to.to_owned()), "{period:?}");
        }
    }

    #[test]
    fn waits_grow_to_six_hours() {
        assert_eq!([1, 2, 3, 4, 5, 6, 99].map(wait_minutes), [1, 4, 16, 64, 256, 360, 360]);
        assert_eq!([0, -5].map(wait_minutes), [1, 1]);
    }

    proptest! {
        #[test]
        fn between_the_last_and_the_next_time_there_is_none(seconds in 0_i64..4_000_000_000, every in 0_usize..4, day in 1_u32..=7, minute in 0_u32..1440) {
            let every = [Every::Day, Every::Week, Every::Month, Every::Quarter][every];
            let (when, now) = (When { every, day, minute }, DateTime::from_timestamp(seconds, 0).unwrap_or_default());
            let (last, next) = (when.last(now), when.next(now));
            prop_assert!(last <= now && now < next);
            prop_assert_eq!(when.next(last), next);
            prop_assert_eq!(when.last(next), next);
        }

        #[test]
        fn no_text_breaks_a_reader_or_becomes_a_header(text: String) {
            let all = Written { name: text.clone(), of: text.clone(), day: text.clone(), at: text.clone(), to: text.clone(), ..written() };
            let _ = read(&all, &WHATS);
            let _ = read(&Written { place: "mail".into(), ..all }, &WHATS);
            if let Some(address) = address(&text) {
                prop_assert!(address.is_ascii() && !address.bytes().any(|b| b.is_ascii_whitespace() || b.is_ascii_control() || b == b'<' || b == b'>'));
            }
        }
    }
}
