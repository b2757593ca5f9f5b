//! Leaves files beneath one folder, never outside or over another.

use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use tokio::fs::{self, File};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::spool::{Measure, Receipt};

/// How much is read at once.
const PIECE: usize = 64 * 1024;

/// A folder beneath which files are left.
#[derive(Clone, Debug)]
pub struct Share(PathBuf);

/// A file that is on its way into the folder. Dropped before [`Incoming::leave`], it never was.
#[derive(Debug)]
pub struct Incoming {
    base: PathBuf,
    folder: PathBuf,
    name: String,
    part: PathBuf,
    file: File,
    measure: Measure,
}

impl Share {
    /// The folder at `path`, an absolute path.
    pub fn new(path: &Path) -> Self {
        Self(path.to_path_buf())
    }

    /// The folder `path` beneath it, made where it is not there yet. Whatever on the way is no folder of its own, a link too, is refused.
    async fn folder(&self, path: &str) -> Result<(PathBuf, PathBuf), String> {
        let base = fs::canonicalize(&self.0).await.map_err(|error| format!("the folder of schedules.folder is not there: {error}"))?;
        let mut folder = base.clone();
        for part in path.split('/') {
            if part.is_empty() || part.starts_with('.') || part.contains(['\\', '\0']) {
                return Err(format!("{path:?} is no folder beneath the one of schedules.folder"));
            }
            folder.push(part);
            match fs::symlink_metadata(&folder).await {
                Ok(found) if found.is_dir() => {}
                Ok(_) => return Err(format!("{part} is a link or a file, not a folder beneath the one of schedules.folder")),
                Err(error) if error.kind() == ErrorKind::NotFound => match fs::create_dir(&folder).await {
                    Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(format!("the folder {part} cannot be made: {error}")),
                    _ => {}
                },
                Err(error) => return Err(format!("the folder {part} cannot be looked at: {error}")),
            }
        }
        is_beneath(&base, &folder).await?;
        Ok((base, folder))
    }

    /// What the file `name` in the folder `path` is, if it is there.
    ///
    /// # Errors
    /// A clause on what went wrong.
    pub async fn there(&self, path: &str, name: &str) -> Result<Option<Receipt>, String> {
        let (_, folder) = self.folder(path).await?;
        let file = folder.join(name);
        match fs::symlink_metadata(&file).await {
            Ok(found) if found.is_file() => {}
            Ok(_) => return Err(format!("the folder holds a {name} that is no file")),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(format!("{name} cannot be looked at: {error}")),
        }
        let unreadable = |error: std::io::Error| format!("{name} cannot be read: {error}");
        let (mut file, mut measure, mut piece) = (File::open(&file).await.map_err(unreadable)?, Measure::default(), vec![0; PIECE]);
        loop {
            match file.read(&mut piece).await.map_err(unreadable)? {
                0 => return Ok(Some(measure.done())),
                read => measure.push(&piece[..read]),
            }
        }
    }

    /// Begins the file `name` in the folder `path`.
    ///
    /// # Errors
    /// A clause on what went wrong.
    pub async fn begin(&self, path: &str, name: &str) -> Result<Incoming, String> {
        let (base, folder) = self.folder(path).await?;
        let part = folder.join(format!(".{name}.part"));
        // One that was broken off is begun anew; what is made new follows no link.
        let _ = fs::remove_file(&part).await;
        let open = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o640).open(&part);
        let file = open.map_err(|error| format!("nothing can be written there: {error}"))?;
        Ok(Incoming { base, folder, name: name.to_owned(), part, file: File::from_std(file), measure: Measure::default() })
    }
}

async fn is_beneath(base: &Path, folder: &Path) -> Result<(), String> {
    let really = fs::canonicalize(folder).await.map_err(|error| format!("the folder cannot be looked at: {error}"))?;
    if really == folder && really.starts_with(base) { Ok(()) } else { Err("the folder is a way out of the one of schedules.folder".into()) }
}

