//! Ten thousand people, two thousand roles, five hundred policies.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use std::str::FromStr;
use std::sync::Arc;

use countersign::clock::Clock;
use countersign::demo::company::Company;
use countersign::demo::serve;
use countersign::directory::http;
use countersign::directory::port::Directory;
use countersign::directory::scim::Scim;
use countersign::domain::event::{Actor, Channel};
use countersign::service::ctx::{Access, Ctx, Provisioning};
use countersign::service::{apply, sync};
use countersign::store::db::{Db, Settings};
use countersign::store::policy::Policies;
use countersign::store::separation::Separations;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, Executor, PgConnection};
use tokio::sync::Notify;

use crate::{Outcome, PEOPLE, ROLES};

const TOKEN: &str = "token-of-the-bench";
const DATABASE: &str = "bench_judge";
/// The shortest duration of the policies in force.
pub const LEAST: &str = "1h";
/// Groups that conditions and approvals name; after the nine that every generated company has, and those of the roles.
const TEAMS: usize = 200;
const POLICIES: usize = 500;
const PROCEDURES: usize = 20;

/// The superuser's way in.
pub fn superuser() -> Outcome<PgConnectOptions> {
    let url = std::env::var("BENCH_DATABASE_URL").map_err(|_| "BENCH_DATABASE_URL is not set: run script/bench, which starts a Postgres of its own")?;
    Ok(PgConnectOptions::from_str(&url)?)
}

/// A superuser's connection to the measured database.
pub async fn connect() -> Outcome<PgConnection> {
    Ok(PgConnection::connect_with(&superuser()?.database(DATABASE).options([("search_path", "countersign")])).await?)
}

fn team(number: usize) -> String {
    format!("role-{:04}", ROLES + 1 + number % TEAMS)
}

/// Names of groups by their references.
pub type Names = HashMap<String, String>;

