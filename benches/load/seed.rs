//! A company of 1,000 people with two years behind it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Instant;

use countersign::clock::Clock;
use countersign::demo::company::{AUDITORS, Company};
use countersign::demo::serve;
use countersign::directory::http;
use countersign::directory::port::Directory;
use countersign::directory::scim::Scim;
use countersign::service::ctx::{Access, Ctx, Provisioning};
use countersign::service::{measure, sync};
use countersign::store::db::{Db, Settings};
use countersign::store::policy::Policies;
use countersign::store::separation::Separations;
use sqlx::{Connection, Executor, PgConnection};
use tokio::sync::Notify;

use crate::Outcome;
use crate::database::{self, SEEDED};

/// Key of the directory in every record, as in `config/default.toml`.
pub const DIRECTORY: &str = "main";
const PEOPLE: usize = 1_000;
const ROLES: usize = 300;
const TOKEN: &str = "token-of-the-bench";

/// The company before its memberships: 1,000 people, and a group per role besides the nine that every generated company has.
fn founded() -> Company {
    Company::generated(PEOPLE, ROLES + 9)
}

/// The demo directory of `company` in this process, on a free port.
pub async fn directory(company: Company, clock: &Clock) -> Outcome<serve::Running> {
    let settings = serve::Settings {
        listen: "127.0.0.1:0".parse()?,
        company,
        state: None,
        client_id: "countersign".into(),
        client_secret: "secret-of-the-bench".into(),
        redirect_uris: vec!["http://127.0.0.1:9/sign-in/callback".into()],
        post_logout_redirect_uris: vec![],
        scim_token: TOKEN.into(),
    };
    Ok(serve::start(settings, clock.clone()).await?)
}

/// Services over `database` and the directory at `scim_base`.
pub async fn services(database: &str, scim_base: &str, clock: &Clock, connections: u32) -> Outcome<Ctx> {
    let owner = database::superuser()?.database(database);
    let db = Db::connect(&Settings { owner: Some(owner), app: None, max_connections: connections }).await?;
    let scim = Scim::new(&http::Settings::new(scim_base, TOKEN), clock.clone())?;
    Ok(Ctx {
        db,
        policies: Policies::default(),
        separation: Separations::default(),
        directories: Arc::new([(DIRECTORY.to_owned(), Directory::Scim(scim))].into()),
        clock: clock.clone(),
        provisioning: Arc::new(Provisioning::default()),
        access: Arc::new(BTreeMap::from([(
            DIRECTORY.to_owned(),
            Access { administrators_group: "countersign-admins".into(), auditors_group: "countersign-auditors".into() },
        )])),
        wake: Arc::new(Notify::new()),
        retention: Default::default(),
        witnesses: Default::default(),
        places: Default::default(),
        changing: Default::default(),
        sealer: None,
        recent: Default::default(),
        hooks: Default::default(),
    })
}

/// Makes the seeded database unless it is there already.
pub async fn seed() -> Outcome<()> {
    if database::is_seeded().await? {
        return Ok(());
    }
    let began = Instant::now();
    let mut maintenance = PgConnection::connect_with(&database::superuser()?).await?;
    maintenance.execute(sqlx::AssertSqlSafe(format!("drop database if exists {SEEDED} with (force)"))).await?;
    maintenance.execute(sqlx::AssertSqlSafe(format!("create database {SEEDED}"))).await?;

    // The people, as the service itself reads them.
    let clock = Clock::system();
    let company = founded();
    let running = directory(company.clone(), &clock).await?;
    let ctx = services(SEEDED, &running.scim_base(), &clock, 4).await?;
    sync::sync(&ctx, DIRECTORY).await.map_err(|error| error.to_string())?;
    ctx.db.close().await;
    running.stop().await;

    // Everything else.
    let mut connection = database::connect(SEEDED).await?;
    connection.execute("create temp table wanted_group (n int, reference text, name text); create temp table setting (directory text, at timestamptz)").await?;
    let roles: Vec<_> = company.groups.iter().filter(|group| group.name.starts_with("role-")).take(ROLES).collect();
    let numbers: Vec<i32> = (1..).take(roles.len()).collect();
    let references: Vec<String> = roles.iter().map(|group| group.id.to_string()).collect();
    let names: Vec<String> = roles.iter().map(|group| group.name.clone()).collect();
    sqlx::query("insert into wanted_group select * from unnest($1::int[], $2::text[], $3::text[])")
        .bind(&numbers)
        .bind(&references)
        .bind(&names)
        .execute(&mut connection)
        .await?;
    sqlx::query("insert into setting values ($1, $2)").bind(DIRECTORY).bind(clock.now()).execute(&mut connection).await?;
    let script = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/seed.sql"))?;
    connection.execute(sqlx::AssertSqlSafe(format!("begin;\n{script}\ncommit;"))).await?;
    connection.close().await?;
    // The log is counted once, as it was in those two years; else the worker does it beside what is measured.
    let ctx = services(SEEDED, "http://127.0.0.1:9/scim/v2", &clock, 4).await?;
    let counting = Instant::now();
    let days = measure::due(&ctx).await.map_err(|error| error.to_string())?;
    println!("counted for the measures: {days} days in {:.1} s", counting.elapsed().as_secs_f64());
    ctx.db.close().await;
    // A new session: the planner's settings of the seed end with it.
    let mut connection = database::connect(SEEDED).await?;
    connection.execute("vacuum (analyze)").await?;
    connection.close().await?;
    maintenance.execute(sqlx::AssertSqlSafe(format!("alter database {SEEDED} is_template true"))).await?;
    maintenance.execute("checkpoint").await?;
    println!("seeded in {:.0} s", began.elapsed().as_secs_f64());
    Ok(())
}

/// The company with the memberships that the leases of the seeded database want, so that a sweep finds nothing to do.
pub async fn company(database: &str) -> Outcome<Company> {
    let mut company = founded();
    let mut connection = database::connect(database).await?;
    let held: Vec<(String, String)> = sqlx::query_as("select group_reference, person_reference from target where wanted").fetch_all(&mut connection).await?;
    let person: HashMap<String, usize> = company.people.iter().enumerate().map(|(at, person)| (person.id.to_string(), at)).collect();
    let group: HashMap<String, usize> = company.groups.iter().enumerate().map(|(at, group)| (group.id.to_string(), at)).collect();
    for (in_group, who) in held {
        if let (Some(group), Some(person)) = (group.get(&in_group), person.get(&who)) {
            company.groups[*group].members.push(*person);
        }
    }
    // Rights to the log for many, as one person may not read it as often as is measured here.
    if let Some(auditors) = company.groups.iter_mut().find(|group| group.name == AUDITORS) {
        auditors.members = (1..=400).collect();
    }
    Ok(company)
}

/// Reference of the auditors' group.
pub fn auditors() -> String {
    founded().groups.iter().find(|group| group.name == AUDITORS).map(|group| group.id.to_string()).unwrap_or_default()
}
