//! Peer defects and sudden deaths, at the real program.
//!
//! Everything goes over HTTP to a child process; the database is looked at afterwards. The directory lives in the test, so that it
//! outlives the program.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use countersign::domain::id::RequestId;
use reqwest::Method;
use sqlx::Executor;
use uuid::Uuid;

use crate::client::{Client, Sent, fields, form};
use crate::defects::rounds;
use crate::faulty::{Fault, Faulty};
use crate::server::{MANAGERS, Town, crowd, eventually};
use crate::world::{Reach, SCIM_TOKEN, World};

const HOUR: i64 = 3_600;
/// What a request's page needs besides what its form brings.
const WHY: [(&str, &str); 2] = [("duration", "3600"), ("justification", "The nightly totals are wrong and I have to see the rows.")];

/// The workers of a crowd that are members of a group, by their login, as the directory tells over SCIM.
async fn workers_in(world: &World, group: &str) -> BTreeSet<String> {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("{}/Groups/{}", world.demo.scim_base(), world.group(group).await);
    let answer: serde_json::Value = client.get(url).bearer_auth(SCIM_TOKEN).send().await.unwrap().json().await.unwrap();
    let people: Vec<(String, String)> = sqlx::query_as("select reference, user_name from person").fetch_all(&world.root).await.unwrap();
    let members = answer["members"].as_array().cloned().unwrap_or_default();
    let name = |id: &str| people.iter().find(|(reference, _)| reference == id).map(|(_, name)| name.clone());
    members.iter().filter_map(|member| name(member["value"].as_str().unwrap())).filter(|name| name.starts_with("worker.")).collect()
}

/// The workers of a crowd whose lease of a group's role is active.
async fn workers_with(world: &World, group: &str) -> BTreeSet<String> {
    let found: Vec<String> = sqlx::query_scalar(
        "select p.user_name from access_grant g join person p on p.id = g.beneficiary_id join target t on t.id = g.target_id
         where g.status = 'active' and p.user_name like 'worker.%' and t.group_reference = $1",
    )
    .bind(world.group(group).await)
    .fetch_all(&world.root)
    .await
    .unwrap();
    found.into_iter().collect()
}

/// Everybody's managers, signed in.
async fn managers(town: &Town) -> Vec<Client> {
    let mut managers = Vec::new();
    for name in MANAGERS {
        managers.push(town.visitor(name).await);
    }
    managers
}

async fn request_of(world: &World, user_name: &str) -> Uuid {
    sqlx::query_scalar("select r.id from request r join person p on p.id = r.beneficiary_id where p.user_name = $1 order by r.created_at desc limit 1")
        .bind(user_name)
        .fetch_one(&world.root)
        .await
        .unwrap()
}

