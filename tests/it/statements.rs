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
    ("src/store/export.rs", "&statement", "COPY of the literals REQUESTS, APPROVALS, GRANTS, EVENTS in the same file"),
    ("src/store/list_event.rs", "statement", "either of two events!(...) right above"),
    ("src/store/list_grant.rs", "statement", "either of two grants!(...) right above"),
    ("src/store/list_request.rs", "statement", "either of two requests!(...) right above"),
];
/// Statements that Postgres does not prepare: every test runs them, by connecting, migrating, exporting, looking deep.
const UTILITY: &[(&str, &str)] = &[
    ("src/store/db.rs", "create schema if not exists countersign"),
    ("src/store/db.rs", "grant select on countersign._sqlx_migrations to countersign_app"),
    ("src/store/doctor.rs", "set transaction isolation level repeatable read, read only"),
    ("src/store/export.rs", "begin isolation level repeatable read, read only"),
    ("src/store/local.rs", "create database countersign"),
];
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

enum Part {
    Text(String),
    Parameter(usize),
}

/// A macro that puts a statement together, and where it stands.
struct Assembly {
    name: String,
    from: usize,
    to: usize,
    parts: Vec<Part>,
}

fn first_word(text: &str) -> String {
    text.trim_start().chars().take_while(char::is_ascii_alphabetic).collect::<String>().to_lowercase()
}

fn is_plannable(text: &str) -> bool {
    ["select", "insert", "update", "delete", "with", "merge", "values"].contains(&first_word(text).as_str()) && text.trim().contains(' ')
}

/// The literals and parameters of `concat!(...)` behind each `macro_rules!`.
fn assemblies(source: &Source, code: &str) -> Vec<Assembly> {
    let mut found = Vec::new();
    for (from, _) in code.match_indices("macro_rules!") {
        let open = from + code[from..].find('{').unwrap();
        let to = closing(code, open);
        let name = code[from + "macro_rules!".len()..open].trim().to_owned();
        let Some(concat) = code[open..to].find("concat!(").map(|at| open + at + "concat!".len()) else { continue };
        let parameters: Vec<String> = code[open..concat].match_indices('$').map(|(at, _)| word_at(code, open + at + 1)).collect();
        let end = closing(code, concat);
        let mut parts: Vec<(usize, Part)> =
            source.strings.iter().filter(|s| s.at > concat && s.end < end).map(|s| (s.at, Part::Text(s.text.clone()))).collect();
        parts.extend(code[concat..end].match_indices('$').map(|(at, _)| {
            let name = word_at(code, concat + at + 1);
            (
                concat + at,
                Part::Parameter(
                    parameters.iter().position(|p| *p == name).unwrap_or_else(|| panic!("{}: ${name} of {}", source.path, source.line(concat + at))),
                ),
            )
        }));
        parts.sort_by_key(|(at, _)| *at);
        found.push(Assembly { name, from, to, parts: parts.into_iter().map(|(_, part)| part).collect() });
    }
    found
}

fn word_at(code: &str, at: usize) -> String {
    code[at..].chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect()
}

fn extract(source: &Source) -> Found {
    let (code, _) = source.without_tests();
    let mut found = Found::default();
    let assemblies = assemblies(source, &code);
    let mut taken: Vec<(usize, usize)> = assemblies.iter().map(|a| (a.from, a.to)).collect();
    let mut called: Vec<usize> = Vec::new();
    let live = |at: usize| code.as_bytes()[at] != b' ';
    let statement = |at: usize, text: String| Statement { path: source.path.clone(), line: source.line(at), text };

    for assembly in &assemblies {
        let call = format!("{}!", assembly.name);
        for at in code.match_indices(&call).map(|(at, _)| at).filter(|at| !(assembly.from..assembly.to).contains(at)) {
            let open = at + call.len();
            let end = closing(&code, open);
            let given: Vec<&String> = source.strings.iter().filter(|s| s.at > open && s.end < end).map(|s| &s.text).collect();
            let text = assembly.parts.iter().map(|part| match part {
                Part::Text(text) => text.as_str(),
                Part::Parameter(n) => given.get(*n).unwrap_or_else(|| panic!("{}:{}: {call} lacks argument {n}", source.path, source.line(at))),
            });
            found.statements.push(statement(at, text.collect()));
            taken.push((at, end));
        }
    }
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
            let argument = open + 1 + (code[open + 1..].len() - code[open + 1..].trim_start().len());
            let end = closing(&code, open) - 1;
            let whole = source.text[argument..end].trim();
            let literal = source.strings.iter().find(|s| s.at == argument);
            let by_macro = assemblies.iter().any(|a| code[argument..].starts_with(&format!("{}!", a.name)));
            if let Some(literal) = literal {
                called.push(literal.at);
            } else if by_macro || whole.starts_with("sqlx::AssertSqlSafe(") || (EXECUTES.contains(call) && !whole.contains('"') && !whole.contains("sql")) {
                // Counted above, counted as a call of its own, or a connection.
            } else {
                let first = whole.trim_end_matches(',').trim();
                found.assembled.push((source.path.clone(), first.to_owned()));
            }
        }
    }
    for literal in source.strings.iter().filter(|s| live(s.at) && !taken.iter().any(|(from, to)| s.at >= *from && s.end <= *to)) {
        let completed = COMPLETED.iter().find(|(path, begins, _)| *path == source.path && literal.text.starts_with(begins));
        if let Some((_, _, rest)) = completed {
            found.statements.push(statement(literal.at, format!("{} {rest}", literal.text)));
        } else if is_plannable(&literal.text) {
            found.statements.push(statement(literal.at, literal.text.clone()));
        } else if called.contains(&literal.at) {
            found.utility.push((source.path.clone(), literal.text.clone()));
        }
    }
    found
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
    let mut all = Found::default();
    for source in source::rust("src/store") {
        let found = extract(&source);
        all.statements.extend(found.statements);
        all.utility.extend(found.utility);
        all.assembled.extend(found.assembled);
    }
    let expected: Vec<(String, String)> = ASSEMBLED.iter().map(|(path, argument, _)| ((*path).into(), (*argument).into())).collect();
    all.assembled.sort();
    assert_eq!(all.assembled, expected, "a statement is put together where this test cannot read it: say it as one text, or add it with a reason");
    all.utility.sort();
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
        faults.extend(plan(&mut connection, statement).await.err());
    }
    assert!(faults.is_empty(), "{} of {} statements do not fit:\n{}", faults.len(), all.statements.len(), faults.join("\n"));
    // As of this writing well above; far fewer would mean that they are not found.
    assert!(all.statements.len() >= 170, "only {} statements were found", all.statements.len());

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
#[cfg(test)]
mod tests { const T: &str = "select nothing"; }
"###;
    let found = extract(&Source::read("src/store/a.rs", text));
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
        ]
    );
    assert_eq!(found.assembled, ["&format!(\"select {x}\")", "later"].map(|text| ("src/store/a.rs".to_owned(), text.to_owned())));
    assert_eq!(found.utility, ["lock table thing", "vaccuum thing"].map(|text| ("src/store/a.rs".to_owned(), text.to_owned())));
}
