//! The whole life of one access, at the services.

use chrono::Duration;
use countersign::domain::approval::Answer;
use countersign::domain::event::{Actor, Channel};
use countersign::domain::grant::EndReason;
use countersign::domain::id::{GrantId, RequestId};
use countersign::domain::refusal::Refusal;
use countersign::domain::request::RequestStatus;
use countersign::domain::span::Seconds;
use countersign::service::answer::{AnswerDone, answer};
use countersign::service::api_token::{self, BadToken, NewToken, NotAuthenticated};
use countersign::service::ask::{AskFor, Asked, ask};
use countersign::service::end::end;
use countersign::service::error::ServiceError;
use countersign::service::rights::Groups;
use countersign::service::sync::sync;
use countersign::service::withdraw::withdraw;

use crate::world::World;

const YES: Answer = Answer::Approve { granted: None };
const HOUR: i64 = 3_600;

impl World {
    /// Asks for `seconds` of a role.
    pub async fn ask(&self, who: &str, application: &str, role: &str, seconds: i64) -> Result<Asked, ServiceError> {
        let ask_for = AskFor {
            duration: Some(Seconds(seconds)),
            justification: Some("The nightly totals are wrong and I have to see the rows.".into()),
            ticket_reference: Some("OV-4711".into()),
            ..AskFor::new(self.role(application, role).await)
        };
        ask(&self.ctx, &self.by(who).await, ask_for).await
    }

    /// Answers a request.
    pub async fn answer(&self, who: &str, request: RequestId, what: Answer) -> Result<AnswerDone, ServiceError> {
        answer(&self.ctx, &self.by(who).await, request, what, Some("Looked at it."), None).await
    }

    /// The grant of a request, and its status.
    pub async fn grant(&self, request: RequestId) -> (GrantId, String) {
        let (id, status): (uuid::Uuid, String) =
            sqlx::query_as("select id, status from countersign.access_grant where request_id = $1").bind(request.0).fetch_one(&self.root).await.unwrap();
        (GrantId(id), status)
    }
}

