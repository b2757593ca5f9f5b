//! What the log tells of how long things took.

use axum::http::StatusCode;
use chrono::Duration;
use countersign::domain::approval::Answer;
use countersign::service::look::measures::{self, Asked, Measures};
use countersign::service::{end, measure};

use crate::desk::Desk;
use crate::door;
use crate::world::World;

const HOUR: i64 = 3_600;

async fn shown(world: &World, months: i64, role: Option<(&str, &str)>) -> Measures {
    let to = measure::first_of(world.now().date_naive());
    let from = measure::first_of((world.now() - Duration::days(30 * months)).date_naive());
    let role = match role {
        Some((application, role)) => Some(world.role(application, role).await.0),
        None => None,
    };
    let asked = Asked { from, to, application: None, role };
    measures::measures(&world.ctx, &world.by("wei.zhang").await, asked).await.unwrap()
}

fn told(measures: &Measures) -> Vec<(String, i64)> {
    measures.lasting.iter().map(|row| (row.key.clone(), row.count)).collect()
}

fn within(measures: &Measures, key: &str) -> [f64; 3] {
    measures.lasting.iter().find(|row| row.key == key).unwrap_or_else(|| panic!("no {key} in {:?}", told(measures))).within
}

fn share(measures: &Measures, key: &str) -> (i64, i64) {
    measures.shares.iter().find(|row| row.key == key).map_or((0, 0), |row| (row.count, row.all))
}

fn near(told: f64, seconds: f64) -> bool {
    (told / seconds - 1.0).abs() < 0.06
}

