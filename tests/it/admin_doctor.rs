//! The doctor finds what must never be.

use chrono::Duration;
use countersign::domain::approval::Answer;
use countersign::domain::id::RequestId;
use countersign::domain::span::Seconds;
use countersign::service::ask::{self, AskFor};
use countersign::service::doctor::{self, Finding, State};
use countersign::service::{answer, end, heartbeat, withdraw};
use sqlx::Executor;

use crate::faulty::Faulty;
use crate::server::Server;
use crate::world::World;

/// `who` asks for a role for `hours`.
pub async fn asks(world: &World, who: &str, application: &str, role: &str, hours: i64) -> RequestId {
    let ask_for = AskFor {
        duration: Some(Seconds(hours * 3600)),
        justification: Some("To look into a customer's complaint.".into()),
        ..AskFor::new(world.role(application, role).await)
    };
    ask::ask(&world.ctx, &world.by(who).await, ask_for).await.unwrap().id
}

/// `who` approves or denies.
pub async fn answers(world: &World, who: &str, request: RequestId, yes: bool) {
    let given = if yes { Answer::Approve { granted: None } } else { Answer::Deny };
    answer::answer(&world.ctx, &world.by(who).await, request, given, Some("As far as I can see."), None).await.unwrap();
}

/// The grant of a request.
pub async fn grant_of(world: &World, request: RequestId) -> uuid::Uuid {
    sqlx::query_scalar("select id from access_grant where request_id = $1").bind(request.0).fetch_one(&world.root).await.unwrap()
}

/// A world in which a bit of everything has happened: one access active, one expired, one returned, one without approvers; one
/// request open, one denied, one withdrawn, one refused.
async fn lived_in() -> (World, RequestId, RequestId) {
    let world = World::new().await;
    // Who was in the groups before is on record from the first comparison on.
    heartbeat::run_now(&world.ctx, "sweep:main").await.unwrap();
    world.turn().await;
    let short = asks(&world, "bo.lind", "orders-db", "reader", 1).await;
    answers(&world, "mara.voss", short, true).await;
    asks(&world, "bo.lind", "warehouse", "analyst", 24 * 7).await;
    let given_back = asks(&world, "kofi.asante", "orders-db", "reader", 24 * 7).await;
    answers(&world, "hana.sato", given_back, true).await;
    world.turn().await;
    end::end(&world.ctx, &world.by("kofi.asante").await, grant_of(&world, given_back).await.into(), false, None).await.unwrap();
    world.turn().await;
    world.advance(Duration::hours(2)).await;
    world.turn().await;
    let active = asks(&world, "yusuf.demir", "orders-db", "reader", 24).await;
    answers(&world, "mara.voss", active, true).await;
    let denied = asks(&world, "malik.johnson", "orders-db", "reader", 24).await;
    answers(&world, "hana.sato", denied, false).await;
    let withdrawn = asks(&world, "malik.johnson", "orders-db", "reader", 24).await;
    withdraw::withdraw(&world.ctx, &world.by("malik.johnson").await, withdrawn, None).await.unwrap();
    asks(&world, "wei.zhang", "orders-db", "reader", 24).await;
    let open = asks(&world, "bo.lind", "orders-db", "reader", 4).await;
    world.turn().await;
    // Drift that is on record is no finding.
    let group = world.group("orders-db-readers").await;
    let stranger: String = world.one("select reference from person where user_name = 'mei.tanaka'").await;
    world.directory().add(&group, &stranger).await;
    world.advance(Duration::minutes(10)).await;
    world.turn().await;
    world.advance(Duration::minutes(1)).await;
    world.turn().await;
    (world, active, open)
}

fn told(findings: &[Finding]) -> String {
    findings.iter().map(|finding| format!("\n  {finding}")).collect()
}

