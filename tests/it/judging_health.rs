//! Dead ends, and what is held apart.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::Duration;
use countersign::domain::span::Seconds;
use countersign::service::ask::AskFor;
use countersign::service::health::check::{Finding, check};
use countersign::service::health::compare::new_findings;
use countersign::service::health::fill::Kind;
use countersign::service::{preview, rule_book, separation_scan};

use crate::desk::Desk;
use crate::judging::asked;
use crate::world::{World, catalog};

/// By role and step, who cannot get past it.
type Dead = BTreeMap<(String, String), BTreeSet<String>>;

fn edited(changes: &[(&str, &str)]) -> String {
    let mut text = catalog();
    for (from, to) in changes {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    text
}

async fn people(world: &World) -> Vec<String> {
    sqlx::query_scalar("select user_name from person where status = 'active' order by user_name").fetch_all(&world.root).await.unwrap()
}

/// What asking itself says: every person asks for every role, shortest, recommended and longest.
async fn by_asking(world: &World) -> Dead {
    let book = rule_book::current(&world.ctx).await.unwrap();
    let mut dead = Dead::new();
    for login in people(world).await {
        let by = world.by(&login).await;
        for rules in &book.roles {
            let lengths: BTreeSet<Seconds> =
                rules.policies.iter().flat_map(|policy| [policy.durations.minimum, policy.durations.recommended.unwrap(), policy.durations.maximum]).collect();
            for length in lengths {
                let mut ask_for = AskFor::new(rules.role.id);
                ask_for.duration = Some(length);
                let (considered, _) = preview::preview(&world.ctx, &by, &ask_for).await.unwrap();
                let limits = considered.policy.as_ref().map(|policy| policy.durations.clone());
                let looked_at = limits.is_some_and(|limits| [Some(limits.minimum), limits.recommended, Some(limits.maximum)].contains(&Some(length)));
                if looked_at && considered.decision.deciding_rule == "nobody could approve" {
                    let said = &considered.decision.trace.last().unwrap().sentence;
                    let number: usize = said.split_once(": step ").unwrap().1.split_whitespace().next().unwrap().parse().unwrap();
                    dead.entry((rules.key.clone(), considered.steps[number - 1].name.clone())).or_default().insert(login.clone());
                }
            }
        }
    }
    dead
}

async fn found(world: &World) -> Vec<Finding> {
    check(&world.ctx, Arc::new(rule_book::current(&world.ctx).await.unwrap())).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_look_for_dead_ends_finds_exactly_those_that_asking_runs_into() {
    let world = World::empty().await;
    world.turn().await;
    // Nobody stands in for a manager; four hands where there are few; a step of the owner only for long asks.
    for text in [
        catalog(),
        edited(&[("slots = [{ approvals = 1, from = \"manager\", fallback = \"application_owner\" }]", "slots = [{ approvals = 1, from = \"manager\" }]")]),
        edited(&[
            (
                "slots = [{ approvals = 1, from = [\"role_owner\", \"application_owner\", \"managers_manager\", \"manager\"] }]",
                "slots = [{ approvals = 1, from = \"role_owner\" }]\nwhen = { longer_than = \"8h\" }",
            ),
            ("distinct_people = false  ", "distinct_people = true   "),
            ("{ approvals = 1, from = \"managers_manager\", fallback = \"person:grace.mbeki\" }", "{ approvals = 1, from = \"managers_manager\" }"),
        ]),
    ] {
        world.apply(&text).await;
        let expected = by_asking(&world).await;
        let mut looked: BTreeMap<(String, String), u32> = BTreeMap::new();
        for finding in found(&world).await.iter().filter(|finding| finding.kind.is_dead() && finding.ask.starts_with("for ")) {
            *looked.entry((finding.role_key.clone(), finding.step.clone())).or_default() += finding.people;
            let who: String = sqlx::query_scalar("select user_name from person where id = $1").bind(finding.example.0).fetch_one(&world.root).await.unwrap();
            assert!(expected[&(finding.role_key.clone(), finding.step.clone())].contains(&who), "{who}: {}", finding.sentence);
        }
        let counted: BTreeMap<(String, String), u32> = expected.iter().map(|(key, people)| (key.clone(), people.len() as u32)).collect();
        assert_eq!(looked, counted, "{expected:#?}");
    }
    assert!(!by_asking(&world).await.is_empty(), "the last catalog has dead ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_is_told_by_who_could_take_it() {
    let world = World::new().await;
    // Security alone, and its members ask too.
    let security = "slots = [{ from = \"group:security\" }]";
    world.apply(&edited(&[("slots = [{ approvals = 1, from = \"manager\", fallback = \"application_owner\" }]", security)])).await;
    let members: Vec<String> = {
        let group = world.group("security").await;
        sqlx::query_scalar("select user_name from person where $1 = any(groups) and status = 'active'").bind(group).fetch_all(&world.root).await.unwrap()
    };
    for gone in members.iter().skip(1) {
        world.set_active(gone, false).await;
    }
    world.advance(Duration::minutes(6)).await;
    world.turn().await;
    let of = |found: &[Finding], kind: Kind| {
        found.iter().find(|finding| finding.kind == kind && finding.role_key == "orders-db/reader" && finding.policy_key == "standard").cloned()
    };
    let one = found(&world).await;
    let single = of(&one, Kind::SinglePerson).unwrap();
    let active = people(&world).await.len() as u32;
    assert!(single.people > 10 && single.people < active, "{single:?}");
    assert!(single.sentence.contains("a single person could take step “Manager”: it asks a member of security, and nobody stands in"), "{}", single.sentence);
    let own = of(&one, Kind::OnlyTheAsker).unwrap();
    assert_eq!((own.people, own.example), (1, world.person(&members[0]).await));
    assert!(own.sentence.contains("only they themselves"), "{}", own.sentence);
    assert_eq!(of(&one, Kind::Nobody), None);
    world.set_active(&members[0], false).await;
    world.advance(Duration::minutes(6)).await;
    world.turn().await;
    let none = found(&world).await;
    assert_eq!(of(&none, Kind::SinglePerson), None);
    let nobody = of(&none, Kind::Nobody).unwrap();
    assert_eq!(nobody.people, single.people, "whoever may ask");
    // Whom a step escalates to counts as somebody who stands in.
    for back in &members {
        world.set_active(back, true).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_says_which_dead_ends_a_file_would_bring_and_where() {
    let world = World::new().await;
    let text =
        edited(&[("slots = [{ approvals = 1, from = \"manager\", fallback = \"application_owner\" }]", "slots = [{ approvals = 1, from = \"manager\" }]")]);
    let proposed = rule_book::proposed(&world.ctx, &text).await.unwrap();
    assert!(proposed.plan.is_good(), "{}", proposed.plan);
    let brought = new_findings(&world.ctx, &proposed).await.unwrap();
    let dead: Vec<_> = brought.iter().filter(|finding| finding.is_dead).collect();
    assert!(!dead.is_empty());
    for finding in &dead {
        let line = text.lines().nth(finding.fault.line - 1).unwrap();
        assert!(line.contains("from = \"manager\" }"), "line {} is {line}", finding.fault.line);
        assert!(finding.fault.sentence.contains("Ines Okafor"), "{finding}");
        assert!(finding.to_string().starts_with(&format!("line {}, column ", finding.fault.line)));
    }
    let roles: BTreeSet<&str> = dead.iter().flat_map(|finding| &finding.roles).map(String::as_str).collect();
    assert!(roles.contains("orders-db/reader") && !roles.contains("ledger/accountant"), "{roles:?}");
    // Once it is in force it is nothing new; nor does a file bring what it does not touch.
    world.apply(&text).await;
    let again = text.replace("name = \"Work on the books\"", "name = \"The books\"");
    let proposed = rule_book::proposed(&world.ctx, &again).await.unwrap();
    assert_eq!(new_findings(&world.ctx, &proposed).await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn health_is_looked_at_once_a_day_and_after_a_change_and_shown_on_the_policy() {
    let world = World::new().await;
    world.turn().await;
    let kept = async || -> (i64, Option<chrono::DateTime<chrono::Utc>>) {
        sqlx::query_as("select (select count(*) from policy_finding where kind <> 'single_person'), (select last_ok_at from timetable where name = 'health')")
            .fetch_one(&world.root)
            .await
            .unwrap()
    };
    let (healthy, first) = kept().await;
    let told: Vec<String> = sqlx::query_scalar("select sentence from policy_finding where kind <> 'single_person'").fetch_all(&world.root).await.unwrap();
    assert_eq!(told, [""; 0], "the demo has no dead end");
    assert_eq!(healthy, 0);
    world.advance(Duration::hours(23)).await;
    world.turn().await;
    assert_eq!(kept().await.1, first, "not due yet");
    world.advance(Duration::hours(2)).await;
    world.turn().await;
    let daily = kept().await.1;
    assert!(daily > first, "a day later it is");
    world
        .apply(&edited(&[(
            "slots = [{ approvals = 1, from = \"manager\", fallback = \"application_owner\" }]",
            "slots = [{ approvals = 1, from = \"manager\" }]",
        )]))
        .await;
    world.turn().await;
    let (dead, changed) = kept().await;
    assert!(dead > 0 && changed >= daily);
    let events: i64 = world.one("select count(*) from audit_event where kind like '%finding%' or kind like '%health%'").await;
    assert_eq!(events, 0);
    let policy: uuid::Uuid = world.one("select id from access_policy where key = 'standard'").await;
    let mut desk = Desk::of(&world, "sofia.marin").await;
    let page = desk.get(&format!("/admin/policies/{policy}")).await.fine();
    assert!(page.one("#health").contains("nobody is left to take step “Manager”"), "{}", page.one("#health"));
    assert!(page.one("#health").contains("Looked at for everybody"));
    assert_eq!(desk.get(&format!("/admin/policies/{policy}?version=1")).await.fine().count("#health"), 0, "a replaced version is not looked at");
    let overview = desk.get("/admin").await.fine();
    assert!(overview.text.contains("nobody could approve"), "{}", overview.main());
    world.apply(&catalog()).await;
    world.turn().await;
    assert_eq!(kept().await.0, 0);
    assert!(desk.get(&format!("/admin/policies/{policy}")).await.fine().count("#health li.bad") == 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_separation_rule_keeps_apart_and_is_held_together_is_found_once_and_resolved_once() {
    let world = World::new().await;
    // At once for everybody, so that both are held before the rule is made.
    let free = |rule: &str| {
        let text = edited(&[(
            "key = \"standard\"\nname = \"Standard access\"\nprofile = \"everybody\"\nprocedure = \"manager\"",
            "key = \"standard\"\nname = \"Standard access\"\nprofile = \"everybody\"\nauto_approve = true",
        )]);
        text.replace("policy = \"books\"", "policy = \"standard\"") + rule
    };
    world.apply(&free("")).await;
    asked(&world, "daniel.cohen", ("orders-db", "reader"), 48).await;
    asked(&world, "daniel.cohen", ("ledger", "accountant"), 48).await;
    asked(&world, "bo.lind", ("orders-db", "reader"), 48).await;
    world.turn().await;
    let events =
        async |kind: &str| -> i64 { sqlx::query_scalar("select count(*) from audit_event where kind = $1").bind(kind).fetch_one(&world.root).await.unwrap() };
    assert_eq!(events("separation.found").await, 0);
    let rule = "\n[[separation]]\nkey = \"orders-and-books\"\nname = \"Orders and books\"\na = [\"orders-db/reader\"]\nb = [\"ledger/accountant\"]\n";
    world.apply(&free(rule)).await;
    world.turn().await;
    assert_eq!((events("separation.found").await, events("separation.resolved").await), (1, 0));
    let (person, outcome): (uuid::Uuid, String) =
        sqlx::query_as("select person_id, outcome from separation_finding where resolved_at is null").fetch_one(&world.root).await.unwrap();
    assert_eq!((person, outcome.as_str()), (world.person("daniel.cohen").await.0, "found"));
    // Seen again, also under another version of the rule, it is nothing new.
    assert_eq!(separation_scan::scan(&world.ctx).await.unwrap(), separation_scan::Scanned { open: 1, found: 0, resolved: 0 });
    world.apply(&free(&rule.replace("Orders and books", "Orders and the books"))).await;
    world.turn().await;
    assert_eq!((events("separation.found").await, events("separation.resolved").await), (1, 0));
    let mut desk = Desk::of(&world, "sofia.marin").await;
    let role = world.role("ledger", "accountant").await;
    let page = desk.get(&format!("/roles/{role}")).await.fine();
    assert!(page.one("#apart").contains("Daniel Cohen also holds Orders DB Read-only"), "{}", page.one("#apart"));
    assert!(desk.get("/admin").await.fine().text.contains("keeps apart"));
    assert_eq!(Desk::of(&world, "mei.tanaka").await.get(&format!("/roles/{role}")).await.fine().count("#apart"), 0, "not for everybody to see");
    // One of the two ends.
    let grant: uuid::Uuid = sqlx::query_scalar("select id from access_grant where beneficiary_id = $1 and role_id = $2")
        .bind(person)
        .bind(role.0)
        .fetch_one(&world.root)
        .await
        .unwrap();
    countersign::service::end::end(&world.ctx, &world.by("sofia.marin").await, grant.into(), true, Some("One of the two")).await.unwrap();
    world.turn().await;
    world.advance(Duration::hours(25)).await;
    world.turn().await;
    assert_eq!((events("separation.found").await, events("separation.resolved").await), (1, 1));
    let open: i64 = world.one("select count(*) from separation_finding where resolved_at is null").await;
    assert_eq!(open, 0);
    assert_eq!(desk.get(&format!("/roles/{role}")).await.fine().count("#apart"), 0);
}
