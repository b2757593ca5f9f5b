//! Sample: drawn by a seed, with printable sheets.

use askama::Template;
use axum::extract::State;
use axum::http::{HeaderMap, Method};
use axum::response::{IntoResponse, Response};
use chrono::NaiveDate;
use serde::Deserialize;
use uuid::Uuid;

use crate::domain::event::Channel;
use crate::domain::policy::FieldFault;
use crate::domain::refusal::Refusal;
use crate::service::error::ServiceError;
use crate::service::export::{File, Mode, Taking};
use crate::service::look::evidence::Period;
use crate::service::look::scope::{self, Scope, Wanted};
use crate::service::sample::{self, Drawing, LONGEST, POPULATIONS, Sample};
use crate::web::api::exports::{in_earnest, stream};
use crate::web::error::{self, Failure};
use crate::web::flash::page_of;
use crate::web::form::{Asked, chosen_id, failed, line, mode, sane, shown, slowly};
use crate::web::guard::Auditor;
use crate::web::pages::as_of::{joined, of_scope};
use crate::web::state::App;
use crate::web::view::{self, Amount as _, Frame, Words as _};

/// The period that is suggested, in days.
const DAYS: u64 = 90;
/// The size that is suggested.
const SIZE: &str = "25";

/// A sample, or what one is to be drawn by.
#[derive(Template)]
#[template(path = "pages/sample.html")]
pub struct SamplePage {
    /// What is around it.
    pub frame: Frame,
    /// What it is narrowed to.
    pub scope: Scope,
    /// What was chosen and typed.
    pub typed: Typed,
    /// What is wrong with it.
    pub faults: Vec<FieldFault>,
    /// What was drawn.
    pub sample: Option<Sample>,
}

/// What was chosen and typed, as it is shown again.
#[derive(Clone, Debug)]
pub struct Typed {
    /// The word of the population.
    pub population: String,
    /// First day.
    pub from: String,
    /// Last day.
    pub to: String,
    /// How many.
    pub size: String,
    /// By what.
    pub seed: String,
}

/// What to draw, as the address says it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Search {
    population: String,
    from: String,
    to: String,
    size: String,
    seed: String,
    application: String,
    role: String,
    person: String,
    q: String,
    mode: String,
    /// The only item to show.
    pub item: String,
}

impl Search {
    /// The file of the word; that of requests when there is none.
    fn population(&self) -> Option<File> {
        if self.population.is_empty() { Some(File::Requests) } else { POPULATIONS.into_iter().find(|file| file.word() == self.population) }
    }

    /// What was typed, with what is suggested in its place where nothing was.
    fn typed(&self, today: NaiveDate) -> Typed {
        let suggested = Period::last(DAYS, today);
        let or = |text: &str, other: String| if text.is_empty() { other } else { shown(&line(text)) };
        Typed {
            population: or(&self.population, File::Requests.word().into()),
            from: or(&self.from, suggested.from.to_string()),
            to: or(&self.to, suggested.to.to_string()),
            size: or(&self.size, SIZE.into()),
            seed: if self.seed.trim().is_empty() { sample::seed() } else { shown(self.seed.trim()).chars().take(2 * LONGEST).collect() },
        }
    }

