//! Who has access, whether it adds up, who administered.

use std::collections::BTreeMap;

use chrono::Duration;
use countersign::domain::approval::Answer;
use countersign::evidence::columns::File;
use countersign::service::drift::ignore::{self, Ignoring};
use countersign::service::end::end;
use countersign::service::export::Taking;
use countersign::service::sweep::sweep;
use countersign::service::sync::sync;

use crate::export::{Row, parsed, taken, taking};
use crate::world::World;

const HOUR: i64 = 3_600;
const YES: Answer = Answer::Approve { granted: None };

async fn at(world: &World, taking: Taking) -> Vec<Row> {
    parsed(&taken(world, taking).await)
}

/// The row of a role and its differences: reason and part.
async fn totals(world: &World, narrow: Taking) -> (Row, BTreeMap<String, i64>) {
    let rows = at(world, Taking { file: File::ControlTotals, ..narrow }).await;
    let own: Vec<&Row> = rows.iter().filter(|row| row["reason"].is_empty()).collect();
    assert_eq!(own.len(), 1, "{rows:?}");
    let mut parts = BTreeMap::new();
    for row in rows.iter().filter(|row| !row["reason"].is_empty()) {
        *parts.entry(row["reason"].clone()).or_insert(0) += row["difference"].parse::<i64>().unwrap();
    }
    let number = |column: &str| own[0][column].parse::<i64>().unwrap_or_else(|_| panic!("{column}: {rows:?}"));
    let ended: i64 = File::ControlTotals.header().filter(|name| name.starts_with("ended_")).map(number).sum();
    assert_eq!(number("opening_active") + number("granted") - ended, number("closing_active"));
    assert_eq!(number("directory_members_now") - number("closing_active"), number("difference"));
    assert_eq!(number("difference"), parts.values().sum::<i64>(), "every difference is explained: {rows:?}");
    (own[0].clone(), parts)
}

