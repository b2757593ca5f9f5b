//! A form as it was typed, and its rows.

use std::collections::BTreeMap;

use super::shape::{Field, Kind, Rows, Takes};

/// Fields as they were typed, in the order of their shape.
#[derive(Clone, Debug)]
pub struct Sheet {
    /// Which they are.
    pub fields: &'static [Field],
    /// What each says.
    pub cells: Vec<Cell>,
}

/// What one field says.
#[derive(Clone, Debug)]
pub enum Cell {
    /// As typed.
    Text(String),
    /// Ticked or not.
    Flag(bool),
    /// The words that are ticked.
    Ticked(Vec<String>),
    /// Fields below it.
    Part(Sheet),
    /// The rows below it.
    Rows(Vec<Sheet>),
}

/// What a form sent: names and values.
pub type Pairs = Vec<(String, String)>;

/// The most rows that are added to one list.
const MOST: usize = 200;

/// A whole form, section by section.
#[derive(Clone, Debug)]
pub struct Form {
    /// What the entry is.
    pub kind: Kind,
    /// Its sections.
    pub sheets: Vec<Sheet>,
}

type Sent<'p> = BTreeMap<&'p str, Vec<&'p str>>;

impl Form {
    /// The form that sent `pairs`. What it does not know is not looked at; rows are those of which something was sent.
    pub fn of(kind: Kind, pairs: &Pairs) -> Self {
        let mut sent = Sent::new();
        for (name, value) in pairs {
            sent.entry(name.as_str()).or_default().push(value);
        }
        Self { kind, sheets: kind.sections().iter().map(|section| Sheet::of(section.fields, "", &sent)).collect() }
    }

    /// What the field of this name at the top says.
    pub fn text(&self, name: &str) -> &str {
        self.sheets.iter().map(|sheet| sheet.text(name)).find(|text| !text.is_empty()).unwrap_or_default()
    }

    /// Sets a text at the top.
    pub fn set(&mut self, name: &str, value: &str) {
        for sheet in &mut self.sheets {
            if let Some(Cell::Text(text)) = sheet.cell_mut(name) {
                value.clone_into(text);
            }
        }
    }

    /// Does what a button of the form asks: `add.PATH`, `remove.PATH.N` or `up.PATH.N`. Returns whether it knew it, and so whether to
    /// show the form again.
    pub fn act(&mut self, button: &str) -> bool {
        let Some((verb, path)) = button.split_once('.') else { return false };
        let (list, row) = match verb {
            "add" => (path, None),
            "remove" | "up" => match path.rsplit_once('.').and_then(|(list, row)| Some((list, row.parse::<usize>().ok()?))) {
                Some((list, row)) => (list, Some(row)),
                None => return false,
            },
            _ => return false,
        };
        let steps: Vec<&str> = list.split('.').collect();
        let Some((rows, sheets)) = self.sheets.iter_mut().find_map(|sheet| sheet.rows_mut(&steps)) else { return false };
        match row {
            None if sheets.len() < MOST => sheets.push(Sheet::fresh(rows.fields)),
            Some(row) if row < sheets.len() && verb == "remove" => drop(sheets.remove(row)),
            Some(row) if row < sheets.len() && row > 0 => sheets.swap(row - 1, row),
            _ => {}
        }
        true
    }
}

impl Sheet {
    fn of(fields: &'static [Field], prefix: &str, sent: &Sent<'_>) -> Self {
        let cells = fields.iter().map(|field| Cell::of(field, &format!("{prefix}{}", field.name), sent)).collect();
        Self { fields, cells }
    }

    /// With nothing typed.
    fn fresh(fields: &'static [Field]) -> Self {
        let mut sheet = Self::of(fields, "", &Sent::new());
        // A slot is hardly ever for nobody, and one approval is what most want.
        for (field, cell) in fields.iter().zip(&mut sheet.cells) {
            match (&field.takes, cell) {
                (Takes::Rows(rows), Cell::Rows(sheets)) if matches!(field.name, "slots" | "from") => sheets.push(Self::fresh(rows.fields)),
                (_, Cell::Text(text)) if field.name == "approvals" => text.push('1'),
                _ => {}
            }
        }
        sheet
    }

    /// Every field with what it says.
    pub fn each(&self) -> impl Iterator<Item = (&'static Field, &Cell)> {
        self.fields.iter().zip(&self.cells)
    }

    fn cell_mut(&mut self, name: &str) -> Option<&mut Cell> {
        let at = self.fields.iter().position(|field| field.name == name)?;
        self.cells.get_mut(at)
    }

    /// What the field of this name says; empty when it is no text.
    pub fn text(&self, name: &str) -> &str {
        self.each().find(|(field, _)| field.name == name).map_or("", |(_, cell)| if let Cell::Text(text) = cell { text } else { "" })
    }

    /// Whether the field of this name is ticked.
    pub fn flag(&self, name: &str) -> bool {
        self.each().any(|(field, cell)| field.name == name && matches!(cell, Cell::Flag(true)))
    }

    fn rows_mut(&mut self, path: &[&str]) -> Option<(&'static Rows, &mut Vec<Self>)> {
        let (name, rest) = path.split_first()?;
        let at = self.fields.iter().position(|field| field.name == *name)?;
        match (&self.fields.get(at)?.takes, self.cells.get_mut(at)?) {
            (Takes::Rows(rows), Cell::Rows(sheets)) => match rest.split_first() {
                None => Some((rows, sheets)),
                Some((row, rest)) => sheets.get_mut(row.parse::<usize>().ok()?)?.rows_mut(rest),
            },
            (_, Cell::Part(sheet)) => sheet.rows_mut(rest),
            _ => None,
        }
    }

