//! What Postgres refuses, whoever asks for it.
//!
//! One database with a complete life of an access in it, hardened as `config/harden.sql` does it, and statements that would each
//! undo a promise of the product. Every one is tried as the application, as the owner of the working tables and as the auditor;
//! those that go for the log also as the owner of the log. Each must be refused for a reason of its own (a statement that is merely
//! wrong proves nothing), and afterwards not a row, trigger, function or right may be different.

use chrono::Duration;
use countersign::domain::approval::Answer;
use countersign::domain::event::Channel;
use countersign::domain::request::RequestStatus;
use countersign::service::api_token::{self, NewToken};
use countersign::service::delegate::{Away, delegate};
use countersign::service::question;
use countersign::store::db;
use sqlx::{Connection, Executor, PgConnection};
use uuid::Uuid;

use crate::world::{World, superuser};

const YES: Answer = Answer::Approve { granted: None };
const HOUR: i64 = 3_600;
const EVERYBODY: &[&str] = &["countersign_app", "countersign_owner", "countersign_auditor"];
/// A digest of nothing.
const DIGEST: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// Ids of what happened in the database.
struct Past {
    /// Approved by three people, its grant active.
    done: Uuid,
    grant: Uuid,
    approval_event: i64,
    /// Its grant has ended.
    over: Uuid,
    ended: Uuid,
    /// Waits at its first step for the manager.
    open: Uuid,
    requester: Uuid,
    manager: Uuid,
    colleague: Uuid,
    /// A version with a procedure, and one that approves by itself.
    asks: Uuid,
    at_once: Uuid,
    role_at_once: Uuid,
    role_asks: Uuid,
}

/// What is tried, and what Postgres must say to the application.
struct Hostile {
    what: &'static str,
    by: &'static [&'static str],
    sql: String,
    says: &'static str,
}

async fn past(world: &World) -> Past {
    let over = world.ask("bo.lind", "warehouse", "analyst", HOUR).await.unwrap();
    assert_eq!(over.status, RequestStatus::Approved, "the policy approves at once");
    world.turn().await;
    world.advance(Duration::seconds(HOUR + 60)).await;
    world.turn().await;
    world.advance(Duration::seconds(60)).await;
    world.turn().await;
    let done = world.ask("bo.lind", "orders-db", "writer", 4 * HOUR).await.unwrap();
    for (who, status) in [("mara.voss", RequestStatus::Pending), ("kofi.asante", RequestStatus::Pending), ("lucia.ferri", RequestStatus::Approved)] {
        assert_eq!(world.answer(who, done.id, YES).await.unwrap().status, status);
    }
    world.turn().await;
    let open = world.ask("bo.lind", "orders-db", "reader", HOUR).await.unwrap();
    assert_eq!(open.status, RequestStatus::Pending);
    // Somebody asked about it and was answered; and whom it waits for is away from now on.
    let (bo, mara, liam) = (world.by("bo.lind").await, world.by("mara.voss").await, world.person("liam.byrne").await);
    question::ask(&world.ctx, &mara, open.id, "Which rows?", None).await.unwrap();
    question::answer(&world.ctx, &bo, open.id, "Those of case 4711.").await.unwrap();
    let away = Away { delegate: Some(liam), until: Some(world.now() + Duration::days(1)), ..Away::default() };
    delegate(&world.ctx, &mara, &away).await.unwrap();
    let (grant, status) = world.grant(done.id).await;
    let (ended, ended_status) = world.grant(over.id).await;
    assert_eq!((status.as_str(), ended_status.as_str()), ("active", "ended"));
    // Somebody has signed in once.
    sqlx::query("insert into countersign.identity values ('https://issuer.example', 'subject', $1, countersign.clock())")
        .bind(world.person("bo.lind").await.0)
        .execute(&world.root)
        .await
        .unwrap();
    // And has had a token, which was revoked.
    let bo = world.by("bo.lind").await;
    let new = NewToken { person: bo.person, name: "old".into(), scopes: vec!["events:read".into()], expires_at: world.now() + Duration::days(1) };
    let token = api_token::create(&world.ctx, &bo.actor(), Channel::Web, &new).await.unwrap();
    api_token::revoke(&world.ctx, &bo.actor(), false, Channel::Web, token.id).await.unwrap();
    let version = |request: Uuid| async move {
        sqlx::query_scalar("select policy_version_id from countersign.request where id = $1").bind(request).fetch_one(&world.root).await.unwrap()
    };
    Past {
        done: done.id.0,
        grant: grant.0,
        approval_event: world.one("select id from countersign.audit_event where kind = 'request.approved'").await,
        over: over.id.0,
        ended: ended.0,
        open: open.id.0,
        requester: world.person("bo.lind").await.0,
        manager: world.person("mara.voss").await.0,
        colleague: world.person("liam.byrne").await.0,
        asks: world.one("select v.id from access_policy_version v join access_policy p on p.id = v.policy_id where p.key = 'privileged-it'").await,
        at_once: version(over.id.0).await,
        role_at_once: world.role("warehouse", "analyst").await.0,
        role_asks: world.role("countersign", "administrator").await.0,
    }
}

/// An event that the application may write, of the kind and about the request.
fn event(kind: &str, request: Uuid) -> String {
    format!("insert into audit_event (kind, actor_kind, channel, request_id) values ('{kind}', 'system', 'system', '{request}');")
}

/// An event of the catalog.
fn applied() -> &'static str {
    "insert into audit_event (kind, actor_kind, channel) values ('catalog.applied', 'system', 'cli');"
}

/// A request written by hand, for the role that `version` governs by somebody who does not hold it.
fn request(id: Uuid, past: &Past, version: Uuid, decision: &str, status: &str, duration: &str) -> String {
    let (role, person) = if version == past.asks { (past.role_asks, past.colleague) } else { (past.role_at_once, past.requester) };
    request_of(id, (role, person), version, decision, status, duration)
}

/// The first step and slot that `version` asks for, as parts of the request written right before; none when it asks nobody.
fn parts(id: Uuid, version: Uuid) -> String {
    format!(
        "insert into request_step (request_id, step_no, name, procedure_version_id, procedure_step)
           select '{id}', 1, 'by hand', procedure_version_id, 1 from access_policy_version where id = '{version}' and procedure_version_id is not null;
         insert into request_slot (request_id, step_no, slot_no, approvals, procedure_slot, source, source_label)
           select request_id, 1, 1, 1, 1, 'manager', 'by hand' from request_step where request_id = '{id}';"
    )
}

/// A request written by hand.
fn request_of(id: Uuid, (role, person): (Uuid, Uuid), version: Uuid, decision: &str, status: &str, duration: &str) -> String {
    let step = if status == "pending" { "1, null" } else { "null, clock()" };
    format!(
        "insert into request (id, requester_id, beneficiary_id, role_id, application_id, status, steps, decision, deciding_rule, policy_version_id, inputs, inputs_digest, trace, ask_digest, duration_s, channel, created_at, distinct_people, step_no, closed_at)
         select '{id}', '{person}', '{person}', r.id, r.application_id, '{status}', 0, '{decision}', 'by hand', '{version}', '{{}}', '{DIGEST}', '[]', '{DIGEST}', {duration}, 'web', clock(), true, {step} from role r where r.id = '{role}';"
    )
}

