//! A small company with its own database, directory and clock.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use crate::faulty::Faulty;
use crate::gate::Gate;
use chrono::{DateTime, Duration, Utc};
use countersign::clock::Clock;
use countersign::demo;
use countersign::directory::http;
use countersign::directory::port::Directory;
use countersign::directory::scim::Scim;
use countersign::domain::event::{Actor, Channel};
use countersign::domain::id::{PersonId, RoleId};
use countersign::service::apply::{self, Applied};
use countersign::service::ctx::{Access, By, Ctx, Provisioning};
use countersign::service::error::ServiceError;
use countersign::service::replay;
use countersign::service::{doctor, lapse, sweep};
use countersign::store::db::{self, Db};
use countersign::store::policy::Policies;
use countersign::store::separation::Separations;
use countersign::worker::step;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{Connection, Executor, PgConnection};
use tokio::runtime::Handle;
use tokio::sync::{Notify, OnceCell};

static NUMBER: AtomicU64 = AtomicU64::new(0);
static TEMPLATE: OnceCell<String> = OnceCell::const_new();

/// The token of the demo directory's SCIM service.
pub const SCIM_TOKEN: &str = "scim-token-of-the-tests";

/// Makes a database's clock one that a superuser can move.
pub const MOVABLE_CLOCK: &str = "create table countersign.test_shift (by interval not null);
    insert into countersign.test_shift values ('0');
    create or replace function countersign.clock() returns timestamptz language sql volatile security definer set search_path = pg_catalog
      as 'select clock_timestamp() + (select by from countersign.test_shift)';
    alter table countersign.test_shift owner to countersign_guard;";

/// Where the tests' Postgres is. There is no default: a test without a database must be loud, not skipped.
pub fn superuser() -> PgConnectOptions {
    let url = std::env::var("TEST_DATABASE_URL").expect("TEST_DATABASE_URL is not set: run script/test, which starts a Postgres of its own and sets it");
    url.parse().expect("TEST_DATABASE_URL is a postgres:// URL of a superuser")
}

async fn template() -> &'static str {
    TEMPLATE
        .get_or_init(|| async {
            let name = format!("cs_template_{}", std::process::id());
            let mut maintenance = PgConnection::connect_with(&superuser()).await.unwrap();
            maintenance.execute(sqlx::AssertSqlSafe(format!("drop database if exists {name}"))).await.unwrap();
            maintenance.execute(sqlx::AssertSqlSafe(format!("create database {name}"))).await.unwrap();
            let owner = superuser().database(&name);
            db::migrate(&owner, true).await.unwrap();
            // The clock of the tests can be moved: the real function, plus a shift that only a superuser can set.
            let mut connection = PgConnection::connect_with(&owner).await.unwrap();
            connection.execute(MOVABLE_CLOCK).await.unwrap();
            connection.close().await.unwrap();
            maintenance.close().await.unwrap();
            name
        })
        .await
}

