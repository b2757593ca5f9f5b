//! Many of the queue answered together in a real browser.

use fantoccini::key::Key;

use crate::browser::Browser;
use crate::journeys::{Demo, WHY, is_quiet};

/// Two who report to Mara ask for the same role.
async fn two_ask(demo: &Demo) {
    for name in ["Bo Lind", "Yusuf Demir"] {
        let browser = demo.browser(name).await;
        browser.go("/catalog?q=Orders+DB+Read-only").await;
        browser.click("Ask for Orders DB Read-only").await;
        browser.fill("Why do you need it", WHY).await;
        browser.click("Ask for access").await;
        browser.sees(&["on its way", "Mara Voss"]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_are_answered_together_with_the_keyboard_alone() {
    let demo = Demo::start().await;
    two_ask(&demo).await;
    let (enter, space) = (Key::Enter.to_string(), Key::Space.to_string());
    let mara = demo.browser("Mara Voss").await;
    mara.go("/queue").await;
    mara.press("?").await;
    mara.shows("[data-help][open]").await;
    mara.sees(&["select all alike on this page"]).await;
    mara.press("?").await;
    mara.press("/").await;
    mara.shows("[data-search]:focus").await;
    mara.tab_to("Select Bo Lind").await;
    mara.press(&space).await;
    mara.sees(&["1 selected"]).await;
    mara.press("j").await;
    mara.press("j").await;
    mara.press("x").await;
    mara.sees(&["2 selected"]).await;
    mara.press("X").await;
    mara.press("X").await;
    mara.sees(&["2 selected"]).await;
    // With a selection the key leads to the button and answers nothing by itself.
    mara.press("a").await;
    mara.shows("[data-together]:focus").await;
    mara.is_at("/queue").await;
    mara.press(&enter).await;
    mara.sees(&["Approving 2 requests for Orders DB Read-only", "2 approved"]).await;
    demo.member("orders-db-readers", "Bo Lind", true).await;
    demo.member("orders-db-readers", "Yusuf Demir", true).await;
    mara.tab_to("What you decided").await;
    mara.press(&enter).await;
    mara.sees(&["Bo Lind, Orders DB Read-only", "Yusuf Demir, Orders DB Read-only"]).await;
    mara.go("/queue").await;
    mara.sees(&["Nothing waits for you"]).await;
    is_quiet(&mara).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_are_denied_together_in_a_browser_without_scripts() {
    let demo = Demo::start().await;
    two_ask(&demo).await;
    let mara = Browser::without_scripts(&demo.server.url).await;
    mara.sign_in("Mara Voss").await;
    mara.go("/queue?sort=due").await;
    mara.click_each("input[name=pick]").await;
    mara.click("Deny selected").await;
    mara.sees(&["Give a reason", "Back to the queue"]).await;
    mara.click("Back to the queue").await;
    mara.is_at("/queue").await;
    mara.click_each("input[name=pick]").await;
    mara.fill("Comment", "Ask Arjun to run the report instead.").await;
    mara.click("Deny selected").await;
    mara.sees(&["Denying 2 requests for Orders DB Read-only", "2 denied"]).await;
    mara.click("Back to the queue").await;
    mara.sees(&["Nothing waits for you"]).await;
    mara.click("your history").await;
    mara.sees(&["Ask Arjun to run the report instead.", "Denied"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_pages_of_many_have_no_barriers_and_are_kept_as_pictures() {
    let demo = Demo::start().await;
    two_ask(&demo).await;
    let mara = demo.browser("Mara Voss").await;
    let mut found: Vec<String> = Vec::new();
    let mut look = async |name: &str| {
        found.extend(mara.barriers().await.into_iter().map(|barrier| format!("{name}, {barrier}")));
        mara.keep(name).await;
    };
    mara.go("/queue").await;
    look("queue-many").await;
    mara.click("Keys").await;
    mara.click_each("input[name=pick]").await;
    mara.sees(&["2 selected"]).await;
    look("queue-selected").await;
    mara.fill("Comment", "On shift until Friday.").await;
    mara.click("Approve selected").await;
    mara.sees(&["2 approved"]).await;
    look("queue-decided").await;
    mara.click("What you decided").await;
    mara.sees(&["On shift until Friday."]).await;
    look("history").await;
    assert!(found.is_empty(), "{} barriers\n{}", found.len(), found.join("\n"));
    is_quiet(&mara).await;
}
