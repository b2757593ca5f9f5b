//! The sheets of a sample, one a printed page.

use askama::Template;
use axum::extract::State;
use axum::http::{HeaderMap, Method};
use axum::response::Response;

use crate::domain::event::Channel;
use crate::service::export::Mode;
use crate::service::look::sheet::{self, Sheet, Sheets};
use crate::web::api::exports::in_earnest;
use crate::web::error::{self, Failure};
use crate::web::flash::page_of;
use crate::web::form::{Asked, failed, slowly};
use crate::web::guard::Auditor;
use crate::web::pages::sample::Search;
use crate::web::state::App;
use crate::web::view::{self, Amount as _, Frame, Moment as _, Words as _};

/// Sheets to print.
#[derive(Template)]
#[template(path = "pages/sheets.html")]
pub struct SheetsPage {
    /// What is around it.
    pub frame: Frame,
    /// What it shows.
    pub sheets: Sheets,
}

impl SheetsPage {
    /// Cells of a row that say something, with the name of what an id is of.
    pub fn cells<'a>(&self, sheet: &'a Sheet, row: &'a [(&'static str, String)]) -> Vec<(String, &'a str, Option<&'a str>)> {
        row.iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| (name.replace('_', " "), value.as_str(), sheet.item.named(value))).collect()
    }

    /// The period and what else narrows the population, in words.
    pub fn filters(&self) -> String {
        let taking = &self.sheets.sample.drawing.taking;
        let day = |at: chrono::DateTime<chrono::Utc>| at.format("%Y-%m-%d").to_string();
        let from = taking.from.map(day).unwrap_or_default();
        let to = taking.to.map(|to| day(to - chrono::Duration::seconds(1))).unwrap_or_default();
        let only = [("application", taking.application.map(|id| id.0)), ("role", taking.role.map(|id| id.0)), ("person", taking.person.map(|id| id.0))];
        let only: Vec<String> = only.into_iter().filter_map(|(name, id)| Some(format!(", only {name} {}", id?))).collect();
        format!("{from} to {to}{}", only.concat())
    }
}

