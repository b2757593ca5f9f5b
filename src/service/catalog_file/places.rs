//! Reads TOML so that every fault has its place.
//!
//! Nothing stops at the first fault: what cannot be read is left out and reported, and reading goes on.

use std::cell::{Cell, RefCell};
use std::fmt;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::domain::span::Seconds;

/// A place in a file, both counted from 1; columns in characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

/// What is wrong at a place, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    /// The line, counted from 1.
    pub line: usize,
    /// The column in characters, counted from 1.
    pub column: usize,
    /// One sentence for people.
    pub sentence: String,
}

impl Fault {
    /// A fault at `place`.
    pub fn at(place: Place, sentence: impl Into<String>) -> Self {
        Self { line: place.line, column: place.column, sentence: sentence.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: {}", self.line, self.column, self.sentence)
    }
}

/// A value and where it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed<T> {
    /// The value.
    pub value: T,
    /// Where it begins.
    pub at: Place,
}

/// The largest file that is read, in bytes.
pub const LARGEST: usize = 1 << 20;
/// The longest text of one line, in characters.
const LINE: usize = 200;
/// The longest description, in characters.
const PARAGRAPH: usize = 2_000;

/// The text being read, with the faults found so far.
pub struct Reader<'i> {
    text: &'i str,
    lines: Vec<usize>,
    faults: RefCell<Vec<Fault>>,
}

type Value<'i> = Spanned<DeValue<'i>>;

impl<'i> Reader<'i> {
    /// A reader of `text` that has found nothing yet.
    pub fn new(text: &'i str) -> Self {
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { text, lines, faults: RefCell::default() }
    }

    /// The whole text as a table; `None` after a fault of the TOML itself.
    pub fn parse(&self) -> Option<Spanned<DeTable<'i>>> {
        if self.text.len() > LARGEST {
            self.fault(Place { line: 1, column: 1 }, format!("The file is larger than {} kB.", LARGEST / 1024));
            return None;
        }
        let (table, errors) = DeTable::parse_recoverable(self.text);
        for error in &errors {
            let place = self.place(error.span().map_or(0, |span| span.start));
            self.fault(place, format!("This is not TOML: {}.", error.message().replace('\n', ", ").trim_end_matches('.')));
        }
        errors.is_empty().then_some(table)
    }

    /// Where the byte at `offset` is.
    pub fn place(&self, offset: usize) -> Place {
        let line = self.lines.partition_point(|start| *start <= offset).max(1);
        let start = self.lines[line - 1];
        let column = self.text.get(start..offset).map_or(1, |before| before.chars().count() + 1);
        Place { line, column }
    }

    /// Where `value` begins.
    pub fn place_of<T>(&self, value: &Spanned<T>) -> Place {
        self.place(value.span().start)
    }

    /// Notes a fault.
    pub fn fault(&self, at: Place, sentence: impl Into<String>) {
        self.faults.borrow_mut().push(Fault::at(at, sentence));
    }

    /// Whether there is no fault so far.
    pub fn is_content(&self) -> bool {
        self.faults.borrow().is_empty()
    }

    /// The faults found, in the order of the text.
    pub fn into_faults(self) -> Vec<Fault> {
        let mut faults = self.faults.into_inner();
        faults.sort();
        faults.dedup();
        faults
    }

    /// The text of `value`, trimmed; a fault when it is something else, too long or holds control or direction marks.
    pub fn text(&self, value: &Value<'i>, key: &str, most: usize) -> Option<Placed<String>> {
        let at = self.place_of(value);
        let Some(text) = value.get_ref().as_str() else {
            self.fault(at, format!("“{key}” must be a text in quotes; this is {}.", kind(value.get_ref())));
            return None;
        };
        let hostile = |c: char| (c.is_control() && c != '\n') || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
        if text.chars().any(|c| hostile(c) || (c == '\n' && most == LINE)) {
            self.fault(at, format!("“{key}” holds a control character, a line break or a mark that turns the reading direction; take it out."));
            return None;
        }
        let length = text.chars().count();
        if length > most {
            self.fault(at, format!("“{key}” may have {most} characters; this has {length}."));
            return None;
        }
        Some(Placed { value: text.trim().to_owned(), at })
    }

    /// The duration that `value` writes.
    pub fn duration(&self, value: &Value<'i>, key: &str) -> Option<Placed<Seconds>> {
        let text = self.text(value, key, LINE)?;
        let parsed = Seconds::parse(&text.value);
        if parsed.is_none() {
            self.fault(text.at, format!("“{}” is not a duration; write it like \"90m\", \"4h\", \"1d12h\" or \"2w\" (at most 100 years).", text.value));
        }
        parsed.map(|value| Placed { value, at: text.at })
    }

    /// `value` as the table of `what`; a fault when it is something else.
    pub fn fields<'r>(&'r self, value: &'r Value<'i>, what: &'static str) -> Option<Fields<'r, 'i>> {
        let at = self.place_of(value);
        match value.get_ref().as_table() {
            Some(table) => Some(Fields::new(self, table, at, what)),
            None => {
                self.fault(at, format!("{what} must be a table of keys and values; this is {}.", kind(value.get_ref())));
                None
            }
        }
    }
}

