//! The rules of the house, each broken once here.
//!
//! The words are in the architecture document; here they are read off the files. A fault names file, line and rule.

use std::collections::BTreeSet;

use crate::source::{self, Source};

/// What each part may know. `std` and the crates of Cargo.toml are a matter of their own.
const MAY_KNOW: &[(&str, &[&str])] = &[
    ("clock", &[]),
    ("domain", &[]),
    ("store", &["domain", "clock"]),
    ("directory", &["domain", "clock"]),
    ("provision", &["domain", "clock"]),
    ("notify", &["domain", "clock"]),
    ("evidence", &["domain", "clock"]),
    ("insight", &["domain", "clock"]),
    ("demo", &["domain", "clock"]),
    ("service", &["domain", "clock", "store", "directory", "provision", "notify", "evidence", "insight"]),
    // Composes the settings that each part below owns.
    ("config", &["domain", "clock", "store", "directory", "provision", "notify", "evidence", "insight", "demo", "service"]),
    ("web", &["domain", "clock", "evidence", "insight", "service", "config"]),
    ("worker", &["domain", "clock", "service"]),
];
/// Crates of the first floor.
const PLAIN: [&str; 5] = ["chrono", "uuid", "serde", "thiserror", "regex"];
/// What the rules may not reach in the standard library.
const WORLD: [&str; 9] = ["std::fs", "std::io", "std::net", "std::process", "std::thread", "std::env", "std::time", "std::sync", "async fn"];
/// The database's ways to say now.
const SQL_NOW: [&str; 9] = [
    "now()",
    "current_timestamp",
    "current_date",
    "current_time",
    "localtimestamp",
    "clock_timestamp",
    "statement_timestamp",
    "transaction_timestamp",
    "timeofday",
];
/// 4xx and 5xx as `http::StatusCode` calls them.
const BAD_STATUS: [&str; 26] = [
    "BAD_REQUEST",
    "UNAUTHORIZED",
    "PAYMENT_REQUIRED",
    "FORBIDDEN",
    "NOT_FOUND",
    "METHOD_NOT_ALLOWED",
    "NOT_ACCEPTABLE",
    "REQUEST_TIMEOUT",
    "CONFLICT",
    "GONE",
    "LENGTH_REQUIRED",
    "PRECONDITION_FAILED",
    "PRECONDITION_REQUIRED",
    "PAYLOAD_TOO_LARGE",
    "URI_TOO_LONG",
    "UNSUPPORTED_MEDIA_TYPE",
    "EXPECTATION_FAILED",
    "MISDIRECTED_REQUEST",
    "UNPROCESSABLE_ENTITY",
    "TOO_MANY_REQUESTS",
    "REQUEST_HEADER_FIELDS_TOO_LARGE",
    "INTERNAL_SERVER_ERROR",
    "NOT_IMPLEMENTED",
    "BAD_GATEWAY",
    "SERVICE_UNAVAILABLE",
    "GATEWAY_TIMEOUT",
];

/// The repository as the rules see it.
struct House {
    rust: Vec<Source>,
    /// Crates of Cargo.toml, as they are called in code.
    crates: Vec<String>,
    /// Everything that is text: (path, text).
    texts: Vec<(String, String)>,
}

struct Fault {
    path: String,
    line: usize,
    rule: String,
}

