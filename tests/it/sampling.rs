//! Samples: drawn again by others, on record, on sheets.

use std::path::Path;
use std::process::Command;

use axum::http::StatusCode;
use chrono::Duration;
use countersign::domain::approval::Answer;
use countersign::evidence::columns::File;
use countersign::evidence::csv::Mode;
use countersign::service::error::ServiceError;
use countersign::service::export::Taking;
use countersign::service::sample::{self, Drawing, POPULATIONS, Sample};
use countersign::service::sweep::sweep;
use countersign::service::sync::sync;
use countersign::web::state::App;
use sqlx::SqlStr;

use crate::api::{ALL, Site};
use crate::desk::Desk;
use crate::door;
use crate::export::{parsed, taken};
use crate::world::World;

const HOUR: i64 = 3_600;
const YES: Answer = Answer::Approve { granted: None };

/// Requests that came to this and that, people who left and moved, members whom nobody granted anything, rules that changed.
async fn lived(world: &World) {
    for (who, manager) in [("bo.lind", "mara.voss"), ("yusuf.demir", "mara.voss"), ("freya.holm", "hana.sato"), ("kofi.asante", "hana.sato")] {
        let asked = world.ask(who, "orders-db", "reader", 9 * HOUR).await.unwrap();
        let answer = if who == "kofi.asante" { Answer::Deny } else { YES };
        world.answer(manager, asked.id, answer).await.unwrap();
    }
    world.ask("wei.zhang", "orders-db", "reader", HOUR).await.unwrap();
    world.ask("bo.lind", "warehouse", "analyst", 24 * HOUR).await.unwrap();
    world.turn().await;
    for who in ["carlos.silva", "mei.tanaka"] {
        world.directory().add(&world.group("orders-db-readers").await, &world.reference(who).await).await;
    }
    sweep(&world.ctx, "main").await.unwrap();
    world.advance(Duration::hours(1)).await;
    world.set_active("yusuf.demir", false).await;
    world.set_active("freya.holm", false).await;
    sync(&world.ctx, "main").await.unwrap();
    world.turn().await;
    world.apply(&crate::world::catalog().replace("maximum = \"30d\"", "maximum = \"31d\"")).await;
    world.advance(Duration::hours(1)).await;
}

fn drawing(world: &World, file: File, size: i64, seed: &str) -> Drawing {
    let period = (world.now() - Duration::days(30), world.now());
    Drawing {
        taking: Taking { file, mode: Mode::Raw, from: Some(period.0), to: Some(period.1), application: None, role: None, person: None },
        seed: seed.into(),
        size,
    }
}

async fn drawn(world: &World, drawing: &Drawing) -> Sample {
    sample::draw(&world.ctx, &world.by("wei.zhang").await, drawing).await.unwrap()
}