/// How a world reaches its directory.
pub enum Reach<'a> {
    /// The demo directory, straight.
    Demo,
    /// The demo directory, through a proxy that misbehaves.
    Through(&'a Faulty),
    /// The demo directory, through a gate that counts and limits.
    Gate(&'a Gate),
    /// Another SCIM service at this address.
    At(String),
    /// Another directory, of whatever kind.
    By(Directory),
}

/// A database, a directory, a clock and the services between them. Everything in it is dropped with it but the database, which goes
/// with the throwaway server. Every test with a world ends with `countersign doctor --deep`, which may find nothing.
pub struct World {
    /// The last look; first, so that everything else is still there.
    end: AtEnd,
    /// What the services work with, as the application's role.
    pub ctx: Ctx,
    /// The database as its superuser, to look at and to tamper with.
    pub root: PgPool,
    /// Name of the database.
    pub database: String,
    /// The demo directory.
    pub demo: demo::serve::Running,
    /// The way to it that never misbehaves, for looking.
    straight: Directory,
    /// Where the services reach the directory.
    pub scim_base: String,
}

impl World {
    /// A fresh world with the embedded company and no catalog.
    pub async fn empty() -> Self {
        Self::with(demo::company::Company::embedded().unwrap(), Reach::Demo).await
    }

    /// A fresh world with the embedded company and the demo's catalog.
    pub async fn new() -> Self {
        let world = Self::empty().await;
        world.turn().await;
        world.apply(&catalog()).await;
        world
    }

    /// A fresh world with the demo's catalog, whose directory is reached through a proxy that misbehaves when told to.
    pub async fn behind(faulty: &Faulty) -> Self {
        let world = Self::with(demo::company::Company::embedded().unwrap(), Reach::Through(faulty)).await;
        world.turn().await;
        world.apply(&catalog()).await;
        world
    }

    /// A fresh world with `company`, and no catalog.
    pub async fn with(company: demo::company::Company, reach: Reach<'_>) -> Self {
        Self::before("http://127.0.0.1:9", company, reach).await
    }

    /// A fresh world with `company`, and no catalog, whose provider lets people sign in to a server at `public_url`.
    pub async fn before(public_url: &str, company: demo::company::Company, reach: Reach<'_>) -> Self {
        let clock = Clock::system();
        let database = format!("{}_{}", template().await, NUMBER.fetch_add(1, Ordering::Relaxed));
        let mut maintenance = PgConnection::connect_with(&superuser()).await.unwrap();
        // One at a time: a template cannot be copied while another copy is being made of it by some versions.
        maintenance.execute("select pg_advisory_lock(7235420)").await.unwrap();
        maintenance.execute(sqlx::AssertSqlSafe(format!("create database {database} template {} strategy file_copy", template().await))).await.unwrap();
        maintenance.close().await.unwrap();
        let owner = superuser().database(&database);
        let db = Db::connect(&db::Settings { owner: Some(owner.clone()), app: None, max_connections: 8 }).await.unwrap();
        let root =
            PgPoolOptions::new().max_connections(2).connect_with(owner.options([("search_path", "countersign"), ("statement_timeout", "60s")])).await.unwrap();
        let demo = demo::serve::start(demo_settings(public_url, company), clock.clone()).await.unwrap();
        let (demo_base, is_demo) = (demo.scim_base(), !matches!(reach, Reach::At(_)));
        let other = if let Reach::By(directory) = &reach { Some(directory.clone()) } else { None };
        let base = match reach {
            Reach::Demo | Reach::By(_) => demo_base.clone(),
            Reach::Through(faulty) => {
                faulty.before(&demo_base);
                faulty.base.clone()
            }
            Reach::Gate(gate) => {
                gate.before(&demo_base);
                gate.base.clone()
            }
            Reach::At(base) => base,
        };
        let scim = Scim::new(&http::Settings::new(&base, SCIM_TOKEN), clock.clone()).unwrap();
        let rights = Access { administrators_group: "countersign-admins".into(), auditors_group: "countersign-auditors".into() };
        let ctx = Ctx {
            db,
            policies: Policies::default(),
            separation: Separations::default(),
            directories: Arc::new(BTreeMap::from([("main".to_owned(), other.clone().unwrap_or(Directory::Scim(scim)))]).into()),
            clock,
            provisioning: Arc::new(Provisioning::default()),
            access: Arc::new(BTreeMap::from([("main".to_owned(), rights)])),
            wake: Arc::new(Notify::new()),
            changing: Default::default(),
            sealer: None,
            retention: Default::default(),
            witnesses: Default::default(),
            places: Default::default(),
            recent: Default::default(),
            hooks: Default::default(),
        };
        let straight = |base: &str| Directory::Scim(Scim::new(&http::Settings::new(base, SCIM_TOKEN), ctx.clock.clone()).unwrap());
        let end = AtEnd {
            ctx: Ctx {
                directories: Arc::new(
                    BTreeMap::from([("main".to_owned(), other.unwrap_or_else(|| straight(if is_demo { &demo_base } else { &base })))]).into(),
                ),
                ..ctx.clone()
            },
            root: root.clone(),
            tampered: OnceLock::new(),
        };
        let straight = straight(&demo_base);
        Self { end, ctx, root, database, demo, straight, scim_base: base }
    }

    /// Now, by the world's clock.
    pub fn now(&self) -> DateTime<Utc> {
        self.ctx.clock.now()
    }

    /// Moves the clock forward, of the database and of the services alike.
    pub async fn advance(&self, by: Duration) {
        advance(&self.ctx, &self.root, by).await;
    }

    /// Says that this test breaks on purpose what must always hold, and how; nobody looks at its end.
    pub fn tampered(&self, why: &'static str) {
        self.end.tampered.set(why).expect("a world is tampered with for one reason");
    }

    /// Lets the worker do everything that is due.
    pub async fn turn(&self) {
        step::turn(&self.ctx).await.unwrap();
    }

    /// Applies a catalog file, which must be without fault.
    pub async fn apply(&self, text: &str) {
        let applied = self.try_apply(text).await.unwrap();
        assert!(applied.plan.is_good(), "{}", applied.plan);
    }

    /// Applies a catalog file that may have faults.
    pub async fn try_apply(&self, text: &str) -> Result<Applied, ServiceError> {
        let applied = apply::run(&self.ctx, (text, "catalog.toml"), (Actor::System, Channel::Cli)).await?;
        if applied.plan.is_good() {
            // Who was a member before is on record from the beginning.
            sweep::sweep(&self.ctx, "main").await?;
        }
        Ok(applied)
    }

    /// Somebody by login name, as a signed-in browser.
    pub async fn by(&self, user_name: &str) -> By {
        let (id, name, groups): (uuid::Uuid, String, Vec<String>) =
            sqlx::query_as("select id, display_name, groups from countersign.person where user_name = $1").bind(user_name).fetch_one(&self.root).await.unwrap();
        let admins = self.group("countersign-admins").await;
        let auditors = self.group("countersign-auditors").await;
        By {
            person: PersonId(id),
            name,
            token: None,
            channel: Channel::Web,
            is_administrator: groups.contains(&admins),
            is_auditor: groups.contains(&auditors),
        }
    }

    /// The id of a person.
    pub async fn person(&self, user_name: &str) -> PersonId {
        self.by(user_name).await.person
    }

    /// A group's reference, asked at the directory.
    pub async fn group(&self, name: &str) -> String {
        self.directory().find_group(name).await.unwrap().unwrap_or_else(|| panic!("no group {name}")).reference
    }

    /// A person's reference in the directory.
    pub async fn reference(&self, user_name: &str) -> String {
        sqlx::query_scalar("select reference from countersign.person where user_name = $1").bind(user_name).fetch_one(&self.root).await.unwrap()
    }

    /// Disables or enables a person at the directory, over SCIM (RFC 7644 §3.5.2).
    pub async fn set_active(&self, user_name: &str, active: bool) {
        self.set_active_reference(&self.reference(user_name).await, active).await;
    }

    /// The same, by their id there.
    pub async fn set_active_reference(&self, reference: &str, active: bool) {
        let body = serde_json::json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
            "Operations": [{ "op": "replace", "path": "active", "value": active }],
        });
        let answer = reqwest::Client::new()
            .patch(format!("{}/Users/{reference}", self.demo.scim_base()))
            .bearer_auth(SCIM_TOKEN)
            .header("content-type", "application/scim+json")
            .body(body.to_string())
            .send()
            .await
            .unwrap();
        assert!(answer.status().is_success(), "{}", answer.status());
    }

    /// The directory, through a connector of its own.
    pub fn directory(&self) -> &Directory {
        &self.straight
    }

    /// Whether the directory itself says that a person is in a group.
    pub async fn is_member(&self, user_name: &str, group: &str) -> bool {
        let reference: String =
            sqlx::query_scalar("select reference from countersign.person where user_name = $1").bind(user_name).fetch_one(&self.root).await.unwrap();
        self.directory().is_member(&self.group(group).await, &reference).await.unwrap()
    }

    /// A role by its application's key and its own.
    pub async fn role(&self, application: &str, role: &str) -> RoleId {
        let id: uuid::Uuid =
            sqlx::query_scalar("select r.id from countersign.role r join countersign.application a on a.id = r.application_id where a.key = $1 and r.key = $2")
                .bind(application)
                .bind(role)
                .fetch_one(&self.root)
                .await
                .unwrap_or_else(|_| panic!("no role {application}/{role}"));
        RoleId(id)
    }

    /// One value of the database, as its superuser.
    pub async fn one<T>(&self, sql: &'static str) -> T
    where
        T: for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres> + Send + Unpin,
    {
        sqlx::query_scalar(sql).fetch_one(&self.root).await.unwrap()
    }

    /// Kinds of the events of a request, in order.
    pub async fn history(&self, request: uuid::Uuid) -> Vec<String> {
        sqlx::query_scalar("select kind from countersign.audit_event where request_id = $1 order by id").bind(request).fetch_all(&self.root).await.unwrap()
    }
}

