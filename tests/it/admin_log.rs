//! The log: filters, pages, plans, files, who sees what.

use std::time::Instant;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use chrono::NaiveDate;
use countersign::service::ctx::By;
use countersign::service::look::log::{self, Log, LogFilter};
use countersign::service::look::shared::Cursor;
use countersign::store::look_log::{self, About, Lanes, Narrow, Turn};
use countersign::store::look_log_sql::{COUNT, NEWER, NEWER_EDGE, OLDER, OLDER_EDGE};
use sqlx::{Connection, Executor, PgConnection};
use tower::ServiceExt;
use uuid::Uuid;

use crate::admin_doctor::{answers, asks};
use crate::desk::Desk;
use crate::world::{World, superuser};

/// A world whose log holds 60,000 events of requests by its people for its roles: most of one application, and some rare kinds.
async fn long_log() -> World {
    let world = World::new().await;
    world.tampered("events are made up, of requests that were never there");
    world
        .root
        .execute(
            "with people as (select array_agg(id order by user_name) as ids from person), roles as (select array_agg(r.id order by r.id) as ids from role r),
                  busy as (select r.id, r.application_id from role r join application a on a.id = r.application_id where a.key = 'orders-db' and r.key = 'reader')
             insert into audit_event (occurred_at, kind, actor_kind, actor_id, actor_name, channel, request_id, person_id, role_id, application_id, data)
             select timestamptz '2036-01-01' + i * interval '10 minutes', k, case when s then 'system' else 'person' end, case when s then null else people.ids[1 + q % 24] end,
               case when s then null else 'Somebody' end, 'web', case when k <> 'drift.found' then md5('q' || q)::uuid end, case when k <> 'drift.found' then people.ids[1 + (q * 7) % 24] end,
               case when k = 'drift.found' then null when q % 10 > 0 then busy.id else r.id end,
               case when k = 'drift.found' then null when q % 10 > 0 then busy.application_id else r.application_id end, '{}'
             from (select i, i / 4 as q, i % 4 in (1, 3) or i % 800 = 0 as s,
                     case when i % 800 = 0 then 'drift.found' else (array['request.submitted', 'grant.created', 'approval.viewed', 'grant.ended'])[i % 4 + 1] end as k from generate_series(1, 60000) i) e,
               people, roles, busy, lateral (select id, application_id from role where id = roles.ids[1 + (q / 10) % array_length(roles.ids, 1)]) r order by i;
             analyze countersign.audit_event",
        )
        .await
        .unwrap();
    world
}

/// What somebody gets who is not signed in: status and where they are sent.
pub async fn anonymous(world: &World, path: &str) -> (StatusCode, String) {
    let router = countersign::web::router::router(&crate::door::app(world, world.demo.issuer()));
    let response = router.oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
    let location = response.headers().get("location").map(|to| to.to_str().unwrap().to_owned()).unwrap_or_default();
    (response.status(), location)
}

/// Walks to the end, or as far as `most` events, and returns the ids in the order shown.
async fn walk(world: &World, by: &By, filter: &LogFilter, most: usize) -> Vec<i64> {
    let mut ids = Vec::new();
    let mut before: Option<Cursor> = None;
    let mut pages = 0;
    loop {
        let page = log::log(&world.ctx, by, filter.clone(), before.as_ref(), None).await.unwrap();
        ids.extend(page.rows.iter().map(|row| row.id));
        pages += 1;
        assert!(pages < 200, "the pages never end");
        before = page.older;
        if before.is_none() || ids.len() >= most {
            return ids;
        }
    }
}

/// Walks from `id` towards the newest and returns the ids, oldest first.
async fn walk_back(world: &World, by: &By, filter: &LogFilter, id: i64, most: usize) -> Vec<i64> {
    let mut ids = Vec::new();
    let mut after = Some(Cursor(id.to_string()));
    while let Some(cursor) = after.filter(|_| ids.len() < most) {
        let Log { rows, newer, .. } = log::log(&world.ctx, by, filter.clone(), None, Some(&cursor)).await.unwrap();
        ids.extend(rows.iter().rev().map(|row| row.id));
        after = newer;
    }
    ids
}