    /// What to draw of `scope`.
    ///
    /// # Errors
    /// Every fault there is.
    pub fn drawing(&self, wanted: &Wanted, mode: Mode, today: NaiveDate) -> Result<Drawing, Vec<FieldFault>> {
        let mut faults = Vec::new();
        let mut fault = |field: &str, sentence: &str| faults.push(FieldFault { field: field.into(), sentence: sentence.into() });
        let suggested = Period::last(DAYS, today);
        let mut day = |field: &str, text: &str, other: NaiveDate| match text.trim() {
            "" => Some(other),
            text => {
                let read = text.parse::<NaiveDate>().ok().filter(sane);
                if read.is_none() {
                    fault(field, "Must be a day like 2026-01-31, from 1970 to 9998.");
                }
                read
            }
        };
        let (from, to) = (day("from", &self.from, suggested.from), day("to", &self.to, suggested.to));
        if let (Some(from), Some(to)) = (from, to)
            && from > to
        {
            fault("to", "The period ends before it begins.");
        }
        let file = self.population();
        if file.is_none() {
            fault("population", "Choose one of the list.");
        }
        let size = if self.size.trim().is_empty() { SIZE } else { self.size.trim() }.parse().unwrap_or(0);
        let period = Period { from: from.unwrap_or(today), to: to.unwrap_or(today), days: None };
        let taking = Taking {
            file: file.unwrap_or(File::Requests),
            mode,
            from: Some(period.begins()),
            to: Some(period.ends()),
            application: wanted.application.map(Into::into),
            role: wanted.role.map(Into::into),
            person: wanted.person.map(Into::into),
        };
        let drawing = Drawing { taking, seed: self.seed.trim().to_owned(), size };
        faults.extend(sample::faults(&drawing));
        if faults.is_empty() { Ok(drawing) } else { Err(faults) }
    }

    /// What it is to be narrowed to.
    ///
    /// # Errors
    /// For what is no id.
    pub fn wanted(&self) -> Result<Wanted, Failure> {
        Ok(Wanted {
            application: chosen_id("application", &self.application)?,
            role: chosen_id("role", &self.role)?,
            person: chosen_id("person", &self.person)?,
            q: line(&self.q),
        })
    }

    /// Whether a sample is to be drawn, and not only the form looked at.
    fn draws(&self) -> bool {
        !self.seed.trim().is_empty() || !self.size.is_empty()
    }
}

/// What is drawn, as a query string.
pub fn of_drawing(typed: &Typed, scope: &Scope, but: &str) -> String {
    let pairs = [("population", &typed.population), ("from", &typed.from), ("to", &typed.to), ("size", &typed.size), ("seed", &typed.seed)];
    let mut parts: Vec<String> = pairs.iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| format!("{name}={}", value.query())).collect();
    parts.push(of_scope(scope, but));
    parts.retain(|part| !part.is_empty());
    parts.join("&")
}

impl SamplePage {
    /// Files to draw from: word, and whether it is the one chosen.
    pub fn populations(&self) -> Vec<(&'static str, bool)> {
        POPULATIONS.iter().map(|file| (file.word(), file.word() == self.typed.population)).collect()
    }

    /// What is wrong with a field.
    pub fn fault(&self, field: &str) -> Option<&str> {
        self.faults.iter().find(|fault| fault.field == field).map(|fault| fault.sentence.as_str())
    }

    /// Whether that application or role is the one chosen.
    pub fn is_chosen(&self, value: &str) -> bool {
        [self.scope.wanted.application, self.scope.wanted.role].into_iter().flatten().any(|id| id.to_string() == value)
    }

    /// The address without a part of the scope.
    pub fn without(&self, name: &str) -> String {
        joined("/evidence/sample", &[&of_drawing(&self.typed, &self.scope, name)])
    }

    /// The address with a part of the scope.
    pub fn with(&self, name: &str, id: &Uuid) -> String {
        let rest = of_drawing(&self.typed, &self.scope, if name == "person" { "person" } else { "application" });
        let rest: Vec<&str> = rest.split('&').filter(|pair| name == "person" || !pair.starts_with("role=")).collect();
        joined("/evidence/sample", &[&rest.join("&"), &format!("{name}={id}")])
    }

    /// The address of the sample's file.
    pub fn file(&self, mode: &str) -> String {
        joined("/evidence/sample/sample.csv", &[&of_drawing(&self.typed, &self.scope, ""), &format!("mode={mode}")])
    }

    /// The address of all its sheets.
    pub fn sheets(&self) -> String {
        joined("/evidence/sample/sheets", &[&of_drawing(&self.typed, &self.scope, "")])
    }

    /// The address of one of its sheets.
    pub fn sheet(&self, no: &usize) -> String {
        format!("{}&item={no}", self.sheets())
    }

