//! Keeps a file on disk for a moment, without name.

use std::os::unix::fs::OpenOptionsExt;

use sha2::{Digest, Sha256};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};

use crate::clock::new_id;

/// How much is read at once.
const PIECE: usize = 64 * 1024;

/// How large a file is, and what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Its length.
    pub bytes: u64,
    /// Its SHA-256, hex.
    pub sha256: String,
}

/// A file that is being written and measured.
#[derive(Debug, Default)]
pub struct Measure {
    hash: Sha256,
    bytes: u64,
}

impl Measure {
    /// Takes a piece into account.
    pub fn push(&mut self, piece: &[u8]) {
        self.hash.update(piece);
        self.bytes += piece.len() as u64;
    }

    /// How many bytes it was so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What it came to.
    pub fn done(self) -> Receipt {
        Receipt { bytes: self.bytes, sha256: self.hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect() }
    }
}

/// A file without a name, of at most so many bytes. It is gone with this, however this ends.
#[derive(Debug)]
pub struct Spool {
    file: File,
    measure: Measure,
    most: u64,
}

impl Spool {
    /// An empty one for at most `most` bytes.
    ///
    /// # Errors
    /// A clause on what went wrong.
    pub async fn new(most: u64) -> Result<Self, String> {
        let path = std::env::temp_dir().join(format!("countersign-{}", new_id().simple()));
        let open = std::fs::OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path);
        let file = open.map_err(|error| format!("no file for a moment can be made in {}: {error}", std::env::temp_dir().display()))?;
        // Nobody else finds it, and nothing stays behind.
        std::fs::remove_file(&path).map_err(|error| format!("a file for a moment cannot be unlinked: {error}"))?;
        Ok(Self { file: File::from_std(file), measure: Measure::default(), most })
    }

    /// Adds a piece; false when it would become too large.
    ///
    /// # Errors
    /// A clause on what went wrong.
    pub async fn write(&mut self, piece: &[u8]) -> Result<bool, String> {
        self.measure.push(piece);
        if self.measure.bytes() > self.most {
            return Ok(false);
        }
        self.file.write_all(piece).await.map_err(|error| format!("a file for a moment cannot be written: {error}"))?;
        Ok(true)
    }

    /// The file from its beginning, and what it came to.
    ///
    /// # Errors
    /// A clause on what went wrong.
    pub async fn whole(mut self) -> Result<(Spooled, Receipt), String> {
        self.file.flush().await.map_err(|error| format!("a file for a moment cannot be written: {error}"))?;
        Ok((Spooled(self.file), self.measure.done()))
    }
}

/// A whole file without a name.
#[derive(Debug)]
pub struct Spooled(File);

impl Spooled {
    /// Goes to its beginning.
    ///
    /// # Errors
    /// A clause on what went wrong.
    pub async fn rewind(&mut self) -> Result<(), String> {
        self.0.rewind().await.map(drop).map_err(|error| format!("a file for a moment cannot be read: {error}"))
    }

    /// The next piece; none at its end.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn next(&mut self) -> std::io::Result<Option<Vec<u8>>> {
        let mut piece = vec![0; PIECE];
        let read = self.0.read(&mut piece).await?;
        piece.truncate(read);
        Ok((read > 0).then_some(piece))
    }

    /// All of it: for what is small.
    ///
    /// # Errors
    /// A clause on what went wrong.
    pub async fn all(mut self) -> Result<Vec<u8>, String> {
        self.rewind().await?;
        let mut all = Vec::new();
        self.0.read_to_end(&mut all).await.map_err(|error| format!("a file for a moment cannot be read: {error}"))?;
        Ok(all)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_written_is_read_and_measured_and_nothing_more_than_the_most() {
        let mut spool = Spool::new(10).await.unwrap();
        assert!(spool.write(b"hello").await.unwrap() && spool.write(b" you").await.unwrap());
        let (spooled, receipt) = spool.whole().await.unwrap();
        assert_eq!((spooled.all().await.unwrap(), receipt.bytes), (b"hello you".to_vec(), 9));
        assert_eq!(receipt.sha256.len(), 64);
        let mut spool = Spool::new(4).await.unwrap();
        assert!(!spool.write(b"hello").await.unwrap());
    }
}
