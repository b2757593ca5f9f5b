//! Tokens: made, shown once, listed, revoked.

use askama::Template;

use crate::service::look::token::Tokens;
use crate::web::view::{self, Amount as _, Frame, Moment as _, Words as _};

/// The viewer's API tokens.
#[derive(Template)]
#[template(path = "pages/tokens.html")]
pub struct TokensPage {
    /// What is around it.
    pub frame: Frame,
    /// What it shows.
    pub tokens: Tokens,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::look::shared::{Choice, Listing};
    use crate::service::look::token::{Made, TokenRow, TypedToken};
    use crate::web::proof::*;

    fn sample(says: Says) -> TokensPage {
        let row = |n, name: &str, state: &str| TokenRow {
            id: id(n),
            name: says.of(name),
            owner: says.of("Ines Moreau"),
            scopes: vec!["requests:read".into(), "events:read".into()],
            created_at: ago(40000),
            expires_at: ahead(90000),
            last_used_at: (state == "active").then(|| ago(14)),
            revoked_at: None,
            state: state.into(),
        };
        let scope = |value: &str, label: &str| Choice { value: value.into(), label: label.into() };
        TokensPage {
            frame: frame(says, As::Administrator, "tokens"),
            tokens: Tokens {
                rows: Listing::whole(vec![row(1, "Nightly export", "active"), row(2, "Old script", "revoked")]),
                scopes: vec![
                    scope("requests:read", "See requests"),
                    scope("requests:write", "Ask, withdraw, return"),
                    scope("approvals:write", "Approve and deny"),
                    scope("events:read", "Read the log and exports"),
                ],
                lives_s: vec![7 * 86400, 30 * 86400, 90 * 86400],
                made: None,
                typed: TypedToken { name: says.of("Backup"), scopes: vec!["events:read".into()], life_s: 30 * 86400 },
                fault: None,
            },
        }
    }

    #[test]
    fn a_new_token_is_shown_once_and_by_itself() {
        let mut page = sample(Says::Plain);
        page.tokens.made = Some(Made { name: "Nightly export".into(), secret: "cs_9f2c4b1d".into() });
        let page = Rendered::of("tokens-made", &page);
        assert_eq!(page.text("#secret"), "cs_9f2c4b1d");
        assert!(page.says("cannot be shown again"));
    }

    #[test]
    fn only_an_active_token_can_be_revoked() {
        let page = Rendered::of("tokens", &sample(Says::Plain));
        assert!(page.posts_to(&format!("/tokens/{}/revoke", id(1))));
        assert!(!page.posts_to(&format!("/tokens/{}/revoke", id(2))));
        assert_eq!(page.one("input[name=scope][checked]").attr("value"), Some("events:read"));
        assert_eq!(page.one("#life option[selected]").attr("value"), Some("2592000"));
    }

    #[test]
    fn a_token_not_made_says_why_and_keeps_what_was_typed() {
        let mut page = sample(Says::Hostile);
        page.tokens.fault = Some("Choose at least one scope.".into());
        let page = Rendered::of("tokens-hostile", &page);
        assert_eq!(page.one("#name").attr("value"), Some(Says::Hostile.of("Backup").as_str()));
        assert!(page.text("#fault").contains("at least one scope"));
    }
}
