//! What is done while a request is open, on pages.

use axum::http::StatusCode;
use chrono::Duration;
use countersign::domain::approval::Answer;
use serde_json::json;

use crate::acting::lab;
use crate::api::{ALL, Site};
use crate::desk::Desk;

const YES: Answer = Answer::Approve { granted: None };

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_question_goes_to_home_and_its_answer_lets_the_request_go_on() {
    let world = lab().await;
    let id = world.asks_lab("bench").await;
    let (mut mara, mut bo) = (Desk::of(&world, "mara.voss").await, Desk::of(&world, "bo.lind").await);
    let place = format!("/requests/{}", id.0);
    let card = mara.get(&place).await.fine();
    let after = mara.submit(&card, &format!("form[action='{place}/question']"), &[("question", "Which <b>rows</b>?")]).await;
    assert!(after.flash().contains("Asked"), "{}", after.main());
    assert_eq!(after.count(&format!("form[action='{place}/approve']")), 0, "nobody approves while it waits");
    assert_eq!(after.count(&format!("form[action='{place}/deny']")), 1, "but it can be denied");
    assert!(after.main().contains("Question asked") && after.main().contains("Waits for the answer"), "{}", after.main());
    let queue = mara.get("/queue").await.fine();
    assert_eq!((queue.count(".qrow"), queue.count("[data-approve]")), (1, 0));
    assert!(queue.main().contains("Waits for the answer to a question"));

    let home = bo.get("/").await.fine();
    assert!(home.main().contains("Waits for your answer to a question"), "{}", home.main());
    assert!(home.one(".told").contains("Mara Voss asks about the request for Laboratory: Bench"), "{}", home.main());
    assert_eq!(home.attr(".told a", "href"), place);
    let page = bo.get(&place).await.fine();
    assert!(page.one(".questions").contains("Which <b>rows</b>?"));
    let refused = bo.submit(&page, &format!("form[action='{place}/answer']"), &[("answer", "   ")]).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    let after = bo.submit(&page, &format!("form[action='{place}/answer']"), &[("answer", "Those of case 4711.")]).await;
    assert!(after.flash().contains("Answered") && after.one(".questions").contains("4711"), "{}", after.main());
    let home = bo.get("/").await.fine();
    let cleared = bo.submit(&home, ".told form", &[]).await;
    assert_eq!(cleared.count(".told"), 0);

    let card = mara.get(&place).await.fine();
    let done = mara.submit(&card, &format!("form[action='{place}/approve']"), &[]).await;
    assert!(done.flash().contains("Approved"), "{}", done.main());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_decision_is_handed_on_from_its_card() {
    let world = lab().await;
    let id = world.asks_lab("bench").await;
    let (mut mara, mut noor) = (Desk::of(&world, "mara.voss").await, Desk::of(&world, "noor.rahman").await);
    let place = format!("/requests/{}", id.0);
    assert_eq!(noor.get(&place).await.status, StatusCode::NOT_FOUND);
    let card = mara.get(&place).await.fine();
    let form = format!("form[action='{place}/reassign']");
    for (to, why) in [("nobody.here", "There is nobody of that name"), ("oscar.nilsen", "There is nobody of that name"), ("bo.lind", "handed on to who made")] {
        let refused = mara.submit(&card, &form, &[("to", to), ("reason", "I am off to the fair.")]).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(refused.main().contains(why) && refused.main().contains("I am off to the fair."), "{}", refused.main());
    }
    let after = mara.submit(&card, &form, &[("to", "Noor Rahman"), ("reason", "I am off to the fair.")]).await;
    assert!(after.flash().contains("Handed on"), "{}", after.main());
    assert!(after.main().contains("in the place of Mara Voss") && after.main().contains("asked no more"), "{}", after.main());
    let card = noor.get(&place).await.fine();
    assert!(card.one(".whyyou").contains("Mara Voss handed it on to you"), "{}", card.main());
    let vault = world.asks_lab("vault").await;
    let card = mara.get(&format!("/requests/{}", vault.0)).await.fine();
    assert_eq!(card.count("form[action$='/reassign']"), 0, "its procedure keeps who is asked");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_delegation_page_makes_and_ends_and_the_queue_says_for_whom() {
    let world = lab().await;
    let (mut mara, mut noor) = (Desk::of(&world, "mara.voss").await, Desk::of(&world, "noor.rahman").await);
    let page = mara.get("/delegation").await.fine();
    assert!(page.one(".empty").contains("Nobody stands in for you"));
    let until = (world.now() + Duration::days(3)).date_naive().to_string();
    let wrong = mara.submit(&page, "form[action='/delegation']", &[("delegate", "mara.voss"), ("until", &until), ("reason", "Holidays <3")]).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(wrong.one("#fault").contains("Nobody stands in for themselves"));
    assert_eq!(wrong.attr("#reason", "value"), "Holidays <3", "what was typed is kept");
    let made = mara.submit(&wrong, "form[action='/delegation']", &[("delegate", "noor.rahman")]).await;
    assert!(made.flash().contains("Done") && made.main().contains("Noor Rahman stands in for you In force"), "{}", made.main());
    assert!(noor.get("/delegation").await.fine().main().contains("You stand in for Mara Voss"));

    let mut bo = Desk::of(&world, "bo.lind").await;
    let form = bo.get(&format!("/roles/{}/ask", world.role("lab", "bench").await)).await.fine();
    assert!(form.main().contains("Noor Rahman stands in"), "who asks sees who is away: {}", form.main());
    let id = world.asks_lab("bench").await;
    let queue = noor.get("/queue").await.fine();
    assert!(queue.main().contains("you stand in for Mara Voss, who is away"), "{}", queue.main());
    let card = noor.get(&format!("/requests/{}", id.0)).await.fine();
    assert!(card.one(".whyyou").contains("you stand in for Mara Voss, who is away"));
    assert!(mara.get(&format!("/requests/{}", id.0)).await.fine().main().contains("for Mara Voss, who is away"));

    let page = mara.get("/delegation").await.fine();
    let ended = mara.submit(&page, "form[action$='/end']", &[]).await;
    assert!(ended.flash().contains("Ended") && ended.count("form[action$='/end']") == 0, "{}", ended.main());
    assert!(noor.get("/queue").await.fine().main().contains("Nothing waits for you"));
    world.answer("mara.voss", id, YES).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tracker_tells_of_reminders_escalations_and_what_was_decided_for_whom() {
    let world = lab().await;
    let id = world.asks_lab("bench").await;
    let mut bo = Desk::of(&world, "bo.lind").await;
    let place = format!("/requests/{}", id.0);
    let page = bo.get(&place).await.fine();
    assert!(page.one(".track > li.current").contains("Reminder in 3 hours"), "{}", page.main());
    let nudged = bo.submit(&page, &format!("form[action='{place}/nudge']"), &[]).await;
    assert!(nudged.flash().contains("4 hours") && nudged.count("form[action$='/nudge']") == 0, "{}", nudged.main());
    assert!(nudged.main().contains("You can again in 4 hours"));
    let again = bo.post(&format!("{place}/nudge"), &[]).await;
    assert_eq!(again.status, StatusCode::UNPROCESSABLE_ENTITY);
    world.advance(Duration::hours(3)).await;
    world.turn().await;
    // Sessions end when unused; this one is a new one.
    let mut bo = Desk::of(&world, "bo.lind").await;
    assert!(bo.get(&place).await.fine().one(".track > li.current").contains("Reminded just now"));
    world.advance(Duration::hours(5)).await;
    world.turn().await;
    let mut bo = Desk::of(&world, "bo.lind").await;
    let current = bo.get(&place).await.fine().one(".track > li.current");
    assert!(current.contains("others were asked too") && current.contains("Priya Raman asked too, because it waited"), "{current}");
    let mut priya = Desk::of(&world, "priya.raman").await;
    let card = priya.get(&place).await.fine();
    assert!(card.one(".whyyou").contains("it waited too long, so you are asked too"), "{}", card.main());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_acts_go_over_the_api() {
    let world = lab().await;
    let site = Site::over(&world);
    let id = world.asks_lab("bench").await.0;
    let (mara, bo, noor) =
        (site.token(&world, "mara.voss", &ALL).await, site.token(&world, "bo.lind", &ALL).await, site.token(&world, "noor.rahman", &ALL).await);
    let colleague = world.person("noor.rahman").await;
    let asked = site.post(&mara, &format!("/api/v1/requests/{id}/question"), json!({"question": "Which rows?", "step": 1})).await;
    assert_eq!((asked.status, asked.json()["status"].as_str()), (StatusCode::OK, Some("needs_info")), "{:?}", asked.json());
    let twice = site.post(&mara, &format!("/api/v1/requests/{id}/question"), json!({"question": "And?"})).await;
    assert_eq!(twice.status, StatusCode::CONFLICT);
    let told = site.get(&bo, "/api/v1/notices").await;
    assert_eq!((told.json()["items"][0]["kind"].as_str(), told.json()["items"][0]["request_id"].as_str()), (Some("question"), Some(id.to_string().as_str())));
    let notice = told.json()["items"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(site.post(&noor, &format!("/api/v1/notices/{notice}/seen"), json!({})).await.status, StatusCode::NOT_FOUND);
    assert_eq!(site.post(&bo, &format!("/api/v1/notices/{notice}/seen"), json!({})).await.status, StatusCode::NO_CONTENT);
    let answered = site.post(&bo, &format!("/api/v1/requests/{id}/answer"), json!({"answer": "Those of 4711."})).await;
    assert_eq!(answered.json()["status"], "pending");
    for bad in [
        json!({}),
        json!({"to": "x", "reason": "y"}),
        json!({"to": colleague, "reason": ""}),
        json!({"to": colleague, "reason": 7}),
        json!({"to": colleague, "reason": "y", "more": 1}),
    ] {
        let refused = site.post(&mara, &format!("/api/v1/requests/{id}/reassign"), bad.clone()).await;
        assert!(refused.status.is_client_error() && refused.text.contains("errors"), "{bad}: {}", refused.text);
    }
    let nudged = site.post(&bo, &format!("/api/v1/requests/{id}/nudge"), json!({})).await;
    assert!(nudged.json()["again_at"].as_str().is_some(), "{:?}", nudged.json());
    let handed = site.post(&mara, &format!("/api/v1/requests/{id}/reassign"), json!({"to": colleague, "reason": "Busy."})).await;
    assert_eq!(handed.status, StatusCode::OK, "{:?}", handed.json());
    let whole = site.get(&bo, &format!("/api/v1/requests/{id}")).await.json();
    assert_eq!((whole["questions"][0]["question"].as_str(), whole["questions"][0]["answer"].as_str()), (Some("Which rows?"), Some("Those of 4711.")));
    let seats: Vec<_> = whole["asked"].as_array().unwrap().iter().map(|seat| (seat["acting_as"].as_str().unwrap(), seat["ended_at"].is_string())).collect();
    assert_eq!(seats, [("self", true), ("reassigned", false)], "{whole}");
    let approved = site.post(&noor, &format!("/api/v1/requests/{id}/approve"), json!({})).await;
    assert_eq!(approved.json()["status"], "approved", "{:?}", approved.json());

    let day = |days| (world.now() + Duration::days(days)).to_rfc3339();
    let made = site.post(&mara, "/api/v1/delegations", json!({"delegate": colleague, "ends_at": day(2), "reason": "Holidays"})).await;
    assert_eq!(made.status, StatusCode::CREATED, "{:?}", made.json());
    let overlap = site.post(&mara, "/api/v1/delegations", json!({"delegate": colleague, "starts_at": day(1), "ends_at": day(5)})).await;
    assert_eq!(overlap.status, StatusCode::UNPROCESSABLE_ENTITY);
    let listed = site.get(&noor, "/api/v1/delegations").await;
    assert_eq!((listed.json()["items"][0]["person"].as_str(), listed.json()["items"][0]["state"].as_str()), (Some("Mara Voss"), Some("in_force")));
    let delegation = made.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(site.post(&bo, &format!("/api/v1/delegations/{delegation}/end"), json!({})).await.status, StatusCode::NOT_FOUND);
    assert_eq!(site.post(&noor, &format!("/api/v1/delegations/{delegation}/end"), json!({})).await.status, StatusCode::NO_CONTENT);
    assert_eq!(site.post(&mara, &format!("/api/v1/delegations/{delegation}/end"), json!({})).await.status, StatusCode::CONFLICT);
}
