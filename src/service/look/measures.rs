//! What the page Measures shows, and its file.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Months, NaiveDate, Utc};
use uuid::Uuid;

use crate::domain::event::{Fact, Subject};
use crate::domain::measure::{COUNTED, LASTING, SHARES, Spread};
use crate::evidence::csv::{Mode, record};
use crate::service::ctx::{By, Ctx};
use crate::service::error::ServiceError;
use crate::service::export;
use crate::store::look_names;
use crate::store::measure::{self, CountRow, Of};

use super::log::choices;
use super::shared::Choice;

/// How many approvers are shown.
const APPROVERS: usize = 50;
/// The header of the file.
const HEADER: [&str; 11] = ["month", "of", "of_id", "of_name", "measure", "count", "share_of", "share", "p50_s", "p90_s", "p99_s"];
/// Lengths that are drawn over time.
const DRAWN: [&str; 2] = ["to_access", "expiry_lag"];

/// What is measured: whole months, of everything, an application or a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The first day of the first month.
    pub from: NaiveDate,
    /// The first day of the last month.
    pub to: NaiveDate,
    /// Only of this application.
    pub application: Option<Uuid>,
    /// Only of this role.
    pub role: Option<Uuid>,
}

impl Asked {
    fn of(&self) -> Of {
        match (self.role, self.application) {
            (Some(role), _) => Of::Role(role),
            (None, Some(application)) => Of::Application(application),
            (None, None) => Of::Organisation,
        }
    }

    /// The first day, and the one after the last.
    fn days(&self) -> (NaiveDate, NaiveDate) {
        (self.from, self.to.checked_add_months(Months::new(1)).unwrap_or(self.to))
    }
}

/// The measures of a period.
#[derive(Clone, Debug)]
pub struct Measures {
    /// Of what.
    pub asked: Asked,
    /// Applications to choose from.
    pub applications: Vec<Choice>,
    /// Roles of the chosen application to choose from.
    pub roles: Vec<Choice>,
    /// How long things took; those that never happened are left out.
    pub lasting: Vec<LastingRow>,
    /// What shares they were; those of nothing are left out.
    pub shares: Vec<ShareRow>,
    /// How lengths came to be over time.
    pub charts: Vec<Chart>,
    /// Approvers by how much they answered, the most first; none but for everything.
    pub approvers: Vec<Approver>,
    /// How many approvers there are.
    pub all_approvers: usize,
    /// The first day that was counted, and when it was counted last.
    pub counted: Option<(NaiveDate, DateTime<Utc>)>,
}

/// A length.
#[derive(Clone, Debug, PartialEq)]
pub struct LastingRow {
    /// Its name in files.
    pub key: String,
    /// What it is called.
    pub label: String,
    /// What it is.
    pub help: &'static str,
    /// How many there are.
    pub count: i64,
    /// What half, nine tenths and all but a hundredth of them do not exceed, in seconds.
    pub within: [f64; 3],
}

/// A share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShareRow {
    /// Its name in files.
    pub key: &'static str,
    /// What it is called.
    pub label: &'static str,
    /// How many.
    pub count: i64,
    /// Of how many.
    pub all: i64,
    /// Of what.
    pub of: &'static str,
}

/// A length over time.
#[derive(Clone, Debug, PartialEq)]
pub struct Chart {
    /// What it is called.
    pub label: &'static str,
    /// By month, or by day where it is one month.
    pub by_day: bool,
    /// A column for each, in order; of those without any there is nothing to draw.
    pub columns: Vec<Column>,
}

/// A month or day of a chart.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// Its first day.
    pub begins: NaiveDate,
    /// How many there are.
    pub count: i64,
    /// As in [`LastingRow`]; none without any.
    pub within: Option<[f64; 3]>,
}

/// An approver.
#[derive(Clone, Debug, PartialEq)]
pub struct Approver {
    /// Who.
    pub person: Uuid,
    /// What they are called.
    pub name: String,
    /// How often they answered.
    pub answered: i64,
    /// What half and nine tenths of their answers did not take longer than, in seconds.
    pub within: Option<[f64; 2]>,
    /// How many wait for them now.
    pub waiting: i64,
    /// Since when the oldest does.
    pub since: Option<DateTime<Utc>>,
}

/// Sums of counts: lengths by their key, and numbers by theirs.
#[derive(Default)]
struct Sums {
    spreads: BTreeMap<String, Spread>,
    numbers: BTreeMap<String, i64>,
}

