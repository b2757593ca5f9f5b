//! Who stands in for me, and I for whom.

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Duration, NaiveDate, NaiveTime, Utc};
use serde::Deserialize;

use crate::domain::event::Channel;
use crate::service::ctx::By;
use crate::service::delegate::{self, Away};
use crate::service::error::ServiceError;
use crate::service::look::delegation::{self, Delegations, TypedAway};
use crate::service::look::find;
use crate::web::error::{self, Failure};
use crate::web::flash::{Done, Told, page_of};
use crate::web::form::{Id, Sent, failed, line, shown, slowly};
use crate::web::guard::SignedIn;
use crate::web::state::App;
use crate::web::view::{self, Amount as _, Frame, Moment as _, Words as _};

/// Who is away and who stands in, as far as it concerns the viewer.
#[derive(Template)]
#[template(path = "pages/delegation.html")]
pub struct DelegationPage {
    /// What is around it.
    pub frame: Frame,
    /// What it shows.
    pub delegations: Delegations,
}

/// `GET /delegation`
pub async fn get(State(app): State<App>, SignedIn(viewer): SignedIn, told: Told) -> Result<Response, Response> {
    let by = viewer.by(Channel::Web);
    let today = app.ctx.clock.now().date_naive();
    let typed = TypedAway { from: today.to_string(), ..TypedAway::default() };
    let delegations = delegation::delegations(&app.ctx, &by, typed).await.map_err(failed)?;
    Ok(told.page(&app, &DelegationPage { frame: Frame { flash: told.flash(), ..error::frame(&app, Some(&viewer), "delegation") }, delegations }))
}

/// What the form sends.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Sending {
    delegate: String,
    from: String,
    until: String,
    reason: String,
}

/// `POST /delegation`
pub async fn post(State(app): State<App>, SignedIn(viewer): SignedIn, Sent(form): Sent<Sending>) -> Result<Response, Response> {
    let by = viewer.by(Channel::Web);
    slowly(&app, &app.limits.act, &by)?;
    match made(&app, &by, &form).await {
        Ok(()) => Ok(Done::DelegationMade.then(&app, "/delegation")),
        Err(error @ ServiceError::Refused(_)) => {
            let fault = Some(error.to_string());
            let typed = TypedAway { delegate: line(&form.delegate), from: line(&form.from), until: line(&form.until), reason: shown(&form.reason), fault };
            let delegations = delegation::delegations(&app.ctx, &by, typed).await.map_err(failed)?;
            let page = DelegationPage { frame: error::frame(&app, Some(&viewer), "delegation"), delegations };
            Ok(Failure::from(error).shown_as(page_of(&page)).into_response())
        }
        Err(other) => Err(failed(other)),
    }
}

async fn made(app: &App, by: &By, form: &Sending) -> Result<(), ServiceError> {
    let away = Away {
        delegate: find::colleague(&app.ctx, &form.delegate).await?,
        from: first_moment(&form.from),
        // The day that was chosen is the last one away.
        until: first_moment(&form.until).and_then(|day| day.checked_add_signed(Duration::days(1))),
        reason: Some(form.reason.clone()),
    };
    delegate::delegate(&app.ctx, by, &away).await.map(drop)
}

/// The first moment, in UTC, of a day as a form sends it.
fn first_moment(text: &str) -> Option<DateTime<Utc>> {
    let day: NaiveDate = text.trim().parse().ok()?;
    // Years that Postgres and people agree on.
    let sane = (NaiveDate::from_ymd_opt(2000, 1, 1)?..NaiveDate::from_ymd_opt(9999, 1, 1)?).contains(&day);
    sane.then(|| day.and_time(NaiveTime::MIN).and_utc())
}

/// `POST /delegation/{id}/end`
pub async fn end(State(app): State<App>, SignedIn(viewer): SignedIn, Id(id): Id) -> Result<Response, Response> {
    let by = viewer.by(Channel::Web);
    slowly(&app, &app.limits.act, &by)?;
    delegate::end(&app.ctx, &by, id).await.map_err(|error| match error {
        ServiceError::Missing => failed(error),
        other => failed(Failure { link: Some(("/delegation".into(), "Back to delegation".into())), ..other.into() }),
    })?;
    Ok(Done::DelegationEnded.then(&app, "/delegation"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::look::delegation::Stands;
    use crate::web::proof::*;

    fn row(says: Says, n: u128, person: &str, delegate: &str, state: &'static str) -> Stands {
        Stands {
            id: id(n),
            person: says.of(person),
            delegate: says.of(delegate),
            starts_at: ago(600),
            ends_at: ahead(6000),
            reason: Some(says.of("Holidays")),
            state,
        }
    }

    fn sample(says: Says) -> DelegationPage {
        DelegationPage {
            frame: frame(says, As::Approver, "delegation"),
            delegations: Delegations {
                own: vec![row(says, 1, "Dana Ruiz", "Cy Okafor", "in_force"), row(says, 2, "Dana Ruiz", "Mina Sato", "over")],
                others: vec![row(says, 3, "Ana Cruz", "Dana Ruiz", "ahead")],
                typed: TypedAway { from: "2026-11-21".into(), ..TypedAway::default() },
            },
        }
    }

    #[test]
    fn what_is_or_will_be_in_force_can_be_ended_and_nothing_else() {
        let page = Rendered::of("delegation", &sample(Says::Plain));
        for (n, ends) in [(1, true), (2, false), (3, true)] {
            assert_eq!(page.posts_to(&format!("/delegation/{}/end", id(n))), ends, "{n}");
        }
        assert!(page.says("Cy Okafor stands in for you") && page.says("You stand in for Ana Cruz"));
        assert_eq!(page.one("#from").attr("value"), Some("2026-11-21"));
    }

    #[test]
    fn nobody_away_says_what_a_delegation_is_for() {
        let mut page = sample(Says::Plain);
        (page.delegations.own, page.delegations.others) = (vec![], vec![]);
        assert!(Rendered::of("delegation-empty", &page).text(".empty").contains("Nobody stands in for you"));
    }

    #[test]
    fn a_delegation_not_made_says_why_and_keeps_what_was_typed() {
        let mut page = sample(Says::Hostile);
        page.delegations.typed = TypedAway { delegate: Says::Hostile.of("Cy"), fault: Some("There is nobody of that name.".into()), ..page.delegations.typed };
        let page = Rendered::of("delegation-hostile", &page);
        assert_eq!(page.one("#delegate").attr("value"), Some(Says::Hostile.of("Cy").as_str()));
        assert!(page.text("#fault").contains("nobody of that name"));
    }

    #[test]
    fn a_day_is_a_day_and_nothing_else() {
        assert_eq!(first_moment(" 2026-01-31 ").map(|at| at.to_rfc3339()), Some("2026-01-31T00:00:00+00:00".into()));
        for bad in ["", "tomorrow", "2026-02-30", "-4000-01-01", "99999-01-01", "1970-01-01", "2026-01-31\0"] {
            assert_eq!(first_moment(bad), None, "{bad}");
        }
    }
}
