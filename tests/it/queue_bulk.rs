//! An approver's queue: many alike requests answered together.

use countersign::domain::approval::Answer;
use countersign::domain::id::RequestId;
use countersign::domain::span::Seconds;
use countersign::service::ask::{AskFor, ask};
use countersign::service::withdraw::withdraw;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::api::Site;
use crate::desk::{Desk, Page};
use crate::server::crowd;
use crate::world::{Reach, World};

pub const BULK: &str = "/api/v1/approvals/bulk";
pub const SCOPES: [&str; 3] = ["approvals:write", "requests:read", "requests:write"];

/// One application whose roles the manager decides on; of the bin a denial needs no reason.
const CATALOG: &str = r#"
[[application]]
key = "yard"
name = "Yard"
owner = "arjun.mehta"
[[application]]
key = "shed"
name = "Shed"
owner = "arjun.mehta"

[[role]]
application = "yard"
key = "gate"
name = "Gate"
risk = "low"
group = "orders-db-readers"
policy = "plain"
[[role]]
application = "yard"
key = "crane"
name = "Crane"
risk = "critical"
group = "orders-db-writers"
policy = "plain"
[[role]]
application = "shed"
key = "bin"
name = "Bin"
risk = "low"
group = "warehouse-analysts"
policy = "loose"

[[profile]]
key = "everybody"
name = "Everybody"
[[profile.allow]]
all = []

[[procedure]]
key = "manager"
name = "Manager"
[[procedure.step]]
name = "Manager"
time_limit = "3d"
slots = [{ approvals = 1, from = "manager", fallback = "application_owner" }]
[[procedure]]
key = "quick"
name = "Manager, quickly"
[[procedure.step]]
name = "Manager"
time_limit = "4h"
slots = [{ approvals = 1, from = "manager", fallback = "application_owner" }]

[[policy]]
key = "plain"
name = "Plain"
profile = "everybody"
procedure = "manager"
durations = { minimum = "1m", maximum = "30d" }
[[policy]]
key = "loose"
name = "Loose"
profile = "everybody"
procedure = "quick"
comment_to_deny = false
durations = { minimum = "1m", maximum = "30d" }
"#;

/// The yard, with so many workers who report to Mara.
pub async fn yard(workers: usize) -> World {
    let world = World::with(crowd(workers, &["mara.voss"]), Reach::Demo).await;
    world.turn().await;
    world.apply(CATALOG).await;
    world
}

impl World {
    /// Somebody asks for an hour of a role.
    pub async fn wants(&self, who: &str, application: &str, role: &str) -> RequestId {
        let role = self.role(application, role).await;
        let ask_for = AskFor { duration: Some(Seconds(3_600)), justification: Some(format!("Because of {who}.")), ..AskFor::new(role) };
        ask(&self.ctx, &self.by(who).await, ask_for).await.unwrap().id
    }

    /// Worker 0 to `count` - 1 each ask for it.
    pub async fn all_want(&self, count: usize, application: &str, role: &str) -> Vec<RequestId> {
        let mut all = Vec::new();
        for n in 0..count {
            all.push(self.wants(&format!("worker.{n}"), application, role).await);
        }
        all
    }

    /// How many approvals there are, and how many events of approvals.
    async fn decisions(&self) -> (i64, i64) {
        let events = "select count(*) from countersign.audit_event where kind in ('approval.given', 'approval.denied')";
        (self.one("select count(*) from countersign.approval").await, self.one(events).await)
    }
}

pub fn named(requests: &[RequestId]) -> Vec<Value> {
    requests.iter().map(|request| json!({ "id": request.0 })).collect()
}

/// What the checkboxes of the queue would send for these, and more.
fn picked<'a>(page: &Page, requests: &[RequestId], more: &[(&'a str, &'a str)]) -> Vec<(String, String)> {
    let html = page.html();
    let boxes = scraper::Selector::parse("input[name=pick][form=together]").unwrap();
    let values: Vec<String> = html.select(&boxes).map(|node| node.attr("value").unwrap().to_owned()).collect();
    let of =
        |request: &RequestId| values.iter().find(|value| value.starts_with(&request.to_string())).unwrap_or_else(|| panic!("{request} cannot be selected"));
    let picks = requests.iter().map(|request| ("pick".to_owned(), of(request).clone()));
    picks.chain(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))).collect()
}

async fn send(desk: &mut Desk, fields: &[(String, String)]) -> Page {
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    desk.post("/queue/decide", &fields).await
}

