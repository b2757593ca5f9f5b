//! Empty, huge, malformed, hostile and out-of-order input over HTTP.
//!
//! Whatever comes, the answer is a 4xx with a sentence, never a 5xx, and the tables hold what they held before.

use countersign::domain::approval::Answer;
use countersign::domain::event::{Actor, Channel};
use countersign::service::api_token::{self, NewToken};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::client::{Client, Page, Sent, fields, form};
use crate::server::{Town, eventually};
use crate::world::World;

const FORM: &str = "application/x-www-form-urlencoded";
const WHY: &str = "The nightly totals are wrong and I have to see the rows.";

/// How many rows there are of what people and programs do. What the worker and looking leave behind is left out.
async fn rows(world: &World) -> Vec<i64> {
    let mut counts = Vec::new();
    for sql in [
        "select count(*) from request",
        "select count(*) from request_step",
        "select count(*) from request_slot",
        "select count(*) from assignment",
        "select count(*) from approval",
        "select count(*) from access_grant",
        "select count(*) from target",
        "select count(*) from api_token",
        "select count(*) from session",
        "select count(*) from audit_event where kind like 'request.%' or kind like 'approval.%' and kind <> 'approval.viewed' or kind like 'grant.%' or kind like 'token.created'",
    ] {
        counts.push(sqlx::query_scalar(sql).fetch_one(&world.root).await.unwrap());
    }
    counts
}

/// The answer is a 4xx that says something.
fn is_refused(case: &str, page: &Page) {
    let text = page.text();
    assert!((400..500).contains(&page.status), "{case}: {} {text}", page.status);
    assert!(text.len() > 40, "{case}: {} says hardly anything: {text:?}", page.status);
    for leak in ["sqlx", "panicked", "src/", "Postgres error", "thread '"] {
        assert!(!page.body.contains(leak), "{case}: tells about the inside: {text}");
    }
}

