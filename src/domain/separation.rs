//! Roles that one person must not hold together.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::id::RoleId;
use super::policy::ApprovalProcedure;

/// One immutable version of a rule: nobody holds a role of set a together with a role of set b.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeparationRule {
    /// Id of this version.
    pub id: Uuid,
    /// Its key in configuration.
    pub key: String,
    /// Its name for people.
    pub name: String,
    /// Counted from 1.
    pub version: i32,
    /// SHA-256 of its canonical form, hex.
    pub digest: String,
    /// One set, in order of ids.
    pub a: Vec<RoleId>,
    /// The other set, in order of ids.
    pub b: Vec<RoleId>,
    /// The steps that allow an exception; none: there is no exception.
    pub procedure: Option<ApprovalProcedure>,
}

impl SeparationRule {
    /// Which of `held` must not be held together with `role`; empty when the rule says nothing against it.
    pub fn conflicts(&self, role: RoleId, held: &[RoleId]) -> Vec<RoleId> {
        let (in_a, in_b) = (self.a.contains(&role), self.b.contains(&role));
        held.iter().filter(|other| **other != role).filter(|other| (in_a && self.b.contains(other)) || (in_b && self.a.contains(other))).copied().collect()
    }

    /// Whether the rule is about `role`.
    pub fn names(&self, role: RoleId) -> bool {
        self.a.contains(&role) || self.b.contains(&role)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(n: u128) -> RoleId {
        RoleId(Uuid::from_u128(n))
    }

    #[test]
    fn a_role_of_one_set_conflicts_with_those_of_the_other_and_never_with_itself() {
        let rule = SeparationRule {
            id: Uuid::nil(),
            key: "pay".into(),
            name: "Pay and approve".into(),
            version: 1,
            digest: String::new(),
            a: vec![role(1), role(2)],
            b: vec![role(2), role(3)],
            procedure: None,
        };
        assert_eq!(rule.conflicts(role(1), &[role(3), role(4)]), [role(3)]);
        assert_eq!(rule.conflicts(role(3), &[role(1), role(2)]), [role(1), role(2)]);
        assert_eq!(rule.conflicts(role(2), &[role(2)]), [], "holding it already is no conflict with itself");
        assert_eq!(rule.conflicts(role(1), &[role(2)]), [role(2)], "a role of both sets conflicts with every other");
        assert_eq!(rule.conflicts(role(4), &[role(1), role(3)]), []);
        assert!(rule.names(role(3)) && !rule.names(role(4)));
    }
}
