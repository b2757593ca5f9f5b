//! Who had access: page, API and file agree.

use axum::http::StatusCode;
use chrono::{DateTime, Duration, Utc};
use countersign::domain::approval::Answer;
use countersign::domain::id::ApplicationId;
use countersign::evidence::columns::File;
use countersign::service::export::Taking;
use countersign::service::look::as_of::as_of;
use countersign::service::look::shared::Cursor;
use countersign::service::sweep::sweep;
use serde_json::Value;

use crate::api::{ALL, Site};
use crate::desk::Desk;
use crate::export::{Row, parsed, taken, taking};
use crate::world::World;

const HOUR: i64 = 3_600;
const YES: Answer = Answer::Approve { granted: None };

fn micros(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(chrono::SecondsFormat::Micros, true)
}

/// What file and API say alike of a row, column by column.
const ALIKE: [&str; 14] = [
    "person_id",
    "email",
    "person_status",
    "department",
    "application",
    "role_id",
    "role",
    "target",
    "risk",
    "source",
    "grant_id",
    "request_id",
    "policy_version",
    "as_of",
];

fn of_file(row: &Row) -> Vec<String> {
    let mut cells: Vec<String> = ALIKE.iter().map(|column| row[*column].clone()).collect();
    cells.extend([row["since"].clone(), row["until"].clone(), row["approvers"].clone()]);
    cells
}

fn of_api(row: &Value, at: &str) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let time = |value: &Value| value.as_str().map(|text| micros(text.parse().unwrap())).unwrap_or_default();
    let mut cells: Vec<String> = ALIKE.iter().map(|column| if *column == "as_of" { at.to_owned() } else { text(&row[*column]) }).collect();
    let approvers: Vec<String> = row["approvers"].as_array().unwrap().iter().map(|one| text(&one["id"])).collect();
    cells.extend([time(&row["since"]), time(&row["until"]), approvers.join(";")]);
    cells
}

/// Every row that the API has of a moment, in pages of `limit`; and what it says their number is.
async fn pages(site: &Site, token: &str, at: DateTime<Utc>, narrow: &str, limit: usize) -> (i64, Vec<Vec<String>>) {
    let (mut rows, mut after, mut count) = (Vec::new(), String::new(), None);
    loop {
        let page = site.get(token, &format!("/api/v1/as-of?as_of={}&limit={limit}{narrow}{after}", micros(at))).await;
        assert_eq!(page.status, StatusCode::OK, "{}", page.text);
        let page = page.json();
        let items = page["items"].as_array().unwrap();
        assert!(items.len() <= limit);
        rows.extend(items.iter().map(|row| of_api(row, &micros(at))));
        let number = page["count"].as_i64().unwrap();
        assert_eq!(*count.get_or_insert(number), number);
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => return (count.unwrap(), rows),
        }
    }
}

