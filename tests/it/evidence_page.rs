//! The page Evidence, and that reading is on record.

use chrono::Duration;
use countersign::domain::approval::Answer;
use countersign::evidence::columns::File;
use countersign::service::error::ServiceError;
use countersign::service::look::evidence::{Control, Period, evidence};
use countersign::service::sweep::sweep;
use countersign::service::sync::sync;

use crate::desk::Desk;
use crate::export::{taken, taking};
use crate::world::World;

const HOUR: i64 = 3_600;
const YES: Answer = Answer::Approve { granted: None };

async fn of(world: &World, days: u64) -> Vec<Control> {
    let period = Period::last(days, world.now().date_naive());
    evidence(&world.ctx, &world.by("wei.zhang").await, period).await.unwrap().controls
}

fn control<'a>(controls: &'a [Control], name: &str) -> &'a Control {
    controls.iter().find(|control| control.control.ends_with(name)).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_control_counts_what_it_is_about_and_shows_exceptions_first() {
    let world = World::new().await;
    let quiet = of(&world, 30).await;
    assert_eq!(quiet.len(), 9);
    let asked = world.ask("bo.lind", "orders-db", "reader", HOUR).await.unwrap();
    world.answer("mara.voss", asked.id, YES).await.unwrap();
    let asked = world.ask("yusuf.demir", "orders-db", "reader", HOUR).await.unwrap();
    world.answer("mara.voss", asked.id, YES).await.unwrap();
    world.turn().await;
    world.directory().add(&world.group("orders-db-readers").await, &world.reference("carlos.silva").await).await;
    sweep(&world.ctx, "main").await.unwrap();
    // Somebody leaves, and the directory does not let go of what they hold in time.
    world.set_active("yusuf.demir", false).await;
    sync(&world.ctx, "main").await.unwrap();
    world.turn().await;

    let controls = of(&world, 30).await;
    let numbers = |name: &str| (control(&controls, name).population, control(&controls, name).exceptions);
    assert_eq!(numbers("granting"), (2, 0));
    assert_eq!(numbers("least privilege, separation of duties"), (2, 0));
    assert_eq!(numbers("leaving"), (1, 0));
    assert_eq!(numbers("access").1, 1);
    assert_eq!(numbers("Completeness and accuracy").1, 1);
    assert_eq!(numbers("Change control"), (1, 1), "rules that the operator applied alone");
    let access = control(&controls, "A.5.15: access");
    assert_eq!(access.shown.len(), 1);
    assert!(access.shown[0].sentence.starts_with("Carlos Silva is in orders-db-readers without a grant"), "{}", access.shown[0].sentence);
    assert_eq!(access.shown[0].href, "/drift");
    let first: Vec<bool> = controls.iter().map(|control| control.exceptions > 0).collect();
    assert!(first.windows(2).all(|pair| pair[0] >= pair[1]), "exceptions come first");

    // What is held now is told of every period; what happened only of its own.
    world.advance(Duration::days(40)).await;
    world.turn().await;
    let later = of(&world, 30).await;
    assert_eq!((control(&later, "granting").population, control(&later, "Change control").population), (0, 0));
    assert_eq!(control(&later, "A.5.15: access").exceptions, 1);
    assert_eq!(control(&of(&world, 90).await, "granting").population, 2);
    let nobody = evidence(&world.ctx, &world.by("bo.lind").await, Period::last(30, world.now().date_naive())).await;
    assert!(matches!(nobody, Err(ServiceError::Missing)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_says_who_took_each_file_last_and_who_looked_is_on_record() {
    let world = World::new().await;
    taken(&world, taking(File::Grants)).await;
    let mut auditor = Desk::of(&world, "wei.zhang").await;
    let page = auditor.get("/evidence").await.fine();
    assert!(page.text.contains("the command line") && page.text.contains("There is no key here"));
    auditor.get("/log/export/access.csv?from=2026-01-01&mode=safe").await.fine();
    assert!(auditor.get("/evidence?days=30").await.fine().text.contains("Wei Zhang"));
    for bad in ["/evidence?days=31", "/evidence?from=x", "/evidence?from=2026-02-01&to=2026-01-01"] {
        assert_eq!(auditor.get(bad).await.status, 400, "{bad}");
    }
    assert_eq!(auditor.get("/evidence/bundle.zip").await.status, 503, "without a key there is no bundle");
    let mut employee = Desk::of(&world, "bo.lind").await;
    assert_eq!(employee.get("/evidence").await.status, 404);

    let asked = world.ask("bo.lind", "orders-db", "reader", HOUR).await.unwrap();
    employee.get(&format!("/requests/{}", asked.id)).await.fine();
    employee.get("/log").await.fine();
    let mut administrator = Desk::of(&world, "sofia.marin").await;
    for _ in 0..3 {
        administrator.get(&format!("/requests/{}", asked.id)).await.fine();
    }
    auditor.get("/log").await.fine();
    let looked = async || -> Vec<String> {
        let sql = "select actor_name || ' ' || (data->>'page') || coalesce(' ' || (data->>'object'), '') from countersign.audit_event where kind = 'evidence.viewed' order by id";
        sqlx::query_scalar(sql).fetch_all(&world.root).await.unwrap()
    };
    let request = format!("Sofía Marín /requests/{{id}} {}", asked.id);
    assert_eq!(looked().await, ["Wei Zhang /evidence".to_owned(), request.clone(), "Wei Zhang /log".into()], "once an hour, and of nobody else");
    world.advance(Duration::minutes(61)).await;
    let mut administrator = Desk::of(&world, "sofia.marin").await;
    administrator.get(&format!("/requests/{}", asked.id)).await.fine();
    assert_eq!(looked().await.last(), Some(&request));
    assert_eq!(looked().await.len(), 4);
    let activity = taken(&world, taking(File::AdminActivity)).await;
    assert!(activity.contains(&format!("/requests/{{id}} {}", asked.id)) && activity.contains("evidence.viewed"));
}