/// A grant written by hand for `request`: on the approval `event`, of the membership `target`, lasting `duration` from `start`.
fn grant(request: Uuid, event: &str, target: &str, duration: &str, ends: &str) -> String {
    format!(
        "insert into access_grant (id, request_id, approval_event_id, beneficiary_id, role_id, application_id, target_id, status, approved_at, duration_s, starts_at, ends_at)
         select gen_random_uuid(), r.id, ({event}), r.beneficiary_id, r.role_id, r.application_id, ({target}), 'provisioning', clock(), {duration}, timestamptz '2026-03-01 00:00:00Z', {ends} from request r where r.id = '{request}';"
    )
}

/// An approval written by hand of the request's open step.
fn approval(request: Uuid, by: Uuid, step: i32, granted: &str) -> String {
    format!(
        "insert into approval (id, request_id, requester_id, beneficiary_id, step_no, slot_no, decided_by, verdict, granted_s, ask_digest, inputs_digest, channel, decided_at)
         select gen_random_uuid(), r.id, r.requester_id, r.beneficiary_id, {step}, 1, '{by}', 'approve', {granted}, r.ask_digest, '{DIGEST}', 'web', clock() from request r where r.id = '{request}';"
    )
}

const HOUR_LATER: &str = "timestamptz '2026-03-01 01:00:00Z'";

/// A grant by the rules, written by hand: what each forged one is a variation of.
fn by_the_rules(past: &Past) -> String {
    let id = Uuid::from_u128(77);
    let last = format!("select max(id) from audit_event where request_id = '{id}'");
    let target = format!("select target_id from access_grant where id = '{}'", past.ended);
    [
        request(id, past, past.at_once, "auto_approved", "approved", "3600"),
        event("request.auto_approved", id),
        grant(id, &last, &target, "3600", HOUR_LATER),
        event("grant.created", id),
    ]
    .concat()
}

