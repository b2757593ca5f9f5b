//! Two replicas, killed at any moment, before a moody directory.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use countersign::domain::approval::Answer;
use countersign::service::doctor;
use countersign::service::end::end;
use countersign::service::error::ServiceError;
use countersign::store::error::StoreError;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use uuid::Uuid;

use crate::gate::Gate;
use crate::server::{Server, Town, crowd, eventually};
use crate::world::{Reach, World};

const HOUR: i64 = 3_600;
const WORKERS: usize = 16;
/// Role and group of those that are asked for.
const ROLES: [(&str, &str, &str); 2] = [("warehouse", "analyst", "warehouse-analysts"), ("orders-db", "reader", "orders-db-readers")];

/// Kills a replica at least so many times, sometimes before it has begun, and starts it again; at most three times as often, until there
/// was enough to do meanwhile.
async fn kill(mut server: Server, kills: usize, seed: u64, killed: Arc<AtomicUsize>, enough: impl Fn() -> bool) -> Server {
    let mut chance = StdRng::seed_from_u64(seed);
    let (mut took, mut begun) = (server.took, None);
    for n in 0..3 * kills {
        if n >= kills && enough() {
            break;
        }
        if chance.random_bool(0.7) {
            server.listens().await;
            took = begun.map_or(took, |begun: Instant| begun.elapsed());
        }
        // A busy machine is to come as far between two deaths as an idle one, and further when it did not come far enough.
        let most = if n < kills { 3.0 } else { 15.0 };
        tokio::time::sleep(took.mul_f64(chance.random_range(0.1..most))).await;
        server.kill();
        server.spawn();
        begun = Some(Instant::now());
        killed.fetch_add(1, Ordering::SeqCst);
    }
    server.listens().await;
    server
}

/// People ask, approve and give back until they are told to stop. Returns how many leases there were.
async fn live(world: &World, seed: u64, stop: &AtomicBool) -> usize {
    let mut chance = StdRng::seed_from_u64(seed);
    let mut leases = 0;
    while !stop.load(Ordering::Relaxed) {
        let who = format!("worker.{}", chance.random_range(0..WORKERS));
        let (application, role, _) = ROLES[chance.random_range(0..ROLES.len())];
        match world.ask(&who, application, role, HOUR).await {
            Ok(asked) if role == "reader" => {
                // Time may jump while it is answered: an approval is dated now, or refused, and said again.
                let mut told = world.answer("mara.voss", asked.id, Answer::Approve { granted: None }).await;
                for _ in 0..5 {
                    let Err(ServiceError::Broken(StoreError::Refused { constraint, .. })) = &told else { break };
                    assert!(constraint.ends_with("_dated"), "{constraint}");
                    told = world.answer("mara.voss", asked.id, Answer::Approve { granted: None }).await;
                }
                told.unwrap();
                leases += 1;
            }
            Ok(_) => leases += 1,
            // They have it: some give it back before its time is up.
            Err(_) if chance.random_bool(0.4) => {
                let held: Option<Uuid> = sqlx::query_scalar(
                    "select g.id from access_grant g join person p on p.id = g.beneficiary_id where p.user_name = $1 and g.status in ('provisioning', 'verifying', 'active')
                     order by random() limit 1",
                )
                .bind(&who)
                .fetch_optional(&world.root)
                .await
                .unwrap();
                if let Some(held) = held {
                    // It may have ended in this moment.
                    _ = end(&world.ctx, &world.by(&who).await, held.into(), false, None).await;
                }
            }
            Err(_) => {}
        }
        tokio::time::sleep(Duration::from_millis(chance.random_range(5..60))).await;
    }
    leases
}

/// How many changes were told to the directory.
fn changes(gate: &Gate) -> usize {
    gate.calls().iter().filter(|call| call.change.is_some()).count()
}

/// Lets time go by, so that claims of the dead lapse; and an hour once there was something to do, so that leases end. Not by this machine's
/// clock alone: where it is busy, every lease would end before it was given.
async fn pass_time(world: &World, gate: &Gate, stop: &AtomicBool) {
    let mut pause = tokio::time::interval(Duration::from_millis(500));
    let mut told = 0;
    loop {
        pause.tick().await;
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let is_time = changes(gate) >= told + 16;
        if is_time {
            told = changes(gate);
        }
        world.advance(if is_time { chrono::Duration::minutes(61) } else { chrono::Duration::seconds(61) }).await;
    }
}

/// Waits until the replicas have done what is due, a minute after a minute.
async fn settle(world: &World) {
    // The claim of a dead worker on comparing the groups holds longest.
    for wait in [16 * 60, 301, 61, 61] {
        world.advance(chrono::Duration::seconds(wait)).await;
        eventually("everything due is done", || async {
            let sql = "select exists (select 1 from worker where beat_at > clock() - interval '20 seconds') and not exists (
                select 1 from target where next_at <= clock() or lease_until is not null
                union all select 1 from access_grant where status in ('provisioning', 'verifying', 'revoking') or status = 'active' and ends_at <= clock()
                union all select 1 from timetable where name like 'sweep:%' and (next_at <= clock() or lease_until is not null))";
            world.one::<bool>(sql).await.then_some(())
        })
        .await;
    }
}