/// Bo asks, Mara looks after an hour and approves after two; the lease runs out.
async fn life(world: &World) {
    let asked = world.ask("bo.lind", "orders-db", "reader", 4 * HOUR).await.unwrap();
    world.advance(Duration::hours(2)).await;
    world.answer("mara.voss", asked.id, Answer::Approve { granted: None }).await.unwrap();
    world.turn().await;
    world.advance(Duration::hours(5)).await;
    world.turn().await;
    world.advance(Duration::hours(1)).await;
    world.turn().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_life_of_access_is_counted_once_however_often_it_is_counted() {
    let world = World::new().await;
    life(&world).await;
    let first = shown(&world, 0, None).await;
    assert!(near(within(&first, "to_access")[0], 2.0 * HOUR as f64), "{first:?}");
    assert!(near(within(&first, "to_decision")[2], 2.0 * HOUR as f64) && near(within(&first, "step_1")[1], 2.0 * HOUR as f64));
    assert!(near(within(&first, "answer")[0], 2.0 * HOUR as f64));
    assert!(near(within(&first, "expiry_lag")[0], HOUR as f64), "the worker came an hour late: {:?}", within(&first, "expiry_lag"));
    assert_eq!((share(&first, "approved_before"), share(&first, "approved"), share(&first, "denied")), ((1, 1), (1, 1), (0, 1)));
    let [mara] = first.approvers.as_slice() else { panic!("{:?}", first.approvers) };
    assert_eq!((mara.name.as_str(), mara.answered, mara.waiting), ("Mara Voss", 1, 0));
    for _ in 0..3 {
        world.advance(Duration::hours(2)).await;
        world.turn().await;
    }
    let again = shown(&world, 0, None).await;
    assert_eq!((told(&again), &again.shares), (told(&first), &first.shares));
    // Of its role the same, of another nothing.
    let of_role = shown(&world, 0, Some(("orders-db", "reader"))).await;
    assert_eq!((told(&of_role), &of_role.shares, of_role.approvers.len()), (told(&first), &first.shares, 0));
    assert!(shown(&world, 0, Some(("orders-db", "writer"))).await.lasting.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shares_tell_what_became_of_what_was_asked() {
    let world = World::new().await;
    life(&world).await;
    let denied = world.ask("bo.lind", "orders-db", "reader", 4 * HOUR).await.unwrap();
    world.answer("mara.voss", denied.id, Answer::Deny).await.unwrap();
    let open = world.ask("bo.lind", "orders-db", "reader", 4 * HOUR).await.unwrap();
    world.advance(Duration::hours(1)).await;
    world.turn().await;
    let now = shown(&world, 0, None).await;
    assert_eq!((share(&now, "denied"), share(&now, "repeated"), share(&now, "extension")), ((1, 2), (2, 3), (0, 3)));
    let [mara] = now.approvers.as_slice() else { panic!("{:?}", now.approvers) };
    assert_eq!((mara.answered, mara.waiting), (2, 1));
    world.advance(Duration::days(60)).await;
    world.turn().await;
    assert_eq!(world.one::<String>("select status from request order by created_at desc limit 1").await, "timed_out", "{}", open.id);
    world.advance(Duration::hours(1)).await;
    world.turn().await;
    let later = shown(&world, 3, None).await;
    assert_eq!((share(&later, "timed_out"), share(&later, "denied")), ((1, 3), (1, 3)));
    // Folded into months nothing of it changes.
    world.advance(Duration::days(200)).await;
    world.turn().await;
    let folded = shown(&world, 10, None).await;
    assert_eq!((told(&folded), &folded.shares), (told(&later), &later.shares));
    assert_eq!(
        world.one::<i64>("select count(*) from measure where extract(day from begins) <> 1 and begins < (select max(day) from measure_day) - 130").await,
        0
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_ends_early_and_what_a_leaver_had_have_their_own_lengths() {
    let world = World::new().await;
    let asked = world.ask("bo.lind", "orders-db", "reader", 4 * HOUR).await.unwrap();
    world.answer("mara.voss", asked.id, Answer::Approve { granted: None }).await.unwrap();
    world.turn().await;
    let (grant, _) = world.grant(asked.id).await;
    end::end(&world.ctx, &world.by("bo.lind").await, grant, false, None).await.unwrap();
    world.advance(Duration::minutes(30)).await;
    world.turn().await;
    let again = world.ask("bo.lind", "orders-db", "reader", 4 * HOUR).await.unwrap();
    world.answer("mara.voss", again.id, Answer::Approve { granted: None }).await.unwrap();
    world.turn().await;
    world.set_active("bo.lind", false).await;
    world.advance(Duration::hours(2)).await;
    world.turn().await;
    world.advance(Duration::hours(2)).await;
    world.turn().await;
    let now = shown(&world, 0, None).await;
    assert!(near(within(&now, "removal_lag")[0], 1_800.0), "{:?}", within(&now, "removal_lag"));
    assert_eq!(now.lasting.iter().find(|row| row.key == "leaver_lag").map(|row| row.count), Some(1), "{:?}", told(&now));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn auditors_see_the_measures_and_take_them_away() {
    let world = World::new().await;
    life(&world).await;
    let app = door::app(&world, world.demo.issuer());
    let (mut wei, mut bo) = (Desk::at(&app, "wei.zhang").await, Desk::at(&app, "bo.lind").await);
    let page = wei.get("/evidence/measures").await.fine();
    assert!(page.main().contains("Time to access") && page.main().contains("2.0 h") && page.main().contains("Mara Voss"), "{}", page.main());
    assert!(page.count(".chart .column") >= 1);
    let file = wei.get("/evidence/measures.csv").await.fine().text;
    let rows: Vec<Vec<&str>> = file.split("\r\n").filter(|line| !line.is_empty()).map(|line| line.split(',').collect()).collect();
    assert_eq!(rows[0], ["month", "of", "of_id", "of_name", "measure", "count", "share_of", "share", "p50_s", "p90_s", "p99_s"]);
    assert!(rows.iter().all(|row| row.len() == 11), "{file}");
    let all = rows.iter().find(|row| row[0] == "all" && row[4] == "to_access").unwrap();
    assert!(all[5] == "1" && near(all[8].parse().unwrap(), 2.0 * HOUR as f64), "{all:?}");
    assert!(rows.iter().any(|row| row[1] == "approver" && row[3] == "Mara Voss" && row[5] == "1"));
    assert_eq!(world.one::<i64>("select count(*) from audit_event where kind = 'evidence.exported' and data ->> 'file' = 'measures.csv'").await, 1);
    for address in ["/evidence/measures", "/evidence/measures.csv"] {
        assert_eq!(bo.get(address).await.status, StatusCode::NOT_FOUND, "{address}");
        for query in ["from=x", "from=2026-13", "to=1", "from=2026-02&to=2026-01", "from=1990-01", "role=1", "application=%00", "from=2026-01&from=2026-02"] {
            assert_eq!(wei.get(&format!("{address}?{query}")).await.status, StatusCode::BAD_REQUEST, "{address}?{query}");
        }
    }
    let nothing = wei.get("/evidence/measures?from=2001-01&to=2001-02").await.fine();
    assert!(nothing.main().contains("Nothing was counted in these months"), "{}", nothing.main());
    let unknown = wei.get(&format!("/evidence/measures?role={}", uuid::Uuid::nil())).await.fine();
    assert!(unknown.main().contains("Nothing was counted"));
}