fn faults(house: &House) -> Vec<String> {
    let tests = source::test_files(&house.rust);
    let mut found = Vec::new();
    for source in &house.rust {
        let mut say = |line: usize, rule: String| found.push(Fault { path: source.path.clone(), line, rule });
        caption(source, &mut say);
        if !source.path.starts_with("src/") {
            continue;
        }
        mod_file(source, &mut say);
        let part = part(&source.path);
        let code = if tests.contains(&source.path) { String::new() } else { source.without_tests().0 };
        let at = |needle: &str| lines_of(source, &code, needle);
        layers(source, &code, part, &mut say);
        first_floor(source, &code, part, &house.crates, &mut say);
        if part != "store" {
            at("sqlx").into_iter().for_each(|line| say(line, "`sqlx` only in src/store".into()));
        }
        if source.path != "src/clock.rs" {
            for needle in ["Utc::now", "Local::now", "SystemTime", "now_v7", "now_v6", "now_v1", "new_v4", "clock_gettime"] {
                at(needle).into_iter().for_each(|line| say(line, format!("`{needle}` only in src/clock.rs")));
            }
        }
        for literal in source.strings.iter().filter(|_| !code.is_empty()) {
            now_in_sql(&literal.text).into_iter().for_each(|now| say(literal.line, format!("no `{now}` in SQL: time is an argument")));
        }
        for needle in [".unwrap()", ".expect(", ".unwrap_err()", "panic!", "unreachable!", "todo!", "unimplemented!", "assert!("] {
            at(needle).into_iter().for_each(|line| say(line, format!("no `{needle}` outside tests")));
        }
        if part == "web" && source.path != "src/web/error.rs" {
            bad_statuses(&code).into_iter().for_each(|(byte, what)| say(source.line(byte), format!("only src/web/error.rs builds a 4xx or 5xx, not `{what}`")));
        }
    }
    pages(house, &mut found);
    for (path, text) in &house.texts {
        let mut say = |line: usize, rule: String| found.push(Fault { path: path.clone(), line, rule });
        let places = [concat!("/wo", "rk/"), concat!("/tm", "p/wt"), concat!("issu", "es show")];
        for (line, content) in (1..).zip(text.lines()) {
            places.iter().filter(|place| content.contains(**place)).for_each(|place| say(line, format!("names a place of this workplace: {place}")));
        }
        if path.starts_with("migrations/") {
            for (line, content) in (1..).zip(text.lines()) {
                let sql = content.split("--").next().unwrap_or_default();
                // One function is the clock of all others.
                if !sql.contains("function countersign.clock()") {
                    now_in_sql(sql).into_iter().for_each(|now| say(line, format!("no `{now}` in SQL but in countersign.clock()")));
                }
            }
        }
    }
    found.sort_by(|a, b| (&a.path, a.line, &a.rule).cmp(&(&b.path, b.line, &b.rule)));
    found.into_iter().map(|fault| format!("{}:{}: {}", fault.path, fault.line, fault.rule)).collect()
}

/// `store` of `src/store/db.rs`.
fn part(path: &str) -> &str {
    let rest = path.strip_prefix("src/").unwrap_or(path);
    rest.split('/').next().map_or(rest, |top| top.strip_suffix(".rs").unwrap_or(top))
}

