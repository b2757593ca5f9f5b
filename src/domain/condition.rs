//! One condition on one attribute, and its sentence.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::person::{PersonSnapshot, same};

/// How an attribute is compared. Comparison of text ignores case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operator {
    /// Some value equals the one given.
    Is,
    /// There is a value, and none equals the one given.
    IsNot,
    /// Some value is among those given.
    In,
    /// There is a value, and none is among those given.
    NotIn,
    /// Some value contains one of those given.
    Contains,
    /// Some value starts with one of those given.
    StartsWith,
    /// There is a value.
    Exists,
    /// There is none.
    NotExists,
    /// Member of one of the groups given, by reference.
    MemberOf,
    /// Member of none of the groups given.
    NotMemberOf,
    /// Reports to one of the people given, by reference, at any depth.
    ReportsTo,
}

impl Operator {
    /// Every operator with its word.
    pub const ALL: [(Operator, &'static str); 11] = [
        (Self::Is, "is"),
        (Self::IsNot, "is_not"),
        (Self::In, "in"),
        (Self::NotIn, "not_in"),
        (Self::Contains, "contains"),
        (Self::StartsWith, "starts_with"),
        (Self::Exists, "exists"),
        (Self::NotExists, "not_exists"),
        (Self::MemberOf, "member_of"),
        (Self::NotMemberOf, "not_member_of"),
        (Self::ReportsTo, "reports_to"),
    ];

    /// The word in configuration and database.
    pub fn word(self) -> &'static str {
        Self::ALL.iter().find(|(operator, _)| *operator == self).map_or("", |(_, word)| word)
    }

    /// The operator of a word; `None` for any other text.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, w)| *w == word).map(|(operator, _)| *operator)
    }

    /// How many values it takes: (fewest, most).
    pub fn arity(self) -> (usize, usize) {
        match self {
            Self::Exists | Self::NotExists => (0, 0),
            Self::Is | Self::IsNot => (1, 1),
            _ => (1, 200),
        }
    }
}

/// `attribute operator values`, for example `department is Engineering`.
#[derive(Clone, Debug, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// Name of the attribute; ignored by the group operators and by `reports_to`.
    pub attribute: String,
    /// How it is compared.
    pub operator: Operator,
    /// What it is compared with. Groups and people are meant as [`meant`] writes them, by a reference that never changes hands, where a
    /// name does: who may name a group must not be able to meet or dodge a condition by it.
    pub values: Vec<String>,
    /// What those groups or people were called when the version was made, in the same order, for reading; else empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub called: Vec<String>,
}

/// Conditions are equal when they ask the same; what is called how is for reading.
impl PartialEq for Condition {
    fn eq(&self, other: &Self) -> bool {
        (&self.attribute, self.operator, &self.values) == (&other.attribute, other.operator, &other.values)
    }
}

/// A group or a person as the value of a condition: the key of its directory, a colon, and its reference there.
pub fn meant(directory: &str, reference: &str) -> String {
    format!("{directory}:{reference}")
}

/// Directory and reference of what [`meant`] wrote; none for anything else.
pub fn directory_and_reference(value: &str) -> Option<(&str, &str)> {
    value.split_once(':')
}

/// How one condition came out for one person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checked {
    /// Whether it holds.
    pub met: bool,
    /// The condition as a sentence.
    pub sentence: String,
    /// The attribute it looked at.
    pub attribute: String,
    /// The values seen; empty when there were none.
    pub seen: Vec<String>,
}

impl Condition {
    /// Whether the condition holds for `person`, with what was seen. An attribute that is missing or empty never makes a condition
    /// true, `not_exists` and `not_member_of` apart; and an empty value that it is compared with never does.
    pub fn check(&self, person: &PersonSnapshot) -> Checked {
        self.look(person).said(self.sentence())
    }

    /// [`Condition::check`] without its sentence, for whoever looks at many conditions of one person.
    pub(super) fn look<'a>(&'a self, person: &'a PersonSnapshot) -> Looked<'a> {
        let given = || self.values.iter().map(String::as_str).filter(|value| !value.is_empty());
        let means = |reference: &str| given().any(|value| directory_and_reference(value) == Some((person.directory.as_str(), reference)));
        let (attribute, seen) = match self.operator {
            Operator::ReportsTo => ("manager", person.line.iter().map(|above| above.user_name.as_str()).collect()),
            // Of many groups only those that matter here are worth keeping.
            Operator::MemberOf | Operator::NotMemberOf => {
                ("groups", person.groups.iter().filter(|group| means(&group.reference)).map(|group| group.name.as_str()).collect())
            }
            _ => (self.attribute.as_str(), person.values(&self.attribute)),
        };
        let any_equal = || seen.iter().any(|value| given().any(|wanted| same(value, wanted)));
        let met = match self.operator {
            Operator::Is | Operator::In => any_equal(),
            Operator::IsNot | Operator::NotIn => !seen.is_empty() && !any_equal(),
            Operator::Contains => seen.iter().any(|v| given().any(|w| v.to_lowercase().contains(&w.to_lowercase()))),
            Operator::StartsWith => seen.iter().any(|v| given().any(|w| v.to_lowercase().starts_with(&w.to_lowercase()))),
            Operator::Exists | Operator::MemberOf => !seen.is_empty(),
            Operator::NotExists | Operator::NotMemberOf => seen.is_empty(),
            Operator::ReportsTo => person.line.iter().any(|above| means(&above.reference)),
        };
        Looked { met, attribute, seen: seen.into_iter().map(Into::into).collect() }
    }

