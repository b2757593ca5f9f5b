//! Measures a backlog against the limit of a directory.
//!
//! `script/bench scale [CHANGES] [PER_MINUTE]` runs it. `BENCH_DATABASE_URL` is a superuser of a Postgres that may be filled; the report
//! goes to standard output and to `scale.md` in `BENCH_FOLDER`. A fifth of the changes are removals. Two replicas drain the backlog, each
//! through a door of its own to a gate that refuses whatever is above the limit in any ten seconds.

#![allow(clippy::print_stdout, reason = "the report goes to standard output")]

#[allow(dead_code, missing_docs, clippy::unwrap_used, reason = "the tests' own, which use more of it")]
#[path = "../tests/it/gate.rs"]
mod gate;

use std::collections::BTreeMap;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use countersign::clock::Clock;
use countersign::demo::company::Company;
use countersign::demo::serve;
use countersign::directory::http;
use countersign::directory::port::Directory;
use countersign::directory::scim::Scim;
use countersign::domain::event::{Actor, Channel};
use countersign::domain::id::{GrantId, PersonId, RoleId};
use countersign::domain::span::Seconds;
use countersign::service::apply;
use countersign::service::ask::{AskFor, ask};
use countersign::service::ctx::{Access, By, Ctx, Provisioning};
use countersign::service::end::end;
use countersign::service::sync::sync;
use countersign::store::db::{Db, Settings};
use countersign::store::policy::Policies;
use countersign::store::separation::Separations;
use countersign::worker::{run, step};
use futures_util::StreamExt;
use gate::{Gate, Limit};
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{Connection, Executor, PgConnection};
use tokio::sync::{Notify, watch};
use uuid::Uuid;

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

const ROLES: usize = 100;
const TOKEN: &str = "token-of-the-bench";
const DATABASE: &str = "bench_scale";
const REPLICAS: usize = 2;
/// How many people ask at once while the backlog is made.
const ASKING: usize = 8;

fn main() -> Outcome<()> {
    let mut numbers = std::env::args().skip(1).filter_map(|argument| argument.parse::<u32>().ok());
    let (changes, per_minute) = (numbers.next().unwrap_or(10_000), numbers.next().unwrap_or(12_000));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(measure(changes as usize, per_minute))
}

fn catalog() -> String {
    let mut text = "default_policies = [\"at-once\"]\n[[application]]\nkey = \"bench\"\nname = \"Bench\"\ndescription = \"What is measured.\"\nowner = \"p00000\"\n\
         [[profile]]\nkey = \"everybody\"\nname = \"Everybody\"\n[[profile.allow]]\nall = []\n\
         [[policy]]\nkey = \"at-once\"\nname = \"At once\"\nprofile = \"everybody\"\nauto_approve = true\ndurations = { recommended = \"1d\", maximum = \"30d\" }\njustification = { required = false }\n"
        .to_owned();
    for n in 1..=ROLES {
        text.push_str(&format!(
            "[[role]]\napplication = \"bench\"\nkey = \"role-{n}\"\nname = \"Role {n}\"\ndescription = \"One of many.\"\nrisk = \"low\"\ngroup = \"role-{n:04}\"\n"
        ));
    }
    text
}

fn told(error: impl std::fmt::Display) -> Box<dyn std::error::Error + Send + Sync> {
    error.to_string().into()
}

fn reach(base: &str, per_minute: Option<u32>, clock: &Clock) -> Outcome<Directory> {
    Ok(Directory::Scim(Scim::new(&http::Settings { per_minute, ..http::Settings::new(base, TOKEN) }, clock.clone())?))
}

fn by(person: Uuid) -> By {
    By { person: PersonId(person), name: "Somebody".into(), token: None, channel: Channel::Web, is_administrator: false, is_auditor: false }
}

/// Has each of these people ask for a role of theirs.
async fn owe(ctx: &Ctx, people: &[Uuid], roles: &[Uuid]) -> Outcome<()> {
    let asks = people.iter().enumerate().map(|(n, person)| async move {
        let wish = AskFor { duration: Some(Seconds(86_400)), ..AskFor::new(RoleId(roles[n % roles.len()])) };
        ask(ctx, &by(*person), wish).await.map(drop)
    });
    let mut asks = futures_util::stream::iter(asks).buffer_unordered(ASKING);
    while let Some(asked) = asks.next().await {
        asked.map_err(told)?;
    }
    Ok(())
}

