//! What is taken away, to the last cell.

use std::collections::BTreeMap;

use axum::http::{StatusCode, header};
use chrono::Duration;
use countersign::evidence::columns::File;
use countersign::evidence::csv::{Mode, undo};
use countersign::service::export::{Taking, export_by_operator};
use countersign::store::export::Population;
use serde_json::json;
use sqlx::{Column, Executor, SqlStr, Statement};

use crate::api::{ALL, Answer, Site};
use crate::world::World;

pub type Row = BTreeMap<String, String>;

/// The rows of a file, by column.
pub fn parsed(text: &str) -> Vec<Row> {
    let mut reader = csv::ReaderBuilder::new().terminator(csv::Terminator::CRLF).from_reader(text.as_bytes());
    let header = reader.headers().unwrap().clone();
    reader.records().map(|record| header.iter().map(String::from).zip(record.unwrap().iter().map(String::from)).collect()).collect()
}

pub fn taking(file: File) -> Taking {
    Taking { file, mode: Mode::Raw, from: None, to: None, application: None, role: None, person: None }
}

pub async fn taken(world: &World, taking: Taking) -> String {
    let mut download = export_by_operator(&world.ctx, &taking).await.unwrap();
    let mut text = Vec::new();
    while let Some(piece) = download.next().await {
        text.extend(piece.unwrap());
    }
    String::from_utf8(text).unwrap()
}