/// "a text", "a number", for sentences.
fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// The keys of one table: each is asked for by name, and [`Fields::end`] reports those that nobody asked for.
pub struct Fields<'r, 'i> {
    /// The reader, for faults.
    pub reader: &'r Reader<'i>,
    /// Where the table begins.
    pub at: Place,
    table: &'r DeTable<'i>,
    what: &'static str,
    asked: RefCell<Vec<&'static str>>,
    broken: Cell<bool>,
}

impl<'r, 'i> Fields<'r, 'i> {
    /// The fields of `table`, which is `what` ("An application").
    pub fn new(reader: &'r Reader<'i>, table: &'r DeTable<'i>, at: Place, what: &'static str) -> Self {
        Self { reader, at, table, what, asked: RefCell::default(), broken: Cell::new(false) }
    }

    /// The value of `key`, whatever it is.
    pub fn value(&self, key: &'static str) -> Option<&'r Value<'i>> {
        self.asked.borrow_mut().push(key);
        self.table.get(key)
    }

    /// Whether `key` is there.
    pub fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    fn read<T>(&self, key: &'static str, read: impl FnOnce(&'r Value<'i>) -> Option<T>) -> Option<T> {
        let value = self.value(key)?;
        let read = read(value);
        if read.is_none() {
            self.broken.set(true);
        }
        read
    }

    /// A text of one line that may be left out.
    pub fn text(&self, key: &'static str) -> Option<Placed<String>> {
        self.read(key, |value| self.reader.text(value, key, LINE))
    }

    /// A text of one line of at most `most` characters; none when left out or empty.
    pub fn short_text(&self, key: &'static str, most: usize) -> Option<Placed<String>> {
        self.read(key, |value| self.reader.text(value, key, most.min(PARAGRAPH))).filter(|text| !text.value.is_empty()).filter(|text| {
            !text.value.contains('\n') || {
                self.reader.fault(text.at, format!("“{key}” must be one line."));
                false
            }
        })
    }

    /// The texts of a list, each not empty; a text that stands alone is a list of one. Empty when left out.
    pub fn texts(&self, key: &'static str) -> Vec<Placed<String>> {
        let Some(value) = self.value(key) else { return Vec::new() };
        let items = value.get_ref().as_array().map_or(std::slice::from_ref(value), |items| &**items);
        if items.is_empty() {
            self.reader.fault(self.reader.place_of(value), format!("“{key}” is an empty list; name one, or leave it out."));
            self.broken.set(true);
        }
        let mut texts = Vec::new();
        for text in items.iter().map(|item| self.reader.text(item, key, LINE)) {
            match text {
                Some(text) if text.value.is_empty() => {
                    self.reader.fault(text.at, format!("“{key}” must not be empty."));
                    self.broken.set(true);
                }
                Some(text) => texts.push(text),
                None => self.broken.set(true),
            }
        }
        texts
    }

    /// Whether `key` is there and is true or false.
    pub fn is_flag(&self, key: &'static str) -> Option<bool> {
        self.table.get(key).and_then(|value| value.get_ref().as_bool())
    }

    /// A text of several lines; empty when left out.
    pub fn paragraph(&self, key: &'static str) -> String {
        self.read(key, |value| self.reader.text(value, key, PARAGRAPH)).map_or_else(String::new, |text| text.value)
    }

