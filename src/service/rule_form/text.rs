//! Writes a form as the entry of a catalog file.
//!
//! One field is one line, so that a fault of a line is a fault of its field. Nothing is judged here: that is what reading the file does.

use crate::domain::condition::Operator;
use crate::service::catalog_file::write::quoted;

use super::shape::{Empty, RowForm, Rows, Takes, Written};
use super::sheet::{Cell, Form, Sheet, split};

/// An entry as text, and which field each line is of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// The lines, each ended.
    pub text: String,
    /// For every line the path of its field (`step.0.name`); empty for the entry itself.
    pub paths: Vec<String>,
}

/// The entry that `form` says.
pub fn entry(form: &Form) -> Entry {
    let mut writer = Writer::default();
    let table = form.kind.word();
    writer.line("", &format!("[[{table}]]"));
    for sheet in &form.sheets {
        writer.plain(sheet, "");
    }
    for sheet in &form.sheets {
        writer.tables(sheet, table, "");
    }
    writer.entry
}

#[derive(Default)]
struct Writer {
    entry: Entry,
}

/// Whether the field stands as a line among others, not as a table of its own.
fn is_plain(takes: &Takes) -> bool {
    match takes {
        Takes::Part(..) => false,
        Takes::Rows(rows) => !matches!(rows.form, RowForm::Tables | RowForm::Effects),
        _ => true,
    }
}

impl Writer {
    fn line(&mut self, path: &str, text: &str) {
        self.entry.text.push_str(text);
        self.entry.text.push('\n');
        self.entry.paths.push(path.to_owned());
    }

    fn pair(&mut self, path: &str, key: &str, value: &str) {
        self.line(path, &format!("{key} = {value}"));
    }

    /// The fields that are lines.
    fn plain(&mut self, sheet: &Sheet, prefix: &str) {
        for (field, cell) in sheet.each().filter(|(field, _)| is_plain(&field.takes)) {
            let (key, path) = (field.name, format!("{prefix}{}", field.name));
            match cell {
                Cell::Flag(_) if key == "on" => {}
                Cell::Flag(flag) => self.pair(&path, key, if *flag { "true" } else { "false" }),
                Cell::Ticked(words) if words.is_empty() => {}
                Cell::Ticked(words) => self.pair(&path, key, &list(words.iter())),
                Cell::Rows(rows) => {
                    if let Takes::Rows(of) = &field.takes {
                        self.listed(of, rows, key, &path);
                    }
                }
                Cell::Text(text) => self.text(&field.takes, text, key, &path),
                Cell::Part(_) => {}
            }
        }
    }

    fn text(&mut self, takes: &Takes, text: &str, key: &str, path: &str) {
        let empty = text.trim().is_empty();
        match takes {
            Takes::Duration(Some(otherwise)) if empty => self.pair(path, key, otherwise),
            Takes::Key | Takes::Line | Takes::Choice(_) | Takes::Pick(_, Empty::Never) => self.pair(path, key, &quoted(text)),
            _ if empty => {}
            Takes::Number => self.pair(path, key, &text.trim().parse::<i64>().map_or_else(|_| quoted(text), |number| number.to_string())),
            Takes::Durations => self.pair(path, key, &list(text.split(',').map(str::trim))),
            Takes::Lines => {
                self.line(path, &format!("{key} = ["));
                for one in text.lines().map(str::trim).filter(|one| !one.is_empty()) {
                    self.line(path, &format!("  {},", quoted(one)));
                }
                self.line(path, "]");
            }
            _ => self.pair(path, key, &quoted(text)),
        }
    }

    /// Rows as a list, each on a line of its own.
    fn listed(&mut self, of: &Rows, rows: &[Sheet], key: &str, path: &str) {
        if rows.is_empty() && !of.even_none {
            return;
        }
        self.line(path, &format!("{key} = ["));
        for (row, number) in rows.iter().zip(0..) {
            let written = match of.form {
                RowForm::Conditions => condition(row),
                RowForm::Sources => source(row),
                _ => binding(row),
            };
            self.line(&format!("{path}.{number}"), &format!("  {written},"));
        }
        self.line(path, "]");
    }

    /// The fields that are tables, each below the table of this name.
    fn tables(&mut self, sheet: &Sheet, table: &str, prefix: &str) {
        for (field, cell) in sheet.each().filter(|(field, _)| !is_plain(&field.takes)) {
            let path = format!("{prefix}{}", field.name);
            match (&field.takes, cell) {
                (Takes::Part(_, written), Cell::Part(part)) => {
                    let wanted = match written {
                        Written::Always => true,
                        Written::IfAny => part.says_something(),
                        Written::IfOn => part.flag("on"),
                    };
                    if wanted {
                        let table = format!("{table}.{}", field.name);
                        self.line(&path, &format!("[{table}]"));
                        self.plain(part, &format!("{path}."));
                        self.tables(part, &table, &format!("{path}."));
                    }
                }
                (Takes::Rows(of), Cell::Rows(rows)) => {
                    for (row, number) in rows.iter().zip(0..) {
                        let path = format!("{path}.{number}");
                        let by_effect = of.form == RowForm::Effects;
                        let name = if !by_effect {
                            field.name
                        } else if row.text("effect") == "deny" {
                            "deny"
                        } else {
                            "allow"
                        };
                        let table = format!("{table}.{name}");
                        self.line(&path, &format!("[[{table}]]"));
                        if by_effect {
                            self.conditions_of(row, &path);
                        } else {
                            self.plain(row, &format!("{path}."));
                            self.tables(row, &table, &format!("{path}."));
                        }
                    }
                }
                _ => {}
            }
        }
    }

