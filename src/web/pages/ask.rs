//! The request form, and what would happen.

use std::time::Duration;

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use chrono::{DateTime, NaiveDateTime, Utc};
use serde::Deserialize;
use uuid::Uuid;

use crate::clock::new_id;
use crate::domain::event::Channel;
use crate::domain::id::{GrantId, RequestId, RoleId};
use crate::domain::policy::FieldFault;
use crate::domain::refusal::Refusal;
use crate::domain::request::RequestStatus;
use crate::domain::span::{LONGEST, Seconds};
use crate::service::ask::{AskFor, ask_once};
use crate::service::ctx::By;
use crate::service::error::ServiceError;
use crate::service::idempotency::{self, Claim, Keep, Turn};
use crate::service::look::ask::{Ask, Fault, Form, Outlook, Typed, form, open_request};
use crate::service::preview::preview;
use crate::service::sign_in::Viewer;
use crate::web::error::{self, Failure};
use crate::web::flash::{Done, Told, page_of};
use crate::web::form::{Asked, Id, Sent, failed, shown, slowly};
use crate::web::guard::SignedIn;
use crate::web::state::App;
use crate::web::view::{self, Amount as _, Flash, Frame, Moment as _, Words as _};

/// Where a request is, before its id.
const PLACE: &str = "/requests/";

/// The form for one role.
#[derive(Template)]
#[template(path = "pages/ask.html")]
pub struct AskPage {
    /// What is around it.
    pub frame: Frame,
    /// What it shows.
    pub ask: Ask,
}

/// `?extend=`: the lease to extend.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Extend {
    extend: String,
}

/// `GET /roles/{id}/ask`
pub async fn get(State(app): State<App>, SignedIn(viewer): SignedIn, told: Told, Id(id): Id, Asked(query): Asked<Extend>) -> Result<Response, Response> {
    let extends = lease(&query.extend)?;
    let form = form(&app.ctx, &viewer.by(Channel::Web), new_id(), RoleId(id), extends, None).await.map_err(failed)?;
    match form {
        Form::AlreadyOpen(request) => Ok(Done::AlreadyOpen.then(&app, &format!("/requests/{request}"))),
        Form::Page(ask) => Ok(told.page(&app, &AskPage { frame: Frame { flash: told.flash(), ..error::frame(&app, Some(&viewer), "catalog") }, ask: *ask })),
    }
}

#[allow(clippy::result_large_err, reason = "the answer itself, sent on as it is")]
fn lease(text: &str) -> Result<Option<GrantId>, Response> {
    let text = text.trim();
    if text.is_empty() { Ok(None) } else { text.parse().map(Some).map_err(|_| Failure::missing().into_response()) }
}

/// The form as it is sent.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Sending {
    role: String,
    key: String,
    extend: String,
    duration: String,
    other_amount: String,
    other_unit: String,
    justification: String,
    ticket: String,
    start: String,
}

