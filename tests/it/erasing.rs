//! Personal data goes, and the log stays provable.

use chrono::Duration;
use countersign::domain::approval::Answer;
use countersign::domain::event::{Actor, Channel};
use countersign::domain::id::PersonId;
use countersign::domain::refusal::Refusal;
use countersign::domain::span::Seconds;
use countersign::evidence::verify;
use countersign::service::api_token::{self, NewToken};
use countersign::service::ask::{AskFor, Asked, ask};
use countersign::service::erase::{self, Held, Retention};
use countersign::service::error::ServiceError;
use countersign::service::{event_list, question, replay, seal};
use countersign::worker::step;
use sqlx::Executor;
use uuid::Uuid;

use crate::sealed::{Sealed, check, program, written};
use crate::world::{World, catalog};

const HOUR: i64 = 3_600;
const OPERATOR: (Actor, Channel) = (Actor::System, Channel::Cli);
/// What Bo is called, and what Bo wrote; whatever holds one of these tells of Bo.
const BO: [&str; 8] = ["Bo Lind", "bo.lind", "subject-of-bo", "quarterly riddle", "OV-998877", "case of the Zanzibar ledger", "laptop of mine", "10.9.8.7"];

/// Every row of every table, as text.
async fn dump(world: &World) -> Vec<String> {
    let tables: Vec<String> =
        sqlx::query_scalar("select relname::text from pg_class where relnamespace = 'countersign'::regnamespace and relkind = 'r' order by 1")
            .fetch_all(&world.root)
            .await
            .unwrap();
    assert!(tables.len() > 50);
    let mut rows = Vec::new();
    for table in tables {
        let found: Vec<String> =
            sqlx::query_scalar(sqlx::AssertSqlSafe(format!("select '{table}: ' || t::text from countersign.{table} t"))).fetch_all(&world.root).await.unwrap();
        rows.extend(found);
    }
    rows
}

/// Rows that hold any of these, in any case.
async fn telling(world: &World, words: &[&str]) -> Vec<String> {
    let words: Vec<String> = words.iter().map(|word| word.to_lowercase()).collect();
    dump(world).await.into_iter().filter(|row| words.iter().any(|word| row.to_lowercase().contains(word))).collect()
}

/// Bo has asked, written, been asked and answered, signed in, made a token; others have written of Bo. What Bo has is over, all but the token.
async fn past(world: &World) -> (Uuid, Uuid) {
    let (bo, mara) = (world.by("bo.lind").await, world.by("mara.voss").await);
    // A rule of the past names Bo.
    let naming = catalog().replacen("for = [\"department is Support\"]", "for = [\"reports to bo.lind\", \"department is Support\"]", 1);
    assert_ne!(naming, catalog());
    world.apply(&naming).await;
    world.apply(&catalog()).await;
    let denied = wish(world, "orders-db", "writer").await;
    question::ask(&world.ctx, &mara, denied.id, "Which rows, Bo Lind?", None).await.unwrap();
    question::answer(&world.ctx, &bo, denied.id, "Those of the case of the Zanzibar ledger.").await.unwrap();
    world.answer("mara.voss", denied.id, Answer::Deny).await.unwrap();
    let had = wish(world, "warehouse", "analyst").await;
    world.turn().await;
    let new = NewToken { person: bo.person, name: "laptop of mine".into(), scopes: vec!["events:read".into()], expires_at: world.now() + Duration::days(9) };
    api_token::create(&world.ctx, &bo.actor(), Channel::Web, &new).await.unwrap();
    sqlx::query("insert into identity values ('https://issuer.example', 'subject-of-bo', $1, countersign.clock())")
        .bind(bo.person.0)
        .execute(&world.root)
        .await
        .unwrap();
    sqlx::query(
        "insert into session (id, token_hash, person_id, issuer, subject, created_at, seen_at, idle_until, expires_at, user_agent, address)
         values ($1, sha256('x'), $2, 'https://issuer.example', 'subject-of-bo', $3, $3, $3, $3, 'Firefox', '10.9.8.7')",
    )
    .bind(Uuid::from_u128(7))
    .bind(bo.person.0)
    .bind(world.now())
    .execute(&world.root)
    .await
    .unwrap();
    (denied.id.0, had.id.0)
}

