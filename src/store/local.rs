//! A private Postgres for where none is given.
//!
//! [`start`] keeps a cluster in the data folder: made on the first start, reached over a Unix socket in a folder that
//! only its owner can enter, started again when it dies, and stopped with the program, also when the program is killed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use sqlx::{ConnectOptions, Connection};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, interval, sleep};

use super::local_binaries::{self, Binaries};
use super::local_error::Error;
use super::local_folder::{self, Owner};
use super::local_postmaster::{Place, Postmaster};

/// The name of the cluster's superuser.
pub const SUPERUSER: &str = "countersign_superuser";
/// The name of the database.
pub const DATABASE: &str = "countersign";

/// The longest wait for a server that says it is still recovering.
const RECOVERY: Duration = Duration::from_secs(600);
/// The longest wait for a server that says nothing.
const SILENCE: Duration = Duration::from_secs(60);
/// The wait before the first restart; it doubles up to [`LONGEST_BACKOFF`] and begins anew after a minute that went well.
const FIRST_BACKOFF: Duration = Duration::from_millis(100);
const LONGEST_BACKOFF: Duration = Duration::from_secs(10);
const MINUTE: Duration = Duration::from_secs(60);

/// Sensible for a small server; the owner of the machine may change them in `postgresql.conf`.
const CONFIGURATION: &str = "
# Written by Countersign when it made this cluster. Edit freely, then restart Countersign. Addresses, socket and fsync
# are given on the command line and cannot be changed here.
max_connections = 60
shared_buffers = 128MB
effective_cache_size = 512MB
work_mem = 8MB
maintenance_work_mem = 64MB
random_page_cost = 1.1
jit = off
wal_compression = on
min_wal_size = 80MB
max_wal_size = 1GB
timezone = 'UTC'
log_timezone = 'UTC'
log_line_prefix = '%m [%p] '
log_checkpoints = off
# Values and statements can hold what people wrote; they stay out of the log.
log_error_verbosity = terse
log_min_error_statement = panic
";

/// Only the Unix socket, whose folder keeps everyone else out.
const AUTHENTICATION: &str = "# Written by Countersign. Only its own user can reach the socket.\nlocal all all trust\n";

/// What the private Postgres needs to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The data folder; the cluster is `postgres` in it, its messages `postgres.log`.
    pub data: PathBuf,
    /// The folder of the Postgres programs; `None` looks for them.
    pub binaries: Option<PathBuf>,
    /// Whether a commit survives a power cut. Only a test says false.
    pub fsync: bool,
}

/// A private Postgres that runs. Dropping it stops the server too, without waiting.
#[derive(Debug)]
pub struct LocalPostgres {
    options: PgConnectOptions,
    cluster: PathBuf,
    stop: oneshot::Sender<()>,
    supervisor: JoinHandle<Result<(), Error>>,
}

/// Starts the private Postgres, making its cluster and the database where they are missing, and returns when it takes
/// connections. From then on a task starts it again whenever it ends by itself.
///
/// # Errors
/// [`Error`], when it cannot be had.
pub async fn start(settings: Settings) -> Result<LocalPostgres, Error> {
    let lock = local_folder::lock(&settings.data).await?;
    let data = std::fs::canonicalize(&settings.data).map_err(Error::at("find", &settings.data))?;
    let cluster = data.join("postgres");
    let found = local_binaries::find(settings.binaries.as_deref()).await?;
    let binaries = matching(&cluster, found)?;
    let owner = local_folder::owner(&cluster).await?;
    local_folder::open_to(&owner, &data, &cluster).await?;
    let (cluster, log, fsync) = (cluster, data.join("postgres.log"), settings.fsync);
    if !cluster.join("PG_VERSION").exists() {
        create(&cluster, &binaries, &owner, fsync).await?;
    }
    let cluster = std::fs::canonicalize(&cluster).map_err(Error::at("find", &cluster))?;
    let mut place = Place { socket: PathBuf::new(), cluster: cluster.clone(), log, owner, binaries, fsync };
    place.settle().await?;
    place.socket = local_folder::socket(&place.owner, &data)?;
    place.settle_socket().await?;

    let options = PgConnectOptions::new_without_pgpass().socket(&place.socket).port(5432).username(SUPERUSER).ssl_mode(PgSslMode::Disable).database(DATABASE);
    let mut postmaster = place.spawn()?;
    let connection = ready(&place, &mut postmaster, &options.clone().database("postgres")).await?;
    ensure_database(connection).await?;
    tracing::info!(cluster = %cluster.display(), pid = postmaster.pid(), "private Postgres is ready");
    let (stop, stopped) = oneshot::channel();
    let supervisor = tokio::spawn(async move {
        let outcome = supervise(place, postmaster, stopped).await;
        drop(lock);
        outcome
    });
    Ok(LocalPostgres { options, cluster, stop, supervisor })
}

/// How to connect to the private Postgres of `data` that another program keeps running; `None` when none seems to run.
pub fn beside(data: &Path) -> Option<PgConnectOptions> {
    // The fifth line of postmaster.pid names the socket's folder.
    let lock = std::fs::read_to_string(data.join("postgres/postmaster.pid")).ok()?;
    let socket = lock.lines().nth(4).map(str::trim).filter(|line| !line.is_empty())?.to_owned();
    Some(PgConnectOptions::new_without_pgpass().socket(socket).port(5432).username(SUPERUSER).ssl_mode(PgSslMode::Disable).database(DATABASE))
}

impl LocalPostgres {
    /// How to connect as the cluster's superuser to the database `countersign`. Connections break when the server is
    /// started again; a pool makes new ones.
    pub fn options(&self) -> PgConnectOptions {
        self.options.clone()
    }

