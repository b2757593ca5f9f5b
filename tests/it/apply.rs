//! Policies as code: plan, apply, what the tables then hold.

use std::sync::Arc;

use countersign::directory::http;
use countersign::directory::port::Directory;
use countersign::directory::scim::Scim;
use countersign::domain::event::{Actor, Channel};
use countersign::domain::id::{PolicyVersionId, RoleId};
use countersign::domain::separation::SeparationRule;
use countersign::service::catalog_export;
use countersign::service::catalog_file::compare::{policy_digest, separation_digest};
use countersign::service::ctx::{Ctx, Directories};
use countersign::service::error::ServiceError;
use countersign::service::plan::Mark;
use countersign::service::{apply, plan};
use countersign::store::catalog;
use countersign::store::catalog_write::{Write, write};
use uuid::Uuid;

use crate::world::World;

const DEMO: &str = include_str!("../../config/demo/catalog.toml");

/// How many rows the catalog's tables, people and events hold together.
async fn rows(world: &World) -> i64 {
    world
        .one(
            "select (select count(*) from countersign.application) + (select count(*) from countersign.role)
               + (select count(*) from countersign.policy_binding) + (select count(*) from countersign.access_policy_version)
               + (select count(*) from countersign.access_policy_condition) + (select count(*) from countersign.access_policy_field)
               + (select count(*) from countersign.access_policy_rule) + (select count(*) from countersign.access_profile_version)
               + (select count(*) from countersign.access_profile_rule) + (select count(*) from countersign.access_profile_condition)
               + (select count(*) from countersign.approval_procedure_version)
               + (select count(*) from countersign.approval_procedure_step)
               + (select count(*) from countersign.approval_procedure_condition)
               + (select count(*) from countersign.approval_procedure_slot)
               + (select count(*) from countersign.approval_procedure_source) + (select count(*) from countersign.separation_rule)
               + (select count(*) from countersign.separation_rule_version) + (select count(*) from countersign.separation_rule_role)
               + (select count(*) from countersign.person) + (select count(*) from countersign.audit_event)",
        )
        .await
}

