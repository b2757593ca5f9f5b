//! What must be seen, on pages and in evidence.

use axum::http::StatusCode;
use chrono::Duration;
use countersign::domain::approval::Answer;
use countersign::domain::id::{PersonId, RequestId};
use countersign::domain::refusal::Refusal;
use countersign::domain::request::RequestStatus;
use countersign::domain::span::Seconds;
use countersign::evidence::columns::File;
use countersign::service::ask::{AskFor, ask};
use countersign::service::delegate::{Away, delegate};
use countersign::service::emergency_review::review;
use countersign::service::error::ServiceError;
use countersign::service::look::beside::of_request;
use countersign::service::{question, reassign, reevaluate, sync};

use crate::api::Site;
use crate::day::rows;
use crate::desk::Desk;
use crate::lab::refusal;
use crate::world::World;

const YES: Answer = Answer::Approve { granted: None };
const FIRE: &str = "The shop is down and my manager is asleep.";

impl World {
    /// Bo takes a role of the lab as an emergency.
    async fn bo_takes(&self, role: &str) -> RequestId {
        let fire = AskFor { emergency: Some(FIRE.into()), ..self.wish("lab", role).await };
        let asked = self.asks("bo.lind", fire).await.unwrap();
        assert_eq!(asked.status, RequestStatus::Approved, "{}", asked.deciding_rule);
        asked.id
    }

    async fn goes(&self, who: &str) {
        self.set_active(who, false).await;
        sync::sync(&self.ctx, "main").await.unwrap();
    }