    /// Which cells an id is made of.
    pub fn id_of(&self) -> &'static [&'static str] {
        POPULATIONS.into_iter().find(|file| file.word() == self.typed.population).map(sample::id_of).unwrap_or_default()
    }

    /// Whether the period is over, so that nothing comes to it any more.
    pub fn is_over(&self, sample: &Sample) -> bool {
        sample.drawing.taking.to.is_some_and(|to| to <= self.frame.now)
    }
}

/// `GET /evidence/sample`
pub async fn get(
    State(app): State<App>,
    Auditor(viewer): Auditor,
    method: Method,
    headers: HeaderMap,
    Asked(search): Asked<Search>,
) -> Result<Response, Response> {
    let by = viewer.by(Channel::Web);
    if !search.q.is_empty() {
        slowly(&app, &app.limits.search, &by)?;
    }
    let scope = scope::scope(&app.ctx, search.wanted().map_err(failed)?).await.map_err(failed)?;
    let today = app.ctx.clock.now().date_naive();
    let mut page = SamplePage { frame: error::frame(&app, Some(&viewer), "sample"), scope, typed: search.typed(today), faults: vec![], sample: None };
    if !search.draws() {
        return Ok(page_of(&page));
    }
    let drawing = match search.drawing(&page.scope.wanted, Mode::Raw, today) {
        Ok(drawing) => drawing,
        Err(faults) => return Ok(wrong(page, faults)),
    };
    if !page.scope.is_known() {
        return Ok(page_of(&page));
    }
    in_earnest(&method, &headers).map_err(failed)?;
    slowly(&app, &app.limits.search, &by)?;
    match sample::draw(&app.ctx, &by, &drawing).await {
        Ok(sample) => page.sample = Some(sample),
        Err(ServiceError::Refused(Refusal::Faults(faults))) => return Ok(wrong(page, faults)),
        Err(error) => return Err(failed(error)),
    }
    Ok(page_of(&page))
}

/// The form again, with what is wrong and what was typed.
fn wrong(mut page: SamplePage, faults: Vec<FieldFault>) -> Response {
    page.faults = faults.clone();
    Failure::fields(faults).shown_as(page_of(&page)).into_response()
}

