//! Measures: how long things took, and what shares they were.

use askama::Template;
use axum::extract::State;
use axum::http::{HeaderMap, Method, header};
use axum::response::{IntoResponse, Response};
use chrono::{Months, NaiveDate};
use serde::Deserialize;
use uuid::Uuid;

use crate::domain::event::Channel;
use crate::service::look::measures::{self, Asked as Wanted, Chart, Column, Measures};
use crate::service::measure::first_of;
use crate::web::api::exports::in_earnest;
use crate::web::error::{self, Failure};
use crate::web::flash::page_of;
use crate::web::form::{Asked, chosen_id, failed, mode, sane, slowly};
use crate::web::guard::Auditor;
use crate::web::state::App;
use crate::web::view::{self, Amount as _, Frame, Moment as _, Words as _};

/// The most months of a page.
const MOST: u32 = 36;
/// A bar begins at one second and ends at ninety days, each ten times as long in the same width.
const SHORTEST: f64 = 1.0;
const LONGEST: f64 = 90.0 * 86_400.0;
/// Lines of a chart, in seconds.
const LINES: [(f64, &str); 4] = [(60.0, "1 minute"), (3_600.0, "1 hour"), (86_400.0, "1 day"), (30.0 * 86_400.0, "30 days")];
/// The height of a chart's columns, in pixels.
const HEIGHT: f64 = 140.0;
/// What the words of the lines take of a chart's width, in percent.
const MARGIN: f64 = 9.0;
/// How many columns have room for a word below them.
const LABELS: usize = 6;

/// The measures of some months.
#[derive(Template)]
#[template(path = "pages/measures.html")]
pub struct MeasuresPage {
    /// What is around it.
    pub frame: Frame,
    /// What it shows.
    pub measures: Measures,
}

/// What is measured, as the address says it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Search {
    from: String,
    to: String,
    application: String,
    role: String,
    mode: String,
}

impl Search {
    fn wanted(&self, today: NaiveDate) -> Result<Wanted, Failure> {
        let month = |name: &str, text: &str| {
            let month = format!("{text}-01").parse::<NaiveDate>().ok().filter(|day| text.len() == 7 && sane(day));
            month.ok_or_else(|| Failure::bad_input(format!("“{name}” must be a month like 2026-01, from 1970 to 9998.")))
        };
        let to = if self.to.is_empty() { first_of(today) } else { month("to", &self.to)? };
        let from = if self.from.is_empty() { to.checked_sub_months(Months::new(2)).unwrap_or(to) } else { month("from", &self.from)? };
        if from > to {
            return Err(Failure::bad_input("The period ends before it begins: “from” must not be later than “to”."));
        }
        if from.checked_add_months(Months::new(MOST)).is_some_and(|end| end <= to) {
            return Err(Failure::bad_input(format!("The period is of more than {MOST} months; choose fewer.")));
        }
        Ok(Wanted { from, to, application: chosen_id("application", &self.application)?, role: chosen_id("role", &self.role)? })
    }
}

impl MeasuresPage {
    /// A month as the address says it.
    pub fn month(&self, day: &NaiveDate) -> String {
        day.format("%Y-%m").to_string()
    }

    /// The address of the file.
    pub fn file(&self, mode: &str) -> String {
        let asked = &self.measures.asked;
        let id = |key: &str, id: Option<Uuid>| id.map(|id| format!("&{key}={id}")).unwrap_or_default();
        let (application, role) = (id("application", asked.application), id("role", asked.role));
        format!("/evidence/measures.csv?from={}&to={}{application}{role}&mode={mode}", self.month(&asked.from), self.month(&asked.to))
    }

    /// Whether this application or role is the chosen one.
    pub fn is_chosen(&self, value: &str) -> bool {
        let asked = &self.measures.asked;
        [asked.application, asked.role].into_iter().flatten().any(|id| id.to_string() == value)
    }

    /// Seconds in words, to the precision they have.
    pub fn lasted(&self, seconds: &f64) -> String {
        let (amount, unit) = match *seconds {
            s if s < 1.0 => (s * 1_000.0, "ms"),
            s if s < 120.0 => (s, "s"),
            s if s < 7_200.0 => (s / 60.0, "min"),
            s if s < 172_800.0 => (s / 3_600.0, "h"),
            s => (s / 86_400.0, "d"),
        };
        if amount < 10.0 { format!("{amount:.1} {unit}") } else { format!("{amount:.0} {unit}") }
    }

    /// Where a length lies between the shortest and the longest that is drawn, in percent.
    pub fn place(&self, seconds: &f64) -> String {
        format!("{:.1}", placed(*seconds))
    }

