//! The real program as a child, killed and started again.

use std::future::Future;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use countersign::demo::company::Company;
use countersign::service::doctor;
use countersign::service::sign_in::{self, Rules, Vouched};
use reqwest::Url;
use sqlx::postgres::{PgPool, PgPoolOptions};
use sqlx::{Connection, Executor, PgConnection};
use tokio::runtime::Handle;

use crate::client::Client;
use crate::idp::free_port;
use crate::world::{MOVABLE_CLOCK, Reach, SCIM_TOKEN, World, superuser};

/// The longest that anything here may take.
const PATIENCE: Duration = Duration::from_secs(180);

/// The program that was built with these tests.
pub fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
    // Nothing of whoever runs the tests may change what it does.
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).stdin(Stdio::null());
    command
}

/// The address of a database on the tests' Postgres, for the program.
pub fn database_url(name: &str) -> String {
    let mut url = Url::parse(&std::env::var("TEST_DATABASE_URL").expect("TEST_DATABASE_URL is not set: run script/test")).unwrap();
    url.set_path(name);
    url.into()
}

/// An empty database of its own.
pub async fn fresh_database() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let name = format!("cs_served_{}_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed), free_port());
    let mut maintenance = PgConnection::connect_with(&superuser()).await.unwrap();
    maintenance.execute(sqlx::AssertSqlSafe(format!("create database {name}"))).await.unwrap();
    maintenance.close().await.unwrap();
    name
}

/// A database as its superuser, to look at and to tamper with.
pub async fn root(database: &str) -> PgPool {
    PgPoolOptions::new()
        .max_connections(2)
        .connect_with(superuser().database(database).options([("search_path", "countersign"), ("statement_timeout", "60s")]))
        .await
        .unwrap()
}

/// Waits until `look` finds something, at most three minutes; `what` is what is waited for.
pub async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut look: impl FnMut() -> F) -> T {
    let until = Instant::now() + PATIENCE;
    let mut pause = tokio::time::interval(Duration::from_millis(20));
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < until, "in vain waited for: {what}");
        pause.tick().await;
    }
}

/// A process; dropping it kills it.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

/// A running server; dropping it kills it.
pub struct Server {
    child: Process,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    said: Arc<Mutex<String>>,
    /// Where it answers, without a slash at the end.
    pub url: String,
    /// What it keeps files in.
    pub data: Arc<tempfile::TempDir>,
    /// How long the last start took until it listened.
    pub took: Duration,
    /// Its database, whose clock can be moved, when it is to be looked at when the test is over.
    pub at_end: Option<PgPool>,
}

impl Server {
    /// Starts `serve` with more arguments and settings, and waits until it listens. `port`: where.
    pub fn start(port: u16, arguments: &[&str], settings: &[(&str, &str)]) -> Self {
        let data = Arc::new(tempfile::tempdir().unwrap());
        let listen = format!("127.0.0.1:{port}");
        let own = [("COUNTERSIGN_LISTEN", listen.as_str()), ("COUNTERSIGN_DATA", data.path().to_str().unwrap())];
        let environment: Vec<(String, String)> = own.iter().chain(settings).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let arguments: Vec<String> = ["serve"].iter().chain(arguments).map(|argument| (*argument).to_owned()).collect();
        let said = Arc::new(Mutex::new(String::new()));
        let (child, took) = launch(&arguments, &environment, &said);
        Self { child, arguments, environment, said, url: format!("http://{listen}"), data, took, at_end: None }
    }

    /// A server with a demo directory of its own, over a fresh database. Returns also the directory's address, and the database.
    pub async fn demo() -> (Self, String, PgPool) {
        let database = fresh_database().await;
        let demo = format!("127.0.0.1:{}", free_port());
        let mut server = Self::start(free_port(), &["--demo"], &[("DATABASE_URL", &database_url(&database)), ("COUNTERSIGN_DEMO__LISTEN", &demo)]);
        server.ready().await;
        let root = root(&database).await;
        root.execute(MOVABLE_CLOCK).await.unwrap();
        server.at_end = Some(root.clone());
        (server, format!("http://{demo}"), root)
    }

    /// Waits until it says that it is ready.
    pub async fn ready(&self) {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        eventually("ready", || async { client.get(format!("{}/readyz", self.url)).send().await.ok().filter(|answer| answer.status().is_success()) }).await;
    }

