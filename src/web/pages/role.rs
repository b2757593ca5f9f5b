//! A role: what it is, its rules, its members.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;

use crate::domain::event::Channel;
use crate::domain::id::RoleId;
use crate::service::look::role::{self, Role};
use crate::service::look::shared::{Cursor, Standing};
use crate::web::error;
use crate::web::flash::Told;
use crate::web::form::{Asked, Id, failed};
use crate::web::guard::SignedIn;
use crate::web::state::App;
use crate::web::view::{self, Amount as _, Frame, Moment as _, Words as _};

/// One role.
#[derive(Template)]
#[template(path = "pages/role.html")]
pub struct RolePage {
    /// What is around it.
    pub frame: Frame,
    /// What it shows.
    pub role: Role,
}

/// Where the page of members begins.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct From {
    members: Option<String>,
}

/// `GET /roles/{id}`
pub async fn get(State(app): State<App>, SignedIn(viewer): SignedIn, told: Told, Id(id): Id, Asked(from): Asked<From>) -> Result<Response, Response> {
    let members = from.members.map(Cursor);
    let role = role::role(&app.ctx, &viewer.by(Channel::Web), RoleId(id), members.as_ref()).await.map_err(failed)?;
    let flash = told.flash().or_else(|| view::notice(&role.notice));
    Ok(told.page(&app, &RolePage { frame: Frame { flash, ..error::frame(&app, Some(&viewer), "catalog") }, role }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::look::role::{ApartRow, MemberRow, RolePolicy};
    use crate::service::look::shared::Listing;
    use crate::web::proof::{self, *};

    fn sample(says: Says, may: bool) -> RolePage {
        let member = |n: u128, name: &str, why: &str, grant: bool| MemberRow {
            name: says.of(name),
            department: Some(says.of("Data")),
            grant: grant.then(|| id(n + 500)),
            request: grant.then(|| id(n)),
            emergency: false,
            declared: false,
            since: grant.then(|| ago(500)),
            until: grant.then(|| ahead(900)),
            why: says.of(why),
            may_revoke: grant,
        };
        let standing =
            if may { Standing::MayAsk } else { Standing::MayNot { reason: says.of("You are a contractor, and this role is not given to contractors.") } };
        RolePage {
            frame: frame(says, if may { As::Administrator } else { As::Employee }, "catalog"),
            role: Role {
                name: proof::role(says, 20, "Orders DB", "read-only", "elevated"),
                about: says.of("Read the orders database through the bastion. No personal data columns."),
                owner: Some(says.of("Cy Okafor")),
                application_owner: Some(says.of("Mina Sato")),
                method: "idp_group".into(),
                target: says.of("group orders-ro in Demo directory"),
                standing,
                trace: trace(says, may),
                help: None,
                for_others: false,
                policies: vec![RolePolicy {
                    policy: policy(says),
                    governs_viewer: may,
                    who: vec![says.of("People in department Data or Engineering who have a manager"), says.of("Never contractors")],
                    choices_s: vec![3600, 14400, 28800],
                    max_s: 28800,
                    steps: steps(says),
                    notes: vec![says.of("A justification is required."), says.of("May be extended once.")],
                }],
                holders: 4,
                members: may.then(|| Listing {
                    rows: vec![
                        member(10, "Bo Lind", "approved by Dana Ruiz and Cy Okafor", true),
                        member(11, "Ada Moss", "already a member when the group was imported", false),
                    ],
                    next: Some(Cursor("x".into())),
                }),
                apart: vec![ApartRow {
                    person: says.of("Bo Lind"),
                    other: id(21),
                    other_name: says.of("Payments support"),
                    rule: says.of("Pay and approve"),
                    excepted: false,
                    found_at: ago(90),
                }],
                notice: None,
            },
        }
    }

    #[test]
    fn a_role_page_puts_the_policy_in_words() {
        let page = Rendered::of("role", &sample(Says::Plain, true));
        assert!(page.text(".policy").contains("Up to 8 hours"));
        assert_eq!(page.all(".policy .step").len(), 2);
        assert_eq!(page.all("main tbody tr").len(), 2);
        assert!(page.says("No grant"), "a member without a grant is marked");
        assert!(page.posts_to(&format!("/grants/{}/revoke", id(510))));
    }

    #[test]
    fn why_not_comes_before_the_rules_and_shows_what_was_seen() {
        let page = Rendered::of("role-refused", &sample(Says::Plain, false));
        assert!(page.text("#why .reason").contains("contractor"));
        assert!(page.text("#why .decided").contains("Seen: contractor, from demo, 2 minutes ago"));
        assert!(page.all(&format!("a[href='/roles/{}/ask']", id(20))).is_empty());
        assert!(page.all("main table").is_empty(), "members are not for everybody");
    }

    #[test]
    fn hostile_text_stays_text_on_a_role_page() {
        assert!(Rendered::of("role-hostile", &sample(Says::Hostile, true)).all("img").is_empty());
        assert!(Rendered::of("role-hostile-refused", &sample(Says::Hostile, false)).all("img").is_empty());
    }
}
