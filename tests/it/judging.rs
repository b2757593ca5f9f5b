//! Replay, what-if and tests of the rules.

use std::sync::Arc;

use chrono::Duration;
use countersign::domain::id::RequestId;
use countersign::domain::request::RequestStatus;
use countersign::domain::span::Seconds;
use countersign::service::again::Progress;
use countersign::service::ask::{AskFor, ask};
use countersign::service::error::ServiceError;
use countersign::service::what_if::{Turn, WhatIf, what_if};
use countersign::service::{replay, rule_book, rule_test};

use crate::world::{World, catalog};

/// Asks and says which request came of it.
pub async fn asked(world: &World, who: &str, (application, role): (&str, &str), hours: i64) -> RequestId {
    let mut ask_for = AskFor::new(world.role(application, role).await);
    ask_for.duration = Some(Seconds(hours * 3_600));
    ask_for.justification = Some("Needed to look into what customers reported".into());
    ask_for.ticket_reference = Some("OV-4711".into());
    ask(&world.ctx, &world.by(who).await, ask_for).await.unwrap().id
}

/// A little of everything: one that waits, one at once, one refused, and one with two steps.
async fn some_requests(world: &World) -> [RequestId; 4] {
    [
        asked(world, "bo.lind", ("orders-db", "reader"), 4).await,
        asked(world, "bo.lind", ("warehouse", "analyst"), 48).await,
        asked(world, "wei.zhang", ("orders-db", "reader"), 4).await,
        asked(world, "elif.aydin", ("warehouse", "analyst"), 8).await,
    ]
}

