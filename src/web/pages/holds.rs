//! Legal holds placed and lifted, and people erased.

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use uuid::Uuid;

use crate::domain::id::PersonId;
use crate::domain::refusal::Refusal;
use crate::service::ctx::By;
use crate::service::erase::{self, Erased, Foreseen, Ordered};
use crate::service::error::ServiceError;
use crate::service::look::holds::{self, Holds, OrderListed};
use crate::service::look::shared::Cursor;
use crate::service::sign_in::Viewer;
use crate::web::error::{self, Failure};
use crate::web::flash::{Done, Told, page_of};
use crate::web::form::{Asked, Id, Sent, failed, line, shown, slowly};
use crate::web::guard::{Administrator, Auditor};
use crate::web::state::App;
use crate::web::view::{self, Amount as _, Frame, Moment as _, Words as _};

const PLACE: &str = "holds";

/// What is held, and who is to be erased.
#[derive(Template)]
#[template(path = "pages/holds.html")]
pub struct HoldsPage {
    /// What is around it.
    pub frame: Frame,
    /// What it shows.
    pub holds: Holds,
    /// Who is looked at to be erased, as it was typed.
    pub person: String,
    /// What erasing them would do.
    pub foreseen: Option<Foreseen>,
    /// What erasing did.
    pub erased: Option<(Uuid, Erased)>,
    /// What was typed.
    pub typed: Typed,
    /// What is wrong with it, and in which form: `hold`, `person` or `erase`.
    pub fault: Option<(&'static str, String)>,
}

impl HoldsPage {
    /// Whether the viewer gave an order themselves: it takes another.
    pub fn is_own(&self, order: &OrderListed) -> bool {
        order.by_id == Some(self.holds.viewer)
    }

    /// What is wrong in a form.
    pub fn fault_of(&self, form: &str) -> Option<&str> {
        self.fault.as_ref().filter(|(of, _)| *of == form).map(|(_, fault)| fault.as_str())
    }
}

/// What is sent, of any of the forms.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Typed {
    /// What a hold is to be on.
    pub on: String,
    /// The id of who is to be erased.
    pub person: String,
    /// Their name.
    pub name: String,
    /// Why.
    pub reason: String,
}

/// Which page, and who is looked at.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Which {
    after: Option<String>,
    person: String,
}

/// `GET /admin/holds`
pub async fn get(State(app): State<App>, viewer: Auditor, told: Told, Asked(which): Asked<Which>) -> Result<Response, Response> {
    let by = viewer.by();
    let after = which.after.map(Cursor);
    let mut page = page(&app, &viewer.0, &by, after.as_ref()).await?;
    page.frame.flash = told.flash();
    page.person = line(&which.person);
    if !page.person.is_empty() && by.is_administrator {
        slowly(&app, &app.limits.act, &by)?;
        match erase::foresee(&app.ctx, &by, &page.person).await {
            Ok(foreseen) => page.foreseen = Some(foreseen),
            Err(ServiceError::Refused(refusal @ Refusal::Faults(_))) => page.fault = Some(("person", refusal.to_string())),
            Err(other) => return Err(failed(other)),
        }
    }
    Ok(told.page(&app, &page))
}

/// `POST /admin/holds`: places one.
pub async fn place(State(app): State<App>, viewer: Administrator, Sent(typed): Sent<Typed>) -> Result<Response, Response> {
    let by = viewer.by();
    slowly(&app, &app.limits.act, &by)?;
    match erase::hold_by(&app.ctx, &by, &typed.on, &typed.reason).await {
        Ok(_) => Ok(Done::HoldPlaced.then(&app, "/admin/holds")),
        Err(ServiceError::Refused(refusal @ Refusal::Faults(_))) => {
            let page = page(&app, &viewer.0, &by, None).await?;
            let typed = Typed { on: line(&typed.on), reason: shown(&typed.reason), ..Typed::default() };
            Ok(again(HoldsPage { typed, fault: Some(("hold", refusal.to_string())), ..page }, refusal))
        }
        Err(other) => Err(back(other)),
    }
}

/// `POST /admin/holds/{id}/lift`
pub async fn lift(State(app): State<App>, viewer: Administrator, Id(id): Id, Sent(typed): Sent<Typed>) -> Result<Response, Response> {
    let by = viewer.by();
    slowly(&app, &app.limits.act, &by)?;
    erase::lift_by(&app.ctx, &by, id, &typed.reason).await.map_err(back)?;
    Ok(Done::HoldLifted.then(&app, "/admin/holds"))
}