/// `POST /requests`
pub async fn post(State(app): State<App>, SignedIn(viewer): SignedIn, Sent(sent): Sent<Sending>) -> Result<Response, Response> {
    let by = viewer.by(Channel::Web);
    slowly(&app, &app.limits.act, &by)?;
    let role: RoleId = sent.role.parse().map_err(|_| Failure::missing().into_response())?;
    let mut faults = Vec::new();
    let duration = duration(&sent).unwrap_or_else(|sentence| {
        faults.push(Fault { field: "duration", sentence });
        None
    });
    let starts_at = start(&sent.start, app.ctx.clock.now()).unwrap_or_else(|sentence| {
        faults.push(Fault { field: "start", sentence });
        None
    });
    let text = |text: &str| Some(text.to_owned()).filter(|text| !text.trim().is_empty());
    let ask_for = AskFor {
        role,
        beneficiary: None,
        duration,
        starts_at,
        justification: text(&sent.justification),
        ticket_reference: text(&sent.ticket),
        extension_of: lease(&sent.extend)?,
    };
    if !faults.is_empty() {
        // What else is wrong is said at the same time.
        if let Ok((_, Some(Refusal::Faults(others)))) = preview(&app.ctx, &by, &ask_for).await {
            faults.extend(others.into_iter().filter_map(fault_of).filter(|other| other.field != "duration"));
        }
        return Ok(again(&app, &viewer, &ask_for, &sent, faults, None).await);
    }
    let claim = match turn(&app, &by, &sent).await.map_err(failed)? {
        Ok(claim) => claim,
        Err(place) => return Ok(Redirect::to(&place).into_response()),
    };
    let keep = claim.as_ref().map(|claim| Keep { claim, status: 303, before_id: PLACE });
    let outcome = ask_once(&app.ctx, &by, ask_for.clone(), keep.as_ref()).await;
    let (response, place) = match outcome {
        Ok(asked) => {
            let done = match asked.status {
                RequestStatus::Refused => Done::Refused,
                RequestStatus::Approved => Done::ApprovedAtOnce,
                _ => Done::Asked,
            };
            return Ok(done.then(&app, &format!("{PLACE}{}", asked.id)));
        }
        Err(ServiceError::Refused(Refusal::AlreadyOpen)) => match open_request(&app.ctx, &by, role).await.map_err(failed)? {
            Some(RequestId(id)) => {
                let place = format!("{PLACE}{id}");
                (Done::AlreadyOpen.then(&app, &place), Some(place))
            }
            None => (again(&app, &viewer, &ask_for, &sent, vec![], Some(Refusal::AlreadyOpen.into())).await, None),
        },
        Err(ServiceError::Refused(Refusal::Faults(faults))) => {
            let faults = faults.into_iter().filter_map(fault_of).collect();
            (again(&app, &viewer, &ask_for, &sent, faults, None).await, None)
        }
        Err(error) => (again(&app, &viewer, &ask_for, &sent, vec![], Some(error)).await, None),
    };
    if let Some(claim) = claim {
        // What was not done may be sent again under the same key.
        let status = if place.is_some() { 303 } else { 500 };
        idempotency::settle(&app.ctx, &claim, status, &place.unwrap_or_default()).await.map_err(failed)?;
    }
    Ok(response)
}

