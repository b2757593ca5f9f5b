//! Every SQL statement of the store, prepared against the schema.
//!
//! The store has its SQL as plain texts, so that is how they are found: in the source. Each is prepared and planned as the
//! application's role, which also says whether that role may do it. What cannot be read off the source is on a list here, and the
//! list must be exact.

use sqlx::{Executor, PgConnection};

use crate::source::{self, Source, closing};
use crate::world::World;

/// Calls whose first argument is a statement.
const CALLS: [&str; 8] =
    ["sqlx::query", "sqlx::query_as", "sqlx::query_scalar", "sqlx::raw_sql", "copy_out_raw", "copy_in_raw", "AssertSqlSafe", "QueryBuilder::<Postgres>::new"];
/// Calls that also take a connection; they count when they are handed a text.
const EXECUTES: [&str; 4] = [".execute", ".fetch_all", ".fetch_one", ".fetch_optional"];

/// Arguments that are no text where they are used, and why nothing is missed.
const ASSEMBLED: &[(&str, &str, &str)] = &[
    ("src/store/db.rs", "format!(\"alter role {APP_ROLE} login password '{password}'\")", "takes no parameter; every test signs in with what it sets"),
    ("src/store/doctor.rs", "rule.statement", "each statement is a literal of RULES in the same file"),
    ("src/store/erase.rs", "statement", "one of three literals right above"),
    (
        "src/store/export.rs",
        "&statement",
        "COPY of the literals REQUESTS, APPROVALS, GRANTS, EVENTS, OWN_EVENTS, POLICY_CHANGES, SEPARATION, LEAVERS, MOVERS, PROVISIONING, DRIFT in the same file, and of those in export_state.rs",
    ),
    ("src/store/grant.rs", "statement", "either of two leases!(...) right above"),
    ("src/store/list_event.rs", "statement", "either of two events!(...) right above"),
    ("src/store/list_grant.rs", "statement", "either of two grants!(...) right above"),
    ("src/store/list_request.rs", "statement", "either of two requests!(...) right above"),
    ("src/store/look_as_of.rs", "COUNT", "a constant of the same file"),
    ("src/store/look_as_of.rs", "PAGE", "a constant of the same file"),
    ("src/store/look_log.rs", "COUNT", "a constant of look_log_sql.rs"),
    ("src/store/look_log.rs", "edge", "NEWER_EDGE or OLDER_EDGE of look_log_sql.rs"),
    ("src/store/look_log.rs", "statement", "NEWER or OLDER of look_log_sql.rs"),
    ("src/store/look_log.rs", "statement", "WHOLE_NEWER or WHOLE_OLDER of look_log_sql.rs"),
    ("src/store/look_me.rs", "*statement", "each statement is a literal of PARTS in the same file"),
    ("src/store/look_queue.rs", "statement", "either of two waiting!(...) right above"),
    ("src/store/sample.rs", "count", "a counted!(...) of way_of in the same file"),
    ("src/store/sample.rs", "draw", "a drawn!(...) of way_of in the same file"),
    ("src/store/sample.rs", "statement", "a statement of export.rs with ids in hex; tests/it/sampling.rs runs it for every population"),
    ("src/store/snapshot.rs", "&statement", "as of export.rs"),
];
/// Statements that Postgres does not prepare: every test runs them, by connecting, migrating, exporting, looking deep.
const UTILITY: &[(&str, &str)] = &[
    ("src/store/db.rs", "create schema if not exists countersign"),
    ("src/store/db.rs", "grant select on countersign._sqlx_migrations to countersign_app"),
    ("src/store/doctor.rs", "set transaction isolation level repeatable read, read only"),
    ("src/store/local.rs", "create database countersign"),
    ("src/store/snapshot.rs", "begin isolation level repeatable read, read only"),
];
/// Statements of the owner's login, which the application must not be able to run.
const OWNER_ONLY: &[(&str, &str)] = &[("src/store/db.rs", "with made as (insert into countersign.app_login")];
/// Beginnings that a builder completes, and how it does.
const COMPLETED: &[(&str, &str, &str)] =
    &[("src/store/event.rs", "insert into audit_event (", "values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) returning id")];

#[derive(Debug, PartialEq)]
struct Statement {
    path: String,
    line: usize,
    text: String,
}

#[derive(Debug, Default, PartialEq)]
struct Found {
    statements: Vec<Statement>,
    utility: Vec<(String, String)>,
    /// Path and argument of calls whose statement is assembled elsewhere.
    assembled: Vec<(String, String)>,
}

/// One arm of a `macro_rules!`: what it is called with, and what it becomes, as bytes of its file.
struct Arm {
    pattern: Vec<String>,
    body: (usize, usize),
}

