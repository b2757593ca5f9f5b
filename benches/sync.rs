//! Measures reading a directory of 100,000 people and 20,000 groups.
//!
//! `script/bench sync` runs it. `BENCH_DATABASE_URL` is a superuser of a Postgres that may be filled; the report goes to standard output
//! and to `sync.md` in `BENCH_FOLDER`. The directory is a process of its own, so that the memory told here is that of whoever reads.

#![allow(clippy::print_stdout, reason = "the report goes to standard output")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use countersign::clock::Clock;
use countersign::demo::company::Company;
use countersign::demo::serve;
use countersign::directory::http;
use countersign::directory::port::Directory;
use countersign::directory::scim::Scim;
use countersign::service::ctx::{Access, Ctx, Provisioning};
use countersign::service::sync::{Synced, sync};
use countersign::store::db::{Db, Settings};
use countersign::store::policy::Policies;
use countersign::store::separation::Separations;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, Executor, PgConnection};
use tokio::sync::Notify;

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

const PEOPLE: usize = 100_000;
const GROUPS: usize = 20_000;
/// How many people are switched off before the third reading; as many as are believed to have left at once.
const LEAVERS: usize = 200;
/// Of how many groups everybody is a member, besides that of their department.
const EACH: usize = 5;
/// The bar, in seconds.
const BAR: f64 = 600.0;
const TOKEN: &str = "token-of-the-bench";
const DATABASE: &str = "bench_sync";

fn main() -> Outcome<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    if std::env::args().any(|argument| argument == "--directory") { runtime.block_on(directory()) } else { runtime.block_on(run()) }
}

/// The directory: says where it listens, and ends with its standard input.
async fn directory() -> Outcome<()> {
    let mut company = Company::generated(PEOPLE, GROUPS);
    let first = company.groups.len() - (GROUPS - 9);
    for person in 0..PEOPLE {
        for n in 0..EACH {
            let members = &mut company.groups[first + (person * 7 + n * 3_989) % (GROUPS - 9)].members;
            if members.last() != Some(&person) {
                members.push(person);
            }
        }
    }
    let settings = serve::Settings {
        listen: "127.0.0.1:0".parse()?,
        company,
        state: None,
        client_id: "bench".into(),
        client_secret: "bench".into(),
        redirect_uris: vec!["http://127.0.0.1:9/".into()],
        post_logout_redirect_uris: vec![],
        scim_token: TOKEN.into(),
    };
    let running = serve::start(settings, Clock::system()).await?;
    println!("{}", running.scim_base());
    tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await??;
    running.stop().await;
    Ok(())
}

/// Processor time of this process so far, and the most memory it had, in MB (Linux).
fn used() -> (Duration, f64) {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit_once(") ").map(|(_, rest)| rest.split(' ').collect()).unwrap_or_default();
    let ticks: u64 = [11, 12].iter().filter_map(|at| fields.get(*at)?.parse::<u64>().ok()).sum();
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<f64>().ok());
    (Duration::from_millis(ticks * 10), most.unwrap_or(f64::NAN) / 1024.0)
}

async fn read(ctx: &Ctx, what: &str, report: &mut Vec<String>) -> Outcome<Synced> {
    let (before, began) = (used().0, Instant::now());
    let found = sync(ctx, "main").await.map_err(|error| error.to_string())?;
    let (took, (after, most)) = (began.elapsed().as_secs_f64(), used());
    report.push(format!(
        "- {what}: {took:.1} s, {:.3} of the bar of {BAR:.0} s ({}); {:.1} s of processor time in this process; {most:.0} MB at most so far. {} people, {} groups, {} new or changed, {} seem to have left",
        took / BAR,
        if took <= BAR { "reached" } else { "**missed**" },
        (after - before).as_secs_f64(),
        found.people,
        found.groups,
        found.changed,
        found.left,
    ));
    println!("{}", report.last().map_or("", String::as_str));
    Ok(found)
}

async fn run() -> Outcome<()> {
    let url = std::env::var("BENCH_DATABASE_URL").map_err(|_| "BENCH_DATABASE_URL is not set: run script/bench, which starts a Postgres of its own")?;
    let superuser = PgConnectOptions::from_str(&url)?;
    let mut child = Command::new(std::env::current_exe()?).arg("--directory").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut base = String::new();
    BufReader::new(child.stdout.take().ok_or("the directory says nothing")?).read_line(&mut base)?;
    let base = base.trim().to_owned();
    let mut maintenance = PgConnection::connect_with(&superuser).await?;
    maintenance.execute(sqlx::AssertSqlSafe(format!("drop database if exists {DATABASE} with (force)"))).await?;
    maintenance.execute(sqlx::AssertSqlSafe(format!("create database {DATABASE}"))).await?;
    let clock = Clock::system();
    let owner = superuser.database(DATABASE);
    let db = Db::connect(&Settings { owner: Some(owner.clone()), app: None, max_connections: 8 }).await?;
    let ctx = Ctx {
        db,
        policies: Policies::default(),
        separation: Separations::default(),
        directories: Arc::new([("main".to_owned(), Directory::Scim(Scim::new(&http::Settings::new(&base, TOKEN), clock.clone())?))].into()),
        clock,
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
    let mut report = vec![format!("\n## Reading a directory of {PEOPLE} people and {GROUPS} groups\n")];
    println!("memory at rest: {:.0} MB", used().1);
    read(&ctx, "for the first time, everybody new", &mut report).await?;
    read(&ctx, "again, with nothing new", &mut report).await?;
    let mut root = PgConnection::connect_with(&owner).await?;
    let leavers: Vec<String> =
        sqlx::query_scalar("select reference from countersign.person order by reference limit $1").bind(LEAVERS as i64).fetch_all(&mut root).await?;
    let client = reqwest::Client::new();
    for reference in &leavers {
        let body = serde_json::json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [{ "op": "replace", "path": "active", "value": false }],
        });
        let call = client.patch(format!("{base}/Users/{reference}")).bearer_auth(TOKEN).header("content-type", "application/scim+json").body(body.to_string());
        call.send().await?.error_for_status()?;
    }
    let found = read(&ctx, &format!("again, with {LEAVERS} switched off, each asked about"), &mut report).await?;
    let left: i64 = sqlx::query_scalar("select count(*) from countersign.leaver where settled_at is not null").fetch_one(&mut root).await?;
    if found.left != LEAVERS || left != LEAVERS as i64 {
        return Err(format!("{left} of {LEAVERS} leavers are settled").into());
    }
    drop(child.stdin.take());
    child.wait()?;
    if let Ok(folder) = std::env::var("BENCH_FOLDER") {
        std::fs::write(Path::new(&folder).join("sync.md"), format!("{}\n", report.join("\n")))?;
    }
    Ok(())
}
