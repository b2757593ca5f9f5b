//! The request form, and what would happen.

use std::str::FromStr;
use std::time::Duration;

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use uuid::Uuid;

use crate::clock::new_id;
use crate::domain::event::Channel;
use crate::domain::id::{PersonId, RequestId, RoleId};
use crate::domain::policy::{FieldFault, FieldKind};
use crate::domain::refusal::Refusal;
use crate::domain::request::RequestStatus;
use crate::service::ask::{AskFor, ask_once};
use crate::service::ctx::By;
use crate::service::error::ServiceError;
use crate::service::idempotency::{self, Claim, Keep, Turn};
use crate::service::look::ask::{Ask, Fault, Form, Outlook, Wanted, form, open_request};
use crate::service::preview::preview;
use crate::service::sign_in::Viewer;
use crate::web::asked::{Sending, fault_of};
use crate::web::error::{self, Failure};
use crate::web::flash::{Done, Told, page_of};
use crate::web::form::{Asked, Id, Sent, failed, slowly};
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

/// What the form is for: `?extend=`, the lease to extend; `?for=`, somebody else; `?emergency=now`, access before anybody is asked.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Which {
    extend: String,
    #[serde(rename = "for")]
    whom: String,
    emergency: String,
}

/// `GET /roles/{id}/ask`
pub async fn get(State(app): State<App>, SignedIn(viewer): SignedIn, told: Told, Id(id): Id, Asked(query): Asked<Which>) -> Result<Response, Response> {
    let wanted = Wanted { role: RoleId(id), whom: some(&query.whom)?, extends: some(&query.extend)?, emergency: !query.emergency.is_empty(), typed: None };
    let form = form(&app.ctx, &viewer.by(Channel::Web), new_id(), wanted).await.map_err(failed)?;
    match form {
        Form::AlreadyOpen(request) => Ok(Done::AlreadyOpen.then(&app, &format!("/requests/{request}"))),
        Form::Page(ask) => Ok(told.page(&app, &AskPage { frame: Frame { flash: told.flash(), ..error::frame(&app, Some(&viewer), "catalog") }, ask: *ask })),
    }
}

#[allow(clippy::result_large_err, reason = "the answer itself, sent on as it is")]
fn some<T: FromStr>(text: &str) -> Result<Option<T>, Response> {
    let text = text.trim();
    if text.is_empty() { Ok(None) } else { text.parse().map(Some).map_err(|_| Failure::missing().into_response()) }
}

