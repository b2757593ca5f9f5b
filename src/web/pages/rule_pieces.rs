//! A form of the rules, piece by piece.
//!
//! A template cannot call itself, so the tree of a form is laid out here as what opens, stands and closes.

use std::collections::BTreeMap;

use crate::domain::catalog::Risk;
use crate::service::rule_form::change::Options;
use crate::service::rule_form::shape::{Empty, Field, Kind, RowForm, Takes};
use crate::service::rule_form::sheet::{Cell, Form, Sheet};
use crate::web::form::shown;

/// What stands on the form, in its order.
#[derive(Clone, Debug)]
pub enum Piece {
    /// A heading, with what follows until [`Piece::EndSection`].
    Section {
        /// The anchor.
        id: String,
        /// The heading.
        title: &'static str,
        /// What to know.
        note: &'static str,
    },
    /// The end of a section.
    EndSection,
    /// Fields with a name of their own, until [`Piece::EndGroup`].
    Group(Group),
    /// The end of a group.
    EndGroup,
    /// One of several rows, until [`Piece::EndRow`].
    Row(Row),
    /// The end of a row.
    EndRow,
    /// The button that adds a row.
    Add {
        /// The list: `step.0.slots`.
        path: String,
        /// What one of them is.
        one: &'static str,
        /// Where to look then.
        anchor: String,
    },
    /// A field.
    Control(Box<Control>),
}

/// Fields with a name of their own.
#[derive(Clone, Debug)]
pub struct Group {
    /// The anchor.
    pub id: String,
    /// The name; empty for the list that is the whole section.
    pub label: &'static str,
    /// What to know.
    pub hint: &'static str,
    /// What is wrong with it.
    pub faults: Vec<String>,
    /// Whether its fields stand beside each other, not below.
    pub side_by_side: bool,
}

/// One of several rows.
#[derive(Clone, Debug)]
pub struct Row {
    /// The anchor.
    pub id: String,
    /// `step.0`.
    pub path: String,
    /// "Step 1".
    pub title: String,
    /// What is wrong with it.
    pub faults: Vec<String>,
    /// Whether it is one line.
    pub line: bool,
    /// Whether it can be moved up.
    pub up: bool,
    /// The anchor of its list.
    pub anchor: String,
}

/// How a field is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// One line.
    Line,
    /// A line that only shows what is fixed.
    Fixed,
    /// Several lines.
    Area,
    /// To be ticked.
    Tick,
    /// One of several words.
    Select,
    /// Any of several words.
    Ticks,
}

/// A field.
#[derive(Clone, Debug)]
pub struct Control {
    /// The id on the page.
    pub id: String,
    /// The name that is sent.
    pub name: String,
    /// What people read.
    pub label: &'static str,
    /// What to write.
    pub hint: &'static str,
    /// What was typed.
    pub value: String,
    /// How it is shown.
    pub look: Look,
    /// The words to choose from, what people read, and whether it is chosen.
    pub options: Vec<(String, String, bool)>,
    /// What is wrong with it.
    pub faults: Vec<String>,
    /// The key of the field in the file.
    pub key: &'static str,
}

impl Control {
    /// What a screen reader reads with it, as ids of this page.
    pub fn described(&self) -> String {
        let parts = [(!self.hint.is_empty()).then(|| format!("{}-hint", self.id)), (!self.faults.is_empty()).then(|| format!("{}-fault", self.id))];
        parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
    }

    /// Whether this is how it is shown.
    pub fn is(&self, look: &str) -> bool {
        look == match self.look {
            Look::Line => "line",
            Look::Fixed => "fixed",
            Look::Area => "area",
            Look::Tick => "tick",
            Look::Select => "select",
            Look::Ticks => "ticks",
        }
    }

    /// Whether it is short enough to stand beside others.
    pub fn wide(&self) -> bool {
        matches!(self.look, Look::Area) || matches!(self.key, "name" | "says" | "help" | "label")
    }
}

struct Desk<'a> {
    out: Vec<Piece>,
    faults: &'a BTreeMap<String, Vec<String>>,
    options: &'a Options,
    is_new: bool,
}

/// The pieces of `form`. Where it is not new, its key stands as it is.
pub fn pieces(form: &Form, is_new: bool, faults: &BTreeMap<String, Vec<String>>, options: &Options) -> Vec<Piece> {
    let mut desk = Desk { out: Vec::new(), faults, options, is_new };
    for ((section, sheet), number) in form.kind.sections().iter().zip(&form.sheets).zip(1..) {
        desk.out.push(Piece::Section { id: format!("s-{number}"), title: section.title, note: section.note });
        desk.sheet(sheet, "", section.fields.len() == 1);
        desk.out.push(Piece::EndSection);
    }
    desk.out
}

