//! Reads a file of policy tests.

use crate::domain::decide::Outcome;
use crate::domain::span::Seconds;
use crate::service::catalog_file::places::{Fault, Fields, Place, Placed, Reader};

/// What is to come of an ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// This is decided.
    Decided(Outcome),
    /// The form does not take it: it is too long or too short, or has no end.
    NotAccepted,
}

impl Expect {
    /// Every one with its word.
    pub const ALL: [(Expect, &'static str); 4] = [
        (Self::Decided(Outcome::Refused), "refused"),
        (Self::Decided(Outcome::AutoApproved), "auto_approved"),
        (Self::Decided(Outcome::NeedsApproval), "needs_approval"),
        (Self::NotAccepted, "not_accepted"),
    ];

    /// The word in files and answers.
    pub fn word(self) -> &'static str {
        Self::ALL.iter().find(|(expect, _)| *expect == self).map_or("", |(_, word)| word)
    }
}

/// One test: who asks for what, and what is to come of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Test {
    /// Its name, for the report.
    pub name: Placed<String>,
    /// Login of who asks.
    pub person: Placed<String>,
    /// `application/role`.
    pub role: Placed<String>,
    /// How long; the outer none: as the policy recommends. The inner none: without end.
    pub duration: Option<Option<Seconds>>,
    /// Whether it cannot wait.
    pub emergency: bool,
    /// Whether it extends a lease.
    pub extension: bool,
    /// Login of whom it is for, if it is somebody else.
    pub on_behalf_of: Option<Placed<String>>,
    /// Roles that they hold already, as `application/role`.
    pub holds: Vec<Placed<String>>,
    /// What is to come of it.
    pub expect: Expect,
    /// Names of the steps it is to go through, in order.
    pub steps: Option<Vec<String>>,
    /// Logins of people who are to be asked, at whatever step; others may be asked too.
    pub asks: Vec<Placed<String>>,
    /// Key of the policy that is to govern.
    pub policy: Option<String>,
    /// What the deciding rule is to contain.
    pub rule: Option<String>,
}

/// Most tests that a file may hold.
const MOST: usize = 2_000;

/// Reads `text`: the tests, and everything that is wrong, in the order of the text.
pub fn read(text: &str) -> (Vec<Test>, Vec<Fault>) {
    let reader = Reader::new(text);
    let mut tests = Vec::new();
    if let Some(root) = reader.parse() {
        let top = Fields::new(&reader, root.get_ref(), Place { line: 1, column: 1 }, "The file");
        tests = top.tables("test", "A test").into_iter().filter_map(test).collect();
        top.end();
        let first = Place { line: 1, column: 1 };
        if tests.is_empty() && reader.is_content() {
            reader.fault(first, "The file holds no [[test]].");
        } else if tests.len() > MOST {
            reader.fault(first, format!("A file may hold {MOST} tests; this has {}.", tests.len()));
        }
    }
    (tests, reader.into_faults())
}

fn test(fields: Fields<'_, '_>) -> Option<Test> {
    let reader = fields.reader;
    let expect = fields.needed("expect");
    let known = Expect::ALL.iter().find(|(_, word)| *word == expect.value).map(|(expect, _)| *expect);
    if known.is_none() && !expect.value.is_empty() {
        let words = Expect::ALL.map(|(_, word)| word).join(", ");
        reader.fault(expect.at, format!("“{}” is nothing that can come of an ask; write one of {words}.", expect.value));
    }
    let duration = fields.text("for").and_then(|text| match text.value.as_str() {
        "without end" => Some(None),
        written => match Seconds::parse(written) {
            Some(length) => Some(Some(length)),
            None => {
                reader.fault(text.at, format!("“{written}” is not a duration; write it like \"90m\", \"4h\" or \"1d12h\", or \"without end\"."));
                None
            }
        },
    });
    let test = Test {
        name: fields.needed("name"),
        person: fields.needed("person"),
        role: fields.needed("role"),
        duration,
        emergency: fields.flag("emergency", false),
        extension: fields.flag("extension", false),
        on_behalf_of: fields.text("on_behalf_of"),
        holds: fields.texts("holds"),
        expect: known.unwrap_or(Expect::NotAccepted),
        steps: fields.has("steps").then(|| fields.texts("steps").into_iter().map(|step| step.value).collect()),
        asks: fields.texts("asks"),
        policy: fields.text("policy").map(|key| key.value),
        rule: fields.text("rule").map(|rule| rule.value),
    };
    if known != Some(Expect::Decided(Outcome::NeedsApproval)) && (test.steps.is_some() || !test.asks.is_empty()) && known.is_some() {
        reader.fault(test.name.at, "“steps” and “asks” go with expect = \"needs_approval\" only.");
    }
    let broken = fields.is_broken();
    fields.end();
    (!broken && known.is_some()).then_some(test)
}
