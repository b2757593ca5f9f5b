//! As-of: who had access at a moment, and why.

use askama::Template;
use axum::extract::State;
use axum::http::{HeaderMap, Method};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use serde::Deserialize;
use uuid::Uuid;

use crate::domain::event::Channel;
use crate::domain::policy::FieldFault;
use crate::domain::refusal::Refusal;
use crate::evidence::time::micros;
use crate::service::export::{File, Taking, export};
use crate::service::look::as_of::{self, AsOf, Held};
use crate::service::look::scope::{self, Scope, Wanted};
use crate::service::look::shared::Cursor;
use crate::service::read_note;
use crate::web::api::exports::{in_earnest, stream};
use crate::web::error::{self, Failure};
use crate::web::flash::page_of;
use crate::web::form::{Asked, chosen_id, failed, line, mode, sane, shown, slowly};
use crate::web::guard::Auditor;
use crate::web::state::App;
use crate::web::view::{self, Amount as _, Frame, Moment as _, Words as _};

/// How many rows a page has.
const PAGE: i64 = 50;

/// Who had access at a moment.
#[derive(Template)]
#[template(path = "pages/as_of.html")]
pub struct AsOfPage {
    /// What is around it.
    pub frame: Frame,
    /// Of what.
    pub scope: Scope,
    /// The day, as it was chosen or typed.
    pub day: String,
    /// The time, as it was typed.
    pub time: String,
    /// What is wrong with them.
    pub fault: Option<String>,
    /// What it shows; nothing where the moment or the scope is not known.
    pub held: Option<AsOf>,
    /// Rows came before these.
    pub later: bool,
}

/// The moment and the scope, as the address says them.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Search {
    on: String,
    at: String,
    as_of: String,
    application: String,
    role: String,
    person: String,
    q: String,
    after: Option<String>,
    mode: String,
}

impl Search {
    /// The moment that is meant; none for now. Of a day without a time it is the day's end, of today now.
    fn moment(&self, now: DateTime<Utc>) -> Result<Option<DateTime<Utc>>, String> {
        if !self.as_of.is_empty() {
            let read = DateTime::parse_from_rfc3339(&self.as_of).ok().map(|at| at.to_utc()).filter(|at| sane(&at.date_naive()));
            return read.map(Some).ok_or_else(|| "The moment must be a time like 2026-01-31T09:00:00Z.".into());
        }
        let day = match self.on.trim() {
            "" if self.at.trim().is_empty() => return Ok(None),
            "" => now.date_naive(),
            text => text.parse::<NaiveDate>().ok().filter(sane).ok_or("The day must be one like 2026-01-31, from 1970 on.")?,
        };
        let time = match self.at.trim() {
            "" if day == now.date_naive() => return Ok(None),
            "" => NaiveTime::from_hms_micro_opt(23, 59, 59, 999_999),
            text => ["%H:%M", "%H:%M:%S", "%H:%M:%S%.f"].iter().find_map(|form| NaiveTime::parse_from_str(text, form).ok()),
        };
        Ok(Some(day.and_time(time.ok_or("The time must be one like 09:30 or 09:30:15, in UTC; or leave it empty.")?).and_utc()))
    }

    fn wanted(&self) -> Result<Wanted, Failure> {
        Ok(Wanted {
            application: chosen_id("application", &self.application)?,
            role: chosen_id("role", &self.role)?,
            person: chosen_id("person", &self.person)?,
            q: line(&self.q),
        })
    }
}

/// The scope as a query string, percent-encoded, `but` without one of its names.
pub fn of_scope(scope: &Scope, but: &str) -> String {
    let id = |id: Option<Uuid>| id.map(|id| id.to_string()).unwrap_or_default();
    let wanted = &scope.wanted;
    let pairs = [("application", id(wanted.application)), ("role", id(wanted.role)), ("person", id(wanted.person))];
    let pairs: Vec<String> = pairs.iter().filter(|(name, value)| *name != but && !value.is_empty()).map(|(name, value)| format!("{name}={value}")).collect();
    pairs.join("&")
}

