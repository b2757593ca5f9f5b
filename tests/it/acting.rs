//! What approvers and requesters do while a request is open.

use chrono::{DateTime, Duration, Utc};
use countersign::domain::approval::Answer;
use countersign::domain::id::{PersonId, RequestId};
use countersign::domain::refusal::Refusal;
use countersign::domain::request::RequestStatus;
use countersign::domain::span::Seconds;
use countersign::service::ask::{AskFor, ask};
use countersign::service::delegate::{self, Away, delegate};
use countersign::service::error::ServiceError;
use countersign::service::withdraw::withdraw;
use countersign::service::{nudge, question, reassign, sync, tend, told};
use uuid::Uuid;

use crate::world::World;

const YES: Answer = Answer::Approve { granted: None };
const HOUR: i64 = 3_600;

/// A company where one role asks in many ways. Bo reports to Mara, who reports to Priya; Arjun owns the role.
const CATALOG: &str = r#"
[[application]]
key = "lab"
name = "Laboratory"
owner = "arjun.mehta"

[[role]]
application = "lab"
key = "bench"
name = "Bench"
risk = "low"
group = "orders-db-readers"
policy = "bench"

[[role]]
application = "lab"
key = "vault"
name = "Vault"
risk = "low"
group = "orders-db-writers"
policy = "vault"

[[role]]
application = "lab"
key = "closet"
name = "Closet"
risk = "low"
group = "warehouse-analysts"
policy = "closet"

[[profile]]
key = "everybody"
name = "Everybody"
[[profile.allow]]
all = []

[[procedure]]
key = "bench"
name = "Manager, with everything"
reassign = true
[[procedure.step]]
name = "Manager"
time_limit = "8h"
remind_every = "3h"
escalate = { to = ["manager", "managers_manager"], time_limit = "4h" }
slots = [{ approvals = 1, from = "manager", fallback = "application_owner" }]

[[procedure]]
key = "vault"
name = "Manager, then two of three"
[[procedure.step]]
name = "Manager"
time_limit = "8h"
slots = [{ approvals = 1, from = "manager" }]
[[procedure.step]]
name = "Databases"
slots = [{ approvals = 2, from = "group:dba", fallback = ["application_owner", "person:ravi.kapoor"] }]

[[procedure]]
key = "closet"
name = "One person"
[[procedure.step]]
name = "Only"
slots = [{ approvals = 1, from = "person:noor.rahman" }]

[[policy]]
key = "bench"
name = "Bench"
profile = "everybody"
procedure = "bench"
durations = { minimum = "1m", maximum = "30d" }

[[policy]]
key = "vault"
name = "Vault"
profile = "everybody"
procedure = "vault"
durations = { minimum = "1m", maximum = "30d" }

[[policy]]
key = "closet"
name = "Closet"
profile = "everybody"
procedure = "closet"
durations = { minimum = "1m", maximum = "30d" }
"#;

/// A company with that catalog.
pub async fn lab() -> World {
    let world = World::empty().await;
    world.turn().await;
    world.apply(CATALOG).await;
    world
}

impl World {
    /// Bo asks for a role of the laboratory.
    pub async fn asks_lab(&self, role: &str) -> RequestId {
        self.asks_lab_as("bo.lind", role).await
    }

    async fn asks_lab_as(&self, who: &str, role: &str) -> RequestId {
        let ask_for = AskFor { duration: Some(Seconds(HOUR)), justification: Some("For the tests.".into()), ..AskFor::new(self.role("lab", role).await) };
        let asked = ask(&self.ctx, &self.by(who).await, ask_for).await.unwrap();
        assert_eq!(asked.status, RequestStatus::Pending, "{}", asked.deciding_rule);
        asked.id
    }

    async fn hours(&self, hours: i64) {
        self.advance(Duration::seconds(hours * HOUR)).await;
        self.turn().await;
    }

    async fn status(&self, id: RequestId) -> String {
        sqlx::query_scalar("select status from countersign.request where id = $1").bind(id.0).fetch_one(&self.root).await.unwrap()
    }

    /// Who the open step waits for, by login, each with how they are asked.
    async fn asked(&self, id: RequestId) -> Vec<String> {
        sqlx::query_scalar(
            "select p.user_name || ':' || a.acting_as || coalesce(' for ' || f.user_name, '') from countersign.assignment a join countersign.person p on p.id = a.person_id
             left join countersign.person f on f.id = a.acting_for where a.request_id = $1 and a.open order by 1",
        )
        .bind(id.0)
        .fetch_all(&self.root)
        .await
        .unwrap()
    }

    async fn due(&self, id: RequestId) -> (Option<DateTime<Utc>>, Option<i64>, Option<DateTime<Utc>>) {
        sqlx::query_as("select step_due_at, step_left_s, remind_at from countersign.request where id = $1").bind(id.0).fetch_one(&self.root).await.unwrap()
    }