    /// Whether `checked`, how this condition came out, rests on nothing: the directory says nothing of the attribute. What asks about
    /// presence itself, and groups, which are always read whole, are never silent.
    pub fn is_silent(&self, checked: &Checked) -> bool {
        self.rests_on_nothing(&checked.seen)
    }

    pub(super) fn rests_on_nothing(&self, seen: &[String]) -> bool {
        let asks_presence = matches!(self.operator, Operator::Exists | Operator::NotExists | Operator::MemberOf | Operator::NotMemberOf);
        !asks_presence && seen.is_empty()
    }

    /// The values as people read them.
    pub fn shown(&self) -> &[String] {
        if self.called.is_empty() { &self.values } else { &self.called }
    }

    /// The condition in words, of anybody: "department is Engineering".
    pub fn holds_sentence(&self) -> String {
        let name = spaced(&self.attribute);
        let values = either(self.shown());
        match self.operator {
            Operator::Is | Operator::In => format!("{name} is {values}"),
            Operator::IsNot | Operator::NotIn => format!("{name} is not {values}"),
            Operator::Contains => format!("{name} contains {values}"),
            Operator::StartsWith => format!("{name} starts with {values}"),
            Operator::Exists => format!("has {} {name}", article(&name)),
            Operator::NotExists => format!("has no {name}"),
            Operator::MemberOf => format!("is a member of {values}"),
            Operator::NotMemberOf => format!("is not a member of {values}"),
            Operator::ReportsTo => format!("reports to {values}"),
        }
    }

    /// The condition in words, to the person: "You must be in department Engineering".
    pub fn sentence(&self) -> String {
        let name = spaced(&self.attribute);
        let values = either(self.shown());
        match self.operator {
            Operator::Is | Operator::In if name == "department" => {
                format!("You must be in department {values}")
            }
            Operator::Is | Operator::In => format!("Your {name} must be {values}"),
            Operator::IsNot | Operator::NotIn => format!("Your {name} must be other than {values}"),
            Operator::Contains => format!("Your {name} must contain {values}"),
            Operator::StartsWith => format!("Your {name} must start with {values}"),
            Operator::Exists => format!("You must have {} {name}", article(&name)),
            Operator::NotExists => format!("You must have no {name}"),
            Operator::MemberOf => format!("You must be a member of {values}"),
            Operator::NotMemberOf => format!("You must not be a member of {values}"),
            Operator::ReportsTo => format!("You must report to {values}, directly or through others"),
        }
    }

    /// The condition in words as a deny rule uses it: "Kept out: department Engineering".
    pub fn kept_out_sentence(&self) -> String {
        let name = spaced(&self.attribute);
        let values = either(self.shown());
        match self.operator {
            Operator::Is | Operator::In => format!("Kept out: {name} {values}"),
            Operator::IsNot | Operator::NotIn => format!("Kept out: any {name} but {values}"),
            Operator::Contains => format!("Kept out: {name} containing {values}"),
            Operator::StartsWith => format!("Kept out: {name} starting with {values}"),
            Operator::Exists => format!("Kept out: whoever has {} {name}", article(&name)),
            Operator::NotExists => format!("Kept out: whoever has no {name}"),
            Operator::MemberOf => format!("Kept out: members of {values}"),
            Operator::NotMemberOf => format!("Kept out: whoever is no member of {values}"),
            Operator::ReportsTo => format!("Kept out: whoever reports to {values}"),
        }
    }
}

fn article(name: &str) -> &'static str {
    if name.starts_with(['a', 'e', 'i', 'o']) { "an" } else { "a" }
}

fn spaced(attribute: &str) -> Cow<'_, str> {
    if attribute.contains('_') { attribute.replace('_', " ").into() } else { attribute.into() }
}

fn either(values: &[String]) -> Cow<'_, str> {
    match values {
        [] => "".into(),
        [one] => one.into(),
        [head @ .., last] => format!("{} or {last}", head.join(", ")).into(),
    }
}

/// How a condition came out, without words.
pub(super) struct Looked<'a> {
    pub(super) met: bool,
    pub(super) attribute: &'a str,
    pub(super) seen: Vec<String>,
}

impl Looked<'_> {
    pub(super) fn said(self, sentence: String) -> Checked {
        Checked { met: self.met, sentence, attribute: self.attribute.into(), seen: self.seen }
    }
}

#[cfg(test)]
mod tests;