/// A macro that stands for a text.
struct Shorthand {
    name: String,
    /// Index of its file, and where it is defined there.
    file: usize,
    from: usize,
    to: usize,
    arms: Vec<Arm>,
}

/// Files with their code (tests blanked) and the shorthands they define.
struct Store {
    files: Vec<(Source, String)>,
    shorthands: Vec<Shorthand>,
}

fn first_word(text: &str) -> String {
    text.trim_start_matches(|c: char| c.is_whitespace() || c == '(').chars().take_while(char::is_ascii_alphabetic).collect::<String>().to_lowercase()
}

fn is_plannable(text: &str) -> bool {
    ["select", "insert", "update", "delete", "with", "merge", "values"].contains(&first_word(text).as_str()) && text.trim().contains(' ')
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// The parts of `code[from..to]` between commas that stand in no bracket, trimmed; a trailing comma adds none.
fn arguments(code: &str, from: usize, to: usize) -> Vec<(usize, usize)> {
    let mut parts = Vec::new();
    let (mut depth, mut start) = (0, from);
    let mut end_part = |start: usize, end: usize| {
        let text = &code[start..end];
        let begin = start + (text.len() - text.trim_start().len());
        if !text.trim().is_empty() {
            parts.push((begin, begin + text.trim().len()));
        }
    };
    for (at, byte) in code.bytes().enumerate().take(to).skip(from) {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth -= 1,
            b',' if depth == 0 => {
                end_part(start, at);
                start = at + 1;
            }
            _ => {}
        }
    }
    end_part(start, to);
    parts
}

impl Store {
    fn read(sources: Vec<Source>) -> Self {
        let files: Vec<(Source, String)> = sources.into_iter().map(|source| (source.clone(), source.without_tests().0)).collect();
        let mut shorthands = Vec::new();
        for (file, (_, code)) in files.iter().enumerate() {
            for (from, _) in code.match_indices("macro_rules!") {
                let open = from + code[from..].find('{').unwrap();
                let to = closing(code, open);
                let mut arms = Vec::new();
                let mut at = open + 1;
                while let Some(arrow) = code[at..to].find("=>") {
                    let pattern = at + code[at..to].find('(').unwrap();
                    let body = at + arrow + code[at + arrow..].find(['{', '(', '[']).unwrap();
                    let pattern = arguments(code, pattern + 1, closing(code, pattern) - 1).into_iter().map(|(from, to)| code[from..to].to_owned()).collect();
                    at = closing(code, body);
                    arms.push(Arm { pattern, body: (body + 1, at - 1) });
                }
                shorthands.push(Shorthand { name: code[from + "macro_rules!".len()..open].trim().to_owned(), file, from, to, arms });
            }
        }
        Self { files, shorthands }
    }

    /// The text that `files[file][from..to]` stands for; none when it is no text that is fixed.
    fn text(&self, file: usize, (from, to): (usize, usize), given: &[(String, String)]) -> Option<String> {
        let (source, code) = &self.files[file];
        let expression = code[from..to].trim();
        let from = from + (code[from..to].len() - code[from..to].trim_start().len());
        if let Some(literal) = source.strings.iter().find(|s| s.at == from) {
            return (literal.end == from + expression.len()).then(|| literal.text.clone());
        }
        if let Some(name) = expression.strip_prefix('$') {
            return given.iter().find(|(n, _)| n == name).map(|(_, text)| text.clone());
        }
        let (called, _) = expression.split_once("!(")?;
        let open = from + called.len() + 1;
        if !called.bytes().all(|b| is_word(b) || b == b':') || closing(code, open) != from + expression.len() {
            return None;
        }
        let parts = arguments(code, open + 1, closing(code, open) - 1);
        if called == "concat" {
            return parts.into_iter().map(|part| self.text(file, part, given)).collect();
        }
        let name = called.rsplit("::").next()?;
        let named: Vec<&Shorthand> = self.shorthands.iter().filter(|s| s.name == name).collect();
        let shorthand = named.iter().find(|s| s.file == file).or_else(|| {
            let module = called.strip_suffix(name)?.trim_end_matches(':').rsplit("::").next().filter(|m| !m.is_empty());
            named.iter().find(|s| module.is_none_or(|m| self.files[s.file].0.path.ends_with(&format!("/{m}.rs"))))
        })?;
        shorthand.arms.iter().find_map(|arm| {
            if arm.pattern.len() != parts.len() {
                return None;
            }
            let mut bound = Vec::new();
            for (pattern, part) in arm.pattern.iter().zip(&parts) {
                match pattern.strip_prefix('$') {
                    Some(parameter) => bound.push((parameter.split(':').next()?.to_owned(), self.text(file, *part, given)?)),
                    None if code[part.0..part.1] == **pattern => {}
                    None => return None,
                }
            }
            self.text(shorthand.file, arm.body, &bound)
        })
    }