/// Whether this form is ours to answer, or where the same one led when it was sent before. A form whose key was used for something else
/// is answered without: the database still lets nobody ask twice.
async fn turn(app: &App, by: &By, sent: &Sending) -> Result<Result<Option<Claim>, String>, ServiceError> {
    let Ok(key) = sent.key.parse::<Uuid>() else { return Ok(Ok(None)) };
    let fields = [&sent.role, &sent.extend, &sent.duration, &sent.other_amount, &sent.other_unit, &sent.justification, &sent.ticket, &sent.start];
    let parts: Vec<&[u8]> = std::iter::once(b"form /requests".as_slice()).chain(fields.iter().map(|field| field.as_bytes())).collect();
    // The same click twice: the second waits for the first, which takes some calls to the directory.
    for _ in 0..100 {
        match idempotency::begin(&app.ctx, by.person.0, &format!("form-{key}"), &parts).await? {
            Turn::Ours(claim) => return Ok(Ok(Some(claim))),
            Turn::Answered(_, place) => return Ok(Err(place)),
            Turn::Other => return Ok(Ok(None)),
            Turn::Running => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
    Err(ServiceError::Unavailable("The same form was sent twice, and the first has not been answered yet. Look at My access before you send it again.".into()))
}

/// The form once more with everything typed, each fault at its field, and what else went wrong.
async fn again(app: &App, viewer: &Viewer, ask_for: &AskFor, sent: &Sending, faults: Vec<Fault>, error: Option<ServiceError>) -> Response {
    if let Some(ServiceError::Missing | ServiceError::Broken(_)) = error {
        return error.map_or_else(|| Failure::missing().into_response(), failed);
    }
    let typed = Typed {
        duration: sent.duration.clone(),
        other_amount: shown(&sent.other_amount),
        other_unit: sent.other_unit.clone(),
        justification: shown(&sent.justification),
        ticket: shown(&sent.ticket),
        start: shown(&sent.start),
    };
    let form = form(&app.ctx, &viewer.by(Channel::Web), new_id(), ask_for.role, ask_for.extension_of, Some(typed)).await;
    let mut ask = match form {
        Ok(Form::Page(ask)) => *ask,
        Ok(Form::AlreadyOpen(request)) => return Done::AlreadyOpen.then(app, &format!("/requests/{request}")),
        Err(error) => return failed(error),
    };
    let mut flash = None;
    let failure: Failure = match error {
        Some(ServiceError::Unavailable(reason)) => {
            ask.outlook = Outlook::Unknown { reason: reason.clone() };
            ServiceError::Unavailable(reason).into()
        }
        Some(error) => {
            // A form that is still open says on top what one that is not says in its place.
            if matches!(ask.outlook, Outlook::Open(_)) {
                flash = Some(Flash { tone: "bad", text: format!("Nothing was sent. {error} What you typed is still here.") });
            }
            error.into()
        }
        None => Failure::fields(faults.iter().map(|fault| FieldFault { field: fault.field.into(), sentence: fault.sentence.clone() }).collect()),
    };
    ask.faults = faults;
    let page = AskPage { frame: Frame { flash, ..error::frame(app, Some(viewer), "catalog") }, ask };
    failure.shown_as(page_of(&page))
}

/// A fault of the rules as a fault of the form; none where the form has no such field.
fn fault_of(fault: FieldFault) -> Option<Fault> {
    let fields = [("duration", "duration"), ("justification", "justification"), ("ticket_reference", "ticket"), ("starts_at", "start")];
    let field = fields.into_iter().find(|(name, _)| *name == fault.field).map(|(_, field)| field)?;
    Some(Fault { field, sentence: fault.sentence })
}

/// The length that was chosen or written; none for one without end.
fn duration(sent: &Sending) -> Result<Option<Seconds>, String> {
    let within = |seconds: i64| (1..=LONGEST).contains(&seconds).then_some(Some(Seconds(seconds)));
    match sent.duration.as_str() {
        "" => Err("Choose how long.".into()),
        "none" => Ok(None),
        "other" => {
            let unit = match sent.other_unit.as_str() {
                "minutes" => 60,
                "hours" => 3_600,
                "days" => 86_400,
                _ => return Err("Choose minutes, hours or days.".into()),
            };
            let amount = sent.other_amount.trim();
            let seconds = amount.parse::<i64>().ok().and_then(|amount| amount.checked_mul(unit)).and_then(within);
            seconds.ok_or_else(|| format!("Write how many {} as a whole number above 0, or choose one of the lengths.", sent.other_unit))
        }
        chosen => chosen.parse().ok().and_then(within).ok_or_else(|| "Choose one of the lengths, or write another.".into()),
    }
}

/// The start as a browser's field sends it, in UTC; none for at once.
fn start(text: &str, now: DateTime<Utc>) -> Result<Option<DateTime<Utc>>, String> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let formats = ["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M"];
    let read = formats.iter().find_map(|format| NaiveDateTime::parse_from_str(text, format).ok());
    let start = read.ok_or("Write the start as a date and a time, for example 2026-11-30T09:00; or leave it empty to begin at once.")?.and_utc();
    if start <= now { Err("This lies in the past; leave it empty to begin as soon as it is approved.".into()) } else { Ok(Some(start)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::look::ask::Plan;
    use crate::web::proof::frame;
    use crate::web::proof::*;

    fn sample(says: Says) -> AskPage {
        AskPage {
            frame: frame(says, As::Employee, "catalog"),
            ask: Ask {
                role: role(says, 20, "Orders DB", "read-only", "elevated"),
                about: says.of("Read the orders database through the bastion. No personal data columns."),
                extends: None,
                key: id(77),
                typed: Typed { duration: "14400".into(), ..Typed::default() },
                faults: vec![],
                outlook: Outlook::Open(Box::new(Plan {
                    policy: policy(says),
                    because: Some(says.of("You are in department Data")),
                    choices_s: vec![3600, 14400, 28800],
                    min_s: 900,
                    max_s: 28800,
                    indefinite: false,
                    ticket_prefix: None,
                    justification: "required".into(),
                    ticket: "optional".into(),
                    steps: steps(says),
                    method: "idp_group".into(),
                    target: says.of("group orders-ro in Demo directory"),
                    usual_grant_s: Some(8),
                    extendable: true,
                })),
            },
        }
    }

    #[test]
    fn the_form_says_before_it_is_sent_what_will_happen() {
        let page = Rendered::of("ask", &sample(Says::Plain));
        assert!(page.posts_to("/requests"));
        assert_eq!(page.one("input[name=duration][checked]").attr("value"), Some("14400"));
        let outlook = page.text(".outlook");
        for part in ["Production data, short, version 3", "Dana Ruiz", "Members of DBAs", "and 2 more", "you are added to group"] {
            assert!(outlook.contains(part), "{part} in {outlook}");
        }
        assert_eq!(page.one("input[name=key]").attr("value"), Some(id(77).to_string().as_str()));
    }

    #[test]
    fn what_was_typed_is_kept_beside_what_is_wrong() {
        for says in [Says::Plain, Says::Hostile] {
            let mut page = sample(says);
            page.ask.typed = Typed {
                duration: "other".into(),
                other_amount: "90".into(),
                other_unit: "hours".into(),
                justification: says.of("Refund 4711"),
                ticket: says.of("OPS-1"),
                start: String::new(),
            };
            page.ask.faults = vec![
                Fault { field: "duration", sentence: "90 hours is longer than the policy allows (8 hours).".into() },
                Fault { field: "justification", sentence: says.of("Say in at least 20 characters why.") },
                Fault { field: "ticket", sentence: says.of("No ticket is called OPS-1.") },
            ];
            let page = Rendered::of(if says == Says::Plain { "ask-faults" } else { "ask-hostile" }, &page);
            assert_eq!(page.one("#justification").text().collect::<String>(), says.of("Refund 4711"));
            assert_eq!(page.one("#ticket").attr("value"), Some(says.of("OPS-1").as_str()));
            assert_eq!(page.one("input[name=duration][checked]").attr("value"), Some("other"));
            assert_eq!(page.one("#other_unit option[selected]").text().collect::<String>(), "hours");
            assert!(page.text("#faults").contains("What you typed is still here"));
            assert_eq!(page.all(".fault").len(), 3);
        }
    }

    #[test]
    fn a_role_one_may_not_have_shows_the_trace_and_no_form() {
        let mut page = sample(Says::Plain);
        page.ask.outlook = Outlook::Refused { reason: "You are a contractor.".into(), trace: trace(Says::Plain, false) };
        page.ask.typed.justification = "Typed before the rules changed".into();
        let page = Rendered::of("ask-refused", &page);
        assert!(!page.posts_to("/requests"));
        assert_eq!(page.all(".trace .rule").len(), 3);
        assert!(page.text("#kept").contains("Typed before"));
    }

    #[test]
    fn a_silent_directory_keeps_what_was_typed() {
        let mut page = sample(Says::Plain);
        page.ask.outlook = Outlook::Unknown { reason: "Demo directory has not answered since 09:20 UTC.".into() };
        page.ask.typed.justification = "Refund 4711".into();
        let page = Rendered::of("ask-unknown", &page);
        assert!(page.posts_to("/requests"));
        assert_eq!(page.text("#justification"), "Refund 4711");
        assert_eq!(page.one("input[name=duration]").attr("value"), Some("14400"));
    }

    #[test]
    fn a_length_is_chosen_or_written_and_never_guessed() {
        let read = |duration: &str, amount: &str, unit: &str| {
            let sent = Sending { duration: duration.into(), other_amount: amount.into(), other_unit: unit.into(), ..Sending::default() };
            super::duration(&sent).map(|length| length.map(|l| l.0)).ok()
        };
        assert_eq!(read("14400", "", ""), Some(Some(14_400)));
        assert_eq!(read("none", "", ""), Some(None));
        assert_eq!(read("other", " 90 ", "minutes"), Some(Some(5_400)));
        for (duration, amount, unit) in [
            ("", "", ""),
            ("0", "", ""),
            ("-5", "", ""),
            ("4h", "", ""),
            ("other", "", "hours"),
            ("other", "1.5", "hours"),
            ("other", "5", "weeks"),
            ("other", "9223372036854775807", "days"),
            ("99999999999999", "", ""),
        ] {
            assert_eq!(read(duration, amount, unit), None, "{duration:?} {amount:?} {unit:?}");
        }
    }

    #[test]
    fn a_start_lies_ahead_or_is_left_empty() {
        let read = |text: &str| super::start(text, now());
        assert_eq!(read(""), Ok(None));
        assert_eq!(read("2026-11-22T10:00").unwrap().unwrap().to_rfc3339(), "2026-11-22T10:00:00+00:00");
        for text in ["2026-11-21T09:23", "tomorrow", "2026-13-01T00:00", "\0"] {
            assert!(read(text).is_err(), "{text:?}");
        }
    }
}
