//! What becomes of a member that no lease explains.

/// What a role does about a member of its group that no lease explains.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DriftRule {
    /// Says so, and leaves it to people.
    #[default]
    Alert,
    /// Takes the membership away.
    Remove,
    /// Opens a request of its own for the person.
    Adopt,
}

impl DriftRule {
    /// Every rule with its word.
    pub const ALL: [(DriftRule, &'static str); 3] = [(Self::Alert, "alert"), (Self::Remove, "remove"), (Self::Adopt, "adopt")];

    /// The word in catalog files, forms and the database.
    pub fn word(self) -> &'static str {
        Self::ALL.iter().find(|(rule, _)| *rule == self).map_or("", |(_, word)| word)
    }

    /// The rule of a word; `None` for any other text.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, w)| *w == word).map(|(rule, _)| *rule)
    }

    /// The rule of a group by those of the roles that it gives: where they differ, or no role is offered any more, only people act.
    /// Adopting needs exactly one role, as nobody could say which one to ask for.
    pub fn of_group(rules: &[DriftRule]) -> Self {
        match rules {
            [] => Self::Alert,
            [first, rest @ ..] if rest.iter().all(|rule| rule == first) && (*first != Self::Adopt || rest.is_empty()) => *first,
            _ => Self::Alert,
        }
    }
}

/// How many memberships of a group with `people` in it may change by themselves in one comparison: 20, or 5 % of a large one.
pub fn believable(people: usize) -> usize {
    (people / 20).max(20)
}

/// How many memberships of all groups of a directory may be taken away by themselves in one comparison.
pub const MOST_REMOVED: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_read_back() {
        for (rule, word) in DriftRule::ALL {
            assert_eq!((rule.word(), DriftRule::parse(word)), (word, Some(rule)));
        }
        assert_eq!((DriftRule::parse("Remove"), DriftRule::parse(""), DriftRule::default()), (None, None, DriftRule::Alert));
    }

    #[test]
    fn a_group_acts_by_itself_only_where_its_roles_agree() {
        use DriftRule::{Adopt, Alert, Remove};
        for (rules, of) in [
            (vec![], Alert),
            (vec![Remove], Remove),
            (vec![Remove, Remove], Remove),
            (vec![Remove, Alert], Alert),
            (vec![Adopt], Adopt),
            (vec![Adopt, Adopt], Alert),
            (vec![Remove, Adopt], Alert),
        ] {
            assert_eq!(DriftRule::of_group(&rules), of, "{rules:?}");
        }
    }

    #[test]
    fn twenty_or_a_twentieth_is_believed() {
        assert_eq!([0, 1, 399, 400, 420, 5_000].map(believable), [20, 20, 20, 20, 21, 250]);
    }
}