/// Puts queries together, leaving empty ones out.
pub fn joined(address: &str, parts: &[&str]) -> String {
    let parts: Vec<&str> = parts.iter().copied().filter(|part| !part.is_empty()).collect();
    if parts.is_empty() { address.to_owned() } else { format!("{address}?{}", parts.join("&")) }
}

impl AsOfPage {
    /// The moment as a query.
    fn moment(&self) -> String {
        match &self.held {
            Some(held) => format!("as_of={}", micros(held.at).query()),
            None => {
                let pairs = [("on", &self.day), ("at", &self.time)];
                let pairs: Vec<String> = pairs.iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| format!("{name}={}", value.query())).collect();
                pairs.join("&")
            }
        }
    }

    /// The address of a file of what is shown.
    pub fn file(&self, mode: &str) -> String {
        joined("/evidence/as-of/access.csv", &[&self.moment(), &of_scope(&self.scope, ""), &format!("mode={mode}")])
    }

    /// The address of the rows that begin at `cursor`.
    pub fn after(&self, cursor: &Cursor) -> String {
        joined("/evidence/as-of", &[&self.moment(), &of_scope(&self.scope, ""), &format!("after={}", cursor.0.query())])
    }

    /// The address of the first page.
    pub fn first(&self) -> String {
        joined("/evidence/as-of", &[&self.moment(), &of_scope(&self.scope, "")])
    }

    /// The address without a part of the scope.
    pub fn without(&self, name: &str) -> String {
        joined("/evidence/as-of", &[&self.moment(), &of_scope(&self.scope, name)])
    }

    /// The address with a part of the scope.
    pub fn with(&self, name: &str, id: &Uuid) -> String {
        let but = if name == "role" { "application" } else { name };
        let rest = of_scope(&self.scope, but);
        let rest: Vec<&str> =
            rest.split('&').filter(|pair| name != "application" || !pair.starts_with("role=")).filter(|pair| !pair.starts_with(&format!("{name}="))).collect();
        joined("/evidence/as-of", &[&self.moment(), &rest.join("&"), &format!("{name}={id}")])
    }

    /// Whether that application or role is the one chosen.
    pub fn is_chosen(&self, value: &str) -> bool {
        [self.scope.wanted.application, self.scope.wanted.role].into_iter().flatten().any(|id| id.to_string() == value)
    }

    /// The address of what a person had.
    pub fn of_person(&self, row: &Held) -> Option<String> {
        Some(joined("/evidence/as-of", &[&self.moment(), &format!("person={}", row.person_id?)]))
    }
}

/// `GET /evidence/as-of`
pub async fn get(State(app): State<App>, Auditor(viewer): Auditor, Asked(search): Asked<Search>) -> Result<Response, Response> {
    let by = viewer.by(Channel::Web);
    if !search.q.is_empty() {
        slowly(&app, &app.limits.search, &by)?;
    }
    let scope = scope::scope(&app.ctx, search.wanted().map_err(failed)?).await.map_err(failed)?;
    let now = app.ctx.clock.now();
    let mut page = AsOfPage {
        frame: error::frame(&app, Some(&viewer), "as-of"),
        day: if search.on.is_empty() { now.format("%Y-%m-%d").to_string() } else { shown(&line(&search.on)) },
        time: shown(&line(&search.at)),
        later: search.after.is_some(),
        scope,
        fault: None,
        held: None,
    };
    let moment = search.moment(now).and_then(|at| match as_of::moment(&app.ctx, at) {
        Err(Refusal::Faults(faults)) => Err(faults.into_iter().map(|fault| fault.sentence).collect::<Vec<_>>().join(" ")),
        Err(refusal) => Err(refusal.to_string()),
        Ok(_) => Ok(at),
    });
    let moment = match moment {
        Ok(at) => at,
        Err(sentence) => {
            page.fault = Some(sentence.clone());
            let failure = Failure::fields(vec![FieldFault { field: "as_of".into(), sentence }]);
            return Ok(failure.shown_as(page_of(&page)).into_response());
        }
    };
    if !page.scope.is_known() {
        return Ok(page_of(&page));
    }
    let wanted = &page.scope.wanted;
    read_note::note(&app.ctx, &by, "who had access on a day", wanted.person.map(Into::into)).await.map_err(failed)?;
    let after = search.after.map(Cursor);
    let held = as_of::as_of(&app.ctx, &by, moment, (wanted.application, wanted.role, wanted.person), after.as_ref(), PAGE).await.map_err(failed)?;
    if search.as_of.is_empty() {
        page.held = Some(held);
    } else {
        page.day = held.at.format("%Y-%m-%d").to_string();
        page.time = held.at.format("%H:%M:%S").to_string();
        page.held = Some(held);
    }
    Ok(page_of(&page))
}