/// `POST /admin/holds/erase`: erases somebody, or notes the order. Its answer is the only page that says what went and what stays.
pub async fn erase(State(app): State<App>, viewer: Administrator, Sent(typed): Sent<Typed>) -> Result<Response, Response> {
    let by = viewer.by();
    slowly(&app, &app.limits.act, &by)?;
    let person = Uuid::parse_str(&typed.person).map_err(|_| failed(Failure::missing()))?;
    match erase::order(&app.ctx, &by, PersonId(person), &typed.name, &typed.reason).await {
        Ok(Ordered::Waits) => Ok(Done::ErasureOrdered.then(&app, "/admin/holds")),
        Ok(Ordered::Erased(erased)) => {
            let page = page(&app, &viewer.0, &by, None).await?;
            Ok(page_of(&HoldsPage { erased: Some((person, erased)), ..page }))
        }
        Err(ServiceError::Refused(refusal @ (Refusal::Faults(_) | Refusal::NotErasable(_)))) => {
            let page = page(&app, &viewer.0, &by, None).await?;
            let foreseen = erase::foresee(&app.ctx, &by, &typed.person).await.map_err(failed)?;
            let typed = Typed { name: line(&typed.name), reason: shown(&typed.reason), ..Typed::default() };
            Ok(again(HoldsPage { foreseen: Some(foreseen), typed, fault: Some(("erase", refusal.to_string())), ..page }, refusal))
        }
        Err(other) => Err(back(other)),
    }
}

async fn page(app: &App, viewer: &Viewer, by: &By, after: Option<&Cursor>) -> Result<HoldsPage, Response> {
    let holds = holds::holds(&app.ctx, by, after).await.map_err(failed)?;
    let frame = error::frame(app, Some(viewer), PLACE);
    Ok(HoldsPage { frame, holds, person: String::new(), foreseen: None, erased: None, typed: Typed::default(), fault: None })
}

/// The page with what was typed, and what is wrong with it.
fn again(page: HoldsPage, refusal: Refusal) -> Response {
    Failure::from(ServiceError::Refused(refusal)).shown_as(page_of(&page)).into_response()
}

fn back(error: ServiceError) -> Response {
    match error {
        ServiceError::Missing => failed(error),
        other => failed(Failure { link: Some(("/admin/holds".into(), "Back to the holds".into())), ..other.into() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::look::holds::HoldListed;
    use crate::service::look::shared::Listing;
    use crate::web::proof::*;

    fn sample(says: Says, who: As) -> HoldsPage {
        let hold = |n, request: bool, lifted: bool| HoldListed {
            id: id(n),
            person: Some(says.of("Bo Lind")),
            request_id: request.then(|| id(9)),
            role: request.then(|| says.of("Orders DB Writer")),
            reason: says.of("Ashcroft against Bright, letter of 3 March"),
            placed_by: (n == 1).then(|| says.of("Sofía Marín")),
            placed_at: ago(9_000),
            lifted_at: lifted.then(|| ago(60)),
        };
        HoldsPage {
            frame: frame(says, who, "holds"),
            holds: Holds {
                rows: Listing { rows: vec![hold(1, false, false), hold(2, true, false), hold(3, true, true)], next: Some(Cursor("a".into())) },
                orders: vec![OrderListed {
                    person_id: id(20),
                    person: says.of("Tom Ferro"),
                    by_id: Some(id(21)),
                    by: Some(says.of("Sofía Marín")),
                    at: ago(300),
                    reason: Some(says.of("Asked for it by letter.")),
                }],
                by_two: true,
                viewer: id(1),
            },
            person: says.of("tom.ferro"),
            foreseen: Some(Foreseen {
                person: PersonId(id(20)),
                name: says.of("Tom Ferro"),
                hinders: vec![],
                stays: vec![says.of("the policy standard v2 asks for them: what was decided under it is judged by it")],
            }),
            erased: None,
            typed: Typed::default(),
            fault: None,
        }
    }

    #[test]
    fn an_administrator_places_lifts_and_erases_and_an_auditor_looks() {
        let page = Rendered::of("holds", &sample(Says::Plain, As::Administrator));
        assert!(page.posts_to("/admin/holds") && page.posts_to(&format!("/admin/holds/{}/lift", id(1))) && page.posts_to("/admin/holds/erase"));
        assert!(!page.posts_to(&format!("/admin/holds/{}/lift", id(3))), "lifted already");
        assert!(page.says("second administrator") && page.says("standard v2"));
        let page = Rendered::of("holds-auditor", &sample(Says::Plain, As::Auditor));
        assert!(page.says("Ashcroft") && !page.posts_to("/admin/holds") && !page.posts_to("/admin/holds/erase"));
        assert!(Rendered::of("holds-hostile", &sample(Says::Hostile, As::Administrator)).all("img").is_empty());
    }

    #[test]
    fn who_cannot_be_erased_is_not_offered_and_what_went_is_said() {
        let mut page = sample(Says::Plain, As::Administrator);
        page.foreseen = page.foreseen.map(|foreseen| Foreseen { hinders: vec!["they themselves are held since 2026-03-01".into()], ..foreseen });
        page.fault = Some(("hold", "Say why: it is kept in the log.".into()));
        let page = Rendered::of("holds-not", &page);
        assert!(page.says("held since 2026-03-01") && !page.posts_to("/admin/holds/erase"));
        assert!(page.text("#fault-hold").contains("Say why"));
        let mut page = sample(Says::Plain, As::Administrator);
        page.foreseen = None;
        page.erased = Some((id(20), Erased { events: 214, stays: vec!["texts that call them “al”, which is too short to tell from a word".into()] }));
        page.holds.rows = Listing::whole(vec![]);
        page.holds.orders.clear();
        let page = Rendered::of("holds-erased", &page);
        assert!(page.says("214 events") && page.says("too short") && page.says("Nothing is held"));
    }
}
