//! Conditions as people write them.

use toml::Spanned;
use toml::de::DeValue;

use crate::domain::condition::{Condition, Operator};

use super::places::{Placed, Reader};
use super::{words, write};

/// How an operator may be written between attribute and values; the longest that fits is meant.
const SPELLINGS: [(&str, Operator); 22] = [
    ("is", Operator::Is),
    ("is not", Operator::IsNot),
    ("is_not", Operator::IsNot),
    ("in", Operator::In),
    ("is in", Operator::In),
    ("is one of", Operator::In),
    ("not in", Operator::NotIn),
    ("not_in", Operator::NotIn),
    ("is not in", Operator::NotIn),
    ("is none of", Operator::NotIn),
    ("contains", Operator::Contains),
    ("starts with", Operator::StartsWith),
    ("starts_with", Operator::StartsWith),
    ("exists", Operator::Exists),
    ("does not exist", Operator::NotExists),
    ("not_exists", Operator::NotExists),
    ("include", Operator::MemberOf),
    ("member_of", Operator::MemberOf),
    ("do not include", Operator::NotMemberOf),
    ("exclude", Operator::NotMemberOf),
    ("not_member_of", Operator::NotMemberOf),
    ("is not one of", Operator::NotIn),
];

/// The attribute that `reports to` looks at.
const ABOVE: &str = "manager";

/// What is shown to somebody whose condition cannot be read.
const EXAMPLE: &str =
    "write it like \"department is Engineering\", \"title contains Engineer, Architect\", \"groups include sre\", \"reports to LOGIN\" or \"manager exists\"";

/// One condition: a sentence like `"department is Engineering"`, or a table with `attribute`, `operator` and `values`.
pub fn condition<'i>(reader: &Reader<'i>, value: &Spanned<DeValue<'i>>) -> Option<Placed<Condition>> {
    let at = reader.place_of(value);
    let condition = if value.get_ref().is_str() {
        let text = reader.text(value, "condition", 1_000)?;
        match sentence(&text.value) {
            Ok(condition) => condition,
            Err(why) => {
                reader.fault(at, why);
                return None;
            }
        }
    } else {
        structured(reader, value)?
    };
    match fault_of(&condition) {
        Some(why) => {
            reader.fault(at, why);
            None
        }
        None => Some(Placed { value: condition, at }),
    }
}

/// Reads `attribute operator values`.
fn sentence(text: &str) -> Result<Condition, String> {
    let unread = || format!("“{text}” is not a condition; {EXAMPLE}.");
    if let Some(who) = text.strip_prefix("reports to ").or_else(|| text.strip_prefix("reports_to ")) {
        return Ok(Condition { attribute: ABOVE.into(), operator: Operator::ReportsTo, values: listed(who), called: Vec::new() });
    }
    let (attribute, rest) = text.split_once(' ').ok_or_else(unread)?;
    let rest = rest.trim();
    let (spelling, operator) = SPELLINGS
        .iter()
        .filter(|(spelling, _)| rest.strip_prefix(spelling).is_some_and(|tail| tail.is_empty() || tail.starts_with(' ')))
        .max_by_key(|(spelling, _)| spelling.len())
        .ok_or_else(unread)?;
    let tail = rest[spelling.len()..].trim();
    let values = match operator.arity() {
        (_, 1) if !tail.is_empty() => vec![tail.to_owned()],
        _ if tail.is_empty() => vec![],
        _ => listed(tail),
    };
    Ok(Condition { attribute: attribute.to_owned(), operator: *operator, values, called: Vec::new() })
}

fn listed(values: &str) -> Vec<String> {
    values.split(',').map(|value| value.trim().to_owned()).collect()
}

/// The condition as a file says it: the sentence where it reads back as what it is, else the table.
pub fn written(condition: &Condition) -> String {
    let said = words::condition(condition);
    if said.trim() == said && sentence(&said).as_ref() == Ok(condition) {
        return write::quoted(&said);
    }
    let Condition { attribute, operator, values, .. } = condition;
    let values: Vec<String> = values.iter().map(|value| write::quoted(value)).collect();
    format!("{{ attribute = {}, operator = \"{}\", values = [{}] }}", write::quoted(attribute), operator.word(), values.join(", "))
}