    /// Every statement that the store makes, and every call whose statement cannot be read where it is made.
    fn statements(&self) -> Found {
        let mut found = Found::default();
        for file in 0..self.files.len() {
            self.statements_of(file, &mut found);
        }
        found.assembled.sort();
        found.utility.sort();
        found
    }

    fn statements_of(&self, file: usize, found: &mut Found) {
        let (source, code) = &self.files[file];
        let mut taken: Vec<(usize, usize)> = self.shorthands.iter().filter(|s| s.file == file).map(|s| (s.from, s.to)).collect();
        let statement = |at: usize, text: String| Statement { path: source.path.clone(), line: source.line(at), text };
        let mut called: Vec<usize> = Vec::new();
        for call in CALLS.iter().chain(&EXECUTES) {
            for (at, _) in code.match_indices(call) {
                let mut open = at + call.len();
                if code[open..].starts_with("::<") {
                    let mut depth = 0;
                    open += code[open..]
                        .find(|c| {
                            depth += i32::from(c == '<') - i32::from(c == '>');
                            c == '>' && depth == 0
                        })
                        .unwrap()
                        + 1;
                }
                if !code[open..].starts_with('(') {
                    continue; // `sqlx::query_as` also begins with `sqlx::query`.
                }
                let Some(argument) = arguments(code, open + 1, closing(code, open) - 1).first().copied() else { continue };
                called.push(argument.0);
                let written = source.text[argument.0..argument.1].trim();
                let connection = EXECUTES.contains(call) && !written.contains('"') && !written.contains("sql");
                if self.text(file, argument, &[]).is_none() && !connection && !written.starts_with("sqlx::AssertSqlSafe(") {
                    found.assembled.push((source.path.clone(), written.to_owned()));
                }
            }
        }
        // Outermost first: what is part of a longer text is no statement of its own.
        let mut texts: Vec<(usize, usize)> = source.strings.iter().filter(|s| code.as_bytes()[s.at] != b' ').map(|s| (s.at, s.end)).collect();
        for (at, _) in code.match_indices("!(") {
            let begins = code[..at].bytes().rposition(|b| !is_word(b) && b != b':').map_or(0, |n| n + 1);
            texts.push((begins, closing(code, at + 1)));
        }
        texts.sort_by_key(|(from, to)| (*from, std::cmp::Reverse(*to)));
        for (from, to) in texts {
            if taken.iter().any(|(a, b)| from >= *a && to <= *b) {
                continue;
            }
            let Some(text) = self.text(file, (from, to), &[]) else { continue };
            taken.push((from, to));
            if let Some((_, _, rest)) = COMPLETED.iter().find(|(path, begins, _)| *path == source.path && text.starts_with(begins)) {
                found.statements.push(statement(from, format!("{text} {rest}")));
            } else if is_plannable(&text) {
                found.statements.push(statement(from, text));
            } else if called.contains(&from) {
                found.utility.push((source.path.clone(), text));
            } else if code.as_bytes()[from] != b'"' && code.as_bytes()[from] != b'r' {
                // A shorthand that is part of something that cannot be read.
                found.assembled.push((source.path.clone(), source.text[from..to].to_owned()));
            }
        }
    }
}