async fn wish(world: &World, application: &str, role: &str) -> Asked {
    let wish = AskFor {
        duration: Some(Seconds(HOUR)),
        justification: Some("I am to solve the quarterly riddle of the books.".into()),
        ticket_reference: Some("OV-998877".into()),
        ..AskFor::new(world.role(application, role).await)
    };
    ask(&world.ctx, &world.by("bo.lind").await, wish).await.unwrap()
}

async fn leaves(world: &World, who: &str) {
    world.set_active(who, false).await;
    world.advance(Duration::minutes(6)).await;
    world.turn().await;
    world.advance(Duration::minutes(2)).await;
    world.turn().await;
    // Nobody is erased within the hour.
    world.advance(Duration::minutes(61)).await;
    world.turn().await;
}

/// Why somebody was not erased.
fn refused<T: std::fmt::Debug>(outcome: Result<T, ServiceError>) -> String {
    match outcome {
        Err(ServiceError::Refused(Refusal::NotErasable(why))) => why,
        other => panic!("{other:?}"),
    }
}

/// What the database says to the application's role that does this in one transaction; empty: it may.
async fn as_application(world: &World, sql: String) -> String {
    let mut tx = world.root.begin().await.unwrap();
    tx.execute("set local role countersign_app").await.unwrap();
    tx.execute(sqlx::AssertSqlSafe(format!("{sql}; set constraints all immediate"))).await.err().map(|error| error.to_string()).unwrap_or_default()
}

