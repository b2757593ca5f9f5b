//! A request: the tracker, the decision card, the record.

use askama::Template;
use axum::extract::State;
use axum::http::{HeaderMap, Method};
use axum::response::Response;

use crate::domain::event::Channel;
use crate::domain::id::RequestId;
use crate::service::look::follow;
use crate::service::look::request::Request;
use crate::service::read_note;
use crate::service::view_request;
use crate::web::error;
use crate::web::flash::Told;
use crate::web::form::{Id, failed};
use crate::web::guard::SignedIn;
use crate::web::state::App;
use crate::web::view::{self, Amount as _, Frame, Moment as _, Words as _};

/// One request.
#[derive(Template)]
#[template(path = "pages/request.html")]
pub struct RequestPage {
    /// What is around it.
    pub frame: Frame,
    /// What it shows.
    pub request: Request,
}

/// `GET /requests/{id}`. That somebody who is asked has opened it is recorded, once; a browser that only fetches ahead has not.
pub async fn get(State(app): State<App>, SignedIn(viewer): SignedIn, told: Told, Id(id): Id, method: Method, headers: HeaderMap) -> Result<Response, Response> {
    let by = viewer.by(Channel::Web);
    let mut request = follow::request(&app.ctx, &by, RequestId(id)).await.map_err(failed)?;
    let ahead = method == Method::HEAD || headers.contains_key("sec-purpose") || headers.contains_key("purpose");
    if !ahead && request.card.as_ref().is_some_and(|card| card.first_look) {
        view_request::viewed(&app.ctx, &by, RequestId(id)).await.map_err(failed)?;
        request = follow::request(&app.ctx, &by, RequestId(id)).await.map_err(failed)?;
    }
    // Who is asked reads it for that, not as somebody who may read everything.
    if !ahead && request.card.is_none() {
        read_note::note(&app.ctx, &by, "a request", Some(request.beneficiary.id.into())).await.map_err(failed)?;
    }
    let place = request.place();
    Ok(told.page(&app, &RequestPage { frame: Frame { flash: told.flash(), ..error::frame(&app, Some(&viewer), place) }, request }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::look::request::*;
    use crate::service::look::shared::CanGrant;
    use crate::web::proof::frame;
    use crate::web::proof::*;

    fn asked(says: Says, name: &str, decision: Option<&str>) -> AskedRow {
        AskedRow {
            name: says.of(name),
            how: None,
            ended: false,
            viewed_at: decision.is_none().then(|| ago(12)).filter(|_| name == "Cy Okafor"),
            decision: decision.map(Into::into),
            decided_at: decision.map(|_| ago(48)),
            comment: decision.map(|_| says.of("Known incident, fine for the afternoon.")),
            approved_s: None,
        }
    }

    fn sample(says: Says) -> Request {
        Request {
            id: id(10),
            role: role(says, 20, "Orders DB", "read-only", "elevated"),
            requester: person(says, 2, "Bo Lind", "Data"),
            beneficiary: person(says, 2, "Bo Lind", "Data"),
            status: "pending".into(),
            requested_at: ago(75),
            wanted_start: None,
            extends: false,
            requested_s: Some(14400),
            approved_s: None,
            decided_at: None,
            justification: Some(says.of("Refund run for case 4711 fails for a few customers; I need to read the order rows to find which.")),
            ticket: Some(says.of("OPS-4711")),
            decision: "needs_approval".into(),
            policy: Some(policy(says)),
            deciding_rule: says.of("Engineers and analysts may ask, with approval of manager and data owners."),
            reason: None,
            steps: vec![
                StepRow {
                    no: 1,
                    name: says.of("Manager"),
                    state: "done".into(),
                    since: Some(ago(75)),
                    due: None,
                    done_at: Some(ago(48)),
                    paused_s: None,
                    escalated_at: None,
                    reminded_at: None,
                    remind_at: None,
                    slots: vec![SlotRow { source: says.of("The manager"), needed: 1, got: 1, asked: vec![asked(says, "Dana Ruiz", Some("approve"))] }],
                },
                StepRow {
                    no: 2,
                    name: says.of("Data owners"),
                    state: "current".into(),
                    since: Some(ago(48)),
                    due: Some(ahead(2832)),
                    done_at: None,
                    paused_s: None,
                    escalated_at: None,
                    reminded_at: None,
                    remind_at: None,
                    slots: vec![SlotRow {
                        source: says.of("Members of DBAs"),
                        needed: 1,
                        got: 0,
                        asked: vec![asked(says, "Cy Okafor", None), asked(says, "Mina Sato", None)],
                    }],
                },
            ],
            delivery: None,
            trace: trace(says, true),
            events: vec![
                event(says, 40, 75, "request.submitted", "Bo Lind", "asked for Orders DB read-only for 4 hours"),
                event(says, 41, 75, "request.decided", "Countersign", "decided that approval is needed under Production data, short, version 3"),
                event(says, 42, 75, "step.started", "Countersign", "asked Dana Ruiz in step 1, Manager"),
                event(says, 43, 48, "request.approved", "Dana Ruiz", "approved step 1, Manager"),
                event(says, 44, 48, "step.started", "Countersign", "asked Cy Okafor and Mina Sato in step 2, Data owners"),
            ],
            is_own: true,
            was_asked: false,
            can: CanRequest { withdraw: true, ..CanRequest::default() },
            card: None,
            questions: vec![],
            nudge_again_at: None,
            beside: Default::default(),
        }
    }

    fn delivered(says: Says) -> Request {
        let mut request = sample(says);
        request.status = "approved".into();
        request.approved_s = Some(7200);
        request.decided_at = Some(ago(40));
        request.steps[1].state = "done".into();
        request.steps[1].done_at = Some(ago(40));
        request.steps[1].slots[0].got = 1;
        request.steps[1].slots[0].asked[0] = asked(says, "Cy Okafor", Some("approve"));
        request.steps[1].slots[0].asked[0].approved_s = Some(7200);
        request.can = CanRequest { grant: CanGrant { give_back: true, extend: true, revoke: false, confirm: true }, ..CanRequest::default() };
        request.delivery = Some(Delivery {
            grant: id(510),
            status: "active".into(),
            method: "idp_group".into(),
            target: says.of("group orders-ro in Demo directory"),
            starts_at: ago(39),
            ends_at: Some(ahead(81)),
            verified_at: Some(ago(39)),
            ended_at: None,
            end_reason: None,
            end_verified_at: None,
            attempts: 1,
            last_error: None,
            next_try_at: None,
            confirmed: None,
        });
        request
    }

    fn with_card(says: Says) -> Request {
        let mut request = sample(says);
        let fact = |label: &str, value: &str, source: Option<&str>| Fact {
            label: says.of(label),
            value: says.of(value),
            source: source.map(Into::into),
            at: source.map(|_| ago(2)),
        };
        request.can = CanRequest { approve: true, deny: true, ..CanRequest::default() };
        (request.is_own, request.was_asked) = (false, true);
        request.card = Some(Card {
            step_no: 2,
            step_name: says.of("Data owners"),
            steps: 2,
            digest: "9f2c".into(),
            relation: Some(says.of("in Dana Ruiz’s team")),
            why_you: says.of("you are in group DBAs"),
            others: vec![says.of("Mina Sato")],
            given: (0, 2),
            due: Some(ahead(2832)),
            facts: vec![
                fact("Department", "Data", Some("Demo directory")),
                fact("Employment", "Employee since March 2024", Some("Demo directory")),
                fact("Peers", "5 of 9 in Data hold it", None),
                fact("Before", "Held it 3 times in 90 days, never over 4 hours", None),
                fact("Holds now", "Grafana editor, Wiki writer", None),
                fact("Role", "Elevated risk, 4 members", None),
            ],
            changed: vec![Change { what: says.of("Manager"), before: says.of("Ana Cruz"), after: says.of("Dana Ruiz") }],
            first_look: false,
            not_now: None,
            shorter_s: vec![3600, 7200],
            approve_needs_comment: false,
            deny_needs_reason: true,
            fault: None,
            typed: String::new(),
            denies: false,
        });
        request
    }

    fn page(name: &str, says: Says, who: As, request: Request) -> Rendered {
        Rendered::of(name, &RequestPage { frame: frame(says, who, if request.card.is_some() { "queue" } else { "access" }), request })
    }

    #[test]
    fn the_tracker_says_who_has_it_now_and_since_when() {
        let page = page("request", Says::Plain, As::Employee, sample(Says::Plain));
        let current = page.text(".track > li.current");
        assert!(current.contains("Cy Okafor") && current.contains("Asked 48 minutes ago"), "{current}");
        assert!(current.contains("looked 12 minutes ago") && current.contains("has not looked yet"));
        assert!(page.posts_to(&format!("/requests/{}/withdraw", id(10))));
        assert!(page.all(".card").is_empty());
        assert_eq!(page.all(".timeline > li").len(), 5);
    }

    #[test]
    fn request_status_and_delivery_status_are_told_apart() {
        let page = page("request-active", Says::Plain, As::Employee, delivered(Says::Plain));
        let states: Vec<String> = page.all(".states p").into_iter().map(words).collect();
        assert_eq!(states, ["Request Approved", "Delivery Active"]);
        assert!(page.says("Approved 2 hours Shortened"));
        assert!(page.says("1 h 21 min left"));
        for act in ["return", "confirm"] {
            assert!(page.posts_to(&format!("/grants/{}/{act}", id(510))));
        }
    }

    #[test]
    fn a_failing_delivery_says_what_failed_and_what_is_next() {
        let mut request = delivered(Says::Plain);
        request.can.grant = CanGrant::default();
        if let Some(d) = &mut request.delivery {
            (d.status, d.verified_at, d.attempts) = ("failing".into(), None, 4);
            d.last_error = Some("The directory answered 503 to adding the member.".into());
            d.next_try_at = Some(ahead(3));
        }
        let page = page("request-failing", Says::Plain, As::Administrator, request);
        assert!(page.text(".track .fault").contains("503") && page.says("in 3 minutes"));
    }

    #[test]
    fn the_card_asks_in_the_right_order_and_sends_what_it_showed() {
        let page = page("request-card", Says::Plain, As::Approver, with_card(Says::Plain));
        let card = page.text(".card");
        let order = ["Refund run", "You are asked because", "Department", "Changed since", "Approve for 4 hours", "Approve for less", "Deny"];
        let found: Vec<usize> = order.iter().filter_map(|part| card.find(part)).collect();
        assert!(found.len() == order.len() && found.is_sorted(), "{found:?} in {card}");
        assert_eq!(page.all(".card form").len(), 3);
        assert_eq!(page.all(".card form input[name=digest][value='9f2c']").len(), 3, "a stale page decides nothing");
        assert_eq!(page.all("#deny-reason[required]").len(), 1);
    }

    #[test]
    fn a_refused_request_shows_every_rule_at_once() {
        let mut request = sample(Says::Plain);
        (request.status, request.decision) = ("refused".into(), "refused".into());
        (request.policy, request.steps, request.can) = (None, vec![], CanRequest::default());
        request.deciding_rule = "No contractors".into();
        request.reason = Some("You are a contractor, and this role is not given to contractors.".into());
        request.trace = trace(Says::Plain, false);
        let page = page("request-refused", Says::Plain, As::Employee, request);
        assert!(page.text(".flash.bad").contains("contractor"));
        assert_eq!(page.all("details.fold[open] .rule").len(), 3);
        assert!(page.all("form[action$=withdraw]").is_empty());
    }

    #[test]
    fn hostile_text_stays_text_on_a_request() {
        for (name, request) in [("request-hostile", with_card(Says::Hostile)), ("request-hostile-active", delivered(Says::Hostile))] {
            assert!(page(name, Says::Hostile, As::Approver, request).all("img").is_empty());
        }
    }
}
