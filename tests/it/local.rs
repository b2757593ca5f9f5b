//! The private Postgres survives what happens to it.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use countersign::store::db::{self, Db};
use countersign::store::local::{self, DATABASE, LocalPostgres, SUPERUSER, Settings};
use countersign::store::local_binaries;
use sqlx::postgres::PgConnection;
use sqlx::{ConnectOptions, Connection};
use tempfile::TempDir;

/// Longer than any of this takes; a test that needs it fails.
const PATIENCE: Duration = Duration::from_secs(180);
/// The data folder that [`hold_a_private_postgres_until_killed`] is to use.
const HELD: &str = "COUNTERSIGN_TEST_HELD_DATA";

fn settings(data: &Path) -> Settings {
    Settings { data: data.to_path_buf(), binaries: None, fsync: false }
}

async fn started(data: &Path) -> LocalPostgres {
    local::start(settings(data)).await.unwrap()
}

/// Asks again and again until there is an answer.
async fn until<T, F: Future<Output = Option<T>>>(mut ask: impl FnMut() -> F) -> T {
    let poll = async {
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        loop {
            tick.tick().await;
            if let Some(answer) = ask().await {
                return answer;
            }
        }
    };
    tokio::time::timeout(PATIENCE, poll).await.expect("it happens in time")
}

fn postmaster(cluster: &Path) -> Option<u32> {
    std::fs::read_to_string(cluster.join("postmaster.pid")).ok()?.lines().next()?.trim().parse().ok()
}

fn signal(pid: u32, name: &str) {
    let status = Command::new("sh").args(["-c", "kill -s \"$1\" \"$2\"", "sh", name, &pid.to_string()]).status();
    assert!(status.unwrap().success());
}

fn we_are_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|found| found.uid() == 0)
}

