//! What the page Evidence shows.

use chrono::{DateTime, Days, NaiveDate, Utc};

use crate::evidence::columns::File;
use crate::evidence::manifest::CONTROLS;
use crate::service::bundle::{self, Step};
use crate::service::ctx::{By, Ctx};
use crate::service::error::ServiceError;
use crate::store::look_evidence::{self, Exception as ExceptionRow, LastTaken};
use crate::store::seal;

/// How many exceptions of a control are shown.
const SHOWN: i64 = 5;

/// A period of whole days (UTC), both inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period {
    /// The first day.
    pub from: NaiveDate,
    /// The last day.
    pub to: NaiveDate,
    /// So many days up to today, where it was chosen so.
    pub days: Option<u64>,
}

impl Period {
    /// The last `days` days, today included.
    pub fn last(days: u64, today: NaiveDate) -> Self {
        Self { from: today.checked_sub_days(Days::new(days.saturating_sub(1))).unwrap_or(today), to: today, days: Some(days) }
    }

    /// When it begins.
    pub fn begins(&self) -> DateTime<Utc> {
        self.from.and_time(chrono::NaiveTime::MIN).and_utc()
    }

    /// When it is over; that moment is not part of it.
    pub fn ends(&self) -> DateTime<Utc> {
        self.to.checked_add_days(Days::new(1)).unwrap_or(self.to).and_time(chrono::NaiveTime::MIN).and_utc()
    }
}

/// The controls of a period, and the files that show them.
#[derive(Clone, Debug)]
pub struct Evidence {
    /// Of which period.
    pub period: Period,
    /// The controls, those with exceptions first.
    pub controls: Vec<Control>,
    /// The files.
    pub files: Vec<FileRow>,
    /// When a bundle was last taken, and by whom.
    pub bundle: Option<Taken>,
    /// Bundles on their way.
    pub under_way: Vec<Step>,
    /// When the log was last signed, and how many events that is about; none where there is no key.
    pub signed: Option<(DateTime<Utc>, i64)>,
}

/// A control of a period.
#[derive(Clone, Debug)]
pub struct Control {
    /// As the standards call it.
    pub control: String,
    /// What is asked.
    pub question: String,
    /// How many it is about.
    pub population: i64,
    /// What they are, in a word.
    pub of: &'static str,
    /// How many of them are out of line.
    pub exceptions: i64,
    /// Some of those, newest first.
    pub shown: Vec<Exception>,
    /// What is not known yet, where nothing can be.
    pub gap: Option<&'static str>,
    /// The files that show it.
    pub files: Vec<String>,
}

/// Something out of line.
#[derive(Clone, Debug)]
pub struct Exception {
    /// In a sentence.
    pub sentence: String,
    /// When.
    pub at: DateTime<Utc>,
    /// Where to look.
    pub href: String,
}

/// A file to take.
#[derive(Clone, Debug)]
pub struct FileRow {
    /// Its name.
    pub name: String,
    /// What it holds.
    pub holds: &'static str,
    /// When it was last taken alone, and by whom.
    pub taken: Option<Taken>,
}

/// A taking.
#[derive(Clone, Debug)]
pub struct Taken {
    /// By whom.
    pub by: String,
    /// When.
    pub at: DateTime<Utc>,
}

impl From<&LastTaken> for Taken {
    fn from(row: &LastTaken) -> Self {
        Self { by: row.by.clone().unwrap_or_else(|| "the command line".into()), at: row.at }
    }
}

/// What a control counts, in a word.
const OF: [&str; 9] =
    ["grants", "requests", "people who left", "changes of people", "grants held now", "critical grants", "reviews", "groups", "changes of rules"];