    /// Runs another command of the program with the same settings, beside it.
    pub fn beside(&self, arguments: &[&str]) -> std::process::Output {
        program().args(arguments).envs(self.environment.iter().cloned()).output().unwrap()
    }

    /// Ends it as a power cut would, with SIGKILL.
    pub fn kill(&mut self) {
        self.child.0.kill().unwrap();
        self.child.0.wait().unwrap();
    }

    /// Starts it again with the same settings.
    pub fn restart(&mut self) {
        (self.child, self.took) = launch(&self.arguments, &self.environment, &self.said);
    }

    /// Starts it again and waits for nothing.
    pub fn spawn(&mut self) {
        self.child = begin(&self.arguments, &self.environment, &self.said).0;
    }

    /// Waits until it listens.
    pub async fn listens(&self) {
        let address = self.url.trim_start_matches("http://").to_owned();
        eventually("it listens", || async { tokio::net::TcpStream::connect(&address).await.ok() }).await;
    }

    /// A replica: the same program with the same settings, key and database at a port of its own.
    pub fn replica(&self) -> Self {
        let listen = format!("127.0.0.1:{}", free_port());
        let mut environment = self.environment.clone();
        environment.push(("COUNTERSIGN_LISTEN".into(), listen.clone()));
        let said = Arc::new(Mutex::new(String::new()));
        let (child, took) = launch(&self.arguments, &environment, &said);
        let (arguments, data) = (self.arguments.clone(), self.data.clone());
        Self { child, arguments, environment, said, url: format!("http://{listen}"), data, took, at_end: None }
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        self.said.lock().unwrap().clone()
    }
}

impl Server {
    /// Gives the worker the two minutes in which it must do what is owed, then asks the program itself: `countersign doctor --deep`.
    async fn last_look(&self, root: &PgPool) {
        for _ in 0..2 {
            root.execute("update test_shift set by = by + interval '61 seconds'").await.unwrap();
            eventually("the worker has done what is due", || async {
                let sql = "select exists (select 1 from worker where beat_at > clock() - interval '20 seconds') and not exists (
                    select 1 from target where next_at <= clock() or lease_until is not null
                    union all select 1 from access_grant where status = 'active' and ends_at <= clock() or status = 'scheduled' and starts_at <= clock()
                    union all select 1 from request where status in ('pending', 'needs_info') and step_due_at <= clock())";
                sqlx::query_scalar::<_, bool>(sql).fetch_one(root).await.unwrap().then_some(())
            })
            .await;
        }
        let more = self.arguments.iter().skip(1);
        let said = program().args(["doctor", "--deep"]).args(more).envs(self.environment.iter().cloned()).output().unwrap();
        let (out, error) = (String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
        assert!(said.status.success() && out.contains("Every one of them holds."), "countersign doctor --deep finds at the end of this test:\n{out}{error}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A test that failed has said why already.
        if !std::thread::panicking()
            && let Some(root) = self.at_end.take()
        {
            tokio::task::block_in_place(|| Handle::current().block_on(self.last_look(&root)));
        }
        if std::thread::panicking() {
            let said = self.log();
            let tail: Vec<&str> = said.lines().rev().take(40).collect();
            eprintln!("--- the server's last words\n{}", tail.into_iter().rev().collect::<Vec<_>>().join("\n"));
        }
    }
}

/// Starts the program and waits until it listens.
fn launch(arguments: &[String], environment: &[(String, String)], said: &Arc<Mutex<String>>) -> (Process, Duration) {
    let began = Instant::now();
    let (child, told) = begin(arguments, environment, said);
    if told.recv_timeout(PATIENCE).is_err() {
        drop(child);
        panic!("it does not start: {}", said.lock().unwrap());
    }
    (child, began.elapsed())
}

/// Starts the program and reads what it says on threads of their own; they tell when it listens.
fn begin(arguments: &[String], environment: &[(String, String)], said: &Arc<Mutex<String>>) -> (Process, mpsc::Receiver<()>) {
    let mut child = program().args(arguments).envs(environment.iter().cloned()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (tell, told) = mpsc::channel();
    let outputs: [Box<dyn std::io::Read + Send>; 2] = [Box::new(child.stdout.take().unwrap()), Box::new(child.stderr.take().unwrap())];
    for output in outputs {
        let (tell, said) = (tell.clone(), said.clone());
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if line.contains("Stop with Ctrl-C") {
                    _ = tell.send(());
                }
                let mut said = said.lock().unwrap();
                said.push_str(&line);
                said.push('\n');
            }
        });
    }
    (Process(child), told)
}