/// `GET /evidence/as-of/access.csv`: the same rows as a file.
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
    let at = search.moment(app.ctx.clock.now()).map_err(|sentence| failed(Failure::bad_input(sentence)))?;
    let to = match at {
        Some(at) => Some(as_of::moment(&app.ctx, Some(at)).map_err(failed)?),
        None => None,
    };
    slowly(&app, &app.limits.export, &by)?;
    let taking = Taking {
        file: File::Access,
        mode,
        from: None,
        to,
        application: wanted.application.map(Into::into),
        role: wanted.role.map(Into::into),
        person: wanted.person.map(Into::into),
    };
    Ok(stream(export(&app.ctx, &by, &taking).await.map_err(failed)?))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::service::look::scope::Meant;
    use crate::service::look::shared::Choice;
    use crate::web::proof::*;

    fn sample(says: Says) -> AsOfPage {
        let choice = |n, label: &str| Choice { value: id(n).to_string(), label: says.of(label) };
        let row = |n, person: &str, source: &str| Held {
            person_id: Some(id(n)),
            person: says.of(person),
            email: Some(says.of("bo@example.com")),
            person_status: Some("active".into()),
            department: Some(says.of("Data")),
            application: says.of("Orders DB"),
            role_id: id(20),
            role: says.of("Read-only"),
            risk: "critical".into(),
            target: says.of("main: group 7"),
            since: ago(300),
            until: (source == "request").then(|| ahead(60)),
            source: source.into(),
            grant: (source == "request").then(|| id(500)),
            request: (source == "request").then(|| id(10)),
            approvers: if source == "request" { vec![(id(2), says.of("Dana Ruiz")), (id(3), says.of("Cy Okafor"))] } else { vec![] },
            policy: (source == "request").then(|| (id(90), "standard".into(), says.of("Production data, short"), 3)),
        };
        let mut gone = row(7, "Jon Vega", "request");
        gone.person_status = Some("gone".into());
        gone.approvers.clear();
        gone.until = None;
        let mut stranger = row(8, "cn=svc,dc=example", "out_of_band");
        (stranger.person_id, stranger.email, stranger.person_status, stranger.department) = (None, None, None, None);
        AsOfPage {
            frame: frame(says, As::Auditor, "as-of"),
            scope: Scope {
                wanted: Wanted { application: Some(id(30)), ..Wanted::default() },
                application: Some(says.of("Orders DB")),
                applications: vec![choice(30, "Orders DB"), choice(31, "Ledger")],
                roles: vec![choice(20, "Read-only")],
                ..Scope::default()
            },
            day: "2026-11-20".into(),
            time: "09:30".into(),
            fault: None,
            held: Some(AsOf {
                at: ago(1440),
                count: 1284,
                rows: vec![row(1, "Bo Lind", "request"), gone, row(6, "Tom Ferro", "pre_existing"), stranger],
                next: Some(Cursor("a.b.c".into())),
            }),
            later: true,
        }
    }

    #[test]
    fn each_row_says_who_what_since_when_and_why() {
        let page = Rendered::of("as-of", &sample(Says::Plain));
        assert_eq!(page.all("table.held tbody tr").len(), 4);
        assert!(page.says("1 284 rows") && page.says("approved by Dana Ruiz, Cy Okafor") && page.says("approved by a rule"));
        assert!(page.says("There before") && page.says("Without a grant") && page.says("Gone"));
        let files: Vec<_> = page.all("a[download]").iter().filter_map(|link| link.attr("href")).collect();
        let moment = "as_of=2026-11-20T09%3A24%3A00.000000Z";
        assert_eq!(files, ["raw", "safe"].map(|mode| format!("/evidence/as-of/access.csv?{moment}&application={}&mode={mode}", id(30))));
        let pages: Vec<_> = page.all(".pager a").iter().filter_map(|link| link.attr("href")).collect();
        assert_eq!(pages, [format!("/evidence/as-of?{moment}&application={}", id(30)), format!("/evidence/as-of?{moment}&application={}&after=a.b.c", id(30))]);
        assert_eq!(page.one("nav a[aria-current=page]").attr("href"), Some("/evidence/as-of"));
    }

    #[test]
    fn what_can_be_meant_is_chosen_and_what_is_wrong_is_said_with_what_was_typed() {
        let mut page = sample(Says::Plain);
        page.held = None;
        page.scope.wanted.q = "li".into();
        page.scope.meant =
            ["person", "role", "application"].map(|what| Meant { what: what.into(), id: id(3), name: what.into(), beside: Some("Data".into()) }).to_vec();
        let links = Rendered::of("as-of-which", &page);
        let links: Vec<_> = links.all(".which a").iter().map(|link| link.attr("href").unwrap().to_owned()).collect();
        let of = |rest: &str| format!("/evidence/as-of?on=2026-11-20&at=09%3A30&{rest}={}", id(3));
        assert_eq!(links, [of(&format!("application={}&person", id(30))), of("role"), of("application")]);
        page.scope.meant.clear();
        page.scope.nobody = true;
        assert!(Rendered::of("as-of-nobody", &page).says("Nobody and nothing is called"));
        page.scope = Scope::default();
        page.fault = Some("That moment has not come yet.".into());
        let wrong = Rendered::of("as-of-wrong", &page);
        assert_eq!((wrong.one("#at").attr("value"), wrong.one("#at").attr("aria-describedby")), (Some("09:30"), Some("fault-as-of")));
        let mut page = sample(Says::Plain);
        page.held.as_mut().unwrap().rows.clear();
        page.later = false;
        assert!(Rendered::of("as-of-empty", &page).text(".empty").contains("Nobody had access"));
    }

    #[test]
    fn hostile_text_stays_text_in_as_of() {
        assert!(Rendered::of("as-of-hostile", &sample(Says::Hostile)).all("img").is_empty());
    }

    #[test]
    fn a_day_without_a_time_is_its_end_and_today_is_now() {
        let read = |on: &str, at: &str, as_of: &str| {
            Search { on: on.into(), at: at.into(), as_of: as_of.into(), ..Search::default() }.moment(now()).map(|at| at.map(micros))
        };
        assert_eq!(read("", "", ""), Ok(None));
        assert_eq!(read("2026-11-21", "", ""), Ok(None));
        assert_eq!(read("2026-11-20", "", ""), Ok(Some("2026-11-20T23:59:59.999999Z".into())));
        assert_eq!(read("2026-11-20", "09:30", ""), Ok(Some("2026-11-20T09:30:00.000000Z".into())));
        assert_eq!(read("", "09:30:15", ""), Ok(Some("2026-11-21T09:30:15.000000Z".into())));
        assert_eq!(read("x", "", "2026-11-20T10:00:00+01:00"), Ok(Some("2026-11-20T09:00:00.000000Z".into())));
        for bad in [
            ("2026-13-01", "", ""),
            ("1969-12-31", "", ""),
            ("99999-01-01", "", ""),
            ("2026-11-20", "25:00", ""),
            ("2026-11-20", "9", ""),
            ("", "", "soon"),
            ("", "", "0000-01-01T00:00:00Z"),
        ] {
            assert!(read(bad.0, bad.1, bad.2).is_err(), "{bad:?}");
        }
    }
}