    /// What lies between two lengths, in percent; never nothing.
    pub fn between(&self, from: &f64, to: &f64) -> String {
        format!("{:.1}", (placed(*to) - placed(*from)).max(1.0))
    }

    /// A share in percent.
    pub fn percent(&self, count: &i64, all: &i64) -> String {
        let percent = *count as f64 * 100.0 / (*all).max(1) as f64;
        if percent > 0.0 && percent < 1.0 || percent > 99.0 && percent < 100.0 { format!("{percent:.1}") } else { format!("{percent:.0}") }
    }

    /// The lines of a chart: how far from its top, and what they are.
    pub fn lines(&self) -> [(String, &'static str); 4] {
        LINES.map(|(seconds, label)| (format!("{:.1}", HEIGHT - placed(seconds) * HEIGHT / 100.0), label))
    }

    /// The columns of a chart: where each begins, its width, top and height of its three parts, and what stands below it.
    pub fn columns<'a>(&self, chart: &'a Chart) -> Vec<Drawn<'a>> {
        let each = (100.0 - MARGIN) / chart.columns.len().max(1) as f64;
        let every = chart.columns.len().div_ceil(LABELS).max(1);
        chart
            .columns
            .iter()
            .enumerate()
            .map(|(nth, column)| Drawn {
                column,
                x: format!("{:.2}", MARGIN + (nth as f64 + 0.15) * each),
                width: format!("{:.2}", each * 0.7),
                middle: format!("{:.2}", MARGIN + (nth as f64 + 0.5) * each),
                parts: column.within.map(|within| within.map(part)).unwrap_or_default(),
                label: (nth % every == 0).then(|| column.begins.format(if chart.by_day { "%-d %b" } else { "%b %Y" }).to_string()),
                name: column.begins.format(if chart.by_day { "%Y-%m-%d" } else { "%Y-%m" }).to_string(),
            })
            .collect()
    }
}

/// A column as it is drawn.
#[derive(Debug)]
pub struct Drawn<'a> {
    /// What it is about.
    pub column: &'a Column,
    /// Where it begins, in percent.
    pub x: String,
    /// Its width, in percent.
    pub width: String,
    /// Its middle, in percent.
    pub middle: String,
    /// Top and height of what half, nine tenths and nearly all do not exceed, in pixels.
    pub parts: [(String, String); 3],
    /// What stands below it, where there is room.
    pub label: Option<String>,
    /// What it is, in full.
    pub name: String,
}

fn placed(seconds: f64) -> f64 {
    ((seconds / SHORTEST).ln() / (LONGEST / SHORTEST).ln() * 100.0).clamp(0.0, 100.0)
}

fn part(seconds: f64) -> (String, String) {
    let height = (placed(seconds) * HEIGHT / 100.0).max(1.0);
    (format!("{:.1}", HEIGHT - height), format!("{height:.1}"))
}

/// `GET /evidence/measures`
pub async fn get(State(app): State<App>, Auditor(viewer): Auditor, Asked(search): Asked<Search>) -> Result<Response, Response> {
    let wanted = search.wanted(app.ctx.clock.now().date_naive()).map_err(failed)?;
    let measures = measures::measures(&app.ctx, &viewer.by(Channel::Web), wanted).await.map_err(failed)?;
    Ok(page_of(&MeasuresPage { frame: error::frame(&app, Some(&viewer), "measures"), measures }))
}

