//! Verify, the proof of an event, and My data.

use axum::http::StatusCode;
use chrono::Duration;
use countersign::domain::approval::Answer;
use countersign::domain::event::{Actor, Channel};
use countersign::evidence::note::PrivateKey;
use countersign::service::ask::AskFor;
use countersign::service::ctx::{Changing, Ctx};
use countersign::service::erase::{self, Held, Ordered};
use countersign::service::error::ServiceError;
use countersign::service::{event_list, seal};
use countersign::web::state::App;

use crate::bundle::everything;
use crate::desk::Desk;
use crate::door;
use crate::sealed::{Sealed, whole_key};
use crate::world::World;

fn app(sealed: &Sealed) -> App {
    App { ctx: sealed.ctx.clone(), ..door::app(&sealed.world, sealed.world.demo.issuer()) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_looked_is_told_to_whom_it_was_about_and_everything_is_theirs_to_take() {
    let sealed = Sealed::new().await;
    let app = app(&sealed);
    let asked = sealed.world.ask("bo.lind", "orders-db", "reader", 3_600).await.unwrap();
    let (mut bo, mut wei, mut liam) = (Desk::at(&app, "bo.lind").await, Desk::at(&app, "wei.zhang").await, Desk::at(&app, "liam.byrne").await);
    let mine = bo.get("/me").await.fine();
    assert!(mine.main().contains("bo.lind") && mine.main().contains("Nobody but you"), "{}", mine.main());
    bo.get(&format!("/requests/{}", asked.id)).await.fine();
    for _ in 0..2 {
        wei.get(&format!("/requests/{}", asked.id)).await.fine();
        wei.get("/log?q=bo.lind").await.fine();
    }
    wei.get("/log/export/grants.csv?q=bo.lind").await.fine();
    let mine = bo.get("/me").await.fine();
    let looked = mine.all("main table tbody tr").into_iter().filter(|row| row.contains("Wei Zhang")).collect::<Vec<_>>();
    assert_eq!(looked.len(), 3, "each once an hour: {looked:?}");
    assert!(["a request", "the log", "grants.csv"].iter().all(|what| looked.iter().any(|row| row.ends_with(what))), "{looked:?}");
    assert!(liam.get("/me").await.fine().main().contains("Nobody but you"));

    let taken = bo.get("/me/data.jsonl").await.fine();
    assert!(taken.headers["content-disposition"].to_str().unwrap().contains("data.jsonl"));
    let rows: Vec<serde_json::Value> = taken.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |what: &str| rows.iter().filter(|row| row["what"] == what).count() as i64;
    for (what, sql) in [
        ("person", "select 1::bigint"),
        ("request", "select count(*) from request r join person p on p.id in (r.requester_id, r.beneficiary_id) where p.user_name = 'bo.lind'"),
        ("session", "select count(*) from session s join person p on p.id = s.person_id where p.user_name = 'bo.lind'"),
        ("event", "select count(*) from audit_event e join person p on p.user_name = 'bo.lind' where p.id in (e.person_id, e.actor_id)"),
    ] {
        assert_eq!(of(what), sealed.world.one::<i64>(sql).await, "{what}");
    }
    assert!(!taken.text.contains("token_hash") && !taken.text.contains("id_token") && !taken.text.contains("Liam Byrne"));
    assert!(rows.iter().any(|row| row["row"]["kind"] == "evidence.exported"), "that it was taken is in it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whom_a_hold_is_on_learns_nothing_of_it() {
    const WHY: &str = "Ashcroft against Bright";
    let sealed = Sealed::new().await;
    let app = app(&sealed);
    let asked = sealed.world.ask("bo.lind", "orders-db", "reader", 3_600).await.unwrap();
    let (mut bo, mut mara, mut wei) = (Desk::at(&app, "bo.lind").await, Desk::at(&app, "mara.voss").await, Desk::at(&app, "wei.zhang").await);
    let counted = |page: &crate::desk::Page| page.all("main table tbody tr").into_iter().find(|row| row.contains("events about you")).unwrap();
    let before = counted(&bo.get("/me").await.fine());
    let place = async |of| erase::hold(&sealed.ctx, (Actor::System, Channel::Cli), of, WHY).await.unwrap();
    place(Held::Person(sealed.world.person("bo.lind").await)).await;
    let hold = place(Held::Request(asked.id.0)).await;
    erase::lift(&sealed.ctx, (Actor::System, Channel::Cli), hold, WHY).await.unwrap();
    let me = bo.get("/me").await.fine();
    assert_eq!(counted(&me), before, "not how many there are either");
    let request = format!("/requests/{}", asked.id);
    let event: i64 = sealed.world.one("select id from audit_event where kind = 'hold.placed' order by id limit 1").await;
    let of_request: i64 = sealed.world.one("select max(id) from audit_event where kind = 'hold.placed'").await;
    for path in ["/me", "/log", "/log?kind=hold", "/log?q=bo.lind", "/access/mine.csv", "/me/data.jsonl", &request, &format!("/log?q={}", asked.id)] {
        let page = bo.get(path).await.fine();
        assert!(!page.text.contains(WHY), "{path}: {}", page.text);
        assert!(path.starts_with("/log") || !page.text.contains("hold."), "{path}: {}", page.text);
        if path.starts_with("/requests") || path.starts_with("/log") {
            assert!(!mara.get(path).await.text.contains(WHY), "nor whoever is asked: {path}");
            assert!(wei.get(path).await.fine().text.contains(WHY), "an auditor does: {path}");
        }
    }
    for id in [event, of_request] {
        assert_eq!(bo.get(&format!("/log/{id}")).await.status, StatusCode::NOT_FOUND);
        assert_eq!(mara.get(&format!("/log/{id}")).await.status, StatusCode::NOT_FOUND);
        wei.get(&format!("/log/{id}")).await.fine();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_asked_for_another_takes_nothing_of_what_the_directory_says_of_them() {
    let world = World::lab().await;
    let bo = world.person("bo.lind").await;
    let asked = world.asks("ines.okafor", AskFor { beneficiary: Some(bo), ..world.wish("lab", "others").await }).await.unwrap();
    let (mut ines, mut own) = (Desk::of(&world, "ines.okafor").await, Desk::of(&world, "bo.lind").await);
    let row = |text: &str| {
        let rows = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        rows.filter(|row| row["what"] == "request").find(|row| row["row"]["id"] == asked.id.to_string()).unwrap()["row"].clone()
    };
    let (hers, his) = (row(&ines.get("/me/data.jsonl").await.fine().text), row(&own.get("/me/data.jsonl").await.fine().text));
    for told in ["inputs", "trace", "conflicts"] {
        assert!(hers.get(told).is_none() && his.get(told).is_some(), "{told}");
    }
    assert_eq!((&hers["beneficiary_id"], &hers["status"]), (&his["beneficiary_id"], &his["status"]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_auditor_sees_each_proof_and_checks_files_where_changes_are_found() {
    let sealed = Sealed::new().await;
    let app = app(&sealed);
    sealed.live().await;
    seal::seal(&sealed.ctx).await.unwrap();
    let kept = seal::sign(&sealed.ctx, true).await.unwrap().unwrap();
    let (mut wei, mut bo) = (Desk::at(&app, "wei.zhang").await, Desk::at(&app, "bo.lind").await);
    let id: i64 = sealed.world.one("select id from audit_event where kind = 'request.submitted'").await;
    let event = wei.get(&format!("/log/{id}")).await.fine();
    assert!(event.main().contains("asked for Orders DB") && event.count(".path li") > 0 && event.main().contains("Leaf"), "{}", event.main());
    assert!(bo.get(&format!("/log/{id}")).await.fine().main().contains("Leaf"), "their own");
    assert_eq!(bo.get("/log/1").await.status, StatusCode::NOT_FOUND);
    assert_eq!(bo.get("/verify").await.status, StatusCode::NOT_FOUND);
    let shown = wei.get("/verify").await.fine();
    assert!(shown.main().contains("access.example.com/log+"));
    assert_eq!(wei.get("/verify/checkpoint").await.fine().text, kept);

    let list = event_list::prepare(&sealed.ctx, None, None, Actor::System, Channel::Cli).await.unwrap();
    let text = event_list::lines(&sealed.ctx, &list, 0).await.unwrap().unwrap().0;
    let proof = serde_json::to_string(&list.proof).unwrap();
    let mut check = async |files: &[(&str, &str)]| {
        let files: Vec<_> = files.iter().map(|(name, text)| (if *name == "kept" { "kept" } else { "files" }, *name, text.as_bytes())).collect();
        wei.upload("/verify", &files).await.fine().main()
    };
    let of = |events: &str| [("events.jsonl", events.to_owned()), ("proof.json", proof.clone()), ("checkpoint", list.note.clone()), ("kept", kept.clone())];
    fn told<'a>(files: &'a [(&'a str, String)]) -> Vec<(&'a str, &'a str)> {
        files.iter().map(|(name, text)| (*name, text.as_str())).collect()
    }
    let good = check(&told(&of(&text))).await;
    assert!(good.contains("Verified.") && good.contains("go on from the checkpoint"), "{good}");
    let forged = check(&told(&of(&text.replacen("Bo Lind", "Bo Lund", 1)))).await;
    assert!(forged.contains("Not verified.") && forged.contains("(changed)"), "{forged}");
    let cut = check(&told(&of(text.split_once('\n').unwrap().1))).await;
    assert!(cut.contains("(dropped)"), "{cut}");
    // An event behind its hash.
    let line = text.lines().nth(2).unwrap();
    let hash = &serde_json::from_str::<serde_json::Value>(line).unwrap()["leaf_hash"];
    let hidden = text.replacen(line, &serde_json::json!({"end": "3", "first": "2", "withheld": [hash]}).to_string(), 1);
    let hidden = check(&told(&of(&hidden))).await;
    assert!(hidden.contains("Not verified.") && hidden.contains("there are only hashes"), "{hidden}");
    // What the files say of keys is not asked: with everything of their own, they are a stranger's.
    let stranger = PrivateKey::new("access.example.com/log", [9; 32]).unwrap();
    let claim = stranger.sign(sealed.ctx.sealer.as_ref().unwrap().public().open(&list.note).unwrap());
    let theirs = serde_json::json!([{"event": {"kind": "log.key_rotated", "data": {"from": whole_key().to_string(), "to": stranger.public().to_string()}}, "path": [], "note": claim}]);
    let key = stranger.public().to_string();
    let foreign =
        check(&[("events.jsonl", &text), ("proof.json", &proof), ("checkpoint", &claim), ("key", &key), ("rotations.json", &theirs.to_string())]).await;
    assert!(foreign.contains("(wrong_key)"), "{foreign}");
    assert!(check(&[("events.jsonl", "")]).await.contains("Not verified."));
    assert!(check(&[("", "")]).await.contains("Choose a bundle"));
    assert!(check(&[("a.zip", "PK"), ("b.zip", "PK")]).await.contains("Choose a bundle"));
    assert!(check(&[("a.zip", "PK\u{3}\u{4} no")]).await.contains("Not verified."));
    sealed.world.advance(chrono::Duration::minutes(5)).await;
    for (name, times) in [("../key", 1), ("x.html", 1), (".csv", 1), ("grants.csv", 2)] {
        let files = vec![("files", name, b"x".as_slice()); times];
        assert_eq!(wei.upload("/verify", &files).await.status, StatusCode::BAD_REQUEST, "{name}");
    }
    assert_eq!(wei.post("/verify", &[("files", "x")]).await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bundle_is_checked_on_the_page_as_it_was_taken() {
    let sealed = Sealed::new().await;
    let app = app(&sealed);
    sealed.live().await;
    let mut wei = Desk::at(&app, "wei.zhang").await;
    let mut bytes = std::fs::read(sealed.taken(&everything(), "bundle.zip").await).unwrap();
    let good = wei.upload("/verify", &[("files", "evidence (1).zip", &bytes)]).await.fine().main();
    assert!(good.contains("Verified.") && good.contains("files,") && good.contains("events from leaf"), "{good}");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    let bad = wei.upload("/verify", &[("files", "bundle.zip", &bytes)]).await.fine().main();
    assert!(bad.contains("Not verified."), "{bad}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn holds_are_placed_and_lifted_on_a_page_and_two_administrators_erase() {
    let sealed = Sealed::new().await;
    let world = &sealed.world;
    let mut ctx = sealed.ctx.clone();
    ctx.changing = Changing { require_second_person: true, ..ctx.changing.clone() };
    let app = App { ctx: ctx.clone(), ..app(&sealed) };
    let denied = world.ask("bo.lind", "orders-db", "writer", 3_600).await.unwrap();
    world.answer("mara.voss", denied.id, Answer::Deny).await.unwrap();
    let bo = world.person("bo.lind").await;
    let (mut sofia, mut wei) = (Desk::at(&app, "sofia.marin").await, Desk::at(&app, "wei.zhang").await);
    assert!(sofia.get("/admin/holds").await.fine().main().contains("Nothing is held"));

    // What is typed wrongly stays typed; nothing is held.
    for (on, reason) in [("nobody.there", "A court asked."), ("bo.lind", ""), ("", "x"), ("\u{fffd}\u{202e}", "x")] {
        let page = sofia.post("/admin/holds", &[("on", on), ("reason", reason)]).await;
        assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY, "{on:?}");
        assert!(page.text.contains("fault-hold") && (reason.len() < 2 || page.text.contains(reason)));
    }
    sofia.post("/admin/holds", &[("on", "bo.lind"), ("reason", "Ashcroft against Bright")]).await;
    sofia.post("/admin/holds", &[("on", &denied.id.to_string()), ("reason", "Ashcroft against Bright")]).await;
    let shown = wei.get("/admin/holds").await.fine();
    assert_eq!(shown.text.matches("Ashcroft against Bright").count(), 2);
    assert!(!shown.text.contains("/lift\"") && !shown.text.contains("Erase a person"), "auditors change nothing");
    let hold: uuid::Uuid = world.one("select id from legal_hold where person_id is not null").await;
    for act in ["/admin/holds".to_owned(), format!("/admin/holds/{hold}/lift"), "/admin/holds/erase".into()] {
        assert_eq!(wei.post(&act, &[("reason", "x"), ("on", "bo.lind"), ("person", &bo.to_string())]).await.status, StatusCode::NOT_FOUND, "{act}");
    }

    world.set_active("bo.lind", false).await;
    world.advance(Duration::minutes(6)).await;
    world.turn().await;
    world.advance(Duration::hours(2)).await;
    world.turn().await;
    let mut sofia = Desk::at(&app, "sofia.marin").await;
    let foreseen = sofia.get("/admin/holds?person=bo.lind").await.fine();
    assert!(foreseen.text.contains("they themselves are held since") && !foreseen.text.contains("action=\"/admin/holds/erase\""));
    let order = |name: &'static str| [("person", bo.to_string()), ("name", name.to_owned()), ("reason", "Asked for it by letter.".to_owned())];
    let send = |name: &'static str| order(name).map(|(key, value)| (key, Box::leak(value.into_boxed_str()) as &str));
    assert_eq!(sofia.post("/admin/holds/erase", &send("Bo Lind")).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    let holds: Vec<uuid::Uuid> = sqlx::query_scalar("select id from legal_hold").fetch_all(&world.root).await.unwrap();
    for id in holds {
        assert_eq!(sofia.post(&format!("/admin/holds/{id}/lift"), &[("reason", "")]).await.status, StatusCode::UNPROCESSABLE_ENTITY);
        sofia.post(&format!("/admin/holds/{id}/lift"), &[("reason", "Settled.")]).await;
        assert_eq!(sofia.post(&format!("/admin/holds/{id}/lift"), &[("reason", "Again.")]).await.status, StatusCode::NOT_FOUND);
    }
    assert!(sofia.get("/admin/holds").await.fine().text.contains("Lifted"));
    world.advance(Duration::hours(25)).await;
    world.turn().await;

    // The name is typed; one order is noted, and the same administrator's again is no second one.
    let mut sofia = Desk::at(&app, "sofia.marin").await;
    let wrong = sofia.post("/admin/holds/erase", &send("Bo")).await;
    assert!(wrong.status == StatusCode::UNPROCESSABLE_ENTITY && wrong.text.contains("Type the name"), "{}", wrong.text);
    for _ in 0..2 {
        let noted = sofia.post("/admin/holds/erase", &send("Bo Lind")).await;
        assert!(noted.text.contains("another administrator orders the same") || noted.status == StatusCode::SEE_OTHER, "{}", noted.text);
    }
    assert_eq!(world.one::<i64>("select count(*) from audit_event where kind = 'person.erased'").await, 0);
    assert!(sofia.get("/admin/holds").await.fine().main().contains("Asked for it by letter."));
    let mut second = world.by("wei.zhang").await;
    assert!(matches!(erase::order(&ctx, &second, bo, "Bo Lind", "Asked for it.").await, Err(ServiceError::Missing)));
    second.is_administrator = true;
    assert!(matches!(erase::order(&ctx, &second, bo, "Bo Lind", "Asked for it.").await.unwrap(), Ordered::Erased(done) if done.events > 0));
    assert!(!sofia.get("/admin/holds").await.fine().text.contains("Bo Lind"));

    // Where one is enough, the page says what went.
    let alone = App { ctx: Ctx { changing: Changing { require_second_person: false, ..ctx.changing.clone() }, ..ctx.clone() }, ..app };
    world.set_active("yusuf.demir", false).await;
    world.advance(Duration::minutes(6)).await;
    world.turn().await;
    world.advance(Duration::minutes(2)).await;
    world.turn().await;
    world.advance(Duration::minutes(61)).await;
    world.turn().await;
    let (yusuf, name): (uuid::Uuid, String) =
        sqlx::query_as("select id, display_name from person where user_name = 'yusuf.demir'").fetch_one(&world.root).await.unwrap();
    let mut sofia = Desk::at(&alone, "sofia.marin").await;
    assert!(sofia.get("/admin/holds?person=yusuf.demir").await.fine().text.contains("Nothing hinders it"));
    let done = sofia.post("/admin/holds/erase", &[("person", &yusuf.to_string()), ("name", &name), ("reason", "Asked for it.")]).await.fine();
    assert!(done.main().contains("lost a name or a text") && !done.text.contains(&name));
}