/// Keys and versions of the policies that may govern a role, in order.
async fn governing(world: &World, application: &str, role: &str) -> Vec<String> {
    let role = world.role(application, role).await;
    let policies = world.ctx.policies.of_role(&world.ctx.db, role).await.unwrap();
    policies.iter().map(|policy| format!("{} v{}", policy.key, policy.version)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demo_catalog_is_applied_once_and_the_second_time_nothing_changes() {
    let world = World::empty().await;
    let first = world.try_apply(DEMO).await.unwrap();
    assert_eq!(first.plan.faults, []);
    assert!(first.event.is_some());
    assert_eq!(world.one::<i64>("select count(*) from countersign.role where retired_at is null").await, 10);
    assert_eq!(governing(&world, "orders-db", "reader").await, ["contractors v1", "standard v1"], "the default ones");
    assert_eq!(governing(&world, "orders-db", "writer").await, ["change-production-data v1"], "its own");
    assert_eq!(governing(&world, "support-console", "agent").await, ["contractors v1", "support-team v1", "standard v1"]);
    assert_eq!(
        world.one::<String>("select search from countersign.role where key = 'writer'").await.split(' ').take(3).collect::<Vec<_>>(),
        ["orders", "db", "read"]
    );

    let before = rows(&world).await;
    let second = world.try_apply(DEMO).await.unwrap();
    assert_eq!((second.plan.changes, second.event), (vec![], None));
    assert_eq!(rows(&world).await, before);
    let lines: serde_json::Value = world.one("select data from countersign.audit_event where kind = 'catalog.applied'").await;
    assert_eq!(lines["changes"].as_array().unwrap().len(), first.plan.changes.len());
    assert_eq!(lines["source"], "catalog.toml");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conditions_mean_the_group_and_the_person_of_a_name_and_not_whoever_has_it_later() {
    let world = World::empty().await;
    world.apply(&with_every_word()).await;
    let kept: Vec<(String, Vec<String>, Vec<String>)> = sqlx::query_as(
        "select distinct operator, \"values\", called from countersign.access_profile_condition where operator in ('member_of', 'not_member_of')
         union select operator, \"values\", called from countersign.access_policy_condition where operator in ('member_of', 'reports_to') order by 1, 3",
    )
    .fetch_all(&world.root)
    .await
    .unwrap();
    let (dba, auditors) = (world.group("dba").await, world.group("countersign-auditors").await);
    let above = vec![format!("main:{}", world.reference("carlos.silva").await), format!("main:{}", world.reference("nadia.haddad").await)];
    let by = |operator: &str, values: Vec<String>, called: &[&str]| (operator.to_owned(), values, called.iter().map(|name| (*name).to_owned()).collect());
    assert_eq!(
        kept,
        [
            by("member_of", vec![format!("main:{auditors}")], &["countersign-auditors"]),
            by("member_of", vec![format!("main:{dba}")], &["dba"]),
            by("reports_to", above, &["carlos.silva", "nadia.haddad"])
        ]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_version_reads_back_as_it_was_written() {
    let world = World::empty().await;
    let applied = world.try_apply(DEMO).await.unwrap();
    let (mut policies, mut rules) = (0, 0);
    for write in applied.plan.writes {
        match write {
            Write::Policy { body, .. } => {
                let stored = world.ctx.policies.version(&world.ctx.db, body.id).await.unwrap();
                assert_eq!(*stored, *body);
                assert_eq!(policy_digest(&stored).unwrap(), stored.digest);
                policies += 1;
            }
            Write::Separation { body, .. } => {
                let stored = world.ctx.separation.versions(&world.ctx.db, &[body.id]).await.unwrap().remove(0);
                assert_eq!(*stored, body);
                assert_eq!(separation_digest(&stored).unwrap(), stored.digest);
                rules += 1;
            }
            _ => {}
        }
    }
    assert_eq!((policies, rules), (10, 3));
    let nobody = world.ctx.policies.version(&world.ctx.db, PolicyVersionId(Uuid::nil())).await;
    assert!(nobody.is_err());
    assert!(world.ctx.separation.versions(&world.ctx.db, &[Uuid::nil()]).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plan_shows_everything_and_writes_nothing() {
    let world = World::empty().await;
    let before = rows(&world).await;
    let planned = plan::run(&world.ctx.db, &world.ctx.directories, DEMO).await.unwrap();
    assert_eq!(planned.faults, []);
    assert!(planned.changes.iter().all(|change| change.mark == Mark::Add));
    let shown = planned.to_string();
    assert!(shown.starts_with("Applications\n  + orders-db  Orders DB\n      name: Orders DB\n"), "{shown}");
    assert!(shown.contains("\n  + orders-db/reader  Read-only\n"), "{shown}");
    assert!(shown.ends_with("Default policies\n  + contractors (10), then standard (20)\n\n46 to add, 0 to change, 0 to retire.\n"), "{shown}");
    assert_eq!(rows(&world).await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_faulty_file_is_told_with_its_places_and_changes_nothing() {
    let world = World::empty().await;
    let text = DEMO
        .replace("group = \"orders-db-readers\"", "group = \"orders-db-reader\"")
        .replace("owner = \"grace.mbeki\"", "owner = \"grace.mbekki\"")
        .replace("owner = \"nadia.haddad\"", "owner = \"oscar.nilsen\"")
        .replace("{ approvals = 2, from = \"group:dba\" },", "{ approvals = 4, from = \"group:dba\" },")
        .replace("from = \"group:dba\" }]", "from = \"group:orders-db-writers\" }]")
        .replace("recommended = \"4h\", minimum = \"1m\", maximum = \"30d\"", "recommended = \"31d\", minimum = \"1m\", maximum = \"30d\"");
    let line = |needle: &str| text.lines().position(|line| line.contains(needle)).unwrap() + 1;
    let before = rows(&world).await;
    let applied = world.try_apply(&text).await.unwrap();
    assert_eq!(applied.event, None);
    assert_eq!(rows(&world).await, before);
    let told: Vec<(usize, &str)> = applied.plan.faults.iter().map(|fault| (fault.line, fault.sentence.as_str())).collect();
    assert_eq!(
        told,
        [
            (line("grace.mbekki"), "There is nobody called “grace.mbekki” in directory main."),
            (line("oscar.nilsen"), "Oscar Nilsen (“oscar.nilsen”) is disabled in directory main; name somebody who is active."),
            (line("\"orders-db-reader\""), "There is no group “orders-db-reader” in directory main."),
            (line("group:orders-db-writers"), "Nobody could complete step “Database administrators”: group “orders-db-writers” has no active member."),
            (line("approvals = 4"), "Nobody could complete step “Engineering and security”: group “dba” has 3 active members, and 4 approvals are wanted."),
            (line("31d"), "The recommended duration, 31 days, is above the maximum, 30 days."),
        ]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_makes_new_versions_of_what_changed_only_and_the_old_ones_stay() {
    let world = World::empty().await;
    world.apply(DEMO).await;
    let role = world.role("orders-db", "writer").await;
    let old = world.ctx.policies.of_role(&world.ctx.db, role).await.unwrap().remove(0);
    let text = DEMO.replace("approvals = 2, from = \"group:dba\" }]", "approvals = 1, from = \"group:dba\" }]");
    let applied = world.try_apply(&text).await.unwrap();
    let told: Vec<&str> = applied.plan.changes.iter().map(|change| change.title.as_str()).collect();
    assert_eq!(told, ["manager-then-dbas v1 -> v2", "change-production-data v1 -> v2"]);
    let new = world.ctx.policies.of_role(&world.ctx.db, role).await.unwrap().remove(0);
    assert_eq!((new.version, new.procedure.as_ref().unwrap().steps[1].slots[0].approvals), (2, 1));
    assert_eq!(governing(&world, "orders-db", "reader").await, ["contractors v1", "standard v1"]);
    let again = countersign::store::policy::Policies::default().version(&world.ctx.db, old.id).await.unwrap();
    assert_eq!(again, old, "an old version never changes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_gone_from_the_file_is_retired_not_removed() {
    let world = World::empty().await;
    world.apply(DEMO).await;
    let role = world.role("ledger", "accountant").await;
    let block = |from: &str, to: &str| {
        let start = DEMO.find(from).unwrap();
        (start, start + DEMO[start..].find(to).unwrap())
    };
    let (start, end) = block("[[role]]\napplication = \"ledger\"", "[[role]]\napplication = \"support-console\"");
    let without_role = format!("{}{}", &DEMO[..start], &DEMO[end..]);
    let (start, end) = block("[[application]]\nkey = \"ledger\"", "[[application]]\nkey = \"support-console\"");
    let without_application = without_role.replace(&DEMO[start..end], "");
    let told = world.try_apply(&without_application).await.unwrap().plan.faults;
    assert_eq!(told.iter().map(|fault| fault.sentence.as_str()).collect::<Vec<_>>(), ["There is no role “ledger/accountant” in this file."]);
    let (start, end) = block("[[separation]]\nkey = \"books-and-their-audit\"", "[[separation]]\nkey = \"administers-and-audits\"");
    let text = without_application.replace(&DEMO[start..end], "");
    let applied = world.try_apply(&text).await.unwrap();
    assert_eq!(applied.plan.faults, []);
    assert_eq!(
        applied.plan.changes.iter().map(|change| (change.mark, change.what)).collect::<Vec<_>>(),
        [(Mark::Retire, "application"), (Mark::Retire, "role"), (Mark::Retire, "separation")]
    );
    assert_eq!(keys(&world.ctx.separation.current(&world.ctx.db).await.unwrap()), ["administers-and-audits", "deploys-and-changes-data"]);
    assert_eq!(keys(&world.ctx.separation.of_role(&world.ctx.db, role).await.unwrap()), [""; 0]);
    assert_eq!(catalog::role(&world.ctx.db, role).await.unwrap(), None);
    let (kept, retired) = catalog::role_even_retired(&world.ctx.db, role).await.unwrap().unwrap();
    assert!(retired);
    assert_eq!(kept.title(), "General ledger: Accountant");
    assert_eq!(world.try_apply(&text).await.unwrap().event, None);
    world.apply(DEMO).await;
    assert_eq!(catalog::role(&world.ctx.db, role).await.unwrap(), Some(kept), "the same role is offered again");
    assert_eq!(governing(&world, "ledger", "accountant").await, ["books v1"]);
    let again = world.ctx.separation.of_role(&world.ctx.db, role).await.unwrap();
    assert_eq!((keys(&again), again[0].version), (vec!["books-and-their-audit"], 1), "restored in the version that it was");
}

fn keys(rules: &[Arc<SeparationRule>]) -> Vec<&str> {
    rules.iter().map(|rule| rule.key.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_latest_version_of_each_rule_that_names_a_role_keeps_it_apart() {
    let world = World::empty().await;
    world.apply(DEMO).await;
    let (writer, deployer, auditor) =
        (world.role("orders-db", "writer").await, world.role("production", "deployer").await, world.role("countersign", "auditor").await);
    let rules = world.ctx.separation.of_role(&world.ctx.db, writer).await.unwrap();
    assert_eq!(keys(&rules), ["deploys-and-changes-data"]);
    assert_eq!(rules[0].conflicts(writer, &[deployer, auditor]), [deployer]);
    assert_eq!(rules[0].procedure.as_ref().unwrap().key, "exception");
    assert_eq!(keys(&world.ctx.separation.of_role(&world.ctx.db, auditor).await.unwrap()), ["administers-and-audits", "books-and-their-audit"]);
    assert_eq!(keys(&world.ctx.separation.of_role(&world.ctx.db, RoleId(Uuid::nil())).await.unwrap()), [""; 0]);

    // Held together with a role whose own steps ask the same person, the exception could never be approved.
    let other = DEMO.replace("b = [\"orders-db/writer\"]", "b = [\"orders-db/administrator\"]");
    let faults = world.try_apply(&other).await.unwrap().plan.faults;
    assert!(faults.len() == 1 && faults[0].sentence.starts_with("Nobody could complete step “Exception” of an exception for role orders-db/administrator: "));
    let other = other.replace("b = [\"orders-db/administrator\"]\nprocedure = \"exception\"", "b = [\"orders-db/administrator\"]");
    let applied = world.try_apply(&other).await.unwrap();
    assert_eq!(applied.plan.faults, []);
    assert_eq!(
        applied.plan.lines(),
        [
            "~ separation deploys-and-changes-data v1 -> v2: with: orders-db/writer -> orders-db/administrator; exception: with approval by procedure exception v1 -> none: nobody holds both"
        ]
    );
    assert_eq!(keys(&world.ctx.separation.of_role(&world.ctx.db, writer).await.unwrap()), [""; 0], "the old version names it no longer");
    let old = world.ctx.separation.versions(&world.ctx.db, &[rules[0].id]).await.unwrap();
    assert_eq!(old, rules, "and is still what it was");
}

/// The demo's catalog with the words that it does not use itself.
fn with_every_word() -> String {
    let text = DEMO
        .replacen("name = \"Analysts, at once\"", "name = 'Analysts, \"at once\" \\ é'", 1)
        .replacen(
            "all = [\"department is Data\", \"employment_type",
            "all = [{ attribute = \"department\", operator = \"in\", values = [\"Data, old\", \"Data\"] }, \"employment_type",
            1,
        )
        .replacen("for = [\"department is Support\"]", "for = [\"reports to carlos.silva, nadia.haddad\", \"department is Support\"]", 1)
        .replacen(
            "name = \"Finance and security\"\ntime_limit",
            "name = \"Finance and security\"\nwhen = { conditions = [\"manager exists\"], risk = [\"low\", \"elevated\"], longer_than = \"1h\" }\ntime_limit",
            1,
        )
        .replacen(
            "justification = { required = true, minimum = 30 }\ncomment",
            "justification = { minimum = 30, pattern = '(?s).*[a-z]\\s.*', says = \"Say it in a sentence.\" }\nfuture_start = false\ncomment",
            1,
        )
        .replacen(
            "[[policy.field]]\nkey = \"until\"",
            "[[policy.field]]\nkey = \"team\"\nlabel = \"For a team\"\ntype = \"yes_no\"\n[[policy.field]]\nkey = \"until\"",
            1,
        );
    for word in ["at once\" \\ é", "Data, old", "carlos.silva", "conditions =", "(?s)", "yes_no", "future_start = false\ncomment"] {
        assert!(text.contains(word), "{word}");
    }
    text
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_exported_reads_back_to_exactly_what_is_there() {
    let world = World::empty().await;
    for text in [DEMO.to_owned(), with_every_word()] {
        world.apply(&text).await;
        let exported = catalog_export::toml(&world.ctx.db, &world.ctx.directories).await.unwrap();
        let again = world.try_apply(&exported).await.unwrap();
        assert_eq!(again.plan.faults, [], "{exported}");
        assert_eq!((again.plan.lines(), again.plan.writes, again.event), (vec![], vec![], None), "{exported}");
        assert!(exported.contains("group = \"orders-db-readers\"\n") && exported.contains("owner = \"arjun.mehta\"\n"), "{exported}");
        assert!(exported.contains("from = \"group:dba\"") && exported.contains("person:ines.okafor"), "{exported}");

        // Somewhere else it makes the same catalog, and that exports the same text.
        let other = World::empty().await;
        other.apply(&exported).await;
        assert_eq!(catalog_export::toml(&other.ctx.db, &other.ctx.directories).await.unwrap(), exported);
    }
    // While the directory does not answer, groups are called by their references; it still reads back.
    let blind = catalog_export::toml(&world.ctx.db, &Directories::default()).await.unwrap();
    let readers = world.group("orders-db-readers").await;
    assert!(blind.contains(&format!("group = \"{readers}\"\n")), "{blind}");
    let again = world.try_apply(&blind).await.unwrap();
    assert_eq!((again.plan.faults, again.plan.changes, again.event), (vec![], vec![], None), "{blind}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_that_no_file_describes_any_more_is_retired_and_comes_back_in_its_version() {
    let world = World::empty().await;
    let more = format!(
        "{DEMO}\n[[policy]]\nkey = \"spare\"\nname = \"Spare\"\nprofile = \"everybody\"\nprocedure = \"manager\"\ndurations = {{ maximum = \"1h\" }}\n"
    );
    world.apply(&more).await;
    let gone = world.try_apply(DEMO).await.unwrap();
    assert_eq!(gone.plan.lines(), ["- policy spare v1: described no longer; what cites it stays as it is"]);
    assert!(gone.event.is_some());
    assert!(!catalog_export::toml(&world.ctx.db, &world.ctx.directories).await.unwrap().contains("spare"));
    let back = world.try_apply(&more).await.unwrap();
    assert_eq!(back.plan.lines(), ["+ policy spare v1: described again, as it was"]);
    assert_eq!(world.try_apply(&more).await.unwrap().plan.changes, []);
    assert_eq!(
        world
            .one::<i64>("select count(*) from countersign.access_policy_version v join countersign.access_policy p on p.id = v.policy_id where p.key = 'spare'")
            .await,
        1
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn files_applied_at_the_same_time_come_one_after_the_other() {
    let world = World::empty().await;
    let longer = DEMO.replace("maximum = \"30d\", choices = [\"5m\"", "maximum = \"60d\", choices = [\"5m\"");
    assert_ne!(longer, DEMO);
    let (a, b, c, d) = tokio::join!(world.try_apply(DEMO), world.try_apply(&longer), world.try_apply(DEMO), world.try_apply(&longer));
    let applied = [a, b, c, d].map(Result::unwrap);
    assert!(applied.iter().all(|one| one.plan.is_good()));
    let events = applied.iter().filter(|one| one.event.is_some()).count() as i64;
    assert_eq!(world.one::<i64>("select count(*) from countersign.audit_event where kind = 'catalog.applied'").await, events);
    let versions: i64 = world
        .one("select count(*) from countersign.access_policy_version v join countersign.access_policy p on p.id = v.policy_id where p.key = 'standard'")
        .await;
    assert_eq!(versions, events, "each file that changed anything changed the maximum, and none was lost");
    assert_eq!(world.one::<i64>("select count(*) from countersign.application").await, 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_directory_nothing_is_compared_and_nothing_changes() {
    let world = World::empty().await;
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let scim = Scim::new(&http::Settings::new(&format!("http://{closed}/scim/v2"), "token"), world.ctx.clock.clone()).unwrap();
    let directories = Directories::from([("main".to_owned(), Directory::Scim(scim))]);
    let before = rows(&world).await;
    for directories in [directories, Directories::default()] {
        let planned = plan::run(&world.ctx.db, &directories, DEMO).await;
        assert!(matches!(planned, Err(ServiceError::Unavailable(_))), "{planned:?}");
        let elsewhere = Ctx { directories: Arc::new(directories), ..world.ctx.clone() };
        let applied = apply::run(&elsewhere, (DEMO, "x"), (Actor::System, Channel::Cli)).await;
        assert!(matches!(applied, Err(ServiceError::Unavailable(_))), "{applied:?}");
    }
    assert_eq!(rows(&world).await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_database_refuses_a_catalog_without_its_event() {
    let world = World::empty().await;
    let planned = plan::run(&world.ctx.db, &world.ctx.directories, DEMO).await.unwrap();
    let bare: Vec<Write> = planned.writes.into_iter().filter(|one| matches!(one, Write::Profile { .. } | Write::Procedure { .. })).collect();
    assert!(!bare.is_empty());
    let mut tx = world.ctx.db.begin().await.unwrap();
    write(&mut tx, &bare, None, world.now()).await.unwrap();
    let refused = countersign::store::error::StoreError::from(tx.commit().await.unwrap_err());
    assert_eq!(refused.constraint(), Some("no_change_without_event"));
    assert_eq!(world.one::<i64>("select count(*) from countersign.access_profile_version").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn owners_and_approvers_who_were_seen_before_keep_their_ids() {
    let world = World::empty().await;
    world.turn().await;
    let arjun = world.person("arjun.mehta").await;
    let people: i64 = world.one("select count(*) from countersign.person").await;
    world.apply(DEMO).await;
    assert_eq!(world.one::<i64>("select count(*) from countersign.person").await, people, "nobody was made twice");
    assert_eq!(world.one::<Uuid>("select owner_id from countersign.application where key = 'orders-db'").await, arjun.0);
    assert_eq!(world.one::<String>("select actor_kind from countersign.audit_event where kind = 'catalog.applied'").await, "system");
}