impl Sums {
    fn of<'a>(rows: impl IntoIterator<Item = &'a CountRow>) -> Self {
        let mut sums = Self::default();
        for row in rows {
            if row.step == COUNTED {
                *sums.numbers.entry(row.measure.clone()).or_default() += row.count;
            } else {
                sums.spreads.entry(row.measure.clone()).or_default().add(row.step, row.count);
            }
        }
        sums
    }

    fn lasting(&self) -> Vec<LastingRow> {
        let row = |key: &str, label: String, help| {
            let spread = self.spreads.get(key).filter(|spread| spread.count() > 0)?;
            Some(LastingRow { key: key.to_owned(), label, help, count: spread.count(), within: within(spread)? })
        };
        let mut rows = Vec::new();
        for lasting in LASTING {
            rows.extend(row(lasting.key, lasting.label.to_owned(), lasting.help));
            if lasting.key == "to_decision" {
                let steps: BTreeSet<u32> = self.spreads.keys().filter_map(|key| key.strip_prefix("step_")?.parse().ok()).collect();
                rows.extend(
                    steps.into_iter().filter_map(|step| row(&format!("step_{step}"), format!("In step {step}"), "From opening the step until it was settled.")),
                );
            }
        }
        rows
    }

    fn shares(&self) -> Vec<ShareRow> {
        let number = |key: &str| self.numbers.get(key).copied().unwrap_or_default();
        SHARES
            .into_iter()
            .map(|share| ShareRow {
                key: share.key,
                label: share.label,
                count: number(share.key),
                all: share.of.iter().map(|key| number(key)).sum(),
                of: share.all,
            })
            .filter(|row| row.all > 0)
            .collect()
    }
}

fn within(spread: &Spread) -> Option<[f64; 3]> {
    let at = |percent| spread.percentile(percent).map(|milliseconds| milliseconds / 1_000.0);
    Some([at(50)?, at(90)?, at(99)?])
}

/// The measures that `asked` names, for auditors and administrators.
///
/// # Errors
/// [`ServiceError::Missing`] for anybody else; otherwise when the database fails.
pub async fn measures(ctx: &Ctx, by: &By, asked: Asked) -> Result<Measures, ServiceError> {
    if !by.reads_everything() {
        return Err(ServiceError::Missing);
    }
    let (by_day, whole) = (asked.from == asked.to, asked.of() == Of::Organisation);
    let (rows, applications, reach) =
        tokio::try_join!(measure::counts(&ctx.db, asked.of(), asked.days(), by_day), look_names::applications(&ctx.db, None), measure::reach(&ctx.db))?;
    let roles = match asked.application {
        Some(application) => look_names::roles(&ctx.db, application, None).await?,
        None => vec![],
    };
    let sums = Sums::of(&rows);
    let (approvers, all_approvers) = if whole { approvers(ctx, asked).await? } else { (vec![], 0) };
    Ok(Measures {
        asked,
        applications: choices(applications),
        roles: choices(roles),
        lasting: sums.lasting(),
        shares: sums.shares(),
        charts: DRAWN.iter().filter_map(|key| chart(key, &rows, by_day)).collect(),
        approvers,
        all_approvers,
        counted: reach.first.zip(reach.at),
    })
}

fn chart(key: &str, rows: &[CountRow], by_day: bool) -> Option<Chart> {
    let lasting = LASTING.into_iter().find(|lasting| lasting.key == key)?;
    let all: BTreeSet<NaiveDate> = rows.iter().map(|row| row.begins).collect();
    let columns: Vec<Column> = all
        .into_iter()
        .map(|begins| {
            let mut spread = Spread::default();
            rows.iter().filter(|row| row.begins == begins && row.measure == key).for_each(|row| spread.add(row.step, row.count));
            Column { begins, count: spread.count(), within: within(&spread) }
        })
        .collect();
    columns.iter().any(|column| column.count > 0).then_some(Chart { label: lasting.label, by_day, columns })
}

