//! The whole path in a real browser, program as shipped.

use std::collections::BTreeMap;

use fantoccini::key::Key;
use sqlx::PgPool;

use crate::browser::Browser;
use crate::server::{Server, eventually};

pub const WHY: &str = "The nightly totals are wrong and I have to see the rows of order 4711.";

/// A demo that runs, as `script/server` starts it.
pub struct Demo {
    pub server: Server,
    directory: String,
    root: PgPool,
}

impl Demo {
    pub async fn start() -> Self {
        let (server, directory, root) = Server::demo().await;
        Self { server, directory, root }
    }

    pub async fn browser(&self, name: &str) -> Browser {
        let browser = Browser::open(&self.server.url).await;
        browser.sign_in(name).await;
        browser
    }

    /// Names of a group's members, asked of the directory over SCIM (RFC 7644 §3.4.2) with nothing of Countersign's.
    async fn members(&self, group: &str) -> Vec<String> {
        let token = std::fs::read_to_string(self.server.data.path().join("demo-scim-token")).unwrap();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let url = format!("{}/scim/v2/Groups", self.directory);
        let filter = format!("displayName eq \"{group}\"");
        let answer = client.get(url).query(&[("filter", filter.as_str())]).bearer_auth(token.trim()).send().await.unwrap();
        let found: serde_json::Value = answer.json().await.unwrap();
        assert_eq!(found["totalResults"], 1, "{found}");
        let members = found["Resources"][0]["members"].as_array().cloned().unwrap_or_default();
        members.iter().map(|member| member["display"].as_str().unwrap().to_owned()).collect()
    }

    /// Waits until somebody is a member, or is none any more.
    pub async fn member(&self, group: &str, name: &str, is: bool) {
        eventually(&format!("{name} in {group}: {is}"), || async { (self.members(group).await.iter().any(|member| member == name) == is).then_some(()) }).await;
    }

    /// Moves the clock of program and directory alike.
    async fn advance(&self, minutes: i32) {
        sqlx::query("update countersign.test_shift set by = by + make_interval(mins => $1)").bind(minutes).execute(&self.root).await.unwrap();
    }
}