fn said_to_erase(who: PersonId) -> String {
    format!(
        "insert into audit_event (kind, actor_kind, channel, person_id, data) values ('person.erased', 'system', 'cli', '{who}', '{{\"reason\": \"x\"}}'); select erase_person('{who}')"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_left_is_erased_everywhere_and_the_log_is_proved_as_before() {
    let sealed = Sealed::new().await;
    let world = &sealed.world;
    past(world).await;
    let bo = world.person("bo.lind").await;
    assert!(refused(erase::erase(&sealed.ctx, OPERATOR, bo, "asked for it").await).contains("says that they are active"));
    leaves(world, "bo.lind").await;
    // Some of it has its leaf when it is erased, some has none yet.
    seal::seal(&sealed.ctx).await.unwrap();
    let (list, text) = sealed.list().await;
    assert!(check(&list, &text).is_ok() && telling(world, &BO).await.len() > 10);
    world.ask("hana.sato", "orders-db", "reader", HOUR).await.unwrap();

    let erased = erase::erase(&sealed.ctx, OPERATOR, bo, "Bo Lind asked for it by letter").await.unwrap();
    let events = erased.events;
    assert!(events > 5, "{events}");
    assert!(erased.stays.iter().all(|kept| kept.starts_with("the policy ") || kept.starts_with("the profile ")), "{:?}", erased.stays);
    assert_eq!(telling(world, &BO).await, Vec::<String>::new());
    assert!(refused(erase::erase(&sealed.ctx, OPERATOR, bo, "again").await).contains("erased already"));

    // What was signed before is the beginning of what is signed now, and both are proved; here and by a program of another hand.
    let now = event_list::prepare(&sealed.ctx, None, Some(&list.note), Actor::System, Channel::Cli).await.unwrap();
    let mut lines = String::new();
    let mut at = now.first;
    while let Some((more, next)) = event_list::lines(&sealed.ctx, &now, at).await.unwrap() {
        lines.push_str(&more);
        at = next;
    }
    let key = countersign::evidence::note::PublicKey::parse(&now.key).unwrap();
    let (old, new) = (verify::checkpoint(&list.note, &key).unwrap(), verify::checkpoint(&now.note, &key).unwrap());
    let verified = verify::events(lines.as_bytes(), &now.proof, new, Some(&old), |_| {}).unwrap();
    assert!(verified.erased >= events as u64 && verified.events == now.end);
    let lower = lines.to_lowercase();
    assert!(BO.iter().all(|word| !lower.contains(&word.to_lowercase())) && lower.contains(&bo.to_string()));
    let out = sealed.folder.path().join("after");
    written(&out, &now, &lines);
    assert_eq!(program(&[out.to_str().unwrap()]), (true, format!("verified {}\n", now.end)));
    // Whoever tells another story of what is gone is found out.
    let forged = lines.replacen("\"actor_name\":null", "\"actor_name\":\"Mallory\"", 1);
    assert_ne!(forged, lines);
    assert_eq!(check(&now, &forged).unwrap_err().kind, "changed");

    // What Bo was decided on can no longer be made again where that rested on Bo; nothing comes out otherwise.
    let mut replayed = Vec::new();
    let ever = (chrono::DateTime::UNIX_EPOCH, world.now() + Duration::days(1));
    let summary = replay::replay(&sealed.ctx, ever, &Default::default(), async |page| {
        replayed.extend(page);
        Ok::<_, ServiceError>(())
    })
    .await
    .unwrap();
    assert!(summary.erased >= 1 && summary.different == 0, "{replayed:#?}");
    assert!(String::from_utf8(replay::records(&replayed)).unwrap().contains("erased,erased"));

    // Reading the directory again, which still lists them as disabled, brings nothing back; being taken on again does.
    world.advance(Duration::minutes(6)).await;
    world.turn().await;
    assert_eq!(telling(world, &BO).await, Vec::<String>::new());
    let reference: String = sqlx::query_scalar("select reference from person where id = $1").bind(bo.0).fetch_one(&world.root).await.unwrap();
    world.set_active_reference(&reference, true).await;
    world.advance(Duration::minutes(6)).await;
    world.turn().await;
    assert_eq!(world.person("bo.lind").await, bo);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hold_keeps_a_person_and_the_people_of_a_request() {
    let sealed = Sealed::new().await;
    let (world, ctx) = (&sealed.world, &sealed.ctx);
    let (denied, _) = past(world).await;
    let bo = world.person("bo.lind").await;
    leaves(world, "bo.lind").await;
    let days = |days| Some(Duration::days(days));
    let all = Retention { people: Some(Duration::zero()), requests: days(30), sign_ins: days(30), notices: days(30) };
    let kept = countersign::service::ctx::Ctx { retention: all, ..ctx.clone() };
    world.advance(Duration::days(31)).await;
    for of in [Held::Person(bo), Held::Request(denied)] {
        let hold = erase::hold(ctx, OPERATOR, of, "a court asked").await.unwrap();
        let why = refused(erase::erase(ctx, OPERATOR, bo, "asked for it").await);
        assert!(why.contains("held since"), "{why}");
        erase::retain(&kept).await.unwrap();
        assert!(!telling(world, &["Zanzibar"]).await.is_empty() && !telling(world, &["Bo Lind"]).await.is_empty());
        assert_eq!(erase::holds(ctx, None, 10).await.unwrap().len(), 1);
        erase::lift(ctx, OPERATOR, hold, "the court is done").await.unwrap();
        assert!(matches!(erase::lift(ctx, OPERATOR, hold, "again").await, Err(ServiceError::Missing)));
        // It keeps everything for a day more: a lift in haste, or by a thief, can be noticed.
        erase::retain(&kept).await.unwrap();
        assert!(!telling(world, &["Zanzibar"]).await.is_empty());
        assert!(refused(erase::erase(ctx, OPERATOR, bo, "asked for it").await).contains("held"));
        world.advance(Duration::hours(25)).await;
    }
    assert!(matches!(erase::hold(ctx, OPERATOR, Held::Request(Uuid::nil()), "x").await, Err(ServiceError::Missing)));
    erase::erase(ctx, OPERATOR, bo, "asked for it").await.unwrap();
    assert!(telling(world, &BO).await.is_empty());
    let (list, text) = sealed.list().await;
    check(&list, &text).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_kept_long_enough_goes_by_itself_each_kind_for_itself() {
    let sealed = Sealed::new().await;
    let (world, ctx) = (&sealed.world, &sealed.ctx);
    past(world).await;
    sqlx::query(
        "insert into audit_event (kind, actor_kind, actor_id, actor_name, channel, person_id, data)
         select 'session.started', 'person', id, display_name, 'web', id, '{\"issuer\": \"https://issuer.example\"}' from person where user_name = 'mara.voss'",
    )
    .execute(&world.root)
    .await
    .unwrap();
    leaves(world, "bo.lind").await;
    world.advance(Duration::days(40)).await;
    let with = |retention| countersign::service::ctx::Ctx { retention, ..ctx.clone() };
    let days = |days| Some(Duration::days(days));
    let count = async |sql: &'static str| world.one::<i64>(sql).await;
    let signed_in = "select count(*) from audit_event where kind = 'session.started' and actor_name = 'Mara Voss'";

    let young = with(Retention { people: days(60), requests: days(60), sign_ins: days(60), notices: days(60) });
    assert_eq!(erase::retain(&young).await.unwrap(), [0; 5]);
    assert_eq!(count("select count(*) from audit_event where kind = 'retention.applied'").await, 0, "nothing went, so nothing is told");

    let notices = count("select count(*) from notice").await;
    assert_eq!(erase::retain(&with(Retention { notices: days(30), ..Retention::default() })).await.unwrap(), [0, 0, 0, notices as usize, 0]);
    assert!(notices > 0 && count("select count(*) from notice").await == 0);

    assert_eq!(count(signed_in).await, 1);
    assert_eq!(erase::retain(&with(Retention { sign_ins: days(30), ..Retention::default() })).await.unwrap()[2], 1);
    assert_eq!(count(signed_in).await, 0);

    assert!(!telling(world, &["Zanzibar", "quarterly riddle"]).await.is_empty());
    let done = erase::retain(&with(Retention { requests: days(30), ..Retention::default() })).await.unwrap();
    assert_eq!((done[1], done[0]), (2, 0));
    assert_eq!(telling(world, &["Zanzibar", "quarterly riddle", "OV-998877"]).await, Vec::<String>::new());
    assert!(!telling(world, &["Bo Lind"]).await.is_empty(), "who it was stays");

    // By the timetable, once a day.
    let people = with(Retention { people: days(30), ..Retention::default() });
    step::daily(&people).await.unwrap();
    assert_eq!(telling(world, &["Bo Lind", "bo.lind"]).await, Vec::<String>::new());
    let erased = "select count(*) from audit_event where kind = 'person.erased'";
    assert_eq!(count(erased).await, count("select count(*) from person where status <> 'active'").await, "everybody who has left, and nobody else");
    step::daily(&people).await.unwrap();
    assert_eq!(count(erased).await, count("select count(*) from person where status <> 'active'").await, "once");
    let (list, text) = sealed.list().await;
    assert!(check(&list, &text).unwrap().erased > 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn erasing_changes_nothing_but_personal_text_whoever_tries() {
    let sealed = Sealed::new().await;
    let world = &sealed.world;
    past(world).await;
    let bo = world.person("bo.lind").await;
    let said = format!(
        "insert into audit_event (kind, actor_kind, channel, person_id, data) values ('person.erased', 'system', 'cli', '{bo}', '{{\"reason\": \"x\"}}');"
    );
    let attempt = async |role: &str, sql: String| {
        let mut tx = world.root.begin().await.unwrap();
        tx.execute(sqlx::AssertSqlSafe(format!("set local role {role}"))).await.unwrap();
        tx.execute(sqlx::AssertSqlSafe(sql)).await.err().map(|error| error.to_string()).unwrap_or_default()
    };
    let refused = async |role: &str, sql: String, says: &str| {
        let error = attempt(role, sql.clone()).await;
        assert!(error.contains(says), "{role}: {sql}: {error:?}, not {says:?}");
    };
    let erase = format!("select erase_person('{bo}')");
    refused("countersign_app", format!("{said}{erase}"), "only who has left").await;
    leaves(world, "bo.lind").await;
    let stated = sqlx::query_scalar::<_, i64>("select count(*) from audit_event where erased is not null");
    refused("countersign_app", erase.clone(), "without an event").await;
    refused("countersign_app", "select erase_requests(clock(), 10)".into(), "without an event").await;
    refused("countersign_app", "select erase_sign_ins(clock(), 10)".into(), "without an event").await;
    refused("countersign_app", "select forget_notices(clock(), 10)".into(), "without an event").await;
    refused("countersign_auditor", erase.clone(), "permission denied").await;
    refused("countersign_app", format!("{said}update audit_event set actor_name = '(erased)'"), "permission denied").await;
    refused("countersign_app", format!("{said}update approval set comment = null"), "permission denied").await;
    refused("countersign_app", format!("{said}update request set justification = null"), "permission denied").await;
    // As the guard itself, which nobody is: still only an erasure, with the commitment that is in force, and with its event.
    let one = "where kind = 'request.submitted'";
    let right = |set: &str| {
        format!(
            "update audit_event e set ({set}) = (select {} from erased_event(e, array['/actor_name']) x) {one}",
            set.split(", ").map(|c| format!("x.{c}")).collect::<Vec<_>>().join(", ")
        )
    };
    let all = "actor_name, data, salt, erased";
    refused("countersign_guard", format!("{said}{}", right(all)), "permission denied for table audit_event").await;
    let said = |sql: String| format!("set local role countersign_app; {said} set local role countersign_guard; {sql}");
    let as_guard = async |sql: String| {
        let mut tx = world.root.begin().await.unwrap();
        tx.execute(sqlx::AssertSqlSafe(sql)).await.err().map(|error| error.to_string()).unwrap_or_default()
    };
    assert_eq!(as_guard(said(right(all))).await, "", "the right erasure passes");
    for (wrong, why) in [
        (right(all).replace("countersign_app", ""), "append-only"),
        (format!("update audit_event set actor_name = 'Mallory' {one}"), "append-only"),
        (format!("update audit_event set data = data || '{{\"risk\": \"low\"}}' {one}"), "append-only"),
        (
            format!(
                "{} and false; update audit_event e set salt = null, erased = jsonb_build_object('/actor_name', jsonb_build_object('commitment', repeat('0', 64))) {one}",
                right(all)
            ),
            "append-only",
        ),
        (
            format!(
                "update audit_event e set (actor_name, data, salt, erased) = (select x.actor_name, x.data || '{{\"risk\": \"low\"}}', x.salt, x.erased from erased_event(e, array['/actor_name']) x) {one}"
            ),
            "append-only",
        ),
        (
            format!(
                "update audit_event e set (actor_name, data, salt, erased) = (select x.actor_name, x.data, x.salt, x.erased || '{{\"/actor_name\": {{\"commitment\": \"00\"}}}}' from erased_event(e, array['/actor_name']) x) {one}"
            ),
            "append-only",
        ),
        ("update approval set verdict = 'approve'".into(), "permission denied"),
        ("update request set status = 'approved'".into(), "permission denied"),
        ("delete from audit_event".into(), "permission denied"),
    ] {
        let (without, with) = (as_guard(format!("set local role countersign_guard; {wrong}")).await, as_guard(said(wrong.clone())).await);
        assert!(without.contains(why), "{wrong}: {without}");
        assert!(with.contains(why) || wrong == right(all), "{wrong}: {with}");
    }
    assert_eq!(stated.fetch_one(&world.root).await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_told_of_where_something_is_held_is_not_erased_until_it_is_lifted() {
    let sealed = Sealed::new().await;
    let (world, ctx) = (&sealed.world, &sealed.ctx);
    let (denied, _) = past(world).await;
    let (bo, mara) = (world.person("bo.lind").await, world.person("mara.voss").await);
    leaves(world, "mara.voss").await;
    let before = refused(erase::erase(ctx, OPERATOR, mara, "asked for it").await);
    assert!(!before.contains("held"), "{before}");
    let asked = telling(world, &["Which rows, Bo Lind?"]).await;
    for (of, says) in [(Held::Person(bo), "tells of them"), (Held::Request(denied), denied.to_string().as_str())] {
        let hold = erase::hold(ctx, OPERATOR, of, "a court asked").await.unwrap();
        let why = refused(erase::erase(ctx, OPERATOR, mara, "asked for it").await);
        assert!(why.contains(says) && why.contains("held since"), "{why}");
        // Nor by whoever has the application's password, who lifts it first, as of last year.
        let erases = said_to_erase(mara);
        assert!(as_application(world, erases.clone()).await.contains("told of where something is held"));
        let lifts = format!(
            "insert into audit_event (kind, actor_kind, channel, person_id, request_id, data)
               select 'hold.lifted', 'system', 'cli', person_id, request_id, '{{\"hold\": \"{hold}\", \"reason\": \"x\"}}' from legal_hold where id = '{hold}';
             update legal_hold set lifted_at = '2020-01-01' where id = '{hold}'"
        );
        assert_eq!(as_application(world, lifts.clone()).await, "", "it may be lifted");
        assert!(as_application(world, format!("{lifts}; {erases}")).await.contains("told of where something is held"), "and still holds");
        erase::lift(ctx, OPERATOR, hold, "the court is done").await.unwrap();
        world.advance(Duration::hours(25)).await;
    }
    assert_eq!(telling(world, &["Which rows, Bo Lind?"]).await, asked, "not a letter of it went");
    assert!(!refused(erase::erase(ctx, OPERATOR, mara, "asked for it").await).contains("held"));
    // No hold slips in while somebody is being erased.
    leaves(world, "bo.lind").await;
    let mut erasing = world.root.begin().await.unwrap();
    erasing.execute("set local role countersign_app").await.unwrap();
    erasing.execute(sqlx::AssertSqlSafe(format!("select * from hindrances('{bo}')"))).await.unwrap();
    let placed = format!(
        "set local lock_timeout = '300ms'; insert into legal_hold (id, person_id, reason, placed_at) values (gen_random_uuid(), '{}', 'x', clock())",
        world.person("hana.sato").await
    );
    assert!(as_application(world, placed).await.contains("lock timeout"));
    erasing.rollback().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn erasing_never_changes_what_a_rule_asks_for() {
    let sealed = Sealed::new().await;
    let (world, ctx) = (&sealed.world, &sealed.ctx);
    past(world).await;
    let asks = "select md5(string_agg(c::text, '|' order by c::text)) from (
        select policy_version_id, rule, position, attribute, operator, \"values\" from access_policy_condition
        union all select profile_version_id, rule, position, attribute, operator, \"values\" from access_profile_condition
        union all select procedure_version_id, step, position, attribute, operator, \"values\" from approval_procedure_condition) c";
    let bo = world.person("bo.lind").await;
    let address: String = world.one("select upper(email) from person where user_name = 'bo.lind'").await;
    for rule in ["reports to bo.lind", "user_name is bo.lind", &format!("email is {address}")] {
        world.apply(&catalog().replacen("for = [\"department is Support\"]", &format!("for = [\"{rule}\", \"department is Support\"]"), 1)).await;
        let why: Vec<String> = sqlx::query_scalar("select * from hindrances($1)").bind(bo.0).fetch_all(&world.root).await.unwrap();
        assert!(why.iter().any(|why| why.ends_with("names them; change it first")), "{rule}: {why:?}");
    }
    leaves(world, "bo.lind").await;
    let why = refused(erase::erase(ctx, OPERATOR, bo, "asked for it").await);
    assert!(why.contains("names them; change it first") && why.contains("the p"), "{why}");
    assert!(as_application(world, said_to_erase(bo)).await.contains("named by a rule in force"));

    world.apply(&catalog()).await;
    let before: String = world.one(asks).await;
    let erased = erase::erase(ctx, OPERATOR, bo, "asked for it").await.unwrap();
    assert_eq!(world.one::<String>(asks).await, before);
    assert!(erased.stays.iter().any(|kept| kept.contains("asks for them: what was decided under it is judged by it")), "{:?}", erased.stays);
    assert_eq!(world.one::<i64>("select count(*) from access_profile_condition where array_to_string(called, ' ') like '%bo.lind%'").await, 0);
    assert!(replay::all(ctx).await.unwrap().is_empty());
    let (list, text) = sealed.list().await;
    check(&list, &text).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_is_a_word_or_somebody_elses_takes_nothing_with_it() {
    let sealed = Sealed::new().await;
    let (world, ctx) = (&sealed.world, &sealed.ctx);
    past(world).await;
    let bo = world.person("bo.lind").await;
    let wish = AskFor {
        duration: Some(Seconds(HOUR)),
        justification: Some("As al. and Hana Sato wrote.".into()),
        ..AskFor::new(world.role("orders-db", "reader").await)
    };
    ask(&world.ctx, &world.by("hana.sato").await, wish).await.unwrap();
    leaves(world, "bo.lind").await;
    // A thief calls the one who left by the name of another first.
    assert_eq!(as_application(world, format!("update person set user_name = 'al', display_name = 'Hana Sato' where id = '{bo}'")).await, "");
    sqlx::query("update person set user_name = 'al', display_name = 'Hana Sato' where id = $1").bind(bo.0).execute(&world.root).await.unwrap();
    let hana = telling(world, &["Hana Sato"]).await.len();
    let erased = erase::erase(ctx, OPERATOR, bo, "asked for it").await.unwrap();
    assert!(erased.stays.iter().any(|kept| kept.contains("“al”, which is too short")), "{:?}", erased.stays);
    assert!(erased.stays.iter().any(|kept| kept.contains("“Hana Sato”, as somebody else")), "{:?}", erased.stays);
    assert!(!telling(world, &["As al. and Hana Sato wrote."]).await.is_empty());
    assert_eq!(telling(world, &["Hana Sato"]).await.len(), hana - 1, "but for the row of who was erased");
    assert_eq!(telling(world, &["Bo Lind", "quarterly riddle"]).await, Vec::<String>::new(), "what the log called them goes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_made_a_leaver_by_whoever_has_the_applications_password() {
    let sealed = Sealed::new().await;
    let world = &sealed.world;
    past(world).await;
    let bo = world.person("bo.lind").await;
    let disabled = format!("update person set status = 'disabled' where id = '{bo}'");
    assert!(as_application(world, format!("{disabled}; {}", said_to_erase(bo))).await.contains("only who has left"));
    // With a row that says so, they would have to wait an hour; whoever is active meanwhile is back.
    let mut tx = world.root.begin().await.unwrap();
    tx.execute("set local role countersign_app").await.unwrap();
    tx.execute(sqlx::AssertSqlSafe(format!(
        "{disabled}; insert into audit_event (kind, actor_kind, channel, person_id, data) values ('person.changed', 'system', 'system', '{bo}', '{{\"old\": \"active\", \"new\": \"disabled\"}}');
         insert into leaver (id, person_id, status, detected_at, grants_at_detection, sla_hours, event_id, next_at)
           values (gen_random_uuid(), '{bo}', 'disabled', clock(), 0, 24, (select max(id) from audit_event), clock())"
    )))
    .await
    .unwrap();
    tx.commit().await.unwrap();
    assert!(as_application(world, said_to_erase(bo)).await.contains("only who has left"));
    world.advance(Duration::minutes(6)).await;
    world.turn().await;
    assert_eq!(world.one::<i64>("select count(*) from leaver where returned_at is not null").await, 1, "the directory was read meanwhile");
    world.advance(Duration::minutes(61)).await;
    assert!(as_application(world, format!("{disabled}; {}", said_to_erase(bo))).await.contains("only who has left"));
    assert!(as_application(world, "update leaver set returned_at = null".into()).await.contains("permission denied"));
}