/// By person and group: who holds an active lease, and who is a member.
async fn leases_and_members(world: &World) -> (BTreeSet<(String, String)>, BTreeSet<(String, String)>) {
    let leases: Vec<(String, String)> = sqlx::query_as(
        "select p.reference, t.group_reference from access_grant g join target t on t.id = g.target_id join person p on p.id = g.beneficiary_id where g.status = 'active'",
    )
    .fetch_all(&world.root)
    .await
    .unwrap();
    let workers: Vec<String> = sqlx::query_scalar("select reference from person where user_name like 'worker.%'").fetch_all(&world.root).await.unwrap();
    let mut members = BTreeSet::new();
    for (_, _, name) in ROLES {
        let group = world.group(name).await;
        let there = world.directory().members(&group).await.unwrap().unwrap();
        members.extend(there.into_iter().filter(|member| workers.contains(member)).map(|member| (member, group.clone())));
    }
    (leases.into_iter().collect(), members)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_replicas_killed_at_any_moment_lose_nothing_and_double_nothing() {
    let kills = if std::env::var_os("CI").is_some() { 200 } else { 40 };
    let seed: u64 = std::env::var("SEED").ok().map_or_else(rand::random, |seed| seed.parse().unwrap());
    println!("seed {seed}");
    let gate = Gate::start().await;
    let mut town = Town::of(crowd(WORKERS, &["mara.voss"]), Reach::Gate(&gate), &[("COUNTERSIGN_DIRECTORIES__MAIN__TIMEOUT_SECONDS", "1")]).await;
    // Whoever asks here is no replica, and reaches the directory straight.
    town.world.ctx.directories = Arc::new([("main".to_owned(), town.world.directory().clone())].into());
    let second = town.server.replica();
    gate.moody(seed);
    let (stop, killed) = (AtomicBool::new(false), Arc::new(AtomicUsize::new(0)));
    let Town { server: first, world } = town;
    let enough = {
        let gate = gate.clone();
        move || changes(&gate) > kills / 2
    };
    let replicas = async {
        let one = tokio::spawn(kill(first, kills / 2, seed ^ 1, killed.clone(), enough.clone()));
        let two = tokio::spawn(kill(second, kills - kills / 2, seed ^ 2, killed.clone(), enough));
        let replicas = (one.await.unwrap(), two.await.unwrap());
        stop.store(true, Ordering::Relaxed);
        replicas
    };
    let began = Instant::now();
    let (replicas, leases, ()) = tokio::join!(replicas, live(&world, seed ^ 3, &stop), pass_time(&world, &gate, &stop));
    let changes = changes(&gate);
    println!("{} kills in {:.0} s, {leases} leases, {changes} changes told to the directory", killed.load(Ordering::SeqCst), began.elapsed().as_secs_f64());
    assert!(killed.load(Ordering::SeqCst) >= kills && leases > kills / 4 && changes > kills / 4, "{leases} leases, {changes} changes");

    // Quiet: the directory behaves, and whatever is late has come.
    gate.manners(|manners| manners.moods = None);
    gate.quiet().await;
    // Some hold something at the end.
    for n in 0..4 {
        _ = world.ask(&format!("worker.{n}"), "warehouse", "analyst", 24 * HOUR).await;
    }
    settle(&world).await;
    let (held, members) = leases_and_members(&world).await;
    assert!(!held.is_empty());
    assert_eq!(members, held, "seed {seed}");
    world.advance(chrono::Duration::hours(25)).await;
    settle(&world).await;
    assert_eq!(leases_and_members(&world).await, Default::default(), "seed {seed}");

    // What was approved was given once and ended once, whoever died meanwhile.
    let unfinished: i64 = world.one("select count(*) from access_grant where status <> 'ended'").await;
    assert_eq!(unfinished, 0, "seed {seed}");
    let lost: i64 =
        world.one("select count(*) from request r where r.status = 'approved' and not exists (select 1 from access_grant g where g.request_id = r.id)").await;
    assert_eq!(lost, 0, "seed {seed}");
    let doubled: Vec<(String, Option<Uuid>, i64)> =
        sqlx::query_as("select kind, coalesce(grant_id, request_id), count(*) from audit_event where kind = any($1) group by 1, 2 having count(*) > 1")
            .bind([
                "request.approved",
                "request.auto_approved",
                "grant.created",
                "grant.provisioning_started",
                "grant.provisioned",
                "grant.activated",
                "grant.expired",
                "grant.returned",
                "grant.ended",
            ])
            .fetch_all(&world.root)
            .await
            .unwrap();
    assert_eq!(doubled, [], "seed {seed}");
    let untold: i64 = world
        .one(
            "select count(*) from access_grant g where (select count(*) from audit_event e where e.grant_id = g.id and e.kind = 'grant.ended') <> 1
               or (g.verified_at is not null) <> exists (select 1 from audit_event e where e.grant_id = g.id and e.kind = 'grant.activated')",
        )
        .await;
    assert_eq!(untold, 0, "seed {seed}");
    drop(replicas);
    world.ctx.clock.set(world.ctx.db.clock().await.unwrap());
    let findings = doctor::deep(&world.ctx).await.unwrap();
    assert!(findings.is_empty(), "seed {seed}: {findings:#?}");
}