#[allow(clippy::too_many_lines, reason = "a list")]
fn hostile(past: &Past) -> Vec<Hostile> {
    let mut all = Vec::new();
    let mut add = |what, sql: String, says| all.push(Hostile { what, by: EVERYBODY, sql, says });
    let denied = "permission denied";
    let (done, open, lease, ended) = (past.done, past.open, past.grant, past.ended);
    let id = Uuid::from_u128(77);
    let last = format!("select max(id) from audit_event where request_id = '{id}'");
    let own = format!("select target_id from access_grant where id = '{ended}'");
    let other = format!("select target_id from access_grant where id = '{lease}'");

    // The log.
    add(
        "an event with an id of one's choice",
        "insert into audit_event (id, kind, actor_kind, channel) overriding system value values (1, 'request.approved', 'system', 'system')".into(),
        denied,
    );
    add(
        "an event dated back",
        "insert into audit_event (occurred_at, kind, actor_kind, channel) values ('2020-01-01', 'request.approved', 'system', 'system')".into(),
        denied,
    );
    add(
        "an event of another transaction",
        "insert into audit_event (txid, kind, actor_kind, channel) values ('7', 'request.approved', 'system', 'system')".into(),
        denied,
    );
    add(
        "a person's event without the person",
        "insert into audit_event (kind, actor_kind, channel) values ('request.approved', 'person', 'web')".into(),
        "violates check constraint",
    );
    add("an event of no kind", "insert into audit_event (kind, actor_kind, channel) values ('approved', 'system', 'web')".into(), "violates check constraint");
    add("setting the log's counter back", "alter table audit_event alter id restart with 1".into(), "must be owner");
    add("setting the log's sequence back", "select setval('audit_event_id_seq', 1)".into(), denied);

    // Drift, tries and pauses.
    let dated = "clock(), gen_random_uuid()";
    add(
        "a drift without its event",
        format!(
            "insert into drift (id, directory, group_reference, person_reference, kind, detected_at, sweep_id) values (gen_random_uuid(), 'main', 'g', 'p', 'unexpected_member', {dated})"
        ),
        "no_change_without_event",
    );
    add(
        "a drift that was found another day",
        "insert into audit_event (kind, actor_kind, channel) values ('drift.found', 'system', 'system');
         insert into drift (id, directory, group_reference, person_reference, kind, detected_at, sweep_id)
         values (gen_random_uuid(), 'main', 'g', 'p', 'unexpected_member', clock() - interval '1 day', gen_random_uuid())"
            .into(),
        "noted_now",
    );
    add(
        "a try that was made another day",
        "insert into provisioning_attempt (id, target_id, action, method, idempotency_key, started_at, finished_at, result)
         select gen_random_uuid(), id, 'remove', 'idp_group', 'k', clock() - interval '1 day', clock() - interval '1 day', 'changed' from target limit 1"
            .into(),
        "noted_now",
    );
    add(
        "a member declared as having been there before, at a later look",
        "insert into audit_event (kind, actor_kind, channel) values ('group.released', 'system', 'system');
         insert into pre_existing_member (id, directory, group_reference, person_reference, noted_at) values (gen_random_uuid(), 'main', 'g', 'p', clock())"
            .into(),
        "no_change_without_event",
    );
    add(
        "a pause without its event",
        format!(
            "insert into directory_pause (id, directory, everything, reason, paused_by, paused_at) values (gen_random_uuid(), 'main', true, 'x', '{}', now())",
            past.manager
        ),
        "no_change_without_event",
    );
    add(
        "a member declared as having been there before, unnoticed",
        "insert into pre_existing_member (id, directory, group_reference, person_reference, noted_at) values (gen_random_uuid(), 'main', 'g', 'p', clock())"
            .into(),
        "no_change_without_event",
    );
    add(
        "a group that is believed again, unnoticed",
        "update managed_group set stopped_at = now(), stopped_why = 'many', stopped_people = 1".into(),
        "no_change_without_event",
    );
    add("a try told otherwise", "update provisioning_attempt set result = 'changed'".into(), denied);
    add("a try that never was removed", "delete from provisioning_attempt".into(), denied);

    // What people do while a request is open.
    let (requester, manager, colleague) = (past.requester, past.manager, past.colleague);
    let away = |who: Uuid, stands_in: Uuid, until: &str| {
        format!(
            "insert into delegation (id, person_id, delegate_id, starts_at, ends_at, created_at) values (gen_random_uuid(), '{who}', '{stands_in}', clock(), {until}, clock());"
        )
    };
    let told =
        |kind: &str, who: Uuid| format!("insert into audit_event (kind, actor_kind, channel, person_id) values ('{kind}', 'system', 'system', '{who}');");
    add(
        "somebody who stands in for themselves",
        away(manager, manager, "clock() + interval '1 day'") + &told("delegation.created", manager),
        "violates check constraint",
    );
    add(
        "a delegation that is over before it begins",
        away(manager, colleague, "timestamptz '2020-01-01Z'") + &told("delegation.created", manager),
        "violates check constraint",
    );
    add("a delegation that nobody is told of", away(manager, colleague, "clock() + interval '1 day'"), "no_change_without_event");
    add(
        "a delegation told of somebody else",
        away(manager, colleague, "clock() + interval '1 day'") + &told("delegation.created", colleague),
        "no_change_without_event",
    );
    add("another stand-in in an old delegation", format!("update delegation set delegate_id = '{colleague}'"), denied);
    add("a longer delegation", "update delegation set ends_at = ends_at + interval '1 year'".into(), denied);
    add("forgetting a delegation", "delete from delegation".into(), denied);
    let (proof, over, asks) = (past.approval_event, past.over, past.asks);
    add(
        "somebody who left without saying so",
        format!(
            "insert into leaver (id, person_id, status, detected_at, grants_at_detection, sla_hours, event_id, next_at) values (gen_random_uuid(), '{colleague}', 'gone', clock(), 0, 24, {proof}, clock())"
        ),
        "no_change_without_event",
    );
    add(
        "somebody who left another day",
        format!(
            "insert into leaver (id, person_id, status, detected_at, grants_at_detection, sla_hours, event_id, next_at) values (gen_random_uuid(), '{colleague}', 'gone', clock() - interval '1 day', 0, 24, {proof}, clock())"
        ),
        "noted_now",
    );
    let left = |who: Uuid| {
        told("person.changed", who)
            + &format!(
                "insert into leaver (id, person_id, status, detected_at, grants_at_detection, sla_hours, event_id, next_at) values (gen_random_uuid(), '{who}', 'gone', clock(), 0, 24, (select max(id) from audit_event where txid = pg_current_xact_id()), clock());"
            )
    };
    add("somebody who left and is active", left(colleague), "left_not_active");
    // Erasing: who it may happen to, and to what.
    let erased = |who: Uuid| told("person.erased", who) + &format!("select erase_person('{who}');");
    let disabled = |who: Uuid| format!("update person set status = 'disabled' where id = '{who}';");
    add("somebody erased who works here", erased(colleague), "erased_has_left");
    add("somebody called switched off, and erased", disabled(requester) + &erased(requester), "erased_has_left");
    add("somebody called a leaver, and erased at once", disabled(manager) + &left(manager) + &erased(manager), "erased_has_left");
    let aged = |what: &str, before: &str| {
        format!(
            "insert into audit_event (kind, actor_kind, channel, data) select 'retention.applied', 'system', 'system', jsonb_build_object('what', '{what}', 'before', {before});"
        )
    };
    for (what, erases) in [("requests", "erase_requests"), ("sign_ins", "erase_sign_ins"), ("notices", "forget_notices")] {
        let late = "date_trunc('second', now()) - interval '29 days'";
        add("erasing by age what is young", aged(what, late) + &format!("select {erases}({late}, 10)"), "erased_old_enough");
        let old = "timestamptz '2020-01-01Z'";
        add("erasing by age something else than said", aged("people", old) + &format!("select {erases}({old}, 10)"), "erased_with_event");
        add("erasing by age more than said", aged(what, old) + &format!("select {erases}(timestamptz '2021-01-01Z', 10)"), "erased_with_event");
    }
    add(
        "a lease told otherwise under an event that erases",
        aged("requests", "timestamptz '2020-01-01Z'") + &format!("update access_grant set last_error = 'none' where id = '{lease}'"),
        "no_change_without_event",
    );
    add("a rule that asks for something else", "update access_policy_condition set \"values\" = '{x}'".into(), denied);
    add(
        "a hold of another day",
        told("hold.placed", requester)
            + &format!("insert into legal_hold (id, person_id, reason, placed_at) values (gen_random_uuid(), '{requester}', 'x', clock() - interval '1 day')"),
        "noted_now",
    );
    add(
        "forgetting a hold",
        format!(
            "{}insert into legal_hold (id, person_id, reason, placed_at) values (gen_random_uuid(), '{requester}', 'x', clock()); delete from legal_hold",
            told("hold.placed", requester)
        ),
        denied,
    );
    add(
        "a hold lifted without saying so",
        format!(
            "{}insert into legal_hold (id, person_id, reason, placed_at) values ('{requester}', '{requester}', 'x', clock()); update legal_hold set lifted_at = clock() where id = '{requester}'",
            told("hold.placed", requester)
        ),
        "no_change_without_event",
    );
    add(
        "somebody who moved without saying so",
        format!(
            "insert into mover (id, person_id, attribute, old, new, changed_at, event_id) values (gen_random_uuid(), '{colleague}', 'department', '{{}}', '{{Data}}', clock(), {proof})"
        ),
        "no_change_without_event",
    );
    add(
        "eligibility lost without saying so",
        format!(
            "insert into eligibility_loss (id, grant_id, request_id, policy_version_id, rule, sentence, found_at) values (gen_random_uuid(), '{ended}', '{over}', '{asks}', 'by hand', 'By hand.', clock())"
        ),
        "no_change_without_event",
    );
    for (what, table) in [("forgetting who left", "leaver"), ("forgetting who moved", "mover"), ("forgetting who lost eligibility", "eligibility_loss")] {
        add(what, format!("truncate {table} cascade"), denied);
    }
    add("another question than was asked", "update request_question set question = 'Is that all right?'".into(), denied);
    add("forgetting a question", "delete from request_question".into(), denied);
    let seat = |who: Uuid, acting_as: &str| {
        format!(
            "insert into assignment (request_id, step_no, slot_no, person_id, assigned_at, open, acting_as) values ('{open}', 1, 1, '{who}', clock(), true, '{acting_as}');"
        )
    };
    add("asking somebody else without saying so", seat(colleague, "escalation"), "no_change_without_event");
    add("asking somebody as something that there is not", seat(colleague, "friend") + &event("request.escalated", open), "violates check constraint");
    add(
        "who is asked made a stand-in for somebody",
        format!("update assignment set acting_as = 'delegate', acting_for = '{colleague}' where request_id = '{open}'"),
        denied,
    );
    add(
        "a limit put off without saying so",
        format!("update request set step_due_at = step_due_at + interval '1 year' where id = '{open}'"),
        "no_change_without_event",
    );
    add(
        "a question without saying so",
        format!(
            "insert into request_question (id, request_id, step_no, asked_by, question, asked_at) values (gen_random_uuid(), '{open}', 1, '{manager}', 'Why?', clock())"
        ),
        "no_change_without_event",
    );
    add(
        "an approval while a question waits",
        format!(
            "update request set status = 'needs_info' where id = '{open}'; {} {}",
            event("request.question_asked", open),
            approval(open, manager, 1, "null") + &event("approval.given", open)
        ),
        "approval_of_open_step",
    );
    add(
        "the requester asked to approve, and approving",
        seat(requester, "delegate") + &approval(open, requester, 1, "null") + &event("approval.given", open),
        "approval_not_by_oneself",
    );

    // Grants without what has to come before them.
    let forged = |what: Vec<String>| what.concat();
    add(
        "a grant on no approval",
        grant(open, "select max(id) from audit_event where kind = 'request.submitted'", &other, "3600", HOUR_LATER),
        "grant_after_approval",
    );
    add("a grant on an event that is not there", grant(open, "select 999999999", &other, "3600", HOUR_LATER), "grant_after_approval");
    add("a grant on another request's approval", grant(open, &past.approval_event.to_string(), &other, "3600", HOUR_LATER), "grant_after_approval");
    add(
        "a grant of a request that still waits",
        forged(vec![
            event("request.approved", open),
            grant(open, &format!("select max(id) from audit_event where request_id = '{open}'"), &other, "3600", HOUR_LATER),
        ]),
        "grant_of_request",
    );
    add(
        "approving a request that nobody approved",
        forged(vec![
            format!("update request set status = 'approved', closed_at = clock(), step_no = null where id = '{open}';"),
            event("request.approved", open),
        ]),
        "request_after_every_slot",
    );
    add(
        "a grant with none of its approvals",
        forged(vec![
            request(id, past, past.asks, "needs_approval", "approved", "3600") + &parts(id, past.asks),
            event("request.approved", id),
            grant(id, &last, &own, "3600", HOUR_LATER),
        ]),
        "grant_after_every_slot",
    );
    add(
        "a policy that asks, made to approve by itself",
        forged(vec![
            request(id, past, past.asks, "auto_approved", "approved", "3600"),
            event("request.auto_approved", id),
            grant(id, &last, &own, "3600", HOUR_LATER),
        ]),
        "grant_after_decision",
    );
    add(
        "a policy that approves by itself, called a person's approval",
        forged(vec![
            request(id, past, past.at_once, "needs_approval", "approved", "3600"),
            event("request.approved", id),
            grant(id, &last, &own, "3600", HOUR_LATER),
        ]),
        "grant_after_decision",
    );
    let auto = |duration: &str| forged(vec![request(id, past, past.at_once, "auto_approved", "approved", duration), event("request.auto_approved", id)]);
    add("a grant of another membership than its role's", auto("3600") + &grant(id, &last, &other, "3600", HOUR_LATER), "grant_of_target");
    add("a grant for longer than approved", auto("3600") + &grant(id, &last, &own, "7200", "timestamptz '2026-03-01 02:00:00Z'"), "grant_duration");
    add("a grant that ends later than it lasts", auto("3600") + &grant(id, &last, &own, "3600", "timestamptz '2027-03-01'"), "grant_duration");
    add("a grant without end of what has one", auto("3600") + &grant(id, &last, &own, "null", "null"), "grant_duration");
    add(
        "a request for longer than the policy allows",
        auto("999999999") + &grant(id, &last, &own, "999999999", "timestamptz '2026-03-01Z' + make_interval(secs => 999999999)"),
        "grant_duration",
    );
    add("a request without end where the policy has one", auto("null") + &grant(id, &last, &own, "null", "null"), "grant_duration");
    add("a grant that ends before it begins", auto("3600") + &grant(id, &last, &own, "3600", "timestamptz '2026-02-01'"), "grant_duration");
    add(
        "a second grant of one request",
        grant(past.over, &format!("select approval_event_id from access_grant where id = '{ended}'"), &own, "3600", HOUR_LATER)
            + &event("grant.created", past.over),
        "access_grant_request_id_key",
    );
    // Asked for at once, for others, and what is owed for it.
    let urgent = |text: String| {
        text.replacen("step_no, closed_at)", "step_no, closed_at, emergency_reason)", 1).replacen(" from role r where", ", 'on fire' from role r where", 1)
    };
    add(
        "an emergency where the policy has no path for it",
        urgent(request(id, past, past.asks, "auto_approved", "approved", "3600"))
            + &event("request.auto_approved", id)
            + &grant(id, &last, &own, "3600", HOUR_LATER),
        "grant_after_decision",
    );
    add(
        "an emergency that owes nobody a review",
        urgent(request(id, past, past.at_once, "auto_approved", "approved", "3600"))
            + &event("request.auto_approved", id)
            + &grant(id, &last, &own, "3600", HOUR_LATER)
            + &event("grant.created", id),
        "emergency_owes_review",
    );
    add(
        "a second emergency while a review is owed",
        format!(
            "insert into emergency_review (request_id, beneficiary_id, due_at) values ('{done}', '{0}', clock()), ('{open}', '{0}', clock());",
            past.requester
        ),
        "emergency_review_owed",
    );
    add(
        "access for somebody else where the policy lets nobody ask for others",
        request(id, past, past.at_once, "auto_approved", "approved", "3600").replacen(
            &format!("'{}', '{}'", past.requester, past.requester),
            &format!("'{}', '{}'", past.colleague, past.requester),
            1,
        ) + &event("request.auto_approved", id)
            + &grant(id, &last, &own, "3600", HOUR_LATER),
        "grant_confirmed",
    );
    add(
        "a confirmation that is not the beneficiary's",
        format!("update request set confirmed_at = clock() where id = '{open}';") + &event("request.confirmed", open),
        "no_change_without_event",
    );
    add("a request that nobody wrote down", request(id, past, past.at_once, "auto_approved", "approved", "3600"), "no_change_without_event");

    add(
        "a request under the policy of another role",
        request_of(id, (past.role_asks, past.colleague), past.at_once, "auto_approved", "approved", "3600") + &event("request.auto_approved", id),
        "request_governed",
    );
    add(
        "a request of another application",
        auto("3600").replace("r.id, r.application_id", "r.id, (select a.id from application a where a.id <> r.application_id limit 1)"),
        "request_governed",
    );
    add("a request dated back", auto("3600").replace("'web', clock()", "'web', clock() - interval '6 minutes'"), "request_dated");
    add("a request dated ahead", auto("3600").replace("'web', clock()", "'web', clock() + interval '6 minutes'"), "request_dated");
    add(
        "a grant approved on another day",
        auto("3600") + &grant(id, &last, &own, "3600", HOUR_LATER).replace("'provisioning', clock()", "'provisioning', clock() - interval '1 day'"),
        "grant_dated",
    );
    add(
        "a step taken into a request later",
        format!(
            "insert into request_step (request_id, step_no, name, procedure_version_id, procedure_step) select request_id, 2, 'A friend', procedure_version_id, procedure_step from request_step where request_id = '{open}'"
        ),
        "made_with_request",
    );
    add(
        "a slot taken into a request later",
        format!(
            "insert into request_slot (request_id, step_no, slot_no, approvals, procedure_slot, source, source_label) values ('{open}', 1, 2, 1, 1, 'person', 'a friend')"
        ),
        "made_with_request",
    );
    add("a grant of which only the approval is told", auto("3600") + &grant(id, &last, &own, "3600", HOUR_LATER), "no_change_without_event");

    // Approvals by who may not.
    add(
        "an approval of another day",
        approval(open, past.manager, 1, "null").replace("'web', clock()", "'web', clock() - interval '1 day'") + &event("approval.given", open),
        "approval_dated",
    );
    add("an approval told as a look", approval(open, past.manager, 1, "null") + &event("approval.viewed", open), "no_change_without_event");
    add("an approval told as a denial", approval(open, past.manager, 1, "null") + &event("approval.denied", open), "no_change_without_event");
    add("the requester's own approval", approval(open, past.requester, 1, "null") + &event("approval.given", open), "approval_not_by_oneself");
    add(
        "an approval by somebody who was not asked",
        approval(open, past.colleague, 1, "null") + &event("approval.given", open),
        "violates foreign key constraint",
    );
    add("an approval of a closed request", approval(done, past.manager, 1, "null") + &event("approval.given", done), "approval_of_open_step");
    add("an approval of a step that is not open", approval(open, past.manager, 2, "null") + &event("approval.given", open), "approval_of_open_step");
    add("an approval for longer than asked", approval(open, past.manager, 1, "3601") + &event("approval.given", open), "approval_of_open_step");
    add("two approvals by one person", approval(open, past.manager, 1, "null").repeat(2) + &event("approval.given", open), "approval_once");
    add("an approval that nobody wrote down", approval(open, past.manager, 1, "null"), "no_change_without_event");
    add(
        "asking a friend to approve, unseen",
        format!("insert into assignment (request_id, step_no, slot_no, person_id, open) values ('{open}', 1, 1, '{}', true)", past.colleague),
        "no_change_without_event",
    );
    add("an asked person turned into another", format!("update assignment set person_id = '{}' where request_id = '{open}'", past.colleague), denied);
    add("fewer approvals than a step needs", format!("update request_slot set approvals = 1 where request_id = '{done}'"), denied);
    add("a slot less", format!("delete from request_slot where request_id = '{open}'"), denied);

    // What has been decided, undone.
    for table in [
        "audit_event",
        "approval",
        "access_policy_version",
        "access_policy_condition",
        "access_profile_version",
        "access_profile_rule",
        "access_profile_condition",
        "approval_procedure_version",
        "approval_procedure_step",
        "approval_procedure_slot",
    ] {
        let column = match table {
            "audit_event" => "kind = 'request.denied'",
            "approval" => "comment = 'never said'",
            "access_profile_rule" => "effect = 'allow'",
            "approval_procedure_slot" => "approvals = 1",
            "approval_procedure_step" => "time_limit_s = null",
            "access_policy_condition" | "access_profile_condition" => "operator = 'exists'",
            _ => "name = 'another'",
        };
        add("history rewritten", format!("update {table} set {column}"), denied);
        add("history removed", format!("delete from {table}"), denied);
        add("history emptied", format!("truncate {table} cascade"), denied);
    }
    for table in [
        "request",
        "request_step",
        "request_slot",
        "assignment",
        "access_grant",
        "target",
        "person",
        "identity",
        "role",
        "application",
        "access_policy",
        "access_profile",
        "approval_procedure",
    ] {
        add("a row removed", format!("delete from {table}"), denied);
        add("a table emptied", format!("truncate {table} cascade"), denied);
    }
    add("another identity", format!("update identity set person_id = '{}'", past.colleague), denied);
    add("a person turned into another", format!("update person set reference = 'r-of-somebody' where id = '{}'", past.requester), denied);
    add("a membership turned into another group's", "update target set group_reference = 'admins'".into(), denied);
    add("a membership turned into another person's", "update target set person_reference = 'somebody'".into(), denied);
    add(
        "a membership called older than its lease",
        format!("update target set pre_existing = true where id = (select target_id from access_grant where id = '{lease}')"),
        "target_first_look",
    );
    add(
        "a first look made again",
        format!("update target set member = null where id = (select target_id from access_grant where id = '{lease}')"),
        "target_first_look",
    );
    add("a membership's person turned into another", format!("update target set person_id = '{}'", past.colleague), "never_another");
    add(
        "a second account of somebody",
        format!("insert into identity values ('https://issuer.example', 'another', '{}', clock())", past.requester),
        "identity_one_account",
    );
    add("a revoked token taken back", "update api_token set revoked_at = null".into(), "token_revoked");
    add("what was asked for, changed", format!("update request set duration_s = 999999 where id = '{open}'"), denied);
    add(
        "for whom it was asked, changed",
        format!("update request set beneficiary_id = '{}', requester_id = '{}' where id = '{open}'", past.colleague, past.colleague),
        denied,
    );
    add("what it was decided from, changed", format!("update request set inputs = '{{}}', trace = '[]' where id = '{done}'"), denied);
    add("what was granted, changed", format!("update access_grant set duration_s = 999999 where id = '{lease}'"), denied);
    add("whom it was granted to, changed", format!("update access_grant set beneficiary_id = '{}' where id = '{lease}'", past.colleague), denied);
    add("a grant's approval, changed", format!("update access_grant set approval_event_id = 1 where id = '{lease}'"), denied);

    // State.
    add(
        "a request withdrawn without a word",
        format!("update request set status = 'withdrawn', closed_at = clock(), step_no = null where id = '{open}'"),
        "no_change_without_event",
    );
    add(
        "a request withdrawn with a word about something else",
        format!("update request set status = 'withdrawn', closed_at = clock(), step_no = null where id = '{open}';") + &event("grant.ended", open),
        "no_change_without_event",
    );
    add(
        "a grant given up with a word about something else",
        format!("update access_grant set status = 'failed' where id = '{lease}';") + &event("request.denied", done),
        "no_change_without_event",
    );
    add("a grant given up without a word", format!("update access_grant set status = 'failed' where id = '{lease}'"), "no_change_without_event");
    add(
        "a closed request opened",
        format!("update request set status = 'pending', closed_at = null, step_no = 1 where id = '{done}';") + &event("request.submitted", done),
        "request_closed",
    );
    add("a denied request approved", format!("update request set status = 'denied' where id = '{done}';") + &event("request.denied", done), "request_closed");
    for back in ["active", "provisioning", "scheduled", "failed"] {
        add(
            "what has ended, begun again",
            format!("update access_grant set status = '{back}', ended_at = null, end_reason = null where id = '{ended}';")
                + &event("grant.activated", past.over),
            "grant_ended",
        );
    }
    add(
        "an end of another day",
        format!("update access_grant set ended_at = ended_at - interval '1 day' where id = '{ended}';") + &event("grant.ended", past.over),
        "grant_ended",
    );
    add(
        "an end for another reason",
        format!("update access_grant set end_reason = 'revoked' where id = '{ended}';") + &event("grant.ended", past.over),
        "grant_ended",
    );
    add(
        "a removal verified on another day",
        format!("update access_grant set end_verified_at = end_verified_at - interval '1 day' where id = '{ended}';") + &event("grant.ended", past.over),
        "grant_ended",
    );
    add(
        "a longer lease",
        format!("update access_grant set ends_at = ends_at + interval '1 day' where id = '{lease}';") + &event("grant.activated", done),
        "grant_duration",
    );
    add(
        "a lease moved on",
        format!("update access_grant set starts_at = starts_at + interval '1 day', ends_at = ends_at + interval '1 day' where id = '{lease}';")
            + &event("grant.activated", done),
        "grant_begun",
    );
    add(
        "a lease that never began, so as to move it",
        format!("update access_grant set status = 'verifying', verified_at = null where id = '{lease}';") + &event("grant.provisioned", done),
        "grant_begun",
    );
    add(
        "a lease that ends before it begins",
        format!("update access_grant set ends_at = starts_at - interval '1 hour' where id = '{lease}';") + &event("grant.activated", done),
        "violates check constraint",
    );
    add(
        "an end without a reason",
        format!("update access_grant set status = 'revoking', ended_at = clock() where id = '{lease}';") + &event("grant.revoked", done),
        "violates check constraint",
    );
    add(
        "a state that there is not",
        format!("update access_grant set status = 'forever' where id = '{lease}';") + &event("grant.activated", done),
        "violates check constraint",
    );
    add(
        "two open requests for one role",
        format!(
            "insert into request (id, requester_id, beneficiary_id, role_id, application_id, status, step_no, steps, decision, deciding_rule, policy_version_id, inputs, inputs_digest, trace, ask_digest, channel, created_at, distinct_people)
             select gen_random_uuid(), requester_id, beneficiary_id, role_id, application_id, status, 1, steps, decision, deciding_rule, policy_version_id, inputs, inputs_digest, trace, ask_digest, channel, created_at, distinct_people from request where id = '{open}';"
        ) + &event("request.submitted", open),
        "request_one_open",
    );

    // Rules.
    add(
        "a condition taken into a version later",
        format!("insert into access_policy_condition values ('{}', 0, 99, 'department', 'exists', '{{}}')", past.asks),
        "a version never changes",
    );
    add(
        "a rule taken into a profile later",
        "insert into access_profile_rule select id, 99, 'allow' from access_profile_version limit 1".into(),
        "a version never changes",
    );
    add("a slot taken into a procedure later", "insert into approval_procedure_slot (procedure_version_id, step, position, approvals) select procedure_version_id, position, 99, 1 from approval_procedure_step limit 1".into(), "a version never changes");
    add("a version of another transaction", "insert into access_profile_version (id, profile_id, version, name, digest, created_at, txid) select gen_random_uuid(), profile_id, 99, name, digest, created_at, '7' from access_profile_version limit 1".into(), denied);
    add("a role bound to another policy, unseen", "update policy_binding set priority = priority + 1000".into(), "no_change_without_event");
    add("a role's policy taken away, unseen", "delete from policy_binding".into(), "no_change_without_event");
    add("a role's group changed, unseen", "update role set group_reference = 'admins'".into(), "no_change_without_event");
    add("another owner, unseen", format!("update application set owner_id = '{}'", past.colleague), "no_change_without_event");
    add(
        "a catalog event that is a request's",
        format!(
            "insert into audit_event (kind, actor_kind, channel, request_id) values ('catalog.applied', 'system', 'cli', '{done}'); delete from policy_binding"
        ),
        "no_change_without_event",
    );

    // Around the guards.
    for table in ["audit_event", "approval", "access_grant", "request"] {
        add("a trigger switched off", format!("alter table {table} disable trigger all"), "must be owner");
        add(
            "a guard dropped",
            format!("drop trigger {} on {table}", if ["request", "access_grant"].contains(&table) { "with_event" } else { "only_grows" }),
            "must be owner",
        );
        add("a table dropped", format!("drop table {table} cascade"), "must be owner");
        add("a table made one's own", format!("alter table {table} owner to countersign_app"), "must be owner");
        add("a rule that swallows", format!("create rule swallow as on insert to {table} do instead nothing"), "must be owner");
        add(
            "a trigger that forges",
            format!("create trigger forge before insert on {table} for each row execute function suppress_redundant_updates_trigger()"),
            denied,
        );
        add("rows added by inheritance", format!("create temp table more () inherits ({table})"), "must be owner");
        add("rows copied in", format!("copy {table} from '/dev/null'"), "COPY");
    }
    add("a trigger switched off by name", "alter table access_grant disable trigger after_approval".into(), "must be owner");
    add("a constraint dropped", "alter table approval drop constraint approval_not_by_oneself".into(), "must be owner");
    add("an index dropped", "drop index request_one_open".into(), "must be owner");
    add("a column renamed", "alter table access_grant rename column ended_at to was".into(), "must be owner");
    for function in [
        "refuse_change()",
        "require_approval()",
        "require_event()",
        "require_open_step()",
        "refuse_rewrite()",
        "refuse_late_part()",
        "refuse_another()",
        "require_governing()",
        "require_same_transaction()",
        "refuse_revival()",
    ] {
        add(
            "a guard replaced",
            format!("create or replace function countersign.{function} returns trigger language plpgsql as 'begin return new; end'"),
            denied,
        );
    }
    add(
        "the clock replaced",
        "create or replace function countersign.clock() returns timestamptz language sql as 'select timestamptz ''2020-01-01'''".into(),
        denied,
    );
    add("a guard that looks elsewhere", "alter function require_event() set search_path = pg_temp".into(), "must be owner");
    add("a guard dropped with its triggers", "drop function require_event() cascade".into(), "must be owner");
    add("triggers of a replica", "set session_replication_role = replica; update audit_event set kind = 'a.b'".into(), denied);
    add("becoming the owner", "set role countersign_audit; delete from audit_event".into(), denied);
    add("becoming the guard", "set role countersign_guard; drop function require_event() cascade".into(), denied);
    add("becoming a superuser", "set role postgres; delete from audit_event".into(), denied);
    add("joining the owners", "grant countersign_audit to countersign_app".into(), "");
    add("a role without limits", "alter role countersign_app superuser".into(), "");
    add(
        "rights given away for later",
        "alter default privileges for role countersign_owner in schema countersign grant all on tables to public".into(),
        "must be member",
    );
    add("a program run", "copy (select 1) to program 'true'".into(), "COPY");
    add("a file read", "select pg_read_file('/etc/hostname')".into(), denied);
    add("a table of one's own in the schema", "create table countersign.audit_log (id int)".into(), denied);
    add("a schema in front", "create schema countersign_front".into(), denied);

    // A table of the same name where unqualified names are looked up first: a guard that reads it believes anything.
    let shadow = |table: &str, columns: &str| format!("create temp table {table} as select {columns}; grant all on pg_temp.{table} to public;");
    add(
        "an event that only a guard sees",
        shadow("audit_event", &format!("'{done}'::uuid as request_id, pg_current_xact_id() as txid, 'catalog.applied'::text as kind"))
            + &format!("update countersign.access_grant set status = 'failed' where id = '{lease}'"),
        "no_change_without_event",
    );
    add(
        "a catalog event that only a guard sees",
        shadow("audit_event", "null::uuid as request_id, pg_current_xact_id() as txid, 'catalog.applied'::text as kind")
            + "delete from countersign.policy_binding",
        "no_change_without_event",
    );
    add(
        "a procedure without slots that only a guard sees",
        format!(
            "create temp table approval_procedure_slot as select * from countersign.approval_procedure_slot where false; grant all on pg_temp.approval_procedure_slot to public; {}{}{}",
            request(id, past, past.asks, "needs_approval", "approved", "3600") + &parts(id, past.asks),
            event("request.approved", id),
            grant(id, &last, &own, "3600", HOUR_LATER)
        ),
        "grant_after_every_slot",
    );
    add(
        "a version that only a guard sees",
        format!(
            "create temp table access_policy_version as select '{}'::uuid as id, pg_current_xact_id() as txid; grant all on pg_temp.access_policy_version to public; insert into countersign.access_policy_condition values ('{}', 0, 99, 'department', 'exists', '{{}}')",
            past.asks, past.asks
        ),
        "a version never changes",
    );
    add(
        "a table in front by search path",
        format!(
            "set local search_path = pg_temp, countersign; {}update countersign.access_grant set status = 'failed' where id = '{lease}'",
            shadow("audit_event", &format!("'{done}'::uuid as request_id, pg_current_xact_id() as txid"))
        ),
        "no_change_without_event",
    );
    // Under the guard's own statement, by an operator of one's own.
    add("an operator in front", "create function pg_temp.yes(uuid, uuid) returns boolean language sql as 'select true'; create operator pg_temp.= (leftarg = uuid, rightarg = uuid, function = pg_temp.yes); set local search_path = pg_temp, countersign; update countersign.access_grant set status = 'failed' where verified_at is not null and ended_at is null".into(), "no_change_without_event");
    // What others cannot even begin.
    all.push(Hostile {
        what: "the application's own password read",
        by: &["countersign_app", "countersign_auditor"],
        sql: "select password from app_login".into(),
        says: denied,
    });
    all.push(Hostile {
        what: "the migrations rewritten",
        by: &["countersign_app", "countersign_auditor"],
        sql: "delete from _sqlx_migrations".into(),
        says: denied,
    });
    for (what, sql) in [
        ("a session made somebody else's", format!("update session set person_id = '{}'", past.colleague)),
        ("a session that does not end", "update session set expires_at = expires_at + interval '1 year'".into()),
        (
            "a membership planted as older than its lease",
            format!(
                "insert into target (id, directory, person_id, person_reference, group_reference, wanted, pre_existing) values (gen_random_uuid(), 'main', '{}', 'x', 'y', false, true)",
                past.colleague
            ),
        ),
    ] {
        all.push(Hostile { what, by: &["countersign_app", "countersign_auditor"], sql, says: denied });
    }
    for sql in [
        "grant update on access_grant to public",
        "revoke select on access_grant from countersign_app",
        "alter table target disable trigger never_another",
        "create view other as select 1",
    ] {
        all.push(Hostile { what: "the owner's rights used", by: &["countersign_owner"], sql: sql.into(), says: "" });
    }
    all
}