    /// What a rule says beside its effect, which is the name of its table.
    fn conditions_of(&mut self, row: &Sheet, path: &str) {
        for (field, cell) in row.each() {
            if let (Takes::Rows(of), Cell::Rows(rows)) = (&field.takes, cell) {
                self.listed(of, rows, field.name, &format!("{path}.{}", field.name));
            }
        }
    }
}

fn list<'t>(texts: impl Iterator<Item = impl AsRef<str> + 't>) -> String {
    format!("[{}]", texts.map(|text| quoted(text.as_ref())).collect::<Vec<_>>().join(", "))
}

/// As a table: the sentence that a file may say instead cannot hold every value.
fn condition(row: &Sheet) -> String {
    let (attribute, operator, values) = (row.text("attribute").trim(), row.text("operator"), row.text("values"));
    let values = match Operator::parse(operator).map(Operator::arity) {
        // A value that stands alone may hold commas.
        Some((_, 1)) if !values.trim().starts_with('"') => Some(values.trim().to_owned()).filter(|value| !value.is_empty()).into_iter().collect(),
        _ => split(values),
    };
    let implied = attribute.is_empty() && matches!(operator, "member_of" | "not_member_of" | "reports_to");
    let attribute = if implied { String::new() } else { format!("attribute = {}, ", quoted(attribute)) };
    format!("{{ {attribute}operator = {}, values = {} }}", quoted(operator), list(values.iter()))
}

fn source(row: &Sheet) -> String {
    let (source, called) = (row.text("source"), row.text("called").trim());
    let named = matches!(source, "group" | "person") || !called.is_empty();
    quoted(&if named { format!("{source}:{called}") } else { source.to_owned() })
}

fn binding(row: &Sheet) -> String {
    let (policy, priority) = (quoted(row.text("policy")), row.text("priority").trim());
    match priority.parse::<i64>() {
        _ if priority.is_empty() => policy,
        Ok(number) => format!("{{ policy = {policy}, priority = {number} }}"),
        Err(_) => format!("{{ policy = {policy}, priority = {} }}", quoted(priority)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::shape::Kind;
    use super::super::sheet::Pairs;
    use super::*;
    use crate::service::catalog_file::read::read;

    fn form(kind: Kind, all: &[(&str, &str)]) -> Form {
        Form::of(kind, &all.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect::<Pairs>())
    }

    #[test]
    fn a_fault_is_of_the_field_that_has_it() {
        let form = form(
            Kind::Policy,
            &[
                ("key", "Standard"),
                ("name", ""),
                ("profile", "p"),
                ("procedure", "q"),
                ("durations.maximum", "soon"),
                ("future_start", "30d"),
                ("for.0.attribute", "department"),
                ("for.0.operator", "in"),
                ("for.0.values", "Data,,IT"),
                ("auto.0.name", "x"),
                ("auto.0.then", "approve"),
                ("auto.0.at_most", "2 hours"),
                ("extension.on", "yes"),
                ("extension.last_percent", "many"),
                ("emergency.maximum", "1h"),
                ("field.0.key", "no good"),
                ("field.0.label", "L"),
                ("field.0.type", "date"),
                ("field.0.maximum", "3"),
                ("justification.pattern", "("),
                ("ticket.minimum", "-1"),
            ],
        );
        let entry = entry(&form);
        let faults = read(&entry.text).faults;
        let mut of: Vec<(&str, &str)> = faults
            .iter()
            .filter(|fault| !fault.sentence.contains("describes no application"))
            .map(|fault| (entry.paths[fault.line - 1].as_str(), fault.sentence.as_str()))
            .collect();
        of.dedup_by_key(|(path, _)| *path);
        let mut paths: Vec<&str> = of.iter().map(|(path, _)| *path).collect();
        paths.sort_unstable();
        assert_eq!(
            paths,
            [
                "auto.0.at_most",
                "durations.maximum",
                "emergency",
                "extension.last_percent",
                "field.0.key",
                "field.0.maximum",
                "for.0",
                "justification.pattern",
                "key",
                "name",
                "ticket.minimum"
            ],
            "{of:#?}\n{}",
            entry.text
        );
    }

    #[test]
    fn whatever_is_typed_stays_inside_its_quotes() {
        for hostile in ["\"]\n[[role]]\nkey = \"x\"", "'''", "\\", "\u{0}\u{7f}\u{85}", "\u{202e}", "x\r\ny", "${x} \\u0041"] {
            let names = ["key", "name", "description", "owner", "policies.0.policy", "policies.0.priority"];
            let entry = entry(&form(Kind::Application, &names.map(|name| (name, hostile))));
            assert_eq!(entry.text.lines().count(), entry.paths.len(), "{hostile:?}\n{}", entry.text);
            let file = read(&entry.text);
            assert_eq!((file.applications.len(), file.roles.len()), (1, 0), "{hostile:?}: {:?}", file.faults);
        }
    }
}