async fn replayed(world: &World) -> (Vec<replay::Replayed>, String) {
    let mut rows = Vec::new();
    let mut csv = replay::header();
    let period = (world.now() - Duration::days(1), world.now() + Duration::days(1));
    let summary = replay::replay(&world.ctx, period, &Progress::default(), async |page: Vec<replay::Replayed>| {
        csv.extend(replay::records(&page));
        rows.extend(page);
        Ok::<_, ServiceError>(())
    })
    .await
    .unwrap();
    assert_eq!(summary.replayed as usize, rows.len());
    assert_eq!(summary.different as usize, rows.iter().filter(|row| !row.is_equal()).count());
    (rows, String::from_utf8(csv).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_decision_comes_out_the_same_again_also_after_the_rules_have_changed() {
    let world = World::new().await;
    let ids = some_requests(&world).await;
    world.apply(&catalog().replace("name = \"Standard access\"", "name = \"Standard, renamed\"")).await;
    asked(&world, "daniel.cohen", ("ledger", "accountant"), 48).await;
    let (rows, csv) = replayed(&world).await;
    assert_eq!(rows.len(), 5);
    assert!(rows.iter().all(replay::Replayed::is_equal), "{rows:?}");
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    assert_eq!(reader.headers().unwrap(), vec!["request_id", "stored", "recomputed", "equal"]);
    let records: Vec<Vec<String>> = reader.records().map(|record| record.unwrap().iter().map(Into::into).collect()).collect();
    let first = ["needs_approval by standard v1", "needs_approval by standard v1", "true"];
    assert_eq!(records[0], [&[ids[0].to_string().as_str()], &first[..]].concat());
    assert_eq!(records[1][1], "auto_approved by analysts-at-once v1");
    assert!(records[2][1].starts_with("refused"));
    assert!(csv.ends_with("\r\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_changed_afterwards_is_found_by_replay() {
    let world = World::new().await;
    let ids = some_requests(&world).await;
    world.tampered("stored decisions are changed behind the guards");
    let change = async |sql: &'static str, id: RequestId| {
        let mut tx = world.root.begin().await.unwrap();
        sqlx::query("alter table request disable trigger user").execute(&mut *tx).await.unwrap();
        assert_eq!(sqlx::query(sql).bind(id.0).execute(&mut *tx).await.unwrap().rows_affected(), 1);
        sqlx::query("alter table request enable always trigger as_submitted").execute(&mut *tx).await.unwrap();
        tx.commit().await.unwrap();
    };
    assert_eq!(replay::all(&world.ctx).await.unwrap(), []);
    change("update request set trace = replace(trace, 'Data', 'Sales') where id = $1", ids[1]).await;
    change("update request set inputs = replace(inputs, 'employee', 'contractor') where id = $1", ids[0]).await;
    change("update request set deciding_rule = 'because' where id = $1", ids[2]).await;
    change("update request set inputs = 'gone' where id = $1", ids[3]).await;
    let found = replay::all(&world.ctx).await.unwrap();
    let of = |id: RequestId| found.iter().find(|row| row.request == id).unwrap().differences.join("; ");
    assert_eq!(found.len(), 4);
    assert_eq!(of(ids[1]), "the trace is another");
    assert!(of(ids[0]).contains("policy version") && of(ids[0]).contains("not those that were digested"), "{}", of(ids[0]));
    assert!(of(ids[2]).starts_with("the deciding rule “because” becomes"), "{}", of(ids[2]));
    assert!(of(ids[3]).starts_with("its inputs cannot be read"), "{}", of(ids[3]));
    let (_, csv) = replayed(&world).await;
    assert_eq!(csv.matches(",false\r\n").count(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_nobody_could_approve_is_replayed_as_such() {
    let world = World::empty().await;
    world.turn().await;
    // The manager alone, and nobody in their place: who answers to nobody cannot be approved.
    world
        .apply(&catalog().replace("slots = [{ approvals = 1, from = \"manager\", fallback = \"application_owner\" }]", "slots = [{ from = \"manager\" }]"))
        .await;
    let id = asked(&world, "ines.okafor", ("orders-db", "reader"), 4).await;
    let rule: String = sqlx::query_scalar("select deciding_rule from request where id = $1").bind(id.0).fetch_one(&world.root).await.unwrap();
    assert_eq!(rule, "nobody could approve");
    assert_eq!(replay::all(&world.ctx).await.unwrap(), []);
    // Under rules that name somebody else it would be approved by them; under the same it would not.
    let found = if_applied(&world, &catalog()).await;
    assert_eq!(counts(&found), [(Turn::Allowed, 1)]);
}

/// What the catalog `text` would make of the last 90 days.
async fn if_applied(world: &World, text: &str) -> WhatIf {
    let proposed = rule_book::proposed(&world.ctx, text).await.unwrap();
    assert!(proposed.plan.is_good(), "{}", proposed.plan);
    let progress = Progress::default();
    let period = (world.now() - Duration::days(90), world.now() + Duration::seconds(1));
    let found = what_if(&world.ctx, Arc::new(proposed.then), period, &progress).await.unwrap();
    assert_eq!(progress.seen(), (found.counts.all(), found.counts.all()), "all that there is is looked at, and said so");
    found
}

fn counts(found: &WhatIf) -> Vec<(Turn, u64)> {
    found.counts.0.iter().map(|(turn, count)| (*turn, *count)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_other_rules_would_have_made_of_each_request_is_said() {
    let world = World::new().await;
    let [waits, at_once, refused, two_steps] = some_requests(&world).await;
    let same = if_applied(&world, &catalog()).await;
    assert_eq!(counts(&same), [(Turn::Unchanged, 4)]);
    assert!(same.moved.is_empty());

    // A policy's words alone change nothing.
    let renamed = if_applied(&world, &catalog().replace("name = \"Standard access\"", "name = \"Standard, renamed\"")).await;
    assert_eq!(counts(&renamed), [(Turn::Unchanged, 4)]);

    let edit = |changes: &[(&str, &str)]| {
        let mut text = catalog();
        for (from, to) in changes {
            assert!(text.contains(from), "{from}");
            text = text.replace(from, to);
        }
        text
    };
    let turn_of = |found: &WhatIf, id: RequestId| found.moved.iter().find(|moved| moved.request == id).map(|moved| moved.turn);
    // Who audits is let in; analysts are asked about; contractors need one step less.
    let found = if_applied(
        &world,
        &edit(&[
            ("[[profile.deny]]\nall = [\"groups include countersign-auditors\"]        # who audits holds nothing that is audited\n", ""),
            ("auto_approve = true   ", "procedure = \"manager\" "),
            (
                "for = [\"employment_type is contractor\"]\nprofile = \"everybody\"\nprocedure = \"manager-then-owner\"",
                "for = [\"employment_type is contractor\"]\nprofile = \"everybody\"\nprocedure = \"manager\"",
            ),
        ]),
    )
    .await;
    assert_eq!(turn_of(&found, refused), Some(Turn::Allowed));
    assert_eq!(turn_of(&found, at_once), Some(Turn::MoreApprovals));
    assert_eq!(turn_of(&found, waits), None);
    // The steps of "manager-then-owner" and "manager" name other people in case nobody answers, so other people are asked.
    assert!(matches!(turn_of(&found, two_steps), Some(Turn::FewerApprovals | Turn::OtherApprovals)), "{:?}", turn_of(&found, two_steps));
    let moved = found.moved.iter().find(|moved| moved.request == refused).unwrap();
    assert!(moved.then.starts_with("refused by standard v1") && moved.then.contains("deny rule"), "{}", moved.then);
    assert!(moved.now.starts_with("needs_approval by standard v2"), "{}", moved.now);
    assert_eq!(moved.beneficiary, world.person("wei.zhang").await);
    let role = found.roles.iter().find(|role| role.key == "warehouse/analyst").unwrap();
    assert_eq!((role.counts.all(), role.changed()), (2, 2));

    // Shorter limits, and a policy of another key for the same people.
    let limits = "recommended = \"4h\", minimum = \"1m\", maximum = \"30d\", choices = [\"5m\", \"1h\", \"4h\", \"8h\", \"7d\", \"30d\"]";
    let found = if_applied(&world, &edit(&[(limits, "minimum = \"1m\", maximum = \"4h\"")])).await;
    assert_eq!(turn_of(&found, waits), None, "four hours are still allowed");
    let found = if_applied(&world, &edit(&[(limits, "minimum = \"1m\", maximum = \"1h\"")])).await;
    assert_eq!(turn_of(&found, waits), Some(Turn::NotAccepted));
    assert!(found.moved[0].now.contains("The longest is 1 hour"), "{}", found.moved[0].now);
    let found = if_applied(&world, &edit(&[("\"standard\"", "\"usual\"")])).await;
    assert_eq!(turn_of(&found, waits), Some(Turn::OtherPolicy));
    assert_eq!(turn_of(&found, refused), None, "refused is refused");

    // A role that goes.
    let (before, rest) = catalog().split_once("[[role]]\napplication = \"orders-db\"\nkey = \"reader\"").map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    let (_, after) = rest.split_once("[[role]]").unwrap();
    let found = if_applied(&world, &format!("{before}[[role]]{after}")).await;
    assert_eq!(turn_of(&found, waits), Some(Turn::Refused));
    assert_eq!(turn_of(&found, refused), None);
    assert_eq!(
        RequestStatus::Pending.word(),
        sqlx::query_scalar::<_, String>("select status from request where id = $1").bind(waits.0).fetch_one(&world.root).await.unwrap(),
        "what-if changes nothing"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_keeps_what_its_tests_say() {
    let world = World::new().await;
    let text = include_str!("../../config/demo/tests.toml");
    for file in [None, Some(catalog())] {
        let report = rule_test::run::run(&world.ctx, text, file.as_deref()).await.unwrap();
        assert!(report.tests.len() >= 12);
        let wrong: Vec<String> =
            report.tests.iter().filter(|test| !test.differences.is_empty()).map(|test| format!("{}: {:?}", test.name, test.differences)).collect();
        assert!(report.is_good(), "{:?} {wrong:#?}", report.faults);
    }
    // The same tests tell when a rule is changed for the worse.
    let looser = catalog().replace("all = [\"employment_type is contractor\"]", "all = [\"employment_type is nobody\"]");
    let report = rule_test::run::run(&world.ctx, text, Some(&looser)).await.unwrap();
    let wrong: Vec<&str> = report.tests.iter().filter(|test| !test.differences.is_empty()).map(|test| test.name.as_str()).collect();
    assert_eq!(wrong, ["A contractor changes no order either"]);
    assert!(report.tests.iter().any(|test| test.differences.iter().any(|said| said.contains("expected refused, came needs_approval"))));
    let requests: i64 = world.one("select count(*) from request").await;
    assert_eq!(requests, 0, "nothing is asked for");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_faulty_file_of_tests_is_told_line_by_line() {
    let world = World::new().await;
    let run = async |text: &str| rule_test::run::run(&world.ctx, text, None).await.unwrap();
    let good = "[[test]]\nname = \"x\"\nperson = \"bo.lind\"\nrole = \"orders-db/reader\"\nexpect = \"needs_approval\"\n";
    assert!(run(good).await.is_good());
    for (text, line, said) in [
        ("", 1, "holds no [[test]]"),
        ("[[test]", 1, "not TOML"),
        (&good.replace("needs_approval", "maybe"), 5, "“maybe” is nothing that can come of an ask"),
        (&good.replace("bo.lind", "nobody.here"), 3, "not exactly one person called “nobody.here”"),
        (&good.replace("/reader", "/owner"), 4, "no role “orders-db/owner”"),
        (&format!("{good}for = \"soon\"\n"), 6, "“soon” is not a duration"),
        (&format!("{good}on_behalf_of = \"who\"\n"), 6, "called “who”"),
        (&format!("{good}fore = \"4h\"\n"), 6, "did you mean “for”"),
        (&good.replace("name = \"x\"\n", ""), 1, "needs “name”"),
        (&good.replace("needs_approval\"\n", "refused\"\nsteps = [\"Manager\"]\n"), 2, "go with expect"),
        (&format!("{good}holds = [\"no/role\"]\n"), 6, "no role “no/role”"),
    ] {
        let report = run(text).await;
        assert!(!report.is_good());
        let told = report.faults.first().unwrap_or_else(|| panic!("{text}: no fault"));
        assert!(told.line == line && told.sentence.contains(said), "{text}: {told}");
    }
    let report = rule_test::run::run(&world.ctx, good, Some("[[application]]")).await.unwrap();
    assert!(!report.catalog_faults.is_empty() && report.tests.is_empty(), "a faulty catalog is not tested");
    // What was expected, and what came.
    let differs = format!("{good}steps = [\"Owner\"]\nasks = [\"ines.okafor\"]\npolicy = \"contractors\"\nrule = \"deny\"\n");
    let report = run(&differs).await;
    let told = report.tests[0].differences.join("\n");
    for said in [
        "expected steps Owner, came Manager",
        "expected ines.okafor to be asked, came mara.voss",
        "expected policy contractors, came standard",
        "expected a rule with “deny”",
    ] {
        assert!(told.contains(said), "{told}");
    }
}
