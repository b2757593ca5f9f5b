//! Sign in, signed out, and when neither works.

use askama::Template;

use crate::web::view::{self, Amount as _, Frame, Words as _};

/// The door.
#[derive(Template)]
#[template(path = "pages/signin.html")]
pub struct SignInPage {
    /// What is around it; without a viewer.
    pub frame: Frame,
    /// What it says.
    pub signin: SignIn,
}

/// What the door says.
#[derive(Clone, Debug)]
pub struct SignIn {
    /// The identity provider's name.
    pub provider: String,
    /// The person has just signed out.
    pub signed_out: bool,
    /// The provider ended its session too.
    pub ended_at_provider: bool,
    /// Why nobody can sign in now, in a sentence.
    pub unavailable: Option<String>,
    /// Where to go after signing in; a path on this server, checked before.
    pub return_to: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::proof::*;

    fn render(name: &str, signin: SignIn) -> Rendered {
        let frame = Frame { viewer: None, place: "", flash: None, demo: true, now: now() };
        Rendered::of(name, &SignInPage { frame, signin })
    }

    fn sample() -> SignIn {
        SignIn { provider: "Demo directory".into(), signed_out: false, ended_at_provider: false, unavailable: None, return_to: Some("/requests/1?a=b".into()) }
    }

    #[test]
    fn signing_in_leads_back_to_where_one_was_going() {
        let page = render("signin", sample());
        assert_eq!(page.one("main a.button").attr("href"), Some("/sign-in/start?to=%2Frequests%2F1%3Fa%3Db"));
    }

    #[test]
    fn a_provider_that_is_down_is_named() {
        let trouble = Says::Hostile.of("No answer from it since 09:20 UTC.");
        let page = render("signin-down", SignIn { unavailable: Some(trouble), ..sample() });
        assert!(page.text("[role=alert]").contains("Demo directory does not answer"));
        assert_eq!(page.text("main a.button"), "Try again");
    }

    #[test]
    fn signing_out_says_where_it_ended() {
        let page = render("signed-out", SignIn { signed_out: true, ended_at_provider: true, return_to: None, ..sample() });
        assert!(page.says("at Demo directory too"));
    }
}
