//! What the administrator's overview shows.

use chrono::{DateTime, Utc};

/// How the installation is doing, what needs a person first.
#[derive(Clone, Debug)]
pub struct Overview {
    /// What needs somebody, worst first; empty when nothing does.
    pub attention: Vec<Attention>,
    /// The parts and how they are.
    pub parts: Vec<Part>,
    /// Numbers of the last 24 hours and now.
    pub numbers: Vec<Number>,
}

/// Something that needs somebody.
#[derive(Clone, Debug)]
pub struct Attention {
    /// `bad` or `warn`.
    pub tone: &'static str,
    /// What is wrong.
    pub sentence: String,
    /// What is done about it without anybody, or what to do.
    pub next: String,
    /// Since when.
    pub since: Option<DateTime<Utc>>,
    /// Where to look.
    pub href: String,
}

/// A part of the installation.
#[derive(Clone, Debug)]
pub struct Part {
    /// Its name.
    pub name: String,
    /// `ok`, `slow`, `failing` or `unknown`.
    pub state: &'static str,
    /// In a sentence.
    pub sentence: String,
    /// When that was last seen to be so.
    pub at: Option<DateTime<Utc>>,
    /// Where to look.
    pub href: Option<String>,
}

/// A number worth watching.
#[derive(Clone, Debug)]
pub struct Number {
    /// What is counted.
    pub label: String,
    /// How many.
    pub value: i64,
    /// What to read beside it.
    pub note: Option<String>,
    /// Where they are listed.
    pub href: Option<String>,
}
