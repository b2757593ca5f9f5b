//! Why there is no private Postgres, and what to do.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::local_binaries::{Binaries, SUPPORTED};

/// Why there is no private Postgres; each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No usable programs.
    #[error("{}", no_binaries(chosen.as_deref(), unusable))]
    NoBinaries {
        /// The folder that the settings name.
        chosen: Option<PathBuf>,
        /// What was found and why it does not do.
        unusable: Vec<String>,
    },
    /// The folder is another major version's.
    #[error(
        "the database in {} was made by Postgres {made_by}, but this machine has only {}. Install the programs of \
         Postgres {made_by} (Debian: apt-get install postgresql-{made_by}), or start with a new COUNTERSIGN_DATA \
         folder and move the data with pg_dump and psql", cluster.display(), versions(found)
    )]
    OtherMajor {
        /// The cluster.
        cluster: PathBuf,
        /// The version in its PG_VERSION.
        made_by: String,
        /// What is installed.
        found: Vec<Binaries>,
    },
    /// Not a cluster at all.
    #[error("{} holds files but no Postgres cluster (no PG_VERSION). Move it away, or name another COUNTERSIGN_DATA folder", cluster.display())]
    NotACluster {
        /// The folder.
        cluster: PathBuf,
    },
    /// A second program.
    #[error("another Countersign{} is using the data folder {}. Stop it first, or give this one a COUNTERSIGN_DATA folder of its own", holder.map(|pid| format!(" (process {pid})")).unwrap_or_default(), data.display())]
    InUse {
        /// The data folder.
        data: PathBuf,
        /// Who holds it.
        holder: Option<u32>,
    },
    /// The cluster is another user's.
    #[error("the database in {} belongs to user {owner}, and this program runs as user {ours}. Run it as user {owner}, or as root", cluster.display())]
    WrongOwner {
        /// The cluster.
        cluster: PathBuf,
        /// Its owner's user id.
        owner: u32,
        /// Our user id.
        ours: u32,
    },
    /// The Postgres user may not go there.
    #[error("Postgres runs as user {uid} because it refuses to run as root, and that user cannot enter {}. Let it through the folders above (chmod o+x), or name another COUNTERSIGN_DATA folder", data.display())]
    Unreachable {
        /// The data folder.
        data: PathBuf,
        /// The user.
        uid: u32,
    },
    /// There is no unprivileged user.
    #[error("cannot tell which operating system user is to run Postgres: `id` knows neither postgres nor nobody")]
    NoUser,
    /// The socket folder cannot be trusted.
    #[error("the folder for the Postgres socket, {}, {wrong}. Remove it, or name a COUNTERSIGN_DATA folder with a shorter path", folder.display())]
    Socket {
        /// The folder.
        folder: PathBuf,
        /// What is wrong with it.
        wrong: &'static str,
    },
    /// A program of Postgres failed.
    #[error("{program} failed ({status}); it said:\n{said}")]
    Failed {
        /// The program.
        program: &'static str,
        /// How it ended.
        status: String,
        /// Its last lines.
        said: String,
    },
    /// The server does not answer.
    #[error("Postgres did not become ready within {} s: {last}. Its messages are in {}", waited.as_secs(), log.display())]
    NotReady {
        /// How long we waited.
        waited: Duration,
        /// The last answer.
        last: String,
        /// Its log.
        log: PathBuf,
    },
    /// The server does not stop.
    #[error("Postgres (process {pid}) does not stop")]
    Stuck {
        /// Its process id.
        pid: u32,
    },
    /// A statement failed.
    #[error("the private Postgres refused: {0}")]
    Refused(#[from] sqlx::Error),
    /// The operating system refused.
    #[error("could not {act} {}: {error}", path.display())]
    Io {
        /// What was tried.
        act: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        error: std::io::Error,
    },
}

impl Error {
    /// Turns an error of the operating system into one that says what was tried on which path.
    pub(super) fn at(act: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |error| Self::Io { act, path: path.to_path_buf(), error }
    }
}

fn no_binaries(chosen: Option<&Path>, unusable: &[String]) -> String {
    let place = match chosen {
        Some(folder) => format!("{} has no Postgres server programs that Countersign can use", folder.display()),
        None => "found no Postgres server programs on the PATH, in /usr/lib/postgresql/*/bin or at Homebrew".to_owned(),
    };
    let found = if unusable.is_empty() { String::new() } else { format!(" ({})", unusable.join(", ")) };
    format!(
        "{place}{found}. Install Postgres {} to {} (Debian and Ubuntu: apt-get install postgresql; macOS: brew install \
         postgresql@17), or set DATABASE_URL to a server you have",
        SUPPORTED[SUPPORTED.len() - 1],
        SUPPORTED[0]
    )
}

fn versions(found: &[Binaries]) -> String {
    let each = found.iter().map(|one| format!("Postgres {} ({})", one.major, one.folder.display()));
    each.collect::<Vec<_>>().join(", ")
}