async fn count(world: &World, sql: &'static str, request: Uuid) -> i64 {
    sqlx::query_scalar(sql).bind(request).fetch_one(&world.root).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_approval_that_was_answered_is_delivered_though_the_program_dies_at_once() {
    let rounds = rounds();
    let mut town = Town::of(crowd(rounds, &["mara.voss"]), Reach::Demo, &[]).await;
    let mut mara = town.visitor("mara.voss").await;
    for n in 0..rounds {
        let asked = town.world.ask(&format!("worker.{n}"), "orders-db", "reader", HOUR).await.unwrap();
        let page = mara.get(&format!("/requests/{}", asked.id.0)).await;
        let (action, sent) = fields(&page, &format!("form[action='/requests/{}/approve']", asked.id.0), &[]);
        let answer = mara.send(Method::POST, &action, Sent::Form(sent)).await;
        town.server.kill();
        assert_eq!(answer.status, 303, "{}", answer.text());
        town.server.restart();
    }
    // A claim of a dead worker is taken over after a minute.
    town.world.advance(chrono::Duration::seconds(61)).await;
    let all: BTreeSet<String> = (0..rounds).map(|n| format!("worker.{n}")).collect();
    eventually("everybody is a member", || async { (workers_in(&town.world, "orders-db-readers").await == all).then_some(()) }).await;
    eventually("every lease is active", || async { (workers_with(&town.world, "orders-db-readers").await == all).then_some(()) }).await;
    town.is_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_moment_the_program_ends_up_with_what_the_leases_say() {
    // Of a round most is waiting for people to get on again: 40 take about as long as 100 of any other defect here.
    let kills = rounds().clamp(20, 40);
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut chance = <rand::rngs::StdRng as rand::SeedableRng>::seed_from_u64(seed);
    let workers = 12;
    let mut town = Town::of(crowd(workers, &["mara.voss"]), Reach::Demo, &[]).await;
    let role = town.world.role("orders-db", "reader").await;
    let stop = Arc::new(AtomicBool::new(false));
    let answered = Arc::new(Mutex::new(Vec::<(&'static str, Uuid)>::new()));

    let mut traffic = Vec::new();
    for n in 0..workers {
        let (mut worker, stop, answered) = (town.visitor(&format!("worker.{n}")).await, stop.clone(), answered.clone());
        traffic.push(tokio::spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                // Whatever fails because the program is dead is tried again, as a person would.
                let Ok(page) = worker.try_send(Method::GET, &format!("/roles/{role}/ask"), Sent::Nothing).await else {
                    tokio::task::yield_now().await;
                    continue;
                };
                if page.body.contains("action=\"/requests\"") {
                    let (action, sent) = fields(&page, "form[action='/requests']", &WHY);
                    if let Ok(made) = worker.try_send(Method::POST, &action, Sent::Form(sent)).await
                        && made.status == 303
                    {
                        answered.lock().unwrap().push(("asked", made.location().rsplit('/').next().unwrap().parse().unwrap()));
                    }
                }
                let Ok(mine) = worker.try_send(Method::GET, "/access", Sent::Nothing).await else { continue };
                let give_back = mine.body.split("action=\"").filter_map(|rest| rest.split('"').next()).find(|action| action.ends_with("/return"));
                if let Some(action) = give_back
                    && let Ok(returned) = worker.try_send(Method::POST, action, form(&[])).await
                    && returned.status == 303
                {
                    answered.lock().unwrap().push(("returned", action.split('/').nth(2).unwrap().parse().unwrap()));
                }
            }
        }));
    }
    let (mut mara, flag, told, root) = (town.visitor("mara.voss").await, stop.clone(), answered.clone(), town.world.root.clone());
    traffic.push(tokio::spawn(async move {
        while !flag.load(Ordering::Relaxed) {
            let open: Vec<Uuid> = sqlx::query_scalar("select id from request where status = 'pending' order by created_at").fetch_all(&root).await.unwrap();
            for request in open {
                let Ok(page) = mara.try_send(Method::GET, &format!("/requests/{request}"), Sent::Nothing).await else { continue };
                if !page.body.contains(&format!("/requests/{request}/approve")) {
                    continue;
                }
                let (action, sent) = fields(&page, &format!("form[action='/requests/{request}/approve']"), &[]);
                if let Ok(done) = mara.try_send(Method::POST, &action, Sent::Form(sent)).await
                    && done.status == 303
                {
                    told.lock().unwrap().push(("approved", request));
                }
            }
            tokio::task::yield_now().await;
        }
    }));

    for _ in 0..kills {
        // Some acts later, at a random moment of the next.
        let enough = answered.lock().unwrap().len() + rand::RngExt::random_range(&mut chance, 1..4);
        eventually("people get on", || async { (answered.lock().unwrap().len() >= enough).then_some(()) }).await;
        tokio::time::sleep(Duration::from_millis(rand::RngExt::random_range(&mut chance, 0..150))).await;
        town.server.kill();
        town.server.restart();
    }
    stop.store(true, Ordering::Relaxed);
    for task in traffic {
        task.await.unwrap();
    }

    // What was answered has happened.
    let answered = answered.lock().unwrap().clone();
    for (what, id) in &answered {
        let held = match *what {
            "asked" => count(&town.world, "select count(*) from request where id = $1", *id).await,
            "approved" => count(&town.world, "select count(*) from access_grant where request_id = $1", *id).await,
            _ => count(&town.world, "select count(*) from access_grant where id = $1 and end_reason = 'returned'", *id).await,
        };
        assert_eq!(held, 1, "{what} {id} was answered and is not there");
    }
    for what in ["asked", "approved", "returned"] {
        assert!(answered.iter().any(|(told, _)| *told == what), "nobody {what} anything: {answered:?}");
    }
    // Twice a minute: claims of the dead lapse, and removals are read back.
    for _ in 0..2 {
        town.world.advance(chrono::Duration::seconds(61)).await;
        eventually("nothing is due", || async {
            let due: i64 = town.world.one("select count(*) from target where next_at <= countersign.clock()").await;
            (due == 0).then_some(())
        })
        .await;
    }
    let (is, should) = (workers_in(&town.world, "orders-db-readers").await, workers_with(&town.world, "orders-db-readers").await);
    assert_eq!(is, should, "members and leases agree");
    let between: i64 = town.world.one("select count(*) from access_grant where status not in ('active', 'ended')").await;
    assert_eq!(between, 0, "nothing is left half-way");
    town.is_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_fails_leaves_neither_grant_nor_membership() {
    let rounds = rounds();
    let town = Town::of(crowd(rounds, &MANAGERS), Reach::Demo, &[]).await;
    town.world
        .root
        .execute(
            "create table countersign.test_fail (fail boolean not null);
             insert into countersign.test_fail values (false);
             create function countersign.test_refuse() returns trigger language plpgsql security definer as
               $$ begin if (select fail from countersign.test_fail) then raise exception 'the commit fails'; end if; return null; end $$;
             create constraint trigger test_refuse after insert on countersign.access_grant deferrable initially deferred
               for each row execute function countersign.test_refuse();",
        )
        .await
        .unwrap();
    let fail = async |fail: bool| {
        sqlx::query("update countersign.test_fail set fail = $1").bind(fail).execute(&town.world.root).await.unwrap();
    };
    let mut managers = managers(&town).await;
    for n in 0..rounds {
        let asked = town.world.ask(&format!("worker.{n}"), "orders-db", "reader", HOUR).await.unwrap().id.0;
        fail(true).await;
        let answer = managers[n % MANAGERS.len()].approve(asked, &[]).await;
        assert_eq!(answer.status, 500, "{}", answer.text());
        assert!(answer.text().contains("broken") && !answer.body.contains("the commit fails"), "{}", answer.text());
        fail(false).await;
        for sql in ["select count(*) from access_grant where request_id = $1", "select count(*) from approval where request_id = $1"] {
            assert_eq!(count(&town.world, sql, asked).await, 0, "{sql}");
        }
        assert_eq!(count(&town.world, "select count(*) from request where id = $1 and status = 'pending'", asked).await, 1);
        assert_eq!(town.world.history(asked).await, ["request.submitted", "request.step_opened", "approval.viewed"], "nor an event");
    }
    assert!(workers_in(&town.world, "orders-db-readers").await.is_empty(), "nobody came in");
    for n in 0..rounds {
        let answer = managers[n % MANAGERS.len()].approve(request_of(&town.world, &format!("worker.{n}")).await, &[]).await;
        assert_eq!(answer.status, 200, "and it can be approved afterwards: {}", answer.text());
    }
    eventually("everybody is a member", || async { (workers_in(&town.world, "orders-db-readers").await.len() == rounds).then_some(()) }).await;
    town.is_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn simultaneous_answers_and_repeated_asks_have_one_outcome() {
    let rounds = rounds();
    let town = Town::of(crowd(rounds, &MANAGERS), Reach::Demo, &[]).await;
    let mut managers = managers(&town).await;
    let role = town.world.role("orders-db", "reader").await;
    for n in 0..rounds {
        // The same ask four times at once.
        let worker = town.visitor(&format!("worker.{n}")).await;
        let page = worker.clone().get(&format!("/roles/{role}/ask")).await;
        let (action, sent) = fields(&page, "form[action='/requests']", &WHY);
        let asks = (0..4).map(|m| {
            let (mut worker, action, mut sent) = (worker.clone(), action.clone(), sent.clone());
            // From four tabs: each form has a key of its own.
            sent.iter_mut().filter(|(name, _)| m % 2 == 0 && name == "key").for_each(|(_, key)| *key = Uuid::now_v7().to_string());
            async move { worker.visit(Method::POST, &action, Sent::Form(sent)).await }
        });
        let ends: BTreeSet<Uuid> = futures_util::future::join_all(asks).await.into_iter().map(|page| page.id()).collect();
        assert_eq!(ends.len(), 1, "all four are led to the one request");
        let request = *ends.first().unwrap();
        let made: i64 =
            count(&town.world, "select count(*) from request where beneficiary_id = (select beneficiary_id from request where id = $1)", request).await;
        assert_eq!(made, 1);

        // Approved in three tabs and denied in a fourth, all at once.
        let manager = &mut managers[n % MANAGERS.len()];
        let page = manager.get(&format!("/requests/{request}")).await;
        let mut answers = Vec::new();
        for act in ["approve", "approve", "deny", "approve"] {
            let (action, sent) = fields(&page, &format!("form[action='/requests/{request}/{act}']"), &[("reason", "Not now.")]);
            let mut manager = manager.clone();
            answers.push(async move { (act, manager.send(Method::POST, &action, Sent::Form(sent)).await) });
        }
        let answers = futures_util::future::join_all(answers).await;
        let taken: Vec<&str> = answers.iter().filter(|(_, page)| page.status == 303).map(|(act, _)| *act).collect();
        assert_eq!(taken.len(), 1, "{taken:?}");
        for (_, told) in answers.iter().filter(|(_, page)| page.status != 303) {
            assert_eq!(told.status, 409, "{}", told.text());
            assert!(told.text().contains("not recorded"), "the others are told: {}", told.text());
        }
        let status: String = sqlx::query_scalar("select status from request where id = $1").bind(request).fetch_one(&town.world.root).await.unwrap();
        let (approvals, grants) = (
            count(&town.world, "select count(*) from approval where request_id = $1", request).await,
            count(&town.world, "select count(*) from access_grant where request_id = $1", request).await,
        );
        assert_eq!((status.as_str(), approvals, grants), if taken[0] == "deny" { ("denied", 1, 0) } else { ("approved", 1, 1) });
    }
    // Three database administrators at once for two places.
    for n in 0..rounds.min(25) {
        let asked = town.world.ask("bo.lind", "orders-db", "writer", HOUR).await.unwrap().id.0;
        managers[0].approve(asked, &[]).await;
        let mut answers = Vec::new();
        for name in ["kofi.asante", "lucia.ferri", "freya.holm"] {
            let mut dba = town.visitor(name).await;
            let page = dba.get(&format!("/requests/{asked}")).await;
            let (action, sent) = fields(&page, &format!("form[action='/requests/{asked}/approve']"), &[]);
            answers.push(async move { dba.send(Method::POST, &action, Sent::Form(sent)).await.status });
        }
        let mut statuses = futures_util::future::join_all(answers).await;
        statuses.sort_unstable();
        assert_eq!(statuses, [303, 303, 409], "round {n}");
        let (grant, _) = town.world.grant(RequestId(asked)).await;
        let mut bo = town.visitor("bo.lind").await;
        assert_eq!(bo.post(&format!("/grants/{}/return", grant.0), &[]).await.status, 303);
        town.grant_is(asked, "ended").await;
    }
    eventually("nothing is owed", || async {
        let owed: i64 = town.world.one("select count(*) from access_grant where status not in ('active', 'ended')").await;
        (owed == 0).then_some(())
    })
    .await;
    assert_eq!(workers_in(&town.world, "orders-db-readers").await, workers_with(&town.world, "orders-db-readers").await);
    town.is_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cookie_from_before_the_sign_out_opens_nothing() {
    let town = Town::new().await;
    for n in 0..rounds() {
        // Each from an address of its own: sign-ins are counted by address.
        let address = Ipv4Addr::new(127, 0, 1, u8::try_from(n % 250 + 1).unwrap());
        let mut bo = Client::from(&town.server.url, Some(IpAddr::V4(address)));
        bo.sign_in("bo.lind").await;
        let old = bo.session().unwrap();
        assert_eq!(bo.get("/access").await.status, 200);
        let out = bo.send(Method::POST, "/sign-out", form(&[])).await;
        assert!(out.location().starts_with(town.world.demo.issuer()), "on to the provider: {}", out.location());
        assert!(bo.session().is_none(), "the cookie is taken away");
        bo.set_session(&old);
        for (method, path) in [(Method::GET, "/access"), (Method::GET, "/"), (Method::POST, "/requests")] {
            let replayed = bo.send(method.clone(), path, Sent::Nothing).await;
            assert!(replayed.status == 303 && replayed.location().starts_with("/sign-in"), "{method} {path}: {} {}", replayed.status, replayed.text());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_makes_up_where_they_come_from() {
    let town = Town::new().await;
    let mut stranger = Client::new(&town.server.url);
    let began = std::time::Instant::now();
    let mut let_in = 0;
    for n in 0..200 {
        stranger.headers.retain(|(name, _)| !matches!(*name, "x-forwarded-for" | "forwarded" | "x-real-ip"));
        stranger.headers.push(("x-forwarded-for", format!("198.51.100.{n}")));
        stranger.headers.push(("forwarded", format!("for=198.51.100.{n}")));
        stranger.headers.push(("x-real-ip", format!("198.51.100.{n}")));
        let answer = stranger.get("/sign-in/start").await;
        match answer.status {
            303 => let_in += 1,
            429 => assert!(answer.headers.contains_key("retry-after") && answer.text().contains("too much"), "{}", answer.text()),
            other => panic!("{other}: {}", answer.text()),
        }
    }
    let most = 60 + began.elapsed().as_secs() + 1;
    assert!((60..=most).contains(&let_in), "a made-up address is no way around the limit: {let_in} let in, at most {most}");

    let mut bo = Client::from(&town.server.url, Some(IpAddr::V4(Ipv4Addr::new(127, 0, 2, 2))));
    bo.headers.push(("x-forwarded-for", "198.51.100.1".into()));
    bo.sign_in("bo.lind").await;
    let address: String = town.world.one("select address::text from session").await;
    assert!(address.starts_with("127.0.2.2"), "{address}");
    assert!(bo.get("/sessions").await.text().contains("127.0.2.2"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_another_site_sends_with_a_cookie_changes_nothing() {
    let town = Town::new().await;
    let asked = town.world.ask("bo.lind", "orders-db", "reader", HOUR).await.unwrap().id.0;
    let mara = town.visitor("mara.voss").await;
    let page = mara.clone().get(&format!("/requests/{asked}")).await;
    let (action, sent) = fields(&page, &format!("form[action='/requests/{asked}/approve']"), &[]);
    let site = town.server.url.clone();
    let evil = [
        vec![("sec-fetch-site", "cross-site".to_owned()), ("origin", "https://evil.example".to_owned())],
        vec![("sec-fetch-site", "same-site".to_owned())],
        vec![("origin", "https://evil.example".to_owned())],
        vec![("origin", "null".to_owned())],
        vec![("origin", format!("{site}.evil.example"))],
        vec![("referer", format!("{site}/queue"))],
        vec![],
    ];
    for round in 0..rounds() {
        let mut mara = mara.clone();
        mara.headers = evil[round % evil.len()].clone();
        let answer = mara.send(Method::POST, &action, Sent::Form(sent.clone())).await;
        assert_eq!(answer.status, 403, "{:?}: {}", mara.headers, answer.text());
        assert!(answer.text().contains("did not come from a page of Countersign"), "{}", answer.text());
    }
    assert_eq!(count(&town.world, "select count(*) from approval where request_id = $1", asked).await, 0);
    let mut mara = mara;
    assert_eq!(mara.send(Method::POST, &action, Sent::Form(sent)).await.status, 303, "the same from our own page is taken");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_that_misbehaves_gets_its_membership_all_the_same() {
    let faulty = Faulty::start().await;
    let town = Town::of(crowd(5, &["mara.voss"]), Reach::Through(&faulty), &[]).await;
    let mut mara = town.visitor("mara.voss").await;
    for (n, fault) in [Fault::Refuse(503), Fault::DoneBut500, Fault::DoneButSilent, Fault::Wait(1), Fault::Late].into_iter().enumerate() {
        let worker = format!("worker.{n}");
        faulty.next(&[fault]);
        let asked = town.world.ask(&worker, "orders-db", "reader", HOUR).await.unwrap().id.0;
        mara.approve(asked, &[]).await;
        town.grant_is(asked, "active").await;
        faulty.late().await;
        assert!(workers_in(&town.world, "orders-db-readers").await.contains(&worker), "{fault:?}");

        faulty.next(&[fault]);
        town.world.advance(chrono::Duration::seconds(HOUR + 1)).await;
        town.grant_is(asked, "ended").await;
        faulty.late().await;
        town.world.advance(chrono::Duration::seconds(31)).await;
        eventually("gone", || async { (!workers_in(&town.world, "orders-db-readers").await.contains(&worker)).then_some(()) }).await;
        mara = town.visitor("mara.voss").await;
    }
    town.is_sound().await;
}