/// Does with the database what nobody may: as its superuser, with every guard switched off meanwhile.
async fn tamper(world: &World, sql: &str) {
    let switch = |how: &str| {
        format!(
            "do $$ declare r record; begin for r in select c.relname, t.tgname from pg_trigger t join pg_class c on c.oid = t.tgrelid join pg_namespace n on n.oid = c.relnamespace
               where n.nspname = 'countersign' and not t.tgisinternal loop execute format('alter table countersign.%I {how} trigger %I', r.relname, r.tgname); end loop; end $$"
        )
    };
    let statements = format!("begin; {}; set local session_replication_role = replica; {sql}; {}; commit", switch("disable"), switch("enable always"));
    world.root.execute(sqlx::AssertSqlSafe(statements)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_world_that_was_lived_in_has_no_finding() {
    let (world, ..) = lived_in().await;
    let findings = doctor::deep(&world.ctx).await.unwrap();
    assert!(findings.is_empty(), "{}", told(&findings));
    let counts: Vec<(String, i64)> = sqlx::query_as("select status, count(*) from request group by 1 order by 1").fetch_all(&world.root).await.unwrap();
    assert_eq!(
        counts.iter().map(|(status, n)| format!("{n} {status}")).collect::<Vec<_>>(),
        ["4 approved", "1 denied", "1 pending", "1 refused", "1 withdrawn"]
    );
    let stranger: i64 =
        world.one("select count(*) from drift d join person p on p.id = d.person_id where d.resolved_at is null and p.user_name = 'mei.tanaka'").await;
    assert_eq!(stranger, 1, "the stranger in the group is on record");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[should_panic(expected = "at the end of this test")]
async fn a_test_that_leaves_a_world_wrong_behind_it_fails() {
    let (world, ..) = lived_in().await;
    let holder: String = world.one("select reference from person where user_name = 'yusuf.demir'").await;
    world.directory().remove(&world.group("orders-db-readers").await, &holder).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[should_panic(expected = "at the end of this test")]
async fn a_test_that_leaves_a_program_wrong_behind_it_fails() {
    let (_server, _, root) = Server::demo().await;
    let token = "insert into api_token (id, token_hash, person_id, name, scopes, created_at, expires_at)
                 select gen_random_uuid(), sha256('x'), id, 'of no event', '{}', clock(), clock() + interval '1 day' from person where user_name = 'bo.lind'";
    assert_eq!(root.execute(token).await.unwrap().rows_affected(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_invariant_that_is_broken_is_found() {
    let (world, active, open) = lived_in().await;
    world.tampered("every invariant is broken in turn");
    let grant = grant_of(&world, active).await;
    let (active, open) = (active.0, open.0);
    let ended: uuid::Uuid = world.one("select id from access_grant where end_reason = 'expired'").await;
    let returned: uuid::Uuid = world.one("select id from access_grant where end_reason = 'returned'").await;
    let breaks: Vec<(u8, &str, String, String)> = vec![
        (
            1,
            "grant cites its approval",
            format!("update access_grant set approval_event_id = (select min(id) from audit_event where request_id <> '{active}') where id = '{grant}'"),
            grant.to_string(),
        ),
        (1, "every slot approved", format!("update approval set ask_digest = repeat('0', 64) where request_id = '{active}'"), grant.to_string()),
        (
            1,
            "nobody denied",
            format!("update approval set verdict = 'deny' where request_id = (select request_id from access_grant where id = '{returned}')"),
            returned.to_string(),
        ),
        (
            1,
            "one person counts once",
            format!(
                "update approval_procedure_version set distinct_people = true;
                 insert into approval (id, request_id, requester_id, beneficiary_id, step_no, slot_no, decided_by, verdict, ask_digest, inputs_digest, channel, decided_at)
                 select '{open}', request_id, requester_id, beneficiary_id, 2, slot_no, decided_by, verdict, ask_digest, inputs_digest, channel, decided_at from approval where request_id = '{active}'"
            ),
            grant.to_string(),
        ),
        (1, "the policy decides how", format!("update request set decision = 'auto_approved' where id = '{active}'"), grant.to_string()),
        (
            1,
            "as long as approved",
            format!("update access_grant set duration_s = duration_s + 1, ends_at = ends_at + interval '1 second' where id = '{ended}'"),
            ended.to_string(),
        ),
        (
            2,
            "removal verified and on record",
            format!("update access_grant set end_verified_at = ended_at + interval '1 hour' where id = '{ended}'"),
            ended.to_string(),
        ),
        (
            2,
            "no membership outlives its leases",
            format!("update target set member = true where id = (select target_id from access_grant where id = '{returned}')"),
            "target".into(),
        ),
        (
            3,
            "requests are what their events say",
            format!("update request set status = 'approved', closed_at = created_at, step_no = null where id = '{open}'"),
            open.to_string(),
        ),
        (3, "approved requests have their grant", "select 1".into(), open.to_string()),
        (
            3,
            "approvals are what their events say",
            format!("update audit_event set actor_id = '{active}' where kind = 'approval.given' and request_id = '{active}'"),
            "approval".into(),
        ),
        (3, "grants are what their events say", format!("update access_grant set end_reason = 'revoked' where id = '{returned}'"), returned.to_string()),
        (
            3,
            "rules came with an event",
            "update access_policy_version set txid = '1' where id = (select id from access_policy_version order by id limit 1)".into(),
            "version".into(),
        ),
        (
            3,
            "tokens are what their events say",
            format!(
                "insert into api_token (id, token_hash, person_id, name, scopes, created_at, expires_at) select '{open}', decode(repeat('00', 32), 'hex'), id, 'x', '{{}}', now(), now() + interval '1 day' from person where user_name = 'bo.lind'"
            ),
            "person".into(),
        ),
        (3, "drift is what its events say", "delete from drift".into(), "drift".into()),
        (5, "the directory is as the leases say", "select 1".into(), "drift".into()),
        (6, "only open steps ask", format!("update assignment set open = true where request_id = '{active}'"), active.to_string()),
        (
            7,
            "nothing overdue",
            format!("update target set next_at = null, gen = gen + 1 where id = (select target_id from access_grant where id = '{grant}')"),
            "target".into(),
        ),
        (
            2,
            "removal owed until verified",
            format!("update access_grant set status = 'revoking', ended_at = starts_at, end_reason = 'revoked' where id = '{grant}'"),
            grant.to_string(),
        ),
    ];
    let mut before = doctor::deep(&world.ctx).await.unwrap();
    assert!(before.is_empty(), "{}", told(&before));
    for (invariant, rule, sql, id) in breaks {
        tamper(&world, &sql).await;
        let after = doctor::deep(&world.ctx).await.unwrap();
        let hit = after.iter().any(|f| f.invariant == invariant && f.rule == rule && (f.id == id || !id.contains('-')));
        assert!(hit, "{rule} was broken and not found; found:{}", told(&after));
        if sql != "select 1" {
            assert!(!before.iter().any(|f| f.rule == rule && f.id == id), "{rule} was found before it was broken:{}", told(&before));
        }
        before = after;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_should_have_timed_out_and_a_late_directory_are_found() {
    let (world, active, open) = lived_in().await;
    let group = world.group("orders-db-readers").await;
    let holder: String = world.one("select reference from person where user_name = 'yusuf.demir'").await;
    world.directory().remove(&group, &holder).await;
    let findings = doctor::deep(&world.ctx).await.unwrap();
    assert_eq!(findings.len(), 1, "{}", told(&findings));
    assert!(findings[0].invariant == 5 && findings[0].id == group && findings[0].sentence.contains(&holder), "{}", findings[0]);
    // The sweep heals it, and it is no finding any more.
    world.advance(Duration::minutes(6)).await;
    world.turn().await;
    assert!(doctor::deep(&world.ctx).await.unwrap().is_empty());
    // The worker sleeps for days: what is due is found, row by row.
    world.advance(Duration::days(5)).await;
    let findings = doctor::deep(&world.ctx).await.unwrap();
    assert!(findings.iter().any(|f| f.invariant == 6 && f.id == open.to_string()), "{}", told(&findings));
    let grant = grant_of(&world, active).await.to_string();
    assert!(findings.iter().any(|f| f.invariant == 7 && f.id == grant), "{}", told(&findings));
    world.turn().await;
    world.advance(Duration::minutes(1)).await;
    world.turn().await;
    let findings = doctor::deep(&world.ctx).await.unwrap();
    assert!(findings.is_empty(), "{}", told(&findings));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_that_does_not_answer_is_a_finding() {
    let faulty = Faulty::start().await;
    let world = World::behind(&faulty).await;
    world.turn().await;
    faulty.down(true);
    let findings = doctor::deep(&world.ctx).await.unwrap();
    assert!(findings.iter().any(|f| f.invariant == 5 && f.sentence.contains("could not be read")), "{}", told(&findings));
    let parts = doctor::look_over(&world.ctx).await.unwrap();
    assert!(parts.iter().any(|p| p.name == "Directory main" && p.state == State::Bad), "{parts:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_parts_are_well_until_somebody_breaks_them() {
    let world = World::new().await;
    world.turn().await;
    heartbeat::beat(&world.ctx, countersign::clock::new_id(), world.now()).await.unwrap();
    let bad = |parts: &[doctor::Part]| parts.iter().filter(|p| p.state == State::Bad).map(|p| format!("{}: {}", p.name, p.sentence)).collect::<Vec<_>>();
    let parts = doctor::look_over(&world.ctx).await.unwrap();
    assert_eq!(bad(&parts), Vec::<String>::new());
    // A database that its owner may restructure works, and somebody should know.
    let structure = |parts: &[doctor::Part]| parts.iter().find(|p| p.name == "Structure").unwrap().state;
    assert_eq!(structure(&parts), State::Warn);
    world.root.execute(include_str!("../../config/harden.sql")).await.unwrap();
    assert_eq!(structure(&doctor::look_over(&world.ctx).await.unwrap()), State::Good);
    world.root.execute("drop event trigger countersign_refuse_definition; drop event trigger countersign_refuse_drop").await.unwrap();
    // The list of guards in the program is the one of the migrations: nothing more, nothing less.
    let there: i64 = world.one("select count(*) from pg_trigger t join pg_class c on c.oid = t.tgrelid join pg_namespace n on n.oid = c.relnamespace where n.nspname = 'countersign' and not t.tgisinternal").await;
    let guards = &parts.iter().find(|p| p.name == "Guards").unwrap().sentence;
    assert!(guards.contains(&format!("All {there} triggers")), "{guards}, {there}");

    for (sql, word) in [
        ("alter table countersign.audit_event enable trigger only_grows", "can be switched off"),
        ("alter table countersign.audit_event disable trigger only_grows", "can be switched off"),
        ("drop trigger after_approval on countersign.access_grant", "has no after_approval"),
        (
            "create or replace function countersign.require_event() returns trigger language plpgsql as 'begin return null; end'",
            "not the one of the migrations",
        ),
        ("alter function countersign.refuse_rewrite() owner to countersign_owner", "owned by countersign_owner"),
        ("grant update (kind) on countersign.audit_event to countersign_app", "audit_event may be changed by"),
        ("grant insert (occurred_at) on countersign.audit_event to countersign_app", "occurred_at of an event may be chosen"),
        ("alter table countersign.approval owner to countersign_owner", "approval is owned by countersign_owner"),
    ] {
        world.root.execute(sql).await.unwrap();
        let bad = bad(&doctor::look_over(&world.ctx).await.unwrap());
        assert!(bad.iter().any(|sentence| sentence.contains(word)), "{sql}: {bad:?}");
    }
}