/// Everything that must stay: rows, owners, rights, triggers, functions, constraints, memberships of roles. One line each.
async fn everything(connection: &mut PgConnection) -> Vec<String> {
    let tables: Vec<String> =
        sqlx::query_scalar("select relname::text from pg_class where relnamespace = 'countersign'::regnamespace and relkind = 'r' order by 1")
            .fetch_all(&mut *connection)
            .await
            .unwrap();
    assert!(tables.len() > 30);
    let rows = tables.iter().map(|table| {
        format!("select '{table}: ' || count(*) || ' ' || md5(coalesce(string_agg(t::text, '|' order by t::text), '')) from countersign.{table} t")
    });
    let made = [
        "select 'class ' || c.oid::regclass || ' ' || r.rolname || ' ' || coalesce(c.relacl::text, '') || ' ' || c.relhasrules || c.relhassubclass || c.relrowsecurity from pg_class c join pg_roles r on r.oid = c.relowner where c.relnamespace = 'countersign'::regnamespace",
        "select 'trigger ' || tgrelid::regclass || ' ' || tgname || ' ' || tgenabled::text || ' ' || tgfoid::regproc from pg_trigger where tgrelid::regclass::text like 'countersign.%' or not tgisinternal",
        "select 'function ' || p.oid::regprocedure || ' ' || r.rolname || ' ' || md5(prosrc) || ' ' || prosecdef || coalesce(proconfig::text, '') || coalesce(proacl::text, '') from pg_proc p join pg_roles r on r.oid = p.proowner where pronamespace = 'countersign'::regnamespace",
        "select 'constraint ' || conrelid::regclass || ' ' || conname || ' ' || convalidated from pg_constraint where connamespace = 'countersign'::regnamespace",
        "select 'column ' || attrelid::regclass || ' ' || attname || ' ' || coalesce(attacl::text, '') from pg_attribute a join pg_class c on c.oid = attrelid where c.relnamespace = 'countersign'::regnamespace and attnum > 0",
        "select 'member ' || roleid::regrole || ' ' || member::regrole from pg_auth_members where roleid::regrole::text like 'countersign%'",
        "select 'role ' || rolname || ' ' || rolsuper || rolcreaterole || rolbypassrls || rolreplication from pg_roles where rolname like 'countersign%'",
        "select 'event trigger ' || evtname || evtenabled::text from pg_event_trigger",
        "select 'schema ' || nspname || coalesce(nspacl::text, '') from pg_namespace where nspname not like 'pg_%'",
    ];
    let all: Vec<String> = rows.chain(made.into_iter().map(Into::into)).collect();
    let mut lines: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(all.join(" union all "))).fetch_all(connection).await.unwrap();
    lines.sort();
    lines
}