    /// Kinds of what somebody was told and has not put aside, newest first.
    async fn untold(&self, who: &str) -> Vec<String> {
        told::unseen(&self.ctx, &self.by(who).await, 50).await.unwrap().into_iter().map(|notice| notice.kind).collect()
    }

    /// `who` is away from now on, for so many hours, and `delegate` stands in.
    async fn away(&self, who: &str, stands_in: &str, hours: i64) -> Result<Uuid, ServiceError> {
        let until = Some(self.now() + Duration::hours(hours));
        let away = Away { delegate: Some(self.person(stands_in).await), until, ..Away::default() };
        delegate(&self.ctx, &self.by(who).await, &away).await
    }

    async fn leaves(&self, who: &str) {
        self.set_active(who, false).await;
        sync::sync(&self.ctx, "main").await.unwrap();
    }

    /// The answers of a request: who, and acting as what.
    async fn answers(&self, id: RequestId) -> Vec<String> {
        sqlx::query_scalar("select p.user_name || ' ' || a.acting_as from countersign.approval a join countersign.person p on p.id = a.decided_by where request_id = $1 order by decided_at")
            .bind(id.0)
            .fetch_all(&self.root)
            .await
            .unwrap()
    }
}

fn refusal<T: std::fmt::Debug>(outcome: Result<T, ServiceError>) -> Refusal {
    match outcome {
        Err(ServiceError::Refused(refusal)) => refusal,
        other => panic!("not refused: {other:?}"),
    }
}

/// Whether one of its fields is at fault.
#[track_caller]
fn faulty<T: std::fmt::Debug>(outcome: Result<T, ServiceError>, field: &str) -> String {
    match refusal(outcome) {
        Refusal::Faults(faults) if faults.iter().any(|fault| fault.field == field) => faults[0].sentence.clone(),
        other => panic!("no fault of {field}: {other:?}"),
    }
}