fn refusal<T: std::fmt::Debug>(outcome: Result<T, ServiceError>) -> Refusal {
    match outcome {
        Err(ServiceError::Refused(refusal)) => refusal,
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn access_is_asked_for_approved_given_and_taken_away_when_its_time_is_up() {
    let world = World::new().await;
    let asked = world.ask("bo.lind", "orders-db", "writer", 4 * HOUR).await.unwrap();
    assert_eq!(asked.status, RequestStatus::Pending);
    assert!(!world.is_member("bo.lind", "orders-db-writers").await);

    let first = world.answer("mara.voss", asked.id, YES).await.unwrap();
    assert_eq!((first.status, first.step_no), (RequestStatus::Pending, Some(2)));
    let second = world.answer("kofi.asante", asked.id, YES).await.unwrap();
    assert_eq!((second.status, second.step_no), (RequestStatus::Pending, Some(2)), "the second step needs two");
    let third = world.answer("lucia.ferri", asked.id, Answer::Approve { granted: Some(Seconds(2 * HOUR)) }).await.unwrap();
    assert_eq!(third.status, RequestStatus::Approved);

    world.turn().await;
    assert_eq!(world.grant(asked.id).await.1, "active");
    assert!(world.is_member("bo.lind", "orders-db-writers").await);

    world.advance(Duration::seconds(2 * HOUR - 30)).await;
    world.turn().await;
    assert!(world.is_member("bo.lind", "orders-db-writers").await, "a lease lasts to its end");
    world.advance(Duration::seconds(31)).await;
    world.turn().await;
    assert_eq!(world.grant(asked.id).await.1, "ended");
    assert!(!world.is_member("bo.lind", "orders-db-writers").await);

    let kinds = world.history(asked.id.0).await;
    assert_eq!(
        kinds,
        [
            "request.submitted",
            "request.step_opened",
            "approval.given",
            "request.step_opened",
            "approval.given",
            "approval.given",
            "request.approved",
            "grant.created",
            "grant.provisioning_started",
            "grant.provisioned",
            "grant.activated",
            "grant.expired",
            "grant.ended",
        ]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_answers_their_own_request_and_nobody_who_was_not_asked() {
    let world = World::new().await;
    let asked = world.ask("bo.lind", "orders-db", "writer", HOUR).await.unwrap();
    assert_eq!(refusal(world.answer("bo.lind", asked.id, YES).await), Refusal::OwnRequest);
    assert!(matches!(world.answer("liam.byrne", asked.id, YES).await, Err(ServiceError::Missing)));
    assert_eq!(refusal(world.answer("kofi.asante", asked.id, YES).await), Refusal::NotYet, "database administrators are asked at the second step only");
    world.answer("mara.voss", asked.id, YES).await.unwrap();
    assert!(matches!(refusal(world.answer("mara.voss", asked.id, YES).await), Refusal::MovedOn | Refusal::AlreadyDecided));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_denial_ends_it_and_a_withdrawal_too() {
    let world = World::new().await;
    let asked = world.ask("bo.lind", "orders-db", "reader", HOUR).await.unwrap();
    let done = world.answer("mara.voss", asked.id, Answer::Deny).await.unwrap();
    assert_eq!(done.status, RequestStatus::Denied);
    assert_eq!(refusal(world.answer("mara.voss", asked.id, YES).await), Refusal::Closed("denied"));

    let again = world.ask("bo.lind", "orders-db", "reader", HOUR).await.unwrap();
    assert_eq!(refusal(world.ask("bo.lind", "orders-db", "reader", HOUR).await), Refusal::AlreadyOpen);
    withdraw(&world.ctx, &world.by("bo.lind").await, again.id, Some("Not needed any more.")).await.unwrap();
    assert_eq!(refusal(world.answer("mara.voss", again.id, YES).await), Refusal::Closed("withdrawn"));
    world.turn().await;
    assert!(!world.is_member("bo.lind", "orders-db-readers").await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whom_the_policy_refuses_gets_a_trace_and_asks_nobody() {
    let world = World::new().await;
    let asked = world.ask("bo.lind", "ledger", "accountant", HOUR).await.unwrap();
    assert_eq!(asked.status, RequestStatus::Refused);
    let asked_people: i64 = world.one("select count(*) from countersign.assignment").await;
    assert_eq!(asked_people, 0);
    let trace: String = world.one("select trace from countersign.request").await;
    assert!(trace.contains("You must be in department Finance") && trace.contains("Data"), "{trace}");
    assert_eq!(world.history(asked.id.0).await, ["request.refused"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn access_can_be_returned_and_revoked() {
    let world = World::new().await;
    let asked = world.ask("bo.lind", "warehouse", "analyst", HOUR).await.unwrap();
    assert_eq!(asked.status, RequestStatus::Approved, "{}", asked.deciding_rule);
    world.turn().await;
    assert!(world.is_member("bo.lind", "warehouse-analysts").await);
    let (grant, _) = world.grant(asked.id).await;
    assert!(matches!(end(&world.ctx, &world.by("liam.byrne").await, grant, true, None).await, Err(ServiceError::Missing)));
    assert_eq!(end(&world.ctx, &world.by("bo.lind").await, grant, false, None).await.unwrap(), EndReason::Returned);
    assert_eq!(refusal(end(&world.ctx, &world.by("bo.lind").await, grant, false, None).await), Refusal::AlreadyEnded);
    world.turn().await;
    assert!(!world.is_member("bo.lind", "warehouse-analysts").await);

    let asked = world.ask("bo.lind", "warehouse", "analyst", HOUR).await.unwrap();
    world.turn().await;
    let (grant, _) = world.grant(asked.id).await;
    assert_eq!(end(&world.ctx, &world.by("mara.voss").await, grant, true, Some("Project is over.")).await.unwrap(), EndReason::Revoked);
    world.turn().await;
    assert_eq!(world.grant(asked.id).await.1, "ended");
    assert!(!world.is_member("bo.lind", "warehouse-analysts").await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_membership_that_was_there_before_is_never_taken_away() {
    let world = World::new().await;
    let asked = world.ask("yusuf.demir", "warehouse", "analyst", HOUR).await.unwrap();
    world.turn().await;
    assert_eq!(world.grant(asked.id).await.1, "active");
    world.advance(Duration::seconds(HOUR + 1)).await;
    world.turn().await;
    assert_eq!(world.grant(asked.id).await.1, "ended");
    assert!(world.is_member("yusuf.demir", "warehouse-analysts").await, "Countersign did not add it, so it does not remove it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_switched_off_comes_back_without_their_tokens() {
    let world = World::new().await;
    let new = NewToken {
        person: world.person("bo.lind").await,
        name: "nightly".into(),
        scopes: vec!["requests:read".into()],
        expires_at: world.now() + Duration::days(30),
    };
    let secret = api_token::create(&world.ctx, &Actor::System, Channel::Cli, &new).await.unwrap().secret;
    let groups = Groups::default();
    assert!(api_token::authenticate(&world.ctx, &groups, &secret).await.is_ok());
    world.set_active("bo.lind", false).await;
    sync(&world.ctx, "main").await.unwrap();
    world.set_active("bo.lind", true).await;
    sync(&world.ctx, "main").await.unwrap();
    assert_eq!(world.one::<String>("select status from countersign.person where user_name = 'bo.lind'").await, "active");
    let again = api_token::authenticate(&world.ctx, &groups, &secret).await;
    assert!(matches!(again, Err(NotAuthenticated::Bad(BadToken::Revoked))), "a token does not live again: {again:?}");
    let told: String = world.one("select string_agg(data->>'name', ',') from countersign.audit_event where kind = 'token.revoked'").await;
    assert_eq!(told, "nightly", "once");
}
