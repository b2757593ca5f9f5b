//! Leaves a text in a folder, never over another.

use std::path::{Path, PathBuf};

use tokio::io::AsyncWriteExt;

/// A folder that somebody else looks after: a mounted share, say.
#[derive(Clone, Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// The folder at `path`.
    pub fn new(path: &Path) -> Self {
        Self(path.to_path_buf())
    }

    /// Leaves `text` as the file `name`; one that is there with the same text is left as it is. It appears only when it is whole.
    ///
    /// # Errors
    /// What went wrong, as a clause: the folder is not there, or holds another file of that name.
    pub async fn leave(&self, name: &str, text: &str) -> Result<(), String> {
        let (file, part) = (self.0.join(name), self.0.join(format!(".{name}.part")));
        match tokio::fs::read_to_string(&file).await {
            Ok(there) if there == text => return Ok(()),
            Ok(_) => return Err(format!("the folder holds another {name}")),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(format!("{name} cannot be read: {error}")),
        }
        let write = async {
            let mut open = tokio::fs::File::create(&part).await?;
            open.write_all(text.as_bytes()).await?;
            open.sync_all().await?;
            tokio::fs::rename(&part, &file).await
        };
        write.await.map_err(|error| format!("nothing can be written there: {error}"))
    }
}