/// The evidence of `period`, for auditors and administrators.
///
/// # Errors
/// [`ServiceError::Missing`] for anybody else.
pub async fn evidence(ctx: &Ctx, by: &By, period: Period) -> Result<Evidence, ServiceError> {
    if !by.reads_everything() {
        return Err(ServiceError::Missing);
    }
    let (from, to, now) = (period.begins(), period.ends(), ctx.clock.now());
    let (counts, exceptions, taken, signed) = tokio::try_join!(
        look_evidence::counts(&ctx.db, from, to, now),
        look_evidence::exceptions(&ctx.db, from, to, now, SHOWN),
        look_evidence::last_taken(&ctx.db),
        seal::newest(&ctx.db),
    )?;
    let mut controls: Vec<Control> = (0i32..)
        .zip(CONTROLS)
        .zip(OF)
        .map(|((number, (control, question, files, _)), of)| {
            let count = counts.iter().find(|count| count.control == number);
            Control {
                control: control.into(),
                question: question.into(),
                population: count.map_or(0, |count| count.population),
                of,
                exceptions: count.map_or(0, |count| count.exceptions),
                shown: exceptions.iter().filter(|row| row.control == number).map(exception).collect(),
                gap: (number == 6).then_some("No campaign of reviews has been yet."),
                files: files.iter().map(|file| (*file).to_owned()).collect(),
            }
        })
        .collect();
    controls.sort_by_key(|control| control.exceptions == 0);
    let last = |name: &str| taken.iter().find(|row| row.file == name).map(Taken::from);
    let files = File::ALL.into_iter().map(|file| FileRow { name: file.name(), holds: file.sentence(), taken: last(&file.name()) }).collect();
    let signed = signed.filter(|_| ctx.sealer.is_some()).map(|signed| (signed.signed_at, signed.size));
    Ok(Evidence { period, controls, files, bundle: last("bundle.zip"), under_way: bundle::under_way(), signed })
}

fn exception(row: &ExceptionRow) -> Exception {
    let who = row.person.as_deref().unwrap_or("Somebody unknown here");
    let of = row.of.as_deref().unwrap_or("something");
    let sentence = match row.what.as_str() {
        "before_approval" => format!("{who} had {of} before it was approved."),
        "adopted" => format!("{who} was in {of} without a grant, and got one afterwards."),
        "kept_apart" => format!("{who} got {of} although a rule keeps it apart from what they hold."),
        "held_together" => format!("{who} holds {of} with something that a rule keeps apart from it."),
        "still_held" => format!("{who} left, and not everything of theirs has ended in time."),
        "too_late" => format!("{who} left, and what was theirs ended too late."),
        "kept" => format!("{who} no longer meets the policy of {of} and keeps it."),
        "out_of_band" => format!("{who} is in {of} without a grant."),
        "left_alone" => format!("{who} is in {of} without a grant; somebody answers for it."),
        "without_end" => format!("{who} has {of} without an end."),
        "extended" => format!("{who} had {of} extended twice or more."),
        "not_reviewed" => format!("{who} took {of} in an emergency that nobody has reviewed in time."),
        "unexpected_member" => format!("{of} has a member too many: {who}."),
        "missing_member" => format!("{of} lacks a member: {who}."),
        "unknown_target" => format!("The group {of} is no longer in the directory."),
        _ => match &row.person {
            Some(person) => format!("{person} changed rules with {of}, and nobody else agreed."),
            None => format!("Rules were changed at the command line with {of}, and nobody agreed."),
        },
    };
    Exception { sentence, at: row.at, href: row.href.clone() }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_period_is_of_whole_days() {
        let today = NaiveDate::from_ymd_opt(2026, 3, 1).unwrap();
        let period = Period::last(30, today);
        assert_eq!((period.from.to_string().as_str(), period.to), ("2026-01-31", today));
        assert_eq!((period.ends() - period.begins()).num_days(), 30);
        assert_eq!(Period::last(1, today).from, today);
    }

    #[test]
    fn every_control_counts_something() {
        assert_eq!(OF.len(), CONTROLS.len());
    }
}