fn problem_of(one: &Value) -> (bool, String) {
    (one["decided"] == true, one["problem"]["type"].as_str().unwrap_or_default().rsplit(':').next().unwrap_or_default().to_owned())
}

// Many together -------------------------------------------------------------------------------------------------------

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_of_many_is_a_decision_of_its_own() {
    let world = yard(4).await;
    let asked = world.all_want(4, "yard", "gate").await;
    let mut mara = Desk::of(&world, "mara.voss").await;
    let queue = mara.get("/queue").await.fine();
    assert_eq!(queue.count("input[name=pick]"), 4);
    let page = send(&mut mara, &picked(&queue, &asked, &[("verdict", "approve"), ("comment", "All on shift.")])).await.fine();
    assert_eq!(page.count(".decided > li.good"), 4, "{}", page.main());
    assert!(page.main().contains("4 approved"), "{}", page.main());
    assert_eq!(world.decisions().await, (4, 4));
    for request in &asked {
        assert_eq!(world.stands(*request).await, "approved");
        assert_eq!(world.history(request.0).await.iter().filter(|kind| *kind == "approval.given").count(), 1);
    }
    let comments: i64 = world.one("select count(*) from countersign.approval where comment = 'All on shift.' and channel = 'web'").await;
    assert_eq!(comments, 4);
    assert!(mara.get("/queue").await.fine().main().contains("Nothing waits for you"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_many_that_moved_on_keeps_no_other_from_being_answered() {
    let world = yard(4).await;
    let asked = world.all_want(4, "yard", "gate").await;
    let mut mara = Desk::of(&world, "mara.voss").await;
    let queue = mara.get("/queue").await.fine();
    let form = picked(&queue, &asked, &[("verdict", "approve"), ("comment", "")]);
    withdraw(&world.ctx, &world.by("worker.1").await, asked[1], None).await.unwrap();
    world.answer("mara.voss", asked[2], Answer::Deny).await.unwrap();
    let page = send(&mut mara, &form).await.fine();
    let rows = page.all(".decided > li");
    assert!(rows[0].contains("Approved.") && rows[3].contains("Approved."), "{rows:?}");
    assert!(rows[1].contains("Not taken.") && rows[1].contains("already withdrawn"), "{rows:?}");
    assert!(rows[2].contains("Not taken.") && rows[2].contains("already denied"), "{rows:?}");
    assert!(page.main().contains("2 approved, 2 not taken"), "{}", page.main());
    assert_eq!(world.decisions().await, (3, 3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_of_two_roles_or_two_versions_are_refused_whole_and_say_which() {
    let world = yard(3).await;
    let (gate, crane) = (world.wants("worker.0", "yard", "gate").await, world.wants("worker.0", "yard", "crane").await);
    let site = Site::over(&world);
    let token = site.token(&world, "mara.voss", &SCOPES).await;
    let together = async |requests: &[RequestId]| site.post(&token, BULK, json!({"decision": "approve", "requests": named(requests)})).await;
    let answer = together(&[gate, crane]).await;
    assert_eq!(answer.status, 422, "{}", answer.text);
    assert!(
        answer.text.contains("Yard Gate") && answer.text.contains("Yard Crane") && answer.text.contains("one role under one policy version"),
        "{}",
        answer.text
    );

    world.apply(&CATALOG.replace("name = \"Plain\"", "name = \"Plainer\"")).await;
    let later = world.wants("worker.1", "yard", "gate").await;
    let answer = together(&[gate, later]).await;
    assert_eq!(answer.status, 422, "{}", answer.text);
    assert!(answer.text.contains("Plain version 1") && answer.text.contains("Plainer version 2"), "{}", answer.text);
    assert_eq!(world.decisions().await, (0, 0), "nothing was decided");

    // The page says the same, keeps what was typed, and leads back.
    let mut mara = Desk::of(&world, "mara.voss").await;
    let third = world.wants("worker.2", "yard", "gate").await;
    let queue = mara.get("/queue").await.fine();
    let mut form = picked(&queue, &[later, third], &[("verdict", "deny"), ("comment", "Not in winter."), ("back", "queue?sort=due")]);
    form.push(("pick".into(), format!("{gate}.1.x")));
    let page = send(&mut mara, &form).await;
    assert_eq!(page.status, 422);
    assert!(page.main().contains("one role under one policy version") && page.main().contains("Not in winter."), "{}", page.main());
    assert_eq!(page.count("a[href='/queue?sort=due']"), 1);
    assert_eq!(world.decisions().await, (0, 0));
    assert_eq!(together(&[later, third]).await.json()["decided"], 2, "those that are alike are taken");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn own_and_foreign_requests_are_never_decided_however_they_are_named() {
    let world = yard(2).await;
    let asked = world.all_want(1, "yard", "gate").await;
    // Mara's own goes to her manager; Wei's is none of hers.
    let (own, foreign) = (world.wants("mara.voss", "yard", "gate").await, world.wants("arjun.mehta", "yard", "gate").await);
    let site = Site::over(&world);
    let token = site.token(&world, "mara.voss", &SCOPES).await;
    let nobody = RequestId(Uuid::now_v7());
    let answer = site.post(&token, BULK, json!({"decision": "approve", "requests": named(&[own, foreign, nobody, asked[0]])})).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let results: Vec<_> = answer.json()["results"].as_array().unwrap().iter().map(problem_of).collect();
    let not = |id: &str| (false, id.to_owned());
    assert_eq!(results, [not("own-request"), not("missing"), not("missing"), (true, String::new())]);
    assert_eq!(answer.json()["results"][1]["problem"], answer.json()["results"][2]["problem"], "what is not theirs and what is not there look alike");
    assert!(!answer.text.contains("Arjun"), "{}", answer.text);
    assert_eq!((world.stands(own).await, world.stands(foreign).await), ("pending".into(), "pending".into()));
    assert_eq!(world.decisions().await, (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_are_answered_in_one_call_and_no_more() {
    let world = yard(201).await;
    let asked = world.all_want(201, "yard", "gate").await;
    let site = Site::over(&world);
    let token = site.token(&world, "mara.voss", &SCOPES).await;
    let too_many = site.post(&token, BULK, json!({"decision": "approve", "requests": named(&asked)})).await;
    assert_eq!(too_many.status, 422, "{}", too_many.text);
    assert_eq!(world.decisions().await, (0, 0));
    // The page shows them at once, and its form is small enough to be sent.
    let mut mara = Desk::of(&world, "mara.voss").await;
    let queue = mara.get("/queue?many=yes").await.fine();
    assert_eq!(queue.count("input[name=pick]"), 200);
    let page = send(&mut mara, &picked(&queue, &asked[..200], &[("verdict", "approve"), ("back", "queue?many=yes")])).await.fine();
    assert_eq!(page.count(".decided > li.good"), 200, "{}", page.main());
    assert_eq!(world.decisions().await, (200, 200));
    assert_eq!(world.stands(asked[200]).await, "pending");
    let last = site.post(&token, BULK, json!({"decision": "deny", "comment": "The yard is full.", "requests": named(&asked[1..])})).await.json();
    assert_eq!((last["decided"].as_i64(), last["not_taken"].as_i64()), (Some(1), Some(199)));
    assert_eq!(world.decisions().await, (201, 201));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_form_twice_and_the_same_request_twice_decide_once() {
    let world = yard(3).await;
    let asked = world.all_want(3, "yard", "gate").await;
    let mut mara = Desk::of(&world, "mara.voss").await;
    let queue = mara.get("/queue").await.fine();
    let mut form = picked(&queue, &asked, &[("verdict", "approve")]);
    form.push(form[0].clone());
    let first = send(&mut mara, &form).await.fine();
    assert_eq!(first.count(".decided > li"), 3, "named twice, answered once");
    let second = send(&mut mara, &form).await.fine();
    assert_eq!((second.count(".decided > li.good"), second.count(".decided > li.not")), (0, 3), "{}", second.main());
    assert_eq!(world.decisions().await, (3, 3));

    // Two at the same moment.
    let more = [world.wants("worker.0", "yard", "crane").await, world.wants("worker.1", "yard", "crane").await];
    let queue = mara.get("/queue").await.fine();
    let form = picked(&queue, &more, &[("verdict", "approve")]);
    let mut other = Desk::of(&world, "mara.voss").await;
    let (one, two) = tokio::join!(send(&mut mara, &form), send(&mut other, &form));
    assert_eq!(one.count(".decided > li.good") + two.count(".decided > li.good"), 2, "{} {}", one.main(), two.main());
    assert_eq!(world.decisions().await, (5, 5));

    // With a key the second call gets the first answer.
    let site = Site::over(&world);
    let token = site.token(&world, "mara.voss", &SCOPES).await;
    let last = world.wants("worker.2", "yard", "crane").await;
    let body = json!({"decision": "approve", "requests": [{"id": last.0, "step": 1}, {"id": last.0}]});
    let (one, two) = (site.post_once(&token, BULK, body.clone(), "k1").await, site.post_once(&token, BULK, body, "k1").await);
    assert_eq!((one.status.as_u16(), one.json()["decided"].as_i64()), (200, Some(1)), "{}", one.text);
    assert_eq!(one.json(), two.json());
    assert_eq!(world.decisions().await, (6, 6));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_denial_of_many_needs_the_reason_that_the_policy_wants() {
    let world = yard(2).await;
    let strict = world.all_want(2, "yard", "gate").await;
    let loose = world.all_want(2, "shed", "bin").await;
    let site = Site::over(&world);
    let token = site.token(&world, "mara.voss", &SCOPES).await;
    let deny = async |requests: &[RequestId], comment: Value| {
        site.post(&token, BULK, json!({"decision": "deny", "comment": comment, "requests": named(requests)})).await
    };
    for empty in [Value::Null, json!(""), json!("  \n ")] {
        let answer = deny(&strict, empty).await;
        assert!(answer.status == 422 && answer.text.contains("reason-required"), "{}", answer.text);
    }
    assert_eq!(world.decisions().await, (0, 0));
    assert_eq!(deny(&loose, Value::Null).await.json()["decided"], 2);
    assert_eq!(deny(&strict, json!("Closed for the winter.")).await.json()["decided"], 2);
    for request in strict.iter().chain(&loose) {
        assert_eq!(world.stands(*request).await, "denied");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_meant_is_refused_before_anything_is_decided() {
    let world = yard(2).await;
    let asked = world.all_want(2, "yard", "gate").await;
    let site = Site::over(&world);
    let token = site.token(&world, "mara.voss", &SCOPES).await;
    let id = asked[0].0;
    for body in [
        json!({}),
        json!({"decision": "approve"}),
        json!({"decision": "approve", "requests": []}),
        json!({"decision": "approve", "requests": id}),
        json!({"decision": "approve", "requests": [id]}),
        json!({"decision": "approve", "requests": [{}]}),
        json!({"decision": "approve", "requests": [{"id": "'; drop table request; --"}]}),
        json!({"decision": "approve", "requests": [{"id": "\u{0}"}]}),
        json!({"decision": "approve", "requests": [{"id": id, "step": 0}]}),
        json!({"decision": "approve", "requests": [{"id": id, "step": -1}]}),
        json!({"decision": "approve", "requests": [{"id": id, "admin": true}]}),
        json!({"decision": "perhaps", "requests": [{"id": id}]}),
        json!({"decision": "approve", "requests": [{"id": id}], "comment": "a\u{0}b"}),
        json!({"decision": "approve", "requests": [{"id": id}], "comment": "\u{202e}"}),
        json!({"decision": "approve", "requests": [{"id": id}], "comment": "x".repeat(4_001)}),
        json!({"decision": "approve", "requests": [{"id": id}], "more": 1}),
        json!([{"id": id}]),
    ] {
        let answer = site.post(&token, BULK, body.clone()).await;
        assert!(matches!(answer.status.as_u16(), 400 | 422), "{body}: {} {}", answer.status, answer.text);
    }
    let mut mara = Desk::of(&world, "mara.voss").await;
    let page = send(&mut mara, &[("verdict".into(), "approve".into()), ("comment".into(), "kept".into())]).await;
    assert!(page.status == 422 && page.main().contains("Choose at least one") && page.main().contains("kept"), "{}", page.main());
    for pick in ["", "x", "..", "1.1.1", &format!("{id}.1"), &format!("{id}.99999999999999999999.x"), "\0.1.x", "<img src=x>.1.x"] {
        let page = send(&mut mara, &[("pick".into(), pick.into()), ("verdict".into(), "approve".into())]).await;
        assert_eq!(page.status, 400, "{pick}: {}", page.main());
        assert_eq!(page.count("main img"), 0);
    }
    // A step or a digest that is not the shown one answers nothing.
    for stale in [format!("{id}.2.x"), format!("{id}.1.{}", "0".repeat(64))] {
        let page = send(&mut mara, &[("pick".into(), stale), ("verdict".into(), "approve".into())]).await.fine();
        assert_eq!(page.count(".decided > li.not"), 1, "{}", page.main());
    }
    let reader = site.token(&world, "mara.voss", &["requests:read"]).await;
    assert_eq!(site.post(&reader, BULK, json!({"decision": "approve", "requests": named(&asked)})).await.status, 403);
    assert_eq!(world.decisions().await, (0, 0));
}