/// A fresh database with the company read into it and its catalog applied, its directory, and the names of its groups.
pub async fn founded() -> Outcome<(Ctx, serve::Running, Names)> {
    let mut maintenance = PgConnection::connect_with(&superuser()?).await?;
    maintenance.execute(sqlx::AssertSqlSafe(format!("drop database if exists {DATABASE} with (force)"))).await?;
    maintenance.execute(sqlx::AssertSqlSafe(format!("create database {DATABASE}"))).await?;
    let clock = Clock::system();
    let mut company = Company::generated(PEOPLE, 9 + ROLES + TEAMS);
    let first = 9 + ROLES;
    for person in 0..PEOPLE {
        for team in [person, person * 7 + 3, person * 13 + 5, person / 50, person / 400] {
            let group = &mut company.groups[first + team % TEAMS];
            if !group.members.contains(&person) {
                group.members.push(person);
            }
        }
    }
    let names = company.groups.iter().map(|group| (group.id.to_string(), group.name.clone())).collect();
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
    let running = serve::start(settings, clock.clone()).await?;
    let db = Db::connect(&Settings { owner: Some(superuser()?.database(DATABASE)), app: None, max_connections: 8 }).await?;
    let scim = Scim::new(&http::Settings::new(&running.scim_base(), TOKEN), clock.clone())?;
    let ctx = Ctx {
        db,
        policies: Policies::default(),
        separation: Separations::default(),
        directories: Arc::new([("main".to_owned(), Directory::Scim(scim))].into()),
        clock,
        provisioning: Arc::new(Provisioning::default()),
        access: Arc::new(BTreeMap::from([(
            "main".to_owned(),
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
    };
    sync::sync(&ctx, "main").await.map_err(|error| error.to_string())?;
    let applied = apply::run(&ctx, (&catalog(LEAST), "bench.toml"), (Actor::System, Channel::Cli)).await.map_err(|error| error.to_string())?;
    if !applied.plan.is_good() {
        return Err(applied.plan.to_string().chars().take(2_000).collect::<String>().into());
    }
    Ok((ctx, running, names))
}

/// The catalog, with `least` as the shortest duration of every policy.
pub fn catalog(least: &str) -> String {
    let mut text = String::new();
    for application in 0..40 {
        let _ = writeln!(text, "[[application]]\nkey = \"a{application}\"\nname = \"Application {application}\"\nowner = \"p{:05}\"", 10 + application);
    }
    for role in 0..ROLES {
        let risk = ["low", "elevated", "critical"][role % 3];
        let _ = writeln!(
            text,
            "[[role]]\napplication = \"a{}\"\nkey = \"r{role}\"\nname = \"Role {role}\"\nowner = \"p{:05}\"\nrisk = \"{risk}\"\ngroup = \"role-{:04}\"\npolicies = [\"contractors\", \"s{}\"]",
            role / 50,
            100 + role % 700,
            role + 1,
            role % POLICIES
        );
    }
    for policy in 0..POLICIES {
        let departments = [["Data", "Engineering"], ["Finance", "IT"], ["People", "Sales"], ["Support", "Data"], ["Engineering", "IT"]][policy % 5].join(", ");
        let _ = writeln!(
            text,
            "[[profile]]\nkey = \"w{policy}\"\nname = \"Who {policy}\"\n[[profile.allow]]\nall = [\"department in {departments}\", \"manager exists\"]\n[[profile.allow]]\nall = [\"groups include {}\"]\n[[profile.allow]]\nall = [\"groups include {}\", \"title is Manager\"]\n[[profile.deny]]\nall = [\"groups include {}\", \"employment_type is not employee\"]",
            team(policy),
            team(policy * 3 + 1),
            team(policy * 7 + 2)
        );
        let _ = writeln!(
            text,
            "[[policy]]\nkey = \"s{policy}\"\nname = \"Standard {policy}\"\nprofile = \"w{policy}\"\nprocedure = \"how{}\"\ndurations = {{ recommended = \"8h\", minimum = \"{least}\", maximum = \"90d\" }}\njustification = {{ required = true }}",
            policy % PROCEDURES
        );
        if policy % 4 == 0 {
            let _ = writeln!(
                text,
                "[[policy.auto]]\nname = \"short\"\nthen = \"approve\"\nrisk = [\"low\"]\nat_most = \"1d\"\nall = [\"groups include {}\"]",
                team(policy + 9)
            );
        }
    }
    let _ = writeln!(
        text,
        "[[profile]]\nkey = \"all\"\nname = \"All\"\n[[profile.allow]]\nall = []\n[[policy]]\nkey = \"contractors\"\nname = \"Contractors\"\nfor = [\"employment_type is contractor\"]\nprofile = \"all\"\nprocedure = \"how1\"\ndurations = {{ recommended = \"8h\", minimum = \"{least}\", maximum = \"7d\" }}"
    );
    for procedure in 0..PROCEDURES {
        let step = |name: &str, slots: &str, when: &str| format!("[[procedure.step]]\nname = \"{name}\"\ntime_limit = \"3d\"\nslots = [{slots}]\n{when}");
        let long = "when = { longer_than = \"30d\" }\n";
        let steps = match procedure % 5 {
            0 => step("Manager", "{ from = \"manager\", fallback = \"application_owner\" }", ""),
            1 => {
                step("Manager", "{ from = [\"manager\", \"role_owner\", \"application_owner\"] }", "")
                    + &step("Owner", "{ from = \"role_owner\", fallback = \"application_owner\" }", "")
            }
            2 => step(
                "Two of a team and one of another",
                &format!("{{ approvals = 2, from = \"group:{}\" }}, {{ from = \"group:{}\" }}", team(procedure), team(procedure + 50)),
                "",
            ),
            3 => step("Manager", "{ from = \"manager\" }", "") + &step("Above", "{ from = \"managers_manager\", fallback = \"application_owner\" }", long),
            _ => {
                step("Owner", "{ from = [\"role_owner\", \"manager\"] }", "when = { risk = [\"elevated\", \"critical\"] }\n")
                    + &step("Team", &format!("{{ from = \"group:{}\" }}", team(procedure * 2)), "")
            }
        };
        let _ = writeln!(text, "[[procedure]]\nkey = \"how{procedure}\"\nname = \"How {procedure}\"\n{steps}");
    }
    text
}