/// Tries `sql` as `role`, in a session of its own, to the end. Gives code and message of the refusal.
async fn attempt(world: &World, role: &str, sql: &str) -> Result<(), (String, String)> {
    let mut connection = PgConnection::connect_with(&superuser().database(&world.database)).await.unwrap();
    connection.execute(sqlx::AssertSqlSafe(format!("set session authorization {role}; set search_path = countersign; set timezone = 'UTC'"))).await.unwrap();
    let outcome = async {
        connection.execute("begin").await?;
        connection.execute(sqlx::AssertSqlSafe(sql.to_owned())).await?;
        connection.execute("commit").await
    }
    .await;
    let outcome = outcome.map(|_| ()).map_err(|error: sqlx::Error| match error {
        sqlx::Error::Database(error) => {
            (error.code().unwrap_or_default().into_owned(), format!("{} {}", error.message(), error.constraint().unwrap_or_default()))
        }
        other => panic!("{other}"),
    });
    connection.close().await.unwrap();
    outcome
}

/// A world with a past, hardened.
async fn hardened() -> (World, Past) {
    let world = World::new().await;
    let past = past(&world).await;
    world.root.execute(include_str!("../../config/harden.sql")).await.unwrap();
    world.root.execute(include_str!("../../config/harden.sql")).await.unwrap();
    (world, past)
}

