//! The request form, and what would happen.

use askama::Template;

use crate::service::look::ask::{Ask, Outlook};
use crate::web::view::{self, Amount as _, Frame, Moment as _, Words as _};

/// The form for one role.
#[derive(Template)]
#[template(path = "pages/ask.html")]
pub struct AskPage {
    /// What is around it.
    pub frame: Frame,
    /// What it shows.
    pub ask: Ask,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::look::ask::{Fault, Plan, Typed};
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
        for part in ["Production data, short, version 3", "Dana Ruiz", "2 of Members of DBAs", "and 2 more", "Directory group"] {
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
}