/// `f-step-0-name`: a path as an id.
fn id_of(path: &str) -> String {
    format!("f-{}", path.replace('.', "-"))
}

impl Desk<'_> {
    fn faults_of(&self, path: &str) -> Vec<String> {
        self.faults.get(path).cloned().unwrap_or_default()
    }

    /// `alone`: the only field of a section, whose heading names it.
    fn sheet(&mut self, sheet: &Sheet, prefix: &str, alone: bool) {
        for (field, cell) in sheet.each() {
            let path = format!("{prefix}{}", field.name);
            let group = |side_by_side, desk: &Self| {
                let label = if alone { "" } else { field.label };
                Piece::Group(Group { id: id_of(&path), label, hint: field.hint, faults: desk.faults_of(&path), side_by_side })
            };
            match (&field.takes, cell) {
                (Takes::Part(..), Cell::Part(part)) => {
                    let plain = part.cells.iter().all(|cell| !matches!(cell, Cell::Part(_) | Cell::Rows(_)));
                    let group = group(plain, self);
                    self.out.push(group);
                    self.sheet(part, &format!("{path}."), false);
                    self.out.push(Piece::EndGroup);
                }
                (Takes::Rows(rows), Cell::Rows(sheets)) => {
                    let group = group(false, self);
                    self.out.push(group);
                    let line = !matches!(rows.form, RowForm::Tables | RowForm::Effects);
                    for (sheet, number) in sheets.iter().zip(0_usize..) {
                        let at = format!("{path}.{number}");
                        self.out.push(Piece::Row(Row {
                            id: id_of(&at),
                            title: format!("{} {}", capital(rows.one), number + 1),
                            faults: self.faults_of(&at),
                            line,
                            up: rows.ordered && number > 0,
                            anchor: id_of(&path),
                            path: at.clone(),
                        }));
                        self.sheet(sheet, &format!("{at}."), false);
                        self.out.push(Piece::EndRow);
                    }
                    self.out.push(Piece::Add { one: rows.one, anchor: id_of(&format!("{path}.{}", sheets.len())), path });
                    self.out.push(Piece::EndGroup);
                }
                _ => {
                    let control = self.control(field, cell, path);
                    self.out.push(Piece::Control(Box::new(control)));
                }
            }
        }
    }

    fn control(&self, field: &Field, cell: &Cell, path: String) -> Control {
        let text = if let Cell::Text(text) = cell { shown(text) } else { String::new() };
        let words = |all: &[(&str, &str)]| {
            let mut options: Vec<_> = all.iter().map(|(word, said)| ((*word).to_owned(), (*said).to_owned(), *word == text)).collect();
            // What came from elsewhere is shown as it is, and its fault beside it.
            if !text.is_empty() && options.iter().all(|(.., chosen)| !chosen) {
                options.push((text.clone(), text.clone(), true));
            }
            options
        };
        let fixed = !self.is_new && (matches!(field.takes, Takes::Key) || path == "application");
        let (look, options) = match (&field.takes, cell) {
            _ if fixed => (Look::Fixed, Vec::new()),
            (Takes::Flag, Cell::Flag(flag)) => (Look::Tick, vec![("yes".into(), String::new(), *flag)]),
            (Takes::Risks, Cell::Ticked(ticked)) => {
                let all = [Risk::Low, Risk::Elevated, Risk::Critical].map(Risk::word);
                let other = ticked.iter().filter(|word| !all.contains(&word.as_str())).map(|word| (shown(word), shown(word), true));
                (Look::Ticks, all.iter().map(|word| ((*word).to_owned(), capital(word), ticked.iter().any(|one| one == word))).chain(other).collect())
            }
            (Takes::Choice(all), _) => (Look::Select, words(all)),
            (Takes::Pick(kind, empty), _) => {
                let none = if let Empty::Said(said) = empty { *said } else { "Choose one" };
                let known = self.options.get(kind).map(Vec::as_slice).unwrap_or_default();
                let named: Vec<(&str, String)> = known.iter().map(|(key, name)| (key.as_str(), format!("{name} ({key})"))).collect();
                let all: Vec<(&str, &str)> = std::iter::once(("", none)).chain(named.iter().map(|(key, said)| (*key, said.as_str()))).collect();
                (Look::Select, words(&all))
            }
            (Takes::Paragraph | Takes::Lines, _) => (Look::Area, Vec::new()),
            _ => (Look::Line, Vec::new()),
        };
        Control {
            id: id_of(&path),
            faults: self.faults_of(&path),
            name: path,
            label: field.label,
            hint: if fixed { "" } else { field.hint },
            value: text,
            look,
            options,
            key: field.name,
        }
    }
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// "access profile", in the midst of a sentence.
pub fn one(kind: Kind) -> String {
    kind.one().to_lowercase()
}