/// Refused by right, by a guard, by a constraint; not by a slip of the pen.
const REFUSED: [&str; 6] = ["42501", "23514", "23505", "23503", "428C9", "0LP01"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_database_refuses_whoever_asks() {
    let (world, past) = hardened().await;
    let hostile = hostile(&past);
    let names: std::collections::BTreeSet<&str> = hostile.iter().map(|h| h.what).collect();
    assert!(hostile.len() >= 40 && names.len() >= 40, "{} statements of {} kinds", hostile.len(), names.len());
    let mut look = PgConnection::connect_with(&superuser().database(&world.database)).await.unwrap();
    let before = everything(&mut look).await;
    let mut wrong = Vec::new();
    for Hostile { what, by, sql, says } in &hostile {
        for role in *by {
            match attempt(&world, role, sql).await {
                Ok(()) => wrong.push(format!("{what}: done as {role}:\n    {sql}")),
                Err((code, message)) if !REFUSED.contains(&code.as_str()) => {
                    wrong.push(format!("{what}: as {role} {code} {message} is no refusal:\n    {sql}"))
                }
                Err((code, message)) if *role == "countersign_app" && !message.contains(says) => {
                    wrong.push(format!("{what}: {code} {message}, not {says}:\n    {sql}"))
                }
                Err(_) => {}
            }
        }
        let after = everything(&mut look).await;
        if after != before {
            let news: Vec<&String> = after.iter().filter(|line| !before.contains(line)).chain(before.iter().filter(|line| !after.contains(line))).collect();
            panic!("{what}: something changed: {news:#?}\n    {sql}\n{}", wrong.join("\n"));
        }
    }
    assert!(wrong.is_empty(), "{} of {} were not refused:\n{}", wrong.len(), hostile.len() * 3, wrong.join("\n"));
}

/// What the guards refuse, as they say it.
const GUARDS: [&str; 21] = [
    "noted_now",
    "grant_after_approval",
    "grant_of_request",
    "grant_after_every_slot",
    "grant_after_decision",
    "grant_of_target",
    "grant_duration",
    "grant_ended",
    "grant_begun",
    "request_after_every_slot",
    "request_closed",
    "approval_of_open_step",
    "no_change_without_event",
    "a version never changes",
    "request_governed",
    "request_dated",
    "grant_dated",
    "approval_dated",
    "made_with_request",
    "token_revoked",
    "target_first_look",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_its_guard_each_of_these_would_pass() {
    let (world, past) = hardened().await;
    // A constraint of the table stands behind the guard.
    let held_twice = [
        "a grant on an event that is not there",
        "a grant that ends before it begins",
        "an approval of a closed request",
        "an approval of a step that is not open",
        "a grant without end of what has one",
    ];
    let mut passed = 0;
    for Hostile { what, sql, says, .. } in hostile(&past).iter().filter(|h| GUARDS.contains(&h.says) && !held_twice.contains(&h.what)) {
        let mut connection = PgConnection::connect_with(&superuser().database(&world.database)).await.unwrap();
        connection.execute("begin; set local countersign.maintenance = 'yes'").await.unwrap();
        for table in [
            "request",
            "request_step",
            "request_slot",
            "assignment",
            "approval",
            "access_grant",
            "api_token",
            "target",
            "role",
            "application",
            "policy_binding",
            "access_policy_condition",
            "access_profile_rule",
            "approval_procedure_slot",
            "delegation",
            "request_question",
            "leaver",
            "mover",
            "eligibility_loss",
            "drift",
            "directory_pause",
            "pre_existing_member",
            "managed_group",
            "provisioning_attempt",
            "legal_hold",
        ] {
            connection.execute(sqlx::AssertSqlSafe(format!("alter table countersign.{table} disable trigger user"))).await.unwrap();
        }
        connection.execute("set session authorization countersign_app; set search_path = countersign").await.unwrap();
        let outcome = connection.execute(sqlx::AssertSqlSafe(format!("{sql}; set constraints all immediate"))).await;
        assert!(outcome.is_ok(), "{what} is refused without its guard ({says}) too, so it proves nothing about it: {outcome:?}\n{sql}");
        passed += 1;
    }
    assert!(passed >= 35, "{passed}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_is_closed_to_its_own_owner_too() {
    let (world, _) = hardened().await;
    let mut look = PgConnection::connect_with(&superuser().database(&world.database)).await.unwrap();
    let before = everything(&mut look).await;
    for table in [
        "audit_event",
        "approval",
        "access_policy_version",
        "access_policy_condition",
        "access_profile_version",
        "access_profile_rule",
        "access_profile_condition",
        "approval_procedure_version",
        "approval_procedure_step",
        "approval_procedure_slot",
    ] {
        for sql in [
            format!("delete from {table}"),
            format!("truncate {table} cascade"),
            format!(
                "update {table} set {} = {0}",
                if table == "audit_event" {
                    "kind"
                } else if ["approval"].contains(&table) {
                    "comment"
                } else if table.ends_with("_version") {
                    "name"
                } else {
                    "position"
                }
            ),
            format!("alter table {table} disable trigger all"),
            format!("alter table {table} disable trigger only_grows"),
            format!("drop trigger only_grows on {table}"),
            format!("drop table {table} cascade"),
            format!("alter table {table} rename to gone"),
            format!("create rule swallow as on insert to {table} do instead nothing"),
            format!("create temp table more () inherits ({table})"),
            format!("grant all on {table} to countersign_app"),
        ] {
            let (code, message) = attempt(&world, "countersign_audit", &sql).await.expect_err(&sql);
            assert_eq!(code, "42501", "{sql}: {message}");
            assert_eq!(everything(&mut look).await, before, "{sql}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_has_the_applications_password_puts_no_work_off_for_good() {
    let world = World::new().await;
    attempt(&world, "countersign_app", "insert into directory_wait (directory, until) values ('main', 'infinity')").await.unwrap();
    attempt(&world, "countersign_app", "update directory_wait set until = '2999-01-01'").await.unwrap();
    let asked = world.ask("bo.lind", "warehouse", "analyst", HOUR).await.unwrap();
    world.turn().await;
    assert!(world.one::<bool>("select until <= clock() + interval '1 hour' from directory_wait").await);
    assert_ne!(world.grant(asked.id).await.1, "active", "patience is kept");
    world.advance(Duration::minutes(61)).await;
    world.turn().await;
    assert_eq!(world.grant(asked.id).await.1, "active");
    // And what somebody wrote past the guard is not heeded.
    world.tampered("a wait without end is written past the guard");
    world.root.execute("alter table directory_wait disable trigger capped; update directory_wait set until = '2999-01-01'; alter table directory_wait enable always trigger capped").await.unwrap();
    world.advance(Duration::seconds(HOUR)).await;
    world.turn().await;
    world.advance(Duration::minutes(2)).await;
    world.turn().await;
    assert_eq!(world.grant(asked.id).await.1, "ended");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_goes_by_the_rules_passes() {
    let (world, past) = hardened().await;
    // Each forged statement is one step away from this one, which is fine.
    let fine = by_the_rules(&past) + "set constraints all immediate";
    let mut connection = PgConnection::connect_with(&superuser().database(&world.database)).await.unwrap();
    connection.execute("set session authorization countersign_app; set search_path = countersign; begin").await.unwrap();
    connection.execute(sqlx::AssertSqlSafe(fine)).await.unwrap();
    connection.execute("set constraints all deferred").await.unwrap();
    let approved = approval(past.open, past.manager, 1, "null") + &event("approval.given", past.open) + "set constraints all immediate";
    connection.execute(sqlx::AssertSqlSafe(approved)).await.unwrap();
    connection.execute(sqlx::AssertSqlSafe(format!("{} delete from policy_binding; set constraints all immediate", applied()))).await.unwrap();
    connection.execute("rollback").await.unwrap();
    // And so does the whole life of an access, on a hardened database.
    let answered = world.answer("mara.voss", past.open.into(), YES).await.unwrap();
    assert_eq!(answered.status, RequestStatus::Approved);
    world.turn().await;
    assert_eq!(world.grant(past.open.into()).await.1, "active");
    world.advance(Duration::seconds(5 * HOUR)).await;
    world.turn().await;
    assert_eq!(world.grant(past.open.into()).await.1, "ended");
    assert_eq!(world.grant(past.done.into()).await.1, "ended");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_superuser_changes_the_structure_only_on_purpose() {
    let (world, _) = hardened().await;
    for (sql, purpose) in [
        ("alter table countersign.access_grant disable trigger after_approval", false),
        ("alter table countersign.access_grant disable trigger after_approval", true),
    ] {
        let mut connection = PgConnection::connect_with(&superuser().database(&world.database)).await.unwrap();
        connection.execute("begin").await.unwrap();
        if purpose {
            connection.execute("set local countersign.maintenance = 'yes'").await.unwrap();
        }
        let outcome = connection.execute(sql).await;
        assert_eq!(outcome.is_ok(), purpose, "{outcome:?}");
    }
    // The word alone opens nothing to others.
    let sql = "set local countersign.maintenance = 'yes'; alter table access_grant disable trigger after_approval";
    assert_eq!(attempt(&world, "countersign_owner", sql).await.unwrap_err().0, "42501");
    // Migrating again finds nothing to do, and is let.
    db::migrate(&superuser().database(&world.database), true).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_auditor_reads_the_log_and_no_key() {
    let (world, _) = hardened().await;
    for table in ["audit_event", "request", "approval", "access_grant", "person", "access_policy_version", "target"] {
        let sql = format!("do $$ begin if not exists (select 1 from {table}) then raise exception 'nothing to read'; end if; end $$");
        assert_eq!(attempt(&world, "countersign_auditor", &sql).await, Ok(()), "{table}");
    }
    for table in ["session", "sign_in_attempt", "api_token", "idempotency_key"] {
        assert_eq!(attempt(&world, "countersign_auditor", &format!("select * from {table}")).await.expect_err(table).0, "42501", "{table}");
    }
}
