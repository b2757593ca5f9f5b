//! Log: every event, searchable, to take away.

use askama::Template;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Method};
use axum::response::Response;
use serde::Deserialize;
use uuid::Uuid;

use crate::domain::event::Channel;
use crate::service::export::{File, Taking, export};
use crate::service::look::log::{self, Log, LogFilter};
use crate::service::look::shared::Cursor;
use crate::service::read_note;
use crate::web::api::exports::{in_earnest, stream};
use crate::web::error::{self, Failure};
use crate::web::flash::page_of;
use crate::web::form::{Asked, chosen_id, day, failed, line, mode, slowly};
use crate::web::guard::SignedIn;
use crate::web::state::App;
use crate::web::view::{self, Amount as _, Frame, Moment as _, Words as _};

/// The audit log.
#[derive(Template)]
#[template(path = "pages/log.html")]
pub struct LogPage {
    /// What is around it.
    pub frame: Frame,
    /// What it shows.
    pub log: Log,
}

/// What the log is narrowed to, as the address says it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Search {
    from: String,
    to: String,
    application: String,
    role: String,
    policy: String,
    kind: String,
    q: String,
    before: Option<String>,
    after: Option<String>,
    mode: String,
}

impl Search {
    fn filter(&self) -> Result<LogFilter, Failure> {
        let filter = LogFilter {
            from: day("from", &self.from)?,
            to: day("to", &self.to)?,
            application: chosen_id("application", &self.application)?,
            role: chosen_id("role", &self.role)?,
            policy: chosen_id("policy", &self.policy)?,
            kind: line(&self.kind),
            q: line(&self.q),
        };
        match (filter.from, filter.to) {
            (Some(from), Some(to)) if from > to => Err(Failure::bad_input("The period ends before it begins: “from” must not be later than “to”.")),
            _ => Ok(filter),
        }
    }
}

impl LogPage {
    /// The filter as a query string for links, percent-encoded, with `key=value` after it where given.
    pub fn query(&self, key: &str, value: &str) -> String {
        let filter = &self.log.filter;
        let id = |id: &Option<Uuid>| id.map(|id| id.to_string()).unwrap_or_default();
        let pairs = [
            ("from", view::day(&filter.from)),
            ("to", view::day(&filter.to)),
            ("application", id(&filter.application)),
            ("role", id(&filter.role)),
            ("policy", id(&filter.policy)),
            ("kind", filter.kind.clone()),
            ("q", filter.q.clone()),
            (key, value.to_owned()),
        ];
        let pairs: Vec<String> = pairs.iter().filter(|(_, value)| !value.is_empty()).map(|(key, value)| format!("{key}={}", value.query())).collect();
        pairs.join("&")
    }

    /// The address of the newest page.
    pub fn newest(&self) -> String {
        format!("/log?{}", self.query("", "")).trim_end_matches('?').to_owned()
    }

    /// The address of a page of `key` (`before` or `after`) that begins at `cursor`.
    pub fn turn(&self, key: &str, cursor: &Cursor) -> String {
        format!("/log?{}", self.query(key, &cursor.0))
    }

    /// The address of a file of what the filter leaves.
    pub fn file(&self, file: &str, mode: &str) -> String {
        format!("/log/export/{file}.csv?{}", self.query("mode", mode))
    }
}

/// `GET /log`
pub async fn get(State(app): State<App>, SignedIn(viewer): SignedIn, Asked(search): Asked<Search>) -> Result<Response, Response> {
    let by = viewer.by(Channel::Web);
    let filter = search.filter().map_err(failed)?;
    if !filter.q.is_empty() {
        slowly(&app, &app.limits.search, &by)?;
    }
    if by.reads_everything() {
        let person = if filter.q.is_empty() { None } else { log::person_to_take(&app.ctx, &by, &filter).await.map_err(failed)? };
        read_note::note(&app.ctx, &by, "the log", person).await.map_err(failed)?;
    }
    let (before, after) = (search.before.map(Cursor), search.after.map(Cursor));
    let log = log::log(&app.ctx, &by, filter, before.as_ref(), after.as_ref()).await.map_err(failed)?;
    Ok(page_of(&LogPage { frame: error::frame(&app, Some(&viewer), "log"), log }))
}