fn structured<'i>(reader: &Reader<'i>, value: &Spanned<DeValue<'i>>) -> Option<Condition> {
    let fields = reader.fields(value, "A condition")?;
    let operator = fields.needed("operator");
    let attribute = match operator.value.as_str() {
        "member_of" | "not_member_of" if !fields.has("attribute") => "groups".to_owned(),
        "reports_to" if !fields.has("attribute") => ABOVE.to_owned(),
        _ => fields.needed("attribute").value,
    };
    let mut values = Vec::new();
    for item in fields.list("values").unwrap_or_default() {
        values.push(reader.text(item, "values", 200)?.value);
    }
    let parsed = Operator::parse(&operator.value);
    if parsed.is_none() && !operator.value.is_empty() {
        let known: Vec<&str> = Operator::ALL.iter().map(|(_, word)| *word).collect();
        reader.fault(operator.at, format!("There is no operator “{}”; known are {}.", operator.value, known.join(", ")));
    }
    let broken = fields.is_broken() || attribute.is_empty();
    fields.end();
    if broken { None } else { Some(Condition { attribute, operator: parsed?, values, called: Vec::new() }) }
}

/// Why `condition` could never be meant, if so.
fn fault_of(condition: &Condition) -> Option<String> {
    let Condition { attribute, operator, values, .. } = condition;
    let name = attribute.as_str();
    if name.len() > 63 || !name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_')) {
        return Some(format!("“{name}” cannot be an attribute; attributes are written in lower case like employment_type."));
    }
    let (least, most) = operator.arity();
    if values.iter().any(String::is_empty) {
        return Some("A value of a condition must not be empty.".into());
    }
    if values.len() < least {
        return Some(format!("“{name} {}” needs a value; {EXAMPLE}.", operator.word()));
    }
    if values.len() > most {
        return Some(match most {
            0 => format!("“{name} {}” takes no value.", operator.word()),
            1 => format!("“{name} {}” takes one value; use \"in\" or \"not_in\" for several.", operator.word()),
            _ => format!("A condition may have {most} values; this has {}.", values.len()),
        });
    }
    if *operator == Operator::ReportsTo {
        return (name != ABOVE).then(|| format!("Only managers are reported to: write \"reports to LOGIN\", not “{name}”."));
    }
    let of_groups = matches!(operator, Operator::MemberOf | Operator::NotMemberOf);
    match (name, of_groups) {
        ("groups", false) if matches!(operator, Operator::Is | Operator::IsNot | Operator::In | Operator::NotIn) => {
            Some("Say of groups what they include: \"groups include sre\" or \"groups do not include sre\".".into())
        }
        ("groups", _) | (_, false) if name != "manager" => None,
        ("manager", false) if matches!(operator, Operator::Exists | Operator::NotExists) => None,
        ("manager", false) => Some(
            "Of a manager only \"manager exists\", \"manager does not exist\" and \"reports to LOGIN\" can be asked: the directory names managers by id."
                .into(),
        ),
        _ => Some(format!("Only groups can include: write \"groups include …\", not “{name}”.")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_read_as_they_are_said() {
        for (text, attribute, operator, values) in [
            ("department is Engineering", "department", Operator::Is, vec!["Engineering"]),
            ("department is Research, Applied", "department", Operator::Is, vec!["Research, Applied"]),
            ("employment_type is not contractor", "employment_type", Operator::IsNot, vec!["contractor"]),
            ("employment_type is_not contractor", "employment_type", Operator::IsNot, vec!["contractor"]),
            ("department in Data, IT", "department", Operator::In, vec!["Data", "IT"]),
            ("department is not one of Sales, Support", "department", Operator::NotIn, vec!["Sales", "Support"]),
            ("department is Information", "department", Operator::Is, vec!["Information"]),
            ("groups include sre", "groups", Operator::MemberOf, vec!["sre"]),
            ("groups do not include dba, sre", "groups", Operator::NotMemberOf, vec!["dba", "sre"]),
            ("manager exists", "manager", Operator::Exists, vec![]),
            ("cost_center does not exist", "cost_center", Operator::NotExists, vec![]),
            ("reports to ines.okafor", "manager", Operator::ReportsTo, vec!["ines.okafor"]),
            ("reports to ines.okafor, mara", "manager", Operator::ReportsTo, vec!["ines.okafor", "mara"]),
            ("title starts with Head of", "title", Operator::StartsWith, vec!["Head of"]),
        ] {
            let read = sentence(text).unwrap();
            assert_eq!(
                (read.attribute.as_str(), read.operator, read.values.iter().map(String::as_str).collect::<Vec<_>>()),
                (attribute, operator, values),
                "{text}"
            );
            assert_eq!(fault_of(&read), None, "{text}");
        }
    }

    #[test]
    fn what_no_condition_can_mean_is_a_fault() {
        for text in [
            "",
            "department",
            "department Engineering",
            "department isEngineering",
            "department is",
            "department in A,,B",
            "Department is X",
            "groups is sre",
            "title include x",
            "manager is bo.lind",
            "manager exists really",
            "reports to",
            "reports to a,,b",
            "department reports_to bo",
        ] {
            let fault = sentence(text).map(|read| fault_of(&read));
            assert!(!matches!(fault, Ok(None)), "{text:?} was read as a condition");
        }
    }
}
