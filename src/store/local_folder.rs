//! Folders of the private Postgres: owner, lock, socket.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown, lchown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::process::Command;

use super::local_error::Error;

/// The longest socket path every supported system takes (`sun_path`: 108 bytes on Linux, 104 on macOS, with its NUL).
const SOCKET_PATH_LIMIT: usize = 103;
/// The name Postgres gives its socket: the port is part of the name only.
const SOCKET_NAME: &str = ".s.PGSQL.5432";

/// How often, and after which pause each, a taken lock is looked at again.
const LOCK_LOOKS: u32 = 20;
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// The OS user that the cluster belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Its numeric user id.
    pub uid: u32,
    /// Its numeric group id.
    pub gid: u32,
    /// Whether this program is another user (root) and has to change to this one to start Postgres.
    pub switch: bool,
}

impl Owner {
    /// A command that runs `program` as this user, with an environment that holds nothing but a PATH and the C locale.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("LC_ALL", "C").current_dir("/");
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        if self.switch {
            command.uid(self.uid).gid(self.gid);
        }
        command
    }

    fn take(&self, path: &Path) -> Result<(), Error> {
        if self.switch {
            chown(path, Some(self.uid), Some(self.gid)).map_err(Error::at("give to the Postgres user", path))?;
        }
        Ok(())
    }
}

/// Creates the data folder where it is missing and takes the lock that keeps a second program out of it. The lock is
/// the operating system's (flock), so it ends with the program however that ends.
///
/// # Errors
/// [`Error::InUse`] when another program holds it, [`Error::Io`] when the folder cannot be made or written.
pub async fn lock(data: &Path) -> Result<File, Error> {
    DirBuilder::new().recursive(true).mode(0o700).create(data).map_err(Error::at("create the data folder", data))?;
    let path = data.join("countersign.lock");
    let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path).map_err(Error::at("open the lock", &path))?;
    // A program that has just ended may have left a copy of its lock to a child that is about to become another program: so look again
    // for a moment.
    let mut taken = file.try_lock();
    for _ in 0..LOCK_LOOKS {
        if !matches!(taken, Err(TryLockError::WouldBlock)) {
            break;
        }
        tokio::time::sleep(LOCK_PAUSE).await;
        taken = file.try_lock();
    }
    match taken {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            let _ = file.read_to_string(&mut holder);
            return Err(Error::InUse { data: data.to_path_buf(), holder: holder.trim().parse().ok() });
        }
        Err(TryLockError::Error(error)) => return Err(Error::at("lock", &path)(error)),
    }
    let written = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| writeln!(file, "{}", std::process::id())).and_then(|()| file.flush());
    written.map_err(Error::at("write the lock", &path))?;
    Ok(file)
}

/// Who the cluster in `cluster` belongs to. Postgres refuses to run as root, so root hands the cluster to the user
/// that already owns it, else to `postgres`, else to `nobody`; anyone else runs it themselves.
///
/// # Errors
/// [`Error::WrongOwner`] when the cluster is another user's and we are not root.
pub async fn owner(cluster: &Path) -> Result<Owner, Error> {
    let uid = id(&["-u"]).await.ok_or(Error::NoUser)?;
    let existing = fs::metadata(cluster).ok();
    if uid != 0 {
        if let Some(found) = existing.filter(|found| found.uid() != uid) {
            return Err(Error::WrongOwner { cluster: cluster.to_path_buf(), owner: found.uid(), ours: uid });
        }
        return Ok(Owner { uid, gid: id(&["-g"]).await.ok_or(Error::NoUser)?, switch: false });
    }
    if let Some(found) = existing.filter(|found| found.uid() != 0) {
        return Ok(Owner { uid: found.uid(), gid: found.gid(), switch: true });
    }
    for name in ["postgres", "nobody"] {
        if let (Some(uid), Some(gid)) = (id(&["-u", name]).await, id(&["-g", name]).await) {
            return Ok(Owner { uid, gid, switch: true });
        }
    }
    Err(Error::NoUser)
}

async fn id(arguments: &[&str]) -> Option<u32> {
    let output = Command::new("id").args(arguments).output().await.ok()?;
    String::from_utf8_lossy(&output.stdout).trim().parse().ok().filter(|_| output.status.success())
}

/// Makes sure that `owner` can enter `data`, and owns all of the cluster (a folder restored from a backup as root does
/// not belong to the Postgres user any more).
///
/// # Errors
/// [`Error::Unreachable`] when a folder above `data` keeps the Postgres user out.
pub async fn open_to(owner: &Owner, data: &Path, cluster: &Path) -> Result<(), Error> {
    if !owner.switch {
        return Ok(());
    }
    let mode = fs::metadata(data).map_err(Error::at("read", data))?.permissions().mode();
    if mode & 0o001 == 0 {
        // The Postgres user must pass through; it still cannot list the folder.
        let wider = fs::Permissions::from_mode((mode | 0o001) & 0o7777);
        fs::set_permissions(data, wider).map_err(Error::at("let the Postgres user into", data))?;
    }
    let entered = owner.command(Path::new("/bin/sh")).args(["-c", "cd \"$1\"", "sh"]).arg(data).output().await;
    if !entered.map_err(Error::at("run", Path::new("/bin/sh")))?.status.success() {
        return Err(Error::Unreachable { data: data.to_path_buf(), uid: owner.uid });
    }
    if fs::metadata(cluster).is_ok_and(|found| found.uid() == 0) {
        hand_over(owner, cluster)?;
    }
    Ok(())
}

