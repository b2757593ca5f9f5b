//! Asking and what is beside it, on pages and API.

use axum::http::StatusCode;
use countersign::domain::approval::Answer;
use countersign::service::ask::AskFor;
use serde_json::json;

use crate::api::{ALL, Site};
use crate::desk::Desk;
use crate::lab::{LAB, good_form};
use crate::world::World;

const YES: Answer = Answer::Approve { granted: None };

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_form_keeps_what_was_typed_and_says_each_fault_at_its_field() {
    let world = World::lab().await;
    let mut bo = Desk::of(&world, "bo.lind").await;
    let role = world.role("lab", "form").await;
    let form = bo.get(&format!("/roles/{role}/ask")).await.fine();
    assert!(form.count("#start") == 1 && form.main().contains("at most 7 days ahead"), "{}", form.main());
    let typed = [
        ("duration", "3600"),
        ("justification", "Just so, whatever."),
        ("field_case", "far too long for a case"),
        ("field_region", "south"),
        ("field_rows", "many"),
        ("field_personal", "yes"),
        ("start", "2001-01-01T00:00"),
    ];
    let again = bo.submit(&form, "form[action='/requests']", &typed).await;
    assert_eq!(again.status, StatusCode::UNPROCESSABLE_ENTITY);
    for (field, says) in
        [("justification", "Say because of what."), ("field_case", "At most 12 characters"), ("field_rows", "whole number"), ("start", "lies in the past")]
    {
        assert!(again.one(&format!("#fault-{field}")).contains(says), "{field}: {}", again.main());
    }
    assert_eq!(again.attr("#field_case", "value"), "far too long for a case");
    assert_eq!(again.one("#field_region option[selected]"), "south");
    assert_eq!(again.attr("input[name=field_personal][checked]", "value"), "yes");
    assert_eq!(again.one("#justification"), "Just so, whatever.");
    let good = [("justification", "Because of the audit: because."), ("field_case", "C-1"), ("field_rows", "7"), ("start", "")];
    let page = bo.submit(&again, "form[action='/requests']", &good).await.fine();
    assert!(page.main().contains("Case C-1") && page.main().contains("Region south"), "{}", page.main());
    let role = world.role("pay", "read").await;
    assert_eq!(bo.get(&format!("/roles/{role}/ask")).await.fine().count("#start"), 0, "no start where none is offered");
    let twice = bo.post_raw("/requests", format!("role={role}&duration=3600&field_a=1&field_a=2")).await;
    assert_eq!(twice.status, StatusCode::BAD_REQUEST);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_is_chosen_asked_for_and_confirms_on_pages() {
    let world = World::lab().await;
    let role = world.role("lab", "others").await;
    let mut stranger = Desk::of(&world, "liam.byrne").await;
    assert_eq!(stranger.get(&format!("/roles/{role}/ask/for")).await.status, StatusCode::NOT_FOUND);
    assert!(!stranger.get(&format!("/roles/{role}")).await.fine().main().contains("Ask for somebody else"));
    let bo = world.person("bo.lind").await;
    assert_eq!(stranger.get(&format!("/roles/{role}/ask?for={bo}")).await.status, StatusCode::NOT_FOUND, "and learns no name");

    let mut priya = Desk::of(&world, "priya.raman").await;
    assert!(priya.get(&format!("/roles/{role}")).await.fine().main().contains("Ask for somebody else"));
    let picks = priya.get(&format!("/roles/{role}/ask/for")).await.fine();
    let names = picks.all("ul.picks .reqrow-name a");
    assert_eq!(names[0], "Mara Voss", "the nearest first");
    assert!(names.contains(&"Bo Lind".to_owned()) && !names.contains(&"Liam Byrne".to_owned()), "{names:?}");
    let found = priya.get(&format!("/roles/{role}/ask/for?q=lind")).await.fine();
    assert_eq!(found.all("ul.picks .reqrow-name a"), ["Bo Lind"]);
    assert!(priya.get(&format!("/roles/{role}/ask/for?q=byrne")).await.fine().main().contains("Nobody is called that"));
    let mut owner = Desk::of(&world, "arjun.mehta").await;
    assert_eq!(owner.get(&format!("/roles/{role}/ask/for?q=byrne")).await.fine().all("ul.picks .reqrow-name a"), ["Liam Byrne"], "an owner finds anybody");

    let place = found.attr("ul.picks a", "href");
    let form = priya.get(&place).await.fine();
    assert!(form.main().contains("For Bo Lind") && form.main().contains("First Bo Lind confirms"), "{}", form.main());
    let page = priya.submit(&form, "form[action='/requests']", &[]).await.fine();
    assert!(page.flash().contains("has to confirm it") && page.main().contains("Waits for Bo Lind to confirm"), "{}", page.main());
    assert_eq!(page.count("form[action$='/confirm']"), 0, "not who asked");
    assert!(priya.get("/access").await.fine().main().contains("Bo Lind to confirm it"), "what was asked for others is listed");

    let mut holder = Desk::of(&world, "bo.lind").await;
    let request = world.one::<uuid::Uuid>("select id from countersign.request").await;
    let page = holder.get(&format!("/requests/{request}")).await.fine();
    assert!(page.main().contains("Priya Raman asked for this for you"));
    assert_eq!(page.count("form[action$='/withdraw']"), 1);
    let page = holder.submit(&page, "form[action$='/confirm']", &[]).await.fine();
    assert!(page.flash().contains("Confirmed"), "{}", page.main());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_emergency_is_confirmed_badged_and_reviewed_on_pages() {
    let world = World::lab().await;
    let role = world.role("lab", "hot").await;
    let mut bo = Desk::of(&world, "bo.lind").await;
    let ordinary = bo.get(&format!("/roles/{role}/ask")).await.fine();
    assert_eq!(ordinary.count("#emergency_reason"), 0);
    let way = ordinary.attr("aside a[href*='emergency']", "href");
    let form = bo.get(&way).await.fine();
    assert!(form.main().contains("Mara Voss") && form.main().contains("one of them reviews it"), "{}", form.main());
    assert_eq!(form.all(".chip span"), ["1 hour", "Another length"], "no longer than an emergency may be");
    let reason = ("emergency_reason", "The shop is down, and my manager is asleep.");
    let unticked = bo.submit(&form, "form[action='/requests']", &[reason]).await;
    assert_eq!(unticked.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(unticked.one("#fault-emergency_confirmed").contains("Tick the box") && unticked.one("#emergency_reason").contains("shop is down"));
    assert_eq!(world.one::<i64>("select count(*) from countersign.request").await, 0);
    let page = bo.submit(&unticked, "form[action='/requests']", &[reason, ("emergency_confirmed", "yes")]).await.fine();
    assert!(page.flash().contains("a review of this is owed") && page.count(".states .badge.bad") == 1, "{}", page.main());
    world.turn().await;
    for place in ["/", "/access"] {
        assert!(bo.get(place).await.fine().one(".lease").contains("Emergency"), "{place}");
    }
    let request = world.one::<uuid::Uuid>("select id from countersign.request").await;
    let mut mara = Desk::of(&world, "mara.voss").await;
    let page = mara.get(&format!("/requests/{request}")).await.fine();
    let refused = mara.submit(&page, "form[action$='/review']", &[("verdict", "not_justified")]).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "a reason is needed");
    let page = mara.submit(&page, "form[action$='/review']", &[("verdict", "not_justified"), ("comment", "It could have waited.")]).await.fine();
    assert!(page.main().contains("Not justified") && page.main().contains("It could have waited."), "{}", page.main());
    assert_eq!(mara.get(&format!("/roles/{role}")).await.fine().count("main table"), 0);
    let mut owner = Desk::of(&world, "arjun.mehta").await;
    assert!(owner.get(&format!("/roles/{role}")).await.fine().one("main tbody tr .badge.bad").contains("Emergency"));
    let page = owner.get(&format!("/requests/{request}")).await.fine();
    owner.submit(&page, ".emergency form[action$='/revoke']", &[]).await.fine();
    world.turn().await;
    assert!(!world.is_member("bo.lind", "dba").await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_changed_what_was_signed_off_and_what_is_declined_is_seen_and_done_on_pages() {
    let world = World::lab().await;
    let asked = world
        .asks("bo.lind", AskFor { justification: Some("Read because of the audit.".into()), fields: good_form(), ..world.wish("lab", "form").await })
        .await
        .unwrap();
    let place = format!("/requests/{}", asked.id);
    let (mut bo, mut mara) = (Desk::of(&world, "bo.lind").await, Desk::of(&world, "mara.voss").await);
    let page = mara.get(&place).await.fine();
    assert_eq!((page.count("#h-changed"), page.count("form[action$='/again']")), (0, 0));
    let said = [("given_by", "Mara"), ("given_at", "2024-05-01T10:00"), ("reference", "<b>Call</b> 17"), ("note", "Go")];
    let page = mara.submit(&page, "form[action$='/sign-off']", &said).await.fine();
    assert!(page.one(".signoffs").contains("<b>Call</b> 17") && page.one(".signoffs").contains("does not count as an approval"), "{}", page.main());
    world.lab_but("maximum = \"30d\", choices", "maximum = \"20d\", choices").await;
    for desk in [&mut bo, &mut mara] {
        let page = desk.get(&place).await.fine();
        assert!(page.one(".changed-rules").contains("Policy Form") && page.one(".changed-rules").contains("20 days"), "{}", page.main());
        assert_eq!(page.count("form[action$='/again']"), 1);
    }
    let page = mara.get(&place).await.fine();
    assert_eq!(page.count(".card form[action$='/approve']"), 0, "it cannot be approved as it is");
    let page = mara.submit(&page, "form[action$='/again']", &[]).await.fine();
    assert!(page.flash().contains("Asked again") && page.main().contains("takes the place of an earlier request"), "{}", page.main());
    assert!(bo.get(&place).await.fine().main().contains("the request that took its place"));
    let next = world.one::<uuid::Uuid>("select id from countersign.request where supersedes is not null").await;
    world.answer("mara.voss", next.into(), YES).await.unwrap();
    world.turn().await;
    let page = bo.get(&format!("/requests/{next}")).await.fine();
    let page = bo.submit(&page, "form[action$='/decline-extension']", &[]).await.fine();
    assert!(page.flash().contains("ends when its time is up") && page.main().contains("Take that back"));
    assert!(bo.submit(&page, "form[action$='/decline-extension']", &[]).await.fine().main().contains("Do not extend"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn why_not_is_said_on_role_page_form_and_request() {
    let world = World::lab().await;
    let role = world.role("lab", "books").await;
    let mut bo = Desk::of(&world, "bo.lind").await;
    let refused = world.asks("bo.lind", world.wish("lab", "books").await).await.unwrap();
    for place in [format!("/roles/{role}"), format!("/roles/{role}/ask"), format!("/requests/{}", refused.id)] {
        let page = bo.get(&place).await.fine();
        let unmet = page.one(".unmet");
        for part in ["You must be in department Finance", "The directory main says Data", "The directory main does not say your cost code"] {
            assert!(unmet.contains(part), "{place}: {unmet}");
        }
        let helps = page.one(".helps");
        assert!(
            helps.contains("Payments Books too gives the same") && helps.contains("Mara Voss") && helps.contains("Arjun Mehta owns this role"),
            "{place}: {helps}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_api_asks_confirms_reviews_notes_and_asks_again() {
    let world = World::lab().await;
    let site = Site::over(&world);
    let (bo, mara) = (site.token(&world, "bo.lind", &ALL).await, site.token(&world, "mara.voss", &ALL).await);
    let (owner, liam) = (site.token(&world, "arjun.mehta", &ALL).await, site.token(&world, "liam.byrne", &ALL).await);
    let id = world.person("bo.lind").await;
    let others = json!({"role": world.role("lab", "others").await, "duration_s": 3600, "beneficiary": id});
    let foreign = site.post(&liam, "/api/v1/requests/preview", others.clone()).await;
    assert_eq!((foreign.status, &foreign.json()["type"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("urn:countersign:refusal:not-for-others")));
    let preview = site.post(&mara, "/api/v1/requests/preview", others.clone()).await.json();
    assert_eq!((&preview["confirm"], &preview["why_not"]), (&json!(true), &json!(null)));
    let asked = site.post(&mara, "/api/v1/requests", others).await.json();
    assert_eq!(asked["status"], "submitted", "{asked}");
    let place = format!("/api/v1/requests/{}", asked["id"].as_str().unwrap());
    assert_eq!(site.post(&mara, &format!("{place}/confirm"), json!({})).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(site.post(&bo, &format!("{place}/confirm"), json!({})).await.json()["status"], "pending");
    let note = json!({"given_by": "Mara", "given_at": "2024-05-01T10:00:00Z", "reference": "Call 17"});
    assert_eq!(site.post(&mara, &format!("{place}/sign-off"), note.clone()).await.status, StatusCode::NO_CONTENT);
    assert_eq!(site.post(&liam, &format!("{place}/sign-off"), note).await.status, StatusCode::NOT_FOUND);
    assert_eq!(site.post(&bo, &format!("{place}/again"), json!({})).await.json()["type"], "urn:countersign:refusal:nothing-changed");
    world.apply(&LAB.replace("key = \"others\"\nname = \"Others\"\nprofile", "key = \"others\"\nname = \"Others, newer\"\nprofile")).await;
    let detail = site.get(&owner, &place).await.json();
    assert_eq!((detail["changed"].as_array().unwrap().len(), detail["sign_offs"][0]["reference"].as_str()), (1, Some("Call 17")), "{detail}");
    assert_eq!(site.post(&owner, &format!("{place}/approve"), json!({})).await.json()["type"], "urn:countersign:refusal:rules-changed");
    let again = site.post(&owner, &format!("{place}/again"), json!({})).await;
    assert_eq!((again.status, &again.json()["status"]), (StatusCode::CREATED, &json!("submitted")), "{}", again.text);
    assert_eq!(site.get(&bo, &place).await.json()["superseded_by"], again.json()["id"]);

    let hot =
        json!({"role": world.role("lab", "hot").await, "duration_s": 1800, "emergency": {"reason": "The shop is down, and nobody is there.", "confirm": true}});
    let taken = site.post(&bo, "/api/v1/requests", hot).await.json();
    assert_eq!(taken["status"], "approved", "{taken}");
    let place = format!("/api/v1/requests/{}", taken["id"].as_str().unwrap());
    let detail = site.get(&mara, &place).await.json();
    assert_eq!((&detail["emergency"], &detail["emergency_review"]["overdue"]), (&json!(true), &json!(false)), "{detail}");
    assert_eq!(site.post(&bo, &format!("{place}/review"), json!({"verdict": "justified"})).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(site.post(&mara, &format!("{place}/review"), json!({"verdict": "fine"})).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(site.post(&mara, &format!("{place}/review"), json!({"verdict": "justified"})).await.status, StatusCode::NO_CONTENT);
    assert_eq!(site.post(&mara, &format!("{place}/review"), json!({"verdict": "justified"})).await.status, StatusCode::CONFLICT);
    world.turn().await;
    let grants = site.get(&bo, "/api/v1/grants").await.json();
    assert_eq!(grants["items"][0]["emergency"], true);
    let grant = format!("/api/v1/grants/{}/decline-extension", grants["items"][0]["id"].as_str().unwrap());
    assert_eq!(site.post(&bo, &grant, json!({"declined": true})).await.json()["extension_declined"], true);
    assert_eq!(site.post(&mara, &grant, json!({"declined": true})).await.status, StatusCode::NOT_FOUND);

    let books = json!({"role": world.role("lab", "books").await, "duration_s": 3600});
    let why = site.post(&bo, "/api/v1/requests/preview", books).await.json()["why_not"].clone();
    assert_eq!((why["unmet"][0]["said"].as_str(), why["alternatives"][0]["same_group"].as_bool()), (Some("The directory main says Data"), Some(true)), "{why}");
    let form = json!({"role": world.role("lab", "form").await, "duration_s": 3600, "justification": "Just so, whatever.", "fields": {"case": "x", "rows": 0, "personal": true}});
    let faulty = site.post(&bo, "/api/v1/requests", form).await;
    let mut named: Vec<String> = faulty.json()["errors"].as_array().unwrap().iter().map(|fault| fault["field"].as_str().unwrap().to_owned()).collect();
    named.sort();
    assert_eq!(named, ["field_rows", "justification"], "{}", faulty.text);
}