/// `POST /requests`
pub async fn post(State(app): State<App>, SignedIn(viewer): SignedIn, Sent(pairs): Sent<Vec<(String, String)>>) -> Result<Response, Response> {
    let by = viewer.by(Channel::Web);
    slowly(&app, &app.limits.act, &by)?;
    let Some(sent) = Sending::read(pairs) else {
        return Err(Failure::bad_input("What the form sent says something twice. Nothing was done.").into_response());
    };
    let role: RoleId = sent.role.parse().map_err(|_| Failure::missing().into_response())?;
    let mut faults = Vec::new();
    let mut fault = |field: &str, sentence: String| faults.push(Fault { field: field.into(), sentence });
    let duration = sent.duration().unwrap_or_else(|sentence| {
        fault("duration", sentence);
        None
    });
    let starts_at = sent.start(app.ctx.clock.now()).unwrap_or_else(|sentence| {
        fault("start", sentence);
        None
    });
    let emergency = sent.emergency().unwrap_or_else(|sentence| {
        fault("emergency_confirmed", sentence);
        Some(sent.emergency_reason.clone())
    });
    let text = |text: &str| Some(text.to_owned()).filter(|text| !text.trim().is_empty());
    let ask_for = AskFor {
        beneficiary: some::<PersonId>(&sent.whom)?.filter(|id| *id != by.person),
        duration,
        starts_at,
        justification: text(&sent.justification),
        ticket_reference: text(&sent.ticket),
        fields: sent.fields.iter().filter(|(_, value)| !value.trim().is_empty()).map(|(key, value)| (key.clone(), value.clone())).collect(),
        emergency,
        extension_of: some(&sent.extend)?,
        ..AskFor::new(role)
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
                RequestStatus::Submitted => Done::ToConfirm,
                RequestStatus::Approved if ask_for.emergency.is_some() => Done::Emergency,
                RequestStatus::Approved => Done::ApprovedAtOnce,
                _ => Done::Asked,
            };
            return Ok(done.then(&app, &format!("{PLACE}{}", asked.id)));
        }
        Err(ServiceError::Refused(Refusal::AlreadyOpen)) if ask_for.beneficiary.is_none() => {
            match open_request(&app.ctx, &by, role, None).await.map_err(failed)? {
                Some(RequestId(id)) => {
                    let place = format!("{PLACE}{id}");
                    (Done::AlreadyOpen.then(&app, &place), Some(place))
                }
                None => (again(&app, &viewer, &ask_for, &sent, vec![], Some(Refusal::AlreadyOpen.into())).await, None),
            }
        }
        Err(ServiceError::Refused(Refusal::Faults(faults))) => {
            let shown: Vec<Fault> = faults.iter().cloned().filter_map(fault_of).collect();
            // What the form has no place for is said on top.
            let other = (shown.len() < faults.len()).then(|| Refusal::Faults(faults).into());
            (again(&app, &viewer, &ask_for, &sent, shown, other).await, None)
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
    let fields = sent.all.iter().flat_map(|(name, value)| [name.as_bytes(), value.as_bytes()]);
    let parts: Vec<&[u8]> = std::iter::once(b"form /requests".as_slice()).chain(fields).collect();
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
    if let Some(ServiceError::Missing | ServiceError::Broken(_) | ServiceError::Refused(Refusal::NotForOthers)) = error {
        return error.map_or_else(|| Failure::missing().into_response(), failed);
    }
    let wanted = Wanted {
        role: ask_for.role,
        whom: ask_for.beneficiary,
        extends: ask_for.extension_of,
        emergency: ask_for.emergency.is_some(),
        typed: Some(sent.typed()),
    };
    let form = form(&app.ctx, &viewer.by(Channel::Web), new_id(), wanted).await;
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
        None => Failure::fields(faults.iter().map(|fault| FieldFault { field: fault.field.clone(), sentence: fault.sentence.clone() }).collect()),
    };
    ask.faults = faults;
    let page = AskPage { frame: Frame { flash, ..error::frame(app, Some(viewer), "catalog") }, ask };
    failure.shown_as(page_of(&page))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::policy::CustomField;
    use crate::service::look::ask::{Path, Plan, Typed};
    use crate::web::proof::frame;
    use crate::web::proof::*;

    fn sample(says: Says) -> AskPage {
        AskPage {
            frame: frame(says, As::Employee, "catalog"),
            ask: Ask {
                role: role(says, 20, "Orders DB", "read-only", "elevated"),
                about: says.of("Read the orders database through the bastion. No personal data columns."),
                extends: None,
                whom: None,
                emergency: false,
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
                    ticket_says: None,
                    justification_says: None,
                    fields: vec![],
                    start_most_s: None,
                    emergency: None,
                    confirm: false,
                    conflicts: vec![],
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
                ..Typed::default()
            };
            page.ask.faults = vec![
                Fault { field: "duration".into(), sentence: "90 hours is longer than the policy allows (8 hours).".into() },
                Fault { field: "justification".into(), sentence: says.of("Say in at least 20 characters why.") },
                Fault { field: "ticket".into(), sentence: says.of("No ticket is called OPS-1.") },
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
        page.ask.outlook = Outlook::Refused { reason: "You are a contractor.".into(), trace: trace(Says::Plain, false), help: None };
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
    fn fields_of_the_policys_own_show_what_was_typed_and_what_is_wrong_with_it() {
        for says in [Says::Plain, Says::Hostile] {
            let mut page = sample(says);
            let field = |key: &str, kind| CustomField { key: key.into(), label: says.of(key), help: Some(says.of("A hint.")), required: true, kind };
            if let Outlook::Open(plan) = &mut page.ask.outlook {
                plan.fields = vec![
                    field("case", FieldKind::Text { maximum: 40 }),
                    field("region", FieldKind::Choice { choices: vec![says.of("north"), says.of("south")] }),
                    field("since", FieldKind::Date),
                    field("rows", FieldKind::Number { minimum: Some(1), maximum: None }),
                    field("personal", FieldKind::YesNo),
                ];
                plan.start_most_s = Some(86_400);
            }
            page.ask.typed.fields =
                [("case", "4711"), ("region", says.of("south").as_str()), ("rows", "x"), ("personal", "yes")].map(|(k, v)| (k.to_owned(), v.to_owned())).into();
            page.ask.faults = vec![Fault { field: "field_rows".into(), sentence: "Write a whole number in digits.".into() }];
            let page = Rendered::of(if says == Says::Plain { "ask-fields" } else { "ask-fields-hostile" }, &page);
            assert_eq!(page.one("#field_case").attr("value"), Some("4711"));
            assert_eq!(page.one("#field_region option[selected]").text().collect::<String>(), says.of("south"));
            assert_eq!(page.one("#field_since").attr("type"), Some("date"));
            assert_eq!(page.one("input[name=field_personal][checked]").attr("value"), Some("yes"));
            assert!(page.text("#fault-field_rows").contains("whole number"));
            assert_eq!(page.all("#start").len(), 1, "a start is offered where the policy offers it");
        }
    }

    #[test]
    fn an_emergency_wants_its_own_reason_and_a_box_that_is_not_ticked_yet() {
        let mut page = sample(Says::Plain);
        page.ask.emergency = true;
        if let Outlook::Open(plan) = &mut page.ask.outlook {
            plan.emergency = Some(Path { max_s: 3_600, review_s: 86_400 });
        }
        let page = Rendered::of("ask-emergency", &page);
        assert_eq!(page.one("input[name=emergency]").attr("value"), Some("now"));
        assert!(page.one("input[name=emergency_confirmed]").attr("checked").is_none());
        assert_eq!(page.all("#emergency_reason[required]").len(), 1);
        assert!(page.says("A review is owed within 1 day"));
        assert!(page.all("#start").is_empty());
    }
}