async fn approvers(ctx: &Ctx, asked: Asked) -> Result<(Vec<Approver>, usize), ServiceError> {
    let mut spreads: BTreeMap<Uuid, Spread> = BTreeMap::new();
    for row in measure::answers(&ctx.db, asked.days()).await? {
        spreads.entry(row.person_id).or_default().add(row.step, row.count);
    }
    let mut most: Vec<(i64, Uuid)> = spreads.iter().map(|(person, spread)| (-spread.count(), *person)).collect();
    most.sort_unstable();
    let most: Vec<Uuid> = most.into_iter().take(APPROVERS).map(|(_, person)| person).collect();
    let rows = measure::waiting(&ctx.db, &most).await?;
    let all = rows.iter().map(|row| row.person_id).chain(spreads.keys().copied()).collect::<BTreeSet<_>>().len();
    let mut approvers: Vec<Approver> = rows
        .into_iter()
        .map(|row| {
            let spread = spreads.get(&row.person_id).cloned().unwrap_or_default();
            let within = within(&spread).map(|[half, most, _]| [half, most]);
            Approver { person: row.person_id, name: row.name, answered: spread.count(), within, waiting: row.waiting, since: row.since }
        })
        .collect();
    approvers.sort_by(|a, b| (b.answered, b.waiting, &a.name, a.person).cmp(&(a.answered, a.waiting, &b.name, b.person)));
    approvers.truncate(APPROVERS);
    Ok((approvers, all))
}

/// The measures as CSV: of every month, then of all of them, a row each; approvers of all of them. That it was taken is an event.
///
/// # Errors
/// As [`measures`].
pub async fn csv(ctx: &Ctx, by: &By, asked: Asked, mode: Mode) -> Result<Vec<u8>, ServiceError> {
    let shown = measures(ctx, by, asked).await?;
    let months = measure::counts(&ctx.db, asked.of(), asked.days(), false).await?;
    let named = |choices: &[Choice], id: Uuid| choices.iter().find(|choice| choice.value == id.to_string()).map(|choice| choice.label.clone());
    let (of, id, name) = match asked.of() {
        Of::Organisation => ("organisation", None, None),
        Of::Application(id) => ("application", Some(id), named(&shown.applications, id)),
        Of::Role(id) => ("role", Some(id), named(&shown.roles, id)),
    };
    let about = id.map_or_else(|| of.to_owned(), |id| format!("{of} {id}"));
    let filters = format!("months {} to {}, {about}", asked.from.format("%Y-%m"), asked.to.format("%Y-%m"));
    let fact = Fact::EvidenceExported { file: "measures.csv".into(), mode: mode.word().into(), filters };
    let (_seat, _) = export::taking(ctx, (by.actor(), by.channel), Subject::default(), fact).await?;
    let mut out = Vec::new();
    record(HEADER.map(Some), mode, &mut out);
    let id = id.map(|id| id.to_string());
    let all: BTreeSet<NaiveDate> = months.iter().map(|row| row.begins).collect();
    let of_month = |month: NaiveDate| (month.format("%Y-%m").to_string(), Sums::of(months.iter().filter(|row| row.begins == month)));
    for (month, sums) in all.into_iter().map(of_month).chain([("all".to_owned(), Sums::of(&months))]) {
        let mut line = |measure: &str, count: i64, share: Option<(&str, String)>, within: Option<[f64; 3]>| {
            let seconds = within.map(|within| within.map(|seconds| format!("{seconds:.3}")));
            let [half, most, nearly] = seconds.map_or([None, None, None], |seconds| seconds.map(Some));
            let (of_what, share) = share.unzip();
            let cells = [
                Some(month.as_str()),
                Some(of),
                id.as_deref(),
                name.as_deref(),
                Some(measure),
                Some(&*count.to_string()),
                of_what,
                share.as_deref(),
                half.as_deref(),
                most.as_deref(),
                nearly.as_deref(),
            ];
            record(cells, mode, &mut out);
        };
        for row in sums.lasting() {
            line(&row.key, row.count, None, Some(row.within));
        }
        for row in sums.shares() {
            line(row.key, row.count, Some((row.of, format!("{:.4}", row.count as f64 / row.all as f64))), None);
        }
    }
    for approver in &shown.approvers {
        let [half, most] = approver.within.map_or([None, None], |within| within.map(|seconds| Some(format!("{seconds:.3}"))));
        let (person, count) = (approver.person.to_string(), approver.answered.to_string());
        let cells: [Option<&str>; 11] = [
            Some("all"),
            Some("approver"),
            Some(&person),
            Some(&approver.name),
            Some("answer"),
            Some(&count),
            None,
            None,
            half.as_deref(),
            most.as_deref(),
            None,
        ];
        record(cells, mode, &mut out);
    }
    Ok(out)
}
