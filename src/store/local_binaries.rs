//! Finds Postgres server programs on this machine.

use std::path::{Path, PathBuf};

use tokio::process::Command;

use super::local_error::Error;

/// The major versions of Postgres that Countersign is made for, newest first.
pub const SUPPORTED: [u32; 4] = [18, 17, 16, 15];

/// A folder holding `postgres` and `initdb` of one major version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binaries {
    /// The folder.
    pub folder: PathBuf,
    /// The major version, one of [`SUPPORTED`].
    pub major: u32,
}

impl Binaries {
    /// The path of one program in the folder.
    pub fn program(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

/// Every usable set of programs, the preferred ones first: `chosen` alone when it is given, else what is on the PATH,
/// then the places where Debian, Fedora and Homebrew put them, newest major first.
///
/// # Errors
/// [`Error::NoBinaries`] when there is none, with where was looked and what to install.
pub async fn find(chosen: Option<&Path>) -> Result<Vec<Binaries>, Error> {
    let places = match chosen {
        Some(folder) => vec![folder.to_path_buf()],
        None => places(std::env::var_os("PATH")),
    };
    let mut found: Vec<Binaries> = Vec::new();
    let mut unusable = Vec::new();
    for folder in &places {
        if !(folder.join("postgres").is_file() && folder.join("initdb").is_file()) {
            continue;
        }
        match major_of(&folder.join("postgres")).await {
            Some(major) if SUPPORTED.contains(&major) => {
                if !found.iter().any(|known| known.major == major) {
                    found.push(Binaries { folder: folder.clone(), major });
                }
            }
            Some(major) => unusable.push(format!("{} is Postgres {major}", folder.display())),
            None => unusable.push(format!("{} does not say its version", folder.display())),
        }
    }
    if found.is_empty() {
        return Err(Error::NoBinaries { chosen: chosen.map(Path::to_path_buf), unusable });
    }
    Ok(found)
}

fn places(path: Option<std::ffi::OsString>) -> Vec<PathBuf> {
    let mut places: Vec<PathBuf> = path.iter().flat_map(std::env::split_paths).filter(|p| p.is_absolute()).collect();
    for major in SUPPORTED {
        for prefix in ["/usr/lib/postgresql/{}/bin", "/usr/pgsql-{}/bin"] {
            places.push(PathBuf::from(prefix.replace("{}", &major.to_string())));
        }
        for homebrew in ["/opt/homebrew/opt", "/usr/local/opt", "/home/linuxbrew/.linuxbrew/opt"] {
            places.push(PathBuf::from(format!("{homebrew}/postgresql@{major}/bin")));
        }
    }
    places.push(PathBuf::from("/usr/local/pgsql/bin"));
    places
}

async fn major_of(postgres: &Path) -> Option<u32> {
    let output = Command::new(postgres).arg("--version").output().await.ok()?;
    parse_major(&String::from_utf8_lossy(&output.stdout))
}

/// The major version in what `postgres --version` prints: `postgres (PostgreSQL) 15.13 (Debian 15.13-0+deb12u1)`.
fn parse_major(printed: &str) -> Option<u32> {
    let number = printed.split_once(") ")?.1;
    number.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_is_read_from_what_postgres_prints() {
        assert_eq!(parse_major("postgres (PostgreSQL) 15.13 (Debian 15.13-0+deb12u1)\n"), Some(15));
        assert_eq!(parse_major("postgres (PostgreSQL) 18beta1\n"), Some(18));
        assert_eq!(parse_major("postgres (PostgreSQL) 17.5 (Homebrew)\n"), Some(17));
        assert_eq!(parse_major("something else"), None);
        assert_eq!(parse_major(""), None);
    }

    #[test]
    fn the_path_comes_first_and_then_the_newest_major() {
        let places = places(Some("/opt/mine:relative".into()));
        assert_eq!(places[0], PathBuf::from("/opt/mine"));
        let at = |name: &str| places.iter().position(|p| p == Path::new(name));
        assert!(at("/usr/lib/postgresql/18/bin") < at("/usr/lib/postgresql/15/bin"));
        assert!(at("/opt/homebrew/opt/postgresql@17/bin").is_some());
        assert!(!places.contains(&PathBuf::from("relative")));
    }

    #[tokio::test]
    async fn a_chosen_folder_without_postgres_is_named_in_the_error() {
        let error = find(Some(Path::new("/nonexistent/bin"))).await.unwrap_err().to_string();
        assert!(error.contains("/nonexistent/bin"), "{error}");
    }
}
