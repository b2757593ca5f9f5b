//! What each page shows, and to whom.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use chrono::Duration;
use countersign::domain::approval::Answer;
use countersign::domain::id::RequestId;
use countersign::domain::span::Seconds;
use countersign::service::answer::answer;
use countersign::service::ask::{AskFor, Asked, ask};

use crate::desk::{Desk, Page};
use crate::door;
use crate::faulty::Faulty;
use crate::world::World;

const WHY: &str = "Refund run 4711 fails for a few customers.";

async fn asked(world: &World, user_name: &str, role: (&str, &str)) -> Asked {
    let by = world.by(user_name).await;
    let ask_for = AskFor { duration: Some(Seconds(3_600)), justification: Some(WHY.into()), ..AskFor::new(world.role(role.0, role.1).await) };
    ask(&world.ctx, &by, ask_for).await.unwrap()
}

async fn approved(world: &World, by: &str, id: RequestId) {
    answer(&world.ctx, &world.by(by).await, id, Answer::Approve { granted: None }, None, None).await.unwrap();
    world.turn().await;
}

/// The first card of the catalog that names a role.
fn card(page: &Page, role: &str) -> String {
    page.all(".rolecard").into_iter().find(|card| card.contains(role)).unwrap_or_else(|| panic!("no {role} in {}", page.main()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_shows_to_each_what_is_theirs_and_to_strangers_nothing() {
    let world = World::new().await;
    let app = door::app(&world, world.demo.issuer());
    let id = asked(&world, "bo.lind", ("orders-db", "reader")).await.id;
    let path = format!("/requests/{id}");
    let mut pages = Vec::new();
    for user_name in ["bo.lind", "mara.voss", "arjun.mehta", "wei.zhang", "sofia.marin"] {
        pages.push(Desk::at(&app, user_name).await.get(&path).await.fine());
    }
    let [own, approver, owner, auditor, administrator] = pages.try_into().ok().unwrap();
    let acts = |page: &Page| -> Vec<&str> {
        ["withdraw", "approve", "deny"].into_iter().filter(|act| page.count(&format!("form[action='{path}/{act}']")) > 0).collect()
    };
    assert_eq!(acts(&own), ["withdraw"]);
    assert_eq!(acts(&approver), ["approve", "deny"]);
    for page in [&owner, &auditor, &administrator] {
        assert_eq!(acts(page), [""; 0], "reading is not deciding");
        assert!(page.main().contains(WHY));
    }
    assert!(own.one(".trace").contains("Your account must be active") && approver.one(".trace").contains("Their account must be active"));

    let mut stranger = Desk::at(&app, "yusuf.demir").await;
    let (theirs, none) = (stranger.get(&path).await, stranger.get("/requests/01934f2a-7c11-7000-8000-000000000000").await);
    assert_eq!((theirs.status, none.status), (StatusCode::NOT_FOUND, StatusCode::NOT_FOUND));
    assert_eq!(theirs.main(), none.main(), "what one may not see is as if it were not there");
    for act in ["approve", "deny", "withdraw"] {
        let digest: String = sqlx::query_scalar("select ask_digest from countersign.request where id = $1").bind(id.0).fetch_one(&world.root).await.unwrap();
        let answer = stranger.post(&format!("{path}/{act}"), &[("digest", &digest), ("step", "1"), ("reason", "x")]).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{act}");
        // Nor does a wrong digest or step tell that it is there.
        for (digest, step) in [("0", "1"), ("", "1"), (digest.as_str(), "2")] {
            let answer = stranger.post(&format!("{path}/{act}"), &[("digest", digest), ("step", step), ("reason", "x")]).await;
            let none =
                stranger.post(&format!("/requests/01934f2a-7c11-7000-8000-000000000000/{act}"), &[("digest", digest), ("step", step), ("reason", "x")]).await;
            assert_eq!((answer.status, answer.main()), (StatusCode::NOT_FOUND, none.main()), "{act} {digest} {step}");
        }
    }
    // Who reads everything still decides nothing.
    let mut sofia = Desk::at(&app, "sofia.marin").await;
    let digest = approver.attr("input[name=digest]", "value");
    let answer = sofia.post(&format!("{path}/approve"), &[("digest", &digest), ("step", "1")]).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(answer.main().contains("You were not asked"), "{}", answer.main());
    let mut bo = Desk::at(&app, "bo.lind").await;
    let answer = bo.post(&format!("{path}/approve"), &[("digest", &digest), ("step", "1")]).await;
    assert!(answer.status == StatusCode::UNPROCESSABLE_ENTITY && answer.main().contains("Nobody decides on a request that they made"));
    let decided: i64 = world.one("select count(*) from countersign.approval").await;
    assert_eq!(decided, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_is_for_what_was_shown_and_for_nothing_else() {
    let world = World::new().await;
    let app = door::app(&world, world.demo.issuer());
    let id = asked(&world, "bo.lind", ("orders-db", "reader")).await.id;
    let path = format!("/requests/{id}/approve");
    let mut mara = Desk::at(&app, "mara.voss").await;
    let digest = mara.get(&format!("/requests/{id}")).await.attr("input[name=digest]", "value");
    let wrong = "0".repeat(64);
    for (fields, status) in [
        (&[("digest", wrong.as_str()), ("step", "1")][..], StatusCode::CONFLICT),
        (&[("step", "1")], StatusCode::CONFLICT),
        (&[("digest", &digest), ("step", "2")], StatusCode::CONFLICT),
        (&[("digest", &digest)], StatusCode::BAD_REQUEST),
        (&[("digest", &digest), ("step", "-1")], StatusCode::BAD_REQUEST),
        (&[("digest", &digest), ("step", "1"), ("duration", "soon")], StatusCode::BAD_REQUEST),
        (&[("digest", &digest), ("step", "1"), ("duration", "7200")], StatusCode::UNPROCESSABLE_ENTITY),
        (&[("digest", &digest), ("step", "1"), ("duration", "1")], StatusCode::UNPROCESSABLE_ENTITY),
        (&[("digest", &digest), ("digest", &digest), ("step", "1")], StatusCode::BAD_REQUEST),
    ] {
        let answer = mara.post(&path, fields).await;
        assert_eq!(answer.status, status, "{fields:?}: {}", answer.main());
    }
    // Another site cannot make her browser do it, and opening a link decides nothing.
    let body = format!("digest={digest}&step=1");
    let foreign = Request::post(&path).header("sec-fetch-site", "cross-site").header("content-type", "application/x-www-form-urlencoded");
    assert_eq!(mara.send(foreign.body(Body::from(body)).unwrap()).await.status, StatusCode::FORBIDDEN);
    assert_eq!(mara.get(&path).await.status, StatusCode::METHOD_NOT_ALLOWED);
    let decided: i64 = world.one("select count(*) from countersign.approval").await;
    assert_eq!(decided, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_catalog_says_of_every_role_how_one_stands_to_it() {
    let world = World::new().await;
    let app = door::app(&world, world.demo.issuer());
    let mut yusuf = Desk::at(&app, "bo.lind").await;
    let open = asked(&world, "bo.lind", ("orders-db", "reader")).await.id;
    let held = asked(&world, "bo.lind", ("warehouse", "analyst")).await;
    assert_eq!(held.status.word(), "approved", "the data team gets it at once");
    world.turn().await;
    let page = yusuf.get("/catalog").await.fine();
    assert_eq!(page.count(".rolecard"), 10);
    assert!(card(&page, "Orders DB Read-only").contains("You asked"));
    assert_eq!(page.count(&format!("a[href='/requests/{open}']")), 1);
    assert!(card(&page, "Data warehouse Analyst").contains("You hold it"));
    assert!(card(&page, "Support console Agent").contains("Ask") && card(&page, "Support console Agent").contains("decided by your manager"));
    let ledger = card(&page, "General ledger Accountant");
    assert!(ledger.contains("You must be in department Finance (the directory says Data).") && ledger.contains("Not for you"), "{ledger}");
    let role = world.role("ledger", "accountant").await;
    assert_eq!(page.count(&format!("a[href='/roles/{role}/ask']")), 0);

    let mine = yusuf.get("/catalog?mine=1").await.fine();
    assert!(mine.count(".rolecard") < 10 && mine.all(".why").is_empty(), "{}", mine.main());
    assert_eq!(yusuf.get("/catalog?q=LEDGER").await.fine().count(".rolecard"), 1, "search takes no notice of case");
    assert_eq!(yusuf.get("/catalog?q=customer+orders").await.fine().count(".rolecard"), 1, "words are found in what a role is for");
    assert!(yusuf.get("/catalog?q=%25").await.fine().main().contains("Nothing found"), "a wildcard is a character like others");
    let application = page.attr("#application option:nth-child(2)", "value");
    assert!(yusuf.get(&format!("/catalog?application={application}")).await.fine().count(".rolecard") < 10);
    assert!(yusuf.get("/catalog?application=nothing").await.fine().main().contains("Nothing found"));

    // The role's own page gives the reason first and shows what was seen.
    let page = yusuf.get(&format!("/roles/{role}")).await.fine();
    assert!(page.one("#why").contains("You must be in department Finance") && page.one("#why").contains("Seen: Data"));
    assert!(page.one(".policy").contains("Work on the books") && page.one(".policy").contains("Up to 180 days"));
    assert_eq!(page.count("main table"), 0, "members are for owners");
    let form = yusuf.get(&format!("/roles/{role}/ask")).await.fine();
    assert!(form.count("form.form") == 0 && form.main().contains("You cannot ask for this role"));
    // Asking for what is open already leads to that request.
    let role = world.role("orders-db", "reader").await;
    let there = yusuf.get(&format!("/roles/{role}/ask")).await.fine();
    assert!(there.flash().contains("asked for this role already"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_catalog_misses_no_role_and_repeats_none() {
    let world = World::new().await;
    let mut text = crate::world::catalog();
    for n in 0..60 {
        text.push_str(&format!(
            "\n[[role]]\napplication = \"ledger\"\nkey = \"extra-{n}\"\nname = \"Extra {:02}\"\ndescription = \"Filler.\"\nrisk = \"low\"\ngroup = \"finance-ledger\"\n",
            n % 30
        ));
    }
    world.apply(&text).await;
    let mut bo = Desk::of(&world, "bo.lind").await;
    let mut path = "/catalog".to_owned();
    let mut seen: Vec<String> = Vec::new();
    for _ in 0..4 {
        let page = bo.get(&path).await.fine();
        let html = page.html();
        let links = scraper::Selector::parse(".rolecard-name a").unwrap();
        seen.extend(html.select(&links).map(|a| a.attr("href").unwrap().to_owned()));
        match page.count(".pager a") {
            0 => break,
            _ => path = page.attr(".pager a", "href"),
        }
    }
    let mut single = seen.clone();
    single.sort();
    single.dedup();
    assert_eq!((seen.len(), single.len()), (70, 70));
    assert_eq!(bo.get("/catalog?after=nonsense").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_owner_sees_members_that_no_grant_explains() {
    let world = World::new().await;
    let app = door::app(&world, world.demo.issuer());
    let role = world.role("orders-db", "reader").await;
    let id = asked(&world, "bo.lind", ("orders-db", "reader")).await.id;
    approved(&world, "mara.voss", id).await;
    world.advance(Duration::minutes(10)).await;
    world.turn().await;
    for (user_name, sees) in [("arjun.mehta", true), ("wei.zhang", true), ("sofia.marin", true), ("bo.lind", false)] {
        let page = Desk::at(&app, user_name).await.get(&format!("/roles/{role}")).await.fine();
        assert_eq!(page.count("main table"), usize::from(sees), "{user_name}");
        if sees {
            let rows = page.all("main tbody tr");
            assert!(rows.iter().any(|row| row.contains("Arjun Mehta") && row.contains("Before")), "{rows:?}");
            assert!(rows.iter().any(|row| row.contains("Bo Lind") && row.contains("approved by Mara Voss")), "{rows:?}");
        }
        let revokes = page.count("form[action$=revoke]");
        assert_eq!(revokes > 0, matches!(user_name, "arjun.mehta" | "sofia.marin"), "{user_name}: who audits changes nothing");
        assert!(page.one(".facts").contains("1 person"));
    }
    let grant: uuid::Uuid = world.one("select id from countersign.access_grant").await;
    let mut wei = Desk::at(&app, "wei.zhang").await;
    let answer = wei.post(&format!("/grants/{grant}/revoke"), &[("reason", "x")]).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    let mut mara = Desk::at(&app, "mara.voss").await;
    assert_eq!(mara.post(&format!("/grants/{grant}/return"), &[]).await.status, StatusCode::NOT_FOUND, "who approved it does not hold it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_directory_is_named_and_what_was_typed_is_kept() {
    let faulty = Faulty::start().await;
    let world = World::behind(&faulty).await;
    let app = door::app(&world, world.demo.issuer());
    let id = asked(&world, "bo.lind", ("orders-db", "reader")).await.id;
    let (mut bo, mut mara, mut yusuf) = (Desk::at(&app, "bo.lind").await, Desk::at(&app, "mara.voss").await, Desk::at(&app, "yusuf.demir").await);
    let role = world.role("support-console", "agent").await;
    let form = yusuf.get(&format!("/roles/{role}/ask")).await.fine();
    faulty.down(true);
    world.advance(Duration::minutes(1)).await;

    let page = yusuf.get("/catalog").await.fine();
    assert!(page.flash().contains("directory does not answer") && card(&page, "Support console Agent").contains("Not known now"), "{}", page.main());
    assert!(bo.get("/").await.fine().main().contains("What you hold and asked for is shown as always"));
    assert!(card(&bo.get("/catalog").await.fine(), "Orders DB Read-only").contains("You asked"));
    assert!(yusuf.get(&format!("/roles/{role}")).await.fine().main().contains("the directory does not answer"));
    let unknown = yusuf.get(&format!("/roles/{role}/ask")).await.fine();
    assert!(unknown.main().contains("Nothing can be decided at the moment"));

    let kept = yusuf.submit(&form, "form.form", &[("justification", "A customer waits."), ("duration", "3600")]).await;
    assert_eq!(kept.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(kept.one("#justification"), "A customer waits.");
    let card = mara.get(&format!("/requests/{id}")).await.fine();
    assert!(card.one(".card").contains("cannot be approved at the moment") && card.one(".card-facts").contains("Data Analyst"), "{}", card.one(".card"));

    faulty.down(false);
    let request = yusuf.submit(&kept, "main form", &[]).await.fine();
    assert!(request.flash().contains("on its way") && request.main().contains("A customer waits."), "{}", request.main());
    assert!(request.main().contains("for 1 hour"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faults_are_named_at_their_fields_and_the_text_stays() {
    let world = World::new().await;
    let mut bo = Desk::of(&world, "bo.lind").await;
    let role = world.role("orders-db", "reader").await;
    let form = bo.get(&format!("/roles/{role}/ask")).await.fine();
    let typed = [("duration", "other"), ("other_amount", "90"), ("other_unit", "days"), ("justification", "short"), ("start", "2020-01-01T00:00")];
    let page = bo.submit(&form, "form.form", &typed).await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(page.one("#fault-start").contains("past") && page.one("#fault-justification").contains("at least 10 characters; you wrote 5"));
    assert!(page.one("#faults").contains("What you typed is still here") && page.count("#faults a") == 2);
    assert_eq!(
        (page.one("#justification").as_str(), page.attr("#other_amount", "value").as_str(), page.attr("#start", "value").as_str()),
        ("short", "90", "2020-01-01T00:00")
    );
    assert_eq!(page.one("#other_unit option[selected]"), "days");
    let page = bo.submit(&page, "form.form", &[("start", ""), ("justification", "long enough now")]).await;
    assert!(page.one("#fault-duration").contains("The longest is 30 days; you asked for 90 days."), "{}", page.main());
    // A start that lies ahead is taken; the clock of the duration begins then.
    let start = (world.now() + Duration::days(2)).format("%Y-%m-%dT%H:%M").to_string();
    let page = bo.submit(&page, "form.form", &[("duration", "3600"), ("start", &start)]).await.fine();
    assert!(page.flash().contains("on its way") && page.one(".title").contains("To begin"));
    let requests: i64 = world.one("select count(*) from countersign.request").await;
    assert_eq!(requests, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_input_gets_a_clear_answer_and_leaves_nothing() {
    let world = World::new().await;
    let mut bo = Desk::of(&world, "bo.lind").await;
    let role = world.role("orders-db", "reader").await;
    let key = uuid::Uuid::from_u128(7).to_string();
    let role = role.to_string();
    let sent = |justification: &str| [("role", role.clone()), ("key", key.clone()), ("duration", "3600".into()), ("justification", justification.to_owned())];
    for (text, shown) in [
        ("nul \0 here and more", "nul \u{fffd} here and more"),
        ("right to left \u{202e} text", "right to left \u{202e} text"),
        ("escape \u{1b}[2J of a terminal", "escape \u{fffd}[2J of a terminal"),
    ] {
        let fields = sent(text);
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let page = bo.post("/requests", &fields).await;
        assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(page.one("#fault-justification").contains("characters that cannot be shown"));
        assert_eq!(page.one("#justification"), shown);
    }
    let long = "x".repeat(4_001);
    let fields = sent(&long);
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let page = bo.post("/requests", &fields).await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(page.one("#fault-justification").contains("At most 4000 characters; you wrote 4001.") && page.one("#justification").len() == 4_001);

    let megabyte = bo.post_raw("/requests", format!("role={role}&justification={}", "x".repeat(1 << 20))).await;
    assert_eq!(megabyte.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(megabyte.main().contains("too large"), "{}", megabyte.main());
    for (body, status) in [
        (format!("role={role}&role={role}"), StatusCode::BAD_REQUEST),
        (format!("role={role}&justification=%FF%FE"), StatusCode::UNPROCESSABLE_ENTITY),
        ("role=nonsense&duration=3600".into(), StatusCode::NOT_FOUND),
        (String::new(), StatusCode::NOT_FOUND),
        (format!("role={role}&extend=nonsense"), StatusCode::NOT_FOUND),
        (format!("role={role}&duration=3600&justification=long+enough+now&extend={key}"), StatusCode::NOT_FOUND),
        (format!("role={key}&duration=3600"), StatusCode::NOT_FOUND),
    ] {
        let page = bo.post_raw("/requests", body.clone()).await;
        assert_eq!(page.status, status, "{body}: {}", page.main());
    }
    let json = Request::post("/requests").header("sec-fetch-site", "same-origin").header("content-type", "application/json").body(Body::from("{}")).unwrap();
    assert_eq!(bo.send(json).await.status, StatusCode::BAD_REQUEST);
    for path in ["/catalog?q=%00", "/catalog?q=a%5C%25_&application=%00", "/queue?q=%00&risk=%00", "/queue?application=';drop"] {
        bo.get(path).await.fine();
    }
    for path in ["/catalog?q=a&q=b", "/queue?q=%ff&q=x"] {
        assert_eq!(bo.get(path).await.status, StatusCode::BAD_REQUEST, "{path}");
    }
    for path in ["/requests/nonsense", "/roles/%00", "/roles/1/ask", "/access?ended=x", "/queue?after=%00"] {
        assert_eq!(bo.get(path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    let requests: i64 = world.one("select count(*) from countersign.request").await;
    assert_eq!(requests, 0);

    // What is only text is kept as text, and never runs.
    let harm = "</textarea><script>alert(1)</script> =cmd|' /C calc'!A0 {{7*7}}";
    let fields = sent(harm);
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let answer = bo.post("/requests", &fields).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    let page = bo.get(answer.headers["location"].to_str().unwrap()).await.fine();
    assert!(page.one(".just").contains("<script>alert(1)</script>") && page.count("main script") == 0);
    let mut mara = Desk::of(&world, "mara.voss").await;
    assert_eq!(mara.get("/queue").await.fine().count("main script"), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_form_sent_twice_asks_once() {
    let world = World::new().await;
    let app = door::app(&world, world.demo.issuer());
    for (role, status) in [(("orders-db", "reader"), "pending"), (("warehouse", "analyst"), "approved"), (("ledger", "accountant"), "refused")] {
        let role = world.role(role.0, role.1).await.to_string();
        let key = uuid::Uuid::now_v7().to_string();
        let fields = [("role", role.as_str()), ("key", &key), ("duration", "86400"), ("justification", "Sent by two quick clicks.")];
        let (mut one, mut two) = (Desk::at(&app, "bo.lind").await, Desk::at(&app, "bo.lind").await);
        let (first, second) = tokio::join!(one.post("/requests", &fields), two.post("/requests", &fields));
        assert_eq!((first.status, second.status), (StatusCode::SEE_OTHER, StatusCode::SEE_OTHER), "{}{}", first.main(), second.main());
        assert_eq!(first.headers["location"], second.headers["location"]);
        let found: Vec<String> = sqlx::query_scalar("select status from countersign.request where role_id = $1::uuid")
            .bind(uuid::Uuid::parse_str(&role).unwrap())
            .fetch_all(&world.root)
            .await
            .unwrap();
        assert_eq!(found, [status]);
    }
    // Another form for what is open leads to the same request.
    let mut bo = Desk::at(&app, "bo.lind").await;
    let role = world.role("orders-db", "reader").await.to_string();
    let fields = [("role", role.as_str()), ("key", "no key"), ("duration", "3600"), ("justification", "From another tab.")];
    let answer = bo.post("/requests", &fields).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    assert!(bo.get(answer.headers["location"].to_str().unwrap()).await.fine().flash().contains("already"));
    // And for what is held says so.
    let role = world.role("warehouse", "analyst").await.to_string();
    let answer = bo.post("/requests", &[("role", &role), ("duration", "86400"), ("justification", "Again, please.")]).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(answer.main().contains("You already hold this role") && answer.one("#kept") == "Again, please.", "{}", answer.main());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_says_why_and_nobody_is_asked() {
    let world = World::new().await;
    let app = door::app(&world, world.demo.issuer());
    let id = asked(&world, "bo.lind", ("ledger", "accountant")).await.id;
    let page = Desk::at(&app, "bo.lind").await.get(&format!("/requests/{id}")).await.fine();
    assert!(page.one("main > .flash.bad").contains("You must be in department Finance (the directory says Data)"), "{}", page.main());
    assert_eq!(page.count("details.fold[open] .rule"), page.count(".rule"));
    let owner = Desk::at(&app, "grace.mbeki").await.get(&format!("/requests/{id}")).await.fine();
    assert!(owner.one("main > .flash.bad").contains("They must be in department Finance"));
    let asked: i64 = world.one("select count(*) from countersign.assignment").await;
    assert_eq!(asked, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_queue_is_narrowed_without_losing_sight_of_the_rest() {
    let world = World::new().await;
    let app = door::app(&world, world.demo.issuer());
    asked(&world, "bo.lind", ("orders-db", "reader")).await;
    asked(&world, "yusuf.demir", ("support-console", "agent")).await;
    let mut mara = Desk::at(&app, "mara.voss").await;
    let all = mara.get("/queue").await.fine();
    assert_eq!(all.count(".qrow"), 2);
    assert!(all.all(".qrow")[0].contains("Bo Lind"), "who asked first comes first");
    assert_eq!(mara.get("/queue?q=yusuf+console").await.fine().count(".qrow"), 1);
    assert!(mara.get("/queue?q=zzz").await.fine().main().contains("None of the 2 waiting requests match"));
    assert_eq!(mara.get("/queue?risk=critical").await.fine().count(".qrow"), 0);
    let application = all.attr("#application option:nth-child(2)", "value");
    assert_eq!(mara.get(&format!("/queue?application={application}")).await.fine().count(".qrow"), 1);
    let mut stranger = Desk::at(&app, "mei.tanaka").await;
    assert!(stranger.get("/queue").await.fine().main().contains("Nothing waits for you"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_changed_since_it_was_asked_is_on_the_card() {
    let world = World::new().await;
    let app = door::app(&world, world.demo.issuer());
    let id = asked(&world, "bo.lind", ("orders-db", "reader")).await.id;
    world.set_active("bo.lind", false).await;
    let mut mara = Desk::at(&app, "mara.voss").await;
    let card = mara.get(&format!("/requests/{id}")).await.fine();
    assert!(card.one(".changed").contains("Account: active not active"), "{}", card.main());
    assert!(card.one(".card-acts").contains("no longer active in the directory") && card.count(".card-acts form[action$=approve]") == 0);
    assert_eq!(card.count(".card-acts form[action$=deny]"), 1, "denying stays possible");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_recorded_about_oneself_can_be_taken_away() {
    let world = World::new().await;
    let app = door::app(&world, world.demo.issuer());
    asked(&world, "bo.lind", ("orders-db", "reader")).await;
    asked(&world, "yusuf.demir", ("orders-db", "reader")).await;
    // What takes nothing is not on record as a taking.
    let (mut bo, mut wei) = (Desk::at(&app, "bo.lind").await, Desk::at(&app, "wei.zhang").await);
    for (desk, path) in [(&mut bo, "/access/mine.csv"), (&mut wei, "/log/export/events.csv")] {
        let head = desk.send(Request::head(path).body(Body::empty()).unwrap()).await;
        assert_eq!(head.status, StatusCode::METHOD_NOT_ALLOWED, "{path}");
        for (name, value) in [("sec-purpose", "prefetch"), ("sec-purpose", "prefetch;prerender"), ("purpose", "prefetch")] {
            let ahead = desk.send(Request::get(path).header(name, value).body(Body::empty()).unwrap()).await;
            assert_eq!(ahead.status, StatusCode::FORBIDDEN, "{path} {name}: {value}");
        }
    }
    assert_eq!(world.one::<i64>("select count(*) from countersign.audit_event where kind = 'evidence.exported'").await, 0);
    let file = bo.get("/access/mine.csv").await;
    assert_eq!(world.one::<i64>("select count(*) from countersign.audit_event where kind = 'evidence.exported'").await, 1);
    assert_eq!((file.status, file.headers["content-type"].to_str().unwrap()), (StatusCode::OK, "text/csv; charset=utf-8; header=present"));
    assert!(file.text.contains("request.submitted") && file.text.contains("Bo Lind") && !file.text.contains("Yusuf"), "{}", file.text);
}
