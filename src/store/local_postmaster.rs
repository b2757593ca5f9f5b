//! One running Postgres process, and what a former one left.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use super::local_binaries::Binaries;
use super::local_error::Error;
use super::local_folder::{Owner, socket_files};

/// How long a fast shutdown (rollback, checkpoint) may take before the server is told to stop at once.
const FAST_SHUTDOWN: Duration = Duration::from_secs(30);
/// How long an immediate shutdown may take.
const IMMEDIATE_SHUTDOWN: Duration = Duration::from_secs(10);
/// Above this many bytes `postgres.log` becomes `postgres.log.1`; so the two take at most about twice as much.
const LOG_LIMIT: u64 = 8 * 1024 * 1024;

/// Everything that says how to start the server of one cluster.
#[derive(Clone, Debug)]
pub struct Place {
    /// The cluster, absolute and without links.
    pub cluster: PathBuf,
    /// The folder of the Unix socket.
    pub socket: PathBuf,
    /// Where the server's messages go.
    pub log: PathBuf,
    /// Who runs it.
    pub owner: Owner,
    /// The programs, of the cluster's major version.
    pub binaries: Binaries,
    /// Whether what is committed survives a power cut; false is for tests.
    pub fsync: bool,
}

impl Place {
    /// Starts the server; it is not ready to take connections yet.
    ///
    /// # Errors
    /// [`Error::Io`] when the program cannot be run or the log not be opened.
    pub fn spawn(&self) -> Result<Postmaster, Error> {
        self.trim_log();
        let log = OpenOptions::new().append(true).create(true).mode(0o600).open(&self.log).map_err(Error::at("open the log", &self.log))?;
        let errors = log.try_clone().map_err(Error::at("open the log", &self.log))?;
        let program = self.binaries.program("postgres");
        let mut command = self.owner.command(&program);
        command.arg("-D").arg(&self.cluster);
        for setting in self.settings() {
            command.arg("-c").arg(setting);
        }
        // Its own process group: Ctrl-C in a terminal is for us, and we stop Postgres when nobody needs it any more.
        let child = command.process_group(0).stdin(Stdio::null()).stdout(log).stderr(errors).spawn();
        let child = child.map_err(Error::at("run", &program))?;
        let watcher = child.id().and_then(|pid| watch(&self.owner, pid));
        Ok(Postmaster { child, watcher })
    }

    /// What must hold whatever `postgresql.conf` says.
    fn settings(&self) -> Vec<OsString> {
        let mut sockets = OsString::from("unix_socket_directories=");
        match self.socket.to_str() {
            // The setting is a comma-separated list of names; quotes keep a name with commas or blanks together.
            Some(folder) => sockets.push(format!("\"{}\"", folder.replace('"', "\"\""))),
            None => sockets.push(&self.socket),
        }
        let durable = if self.fsync { "on" } else { "off" };
        let fixed = [
            "listen_addresses=",
            "port=5432",
            "unix_socket_permissions=0700",
            "logging_collector=off",
            "synchronous_commit=on", // also without fsync: what is committed survives a kill of Postgres
        ];
        let mut settings = vec![sockets];
        settings.extend(fixed.map(OsString::from));
        settings.extend(["fsync", "full_page_writes"].map(|name| format!("{name}={durable}").into()));
        settings
    }

    /// Keeps the log bounded. The server appends to the file it has open, so the file is copied and emptied, not moved.
    pub fn trim_log(&self) {
        let Ok(found) = fs::metadata(&self.log) else { return };
        if found.len() > LOG_LIMIT {
            let kept = self.log.with_extension("log.1");
            let emptied = fs::copy(&self.log, kept).and_then(|_| OpenOptions::new().write(true).open(&self.log)).and_then(|file| file.set_len(0));
            if let Err(error) = emptied {
                tracing::warn!(%error, path = %self.log.display(), "the log of Postgres could not be shortened");
            }
        }
    }

    /// The last lines of the log, for an error message.
    pub fn last_words(&self) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&log[log.len().saturating_sub(4096)..]).into_owned();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(6)..].join("\n")
    }

    /// Makes the cluster free for a new server: a server that still runs there (its Countersign was killed) is stopped,
    /// and a lock that names a process which is not a Postgres of this cluster is taken out of the way. A lock that
    /// names a dead process is left alone: Postgres looks at it itself, and also at the shared memory it names, so that
    /// it never runs beside orphaned backends.
    ///
    /// # Errors
    /// [`Error::Stuck`] when the running server does not stop.
    pub async fn settle(&self) -> Result<(), Error> {
        let lock = self.cluster.join("postmaster.pid");
        match Former::read(&lock, &self.cluster).await? {
            Former::None | Former::Dead => {}
            Former::Ours(pid) => {
                tracing::info!(pid, "stopping the Postgres that a killed Countersign left behind");
                self.stop_former(pid).await?;
            }
            Former::Stranger(pid) => {
                // The pid was given to another process since. Postgres ignores a lock that names its own parent, and
                // then still checks the shared memory in the further lines; removing the file would skip that check.
                let text = fs::read_to_string(&lock).map_err(Error::at("read", &lock))?;
                let rest = text.split_once('\n').map_or("", |(_, rest)| rest);
                fs::write(&lock, format!("{}\n{rest}", std::process::id())).map_err(Error::at("write", &lock))?;
                tracing::warn!(pid, "the lock of the cluster was stale: that process is not Postgres");
            }
            Former::Broken => {
                fs::remove_file(&lock).map_err(Error::at("remove", &lock))?;
                tracing::warn!(path = %lock.display(), "removed a lock without a process id, left by a crash");
            }
        }
        Ok(())
    }

    /// Removes a socket whose lock names a process that is not a Postgres of this cluster. Call after [`Self::settle`].
    ///
    /// # Errors
    /// [`Error::Io`].
    pub async fn settle_socket(&self) -> Result<(), Error> {
        let [socket, lock] = socket_files(&self.socket);
        match Former::read(&lock, &self.cluster).await? {
            Former::Stranger(_) | Former::Broken => {
                let _ = fs::remove_file(&socket);
                fs::remove_file(&lock).map_err(Error::at("remove", &lock))
            }
            Former::None | Former::Dead | Former::Ours(_) => Ok(()),
        }
    }

    async fn stop_former(&self, pid: u32) -> Result<(), Error> {
        for (name, patience) in [("INT", FAST_SHUTDOWN), ("QUIT", IMMEDIATE_SHUTDOWN)] {
            signal(pid, name).await;
            let gone = async {
                while is_ours(pid, &self.cluster).await {
                    sleep(Duration::from_millis(20)).await;
                }
            };
            if timeout(patience, gone).await.is_ok() {
                return Ok(());
            }
        }
        Err(Error::Stuck { pid })
    }
}