/// `GET /evidence/measures.csv`
pub async fn csv(
    State(app): State<App>,
    Auditor(viewer): Auditor,
    method: Method,
    headers: HeaderMap,
    Asked(search): Asked<Search>,
) -> Result<Response, Response> {
    in_earnest(&method, &headers).map_err(failed)?;
    let by = viewer.by(Channel::Web);
    let mode = mode(&search.mode).map_err(failed)?;
    let wanted = search.wanted(app.ctx.clock.now().date_naive()).map_err(failed)?;
    slowly(&app, &app.limits.export, &by)?;
    let file = measures::csv(&app.ctx, &by, wanted, mode).await.map_err(failed)?;
    let kind = [(header::CONTENT_TYPE, "text/csv; charset=utf-8; header=present"), (header::CONTENT_DISPOSITION, "attachment; filename=\"measures.csv\"")];
    Ok((kind, file).into_response())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::service::look::measures::{Approver, LastingRow, ShareRow};
    use crate::service::look::shared::Choice;
    use crate::web::proof::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn sample(says: Says) -> MeasuresPage {
        let lasting =
            |key: &str, label: &str, count, within| LastingRow { key: key.into(), label: label.into(), help: "From one thing to another.", count, within };
        let share = |label: &'static str, count, all| ShareRow { key: "x", label, count, all, of: "requests" };
        let column = |month: u32, within| Column { begins: NaiveDate::from_ymd_opt(2026, month, 1).unwrap(), count: 120, within };
        let approver = |n: u128, name: &str, answered, waiting| Approver {
            person: id(n),
            name: says.of(name),
            answered,
            within: (answered > 0).then_some([2_700.0, 90_000.0]),
            waiting,
            since: (waiting > 0).then(|| ago(3_000)),
        };
        MeasuresPage {
            frame: frame(says, As::Auditor, "measures"),
            measures: Measures {
                asked: Wanted { from: day("2026-06-01"), to: day("2026-11-01"), application: Some(id(20)), role: None },
                applications: vec![Choice { value: id(20).to_string(), label: says.of("Orders DB") }],
                roles: vec![Choice { value: id(30).to_string(), label: says.of("reader") }],
                lasting: vec![
                    lasting("to_access", "Time to access", 1_284, [5_400.0, 93_600.0, 604_800.0]),
                    lasting("step_1", "In step 1", 1_100, [2_400.0, 50_000.0, 200_000.0]),
                    lasting("verification", "Verification", 1_280, [0.31, 1.4, 41.0]),
                ],
                shares: vec![share("Approved before access began", 1_284, 1_284), share("Denied", 61, 1_402), share("Timed out", 3, 1_402)],
                charts: vec![Chart {
                    label: "Time to access",
                    by_day: false,
                    columns: vec![
                        column(6, Some([7_200.0, 100_000.0, 700_000.0])),
                        column(7, None),
                        column(8, Some([5_000.0, 80_000.0, 500_000.0])),
                        column(9, Some([4_000.0, 90_000.0, 900_000.0])),
                        column(10, Some([3_600.0, 70_000.0, 400_000.0])),
                        column(11, Some([3_000.0, 60_000.0, 300_000.0])),
                    ],
                }],
                approvers: vec![approver(1, "Mara Voss", 412, 3), approver(2, "Arjun Mehta", 200, 0), approver(3, "Ana Prieto", 0, 7)],
                all_approvers: 61,
                counted: Some((day("2024-11-02"), ago(20))),
            },
        }
    }

    #[test]
    fn lengths_shares_and_approvers_are_told_with_their_bars() {
        let page = Rendered::of("measures", &sample(Says::Plain));
        assert_eq!(page.all("table.lasting tbody tr").len(), 3);
        assert!(page.says("90 min") && page.says("26 h") && page.says("7.0 d") && page.says("310 ms"), "{}", page.text("table.lasting"));
        assert!(page.says("100 %") && page.says("0.2 %") && page.says("1 284"));
        assert_eq!(page.all(".chart .column").len(), 5, "a month without any has no column");
        assert!(page.says("The 3 with the most answers, of 61"));
        let links: Vec<_> = page.all("a[download]").iter().map(|a| a.attr("href").unwrap().to_owned()).collect();
        assert!(links[0].starts_with("/evidence/measures.csv?from=2026-06&to=2026-11&application="), "{links:?}");
    }

    #[test]
    fn before_anything_happened_the_page_says_so() {
        let mut page = sample(Says::Plain);
        let measures = &mut page.measures;
        (measures.lasting, measures.shares, measures.charts, measures.approvers, measures.counted) = (vec![], vec![], vec![], vec![], None);
        let page = Rendered::of("measures-empty", &page);
        assert!(page.text(".empty").contains("Nothing was counted"));
    }

    #[test]
    fn hostile_text_stays_text_among_the_measures() {
        assert!(Rendered::of("measures-hostile", &sample(Says::Hostile)).all("img").is_empty());
    }

    #[test]
    fn a_period_is_of_some_whole_months() {
        let today = day("2026-11-21");
        let of = |from: &str, to: &str, role: &str| {
            let search = Search { from: from.into(), to: to.into(), role: role.into(), ..Search::default() };
            search.wanted(today).ok().map(|wanted| (wanted.from.to_string(), wanted.to.to_string()))
        };
        assert_eq!(of("", "", "").unwrap(), ("2026-09-01".into(), "2026-11-01".into()));
        assert_eq!(of("2026-02", "2026-02", "").unwrap(), ("2026-02-01".into(), "2026-02-01".into()));
        assert!(of("2024-01", "2026-12", "").is_some() && of("2023-12", "2026-12", "").is_none());
        for bad in [("2026-13", ""), ("2026-1", ""), ("2026-02-01", ""), ("x", ""), ("2026-05", "2026-04"), ("", "1969-12"), ("\u{0}", "")] {
            assert_eq!(of(bad.0, bad.1, ""), None, "{bad:?}");
        }
        assert_eq!(of("", "", "no-id"), None);
    }
}