fn hand_over(owner: &Owner, path: &Path) -> Result<(), Error> {
    lchown(path, Some(owner.uid), Some(owner.gid)).map_err(Error::at("give to the Postgres user", path))?;
    if fs::symlink_metadata(path).map_err(Error::at("read", path))?.is_dir() {
        for entry in fs::read_dir(path).map_err(Error::at("read", path))? {
            hand_over(owner, &entry.map_err(Error::at("read", path))?.path())?;
        }
    }
    Ok(())
}

/// An empty folder of mode 0700 that belongs to `owner`; what was there before is removed.
///
/// # Errors
/// [`Error::Io`].
pub fn fresh(owner: &Owner, folder: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(Error::at("remove", folder)(error)),
        _ => {}
    }
    DirBuilder::new().mode(0o700).create(folder).map_err(Error::at("create", folder))?;
    owner.take(folder)
}

/// The folder of mode 0700 for the Unix socket: `data/socket`, or where that path is too long for a socket a folder
/// named by its hash under XDG_RUNTIME_DIR, /run (root) or /tmp. Whoever can enter it is trusted by Postgres, so one
/// that is a link, is another user's or is open to others is refused.
///
/// # Errors
/// [`Error::Socket`] with what is wrong with the folder.
pub fn socket(owner: &Owner, data: &Path) -> Result<PathBuf, Error> {
    let near = data.join("socket");
    let folder = if fits(&near) { near } else { short(owner, data)? };
    if owner.switch && folder.starts_with(data) {
        let _ = fs::remove_dir_all(&folder); // inside our own folder, and Postgres is not running: nothing to keep
    }
    match DirBuilder::new().mode(0o700).create(&folder) {
        Ok(()) => owner.take(&folder)?,
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(Error::at("create", &folder)(error)),
    }
    let found = fs::symlink_metadata(&folder).map_err(Error::at("read", &folder))?;
    let wrong = if !found.is_dir() {
        "is not a folder"
    } else if found.uid() != owner.uid {
        "belongs to another user"
    } else if found.permissions().mode() & 0o077 != 0 {
        "is open to other users"
    } else {
        return Ok(folder);
    };
    Err(Error::Socket { folder, wrong })
}

fn fits(folder: &Path) -> bool {
    folder.as_os_str().len() + 1 + SOCKET_NAME.len() <= SOCKET_PATH_LIMIT
}

fn short(owner: &Owner, data: &Path) -> Result<PathBuf, Error> {
    let digest = Sha256::digest(data.as_os_str().as_bytes());
    let name: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let runtime = match owner.switch {
        true => Some(PathBuf::from("/run")), // root's own XDG_RUNTIME_DIR shuts the Postgres user out
        false => std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from),
    };
    let places = [runtime, Some(PathBuf::from("/tmp"))];
    let found = places.into_iter().flatten().filter(|place| place.is_absolute() && place.is_dir());
    let mut folders = found.map(|place| place.join(format!("countersign-{name}")));
    folders.find(|folder| fits(folder)).ok_or(Error::Socket { folder: data.to_path_buf(), wrong: "has too long a path" })
}

/// Where Postgres puts its socket in `folder`, and the lock beside it.
pub fn socket_files(folder: &Path) -> [PathBuf; 2] {
    [folder.join(SOCKET_NAME), folder.join(format!("{SOCKET_NAME}.lock"))]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_path_that_is_too_long_is_moved_to_a_short_place_of_its_own() {
        let owner = Owner { uid: 0, gid: 0, switch: true };
        let long = |last: &str| PathBuf::from(format!("/{}/{last}", "x".repeat(120)));
        let one = short(&owner, &long("one")).unwrap();
        let two = short(&owner, &long("two")).unwrap();
        assert!(!fits(&long("one")) && fits(&one) && fits(&two));
        assert_ne!(one, two);
        assert_eq!(one, short(&owner, &long("one")).unwrap());
    }

    #[test]
    fn a_socket_folder_that_others_can_enter_is_refused() {
        let data = tempfile::tempdir().unwrap();
        let uid = fs::metadata(data.path()).unwrap().uid();
        let owner = Owner { uid, gid: 0, switch: false };
        let folder = socket(&owner, data.path()).unwrap();
        assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(socket(&owner, data.path()).unwrap(), folder, "a second start uses it again");

        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        assert!(socket(&owner, data.path()).unwrap_err().to_string().contains("open to other users"));
        let stranger = Owner { uid: uid + 1, ..owner };
        assert!(socket(&stranger, data.path()).unwrap_err().to_string().contains("another user"));

        fs::remove_dir(&folder).unwrap();
        std::os::unix::fs::symlink("/tmp", &folder).unwrap();
        assert!(socket(&owner, data.path()).unwrap_err().to_string().contains("not a folder"));
    }

    #[tokio::test]
    async fn a_second_lock_on_a_data_folder_is_refused_and_names_the_holder() {
        let data = tempfile::tempdir().unwrap();
        let held = lock(data.path()).await.unwrap();
        let refused = lock(data.path()).await.unwrap_err().to_string();
        assert!(refused.contains(&std::process::id().to_string()), "{refused}");
        drop(held);
        lock(data.path()).await.unwrap();
    }
}