fn is_word(byte: Option<u8>) -> bool {
    byte.is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// Where `needle` stands in `code` as words of its own.
fn words(code: &str, needle: &str) -> Vec<usize> {
    let (first, last) = (is_word(needle.bytes().next()), is_word(needle.bytes().last()));
    let bytes = code.as_bytes();
    code.match_indices(needle)
        .map(|(at, _)| at)
        .filter(|at| !(last && is_word(bytes.get(at + needle.len()).copied()) || first && *at > 0 && is_word(bytes.get(at - 1).copied())))
        .collect()
}

fn lines_of(source: &Source, code: &str, needle: &str) -> Vec<usize> {
    words(code, needle).into_iter().map(|at| source.line(at)).collect()
}

fn caption(source: &Source, say: &mut impl FnMut(usize, String)) {
    let first = source.text.lines().next().unwrap_or_default();
    match first.strip_prefix("//! ").map(|caption| caption.split_whitespace().count()) {
        None | Some(0) => say(1, "every file opens with a `//!` caption".into()),
        Some(words) if words > 10 => say(1, format!("a caption has at most ten words, not {words}")),
        _ => {}
    }
}

fn mod_file(source: &Source, say: &mut impl FnMut(usize, String)) {
    if !source.path.ends_with("/mod.rs") {
        return;
    }
    let mut for_tests = false;
    for (line, content) in (1..).zip(source.text.lines()) {
        let content = content.trim();
        let declares =
            |prefix: &str| content.strip_prefix(prefix).and_then(|rest| rest.strip_suffix(';')).is_some_and(|name| name.bytes().all(|b| is_word(Some(b))));
        let fine = content.is_empty() || content.starts_with("//!") || content == "#[cfg(test)]" || declares("pub mod ") || (for_tests && declares("mod "));
        if !fine {
            say(line, "mod.rs is a caption and `pub mod` lines".into());
        }
        for_tests = content == "#[cfg(test)]";
    }
}

/// The parts of the house that this file names: through `crate::`, or by climbing to the root with `super::`.
fn known(source: &Source, code: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut add = |at: usize, rest: &str| {
        let rest = rest.trim_start();
        let names: Vec<&str> = match rest.strip_prefix('{') {
            Some(_) => {
                let inside = &rest[1..source::closing(rest, 0).saturating_sub(1).max(1)];
                let mut depth = 0;
                let top: String = inside
                    .chars()
                    .filter(|c| {
                        depth += i32::from(*c == '{') - i32::from(*c == '}');
                        depth == 0 && *c != '}'
                    })
                    .collect();
                return top
                    .split(',')
                    .for_each(|entry| found.push((at, entry.split("::").next().unwrap_or_default().split_whitespace().next().unwrap_or_default().to_owned())));
            }
            None => vec![rest.split(|c: char| !is_word(u8::try_from(c).ok())).next().unwrap_or_default()],
        };
        found.extend(names.into_iter().map(|name| (at, name.to_owned())));
    };
    for at in words(code, "crate::") {
        add(at, &code[at + "crate::".len()..]);
    }
    // `super::super::x` in src/a/b.rs is crate::x.
    let path = source.path.strip_prefix("src/").unwrap_or(&source.path);
    let depth = path.strip_suffix("/mod.rs").or_else(|| path.strip_suffix(".rs")).unwrap_or(path).split('/').count();
    let climb = "super::".repeat(depth);
    for at in words(code, &climb) {
        let exactly = !code[..at].ends_with("super::") && !code[at + climb.len()..].starts_with("super::");
        if exactly {
            add(at, &code[at + climb.len()..]);
        }
    }
    found
}

fn layers(source: &Source, code: &str, part: &str, say: &mut impl FnMut(usize, String)) {
    let Some((_, may)) = MAY_KNOW.iter().find(|(name, _)| *name == part) else {
        if !["main", "lib", "cli"].contains(&part) {
            say(1, format!("`{part}` is no part of the house: give it its floor"));
        }
        return;
    };
    for (at, name) in known(source, code) {
        if name != part && !may.contains(&name.as_str()) && (MAY_KNOW.iter().any(|(other, _)| *other == name) || name == "cli") {
            say(source.line(at), format!("{part} does not know {name}"));
        }
    }
}

fn first_floor(source: &Source, code: &str, part: &str, crates: &[String], say: &mut impl FnMut(usize, String)) {
    if !["domain", "clock"].contains(&part) {
        return;
    }
    for name in crates.iter().filter(|name| !PLAIN.contains(&name.as_str())) {
        lines_of(source, code, &format!("{name}::")).into_iter().for_each(|line| say(line, format!("the first floor does not know the crate {name}")));
    }
    if part == "domain" {
        for needle in WORLD {
            lines_of(source, code, needle).into_iter().for_each(|line| say(line, format!("the rules are pure: no {needle}")));
        }
        lines_of(source, code, ".await").into_iter().for_each(|line| say(line, "the rules are pure: no .await".into()));
    }
}

fn now_in_sql(sql: &str) -> Vec<&'static str> {
    let sql = sql.to_lowercase();
    SQL_NOW.into_iter().filter(|now| !words(&sql, now).is_empty()).collect()
}

fn bad_statuses(code: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for name in BAD_STATUS {
        for at in words(code, &format!("StatusCode::{name}")) {
            let before = code[..at].trim_end_matches(|c: char| is_word(u8::try_from(c).ok()) || c == ':').trim_end();
            let after = code[at..].trim_start_matches(|c: char| is_word(u8::try_from(c).ok()) || c == ':').trim_start();
            // Looking at a status is no building; asking error.rs for the failure of a status is how it is done.
            let looks = before.ends_with("==") || before.ends_with("!=") || after.starts_with("=>") || after.starts_with('|');
            if !looks && !before.ends_with("Failure::of_status(") {
                found.push((at, format!("StatusCode::{name}")));
            }
        }
    }
    for opening in ["from_u16(", "status(", "("] {
        for (at, _) in code.match_indices(opening) {
            if opening == "(" && (at > 0 && is_word(code.as_bytes().get(at - 1).copied())) {
                continue;
            }
            let rest = code[at + opening.len()..].trim_start();
            let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
            let closes = rest[digits.len()..].trim_start();
            if matches!(digits.parse(), Ok(400..=599)) && (closes.starts_with(',') || (opening != "(" && closes.starts_with(')'))) {
                found.push((at, format!("{opening}{digits}")));
            }
        }
    }
    found
}

fn pages(house: &House, found: &mut Vec<Fault>) {
    let named = |folder: &str, ending: &str| -> BTreeSet<String> {
        let paths = house.rust.iter().map(|s| &s.path).chain(house.texts.iter().map(|(path, _)| path));
        paths.filter_map(|path| path.strip_prefix(folder)?.strip_suffix(ending)).filter(|name| !name.contains('/')).map(Into::into).collect()
    };
    let (templates, files) = (named("templates/pages/", ".html"), named("src/web/pages/", ".rs"));
    for page in templates.difference(&files) {
        found.push(Fault {
            path: format!("templates/pages/{page}.html"),
            line: 1,
            rule: format!("every page has its file: src/web/pages/{page}.rs is missing"),
        });
    }
}