fn numbers(row: &Row) -> [&str; 4] {
    ["opening_active", "granted", "closing_active", "directory_members_now"].map(|column| row[column].as_str())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_role_adds_up_and_with_its_directory() {
    let world = World::new().await;
    let role = world.role("orders-db", "reader").await;
    let of = Taking { role: Some(role), ..taking(File::ControlTotals) };
    let compare = async || sweep(&world.ctx, "main").await.unwrap();
    let (row, parts) = totals(&world, of).await;
    let declared = row["directory_members_now"].parse::<i64>().unwrap();
    assert_eq!(parts.get("pre_existing").copied().unwrap_or_default(), declared, "whoever was there before is told");

    let opens = world.now();
    let ask = async |who: &str, hours: i64| {
        let asked = world.ask(who, "orders-db", "reader", hours * HOUR).await.unwrap();
        let manager = if who == "freya.holm" { "hana.sato" } else { "mara.voss" };
        world.answer(manager, asked.id, YES).await.unwrap();
        world.turn().await;
        world.grant(asked.id).await.0
    };
    ask("bo.lind", 1).await;
    let returned = ask("yusuf.demir", 4).await;
    ask("freya.holm", 4).await;
    compare().await;
    let (row, parts) = totals(&world, of).await;
    let all = (3 + declared).to_string();
    assert_eq!(numbers(&row), ["0", "3", "3", all.as_str()]);
    assert!(parts.keys().all(|reason| reason == "pre_existing"), "{parts:?}");

    end(&world.ctx, &world.by("yusuf.demir").await, returned, false, None).await.unwrap();
    world.turn().await;
    let (row, parts) = totals(&world, of).await;
    assert_eq!((row["ended_returned"].as_str(), parts["ended_since_reading"]), ("1", 1), "the group was read before");
    world.advance(Duration::hours(2)).await;
    world.turn().await;
    compare().await;
    let middle = world.now();
    let (row, parts) = totals(&world, of).await;
    assert_eq!((row["ended_returned"].as_str(), row["ended_expired"].as_str(), row["closing_active"].as_str()), ("1", "1", "1"));
    assert!(!parts.contains_key("ended_since_reading"));

    // Somebody is put in by hand, and somebody whom a grant wants is taken out.
    world.directory().add(&world.group("orders-db-readers").await, &world.reference("carlos.silva").await).await;
    compare().await;
    assert_eq!(totals(&world, of).await.1["out_of_band"], 1);
    let drift: uuid::Uuid = world.one("select id from countersign.drift where resolved_at is null").await;
    let ignoring = Ignoring { reason: Some("The vendor needs it.".into()), owner: None, until: Some(world.now() + Duration::days(3)) };
    ignore::ignore(&world.ctx, &world.by("sofia.marin").await, drift, &ignoring).await.unwrap();
    compare().await;
    assert_eq!(totals(&world, of).await.1["out_of_band"], 1, "left alone, and still a difference");

    // A period that ended: what came since is a difference from the directory of now.
    ask("bo.lind", 4).await;
    compare().await;
    let past = Taking { from: Some(opens), to: Some(middle), ..of };
    let (row, parts) = totals(&world, past).await;
    assert_eq!((row["granted"].as_str(), row["closing_active"].as_str(), parts["granted_after_period"]), ("3", "1", 1));
    let (row, _) = totals(&world, Taking { from: Some(middle), ..of }).await;
    assert_eq!((row["opening_active"].as_str(), row["granted"].as_str(), row["closing_active"].as_str()), ("1", "1", "2"));

    // Of everything at once, every role has its row.
    let rows = at(&world, taking(File::ControlTotals)).await;
    let roles: i64 = world.one("select count(*) from countersign.role where retired_at is null").await;
    assert_eq!(rows.iter().filter(|row| row["reason"].is_empty()).count() as i64, roles);
    assert!(rows.iter().all(|row| !["unexplained", "does_not_add_up"].contains(&row["reason"].as_str())), "{rows:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_access_is_told_of_any_moment() {
    let world = World::new().await;
    let asked = world.ask("bo.lind", "orders-db", "reader", HOUR).await.unwrap();
    world.answer("mara.voss", asked.id, YES).await.unwrap();
    world.turn().await;
    let then = world.now();
    let role = world.role("orders-db", "reader").await;
    let of = Taking { role: Some(role), ..taking(File::Access) };
    let granted = async |narrow: Taking| at(&world, narrow).await.into_iter().filter(|row| row["source"] == "request").collect::<Vec<_>>();
    let now = granted(of).await;
    assert_eq!(now.len(), 1);
    for (column, value) in [
        ("person_id", world.person("bo.lind").await.to_string().as_str()),
        ("person_status", "active"),
        ("application", "Orders DB"),
        ("role", "Read-only"),
        ("risk", "elevated"),
        ("request_id", asked.id.to_string().as_str()),
        ("approvers", world.person("mara.voss").await.to_string().as_str()),
        ("policy_version", "standard v1"),
        ("last_reviewed_at", ""),
    ] {
        assert_eq!(now[0][column], value, "{column}");
    }
    assert!(now[0]["email"].starts_with("bo.lind@") && now[0]["manager_email"].starts_with("mara.voss@") && !now[0]["department"].is_empty());
    assert!(now[0]["since"] <= now[0]["as_of"] && now[0]["as_of"] < now[0]["until"] && now[0]["target"].contains(&world.group("orders-db-readers").await));
    assert!(now[0]["event_seq_first"].parse::<i64>().unwrap() < now[0]["event_seq_last"].parse::<i64>().unwrap());
    assert_eq!(granted(Taking { to: Some(then - Duration::hours(1)), ..of }).await.len(), 0, "not yet");

    world.advance(Duration::hours(2)).await;
    world.turn().await;
    assert_eq!(granted(of).await.len(), 0, "no more");
    // Who left since, and what changed about them, is not told of then.
    world.set_active("bo.lind", false).await;
    sync(&world.ctx, "main").await.unwrap();
    world.turn().await;
    let past = granted(Taking { to: Some(then), ..of }).await;
    assert_eq!((past.len(), past[0]["person_status"].as_str()), (1, "active"));
    for narrow in [
        Taking { person: Some(world.person("bo.lind").await), ..taking(File::Access) },
        Taking {
            application: Some(countersign::domain::id::ApplicationId(world.one("select id from countersign.application where key = 'orders-db'").await)),
            ..taking(File::Access)
        },
    ] {
        assert_eq!(granted(Taking { to: Some(then), ..narrow }).await.len(), 1);
    }
    assert_eq!(granted(Taking { to: Some(then), person: Some(world.person("mei.tanaka").await), ..taking(File::Access) }).await.len(), 0);

    // Whoever has it without a grant is told as well.
    world.directory().add(&world.group("orders-db-readers").await, &world.reference("carlos.silva").await).await;
    sweep(&world.ctx, "main").await.unwrap();
    let rows = at(&world, of).await;
    let stranger = rows.iter().find(|row| row["source"] == "out_of_band").unwrap();
    assert_eq!((stranger["person_id"].as_str(), stranger["grant_id"].as_str()), (world.person("carlos.silva").await.to_string().as_str(), ""));
    assert!(!stranger["event_seq_first"].is_empty());
    let declared: i64 = world.one("select count(*) from countersign.pre_existing_member m join countersign.role r on r.directory = m.directory and r.group_reference = m.group_reference join countersign.application a on a.id = r.application_id where a.key = 'orders-db' and r.key = 'reader' and m.gone_at is null").await;
    assert_eq!(rows.iter().filter(|row| row["source"] == "pre_existing").count() as i64, declared);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_administrators_do_and_auditors_take_is_on_record() {
    let world = World::new().await;
    taken(&world, taking(File::Grants)).await;
    world.directory().add(&world.group("orders-db-readers").await, &world.reference("carlos.silva").await).await;
    sweep(&world.ctx, "main").await.unwrap();
    let drift: uuid::Uuid = world.one("select id from countersign.drift where resolved_at is null").await;
    let ignoring = Ignoring { reason: Some("The vendor needs it.".into()), owner: None, until: Some(world.now() + Duration::days(3)) };
    let sofia = world.by("sofia.marin").await;
    ignore::ignore(&world.ctx, &sofia, drift, &ignoring).await.unwrap();
    let rows = at(&world, taking(File::AdminActivity)).await;
    let of = |action: &str| rows.iter().filter(|row| row["action"] == action).collect::<Vec<_>>();
    let applied = of("catalog.applied");
    assert_eq!((applied.len(), applied[0]["actor"].as_str()), (1, "operator"));
    assert!(applied[0]["after"].contains("standard v1"), "{applied:?}");
    let ignored = of("drift.ignored");
    assert_eq!((ignored.len(), ignored[0]["actor"].as_str(), ignored[0]["channel"].as_str()), (1, sofia.person.to_string().as_str(), "web"));
    assert!(ignored[0]["object"].starts_with("main ") && ignored[0]["after"].contains("The vendor needs it."));
    let taken: Vec<_> = of("evidence.exported").iter().map(|row| (row["actor"].as_str(), row["object"].as_str(), row["channel"].as_str())).collect();
    assert_eq!(taken, [("operator", "grants.csv", "cli"), ("operator", "admin_activity.csv", "cli")]);
    assert!(of("drift.found").is_empty() && of("session.started").is_empty(), "what happened by itself is no act");
}