/// `GET /evidence/sample/sheets`
pub async fn get(
    State(app): State<App>,
    Auditor(viewer): Auditor,
    method: Method,
    headers: HeaderMap,
    Asked(search): Asked<Search>,
) -> Result<Response, Response> {
    in_earnest(&method, &headers).map_err(failed)?;
    let by = viewer.by(Channel::Web);
    let wanted = search.wanted().map_err(failed)?;
    let drawing = search.drawing(&wanted, Mode::Raw, app.ctx.clock.now().date_naive()).map_err(|faults| failed(Failure::fields(faults)))?;
    let only = match search.item.as_str() {
        "" => None,
        text => Some(text.parse().map_err(|_| failed(Failure::missing()))?),
    };
    slowly(&app, &app.limits.search, &by)?;
    let sheets = sheet::sheets(&app.ctx, &by, &drawing, only).await.map_err(failed)?;
    Ok(page_of(&SheetsPage { frame: error::frame(&app, Some(&viewer), "sample"), sheets }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::look::request::{AskedRow, Delivery, SlotRow, StepRow};
    use crate::service::look::sheet::{Asked, Proved, Signed, Try};
    use crate::service::sample::Sample;
    use crate::web::pages::sample::tests::{drawing, item};
    use crate::web::proof::*;

    fn sample(says: Says) -> SheetsPage {
        let asked = AskedRow {
            name: says.of("Dana Ruiz"),
            how: Some(says.of("for Mina Sato, who is away")),
            ended: false,
            viewed_at: Some(ago(80)),
            decision: Some("approve".into()),
            decided_at: Some(ago(70)),
            comment: Some(says.of("fine with me")),
            approved_s: Some(7200),
        };
        let step = StepRow {
            no: 1,
            name: says.of("Manager"),
            state: "done".into(),
            since: Some(ago(90)),
            due: None,
            done_at: Some(ago(70)),
            paused_s: None,
            escalated_at: None,
            reminded_at: None,
            remind_at: None,
            slots: vec![SlotRow { source: says.of("Your manager"), needed: 1, got: 1, asked: vec![asked] }],
        };
        let request = Asked {
            id: id(10),
            role: role(says, 20, "Orders DB", "Read-only", "elevated"),
            requester: says.of("Bo Lind"),
            beneficiary: says.of("Bo Lind"),
            on_behalf: false,
            requested_at: ago(100),
            requested_s: Some(14_400),
            approved_s: Some(Some(7_200)),
            justification: Some(says.of("Look into order 4711.")),
            ticket: Some(says.of("OPS-17")),
            emergency: None,
            status: "approved".into(),
            decided_at: Some(ago(70)),
            decision: "needs_approval".into(),
            deciding_rule: says.of("access profile data-people, version 3: allow rule 1"),
            policy: Some(policy(says)),
            trace: trace(says, true),
            steps: vec![step],
            delivery: Some(Delivery {
                grant: id(501),
                status: "ended".into(),
                method: "idp_group".into(),
                target: says.of("group orders-ro in main"),
                starts_at: ago(68),
                ends_at: Some(ago(8)),
                verified_at: Some(ago(67)),
                ended_at: Some(ago(8)),
                end_reason: Some("expired".into()),
                end_verified_at: Some(ago(7)),
                attempts: 2,
                last_error: None,
                next_try_at: None,
                confirmed: Some(true),
            }),
            end_comment: None,
        };
        let proved = |n, kind: &str, leaf| Proved { event: event(says, n, 60, kind, "Dana Ruiz", "approved step 1, Manager"), leaf };
        let tries =
            ["add", "remove"].map(|action| Try { action: action.into(), at: ago(68), result: "changed".into(), detail: None, verified_at: Some(ago(67)) });
        let first = Sheet {
            item: item(says, 1),
            request: Some(request),
            tries: tries.to_vec(),
            events: vec![proved(4711, "approval.given", Some((4702, "9f".repeat(32)))), proved(4712, "grant.ended", None)],
        };
        let mut second = Sheet { item: item(says, 2), request: None, tries: vec![], events: vec![] };
        second.item.request = None;
        let sample = Sample { drawing: drawing(), count: 48_213, items: vec![first.item.clone(), second.item.clone()] };
        let signed = Signed { origin: "access.example.com".into(), size: 4803, root: "aa".repeat(32), at: ago(4) };
        SheetsPage { frame: frame(says, As::Auditor, "sample"), sheets: Sheets { sample, sheets: vec![first, second], signed: Some(signed) } }
    }

    #[test]
    fn a_sheet_holds_everything_and_room_for_the_auditor() {
        let page = Rendered::of("sheets", &sample(Says::Plain));
        assert_eq!(page.all(".sheet").len(), 2);
        for said in [
            "Look into order 4711.",
            "OPS-17",
            "for Mina Sato, who is away",
            "fine with me",
            "Data",
            "Read back",
            "Expired",
            "4 702",
            "not sealed yet",
            "Conclusion",
            "Signature",
            "Q3 & 7",
        ] {
            assert!(page.says(said), "{said}");
        }
        assert!(page.all(".sheet a[href='/log/4711']").len() == 1 && page.all(".sheet a[href^='/requests/']").len() == 1);
    }

    #[test]
    fn without_a_key_a_sheet_says_that_nothing_is_signed() {
        let mut page = sample(Says::Plain);
        page.sheets.signed = None;
        assert!(Rendered::of("sheets-unsigned", &page).says("nothing is signed"));
    }

    #[test]
    fn hostile_text_stays_text_on_a_sheet() {
        assert!(Rendered::of("sheets-hostile", &sample(Says::Hostile)).all("img").is_empty());
    }
}
