//! Backlogs drain at the limit, fairly, by several replicas.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use countersign::clock::Clock;
use countersign::demo::serve::{self, Running};
use countersign::directory::http;
use countersign::directory::port::Directory;
use countersign::directory::scim::Scim;
use countersign::domain::id::GrantId;
use countersign::service::ctx::{Ctx, Directories};
use countersign::service::deliver::deliver;
use countersign::service::end::end;
use countersign::service::look::directory::directory;
use countersign::worker::run::run;
use countersign::worker::step;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use crate::gate::{Gate, Limit};
use crate::server::{crowd, eventually};
use crate::world::{Reach, SCIM_TOKEN, World, catalog};

const HOUR: i64 = 3_600;

/// A replica within the test: the worker that a server has.
struct Replica {
    stop: watch::Sender<bool>,
    work: JoinHandle<()>,
}

impl Replica {
    fn start(ctx: Ctx) -> Self {
        let (stop, stopped) = watch::channel(false);
        Self { stop, work: tokio::spawn(run(ctx, stopped)) }
    }

    async fn stop(self) {
        self.stop.send(true).unwrap();
        self.work.await.unwrap();
    }
}

/// What a replica of a world has of its own: its way to the directory at `base`, with `per_minute` calls.
fn replica(world: &World, base: &str, per_minute: Option<u32>) -> Ctx {
    let settings = http::Settings { per_minute, ..http::Settings::new(base, SCIM_TOKEN) };
    let scim = Scim::new(&settings, world.ctx.clock.clone()).unwrap();
    let directories: Directories = [("main".to_owned(), Directory::Scim(scim))].into();
    Ctx { directories: Arc::new(directories), wake: Arc::new(Notify::new()), ..world.ctx.clone() }
}

/// A world of so many workers that reaches its directory straight, and the gate before that directory.
async fn gated(workers: usize) -> (World, Gate) {
    let gate = Gate::start().await;
    let mut world = World::with(crowd(workers, &["mara.voss"]), Reach::Gate(&gate)).await;
    world.turn().await;
    world.apply(&catalog()).await;
    world.ctx.directories = Arc::new([("main".to_owned(), world.directory().clone())].into());
    (world, gate)
}

/// Access that is owed to these workers.
async fn owe(world: &World, workers: std::ops::Range<usize>) {
    for n in workers {
        world.ask(&format!("worker.{n}"), "warehouse", "analyst", HOUR).await.unwrap();
    }
}

/// Access that is owed to be taken from everybody who has it.
async fn owe_removals(world: &World) {
    let held: Vec<(uuid::Uuid, String)> =
        sqlx::query_as("select g.id, p.user_name from access_grant g join person p on p.id = g.beneficiary_id where g.status = 'active'")
            .fetch_all(&world.root)
            .await
            .unwrap();
    for (grant, who) in held {
        end(&world.ctx, &world.by(&who).await, GrantId(grant), false, None).await.unwrap();
    }
}

