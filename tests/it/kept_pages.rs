//! Verify, the proof of an event, and My data.

use axum::http::StatusCode;
use countersign::domain::event::{Actor, Channel};
use countersign::evidence::note::PrivateKey;
use countersign::service::{event_list, seal};
use countersign::web::state::App;

use crate::bundle::everything;
use crate::desk::Desk;
use crate::door;
use crate::sealed::{Sealed, whole_key};

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