/// Grants of several people that began and ended, members who were there before, members whom nobody granted anything, strangers.
async fn lived(world: &World) -> Vec<DateTime<Utc>> {
    let mut moments = vec![world.now() - Duration::days(1)];
    for (who, manager, hours) in [("bo.lind", "mara.voss", 2), ("yusuf.demir", "mara.voss", 30), ("freya.holm", "hana.sato", 30)] {
        let asked = world.ask(who, "orders-db", "reader", hours * HOUR).await.unwrap();
        world.answer(manager, asked.id, YES).await.unwrap();
        world.turn().await;
        moments.push(world.now());
        world.advance(Duration::minutes(10)).await;
    }
    let analyst = world.ask("bo.lind", "warehouse", "analyst", 24 * HOUR).await.unwrap();
    world.turn().await;
    assert_eq!(world.grant(analyst.id).await.1, "active", "a rule approved it");
    world.directory().add(&world.group("orders-db-readers").await, &world.reference("carlos.silva").await).await;
    sweep(&world.ctx, "main").await.unwrap();
    moments.push(world.now());
    world.tampered("members whom nobody knows are written past the comparison");
    let group = world.group("orders-db-readers").await;
    let mut tx = world.root.begin().await.unwrap();
    for table in ["pre_existing_member", "drift"] {
        sqlx::query(sqlx::AssertSqlSafe(format!("alter table countersign.{table} disable trigger user"))).execute(&mut *tx).await.unwrap();
    }
    for (statement, reference) in [
        (
            "insert into countersign.pre_existing_member (id, directory, group_reference, person_reference, noted_at) values (gen_random_uuid(), 'main', $1, $2, $3)",
            "nobody-é,1",
        ),
        (
            "insert into countersign.drift (id, directory, group_reference, person_reference, kind, detected_at, sweep_id) values (gen_random_uuid(), 'main', $1, $2, 'unexpected_member', $3, gen_random_uuid())",
            "nobody-2",
        ),
        (
            "insert into countersign.drift (id, directory, group_reference, person_reference, kind, detected_at, sweep_id) values (gen_random_uuid(), 'main', $1, $2, 'unexpected_member', $3, gen_random_uuid())",
            "Nobody-3",
        ),
    ] {
        sqlx::query(statement).bind(&group).bind(reference).bind(world.now()).execute(&mut *tx).await.unwrap();
    }
    for table in ["pre_existing_member", "drift"] {
        sqlx::query(sqlx::AssertSqlSafe(format!("alter table countersign.{table} enable trigger user"))).execute(&mut *tx).await.unwrap();
    }
    tx.commit().await.unwrap();
    moments.push(world.now());
    world.advance(Duration::hours(3)).await;
    world.turn().await;
    moments.push(world.now());
    world.set_active("freya.holm", false).await;
    countersign::service::sync::sync(&world.ctx, "main").await.unwrap();
    world.turn().await;
    moments.push(world.now());
    moments
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_api_and_access_csv_agree_row_for_row_at_every_moment_and_of_every_scope() {
    let world = World::new().await;
    let moments = lived(&world).await;
    let site = Site::over(&world);
    let auditor = site.token(&world, "wei.zhang", &ALL).await;
    let application = ApplicationId(world.one("select id from countersign.application where key = 'orders-db'").await);
    let (role, person) = (world.role("orders-db", "reader").await, world.person("bo.lind").await);
    let everything = taking(File::Access);
    let mut sources = std::collections::BTreeSet::new();
    for at in &moments {
        for (narrow, of) in [
            (String::new(), everything),
            (format!("&application={application}"), Taking { application: Some(application), ..everything }),
            (format!("&role={role}"), Taking { role: Some(role), ..everything }),
            (format!("&person={person}"), Taking { person: Some(person), ..everything }),
            (format!("&person={person}&role={role}"), Taking { person: Some(person), role: Some(role), ..everything }),
        ] {
            let file = parsed(&taken(&world, Taking { to: Some(*at), ..of }).await);
            let wanted: Vec<Vec<String>> = file.iter().map(of_file).collect();
            sources.extend(file.iter().map(|row| row["source"].clone()));
            for limit in [1, 3, 200] {
                // So many calls are let in only over some time.
                world.advance(Duration::minutes(2)).await;
                let (count, rows) = pages(&site, &auditor, *at, &narrow, limit).await;
                assert_eq!(rows, wanted, "{at} {narrow} in pages of {limit}");
                assert_eq!(count, wanted.len() as i64);
            }
        }
    }
    assert_eq!(sources.into_iter().collect::<Vec<_>>(), ["out_of_band", "pre_existing", "request"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_grant_is_there_from_the_very_moment_it_began_until_the_very_moment_it_ended() {
    let world = World::new().await;
    let asked = world.ask("bo.lind", "orders-db", "reader", HOUR).await.unwrap();
    world.answer("mara.voss", asked.id, YES).await.unwrap();
    world.turn().await;
    world.advance(Duration::hours(2)).await;
    world.turn().await;
    world.advance(Duration::hours(1)).await;
    let (began, ended): (DateTime<Utc>, DateTime<Utc>) =
        sqlx::query_as("select granted_at, end_verified_at from countersign.access_grant where request_id = $1")
            .bind(asked.id.0)
            .fetch_one(&world.root)
            .await
            .unwrap();
    assert!(began < ended);
    let (by, role) = (world.by("wei.zhang").await, world.role("orders-db", "reader").await);
    let little = Duration::microseconds(1);
    for (at, there) in [(began - little, false), (began, true), (began + little, true), (ended - little, true), (ended, false), (ended + little, false)] {
        let held = as_of(&world.ctx, &by, Some(at), (None, Some(role.0), None), None, 200).await.unwrap();
        let page = held.rows.iter().filter(|row| row.source == "request").count();
        let of = Taking { to: Some(at), role: Some(role), ..taking(File::Access) };
        let file = parsed(&taken(&world, of).await).iter().filter(|row| row["source"] == "request").count();
        assert_eq!((page == 1, file == 1), (there, there), "{at}, of {began} to {ended}");
        assert_eq!(held.count as usize, held.rows.len());
    }
    // To the second, as the page takes it: the second after which it began has it, that in which it ended has it no more.
    let mut auditor = Desk::of(&world, "wei.zhang").await;
    let mut shown = async |at: DateTime<Utc>| {
        let page = auditor.get(&format!("/evidence/as-of?on={}&at={}&role={role}", at.format("%Y-%m-%d"), at.format("%H:%M:%S"))).await.fine();
        page.all("table.held tbody tr").iter().any(|row| row.contains("Bo Lind") && row.contains("approved by Mara Voss"))
    };
    assert!(shown(began + Duration::seconds(1)).await && shown(ended - Duration::seconds(1)).await);
    assert!(!shown(began - Duration::seconds(1)).await && !shown(ended + Duration::seconds(1)).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_says_who_and_why_finds_by_name_and_hands_over_the_same_as_a_file() {
    let world = World::new().await;
    let moments = lived(&world).await;
    let mut auditor = Desk::of(&world, "wei.zhang").await;
    let at = moments[5];
    let page = auditor.get(&format!("/evidence/as-of?as_of={}", micros(at))).await.fine();
    let rows = page.all("table.held tbody tr");
    let bo: Vec<_> = rows.iter().filter(|row| row.contains("Bo Lind")).collect();
    assert_eq!(bo.len(), 2, "{rows:?}");
    assert!(bo.iter().any(|row| row.contains("approved by Mara Voss")) && bo.iter().any(|row| row.contains("approved by a rule")), "{bo:?}");
    assert!(page.text.contains("nobody-2") && page.text.contains("Unknown here"));
    let links = page.html();
    let links: Vec<String> = links.select(&scraper::Selector::parse("a[download]").unwrap()).map(|a| a.attr("href").unwrap().to_owned()).collect();
    let file = auditor.get(&links[0]).await.fine();
    assert_eq!(file.headers["content-disposition"], format!("attachment; filename=\"access_{}.csv\"", at.format("%Y-%m-%d")));
    assert_eq!(file.text, taken(&world, Taking { to: Some(at), ..taking(File::Access) }).await, "the file of the page is the file");
    let all = parsed(&file.text).len();
    assert!(page.all(".downloads")[0].starts_with(&format!("{all} rows")), "{:?}", page.all(".downloads"));

    // One is meant, several are, nobody is.
    let one = auditor.get(&format!("/evidence/as-of?as_of={}&q=Bo%20Lind", micros(at))).await.fine();
    assert_eq!(one.all("table.held tbody tr").len(), 2);
    assert!(one.text.contains("Only what <bdi>Bo Lind</bdi> had"));
    let several = auditor.get("/evidence/as-of?q=or").await.fine();
    assert!(several.all(".which li").len() > 1 && several.all("table.held").is_empty(), "{}", several.text);
    let none = auditor.get("/evidence/as-of?q=%3Cb%3Enobody%3C%2Fb%3E").await.fine();
    assert!(none.text.contains("Nobody and nothing is called") && none.all("table.held").is_empty());
    let id = auditor.get(&format!("/evidence/as-of?q={}", world.role("orders-db", "reader").await)).await.fine();
    assert!(id.all("#role option[selected]")[0].contains("Read-only"));

    // A moment to come, and nonsense, are told beside what was typed.
    for (query, told) in [
        ("on=2999-01-01&at=09:30", "has not come yet"),
        ("on=yesterday", "like 2026-01-31"),
        ("on=2026-01-31&at=25:99", "like 09:30"),
        ("as_of=soon", "like 2026-01-31T09:00:00Z"),
        ("as_of=9999-12-31T23:59:59Z", "like 2026-01-31T09:00:00Z"),
    ] {
        let page = auditor.get(&format!("/evidence/as-of?{query}")).await;
        assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY, "{query}");
        assert!(page.one("#fault-as-of").contains(told), "{query}: {}", page.text);
        assert!(!query.contains("at=09:30") || page.text.contains("value=\"2999-01-01\"") && page.text.contains("value=\"09:30\""));
    }
    for (query, status) in [
        ("application=x", StatusCode::BAD_REQUEST),
        ("role=01934f2a-7c11-7abc-8def-0123456789ab", StatusCode::NOT_FOUND),
        ("after=x", StatusCode::NOT_FOUND),
        ("q=a&q=b", StatusCode::BAD_REQUEST),
    ] {
        assert_eq!(auditor.get(&format!("/evidence/as-of?{query}")).await.status, status, "{query}");
    }
    auditor.get(&format!("/evidence/as-of?q={}%25%00'%22", "x".repeat(3_000))).await.fine();
    for (query, status) in [("as_of=2999-01-01T00:00:00Z", 422), ("mode=odd", 400), ("person=01934f2a-7c11-7abc-8def-0123456789ab", 404)] {
        assert_eq!(auditor.get(&format!("/evidence/as-of/access.csv?{query}")).await.status, status, "{query}");
    }

    // Who looked, and at whom, is on record.
    let bo = world.person("bo.lind").await;
    let looked: i64 = sqlx::query_scalar("select count(*) from countersign.audit_event where kind = 'evidence.viewed' and data ->> 'page' = '/evidence/as-of'")
        .fetch_one(&world.root)
        .await
        .unwrap();
    let read: i64 = sqlx::query_scalar(
        "select count(*) from countersign.audit_event where kind = 'evidence.read' and person_id = $1 and data ->> 'page' like 'who had access%'",
    )
    .bind(bo.0)
    .fetch_one(&world.root)
    .await
    .unwrap();
    assert_eq!((looked, read), (1, 1), "once an hour, and of whom it was about");
    let mut employee = Desk::of(&world, "bo.lind").await;
    assert_eq!(employee.get("/evidence/as-of").await.status, StatusCode::NOT_FOUND);
    let site = Site::over(&world);
    let bo = site.token(&world, "bo.lind", &ALL).await;
    assert_eq!(site.get(&bo, "/api/v1/as-of").await.status, StatusCode::NOT_FOUND);
    let auditor = site.token(&world, "wei.zhang", &ALL).await;
    for bad in ["as_of=2999-01-01", "as_of=x", "limit=0", "after=..", "colour=red"] {
        assert!(site.get(&auditor, &format!("/api/v1/as-of?{bad}")).await.status.is_client_error(), "{bad}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cursor_of_anybody_elses_making_shows_nothing_that_is_not_there() {
    let world = World::new().await;
    let by = world.by("wei.zhang").await;
    let id = "01934f2a7c117abc8def0123456789ab";
    for cursor in [format!("{id}..{id}.request.-62135596800000000.{id}"), format!("-.27.{id}.out_of_band.253402300799000000.{id}")] {
        as_of(&world.ctx, &by, None, (None, None, None), Some(&Cursor(cursor)), 50).await.unwrap();
    }
    for cursor in ["", "'; drop table request; --", "-.0.x.y.z.1"] {
        assert!(as_of(&world.ctx, &by, None, (None, None, None), Some(&Cursor(cursor.into())), 50).await.is_err(), "{cursor}");
    }
}
