//! An approver's queue narrowed and ordered; what they decided, kept.

use chrono::Duration;
use countersign::domain::approval::Answer;
use countersign::service::delegate::{Away, delegate};
use serde_json::json;
use uuid::Uuid;

use crate::api::Site;
use crate::desk::Desk;
use crate::queue_bulk::{BULK, SCOPES, named, yard};

const YES: Answer = Answer::Approve { granted: None };

// Narrowed and ordered ------------------------------------------------------------------------------------------------

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_queue_is_narrowed_and_ordered_by_its_address_and_stays_so() {
    let world = yard(3).await;
    let gate = world.wants("worker.0", "yard", "gate").await;
    world.wants("worker.1", "yard", "crane").await;
    world.wants("worker.2", "shed", "bin").await;
    let mut mara = Desk::of(&world, "mara.voss").await;
    let names = async |mara: &mut Desk, query: &str| -> Vec<String> {
        let page = mara.get(&format!("/queue{query}")).await.fine();
        page.all(".qrow-line bdi").into_iter().map(|name| name.trim_start_matches("Worker Number ").to_owned()).collect()
    };
    assert_eq!(names(&mut mara, "").await, ["0", "1", "2"], "the oldest first");
    assert_eq!(names(&mut mara, "?sort=due").await, ["2", "0", "1"], "what has hours before what has days");
    assert_eq!(names(&mut mara, "?soon=yes").await, ["2"]);
    assert_eq!(names(&mut mara, "?risk=critical").await, ["1"]);
    assert_eq!(names(&mut mara, "?q=number+1").await, ["1"]);
    assert_eq!(names(&mut mara, &format!("?role={}", world.role("yard", "gate").await)).await, ["0"]);
    let shed: Uuid = world.one("select id from countersign.application where key = 'shed'").await;
    assert_eq!(names(&mut mara, &format!("?application={shed}")).await, ["2"]);
    assert!(names(&mut mara, "?emergency=yes").await.is_empty() && names(&mut mara, "?standing_in=yes").await.is_empty());
    let none = mara.get("/queue?emergency=yes").await.fine();
    assert!(none.one(".empty").contains("None of the 3 waiting requests match"));
    // Words of any kind narrow to nothing, and break nothing.
    for odd in ["?role=x", "?application=%00", "?risk=%F0%9F%92%A5", "?sort=no&many=maybe", "?q=%25_%5C"] {
        let page = mara.get(&format!("/queue{odd}")).await;
        assert_eq!(page.status, 200, "{odd}: {}", page.main());
    }
    for cursor in ["x", "-_x", "2026_1", "%00"] {
        assert_eq!(mara.get(&format!("/queue?sort=due&after={cursor}")).await.status, 404, "{cursor}");
    }
    // An answer leads back to where it was.
    let page = mara.get("/queue?sort=due&risk=low").await.fine();
    let after = mara.submit(&page, &format!("form[action='/requests/{gate}/approve']"), &[]).await.fine();
    assert!(after.flash().contains("Approved"));
    assert_eq!(
        (after.attr("select[name=risk] option[selected]", "value"), after.attr("select[name=sort] option[selected]", "value")),
        ("low".into(), "due".into())
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_of_the_queue_miss_nothing_and_repeat_nothing_in_either_order() {
    let world = yard(60).await;
    let mut asked = world.all_want(30, "yard", "gate").await;
    for n in 30..60 {
        asked.push(world.wants(&format!("worker.{n}"), "shed", "bin").await);
    }
    let mut mara = Desk::of(&world, "mara.voss").await;
    for begin in ["/queue", "/queue?sort=due", "/queue?sort=due&q=number"] {
        let (mut seen, mut next) = (Vec::new(), Some(begin.to_owned()));
        while let Some(path) = next {
            let page = mara.get(&path).await.fine();
            let html = page.html();
            seen.extend(html.select(&scraper::Selector::parse("[data-open]").unwrap()).map(|link| link.attr("href").unwrap().to_owned()));
            next = (page.count(".pager a") == 1).then(|| page.attr(".pager a", "href"));
        }
        let mut wanted: Vec<String> = asked.iter().map(|request| format!("/requests/{request}")).collect();
        assert_eq!(seen.len(), 60, "{begin}");
        if begin != "/queue" {
            assert!(seen[..30].iter().all(|path| wanted[30..].contains(path)), "{begin}: hours before days");
        }
        seen.sort();
        wanted.sort();
        assert_eq!(seen, wanted, "{begin}");
    }
}

// Kept ----------------------------------------------------------------------------------------------------------------

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_approver_finds_everything_they_decided_also_in_the_place_of_others() {
    let world = yard(3).await;
    let mut mara = Desk::of(&world, "mara.voss").await;
    assert!(mara.get("/queue/history").await.fine().one(".empty").contains("You have not decided on anything yet"));
    let asked = world.all_want(2, "yard", "gate").await;
    world.answer("mara.voss", asked[0], YES).await.unwrap();
    world.answer("mara.voss", asked[1], Answer::Deny).await.unwrap();
    let until = Some(world.now() + Duration::hours(8));
    let away = Away { delegate: Some(world.person("priya.raman").await), until, ..Away::default() };
    delegate(&world.ctx, &world.by("mara.voss").await, &away).await.unwrap();
    let third = world.wants("worker.2", "yard", "crane").await;
    let mut priya = Desk::of(&world, "priya.raman").await;
    let queue = priya.get("/queue?standing_in=yes").await.fine();
    assert_eq!(queue.count(".qrow"), 1, "{}", queue.main());
    world.answer("priya.raman", third, YES).await.unwrap();

    let history = mara.get("/queue/history").await.fine();
    let rows = history.all("tbody tr");
    assert!(rows.len() == 2 && rows[0].contains("Denied") && rows[1].contains("Approved"), "newest first: {rows:?}");
    let theirs = priya.get("/queue/history?standing_in=yes").await.fine();
    assert!(theirs.one("tbody tr").contains("for Mara Voss, who is away"), "{}", theirs.main());
    assert_eq!(mara.get("/queue/history?verdict=deny").await.fine().count("tbody tr"), 1);
    assert_eq!(mara.get("/queue/history?q=number+0").await.fine().count("tbody tr"), 1);
    assert!(mara.get("/queue/history?from=2030-01-01").await.fine().one(".empty").contains("None of your decisions match"));
    for wrong in ["?verdict=x", "?from=yesterday", "?from=2026-02-01&to=2026-01-01", "?application=x"] {
        assert_eq!(mara.get(&format!("/queue/history{wrong}")).await.status, 400, "{wrong}");
    }
    assert_eq!(mara.get("/queue/history?after=x").await.status, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ones_own_decisions_are_a_csv_that_no_spreadsheet_runs() {
    let world = yard(2).await;
    let asked = world.all_want(2, "yard", "gate").await;
    let site = Site::over(&world);
    let token = site.token(&world, "mara.voss", &SCOPES).await;
    let formula = "=HYPERLINK(\"http://evil.example\"), really";
    site.post(&token, BULK, json!({"decision": "deny", "comment": formula, "requests": named(&asked)})).await;
    let mut mara = Desk::of(&world, "mara.voss").await;
    let file = mara.get("/queue/history.csv").await.fine();
    assert!(file.headers["content-type"].to_str().unwrap().starts_with("text/csv"));
    let mut reader = csv::Reader::from_reader(file.text.as_bytes());
    let header: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    let cell = |row: usize, name: &str| rows[row].get(header.iter().position(|known| known == name).unwrap()).unwrap().to_owned();
    assert_eq!(rows.len(), 2);
    assert_eq!((cell(0, "decision"), cell(0, "comment"), cell(0, "channel")), ("deny".into(), format!("'{formula}"), "api".into()));
    assert_eq!((cell(0, "request_id"), cell(1, "request_id")), (asked[1].to_string(), asked[0].to_string()), "newest first");
    let taken: i64 = world.one("select count(*) from countersign.audit_event where kind = 'evidence.exported' and data->>'file' = 'decisions.csv'").await;
    assert_eq!(taken, 1, "that it was taken is on record");
    let mut arjun = Desk::of(&world, "arjun.mehta").await;
    assert_eq!(arjun.get("/queue/history.csv").await.fine().text.lines().count(), 1, "nobody else's");
    assert_eq!(mara.get("/queue/history.csv?verdict=approve").await.fine().text.lines().count(), 1);
}