fn told(sample: &Sample) -> String {
    let lines: Vec<String> = sample.items.iter().map(|item| format!("{} {}\n", item.digest, item.id)).collect();
    format!("{}\n{}", sample.count, lines.concat())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_of_another_hand_draws_the_same_from_the_file() {
    let world = World::new().await;
    lived(&world).await;
    let folder = tempfile::tempdir().unwrap();
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/sample.py");
    for file in POPULATIONS {
        for (size, seed) in [(1, "a"), (3, "Prüfung Q3 | 'x'"), (200, "\u{1f3b2}")] {
            let drawing = drawing(&world, file, size, seed);
            let sample = drawn(&world, &drawing).await;
            assert!(file == File::Movers || sample.count > 0, "{file:?} is not empty here");
            assert_eq!(sample.items.len() as i64, sample.count.min(size), "{file:?}");
            assert!(sample.items.iter().all(|item| !item.rows.is_empty() && !item.title().is_empty()), "{file:?}: {:?}", sample.items);
            let path = folder.path().join(file.name());
            std::fs::write(&path, taken(&world, drawing.taking).await).unwrap();
            let done = Command::new("python3").arg(&program).arg(&path).arg(seed).arg(size.to_string()).output().unwrap();
            assert_eq!(String::from_utf8_lossy(&done.stdout), told(&sample), "{file:?} {seed}: {}", String::from_utf8_lossy(&done.stderr));
            assert_eq!(told(&drawn(&world, &drawing).await), told(&sample), "and again");
        }
    }
    let (one, other) = (drawing(&world, File::Requests, 6, "a"), drawing(&world, File::Requests, 6, "b"));
    assert_ne!(told(&drawn(&world, &one).await), told(&drawn(&world, &other).await), "another seed draws in another order");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_file_of_a_sample_has_the_rows_of_its_items_and_each_taking_is_on_record() {
    let world = World::new().await;
    lived(&world).await;
    let site = Site::over(&world);
    let auditor = site.token(&world, "wei.zhang", &ALL).await;
    let role = world.role("orders-db", "reader").await;
    let period = "from=2020-01-01&to=2999-01-01";
    for file in POPULATIONS {
        let narrow = if file == File::Leavers { format!("&role={role}") } else { String::new() };
        let query = format!("population={}&{period}&size=2&seed=s{narrow}", file.word());
        let listed = site.get(&auditor, &format!("/api/v1/sample?{query}")).await;
        assert_eq!(listed.status, StatusCode::OK, "{}", listed.text);
        let listed = listed.json();
        let csv = site.get(&auditor, &format!("/api/v1/sample.csv?{query}")).await;
        assert_eq!(csv.status, StatusCode::OK, "{}", csv.text);
        assert!(csv.text.starts_with(&(file.header().collect::<Vec<_>>().join(",") + "\r\n")));
        let mut rows = Vec::new();
        for item in listed["items"].as_array().unwrap() {
            for row in item["rows"].as_array().unwrap() {
                rows.push(file.header().map(|name| row[name].as_str().unwrap().to_owned()).collect::<Vec<_>>());
            }
        }
        let taken: Vec<Vec<String>> = parsed(&csv.text).iter().map(|row| file.header().map(|name| row[name].clone()).collect()).collect();
        assert_eq!(taken, rows, "{file:?}: in the order they were drawn, cell for cell");
    }
    let sampled: Vec<(String, String)> =
        sqlx::query_as("select data ->> 'population', data ->> 'filters' from countersign.audit_event where kind = 'evidence.sampled' order by id")
            .fetch_all(&world.root)
            .await
            .unwrap();
    assert_eq!(sampled.iter().map(|(population, _)| population.as_str()).collect::<Vec<_>>(), POPULATIONS.map(File::word));
    assert!(sampled.iter().all(|(_, filters)| filters.starts_with("from 2020-01-01T00:00:00Z, to 2999-01-01T00:00:00Z")));
    // The same again is the same drawing; an hour later it is another.
    let again = format!("/api/v1/sample?population=grants&{period}&size=2&seed=s");
    site.get(&auditor, &again).await;
    let count = async || world.one::<i64>("select count(*) from countersign.audit_event where kind = 'evidence.sampled'").await;
    assert_eq!(count().await, 8);
    world.advance(Duration::minutes(61)).await;
    site.get(&auditor, &again).await;
    assert_eq!(count().await, 9);
    let exported: i64 = world.one("select count(*) from countersign.audit_event where kind = 'evidence.exported' and data ->> 'file' = 'sample_of_grants.csv' and data ->> 'filters' like '%, 2 drawn by the seed s'").await;
    assert_eq!(exported, 1);
    let activity = taken(&world, crate::export::taking(File::AdminActivity)).await;
    let row = parsed(&activity).into_iter().find(|row| row["action"] == "evidence.sampled" && row["object"] == "grants").unwrap();
    assert_eq!(row["actor"], world.person("wei.zhang").await.to_string());
    let after: serde_json::Value = serde_json::from_str(&row["after"]).unwrap();
    assert_eq!((after["seed"].as_str(), after["size"].as_i64(), after["count"].as_i64()), (Some("s"), Some(2), Some(4)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sheets_hold_request_trace_approvals_provisioning_end_and_proofs() {
    let sealed = crate::sealed::Sealed::new().await;
    let world = &sealed.world;
    lived(world).await;
    world.advance(Duration::days(2)).await;
    world.turn().await;
    countersign::service::seal::seal(&sealed.ctx).await.unwrap();
    countersign::service::seal::sign(&sealed.ctx, true).await.unwrap();
    let app = App { ctx: sealed.ctx.clone(), ..door::app(world, world.demo.issuer()) };
    let mut auditor = Desk::at(&app, "wei.zhang").await;
    let day = |days| (world.now() - Duration::days(days)).format("%Y-%m-%d").to_string();
    for file in POPULATIONS {
        let query = format!("population={}&from={}&to={}&size=200&seed=sheets", file.word(), day(9), day(0));
        let list = auditor.get(&format!("/evidence/sample?{query}")).await.fine();
        let items = list.all("table.sample tbody tr").len();
        assert!(items > 0 || file == File::Movers, "{file:?}");
        let sheets = auditor.get(&format!("/evidence/sample/sheets?{query}")).await.fine();
        assert_eq!(sheets.all(".sheet").len(), items, "{file:?}: a sheet for each");
        assert_eq!(sheets.all(".conclusion").len(), items);
        if items > 0 {
            assert!(sheets.text.contains("Checkpoint of") && !sheets.text.contains("not sealed yet"), "{file:?}");
            assert_eq!(auditor.get(&format!("/evidence/sample/sheets?{query}&item=1")).await.fine().all(".sheet").len(), 1);
        }
        assert_eq!(auditor.get(&format!("/evidence/sample/sheets?{query}&item={}", items + 1)).await.status, StatusCode::NOT_FOUND);
    }
    let bo = world.person("bo.lind").await;
    let query = format!("population=grants&from={}&to={}&size=9&seed=bo&person={bo}&role={}", day(9), day(0), world.role("orders-db", "reader").await);
    let sheet = auditor.get(&format!("/evidence/sample/sheets?{query}")).await.fine();
    assert_eq!(sheet.all(".sheet").len(), 1);
    let text = sheet.main();
    for said in [
        "Bo Lind: Orders DB Read-only",
        "standard",
        "Mara Voss",
        "Approved",
        "active in the directory",
        "Add",
        "Remove",
        "Expired",
        "Read back as gone",
        "9 hours",
    ] {
        assert!(text.contains(said), "{said} is not in {text}");
    }
    let events: i64 = sqlx::query_scalar("select count(*) from countersign.audit_event where request_id = (select request_id from countersign.access_grant where beneficiary_id = $1 and role_id = $2)")
        .bind(bo.0)
        .bind(world.role("orders-db", "reader").await.0)
        .fetch_one(&world.root)
        .await
        .unwrap();
    assert_eq!(sheet.all(".sheet a[href^='/log/']").len() as i64, events, "every event with its page");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_empty_and_huge_drawings_are_told_and_only_auditors_draw() {
    let world = World::new().await;
    lived(&world).await;
    let mut auditor = Desk::of(&world, "wei.zhang").await;
    let form = auditor.get("/evidence/sample").await.fine();
    assert!(form.all("table.sample").is_empty());
    assert_eq!(world.one::<i64>("select count(*) from countersign.audit_event where kind = 'evidence.sampled'").await, 0, "looking at the form draws nothing");
    for (query, field) in [
        ("seed=a&size=0".to_owned(), "size"),
        ("seed=a&size=201".into(), "size"),
        ("seed=a&size=-1".into(), "size"),
        ("seed=a&size=1e2".into(), "size"),
        (format!("seed=a&size={}", "9".repeat(400)), "size"),
        ("seed=&size=5".into(), "seed"),
        ("seed=%20%20&size=5".into(), "seed"),
        ("seed=a%00b&size=5".into(), "seed"),
        (format!("seed={}&size=5", "x".repeat(101)), "seed"),
        ("seed=a&size=5&population=events".into(), "population"),
        ("seed=a&size=5&from=2026-02-30".into(), "from"),
        ("seed=a&size=5&from=2026-02-02&to=2026-02-01".into(), "to"),
    ] {
        let page = auditor.get(&format!("/evidence/sample?{query}")).await;
        assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY, "{query}");
        assert_eq!(page.all(&format!("#fault-{field}")).len(), 1, "{query}: {}", page.text);
        assert_eq!(auditor.get(&format!("/evidence/sample/sheets?{query}")).await.status, StatusCode::UNPROCESSABLE_ENTITY, "{query}");
    }
    for seed in ["' or 1=1; --", "\\x00", "$1", "%s", "<script>alert(1)</script>", "\u{202e}abc"] {
        let encoded: String = seed.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let page = auditor.get(&format!("/evidence/sample?population=requests&size=200&seed={encoded}")).await.fine();
        assert_eq!(page.all("table.sample tbody tr").len(), 6, "{seed}");
        assert!(!page.text.contains("<script>alert"));
    }
    let mut employee = Desk::of(&world, "bo.lind").await;
    for path in ["/evidence/sample", "/evidence/sample?seed=a&size=5", "/evidence/sample/sheets?seed=a&size=5", "/evidence/sample/sample.csv?seed=a&size=5"] {
        assert_eq!(employee.get(path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    let nobody = sample::draw(&world.ctx, &world.by("bo.lind").await, &drawing(&world, File::Requests, 5, "a")).await;
    assert!(matches!(nobody, Err(ServiceError::Missing)));

    let site = Site::over(&world);
    let token = site.token(&world, "wei.zhang", &ALL).await;
    let faulty = site.get(&token, "/api/v1/sample?population=x&from=soon&size=0&colour=red").await;
    assert_eq!(faulty.status, StatusCode::UNPROCESSABLE_ENTITY);
    let named: Vec<String> = faulty.json()["errors"].as_array().unwrap().iter().map(|fault| fault["field"].as_str().unwrap().to_owned()).collect();
    for field in ["population", "from", "to", "size", "seed", "colour"] {
        assert!(named.iter().any(|name| name == field), "{field} of {named:?}");
    }
    for bad in ["size=201&seed=a", "size=5&seed=a%0Ab", "size=5&seed=%20a", "size=5&seed=a&seed=b"] {
        let answer = site.get(&token, &format!("/api/v1/sample?population=grants&from=2026-01-01&to=2027-01-01&{bad}")).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{bad}: {}", answer.text);
    }
    // An empty population gives an empty sample, and a file with its header.
    let query = "population=grants&from=2020-01-01&to=2020-02-01&size=5&seed=a";
    assert_eq!(site.get(&token, &format!("/api/v1/sample?{query}")).await.json()["count"], 0);
    let empty = site.get(&token, &format!("/api/v1/sample.csv?{query}")).await;
    assert_eq!(empty.text, File::Grants.header().collect::<Vec<_>>().join(",") + "\r\n");
    let narrow = site.token(&world, "wei.zhang", &["events:read"]).await;
    assert_eq!(site.get(&narrow, &format!("/api/v1/sample?{query}")).await.status, StatusCode::FORBIDDEN);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_asked_twice_in_one_step_is_one_item() {
    let world = World::new().await;
    lived(&world).await;
    world.tampered("a second slot is written past the procedure");
    for sql in [
        "begin; set local session_replication_role = replica;
         alter table countersign.request_slot disable trigger user; alter table countersign.assignment disable trigger user;
         insert into countersign.request_slot (request_id, step_no, slot_no, approvals, procedure_slot, source, source_label)
           select request_id, step_no, 2, 1, 1, source, source_label from countersign.request_slot;
         insert into countersign.assignment (request_id, step_no, slot_no, person_id, open) select request_id, step_no, 2, person_id, false from countersign.assignment where slot_no = 1;
         alter table countersign.request_slot enable trigger user; alter table countersign.assignment enable trigger user; commit;",
    ] {
        sqlx::raw_sql(SqlStr::from_static(sql)).execute(&world.root).await.unwrap();
    }
    let drawing = drawing(&world, File::Approvals, 200, "twice");
    let sample = drawn(&world, &drawing).await;
    let rows = parsed(&taken(&world, drawing.taking).await).len();
    assert_eq!(sample.items.len() as i64, sample.count);
    assert_eq!(sample.items.iter().map(|item| item.rows.len()).sum::<usize>(), rows);
    assert!(rows > sample.items.len());
}
