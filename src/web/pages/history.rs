//! What one has decided, newest first.

use askama::Template;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::Deserialize;

use crate::domain::event::Channel;
use crate::service::look::history::{self, History, HistoryFilter};
use crate::service::look::shared::Cursor;
use crate::service::take_history;
use crate::web::api::exports::in_earnest;
use crate::web::error::{self, Failure};
use crate::web::flash::page_of;
use crate::web::form::{Asked, chosen_id, day, failed, line, slowly};
use crate::web::guard::SignedIn;
use crate::web::state::App;
use crate::web::view::{self, Amount as _, Frame, Moment as _, Words as _};

/// The approver's own decisions.
#[derive(Template)]
#[template(path = "pages/history.html")]
pub struct HistoryPage {
    /// What is around it.
    pub frame: Frame,
    /// What it shows.
    pub history: History,
}

/// What it is narrowed to, as the address says it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Search {
    q: String,
    application: String,
    verdict: String,
    standing_in: String,
    from: String,
    to: String,
    after: Option<String>,
}

impl Search {
    fn filter(&self) -> Result<HistoryFilter, Failure> {
        let filter = HistoryFilter {
            q: line(&self.q),
            application: chosen_id("application", &self.application)?,
            verdict: match self.verdict.as_str() {
                known @ ("" | "approve" | "deny") => known.to_owned(),
                _ => return Err(Failure::bad_input("“verdict” must be approve or deny.")),
            },
            standing_in: self.standing_in == "yes",
            from: day("from", &self.from)?,
            to: day("to", &self.to)?,
        };
        match (filter.from, filter.to) {
            (Some(from), Some(to)) if from > to => Err(Failure::bad_input("The period ends before it begins: “from” must not be later than “to”.")),
            _ => Ok(filter),
        }
    }
}

impl HistoryPage {
    /// An address of this history as it is narrowed now: `page` is the path, `after` where it begins.
    pub fn at(&self, page: &str, after: &str) -> String {
        let filter = &self.history.filter;
        let pairs = [
            ("q", filter.q.clone()),
            ("application", filter.application.map(|id| id.to_string()).unwrap_or_default()),
            ("verdict", filter.verdict.clone()),
            ("standing_in", if filter.standing_in { "yes".into() } else { String::new() }),
            ("from", view::day(&filter.from)),
            ("to", view::day(&filter.to)),
            ("after", after.to_owned()),
        ];
        let pairs: Vec<String> = pairs.iter().filter(|(_, value)| !value.is_empty()).map(|(key, value)| format!("{key}={}", value.query())).collect();
        format!("{page}?{}", pairs.join("&")).trim_end_matches('?').to_owned()
    }

    /// Whether that application is the one chosen.
    pub fn is_chosen(&self, value: &str) -> bool {
        self.history.filter.application.is_some_and(|id| id.to_string() == value)
    }
}

/// `GET /queue/history`
pub async fn get(State(app): State<App>, SignedIn(viewer): SignedIn, Asked(search): Asked<Search>) -> Result<Response, Response> {
    let by = viewer.by(Channel::Web);
    let filter = search.filter().map_err(failed)?;
    if !filter.q.is_empty() {
        slowly(&app, &app.limits.search, &by)?;
    }
    let after = search.after.filter(|after| !after.is_empty()).map(Cursor);
    let history = history::history(&app.ctx, &by, filter, after.as_ref()).await.map_err(failed)?;
    Ok(page_of(&HistoryPage { frame: error::frame(&app, Some(&viewer), "queue"), history }))
}

/// `GET /queue/history.csv`: what the filter leaves, safe for spreadsheets.
pub async fn file(
    State(app): State<App>,
    SignedIn(viewer): SignedIn,
    method: Method,
    headers: HeaderMap,
    Asked(search): Asked<Search>,
) -> Result<Response, Response> {
    in_earnest(&method, &headers).map_err(failed)?;
    let by = viewer.by(Channel::Web);
    let filter = search.filter().map_err(failed)?;
    slowly(&app, &app.limits.export, &by)?;
    let decisions = take_history::take(&app.ctx, &by, &filter).await.map_err(failed)?;
    let pieces = stream::unfold(decisions, |mut decisions| async {
        let piece = decisions.next().await?;
        if let Err(error) = &piece {
            tracing::error!(%error, "a history broke off; its reader sees the connection break");
        }
        Some((piece, decisions))
    });
    let mut response = Body::from_stream(pieces).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8; header=present"));
    headers.insert(header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment; filename=\"my_decisions_safe.csv\""));
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::look::history::HistoryRow;
    use crate::service::look::shared::{Choice, Listing};
    use crate::web::proof::frame;
    use crate::web::proof::*;

    fn sample(says: Says) -> HistoryPage {
        let row = |n, name: &str, verdict: &str| HistoryRow {
            at: ago(60),
            verdict: verdict.into(),
            comment: Some(says.of("Ask Arjun to run the report instead.")),
            granted_s: (verdict == "approve").then_some(3600),
            requested_s: Some(14400),
            channel: Some("api".into()),
            step_no: 1,
            step: says.of("Manager"),
            how: Some(says.of("for Mara Voss, who is away")),
            request: id(n),
            status: if verdict == "approve" { "approved" } else { "denied" }.into(),
            beneficiary: says.of(name),
            role: role(says, 20, "Orders DB", "read-only", "elevated"),
            policy: Some(says.of("Production data, short, version 3")),
        };
        HistoryPage {
            frame: frame(says, As::Approver, "queue"),
            history: History {
                filter: HistoryFilter::default(),
                applications: vec![Choice { value: id(30).to_string(), label: says.of("Orders DB") }],
                rows: Listing { rows: vec![row(10, "Bo Lind", "approve"), row(11, "Tom Ferro", "deny")], next: Some(Cursor("n".into())) },
            },
        }
    }

    #[test]
    fn each_decision_says_what_it_was_and_what_became_of_it() {
        let page = Rendered::of("history", &sample(Says::Plain));
        assert_eq!(page.all("tbody tr").len(), 2);
        assert!(page.says("Bo Lind") && page.says("for Mara Voss, who is away") && page.says("1 hour instead of 4 hours"));
        assert!(page.says("Ask Arjun") && page.says("by API"));
        assert_eq!(page.all("a[href='/queue/history.csv']").len(), 1);
    }

    #[test]
    fn an_empty_history_says_what_comes_and_a_narrow_one_how_to_widen_it() {
        let mut page = sample(Says::Plain);
        page.history.rows = Listing::whole(vec![]);
        assert!(Rendered::of("history-empty", &page).text(".empty").contains("You have not decided"));
        page.history.filter.verdict = "deny".into();
        assert!(Rendered::of("history-no-match", &page).text(".empty").contains("None of your decisions match"));
        assert_eq!(page.at("/queue/history.csv", ""), "/queue/history.csv?verdict=deny");
    }

    #[test]
    fn hostile_text_stays_text_in_the_history() {
        assert!(Rendered::of("history-hostile", &sample(Says::Hostile)).all("img").is_empty());
    }
}