    async fn approved_by(&self, who: &str, id: RequestId) {
        countersign::service::answer::answer(&self.ctx, &self.by(who).await, id, YES, None, None).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wherever_an_emergency_is_shown_it_has_its_badge() {
    let world = World::lab().await;
    let id = world.bo_takes("hot").await;
    let role = world.role("lab", "hot").await;
    let policy =
        world.one::<uuid::Uuid>("select policy_id from countersign.access_policy_version v join countersign.request r on r.policy_version_id = v.id").await;
    let version = world.one::<uuid::Uuid>("select policy_version_id from countersign.request").await;
    world.turn().await;
    let places: &[(&str, String, &str)] = &[
        ("bo.lind", "/".into(), ".lease .badge.bad"),
        ("bo.lind", "/".into(), "#debt .badge.bad"),
        ("bo.lind", "/access".into(), ".lease .badge.bad"),
        ("bo.lind", "/catalog?q=hot".into(), ".rolecard .badge.bad, .role-row .badge.bad, main .state .badge.bad"),
        ("bo.lind", format!("/roles/{role}"), ".title-act .badge.bad"),
        ("bo.lind", format!("/requests/{id}"), ".states .badge.bad"),
        ("bo.lind", "/log".into(), "td[data-label=What] .badge.bad"),
        ("mara.voss", "/queue".into(), ".owed .badge.bad"),
        ("mara.voss", format!("/requests/{id}"), ".emergency .badge.bad"),
        ("arjun.mehta", format!("/roles/{role}"), "main tbody tr .badge.bad"),
        ("wei.zhang", "/log".into(), "td[data-label=What] .badge.bad"),
        ("wei.zhang", format!("/log?policy={version}"), "td[data-label=What] .badge.bad"),
        ("wei.zhang", "/admin/provisioning".into(), "#h-attempts ~ table .badge.bad"),
        ("wei.zhang", format!("/admin/policies/{policy}"), ".reqrow .badge.bad"),
    ];
    for (who, place, selector) in places {
        let page = Desk::of(&world, who).await.get(place).await.fine();
        assert!(page.count(selector) > 0, "{who} at {place} sees no badge at {selector}: {}", page.main());
        assert!(page.all(selector).iter().any(|badge| badge.contains("Emergency")), "{who} at {place}");
    }
    // Given back, it is still told as what it was.
    let grant = world.one::<uuid::Uuid>("select id from countersign.access_grant").await;
    Desk::of(&world, "bo.lind").await.post(&format!("/grants/{grant}/return"), &[]).await;
    world.turn().await;
    let access = Desk::of(&world, "bo.lind").await.get("/access").await.fine();
    assert!(access.all("main table .badge.bad").iter().any(|badge| badge.contains("Emergency")), "{}", access.main());
    // To programs, and in the files.
    let site = Site::over(&world);
    let bo = site.token(&world, "bo.lind", &["requests:read", "grants:read"]).await;
    for place in ["/api/v1/requests", "/api/v1/grants"] {
        assert_eq!(site.get(&bo, place).await.json()["items"][0]["emergency"], true, "{place}");
    }
    assert_eq!(site.get(&bo, &format!("/api/v1/requests/{id}")).await.json()["emergency"], true);
    assert_eq!(rows(&world, File::Requests).await[0]["emergency"], "true");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn owed_reviews_are_seen_by_who_owes_them_and_by_who_waits_for_them() {
    let world = World::lab().await;
    let id = world.bo_takes("hot").await;
    let mut mara = Desk::of(&world, "mara.voss").await;
    let queue = mara.get("/queue").await.fine();
    assert!(queue.one(".owed").contains("Bo Lind") && queue.one(".owed").contains(FIRE), "{}", queue.main());
    assert_eq!(queue.all(".nav a[href='/queue'] .count").len(), 1, "and counted in the navigation");
    assert!(mara.get("/").await.fine().main().contains("1 emergency waits for your review"));
    let home = Desk::of(&world, "bo.lind").await.get("/").await.fine();
    assert!(home.one("#debt").contains("Mara Voss") && home.one("#debt").contains("no further emergency"), "{}", home.main());
    assert_eq!(Desk::of(&world, "arjun.mehta").await.get("/queue").await.fine().count(".owed"), 0, "while who was skipped is there, nobody stands in");
    assert!(home.all(".nav a[href='/'] .count").is_empty(), "nothing was told to Bo");
    assert!(mara.get("/access").await.fine().one(".nav a[href='/']").contains("1 notice for you"), "Mara was told that she was skipped");
    world.advance(Duration::days(1) + Duration::seconds(1)).await;
    world.turn().await;
    let mut mara = Desk::of(&world, "mara.voss").await;
    assert!(mara.get("/queue").await.fine().one(".owed").contains("Review overdue"));
    review(&world.ctx, &world.by("mara.voss").await, id, true, None).await.unwrap();
    assert_eq!(mara.get("/queue").await.fine().count(".owed"), 0);
    assert_eq!(Desk::of(&world, "bo.lind").await.get("/").await.fine().count("#debt"), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_everybody_who_may_review_has_left_owner_and_administrator_stand_in_and_never_who_took_it() {
    let world = World::lab().await;
    let id = world.bo_takes("hot").await;
    assert_eq!(refusal(review(&world.ctx, &world.by("arjun.mehta").await, id, true, None).await), Refusal::NotReviewer, "Mara is still there");
    world.goes("mara.voss").await;
    let owned = of_request(&world.ctx, &world.by("arjun.mehta").await, id).await.unwrap();
    assert!(owned.can.review, "the owner stands in");
    assert_eq!(owned.emergency.unwrap().reviewers, ["Arjun Mehta"]);
    assert!(of_request(&world.ctx, &world.by("sofia.marin").await, id).await.unwrap().can.review, "so may an administrator");
    assert_eq!(refusal(review(&world.ctx, &world.by("bo.lind").await, id, true, None).await), Refusal::OwnRequest);
    assert_eq!(refusal(review(&world.ctx, &world.by("wei.zhang").await, id, true, None).await), Refusal::NotReviewer, "an auditor looks on");
    assert!(matches!(review(&world.ctx, &world.by("liam.byrne").await, id, true, None).await, Err(ServiceError::Missing)));
    let mut arjun = Desk::of(&world, "arjun.mehta").await;
    assert!(arjun.get("/queue").await.fine().one(".owed").contains("Everybody who was skipped has left"));
    assert!(Desk::of(&world, "bo.lind").await.get("/").await.fine().one("#debt").contains("Arjun Mehta"));
    world.advance(Duration::days(1) + Duration::seconds(1)).await;
    world.turn().await;
    assert!(world.notices_of("arjun.mehta").await.contains(&"review_overdue".to_owned()), "who stands in is told that it is overdue");
    let mut arjun = Desk::of(&world, "arjun.mehta").await;
    let page = arjun.get(&format!("/requests/{id}")).await.fine();
    let page = arjun.submit(&page, "form[action$='/review']", &[("verdict", "justified")]).await.fine();
    assert!(page.main().contains("Justified"), "{}", page.main());
    world.bo_takes("hot-too").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_separation_rule_that_came_after_the_ask_is_shown_and_stops_the_approval() {
    let world = World::lab().await;
    let mut wish = world.wish("lab", "hot").await;
    wish.justification = Some("For the tests.".into());
    let asked = world.asks("bo.lind", wish).await.unwrap();
    let mara = world.by("mara.voss").await;
    assert!(of_request(&world.ctx, &mara, asked.id).await.unwrap().changed.is_empty());
    let rule = "[[separation]]\nkey = \"four-eyes\"";
    world.lab_but(rule, &format!("[[separation]]\nkey = \"fire\"\nname = \"Hot and books\"\na = [\"lab/hot\"]\nb = [\"lab/books\"]\n\n{rule}")).await;
    let changed = of_request(&world.ctx, &mara, asked.id).await.unwrap().changed;
    assert_eq!(changed.len(), 1, "{changed:?}");
    assert_eq!((changed[0].what.as_str(), changed[0].before.as_str()), ("Separation rule Hot and books", "none"));
    assert_eq!(changed[0].after, "version 1: Lab Hot not together with Lab Books; no exception");
    let answered = countersign::service::answer::answer(&world.ctx, &mara, asked.id, YES, None, None).await;
    assert_eq!(refusal(answered), Refusal::RulesChanged);
    let page = Desk::of(&world, "mara.voss").await.get(&format!("/requests/{}", asked.id)).await.fine();
    assert!(page.main().contains("Hot and books"), "{}", page.main());
    let again = reevaluate::again(&world.ctx, &mara, asked.id).await.unwrap();
    assert_eq!((again.status, world.stands(asked.id).await.as_str()), (RequestStatus::Pending, "withdrawn"));
    world.approved_by("mara.voss", again.id).await;
    assert_eq!(world.stands(again.id).await, "approved");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_policy_page_says_what_changed_who_approved_it_and_what_it_governed() {
    let world = World::lab().await;
    world.bo_takes("hot").await;
    world.lab_but("emergency = { maximum = \"1h\", review_within = \"1d\" }", "emergency = { maximum = \"30m\", review_within = \"2d\" }").await;
    let policy = world.one::<uuid::Uuid>("select id from countersign.access_policy where key = 'hot'").await;
    let mut wei = Desk::of(&world, "wei.zhang").await;
    let page = wei.get(&format!("/admin/policies/{policy}")).await.fine();
    assert!(
        page.one("#since").contains("emergency: at once for at most 1 hour, reviewed within 1 day -> at once for at most 30 minutes, reviewed within 2 days")
    );
    assert!(page.main().contains("None yet."), "the new version governed nothing");
    let change = page.attr("a[href^='/admin/changes/']", "href");
    assert!(wei.get(&change).await.fine().main().contains("Policy hot: version 1, now version 2"));
    let first = wei.get(&format!("/admin/policies/{policy}?version=1")).await.fine();
    assert_eq!((first.count("#since"), first.count(".reqrow")), (0, 1));
    let log = wei.get(&first.attr("a[href^='/log?policy=']", "href")).await.fine();
    assert!(log.main().contains("Only what Hot, version 1, governed") && log.all("td[data-label=Kind] code").contains(&"request.auto_approved".to_owned()));
    assert!(log.all("td[data-label=Kind] code").iter().all(|kind| !kind.starts_with("catalog.")), "and nothing else");
    let address = first.attr("a[href^='/log?policy=']", "href");
    assert_eq!(Desk::of(&world, "bo.lind").await.get(&address).await.status, StatusCode::NOT_FOUND);
    assert_eq!(wei.get(&format!("/log?policy={policy}")).await.status, StatusCode::NOT_FOUND, "a policy is no version of one");
    let pay = world.one::<uuid::Uuid>("select id from countersign.access_policy where key = 'plain'").await;
    assert!(wei.get(&format!("/admin/policies/{pay}")).await.fine().one("section[aria-labelledby=h-apart]").contains("Make and release"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_auditor_takes_the_matrix_and_that_is_on_record() {
    let world = World::lab().await;
    let mut wei = Desk::of(&world, "wei.zhang").await;
    let file = wei.get("/admin/matrix/matrix.csv?q=hot&mode=raw").await.fine();
    assert_eq!(file.text.lines().count(), 3, "a header and both roles: {}", file.text);
    let taken = "select data->>'file' || ' ' || (data->>'mode') || ' ' || (data->>'filters') || ' ' || actor_name from countersign.audit_event where kind = 'evidence.exported'";
    assert_eq!(world.one::<String>(taken).await, "matrix.csv raw rows with hot Wei Zhang");
    assert_eq!(Desk::of(&world, "mara.voss").await.get("/admin/matrix/matrix.csv").await.status, StatusCode::NOT_FOUND);
    assert_eq!(world.one::<i64>("select count(*) from countersign.audit_event where kind = 'evidence.exported'").await, 1, "what was not taken is not told");
}

/// One role for each thing that can happen to a request on its way.
fn a_day() -> String {
    let mut text = r#"
[[application]]
key = "day"
name = "Day"
owner = "arjun.mehta"

[[profile]]
key = "everybody"
name = "Everybody"
[[profile.allow]]
all = []

[[procedure]]
key = "manager"
name = "Manager, with everything"
reassign = true
[[procedure.step]]
name = "Manager"
time_limit = "2h"
escalate = { to = "managers_manager", time_limit = "12h" }
slots = [{ approvals = 1, from = "manager" }]

[[policy]]
key = "day"
name = "Day"
profile = "everybody"
procedure = "manager"
durations = { minimum = "1m", maximum = "8h" }
justification = { required = false }
emergency = { maximum = "1h", review_within = "1d" }
"#
    .to_owned();
    let groups = ["orders-db-readers", "orders-db-writers", "warehouse-analysts", "dba", "prod-deploy", "support-console"];
    for (key, group) in ["escalated", "handed", "asked", "unanswered", "burning", "away"].iter().zip(groups) {
        text.push_str(&format!(
            "\n[[role]]\napplication = \"day\"\nkey = \"{key}\"\nname = \"{key}\"\nrisk = \"low\"\ngroup = \"{group}\"\npolicy = \"day\"\n"
        ));
    }
    text
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_files_tell_truly_of_escalation_delegation_handing_on_questions_and_emergencies() {
    let world = World::empty().await;
    world.turn().await;
    world.apply(&a_day()).await;
    let hour = Duration::hours(1);
    let asks = async |role: &str| {
        let wish = AskFor { duration: Some(Seconds(3_600)), ..AskFor::new(world.role("day", role).await) };
        ask(&world.ctx, &world.by("bo.lind").await, wish).await.unwrap().id
    };
    let mara = world.by("mara.voss").await;
    let escalated = asks("escalated").await;
    world.advance(hour * 2).await;
    world.turn().await;
    world.approved_by("priya.raman", escalated).await;

    let handed = asks("handed").await;
    let noor = world.person("noor.rahman").await;
    reassign::reassign(&world.ctx, &mara, handed, Some(noor), "Knows it better.", None).await.unwrap();
    world.approved_by("noor.rahman", handed).await;

    let asked = asks("asked").await;
    question::ask(&world.ctx, &mara, asked, "What for?", None).await.unwrap();
    world.advance(hour).await;
    let waiting = rows(&world, File::Requests).await;
    assert_eq!(waiting.iter().find(|row| row["request_id"] == asked.to_string()).unwrap()["status"], "needs_info");
    question::answer(&world.ctx, &world.by("bo.lind").await, asked, "For this.").await.unwrap();
    world.approved_by("mara.voss", asked).await;

    let unanswered = asks("unanswered").await;
    question::ask(&world.ctx, &mara, unanswered, "What for?", None).await.unwrap();
    assert_eq!(refusal(countersign::service::answer::answer(&world.ctx, &mara, unanswered, YES, None, None).await), Refusal::QuestionOpen);
    world.advance(hour * 2).await;
    world.turn().await;
    assert_eq!(world.stands(unanswered).await, "pending", "the question had its two hours");
    assert!(world.notices_of("mara.voss").await.contains(&"unanswered".to_owned()) && world.notices_of("bo.lind").await.contains(&"unanswered".to_owned()));
    let late = question::answer(&world.ctx, &world.by("bo.lind").await, unanswered, "Late.").await;
    assert_eq!(refusal(late), Refusal::NoQuestion);
    let page = Desk::of(&world, "mara.voss").await.get(&format!("/requests/{unanswered}")).await.fine();
    assert!(page.one(".questions").contains("Not answered in time"), "{}", page.main());
    world.approved_by("mara.voss", unanswered).await;

    let fire = AskFor { emergency: Some(FIRE.into()), duration: Some(Seconds(3_600)), ..AskFor::new(world.role("day", "burning").await) };
    let burning = ask(&world.ctx, &world.by("bo.lind").await, fire).await.unwrap().id;
    review(&world.ctx, &mara, burning, true, None).await.unwrap();

    let away = Away { delegate: Some(noor), until: Some(world.now() + hour * 8), ..Away::default() };
    delegate(&world.ctx, &mara, &away).await.unwrap();
    let stood_in = asks("away").await;
    world.approved_by("noor.rahman", stood_in).await;

    let (mara, priya) = (world.person("mara.voss").await, world.person("priya.raman").await);
    let approvals = rows(&world, File::Approvals).await;
    let row = |request: RequestId, who: PersonId| {
        let found: Vec<_> = approvals.iter().filter(|row| row["request_id"] == request.to_string() && row["assigned_to_id"] == who.to_string()).collect();
        assert_eq!(found.len(), 1, "{approvals:?}");
        let decided = if found[0]["decided_by_id"].is_empty() {
            "nobody"
        } else {
            assert_eq!(found[0]["decided_by_id"], who.to_string());
            "they"
        };
        (found[0]["acting_as"].clone(), found[0]["decision"].clone(), decided)
    };
    let said = |acting_as: &str, decision: &str, who| (acting_as.to_owned(), decision.to_owned(), who);
    assert_eq!(row(escalated, priya), said("escalation", "approve", "they"));
    assert_eq!(row(escalated, mara), said("", "superseded", "nobody"));
    assert_eq!(row(handed, noor), said("reassigned", "approve", "they"));
    assert_eq!(row(handed, mara), said("", "superseded", "nobody"));
    assert_eq!(row(asked, mara), said("self", "approve", "they"));
    assert_eq!(row(unanswered, mara), said("self", "approve", "they"));
    assert_eq!(row(stood_in, noor), said(&format!("delegate_of:{mara}"), "approve", "they"));
    assert_eq!(row(stood_in, mara), said("", "superseded", "nobody"));
    let at_once: Vec<_> = approvals.iter().filter(|row| row["request_id"] == burning.to_string()).collect();
    assert_eq!((at_once.len(), at_once[0]["decision"].as_str(), at_once[0]["step_no"].as_str()), (1, "auto_approve", ""));

    let requests = rows(&world, File::Requests).await;
    let waited = |id: RequestId| {
        let row = requests.iter().find(|row| row["request_id"] == id.to_string()).unwrap();
        assert_eq!((row["status"].as_str(), row["emergency"].as_str()), ("approved", if id == burning { "true" } else { "false" }));
        (row["time_to_decision_s"].parse::<f64>().unwrap() / 3_600.0) as i64
    };
    assert_eq!([escalated, handed, asked, unanswered, burning, stood_in].map(waited), [2, 0, 1, 2, 0, 0], "the time of a question is waiting too");

    let events = rows(&world, File::Events).await;
    let told = |id: RequestId, kind: &str| events.iter().filter(|row| row["request_id"] == id.to_string() && row["kind"] == kind).count();
    for (id, kind) in [
        (escalated, "request.escalated"),
        (handed, "approval.reassigned"),
        (asked, "request.question_answered"),
        (unanswered, "request.question_lapsed"),
        (burning, "emergency.review_owed"),
        (burning, "emergency.reviewed"),
        (stood_in, "approval.delegated"),
    ] {
        assert_eq!(told(id, kind), 1, "{kind}");
    }
    assert_eq!((told(unanswered, "request.question_answered"), told(asked, "request.question_lapsed")), (0, 0));
}
