//! One policy version, in words.

use askama::Template;

use crate::service::look::policy::Policy;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::look::policy::{ProfileRule, VersionRow};
    use crate::web::proof::{self, *};

    fn sample(says: Says) -> PolicyPage {
        let rule = |name: &str, effect: &str, sentences: &[&str]| ProfileRule {
            name: says.of(name),
            effect: effect.into(),
            sentences: sentences.iter().map(|s| says.of(s)).collect(),
        };
        let version = |version, minutes, requests| VersionRow { version, applied_at: ago(minutes), applied_by: says.of("Ines Moreau"), requests };
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
                rules: vec![
                    rule("Engineers and analysts", "allow", &["Department is Data or Engineering", "There is a manager"]),
                    rule("No contractors", "deny", &["Employment type is contractor"]),
                ],
                conditions: vec![],
                min_s: 900,
                recommended_s: 14400,
                max_s: 28800,
                choices_s: vec![3600, 14400, 28800],
                steps: steps(says),
                automatic: vec![says.of("The person is on call (group oncall) and asks for at most 1 hour")],
                notes: vec![says.of("A justification of at least 20 characters is required."), says.of("A ticket may be given.")],
                versions: vec![version(3, 9000, 412), version(2, 90000, 1830), version(1, 190000, 77)],
            },
        }
    }

    #[test]
    fn a_policy_version_reads_as_sentences() {
        let page = Rendered::of("policy", &sample(Says::Plain));
        assert!(page.text(".rulebox.deny").contains("Never"));
        assert_eq!(page.all("tbody tr").len(), 3);
        assert_eq!(page.all(&format!("a[href='/admin/policies/{}?version=2']", id(90))).len(), 1);
        assert!(page.all(&format!("a[href='/admin/policies/{}?version=3']", id(90))).is_empty());
    }

    #[test]
    fn hostile_text_stays_text_in_a_policy() {
        assert!(Rendered::of("policy-hostile", &sample(Says::Hostile)).all("img").is_empty());
    }
}