async fn truth(world: &World, condition: &str) -> Vec<i64> {
    let sql = format!("select e.id from audit_event e where {condition} order by e.id desc");
    sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_all(&world.root).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_filter_gives_exactly_its_events_on_pages_that_fit_together_both_ways() {
    let world = long_log().await;
    let auditor = world.by("wei.zhang").await;
    let bo = world.by("bo.lind").await;
    let arjun = world.by("arjun.mehta").await;
    let (orders, ledger): (Uuid, Uuid) =
        (world.one("select id from application where key = 'orders-db'").await, world.one("select id from application where key = 'ledger'").await);
    let deployer = world.role("production", "deployer").await.0;
    let request: Uuid = world.one("select md5('q1234')::uuid").await;
    let bo_is = format!("(e.person_id = '{0}' or e.actor_id = '{0}')", bo.person);
    let filter = LogFilter::default;
    let day = |y, m, d| NaiveDate::from_ymd_opt(y, m, d);
    let owned = format!(
        "({bo_is} or e.application_id in (select id from application where owner_id = '{0}') or e.role_id in (select id from role where owner_id = '{0}'))",
        arjun.person
    )
    .replace(&bo.person.to_string(), &arjun.person.to_string());
    let cases: Vec<(&By, LogFilter, String)> = vec![
        (&auditor, filter(), "true".into()),
        (&auditor, LogFilter { from: day(2036, 2, 1), to: day(2036, 2, 3), ..filter() }, "occurred_at >= '2036-02-01' and occurred_at < '2036-02-04'".into()),
        (&auditor, LogFilter { to: day(2036, 1, 2), ..filter() }, "occurred_at < '2036-01-03'".into()),
        (&auditor, LogFilter { from: day(2090, 1, 1), ..filter() }, "false".into()),
        (&auditor, LogFilter { application: Some(ledger), ..filter() }, format!("application_id = '{ledger}'")),
        (&auditor, LogFilter { application: Some(orders), kind: "drift".into(), ..filter() }, "false".into()),
        (&auditor, LogFilter { role: Some(deployer), ..filter() }, format!("role_id = '{deployer}'")),
        (&auditor, LogFilter { kind: "drift.found".into(), ..filter() }, "kind = 'drift.found'".into()),
        (&auditor, LogFilter { kind: "grant".into(), ..filter() }, "kind like 'grant.%'".into()),
        (&auditor, LogFilter { kind: "nonsense".into(), ..filter() }, "false".into()),
        (&auditor, LogFilter { q: "Bo Lind".into(), ..filter() }, bo_is.clone()),
        (
            &auditor,
            LogFilter { q: "bo.l".into(), kind: "grant.ended".into(), application: Some(ledger), ..filter() },
            format!("{bo_is} and kind = 'grant.ended' and application_id = '{ledger}'"),
        ),
        (&auditor, LogFilter { q: "ledger".into(), from: day(2036, 3, 1), ..filter() }, format!("application_id = '{ledger}' and occurred_at >= '2036-03-01'")),
        (&auditor, LogFilter { q: "Deployer".into(), kind: "request".into(), ..filter() }, format!("role_id = '{deployer}' and kind like 'request.%'")),
        (&auditor, LogFilter { q: request.to_string(), ..filter() }, format!("request_id = '{request}'")),
        (&auditor, LogFilter { q: "nobody at all".into(), ..filter() }, "false".into()),
        (&auditor, LogFilter { q: "100%".into(), ..filter() }, "false".into()),
        (&bo, filter(), bo_is.clone()),
        (&bo, LogFilter { q: "Wei".into(), ..filter() }, format!("{bo_is} and (e.person_id = '{0}' or e.actor_id = '{0}')", auditor.person)),
        (
            &bo,
            LogFilter { application: Some(orders), kind: "grant".into(), ..filter() },
            format!("{bo_is} and application_id = '{orders}' and kind like 'grant.%'"),
        ),
        (&arjun, filter(), owned.clone()),
        (&arjun, LogFilter { kind: "drift".into(), ..filter() }, format!("{owned} and kind like 'drift.%'")),
    ];
    for (by, filter, condition) in cases {
        let truth = truth(&world, &condition).await;
        let seen = walk(&world, by, &filter, 400).await;
        assert_eq!(seen, truth[..seen.len().min(truth.len())], "{filter:?}");
        assert!(seen.len() >= truth.len().min(400), "{filter:?}: {} of {}", seen.len(), truth.len());
        // And back again, from the last one seen to the newest.
        if let Some(last) = seen.last() {
            let mut back = walk_back(&world, by, &filter, *last, 1000).await;
            back.reverse();
            assert_eq!(back, seen[..seen.len() - 1], "{filter:?} backwards");
        }
    }
    assert_eq!(log::log(&world.ctx, &auditor, filter(), Some(&Cursor("x".into())), None).await.map(|_| ()).unwrap_err().to_string(), "There is nothing here.");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rare_event_in_a_long_lane_is_found_page_by_page_and_none_is_missed() {
    let world = long_log().await;
    let orders: Uuid = world.one("select id from application where key = 'orders-db'").await;
    let bo = world.person("bo.lind").await.0;
    // Made to read a lane of some 54,000 events for a handful, and two lanes of which one is much longer than the other.
    let narrow = Narrow { kinds: Some(vec!["request.submitted".into()]), about: Some(About { persons: vec![bo], ..About::default() }), ..Narrow::default() };
    for (lanes, narrow, condition) in [
        (
            Lanes { applications: vec![orders], ..Lanes::default() },
            Narrow { role: Some(Uuid::nil()), application: Some(orders), ..Narrow::default() },
            "false".to_owned(),
        ),
        (
            Lanes { applications: vec![orders], ..Lanes::default() },
            Narrow {
                from: Some("2036-03-01T00:00:00Z".parse().unwrap()),
                to: Some("2036-03-02T00:00:00Z".parse().unwrap()),
                application: Some(orders),
                ..Narrow::default()
            },
            format!("application_id = '{orders}' and occurred_at >= '2036-03-01' and occurred_at < '2036-03-02'"),
        ),
        (Lanes { everything: true, ..Lanes::default() }, narrow.clone(), format!("kind = 'request.submitted' and (person_id = '{bo}' or actor_id = '{bo}')")),
        (
            Lanes { persons: vec![bo], actors: vec![bo], ..Lanes::default() },
            narrow,
            format!("kind = 'request.submitted' and (person_id = '{bo}' or actor_id = '{bo}')"),
        ),
        (Lanes { everything: true, ..Lanes::default() }, Narrow { kinds: Some(vec!["clock.jumped".into()]), ..Narrow::default() }, "false".to_owned()),
    ] {
        let truth = truth(&world, &condition).await;
        let (mut seen, mut cuts, mut turn) = (Vec::new(), 0, Turn::Newest);
        for _ in 0..500 {
            let page = look_log::page(&world.ctx.db, std::slice::from_ref(&lanes), &narrow, turn, 50).await.unwrap();
            seen.extend(page.rows.iter().map(|row| row.id));
            cuts += usize::from(page.cut);
            match page.older {
                Some(older) => turn = Turn::Before(older),
                None => break,
            }
        }
        assert_eq!(seen, truth, "{narrow:?}");
        if narrow.role.is_some() || narrow.kinds.as_ref().is_some_and(|kinds| kinds[0] == "clock.jumped") {
            assert!(cuts >= 2, "a lane of more than 20,000 rows without a match is read in parts");
        }
    }
}

/// What `EXPLAIN ANALYZE` says of a statement with these values for $1 to $26; the short ones take the first ten and the last.
async fn explain(connection: &mut PgConnection, statement: &str, values: &[String], generic: bool) -> String {
    let types = "uuid[], uuid[], uuid[], uuid[], uuid[], text[], bool, bigint, bigint, bigint, bigint, timestamptz, timestamptz, text[], uuid, uuid, bool, uuid[], uuid[], uuid[], uuid[], uuid, uuid[], uuid[], uuid, uuid[]";
    let count = if statement.contains("$24") { 25 } else { 10 };
    let types: Vec<&str> = types.split(", ").take(count).chain(["uuid[]"]).collect();
    let values = [&values[..count], &values[25..]].concat();
    let mode = if generic { "force_generic_plan" } else { "force_custom_plan" };
    let prepare = format!("set plan_cache_mode = {mode}; prepare x ({}) as {statement}", types.join(", "));
    connection.execute(sqlx::AssertSqlSafe(prepare)).await.unwrap();
    let run = format!("explain (analyze, costs off, timing off) execute x ({})", values.join(", "));
    let rows: Vec<(String,)> = sqlx::query_as(sqlx::AssertSqlSafe(run)).fetch_all(&mut *connection).await.unwrap();
    connection.execute("deallocate x").await.unwrap();
    rows.into_iter().map(|(line,)| line + "\n").collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_filter_of_the_log_scans_the_table() {
    let world = long_log().await;
    let mut connection = PgConnection::connect_with(&superuser().database(&world.database).options([("search_path", "countersign")])).await.unwrap();
    let orders: Uuid = world.one("select id from application where key = 'orders-db'").await;
    let reader = world.role("orders-db", "reader").await;
    let bo = world.person("bo.lind").await;
    let list = |ids: &[String]| format!("'{{{}}}'", ids.join(","));
    // persons, actors, roles, applications, requests, kinds, everything
    let lanes = |which: &str| -> Vec<String> {
        let of = |name: &str, ids: &[String]| if which.contains(name) { list(ids) } else { "'{}'".into() };
        let person = [bo.to_string()];
        vec![
            of("person", &person),
            of("person", &person),
            of("role", &[reader.to_string()]),
            of("application", &[orders.to_string()]),
            of("request", &[orders.to_string()]),
            of("kind", &["drift.found".into(), "grant.ended".into()]),
            (which == "everything").to_string(),
        ]
    };
    let version: Uuid = world.one("select id from access_policy_version order by id limit 1").await;
    for which in ["everything", "policy", "person", "role", "application", "request", "kind", "person role application"] {
        for (statement, direction) in
            [(OLDER, "older"), (NEWER, "newer"), (OLDER_EDGE, "the edge of older"), (NEWER_EDGE, "the edge of newer"), (COUNT, "the count")]
        {
            for generic in [false, true] {
                let mut values = lanes(which);
                // Held against a kind that these lanes do not have: the longest way to an empty page.
                let rest = [
                    "9223372036854775807",
                    "0",
                    "500",
                    "51",
                    "null",
                    "null",
                    "'{clock.jumped}'",
                    "null",
                    "null",
                    "false",
                    "'{}'",
                    "'{}'",
                    "'{}'",
                    "'{}'",
                    "null",
                    "'{}'",
                    "'{}'",
                    "null",
                ];
                values.extend(rest.map(String::from));
                values.push(if which == "policy" { list(&[version.to_string()]) } else { "'{}'".into() });
                let plan = explain(&mut connection, statement, &values, generic).await;
                assert!(!plan.contains("Seq Scan on audit_event"), "{which}, {direction}:\n{plan}");
                let most = plan
                    .lines()
                    .filter(|line| line.contains("on audit_event"))
                    .filter_map(|line| line.split("rows=").nth(1)?.split(' ').next()?.parse::<i64>().ok())
                    .max();
                assert!(most.is_some_and(|rows| rows <= 500), "{which}, {direction}: {most:?} rows read where 500 are the most:\n{plan}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deep_page_is_no_slower_than_the_first() {
    let world = long_log().await;
    let auditor = world.by("wei.zhang").await;
    let oldest: i64 = world.one("select min(id) + 200 from audit_event").await;
    let time = async |before: Option<Cursor>| {
        let mut best = f64::MAX;
        for _ in 0..20 {
            let began = Instant::now();
            let page = log::log(&world.ctx, &auditor, LogFilter::default(), before.as_ref(), None).await.unwrap();
            assert_eq!(page.rows.len(), 50);
            best = best.min(began.elapsed().as_secs_f64());
        }
        best
    };
    let (first, deep) = (time(None).await, time(Some(Cursor(oldest.to_string()))).await);
    assert!(deep < first * 3.0 + 0.005, "first {first} s, deep {deep} s");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_page_shows_what_happened_to_those_who_may_see_it() {
    let world = World::new().await;
    let request = asks(&world, "bo.lind", "orders-db", "reader", 4).await;
    answers(&world, "mara.voss", request, true).await;
    world.turn().await;

    let mut auditor = Desk::of(&world, "wei.zhang").await;
    let page = auditor.get("/log").await.fine();
    let whats = page.all("table.log tbody td[data-label=What]");
    assert!(whats.iter().any(|what| what.contains("asked for Orders DB Read-only for 4 hours")), "{whats:?}");
    assert!(whats.iter().any(|what| what.contains("read the directory back")), "{whats:?}");
    assert!(page.text.contains("Every step, newest first"));
    assert!(page.text.contains(&format!("/requests/{request}")));
    // Narrowed by the form's own fields.
    let page = auditor.get("/log?kind=approval&q=mara").await.fine();
    assert_eq!(page.all("table.log tbody td[data-label=Kind] code"), ["approval.given"]);
    assert_eq!(page.all("table.log tbody td[data-label=Who]"), ["Mara Voss"]);
    let page = auditor.get("/log?q=nobody+of+this+name").await.fine();
    assert!(page.one(".empty").contains("No events match") && page.text.contains("Nobody and nothing is called"));

    // The person themselves sees their own, and nobody else's.
    let mut bo = Desk::of(&world, "bo.lind").await;
    let page = bo.get("/log").await.fine();
    assert!(page.text.contains("What is about you"));
    assert!(page.all("table.log tbody td[data-label=What]").iter().any(|what| what.contains("approved step 1")));
    assert!(!page.text.contains("wei.zhang") && page.all("table.log tbody td[data-label=Kind] code").iter().all(|kind| !kind.starts_with("catalog")));
    let mut stranger = Desk::of(&world, "malik.johnson").await;
    let page = stranger.get("/log").await.fine();
    let kinds = page.all("table.log tbody td[data-label=Kind] code");
    assert!(kinds.iter().all(|kind| kind.starts_with("session.") || kind.starts_with("identity.")), "{kinds:?}");
    // The owner of the application sees what happens to it.
    let mut owner = Desk::of(&world, "arjun.mehta").await;
    assert!(owner.get("/log").await.fine().text.contains(&format!("/requests/{request}")));
    // Nobody is sent to the door.
    assert_eq!(anonymous(&world, "/log").await, (StatusCode::SEE_OTHER, "/sign-in?to=%2Flog".into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_a_filter_is_told_and_nothing_breaks() {
    let world = World::new().await;
    let mut auditor = Desk::of(&world, "wei.zhang").await;
    for (query, status, sentence) in [
        ("from=yesterday", 400, "must be a day like"),
        ("from=2026-02-30", 400, "must be a day like"),
        ("from=0001-01-01", 400, "must be a day like"),
        ("from=2026-02-02&to=2026-02-01", 400, "ends before it begins"),
        ("application=orders", 400, "must be chosen from the list"),
        ("kind=a&kind=b", 400, "says something twice"),
        ("before=-1", 404, "Nothing here"),
        ("before=99999999999999999999", 404, "Nothing here"),
        ("q=%00%ff", 200, "Nobody and nothing is called"),
        ("q=%25_%5C%27%22%3Cimg%20src%3Dx%3E", 200, "Nobody and nothing is called"),
        ("kind=%3Cscript%3E", 200, "No events match"),
        ("to=9998-12-31", 200, "Every step"),
    ] {
        let page = auditor.get(&format!("/log?{query}")).await;
        assert_eq!(page.status.as_u16(), status, "{query}: {}", page.main());
        assert!(page.text.contains(sentence) || page.main().contains(sentence), "{query}: {}", page.main());
        assert!(!page.text.contains("<img") && !page.text.contains("<script>"), "{query}");
    }
    let page = auditor.get("/log?q=a%00b").await;
    assert_eq!(page.status, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_leave_from_the_log_with_its_filters_and_the_taking_on_record() {
    let world = World::new().await;
    let request = asks(&world, "bo.lind", "orders-db", "reader", 4).await;
    answers(&world, "mara.voss", request, true).await;
    asks(&world, "malik.johnson", "orders-db", "reader", 4).await;
    let role = world.role("orders-db", "reader").await;
    let mut auditor = Desk::of(&world, "wei.zhang").await;
    // As a browser would: follow the link of the page.
    let page = auditor.get(&format!("/log?role={role}&q=bo.lind")).await.fine();
    let html = page.html();
    let link = html
        .select(&scraper::Selector::parse("a[download][href*='requests.csv'][href*='mode=safe']").unwrap())
        .next()
        .unwrap()
        .value()
        .attr("href")
        .unwrap()
        .to_owned();
    let file = auditor.get(&link).await.fine();
    assert!(file.headers["content-type"].to_str().unwrap().starts_with("text/csv"));
    assert!(file.headers["content-disposition"].to_str().unwrap().contains("requests_safe.csv"));
    assert_eq!(file.text.lines().count(), 2, "{}", file.text);
    assert!(file.text.contains(&request.to_string()));
    let all = auditor.get("/log/export/requests.csv").await.fine();
    assert_eq!(all.text.lines().count(), 3);
    assert_eq!(auditor.get("/log/export/events.csv?to=2000-01-01").await.fine().text.lines().count(), 1, "an empty population still has its header");
    let taken: i64 = world.one("select count(*) from audit_event where kind = 'evidence.exported'").await;
    assert_eq!(taken, 3);
    for (path, status) in [("/log/export/secrets.csv", 404), ("/log/export/requests", 404), ("/log/export/requests.csv?mode=x", 400)] {
        assert_eq!(auditor.get(path).await.status.as_u16(), status, "{path}");
    }
    // An employee takes their own and no more.
    let mut malik = Desk::of(&world, "malik.johnson").await;
    let own = malik.get("/log/export/requests.csv").await.fine();
    assert_eq!(own.text.lines().count(), 2);
    assert!(own.text.contains("malik.johnson") && !own.text.contains(&request.to_string()));
    assert_eq!(malik.get(&format!("/log/export/requests.csv?role={role}")).await.status, StatusCode::NOT_FOUND);
    assert_eq!(malik.get("/log/export/requests.csv?q=bo.lind").await.status, StatusCode::NOT_FOUND);
    let mut owner = Desk::of(&world, "arjun.mehta").await;
    assert_eq!(owner.get(&format!("/log/export/requests.csv?role={role}")).await.fine().text.lines().count(), 3);
}