/// Prepares and plans a statement as the connection's role; planning is where Postgres asks what the role may do.
async fn plan(connection: &mut PgConnection, statement: &Statement) -> Result<(), String> {
    let said = |error: sqlx::Error| {
        format!("{}:{}: {}\n    {}", statement.path, statement.line, error, statement.text.split_whitespace().collect::<Vec<_>>().join(" "))
    };
    connection.execute(sqlx::AssertSqlSafe(format!("prepare one as {}", statement.text))).await.map_err(said)?;
    let parameters: i32 =
        sqlx::query_scalar("select cardinality(parameter_types) from pg_prepared_statements where name = 'one'").fetch_one(&mut *connection).await.unwrap();
    let nulls = vec!["null"; parameters as usize].join(", ");
    let arguments = if nulls.is_empty() { String::new() } else { format!("({nulls})") };
    let planned = connection.execute(sqlx::AssertSqlSafe(format!("explain execute one{arguments}"))).await;
    connection.execute("deallocate one").await.unwrap();
    planned.map(|_| ()).map_err(said)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_statement_of_the_store_fits_the_schema_and_what_the_application_may_do() {
    let all = Store::read(source::rust("src/store")).statements();
    let expected: Vec<(String, String)> = ASSEMBLED.iter().map(|(path, argument, _)| ((*path).into(), (*argument).into())).collect();
    assert_eq!(all.assembled, expected, "a statement is put together where this test cannot read it: say it as one text, or add it with a reason");
    let expected: Vec<(String, String)> = UTILITY.iter().map(|(path, text)| ((*path).into(), (*text).into())).collect();
    assert_eq!(all.utility, expected);
    for (path, begins, _) in COMPLETED {
        assert!(all.statements.iter().any(|s| s.path == *path && s.text.starts_with(begins)), "{path} no longer says {begins}");
    }

    let world = World::empty().await;
    let mut connection = world.root.acquire().await.unwrap();
    connection.execute("set role countersign_app").await.unwrap();
    let mut faults = Vec::new();
    for statement in &all.statements {
        let planned = plan(&mut connection, statement).await;
        if OWNER_ONLY.iter().any(|(path, begins)| *path == statement.path && statement.text.starts_with(begins)) {
            assert!(planned.is_err_and(|fault| fault.contains("permission denied")), "the application can run {}", statement.text);
            connection.execute("reset role").await.unwrap();
            faults.extend(plan(&mut connection, statement).await.err());
            connection.execute("set role countersign_app").await.unwrap();
        } else {
            faults.extend(planned.err());
        }
    }
    assert!(faults.is_empty(), "{} of {} statements do not fit:\n{}", faults.len(), all.statements.len(), faults.join("\n"));
    // There are more; far fewer would mean that they are not found.
    assert!(all.statements.len() >= 200, "only {} statements were found", all.statements.len());

    // And a statement that does not fit is told.
    for (text, wrong) in [
        ("select id, no_such from request where id = $1", "no_such"),
        ("select id from request where id = $1 and", "syntax error"),
        ("update audit_event set kind = $1 where id = $2", "permission denied"),
        ("delete from approval where id = $1", "permission denied"),
        ("update access_grant set approval_event_id = $2 where id = $1", "permission denied"),
        ("insert into audit_event (occurred_at, kind) values ($1, $2)", "permission denied"),
    ] {
        let fault = plan(&mut connection, &Statement { path: "src/store/x.rs".into(), line: 7, text: text.into() }).await.unwrap_err();
        assert!(fault.starts_with("src/store/x.rs:7: ") && fault.contains(wrong) && fault.ends_with(text), "{fault}");
    }
    connection.execute("reset role").await.unwrap();
}

#[test]
fn statements_are_found_however_they_are_written() {
    let text = r###"//! A.
macro_rules! things {
    ($where:literal, $rest:literal) => {
        concat!("select a, ", "b from thing ", $where, " and c ", $rest)
    };
}
async fn f() {
    sqlx::query_as::<_, Vec<X>>(things!("where a = $1", "order by b")).fetch_all(&db.pool).await;
    sqlx::query("update thing set a = 1").execute(&mut **tx).await;
    let later = if x { things!("where b", "") } else { things!("where c", "") };
    sqlx::query_scalar(later).fetch_one(&db.pool);
    sqlx::query(&format!("select {x}")).execute(&db.pool);
    connection.execute("lock table thing").await;
    sqlx::query("vaccuum thing").execute(&db.pool);
    say("Select a thing, then go on.");
}
const S: &str = r#"with x as (select 1) select * from x"#;
macro_rules! part {
    (one) => { " of one" };
    () => { concat!(" of ", "none") };
}
fn g() {
    sqlx::query(concat!("select y", part!(one), other::piece!(), things!("w", "r")));
    let half = format!("select {}", part!());
}
#[cfg(test)]
mod tests { const T: &str = "select nothing"; }
"###;
    let piece = "//! B.\nmacro_rules! piece {\n    () => {\n        \" and a piece\"\n    };\n}\n";
    let found = Store::read(vec![Source::read("src/store/a.rs", text), Source::read("src/store/other.rs", piece)]).statements();
    let mut said: Vec<(usize, &str)> = found.statements.iter().map(|s| (s.line, s.text.as_str())).collect();
    said.sort();
    assert_eq!(
        said,
        [
            (8, "select a, b from thing where a = $1 and c order by b"),
            (9, "update thing set a = 1"),
            (10, "select a, b from thing where b and c "),
            (10, "select a, b from thing where c and c "),
            (12, "select {x}"),
            (15, "Select a thing, then go on."),
            (17, "with x as (select 1) select * from x"),
            (23, "select y of one and a pieceselect a, b from thing w and c r"),
            (24, "select {}"),
        ]
    );
    assert_eq!(found.assembled, ["&format!(\"select {x}\")", "later", "part!()"].map(|text| ("src/store/a.rs".to_owned(), text.to_owned())));
    assert_eq!(found.utility, ["lock table thing", "vaccuum thing"].map(|text| ("src/store/a.rs".to_owned(), text.to_owned())));
}