    /// A text that must be there and not be empty; after a fault it is empty, and nothing more is said of it.
    pub fn needed(&self, key: &'static str) -> Placed<String> {
        let nothing = Placed { value: String::new(), at: self.at };
        if !self.has(key) {
            self.asked.borrow_mut().push(key);
            self.reader.fault(self.at, format!("{} needs “{key}”.", self.what));
            return nothing;
        }
        match self.text(key) {
            Some(text) if text.value.is_empty() => {
                self.reader.fault(text.at, format!("“{key}” must not be empty."));
                nothing
            }
            Some(text) => text,
            None => nothing,
        }
    }

    /// A key: lower-case letters, digits and dashes, at most 63, beginning with a letter or digit. Empty after a fault.
    pub fn key(&self, key: &'static str) -> Placed<String> {
        let mut text = self.needed(key);
        let good = text.value.len() <= 63 && !text.value.starts_with('-') && text.value.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'));
        if !good {
            self.reader.fault(
                text.at,
                format!("“{}” cannot be a key; use up to 63 lower-case letters, digits and dashes, beginning with a letter or digit.", text.value),
            );
            text.value.clear();
        }
        text
    }

    /// True or false; `default` when left out.
    pub fn flag(&self, key: &'static str, default: bool) -> bool {
        self.read(key, |value| {
            let flag = value.get_ref().as_bool();
            if flag.is_none() {
                self.reader.fault(self.reader.place_of(value), format!("“{key}” must be true or false; this is {}.", kind(value.get_ref())));
            }
            flag
        })
        .unwrap_or(default)
    }

    /// A whole number from `least` to `most`.
    pub fn number(&self, key: &'static str, least: i64, most: i64) -> Option<Placed<i64>> {
        self.read(key, |value| {
            let at = self.reader.place_of(value);
            let number = value.get_ref().as_integer().and_then(|n| i64::from_str_radix(n.as_str(), n.radix()).ok());
            let number = number.filter(|number| (least..=most).contains(number));
            if number.is_none() {
                self.reader.fault(at, format!("“{key}” must be a whole number from {least} to {most}."));
            }
            number.map(|value| Placed { value, at })
        })
    }

    /// A duration that may be left out.
    pub fn duration(&self, key: &'static str) -> Option<Placed<Seconds>> {
        self.read(key, |value| self.reader.duration(value, key))
    }

    /// The items of a list; `None` when left out (or after a fault).
    pub fn list(&self, key: &'static str) -> Option<&'r [Value<'i>]> {
        self.read(key, |value| {
            let items = value.get_ref().as_array();
            if items.is_none() {
                self.reader.fault(self.reader.place_of(value), format!("“{key}” must be a list in square brackets; this is {}.", kind(value.get_ref())));
            }
            items.map(|items| &**items)
        })
    }

    /// The tables of a list, each being `what`.
    pub fn tables(&self, key: &'static str, what: &'static str) -> Vec<Fields<'r, 'i>> {
        self.list(key).unwrap_or_default().iter().filter_map(|item| self.reader.fields(item, what)).collect()
    }

    /// A table that may be left out.
    pub fn table(&self, key: &'static str, what: &'static str) -> Option<Fields<'r, 'i>> {
        self.read(key, |value| self.reader.fields(value, what))
    }

    /// Whether something that was asked for was there but could not be read.
    pub fn is_broken(&self) -> bool {
        self.broken.get()
    }

    /// Reports every key that nobody asked for.
    pub fn end(self) {
        let asked = self.asked.into_inner();
        for key in self.table.keys().filter(|key| !asked.contains(&key.get_ref().as_ref())) {
            let name = key.get_ref();
            let near = asked.iter().map(|known| (distance(name, known), *known)).min().filter(|(apart, _)| *apart <= 2);
            let hint = match near {
                Some((_, known)) => format!("did you mean “{known}”?"),
                None => format!("known are {}.", asked.join(", ")),
            };
            let name: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
            self.reader.fault(self.reader.place_of(key), format!("{} has no “{name}”; {hint}", self.what));
        }
    }
}

/// How many letters to add, take or change to turn `a` into `b` (Levenshtein); far apart when either is long.
pub fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    if a.len() > 64 || b.len() > 64 {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.iter().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let change = corner + usize::from(from != to);
            corner = row[j + 1];
            row[j + 1] = change.min(corner + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}
