//! Tokens: made, shown once, listed, revoked.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use chrono::Duration;
use serde::Deserialize;

use crate::domain::event::Channel;
use crate::domain::id::TokenId;
use crate::domain::refusal::Refusal;
use crate::service::api_token::{self, NewToken};
use crate::service::error::ServiceError;
use crate::service::look::shared::Cursor;
use crate::service::look::token::{self, Made, Tokens, TypedToken};
use crate::web::error;
use crate::web::flash::{Done, Told, page_of};
use crate::web::form::{Asked, Id, Sent, failed, line, slowly};
use crate::web::guard::SignedIn;
use crate::web::state::App;
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

/// Which page of whose tokens.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Which {
    after: Option<String>,
    of: String,
}

/// `GET /tokens`
pub async fn get(State(app): State<App>, SignedIn(viewer): SignedIn, told: Told, Asked(which): Asked<Which>) -> Result<Response, Response> {
    let by = viewer.by(Channel::Web);
    let after = which.after.map(Cursor);
    let tokens = token::tokens(&app.ctx, &by, which.of == "everybody", after.as_ref(), TypedToken::default()).await.map_err(failed)?;
    Ok(told.page(&app, &TokensPage { frame: Frame { flash: told.flash(), ..error::frame(&app, Some(&viewer), "tokens") }, tokens }))
}

/// `POST /tokens`: makes one. Its answer is the only page that shows it, so it is no redirect.
pub async fn post(State(app): State<App>, SignedIn(viewer): SignedIn, Sent(fields): Sent<Vec<(String, String)>>) -> Result<Response, Response> {
    let by = viewer.by(Channel::Web);
    slowly(&app, &app.limits.act, &by)?;
    let field = |name: &str| fields.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str()).unwrap_or_default();
    let typed = TypedToken {
        name: line(field("name")),
        scopes: fields.iter().filter(|(key, _)| key == "scope").map(|(_, word)| line(word)).take(50).collect(),
        life_s: field("life").parse().unwrap_or(0),
    };
    // What is no life at all ends in the past, and is refused as such.
    let life = Duration::try_seconds(typed.life_s.clamp(0, 1_000_000_000)).unwrap_or_default();
    let new = NewToken { person: viewer.person, name: field("name").to_owned(), scopes: typed.scopes.clone(), expires_at: app.ctx.clock.now() + life };
    let outcome = api_token::create(&app.ctx, &by.actor(), Channel::Web, &new).await;
    let (made, fault, kept) = match outcome {
        Ok(made) => (Some(Made { name: made.name, secret: made.secret }), None, TypedToken::default()),
        Err(ServiceError::Refused(refusal @ Refusal::Faults(_))) => (None, Some(refusal.to_string()), typed),
        Err(other) => return Err(failed(other)),
    };
    let tokens = token::tokens(&app.ctx, &by, false, None, kept).await.map_err(failed)?;
    Ok(page_of(&TokensPage { frame: error::frame(&app, Some(&viewer), "tokens"), tokens: Tokens { made, fault, ..tokens } }))
}

/// `POST /tokens/{id}/revoke`
pub async fn revoke(State(app): State<App>, SignedIn(viewer): SignedIn, Id(id): Id) -> Result<Response, Response> {
    let by = viewer.by(Channel::Web);
    slowly(&app, &app.limits.act, &by)?;
    api_token::revoke(&app.ctx, &by.actor(), by.is_administrator, Channel::Web, TokenId(id)).await.map_err(failed)?;
    Ok(Done::TokenRevoked.then(&app, "/tokens"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::look::shared::{Choice, Listing};
    use crate::service::look::token::{Made, TokenRow, TypedToken};
    use crate::web::proof::*;

    fn sample(says: Says) -> TokensPage {
        let row = |n, name: &str, state: &'static str| TokenRow {
            id: id(n),
            name: says.of(name),
            owner: says.of("Ines Moreau"),
            scopes: vec!["requests:read".into(), "events:read".into()],
            created_at: ago(40000),
            expires_at: ahead(90000),
            last_used_at: (state == "active").then(|| ago(14)),
            revoked_at: None,
            state,
        };
        let scope = |value: &str, label: &str| Choice { value: value.into(), label: label.into() };
        TokensPage {
            frame: frame(says, As::Administrator, "tokens"),
            tokens: Tokens {
                everybody: false,
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