async fn nothing_is_owed(world: &World) {
    eventually("nothing is owed", || async {
        let owed: i64 = world.one("select count(*) from access_grant where status not in ('active', 'ended')").await;
        (owed == 0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_replicas_drain_a_backlog_at_the_limit_without_breaking_it_and_removals_first() {
    const EACH: usize = 90;
    let (world, gate) = gated(2 * EACH).await;
    owe(&world, 0..EACH).await;
    world.turn().await;
    owe_removals(&world).await;
    owe(&world, EACH..2 * EACH).await;

    let other = gate.beside().await;
    gate.forget();
    // 100 a second, looked at closely; a busy machine that stands still for a moment sends what it has kept all at once.
    gate.manners(|manners| manners.limit = Some(Limit::Silent(300, Duration::from_secs(3))));
    let began = Instant::now();
    let replicas = [&gate, &other].map(|gate| Replica::start(replica(&world, &gate.base, Some(6_000))));
    nothing_is_owed(&world).await;
    let took = began.elapsed().as_secs_f64();
    for replica in replicas {
        replica.stop().await;
    }

    let calls = gate.calls();
    let ideal = calls.len() as f64 / 100.0;
    println!("{} calls in {took:.1} s, {:.2} of what the limit allows", calls.len(), took / ideal);
    assert_eq!(gate.refused(), 0, "the limit is never broken");
    // Two cores with other work beside must do; the first seconds belong to one of them.
    assert!(took < 2.5 * ideal + 2.0, "{took} s of {ideal} s");
    let changes: Vec<_> = calls.iter().filter_map(|call| Some((call.door, call.change.clone()?))).collect();
    let first_add = changes.iter().position(|(_, (adds, ..))| *adds).unwrap();
    assert!(first_add >= EACH - 32, "removals go first: {first_add}");
    let mut memberships: BTreeMap<_, usize> = BTreeMap::new();
    changes.iter().for_each(|(_, change)| *memberships.entry(change.clone()).or_default() += 1);
    assert_eq!((memberships.len(), memberships.values().max(), gate.twice()), (2 * EACH, Some(&1), 0), "each is changed once, by one of them");
    for door in 0..2 {
        let share = changes.iter().filter(|(through, _)| *through == door).count();
        assert!(share * 10 >= changes.len(), "replica {door} did {share} of {}", changes.len());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_that_the_directory_tells_of_is_kept_without_any_setting() {
    let (world, gate) = gated(40).await;
    owe(&world, 0..40).await;
    gate.forget();
    gate.manners(|manners| manners.limit = Some(Limit::Told(60, 3)));
    let worker = Replica::start(replica(&world, &gate.base, None));
    nothing_is_owed(&world).await;
    worker.stop().await;
    let calls = gate.calls();
    let spread = calls.last().unwrap().at - calls[0].at;
    assert!(spread > Duration::from_secs(3), "{} calls went through several windows, or nothing was tried: {spread:?}", calls.len());
    assert_eq!(gate.refused(), 0, "of {} calls", calls.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_a_directory_asks_one_replica_to_wait_all_leave_it_alone() {
    let (world, gate) = gated(100).await;
    owe(&world, 0..100).await;
    let other = gate.beside().await;
    gate.manners(|manners| manners.delay = Duration::from_millis(40));
    let replicas = [&gate, &other].map(|gate| Replica::start(replica(&world, &gate.base, None)));
    eventually("both are at work", || async { (0..2).all(|door| gate.calls().iter().any(|call| call.door == door && call.change.is_some())).then_some(()) })
        .await;
    gate.manners(|manners| manners.wait = Some(4));
    eventually("it asked", || async { (gate.refused() == 1).then_some(()) }).await;
    let asked = Instant::now();
    // A visit that is at hand ends; then nobody calls until the four seconds are over.
    let told =
        eventually("all are told", || async { directory(&world.ctx, &world.by("sofia.marin").await, "main", None, None).await.unwrap().waits_until }).await;
    assert!(told > world.now());
    eventually("it goes on", || async { (gate.calls().last().unwrap().at > asked + Duration::from_millis(3_800)).then_some(()) }).await;
    let (from, to) = (asked + Duration::from_millis(1_200), asked + Duration::from_millis(3_600));
    let meanwhile = gate.calls().iter().filter(|call| call.at > from && call.at < to).count();
    assert_eq!(meanwhile, 0, "whoever was not asked leaves it alone too");
    nothing_is_owed(&world).await;
    assert_eq!(gate.refused(), 1);
    for replica in replicas {
        replica.stop().await;
    }
}

/// Two directories beside each other, each behind a gate: people of the second are called second.worker.0 and on.
async fn side_by_side(workers: usize) -> (World, Gate, Gate, Running) {
    let (mut world, main) = gated(workers).await;
    let mut company = crowd(workers, &["mara.voss"]);
    for person in &mut company.people {
        person.user_name = format!("second.{}", person.user_name);
        person.email = format!("second.{}", person.email);
    }
    let settings = serve::Settings {
        listen: "127.0.0.1:0".parse().unwrap(),
        company,
        state: None,
        client_id: "countersign".into(),
        client_secret: "client-secret-of-the-tests".into(),
        redirect_uris: vec!["http://127.0.0.1:9/sign-in/callback".into()],
        post_logout_redirect_uris: vec![],
        scim_token: SCIM_TOKEN.into(),
    };
    let running = serve::start(settings, Clock::system()).await.unwrap();
    let second = Gate::start().await;
    second.before(&running.scim_base());
    let reach = |base: &str| Directory::Scim(Scim::new(&http::Settings::new(base, SCIM_TOKEN), world.ctx.clock.clone()).unwrap());
    let all = BTreeMap::from([("main".to_owned(), reach(&main.base)), ("second".to_owned(), reach(&second.base))]);
    world.ctx.directories = Arc::new(Directories::new(all, "main"));
    world.turn().await;
    world
        .apply(&format!(
            "{}\n[[role]]\napplication = \"warehouse\"\nkey = \"copy\"\nname = \"Copy\"\ndescription = \"The other warehouse.\"\nrisk = \"low\"\ndirectory = \"second\"\ngroup = \"warehouse-analysts\"\npolicies = [\"analysts-at-once\", \"standard\"]\n",
            catalog()
        ))
        .await;
    step::drain(&world.ctx).await.unwrap();
    (world, main, second, running)
}

/// How long it takes until somebody has what they asked for.
async fn latency(world: &World, who: &str, role: &str) -> f64 {
    let began = Instant::now();
    let asked = world.ask(who, "warehouse", role, HOUR).await.unwrap();
    eventually("they have it", || async { (world.grant(asked.id).await.1 == "active").then_some(()) }).await;
    began.elapsed().as_secs_f64()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_that_hangs_fails_or_is_behind_delays_no_other() {
    const BEHIND: usize = 30;
    let (world, main, second, running) = side_by_side(BEHIND + 20).await;
    // In the second they hold something whose time will be up, and then something is owed to many.
    let soon = world.ask("second.worker.40", "warehouse", "copy", HOUR).await.unwrap();
    world.turn().await;
    world.advance(chrono::Duration::minutes(30)).await;
    for n in 0..BEHIND {
        world.ask(&format!("second.worker.{n}"), "warehouse", "copy", HOUR).await.unwrap();
    }
    second.manners(|manners| manners.hangs = true);
    let worker = Replica::start(world.ctx.clone());
    let mut slowest = 0f64;
    let mut next = 0;
    for trouble in ["it hangs", "it fails", "it is slow"] {
        second.manners(|manners| {
            manners.hangs = trouble == "it hangs";
            manners.fails = trouble == "it fails";
            manners.delay = Duration::from_millis(if trouble == "it is slow" { 900 } else { 0 });
        });
        for _ in 0..3 {
            let took = latency(&world, &format!("worker.{next}"), "analyst").await;
            println!("{trouble}: {took:.2} s in the other directory");
            slowest = slowest.max(took);
            next += 1;
        }
    }
    assert!(slowest < 4.0, "a call that hangs takes 10 s, and nobody waits for it: {slowest} s");

    // The home directory hangs, in which approvers are found: what is over in the other one ends all the same.
    main.manners(|manners| manners.hangs = true);
    second.manners(|manners| manners.delay = Duration::ZERO);
    let began = Instant::now();
    world.advance(chrono::Duration::minutes(31)).await;
    eventually("it has ended", || async { (world.grant(soon.id).await.1 == "ended").then_some(()) }).await;
    let took = began.elapsed().as_secs_f64();
    assert!(took < 6.0, "{took} s");

    main.manners(|manners| manners.hangs = false);
    eventually("what was owed in the second is done", || async {
        // Backoff is waited for by the world's clock.
        world.advance(chrono::Duration::seconds(20)).await;
        let owed: i64 = world.one("select count(*) from access_grant g join target t on t.id = g.target_id where t.directory = 'second' and g.status in ('provisioning', 'verifying', 'revoking')").await;
        (owed == 0).then_some(())
    })
    .await;
    worker.stop().await;
    // The last look goes to the directories straight.
    running.stop().await;
    world.tampered("the second directory is gone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_granted_in_a_directory_that_is_not_configured_any_more_is_told_and_keeps_nobody_waiting() {
    let mut world = World::new().await;
    let asked = world.ask("bo.lind", "warehouse", "analyst", HOUR).await.unwrap();
    let main = std::mem::take(&mut world.ctx.directories);
    world.turn().await;
    let error: String = world.one("select last_error from countersign.access_grant").await;
    assert!(error.contains("directory main is not configured any more"), "{error}");
    assert_eq!(world.grant(asked.id).await.1, "provisioning");
    world.ctx.directories = main;
    world.advance(chrono::Duration::minutes(6)).await;
    world.turn().await;
    assert_eq!(world.grant(asked.id).await.1, "active", "it is put back into the settings");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_dies_before_it_hears_of_its_own_change_leaves_no_membership_that_was_there_before() {
    let (world, gate) = gated(1).await;
    let ctx = replica(&world, &gate.base, None);
    gate.manners(|manners| manners.lingers = Duration::from_secs(30));
    let asked = world.ask("worker.0", "warehouse", "analyst", HOUR).await.unwrap();
    let dying = ctx.clone();
    let work = tokio::spawn(async move { deliver(&dying, "main").await });
    eventually("it is a member", || async { world.is_member("worker.0", "warehouse-analysts").await.then_some(()) }).await;
    work.abort();
    assert!(work.await.unwrap_err().is_cancelled());
    // Another worker takes over, and finds the membership there.
    world.advance(chrono::Duration::seconds(61)).await;
    world.turn().await;
    assert_eq!(world.grant(asked.id).await.1, "active");
    world.advance(chrono::Duration::seconds(HOUR)).await;
    world.turn().await;
    assert_eq!(world.grant(asked.id).await.1, "ended");
    assert!(!world.is_member("worker.0", "warehouse-analysts").await, "it was ours, and nobody else's");
}