impl Incoming {
    /// Adds a piece.
    ///
    /// # Errors
    /// A clause on what went wrong.
    pub async fn write(&mut self, piece: &[u8]) -> Result<(), String> {
        self.measure.push(piece);
        self.file.write_all(piece).await.map_err(|error| format!("nothing can be written there: {error}"))
    }

    /// Gives the whole file its name; one that is there already stays.
    ///
    /// # Errors
    /// A clause on what went wrong.
    pub async fn leave(mut self) -> Result<Receipt, String> {
        let unwritable = |error: std::io::Error| format!("nothing can be written there: {error}");
        self.file.flush().await.map_err(unwritable)?;
        self.file.sync_all().await.map_err(unwritable)?;
        is_beneath(&self.base, &self.folder).await?;
        let file = self.folder.join(&self.name);
        match fs::hard_link(&self.part, &file).await {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::AlreadyExists => return Err(format!("the folder holds another {}", self.name)),
            // Some shares know no second name of a file: there it is renamed.
            Err(_) => {
                if fs::symlink_metadata(&file).await.is_ok() {
                    return Err(format!("the folder holds another {}", self.name));
                }
                fs::rename(&self.part, &file).await.map_err(unwritable)?;
            }
        }
        // The name too must outlast a crash, where the share can say so.
        if let Ok(folder) = File::open(&self.folder).await {
            let _ = folder.sync_all().await;
        }
        Ok(std::mem::take(&mut self.measure).done())
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.part);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    async fn put(share: &Share, path: &str, name: &str, text: &str) -> Result<Receipt, String> {
        let mut incoming = share.begin(path, name).await?;
        incoming.write(text.as_bytes()).await?;
        incoming.leave().await
    }

    #[tokio::test]
    async fn a_file_appears_whole_and_never_over_another() {
        let base = tempfile::tempdir().unwrap();
        let share = Share::new(base.path());
        let receipt = put(&share, "a/b", "x.csv", "one").await.unwrap();
        assert_eq!((receipt.bytes, share.there("a/b", "x.csv").await.unwrap()), (3, Some(receipt)));
        assert!(put(&share, "a/b", "x.csv", "two").await.unwrap_err().contains("another"));
        assert_eq!(std::fs::read_to_string(base.path().join("a/b/x.csv")).unwrap(), "one");
        let mut broken = share.begin("a/b", "y.csv").await.unwrap();
        broken.write(b"half").await.unwrap();
        drop(broken);
        let left: Vec<_> = std::fs::read_dir(base.path().join("a/b")).unwrap().map(|file| file.unwrap().file_name()).collect();
        assert_eq!(left, ["x.csv"]);
        assert_eq!(share.there("a/b", "y.csv").await.unwrap(), None);
    }

    #[tokio::test]
    async fn no_link_and_no_dots_lead_out() {
        let (base, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let share = Share::new(base.path());
        symlink(outside.path(), base.path().join("out")).unwrap();
        std::fs::create_dir(base.path().join("in")).unwrap();
        symlink(outside.path(), base.path().join("in/out")).unwrap();
        for path in ["out", "in/out", "out/deeper", "..", "in/..", "../x", "", "/", "/etc", "in//out", ".hidden"] {
            assert!(put(&share, path, "x.csv", "one").await.is_err(), "{path}");
        }
        // A link in the place of the part, or of the file, leads nowhere either.
        symlink(outside.path().join("stolen"), base.path().join("in/.x.csv.part")).unwrap();
        put(&share, "in", "x.csv", "one").await.unwrap();
        symlink(outside.path().join("stolen"), base.path().join("in/z.csv")).unwrap();
        assert!(put(&share, "in", "z.csv", "one").await.is_err() && share.there("in", "z.csv").await.is_err());
        assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
        // The base itself may be one: it is the operator's word.
        symlink(base.path(), outside.path().join("mounted")).unwrap();
        put(&Share::new(&outside.path().join("mounted")), "in", "y.csv", "one").await.unwrap();
        assert!(put(&Share::new(Path::new("/nowhere/at/all")), "in", "y.csv", "one").await.unwrap_err().contains("not there"));
    }
}
