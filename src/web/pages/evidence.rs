//! Evidence: each control with its exceptions first, and the files.

use askama::Template;
use axum::extract::State;
use axum::http::{HeaderMap, Method};
use axum::response::Response;
use chrono::NaiveDate;
use serde::Deserialize;
use uuid::Uuid;

use crate::domain::event::Channel;
use crate::service::bundle::bundle;
use crate::service::export::{File, Taking};
use crate::service::look::evidence::{self, Evidence, Period};
use crate::web::api::exports::{in_earnest, stream};
use crate::web::error::{self, Failure};
use crate::web::flash::page_of;
use crate::web::form::{Asked, day, failed, mode, slowly};
use crate::web::guard::Auditor;
use crate::web::state::App;
use crate::web::view::{self, Amount as _, Frame, Moment as _, Words as _};

/// The periods to choose from, in days.
const PERIODS: [u64; 3] = [30, 90, 365];

/// The evidence of a period.
#[derive(Template)]
#[template(path = "pages/evidence.html")]
pub struct EvidencePage {
    /// What is around it.
    pub frame: Frame,
    /// What it shows.
    pub evidence: Evidence,
}

/// The period, as the address says it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Chosen {
    days: String,
    from: String,
    to: String,
    mode: String,
    application: String,
    role: String,
    person: String,
}

impl Chosen {
    fn id(name: &str, text: &str) -> Result<Option<Uuid>, Failure> {
        let read = || Uuid::try_parse(text).map(Some).map_err(|_| Failure::bad_input(format!("“{name}” must be an id.")));
        if text.is_empty() { Ok(None) } else { read() }
    }

    fn period(&self, today: NaiveDate) -> Result<Period, Failure> {
        if self.from.is_empty() && self.to.is_empty() {
            let days = if self.days.is_empty() { Some(PERIODS[1]) } else { self.days.parse().ok().filter(|days| PERIODS.contains(days)) };
            return days.map(|days| Period::last(days, today)).ok_or_else(|| Failure::bad_input("“days” must be 30, 90 or 365."));
        }
        let to = day("to", &self.to)?.unwrap_or(today);
        let from = day("from", &self.from)?.unwrap_or(to);
        if from > to {
            return Err(Failure::bad_input("The period ends before it begins: “from” must not be later than “to”."));
        }
        Ok(Period { from, to, days: None })
    }
}

impl EvidencePage {
    /// The period as a query string, with the mode of a file.
    pub fn query(&self, mode: &str) -> String {
        format!("from={}&to={}&mode={mode}", self.evidence.period.from, self.evidence.period.to)
    }

    /// The periods to choose from, and whether it is this one.
    pub fn periods(&self) -> [(u64, bool); 3] {
        PERIODS.map(|days| (days, self.evidence.period.days == Some(days)))
    }

    /// The address of a file.
    pub fn file(&self, name: &str, mode: &str) -> String {
        format!("/log/export/{name}?{}", self.query(mode))
    }

    /// How many controls have exceptions.
    pub fn open(&self) -> usize {
        self.evidence.controls.iter().filter(|control| control.exceptions > 0).count()
    }
}

/// `GET /evidence`
pub async fn get(State(app): State<App>, Auditor(viewer): Auditor, Asked(chosen): Asked<Chosen>) -> Result<Response, Response> {
    let period = chosen.period(app.ctx.clock.now().date_naive()).map_err(failed)?;
    let evidence = evidence::evidence(&app.ctx, &viewer.by(Channel::Web), period).await.map_err(failed)?;
    Ok(page_of(&EvidencePage { frame: error::frame(&app, Some(&viewer), "evidence"), evidence }))
}