async fn measure(changes: usize, per_minute: u32) -> Outcome<()> {
    let url = std::env::var("BENCH_DATABASE_URL").map_err(|_| "BENCH_DATABASE_URL is not set: run script/bench, which starts a Postgres of its own")?;
    let superuser = PgConnectOptions::from_str(&url)?;
    let mut maintenance = PgConnection::connect_with(&superuser).await?;
    maintenance.execute(sqlx::AssertSqlSafe(format!("drop database if exists {DATABASE} with (force)"))).await?;
    maintenance.execute(sqlx::AssertSqlSafe(format!("create database {DATABASE}"))).await?;
    let owner = superuser.database(DATABASE);
    let clock = Clock::system();
    let settings = serve::Settings {
        listen: "127.0.0.1:0".parse()?,
        company: Company::generated(changes, 9 + ROLES),
        state: None,
        client_id: "bench".into(),
        client_secret: "bench".into(),
        redirect_uris: vec!["http://127.0.0.1:9/".into()],
        post_logout_redirect_uris: vec![],
        scim_token: TOKEN.into(),
    };
    let running = serve::start(settings, clock.clone()).await?;
    let ctx = Ctx {
        db: Db::connect(&Settings { owner: Some(owner.clone()), app: None, max_connections: 16 }).await?,
        policies: Policies::default(),
        separation: Separations::default(),
        directories: Arc::new([("main".to_owned(), reach(&running.scim_base(), None, &clock)?)].into()),
        clock: clock.clone(),
        provisioning: Arc::new(Provisioning::default()),
        access: Arc::new(BTreeMap::from([("main".to_owned(), Access::default())])),
        wake: Arc::new(Notify::new()),
        retention: Default::default(),
        witnesses: Default::default(),
        places: Default::default(),
        changing: Default::default(),
        sealer: None,
        recent: Default::default(),
        hooks: Default::default(),
    };
    let root = PgPoolOptions::new().max_connections(2).connect_with(owner.clone().options([("search_path", "countersign")])).await?;

    // What is owed: a fifth is to be taken away, the rest to be given.
    let began = Instant::now();
    sync(&ctx, "main").await.map_err(told)?;
    let applied = apply::run(&ctx, (&catalog(), "bench.toml"), (Actor::System, Channel::Cli)).await.map_err(told)?;
    if !applied.plan.is_good() {
        return Err(told(applied.plan));
    }
    let people: Vec<Uuid> = sqlx::query_scalar("select id from person order by user_name").fetch_all(&root).await?;
    let roles: Vec<Uuid> = sqlx::query_scalar("select id from role order by key").fetch_all(&root).await?;
    let (first, rest) = people.split_at(changes / 5);
    owe(&ctx, first, &roles).await?;
    step::drain(&ctx).await.map_err(told)?;
    let held: Vec<(Uuid, Uuid)> = sqlx::query_as("select id, beneficiary_id from access_grant where status = 'active'").fetch_all(&root).await?;
    for (grant, person) in &held {
        end(&ctx, &by(*person), GrantId(*grant), false, None).await.map_err(told)?;
    }
    owe(&ctx, rest, &roles).await?;
    println!("{} removals and {} additions were made owed in {:.0} s", held.len(), rest.len(), began.elapsed().as_secs_f64());

    let gate = Gate::start().await;
    gate.before(&running.scim_base());
    let doors = [gate.clone(), gate.beside().await];
    gate.manners(|manners| manners.limit = Some(Limit::Silent((per_minute / 6) as usize, Duration::from_secs(10))));
    let (stop, stopped) = watch::channel(false);
    let began = Instant::now();
    let mut replicas = Vec::new();
    for door in doors.iter().take(REPLICAS) {
        let directories = Arc::new([("main".to_owned(), reach(&door.base, Some(per_minute), &clock)?)].into());
        let ctx = Ctx {
            directories,
            wake: Arc::new(Notify::new()),
            db: Db::connect(&Settings { owner: Some(owner.clone()), app: None, max_connections: 16 }).await?,
            ..ctx.clone()
        };
        replicas.push(tokio::spawn(run::run(ctx, stopped.clone())));
    }
    let removed = drained(&root, "status in ('revoking')", began).await?;
    let took = drained(&root, "status not in ('active', 'ended')", began).await?;
    stop.send(true)?;
    for replica in replicas {
        replica.await?;
    }
    report(&gate, changes, per_minute, (removed, took))?;
    running.stop().await;
    Ok(())
}

/// Waits until there is no such lease; how long after `began` that was.
async fn drained(root: &PgPool, which: &str, began: Instant) -> Outcome<f64> {
    loop {
        let left: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(format!("select count(*) from access_grant where {which}"))).fetch_one(root).await?;
        if left == 0 {
            return Ok(began.elapsed().as_secs_f64());
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

fn report(gate: &Gate, changes: usize, per_minute: u32, (removed, took): (f64, f64)) -> Outcome<()> {
    let calls = gate.calls();
    let ideal = calls.len() as f64 * 60.0 / f64::from(per_minute);
    let made: Vec<_> = calls.iter().filter_map(|call| Some((call.door, call.change.clone()?.0))).collect();
    let before_first_add = made.iter().position(|(_, adds)| *adds).unwrap_or(made.len());
    let shares: Vec<String> =
        (0..REPLICAS).map(|door| format!("{:.2}", made.iter().filter(|(through, _)| *through == door).count() as f64 / made.len() as f64)).collect();
    let report = format!(
        "\n## A backlog of {changes} changes\n\n- {} calls at {per_minute} a minute: {took:.0} s, {:.2} of the {ideal:.0} s that the limit allows.\n- Calls that broke the limit: {}.\n\
         - The last of {} removals was verified after {removed:.0} s; {before_first_add} were made before the first addition.\n- Share of each replica: {}. Changes made twice at once: {}; more than once: {}.\n",
        calls.len(),
        took / ideal,
        gate.refused(),
        changes / 5,
        shares.join(", "),
        gate.twice(),
        made.len().saturating_sub(changes),
    );
    println!("{report}");
    if let Ok(folder) = std::env::var("BENCH_FOLDER") {
        std::fs::write(Path::new(&folder).join("scale.md"), &report)?;
    }
    if gate.refused() > 0 {
        return Err("the limit was broken".into());
    }
    Ok(())
}