// The clock of a step -------------------------------------------------------------------------------------------------

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_reminds_then_escalates_then_ends_by_time() {
    let world = lab().await;
    let id = world.asks_lab("bench").await;
    assert_eq!(world.asked(id).await, ["mara.voss:self"]);
    world.hours(2).await;
    assert!(world.untold("mara.voss").await.is_empty(), "not yet");
    world.hours(1).await;
    world.turn().await;
    assert_eq!(world.untold("mara.voss").await, ["reminder"], "once");
    world.hours(3).await;
    assert_eq!(world.untold("mara.voss").await, ["reminder", "reminder"]);
    world.hours(2).await;
    assert_eq!(world.asked(id).await, ["mara.voss:self", "priya.raman:escalation"], "the manager is asked already, so it is the manager's manager");
    assert_eq!(world.untold("priya.raman").await, ["escalation"]);
    let left = world.due(id).await.0.unwrap() - world.now();
    assert!((Duration::minutes(239)..=Duration::hours(4)).contains(&left), "{left}");
    world.hours(3).await;
    assert_eq!(world.untold("priya.raman").await, ["reminder", "escalation"], "the count begins anew");
    world.hours(1).await;
    assert_eq!(world.status(id).await, "timed_out");
    assert_eq!(world.untold("bo.lind").await, ["closed"]);
    let kinds = world.history(id.0).await;
    assert_eq!(
        kinds,
        ["request.submitted", "request.step_opened", "request.reminded", "request.reminded", "request.escalated", "request.reminded", "request.timed_out"]
    );
    assert!(matches!(refusal(world.answer("priya.raman", id, YES).await), Refusal::Closed("timed_out")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_escalated_to_decides_as_that_and_it_is_in_every_record() {
    let world = lab().await;
    let id = world.asks_lab("bench").await;
    world.hours(8).await;
    assert_eq!(world.answer("priya.raman", id, YES).await.unwrap().status, RequestStatus::Approved);
    assert_eq!(world.answers(id).await, ["priya.raman escalation"]);
    let acting: String = world.one("select data->>'acting_as' from countersign.audit_event where kind = 'approval.given'").await;
    assert_eq!(acting, "escalation");
    let csv = crate::export::taken(&world, crate::export::taking(countersign::service::export::File::Approvals)).await;
    assert!(csv.lines().any(|line| line.contains("escalation") && line.contains("approve")), "{csv}");
    world.turn().await;
    assert_eq!(world.grant(id).await.1, "active");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_without_escalation_ends_when_its_limit_passes_and_one_without_limit_waits() {
    let world = lab().await;
    let (id, waits) = (world.asks_lab("vault").await, world.asks_lab_as("yusuf.demir", "vault").await);
    world.answer("mara.voss", waits, YES).await.unwrap();
    world.hours(7).await;
    assert_eq!(world.status(id).await, "pending");
    world.hours(1).await;
    assert_eq!((world.status(id).await.as_str(), world.status(waits).await.as_str()), ("timed_out", "pending"));
    world.hours(24 * 365).await;
    assert_eq!(world.status(waits).await, "pending");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_was_away_reminds_once_and_gives_the_escalation_its_time() {
    let world = lab().await;
    let id = world.asks_lab("bench").await;
    world.hours(7).await;
    assert_eq!(world.untold("mara.voss").await, ["reminder"], "of two that were missed, one");
    world.hours(40).await;
    assert_eq!(world.status(id).await, "pending");
    assert_eq!(world.asked(id).await.len(), 2);
    world.hours(4).await;
    assert_eq!(world.status(id).await, "timed_out");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_directory_is_silent_nothing_escalates_and_nothing_else_waits_for_it() {
    let faulty = crate::faulty::Faulty::start().await;
    let world = World::behind(&faulty).await;
    world.apply(CATALOG).await;
    let (id, other) = (world.asks_lab("bench").await, world.asks_lab("vault").await);
    faulty.down(true);
    world.advance(Duration::hours(8)).await;
    // Reading the directory fails too; what is due otherwise is done.
    _ = countersign::worker::step::turn(&world.ctx).await;
    assert_eq!(world.status(other).await, "timed_out");
    assert_eq!((world.status(id).await.as_str(), world.asked(id).await.len()), ("pending", 1));
    faulty.down(false);
    world.turn().await;
    assert_eq!(world.asked(id).await.len(), 2);
}

// Questions -----------------------------------------------------------------------------------------------------------

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_question_stops_the_clock_and_the_answer_lets_it_go_on() {
    let world = lab().await;
    let id = world.asks_lab("bench").await;
    world.hours(2).await;
    question::ask(&world.ctx, &world.by("mara.voss").await, id, " Which rows? ", Some(1)).await.unwrap();
    assert_eq!(world.status(id).await, "needs_info");
    let (due, left, remind) = world.due(id).await;
    assert_eq!(due, None);
    let ends = remind.unwrap() - world.now();
    assert!((Duration::minutes(479)..=Duration::hours(8)).contains(&ends), "the question has as long as the step: {ends}");
    assert!((6 * HOUR - 60..=6 * HOUR).contains(&left.unwrap()), "{left:?}");
    assert_eq!(world.untold("bo.lind").await, ["question"]);
    world.hours(7).await;
    assert_eq!(world.status(id).await, "needs_info", "nobody is timed out while it waits");
    assert!(world.untold("mara.voss").await.is_empty(), "nor reminded");
    assert_eq!(refusal(world.answer("mara.voss", id, YES).await), Refusal::QuestionOpen);
    assert_eq!(refusal(question::ask(&world.ctx, &world.by("mara.voss").await, id, "And?", None).await), Refusal::QuestionOpen);
    question::answer(&world.ctx, &world.by("bo.lind").await, id, "Those of case 4711.").await.unwrap();
    let (due, left, remind) = world.due(id).await;
    let (due, remind) = (due.unwrap() - world.now(), remind.unwrap() - world.now());
    assert!((Duration::minutes(359)..=Duration::hours(6)).contains(&due), "{due}");
    assert!((Duration::minutes(59)..=Duration::hours(1)).contains(&remind), "{remind}");
    assert_eq!((left, world.status(id).await.as_str()), (None, "pending"));
    assert_eq!(world.untold("mara.voss").await, ["answer"]);
    assert_eq!(refusal(question::answer(&world.ctx, &world.by("bo.lind").await, id, "Again.").await), Refusal::NoQuestion);
    assert_eq!(world.answer("mara.voss", id, YES).await.unwrap().status, RequestStatus::Approved);
    let kinds = world.history(id.0).await;
    assert_eq!(kinds[2..5], ["request.question_asked", "request.question_answered", "approval.given"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_a_question_waits_it_can_be_denied_and_withdrawn() {
    let world = lab().await;
    for how in ["deny", "withdraw"] {
        let id = world.asks_lab("bench").await;
        question::ask(&world.ctx, &world.by("mara.voss").await, id, "Why?", None).await.unwrap();
        if how == "deny" {
            assert_eq!(world.answer("mara.voss", id, Answer::Deny).await.unwrap().status, RequestStatus::Denied);
        } else {
            withdraw(&world.ctx, &world.by("bo.lind").await, id, None).await.unwrap();
        }
        let open: bool =
            sqlx::query_scalar("select step_left_s is null and step_due_at is null and closed_at is not null from countersign.request where id = $1")
                .bind(id.0)
                .fetch_one(&world.root)
                .await
                .unwrap();
        assert!(open, "{how}");
        assert!(matches!(refusal(question::answer(&world.ctx, &world.by("bo.lind").await, id, "Because.").await), Refusal::Closed(_)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_who_could_decide_asks_and_only_who_asked_for_it_answers() {
    let world = lab().await;
    let id = world.asks_lab("vault").await;
    let ask_as = async |who: &str| question::ask(&world.ctx, &world.by(who).await, id, "Why?", None).await;
    assert_eq!(refusal(ask_as("bo.lind").await), Refusal::OwnRequest);
    assert_eq!(refusal(ask_as("kofi.asante").await), Refusal::NotYet);
    assert_eq!(refusal(ask_as("wei.zhang").await), Refusal::NotAsked, "an auditor reads, and does nothing");
    assert!(matches!(ask_as("liam.byrne").await, Err(ServiceError::Missing)));
    assert!(matches!(ask_as("arjun.mehta").await, Err(ServiceError::Missing)));
    assert_eq!(refusal(question::ask(&world.ctx, &world.by("mara.voss").await, id, "Why?", Some(2)).await), Refusal::MovedOn);
    ask_as("mara.voss").await.unwrap();
    let answer_as = async |who: &str| question::answer(&world.ctx, &world.by(who).await, id, "Because.").await;
    assert_eq!(refusal(answer_as("mara.voss").await), Refusal::NotParty);
    assert_eq!(refusal(answer_as("wei.zhang").await), Refusal::NotParty);
    assert!(matches!(answer_as("liam.byrne").await, Err(ServiceError::Missing)));
    answer_as("bo.lind").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn texts_that_are_empty_huge_or_hostile_are_refused_and_change_nothing() {
    let world = lab().await;
    let id = world.asks_lab("bench").await;
    let before = world.history(id.0).await;
    let (mara, bo, noor) = (world.by("mara.voss").await, world.by("bo.lind").await, world.person("noor.rahman").await);
    let huge = "x".repeat(4_001);
    for text in ["", "   \n", huge.as_str(), "a\0b", "\u{202e}evil", "\u{1b}[31m"] {
        faulty(question::ask(&world.ctx, &mara, id, text, None).await, "question");
        faulty(reassign::reassign(&world.ctx, &mara, id, Some(noor), text, None).await, "reason");
        faulty(question::answer(&world.ctx, &bo, id, text).await, "answer");
    }
    assert_eq!(world.history(id.0).await, before);
    let markup = "<script>alert(1)</script> '; drop table request; --";
    question::ask(&world.ctx, &mara, id, markup, None).await.unwrap();
    let kept: String = world.one("select question from countersign.request_question").await;
    assert_eq!(kept, markup);
}

// Handing on ----------------------------------------------------------------------------------------------------------

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_asked_hands_their_place_on_and_has_it_no_more() {
    let world = lab().await;
    let id = world.asks_lab("bench").await;
    let name = reassign::reassign(&world.ctx, &world.by("mara.voss").await, id, Some(world.person("noor.rahman").await), "I am off to the fair.", Some(1))
        .await
        .unwrap();
    assert_eq!(name, "Noor Rahman");
    assert_eq!(world.asked(id).await, ["noor.rahman:reassigned for mara.voss"]);
    assert_eq!(world.untold("noor.rahman").await, ["reassigned"]);
    assert_eq!(refusal(world.answer("mara.voss", id, YES).await), Refusal::NoLongerAsked);
    assert_eq!(world.answer("noor.rahman", id, YES).await.unwrap().status, RequestStatus::Approved);
    assert_eq!(world.answers(id).await, ["noor.rahman reassigned"]);
    assert!(world.history(id.0).await.contains(&"approval.reassigned".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_place_goes_to_nobody_who_may_not_have_it() {
    let world = lab().await;
    let (bench, vault) = (world.asks_lab("bench").await, world.asks_lab("vault").await);
    let hand = async |who: &str, id: RequestId, to: Option<&str>| {
        let to = match to {
            Some(to) => Some(world.person(to).await),
            None => None,
        };
        reassign::reassign(&world.ctx, &world.by(who).await, id, to, "Busy.", None).await
    };
    assert_eq!(refusal(hand("mara.voss", vault, Some("noor.rahman")).await), Refusal::NotReassignable, "its procedure keeps who is asked");
    assert_eq!(refusal(hand("mara.voss", bench, Some("bo.lind")).await), Refusal::ReassignToOwn);
    assert_eq!(refusal(hand("mara.voss", bench, Some("mara.voss")).await), Refusal::AskedAlready);
    assert!(faulty(hand("mara.voss", bench, Some("oscar.nilsen")).await, "to").contains("not active"));
    faulty(hand("mara.voss", bench, None).await, "to");
    faulty(reassign::reassign(&world.ctx, &world.by("mara.voss").await, bench, Some(PersonId(Uuid::nil())), "Busy.", None).await, "to");
    assert_eq!(refusal(hand("bo.lind", bench, Some("noor.rahman")).await), Refusal::OwnRequest);
    assert_eq!(refusal(hand("wei.zhang", bench, Some("noor.rahman")).await), Refusal::NotAsked);
    assert!(matches!(hand("liam.byrne", bench, Some("noor.rahman")).await, Err(ServiceError::Missing)));
    hand("mara.voss", bench, Some("noor.rahman")).await.unwrap();
    assert_eq!(refusal(hand("noor.rahman", bench, Some("mara.voss")).await), Refusal::AskedAlready, "it does not go back and forth");
    assert_eq!(refusal(hand("mara.voss", bench, Some("ben.adler")).await), Refusal::NoLongerAsked);
}

// Standing in ---------------------------------------------------------------------------------------------------------

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delegate_is_asked_besides_and_whoever_answers_first_closes_the_others_entry() {
    let world = lab().await;
    world.away("mara.voss", "noor.rahman", 48).await.unwrap();
    assert_eq!(world.untold("noor.rahman").await, ["stand_in"]);
    for decides in ["noor.rahman", "mara.voss"] {
        let id = world.asks_lab("bench").await;
        assert_eq!(world.asked(id).await, ["mara.voss:self", "noor.rahman:delegate for mara.voss"]);
        assert_eq!(world.answer(decides, id, YES).await.unwrap().status, RequestStatus::Approved);
        let mara = world.person("mara.voss").await;
        let as_what = if decides == "mara.voss" { "self".to_owned() } else { format!("delegate_of:{mara}") };
        assert_eq!(world.answers(id).await, [format!("{decides} {as_what}")]);
        assert!(world.asked(id).await.is_empty());
        let other = if decides == "mara.voss" { "noor.rahman" } else { "mara.voss" };
        assert!(matches!(refusal(world.answer(other, id, YES).await), Refusal::Closed("approved")));
        let given: String = sqlx::query_scalar("select data->>'acting_as' from countersign.audit_event where request_id = $1 and kind = 'approval.given'")
            .bind(id.0)
            .fetch_one(&world.root)
            .await
            .unwrap();
        assert_eq!(given, as_what);
        // The next one needs the role free again.
        world.turn().await;
        world.advance(Duration::hours(2)).await;
        world.turn().await;
    }
    let csv = crate::export::taken(&world, crate::export::taking(countersign::service::export::File::Approvals)).await;
    assert!(csv.contains("delegate_of:") && csv.contains("noor.rahman@"), "{csv}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delegate_and_who_they_stand_in_for_count_once() {
    let world = lab().await;
    world.away("kofi.asante", "noor.rahman", 48).await.unwrap();
    let id = world.asks_lab("vault").await;
    world.answer("mara.voss", id, YES).await.unwrap();
    assert_eq!(world.asked(id).await, ["freya.holm:self", "kofi.asante:self", "lucia.ferri:self", "noor.rahman:delegate for kofi.asante"]);
    assert_eq!(world.answer("noor.rahman", id, YES).await.unwrap().status, RequestStatus::Pending);
    assert_eq!(world.asked(id).await, ["freya.holm:self", "lucia.ferri:self"]);
    assert_eq!(refusal(world.answer("kofi.asante", id, YES).await), Refusal::PlaceTaken);
    assert_eq!(world.answer("freya.holm", id, YES).await.unwrap().status, RequestStatus::Approved);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delegation_is_one_hop_and_knows_no_circle() {
    let world = lab().await;
    world.away("mara.voss", "noor.rahman", 48).await.unwrap();
    world.away("noor.rahman", "mara.voss", 48).await.unwrap();
    let (marasown, noorsown) = (world.asks_lab("bench").await, world.asks_lab("closet").await);
    assert_eq!(world.asked(marasown).await, ["mara.voss:self", "noor.rahman:delegate for mara.voss"]);
    assert_eq!(world.asked(noorsown).await, ["mara.voss:delegate for noor.rahman", "noor.rahman:self"]);
    // Noor hands nothing further that came to her as a stand-in.
    let elsewhere = world.away("noor.rahman", "ben.adler", 48).await;
    assert!(faulty(elsewhere, "from").contains("Mara Voss stands in for you"));
    assert_eq!(world.asked(marasown).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_is_assigned_while_it_lasts_comes_to_the_delegate() {
    let world = lab().await;
    let before = world.asks_lab("bench").await;
    let (from, until) = (world.now() + Duration::hours(1), world.now() + Duration::hours(5));
    let away = Away { delegate: Some(world.person("noor.rahman").await), from: Some(from), until: Some(until), reason: Some("Dentist.".into()) };
    delegate(&world.ctx, &world.by("mara.voss").await, &away).await.unwrap();
    let early = world.asks_lab_as("yusuf.demir", "bench").await;
    world.hours(2).await;
    let during = world.asks_lab_as("elif.aydin", "bench").await;
    assert_eq!((world.asked(before).await.len(), world.asked(early).await.len(), world.asked(during).await.len()), (1, 1, 2));
    world.hours(4).await;
    assert_eq!(world.asked(during).await, ["mara.voss:self"], "its time is over, and so is the delegate's part");
    assert_eq!(refusal(world.answer("noor.rahman", during, YES).await), Refusal::NoLongerAsked);
    let after = world.asks_lab("closet").await;
    assert_eq!(world.asked(after).await.len(), 1);
    world.answer("mara.voss", during, YES).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delegate_decides_no_more_the_moment_the_delegation_is_over() {
    let world = lab().await;
    world.away("mara.voss", "noor.rahman", 2).await.unwrap();
    let id = world.asks_lab("bench").await;
    // No worker comes by in between.
    world.advance(Duration::hours(2)).await;
    assert_eq!(refusal(world.answer("noor.rahman", id, YES).await), Refusal::NoLongerAsked);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delegation_is_ended_early_by_either_and_by_nobody_else() {
    let world = lab().await;
    for ends in ["mara.voss", "noor.rahman"] {
        let delegation = world.away("mara.voss", "noor.rahman", 48).await.unwrap();
        let id = world.asks_lab("bench").await;
        for other in ["bo.lind", "sofia.marin", "wei.zhang"] {
            assert!(matches!(delegate::end(&world.ctx, &world.by(other).await, delegation).await, Err(ServiceError::Missing)), "{other}");
        }
        delegate::end(&world.ctx, &world.by(ends).await, delegation).await.unwrap();
        assert_eq!(world.asked(id).await, ["mara.voss:self"]);
        assert_eq!(refusal(delegate::end(&world.ctx, &world.by(ends).await, delegation).await), Refusal::DelegationOver);
        withdraw(&world.ctx, &world.by("bo.lind").await, id, None).await.unwrap();
    }
    let told: i64 = world.one("select count(*) from countersign.audit_event where kind in ('delegation.created', 'delegation.ended')").await;
    assert_eq!(told, 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requester_and_beneficiary_never_stand_in_for_their_approver() {
    let world = lab().await;
    world.away("mara.voss", "bo.lind", 48).await.unwrap();
    let id = world.asks_lab("bench").await;
    assert_eq!(world.asked(id).await, ["mara.voss:self"]);
    assert_eq!(refusal(world.answer("bo.lind", id, YES).await), Refusal::OwnRequest);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delegation_that_makes_no_sense_is_refused_with_what_to_do() {
    let world = lab().await;
    let by = world.by("mara.voss").await;
    let (now, noor) = (world.now(), world.person("noor.rahman").await);
    let day = |days: i64| Some(now + Duration::days(days));
    let away = |who: Option<PersonId>, from, until| Away { delegate: who, from, until, reason: None };
    for (field, away) in [
        ("delegate", away(None, None, day(1))),
        ("delegate", away(Some(by.person), None, day(1))),
        ("delegate", away(Some(PersonId(Uuid::nil())), None, day(1))),
        ("delegate", away(Some(world.person("oscar.nilsen").await), None, day(1))),
        ("until", away(Some(noor), None, None)),
        ("until", away(Some(noor), None, day(-1))),
        ("until", away(Some(noor), day(3), day(2))),
        ("until", away(Some(noor), None, day(400))),
        ("until", away(Some(noor), None, Some(DateTime::<Utc>::MAX_UTC))),
        ("from", away(Some(noor), day(-2), day(2))),
        ("reason", Away { reason: Some("x".repeat(4_001)), ..away(Some(noor), None, day(1)) }),
        ("reason", Away { reason: Some("a\0b".into()), ..away(Some(noor), None, day(1)) }),
    ] {
        faulty(delegate(&world.ctx, &by, &away).await, field);
    }
    assert_eq!(world.one::<i64>("select count(*) from countersign.delegation").await, 0);
    // Two at once: one of them.
    let two = tokio::join!(world.away("mara.voss", "noor.rahman", 5), world.away("mara.voss", "ben.adler", 5));
    assert!(two.0.is_ok() != two.1.is_ok(), "{two:?}");
}

// Nudging -------------------------------------------------------------------------------------------------------------

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_requester_nudges_once_in_four_hours_and_is_told_when_again() {
    let world = lab().await;
    let id = world.asks_lab("bench").await;
    let nudged = async |who: &str| nudge::nudge(&world.ctx, &world.by(who).await, id).await;
    let again = nudged("bo.lind").await.unwrap();
    assert!((again - world.now() - Duration::hours(4)).abs() < Duration::minutes(1));
    assert_eq!(world.untold("mara.voss").await, ["nudge"]);
    world.advance(Duration::hours(2)).await;
    let Refusal::NudgedLately(left) = refusal(nudged("bo.lind").await) else { panic!("nudged again") };
    assert!((HOUR..=2 * HOUR).contains(&left.0), "{left}");
    world.advance(Duration::hours(2)).await;
    nudged("bo.lind").await.unwrap();
    assert_eq!(refusal(nudged("mara.voss").await), Refusal::NotParty);
    assert!(matches!(nudged("liam.byrne").await, Err(ServiceError::Missing)));
    world.answer("mara.voss", id, YES).await.unwrap();
    assert_eq!(refusal(nudged("bo.lind").await), Refusal::Closed("approved"));
    let kinds = world.history(id.0).await;
    assert_eq!(kinds.iter().filter(|kind| *kind == "request.nudged").count(), 2);
}

// Who left ------------------------------------------------------------------------------------------------------------

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_an_approver_leaves_the_next_source_of_their_slot_is_asked() {
    let world = lab().await;
    let id = world.asks_lab("bench").await;
    world.leaves("mara.voss").await;
    assert_eq!(world.asked(id).await, ["arjun.mehta:fallback"]);
    assert_eq!(world.untold("arjun.mehta").await, ["fallback"]);
    assert!(world.history(id.0).await.contains(&"request.fallback_asked".to_owned()));
    assert_eq!(refusal(world.answer("mara.voss", id, YES).await), Refusal::NotActive);
    world.answer("arjun.mehta", id, YES).await.unwrap();
    assert_eq!(world.answers(id).await, ["arjun.mehta fallback"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sources_are_asked_one_after_the_other_until_there_are_enough() {
    let world = lab().await;
    let id = world.asks_lab("vault").await;
    world.answer("mara.voss", id, YES).await.unwrap();
    world.leaves("freya.holm").await;
    assert_eq!(world.asked(id).await, ["kofi.asante:self", "lucia.ferri:self"], "two are enough");
    world.leaves("kofi.asante").await;
    assert_eq!(world.asked(id).await, ["arjun.mehta:fallback", "lucia.ferri:self"]);
    world.leaves("lucia.ferri").await;
    assert_eq!(world.asked(id).await, ["arjun.mehta:fallback", "ravi.kapoor:fallback"]);
    world.leaves("arjun.mehta").await;
    assert_eq!(world.status(id).await, "withdrawn", "nobody is left who could approve with Ravi");
    let reason: String = world.one("select data->>'reason' from countersign.audit_event where kind = 'request.closed'").await;
    assert!(reason.contains("nobody is left who could approve step 2"), "{reason}");
    assert_eq!(world.untold("bo.lind").await, ["closed"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_nobody_is_left_it_escalates_and_without_an_escalation_it_is_closed() {
    let world = lab().await;
    let (bench, closet) = (world.asks_lab("bench").await, world.asks_lab("closet").await);
    world.leaves("arjun.mehta").await;
    world.leaves("mara.voss").await;
    assert_eq!(world.asked(bench).await, ["priya.raman:escalation"], "before its time, for nobody else is there");
    world.leaves("noor.rahman").await;
    assert_eq!(world.status(closet).await, "withdrawn");
    world.answer("priya.raman", bench, YES).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_that_opens_asks_nobody_who_left_since_it_was_asked_for() {
    let world = lab().await;
    let id = world.asks_lab("vault").await;
    for gone in ["kofi.asante", "lucia.ferri"] {
        world.leaves(gone).await;
    }
    assert_eq!(world.asked(id).await, ["mara.voss:self"]);
    world.answer("mara.voss", id, YES).await.unwrap();
    assert_eq!(world.asked(id).await, ["freya.holm:self"]);
    world.turn().await;
    assert_eq!(world.asked(id).await, ["arjun.mehta:fallback", "freya.holm:self"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delegate_who_left_is_asked_no_more_and_one_whose_principal_left_neither() {
    let world = lab().await;
    world.away("mara.voss", "noor.rahman", 48).await.unwrap();
    let (id, other) = (world.asks_lab("bench").await, world.asks_lab_as("yusuf.demir", "bench").await);
    world.leaves("noor.rahman").await;
    assert_eq!(world.asked(id).await, ["mara.voss:self"]);
    world.away("elif.aydin", "ben.adler", 1).await.unwrap();
    world.leaves("mara.voss").await;
    for id in [id, other] {
        assert_eq!(world.asked(id).await, ["arjun.mehta:fallback"]);
    }
}

// What is told --------------------------------------------------------------------------------------------------------

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_told_is_put_aside_by_whom_it_was_told_and_by_nobody_else() {
    let world = lab().await;
    let id = world.asks_lab("bench").await;
    question::ask(&world.ctx, &world.by("mara.voss").await, id, "Why?", None).await.unwrap();
    let (bo, liam) = (world.by("bo.lind").await, world.by("liam.byrne").await);
    let notices = told::unseen(&world.ctx, &bo, 10).await.unwrap();
    assert_eq!((notices.len(), notices[0].request_id), (1, Some(id.0)));
    assert!(matches!(told::put_aside(&world.ctx, &liam, Some(notices[0].id)).await, Err(ServiceError::Missing)));
    told::put_aside(&world.ctx, &liam, None).await.unwrap();
    assert_eq!(world.untold("bo.lind").await.len(), 1);
    for _ in 0..2 {
        told::put_aside(&world.ctx, &bo, Some(notices[0].id)).await.unwrap();
    }
    assert!(world.untold("bo.lind").await.is_empty());
}

// Races ---------------------------------------------------------------------------------------------------------------

/// How often each race is run.
const TIMES: usize = 12;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_who_decide_at_once_one_is_second() {
    let world = lab().await;
    world.away("mara.voss", "noor.rahman", 1_000).await.unwrap();
    for round in 0..TIMES {
        let id = world.asks_lab("bench").await;
        // Delegate against who is away; in every other round one of them denies.
        let other = if round % 2 == 0 { YES } else { Answer::Deny };
        let (a, b) = tokio::join!(world.answer("mara.voss", id, YES), world.answer("noor.rahman", id, other));
        assert!(a.is_ok() != b.is_ok(), "{a:?} {b:?}");
        let lost = refusal(if a.is_ok() { b } else { a });
        assert!(matches!(lost, Refusal::Closed(_) | Refusal::PlaceTaken), "{lost:?}");
        assert_eq!(world.answers(id).await.len(), 1);
        world.turn().await;
        world.advance(Duration::hours(2)).await;
        world.turn().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_decision_and_a_withdrawal_at_once_end_as_one_of_them() {
    let world = lab().await;
    let bo = world.by("bo.lind").await;
    for _ in 0..TIMES {
        let id = world.asks_lab("bench").await;
        let (decided, withdrawn) = tokio::join!(world.answer("mara.voss", id, YES), withdraw(&world.ctx, &bo, id, None));
        assert!(decided.is_ok() != withdrawn.is_ok(), "{decided:?} {withdrawn:?}");
        assert_eq!(world.status(id).await, if decided.is_ok() { "approved" } else { "withdrawn" });
        let grants: i64 =
            sqlx::query_scalar("select count(*) from countersign.access_grant where request_id = $1").bind(id.0).fetch_one(&world.root).await.unwrap();
        assert_eq!(grants, i64::from(decided.is_ok()));
        world.turn().await;
        world.advance(Duration::hours(2)).await;
        world.turn().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_escalation_and_a_decision_at_once_leave_one_story() {
    let world = lab().await;
    for _ in 0..TIMES {
        let id = world.asks_lab("bench").await;
        world.advance(Duration::hours(8)).await;
        let (decided, one, two) = tokio::join!(world.answer("mara.voss", id, YES), tend::tend(&world.ctx, id), tend::tend(&world.ctx, id));
        assert_eq!(decided.unwrap().status, RequestStatus::Approved, "who was asked decides, escalated or not");
        assert!(!(one.unwrap() && two.unwrap()), "at most one of two workers escalates");
        let kinds = world.history(id.0).await;
        let at = |kind: &str| kinds.iter().position(|k| k == kind);
        assert!(at("request.escalated").is_none_or(|escalated| Some(escalated) < at("approval.given")), "{kinds:?}");
        assert_eq!(kinds.iter().filter(|kind| *kind == "request.approved").count(), 1);
        assert!(world.asked(id).await.is_empty());
        world.turn().await;
        world.advance(Duration::hours(2)).await;
        world.turn().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_question_handing_on_and_a_decision_at_once_leave_one_story() {
    let world = lab().await;
    let (mara, noor) = (world.by("mara.voss").await, world.person("noor.rahman").await);
    for _ in 0..TIMES {
        let id = world.asks_lab("bench").await;
        let (asked, handed, decided) = tokio::join!(
            question::ask(&world.ctx, &mara, id, "Why?", None),
            reassign::reassign(&world.ctx, &mara, id, Some(noor), "Busy.", None),
            world.answer("mara.voss", id, YES)
        );
        assert_eq!([asked.is_ok(), handed.is_ok(), decided.is_ok()].iter().filter(|done| **done).count(), 1, "{asked:?} {handed:?} {decided:?}");
        if decided.is_err() {
            withdraw(&world.ctx, &world.by("bo.lind").await, id, None).await.unwrap();
        }
        world.turn().await;
        world.advance(Duration::hours(2)).await;
        world.turn().await;
    }
}