async fn write(postgres: &LocalPostgres, word: &str) {
    let mut connection = postgres.options().connect().await.unwrap();
    sqlx::query("create table if not exists kept (word text not null)").execute(&mut connection).await.unwrap();
    sqlx::query("insert into kept values ($1)").bind(word).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

async fn words(connection: &mut PgConnection) -> Vec<String> {
    sqlx::query_scalar("select word from kept order by word").fetch_all(connection).await.unwrap()
}

/// Whether `pid` is the Postgres of this cluster, and alive.
fn runs(pid: u32, cluster: &Path) -> bool {
    std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == cluster)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_reached_by_its_socket_only_and_is_gone_after_stop() {
    let data = TempDir::new().unwrap();
    let postgres = local::start(Settings { fsync: true, ..settings(data.path()) }).await.unwrap();
    let mut connection = postgres.options().connect().await.unwrap();
    let mut shown = Vec::new();
    for (query, expected) in [
        ("select current_user::text", SUPERUSER),
        ("select current_database()::text", DATABASE),
        ("select current_setting('listen_addresses')", ""),
        ("select current_setting('fsync')", "on"),
        ("select current_setting('synchronous_commit')", "on"),
        ("select current_setting('server_encoding')", "UTF8"),
        ("select current_setting('TimeZone')", "UTC"),
    ] {
        let answer: String = sqlx::query_scalar(query).fetch_one(&mut connection).await.unwrap();
        shown.push((query, answer == expected, answer));
    }
    assert!(shown.iter().all(|(_, right, _)| *right), "{shown:?}");
    drop(connection);

    let cluster = postgres.cluster().to_path_buf();
    let pid = postmaster(&cluster).unwrap();
    postgres.stop().await.unwrap();
    assert!(!runs(pid, &cluster));
    assert_eq!(postmaster(&cluster), None, "a clean stop leaves no lock");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn root_hands_the_cluster_to_an_unprivileged_user() {
    let data = TempDir::new().unwrap();
    let postgres = started(data.path()).await;
    let owner = std::fs::metadata(postgres.cluster()).unwrap().uid();
    let process = std::fs::metadata(format!("/proc/{}", postmaster(postgres.cluster()).unwrap())).unwrap().uid();
    assert_ne!(owner, 0, "nobody's Postgres runs as root");
    assert_eq!(owner, process);
    postgres.stop().await.unwrap();

    if we_are_root() {
        // As after a restore from a backup: everything is root's.
        let status = Command::new("chown").args(["-R", "root:root"]).arg(data.path()).status().unwrap();
        assert!(status.success());
        let again = started(data.path()).await;
        assert_eq!(std::fs::metadata(again.cluster()).unwrap().uid(), owner);
        again.stop().await.unwrap();

        // A folder that the unprivileged user cannot get to is said to be one, before anything is made.
        let outside = TempDir::new().unwrap();
        std::fs::set_permissions(outside.path(), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
        let closed = outside.path().join("inside");
        let refused = local::start(settings(&closed)).await.unwrap_err().to_string();
        assert!(refused.contains("chmod o+x"), "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_written_is_there_after_a_restart() {
    let data = TempDir::new().unwrap();
    let first = started(data.path()).await;
    write(&first, "kept").await;
    first.stop().await.unwrap();
    let second = started(data.path()).await;
    assert_eq!(words(&mut second.options().connect().await.unwrap()).await, ["kept"]);
    second.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_postgres_comes_back_by_itself_with_its_data() {
    let data = TempDir::new().unwrap();
    let postgres = started(data.path()).await;
    let mut before = 0;
    for round in ["once", "twice"] {
        write(&postgres, round).await;
        let killed = postmaster(postgres.cluster()).unwrap();
        assert_ne!(killed, before);
        signal(killed, "KILL");
        let mut connection = until(|| async {
            let connection = postgres.options().connect().await.ok()?;
            (postmaster(postgres.cluster())? != killed).then_some(connection)
        })
        .await;
        assert!(words(&mut connection).await.contains(&round.to_owned()));
        before = killed;
    }
    postgres.stop().await.unwrap();
}

/// The program that [`a_killed_program_takes_its_postgres_along_and_the_next_start_has_the_data`] kills: itself, again.
async fn hold_a_private_postgres_until_killed(data: &Path) {
    let postgres = started(data).await;
    write(&postgres, "by the killed").await;
    eprintln!("held {}", postmaster(postgres.cluster()).unwrap());
    std::future::pending::<()>().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_program_takes_its_postgres_along_and_the_next_start_has_the_data() {
    if let Some(data) = std::env::var_os(HELD) {
        return hold_a_private_postgres_until_killed(Path::new(&data)).await;
    }
    let data = TempDir::new().unwrap();
    let mut program = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "local::a_killed_program_takes_its_postgres_along_and_the_next_start_has_the_data"])
        .arg("--nocapture")
        .env(HELD, data.path())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(program.stderr.take().unwrap()).lines();
    let pid: u32 = lines.map(Result::unwrap).find_map(|line| line.split_once("held ").map(|(_, pid)| pid.parse().unwrap())).expect("the program starts");
    let cluster = std::fs::canonicalize(data.path().join("postgres")).unwrap();
    assert!(runs(pid, &cluster));
    let refused = local::start(settings(data.path())).await.unwrap_err().to_string();
    assert!(refused.contains(&format!("process {}", program.id())), "{refused}");

    program.kill().unwrap();
    program.wait().unwrap();
    until(|| async { (!runs(pid, &cluster)).then_some(()) }).await;

    let next = started(data.path()).await;
    assert_eq!(words(&mut next.options().connect().await.unwrap()).await, ["by the killed"]);
    next.stop().await.unwrap();
}

/// Runs the cluster's Postgres as a Countersign that was killed together with its watcher would leave it.
async fn leave_running(cluster: &Path) -> std::process::Child {
    use std::os::unix::process::CommandExt;
    let binaries = local_binaries::find(None).await.unwrap().remove(0);
    let socket = cluster.with_file_name("socket");
    let mut command = Command::new(binaries.program("postgres"));
    command.arg("-D").arg(cluster).args(["-c", "listen_addresses="]).arg("-c");
    command.arg(format!("unix_socket_directories={}", socket.display()));
    let owner = std::fs::metadata(cluster).unwrap();
    if we_are_root() {
        command.uid(owner.uid()).gid(owner.gid());
    }
    let child = command.current_dir("/").stderr(Stdio::null()).spawn().unwrap();
    until(|| async { (postmaster(cluster) == Some(child.id()) && runs(child.id(), cluster)).then_some(()) }).await;
    child
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_postgres_left_running_is_stopped_and_started_anew() {
    let data = TempDir::new().unwrap();
    let first = started(data.path()).await;
    let cluster = first.cluster().to_path_buf();
    write(&first, "kept").await;
    first.stop().await.unwrap();

    let mut orphan = leave_running(&cluster).await;
    // Reaped elsewhere, as an orphan is by init; else it would stay a zombie of ours.
    let orphan_pid = orphan.id();
    let reaped = tokio::task::spawn_blocking(move || orphan.wait().unwrap());
    let second = started(data.path()).await;
    assert!(reaped.await.unwrap().success(), "it was shut down in order");
    assert_ne!(postmaster(&cluster), Some(orphan_pid));
    assert_eq!(words(&mut second.options().connect().await.unwrap()).await, ["kept"]);
    second.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stale_lock_is_no_obstacle_whomever_it_names() {
    let data = TempDir::new().unwrap();
    let first = started(data.path()).await;
    let cluster = first.cluster().to_path_buf();
    write(&first, "kept").await;
    let lock = std::fs::read_to_string(cluster.join("postmaster.pid")).unwrap();
    let rest = lock.split_once('\n').unwrap().1.to_owned();
    first.stop().await.unwrap();

    // A process of the same user, which Postgres by itself takes for a running server and gives up.
    let owner = std::fs::metadata(&cluster).unwrap();
    let mut stranger = Command::new("cat");
    if we_are_root() {
        use std::os::unix::process::CommandExt;
        stranger.uid(owner.uid()).gid(owner.gid());
    }
    let mut stranger = stranger.current_dir("/").stdin(Stdio::piped()).spawn().unwrap();
    let gone = {
        let mut short = Command::new("true").spawn().unwrap();
        let pid = short.id();
        short.wait().unwrap();
        pid
    };
    for first_line in [stranger.id().to_string(), gone.to_string(), "1".to_owned(), "nonsense".to_owned(), String::new()] {
        std::fs::write(cluster.join("postmaster.pid"), format!("{first_line}\n{rest}")).unwrap();
        std::os::unix::fs::chown(cluster.join("postmaster.pid"), Some(owner.uid()), Some(owner.gid())).unwrap();
        let socket = cluster.with_file_name("socket");
        let _ = std::fs::create_dir(&socket);
        std::fs::write(socket.join(".s.PGSQL.5432.lock"), format!("{first_line}\n{rest}")).unwrap();
        let next = started(data.path()).await;
        assert_eq!(words(&mut next.options().connect().await.unwrap()).await, ["kept"], "lock of {first_line:?}");
        next.stop().await.unwrap();
    }
    assert!(stranger.try_wait().unwrap().is_none(), "the stranger was left alone");
    stranger.kill().unwrap();
    stranger.wait().unwrap();

    // An empty lock, as a full disk leaves it.
    std::fs::write(cluster.join("postmaster.pid"), "").unwrap();
    started(data.path()).await.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_of_another_major_version_is_refused_with_what_to_do() {
    let data = TempDir::new().unwrap();
    let first = started(data.path()).await;
    let version = first.cluster().join("PG_VERSION");
    first.stop().await.unwrap();
    std::fs::write(&version, "9\n").unwrap();
    let refused = local::start(settings(data.path())).await.unwrap_err().to_string();
    for part in ["made by Postgres 9", "apt-get install postgresql-9", "pg_dump", "COUNTERSIGN_DATA"] {
        assert!(refused.contains(part), "{part} in: {refused}");
    }
    assert_eq!(std::fs::read_to_string(&version).unwrap(), "9\n", "nothing was touched");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_with_something_else_in_it_is_left_alone() {
    let data = TempDir::new().unwrap();
    std::fs::create_dir(data.path().join("postgres")).unwrap();
    let letter = data.path().join("postgres/letter.txt");
    std::fs::write(&letter, "dear").unwrap();
    let refused = local::start(settings(data.path())).await.unwrap_err().to_string();
    assert!(refused.contains("no Postgres cluster"), "{refused}");
    assert_eq!(std::fs::read_to_string(&letter).unwrap(), "dear");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_half_made_cluster_is_made_again() {
    let data = TempDir::new().unwrap();
    std::fs::create_dir(data.path().join("postgres.new")).unwrap();
    std::fs::write(data.path().join("postgres.new/PG_VERSION"), "15\n").unwrap();
    let postgres = started(data.path()).await;
    write(&postgres, "whole").await;
    postgres.stop().await.unwrap();
    assert!(!data.path().join("postgres.new").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_program_on_one_data_folder_is_refused_until_the_first_has_stopped() {
    let data = TempDir::new().unwrap();
    let first = started(data.path()).await;
    let refused = local::start(settings(data.path())).await.unwrap_err().to_string();
    assert!(refused.contains("another Countersign") && refused.contains("Stop it first"), "{refused}");
    write(&first, "undisturbed").await;
    first.stop().await.unwrap();
    started(data.path()).await.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_path_or_one_with_blanks_and_quotes_works_too() {
    let outside = TempDir::new().unwrap();
    std::fs::set_permissions(outside.path(), std::os::unix::fs::PermissionsExt::from_mode(0o711)).unwrap();
    for name in ["a, \"b\" and 'ç'".to_owned(), "long".repeat(40)] {
        let data = outside.path().join(&name);
        let postgres = started(&data).await;
        write(&postgres, &name).await;
        let socket = postgres.options().get_socket().unwrap().clone();
        postgres.stop().await.unwrap();
        if !socket.starts_with(std::fs::canonicalize(outside.path()).unwrap()) {
            std::fs::remove_dir_all(socket).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_go_to_a_log_that_stays_small_and_holds_no_values() {
    let data = TempDir::new().unwrap();
    let log = data.path().join("postgres.log");
    std::fs::write(&log, vec![b'x'; 9 * 1024 * 1024]).unwrap();
    let postgres = started(data.path()).await;
    let mut connection = postgres.options().connect().await.unwrap();
    sqlx::query("create table one (word text primary key)").execute(&mut connection).await.unwrap();
    for _ in 0..2 {
        let _ = sqlx::query("insert into one values ($1)").bind("s3cret word").execute(&mut connection).await;
    }
    drop(connection);
    postgres.stop().await.unwrap();
    let text = std::fs::read_to_string(&log).unwrap();
    assert!(text.len() < 100_000, "{} bytes", text.len());
    assert!(text.contains("duplicate key value violates unique constraint"), "{text}");
    assert!(!text.contains("s3cret"), "{text}");
    assert!(data.path().join("postgres.log.1").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_store_opens_on_it_and_finds_it_again_after_it_was_killed() {
    let data = TempDir::new().unwrap();
    let postgres = started(data.path()).await;
    let settings = db::Settings { owner: Some(postgres.options()), app: None, max_connections: 4 };
    let store = Db::connect(&settings).await.unwrap();
    store.clock().await.unwrap();
    let killed = postmaster(postgres.cluster()).unwrap();
    signal(killed, "KILL");
    until(|| async { postmaster(postgres.cluster()).filter(|pid| *pid != killed) }).await;
    until(|| async { store.clock().await.ok() }).await;
    store.close().await;
    postgres.stop().await.unwrap();
}
