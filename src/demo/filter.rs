//! SCIM filters and what they ask (RFC 7644 §3.4.2.2).
//!
//! What a filter may ask of which attribute is decided by the resource ([`Subject`]); anything
//! it does not know is `invalidFilter`, never "everybody".

use chrono::{DateTime, Utc};
use serde_json::Value;

/// A filter that was read. Attribute names are in lower case, without the URN of the schema, sub-attributes after a dot.
#[derive(Clone, Debug, PartialEq)]
pub enum Filter {
    /// Both hold.
    And(Box<Filter>, Box<Filter>),
    /// One of them holds, or both.
    Or(Box<Filter>, Box<Filter>),
    /// It does not hold.
    Not(Box<Filter>),
    /// The attribute compares so with the value.
    Compare(String, Op, Value),
    /// The attribute has a value (`pr`).
    Present(String),
}

/// A comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// `eq`
    Equal,
    /// `ne`
    NotEqual,
    /// `co`
    Contains,
    /// `sw`
    StartsWith,
    /// `ew`
    EndsWith,
    /// `gt`
    Greater,
    /// `ge`
    GreaterOrEqual,
    /// `lt`
    Less,
    /// `le`
    LessOrEqual,
}

/// How an attribute compares (RFC 7643 §2.2, §2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text in which upper and lower case are the same.
    Text,
    /// Text in which they are not.
    Exact,
    /// `true` or `false`.
    Truth,
    /// A point in time.
    Time,
}

/// One value of an attribute.
#[derive(Clone, Copy, Debug)]
pub enum Held<'a> {
    /// Of [`Kind::Text`] or [`Kind::Exact`].
    Text(&'a str),
    /// Of [`Kind::Exact`]: an id.
    Id(uuid::Uuid),
    /// Of [`Kind::Truth`].
    Truth(bool),
    /// Of [`Kind::Time`].
    Time(DateTime<Utc>),
}

/// Something a filter can be asked about.
pub trait Subject {
    /// How the attribute compares; `None` when there is no such attribute.
    fn kind(attribute: &str) -> Option<Kind>;
    /// Calls `test` with each value of the attribute until it says true; says whether it did.
    fn any(&self, attribute: &str, test: &mut dyn FnMut(Held<'_>) -> bool) -> bool;
    /// Whether the attribute has this value, where that is known without looking at each; `None`: look at each.
    fn has(&self, _attribute: &str, _value: &str) -> Option<bool> {
        None
    }
}

/// Whether the filter holds for the subject.
pub fn holds<S: Subject>(filter: &Filter, subject: &S) -> bool {
    match filter {
        Filter::And(one, two) => holds(one, subject) && holds(two, subject),
        Filter::Or(one, two) => holds(one, subject) || holds(two, subject),
        Filter::Not(inner) => !holds(inner, subject),
        Filter::Present(attribute) => subject.any(attribute, &mut |_| true),
        Filter::Compare(attribute, op, value) => {
            let fold = S::kind(attribute) == Some(Kind::Text);
            let (op, turned) = if *op == Op::NotEqual { (Op::Equal, true) } else { (*op, false) };
            // `eq null` asks for what `not (… pr)` asks for.
            if value.is_null() {
                return subject.any(attribute, &mut |_| true) == turned;
            }
            if let (Op::Equal, Value::String(text)) = (op, value)
                && let Some(known) = subject.has(attribute, text)
            {
                return known != turned;
            }
            subject.any(attribute, &mut |held| compare(held, op, value, fold)) != turned
        }
    }
}

/// The value of a comparison for equality that must hold wherever the whole filter does, if there is one for `attribute`.
pub fn required<'a>(filter: &'a Filter, attribute: &str) -> Option<&'a str> {
    match filter {
        Filter::And(one, two) => required(one, attribute).or_else(|| required(two, attribute)),
        Filter::Compare(name, Op::Equal, Value::String(value)) if name == attribute => Some(value),
        _ => None,
    }
}

fn compare(held: Held<'_>, op: Op, value: &Value, fold: bool) -> bool {
    match (held, value) {
        (Held::Text(held), Value::String(value)) if fold => compare_text(&held.to_lowercase(), op, &value.to_lowercase()),
        (Held::Text(held), Value::String(value)) => compare_text(held, op, value),
        (Held::Id(held), Value::String(value)) => {
            let mut buffer = uuid::Uuid::encode_buffer();
            compare_text(held.hyphenated().encode_lower(&mut buffer), op, value)
        }
        (Held::Truth(held), Value::Bool(value)) => op == Op::Equal && held == *value,
        (Held::Time(held), Value::String(value)) => match value.parse::<DateTime<Utc>>() {
            Ok(value) => ordered(held.cmp(&value), op),
            Err(_) => false,
        },
        _ => false,
    }
}

fn compare_text(held: &str, op: Op, value: &str) -> bool {
    match op {
        Op::Contains => held.contains(value),
        Op::StartsWith => held.starts_with(value),
        Op::EndsWith => held.ends_with(value),
        _ => ordered(held.cmp(value), op),
    }
}

fn ordered(order: std::cmp::Ordering, op: Op) -> bool {
    match op {
        Op::Equal => order.is_eq(),
        Op::NotEqual => order.is_ne(),
        Op::Greater => order.is_gt(),
        Op::GreaterOrEqual => order.is_ge(),
        Op::Less => order.is_lt(),
        Op::LessOrEqual => order.is_le(),
        Op::Contains | Op::StartsWith | Op::EndsWith => false,
    }
}

/// Whether `S` has the attributes of the filter and can compare them so. The error is a sentence.
pub fn check<S: Subject>(filter: &Filter) -> Result<(), String> {
    let kind = |attribute: &str| S::kind(attribute).ok_or_else(|| format!("`{attribute}` cannot be used in a filter here"));
    match filter {
        Filter::And(one, two) | Filter::Or(one, two) => check::<S>(one).and_then(|()| check::<S>(two)),
        Filter::Not(inner) => check::<S>(inner),
        Filter::Present(attribute) => kind(attribute).map(drop),
        Filter::Compare(attribute, op, value) => {
            let equality = matches!(op, Op::Equal | Op::NotEqual);
            let search = matches!(op, Op::Contains | Op::StartsWith | Op::EndsWith);
            let fits = match (kind(attribute)?, value) {
                (_, Value::Null) => equality,
                (Kind::Text | Kind::Exact, Value::String(_)) => true,
                (Kind::Truth, Value::Bool(_)) => equality,
                (Kind::Time, Value::String(time)) => !search && time.parse::<DateTime<Utc>>().is_ok(),
                _ => false,
            };
            if fits { Ok(()) } else { Err(format!("`{attribute}` cannot be compared in this way with {value}")) }
        }
    }
}
