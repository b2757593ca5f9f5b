//! Ask, approve, hold, return: through forms, without JavaScript.

use axum::http::StatusCode;
use chrono::Duration;

use crate::desk::Desk;
use crate::door;
use crate::world::World;

const WHY: &str = "Refund run 4711 fails for a few customers; I need to read the order rows.";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_access_lives_its_whole_life_through_forms() {
    let world = World::new().await;
    let app = door::app(&world, world.demo.issuer());
    let (mut bo, mut mara) = (Desk::at(&app, "bo.lind").await, Desk::at(&app, "mara.voss").await);

    // From Home: type, pick, submit.
    let home = bo.get("/").await.fine();
    assert_eq!(home.count(".empty"), 2, "nothing yet: {}", home.main());
    assert_eq!(home.count("a[href='/queue']"), 0, "who was never asked has no queue");
    let found = bo.get("/catalog?q=orders+read-only").await.fine();
    assert_eq!(found.count(".rolecard"), 1, "{}", found.main());
    let form = bo.get(&found.attr(".rolecard a.button", "href")).await.fine();
    assert!(form.one(".outlook").contains("Standard access") && form.one(".outlook .people").contains("Mara Voss"));
    assert_eq!(form.attr("input[name=duration][checked]", "value"), "14400");
    let request = bo.submit(&form, "form.form", &[("justification", WHY)]).await.fine();
    assert!(request.flash().contains("on its way"));
    assert!(request.one(".track > .current").contains("Mara Voss") && request.one(".track > .current").contains("has not looked yet"));
    assert_eq!(request.count(".card"), 0, "nobody decides on their own");
    let id = request.attr(".acts form", "action").split('/').nth(2).unwrap().to_owned();
    let again = bo.get(&format!("/requests/{id}")).await.fine();
    assert_eq!(again.count(".flash"), 0, "what an act came to is told once");

    // The approver finds it in the queue, opens it, approves for less.
    let queue = mara.get("/queue").await.fine();
    assert_eq!(queue.count(".qrow"), 1);
    assert!(queue.one(".qrow").contains("Bo Lind") && queue.one(".qrow").contains(WHY) && queue.one(".qrow").contains("you are their manager"));
    assert!(queue.one("nav .count").contains('1'));
    let card = mara.get(&queue.attr("[data-open]", "href")).await.fine();
    assert!(card.one("h1").contains("who reports to you") && card.one(".card").contains("you are Bo’s manager"));
    assert!(card.one(".card-facts").contains("Data Analyst") && card.one(".card-facts").contains("Never in the last 90 days"));
    assert!(bo.get(&format!("/requests/{id}")).await.one(".track > .current").contains("looked"), "that she looked is seen");
    let done = mara.submit(&card, ".card-acts form:has(input[name=duration])", &[("duration", "3600"), ("comment", "For the afternoon.")]).await.fine();
    assert!(done.flash().contains("last approval"), "{}", done.flash());
    assert!(done.main().contains("Shortened") && done.main().contains("For the afternoon."));
    assert!(mara.get("/queue").await.fine().main().contains("Nothing waits for you"));

    // Delivered, read back, held.
    world.turn().await;
    assert!(world.is_member("bo.lind", "orders-db-readers").await);
    let held = bo.get("/").await.fine();
    assert_eq!(held.count(".lease"), 1);
    assert!(held.one(".lease").contains("59 min left") || held.one(".lease").contains("1 h left"), "{}", held.one(".lease"));
    let request = bo.get(&format!("/requests/{id}")).await.fine();
    assert_eq!(request.all(".states p"), ["Request Approved", "Delivery Active"]);
    let kinds: Vec<String> = request.all(".timeline .kind");
    assert_eq!(kinds, world.history(id.parse().unwrap()).await, "the page tells what the log has");

    // And given back.
    let after = bo.submit(&held, ".lease form", &[]).await.fine();
    assert!(after.flash().contains("Returned") && after.one("[aria-labelledby=h-now]").contains("Being removed"));
    world.turn().await;
    assert!(!world.is_member("bo.lind", "orders-db-readers").await);
    let over = bo.get("/access").await.fine();
    assert!(over.one("tbody tr").contains("Returned") && over.one("[aria-labelledby=h-now]").contains("You hold nothing"));
    assert!(bo.get(&format!("/requests/{id}")).await.fine().main().contains("Read back from the directory as gone"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_click_of_the_queue_decides() {
    let world = World::new().await;
    let app = door::app(&world, world.demo.issuer());
    let (mut bo, mut mara) = (Desk::at(&app, "bo.lind").await, Desk::at(&app, "mara.voss").await);
    let role = world.role("orders-db", "reader").await;
    let form = bo.get(&format!("/roles/{role}/ask")).await.fine();
    let request = bo.submit(&form, "form.form", &[("justification", WHY)]).await.fine();
    let queue = mara.get("/queue").await.fine();
    let back = mara.submit(&queue, ".qrow form[action$=approve]", &[]).await.fine();
    assert!(back.flash().contains("last approval") && back.main().contains("Nothing waits for you"), "{}", back.main());

    // Sent once more from another tab: nothing happens twice, and it is said.
    let late = mara.submit(&queue, ".qrow form[action$=approve]", &[]).await;
    assert_eq!(late.status, StatusCode::CONFLICT);
    assert!(late.flash().contains("not recorded") && late.flash().contains("already approved"), "{}", late.flash());
    let approvals: i64 = world.one("select count(*) from countersign.approval").await;
    assert_eq!(approvals, 1);
    assert!(request.main().contains("Mara Voss"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_late_is_told_so_and_keeps_what_they_wrote() {
    let world = World::new().await;
    let app = door::app(&world, world.demo.issuer());
    let (mut freya, mut ben, mut noor) = (Desk::at(&app, "malik.johnson").await, Desk::at(&app, "ben.adler").await, Desk::at(&app, "noor.rahman").await);
    let role = world.role("production", "deployer").await;
    let form = freya.get(&format!("/roles/{role}/ask")).await.fine();
    assert!(form.one(".outlook").contains("Kofi Asante") && form.one(".outlook").contains("Ben Adler"), "{}", form.one(".outlook"));
    let request = freya.submit(&form, "form.form", &[("justification", "The release of the basket service, change 17.")]).await.fine();
    let id = request.attr(".acts form", "action").split('/').nth(2).unwrap().to_owned();
    let (of_ben, of_noor) = (ben.get(&format!("/requests/{id}")).await.fine(), noor.get(&format!("/requests/{id}")).await.fine());
    assert!(of_ben.one(".card .whyyou").contains("Noor Rahman"), "who else can answer is named");
    let waiting = ben.submit(&of_ben, ".card-acts > form", &[]).await.fine();
    assert!(waiting.flash().contains("Others still have to answer"), "{}", waiting.flash());

    // Noor's slot is filled by now: her denial decides nothing, and her words are kept.
    let late = noor.submit(&of_noor, ".card-acts form[action$=deny]", &[("reason", "Not on a Friday.")]).await;
    assert_eq!(late.status, StatusCode::CONFLICT);
    assert!(late.flash().contains("not recorded") && late.flash().contains("Not on a Friday."), "{}", late.flash());
    let status: String = world.one("select status from countersign.request").await;
    assert_eq!(status, "pending");

    // The database administrators finish it.
    for user_name in ["kofi.asante", "lucia.ferri"] {
        let mut dba = Desk::at(&app, user_name).await;
        let card = dba.get(&format!("/requests/{id}")).await.fine();
        dba.submit(&card, ".card-acts > form", &[]).await.fine();
    }
    world.turn().await;
    assert!(world.is_member("malik.johnson", "prod-deploy").await);

    // More time may be asked for in the second half, not before.
    let page = freya.get("/access").await.fine();
    assert_eq!(page.count("a[href*='extend=']"), 0);
    world.advance(Duration::minutes(70)).await;
    let mut freya = Desk::at(&app, "malik.johnson").await;
    let page = freya.get("/access").await.fine();
    let form = freya.get(&page.attr("a[href*='extend=']", "href")).await.fine();
    let more = freya.submit(&form, "form.form", &[("justification", "The release takes longer than planned.")]).await.fine();
    assert!(more.main().contains("extends access"), "{}", more.main());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_denial_wants_its_reason_and_the_requester_reads_it() {
    let world = World::new().await;
    let app = door::app(&world, world.demo.issuer());
    let (mut zoe, mut hana) = (Desk::at(&app, "zoe.papadaki").await, Desk::at(&app, "hana.sato").await);
    let role = world.role("orders-db", "reader").await;
    let form = zoe.get(&format!("/roles/{role}/ask")).await.fine();
    assert!(form.one(".outlook").contains("Contractors") && form.one(".outlook").contains("employment type is contractor"), "{}", form.one(".outlook"));
    let refused = zoe.submit(&form, "form.form", &[("justification", "A long enough reason, I hope.")]).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "the ticket is missing");
    assert!(refused.one("#fault-ticket").contains("ticket"));
    let request = zoe.submit(&refused, "form.form", &[("ticket", "OV-12")]).await.fine();
    let id = request.attr(".acts form", "action").split('/').nth(2).unwrap().to_owned();
    let card = hana.get(&format!("/requests/{id}")).await.fine();
    let unsaid = hana.submit(&card, ".card-acts form[action$=deny]", &[("reason", "  ")]).await;
    assert_eq!(unsaid.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(unsaid.one(".card .fault").contains("Give a reason"));
    let denied = hana.submit(&unsaid, ".card-acts form[action$=deny]", &[("reason", "Use the <b>replica</b>.")]).await.fine();
    assert!(denied.flash().contains("Denied"));
    let told = zoe.get(&format!("/requests/{id}")).await.fine();
    assert!(told.one("main > .flash.bad").contains("Hana Sato denied this: Use the <b>replica</b>."), "{}", told.main());
    assert_eq!(told.count("main b"), 0);
    assert!(zoe.get("/access").await.fine().one("[aria-labelledby=h-closed]").contains("Denied"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_is_taken_back_and_an_access_taken_away() {
    let world = World::new().await;
    let app = door::app(&world, world.demo.issuer());
    let (mut bo, mut mara, mut arjun) = (Desk::at(&app, "bo.lind").await, Desk::at(&app, "mara.voss").await, Desk::at(&app, "arjun.mehta").await);
    let role = world.role("orders-db", "reader").await;
    let form = bo.get(&format!("/roles/{role}/ask")).await.fine();
    let request = bo.submit(&form, "form.form", &[("justification", WHY)]).await.fine();
    let gone = bo.submit(&request, "form[action$=withdraw]", &[]).await.fine();
    assert!(gone.flash().contains("withdrawn") && gone.count("form[action$=withdraw]") == 0);
    assert!(mara.get("/queue").await.fine().main().contains("Nothing waits for you"));
    let twice = bo.submit(&request, "form[action$=withdraw]", &[]).await;
    assert_eq!(twice.status, StatusCode::CONFLICT);
    assert!(twice.main().contains("already withdrawn"), "{}", twice.main());

    let form = bo.get(&format!("/roles/{role}/ask")).await.fine();
    bo.submit(&form, "form.form", &[("justification", WHY)]).await.fine();
    let queue = mara.get("/queue").await.fine();
    mara.submit(&queue, ".qrow form[action$=approve]", &[]).await.fine();
    world.turn().await;

    // The owner sees who is there and why, and takes one away.
    let page = arjun.get(&format!("/roles/{role}")).await.fine();
    let rows = page.all("main tbody tr");
    assert!(rows.iter().any(|row| row.contains("Bo Lind") && row.contains("approved by Mara Voss")), "{rows:?}");
    let unsaid = arjun.submit(&page, "main tbody form[action$=revoke]", &[]).await;
    assert_eq!(unsaid.status, StatusCode::UNPROCESSABLE_ENTITY);
    let revoked = arjun.submit(&page, "main tbody form[action$=revoke]", &[("reason", "The case is closed.")]).await.fine();
    assert!(revoked.flash().contains("Revoked") && revoked.main().contains("The case is closed."), "{}", revoked.main());
    world.turn().await;
    assert!(!world.is_member("bo.lind", "orders-db-readers").await);
    assert!(bo.get("/access").await.fine().one("tbody tr").contains("Revoked"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whose_manager_owns_the_application_answers_at_both_steps() {
    let world = World::new().await;
    let app = door::app(&world, world.demo.issuer());
    let (mut elif, mut mara) = (Desk::at(&app, "elif.aydin").await, Desk::at(&app, "mara.voss").await);
    let role = world.role("warehouse", "analyst").await;
    let form = elif.get(&format!("/roles/{role}/ask")).await.fine();
    elif.submit(&form, "form.form", &[("justification", "The quarterly report needs figures."), ("ticket", "OV-7")]).await.fine();
    for (says, waiting) in [("next step have been asked", 1), ("last approval", 0)] {
        let queue = mara.get("/queue").await.fine();
        assert_eq!(queue.count(".qrow"), 1);
        let back = mara.submit(&queue, ".qrow form[action$=approve]", &[]).await.fine();
        assert!(back.flash().contains(says), "{}", back.flash());
        assert_eq!(back.count(".qrow"), waiting);
    }
    world.turn().await;
    assert!(world.is_member("elif.aydin", "warehouse-analysts").await);
}