/// `GET /evidence/sample/sample.csv`: the rows of the sample's items.
pub async fn file(
    State(app): State<App>,
    Auditor(viewer): Auditor,
    method: Method,
    headers: HeaderMap,
    Asked(search): Asked<Search>,
) -> Result<Response, Response> {
    in_earnest(&method, &headers).map_err(failed)?;
    let by = viewer.by(Channel::Web);
    let mode = mode(&search.mode).map_err(failed)?;
    let wanted = search.wanted().map_err(failed)?;
    let drawing = search.drawing(&wanted, mode, app.ctx.clock.now().date_naive()).map_err(|faults| failed(Failure::fields(faults)))?;
    slowly(&app, &app.limits.export, &by)?;
    Ok(stream(sample::file(&app.ctx, &by, &drawing).await.map_err(failed)?))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(super) mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::service::look::shared::Choice;
    use crate::service::sample::Item;
    use crate::web::proof::*;

    pub fn drawing() -> Drawing {
        let search = Search {
            population: "grants".into(),
            from: "2026-07-01".into(),
            to: "2026-09-30".into(),
            size: "3".into(),
            seed: "Q3 & 7".into(),
            ..Search::default()
        };
        search.drawing(&Wanted::default(), Mode::Raw, now().date_naive()).unwrap()
    }

    pub fn item(says: Says, no: usize) -> Item {
        let grant = id(500 + no as u128);
        let row = File::Grants.header().map(|name| {
            let value = match name {
                "grant_id" => grant.to_string(),
                "request_id" => id(10).to_string(),
                "beneficiary_email" => says.of("bo.lind@example.com"),
                "application" => says.of("Orders DB"),
                "role" => says.of("Read-only"),
                "status" => "ended".into(),
                "approved_at" => "2026-08-03T09:12:44.120000Z".into(),
                "event_seq_first" => "4702".into(),
                "event_seq_last" => "4711".into(),
                _ => String::new(),
            };
            (name, value)
        });
        let names = HashMap::from([(grant, says.of("Bo Lind: Orders DB Read-only"))]);
        Item { no, id: grant.to_string(), digest: "07c1".repeat(16), rows: vec![row.collect()], names, request: Some(id(10)) }
    }

    fn sample(says: Says) -> SamplePage {
        let choice = |n, label: &str| Choice { value: id(n).to_string(), label: says.of(label) };
        SamplePage {
            frame: frame(says, As::Auditor, "sample"),
            scope: Scope { applications: vec![choice(30, "Orders DB")], ..Scope::default() },
            typed: Typed { population: "grants".into(), from: "2026-07-01".into(), to: "2026-09-30".into(), size: "3".into(), seed: says.of("Q3 & 7") },
            faults: vec![],
            sample: Some(Sample { drawing: drawing(), count: 48_213, items: (1..=3).map(|no| item(says, no)).collect() }),
        }
    }

    #[test]
    fn a_sample_lists_its_items_with_the_way_to_draw_them_again() {
        let page = Rendered::of("sample", &sample(Says::Plain));
        assert_eq!(page.all("table.sample tbody tr").len(), 3);
        assert!(page.says("3 of 48 213") && page.says("grant_id") && page.says("SHA-256"));
        let query = "population=grants&from=2026-07-01&to=2026-09-30&size=3&seed=Q3%20%26%207";
        let files: Vec<_> = page.all("a[download]").iter().filter_map(|link| link.attr("href")).collect();
        assert_eq!(files, ["raw", "safe"].map(|mode| format!("/evidence/sample/sample.csv?{query}&mode={mode}")));
        assert_eq!(page.all("table.sample tbody a")[1].attr("href"), Some(format!("/evidence/sample/sheets?{query}&item=2").as_str()));
        assert_eq!(page.one("#population option[selected]").attr("value"), Some("grants"));
    }

    #[test]
    fn the_form_suggests_a_seed_and_says_what_is_wrong() {
        let mut page = sample(Says::Plain);
        page.sample = None;
        page.typed = Search::default().typed(now().date_naive());
        let plain = Rendered::of("sample-form", &page);
        assert_eq!(plain.one("#seed").attr("value").unwrap().len(), 12);
        page.faults = vec![FieldFault { field: "size".into(), sentence: "Must be a whole number from 1 to 200.".into() }];
        page.typed.size = "many".into();
        let wrong = Rendered::of("sample-wrong", &page);
        assert_eq!((wrong.one("#size").attr("value"), wrong.one("#size").attr("aria-describedby")), (Some("many"), Some("fault-size")));
        let mut none = sample(Says::Plain);
        none.sample = Some(Sample { drawing: drawing(), count: 0, items: vec![] });
        assert!(Rendered::of("sample-empty", &none).text(".empty").contains("Nothing to draw from"));
    }

    #[test]
    fn hostile_text_stays_text_in_a_sample() {
        assert!(Rendered::of("sample-hostile", &sample(Says::Hostile)).all("img").is_empty());
    }

    #[test]
    fn faults_of_an_address_are_all_named() {
        let today = now().date_naive();
        let named = |search: Search| {
            search.drawing(&Wanted::default(), Mode::Raw, today).err().unwrap_or_default().into_iter().map(|fault| fault.field).collect::<Vec<_>>()
        };
        assert!(named(Search { seed: "x".into(), ..Search::default() }).is_empty());
        let wrong =
            Search { population: "events".into(), from: "soon".into(), to: "2026-13-01".into(), size: "1e3".into(), seed: "a\0b".into(), ..Search::default() };
        assert_eq!(named(wrong), ["from", "to", "population", "size", "seed"]);
        assert_eq!(
            named(Search { from: "2026-02-01".into(), to: "2026-01-01".into(), size: "99999999999999999999".into(), seed: "x".into(), ..Search::default() }),
            ["to", "size"]
        );
    }
}