    /// Whether something was typed or ticked.
    pub fn says_something(&self) -> bool {
        self.cells.iter().any(|cell| match cell {
            Cell::Text(text) => !text.trim().is_empty(),
            Cell::Flag(flag) => *flag,
            Cell::Ticked(words) => !words.is_empty(),
            Cell::Part(sheet) => sheet.says_something(),
            Cell::Rows(sheets) => !sheets.is_empty(),
        })
    }
}

impl Cell {
    fn of(field: &Field, name: &str, sent: &Sent<'_>) -> Self {
        let values = || sent.get(name).map(Vec::as_slice).unwrap_or_default();
        match &field.takes {
            Takes::Flag => Self::Flag(values().first().is_some_and(|value| matches!(*value, "yes" | "true"))),
            Takes::Risks => Self::Ticked(values().iter().map(|value| (*value).to_owned()).collect()),
            Takes::Part(fields, _) => Self::Part(Sheet::of(fields, &format!("{name}."), sent)),
            Takes::Rows(rows) => {
                let prefixes = (0..).map(|row: usize| format!("{name}.{row}.")).take_while(|prefix| {
                    let mut from = sent.range(prefix.as_str()..);
                    from.next().is_some_and(|(name, _)| name.starts_with(prefix.as_str()))
                });
                Self::Rows(prefixes.map(|prefix| Sheet::of(rows.fields, &prefix, sent)).collect())
            }
            _ => Self::Text(values().first().map_or_else(String::new, |value| value.replace("\r\n", "\n"))),
        }
    }
}

/// Values as one line: those with a comma, a quote or white space at an end stand in quotes, a quote in them doubled (RFC 4180 §2).
pub fn joined(values: &[String]) -> String {
    let plain = |value: &str| !value.contains([',', '"']) && value.trim() == value && !value.is_empty();
    let one = |value: &String| if plain(value) { value.clone() } else { format!("\"{}\"", value.replace('"', "\"\"")) };
    values.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// The values of such a line; none of an empty one.
pub fn split(line: &str) -> Vec<String> {
    let mut values = Vec::new();
    if line.trim().is_empty() {
        return values;
    }
    let mut rest = line;
    loop {
        rest = rest.trim_start();
        let mut value = String::new();
        if let Some(mut inside) = rest.strip_prefix('"') {
            loop {
                let (before, after) = inside.split_once('"').unwrap_or((inside, ""));
                value.push_str(before);
                match after.strip_prefix('"') {
                    Some(more) => {
                        value.push('"');
                        inside = more;
                    }
                    None => {
                        rest = after;
                        break;
                    }
                }
            }
        }
        let (before, after) = rest.split_once(',').map_or((rest, None), |(before, after)| (before, Some(after)));
        value.push_str(before.trim_end());
        values.push(value);
        match after {
            Some(after) => rest = after,
            None => return values,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pairs(all: &[(&str, &str)]) -> Pairs {
        all.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn rows_are_added_moved_and_taken_away_and_what_was_typed_stays() {
        let mut form =
            Form::of(Kind::Procedure, &pairs(&[("key", "two"), ("step.0.name", "First"), ("step.1.name", "Second"), ("step.1.slots.0.approvals", "2")]));
        let names = |form: &Form| match &form.sheets[1].cells[0] {
            Cell::Rows(rows) => rows.iter().map(|row| row.text("name").to_owned()).collect::<Vec<_>>(),
            other => panic!("{other:?}"),
        };
        assert!(form.act("add.step") && form.act("up.step.1"));
        assert_eq!(names(&form), ["Second", "First", ""]);
        assert!(form.act("add.step.0.slots.0.from") && form.act("remove.step.1"));
        assert_eq!((names(&form), form.text("key")), (vec!["Second".into(), String::new()], "two"));
        for unknown in ["show", "add.", "add.name", "add.step.9.slots", "remove.step", "remove.step.x", "up.step.18446744073709551616", "burn.step.0", ""] {
            assert!(!form.act(unknown), "{unknown}");
        }
        assert!(form.act("remove.step.7") && form.act("up.step.0"), "a button of a page that is a moment old changes nothing");
        assert_eq!(names(&form).len(), 2);
    }

    #[test]
    fn no_list_grows_without_end() {
        let mut form = Form::of(Kind::Profile, &Pairs::new());
        for _ in 0..300 {
            form.act("add.rules");
        }
        assert!(matches!(&form.sheets[1].cells[0], Cell::Rows(rows) if rows.len() == MOST));
    }

    #[test]
    fn a_line_of_values_keeps_commas_in_quotes() {
        assert_eq!(split("a, b ,c"), ["a", "b", "c"]);
        assert_eq!(split("\"a, b\", \"say \"\"x\"\"\""), ["a, b", "say \"x\""]);
        assert_eq!(split("a,,b"), ["a", "", "b"]);
        assert_eq!(split("  "), Vec::<String>::new());
        assert_eq!(split("\"open"), ["open"]);
    }

    proptest! {
        #[test]
        fn values_read_back_from_their_line(values in proptest::collection::vec("[a-z ,\"]{1,6}", 1..5)) {
            prop_assert_eq!(split(&joined(&values)), values);
        }

        #[test]
        fn no_line_and_no_button_breaks_a_form(line in "\\PC*", button in "(add|up|remove)?[.a-z0-9]{0,20}|\\PC*") {
            drop(split(&line));
            Form::of(Kind::Policy, &vec![(line.clone(), line)]).act(&button);
        }
    }
}