/// No script broke, nothing was missing, and no policy had to step in.
pub async fn is_quiet(browser: &Browser) {
    let complaints = browser.complaints().await;
    assert!(complaints.is_empty(), "{complaints:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn access_is_asked_for_approved_held_and_returned_and_the_csv_proves_it() {
    let demo = Demo::start().await;
    let bo = demo.browser("Bo Lind").await;
    bo.sees(&["What do you need access to?", "Demo", "Bo Lind"]).await;
    bo.fill("Search roles", "orders read").await;
    bo.press(&Key::Enter.to_string()).await;
    bo.sees(&["Only what I may ask for", "Orders DB", "Read-only"]).await;
    bo.is_at("/catalog").await;
    bo.click("Ask for Orders DB Read-only").await;
    bo.sees(&["What will happen", "Mara Voss", "Standard access", "The clock starts when you have access"]).await;
    bo.click("1 hour").await;
    bo.fill("Why do you need it", WHY).await;
    bo.click("Ask for access").await;
    bo.sees(&["on its way", "Mara Voss", "has not looked yet", WHY]).await;
    let request = bo.path().await;
    assert!(!demo.members("orders-db-readers").await.contains(&"Bo Lind".to_owned()), "asking gives nothing");

    let mara = demo.browser("Mara Voss").await;
    mara.sees(&["1 request waits for your answer"]).await;
    mara.click("Open the queue").await;
    mara.sees(&["Bo Lind asks for Orders DB Read-only for 1 hour", WHY]).await;
    mara.click("Bo Lind asks for").await;
    mara.sees(&["You are asked because"]).await;
    mara.is_at(&request).await;
    mara.sees(&["Bo Lind, Data", "You are asked because", WHY, "Standard access", "Department"]).await;
    mara.click("Approve for 1 hour").await;
    mara.sees(&["Approved", "last approval it needed"]).await;

    bo.go("/").await;
    bo.until_it_says("left until").await;
    bo.sees(&["Orders DB Read-only"]).await;
    demo.member("orders-db-readers", "Bo Lind", true).await;
    let directory = Browser::open(&demo.directory).await;
    directory.go("/?q=orders-db-readers").await;
    directory.sees(&["orders-db-readers", "Bo Lind"]).await;

    bo.go(&request).await;
    bo.sees(&["read back from the directory", "Active"]).await;
    bo.go("/access").await;
    bo.click_in(".lease-act", "Return").await;
    bo.click("Return it now").await;
    bo.sees(&["Returned"]).await;
    bo.until_it_says("You hold nothing at the moment").await;
    demo.member("orders-db-readers", "Bo Lind", false).await;
    directory.go("/?q=orders-db-readers").await;
    directory.sees_not(&["Bo Lind"]).await;
    bo.go(&request).await;
    bo.until_it_says("Read back from the directory as gone").await;

    let wei = demo.browser("Wei Zhang").await;
    wei.click("Log").await;
    wei.sees(&["Bo Lind", "Mara Voss"]).await;
    wei.click("Download what is shown").await;
    let id = request.rsplit('/').next().unwrap();
    for (file, expected) in [
        ("requests", &[("request_id", id), ("status", "approved")][..]),
        ("approvals", &[("request_id", id), ("decision", "approve"), ("decided_by_email", "mara.voss@orchardvale.example")]),
        ("grants", &[("request_id", id), ("end_reason", "returned")]),
    ] {
        wei.click(&format!("raw {file}.csv")).await;
        let (_, csv) = wei.downloaded(".csv").await;
        let rows = rows(&csv);
        let row = rows.iter().find(|row| row["request_id"] == id).unwrap_or_else(|| panic!("{id} is not in {file}: {rows:?}"));
        for (column, value) in expected {
            assert_eq!(row.get(*column).map(String::as_str), Some(*value), "{file}.{column}: {row:?}");
        }
        std::fs::read_dir(wei.downloads.path()).unwrap().for_each(|entry| std::fs::remove_file(entry.unwrap().path()).unwrap());
    }
    wei.go(&request).await;
    wei.sees(&["Bo Lind", "Which rule decided"]).await;
    wei.sees_not(&["Approve for", "Revoke", "What you can do"]).await;

    let sofia = demo.browser("Sofía Marín").await;
    for (link, path, wanted) in [
        ("Overview", "/admin", "The parts"),
        ("Policies", "/admin/policies", "Standard access"),
        ("Provisioning", "/admin/provisioning", "orders-db-readers"),
        ("Directories", "/directories", "Groups compared"),
        ("Drift", "/drift", "Nothing differs"),
        ("Log", "/log", "Bo Lind"),
    ] {
        sofia.click_in(".nav", link).await;
        sofia.is_at(path).await;
        sofia.sees(&[wanted]).await;
    }
    sofia.sign_out().await;
    sofia.sees(&["You are signed out"]).await;
    sofia.go("/admin").await;
    sofia.is_at("/sign-in").await;
    for browser in [&bo, &mara, &wei, &sofia] {
        is_quiet(browser).await;
    }
}

/// Rows of a CSV file (RFC 4180) by the names of its header.
fn rows(csv: &[u8]) -> Vec<BTreeMap<String, String>> {
    csv::Reader::from_reader(csv).deserialize().collect::<Result<_, _>>().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_can_be_denied_with_a_reason_and_approved_for_less_and_ends_by_itself() {
    let demo = Demo::start().await;
    let (bo, mara) = (demo.browser("Bo Lind").await, demo.browser("Mara Voss").await);
    let ask = async |length: &str| {
        bo.go("/catalog?q=Orders+DB+Read-only").await;
        bo.click("Ask for Orders DB Read-only").await;
        bo.click(length).await;
        bo.fill("Why do you need it", WHY).await;
        bo.click("Ask for access").await;
        bo.sees(&["on its way"]).await;
        bo.path().await
    };
    let first = ask("4 hours").await;
    mara.go(&first).await;
    mara.click_in(".card-acts", "Deny").await;
    mara.fill("Why not?", "Ask Arjun to run the report instead.").await;
    mara.click("Deny the request").await;
    mara.sees(&["Denied"]).await;
    bo.go(&first).await;
    bo.sees(&["Denied", "Ask Arjun to run the report instead."]).await;

    let second = ask("8 hours").await;
    assert_ne!(first, second);
    mara.go(&second).await;
    mara.click_in(".card-acts", "Approve for less").await;
    mara.click_in(".card-acts .pop", "5 minutes").await;
    mara.click_in(".card-acts .pop", "Approve for less").await;
    mara.sees(&["Approved", "Shortened", "5 minutes"]).await;
    demo.member("orders-db-readers", "Bo Lind", true).await;
    bo.go("/access").await;
    bo.until_it_says("left until").await;

    demo.advance(6).await;
    demo.member("orders-db-readers", "Bo Lind", false).await;
    bo.until_it_says("You hold nothing at the moment").await;
    bo.go(&second).await;
    bo.until_it_says("Read back from the directory as gone").await;
    bo.sees(&["Expired"]).await;
    for browser in [&bo, &mara] {
        is_quiet(browser).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_works_in_a_browser_without_scripts() {
    let demo = Demo::start().await;
    let bo = Browser::without_scripts(&demo.server.url).await;
    bo.sign_in("Bo Lind").await;
    bo.fill("Search roles", "orders read").await;
    bo.click("Search").await;
    bo.click("Ask for Orders DB Read-only").await;
    bo.click("Another length").await;
    bo.fill("How many", "90").await;
    bo.choose("Unit", "minutes").await;
    bo.fill("Why do you need it", "short").await;
    bo.click("Ask for access").await;
    bo.sees(&["Nothing was sent", "What you typed is still here"]).await;
    bo.fill("Why do you need it", WHY).await;
    bo.click("Ask for access").await;
    bo.sees(&["on its way", "1 hour 30 minutes", "Mara Voss"]).await;
    let request = bo.path().await;

    let mara = Browser::without_scripts(&demo.server.url).await;
    mara.sign_in("Mara Voss").await;
    mara.click("Queue").await;
    mara.click_in(".qrow-act", "Approve").await;
    mara.sees(&["Nothing waits for you"]).await;
    mara.is_at("/queue").await;
    demo.member("orders-db-readers", "Bo Lind", true).await;

    bo.go(&request).await;
    bo.until_it_says("left until").await;
    bo.click("Return the access").await;
    bo.click("Return it now").await;
    demo.member("orders-db-readers", "Bo Lind", false).await;
    bo.sign_out().await;
    assert_eq!(bo.run("return document.querySelector('time.t')?.title ?? ''").await.unwrap_or_default(), "", "no script ran");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_works_with_the_keyboard_alone() {
    let demo = Demo::start().await;
    let (enter, space) = (Key::Enter.to_string(), Key::Space.to_string());
    let bo = Browser::open(&demo.server.url).await;
    bo.go("/sign-in").await;
    bo.tab_to("Sign in with").await;
    bo.press(&enter).await;
    bo.sees(&["Choose who you are"]).await;
    bo.tab_to("Bo Lind").await;
    bo.press(&enter).await;
    bo.sees(&["What do you need access to?"]).await;
    // The search has the focus; what is typed goes there.
    bo.shows("[data-search]:focus").await;
    bo.press("orders read").await;
    bo.press(&enter).await;
    bo.sees(&["Only what I may ask for"]).await;
    bo.tab_to("Skip to content").await;
    bo.press(&enter).await;
    bo.tab_to("Ask for Orders DB Read-only").await;
    bo.press(&enter).await;
    bo.sees(&["What will happen"]).await;
    // The length is chosen already; arrows change it.
    bo.tab_to("4 hours").await;
    bo.press(&Key::Right.to_string()).await;
    bo.tab_to("Why do you need it").await;
    bo.press(WHY).await;
    bo.tab_to("Ask for access").await;
    bo.press(&enter).await;
    bo.sees(&["on its way", "8 hours"]).await;

    let mara = demo.browser("Mara Voss").await;
    mara.go("/queue").await;
    mara.press("j").await;
    mara.press("a").await;
    mara.sees(&["Nothing waits for you"]).await;
    demo.member("orders-db-readers", "Bo Lind", true).await;

    bo.go("/access").await;
    bo.until_it_says("left until").await;
    bo.tab_to("Return Orders DB").await;
    bo.press(&space).await;
    bo.shows("details.ask[open] button").await;
    bo.tab_to("Return it now").await;
    bo.press(&enter).await;
    bo.sees(&["Returned"]).await;
    demo.member("orders-db-readers", "Bo Lind", false).await;
    is_quiet(&bo).await;
    is_quiet(&mara).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_page_has_barriers_and_every_page_is_kept_as_pictures() {
    let demo = Demo::start().await;
    let mut found: Vec<String> = Vec::new();
    let mut look = async |browser: &Browser, path: &str, name: &str| {
        if !path.is_empty() {
            browser.go(path).await;
        }
        found.extend(browser.barriers().await.into_iter().map(|barrier| format!("{name}, {barrier}")));
        browser.keep(name).await;
    };
    let stranger = Browser::open(&demo.server.url).await;
    look(&stranger, "/sign-in", "sign-in").await;
    look(&stranger, "/signed-out", "signed-out").await;
    look(&stranger, "/sign-in/callback?state=x&code=y", "sign-in-over").await;
    look(&stranger, &format!("{}/", demo.directory), "demo-directory").await;
    stranger.go("/sign-in/start").await;
    look(&stranger, "", "demo-choice").await;

    let bo = demo.browser("Bo Lind").await;
    look(&bo, "/", "home-empty").await;
    look(&bo, "/catalog", "catalog").await;
    look(&bo, "/catalog?q=nothing+like+it", "catalog-nothing").await;
    look(&bo, "/access", "access-empty").await;
    bo.go("/catalog?q=accountant").await;
    bo.click("General ledger Accountant").await;
    bo.sees(&["Why can’t I?"]).await;
    look(&bo, "", "role-refused").await;
    bo.go("/catalog?q=Data+warehouse+Analyst").await;
    bo.click("Ask for Data warehouse Analyst").await;
    bo.sees(&["What will happen"]).await;
    look(&bo, "", "ask-automatic").await;
    bo.click("Ask for access").await;
    bo.sees(&["Approved at once"]).await;
    bo.until_it_says("left until").await;
    look(&bo, "", "request-active").await;
    bo.go("/catalog?q=Orders+DB").await;
    bo.click("Ask for Orders DB Read and write").await;
    bo.sees(&["What will happen"]).await;
    look(&bo, "", "ask").await;
    bo.fill("Why do you need it", "short").await;
    bo.run("document.querySelectorAll('[required]').forEach(field => field.required = false)").await.unwrap();
    bo.click("Ask for access").await;
    bo.sees(&["Nothing was sent"]).await;
    look(&bo, "", "ask-faults").await;
    bo.fill("Why do you need it", WHY).await;
    bo.fill("Ticket", "OV-4711").await;
    bo.click("Ask for access").await;
    bo.sees(&["on its way"]).await;
    let request = bo.path().await;
    look(&bo, "", "request-pending").await;
    look(&bo, "/", "home").await;
    look(&bo, "/access", "access").await;
    look(&bo, "/nowhere", "missing").await;
    look(&bo, "/sessions", "sessions").await;
    look(&bo, "/tokens", "tokens").await;
    look(&bo, "/api", "api").await;

    let mara = demo.browser("Mara Voss").await;
    look(&mara, "/", "home-approver").await;
    look(&mara, "/queue", "queue").await;
    look(&mara, "/queue/history", "history-empty").await;
    mara.go("/queue").await;
    mara.click_in(".qrow-act", "Deny").await;
    mara.shows("details.ask[open] textarea:focus").await;
    look(&mara, "", "queue-deny").await;
    look(&mara, &request, "request-card").await;
    mara.click_in(".card-acts", "Approve for less").await;
    mara.shows("details.ask[open] :focus").await;
    look(&mara, "", "request-card-less").await;
    mara.go("/catalog?q=Data+warehouse+Analyst").await;
    mara.click("Data warehouse Analyst").await;
    mara.sees(&["Members and why each is there"]).await;
    look(&mara, "", "role-owner").await;

    let wei = demo.browser("Wei Zhang").await;
    look(&wei, "/queue", "queue-empty").await;
    look(&wei, "/log", "log").await;
    wei.click("Download what is shown").await;
    wei.shows("details.downloads[open] a").await;
    look(&wei, "", "log-downloads").await;
    for (path, name) in [
        ("/log/1", "event"),
        ("/evidence", "evidence"),
        ("/evidence/measures", "measures"),
        ("/evidence/as-of", "as-of"),
        ("/evidence/sample?population=requests&size=5&seed=abc", "sample"),
        ("/evidence/sample/sheets?population=requests&size=5&seed=abc", "sheets"),
        ("/evidence/schedules", "schedules"),
        ("/verify", "verify"),
        ("/me", "my-data"),
    ] {
        look(&wei, path, name).await;
    }

    let sofia = demo.browser("Sofía Marín").await;
    for (path, name) in [
        ("/admin", "overview"),
        ("/admin/policies", "policies"),
        ("/admin/provisioning", "provisioning"),
        ("/directories", "directories"),
        ("/directories/main", "directory"),
        ("/directories/main/import", "import"),
        ("/drift", "drift"),
        ("/admin/holds?person=bo.lind", "holds"),
        ("/evidence/schedules/new", "schedule-new"),
    ] {
        look(&sofia, path, name).await;
    }
    for (path, name) in [
        ("/admin/rules", "rules"),
        ("/admin/rules/role", "rule-list"),
        ("/admin/rules/policy/standard/edit", "rule-policy"),
        ("/admin/rules/procedure/manager-then-dbas/edit", "rule-procedure"),
        ("/admin/rules/profile/new", "rule-new"),
    ] {
        look(&sofia, path, name).await;
    }
    sofia.click("Show what it says and changes").await;
    sofia.shows(".ruleform .fault").await;
    look(&sofia, "", "rule-faults").await;
    sofia.go("/admin/policies").await;
    sofia.click("Change production data").await;
    sofia.sees(&["Who may ask"]).await;
    look(&sofia, "", "policy").await;
    sofia.go("/tokens").await;
    sofia.fill("Name", "Nightly export").await;
    sofia.click("exports:read").await;
    sofia.click("Make the token").await;
    sofia.sees(&["Copy it now"]).await;
    look(&sofia, "", "token-made").await;

    assert!(found.is_empty(), "{} barriers\n{}", found.len(), found.join("\n"));
    for browser in [&bo, &mara, &wei, &sofia] {
        // What was looked for and is not there is said by its status, too.
        let complaints: Vec<String> = browser.complaints().await.into_iter().filter(|said| !said.contains("/nowhere") && !said.contains("422")).collect();
        assert!(complaints.is_empty(), "{complaints:#?}");
    }
}