async fn advance(ctx: &Ctx, root: &PgPool, by: Duration) {
    let seconds = by.num_milliseconds() as f64 / 1000.0;
    sqlx::query("update countersign.test_shift set by = by + make_interval(secs => $1)").bind(seconds).execute(root).await.unwrap();
    ctx.clock.set(ctx.db.clock().await.unwrap());
}

/// Looks at a world when its test is over.
struct AtEnd {
    /// The world's, before the directory itself: nothing misbehaves any more.
    ctx: Ctx,
    root: PgPool,
    /// Why nobody is to look.
    tampered: OnceLock<&'static str>,
}

impl AtEnd {
    /// Gives the worker the two minutes in which it must do what is owed: claims of the dead lapse after one, and removals are read
    /// back once more. People are not read and groups not compared in them, as that would explain or mend what is to be found here.
    /// Whatever was decided meanwhile must come out the same again.
    async fn look(&self) -> Vec<String> {
        self.ctx.clock.set(self.ctx.db.clock().await.unwrap());
        for wait in [61, 61, 0] {
            lapse::lapse(&self.ctx).await.unwrap();
            step::drain(&self.ctx).await.unwrap();
            advance(&self.ctx, &self.root, Duration::seconds(wait)).await;
        }
        let mut wrong: Vec<String> = doctor::deep(&self.ctx).await.unwrap().iter().map(ToString::to_string).collect();
        wrong.extend(replay::all(&self.ctx).await.unwrap().iter().map(|difference| format!("replayed: {difference}")));
        wrong
    }
}

impl Drop for AtEnd {
    fn drop(&mut self) {
        // A test that failed has said why already.
        if std::thread::panicking() || self.tampered.get().is_some() {
            return;
        }
        let findings = tokio::task::block_in_place(|| Handle::current().block_on(self.look()));
        let told: String = findings.iter().map(|finding| format!("\n  {finding}")).collect();
        assert!(findings.is_empty(), "countersign doctor --deep and replay find at the end of this test:{told}");
    }
}

/// The demo's catalog.
pub fn catalog() -> String {
    include_str!("../../config/demo/catalog.toml").to_owned()
}

/// How the tests start a demo directory, for a Countersign at `public_url`.
fn demo_settings(public_url: &str, company: demo::company::Company) -> demo::serve::Settings {
    demo::serve::Settings {
        listen: "127.0.0.1:0".parse().unwrap(),
        company,
        state: None,
        client_id: "countersign".into(),
        client_secret: "client-secret-of-the-tests".into(),
        redirect_uris: vec![format!("{public_url}/sign-in/callback")],
        post_logout_redirect_uris: vec![format!("{public_url}/signed-out")],
        scim_token: SCIM_TOKEN.into(),
    }
}