/// What nobody should send as text, and what it is.
fn hostile() -> Vec<(&'static str, String)> {
    vec![
        ("a NUL", format!("{WHY}\0")),
        ("an escape", format!("\u{1b}[31m{WHY}")),
        ("text that runs backwards", format!("\u{202e}{WHY}")),
        ("isolated text", format!("{WHY}\u{2066}")),
        ("5,000 characters", "x".repeat(5_000)),
        ("spaces only", " \t\r\n ".into()),
        ("nothing", String::new()),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_the_request_form_is_sent_it_answers_with_a_sentence_and_writes_nothing() {
    let town = Town::new().await;
    let mut bo = town.visitor("bo.lind").await;
    let role = town.world.role("orders-db", "writer").await.0.to_string();
    let theirs = town.world.ask("yusuf.demir", "warehouse", "analyst", 3_600).await.unwrap().id;
    town.grant_is(theirs.0, "active").await;
    let not_mine = town.world.grant(theirs).await.0.0.to_string();
    let other_role = town.world.role("orders-db", "reader").await.0.to_string();
    let key = Uuid::now_v7().to_string();
    let good = [("role", role.as_str()), ("key", &key), ("duration", "3600"), ("justification", WHY), ("ticket", "OV-1")];
    let with = |name: &'static str, value: &str| {
        let mut sent: Vec<(String, String)> = good.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        sent.retain(|(known, _)| known != name);
        sent.push((name.to_owned(), value.to_owned()));
        Sent::Form(sent)
    };
    let raw = |text: &str| Sent::Raw(FORM, text.as_bytes().to_vec());
    let mut cases: Vec<(String, Sent)> = vec![
        ("nothing at all".into(), Sent::Nothing),
        ("an empty form".into(), form(&[])),
        ("no role".into(), with("role", "")),
        ("a role that is none".into(), with("role", "nonsense")),
        ("a role that is not there".into(), with("role", &Uuid::now_v7().to_string())),
        ("two roles".into(), raw(&format!("role={role}&role={other_role}&duration=3600&justification=x"))),
        ("no UTF-8".into(), raw(&format!("role={role}&duration=3600&ticket=OV-1&justification=%ff%fe%00"))),
        ("half an escape".into(), raw(&format!("role={role}&duration=%4&justification=%zz&ticket=%"))),
        ("only separators".into(), raw("&&&===&&&")),
        ("JSON".into(), Sent::Raw("application/json", format!("{{\"role\":\"{role}\"}}").into_bytes())),
        ("a picture".into(), Sent::Raw("image/png", vec![0x89; 512])),
        (
            "several parts".into(),
            Sent::Raw("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data; name=\"role\"\r\n\r\n1\r\n--x--".to_vec()),
        ),
        ("1 MB of reason".into(), with("justification", &"x".repeat(1 << 20))),
        ("a thousand fields".into(), raw(&(0..4_000).map(|n| format!("f{n}=x")).collect::<Vec<_>>().join("&"))),
        ("a ticket of another tracker".into(), with("ticket", "JIRA-1")),
        ("a ticket with a formula".into(), with("ticket", "=cmd|' /C calc'!A0")),
        ("a lease of somebody else".into(), with("extend", &not_mine)),
        ("a lease that is none".into(), with("extend", "nonsense")),
        ("for somebody else".into(), with("for", &town.world.person("mei.tanaka").await.to_string())),
        ("for nobody that there is".into(), with("for", &Uuid::now_v7().to_string())),
        ("for nonsense".into(), with("for", "nonsense")),
        ("for two".into(), raw(&format!("role={role}&for={role}&for={other_role}&duration=3600&justification=x"))),
        ("a field that no policy has".into(), with("field_colour", "red")),
        ("a field with a hostile name".into(), with("field_<b>\0", "red")),
        ("a field twice".into(), raw(&format!("role={role}&duration=3600&ticket=OV-1&justification={WHY}&field_a=1&field_a=2").replace(' ', "+"))),
        ("an emergency that was not confirmed".into(), with("emergency", "now")),
    ];
    for (what, text) in hostile() {
        cases.push((format!("reason: {what}"), with("justification", &text)));
        if !matches!(what, "5,000 characters") {
            cases.push((format!("ticket: {what}"), with("ticket", &text)));
        }
    }
    for duration in [
        "",
        "0",
        "-1",
        "-9223372036854775808",
        "9223372036854775807",
        "99999999999999999999999",
        "1e3",
        "1.5",
        "NaN",
        "3600; drop table request",
        "14401",
        "1",
        "none",
        "other",
        "\0",
    ] {
        cases.push((format!("duration {duration:?}"), with("duration", duration)));
    }
    for start in ["yesterday", "2020-01-01T00:00", "99999-01-01T00:00", "2026-13-45T99:99", "2125-01-01T00:00", "\0", "-1"] {
        cases.push((format!("start {start:?}"), with("start", start)));
    }
    for (amount, unit) in
        [("0", "hours"), ("-5", "hours"), ("1.5", "hours"), ("ten", "hours"), ("999999999999", "days"), ("", "minutes"), ("5", "fortnights"), ("1", "minutes")]
    {
        let mut sent = match with("duration", "other") {
            Sent::Form(sent) => sent,
            _ => unreachable!(),
        };
        sent.extend([("other_amount".into(), amount.into()), ("other_unit".into(), unit.into())]);
        cases.push((format!("{amount} {unit}"), Sent::Form(sent)));
    }
    let before = rows(&town.world).await;
    for (case, sent) in cases {
        let page = bo.send(Method::POST, "/requests", sent).await;
        is_refused(&case, &page);
        assert_eq!(rows(&town.world).await, before, "{case}: something was written: {}", page.text());
        if page.status == 429 {
            panic!("{case} was not tried: {}", page.text());
        }
    }
    // And then the good one is taken, and what was typed wrong came back each time.
    let page = bo.send(Method::POST, "/requests", with("justification", "Too short")).await;
    assert!(page.status == 422 && page.body.contains("Too short"), "what was typed is kept: {}", page.text());
    assert_eq!(bo.send(Method::POST, "/requests", form(&good)).await.status, 303);
    town.is_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn formulas_and_markup_are_text_wherever_they_appear() {
    let town = Town::new().await;
    let mut bo = town.visitor("bo.lind").await;
    let mut wei = town.visitor("wei.zhang").await;
    let role = town.world.role("orders-db", "reader").await;
    let mut written = Vec::new();
    for text in [
        "=HYPERLINK(\"https://evil.example\";\"click\") and more",
        "@SUM(1+1)*cmd|' /C calc'!A0 and more",
        "'quoted, and more",
        "<img src=x onerror=alert(1)> and <b>more</b>",
        "\"><script>alert(1)</script> and more",
        "{{ 7 * 7 }} {% if x %} ${7*7} and more",
        "'; drop table countersign.request; -- and more",
        "\u{1F469}\u{200d}\u{1F4BB} e\u{301}\u{301}\u{301} \u{200f}\u{5e9} and more",
    ] {
        let page = bo.ask(role, &[("duration", "3600"), ("justification", text)]).await;
        assert_eq!(page.status, 200, "{text}: {}", page.text());
        let request = page.id();
        assert!(page.text().contains(&text.split_whitespace().collect::<Vec<_>>().join(" ")), "{text} is shown as it was written: {}", page.text());
        for tag in ["<img", "<b>", "<script>alert"] {
            assert!(!page.body.contains(tag), "{text} is markup on the page");
        }
        bo.submit(&page, &format!("form[action='/requests/{request}/withdraw']"), &[]).await;
        written.push((request.to_string(), text));
    }
    let csv = wei.get("/api/v1/exports/requests.csv").await;
    assert_eq!(csv.status, 401, "the API takes no cookie");
    for (mode, mark) in [("raw", ""), ("safe", "'")] {
        let link = download(&mut wei, "requests", mode).await;
        let csv = wei.get(&link).await;
        assert_eq!(csv.status, 200, "{}", csv.text());
        let mut read = csv::Reader::from_reader(csv.body.as_bytes());
        let headers = read.headers().unwrap().clone();
        let at = |name: &str| headers.iter().position(|column| column == name).unwrap();
        let rows: Vec<_> = read.records().map(Result::unwrap).collect();
        for (request, text) in &written {
            let row = rows.iter().find(|row| row[at("request_id")] == **request).unwrap();
            let marked = text.starts_with(['=', '+', '-', '@', '\'']);
            assert_eq!(row[at("justification")], if marked { format!("{mark}{text}") } else { (*text).to_owned() }, "{mode}");
        }
    }
    town.is_sound().await;
}

/// Where the Log page's link to a file leads.
async fn download(auditor: &mut Client, file: &str, mode: &str) -> String {
    let log = auditor.get("/log").await;
    let link = log.body.split("href=\"").filter_map(|rest| rest.split('"').next()).find(|link| link.contains(&format!("{file}.csv")) && link.contains(mode));
    link.unwrap_or_else(|| panic!("no {mode} {file}.csv: {}", log.text())).replace("&amp;", "&").replace("&#38;", "&")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_out_of_order_are_told_so_and_change_nothing() {
    let town = Town::new().await;
    let (mut bo, mut mara) = (town.visitor("bo.lind").await, town.visitor("mara.voss").await);
    let (mut kofi, mut arjun) = (town.visitor("kofi.asante").await, town.visitor("arjun.mehta").await);
    let refused = async |case: &str, page: Page, status: u16, says: &str, before: &Vec<i64>| {
        is_refused(case, &page);
        assert!(page.status == status && page.text().contains(says), "{case}: {} {}", page.status, page.text());
        assert_eq!(rows(&town.world).await, *before, "{case}");
    };

    // A card that is answered wrongly.
    let first = town.world.ask("bo.lind", "orders-db", "writer", 3_600).await.unwrap().id.0;
    let page = mara.get(&format!("/requests/{first}")).await;
    let (approve, sent) = fields(&page, &format!("form[action='/requests/{first}/approve']"), &[]);
    let deny = approve.replace("/approve", "/deny");
    let with = |name: &str, value: &str| {
        let mut sent = sent.clone();
        sent.retain(|(known, _)| known != name);
        sent.push((name.to_owned(), value.to_owned()));
        Sent::Form(sent)
    };
    let before = rows(&town.world).await;
    for (case, status, says, answer) in [
        ("longer than asked", 422, "may only shorten", with("duration", "7200")),
        ("shorter than allowed", 422, "shortest", with("duration", "60")),
        ("no length", 400, "Nothing was done", with("duration", "soon")),
        ("a negative length", 400, "nothing was done", with("duration", "-1")),
        ("no step", 400, "nothing was done", with("step", "")),
        ("no step but words", 400, "nothing was done", with("step", "first")),
        ("a step that is not there", 409, "moved on", with("step", "7")),
        ("a huge step", 400, "nothing was done", with("step", "99999999999999999999")),
        ("another digest", 409, "moved on", with("digest", &"0".repeat(64))),
        ("no digest", 409, "moved on", with("digest", "")),
        ("a comment of 5,000 characters", 422, "At most 4000", with("comment", &"x".repeat(5_000))),
        ("a comment that runs backwards", 422, "cannot be shown", with("comment", "\u{202e}yes")),
    ] {
        let page = mara.send(Method::POST, &approve, answer).await;
        let says = if says == "Nothing was done" { "nothing was done" } else { says };
        refused(case, page, status, says, &before).await;
    }
    refused("a denial without its reason", mara.send(Method::POST, &deny, with("reason", " ")).await, 422, "Give a reason", &before).await;
    refused("1 MB of comment", mara.send(Method::POST, &approve, with("comment", &"x".repeat(1 << 20))).await, 413, "too large", &before).await;

    // Once answered, it is answered.
    assert_eq!(mara.send(Method::POST, &approve, Sent::Form(sent.clone())).await.status, 303);
    let before = rows(&town.world).await;
    refused("approved twice", mara.send(Method::POST, &approve, Sent::Form(sent.clone())).await, 409, "not recorded", &before).await;
    refused("denied after approving", mara.send(Method::POST, &deny, with("reason", "No.")).await, 409, "not recorded", &before).await;
    let stale = mara.get(&format!("/requests/{first}")).await;
    assert!(!stale.body.contains("/approve\""), "and the page no longer asks: {}", stale.text());
    assert_eq!(bo.post(&format!("/requests/{first}/withdraw"), &[]).await.status, 303);
    let before = rows(&town.world).await;
    refused("withdrawn twice", bo.post(&format!("/requests/{first}/withdraw"), &[]).await, 409, "already withdrawn", &before).await;
    refused("approved after it was withdrawn", kofi.send(Method::POST, &approve, with("step", "2")).await, 409, "", &before).await;

    // Withdrawn after it was approved; returned twice; revoked after it was returned.
    let second = town.world.ask("bo.lind", "orders-db", "reader", 3_600).await.unwrap().id;
    town.world.answer("mara.voss", second, Answer::Approve { granted: None }).await.unwrap();
    town.grant_is(second.0, "active").await;
    let before = rows(&town.world).await;
    refused("withdrawn after it was approved", bo.post(&format!("/requests/{}/withdraw", second.0), &[]).await, 409, "already approved", &before).await;
    let grant = town.world.grant(second).await.0.0;
    assert_eq!(bo.post(&format!("/grants/{grant}/return"), &[]).await.status, 303);
    town.grant_is(second.0, "ended").await;
    let before = rows(&town.world).await;
    refused("returned twice", bo.post(&format!("/grants/{grant}/return"), &[]).await, 409, "already ended", &before).await;
    refused("revoked after its end", arjun.post(&format!("/grants/{grant}/revoke"), &[("reason", "Late.")]).await, 409, "already ended", &before).await;
    town.is_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strange_addresses_are_answered_without_a_fault_of_ours() {
    let town = Town::new().await;
    let mut people = vec![Client::new(&town.server.url)];
    for name in ["bo.lind", "wei.zhang", "sofia.marin"] {
        people.push(town.visitor(name).await);
    }
    let before = rows(&town.world).await;
    let long = "x".repeat(5_000);
    for path in [
        "/",
        "/catalog",
        "/queue",
        "/access",
        "/log",
        "/tokens",
        "/sign-in",
        "/sign-in/start",
        "/sign-in/callback",
        "/signed-out",
        "/admin/policies",
        "/admin/provisioning",
        "/admin/holds",
        "/directories",
        "/directories/main",
        "/directories/main/import",
        "/drift",
        "/api/v1/requests",
    ] {
        for query in [
            "q=%00",
            "q=%ff%fe",
            "q=a&q=b",
            "q=%E2%80%AE",
            "q=%",
            "&&&",
            "=",
            "after=x",
            "before=-1",
            "before=99999999999999999999",
            "ended=%00",
            "from=yesterday&to=never",
            "from=99999-01-01",
            "application=%27%20or%201=1",
            "role=x&kind=%00&person=%00",
            "to=//evil.example",
            "to=/%5Cevil.example",
            "state=%00&code=%00",
            "extend=x",
            "version=-1",
            "limit=-1",
        ] {
            for client in &people {
                let page = client.clone().get(&format!("{path}?{query}")).await;
                assert!(page.status < 500 || page.status == 503 && path == "/sign-in/start", "{path}?{query}: {} {}", page.status, page.text());
                let leads = page.url.join(page.location()).unwrap();
                assert_eq!(leads.host_str(), Some("127.0.0.1"), "{path}?{query} leads to {leads}");
            }
        }
        let page = people[1].clone().get(&format!("{path}?q={long}&after={long}")).await;
        assert!(page.status < 500, "{path}: {}", page.status);
    }
    for path in [
        "/requests/x",
        "/requests/%00",
        "/roles/%2e%2e%2f",
        "/roles/00000000-0000-0000-0000-000000000000",
        "/static/..%2f..%2fCargo.toml",
        "/static/%00",
        "/%ff",
        "/admin/policies/%27",
        "/log/export/..%2fx",
        "//",
        "/sign-in/",
    ] {
        for client in &people[1..] {
            let page = client.clone().get(path).await;
            is_refused(path, &page);
        }
    }
    for method in ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"] {
        let page = people[1].clone().send(Method::from_bytes(method.as_bytes()).unwrap(), "/access", Sent::Nothing).await;
        assert!((400..500).contains(&page.status), "{method}: {}", page.status);
    }
    assert_eq!(rows(&town.world).await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_the_api_is_sent_it_answers_with_a_problem_and_writes_nothing() {
    let town = Town::new().await;
    let ctx = &town.world.ctx;
    let new = NewToken {
        person: town.world.person("bo.lind").await,
        name: "of bo".into(),
        scopes: crate::api::ALL.map(String::from).into(),
        expires_at: ctx.clock.now() + chrono::Duration::days(1),
    };
    let secret = api_token::create(ctx, &Actor::System, Channel::Cli, &new).await.unwrap().secret;
    let mut bo = Client::new(&town.server.url);
    bo.headers = vec![("authorization", format!("Bearer {secret}"))];
    let role = town.world.role("orders-db", "reader").await.0.to_string();
    let good = json!({"role": role, "duration_s": 3600, "justification": WHY});
    let with = |name: &str, value: Value| {
        let mut body = good.clone();
        body[name] = value;
        Sent::Raw("application/json", body.to_string().into_bytes())
    };
    let raw = |text: &str| Sent::Raw("application/json", text.as_bytes().to_vec());
    let mut cases: Vec<(String, Sent)> = vec![
        ("nothing".into(), Sent::Nothing),
        ("no JSON".into(), raw("role=x")),
        ("half of it".into(), raw("{\"role\": \"")),
        ("a list".into(), raw("[]")),
        ("a word".into(), raw("null")),
        ("a number".into(), raw("1e999999")),
        ("deep".into(), raw(&"[".repeat(50_000))),
        ("deep objects".into(), raw(&"{\"a\":".repeat(10_000))),
        ("no UTF-8".into(), Sent::Raw("application/json", b"{\"role\":\"\xff\xfe\"}".to_vec())),
        ("half a character".into(), raw("{\"justification\":\"\\ud800\"}")),
        ("a form".into(), form(&[("role", &role)])),
        ("text".into(), Sent::Raw("text/plain", good.to_string().into_bytes())),
        ("1 MB".into(), with("justification", "x".repeat(1 << 20).into())),
        ("an unknown field".into(), with("approved", true.into())),
        ("a role that is a list".into(), with("role", json!([role]))),
        ("a role that is not there".into(), with("role", Uuid::now_v7().to_string().into())),
        ("text for seconds".into(), with("duration_s", "3600".into())),
        ("half a second".into(), with("duration_s", json!(0.5))),
        ("no seconds".into(), with("duration_s", 0.into())),
        ("negative seconds".into(), with("duration_s", (-1).into())),
        ("all seconds".into(), with("duration_s", u64::MAX.into())),
        ("more than the policy has".into(), with("duration_s", (31 * 86_400).into())),
        ("a start that is none".into(), with("starts_at", "soon".into())),
        ("a start before time".into(), with("starts_at", "0000-01-01T00:00:00Z".into())),
        ("a start after time".into(), with("starts_at", "9999-12-31T23:59:59Z".into())),
        ("a lease that is none".into(), with("extension_of", Uuid::now_v7().to_string().into())),
        ("for somebody else".into(), with("beneficiary", Uuid::now_v7().to_string().into())),
        ("for a colleague".into(), with("beneficiary", town.world.person("mei.tanaka").await.to_string().into())),
        ("for nobody that there is".into(), with("beneficiary", "nonsense".into())),
        ("for two".into(), with("beneficiary", json!([Uuid::now_v7(), Uuid::now_v7()]))),
        ("fields that are none".into(), with("fields", json!([]))),
        ("a field of fields".into(), with("fields", json!({"a": {"b": "c"}}))),
        ("a field that no policy has".into(), with("fields", json!({"a": "b"}))),
        ("a field with a hostile name".into(), with("fields", json!({"<script>\u{0}": "b"}))),
        ("a field with an endless name".into(), with("fields", json!({"x".repeat(5_000): "b"}))),
        ("a field with a NUL".into(), with("fields", json!({"a": "b\u{0}"}))),
        ("a thousand fields".into(), with("fields", Value::Object((0..1_000).map(|n| (format!("f{n}"), "x".into())).collect()))),
        ("a field twice".into(), raw(&format!("{{\"role\":\"{role}\",\"duration_s\":3600,\"fields\":{{}},\"fields\":{{}}}}"))),
        ("an emergency without a path".into(), with("emergency", json!({"reason": "It is on fire, and nobody is there.", "confirm": 1}))),
        ("an emergency nobody confirmed".into(), with("emergency", json!({"reason": "It is on fire, and nobody is there."}))),
        ("an emergency that is a word".into(), with("emergency", "now".into())),
        ("an emergency with more in it".into(), with("emergency", json!({"reason": "x", "confirm": true, "approved": true}))),
        ("an emergency of 1 MB".into(), with("emergency", json!({"reason": "x".repeat(1 << 20), "confirm": true}))),
        ("whose place it takes".into(), with("supersedes", Uuid::now_v7().to_string().into())),
        ("who asks".into(), with("requester", town.world.person("mara.voss").await.to_string().into())),
    ];
    cases.extend(hostile().into_iter().map(|(what, text)| (format!("reason: {what}"), with("justification", text.into()))));
    let before = rows(&town.world).await;
    for (case, sent) in cases {
        let page = bo.send(Method::POST, "/api/v1/requests", sent).await;
        assert!((400..500).contains(&page.status) && page.status != 429, "{case}: {} {}", page.status, page.body);
        assert_eq!(page.headers["content-type"], "application/problem+json", "{case}");
        let problem: Value = serde_json::from_str(&page.body).unwrap();
        for part in ["type", "title", "detail"] {
            assert!(problem[part].as_str().is_some_and(|text| text.len() >= 8), "{case}: {problem}");
        }
        assert_eq!(problem["status"], page.status, "{case}");
        assert_eq!(rows(&town.world).await, before, "{case}: something was written");
    }
    for token in ["", "x", "cst_", &format!("{secret}0"), &secret[..75], &secret.to_uppercase(), "cst_\u{e9}"] {
        let mut stranger = Client::new(&town.server.url);
        stranger.headers = vec![("authorization", format!("Bearer {token}"))];
        let page = stranger.send(Method::GET, "/api/v1/requests", Sent::Nothing).await;
        assert_eq!(page.status, 401, "{token:?}: {}", page.body);
    }
    let page = Client::new(&town.server.url).get(&format!("/api/v1/requests?access_token={secret}")).await;
    assert_eq!(page.status, 401, "a token in an address counts for nothing");
    for key in ["", " ", "a key with spaces", &"x".repeat(300)] {
        let mut bo = bo.clone();
        bo.headers.push(("idempotency-key", key.to_owned()));
        let page = bo.send(Method::POST, "/api/v1/requests", with("justification", WHY.into())).await;
        assert_eq!(page.status, 400, "{key:?}: {}", page.body);
    }
    assert_eq!(rows(&town.world).await, before);

    // Out of order.
    let made = bo.send(Method::POST, "/api/v1/requests", with("justification", WHY.into())).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let id = serde_json::from_str::<Value>(&made.body).unwrap()["id"].as_str().unwrap().to_owned();
    let before = rows(&town.world).await;
    let again = bo.send(Method::POST, "/api/v1/requests", with("justification", WHY.into())).await;
    assert!(again.status == 409 && again.body.contains("already-open"), "{}", again.body);
    for act in ["approve", "deny"] {
        let own = bo.send(Method::POST, &format!("/api/v1/requests/{id}/{act}"), raw("{\"reason\":\"x\"}")).await;
        assert!((400..500).contains(&own.status), "{act}: {}", own.body);
    }
    assert_eq!(rows(&town.world).await, before);
    assert_eq!(bo.send(Method::POST, &format!("/api/v1/requests/{id}/withdraw"), raw("{}")).await.status, 200);
    let twice = bo.send(Method::POST, &format!("/api/v1/requests/{id}/withdraw"), raw("{}")).await;
    assert_eq!(twice.status, 409, "{}", twice.body);
    eventually("the worker is at rest", || async {
        let due: i64 = town.world.one("select count(*) from target where next_at <= countersign.clock()").await;
        (due == 0).then_some(())
    })
    .await;
    town.is_sound().await;
}