fn the_house() -> House {
    let manifest: toml::Table = std::fs::read_to_string(source::root().join("Cargo.toml")).unwrap().parse().unwrap();
    let mut rust: Vec<Source> = ["src", "tests", "benches"].into_iter().flat_map(source::rust).collect();
    rust.sort_by(|a, b| a.path.cmp(&b.path));
    let texts = source::files("", "").into_iter().filter(|(path, _)| path != ".git").filter_map(|(path, bytes)| Some((path, String::from_utf8(bytes).ok()?)));
    House { rust, crates: manifest["dependencies"].as_table().unwrap().keys().map(|name| name.replace('-', "_")).collect(), texts: texts.collect() }
}

#[test]
fn the_house_keeps_its_rules() {
    let house = the_house();
    assert!(house.rust.len() > 100 && house.texts.len() > 150 && house.crates.len() > 15, "the house was not found");
    let faults = faults(&house);
    assert!(faults.is_empty(), "{} rules of the house are broken:\n{}", faults.len(), faults.join("\n"));
}

/// One sample per rule: the file, and the fault that must be named; none where the sample is fine.
fn samples() -> Vec<(&'static str, &'static str, Option<&'static str>)> {
    vec![
        ("src/store/a.rs", "//! Fine.\nuse crate::domain::id::X;\nuse crate::clock::new_id;\n", None),
        ("src/store/a.rs", "//! A.\nuse crate::directory::port::X;\n", Some("2: store does not know directory")),
        ("src/store/a.rs", "//! A.\nuse crate::{\n  domain::{self, x},\n  config::X,\n};\n", Some("2: store does not know config")),
        ("src/store/a.rs", "//! A.\nuse super::super::demo::X;\n", Some("2: store does not know demo")),
        ("src/store/a/b.rs", "//! A.\nfn f() { super::super::super::service::x() }\n", Some("2: store does not know service")),
        ("src/store/a.rs", "//! A.\n// crate::service is only named here.\nconst S: &str = \"crate::service\";\n", None),
        ("src/directory/a.rs", "//! A.\nfn f() { crate::store::db::x() }\n", Some("2: directory does not know store")),
        ("src/service/a.rs", "//! A.\nuse crate::web::error::X;\n", Some("2: service does not know web")),
        ("src/service/a.rs", "//! A.\nuse crate::config::X;\n", Some("2: service does not know config")),
        ("src/web/a.rs", "//! A.\nuse crate::store::X;\n", Some("2: web does not know store")),
        ("src/worker/a.rs", "//! A.\nuse crate::directory::X;\n", Some("2: worker does not know directory")),
        ("src/domain/a.rs", "//! A.\nuse crate::clock::new_id;\n", Some("2: domain does not know clock")),
        ("src/clock.rs", "//! A.\nuse crate::domain::id::X;\nfn f() { Utc::now(); Uuid::now_v7(); }\n", Some("2: clock does not know domain")),
        ("src/attic/a.rs", "//! A.\n", Some("1: `attic` is no part of the house: give it its floor")),
        ("src/domain/a.rs", "//! A.\nfn f() { tracing::info!(\"x\") }\n", Some("2: the first floor does not know the crate tracing")),
        ("src/domain/a.rs", "//! A.\nasync fn f() {}\n", Some("2: the rules are pure: no async fn")),
        ("src/domain/a.rs", "//! A.\nuse std::fs;\n", Some("2: the rules are pure: no std::fs")),
        ("src/service/a.rs", "//! A.\nfn f() -> Result<(), sqlx::Error> {}\n", Some("2: `sqlx` only in src/store")),
        ("src/web/a.rs", "//! A.\nfn f() { let x = Utc::now(); }\n", Some("2: `Utc::now` only in src/clock.rs")),
        ("src/store/a.rs", "//! A.\nfn f() { Uuid::now_v7(); }\n", Some("2: `now_v7` only in src/clock.rs")),
        ("src/demo/a.rs", "//! A.\nuse std::time::SystemTime;\n", Some("2: `SystemTime` only in src/clock.rs")),
        ("src/store/a.rs", "//! A.\nconst S: &str = \"select\n  Now()\";\n", Some("2: no `now()` in SQL: time is an argument")),
        ("src/store/a.rs", "//! A.\nconst S: &str = \"select current_timestamp\";\n", Some("2: no `current_timestamp` in SQL: time is an argument")),
        ("src/store/a.rs", "//! A.\nconst S: &str = \"it is known()\";\n", None),
        ("src/store/mod.rs", "//! A.\npub mod a;\n#[cfg(test)]\nmod tests;\n", None),
        ("src/store/mod.rs", "//! A.\npub mod a;\npub use a::X;\n", Some("3: mod.rs is a caption and `pub mod` lines")),
        ("src/store/mod.rs", "//! A.\nmod a;\n", Some("2: mod.rs is a caption and `pub mod` lines")),
        ("src/store/a.rs", "use std::x;\n", Some("1: every file opens with a `//!` caption")),
        ("tests/it/a.rs", "//! One two three four five six seven eight nine ten eleven.\n", Some("1: a caption has at most ten words, not 11")),
        ("tests/it/a.rs", "//! One two three four five six seven eight nine ten.\nfn f() { x.unwrap() }\n", None),
        (
            "src/web/a.rs",
            "//! A.\nfn f() { (StatusCode::BAD_REQUEST, x) }\n",
            Some("2: only src/web/error.rs builds a 4xx or 5xx, not `StatusCode::BAD_REQUEST`"),
        ),
        ("src/web/a.rs", "//! A.\nfn f() { StatusCode::from_u16(503) }\n", Some("2: only src/web/error.rs builds a 4xx or 5xx, not `from_u16(503`")),
        ("src/web/a.rs", "//! A.\nfn f() { ( 404, x) }\n", Some("2: only src/web/error.rs builds a 4xx or 5xx, not `(404`")),
        ("src/web/a.rs", "//! A.\nfn f() { if s == StatusCode::NOT_FOUND { Failure::of_status(StatusCode::CONFLICT); id(404) } }\n", None),
        ("src/web/error.rs", "//! A.\nfn f() { StatusCode::NOT_FOUND }\n", None),
        ("src/service/a.rs", "//! A.\nfn f() { x.unwrap() }\n", Some("2: no `.unwrap()` outside tests")),
        ("src/service/a.rs", "//! A.\nfn f() { x.expect(\"y\") }\n", Some("2: no `.expect(` outside tests")),
        ("src/service/a.rs", "//! A.\nfn f() { panic!(\"y\") }\n", Some("2: no `panic!` outside tests")),
        ("src/service/a.rs", "//! A.\nfn f() { x.unwrap_or(1); debug_assert!(true) }\n#[cfg(test)]\nmod tests {\n  fn g() { x.unwrap() }\n}\n", None),
    ]
}

