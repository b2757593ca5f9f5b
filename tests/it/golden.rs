//! Who may do what in which state, over HTTP.

use countersign::domain::approval::Answer;
use countersign::domain::id::RequestId;
use countersign::domain::span::Seconds;
use countersign::service::ask::{AskFor, ask};
use countersign::service::question;
use serde_json::{Value, json};

use crate::api::{ALL, Site};
use crate::server::crowd;
use crate::world::{Reach, World};

/// Two people answer one after the other, and either may hand it on.
const CATALOG: &str = r#"
[[application]]
key = "yard"
name = "Yard"
owner = "arjun.mehta"
[[role]]
application = "yard"
key = "gate"
name = "Gate"
risk = "low"
group = "orders-db-readers"
policy = "plain"
[[profile]]
key = "everybody"
name = "Everybody"
[[profile.allow]]
all = []
[[procedure]]
key = "two"
name = "Manager, then Noor"
reassign = true
[[procedure.step]]
name = "Manager"
slots = [{ approvals = 1, from = "manager" }]
[[procedure.step]]
name = "Noor"
slots = [{ approvals = 1, from = "person:noor.rahman" }]
[[policy]]
key = "plain"
name = "Plain"
profile = "everybody"
procedure = "two"
durations = { minimum = "1m", maximum = "30d" }
"#;

/// Who comes: whoever asked, who is asked now, who is asked at the next step, and who is not asked.
const WHO: [&str; 7] = ["requester", "mara.voss", "noor.rahman", "liam.byrne", "arjun.mehta", "wei.zhang", "sofia.marin"];

/// What each of them gets: 404 who may not know of it, 422 who may never, 409 who could if it stood otherwise.
#[rustfmt::skip]
const TABLE: &[(&str, &str, [u16; 7])] = &[
    //                          requester asked next stranger owner auditor administrator
    ("pending",    "approve",  [422, 200, 409, 404, 404, 422, 422]),
    ("pending",    "deny",     [422, 200, 409, 404, 404, 422, 422]),
    ("pending",    "withdraw", [200, 404, 404, 404, 404, 404, 404]),
    ("pending",    "question", [422, 200, 409, 404, 404, 422, 422]),
    ("pending",    "answer",   [409, 422, 422, 404, 404, 422, 422]),
    ("pending",    "reassign", [422, 200, 409, 404, 404, 422, 422]),
    ("pending",    "nudge",    [200, 422, 422, 404, 404, 422, 422]),
    ("pending",    "confirm",  [409, 404, 404, 404, 404, 422, 422]),
    ("needs_info", "approve",  [422, 409, 409, 404, 404, 422, 422]),
    ("needs_info", "deny",     [422, 200, 409, 404, 404, 422, 422]),
    ("needs_info", "withdraw", [200, 404, 404, 404, 404, 404, 404]),
    ("needs_info", "question", [422, 409, 409, 404, 404, 422, 422]),
    ("needs_info", "answer",   [200, 422, 422, 404, 404, 422, 422]),
    ("needs_info", "reassign", [422, 409, 409, 404, 404, 422, 422]),
    ("needs_info", "nudge",    [409, 422, 422, 404, 404, 422, 422]),
    ("needs_info", "confirm",  [409, 404, 404, 404, 404, 422, 422]),
    ("denied",     "approve",  [422, 409, 409, 404, 404, 422, 422]),
    ("denied",     "deny",     [422, 409, 409, 404, 404, 422, 422]),
    ("denied",     "withdraw", [409, 404, 404, 404, 404, 404, 404]),
    ("denied",     "question", [422, 409, 409, 404, 404, 422, 422]),
    ("denied",     "answer",   [409, 422, 422, 404, 404, 422, 422]),
    ("denied",     "reassign", [422, 409, 409, 404, 404, 422, 422]),
    ("denied",     "nudge",    [409, 422, 422, 404, 404, 422, 422]),
    ("denied",     "confirm",  [409, 404, 404, 404, 404, 422, 422]),
];

struct Yard {
    world: World,
    workers: usize,
}

impl Yard {
    /// A worker's new request that stands so; who asked, and which.
    async fn request(&mut self, state: &str) -> (String, RequestId) {
        let (world, who) = (&self.world, format!("worker.{}", self.workers));
        self.workers += 1;
        let ask_for = AskFor { duration: Some(Seconds(3_600)), justification: Some("For the table.".into()), ..AskFor::new(world.role("yard", "gate").await) };
        let id = ask(&world.ctx, &world.by(&who).await, ask_for).await.unwrap().id;
        match state {
            "needs_info" => question::ask(&world.ctx, &world.by("mara.voss").await, id, "What for?", None).await.unwrap(),
            "denied" => {
                world.answer("mara.voss", id, Answer::Deny).await.unwrap();
            }
            _ => {}
        }
        assert_eq!(world.stands(id).await, state);
        (who, id)
    }
}

fn body(act: &str, colleague: uuid::Uuid) -> Value {
    match act {
        "deny" => json!({ "reason": "Not now." }),
        "question" => json!({ "question": "Why now?" }),
        "answer" => json!({ "answer": "It cannot wait." }),
        "reassign" => json!({ "to": colleague, "reason": "Busy." }),
        _ => json!({}),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everybody_may_do_what_the_table_says_in_each_state_and_nothing_else() {
    let world = World::with(crowd(60, &["mara.voss"]), Reach::Demo).await;
    world.turn().await;
    world.apply(CATALOG).await;
    let site = Site::over(&world);
    let colleague = world.person("priya.raman").await.0;
    let mut yard = Yard { world, workers: 0 };
    let mut faults = Vec::new();
    for (state, act, wanted) in TABLE {
        let (mut requester, mut id) = yard.request(state).await;
        for (who, wanted) in WHO.iter().zip(wanted) {
            let name = if *who == "requester" { requester.as_str() } else { *who };
            let token = site.token(&yard.world, name, &ALL).await;
            let before = yard.world.history(id.0).await;
            let answer = site.post(&token, &format!("/api/v1/requests/{id}/{act}"), body(act, colleague)).await;
            if answer.status != *wanted {
                faults.push(format!("{state}: {who} does {act} and gets {}, not {wanted}: {}", answer.status, answer.text));
            }
            if answer.status == 200 {
                (requester, id) = yard.request(state).await;
            } else {
                assert_eq!(yard.world.history(id.0).await, before, "{state}: {who}, refused, left something of {act}");
                assert_eq!(yard.world.stands(id).await, *state);
            }
        }
    }
    assert!(faults.is_empty(), "{} of them\n{}", faults.len(), faults.join("\n"));
}
