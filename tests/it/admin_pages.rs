//! The administrator's pages, as each kind of viewer gets them.

use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use chrono::Duration;
use countersign::service::ctx::Ctx;
use countersign::service::{end, heartbeat};
use countersign::store::db::{Db, Settings};
use countersign::web::metrics::{self, Metrics};
use sqlx::Executor;
use tower::ServiceExt;

use crate::admin_doctor::{answers, asks, grant_of};
use crate::admin_log::anonymous;
use crate::desk::Desk;
use crate::faulty::Faulty;
use crate::world::{World, superuser};

/// Pages that auditors and administrators read.
const READ: [&str; 4] = ["/admin", "/admin/policies", "/admin/provisioning", "/directories"];

async fn at_work() -> World {
    works(World::new().await).await
}

async fn works(world: World) -> World {
    heartbeat::beat(&world.ctx, countersign::clock::new_id(), world.now()).await.unwrap();
    heartbeat::run_now(&world.ctx, "sweep:main").await.unwrap();
    world.turn().await;
    world
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn auditors_read_administrators_act_and_nobody_else_finds_the_pages() {
    let world = at_work().await;
    let mut administrator = Desk::of(&world, "sofia.marin").await;
    let mut auditor = Desk::of(&world, "wei.zhang").await;
    let mut owner = Desk::of(&world, "arjun.mehta").await;
    let mut employee = Desk::of(&world, "bo.lind").await;
    for path in READ {
        assert_eq!(administrator.get(path).await.status, StatusCode::OK, "{path}");
        let read = auditor.get(path).await.fine();
        let acts: Vec<String> = read.all("main form");
        assert!(acts.is_empty(), "an auditor is offered acts on {path}: {acts:?}");
        assert_eq!(owner.get(path).await.status, StatusCode::NOT_FOUND, "{path}");
        assert_eq!(employee.get(path).await.status, StatusCode::NOT_FOUND, "{path}");
        assert_eq!(anonymous(&world, path).await.0, StatusCode::SEE_OTHER, "{path}");
    }
    let target: uuid::Uuid = countersign::clock::new_id();
    for path in ["/admin/provisioning/run".to_owned(), "/directories/main/sync".into(), format!("/admin/provisioning/{target}/retry")] {
        for desk in [&mut auditor, &mut owner, &mut employee] {
            assert_eq!(desk.post(&path, &[]).await.status, StatusCode::NOT_FOUND, "{path}");
        }
    }
    assert_eq!(administrator.post("/directories/elsewhere/sync", &[]).await.status, StatusCode::NOT_FOUND);
    assert_eq!(administrator.post(&format!("/admin/provisioning/{target}/retry"), &[]).await.status, StatusCode::NOT_FOUND);
    for path in [
        "/admin/policies/x",
        "/admin/policies?after=x",
        "/admin/provisioning?before=x",
        "/admin/provisioning?after=x",
        "/directories/main?after=x",
        "/tokens?after=x",
    ] {
        assert_eq!(administrator.get(path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failing_removal_is_on_the_overview_until_it_is_done() {
    let faulty = Faulty::start().await;
    let world = World::behind(&faulty).await;
    let beat = async || heartbeat::beat(&world.ctx, countersign::clock::new_id(), world.now()).await.unwrap();
    beat().await;
    world.turn().await;
    let mut administrator = Desk::of(&world, "sofia.marin").await;
    let page = administrator.get("/admin").await.fine();
    assert_eq!(page.count(".attention > li.bad"), 0, "{}", page.main());
    assert!(page.all(".parts > li").iter().any(|part| part.starts_with("Guards") && part.contains("Working")));
    let request = asks(&world, "bo.lind", "orders-db", "reader", 1).await;
    answers(&world, "mara.voss", request, true).await;
    world.turn().await;
    assert!(world.is_member("bo.lind", "orders-db-readers").await);
    // It is given back, and the directory is down.
    let bo = world.by("bo.lind").await;
    faulty.down(true);
    end::end(&world.ctx, &bo, grant_of(&world, request).await.into(), false, None).await.unwrap();
    let _ = countersign::worker::step::turn(&world.ctx).await;
    world.advance(Duration::minutes(3)).await;
    beat().await;
    let _ = countersign::worker::step::turn(&world.ctx).await;
    let page = administrator.get("/admin").await.fine();
    let attention = page.all(".attention > li.bad");
    assert!(attention.iter().any(|a| a.contains("Removing Bo Lind from orders-db-readers fails")), "{}", page.main());
    let page = administrator.get("/admin/provisioning").await.fine();
    assert!(page.one("section[aria-labelledby=h-failing] tbody").contains("Remove Bo Lind"));
    assert!(page.text.contains("should have been removed more than 2 minutes ago"));
    assert!(page.all("section[aria-labelledby=h-attempts] tbody tr")[0].contains("Will retry"));
    // Mended, and tried now: it goes, and so does the alarm.
    faulty.down(false);
    world.root.execute("update target set next_at = next_at + interval '1 hour' where next_at is not null").await.unwrap();
    let answer = administrator.submit(&page, "form[action$='/retry']", &[]).await.fine();
    assert!(answer.flash().contains("tried now"));
    world.turn().await;
    assert!(!world.is_member("bo.lind", "orders-db-readers").await);
    let page = administrator.get("/admin").await.fine();
    assert_eq!(page.count(".attention > li.bad"), 0, "{}", page.main());
    // A worker that is silent is the worst.
    world.advance(Duration::minutes(5)).await;
    let page = administrator.get("/admin").await.fine();
    assert!(page.all(".attention > li.bad")[0].contains("No worker is at work"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_of_a_directory_tells_counts_and_failures() {
    let faulty = Faulty::start().await;
    let world = works(World::behind(&faulty).await).await;
    let mut administrator = Desk::of(&world, "sofia.marin").await;
    let page = administrator.get("/directories/main").await.fine();
    let people: i64 = world.one("select count(*) from person").await;
    assert!(page.one("dl.facts").contains(&format!("People {people}")), "{}", page.one("dl.facts"));
    assert!(page.all("section[aria-labelledby=h-readings] tbody tr")[0].contains("Read directory main"));
    // Read it now.
    sqlx::query("update timetable set next_at = $1 where name = 'sync:main'").bind(world.now() + Duration::hours(1)).execute(&world.root).await.unwrap();
    let done = administrator.submit(&page, "form[action$='/sync']", &[]).await.fine();
    assert!(done.flash().contains("due now"));
    assert!(world.one::<bool>("select next_at <= countersign.clock() from timetable where name = 'sync:main'").await);
    // A reading that finds nothing new is no event; one that fails is one, once.
    let before: i64 = world.one("select count(*) from audit_event where kind like 'directory.%'").await;
    world.turn().await;
    assert_eq!(world.one::<i64>("select count(*) from audit_event where kind like 'directory.%'").await, before);
    faulty.down(true);
    for _ in 0..2 {
        heartbeat::run_now(&world.ctx, "sync:main").await.unwrap();
        countersign::worker::step::turn(&world.ctx).await.unwrap_err();
    }
    let failed: i64 = world.one("select count(*) from audit_event where kind = 'directory.failed'").await;
    assert!((1..=2).contains(&failed), "{failed}: once for the reading, once for the comparison");
    let page = administrator.get("/directories/main").await.fine();
    assert!(page.one("h1").contains("Failing") && page.text.contains("Could not read directory main"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn policies_read_as_words_in_every_version() {
    let world = at_work().await;
    let mut auditor = Desk::of(&world, "wei.zhang").await;
    let list = auditor.get("/admin/policies").await.fine();
    let rows = list.all("tbody tr");
    assert!(rows.iter().any(|row| row.starts_with("Standard access") && row.contains("1 minute to 30 days; asks the manager")), "{rows:?}");
    assert!(rows.iter().any(|row| row.contains("then 2 members of dba")), "{rows:?}");
    // The role that has policies of its own is not counted for the default ones.
    let standard: i64 = rows.iter().find(|row| row.starts_with("Standard")).unwrap().split(". ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    assert_eq!(standard, 3, "{rows:?}");
    let catalog = crate::world::catalog().replace(
        "maximum = \"30d\", choices = [\"5m\", \"1h\", \"4h\", \"8h\", \"7d\", \"30d\"]",
        "maximum = \"20d\", choices = [\"5m\", \"1h\", \"4h\", \"8h\", \"7d\"]",
    );
    world.apply(&catalog).await;
    let list = auditor.get("/admin/policies").await.fine();
    assert!(list.all("tbody tr").iter().any(|row| row.contains("1 minute to 20 days")), "{:?}", list.all("tbody tr"));
    let link = {
        let html = list.html();
        let all = scraper::Selector::parse("tbody a").unwrap();
        html.select(&all).find(|a| a.text().collect::<String>() == "Standard access").unwrap().attr("href").unwrap().to_owned()
    };
    let new = auditor.get(&link).await.fine();
    assert!(new.one("h1").contains("version 2") && new.text.contains("In force") && new.one("dl.kv").contains("20 days"));
    let old = auditor.get(&format!("{link}?version=1")).await.fine();
    assert!(old.text.contains("Replaced") && old.one("dl.kv").contains("30 days"));
    assert!(old.one("section[aria-labelledby=h-who]").contains("Kept out: members of countersign-auditors"));
    assert!(old.one("section[aria-labelledby=h-steps]").contains("The manager, or else the application owner"));
    assert_eq!(auditor.get(&format!("{link}?version=3")).await.status, StatusCode::NOT_FOUND);
    assert_eq!(auditor.get(&format!("{link}?version=x")).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_made_shown_once_and_revoked() {
    let world = at_work().await;
    let mut bo = Desk::of(&world, "bo.lind").await;
    let page = bo.get("/tokens").await.fine();
    assert!(page.text.contains("No tokens."));
    let fields = [("name", "Nightly <b>export</b>"), ("scope", "requests:read"), ("scope", "events:read"), ("life", "86400")];
    let made = bo.post("/tokens", &fields).await.fine();
    let secret = made.one("#secret");
    assert!(secret.starts_with("cst_") && secret.len() == 76);
    assert_eq!(made.headers["cache-control"], "no-store");
    let later = bo.get("/tokens").await.fine();
    assert!(!later.text.contains(&secret) && later.count("tbody tr") == 1 && !later.text.contains("<b>export"));
    assert_eq!(world.one::<i64>("select count(*) from audit_event where kind = 'token.created'").await, 1);
    assert!(!world.one::<String>("select string_agg(data::text, '') from audit_event").await.contains(&secret));
    // It works, as its person and no more.
    let events = async |world: &World| {
        let router = countersign::web::router::router(&crate::door::app(world, world.demo.issuer()));
        let request = Request::get("/api/v1/events").header("authorization", format!("Bearer {secret}")).body(Body::empty()).unwrap();
        router.oneshot(request).await.unwrap().status()
    };
    assert_eq!(events(&world).await, StatusCode::OK);
    // What is wrong is told, and what was typed stays.
    for (fields, sentence) in [
        (vec![("name", ""), ("scope", "events:read"), ("life", "86400")], "Say what the token is for"),
        (vec![("name", "Backup"), ("life", "86400")], "at least one scope"),
        (vec![("name", "Backup"), ("scope", "root"), ("life", "86400")], "is not a scope"),
        (vec![("name", "Backup"), ("scope", "events:read"), ("life", "99999999999")], "expires between"),
        (vec![("name", "Backup"), ("scope", "events:read"), ("life", "never")], "expires between"),
        (vec![("name", "Back\0up"), ("scope", "events:read"), ("life", "86400")], "Say what the token is for"),
    ] {
        let page = bo.post("/tokens", &fields).await.fine();
        assert!(page.one("#fault").contains(sentence), "{fields:?}: {}", page.one("#fault"));
        assert_eq!(page.count("#secret"), 0);
    }
    // Another's is not there; the administrator sees everybody's, and may revoke.
    let id: uuid::Uuid = world.one("select id from api_token").await;
    let mut mara = Desk::of(&world, "mara.voss").await;
    assert!(mara.get("/tokens").await.fine().text.contains("No tokens."));
    assert_eq!(mara.get("/tokens?of=everybody").await.status, StatusCode::NOT_FOUND);
    assert_eq!(mara.post(&format!("/tokens/{id}/revoke"), &[]).await.status, StatusCode::NOT_FOUND);
    let mut administrator = Desk::of(&world, "sofia.marin").await;
    let page = administrator.get("/tokens?of=everybody").await.fine();
    assert!(page.one("tbody tr").contains("Bo Lind"));
    let page = bo.submit(&later, "form[action$='/revoke']", &[]).await.fine();
    assert!(page.flash().contains("Revoked") && page.one("tbody tr").contains("Revoked"));
    assert_eq!(events(&world).await, StatusCode::UNAUTHORIZED);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn own_sessions_are_listed_and_ended() {
    let world = at_work().await;
    let mut here = Desk::of(&world, "bo.lind").await;
    let mut there = Desk::of(&world, "bo.lind").await;
    let page = here.get("/sessions").await.fine();
    assert_eq!(page.count("tbody tr"), 2);
    assert_eq!(page.all("tbody tr").iter().filter(|row| row.contains("This one")).count(), 1);
    let done = here.submit(&page, "form[action='/sessions/end-others']", &[]).await.fine();
    assert_eq!(done.count("tbody tr"), 1);
    assert_eq!(there.post("/sessions/end-others", &[]).await.status, StatusCode::SEE_OTHER);
    assert!(there.get("/sessions").await.text.contains("Sign in"));
    assert_eq!(here.get("/sessions").await.fine().count("tbody tr"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_metrics_tell_what_is_owed_and_every_answer_has_an_id() {
    let world = at_work().await;
    let app = crate::door::app(&world, world.demo.issuer());
    let mut bo = Desk::at(&app, "bo.lind").await;
    let first = bo.get("/catalog").await.fine().headers["x-request-id"].clone();
    let second = bo.get("/nothing/here?token=secret").await;
    assert_eq!(second.status, StatusCode::NOT_FOUND);
    assert_ne!(first, second.headers["x-request-id"]);
    // What a caller calls their request is not believed.
    let request = Request::get("/healthz").header("x-request-id", "mine").body(Body::empty()).unwrap();
    assert_ne!(bo.send(request).await.headers["x-request-id"], "mine");
    asks(&world, "bo.lind", "orders-db", "reader", 1).await;

    let scrape = async |ctx: Ctx, metrics: Metrics| {
        let response = metrics::router(ctx, metrics).oneshot(Request::get("/metrics").body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        String::from_utf8(to_bytes(response.into_body(), 1 << 20).await.unwrap().to_vec()).unwrap()
    };
    let text = scrape(world.ctx.clone(), app.metrics.clone()).await;
    for line in [
        "countersign_http_requests_total{method=\"GET\",route=\"/catalog\",status=\"200\"} 1",
        "countersign_http_requests_total{method=\"GET\",route=\"none\",status=\"404\"} 1",
        "countersign_requests{state=\"pending\"} 1",
        "countersign_grants{state=\"revoking\"} 0",
        "countersign_oldest_owed_removal_age_seconds 0.0",
        "countersign_database_up 1",
    ] {
        assert!(text.lines().any(|l| l == line), "{line} is missing in\n{text}");
    }
    let events: i64 = world.one("select max(id) from audit_event").await;
    assert!(text.contains(&format!("countersign_events_total {events}\n")));
    assert!(text.contains("countersign_worker_heartbeat_age_seconds ") && text.contains("countersign_timetable_success_age_seconds{entry=\"sync:main\"}"));
    assert!(!text.contains("secret") && text.ends_with("# EOF\n"));
    // The metrics are not on the pages' address.
    assert_eq!(bo.get("/metrics").await.status, StatusCode::NOT_FOUND);
    let settings = Settings { owner: Some(superuser().database(&world.database)), app: None, max_connections: 2 };
    let cut_off = Ctx { db: Db::connect(&settings).await.unwrap(), ..world.ctx.clone() };
    cut_off.db.close().await;
    assert!(scrape(cut_off, app.metrics.clone()).await.contains("countersign_database_up 0"));
}