    /// The folder of the cluster.
    pub fn cluster(&self) -> &Path {
        &self.cluster
    }

    /// Stops the server (open transactions roll back) and returns when it has ended and the data folder is free.
    ///
    /// # Errors
    /// [`Error::Stuck`] when it does not end.
    pub async fn stop(self) -> Result<(), Error> {
        let _ = self.stop.send(());
        match self.supervisor.await {
            Ok(outcome) => outcome,
            Err(error) => Err(Error::Failed { program: "postgres", status: error.to_string(), said: String::new() }),
        }
    }
}

/// The programs for the cluster: of the major version that made it, or the first found when there is none yet.
fn matching(cluster: &Path, found: Vec<Binaries>) -> Result<Binaries, Error> {
    let made_by = match std::fs::read_to_string(cluster.join("PG_VERSION")) {
        Ok(version) => Some(version.trim().to_owned()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(Error::at("read the version of", cluster)(error)),
    };
    let wanted = found.iter().find(|one| made_by.as_ref().is_none_or(|major| *major == one.major.to_string()));
    match (wanted, made_by) {
        (Some(one), _) => Ok(one.clone()),
        (None, made_by) => {
            let made_by = made_by.unwrap_or_default();
            Err(Error::OtherMajor { cluster: cluster.to_path_buf(), made_by, found })
        }
    }
}

/// Makes the cluster beside its place and moves it there when it is whole, so that a half-made one is never used.
async fn create(cluster: &Path, binaries: &Binaries, owner: &Owner, fsync: bool) -> Result<(), Error> {
    if std::fs::read_dir(cluster).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(Error::NotACluster { cluster: cluster.to_path_buf() });
    }
    let new = cluster.with_extension("new");
    let mut last = None;
    for locale in ["C.UTF-8", "C"] {
        local_folder::fresh(owner, &new)?;
        let program = binaries.program("initdb");
        let mut initdb = owner.command(&program);
        initdb.arg("-D").arg(&new).args(["-U", SUPERUSER, "-E", "UTF8", "--auth=trust", "--data-checksums"]);
        initdb.arg(format!("--locale={locale}")).arg("--no-instructions");
        if !fsync {
            initdb.arg("--no-sync");
        }
        let output = initdb.output().await.map_err(Error::at("run", &program))?;
        if output.status.success() {
            last = None;
            break;
        }
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        last = Some(Error::Failed { program: "initdb", status: output.status.to_string(), said });
    }
    if let Some(error) = last {
        return Err(error);
    }
    let conf = new.join("postgresql.conf");
    let text = std::fs::read_to_string(&conf).map_err(Error::at("read", &conf))?;
    std::fs::write(&conf, text + CONFIGURATION).map_err(Error::at("write", &conf))?;
    let hba = new.join("pg_hba.conf");
    std::fs::write(&hba, AUTHENTICATION).map_err(Error::at("write", &hba))?;
    std::fs::rename(&new, cluster).map_err(Error::at("move into place", &new))
}

/// Waits until the server takes connections. A server that says it is recovering is given ten minutes.
async fn ready(place: &Place, postmaster: &mut Postmaster, to: &PgConnectOptions) -> Result<PgConnection, Error> {
    let began = Instant::now();
    loop {
        let error = match to.connect().await {
            Ok(connection) => return Ok(connection),
            Err(error) => error,
        };
        if let Some(status) = postmaster.ended() {
            let status = status.to_string();
            return Err(Error::Failed { program: "postgres", status, said: place.last_words() });
        }
        // 57P03: "the database system is starting up"
        let recovering = error.as_database_error().and_then(|e| e.code()).is_some_and(|code| code == "57P03");
        let waited = began.elapsed();
        if waited > if recovering { RECOVERY } else { SILENCE } {
            return Err(Error::NotReady { waited, last: error.to_string(), log: place.log.clone() });
        }
        sleep(Duration::from_millis(20)).await;
    }
}

async fn ensure_database(mut connection: PgConnection) -> Result<(), Error> {
    let known = sqlx::query_scalar::<_, bool>("select exists (select from pg_database where datname = $1)").bind(DATABASE).fetch_one(&mut connection).await?;
    if !known {
        sqlx::query("create database countersign").execute(&mut connection).await?;
    }
    connection.close().await?;
    Ok(())
}

/// Keeps the server running until told to stop (or until nobody is left who could tell).
async fn supervise(place: Place, mut postmaster: Postmaster, mut stop: oneshot::Receiver<()>) -> Result<(), Error> {
    let mut backoff = FIRST_BACKOFF;
    let mut tidy = interval(MINUTE);
    let mut began = Instant::now();
    loop {
        let status = tokio::select! {
            status = postmaster.exited() => status.map_or_else(|error| error.to_string(), |status| status.to_string()),
            _ = tidy.tick() => {
                place.trim_log();
                continue;
            }
            _ = &mut stop => return postmaster.stop().await,
        };
        if began.elapsed() > MINUTE {
            backoff = FIRST_BACKOFF;
        }
        tracing::error!(%status, log = %place.log.display(), "Postgres ended by itself; starting it again");
        postmaster = loop {
            tokio::select! {
                () = sleep(backoff) => {}
                _ = &mut stop => return Ok(()),
            }
            backoff = (backoff * 2).min(LONGEST_BACKOFF);
            match restart(&place).await {
                Ok(postmaster) => break postmaster,
                Err(error) => tracing::error!(%error, "Postgres could not be started again; trying later"),
            }
        };
        began = Instant::now();
    }
}

async fn restart(place: &Place) -> Result<Postmaster, Error> {
    place.settle().await?;
    place.settle_socket().await?;
    place.spawn()
}