#[test]
fn every_rule_of_the_house_names_who_breaks_it() {
    let crates = vec!["tracing".to_owned(), "serde".to_owned()];
    for (path, text, rule) in samples() {
        let house = House { rust: vec![Source::read(path, text)], crates: crates.clone(), texts: vec![] };
        let wanted: Vec<String> = rule.into_iter().map(|rule| format!("{path}:{rule}")).collect();
        assert_eq!(faults(&house), wanted, "{text}");
    }
    let text = |path: &str, text: &str| (path.to_owned(), text.to_owned());
    for (file, rule) in [
        (text("templates/pages/a.html", "<p>"), "templates/pages/a.html:1: every page has its file: src/web/pages/a.rs is missing".to_owned()),
        (text("README.md", concat!("see /wo", "rk/main")), format!("README.md:1: names a place of this workplace: {}", concat!("/wo", "rk/"))),
        (text("migrations/1.sql", "-- now() is fine here\nselect now();"), "migrations/1.sql:2: no `now()` in SQL but in countersign.clock()".to_owned()),
    ] {
        assert_eq!(faults(&House { rust: vec![], crates: vec![], texts: vec![file] }), [rule]);
    }
    assert_eq!(
        faults(&House { rust: vec![Source::read("src/web/a.rs", "//! A.\n#![cfg(test)]\nfn f() { x.unwrap() }\n")], crates: vec![], texts: vec![] }),
        [""; 0]
    );
    // A file behind #[cfg(test)] is a test from end to end.
    let test_only = House {
        rust: vec![
            Source::read("src/store/a.rs", "//! A.\n#[cfg(test)]\nmod tests;\n"),
            Source::read("src/store/a/tests.rs", "//! A.\nfn f() { x.unwrap() }\n"),
        ],
        crates,
        texts: vec![],
    };
    assert_eq!(faults(&test_only), [""; 0]);
}