/// `GET /log/export/{file}.csv`: what the period, application, role and person of the filter leave, as a file.
pub async fn file(
    State(app): State<App>,
    SignedIn(viewer): SignedIn,
    method: Method,
    headers: HeaderMap,
    Path(file): Path<String>,
    Asked(search): Asked<Search>,
) -> Result<Response, Response> {
    in_earnest(&method, &headers).map_err(failed)?;
    let by = viewer.by(Channel::Web);
    let file = file.strip_suffix(".csv").and_then(|_| File::parse(&file)).ok_or_else(|| failed(Failure::missing()))?;
    let mode = mode(&search.mode).map_err(failed)?;
    let filter = search.filter().map_err(failed)?;
    slowly(&app, &app.limits.export, &by)?;
    let person = log::person_to_take(&app.ctx, &by, &filter).await.map_err(failed)?;
    let taking = Taking {
        file,
        mode,
        from: filter.begins(),
        to: filter.ends(),
        application: filter.application.map(Into::into),
        role: filter.role.map(Into::into),
        person,
    };
    Ok(stream(export(&app.ctx, &by, &taking).await.map_err(failed)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::look::log::LogFilter;
    use crate::service::look::shared::{Choice, Cursor};
    use crate::web::proof::*;

    fn sample(says: Says) -> LogPage {
        let choice = |value: &str, label: &str| Choice { value: value.into(), label: says.of(label) };
        let mut helped = event(says, 44, 130, "request.approved", "Cy Okafor", "approved step 2, Data owners, for 2 hours");
        helped.acting_for = Some(says.of("Mina Sato"));
        LogPage {
            frame: frame(says, As::Administrator, "log"),
            log: Log {
                filter: LogFilter {
                    from: chrono::NaiveDate::from_ymd_opt(2026, 11, 1),
                    kind: "request".into(),
                    q: says.of("lind & co"),
                    ..LogFilter::default()
                },
                policy: Some((says.of("Standard"), 3)),
                applications: vec![choice("a1", "Orders DB")],
                roles: vec![choice("r1", "read-only")],
                kinds: vec![choice("request", "Requests: all"), choice("request.approved", "request.approved")],
                rows: vec![
                    event(says, 40, 3, "grant.ended", "Countersign", "ended the access, because its time was up"),
                    event(says, 41, 45, "grant.activated", "Countersign", "read the directory back and found the member"),
                    event(says, 42, 48, "request.approved", "Dana Ruiz", "approved step 1, Manager"),
                    helped,
                    event(says, 43, 200, "request.submitted", "Bo Lind", "asked for Orders DB read-only for 4 hours"),
                ],
                older: Some(Cursor("17".into())),
                newer: Some(Cursor("44".into())),
                cut: false,
                whole: true,
                notice: None,
            },
        }
    }

    #[test]
    fn the_log_is_filtered_paged_and_downloaded_alike() {
        let page = Rendered::of("log", &sample(Says::Plain));
        assert_eq!(page.all("table.log tbody tr").len(), 5);
        assert_eq!(page.one("#from").attr("value"), Some("2026-11-01"));
        assert_eq!(page.one("#kind option[selected]").attr("value"), Some("request"));
        let pages: Vec<_> = page.all(".pager a").iter().map(|a| a.attr("href").unwrap_or_default()).collect();
        let query = "from=2026-11-01&kind=request&q=lind%20%26%20co";
        assert_eq!(pages, [format!("/log?{query}"), format!("/log?{query}&after=44"), format!("/log?{query}&before=17")]);
        let files: Vec<_> = page.all("a[download]").iter().map(|a| a.attr("href").unwrap_or_default()).collect();
        assert_eq!(files.len(), 18);
        assert_eq!(files[0], format!("/log/export/requests.csv?{query}&mode=raw"));
        assert!(page.says("for Mina Sato"));
    }

    #[test]
    fn a_log_without_a_match_says_so() {
        let mut page = sample(Says::Plain);
        page.log.rows.clear();
        assert!(Rendered::of("log-empty", &page).text(".empty").contains("No events match"));
        page.log.cut = true;
        page.log.whole = false;
        let page = Rendered::of("log-cut", &page);
        assert!(page.text(".empty").contains("so far back") && page.says("what you own"));
    }

    #[test]
    fn hostile_text_stays_text_in_the_log() {
        assert!(Rendered::of("log-hostile", &sample(Says::Hostile)).all("img").is_empty());
    }
}