/// What a lock file of Postgres says about the server that wrote it.
enum Former {
    None,
    Dead,
    Ours(u32),
    Stranger(u32),
    Broken,
}

impl Former {
    async fn read(lock: &Path, cluster: &Path) -> Result<Self, Error> {
        let text = match fs::read(lock) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::None),
            Err(error) => return Err(Error::at("read", lock)(error)),
        };
        // A negative number is a single-user Postgres.
        let Ok(number) = text.lines().next().unwrap_or_default().trim().parse::<i64>() else {
            return Ok(Self::Broken);
        };
        let Ok(pid) = u32::try_from(number.abs()) else { return Ok(Self::Broken) };
        Ok(match (is_alive(pid).await, is_ours(pid, cluster).await) {
            (false, _) => Self::Dead,
            (true, true) => Self::Ours(pid),
            (true, false) => Self::Stranger(pid),
        })
    }
}

/// A server process that we started.
#[derive(Debug)]
pub struct Postmaster {
    child: Child,
    watcher: Option<Child>,
}

impl Postmaster {
    /// Its process id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Waits until the server ends by itself. Cancelling loses nothing.
    ///
    /// # Errors
    /// The operating system's, when it cannot say.
    pub async fn exited(&mut self) -> std::io::Result<ExitStatus> {
        let status = self.child.wait().await?;
        if let Some(mut watcher) = self.watcher.take() {
            // Its pid may be given to another process from now on.
            let _ = watcher.kill().await;
        }
        Ok(status)
    }

    /// How it ended, when it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Stops the server: fast (open transactions roll back, a checkpoint is written), and at once when that takes
    /// more than 30 seconds. Returns when it has ended.
    ///
    /// # Errors
    /// [`Error::Stuck`] when it does not end.
    pub async fn stop(mut self) -> Result<(), Error> {
        let Some(pid) = self.child.id() else { return Ok(()) };
        for (name, patience) in [("INT", FAST_SHUTDOWN), ("QUIT", IMMEDIATE_SHUTDOWN)] {
            signal(pid, name).await;
            if timeout(patience, self.exited()).await.is_ok() {
                return Ok(());
            }
            tracing::warn!(pid, "Postgres takes long to stop");
        }
        Err(Error::Stuck { pid })
    }
}

/// Starts a shell that waits for the end of our side of a pipe, which the kernel closes however we end (also by
/// kill -9), and then asks the server to stop. Without a shell the next start does it ([`Place::settle`]).
fn watch(owner: &Owner, pid: u32) -> Option<Child> {
    let mut command = owner.command(Path::new("/bin/sh"));
    command.args(["-c", "read -r _; kill -s INT \"$1\"", "countersign-watch", &pid.to_string()]);
    command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().inspect_err(|error| tracing::warn!(%error, "no shell to watch over Postgres")).ok()
}

async fn signal(pid: u32, name: &str) {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "kill -s \"$1\" \"$2\"", "sh", name, &pid.to_string()]).stderr(Stdio::null());
    if let Err(error) = command.status().await {
        tracing::warn!(%error, pid, name, "could not send a signal to Postgres");
    }
}

/// Whether a process with this id exists.
async fn is_alive(pid: u32) -> bool {
    if Path::new("/proc/self/cwd").exists() {
        return Path::new("/proc").join(pid.to_string()).exists();
    }
    command_of(pid).await.is_some()
}

/// Whether the process is a Postgres server working in `cluster`: a server's working folder is its cluster.
async fn is_ours(pid: u32, cluster: &Path) -> bool {
    if Path::new("/proc/self/cwd").exists() {
        return fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == cluster)
            && fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim() == "postgres");
    }
    command_of(pid).await.is_some_and(|line| line.contains("postgres") && line.contains(&*cluster.to_string_lossy()))
}

async fn command_of(pid: u32) -> Option<String> {
    let output = Command::new("ps").args(["-o", "command=", "-p", &pid.to_string()]).output().await.ok()?;
    let line = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    (output.status.success() && !line.is_empty()).then_some(line)
}