/// `GET /evidence/bundle.zip`: everything about the period.
pub async fn zip(
    State(app): State<App>,
    Auditor(viewer): Auditor,
    method: Method,
    headers: HeaderMap,
    Asked(chosen): Asked<Chosen>,
) -> Result<Response, Response> {
    in_earnest(&method, &headers).map_err(failed)?;
    let by = viewer.by(Channel::Web);
    let period = chosen.period(app.ctx.clock.now().date_naive()).map_err(failed)?;
    let mode = mode(&chosen.mode).map_err(failed)?;
    slowly(&app, &app.limits.export, &by)?;
    let id = |name: &str, text: &str| Chosen::id(name, text).map_err(failed);
    let (application, role, person) = (id("application", &chosen.application)?, id("role", &chosen.role)?, id("person", &chosen.person)?);
    let taking = Taking {
        file: File::Requests,
        mode,
        from: Some(period.begins()),
        to: Some(period.ends()),
        application: application.map(Into::into),
        role: role.map(Into::into),
        person: person.map(Into::into),
    };
    let (download, _) = bundle(&app.ctx, &by, &taking).await.map_err(failed)?;
    Ok(stream(download))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::service::bundle::Step;
    use crate::service::look::evidence::{Control, Exception, FileRow, Taken};
    use crate::web::proof::*;

    fn sample(says: Says) -> EvidencePage {
        let exception = |sentence: &str, minutes| Exception { sentence: says.of(sentence), at: ago(minutes), href: "/requests/x".into() };
        let control = |control: &str, question: &str, population, of, shown: Vec<Exception>| Control {
            control: control.into(),
            question: question.into(),
            population,
            of,
            exceptions: shown.len() as i64 + if shown.len() == 2 { 5 } else { 0 },
            shown,
            gap: None,
            files: vec!["grants.csv".into(), "approvals.csv".into()],
        };
        let mut review = control("ISO 27001 A.5.18: review", "Was access reviewed in time, by others, and removed?", 0, "reviews", vec![]);
        review.gap = Some("No campaign of reviews has been yet.");
        let taken = Taken { by: says.of("Wei Zhang"), at: ago(3 * 1440) };
        EvidencePage {
            frame: frame(says, As::Auditor, "evidence"),
            evidence: Evidence {
                period: Period::last(90, now().date_naive()),
                controls: vec![
                    control(
                        "SOC 2 CC6.1, ISO 27001 A.5.15: access",
                        "Who has access, and why?",
                        412,
                        "grants held now",
                        vec![
                            exception("Tom Ferro is in orders-db-readers without a grant.", 90),
                            exception("Ana Prieto is in payments-support without a grant.", 4000),
                        ],
                    ),
                    control(
                        "SOC 2 CC6.2, ISO 27001 A.6.5: leaving",
                        "Was everything of who left removed within the limit?",
                        7,
                        "people who left",
                        vec![exception("Jon Vega left, and what was theirs ended too late.", 20_000)],
                    ),
                    control(
                        "SOC 2 CC6.2, ISO 27001 A.5.18: granting",
                        "Was each grant approved before access began, by somebody allowed to, and under which rule?",
                        1284,
                        "grants",
                        vec![],
                    ),
                    review,
                ],
                files: File::ALL
                    .into_iter()
                    .map(|file| FileRow { name: file.name(), holds: file.sentence(), taken: (file == File::Grants).then(|| taken.clone()) })
                    .collect(),
                bundle: Some(taken),
                under_way: vec![Step { to: says.of("Wei Zhang"), since: ago(1), file: "grants.csv".into(), nth: 3, of: 15, rows: 120_000 }],
                signed: Some((ago(2), 18_204)),
            },
        }
    }

    #[test]
    fn exceptions_come_first_and_every_file_can_be_taken() {
        let page = Rendered::of("evidence", &sample(Says::Plain));
        assert_eq!(page.all("section[aria-labelledby=h-controls] .control").len(), 4);
        assert_eq!(page.all(".control .badge.warn").len(), 2);
        assert!(page.says("and 5 more") && page.says("No campaign of reviews"));
        assert_eq!(page.all("table.files tbody tr").len(), 14);
        let links: Vec<_> = page.all("a[download]").iter().map(|a| a.attr("href").unwrap().to_owned()).collect();
        assert_eq!(links.len(), 2 + 2 * 14);
        assert_eq!(links[0], "/evidence/bundle.zip?from=2026-08-24&to=2026-11-21&mode=raw");
        assert!(links.contains(&"/log/export/access.csv?from=2026-08-24&to=2026-11-21&mode=safe".to_owned()));
        assert!(page.says("120 000 rows") && page.says("Wei Zhang"));
        assert_eq!(page.one("nav a[aria-current=page]").attr("href"), Some("/evidence"));
    }

    #[test]
    fn a_period_without_exceptions_says_so() {
        let mut page = sample(Says::Plain);
        page.evidence.controls.retain(|control| control.exceptions == 0);
        page.evidence.under_way.clear();
        page.evidence.bundle = None;
        page.evidence.signed = None;
        let page = Rendered::of("evidence-quiet", &page);
        assert!(page.text(".allwell").contains("No exceptions") && page.says("no key"));
    }

    #[test]
    fn hostile_text_stays_text_in_the_evidence() {
        assert!(Rendered::of("evidence-hostile", &sample(Says::Hostile)).all("img").is_empty());
    }

    #[test]
    fn a_period_is_one_of_three_or_ones_own() {
        let today = NaiveDate::from_ymd_opt(2026, 11, 21).unwrap();
        let of = |days: &str, from: &str, to: &str| {
            Chosen { days: days.into(), from: from.into(), to: to.into(), ..Chosen::default() }
                .period(today)
                .ok()
                .map(|p| (p.from.to_string(), p.to.to_string(), p.days))
        };
        assert_eq!(of("", "", "").unwrap().2, Some(90));
        assert_eq!(of("30", "", "").unwrap(), ("2026-10-23".into(), "2026-11-21".into(), Some(30)));
        assert_eq!(of("", "2026-01-01", "2026-03-31").unwrap(), ("2026-01-01".into(), "2026-03-31".into(), None));
        assert_eq!(of("30", "2026-01-01", "").unwrap().1, "2026-11-21");
        for bad in [("31", "", ""), ("x", "", ""), ("", "2026-13-01", ""), ("", "2026-02-01", "2026-01-01"), ("", "1969-01-01", "")] {
            assert_eq!(of(bad.0, bad.1, bad.2), None, "{bad:?}");
        }
    }
}