/// The real program over a world's database, before the world's directory, which outlives it.
///
/// When its test is over the server is killed first, and the world's last look finds what a new worker makes of what it left.
pub struct Town {
    pub server: Server,
    pub world: World,
}

impl Town {
    /// With the embedded company and the demo's catalog.
    pub async fn new() -> Self {
        Self::of(Company::embedded().unwrap(), Reach::Demo, &[]).await
    }

    /// With `company`, whose directory is reached by `reach`, and more settings.
    pub async fn of(company: Company, reach: Reach<'_>, settings: &[(&str, &str)]) -> Self {
        let port = free_port();
        let world = World::before(&format!("http://127.0.0.1:{port}"), company, reach).await;
        world.turn().await;
        world.apply(&crate::world::catalog()).await;
        let database = database_url(&world.database);
        let own = [
            ("DATABASE_URL", database.as_str()),
            ("COUNTERSIGN_OIDC__ISSUER", world.demo.issuer()),
            ("COUNTERSIGN_OIDC__CLIENT_ID", "countersign"),
            ("COUNTERSIGN_OIDC__CLIENT_SECRET", "client-secret-of-the-tests"),
            ("COUNTERSIGN_DIRECTORIES__MAIN__KIND", "scim"),
            ("COUNTERSIGN_DIRECTORIES__MAIN__BASE_URL", &world.scim_base),
            ("COUNTERSIGN_DIRECTORIES__MAIN__TOKEN", SCIM_TOKEN),
            ("COUNTERSIGN_DIRECTORIES__MAIN__ADMINISTRATORS_GROUP", "countersign-admins"),
            ("COUNTERSIGN_DIRECTORIES__MAIN__AUDITORS_GROUP", "countersign-auditors"),
        ];
        let settings: Vec<_> = own.iter().chain(settings).copied().collect();
        let server = Server::start(port, &[], &settings);
        server.ready().await;
        Self { server, world }
    }

    /// Waits until a request's grant has this status.
    pub async fn grant_is(&self, request: uuid::Uuid, status: &str) {
        eventually(&format!("request {request}: {status}"), || async {
            let now: Option<String> =
                sqlx::query_scalar("select status from access_grant where request_id = $1").bind(request).fetch_optional(&self.world.root).await.unwrap();
            now.filter(|now| now == status)
        })
        .await;
    }
}

impl Town {
    /// Somebody who is signed in, without the way through the provider.
    pub async fn visitor(&self, user_name: &str) -> Client {
        let rules = Rules::new("main", "preferred_username", "user_name");
        let claims = serde_json::Map::from_iter([("preferred_username".to_owned(), user_name.into())]);
        let (issuer, subject) = ("https://idp.example".to_owned(), format!("s-{user_name}"));
        let vouched = Vouched { issuer, subject, sid: None, auth_time: None, id_token: "t".into(), claims };
        let started = sign_in::start(&self.world.ctx, &rules, &vouched, &sign_in::Browser::default()).await.unwrap();
        let mut client = Client::new(&self.server.url);
        client.set_session(&started.token);
        client
    }

    /// What must hold when everything is over: `countersign doctor --deep` finds nothing.
    pub async fn is_sound(&self) {
        self.world.ctx.clock.set(self.world.ctx.db.clock().await.unwrap());
        let findings = doctor::deep(&self.world.ctx).await.unwrap();
        assert!(findings.is_empty(), "{findings:#?}");
    }
}

/// Managers enough that none of them acts faster than a person may.
pub const MANAGERS: [&str; 5] = ["mara.voss", "priya.raman", "hana.sato", "ravi.kapoor", "carlos.silva"];

/// The embedded company and so many workers more, `worker.0` and on, who report to these managers in turn.
pub fn crowd(workers: usize, managers: &[&str]) -> Company {
    let mut text = include_str!("../../config/demo/company.toml").to_owned();
    for n in 0..workers {
        let manager = managers[n % managers.len()];
        text.push_str(&format!(
            "\n[[person]]\nuser_name = \"worker.{n}\"\ngiven = \"Worker\"\nfamily = \"Number {n}\"\ntitle = \"Worker\"\ndepartment = \"Data\"\nmanager = \"{manager}\"\nlocality = \"Leeds\"\nnumber = \"OV-5{n:03}\"\n"
        ));
    }
    Company::parse(&text).unwrap()
}
