//! Every way of asking, and what becomes of it.

use chrono::Duration;
use countersign::domain::approval::Answer;
use countersign::domain::refusal::Refusal;
use countersign::domain::request::RequestStatus;
use countersign::domain::span::Seconds;
use countersign::service::ask::AskFor;
use countersign::service::confirm::confirm;
use countersign::service::decline::decline;
use countersign::service::error::ServiceError;
use countersign::service::look::beside::of_request;
use countersign::service::preview::preview;
use countersign::service::reevaluate::again;
use countersign::service::sign_off::{SignOff, note};
use countersign::service::sync::sync;
use countersign::service::withdraw::withdraw;

use crate::lab::{LAB, fields, good_form, refusal};
use crate::world::World;

const YES: Answer = Answer::Approve { granted: None };
const HOUR: i64 = 3_600;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_form_says_what_is_wrong_at_each_field_and_a_good_one_is_kept() {
    let world = World::lab().await;
    let good = AskFor {
        justification: Some("I need it because of the audit.".into()),
        ticket_reference: Some("LAB-7".into()),
        fields: good_form(),
        ..world.wish("lab", "form").await
    };
    let with = |key: &str, value: &str| {
        let mut wish = good.clone();
        wish.fields.insert(key.into(), value.into());
        wish
    };
    for (wish, field, says) in [
        (with("case", "a case that is far too long"), "field_case", "At most 12 characters"),
        (with("case", " "), "field_case", "Case is needed."),
        (with("region", "east"), "field_region", "Choose one of these: north, south."),
        (with("since", "31.3.2026"), "field_since", "year-month-day"),
        (with("rows", "many"), "field_rows", "whole number"),
        (with("rows", "501"), "field_rows", "At most 500."),
        (with("rows", "0"), "field_rows", "At least 1."),
        (with("personal", "perhaps"), "field_personal", "yes or no"),
        (with("colour", "red"), "field_colour", "no such field"),
        (with("Bad Key", "x"), "fields", "no policy uses"),
        (with("case", "a\u{0}b"), "field_case", "cannot be shown"),
        (AskFor { justification: Some("Just so, please.".into()), ..good.clone() }, "justification", "Say because of what."),
        (AskFor { justification: Some("because".into()), ..good.clone() }, "justification", "at least 10"),
        (AskFor { ticket_reference: Some("OV-7".into()), ..good.clone() }, "ticket_reference", "A ticket is LAB- and a number."),
        (AskFor { duration: Some(Seconds(60)), ..good.clone() }, "duration", "The shortest is 1 hour"),
        (AskFor { duration: Some(Seconds(31 * 86_400)), ..good.clone() }, "duration", "The longest is 30 days"),
        (AskFor { starts_at: Some(world.now() + Duration::days(8)), ..good.clone() }, "starts_at", "At most 1 week ahead"),
    ] {
        let found = fields(world.asks("bo.lind", wish).await);
        assert!(found.iter().any(|(name, sentence)| name == field && sentence.contains(says)), "{field} {says}: {found:?}");
    }
    assert_eq!(world.one::<i64>("select count(*) from countersign.request").await, 0, "nothing was written");

    let later = world.now() + Duration::days(2);
    let asked = world.asks("bo.lind", AskFor { duration: None, starts_at: Some(later), ..good }).await.unwrap();
    assert_eq!(asked.status, RequestStatus::Pending, "access without end is allowed here");
    let kept: String = world.one("select fields from countersign.request").await;
    assert_eq!(kept, r#"{"case":"C-4711","personal":"no","region":"north","rows":"12","since":"2026-03-31"}"#);
    let beside = of_request(&world.ctx, &world.by("mara.voss").await, asked.id).await.unwrap();
    assert_eq!(beside.fields[0], ("Case".to_owned(), "C-4711".to_owned()), "shown by label, in the order of the policy");
    let plain = AskFor { starts_at: Some(world.now() + Duration::hours(1)), ..world.wish("pay", "read").await };
    let found = fields(world.asks("bo.lind", plain).await);
    assert!(found[0].1.contains("A later start is not offered here"), "{found:?}");
    let endless = AskFor { duration: None, ..world.wish("pay", "read").await };
    assert!(fields(world.asks("bo.lind", endless).await)[0].1.contains("access without end is not offered"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_manager_asks_for_a_report_who_confirms_and_only_then_is_anybody_asked() {
    let world = World::lab().await;
    let bo = world.person("bo.lind").await;
    let wish = AskFor { beneficiary: Some(bo), ..world.wish("lab", "others").await };
    // Ines is above Bo's manager's manager; Liam is nobody to Bo; the owner may too.
    for (who, may) in [("liam.byrne", false), ("sofia.marin", false), ("wei.zhang", false), ("mei.tanaka", false)] {
        assert_eq!(refusal(world.asks(who, wish.clone()).await) == Refusal::NotForOthers, !may, "{who}");
        assert!(
            matches!(preview(&world.ctx, &world.by(who).await, &wish).await, Err(ServiceError::Refused(Refusal::NotForOthers))),
            "{who} learns nothing of them"
        );
    }
    let nobody = AskFor { beneficiary: Some(uuid::Uuid::now_v7().into()), ..wish.clone() };
    assert_eq!(refusal(world.asks("liam.byrne", nobody).await), Refusal::NotForOthers, "nor whether they are there");

    let asked = world.asks("ines.okafor", wish.clone()).await.unwrap();
    assert_eq!(asked.status, RequestStatus::Submitted, "at any depth");
    assert_eq!(world.one::<i64>("select count(*) from countersign.assignment where open").await, 0);
    assert_eq!(world.notices_of("bo.lind").await, ["confirm"]);
    let by = world.by("bo.lind").await;
    assert_eq!(refusal(confirm(&world.ctx, &world.by("ines.okafor").await, asked.id).await), Refusal::NotBeneficiary);
    assert!(matches!(confirm(&world.ctx, &world.by("liam.byrne").await, asked.id).await, Err(ServiceError::Missing)));
    assert_eq!(refusal(world.asks("bo.lind", world.wish("lab", "others").await).await), Refusal::AlreadyOpen);
    let done = confirm(&world.ctx, &by, asked.id).await.unwrap();
    assert_eq!((done.status, done.step_no), (RequestStatus::Pending, Some(1)));
    assert!(refusal(confirm(&world.ctx, &by, asked.id).await).is_conflict(), "once");
    assert_eq!(refusal(world.answer("ines.okafor", asked.id, YES).await), Refusal::OwnRequest, "whoever asked does not approve");
    assert_eq!(world.answer("arjun.mehta", asked.id, YES).await.unwrap().status, RequestStatus::Approved);
    world.turn().await;
    assert!(world.is_member("bo.lind", "orders-db-writers").await);
    assert_eq!(world.history(asked.id.0).await[..4], ["request.submitted", "request.confirmed", "request.step_opened", "approval.given"]);

    // Asked for by somebody, withdrawn by either.
    let yusuf = AskFor { beneficiary: Some(world.person("yusuf.demir").await), ..world.wish("lab", "others").await };
    for who in ["yusuf.demir", "mara.voss"] {
        let asked = world.asks("mara.voss", yusuf.clone()).await.unwrap();
        withdraw(&world.ctx, &world.by(who).await, asked.id, None).await.unwrap();
        assert!(refusal(confirm(&world.ctx, &world.by("yusuf.demir").await, asked.id).await).is_conflict());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_policy_approves_by_itself_is_given_when_it_is_confirmed_and_not_before() {
    let world = World::lab().await;
    let wish = AskFor { beneficiary: Some(world.person("bo.lind").await), ..world.wish("lab", "at-once").await };
    let asked = world.asks("mara.voss", wish.clone()).await.unwrap();
    assert_eq!(asked.status, RequestStatus::Submitted);
    world.turn().await;
    assert_eq!(world.one::<i64>("select count(*) from countersign.access_grant").await, 0);
    assert_eq!(confirm(&world.ctx, &world.by("bo.lind").await, asked.id).await.unwrap().status, RequestStatus::Approved);
    world.turn().await;
    assert!(world.is_member("bo.lind", "warehouse-analysts").await);
    assert_eq!(world.history(asked.id.0).await[..4], ["request.submitted", "request.confirmed", "request.auto_approved", "grant.created"]);
    // The owner may not here: the policy lets managers only.
    let priya = AskFor { beneficiary: Some(world.person("malik.johnson").await), ..wish };
    assert_eq!(refusal(world.asks("arjun.mehta", priya).await), Refusal::NotForOthers);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_confirms_is_closed_in_time_and_with_who_left() {
    let world = World::lab().await;
    let others = world.wish("lab", "others").await;
    let (bo, yusuf) = (world.person("bo.lind").await, world.person("yusuf.demir").await);
    let slow = world.asks("mara.voss", AskFor { beneficiary: Some(bo), ..others.clone() }).await.unwrap();
    let gone = world.asks("mara.voss", AskFor { beneficiary: Some(yusuf), ..others.clone() }).await.unwrap();
    world.set_active("yusuf.demir", false).await;
    sync(&world.ctx, "main").await.unwrap();
    assert_eq!(world.stands(gone.id).await, "withdrawn");
    assert_eq!(world.history(gone.id.0).await.last().unwrap(), "request.closed");
    world.advance(Duration::days(13)).await;
    world.turn().await;
    assert_eq!(world.stands(slow.id).await, "submitted");
    world.advance(Duration::days(1) + Duration::seconds(1)).await;
    world.turn().await;
    assert_eq!(world.stands(slow.id).await, "timed_out");
    assert_eq!(world.history(slow.id.0).await, ["request.submitted", "request.timed_out"]);
    assert_eq!(world.notices_of("mara.voss").await, ["closed", "unconfirmed"], "that yusuf left, too");
    assert!(refusal(confirm(&world.ctx, &world.by("bo.lind").await, slow.id).await).is_conflict());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_changed_before_it_was_confirmed_is_not_confirmed() {
    let world = World::lab().await;
    let bo = world.by("bo.lind").await;
    let wish = AskFor { beneficiary: Some(bo.person), ..world.wish("lab", "others").await };
    let asked = world.asks("mara.voss", wish.clone()).await.unwrap();
    world.lab_but("name = \"Others\"\ndescription", "name = \"Others, renamed\"\ndescription").await;
    assert!(matches!(refusal(confirm(&world.ctx, &bo, asked.id).await), Refusal::NotAsBefore(_)));
    let next = again(&world.ctx, &world.by("mara.voss").await, asked.id).await.unwrap();
    assert_eq!((next.status, world.stands(asked.id).await.as_str()), (RequestStatus::Submitted, "withdrawn"));
    confirm(&world.ctx, &bo, next.id).await.unwrap();
    world.set_active("bo.lind", false).await;
    assert!(world.answer("arjun.mehta", next.id, YES).await.is_err(), "who was disabled meanwhile gets nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_time_has_limits_and_a_procedure_of_its_own_and_can_be_declined() {
    let world = World::lab().await;
    let base = AskFor { justification: Some("Once more because of the audit.".into()), fields: good_form(), ..world.wish("lab", "form").await };
    let first = world.asks("bo.lind", AskFor { duration: Some(Seconds(4 * HOUR)), ..base.clone() }).await.unwrap();
    world.answer("mara.voss", first.id, YES).await.unwrap();
    world.turn().await;
    let (grant, _) = world.grant(first.id).await;
    let more = |seconds| AskFor { duration: Some(Seconds(seconds)), extension_of: Some(grant), ..base.clone() };
    assert!(matches!(refusal(world.asks("bo.lind", more(HOUR)).await), Refusal::NotExtendable(why) if why.contains("last 25 %")), "only late in the period");
    world.advance(Duration::hours(3) + Duration::minutes(5)).await;
    assert!(fields(world.asks("bo.lind", more(2 * 86_400)).await)[0].1.contains("The longest is 1 day"), "limits of its own");

    let bo = world.by("bo.lind").await;
    assert!(matches!(decline(&world.ctx, &world.by("mara.voss").await, grant, true).await, Err(ServiceError::Missing)), "the holder's own");
    decline(&world.ctx, &bo, grant, true).await.unwrap();
    decline(&world.ctx, &bo, grant, true).await.unwrap();
    assert!(matches!(refusal(world.asks("bo.lind", more(HOUR)).await), Refusal::NotExtendable(why) if why.contains("not to be extended")));
    decline(&world.ctx, &bo, grant, false).await.unwrap();
    let told: i64 = world.one("select count(*) from countersign.audit_event where kind = 'grant.extension_declined'").await;
    assert_eq!(told, 2, "said once, taken back once");

    let second = world.asks("bo.lind", more(2 * HOUR)).await.unwrap();
    assert_eq!(world.answer("arjun.mehta", second.id, YES).await.unwrap().status, RequestStatus::Approved, "the owner is asked, not the manager");
    world.turn().await;
    world.advance(Duration::minutes(56)).await;
    world.turn().await;
    assert!(world.is_member("bo.lind", "orders-db-readers").await, "one follows the other");
    let (grant, status) = world.grant(second.id).await;
    assert_eq!(status, "active");
    world.advance(Duration::minutes(100)).await;
    let third = AskFor { extension_of: Some(grant), ..more(HOUR) };
    assert!(matches!(refusal(world.asks("bo.lind", third).await), Refusal::NotExtendable(why) if why.contains("1 time in a row")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_changed_since_it_was_asked_keeps_it_from_being_approved_and_is_asked_again() {
    let world = World::lab().await;
    let wish = AskFor { justification: Some("Read because of the audit.".into()), fields: good_form(), ..world.wish("lab", "form").await };
    let asked = world.asks("bo.lind", wish).await.unwrap();
    assert_eq!(refusal(again(&world.ctx, &world.by("bo.lind").await, asked.id).await), Refusal::NothingChanged);
    for (from, to, what, before, after) in [
        ("maximum = \"30d\", choices = [\"1h\", \"2h\", \"1d\"]", "maximum = \"20d\", choices = [\"1h\", \"2h\", \"1d\"]", "Policy Form", "30 days", "20 days"),
        ("description = \"Asks for a lot.\"\nrisk = \"low\"", "description = \"Asks for a lot.\"\nrisk = \"critical\"", "Risk", "low", "critical"),
        ("name = \"Form\"\ndescription", "name = \"Formula\"\ndescription", "Role", "Form", "Formula"),
        ("group = \"orders-db-readers\"", "group = \"security\"", "What it gives", "group", "group"),
        ("owner = \"arjun.mehta\"", "owner = \"hana.sato\"", "Owner of the application", "Arjun Mehta", "Hana Sato"),
        ("policy = \"form\"", "policy = \"plain\"", "Which policy governs", "Form, version", "Plain"),
    ] {
        world.lab_but(from, to).await;
        let beside = of_request(&world.ctx, &world.by("mara.voss").await, asked.id).await.unwrap();
        let change = beside.changed.iter().find(|change| change.what == what).unwrap_or_else(|| panic!("{what}: {:?}", beside.changed));
        assert!(change.before.contains(before) && change.after.contains(after) && change.before != change.after, "{change:?}");
        assert!(beside.can.again);
        assert_eq!(refusal(world.answer("mara.voss", asked.id, YES).await), Refusal::RulesChanged, "{what}");
    }
    // Back to what it was is a newer version of the policy still.
    world.apply(LAB).await;
    assert_eq!(refusal(world.answer("mara.voss", asked.id, YES).await), Refusal::RulesChanged);
    assert!(matches!(again(&world.ctx, &world.by("liam.byrne").await, asked.id).await, Err(ServiceError::Missing)));
    let next = again(&world.ctx, &world.by("mara.voss").await, asked.id).await.unwrap();
    assert_eq!((world.stands(asked.id).await.as_str(), next.status), ("withdrawn", RequestStatus::Pending));
    let (requester, supersedes, fields): (uuid::Uuid, uuid::Uuid, String) =
        sqlx::query_as("select requester_id, supersedes, fields from countersign.request where id = $1").bind(next.id.0).fetch_one(&world.root).await.unwrap();
    assert_eq!((requester, supersedes), (world.person("bo.lind").await.0, asked.id.0), "the requester stays who they were");
    assert!(fields.contains("C-4711"));
    let (actor, changes): (uuid::Uuid, serde_json::Value) =
        sqlx::query_as("select actor_id, data -> 'changes' from countersign.audit_event where kind = 'request.superseded'")
            .fetch_one(&world.root)
            .await
            .unwrap();
    assert_eq!(actor, world.person("mara.voss").await.0, "and who pressed is on record");
    assert!(changes[0].as_str().unwrap().starts_with("Policy Form: version 1"), "{changes}");
    assert_eq!(world.answer("mara.voss", next.id, YES).await.unwrap().status, RequestStatus::Approved);
    assert!(refusal(again(&world.ctx, &world.by("bo.lind").await, asked.id).await).is_conflict(), "the old one is closed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sign_off_given_elsewhere_is_kept_and_opens_no_step() {
    let world = World::lab().await;
    let asked = world.asks("bo.lind", world.wish("pay", "read").await).await.unwrap();
    let said = SignOff {
        given_by: "Mara, on the phone".into(),
        given_at: Some(world.now() - Duration::hours(1)),
        reference: "Call 17".into(),
        note: Some("Go.".into()),
    };
    assert!(matches!(note(&world.ctx, &world.by("liam.byrne").await, asked.id, &said).await, Err(ServiceError::Missing)));
    assert_eq!(refusal(note(&world.ctx, &world.by("wei.zhang").await, asked.id, &said).await), Refusal::NotInvolved, "auditors change nothing");
    for who in ["bo.lind", "mara.voss", "grace.mbeki"] {
        note(&world.ctx, &world.by(who).await, asked.id, &said).await.unwrap();
    }
    let empty = fields(
        note(&world.ctx, &world.by("bo.lind").await, asked.id, &SignOff { given_at: Some(world.now() + Duration::hours(1)), ..SignOff::default() }).await,
    );
    assert_eq!(empty.iter().map(|(field, _)| field.as_str()).collect::<Vec<_>>(), ["given_by", "reference", "given_at"]);
    assert_eq!(world.stands(asked.id).await, "pending");
    assert_eq!(world.one::<i64>("select count(*) from countersign.approval").await, 0);
    assert_eq!(world.one::<i64>("select count(*) from countersign.access_grant").await, 0);
    let beside = of_request(&world.ctx, &world.by("mara.voss").await, asked.id).await.unwrap();
    assert_eq!((beside.sign_offs.len(), beside.sign_offs[0].reference.as_str()), (3, "Call 17"));
    assert_eq!(world.answer("mara.voss", asked.id, YES).await.unwrap().status, RequestStatus::Approved, "who may approve still has to");
    assert!(refusal(note(&world.ctx, &world.by("bo.lind").await, asked.id, &said).await).is_conflict());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn why_not_names_every_condition_and_what_would_help() {
    let world = World::lab().await;
    let wish = world.wish("lab", "books").await;
    let (considered, _) = preview(&world.ctx, &world.by("bo.lind").await, &wish).await.unwrap();
    let why = countersign::service::look::ask::why_not(&world.ctx, &considered).await.unwrap().unwrap();
    let unmet: Vec<_> = why.help.unmet.iter().map(|unmet| (unmet.sentence.as_str(), unmet.said.as_deref().unwrap_or_default(), unmet.at.is_some())).collect();
    assert_eq!(
        unmet,
        [
            ("You must be in department Finance", "The directory main says Data", true),
            ("You must have a cost code", "The directory main does not say your cost code", true),
        ]
    );
    assert!(why.reason.contains("the directory does not say your cost code"), "{}", why.reason);
    let others: Vec<_> = why.help.alternatives.iter().map(|other| (other.role.role.as_str(), other.same)).collect();
    assert_eq!(others[0], ("Books too", true), "the role that gives the same comes first");
    assert!(others.iter().skip(1).all(|(_, same)| !same) && others.len() > 1, "{others:?}");
    assert!(why.help.ask.iter().any(|sentence| sentence.contains("your manager, Mara Voss")), "{:?}", why.help.ask);
    assert!(why.help.ask.iter().any(|sentence| sentence.contains("Arjun Mehta owns this role")));

    // About somebody else in words about them.
    let theirs = AskFor { beneficiary: Some(world.person("bo.lind").await), ..world.wish("lab", "others").await };
    world.lab_but("key = \"others\"\nname = \"Others\"\nprofile = \"everybody\"", "key = \"others\"\nname = \"Others\"\nprofile = \"finance\"").await;
    let (considered, _) = preview(&world.ctx, &world.by("mara.voss").await, &theirs).await.unwrap();
    let why = countersign::service::look::ask::why_not(&world.ctx, &considered).await.unwrap().unwrap();
    assert!(why.reason.starts_with("They must be in department Finance") && !why.reason.to_lowercase().contains("your "), "{}", why.reason);
    assert!(why.help.unmet.iter().all(|unmet| !unmet.sentence.contains("You ")), "{:?}", why.help.unmet);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_came_under_another_policy_meanwhile_is_not_approved_under_the_old_one() {
    let world = World::empty().await;
    world.turn().await;
    let stricter = LAB
        .replace("[[policy]]\nkey = \"plain\"", "[[policy]]\nkey = \"strict\"\nname = \"Strict\"\nfor = [\"groups include dba\"]\nprofile = \"finance\"\nprocedure = \"exception\"\ndurations = { maximum = \"1h\" }\njustification = { required = false }\n\n[[policy]]\nkey = \"plain\"")
        .replace("default_policies = [\"plain\"]", "default_policies = [\"strict\", \"plain\"]")
        .replace("name = \"Make payments\"\ndescription = \"One half.\"\nrisk = \"elevated\"\ngroup = \"support-console\"\npolicy = \"plain\"", "name = \"Make payments\"\ndescription = \"One half.\"\nrisk = \"elevated\"\ngroup = \"support-console\"");
    world.apply(&stricter).await;
    let (group, bo) = (world.group("dba").await, world.reference("bo.lind").await);
    let join = async |joins: bool| match joins {
        true => drop(world.directory().add(&group, &bo).await),
        false => drop(world.directory().remove(&group, &bo).await),
    };
    let asked = world.asks("bo.lind", world.wish("pay", "make").await).await.unwrap();
    join(true).await;
    assert!(
        matches!(refusal(world.answer("mara.voss", asked.id, YES).await), Refusal::NoLongerEligible(_, why) if why.contains("finance")),
        "the rules of now keep him out"
    );
    world.apply(&stricter.replace("profile = \"finance\"\nprocedure = \"exception\"", "profile = \"everybody\"\nprocedure = \"exception\"")).await;
    world.answer("mara.voss", asked.id, Answer::Deny).await.unwrap();

    join(false).await;
    let asked = world.asks("bo.lind", world.wish("pay", "make").await).await.unwrap();
    join(true).await;
    assert!(
        matches!(refusal(world.answer("mara.voss", asked.id, YES).await), Refusal::NoLongerEligible(_, why) if why.contains("Strict")),
        "others are asked now"
    );
    join(false).await;
    assert_eq!(world.answer("mara.voss", asked.id, YES).await.unwrap().status, RequestStatus::Approved);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_revoked_is_not_extended_by_a_request_that_was_open() {
    let world = World::lab().await;
    let base = AskFor { justification: Some("Once more because of the audit.".into()), fields: good_form(), ..world.wish("lab", "form").await };
    let first = world.asks("bo.lind", AskFor { duration: Some(Seconds(4 * HOUR)), ..base.clone() }).await.unwrap();
    world.answer("mara.voss", first.id, YES).await.unwrap();
    world.turn().await;
    let (grant, _) = world.grant(first.id).await;
    world.advance(Duration::hours(3) + Duration::minutes(5)).await;
    let more = world.asks("bo.lind", AskFor { duration: Some(Seconds(HOUR)), extension_of: Some(grant), ..base }).await.unwrap();
    countersign::service::end::end(&world.ctx, &world.by("arjun.mehta").await, grant, true, Some("Misused.")).await.unwrap();
    world.turn().await;
    assert!(matches!(refusal(world.answer("arjun.mehta", more.id, YES).await), Refusal::NotExtendable(why) if why.contains("revoked")));
    world.answer("arjun.mehta", more.id, Answer::Deny).await.unwrap();
    assert!(!world.is_member("bo.lind", "orders-db-readers").await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_separation_that_came_meanwhile_is_not_dodged_by_what_was_asked_before() {
    let world = World::empty().await;
    world.turn().await;
    let rule = "[[separation]]\nkey = \"four-eyes\"\nname = \"Make and release\"\na = [\"pay/make\"]\nb = [\"pay/release\"]\n";
    assert!(LAB.contains(rule));
    world.apply(&LAB.replace(rule, "")).await;
    let make = world.asks("bo.lind", world.wish("pay", "make").await).await.unwrap();
    let release = world.asks("bo.lind", world.wish("pay", "release").await).await.unwrap();
    world.apply(LAB).await;
    for asked in [make.id, release.id] {
        assert_eq!(refusal(world.answer("mara.voss", asked, YES).await), Refusal::RulesChanged);
    }
    let beside = of_request(&world.ctx, &world.by("mara.voss").await, make.id).await.unwrap();
    assert!(
        beside.can.again && beside.changed.iter().any(|change| change.what.contains("Make and release") && change.after.starts_with("version 1")),
        "{:?}",
        beside.changed
    );
    let next = again(&world.ctx, &world.by("mara.voss").await, make.id).await.unwrap();
    assert_eq!((next.status, next.deciding_rule.as_str()), (RequestStatus::Refused, "separation four-eyes v1"));
}