/// Bo asks, Mara approves; returns the request's id.
async fn granted(world: &World, site: &Site, justification: &str) -> String {
    let bo = site.token(world, "bo.lind", &ALL).await;
    let mara = site.token(world, "mara.voss", &ALL).await;
    let role = world.role("orders-db", "reader").await;
    let asked = site.post(&bo, "/api/v1/requests", json!({"role": role, "duration_s": 3600, "justification": justification})).await;
    let id = asked.json()["id"].as_str().unwrap_or_else(|| panic!("{}", asked.text)).to_owned();
    let approved = site.post(&mara, &format!("/api/v1/requests/{id}/approve"), json!({"comment": "@fine, \"go\""})).await;
    assert_eq!(approved.status, StatusCode::OK, "{}", approved.text);
    world.turn().await;
    id
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_columns_of_the_statements_are_the_columns_of_the_contract() {
    let world = World::empty().await;
    for (file, population) in [
        (File::Requests, Population::Requests),
        (File::Approvals, Population::Approvals),
        (File::Grants, Population::Grants),
        (File::Events, Population::Events),
        (File::PolicyChanges, Population::PolicyChanges),
        (File::Sod, Population::SeparationOfDuties),
        (File::Provisioning, Population::Provisioning),
        (File::Drift, Population::Drift),
        (File::Leavers, Population::Leavers),
        (File::Movers, Population::Movers),
        (File::Access, Population::Access),
        (File::Reviews, Population::Reviews),
        (File::AdminActivity, Population::AdminActivity),
        (File::ControlTotals, Population::ControlTotals),
    ] {
        let statement = world.root.prepare(SqlStr::from_static(population.statement())).await.unwrap();
        let names: Vec<_> = statement.columns().iter().map(|column| column.name().to_owned()).collect();
        assert_eq!(names, file.header().collect::<Vec<_>>(), "{file:?}");
        let empty = taken(&world, taking(file)).await;
        // Of taking the files themselves there is something to tell.
        if ![File::Events, File::AdminActivity].contains(&file) {
            assert_eq!(empty, names.join(",") + "\r\n", "an empty population still gives a file");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_files_tell_the_life_of_an_access() {
    let world = World::new().await;
    let site = Site::over(&world);
    let id = granted(&world, &site, "Look into order 4711.").await;
    world.advance(Duration::hours(2)).await;
    world.turn().await;
    world.tampered("a trace is rewritten, which the replay finds");
    // What a directory said may hold a NUL, escaped; it must not break every file after it.
    for sql in [
        "alter table countersign.request disable trigger user",
        r#"update countersign.request set trace = replace(trace, '"seen":["true"]', '"seen":["tr\u0000ue"]')"#,
    ] {
        world.root.execute(SqlStr::from_static(sql)).await.unwrap();
    }
    // Who they are now is not who they were then.
    sqlx::query("update countersign.person set display_name = 'Somebody Else', email = 'else@example.com' where user_name in ('bo.lind', 'mara.voss')")
        .execute(&world.root)
        .await
        .unwrap();

    let requests = parsed(&taken(&world, taking(File::Requests)).await);
    let request = &requests[0];
    assert_eq!(requests.len(), 1);
    for (column, value) in [
        ("request_id", id.as_str()),
        ("requester_name", "Bo Lind"),
        ("beneficiary_name", "Bo Lind"),
        ("on_behalf", "false"),
        ("channel", "api"),
        ("application", "Orders DB"),
        ("role", "Read-only"),
        ("risk", "elevated"),
        ("justification", "Look into order 4711."),
        ("ticket_ref", ""),
        ("requested_duration_s", "3600"),
        ("profile", "everybody v1"),
        ("policy", "standard"),
        ("policy_version", "1"),
        ("decision", "needs_approval"),
        ("procedure", "manager v1"),
        ("steps_required", "1"),
        ("status", "approved"),
        ("emergency", "false"),
    ] {
        assert_eq!(request[column], value, "{column}");
    }
    assert!(request["requester_email"].starts_with("bo.lind@"));
    let used: serde_json::Value = serde_json::from_str(&request["attributes_used"]).unwrap();
    assert_eq!(used["active"], json!(["tr\u{fffd}ue"]));
    assert!(request["requested_at"].ends_with('Z') && request["decided_at"] > request["requested_at"]);

    let approvals = parsed(&taken(&world, taking(File::Approvals)).await);
    assert_eq!(approvals.len(), 1);
    for (column, value) in [
        ("request_id", id.as_str()),
        ("step_no", "1"),
        ("step", "Manager"),
        ("slot_source", "manager"),
        ("slot_count", "1"),
        ("acting_as", "self"),
        ("decision", "approve"),
        ("comment", "@fine, \"go\""),
        ("channel", "api"),
    ] {
        assert_eq!(approvals[0][column], value, "{column}");
    }
    assert_eq!(approvals[0]["assigned_to_id"], world.person("mara.voss").await.to_string());
    assert_eq!(approvals[0]["decided_by_id"], approvals[0]["assigned_to_id"]);
    assert!(approvals[0]["decided_by_email"].starts_with("mara.voss@"));
    assert!(approvals[0]["event_seq_first"].parse::<i64>().unwrap() < approvals[0]["event_seq_last"].parse::<i64>().unwrap());

    let grants = parsed(&taken(&world, taking(File::Grants)).await);
    assert_eq!(grants.len(), 1);
    let grant = &grants[0];
    for (column, value) in [
        ("request_id", id.as_str()),
        ("application", "Orders DB"),
        ("role", "Read-only"),
        ("provisioning_method", "idp_group"),
        ("approval_before_grant", "true"),
        ("status", "ended"),
        ("end_reason", "expired"),
        ("ended_by", ""),
        ("confirmed", "unknown"),
    ] {
        assert_eq!(grant[column], value, "{column}");
    }
    assert!(grant["target"].contains(&world.group("orders-db-readers").await), "{}", grant["target"]);
    assert!(grant["approved_at"] <= grant["granted_at"] && grant["granted_at"] <= grant["verified_at"] && grant["ends_at"] <= grant["end_verified_at"]);
    assert!(grant["revoke_latency_s"].parse::<f64>().unwrap() > 0.0);

    let events = parsed(&taken(&world, taking(File::Events)).await);
    let logged: i64 = world.one("select count(*) from countersign.audit_event").await;
    assert_eq!(events.len() as i64, logged, "the events' own export is among them");
    let exported: Vec<_> = events.iter().filter(|event| event["kind"] == "evidence.exported").collect();
    assert_eq!(exported.len(), 4);
    assert!(exported.iter().all(|event| event["actor_kind"] == "system" && event["channel"] == "cli"));
    let of_request: Vec<i64> = events
        .iter()
        .filter(|event| event["request_id"] == id && (event["kind"].starts_with("request.") || event["kind"].starts_with("approval.")))
        .map(|event| event["event_id"].parse().unwrap())
        .collect();
    assert_eq!(request["event_seq_first"], of_request.iter().min().unwrap().to_string());
    assert_eq!(request["event_seq_last"], of_request.iter().max().unwrap().to_string());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_came_to_nothing_is_a_full_row_too() {
    let world = World::new().await;
    let site = Site::over(&world);
    let role = world.role("orders-db", "reader").await;
    let ask = async |person: &str| {
        let token = site.token(&world, person, &ALL).await;
        let asked = site.post(&token, "/api/v1/requests", json!({"role": role, "duration_s": 3600, "justification": "Look into order 4711."})).await;
        (token, asked.json()["id"].as_str().unwrap_or_else(|| panic!("{}", asked.text)).to_owned())
    };
    let mara = site.token(&world, "mara.voss", &ALL).await;
    let (_, denied) = ask("bo.lind").await;
    site.post(&mara, &format!("/api/v1/requests/{denied}/deny"), json!({"reason": "=1+1"})).await;
    let (yusuf, withdrawn) = ask("yusuf.demir").await;
    site.post(&yusuf, &format!("/api/v1/requests/{withdrawn}/withdraw"), json!({})).await;
    let (_, timed_out) = ask("freya.holm").await;
    let (_, refused) = ask("wei.zhang").await;
    world.advance(Duration::days(4)).await;
    world.turn().await;
    let (_, open) = ask("kofi.asante").await;
    let at_once = site.token(&world, "bo.lind", &ALL).await;
    let analyst = world.role("warehouse", "analyst").await;
    let at_once = site.post(&at_once, "/api/v1/requests", json!({"role": analyst, "duration_s": 86_400})).await.json();
    assert_eq!(at_once["status"], "approved");

    let requests: BTreeMap<String, Row> =
        parsed(&taken(&world, taking(File::Requests)).await).into_iter().map(|row| (row["request_id"].clone(), row)).collect();
    assert_eq!(requests.len(), 6);
    for (id, status, settled) in
        [(&denied, "denied", true), (&withdrawn, "withdrawn", true), (&timed_out, "timed_out", true), (&refused, "refused", true), (&open, "pending", false)]
    {
        let row = &requests[id];
        assert_eq!(row["status"], status);
        assert_eq!(!row["decided_at"].is_empty() && !row["time_to_decision_s"].is_empty(), settled, "{status}");
        assert!(!row["requester_name"].is_empty() && !row["application"].is_empty() && !row["deciding_rule"].is_empty() && !row["event_seq_last"].is_empty());
    }
    let approvals = parsed(&taken(&world, taking(File::Approvals)).await);
    let said = |id: &str| approvals.iter().filter(|row| row["request_id"] == id).map(|row| row["decision"].as_str()).collect::<Vec<_>>();
    assert_eq!(said(&denied), ["deny"]);
    assert_eq!(said(&withdrawn), ["superseded"]);
    assert_eq!(said(&timed_out), ["timed_out"]);
    assert_eq!(said(&open), [""]);
    assert_eq!(said(&refused), Vec::<&str>::new());
    assert_eq!(said(at_once["id"].as_str().unwrap()), ["auto_approve"]);

    let safe = parsed(&taken(&world, Taking { mode: Mode::Safe, ..taking(File::Approvals) }).await);
    let cell = &safe.iter().find(|row| row["request_id"] == denied).unwrap()["comment"];
    assert_eq!((cell.as_str(), undo(cell)), ("'=1+1", "=1+1"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_period_a_role_and_a_person_narrow_the_files() {
    let world = World::new().await;
    let site = Site::over(&world);
    let id = granted(&world, &site, "Look into order 4711.").await;
    let at = world.now();
    let role = world.role("orders-db", "reader").await;
    let other = world.role("warehouse", "analyst").await;
    for file in [File::Requests, File::Approvals, File::Grants] {
        let count = async |narrow: Taking| parsed(&taken(&world, narrow).await).iter().filter(|row| row["request_id"] == id).count();
        assert_eq!(count(taking(file)).await, 1);
        assert_eq!(count(Taking { from: Some(at - Duration::days(1)), to: Some(at + Duration::days(1)), ..taking(file) }).await, 1);
        assert_eq!(count(Taking { from: Some(at), ..taking(file) }).await, 0);
        assert_eq!(count(Taking { to: Some(at - Duration::days(1)), ..taking(file) }).await, 0);
        assert_eq!(count(Taking { role: Some(role), ..taking(file) }).await, 1);
        assert_eq!(count(Taking { role: Some(other), ..taking(file) }).await, 0);
        assert_eq!(count(Taking { person: Some(world.person("bo.lind").await), ..taking(file) }).await, 1);
        assert_eq!(count(Taking { person: Some(world.person("mei.tanaka").await), ..taking(file) }).await, 0);
    }
    let backwards = export_by_operator(&world.ctx, &Taking { from: Some(at), to: Some(at), ..taking(File::Grants) }).await;
    assert!(backwards.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn evidence_is_taken_only_by_who_may_and_the_log_says_so() {
    let world = World::new().await;
    let site = Site::over(&world);
    granted(&world, &site, "Look into order 4711.").await;
    let (role, foreign) = (world.role("orders-db", "reader").await, world.role("warehouse", "analyst").await);
    let (bo_id, mei_id) = (world.person("bo.lind").await, world.person("mei.tanaka").await);
    let auditor = site.token(&world, "wei.zhang", &ALL).await;
    let owner = site.token(&world, "arjun.mehta", &ALL).await;
    let bo = site.token(&world, "bo.lind", &ALL).await;
    for (token, query, may) in [
        (&auditor, String::new(), true),
        (&owner, String::new(), false),
        (&owner, format!("?role={role}"), true),
        (&owner, format!("?role={foreign}"), false),
        (&owner, format!("?person={bo_id}"), false),
        (&owner, format!("?role={role}&person={bo_id}"), true),
        (&bo, String::new(), false),
        (&bo, format!("?role={role}"), false),
        (&bo, format!("?person={bo_id}"), true),
        (&bo, format!("?person={mei_id}"), false),
        (&auditor, format!("?role={}", uuid::Uuid::nil()), false),
    ] {
        let answer: Answer = site.get(token, &format!("/api/v1/exports/grants.csv{query}")).await;
        assert_eq!(answer.status, if may { StatusCode::OK } else { StatusCode::NOT_FOUND }, "{query}: {}", answer.text);
        if may {
            assert_eq!(parsed(&answer.text).len(), 1);
            assert!(answer.headers[header::CONTENT_TYPE].to_str().unwrap().starts_with("text/csv"));
            assert_eq!(answer.headers[header::CONTENT_DISPOSITION], "attachment; filename=\"grants.csv\"");
        }
    }
    assert_eq!(world.one::<i64>("select count(*) from countersign.audit_event where kind = 'evidence.exported'").await, 4);
    let filters: String = world.one("select data->>'filters' from countersign.audit_event where kind = 'evidence.exported' order by id offset 1 limit 1").await;
    assert_eq!(filters, format!("role {role}"));
    let head = axum::http::Request::head("/api/v1/exports/grants.csv").header(header::AUTHORIZATION, format!("Bearer {auditor}"));
    assert_eq!(site.send(head.body(axum::body::Body::empty()).unwrap()).await.status, StatusCode::METHOD_NOT_ALLOWED, "a HEAD takes nothing");
    assert_eq!(world.one::<i64>("select count(*) from countersign.audit_event where kind = 'evidence.exported'").await, 4);
    let ahead = axum::http::Request::get("/api/v1/exports/grants.csv").header(header::AUTHORIZATION, format!("Bearer {auditor}"));
    let ahead = site.send(ahead.header("sec-purpose", "prefetch").body(axum::body::Body::empty()).unwrap()).await;
    assert_eq!((ahead.status, &ahead.json()["type"]), (StatusCode::FORBIDDEN, &serde_json::json!("urn:countersign:problem:ahead")));
    assert_eq!(world.one::<i64>("select count(*) from countersign.audit_event where kind = 'evidence.exported'").await, 4);
    let token = site.token(&world, "wei.zhang", &["events:read"]).await;
    assert_eq!(site.get(&token, "/api/v1/exports/grants.csv").await.status, StatusCode::FORBIDDEN);
    let faulty = site.get(&auditor, "/api/v1/exports/grants.csv?mode=odd&from=soon").await;
    assert_eq!(faulty.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", faulty.text);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_on_disk_is_whole_or_not_there() {
    let world = World::new().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.csv");
    let download = export_by_operator(&world.ctx, &taking(File::Events)).await.unwrap();
    let bytes = download.save(&path).await.unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().len(), bytes);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no half file is left");
    let nowhere = export_by_operator(&world.ctx, &taking(File::Events)).await.unwrap();
    assert!(nowhere.save(&folder.path().join("no/such/folder.csv")).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_that_is_given_up_frees_its_connection() {
    let world = World::new().await;
    sqlx::query("insert into countersign.audit_event (kind, actor_kind, channel, data) select 'test.many', 'system', 'system', jsonb_build_object('x', repeat('y', 500)) from generate_series(1, 50000)")
        .execute(&world.root)
        .await
        .unwrap();
    for _ in 0..20 {
        let mut download = export_by_operator(&world.ctx, &taking(File::Events)).await.unwrap();
        assert!(download.next().await.unwrap().is_ok());
        drop(download);
    }
    assert!(parsed(&taken(&world, taking(File::Events)).await).len() > 50_000);
}
