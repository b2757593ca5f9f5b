//! One policy version, in words.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;

use crate::domain::event::Channel;
use crate::service::look::policy::{self, Policy};
use crate::web::error::{self, Failure};
use crate::web::flash::page_of;
use crate::web::form::{Asked, Id, failed};
use crate::web::guard::Auditor;
use crate::web::state::App;
use crate::web::view::{self, Amount as _, Frame, Moment as _, Words as _};

/// A policy's version.
#[derive(Template)]
#[template(path = "pages/policy.html")]
pub struct PolicyPage {
    /// What is around it.
    pub frame: Frame,
    /// What it shows.
    pub policy: Policy,
}

/// Which version.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Which {
    version: String,
}

/// `GET /admin/policies/{id}`
pub async fn get(State(app): State<App>, Auditor(viewer): Auditor, Id(id): Id, Asked(which): Asked<Which>) -> Result<Response, Response> {
    let version = match which.version.as_str() {
        "" => None,
        text => Some(text.parse().map_err(|_| failed(Failure::missing()))?),
    };
    let policy = policy::policy(&app.ctx, &viewer.by(Channel::Web), id, version).await.map_err(failed)?;
    Ok(page_of(&PolicyPage { frame: error::frame(&app, Some(&viewer), "policies"), policy }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::look::change::DiffLine;
    use crate::service::look::policy::{Health, HealthRow, ProfileRule, VersionRow};
    use crate::service::look::policy_words::PolicyWords;
    use crate::web::proof::{self, *};

    fn sample(says: Says) -> PolicyPage {
        let rule = |effect: &str, sentences: &[&str]| ProfileRule { effect: effect.into(), sentences: sentences.iter().map(|s| says.of(s)).collect() };
        let version = |version, minutes| VersionRow {
            version,
            applied_at: ago(minutes),
            applied_by: says.of("Ines Moreau"),
            approved_by: (version == 3).then(|| says.of("Wei Zhang")),
            change: (version == 3).then(|| id(95)),
        };
        let mut urgent = ask_row(says, 15, role(says, 25, "Payments", "support", "critical"), "approved", None);
        urgent.emergency = true;
        PolicyPage {
            frame: frame(says, As::Administrator, "policies"),
            policy: Policy {
                policy: proof::policy(says),
                in_force: true,
                applied_at: ago(9000),
                applied_by: says.of("Ines Moreau"),
                digest: "9f2c4b1d".repeat(8),
                roles: vec![
                    role(says, 20, "Orders DB", "read-only", "elevated"),
                    role(says, 21, "Payments", "support", "critical"),
                    role(says, 22, "Warehouse", "analyst", "low"),
                ],
                words: PolicyWords {
                    key: "standard".into(),
                    rules: vec![
                        rule("allow", &["Department is Data or Engineering", "There is a manager"]),
                        rule("deny", &["Kept out: employment type contractor"]),
                    ],
                    profile: says.of("Builders, version 1"),
                    conditions: vec![],
                    min_s: 900,
                    recommended_s: Some(14400),
                    max_s: 28800,
                    indefinite: false,
                    choices_s: vec![3600, 14400, 28800],
                    procedure: Some(says.of("Manager, then owners, version 2")),
                    steps: steps(says),
                    notes: vec![says.of("A justification of at least 20 characters is required."), says.of("A ticket may be given.")],
                    fields: vec![says.of("Cost centre: a whole number from 100 to 999, required.")],
                    extension: Some(says.of("More time, version 1")),
                    extension_steps: steps(says),
                },
                apart: vec![says.of("Pay, version 1: Ledger clerk not together with Ledger approver; no exception.")],
                since: vec![DiffLine { mark: "changed", title: says.of("policy standard v2 -> v3"), details: vec![says.of("maximum: 30 days -> 8 hours")] }],
                previous: Some(2),
                approved_by: Some(says.of("Wei Zhang")),
                change: Some(id(95)),
                version_id: id(96),
                requests: vec![ask_row(says, 14, role(says, 24, "Warehouse", "analyst", "low"), "pending", None), urgent],
                versions: vec![version(3, 9000), version(2, 90000), version(1, 190000)],
                health: Some(Health {
                    checked_at: Some(ago(300)),
                    findings: vec![
                        HealthRow {
                            tone: "bad",
                            sentence: says.of("Ines Okafor may ask for 4 hours, and nobody is left to take step “Manager”: it asks the manager."),
                            roles: says.of("Orders DB read-only, Payments support, Warehouse analyst and 2 more"),
                        },
                        HealthRow {
                            tone: "warn",
                            sentence: says.of("24 people may ask, Bo Lind among them (for 4 hours), and a single person could take step “Owner”: it asks the role owner, and nobody stands in."),
                            roles: says.of("Orders DB read-only"),
                        },
                    ],
                }),
            },
        }
    }

    #[test]
    fn a_policy_version_reads_as_sentences() {
        let page = Rendered::of("policy", &sample(Says::Plain));
        assert!(page.text(".rulebox.deny").contains("Never"));
        assert_eq!(page.all("tbody tr").len(), 3);
        assert!(page.text("#since").contains("since version 2") && page.text("#since").contains("maximum: 30 days -> 8 hours"));
        assert_eq!(page.all(&format!("a[href='/admin/changes/{}']", id(95))).len(), 2);
        assert_eq!(page.all(&format!("a[href='/log?policy={}']", id(96))).len(), 1);
        assert_eq!((page.all(".reqrow").len(), page.all(".reqrow .badge.bad").len()), (2, 1), "an emergency has its badge");
        assert!(page.says("Wei Zhang") && page.says("Cost centre: a whole number") && page.says("not together with"));
        assert_eq!(page.all(&format!("a[href='/admin/policies/{}?version=2']", id(90))).len(), 1);
        assert!(page.all(&format!("a[href='/admin/policies/{}?version=3']", id(90))).is_empty());
    }

    #[test]
    fn the_health_of_a_policy_says_what_is_wrong_and_when_it_was_looked_at() {
        let mut sample = sample(Says::Plain);
        let page = Rendered::of("policy", &sample);
        assert_eq!((page.all("#health li").len(), page.all("#health li.bad").len()), (2, 1));
        assert!(page.text("#health").contains("nobody is left to take step") && page.text("#health").contains("2 more"));
        sample.policy.health = Some(Health { checked_at: Some(ago(5)), findings: vec![] });
        assert!(Rendered::of("policy-healthy", &sample).text("#health").contains("Every step can be taken"));
        sample.policy.health = Some(Health { checked_at: None, findings: vec![] });
        assert!(Rendered::of("policy-unchecked", &sample).text("#health").contains("Not looked at yet"));
        sample.policy.health = None;
        assert!(Rendered::of("policy-replaced", &sample).all("#health").is_empty());
    }

    #[test]
    fn hostile_text_stays_text_in_a_policy() {
        assert!(Rendered::of("policy-hostile", &sample(Says::Hostile)).all("img").is_empty());
    }
}
